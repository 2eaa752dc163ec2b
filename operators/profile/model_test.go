package profile

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
)

const (
	testBase = int64(1_772_445_600_000) // 2026-03-02 10:00 UTC
	testHalf = 36 * time.Hour
)

// model is the naive picture: all events, sorted by time, put into maps.
type model struct {
	count      map[event.Kind]uint64
	decayed    map[event.Kind]float64
	money      map[event.Kind]float64
	carts      map[string]map[string]int32
	last       map[string]int64
	started    map[string]int64
	viewed     map[string]int64
	bought     map[string]int64
	categories map[string]float64
	hours      map[int]int
	revenue    event.Money
}

func modelOf(events []*event.Event, now int64) *model {
	m := &model{map[event.Kind]uint64{}, map[event.Kind]float64{}, map[event.Kind]float64{}, map[string]map[string]int32{},
		map[string]int64{}, map[string]int64{}, map[string]int64{}, map[string]int64{}, map[string]float64{}, map[int]int{}, 0}
	sorted := slices.Clone(events)
	slices.SortStableFunc(sorted, func(a, b *event.Event) int { return int(a.Time - b.Time) })
	messages := map[string]bool{}
	for _, e := range sorted {
		if messages[e.MessageID] {
			continue
		}
		messages[e.MessageID] = true
		m.apply(e, math.Exp2(-float64(now-e.Time)/float64(testHalf.Milliseconds())))
	}
	return m
}

