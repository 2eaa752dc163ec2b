package recommend_test

import (
	"fmt"

	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/operators/recommend"
)

func Example() {
	u, r := profile.New(profile.Options{}), recommend.New(recommend.Options{})
	items := map[string]*recommend.Item{}
	var totals recommend.Totals
	var ch profile.Change
	for n, ids := range [][]string{{"tea", "cup"}, {"tea", "cup"}, {"saw", "nail"}, {"tea", "pot"}} {
		e := event.Event{Kind: event.OrderCompleted, Time: int64(n + 1), MessageID: fmt.Sprint(n), OrderID: fmt.Sprint(n)}
		for _, id := range ids {
			e.Products = append(e.Products, event.Product{ID: id, Quantity: 1})
		}
		var p profile.Person // another one each time
		u.Apply(&p, &e, &ch)
		for _, t := range r.Touches(nil, &e, &ch, &p) {
			if t.Item == "" {
				r.ApplyTotals(&totals, &t)
				continue
			}
			if items[t.Item] == nil {
				items[t.Item] = &recommend.Item{}
			}
			r.Apply(items[t.Item], &t)
		}
	}
	read := func(id string) (*recommend.Item, bool) { i, ok := items[id]; return i, ok }
	q := recommend.Query{Seeds: []recommend.Seed{{Item: "tea", Weight: 1}}, Limit: 1, Now: 10}
	for _, s := range r.Recommend(q, read, &totals) {
		fmt.Println(s.Item, s.Why())
	}
	// Output: cup bought together with tea
}
