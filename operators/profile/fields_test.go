package profile

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
)

// testFields is one of each kind.
var testFields = []FieldSpec{
	{Name: "orders", Op: "count", On: []string{"Order Completed"}},
	{Name: "ltv", Op: "sum", Of: "total", On: []string{"Order Completed"}},
	{Name: "lately", Op: "sum", Of: "total", On: []string{"Order Completed"}, HalfLife: testHalf},
	{Name: "views", Op: "count", On: []string{"product_viewed"}, HalfLife: testHalf},
	{Name: "price", Op: "mean", Of: "price", HalfLife: 24 * time.Hour},
	{Name: "cheapest", Op: "min", Of: "price"},
	{Name: "dearest", Op: "max", Of: "price"},
	{Name: "since", Op: "first", Of: "time"},
	{Name: "brand", Op: "last", Of: "brand", On: []string{"Order Completed", "Product Viewed"}},
	{Name: "begin", Op: "first", Of: "brand"},
	{Name: "items", Op: "distinct", Of: "item", Limit: 4},
	{Name: "categories", Op: "share", Of: "category", HalfLife: testHalf},
	{Name: "budget", Op: "share", Of: "department", By: "value"},
	{Name: "quiz", Op: "count", On: []string{"Quiz Finished"}},
}

func mustCompile(t testing.TB, specs []FieldSpec, rates *Rates) *FieldSet {
	t.Helper()
	s, err := CompileFields(specs, rates)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func drawEvents(t *rapid.T, most int) []event.Event {
	one := rapid.Custom(func(t *rapid.T) event.Event {
		e := event.Event{
			Kind: rapid.SampledFrom([]event.Kind{event.Unknown, event.ProductViewed, event.OrderCompleted, event.ProductReviewed}).Draw(t, "kind"),
			Time: testBase + rapid.Int64Range(0, 20*24*3600*1000).Draw(t, "at"),
		}
		if e.Kind == event.Unknown {
			e.Name = rapid.SampledFrom([]string{"Quiz Finished", "quiz finished", "Quiz Begun"}).Draw(t, "name")
		}
		if e.Kind == event.OrderCompleted {
			e.HasTotal, e.Total = true, event.Money(rapid.IntRange(0, 100000).Draw(t, "total"))
		}
		for range rapid.IntRange(0, 3).Draw(t, "products") {
			e.Products = append(e.Products, event.Product{
				ID:       rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}).Draw(t, "item"),
				Category: rapid.SampledFrom([]string{"", "Home > Mugs", "Home > Lamps", "Garden"}).Draw(t, "category"),
				Brand:    rapid.SampledFrom([]string{"", "Aye", "Bee"}).Draw(t, "brand"),
				Price:    event.Money(rapid.IntRange(1, 5000).Draw(t, "price")), HasPrice: rapid.Bool().Draw(t, "priced"), Quantity: int32(rapid.IntRange(1, 5).Draw(t, "quantity")),
			})
		}
		return e
	})
	return rapid.SliceOfN(one, 0, most).Draw(t, "events")
}

