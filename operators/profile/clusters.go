package profile

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"
)

// ClusterOptions say how vectors are put into groups. The zero value works.
type ClusterOptions struct {
	// K is how many groups there are.
	K int
	// HalfLife of what was seen; 0 for none.
	HalfLife time.Duration
	// Warm is how many vectors are gathered before the groups begin.
	Warm int
	// Raw says that the features are of one kind, as shares are, and are compared as
	// they stand; else each is divided by its standard deviation.
	Raw bool
	// DeadShare is the share of an even part of all vectors below which a group counts
	// as dead.
	DeadShare float64
	// Seed of the choices of the start.
	Seed uint64
}

func (o ClusterOptions) withDefaults() ClusterOptions {
	o.K = min(max(cmp.Or(o.K, 8), 2), MaxClusters)                    // a shop plans for a handful of groups
	o.Warm = min(max(cmp.Or(o.Warm, max(25*o.K, 200)), o.K), MaxWarm) // fewer make a start that is mostly chance
	o.DeadShare = min(max(cmp.Or(o.DeadShare, .02), 0), .5)           // a fiftieth of an even part is no group to write to
	o.HalfLife = min(max(o.HalfLife, 0), 100*365*24*time.Hour)        // a life
	return o
}

// The bounds of Clusters.
const (
	MaxClusters = 64
	MaxWarm     = 2048
)

// Cluster is one group. Its ID is never given to another one.
type Cluster struct {
	ID     uint32
	Weight float64   // how many vectors, decayed, as of the clock of its Clusters
	Centre []float64 // in the units of the features
	square []float64 // squared distances from the centre, by feature
}

// Clusters puts vectors into groups as they come: K-means with one step a vector. The
// start is k-means++ on a warm buffer, then each vector moves the nearest centre by its
// share of the group (MacQueen 1967), where old vectors fade with a half-life. A group
// that dies takes half of the one with the largest error. It depends on the order of the
// vectors, and is the same for the same order. One goroutine at a time.
type Clusters struct {
	o      ClusterOptions
	half   int64
	width  int
	newest int64
	decay  Decay
	scale  Moments
	warm   [][]float64
	All    []Cluster // empty until the start
	nextID uint32
	since  int       // vectors since dead groups were looked for
	Splits uint64    // how often a dead group took half of another
	by     []float64 // scratch
}

// NewClusters makes one that has seen nothing.
func NewClusters(o ClusterOptions) *Clusters {
	c := &Clusters{}
	c.configure(o)
	return c
}

func (c *Clusters) configure(o ClusterOptions) {
	c.o = o.withDefaults()
	c.half = halfMillis(c.o.HalfLife)
}

// Add takes in a vector of an event time, and answers which of All it belongs to, or -1
// as long as the groups have not begun. The first vector decides the width; a shorter
// one is left out, and so is one that holds what is not a finite number.
func (c *Clusters) Add(x []float64, at int64) int {
	if c.width == 0 {
		c.width = min(len(x), MaxFeatures)
	}
	if !c.fits(x) {
		return -1
	}
	x = x[:c.width]
	w, f := c.decay.Weigh(at, c.half, c.newest)
	c.multiply(f)
	if c.newest == 0 || at > c.newest {
		c.newest = at
	}
	c.scale.Add(x, at, c.o.HalfLife)
	if len(c.All) == 0 {
		c.warm = append(c.warm, append([]float64(nil), x...))
		if len(c.warm) >= c.o.Warm {
			c.begin(w)
		}
		return -1
	}
	i, _ := c.nearest(x)
	c.All[i].add(x, w)
	if c.since++; c.since >= 32*len(c.All) { // rarely: it costs as much as an Add
		c.since = 0
		c.split()
	}
	return i
}

func (c *Clusters) fits(x []float64) bool {
	if c.width == 0 || len(x) < c.width {
		return false
	}
	for _, v := range x[:c.width] {
		if !counts(v) {
			return false
		}
	}
	return true
}

// Nearest answers which of All a vector belongs to and how far its centre is, -1 if
// there is none.
func (c *Clusters) Nearest(x []float64) (int, float64) {
	if len(c.All) == 0 || !c.fits(x) {
		return -1, 0
	}
	i, square := c.nearest(x[:c.width])
	return i, math.Sqrt(square)
}

func (c *Clusters) nearest(x []float64) (int, float64) {
	by := c.weights()
	best, least := 0, math.Inf(1)
	for i := range c.All {
		if d := apart(c.All[i].Centre, x, by); d < least {
			best, least = i, d
		}
	}
	return best, least
}

// weights are by what the squared differences of the features are multiplied; nil for 1.
// They hold until the next call.
func (c *Clusters) weights() []float64 {
	if c.o.Raw {
		return nil
	}
	c.by = c.by[:0]
	for i := range c.width {
		s := c.scale.Scale(i)
		c.by = append(c.by, 1/(s*s))
	}
	return c.by
}

