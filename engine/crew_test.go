package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// told is an operator that does what a message tells it.
type told struct {
	own, all *state.Cell[tally, *tally]
	loud     *engine.Stage[string]
}

func (o *told) Process(c *engine.Ctx, v string) {
	t := engine.Value(c, o.own)
	t.n++
	t.log += " " + v
	engine.Changed(c, o.own)
	what, rest, _ := strings.Cut(v, ":")
	switch what {
	case "timers": // many, due at one time
		for i := range 3000 {
			c.SetTimer(500, fmt.Sprintf("%s%04d", rest, i))
		}
	case "twice":
		c.SetTimer(300, "again")
		c.SetTimer(300, "again")
	case "read":
		c.Effect("note", c.Key(), []byte(engine.ValueOf(c, o.all, "all").log))
	case "peek":
		engine.ValueOf(c, o.own, rest)
	case "shout":
		o.loud.Send(c, "all", rest)
	}
}

func (o *told) Timer(c *engine.Ctx, tm engine.Timer) {
	t := engine.Value(c, o.own)
	t.log += " t" + tm.Tag
	t.sum++
	engine.Changed(c, o.own)
	if tm.Tag == "again" && t.sum < 3 {
		c.SetTimer(tm.Due, tm.Tag) // the same one: it fires next
		c.SetTimer(tm.Due-100, "sooner")
		c.SetTimer(tm.Due+1, "later")
	}
	c.EffectOf("note", c.Key(), func(row uint64) ([]byte, error) { return fmt.Appendf(nil, "%s %d", tm.Tag, row), nil })
}

// shout is what everybody may read.
type shout struct{ all *state.Cell[tally, *tally] }

func (o shout) Process(c *engine.Ctx, v string) {
	engine.Value(c, o.all).log += " " + v
	engine.Changed(c, o.all)
}

func newTold() *engine.Graph {
	var loud, people *engine.Stage[string]
	g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
		f := u.Value.(string)
		key, what, _ := strings.Cut(f, " ")
		if key == "all" {
			loud.Send(c, key, what)
		} else if key != "" {
			people.Send(c, key, what)
		}
	})
	people = engine.AddStage[string](g, "people")
	loud = engine.AddStage[string](g, "loud").Alone()
	own, all := state.NewCell[tally]("own", 0), state.NewCell[tally]("all", 0)
	all.Share(func(string) bool { return true })
	people.Use("told", &told{own, all, loud})
	loud.Use("shout", shout{all})
	g.Keep(own, all)
	return g
}

// lines reads "at key what" from each line of a message.
type lines struct{}

func (lines) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	for line := range strings.Lines(string(m.Data)) {
		var at int64
		var rest string
		if _, err := fmt.Sscan(line, &at, &rest); err == nil {
			_, what, _ := strings.Cut(strings.TrimSpace(line), " ")
			dst = append(dst, engine.Unit{Time: at, Value: what})
		}
	}
	return dst
}

// obey runs a log and dumps what is left behind.
func obey(t *testing.T, goroutines int, messages ...string) (string, error) {
	t.Helper()
	store, err := state.Open(state.Options{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	log := enginetest.NewLog()
	for i, m := range messages {
		log.Append(int64(i), []byte(m))
	}
	var notes strings.Builder
	e, err := engine.Open(t.Context(), engine.Options{
		Source: log, Store: store, Decoder: lines{}, Graph: newTold(), Once: true, LogEnd: log.Last, Parallel: goroutines, Workers: 1,
		OutOfOrder: time.Millisecond,
		Handlers: map[string]engine.Handler{"note": func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
			fmt.Fprintf(&notes, "%d %s %d %s\n", row.ID, row.Lane, row.At, row.Body)
			return engine.Removed, 0, nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = e.Run(t.Context())
	dump, failed := enginetest.Dump(store, state.SpaceCells, state.SpaceTimers, state.SpaceOutbox)
	if failed != nil {
		t.Fatal(failed)
	}
	var ops strings.Builder
	for _, o := range e.Stats().Operators {
		fmt.Fprintln(&ops, o)
	}
	return fmt.Sprintln(dump, e.Stats().Events, e.Stats().Timers) + ops.String() + notes.String(), err
}

// What is rare: more timers at one time than fire together, timers that set themselves
// again, and units that go alone.
func TestGoroutinesAgree(t *testing.T) {
	f := func(want string, messages ...string) {
		t.Helper()
		one, err := obey(t, 1, messages...)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(one, want) {
			t.Fatalf("%.3000s does not contain %q", one, want)
		}
		for _, n := range []int{2, 4, 64} {
			if got, err := obey(t, n, messages...); err != nil || got != one {
				t.Fatalf("%d goroutines: %v\n%.3000s\nand one\n%.3000s", n, err, got, one)
			}
		}
	}
	// 6,000 timers are due at once, in the middle of a slice and at its beginning.
	f("6000 b 599 b2999 6000", "100 a timers:a\n101 b timers:b\n102 c x\n600 d x\n601 a x\n602 b x")
	f("b2999", "100 a timers:a\n101 b timers:b", "600 d x", "", "", "700 a read:")
	// A timer set by a timer is due already: the same one and one before it are next.
	f(" tagain tsooner tagain tlater", "200 a twice:\n201 b twice:\n700 c x", "701 a read:\n702 b read:")
	// Everybody reads what units that go alone have changed, as of his place in the log.
	f(" one two", "1 a read:\n2 all one\n3 a read:\n3 b read:\n4 all two\n5 all three\n6 a read:", "7 b read:\n8 all four", "", "9 c read:")
}

// An operator that takes what is not its own is told, whoever owns it.
func TestForeignStateFails(t *testing.T) {
	f := func(want, message string) {
		t.Helper()
		if got, err := obey(t, 1, message); err != nil && !strings.Contains(got, "a") {
			t.Fatal(err)
		}
		for _, n := range []int{2, 4} {
			if _, err := obey(t, n, message); err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("%d goroutines: %v, want %q", n, err, want)
			}
		}
	}
	f("operator people/told: it uses the state of another key", "1 a peek:b")
	f("operator people/told: it sends to stage loud", "1 a x\n2 a shout:x")
	if _, err := obey(t, 4, "1 a peek:a/cart"); err != nil { // a sub-key is its own
		t.Fatal(err)
	}
}

func TestParallelFor(t *testing.T) {
	f := func(processors, want int) {
		t.Helper()
		if got := engine.ParallelFor(processors); got != want {
			t.Fatalf("%d processors: %d goroutines, want %d", processors, got, want)
		}
	}
	f(1, 1)
	f(3, 1)
	f(4, 2)
	f(16, 8)
	f(1000, 64)
}
