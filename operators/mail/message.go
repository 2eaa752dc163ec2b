package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"

	"millrace/operators/event"
)

// Limits of one mail.
const (
	idMax      = 128     // a decision id is 64 hex digits; room for a prefix
	nameMax    = 128     // runes; longer names are not names
	subjectMax = 998     // bytes; RFC 5322 section 2.1.1, before encoding
	urlMax     = 900     // a header line holds 998 octets, its name included
	headersMax = 16      // extra headers of a mail
	valueMax   = 998     // bytes of an extra header's value, before encoding
	mailMax    = 1 << 20 // bytes; Gmail clips HTML near 102 KB, so a real mail is far below
)

// ErrTooLarge is the answer to a mail above 1 MiB.
var ErrTooLarge = errors.New("mail is larger than 1 MiB")

// Field is one extra header.
type Field struct {
	Name  string
	Value string
}

// Message is everything that goes into the bytes of one mail.
type Message struct {
	Decision    string      // id: 1 to 128 of [0-9A-Za-z_-]; gives Message-ID and boundary
	Draft       event.Draft // subject, text and HTML; the text part is required
	From        Address
	To          Address
	ReplyTo     string    // "" for none
	Date        time.Time // the decision's time, never the clock
	Domain      string    // of the Message-ID; "" takes the domain of From
	Unsubscribe string    // URL of the one-click endpoint; "" for transactional mail
	Stream      string    // pipeline, first field of Feedback-ID; "" leaves the header out
	Kind        string    // content kind, second field of Feedback-ID
	Headers     []Field   // extra headers, at most 16; those that this package sets are refused
}

// Render builds the mail by RFC 5322: multipart/alternative in quoted-printable, with
// CRLF line ends and a final CRLF. Equal messages give equal bytes.
//
// It answers an *AddressError for an address that cannot be used, and ErrTooLarge.
func (m *Message) Render() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("mail of decision %s: %w", clip(m.Decision), err)
	}
	msg := gomail.NewMsg(gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingB64),
		gomail.WithNoDefaultUserAgent(), gomail.WithBoundary(boundary(m.Decision)))
	m.setHeaders(msg)
	part := gomail.WithPartEncoding(gomail.EncodingQP)
	msg.SetBodyString(gomail.TypeTextPlain, clean(m.Draft.Text), part)
	if m.Draft.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, clean(m.Draft.HTML), part)
	}
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("mail of decision %s: %w", m.Decision, err)
	}
	if !bytes.HasSuffix(b.Bytes(), []byte("\r\n")) {
		b.WriteString("\r\n")
	}
	if b.Len() > mailMax {
		return nil, fmt.Errorf("mail of decision %s has %d bytes: %w", m.Decision, b.Len(), ErrTooLarge)
	}
	return b.Bytes(), nil
}

// MessageID is the Message-ID of a decision, without the angle brackets.
func MessageID(decision, domain string) string { return decision + "@" + domain }