// apart is the squared distance of two vectors.
func apart(a, b, by []float64) float64 {
	sum := 0.0
	if by == nil {
		for i, x := range a {
			d := x - b[i]
			sum += d * d
		}
		return sum
	}
	for i, x := range a {
		d := x - b[i]
		sum += d * d * by[i]
	}
	return sum
}

func (l *Cluster) add(x []float64, w float64) {
	if w <= 0 {
		return
	}
	l.Weight += w
	step := w / l.Weight
	for i, v := range x {
		by := v - l.Centre[i]
		l.Centre[i] += by * step
		l.square[i] += w * by * (v - l.Centre[i])
	}
}

func (c *Clusters) multiply(f float64) {
	if f == 1 {
		return
	}
	for i := range c.All {
		c.All[i].Weight *= f
		for j := range c.All[i].square {
			c.All[i].square[j] *= f
		}
	}
}

// begin makes the groups out of the warm buffer: the best of a few starts, each settled
// by Lloyd's steps. All of the buffer counts as of now: it is young.
func (c *Clusters) begin(w float64) {
	by := c.weights()
	rng := rand.New(rand.NewPCG(c.o.Seed, uint64(len(c.warm)))) //nolint:gosec // chance, no secret
	_, labels := settle(c.warm, by, c.o.K, rng, warmStarts)
	k := 0
	for _, l := range labels {
		k = max(k, l+1)
	}
	for range k {
		c.All = append(c.All, c.fresh())
	}
	for i, x := range c.warm {
		c.All[labels[i]].add(x, w)
	}
	for len(c.All) < c.o.K {
		if !c.halve(-1) {
			break
		}
	}
	c.warm = nil
}

func (c *Clusters) fresh() Cluster {
	c.nextID++
	return Cluster{ID: c.nextID, Centre: make([]float64, c.width), square: make([]float64, c.width)}
}

// split gives a dead group half of the one with the largest error, and makes one group of
// two when the half of another is worth more: so groups get out of a bad start, and follow
// when people change. At most one at a time, so that what it did can be seen before the next.
func (c *Clusters) split() {
	if len(c.All) < c.o.K { // the start had fewer different vectors
		if c.halve(-1) {
			return
		}
	}
	sum, dead := 0.0, 0
	for i := range c.All {
		sum += c.All[i].Weight
		if c.All[i].Weight < c.All[dead].Weight {
			dead = i
		}
	}
	if c.All[dead].Weight < c.o.DeadShare*sum/float64(len(c.All)) {
		c.halve(dead)
		return
	}
	c.regroup()
}

// How much more a split must take from the error than the join of two groups adds to it.
// Halving what is spread like a normal distribution takes 2/π of the variance along the cut.
const (
	splitTakes = 2 / math.Pi
	splitWorth = 1.5 // or groups would come and go by chance
)

// regroup joins the two groups that differ least, if a split of a third is worth it.
func (c *Clusters) regroup() {
	if len(c.All) < 3 {
		return
	}
	by := c.weights()
	near, far, cost := -1, -1, math.Inf(1)
	for i := range c.All {
		for j := range i {
			w := c.All[i].Weight + c.All[j].Weight
			if w == 0 {
				continue
			}
			// What Ward's method calls the price of a join.
			if p := c.All[i].Weight * (c.All[j].Weight / w) * apart(c.All[i].Centre, c.All[j].Centre, by); p < cost {
				near, far, cost = j, i, p
			}
		}
	}
	gain := 0.0
	for i := range c.All {
		if i != near && i != far {
			j := widest(c.All[i].square, by)
			v := c.All[i].square[j]
			if by != nil {
				v *= by[j]
			}
			gain = math.Max(gain, v*splitTakes)
		}
	}
	if near < 0 || gain <= splitWorth*cost {
		return
	}
	kept, gone := near, far
	if c.All[gone].Weight > c.All[kept].Weight {
		kept, gone = gone, kept
	}
	c.All[kept].join(&c.All[gone])
	c.halve(gone)
}

// join takes in all vectors of another group.
func (l *Cluster) join(o *Cluster) {
	sum := l.Weight + o.Weight
	for j := range l.Centre {
		off := o.Centre[j] - l.Centre[j]
		l.square[j] += o.square[j] + off*off*l.Weight*(o.Weight/sum)
		l.Centre[j] += off * (o.Weight / sum)
	}
	l.Weight = sum
}

