package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrAggregate says that a stored accumulator cannot be read.
var ErrAggregate = errors.New("the stored accumulator is damaged")

// aggregateVersion begins each stored accumulator of this package.
const aggregateVersion = 1

// opened reads the version, and for good measure that there is one.
func opened(b []byte) *reading {
	r := &reading{b: b}
	if v := r.byte(); v != aggregateVersion {
		r.bad = true
	}
	return r
}

// closed says whether an accumulator was read whole.
func (r *reading) closed(what string) error {
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("%s: %w", what, ErrAggregate)
	}
	return nil
}

// Count counts values.
type Count struct{ N uint64 }

// AppendTo implements state.Codec.
func (c *Count) AppendTo(b []byte) []byte {
	return binary.AppendUvarint(append(b, aggregateVersion), c.N)
}

// DecodeFrom implements state.Codec.
func (c *Count) DecodeFrom(b []byte) error {
	r := opened(b)
	c.N = r.uvarint()
	return r.closed("count")
}

// Counts counts values.
func Counts[In any]() Aggregate[In, Count, uint64] {
	return Aggregate[In, Count, uint64]{
		Add:    func(c *Count, _ In) { c.N++ },
		Merge:  func(c, other *Count) { c.N += other.N },
		Result: func(c *Count) uint64 { return c.N },
	}
}

// Sum adds integers. It wraps around like int64, so the result is right whenever it
// fits, whatever came between.
type Sum struct{ Total int64 }

// AppendTo implements state.Codec.
func (s *Sum) AppendTo(b []byte) []byte {
	return binary.AppendVarint(append(b, aggregateVersion), s.Total)
}

// DecodeFrom implements state.Codec.
func (s *Sum) DecodeFrom(b []byte) error {
	r := opened(b)
	s.Total = r.varint()
	return r.closed("sum")
}

// Sums adds what of gives.
func Sums[In any](of func(In) int64) Aggregate[In, Sum, int64] {
	return Aggregate[In, Sum, int64]{
		Add:    func(s *Sum, in In) { s.Total += of(in) },
		Merge:  func(s, other *Sum) { s.Total += other.Total },
		Result: func(s *Sum) int64 { return s.Total },
	}
}

// FloatSum adds floating-point numbers and keeps what rounding lost (Neumaier 1974), and
// counts them. Numbers that are not finite are counted apart and not added.
type FloatSum struct {
	N       uint64
	Refused uint64
	sum     float64
	lost    float64
}

// Add adds v.
func (s *FloatSum) Add(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		s.Refused++
		return
	}
	s.N++
	s.add(v)
}

func (s *FloatSum) add(v float64) {
	t := s.sum + v
	if math.Abs(s.sum) >= math.Abs(v) {
		s.lost += (s.sum - t) + v
	} else {
		s.lost += (v - t) + s.sum
	}
	s.sum = t
}

// Merge adds what other has.
func (s *FloatSum) Merge(other *FloatSum) {
	s.N += other.N
	s.Refused += other.Refused
	s.add(other.sum)
	s.lost += other.lost
}

// Sum is the sum.
func (s *FloatSum) Sum() float64 { return s.sum + s.lost }

// Mean is the mean, 0 of nothing.
func (s *FloatSum) Mean() float64 {
	if s.N == 0 {
		return 0
	}
	return s.Sum() / float64(s.N)
}

// AppendTo implements state.Codec.
func (s *FloatSum) AppendTo(b []byte) []byte {
	b = binary.AppendUvarint(append(b, aggregateVersion), s.N)
	b = binary.AppendUvarint(b, s.Refused)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(s.sum))
	if s.lost != 0 {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(s.lost))
	}
	return b
}

// DecodeFrom implements state.Codec.
func (s *FloatSum) DecodeFrom(b []byte) error {
	*s = FloatSum{}
	r := opened(b)
	s.N, s.Refused = r.uvarint(), r.uvarint()
	s.sum = math.Float64frombits(r.fixed())
	if len(r.b) > 0 {
		s.lost = math.Float64frombits(r.fixed())
	}
	return r.closed("float sum")
}

// FloatSums adds what of gives.
func FloatSums[In any](of func(In) float64) Aggregate[In, FloatSum, float64] {
	return Aggregate[In, FloatSum, float64]{
		Add: func(s *FloatSum, in In) { s.Add(of(in)) }, Merge: (*FloatSum).Merge, Result: (*FloatSum).Sum,
	}
}

// Means is the mean of what of gives.
func Means[In any](of func(In) float64) Aggregate[In, FloatSum, float64] {
	return Aggregate[In, FloatSum, float64]{
		Add: func(s *FloatSum, in In) { s.Add(of(in)) }, Merge: (*FloatSum).Merge, Result: (*FloatSum).Mean,
	}
}

// Number is what has a least and a greatest.
type Number interface{ int64 | float64 }

// Extremes are the least and the greatest of some numbers. NaN is neither.
type Extremes[N Number] struct {
	Some     bool
	Min, Max N
}

// Add takes v into account.
func (e *Extremes[N]) Add(v N) {
	if v != v { //nolint:gocritic,staticcheck // NaN
		return
	}
	if !e.Some {
		*e = Extremes[N]{Some: true, Min: v, Max: v}
		return
	}
	e.Min, e.Max = min(e.Min, v), max(e.Max, v)
}

// Merge takes into account what other has.
func (e *Extremes[N]) Merge(other *Extremes[N]) {
	if other.Some {
		e.Add(other.Min)
		e.Add(other.Max)
	}
}

// AppendTo implements state.Codec.
func (e *Extremes[N]) AppendTo(b []byte) []byte {
	b = append(b, aggregateVersion, flag(e.Some, 1))
	if !e.Some {
		return b
	}
	for _, v := range [...]N{e.Min, e.Max} {
		switch v := any(v).(type) {
		case int64:
			b = binary.AppendVarint(b, v)
		case float64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
	}
	return b
}

// DecodeFrom implements state.Codec.
func (e *Extremes[N]) DecodeFrom(b []byte) error {
	*e = Extremes[N]{}
	r := opened(b)
	e.Some = r.byte()&1 != 0
	if e.Some {
		for _, p := range [...]*N{&e.Min, &e.Max} {
			switch p := any(p).(type) {
			case *int64:
				*p = r.varint()
			case *float64:
				*p = math.Float64frombits(r.fixed())
			}
		}
	}
	return r.closed("extremes")
}

// MinMax is the least and the greatest of what of gives.
func MinMax[In any, N Number](of func(In) N) Aggregate[In, Extremes[N], Extremes[N]] {
	return Aggregate[In, Extremes[N], Extremes[N]]{
		Add:    func(e *Extremes[N], in In) { e.Add(of(in)) },
		Merge:  (*Extremes[N]).Merge,
		Result: func(e *Extremes[N]) Extremes[N] { return *e },
	}
}
