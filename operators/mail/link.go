package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"time"

	"github.com/emersion/go-smtp"
)

// talkMax bounds what a server may say on one connection. A hundred mails take about
// 50 KB of answers.
const talkMax = 1 << 20

// watched is a connection that knows whether the final dot was handed over. It sits on
// top of TLS, so that what it counts is what the server will read.
type watched struct {
	net.Conn
	greeting []byte // is read before anything from the connection
	heard    int    // bytes read
	armed    bool   // the next write is the final dot
	left     bool   // some of the dot was handed over, or all of it
	after    func() // called once when the dot was handed over whole
}

// Read reads the made-up greeting, if any, then the connection.
func (w *watched) Read(b []byte) (int, error) {
	if len(w.greeting) > 0 {
		n := copy(b, w.greeting)
		w.greeting = w.greeting[n:]
		return n, nil
	}
	if w.heard > talkMax {
		return 0, errTalkMax
	}
	n, err := w.Conn.Read(b)
	w.heard += n
	return n, err
}

// Write hands b over. When armed it notes how far the final dot came: a single byte of
// it already makes the outcome unknowable, since what the server makes of it is its own.
func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	if !w.armed {
		return n, err
	}
	if n > 0 || err == nil {
		w.left = true
	}
	if err == nil && w.after != nil {
		w.after()
		w.after = nil
	}
	return n, err
}

// link is one connection to the server with its dialogue. One goroutine at a time.
type link struct {
	conn   *watched
	client *smtp.Client
	used   int       // mails tried on it
	idle   time.Time // since when it waits
}

// open dials and goes as far as the server being ready for MAIL.
func (s *SMTP) open(ctx context.Context) (*link, error) {
	dialCtx, cancel := context.WithTimeout(ctx, s.options.DialTimeout)
	defer cancel()
	raw, err := s.options.Dial(dialCtx)
	if err != nil {
		return nil, stageError{StageDial, contextFault(ctx, dialCtx, err)}
	}
	s.count.dials.Add(1)
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	l, err := s.introduce(dialCtx, raw)
	if !stop() && err == nil {
		err = stageError{StageHello, ctx.Err()}
	}
	if stage := (stageError{}); errors.As(err, &stage) {
		_ = raw.Close()
		stage.err = contextFault(ctx, dialCtx, stage.err)
		return nil, stage
	}
	return l, nil
}

// contextFault gives an error its cause when that is the end of the caller's context, or
// of the time that opening may take.
func contextFault(ctx, dialCtx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case dialCtx.Err() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)):
		return errTimeout
	default:
		return err
	}
}

// introduce greets, encrypts and authenticates, as the URL asks for.
func (s *SMTP) introduce(ctx context.Context, raw net.Conn) (*link, error) {
	conn := &watched{Conn: raw}
	if s.implicit {
		secure := tls.Client(raw, s.options.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, stageError{StageTLS, err}
		}
		conn.Conn = secure
	} else if s.upgrade != tlsNever {
		if err := s.startTLS(ctx, conn); err != nil {
			return nil, err
		}
	}
	client := smtp.NewClient(conn)
	client.CommandTimeout = s.options.CommandTimeout
	client.SubmissionTimeout = s.options.ReplyTimeout
	if err := client.Hello(s.options.LocalName); err != nil {
		return nil, stageError{StageHello, err}
	}
	if s.auth != nil {
		if err := client.Auth(s.auth); err != nil {
			return nil, stageError{StageAuth, err}
		}
	}
	return &link{conn: conn, client: client}, nil
}

