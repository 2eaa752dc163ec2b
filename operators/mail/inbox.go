package mail

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// InboxOptions are the settings of an Inbox. The zero value works.
type InboxOptions struct {
	Mails       int   // the newest ones are kept
	Bytes       int64 // of all mails kept
	MailBytes   int64 // of one mail
	IDs         int   // Message-IDs remembered, for counting duplicates
	AllowRemote bool  // Listen may bind to an address that other machines reach
}

func (o InboxOptions) withDefaults() InboxOptions {
	o.Mails = cmp.Or(o.Mails, 1000)           // a page of a console shows fewer
	o.Bytes = cmp.Or(o.Bytes, 64<<20)         // a thousand mails of 64 KB
	o.MailBytes = cmp.Or(o.MailBytes, 10<<20) // what large providers take is 25 MB, with attachments
	o.IDs = cmp.Or(o.IDs, 1<<20)              // about 50 MB when full; a run of a demo sends fewer
	return o
}

// Received is a mail as the inbox shows it in a list.
type Received struct {
	ID        int64 // grows by one with each mail
	At        time.Time
	From, To  string // of the envelope; To is the first recipient
	Subject   string
	MessageID string
	Size      int
	Copy      int // 1 for the first mail with this Message-ID, 2 for the second, …
}

// Opened is a mail in full.
type Opened struct {
	Received
	Recipients []string
	Text, HTML string
	Raw        []byte
}

// InboxStats are counts since NewInbox.
type InboxStats struct {
	Mails       int64 // received
	Kept        int
	Bytes       int64 // of the kept ones
	Duplicates  int64 // mails whose Message-ID had come before
	Connections int64
	Faults      int64 // things done wrong on purpose
}

// Inbox is an SMTP server that keeps the newest mails it gets. It asks for no login and
// relays nothing: it is the inbox of development and the other end of every test. Safe
// for concurrent use.
type Inbox struct {
	options InboxOptions
	script  script
	server  *smtp.Server
	serving sync.WaitGroup
	done    chan struct{}

	mu        sync.Mutex
	closed    bool
	listeners []net.Listener
	conns     map[*faultyConn]struct{}
	mails     []*letterBox // oldest first
	ids       map[idHash]int
	ring      []idHash // the ids in the order they came
	oldest    int      // in the ring
	watchers  map[int]func(Received)
	watched   int
	stats     InboxStats
}

type idHash [8]byte

// letterBox is one kept mail.
type letterBox struct {
	Received
	recipients []string
	raw        []byte
}

// NewInbox makes an Inbox.
func NewInbox(o InboxOptions) *Inbox {
	i := &Inbox{options: o.withDefaults(), done: make(chan struct{}), conns: make(map[*faultyConn]struct{}),
		ids: make(map[idHash]int), watchers: make(map[int]func(Received))}
	i.server = smtp.NewServer(smtp.BackendFunc(i.newSession))
	i.server.Domain = "inbox.millrace"
	i.server.MaxMessageBytes = i.options.MailBytes
	i.server.MaxRecipients = 100 // RFC 5321, 4.5.3.1.8: at least
	i.server.ErrorLog = log.New(io.Discard, "", 0)
	return i
}

// Listen opens a TCP port of this machine. It refuses an address that other machines
// reach, unless AllowRemote is set.
func (i *Inbox) Listen(ctx context.Context, address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("inbox address %q: %w", address, err)
	}
	if !i.options.AllowRemote && !isLoopback(host) {
		return nil, fmt.Errorf("inbox address %q can be reached from other machines, and the inbox asks for no login: use 127.0.0.1", address)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("inbox: %w", err)
	}
	return l, nil
}

// Serve takes connections of l until Close, which closes l. It blocks.
func (i *Inbox) Serve(l net.Listener) error {
	i.mu.Lock()
	if i.closed {
		i.mu.Unlock()
		return errors.Join(ErrClosed, l.Close())
	}
	i.listeners = append(i.listeners, l)
	i.serving.Add(1)
	i.mu.Unlock()
	defer i.serving.Done()
	if err := i.server.Serve(faultyListener{l, i}); err != nil && !i.isClosed() {
		return fmt.Errorf("inbox: %w", err)
	}
	return nil
}

