package state

import (
	"strings"
	"sync"
)

// This file cuts a cell into shards, one for each goroutine that runs the graph. A shard
// is a cell of its own, with a cache and a reader of its own; which one holds a key
// follows from the key alone, so no operator ever meets two of them.

// Owner is the group by which the work on a key is given to goroutines: that of the part
// before the first slash, so that a key and its sub-keys stay together.
func Owner(key string) byte {
	if i := strings.IndexByte(key, '/'); i >= 0 {
		key = key[:i]
	}
	return KeyGroup(key)
}

// sharding is what a cell has that several goroutines use.
type sharding[T any, P Codec[T]] struct {
	shards []*Cell[T, P]
	common func(key string) bool
	shared *Cell[T, P] // holds the keys that are common
	mu     *sync.Mutex // of shared
}

// Share says which keys every operator may read, whatever key it works on. They change
// only in units that are processed alone, see engine.Stage.Alone. Call it before the
// graph runs.
func (c *Cell[T, P]) Share(common func(key string) bool) { c.common = common }

// Common tells whether every operator may read key.
func (c *Cell[T, P]) Common(key string) bool { return c.common != nil && c.common(key) }

// Split cuts an attached cell into as many shards as there are readers: a power of two.
// The shard of a key is Owner(key) modulo that. Two goroutines may then use two shards at
// the same time; all else is for one. The engine calls it once, before any other use.
func (c *Cell[T, P]) Split(readers []*Reader) {
	if len(readers) < 2 {
		return
	}
	c.shards = make([]*Cell[T, P], len(readers))
	for i, r := range readers {
		c.shards[i] = c.shard(r, max(c.max/len(readers), 1))
	}
	if c.common != nil {
		c.shared = c.shard(c.read, c.max)
		c.shared.mu = new(sync.Mutex)
	}
}

func (c *Cell[T, P]) shard(r *Reader, cacheMax int) *Cell[T, P] {
	s := NewCell[T, P](c.name, cacheMax)
	if c.packed != nil {
		s = NewPackedCell[T, P](c.name, cacheMax, c.packed.slabs.memory)
		s.packed.complete = c.packed.complete
	}
	s.lazy = c.lazy
	s.Attach(r, c.id)
	return s
}

// all hands over every shard of a cell, in order, each with how many are left with it:
// none if the cell was not split.
func (c *Cell[T, P]) all(do func(s *Cell[T, P], left int)) {
	n := len(c.shards)
	if c.shared != nil {
		n++
	}
	for i, s := range c.shards {
		do(s, n-i)
	}
	if c.shared != nil {
		do(c.shared, 1)
	}
}

// find is the slot of a key, and the shard that holds it.
func (c *Cell[T, P]) find(key string) (*Cell[T, P], *slot[T], error) {
	if c.shards != nil {
		return c.findShard(key)
	}
	s, err := c.slot(key)
	return c, s, err
}

func (c *Cell[T, P]) findShard(key string) (*Cell[T, P], *slot[T], error) {
	c = c.of(key)
	if c.mu != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
	}
	s, err := c.slot(key)
	return c, s, err
}

func (c *Cell[T, P]) of(key string) *Cell[T, P] {
	if c.Common(key) {
		return c.shared
	}
	return c.shards[int(Owner(key))&(len(c.shards)-1)]
}
