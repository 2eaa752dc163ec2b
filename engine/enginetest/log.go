// Package enginetest runs a graph in a test: a model of the log in memory, behind
// the same interface as the real one, that can be cut, rewound and torn.
package enginetest

import (
	"context"
	"fmt"
	"sync"

	"millrace/engine"
)

// Log is a model of the log. Safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	name    string
	created int64
	first   uint64
	all     []engine.Message
	next    int
	changed chan struct{}
}

// NewLog makes an empty log.
func NewLog() *Log {
	return &Log{name: "MODEL", created: 1, first: 1, changed: make(chan struct{})}
}

// Append adds a message, stored at the given time in Unix milliseconds, and answers
// its sequence.
func (l *Log) Append(at int64, data []byte) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := l.first + uint64(len(l.all))
	l.all = append(l.all, engine.Message{Seq: seq, Time: at, Data: data})
	close(l.changed)
	l.changed = make(chan struct{})
	return seq
}

// Last is the sequence of the newest message. It is what engine.Options.LogEnd wants.
func (l *Log) Last(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first + uint64(len(l.all)) - 1, nil
}

// Trim removes every message before seq.
func (l *Log) Trim(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = l.all[seq-l.first:]
	l.first = seq
}

// Rewind removes every message after seq.
func (l *Log) Rewind(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = l.all[:seq-l.first+1]
}

// Recreate makes the log another one with the same messages.
func (l *Log) Recreate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.created++
}

// Open implements engine.Source.
func (l *Log) Open(_ context.Context, from engine.Position, acceptGap bool) (engine.LogInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.first + uint64(len(l.all)) - 1
	info := engine.LogInfo{Stream: l.name, Created: l.created, First: l.first, Last: last}
	err := l.check(from, last)
	if err != nil && !acceptGap {
		return info, fmt.Errorf("model log %d to %d: %w", l.first, last, err)
	}
	l.next = int(max(from.Seq+1, l.first) - l.first) //nolint:gosec // a test's log is small
	return info, nil
}

func (l *Log) check(from engine.Position, last uint64) error {
	switch {
	case from.Seq == 0:
		return nil
	case from.Created != l.created:
		return engine.ErrLogRecreated
	case from.Seq > last:
		return engine.ErrLogRewound
	case from.Seq+1 < l.first:
		return engine.ErrLogTrimmed
	case from.Seq >= l.first && engine.HashMessage(l.all[from.Seq-l.first].Data) != from.Hash:
		return engine.ErrLogDiffers
	}
	return nil
}

// Next implements engine.Source.
func (l *Log) Next(ctx context.Context, buf []engine.Message) (int, error) {
	for {
		l.mu.Lock()
		n := 0
		if l.next < len(l.all) {
			n = copy(buf, l.all[l.next:])
			l.next += n
		}
		changed := l.changed
		l.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-changed:
		}
	}
}

// Close implements engine.Source.
func (l *Log) Close() error { return nil }
