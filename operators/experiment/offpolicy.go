package experiment

import (
	"errors"
	"math"
)

// ErrPropensity is returned for a decision whose logged propensity is not one.
var ErrPropensity = errors.New("a propensity must lie above 0 and at most at 1")

// Weighted estimates a mean from decisions that were made with known, changing
// probabilities: sums that add up over workers and days, and that a retraction subtracts
// from. Its intervals hold under adaptive sampling (Hadad et al., 2021): each decision is
// centred by what was known before it, inversely weighted, and weighted anew by the root of
// its probability, so that rarely tried arms do not blow the variance up. The zero value is
// empty.
type Weighted struct {
	N       float64 // decisions, of whatever arm
	W       float64 // sum of weights h
	WG      float64 // of h times the centred score
	WW      float64 // of h squared
	WWG     float64 // of h squared times the score
	WWGG    float64 // of h squared times the score squared
	Plain   float64 // sum of inverse weights of the decisions that took the arm
	Rewards float64 // of inverse weight times reward
	Squares float64 // of inverse weights squared
}

// Add counts a decision. took tells whether it took the arm, propensity with which
// probability it did or would have, and before what was expected of the arm's reward at
// that time, from earlier decisions only; 0 is allowed and only costs precision.
func (w *Weighted) Add(took bool, reward, propensity, before float64) error {
	return w.add(took, reward, propensity, before, 1)
}

// Remove takes a decision back that was added with the same numbers.
func (w *Weighted) Remove(took bool, reward, propensity, before float64) error {
	return w.add(took, reward, propensity, before, -1)
}

func (w *Weighted) add(took bool, reward, propensity, before, sign float64) error {
	if !(propensity > 0 && propensity <= 1) {
		return ErrPropensity
	}
	if bad := reward + before; math.IsNaN(bad) || math.IsInf(bad, 0) {
		return errors.New("a reward is not a number")
	}
	score, h := before, math.Sqrt(propensity)
	if took {
		score += (reward - before) / propensity
		w.Plain += sign / propensity
		w.Rewards += sign * reward / propensity
		w.Squares += sign / (propensity * propensity)
	}
	w.N += sign
	w.W += sign * h
	w.WG += sign * h * score
	w.WW += sign * h * h
	w.WWG += sign * h * h * score
	w.WWGG += sign * h * h * score * score
	return nil
}

// Merge adds the sums of other decisions.
func (w *Weighted) Merge(o Weighted) {
	w.N += o.N
	w.W += o.W
	w.WG += o.WG
	w.WW += o.WW
	w.WWG += o.WWG
	w.WWGG += o.WWGG
	w.Plain += o.Plain
	w.Rewards += o.Rewards
	w.Squares += o.Squares
}

// Estimate is the mean reward of the arm with its standard error, as if every decision had
// taken it.
func (w *Weighted) Estimate() (Effect, error) {
	if !(w.W > 0) {
		return Effect{}, ErrNoUnits
	}
	mean := w.WG / w.W
	spread := w.WWGG - 2*mean*w.WWG + mean*mean*w.WW
	if !(spread > 0) {
		return Effect{}, ErrNoVariance
	}
	return Effect{Estimate: mean, SE: math.Sqrt(spread) / w.W, DoF: math.Max(1, w.N-1), N: w.N}, nil
}

// Naive is the inversely weighted mean, unbiased and of high variance, and SelfNormalised
// divides by the sum of weights instead of the number of decisions.
func (w *Weighted) Naive() float64 { return w.Rewards / w.N }

// SelfNormalised is the mean with weights that sum to one: biased a little, far steadier.
func (w *Weighted) SelfNormalised() float64 { return w.Rewards / w.Plain }

// EffectiveN is how many unweighted decisions the arm's weighted ones are worth.
func (w *Weighted) EffectiveN() float64 {
	if w.Squares <= 0 {
		return 0
	}
	return w.Plain * w.Plain / w.Squares
}

// Policy is the value of a rule that was not in force: what the mean reward would have been
// had the rule chosen, from decisions of another with logged propensities. Sums, as
// Weighted. The zero value is empty.
type Policy struct {
	N              float64
	Scores, Spread float64 // doubly robust scores and their squares
	Ratio, Ratio2  float64 // importance weights and their squares
	Hits           float64 // weight times reward
	Clipped        float64 // decisions whose weight was cut off
}

// PolicyWeightMax is where importance weights are cut off: the interval is wrong by at most
// the share of clipped decisions, which is reported.
const PolicyWeightMax = 100

// Logged is one decision as it was logged.
type Logged struct {
	Arm        int
	Propensity float64 // of that arm, when it was decided
	Reward     float64
}

// Add counts a decision. target are the probabilities of the arms under the rule that is
// asked about, for the same unit; expected what a model says of each arm's reward, nil for
// none. The model must not have seen this decision.
func (p *Policy) Add(d Logged, target, expected []float64) error {
	if !(d.Propensity > 0 && d.Propensity <= 1) {
		return ErrPropensity
	}
	if d.Arm < 0 || d.Arm >= len(target) || expected != nil && len(expected) != len(target) {
		return errors.New("a decision's arm is not one of the rule's")
	}
	if math.IsNaN(d.Reward) || math.IsInf(d.Reward, 0) {
		return errors.New("a reward is not a number")
	}
	weight := target[d.Arm] / d.Propensity
	if weight > PolicyWeightMax {
		weight = PolicyWeightMax
		p.Clipped++
	}
	score, guess := 0.0, 0.0
	for i, e := range expected {
		score += target[i] * e
		if i == d.Arm {
			guess = e
		}
	}
	score += weight * (d.Reward - guess)
	p.N++
	p.Scores += score
	p.Spread += score * score
	p.Ratio += weight
	p.Ratio2 += weight * weight
	p.Hits += weight * d.Reward
	return nil
}

// Merge adds the sums of other decisions.
func (p *Policy) Merge(o Policy) {
	p.N += o.N
	p.Scores += o.Scores
	p.Spread += o.Spread
	p.Ratio += o.Ratio
	p.Ratio2 += o.Ratio2
	p.Hits += o.Hits
	p.Clipped += o.Clipped
}

// Value is the doubly robust estimate with its standard error; Fixed and Sequence give its
// interval.
func (p *Policy) Value() (Effect, error) {
	if !(p.N > 1) {
		return Effect{}, ErrNoUnits
	}
	s := MeanOf(p.N, p.Scores, p.Spread)
	if !(s.Var > 0) {
		return Effect{}, ErrNoVariance
	}
	return Effect{Estimate: s.Mean, SE: math.Sqrt(s.Var / p.N), DoF: p.N - 1, N: p.N}, nil
}

// SelfNormalised is the weighted mean with weights that sum to one.
func (p *Policy) SelfNormalised() float64 { return p.Hits / p.Ratio }

// EffectiveN is how many decisions of the rule itself those of the log are worth. Below a
// hundred or so no interval should be believed.
func (p *Policy) EffectiveN() float64 {
	if p.Ratio2 <= 0 {
		return 0
	}
	return p.Ratio * p.Ratio / p.Ratio2
}
