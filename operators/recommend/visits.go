package recommend

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// VisitOptions say how the visits of a running shop are remembered and asked. The zero
// value works.
type VisitOptions struct {
	Postings   int           // newest visits remembered per item
	Visits     int           // visits remembered in all; beyond, the one that was opened first goes
	VisitItems int           // a visit with more different items is no shopper and does not vote
	LastItems  int           // newest items of the present visit that are looked at
	Neighbours int           // visits like the present one that vote
	Pause      time.Duration // without a click of the person that ends a visit
	KeepFor    time.Duration // how old a visit may become
	Items      int           // items that may have a list
}

func (o VisitOptions) withDefaults() VisitOptions {
	o.Postings = cmp.Or(o.Postings, 100)           // more costs latency, not accuracy
	o.Visits = cmp.Or(o.Visits, VisitsMost)        // half a million, at about 150 bytes each
	o.VisitItems = cmp.Or(o.VisitItems, 50)        // nobody looks at fifty things in one visit; not tuned
	o.LastItems = cmp.Or(o.LastItems, 9)           // an older item would weigh nothing, see fade
	o.Neighbours = cmp.Or(o.Neighbours, 100)       // as SessionOptions
	o.Pause = cmp.Or(o.Pause, 30*time.Minute)      // what the analytics of shops take for a visit
	o.KeepFor = cmp.Or(o.KeepFor, 90*24*time.Hour) // a season; lists turn over sooner where there is traffic
	o.Items = min(cmp.Or(o.Items, maxNames), maxNames)
	return o
}

// VisitsMost is how many visits are remembered, unless told otherwise.
const VisitsMost = 1 << 19

// Visits finds visits like the present one, as Sessions does, in an index that is asked
// while it changes: questions take no lock and wait for nothing. What they share with
// those who add are atomic words and records that are never changed: a question may see
// a visit with or without its newest click.
//
// A visit belongs to a person and ends by a pause. It is posted to the list of each item
// once, when that item is looked at, so a click costs one post however long the visit is;
// the list of an item holds the visits that looked at it last. Safe for concurrent use.
type Visits struct {
	o     VisitOptions
	slots []atomic.Pointer[visited] // by number, modulo
	lists [visitChunks]atomic.Pointer[[chunkItems]visitList]
	total atomic.Int64 // sum of the frequencies

	mu     sync.Mutex        // guards what is below; held by those who add
	byWho  map[uint64]uint32 // by person: the newest visit
	next   uint32
	oldest uint32
	newest int64 // time of the newest click
	count  int
	lost   uint64
}

const (
	chunkItems  = 1 << 10
	visitChunks = maxNames / chunkItems
)

// visited is a visit. It is never changed; an appended item is beyond what others read.
type visited struct {
	number, before uint32 // before: the person's visit before this one, 0 for none
	who            uint64
	first, last    int64
	items          []Num // nil: too many, it does not vote
	full           bool  // too many
}

// visitList is what an item knows: how many visits hold it, and which ones lately.
type visitList struct {
	df   atomic.Int32
	ring atomic.Pointer[visitRing]
}

// visitRing holds the newest visits; n is how many were ever put.
type visitRing struct {
	n     atomic.Uint32
	slots []atomic.Uint32
}

// NewVisits makes an empty index.
func NewVisits(o VisitOptions) *Visits {
	o = o.withDefaults()
	return &Visits{o: o, slots: make([]atomic.Pointer[visited], o.Visits), byWho: make(map[uint64]uint32), next: 1, oldest: 1}
}

// VisitStats are figures of an index.
type VisitStats struct {
	Visits, People int
	Lost           uint64 // visits that went because there were too many
}

// Stats counts.
func (x *Visits) Stats() VisitStats {
	x.mu.Lock()
	defer x.mu.Unlock()
	return VisitStats{Visits: x.count, People: len(x.byWho), Lost: x.lost}
}

// get is a visit by its number, nil when it is gone.
func (x *Visits) get(number uint32) *visited {
	if number == 0 {
		return nil
	}
	if v := x.slots[int(number)%len(x.slots)].Load(); v != nil && v.number == number {
		return v
	}
	return nil
}

func (x *Visits) put(v *visited) { x.slots[int(v.number)%len(x.slots)].Store(v) }

// list is what an item knows; make it if need be.
func (x *Visits) list(i Num, add bool) *visitList {
	if i < 0 || int(i) >= x.o.Items {
		return nil
	}
	chunk := &x.lists[int(i)/chunkItems]
	c := chunk.Load()
	if c == nil {
		if !add {
			return nil
		}
		c = new([chunkItems]visitList)
		chunk.Store(c)
	}
	return &c[int(i)%chunkItems]
}