// naiveFields says what testFields must say, from all events at once.
func naiveFields(events []event.Event, now int64) map[string]string {
	sorted := slices.Clone(events)
	slices.SortStableFunc(sorted, func(a, b event.Event) int { return int(a.Time - b.Time) })
	newest := now
	for _, e := range sorted {
		newest = max(newest, e.Time)
	}
	fade := func(e event.Event, h time.Duration) float64 {
		return math.Exp2(-float64(newest-e.Time) / float64(h.Milliseconds()))
	}
	out := map[string]string{}
	var orders, ltv, lately, views, priceSum, priceWeight, quiz float64
	cheapest, dearest := math.Inf(1), 0.0
	items, categories, budget := map[string]bool{}, map[string]float64{}, map[string]float64{}
	brands := map[int64][]string{} // by time
	begins := map[int64][]string{}
	for _, e := range sorted {
		switch {
		case e.Kind == event.OrderCompleted:
			orders++
			ltv += float64(e.Total)
			lately += float64(e.Total) * fade(e, testHalf)
		case e.Kind == event.ProductViewed:
			views += fade(e, testHalf)
		case strings.EqualFold(e.Name, "quiz finished"):
			quiz++
		}
		for _, d := range e.Products {
			items[d.ID] = true
			if d.Category != "" {
				categories[d.Category] += fade(e, testHalf)
			}
			if d.Brand != "" {
				begins[e.Time] = append(begins[e.Time], d.Brand)
				if e.Kind == event.OrderCompleted || e.Kind == event.ProductViewed {
					brands[e.Time] = append(brands[e.Time], d.Brand)
				}
			}
			if !d.HasPrice {
				continue
			}
			priceSum += float64(d.Price) * fade(e, 24*time.Hour)
			priceWeight += fade(e, 24*time.Hour)
			cheapest, dearest = math.Min(cheapest, float64(d.Price)), math.Max(dearest, float64(d.Price))
			if d.Category != "" {
				first, _, _ := strings.Cut(d.Category, " > ")
				budget[first] += float64(d.Price) * float64(d.Quantity)
			}
		}
	}
	num := func(name string, v float64, known bool) {
		if known {
			out[name] = fmt.Sprintf("%.9g", v)
		}
	}
	num("orders", orders, true)
	num("ltv", ltv, true)
	num("lately", lately, true)
	num("views", views, true)
	num("quiz", quiz, true)
	num("price", priceSum/priceWeight, priceWeight > 0)
	num("cheapest", cheapest, dearest > 0)
	num("dearest", dearest, dearest > 0)
	if len(sorted) > 0 {
		num("since", float64(sorted[0].Time), true)
	}
	num("items", float64(len(items)), len(items) <= 4)
	if len(brands) > 0 {
		out["brand"] = slices.Max(brands[slices.Max(slices.Collect(maps.Keys(brands)))])
	}
	if len(begins) > 0 {
		out["begin"] = slices.Min(begins[slices.Min(slices.Collect(maps.Keys(begins)))])
	}
	for name, m := range map[string]map[string]float64{"categories": categories, "budget": budget} {
		sum := 0.0
		for _, v := range m {
			sum += v
		}
		for k, v := range m {
			num(name+"/"+k, v/sum, true)
		}
	}
	return out
}

func readFields(set *FieldSet, s *FieldState, now int64) map[string]string {
	out := map[string]string{}
	for i, f := range set.All {
		v := set.Value(s, i, now)
		if !v.Known || f.Name == "items" && v.Num > 4 {
			continue
		}
		switch v.Type {
		case FieldText:
			out[f.Name] = v.Text
		case FieldShares:
			for _, w := range v.Shares {
				out[f.Name+"/"+w.Name] = fmt.Sprintf("%.9g", w.Weight)
			}
		default:
			out[f.Name] = fmt.Sprintf("%.9g", v.Num)
		}
	}
	return out
}

func sameFields(t *rapid.T, what string, got, want map[string]string) {
	t.Helper()
	var keys []string
	for k := range got {
		keys = append(keys, k)
	}
	for k := range want {
		keys = append(keys, k)
	}
	for _, k := range keys {
		var a, b float64
		_, errA := fmt.Sscan(got[k], &a)
		_, errB := fmt.Sscan(want[k], &b)
		if errA == nil && errB == nil && math.Abs(a-b) <= 1e-8*math.Max(math.Abs(b), 1e-3) { // nine digits are printed
			continue
		}
		if got[k] != want[k] {
			t.Fatalf("%s: %s is %q, want %q", what, k, got[k], want[k])
		}
	}
}

