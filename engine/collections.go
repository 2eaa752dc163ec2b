package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"millrace/state"
)

// ErrNewer says that a stored value has a schema that this program does not know: it
// was written by a newer one.
var ErrNewer = errors.New("the value was written by a newer millrace")

// errKept says that a stored collection is damaged.
var errKept = errors.New("the stored collection is damaged")

// keptSchema is the schema of a kept value: flags, last write, then the elements.
const keptSchema = 1

// keptArmed says that a timer is pending for the value.
const keptArmed = 1

// kept is what a key has in a collection.
type kept struct {
	wrote int64 // watermark of the last write, with a TTL; 0 before there is one
	armed bool  // a timer is pending, which looks whether the value is too old
	raws  [][]byte
}

// AppendTo appends the stored form.
func (k *kept) AppendTo(b []byte) []byte {
	b = append(b, keptSchema, flag(k.armed, keptArmed))
	b = binary.AppendVarint(b, k.wrote)
	b = binary.AppendUvarint(b, uint64(len(k.raws)))
	for _, raw := range k.raws {
		b = binary.AppendUvarint(b, uint64(len(raw)))
		b = append(b, raw...)
	}
	return b
}

// DecodeFrom replaces the value by its stored form; it is empty after an error.
func (k *kept) DecodeFrom(b []byte) error {
	*k = kept{}
	r := &storedReader{b: b}
	if v := r.byte(); v > keptSchema {
		return fmt.Errorf("a collection of schema %d, known is %d: %w", v, keptSchema, ErrNewer)
	} else if v != keptSchema {
		return errKept
	}
	flags := r.byte()
	k.armed, k.wrote = flags == keptArmed, r.varint()
	if n := r.count(1); n > 0 {
		k.raws = make([][]byte, n)
	}
	for i := range k.raws {
		k.raws[i] = r.bytes()
	}
	if r.bad || len(r.b) > 0 || flags > keptArmed {
		*k = kept{}
		return errKept
	}
	return nil
}

// collection is what lists, maps and reducing values share: a cell, and an operator
// without messages whose timers remove what is too old.
type collection struct {
	cell    *state.Cell[kept, *kept]
	entries *state.Cell[kept, *kept] // of a map: an entry for each value
	ttl     int64
	sweeper *operator
	dropped atomic.Uint64
}

func newCollection[M any](s *Stage[M], id string, ttl time.Duration, cacheMax int, entries bool) *collection {
	if s.redo != nil {
		panic(fmt.Sprintf("BUG: %s/%s: a lazy stage keeps no collections", s.name, id))
	}
	k := &collection{cell: state.NewCell[kept](s.name+"/"+id, cacheMax), ttl: ttl.Milliseconds()}
	s.graph.Keep(k.cell)
	if entries {
		k.entries = state.NewCell[kept](s.name+"/"+id+".entry", cacheMax)
		s.graph.Keep(k.entries)
	}
	if k.ttl > 0 {
		before := len(s.steps)
		s.Use(id+".ttl", sweeper[M]{k}) // it owns timers, and gets no messages
		k.sweeper = s.steps[before].operator
		s.steps = s.steps[:before]
	}
	return k
}

// Dropped is how many elements the bound has dropped or refused since start. Safe for
// concurrent use.
func (k *collection) Dropped() uint64 { return k.dropped.Load() }

// get is what a cell has under a key. What is too old is not shown; it stays as it is
// until its timer removes it, or it is written again.
func (k *collection) get(c *Ctx, cell *state.Cell[kept, *kept], key string) (v *kept, live bool) {
	v = ValueOf(c, cell, key)
	return v, len(v.raws) > 0 && !k.old(c, v)
}

// old tells whether a value is too old: a function of the watermark alone.
func (k *collection) old(c *Ctx, v *kept) bool {
	return k.ttl > 0 && v.wrote != 0 && c.Watermark() >= v.wrote+k.ttl
}

