package profile

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"millrace/operators/event"
)

// pictureDiff says where two pictures differ by more than rounding, or "". A cart that was
// emptied by a snapshot and dropped has forgotten when: exactStart is false where that
// may be.
func pictureDiff(p, q *Person, now int64, exactStart bool) string {
	for k := range event.KindCount {
		if p.Stat(k).Count != q.Stat(k).Count || p.Stat(k).Total != q.Stat(k).Total || p.Stat(k).Last != q.Stat(k).Last ||
			!near(p.Count(k, now), q.Count(k, now)) || !near(p.Spent(k, now), q.Spent(k, now)) {
			return fmt.Sprintf("kind %d: %+v and %+v", k, p.Stat(k), q.Stat(k))
		}
	}
	carts := func(p *Person) map[string]string {
		out := map[string]string{}
		for i := range p.Carts {
			c := &p.Carts[i]
			items := c.Contents()
			slices.SortFunc(items, func(a, b event.CartItem) int { return int(a.ID[1]) - int(b.ID[1]) })
			out[c.ID] = fmt.Sprint(items, c.Last, c.LastMessage)
			if exactStart {
				out[c.ID] += fmt.Sprint(" ", c.Started)
			}
		}
		return out
	}
	weights := func(p *Person) map[string]float64 {
		out := map[string]float64{}
		for _, w := range p.Favourites(MaxAffinities, now) {
			out[w.Name] = w.Weight
		}
		return out
	}
	for _, part := range [][2]any{
		{carts(p), carts(q)}, {p.Viewed, q.Viewed}, {p.Bought, q.Bought}, {p.Orders, q.Orders}, {p.Hours, q.Hours},
		{p.Traits, q.Traits}, {p.Consent, q.Consent}, {p.LastOrder, q.LastOrder}, {p.Flags, q.Flags},
		{[]any{p.First, p.Newest, p.Last, p.Ordered, p.Window, p.Revenue, p.Refunded, p.Currency, p.currAt},
			[]any{q.First, q.Newest, q.Last, q.Ordered, q.Window, q.Revenue, q.Refunded, q.Currency, q.currAt}},
	} {
		if fmt.Sprint(part[0]) != fmt.Sprint(part[1]) {
			return fmt.Sprintf("%T: %+v and %+v", part[0], part[0], part[1])
		}
	}
	if !maps.EqualFunc(weights(p), weights(q), near) {
		return fmt.Sprintf("categories %v and %v", weights(p), weights(q))
	}
	if !slices.Equal(hashes(&p.seen), hashes(&q.seen)) {
		return "messages remembered"
	}
	return ""
}

// hashes lists what is remembered, in order.
func hashes(m *memory) []uint64 {
	var all []uint64
	for i := range m.len() {
		all = append(all, m.hash(i))
	}
	slices.Sort(all)
	return all
}

