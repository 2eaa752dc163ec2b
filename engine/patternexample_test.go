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
