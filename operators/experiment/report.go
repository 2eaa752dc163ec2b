package experiment

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Report is all that can be said of an experiment when a person asks: the figures of the
// stream, how traffic is shared now, what was decided, and what mails brought beyond what
// would have come without them.
type Report struct {
	Figures
	Optimise string         `json:"optimise,omitempty"` // by what the shares move
	Beliefs  uint64         `json:"beliefs,omitempty"`  // of the optimiser, so far
	Pinned   string         `json:"pinned,omitempty"`
	Frozen   bool           `json:"frozen,omitempty"`
	Merged   uint64         `json:"merged_conflicts,omitempty"` // persons of two variants who became one
	Traffic  []Traffic      `json:"traffic"`
	Lift     []Lift         `json:"incremental,omitempty"` // beside what is attributed
	Uplift   []Contribution `json:"uplift,omitempty"`
	Audit    []Entry        `json:"audit"`
}

// Traffic is how a variant shares in it, and its reward by logged probabilities, which
// holds although the shares moved.
type Traffic struct {
	Variant string   `json:"variant"`
	Weight  float64  `json:"weight"` // as of now; of lines over features that of an average person
	Cap     float64  `json:"cap,omitempty"`
	Matured int64    `json:"matured"` // people whose window is past
	Mean    *float64 `json:"mean"`    // of the goal, a person
	Lo      *float64 `json:"lo"`
	Hi      *float64 `json:"hi"`
	Balance float64  `json:"balance"` // sum of inverse probabilities over people: about 1 if all is well
}

// Lift is what a variant's mails brought beyond the holdout, all people together.
type Lift struct {
	Variant    string  `json:"variant"`
	Revenue    float64 `json:"revenue"` // in the smallest unit
	Lo         float64 `json:"lo"`
	Hi         float64 `json:"hi"`
	Attributed int64   `json:"attributed"` // what is credited to its mails
}

// Contribution is how much a feature adds to what a mail brings, by three ways to learn it.
type Contribution struct {
	Feature     int     `json:"feature"`
	TwoModels   float64 `json:"two_models"`
	XLearner    float64 `json:"x_learner"`
	Transformed float64 `json:"transformed"`
}

// Report tells all of an experiment; s is how it is steered.
func (p *Progress) Report(r *Running, s *Steered, stops *Stops, watermark int64, epoch uint64) Report {
	out := Report{
		Figures: p.Figures(r, stops, watermark, epoch), Beliefs: p.Learn.Serial, Pinned: s.Pinned, Frozen: s.Frozen,
		Merged: p.Merged, Audit: slices.Clone(p.Audit), Lift: p.lift(r),
	}
	if out.Audit == nil {
		out.Audit = []Entry{}
	}
	if r.Optimise != nil {
		out.Optimise = r.Optimise.By
	}
	weights := r.weights(s, p.average())
	for arm, v := range r.Variants {
		t := Traffic{Variant: v.Name, Weight: r.shares[arm] / (1 - r.heldShare())}
		if weights != nil {
			t.Weight = weights[arm]
		}
		if i := slices.IndexFunc(s.Caps, func(c Cap) bool { return c.Variant == v.Name }); i >= 0 {
			t.Cap = s.Caps[i].Share
		}
		if arm < len(p.Learn.Arms) {
			p.traffic(r, arm, &t)
		}
		out.Traffic = append(out.Traffic, t)
	}
	out.Uplift, _ = p.uplift(r) // too few units: nothing is said
	return out
}

// traffic is a variant's mean by logged probabilities.
func (p *Progress) traffic(r *Running, arm int, t *Traffic) {
	a, n := &p.Learn.Arms[arm], int64(0)
	for i := range p.Learn.Arms {
		n += p.Learn.Arms[i].Plain.N
	}
	t.Matured = a.Plain.N
	if n > 0 {
		t.Balance = a.Inverse.Sums[Per].Float() / weightScale / float64(n)
	}
	j := a.Root.Joint()
	if !(j.N > 1) {
		return
	}
	s, err := j.Ratio()
	if err != nil || !(s.Var > 0) {
		return
	}
	e := Effect{Estimate: s.Mean, SE: math.Sqrt(s.Var / s.N), N: s.N, DoF: s.N - 1}.Sequence(r.alphaEach(), r.TuningN)
	t.Mean, t.Lo, t.Hi = &e.Effect, &e.CI.Lo, &e.CI.Hi
}

// average are the features of the average unit, nil without any.
func (p *Progress) average() []int64 {
	var sums []float64
	for i := range p.Learn.Arms {
		a := &p.Learn.Arms[i]
		for k := range a.XY { // the first row holds constant times feature
			if len(sums) < len(a.XY) {
				sums = make([]float64, len(a.XY))
			}
			sums[k] += a.XX[k].Float() / FeatureScale
		}
	}
	if len(sums) == 0 || sums[0] == 0 {
		return nil
	}
	out := make([]int64, len(sums))
	for k := range sums {
		out[k] = int64(math.RoundToEven(sums[k] / sums[0] * FeatureScale))
	}
	return out
}

