package operators

import (
	"math/rand/v2"
	"slices"
	"testing"

	"millrace/operators/event"
	"millrace/operators/sentiment"
)

// The alarm is raised once when texts become others, and lifted once when they are again
// as they were: against the training of a model of the shop's own texts, or against the
// first ones that another model judged.
func TestToneWatch(t *testing.T) {
	reference := sentiment.Card{Reference: [10]int{500, 300, 100, 50, 50, 50, 50, 100, 300, 500}}
	f := func(own bool, card sentiment.Card) {
		t.Helper()
		var told []bool
		w := NewToneWatch()
		w.Alarm = func(version string, index float64, on bool) {
			if version != "m" || on != (index > .25) {
				t.Errorf("told %v of %s at %.3f", on, version, index)
			}
			told = append(told, on)
		}
		w.Use("m", card, own)
		rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
		say := func(n int, draw func() float64) {
			for range n {
				w.judged("m", draw())
				w.judged("another", .5)
			}
		}
		usual := func() float64 { // as the reference
			at, bin := rng.IntN(2000), 0
			for at >= reference.Reference[bin] {
				at -= reference.Reference[bin]
				bin++
			}
			return (float64(bin) + rng.Float64()) / 10
		}
		say(3*driftWindow, usual)
		if len(told) > 0 {
			t.Fatal("an alarm without a cause")
		}
		say(2*driftWindow, func() float64 { return .5 + rng.Float64()/10 })
		if !w.Figures().Alarm || w.Figures().Drift < .25 {
			t.Fatalf("no alarm: %+v", w.Figures())
		}
		say(2*driftWindow, usual)
		if w.Figures().Alarm || !slices.Equal(told, []bool{true, false}) {
			t.Fatalf("told %v, %+v", told, w.Figures())
		}
		w.Use("m", card, own) // again: nothing is forgotten
		if w.Figures().Drift == 0 {
			t.Fatal("the same model began anew")
		}
		w.Use("n", card, own)
		if f := w.Figures(); f.Drift != 0 || f.Alarm || f.Version != "n" {
			t.Fatalf("another model began with %+v", f)
		}
	}
	f(false, sentiment.Card{})
	f(true, reference)
	f(true, sentiment.Card{}) // a model without a reference
	var none *ToneWatch
	none.judged("m", .5)
	none.heard(event.EmailReplied, &sentiment.Heard{})
}
