package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// window holds what PublishAsync has sent and JetStream has not yet acknowledged,
// oldest first.
type window struct {
	mu     sync.Mutex
	queue  []pending
	head   int
	bytes  int
	failed int
	first  error
}

type pending struct {
	ack   jetstream.PubAckFuture
	bytes int
}

// PublishAsync appends one message without waiting for JetStream, for bulk import.
// It keeps data until the message is acknowledged, and blocks while the window of
// Options is full. An error it returns means that this message was not sent; those
// of messages on their way are returned by Flush, which alone says that all are
// stored.
func (l *Log) PublishAsync(ctx context.Context, subject, msgID string, data []byte) error {
	w := &l.window
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.len() > 0 && (w.len() >= l.opts.WindowMessages || w.bytes+len(data) > l.opts.WindowBytes) {
		if err := l.settle(ctx); err != nil {
			return err
		}
	}
	// The window above already bounds what is in flight; the client's own limit is
	// the same, and its short default patience is a trap under a stalling disk.
	opts := []jetstream.PublishOpt{jetstream.WithStallWait(time.Minute)}
	if msgID != "" {
		opts = append(opts, jetstream.WithMsgID(msgID))
	}
	ack, err := l.bulk.PublishMsgAsync(&nats.Msg{Subject: subject, Data: data}, opts...)
	if err != nil {
		return logError("publish to "+l.opts.Stream, err)
	}
	l.fill.add(len(data))
	w.queue = append(w.queue, pending{ack, len(data)})
	w.bytes += len(data)
	return nil
}

// Flush waits until every message of PublishAsync is acknowledged or refused, and
// returns the first error and how many there were since the last Flush.
func (l *Log) Flush(ctx context.Context) error {
	w := &l.window
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.len() > 0 {
		if err := l.settle(ctx); err != nil {
			return err
		}
	}
	failed, first := w.failed, w.first
	w.failed, w.first = 0, nil
	if failed > 0 {
		return fmt.Errorf("%d messages were not stored, the first: %w", failed, first)
	}
	return nil
}

func (w *window) len() int { return len(w.queue) - w.head }

// settle waits for the oldest message on its way. It holds the window.
func (l *Log) settle(ctx context.Context) error {
	w := &l.window
	p := w.queue[w.head]
	var failed error
	select {
	case ack := <-p.ack.Ok():
		failed = l.took(ack, l.opts.Stream)
	case err := <-p.ack.Err():
		failed = logError("publish to "+l.opts.Stream, err)
	case <-ctx.Done():
		return fmt.Errorf("wait for the log: %w", errors.Join(ctx.Err(), w.first))
	}
	if failed != nil {
		w.failed++
		w.first = cmp.Or(w.first, failed)
	}
	w.queue[w.head] = pending{}
	w.head++
	w.bytes -= p.bytes
	if w.head == len(w.queue) {
		w.queue, w.head = w.queue[:0], 0
	} else if w.head >= 1024 && w.head*2 >= len(w.queue) {
		w.queue = w.queue[:copy(w.queue, w.queue[w.head:])]
		w.head = 0
	}
	return nil
}
