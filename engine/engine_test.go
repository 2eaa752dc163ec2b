package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tally counts what a key saw. Its log of firings shows order.
type tally struct {
	n   uint64
	sum uint64
	log string
}

func (t *tally) AppendTo(b []byte) []byte {
	b = append(b, 1)
	b = binary.AppendUvarint(b, t.n)
	b = binary.AppendUvarint(b, t.sum)
	return append(b, t.log...)
}

func (t *tally) DecodeFrom(b []byte) error {
	if len(b) < 3 || b[0] != 1 {
		return errors.New("not a tally")
	}
	b = b[1:]
	var k int
	t.n, k = binary.Uvarint(b)
	b = b[k:]
	t.sum, k = binary.Uvarint(b)
	t.log = string(b[k:])
	return nil
}

// person counts events, sets a timer 100 after each, and sends to an item.
type person struct {
	cell *state.Cell[tally, *tally]
	item *engine.Stage[uint64]
}

type visit struct {
	at   int64
	item string
	n    uint64
}

func (p *person) Process(c *engine.Ctx, v visit) {
	t := engine.Value(c, p.cell)
	t.n++
	t.sum += v.n
	t.log += fmt.Sprintf(" e%d", v.at)
	engine.Changed(c, p.cell)
	c.SetTimer(v.at+100, strconv.FormatInt(v.at, 10))
	p.item.Send(c, v.item, v.n)
}

func (p *person) Timer(c *engine.Ctx, tm engine.Timer) {
	t := engine.Value(c, p.cell)
	t.log += " t" + tm.Tag
	engine.Changed(c, p.cell)
	c.Effect("note", c.Key(), []byte(c.Key()+" "+tm.Tag))
}

type item struct{ cell *state.Cell[tally, *tally] }

func (i *item) Process(c *engine.Ctx, n uint64) {
	t := engine.Value(c, i.cell)
	t.n++
	t.sum += n
	engine.Changed(c, i.cell)
}

type codec struct{}

// Decode reads "at person item n; at person item n".
func (codec) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	for part := range strings.SplitSeq(string(m.Data), ";") {
		f := strings.Fields(part)
		if len(f) != 4 {
			continue
		}
		at, _ := strconv.ParseInt(f[0], 10, 64)
		n, _ := strconv.ParseUint(f[3], 10, 64)
		dst = append(dst, engine.Unit{Time: at, Received: at, Value: [2]any{f[1], visit{at: at, item: f[2], n: n}}})
	}
	return dst
}

type graph struct {
	*engine.Graph
	people, items *state.Cell[tally, *tally]
}

func newGraph(cache int) graph {
	people := state.NewCell[tally]("people", cache)
	items := state.NewLazyCell[tally]("items", cache)
	var persons *engine.Stage[visit]
	g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
		v := u.Value.([2]any)
		persons.Send(c, v[0].(string), v[1].(visit))
	})
	persons = engine.AddStage[visit](g, "person")
	things := engine.AddLazyStage(g, "item",
		func(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) },
		func(s string) (uint64, error) {
			n, size := binary.Uvarint([]byte(s))
			if size != len(s) {
				return 0, errors.New("not a number")
			}
			return n, nil
		})
	persons.Use("count", &person{cell: people, item: things})
	things.Use("count", &item{cell: items})
	g.Keep(people, items)
	return graph{g, people, items}
}

// notes collects what effects were carried out.
type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) handle(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, fmt.Sprintf("%d %s", row.ID, row.Body))
	return engine.Removed, 0, nil
}

// crash is a committer that fails at a given commit, after or before it wrote.
type crash struct {
	store *state.Store
	left  int
	after bool
}

var errCrash = errors.New("crash")

func (c *crash) Commit(ctx context.Context, r *state.Record) error {
	c.left--
	if c.left == 0 && !c.after {
		return errCrash
	}
	if err := c.store.Commit(ctx, r); err != nil {
		return err
	}
	if c.left == 0 {
		return errCrash
	}
	return nil
}

// model is the answer, computed naively.
func model(events []visit, keys []string, slack int64) (people, items map[string]tally, fired []string) {
	people, items = map[string]tally{}, map[string]tally{}
	type timer struct {
		due int64
		key string
		tag string
	}
	var timers []timer
	newest := int64(0)
	fire := func(until int64) {
		sort.SliceStable(timers, func(i, j int) bool {
			a, b := timers[i], timers[j]
			if a.due != b.due {
				return a.due < b.due
			}
			if a.key != b.key {
				return a.key < b.key
			}
			return a.tag < b.tag
		})
		for len(timers) > 0 && timers[0].due <= until {
			t := timers[0]
			for len(timers) > 0 && timers[0] == t {
				timers = timers[1:]
			}
			p := people[t.key]
			p.log += " t" + t.tag
			people[t.key] = p
			fired = append(fired, fmt.Sprintf("%d %s %s", len(fired)+1, t.key, t.tag))
		}
	}
	for i, e := range events {
		newest = max(newest, e.at)
		fire(newest - slack)
		p := people[keys[i]]
		p.n++
		p.sum += e.n
		p.log += fmt.Sprintf(" e%d", e.at)
		people[keys[i]] = p
		it := items[e.item]
		it.n++
		it.sum += e.n
		items[e.item] = it
		timers = append(timers, timer{e.at + 100, keys[i], strconv.FormatInt(e.at, 10)})
	}
	return people, items, fired
}

