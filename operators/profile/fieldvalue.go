package profile

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"millrace/operators/event"
)

// FieldState is what the declared fields hold of one person. The zero value is a person
// of whom nothing is known. Its content does not depend on the order of events, sums to
// 1e-9, with one exception: a "share" of more values than its limit drops the lightest
// when it is over, which is counted in Lost. One goroutine at a time.
type FieldState struct {
	Lost   uint32 // values that a share had no room for
	newest int64
	clocks []Decay // one for each half-life
	slots  []slot
}

// slot is the content of one field.
type slot struct {
	id    uint32 // of the Field
	op    fieldOp
	half  int64 // of the Field: milliseconds, -1 for none
	limit int
	n     float64 // how many values, decayed
	num   float64 // sum, least, largest, first or last number
	text  string  // first or last text
	at    int64   // time of the first or last
	bag   *bag
	born  uint64 // no message of the log before this one counts in it; 0: nobody knows
}

// bag holds the values of a "distinct" or a "share".
type bag struct {
	hashes []uint64 // distinct: the smallest ones, sorted
	full   bool     // distinct: there were more
	shares []share  // by name
}

type share struct {
	name   string
	weight float64
}

// FieldValue is what a field says.
type FieldValue struct {
	Type   FieldType
	Known  bool // false when nothing has been seen; counts and sums are then 0 and known
	Num    float64
	Text   string
	Shares []Weighted // largest first
}

// Apply lets an event count in all fields that it concerns. It must be given each event
// once. It keeps nothing of e.
func (t *FieldSet) Apply(s *FieldState, e *event.Event) {
	if !t.Wants(e) {
		return
	}
	t.fit(s)
	for _, i := range t.byKind[e.Kind] {
		t.apply(s, i, e)
	}
	for _, i := range t.others {
		f := &t.All[i]
		named := slices.ContainsFunc(f.names, func(n string) bool { return strings.EqualFold(n, e.Name) })
		if named && !slices.Contains(t.byKind[e.Kind], i) {
			t.apply(s, i, e)
		}
	}
	if s.newest == 0 || e.Time > s.newest {
		s.newest = e.Time
	}
}

// fit brings the slots into the order of the fields. What is of a field that is no
// longer declared is dropped; a new one begins empty.
func (t *FieldSet) fit(s *FieldState) {
	same := len(s.slots) == len(t.All)
	for i := 0; same && i < len(s.slots); i++ {
		same = s.slots[i].id == t.All[i].id
	}
	if same {
		return
	}
	old := s.slots
	s.slots = make([]slot, len(t.All))
	for i := range t.All {
		f := &t.All[i]
		s.slots[i] = slot{id: f.id, op: f.op, half: f.half, limit: f.limit}
		if j := slices.IndexFunc(old, func(o slot) bool { return o.id == f.id && o.op == f.op && o.half == f.half }); j >= 0 {
			s.slots[i] = old[j]
			s.slots[i].limit = f.limit
		}
	}
	s.clocks = slices.DeleteFunc(s.clocks, func(d Decay) bool {
		return !slices.ContainsFunc(s.slots, func(o slot) bool { return o.half == d.half })
	})
}

func (t *FieldSet) apply(s *FieldState, i int, e *event.Event) {
	f := &t.All[i]
	if f.op == opCount {
		s.slots[i].n += s.weigh(f.half, e.Time)
		return
	}
	if !f.of.each() {
		t.take(s, i, e, nil)
		return
	}
	for j := range e.Products {
		t.take(s, i, e, &e.Products[j])
	}
}

// take lets one value count, which is the event's or one product's.
func (t *FieldSet) take(s *FieldState, i int, e *event.Event, d *event.Product) {
	f, o := &t.All[i], &s.slots[i]
	var num float64
	var text string
	if f.of.numeric() {
		var ok bool
		if num, ok = f.of.number(e, d, t.rates); !ok {
			return
		}
	} else if text = f.of.text(e, d); text == "" {
		return
	}
	switch f.op {
	case opDistinct:
		h := fnv1a(fnvOffset, text)
		if f.of.numeric() {
			h = math.Float64bits(num)
		}
		o.contents().meet(mix(h), o.limit)
	case opShare:
		by := 1.0
		if f.by != noProperty {
			var ok bool
			if by, ok = f.by.number(e, d, t.rates); !ok || by <= 0 {
				return
			}
		}
		w := s.weigh(f.half, e.Time) * by
		s.Lost += s.slots[i].contents().weigh(text, w, f.limit)
	case opSum, opMean:
		w := s.weigh(f.half, e.Time)
		s.slots[i].n += w
		s.slots[i].num += w * num
	default:
		o.choose(num, text, e.Time)
	}
}

func (o *slot) contents() *bag {
	if o.bag == nil {
		o.bag = &bag{}
	}
	return o.bag
}

