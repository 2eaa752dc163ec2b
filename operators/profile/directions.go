package profile

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/mat"
)

// Directions is a sketch of how vectors vary: Frequent Directions (Ghashami, Liberty,
// Phillips, Woodruff, arXiv 1501.01711) of the vectors less their mean. At most
// 2·rows vectors of memory stand for any number of them, and no direction is off by
// more than Error, which is part of the answer. Two sketches can be merged.
//
// The mean moves while vectors arrive, yet the sketch is of the final one: a vector x
// of weight w that joins vectors of weight W and mean m adds exactly
// wW/(w+W)·(x-m)(x-m)ᵀ to the scatter, so that is the row that is put in; a merge puts
// in one such row for the distance of the two means.
//
// With more rows than features nothing is lost at all, and the order of the vectors does
// not matter. One goroutine at a time.
type Directions struct {
	rows   int
	width  int
	newest int64
	decay  Decay
	weight float64
	mean   []float64
	buffer []float64 // of rows of the width
	used   int       // rows in the buffer
	lost   float64   // how much the squared length along any direction may be too small
	total  float64   // the whole scatter, exact
	row    []float64 // scratch
}

// MaxRows bounds the memory of a sketch.
const MaxRows = 128

// largestStored is more than rows of usable numbers sum up to.
const largestStored = 1e130

// NewDirections makes a sketch with room for the given number of rows: the more, the
// closer. For k axes that matter, k+5 is ample.
func NewDirections(rows int) *Directions { return &Directions{rows: min(max(rows, 2), MaxRows)} }

// Add takes in a vector of an event time; see Moments.Add for half. The first vector
// decides the width. What a later one lacks, or what is not a number or beyond 1e100, counts
// as the mean.
func (d *Directions) Add(x []float64, at int64, half time.Duration) {
	w, f := d.decay.Weigh(at, halfMillis(half), d.newest)
	d.multiply(f)
	if d.newest == 0 || at > d.newest {
		d.newest = at
	}
	d.begin(min(len(x), MaxFeatures))
	sum := d.weight + w
	if sum == 0 {
		return // so late that nothing is left of it
	}
	for i, m := range d.mean {
		d.row[i] = 0
		if i < len(x) && counts(x[i]) {
			d.row[i] = x[i] - m
		}
		d.mean[i] += d.row[i] * (w / sum)
	}
	if d.weight > 0 {
		d.put(d.row, math.Sqrt(w*(d.weight/sum)))
	}
	d.weight = sum
}

func (d *Directions) begin(width int) {
	if d.width != 0 || width == 0 {
		return
	}
	d.width = width
	d.mean, d.row = make([]float64, width), make([]float64, width)
	d.buffer = make([]float64, 0, width*4)
}

// put adds a row, times by, to the sketch.
func (d *Directions) put(row []float64, by float64) {
	square := dot(row, row) * by * by
	if square == 0 || d.width == 0 {
		return
	}
	d.total += square
	if d.used == 2*d.rows {
		d.shrink()
	}
	for _, x := range row {
		d.buffer = append(d.buffer, x*by)
	}
	d.used++
}

// shrink turns the buffer into orthogonal rows and takes the squared length of row
// number rows away from all, which leaves rows-1 of them.
func (d *Directions) shrink() {
	lengths, axes := d.decompose()
	least := 0.0
	if len(lengths) >= d.rows {
		least = lengths[d.rows-1] * lengths[d.rows-1]
	}
	d.lost += least
	d.buffer, d.used = d.buffer[:0], 0
	for i, s := range lengths {
		square := s*s - least
		if square <= 0 || i >= d.rows {
			break
		}
		length := math.Sqrt(square)
		for j := range d.width {
			d.buffer = append(d.buffer, length*axes.At(j, i))
		}
		d.used++
	}
}

// decompose answers the lengths and directions of the sketch, longest first. The rows are
// brought to a length of about one for it: squares of what is very long or short are no
// numbers, and the decomposition of such a matrix does not end.
func (d *Directions) decompose() ([]float64, *mat.Dense) {
	var svd mat.SVD
	var axes mat.Dense
	longest := 0.0
	for _, x := range d.buffer {
		longest = max(longest, math.Abs(x))
	}
	if longest == 0 {
		return nil, &axes
	}
	rows := slices.Clone(d.buffer)
	for i := range rows {
		rows[i] /= longest
	}
	if !svd.Factorize(mat.NewDense(d.used, d.width, rows), mat.SVDThin) {
		return nil, &axes
	}
	svd.VTo(&axes)
	lengths := svd.Values(nil)
	for i := range lengths {
		lengths[i] *= longest
	}
	return lengths, &axes
}

