package experiment

import "math"

// TuningN is for how many units, of both arms, a confidence sequence is tightest when
// nothing else is said: the size at which a campaign of a middling shop is read.
const TuningN = 5000

// Rho is the parameter of the asymptotic confidence sequence that makes it tightest at n
// units (arXiv 2103.06476, equation 161). For a one-sided one, alpha is doubled before.
func Rho(alpha, n float64) float64 {
	l := -2 * math.Log(alpha)
	return math.Sqrt((l + math.Log1p(l)) / n)
}

// RhoOneSided is Rho for a one-sided sequence. From alpha .5 on doubling has no meaning any
// more, so it stops just below 1.
func RhoOneSided(alpha, n float64) float64 { return Rho(math.Min(2*alpha, 1-1e-9), n) }

// Sequence is the two-sided asymptotic confidence sequence: it may be looked at after every
// unit, and stopped at will. P is that of this look; a report keeps the running minimum.
func (e Effect) Sequence(alpha, tuningN float64) Test {
	nr := e.N * square(Rho(alpha, tuningN))
	// sqrt(N) * sqrt(2 (N rho^2 + 1) / (N rho)^2 * ln(...)), with the N's cancelled.
	half := e.SE * math.Sqrt(2*(1+1/nr)*(0.5*math.Log1p(nr)-math.Log(alpha)))
	return Test{
		Effect: e.Estimate, SE: e.SE,
		P:  math.Exp(math.Min(0, -e.LogEvidence(alpha, tuningN))),
		CI: around(e.Estimate, half),
	}
}

// LogEvidence is the logarithm of the e-value against "no effect": it grows without bound
// where the effect is real, and 1/e is a p-value that is valid at any time.
func (e Effect) LogEvidence(alpha, tuningN float64) float64 {
	nr := e.N * square(Rho(alpha, tuningN))
	// Written so that no product of zero and infinity arises, however it is tuned.
	return math.Min(square(e.Estimate/e.SE), math.MaxFloat64)/(2*(1+1/nr)) - 0.5*math.Log1p(nr)
}

// SequenceOneSided bounds the effect from below and from above, each with probability
// alpha at all times together. Only one of the two ends may be used: that which was chosen
// before. P is for the hypothesis that the effect is not greater than zero, or not less.
func (e Effect) SequenceOneSided(alpha, tuningN float64, greater bool) Test {
	nr := e.N * square(RhoOneSided(alpha, tuningN))
	half := e.SE * math.Sqrt(2*(1+1/nr)*log1pExp(0.5*math.Log1p(nr)-math.Log(2*alpha)))
	z := e.Estimate / e.SE
	if !greater {
		z = -z
	}
	t := Test{Effect: e.Estimate, SE: e.SE, P: 1, CI: around(e.Estimate, half)}
	if z > 0 {
		// The alpha at which the bound touches zero, with rho as it was tuned.
		x := math.Min(z*z, math.MaxFloat64) / (2 * (1 + 1/nr))
		if x > 0 && !math.IsInf(nr, 1) {
			t.P = math.Min(1, math.Exp(0.5*math.Log1p(nr)-math.Ln2-logExpm1(x)))
		}
	}
	return t
}

func square(x float64) float64 { return x * x }

// log1pExp is ln(1 + exp(x)).
func log1pExp(x float64) float64 {
	if x > 30 {
		return x + math.Exp(-x)
	}
	return math.Log1p(math.Exp(x))
}

// logExpm1 is ln(exp(x) - 1) for x > 0.
func logExpm1(x float64) float64 {
	if x > 30 {
		return x - math.Exp(-x)
	}
	return math.Log(math.Expm1(x))
}

// MSPRT is one look of the mixture sequential probability ratio test.
type MSPRT struct {
	Variance float64 // of the difference of two units, one of each arm
	LogRatio float64 // logarithm of the likelihood ratio
	P        float64 // of this look; a report keeps the running minimum
	Half     float64 // half-width of the interval
	CI       Interval
}

// NewMSPRT tests a difference of means d between two arms of n units each, whose units
// differ with the given variance (v_a + v_b), with a normal mixture of variance tau2 over
// the effect (Johari et al., KDD 2017). Arms of unequal size have no such test: use the
// confidence sequence, or give the harmonic mean of their sizes.
func NewMSPRT(n, d, variance, tau2, alpha float64) (MSPRT, error) {
	switch {
	case !(n > 0):
		return MSPRT{}, ErrNoUnits
	case !(variance > 0):
		return MSPRT{}, ErrNoVariance
	}
	m := MSPRT{Variance: variance}
	nt := n * tau2
	shrink := -0.5 * math.Log1p(nt/variance) // ln sqrt(V / (V + n tau2))
	if math.IsInf(nt/variance, 1) {
		shrink = -0.5 * (math.Log(n) + math.Log(tau2) - math.Log(variance))
	}
	// Written so that no product or quotient of infinities arises.
	m.LogRatio = shrink + math.Min(n*d*d/(2*variance), math.MaxFloat64)/(1+variance/nt)
	m.P = math.Exp(math.Min(0, -m.LogRatio))
	m.Half = math.Sqrt(variance / n * (1 + variance/nt) * (-2*math.Log(alpha) - 2*shrink))
	m.CI = around(d, m.Half)
	return m, nil
}

// RunningMin replaces each p-value by the least seen so far, which is what stays valid when
// one may stop at any time.
func RunningMin(p []float64) []float64 {
	out, least := make([]float64, len(p)), 1.0
	for i, v := range p {
		least = math.Min(least, v)
		out[i] = least
	}
	return out
}
