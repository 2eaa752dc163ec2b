package experiment

import (
	"errors"
	"math"
)

// Errors of estimates that cannot be made. None of them is a reason to stop: an experiment
// that has just begun has no variance yet.
var (
	ErrNoUnits    = errors.New("an arm has no units")
	ErrNoVariance = errors.New("variance is zero or negative")
	ErrNoBaseline = errors.New("the mean of the control is zero")
	ErrNoTotal    = errors.New("the mean of the denominator is zero")
	ErrRange      = errors.New("the sums are too large or too small to be compared")
)

// Interval is a closed interval; an end may be infinite.
type Interval struct{ Lo, Hi float64 }

// Holds tells whether x lies in the interval.
func (i Interval) Holds(x float64) bool { return i.Lo <= x && x <= i.Hi }

// around is the interval of the given half-width about a centre.
func around(centre, half float64) Interval { return Interval{centre - half, centre + half} }

// Sample is one arm on one metric: how many units, the mean over them and the variance of
// one of them.
type Sample struct{ N, Mean, Var float64 }

// MeanOf makes the sample of a mean from a count, a sum and a sum of squares.
func MeanOf(n, sum, squares float64) Sample {
	s := Sample{N: n}
	if n > 0 {
		s.Mean = sum / n
	}
	if n > 1 {
		s.Var = (squares - sum*s.Mean) / (n - 1)
	}
	return s
}

// ShareOf makes the sample of a proportion from a count and the successes among it. Its
// variance is m(1-m), without n-1, as the public test suites have it.
func ShareOf(n, successes float64) Sample {
	s := Sample{N: n}
	if n > 0 {
		s.Mean = successes / n
		s.Var = s.Mean * ((n - successes) / n)
	}
	return s
}

// Effect is an estimated difference between treatment and control.
type Effect struct {
	Estimate float64
	SE       float64 // standard error of the estimate
	DoF      float64 // Welch's degrees of freedom
	N        float64 // units of both arms
}

// Absolute is the difference of the means, treatment minus control.
func Absolute(control, treatment Sample) (Effect, error) {
	if err := mismatch(control, treatment); err != nil {
		return Effect{}, err
	}
	return checked(Effect{
		Estimate: treatment.Mean - control.Mean,
		SE:       math.Sqrt(treatment.Var/treatment.N + control.Var/control.N),
		DoF:      welch(control, treatment),
		N:        control.N + treatment.N,
	})
}

// Relative is the difference of the means as a share of the control's size; its standard
// error comes from the delta method. Its p-value differs from that of Absolute, which is
// the one to decide by.
func Relative(control, treatment Sample) (Effect, error) {
	if err := mismatch(control, treatment); err != nil {
		return Effect{}, err
	}
	base := control.Mean
	if base == 0 {
		return Effect{}, ErrNoBaseline
	}
	ratio := treatment.Mean / base
	return checked(Effect{
		Estimate: (treatment.Mean - base) / math.Abs(base),
		SE:       math.Sqrt(treatment.Var/treatment.N+control.Var/control.N*ratio*ratio) / math.Abs(base),
		DoF:      welch(control, treatment),
		N:        control.N + treatment.N,
	})
}

// checked refuses an effect that left the range of numbers.
func checked(e Effect) (Effect, error) {
	if math.IsNaN(e.Estimate) || math.IsInf(e.Estimate, 0) || !(e.SE > 0) || math.IsInf(e.SE, 1) || math.IsInf(e.N, 1) {
		return Effect{}, ErrRange
	}
	return e, nil
}

// mismatch tells why two samples cannot be compared.
func mismatch(a, b Sample) error {
	switch {
	case !(a.N > 0) || !(b.N > 0):
		return ErrNoUnits
	case !(a.Var > 0) || !(b.Var > 0):
		return ErrNoVariance
	}
	return nil
}

// welch is the Welch-Satterthwaite number of degrees of freedom, at least 1.
func welch(a, b Sample) float64 {
	// Shares of the variance first: squares of tiny variances would underflow.
	va, vb := a.Var/a.N, b.Var/b.N
	s := va + vb
	d := (va/s)*(va/s)/(a.N-1) + (vb/s)*(vb/s)/(b.N-1)
	if !(d > 0) {
		return 1
	}
	return math.Max(1, 1/d)
}

// Test is an effect with what may be concluded from it.
type Test struct {
	Effect float64
	SE     float64
	P      float64
	CI     Interval
}

// Fixed is the two-sided t-test for one look at a time fixed before.
func (e Effect) Fixed(alpha float64) Test {
	return Test{
		Effect: e.Estimate, SE: e.SE,
		P:  math.Min(1, 2*studentAbove(math.Abs(e.Estimate/e.SE), e.DoF)),
		CI: around(e.Estimate, studentUpper(alpha/2, e.DoF)*e.SE),
	}
}

// FixedOneSided is the one-sided t-test: for greater, whether the effect is above zero, with
// a lower bound; otherwise whether it is below, with an upper one.
func (e Effect) FixedOneSided(alpha float64, greater bool) Test {
	t := Test{Effect: e.Estimate, SE: e.SE}
	half := studentUpper(alpha, e.DoF) * e.SE
	if greater {
		t.P = studentAbove(e.Estimate/e.SE, e.DoF)
		t.CI = Interval{e.Estimate - half, math.Inf(1)}
	} else {
		t.P = studentAbove(-e.Estimate/e.SE, e.DoF)
		t.CI = Interval{math.Inf(-1), e.Estimate + half}
	}
	return t
}
