package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators/event"
)

// letterTypes finds out what the paths of requests said of the events in the log: the
// bytes of a dead letter are the client's own and need not say it again. It remembers
// the newest message, since one may hold thousands of bad events. Safe for concurrent
// use.
type letterTypes struct {
	get func(ctx context.Context, seq uint64) (engine.Message, error)

	mu    sync.Mutex // guards what follows
	seq   uint64
	types []string
}

// of answers the type of one event, or "" when its path said none or the log does not
// hold its message any more.
func (l *letterTypes) of(ctx context.Context, seq uint64, index uint32) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq != l.seq || seq == 0 {
		m, err := l.get(ctx, seq)
		if err != nil && !errors.Is(err, stream.ErrNotFound) {
			return "", err
		}
		l.seq, l.types = seq, itemTypes(m.Data)
	}
	if int64(index) >= int64(len(l.types)) {
		return "", nil
	}
	return l.types[index], nil
}

// bytes are those of one event that stands in the log, or none when it does not hold its
// message any more.
func (l *letterTypes) bytes(ctx context.Context, seq uint64, index uint32) ([]byte, error) {
	m, err := l.get(ctx, seq)
	if errors.Is(err, stream.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var e struct {
		Version int `json:"mr"`
		Items   []struct {
			Raw json.RawMessage `json:"e"`
		} `json:"items"`
	}
	if json.Unmarshal(m.Data, &e) != nil || e.Version != event.Version {
		return m.Data, nil // a plain message; of a plain batch all: repeats are known by their messageId
	}
	if int64(index) >= int64(len(e.Items)) {
		return nil, nil
	}
	return e.Items[index].Raw, nil
}

// itemTypes lists the types in an envelope; of any other message there are none.
func itemTypes(data []byte) []string {
	var e struct {
		Version int `json:"mr"`
		Items   []struct {
			Type string `json:"t"`
		} `json:"items"`
	}
	if json.Unmarshal(data, &e) != nil || e.Version != event.Version {
		return nil
	}
	out := make([]string, len(e.Items))
	for i := range e.Items {
		out[i] = e.Items[i].Type
	}
	return out
}
