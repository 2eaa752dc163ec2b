package recommend

import (
	"sync"

	"millrace/engine"
	"millrace/operators/profile"
	"millrace/state"
)

// Toucher is the operator behind the one that keeps a picture: it tells the items
// what an event means to them.
type Toucher struct {
	recommender *Recommender
	items       *engine.Stage[*Touch]
	touches     sync.Pool // of *[]Touch, used again
}

// NewToucher makes the operator; it sends to the item stage.
func NewToucher(r *Recommender, items *engine.Stage[*Touch]) *Toucher {
	return &Toucher{recommender: r, items: items}
}

// Process implements engine.Operator for the person stage.
func (o *Toucher) Process(c *engine.Ctx, u *profile.Update) {
	if u.Event == nil || u.Person == nil || u.Change.Duplicate {
		return
	}
	all, _ := o.touches.Get().(*[]Touch)
	if all == nil {
		all = new([]Touch)
	}
	*all = o.recommender.Touches((*all)[:0], u.Event, &u.Change, u.Person)
	for i := range *all {
		o.items.Send(c, (*all)[i].Item, &(*all)[i])
	}
	o.touches.Put(all)
}

// VisitorToucher is the Toucher of the visitor stage. What was passed on to a person
// is told there.
type VisitorToucher struct{ *Toucher }

// Process implements engine.Operator for the visitor stage.
func (o VisitorToucher) Process(c *engine.Ctx, l *profile.Link) {
	if l.Handed {
		return
	}
	o.Toucher.Process(c, &l.Update)
}

// Items is the operator that keeps the record of each item, and the totals under the
// empty key. It belongs into a lazy stage: an item is touched by many events and its
// record is large, so it is written behind.
type Items struct {
	Cell        *state.Cell[Item, *Item]
	Totals      *state.Cell[Totals, *Totals]
	recommender *Recommender
}

// NewItems makes the operator.
func NewItems(r *Recommender, cacheMax int) *Items {
	return &Items{
		Cell: state.NewLazyCell[Item]("item/cooccurrence", cacheMax), Totals: state.NewLazyCell[Totals]("item/totals", 1),
		recommender: r,
	}
}

// Process implements engine.Operator.
func (o *Items) Process(c *engine.Ctx, t *Touch) {
	if c.Key() == "" {
		o.recommender.ApplyTotals(engine.Value(c, o.Totals), t)
		engine.Changed(c, o.Totals)
		return
	}
	o.recommender.Apply(engine.Value(c, o.Cell), t)
	engine.Changed(c, o.Cell)
}
