package recommend

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Stock is whether an item can be had.
type Stock uint8

// What may be known of the stock.
const (
	StockUnknown Stock = iota
	InStock
	OutOfStock
)

// Listing is what is known of an item beside what goes with it.
type Listing struct {
	Facts Facts
	Brand string
	Stock Stock
}

// Shelf numbers the items of a running shop, knows what they are called, and compares
// them by it. Those who ask share a lock, which somebody who adds takes for microseconds,
// when an item is new or is called otherwise than before. Safe for concurrent use.
type Shelf struct {
	mu       sync.RWMutex // guards names, listings and content
	names    *Names
	listings []Listing
	said     []int64 // when each was said
	content  *Content
	version  atomic.Uint64 // of the contents
	weighed  int           // where the lengths of vectors are being brought up to date
	scratch  sync.Pool     // of *shelfScratch

	lists    sync.Mutex // guards the two generations of lists
	new, old map[Num]likeList
	now      func() time.Time // nil: time.Now
}

type likeList struct {
	version uint64
	made    time.Time
	items   []Ranked // never changed
}

type shelfScratch struct {
	s Scratch
	c Context
}

// Bounds of what is remembered of likenesses.
const (
	likeAge   = 5 * time.Second // until a new item is among those that are like another
	likeItems = 32              // beyond these nothing is like an item
	likeMax   = 8192            // lists of a generation; two are at most 10 MB
)

// NewShelf makes an empty shelf of at most so many items; 0 is the default of four
// million.
func NewShelf(most int) *Shelf {
	n := NewNames(most)
	x := &Shelf{names: n, content: NewContent(n)}
	x.scratch.New = func() any { return new(shelfScratch) }
	return x
}

// Len is the number of items.
func (x *Shelf) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.names.Len()
}

// Put answers the number of an item, which it gets if need be; None when there is no room.
func (x *Shelf) Put(id string) Num {
	x.mu.RLock()
	i := x.names.Find(id)
	x.mu.RUnlock()
	if i != None {
		return i
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.names.Put(id)
}

// Describe takes over what was said of an item at a time. Newer words hold; what was
// never said is filled in from any. It answers false when that changes nothing.
func (x *Shelf) Describe(id string, l *Listing, at int64) bool {
	i := x.Put(id)
	if i == None {
		return false
	}
	x.mu.RLock()
	var now Listing
	said := int64(0)
	if int(i) < len(x.listings) {
		now, said = x.listings[i], x.said[i]
	}
	x.mu.RUnlock()
	next := now.with(l, at >= said)
	if next == now {
		return false
	}
	next = next.clone()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.listings, x.said = grown(x.listings, i), grown(x.said, i)
	x.listings[i], x.said[i] = next, max(said, at)
	if p := next.product(); p != now.product() {
		x.content.describe(i, p)
		x.version.Add(1)
	}
	return true
}

// with is a listing with other words.
func (l Listing) with(o *Listing, newer bool) Listing {
	fill := func(to *string, from string) {
		if from != "" && (newer || *to == "") {
			*to = from
		}
	}
	fill(&l.Facts.Name, o.Facts.Name)
	fill(&l.Facts.Category, o.Facts.Category)
	fill(&l.Facts.URL, o.Facts.URL)
	fill(&l.Facts.ImageURL, o.Facts.ImageURL)
	fill(&l.Facts.Currency, o.Facts.Currency)
	fill(&l.Brand, o.Brand)
	if o.Facts.HasPrice && (newer || !l.Facts.HasPrice) {
		l.Facts.Price, l.Facts.HasPrice = o.Facts.Price, true
	}
	if o.Stock != StockUnknown && (newer || l.Stock == StockUnknown) {
		l.Stock = o.Stock
	}
	return l
}

// clone lets go of the memory that the strings were read from.
func (l Listing) clone() Listing {
	f := &l.Facts
	for _, s := range [...]*string{&f.Name, &f.Category, &f.URL, &f.ImageURL, &f.Currency, &l.Brand} {
		*s = strings.Clone(*s)
	}
	return l
}

// product is what contents are compared by. Prices are compared by their ratio, so it
// does not matter in which unit.
func (l Listing) product() Product {
	return Product{Title: l.Facts.Name, Category: l.Facts.Category, Brand: l.Brand, Price: float64(l.Facts.Price) / 100}
}

// Nums appends the numbers of those items that have one.
func (x *Shelf) Nums(dst []Num, ids []string) []Num {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.names.FindAll(dst, ids)
}

// Find is what is known of an item.
func (x *Shelf) Find(id string) (Listing, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	i := x.names.Find(id)
	if i == None || int(i) >= len(x.listings) {
		return Listing{}, i != None
	}
	return x.listings[i], true
}

// number is the number of an item, None if it has none.
func (x *Shelf) number(id string) Num {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.names.Find(id)
}

// listing is what is known of an item. It fills in its id.
func (x *Shelf) listing(i Num, id *string) Listing {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if i < 0 {
		return Listing{}
	}
	*id = x.names.ID(i)
	if int(i) >= len(x.listings) {
		return Listing{}
	}
	return x.listings[i]
}

// Weigh brings a slice of the lengths of vectors up to date with the frequencies of
// words, so that nobody waits long. Call it now and then.
func (x *Shelf) Weigh() {
	const slice = 2048
	x.mu.Lock()
	defer x.mu.Unlock()
	x.weighed = x.content.weighSome(x.weighed, slice)
}

// Like are the items that are like one by their words, best first; not to be changed.
func (x *Shelf) Like(i Num) []Ranked {
	at, version := x.clock(), x.version.Load()
	x.lists.Lock()
	l, ok := x.new[i]
	if !ok {
		if l, ok = x.old[i]; ok {
			x.keep(i, l)
		}
	}
	x.lists.Unlock()
	if ok && (l.version == version || at.Sub(l.made) < likeAge) {
		return l.items
	}
	l = likeList{version: version, made: at, items: x.like(i)}
	x.lists.Lock()
	defer x.lists.Unlock()
	x.keep(i, l)
	return l.items
}

// keep remembers a list; x.lists is held.
func (x *Shelf) keep(i Num, l likeList) {
	if len(x.new) >= likeMax || x.new == nil {
		x.old, x.new = x.new, make(map[Num]likeList)
	}
	x.new[i] = l
}

func (x *Shelf) like(i Num) []Ranked {
	d := x.scratch.Get().(*shelfScratch)
	defer x.scratch.Put(d)
	x.mu.RLock()
	defer x.mu.RUnlock()
	d.c.Session = append(d.c.Session[:0], i)
	d.s.Scores.Reset(x.names.Len())
	x.content.Score(&d.c, &d.s)
	return slices.Clone(d.s.Scores.Top(nil, likeItems, x.names, func(j Num) bool { return j == i }))
}

// Similarity is how alike two items are by their words, from 0 to 1.
func (x *Shelf) Similarity(a, b string) float64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.content.Similarity(x.names.Find(a), x.names.Find(b))
}

func (x *Shelf) clock() time.Time {
	if x.now != nil {
		return x.now()
	}
	return time.Now()
}
