package engine_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"millrace/engine"
	"millrace/state"
)

// stored is what comes back of a stored value.
func stored[A any, P state.Codec[A]](t interface{ Fatal(...any) }, v P) P {
	raw := v.AppendTo(nil)
	out := P(new(A))
	if err := out.DecodeFrom(raw); err != nil {
		t.Fatal(err)
	}
	if again := out.AppendTo(nil); !bytes.Equal(raw, again) {
		t.Fatal(fmt.Sprintf("%T is stored as %x, and read and stored again as %x", v, raw, again))
	}
	for cut := range len(raw) { // whatever is torn off is noticed
		if P(new(A)).DecodeFrom(raw[:cut]) == nil && cut < min(len(raw), 64) && !shortens(v) {
			t.Fatal(fmt.Sprintf("%T reads %d of its %d bytes", v, cut, len(raw)))
		}
	}
	return out
}

// shortens tells whether a stored form may be a whole one when cut: the compensation of a
// sum is optional.
func shortens(v any) bool { _, ok := v.(*engine.FloatSum); return ok }

// folded folds values in some grouping and order, stored and read back in between.
func folded[In, A, Out any, P state.Codec[A]](t *rapid.T, agg engine.Aggregate[In, A, Out], values []In) *A {
	var parts []*A
	for _, v := range values {
		if len(parts) == 0 || rapid.IntRange(0, 7).Draw(t, "part") == 0 {
			parts = append(parts, new(A))
		}
		agg.Add(parts[len(parts)-1], v)
		if rapid.IntRange(0, 9).Draw(t, "store") == 0 {
			parts[len(parts)-1] = stored[A, P](t, parts[len(parts)-1])
		}
	}
	all := new(A)
	for _, p := range parts {
		agg.Merge(all, p)
	}
	return all
}

// TestExactAggregates: in any grouping the answers are those of the plain computation.
func TestExactAggregates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(-1<<40, 1<<40), 0, 60).Draw(t, "values")
		same := func(v int64) int64 { return v }
		counts, sums, ranges := engine.Counts[int64](), engine.Sums(same), engine.MinMax(same)
		sum := int64(0)
		for _, v := range values {
			sum += v
		}
		if got := counts.Result(folded(t, counts, values)); got != uint64(len(values)) {
			t.Fatalf("count %d of %d", got, len(values))
		}
		if got := sums.Result(folded(t, sums, values)); got != sum {
			t.Fatalf("sum %d, want %d", got, sum)
		}
		e := ranges.Result(folded(t, ranges, values))
		if e.Some != (len(values) > 0) || e.Some && (e.Min != slices.Min(values) || e.Max != slices.Max(values)) {
			t.Fatalf("extremes %+v of %v", e, values)
		}
	})
}

// TestFloatSum compares with sums without rounding.
func TestFloatSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e15, 1e15), 1, 80).Draw(t, "values")
		exact, size := new(big.Float).SetPrec(2000), 0.0
		for _, v := range values {
			exact.Add(exact, big.NewFloat(v))
			size += math.Abs(v)
		}
		want, _ := exact.Float64()
		agg := engine.FloatSums(func(v float64) float64 { return v })
		got := agg.Result(folded(t, agg, values))
		// Compensated: the error is that of the result, and second order in the size.
		if diff := math.Abs(got - want); diff > 4e-16*math.Abs(want)+1e-28*size*float64(len(values)) {
			t.Fatalf("sum %g, want %g", got, want)
		}
	})
	var s engine.FloatSum
	for _, v := range []float64{1, math.NaN(), 1e100, math.Inf(1), 1, -1e100} {
		s.Add(v)
	}
	if s.Sum() != 2 || s.N != 4 || s.Refused != 2 || s.Mean() != 0.5 || (&engine.FloatSum{}).Mean() != 0 {
		t.Fatalf("sum %g of %+v", s.Sum(), s)
	}
	e := engine.Extremes[float64]{}
	e.Add(math.NaN())
	e.Add(2)
	e.Add(math.NaN())
	e.Add(-1)
	if got := stored(t, &e); *got != (engine.Extremes[float64]{Some: true, Min: -1, Max: 2}) {
		t.Fatalf("extremes %+v", got)
	}
}

