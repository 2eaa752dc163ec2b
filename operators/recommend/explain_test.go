package recommend

import (
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	f := func(s Scored, want string) {
		t.Helper()
		if got := s.Explain(); got != want {
			t.Fatalf("%+v: got %q, want %q", s, got, want)
		}
	}
	f(Scored{}, "popular")
	f(Scored{Category: "Mugs"}, "popular in Mugs")
	f(Scored{Seed: "tea", SeedName: "Tea", Relation: Bought, Shared: 311.6}, "bought together with Tea in 312 orders")
	f(Scored{Seed: "tea", Relation: Bought, Shared: 1}, "bought together with tea in 1 order")
	f(Scored{Seed: "tea", Relation: Seen, Shared: 2}, "seen together with tea in 2 visits")
	f(Scored{Seed: "tea", Relation: Carted, Shared: 3}, "in a cart together with tea in 3 carts")
	f(Scored{Seed: "tea", Relation: Bought, Shared: .3}, "bought together with tea") // long ago
}

func TestQueryForSession(t *testing.T) {
	q := QueryForSession(strings.Fields("a b c d a e f f"), 3, 7)
	var seeds []string
	for i, s := range q.Seeds {
		seeds = append(seeds, s.Item)
		if want := 1 / float64(1+i); s.Weight != want {
			t.Errorf("%s weighs %v, want %v", s.Item, s.Weight, want)
		}
	}
	if got := strings.Join(seeds, ""); got != "feadc" || q.Limit != 3 || q.Now != 7 || len(q.Hide) != 8 {
		t.Fatalf("%s of %+v", got, q)
	}
}

// A visit is answered by what goes with it, then by its categories, then by the shop.
func TestRecommendSession(t *testing.T) {
	s := newShop(Options{HalfLife: -1})
	pairs(t, s, 6, "tea,cup")
	pairs(t, s, 9, "saw,nail")
	pairs(t, s, 3, "pot,lid")
	for _, id := range []string{"pot", "lid"} {
		s.items[id].Facts.Category = "Kitchen"
	}
	s.items["nail"].Facts.Category = "Tools"
	f := func(want string, categories []string, visit ...string) []Scored {
		t.Helper()
		q := QueryForSession(visit, 4, s.now())
		q.Categories = categories
		got := s.r.Recommend(q, s.read, &s.totals)
		if ids(got) != want {
			t.Fatalf("%v: got %q, want %q", visit, ids(got), want)
		}
		return got
	}
	f("cup nail saw lid", nil, "tea")
	got := f("cup lid pot nail", []string{"Kitchen"}, "tea")
	for i, want := range []string{"bought together with the tea in 6 orders", "popular in Kitchen", "popular in Kitchen", "popular"} {
		if why := got[i].Explain(); why != want {
			t.Errorf("%s: %q, want %q", got[i].Item, why, want)
		}
	}
	f("cup nail lid pot", []string{"Tools", "Kitchen"}, "tea")
	// What the visit holds is not shown again; nobody knows the item: what is popular.
	f("nail saw cup tea", nil, "unknown")
	f("saw cup lid pot", []string{"Kitchen"}, "tea", "nail")
}
