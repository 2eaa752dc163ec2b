package experiment

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// spentRoll are people whose spending follows what they spent before, with an effect of a
// tenth of that for wide among the newer half; one in a thousand orders for a company.
func spentRoll(t testing.TB, r *Running, seed uint64, people int, effect float64) *Roll {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 3))
	s := new(Roll)
	for i := range people {
		arm := 0
		u := rng.Float64()
		switch {
		case u < .2:
			arm = 2
		case u < .6:
			arm = 1
		}
		x := rng.Float64()
		amount := 1000*x + 200*rng.Float64()
		if arm == 1 && i%2 == 0 {
			amount += effect
		}
		if i%1000 == 7 {
			amount *= 200
		}
		in := &Enrolments{List: []Enrolment{{Key: r.Key()}}}
		unit := &in.List[0].Unit
		unit.Expose(Exposure{ID: uint64(i), Arm: arm, At: 1000, Propensity: .4, Features: []int64{64, Feature(x), int64(i % 2)}})
		if err := unit.Note(Outcome{ID: 1, Name: OutcomeOrder, At: 2000, Amount: int64(amount)}); err != nil {
			t.Fatal(err)
		}
		s.Add(fmt.Sprintf("q-%d-%d", seed, i), r, in, longAfter)
	}
	return s
}

func byParity() Grouping {
	return Grouping{Names: []string{"even", "odd", "nobody"}, Of: func(x []int64) int { return int(x[2]) }}
}

// TestAnalyse: a planted effect is found by each way of looking, where it is.
func TestAnalyse(t *testing.T) {
	r := ruleRunning(t)
	r.Goal = slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == MetricRevenue })
	a, err := spentRoll(t, r, 1, 12_000, 100).Analyse(r, byParity())
	if err != nil {
		t.Fatal(err)
	}
	if a.People != 12_000 || a.Baseline != "control" || len(a.Arms) != 2 || a.Arms[0].Variant != "wide" || a.Arms[1].Variant != ArmHoldout || a.Cap < 1100 || a.Cap > 1400 {
		t.Fatalf("%+v", a)
	}
	wide := &a.Arms[0]
	// Half of the people spend 100 more. The orders of companies drown that but for the cap.
	if c := wide.Capped; c == nil || c.Lo > 50 || c.Hi < 40 || c.Lo <= 0 || c.Hi-c.Lo > (wide.Revenue.Hi-wide.Revenue.Lo)/2 {
		t.Errorf("capped %+v, plain %+v", c, wide.Revenue)
	}
	if wide.Goal == nil || *wide.Goal != *wide.Revenue || wide.Adjusted == nil || wide.Holm < wide.P {
		t.Errorf("%+v", wide)
	}
	if len(wide.Quantiles) != 3 || wide.Quantiles[0].Quantile != .5 || wide.Quantiles[0].Estimate < 20 || wide.Quantiles[0].Estimate > 80 || wide.Quantiles[0].Lo > 50 || wide.Quantiles[0].Hi < 50 {
		t.Errorf("%+v", wide.Quantiles)
	}
	if len(wide.Groups) != 2 || wide.Groups[0].People+wide.Groups[1].People != a.People-a.Arms[1].People {
		t.Errorf("%+v", wide.Groups)
	}
	for _, g := range wide.Groups { // drawn towards the other one
		if own, drawn := g.Own.Estimate, g.Shrunk.Estimate; math.Abs(drawn-own) > math.Abs(wide.Groups[0].Own.Estimate-wide.Groups[1].Own.Estimate) {
			t.Errorf("%+v", g)
		}
	}
}

// TestAnalyseAdjusts: what was known before takes most of the variance of spending out, and
// the any-time interval of nothing holds 0 in nearly all runs.
func TestAnalyseAdjusts(t *testing.T) {
	r := ruleRunning(t)
	r.Goal = slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == MetricRevenue })
	missed := 0
	const runs = 60
	for seed := range uint64(runs) {
		a, err := spentRoll(t, r, 50+seed, 900, 0).Analyse(r, byParity())
		if err != nil {
			t.Fatal(err)
		}
		x := a.Arms[0].Adjusted
		if x.Lo > 0 || x.Hi < 0 {
			missed++
		}
		if seed == 0 { // of people without a company's order it is about .96
			clean := spentRoll(t, r, 9, 900, 0)
			for i := range clean.Units {
				clean.Units[i].Outcome = min(clean.Units[i].Outcome, 1200)
			}
			b, err := clean.Analyse(r, byParity())
			if err != nil || b.Arms[0].Removed < .9 {
				t.Errorf("removed %v, %v", b.Arms[0].Removed, err)
			}
		}
	}
	if missed > 6 {
		t.Errorf("%d of %d intervals of no effect miss it", missed, runs)
	}
}

// TestAnalyseRefuses: nobody, or a ratio.
func TestAnalyseRefuses(t *testing.T) {
	r := ruleRunning(t)
	if _, err := new(Roll).Analyse(r, byParity()); !errors.Is(err, ErrTooFew) {
		t.Error(err)
	}
	s := spentRoll(t, r, 1, 50, 0)
	r.Goal = slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Kind == Ratio })
	if _, err := s.Analyse(r, byParity()); err == nil {
		t.Error("a ratio was taken")
	}
}
