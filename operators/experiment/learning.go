package experiment

import (
	"encoding/binary"
	"math"
	"slices"
)

// This file keeps what is learned from units whose propensities are known: whole numbers,
// so that the sums are those of a set, whatever the order.

// The bounds of what is learned from.
const (
	FeaturesOfUnit = 16               // most features of a unit
	FeatureScale   = 64               // a feature of 1 is this number
	featureMax     = 8 * FeatureScale // larger ones are cut
	weightScale    = 1 << 12          // of inverse propensities as whole numbers
	rewardMax      = 1 << 25          // most that a reward counts here: weighted it must fit AmountMax
	propensityMin  = 1.0 / 512        // smaller ones weigh as this
	cohortsOfTime  = 16               // a window of the goal is cut into so many cohorts
	cohortsMax     = 4 * cohortsOfTime
)

// Feature is a number as a unit keeps it: 8 at most, in steps of 1/64.
func Feature(x float64) int64 {
	if math.IsNaN(x) {
		return 0
	}
	return int64(math.RoundToEven(math.Max(-featureMax, math.Min(featureMax, x*FeatureScale))))
}

// learned is what one unit teaches: its reward, with which probability it got its arm, and
// its features. The zero value teaches nothing.
type learned struct {
	on         bool
	at         int64 // of the exposure
	reward     int64
	propensity float64
	features   []int64
}

// plain, inverse and root are the values under the three weights.
func (l *learned) values() (plain, inverse, root Values) {
	y := clamp(l.reward, rewardMax)
	p := math.Max(l.propensity, propensityMin)
	w, u := int64(math.RoundToEven(weightScale/p)), int64(math.RoundToEven(weightScale/math.Sqrt(p)))
	plain[Value], plain[Per] = y, 1
	inverse[Value], inverse[Per] = y*w, w
	root[Value], root[Per] = y*u, u
	return plain, inverse, root
}

// ArmSums are the sums of an arm over the units that teach. Inverse and Root are ratios of
// weighted rewards over weights: by 1/p, which answers what another rule would have
// brought, and by its root, whose intervals hold although the shares moved with what was
// seen (Zhang, Janson and Murphy, 2021).
type ArmSums struct {
	Plain, Inverse, Root Moments
	XX                   []Wide // of features times features, upper triangle by rows
	XY                   []Wide // of features times the reward
}

func (a *ArmSums) add(l *learned, sign int64) error {
	plain, inverse, root := l.values()
	for _, x := range [...]struct {
		to *Moments
		v  Values
	}{{&a.Plain, plain}, {&a.Inverse, inverse}, {&a.Root, root}} {
		if sign < 0 {
			x.to.Remove(x.v)
		} else if err := x.to.Add(x.v); err != nil {
			return err
		}
	}
	d := len(l.features)
	if d == 0 {
		return nil
	}
	if len(a.XY) < d {
		a.XX, a.XY = make([]Wide, d*(d+1)/2), make([]Wide, d)
	}
	at := 0
	for i, x := range l.features {
		for _, y := range l.features[i:] {
			a.XX[at] = a.XX[at].Plus(Product(sign*x, y))
			at++
		}
		a.XY[i] = a.XY[i].Plus(Product(sign*x, plain[Value]))
	}
	return nil
}

func (a *ArmSums) merge(o *ArmSums) {
	a.Plain.Merge(&o.Plain)
	a.Inverse.Merge(&o.Inverse)
	a.Root.Merge(&o.Root)
	if len(a.XY) < len(o.XY) {
		a.XX, a.XY = make([]Wide, len(o.XX)), make([]Wide, len(o.XY))
	}
	for i, w := range o.XX {
		a.XX[i] = a.XX[i].Plus(w)
	}
	for i, w := range o.XY {
		a.XY[i] = a.XY[i].Plus(w)
	}
}

// Linear is the regression of the reward on the features that the sums hold.
func (a *ArmSums) Linear(ridge float64) (*Linear, error) {
	d := len(a.XY)
	l, err := NewLinear(max(d, 1), ridge)
	if err != nil {
		return nil, err
	}
	at := 0
	for i := range d {
		for k := i; k < d; k++ {
			l.XX[i*d+k] = a.XX[at].Float() / (FeatureScale * FeatureScale)
			at++
		}
		l.XY[i] = a.XY[i].Float() / FeatureScale
	}
	l.N, l.YY = float64(a.Plain.N), a.Plain.Products[0].Float()
	return l, nil
}

// cohort are the units that were exposed within a stretch of time and whose windows are
// still open.
type cohort struct {
	start int64
	arms  []ArmSums
}

// Learning are the units that teach, those whose windows are past apart from the others:
// the newest would look worst, and an arm that has just got more traffic with them. One
// goroutine at a time.
type Learning struct {
	Arms    []ArmSums // of matured units
	Units   uint64    // changes of matured units so far
	Serial  uint64    // of the last belief that was sent
	Told    uint64    // Units when it was
	At      int64     // watermark when it was
	cohorts []cohort  // by start
}

