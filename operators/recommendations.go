package operators

import (
	"slices"

	"millrace/engine"
	"millrace/operators/profile"
	"millrace/operators/recommend"
)

// favouriteCategories is in how many categories a person's popular items are looked for:
// the third already weighs little.
const favouriteCategories = 3

// favourites are the categories that a person is drawn to.
func favourites(p *profile.Person, now int64) []string {
	var out []string
	for _, w := range p.Favourites(favouriteCategories, now) {
		out = append(out, w.Name)
	}
	return out
}

// RecommendSession is what goes with the items of a visit, oldest first; then what is
// popular in their categories, the newest item's first; then what is popular at all.
func (p *Pipeline) RecommendSession(v *engine.View, items []string, limit int) ([]recommend.Scored, error) {
	q := recommend.LiveQuery{Query: recommend.QueryForSession(items, limit, v.Watermark), Present: items, Placement: "session"}
	q.Tops = &p.tops
	_, failed := p.reader(v, &q.Query)
	for _, s := range q.Seeds {
		i, ok := q.Brief(s.Item)
		if ok && i.Facts.Category != "" && !slices.Contains(q.Categories, i.Facts.Category) {
			q.Categories = append(q.Categories, i.Facts.Category)
		}
	}
	if *failed != nil {
		return nil, *failed
	}
	return p.suggestions(v, &q)
}
