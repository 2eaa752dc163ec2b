package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// SMTPOptions are the settings of an SMTP sender. The zero value works.
type SMTPOptions struct {
	// Dial opens the connection in place of the TCP dial to the host of the URL. TLS is
	// still done as the URL says.
	Dial func(ctx context.Context) (net.Conn, error)
	// TLS are further settings of TLS. ServerName defaults to the host of the URL.
	TLS           *tls.Config
	LocalName     string        // name given at EHLO
	Connections   int           // open at the same time
	PerConnection int           // mails on one connection before it is closed
	IdleMax       time.Duration // an idle connection older than this is closed, not used

	DialTimeout    time.Duration // dial, TLS, until the server is ready
	CommandTimeout time.Duration // each answer to a command
	DataTimeout    time.Duration // writing the whole body
	ReplyTimeout   time.Duration // the answer to the final dot
}

func (o SMTPOptions) withDefaults() SMTPOptions {
	o.LocalName = cmp.Or(o.LocalName, "localhost")
	o.Connections = cmp.Or(o.Connections, 4)                   // what small relays allow one client
	o.PerConnection = cmp.Or(o.PerConnection, 100)             // Postfix closes after 100 by default in one transport
	o.IdleMax = cmp.Or(o.IdleMax, 30*time.Second)              // servers close idle connections after a minute or more
	o.DialTimeout = cmp.Or(o.DialTimeout, 30*time.Second)      // as http.DefaultTransport
	o.CommandTimeout = cmp.Or(o.CommandTimeout, 2*time.Minute) // RFC 5321, 4.5.3.2 says 5; nothing is at stake before the dot
	o.DataTimeout = cmp.Or(o.DataTimeout, 3*time.Minute)       // RFC 5321, 4.5.3.2.5, for a block; our mails are one block
	o.ReplyTimeout = cmp.Or(o.ReplyTimeout, 10*time.Minute)    // RFC 5321, 4.5.3.2.6: whoever waits less repeats mails
	return o
}

// When TLS is begun on a connection that starts in the clear.
type upgrade uint8

const (
	tlsOffered upgrade = iota // when the server offers it
	tlsAlways                 // or nothing is sent
	tlsNever
)

// SMTP hands mails to one server, over a few connections that are used again. It is
// safe for concurrent use; each Deliver takes one connection.
type SMTP struct {
	options  SMTPOptions
	implicit bool // smtps
	upgrade  upgrade
	auth     *plainAuth
	slots    chan struct{} // one token a connection that may be open

	mu     sync.Mutex
	idle   []*link // newest last
	closed bool

	count struct{ dials, reused, redials atomic.Int64 }
}

// ErrClosed is the answer of what was closed.
var ErrClosed = errors.New("closed")

// OpenSMTP reads a URL and makes a sender. Nothing is dialled yet. URLs are
//
//	smtp://[user:password@]host[:port][?tls=require|never]
//	smtps://[user:password@]host[:port]
//
// The port defaults to 25, with a user to 587, for smtps to 465. With smtp, STARTTLS is
// used when it is offered; a user makes it required, unless the host is this machine.
// No error of this package holds the password.
func OpenSMTP(rawURL string, o SMTPOptions) (*SMTP, error) {
	u, err := url.Parse(rawURL)
	if err != nil { // url.Error quotes the URL, password and all
		return nil, errors.New("smtp url cannot be parsed")
	}
	host := u.Hostname()
	if host == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return nil, errors.New("smtp url is not of the form smtp://[user:password@]host[:port] or smtps://…")
	}
	s := &SMTP{options: o.withDefaults(), implicit: u.Scheme == "smtps"}
	if s.options.Connections < 0 || s.options.PerConnection < 0 {
		return nil, errors.New("smtp connections and mails per connection must not be negative")
	}
	if strings.ContainsAny(s.options.LocalName, "\r\n ") {
		return nil, errors.New("smtp local name holds a space or a line end")
	}
	if s.upgrade, err = upgradeOf(u, isLoopback(host)); err != nil {
		return nil, err
	}
	port := "25"
	if u.User != nil {
		password, _ := u.User.Password()
		s.auth, port = &plainAuth{user: u.User.Username(), password: password}, "587"
	}
	if s.implicit {
		port = "465"
	}
	address := net.JoinHostPort(host, cmp.Or(u.Port(), port))
	if s.options.Dial == nil {
		s.options.Dial = func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}
	}
	s.options.TLS = s.options.TLS.Clone()
	if s.options.TLS == nil {
		s.options.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	s.options.TLS.ServerName = cmp.Or(s.options.TLS.ServerName, host)
	s.slots = make(chan struct{}, s.options.Connections)
	return s, nil
}

