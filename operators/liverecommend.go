package operators

import (
	"cmp"
	"context"
	"slices"

	"millrace/engine"
	"millrace/operators/catalogue"
	"millrace/operators/profile"
	"millrace/operators/recommend"
	"millrace/state"
)

// This file fits recommendations that know what happens now to the graph. See
// docs/adr/0031-recommendations-live-beside-the-engine.md.

// addLive lets the operators tell what happens.
func (p *Pipeline) addLive(o *Options) {
	p.live, p.look = o.Live, o.Look
	if p.look == nil {
		p.look = p.listing
	}
	if p.live == nil {
		return
	}
	tap := recommend.NewLiveTap(p.live)
	p.visitors.Use("live", recommend.VisitorTap{LiveTap: tap})
	p.people.Use("live", tap)
	p.shelves.upserts.Use("live", shelfTap{p.live, p.shelves.keeper.Cell})
}

// listing is what the catalogue says of an item, for the rules of a journey.
func (p *Pipeline) listing(v *engine.View, id string) (recommend.Listing, bool) {
	product, known, err := p.Product(v, id)
	if err != nil || !known {
		return recommend.Listing{}, false
	}
	return listingOf(&product), true
}

func listingOf(product *catalogue.Product) recommend.Listing {
	l := recommend.Listing{Brand: product.Brand(), Stock: recommend.InStock}
	l.Facts.Name, l.Facts.Category, l.Facts.Currency = product.Name(), product.Category(), product.Currency()
	l.Facts.Price, l.Facts.HasPrice = product.Price()
	if !product.InStock() {
		l.Stock = recommend.OutOfStock
	}
	l.Facts.URL, l.Facts.ImageURL = product.URL(), product.ImageURL()
	return l
}

// shelfTap is the operator that tells what the catalogue says of an item, so that a new
// one can be recommended before anybody saw it.
type shelfTap struct {
	live *recommend.Live
	cell *state.Cell[catalogue.Product, *catalogue.Product]
}

// Process implements engine.Operator.
func (o shelfTap) Process(c *engine.Ctx, w *catalogue.Word) {
	if w.Event != nil {
		l := listingOf(engine.Value(c, o.cell))
		o.live.Listed(c.Key(), &l, w.Event.Time)
	}
}

// Live is what recommendations know beside the state, or nil.
func (p *Pipeline) Live() *recommend.Live { return p.live }

// suggestions answer by all voices, or by what goes together where no others are.
func (p *Pipeline) suggestions(v *engine.View, q *recommend.LiveQuery) ([]recommend.Scored, error) {
	if p.look != nil && q.Rules.Look == nil {
		q.Rules.Look = func(id string) (recommend.Listing, bool) { return p.look(v, id) }
	}
	if p.live == nil {
		return p.together(v, q)
	}
	read, failed := p.reader(v, &q.Query)
	totals, err := p.totals.get(v, p.items.Totals)
	if err != nil {
		return nil, err
	}
	p.exclusions(&q.Query)
	out, err := p.inStock(v, q.Query, func(of recommend.Query) []recommend.Scored {
		ask := *q
		ask.Query = of
		return p.recommender.RecommendLive(p.live, &ask, read, totals)
	})
	return out, cmp.Or(err, *failed)
}

// together answers by what goes together, and heeds the rules.
func (p *Pipeline) together(v *engine.View, q *recommend.LiveQuery) ([]recommend.Scored, error) {
	limit := q.Limit
	if q.Rules.Any() {
		q.Query.Limit = max(5*limit, 50)
	}
	out, err := p.recommendations(v, q.Query)
	if err != nil || !q.Rules.Any() {
		return out, err
	}
	return q.Rules.Choose(out, limit), nil
}

// RecommendTo is what would be shown to a person, by the shop's user id.
func (p *Pipeline) RecommendTo(v *engine.View, userID string, limit int) ([]recommend.Scored, error) {
	person, _, err := p.Person(v, userID)
	if err != nil {
		return nil, err
	}
	q := recommend.LiveQuery{Query: recommend.QueryFor(&person, p.exclude, limit, v.Watermark), Placement: "person"}
	q.Categories = favourites(&person, v.Watermark)
	q.Present = present(&q.Query)
	return p.suggestions(v, &q)
}

// present are the items that a question starts from, oldest first: what was looked at
// last, or put in the cart last, is the first seed.
func present(q *recommend.Query) []string {
	out := make([]string, 0, len(q.Seeds))
	for _, s := range slices.Backward(q.Seeds) {
		out = append(out, s.Item)
	}
	return out
}

// visit is what the state says that a person did at a time.
type visit struct {
	person string
	items  []string
	last   int64
}

// eachProduct calls fn with the products of the catalogue, until it answers false.
func (p *Pipeline) eachProduct(v *engine.View, fn func(id string, product *catalogue.Product) bool) error {
	if has, err := p.listed(v); err != nil || !has {
		return err
	}
	return p.shelves.keeper.Cell.Each(v.Snapshot, fn)
}

// fillEvery is after how many records the reading of the state tells how far it is.
const fillEvery = 100_000

// FillLive reads what recommendations must know from committed state: what items are
// called, and what persons and visitors looked at last. It may be called again.
func (p *Pipeline) FillLive(ctx context.Context, v *engine.View, l *recommend.Live, most int, note func(phase string, n int)) error {
	n := 0
	step := func(phase string) bool {
		if n++; n%fillEvery == 0 {
			note(phase, n)
		}
		return ctx.Err() == nil
	}
	err := p.items.Cell.Each(v.Snapshot, func(id string, it *recommend.Item) bool {
		l.Shelf.Describe(id, &recommend.Listing{Facts: it.Facts}, it.Said)
		return step("items")
	})
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return err
	}
	if err := p.eachProduct(v, func(id string, product *catalogue.Product) bool {
		listing := listingOf(product)
		l.Shelf.Describe(id, &listing, product.Newest)
		return step("items")
	}); err != nil {
		return err
	}
	note("items", n)
	n = 0
	var all []visit
	person := func(key string, picture *profile.Person) {
		l.Visited(picture, func(items []string, last int64) { all = append(all, visit{key, items, last}) })
		if len(all) > 2*most {
			all = newest(all, most)
		}
	}
	err = p.keeper.Cell.Each(v.Snapshot, func(key string, picture *profile.Person) bool {
		person(key, picture)
		return step("people")
	})
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return err
	}
	err = p.visitor.Cell.Each(v.Snapshot, func(key string, w *profile.Visitor) bool {
		if w.Owner == "" {
			person(key, &w.Person)
		}
		return step("people")
	})
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return err
	}
	note("people", n)
	all = newest(all, most)
	for k := range slices.Backward(all) { // the oldest first
		if k%fillEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		l.Found(all[k].person, all[k].items, all[k].last)
	}
	return nil
}

// newest keeps the n newest visits, the newest first.
func newest(all []visit, n int) []visit {
	slices.SortFunc(all, func(a, b visit) int {
		return cmp.Or(cmp.Compare(b.last, a.last), cmp.Compare(a.person, b.person))
	})
	clear(all[min(n, len(all)):])
	return all[:min(n, len(all))]
}
