package recommend

import (
	"cmp"
	"slices"
	"strings"
)

// Click is an item at a time, in milliseconds.
type Click struct {
	Item Num
	Time int64
}

// Trails remember the clicks of the visits that may still go on, in the order of their
// times, and of equals in that of their ids, however they arrive. One goroutine at a time.
type Trails struct {
	names  *Names
	visits map[string]*trail
	queue  []string // in the order of opening
}

type trail struct {
	owner  string // "": nobody known
	clicks []Click
}

// Bounds of the trails.
const (
	maxTrailClicks = 50      // what is older says nothing about the next click
	maxTrails      = 1 << 17 // open visits at once, about 100 MB if all were full
)

// NewTrails makes an empty one.
func NewTrails(names *Names) *Trails { return &Trails{names: names, visits: make(map[string]*trail)} }

// Add adds a click to a visit. It answers the clicks of the visit, until the next call,
// and where the new one stands; -1 when it is known already or too old to be kept. A
// click is known by its item and its time.
func (t *Trails) Add(key string, c Click) ([]Click, int) {
	v, ok := t.visits[key]
	if !ok {
		key = strings.Clone(key)
		v = new(trail)
		t.visits[key] = v
		t.queue = append(t.queue, key)
		for len(t.visits) > maxTrails || len(t.queue) > 2*maxTrails {
			delete(t.visits, t.queue[0])
			t.queue = t.queue[1:]
		}
	}
	at, ok := slices.BinarySearchFunc(v.clicks, c, func(a, b Click) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), strings.Compare(t.names.ID(a.Item), t.names.ID(b.Item)))
	})
	if ok || at == 0 && len(v.clicks) == maxTrailClicks {
		return v.clicks, -1
	}
	v.clicks = slices.Insert(v.clicks, at, c)
	if len(v.clicks) > maxTrailClicks {
		v.clicks = slices.Delete(v.clicks, 0, 1)
		at--
	}
	return v.clicks, at
}

// own says whose visit it is.
func (t *Trails) own(key, person string) {
	if v := t.visits[key]; v != nil && v.owner == "" {
		v.owner = strings.Clone(person)
	}
}

// Erase forgets the open visits of a person and says how many there were. It looks at
// all of them: erasing is rare, and an index would cost every click.
func (t *Trails) Erase(person string) int {
	n := 0
	for key, v := range t.visits {
		if person != "" && v.owner == person {
			delete(t.visits, key)
			n++
		}
	}
	return n
}
