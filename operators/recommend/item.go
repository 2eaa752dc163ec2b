// Package recommend learns which items go together, incrementally, and answers what
// to show to a person. Three relations are kept apart: seen together, put into a cart
// together, bought together.
//
// The unit that is counted is a window of one person's views, a cart, or an order. An
// item counts once in a unit and a pair counts once in a unit, so the counts of a
// relation form a proper two by two table with the number of units as its total, and
// the log-likelihood ratio can be read from them at any time. In the words of
// TencentRec: the weight r of an item within a unit is 0 or 1, per relation, and
// Δco = min(r'ui, ruj) - min(rui, ruj) is 1 when the second of two items joins.
package recommend

import (
	"cmp"
	"encoding/binary"
	"strings"
	"time"

	"millrace/operators/event"
	"millrace/operators/profile"
)

// Relation is a way in which two items go together.
type Relation uint8

// The relations. Their numbers stand in stored state: append, never reorder.
const (
	Seen          Relation = iota // viewed in one window of one person
	Carted                        // put into one cart
	Bought                        // in one order
	RelationCount                 // the number of relations, not a relation
)

// String names the relation as shown.
func (r Relation) String() string {
	switch r {
	case Seen:
		return "seen together"
	case Carted:
		return "in a cart together"
	case Bought:
		return "bought together"
	default:
		return "unrelated"
	}
}

// MaxNeighbours bounds what an item remembers per relation. A list that outgrows it is
// cut to the better half at once (lossy counting), which leaves newcomers room to prove
// themselves. On nine months of wholesale orders, where an item meets a thousand others,
// the exact ten best neighbours of the 500 most popular items are found to 90 %; a
// space-saving list of this size finds 78 %, one of 64 finds 19 %.
const MaxNeighbours = 256

// Options say how item records are kept and read. The zero value works.
type Options struct {
	// HalfLife of all counts; negative: no decay.
	HalfLife time.Duration
	// SeenPairs and CartedPairs are with how many of the newest other items of the
	// unit a new one is paired. Each costs one more item update per event. In an
	// order all pairs count, of its first profile.MaxOrderLines items.
	SeenPairs, CartedPairs int
	// Weights of the relations in a recommendation; all zero: the defaults.
	Weights [RelationCount]float64
}

func (o Options) withDefaults() Options {
	o.HalfLife = cmp.Or(o.HalfLife, 180*24*time.Hour) // short lives lost accuracy offline
	o.SeenPairs = cmp.Or(o.SeenPairs, 5)              // a view then costs six small updates, half of the event's budget
	o.CartedPairs = cmp.Or(o.CartedPairs, 10)         // cart changes are a tenth of views
	if o.Weights == [RelationCount]float64{} {
		o.Weights = [RelationCount]float64{Seen: 0.3, Carted: 0.6, Bought: 1} // how much each says about buying
	}
	return o
}

// Recommender applies touches and answers what goes together. It holds no state of its
// own and is safe for concurrent use on different records.
type Recommender struct {
	o    Options
	half int64 // milliseconds; -1: no decay
}

// New makes a Recommender.
func New(o Options) *Recommender {
	o = o.withDefaults()
	r := &Recommender{o: o, half: -1}
	if o.HalfLife > 0 {
		r.half = max(o.HalfLife.Milliseconds(), 1000)
	}
	return r
}

// Facts are what is known of an item itself.
type Facts struct {
	Name     string
	Category string
	URL      string
	ImageURL string
	Price    event.Money
	HasPrice bool
	Currency string
}

// Item is what is known of an item and of what goes with it. The zero value is an item
// of which nothing is known. One goroutine at a time.
type Item struct {
	Facts Facts
	Said  int64  // event time of the newest facts
	Last  int64  // event time of the newest touch
	Lost  uint32 // neighbours that the bound dropped

	decay     profile.Decay
	relations [RelationCount]relation
}

// relation holds the decayed counts of one relation.
type relation struct {
	own float64 // units that the item belongs to
	neighbours
}

// Apply adds a touch to the record of its item. It keeps nothing of t.
func (r *Recommender) Apply(i *Item, t *Touch) {
	if t.Relation >= RelationCount {
		return
	}
	w, f := i.decay.Weigh(t.Time, r.half, i.Last)
	if f != 1 {
		i.multiply(f)
	}
	i.Last = max(i.Last, t.Time)
	if t.Facts != (Facts{}) {
		i.describe(&t.Facts, t.Time)
	}
	n := &i.relations[t.Relation]
	n.own += w * float64(t.Own)
	for _, other := range t.Others {
		i.Lost += n.add(other, w, MaxNeighbours)
	}
}