func TestFieldsMatchDefinition(t *testing.T) {
	set := mustCompile(t, testFields, nil)
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t, 40)
		now := testBase + rapid.Int64Range(0, 40*24*3600*1000).Draw(t, "now")
		want := naiveFields(events, now)
		apply := func(events []event.Event) *FieldState {
			var s FieldState
			for i := range events {
				set.Apply(&s, &events[i])
				if i%7 == 3 { // as if it had been written and read
					var stored FieldState
					if err := stored.DecodeFrom(s.AppendTo(nil)); err != nil {
						t.Fatal(err)
					}
					s = stored
				}
			}
			return &s
		}
		sameFields(t, "in any order", readFields(set, apply(rapid.Permutation(events).Draw(t, "order")), now), want)
		a, b := rapid.IntRange(0, len(events)).Draw(t, "a"), rapid.IntRange(0, len(events)).Draw(t, "b")
		a, b = min(a, b), max(a, b)
		parts := func() (x, y, z *FieldState) { return apply(events[:a]), apply(events[a:b]), apply(events[b:]) }
		// (x+y)+z, x+(y+z) and (z+y)+x are the replay of the union.
		x, y, z := parts()
		x.Merge(y)
		x.Merge(z)
		sameFields(t, "merged from the left", readFields(set, x, now), want)
		x, y, z = parts()
		y.Merge(z)
		x.Merge(y)
		sameFields(t, "merged from the right", readFields(set, x, now), want)
		x, y, z = parts()
		z.Merge(y)
		z.Merge(x)
		sameFields(t, "merged in reverse", readFields(set, z, now), want)
		if z.Lost != 0 {
			t.Fatalf("%d values lost below all limits", z.Lost)
		}
	})
}

func TestFieldDistinctBeyondLimit(t *testing.T) {
	set := mustCompile(t, []FieldSpec{{Name: "items", Op: "distinct", Of: "item", Limit: 256}}, nil)
	var all, odd, even FieldState
	for i := range 5000 {
		e := event.Event{Kind: event.ProductViewed, Time: testBase, Products: []event.Product{{ID: fmt.Sprint(i % 2500)}}}
		set.Apply(&all, &e)
		if i%2 == 0 {
			set.Apply(&even, &e)
		} else {
			set.Apply(&odd, &e)
		}
	}
	odd.Merge(&even)
	got := set.Value(&all, 0, testBase).Num
	if math.Abs(got/2500-1) > .15 { // the standard error at 256 is 6 %
		t.Errorf("about %v, want 2500", got)
	}
	if m := set.Value(&odd, 0, testBase).Num; m != got {
		t.Errorf("merged %v, at once %v", m, got)
	}
}

func TestFieldShareBeyondLimit(t *testing.T) {
	set := mustCompile(t, []FieldSpec{{Name: "brands", Op: "share", Of: "brand", Limit: 2}}, nil)
	var s FieldState
	for i, brand := range []string{"a", "a", "a", "b", "b", "c"} {
		e := event.Event{Kind: event.ProductViewed, Time: testBase + int64(i), Products: []event.Product{{Brand: brand}}}
		set.Apply(&s, &e)
	}
	v := set.Value(&s, 0, testBase)
	if s.Lost != 1 || len(v.Shares) != 2 || v.Shares[0] != (Weighted{"a", .6}) {
		t.Errorf("%d lost, %v", s.Lost, v.Shares)
	}
}

func TestFieldsChange(t *testing.T) {
	e := event.Event{Kind: event.OrderCompleted, Time: testBase, HasTotal: true, Total: 500, Currency: "USD", Products: []event.Product{{ID: "a", Brand: "Aye"}}}
	before := mustCompile(t, testFields, nil)
	var s FieldState
	before.Apply(&s, &e)
	// Another order of the list, one gone, one new, one of another meaning.
	specs := slices.Clone(testFields)
	slices.Reverse(specs)
	specs = append(specs[1:], FieldSpec{Name: "spent", Op: "sum", Of: "total"})
	i := slices.IndexFunc(specs, func(d FieldSpec) bool { return d.Name == "views" })
	specs[i].HalfLife = time.Hour
	after := mustCompile(t, specs, nil)
	read := func(name string) float64 {
		i, ok := after.Find(name)
		if !ok {
			t.Fatalf("no field %s", name)
		}
		return after.Value(&s, i, testBase).Num
	}
	if read("ltv") != 500 || read("spent") != 0 { // before anything is applied
		t.Errorf("ltv %v, spent %v", read("ltv"), read("spent"))
	}
	after.Apply(&s, &e)
	if read("ltv") != 1000 || read("spent") != 500 || !alike(read("lately"), 1000, 1000) {
		t.Errorf("ltv %v, spent %v, lately %v", read("ltv"), read("spent"), read("lately"))
	}
	if _, ok := after.Find("quiz"); ok {
		t.Error("quiz is gone")
	}
	if len(s.slots) != len(specs) {
		t.Errorf("%d slots of %d fields", len(s.slots), len(specs))
	}
	// Amounts of another currency, and of one without a rate, which do not count.
	rates, err := NewRates("EUR", []Rate{{"USD", 0, .5}})
	if err != nil {
		t.Fatal(err)
	}
	euro := mustCompile(t, testFields, rates)
	s = FieldState{}
	euro.Apply(&s, &e)
	e.Currency = "CHF"
	euro.Apply(&s, &e)
	if v := euro.Value(&s, 1, testBase); v.Num != 250 || v.Type != FieldMoney || v.Type.String() != "money" {
		t.Errorf("%+v", v)
	}
}

