package engine

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"strings"
	"sync/atomic"

	"millrace/state"
)

// timers are the pending event-time timers. All of them stand in the store; those
// that come next are in memory too, so a million of them cost little. A timer is its
// store key: due time, operator, key, tag, which sort in firing order.
type timers struct {
	spilled *atomic.Uint64 // times some had to go on disk only
	read    *state.Reader
	max     int
	heap    []string // a min-heap of every pending timer below horizon
	horizon string   // the first key that may be pending outside the heap
	all     bool     // the heap holds every pending timer; horizon means nothing
	space   byte     // of their keys; 0 is state.SpaceTimers

	open    freshTimers   // since the last epoch closed
	fresh   []freshTimers // of epochs that the reader does not see yet, oldest first
	pending int64         // an estimate: a timer that two epochs set counts twice
}

// freshTimers are what one epoch did to timers.
type freshTimers struct {
	epoch   uint64
	keys    []string        // each once, in the order in which they were touched
	pending map[string]bool // how each was left: pending, or fired
}

func (f *freshTimers) leave(raw string, pending bool) {
	if f.pending == nil {
		f.pending = make(map[string]bool)
	}
	if _, touched := f.pending[raw]; !touched {
		f.keys = append(f.keys, raw)
	}
	f.pending[raw] = pending
}

// timerKey encodes an event-time timer so that byte order is firing order.
func timerKey(due int64, op uint16, key, tag string) string {
	return timerKeyIn(state.SpaceTimers, due, op, key, tag)
}

func timerKeyIn(space byte, due int64, op uint16, key, tag string) string {
	b := make([]byte, 0, 12+len(key)+len(tag))
	b = append(b, space)
	b = binary.BigEndian.AppendUint64(b, uint64(due)^(1<<63)) //nolint:gosec // order-preserving on purpose
	b = binary.BigEndian.AppendUint16(b, op)
	b = append(b, key...)
	b = append(b, 0)
	b = append(b, tag...)
	return string(b)
}

func timerDue(raw string) int64 {
	return int64(binary.BigEndian.Uint64([]byte(raw[1:9])) ^ (1 << 63)) //nolint:gosec // see timerKey
}

func timerParts(raw string) (op uint16, key, tag string) {
	op = binary.BigEndian.Uint16([]byte(raw[9:11]))
	key, tag, _ = strings.Cut(raw[11:], "\x00")
	return op, key, tag
}

// start loads the timers that come first.
func (t *timers) start(read *state.Reader, limit int, low int64, pending int64) error {
	t.read, t.max, t.pending = read, limit, pending
	t.space = cmp.Or(t.space, state.SpaceTimers)
	t.horizon = timerKeyIn(t.space, low, 0, "", "")[:9] // past the tombstones of what fired long ago
	return t.load()
}

// low is a due time at or before that of every pending timer.
func (t *timers) low() int64 {
	low := int64(math.MaxInt64)
	if len(t.heap) > 0 {
		low = timerDue(t.heap[0])
	} else if !t.all {
		low = timerDue(t.horizon)
	}
	return low
}

// set adds a timer.
func (t *timers) set(raw string) {
	if t.noteSet(raw) {
		t.keep(raw)
	}
}

// noteSet notes that a timer was set, and tells whether this epoch had not set it.
func (t *timers) noteSet(raw string) bool {
	if t.open.pending[raw] {
		return false
	}
	t.open.leave(raw, true)
	t.pending++
	return true
}

// noteFired notes that a timer has fired.
func (t *timers) noteFired(raw string) {
	t.pending--
	t.open.leave(raw, false)
}

// keep holds a pending timer in memory, if it is one of the next.
func (t *timers) keep(raw string) {
	if t.all || raw < t.horizon {
		t.push(raw)
		if len(t.heap) > 2*t.max {
			if t.spilled != nil {
				t.spilled.Add(1)
			}
			t.shrink()
		}
	}
}

// pop takes the first timer that is due at or before until.
func (t *timers) pop(until int64) (string, bool, error) {
	raw, due, err := t.takeDue(until)
	if due {
		t.noteFired(raw)
	}
	return raw, due, err
}