// startTLS does greeting, EHLO and STARTTLS by itself, so that the watched connection
// stands above TLS, and leaves a greeting for the client, which expects one. Where the
// server does not offer STARTTLS it goes on in the clear, unless TLS is required.
func (s *SMTP) startTLS(ctx context.Context, conn *watched) error {
	if err := conn.SetDeadline(time.Now().Add(s.options.CommandTimeout)); err != nil {
		return stageError{StageHello, err}
	}
	text := textproto.NewConn(conn)
	if _, _, err := text.ReadResponse(220); err != nil {
		return stageError{StageHello, answer(err)}
	}
	offered := false
	if err := text.PrintfLine("EHLO %s", s.options.LocalName); err != nil {
		return stageError{StageHello, err}
	}
	_, lines, err := text.ReadResponse(250)
	if refusal := (*textproto.Error)(nil); err != nil && !errors.As(err, &refusal) {
		return stageError{StageHello, err} // a refusal is no fault here: HELO comes next
	}
	for line := range bytes.Lines([]byte(lines)) {
		offered = offered || bytes.EqualFold(bytes.TrimSpace(line), []byte("STARTTLS"))
	}
	conn.greeting = []byte("220 ready\r\n")
	if !offered {
		if s.upgrade == tlsAlways {
			return stageError{StageTLS, errNoTLS}
		}
		return nil
	}
	if err := text.PrintfLine("STARTTLS"); err != nil {
		return stageError{StageTLS, err}
	}
	greeting := conn.greeting
	conn.greeting = nil
	if _, _, err := text.ReadResponse(220); err != nil {
		return stageError{StageTLS, answer(err)}
	}
	if text.R.Buffered() > 0 { // somebody between us and the server spoke in its name
		return stageError{StageTLS, errInjected}
	}
	secure := tls.Client(conn.Conn, s.options.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		return stageError{StageTLS, err}
	}
	conn.Conn, conn.greeting = secure, greeting
	return nil
}

// Reasons why a link is not opened.
var (
	errNoTLS    = errors.New("the server does not offer STARTTLS, and it is required")
	errInjected = errors.New("the server said more than its answer to STARTTLS")
)

// answer turns a refusal read by textproto into the type of the client.
func answer(err error) error {
	if refusal, ok := errors.AsType[*textproto.Error](err); ok {
		return &smtp.SMTPError{Code: refusal.Code}
	}
	return err
}

// stageError says at which stage a link could not be opened.
type stageError struct {
	stage string
	err   error
}

// Error holds no text of the server and no secret.
func (e stageError) Error() string {
	d := e.delivery()
	return d.Reason()
}

// Unwrap gives the cause.
func (e stageError) Unwrap() error { return e.err }

func (e stageError) delivery() Delivery {
	switch {
	case e.stage == StageDial, errors.Is(e.err, errNoTLS), errors.Is(e.err, errInjected),
		errors.Is(e.err, context.Canceled), errors.Is(e.err, context.DeadlineExceeded):
		return Delivery{Status: NotSent, Stage: e.stage, Err: e.err}
	default:
		return ended(e.stage, e.err)
	}
}

// Transaction is one mail on the wire.
type Transaction struct {
	From, To string // envelope
	Body     []byte // ends with CRLF
	// Commit is called when the server has everything but the final dot. The dot leaves
	// only when it answers nil; otherwise the link is cut and nothing was sent.
	Commit func() error
	// Step is called with "before-dot" and "after-dot" around the hand-over of the dot. It
	// may be nil.
	Step func(name string)
}

// errRefusedCommit marks an error of Transaction.Commit.
var errRefusedCommit = errors.New("held back before the final dot")

