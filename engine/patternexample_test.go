package engine_test

import (
	"context"
	"fmt"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// runExample runs messages such as "1 ann cart" through a graph and prints its effects.
func runExample(g *engine.Graph, messages ...string) {
	store, err := state.Open(state.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close() }()
	log := enginetest.NewLog()
	for _, m := range messages {
		log.Append(0, []byte(m))
	}
	say := func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
		fmt.Println(string(row.Body))
		return engine.Removed, 0, nil
	}
	e, err := engine.Open(context.Background(), engine.Options{
		Source: log, Store: store, Decoder: acts{}, Graph: g, OutOfOrder: time.Millisecond, Workers: 1,
		Handlers: map[string]engine.Handler{"say": say}, Once: true, LogEnd: log.Last,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := e.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
}

// A cart that no order follows within an hour: the watermark fires it.
func ExamplePatternOperator() {
	pattern, err := engine.BeginPattern[act]("cart").Where(does("cart")).
		NotFollowedBy("order").Where(does("order")).
		Within(time.Hour).Skip(engine.SkipPastLast()).Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	left := engine.NewPatternOperator(engine.PatternOptions[act]{
		Cell: "person/abandoned", Pattern: pattern, Codec: actCodec(),
		At: func(a act) int64 { return a.At },
		Emit: func(c *engine.Ctx, r engine.PatternResult[act]) {
			c.Effect("say", c.Key(), fmt.Appendf(nil, "%s left a cart: %s", c.Key(), r.Outcome))
		},
	})
	var people *engine.Stage[act]
	g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) { people.Send(c, u.Value.(act).Who, u.Value.(act)) })
	people = engine.AddStage[act](g, "person")
	people.Use("abandoned", left)
	g.Keep(left.Cell)

	runExample(g, "1000 ann cart", "2000 bob cart", "60000 bob order", "7200000 cid view")
	// Output: ann left a cart: matched
}

// A click within ten minutes behind a mail, or none.
func ExampleIntervalJoinOperator() {
	join, err := engine.NewIntervalJoin(engine.IntervalOptions[act, act]{
		Upper: 10 * time.Minute, Kind: engine.JoinLeft, Left: actCodec(), Right: actCodec(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	at := func(a act) int64 { return a.At }
	clicks := engine.NewIntervalJoinOperator(engine.IntervalJoinOptions[act, act]{
		Cell: "person/clicks", Join: join, LeftAt: at, RightAt: at,
		Emit: func(c *engine.Ctx, r engine.JoinResult[act, act]) {
			c.Effect("say", "all", fmt.Appendf(nil, "%s: mail of %d %s", c.Key(), r.LeftAt, r.Outcome))
		},
	})
	g := sides(func(a act) (act, bool) { return a, a.What == "click" }, func(g *engine.Graph, s *engine.Stage[engine.Either[act, act]]) {
		s.Use("clicks", clicks)
		g.Keep(clicks.Cell)
	})()

	runExample(g, "1000 ann mail", "2000 bob mail", "60000 ann click", "7200000 cid view")
	// Output:
	// ann: mail of 1000 matched
	// bob: mail of 2000 unmatched
}

// The price that an item had at the moment of a view.
func ExampleTableJoinOperator() {
	join, err := engine.NewTableJoin(engine.TableOptions[act, act]{Kind: engine.JoinLeft, Row: actCodec(), Version: actCodec()})
	if err != nil {
		fmt.Println(err)
		return
	}
	at := func(a act) int64 { return a.At }
	prices := engine.NewTableJoinOperator(engine.TableJoinOptions[act, act]{
		Cell: "item/prices", Join: join, RowAt: at, VersionAt: at,
		Emit: func(c *engine.Ctx, r engine.JoinResult[act, act]) {
			c.Effect("say", "all", fmt.Appendf(nil, "view of %s at %d: %s %d", c.Key(), r.LeftAt, r.Outcome, r.Right.N))
		},
	})
	version := func(a act) (engine.Version[act], bool) { return engine.Version[act]{Value: a}, a.What == "price" }
	g := sides(version, func(g *engine.Graph, s *engine.Stage[engine.Either[act, engine.Version[act]]]) {
		s.Use("prices", prices)
		g.Keep(prices.Cell)
	})()

	runExample(g, "5 mug view", "10 mug price 300", "20 mug view", "30 mug price 250", "40 mug view", "7200000 cap view")
	// Output:
	// view of mug at 5: unmatched 0
	// view of mug at 20: matched 300
	// view of mug at 40: matched 250
}

// A target that fails is left alone for a while, and then tried with one call.
func ExampleBreakers() {
	now := time.Unix(0, 0)
	breakers := engine.NewBreakers(engine.BreakerOptions{Window: 2, Failures: 2, Probes: 1})
	for range 2 {
		if permit, _, ok := breakers.Allow("mx.example.com", now); ok {
			permit.Done(now, true)
		}
	}
	_, wait, ok := breakers.Allow("mx.example.com", now)
	fmt.Println(ok, wait > 0)
	now = now.Add(wait)
	permit, _, ok := breakers.Allow("mx.example.com", now)
	fmt.Println(ok)
	permit.Done(now, false)
	all, _ := breakers.Figures()
	fmt.Println(all[0].State, all[0].Opened, all[0].Rejected)
	// Output:
	// false true
	// true
	// closed 1 1
}