func upgradeOf(u *url.URL, local bool) (upgrade, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return 0, errors.New("smtp url has a query that cannot be parsed")
	}
	for key := range query {
		if key != "tls" {
			return 0, fmt.Errorf("smtp url has the unknown setting %q, only tls is known", key)
		}
	}
	switch mode := query.Get("tls"); {
	case mode == "require":
		return tlsAlways, nil
	case mode == "never" && (u.User == nil || local || u.Scheme == "smtps"):
		return tlsNever, nil
	case mode == "never":
		return 0, errors.New("smtp url with a password and tls=never would send the password in the clear")
	case mode != "":
		return 0, fmt.Errorf("smtp url has tls=%q, allowed are require and never", mode)
	case u.User != nil && !local:
		return tlsAlways, nil
	default:
		return tlsOffered, nil
	}
}

// isLoopback says whether host is this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// Deliver hands one mail over and says what came of it. It blocks until a connection is
// free. A context that ends stops it before the final dot, never after.
//
// A connection that the server closed while it was idle is replaced at once and
// unnoticed; any other failure is the caller's to retry.
func (s *SMTP) Deliver(ctx context.Context, t Transaction) Delivery {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return Delivery{Status: NotSent, Stage: StageDial, Err: ctx.Err()}
	}
	defer func() { <-s.slots }()
	for fresh := false; ; fresh = true {
		l, err := s.take(ctx, fresh)
		if err != nil {
			if stage, ok := errors.AsType[stageError](err); ok {
				return stage.delivery()
			}
			return Delivery{Status: NotSent, Stage: StageDial, Err: err}
		}
		d, clean := l.deliver(ctx, &t, s.options.DataTimeout, s.options.ReplyTimeout)
		s.giveBack(l, clean)
		if d.stale && !fresh {
			s.count.redials.Add(1)
			continue
		}
		return d
	}
}

// take gives an idle link, or a new one.
func (s *SMTP) take(ctx context.Context, fresh bool) (*link, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	var l *link
	if n := len(s.idle); n > 0 && !fresh {
		l, s.idle = s.idle[n-1], s.idle[:n-1]
	}
	var old []*link
	for len(s.idle) > 0 && time.Since(s.idle[0].idle) > s.options.IdleMax {
		old, s.idle = append(old, s.idle[0]), s.idle[1:]
	}
	s.mu.Unlock()
	for _, o := range old {
		o.close()
	}
	if l != nil && time.Since(l.idle) > s.options.IdleMax {
		l.close()
		l = nil
	}
	if l != nil {
		s.count.reused.Add(1)
		return l, nil
	}
	return s.open(ctx)
}

// giveBack keeps a link that is ready for another mail and closes any other.
func (s *SMTP) giveBack(l *link, clean bool) {
	if !clean {
		_ = l.client.Close()
		return
	}
	s.mu.Lock()
	keep := l.used < s.options.PerConnection && !s.closed
	if keep {
		l.idle = time.Now()
		s.idle = append(s.idle, l)
	}
	s.mu.Unlock()
	if !keep {
		l.close()
	}
}

// close says goodbye, without waiting long for the answer.
func (l *link) close() {
	l.client.CommandTimeout = time.Second // the server loses nothing when it is not heard
	if l.client.Quit() != nil {
		_ = l.client.Close()
	}
}

// Close closes the idle connections. Deliveries under way come to their end first, and
// close their own.
func (s *SMTP) Close() error {
	s.mu.Lock()
	idle := s.idle
	s.idle, s.closed = nil, true
	s.mu.Unlock()
	for _, l := range idle {
		l.close()
	}
	return nil
}

// SMTPStats are counts since OpenSMTP.
type SMTPStats struct {
	Dials   int64 // connections opened
	Reused  int64 // mails that went over a connection used before
	Redials int64 // connections found dead and replaced at once
	Idle    int   // connections waiting
}

// Stats gives the counts.
func (s *SMTP) Stats() SMTPStats {
	s.mu.Lock()
	idle := len(s.idle)
	s.mu.Unlock()
	return SMTPStats{Dials: s.count.dials.Load(), Reused: s.count.reused.Load(), Redials: s.count.redials.Load(), Idle: idle}
}

// plainAuth is the client side of SASL PLAIN (RFC 4616).
type plainAuth struct{ user, password string }

// Start gives the one message of PLAIN.
func (a *plainAuth) Start() (mechanism string, initial []byte, err error) {
	return "PLAIN", []byte("\x00" + a.user + "\x00" + a.password), nil
}

// Next refuses any challenge: PLAIN has none.
func (a *plainAuth) Next([]byte) ([]byte, error) {
	return nil, errors.New("the server asks for more than PLAIN has")
}

// String hides the password from every kind of print.
func (a *plainAuth) String() string { return "plain auth" }
