package profile

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
)

func TestQuantilesWithinOnePercent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xs := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 80).Draw(t, "numbers")
		cut := rapid.IntRange(0, len(xs)).Draw(t, "cut")
		var whole, left, right Quantiles
		for _, x := range rapid.Permutation(xs).Draw(t, "order") {
			whole.Add(x, testBase, 0)
		}
		for i, x := range xs {
			if i < cut {
				left.Add(x, testBase, 0)
			} else {
				right.Add(x, testBase, 0)
			}
		}
		if !left.Merge(&right) {
			t.Fatal("not merged")
		}
		var stored Quantiles
		if err := stored.DecodeFrom(left.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		sorted := slices.Sorted(slices.Values(xs))
		for _, p := range []float64{0, .2, .5, .9, 1} {
			want := sorted[max(int(math.Ceil(p*float64(len(xs))-1e-9))-1, 0)]
			for _, q := range []*Quantiles{&whole, &left, &stored} {
				if got := q.At(p); math.Abs(got-want) > .0101*math.Abs(want)+1e-290 {
					t.Fatalf("quantile %v: %v, want %v", p, got, want)
				}
			}
		}
	})
}

func TestQuantilesForget(t *testing.T) {
	var q Quantiles
	for range 100 {
		q.Add(5, testBase, time.Hour)
	}
	for range 10 {
		q.Add(500, testBase+int64(10*time.Hour/time.Millisecond), time.Hour)
	}
	if m := q.At(.5); math.Abs(m-500) > 5 {
		t.Errorf("the median is still %v", m)
	}
	closeTo(t, "weight", q.Weight(), 10+100./1024, 1e-9)
	var p Quantiles
	p.Add(5, testBase, 0)
	if p.Merge(&q) {
		t.Error("merged under two half-lives")
	}
	// What is replaced is gone, whichever half comes first.
	var r Quantiles
	r.put(bucketKey(1), 1)
	r.Replace(7, 9)
	r.Replace(1, 7)
	if len(r.buckets) != 1 || math.Abs(r.At(.5)-9) > .1 {
		t.Errorf("%+v", r.buckets)
	}
	// Bounded, at the cost of the low end.
	var wide Quantiles
	for i := range 3000 {
		wide.Add(math.Pow(1.021, float64(i-1500)), testBase, 0)
	}
	if got, want := wide.At(.9), math.Pow(1.021, 1200); len(wide.buckets) > MaxBuckets || math.Abs(got/want-1) > .03 {
		t.Errorf("%d buckets, %v, want %v", len(wide.buckets), got, want)
	}
}

func TestPrices(t *testing.T) {
	var p Prices
	f := func(price event.Money, want PriceVerdict, meant event.Money) {
		t.Helper()
		if got, m := p.Judge(price); got != want || m != meant {
			t.Errorf("%d: %d, %d, want %d, %d", price, got, m, want, meant)
		}
	}
	f(1999, PriceUnknown, 1999)
	for i, price := range []event.Money{1999, 1999, 1799, 199900, 1999, 0, -5, 2199} {
		p.Add(price, testBase+int64(i))
	}
	f(1999, PriceUsual, 1999)
	f(1499, PriceUsual, 1499)     // a sale
	f(199900, PriceUnit, 1999)    // cents taken for euros
	f(179900, PriceUnit, 1799)    // on sale, and off
	f(20, PriceUnit, 2000)        // euros taken for cents
	f(1_999_000, PriceUnit, 1999) // a thousandth is the unit of some
	f(60000, PriceOutlier, 60000) // thirty times
	f(0, PriceUnknown, 0)         // free is not judged
	if m := p.Median(); m < 1979 || m > 2019 {
		t.Errorf("median %d", m)
	}
	// A price that truly changed is usual in time.
	for i := range 20 {
		p.Add(199900, testBase+int64(i)*dayMillis*10)
	}
	f(199900, PriceUsual, 199900)
}

