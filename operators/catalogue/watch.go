package catalogue

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/operators/event"
	"millrace/operators/profile"
)

// The watchers of a product are spread over so many records, so that one more costs
// little to write and one change of a price comes to persons in bounded chunks.
const (
	Chunks   = 16
	ChunkMax = 63 // of each; together about a thousand, the newest
)

// Options say what is watched. The zero value watches nothing.
type Options struct {
	// Within is for how long who looked at a product is told of it; 0: nobody is.
	Within time.Duration
	// AtLeast is the least share by which a price must have fallen, of all journeys.
	AtLeast float64
	// CacheMax is how many decoded values are kept in memory.
	CacheMax int
}

// Watch is that a person looked at a product, or is no longer to be told of it.
type Watch struct {
	Person   string // pseudonym
	At       int64
	Price    event.Money // that was seen
	HasPrice bool
	Currency string
	Over     bool // ordered: whoever looked before is watching no more
}

// Offer is what concerns watchers of a product: how price and stock went. It is not
// changed once made.
type Offer struct {
	Item     event.CartItem
	Currency string
	prices   []Point
	stock    []Point
	gone     bool
}

// Offer is what concerns the watchers of the product with that id.
func (p *Product) Offer(id string) *Offer {
	o := &Offer{Item: event.CartItem{ID: id, Quantity: 1}, Currency: p.Currency(), prices: slices.Clone(p.prices), stock: slices.Clone(p.stock), gone: p.Deleted()}
	p.Overlay(&o.Item, true)
	return o
}

// ChunkOf is the key of the record that a person watches a product in.
func ChunkOf(item, person string) string {
	h := uint32(2166136261) // FNV-1a
	for i := range len(person) {
		h = (h ^ uint32(person[i])) * 16777619
	}
	return chunkKey(item, int(h%Chunks))
}

func chunkKey(item string, n int) string { return item + "\x00" + strconv.FormatInt(int64(n), 16) }

// Watchers is a chunk of those who watch a product. The zero value is nobody. One
// goroutine at a time.
type Watchers struct {
	list []watcher // by person
}

type watcher struct {
	Watch
	drop, back int64       // what they were told: since when the price is low, the product back
	price      event.Money // and what it cost then
}

// Put adds who looked, or takes out who ordered. It keeps nothing of w. It answers
// whether anything changed.
func (l *Watchers) Put(w *Watch, within time.Duration) bool {
	at, ok := slices.BinarySearchFunc(l.list, w.Person, func(a watcher, p string) int { return strings.Compare(a.Person, p) })
	switch {
	case w.Over:
		if !ok || l.list[at].At > w.At {
			return false
		}
		l.list = slices.Delete(l.list, at, at+1)
		return true
	case ok:
		old := &l.list[at]
		if w.At < old.At || w.At == old.At && (old.HasPrice && !w.HasPrice || old.HasPrice == w.HasPrice && w.Price <= old.Price) {
			return false // the newest look counts
		}
		old.At, old.Price, old.HasPrice = w.At, w.Price, w.HasPrice
		old.Currency = strings.Clone(w.Currency)
		l.prune(within)
		return true
	}
	c := watcher{Watch: *w}
	c.Person, c.Currency = strings.Clone(w.Person), strings.Clone(w.Currency)
	l.list = slices.Insert(l.list, at, c)
	l.prune(within)
	return true
}

// prune drops who looked too long ago, and the oldest of too many.
func (l *Watchers) prune(within time.Duration) {
	newest := int64(math.MinInt64)
	for i := range l.list {
		newest = max(newest, l.list[i].At)
	}
	l.list = slices.DeleteFunc(l.list, func(w watcher) bool { return w.At < newest-within.Milliseconds() })
	for len(l.list) > ChunkMax {
		oldest := 0
		for i := range l.list {
			if cmp.Or(cmp.Compare(l.list[i].At, l.list[oldest].At), strings.Compare(l.list[i].Person, l.list[oldest].Person)) < 0 {
				oldest = i
			}
		}
		l.list = slices.Delete(l.list, oldest, oldest+1)
	}
}

