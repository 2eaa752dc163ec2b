package recommend

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
	"millrace/operators/profile"
)

const (
	testBase = int64(1_772_445_600_000) // 2026-03-02 10:00 UTC
	testHalf = 10 * 24 * time.Hour
	testLink = 6 * time.Hour
)

// shop is the stream side: persons, items and totals fed event by event.
type shop struct {
	u       *profile.Updater
	r       *Recommender
	persons map[string]*profile.Person
	items   map[string]*Item
	totals  Totals
	log     []Touch
	ch      profile.Change
}

func newShop(o Options) *shop {
	return &shop{u: profile.New(profile.Options{Linked: testLink}), r: New(o), persons: map[string]*profile.Person{}, items: map[string]*Item{}}
}

func (s *shop) feed(e *event.Event) {
	p := s.persons[e.UserID]
	if p == nil {
		p = &profile.Person{}
		s.persons[e.UserID] = p
	}
	s.u.Apply(p, e, &s.ch)
	for _, t := range s.r.Touches(nil, e, &s.ch, p) {
		s.log = append(s.log, t)
		s.touch(&t)
	}
}

func (s *shop) touch(t *Touch) {
	if t.Item == "" {
		s.r.ApplyTotals(&s.totals, t)
		return
	}
	i := s.items[t.Item]
	if i == nil {
		i = &Item{}
		s.items[t.Item] = i
	}
	s.r.Apply(i, t)
}

func (s *shop) read(id string) (*Item, bool) { i, ok := s.items[id]; return i, ok }

func (s *shop) now() int64 {
	now := s.totals.Last
	for _, i := range s.items {
		now = max(now, i.Last)
	}
	return now
}

// story feeds words such as "u1:view:a,b@0m".
func (s *shop) story(t *testing.T, story string) {
	t.Helper()
	kinds := map[string]event.Kind{"view": event.ProductViewed, "add": event.ProductAdded, "order": event.OrderCompleted}
	for n, word := range strings.Fields(story) {
		what, at, _ := strings.Cut(word, "@")
		d, err := time.ParseDuration(at)
		if err != nil {
			t.Fatalf("story word %q: %v", word, err)
		}
		parts := strings.Split(what, ":")
		e := &event.Event{Kind: kinds[parts[1]], UserID: parts[0], Time: testBase + d.Milliseconds(), MessageID: fmt.Sprint(n, len(s.log), word), CartID: "c"}
		if e.Kind == event.OrderCompleted {
			e.OrderID = fmt.Sprint("o", n, word)
		}
		for id := range strings.SplitSeq(parts[2], ",") {
			e.Products = append(e.Products, event.Product{ID: id, Name: "the " + id, Price: 100, HasPrice: true, Quantity: 1})
		}
		s.feed(e)
	}
}

// The table of recommendation.md 3.1, computed by Mahout.
func TestLLR(t *testing.T) {
	f := func(k11, k12, k21, k22, want float64) {
		t.Helper()
		if got := LLR(k11, k12, k21, k22); math.Abs(got-want) > 5e-7 {
			t.Fatalf("LLR(%v, %v, %v, %v) = %.6f, want %.6f", k11, k12, k21, k22, got, want)
		}
	}
	f(1, 0, 0, 1, 2.772589)
	f(10, 0, 0, 10, 27.725887)
	f(5, 1995, 0, 100000, 39.330522)
	f(1000, 1995, 1000, 100000, 4730.736813)
	f(1000, 1000, 1000, 100000, 5734.342525)
	f(13, 1000, 1000, 100000, 0.803755)
	// As chance would have it, or less: nothing, though the formula says much of avoidance.
	f(0, 1000, 1000, 100, 0)
	f(10, 90, 90, 810, 0)
	f(0, 0, 0, 0, 0)
	f(-3, 1, 1, 10, 0)
	f(5, -1, -1, 10, LLR(5, 0, 0, 10))
}

