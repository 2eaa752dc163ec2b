package recommend

import (
	"slices"

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
// person's picture. A pair is told to both its items. The strings of a touch are those
// of the event and the picture, and the memory behind dst is used again: touches are
// good until the next call.
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

// another appends a touch without others, in memory that an earlier call used.
func another(dst []Touch, t Touch) []Touch {
	if len(dst) < cap(dst) {
		t.Others = dst[:len(dst)+1][len(dst)].Others[:0]
	}
	return append(dst, t)
}

func (r *Recommender) viewed(dst []Touch, e *event.Event, ch *profile.Change, p *profile.Person) []Touch {
	if ch.NewWindow {
		dst = another(dst, Touch{Relation: Seen, Own: 1, Time: e.Time})
	}
	for n, id := range ch.Viewed {
		dst = another(dst, Touch{Item: id, Relation: Seen, Own: 1, Time: e.Time, Facts: factsOf(e, id)})
		own := &dst[len(dst)-1]
		for i := range p.Viewed {
			v := &p.Viewed[i]
			if len(own.Others) == r.o.SeenPairs || v.At < p.Window {
				break // newest first
			}
			// Of two items of one event the later one tells of the pair.
			if v.ID != id && !slices.Contains(ch.Viewed[n+1:], v.ID) {
				own.Others = append(own.Others, v.ID)
			}
		}
		dst = tell(dst, own)
	}
	return dst
}

func (r *Recommender) carted(dst []Touch, e *event.Event, ch *profile.Change, p *profile.Person) []Touch {
	c, ok := p.Cart(ch.Cart)
	if !ok {
		return dst
	}
	dst = another(dst, Touch{Relation: Carted, Time: e.Time})
	total := &dst[len(dst)-1]
	total.Others = append(total.Others, ch.Added...)
	if ch.NewCart {
		total.Own = 1
	}
	for n, id := range ch.Added {
		dst = another(dst, Touch{Item: id, Relation: Carted, Own: 1, Time: e.Time, Facts: factsOf(e, id)})
		own := &dst[len(dst)-1]
		for i := len(c.Items) - 1; i >= 0 && len(own.Others) < r.o.CartedPairs; i-- {
			if o := c.Items[i].ID; o != id && !slices.Contains(ch.Added[n+1:], o) {
				own.Others = append(own.Others, o)
			}
		}
		dst = tell(dst, own)
	}
	return dst
}

// tell tells the others of a touch, too, that they now share a unit with its item.
func tell(dst []Touch, own *Touch) []Touch {
	t := Touch{Relation: own.Relation, Time: own.Time}
	id, others := own.Item, own.Others
	for _, o := range others {
		t.Item = o
		dst = another(dst, t)
		last := &dst[len(dst)-1]
		last.Others = append(last.Others, id)
	}
	return dst
}

func bought(dst []Touch, e *event.Event, ch *profile.Change) []Touch {
	dst = another(dst, Touch{Relation: Bought, Own: 1, Time: e.Time})
	total := &dst[len(dst)-1]
	total.Others = append(total.Others, ch.Bought...)
	for i, id := range ch.Bought {
		dst = another(dst, Touch{Item: id, Relation: Bought, Own: 1, Time: e.Time, Facts: factsOf(e, id)})
		own := &dst[len(dst)-1]
		own.Others = append(append(own.Others, ch.Bought[:i]...), ch.Bought[i+1:]...)
	}
	return dst
}

// factsOf is what an event says of an item.
func factsOf(e *event.Event, id string) Facts {
	for i := range e.Products {
		if d := &e.Products[i]; d.ID == id {
			return Facts{Name: d.Name, Category: d.Category, URL: d.URL, ImageURL: d.ImageURL,
				Currency: e.Currency, Price: d.Price, HasPrice: d.HasPrice}
		}
	}
	return Facts{}
}