// TestDistinct: exact while few, then within five standard errors, and whatever the order
// and the grouping the stored bytes are the same.
func TestDistinct(t *testing.T) {
	f := func(n int) {
		t.Helper()
		rng := rand.New(rand.NewPCG(uint64(n), 2))
		var straight, shuffled engine.Distinct
		parts := make([]engine.Distinct, 5)
		for i := range n {
			straight.Add(fmt.Sprintf("person-%d", i))
		}
		for _, i := range append(rng.Perm(n), rng.Perm(n)...) {
			p := &parts[rng.IntN(5)]
			p.Add(fmt.Sprintf("person-%d", i))
			if rng.IntN(500) == 0 {
				*p = *stored(t, p)
			}
		}
		for i := range parts {
			shuffled.Merge(&parts[i])
		}
		if !bytes.Equal(straight.AppendTo(nil), shuffled.AppendTo(nil)) {
			t.Errorf("%d values: the order shows in what is stored", n)
		}
		got := float64(stored(t, &straight).Count())
		if off := math.Abs(got - float64(n)); straight.Exact() && off > 0 || off > 5*0.01625*float64(n) {
			t.Errorf("%d different values counted as %v", n, got)
		}
		if size := len(straight.AppendTo(nil)); size > 3100 {
			t.Errorf("%d values take %d bytes", n, size)
		}
	}
	for _, n := range []int{0, 1, 255, 256, 257, 300, 1000, 5000, 20000} {
		f(n)
	}
}

// TestQuantiles: each quantile within 1 % of the true one, in any order and grouping the
// same bytes, negative numbers and zeros too.
func TestQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.OneOf(rapid.Float64Range(-1e6, 1e6), rapid.Just(0.0), rapid.Float64Range(-1, 1)), 1, 100).Draw(t, "values")
		for i, v := range values {
			if math.Abs(v) < 1e-9 {
				values[i] = 0 // what is 17 decades apart shares bins, see below
			}
		}
		agg := engine.QuantilesOf(func(v float64) float64 { return v }, 0, 0.25, 0.5, 0.9, 1)
		var straight engine.Quantiles
		for _, v := range values {
			agg.Add(&straight, v)
		}
		shuffled := folded(t, agg, rapid.Permutation(values).Draw(t, "order"))
		if !bytes.Equal(straight.AppendTo(nil), shuffled.AppendTo(nil)) {
			t.Fatalf("the order shows: %x, %x", straight.AppendTo(nil), shuffled.AppendTo(nil))
		}
		slices.Sort(values)
		got := agg.Result(shuffled)
		for i, p := range []float64{0, 0.25, 0.5, 0.9, 1} {
			want := values[int(p*float64(len(values)-1))]
			if math.Abs(got[i]-want) > 0.0101*math.Abs(want) {
				t.Fatalf("quantile %v: got %v, want %v of %v", p, got[i], want, values)
			}
		}
	})
	// Numbers too far apart share a bin at the small end; none is lost.
	var wide, back engine.Quantiles
	for e := -200; e <= 200; e++ {
		wide.Add(math.Pow(10, float64(e)))
		back.Add(math.Pow(10, float64(-e)))
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		wide.Add(v)
		back.Add(v)
	}
	if got, ok := wide.At(0.99); wide.Count() != 401 || wide.Refused != 3 || !ok || math.Abs(got/1e196-1) > 0.0101 {
		t.Fatalf("%d numbers, %d refused, quantile %v", wide.Count(), wide.Refused, got)
	}
	if !bytes.Equal(stored(t, &wide).AppendTo(nil), back.AppendTo(nil)) {
		t.Fatal("the order shows where bins are shared")
	}
	if _, ok := (&engine.Quantiles{}).At(0.5); ok {
		t.Fatal("a median of nothing")
	}
}