// batch is the naive side: sets per unit, counted at the end.
type batch struct {
	own   [RelationCount]map[string]float64
	pair  [RelationCount]map[[2]string]float64
	units [RelationCount]float64
	now   int64
}

func (b *batch) weight(at int64) float64 {
	return math.Exp2(-float64(b.now-at) / float64(testHalf.Milliseconds()))
}

// unit counts a unit of items with the times at which they joined, in order.
func (b *batch) unit(r Relation, items []string, at map[string]int64, began int64) {
	if b.own[r] == nil {
		b.own[r], b.pair[r] = map[string]float64{}, map[[2]string]float64{}
	}
	day := began/dayMillis*dayMillis + dayMillis/2
	b.units[r] += b.weight(day)
	for i, id := range items {
		b.own[r][id] += b.weight(at[id])
		for _, o := range items[:i] {
			w := b.weight(at[id])
			b.pair[r][[2]string{id, o}] += w
			b.pair[r][[2]string{o, id}] += w
		}
	}
}

// count goes through one person's events, in order.
func (b *batch) count(events []*event.Event) {
	type unit struct {
		items []string
		at    map[string]int64
		began int64
	}
	var window *unit
	carts := map[string]*unit{}
	join := func(u *unit, e *event.Event) {
		for _, d := range e.Products {
			if _, ok := u.at[d.ID]; !ok {
				u.at[d.ID] = e.Time
				u.items = append(u.items, d.ID)
			}
		}
	}
	closeCarts := func() {
		for _, c := range carts {
			b.unit(Carted, c.items, c.at, c.began)
		}
		clear(carts)
	}
	for _, e := range events {
		switch e.Kind {
		case event.ProductViewed:
			if window == nil || e.Time-window.began >= testLink.Milliseconds() {
				if window != nil {
					b.unit(Seen, window.items, window.at, window.began)
				}
				window = &unit{at: map[string]int64{}, began: e.Time}
			}
			join(window, e)
		case event.ProductAdded:
			if carts[e.CartID] == nil {
				carts[e.CartID] = &unit{at: map[string]int64{}, began: e.Time}
			}
			join(carts[e.CartID], e)
		case event.OrderCompleted:
			o := &unit{at: map[string]int64{}}
			join(o, e)
			b.unit(Bought, o.items, o.at, e.Time)
			closeCarts()
		}
	}
	if window != nil {
		b.unit(Seen, window.items, window.at, window.began)
	}
	closeCarts()
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

// differs says where the records are not the batch, or "".
func (b *batch) differs(s *shop) string {
	for r := range RelationCount {
		if got := s.totals.Units(r, b.now, s.r.half); !near(got, b.units[r]) {
			return fmt.Sprintf("%v: %v units, want %v", r, got, b.units[r])
		}
		for id, want := range b.own[r] {
			if i, ok := s.items[id]; !ok || !near(i.Units(r, b.now), want) {
				return fmt.Sprintf("%v: item %s: want %v", r, id, want)
			}
		}
		n := 0
		for id, i := range s.items {
			n += len(i.relations[r].list)
			for k := range i.relations[r].list {
				other := i.relations[r].id(k)
				if got, want := i.Shared(r, other, b.now), b.pair[r][[2]string{id, other}]; !near(got, want) {
					return fmt.Sprintf("%v: %s with %s: %v, want %v", r, id, other, got, want)
				}
			}
		}
		if n != len(b.pair[r]) {
			return fmt.Sprintf("%v: %d pairs, want %d", r, n, len(b.pair[r]))
		}
	}
	return ""
}

// The stream of events equals the batch over all of them; and the touches of an item
// may come in any order, with the record stored and read back at any moment.
func TestStreamEqualsBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newShop(Options{HalfLife: testHalf, SeenPairs: 20, CartedPairs: 20})
		b := &batch{}
		byPerson := map[string][]*event.Event{}
		at := testBase
		for i := range rapid.SampledFrom([]int{3, 10, 60}).Draw(t, "events") {
			at += rapid.Int64Range(1, 5*3_600_000).Draw(t, "gap")
			e := &event.Event{Time: at, MessageID: fmt.Sprint(i), UserID: rapid.SampledFrom([]string{"u", "v", "w"}).Draw(t, "person"),
				Kind:   rapid.SampledFrom([]event.Kind{event.ProductViewed, event.ProductViewed, event.ProductAdded, event.OrderCompleted}).Draw(t, "kind"),
				CartID: rapid.SampledFrom([]string{"", "c"}).Draw(t, "cart")}
			if e.Kind == event.OrderCompleted {
				e.OrderID = fmt.Sprint(i)
			}
			for _, d := range rapid.SliceOfN(rapid.IntRange(0, 9), 1, 3).Draw(t, "items") {
				e.Products = append(e.Products, event.Product{ID: fmt.Sprint("p", d), Quantity: 1})
			}
			byPerson[e.UserID] = append(byPerson[e.UserID], e)
			s.feed(e)
		}
		b.now = at + 5*86_400_000
		for _, who := range slices.Sorted(maps.Keys(byPerson)) {
			b.count(byPerson[who])
		}
		if d := b.differs(s); d != "" {
			t.Fatal(d)
		}
		again := newShop(Options{HalfLife: testHalf})
		for _, touch := range rapid.Permutation(s.log).Draw(t, "order") {
			again.touch(&touch)
			if i := again.items[touch.Item]; i != nil && rapid.IntRange(0, 9).Draw(t, "store") == 0 {
				var back Item
				if err := back.DecodeFrom(i.AppendTo(nil)); err != nil {
					t.Fatal(err)
				}
				*i = back
			}
		}
		var back Totals
		if err := back.DecodeFrom(again.totals.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		again.totals = back
		if d := b.differs(again); d != "" {
			t.Fatal("in another order: ", d)
		}
	})
}