func TestRates(t *testing.T) {
	rates, err := NewRates("EUR", []Rate{{"JPY", 0, .006}, {"USD", 1000, .9}, {"USD", 0, .5}, {"KWD", 0, 3}})
	if err != nil {
		t.Fatal(err)
	}
	f := func(m event.Money, currency string, at int64, want event.Money, ok bool) {
		t.Helper()
		if got, is := rates.Convert(m, currency, at); got != want || is != ok {
			t.Errorf("%d %s at %d: %d, %v, want %d, %v", m, currency, at, got, is, want, ok)
		}
	}
	f(1000, "EUR", 5, 1000, true)
	f(1000, "", 5, 1000, true)
	f(1000, "JPY", 5, 600, true)   // no minor unit: 1000 yen are 6 euros
	f(1000, "KWD", 5, 300, true)   // three digits: 1 dinar is 3 euros
	f(1000, "USD", 999, 500, true) // the rate of its time
	f(1000, "USD", 1000, 900, true)
	f(-3, "USD", 5, -2, true) // half away from zero
	f(1000, "USD", -1, 0, false)
	f(1000, "CHF", 5, 0, false)
	var none *Rates
	if got, ok := none.Convert(7, "CHF", 5); got != 7 || !ok || none.Base() != "" || rates.Base() != "EUR" {
		t.Error("no table must change nothing")
	}
	for _, bad := range [][]Rate{{{"usd", 0, 1}}, {{"USD", 0, 0}}, {{"USD", 0, math.NaN()}}, {{"USD", 0, -1}}, {{"EUR", 0, 2}}, {{"USD", 3, 1}, {"USD", 3, 2}}} {
		if _, err := NewRates("EUR", bad); !errors.Is(err, ErrRate) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := NewRates("Euro", nil); !errors.Is(err, ErrRate) {
		t.Error(err)
	}
}

func drawSpell(t *rapid.T) Spell {
	first := int32(rapid.IntRange(20000, 20100).Draw(t, "first"))
	days := rapid.SliceOfN(rapid.Int32Range(0, 100), 0, 4).Draw(t, "days")
	times := []int64{int64(first)*dayMillis + 5}
	for _, d := range days {
		times = append(times, int64(first+d)*dayMillis)
	}
	s, ok := SpellOf(times)
	if !ok || s.First != first {
		t.Fatal("no spell")
	}
	return s
}

func TestCohortsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type move struct{ from, to *Spell }
		var moves []move
		final := map[Spell]int32{}
		for range rapid.IntRange(0, 30).Draw(t, "people") {
			var at *Spell
			for range rapid.IntRange(1, 3).Draw(t, "steps") {
				s := drawSpell(t)
				moves = append(moves, move{at, &s})
				at = &s
			}
			final[*at]++
		}
		small := rapid.Bool().Draw(t, "small")
		limit := 0
		if small {
			limit = 12
		}
		apply := func(in []move) *Cohorts {
			c := &Cohorts{Max: limit}
			for _, m := range in {
				c.Move(m.from, m.to)
			}
			return c
		}
		cut := rapid.IntRange(0, len(moves)).Draw(t, "cut")
		order := moves
		if len(moves) > 0 {
			order = rapid.Permutation(moves).Draw(t, "order")
		}
		whole, left, right := apply(order), apply(moves[:cut]), apply(moves[cut:])
		left.Merge(right)
		var stored Cohorts
		if err := stored.DecodeFrom(left.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*Cohorts{whole, left, &stored} {
			if n := c.People(); n != sumOf(final) {
				t.Fatalf("%d people, want %d", n, sumOf(final))
			}
			want := Cohorts{}
			for s, n := range final {
				want.put(s, n)
			}
			want.coarsen(c.shift) // how coarse it had to become depends on the order, what it says not
			if string(want.AppendTo(nil)) != string(c.AppendTo(nil)) {
				t.Fatalf("got %v, want %v", c.cells, want.cells)
			}
			if !small && c.Days() != 1 {
				t.Fatalf("%d days wide", c.Days())
			}
		}
	})
}

func sumOf(m map[Spell]int32) int {
	n := 0
	for _, v := range m {
		n += int(v)
	}
	return n
}

// TestCohortsFit fits the model to the table, fine and coarse, and to the people.
func TestCohortsFit(t *testing.T) {
	groups, _, _ := world(cdnow, 4000, 52, 1, 3)
	const now = 21000 * dayMillis
	exact, err := FitLifetime(groups)
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1 << 20, 1200} {
		c := Cohorts{Max: limit}
		for _, g := range groups {
			first := 21000 - int32(g.Age*7)
			s := Spell{first, first + int32(g.Last*7), int32(g.Repeats)}
			c.Move(nil, &s)
		}
		l, err := FitLifetime(c.Groups(now))
		if err != nil {
			t.Fatal(err)
		}
		by := .02
		if c.Days() > 1 {
			by = .12
		}
		for _, h := range []History{{0, 0, 40}, {3, 20, 40}, {8, 38, 40}} {
			want := exact.Expected(h, 26)
			closeTo(t, "expected orders", l.Expected(h, 26)/want, 1, by)
		}
		t.Logf("%d days wide, %d cells, %d bytes: %+v, exact %+v", c.Days(), len(c.cells), len(c.AppendTo(nil)), l, exact)
	}
}

