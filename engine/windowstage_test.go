package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// hit is a value of a key.
type hit struct {
	at  int64
	key string
	id  uint64
}

type hitCodec struct{}

// Decode reads "at key id; at key id".
func (hitCodec) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	for part := range strings.SplitSeq(string(m.Data), ";") {
		var h hit
		if _, err := fmt.Sscan(part, &h.at, &h.key, &h.id); err == nil {
			dst = append(dst, engine.Unit{Time: h.at, Received: h.at, Value: h})
		}
	}
	return dst
}

// hitBags is bags over hits.
func hitBags() engine.Aggregate[hit, bag, string] {
	return engine.Aggregate[hit, bag, string]{
		Add:    func(b *bag, in hit) { b.all = append(b.all, in.id) },
		Merge:  func(b, other *bag) { b.all = append(b.all, other.all...) },
		Result: func(b *bag) string { return text(b.all) },
	}
}

// windowGraph emits each pane, and each late value, as an effect.
func windowGraph(t interface{ Fatal(...any) }, o engine.WindowOptions, cache int) *engine.Graph {
	op, err := engine.NewWindowOperator("windows", o, hitBags(), engine.WindowHooks[hit, string]{
		At:   func(h hit) int64 { return h.at },
		Pane: func(c *engine.Ctx, p engine.Pane[string]) { c.Effect("note", c.Key(), []byte(c.Key()+" "+show(p))) },
		Late: func(c *engine.Ctx, h hit, l engine.Late) {
			c.Effect("note", c.Key(), fmt.Appendf(nil, "%s late %d %s", c.Key(), h.id, l.Why))
		},
	}, cache)
	if err != nil {
		t.Fatal(err)
	}
	var stage *engine.Stage[hit]
	g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
		h := u.Value.(hit)
		stage.Send(c, h.key, h)
	})
	stage = engine.AddStage[hit](g, "hits")
	stage.Use("windows", op)
	g.Keep(op.Cell)
	return g
}

// windowReference is the answer of windows per key without an engine.
func windowReference(t interface{ Fatal(...any) }, o engine.WindowOptions, hits []hit, slack int64) []string {
	w, err := engine.NewWindower(o, hitBags())
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]*bagWindows{}
	var out []string
	mark := int64(math.MinInt64)
	for _, h := range hits {
		mark = max(mark, h.at-slack)
		for key, s := range keys {
			for _, p := range w.Fire(nil, s, mark) {
				out = append(out, key+" "+show(p))
			}
		}
		if keys[h.key] == nil {
			keys[h.key] = &bagWindows{}
		}
		panes, late := w.Add(nil, keys[h.key], h.at, h, mark)
		for _, p := range panes {
			out = append(out, h.key+" "+show(p))
		}
		if late.Why != engine.OnTime {
			out = append(out, fmt.Sprintf("%s late %d %s", h.key, h.id, late.Why))
		}
	}
	slices.Sort(out)
	return out
}

func drawWindows(t *rapid.T) engine.WindowOptions {
	o := engine.WindowOptions{Lateness: ms(rapid.Int64Range(0, 80).Draw(t, "lateness")), Retract: rapid.Bool().Draw(t, "retract")}
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		o.Size, o.EveryCount = ms(rapid.Int64Range(1, 90).Draw(t, "size")), rapid.IntRange(0, 3).Draw(t, "count")
	case 1:
		size := rapid.Int64Range(2, 90).Draw(t, "size")
		o.Size, o.Slide, o.OnChange = ms(size), ms(rapid.Int64Range(1+size/9, size-1).Draw(t, "slide")), rapid.Bool().Draw(t, "change")
	case 2:
		o.Gap, o.Every = ms(rapid.Int64Range(1, 60).Draw(t, "gap")), ms(rapid.Int64Range(0, 30).Draw(t, "every"))
	case 3:
		o.EveryCount, o.Discard = rapid.IntRange(1, 4).Draw(t, "count"), rapid.Bool().Draw(t, "discard")
	case 4:
		o.Every, o.Discard = ms(rapid.Int64Range(1, 60).Draw(t, "every")), rapid.Bool().Draw(t, "discard")
	}
	return o
}

