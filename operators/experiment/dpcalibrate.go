package experiment

import (
	"errors"
	"math"
	"math/bits"
)

// What is published about groups of people is noised elsewhere; here is how much noise a
// promise needs. Epsilon and delta are those of differential privacy, the unit is a
// person, l0 in how many groups one may stand and linf how much one may add to each.

// GaussianDelta is the delta of Gaussian noise (Balle and Wang, 2018).
func GaussianDelta(sigma, sensitivity, epsilon float64) float64 {
	a, b := sensitivity/(2*sigma), epsilon*sigma/sensitivity
	if math.IsInf(a, 1) {
		return 1
	}
	upper := logNormalBelow(a - b)
	// e^eps Phi(-a-b) <= Phi(a-b); the difference of logarithms keeps small deltas.
	d := epsilon + logNormalBelow(-a-b) - upper
	if d >= 0 {
		return 0
	}
	return math.Exp(upper) * -math.Expm1(d)
}

// GaussianSigma is the least noise that keeps GaussianDelta at delta.
func GaussianSigma(sensitivity, epsilon, delta float64) (float64, error) {
	if !(delta > 0 && delta < 1) || !(epsilon >= 0) || !(sensitivity > 0) || math.IsInf(epsilon, 1) {
		return 0, errors.New("noise needs a delta between 0 and 1, an epsilon of at least 0 and a positive sensitivity")
	}
	hi := 1.0
	for GaussianDelta(hi*sensitivity, sensitivity, epsilon) > delta && hi < 1e300 {
		hi *= 2
	}
	lo := hi / 2
	for GaussianDelta(lo*sensitivity, sensitivity, epsilon) <= delta && lo > 1e-300 {
		lo /= 2
	}
	return sensitivity * bisect(lo, hi, func(s float64) bool {
		return GaussianDelta(s*sensitivity, sensitivity, epsilon) > delta
	}), nil
}

// perGroup is the share of delta that each of l0 groups may use.
func perGroup(delta, l0 float64) float64 { return -math.Expm1(math.Log1p(-delta) / l0) }

// LaplaceThreshold is from which noised count on a group may be shown.
func LaplaceThreshold(l0, linf, epsilon, delta float64) float64 {
	scale, d := l0*linf/epsilon, perGroup(delta, l0)
	if d <= 0.5 {
		return linf - scale*math.Log(2*d)
	}
	return linf + scale*math.Log(2*(1-d))
}

// GaussianThreshold is LaplaceThreshold for Gaussian noise of the given deviation.
func GaussianThreshold(l0, linf, sigma, delta float64) float64 {
	return linf - sigma*normalQuantile(perGroup(delta, l0))
}

// KeepProbability is with which probability a group of n people may be shown, at most: the
// optimal selection of Desfontaines, Voss, Gipson and Mandayam (2022), in closed form.
func KeepProbability(n, epsilon, delta, l0 float64) float64 {
	epsilon, delta = epsilon/l0, perGroup(delta, l0)
	if n <= 0 {
		return 0
	}
	if epsilon == 0 {
		return math.Min(1, n*delta)
	}
	// (e^(n eps) - 1) / (e^eps - 1), which overflows at no n and eps.
	series := func(n float64) float64 {
		return math.Exp((n-1)*epsilon) * math.Expm1(-n*epsilon) / math.Expm1(-epsilon)
	}
	// The count up to which the first of the two limits rules.
	shrunk := math.Exp(-epsilon)
	turn := 1 + math.Floor(math.Log((1-shrunk+2*delta*shrunk)/((1+shrunk)*delta))/epsilon)
	if n <= turn {
		return math.Min(1, series(n)*delta)
	}
	m := n - turn
	return math.Min(1, -math.Expm1(-m*epsilon)*(1+delta/math.Expm1(epsilon))+math.Exp(-m*epsilon)*series(turn)*delta)
}

// Granularity is the power of two that noised sums are rounded to, so that their last bits
// betray nothing (Mironov, 2012).
func Granularity(epsilon, l1 float64) float64 {
	frac, exp := math.Frexp(l1 / epsilon)
	if frac == 0.5 {
		exp--
	}
	return math.Ldexp(1, exp-40)
}

// Geometric is the two-sided geometric distribution for counts: P(k) ~ exp(-|k| eps/s).
type Geometric struct{ rate float64 }

// NewGeometric makes it for an epsilon and a sensitivity.
func NewGeometric(epsilon, sensitivity float64) Geometric { return Geometric{epsilon / sensitivity} }

// Variance of the noise.
func (g Geometric) Variance() float64 {
	return 2 * math.Exp(-g.rate) / square(math.Expm1(-g.rate))
}

// Zero is the probability of no noise at all.
func (g Geometric) Zero() float64 { return math.Tanh(g.rate / 2) }

// Within is the probability of noise of at most k in size.
func (g Geometric) Within(k float64) float64 {
	// 1 - 2 a^(k+1) / (1+a)
	return 1 - 2*math.Exp(-g.rate*(k+1))/(1+math.Exp(-g.rate))
}

// TreeLevels is how many levels a binary tree counter over so many releases has.
func TreeLevels(releases uint64) int { return bits.Len64(releases) }

// TreeVariance is that of a binary tree counter at release t, each node with Laplace noise
// of scale levels * sensitivity / epsilon.
func TreeVariance(releases, t uint64, epsilon, sensitivity float64) float64 {
	return float64(bits.OnesCount64(t)) * 2 * square(float64(TreeLevels(releases))*sensitivity/epsilon)
}

// Spent is what k releases cost together.
type Spent struct{ Epsilon, Delta float64 }

// BasicComposition adds the costs up.
func BasicComposition(k, epsilon, delta float64) Spent { return Spent{k * epsilon, k * delta} }

// AdvancedComposition is that of Dwork, Rothblum and Vadhan (2010), with slack more delta.
func AdvancedComposition(k, epsilon, delta, slack float64) Spent {
	return Spent{epsilon*math.Sqrt(-2*k*math.Log(slack)) + k*epsilon*math.Expm1(epsilon), k*delta + slack}
}

// ZCDP is the cost of k Gaussian releases as zero-concentrated privacy (Bun and Steinke,
// 2016), and ZCDPEpsilon turns such a cost into an epsilon.
func ZCDP(k, sigma float64) float64 { return k / (2 * sigma * sigma) }

// ZCDPEpsilon is the epsilon of a zCDP cost at a delta.
func ZCDPEpsilon(rho, delta float64) float64 { return rho + 2*math.Sqrt(-rho*math.Log(delta)) }
