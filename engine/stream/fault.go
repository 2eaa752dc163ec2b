package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// ErrLogBroken says that the embedded server could not write a file of the log. It takes
// no message any more, not even when there is room again: the program must be started anew.
var ErrLogBroken = errors.New("the log cannot be written")

// fault is what became of the embedded server's files.
type fault struct {
	mu     sync.Mutex
	err    error
	broken chan struct{}
}

func newFault() *fault { return &fault{broken: make(chan struct{})} }

// heard takes a line that the server logs as an error. That a stream takes nothing any
// more is told there alone: publishers get no answer, and questions are still answered.
func (f *fault) heard(l *slog.Logger, line string) {
	_, why, is := strings.Cut(line, "ritical write error: ")
	f.mu.Lock()
	defer f.mu.Unlock()
	if is && f.err == nil {
		f.err = fmt.Errorf("%w: %s", ErrLogBroken, why)
		close(f.broken)
	}
	l.Error(line)
}

// Broken is closed when the server could not write a file of the log.
func (s *Server) Broken() <-chan struct{} { return s.fault.broken }

// Err is why the server takes no messages any more, wrapping ErrLogBroken, or nil.
func (s *Server) Err() error {
	s.fault.mu.Lock()
	defer s.fault.mu.Unlock()
	return s.fault.err
}
