package sentiment

import "math"

// tableBits is the size of the tables of features: two million entries keep the features
// of fifty thousand reviews apart well enough, in 16 MiB.
const (
	tableBits = 21
	tableSize = 1 << tableBits
	tableMask = tableSize - 1
)

// laplace is the count that each feature has before any text is seen: Laplace's own
// rule, which no set here is the better for changing.
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

func newBayes() *bayes { return &bayes{counts: make([][2]float32, tableSize)} }

func class(positive bool) int {
	if positive {
		return 1
	}
	return 0
}

func (b *bayes) learn(d *Doc, positive bool) {
	k := class(positive)
	b.texts[k]++
	for _, f := range d.bayes {
		c := &b.counts[f&tableMask]
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
	for _, f := range d.bayes {
		c := b.counts[f&tableMask]
		if c[0]+c[1] == 0 {
			continue
		}
		known++
		s += math.Log((float64(c[1]) + laplace) / (float64(c[0]) + laplace))
	}
	s += known * math.Log((b.sums[0]+laplace*(b.kinds+1))/(b.sums[1]+laplace*(b.kinds+1)))
	return s / math.Sqrt(1+known)
}
