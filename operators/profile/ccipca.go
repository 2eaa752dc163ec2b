package profile

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

func reverseBytes(u uint64) uint64 { return bits.ReverseBytes64(u) }

// Axes are the directions in which vectors differ most, strongest first.
type Axes struct {
	Mean    []float64
	Vectors [][]float64 // of length one
	Values  []float64   // the variance along each
	Total   float64     // the variance along all directions there are
}

// Project writes where a vector lies along each axis to dst, and answers it. What is
// missing or not a number counts as the mean.
func (a *Axes) Project(dst, x []float64) []float64 {
	dst = dst[:0]
	for _, v := range a.Vectors {
		sum := 0.0
		for i, m := range a.Mean {
			if i < len(x) && counts(x[i]) {
				sum += (x[i] - m) * v[i]
			}
		}
		dst = append(dst, sum)
	}
	return dst
}

// Explained is the share of the whole variance that lies along the axes.
func (a *Axes) Explained() float64 {
	if a.Total <= 0 {
		return 0
	}
	sum := 0.0
	for _, v := range a.Values {
		sum += v
	}
	return math.Min(sum/a.Total, 1)
}

// CCIPCA finds principal components one vector at a time, without a covariance matrix:
// candid covariance-free incremental PCA (Weng, Zhang, Hwang, IEEE PAMI 25(8), 2003).
// A vector costs O(k·d). It depends on the order of the vectors and cannot be merged;
// where that matters, Directions can. One goroutine at a time.
type CCIPCA struct {
	k     int
	n     uint64
	mean  []float64
	v     [][]float64 // v[j] points along axis j and is as long as its variance
	total float64     // mean squared distance from the mean
	rest  []float64   // scratch
}

// MaxAxes bounds how many axes are kept.
const MaxAxes = 32

// amnesia makes the first, still wrong directions fade sooner: the parameter l of the
// paper, which finds 2 to 4 good.
const amnesia = 2

// NewCCIPCA makes one that looks for k axes, at least one and at most MaxAxes.
func NewCCIPCA(k int) *CCIPCA { return &CCIPCA{k: min(max(k, 1), MaxAxes)} }

// Add takes in a vector. The first one decides the width; what a later one lacks, or
// what is not a number, counts as the mean.
func (c *CCIPCA) Add(x []float64) {
	if c.mean == nil {
		c.mean = make([]float64, min(len(x), MaxFeatures))
		c.rest = make([]float64, len(c.mean))
	}
	c.n++
	n := float64(c.n)
	square := 0.0
	for i := range c.mean {
		if i >= len(x) || !counts(x[i]) {
			c.rest[i] = 0
			continue
		}
		by := x[i] - c.mean[i]
		c.mean[i] += by / n
		c.rest[i] = x[i] - c.mean[i]
		square += by * c.rest[i]
	}
	c.total += (square - c.total) / n
	for j := range min(c.k, len(c.mean)) {
		if j == len(c.v) {
			if dot(c.rest, c.rest) > 0 {
				c.v = append(c.v, slices.Clone(c.rest))
			}
			return
		}
		c.turn(c.v[j], n)
	}
}

// turn turns an axis towards what is left of the vector, and takes out of that what
// lies along it.
func (c *CCIPCA) turn(v []float64, n float64) {
	keep, take := (n-1)/n, 1/n
	if n > amnesia+1 {
		keep, take = (n-1-amnesia)/n, (1+amnesia)/n
	}
	length := math.Sqrt(dot(v, v))
	if length == 0 {
		return
	}
	along := dot(c.rest, v) / length
	for i := range v {
		v[i] = keep*v[i] + take*along*c.rest[i]
	}
	square := dot(v, v)
	if square == 0 {
		return
	}
	along = dot(c.rest, v) / square
	for i := range v {
		c.rest[i] -= along * v[i]
	}
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// Axes answers the axes found so far, strongest first; they are a copy.
func (c *CCIPCA) Axes() Axes {
	a := Axes{Mean: slices.Clone(c.mean), Total: c.total}
	order := make([]int, len(c.v))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return -cmpFloat(dot(c.v[i], c.v[i]), dot(c.v[j], c.v[j]))
	})
	for _, i := range order {
		length := math.Sqrt(dot(c.v[i], c.v[i]))
		if length == 0 {
			continue
		}
		unit := make([]float64, len(c.v[i]))
		for j, x := range c.v[i] {
			unit[j] = x / length
		}
		a.Vectors, a.Values = append(a.Vectors, point(unit)), append(a.Values, length)
	}
	return a
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// point turns an axis so that its largest entry is positive: both signs are right, and
// a fixed one can be compared and named.
func point(v []float64) []float64 {
	most := 0
	for i := range v {
		if math.Abs(v[i]) > math.Abs(v[most]) {
			most = i
		}
	}
	if v[most] < 0 {
		for i := range v {
			v[i] = -v[i]
		}
	}
	return v
}

const ccipcaSchema = 1

// AppendTo appends the stored form.
func (c *CCIPCA) AppendTo(b []byte) []byte {
	b = append(b, ccipcaSchema)
	b = binary.AppendUvarint(b, uint64(c.k)) //nolint:gosec // at most MaxAxes
	b = binary.AppendUvarint(b, c.n)
	b = appendNumber(b, c.total)
	b = appendNumbers(binary.AppendUvarint(b, uint64(len(c.mean))), c.mean)
	b = binary.AppendUvarint(b, uint64(len(c.v)))
	for _, v := range c.v {
		b = appendNumbers(b, v)
	}
	return b
}

// DecodeFrom reads what AppendTo wrote. It answers ErrNewer or ErrDamaged, wrapped with
// the facts.
func (c *CCIPCA) DecodeFrom(b []byte) error {
	w, _ := ReadWire(b, ccipcaSchema)
	*c = CCIPCA{k: w.Int(MaxAxes), n: w.Uvarint(), total: readNumber(w)}
	width := w.Len(MaxFeatures, 1)
	c.mean = readNumbers(w, width)
	c.rest = make([]float64, width)
	axes := w.Len(c.k, width)
	for range axes {
		c.v = append(c.v, readNumbers(w, width))
	}
	if c.k == 0 || axes > width || c.total < 0 || (c.n == 0) != (width == 0) {
		w.Fail("axes that do not fit")
	}
	if width == 0 {
		c.mean, c.rest = nil, nil
	}
	return w.Err()
}

func appendNumbers(b []byte, v []float64) []byte {
	for _, x := range v {
		b = appendNumber(b, x)
	}
	return b
}

func readNumbers(w *Wire, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = readNumber(w)
	}
	return v
}
