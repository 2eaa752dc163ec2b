package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// weighed is the operator of a graph whose version is its weight: what it counts, and
// what it says when a timer fires, tell which version did it.
type weighed struct {
	cell   *state.Cell[tally, *tally]
	item   *engine.Stage[uint64]
	weight uint64
}

func (p *weighed) Process(c *engine.Ctx, v visit) {
	t := engine.Value(c, p.cell)
	t.n++
	t.sum += v.n * p.weight
	engine.Changed(c, p.cell)
	c.SetTimer(v.at+100, fmt.Sprintf("%d.%d", v.at, p.weight))
	if p.item != nil {
		p.item.Send(c, v.item, v.n)
	}
}

func (p *weighed) Timer(c *engine.Ctx, tm engine.Timer) {
	t := engine.Value(c, p.cell)
	t.log += fmt.Sprintf(" %s@%d", tm.Tag, p.weight)
	engine.Changed(c, p.cell)
	c.Effect("note", c.Key(), fmt.Appendf(nil, "%s %s %d", c.Key(), tm.Tag, p.weight))
}

type heavy struct {
	cell   *state.Cell[tally, *tally]
	weight uint64
}

func (i *heavy) Process(c *engine.Ctx, n uint64) {
	t := engine.Value(c, i.cell)
	t.n++
	t.sum += n * i.weight
	engine.Changed(c, i.cell)
}

// versionGraph is the graph of a version. Odd ones have an operator more, with state and
// timers of its own.
func versionGraph(weight uint64, cache int) *engine.Graph {
	people, items := state.NewCell[tally]("people", cache), state.NewLazyCell[tally]("items", cache)
	var persons *engine.Stage[visit]
	g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
		v := u.Value.([2]any)
		persons.Send(c, v[0].(string), v[1].(visit))
	})
	persons = engine.AddStage[visit](g, "person")
	things := engine.AddLazyStage(g, "item",
		func(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) },
		func(s string) (uint64, error) {
			n, _ := binary.Uvarint([]byte(s))
			return n, nil
		})
	persons.Use("count", &weighed{cell: people, item: things, weight: weight})
	things.Use("count", &heavy{cell: items, weight: weight})
	g.Keep(people, items)
	if weight%2 == 1 {
		extra := state.NewCell[tally]("extra", cache)
		persons.Use("extra", &weighed{cell: extra, weight: 10 * weight})
		g.Keep(extra)
	}
	return g
}

// versionCodec reads "activate WEIGHT" too.
type versionCodec struct {
	cache int
	calm  bool // lazy cells need not be written first
	done  func(now engine.PipelineVersion, applied bool, pause time.Duration)
}

func (d versionCodec) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	text, ok := strings.CutPrefix(string(m.Data), "activate ")
	if !ok {
		return codec{}.Decode(dst, m)
	}
	a := &engine.Activation{Hash: text, Content: []byte(text), Settle: !d.calm, Done: d.done}
	weight, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		a.Err = err
	} else {
		a.Graph = versionGraph(weight, d.cache)
	}
	return append(dst, engine.Unit{Value: a})
}

// step is a message of a random log: events, or a change of the version.
type step struct {
	at     int64
	text   string
	weight uint64 // of an activation, else 0
}

func randomSteps(rng *rand.Rand, messages int) []step {
	var steps []step
	at := int64(1000)
	for range messages {
		if rng.IntN(5) == 0 {
			w := 1 + rng.Uint64N(4)
			steps = append(steps, step{at: at, text: fmt.Sprintf("activate %d", w), weight: w})
			continue
		}
		var parts []string
		for range rng.IntN(6) {
			at += rng.Int64N(40)
			parts = append(parts, fmt.Sprintf("%d p%d i%d %d", at-rng.Int64N(60), rng.IntN(12), rng.IntN(5), rng.Uint64N(9)))
		}
		steps = append(steps, step{at: at, text: strings.Join(parts, ";")})
	}
	return steps
}

