package experiment

import (
	"errors"
	"fmt"
	"math"
)

// NormalMixtureRho is the parameter of the two-sided normal mixture bound that makes it
// tightest at the intrinsic time v (Howard et al., package confseq).
func NormalMixtureRho(v, alpha float64) float64 {
	l := -2 * math.Log(alpha)
	return v / (l + math.Log1p(l))
}

// NormalMixtureBound is what a sum of centred outcomes exceeds in size with probability
// alpha at any intrinsic time v.
func NormalMixtureBound(v, alpha, rho float64) float64 {
	return math.Sqrt((v + rho) * (math.Log1p(v/rho) - 2*math.Log(alpha)))
}

// LogNormalMixture is the logarithm of the mixture martingale at the sum s.
func LogNormalMixture(s, v, rho float64) float64 {
	return s*s/(2*(v+rho)) - 0.5*math.Log1p(v/rho)
}

// betaPrior is the Beta prior of the two-sided mixture that is tightest at the intrinsic
// time vOpt, for outcomes -g and h.
func betaPrior(vOpt, alpha, g, h float64) [2]float64 {
	// A thousandth: below that the prior is all spikes, as confseq has it.
	r := math.Max(NormalMixtureRho(vOpt, alpha)-g*h, 1e-3*g*h)
	return [2]float64{r / (h * (g + h)), r / (g * (g + h))}
}

// LogBetaBinomialMixture is the logarithm of the mixture martingale for sums s of outcomes
// that lie between -g and h with mean zero, at the intrinsic time v.
func LogBetaBinomialMixture(s, v, vOpt, alpha, g, h float64) (float64, error) {
	n := v / (g * h)
	up := (n*g + s) / (g + h)
	down := n - up
	if up < 0 || down < 0 {
		return 0, fmt.Errorf("a sum of %v is not possible at the time %v", s, v)
	}
	prior := betaPrior(vOpt, alpha, g, h)
	total := g + h
	return dirichletEvidence(prior[:], []float64{up, down}, []float64{g / total, h / total}), nil
}

// BernoulliSequence is a confidence sequence for a probability, exact for any n and however
// rare the event is, tightest at tOpt trials: a beta-binomial mixture inverted.
func BernoulliSequence(successes, trials, alpha, tOpt, alphaOpt float64) Interval {
	if !(trials > 0) {
		return Interval{0, 1}
	}
	lower := func(k float64) float64 {
		if k <= 0 {
			return 0
		}
		excluded := func(p float64) bool {
			prior := betaPrior(tOpt*p*(1-p), alphaOpt, p, 1-p)
			return dirichletEvidence(prior[:], []float64{k, trials - k}, []float64{p, 1 - p}) > -math.Log(alpha)
		}
		// With one success the evidence stays finite as p goes to zero.
		lo, hi := math.Min(1e-12, 1e-6*k/trials), math.Min(k/trials, 1-1e-15)
		if !excluded(lo) {
			return 0
		}
		return bisect(lo, hi, excluded)
	}
	return Interval{lower(successes), 1 - lower(trials-successes)}
}

// dirichletEvidence is the logarithm of the Bayes factor of a Dirichlet prior over the
// probabilities against fixed ones, given counts. It is built from differences that stay
// small, so that it is as accurate at 1e12 counts as at ten.
func dirichletEvidence(prior, counts, null []float64) float64 {
	before, after := 0.0, 0.0
	for i, a := range prior {
		before += a
		after += a + counts[i]
	}
	e := 0.0
	for i, a := range prior {
		z := a + counts[i]
		e += after*null[i]*divergence((z-after*null[i])/(after*null[i])) -
			before*null[i]*divergence((a-before*null[i])/(before*null[i])) -
			0.5*math.Log(z/after*(before/a)) + stirling(z) - stirling(a)
	}
	k := float64(len(prior))
	return e - (k-1)/2*math.Log(after/before) - stirling(after) + stirling(before)
}