func TestTouches(t *testing.T) {
	f := func(story, want string) {
		t.Helper()
		s := newShop(Options{SeenPairs: 2})
		s.story(t, story)
		var got []string
		for _, x := range s.log {
			got = append(got, fmt.Sprintf("%s+%d[%s]", x.Item, x.Own, strings.Join(x.Others, " ")))
		}
		if g := strings.Join(got, " "); g != want {
			t.Fatalf("%s: got %q, want %q", story, g, want)
		}
	}
	f("u:view:a@0m", "+1[] a+1[]")
	f("u:view:a@0m u:view:b@1m", "+1[] a+1[] b+1[a] a+0[b]")
	// Again in the window: nothing. Another window: from the start.
	f("u:view:a@0m u:view:a@1m", "+1[] a+1[]")
	f("u:view:a@0m u:view:b@7h", "+1[] a+1[] +1[] b+1[]")
	// Only the newest others.
	f("u:view:a@0m u:view:b@1m u:view:c@2m u:view:d@3m", "+1[] a+1[] b+1[a] a+0[b] c+1[b a] b+0[c] a+0[c] d+1[c b] c+0[d] b+0[d]")
	f("u:view:a,b@0m", "+1[] a+1[] b+1[a] a+0[b]")
	// What two persons do goes together only within each.
	f("u:view:a@0m v:view:b@1m", "+1[] a+1[] +1[] b+1[]")
	f("u:add:a@0m u:add:b@1m u:add:b@2m", "+1[a] a+1[] +0[b] b+1[a] a+0[b]")
	f("u:order:a,b,a,c@0m", "+1[a b c] a+1[b c] b+1[a c] c+1[a b]")
	f("u:order:a@0m", "+1[a] a+1[]")
}

