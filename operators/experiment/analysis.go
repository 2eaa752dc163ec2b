package experiment

import (
	"fmt"
	"math"
	"slices"
)

// This file looks at an experiment from several sides at once, from the people whose window
// is past: with what was known before taken out, with the largest orders cut, at quantiles,
// and by groups of people.

// Analysis is an experiment seen from several sides. Intervals may be looked at any time but
// those of the groups.
type Analysis struct {
	Experiment string        `json:"experiment"`
	Phase      string        `json:"phase"`
	Goal       string        `json:"goal"`
	Baseline   string        `json:"baseline"`
	People     int           `json:"people"`
	Waiting    int64         `json:"waiting"` // whose window is open yet; left out
	OneOf      int           `json:"one_of"`  // people there is one in the sample
	Cap        float64       `json:"cap"`     // of revenue: what 99 of 100 people with revenue spend at most
	Arms       []AnalysisArm `json:"arms"`    // others than the baseline
}

// AnalysisArm is a variant against the baseline.
type AnalysisArm struct {
	Variant   string          `json:"variant"`
	People    int             `json:"people"`
	Goal      *Estimated      `json:"goal"`          // nil while it cannot be told, and so on
	Adjusted  *Estimated      `json:"goal_adjusted"` // CUPED, by a line over what was known before
	Removed   float64         `json:"removed"`       // share of the variance that the adjustment takes out
	P         float64         `json:"p"`             // of the adjusted goal
	Holm      float64         `json:"p_holm"`        // corrected for the number of variants
	Revenue   *Estimated      `json:"revenue"`
	Capped    *Estimated      `json:"revenue_capped"`
	Quantiles []QuantileShift `json:"quantiles"` // of revenue
	Groups    []GroupEffect   `json:"groups"`    // of the goal
}

// QuantileShift is how a quantile of revenue moves.
type QuantileShift struct {
	Quantile float64 `json:"quantile"`
	Baseline float64 `json:"baseline"`
	Variant  float64 `json:"variant"`
	Estimated
}

// GroupEffect is the goal's effect in a group of people: by itself, and drawn towards that
// of all, so that the best of many groups is not the luckiest.
type GroupEffect struct {
	Group  string    `json:"group"`
	People int       `json:"people"`
	Own    Estimated `json:"own"`
	Shrunk Estimated `json:"shrunk"`
}

// Grouping puts people into groups by their features.
type Grouping struct {
	Names []string
	Of    func(features []int64) int // index of Names
}

const capShare = 0.99 // of people with revenue: beyond are a few orders that decide by themselves

// quantilesShown are of all people, most of whom spend nothing.
func quantilesShown() []float64 { return []float64{0.5, 0.9, 0.99} }

// Analyse looks at the experiment whose units these are.
func (s *Roll) Analyse(r *Running, groups Grouping) (*Analysis, error) {
	base := r.Baseline()
	out := &Analysis{
		Experiment: r.Name, Phase: r.key[len(r.Name)+1:], Goal: r.Metrics[r.Goal].Name, Baseline: r.arms[base],
		People: len(s.Units), Waiting: s.Waiting, OneOf: 1 << s.Halved, Arms: []AnalysisArm{},
	}
	if out.People < 2 {
		return nil, fmt.Errorf("%d people whose window is past, %d wait: %w", out.People, s.Waiting, ErrTooFew)
	}
	if r.Metrics[r.Goal].Kind == Ratio {
		return nil, fmt.Errorf("%s is a ratio: want a goal that is a share or a mean", out.Goal)
	}
	before, err := s.before()
	if err != nil {
		return nil, err
	}
	spent := make([]Histogram, len(r.arms))
	var buyers Histogram
	for i := range s.Units {
		u := &s.Units[i]
		if err := spent[u.Arm].Add(u.Revenue, 1); err != nil {
			return nil, err
		}
		if u.Revenue > 0 {
			if err := buyers.Add(u.Revenue, 1); err != nil {
				return nil, err
			}
		}
	}
	if buyers.N() > 0 {
		out.Cap = buyers.CapAt(capShare)
	}
	for arm := range r.arms {
		if arm == base {
			continue
		}
		a := AnalysisArm{Variant: r.arms[arm], People: int(spent[arm].N()), P: 1}
		s.effects(&a, r, arm, base, before)
		a.spending(r, &spent[base], &spent[arm], out.Cap)
		a.Groups = s.groups(arm, base, groups)
		out.Arms = append(out.Arms, a)
	}
	var p []float64
	for i := range out.Arms {
		p = append(p, out.Arms[i].P)
	}
	for i, q := range Holm(p) {
		out.Arms[i].Holm = q
	}
	return out, nil
}

