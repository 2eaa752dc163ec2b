package shop

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
)

func collect(o WorkloadOptions) [][]byte {
	var all [][]byte
	for msg := range NewWorkload(o).All() {
		all = append(all, bytes.Clone(msg))
	}
	return all
}

func TestWorkloadIsWhatItSays(t *testing.T) {
	const n = 50_000
	all := collect(WorkloadOptions{Seed: 1, Events: n, Users: 5000, Items: 1000})
	if len(all) != n {
		t.Fatalf("%d messages, want %d", len(all), n)
	}
	size := 0
	var last time.Time
	for i, msg := range all {
		size += len(msg)
		var m tracked
		if err := json.Unmarshal(msg, &m); err != nil {
			t.Fatalf("message %d: %v\n%s", i, err, msg)
		}
		if m.Timestamp.Before(last) || m.UserID == "" {
			t.Fatalf("message %d: %s", i, msg)
		}
		last = m.Timestamp
	}
	mean := float64(size) / n
	c := Recount(slices.Values(all))
	t.Logf("mean size %.1f bytes, kinds %v, %d users, %d items\n%s", mean, c.Kinds, len(c.Users), len(c.Items), all[0])
	if mean < 225 || mean > 275 {
		t.Errorf("mean size %.1f bytes, want about 250", mean)
	}
	if c.Events != n || c.Malformed != 0 || c.Duplicates != 0 {
		t.Errorf("%d events, %d malformed, %d duplicates", c.Events, c.Malformed, c.Duplicates)
	}
	f := func(kind event.Kind, want float64) { // within 4 sigma
		t.Helper()
		if got := float64(c.Kinds[kind]) / n; math.Abs(got-want) > 4*math.Sqrt(want/n) {
			t.Errorf("kind %d: got %.4f, want %.3f", kind, got, want)
		}
	}
	f(event.ProductViewed, 0.80)
	f(event.ProductAdded, 0.12)
	f(event.OrderCompleted, 0.03)
	f(event.ProductRemoved, 0.02)
	f(event.ProductsSearched, 0.015)
	f(event.CartViewed, 0.005)
	f(event.Identify, 0.01)
}

func TestWorkloadDeterministic(t *testing.T) {
	o := WorkloadOptions{Seed: 7, Events: 3000, Users: 100, Items: 50}
	one := collect(o)
	if two := collect(o); !reflect.DeepEqual(one, two) {
		t.Error("the same seed gives other messages")
	}
	w := NewWorkload(o)
	for range 10 {
		w.Next(nil)
	}
	i := 0
	for msg := range w.All() { // from the first on again
		if string(msg) != string(one[i]) {
			t.Fatalf("message %d: got %s, want %s", i, msg, one[i])
		}
		i++
	}
	if _, ok := w.Next(nil); ok {
		t.Error("a message after the last one")
	}
	o.Seed = 8
	if other := collect(o); reflect.DeepEqual(one, other) {
		t.Error("another seed gives the same messages")
	}
}

// The alias table draws with the frequencies of Zipf's law.
func TestPopularityFollowsZipf(t *testing.T) {
	f := func(n int, s float64) {
		t.Helper()
		p := newPopularity(n, s)
		d := newDice(uint64(n))
		const draws = 400_000
		counts := make([]float64, n)
		for range draws {
			counts[p.draw(d)]++
		}
		sum := 0.0
		for k := range n {
			sum += math.Pow(float64(k+1), -s)
		}
		square := 0.0
		for k := range n {
			want := draws * math.Pow(float64(k+1), -s) / sum
			square += (counts[k] - want) * (counts[k] - want) / want
		}
		// Chi-squared with n-1 degrees of freedom: mean n-1, standard deviation sqrt(2(n-1)).
		if limit := float64(n-1) + 5*math.Sqrt(2*float64(n)); square > limit {
			t.Errorf("n %d, s %v: chi-squared %.1f, limit %.1f", n, s, square, limit)
		}
	}
	f(1, 1)
	f(2, 0)
	f(10, 0)
	f(10, 1)
	f(200, 0.8)
	f(200, 1.5)
}

func TestWorkloadDoesNotAllocate(t *testing.T) {
	w := NewWorkload(WorkloadOptions{Events: 1 << 30, Users: 1000, Items: 1000})
	buffer := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(10_000, func() { w.Next(buffer) }); n != 0 {
		t.Errorf("%v allocations for a message", n)
	}
}