func (m *model) apply(e *event.Event, w float64) {
	var money event.Money
	for _, d := range e.Products {
		money += d.Price * event.Money(d.Quantity)
	}
	m.count[e.Kind]++
	m.decayed[e.Kind] += w
	m.money[e.Kind] += w * float64(money)
	at := time.UnixMilli(e.Time).UTC()
	m.hours[(int(at.Weekday())+6)%7*24+at.Hour()]++
	like := func(by float64) {
		for _, d := range e.Products {
			m.categories[d.Category] += w * by
		}
	}
	cart := m.carts[e.CartID]
	if cart == nil {
		cart = map[string]int32{}
		m.carts[e.CartID] = cart
	}
	touch := func() {
		m.last[e.CartID] = e.Time
		if m.started[e.CartID] == 0 {
			m.started[e.CartID] = e.Time
		}
	}
	switch e.Kind {
	case event.ProductViewed:
		like(1)
		for _, d := range e.Products {
			m.viewed[d.ID] = e.Time
		}
	case event.ProductAdded:
		like(2)
		touch()
		for _, d := range e.Products {
			cart[d.ID] += d.Quantity
		}
	case event.ProductRemoved:
		touch()
		for _, d := range e.Products {
			cart[d.ID] = max(cart[d.ID]-d.Quantity, 0)
		}
	case event.CartViewed:
		touch()
		clear(cart)
		for _, d := range e.Products {
			cart[d.ID] = d.Quantity
		}
	case event.OrderCompleted:
		like(3)
		m.revenue += money
		for _, d := range e.Products {
			m.bought[d.ID] = e.Time
		}
		clear(m.carts)
		clear(m.started)
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

// differs says where a picture is not the model, or "".
func (m *model) differs(p *Person, now int64, exactStart bool) string {
	for k := range event.KindCount {
		if p.Stat(k).Count != m.count[k] || !near(p.Count(k, now), m.decayed[k]) || !near(p.Spent(k, now), m.money[k]) {
			return fmt.Sprintf("kind %d: %d %v %v, want %d %v %v", k, p.Stat(k).Count, p.Count(k, now), p.Spent(k, now), m.count[k], m.decayed[k], m.money[k])
		}
	}
	for id, items := range m.carts {
		want := maps.Collect(func(yield func(string, int32) bool) {
			for item, n := range items {
				if n > 0 && !yield(item, n) {
					return
				}
			}
		})
		got := map[string]int32{}
		c, open := p.Cart(id)
		if open {
			for _, t := range c.Contents() {
				got[t.ID] = t.Quantity
			}
		}
		if !maps.Equal(got, want) {
			return fmt.Sprintf("cart %s: %v, want %v", id, got, want)
		}
		if open && (c.Last != m.last[id] || exactStart && c.Started != m.started[id]) {
			return fmt.Sprintf("cart %s: started %d last %d, want %d %d", id, c.Started, c.Last, m.started[id], m.last[id])
		}
	}
	for i := range p.Carts {
		if p.Carts[i].Open() && m.carts[p.Carts[i].ID] == nil {
			return "cart " + p.Carts[i].ID + " should be gone"
		}
	}
	viewed, bought, hours := map[string]int64{}, map[string]int64{}, map[int]int{}
	for _, v := range p.Viewed {
		viewed[v.ID] = v.At
	}
	for _, b := range p.Bought {
		bought[b.ID] = b.At
	}
	for _, h := range p.Hours {
		hours[int(h.Hour)] = int(h.N)
	}
	switch {
	case !maps.Equal(viewed, m.viewed):
		return fmt.Sprintf("viewed %v, want %v", viewed, m.viewed)
	case !maps.Equal(bought, m.bought):
		return fmt.Sprintf("bought %v, want %v", bought, m.bought)
	case !maps.Equal(hours, m.hours):
		return fmt.Sprintf("hours %v, want %v", hours, m.hours)
	case p.Revenue != m.revenue:
		return fmt.Sprintf("revenue %d, want %d", p.Revenue, m.revenue)
	case len(p.Categories) != len(m.categories):
		return fmt.Sprintf("categories %v, want %v", p.Categories, m.categories)
	}
	for _, f := range p.Favourites(99, now) {
		if !near(f.Weight, m.categories[f.Name]) {
			return fmt.Sprintf("category %s: %v, want %v", f.Name, f.Weight, m.categories[f.Name])
		}
	}
	return ""
}

// history draws events of one person within two days, each at an instant of its own.
func history(t *rapid.T, snapshots bool) []*event.Event {
	kinds := []event.Kind{event.ProductViewed, event.ProductAdded, event.ProductAdded, event.ProductRemoved, event.OrderCompleted, event.Page}
	if snapshots {
		kinds = append(kinds, event.CartViewed)
	}
	n := rapid.SampledFrom([]int{2, 4, 10, 30}).Draw(t, "events")
	times := rapid.SliceOfNDistinct(rapid.Int64Range(0, 2*86_400_000), n, n, rapid.ID).Draw(t, "times")
	var out []*event.Event
	for i, at := range times {
		e := &event.Event{Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Time: testBase + at, MessageID: fmt.Sprint("m", i), Source: "s"}
		if e.Kind != event.Page {
			e.CartID = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "cart")
			for _, d := range rapid.SliceOfNDistinct(rapid.IntRange(0, 5), 1, 3, rapid.ID).Draw(t, "items") {
				e.Products = append(e.Products, event.Product{ID: fmt.Sprint("p", d), Name: fmt.Sprint("name ", d), Category: fmt.Sprint("c", d%3),
					Price: event.Money(100 * (d + 1)), HasPrice: true, Quantity: rapid.Int32Range(1, 3).Draw(t, "quantity")})
			}
		}
		if e.Kind == event.OrderCompleted {
			e.OrderID, e.CartID = fmt.Sprint("o", i), ""
		}
		out = append(out, e)
	}
	return out
}

func newest(events []*event.Event) int64 {
	n := int64(0)
	for _, e := range events {
		n = max(n, e.Time)
	}
	return n + 3_600_000
}

// In any order of arrival, with repeats, stored and read back at any moment, a picture
// is that of all events sorted by time.
func TestApplyEqualsModel(t *testing.T) {
	u := New(Options{HalfLife: testHalf})
	rapid.Check(t, func(t *rapid.T) {
		snapshots := rapid.Bool().Draw(t, "snapshots")
		events := history(t, snapshots)
		now := newest(events)
		m := modelOf(events, now)
		arrival := rapid.Permutation(events).Draw(t, "arrival")
		arrival = append(arrival, rapid.SliceOfN(rapid.SampledFrom(events), 0, 5).Draw(t, "repeats")...)
		var p Person
		var ch Change
		for _, e := range arrival {
			u.Apply(&p, e, &ch)
			if rapid.IntRange(0, 4).Draw(t, "store") == 0 {
				var q Person
				if err := q.DecodeFrom(p.AppendTo(nil)); err != nil {
					t.Fatal(err)
				}
				p = q
			}
		}
		if p.Lost.CartOps > 0 {
			t.Skip("more changes of one line than are kept apart")
		}
		if d := m.differs(&p, now, !snapshots); d != "" {
			t.Fatal(d)
		}
	})
}

// Events told apart between a visitor and a person, and merged, give the picture of
// all of them applied to one.
func TestMergeEqualsOne(t *testing.T) {
	u := New(Options{HalfLife: testHalf})
	rapid.Check(t, func(t *rapid.T) {
		snapshots := rapid.Bool().Draw(t, "snapshots")
		events := history(t, snapshots)
		now := newest(events)
		m := modelOf(events, now)
		var visitor, person Person
		var ch Change
		for _, e := range rapid.Permutation(events).Draw(t, "arrival") {
			if rapid.Bool().Draw(t, "visitor") {
				u.Apply(&visitor, e, &ch)
			} else {
				u.Apply(&person, e, &ch)
			}
		}
		u.Merge(&person, &visitor, &ch)
		if person.Lost.CartOps > 0 {
			t.Skip("more changes of one line than are kept apart")
		}
		if d := m.differs(&person, now, !snapshots); d != "" {
			t.Fatal(d)
		}
		for _, e := range events { // both memories of messages are there
			u.Apply(&person, e, &ch)
			if !ch.Duplicate {
				t.Fatalf("message %s was forgotten", e.MessageID)
			}
		}
		var q Person
		if err := q.DecodeFrom(person.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		if d := m.differs(&q, now, !snapshots); d != "" {
			t.Fatal("read back: ", d)
		}
	})
}
