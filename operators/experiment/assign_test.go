package experiment_test

import (
	"math"
	"strconv"
	"testing"

	"millrace/operators/experiment"
)

func newExperiment(seed string, coverage float64, weights ...float64) *experiment.Experiment {
	e := &experiment.Experiment{Name: seed, Seed: seed, Coverage: coverage}
	for i, w := range weights {
		e.Variants = append(e.Variants, experiment.Variant{Name: strconv.Itoa(i), Weight: w})
	}
	return e
}

func unitName(i int) string { return "u" + strconv.Itoa(i) }

func TestRampMovesNobody(t *testing.T) {
	ids := runs(100_000, 1_000_000)
	last := make([]int, ids)
	for i := range last {
		last[i] = -1
	}
	for _, coverage := range []float64{0, 0.01, 0.2, 0.6, 1} {
		e := newExperiment("ramp", coverage, 0.2, 0.3, 0.5)
		in := 0
		for i := range ids {
			a := e.Assign(unitName(i), nil, nil)
			if last[i] >= 0 && a.Arm != last[i] {
				t.Fatalf("%s moved from %d to %d at coverage %v", unitName(i), last[i], a.Arm, coverage)
			}
			last[i] = a.Arm
			if a.Arm >= 0 {
				in++
			}
		}
		if got := float64(in) / float64(ids); math.Abs(got-coverage) > 4*math.Sqrt(0.25/float64(ids))+1e-9 {
			t.Errorf("coverage %v takes %v", coverage, got)
		}
	}
}

func TestUniformAndIndependent(t *testing.T) {
	ids := runs(200_000, 1_000_000)
	a, b := newExperiment("one", 1, 0.25, 0.25, 0.25, 0.25), newExperiment("two", 1, 0.25, 0.25, 0.25, 0.25)
	var cells [16]float64
	buckets, fine := make([]float64, 100), make([]float64, 100)
	for i := range ids {
		u := unitName(i)
		cells[4*a.Assign(u, nil, nil).Arm+b.Assign(u, nil, nil).Arm]++
		buckets[int(experiment.Bucket("one", u)*100)]++
		fine[int(experiment.Uniform("one", u)*100)]++
	}
	f := func(what string, counts []float64) {
		t.Helper()
		even := make([]float64, len(counts))
		for i := range even {
			even[i] = 1
		}
		s, err := experiment.ChiSquareSRM(counts, even)
		if err != nil {
			t.Fatal(err)
		}
		if s.P < 1e-4 {
			t.Errorf("%s: chi-square %.1f, p %.2g", what, s.Chi2, s.P)
		}
	}
	f("pairs of two experiments", cells[:])
	f("buckets", buckets)
	f("places", fine)
}

func TestLayer(t *testing.T) {
	l := experiment.NewLayer("mail")
	claim := func(name string, share float64, ok bool) {
		t.Helper()
		if err := l.Claim(name, share); (err == nil) != ok {
			t.Errorf("claim %s %v: %v", name, share, err)
		}
	}
	claim("a", 0.3, true)
	claim("b", 0.5, true)
	claim("b", 0.1, false)
	claim("c", 0.3, false)
	claim("", 0.1, false)
	claim("d", math.NaN(), false)
	ids := runs(100_000, 1_000_000)
	before := make([]string, ids)
	var a, b int
	ea, eb := newExperiment("a", 1, 0.5, 0.5), newExperiment("b", 1, 0.5, 0.5)
	ea.Layer, eb.Layer = l, l
	for i := range ids {
		u := unitName(i)
		before[i] = l.Owner(u)
		inA, inB := ea.Assign(u, nil, nil), eb.Assign(u, nil, nil)
		if inA.Arm >= 0 && inB.Arm >= 0 {
			t.Fatalf("%s is in both experiments", u)
		}
		a += count(inA.Arm >= 0)
		b += count(inB.Arm >= 0)
	}
	if got := float64(a) / float64(ids); math.Abs(got-0.3) > 0.01 {
		t.Errorf("a has %v, want .3", got)
	}
	l.Release("a")
	claim("c", 0.5, true)
	for i := range ids {
		if now := l.Owner(unitName(i)); before[i] == "b" && now != "b" || now == "a" {
			t.Fatalf("%s moved from %q to %q", unitName(i), before[i], now)
		}
	}
	if math.Abs(l.Free()) > 1e-12 {
		t.Errorf("free %v, want none", l.Free())
	}
}