func versionsDump(t testing.TB, s *state.Store) []string {
	t.Helper()
	all, err := enginetest.Dump(s, state.SpaceCells, state.SpaceTimers)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// restarted is the reference: an engine that is stopped at each activation and opened
// with the other graph.
func restarted(t *testing.T, rt *rapid.T, steps []step) (dump []string, did map[string]bool) {
	store, err := state.Open(state.Options{})
	if err != nil {
		rt.Fatal(err)
	}
	defer store.Close()
	log, n, weight := enginetest.NewLog(), &notes{}, uint64(1)
	run := func() {
		e, err := engine.Open(t.Context(), engine.Options{
			Source: log, Store: store, Decoder: codec{}, Graph: versionGraph(weight, 0), OutOfOrder: 50 * time.Millisecond,
			Once: true, LogEnd: log.Last, Handlers: map[string]engine.Handler{"note": n.handle},
		})
		if err == nil {
			err = e.Run(t.Context())
		}
		if err != nil {
			rt.Fatal(err)
		}
	}
	for _, s := range steps {
		if s.weight > 0 {
			run()
			weight = s.weight
			log.Append(s.at, []byte("restarted")) // which holds no event
			continue
		}
		log.Append(s.at, []byte(s.text))
	}
	run()
	did = map[string]bool{}
	for _, s := range n.all {
		did[s] = true
	}
	return versionsDump(t, store), did
}

// TestActivationsEqualRestarts runs random versions, A to B to A, over a random log in one
// engine, with crashes before and after commits and right at activations, and wants the
// state, the timers and the effects of an engine that was restarted at those positions.
func TestActivationsEqualRestarts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 2))
		steps := randomSteps(rng, rapid.IntRange(1, 60).Draw(rt, "messages"))
		want, wantDid := restarted(t, rt, steps)

		log, n := enginetest.NewLog(), &notes{}
		activations := 0
		for _, s := range steps {
			log.Append(s.at, []byte(s.text))
			if s.weight > 0 {
				activations++
			}
		}
		store, err := state.Open(state.Options{})
		if err != nil {
			rt.Fatal(err)
		}
		defer store.Close()
		for run := 0; ; run++ {
			weight := uint64(1)
			if _, content, found, err := engine.ActiveVersion(store); err != nil {
				rt.Fatal(err)
			} else if found {
				weight, _ = strconv.ParseUint(string(content), 10, 64)
			}
			cache := 1 + rng.IntN(8)
			o := engine.Options{
				Source: log, Store: store, Decoder: versionCodec{cache: cache}, Graph: versionGraph(weight, cache), OutOfOrder: 50 * time.Millisecond,
				First:       &engine.Activation{Hash: "1", Content: []byte("1")},
				EpochEvents: 1 + rng.IntN(20), TimersOpen: 1 + rng.IntN(6), Parallel: 1 << rng.IntN(3), Once: true, LogEnd: log.Last,
				Handlers: map[string]engine.Handler{"note": n.handle}, OutboxOpen: 1 + rng.IntN(4), OutboxMax: 1 + rng.IntN(9),
			}
			if run < 8 {
				point, nth := []string{engine.PointActivating, engine.PointActivated, ""}[rng.IntN(3)], rng.IntN(3)
				c := &crashNow{crash: crash{store: store, left: 1 + rng.IntN(12), after: rng.IntN(2) == 0}}
				o.Committer = c
				o.Hook = func(at string) {
					if at == point {
						if nth--; nth == 0 {
							c.now.Store(true)
						}
					}
				}
			}
			e, err := engine.Open(t.Context(), o)
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
		if got := versionsDump(t, store); !slices.Equal(got, want) {
			rt.Fatalf("state:\n got %v\nwant %v", got, want)
		}
		did := map[string]bool{}
		for _, s := range n.all {
			did[s] = true
		}
		if !maps.Equal(did, wantDid) {
			rt.Fatalf("effects:\n got %v\nwant %v", did, wantDid)
		}
		if v, _, _, err := engine.ActiveVersion(store); err != nil || v.Number != uint64(activations+1) {
			rt.Fatalf("version %d after %d activations, %v", v.Number, activations, err)
		}
	})
}

// crashNow fails at the next commit once now is set.
type crashNow struct {
	crash
	now atomic.Bool
}

func (c *crashNow) Commit(ctx context.Context, r *state.Record) error {
	if c.now.Load() {
		c.left = 1
	}
	return c.crash.Commit(ctx, r)
}

