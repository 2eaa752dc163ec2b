package experiment_test

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"millrace/operators/experiment"
)

var metrics = []experiment.Metric{
	{Name: "clicked", Kind: experiment.Share, Outcome: "click", Window: 1000},
	{Name: "revenue", Kind: experiment.Mean, Outcome: "order", Delay: 10, Window: 500, Cap: 30_000},
	{Name: "value of an order", Kind: experiment.Ratio, Outcome: "order", Per: "ordered"},
}

// told is one thing that a log says of a unit.
type told struct {
	unit    int
	expose  *experiment.Exposure
	outcome *experiment.Outcome
	retract uint64
}

func (e told) happens(u *experiment.Unit) error {
	switch {
	case e.expose != nil:
		u.Expose(*e.expose)
		return nil
	case e.outcome != nil:
		return u.Observe(*e.outcome)
	}
	return u.Retract(e.retract)
}

func drawLog(t *rapid.T) []told {
	names := []string{"click", "order", "ordered", "open"}
	var log []told
	for i := range rapid.IntRange(1, 80).Draw(t, "events") {
		e := told{unit: rapid.IntRange(0, 9).Draw(t, "unit")}
		id := uint64(rapid.IntRange(0, 60).Draw(t, "id"))
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0, 1:
			arm := e.unit % 2
			if rapid.IntRange(0, 19).Draw(t, "crossing") == 0 {
				arm = 1 - arm
			}
			at := int64(rapid.IntRange(0, 600).Draw(t, "at"))
			e.expose = &experiment.Exposure{ID: uint64(i), Arm: arm, At: at, Propensity: 0.5,
				Pre: []experiment.Values{{}, {experiment.PreValue: at * 3}}}
		case 2:
			e.retract = id
		default:
			// What has one id says one thing.
			r := rand.New(rand.NewPCG(id, uint64(e.unit)))
			e.outcome = &experiment.Outcome{ID: id, Name: names[r.IntN(4)], At: r.Int64N(1500), Amount: 1 + r.Int64N(1<<40)}
		}
		log = append(log, e)
	}
	return log
}

// run tells a log to units and tallies.
func run(t *rapid.T, log []told, into func(unit int) *experiment.Tally) map[int]*experiment.Unit {
	units := make(map[int]*experiment.Unit)
	for _, e := range log {
		u := units[e.unit]
		if u == nil {
			u = &experiment.Unit{}
			units[e.unit] = u
		}
		if err := into(e.unit).Change(u, metrics, e.happens); err != nil {
			t.Fatal(err)
		}
	}
	return units
}