// halve gives half of the group with the largest error to number dead, whose vectors
// are forgotten, or to a new one if that is -1. It answers false if there is nothing to
// halve.
func (c *Clusters) halve(dead int) bool {
	by := c.weights()
	most, largest := -1, 0.0
	for i := range c.All {
		j := widest(c.All[i].square, by)
		e := c.All[i].square[j] // along the cut: all that a split can take from
		if by != nil {
			e *= by[j]
		}
		if i != dead && e > largest {
			most, largest = i, e
		}
	}
	if most < 0 || c.All[most].Weight == 0 {
		return false
	}
	if dead < 0 {
		c.All = append(c.All, Cluster{})
		dead = len(c.All) - 1
	}
	half := c.fresh()
	from := &c.All[most]
	from.Weight /= 2
	half.Weight = from.Weight
	for j := range from.square {
		// Half of an even spread has a mean that lies √3/2 deviations off and keeps a
		// quarter of the variance; of the other features' signs nothing is known, so only
		// the one with the largest part is cut.
		from.square[j] /= 2
		half.square[j], half.Centre[j] = from.square[j], from.Centre[j]
	}
	j := widest(from.square, by)
	off := math.Sqrt(3*from.square[j]/from.Weight) / 2
	from.square[j] /= 4
	half.square[j] /= 4
	from.Centre[j] -= off
	half.Centre[j] += off
	c.All[dead] = half
	c.Splits++
	return true
}

func widest(square, by []float64) int {
	best, most := 0, -1.0
	for j, s := range square {
		if by != nil {
			s *= by[j]
		}
		if s > most {
			best, most = j, s
		}
	}
	return best
}

// Error is the decayed mean squared distance of the vectors from their centres at the
// time they came, in the units that are compared.
func (c *Clusters) Error() float64 {
	by := c.weights()
	sum, weight := 0.0, 0.0
	for i := range c.All {
		weight += c.All[i].Weight
		for j, s := range c.All[i].square {
			if by != nil {
				s *= by[j]
			}
			sum += s
		}
	}
	if weight == 0 {
		return 0
	}
	return sum / weight
}

// Share is the part of all vectors that belong to number i.
func (c *Clusters) Share(i int) float64 {
	sum := 0.0
	for j := range c.All {
		sum += c.All[j].Weight
	}
	if sum == 0 {
		return 0
	}
	return c.All[i].Weight / sum
}

const clustersSchema = 1

// AppendTo appends the stored form.
func (c *Clusters) AppendTo(b []byte) []byte {
	b = append(b, clustersSchema)
	b = binary.AppendUvarint(b, uint64(c.width)) //nolint:gosec // at most MaxFeatures
	b = binary.AppendVarint(b, c.newest)
	b = c.decay.AppendTo(b)
	b = c.scale.appendBody(b)
	b = binary.AppendUvarint(b, uint64(c.nextID))
	b = binary.AppendUvarint(b, uint64(c.since)) //nolint:gosec // small
	b = binary.AppendUvarint(b, c.Splits)
	b = binary.AppendUvarint(b, uint64(len(c.warm)))
	for _, x := range c.warm {
		b = appendNumbers(b, x)
	}
	b = binary.AppendUvarint(b, uint64(len(c.All)))
	for i := range c.All {
		l := &c.All[i]
		b = binary.AppendUvarint(b, uint64(l.ID))
		b = appendNumber(b, l.Weight)
		b = appendNumbers(appendNumbers(b, l.Centre), l.square)
	}
	return b
}

// DecodeFrom reads what AppendTo wrote, and goes on with the options that c was made
// with. With more groups than the K of them the surplus is dropped, the lightest first.
// It answers ErrNewer or ErrDamaged, wrapped with the facts.
func (c *Clusters) DecodeFrom(b []byte) error {
	w, _ := ReadWire(b, clustersSchema)
	o := c.o
	*c = Clusters{width: w.Int(MaxFeatures), newest: w.Varint()}
	c.configure(o)
	c.decay.ReadFrom(w)
	c.scale.readBody(w)
	c.nextID, c.since, c.Splits = uint32(w.Int(1<<32-1)), w.Int(1<<20), w.Uvarint() //nolint:gosec // bounded
	for range w.Len(MaxWarm, max(c.width, 1)) {
		c.warm = append(c.warm, readNumbers(w, c.width))
	}
	for range w.Len(MaxClusters, 2+2*c.width) {
		l := Cluster{ID: uint32(w.Int(1<<32 - 1)), Weight: readNumber(w)} //nolint:gosec // bounded
		l.Centre, l.square = readNumbers(w, c.width), readNumbers(w, c.width)
		if l.Weight < 0 {
			w.Fail("negative weight")
		}
		c.All = append(c.All, l)
	}
	if c.width == 0 && len(c.All)+len(c.warm) > 0 || c.decay.half == 0 && len(c.All) > 0 {
		w.Fail("groups without vectors")
	}
	if err := w.Err(); err != nil {
		return err
	}
	for len(c.All) > c.o.K {
		c.drop()
	}
	return nil
}

func (c *Clusters) drop() {
	light := 0
	for i := range c.All {
		if c.All[i].Weight < c.All[light].Weight {
			light = i
		}
	}
	c.All = append(c.All[:light], c.All[light+1:]...)
}
