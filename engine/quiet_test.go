package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

func openStore(t testing.TB) *state.Store {
	t.Helper()
	s, err := state.Open(state.Options{Virtual: true, MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// run opens and runs an engine until stop is called, which answers what Run did.
func run(t testing.TB, o engine.Options) (e *engine.Engine, stop func() error) {
	t.Helper()
	e, err := engine.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return e, func() error {
		cancel()
		return <-done
	}
}

// TestTicksAfterRestart wants the timers of an earlier run to fire although nothing
// ever comes again.
func TestTicksAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store, n := enginetest.NewLog(), openStore(t), &notes{}
		now := func() int64 { return time.Now().UnixMilli() }
		o := func() engine.Options {
			return engine.Options{
				Source: log, Store: store, Decoder: codec{}, Graph: newGraph(0).Graph, OutOfOrder: time.Second,
				Handlers: map[string]engine.Handler{"note": n.handle},
				Tick: func(_ context.Context, at int64) error {
					log.Append(now(), fmt.Appendf(nil, "%d tick i 0", at))
					return nil
				},
			}
		}
		_, stop := run(t, o())
		log.Append(now(), fmt.Appendf(nil, "%d p i 1", now()))
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		_, stop = run(t, o())
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(n.all) == 0 || !strings.HasPrefix(n.all[0], "1 p ") { // ticks set timers too, in this graph
			t.Errorf("carried out: %q", n.all)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestOneTickAtATime wants a log that does not move, since commits wait for room on
// the disk, not to be filled with ticks.
func TestOneTickAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store, n := enginetest.NewLog(), openStore(t), &notes{}
		var ticks, full atomic.Int64
		e, stop := run(t, engine.Options{
			Source: log, Store: store, Decoder: codec{}, Graph: newGraph(0).Graph, OutOfOrder: time.Second, EpochEvents: 1,
			Handlers: map[string]engine.Handler{"note": n.handle},
			MayCommit: func() error {
				if full.Load() > 0 {
					return errors.New("no room")
				}
				return nil
			},
			Tick: func(_ context.Context, at int64) error {
				ticks.Add(1)
				log.Append(time.Now().UnixMilli(), fmt.Appendf(nil, "%d tick i 0", at))
				return nil
			},
		})
		log.Append(time.Now().UnixMilli(), fmt.Appendf(nil, "%d p i 1", time.Now().UnixMilli()))
		synctest.Wait()
		full.Store(1)
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		if got := e.Stats().Paused; got != "no room" {
			t.Errorf("paused: %q", got)
		}
		if got := ticks.Load(); got > 3 {
			t.Errorf("%d ticks stand in a log that nobody reads", got)
		}
		full.Store(0)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(n.all) == 0 || e.Stats().Paused != "" {
			t.Errorf("after the pause %q are carried out, paused: %q", n.all, e.Stats().Paused)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// again sets a timer that is past, the same one each time.
type again struct {
	cell *state.Cell[tally, *tally]
}

func (a *again) Process(c *engine.Ctx, _ visit) { c.SetTimer(1, "x") }

func (a *again) Timer(c *engine.Ctx, _ engine.Timer) {
	engine.Value(c, a.cell).n++
	engine.Changed(c, a.cell)
}

// TestTimerSetAgain sets a timer that has just fired once more in the same epoch: it
// fires again, also when the engine was opened anew in between.
func TestTimerSetAgain(t *testing.T) {
	store, log := openStore(t), enginetest.NewLog()
	for i, want := range []uint64{3, 4, 5} {
		for range []int{4, 1, 1}[i] {
			log.Append(1, []byte("1000 p i 1"))
		}
		cell := state.NewCell[tally]("people", 0)
		var people *engine.Stage[visit]
		g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) { people.Send(c, "p", u.Value.([2]any)[1].(visit)) })
		people = engine.AddStage[visit](g, "person")
		people.Use("again", &again{cell})
		g.Keep(cell)
		e, err := engine.Open(t.Context(), engine.Options{
			Source: log, Store: store, Decoder: codec{}, Graph: g, OutOfOrder: time.Millisecond, Once: true, LogEnd: log.Last,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := dump(t, store, cell)["p"].n; got != want {
			t.Errorf("run %d: fired %d times, want %d", i, got, want)
		}
		if got := e.Stats().Timers; got != 1 {
			t.Errorf("run %d: %d timers are counted, want 1", i, got)
		}
	}
}

// settler decides two effects for each event, and settles rows by receipts.
type settler struct{}

func (settler) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	return append(dst, engine.Unit{Time: 1, Value: string(m.Data)})
}

// TestReceiptsOfNoRow wants receipts that come twice, or of rows that never were, not
// to be mistaken for those of rows that wait.
func TestReceiptsOfNoRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := openStore(t), enginetest.NewLog()
		g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
			text, _ := u.Value.(string)
			if id, ok := strings.CutPrefix(text, "receipt "); ok {
				row, _ := strconv.ParseUint(id, 10, 64)
				c.Settle(row)
				return
			}
			c.Effect("note", "a", nil)
			c.Effect("note", "b", nil)
		})
		tries := 0
		var done []uint64
		var mu sync.Mutex
		e, err := engine.Open(t.Context(), engine.Options{
			Source: log, Store: store, Decoder: settler{}, Graph: g, Once: true, LogEnd: log.Last,
			Handlers: map[string]engine.Handler{"note": func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
				mu.Lock()
				defer mu.Unlock()
				if tries++; tries < 6 {
					return engine.Again, time.Minute, nil
				}
				done = append(done, row.ID)
				for range 3 {
					log.Append(2, fmt.Appendf(nil, "receipt %d", row.ID))
				}
				return engine.Reported, 0, nil
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"event", "receipt 77", "receipt 78", "receipt 77", "receipt 0", "event", "receipt 99"} {
			log.Append(1, []byte(text))
		}
		if err := e.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		slices.Sort(done)
		if want := []uint64{1, 2, 3, 4}; !slices.Equal(done, want) {
			t.Errorf("rows %d are carried out, want %d", done, want)
		}
		if s := e.Stats(); s.Unresolved != 0 || s.Reported != 0 {
			t.Errorf("at the end %d effects wait and %d receipts", s.Unresolved, s.Reported)
		}
		left, err := enginetest.Dump(store, state.SpaceOutbox)
		if err != nil || len(left) != 0 {
			t.Errorf("the outbox holds %q, %v", left, err)
		}
	})
}

// TestDrain ends a run while effects are under way: those that end within Drain are
// done, for good; the others begin again in the next run, with those behind them.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := openStore(t), enginetest.NewLog()
		var mu sync.Mutex
		var done []string
		slow := map[string]time.Duration{"quick": 10 * time.Second, "slow": time.Hour}
		handle := func(ctx context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
			mu.Lock()
			wait := slow[row.Lane]
			mu.Unlock()
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return engine.Again, 0, ctx.Err()
			}
			mu.Lock()
			defer mu.Unlock()
			done = append(done, string(row.Body))
			return engine.Removed, 0, nil
		}
		o := func() engine.Options {
			return engine.Options{
				Source: log, Store: store, Decoder: codec{}, Graph: newGraph(0).Graph, OutOfOrder: time.Millisecond,
				Workers: 2, Drain: 20 * time.Second, Handlers: map[string]engine.Handler{"note": handle},
			}
		}
		e, stop := run(t, o())
		log.Append(1, []byte("1000 quick i 1;1001 slow i 1;1002 waiting i 1;2000 other i 1"))
		synctest.Wait() // both workers are busy, the third row waits
		begin := time.Now()
		log.Append(1, []byte("2001 other i 1"))
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 21*time.Second {
			t.Errorf("the end took %v", took)
		}
		if want := []string{"quick 1000"}; !slices.Equal(done, want) {
			t.Errorf("done within the drain: %q, want %q", done, want)
		}
		if s := e.Stats(); s.Position.Seq != 2 {
			t.Errorf("committed to %d, want 2", s.Position.Seq)
		}
		clear(slow)
		_, stop = run(t, o())
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		for _, d := range done {
			counts[d]++
		}
		if counts["slow 1001"] != 1 || counts["waiting 1002"] != 1 {
			t.Errorf("after the second run: %q", done)
		}
		left, err := enginetest.Dump(store, state.SpaceOutbox)
		if err != nil || len(left) != 0 {
			t.Errorf("the outbox holds %q, %v", left, err)
		}
	})
}

// TestDrainKeepsWhatEnded wants an effect that ended within the drain not to be
// carried out again.
func TestDrainKeepsWhatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := openStore(t), enginetest.NewLog()
		calls := 0
		o := func() engine.Options {
			return engine.Options{
				Source: log, Store: store, Decoder: codec{}, Graph: newGraph(0).Graph, OutOfOrder: time.Millisecond,
				Handlers: map[string]engine.Handler{"note": func(context.Context, *engine.View, engine.Row) (engine.Result, time.Duration, error) {
					calls++
					time.Sleep(10 * time.Second)
					return engine.Removed, 0, nil
				}},
			}
		}
		_, stop := run(t, o())
		log.Append(1, []byte("1000 p i 1;2000 other i 1"))
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		_, stop = run(t, o())
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if calls != 1 {
			t.Errorf("carried out %d times", calls)
		}
	})
}
