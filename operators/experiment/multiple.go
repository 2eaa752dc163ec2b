package experiment

import (
	"math"
	"slices"
)

// Holm adjusts p-values so that the chance of any false rejection stays at alpha, under
// any dependence (Holm, 1979). The order is kept.
func Holm(p []float64) []float64 {
	order := ascending(p)
	out, most := make([]float64, len(p)), 0.0
	for rank, i := range order {
		most = math.Max(most, math.Min(1, p[i]*float64(len(p)-rank)))
		out[i] = most
	}
	return out
}

// BenjaminiHochberg adjusts p-values so that the expected share of false ones among the
// rejections stays at alpha, for independent or positively dependent tests.
func BenjaminiHochberg(p []float64) []float64 {
	order := ascending(p)
	out, least := make([]float64, len(p)), 1.0
	for rank, i := range slices.Backward(order) {
		least = math.Min(least, p[i]*float64(len(p))/float64(rank+1))
		out[i] = least
	}
	return out
}

// EBenjaminiHochberg tells which hypotheses are rejected given e-values, by their
// logarithms: the same promise under any dependence and any stopping (Wang and Ramdas, 2022).
func EBenjaminiHochberg(logE []float64, alpha float64) []bool {
	order := ascending(logE)
	slices.Reverse(order)
	most := 0
	for rank, i := range order {
		if logE[i] >= math.Log(float64(len(logE)))-math.Log(alpha*float64(rank+1)) {
			most = rank + 1
		}
	}
	out := make([]bool, len(logE))
	for _, i := range order[:most] {
		out[i] = true
	}
	return out
}

// AdjustedInterval widens an interval to agree with an adjusted p-value: the standard error
// is taken as that at which the estimate has just that p-value (two-sided, normal). Where
// nothing was adjusted, or nothing can be told from p = 1, the interval stays.
func AdjustedInterval(t Test, adjusted, alpha float64) Interval {
	if adjusted <= t.P || adjusted >= 1 || t.Effect == 0 {
		return t.CI
	}
	se := math.Abs(t.Effect) / -normalQuantile(adjusted/2)
	return around(t.Effect, -normalQuantile(alpha/2)*math.Max(se, t.SE))
}

// ascending are the indices of v in the order of its values; equal ones keep theirs.
func ascending(v []float64) []int {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case v[a] < v[b]:
			return -1
		case v[a] > v[b]:
			return 1
		}
		return 0
	})
	return order
}