func TestCompileFields(t *testing.T) {
	f := func(want string, specs ...FieldSpec) {
		t.Helper()
		_, err := CompileFields(specs, nil)
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrField) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: got %v, want %q", specs, err, want)
		}
	}
	one := func(op, of string) FieldSpec { return FieldSpec{Name: "x", Op: op, Of: of} }
	f("", one("sum", "total"))
	f("", one("last", "brand"))
	f("", one("distinct", "hour"))
	f("", FieldSpec{Name: "größe_2", Op: "count", On: []string{"Anything the shop says"}})
	f("no operation \"add\", only count, sum", one("add", "total"))
	f("no property \"totals\", only total", one("sum", "totals"))
	f("sum of \"brand\", which is text", one("sum", "brand"))
	f("mean of \"time\"", one("mean", "time"))
	f("share of \"price\"", one("share", "price"))
	f("count counts events", one("count", "item"))
	f("no property \"\"", one("last", ""))
	f("the name is taken", one("sum", "total"), one("max", "total"))
	f("a name is of letters", FieldSpec{Name: "a b", Op: "count"})
	f("a name is of letters", FieldSpec{Name: "2nd", Op: "count"})
	f("a name is of letters", FieldSpec{Op: "count"})
	f("max with a half-life", FieldSpec{Name: "x", Op: "max", Of: "total", HalfLife: time.Hour})
	f("half-life of -1h", FieldSpec{Name: "x", Op: "sum", Of: "total", HalfLife: -time.Hour})
	f("limit 1, 2 to 256", FieldSpec{Name: "x", Op: "distinct", Of: "item", Limit: 1})
	f("limit 9999", FieldSpec{Name: "x", Op: "share", Of: "item", Limit: 9999})
	f("only a share is by something", FieldSpec{Name: "x", Op: "sum", Of: "total", By: "price"})
	f("which the event has", FieldSpec{Name: "x", Op: "share", Of: "query", By: "price"})
	f("an event without a name", FieldSpec{Name: "x", Op: "count", On: []string{" "}})
	var many []FieldSpec
	for i := range MaxFields + 1 {
		many = append(many, FieldSpec{Name: fmt.Sprint("f", i), Op: "count"})
	}
	f("", many[:MaxFields]...)
	f("65 fields, at most 64", many...)
	for i := range 9 {
		many[i].HalfLife = time.Duration(i+1) * time.Hour
	}
	f("different half-lives", many[:9]...)
	if len(FieldOps()) != 9 || slices.Contains(FieldProperties(), "") {
		t.Errorf("%q, %q", FieldOps(), FieldProperties())
	}
}

func BenchmarkFields(b *testing.B) {
	set := mustCompile(b, testFields, nil)
	e := event.Event{Kind: event.OrderCompleted, Time: testBase, HasTotal: true, Total: 500, Products: []event.Product{
		{ID: "a", Brand: "Aye", Category: "Home > Mugs", Price: 250, HasPrice: true, Quantity: 2},
	}}
	var s FieldState
	b.Run("apply/fields=14", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Time += 1000
			set.Apply(&s, &e)
		}
	})
	b.Run("stored", func(b *testing.B) {
		var out []byte
		for b.Loop() {
			out = s.AppendTo(out[:0])
		}
		b.ReportMetric(float64(len(out)), "bytes")
	})
}
