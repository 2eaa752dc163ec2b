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
	present []Num
	visits  VisitScratch
	list    []Ranked
	like    table
	place   map[string]int
	found   []candidate
}

// candidate is an item that some voice names.
type candidate struct {
	Scored
	num   Num
	value float64
}

// RecommendLive answers what to show: what the counts of the state say, what visits like
// the present one hold, what is like the seeds by its words, and what is popular, joined
// by the weights of the placement. What nobody has touched yet can be recommended. Ties
// are in the order of the ids.
func (r *Recommender) RecommendLive(l *Live, q *LiveQuery, read Reader, totals *Totals) []Scored {
	if q.Limit <= 0 {
		return nil
	}
	d := l.desks.Get().(*liveDesk)
	defer l.desks.Put(d)
	if d.place == nil {
		d.place = make(map[string]int)
	}
	clear(d.place)
	clear(d.found)
	d.found = d.found[:0]

	whole := q.Query
	whole.Limit, whole.NoFill = depth, true
	for rank, s := range r.Recommend(whole, read, totals) {
		d.add(liveTogether, rank, s.Score, &s)
	}
	d.present = l.Shelf.Nums(d.present[:0], q.Present)
	d.list = l.Visits.Near(d.list[:0], d.present, depth, nil, &d.visits)
	l.addAll(liveVisits, d, q)
	l.alike(d, q)
	l.addAll(liveContent, d, q)
	l.popular(d, q, cmpReader(q.Brief, read), totals)
	weigh(d.found, l.Blend.weights(q.Placement))
	out := q.Rules.choose(d.found, q.Limit, l.Shelf)
	for k := range out {
		l.reason(&out[k], d, q)
	}
	answer := make([]Scored, len(out))
	for k := range out {
		answer[k] = out[k].Scored
	}
	return answer
}

// cmpReader is the first reader that there is.
func cmpReader(a, b Reader) Reader {
	if a != nil {
		return a
	}
	return b
}

// add takes what a voice says of an item.
func (d *liveDesk) add(voice, rank int, part float64, s *Scored) {
	at, ok := d.place[s.Item]
	if !ok {
		at = len(d.found)
		d.place[s.Item] = at
		d.found = append(d.found, candidate{Scored: *s, num: None})
	}
	f := &d.found[at].features
	f[2*voice], f[2*voice+1] = float32(part), float32(1/math.Log2(2+float64(rank)))
}

// scale makes the best score of a voice 1.
func (d *liveDesk) scale(voice int) {
	top := float32(0)
	for k := range d.found {
		top = max(top, d.found[k].features[2*voice])
	}
	if top <= 0 {
		return
	}
	for k := range d.found {
		d.found[k].features[2*voice] /= top
	}
}

// addAll adds the list of a voice, as far as it may be shown.
func (l *Live) addAll(voice int, d *liveDesk, q *LiveQuery) {
	rank := 0
	l.Shelf.Each(d.list, func(k int, id string, x *Listing) {
		if !q.allows(id, &x.Facts) {
			return
		}
		d.add(voice, rank, d.list[k].Score, &Scored{Item: id, Facts: x.Facts})
		d.found[d.place[id]].num = d.list[k].Item
		rank++
	})
}

// alike lists what is like the seeds.
func (l *Live) alike(d *liveDesk, q *LiveQuery) {
	d.like.reset()
	for _, s := range q.Seeds {
		for _, n := range l.Shelf.Nums(nil, []string{s.Item}) {
			for _, r := range l.Shelf.Like(n) {
				d.like.add(uint32(r.Item), s.Weight*r.Score) //nolint:gosec // numbers of items
			}
		}
	}
	d.list = d.list[:0]
	for k, i := range d.like.order {
		d.list = append(d.list, Ranked{Num(i), d.like.values[k]}) //nolint:gosec // numbers of items
	}
	slices.SortFunc(d.list, func(a, b Ranked) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Item, b.Item))
	})
	d.list = d.list[:min(len(d.list), depth)]
}

// popular adds what is popular: in the wanted categories first, then at all.
func (l *Live) popular(d *liveDesk, q *LiveQuery, read Reader, totals *Totals) {
	rank := 0
	for pass := range len(q.Categories) + 1 {
		for _, id := range totals.Popular(MaxPopular) {
			i, ok := read(id)
			if !ok || !q.allows(id, &i.Facts) {
				continue
			}
			of := slices.Index(q.Categories, i.Facts.Category)
			if of < 0 || i.Facts.Category == "" {
				of = len(q.Categories)
			}
			if of != pass {
				continue
			}
			s := Scored{Item: id, Facts: i.Facts}
			if of < len(q.Categories) {
				s.Category = i.Facts.Category
			}
			d.add(livePopular, rank, 1-float64(rank)/MaxPopular, &s)
			d.found[d.place[id]].Category = s.Category
			rank++
		}
	}
	for v := range livePopular {
		d.scale(v)
	}
}