func (i *Inbox) isClosed() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.closed
}

// Close closes listeners and connections and waits for what served them.
func (i *Inbox) Close() error {
	i.mu.Lock()
	if i.closed {
		i.mu.Unlock()
		return nil
	}
	i.closed = true
	close(i.done)
	var err error
	for _, l := range i.listeners {
		err = errors.Join(err, l.Close())
	}
	conns := make([]*faultyConn, 0, len(i.conns))
	for c := range i.conns {
		conns = append(conns, c)
	}
	i.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
	i.serving.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // every connection is closed: it takes no time
	defer cancel()
	if shut := i.server.Shutdown(ctx); shut != nil && !errors.Is(shut, net.ErrClosed) {
		err = errors.Join(err, shut)
	}
	return err
}

// Script replaces what the inbox does wrong. It holds from the next step of every
// connection on.
func (i *Inbox) Script(faults ...Fault) error { return i.script.set(faults) }

// Watch calls f for every mail from now on, in the order they come, before the sender
// gets its answer: f must be quick and must not call the Inbox. It ends with stop.
func (i *Inbox) Watch(f func(Received)) (stop func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.watched++
	n := i.watched
	i.watchers[n] = f
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.watchers, n)
	}
}

// List gives at most n mails, newest first, that are older than before; a before of 0
// begins with the newest.
func (i *Inbox) List(before int64, n int) []Received {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := make([]Received, 0, max(0, min(n, len(i.mails))))
	for _, m := range slices.Backward(i.mails) {
		if len(list) >= n {
			break
		}
		if before <= 0 || m.ID < before {
			list = append(list, m.Received)
		}
	}
	return list
}

// Open reads one mail. It answers false when it is not kept any more.
func (i *Inbox) Open(id int64) (Opened, bool) {
	i.mu.Lock()
	n, ok := slices.BinarySearchFunc(i.mails, id, func(m *letterBox, id int64) int { return cmp.Compare(m.ID, id) })
	if !ok {
		i.mu.Unlock()
		return Opened{}, false
	}
	m := i.mails[n]
	i.mu.Unlock()
	o := Opened{Received: m.Received, Recipients: slices.Clone(m.recipients), Raw: slices.Clone(m.raw)}
	o.Text, o.HTML = parts(m.raw)
	return o, true
}

// Stats gives the counts.
func (i *Inbox) Stats() InboxStats {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.stats
	s.Kept = len(i.mails)
	return s
}

// keep stores one mail and tells who watches.
func (i *Inbox) keep(from string, to []string, raw []byte) {
	m := &letterBox{recipients: slices.Clone(to), raw: raw}
	m.Received = Received{At: time.Now(), From: from, To: to[0], Size: len(raw)}
	m.Subject, m.MessageID = headers(raw)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stats.Mails++
	m.ID, m.Copy = i.stats.Mails, 1
	if m.MessageID != "" {
		if m.Copy = i.seen(m.MessageID); m.Copy > 1 {
			i.stats.Duplicates++
		}
	}
	i.mails = append(i.mails, m)
	i.stats.Bytes += int64(len(raw))
	for len(i.mails) > 1 && (len(i.mails) > i.options.Mails || i.stats.Bytes > i.options.Bytes) {
		i.stats.Bytes -= int64(len(i.mails[0].raw))
		i.mails[0] = nil
		i.mails = i.mails[1:]
	}
	for _, f := range i.watchers {
		f(m.Received)
	}
}

// seen counts a Message-ID and says how often it came. The caller holds mu.
func (i *Inbox) seen(messageID string) int {
	sum := sha256.Sum256([]byte(messageID))
	h := idHash(sum[:8])
	if n := i.ids[h]; n > 0 {
		i.ids[h] = n + 1
		return n + 1
	}
	if len(i.ring) < i.options.IDs {
		i.ring = append(i.ring, h)
	} else {
		delete(i.ids, i.ring[i.oldest])
		i.ring[i.oldest] = h
		i.oldest = (i.oldest + 1) % len(i.ring)
	}
	i.ids[h] = 1
	return 1
}

