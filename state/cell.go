package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
)

// The spaces of keys, see the package comment.
const (
	SpaceMeta   = 0x01
	SpaceCells  = 0x02
	SpaceTimers = 0x03
	SpaceOutbox = 0x04
	SpaceRedo   = 0x05
	SpaceParts  = 0x06
)

// Codec is what a value in a cell knows: to append its encoding, which begins with
// a schema version, and to read it back, migrating older versions. DecodeFrom must
// not keep b.
type Codec[T any] interface {
	*T
	AppendTo(b []byte) []byte
	DecodeFrom(b []byte) error
}

// Cell is one kind of keyed state: at most one value of T for each key, read
// through a write-back cache of decoded values. A warm key costs no Badger call.
// One goroutine at a time owns a cell; View may be called from any.
type Cell[T any, P Codec[T]] struct {
	name string
	id   uint16
	read *Reader
	max  int

	values  map[string]*slot[T]
	clock   []*slot[T] // every slot of values, for eviction, but for young ones
	hand    int
	last    *slot[T]   // the value asked for last: Get and Touch come in pairs
	dirty   []*slot[T] // oldest first
	weight  int        // estimated bytes of dirty values
	lazy    bool
	scratch []byte
	part    []byte
	seed    maphash.Seed
	packed  *packed    // of a packed cell
	spare   []*slot[T] // of a packed cell: to be used again
	young   []*slot[T] // of a packed cell: decoded since Trim, and not yet in clock
	sharding[T, P]
}

// slot is one cached value.
type slot[T any] struct {
	key     string
	flushed uint64   // epoch of the record that last took the value
	applied uint64   // of a lazy cell: the last message that changed the value
	since   uint64   // of a lazy cell: the epoch that made it dirty
	size    int32    // bytes of its last encoding
	parts   []uint64 // hashes of its parts as the store has them
	dirty   bool
	used    bool   // since the hand of the clock last passed
	absent  bool   // nothing is stored under the key
	changed bool   // of a packed cell: since it was packed last
	hash    uint64 // of a packed cell: the key's
	at      place  // of a packed cell: the entry that it was decoded from, 0 for none
	value   T
}

// NewCell makes a cell. Its name is for good: it names the state. cacheMax is the
// number of decoded values kept; 0 means 100,000.
func NewCell[T any, P Codec[T]](name string, cacheMax int) *Cell[T, P] {
	if cacheMax <= 0 {
		cacheMax = 100_000 // at about 1 KB a person that is 100 MB
	}
	return &Cell[T, P]{name: name, max: cacheMax, values: make(map[string]*slot[T]), seed: maphash.MakeSeed()}
}

// NewLazyCell makes a cell whose changed values are written behind: not with the epoch
// that changed them, but a while later, so that a hot value is written once for many
// changes. It belongs to a stage of the graph whose messages stand in the epoch
// records until then. Each value carries the number of the last message that changed
// it, so that after a crash none is applied twice.
func NewLazyCell[T any, P Codec[T]](name string, cacheMax int) *Cell[T, P] {
	c := NewCell[T, P](name, cacheMax)
	c.lazy = true
	return c
}

// NewPackedCell makes a cell that keeps most of its values encoded, in blocks of bytes,
// and only decodedMax of them decoded, 16,384 if that is 0: for many values of which one
// event in a long time needs one. Cells share memory; nil is a budget of the cell's own.
//
// A value that Trim takes back is decoded anew into memory that another one used: what
// Get answers must not be used, nor any slice of it, when the work that asked for it is
// done. Strings may.
func NewPackedCell[T any, P Codec[T]](name string, decodedMax int, memory *Memory) *Cell[T, P] {
	if decodedMax <= 0 {
		decodedMax = 16384 // those of the busiest keys: some ten megabytes, seldom decoded twice in an epoch
	}
	c := NewCell[T, P](name, decodedMax)
	c.packed = newPacked(memory)
	return c
}

