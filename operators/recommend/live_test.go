package recommend

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// liveShop is a shop whose Live knows what its events say.
type liveShop struct {
	*shop
	live *Live
}

func newLiveShop(o LiveOptions) *liveShop {
	o.Queue = cmp.Or(o.Queue, 1000)
	o.Visits.Visits = cmp.Or(o.Visits.Visits, 1000)
	return &liveShop{newShop(Options{HalfLife: -1}), NewLive(o)}
}

// visit is a visit of somebody to items, a second apart.
func (s *liveShop) visit(who string, at int64, items ...string) {
	for k, id := range items {
		s.live.Touched(who, id, at+int64(k)*1000)
	}
	s.live.Drain()
}

// list says how items are called: "id=name/category/brand/price".
func (s *liveShop) list(items ...string) {
	for _, line := range items {
		id, rest, _ := strings.Cut(line, "=")
		w := append(strings.Split(rest, "/"), "", "", "")
		x := Listing{Brand: w[2], Facts: Facts{Name: w[0], Category: w[1]}}
		if _, err := fmt.Sscan(w[3], &x.Facts.Price); err == nil {
			x.Facts.HasPrice = true
		}
		s.live.Listed(id, &x, 1)
	}
	s.live.Drain()
}

func (s *liveShop) ask(q LiveQuery, present ...string) []Scored {
	session := QueryForSession(present, max(q.Limit, 5), s.now())
	session.NeedName, session.Categories, session.Weights = q.NeedName, q.Categories, q.Weights
	q.Query, q.Present = session, present
	return s.r.RecommendLive(s.live, &q, s.read, &s.totals)
}

func explained(list []Scored) string {
	var out []string
	for _, s := range list {
		out = append(out, s.Item+": "+s.Explain())
	}
	return strings.Join(out, "; ")
}

// Each voice has its say, and says why.
func TestRecommendLive(t *testing.T) {
	s := newLiveShop(LiveOptions{})
	pairs(t, s.shop, 3, "tea,cup")
	pairs(t, s.shop, 5, "saw,nail")
	for k := range 4 {
		s.visit(fmt.Sprint("w", k), int64(k)*10_000, "tea", "honey")
	}
	s.visit("x", 90_000, "rug", "mat")
	s.list("tea=Green Tea", "honey=Honey", "rug=Red Rug", "new=Green Tea Bag", "茶=绿茶 茶叶", "新=新 绿茶")
	f := func(want string, present ...string) {
		t.Helper()
		if got := explained(s.ask(LiveQuery{}, present...)[:3]); got != want {
			t.Fatalf("%v: %s, want %s", present, got, want)
		}
	}
	f("honey: in 4 visits with Green Tea; cup: bought together with the tea in 3 orders; new: similar to Green Tea", "tea")
	f("新: similar to 绿茶 茶叶; nail: popular; saw: popular", "茶") // nobody touched either
	f("mat: in 1 visit with Red Rug; nail: popular; saw: popular", "rug")
	f("nail: popular; saw: popular; cup: popular", "nobody")
}

// What the shop wants holds for whatever voice names an item.
func TestLiveRules(t *testing.T) {
	s := newLiveShop(LiveOptions{})
	s.list("a=Blue Pot/Pots/Acme/1000", "b=Blue Pot large/Pots/Acme/2000", "c=Blue Pot small/Pots/Acme/500", "d=Blue Pan/Pans/Bolt/1500", "e=Blue Pot lid/Pots/Bolt/300", "f=Blue thing")
	s.visit("x", 1000, "a", "f")
	f := func(r LiveRules, want string) {
		t.Helper()
		if got := s.ask(LiveQuery{Rules: r}, "a"); ids(got) != want {
			t.Fatalf("%+v: %s, want %s", r, explained(got), want)
		}
	}
	stock := func(id string) (Listing, bool) {
		switch id {
		case "b":
			return Listing{Stock: OutOfStock}, true
		case "c":
			return Listing{Stock: InStock, Facts: Facts{Price: 9000, HasPrice: true}}, true
		default:
			return Listing{}, false
		}
	}
	all := "f b c e d"
	f(LiveRules{}, all)
	f(LiveRules{InStock: true}, all) // nobody says what is in stock
	f(LiveRules{InStock: true, Look: stock}, "f c e d")
	f(LiveRules{PriceMin: 400}, "b c d")
	f(LiveRules{PriceMax: 1500}, "c e d")
	f(LiveRules{PriceMax: 1500, Look: stock}, "e d") // the catalogue's price holds
	f(LiveRules{PriceMin: 400, PriceMax: 1500}, "c d")
	f(LiveRules{PerBrand: 1}, "f b e")
	f(LiveRules{PerCategory: 1}, "f b d")
	if got := s.ask(LiveQuery{Rules: LiveRules{Diversity: 0.3}}, "a"); len(got) != 5 || ids(got) == all {
		t.Fatalf("diversity: %s", explained(got))
	}
	if got := s.ask(LiveQuery{Query: Query{NeedName: true}, Rules: LiveRules{}}, "f"); ids(got) == "" {
		t.Fatal("nothing")
	}
	skip := LiveQuery{Query: Query{Seeds: []Seed{{"a", 1}}, Limit: 9, Hide: []string{"a"}, Skip: func(id string) bool { return id == "c" }}, Present: []string{"a"}}
	if got := s.r.RecommendLive(s.live, &skip, s.read, &s.totals); ids(got) != "f b e d" {
		t.Fatalf("%s", explained(got))
	}
}