func TestAssignOrder(t *testing.T) {
	e := newExperiment("order", 1, 0.5, 0.5)
	e.Version, e.VersionMin = 3, 2
	var held, in string
	h := experiment.Holdout{Seed: "all", Share: 0.05}
	n := 0
	for i := range 100_000 {
		if h.Holds(unitName(i)) {
			held = unitName(i)
			n++
		} else {
			in = unitName(i)
		}
	}
	if n < 4700 || n > 5300 {
		t.Errorf("%d of 100000 are held out, want 5 %%", n)
	}
	e.Holdouts = []experiment.Holdout{h}
	f := func(unit string, before *experiment.Sticky, arm int, why experiment.Reason) {
		t.Helper()
		if a := e.Assign(unit, before, nil); a.Arm != arm && arm != 9 || a.Reason != why {
			t.Errorf("%s with %v: got %+v, want %d, %s", unit, before, a, arm, why)
		}
	}
	f(held, &experiment.Sticky{Arm: 1, Version: 3}, -1, experiment.HeldOut) // no path goes round it
	f(in, nil, 9, experiment.Assigned)
	f(in, &experiment.Sticky{Arm: 1, Version: 2}, 1, experiment.Kept)
	f(in, &experiment.Sticky{Arm: 0, Version: 2}, 0, experiment.Kept)
	f(in, &experiment.Sticky{Arm: 0, Version: 1}, -1, experiment.Tainted)
	f(in, &experiment.Sticky{Arm: 7, Version: 3}, 9, experiment.Assigned) // of an arm that is no more
	e.Coverage = 0
	f(in, &experiment.Sticky{Arm: 1, Version: 3}, 1, experiment.Kept)
	f(in, nil, -1, experiment.NotCovered)

	// A bandit's shares are the propensities, and who takes part does not hang on them.
	e = newExperiment("bandit", 0.5, 0.5, 0.5)
	got := [2]float64{}
	for i := range 50_000 {
		a, b := e.Assign(unitName(i), nil, []float64{0.9, 0.1}), e.Assign(unitName(i), nil, []float64{0.2, 0.8})
		if (a.Arm < 0) != (b.Arm < 0) {
			t.Fatal("shares move who takes part")
		}
		if a.Arm >= 0 {
			got[a.Arm]++
			if a.Propensity != []float64{0.9, 0.1}[a.Arm] {
				t.Fatalf("propensity %v of arm %d", a.Propensity, a.Arm)
			}
		}
	}
	if s := got[0] / (got[0] + got[1]); math.Abs(s-0.9) > 0.01 || math.Abs((got[0]+got[1])/50_000-0.5) > 0.01 {
		t.Errorf("arms %v", got)
	}
}

func TestExperimentCheck(t *testing.T) {
	f := func(ok bool, change func(*experiment.Experiment)) {
		t.Helper()
		e := newExperiment("check", 1, 0.5, 0.5)
		change(e)
		if err := e.Check(); (err == nil) != ok {
			t.Errorf("%+v: %v", e, err)
		}
	}
	f(true, func(*experiment.Experiment) {})
	f(false, func(e *experiment.Experiment) { e.Name = "" })
	f(false, func(e *experiment.Experiment) { e.Seed = "" })
	f(false, func(e *experiment.Experiment) { e.Coverage = math.NaN() })
	f(false, func(e *experiment.Experiment) { e.Variants[0].Weight = 0.7 })
	f(false, func(e *experiment.Experiment) { e.Variants[0].Weight = -0.5; e.Variants[1].Weight = 1.5 })
	f(false, func(e *experiment.Experiment) { e.Variants = e.Variants[:1] })
	f(false, func(e *experiment.Experiment) { e.Holdouts = []experiment.Holdout{{Share: 1}} })
}

func BenchmarkAssign(b *testing.B) {
	e := newExperiment("bench", 0.5, 0.5, 0.5)
	b.ReportAllocs()
	for b.Loop() {
		e.Assign("c-1042-and-more", nil, nil)
	}
}