// Lazy tells whether the cell's values are written behind.
func (c *Cell[T, P]) Lazy() bool { return c.lazy }

// Applied is the number of the last message that changed the value of key in a lazy
// cell, 0 for none.
func (c *Cell[T, P]) Applied(key string) (uint64, error) {
	_, s, err := c.find(key)
	if err != nil {
		return 0, err
	}
	return s.applied, nil
}

// TouchLazy says that message number n, in the given epoch, changed the value of key
// in a lazy cell.
func (c *Cell[T, P]) TouchLazy(key string, n, epoch uint64) error {
	c, s, err := c.find(key)
	if err != nil {
		return err
	}
	s.absent, s.applied = false, n
	if !s.dirty {
		s.since = epoch
	}
	c.mark(s)
	return nil
}

// Oldest is the epoch that made the oldest dirty value of a lazy cell dirty.
func (c *Cell[T, P]) Oldest() (epoch uint64, dirty bool) {
	c.all(func(s *Cell[T, P], _ int) {
		if of, is := s.Oldest(); is && (!dirty || of < epoch) {
			epoch, dirty = of, true
		}
	})
	if len(c.dirty) == 0 {
		return epoch, dirty
	}
	return c.dirty[0].since, true
}

// Name is the cell's name.
func (c *Cell[T, P]) Name() string { return c.name }

// Attach binds the cell to its store under the number that the store keeps for its
// name. The engine calls it once, before any other use.
func (c *Cell[T, P]) Attach(r *Reader, id uint16) {
	c.read, c.id = r, id
}

// Empty says, after Attach, that the store holds no value of the cell, so that a packed
// one need not ask for each that is new.
func (c *Cell[T, P]) Empty() {
	if c.packed != nil {
		c.packed.complete = true
	}
}

// AppendKey appends the store's key of a cell's value.
func AppendKey(dst []byte, id uint16, key string) []byte {
	dst = append(dst, SpaceCells, KeyGroup(key))
	dst = binary.BigEndian.AppendUint16(dst, id)
	return append(dst, key...)
}

// Get returns the value of key for reading and changing; a key without a value gets
// the zero value. Call Touch after changing it. The pointer is good until Trim or Evict
// is called.
func (c *Cell[T, P]) Get(key string) (P, error) {
	_, s, err := c.find(key)
	if err != nil {
		return nil, err
	}
	return &s.value, nil
}

// Has tells whether key has a value, stored or made by Touch.
func (c *Cell[T, P]) Has(key string) (bool, error) {
	_, s, err := c.find(key)
	if err != nil {
		return false, err
	}
	return !s.absent, nil
}

// Touch says that the value of key was changed since Get, and is to be written with
// this epoch.
func (c *Cell[T, P]) Touch(key string) error {
	c, s, err := c.find(key)
	if err != nil {
		return err
	}
	s.absent = false
	c.mark(s)
	return nil
}

// Delete removes the value of key.
func (c *Cell[T, P]) Delete(key string) error {
	c, s, err := c.find(key)
	if err != nil {
		return err
	}
	var zero T
	s.value, s.absent = zero, true
	c.mark(s)
	return nil
}

// entryBytes is about what a transaction takes for an entry beside key and value.
const entryBytes = 64

func (c *Cell[T, P]) mark(s *slot[T]) {
	s.changed = true
	if s.dirty {
		return
	}
	s.dirty = true
	c.dirty = append(c.dirty, s)
	c.weight += int(s.size) + len(s.key) + entryBytes
}

func (c *Cell[T, P]) slot(key string) (*slot[T], error) {
	if c.last != nil && c.last.key == key {
		return c.last, nil
	}
	if s := c.values[key]; s != nil {
		s.used = true
		c.last = s
		return s, nil
	}
	s := c.newSlot(key)
	if known, err := c.unpack(s); known || err != nil {
		if err != nil {
			return nil, fmt.Errorf("cell %s holds a value that cannot be read: %w", c.name, err)
		}
		c.keep(s)
		return s, nil
	}
	if err := c.load(s); err != nil {
		return nil, err
	}
	c.keep(s)
	return s, nil
}