// TestActivationThatCannotRun wants the engine to stop at a version that this program
// cannot build, with nothing lost: one that can goes on at the same position.
func TestActivationThatCannotRun(t *testing.T) {
	log := enginetest.NewLog()
	log.Append(1000, []byte("1000 p1 i1 1"))
	log.Append(1001, []byte("activate nonsense"))
	log.Append(1002, []byte("1002 p1 i1 1"))
	store, err := state.Open(state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	run := func(d engine.Decoder) error {
		e, err := engine.Open(t.Context(), engine.Options{
			Source: log, Store: store, Decoder: d, Graph: versionGraph(1, 0), Once: true, LogEnd: log.Last,
			First: &engine.Activation{Hash: "1", Content: []byte("1")},
		})
		if err != nil {
			t.Fatal(err)
		}
		return e.Run(t.Context())
	}
	if err := run(versionCodec{}); !errors.Is(err, engine.ErrActivation) || !strings.Contains(err.Error(), "message 2 of the log") {
		t.Fatalf("got %v, want the message and the reason", err)
	}
	if err := run(codec{}); err != nil { // to it the message is an empty one
		t.Fatal(err)
	}
	people := state.NewCell[tally]("people", 0)
	g := engine.NewGraph(nil)
	g.Keep(people)
	if _, err := engine.OpenView(store, g); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, store, people)["p1"].n; got != 2 {
		t.Fatalf("got %d events of p1, want 2", got)
	}
}

// TestActivationExpectsAnother wants an activation that was made for another version than
func TestVersionsAreBounded(t *testing.T) {
	log := enginetest.NewLog()
	for i := range 2 * engine.VersionsKept {
		log.Append(int64(1000+i), fmt.Appendf(nil, "activate %d", 1+i%4))
	}
	store, err := state.Open(state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	e, err := engine.Open(t.Context(), engine.Options{
		Source: log, Store: store, Decoder: versionCodec{}, Graph: versionGraph(1, 0), Once: true, LogEnd: log.Last,
		First: &engine.Activation{Hash: "1", Content: []byte("1")},
	})
	if err == nil {
		err = e.Run(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	v := e.View()
	defer v.Close()
	list, err := engine.Versions(v)
	if err != nil || len(list) != engine.VersionsKept || list[len(list)-1].Number != 2*engine.VersionsKept+1 {
		t.Fatalf("kept %d versions, %v", len(list), err)
	}
	if _, found, err := engine.VersionContent(v, list[0].Number-1); found || err != nil {
		t.Fatalf("the content of version %d is still kept (%v)", list[0].Number-1, err)
	}
	if got, ok := engine.DecidedBy(list, 0); ok {
		t.Fatalf("row 0 was decided by %v, want none", got)
	}
}

// BenchmarkActivationPause packs 50 events in a message and changes the version after each
// 80 messages, five times in a second of 20,000 events, on a store that syncs; it reports for how long
// the loop stands still.
func BenchmarkActivationPause(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	var pauses []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		log := enginetest.NewLog()
		at := int64(1_000_000)
		for i := range 8_000 {
			var parts []string
			for range 50 {
				at++
				parts = append(parts, fmt.Sprintf("%d p%d i%d 1", at, rng.IntN(100_000), rng.IntN(5000)))
			}
			log.Append(at, []byte(strings.Join(parts, ";")))
			if i%80 == 79 {
				log.Append(at, fmt.Appendf(nil, "activate %d", 2*(1+i/80%2)))
			}
		}
		store, err := state.Open(state.Options{Dir: b.TempDir(), Sync: true})
		if err != nil {
			b.Fatal(err)
		}
		e, err := engine.Open(b.Context(), engine.Options{
			Source: log, Store: store, Graph: versionGraph(2, 0), Once: true, LogEnd: log.Last, EpochEvents: 10_000, BacklogUnits: 10_000,
			First: &engine.Activation{Hash: "2", Content: []byte("2")},
			Decoder: versionCodec{calm: true, done: func(_ engine.PipelineVersion, _ bool, pause time.Duration) {
				pauses = append(pauses, pause)
			}},
			Handlers: map[string]engine.Handler{"note": (&notes{}).handle}, OutOfOrder: time.Hour, // no timer fires: effects are not what is measured
		})
		if err == nil {
			err = e.Run(b.Context())
		}
		if err = errors.Join(err, store.Close()); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(pauses)
	b.ReportMetric(float64(pauses[len(pauses)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(pauses[len(pauses)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(pauses[len(pauses)-1].Microseconds())/1000, "max-ms")
}