func tally(t *rapid.T) *experiment.Tally {
	s, err := experiment.NewTally(2, len(metrics))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStreamEqualsBatch tells the same things in another order, some of them twice, to
// several workers, and compares every bit; and with the sums of the units as they ended.
func TestStreamEqualsBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := drawLog(t)
		first := tally(t)
		units := run(t, log, func(int) *experiment.Tally { return first })

		shuffled := slices.Clone(log)
		for range rapid.IntRange(0, 20).Draw(t, "repeats") {
			shuffled = append(shuffled, log[rapid.IntRange(0, len(log)-1).Draw(t, "repeat")])
		}
		seed := rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(len(shuffled), func(i, k int) { shuffled[i], shuffled[k] = shuffled[k], shuffled[i] })
		workers := make([]*experiment.Tally, rapid.IntRange(1, 4).Draw(t, "workers"))
		for i := range workers {
			workers[i] = tally(t)
		}
		again := run(t, shuffled, func(unit int) *experiment.Tally { return workers[unit%len(workers)] })
		merged := tally(t)
		for _, i := range r.Perm(len(workers)) {
			if err := merged.Merge(workers[i]); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(merged, first) {
			t.Fatalf("in another order:\n%+v\nwant\n%+v", merged, first)
		}
		if !reflect.DeepEqual(again, units) {
			t.Fatalf("units in another order:\n%+v\nwant\n%+v", again, units)
		}

		batch := tally(t)
		for _, u := range units {
			for i := range metrics {
				if u.Exposed && !u.Crossed {
					if err := batch.Cell(u.Arm, i).Add(u.Values(i, &metrics[i])); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if !reflect.DeepEqual(batch, first) {
			t.Fatalf("unit by unit:\n%+v\nwant\n%+v", batch, first)
		}
		// Closing a unit changes no figure.
		for _, u := range units {
			for i := range metrics {
				before := u.Values(i, &metrics[i])
				c := *u
				c.Close(metrics)
				if got := c.Values(i, &metrics[i]); got != before {
					t.Fatalf("a closed unit adds %v, before %v", got, before)
				}
				if !errors.Is(c.Observe(experiment.Outcome{ID: 99}), experiment.ErrLate) || !errors.Is(c.Retract(1), experiment.ErrLate) {
					t.Fatal("a closed unit takes outcomes")
				}
			}
		}
	})
}

func TestUnitWindows(t *testing.T) {
	f := func(what string, metric int, want experiment.Values, outcomes ...experiment.Outcome) {
		t.Helper()
		u := experiment.Unit{}
		for i, o := range outcomes {
			o.ID = uint64(i)
			if err := u.Observe(o); err != nil {
				t.Fatal(err)
			}
		}
		u.Expose(experiment.Exposure{Arm: 1, At: 100})
		if got := u.Values(metric, &metrics[metric]); got != want {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	o := func(name string, at, amount int64) experiment.Outcome {
		return experiment.Outcome{Name: name, At: at, Amount: amount}
	}
	f("before the exposure", 0, experiment.Values{}, o("click", 99, 1))
	f("at the exposure", 0, experiment.Values{1}, o("click", 100, 1), o("click", 105, 1))
	f("at the window's end", 0, experiment.Values{}, o("click", 1100, 1))
	f("within the delay", 1, experiment.Values{}, o("order", 109, 5))
	f("after the delay", 1, experiment.Values{5}, o("order", 110, 5))
	f("a refund", 1, experiment.Values{3}, o("order", 110, 5), o("order", 120, -2))
	f("above the cap", 1, experiment.Values{30_000}, o("order", 110, 20_000), o("order", 111, 20_000))
	f("a ratio for good", 2, experiment.Values{9, 2}, o("order", 1e9, 9), o("ordered", 1e9, 2))

	u := experiment.Unit{}
	for i := range experiment.OutcomesMax {
		if err := u.Observe(experiment.Outcome{ID: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(u.Observe(experiment.Outcome{ID: 1 << 40}), experiment.ErrTooMany) || !errors.Is(u.Retract(1<<41), experiment.ErrTooMany) {
		t.Error("a unit takes more outcomes than it may")
	}
	if u.Observe(experiment.Outcome{ID: 5}) != nil {
		t.Error("a repeat is refused")
	}
	if (&experiment.Unit{}).Observe(experiment.Outcome{Amount: math.MaxInt64}) == nil {
		t.Error("an amount beyond the limit is taken")
	}
}

func TestWide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c, d := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b"), rapid.Int64().Draw(t, "c"), rapid.Int64().Draw(t, "d")
		mul := func(x, y int64) *big.Int { return new(big.Int).Mul(big.NewInt(x), big.NewInt(y)) }
		if got := experiment.Product(a, b).Big(); got.Cmp(mul(a, b)) != 0 {
			t.Fatalf("%d * %d = %v", a, b, got)
		}
		if a>>62 == a>>63 && c>>62 == c>>63 { // so that sum and difference fit
			p, q := experiment.Product(a, b), experiment.Product(c, d)
			if got := p.Plus(q).Big(); got.Cmp(new(big.Int).Add(mul(a, b), mul(c, d))) != 0 {
				t.Fatalf("sum %v", got)
			}
			if got := p.Minus(q).Big(); got.Cmp(new(big.Int).Sub(mul(a, b), mul(c, d))) != 0 {
				t.Fatalf("difference %v", got)
			}
		}
		if got := experiment.WideOf(a).Float(); got != float64(a) {
			t.Fatalf("%d as a float is %v", a, got)
		}
	})
}

// TestMomentsAreExact computes covariances by their definition, unit by unit, where the
// formula with sums of squares loses every digit.
func TestMomentsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Int64Range(0, 1<<45).Draw(t, "base")
		var m experiment.Moments
		var all []experiment.Values
		for range rapid.IntRange(2, 40).Draw(t, "units") {
			v := experiment.Values{base + rapid.Int64Range(0, 9).Draw(t, "v"), rapid.Int64Range(-9, 9).Draw(t, "p"), -base, 1}
			all = append(all, v)
			if err := m.Add(v); err != nil {
				t.Fatal(err)
			}
		}
		j := m.Joint()
		n := float64(len(all))
		for i := range 2 {
			for k := range 2 {
				// About the base, which is exact.
				at := [2]int64{base, 0}
				mi, mk, sum := 0.0, 0.0, 0.0
				for _, v := range all {
					mi += float64(v[i]-at[i]) / n
					mk += float64(v[k]-at[k]) / n
				}
				for _, v := range all {
					sum += (float64(v[i]-at[i]) - mi) * (float64(v[k]-at[k]) - mk)
				}
				if got, want := j.Cov[i][k], sum/(n-1); math.Abs(got-want) > 1e-12*(1+math.Abs(want)) {
					t.Fatalf("covariance %d, %d of %v: got %v, want %v", i, k, all, got, want)
				}
			}
		}
		for _, v := range all {
			m.Remove(v)
		}
		if m != (experiment.Moments{}) {
			t.Fatalf("taken back: %+v", m)
		}
	})
	var m experiment.Moments
	if m.Add(experiment.Values{experiment.AmountMax + 1}) == nil || m != (experiment.Moments{}) {
		t.Error("a value beyond the limit is counted")
	}
}

func TestHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Int64Range(-1000, 1<<40), 30, 300).Draw(t, "values")
		var a, b, back experiment.Histogram
		for i, x := range v {
			h := &a
			if i%2 == 1 {
				h = &b
			}
			for _, err := range []error{h.Add(x, 1), back.Add(x, 1), back.Add(x+7, 1), back.Add(x+7, -1)} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		a.Merge(&b)
		if !reflect.DeepEqual(a, back) {
			t.Fatal("merged in halves, and with values taken back, differ")
		}
		slices.Sort(v)
		s, err := a.Quantile(0.5)
		if err != nil {
			t.Fatal(err)
		}
		want := float64(v[len(v)/2])
		if math.Abs(s.Mean-want) > 0.01*math.Abs(want) {
			t.Fatalf("median %v, want %v", s.Mean, want)
		}
		// Capped at one of its own edges: value by value.
		limit := a.CapAt(0.9)
		sum := 0.0
		for _, x := range v {
			sum += math.Min(float64(x), limit)
		}
		if got := a.Capped(limit).Mean; math.Abs(got-sum/float64(len(v))) > 0.011*math.Abs(limit) {
			t.Fatalf("capped mean %v, want %v", got, sum/float64(len(v)))
		}
	})
	var h experiment.Histogram
	if _, err := h.Quantile(0.5); err == nil {
		t.Error("a quantile of nothing")
	}
	if h.Add(math.MaxInt64, 1) == nil {
		t.Error("a value beyond the limit is counted")
	}
}

