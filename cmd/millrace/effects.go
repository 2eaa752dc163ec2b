package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators"
)

// This file wires the effects: under which terms they leave, and where webhooks and
// published messages go.

// letterEffect is the operator of the dead letters that were effects.
const letterEffect = "effect"

// secretMax bounds the file of a webhook's secret: HMAC keys are shorter than that.
const secretMax = 4 << 10

// openWait is how long the stream of published messages may take to be made.
const openWait = 30 * time.Second

// openNotices makes the handlers of the webhooks and published messages of a version.
func (a *app) openNotices(r *edition) error {
	o := operators.NoticeOptions{
		Webhooks: make(map[string]operators.WebhookTarget), Publish: a.events.PublishOut, Receipt: a.publishReceipt,
	}
	used := make(map[string]bool)
	published := false
	for _, steps := range operators.Thens(r.journeys) {
		for _, t := range steps {
			used[t.Webhook] = true
			published = published || t.Publish != ""
		}
	}
	for _, j := range r.journeys {
		used[j.Config.Alarms.Webhook] = true
	}
	if s := r.set.Shop.Sentiment; s != nil {
		for _, t := range s.Then {
			used[t.Webhook] = true
			published = published || t.Publish != ""
		}
	}
	for name := range r.set.Shop.Webhooks {
		if !used[name] { // its variables need not be set
			continue
		}
		t, err := webhookTarget(r.set.Shop.Webhooks[name])
		if err != nil {
			return &exitError{exitConfig, fmt.Errorf("%s: webhooks.%s: %w", r.set.Shop.File, name, err)}
		}
		o.Webhooks[name] = t
	}
	if published {
		ctx, done := context.WithTimeout(context.Background(), openWait)
		defer done()
		if err := a.events.OpenOut(ctx, stream.OutOptions{}); err != nil {
			return err
		}
	}
	r.notices = operators.NewNotices(o)
	a.later(r.notices.Close)
	return nil
}

// webhookTarget reads where a webhook is and what signs its calls.
func webhookTarget(w configs.Webhook) (operators.WebhookTarget, error) {
	address, err := w.Address(os.LookupEnv)
	if err != nil {
		return operators.WebhookTarget{}, err
	}
	t := operators.WebhookTarget{URL: address, Timeout: w.Timeout, Private: w.Private == "yes"}
	if name, ok := strings.CutPrefix(w.Secret, "env:"); ok {
		t.Secret = []byte(os.Getenv(name))
		if len(t.Secret) == 0 {
			return t, fmt.Errorf("read secret: environment variable %s is not set", name)
		}
	}
	if path, ok := strings.CutPrefix(w.Secret, "file:"); ok {
		if t.Secret, err = readSecret(path); err != nil {
			return t, err
		}
	}
	return t, nil
}

// readSecret reads a secret without the white space around it.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	raw, err := io.ReadAll(io.LimitReader(f, secretMax+1))
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || len(raw) > secretMax {
		return nil, fmt.Errorf("read secret: %s holds %d bytes, expected 1 to %d", path, len(raw), secretMax)
	}
	return raw, nil
}

// delivery says under which terms effects leave, and who keeps what is given up.
func (a *app) delivery() engine.Delivery {
	d := operators.DeliveryOf(a.set.Shop, func() *configs.Set { return a.acts.current().set })
	d.GiveUp = a.giveUp
	return d
}

// giveUp keeps an effect that is not tried any more with the dead letters, from where
// `millrace dlq retry` brings it back.
func (a *app) giveUp(ctx context.Context, g *engine.GivenUp) error {
	detail := fmt.Sprintf("given up after %d tries", g.Tries)
	switch {
	case errors.Is(g.Err, operators.ErrWebhookGone), errors.Is(g.Err, operators.ErrWebhookAddress), errors.Is(g.Err, operators.ErrWebhookStatus),
		errors.Is(g.Err, engine.ErrTarget): // their texts are our own
		detail += ": " + g.Err.Error()
	case g.Reason == engine.GiveUpDown:
		detail += ": the target is down and too much waits for it"
	}
	return a.events.PublishDeadLetter(ctx, stream.DeadLetter{
		Pipeline: "outbox", Operator: letterEffect, Reason: g.Reason, Detail: detail, Type: g.Row.Kind,
		Source: operators.NoticeTarget(&g.Row), Stream: cmp.Or(a.engine.Stats().Position.Stream, "EVENTS"), Seq: g.Row.ID,
		At: time.UnixMilli(g.Row.At), Bytes: g.Row.Body,
	})
}

// heldMax is how far a source may hold the watermark back before the program says that it
// is not well: timers of an hour are then an hour late.
const heldMax = time.Hour

// watermarkMoves names what holds the watermark.
func (a *app) watermarkMoves(context.Context) error {
	r := a.engine.Stats().Watermarks
	if source, since, ok := r.Held(heldMax); ok {
		return fmt.Errorf("source %s holds the watermark since %s: it is %s behind", source, since.Format(time.RFC3339), time.Duration(r.HeldMillis)*time.Millisecond)
	}
	return nil
}
