package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// plainBatch is how many events a transaction of the plain consumer has: it keeps well
// below the limit of Badger, and a sync costs little beside so many.
const plainBatch = 5000

// plain is what a Go programmer writes without a framework: an ordered consumer from the
// position in the own state on, one goroutine, a transaction for every few thousand
// events with the position in it. So it has durable state, counts every event once, keeps
// the order, and has timers, all of it written by hand.
func plain(ctx context.Context, e *env) (answer, error) {
	k, err := openKeeper(e.state, e.sync)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = k.close() }()
	k.cache = make(map[string]*shopper)
	nc, err := nats.Connect(e.url)
	if err != nil {
		return answer{}, fmt.Errorf("connect: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return answer{}, err
	}
	at, err := k.position()
	if err != nil {
		return answer{}, err
	}
	c, err := js.OrderedConsumer(ctx, streamName, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: at + 1})
	if err != nil {
		return answer{}, fmt.Errorf("make a consumer: %w", err)
	}
	in, err := c.Messages(jetstream.PullMaxMessages(4096))
	if err != nil {
		return answer{}, err
	}
	defer in.Stop()
	if err := consume(in, k, e, at); err != nil {
		return answer{}, err
	}
	e.done()
	return k.answer()
}

// consume reads to the end of the log.
func consume(in jetstream.MessagesContext, k *keeper, e *env, seq uint64) error {
	var events []action
	for seq < e.last {
		m, err := in.Next(jetstream.NextMaxWait(10 * time.Second)) // the log is full: nothing is a fault
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Stream != seq+1 {
			return fmt.Errorf("message %d came behind %d", meta.Sequence.Stream, seq)
		}
		seq++
		a, err := parse(m.Data())
		if err != nil {
			return err
		}
		if events = append(events, a); len(events) == plainBatch || seq == e.last {
			if err := k.take(events, seq); err != nil {
				return err
			}
			events = events[:0]
		}
	}
	return nil
}