// divergence is (1+u) ln(1+u) - u, without cancellation for small u.
func divergence(u float64) float64 {
	if math.Abs(u) > 0.05 {
		if u <= -1 {
			return 1
		}
		return (1+u)*math.Log1p(u) - u
	}
	sum, power := 0.0, u*u
	for k := 2.0; k < 16; k++ {
		sum += power / (k * (k - 1))
		power *= -u
	}
	return sum
}

// SRM tests whether units arrive in the shares that were planned.
type SRM struct {
	Chi2 float64
	P    float64
}

// ErrShares is returned for shares that are no shares.
var ErrShares = errors.New("shares must be positive numbers, one for each arm")

// ChiSquareSRM compares counts with shares once; looked at again and again it raises false
// alarms. Arms of share zero are left out with their degree of freedom, and a unit in one
// is a mismatch beyond doubt.
func ChiSquareSRM(counts, shares []float64) (SRM, error) {
	if len(counts) != len(shares) || len(counts) == 0 {
		return SRM{}, ErrShares
	}
	n, total := 0.0, 0.0
	for i, w := range shares {
		if !(w >= 0) || math.IsInf(w, 1) {
			return SRM{}, ErrShares
		}
		n += counts[i]
		total += w
	}
	if !(total > 0) {
		return SRM{}, ErrShares
	}
	if n == 0 {
		return SRM{P: 1}, nil
	}
	if math.IsInf(n, 1) || math.IsInf(total, 1) {
		return SRM{}, ErrRange
	}
	r, dof := SRM{}, -1.0
	for i, w := range shares {
		if w == 0 {
			if counts[i] > 0 {
				return SRM{Chi2: math.Inf(1), P: 0}, nil
			}
			continue
		}
		want := n * (w / total)
		r.Chi2 += square(counts[i]-want) / want
		dof++
	}
	r.P = chiSquareAbove(r.Chi2, dof)
	return r, nil
}

// SRMConcentration is the weight of the prior of the sequential test: a mismatch of a few
// per cent is what goes wrong in practice, not one of half the traffic.
const SRMConcentration = 10000

// SequentialSRM is a test of the shares that may be looked at after every unit
// (Lindon and Malek, 2020): a Dirichlet-multinomial Bayes factor. Counts add up, so that
// batches and workers may be put together in any order. One goroutine at a time.
type SequentialSRM struct {
	null, prior, counts []float64
	least               float64
}

// NewSequentialSRM begins a test of the given shares, with a Dirichlet prior of these
// parameters; nil stands for SRMConcentration times the shares.
func NewSequentialSRM(shares, prior []float64) (*SequentialSRM, error) {
	total := 0.0
	for _, w := range shares {
		if !(w > 0) || math.IsInf(w, 1) {
			return nil, ErrShares
		}
		total += w
	}
	if len(shares) < 2 || prior != nil && len(prior) != len(shares) {
		return nil, ErrShares
	}
	s := &SequentialSRM{least: 1, counts: make([]float64, len(shares))}
	for i, w := range shares {
		a := SRMConcentration * (w / total)
		if prior != nil {
			a = prior[i]
		}
		// Beyond these nothing is meant, and sums leave the range of numbers.
		if !(w/total > 1e-12) || !(a > 1e-12 && a < 1e15) {
			return nil, fmt.Errorf("a share of %v with a prior weight of %v: want more than 1e-12 of each", w/total, a)
		}
		s.null, s.prior = append(s.null, w/total), append(s.prior, a)
	}
	return s, nil
}

// Add counts a batch of units, one number for each arm, and looks.
func (s *SequentialSRM) Add(units []float64) {
	for i := range s.counts {
		s.counts[i] += units[i]
	}
	if p := math.Exp(math.Min(0, -s.LogEvidence())); p < s.least {
		s.least = p
	}
}

// LogEvidence is the logarithm of the Bayes factor against the planned shares.
func (s *SequentialSRM) LogEvidence() float64 { return dirichletEvidence(s.prior, s.counts, s.null) }

// LogNull is the logarithm of the probability of the counts under the planned shares.
func (s *SequentialSRM) LogNull() float64 {
	l := 0.0
	for i, x := range s.counts {
		l += x * math.Log(s.null[i])
	}
	return l
}

// P is the least p-value of all looks so far.
func (s *SequentialSRM) P() float64 { return s.least }
