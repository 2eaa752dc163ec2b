package recommend

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"millrace/operators/event"
)

// LiveQuery asks what to show, of all voices of a running shop.
type LiveQuery struct {
	Query
	Present   []string // what the person looks at or has in the cart, oldest first
	Placement string   // whose weights are used, such as cart
	Rules     LiveRules
}

// LiveRules are what the shop wants beside what fits. The zero value forbids nothing.
type LiveRules struct {
	InStock            bool                              // only what is not known to be out of stock
	PriceMin, PriceMax event.Money                       // in minor units; 0: no limit. An unknown price fits no limit
	PerBrand           int                               // items of one brand; 0: any
	PerCategory        int                               // items of one category; 0: any
	Diversity          float64                           // λ of maximal marginal relevance; 0 or 1: off
	Look               func(item string) (Listing, bool) // what the catalogue says; nil: what events said
}

// Any tells whether there is anything to heed.
func (r *LiveRules) Any() bool {
	return r.InStock || r.PriceMin > 0 || r.PriceMax > 0 || r.PerBrand > 0 || r.PerCategory > 0 || r.Diversity > 0 && r.Diversity < 1
}

// depth is how many items of each voice are candidates: of an answer of twenty, five
// times as many.
const depth = 100

// liveDesk is the working memory of a question.
type liveDesk struct {
	present, hide []Num
	visits        VisitScratch
	list          []Ranked
	sum           table
	place         table // by number: place in found
	found         []candidate
	order         []int32
	popular       []popularItem
}

// candidate is an item that some voice names.
type candidate struct {
	num      Num
	item     string // "": the shelf knows
	features features
	value    float64
	votes    float64 // of what goes together
	llr      float64 // the surest of them, and what it says
	shared   float64
	seed     int32
	relation Relation
	category string // in which it is popular
}

// popularItem is an item that is popular, in the how manyth wanted category.
type popularItem struct {
	id       string
	category string
	of       int
}

// RecommendLive answers what to show: what the counts of the state say, what visits like
// the present one hold, what is like the seeds by its words, and what is popular, joined
// by the weights of the placement. What nobody has touched yet can be recommended. Of
// equals the one that a voice named first stands first.
func (r *Recommender) RecommendLive(l *Live, q *LiveQuery, read Reader, totals *Totals) []Scored {
	if q.Limit <= 0 {
		return nil
	}
	d := l.desks.Get().(*liveDesk)
	defer l.desks.Put(d)
	full, brief := remembered(read), q.Brief
	if brief == nil {
		brief = full
	}
	d.place.reset()
	clear(d.found)
	d.found = d.found[:0]
	d.present = l.Shelf.Nums(d.present[:0], q.Present)
	d.hide = l.Shelf.Nums(d.hide[:0], q.Hide)

	r.vote(l, d, q, full, brief, totals)
	d.list = l.Visits.Near(d.list[:0], d.present, depth, func(i Num) bool { return slices.Contains(d.hide, i) }, &d.visits)
	d.addAll(liveVisits)
	l.alike(d, q)
	d.addAll(liveContent)
	l.popular(d, q, brief, totals)
	d.weigh(l.Blend.weights(q.Placement))
	chosen := q.choose(l, d, brief)
	for k := range chosen {
		l.reason(&chosen[k], d, q, brief)
	}
	out := make([]Scored, len(chosen))
	for k := range chosen {
		out[k] = chosen[k].Scored
	}
	return out
}

// at is the candidate of a number, which it becomes if need be. An item without a number
// is looked for by its id.
func (d *liveDesk) at(num Num, item string) *candidate {
	if num == None {
		for k := range d.found {
			if d.found[k].num == None && d.found[k].item == item {
				return &d.found[k]
			}
		}
		d.found = append(d.found, candidate{num: None, item: item})
		return &d.found[len(d.found)-1]
	}
	at, isNew := d.place.at(uint32(num)) //nolint:gosec // a number
	if isNew {
		d.place.values[at] = float64(len(d.found))
		d.found = append(d.found, candidate{num: num, item: item})
	}
	return &d.found[int(d.place.values[at])]
}