// takeDue is pop for a timer of which it is noted later that it fired.
func (t *timers) takeDue(until int64) (string, bool, error) {
	if len(t.heap) == 0 && !t.all {
		if err := t.load(); err != nil {
			return "", false, err
		}
	}
	if len(t.heap) == 0 || timerDue(t.heap[0]) > until {
		return "", false, nil
	}
	raw := t.heap[0]
	for len(t.heap) > 0 && t.heap[0] == raw { // the same timer set twice is one
		t.take()
	}
	return raw, true, nil
}

// next is the due time of the first pending timer.
func (t *timers) next() (int64, bool) {
	if len(t.heap) > 0 {
		return timerDue(t.heap[0]), true
	}
	if !t.all && len(t.horizon) >= 9 {
		return timerDue(t.horizon), true
	}
	return 0, false
}

// load moves the horizon over the next timers of the store and of the epochs that
// the reader does not see yet.
func (t *timers) load() error {
	from := t.horizon
	left := t.unseen()
	var found []string
	more := false
	err := t.read.Scan([]byte{t.space}, []byte(from), func(key, _ []byte) bool {
		if pending, touched := left[string(key)]; touched && !pending {
			return true
		}
		if len(found) == t.max {
			more = true
			t.horizon = string(key)
			return false
		}
		found = append(found, string(key))
		return true
	})
	if err != nil {
		return err
	}
	t.all = !more
	for _, raw := range found {
		t.push(raw)
	}
	for raw, pending := range left { // in any order: a heap has one
		if pending && raw >= from && (t.all || raw < t.horizon) {
			t.push(raw)
		}
	}
	return nil
}

// unseen is how the epochs that the reader does not see yet left their timers.
func (t *timers) unseen() map[string]bool {
	left := make(map[string]bool)
	for _, f := range t.fresh {
		maps.Copy(left, f.pending)
	}
	maps.Copy(left, t.open.pending)
	return left
}

// shrink drops the later part of an overgrown heap: the store has it, or fresh.
func (t *timers) shrink() {
	var kept []string
	for len(kept) < t.max {
		kept = append(kept, t.heap[0])
		t.take()
	}
	if kept[len(kept)-1] == t.heap[0] { // equal ones stay together
		for len(t.heap) > 0 && t.heap[0] == kept[len(kept)-1] {
			t.take()
		}
		if len(t.heap) == 0 {
			t.heap = kept
			return
		}
	}
	t.horizon, t.all = t.heap[0], false
	t.heap = kept // ascending, so it is a heap
}

// flush writes what was set and fired into r.
func (t *timers) flush(r *state.Record) {
	for _, raw := range t.open.keys {
		if t.open.pending[raw] {
			r.Put([]byte(raw), nil)
		} else {
			r.Delete([]byte(raw))
		}
	}
	if len(t.open.keys) > 0 {
		t.open.epoch = r.Epoch
		t.fresh = append(t.fresh, t.open)
	}
	t.open = freshTimers{}
}

// seen forgets the fresh timers of epochs that the reader sees.
func (t *timers) seen(epoch uint64) {
	for len(t.fresh) > 0 && t.fresh[0].epoch <= epoch {
		t.fresh = t.fresh[1:]
	}
}

func (t *timers) push(raw string) {
	t.heap = append(t.heap, raw)
	i := len(t.heap) - 1
	for i > 0 {
		p := (i - 1) / 2
		if t.heap[p] <= t.heap[i] {
			break
		}
		t.heap[p], t.heap[i] = t.heap[i], t.heap[p]
		i = p
	}
}

func (t *timers) take() {
	last := len(t.heap) - 1
	t.heap[0] = t.heap[last]
	t.heap[last] = ""
	t.heap = t.heap[:last]
	i := 0
	for {
		small := 2*i + 1
		if small >= last {
			return
		}
		if small+1 < last && t.heap[small+1] < t.heap[small] {
			small++
		}
		if t.heap[i] <= t.heap[small] {
			return
		}
		t.heap[i], t.heap[small] = t.heap[small], t.heap[i]
		i = small
	}
}