func (d *Directions) multiply(f float64) {
	if f == 1 {
		return
	}
	d.weight *= f
	d.lost *= f
	d.total *= f
	root := math.Sqrt(f)
	for i := range d.buffer {
		d.buffer[i] *= root
	}
}

// Merge takes in what another has seen; both must have been kept with one half-life,
// and be of one width. It answers false, and changes nothing, if they are not.
func (d *Directions) Merge(o *Directions) bool {
	if o.width == 0 {
		return true
	}
	if d.width == 0 {
		d.decay, d.newest = o.decay, o.newest
		d.begin(o.width)
	}
	if d.decay.half != o.decay.half || d.width != o.width {
		return false
	}
	clock := o.decay
	f, g := d.decay.align(&clock)
	d.multiply(f)
	d.newest = max(d.newest, o.newest)
	theirs := o.weight * g
	sum := d.weight + theirs
	if sum == 0 {
		return true
	}
	apart := math.Sqrt(d.weight * (theirs / sum))
	for i := range d.mean {
		d.row[i] = o.mean[i] - d.mean[i]
		d.mean[i] += d.row[i] * (theirs / sum)
	}
	d.weight = sum
	d.put(d.row, apart)
	total := d.total + o.total*g // of what o has lost its rows do not tell
	for i := range o.used {
		d.put(o.buffer[i*o.width:(i+1)*o.width], math.Sqrt(g))
	}
	d.total = total
	d.lost += o.lost * g
	return true
}

// Axes answers the k strongest axes; they are a copy.
func (d *Directions) Axes(k int) Axes {
	a := Axes{Mean: slices.Clone(d.mean)}
	if d.weight == 0 {
		return a
	}
	a.Total = d.total / d.weight
	lengths, axes := d.decompose()
	for i, s := range lengths {
		if i >= k || s*s <= 1e-24*d.total {
			break
		}
		v := make([]float64, d.width)
		for j := range v {
			v[j] = axes.At(j, i)
		}
		a.Vectors = append(a.Vectors, point(v))
		a.Values = append(a.Values, s*s/d.weight)
	}
	return a
}

// Error is by how much the variance along any direction may be larger than the sketch
// says; it is never smaller.
func (d *Directions) Error() float64 {
	if d.weight == 0 {
		return 0
	}
	return d.lost / d.weight
}

const directionsSchema = 1

// AppendTo appends the stored form. It leaves the sketch as it is, to the last bit: when
// state is written must not change what comes of it.
func (d *Directions) AppendTo(b []byte) []byte {
	b = append(b, directionsSchema)
	b = binary.AppendUvarint(b, uint64(d.rows))  //nolint:gosec // at most MaxRows
	b = binary.AppendUvarint(b, uint64(d.width)) //nolint:gosec // at most MaxFeatures
	if d.width == 0 {
		return b
	}
	b = d.decay.AppendTo(b)
	b = binary.AppendVarint(b, d.newest)
	b = appendNumber(appendNumber(appendNumber(b, d.weight), d.lost), d.total)
	b = appendNumbers(b, d.mean)
	b = binary.AppendUvarint(b, uint64(d.used)) //nolint:gosec // at most 2·MaxRows
	return appendNumbers(b, d.buffer)
}

// DecodeFrom reads what AppendTo wrote. It answers ErrNewer or ErrDamaged, wrapped with
// the facts.
func (d *Directions) DecodeFrom(b []byte) error {
	w, _ := ReadWire(b, directionsSchema)
	*d = Directions{rows: w.Int(MaxRows)}
	if d.rows < 2 {
		w.Fail("sketch without rows")
	}
	width := w.Len(MaxFeatures, 1)
	if width == 0 {
		return w.Err()
	}
	d.begin(width)
	d.decay.ReadFrom(w)
	d.newest = w.Varint()
	d.weight, d.lost, d.total = readNumber(w), readNumber(w), readNumber(w)
	d.mean = readNumbers(w, width)
	d.used = w.Len(2*d.rows, width)
	d.buffer = readNumbers(w, d.used*width)
	for _, x := range slices.Concat(d.mean, d.buffer, []float64{math.Sqrt(d.lost), math.Sqrt(d.total)}) {
		if math.Abs(x) > largestStored {
			w.Fail("number too large")
		}
	}
	if d.weight < 0 || d.lost < 0 || d.total < 0 || d.decay.half == 0 {
		w.Fail("sketch that cannot be")
	}
	return w.Err()
}