// vote adds what goes with the seeds by the counts of the state.
func (r *Recommender) vote(l *Live, d *liveDesk, q *LiveQuery, full, brief Reader, totals *Totals) {
	weights := q.Weights
	if weights == [RelationCount]float64{} {
		weights = r.o.Weights
	}
	for rel := range RelationCount {
		if weights[rel] == 0 {
			continue
		}
		units := totals.Units(rel, q.Now, r.half)
		for k, s := range q.Seeds {
			list := q.Tops.of(s.Item, rel, q.Now, full, brief, units)
			for i := range list {
				n := &list[i]
				if slices.Contains(q.Hide, n.Item) {
					continue
				}
				c := d.at(l.Shelf.number(n.Item), n.Item)
				c.votes += s.Weight * weights[rel] * math.Log1p(n.LLR)
				if n.LLR > c.llr {
					c.llr, c.shared, c.seed, c.relation = n.LLR, n.Shared, int32(k), rel //nolint:gosec // a few seeds
				}
			}
		}
	}
	d.order = d.order[:0]
	for k := range d.found {
		d.order = append(d.order, int32(k)) //nolint:gosec // some hundred
	}
	slices.SortFunc(d.order, func(a, b int32) int {
		x, y := &d.found[a], &d.found[b]
		return cmp.Or(cmp.Compare(y.votes, x.votes), strings.Compare(x.item, y.item))
	})
	for rank, k := range d.order[:min(len(d.order), depth)] {
		d.found[k].say(liveTogether, rank, d.found[k].votes/d.found[d.order[0]].votes)
	}
}

// say notes what a voice says of a candidate.
func (c *candidate) say(voice, rank int, part float64) {
	c.features[2*voice], c.features[2*voice+1] = float32(part), float32(1/math.Log2(2+float64(rank)))
}

// addAll adds the list of a voice.
func (d *liveDesk) addAll(voice int) {
	for rank, r := range d.list {
		d.at(r.Item, "").say(voice, rank, r.Score/d.list[0].Score)
	}
}

// alike lists what is like the seeds.
func (l *Live) alike(d *liveDesk, q *LiveQuery) {
	d.sum.reset()
	for _, s := range q.Seeds {
		if n := l.Shelf.number(s.Item); n != None {
			for _, r := range l.Shelf.Like(n) {
				d.sum.add(uint32(r.Item), s.Weight*r.Score) //nolint:gosec // numbers of items
			}
		}
	}
	d.list = d.list[:0]
	for k, i := range d.sum.order {
		if n := Num(i); d.sum.values[k] > 0 && !slices.Contains(d.hide, n) { //nolint:gosec // numbers of items
			d.list = append(d.list, Ranked{n, d.sum.values[k]})
		}
	}
	slices.SortFunc(d.list, func(a, b Ranked) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Item, b.Item))
	})
	d.list = d.list[:min(len(d.list), depth)]
}

// popular adds what is popular: in the wanted categories first, then at all.
func (l *Live) popular(d *liveDesk, q *LiveQuery, brief Reader, totals *Totals) {
	d.popular = d.popular[:0]
	for _, id := range totals.Popular(MaxPopular) {
		i, ok := brief(id)
		if !ok || slices.Contains(q.Hide, id) {
			continue
		}
		p := popularItem{id: id, of: len(q.Categories)}
		if at := slices.Index(q.Categories, i.Facts.Category); at >= 0 && i.Facts.Category != "" {
			p.category, p.of = i.Facts.Category, at
		}
		d.popular = append(d.popular, p)
	}
	slices.SortStableFunc(d.popular, func(a, b popularItem) int { return cmp.Compare(a.of, b.of) })
	for rank := range d.popular {
		p := &d.popular[rank]
		c := d.at(l.Shelf.number(p.id), p.id)
		c.category = p.category
		c.say(livePopular, rank, 1-float64(rank)/MaxPopular)
	}
}

// weigh orders the candidates by their value.
func (d *liveDesk) weigh(w *[liveFeatures]float64) {
	d.order = d.order[:0]
	for k := range d.found {
		c := &d.found[k]
		c.value = 0
		for j, f := range c.features {
			c.value += w[j] * float64(f)
		}
		d.order = append(d.order, int32(k)) //nolint:gosec // some hundred
	}
	slices.SortFunc(d.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(d.found[b].value, d.found[a].value), cmp.Compare(a, b))
	})
}

// pick is an item that may be shown.
type pick struct {
	Scored
	from  *candidate
	brand string
}

// choose takes the best that may be shown.
func (q *LiveQuery) choose(l *Live, d *liveDesk, brief Reader) []pick {
	most := q.Limit
	if q.Rules.Any() {
		most = max(5*q.Limit, 50)
	}
	fit := make([]pick, 0, min(most, len(d.order)))
	for _, k := range d.order {
		if len(fit) == most {
			break
		}
		c := &d.found[k]
		p := pick{from: c, Scored: Scored{Item: c.item, Score: c.value, features: c.features}}
		x := l.Shelf.listing(c.num, &p.Item)
		if x.Facts.Name == "" { // of what events have not said lately the state may know more
			if i, ok := brief(p.Item); ok {
				x.Facts = i.Facts
			}
		}
		p.Facts, p.brand = x.Facts, x.Brand
		if c.value > 0 && q.allows(p.Item, &p.Facts) && q.Rules.admits(&p, &x) {
			fit = append(fit, p)
		}
	}
	return q.Rules.take(fit, q.Limit, l.Shelf)
}

