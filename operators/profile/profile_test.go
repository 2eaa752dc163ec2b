package profile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/operators/event"
)

// play applies a story such as "add:a:mug=2@0m order:o1@5m" to a person and answers
// the picture. Words: add, del, see (Cart Viewed), out (Checkout Started), order,
// view, with cart or order id and items.
func play(t *testing.T, u *Updater, p *Person, story string) Change {
	t.Helper()
	kinds := map[string]event.Kind{"add": event.ProductAdded, "del": event.ProductRemoved, "see": event.CartViewed,
		"out": event.CheckoutStarted, "order": event.OrderCompleted, "view": event.ProductViewed, "refund": event.OrderRefunded}
	var ch Change
	for n, word := range strings.Fields(story) {
		what, at, ok := strings.Cut(word, "@")
		d, err := time.ParseDuration(at)
		if !ok || err != nil {
			t.Fatalf("story word %q: %v", word, err)
		}
		parts := strings.Split(what, ":")
		e := &event.Event{Kind: kinds[parts[0]], Time: testBase + d.Milliseconds(), MessageID: fmt.Sprint(word, n, p.Newest)}
		if e.Kind == event.OrderCompleted || e.Kind == event.OrderRefunded {
			e.OrderID = parts[1]
		} else {
			e.CartID = parts[1]
		}
		for _, item := range parts[2:] {
			id, q, _ := strings.Cut(item, "=")
			n, _ := strconv.Atoi(q)
			e.Products = append(e.Products, event.Product{ID: id, Name: "the " + id, Category: "all", Price: 100, HasPrice: e.Kind != event.OrderRefunded, Quantity: int32(max(n, 1))})
		}
		u.Apply(p, e, &ch)
	}
	return ch
}

func carts(p *Person) string {
	var out []string
	for i := range p.Carts {
		c := &p.Carts[i]
		if !c.Open() {
			continue
		}
		lines := []string{c.ID + ":"}
		for _, t := range c.Contents() {
			lines = append(lines, fmt.Sprintf("%s=%d", t.ID, t.Quantity))
		}
		out = append(out, strings.Join(lines, " "))
	}
	return strings.Join(out, "; ")
}

func TestCarts(t *testing.T) {
	f := func(o Options, story, want string) {
		t.Helper()
		var p Person
		play(t, New(o), &p, story)
		if got := carts(&p); got != want {
			t.Fatalf("%s: got %q, want %q", story, got, want)
		}
	}
	f(Options{}, "add:a:mug=2@0m add:a:mug@1m add:b:cup@2m", "a: mug=3; b: cup=1")
	// Removal by quantity, and of the whole line where the shop is like that.
	f(Options{}, "add:a:mug=2@0m del:a:mug@1m", "a: mug=1")
	f(Options{RemoveWholeLine: true}, "add:a:mug=2@0m del:a:mug@1m", "")
	f(Options{RemoveWholeLine: true}, "add:a:mug=2@0m add:a:mug@2m del:a:mug@1m", "a: mug=1")
	// What is removed stays removed when its addition comes late.
	f(Options{}, "del:a:mug@5m add:a:mug@1m", "")
	// A late removal takes nothing out that came after it.
	f(Options{}, "add:a:mug@0m add:a:mug=2@9m del:a:mug=5@5m", "a: mug=2")
	// An order closes what is older; what was put in after it stays, also if it comes late.
	f(Options{}, "add:a:mug@0m add:b:cup@1m order:o1@5m", "")
	f(Options{}, "add:a:mug@0m order:o1@5m add:a:cup@9m", "a: cup=1")
	f(Options{}, "add:a:mug@0m add:a:cup@9m order:o1@5m", "a: cup=1")
	f(Options{}, "order:o1@5m add:a:mug@1m", "")
	// A repeated order with another message is an update and closes nothing.
	f(Options{}, "order:o1@5m add:a:mug@6m order:o1@7m", "a: mug=1")
	// A look at the cart says what is in it; a later change stands, a late one does not.
	f(Options{}, "add:a:mug@0m see:a:cup=2@5m", "a: cup=2")
	f(Options{}, "add:a:mug@0m see:a:cup=2:mug@5m add:a:mug@3m add:a:mug@7m", "a: mug=2 cup=2")
	f(Options{}, "add:a:mug@0m see:a@5m", "a: mug=1")
	// Of two looks at one instant the larger quantity holds.
	f(Options{}, "see:a:cup=2@5m see:a:cup=1@5m", "a: cup=2")
	// A checkout without a cart id is about the cart in hand, and opens one if there is none.
	f(Options{}, "add:a:mug@0m out::cup=2@5m", "a: cup=2")
	f(Options{}, "add:a:mug@0m add:b:cup@1m out::pan@5m", "a: mug=1; b: cup=1")
	f(Options{}, "out::pan@5m", ": pan=1")
	// A cart nobody touched for longer than anyone keeps carts is given up.
	f(Options{}, "add:a:mug@0m add:b:cup@2400h", "b: cup=1")
	// More changes than are kept apart: still the right sum, in order.
	f(Options{}, "add:a:m=1@1m add:a:m=1@2m add:a:m=1@3m del:a:m=1@4m add:a:m=1@5m add:a:m=1@6m add:a:m=1@7m add:a:m=1@8m add:a:m=1@9m add:a:m=1@10m del:a:m=2@11m", "a: m=6")
}