func TestRFM(t *testing.T) {
	var c Cohorts
	var spent Quantiles
	for i := range int32(100) {
		s := Spell{20000, 20000 + i, i / 10}
		c.Move(nil, &s)
		spent.put(bucketKey(float64(100*(i+1))), 1)
	}
	scale := c.Scale(&spent)
	f := func(last, repeats int32, money float64, want string) {
		t.Helper()
		if got := scale.Score(Spell{20000, last, repeats}, money).String(); got != want {
			t.Errorf("last %d, %d repeats, %v: %s, want %s", last, repeats, money, got, want)
		}
	}
	f(20000, 0, 100, "1-1-1")
	f(20099, 9, 10000, "5-5-5")
	f(20050, 0, 9000, "3-1-5")
	f(20019, 2, 2100, "1-2-2")
	f(20020, 5, 5000, "2-3-3")
}

func TestStage(t *testing.T) {
	model := cdnow
	f := func(s Spell, day int64, model *Lifetime, want Stage) {
		t.Helper()
		if got := StageOf(s, day*dayMillis, model, StageOptions{}); got != want {
			t.Errorf("%+v on day %d: %s, want %s", s, day, got, want)
		}
	}
	once := Spell{100, 100, 0}
	f(once, 110, nil, StageNew)
	f(once, 100+91, nil, StageAtRisk)
	f(once, 100+226, nil, StageLapsed)
	weekly := Spell{100, 170, 10} // cadence (70+45)/11 = 10.5 days
	f(weekly, 180, nil, StageActive)
	f(weekly, 170+22, nil, StageAtRisk)
	f(weekly, 170+53, nil, StageLapsed)
	f(weekly, 90, nil, StageActive) // a now before the last order
	yearly := Spell{100, 1100, 3}
	f(yearly, 1100+370, nil, StageLapsed) // no stage outlives a year of silence
	f(yearly, 1100+300, nil, StageActive)
	// The model may say more than the cadence, never less.
	f(weekly, 180, &model, StageActive)
	f(weekly, 170+16, &Lifetime{R: 20, Alpha: 1, A: 1, B: 1}, StageLapsed)
	f(weekly, 170+53, &Lifetime{R: 1, Alpha: 50, A: .001, B: 50}, StageLapsed)
	f(once, 110, &Lifetime{}, StageNew)
	o := OutlookOf(weekly, 180*dayMillis, 30, &model, StageOptions{})
	if o.Stage != StageActive || !(o.Churn > 0 && o.Churn < 1 && o.Within > 0 && o.Within < 1 && o.Expected > o.Within && o.NextDays > 0) {
		t.Errorf("%+v", o)
	}
	if o = OutlookOf(weekly, 180*dayMillis, 30, nil, StageOptions{}); o != (Outlook{Stage: StageActive}) {
		t.Errorf("%+v", o)
	}
	for s, want := range map[Stage]string{StageProspect: "prospect", StageAtRisk: "at risk", StageLapsed: "lapsed", 77: "unknown"} {
		if s.String() != want {
			t.Errorf("%d is %q", s, s)
		}
	}
	if _, ok := SpellOf(nil); ok {
		t.Error("a spell without orders")
	}
}

func TestPace(t *testing.T) {
	o := PaceOptions{}
	var human, robot Pace
	for i := range 2000 { // one view in four seconds, for hours
		if human.Add(testBase+int64(i)*4000, o) {
			t.Fatal("a patient shopper is no robot")
		}
	}
	var caught int
	for i := range 1000 { // a thousand views a minute
		if robot.Add(testBase+int64(i)*60, o) {
			caught++
		}
	}
	if caught < 700 || robot.PerMinute() < 500 {
		t.Errorf("%d events of a robot were noticed, %d a minute", caught, robot.PerMinute())
	}
	now := testBase + 60_000
	if !robot.Robot(now, o) || robot.Robot(now+10*dayMillis, o) {
		t.Error("a robot is one for days, not for good")
	}
}