// The oracle agrees with a count made while the messages were written by hand.
func TestRecount(t *testing.T) {
	var events [][]byte
	add := func(s string) { events = append(events, []byte(s)) }
	add(`{"type":"track","userId":"a","event":"Product Viewed","properties":{"product_id":"p","price":"1.50"},"messageId":"1"}`)
	add(`{"type":"track","userId":"a","event":"Product Viewed","properties":{"product_id":"p"},"messageId":"1"}`) // a retry
	add(`{"type":"track","userId":"a","event":"Product Added","properties":{"product_id":"p"},"messageId":"2"}`)
	add(`{"type":"track","anonymousId":"x","event":"Product Added","properties":{"product_id":"q"},"messageId":"3"}`)
	add(`{"type":"track","userId":"a","event":"Product Removed","properties":{"product_id":"p"},"messageId":"4"}`)
	add(`{"type":"track","userId":"a","event":"Order Completed","messageId":"5","properties":{"order_id":"o","revenue":12.9,
		"products":[{"product_id":"p","price":1.5,"quantity":2},{"product_id":"q","price":9.9,"quantity":1}]}}`)
	add(`{"type":"identify","userId":"a","messageId":"6"}`)
	add(`{"type":"track","userId":"a","event":"Something Else"}`)
	add(`{"type":"track","userId":"a","event":" "}`)
	add(`{"type":"track","userId":"undefined","event":"Product Viewed"}`)
	add(`{"type":"trak","userId":"a","event":"Product Viewed"}`)
	add(`{"type":"track",`)
	add(`42`)
	c := Recount(slices.Values(events))
	if c.Events != 7 || c.Duplicates != 1 || c.Malformed != 5 || len(c.Users) != 2 || len(c.Items) != 2 {
		t.Fatalf("%+v", c)
	}
	a := c.Users["a"]
	if a.Kinds[event.ProductViewed] != 1 || a.Kinds[event.OrderCompleted] != 1 || a.Kinds[event.Identify] != 1 || a.Kinds[event.Unknown] != 1 || a.Money != 1290 {
		t.Errorf("user a: %+v", *a)
	}
	if c.Users["x"].Kinds[event.ProductAdded] != 1 {
		t.Errorf("user x: %+v", *c.Users["x"])
	}
	if got, want := *c.Items["p"], (ItemCounts{Viewed: 1, Added: 1, Removed: 1, Bought: 1, Quantity: 2, Money: 300}); got != want {
		t.Errorf("item p: got %+v, want %+v", got, want)
	}
	if got, want := *c.Items["q"], (ItemCounts{Added: 1, Bought: 1, Quantity: 1, Money: 990}); got != want {
		t.Errorf("item q: got %+v, want %+v", got, want)
	}
}

func TestDepth(t *testing.T) {
	f := func(raw string, want int) {
		t.Helper()
		if got := depth([]byte(raw)); got != want {
			t.Errorf("%s: got %d, want %d", raw, got, want)
		}
	}
	f(`1`, 0)
	f(`{}`, 1)
	f(`{"a":[{}],"b":[[]]}`, 3)
	f(`{"a":"[[["}`, 1)
	f(`{"a":"\"[[[","b":"\\"}`, 1)
	f(`{"a":"\\","b":[]}`, 2)
}

// Order and repeats change nothing; a lost message changes something.
func TestRecountSeesLossOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := collect(WorkloadOptions{Seed: rapid.Uint64().Draw(t, "seed"), Events: rapid.IntRange(1, 200).Draw(t, "events"), Users: 5, Items: 5})
		want := Recount(slices.Values(all))
		shuffled := rapid.Permutation(append(slices.Clone(all), all[:len(all)/2]...)).Draw(t, "shuffled")
		got := Recount(slices.Values(shuffled))
		if got.Duplicates != len(all)/2 {
			t.Fatalf("%d duplicates, want %d", got.Duplicates, len(all)/2)
		}
		got.Duplicates = 0
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		lost := rapid.IntRange(0, len(all)-1).Draw(t, "lost")
		if reflect.DeepEqual(Recount(slices.Values(slices.Delete(slices.Clone(all), lost, lost+1))), want) {
			t.Fatal("the loss of a message is not seen")
		}
	})
}

// What the simulation says of its stream is what the oracle finds in it.
func TestRecountOfTheShop(t *testing.T) {
	s := New(Options{Seed: 31, Malformed: 0.01, Duplicate: 0.02})
	orders := [event.KindCount]int{}
	c := Recount(func(yield func([]byte) bool) {
		for e := range s.Until(s.Start().Add(3 * time.Hour)) {
			if e.Fault == "" && !e.Duplicate {
				orders[e.Kind]++
			}
			if !yield(e.JSON) {
				return
			}
		}
	})
	stats := s.Stats()
	if c.Kinds != orders || c.Duplicates != stats.Duplicates || c.Malformed != stats.Malformed || c.Events+c.Duplicates+c.Malformed != stats.Events {
		t.Errorf("oracle: %d events, %d duplicates, %d malformed, kinds %v; shop: %+v, kinds %v", c.Events, c.Duplicates, c.Malformed, c.Kinds, stats, orders)
	}
}

func FuzzRecount(f *testing.F) {
	for msg := range NewWorkload(WorkloadOptions{Events: 20, Users: 3, Items: 3}).All() {
		f.Add(bytes.Clone(msg))
	}
	s := New(Options{Seed: 1, Shoppers: 20, Malformed: 1})
	for range 20 {
		f.Add(s.Next().JSON)
	}
	f.Add([]byte(`{"type":"track","userId":7,"properties":[]}`))
	f.Add(bytes.Repeat([]byte("["), 100))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := Recount(slices.Values([][]byte{raw, raw}))
		if c.Events+c.Duplicates+c.Malformed != 2 || c.Malformed == 1 {
			t.Fatalf("%+v", c)
		}
	})
}
