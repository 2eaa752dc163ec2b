package profile

import (
	"encoding/binary"
	"math"
	"time"
)

// MaxFeatures bounds the width of a vector of features.
const MaxFeatures = 256

// halfMillis is a half-life as Decay takes it; 0 and negative values mean no decay.
func halfMillis(h time.Duration) int64 {
	if h <= 0 {
		return -1
	}
	return max(h.Milliseconds(), 1000) // shorter ones would move the landmark with every event
}

// Moment is the weighted mean of a number and the sum of its squared distances from
// it, by West's update (CACM 22, 1979). Weights are those of Decay, so that the order
// of the numbers does not matter and a late one counts as if it had been on time.
type Moment struct {
	Weight float64
	Mean   float64
	square float64
}

// Add takes in a number of a positive weight.
func (m *Moment) Add(x, w float64) {
	if w <= 0 {
		return // so late that nothing is left of it
	}
	m.Weight += w
	by := x - m.Mean
	m.Mean += by * (w / m.Weight)
	m.square += w * by * (x - m.Mean)
}

// Merge takes in what another has seen (Chan, Golub, LeVeque 1979).
func (m *Moment) Merge(o Moment) {
	if o.Weight == 0 {
		return
	}
	by := o.Mean - m.Mean
	sum := m.Weight + o.Weight
	m.square += o.square + by*by*m.Weight*(o.Weight/sum)
	m.Mean += by * (o.Weight / sum)
	m.Weight = sum
}

// Variance is the mean squared distance from the mean; 0 before the second number.
func (m *Moment) Variance() float64 {
	if m.Weight == 0 {
		return 0
	}
	return math.Max(m.square/m.Weight, 0)
}

// Moments keeps a Moment for each feature, all with one clock. A feature that is not a
// finite number is missing and leaves its own Moment alone. The zero value is empty.
// One goroutine at a time.
type Moments struct {
	All    []Moment
	Newest int64 // event time, Unix milliseconds
	decay  Decay
}

// Add takes in a vector of an event time; half is the half-life of
// what was seen, 0 for none. The widest vector decides how many features there are.
func (m *Moments) Add(x []float64, at int64, half time.Duration) {
	w := m.weigh(at, half)
	m.widen(len(x))
	for i, v := range x[:min(len(x), MaxFeatures)] {
		if counts(v) {
			m.All[i].Add(v, w)
		}
	}
}

func (m *Moments) weigh(at int64, half time.Duration) float64 {
	w, f := m.decay.Weigh(at, halfMillis(half), m.Newest)
	m.multiply(f)
	if m.Newest == 0 || at > m.Newest {
		m.Newest = at
	}
	return w
}

func (m *Moments) multiply(f float64) {
	if f == 1 {
		return
	}
	for i := range m.All {
		m.All[i].Weight *= f
		m.All[i].square *= f
		if m.All[i].Weight == 0 { // so old that nothing is left of it
			m.All[i] = Moment{}
		}
	}
}

func (m *Moments) widen(n int) {
	for len(m.All) < min(n, MaxFeatures) {
		m.All = append(m.All, Moment{})
	}
}

// Merge takes in what another has seen; both must have been kept with one half-life.
// It answers false, and changes nothing, if they were not.
func (m *Moments) Merge(o *Moments) bool {
	if len(o.All) == 0 {
		return true
	}
	if len(m.All) == 0 {
		m.decay = o.decay
	}
	if m.decay.half != o.decay.half {
		return false
	}
	theirs := o.decay
	f, g := m.decay.align(&theirs)
	m.multiply(f)
	m.widen(len(o.All))
	for i, t := range o.All {
		m.All[i].Merge(Moment{t.Weight * g, t.Mean, t.square * g})
	}
	m.Newest = max(m.Newest, o.Newest)
	return true
}

// Count is the decayed number of values of a feature as of now.
func (m *Moments) Count(i int, now int64) float64 {
	if i >= len(m.All) {
		return 0
	}
	return m.decay.Value(m.All[i].Weight, max(now, m.Newest))
}

// Scale is the standard deviation of a feature, or 1 where it does not vary, so that
// dividing by it is always allowed.
func (m *Moments) Scale(i int) float64 {
	if i >= len(m.All) {
		return 1
	}
	// Below this the variance is what rounding leaves of a constant.
	if v := m.All[i].Variance(); v > 1e-24*(1+m.All[i].Mean*m.All[i].Mean) {
		return math.Sqrt(v)
	}
	return 1
}

// Standard writes the distances from the mean in standard deviations to dst, 0 for what
// is missing, and answers it.
func (m *Moments) Standard(dst, x []float64) []float64 {
	dst = dst[:0]
	for i, v := range x[:min(len(x), MaxFeatures)] {
		if i >= len(m.All) || !counts(v) {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, (v-m.All[i].Mean)/m.Scale(i))
	}
	return dst
}

const momentsSchema = 1

// AppendTo appends the stored form.
func (m *Moments) AppendTo(b []byte) []byte {
	b = append(b, momentsSchema)
	return m.appendBody(b)
}

func (m *Moments) appendBody(b []byte) []byte {
	b = m.decay.AppendTo(b)
	b = binary.AppendVarint(b, m.Newest)
	b = binary.AppendUvarint(b, uint64(len(m.All)))
	for _, a := range m.All {
		b = appendNumber(appendNumber(appendNumber(b, a.Weight), a.Mean), a.square)
	}
	return b
}

// DecodeFrom reads what AppendTo wrote. It answers ErrNewer or ErrDamaged, wrapped with
// the facts.
func (m *Moments) DecodeFrom(b []byte) error {
	w, _ := ReadWire(b, momentsSchema)
	*m = Moments{}
	m.readBody(w)
	return w.Err()
}

func (m *Moments) readBody(w *Wire) {
	m.decay.ReadFrom(w)
	m.Newest = w.Varint()
	n := w.Len(MaxFeatures, 3)
	for range n {
		a := Moment{readNumber(w), readNumber(w), readNumber(w)}
		if a.Weight < 0 || a.square < 0 {
			w.Fail("negative weight")
			return
		}
		m.All = append(m.All, a)
	}
	if n > 0 && m.decay.half == 0 {
		w.Fail("numbers without a clock")
	}
}

// appendNumber writes a finite number so that whole ones and round fractions are short:
// the bytes of a float from the sign on, without the zeros at its end, as a number with
// the low end first, which is how encoding/gob does it.
func appendNumber(b []byte, f float64) []byte {
	return binary.AppendUvarint(b, reverseBytes(math.Float64bits(f)))
}

func readNumber(w *Wire) float64 {
	f := math.Float64frombits(reverseBytes(w.Uvarint()))
	if math.IsNaN(f) || math.IsInf(f, 0) {
		w.Fail("not a finite number")
		return 0
	}
	return f
}

// largestNumber is the largest feature that counts; a larger one is missing, as is what is
// not a number. So squares, and any sums of them, are numbers too.
const largestNumber = 1e100

// counts tells whether a feature does.
func counts(x float64) bool { return math.Abs(x) <= largestNumber }