// weigh orders the candidates by their value.
func weigh(found []candidate, w *[liveFeatures]float64) {
	for k := range found {
		c := &found[k]
		c.value = 0
		for j, f := range c.features {
			c.value += w[j] * float64(f)
		}
		c.Score = c.value
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.value, a.value), strings.Compare(a.Item, b.Item))
	})
}

// choose takes the best that the rules allow.
func (r *LiveRules) choose(found []candidate, limit int, shelf *Shelf) []candidate {
	if !r.Any() {
		return found[:min(limit, len(found))]
	}
	var fit []candidate
	brands := make(map[string]string)
	for k := range found {
		if len(fit) == max(5*limit, 50) {
			break
		}
		x, ok := Listing{}, false
		if r.Look != nil {
			x, ok = r.Look(found[k].Item)
		}
		if !ok && shelf != nil {
			x, _ = shelf.Find(found[k].Item)
		}
		if r.fits(&x, &found[k].Facts) {
			brands[found[k].Item] = x.Brand
			fit = append(fit, found[k])
		}
	}
	if r.Diversity > 0 && r.Diversity < 1 && shelf != nil {
		fit = r.spread(fit, shelf)
	}
	var out []candidate
	ofBrand, ofCategory := make(map[string]int), make(map[string]int)
	for k := range fit {
		brand, category := brands[fit[k].Item], fit[k].Facts.Category
		if r.PerBrand > 0 && brand != "" && ofBrand[brand] >= r.PerBrand || r.PerCategory > 0 && category != "" && ofCategory[category] >= r.PerCategory {
			continue
		}
		ofBrand[brand]++
		ofCategory[category]++
		if out = append(out, fit[k]); len(out) == limit {
			break
		}
	}
	return out
}

// Choose takes the best of a list, best first, that the rules allow.
func (r *LiveRules) Choose(list []Scored, limit int) []Scored {
	found := make([]candidate, len(list))
	for k := range list {
		found[k] = candidate{Scored: list[k], num: None, value: list[k].Score}
	}
	var out []Scored
	for _, c := range r.choose(found, limit, nil) {
		out = append(out, c.Scored)
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

// spread orders candidates so that neighbours are not too alike.
func (r *LiveRules) spread(fit []candidate, shelf *Shelf) []candidate {
	list := make([]Ranked, len(fit))
	for k := range fit {
		list[k] = Ranked{Num(k), fit[k].value} //nolint:gosec // a place in the list
	}
	out := make([]candidate, 0, len(fit))
	for _, p := range Diversify(list, len(list), r.Diversity, func(a, b Num) float64 {
		return shelf.Similarity(fit[a].Item, fit[b].Item)
	}) {
		out = append(out, fit[p.Item])
	}
	return out
}

// reason finds the voice that speaks most for an item, and what it goes by. That it is
// popular is said only when nothing else can be.
func (l *Live) reason(c *candidate, d *liveDesk, q *LiveQuery) {
	w := l.Blend.weights(q.Placement)
	best, most := livePopular, 0.0
	for v := range livePopular {
		if x := w[2*v]*float64(c.features[2*v]) + w[2*v+1]*float64(c.features[2*v+1]); c.features[2*v+1] > 0 && x > most {
			best, most = v, x
		}
	}
	switch best {
	case liveTogether:
		return
	case liveVisits:
		with, n := d.visits.Why(c.num)
		if with != None {
			id, name := l.Shelf.called(with)
			c.Seed, c.SeedName, c.Visits = id, name, n
		}
	case liveContent:
		likest := 0.0
		for _, s := range q.Seeds {
			if x := s.Weight * l.Shelf.Similarity(s.Item, c.Item); x > likest {
				likest = x
				x, _ := l.Shelf.Find(s.Item)
				c.Seed, c.SeedName, c.Alike = s.Item, x.Facts.Name, true
			}
		}
	default:
		c.Seed = ""
	}
}

// called is the id and the name of an item.
func (x *Shelf) called(i Num) (id, name string) {
	x.Each([]Ranked{{Item: i}}, func(_ int, is string, l *Listing) { id, name = is, l.Facts.Name })
	return id, name
}
