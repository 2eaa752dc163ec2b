package mail

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Fault is one thing that an Inbox does wrong, on purpose. The first fault of the script
// that fits a step and an address is done.
type Fault struct {
	// Stage is where: StageDial (before the greeting), StageHello, StageMail, StageRcpt,
	// StageData (instead of the 354), StageBody (in the middle of the mail), StageDot (all
	// was read, no answer given yet) or StageDone (right after the answer).
	Stage string
	// Address chooses by the sender at StageMail, by the recipient from StageRcpt on. It is
	// not asked before.
	Address  Pattern
	Code     int    // the answer; 0 for the usual one
	Enhanced [3]int // zeros give x.0.0
	Delay    time.Duration
	Drop     bool // close the connection instead of answering
	Keep     bool // with Drop at StageDot: the mail is kept all the same
	Times    int  // how often it is done; 0 for always
}

// StageDone is, for a Fault, the moment after the answer to the final dot.
const StageDone = "done"

// check says what is wrong with a fault.
func (f *Fault) check() error {
	switch f.Stage {
	case StageDial, StageBody, StageDone:
		if f.Code != 0 {
			return fmt.Errorf("fault at %s cannot answer with a code", f.Stage)
		}
	case StageHello, StageMail, StageRcpt, StageData, StageDot:
		if f.Code != 0 && (f.Code < 400 || f.Code > 599) {
			return fmt.Errorf("fault at %s has code %d, allowed are 400 to 599", f.Stage, f.Code)
		}
	default:
		return fmt.Errorf("fault has the unknown stage %q", f.Stage)
	}
	return nil
}

// script is the list of faults with how often each may still be done.
type script struct {
	mu     sync.Mutex
	faults []Fault
	done   []int
}

// set replaces the script.
func (s *script) set(faults []Fault) error {
	for i := range faults {
		if err := faults[i].check(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.done = append([]Fault(nil), faults...), make([]int, len(faults))
	return nil
}

// at gives the fault to be done now, if any.
func (s *script) at(stage, address string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Stage == stage && (address == "" || f.Address.Matches(address)) && (f.Times == 0 || s.done[i] < f.Times) {
			s.done[i]++
			return f, true
		}
	}
	return Fault{}, false
}

// answer is the reply of a fault as go-smtp writes it, or nil.
func (f *Fault) answer() error {
	if f.Code == 0 {
		return nil
	}
	e := &smtp.SMTPError{Code: f.Code, EnhancedCode: smtp.EnhancedCode(f.Enhanced), Message: "as the script says"}
	if e.EnhancedCode == smtp.EnhancedCodeNotSet {
		e.EnhancedCode = smtp.EnhancedCode{f.Code / 100, 0, 0}
	}
	return e
}

// faultyConn is the server's end of a connection, where those faults are done that the
// server library has no hook for. One goroutine at a time, but for Close.
type faultyConn struct {
	net.Conn
	gone     func() // called once when it closes
	wait     func(time.Duration)
	once     sync.Once
	greeting *Fault // before the first answer
	data     *Fault // instead of the next 354
	last     bool   // close after the next answer
	refused  bool   // DATA was answered with an error; the server does not know it
	fed      []byte // read before anything from the connection
	mute     bool   // swallow the next answer
}

// Write sends an answer of the server, or what the script has in its place.
func (c *faultyConn) Write(b []byte) (int, error) {
	if f := c.greeting; f != nil {
		c.greeting = nil
		c.wait(f.Delay)
		if f.Drop {
			_ = c.Close()
			return 0, net.ErrClosed
		}
	}
	if c.data != nil && bytes.HasPrefix(b, []byte("354")) {
		return len(b), c.insteadOf354(b)
	}
	if c.mute {
		c.mute = false
		return len(b), nil
	}
	n, err := c.Conn.Write(b)
	if c.last && err == nil {
		c.last = false
		_ = c.Close()
	}
	return n, err
}

// insteadOf354 refuses DATA. The server library believes that the mail comes now; it is
// given an empty one, and its answer to that is swallowed.
func (c *faultyConn) insteadOf354(usual []byte) error {
	f := c.data
	c.data = nil
	c.wait(f.Delay)
	if f.Drop {
		_ = c.Close()
		return net.ErrClosed
	}
	if f.Code == 0 {
		_, err := c.Conn.Write(usual)
		return err
	}
	c.refused, c.mute, c.fed = true, true, []byte(".\r\n")
	e := f.Enhanced
	if e == [3]int{} {
		e[0] = f.Code / 100
	}
	_, err := fmt.Fprintf(c.Conn, "%d %d.%d.%d as the script says\r\n", f.Code, e[0], e[1], e[2])
	return err
}

// Read reads what was fed, then the connection.
func (c *faultyConn) Read(b []byte) (int, error) {
	if len(c.fed) > 0 {
		n := copy(b, c.fed)
		c.fed = c.fed[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// Close closes the connection.
func (c *faultyConn) Close() error {
	c.once.Do(c.gone)
	return c.Conn.Close()
}
