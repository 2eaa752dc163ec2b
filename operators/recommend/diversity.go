package recommend

import "math"

// Diversify picks n of a list, best first, by maximal marginal relevance (Carbonell and
// Goldstein, SIGIR 1998): each pick is the item with the largest λ·score - (1-λ)·the
// largest likeness to what was picked before. Scores are scaled so that the best is 1.
// lambda 1 keeps the list as it is. Of equals the one that stood first is picked.
func Diversify(list []Ranked, n int, lambda float64, alike func(a, b Num) float64) []Ranked {
	n = min(n, len(list))
	if lambda >= 1 || n <= 0 {
		return list[:max(n, 0)]
	}
	lambda = max(lambda, 0)
	top := math.Inf(-1)
	for _, r := range list {
		top = max(top, r.Score)
	}
	if top <= 0 {
		top = 1
	}
	likest := make([]float64, len(list))
	taken := make([]bool, len(list))
	out := make([]Ranked, 0, n)
	for len(out) < n {
		best, value := -1, math.Inf(-1)
		for k, r := range list {
			if v := lambda*r.Score/top - (1-lambda)*likest[k]; !taken[k] && v > value {
				best, value = k, v
			}
		}
		if best < 0 { // scores that are no numbers
			return out
		}
		taken[best] = true
		out = append(out, list[best])
		for k, r := range list {
			if !taken[k] {
				likest[k] = max(likest[k], alike(r.Item, list[best].Item))
			}
		}
	}
	return out
}