func dump(t testing.TB, s *state.Store, cell *state.Cell[tally, *tally]) map[string]tally {
	t.Helper()
	out := map[string]tally{}
	v := s.Snapshot()
	defer v.Close()
	if err := cell.Each(v, func(key string, value *tally) bool { out[key] = *value; return true }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSameAnswerThroughCrashes runs a random log with random epochs, a tiny cache,
// few timers in memory and crashes before and after commits, and wants the answer
// of the naive model, every effect, and none that the model does not know.
func TestSameAnswerThroughCrashes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		log := enginetest.NewLog()
		var events []visit
		var keys []string
		at := int64(1000)
		for range rapid.IntRange(1, 80).Draw(rt, "messages") {
			var parts []string
			for range rng.IntN(6) {
				at += rng.Int64N(40)
				e := visit{at: at - rng.Int64N(60), item: "i" + strconv.Itoa(rng.IntN(5)), n: rng.Uint64N(9)}
				key := "p" + strconv.Itoa(rng.IntN(12))
				events, keys = append(events, e), append(keys, key)
				parts = append(parts, fmt.Sprintf("%d %s %s %d", e.at, key, e.item, e.n))
			}
			log.Append(at, []byte(strings.Join(parts, ";")))
		}
		store, err := state.Open(state.Options{})
		if err != nil {
			rt.Fatal(err)
		}
		defer store.Close()
		n := &notes{}
		var g graph
		for run := 0; ; run++ {
			g = newGraph(1 + rng.IntN(8))
			o := engine.Options{
				Source: log, Store: store, Decoder: codec{}, Graph: g.Graph, OutOfOrder: 50 * time.Millisecond,
				EpochEvents: 1 + rng.IntN(20), TimersOpen: 1 + rng.IntN(6), Once: true, LogEnd: log.Last,
				Handlers: map[string]engine.Handler{"note": n.handle}, OutboxOpen: 1 + rng.IntN(4), OutboxMax: 1 + rng.IntN(9),
			}
			if run < 6 {
				o.Committer = &crash{store: store, left: 1 + rng.IntN(8), after: rng.IntN(2) == 0}
			}
			e, err := engine.Open(t.Context(), o)
			if err != nil {
				rt.Fatal(err)
			}
			err = e.Run(t.Context())
			if err == nil {
				break
			}
			if !errors.Is(err, errCrash) {
				rt.Fatal(err)
			}
		}
		people, items, fired := model(events, keys, 50)
		if got := dump(t, store, g.people); !maps.Equal(got, people) {
			rt.Fatalf("people:\n got %v\nwant %v", got, people)
		}
		if got := dump(t, store, g.items); !maps.Equal(got, items) {
			rt.Fatalf("items:\n got %v\nwant %v", got, items)
		}
		// Effects are at least once, each the model's: making them once is the handler's.
		got := map[string]bool{}
		for _, s := range n.all {
			got[s] = true
		}
		for _, f := range fired {
			if !got[f] {
				rt.Fatalf("effect %q is missing in %v", f, n.all)
			}
			delete(got, f)
		}
		if len(got) > 0 {
			rt.Fatalf("effects that nobody decided: %v", got)
		}
	})
}

// TestPositions wants a named error for every way in which a log can fail to be the
// one that was read.
func TestPositions(t *testing.T) {
	f := func(spoil func(l *enginetest.Log), want error) {
		t.Helper()
		log := enginetest.NewLog()
		for i := range 10 {
			log.Append(int64(i), fmt.Appendf(nil, "%d p i 1", 1000+i))
		}
		store, err := state.Open(state.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		run := func(gap bool) error {
			e, err := engine.Open(t.Context(), engine.Options{
				Source: log, Store: store, Decoder: codec{}, Graph: newGraph(0).Graph,
				Once: true, LogEnd: log.Last, AcceptGap: gap,
				Handlers: map[string]engine.Handler{"note": (&notes{}).handle},
			})
			if err != nil {
				return err
			}
			return e.Run(t.Context())
		}
		if err := run(false); err != nil {
			t.Fatal(err)
		}
		spoil(log)
		if err := run(false); !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
		if err := run(true); err != nil {
			t.Fatalf("with --accept-gap: %v", err)
		}
	}
	f(func(*enginetest.Log) {}, nil)
	f(func(l *enginetest.Log) { l.Rewind(9) }, engine.ErrLogRewound)
	f(func(l *enginetest.Log) { l.Recreate() }, engine.ErrLogRecreated)
	f(func(l *enginetest.Log) { l.Append(1, nil); l.Append(2, nil); l.Trim(12) }, engine.ErrLogTrimmed)
	f(func(l *enginetest.Log) { l.Rewind(9); l.Append(1, []byte("other")) }, engine.ErrLogDiffers)
}