// Click adds a click of a person. It answers false when it says nothing new.
func (x *Visits) Click(who uint64, i Num, at int64) bool {
	if i < 0 || int(i) >= x.o.Items {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.click(who, i, at)
}

// chainMost is how many visits of a person are looked through for the one that a click
// belongs to: what comes later than that many visits opens one of its own. It is more than
// Visited finds in a person's picture, which is read again when something was lost.
const chainMost = 32

func (x *Visits) click(who uint64, i Num, at int64) bool {
	x.newest = max(x.newest, at)
	if x.newest-at > x.o.KeepFor.Milliseconds() {
		return false
	}
	pause := x.o.Pause.Milliseconds()
	var v *visited
	n := x.byWho[who]
	for range chainMost {
		w := x.get(n)
		if w == nil {
			break
		}
		if at >= w.first-pause && at <= w.last+pause {
			v = w
			break
		}
		n = w.before
	}
	x.age()
	if v == nil || x.get(v.number) == nil { // none, or it was just too old
		v = x.open(who, at)
	}
	known := v.full || slices.Contains(v.items, i)
	if known && at >= v.first && at <= v.last {
		return false
	}
	w := *v
	w.first, w.last = min(v.first, at), max(v.last, at)
	if !known && len(v.items) == x.o.VisitItems {
		x.unlist(v)
		w.items, w.full = nil, true
	} else if !known {
		w.items = append(v.items, i)
	}
	x.put(&w)
	if !known && !w.full {
		x.post(i, w.number)
	}
	return true
}

func (x *Visits) open(who uint64, at int64) *visited {
	if int(x.next-x.oldest) >= len(x.slots) {
		x.oldest++
	}
	if v := x.slots[int(x.next)%len(x.slots)].Load(); v != nil {
		x.drop(v.number)
		x.lost++
	}
	v := &visited{number: x.next, before: x.byWho[who], who: who, first: at, last: at, items: make([]Num, 0, 4)}
	x.next = max(x.next+1, 1) // 0 is no visit
	x.byWho[who] = v.number
	x.count++
	x.put(v)
	return v
}

// age drops old visits, two a click at most, so that it keeps up and no click is slow.
func (x *Visits) age() {
	for n := 0; n < 2 && x.oldest != x.next; n++ {
		if v := x.get(x.oldest); v != nil {
			if x.newest-v.last <= x.o.KeepFor.Milliseconds() {
				return
			}
			x.drop(x.oldest)
		}
		x.oldest++
	}
}

// unlist takes a visit out of the frequencies.
func (x *Visits) unlist(v *visited) {
	for _, i := range v.items {
		x.list(i, true).df.Add(-1)
	}
	x.total.Add(-int64(len(v.items)))
}

// drop forgets a visit. Lists that name it skip it.
func (x *Visits) drop(number uint32) {
	v := x.get(number)
	if v == nil {
		return
	}
	x.unlist(v)
	x.slots[int(number)%len(x.slots)].Store(nil)
	x.count--
	if x.byWho[v.who] == number {
		if x.get(v.before) != nil {
			x.byWho[v.who] = v.before
		} else {
			delete(x.byWho, v.who)
		}
	}
}

// post puts a visit into the list of an item.
func (x *Visits) post(i Num, number uint32) {
	l := x.list(i, true)
	l.df.Add(1)
	x.total.Add(1)
	r := l.ring.Load()
	size := 0
	if r != nil {
		size = len(r.slots)
	}
	if r == nil || int(r.n.Load()) == size && size < x.o.Postings {
		grown := &visitRing{slots: make([]atomic.Uint32, min(max(2*size, 2), x.o.Postings))}
		for k := range size {
			grown.slots[k].Store(r.slots[k].Load())
		}
		grown.n.Store(uint32(size)) //nolint:gosec // at most Postings
		grown.slots[size].Store(number)
		grown.n.Add(1)
		l.ring.Store(grown)
		return
	}
	n := r.n.Load()
	if n == math.MaxUint32 { // the place goes on where it was: what stands there is the same
		n = uint32(size) + uint32(math.MaxUint32%uint64(size)) //nolint:gosec // at most twice Postings
	}
	r.slots[int(n)%size].Store(number)
	r.n.Store(n + 1)
}

// Erase forgets all visits of a person and says how many there were.
func (x *Visits) Erase(who uint64) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for v := x.get(x.byWho[who]); v != nil; n++ {
		before := v.before
		x.drop(v.number)
		v = x.get(before)
	}
	delete(x.byWho, who)
	return n
}

// Merge gives the visits of one person to another, and says how many there were.
func (x *Visits) Merge(from, to uint64) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	if from == to || x.byWho[from] == 0 {
		return 0
	}
	var all []*visited
	n := 0
	for _, who := range [...]uint64{from, to} {
		for v := x.get(x.byWho[who]); v != nil; v = x.get(v.before) {
			all = append(all, v)
			if who == from {
				n++
			}
		}
	}
	delete(x.byWho, from)
	// The newest comes first: what is dropped for its age is the end of a chain.
	slices.SortFunc(all, func(a, b *visited) int { return cmp.Compare(b.number, a.number) })
	for k, v := range all {
		w := *v
		w.who, w.before = to, 0
		if k+1 < len(all) {
			w.before = all[k+1].number
		}
		x.put(&w)
		if k == 0 {
			x.byWho[to] = w.number
		}
	}
	return n
}

// full tells whether another visit would push one out, and how old that one is.
func (x *Visits) full() (oldest int64, full bool) {
	if int(x.next-x.oldest) < len(x.slots) {
		return 0, false
	}
	if v := x.get(x.oldest); v != nil {
		return v.last, true
	}
	return 0, false
}

// Add adds a whole visit that took place at one time, such as one found in the state.
// One that is older than what there is room for is left out.
func (x *Visits) Add(who uint64, items []Num, at int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if oldest, full := x.full(); full && at <= oldest {
		return
	}
	for _, i := range items {
		if i >= 0 && int(i) < x.o.Items {
			x.click(who, i, at)
		}
	}
}