// copyOf is a picture that shares nothing with p.
func copyOf(t rapid.TB, p *Person) *Person {
	t.Helper()
	var q Person
	if err := q.DecodeFrom(p.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	return &q
}

// chatter draws what is said of a person beside what he does: traits, consent, currency.
func chatter(t *rapid.T, events []*event.Event) []*event.Event {
	for i := range rapid.IntRange(0, 6).Draw(t, "words") {
		e := &event.Event{Kind: event.Identify, Time: testBase + int64(i*3_600_000) + 1, MessageID: fmt.Sprint("w", i), Source: "s"}
		e.Traits.Email = rapid.SampledFrom([]string{"", "a@x.example", "b@x.example"}).Draw(t, "email")
		e.Traits.FirstName = rapid.SampledFrom([]string{"", "Ann", "Bo"}).Draw(t, "name")
		e.Traits.Consent = rapid.SampledFrom([]uint8{0, 0, 1, 2}).Draw(t, "consent")
		e.Currency = rapid.SampledFrom([]string{"", "EUR", "USD"}).Draw(t, "currency")
		if rapid.IntRange(0, 9).Draw(t, "leaves") == 0 {
			e.Kind, e.Traits = event.Unsubscribed, event.Traits{}
		}
		events = append(events, e)
	}
	return events
}

// The events of one person, told under three names in any order of arrival, and joined in
// any order, in one step or along a chain, give one picture: that of all of them applied
// to one name, but for consent, where the stricter word holds.
func TestJoinCommutes(t *testing.T) {
	u := New(Options{HalfLife: testHalf})
	rapid.Check(t, func(t *rapid.T) {
		snapshots := rapid.Bool().Draw(t, "snapshots")
		events := history(t, snapshots)
		m, now := modelOf(events, newest(events)), newest(events)
		said := chatter(t, nil)
		var of [3]Person
		var one Person
		var ch Change
		for _, e := range rapid.Permutation(append(slices.Clone(events), said...)).Draw(t, "arrival") {
			u.Apply(&of[rapid.IntRange(0, 2).Draw(t, "name")], e, &ch)
			u.Apply(&one, e, &ch)
		}
		join := func(dst, src *Person) *Person {
			dst = copyOf(t, dst)
			u.Join(dst, copyOf(t, src), &ch)
			return dst
		}
		first := join(join(&of[0], &of[1]), &of[2])
		if first.Lost.CartOps > 0 {
			t.Skip("more changes of one line than are kept apart")
		}
		for name, other := range map[string]*Person{
			"the other way round": join(join(&of[0], &of[2]), &of[1]),
			"along a chain":       join(&of[0], join(&of[1], &of[2])),
			"nothing joins":       join(first, &Person{}),
		} {
			other.Consent.State, other.Consent.At = first.Consent.State, first.Consent.At // see TestJoinConsent
			if d := pictureDiff(first, other, now, !snapshots); d != "" {
				t.Fatalf("%s: %s", name, d)
			}
		}
		one.Consent, one.Window = first.Consent, first.Window
		one.Orders = first.Orders
		if !reflect.DeepEqual(one.Traits, first.Traits) || one.Currency != first.Currency || one.LastOrder.ID != first.LastOrder.ID {
			t.Fatalf("traits %+v %s, at once %+v %s", first.Traits, first.Currency, one.Traits, one.Currency)
		}
		if len(said) == 0 {
			if d := m.differs(first, now, !snapshots); d != "" {
				t.Fatal(d)
			}
		}
	})
}

// An order that two names saw, at other times and worths, counts once: the first of it.
func TestJoinSharedOrder(t *testing.T) {
	u := New(Options{HalfLife: testHalf})
	var of [3]Person
	var ch Change
	for i, total := range []event.Money{500, 300, 400} {
		u.Apply(&of[i], &event.Event{Kind: event.OrderCompleted, OrderID: "same", Time: testBase + int64(i%2)*1000, Total: total, HasTotal: true, MessageID: fmt.Sprint(i), Source: "s"}, &ch)
		u.Apply(&of[i], &event.Event{Kind: event.OrderCompleted, OrderID: fmt.Sprint("own", i), Time: testBase + int64(i)*7000, Total: 1000, HasTotal: true, MessageID: fmt.Sprint("o", i), Source: "s"}, &ch)
	}
	var all []*Person
	for _, order := range [][3]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		p := copyOf(t, &of[order[0]])
		u.Join(p, copyOf(t, &of[order[1]]), &ch)
		u.Join(p, copyOf(t, &of[order[2]]), &ch)
		all = append(all, p)
	}
	for _, p := range all {
		if p.Stat(event.OrderCompleted).Count != 4 || p.Revenue != 3400 || p.OrderCount() != 4 {
			t.Fatalf("%d orders worth %d", p.Stat(event.OrderCompleted).Count, p.Revenue)
		}
		if o, _ := p.OrderByID("same"); o.Value != 400 || o.At != testBase {
			t.Fatalf("%+v", o)
		}
		if d := pictureDiff(p, all[0], testBase+86_400_000, true); d != "" {
			t.Fatal(d)
		}
	}
}

func TestJoinConsent(t *testing.T) {
	const unknown, yes, no = event.ConsentUnknown, event.ConsentYes, event.ConsentNo
	u := New(Options{})
	word := func(state uint8) *Person {
		p := &Person{Newest: testBase, First: testBase, Kinds: []KindStat{{Kind: event.Page, Count: 1}}}
		p.Consent = Consent{State: state, At: testBase}
		return p
	}
	f := func(mine, other, want uint8) {
		t.Helper()
		p := word(mine)
		var ch Change
		u.Join(p, word(other), &ch)
		if p.Consent.State != want {
			t.Fatalf("%d and %d give %d, want %d", mine, other, p.Consent.State, want)
		}
	}
	// No is no, whoever said it and when.
	f(yes, no, no)
	f(no, yes, no)
	f(unknown, no, no)
	f(no, unknown, no)
	// A yes is whose it is.
	f(yes, unknown, yes)
	f(yes, yes, yes)
	f(unknown, yes, unknown)
	f(unknown, unknown, unknown)

	p, q := word(yes), word(yes)
	q.Consent.Suppressed, q.Consent.Reason = true, "unsubscribed"
	var ch Change
	u.Join(p, q, &ch)
	if !p.Consent.Suppressed || p.Consent.Reason != "unsubscribed" || !ch.ConsentChanged {
		t.Fatalf("%+v", p.Consent)
	}
}

func TestJoinTraits(t *testing.T) {
	u := New(Options{})
	f := func(mine, other Traits, want Traits) {
		t.Helper()
		p := &Person{Newest: 9, Traits: mine}
		var ch Change
		u.Join(p, &Person{Newest: 9, Traits: other}, &ch)
		if p.Traits != want {
			t.Fatalf("%+v and %+v give %+v", mine, other, p.Traits)
		}
	}
	said := func(email string, at int64, dead bool) Traits {
		return Traits{Email: email, Dead: dead, at: [traitCount]int64{at}}
	}
	f(said("a@x", 1, false), said("b@x", 2, false), said("b@x", 2, false))
	f(said("a@x", 2, false), said("b@x", 1, false), said("a@x", 2, false))
	f(said("", 0, false), said("b@x", 1, false), said("b@x", 1, false))
	f(said("a@x", 1, false), said("", 0, false), said("a@x", 1, false))
	// Forgotten on purpose, later than it was said.
	f(said("a@x", 1, false), said("", 2, false), said("", 2, false))
	// A dead address stays dead by either name; another one is alive.
	f(said("a@x", 2, false), said("A@x", 1, true), said("a@x", 2, true))
	f(said("a@x", 1, true), said("b@x", 2, false), said("b@x", 2, false))
	f(said("a@x", 2, false), said("b@x", 1, true), said("a@x", 2, false))
}
