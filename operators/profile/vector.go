package profile

import (
	"math"

	"millrace/operators/event"
)

// vectorNames are the features of Vector, in words that a group can be named by.
var vectorNames = [...]string{
	"silence", "orders", "spending", "order value", "time between orders", "returns",
	"browsing", "cart use", "searching", "mail interest", "evenings and nights", "weekends", "variety",
}

// VectorNames are the names of the features that Vector answers.
func VectorNames() []string { return append([]string(nil), vectorNames[:]...) }

// Vector writes a person as numbers that can be compared across people to dst, and
// answers it: what groups, axes and norms are made of. Counts and amounts stand as
// logarithms, since twice as much is as much of a difference everywhere. A feature of
// which nothing is known is NaN if it has no neutral value.
func (p *Person) Vector(dst []float64, now int64) []float64 {
	days := func(from, to int64) float64 { return math.Max(float64(to-from), 0) / float64(dayMillis) }
	orders := p.Stat(event.OrderCompleted)
	n := float64(orders.Count)
	returned := 0.0
	if p.Revenue > 0 {
		returned = math.Min(math.Max(float64(p.Refunded)/float64(p.Revenue), 0), 1)
	}
	between := math.NaN()
	if spell, ok := p.Spell(); ok && spell.Repeats > 0 {
		between = math.Log1p(float64(spell.Last-spell.First) / float64(spell.Repeats))
	}
	value := math.NaN()
	if n > 0 {
		value = math.Log1p(float64(max(p.Revenue, 0)) / n)
	}
	count := func(kinds ...event.Kind) float64 {
		sum := 0.0
		for _, k := range kinds {
			sum += p.Count(k, now)
		}
		return math.Log1p(math.Max(sum, 0))
	}
	night, weekend := p.hoursOf()
	return append(dst[:0],
		math.Log1p(days(p.Last, now)),
		math.Log1p(n),
		math.Log1p(float64(max(p.LTV(), 0))),
		value,
		between,
		returned,
		count(event.ProductViewed, event.ProductListViewed, event.ProductClicked),
		count(event.ProductAdded, event.CartViewed, event.CheckoutStarted),
		count(event.ProductsSearched),
		count(event.EmailOpened, event.EmailLinkClicked),
		night,
		weekend,
		p.variety(),
	)
}

// hoursOf is the share of what a person does between 19:00 and 7:00 UTC, and on Saturdays
// and Sundays.
func (p *Person) hoursOf() (night, weekend float64) {
	sum := 0.0
	for _, h := range p.Hours {
		n := float64(h.N)
		sum += n
		if hour := int(h.Hour) % 24; hour >= 19 || hour < 7 {
			night += n
		}
		if h.Hour >= 5*24 {
			weekend += n
		}
	}
	if sum == 0 {
		return math.NaN(), math.NaN()
	}
	return night / sum, weekend / sum
}

// variety is the entropy of a person's categories in bits: 0 for one, 1 for two alike.
func (p *Person) variety() float64 {
	sum, h := 0.0, 0.0
	for _, a := range p.Categories {
		sum += math.Max(a.score, 0)
	}
	if sum == 0 {
		return math.NaN()
	}
	for _, a := range p.Categories {
		if q := a.score / sum; q > 0 {
			h -= q * math.Log2(q)
		}
	}
	return h
}

// Fill writes x with what is missing replaced by the mean, so that it can be put into a
// group; a feature nobody has is 0.
func (m *Moments) Fill(dst, x []float64) []float64 {
	dst = dst[:0]
	for i, v := range x {
		if !counts(v) {
			v = 0
			if i < len(m.All) {
				v = m.All[i].Mean
			}
		}
		dst = append(dst, v)
	}
	return dst
}
