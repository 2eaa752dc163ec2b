package experiment

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// ruleRunning is an experiment of two variants and a holdout.
func ruleRunning(t testing.TB) *Running {
	t.Helper()
	r := &Running{
		Experiment: Experiment{
			Name: "words", Seed: "words", Coverage: 1, Variants: []Variant{{Name: "control", Weight: .5}, {Name: "wide", Weight: .5}},
			Holdouts: []Holdout{{Seed: "shop", Share: .2}},
		},
		Metrics: Watch(nil), Features: true,
	}
	r.Goal = slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == OutcomeOrder })
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// chance is the truth: wide is better for those of high a and worse for others, a mail is
// better than none by a twentieth.
func chance(arm int, a float64) float64 {
	return [...]float64{.15 + .1*a, .05 + .4*a*a, .1 + .1*a}[arm]
}

// logged is a log of people whose variants were drawn with shares that depend on a, as a
// contextual bandit does.
func logged(t testing.TB, r *Running, seed uint64, people int) *Roll {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 11))
	s := new(Roll)
	for i := range people {
		a := float64(rng.IntN(65)) / 64
		shares := []float64{.8 * (.85 - .7*a), .8 * (.15 + .7*a), .2}
		arm, u := 0, rng.Float64()
		for u >= shares[arm] && arm < 2 {
			u -= shares[arm]
			arm++
		}
		in := &Enrolments{List: []Enrolment{{Key: r.Key()}}}
		unit := &in.List[0].Unit
		unit.Expose(Exposure{ID: uint64(i), Arm: arm, At: 1000, Propensity: shares[arm], Features: []int64{64, int64(64 * a), Feature(rng.Float64())}})
		if rng.Float64() < chance(arm, a) {
			if err := unit.Note(Outcome{ID: 1, Name: OutcomeOrder, At: 2000, Amount: 100}); err != nil {
				t.Fatal(err)
			}
		}
		s.Add(fmt.Sprintf("p-%d-%d", seed, i), r, in, longAfter)
	}
	return s
}

// truth is the mean over a, of a rule that gives wide from a half on, and its gain.
func truth(otherwise int) (value, present float64) {
	for i := range 65 {
		a := float64(i) / 64
		was := .8*(.85-.7*a)*chance(0, a) + .8*(.15+.7*a)*chance(1, a) + .2*chance(2, a)
		present += was / 65
		switch {
		case i >= 32:
			value += chance(1, a) / 65
		case otherwise >= 0:
			value += chance(otherwise, a) / 65
		default:
			value += was / 65
		}
	}
	return value, present
}

var wideFromHalf = []RuleLine{{When: func(x []int64) bool { return x[1] >= 32 }, Arm: 1}} //nolint:gochecknoglobals // constant

// TestRuleCoverage: of 400 simulated logs with drawn shares that depend on the person,
// about 95 % of the intervals hold the value that the rule truly has, for each estimate.
func TestRuleCoverage(t *testing.T) {
	r := ruleRunning(t)
	runs, people := 400, 1500
	if testing.Short() {
		runs = 100
	}
	for _, otherwise := range []int{0, -1} {
		value, present := truth(otherwise)
		names := []string{"doubly robust", "gain", "inverse", "self-normalised"}
		held, width := make([]int, len(names)), make([]float64, len(names))
		for seed := range uint64(runs) { //nolint:gosec // small
			got, err := logged(t, r, seed, people).Rule(r, wideFromHalf, otherwise, .05)
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range []Estimated{got.Value, got.Gain, got.Inverse, got.Normalised} {
				want := value
				if i == 1 {
					want -= present
				}
				if e.Lo <= want && want <= e.Hi {
					held[i]++
				}
				width[i] += (e.Hi - e.Lo) / float64(runs)
			}
		}
		for i, name := range names {
			share := float64(held[i]) / float64(runs)
			t.Logf("otherwise %d, %s: %.1f %% hold, width %.4f", otherwise, name, 100*share, width[i])
			if math.Abs(share-.95) > 3.5*math.Sqrt(.95*.05/float64(runs)) {
				t.Errorf("otherwise %d: %.1f %% of the intervals by %s hold", otherwise, 100*share, name)
			}
		}
		if width[0] > width[2] {
			t.Errorf("a model makes the interval wider: %v, %v without", width[0], width[2])
		}
	}
}

// TestRuleAsItWas: a rule that says nothing brings what was, exactly.
func TestRuleAsItWas(t *testing.T) {
	r := ruleRunning(t)
	s := logged(t, r, 1, 300)
	got, err := s.Rule(r, []RuleLine{{When: func([]int64) bool { return false }, Arm: 1}}, -1, .05)
	if err != nil {
		t.Fatal(err)
	}
	if got.Changed != 0 || got.Gain != (Estimated{}) || math.Abs(got.Value.Estimate-got.Present) > 1e-12 || math.Abs(got.Normalised.Estimate-got.Present) > 1e-12 {
		t.Errorf("%+v", got)
	}
	all, err := s.Rule(r, wideFromHalf, 0, .05)
	if err != nil || all.Changed != 300 || all.Matched[0] < 100 || all.Matched[0] > 200 || math.Abs(all.Balance-1) > .3 || all.Worth > 300 {
		t.Errorf("%+v, %v", all, err)
	}
	// The first line counts.
	two, err := s.Rule(r, append(slices.Clone(wideFromHalf), RuleLine{When: func([]int64) bool { return true }, Arm: 0}), -1, .05)
	if err != nil || two.Value != all.Value || two.Matched[0]+two.Matched[1] != 300 {
		t.Errorf("%+v, %v", two, err)
	}
}

// TestRuleRefuses: what cannot be told is said.
func TestRuleRefuses(t *testing.T) {
	r := ruleRunning(t)
	f := func(s *Roll, otherwise int, alpha float64, want string) {
		t.Helper()
		if _, err := s.Rule(r, nil, otherwise, alpha); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(new(Roll), -1, .05, "too few people")
	f(logged(t, r, 1, 100), -1, 1, "a level of 1")
	s := logged(t, r, 1, 100)
	for i := range s.Units {
		s.Units[i].Arm = 0
	}
	f(s, 1, .05, "nobody has tried wide yet")
	r.Goal = slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Kind == Ratio })
	f(s, -1, .05, "is a ratio")
}
