package mail

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/emersion/go-smtp"
)

// Status is what came of one try to hand a mail to a server.
type Status uint8

// What can come of a try.
const (
	NotSent   Status = iota // the final dot did not leave: safe to retry
	Accepted                // the server answered the final dot with 2xx
	Temporary               // a 4xx answer: safe to retry
	Permanent               // a 5xx answer: this mail will not be taken
	Unknown                 // the dot left and no answer that can be understood came
)

// String names the status as shown.
func (s Status) String() string {
	switch s {
	case Accepted:
		return "accepted"
	case Temporary:
		return "temporary"
	case Permanent:
		return "permanent"
	case Unknown:
		return "unknown"
	default:
		return "not sent"
	}
}

// Stages of the SMTP dialogue, in order.
const (
	StageDial  = "dial"
	StageHello = "hello" // greeting and EHLO
	StageTLS   = "tls"
	StageAuth  = "auth"
	StageMail  = "mail"
	StageRcpt  = "rcpt"
	StageData  = "data" // DATA and its 354
	StageBody  = "body" // the mail without its end
	StageDot   = "dot"  // the final dot and the answer to it
)

// Delivery is the result of one try. The server's own text is left out, since servers
// like to quote the address in it.
type Delivery struct {
	Status   Status
	Stage    string // where it ended; "" when accepted
	Code     int    // the server's answer; 0 when there was none
	Enhanced [3]int // RFC 3463; zeros when there was none
	Err      error  // the cause when there is no code; holds no address and no secret
	stale    bool   // a reused connection was found dead at its first command
}

// Reason is the delivery in a few words: "refused at rcpt: 550 5.1.1".
func (d Delivery) Reason() string {
	switch {
	case d.Status == Accepted:
		return "accepted"
	case d.Code != 0 && d.Enhanced != [3]int{}:
		return fmt.Sprintf("%s at %s: %d %d.%d.%d", d.Status, d.Stage, d.Code, d.Enhanced[0], d.Enhanced[1], d.Enhanced[2])
	case d.Code != 0:
		return fmt.Sprintf("%s at %s: %d", d.Status, d.Stage, d.Code)
	case d.Err != nil:
		return fmt.Sprintf("%s at %s: %v", d.Status, d.Stage, d.Err)
	default:
		return fmt.Sprintf("%s at %s", d.Status, d.Stage)
	}
}

// Bounce is the class of a refusal as event.Mailing has it: "hard" when the address is
// bad for good and should be suppressed, "block" when the sender or the content is at
// fault, which never suppresses anybody, "soft" otherwise, "" when nothing was refused.
func (d Delivery) Bounce() string {
	if d.Status != Permanent && d.Status != Temporary {
		return ""
	}
	class, subject, detail := d.Enhanced[0], d.Enhanced[1], d.Enhanced[2]
	switch {
	case subject == 7 || subject == 6 || d.Stage == StageMail && class == 0:
		return "block"
	case d.Status == Temporary:
		return "soft"
	case class == 5 && subject == 1 && (detail == 1 || detail == 2 || detail == 3 || detail == 6 || detail == 10):
		return "hard"
	case class == 5 && subject == 2 && detail == 1:
		return "hard"
	case class == 0 && d.Stage == StageRcpt && (d.Code == 550 || d.Code == 551 || d.Code == 553):
		return "hard" // a server without enhanced codes can only say it so
	default:
		return "soft"
	}
}

// ended makes the Delivery of an error before the final dot.
func ended(stage string, err error) Delivery {
	var refusal *smtp.SMTPError
	if !errors.As(err, &refusal) {
		return Delivery{Status: NotSent, Stage: stage, Err: plain(err)}
	}
	d := Delivery{Status: NotSent, Stage: stage, Code: refusal.Code, Enhanced: enhanced(refusal)}
	// Before MAIL the server judges us, not the mail; the mail waits until that is repaired.
	// The same is said by 530 (authentication required) and 421 (service shutting down).
	if stage == StageMail || stage == StageRcpt || stage == StageData {
		switch {
		case refusal.Code == 530:
		case refusal.Code/100 == 4:
			d.Status = Temporary
		case refusal.Code/100 == 5:
			d.Status = Permanent
		}
	}
	return d
}

// dotted makes the Delivery of the answer to the final dot. left says whether any byte
// of the dot was handed to the connection.
func dotted(err error, left bool) Delivery {
	if err == nil {
		return Delivery{Status: Accepted}
	}
	var refusal *smtp.SMTPError
	if !errors.As(err, &refusal) {
		d := Delivery{Status: Unknown, Stage: StageDot, Err: plain(err)}
		if !left {
			d.Status = NotSent
		}
		return d
	}
	d := Delivery{Status: Unknown, Stage: StageDot, Code: refusal.Code, Enhanced: enhanced(refusal)}
	switch refusal.Code / 100 {
	case 2:
		return Delivery{Status: Accepted}
	case 4:
		d.Status = Temporary
	case 5:
		d.Status = Permanent
	}
	return d
}

func enhanced(refusal *smtp.SMTPError) [3]int {
	e := [3]int(refusal.EnhancedCode)
	for _, n := range e {
		if n < 0 || n > 999 {
			return [3]int{}
		}
	}
	return e
}

// What an error of the link comes down to. The errors of the protocol libraries quote
// the line they stumbled over, which may hold an address.
var (
	errTimeout  = errors.New("timed out")
	errDropped  = errors.New("the link dropped")
	errGarbled  = errors.New("the answer cannot be understood")
	errTalkMax  = errors.New("the server talks more than 1 MiB on one connection")
	errTLSFault = errors.New("tls handshake refused")
)

// plain keeps of an error what cannot hold an address or a secret.
func plain(err error) error {
	var op *net.OpError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var host x509.HostnameError
	var timeout net.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTalkMax):
		return errTalkMax
	case errors.Is(err, errTimeout), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errTimeout
	case errors.As(err, &cert), errors.As(err, &host), errors.As(err, &record):
		return fmt.Errorf("%w: %w", errTLSFault, err)
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &op) && op.Op == "dial":
		return op
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, net.ErrClosed), errors.As(err, &op):
		return errDropped
	case errors.Is(err, errRefusedCommit):
		return err
	default:
		return errGarbled
	}
}