// before is what a line over the features says of each unit's outcome, learnt from the units
// of the other folds whatever their arm: something that was known before, for CUPED.
func (s *Roll) before() ([]float64, error) {
	as := make([]int, len(s.Units))
	one := Roll{Units: slices.Clone(s.Units), Dims: s.Dims, features: s.features}
	for i := range one.Units {
		one.Units[i].Arm = 0
	}
	return one.expect(as, 1)
}

// effects are those on the goal and on revenue.
func (s *Roll) effects(a *AnalysisArm, r *Running, arm, base int, before []float64) {
	goal := func(i int) float64 { return float64(s.Units[i].Outcome) }
	joint := func(of int, value func(int) float64) Joint {
		var n float64
		var sums [width]float64
		var products [width][width]float64
		for i := range s.Units {
			if s.Units[i].Arm != of {
				continue
			}
			v := [width]float64{Value: value(i), PreValue: before[i]}
			n++
			for k := range v {
				sums[k] += v[k]
				for l := k; l < width; l++ {
					products[k][l] += v[k] * v[l]
				}
			}
		}
		return JointOf(n, sums, products)
	}
	control, treatment := joint(base, goal), joint(arm, goal)
	if e, err := Absolute(control.Sample(), treatment.Sample()); err == nil {
		a.Goal = anyTime(e, r)
		if c, err := CUPED(control, treatment, Theta(control, treatment), false); err == nil {
			a.Adjusted = anyTime(c, r)
			a.Removed = 1 - square(c.SE/e.SE)
			a.P = c.Sequence(r.alphaEach(), r.TuningN).P
		}
	}
	revenue := func(i int) float64 { return float64(s.Units[i].Revenue) }
	if e, err := Absolute(joint(base, revenue).Sample(), joint(arm, revenue).Sample()); err == nil {
		a.Revenue = anyTime(e, r)
	}
}

func anyTime(e Effect, r *Running) *Estimated {
	t := e.Sequence(r.alphaEach(), r.TuningN)
	if bad := t.Effect + t.CI.Lo + t.CI.Hi; math.IsNaN(bad) || math.IsInf(bad, 0) {
		return nil
	}
	return &Estimated{t.Effect, t.CI.Lo, t.CI.Hi}
}

// spending is revenue with a cap, and at quantiles.
func (a *AnalysisArm) spending(r *Running, control, treatment *Histogram, limit float64) {
	if limit > 0 {
		if e, err := Absolute(control.Capped(limit), treatment.Capped(limit)); err == nil {
			a.Capped = anyTime(e, r)
		}
	}
	for _, nu := range quantilesShown() {
		c, err := control.Quantile(nu)
		if err != nil {
			continue
		}
		t, err := treatment.Quantile(nu)
		if err != nil {
			continue
		}
		shift := QuantileShift{Quantile: nu, Baseline: c.Mean, Variant: t.Mean}
		if e, err := Absolute(c, t); err == nil {
			if x := anyTime(e, r); x != nil {
				shift.Estimated = *x
				a.Quantiles = append(a.Quantiles, shift)
			}
		}
	}
}

// groups are the effects in each group that has enough people of both arms.
func (s *Roll) groups(arm, base int, by Grouping) []GroupEffect {
	sums := make([][2]Moments, len(by.Names))
	var x []int64
	for i := range s.Units {
		u := &s.Units[i]
		if u.Arm != arm && u.Arm != base {
			continue
		}
		x = s.Features(x[:0], i)
		k := 0
		if u.Arm == arm {
			k = 1
		}
		_ = sums[by.Of(x)][k].Add(Values{Value: clamp(u.Outcome, AmountMax)}) // within its bound
	}
	var out []GroupEffect
	var effects []Effect
	for g := range sums {
		c, t := sums[g][0].Joint(), sums[g][1].Joint()
		e, err := Absolute(c.Sample(), t.Sample())
		if err != nil || !(e.SE > 0) {
			continue
		}
		ci := e.Fixed(0.05).CI
		out = append(out, GroupEffect{Group: by.Names[g], People: int(c.N + t.N), Own: Estimated{e.Estimate, ci.Lo, ci.Hi}})
		effects = append(effects, e)
	}
	shrunk, _, err := Shrink(effects)
	if err != nil {
		return nil
	}
	for i, h := range shrunk {
		half := -normalQuantile(0.025) * h.SD
		out[i].Shrunk = Estimated{h.Effect, h.Effect - half, h.Effect + half}
	}
	return out
}
