package mail

import (
	"context"
	"net"
	"sync"
)

// Pipe is a net.Listener whose connections are in-memory pipes: no port, no clash, and
// time in a testing/synctest bubble goes on. Safe for concurrent use.
type Pipe struct {
	waiting chan net.Conn
	done    chan struct{}
	once    sync.Once
}

// NewPipe makes a Pipe.
func NewPipe() *Pipe {
	return &Pipe{waiting: make(chan net.Conn), done: make(chan struct{})}
}

// Dial opens a connection. It waits until Accept takes the other end.
func (p *Pipe) Dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.waiting <- server:
		return client, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept takes the next connection.
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.waiting:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial. Open connections stay open.
func (p *Pipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr is a made-up address.
func (p *Pipe) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

// Network names the kind of address.
func (pipeAddr) Network() string { return "pipe" }

// String is the address.
func (pipeAddr) String() string { return "pipe" }
