package state

import (
	"encoding/binary"
	"fmt"
)

// The spaces of keys, see the package comment.
const (
	SpaceMeta   = 0x01
	SpaceCells  = 0x02
	SpaceTimers = 0x03
	SpaceOutbox = 0x04
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
	clock   []*slot[T] // every slot of values, for eviction
	hand    int
	last    *slot[T] // the value asked for last: Get and Touch come in pairs
	dirty   []*slot[T]
	weight  int // estimated bytes of dirty values
	scratch []byte
}

// slot is one cached value.
type slot[T any] struct {
	key     string
	flushed uint64 // epoch of the record that last took the value
	size    int32  // bytes of its last encoding
	dirty   bool
	used    bool // since the hand of the clock last passed
	absent  bool // nothing is stored under the key
	value   T
}

// NewCell makes a cell. Its name is for good: it names the state. cacheMax is the
// number of decoded values kept; 0 means 100,000.
func NewCell[T any, P Codec[T]](name string, cacheMax int) *Cell[T, P] {
	if cacheMax <= 0 {
		cacheMax = 100_000 // at about 1 KB a person that is 100 MB
	}
	return &Cell[T, P]{name: name, max: cacheMax, values: make(map[string]*slot[T])}
}

// Name is the cell's name.
func (c *Cell[T, P]) Name() string { return c.name }

// Attach binds the cell to its store under the number that the store keeps for its
// name. The engine calls it once, before any other use.
func (c *Cell[T, P]) Attach(r *Reader, id uint16) {
	c.read, c.id = r, id
}

// AppendKey appends the store's key of a cell's value.
func AppendKey(dst []byte, id uint16, key string) []byte {
	dst = append(dst, SpaceCells, KeyGroup(key))
	dst = binary.BigEndian.AppendUint16(dst, id)
	return append(dst, key...)
}

// Get returns the value of key for reading and changing; a key without a value gets
// the zero value. Call Touch after changing it. The pointer is good until the epoch
// closes.
func (c *Cell[T, P]) Get(key string) (P, error) {
	s, err := c.slot(key)
	if err != nil {
		return nil, err
	}
	return &s.value, nil
}

// Has tells whether key has a value, stored or made by Touch.
func (c *Cell[T, P]) Has(key string) (bool, error) {
	s, err := c.slot(key)
	if err != nil {
		return false, err
	}
	return !s.absent, nil
}

// Touch says that the value of key was changed since Get, and is to be written with
// this epoch.
func (c *Cell[T, P]) Touch(key string) error {
	s, err := c.slot(key)
	if err != nil {
		return err
	}
	s.absent = false
	c.mark(s)
	return nil
}

// Delete removes the value of key.
func (c *Cell[T, P]) Delete(key string) error {
	s, err := c.slot(key)
	if err != nil {
		return err
	}
	var zero T
	s.value, s.absent = zero, true
	c.mark(s)
	return nil
}

func (c *Cell[T, P]) mark(s *slot[T]) {
	if s.dirty {
		return
	}
	s.dirty = true
	c.dirty = append(c.dirty, s)
	c.weight += int(s.size) + len(s.key) + 64
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
	s := &slot[T]{key: string(append([]byte(nil), key...)), used: true}
	var found bool
	var err error
	raw := AppendKey(c.scratch[:0], c.id, key)
	n := len(raw)
	raw, found, err = c.read.Get(raw, raw)
	c.scratch = raw[:0]
	if err != nil {
		return nil, fmt.Errorf("cell %s: %w", c.name, err)
	}
	s.absent = !found
	if found {
		if err := P(&s.value).DecodeFrom(raw[n:]); err != nil {
			return nil, fmt.Errorf("cell %s holds a value that cannot be read: %w", c.name, err)
		}
		s.size = int32(min(len(raw)-n, 1<<30)) //nolint:gosec // bounded the line before
	}
	c.values[s.key] = s
	c.clock = append(c.clock, s)
	c.last = s
	return s, nil
}

// Dirty is how many values wait to be written, and an estimate of their bytes.
func (c *Cell[T, P]) Dirty() (values, bytes int) { return len(c.dirty), c.weight }

// Flush writes every changed value into r, and forgets that they were changed.
func (c *Cell[T, P]) Flush(r *Record) {
	for _, s := range c.dirty {
		c.scratch = AppendKey(c.scratch[:0], c.id, s.key)
		if s.absent {
			r.Delete(c.scratch)
			s.size = 0
		} else {
			s.size = int32(min(r.PutFunc(c.scratch, P(&s.value).AppendTo), 1<<30)) //nolint:gosec // bounded
		}
		s.dirty = false
		s.flushed = r.Epoch
	}
	clear(c.dirty)
	c.dirty = c.dirty[:0]
	c.weight = 0
}

// Evict drops values that were not used lately until at most the cell's limit is
// cached. A value stays while it is dirty or its record is younger than visible, the
// newest epoch that the reader sees: the store would answer with an older one.
func (c *Cell[T, P]) Evict(visible uint64) {
	c.last = nil
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

// Cached is the number of decoded values in memory.
func (c *Cell[T, P]) Cached() int { return len(c.values) }

// View reads the committed value of key from a snapshot. Safe for concurrent use.
func (c *Cell[T, P]) View(v *Snapshot, key string) (T, bool, error) {
	var out T
	raw := AppendKey(make([]byte, 0, 256), c.id, key)
	n := len(raw)
	raw, found, err := v.Get(raw, raw)
	if err != nil || !found {
		return out, false, err
	}
	if err := P(&out).DecodeFrom(raw[n:]); err != nil {
		return out, false, fmt.Errorf("cell %s holds a value that cannot be read: %w", c.name, err)
	}
	return out, true, nil
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
			if bad = P(&out).DecodeFrom(value); bad != nil {
				return false
			}
			goOn = fn(string(key[len(prefix):]), &out)
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