// Tell says to whom an offer is news. It follows from who watches and what was said of
// the product alone, whatever came first: who is told one thing and would by now be told
// another is told again. It answers nil when it is news to nobody.
func (l *Watchers) Tell(o *Offer, opt *Options) *event.Offer {
	var out *event.Offer
	for i := range l.list {
		w := &l.list[i]
		seen, drop, back := o.concerns(&w.Watch, opt)
		if drop == w.drop && back == w.back && (o.Item.Price == w.price || drop == 0 && back == 0) {
			continue
		}
		w.drop, w.back, w.price = drop, back, o.Item.Price
		if out == nil {
			out = &event.Offer{Item: o.Item, Currency: o.Currency, Price: o.Item.Price, InStock: o.inStock()}
		}
		out.To = append(out.To, event.OfferTo{Person: w.Person, Seen: seen, SeenAt: w.At, Drop: drop, Back: back})
	}
	return out
}

func (o *Offer) inStock() bool {
	n := len(o.stock)
	return !o.gone && (n == 0 || o.stock[n-1].Value != 0)
}

// concerns says what an offer means to one who watches: the price that was seen, since
// when the price is low enough below it, and since when the product is back. 0 is never.
func (o *Offer) concerns(w *Watch, opt *Options) (seen event.Money, drop, back int64) {
	within := opt.Within.Milliseconds()
	known := w.HasPrice && (w.Currency == "" || o.Currency == "" || w.Currency == o.Currency)
	seen = w.Price
	if !known {
		seen, known = o.priceAt(w.At)
	}
	if !o.inStock() {
		return seen, 0, 0
	}
	price, since, said := last(o.prices, func(v int64) bool { return v == o.prices[len(o.prices)-1].Value })
	if said && known && since > w.At && since-w.At <= within && event.Fell(seen, event.Money(price), opt.AtLeast) {
		drop = since
	}
	_, since, said = last(o.stock, func(v int64) bool { return v != 0 })
	if said && since > w.At && since-w.At <= within && since > o.stock[0].At {
		back = since // before that word there was one that it was out
	}
	return seen, drop, back
}

// priceAt is what the product cost at a time. It answers false when nobody had said.
func (o *Offer) priceAt(at int64) (event.Money, bool) {
	for _, p := range slices.Backward(o.prices) {
		if p.At <= at {
			return event.Money(p.Value), true
		}
	}
	return 0, false
}

// AppendTo appends the stored form.
func (l *Watchers) AppendTo(b []byte) []byte {
	b = append(b, schema)
	b = binary.AppendUvarint(b, uint64(len(l.list)))
	for i := range l.list {
		w := &l.list[i]
		b = profile.AppendString(profile.AppendString(b, w.Person), w.Currency)
		b = binary.AppendVarint(b, w.At)
		has := byte(0)
		if w.HasPrice {
			has = 1
		}
		b = binary.AppendVarint(append(b, has), int64(w.Price))
		b = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(b, w.drop), w.back), int64(w.price))
	}
	return b
}

// DecodeFrom replaces the chunk by its stored form. It answers profile.ErrNewer or
// profile.ErrDamaged, wrapped with the facts; the chunk is then empty. It keeps nothing
// of b.
func (l *Watchers) DecodeFrom(b []byte) error {
	*l = Watchers{}
	w, _ := profile.ReadWire(b, schema)
	if n := w.Len(ChunkMax, 8); n > 0 {
		l.list = make([]watcher, n)
	}
	for i := range l.list {
		x := &l.list[i]
		x.Person, x.Currency, x.At = w.String(), w.String(), w.Varint()
		x.HasPrice = w.Byte() == 1
		x.Price = event.Money(w.Varint())
		x.drop, x.back = w.Varint(), w.Varint()
		x.price = event.Money(w.Varint())
		if i > 0 && x.Person <= l.list[i-1].Person {
			w.Fail("watchers out of order")
		}
	}
	if err := w.Err(); err != nil {
		*l = Watchers{}
		return err
	}
	return nil
}

// Len is how many watch.
func (l *Watchers) Len() int { return len(l.list) }