// take moves the sums by what a unit taught and now teaches.
func (l *Learning) take(r *Running, arm int, before, after *learned, watermark int64) error {
	l.mature(r, watermark)
	for _, x := range [...]struct {
		unit *learned
		sign int64
	}{{before, -1}, {after, 1}} {
		if !x.unit.on {
			continue
		}
		if err := l.of(r, arm, x.unit.at, watermark).add(x.unit, x.sign); err != nil {
			return err
		}
	}
	return nil
}

// of are the sums that a unit of an arm belongs to.
func (l *Learning) of(r *Running, arm int, at, watermark int64) *ArmSums {
	if len(l.Arms) < len(r.arms) {
		l.Arms = make([]ArmSums, len(r.arms))
	}
	size := r.cohort()
	start := floorTo(at, size)
	if size == 0 || watermark >= start+size+r.Metrics[r.Goal].Window {
		l.Units++
		return &l.Arms[arm]
	}
	i, known := slices.BinarySearchFunc(l.cohorts, start, func(c cohort, start int64) int {
		switch {
		case c.start < start:
			return -1
		case c.start > start:
			return 1
		}
		return 0
	})
	if !known {
		if len(l.cohorts) >= cohortsMax { // clocks ahead of their time: the oldest teaches early
			l.close(0)
			i = max(i-1, 0)
		}
		l.cohorts = slices.Insert(l.cohorts, i, cohort{start, make([]ArmSums, len(r.arms))})
	}
	return &l.cohorts[i].arms[arm]
}

func floorTo(at, size int64) int64 {
	if size <= 0 {
		return 0
	}
	return at - ((at%size)+size)%size
}

// mature lets the units whose windows are past teach.
func (l *Learning) mature(r *Running, watermark int64) {
	size := r.cohort()
	for len(l.cohorts) > 0 && watermark >= l.cohorts[0].start+size+r.Metrics[r.Goal].Window {
		l.close(0)
	}
}

func (l *Learning) close(i int) {
	c := &l.cohorts[i]
	if len(l.Arms) < len(c.arms) {
		l.Arms = make([]ArmSums, len(c.arms))
	}
	for arm := range c.arms {
		l.Units += uint64(max(c.arms[arm].Plain.N, 0)) //nolint:gosec // not negative
		l.Arms[arm].merge(&c.arms[arm])
	}
	l.cohorts = slices.Delete(l.cohorts, i, i+1)
}

// All are the sums of an arm over all units, whether or not their windows are past.
func (l *Learning) All(arm int) ArmSums {
	var out ArmSums
	if arm < len(l.Arms) {
		out.merge(&l.Arms[arm])
	}
	for i := range l.cohorts {
		if arm < len(l.cohorts[i].arms) {
			out.merge(&l.cohorts[i].arms[arm])
		}
	}
	return out
}

func (l *Learning) appendTo(b []byte) []byte {
	for _, n := range [...]uint64{l.Units, l.Serial, l.Told} {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendVarint(b, l.At)
	b = appendArms(b, l.Arms)
	b = binary.AppendUvarint(b, uint64(len(l.cohorts)))
	for i := range l.cohorts {
		b = appendArms(binary.AppendVarint(b, l.cohorts[i].start), l.cohorts[i].arms)
	}
	return b
}

func appendArms(b []byte, arms []ArmSums) []byte {
	b = binary.AppendUvarint(b, uint64(len(arms)))
	for i := range arms {
		a := &arms[i]
		b = a.Root.appendTo(a.Inverse.appendTo(a.Plain.appendTo(b)))
		b = binary.AppendUvarint(b, uint64(len(a.XY)))
		for _, w := range a.XX {
			b = w.appendTo(b)
		}
		for _, w := range a.XY {
			b = w.appendTo(b)
		}
	}
	return b
}

func (l *Learning) read(r *reader) {
	for _, n := range [...]*uint64{&l.Units, &l.Serial, &l.Told} {
		*n = r.uvarint()
	}
	l.At = r.varint()
	l.Arms = readArms(r)
	for range r.length(cohortsMax, 2) {
		c := cohort{start: r.varint()}
		c.arms = readArms(r)
		if n := len(l.cohorts); n > 0 && l.cohorts[n-1].start >= c.start {
			r.fail("cohorts out of order")
		}
		l.cohorts = append(l.cohorts, c)
	}
}

// momentsBytes is the least size of stored sums.
const momentsBytes = 1 + 2*(width+width*(width+1)/2)

func readArms(r *reader) []ArmSums {
	n := r.length(ArmsMax+1, 3*momentsBytes)
	if n == 0 {
		return nil
	}
	out := make([]ArmSums, n)
	for i := range out {
		a := &out[i]
		a.Plain.read(r)
		a.Inverse.read(r)
		a.Root.read(r)
		d := r.length(FeaturesOfUnit, 2)
		if d == 0 {
			continue
		}
		a.XX, a.XY = make([]Wide, d*(d+1)/2), make([]Wide, d)
		for k := range a.XX {
			a.XX[k].read(r)
		}
		for k := range a.XY {
			a.XY[k].read(r)
		}
	}
	return out
}
