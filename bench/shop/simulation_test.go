package shop

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
)

// tracked is what the tests read of an event.
type tracked struct {
	Type, Event, UserID, AnonymousID, MessageID string
	PreviousID, GroupID                         string
	Timestamp                                   time.Time
	Traits                                      map[string]any
	Context                                     struct {
		Locale, Timezone string
		Library          struct{ Name, Version string }
		Traits           struct{ Email string }
		Campaign         struct{ Name string }
	}
	Properties struct {
		ID       string `json:"product_id"`
		CartID   string `json:"cart_id"`
		OrderID  string `json:"order_id"`
		EmailID  string `json:"email_id"`
		LinkURL  string `json:"link_url"`
		Query    string
		Price    any
		Revenue  json.Number
		Subtotal json.Number
		Total    json.Number
		Tax      json.Number
		Shipping json.Number
		Quantity int
		Rating   string
		Body     string `json:"review_body"`
		Machine  bool
		Products []struct {
			ID       string `json:"product_id"`
			Quantity int
		}
	}
}

func parse(t *testing.T, e Event) tracked {
	t.Helper()
	var m tracked
	if err := json.Unmarshal(e.JSON, &m); err != nil {
		t.Fatalf("event %s: %v\n%s", e.MessageID, err, e.JSON)
	}
	return m
}

