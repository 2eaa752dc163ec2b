package experiment

import (
	"fmt"
	"math"
	"slices"
)

// This file answers what a rule would have brought that was never in force: "who ordered
// three times gets the wide mail", from the logged probabilities.

// RuleValue is what a rule would have brought of the goal, a person, all people together,
// those who are held out among them.
type RuleValue struct {
	Experiment string    `json:"experiment"`
	Goal       string    `json:"goal"`
	People     int       `json:"people"`
	Waiting    int64     `json:"waiting"` // whose window is open yet; left out
	OneOf      int       `json:"one_of"`  // people there is one in the sample
	Changed    int       `json:"changed"` // people for whom the rule says something
	Matched    []int     `json:"matched"` // people by line of the rule
	Present    float64   `json:"present"` // what was
	Value      Estimated `json:"value"`   // doubly robust
	Gain       Estimated `json:"gain"`    // of Value over what was, from the same people
	Inverse    Estimated `json:"inverse"` // by inverse probabilities alone
	Normalised Estimated `json:"self_normalised"`
	Worth      float64   `json:"effective_people"` // how many of those with Changed the weighted ones are worth
	Balance    float64   `json:"balance"`          // weights over Changed: about 1, or the log cannot tell
	Clipped    int       `json:"clipped"`          // people whose weight was cut off at 100
}

// Estimated is an estimate with its interval.
type Estimated struct {
	Estimate float64 `json:"estimate"`
	Lo       float64 `json:"lo"`
	Hi       float64 `json:"hi"`
}

// RuleLine is a line of a rule: whoever it holds for gets the arm.
type RuleLine struct {
	When func(features []int64) bool
	Arm  int
}

// Rule answers what a rule would have brought. The first line that holds for a person
// counts; for whom none does gets by otherwise, which is -1 for: what the log says was done.
// The interval is that of one look, at level alpha.
func (s *Roll) Rule(r *Running, lines []RuleLine, otherwise int, alpha float64) (*RuleValue, error) {
	if !(alpha > 0 && alpha < 1) {
		return nil, fmt.Errorf("a level of %v: want one between 0 and 1", alpha)
	}
	if r.Metrics[r.Goal].Kind == Ratio {
		return nil, fmt.Errorf("%s is a ratio: want a goal that is a share or a mean", r.Metrics[r.Goal].Name)
	}
	out := &RuleValue{
		Experiment: r.Name, Goal: r.Metrics[r.Goal].Name, People: len(s.Units), Waiting: s.Waiting, OneOf: 1 << s.Halved,
		Matched: make([]int, len(lines)),
	}
	if out.People < 2 {
		return nil, fmt.Errorf("%d people whose window is past, %d wait: %w", out.People, s.Waiting, ErrTooFew)
	}
	chosen := s.choose(out, lines, otherwise)
	used := make([]bool, len(r.arms))
	for _, arm := range chosen {
		if arm >= 0 {
			used[arm] = true
		}
	}
	for arm, name := range r.arms {
		tried := slices.ContainsFunc(s.Units, func(u Sampled) bool { return u.Arm == arm })
		if used[arm] && !tried {
			return nil, fmt.Errorf("nobody has tried %s yet: %w", name, ErrNoUnits)
		}
	}
	expected, err := s.expect(chosen, len(r.arms))
	if err != nil {
		return nil, err
	}
	return out, s.weigh(out, chosen, expected, alpha)
}

// choose is the arm of each unit under a rule; -1: as it was.
func (s *Roll) choose(out *RuleValue, lines []RuleLine, otherwise int) []int {
	chosen := make([]int, len(s.Units))
	var x []int64
	for i := range s.Units {
		x = s.Features(x[:0], i)
		k := slices.IndexFunc(lines, func(l RuleLine) bool { return l.When(x) })
		chosen[i] = otherwise
		if k >= 0 {
			chosen[i] = lines[k].Arm
			out.Matched[k]++
		}
		if chosen[i] >= 0 {
			out.Changed++
		}
	}
	return chosen
}

// expect is what a line over the features says of each unit's outcome under the arm that
// is chosen for it, learnt from units of the other folds.
func (s *Roll) expect(chosen []int, arms int) ([]float64, error) {
	folds := make([][]*Linear, foldsMax) // by fold, by arm: of the units that are not in the fold
	for k := range folds {
		for range arms {
			l, err := NewLinear(max(s.Dims, 1), 1)
			if err != nil {
				return nil, err
			}
			folds[k] = append(folds[k], l)
		}
	}
	var x []float64
	for i := range s.Units {
		u := &s.Units[i]
		x = s.numbers(x[:0], i)
		for k := range folds {
			if k == u.Fold {
				continue
			}
			if err := folds[k][u.Arm].Add(x, float64(u.Outcome), 1); err != nil {
				return nil, err
			}
		}
	}
	out := make([]float64, len(s.Units))
	for i := range s.Units {
		if chosen[i] < 0 {
			continue
		}
		theta, err := folds[s.Units[i].Fold][chosen[i]].Fit()
		if err != nil {
			return nil, err
		}
		x = s.numbers(x[:0], i)
		for j, v := range x {
			out[i] += theta[j] * v
		}
	}
	return out, nil
}

// weigh puts the units' scores together.
func (s *Roll) weigh(out *RuleValue, chosen []int, expected []float64, alpha float64) error {
	n := len(s.Units)
	robust, gain, inverse := make([]float64, n), make([]float64, n), make([]float64, n)
	weights, hit := make([]float64, n), make([]float64, n)
	var sumW, sumWW, sum float64
	for i := range s.Units {
		u := &s.Units[i]
		y := float64(u.Outcome)
		sum += y
		w := 1.0 // of what was done anyway
		if chosen[i] >= 0 {
			w = 0
			if chosen[i] == u.Arm {
				w = 1 / u.Propensity
			}
			if w > PolicyWeightMax {
				w = PolicyWeightMax
				out.Clipped++
			}
			sumW += w
			sumWW += w * w
		}
		weights[i], hit[i], inverse[i] = w, w*y, w*y
		robust[i] = expected[i] + w*(y-expected[i])
		gain[i] = robust[i] - y
	}
	out.Present = sum / float64(n)
	out.Value, out.Gain, out.Inverse = estimated(robust, alpha), estimated(gain, alpha), estimated(inverse, alpha)
	total := 0.0
	for _, w := range weights {
		total += w
	}
	if !(total > 0) {
		return ErrNoUnits
	}
	mean := out.Inverse.Estimate * float64(n) / total
	for i := range hit { // the delta method for a ratio of means
		hit[i] = (hit[i] - mean*weights[i]) * float64(n) / total
	}
	e := estimated(hit, alpha)
	out.Normalised = Estimated{mean, mean + e.Lo - e.Estimate, mean + e.Hi - e.Estimate}
	if out.Changed > 0 {
		out.Balance = sumW / float64(out.Changed)
	}
	if sumWW > 0 {
		out.Worth = sumW * sumW / sumWW
	}
	return nil
}

// estimated is the mean of scores with the interval of one look.
func estimated(scores []float64, alpha float64) Estimated {
	n, sum := float64(len(scores)), 0.0
	for _, x := range scores {
		sum += x
	}
	mean, spread := sum/n, 0.0
	for _, x := range scores {
		spread += square(x - mean)
	}
	se := math.Sqrt(spread / (n - 1) / n)
	if se == 0 {
		return Estimated{mean, mean, mean}
	}
	ci := Effect{Estimate: mean, SE: se, DoF: n - 1, N: n}.Fixed(alpha).CI
	return Estimated{mean, ci.Lo, ci.Hi}
}