func TestCartChanges(t *testing.T) {
	f := func(story, want string) {
		t.Helper()
		var p Person
		ch := play(t, New(Options{}), &p, story)
		var words []string
		for _, c := range ch.Carts {
			words = append(words, fmt.Sprintf("%s=%d", c.ID, c.Fate))
		}
		got := strings.Join(append(words, strings.Join(ch.Added, ",")), " ")
		if ch.NewCart {
			got += " new"
		}
		if got != want {
			t.Fatalf("%s: got %q, want %q", story, got, want)
		}
	}
	f("add:a:mug:cup@0m", "a=1 mug,cup new")
	f("add:a:mug@0m add:a:mug@1m", "a=1 ")
	f("add:a:mug@0m add:a:cup@1m", "a=1 cup")
	f("add:a:mug@0m see:a:mug=2:cup@1m", "a=1 cup")
	f("add:a:mug@0m del:a:mug@1m", "a=2 ")
	f("del:a:mug@1m", "")
	f("add:a:mug@0m add:b:cup@1m order:o:mug@5m", "a=3 b=3 ")
	f("add:a:mug@0m add:a:cup@9m order:o:mug@5m", "a=1 ")
	f("add:a:mug@0m out:@5m", "a=1 ")
	f("add:a:mug@0m view:x:mug@5m", "")
	f("add:a:mug@0m add:b:cup@2400h", "b=1 a=4 cup new")
}

func TestCartBounds(t *testing.T) {
	var p Person
	u := New(Options{})
	for i := range MaxCarts + 3 {
		play(t, u, &p, fmt.Sprintf("add:c%02d:mug@%dm", i, i))
	}
	if len(p.Carts) != MaxCarts || p.Lost.Carts != 3 {
		t.Fatalf("%d carts, %d lost", len(p.Carts), p.Lost.Carts)
	}
	if _, ok := p.Cart("c02"); ok {
		t.Fatal("the oldest cart stayed")
	}
	p = Person{}
	for i := range MaxCartItems + 2 {
		play(t, u, &p, fmt.Sprintf("add:c:i%d@%dm", i, i))
	}
	c, _ := p.Cart("c")
	if len(c.Items) != MaxCartItems || p.Lost.CartItems != 2 || c.Value() != 100*MaxCartItems {
		t.Fatalf("%d items, %d lost, worth %d", len(c.Items), p.Lost.CartItems, c.Value())
	}
}

