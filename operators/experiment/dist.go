package experiment

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// halfLn2Pi is half the logarithm of 2 pi.
const halfLn2Pi = 0.91893853320467274178

// normalDensity is the density of the standard normal distribution.
func normalDensity(x float64) float64 { return math.Exp(-x*x/2 - halfLn2Pi) }

// normalBelow is the standard normal distribution function, accurate in both tails.
func normalBelow(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// logNormalBelow is the logarithm of normalBelow, also where that underflows.
func logNormalBelow(x float64) float64 {
	if x > -30 {
		return math.Log(normalBelow(x))
	}
	// Mills' ratio: seven digits would do at -30, these terms give fifteen.
	u := 1 / (x * x)
	return -x*x/2 - halfLn2Pi - math.Log(-x) + math.Log1p(-u*(1-3*u*(1-5*u*(1-7*u))))
}

// normalQuantile is the point below which a standard normal lies with probability p.
func normalQuantile(p float64) float64 {
	switch {
	case p <= 0:
		return math.Inf(-1)
	case p >= 1:
		return math.Inf(1)
	}
	return mathext.NormalQuantile(p)
}

// normalLoss is E[max(X, 0)] for a normal X with the given mean and deviation. It keeps its
// relative accuracy where both terms of the usual formula cancel.
func normalLoss(mean, sd float64) float64 {
	if sd <= 0 {
		return math.Max(mean, 0)
	}
	z := mean / sd
	if z > -30 {
		// At -30 the two terms agree in 3 of 16 digits: nothing is lost yet.
		return math.Max(0, sd*normalDensity(z)+mean*normalBelow(z))
	}
	u := 1 / (z * z)
	return sd * normalDensity(z) * u * (1 - 3*u*(1-5*u*(1-7*u*(1-9*u))))
}

// dofLarge is from how many degrees of freedom on Student's distribution is reached through
// the normal one: the incomplete beta function loses digits there, and the approximations
// below err by less than 1e-12.
const dofLarge = 1e6

// studentAbove is the probability that Student's t with dof degrees of freedom exceeds x,
// accurate in the upper tail.
func studentAbove(x, dof float64) float64 {
	if x < 0 {
		return 1 - studentAbove(-x, dof)
	}
	if dof > dofLarge {
		// Wallace (1959), as in Hill (1970).
		return normalBelow(-(8*dof + 1) / (8*dof + 3) * math.Sqrt(dof*math.Log1p(x*x/dof)))
	}
	if x*x < dof {
		// Away from the tail the complement is the accurate one of the two.
		if below := mathext.RegIncBeta(0.5, dof/2, x*x/(dof+x*x)); below < 0.5 {
			return 0.5 * (1 - below)
		}
	}
	if math.IsInf(x*x, 1) {
		return 0
	}
	return 0.5 * mathext.RegIncBeta(dof/2, 0.5, dof/(dof+x*x))
}

// studentUpper is the point that Student's t exceeds with probability p.
func studentUpper(p, dof float64) float64 {
	if p > 0.5 {
		return -studentUpper(1-p, dof)
	}
	z := -normalQuantile(p)
	if dof > dofLarge {
		z3 := z * z * z
		return z + (z3+z)/(4*dof) + (5*z3*z*z+16*z3+3*z)/(96*dof*dof)
	}
	lo, hi := z, z+1 // the tail is heavier than the normal one
	for studentAbove(hi, dof) > p && hi < math.MaxFloat64/4 {
		lo, hi = hi, hi*2
	}
	return bisect(lo, hi, func(x float64) bool { return studentAbove(x, dof) > p })
}

// bisect finds where before turns from true to false between lo and hi.
func bisect(lo, hi float64, before func(float64) bool) float64 {
	for range 2000 {
		mid := lo + (hi-lo)/2
		if mid <= lo || mid >= hi {
			break
		}
		if before(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo + (hi-lo)/2
}

// chiSquareAbove is the probability that a chi-square variable exceeds x.
func chiSquareAbove(x, dof float64) float64 {
	switch {
	case x <= 0 || dof <= 0:
		return 1
	case math.IsInf(x, 1):
		return 0
	}
	return mathext.GammaIncRegComp(dof/2, x/2)
}

// stirling is what the logarithm of the gamma function has beyond Stirling's main terms
// (x-1/2) ln x - x + ln(2 pi)/2.
func stirling(x float64) float64 {
	if x < 16 {
		return logGamma(x) - (x-0.5)*math.Log(x) + x - halfLn2Pi
	}
	u := 1 / (x * x)
	return (1.0/12 - u*(1.0/360-u*(1.0/1260-u*(1.0/1680-u/1188)))) / x
}

func logGamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

// logBeta is the logarithm of the beta function, without the cancellation of three large
// logarithms.
func logBeta(a, b float64) float64 {
	if a > b {
		a, b = b, a
	}
	if a < 16 {
		return logGamma(a) + logGammaRatio(b, a)
	}
	s := a + b
	return halfLn2Pi + stirling(a) + stirling(b) - stirling(s) +
		(a-0.5)*math.Log(a/s) - b*math.Log1p(a/b) - 0.5*math.Log(b)
}

// logGammaRatio is ln(gamma(x) / gamma(x+d)) for d >= 0 small against x.
func logGammaRatio(x, d float64) float64 {
	if x < 1e4 {
		return logGamma(x) - logGamma(x+d)
	}
	// ln G(x) - ln G(x+d) by Stirling with the difference taken first.
	return stirling(x) - stirling(x+d) - (x-0.5)*math.Log1p(d/x) - d*math.Log(x+d) + d
}

// gaussNodes and gaussWeights are the 16-point Gauss-Legendre rule on [-1, 1], positive half.
var (
	gaussNodes = [8]float64{
		0.0950125098376374402, 0.2816035507792589132, 0.4580167776572273863, 0.6178762444026437484,
		0.7554044083550030339, 0.8656312023878317439, 0.9445750230732325761, 0.9894009349916499326,
	}
	gaussWeights = [8]float64{
		0.1894506104550684963, 0.1826034150449235889, 0.1691565193950025382, 0.1495959888165767321,
		0.1246289712555338720, 0.0951585116824927848, 0.0622535239386478929, 0.0271524594117540949,
	}
)

// integrate sums f over each panel between consecutive ascending points.
func integrate(points []float64, f func(float64) float64) float64 {
	total := 0.0
	for i := 1; i < len(points); i++ {
		half := (points[i] - points[i-1]) / 2
		if half <= 0 {
			continue
		}
		mid, sum := points[i-1]+half, 0.0
		for k, x := range gaussNodes {
			sum += gaussWeights[k] * (f(mid-half*x) + f(mid+half*x))
		}
		total += sum * half
	}
	return total
}
