package engine

import (
	"encoding/binary"
	"math"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

// Quantiles is a DDSketch (Masson, Rim, Lee 2019): a quantile that it answers differs
// from the true one by at most 1 % of its value. It keeps at most quantilesBins bins for
// each sign, which span 17 decades; below those the smallest values share a bin. What it
// holds depends on the values alone, not on their order or on how it was merged.
type Quantiles struct {
	Refused uint64 // numbers that are not finite
	zeros   uint64
	sketch  *ddsketch.DDSketch
}

const (
	quantilesAccuracy = 0.01
	quantilesBins     = 2048
	quantilesIndex    = 1 << 17 // beyond the index of any float64
)

func newSketch() *ddsketch.DDSketch {
	m, err := mapping.NewLogarithmicMapping(quantilesAccuracy)
	if err != nil {
		panic("BUG: ddsketch refuses an accuracy of 1 %")
	}
	return ddsketch.NewDDSketch(m, store.NewCollapsingLowestDenseStore(quantilesBins), store.NewCollapsingLowestDenseStore(quantilesBins))
}

// Add takes v into account.
func (q *Quantiles) Add(v float64) {
	if q.sketch == nil {
		q.sketch = newSketch()
	}
	if math.Abs(v) < q.sketch.MinIndexableValue() {
		q.zeros++
		return
	}
	if q.sketch.Add(v) != nil {
		q.Refused++
	}
}

// Merge takes into account what other has.
func (q *Quantiles) Merge(other *Quantiles) {
	q.Refused += other.Refused
	q.zeros += other.zeros
	if other.sketch == nil {
		return
	}
	if q.sketch == nil {
		q.sketch = newSketch()
	}
	if err := q.sketch.MergeWith(other.sketch); err != nil {
		panic("BUG: two sketches differ in accuracy")
	}
}

// Count is how many numbers were added.
func (q *Quantiles) Count() uint64 {
	if q.sketch == nil {
		return q.zeros
	}
	return q.zeros + uint64(q.sketch.GetCount())
}

// At is the quantile p, from 0 to 1, and whether there is one.
func (q *Quantiles) At(p float64) (float64, bool) {
	n := q.Count()
	if n == 0 || !(p >= 0 && p <= 1) {
		return 0, false
	}
	rank := uint64(p * float64(n-1))
	below, above := 0.0, 0.0
	if q.sketch != nil {
		below, above = q.sketch.GetNegativeValueStore().TotalCount(), q.sketch.GetPositiveValueStore().TotalCount()
	}
	switch {
	case rank < uint64(below):
		return -q.sketch.Value(q.sketch.GetNegativeValueStore().KeyAtRank(below - 1 - float64(rank))), true
	case rank < uint64(below)+q.zeros || above == 0:
		return 0, true
	default:
		return q.sketch.Value(q.sketch.GetPositiveValueStore().KeyAtRank(float64(rank - uint64(below) - q.zeros))), true
	}
}

// AppendTo implements state.Codec.
func (q *Quantiles) AppendTo(b []byte) []byte {
	b = binary.AppendUvarint(append(b, aggregateVersion), q.Refused)
	b = binary.AppendUvarint(b, q.zeros)
	if q.sketch == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	b = appendBins(b, q.sketch.GetNegativeValueStore())
	return appendBins(b, q.sketch.GetPositiveValueStore())
}

// appendBins appends the bins that are not empty, in order: distances and counts.
func appendBins(b []byte, s store.Store) []byte {
	n, before := 0, 0
	s.ForEach(func(_ int, count float64) bool {
		if count > 0 {
			n++
		}
		return false
	})
	b = binary.AppendUvarint(b, uint64(n))
	s.ForEach(func(index int, count float64) bool { // a dense store goes up
		if count > 0 {
			b = binary.AppendVarint(b, int64(index-before))
			b = binary.AppendUvarint(b, uint64(count))
			before = index
		}
		return false
	})
	return b
}

// DecodeFrom implements state.Codec.
func (q *Quantiles) DecodeFrom(b []byte) error {
	*q = Quantiles{}
	r := opened(b)
	q.Refused, q.zeros = r.uvarint(), r.uvarint()
	r.bad = r.bad || q.zeros > 1<<53
	if r.byte() != 0 {
		q.sketch = newSketch()
		readBins(r, q.sketch.GetNegativeValueStore())
		readBins(r, q.sketch.GetPositiveValueStore())
	}
	return r.closed("quantiles")
}

func readBins(r *reading, s store.Store) {
	n := r.count(2)
	first, index, total := int64(0), int64(0), uint64(0)
	for i := 0; i < n && !r.bad; i++ {
		delta, count := r.varint(), r.uvarint()
		if delta < -quantilesIndex || delta > 2*quantilesIndex || i > 0 && delta <= 0 || count == 0 || count > 1<<53 {
			r.bad = true
			return
		}
		index += delta
		total += count
		if i == 0 {
			first = index
		}
		if index > quantilesIndex || index-first >= quantilesBins || total > 1<<53 {
			r.bad = true
			return
		}
		s.AddWithCount(int(index), float64(count))
	}
}

// QuantilesOf are the quantiles of what of gives, at the given points from 0 to 1.
func QuantilesOf[In any](of func(In) float64, points ...float64) Aggregate[In, Quantiles, []float64] {
	return Aggregate[In, Quantiles, []float64]{
		Add:   func(q *Quantiles, in In) { q.Add(of(in)) },
		Merge: (*Quantiles).Merge,
		Result: func(q *Quantiles) []float64 {
			out := make([]float64, len(points))
			for i, p := range points {
				out[i], _ = q.At(p)
			}
			return out
		},
	}
}