// Ids and texts beyond all measure are left out and cut.
func TestTextBounds(t *testing.T) {
	var p Person
	var ch Change
	long := strings.Repeat("ö", 4000)
	u := New(Options{})
	for i, k := range []event.Kind{event.ProductViewed, event.ProductAdded, event.OrderCompleted, event.ProductAdded} {
		u.Apply(&p, &event.Event{Kind: k, Time: testBase + int64(i), CartID: long, OrderID: long, Currency: long, MessageID: fmt.Sprint(i, long),
			Products: []event.Product{{ID: long, Quantity: 1}, {ID: "x", Name: long, Category: long, Brand: long, URL: long, ImageURL: long, Quantity: 1}}}, &ch)
	}
	u.Apply(&p, &event.Event{Kind: event.Identify, Time: testBase, Traits: event.Traits{FirstName: long}}, &ch)
	b := p.AppendTo(nil)
	if len(p.Viewed) != 1 || len(p.Carts) != 1 || len(p.Carts[0].Items) != 1 || len(p.Bought) != 1 || len(b) > 22*MaxText {
		t.Fatalf("%d bytes, %d viewed, %d carts, %d bought", len(b), len(p.Viewed), len(p.Carts), len(p.Bought))
	}
	if _, ok := p.OrderByID(long); !ok || p.Traits.FirstName != long[:MaxText] {
		t.Fatal("the order or name is lost")
	}
	if got := cut("a" + long); len(got) != MaxText-1 {
		t.Fatalf("cut within a rune: %d", len(got))
	}
}

func TestOrders(t *testing.T) {
	f := func(story string, revenue, refunded event.Money, orders uint64) {
		t.Helper()
		var p Person
		play(t, New(Options{}), &p, story)
		if p.Revenue != revenue || p.Refunded != refunded || p.OrderCount() != orders || p.LTV() != revenue-refunded {
			t.Fatalf("%s: %d revenue, %d refunded, %d orders; want %d %d %d", story, p.Revenue, p.Refunded, p.OrderCount(), revenue, refunded, orders)
		}
	}
	f("order:o1:mug=3@0m order:o2:cup@1m", 400, 0, 2)
	// The thank-you page, again and again.
	f("order:o1:mug=3@0m order:o1:mug=3@1m order:o1:mug=9@2m", 300, 0, 1)
	// A refund by order id alone is a full one, once, even if it is read first.
	f("order:o1:mug=3@0m refund:o1@1m refund:o1@2m", 300, 300, 1)
	f("refund:o1@1m order:o1:mug=3@0m", 300, 300, 1)
	// A refund of an order nobody saw is worth nothing yet.
	f("refund:o7@1m", 0, 0, 0)

	var p Person
	var ch Change
	u := New(Options{})
	play(t, u, &p, "order:o1:mug=3@0m")
	u.Apply(&p, &event.Event{Kind: event.OrderRefunded, OrderID: "o1", Total: 120, HasTotal: true, Time: testBase + 1, MessageID: "r1"}, &ch)
	u.Apply(&p, &event.Event{Kind: event.OrderRefunded, OrderID: "o1", Total: 900, HasTotal: true, Time: testBase + 2, MessageID: "r2"}, &ch)
	o, _ := p.OrderByID("o1")
	if p.Refunded != 300 || !o.Returned() {
		t.Fatalf("refunded %d: more than the order was worth", p.Refunded)
	}
}

// An order that the browser told as a visitor and the back end as a person counts once.
func TestMergeOrderTwice(t *testing.T) {
	u := New(Options{HalfLife: -1})
	var visitor, person Person
	play(t, u, &visitor, "order:o1:mug=3@0m refund:o1@5m")
	play(t, u, &person, "order:o1:mug=3@1m order:o2:cup@2m")
	var ch Change
	u.Merge(&person, &visitor, &ch)
	if person.OrderCount() != 2 || person.Revenue != 400 || person.Refunded != 300 || !near(person.Count(event.OrderCompleted, person.Newest), 2) {
		t.Fatalf("%d orders, revenue %d, refunded %d, %v", person.OrderCount(), person.Revenue, person.Refunded, person.Count(event.OrderCompleted, person.Newest))
	}
}