func TestTouchesKeepQuiet(t *testing.T) {
	s := newShop(Options{})
	var p profile.Person
	e := &event.Event{Kind: event.ProductViewed, Time: testBase, Bot: true, MessageID: "1", Products: []event.Product{{ID: "a", Quantity: 1}}}
	s.u.Apply(&p, e, &s.ch)
	if n := len(s.r.Touches(nil, e, &s.ch, &p)); n != 0 {
		t.Fatalf("%d touches by a bot", n)
	}
	e.Bot = false
	s.u.Apply(&p, e, &s.ch) // the same message
	if n := len(s.r.Touches(nil, e, &s.ch, &p)); n != 0 {
		t.Fatalf("%d touches by a repeat", n)
	}
}

// A full list drops its weaker half, counts that, and never claims more than it saw.
func TestNeighbourBound(t *testing.T) {
	r := New(Options{HalfLife: -1})
	var i Item
	const others = 5 * MaxNeighbours
	for n := range others {
		r.Apply(&i, &Touch{Item: "x", Relation: Bought, Own: 1, Others: []string{"steady"}, Time: testBase})
		r.Apply(&i, &Touch{Item: "x", Relation: Bought, Own: 1, Others: []string{fmt.Sprint("n", n)}, Time: testBase})
		if n%100 == 0 { // rising, but not yet there
			r.Apply(&i, &Touch{Item: "x", Relation: Bought, Own: 1, Others: []string{"rising"}, Time: testBase})
		}
	}
	n := len(i.relations[Bought].list)
	if n > MaxNeighbours || n < MaxNeighbours/2 || int(i.Lost) != others+2-n {
		t.Fatalf("%d neighbours, %d lost", n, i.Lost)
	}
	if got := i.Shared(Bought, "steady", testBase); got != others {
		t.Fatalf("steady: %v", got)
	}
	if got := i.Shared(Bought, "rising", testBase); got != others/100+1 {
		t.Fatalf("rising: %v", got)
	}
	for k, a := range i.relations[Bought].list {
		if id := i.relations[Bought].id(k); id[0] == 'n' && a.count != 1 {
			t.Fatalf("%s claims %v", id, a.count)
		}
	}
}

func TestFacts(t *testing.T) {
	r := New(Options{})
	var i Item
	say := func(at int64, f Facts) { r.Apply(&i, &Touch{Item: "x", Time: testBase + at, Facts: f}) }
	say(5, Facts{Name: "new", Price: 200, HasPrice: true})
	say(1, Facts{Name: "old", Price: 100, HasPrice: true, URL: "https://shop.example.com/x"})
	say(9, Facts{Category: "Mugs"})
	want := Facts{Name: "new", Price: 200, HasPrice: true, URL: "https://shop.example.com/x", Category: "Mugs"}
	if i.Facts != want {
		t.Fatalf("%+v", i.Facts)
	}
}

// pairs feeds n orders of the items, each by another person.
func pairs(t *testing.T, s *shop, n int, items string) {
	t.Helper()
	for k := range n {
		s.story(t, fmt.Sprintf("%s%d:order:%s@%dm", strings.ReplaceAll(items, ",", ""), k, items, k))
	}
}

func ids(list []Scored) string {
	var out []string
	for _, s := range list {
		out = append(out, s.Item)
	}
	return strings.Join(out, " ")
}

