package experiment

import (
	"errors"
	"fmt"
	"math"
)

// LooksMax is how many looks a group sequential plan may have; each costs an integration.
const LooksMax = 200

// Spending is a group sequential plan by the power family of Lan and DeMets: at the
// information fraction t, alpha * t^Phi has been spent.
type Spending struct {
	Alpha    float64
	Phi      float64 // 0 means 2, between Pocock and O'Brien-Fleming
	OneSided bool
}

// Adjusted gives for each look the level at which a plain z-test of all data so far may
// reject. cum are the units so far at each look, ascending; final is how many are planned,
// and is moved up to the last look should that overrun it.
func (s Spending) Adjusted(cum []float64, final float64) ([]float64, error) {
	if len(cum) == 0 || len(cum) > LooksMax {
		return nil, fmt.Errorf("%d looks: want 1 to %d", len(cum), LooksMax)
	}
	before := 0.0
	for _, n := range cum {
		if !(n > 0) || math.IsInf(n, 1) || n < before {
			return nil, errors.New("looks must be positive numbers of units that do not fall")
		}
		before = n
	}
	if final = math.Max(final, cum[len(cum)-1]); !(final > 0) || math.IsInf(final, 1) {
		return nil, errors.New("the planned number of units must be positive")
	}
	if s.Phi == 0 {
		s.Phi = 2
	}
	w := walk{twoSided: !s.OneSided}
	out := make([]float64, len(cum))
	spent := 0.0
	for i, n := range cum {
		t := n / final
		spend := s.Alpha * math.Pow(t, s.Phi)
		if i > 0 && n == cum[i-1] { //nolint:gosec // i > 0
			continue // nothing new was seen, so nothing can be rejected
		}
		z := w.look(t, spend-spent)
		spent = spend
		out[i] = normalBelow(-z)
		if w.twoSided {
			out[i] *= 2
		}
	}
	return out, nil
}

// walk is a Brownian motion that is watched at some times and has not left its bounds: its
// sub-density on a grid, as Armitage, McPherson and Rowe (1969) integrate it.
type walk struct {
	twoSided bool
	t        float64
	at       []float64 // where
	mass     []float64 // density times weight of the node
}

// look moves on to time t, sets the bound so that the walk leaves with the given
// probability, and returns the bound as a z-value.
func (w *walk) look(t, leave float64) float64 {
	step := math.Sqrt(t - w.t)
	exit := func(c float64) float64 {
		if w.at == nil {
			p := normalBelow(-c / step)
			if w.twoSided {
				p *= 2
			}
			return p
		}
		p := 0.0
		for i, u := range w.at {
			q := normalBelow((u - c) / step)
			if w.twoSided {
				q += normalBelow((-u - c) / step)
			}
			p += w.mass[i] * q
		}
		return p
	}
	root := math.Sqrt(t)
	c := bisect(-10*root, 40*root, func(c float64) bool { return exit(c) > leave })
	if w.twoSided {
		c = math.Max(c, 0)
	}
	w.spread(t, step, c)
	return c / root
}

// spread moves the density to time t, kept within the bound c.
func (w *walk) spread(t, step, c float64) {
	root := math.Sqrt(t)
	hi := math.Min(c, 9*root)
	lo := -9 * root
	if w.twoSided {
		lo = -hi
	}
	// Two steps a panel of 16 nodes leave nine digits; 400 panels bound the work.
	panels := int(math.Min(400, math.Max(8, math.Ceil((hi-lo)/(2*step)))))
	at := make([]float64, 0, 16*panels)
	mass := make([]float64, 0, 16*panels)
	half := (hi - lo) / float64(2*panels)
	for p := range panels {
		mid := lo + half*float64(2*p+1)
		for k, x := range gaussNodes {
			for _, s := range [2]float64{mid - half*x, mid + half*x} {
				at = append(at, s)
				mass = append(mass, half*gaussWeights[k]*w.density(s, step))
			}
		}
	}
	w.t, w.at, w.mass = t, at, mass
}

// density is that of the walk at s, one step after the grid.
func (w *walk) density(s, step float64) float64 {
	if w.at == nil {
		return normalDensity(s/step) / step
	}
	d := 0.0
	for i, u := range w.at {
		if x := (s - u) / step; math.Abs(x) < 12 {
			d += w.mass[i] * normalDensity(x)
		}
	}
	return d / step
}
