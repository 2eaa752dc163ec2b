package accuracy

import (
	"cmp"
	"math"
	"slices"
)

// Tally collects probabilities and what was true, and measures them.
type Tally struct {
	answers []answer
}

type answer struct {
	probability float64
	positive    bool
}

// Add takes in one answer.
func (t *Tally) Add(probability float64, positive bool) {
	t.answers = append(t.answers, answer{probability, positive})
}

// Len returns the number of answers.
func (t *Tally) Len() int { return len(t.answers) }

// Accuracy returns the share of answers that are right at one half.
func (t *Tally) Accuracy() float64 {
	right := 0
	for _, a := range t.answers {
		if (a.probability >= 0.5) == a.positive {
			right++
		}
	}
	return float64(right) / float64(max(1, len(t.answers)))
}

// Interval returns the 95 % interval of the accuracy (Wilson 1927).
func (t *Tally) Interval() (low, high float64) {
	const z = 1.959964
	n := float64(len(t.answers))
	if n == 0 {
		return 0, 1
	}
	p := t.Accuracy()
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, min(p, middle-half)), min(1, max(p, middle+half)) // rounding must not leave p outside
}

// F1 returns the harmonic mean of precision and recall of the positive class.
func (t *Tally) F1() float64 {
	var hit, said, is float64
	for _, a := range t.answers {
		if a.probability >= 0.5 {
			said++
			if a.positive {
				hit++
			}
		}
		if a.positive {
			is++
		}
	}
	if said+is == 0 {
		return 0
	}
	return 2 * hit / (said + is)
}

// eceBins is into how many bins of equal width the calibration error counts.
const eceBins = 10

// ECE returns the expected calibration error: over tenths of the probability of the
// positive class, the mean distance between what was said and what was true, weighted by
// the answers in each (Naeini, Cooper and Hauskrecht 2015).
func (t *Tally) ECE() float64 {
	var said, was [eceBins]float64
	for _, a := range t.answers {
		b := max(0, min(eceBins-1, int(a.probability*eceBins)))
		said[b] += a.probability
		if a.positive {
			was[b]++
		}
	}
	var sum float64
	for b := range eceBins {
		sum += math.Abs(said[b] - was[b])
	}
	return sum / float64(max(1, len(t.answers)))
}

// AUC returns how often a positive text got a higher probability than a negative one,
// ties counting half.
func (t *Tally) AUC() float64 {
	sorted := slices.SortedFunc(slices.Values(t.answers), func(a, b answer) int { return cmp.Compare(a.probability, b.probability) })
	var below, wins, positive float64
	for i := 0; i < len(sorted); {
		var p, n float64
		j := i
		for ; j < len(sorted) && sorted[j].probability == sorted[i].probability; j++ {
			if sorted[j].positive {
				p++
			} else {
				n++
			}
		}
		wins += p * (below + n/2)
		below += n
		positive += p
		i = j
	}
	if positive == 0 || below == 0 {
		return 0
	}
	return wins / (positive * below)
}
