package sentiment

import (
	"cmp"
	"fmt"
	"math"
)

// driftBins is into how many parts probabilities are counted.
const driftBins = 10

func driftBin(p float64) int { return max(0, min(driftBins-1, int(p*driftBins))) }

// DriftOptions says when an alarm is raised. Its zero value works.
type DriftOptions struct {
	Window    int     // texts that are compared
	Threshold float64 // of the population stability index
}

func (o DriftOptions) withDefaults() DriftOptions {
	o.Window = cmp.Or(o.Window, 500)        // by chance alone the index is then about 0.02
	o.Threshold = cmp.Or(o.Threshold, 0.25) // the usual reading: below 0.1 none, above 0.25 much
	return o
}

// Drift compares what a model says of the texts it meets with what it said of those it
// was trained on, by the population stability index, Σ (p-q)·log(p/q) over tenths of the
// probability. It needs no label. An alarm means that the texts have become others, or
// that people have become happier or angrier: either is worth a look, and new labels.
// It belongs to one goroutine at a time.
type Drift struct {
	options   DriftOptions
	reference [driftBins]int
	recent    []uint8 // a ring, by time
	at        int
	counts    [driftBins]int
}

// NewDrift returns an alarm for the model of the card.
func NewDrift(c Card, o DriftOptions) (*Drift, error) {
	o = o.withDefaults()
	n := 0
	for _, r := range c.Reference {
		if r < 0 {
			return nil, fmt.Errorf("sentiment: reference %v holds a negative count", c.Reference)
		}
		n += r
	}
	if n == 0 || o.Window < driftBins || o.Window > 1<<20 {
		return nil, fmt.Errorf("sentiment: drift over %d texts against %d, want %d to %d against at least one", o.Window, n, driftBins, 1<<20)
	}
	return &Drift{options: o, reference: c.Reference}, nil
}

// Observe takes in the probability that the model gave a text, and tells whether the
// last texts differ from the training set. It stays silent until its window is full.
func (d *Drift) Observe(probability float64) bool {
	b := driftBin(probability)
	if len(d.recent) < d.options.Window {
		d.recent = append(d.recent, uint8(b)) //nolint:gosec // b is below ten
	} else {
		d.counts[d.recent[d.at]]--
		d.recent[d.at] = uint8(b) //nolint:gosec // b is below ten
		d.at = (d.at + 1) % d.options.Window
	}
	d.counts[b]++
	return len(d.recent) == d.options.Window && d.Index() > d.options.Threshold
}

// Full tells whether there are as many texts as are compared.
func (d *Drift) Full() bool { return len(d.recent) == d.options.Window }

// Index returns the population stability index of the last texts. Half a text is added
// to every count, so that an empty one stays finite.
func (d *Drift) Index() float64 {
	var n, m float64
	for i := range driftBins {
		n += float64(d.reference[i]) + 0.5
		m += float64(d.counts[i]) + 0.5
	}
	var index float64
	for i := range driftBins {
		p, q := (float64(d.reference[i])+0.5)/n, (float64(d.counts[i])+0.5)/m
		index += (p - q) * math.Log(p/q)
	}
	return index
}
