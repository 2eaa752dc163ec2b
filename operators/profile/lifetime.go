package profile

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/optimize"
)

// History is what the model of lifetimes needs of a person's orders, in one unit of time
// for all: weeks, say.
type History struct {
	Repeats int     // orders after the first; two on one day are mostly one, so count days
	Last    float64 // from the first order to the last
	Age     float64 // from the first order to now
}

// Lifetime is the BG/NBD model of Fader, Hardie and Lee ("Counting Your Customers the
// Easy Way", Marketing Science 24(2), 2005): a living person orders at a rate of their
// own, which is spread over people as Gamma(R, Alpha), and after each order leaves for
// good with a probability of their own, spread as Beta(A, B). Of who has ordered only
// once it says that they still live; a stage by silence (see StageOf) covers that.
type Lifetime struct {
	R, Alpha, A, B float64
	LogLikelihood  float64 // of what it was fitted to
	People         float64 // how many that was
}

// ErrFit says that there is too little to fit a model to, or of too little variety.
var ErrFit = errors.New("the model of lifetimes cannot be fitted")

// Group is a number of people with the same history.
type Group struct {
	History
	People float64
}

// The bounds of a fit.
const (
	fitPeopleMin = 30   // fewer say nothing about four numbers
	fitRange     = 9    // logarithm of how large or small a number may get
	fitPull      = 1e-5 // keeps a number that nothing is known about near 1; far below one person's say
)

// FitLifetime finds the most likely numbers for what people did.
func FitLifetime(groups []Group) (Lifetime, error) {
	people, repeats := 0.0, 0.0
	for _, g := range groups {
		if g.Repeats < 0 || g.People < 0 || !(g.Age >= 0) || !(g.Last >= 0) || g.Last > g.Age || math.IsInf(g.Age, 0) {
			return Lifetime{}, fmt.Errorf("%w: %d repeats, last at %g, age %g", ErrFit, g.Repeats, g.Last, g.Age)
		}
		people += g.People
		repeats += g.People * float64(g.Repeats)
	}
	if people < fitPeopleMin || repeats == 0 {
		return Lifetime{}, fmt.Errorf("%w: %g people with %g repeats, at least %d with some", ErrFit, people, repeats, fitPeopleMin)
	}
	unit := meanAge(groups) / 10 // the optimiser likes numbers around 1
	if unit == 0 {
		return Lifetime{}, fmt.Errorf("%w: nobody is older than nothing", ErrFit)
	}
	problem := optimize.Problem{
		Func: func(x []float64) float64 {
			f, _ := lossOf(groups, x, unit)
			return f
		},
		Grad: func(grad, x []float64) {
			_, g := lossOf(groups, x, unit)
			copy(grad, g[:])
		},
	}
	settings := &optimize.Settings{MajorIterations: 500, FuncEvaluations: 5000, GradientThreshold: 1e-7 * people}
	best := math.Inf(1)
	var at []float64
	for _, start := range [][]float64{{0, 0, 0, 0}, {-1, 1, -1, 1}} { // the surface may have two valleys
		result, err := optimize.Minimize(problem, start, settings, &optimize.BFGS{})
		if result == nil || math.IsNaN(result.F) || (err != nil && math.IsInf(result.F, 0)) {
			continue // a line search that finds no more is as good an end as any
		}
		if result.F < best {
			best, at = result.F, result.X
		}
	}
	if at == nil {
		return Lifetime{}, fmt.Errorf("%w: no optimum for %g people", ErrFit, people)
	}
	l := lifetimeAt(at, unit)
	l.People = people
	for _, g := range groups {
		f, _ := l.logLikelihood(g.History)
		l.LogLikelihood += g.People * f
	}
	return l, nil
}

func meanAge(groups []Group) float64 {
	sum, n := 0.0, 0.0
	for _, g := range groups {
		sum += g.People * g.Age
		n += g.People
	}
	return sum / n
}

func lifetimeAt(x []float64, unit float64) Lifetime {
	e := func(v float64) float64 { return math.Exp(math.Max(-fitRange, math.Min(fitRange, v))) }
	return Lifetime{R: e(x[0]), Alpha: e(x[1]) * unit, A: e(x[2]), B: e(x[3])}
}

