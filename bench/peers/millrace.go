package main

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/privacy"
	"millrace/operators/recommend"
	"millrace/operators/trigger"
	"millrace/state"
)

// millraceJob runs the job as an operator of millrace: the same parsing and steps, with
// the engine's state, timers, position and outbox.
func millraceJob(workers int) func(context.Context, *env) (answer, error) {
	return func(ctx context.Context, e *env) (answer, error) {
		e.workers = workers
		return runJob(ctx, e)
	}
}

func runJob(ctx context.Context, e *env) (answer, error) {
	engine.UseMemory(0) // as the program does
	shoppers := &shoppers{cell: state.NewCell[shopper]("shopper/job", 0)}
	var stage *engine.Stage[*action]
	g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
		switch v := u.Value.(type) {
		case *action:
			stage.Send(c, v.user, v)
		case error:
			c.Fail(v)
		}
	})
	stage = engine.AddStage[*action](g, "shopper")
	stage.Use("job", shoppers)
	g.Keep(shoppers.cell)
	var mu sync.Mutex
	var a answer
	handlers := map[string]engine.Handler{"cart-left": func(_ context.Context, _ *engine.View, r engine.Row) (engine.Result, time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		a.left(decision{string(r.Body[8:]), int64(binary.BigEndian.Uint64(r.Body))}) //nolint:gosec // as it was written
		return engine.Removed, 0, nil
	}}
	err := e.engine(ctx, g, jobDecoder{}, handlers, func(v *engine.View) error {
		return shoppers.cell.Each(v.Snapshot, func(user string, s *shopper) bool {
			a.person(user, s)
			return true
		})
	})
	return a, err
}

// engine runs a graph to the end of the log, then calls after with the committed state.
func (e *env) engine(ctx context.Context, g *engine.Graph, d engine.Decoder, handlers map[string]engine.Handler, after func(*engine.View) error) error {
	store, err := state.Open(state.Options{Dir: e.state, Sync: e.sync})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	log, err := stream.Open(ctx, stream.Options{Server: e.server, Stream: streamName})
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	r := log.NewReader(stream.ReaderOptions{})
	defer func() { _ = r.Close() }()
	run, err := engine.Open(ctx, engine.Options{
		Source: r, Store: store, Decoder: d, Graph: g, Handlers: handlers, Once: true, Parallel: e.workers,
		LogEnd: func(context.Context) (uint64, error) { return e.last, nil },
	})
	if err != nil {
		return err
	}
	if err := run.Run(ctx); err != nil {
		return err
	}
	e.done()
	v := run.View()
	defer v.Close()
	return after(v)
}

// shoppers is the job as an operator.
type shoppers struct {
	cell *state.Cell[shopper, *shopper]
}

// Process implements engine.Operator.
func (o *shoppers) Process(c *engine.Ctx, a *action) {
	s := engine.Value(c, o.cell)
	if due := s.apply(a); due != 0 {
		c.SetTimer(due, "")
	}
	engine.Changed(c, o.cell)
}

// Timer implements engine.TimerHandler.
func (o *shoppers) Timer(c *engine.Ctx, t engine.Timer) {
	s := engine.Value(c, o.cell)
	left, again := s.fire(t.Due)
	if left {
		body := binary.BigEndian.AppendUint64(nil, uint64(s.since)) //nolint:gosec // not negative
		c.Effect("cart-left", c.Key(), append(body, c.Key()...))
	}
	if again != 0 {
		c.SetTimer(again, "")
	}
	engine.Changed(c, o.cell)
}

// jobDecoder reads messages for the job.
type jobDecoder struct{}

// Decode implements engine.Decoder.
func (jobDecoder) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	a, err := parse(m.Data)
	if err != nil {
		return append(dst, engine.Unit{Value: err})
	}
	return append(dst, engine.Unit{Time: a.at, Received: a.at, Value: &a})
}

// millraceWhole runs the whole cart pipeline of millrace, which does far more than the
// job: checks of every field, pseudonyms, identities, consent, profiles, which products
// go together. Its answer has only how many events there were and carts were left, which
// it counts by rules of its own: what a removal leaves in a cart matters to it.
func millraceWhole(ctx context.Context, e *env) (answer, error) {
	engine.UseMemory(0)
	names, err := privacy.NewPseudonyms(make([]byte, 32))
	if err != nil {
		return answer{}, err
	}
	p := operators.Build(operators.Options{
		Pseudonyms: names,
		Recommend:  recommend.Options{SeenPairs: 10},
		Rules:      []trigger.Rule{{Pipeline: "cart-abandonment", ID: "abandoned", Kind: trigger.CartAbandoned, Content: "cart", AssumeConsent: true}},
	})
	var left atomic.Uint64
	acknowledge := func(_ context.Context, _ *engine.View, r engine.Row) (engine.Result, time.Duration, error) {
		if r.Kind == trigger.EffectMail {
			left.Add(1)
		}
		return engine.Removed, 0, nil
	}
	err = e.engine(ctx, p.Graph, operators.NewDecoder(event.Options{}),
		map[string]engine.Handler{trigger.EffectMail: acknowledge, operators.EffectDeadLetter: acknowledge},
		func(*engine.View) error { return nil })
	return answer{Events: p.Counters.Total(), Left: left.Load()}, err
}