// fingerprint is the hash of the next n events, with their times and marks.
func fingerprint(s *Simulation, n int) string {
	h := sha256.New()
	for range n {
		e := s.Next()
		fmt.Fprintln(h, e.At.UnixMilli(), e.Time.UnixMilli(), e.Kind, e.MessageID, e.Shopper, e.Late, e.Duplicate, e.Fault)
		h.Write(e.JSON)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestSameSeedSameBytes(t *testing.T) {
	one := fingerprint(New(Options{Seed: 1}), 20_000)
	if again := fingerprint(New(Options{Seed: 1}), 20_000); again != one {
		t.Error("the same seed gives another stream")
	}
	if other := fingerprint(New(Options{Seed: 2}), 20_000); other == one {
		t.Error("another seed gives the same stream")
	}
}

// What an SDK sends: valid JSON with the fields of its call, in the order of arrival.
func TestStreamIsWhatTheSDKSends(t *testing.T) {
	s := New(Options{Seed: 5, Malformed: 0.01, Late: 0.02, Duplicate: 0.02})
	people := s.Shoppers()
	last := s.Start()
	ids := map[string]string{}
	for range 20_000 {
		e := s.Next()
		if e.At.Before(last) || e.At.Before(e.Time) {
			t.Fatalf("event %s: arrives %v, after an arrival at %v, happened %v", e.MessageID, e.At, last, e.Time)
		}
		last = e.At
		if !json.Valid(e.JSON) {
			t.Fatalf("not JSON: %s", e.JSON)
		}
		if _, accepted := readMessage(e.JSON); accepted != (e.Fault == "") {
			t.Fatalf("fault %q, accepted %v: %.300s", e.Fault, accepted, e.JSON)
		}
		if e.Fault != "" {
			continue
		}
		m := parse(t, e)
		p := people[e.Shopper]
		switch {
		case m.MessageID != e.MessageID || !m.Timestamp.Equal(e.Time):
			t.Fatalf("id or time differ: %+v\n%s", e, e.JSON)
		case len(m.MessageID) == 0 || len(m.MessageID) >= 100:
			t.Fatalf("messageId %q", m.MessageID)
		case m.UserID != "" && m.UserID != p.UserID, m.AnonymousID != "" && m.AnonymousID != p.AnonymousID:
			t.Fatalf("ids of shopper %d: %s", e.Shopper, e.JSON)
		case kindOf(m.Type, m.Event) != e.Kind:
			t.Fatalf("kind %d: %s", e.Kind, e.JSON)
		case m.Context.Library.Name != "@segment/analytics-node" || m.Context.Locale != p.Locale || m.Context.Timezone != p.Timezone:
			t.Fatalf("context: %s", e.JSON)
		}
		if first, seen := ids[m.MessageID]; seen != e.Duplicate || seen && first != string(e.JSON) {
			t.Fatalf("duplicate %v, seen before %v: %s", e.Duplicate, seen, e.JSON)
		}
		ids[m.MessageID] = string(e.JSON)
	}
}

// shopWeek is a week of a small shop without mails, played once for all tests.
type shopWeek struct {
	shop    *Simulation
	events  []Event
	ordered []seen // the good ones as they happened, without repeats
}

type seen struct {
	Event
	tracked
}

var playedWeek = sync.OnceValue(func() shopWeek {
	s := New(Options{Seed: 11, Shoppers: 600})
	w := shopWeek{shop: s}
	for e := range s.Until(s.Start().Add(7 * 24 * time.Hour)) {
		w.events = append(w.events, e)
		if e.Fault == "" && !e.Duplicate {
			w.ordered = append(w.ordered, seen{Event: e})
		}
	}
	for i := range w.ordered {
		if err := json.Unmarshal(w.ordered[i].JSON, &w.ordered[i].tracked); err != nil {
			panic(err)
		}
	}
	slices.SortStableFunc(w.ordered, func(a, b seen) int { return a.Time.Compare(b.Time) })
	return w
})

func TestRatesOfAWeek(t *testing.T) {
	w := playedWeek()
	s, all := w.shop, w.events
	n := map[string]float64{}
	kinds := [event.KindCount]float64{}
	for _, e := range all {
		n["events"]++
		switch {
		case e.Fault != "":
			n["malformed"]++
			continue
		case e.Duplicate:
			n["duplicate"]++
		case e.Late:
			n["late"]++
		}
	}
	for _, e := range w.ordered {
		kinds[e.Kind]++
		if _, text := e.Properties.Price.(string); text {
			n["quirky"]++
		}
		if e.Properties.Price != nil {
			n["priced"]++
		}
	}
	stats := s.Stats()
	t.Logf("%.0f events, %+v, kinds %v", n["events"], stats, kinds)
	f := func(name string, got, of, want, tolerance float64) {
		t.Helper()
		if got == 0 || math.Abs(got/of-want) > tolerance {
			t.Errorf("%s: got %.5f, want %.5f ± %.5f", name, got/of, want, tolerance)
		}
	}
	f("late", n["late"], n["events"], 0.005, 0.001)
	f("duplicate", n["duplicate"], n["events"], 0.005, 0.001)
	f("malformed", n["malformed"], n["events"], 0.0005, 0.0003)
	f("price as text", n["quirky"], n["priced"], 0.01, 0.002)
	f("visits", float64(stats.Sessions), 600*7, 4.5, 0.25)
	f("carts of a session", float64(stats.CartsOpened), float64(stats.Sessions), 0.06, 0.03)
	f("carts bought", float64(stats.CartsBought), float64(stats.CartsOpened), 0.30, 0.04)
	f("reviews of an order", kinds[event.ProductReviewed]-0.01*float64(stats.Sessions), kinds[event.OrderCompleted], 0.10, 0.05)
	f("refunds of an order", kinds[event.OrderRefunded], kinds[event.OrderCompleted], 0.05, 0.03)
	f("events of a session", n["events"], float64(stats.Sessions), 6.5, 1.5)
	if stats.Events != len(all) || stats.Late+stats.Duplicates+stats.Malformed == 0 {
		t.Errorf("stats count %+v of %d events", stats, len(all))
	}
}

// Nothing is bought that was not in the cart, nothing is in a cart that was not looked
// at, and a cart that was bought is never seen again. Late events are put in order first.
func TestFunnel(t *testing.T) {
	type basket map[string]int
	carts := map[string]basket{}
	changed := map[string]time.Time{}
	bought := map[string]time.Time{}
	opened := map[string]time.Time{}
	viewed := map[string]bool{}
	checkouts := map[string]bool{}
	orders := map[string]bool{}
	for _, e := range playedWeek().ordered {
		p := e.Properties
		if p.CartID != "" {
			changed[p.CartID] = e.Time
		}
		if _, gone := bought[p.CartID]; gone && p.CartID != "" {
			t.Fatalf("a cart that was bought is back: %s", e.JSON)
		}
		switch e.Kind {
		case event.ProductViewed:
			viewed[fmt.Sprint(e.Shopper, p.ID)] = true
		case event.ProductAdded:
			if !viewed[fmt.Sprint(e.Shopper, p.ID)] {
				t.Fatalf("added without a look: %s", e.JSON)
			}
			if carts[p.CartID] == nil {
				carts[p.CartID] = basket{}
				opened[p.CartID] = e.Time
			}
			carts[p.CartID][p.ID] += p.Quantity
		case event.ProductRemoved:
			if carts[p.CartID][p.ID] != p.Quantity {
				t.Fatalf("removed %d of %d: %s", p.Quantity, carts[p.CartID][p.ID], e.JSON)
			}
			delete(carts[p.CartID], p.ID)
		case event.CheckoutStarted:
			checkouts[p.OrderID] = true
		case event.OrderCompleted:
			if !checkouts[p.OrderID] || orders[p.OrderID] {
				t.Fatalf("checkout seen %v, ordered before %v: %s", checkouts[p.OrderID], orders[p.OrderID], e.JSON)
			}
			orders[p.OrderID] = true
			cart := "" // an order names no cart: it is the one that was touched last
			for id, items := range carts {
				if _, gone := bought[id]; !gone && belongs(id, e.Shopper) && holds(items, p.Products) && !changed[id].Before(changed[cart]) {
					cart = id
				}
			}
			if cart == "" {
				t.Fatalf("no cart holds what is ordered: %s", e.JSON)
			}
			bought[cart] = e.Time
		case event.OrderRefunded:
			if !orders[p.OrderID] {
				t.Fatalf("refund without an order: %s", e.JSON)
			}
		}
	}
	slow := 0
	for id, at := range bought {
		if at.Sub(opened[id]) > time.Hour {
			slow++
		}
	}
	t.Logf("%d carts, %d bought, %d of them more than an hour after they were opened", len(carts), len(bought), slow)
	if share := float64(slow) / float64(len(bought)); share < 0.10 || share > 0.45 {
		t.Errorf("share of slow orders: %.3f", share)
	}
}

func belongs(cart string, shopper int) bool {
	return strings.HasPrefix(cart, fmt.Sprintf("ct-%d-", 1000+shopper))
}

func holds(items map[string]int, products []struct {
	ID       string `json:"product_id"`
	Quantity int
}) bool {
	if len(items) != len(products) {
		return false
	}
	for _, p := range products {
		if items[p.ID] != p.Quantity {
			return false
		}
	}
	return true
}

// Checks the money of every order against the rules of the specification.
func TestOrderMoney(t *testing.T) {
	s := playedWeek().shop
	orders := 0
	for _, e := range playedWeek().ordered {
		if e.Kind != event.OrderCompleted {
			continue
		}
		orders++
		p := e.Properties
		read := func(n json.Number) event.Money { return cents(json.RawMessage(n)) }
		if read(p.Subtotal)+read(p.Tax)+read(p.Shipping) != read(p.Total) || read(p.Revenue) != read(p.Subtotal) {
			t.Fatalf("the sums are wrong: %s", e.JSON)
		}
		sum := event.Money(0)
		for _, l := range p.Products {
			product, _ := s.Catalogue().ByID(l.ID)
			sum += product.Price * event.Money(l.Quantity)
		}
		if d := sum - read(p.Subtotal); d != 0 && d != sum/10 {
			t.Fatalf("products cost %d, subtotal is %s: %s", sum, p.Subtotal, e.JSON)
		}
	}
	if orders < 100 {
		t.Fatalf("only %d orders", orders)
	}
}

// A default run of 40 s at 720x shows tens of thousands of events, a few hundred a
// second, and dozens of carts left behind.
func TestDefaultsShowEnough(t *testing.T) {
	s := New(Options{Seed: 1})
	hours := [8]int{}
	for e := range s.Until(s.Start().Add(8 * time.Hour)) {
		hours[int(e.At.Sub(s.Start()).Hours())]++
	}
	stats := s.Stats()
	left := stats.CartsOpened - stats.CartsBought
	t.Logf("events by hour %v, %+v, %d carts left behind", hours, stats, left)
	if stats.Events < 15_000 || stats.Events > 40_000 || left < 60 || left > 600 {
		t.Errorf("%d events, %d carts left behind", stats.Events, left)
	}
	for h, n := range hours {
		if perSecond := n / 5; perSecond < 200 || perSecond > 1000 {
			t.Errorf("hour %d: %d events a second of wall time", h, perSecond)
		}
	}
}

func TestDayFollowsTheLocalClock(t *testing.T) {
	people := playedWeek().shop.Shoppers()
	byHour := [24]int{}
	for _, e := range playedWeek().events {
		byHour[e.Time.Add(people[e.Shopper].offset).Hour()]++
	}
	night, evening := byHour[2]+byHour[3]+byHour[4], byHour[19]+byHour[20]+byHour[21]
	t.Logf("events by local hour: %v", byHour)
	if evening < 8*night {
		t.Errorf("evening %d, night %d events: want at least 8 times as many", evening, night)
	}
	sum := 0.0
	for _, w := range weekPattern() {
		sum += w
	}
	if math.Abs(sum/168-1) > 1e-9 {
		t.Errorf("mean weight of an hour: %v", sum/168)
	}
}

// What belongs together is put in the same cart far more often than by chance.
func TestComplementsMeetInCarts(t *testing.T) {
	s := playedWeek().shop
	carts := map[string][]int{}
	inCart := map[int]float64{}
	for _, e := range playedWeek().ordered {
		if e.Kind != event.ProductAdded {
			continue
		}
		p := e.Properties
		product, _ := s.Catalogue().ByID(p.ID)
		carts[p.CartID] = append(carts[p.CartID], product.index)
		inCart[product.index]++
	}
	met, expected := 0.0, 0.0
	for _, items := range carts {
		for i, a := range items {
			for _, b := range items[i+1:] {
				for _, f := range s.stock.products[a].fits {
					if f == b {
						met++
					}
					expected += inCart[f] / float64(len(carts)) / float64(len(items))
				}
			}
		}
	}
	t.Logf("%d carts: complements met %.0f times, by chance %.1f", len(carts), met, expected)
	if met < 5*expected || met < 100 {
		t.Errorf("complements met %.0f times, by chance %.1f", met, expected)
	}
}

// Two open carts of one person, anonymous visitors who identify later, some who never do.
func TestPeopleAreNotAllSimple(t *testing.T) {
	type touch struct {
		cart string
		at   time.Time
	}
	last := map[int]touch{} // the cart touched last, unless something was ordered since
	two, later, never := map[int]bool{}, map[int]bool{}, map[int]bool{}
	anonymous := map[int]bool{}
	people := playedWeek().shop.Shoppers()
	for _, e := range playedWeek().ordered {
		switch {
		case e.UserID == "":
			anonymous[e.Shopper] = true
		case anonymous[e.Shopper]:
			linked := e.AnonymousID != "" || e.PreviousID != ""
			if !later[e.Shopper] && !linked {
				t.Fatalf("the first event with a name does not tell the anonymous id: %s", e.JSON)
			}
			later[e.Shopper] = true
		}
		switch e.Kind {
		case event.OrderCompleted:
			delete(last, e.Shopper)
		case event.ProductAdded:
			before := last[e.Shopper]
			if before.cart != "" && before.cart != e.Properties.CartID && e.Time.Sub(before.at) < 12*time.Hour {
				two[e.Shopper] = true
			}
			last[e.Shopper] = touch{e.Properties.CartID, e.Time}
		}
		if people[e.Shopper].Login == LoginNever {
			never[e.Shopper] = true
			if e.UserID != "" || e.Kind == event.Identify {
				t.Fatalf("a shopper who never tells has told: %s", e.JSON)
			}
		}
	}
	t.Logf("two carts %d, identified later %d, never %d", len(two), len(later), len(never))
	if len(two) < 8 || len(two) > 200 || len(later) < 100 || len(never) < 50 {
		t.Errorf("two carts %d, identified later %d, never %d", len(two), len(later), len(never))
	}
}

func TestReviewsHaveATone(t *testing.T) {
	ratings := map[string]int{}
	for _, e := range playedWeek().ordered {
		if e.Kind != event.ProductReviewed {
			continue
		}
		p := e.Properties
		ratings[p.Rating]++
		if len(p.Body) < 15 {
			t.Fatalf("review %q", p.Body)
		}
	}
	good, bad := ratings["4"]+ratings["5"], ratings["1"]+ratings["2"]
	if ratings["3"] == 0 || bad < 20 || good < 2*bad || good > 8*bad {
		t.Errorf("ratings: %v", ratings)
	}
}

func TestOptions(t *testing.T) {
	o := Options{Shoppers: 5_000_000, Late: -1, Duplicate: 0.5}.withDefaults()
	if o.Shoppers != 1_000_000 || o.Late != 0 || o.Duplicate != 0.5 || o.Bought != 0.3 || o.VisitsDaily != 4.5 {
		t.Errorf("options: %+v", o)
	}
	s := New(Options{Seed: 1, Shoppers: 50, Late: -1, Duplicate: -1, Malformed: -1})
	for range 2000 {
		if e := s.Next(); e.Late || e.Duplicate || e.Fault != "" || !e.At.Equal(e.Time) {
			t.Fatalf("switched off, yet: %+v", e)
		}
	}
}

// A shop of one seldom visitor must go on for ever, not hang.
func TestSeldomVisitor(t *testing.T) {
	s := New(Options{Seed: 1, Shoppers: 1, VisitsDaily: -1})
	first := s.Next()
	for range 50 {
		s.Next()
	}
	if s.Peek().Before(first.At.AddDate(1, 0, 0)) {
		t.Errorf("visits are too frequent: %v", s.Peek())
	}
}

// A person is never in two sessions at once.
func TestOneSessionAtATime(t *testing.T) {
	s := New(Options{Seed: 1, Shoppers: 1, VisitsDaily: 500})
	free := s.Start().Add(10 * time.Hour)
	s.people[0].busy = free.UnixMilli()
	s.push(0, pending{at: s.now, what: doClick, click: &click{dice: newDice(1), product: 3, order: true}})
	if first := s.Next(); first.At.Before(free) {
		t.Errorf("a visit at %v, while another lasts until %v", first.At, free)
	}
}

func TestQueueIsSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model []pending
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(model) > 0 && rapid.Bool().Draw(t, "pop") {
				least := 0
				for i := range model {
					a, b := model[i], model[least]
					if cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.who, b.who), cmp.Compare(a.serial, b.serial)) < 0 {
						least = i
					}
				}
				if got := *q.first(); got != model[least] {
					t.Fatalf("got %+v, want %+v", got, model[least])
				}
				q.pop()
				model = slices.Delete(model, least, least+1)
				continue
			}
			do := pending{at: rapid.Int64Range(0, 3).Draw(t, "at"), who: rapid.IntRange(0, 2).Draw(t, "who"), serial: uint32(len(model) * 7 % 5)}
			q.push(do)
			model = append(model, do)
		}
		if len(q.heap) != len(model) {
			t.Fatalf("%d in the queue, want %d", len(q.heap), len(model))
		}
	})
}