// lossOf is the negative log-likelihood at the logarithms of the four numbers, and its
// gradient.
func lossOf(groups []Group, x []float64, unit float64) (float64, [4]float64) {
	l := lifetimeAt(x, unit)
	loss, grad := 0.0, [4]float64{}
	for _, g := range groups {
		f, d := l.logLikelihood(g.History)
		loss -= g.People * f
		for i := range d {
			grad[i] -= g.People * d[i]
		}
	}
	for i, v := range [4]float64{l.R, l.Alpha, l.A, l.B} {
		grad[i] *= v // from the number to its logarithm
		if math.Abs(x[i]) > fitRange {
			over := math.Abs(x[i]) - fitRange // a wall, as steep as it must be to be felt
			loss += over * over * 1e3
			grad[i] = math.Copysign(2*over*1e3, x[i])
		}
		loss += fitPull * x[i] * x[i]
		grad[i] += 2 * fitPull * x[i]
	}
	return loss, grad
}

// logLikelihood is that of one person, and its derivatives by R, Alpha, A, B: equation
// (6) of the paper.
func (l *Lifetime) logLikelihood(h History) (float64, [4]float64) {
	x := float64(h.Repeats)
	lg := func(v float64) float64 { f, _ := math.Lgamma(v); return f }
	psi := mathext.Digamma
	f := lg(l.R+x) - lg(l.R) + l.R*math.Log(l.Alpha) + lg(l.A+l.B) + lg(l.B+x) - lg(l.B) - lg(l.A+l.B+x)
	ends := math.Log(l.Alpha + h.Age)
	alive := -(l.R + x) * ends
	both := psi(l.A+l.B) - psi(l.A+l.B+x)
	d := [4]float64{
		psi(l.R+x) - psi(l.R) + math.Log(l.Alpha) - ends,
		l.R/l.Alpha - (l.R+x)/(l.Alpha+h.Age),
		both,
		both + psi(l.B+x) - psi(l.B),
	}
	if h.Repeats == 0 {
		return f + alive, d
	}
	last := math.Log(l.Alpha + h.Last)
	gone := math.Log(l.A) - math.Log(l.B+x-1) - (l.R+x)*last
	top := math.Max(alive, gone)
	sum := top + math.Log(math.Exp(alive-top)+math.Exp(gone-top))
	p := math.Exp(gone - sum)                                        // that the person has left
	d[0] += p * (ends - last)                                        // d gone - d alive
	d[1] += p * (l.R + x) * (1/(l.Alpha+h.Age) - 1/(l.Alpha+h.Last)) //
	d[2] += p / l.A
	d[3] -= p / (l.B + x - 1)
	return f + sum, d
}

