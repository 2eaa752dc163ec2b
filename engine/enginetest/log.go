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
	seen    map[string]int64 // ids of published messages, and when they were stored
	changed chan struct{}
}

// dedupMillis is how long the log remembers the id of a message, as the real one.
const dedupMillis = 2 * 60 * 1000

// NewLog makes an empty log.
func NewLog() *Log {
	return &Log{name: "MODEL", created: 1, first: 1, changed: make(chan struct{})}
}

// Append adds a message, stored at the given time in Unix milliseconds, and answers
// its sequence.
func (l *Log) Append(at int64, data []byte) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.append(at, data)
}

func (l *Log) append(at int64, data []byte) uint64 {
	seq := l.first + uint64(len(l.all))
	l.all = append(l.all, engine.Message{Seq: seq, Time: at, Data: data})
	close(l.changed)
	l.changed = make(chan struct{})
	return seq
}

// Publish adds a message unless one with the same id was published within two minutes,
// as the real log does; it answers whether it was stored.
func (l *Log) Publish(at int64, id string, data []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if stored, ok := l.seen[id]; ok && at-stored < dedupMillis {
		return false
	}
	if l.seen == nil {
		l.seen = make(map[string]int64)
	}
	l.seen[id] = at
	l.append(at, data)
	return true
}

// Skip leaves a sequence out, as when a message was erased because a person is forgotten,
// and appends a message behind it.
func (l *Log) Skip(at int64, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, engine.Message{})
	l.append(at, data)
}

// Messages is everything that stands in the log.
func (l *Log) Messages() []engine.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []engine.Message
	for _, m := range l.all {
		if m.Seq != 0 {
			all = append(all, m)
		}
	}
	return all
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
	after := from.Seq
	switch {
	case from.Seq > 0 && from.Created != l.created: // another log: all of it is new
		after = 0
	case from.Seq > last:
		after = last
	}
	l.next = int(max(after+1, l.first) - l.first) //nolint:gosec // a test's log is small
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
	case from.Seq >= l.first && l.all[from.Seq-l.first].Seq != 0 && engine.HashMessage(l.all[from.Seq-l.first].Data) != from.Hash:
		return engine.ErrLogDiffers
	}
	return nil
}

// Next implements engine.Source.
func (l *Log) Next(ctx context.Context, buf []engine.Message) (int, error) {
	for {
		l.mu.Lock()
		n := 0
		for n < len(buf) && l.next < len(l.all) {
			if buf[n] = l.all[l.next]; buf[n].Seq != 0 {
				n++
			}
			l.next++
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
