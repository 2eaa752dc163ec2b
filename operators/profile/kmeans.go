package profile

import (
	"math"
	"math/rand/v2"
)

// The effort of a batch of K-means.
const (
	warmStarts = 8   // of which the best is kept: a start costs little and a bad one stays
	lloydSteps = 100 // at most; it mostly settles within twenty
)

// KMeans puts all vectors into k groups at once, by k-means++ (Arthur, Vassilvitskii
// 2007) and Lloyd's steps, the best of the given number of starts. It answers the
// centres and the group of each vector. It is what Clusters is measured against. All
// vectors must be as wide as the first.
func KMeans(xs [][]float64, k, starts int, seed uint64) (centres [][]float64, labels []int) {
	if len(xs) == 0 || k < 1 {
		return nil, nil
	}
	return settle(xs, nil, k, rand.New(rand.NewPCG(seed, 1)), max(starts, 1)) //nolint:gosec // chance, no secret
}

// SquaredError is the sum of the squared distances of vectors from the nearest centre.
func SquaredError(xs, centres [][]float64) float64 {
	sum := 0.0
	for _, x := range xs {
		_, d := closest(centres, x, nil)
		sum += d
	}
	return sum
}

func settle(xs [][]float64, by []float64, k int, rng *rand.Rand, starts int) (centres [][]float64, labels []int) {
	best := math.Inf(1)
	for range starts {
		c := plusPlus(xs, by, k, rng)
		l, e := lloyd(xs, by, c)
		if centres == nil || e < best {
			best, centres, labels = e, c, l
		}
	}
	return centres, labels
}

func closest(centres [][]float64, x, by []float64) (int, float64) {
	best, least := 0, math.Inf(1)
	for i, c := range centres {
		if d := apart(c, x, by); d < least {
			best, least = i, d
		}
	}
	return best, least
}

// plusPlus chooses at most k of the vectors, each with a chance that grows with the
// squared distance from those chosen before: the best of a few draws each time.
func plusPlus(xs [][]float64, by []float64, k int, rng *rand.Rand) [][]float64 {
	const draws = 3 // greedy k-means++: about 2 + ln k
	chosen := [][]float64{append([]float64(nil), xs[rng.IntN(len(xs))]...)}
	far := make([]float64, len(xs))
	for i, x := range xs {
		far[i] = apart(chosen[0], x, by)
	}
	for len(chosen) < k {
		sum := 0.0
		for _, d := range far {
			sum += d
		}
		if !(sum > 0) || math.IsInf(sum, 1) {
			break // no more different vectors, or too different ones
		}
		best, least := -1, math.Inf(1)
		for range draws {
			i := draw(far, rng.Float64()*sum)
			left := 0.0
			for j, x := range xs {
				left += math.Min(far[j], apart(xs[i], x, by))
			}
			if left < least {
				best, least = i, left
			}
		}
		if best < 0 {
			break
		}
		for j, x := range xs {
			far[j] = math.Min(far[j], apart(xs[best], x, by))
		}
		chosen = append(chosen, append([]float64(nil), xs[best]...))
	}
	return chosen
}

func draw(weights []float64, at float64) int {
	last := 0
	for i, w := range weights {
		if w > 0 {
			last = i
			if at -= w; at < 0 {
				return i
			}
		}
	}
	return last
}

// lloyd moves the centres to the means of their vectors until nothing changes.
func lloyd(xs [][]float64, by []float64, centres [][]float64) (labels []int, e float64) {
	labels = make([]int, len(xs))
	counts := make([]float64, len(centres))
	for step := range lloydSteps {
		changed := step == 0
		e = 0
		for i, x := range xs {
			l, d := closest(centres, x, by)
			changed = changed || l != labels[i]
			labels[i] = l
			e += d
		}
		if !changed {
			break
		}
		clear(counts)
		for i := range xs {
			counts[labels[i]]++
		}
		for c, n := range counts {
			if n > 0 {
				clear(centres[c])
			}
		}
		for i, x := range xs {
			for j, v := range x {
				centres[labels[i]][j] += v / counts[labels[i]]
			}
		}
	}
	return labels, e
}
