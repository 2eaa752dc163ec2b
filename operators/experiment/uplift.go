package experiment

import (
	"errors"
	"fmt"
	"math"
)

// Judged is a unit whose uplift was predicted and whose outcome is known. It must not have
// been in the training of the prediction.
type Judged struct {
	Outcome   float64
	Predicted float64
	Treated   bool
}

// Curve is a curve over the number of units taken, the most promising first.
type Curve struct{ X, Y []float64 }

// UpliftCurve is the gain from treating only the most promising x units, by the rates
// among them; QiniCurve counts with the size of the control. Units with equal predictions
// are one point.
func UpliftCurve(units []Judged) Curve {
	return curve(units, func(s split) float64 {
		return (s.rate(true) - s.rate(false)) * (s.n[0] + s.n[1])
	})
}

// QiniCurve is Y_t - Y_c N_t / N_c over the most promising units (Radcliffe, 2007).
func QiniCurve(units []Judged) Curve {
	return curve(units, func(s split) float64 {
		if s.n[0] == 0 {
			return s.y[1]
		}
		return s.y[1] - s.y[0]*s.n[1]/s.n[0]
	})
}

// split counts units and outcomes of control and treatment.
type split struct{ n, y [2]float64 }

func (s *split) add(u Judged) {
	k := 0
	if u.Treated {
		k = 1
	}
	s.n[k]++
	s.y[k] += u.Outcome
}

func (s split) rate(treated bool) float64 {
	k := 0
	if treated {
		k = 1
	}
	if s.n[k] == 0 {
		return 0
	}
	return s.y[k] / s.n[k]
}

// byPromise is the order of units by falling prediction; equal ones keep theirs.
func byPromise(units []Judged) []int {
	p := make([]float64, len(units))
	for i, u := range units {
		p[i] = -u.Predicted
	}
	return ascending(p)
}

func curve(units []Judged, y func(split) float64) Curve {
	c := Curve{X: []float64{0}, Y: []float64{0}}
	var s split
	order := byPromise(units)
	for rank, i := range order {
		s.add(units[i])
		if rank+1 < len(order) && units[order[rank+1]].Predicted == units[i].Predicted {
			continue
		}
		c.X = append(c.X, float64(rank+1))
		c.Y = append(c.Y, y(s))
	}
	return c
}

// Area is that between the curve and the straight line to its end, with units and gain both
// counted as shares of all units: the Qini coefficient, not scaled by a perfect curve.
func (c Curve) Area() float64 {
	last := len(c.X) - 1
	if last < 1 {
		return 0
	}
	sum := 0.0
	for i := 1; i <= last; i++ {
		sum += (c.X[i] - c.X[i-1]) * (c.Y[i] + c.Y[i-1]) / 2
	}
	return (sum - c.X[last]*c.Y[last]/2) / square(c.X[last])
}

// UpliftBin is a part of the units, by falling prediction.
type UpliftBin struct {
	Treated, Control         float64 // units
	TreatedRate, ControlRate float64
	Uplift                   float64
	TreatedSD, ControlSD     float64 // standard errors of the rates
}

// UpliftBins cuts the units into parts of equal size, the first ones larger by one.
func UpliftBins(units []Judged, bins int) ([]UpliftBin, error) {
	if bins < 1 || bins > len(units) {
		return nil, fmt.Errorf("%d bins for %d units", bins, len(units))
	}
	order := byPromise(units)
	out := make([]UpliftBin, 0, bins)
	for b, at := 0, 0; b < bins; b++ {
		size := len(units) / bins
		if b < len(units)%bins {
			size++
		}
		out = append(out, upliftBin(units, order[at:at+size]))
		at += size
	}
	return out, nil
}

// UpliftAt is the uplift among the most promising share of the units.
func UpliftAt(units []Judged, share float64) (UpliftBin, error) {
	k := int(math.Floor(share * float64(len(units))))
	if k < 1 || k > len(units) {
		return UpliftBin{}, fmt.Errorf("a share of %v of %d units", share, len(units))
	}
	return upliftBin(units, byPromise(units)[:k]), nil
}

