package experiment

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// FeaturesMax is how many features a linear model may have: its sums are their square.
const FeaturesMax = 512

// Linear is a ridge regression held as its sums x x' and x y, which merge and retract. It
// may not be used by two goroutines at a time.
type Linear struct {
	Features int
	Ridge    float64
	N        float64
	XX       []float64 // upper triangle and diagonal of a square, by rows
	XY       []float64
	YY       float64

	root   *mat.Cholesky // of XX + Ridge; nil when it is stale
	theta  []float64
	scrape []float64
}

// NewLinear makes an empty model; ridge must be positive, so that it can always be solved.
func NewLinear(features int, ridge float64) (*Linear, error) {
	if features < 1 || features > FeaturesMax {
		return nil, fmt.Errorf("%d features: want 1 to %d", features, FeaturesMax)
	}
	if !(ridge > 0) || math.IsInf(ridge, 1) {
		return nil, fmt.Errorf("ridge %v: want a positive number", ridge)
	}
	return &Linear{Features: features, Ridge: ridge, XX: make([]float64, features*features), XY: make([]float64, features)}, nil
}

// Add learns that x led to y, weight times; a negative weight takes it back.
func (l *Linear) Add(x []float64, y, weight float64) error {
	if len(x) != l.Features {
		return fmt.Errorf("%d features, want %d", len(x), l.Features)
	}
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return errors.New("a feature is not a number")
		}
	}
	if bad := y * weight; math.IsNaN(bad) || math.IsInf(bad, 0) {
		return errors.New("an outcome is not a number")
	}
	for i, a := range x {
		if a == 0 {
			continue
		}
		row := l.XX[i*l.Features:]
		for k := i; k < l.Features; k++ {
			row[k] += weight * a * x[k]
		}
		l.XY[i] += weight * a * y
	}
	l.N += weight
	l.YY += weight * y * y
	l.root = nil
	return nil
}

// Merge adds the sums of another model.
func (l *Linear) Merge(o *Linear) error {
	if o.Features != l.Features {
		return fmt.Errorf("%d features, want %d", o.Features, l.Features)
	}
	for i, v := range o.XX {
		l.XX[i] += v
	}
	for i, v := range o.XY {
		l.XY[i] += v
	}
	l.N += o.N
	l.YY += o.YY
	l.root = nil
	return nil
}

// Fit gives the coefficients. The caller must not change them.
func (l *Linear) Fit() ([]float64, error) {
	if l.root != nil {
		return l.theta, nil
	}
	a := mat.NewSymDense(l.Features, nil)
	for i := range l.Features {
		for k := i; k < l.Features; k++ {
			v := l.XX[i*l.Features+k]
			if i == k {
				v += l.Ridge
			}
			a.SetSym(i, k, v)
		}
	}
	var root mat.Cholesky
	if !root.Factorize(a) {
		return nil, errors.New("the sums of a linear model are not those of any data: more was taken back than was added")
	}
	theta := mat.NewVecDense(l.Features, nil)
	if err := solved(root.SolveVecTo(theta, mat.NewVecDense(l.Features, l.XY))); err != nil {
		return nil, err
	}
	l.root, l.theta, l.scrape = &root, theta.RawVector().Data, make([]float64, l.Features)
	return l.theta, nil
}

// solved lets a poorly conditioned system pass: the ridge bounds how poor it can be.
func solved(err error) error {
	if _, ok := errors.AsType[mat.Condition](err); ok {
		return nil
	}
	return err
}

// Predict gives the expected outcome at x and its standard deviation for noise of variance
// one: sqrt(x' A^-1 x).
func (l *Linear) Predict(x []float64) (Gaussian, error) {
	theta, err := l.Fit()
	if err != nil {
		return Gaussian{}, err
	}
	if len(x) != l.Features {
		return Gaussian{}, fmt.Errorf("%d features, want %d", len(x), l.Features)
	}
	v := mat.NewVecDense(l.Features, l.scrape)
	if err := solved(l.root.SolveVecTo(v, mat.NewVecDense(l.Features, x))); err != nil {
		return Gaussian{}, fmt.Errorf("solve for the spread: %w", err)
	}
	mean, spread := 0.0, 0.0
	for i, a := range x {
		mean += theta[i] * a
		spread += l.scrape[i] * a
	}
	return Gaussian{mean, math.Sqrt(math.Max(0, spread))}, nil
}

// LinUCB scores the arms at x, each with its own model: the upper bound mean + alpha * sd
// (Li et al., 2010).
func LinUCB(arms []*Linear, x []float64, alpha float64) ([]float64, error) {
	out := make([]float64, len(arms))
	for i, a := range arms {
		g, err := a.Predict(x)
		if err != nil {
			return nil, err
		}
		out[i] = g.Mean + alpha*g.SD
	}
	return out, nil
}

// LinearThompson gives the shares of linear Thompson sampling at x: arms are chosen with
// the probability that theirs is the best outcome. noise is the standard deviation of an
// outcome about the line. The shares are exact, so they are the propensities to log.
func LinearThompson(arms []*Linear, x []float64, noise, floor float64) ([]float64, error) {
	beliefs := make([]Gaussian, len(arms))
	for i, a := range arms {
		g, err := a.Predict(x)
		if err != nil {
			return nil, err
		}
		beliefs[i] = Gaussian{g.Mean, noise * g.SD}
	}
	return Floor(BestChances(beliefs), floor), nil
}