// put says that a value was written. tag names the entry of a map.
func (k *collection) put(c *Ctx, cell *state.Cell[kept, *kept], key, tag string, v *kept) {
	if k.ttl > 0 {
		v.wrote = max(c.Watermark(), 0) // before the first watermark nobody knows when that is
		k.arm(c, tag, v)
	}
	ChangedOf(c, cell, key)
}

// arm sets the timer of a value unless one is pending, which then sets itself again.
func (k *collection) arm(c *Ctx, tag string, v *kept) {
	if v.armed {
		return
	}
	v.armed = true
	due := int64(1) // by the first watermark
	if v.wrote != 0 {
		due = v.wrote + k.ttl
	}
	from := c.op
	c.op = k.sweeper
	c.SetTimer(due, tag)
	c.op = from
}

// drop empties a value. One whose timer is pending stays, empty, until that has fired.
func (k *collection) drop(c *Ctx, cell *state.Cell[kept, *kept], key string, v *kept) {
	if v.armed {
		v.raws = nil
		ChangedOf(c, cell, key)
		return
	}
	deleteOf(c, cell, key)
}

func deleteOf(c *Ctx, cell *state.Cell[kept, *kept], key string) {
	has, err := cell.Has(key)
	if err == nil && has {
		err = cell.Delete(key)
	}
	if err != nil {
		c.Fail(err)
	}
}

// sweeper removes values that nobody asks for any more. Its timers fire among those of
// the graph, a bounded number in an epoch.
type sweeper[M any] struct{ *collection }

// Process implements Operator. It is never called.
func (sweeper[M]) Process(*Ctx, M) {}

// Timer implements TimerHandler.
func (s sweeper[M]) Timer(c *Ctx, t Timer) {
	cell, key := s.cell, c.Key()
	if s.entries != nil {
		cell, key = s.entries, entryKey(c.Key(), t.Tag)
	}
	v := ValueOf(c, cell, key)
	v.armed = false
	switch {
	case len(v.raws) == 0:
		deleteOf(c, cell, key)
	case s.old(c, v):
		deleteOf(c, cell, key)
		if s.entries != nil {
			s.unlist(c, t.Tag)
		}
	default:
		if v.wrote == 0 {
			v.wrote = max(c.Watermark(), 0)
		}
		s.arm(c, t.Tag, v)
		ChangedOf(c, cell, key)
	}
}

// ListOptions say what a list holds. Codec is required.
type ListOptions[T any] struct {
	Codec EventCodec[T]
	Max   int           // elements of a key; one more drops the oldest. 0 means 1,000: some 100 KB
	TTL   time.Duration // a list goes so long after its last write, by event time. 0 keeps it
	// CacheMax is how many lists are kept decoded in memory; 0 means 100,000.
	CacheMax int
}

// ListState is a list for each key of a stage: bounded, oldest first.
type ListState[T any] struct {
	*collection
	o ListOptions[T]
}

// NewListState adds a list to a stage, for its operators. id names the state, for good.
func NewListState[T, M any](s *Stage[M], id string, o ListOptions[T]) *ListState[T] {
	mustCode(s.name+"/"+id, o.Codec)
	o.Max = cmp.Or(max(o.Max, 0), 1000)
	return &ListState[T]{newCollection(s, id, o.TTL, o.CacheMax, false), o}
}

// Append adds v at the end of the current key's list. It answers how many of the oldest
// elements the bound has dropped for it.
func (l *ListState[T]) Append(c *Ctx, v T) (dropped int) {
	k, live := l.get(c, l.cell, c.Key())
	if !live {
		k.raws = nil
	}
	k.raws = append(k.raws, l.o.Codec.Append(nil, v))
	if dropped = max(len(k.raws)-l.o.Max, 0); dropped > 0 {
		k.raws = slices.Delete(k.raws, 0, dropped)
		l.dropped.Add(uint64(dropped))
	}
	l.put(c, l.cell, c.Key(), "", k)
	return dropped
}