func upliftBin(units []Judged, which []int) UpliftBin {
	var s split
	for _, i := range which {
		s.add(units[i])
	}
	b := UpliftBin{Treated: s.n[1], Control: s.n[0], TreatedRate: s.rate(true), ControlRate: s.rate(false)}
	b.Uplift = b.TreatedRate - b.ControlRate
	sd := func(rate, n float64) float64 {
		if n == 0 {
			return 0
		}
		return math.Sqrt(math.Max(0, rate*(1-rate)) / n)
	}
	b.TreatedSD, b.ControlSD = sd(b.TreatedRate, b.Treated), sd(b.ControlRate, b.Control)
	return b
}

// Uplift learns from a randomised experiment for whom a mail pays: linear models held as
// sums of treatment and control, so that it merges and retracts as they do. The last
// feature should be the constant 1.
type Uplift struct {
	Treated, Control *Linear
}

// NewUplift makes an empty learner.
func NewUplift(features int, ridge float64) (*Uplift, error) {
	t, err := NewLinear(features, ridge)
	if err != nil {
		return nil, err
	}
	c, err := NewLinear(features, ridge)
	if err != nil {
		return nil, err
	}
	return &Uplift{t, c}, nil
}

// Add learns the outcome of a unit.
func (u *Uplift) Add(x []float64, outcome float64, treated bool) error {
	if treated {
		return u.Treated.Add(x, outcome, 1)
	}
	return u.Control.Add(x, outcome, 1)
}

// TwoModels is the difference of two models, one for each arm: coefficients of the uplift.
func (u *Uplift) TwoModels() ([]float64, error) {
	t, c, err := u.fit()
	if err != nil {
		return nil, err
	}
	return combine(t, 1, c, -1), nil
}

func (u *Uplift) fit() (t, c []float64, err error) {
	if t, err = u.Treated.Fit(); err != nil {
		return nil, nil, fmt.Errorf("fit the treatment: %w", err)
	}
	if c, err = u.Control.Fit(); err != nil {
		return nil, nil, fmt.Errorf("fit the control: %w", err)
	}
	return t, c, nil
}

func combine(a []float64, wa float64, b []float64, wb float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = wa*a[i] + wb*b[i]
	}
	return out
}

// XLearner imputes for each unit what the other arm's model would have given, regresses
// the differences in each arm, and weighs the two by the share treated (Kuenzel et al.,
// 2019). With linear models all of it follows from the sums. It is better than TwoModels
// where one arm is much smaller.
func (u *Uplift) XLearner() ([]float64, error) {
	t, c, err := u.fit()
	if err != nil {
		return nil, err
	}
	n := u.Treated.N + u.Control.N
	if !(n > 0) {
		return nil, ErrNoUnits
	}
	// Treated: y - x'c; control: x't - y. Sums of x times that need no second pass.
	treated, err := u.Treated.regress(c, 1)
	if err != nil {
		return nil, fmt.Errorf("fit the effect on the treated: %w", err)
	}
	control, err := u.Control.regress(t, -1)
	if err != nil {
		return nil, fmt.Errorf("fit the effect on the control: %w", err)
	}
	share := u.Treated.N / n
	return combine(treated, 1-share, control, share), nil
}

// regress fits sign * (y - x'other) on x.
func (l *Linear) regress(other []float64, sign float64) ([]float64, error) {
	d := &Linear{Features: l.Features, Ridge: l.Ridge, XX: l.XX, XY: make([]float64, l.Features)}
	for i := range d.XY {
		v := l.XY[i]
		for k := range other {
			v -= l.XX[min(i, k)*l.Features+max(i, k)] * other[k]
		}
		d.XY[i] = sign * v
	}
	return d.Fit()
}

// Transformed regresses the transformed outcome y (w - e) / (e (1 - e)), whose expectation
// is the uplift whatever the outcome looks like (Athey and Imbens, 2015). e is the share
// treated by design; noisier than the others, and right even where no line fits.
func (u *Uplift) Transformed(e float64) ([]float64, error) {
	if !(e > 0 && e < 1) {
		return nil, errors.New("the share treated must lie between 0 and 1")
	}
	d, err := NewLinear(u.Treated.Features, u.Treated.Ridge)
	if err != nil {
		return nil, err
	}
	for i := range d.XX {
		d.XX[i] = u.Treated.XX[i] + u.Control.XX[i]
	}
	for i := range d.XY {
		d.XY[i] = u.Treated.XY[i]/e - u.Control.XY[i]/(1-e)
	}
	return d.Fit()
}
