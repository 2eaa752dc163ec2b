package experiment

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// Prior is what is believed of an effect before; the zero value is flat.
type Prior struct{ Mean, Variance float64 }

// Posterior is what is believed of an effect: normal, as the effect's estimate is.
type Posterior struct{ Mean, SD float64 }

// Posterior puts the effect and a prior together, weighted by their precision.
func (e Effect) Posterior(prior Prior) Posterior {
	if prior.Variance <= 0 {
		return Posterior{e.Estimate, e.SE}
	}
	v := e.SE * e.SE
	share := prior.Variance / (prior.Variance + v) // of the data
	return Posterior{prior.Mean + share*(e.Estimate-prior.Mean), math.Sqrt(share) * e.SE}
}

// ChanceToWin is the probability that the treatment is better.
func (p Posterior) ChanceToWin() float64 {
	if p.SD <= 0 {
		switch {
		case p.Mean > 0:
			return 1
		case p.Mean < 0:
			return 0
		}
		return 0.5
	}
	return normalBelow(p.Mean / p.SD)
}

// LossOfStaying is the expected loss of keeping the control, E[max(X, 0)].
func (p Posterior) LossOfStaying() float64 { return normalLoss(p.Mean, p.SD) }

// LossOfShipping is the expected loss of taking the treatment, E[max(-X, 0)].
func (p Posterior) LossOfShipping() float64 { return normalLoss(-p.Mean, p.SD) }

// Credible is the interval that holds the effect with probability 1-alpha.
func (p Posterior) Credible(alpha float64) Interval {
	return around(p.Mean, -normalQuantile(alpha/2)*p.SD)
}

// BetaMax is how large the parameters of a belief may be; beyond, one more is not counted.
const BetaMax = 1e15

// Beta is what is believed of a probability. Its parameters are positive and at most BetaMax.
type Beta struct{ A, B float64 }

// logDensity is, up to a constant, the log density of the logit of the probability: it is
// smooth and concave however small the parameters are.
func (b Beta) logDensity(y float64) float64 {
	if y > 0 {
		return -b.B*y - (b.A+b.B)*math.Log1p(math.Exp(-y))
	}
	return b.A*y - (b.A+b.B)*math.Log1p(math.Exp(y))
}

// span is where, in logits, all but exp(-45) of the density's height lies.
func (b Beta) span() (lo, mode, hi float64) {
	mode = math.Log(b.A / b.B)
	low := b.logDensity(mode) - 45
	edge := func(sign float64) float64 {
		far := 1.0
		for b.logDensity(mode+sign*far) > low && far < 1e12 {
			far *= 2
		}
		return mode + sign*bisect(0, far, func(d float64) bool { return b.logDensity(mode+sign*d) > low })
	}
	return edge(-1), mode, edge(1)
}

// below is the distribution function at the logit y.
func (b Beta) below(y float64) float64 {
	if y > 0 {
		return 1 - b.above(y)
	}
	if math.Min(b.A, b.B) > betaLarge {
		return b.saddle(y)
	}
	x := math.Exp(y) / (1 + math.Exp(y))
	if x <= 0 {
		return 0
	}
	return mathext.RegIncBeta(b.A, b.B, x)
}

// above is 1 - below, accurate where that is small.
func (b Beta) above(y float64) float64 {
	if y <= 0 {
		return 1 - b.below(y)
	}
	return Beta{b.B, b.A}.below(-y)
}

// betaLarge is from which parameters on the distribution function is reached by its
// expansion: the continued fraction loses digits there, the expansion errs by less than 1e-7.
const betaLarge = 1e5

// saddle is the distribution function at the logit y by the expansion of Lugannani and
// Rice (1980), whose relative error falls with the power 3/2 of the parameters.
func (b Beta) saddle(y float64) float64 {
	n := b.A + b.B
	mean, bend := b.A/n, b.A/n*b.B
	// Next to the middle both terms of the correction grow beyond bounds and cancel; it is
	// smooth, so its value beside the middle does.
	at := y
	if off := (y - math.Log(b.A/b.B)) * math.Sqrt(bend); math.Abs(off) < 1e-3 {
		at = math.Log(b.A/b.B) + 1e-3/math.Sqrt(bend)
	}
	root := func(y float64) (r, p float64) {
		p = 1 / (1 + math.Exp(-y))
		depth := p*divergence((mean-p)/p) + (1-p)*divergence((p-mean)/(1-p))
		return math.Copysign(math.Sqrt(2*n*math.Max(0, depth)), p-mean), p
	}
	r, _ := root(y)
	rAt, pAt := root(at)
	q := n * (pAt - mean) / math.Sqrt(bend)
	return math.Max(0, math.Min(1, normalBelow(r)+normalDensity(r)*(1/rAt-1/q)))
}

// Duel is what follows from the beliefs about the rates of two arms.
type Duel struct {
	BBeatsA     float64 // probability that B's rate is higher
	LossChooseA float64 // E[max(B-A, 0)]
	LossChooseB float64 // E[max(A-B, 0)]
}

// NewDuel compares two rates exactly, by quadrature over logits.
func NewDuel(a, b Beta) Duel {
	aLo, aMode, aHi := a.span()
	bLo, bMode, bHi := b.span()
	points := panels([]float64{aLo, aMode, aHi, bLo, bMode, bHi}, [][3]float64{{aLo, aMode, aHi}, {bLo, bMode, bHi}})
	logB := logBeta(b.A, b.B)
	slope := func(y float64) float64 { // dx/dy of the logistic function
		e := math.Exp(-math.Abs(y))
		return e / square(1+e)
	}
	own := panels([]float64{bLo, bMode, bHi, aLo, aMode, aHi}, [][3]float64{{bLo, bMode, bHi}, {aLo, aMode, aHi}})
	own = slices.DeleteFunc(own, func(y float64) bool { return y < bLo || y > bHi })
	return Duel{
		BBeatsA: math.Min(1, integrate(own, func(y float64) float64 {
			return math.Exp(b.logDensity(y)-logB) * a.below(y)
		})),
		// E[(B-A)+] is the integral of P(A < x < B).
		LossChooseA: integrate(points, func(y float64) float64 { return a.below(y) * b.above(y) * slope(y) }),
		LossChooseB: integrate(points, func(y float64) float64 { return b.below(y) * a.above(y) * slope(y) }),
	}
}

// panels puts 16 equal panels on each side of each mode, and ever wider ones about a logit
// of zero, where flat beliefs have their bend; sorted, between the outermost points.
func panels(points []float64, spans [][3]float64) []float64 {
	for _, s := range spans {
		for k := 1.0; k < 16; k++ {
			points = append(points, s[0]+(s[1]-s[0])*k/16, s[1]+(s[2]-s[1])*k/16)
		}
	}
	lo, hi := slices.Min(points), slices.Max(points)
	for d := 1.0; d < math.Max(hi, -lo) && d < 1e6; d *= 2 {
		points = append(points, math.Max(lo, -d), math.Min(hi, d))
	}
	slices.Sort(points)
	return points
}