// TestWindowStage: through random epochs, a tiny cache, few timers in memory and crashes
// before and after commits, the operator emits the panes and late values of windows
// without an engine, and leaves the state of a run without crashes.
func TestWindowStage(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := drawWindows(rt)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		log := enginetest.NewLog()
		var hits []hit
		at := int64(1000)
		for range rapid.IntRange(1, 60).Draw(rt, "messages") {
			var parts []string
			for range rng.IntN(5) {
				at += rng.Int64N(40)
				h := hit{at: at - rng.Int64N(120), key: "k" + strconv.Itoa(rng.IntN(6)), id: uint64(len(hits))}
				hits = append(hits, h)
				parts = append(parts, fmt.Sprintf("%d %s %d", h.at, h.key, h.id))
			}
			log.Append(at, []byte(strings.Join(parts, ";")))
		}
		run := func(crashes int, tune func(*engine.Options)) ([]string, []string) {
			store, err := state.Open(state.Options{MemTable: 8 << 20})
			if err != nil {
				rt.Fatal(err)
			}
			defer store.Close()
			n := &notes{}
			for run := 0; ; run++ {
				opts := engine.Options{
					Source: log, Store: store, Decoder: hitCodec{}, OutOfOrder: 50 * time.Millisecond, Once: true, LogEnd: log.Last,
					Graph: windowGraph(rt, o, 1+rng.IntN(4)), Handlers: map[string]engine.Handler{"note": n.handle},
				}
				tune(&opts)
				if run < crashes {
					opts.Committer = &crash{store: store, left: 1 + rng.IntN(6), after: rng.IntN(2) == 0}
				}
				e, err := engine.Open(t.Context(), opts)
				if err != nil {
					rt.Fatal(err)
				}
				if err = e.Run(t.Context()); err == nil {
					break
				}
				if !errors.Is(err, errCrash) {
					rt.Fatal(err)
				}
			}
			dump, err := enginetest.Dump(store, state.SpaceCells, state.SpaceTimers)
			if err != nil {
				rt.Fatal(err)
			}
			byRow := map[string]bool{} // at least once; the row makes it once
			for _, s := range n.all {
				byRow[s] = true
			}
			var all []string
			for s := range byRow {
				_, pane, _ := strings.Cut(s, " ")
				all = append(all, pane)
			}
			slices.Sort(all)
			return all, dump
		}
		want := windowReference(rt, o, hits, 50)
		plain, plainState := run(0, func(*engine.Options) {})
		if !slices.Equal(plain, want) {
			rt.Fatalf("%+v: without crashes\n%s\nwant\n%s", o, strings.Join(plain, "\n"), strings.Join(want, "\n"))
		}
		torn, tornState := run(5, func(opts *engine.Options) {
			opts.EpochEvents, opts.TimersOpen, opts.OutboxMax = 1+rng.IntN(9), 1+rng.IntN(5), 1+rng.IntN(9)
		})
		if !slices.Equal(torn, want) {
			rt.Fatalf("%+v: with crashes\n%s\nwant\n%s", o, strings.Join(torn, "\n"), strings.Join(want, "\n"))
		}
		if !slices.Equal(plainState, tornState) {
			rt.Fatalf("%+v: state\n%s\nwith crashes\n%s", o, strings.Join(plainState, "\n"), strings.Join(tornState, "\n"))
		}
	})
}

// TestWindowStageLeavesNothing: when every window of every key has fired, neither state
// nor timers are left.
func TestWindowStageLeavesNothing(t *testing.T) {
	f := func(o engine.WindowOptions) {
		t.Helper()
		log := enginetest.NewLog()
		for i := range int64(50) {
			log.Append(1000+i, fmt.Appendf(nil, "%d k%d %d", 1000+i, i, i))
		}
		log.Append(9000, []byte("900000 k 1"))
		store, err := state.Open(state.Options{MemTable: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		e, err := engine.Open(t.Context(), engine.Options{
			Source: log, Store: store, Decoder: hitCodec{}, Graph: windowGraph(t, o, 0), Once: true, LogEnd: log.Last,
			OutOfOrder: time.Millisecond, Handlers: map[string]engine.Handler{"note": (&notes{}).handle},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		left, err := enginetest.Dump(store, state.SpaceCells, state.SpaceTimers)
		if err != nil || len(left) != 2 { // the last value and its timer
			t.Errorf("%+v: %d entries are left (%v): %q", o, len(left), err, left)
		}
	}
	f(engine.WindowOptions{Size: ms(10)})
	f(engine.WindowOptions{Size: ms(10), Lateness: ms(30)})
	f(engine.WindowOptions{Size: ms(100), Slide: ms(7), Lateness: ms(30)})
	f(engine.WindowOptions{Size: ms(100), Slide: ms(7), OnChange: true})
	f(engine.WindowOptions{Gap: ms(10), Lateness: ms(30)})
	f(engine.WindowOptions{Every: ms(10), Discard: true})
}

// TestWindowStageKeepsShape: a slide that changed stops the engine instead of reading
// slices as what they are not.
func TestWindowStageKeepsShape(t *testing.T) {
	store, err := state.Open(state.Options{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	log := enginetest.NewLog()
	run := func(o engine.WindowOptions, line string) error {
		log.Append(1000, []byte(line))
		e, err := engine.Open(context.Background(), engine.Options{
			Source: log, Store: store, Decoder: hitCodec{}, Graph: windowGraph(t, o, 0), Once: true, LogEnd: log.Last,
			Handlers: map[string]engine.Handler{"note": (&notes{}).handle},
		})
		if err != nil {
			t.Fatal(err)
		}
		return e.Run(context.Background())
	}
	if err := run(engine.WindowOptions{Size: ms(100), Slide: ms(10)}, "1000 k 1"); err != nil {
		t.Fatal(err)
	}
	if err := run(engine.WindowOptions{Size: ms(100), Slide: ms(10), Lateness: ms(50)}, "1001 k 2"); err != nil {
		t.Errorf("another lateness: %v", err)
	}
	if err := run(engine.WindowOptions{Size: ms(100), Slide: ms(20)}, "1002 k 3"); !errors.Is(err, engine.ErrWindows) {
		t.Errorf("another slide: got %v, want %v", err, engine.ErrWindows)
	}
}
