package recommend

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"millrace/operators/profile"
)

// Totals are what the item records share: how many units there are per relation, and
// which items are popular. They are the record of the empty item. Units are whole
// numbers per day, so it does not matter in which groups they are added up: whoever
// exchanges touches may add up those that have no Others, by relation and day.
type Totals struct {
	Last    int64
	Lost    uint32 // popular items that the bound dropped
	days    []day  // by day
	decay   profile.Decay
	popular neighbours
	ranked  []string // made by Rank
}

// The bounds of the totals.
const (
	MaxPopular = 128 // a recommendation needs a handful that its filters leave over; cut as neighbours are
	maxDays    = 800 // over four default half-lives; older days join the oldest kept
)

type day struct {
	day   int64 // since 1970
	units [RelationCount]uint64
}

// ApplyTotals adds a touch of the totals. An order makes its items popular, a cart half
// as much. It keeps nothing of t.
func (r *Recommender) ApplyTotals(s *Totals, t *Touch) {
	if t.Relation >= RelationCount {
		return
	}
	if t.Own > 0 {
		s.day(t.Time).units[t.Relation] += uint64(t.Own)
		s.bound()
	}
	if len(t.Others) > 0 {
		s.ranked = nil
		w, f := s.decay.Weigh(t.Time, r.half, s.Last)
		if f != 1 {
			s.popular.multiply(f)
		}
		if t.Relation != Bought {
			w /= 2
		}
		for _, id := range t.Others {
			s.Lost += s.popular.add(id, w, MaxPopular)
		}
	}
	s.Last = max(s.Last, t.Time)
}

const dayMillis = int64(24 * time.Hour / time.Millisecond)

func (s *Totals) day(at int64) *day {
	d := at / dayMillis
	i, ok := slices.BinarySearchFunc(s.days, d, func(a day, d int64) int { return cmp.Compare(a.day, d) })
	if !ok {
		s.days = slices.Insert(s.days, i, day{day: d})
	}
	return &s.days[i]
}

// bound joins the oldest days.
func (s *Totals) bound() {
	for len(s.days) > maxDays {
		for r, n := range s.days[0].units {
			s.days[1].units[r] += n
		}
		s.days = slices.Delete(s.days, 0, 1)
	}
}

// Units is the decayed number of units of a relation; half is the half-life in
// milliseconds, negative for none. A day counts as of its noon.
func (s *Totals) Units(r Relation, now, half int64) float64 {
	now = max(now, s.Last)
	var d profile.Decay
	var n float64
	for i := range s.days {
		w, f := d.Weigh(s.days[i].day*dayMillis+dayMillis/2, half, 0)
		n = n*f + w*float64(s.days[i].units[r])
	}
	return d.Value(n, now)
}

// Rank makes later calls of Popular cheap, as long as nothing is added.
func (s *Totals) Rank() { s.ranked = s.Popular(MaxPopular) }

// Popular lists the most popular items, at most n, ties in the order of the ids.
func (s *Totals) Popular(n int) []string {
	if s.ranked != nil {
		return s.ranked[:min(len(s.ranked), max(n, 0))]
	}
	order := make([]int, len(s.popular.list))
	for k := range order {
		order[k] = k
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(s.popular.list[b].count, s.popular.list[a].count), strings.Compare(s.popular.id(a), s.popular.id(b)))
	})
	order = order[:min(len(order), max(n, 0))]
	out := make([]string, len(order))
	for i, k := range order {
		out[i] = s.popular.id(k)
	}
	return out
}

// schemaTotals is the version of the stored form of Totals.
const schemaTotals = 1

// AppendTo appends the stored form.
func (s *Totals) AppendTo(b []byte) []byte {
	b = append(b, schemaTotals)
	b = binary.AppendVarint(b, s.Last)
	b = binary.AppendUvarint(b, uint64(s.Lost))
	b = s.decay.AppendTo(b)
	b = binary.AppendUvarint(b, uint64(len(s.days)))
	last := int64(0)
	for i := range s.days {
		b = binary.AppendVarint(b, s.days[i].day-last)
		last = s.days[i].day
		for _, n := range s.days[i].units {
			b = binary.AppendUvarint(b, n)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s.popular.list)))
	return s.popular.appendTo(b)
}

// DecodeFrom replaces the totals by their stored form. It answers profile.ErrNewer or
// profile.ErrDamaged, wrapped with the facts; the totals are then empty.
func (s *Totals) DecodeFrom(b []byte) error {
	*s = Totals{}
	w, _ := profile.ReadWire(b, schemaTotals)
	s.Last = w.Varint()
	s.Lost = uint32(w.Int(1<<32 - 1))
	s.decay.ReadFrom(w)
	s.days = make([]day, w.Len(maxDays, 1+int(RelationCount)))
	last := int64(0)
	for i := range s.days {
		last += w.Varint()
		s.days[i].day = last
		for r := range s.days[i].units {
			s.days[i].units[r] = w.Uvarint()
		}
		if i > 0 && last <= s.days[i-1].day {
			w.Fail("days out of order")
		}
	}
	s.popular.read(w, w.Len(MaxPopular, 9))
	if err := w.Err(); err != nil {
		*s = Totals{}
		return err
	}
	return nil
}