// newSlot is an empty slot for a key.
func (c *Cell[T, P]) newSlot(key string) *slot[T] {
	if n := len(c.spare); n > 0 {
		s := c.spare[n-1]
		c.spare = c.spare[:n-1]
		s.key, s.used = strings.Clone(key), true
		return s
	}
	return &slot[T]{key: strings.Clone(key), used: true}
}

func (c *Cell[T, P]) keep(s *slot[T]) {
	c.values[s.key] = s
	if c.packed == nil {
		c.clock = append(c.clock, s)
	} else {
		c.young = append(c.young, s)
	}
	c.last = s
}

// load reads a value from the store.
func (c *Cell[T, P]) load(s *slot[T]) error {
	key := s.key
	var found bool
	var err error
	raw := AppendKey(c.scratch[:0], c.id, key)
	n := len(raw)
	raw, found, err = c.read.Get(raw, raw)
	c.scratch = raw[:0]
	if err != nil {
		return fmt.Errorf("cell %s: %w", c.name, err)
	}
	s.absent = !found
	if found {
		if s.applied, err = c.decode(&s.value, raw[n:]); err != nil {
			return fmt.Errorf("cell %s holds a value that cannot be read: %w", c.name, err)
		}
		if p, ok := any(P(&s.value)).(Parted); ok {
			err := readParts(p, c.id, s.key, c.read.Get, func(part []byte) { s.parts = append(s.parts, maphash.Bytes(c.seed, part)) })
			if err != nil {
				return fmt.Errorf("cell %s holds a value that cannot be read: %w", c.name, err)
			}
		}
		s.size = int32(min(len(raw)-n, 1<<30)) //nolint:gosec // bounded the line before
	}
	return nil
}

// Dirty is about how many values wait to be written, and an estimate of their bytes.
func (c *Cell[T, P]) Dirty() (values, bytes int) {
	if c.shards == nil {
		values = len(c.dirty)
		if c.packed != nil {
			values += len(c.packed.dirty)
		}
		return values, c.weight
	}
	c.all(func(s *Cell[T, P], _ int) {
		v, b := s.Dirty()
		values, bytes = values+v, bytes+b
	})
	return values, bytes
}

// Flush writes changed values into r, and forgets that they were changed: all of
// them, or of a lazy cell those that became dirty in an epoch at or before until, and
// at most about maxBytes, of which each value takes some for being an entry.
func (c *Cell[T, P]) Flush(r *Record, until uint64, maxBytes int) {
	n, start := 0, r.Bytes()
	c.all(func(s *Cell[T, P], left int) { s.Flush(r, until, (maxBytes-(r.Bytes()-start))/left) })
	for _, s := range c.dirty {
		if !s.dirty { // it was packed, and is written from there
			n++
			continue
		}
		if c.lazy && (s.since > until || r.Bytes()-start+entryBytes*n >= maxBytes) {
			break
		}
		c.flush(r, s)
		n++
	}
	rest := copy(c.dirty, c.dirty[n:])
	clear(c.dirty[rest:])
	c.dirty = c.dirty[:rest]
	if c.packed != nil {
		c.flushPacked(r)
	}
	if !c.lazy {
		c.weight = 0
	}
}

func (c *Cell[T, P]) flush(r *Record, s *slot[T]) {
	c.weight -= int(s.size) + len(s.key) + entryBytes
	c.scratch = AppendKey(c.scratch[:0], c.id, s.key)
	if s.absent {
		r.Delete(c.scratch)
		c.dropParts(r, s, 0)
		s.size = 0
	} else if p, ok := any(P(&s.value)).(Parted); ok {
		s.size = int32(min(c.flushParted(r, s, p), 1<<30)) //nolint:gosec // bounded
	} else {
		n := r.PutFunc(c.scratch, func(b []byte) []byte {
			if c.lazy {
				b = binary.AppendUvarint(b, s.applied)
			}
			return P(&s.value).AppendTo(b)
		})
		s.size = int32(min(n, 1<<30)) //nolint:gosec // bounded
	}
	s.dirty = false
	s.flushed = r.Epoch
}