// A person is forgotten at once, with what is still on its way, and by what is merged.
func TestLiveErase(t *testing.T) {
	s := newLiveShop(LiveOptions{})
	s.visit("ann", 1000, "a", "b")
	s.visit("anon", 5000, "a", "c")
	s.visit("bob", 1000, "a", "d")
	s.live.linked("anon", "ann")
	s.live.linked("anon", "ann")
	if n := len(s.live.queue); n != 1 {
		t.Fatalf("%d signals", n)
	}
	s.live.Drain()
	s.live.Touched("ann", "e", 6000)
	s.live.Touched("bob", "f", 6000)
	if n := s.live.Erase("ann"); n != 2 {
		t.Fatalf("%d visits", n)
	}
	s.live.Drain()
	if st := s.live.Stats(); st.People != 1 || st.Visits != 1 || len(s.live.forget) != 0 {
		t.Fatalf("%+v", st)
	}
	if got := ids(s.ask(LiveQuery{}, "a")); got != "d f" {
		t.Fatal(got)
	}
}

// What finds no room in the queue is counted, nobody waits, and the state is read again.
func TestLiveHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLive(LiveOptions{Queue: 10})
		for k := range 25 {
			l.Touched("ann", fmt.Sprint(k), int64(k))
		}
		if st := l.Stats(); st.Missed != 15 || st.Waiting != 10 || st.Ready {
			t.Fatalf("%+v", st)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		var fills atomic.Int32
		go func() {
			done <- l.Run(ctx, func(context.Context) error {
				if fills.Add(1) == 1 {
					for k := range 30 { // while the state is read
						l.Touched("bob", fmt.Sprint(k), int64(k))
					}
				}
				l.Found("ann", []string{"24"}, 24)
				return nil
			})
		}()
		synctest.Wait()
		if st := l.Stats(); fills.Load() != 1 || st.Waiting != 0 || !st.Ready || st.Missed != 45 {
			t.Fatalf("%d, %+v", fills.Load(), st)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if st := l.Stats(); fills.Load() != 2 || st.Read != 2 || st.Missed != 45 {
			t.Fatalf("%d, %+v", fills.Load(), st)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if fills.Load() != 2 {
			t.Fatal("the state was read without a reason")
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// What is told again, in any order, changes nothing.
func TestLiveRepeats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type click struct {
			who, item string
			at        int64
		}
		var clicks []click
		for range rapid.IntRange(1, 30).Draw(t, "clicks") {
			clicks = append(clicks, click{
				rapid.SampledFrom([]string{"u", "v", "w"}).Draw(t, "who"), rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "item"),
				rapid.Int64Range(0, 20).Draw(t, "hour") * 3_600_000,
			})
		}
		tell := func(order []click) string {
			s := newLiveShop(LiveOptions{})
			for _, id := range []string{"a", "b", "c", "d"} {
				s.live.Shelf.Put(id)
			}
			for _, c := range order {
				s.live.Touched(c.who, c.item, c.at)
			}
			s.live.Drain()
			return fmt.Sprint(s.live.Visits.Near(nil, []Num{0, 1}, 9, nil, new(VisitScratch)))
		}
		once := tell(clicks)
		twice := append(slices.Clone(clicks), rapid.Permutation(clicks).Draw(t, "again")...)
		if got := tell(twice); got != once {
			t.Fatalf("%s, then %s", once, got)
		}
	})
}

// A newer word holds, an older one fills in, and what changes nothing is not told again.
func TestShelf(t *testing.T) {
	x := NewShelf(3)
	f := func(id string, l Listing, at int64, changed bool, want string) {
		t.Helper()
		if got := x.Describe(id, &l, at); got != changed {
			t.Fatalf("%s changed: %v", id, got)
		}
		if l, _ := x.Find(id); fmt.Sprint(l.Facts.Name, "|", l.Facts.Category, "|", l.Facts.Price, "|", l.Stock) != want {
			t.Fatalf("%s: %+v, want %s", id, l, want)
		}
	}
	name := func(n string) Listing { return Listing{Facts: Facts{Name: n}} }
	f("a", name("Pot"), 10, true, "Pot||0|0")
	f("a", name("Pot"), 20, false, "Pot||0|0")
	f("a", Listing{Facts: Facts{Name: "Old", Category: "Pots", Price: 5, HasPrice: true}}, 5, true, "Pot|Pots|5|0")
	f("a", Listing{Stock: OutOfStock, Facts: Facts{Price: 7, HasPrice: true}}, 11, true, "Pot|Pots|7|2")
	f("a", Listing{Stock: InStock}, 10, false, "Pot|Pots|7|2")
	x.Put("b")
	x.Put("c")
	if x.Put("d") != None || x.Describe("d", &Listing{Brand: "x"}, 1) || x.Len() != 3 {
		t.Fatal("there was room for a fourth item")
	}
}

// What is like an item is remembered, as long as nothing new is said or for a while.
func TestShelfLike(t *testing.T) {
	x := NewShelf(0)
	now := time.Unix(1000, 0)
	x.now = func() time.Time { return now }
	names := func() string {
		var out []string
		for _, r := range x.Like(x.Put("a")) {
			var id string
			x.listing(r.Item, &id)
			out = append(out, id)
		}
		return strings.Join(out, " ")
	}
	f := func(want string) {
		t.Helper()
		if got := names(); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	say := func(id, name string) { x.Describe(id, &Listing{Facts: Facts{Name: name}}, 1) }
	say("a", "red clay pot")
	say("b", "red clay jar")
	f("b")
	say("c", "red clay pot large")
	f("b")
	now = now.Add(likeAge)
	f("c b")
	for range 3 {
		x.Weigh()
	}
	f("c b")
	for k := range 2*likeMax + 10 {
		x.Like(Num(k))
	}
	if len(x.new) > likeMax || len(x.old) > likeMax {
		t.Fatalf("%d and %d lists", len(x.new), len(x.old))
	}
}
