package bench_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/bench/shop"
	"millrace/configs"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/privacy"
	"millrace/operators/trigger"
	"millrace/state"
)

// cutting is how a log is processed, which must not change what comes of it.
type cutting struct {
	Epoch      int   // units of an epoch
	Cache      int   // values that each cell keeps
	TimersOpen int   // timers in memory
	Parallel   int   // goroutines; from the second opening on half as many, then twice as many
	Stop       []int // messages after which the engine is stopped and opened again
	Crash      []int // commits that fail; after an even one the record is written all the same
}

// parallel is how many goroutines run the graph from one opening to the next.
func (c cutting) parallel(left int) int { return c.Parallel << (left % 3) >> 1 }

// outcome is what a run leaves behind: cells, timers, outbox, and the effects that
// were carried out, by row.
type outcome struct {
	store   []string
	effects map[uint64]string
}

// failing is a committer that fails once, as a crash does.
type failing struct {
	*state.Store
	left    int
	written bool
}

var errCrash = errors.New("crash")

func (f *failing) Commit(ctx context.Context, r *state.Record) error {
	f.left--
	if f.left != 0 || f.written {
		if err := f.Store.Commit(ctx, r); err != nil {
			return err
		}
	}
	if f.left == 0 {
		return errCrash
	}
	return nil
}