func TestRecommend(t *testing.T) {
	s := newShop(Options{})
	pairs(t, s, 6, "tea,cup")
	pairs(t, s, 3, "tea,pot")
	pairs(t, s, 9, "saw,nail")
	pairs(t, s, 4, "cup,pot")
	now := s.now()
	q := func(story string, x Exclude, limit int) []Scored {
		t.Helper()
		s.story(t, story)
		who, _, _ := strings.Cut(story, ":")
		return s.r.Recommend(QueryFor(s.persons[who], x, limit, now), s.read, &s.totals)
	}
	f := func(got []Scored, want string) {
		t.Helper()
		if ids(got) != want {
			t.Fatalf("got %q, want %q", ids(got), want)
		}
	}
	// What goes with the cart; the cart's own items never; then popular ones.
	f(q("a:add:tea@1h", ExcludeNone, 2), "cup pot")
	f(q("b:add:saw@1h", ExcludeNone, 3), "nail cup tea")
	// What was bought is left out unless asked for.
	f(q("c:order:cup@1h c:add:tea@2h", ExcludePurchased, 1), "pot")
	f(q("d:order:cup@1h d:add:tea@2h", ExcludeNone, 1), "cup")
	// What was looked at last, or in this session.
	f(q("e:view:tea@1h e:view:cup@2h", ExcludeLast, 2), "tea pot")
	f(q("f:view:tea@1h f:view:cup@2h", ExcludeSession, 1), "pot")
	// From the last order when there is nothing else.
	f(q("g:order:saw@1h", ExcludePurchased, 1), "nail")

	top := s.r.Top("saw", Bought, now, s.read, &s.totals)
	if len(top) == 0 || top[0].Item != "nail" || top[0].Facts.Name != "the nail" || top[0].LLR <= 0 {
		t.Fatalf("%+v", top)
	}
	r := q("h:add:saw@1h", ExcludeNone, 1)
	if r[0].Why() != "bought together with the saw" || r[0].Relation != Bought {
		t.Fatalf("%q", r[0].Why())
	}
	// The id stands in where no name is known.
	s.items["saw"].Facts.Name = ""
	r = s.r.Recommend(Query{Seeds: []Seed{{"saw", 1}}, Limit: 1, Now: now}, s.read, &s.totals)
	if why := r[0].Why(); why != "bought together with saw" {
		t.Fatalf("%q", why)
	}
}

func TestRecommendFilters(t *testing.T) {
	s := newShop(Options{})
	pairs(t, s, 5, "tea,cup,pot")
	pairs(t, s, 5, "saw,nail")
	s.items["cup"].Facts.Name = ""
	s.items["pot"].Facts.HasPrice = false
	f := func(q Query, want string) {
		t.Helper()
		q.Seeds, q.Limit, q.Now, q.NoFill = []Seed{{"tea", 1}}, 5, s.now(), true
		if got := ids(s.r.Recommend(q, s.read, &s.totals)); got != want {
			t.Fatalf("%+v: got %q, want %q", q, got, want)
		}
	}
	// Equal scores are in the order of the ids.
	f(Query{}, "cup pot")
	f(Query{NeedName: true}, "pot")
	f(Query{NeedPrice: true}, "cup")
	f(Query{NeedName: true, NeedPrice: true}, "")
	f(Query{Hide: []string{"cup"}}, "pot")
	f(Query{Skip: func(id string) bool { return id == "pot" }}, "cup")
	if got := s.r.Recommend(Query{Limit: 3, Now: s.now()}, s.read, &s.totals); ids(got) != "cup nail pot" || got[0].Why() != "popular" {
		t.Fatalf("popular: %q", ids(got))
	}
	if got := s.r.Recommend(Query{Limit: 3, Seeds: []Seed{{"nobody", 1}}}, func(string) (*Item, bool) { return nil, false }, &Totals{}); len(got) != 0 {
		t.Fatalf("%v", got)
	}
	if got := s.r.Recommend(Query{Limit: -1, Now: s.now()}, s.read, &s.totals); len(got) != 0 {
		t.Fatalf("%v", got)
	}
}

func TestParseExclude(t *testing.T) {
	f := func(s string, want Exclude, ok bool) {
		t.Helper()
		if x, got := ParseExclude(s); x != want || got != ok {
			t.Fatalf("%q: %v %v", s, x, got)
		}
	}
	f("none", ExcludeNone, true)
	f("last", ExcludeLast, true)
	f("session", ExcludeSession, true)
	f("purchased", ExcludePurchased, true)
	f("all", ExcludePurchased, false)
}

