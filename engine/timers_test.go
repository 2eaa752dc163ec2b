package engine

import (
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"millrace/state"
)

// timerWorld is timers on a store beside a sorted slice.
type timerWorld struct {
	store   *state.Store
	read    *state.Reader
	t       timers
	model   []string // pending, in order
	low     int64
	pending int64
	epoch   uint64
	flying  *state.Record // closed, not committed
	most    int           // timers that the reader did not see at one time
}

func newTimerWorld(t interface{ Fatal(...any) }, limit int) *timerWorld {
	store, err := state.Open(state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &timerWorld{store: store, read: store.NewReader(), low: -1 << 63}
	if err := w.t.start(w.read, limit, w.low, 0); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *timerWorld) close() {
	w.read.Close()
	_ = w.store.Close()
}

func (w *timerWorld) set(raw string) {
	w.t.set(raw)
	if at, ok := slices.BinarySearch(w.model, raw); !ok {
		w.model = slices.Insert(w.model, at, raw)
	}
}

// flush closes an epoch; land makes it visible.
func (w *timerWorld) flush() {
	w.epoch++
	w.flying = &state.Record{Epoch: w.epoch}
	w.t.flush(w.flying)
	w.low, w.pending = w.t.low(), w.t.pending
}

func (w *timerWorld) land(t interface{ Fatal(...any) }) {
	if w.flying == nil {
		return
	}
	if err := w.store.Commit(context.Background(), w.flying); err != nil {
		t.Fatal(err)
	}
	w.t.seen(w.epoch)
	w.flying = nil
}

// Whatever is set, in whatever order, fires once, in order, with few timers in memory,
// commits that trail, and openings in between.
func TestTimersAgainstSortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		w := newTimerWorld(t, limit)
		defer w.close()
		until := int64(0)
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"set", "set", "set", "pop", "pop", "close", "land", "open"}).Draw(t, "step") {
			case "set":
				due := until + rapid.Int64Range(-3, 60).Draw(t, "due")
				w.set(timerKey(due, uint16(rapid.IntRange(1, 2).Draw(t, "operator")), rapid.SampledFrom([]string{"a", "b", "é"}).Draw(t, "key"), rapid.SampledFrom([]string{"", "x"}).Draw(t, "tag")))
			case "pop":
				until += rapid.Int64Range(0, 15).Draw(t, "by")
				w.popAll(t, until)
			case "close":
				w.land(t)
				w.flush()
			case "land":
				w.land(t)
			case "open": // as after an orderly end
				w.land(t)
				w.flush()
				w.land(t)
				w.t = timers{}
				if err := w.t.start(w.read, limit, w.low, w.pending); err != nil {
					t.Fatal(err)
				}
			}
			w.check(t)
		}
		w.popAll(t, 1<<40)
		w.land(t)
		w.flush()
		w.land(t)
		if err := w.read.Scan([]byte{state.SpaceTimers}, nil, func(key, _ []byte) bool {
			t.Fatalf("%q is left in the store", key)
			return false
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func (w *timerWorld) popAll(t *rapid.T, until int64) {
	for {
		got, due, err := w.t.pop(until)
		if err != nil {
			t.Fatal(err)
		}
		want := len(w.model) > 0 && timerDue(w.model[0]) <= until
		if due != want || due && got != w.model[0] {
			t.Fatalf("until %d: got %q %v, want %q", until, got, due, w.model)
		}
		if !due {
			return
		}
		w.model = w.model[1:]
	}
}

// check wants bounds that hold: memory, and the times that others rely on.
func (w *timerWorld) check(t *rapid.T) {
	fresh := len(w.t.open.keys)
	for _, f := range w.t.fresh {
		fresh += len(f.keys)
	}
	w.most = max(w.most, fresh) // loading takes up all that the reader does not see
	if len(w.t.heap) > 2*w.t.max+1+w.most {
		t.Fatalf("%d timers in memory, at most %d and %d fresh", len(w.t.heap), 2*w.t.max, w.most)
	}
	if len(w.model) == 0 {
		return
	}
	first := timerDue(w.model[0])
	if low := w.t.low(); low > first {
		t.Fatalf("low is %d, the first timer is due at %d", low, first)
	}
	if next, ok := w.t.next(); !ok || next > first {
		t.Fatalf("next is %d %v, the first timer is due at %d", next, ok, first)
	}
}

// Byte order of keys is firing order, and a key gives back what it was made of.
func TestTimerKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type timer struct {
			due      int64
			op       uint16
			key, tag string
		}
		draw := func(name string) timer {
			text := rapid.StringMatching(`[a-cé]{0,3}`)
			return timer{rapid.Int64().Draw(t, name+" due"), rapid.Uint16().Draw(t, name+" op"), text.Draw(t, name+" key"), text.Draw(t, name+" tag")}
		}
		a, b := draw("a"), draw("b")
		if rapid.Bool().Draw(t, "same due") {
			b.due = a.due
		}
		x, y := timerKey(a.due, a.op, a.key, a.tag), timerKey(b.due, b.op, b.key, b.tag)
		if op, key, tag := timerParts(x); timerDue(x) != a.due || op != a.op || key != a.key || tag != a.tag {
			t.Fatalf("%+v came back as %d %d %q %q", a, timerDue(x), op, key, tag)
		}
		before := a.due < b.due || a.due == b.due && (a.op < b.op || a.op == b.op && (a.key < b.key || a.key == b.key && a.tag < b.tag))
		if before != (x < y) {
			t.Fatalf("%+v before %+v: %v", a, b, before)
		}
	})
}
