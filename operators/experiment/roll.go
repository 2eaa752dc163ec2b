package experiment

import (
	"hash/fnv"
	"math"
	"slices"
)

// The bounds of a sample.
const (
	SampleMax = 100_000 // units: their features take about 5 MB, and more narrow no interval that matters
	foldsMax  = 5       // parts of a sample; what is said of one was learnt from the others
)

// Sampled is one unit of a sample.
type Sampled struct {
	Arm        int
	Propensity float64 // of its arm, as logged
	Outcome    int64   // what it adds to the goal
	Revenue    int64   // in the smallest unit
	Fold       int     // 0 to 4, by its key
}

// Roll are units of an experiment with the features that were frozen at their first
// exposure: what a replay of the log would find. Of more than Max only every second, fourth
// and so on is kept, by a hash of its key, so that the sample is a function of the set of
// units. One goroutine at a time.
type Roll struct {
	Units   []Sampled
	Waiting int64 // units whose window is still open; they are left out
	Bare    int64 // units without features, of before any were kept; left out as well
	Dims    int
	Max     int // 0 means SampleMax
	Halved  int // how often half of the units was left out

	features []int16 // Dims of each unit
	hashes   []uint64
}

// Add takes the unit of a person in an experiment as of a watermark. Who is in no arm, or
// was in two, is left out.
func (s *Roll) Add(key string, r *Running, in *Enrolments, watermark int64) {
	e := in.Find(r.key)
	if e == nil {
		return
	}
	u := &e.Unit
	values := r.values(u)
	switch {
	case values == nil || !(u.Propensity > 0):
		return
	case !u.Matured(&r.Metrics[r.Goal], watermark) && r.Metrics[r.Goal].Window > 0:
		s.Waiting++
		return
	case len(u.Features) == 0 || s.Dims > 0 && len(u.Features) != s.Dims:
		s.Bare++
		return
	}
	revenue := int64(0)
	if i := slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == MetricRevenue }); i >= 0 {
		revenue = values[i][Value]
	}
	s.add(key, u, values[r.Goal][Value], revenue)
}

func (s *Roll) add(key string, u *Unit, outcome, revenue int64) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // never fails
	hash := h.Sum64() * 0x9e3779b97f4a7c15
	if s.Halved > 0 && hash>>(64-s.Halved) != 0 {
		return
	}
	s.Dims = len(u.Features)
	for _, x := range u.Features {
		s.features = append(s.features, int16(clamp(x, math.MaxInt16))) //nolint:gosec // clamped
	}
	s.hashes = append(s.hashes, hash)
	s.Units = append(s.Units, Sampled{Arm: u.Arm, Propensity: u.Propensity, Outcome: outcome, Revenue: revenue, Fold: int((hash >> 8) % foldsMax)}) //nolint:gosec // small
	limit := s.Max
	if limit <= 0 {
		limit = SampleMax
	}
	for len(s.Units) > limit && s.Halved < 63 {
		s.halve()
	}
}

// halve leaves out the units whose hash has one more leading bit set.
func (s *Roll) halve() {
	s.Halved++
	n := 0
	for i, h := range s.hashes {
		if h>>(64-s.Halved) != 0 {
			continue
		}
		s.hashes[n], s.Units[n] = h, s.Units[i]
		copy(s.features[n*s.Dims:(n+1)*s.Dims], s.features[i*s.Dims:(i+1)*s.Dims])
		n++
	}
	s.hashes, s.Units, s.features = s.hashes[:n], s.Units[:n], s.features[:n*s.Dims]
}

// Features are those of a unit, in steps of 1/FeatureScale, appended to dst.
func (s *Roll) Features(dst []int64, unit int) []int64 {
	for _, x := range s.features[unit*s.Dims : (unit+1)*s.Dims] {
		dst = append(dst, int64(x))
	}
	return dst
}

// numbers are the features of a unit as numbers, appended to dst.
func (s *Roll) numbers(dst []float64, unit int) []float64 {
	for _, x := range s.features[unit*s.Dims : (unit+1)*s.Dims] {
		dst = append(dst, float64(x)/FeatureScale)
	}
	return dst
}
