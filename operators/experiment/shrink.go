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
	Share  float64 // of the segment's own data in it; 0 means drawn all the way
}

// Shrink draws segments' effects towards their common mean by empirical Bayes: normal
// effects whose variance between segments is estimated by Paule and Mandel (1982). It
// returns that mean and the standard deviation between segments too.
func Shrink(segments []Effect) (out []Shrunk, common Gaussian, err error) {
	if len(segments) == 0 {
		return nil, common, errors.New("there is no segment")
	}
	for _, s := range segments {
		if !(s.SE > 0) || math.IsInf(s.SE, 1) || math.IsNaN(s.Estimate) || math.IsInf(s.Estimate, 0) {
			return nil, common, ErrNoVariance
		}
	}
	mean := func(tau2 float64) (mu, precision, q float64) {
		for _, s := range segments {
			w := 1 / (s.SE*s.SE + tau2)
			precision += w
			mu += w * s.Estimate
		}
		mu /= precision
		for _, s := range segments {
			q += square(s.Estimate-mu) / (s.SE*s.SE + tau2)
		}
		return mu, precision, q
	}
	dof := float64(len(segments) - 1)
	excess := func(tau2 float64) bool { _, _, q := mean(tau2); return q > dof }
	tau2 := 0.0
	if dof > 0 && excess(0) {
		hi := 1e-12
		for excess(hi) && hi < 1e300 {
			hi *= 4
		}
		tau2 = bisect(0, hi, excess)
	}
	mu, precision, _ := mean(tau2)
	for _, s := range segments {
		v := s.SE * s.SE
		share := tau2 / (tau2 + v)
		// The common mean is itself uncertain, and its part in each segment too.
		out = append(out, Shrunk{
			Effect: mu + share*(s.Estimate-mu), Share: share,
			SD: math.Sqrt(share*v + square(1-share)/precision),
		})
	}
	return out, Gaussian{mu, math.Sqrt(tau2)}, nil
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