func TestAttribution(t *testing.T) {
	touches := []experiment.Touch{
		{ID: 1, At: 100, Click: true}, {ID: 2, At: 300, Click: true, Machine: true}, {ID: 3, At: 250}, {ID: 4, At: 200, Click: true},
	}
	f := func(order, window int64, want int) {
		t.Helper()
		if got := experiment.LastTouch(touches, order, window); got != want {
			t.Errorf("order at %d within %d: got %d, want %d", order, window, got, want)
		}
	}
	f(400, 1000, 3) // not the scanner's, not the open
	f(150, 1000, 0)
	f(99, 1000, -1)
	f(400, 200, -1) // the window is half-open
	f(400, 201, 3)
	got := experiment.Decay(touches, 400, 1000, 100)
	if math.Abs(got[0]-1.0/3) > 1e-12 || math.Abs(got[3]-2.0/3) > 1e-12 || got[1]+got[2] != 0 {
		t.Errorf("decay: %v", got)
	}
	if got := experiment.Decay(touches, 50, 1000, 0); !slices.Equal(got, make([]float64, 4)) {
		t.Errorf("before all: %v", got)
	}
}

func BenchmarkChange(b *testing.B) {
	t, err := experiment.NewTally(2, len(metrics))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		var u experiment.Unit
		for _, happens := range []func(*experiment.Unit) error{
			func(u *experiment.Unit) error {
				u.Expose(experiment.Exposure{ID: i, Arm: int(i % 2), At: 100})
				return nil
			},
			func(u *experiment.Unit) error {
				return u.Observe(experiment.Outcome{ID: i, Name: "order", At: 200, Amount: 1999})
			},
		} {
			if err := t.Change(&u, metrics, happens); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkCompare(b *testing.B) {
	var x, y experiment.Moments
	for i := range int64(1000) {
		if x.Add(experiment.Values{i % 7, 1, i % 5, 1}) != nil || y.Add(experiment.Values{i % 8, 1, i % 5, 1}) != nil {
			b.Fatal("add")
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := metrics[1].Compare(&x, &y, true, true); err != nil {
			b.Fatal(err)
		}
	}
}
