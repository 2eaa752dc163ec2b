package recommend

import (
	"slices"
	"strings"

	"millrace/operators/event"
	"millrace/operators/profile"
)

// Touch is what an event of a person means to an item. It is addressed to the item,
// or to the totals when Item is empty. It counts whole units; decay comes in where it
// is applied.
type Touch struct {
	Item     string
	Relation Relation
	Own      uint32   // units that the item newly belongs to; for the totals: new units
	Others   []string // items that it newly shares a unit with; for the totals: items that became popular
	Time     int64
	Facts    Facts // what the event said of the item; zero when nothing
}

// Touches appends to dst what an event means to items, given what it changed in the
// person's picture. A pair is told to both its items. The strings of a touch belong to
// it.
//
// A view that is new in its window costs 1 + SeenPairs touches, and one for the totals
// if it begins the window; a repeated view costs none. An order of n items costs n + 1.
func (r *Recommender) Touches(dst []Touch, e *event.Event, ch *profile.Change, p *profile.Person) []Touch {
	if ch.Duplicate || ch.Silent || ch.Merged {
		return dst
	}
	if len(ch.Viewed) > 0 {
		dst = r.viewed(dst, e, ch, p)
	}
	if len(ch.Added) > 0 {
		dst = r.carted(dst, e, ch, p)
	}
	if ch.Ordered && len(ch.Bought) > 0 {
		dst = bought(dst, e, ch)
	}
	return dst
}

func (r *Recommender) viewed(dst []Touch, e *event.Event, ch *profile.Change, p *profile.Person) []Touch {
	if ch.NewWindow {
		dst = append(dst, Touch{Relation: Seen, Own: 1, Time: e.Time})
	}
	for n, id := range ch.Viewed {
		others := make([]string, 0, r.o.SeenPairs)
		for i := range p.Viewed {
			v := &p.Viewed[i]
			if len(others) == r.o.SeenPairs || v.At < p.Window {
				break // newest first
			}
			// Of two items of one event the later one tells of the pair.
			if v.ID != id && !slices.Contains(ch.Viewed[n+1:], v.ID) {
				others = append(others, v.ID)
			}
		}
		dst = join(dst, Seen, id, others, e)
	}
	return dst
}

func (r *Recommender) carted(dst []Touch, e *event.Event, ch *profile.Change, p *profile.Person) []Touch {
	c, ok := p.Cart(ch.Cart)
	if !ok {
		return dst
	}
	total := Touch{Relation: Carted, Time: e.Time, Others: slices.Clone(ch.Added)}
	if ch.NewCart {
		total.Own = 1
	}
	dst = append(dst, total)
	for n, id := range ch.Added {
		others := make([]string, 0, r.o.CartedPairs)
		for i := len(c.Items) - 1; i >= 0 && len(others) < r.o.CartedPairs; i-- {
			if o := c.Items[i].ID; o != id && !slices.Contains(ch.Added[n+1:], o) {
				others = append(others, o)
			}
		}
		dst = join(dst, Carted, id, others, e)
	}
	return dst
}

// join tells an item and the others that they now share a unit.
func join(dst []Touch, r Relation, id string, others []string, e *event.Event) []Touch {
	dst = append(dst, Touch{Item: id, Relation: r, Own: 1, Others: others, Time: e.Time, Facts: factsOf(e, id)})
	self := []string{id}
	for _, o := range others {
		dst = append(dst, Touch{Item: o, Relation: r, Others: self, Time: e.Time})
	}
	return dst
}

func bought(dst []Touch, e *event.Event, ch *profile.Change) []Touch {
	all := slices.Clone(ch.Bought)
	dst = append(dst, Touch{Relation: Bought, Own: 1, Others: all, Time: e.Time})
	arena := make([]string, 0, len(all)*(len(all)-1))
	for i, id := range all {
		from := len(arena)
		arena = append(append(arena, all[:i]...), all[i+1:]...)
		dst = append(dst, Touch{Item: id, Relation: Bought, Own: 1, Others: arena[from:len(arena):len(arena)], Time: e.Time, Facts: factsOf(e, id)})
	}
	return dst
}

// factsOf copies what an event says of an item, in one piece.
func factsOf(e *event.Event, id string) Facts {
	for i := range e.Products {
		d := &e.Products[i]
		if d.ID != id {
			continue
		}
		all := strings.Join([]string{d.Name, d.Category, d.URL, d.ImageURL, e.Currency}, "")
		cut := func(s string) string {
			head := all[:len(s)]
			all = all[len(s):]
			return head
		}
		return Facts{Name: cut(d.Name), Category: cut(d.Category), URL: cut(d.URL), ImageURL: cut(d.ImageURL),
			Currency: cut(e.Currency), Price: d.Price, HasPrice: d.HasPrice}
	}
	return Facts{}
}
