package experiment

import (
	"errors"
	"maps"
	"math"
	"math/bits"
	"slices"
)

// histogramBits is how many leading bits of a value name its bucket: buckets are at most
// 1/64 wide, so a quantile errs by less than 1 %.
const histogramBits = 6

// Histogram counts units by the size of their value, in buckets that depend on the value
// alone, with the sums of each: quantiles, and sums under any cap, without a second pass. It
// merges and retracts like Moments. There are at most 2 * 41 * 64 buckets.
type Histogram struct {
	buckets map[int32]bucket
	n       int64
}

type bucket struct {
	N    int64
	S, Q Wide
}

// bucketFor is the place of a value's bucket, in the order of values.
func bucketFor(v int64) int32 {
	if v < 0 {
		return -bucketFor(-v)
	}
	if v < 1<<histogramBits {
		return int32(v)
	}
	shift := bits.Len64(uint64(v)) - histogramBits - 1
	return int32(shift+1)<<histogramBits + int32(v>>shift) - 1<<histogramBits
}

// bucketMiddle is the value in the middle of a bucket.
func bucketMiddle(b int32) float64 {
	if b < 0 {
		return -bucketMiddle(-b)
	}
	if b < 1<<histogramBits {
		return float64(b)
	}
	shift := int(b>>histogramBits) - 1
	lo := (int64(b&(1<<histogramBits-1)) + 1<<histogramBits) << shift
	return float64(lo) + float64(int64(1)<<shift-1)/2
}

// Add counts a unit of value v, times times; -1 takes it back.
func (h *Histogram) Add(v, times int64) error {
	if v > AmountMax || v < -AmountMax {
		return errors.New("a unit's value is beyond the limit")
	}
	if h.buckets == nil {
		h.buckets = make(map[int32]bucket)
	}
	at := bucketFor(v)
	b := h.buckets[at]
	h.n += times
	b.N += times
	for range max(times, -times) {
		if times > 0 {
			b.S, b.Q = b.S.Plus(WideOf(v)), b.Q.Plus(Product(v, v))
		} else {
			b.S, b.Q = b.S.Minus(WideOf(v)), b.Q.Minus(Product(v, v))
		}
	}
	h.set(at, b)
	return nil
}

func (h *Histogram) set(at int32, b bucket) {
	if b == (bucket{}) {
		delete(h.buckets, at)
	} else {
		h.buckets[at] = b
	}
}

// Merge adds the counts of other units.
func (h *Histogram) Merge(o *Histogram) {
	if h.buckets == nil {
		h.buckets = make(map[int32]bucket, len(o.buckets))
	}
	h.n += o.n
	for at, b := range o.buckets {
		mine := h.buckets[at]
		h.set(at, bucket{mine.N + b.N, mine.S.Plus(b.S), mine.Q.Plus(b.Q)})
	}
}

// N is how many units were counted.
func (h *Histogram) N() int64 { return h.n }

// rank is the value of the unit at place k from below, counted from 0.
func (h *Histogram) rank(k float64) float64 {
	run := 0.0
	order := slices.Sorted(maps.Keys(h.buckets))
	for _, at := range order {
		run += float64(h.buckets[at].N)
		if run > k {
			return bucketMiddle(at)
		}
	}
	if len(order) == 0 {
		return 0
	}
	return bucketMiddle(order[len(order)-1])
}

// Quantile is the sample of a quantile: its estimate and the order statistics that bound
// it with probability .95.
func (h *Histogram) Quantile(nu float64) (Sample, error) {
	n := float64(h.n)
	if !(nu > 0 && nu < 1) {
		return Sample{}, errors.New("a quantile lies between 0 and 1")
	}
	// As many units on both sides as the interval reaches, or it has no end.
	if z := -normalQuantile(0.025); n*math.Min(nu, 1-nu) <= z*z {
		return Sample{}, ErrNoUnits
	}
	half := -normalQuantile(0.025) * math.Sqrt(n*nu*(1-nu))
	at := n * nu
	return QuantileOf(n, h.rank(math.Floor(at)), h.rank(math.Floor(at-half)), h.rank(math.Ceil(at+half))), nil
}

// Capped is the sample of the mean with every value above a cap taken as the cap: sums
// below it and the count above. The bucket in which the cap falls counts as above when its
// middle does, so the answer is exact for caps on the edge of a bucket, such as those that
// CapAt gives.
func (h *Histogram) Capped(limit float64) Sample {
	n, sum, squares := 0.0, 0.0, 0.0
	for _, at := range slices.Sorted(maps.Keys(h.buckets)) {
		b := h.buckets[at]
		n += float64(b.N)
		if bucketMiddle(at) > limit {
			sum += float64(b.N) * limit
			squares += float64(b.N) * limit * limit
			continue
		}
		sum += b.S.Float()
		squares += b.Q.Float()
	}
	return MeanOf(n, sum, squares)
}

// CapAt is the value below which the given share of the units lies.
func (h *Histogram) CapAt(share float64) float64 { return h.rank(math.Floor(float64(h.n) * share)) }