func TestConsent(t *testing.T) {
	f := func(story string, want string) {
		t.Helper()
		u, both := New(Options{}), [2]Person{}
		var ch Change
		for i, word := range strings.Fields(story) {
			who := 0
			if after, ok := strings.CutPrefix(word, "visitor-"); ok {
				who, word = 1, after
			}
			what, at, _ := strings.Cut(word, "@")
			n, _ := strconv.Atoi(at)
			e := &event.Event{Kind: event.Identify, Time: testBase + int64(n), MessageID: fmt.Sprint(i)}
			switch what {
			case "yes":
				e.Traits.Consent = event.ConsentYes
			case "no":
				e.Traits.Consent = event.ConsentNo
			case "unsubscribe":
				e.Kind = event.Unsubscribed
			case "spam":
				e.Kind = event.EmailMarkedAsSpam
			}
			u.Apply(&both[who], e, &ch)
		}
		u.Merge(&both[0], &both[1], &ch)
		c := both[0].Consent
		got := []string{"unknown", "yes", "no"}[c.State]
		if c.Suppressed {
			got += " " + c.Reason
		}
		if got != want {
			t.Fatalf("%s: got %q, want %q", story, got, want)
		}
	}
	f("hello@0", "unknown")
	f("yes@1 no@2", "no")
	f("no@2 yes@1", "no")
	f("no@1 yes@2", "yes")
	f("yes@1 no@1", "no")
	f("no@1 yes@1", "no")
	// A stale trait at the next log-in lifts no suppression.
	f("unsubscribe@1 yes@2", "yes unsubscribed")
	f("spam@1 unsubscribe@2", "no marked as spam")
	f("unsubscribe@1 spam@2", "no marked as spam")
	// The stricter wins, and a visitor's yes is nobody's.
	f("yes@5 visitor-no@1", "no")
	f("no@1 visitor-yes@9", "no")
	f("hello@0 visitor-yes@9", "unknown")
	f("yes@9 visitor-unsubscribe@1", "no unsubscribed")
}

func TestTraits(t *testing.T) {
	u := New(Options{})
	var p, v Person
	var ch Change
	say := func(p *Person, at int64, tr event.Traits) {
		u.Apply(p, &event.Event{Kind: event.Identify, Time: testBase + at, Traits: tr}, &ch)
	}
	say(&p, 5, event.Traits{Email: "new@example.com", FirstName: "Mira"})
	say(&p, 1, event.Traits{Email: "old@example.com", LastName: "Öz"})
	if p.Traits.Email != "new@example.com" || p.Traits.FirstName != "Mira" || p.Traits.LastName != "Öz" {
		t.Fatalf("%+v", p.Traits)
	}
	u.Apply(&p, &event.Event{Kind: event.EmailBounced, Time: testBase + 6, Mailing: event.Mailing{BounceType: "hard"}}, &ch)
	if !p.Traits.Dead {
		t.Fatal("a dead address lives on")
	}
	say(&p, 7, event.Traits{Email: "third@example.com", Cleared: []string{"firstName"}})
	if p.Traits.Dead || p.Traits.FirstName != "" {
		t.Fatalf("%+v", p.Traits)
	}
	say(&v, 6, event.Traits{Email: "guest@example.com", FirstName: "Guest", Locale: "de-AT"})
	u.Merge(&p, &v, &ch)
	if p.Traits.Email != "third@example.com" || p.Traits.FirstName != "" || p.Traits.Locale != "de-AT" {
		t.Fatalf("merged: %+v", p.Traits)
	}
}

func TestSilent(t *testing.T) {
	u := New(Options{})
	var p Person
	var ch Change
	u.Apply(&p, &event.Event{Kind: event.ProductViewed, Time: testBase, Bot: true, Products: []event.Product{{ID: "a", Quantity: 1}}}, &ch)
	if !ch.Silent || len(ch.Viewed) != 0 || p.Last != 0 || p.Newest != testBase {
		t.Fatalf("%+v", ch)
	}
	u.Apply(&p, &event.Event{Kind: event.Page, Time: testBase + 5, Inactive: true}, &ch)
	if p.Last != 0 || p.Newest != testBase+5 {
		t.Fatal("an inactive context moved last seen")
	}
}