// More days than are kept: the oldest join, and no unit is lost.
func TestTotalsBound(t *testing.T) {
	r := New(Options{HalfLife: -1})
	var s Totals
	for d := range maxDays + 50 {
		r.ApplyTotals(&s, &Touch{Relation: Seen, Own: 2, Time: testBase + int64(d)*dayMillis})
	}
	if len(s.days) != maxDays || s.Units(Seen, s.Last, -1) != 2*(maxDays+50) {
		t.Fatalf("%d days, %v units", len(s.days), s.Units(Seen, s.Last, -1))
	}
	for n := range MaxPopular + 9 {
		r.ApplyTotals(&s, &Touch{Relation: Bought, Others: []string{fmt.Sprint(n)}, Time: testBase})
	}
	if n := len(s.Popular(999)); n > MaxPopular || n < MaxPopular/2 || int(s.Lost) != MaxPopular+9-n {
		t.Fatalf("%d popular, %d lost", len(s.Popular(999)), s.Lost)
	}
}

func TestDecodeRefuses(t *testing.T) {
	s := newShop(Options{})
	pairs(t, s, 3, "tea,cup,pot")
	full, totals := s.items["tea"].AppendTo(nil), s.totals.AppendTo(nil)
	f := func(b []byte, want error) {
		t.Helper()
		if err := new(Item).DecodeFrom(b); !errors.Is(err, want) {
			t.Fatalf("item %v: %v", b, err)
		}
		if err := new(Totals).DecodeFrom(b); !errors.Is(err, want) {
			t.Fatalf("totals %v: %v", b, err)
		}
	}
	f(nil, profile.ErrDamaged)
	f([]byte{9, 1}, profile.ErrNewer)
	for i := range full {
		if err := new(Item).DecodeFrom(full[:i]); !errors.Is(err, profile.ErrDamaged) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	for i := range totals {
		if err := new(Totals).DecodeFrom(totals[:i]); !errors.Is(err, profile.ErrDamaged) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func FuzzItemDecode(f *testing.F) {
	r := New(Options{})
	var i Item
	f.Add([]byte{1})
	for n := range 100 {
		r.Apply(&i, &Touch{Item: "x", Relation: Relation(n % 3), Own: 1, Others: []string{fmt.Sprint(n % 70)}, Time: testBase + int64(n), Facts: Facts{Name: "n"}})
		if n%33 == 0 {
			f.Add(i.AppendTo(nil))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var i, j Item
		if i.DecodeFrom(b) != nil {
			return
		}
		once := i.AppendTo(nil)
		if err := j.DecodeFrom(once); err != nil {
			t.Fatal(err)
		}
		if string(j.AppendTo(nil)) != string(once) {
			t.Fatal("storing twice differs")
		}
		r.Apply(&i, &Touch{Item: "x", Others: []string{"a", "b"}, Own: 1, Time: testBase})
		r.Top("x", Seen, testBase, func(string) (*Item, bool) { return &i, true }, &Totals{})
	})
}

func FuzzTotalsDecode(f *testing.F) {
	r := New(Options{})
	var s Totals
	f.Add([]byte{1})
	for n := range 50 {
		r.ApplyTotals(&s, &Touch{Relation: Relation(n % 3), Own: 1, Others: []string{fmt.Sprint(n)}, Time: testBase + int64(n)*dayMillis/2})
	}
	f.Add(s.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s, j Totals
		if s.DecodeFrom(b) != nil {
			return
		}
		once := s.AppendTo(nil)
		if err := j.DecodeFrom(once); err != nil {
			t.Fatal(err)
		}
		if string(j.AppendTo(nil)) != string(once) {
			t.Fatal("storing twice differs")
		}
		r.ApplyTotals(&s, &Touch{Own: 1, Others: []string{"a"}, Time: testBase})
		s.Units(Seen, testBase, r.half)
		s.Popular(3)
	})
}
