package stream

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// PublishOnce adds data to the log on a subject of its own, once for as long as the log
// keeps it, however often it is called and whatever happened in between. Each call leaves a
// subject behind, so it is for what is seldom.
func (l *Log) PublishOnce(ctx context.Context, subject string, data []byte) error {
	ack, err := l.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: data}, jetstream.WithExpectLastSequencePerSubject(0))
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == errCodeWrongSequence {
		return nil
	}
	if err != nil {
		return logError("publish to "+l.opts.Stream, err)
	}
	if err := l.took(ack, l.opts.Stream); err != nil {
		return err
	}
	l.fill.add(len(data))
	return nil
}