// choose keeps the least, largest, first or last of what is there and what comes. Of
// two values of one instant the first is the lesser and the last the greater, so that
// the order does not matter.
func (o *slot) choose(num float64, text string, at int64) {
	byValue := cmp.Or(cmpFloat(num, o.num), strings.Compare(text, o.text))
	better := o.n == 0
	switch o.op {
	case opMin:
		better = better || num < o.num
		at = 0
	case opMax:
		better = better || num > o.num
		at = 0
	case opFirst:
		better = better || cmp.Or(cmp.Compare(at, o.at), byValue) < 0
	case opLast:
		better = better || cmp.Or(cmp.Compare(at, o.at), byValue) > 0
	}
	if !better {
		return
	}
	o.n, o.num, o.at = 1, num, at
	if o.text != text {
		o.text = strings.Clone(text)
	}
}

// meet notes a hash among the smallest ones: k of them are an exact count up to k, and
// beyond it tell how many there are (Bar-Yossef and others, RANDOM 2002), and unlike
// the first k that come they are the same in any order.
func (g *bag) meet(h uint64, k int) {
	i, ok := slices.BinarySearch(g.hashes, h)
	if ok {
		return
	}
	if len(g.hashes) >= k {
		g.full = true
		if i >= k {
			return
		}
	}
	g.hashes = slices.Insert(g.hashes, i, h)
	g.bound(k)
}

func (g *bag) bound(k int) {
	if len(g.hashes) > k {
		g.full, g.hashes = true, g.hashes[:k]
	}
}

// distinct is how many different hashes there were.
func (g *bag) distinct() float64 {
	if !g.full || len(g.hashes) == 0 {
		return float64(len(g.hashes))
	}
	n := float64(len(g.hashes))
	return math.Max(math.Round((n-1)/(float64(g.hashes[len(g.hashes)-1])/math.MaxUint64)), n+1)
}

// weigh adds to the weight of a name and answers how many names had to go.
func (g *bag) weigh(name string, w float64, limit int) uint32 {
	i, ok := slices.BinarySearchFunc(g.shares, name, func(s share, n string) int { return strings.Compare(s.name, n) })
	if ok {
		g.shares[i].weight += w
		return 0
	}
	g.shares = slices.Insert(g.shares, i, share{strings.Clone(name), w})
	lost := uint32(0)
	for len(g.shares) > limit {
		low := 0
		for j := range g.shares {
			if g.shares[j].weight < g.shares[low].weight {
				low = j
			}
		}
		g.shares = slices.Delete(g.shares, low, low+1)
		lost++
	}
	return lost
}

// clock is the clock of a half-life.
func (s *FieldState) clock(half int64) *Decay {
	for i := range s.clocks {
		if s.clocks[i].half == half {
			return &s.clocks[i]
		}
	}
	s.clocks = append(s.clocks, Decay{})
	d := &s.clocks[len(s.clocks)-1]
	d.Weigh(s.newest, half, s.newest)
	return d
}

// weigh is what an event of a time adds to counts of a half-life.
func (s *FieldState) weigh(half, at int64) float64 {
	if half < 0 {
		return 1
	}
	w, f := s.clock(half).Weigh(at, half, s.newest)
	s.multiply(half, f)
	return w
}

func (s *FieldState) multiply(half int64, f float64) {
	if f == 1 {
		return
	}
	for i := range s.slots {
		o := &s.slots[i]
		if o.half != half {
			continue
		}
		o.n *= f
		o.num *= f
		if o.bag != nil {
			for j := range o.bag.shares {
				o.bag.shares[j].weight *= f
			}
		}
	}
}

// Value answers what field number i says as of now; a now before the newest event
// reads as of that event.
func (t *FieldSet) Value(s *FieldState, i int, now int64) FieldValue {
	f := &t.All[i]
	v := FieldValue{Type: f.Type, Known: f.op == opCount || f.op == opSum || f.op == opDistinct}
	j := slices.IndexFunc(s.slots, func(o slot) bool { return o.id == f.id })
	if j < 0 {
		return v
	}
	o := &s.slots[j]
	fade := 1.0
	if c := slices.IndexFunc(s.clocks, func(d Decay) bool { return d.half == o.half }); c >= 0 {
		fade = s.clocks[c].Value(1, max(now, s.newest))
	}
	switch f.op {
	case opCount:
		v.Num = o.n * fade
	case opSum:
		v.Num = o.num * fade
	case opMean:
		if o.n > 0 {
			v.Num, v.Known = o.num/o.n, true
		}
	case opDistinct:
		if o.bag != nil {
			v.Num = o.bag.distinct()
		}
	case opShare:
		v.Shares = o.bag.portions()
		v.Known = len(v.Shares) > 0
	default:
		v.Num, v.Text, v.Known = o.num, o.text, o.n > 0
	}
	return v
}

func (g *bag) portions() []Weighted {
	if g == nil {
		return nil
	}
	sum := 0.0
	for _, s := range g.shares {
		sum += s.weight
	}
	if sum <= 0 {
		return nil
	}
	all := make([]Weighted, 0, len(g.shares))
	for _, s := range g.shares {
		all = append(all, Weighted{s.name, s.weight / sum})
	}
	slices.SortStableFunc(all, func(a, b Weighted) int { return cmp.Compare(b.Weight, a.Weight) })
	return all
}