// Views count as seen together once per window, and windows do not overlap.
func TestViewWindows(t *testing.T) {
	u := New(Options{Linked: 72 * time.Hour})
	var p Person
	f := func(word, want string, begins bool) {
		t.Helper()
		ch := play(t, u, &p, word)
		if got := strings.Join(ch.Viewed, ","); got != want || ch.NewWindow != begins {
			t.Fatalf("%s: got %q begins %v", word, got, ch.NewWindow)
		}
	}
	f("view:x:a@0m", "a", true)
	f("view:x:b:b@1h", "b", false)
	f("view:x:a@2h", "", false)
	f("view:x:a@73h", "a", true)
	f("view:x:b@80h", "b", false)
	f("view:x:c@10h", "", false) // from before the window
}

func TestRepeats(t *testing.T) {
	u := New(Options{Repeats: 24 * time.Hour})
	var p Person
	var ch Change
	see := func(id string, at time.Duration) bool {
		u.Apply(&p, &event.Event{Kind: event.Page, Source: "web", MessageID: id, Time: testBase + at.Milliseconds()}, &ch)
		return ch.Duplicate
	}
	if see("a", 0) || !see("a", time.Hour) || see("b", time.Hour) {
		t.Fatal("repeat not told")
	}
	u.Apply(&p, &event.Event{Kind: event.Page, Source: "shop", MessageID: "a", Time: testBase}, &ch)
	if ch.Duplicate {
		t.Fatal("messages of two sources were taken for one")
	}
	if see("c", 30*time.Hour); p.Seen("web", "a") {
		t.Fatal("a message was remembered beyond the window")
	}
	for i := range MaxSeen + 10 {
		see(fmt.Sprint("x", i), 31*time.Hour)
	}
	if p.seen.len() > MaxSeen || p.seen.len() <= MaxSeen-2*seenPart || p.Lost.Seen%(2*seenPart) != 0 || p.Lost.Seen == 0 {
		t.Fatalf("%d remembered, %d forgotten early", p.seen.len(), p.Lost.Seen)
	}
}

// Going over to another half-life keeps the present values.
func TestHalfLifeChange(t *testing.T) {
	var p Person
	play(t, New(Options{HalfLife: time.Hour}), &p, "view:x:a@0m view:x:b@1h")
	if got := p.Count(event.ProductViewed, p.Newest); !near(got, 1.5) {
		t.Fatal(got)
	}
	play(t, New(Options{HalfLife: 24 * time.Hour}), &p, "view:x:c@1h")
	if got := p.Count(event.ProductViewed, p.Newest); !near(got, 2.5) {
		t.Fatal(got)
	}
	play(t, New(Options{HalfLife: -1}), &p, "view:x:d@1h")
	if got := p.Count(event.ProductViewed, p.Newest); !near(got, 3.5) {
		t.Fatal(got)
	}
}

// The landmark moves without a trace, however far apart the events are.
func TestLandmark(t *testing.T) {
	var p Person
	u := New(Options{HalfLife: time.Minute})
	for i := range 2000 {
		play(t, u, &p, fmt.Sprintf("view:x:a@%dm", i))
	}
	if got := p.Count(event.ProductViewed, p.Newest); !near(got, 2) {
		t.Fatal(got)
	}
	play(t, u, &p, "view:x:a@99999h view:x:a@0m")
	if got := p.Count(event.ProductViewed, p.Newest); !near(got, 1) {
		t.Fatal(got)
	}
}

