package operators

import (
	"math"
	"net/url"
	"slices"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/operators/recommend"
)

// sourceWeights are what the sources of a journey weigh, in its order of preference: as
// buying, carts and views do where nothing is said.
var sourceWeights = [...]float64{1, 0.6, 0.3}

// sources are the relations by the names that journeys give them.
var sources = map[string]recommend.Relation{"co-view": recommend.Seen, "co-cart": recommend.Carted, "co-purchase": recommend.Bought}

// recommend finds what a mail shows beside what it is about.
func (p *Pipeline) recommend(v *engine.View, j *Journey, d *event.Decision, person *profile.Person) ([]recommend.Scored, error) {
	q := mailQuery(j, d, person, v.Watermark)
	if j.Together {
		if p.look != nil {
			q.Rules.Look = func(id string) (recommend.Listing, bool) { return p.look(v, id) }
		}
		return p.together(v, &q)
	}
	list, err := p.suggestions(v, &q)
	if err == nil && p.live != nil {
		p.live.Blend.Remember(d.ID, q.Placement, linked(list))
	}
	return list, err
}

// mailQuery asks for what goes with the items that a mail is about.
func mailQuery(j *Journey, d *event.Decision, p *profile.Person, now int64) recommend.LiveQuery {
	limit := 3
	var said *configs.Recommend
	if j.Config != nil {
		said = j.Config.Content.Recommend
		if said != nil && said.Count > 0 {
			limit = said.Count
		}
		if n := j.Config.Content.Variants[d.Variant].Count; n > 0 {
			limit = n
		}
	}
	q := recommend.LiveQuery{Query: recommend.QueryFor(p, j.Exclude, limit, now), Placement: d.Kind}
	q.NeedName, q.NeedPrice = true, true
	q.Categories = favourites(p, now)
	seedMail(&q, said, d, p)
	for i := range d.Items {
		q.Hide = append(q.Hide, d.Items[i].ID)
	}
	if said == nil {
		return q
	}
	for k, name := range said.From[:min(len(said.From), len(sourceWeights))] {
		if r, ok := sources[name]; ok && q.Weights[r] == 0 {
			q.Weights[r] = sourceWeights[k]
		}
	}
	currency := d.Currency
	if currency == "" {
		currency = p.Currency
	}
	q.Rules = recommend.LiveRules{
		InStock: said.InStock == "yes", PriceMin: minor(float64(said.PriceMin), currency), PriceMax: minor(float64(said.PriceMax), currency),
		PerBrand: said.PerBrand, PerCategory: said.PerCategory,
	}
	if said.Diversity > 0 {
		q.Rules.Diversity = max(1-float64(said.Diversity), 0.1)
	}
	return q
}

// seedMail says what a mail's recommendations start from: what it is about, or what the
// person looked at, as the journey says; of what there is none, what there is.
func seedMail(q *recommend.LiveQuery, said *configs.Recommend, d *event.Decision, p *profile.Person) {
	viewed := said != nil && said.Seed == "profile.viewed" && len(p.Viewed) > 0
	switch {
	case viewed:
		q.Seeds = q.Seeds[:0]
		for i := range p.Viewed[:min(len(p.Viewed), recommend.MaxSeeds)] {
			q.Seeds = append(q.Seeds, recommend.Seed{Item: p.Viewed[i].ID, Weight: 1 / float64(1+i)})
		}
	case len(d.Items) > 0:
		q.Seeds = q.Seeds[:0]
		for i := range d.Items {
			q.Seeds = append(q.Seeds, recommend.Seed{Item: d.Items[i].ID, Weight: 1})
		}
		for i := range d.Items {
			q.Present = append(q.Present, d.Items[i].ID)
		}
		return
	}
	q.Present = present(&q.Query)
}

// minor is an amount in minor units of a currency.
func minor(amount float64, currency string) event.Money {
	return event.Money(math.Round(amount * math.Pow10(event.Exponent(currency))))
}

// sameLink is an address as mails show it, so that a click finds what was shown.
func sameLink(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.String()
}

// linked gives each item the address that its link bears.
func linked(list []recommend.Scored) []recommend.Scored {
	out := slices.Clone(list)
	for k := range out {
		out[k].Facts.URL = sameLink(out[k].Facts.URL)
	}
	return out
}
