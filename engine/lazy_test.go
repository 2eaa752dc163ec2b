package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"testing"

	"pgregory.net/rapid"

	"millrace/state"
)

// sum is how many messages a key got, and what they add up to.
type sum struct{ n, total uint64 }

func (s *sum) AppendTo(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(append(b, 1), s.n), s.total)
}

func (s *sum) DecodeFrom(b []byte) error {
	if len(b) < 3 || b[0] != 1 {
		return errors.New("not a sum")
	}
	n, size := binary.Uvarint(b[1:])
	s.n = n
	s.total, _ = binary.Uvarint(b[1+size:])
	return nil
}

type adder struct{ cell *state.Cell[sum, *sum] }

func (a adder) Process(c *Ctx, b []byte) {
	s := Value(c, a.cell)
	s.n++
	s.total += uint64(len(b))
	Changed(c, a.cell)
}

// lazyWorld is an engine's lazy half: two stages that add, each with its cell.
type lazyWorld struct {
	*Engine
	stages [2]*Stage[[]byte]
	cells  [2]*state.Cell[sum, *sum]
}

func newLazyWorld(t interface{ Fatal(...any) }, store *state.Store) *lazyWorld {
	w := &lazyWorld{}
	g := NewGraph(func(*Ctx, *Unit) {})
	for i, name := range []string{"one", "two"} {
		w.stages[i] = AddLazyStage(g, name, func(b, v []byte) []byte { return append(b, v...) }, func(s string) ([]byte, error) {
			if s != "" && s[0] == 0xff {
				return nil, errRedo
			}
			return []byte(s), nil
		})
		w.cells[i] = state.NewLazyCell[sum](name, 3)
		w.stages[i].Use("add", adder{w.cells[i]})
		g.Keep(w.cells[i])
	}
	w.Engine = &Engine{o: Options{Store: store}, graph: g, read: store.NewReader(), records: [2]*state.Record{{}, {}}}
	w.limitN, w.limitB = store.Limits()
	w.ctx.engine, w.ctx.op = w.Engine, g.operators[0]
	if err := w.number(); err != nil {
		t.Fatal(err)
	}
	return w
}

// close commits an epoch, as closeEpoch does for its lazy half.
func (w *lazyWorld) commit(t interface{ Fatal(...any) }, everything bool) {
	first, err := w.applyLazy()
	if err != nil {
		t.Fatal(err)
	}
	w.progress.Epoch++
	r := w.records[0]
	r.Reset()
	r.Epoch = w.progress.Epoch
	w.redo.flush(r, first, w.flushLazy(r, everything))
	if err := w.o.Store.Commit(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.cells {
		c.Evict(r.Epoch)
	}
}

func (w *lazyWorld) send(stage int, key string, size int) {
	w.stages[stage].Send(&w.ctx, key, make([]byte, size))
}

// Whatever was committed is there again after a crash, once: written values, and
// messages on top of those that had not seen them. Messages that nobody needs are gone.
func TestRecoverAgainstSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, err := state.Open(state.Options{MemTable: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		w := newLazyWorld(t, store)
		defer func() { w.read.Close() }()
		type at struct {
			stage int
			key   string
		}
		live, committed := map[at]sum{}, map[at]sum{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 7).Draw(t, "step") {
			case 0:
				w.commit(t, false)
				committed = maps.Clone(live)
			case 1:
				w.commit(t, true)
				committed = maps.Clone(live)
			case 2: // a crash: what is open is lost
				epoch, sent := w.progress.Epoch, uint64(0)
				for _, s := range committed {
					sent += s.n
				}
				w.read.Close()
				w = newLazyWorld(t, store)
				w.progress.Epoch, w.redo.last = epoch, sent
				if err := w.recover(); err != nil {
					t.Fatal(err)
				}
				live = maps.Clone(committed)
			default:
				a := at{rapid.IntRange(0, 1).Draw(t, "stage"), rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e"}).Draw(t, "key")}
				size := rapid.SampledFrom([]int{0, 1, 127, 128, redoPart / 2, redoPart}).Draw(t, "size")
				w.send(a.stage, a.key, size)
				live[a] = sum{live[a].n + 1, live[a].total + uint64(size)}
			}
			if w.redo.count > 0 {
				continue // applied at the commit
			}
			for a, want := range live {
				if got, err := w.cells[a.stage].Get(a.key); err != nil || *got != want {
					t.Fatalf("%v: %+v, want %+v; %v", a, got, want, err)
				}
			}
		}
		for w.behind() {
			w.commit(t, true)
		}
		w.commit(t, true)
		if err := w.read.Scan([]byte{state.SpaceRedo}, nil, func(key, _ []byte) bool {
			t.Fatalf("messages %x are left", key)
			return false
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzReplay reads whatever stands in the store: damage is an error, never a panic.
func FuzzReplay(f *testing.F) {
	store, err := state.Open(state.Options{MemTable: 16 << 20})
	if err != nil {
		f.Fatal(err)
	}
	defer store.Close()
	w := newLazyWorld(f, store)
	defer w.read.Close()
	w.send(0, "a", 3)
	w.send(1, "", 200)
	whole, _, _ := w.redo.cut(binary.AppendUvarint(nil, 1), math.MaxInt, 0, 0)
	for n := range whole {
		if n < 12 || n%50 == 0 {
			f.Add(whole[:n])
		}
	}
	f.Add(whole)
	f.Add([]byte{1, 0xff, 0, 1, 1, 'a', 1, 0xff})
	f.Add([]byte{1, 9, 1, 0, 0})
	f.Add([]byte{1, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := w.replay(1, b); err != nil && !errors.Is(err, errRedo) {
			t.Fatal(err)
		}
	})
}

// A cut of the messages is told, wherever it is.
func TestReplayTellsCuts(t *testing.T) {
	store, err := state.Open(state.Options{MemTable: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	w := newLazyWorld(t, store)
	defer w.read.Close()
	w.send(0, "a", 3)
	border := w.redo.bytes
	w.send(1, "a", 200) // of the same group, so behind it
	whole, _, _ := w.redo.cut(binary.AppendUvarint(nil, 1), math.MaxInt, 0, 0)
	for n := range len(whole) + 1 {
		fits := n == 1 || n == 2 || n == 1+border || n == len(whole)
		if err := w.replay(1, whole[:n]); fits != (err == nil) || err != nil && !errors.Is(err, errRedo) {
			t.Fatalf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
}