// deliver runs one transaction. The caller drops the link unless clean is true.
func (l *link) deliver(ctx context.Context, t *Transaction, dataTimeout, replyTimeout time.Duration) (d Delivery, clean bool) {
	stop := context.AfterFunc(ctx, func() { _ = l.conn.Close() })
	defer stop()
	first := l.used > 0
	l.used++
	if err := l.client.Mail(t.From, &smtp.MailOptions{Size: int64(len(t.Body))}); err != nil {
		d = l.refused(ctx, StageMail, err)
		d.stale = first && (d.Code == 0 || d.Code == 421) && ctx.Err() == nil
		return d, l.reset(d)
	}
	if err := l.client.Rcpt(t.To, nil); err != nil {
		d = l.refused(ctx, StageRcpt, err)
		return d, l.reset(d)
	}
	w, err := l.client.Data()
	if err != nil {
		d = l.refused(ctx, StageData, err)
		return d, l.reset(d)
	}
	// The body goes around the client's buffer, so that its Close writes CRLF, dot, CRLF
	// and nothing else, in one write: what is seen of that write is exact.
	if err := l.conn.SetDeadline(time.Now().Add(dataTimeout)); err != nil {
		return l.refused(ctx, StageBody, err), false
	}
	if _, err := l.conn.Write(stuffed(t.Body)); err != nil {
		return l.refused(ctx, StageBody, err), false
	}
	// From here on the context is not heard: whoever stops waiting for the answer makes the
	// outcome unknown.
	if !stop() {
		return Delivery{Status: NotSent, Stage: StageBody, Err: ctx.Err()}, false
	}
	if t.Commit != nil {
		if err := t.Commit(); err != nil {
			return Delivery{Status: NotSent, Stage: StageDot, Err: fmt.Errorf("%w: %w", errRefusedCommit, err)}, false
		}
	}
	return l.dot(t, w, replyTimeout)
}

// dot hands the final dot over and reads the answer.
func (l *link) dot(t *Transaction, w *smtp.DataCommand, replyTimeout time.Duration) (Delivery, bool) {
	step := t.Step
	if step == nil {
		step = func(string) {}
	}
	step("before-dot")
	l.conn.armed, l.conn.left, l.conn.after = true, false, func() { step("after-dot") }
	err := l.conn.SetDeadline(time.Now().Add(replyTimeout)) // of the write; the client sets its own for the answer
	if err == nil {
		_, err = w.CloseWithResponse()
	}
	l.conn.armed, l.conn.after = false, nil
	d := dotted(err, l.conn.left)
	answered := d.Status == Accepted || d.Status == Temporary || d.Status == Permanent
	return d, answered && d.Code != 421
}

// refused makes the Delivery of an error before the dot; when the context ended, that is
// the cause.
func (l *link) refused(ctx context.Context, stage string, err error) Delivery {
	d := ended(stage, err)
	if d.Code == 0 && ctx.Err() != nil {
		d.Err = ctx.Err()
	}
	return d
}

// reset makes the link ready for another mail after a refusal, if that can be.
func (l *link) reset(d Delivery) bool {
	return d.Code != 0 && d.Code != 421 && l.client.Reset() == nil
}

// stuffed is body without its last CRLF, with CRLF line ends and every leading dot
// doubled (RFC 5321, section 4.5.2). It is body itself when nothing had to change.
func stuffed(body []byte) []byte {
	body = bytes.TrimSuffix(bytes.TrimSuffix(body, []byte("\n")), []byte("\r"))
	if !bytes.HasPrefix(body, []byte(".")) && !bytes.Contains(body, []byte("\n.")) && !bareEnds(body) {
		return body
	}
	out := make([]byte, 0, len(body)+64)
	begin := true
	for i, c := range body {
		if begin && c == '.' {
			out = append(out, '.')
		}
		begin = c == '\n'
		switch {
		case c == '\n' && (i == 0 || body[i-1] != '\r'):
			out = append(out, '\r', '\n')
		case c == '\r' && (i+1 == len(body) || body[i+1] != '\n'):
			out = append(out, '\r', '\n')
			begin = true
		default:
			out = append(out, c)
		}
	}
	return out
}

// bareEnds says whether a CR stands without its LF or the reverse. Some servers take a
// bare LF for a line end, and then a dot hidden behind one would end the mail.
func bareEnds(body []byte) bool {
	pairs := bytes.Count(body, []byte("\r\n"))
	return bytes.Count(body, []byte("\n")) != pairs || bytes.Count(body, []byte("\r")) != pairs
}
