package experiment

import "math"

// The places of the four values that a unit can have on one metric.
const (
	Value    = iota // what the metric counts
	Per             // the denominator of a ratio
	PreValue        // Value in the time before the first exposure, frozen then
	PrePer          // Per in that time
	width
)

// Joint is one arm on one metric with all that the units' values say together: means and
// covariances of value, denominator and their counterparts before the exposure.
type Joint struct {
	N    float64
	Mean [width]float64
	Cov  [width][width]float64
}

// JointOf makes the means and covariances from sums and sums of products, of which only
// those at or above the diagonal are read.
func JointOf(n float64, sums [width]float64, products [width][width]float64) Joint {
	j := Joint{N: n}
	for i := range sums {
		if n > 0 {
			j.Mean[i] = sums[i] / n
		}
		for k := 0; k <= i && n > 1; k++ {
			c := (products[k][i] - sums[i]*sums[k]/n) / (n - 1)
			j.Cov[i][k], j.Cov[k][i] = c, c
		}
	}
	return j
}

// Sample is the arm on the mean of Value alone.
func (j Joint) Sample() Sample { return Sample{N: j.N, Mean: j.Mean[Value], Var: j.Cov[Value][Value]} }

// Ratio is the arm on the ratio of the totals of Value and Per, by the delta method. A
// ratio whose denominator the treatment moves is no measure of success.
func (j Joint) Ratio() (Sample, error) {
	if j.Mean[Per] == 0 {
		return Sample{}, ErrNoTotal
	}
	g := gradient(j.Mean[Value], j.Mean[Per])
	return Sample{N: j.N, Mean: j.Mean[Value] / j.Mean[Per], Var: j.form(g, g, 0, 0)}, nil
}

// gradient is that of m/d.
func gradient(m, d float64) [2]float64 { return [2]float64{1 / d, -m / (d * d)} }

// form is u' Cov v, where u and v begin at the given places.
func (j Joint) form(u, v [2]float64, from, to int) float64 {
	sum := 0.0
	for i, a := range u {
		for k, b := range v {
			sum += a * b * j.Cov[from+i][to+k]
		}
	}
	return sum
}

// adjusted is an arm as CUPED sees it: an outcome and the same quantity before.
type adjusted struct {
	n, post, pre          float64 // units and means
	varPost, varPre, both float64 // variances and covariance
}

func (j Joint) meanPair() adjusted {
	return adjusted{j.N, j.Mean[Value], j.Mean[PreValue], j.Cov[Value][Value], j.Cov[PreValue][PreValue], j.Cov[Value][PreValue]}
}

func (j Joint) ratioPair() (adjusted, error) {
	if j.Mean[Per] == 0 || j.Mean[PrePer] == 0 {
		return adjusted{}, ErrNoTotal
	}
	g, h := gradient(j.Mean[Value], j.Mean[Per]), gradient(j.Mean[PreValue], j.Mean[PrePer])
	return adjusted{
		n: j.N, post: j.Mean[Value] / j.Mean[Per], pre: j.Mean[PreValue] / j.Mean[PrePer],
		varPost: j.form(g, g, Value, Value), varPre: j.form(h, h, PreValue, PreValue), both: j.form(g, h, Value, PreValue),
	}, nil
}

// rest is the variance that is left after the adjustment.
func (a adjusted) rest(theta float64) float64 {
	return a.varPost + theta*theta*a.varPre - 2*theta*a.both
}

// Theta is the slope that CUPED takes out: cov(value, pre-value) / var(pre-value) over the
// units of both arms together; 0 where there was nothing before.
func Theta(control, treatment Joint) float64 {
	cov := pooled(control, treatment, Value, PreValue)
	pre := pooled(control, treatment, PreValue, PreValue)
	if !(pre > 0) {
		return 0
	}
	return cov / pre
}

// pooled is the covariance over the units of both arms as one sample.
func pooled(a, b Joint, i, k int) float64 {
	n := a.N + b.N
	if !(n > 1) || a.N == 0 || b.N == 0 {
		return 0
	}
	within := a.Cov[i][k]*(a.N-1) + b.Cov[i][k]*(b.N-1)
	between := (a.Mean[i] - b.Mean[i]) * (a.Mean[k] - b.Mean[k]) * (a.N / n) * b.N
	return (within + between) / (n - 1)
}

// ThetaRatio is Theta for ratios, from their linearised covariances.
func ThetaRatio(control, treatment Joint) (float64, error) {
	a, err := control.ratioPair()
	if err != nil {
		return 0, err
	}
	b, err := treatment.ratioPair()
	if err != nil {
		return 0, err
	}
	if !(a.varPre+b.varPre > 0) {
		return 0, nil
	}
	return (a.both + b.both) / (a.varPre + b.varPre), nil
}

// CUPED is the effect on a mean with what was known before taken out (Deng et al., 2013).
// Pre-values must have been frozen at the first exposure.
func CUPED(control, treatment Joint, theta float64, relative bool) (Effect, error) {
	a, b := control.meanPair(), treatment.meanPair()
	// The public suites put the treatment's plain mean here, and not its adjusted one.
	return cuped(a, b, theta, relative, b.post)
}

// CUPEDRatio is CUPED for ratios.
func CUPEDRatio(control, treatment Joint, theta float64, relative bool) (Effect, error) {
	a, err := control.ratioPair()
	if err != nil {
		return Effect{}, err
	}
	b, err := treatment.ratioPair()
	if err != nil {
		return Effect{}, err
	}
	return cuped(a, b, theta, relative, b.post-theta*b.pre+theta*a.pre)
}

// cuped is the effect of the adjusted arms; level is the treatment's mean in the
// derivative of the relative effect.
func cuped(a, b adjusted, theta float64, relative bool, level float64) (Effect, error) {
	sa := Sample{N: a.n, Mean: a.post - theta*a.pre, Var: a.rest(theta)}
	sb := Sample{N: b.n, Mean: b.post - theta*b.pre, Var: b.rest(theta)}
	e, err := Absolute(sa, sb)
	if err != nil || !relative {
		return e, err
	}
	if a.post == 0 {
		return Effect{}, ErrNoBaseline
	}
	base, ratio := math.Abs(a.post), level/a.post
	va := a.varPost*ratio*ratio - 2*theta*a.both*ratio + theta*theta*a.varPre
	e.Estimate /= base
	e.SE = math.Sqrt(sb.Var/b.n+math.Max(0, va)/a.n) / base
	return checked(e)
}
