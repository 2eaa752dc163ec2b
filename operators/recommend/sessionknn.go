package recommend

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// SessionOptions say how visits are remembered and asked. The zero value works.
type SessionOptions struct {
	Postings   int           // newest visits remembered per item
	Sample     int           // newest visits that share an item with the present one and are looked at; 0: as Postings
	Neighbours int           // visits of these that vote
	LastItems  int           // newest items of the present visit that are looked at
	IDF        float64       // weight of the rarity of an item; negative: none
	MaxItems   int           // a visit with more different items is no shopper and is left out
	MaxVisits  int           // visits remembered in all
	KeepFor    time.Duration // how long a visit that no item remembers may still go on
}

func (o SessionOptions) withDefaults() SessionOptions {
	o.Postings = cmp.Or(o.Postings, 100)     // more costs latency, not accuracy
	o.Sample = cmp.Or(o.Sample, o.Postings)  // the paper uses one number for both
	o.Neighbours = cmp.Or(o.Neighbours, 100) // likewise
	o.LastItems = cmp.Or(o.LastItems, 9)     // an older item would weigh nothing, see fade
	o.IDF = cmp.Or(o.IDF, 1)                 // as Serenade's example has it
	o.MaxItems = cmp.Or(o.MaxItems, 100)     // nobody looks at a hundred things in one visit; not tuned
	o.MaxVisits = cmp.Or(o.MaxVisits, 1<<22) // about 1 GB at five items each
	o.KeepFor = cmp.Or(o.KeepFor, time.Hour) // twice the pause that ends a visit
	return o
}

// Sessions finds visits like the present one (VMIS-kNN: Kersbergen, Sprangers, Schelter,
// Serenade, SIGMOD 2022) in an index that is kept click by click. A visit is the set of
// its items and the time of its last click, so neither the order in which clicks arrive
// nor a repeat of one changes what is remembered. One goroutine at a time, or many that
// only ask.
type Sessions struct {
	o      SessionOptions
	names  *Names
	visits []visit
	free   []int32
	byKey  map[string]int32
	owned  map[string][]int32
	index  [][]posting // by item, newest first
	df     []int32     // by item: visits that hold it
	total  int64       // sum of df
	idle   []int32     // visits that no item remembers, in the order in which they became so
	newest int64
	lost   uint64
}

// visit is one visit of one person.
type visit struct {
	key, owner string
	last       int64
	items      []Num
	refs       int32 // postings that name it
	queued     bool  // stands in idle
	tooLong    bool
}

// posting names a visit in the list of an item.
type posting struct {
	last int64
	slot int32
}

// NewSessions makes an empty index.
func NewSessions(names *Names, o SessionOptions) *Sessions {
	return &Sessions{o: o.withDefaults(), names: names, byKey: make(map[string]int32), owned: make(map[string][]int32)}
}

// Name implements Voice.
func (x *Sessions) Name() string { return VoiceSessions }

// Len is the number of visits that are remembered.
func (x *Sessions) Len() int { return len(x.byKey) }

// Lost is the number of visits that were forgotten because of MaxVisits.
func (x *Sessions) Lost() uint64 { return x.lost }

// Click adds a click to a visit, which it opens if need be. owner may be empty; it is
// whom Erase forgets.
func (x *Sessions) Click(owner, key string, item Num, at int64) {
	if item < 0 {
		return
	}
	x.newest = max(x.newest, at)
	x.sweep()
	slot, ok := x.byKey[key]
	if !ok {
		slot = x.open(owner, key, at)
	}
	v := &x.visits[slot]
	if v.tooLong {
		v.last = max(v.last, at)
		return
	}
	known := slices.Contains(v.items, item)
	if known && at <= v.last {
		return
	}
	if !known {
		x.count(item, 1)
		v.items = append(v.items, item)
	}
	if len(v.items) > x.o.MaxItems {
		x.close(slot)
		v.tooLong = true
		x.rest(slot)
		return
	}
	if at > v.last || len(v.items) == 1 {
		v.last = max(at, v.last)
		for _, i := range v.items {
			x.post(i, slot)
		}
		return
	}
	x.post(item, slot)
}

// Add adds a whole visit.
func (x *Sessions) Add(owner, key string, items []Num, last int64) {
	for _, i := range items {
		x.Click(owner, key, i, last)
	}
}

// count keeps the frequencies of items.
func (x *Sessions) count(i Num, by int32) {
	if n := int(i) + 1; n > len(x.df) {
		x.df = append(x.df, make([]int32, n-len(x.df))...)
		x.index = append(x.index, make([][]posting, n-len(x.index))...)
	}
	x.df[i] += by
	x.total += int64(by)
}