func shopGraph(t rapid.TB, c cutting) *operators.Pipeline {
	t.Helper()
	loader, err := configs.NewLoader(configs.Options{FS: configs.Shipped()})
	if err != nil {
		t.Fatal(err)
	}
	set, err := loader.Load("shop.yaml", "cart-abandonment.yaml", "post-purchase.yaml")
	if err != nil {
		t.Fatal(err)
	}
	journeys, err := operators.Journeys(set, loader, false)
	if err != nil {
		t.Fatal(err)
	}
	rules := make([]trigger.Rule, 0, len(journeys))
	for _, j := range journeys {
		rules = append(rules, j.Rule)
	}
	names, err := privacy.NewPseudonyms(bytes.Repeat([]byte{3}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return operators.Build(operators.Options{
		Pseudonyms: names, Rules: rules, PeopleMax: c.Cache, ItemsMax: c.Cache,
		Experiments: map[string]*experiment.Running{"cart-abandonment": subjects(t)},
	})
}

// subjects is an experiment with the mails about carts: what is decided, and what comes of
// it, must be the same as well.
func subjects(t rapid.TB) *experiment.Running {
	t.Helper()
	r := &experiment.Running{
		Experiment: experiment.Experiment{
			Name: "subjects", Seed: "s", Coverage: 0.9, Holdouts: []experiment.Holdout{{Seed: "h", Share: 0.2}},
			Variants: []experiment.Variant{{Name: "control", Weight: 0.5}, {Name: "short", Weight: 0.5}},
		},
		Metrics: experiment.Watch(nil), Goal: 3,
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// messages are n events of a busy little shop, a few in each message, with some that
// cannot be read.
func messages(seed uint64, n int) [][]byte {
	sim := shop.New(shop.Options{
		Seed: seed, Shoppers: 25, Carting: 0.5, Bought: 0.4, SecondCart: 0.5, Late: 0.05, Duplicate: 0.05, Malformed: 0.02, Refunded: 0.3,
	})
	var out [][]byte
	for n > 0 {
		var items []event.Item
		var at time.Time
		for range min(n, 1+len(out)%5) {
			e := sim.Next()
			at = e.At
			items = append(items, event.Item{Raw: e.JSON})
			n--
		}
		out = append(out, event.AppendEnvelope(nil, event.Header{ReceivedAt: at.UnixMilli(), Source: "shop", Sim: true}, items))
	}
	return out
}

// process runs the log through the real graph, cut in the given way.
func process(t rapid.TB, all [][]byte, c cutting) outcome {
	t.Helper()
	store, err := state.Open(state.Options{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	out := outcome{effects: make(map[uint64]string)}
	var mu sync.Mutex
	handle := func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		text := fmt.Sprintf("%s %s %d %s", row.Kind, row.Lane, row.At, row.Body)
		if old, again := out.effects[row.ID]; again && old != text {
			t.Errorf("row %d is\n%s\nand then\n%s", row.ID, old, text)
		}
		out.effects[row.ID] = text
		return engine.Removed, 0, nil
	}
	log := enginetest.NewLog()
	stops := append(slices.Clone(c.Stop), len(all))
	crashes := c.Crash
	for sent := 0; len(stops) > 0; {
		for ; sent < min(stops[0], len(all)); sent++ {
			log.Append(int64(sent), all[sent])
		}
		o := engine.Options{
			Source: log, Store: store, Decoder: operators.NewDecoder(event.Options{}), Graph: shopGraph(t, c).Graph,
			EpochEvents: c.Epoch, TimersOpen: c.TimersOpen, Once: true, LogEnd: log.Last, Parallel: c.parallel(len(stops) + len(crashes)),
			Handlers: map[string]engine.Handler{trigger.EffectMail: handle, operators.EffectDeadLetter: handle, experiment.EffectStop: handle},
		}
		if len(crashes) > 0 {
			o.Committer = &failing{Store: store, left: crashes[0], written: crashes[0]%2 == 0}
			crashes = crashes[1:]
		}
		e, err := engine.Open(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		switch err := e.Run(context.Background()); {
		case err == nil:
			stops = stops[1:]
		case !errors.Is(err, errCrash):
			t.Fatal(err)
		}
	}
	out.store, err = enginetest.Dump(store, state.SpaceCells, state.SpaceTimers, state.SpaceOutbox)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// compare fails unless both outcomes are equal to the byte.
func compare(t rapid.TB, got, want outcome, c cutting) {
	t.Helper()
	for i := range max(len(got.store), len(want.store)) {
		if i >= len(got.store) || i >= len(want.store) || got.store[i] != want.store[i] {
			t.Fatalf("%+v: the stores differ at key %d of %d and %d:\n got %.2000s\nwant %.2000s", c, i, len(got.store), len(want.store),
				got.store[min(i, len(got.store)-1)], want.store[min(i, len(want.store)-1)])
		}
	}
	if !maps.Equal(got.effects, want.effects) {
		for id, e := range want.effects {
			if got.effects[id] != e {
				t.Fatalf("%+v: effect %d is\n%s\nwant\n%s", c, id, got.effects[id], e)
			}
		}
		t.Fatalf("%+v: %d effects, want %d", c, len(got.effects), len(want.effects))
	}
}

// TestSameLogSameAnswer processes thousands of events of a simulated shop in epochs of
// one, seven and ten thousand, with stops, crashes and tiny caches, and wants the same
// bytes in the store and the same decisions each time.
func TestSameLogSameAnswer(t *testing.T) {
	all := messages(1, 4000)
	want := process(t, all, cutting{})
	kinds := map[string]int{}
	for _, e := range want.effects {
		kinds[e[:4]]++
	}
	if len(want.store) < 300 || kinds["mail"] < 20 || kinds["dead"] < 20 {
		t.Fatalf("the shop does too little to show anything: %d keys, effects %v", len(want.store), kinds)
	}
	f := func(c cutting) {
		t.Helper()
		compare(t, process(t, all, c), want, c)
	}
	f(cutting{Epoch: 1})
	f(cutting{Epoch: 7, Cache: 3, TimersOpen: 2})
	f(cutting{Epoch: 10_000, Cache: 1, TimersOpen: 1})
	f(cutting{Epoch: 100, Stop: []int{len(all) / 2}})
	f(cutting{Epoch: 33, Cache: 5, TimersOpen: 4, Stop: []int{10, 11, 500}, Crash: []int{1, 2, 3, 4, 17, 30}})
	f(cutting{Parallel: 2})
	f(cutting{Parallel: 4})
	f(cutting{Parallel: 4, Epoch: 3})
	f(cutting{Parallel: 4, Epoch: 100, Cache: 3, TimersOpen: 2, Stop: []int{10, 11, 500}, Crash: []int{1, 2, 3, 4, 17, 30}})
}

// TestSameLogSameAnswerAnyhow is the same for any log and any way to cut it.
func TestSameLogSameAnswerAnyhow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := messages(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 300).Draw(t, "events"))
		stops := rapid.SliceOfN(rapid.IntRange(0, len(all)), 0, 3).Draw(t, "stops")
		slices.Sort(stops)
		c := cutting{
			Epoch:      rapid.IntRange(1, 40).Draw(t, "epoch"),
			Cache:      rapid.IntRange(1, 10).Draw(t, "cache"),
			TimersOpen: rapid.IntRange(1, 10).Draw(t, "timers"),
			Parallel:   1 << rapid.IntRange(0, 3).Draw(t, "goroutines"),
			Stop:       stops,
			Crash:      rapid.SliceOfN(rapid.IntRange(1, 12), 0, 4).Draw(t, "crashes"),
		}
		compare(t, process(t, all, c), process(t, all, cutting{}), c)
	})
}