func TestPaceInAnyOrder(t *testing.T) {
	o := PaceOptions{PerMinute: 3, Excess: 2, HalfLife: time.Hour}
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(testBase, testBase+paceMinutes*minuteMillis-1-testBase%minuteMillis), 1, 80).Draw(t, "times")
		cut := rapid.IntRange(0, len(times)).Draw(t, "cut")
		apply := func(times []int64) *Pace {
			p := &Pace{}
			for _, at := range times {
				p.Add(at, o)
			}
			return p
		}
		want := 0.0
		end := testBase + paceMinutes*minuteMillis
		counts := map[int64]int{}
		for _, at := range times {
			m := at / minuteMillis
			if counts[m]++; counts[m] > 3 {
				want += math.Exp2(-float64(end-m*minuteMillis) / float64(time.Hour.Milliseconds()))
			}
		}
		left, right := apply(times[:cut]), apply(times[cut:])
		left.Merge(right, o)
		var stored Pace
		if err := stored.DecodeFrom(left.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*Pace{apply(rapid.Permutation(times).Draw(t, "order")), left, &stored} {
			if got := p.Excess(end); !alike(got, want, 1) || p.Total != uint64(len(times)) {
				t.Fatalf("excess %v of %d, want %v", got, p.Total, want)
			}
		}
	})
}