// lift is what each variant brought beyond the holdout.
func (p *Progress) lift(r *Running) []Lift {
	held := r.Arm(ArmHoldout)
	revenue := slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == MetricRevenue })
	credited := slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == MetricAttributedRevenue })
	if held < 0 || revenue < 0 || p.Tally.Arms != len(r.arms) {
		return nil
	}
	var out []Lift
	for arm, v := range r.Variants {
		e, err := p.Effect(r, arm, held, revenue, false)
		if err != nil {
			continue
		}
		t, n := e.Sequence(r.alphaEach(), r.TuningN), float64(p.Units(arm))
		l := Lift{Variant: v.Name, Revenue: t.Effect * n, Lo: t.CI.Lo * n, Hi: t.CI.Hi * n}
		if credited >= 0 {
			l.Attributed = int64(p.Tally.Cell(arm, credited).Sums[Value].Lo) //nolint:gosec // see AmountMax
		}
		if !math.IsNaN(l.Lo) && !math.IsInf(l.Lo, 0) {
			out = append(out, l)
		}
	}
	return out
}

// upliftLeast is how many units each side must have.
const upliftLeast = 100

// uplift learns from the sums for whom mails pay: all variants against the holdout.
func (p *Progress) uplift(r *Running) ([]Contribution, error) {
	u, err := p.Learn.Uplift(r)
	if err != nil {
		return nil, err
	}
	n := u.Treated.N + u.Control.N
	two, err := u.TwoModels()
	if err != nil {
		return nil, err
	}
	x, err := u.XLearner()
	if err != nil {
		return nil, err
	}
	t, err := u.Transformed(u.Treated.N / n)
	if err != nil {
		return nil, err
	}
	var out []Contribution
	for i := range two {
		out = append(out, Contribution{i, two[i], x[i], t[i]})
	}
	return out, nil
}

// Uplift are the sums of those who were mailed and of those who were held out.
func (l *Learning) Uplift(r *Running) (*Uplift, error) {
	held := r.Arm(ArmHoldout)
	if held < 0 || len(l.Arms) != len(r.arms) {
		return nil, errors.New("nobody is held out")
	}
	var mailed ArmSums
	for arm := range r.Variants {
		mailed.merge(&l.Arms[arm])
	}
	if mailed.Plain.N < upliftLeast || l.Arms[held].Plain.N < upliftLeast || len(mailed.XY) == 0 {
		return nil, ErrNoUnits
	}
	t, err := mailed.Linear(1)
	if err != nil {
		return nil, err
	}
	c, err := l.Arms[held].Linear(1)
	if err != nil {
		return nil, err
	}
	if t.Features != c.Features {
		return nil, errors.New("the holdout has other features")
	}
	return &Uplift{t, c}, nil
}

// Outlook is what a split that was not in force would have brought, a person.
type Outlook struct {
	Split   map[string]float64 `json:"split"`
	Goal    string             `json:"goal"`
	People  int64              `json:"people"`
	Worth   float64            `json:"effective_people"` // how many of its own they are worth
	Value   float64            `json:"value"`            // of the goal, a person
	Lo      float64            `json:"lo"`
	Hi      float64            `json:"hi"`
	Present float64            `json:"present"` // what was, a person
}

// WhatIf answers what the goal would have been had people been shared by split, from the
// logged probabilities: inverse weights that sum to one. Variants that split leaves out get
// nobody. The interval is that of one look, at level alpha.
func (p *Progress) WhatIf(r *Running, split map[string]float64, alpha float64) (Outlook, error) {
	out := Outlook{Split: split, Goal: r.Metrics[r.Goal].Name}
	if r.Metrics[r.Goal].Kind == Ratio {
		return out, errors.New("what-if needs a goal that is a share or a mean")
	}
	weights, total := make([]float64, len(r.Variants)), 0.0
	for name, share := range split {
		arm := r.Arm(name)
		if arm < 0 || arm >= len(weights) {
			return out, fmt.Errorf("no variant %q in %s", name, r.Name)
		}
		if !(share >= 0 && share <= 1) {
			return out, fmt.Errorf("a share of %v for %s: want 0 to 1", share, name)
		}
		weights[arm] = share
		total += share
	}
	if math.Abs(total-1) > 1e-6 {
		return out, fmt.Errorf("shares sum to %v, want 1", total)
	}
	var w, v, ww, vw, vv, reward float64
	for arm, q := range weights {
		a := p.Learn.All(arm)
		out.People += a.Plain.N
		reward += a.Plain.Sums[Value].Float()
		// Products of Values are stored by rows: value², per·value, per².
		v += q * a.Inverse.Sums[Value].Float()
		w += q * a.Inverse.Sums[Per].Float()
		vv += q * q * a.Inverse.Products[0].Float()
		vw += q * q * a.Inverse.Products[1].Float()
		ww += q * q * a.Inverse.Products[2].Float()
		if q > 0 && a.Plain.N < 2 {
			return out, fmt.Errorf("nobody has tried %s yet: %w", r.Variants[arm].Name, ErrNoUnits)
		}
	}
	if !(w > 0) || out.People == 0 {
		return out, ErrNoUnits
	}
	out.Present = reward / float64(out.People)
	out.Value, out.Worth = v/w, w*w/ww
	se := math.Sqrt(math.Max(0, vv-2*out.Value*vw+out.Value*out.Value*ww)) / w
	e := Effect{Estimate: out.Value, SE: se, N: out.Worth, DoF: math.Max(1, out.Worth-1)}.Fixed(alpha)
	out.Lo, out.Hi = e.CI.Lo, e.CI.Hi
	return out, nil
}
