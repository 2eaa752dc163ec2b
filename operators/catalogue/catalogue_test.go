package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
	"millrace/operators/profile"
)

// hour is in milliseconds of event time.
const hour = int64(time.Hour / time.Millisecond)

// word draws something that the catalogue says.
func word(t *rapid.T, at int64) *event.Event {
	e := &event.Event{Kind: event.ProductUpserted, Time: at, Currency: rapid.SampledFrom([]string{"", "EUR"}).Draw(t, "currency"), Listing: &event.Listing{}}
	p := event.Product{ID: "a", Name: rapid.SampledFrom([]string{"", "Mug", "Cup"}).Draw(t, "name"), URL: rapid.SampledFrom([]string{"", "https://s/a"}).Draw(t, "url")}
	if rapid.Bool().Draw(t, "price") {
		p.Price, p.HasPrice = event.Money(rapid.IntRange(1, 4).Draw(t, "amount")*100), true
	}
	if rapid.Bool().Draw(t, "stock") {
		e.Listing.Stock, e.Listing.HasLeft = int64(rapid.IntRange(-1, 2).Draw(t, "left")), true
	}
	if rapid.Bool().Draw(t, "was") {
		e.Listing.Was, e.Listing.HasWas = event.Money(rapid.IntRange(0, 5).Draw(t, "before")*100), true
	}
	e.Listing.Deleted = rapid.IntRange(0, 9).Draw(t, "deleted") == 0
	e.Products = []event.Product{p}
	return e
}

// naive is the newest word on each field, of all words.
func naive(words []*event.Event) (name string, price event.Money, has, deleted bool, stock int64) {
	sorted := slices.Clone(words)
	slices.SortStableFunc(sorted, func(a, b *event.Event) int { return int(a.Time - b.Time) })
	stock = event.StockUnknown
	for _, e := range sorted {
		p := &e.Products[0]
		if p.Name != "" {
			name = p.Name
		}
		if p.HasPrice {
			price, has = p.Price, true
		}
		if e.Listing.HasLeft {
			stock = e.Listing.Stock
		}
		deleted = e.Listing.Deleted
	}
	return name, price, has, deleted, stock
}

// TestAnyOrder lets words come in any order within a day, some twice: the record is the
// same, byte for byte, and the newest word on each field holds.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 24).Draw(t, "words")
		at := int64(1000)
		var words []*event.Event
		for range n {
			at += int64(rapid.IntRange(1, 40).Draw(t, "hours")) * hour // of one moment there is one word
			words = append(words, word(t, at))
		}
		var straight, mixed Product
		for _, e := range words {
			straight.Apply(e)
		}
		shuffled := slices.Clone(words)
		late := map[*event.Event]int64{}
		for _, e := range words {
			late[e] = e.Time + int64(rapid.IntRange(0, 24).Draw(t, "late"))*hour
		}
		slices.SortStableFunc(shuffled, func(a, b *event.Event) int { return int(late[a] - late[b]) })
		for _, e := range shuffled {
			mixed.Apply(e)
			if rapid.IntRange(0, 3).Draw(t, "twice") == 0 {
				mixed.Apply(e)
			}
		}
		if a, b := straight.AppendTo(nil), mixed.AppendTo(nil); !bytes.Equal(a, b) {
			t.Fatalf("got\n%+v, in order it is\n%+v", mixed, straight)
		}
		name, price, has, deleted, stock := naive(words)
		got, known := mixed.Price()
		if mixed.Name() != name || got != price || known != has || mixed.Deleted() != deleted || mixed.InStock() != (!deleted && stock != 0) || mixed.Left() != int(max(stock, 0)) {
			t.Fatalf("got %+v, want %q %d %v %v %d", mixed, name, price, has, deleted, stock)
		}
		var back Product
		if err := back.DecodeFrom(mixed.AppendTo(nil)); err != nil || !bytes.Equal(back.AppendTo(nil), mixed.AppendTo(nil)) {
			t.Fatalf("got %+v, %v after writing %+v", back, err, mixed)
		}
	})
}

// TestSameMoment lets two words of one moment come in either order.
func TestSameMoment(t *testing.T) {
	say := func(name string, price event.Money) *event.Event {
		return &event.Event{Time: 5, Products: []event.Product{{Name: name, Price: price, HasPrice: true}}, Listing: &event.Listing{Deleted: name == "b"}}
	}
	var ab, ba Product
	ab.Apply(say("a", 1))
	ab.Apply(say("b", 2))
	ba.Apply(say("b", 2))
	ba.Apply(say("a", 1))
	if !reflect.DeepEqual(ab, ba) || ab.Name() != "b" {
		t.Fatalf("got %+v and %+v", ab, ba)
	}
}

// TestBounded lets a feed say the same every hour for a year, and prices change without
// end: what is kept stays bounded, and since when a price holds is not forgotten.
func TestBounded(t *testing.T) {
	var p Product
	for h := range int64(24 * 365) {
		price := event.Money(1000)
		if h >= 100 {
			price = 800
		}
		p.Apply(&event.Event{Time: h * hour, Products: []event.Product{{Name: strings.Repeat("ä", 900), Price: price, HasPrice: true}}})
	}
	o := p.Offer("a")
	if _, since, ok := last(o.prices, func(v int64) bool { return v == 800 }); !ok || since != 100*hour || len(p.prices) > MaxPoints {
		t.Errorf("a price of long is known since hour %d, by %d words", since/hour, len(p.prices))
	}
	if len(p.Name()) > MaxText {
		t.Errorf("a name of %d bytes", len(p.Name()))
	}
	for h := range int64(1000) {
		p.Apply(&event.Event{Time: h * 1000, Products: []event.Product{{Price: event.Money(h), HasPrice: true}}})
	}
	if len(p.prices) > MaxPoints || len(p.AppendTo(nil)) > 4096 {
		t.Errorf("%d prices, %d bytes", len(p.prices), len(p.AppendTo(nil)))
	}
}