// decode reads a stored value, and of a lazy cell the number before it.
func (c *Cell[T, P]) decode(v P, raw []byte) (applied uint64, err error) {
	if c.lazy {
		n := 0
		if applied, n = binary.Uvarint(raw); n <= 0 {
			return 0, errNumber
		}
		raw = raw[n:]
	}
	return applied, v.DecodeFrom(raw)
}

var errNumber = errors.New("the number of the last message is damaged")

// Evict drops values that were not used lately until at most the cell's limit is
// cached. A value stays while it is dirty or its record is younger than visible, the
// newest epoch that the reader sees: the store would answer with an older one.
func (c *Cell[T, P]) Evict(visible uint64) {
	c.all(func(s *Cell[T, P], _ int) { s.Evict(visible) })
	c.last = nil
	if c.packed != nil {
		c.Trim()
		c.packed.evict(visible)
		return
	}
	passes := 2 * len(c.clock)
	for len(c.values) > c.max && passes > 0 {
		passes--
		if c.hand >= len(c.clock) {
			c.hand = 0
		}
		s := c.clock[c.hand]
		if s.used || s.dirty || s.flushed > visible {
			s.used = false
			c.hand++
			continue
		}
		delete(c.values, s.key)
		last := len(c.clock) - 1
		c.clock[c.hand] = c.clock[last]
		c.clock[last] = nil
		c.clock = c.clock[:last]
	}
}

// Cached is the number of values in memory, of a packed cell of those without a value as
// well.
func (c *Cell[T, P]) Cached() int {
	n := len(c.values)
	if c.packed != nil {
		n = max(n, c.packed.n)
	}
	c.all(func(s *Cell[T, P], _ int) { n += s.Cached() })
	return n
}

// View reads the committed value of key from a snapshot. Safe for concurrent use.
func (c *Cell[T, P]) View(v *Snapshot, key string) (T, bool, error) {
	var out T
	raw := AppendKey(make([]byte, 0, 256), c.id, key)
	n := len(raw)
	raw, found, err := v.Get(raw, raw)
	if err != nil || !found {
		return out, false, err
	}
	if err := c.whole(v, &out, key, raw[n:]); err != nil {
		return out, false, fmt.Errorf("cell %s holds a value that cannot be read: %w", c.name, err)
	}
	return out, true, nil
}

// whole reads a value and its parts.
func (c *Cell[T, P]) whole(v *Snapshot, out P, key string, head []byte) error {
	if _, err := c.decode(out, head); err != nil {
		return err
	}
	if p, ok := any(out).(Parted); ok {
		return readParts(p, c.id, key, v.Get, func([]byte) {})
	}
	return nil
}

// Each calls fn with every committed key and value of the cell, in the order of key
// groups, until fn answers false. Safe for concurrent use.
func (c *Cell[T, P]) Each(v *Snapshot, fn func(key string, value *T) bool) error {
	var bad error
	goOn := true
	for g := 0; g < KeyGroups && goOn; g++ {
		prefix := []byte{SpaceCells, byte(g), byte(c.id >> 8), byte(c.id)}
		err := v.Scan(prefix, nil, func(key, value []byte) bool {
			var out T
			name := string(key[len(prefix):])
			if bad = c.whole(v, &out, name, value); bad != nil {
				return false
			}
			goOn = fn(name, &out)
			return goOn
		})
		if bad != nil {
			return fmt.Errorf("cell %s holds a value that cannot be read: %w", c.name, bad)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
