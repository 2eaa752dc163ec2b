package recommend

import (
	"cmp"
	"slices"
	"strings"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/profile"
)

// LiveTap is the operator that tells a Live what happens. It keeps no state, sends
// nothing and waits for nothing.
type LiveTap struct{ live *Live }

// NewLiveTap makes the operator.
func NewLiveTap(l *Live) LiveTap { return LiveTap{l} }

// Process implements engine.Operator for the person stage.
func (o LiveTap) Process(c *engine.Ctx, u *profile.Update) {
	if u.Leave != nil {
		o.live.Merged(u.Leave.From, u.Leave.To)
		return
	}
	o.tell(c.Key(), u)
}

// tell passes on what an event says of visits, of items and of mails.
func (o LiveTap) tell(key string, u *profile.Update) {
	e := u.Event
	if e == nil || u.Change.Duplicate || u.Change.Silent {
		return
	}
	chosen := false
	switch e.Kind {
	case event.ProductViewed, event.ProductClicked, event.ProductAdded, event.WishlistAdded, event.OrderCompleted, event.CheckoutStarted:
		chosen = true
	case event.EmailLinkClicked:
		if !e.Mailing.Machine {
			o.live.Clicked(e.Mailing.EmailID, e.Mailing.LinkURL)
		}
		return
	default:
	}
	for k := range e.Products[:min(len(e.Products), profile.MaxOrderLines)] {
		p := &e.Products[k]
		if p.Name != "" || p.Category != "" || p.Brand != "" {
			o.live.Listed(p.ID, &Listing{Brand: p.Brand, Facts: Facts{
				Name: p.Name, Category: p.Category, URL: p.URL, ImageURL: p.ImageURL, Price: p.Price, HasPrice: p.HasPrice, Currency: e.Currency,
			}}, e.Time)
		}
		if chosen {
			o.live.Touched(key, p.ID, e.Time)
		}
	}
}

// VisitorTap is the LiveTap of the visitor stage. What was passed on to a person is told
// there, and what the visitor did before is the person's.
type VisitorTap struct{ LiveTap }

// Process implements engine.Operator for the visitor stage.
func (o VisitorTap) Process(c *engine.Ctx, l *profile.Link) {
	switch {
	case !l.Handed:
		o.tell(c.Key(), &l.Update)
	case l.Person != "":
		o.live.linked(c.Key(), l.Person)
	}
}

// Visited are the visits that a person's picture remembers, oldest first: what was looked
// at, put in a cart and ordered last, parted by pauses.
func (l *Live) Visited(p *profile.Person, visit func(items []string, last int64)) {
	type touch struct {
		item string
		at   int64
	}
	var all []touch
	for i := range p.Viewed {
		all = append(all, touch{p.Viewed[i].ID, p.Viewed[i].At})
	}
	for i := range p.LastOrder.Items {
		all = append(all, touch{p.LastOrder.Items[i].ID, p.LastOrder.At})
	}
	slices.SortFunc(all, func(a, b touch) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.item, b.item)) })
	pause := l.Visits.o.Pause.Milliseconds()
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].at-all[to-1].at <= pause {
			to++
		}
		var items []string
		for _, t := range all[from:to] {
			items = append(items, t.item)
		}
		visit(items, all[to-1].at)
		from = to
	}
}

// Found adds a visit that the state remembers.
func (l *Live) Found(person string, items []string, last int64) {
	nums := make([]Num, 0, len(items))
	for _, id := range items {
		nums = append(nums, l.Shelf.Put(id))
	}
	l.Visits.Add(who(person), nums, last)
}