// setHeaders sets what stands above the parts. Headers are encoded in base64 words
// (RFC 2047), which for Chinese take half of what quoted words take.
func (m *Message) setHeaders(msg *gomail.Msg) {
	msg.FromMailAddress(m.From.parsed())
	msg.ToMailAddress(m.To.parsed())
	if m.ReplyTo != "" {
		msg.ReplyToMailAddress(Address{Addr: m.ReplyTo}.parsed())
	}
	msg.Subject(subjectWords(oneLine(m.Draft.Subject)))
	msg.SetDateWithValue(m.Date.UTC())
	msg.SetMessageIDWithValue(MessageID(m.Decision, m.domain()))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's vacation reply wants this mail
	if m.Unsubscribe != "" {                             // RFC 8058
		msg.SetGenHeader("List-Unsubscribe", "<"+m.Unsubscribe+">")
		msg.SetGenHeader("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	}
	if m.Stream != "" {
		msg.SetGenHeader("Feedback-ID", feedbackID(m.Stream, m.Kind, m.domain()))
	}
	for _, h := range m.Headers {
		msg.SetGenHeader(gomail.Header(h.Name), oneLine(h.Value))
	}
}

func (m *Message) domain() string {
	if m.Domain != "" {
		return m.Domain
	}
	return domainOf(m.From.Addr)
}

func (m *Message) check() error {
	if err := CheckDecision(m.Decision); err != nil {
		return err
	}
	if err := CheckAddress("from", m.From.Addr); err != nil {
		return err
	}
	if err := CheckAddress("to", m.To.Addr); err != nil {
		return err
	}
	if m.ReplyTo != "" {
		if err := CheckAddress("reply-to", m.ReplyTo); err != nil {
			return err
		}
	}
	if reason := domainFault(m.domain()); reason != "" {
		return &AddressError{Field: "message-id", Reason: reason}
	}
	switch {
	case m.Date.IsZero() || m.Date.Year() < 1970 || m.Date.Year() > 9999:
		return errors.New("date is missing or not between the years 1970 and 9999")
	case strings.TrimSpace(m.Draft.Subject) == "":
		return errors.New("draft has no subject")
	case len(m.Draft.Subject) > subjectMax:
		return fmt.Errorf("subject has %d bytes, at most %d are allowed", len(m.Draft.Subject), subjectMax)
	case strings.TrimSpace(m.Draft.Text) == "":
		return errors.New("draft has no text part")
	case len(m.Draft.Text)+len(m.Draft.HTML) > mailMax:
		return ErrTooLarge
	}
	if err := checkURL(m.Unsubscribe); err != nil {
		return fmt.Errorf("unsubscribe link: %w", err)
	}
	return checkFields(m.Headers)
}

// CheckDecision says whether id can name a decision: it becomes part of a Message-ID
// and of a file name.
func CheckDecision(id string) error {
	if id == "" || len(id) > idMax {
		return fmt.Errorf("decision id has %d bytes, 1 to %d are allowed", len(id), idMax)
	}
	for i := 0; i < len(id); i++ {
		if !isAlnum(id[i]) && id[i] != '-' && id[i] != '_' {
			return fmt.Errorf("decision id holds byte 0x%02x, only letters, digits, - and _ are allowed", id[i])
		}
	}
	return nil
}

// reserved are the headers that Message sets itself or that would change how the mail
// is delivered or read.
func reserved(name string) bool {
	return slices.Contains([]string{"from", "to", "cc", "bcc", "sender", "reply-to", "subject", "date", "message-id",
		"mime-version", "content-type", "content-transfer-encoding", "content-disposition", "auto-submitted",
		"list-unsubscribe", "list-unsubscribe-post", "feedback-id", "precedence", "return-path", "received",
		"dkim-signature", "x-mailer", "user-agent"}, strings.ToLower(name))
}

func checkFields(fields []Field) error {
	if len(fields) > headersMax {
		return fmt.Errorf("%d extra headers, at most %d are allowed", len(fields), headersMax)
	}
	for i, f := range fields {
		if f.Name == "" || len(f.Name) > 64 || strings.Trim(strings.Map(alnumOrDash, f.Name), "-") == "" || strings.Map(alnumOrDash, f.Name) != f.Name {
			return fmt.Errorf("extra header %d has a name that is not made of letters, digits and -", i)
		}
		if reserved(f.Name) {
			return fmt.Errorf("extra header %s is set by the mailer", f.Name)
		}
		if len(f.Value) > valueMax {
			return fmt.Errorf("extra header %s has %d bytes, at most %d are allowed", f.Name, len(f.Value), valueMax)
		}
	}
	return nil
}

func alnumOrDash(r rune) rune {
	if r == '-' || r < 0x80 && isAlnum(byte(r)) {
		return r
	}
	return -1
}

// checkURL allows "" and an absolute http or https URL that can stand between angle
// brackets as it is. RFC 8058 asks for https; http is for development.
func checkURL(text string) error {
	if text == "" {
		return nil
	}
	if len(text) > urlMax {
		return fmt.Errorf("url has %d bytes, at most %d are allowed", len(text), urlMax)
	}
	for i := 0; i < len(text); i++ {
		if text[i] <= ' ' || text[i] >= 0x7f || text[i] == '<' || text[i] == '>' {
			return fmt.Errorf("url holds byte 0x%02x, which has to be escaped", text[i])
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return errors.New("url is not an absolute http or https url")
	}
	return nil
}

// boundary is unknown to whoever writes the texts of a mail, since the decision id is
// an HMAC; so no text can close a part.
func boundary(decision string) string {
	sum := sha256.Sum256([]byte("millrace boundary " + decision))
	return "mr_" + hex.EncodeToString(sum[:16])
}

// feedbackID is a Feedback-ID of four fields: pipeline, kind, class, sender.
func feedbackID(stream, kind, domain string) string {
	field := func(s string) string {
		s = strings.Map(func(r rune) rune {
			if r < 0x80 && (isAlnum(byte(r)) || r == '-' || r == '_' || r == '.') {
				return r
			}
			return '_'
		}, s)
		return s[:min(len(s), 64)]
	}
	return field(stream) + ":" + field(kind) + ":millrace:" + field(domain)
}

func (a Address) parsed() *netmail.Address {
	name := oneLine(a.Name)
	if utf8.RuneCountInString(name) > nameMax {
		name = string([]rune(name)[:nameMax])
	}
	return &netmail.Address{Name: name, Address: a.Addr}
}

// oneLine makes s fit for a header: valid UTF-8, every run of white space and control
// characters one space. Header injection ends here; the encoder is a second lock. What
// looks like an encoded word is pulled apart, since readers would decode it and show a
// text that nobody has checked.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	return strings.ReplaceAll(s, "=?", "= ?")
}

// firstWordMax is the longest word that the writer of headers leaves on the line of
// "Subject: ". A longer one stands on a line of its own below, and then some readers and
// filters see a mail without a subject.
const firstWordMax = 63

// subjectWords writes a subject of one line as words that fold: as it is, or, when it is
// not ASCII or begins with a word that is too long, as encoded words of RFC 2047 of
// which each holds whole characters and the first fits on the first line.
func subjectWords(s string) string {
	first, _, _ := strings.Cut(s, " ")
	if len(first) <= firstWordMax && !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		return s
	}
	const open, end = "=?UTF-8?b?", "?="
	room := (firstWordMax - len(open) - len(end)) / 4 * 3 // bytes; base64 makes 4 characters of 3
	var words []string
	for from := 0; from < len(s); {
		to := min(from+room, len(s))
		for to < len(s) && !utf8.RuneStart(s[to]) {
			to--
		}
		words = append(words, open+base64.StdEncoding.EncodeToString([]byte(s[from:to]))+end)
		from = to
	}
	return strings.Join(words, " ")
}

// clean makes s fit for a body: valid UTF-8, without NUL, with LF line ends, which the
// encoder writes as CRLF, and a final line end.
func clean(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	if !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	return s
}

// clip bounds an id that was not checked yet, for an error text.
func clip(id string) string {
	if CheckDecision(id) != nil {
		return "(unreadable)"
	}
	return id
}
