package recommend

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// Tops remembers what goes with items, for questions that come often: to rank the
// neighbours of one item, the records of all of them must be read. A list is made anew
// when the item's own count has changed by a sixteenth, and after half a minute. The zero
// value works. It is safe for concurrent use.
type Tops struct {
	mu       sync.Mutex
	new, old map[topKey]topList // two generations: what is asked for moves to the new one
	now      func() time.Time   // nil: time.Now
}

type topKey struct {
	item string
	rel  Relation
}

type topList struct {
	own   float64 // units of the item when it was made
	made  time.Time
	items []Neighbour // never changed
}

// Bounds of what is remembered.
const (
	topsAge        = 30 * time.Second // the neighbours' own counts drift no further than that
	topsNeighbours = 32               // beyond these the votes decide no place of a page
	topsMax        = 8192             // lists of a generation; two are at most 64 MB, without the texts
)

// of is top through what is remembered; a nil Tops remembers nothing. brief finds what
// read does, as far as it is told without neighbours.
func (t *Tops) of(id string, rel Relation, now int64, read, brief Reader, units float64) []Neighbour {
	if t == nil {
		return top(id, rel, now, read, brief, units)
	}
	it, ok := brief(id)
	if !ok {
		return nil
	}
	key, own := topKey{id, rel}, it.Units(rel, now)
	if own <= 0 {
		return nil
	}
	at := t.clock()
	if l, ok := t.find(key); ok && math.Abs(own-l.own) <= l.own/16 && at.Sub(l.made) < topsAge {
		return l.items
	}
	list := top(id, rel, now, read, brief, units)
	list = slices.Clone(list[:min(len(list), topsNeighbours)])
	key.item = strings.Clone(id)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(key, topList{own, at, list})
	return list
}

func (t *Tops) clock() time.Time {
	if t.now != nil {
		return t.now()
	}
	return time.Now()
}

func (t *Tops) find(key topKey) (topList, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.new[key]
	if ok {
		return l, true
	}
	if l, ok = t.old[key]; ok {
		key.item = strings.Clone(key.item) // who asked may hold a large question
		t.put(key, l)
	}
	return l, ok
}

// put remembers a list; t.mu is held.
func (t *Tops) put(key topKey, l topList) {
	if len(t.new) >= topsMax || t.new == nil {
		t.old, t.new = t.new, make(map[topKey]topList)
	}
	t.new[key] = l
}
