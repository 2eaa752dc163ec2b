package sentiment

import (
	"iter"
	"math"
)

// The sizes of tables of features. Two million entries keep the features of fifty
// thousand reviews apart well enough, in 16 MiB; what has fewer gets eight entries for
// each, so that a small model is a small one.
const (
	tableLeast  = 1 << 16
	tableMost   = 1 << 21
	entriesEach = 8
)

// tableSize returns the size for sets of features, a power of two.
func tableSize(sets iter.Seq[[]uint32]) int {
	met := make([]bool, tableMost)
	n := 0
	for features := range sets {
		for _, f := range features {
			if at := f % tableMost; !met[at] {
				met[at] = true
				n++
			}
		}
	}
	size := tableLeast
	for size < tableMost && size < entriesEach*n {
		size *= 2
	}
	return size
}

// featuresOf goes through the features of texts.
func featuresOf(docs []*Doc) iter.Seq[[]uint32] {
	return func(yield func([]uint32) bool) {
		for _, d := range docs {
			if !yield(d.linear) {
				return
			}
		}
	}
}

// laplace is the count that each feature has before any text is seen: Laplace's own
// rule. Between .2 and 2 some sets gain half a percent and others lose it.
const laplace = 1

// bayes is multinomial naive Bayes on binary features (Wang and Manning 2012, section
// 2.1): it counts in how many texts of each class a feature stands, and nothing else, so
// that one more label is one more count. What is learnt does not depend on the order.
type bayes struct {
	texts  [2]float64   // by class
	counts [][2]float32 // by the lowest bits of a feature's hash, then by class
	sums   [2]float64   // of counts
	kinds  float64      // features that were met
}

func newBayes(size int) *bayes { return &bayes{counts: make([][2]float32, size)} }

func class(positive bool) int {
	if positive {
		return 1
	}
	return 0
}

func (b *bayes) learn(d *Doc, positive bool) {
	k := class(positive)
	b.texts[k]++
	mask := uint32(len(b.counts) - 1) //nolint:gosec // at most two million
	for _, f := range d.bayes {
		c := &b.counts[f&mask]
		if c[0]+c[1] == 0 {
			b.kinds++
		}
		c[k]++
	}
	b.sums[k] += float64(len(d.bayes))
}

// score returns how much speaks for the text being positive. Features that were never met
// say nothing. The log odds are divided by the root of the number of features: the
// features of a text are far from independent, so that their sum claims a certainty that
// grows with its length and that no calibration could undo.
func (b *bayes) score(d *Doc) float64 {
	s := math.Log((b.texts[1] + laplace) / (b.texts[0] + laplace))
	known := 0.0
	mask := uint32(len(b.counts) - 1) //nolint:gosec // at most two million
	for _, f := range d.bayes {
		c := b.counts[f&mask]
		if c[0]+c[1] == 0 {
			continue
		}
		known++
		s += math.Log((float64(c[1]) + laplace) / (float64(c[0]) + laplace))
	}
	s += known * math.Log((b.sums[0]+laplace*(b.kinds+1))/(b.sums[1]+laplace*(b.kinds+1)))
	return s / math.Sqrt(1+known)
}