// admits asks the catalogue, and tells whether an item meets the rules that look at one.
func (r *LiveRules) admits(p *pick, x *Listing) bool {
	if !r.Any() {
		return true
	}
	if r.Look != nil {
		if said, ok := r.Look(p.Item); ok {
			x = &said
			if said.Brand != "" {
				p.brand = said.Brand
			}
		}
	}
	return r.fits(x, &p.Facts)
}

// take heeds the rules that look at several items.
func (r *LiveRules) take(fit []pick, limit int, shelf *Shelf) []pick {
	if r.Diversity > 0 && r.Diversity < 1 && shelf != nil {
		fit = r.spread(fit, shelf)
	}
	if r.PerBrand == 0 && r.PerCategory == 0 {
		return fit[:min(limit, len(fit))]
	}
	out := make([]pick, 0, min(limit, len(fit)))
	var ofBrand, ofCategory map[string]int
	if r.PerBrand > 0 || r.PerCategory > 0 {
		ofBrand, ofCategory = make(map[string]int), make(map[string]int)
	}
	for k := range fit {
		brand, category := fit[k].brand, fit[k].Facts.Category
		if r.PerBrand > 0 && brand != "" && ofBrand[brand] >= r.PerBrand || r.PerCategory > 0 && category != "" && ofCategory[category] >= r.PerCategory {
			continue
		}
		if ofBrand != nil {
			ofBrand[brand]++
			ofCategory[category]++
		}
		if out = append(out, fit[k]); len(out) == limit {
			break
		}
	}
	return out
}

// Choose takes the best of a list, best first, that the rules allow.
func (r *LiveRules) Choose(list []Scored, limit int) []Scored {
	var fit []pick
	for k := range list {
		if p := (pick{Scored: list[k]}); r.admits(&p, &Listing{}) {
			fit = append(fit, p)
		}
	}
	var out []Scored
	for _, p := range r.take(fit, limit, nil) {
		out = append(out, p.Scored)
	}
	return out
}

// fits tells whether an item meets the rules that look at one item. The catalogue's price
// holds over that of events.
func (r *LiveRules) fits(x *Listing, said *Facts) bool {
	price, has := said.Price, said.HasPrice
	if x.Facts.HasPrice {
		price, has = x.Facts.Price, true
	}
	switch {
	case r.InStock && x.Stock == OutOfStock:
		return false
	case !has && (r.PriceMin > 0 || r.PriceMax > 0):
		return false
	}
	return price >= r.PriceMin && (r.PriceMax <= 0 || price <= r.PriceMax)
}

// spread orders items so that neighbours are not too alike.
func (r *LiveRules) spread(fit []pick, shelf *Shelf) []pick {
	list := make([]Ranked, len(fit))
	for k := range fit {
		list[k] = Ranked{Num(k), fit[k].Score} //nolint:gosec // a place in the list
	}
	out := make([]pick, 0, len(fit))
	for _, p := range Diversify(list, len(list), r.Diversity, func(a, b Num) float64 {
		return shelf.Similarity(fit[a].Item, fit[b].Item)
	}) {
		out = append(out, fit[p.Item])
	}
	return out
}

// reason finds the voice that speaks most for an item, and what it goes by. That it is
// popular is said only when nothing else can be.
func (l *Live) reason(p *pick, d *liveDesk, q *LiveQuery, brief Reader) {
	w, c := l.Blend.weights(q.Placement), p.from
	best, most := livePopular, 0.0
	for v := range livePopular {
		if x := w[2*v]*float64(c.features[2*v]) + w[2*v+1]*float64(c.features[2*v+1]); c.features[2*v+1] > 0 && x > most {
			best, most = v, x
		}
	}
	if c.llr > 0 && c.relation == Bought {
		best = liveTogether // what was bought together says most to who reads it
	}
	switch best {
	case liveTogether:
		p.Seed, p.Relation, p.LLR, p.Shared = q.Seeds[c.seed].Item, c.relation, c.llr, c.shared
		if i, ok := brief(p.Seed); ok {
			p.SeedName = i.Facts.Name
		}
	case liveVisits:
		if with, n := d.visits.Why(c.num); with != None {
			p.SeedName = l.Shelf.listing(with, &p.Seed).Facts.Name
			p.Visits = n
		}
	case liveContent:
		likest := 0.0
		for _, s := range q.Seeds {
			if x := s.Weight * l.Shelf.Similarity(s.Item, p.Item); x > likest {
				likest = x
				p.SeedName = l.Shelf.listing(l.Shelf.number(s.Item), new(string)).Facts.Name
				p.Seed, p.Alike = s.Item, true
			}
		}
	}
	if p.Seed == "" {
		p.Category = c.category
	}
}