// TestTop: no count is too low, none too high by more than it says, every key that came
// often enough has a counter, whatever the order and the grouping.
func TestTop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const counters = 8
		values := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprint("item-", rapid.IntRange(0, rapid.SampledFrom([]int{2, 5, 40}).Draw(t, "range")).Draw(t, "item"))
		}), 0, 120).Draw(t, "values")
		agg := engine.TopOf(counters, counters, func(v string) string { return v }, nil)
		top := folded(t, agg, values)
		truth := map[string]uint64{}
		for _, v := range values {
			truth[v]++
		}
		got := map[string]engine.TopEntry{}
		for _, e := range agg.Result(top) {
			got[e.Key] = e
			if e.Count < truth[e.Key] || e.Count-e.Over > truth[e.Key] {
				t.Fatalf("%s came %d times, counted as %d, at most %d too many", e.Key, truth[e.Key], e.Count, e.Over)
			}
		}
		if top.Values != uint64(len(values)) || len(got) > counters {
			t.Fatalf("%d values, %d counters", top.Values, len(got))
		}
		for key, n := range truth {
			if _, kept := got[key]; !kept && n > uint64(len(values)/counters) {
				t.Fatalf("%s came %d times of %d and has no counter in %v", key, n, len(values), got)
			}
		}
	})
	var top engine.Top
	long := string(bytes.Repeat([]byte("x"), 500))
	top.Add(long+"a", 5, 3)
	top.Add(long+"b", 7, 3)
	top.Add("c", 6, 3)
	top.Add("", 0, 3)
	first := stored(t, &top).First(2)
	if len(first) != 2 || first[0].Count != 7 || len(first[0].Key) > engine.TopKeyMax || first[1].Key != "c" {
		t.Fatalf("first %+v", first)
	}
}

// TestTopFindsTheFrequent: on a skewed stream the ten first are the ten first.
func TestTopFindsTheFrequent(t *testing.T) {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.2, 1, 20_000)
	truth := map[string]uint64{}
	parts := make([]engine.Top, 4)
	for i := range 50_000 {
		key := fmt.Sprint(zipf.Uint64())
		truth[key]++
		parts[i%4].Add(key, 1, 100)
	}
	var top engine.Top
	for i := range parts {
		top.Merge(&parts[i])
	}
	var all []string
	for key := range truth {
		all = append(all, key)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(truth[b], truth[a]), cmp.Compare(a, b)) })
	for i, e := range top.First(10) {
		if e.Key != all[i] {
			t.Errorf("place %d: %s, want %s", i, e.Key, all[i])
		}
	}
}

// FuzzAggregates: what is read can be stored, read again, merged and asked.
func FuzzAggregates(f *testing.F) {
	var d engine.Distinct
	var q engine.Quantiles
	var top engine.Top
	var s engine.FloatSum
	for i := range 400 {
		if i%100 == 0 {
			f.Add(d.AppendTo(nil))
			f.Add(q.AppendTo(nil))
			f.Add(top.AppendTo(nil))
			f.Add(s.AppendTo(nil))
		}
		d.Add(fmt.Sprint(i))
		q.Add(float64(i*i) - 500)
		top.Add(fmt.Sprint(i%17), 1, 9)
		s.Add(float64(i) / 3)
	}
	f.Add(d.AppendTo(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		try(t, raw, engine.Counts[int]())
		try(t, raw, engine.Sums(func(v int) int64 { return int64(v) }))
		try(t, raw, engine.Means(func(v int) float64 { return float64(v) }))
		try(t, raw, engine.MinMax(func(v int) int64 { return int64(v) }))
		try(t, raw, engine.MinMax(func(v int) float64 { return float64(v) }))
		try(t, raw, engine.DistinctOf(func(v int) string { return fmt.Sprint(v) }))
		try(t, raw, engine.QuantilesOf(func(v int) float64 { return float64(v) }, 0.5))
		try(t, raw, engine.TopOf(3, 9, func(v int) string { return fmt.Sprint(v) }, nil))
	})
}

func try[A, Out any, P state.Codec[A]](t *testing.T, raw []byte, agg engine.Aggregate[int, A, Out]) {
	t.Helper()
	v := P(new(A))
	if err := v.DecodeFrom(raw); err != nil {
		if !errors.Is(err, engine.ErrAggregate) {
			t.Fatalf("%T: %v", v, err)
		}
		return
	}
	if err := P(new(A)).DecodeFrom(v.AppendTo(nil)); err != nil {
		t.Fatalf("%T: %v", v, err)
	}
	other := P(new(A))
	agg.Add(other, 7)
	agg.Merge(other, v)
	agg.Add(v, 8)
	agg.Result(v)
}
