package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
)

// watermillPeer runs the job as a handler of Watermill's router on its JetStream
// subscriber. A message is acknowledged when its handler has returned, and the next one of
// a subscriber comes after that, so every message is a transaction of its own. With
// several subscribers, a queue group, the order of a person's events is lost.
func watermillPeer(subscribers int) func(context.Context, *env) (answer, error) {
	return func(ctx context.Context, e *env) (answer, error) {
		k, err := openKeeper(e.state, e.sync)
		if err != nil {
			return answer{}, err
		}
		defer func() { _ = k.close() }()
		if subscribers == 1 {
			k.cache = make(map[string]*shopper)
		}
		group := ""
		if subscribers > 1 {
			group = "shop"
		}
		sub, err := wmnats.NewSubscriber(wmnats.SubscriberConfig{
			URL: e.url, QueueGroupPrefix: group, SubscribersCount: subscribers,
			SubjectCalculator: func(prefix, topic string) *wmnats.SubjectDetail {
				return &wmnats.SubjectDetail{Primary: topic, QueueGroup: prefix}
			},
			Unmarshaler: plainMessage{},
			JetStream: wmnats.JetStreamConfig{
				AckAsync: true, DurablePrefix: "watermill" + group,
				SubscribeOptions: []nats.SubOpt{nats.DeliverAll(), nats.AckExplicit(), nats.ManualAck(), nats.MaxAckPending(4096)},
			},
		}, watermill.NopLogger{})
		if err != nil {
			return answer{}, fmt.Errorf("make a subscriber: %w", err)
		}
		if err := route(ctx, e, k, sub); err != nil {
			return answer{}, err
		}
		return k.answer()
	}
}

// route runs a router until every message was handled.
func route(ctx context.Context, e *env, k *keeper, sub message.Subscriber) error {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var begun, handled atomic.Uint64
	router.AddConsumerHandler("shop", subject, sub, func(m *message.Message) error {
		if begun.Add(1) > e.last { // the log may be longer than what is measured
			return nil
		}
		a, err := parse(m.Payload)
		if err == nil {
			err = k.take([]action{a}, 0)
		}
		if err != nil {
			stop(err)
			return err
		}
		if handled.Add(1) == e.last {
			e.done()
			stop(errEnough)
		}
		return nil
	})
	if err := router.Run(ctx); err != nil {
		return err
	}
	return ended(ctx)
}

// plainMessage takes messages as they are.
type plainMessage struct{}

// Unmarshal implements nats.Unmarshaler.
func (plainMessage) Unmarshal(m *nats.Msg) (*message.Message, error) {
	return message.NewMessage("", m.Data), nil
}
