package sentiment

import (
	"math"
	"math/rand/v2"
	"testing"
)

// draw is a probability that a model could give: mostly sure, mostly of praise.
func draw(r *rand.Rand, shift float64) float64 { return sigmoid(1 + shift + 2*r.NormFloat64()) }

func TestDrift(t *testing.T) {
	var c Card
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		c.Reference[driftBin(draw(r, 0))]++
	}
	// run returns after how many texts the alarm came, or 0.
	run := func(shift float64, texts int, seed uint64) int {
		d, err := NewDrift(c, DriftOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(seed, 2))
		for i := range texts {
			now := 0.0
			if i >= 1000 {
				now = shift
			}
			if d.Observe(draw(r, now)) {
				return i + 1
			}
		}
		return 0
	}
	for seed := range uint64(20) {
		// Ten thousand texts like those of the training set: silence.
		if at := run(0, 10_000, seed); at != 0 {
			t.Errorf("seed %d: false alarm at text %d", seed, at)
		}
		// Then people become much angrier: an alarm within a window.
		if at := run(-2, 3000, seed); at < 1000 || at > 1500 {
			t.Errorf("seed %d: alarm at text %d, want one between 1000 and 1500", seed, at)
		}
	}
}

func TestDriftIndex(t *testing.T) {
	c := Card{Reference: [driftBins]int{500, 0, 0, 0, 0, 0, 0, 0, 0, 500}}
	d, err := NewDrift(c, DriftOptions{Window: 100})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if d.Observe(float64(i % 2)) {
			t.Fatalf("alarm at text %d", i)
		}
	}
	if d.Index() > 0.2 {
		t.Errorf("index %v of the same halves", d.Index())
	}
	// The window forgets: after another hundred only those count.
	fired := false
	for range 100 {
		fired = d.Observe(1)
	}
	if !fired || d.counts[9] != 100 || d.counts[0] != 0 {
		t.Errorf("fired %v, counts %v", fired, d.counts)
	}
	// Of odd numbers none leaves the bins.
	for _, p := range []float64{-1, 2, math.Inf(1), math.NaN()} {
		d.Observe(p)
	}
	for _, bad := range []DriftOptions{{Window: 5}, {Window: 1 << 30}} {
		if _, err := NewDrift(c, bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	if _, err := NewDrift(Card{}, DriftOptions{}); err == nil {
		t.Error("a card without reference was accepted")
	}
}

// TestDriftOfModel joins the two: the card of a trained model is a reference.
func TestDriftOfModel(t *testing.T) {
	m := trained(t, Ensemble, corpus(400, 1, false))
	d, err := NewDrift(m.Card(), DriftOptions{Window: 200})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range corpus(600, 5, false) {
		if d.Observe(m.Probability(e.Doc)) {
			t.Fatalf("false alarm at text %d, index %.2f", i, d.Index())
		}
	}
	fired := false
	for range 200 {
		fired = d.Observe(m.Probability(NewDoc("the room was awful"))) || fired
	}
	if !fired {
		t.Errorf("no alarm when everybody complains, index %.2f", d.Index())
	}
}
