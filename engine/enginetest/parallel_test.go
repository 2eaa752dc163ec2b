package enginetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// How a log is run through a graph: cut where, and by how many goroutines at each opening.
type cut struct {
	Epoch, Cache, Timers int
	Parallel             []int // one after the other, from the first again
	Crash                []int // commits that fail
}

var errCut = errors.New("the commit was cut off")

type cutOff struct {
	*state.Store
	left int
}

func (c *cutOff) Commit(ctx context.Context, r *state.Record) error {
	if c.left--; c.left == 0 {
		return errCut
	}
	return c.Store.Commit(ctx, r)
}

// drawLog is a log of messages with several units each: times out of order, ticks, and
// messages that hold nothing.
func drawLog(rng *rand.Rand, messages int, slack int64) [][]byte {
	now := int64(1_000_000)
	out := make([][]byte, 0, messages)
	for range messages {
		var parts []string
		for range rng.IntN(6) {
			now += rng.Int64N(1 + slack/2)
			if rng.IntN(12) == 0 {
				parts = append(parts, fmt.Sprintf("t %d", now+rng.Int64N(200)))
				continue
			}
			at := now - rng.Int64N(1+2*slack)
			parts = append(parts, fmt.Sprintf("e %d %d k%d %d", at, now, rng.IntN(12), rng.Uint64()))
		}
		out = append(out, []byte(strings.Join(parts, ";")))
	}
	return out
}

// cutRun is what a run leaves behind.
type cutRun struct {
	store map[string]string
	rows  map[uint64]engine.Row
}

func runCut(t rapid.TB, s *spec, slack int64, log *enginetest.Log, c cut) cutRun {
	t.Helper()
	store, err := state.Open(state.Options{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	out := cutRun{rows: make(map[uint64]engine.Row)}
	var mu sync.Mutex
	handle := func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		row.Body = bytes.Clone(row.Body)
		out.rows[row.ID] = row
		return engine.Removed, 0, nil
	}
	for run := 0; ; run++ {
		o := engine.Options{
			Source: log, Store: store, Decoder: decoder{}, Graph: build(s, c.Cache).Graph, OutOfOrder: time.Duration(slack) * time.Millisecond,
			EpochEvents: c.Epoch, TimersOpen: c.Timers, Once: true, LogEnd: log.Last, Parallel: c.Parallel[run%len(c.Parallel)],
			Handlers: map[string]engine.Handler{"note": handle, "mail": handle, "flaky": handle},
		}
		if run < len(c.Crash) {
			o.Committer = &cutOff{store, c.Crash[run]}
		}
		e, err := engine.Open(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err = e.Run(context.Background()); err == nil {
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatal(err)
		}
	}
	v := store.Snapshot()
	defer v.Close()
	out.store = make(map[string]string)
	for _, space := range []byte{state.SpaceCells, state.SpaceParts, state.SpaceTimers, state.SpaceOutbox} {
		if err := v.Scan([]byte{space}, nil, func(k, val []byte) bool { out.store[string(k)] = string(val); return true }); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Whatever the graph, the log, the cut and the number of goroutines: what is left behind is
// what a plain interpreter of the same rules holds, to the byte.
func TestParallelAgainstReference(t *testing.T) {
	fired, rows := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 7))
		s, slack := drawSpec(rng), 1+rng.Int64N(1<<rng.IntN(10))
		log := enginetest.NewLog()
		ref := newReference(s, slack)
		for i, data := range drawLog(rng, rapid.SampledFrom([]int{1, 7, 60, 150, 500}).Draw(t, "messages"), slack) {
			log.Append(int64(i), data)
		}
		for _, m := range log.Messages() {
			ref.read(m)
		}
		f := func(c cut) {
			got := runCut(t, s, slack, log, c)
			if err := compare(got.store, ref.dump(true)); err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			if len(got.rows) != len(ref.rows) {
				t.Fatalf("%+v: %d effects, want %d", c, len(got.rows), len(ref.rows))
			}
			for _, want := range ref.rows {
				if row := got.rows[want.ID]; fmt.Sprint(row) != fmt.Sprint(want) {
					t.Fatalf("%+v: row %v, want %v", c, row, want)
				}
			}
		}
		epoch := rapid.SampledFrom([]int{1, 3, 100, 100_000}).Draw(t, "epoch")
		f(cut{Epoch: epoch, Parallel: []int{rapid.SampledFrom([]int{1, 2, 3, 4, 8}).Draw(t, "goroutines")}})
		f(cut{
			Epoch: epoch, Cache: rapid.IntRange(1, 20).Draw(t, "cache"), Timers: rapid.IntRange(1, 20).Draw(t, "timers"),
			Parallel: rapid.SliceOfN(rapid.IntRange(1, 8), 1, 4).Draw(t, "goroutines of each run"),
			Crash:    rapid.SliceOfN(rapid.IntRange(1, 9), 0, 4).Draw(t, "crashes"),
		})
		fired, rows = fired+len(ref.timers), rows+len(ref.rows)
	})
	if fired == 0 || rows < 100 {
		t.Errorf("%d timers are left and %d effects were decided: nothing is shown", fired, rows)
	}
}
