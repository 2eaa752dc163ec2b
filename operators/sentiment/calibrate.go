package sentiment

import "math"

// sigmoid is the logistic function.
func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// stack turns the scores of some models into one, as log odds: a logistic regression on
// what the models said of texts that they had not seen. With one model it is Platt's
// scaling (Platt 1999), with several it is stacking (Wolpert 1992), calibrated by the
// same fit.
type stack struct {
	weights []float64 // by model
	bias    float64
}

// logit returns the log odds that scores stand for.
func (s stack) logit(scores []float64) float64 {
	z := s.bias
	for i, w := range s.weights {
		z += w * scores[i]
	}
	return z
}

// stackPenalty pulls the weights of scaled scores to equal ones, by as much as one
// text: it matters only where models say the same.
const stackPenalty = 1

// fitStack fits a stack by Newton's method. Targets are smoothed as Platt did, so that
// scores that part the classes without error give finite weights.
func fitStack(scores [][]float64, positive []bool) stack {
	width := len(scores[0])
	scale := make([]float64, width)
	for j := range scale {
		for _, row := range scores {
			scale[j] += row[j] * row[j]
		}
		scale[j] = math.Sqrt(scale[j]/float64(len(scores))) + 1e-9
	}
	var n [2]float64
	for _, p := range positive {
		n[class(p)]++
	}
	target := [2]float64{1 / (n[0] + 2), (n[1] + 1) / (n[1] + 2)}
	w := make([]float64, width+1) // the last is the bias
	for range 50 {
		grad, hess := stackSlopes(w, scores, scale, func(i int) float64 { return target[class(positive[i])] })
		step := solve(hess, grad)
		longest := 1e-12
		for _, x := range step {
			longest = max(longest, math.Abs(x))
		}
		shrink := min(1, 4/longest) // a first step may be far too long
		for j := range w {
			w[j] -= shrink * step[j]
		}
		if longest < 1e-9 {
			break
		}
	}
	s := stack{weights: w[:width], bias: w[width]}
	for j := range s.weights {
		s.weights[j] /= scale[j]
	}
	return s
}

// stackSlopes returns the gradient and the second derivatives of the loss.
func stackSlopes(w []float64, scores [][]float64, scale []float64, target func(i int) float64) ([]float64, [][]float64) {
	width := len(scale)
	grad, hess := make([]float64, width+1), square(width+1)
	for j := range width {
		grad[j] = stackPenalty * (w[j] - 1/float64(width))
		hess[j][j] = stackPenalty
	}
	x := make([]float64, width+1)
	x[width] = 1
	for i, row := range scores {
		z := w[width]
		for j := range width {
			x[j] = row[j] / scale[j]
			z += w[j] * x[j]
		}
		p := sigmoid(z)
		d, h := p-target(i), p*(1-p)
		for j := range x {
			grad[j] += d * x[j]
			for k := range x {
				hess[j][k] += h * x[j] * x[k]
			}
		}
	}
	return grad, hess
}

func square(n int) [][]float64 {
	m := make([][]float64, n)
	for i := range m {
		m[i] = make([]float64, n)
	}
	return m
}

// solve returns x with a·x = b for a positive definite a, which it overwrites, by
// Cholesky's method.
func solve(a [][]float64, b []float64) []float64 {
	n := len(b)
	for j := range n {
		for k := range j {
			a[j][j] -= a[j][k] * a[j][k]
		}
		a[j][j] = math.Sqrt(max(a[j][j], 1e-12))
		for i := j + 1; i < n; i++ {
			for k := range j {
				a[i][j] -= a[i][k] * a[j][k]
			}
			a[i][j] /= a[j][j]
		}
	}
	x := append([]float64(nil), b...)
	for i := range n {
		for k := range i {
			x[i] -= a[i][k] * x[k]
		}
		x[i] /= a[i][i]
	}
	for i := n - 1; i >= 0; i-- {
		for k := i + 1; k < n; k++ {
			x[i] -= a[k][i] * x[k]
		}
		x[i] /= a[i][i]
	}
	return x
}
