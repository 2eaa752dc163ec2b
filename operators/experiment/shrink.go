package experiment

import (
	"errors"
	"math"
)

// Shrunk is the effect in one segment after it was drawn towards that of all: few data are
// drawn far, so that the best of twenty segments is not the luckiest.
type Shrunk struct {
	Effect float64
	SD     float64
	Share  float64 // of the segment's own estimate in it; 0 would mean drawn all the way
}

// shrinkNodes is on how many values of the deviation between segments the belief about it
// is spread.
const shrinkNodes = 128

// Shrink draws segments' effects towards their common mean: normal effects whose deviation
// between segments is unknown too, with a half-Cauchy prior on the scale of the segments'
// own errors (Gelman, 2006), and is integrated over, so that intervals do not pretend to
// know it. It returns the common mean and the expected deviation as well.
func Shrink(segments []Effect) (out []Shrunk, common Gaussian, err error) {
	if len(segments) == 0 {
		return nil, common, errors.New("there is no segment")
	}
	scale := 0.0
	for _, s := range segments {
		if !(s.SE > 0) || math.IsInf(s.SE, 1) || math.IsNaN(s.Estimate) || math.IsInf(s.Estimate, 0) {
			return nil, common, ErrNoVariance
		}
		scale += math.Log(s.SE) / float64(len(segments))
	}
	if len(segments) == 1 {
		return []Shrunk{{segments[0].Estimate, segments[0].SE, 1}}, Gaussian{Mean: segments[0].Estimate}, nil
	}
	scale = math.Exp(scale)
	var given [shrinkNodes]conditional
	top := math.Inf(-1)
	for i := range given {
		// Equal steps of the angle are equal steps of a half-Cauchy's probability.
		given[i] = commonMean(segments, scale*math.Tan(math.Pi/2*(float64(i)+0.5)/shrinkNodes))
		top = math.Max(top, given[i].logWeight)
	}
	total := 0.0
	for _, g := range given {
		total += math.Exp(g.logWeight - top)
	}
	out = make([]Shrunk, len(segments))
	squares := make([]float64, len(segments))
	for _, g := range given {
		w := math.Exp(g.logWeight-top) / total
		common.Mean += w * g.mean
		common.SD += w * g.tau
		for i, s := range segments {
			v := s.SE * s.SE
			share := g.tau * g.tau / (g.tau*g.tau + v)
			// About the segment's own estimate, so that nothing cancels.
			d := (1 - share) * (g.mean - s.Estimate)
			out[i].Effect += w * d
			out[i].Share += w * share
			squares[i] += w * (d*d + share*v + square(1-share)*g.variance)
		}
	}
	for i, s := range segments {
		out[i].SD = math.Sqrt(math.Max(0, squares[i]-square(out[i].Effect)))
		out[i].Effect += s.Estimate
	}
	return out, common, nil
}

// conditional is the common mean given the deviation between segments, and how likely the
// segments are with it, the mean integrated out.
type conditional struct{ tau, mean, variance, logWeight float64 }

func commonMean(segments []Effect, tau float64) conditional {
	c := conditional{tau: tau}
	precision := 0.0
	for _, s := range segments {
		w := 1 / (s.SE*s.SE + tau*tau)
		precision += w
		c.mean += w * s.Estimate
		c.logWeight += 0.5 * math.Log(w)
	}
	c.mean /= precision
	c.variance = 1 / precision
	c.logWeight -= 0.5 * math.Log(precision)
	for _, s := range segments {
		c.logWeight -= square(s.Estimate-c.mean) / (2 * (s.SE*s.SE + tau*tau))
	}
	return c
}

// HourRates draws a person's rate in each hour towards the rate of all in that hour:
// (hits + k g) / (sends + k), the mean of a Beta belief of weight k.
func HourRates(global, hits, sends []float64, k float64) ([]float64, error) {
	if len(hits) != len(global) || len(sends) != len(global) {
		return nil, errors.New("rates, hits and sends must be for the same hours")
	}
	out := make([]float64, len(global))
	for i, g := range global {
		if !(sends[i]+k > 0) {
			return nil, errors.New("an hour without sends needs a positive prior strength")
		}
		out[i] = (hits[i] + k*g) / (sends[i] + k)
	}
	return out, nil
}

// SmoothCircle smooths bins that close into a ring, such as the hours of a week, by a
// kernel whose middle lies on the bin itself.
func SmoothCircle(bins, kernel []float64) []float64 {
	out := make([]float64, len(bins))
	n, mid := len(bins), len(kernel)/2
	for i, v := range bins {
		if v == 0 {
			continue
		}
		for k, w := range kernel {
			out[((i+k-mid)%n+n)%n] += v * w
		}
	}
	return out
}