func TestViews(t *testing.T) {
	var p Person
	u := New(Options{})
	play(t, u, &p, "order:o1:pan=4@0m add:a:mug=2@1m add:b:cup@2m view:x:mug@3m")
	if p.CartValue("a") != 200 || p.CartValue("zz") != 0 || p.NewestCart().ID != "b" || p.AvgCartValue() != 400 {
		t.Fatalf("%d %d %+v %d", p.CartValue("a"), p.CartValue("zz"), p.NewestCart(), p.AvgCartValue())
	}
	if p.TopCategory(p.Newest) != "all" || !p.HasBought("pan") || p.HasBought("mug") {
		t.Fatal("category or purchases")
	}
	if h, n := p.BusiestHour(); h != 10 || n != 4 { // a Monday, 10:00
		t.Fatal(h, n)
	}
	if (&Person{}).TopCategory(0) != "" || (&Person{}).NewestCart() != nil || (&Person{}).AvgCartValue() != 0 {
		t.Fatal("an empty picture says something")
	}
}

func TestDecodeRefuses(t *testing.T) {
	f := func(b []byte, want error) {
		t.Helper()
		p := Person{Newest: 5}
		if err := p.DecodeFrom(b); !errors.Is(err, want) || p.Newest != 0 {
			t.Fatalf("%v: got %v, want %v", b, err, want)
		}
	}
	f(nil, ErrDamaged)
	f([]byte{0}, ErrDamaged)
	f([]byte{schema + 1, 1, 2}, ErrNewer)
	full := someone(200).AppendTo(nil)
	for i := range full {
		f(full[:i:i], ErrDamaged)
	}
	f(append(full, 0), ErrDamaged)
}

// someone is a busy person of n events.
func someone(n int) *Person {
	var p Person
	var ch Change
	u := New(Options{})
	for _, e := range busy(n, rand.New(rand.NewPCG(1, 2))) {
		u.Apply(&p, &e, &ch)
	}
	u.Apply(&p, &event.Event{Kind: event.Identify, Time: testBase, Traits: event.Traits{Email: "m@example.com", FirstName: "Mira", Consent: event.ConsentYes}}, &ch)
	return &p
}

// busy draws the events of a person who looks a lot, fills carts and sometimes buys.
func busy(n int, r *rand.Rand) []event.Event {
	out := make([]event.Event, n)
	for i := range out {
		item := int(r.ExpFloat64() * 20)
		e := event.Event{Kind: event.ProductViewed, Source: "web", MessageID: fmt.Sprintf("ajs-next-%d-5f0c6f2e-6a0b-4c55-9a53", i),
			Time: testBase + int64(i)*1_200_000, Products: []event.Product{{ID: fmt.Sprint("p-", item), Name: fmt.Sprint("Some nice thing number ", item),
				Category: fmt.Sprint("Kitchen > Shelf ", item%9), Brand: fmt.Sprint("b", item%5), URL: "https://shop.example.com/p", Price: 1290, HasPrice: true, Quantity: 1}}}
		switch x := r.IntN(100); {
		case x < 2:
			e.Kind, e.OrderID = event.OrderCompleted, fmt.Sprint("o", i)
		case x < 4:
			e.Kind, e.CartID = event.ProductRemoved, "cart"
		case x < 15:
			e.Kind, e.CartID = event.ProductAdded, "cart"
		}
		out[i] = e
	}
	return out
}

func FuzzPersonDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{schema, 2, 0, 0})
	f.Add(someone(3).AppendTo(nil))
	f.Add(someone(300).AppendTo(nil))
	u := New(Options{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, q Person
		if p.DecodeFrom(b) != nil {
			return
		}
		once := p.AppendTo(nil)
		if err := q.DecodeFrom(once); err != nil {
			t.Fatalf("own form is refused: %v", err)
		}
		if twice := q.AppendTo(nil); string(once) != string(twice) {
			t.Fatal("storing twice differs")
		}
		// Whatever was accepted can be used.
		var ch Change
		for _, e := range busy(20, rand.New(rand.NewPCG(1, 2))) {
			u.Apply(&p, &e, &ch)
		}
		u.Merge(&q, &p, &ch)
		q.TopCategory(q.Newest)
		q.NewestCart()
	})
}
