package engine_test

import (
	"context"
	"fmt"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// A windowed operator counts the hits of each page in every ten seconds. Values that
// come within five more seconds correct their window.
func ExampleNewWindowOperator() {
	counter, err := engine.NewWindowOperator("page/hits",
		engine.WindowOptions{Size: 10 * time.Second, Lateness: 5 * time.Second},
		engine.Counts[hit](),
		engine.WindowHooks[hit, uint64]{
			At: func(h hit) int64 { return h.at },
			Pane: func(c *engine.Ctx, p engine.Pane[uint64]) {
				fmt.Printf("%s [%d,%d) %s %d\n", c.Key(), p.Start, p.End, p.Kind, p.Value)
			},
			Late: func(c *engine.Ctx, _ hit, l engine.Late) { fmt.Printf("%s late: %s\n", c.Key(), l.Why) },
		}, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	var pages *engine.Stage[hit]
	g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) { pages.Send(c, u.Value.(hit).key, u.Value.(hit)) })
	pages = engine.AddStage[hit](g, "page")
	pages.Use("hits", counter)
	g.Keep(counter.Cell)

	log := enginetest.NewLog()
	log.Append(0, []byte("1000 home 1; 2000 cart 2; 9000 home 3"))
	log.Append(0, []byte("14000 home 4; 8000 cart 5; 30000 cart 6; 9500 home 7"))
	runOnce(log, g)
	// Output:
	// cart [0,10000) final 1
	// home [0,10000) final 2
	// cart [0,10000) update 2
	// home [10000,20000) final 1
	// home late: closed
}

// runOnce runs a graph over a log of hits to its end, in memory.
func runOnce(log *enginetest.Log, g *engine.Graph) {
	store, err := state.Open(state.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close() }()
	ctx := context.Background()
	e, err := engine.Open(ctx, engine.Options{
		Source: log, Store: store, Decoder: hitCodec{}, Graph: g, OutOfOrder: 2 * time.Second, Once: true, LogEnd: log.Last,
	})
	if err == nil {
		err = e.Run(ctx)
	}
	if err != nil {
		fmt.Println(err)
	}
}