// All is the current key's list, oldest first.
func (l *ListState[T]) All(c *Ctx) []T {
	k, live := l.get(c, l.cell, c.Key())
	if !live {
		return nil
	}
	all := make([]T, 0, len(k.raws))
	for _, raw := range k.raws {
		all = append(all, decodeKept(c, l.cell, l.o.Codec, raw))
	}
	return all
}

// Len is how many elements the current key's list has.
func (l *ListState[T]) Len(c *Ctx) int {
	k, live := l.get(c, l.cell, c.Key())
	if !live {
		return 0
	}
	return len(k.raws)
}

// Clear removes the current key's list.
func (l *ListState[T]) Clear(c *Ctx) {
	if k, _ := l.get(c, l.cell, c.Key()); len(k.raws) > 0 {
		l.drop(c, l.cell, c.Key(), k)
	}
}

// ReducingOptions say how values become one. Codec and Reduce are required.
type ReducingOptions[T any] struct {
	Codec EventCodec[T]
	// Reduce merges a value into what is kept so far. It must not change its arguments
	// later, and must depend on them alone.
	Reduce   func(kept, v T) T
	TTL      time.Duration // the value goes so long after its last write, by event time. 0 keeps it
	CacheMax int           // decoded values in memory; 0 means 100,000
}

// ReducingState is one value for each key of a stage, into which others are merged.
type ReducingState[T any] struct {
	*collection
	o ReducingOptions[T]
}

// NewReducingState adds a reducing value to a stage, for its operators. id names the
// state, for good.
func NewReducingState[T, M any](s *Stage[M], id string, o ReducingOptions[T]) *ReducingState[T] {
	mustCode(s.name+"/"+id, o.Codec)
	if o.Reduce == nil {
		panic(fmt.Sprintf("BUG: %s/%s has no function that reduces", s.name, id))
	}
	return &ReducingState[T]{newCollection(s, id, o.TTL, o.CacheMax, false), o}
}

// Add merges v into the current key's value, and answers that.
func (r *ReducingState[T]) Add(c *Ctx, v T) T {
	k, live := r.get(c, r.cell, c.Key())
	if live {
		v = r.o.Reduce(decodeKept(c, r.cell, r.o.Codec, k.raws[0]), v)
	}
	k.raws = append(k.raws[:0], r.o.Codec.Append(nil, v))
	r.put(c, r.cell, c.Key(), "", k)
	return v
}

// Get is the current key's value, and whether there is one.
func (r *ReducingState[T]) Get(c *Ctx) (v T, ok bool) {
	k, live := r.get(c, r.cell, c.Key())
	if !live {
		return v, false
	}
	return decodeKept(c, r.cell, r.o.Codec, k.raws[0]), true
}

// Clear removes the current key's value.
func (r *ReducingState[T]) Clear(c *Ctx) {
	if k, _ := r.get(c, r.cell, c.Key()); len(k.raws) > 0 {
		r.drop(c, r.cell, c.Key(), k)
	}
}

func mustCode[T any](name string, codec EventCodec[T]) {
	if codec.Append == nil || codec.Decode == nil {
		panic(fmt.Sprintf("BUG: %s has no codec", name))
	}
}

func decodeKept[T any](c *Ctx, cell *state.Cell[kept, *kept], codec EventCodec[T], raw []byte) T {
	v, err := codec.Decode(raw)
	if err != nil {
		c.Fail(fmt.Errorf("cell %s holds an element that cannot be read: %w", cell.Name(), err))
	}
	return v
}

// entryKey is the sub-key of an entry of a map. What stands before the first slash says
// who owns it, as for every sub-key; the length at the end keeps "a/b" of c and "a" of
// "b/c" apart.
func entryKey(key, entry string) string {
	var b strings.Builder
	b.Grow(len(key) + len(entry) + 3)
	b.WriteString(key)
	b.WriteByte('/')
	b.WriteString(entry)
	b.WriteByte(byte(len(key) >> 8))
	b.WriteByte(byte(len(key)))
	return b.String()
}
