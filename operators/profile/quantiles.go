package profile

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// Quantiles is a sketch of how numbers are spread: it counts them in buckets whose
// borders grow by 2 %, so that every quantile is answered within 1 % of itself (DDSketch,
// Masson, Rim, Lee, VLDB 2019). The order of the numbers does not matter, and two
// sketches can be merged. Beyond MaxBuckets the lowest ones become one, which spoils
// only the low quantiles. The zero value is empty. One goroutine at a time.
type Quantiles struct {
	newest  int64
	decay   Decay
	buckets []bucket // by key
}

type bucket struct {
	key    int32 // 0 for zero, and negative for numbers below it
	weight float64
}

// MaxBuckets bounds a sketch: numbers from .001 to 500,000 fit.
const MaxBuckets = 1024

// The borders of the buckets.
const (
	bucketGrowth = 1.02
	bucketMiddle = 1 << 16 // the key of 1: numbers down to 1e-300 are told from 0
)

func bucketKey(x float64) int32 {
	switch {
	case math.IsNaN(x) || math.Abs(x) < 1e-300:
		return 0
	case x < 0:
		return -bucketKey(-math.Max(x, -1e300))
	}
	return int32(math.Ceil(math.Log(math.Min(x, 1e300))/math.Log(bucketGrowth))) + bucketMiddle //nolint:gosec // within 35000
}

func bucketValue(key int32) float64 {
	switch {
	case key == 0:
		return 0
	case key < 0:
		return -bucketValue(-key)
	}
	return math.Pow(bucketGrowth, float64(key-bucketMiddle)) * 2 / (1 + bucketGrowth)
}

// Add counts a number of an event time with a half-life, 0 for none.
func (q *Quantiles) Add(x float64, at int64, half time.Duration) {
	w, f := q.decay.Weigh(at, halfMillis(half), q.newest)
	q.multiply(f)
	if q.newest == 0 || at > q.newest {
		q.newest = at
	}
	q.put(bucketKey(x), w)
}

// Replace counts a number in the place of another one that was counted before, without
// a half-life: so each person counts once, with the newest number.
func (q *Quantiles) Replace(old, x float64) {
	q.put(bucketKey(old), -1)
	q.put(bucketKey(x), 1)
}

func (q *Quantiles) put(key int32, w float64) {
	i, ok := slices.BinarySearchFunc(q.buckets, key, func(b bucket, k int32) int { return cmp.Compare(b.key, k) })
	switch {
	case w == 0:
	case !ok:
		q.buckets = slices.Insert(q.buckets, i, bucket{key, w})
		q.bound()
	default:
		if q.buckets[i].weight += w; q.buckets[i].weight == 0 {
			q.buckets = slices.Delete(q.buckets, i, i+1)
		}
	}
}

func (q *Quantiles) bound() {
	for len(q.buckets) > MaxBuckets {
		q.buckets[1].weight += q.buckets[0].weight
		q.buckets = slices.Delete(q.buckets, 0, 1)
	}
}

func (q *Quantiles) multiply(f float64) {
	if f == 1 {
		return
	}
	for i := range q.buckets {
		q.buckets[i].weight *= f
	}
	q.buckets = slices.DeleteFunc(q.buckets, func(b bucket) bool { return b.weight == 0 })
}

// Merge takes in what another has counted; both must have been kept with one half-life.
// It answers false, and changes nothing, if they were not.
func (q *Quantiles) Merge(o *Quantiles) bool {
	if len(o.buckets) == 0 {
		return true
	}
	if len(q.buckets) == 0 {
		q.decay = o.decay
	}
	if q.decay.half != o.decay.half {
		return false
	}
	clock := o.decay
	f, g := q.decay.align(&clock)
	q.multiply(f)
	q.newest = max(q.newest, o.newest)
	for _, b := range o.buckets {
		q.put(b.key, b.weight*g)
	}
	return true
}

// Weight is how many numbers there are, decayed, as of the newest.
func (q *Quantiles) Weight() float64 {
	sum := 0.0
	for _, b := range q.buckets {
		sum += math.Max(b.weight, 0)
	}
	return q.decay.Value(sum, q.newest)
}

// At is the number below which the share p of all lies; 0 when there are none.
func (q *Quantiles) At(p float64) float64 {
	sum := 0.0
	for _, b := range q.buckets {
		sum += math.Max(b.weight, 0)
	}
	rest := sum * math.Min(math.Max(p, 0), 1)
	last := 0.0
	for _, b := range q.buckets {
		if b.weight <= 0 {
			continue // replaced more often than counted: its other half is still to come
		}
		last = bucketValue(b.key)
		if rest -= b.weight; rest <= 1e-12*sum {
			break
		}
	}
	return last
}

const quantilesSchema = 1

// AppendTo appends the stored form.
func (q *Quantiles) AppendTo(b []byte) []byte {
	b = append(b, quantilesSchema)
	b = q.decay.AppendTo(binary.AppendVarint(b, q.newest))
	b = binary.AppendUvarint(b, uint64(len(q.buckets)))
	last := int32(0)
	for _, k := range q.buckets {
		b = binary.AppendVarint(b, int64(k.key)-int64(last))
		b = appendNumber(b, k.weight)
		last = k.key
	}
	return b
}

// DecodeFrom reads what AppendTo wrote. It answers ErrNewer or ErrDamaged, wrapped with
// the facts.
func (q *Quantiles) DecodeFrom(b []byte) error {
	w, _ := ReadWire(b, quantilesSchema)
	*q = Quantiles{newest: w.Varint()}
	q.decay.ReadFrom(w)
	key := int64(0)
	for i := range w.Len(MaxBuckets, 2) {
		step := w.Varint()
		key += step
		if i > 0 && step <= 0 || key < -2*bucketMiddle || key > 2*bucketMiddle {
			w.Fail("buckets out of order")
			break
		}
		q.buckets = append(q.buckets, bucket{int32(key), readNumber(w)}) //nolint:gosec // bounded above
	}
	return w.Err()
}
