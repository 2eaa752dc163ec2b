package recommend

import (
	"math"
	"slices"
)

// row is a sparse row of a matrix of counts, ordered by item. Its length is bounded: a
// row that outgrows it keeps the larger half (lossy counting), as neighbours do.
type row struct {
	items []Num
	value []float64
}

// tiny is below what a count can be that is not the rest of a subtraction.
const tiny = 1e-12

// add adds to the count of an item and says how many others had to leave. A count that
// falls to nothing leaves the row.
func (r *row) add(i Num, x float64, bound int) int {
	at, ok := slices.BinarySearch(r.items, i)
	if ok {
		r.value[at] += x
		if math.Abs(r.value[at]) < tiny {
			r.items, r.value = slices.Delete(r.items, at, at+1), slices.Delete(r.value, at, at+1)
		}
		return 0
	}
	if math.Abs(x) < tiny {
		return 0
	}
	r.items, r.value = slices.Insert(r.items, at, i), slices.Insert(r.value, at, x)
	if len(r.items) <= bound {
		return 0
	}
	return r.halve(bound / 2)
}

// halve keeps the n largest; of equals those that come first.
func (r *row) halve(n int) int {
	sorted := slices.Sorted(slices.Values(r.value))
	least := sorted[len(sorted)-n]
	equals := n
	for _, v := range r.value {
		if v > least {
			equals--
		}
	}
	lost := len(r.items) - n
	kept := 0
	for k, v := range r.value {
		if v < least {
			continue
		}
		if v == least {
			if equals <= 0 {
				continue
			}
			equals--
		}
		r.items[kept], r.value[kept] = r.items[k], v
		kept++
	}
	r.items, r.value = slices.Clip(r.items[:kept:kept]), slices.Clip(r.value[:kept:kept])
	return lost
}

// at is the count of an item.
func (r *row) at(i Num) float64 {
	if k, ok := slices.BinarySearch(r.items, i); ok {
		return r.value[k]
	}
	return 0
}

// scale multiplies all counts.
func (r *row) scale(f float64) {
	for k := range r.value {
		r.value[k] *= f
	}
}

// grown makes room for an item in a slice that is indexed by items.
func grown[T any](s []T, i Num) []T {
	if n := int(i) + 1; n > len(s) {
		s = append(s, make([]T, n-len(s))...)
	}
	return s
}
