package profile

import (
	"encoding/binary"
	"math"
)

// AdjustedRand compares two groupings of the same things (Hubert, Arabie 1985): 1 if
// they are the same but for the names of the groups, about 0 if they agree no more than
// by chance. It answers 1 for fewer than two things.
func AdjustedRand(a, b []int) float64 {
	n := min(len(a), len(b))
	if n < 2 {
		return 1
	}
	rows, columns, cells := map[int]float64{}, map[int]float64{}, map[[2]int]float64{}
	for i := range n {
		rows[a[i]]++
		columns[b[i]]++
		cells[[2]int{a[i], b[i]}]++
	}
	// Sums of whole numbers: exact in any order of the maps.
	var both, mine, theirs float64
	for _, c := range cells {
		both += c * (c - 1) / 2
	}
	for _, c := range rows {
		mine += c * (c - 1) / 2
	}
	for _, c := range columns {
		theirs += c * (c - 1) / 2
	}
	chance := mine * theirs / (float64(n) * float64(n-1) / 2)
	most := (mine + theirs) / 2
	if most == chance {
		return 1 // each alone, or all together, on both sides
	}
	return (both - chance) / (most - chance)
}

// Silhouette is the mean over all vectors of how much nearer they are to their own
// group than to the next one (Rousseeuw 1987): 1 for groups far apart, 0 for groups
// that touch. It costs the square of the number of vectors.
func Silhouette(xs [][]float64, labels []int) float64 { return silhouette(xs, labels, nil) }

func silhouette(xs [][]float64, labels []int, by []float64) float64 {
	k := 0
	for _, l := range labels {
		k = max(k, l+1)
	}
	count := make([]float64, k)
	for _, l := range labels {
		count[l]++
	}
	sum, sums := 0.0, make([]float64, k)
	for i, x := range xs {
		own := labels[i]
		if count[own] < 2 {
			continue // counts as 0
		}
		clear(sums)
		for j, y := range xs {
			sums[labels[j]] += math.Sqrt(apart(x, y, by))
		}
		inside, outside := sums[own]/(count[own]-1), math.Inf(1)
		for l, s := range sums {
			if l != own && count[l] > 0 {
				outside = math.Min(outside, s/count[l])
			}
		}
		if most := math.Max(inside, outside); !math.IsInf(outside, 1) && most > 0 {
			sum += (outside - inside) / most
		}
	}
	return sum / math.Max(float64(len(xs)), 1)
}

// Steadiness is how the groups of one period fit those of the period before, measured
// on a sample of the vectors of the later one.
type Steadiness struct {
	Sample     int
	Rand       float64 // the adjusted Rand index of the two groupings
	Drift      float64 // mean distance that the centres moved, in the units compared
	Silhouette float64 // of the later grouping
	Gone       int     // groups of the earlier period that are no more
}

// sampleMax is how many vectors of a period are kept to compare groupings by.
const sampleMax = 256

// Watch samples the vectors of a period, such as a day, and compares the groups at its
// end with those at its beginning. The zero value is ready. One goroutine at a time.
type Watch struct {
	sample [][]float64
	met    uint64
	before []Cluster // as of the beginning, without what only their update needs
}

// Add shows a vector to the watch: every vector of a period has the same chance to be
// in the sample (Vitter's algorithm R, with chances that follow from the count, so that
// the same vectors make the same sample).
func (h *Watch) Add(x []float64) {
	x = x[:min(len(x), MaxFeatures)]
	h.met++
	if len(h.sample) < sampleMax {
		h.sample = append(h.sample, append([]float64(nil), x...))
		return
	}
	if at := mix(h.met) % h.met; at < sampleMax {
		h.sample[at] = append(h.sample[at][:0], x...)
	}
}

// mix spreads a counter over all 64 bits (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Turn ends a period and begins the next. It answers false if there is nothing to
// compare: in the first period, or without vectors.
func (h *Watch) Turn(c *Clusters) (Steadiness, bool) {
	s, ok := h.compare(c)
	h.before = h.before[:0]
	for _, l := range c.All {
		h.before = append(h.before, Cluster{ID: l.ID, Centre: append([]float64(nil), l.Centre...)})
	}
	h.sample, h.met = nil, 0
	return s, ok
}

func (h *Watch) compare(c *Clusters) (s Steadiness, ok bool) {
	if len(h.before) == 0 || len(c.All) == 0 || len(h.before[0].Centre) != c.width {
		return s, false
	}
	by := c.weights()
	earlier := centresOf(h.before)
	later := centresOf(c.All)
	var xs [][]float64
	var a, b []int
	for _, x := range h.sample {
		if !c.fits(x) {
			continue
		}
		xs = append(xs, x[:c.width])
		i, _ := closest(earlier, x, by)
		j, _ := closest(later, x, by)
		a, b = append(a, i), append(b, j)
	}
	stayed := 0
	for i := range h.before {
		s.Gone++
		for j := range c.All {
			if c.All[j].ID == h.before[i].ID {
				s.Drift += math.Sqrt(apart(earlier[i], later[j], by))
				s.Gone--
				stayed++
			}
		}
	}
	s.Drift /= math.Max(float64(stayed), 1)
	s.Sample, s.Rand, s.Silhouette = len(xs), AdjustedRand(a, b), silhouette(xs, b, by)
	return s, len(xs) > 1
}

func centresOf(in []Cluster) [][]float64 {
	all := make([][]float64, len(in))
	for i := range in {
		all[i] = in[i].Centre
	}
	return all
}

const watchSchema = 1

// AppendTo appends the stored form.
func (h *Watch) AppendTo(b []byte) []byte {
	b = append(b, watchSchema)
	b = binary.AppendUvarint(b, h.met)
	b = binary.AppendUvarint(b, uint64(len(h.sample)))
	for _, x := range h.sample {
		b = appendNumbers(binary.AppendUvarint(b, uint64(len(x))), x)
	}
	b = binary.AppendUvarint(b, uint64(len(h.before)))
	for _, l := range h.before {
		b = binary.AppendUvarint(b, uint64(l.ID))
		b = appendNumbers(binary.AppendUvarint(b, uint64(len(l.Centre))), l.Centre)
	}
	return b
}

// DecodeFrom reads what AppendTo wrote. It answers ErrNewer or ErrDamaged, wrapped with
// the facts.
func (h *Watch) DecodeFrom(b []byte) error {
	w, _ := ReadWire(b, watchSchema)
	*h = Watch{met: w.Uvarint()}
	for range w.Len(sampleMax, 1) {
		h.sample = append(h.sample, readNumbers(w, w.Len(MaxFeatures, 1)))
	}
	width := -1
	for range w.Len(MaxClusters, 2) {
		l := Cluster{ID: uint32(w.Int(1<<32 - 1))} //nolint:gosec // bounded
		l.Centre = readNumbers(w, w.Len(MaxFeatures, 1))
		if width >= 0 && len(l.Centre) != width {
			w.Fail("centres of two widths")
		}
		width = len(l.Centre)
		h.before = append(h.before, l)
	}
	if h.met < uint64(len(h.sample)) || len(h.sample) < sampleMax && h.met != uint64(len(h.sample)) {
		w.Fail("sample larger than what it is of")
	}
	return w.Err()
}