// Usable tells whether l is a model: its numbers are positive and finite.
func (l *Lifetime) Usable() bool {
	for _, v := range [4]float64{l.R, l.Alpha, l.A, l.B} {
		if !(v > 0) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// tidy makes a history that the formulas can take of any.
func (h History) tidy() History {
	h.Repeats = max(h.Repeats, 0)
	h.Age = math.Max(h.Age, 0)
	h.Last = math.Min(math.Max(h.Last, 0), h.Age)
	return h
}

// Alive is the probability that a person will order again some day.
func (l *Lifetime) Alive(h History) float64 {
	h = h.tidy()
	if h.Repeats == 0 || !l.Usable() {
		return 1
	}
	x := float64(h.Repeats)
	odds := math.Log(l.A) - math.Log(l.B+x-1) + (l.R+x)*(math.Log(l.Alpha+h.Age)-math.Log(l.Alpha+h.Last))
	return 1 / (1 + math.Exp(odds))
}

// Within is the probability of at least one order in the time t from now. The next order
// of a living person waits for nothing else, so it is a closed form.
func (l *Lifetime) Within(h History, t float64) float64 {
	h = h.tidy()
	if !l.Usable() || t <= 0 {
		return 0
	}
	rate := l.Alpha + h.Age
	return -l.Alive(h) * math.Expm1((l.R+float64(h.Repeats))*math.Log(rate/(rate+t)))
}

// Next is the time from now within which half of the living people of this history have
// ordered again.
func (l *Lifetime) Next(h History) float64 {
	h = h.tidy()
	if !l.Usable() {
		return math.Inf(1)
	}
	return (l.Alpha + h.Age) * math.Expm1(math.Ln2/(l.R+float64(h.Repeats)))
}

// Expected is how many orders to expect in the time t from now. It is equation (10) of
// the paper, as an integral over the probability p of leaving after an order,
// (1 - (1 + pt/(Alpha+Age))^-(R+x))/p, which unlike the closed form has no place where
// it divides by zero.
func (l *Lifetime) Expected(h History, t float64) float64 {
	h = h.tidy()
	if !l.Usable() || t <= 0 {
		return 0
	}
	x := float64(h.Repeats)
	shape, by := l.R+x, t/(l.Alpha+h.Age)
	return l.Alive(h) * betaMean(l.A, l.B+x, func(p float64) float64 {
		if p*by < 1e-12 {
			return shape * by
		}
		return -math.Expm1(-shape*math.Log1p(p*by)) / p
	})
}

// countsMax bounds how many orders Quantile looks for: a wholesaler's hundred a year over
// years.
const countsMax = 10_000

// Quantile is the least number of orders such that with probability q a person makes at
// most so many in the time t from now. Where Expected is right in the sum over people and in
// the square, the median (q = 1/2) is right most often for one of them. Given that the
// person lives, the number has the distribution of equation (8) of the paper, with what is
// known by now as its Gamma and Beta.
func (l *Lifetime) Quantile(h History, t, q float64) int {
	h = h.tidy()
	if !l.Usable() || t <= 0 {
		return 0
	}
	x := float64(h.Repeats)
	shape, rate, stays := l.R+x, l.Alpha+h.Age, l.B+x
	alive := l.Alive(h)
	sum := 1 - alive
	orders := math.Exp(shape * math.Log(rate/(rate+t))) // that n orders would come, if nobody left
	fewer := 0.0                                        // that fewer would
	stayed := 1.0                                       // that nobody left at n orders
	for n := range countsMax {
		p := stayed * orders
		if n > 0 { // left at the last of them
			left := stayed * l.A / (stays + float64(n) - 1)
			p += left * math.Max(1-fewer, 0)
		}
		if sum += alive * p; sum >= q {
			return n
		}
		fewer += orders
		orders *= (shape + float64(n)) / float64(n+1) * t / (rate + t)
		stayed *= (stays + float64(n)) / (l.A + stays + float64(n))
	}
	return countsMax
}

// ExpectedOfNew is how many repeat orders to expect of somebody in the time t after the
// first order: equation (9) of the paper.
func (l *Lifetime) ExpectedOfNew(t float64) float64 { return l.Expected(History{}, t) }

// betaMean is the mean of a smooth f over Beta(a, b), by the double-exponential rule
// (Takahasi, Mori 1974): with p = 1/(1+exp(-π·sinh u)) the ends, where the density may
// be infinite, are no trouble.
func betaMean(a, b float64, f func(p float64) float64) float64 {
	step := math.Min(.1, math.Max(.3*math.Sqrt(1/a+1/b)/math.Pi, .01)) // a few steps in each hump
	middle := math.Asinh(math.Log(a/b) / math.Pi)
	peak := a*logistic(math.Pi*math.Sinh(middle)) + b*logistic(-math.Pi*math.Sinh(middle))
	sum, weight := 0.0, 0.0
	take := func(u float64) bool {
		y := math.Pi * math.Sinh(u)
		p := logistic(y)
		w := math.Exp(a*p+b*logistic(-y)-peak) * math.Cosh(u)
		sum += w * f(math.Exp(p))
		weight += w
		return w > 1e-14 || math.Abs(u-middle) < 1
	}
	for i := 0; i < 2000 && take(middle+float64(i)*step); i++ {
	}
	for i := 1; i < 2000 && take(middle-float64(i)*step); i++ {
	}
	return sum / weight
}

// logistic is log(1/(1+exp(-y))), exact at both ends.
func logistic(y float64) float64 {
	if y > 0 {
		return -math.Log1p(math.Exp(-y))
	}
	return y - math.Log1p(math.Exp(y))
}