// faultyListener wraps the connections of a listener.
type faultyListener struct {
	net.Listener
	inbox *Inbox
}

// Accept takes the next connection, and arms what the script has for its greeting.
func (l faultyListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &faultyConn{Conn: raw, wait: l.inbox.wait}
	c.gone = func() { l.inbox.leave(c) }
	if !l.inbox.enter(c) {
		_ = raw.Close()
		return nil, net.ErrClosed
	}
	if f, ok := l.inbox.pick(StageDial, ""); ok {
		c.greeting = &f
	}
	return c, nil
}

func (i *Inbox) enter(c *faultyConn) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return false
	}
	i.conns[c] = struct{}{}
	i.stats.Connections++
	return true
}

func (i *Inbox) leave(c *faultyConn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.conns, c)
}

// fault finds the fault of a step and waits out its delay.
func (i *Inbox) fault(stage, address string) (Fault, bool) {
	f, ok := i.pick(stage, address)
	if ok {
		i.wait(f.Delay)
	}
	return f, ok
}

// pick finds the fault of a step.
func (i *Inbox) pick(stage, address string) (Fault, bool) {
	f, ok := i.script.at(stage, address)
	if ok {
		i.mu.Lock()
		i.stats.Faults++
		i.mu.Unlock()
	}
	return f, ok
}

// wait lets d pass, but not beyond Close.
func (i *Inbox) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-i.done:
	}
}

// session is the dialogue of one connection.
type session struct {
	inbox *Inbox
	conn  *faultyConn
	from  string
	to    []string
}

func (i *Inbox) newSession(c *smtp.Conn) (smtp.Session, error) {
	conn, ok := c.Conn().(*faultyConn)
	if !ok {
		return nil, errors.New("connection is not one of the inbox")
	}
	s := &session{inbox: i, conn: conn}
	if err := s.step(StageHello, ""); err != nil {
		return nil, err
	}
	return s, nil
}

// step does what the script says for a step.
func (s *session) step(stage, address string) error {
	f, ok := s.inbox.fault(stage, address)
	if !ok {
		return nil
	}
	if f.Drop {
		_ = s.conn.Close()
		return net.ErrClosed
	}
	return f.answer()
}

// Mail takes the sender.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if err := s.step(StageMail, from); err != nil {
		return err
	}
	s.from, s.to = from, nil
	return nil
}

// Rcpt takes a recipient, and arms what the script has for the answer to DATA, which the
// server library gives by itself.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.step(StageRcpt, to); err != nil {
		return err
	}
	s.to = append(s.to, to)
	if f, ok := s.inbox.pick(StageData, to); ok {
		s.conn.data = &f
	}
	return nil
}

// Data takes the mail.
func (s *session) Data(r io.Reader) error {
	if s.conn.refused {
		s.conn.refused = false
		return &smtp.SMTPError{Code: 554, Message: "refused"} // swallowed; the real answer was given
	}
	to := ""
	if len(s.to) > 0 {
		to = s.to[0]
	}
	if f, ok := s.inbox.fault(StageBody, to); ok && f.Drop {
		_, _ = io.CopyN(io.Discard, r, 64) // somewhere in the middle
		_ = s.conn.Close()
		return net.ErrClosed
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	f, faulty := s.inbox.fault(StageDot, to)
	if faulty && f.Code != 0 && !f.Drop {
		return f.answer()
	}
	if !faulty || !f.Drop || f.Keep {
		s.inbox.keep(s.from, s.to, raw)
	}
	if faulty && f.Drop {
		_ = s.conn.Close()
		return net.ErrClosed
	}
	if f, ok := s.inbox.fault(StageDone, to); ok && f.Drop {
		s.conn.last = true
	}
	return nil
}

// Reset forgets the mail under way.
func (s *session) Reset() { s.from, s.to, s.conn.data = "", nil, nil }

// Logout ends the session.
func (s *session) Logout() error { return nil }
