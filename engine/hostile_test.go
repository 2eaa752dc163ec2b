package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// hostile runs a log to its end, over the given crashes, and answers what it leaves.
func hostile(t *testing.T, log *enginetest.Log, crashes []int, tune func(*engine.Options)) (dump, did []string) {
	t.Helper()
	store, err := state.Open(state.Options{Virtual: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	n := &notes{}
	for run := 0; ; run++ {
		weight := uint64(1)
		if _, content, found, err := engine.ActiveVersion(store); err != nil {
			t.Fatal(err)
		} else if found {
			_, _ = fmt.Sscan(string(content), &weight)
		}
		o := engine.Options{
			Source: log, Store: store, Decoder: versionCodec{cache: 3}, Graph: versionGraph(weight, 3), OutOfOrder: 50 * time.Millisecond,
			First: &engine.Activation{Hash: "1", Content: []byte("1")}, Once: true, LogEnd: log.Last,
			Handlers: map[string]engine.Handler{"note": n.handle},
		}
		tune(&o)
		if run < len(crashes) {
			o.Committer = &crash{store: store, left: crashes[run], after: run%2 == 0}
		}
		e, err := engine.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err = e.Run(t.Context()); err == nil {
			break
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
	}
	slices.Sort(n.all)
	return versionsDump(t, store), slices.Compact(n.all)
}

// sameHostile wants every way to run a log to leave the same.
func sameHostile(t *testing.T, log *enginetest.Log) {
	t.Helper()
	dump, did := hostile(t, log, nil, func(*engine.Options) {})
	for _, workers := range []int{1, 2, 4} {
		got, gotDid := hostile(t, log, []int{2, 1, 3}, func(o *engine.Options) {
			o.Parallel, o.EpochEvents, o.TimersOpen, o.OutboxMax = workers, 1+3*workers, 7, 5
		})
		if !slices.Equal(got, dump) {
			t.Errorf("%d goroutines leave another state:\ngot  %.2000q\nwant %.2000q", workers, got, dump)
		}
		if !slices.Equal(gotDid, did) {
			t.Errorf("%d goroutines did %d things, want %d", workers, len(gotDid), len(did))
		}
	}
	if len(dump) == 0 {
		t.Error("nothing is left: nothing is shown")
	}
}

// TestClocksJumpByYears lets times be anything, both ways.
func TestClocksJumpByYears(t *testing.T) {
	const year = int64(365 * 24 * 3600 * 1000)
	log := enginetest.NewLog()
	now := 50 * year
	rng := rand.New(rand.NewPCG(4, 4))
	for i, at := range []int64{
		now, now + 3*year, now + 5, now - 40*year, 0, -now, now + 10, math.MaxInt64 - 200, math.MinInt64, now + 20, math.MaxInt64, -1, now + 400*year, now + 30,
	} {
		var parts []string
		for range 1 + rng.IntN(4) {
			parts = append(parts, fmt.Sprintf("%d p%d i%d 1", at, rng.IntN(4), rng.IntN(3)))
		}
		log.Append(int64(i), []byte(strings.Join(parts, ";")))
	}
	sameHostile(t, log)
}

// TestTimersAtOneInstant lets 10,000 timers of as many keys be due at the same moment.
func TestTimersAtOneInstant(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 1_000
	}
	log := enginetest.NewLog()
	for from := 0; from < n; from += 500 {
		var parts []string
		for i := from; i < from+500; i++ {
			parts = append(parts, fmt.Sprintf("5000 p%d i%d 1", i, i%7))
		}
		log.Append(1, []byte(strings.Join(parts, ";")))
	}
	log.Append(2, []byte("900000 p1 i1 1"))
	log.Append(3, []byte("5000 p1 i1 1")) // again, far too late: its timers are due at once
	log.Append(4, []byte("900001 p2 i1 1"))
	dump, did := hostile(t, log, nil, func(*engine.Options) {})
	if len(did) != 2*n+2 { // of two operators
		t.Fatalf("%d timers fired, want %d", len(did), 2*n+2)
	}
	for _, workers := range []int{1, 4} {
		got, gotDid := hostile(t, log, []int{3, 2}, func(o *engine.Options) { o.Parallel, o.EpochEvents, o.TimersOpen = workers, 700, 3000 })
		if !slices.Equal(got, dump) || !slices.Equal(gotDid, did) {
			t.Errorf("%d goroutines leave another state, or did %d things of %d", workers, len(gotDid), len(did))
		}
	}
}

// TestDiskFullWhileActivating fills the disk at each step of a change of the graph: the
// engine waits, and goes on as if nothing had been.
func TestDiskFullWhileActivating(t *testing.T) { synctest.Test(t, fullWhileActivating) }

func fullWhileActivating(t *testing.T) {
	t.Helper()
	rng := rand.New(rand.NewPCG(8, 1))
	log := enginetest.NewLog()
	for _, s := range randomSteps(rng, 40) {
		log.Append(s.at, []byte(s.text))
	}
	dump, did := hostile(t, log, nil, func(*engine.Options) {})
	for _, point := range []string{engine.PointDecoded, engine.PointActivating, engine.PointActivated, engine.PointBeforeCommit, engine.PointAfterCommit} {
		for _, workers := range []int{1, 4} {
			var full, waited atomic.Int64
			got, gotDid := hostile(t, log, nil, func(o *engine.Options) {
				o.Parallel, o.EpochEvents = workers, 5
				o.Hook = func(at string) {
					if at == point && waited.Load() < 12 {
						full.Store(2)
					}
				}
				o.MayCommit = func() error {
					if full.Add(-1) >= 0 {
						waited.Add(1)
						return syscall.ENOSPC
					}
					return nil
				}
			})
			if !slices.Equal(got, dump) || !slices.Equal(gotDid, did) {
				t.Errorf("full at %s, %d goroutines: another state, or %d effects of %d", point, workers, len(gotDid), len(did))
			}
			if waited.Load() == 0 {
				t.Errorf("full at %s: nothing waited", point)
			}
		}
	}
}

// TestLookWhileItRuns reads, exports and copies the state from all sides while the graph
// changes under load. What a copy holds must be the state of one commit.
func TestLookWhileItRuns(t *testing.T) {
	log := enginetest.NewLog()
	rng := rand.New(rand.NewPCG(5, 6))
	for _, s := range randomSteps(rng, 100) {
		log.Append(s.at, []byte(s.text))
	}
	store, err := state.Open(state.Options{Dir: t.TempDir(), MemTable: 8 << 20, LogBytes: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	n := &notes{}
	e, err := engine.Open(t.Context(), engine.Options{
		Source: log, Store: store, Decoder: versionCodec{cache: 3}, Graph: versionGraph(1, 3), OutOfOrder: 50 * time.Millisecond, Parallel: 2, EpochEvents: 4,
		First: &engine.Activation{Hash: "1", Content: []byte("1")}, Once: true, LogEnd: log.Last, Handlers: map[string]engine.Handler{"note": n.handle},
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var looks atomic.Int64
	look := func(f func(v *engine.View) error) {
		wg.Go(func() {
			for running.Err() == nil {
				v := e.View()
				err := f(v)
				v.Close()
				if err != nil {
					t.Error(err)
					return
				}
				looks.Add(1)
			}
		})
	}
	look(func(v *engine.View) error {
		list, err := engine.Versions(v)
		if err == nil && len(list) > 0 {
			if _, found, got := engine.VersionContent(v, list[len(list)-1].Number); got != nil || !found {
				err = fmt.Errorf("version %d without its content (%w)", list[len(list)-1].Number, got)
			}
		}
		return err
	})
	look(func(v *engine.View) error {
		_, err := engine.Inventory(v)
		_ = e.Stats()
		return err
	})
	copies := t.TempDir()
	look(func(v *engine.View) error {
		dir := fmt.Sprintf("%s/%d", copies, looks.Add(1))
		if err := v.CopyTo(t.Context(), dir, nil); err != nil {
			return err
		}
		again, err := state.Open(state.Options{Dir: dir, MemTable: 8 << 20})
		if err != nil {
			return fmt.Errorf("a copy does not open: %w", err)
		}
		defer again.Close()
		_, _, _, err = engine.ActiveVersion(again)
		return err
	})
	err = e.Run(t.Context())
	stop()
	wg.Wait()
	if err != nil || looks.Load() < 3 {
		t.Fatalf("%d looks, %v", looks.Load(), err)
	}
	want, _ := hostile(t, log, nil, func(*engine.Options) {})
	if got := versionsDump(t, store); !slices.Equal(got, want) {
		t.Fatal("being looked at has changed the state")
	}
}