func TestQuality(t *testing.T) {
	var q Quality
	good := event.Event{
		Kind: event.OrderCompleted, MessageID: "m", Source: "web", UserID: "u", OrderID: "o", Currency: "EUR", HasTotal: true, Total: 1000,
		Products: []event.Product{{ID: "a", Category: "Mugs", Price: 500, HasPrice: true, Quantity: 2}}, Time: testBase, ReceivedAt: testBase,
	}
	f := func(change func(e *event.Event), want ...Fault) {
		t.Helper()
		e := good
		e.Products = slices.Clone(good.Products)
		change(&e)
		var got []Fault
		set := inspect(&e)
		for _, f := range Faults() {
			if set&(1<<f) != 0 {
				got = append(got, f)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		q.Add(&e)
	}
	f(func(*event.Event) {})
	f(func(e *event.Event) { e.MessageID = "" }, NoMessageID)
	f(func(e *event.Event) { e.Flags |= event.MessageIDNew }, NoMessageID)
	f(func(e *event.Event) { e.UserID = "" }, NoPerson)
	f(func(e *event.Event) { e.Products = nil }, NoProducts)
	f(func(e *event.Event) { e.Products[0].HasPrice = false }, NoPrice)
	f(func(e *event.Event) { e.Currency = "" }, NoCurrency)
	f(func(e *event.Event) { e.Products[0].Category = "" }, NoCategory)
	f(func(e *event.Event) { e.OrderID = "" }, NoOrderID)
	f(func(e *event.Event) { e.HasTotal = false }, NoTotal)
	f(func(e *event.Event) { e.ReceivedAt += 2 * hourMillis }, Late)
	f(func(e *event.Event) { e.ReceivedAt += 2 * hourMillis; e.Flags |= event.FromImport })
	f(func(e *event.Event) { e.Flags |= event.ClockFuture }, TimeRepaired)
	f(func(e *event.Event) { e.Flags |= event.QuantityBad }, NumberRepaired)
	f(func(e *event.Event) { e.Products[0].Price = 0; e.Total = 0 }, PriceOutOfRange)
	f(func(e *event.Event) { e.Total = 100_000 }, TotalOff)
	f(func(e *event.Event) { e.Kind, e.Rating = event.ProductReviewed, 11 }, RatingOut)
	f(func(e *event.Event) { e.Flags |= event.EmailBad }, AddressBad)
	f(func(e *event.Event) { e.Bot = true }, Robotic)
	e := good
	q.Add(&e, PriceOff, PriceOff, faultCount+3)
	s := q.Sources()
	if len(s) != 1 || s[0].Source != "web" || s[0].Events != 20 || s[0].Counts[PriceOff] != 1 || s[0].Share(NoMessageID) != .1 {
		t.Fatalf("%+v", s)
	}
	if NoPrice.Class() != "missing" || Late.Class() != "late" || PriceOff.Class() != "out of range" || Robotic.String() != "robotic" {
		t.Error("words")
	}
	// Two sources, merged, stored and read; and more than there is room for.
	var other Quality
	e.Source = "app"
	other.Add(&e, Robotic)
	q.Merge(&other)
	q.Merge(&other)
	var stored Quality
	if err := stored.DecodeFrom(q.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	s = stored.Sources()
	if len(s) != 2 || s[0].Source != "app" || s[0].Events != 2 || s[0].Share(Robotic) != 1 || s[1].Events != 20 {
		t.Fatalf("%+v", s)
	}
	for i := range 100 {
		e.Source = string(rune('A'+i%26)) + string(rune('a'+i/26))
		q.Add(&e)
	}
	s = q.Sources()
	if len(s) != MaxSources+1 || s[0].Source != OtherSources || s[0].Events != 100-(MaxSources-2) {
		t.Errorf("%d sources, first %+v", len(s), s[0])
	}
}

func TestVector(t *testing.T) {
	var p Person
	x := p.Vector(nil, testBase)
	if len(x) != len(VectorNames()) || !math.IsNaN(x[3]) || x[1] != 0 {
		t.Errorf("of nobody: %v", x)
	}
	u := New(Options{})
	var ch Change
	for i := range int64(3) {
		u.Apply(&p, &event.Event{
			Kind: event.OrderCompleted, Time: testBase + i*10*dayMillis, OrderID: string(rune('a' + i)), HasTotal: true, Total: 2000, Currency: "EUR",
			Products: []event.Product{{ID: "x", Category: string(rune('A' + i)), Quantity: 1}},
		}, &ch)
	}
	now := testBase + 25*dayMillis
	x = p.Vector(x, now)
	want := map[string]float64{
		"silence": math.Log1p(5), "orders": math.Log1p(3), "spending": math.Log1p(6000), "order value": math.Log1p(2000),
		"time between orders": math.Log1p(10), "returns": 0, "browsing": 0,
	}
	for i, name := range VectorNames() {
		if v, ok := want[name]; ok {
			closeTo(t, name, x[i], v, 1e-9)
		}
		if math.IsInf(x[i], 0) {
			t.Errorf("%s is %v", name, x[i])
		}
	}
	spell, ok := p.Spell()
	if !ok || spell.Repeats != 2 || spell.Last-spell.First != 20 {
		t.Errorf("%+v", spell)
	}
}

func TestPricesAreKept(t *testing.T) {
	var a, b, stored Prices
	for i := range int64(6) {
		a.Add(1000, testBase+i)
		b.Add(1000, testBase-i)
	}
	a.Merge(&b)
	if err := stored.DecodeFrom(a.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	closeTo(t, "weight", stored.seen.Weight(), 12, 1e-6)
	if v, meant := stored.Judge(100_000); v != PriceUnit || meant != 1000 {
		t.Errorf("%d, %d", v, meant)
	}
	if err := stored.DecodeFrom([]byte{1, 0}); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
}

func BenchmarkPopulation(b *testing.B) {
	at := testBase
	b.Run("pace", func(b *testing.B) {
		var p Pace
		b.ReportAllocs()
		for b.Loop() {
			at += 700
			p.Add(at, PaceOptions{})
		}
		b.ReportMetric(float64(len(p.AppendTo(nil))), "bytes")
	})
	b.Run("quantiles", func(b *testing.B) {
		var q Quantiles
		b.ReportAllocs()
		for b.Loop() {
			at += 700
			q.Add(float64(mix(uint64(at))%10000), at, time.Hour)
		}
		b.ReportMetric(float64(len(q.AppendTo(nil))), "bytes")
	})
	b.Run("quality", func(b *testing.B) {
		var q Quality
		e := event.Event{Kind: event.ProductViewed, Source: "web", Products: []event.Product{{ID: "a", Price: 5, HasPrice: true, Quantity: 1}}}
		b.ReportAllocs()
		for b.Loop() {
			q.Add(&e)
		}
		b.ReportMetric(float64(len(q.AppendTo(nil))), "bytes")
	})
	b.Run("cohorts", func(b *testing.B) {
		var c Cohorts
		i := int32(0)
		b.ReportAllocs()
		for b.Loop() {
			i++
			from := Spell{20000 + i%360, 20000 + i%360, 0}
			to := Spell{from.First, from.First + i%90, 1}
			c.Move(nil, &from)
			c.Move(&from, &to)
		}
		b.ReportMetric(float64(len(c.AppendTo(nil))), "bytes")
	})
	b.Run("vector", func(b *testing.B) {
		p := someone(100)
		var x []float64
		b.ReportAllocs()
		for b.Loop() {
			x = p.Vector(x, testBase)
		}
	})
}
