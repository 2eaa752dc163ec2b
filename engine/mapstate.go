package engine

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"
)

// The bounds of the parts of a map's keys: the store takes keys up to 65,000 bytes.
const (
	maxMapKey   = 16 << 10
	maxMapEntry = 4 << 10
)

// MapOptions say what a map holds. Codec is required.
type MapOptions[T any] struct {
	Codec EventCodec[T]
	Max   int           // entries of a key; more are refused. 0 means 10,000: their names are some 200 KB
	TTL   time.Duration // an entry goes so long after its last write, by event time. 0 keeps it
	// CacheMax is how many entries are kept decoded in memory; 0 means 100,000.
	CacheMax int
}

// MapState is a map from names to values for each key of a stage. Each entry is a key
// of the store, loaded when it is asked for; beside them stand the names of all, in
// order. So reading or changing one entry of a large map costs one value; adding and
// removing one also writes the names.
type MapState[T any] struct {
	*collection
	o MapOptions[T]
}

// NewMapState adds a map to a stage, for its operators. id names the state, for good.
func NewMapState[T, M any](s *Stage[M], id string, o MapOptions[T]) *MapState[T] {
	mustCode(s.name+"/"+id, o.Codec)
	o.Max = cmp.Or(max(o.Max, 0), 10_000)
	return &MapState[T]{newCollection(s, id, o.TTL, o.CacheMax, true), o}
}

// Get is the entry of a name in the current key's map, and whether there is one.
func (m *MapState[T]) Get(c *Ctx, name string) (v T, ok bool) {
	if !m.fits(c, name) {
		return v, false
	}
	k, live := m.get(c, m.entries, entryKey(c.Key(), name))
	if !live {
		return v, false
	}
	return decodeKept(c, m.entries, m.o.Codec, k.raws[0]), true
}

// Put sets the entry of a name. It answers false, and changes nothing, when the map is
// full, or the name is longer than 4 KiB.
func (m *MapState[T]) Put(c *Ctx, name string, v T) bool {
	if !m.fits(c, name) {
		m.dropped.Add(1)
		return false
	}
	if !m.list(c, name) {
		m.dropped.Add(1)
		return false
	}
	key := entryKey(c.Key(), name)
	k, _ := m.get(c, m.entries, key)
	k.raws = append(k.raws[:0], m.o.Codec.Append(nil, v))
	m.put(c, m.entries, key, name, k)
	return true
}

// Delete removes the entry of a name, if there is one.
func (m *MapState[T]) Delete(c *Ctx, name string) {
	if !m.fits(c, name) {
		return
	}
	key := entryKey(c.Key(), name)
	if k, _ := m.get(c, m.entries, key); len(k.raws) > 0 {
		m.drop(c, m.entries, key, k)
		m.unlist(c, name)
	}
}

// Names are the names in the current key's map, in order. With a TTL it looks at each
// entry.
func (m *MapState[T]) Names(c *Ctx) []string {
	index := ValueOf(c, m.cell, c.Key())
	names := make([]string, 0, len(index.raws))
	for _, raw := range index.raws {
		names = append(names, string(raw))
	}
	if m.ttl == 0 {
		return names
	}
	return slices.DeleteFunc(names, func(name string) bool {
		_, live := m.get(c, m.entries, entryKey(c.Key(), name))
		return !live
	})
}

// Len is how many entries the current key's map has. With a TTL it looks at each one.
func (m *MapState[T]) Len(c *Ctx) int {
	if m.ttl == 0 {
		return len(ValueOf(c, m.cell, c.Key()).raws)
	}
	return len(m.Names(c))
}

// All goes over the current key's map in the order of the names, and loads one entry at
// a time. The map may be changed meanwhile: what goes on is what was there at first.
func (m *MapState[T]) All(c *Ctx) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for _, name := range m.Names(c) {
			if v, ok := m.Get(c, name); ok && !yield(name, v) {
				return
			}
		}
	}
}

// Clear removes all entries.
func (m *MapState[T]) Clear(c *Ctx) {
	for _, name := range m.Names(c) {
		m.Delete(c, name)
	}
}

// fits tells whether a name makes a key that the store takes.
func (m *MapState[T]) fits(c *Ctx, name string) bool {
	if len(c.Key()) > maxMapKey {
		c.Fail(fmt.Errorf("cell %s: a key of %d bytes, want at most %d", m.cell.Name(), len(c.Key()), maxMapKey))
		return false
	}
	return len(name) <= maxMapEntry
}

// list puts a name among those of the current key. It answers false if there would be
// too many.
func (m *MapState[T]) list(c *Ctx, name string) bool {
	index := ValueOf(c, m.cell, c.Key())
	i, found := findName(index, name)
	if found {
		return true
	}
	if len(index.raws) >= m.o.Max {
		return false
	}
	index.raws = slices.Insert(index.raws, i, []byte(name))
	ChangedOf(c, m.cell, c.Key())
	return true
}

// unlist takes a name from those of the current key.
func (k *collection) unlist(c *Ctx, name string) {
	index := ValueOf(c, k.cell, c.Key())
	i, found := findName(index, name)
	if !found {
		return
	}
	index.raws = slices.Delete(index.raws, i, i+1)
	if len(index.raws) == 0 {
		deleteOf(c, k.cell, c.Key())
		return
	}
	ChangedOf(c, k.cell, c.Key())
}

func findName(index *kept, name string) (int, bool) {
	return slices.BinarySearchFunc(index.raws, name, func(raw []byte, n string) int { return cmp.Compare(string(raw), n) })
}
