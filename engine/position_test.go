package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// reread reads a log to its end, once more with each call, at so many workers, and
// answers how many units it has ever counted for person p.
type reread struct {
	t     *testing.T
	log   *enginetest.Log
	store *state.Store
	work  int
	epoch int
}

func newReread(t *testing.T, workers, epoch int) *reread {
	t.Helper()
	store, err := state.Open(state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return &reread{t: t, log: enginetest.NewLog(), store: store, work: workers, epoch: epoch}
}

func (r *reread) run(ctx context.Context, gap bool) error {
	e, err := engine.Open(ctx, engine.Options{
		Source: r.log, Store: r.store, Decoder: codec{}, Graph: newGraph(0).Graph, Parallel: r.work, EpochEvents: r.epoch,
		Once: true, LogEnd: r.log.Last, AcceptGap: gap,
		Handlers: map[string]engine.Handler{"note": (&notes{}).handle},
	})
	if err != nil {
		return err
	}
	return e.Run(ctx)
}

func (r *reread) must(gap bool) {
	r.t.Helper()
	if err := r.run(r.t.Context(), gap); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reread) counted() uint64 {
	r.t.Helper()
	g := newGraph(0)
	view, err := engine.OpenView(r.store, g.Graph)
	if err != nil {
		r.t.Fatal(err)
	}
	v := view()
	defer v.Close()
	p, _, err := engine.Read(v, g.people, "p")
	if err != nil {
		r.t.Fatal(err)
	}
	return p.n
}

func (r *reread) add(n int, data string) {
	for i := range n {
		r.log.Append(int64(i), []byte(data))
	}
}

const oneVisit = "1000 p i 1"

// An empty message is one like any other: the log is the same when it is read on behind
// it, and another one when somebody put bytes in its place.
func TestEmptyMessage(t *testing.T) {
	f := func(workers int, empty []byte) {
		t.Helper()
		r := newReread(t, workers, 0)
		r.add(3, oneVisit)
		r.log.Append(1, empty)
		r.must(false)
		r.must(false) // the position stands behind the empty message
		r.add(1, oneVisit)
		r.log.Append(1, empty)
		r.must(false)
		r.must(false)
		if got := r.counted(); got != 4 {
			t.Fatalf("%d visits are counted, want 4", got)
		}
		r.log.Rewind(5)
		r.log.Append(1, []byte("bytes"))
		if err := r.run(t.Context(), false); !errors.Is(err, engine.ErrLogDiffers) {
			t.Fatalf("another message in its place: %v", err)
		}
	}
	f(1, nil)
	f(1, []byte{})
	f(4, nil)
	f(4, []byte{})
}

// What --accept-gap goes on with is all that the log holds and was not read: nothing of a
// log that was made anew is taken for read because of its number.
func TestAcceptedGaps(t *testing.T) {
	f := func(workers int, spoil func(r *reread), want uint64) {
		t.Helper()
		r := newReread(t, workers, 0)
		r.add(10, oneVisit)
		r.must(false)
		spoil(r)
		r.must(true)
		r.must(false) // it fits now
		if got := r.counted(); got != want {
			t.Fatalf("%d workers: %d visits are counted, want %d", workers, got, want)
		}
	}
	for _, workers := range []int{1, 4} {
		f(workers, func(r *reread) { r.log = enginetest.NewLog(); r.log.Recreate(); r.add(4, oneVisit) }, 14)
		f(workers, func(r *reread) { r.log = enginetest.NewLog(); r.log.Recreate(); r.add(25, oneVisit) }, 35)
		f(workers, func(r *reread) { r.log.Recreate(); r.log.Trim(8) }, 13)
		f(workers, func(r *reread) { r.log.Rewind(6); r.must(true); r.add(5, oneVisit) }, 15)
		f(workers, func(r *reread) { r.add(5, oneVisit); r.log.Trim(13) }, 13)
	}
}

// A position inside a message whose predecessor was erased has nothing to compare with,
// and says so: no hash of an older message is taken for that of the missing one.
func TestInsideAfterGap(t *testing.T) {
	f := func(workers int) {
		t.Helper()
		r := newReread(t, workers, 2) // an epoch ends inside the message
		r.add(2, oneVisit)
		r.log.Skip(1, []byte(oneVisit+";"+oneVisit+";"+oneVisit+";"+oneVisit+";"+oneVisit))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var seen []engine.Position
		e, err := engine.Open(ctx, engine.Options{
			Source: r.log, Store: r.store, Decoder: codec{}, Graph: newGraph(0).Graph, Parallel: workers, EpochEvents: 2,
			Once: true, LogEnd: r.log.Last, Handlers: map[string]engine.Handler{"note": (&notes{}).handle},
			Committer: committed(func(ctx context.Context, rec *state.Record) error {
				if err := r.store.Commit(ctx, rec); err != nil {
					return err
				}
				at, err := position(r.store)
				seen = append(seen, at)
				return err
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Run(ctx); err != nil {
			t.Fatal(err)
		}
		inside := 0
		for _, at := range seen {
			if at.Seq == 3 && at.Index > 0 {
				inside++
				if at.Hash != 0 {
					t.Fatalf("%d workers: position %+v has the hash of another message", workers, at)
				}
			}
		}
		if inside == 0 {
			t.Fatalf("%d workers: no epoch ended inside the message: %+v", workers, seen)
		}
		if last := seen[len(seen)-1]; last.Seq != 4 || last.Hash == 0 {
			t.Fatalf("%d workers: it ends at %+v", workers, last)
		}
	}
	f(1)
	f(4)
}

type committed func(ctx context.Context, r *state.Record) error

func (c committed) Commit(ctx context.Context, r *state.Record) error { return c(ctx, r) }

// position is where the store says that the log was read to.
func position(s *state.Store) (engine.Position, error) {
	raw, _, err := s.Get(nil, []byte("\x01progress"))
	if err != nil {
		return engine.Position{}, err
	}
	var p struct{ Position engine.Position }
	err = json.Unmarshal(raw, &p)
	return p.Position, err
}