func (x *Sessions) open(owner, key string, at int64) int32 {
	if len(x.byKey) >= x.o.MaxVisits {
		x.dropOldest()
	}
	key, owner = strings.Clone(key), strings.Clone(owner)
	var slot int32
	if n := len(x.free); n > 0 {
		slot, x.free = x.free[n-1], x.free[:n-1]
	} else {
		slot = int32(len(x.visits)) //nolint:gosec // at most MaxVisits
		x.visits = append(x.visits, visit{})
	}
	x.visits[slot] = visit{key: key, owner: owner, last: at, items: make([]Num, 0, 4)}
	x.byKey[key] = slot
	if owner != "" {
		x.owned[owner] = append(x.owned[owner], slot)
	}
	return slot
}

// newer tells whether posting a stands before b.
func (x *Sessions) newer(a, b posting) bool {
	if a.last != b.last {
		return a.last > b.last
	}
	return x.visits[a.slot].key < x.visits[b.slot].key
}

// post puts a visit to its place in the list of an item. The list is exactly the newest
// Postings visits at any time: a visit outside it can only enter when its own time rises,
// and then it is put here again.
func (x *Sessions) post(i Num, slot int32) {
	list := x.index[i]
	p := posting{x.visits[slot].last, slot}
	at := slices.IndexFunc(list, func(q posting) bool { return q.slot == slot })
	switch {
	case at >= 0:
	case len(list) < x.o.Postings:
		list = append(list, p)
		at = len(list) - 1
		x.visits[slot].refs++
	case x.newer(p, list[len(list)-1]):
		at = len(list) - 1
		x.unref(list[at].slot)
		x.visits[slot].refs++
	default:
		x.rest(slot)
		return
	}
	for at > 0 && x.newer(p, list[at-1]) {
		list[at] = list[at-1]
		at--
	}
	list[at] = p
	x.index[i] = list
}

func (x *Sessions) unref(slot int32) {
	x.visits[slot].refs--
	x.rest(slot)
}

// rest queues a visit that no item remembers.
func (x *Sessions) rest(slot int32) {
	v := &x.visits[slot]
	if v.refs == 0 && !v.queued {
		v.queued = true
		x.idle = append(x.idle, slot)
	}
}

// sweep forgets visits that no item remembers and that cannot go on, two a click at
// most, so that it keeps up and no click is slow.
func (x *Sessions) sweep() {
	for n := 0; n < 2 && len(x.idle) > 0; n++ {
		slot := x.idle[0]
		v := &x.visits[slot]
		if v.refs == 0 && x.newest-v.last <= x.o.KeepFor.Milliseconds() {
			return // those behind it came later
		}
		x.idle = x.idle[1:]
		v.queued = false
		if v.refs == 0 {
			x.remove(slot)
		}
	}
}

// close takes a visit out of the index.
func (x *Sessions) close(slot int32) {
	v := &x.visits[slot]
	for _, i := range v.items {
		x.count(i, -1)
		x.index[i] = slices.DeleteFunc(x.index[i], func(p posting) bool { return p.slot == slot })
	}
	v.items, v.refs = nil, 0
}

// remove frees the slot of a visit that no item remembers. Frequencies keep counting it.
func (x *Sessions) remove(slot int32) {
	v := &x.visits[slot]
	delete(x.byKey, v.key)
	if v.owner != "" {
		rest := slices.DeleteFunc(x.owned[v.owner], func(s int32) bool { return s == slot })
		if len(rest) == 0 {
			delete(x.owned, v.owner)
		} else {
			x.owned[v.owner] = rest
		}
	}
	if v.queued {
		x.idle = slices.DeleteFunc(x.idle, func(s int32) bool { return s == slot })
	}
	x.visits[slot] = visit{}
	x.free = append(x.free, slot)
}

// dropOldest makes room: of the visits that the queue or a sample of slots offer, the
// oldest goes. A sample is enough, since what is dropped is old in any case.
func (x *Sessions) dropOldest() {
	oldest := int32(-1)
	step := max(len(x.visits)/64, 1)
	for s := int(x.lost % uint64(step)); s < len(x.visits); s += step { //nolint:gosec // step is positive
		if x.visits[s].key != "" && (oldest < 0 || x.visits[s].last < x.visits[oldest].last) {
			oldest = int32(s) //nolint:gosec // below MaxVisits
		}
	}
	x.lost++
	if oldest >= 0 {
		x.close(oldest)
		x.remove(oldest)
	}
}

// EraseSession forgets a visit. What it had pushed out of the list of an item does not
// come back.
func (x *Sessions) EraseSession(key string) {
	if slot, ok := x.byKey[key]; ok {
		x.close(slot)
		x.remove(slot)
	}
}

// Erase forgets all visits of a person and says how many there were.
func (x *Sessions) Erase(owner string) int {
	slots := slices.Clone(x.owned[owner])
	for _, s := range slots {
		x.close(s)
		x.remove(s)
	}
	return len(slots)
}
