package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// outPrefix stands before the subjects of what the engine publishes for others.
const outPrefix = "out."

// OutOptions say how what is published for others is kept. The zero value works.
type OutOptions struct {
	Stream   string
	MaxBytes int64
	MaxAge   time.Duration
}

// OpenOut creates the stream of what is published for others, or brings its limits up to
// date. Call it once, before PublishOut.
func (l *Log) OpenOut(ctx context.Context, o OutOptions) error {
	o.Stream = cmp.Or(o.Stream, "EFFECTS")
	o.MaxBytes = cmp.Or(o.MaxBytes, 256<<20)    // as the dead letters
	o.MaxAge = cmp.Or(o.MaxAge, 7*24*time.Hour) // as long as a receipt is waited for: until then a repeat is known
	_, err := l.keep(ctx, jetstream.StreamConfig{
		Name: o.Stream, Subjects: []string{outPrefix + ">"}, MaxBytes: o.MaxBytes, MaxAge: o.MaxAge,
		Discard: jetstream.DiscardOld, Duplicates: capAge(dedupWindow, o.MaxAge),
	})
	l.out = o.Stream
	return err
}

// errCodeWrongSequence is JetStream's answer to a subject that has a message already.
const errCodeWrongSequence = 10071

// PublishOut publishes data on out.SUBJECT.KEY, once for each key: a repeat within two
// minutes is known by its message id, a later one by its subject, which holds the first,
// for as long as the stream keeps that. It returns without error only when JetStream has
// stored the message, now or before.
func (l *Log) PublishOut(ctx context.Context, subject, key string, data []byte) error {
	m := &nats.Msg{Subject: outPrefix + subject + "." + token(key), Data: data}
	ack, err := l.js.PublishMsg(ctx, m, jetstream.WithMsgID(key), jetstream.WithExpectLastSequencePerSubject(0))
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == errCodeWrongSequence {
		return nil
	}
	if err != nil {
		return logError("publish to "+l.out, err)
	}
	if ack.Stream != l.out {
		return fmt.Errorf("publish to %s: %w: stream %s took the message", l.out, ErrUnavailable, ack.Stream)
	}
	return nil
}

// CountOut is how many messages the stream of what is published for others holds.
func (l *Log) CountOut(ctx context.Context) (uint64, error) {
	s, err := l.js.Stream(ctx, l.out)
	if err != nil {
		return 0, logError("ask about "+l.out, err)
	}
	return s.CachedInfo().State.Msgs, nil
}
