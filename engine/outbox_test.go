package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"millrace/state"
)

// poolWorld runs a pool in virtual time; do says what comes of a row.
type poolWorld struct {
	*pool
	t     *testing.T
	mu    sync.Mutex
	calls []string // "row@time"
	start time.Time
	stop  func()
}

func newPoolWorld(t *testing.T, window, workers int, do func(row Row, try int) (Result, time.Duration, error)) *poolWorld {
	store, err := state.Open(state.Options{Virtual: true, MemTable: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w := &poolWorld{pool: newPool(store, window), t: t, start: time.Now()}
	w.view = func() *View { return &View{Snapshot: store.Snapshot()} }
	w.log = slog.New(slog.DiscardHandler)
	tries := map[uint64]int{}
	w.handlers = map[string]Handler{"mail": func(_ context.Context, _ *View, row Row) (Result, time.Duration, error) {
		w.mu.Lock()
		tries[row.ID]++
		try := tries[row.ID]
		w.calls = append(w.calls, fmt.Sprintf("%d@%v", row.ID, time.Since(w.start)))
		w.mu.Unlock()
		return do(row, try)
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.stop = func() {
		cancel()
		<-done
		_ = store.Close()
	}
	go func() {
		defer close(done)
		w.run(ctx, workers, time.Minute)
	}()
	return w
}

// commit is an epoch with rows in these lanes.
func (w *poolWorld) commit(first uint64, lanes ...string) {
	r := &state.Record{}
	var rows []Row
	for i, lane := range lanes {
		row := Row{ID: first + uint64(i), Kind: "mail", Lane: lane}
		rows = append(rows, row)
		r.PutFunc(rowKey(row.ID), func(b []byte) []byte { return appendRow(b, &row) })
	}
	if err := w.store.Commit(context.Background(), r); err != nil {
		w.t.Fatal(err)
	}
	w.offer(rows)
}

func (w *poolWorld) called() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// Rows of a lane wait for those before them; a retry holds up its own lane only.
func TestPoolLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPoolWorld(t, 10, 1, func(row Row, try int) (Result, time.Duration, error) {
			switch {
			case row.ID == 1 && try < 3:
				return Again, 0, errors.New("busy")
			case row.ID == 4 && try == 1:
				return Again, time.Second, nil // not before
			}
			return Removed, 0, nil
		})
		defer w.stop()
		w.commit(1, "a", "a", "b", "c")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		again := Backoff{}.Wait(1, 1)
		second := again + Backoff{}.Wait(2, 1)
		want := []string{"1@0s", "3@0s", "4@0s", fmt.Sprint("1@", again), fmt.Sprint("1@", second), fmt.Sprint("2@", second), "4@1s"}
		if got := w.called(); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if unresolved, reported, removals := w.load(); unresolved != 0 || reported != 0 || removals != 4 || w.retries != 3 || w.resolved != 4 {
			t.Fatalf("%d %d %d, %d retries, %d resolved", unresolved, reported, removals, w.retries, w.resolved)
		}
		if rows := w.takeRemovals(); !slices.Equal(rows, []uint64{3, 1, 2, 4}) {
			t.Fatal(rows)
		}
	})
}

// A row without a handler is tried again for ever, and is never lost.
func TestPoolNoHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPoolWorld(t, 10, 2, nil)
		defer w.stop()
		w.offer([]Row{{ID: 1, Kind: "unheard of"}})
		time.Sleep(time.Hour)
		synctest.Wait()
		if unresolved, _, removals := w.load(); unresolved != 1 || removals != 0 || w.retries < 30 || w.retries > 61 {
			t.Fatalf("%d unresolved, %d removals, %d retries", unresolved, removals, w.retries)
		}
	})
}

// However many rows wait, few are in memory, and each is carried out once, in order.
func TestPoolWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *poolWorld
		w = newPoolWorld(t, 3, 2, func(Row, int) (Result, time.Duration, error) {
			time.Sleep(time.Millisecond)
			w.pool.mu.Lock()
			defer w.pool.mu.Unlock()
			if len(w.window) > 3 {
				t.Errorf("%d rows in memory", len(w.window))
			}
			return Removed, 0, nil
		})
		defer w.stop()
		next := uint64(1)
		for range 10 {
			w.commit(next, "a", "a", "a", "a")
			next += 4
			if next%3 == 0 {
				time.Sleep(2 * time.Millisecond)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		rows := w.takeRemovals()
		if unresolved, _, _ := w.load(); unresolved != 0 || len(rows) != 40 || !slices.IsSorted(rows) || len(w.called()) != 40 {
			t.Fatalf("%d unresolved, %d calls, %v", unresolved, len(w.called()), rows)
		}
	})
}

// A receipt may be read before its handler returns, after it, or by a later run.
func TestPoolSettle(t *testing.T) {
	f := func(result Result, err error, when time.Duration, reported, removals int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := newPoolWorld(t, 3, 1, func(_ Row, try int) (Result, time.Duration, error) {
				time.Sleep(time.Second)
				if try > 1 {
					t.Error("carried out again although its receipt is there")
				}
				return result, 0, err
			})
			defer w.stop()
			w.commit(1, "a")
			if when > 0 {
				time.Sleep(when)
				w.settled(1)
			}
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if u, r, m := w.load(); u != 0 || r != reported || m != removals {
				t.Fatalf("%d unresolved, %d reported, %d removals; want 0 %d %d", u, r, m, reported, removals)
			}
		})
	}
	f(Reported, nil, 0, 1, 0)
	f(Reported, nil, 2*time.Second, 0, 0)
	f(Reported, nil, time.Second/2, 0, 0)
	f(Again, errors.New("link dropped"), time.Second/2, 0, 0)
	f(Removed, nil, 0, 0, 1)
	f(Removed, nil, time.Second/2, 0, 0)
}

// A row comes back as it was stored, and damage is told.
func TestRowWire(t *testing.T) {
	f := func(want Row) {
		t.Helper()
		b := appendRow(nil, &want)
		got, err := decodeRow(rowKey(want.ID), b)
		if err != nil || got.ID != want.ID || got.Kind != want.Kind || got.Lane != want.Lane || got.At != want.At || string(got.Body) != string(want.Body) {
			t.Fatalf("%+v %v, want %+v", got, err, want)
		}
		for n := range len(b) - len(want.Body) {
			if _, err := decodeRow(rowKey(want.ID), b[:n]); !errors.Is(err, errRow) {
				t.Fatalf("cut at %d: %v", n, err)
			}
		}
	}
	f(Row{})
	f(Row{ID: 1 << 60, Kind: "mail", Lane: "p1", At: -5, Body: []byte("{}")})
	if _, err := decodeRow([]byte{state.SpaceOutbox}, appendRow(nil, &Row{})); !errors.Is(err, errRow) {
		t.Fatal(err)
	}
}