// TestTell looks at to whom a change is news.
func TestTell(t *testing.T) {
	opt := Options{Within: 30 * 24 * time.Hour, AtLeast: 0.1}
	f := func(history, want string) {
		t.Helper()
		var p Product
		var l Watchers
		got := ""
		for i, w := range strings.Fields(history) {
			at := int64(i+1) * hour
			what, text, _ := strings.Cut(w, "=")
			n := int64(0)
			_, _ = fmt.Sscan(text, &n)
			e := &event.Event{Time: at, Products: []event.Product{{ID: "a"}}, Listing: &event.Listing{}}
			switch what {
			case "price":
				e.Products[0].Price, e.Products[0].HasPrice = event.Money(n), true
				p.Apply(e)
			case "stock":
				e.Listing.Stock, e.Listing.HasLeft = n, true
				p.Apply(e)
			case "gone":
				e.Listing.Deleted = true
				p.Apply(e)
			case "saw":
				l.Put(&Watch{Person: "ann", At: at, Price: event.Money(n), HasPrice: n > 0}, opt.Within)
			case "bought":
				l.Put(&Watch{Person: "ann", At: at, Over: true}, opt.Within)
			}
			if o := l.Tell(p.Offer("a"), &opt); o != nil {
				got += fmt.Sprintf("%d:%d/%d ", i+1, o.To[0].Drop/hour, o.To[0].Back/hour)
			}
		}
		if got = strings.TrimSpace(got); got != want {
			t.Errorf("%s: got %q, want %q", history, got, want)
		}
	}
	// A tenth less is news, less than that is none.
	f("price=100 saw=100 price=90", "3:3/0")
	f("price=100 saw=100 price=91", "")
	f("price=100 saw=100 price=90 price=90", "3:3/0")
	// What was seen without a price cost what the catalogue said then.
	f("price=100 saw price=90", "3:3/0")
	// Up again, or sold out, or gone: that is told, too.
	f("price=100 saw=100 price=80 price=99", "3:3/0 4:0/0")
	f("price=100 saw=100 price=80 stock=0 stock=2", "3:3/0 4:0/0 5:3/5")
	f("price=100 saw=100 price=80 gone", "3:3/0 4:0/0")
	// Who looks again has seen the price.
	f("price=100 saw=100 price=80 saw=80 price=79", "3:3/0 4:0/0")
	// Back is what was out before.
	f("stock=0 saw=5 stock=3 stock=2", "3:0/3")
	f("stock=3 saw=5 stock=2", "")
	// What it costs then is told anew when it changes.
	f("price=5 stock=0 saw=5 stock=3 price=7", "4:0/4 5:0/4")
	f("saw=5 stock=0 stock=7", "3:0/3")
	// Who ordered watches no more.
	f("price=100 saw=100 bought price=80", "")
}

// TestWatchersBounded lets more people look than are kept: the newest are, and of one
// record no more than ChunkMax.
func TestWatchersBounded(t *testing.T) {
	var l Watchers
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 10 * ChunkMax {
		l.Put(&Watch{Person: fmt.Sprintf("p%06d", r.IntN(1e6)), At: int64(i) * hour}, 30*24*time.Hour)
	}
	if l.Len() != ChunkMax {
		t.Fatalf("%d watch", l.Len())
	}
	var back Watchers
	if err := back.DecodeFrom(l.AppendTo(nil)); err != nil || !reflect.DeepEqual(back, l) {
		t.Fatalf("got %v", err)
	}
	seen := map[string]bool{}
	for i := range 1000 {
		seen[ChunkOf("a", fmt.Sprintf("person %d", i))] = true
	}
	if len(seen) != Chunks {
		t.Errorf("people are spread over %d records", len(seen))
	}
}

// FuzzRecords reads records that may be anything.
func FuzzRecords(f *testing.F) {
	var p Product
	p.Apply(&event.Event{Time: 7, Currency: "EUR", Products: []event.Product{{Name: "x", Price: 3, HasPrice: true}}, Listing: &event.Listing{Stock: 2, HasLeft: true}})
	var l Watchers
	l.Put(&Watch{Person: "x", At: 3}, time.Hour)
	f.Add(p.AppendTo(nil))
	f.Add(l.AppendTo(nil))
	f.Add([]byte{schema + 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Product
		if err := p.DecodeFrom(b); err == nil {
			if again := new(Product); again.DecodeFrom(p.AppendTo(nil)) != nil || !reflect.DeepEqual(*again, p) {
				t.Fatalf("got %+v of %+v", again, p)
			}
		} else if !errors.Is(err, profile.ErrDamaged) && !errors.Is(err, profile.ErrNewer) {
			t.Fatal(err)
		}
		var l Watchers
		if l.DecodeFrom(b) == nil {
			if again := new(Watchers); again.DecodeFrom(l.AppendTo(nil)) != nil || !reflect.DeepEqual(*again, l) {
				t.Fatalf("got %+v of %+v", again, l)
			}
		}
	})
}

func BenchmarkApply(b *testing.B) {
	b.ReportAllocs()
	var p Product
	e := &event.Event{Currency: "EUR", Products: []event.Product{{ID: "a", Name: "Mug", Price: 900, HasPrice: true}}, Listing: &event.Listing{Stock: 3, HasLeft: true}}
	for b.Loop() {
		e.Time += hour
		p.Apply(e)
	}
}
