package profile

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"
)

const dayMillis = int64(24 * time.Hour / time.Millisecond)

// Spell is when a person ordered, by days since 1970 (UTC): what the model of lifetimes
// and the scores of recency and frequency need. Several orders of a day are one.
type Spell struct {
	First, Last int32
	Repeats     int32 // days with an order after the first one
}

// SpellOf is the spell of a number of order times; false if there are none.
func SpellOf(times []int64) (Spell, bool) {
	days := make([]int32, 0, len(times))
	for _, t := range times {
		days = append(days, int32(min(max(floorDiv(t, dayMillis), 0), 1<<24))) //nolint:gosec // bounded
	}
	slices.Sort(days)
	if days = slices.Compact(days); len(days) == 0 {
		return Spell{}, false
	}
	return Spell{days[0], days[len(days)-1], int32(len(days) - 1)}, true //nolint:gosec // bounded
}

// Spell is the person's own; false before the first order.
func (p *Person) Spell() (Spell, bool) {
	times := make([]int64, 0, len(p.Orders))
	for i := range p.Orders {
		if o := &p.Orders[i]; o.At != 0 && !o.Full {
			times = append(times, o.At)
		}
	}
	return SpellOf(times)
}

// History is the spell as of a time, in weeks.
func (s Spell) History(now int64) History {
	days := math.Max(float64(now)/float64(dayMillis)-float64(s.First), 0)
	last := float64(s.Last - s.First)
	return History{int(s.Repeats), last / 7, math.Max(days, last) / 7}
}

// Cohorts counts people by their spells: the sufficient statistics of the model of
// lifetimes for all of a shop. People come and go by whole numbers, so the order does not
// matter and two tables can be merged exactly. When there are too many cells, days are
// counted in twos, fours and so on. The zero value is empty. One goroutine at a time.
type Cohorts struct {
	shift uint8 // a cell is 1<<shift days wide
	cells map[Spell]int32
	Max   int // cells at most; 0 for MaxCohorts
}

// MaxCohorts is how many cells are kept unless Cohorts.Max says otherwise; about five
// bytes each.
const MaxCohorts = 8192

// repeatsMax is where the count of repeats stays, so that a wholesaler with an order a
// day is no cohort of his own.
const repeatsMax = 255

// Move takes a person from one spell to the next. Each is left out if it is nil: a first
// order has no spell before, and an erased person none after.
func (c *Cohorts) Move(from, to *Spell) {
	if from != nil {
		c.put(c.cell(*from), -1)
	}
	if to != nil {
		c.put(c.cell(*to), 1)
	}
	c.bound()
}

func (c *Cohorts) cell(s Spell) Spell {
	return Spell{s.First >> c.shift, s.Last >> c.shift, min(s.Repeats, repeatsMax)}
}

func (c *Cohorts) put(cell Spell, n int32) {
	if c.cells == nil {
		c.cells = make(map[Spell]int32)
	}
	if c.cells[cell] += n; c.cells[cell] == 0 {
		delete(c.cells, cell)
	}
}

func (c *Cohorts) bound() {
	for len(c.cells) > cmp.Or(c.Max, MaxCohorts) && c.shift < 16 {
		c.coarsen(c.shift + 1)
	}
}

func (c *Cohorts) coarsen(shift uint8) {
	old := c.cells
	by := shift - c.shift
	c.cells, c.shift = make(map[Spell]int32, len(old)), shift
	for s, n := range old {
		c.put(Spell{s.First >> by, s.Last >> by, s.Repeats}, n)
	}
}

// Merge takes in the people of another table; o becomes as coarse as c.
func (c *Cohorts) Merge(o *Cohorts) {
	shift := max(c.shift, o.shift)
	c.coarsen(shift)
	o.coarsen(shift)
	for s, n := range o.cells {
		c.put(s, n)
	}
	c.bound()
}

// Days is how wide a cell is.
func (c *Cohorts) Days() int { return 1 << c.shift }

// People is how many there are.
func (c *Cohorts) People() int {
	n := 0
	for _, m := range c.cells {
		n += int(m)
	}
	return n
}

// sorted answers the cells in a fixed order.
func (c *Cohorts) sorted() []Spell {
	return slices.SortedFunc(maps.Keys(c.cells), func(a, b Spell) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last), cmp.Compare(a.Repeats, b.Repeats))
	})
}

// Groups are the people by their history in weeks as of a time: what FitLifetime takes.
// Who first ordered after it is left out; of who ordered again after it, the table cannot
// tell what was before: ask for now.
func (c *Cohorts) Groups(now int64) []Group {
	today := float64(now) / float64(dayMillis)
	width := float64(c.Days())
	var all []Group
	for _, s := range c.sorted() {
		n := c.cells[s]
		age := today - (float64(s.First)+.5)*width
		if width == 1 {
			age = math.Floor(today) - float64(s.First)
		}
		if n <= 0 || age < 0 {
			continue
		}
		last := math.Min(float64(s.Last-s.First)*width, age)
		all = append(all, Group{History{int(s.Repeats), last / 7, age / 7}, float64(n)})
	}
	return all
}

const cohortsSchema = 1

// AppendTo appends the stored form.
func (c *Cohorts) AppendTo(b []byte) []byte {
	b = append(b, cohortsSchema, c.shift)
	b = binary.AppendUvarint(b, uint64(len(c.cells)))
	first := int64(0)
	for _, s := range c.sorted() {
		b = binary.AppendVarint(b, int64(s.First)-first)
		b = binary.AppendVarint(b, int64(s.Last)-int64(s.First))
		b = binary.AppendVarint(b, int64(s.Repeats))
		b = binary.AppendVarint(b, int64(c.cells[s]))
		first = int64(s.First)
	}
	return b
}

// DecodeFrom reads what AppendTo wrote, and keeps Max. It answers ErrNewer or
// ErrDamaged, wrapped with the facts.
func (c *Cohorts) DecodeFrom(b []byte) error {
	w, _ := ReadWire(b, cohortsSchema)
	*c = Cohorts{shift: w.Byte(), Max: c.Max}
	if c.shift > 16 {
		w.Fail("cells too wide")
	}
	first, of := int64(0), int64(1)<<31-1
	clamp := func(v int64) int32 {
		if v < -of || v > of {
			w.Fail("number over its limit")
			return 0
		}
		return int32(v)
	}
	for range w.Len(1<<20, 4) {
		first = int64(clamp(first + w.Varint()))
		s := Spell{First: int32(first), Last: clamp(first + w.Varint()), Repeats: clamp(w.Varint())} //nolint:gosec // clamped
		n := clamp(w.Varint())
		if n == 0 || s.Repeats < 0 || s.Repeats > repeatsMax {
			w.Fail("cell of nobody")
			break
		}
		c.put(s, n)
	}
	return w.Err()
}
