package profile

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"millrace/operators/event"
)

// Weighted is a name with its decayed weight.
type Weighted struct {
	Name   string
	Weight float64
}

// Count is the decayed count of a kind of event as of now. A now before the newest
// event reads as of that event.
func (p *Person) Count(k event.Kind, now int64) float64 {
	for i := range p.Kinds {
		if p.Kinds[i].Kind == k {
			return p.value(p.Kinds[i].count, now)
		}
	}
	return 0
}

// Spent is the decayed money of a kind of event, in minor units, as of now.
func (p *Person) Spent(k event.Kind, now int64) float64 {
	for i := range p.Kinds {
		if p.Kinds[i].Kind == k {
			return p.value(p.Kinds[i].money, now)
		}
	}
	return 0
}

// Stat is what is known of a kind of event.
func (p *Person) Stat(k event.Kind) KindStat {
	for i := range p.Kinds {
		if p.Kinds[i].Kind == k {
			return p.Kinds[i]
		}
	}
	return KindStat{Kind: k}
}

// LTV is the lifetime value: orders less refunds, in minor units.
func (p *Person) LTV() event.Money { return p.Revenue - p.Refunded }

// OrderCount is the number of distinct orders, for life.
func (p *Person) OrderCount() uint64 { return p.Stat(event.OrderCompleted).Count }

// AvgCartValue is the mean value of the carts that became orders, in minor units; 0
// before the first order.
func (p *Person) AvgCartValue() event.Money {
	n := p.OrderCount()
	if n == 0 {
		return 0
	}
	return p.Revenue / event.Money(n)
}

// Cart finds an open cart by its id.
func (p *Person) Cart(id string) (*Cart, bool) {
	if i, ok := p.findCart(id); ok && p.Carts[i].Open() {
		return &p.Carts[i], true
	}
	return nil, false
}

// NewestCart is the open cart with the newest activity, or nil.
func (p *Person) NewestCart() *Cart {
	var best *Cart
	for i := range p.Carts {
		if c := &p.Carts[i]; c.Open() && (best == nil || c.Last > best.Last) {
			best = c
		}
	}
	return best
}

// CartValue is the worth of an open cart, 0 if there is none of that id.
func (p *Person) CartValue(id string) event.Money {
	if c, ok := p.Cart(id); ok {
		return c.Value()
	}
	return 0
}

// HasBought tells whether an item was bought before.
func (p *Person) HasBought(item string) bool {
	_, ok := slices.BinarySearchFunc(p.Bought, item, func(b Bought, id string) int { return strings.Compare(b.ID, id) })
	return ok
}

// Favourites are the categories a person is drawn to, strongest first, at most n.
func (p *Person) Favourites(n int, now int64) []Weighted { return p.rank(p.Categories, n, now) }

// FavouriteBrands are the brands a person is drawn to, strongest first, at most n.
func (p *Person) FavouriteBrands(n int, now int64) []Weighted { return p.rank(p.Brands, n, now) }

// TopCategory is the favourite category, or "".
func (p *Person) TopCategory(now int64) string {
	if f := p.Favourites(1, now); len(f) > 0 {
		return f[0].Name
	}
	return ""
}

func (p *Person) rank(from []Affinity, n int, now int64) []Weighted {
	out := make([]Weighted, 0, len(from))
	for _, a := range from {
		out = append(out, Weighted{a.Name, p.value(a.score, now)})
	}
	slices.SortFunc(out, func(a, b Weighted) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), strings.Compare(a.Name, b.Name))
	})
	return out[:min(max(n, 0), len(out))]
}

// BusiestHour is the hour of the week, Monday 0:00 UTC being 0, with the most
// events, and how many; the earliest one of equals.
func (p *Person) BusiestHour() (hour int, n int) {
	for _, h := range p.Hours {
		if int(h.N) > n {
			hour, n = int(h.Hour), int(h.N)
		}
	}
	return hour, n
}

// hourOfWeek counts from Monday 0:00 UTC. The first of January 1970 was a Thursday.
func hourOfWeek(at int64) uint8 {
	h := (floorDiv(at, time.Hour.Milliseconds()) + 3*24) % 168
	if h < 0 {
		h += 168
	}
	return uint8(h)
}
