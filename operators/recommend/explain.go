package recommend

import (
	"cmp"
	"fmt"
	"slices"
)

// Explain says why the item is recommended with what stands behind it: "bought together
// with Tent in 312 orders", "popular in Camping". The number is that of units as they
// count today, so with decay it is below the plain number of orders, carts or visits.
func (s Scored) Explain() string {
	switch {
	case s.Seed == "" && s.Category != "":
		return "popular in " + s.Category
	case s.Seed == "":
		return "popular"
	}
	switch name := cmp.Or(s.SeedName, s.Seed); {
	case s.Visits == 1:
		return "in 1 visit with " + name
	case s.Visits > 1:
		return fmt.Sprintf("in %d visits with %s", s.Visits, name)
	case s.Alike:
		return s.Why()
	}
	units := [RelationCount][2]string{Seen: {"visit", "visits"}, Carted: {"cart", "carts"}, Bought: {"order", "orders"}}
	switch n := int64(s.Shared + 0.5); {
	case n < 1 || s.Relation >= RelationCount:
		return s.Why()
	case n == 1:
		return s.Why() + " in 1 " + units[s.Relation][0]
	default:
		return fmt.Sprintf("%s in %d %s", s.Why(), n, units[s.Relation][1])
	}
}

// QueryForSession starts from the items of a visit, oldest first: the newest says most.
// What the visit holds already is not shown again.
func QueryForSession(items []string, limit int, now int64) Query {
	q := Query{Limit: limit, Now: now, Hide: items}
	for _, id := range slices.Backward(items) {
		if len(q.Seeds) == MaxSeeds {
			break
		}
		if !slices.ContainsFunc(q.Seeds, func(s Seed) bool { return s.Item == id }) {
			q.Seeds = append(q.Seeds, Seed{id, 1 / float64(1+len(q.Seeds))})
		}
	}
	return q
}

// fillCategories adds popular items of the wanted categories, the most wanted first.
func (q *Query) fillCategories(out []Scored, read Reader, totals *Totals) []Scored {
	if len(q.Categories) == 0 || len(out) >= q.Limit {
		return out
	}
	place := func(category string) int {
		return cmp.Or(1+slices.Index(q.Categories, category), len(q.Categories)+1)
	}
	var found []Scored
	for _, id := range totals.Popular(MaxPopular) {
		i, ok := read(id)
		if !ok || i.Facts.Category == "" || place(i.Facts.Category) > len(q.Categories) || !q.allows(id, &i.Facts) ||
			slices.ContainsFunc(out, func(s Scored) bool { return s.Item == id }) {
			continue
		}
		found = append(found, Scored{Item: id, Facts: i.Facts, Category: i.Facts.Category})
	}
	slices.SortStableFunc(found, func(a, b Scored) int { return cmp.Compare(place(a.Category), place(b.Category)) })
	return append(out, found[:min(len(found), q.Limit-len(out))]...)
}