func (i *Item) multiply(f float64) {
	for r := range i.relations {
		i.relations[r].own *= f
		i.relations[r].multiply(f)
	}
}

// describe takes over facts. Newer words hold over older ones; what was never said is
// filled in from any.
func (i *Item) describe(f *Facts, at int64) {
	newer := at >= i.Said
	i.Said = max(i.Said, at)
	fill := func(to *string, from string) {
		if from != "" && *to != from && (newer || *to == "") {
			*to = strings.Clone(from)
		}
	}
	fill(&i.Facts.Name, f.Name)
	fill(&i.Facts.Category, f.Category)
	fill(&i.Facts.URL, f.URL)
	fill(&i.Facts.ImageURL, f.ImageURL)
	fill(&i.Facts.Currency, f.Currency)
	if f.HasPrice && (newer || !i.Facts.HasPrice) {
		i.Facts.Price, i.Facts.HasPrice = f.Price, true
	}
}

// Brief is the record without its neighbours; nil for nil.
func (i *Item) Brief() *Item {
	if i == nil {
		return nil
	}
	b := *i
	for r := range b.relations {
		b.relations[r].neighbours = neighbours{}
	}
	return &b
}

// Units is the decayed number of units of a relation that the item belongs to.
func (i *Item) Units(r Relation, now int64) float64 { return i.value(i.relations[r].own, now) }

// Shared is the decayed number of units of a relation that the item shares with
// another: at least so many, if the bound dropped neighbours.
func (i *Item) Shared(r Relation, other string, now int64) float64 {
	n := &i.relations[r]
	at, ok := n.find(hashOf(other), other)
	if !ok {
		return 0
	}
	return i.value(n.list[at].count, now)
}

// value reads a count as of now, but not as of before the newest touch.
func (i *Item) value(c float64, now int64) float64 { return i.decay.Value(c, max(now, i.Last)) }

// schemaItem is the version of the stored form of Item.
const schemaItem = 1

// AppendTo appends the stored form.
func (i *Item) AppendTo(b []byte) []byte {
	b = append(b, schemaItem)
	b = binary.AppendVarint(b, i.Last)
	b = binary.AppendVarint(b, i.Last-i.Said)
	b = binary.AppendUvarint(b, uint64(i.Lost))
	b = i.decay.AppendTo(b)
	f := &i.Facts
	for _, s := range [...]string{f.Name, f.Category, f.URL, f.ImageURL, f.Currency} {
		b = profile.AppendString(b, s)
	}
	has := byte(0)
	if f.HasPrice {
		has = 1
	}
	b = append(b, has)
	b = binary.AppendVarint(b, int64(f.Price))
	for r := range i.relations {
		n := &i.relations[r]
		b = binary.AppendUvarint(b, uint64(len(n.list)))
		b = profile.AppendFloat(b, n.own)
		b = n.appendTo(b)
	}
	return b
}

// DecodeFrom replaces the record by its stored form. It answers profile.ErrNewer or
// profile.ErrDamaged, wrapped with the facts; the record is then empty. It keeps
// nothing of b.
func (i *Item) DecodeFrom(b []byte) error {
	*i = Item{}
	w, _ := profile.ReadWire(b, schemaItem)
	i.read(w)
	if err := w.Err(); err != nil {
		*i = Item{}
		return err
	}
	return nil
}

func (i *Item) read(w *profile.Wire) {
	i.Last = w.Varint()
	i.Said = i.Last - w.Varint()
	i.Lost = uint32(w.Int(1<<32 - 1))
	i.decay.ReadFrom(w)
	f := &i.Facts
	for _, s := range [...]*string{&f.Name, &f.Category, &f.URL, &f.ImageURL, &f.Currency} {
		*s = w.String()
	}
	f.HasPrice = w.Byte() == 1
	f.Price = event.Money(w.Varint())
	for r := range i.relations {
		n := &i.relations[r]
		count := w.Len(MaxNeighbours, 9)
		n.own = w.Float()
		n.read(w, count)
	}
}
