package enginetest_test

import (
	"strings"
	"testing"
)

// TestSimulationNotices breaks one promise at a time, and wants the simulation to say so:
// for many seeds, in the words that name what is broken, and not at all without.
func TestSimulationNotices(t *testing.T) {
	f := func(off switches, words ...string) {
		t.Helper()
		noticed, seeds := 0, uint64(25)
		for seed := range seeds {
			_, err := simulate(t, seed+1, off)
			if err == nil {
				continue
			}
			noticed++
			said := false
			for _, w := range words {
				said = said || strings.Contains(err.Error(), w)
			}
			if !said {
				t.Errorf("%+v: seed %d says %v, want one of %q", off, seed+1, err, words)
			}
		}
		t.Logf("%+v: %d of %d seeds notice", off, noticed, seeds)
		if want := len(words) > 0; want != (noticed > 0) {
			t.Errorf("%+v: %d of %d seeds notice", off, noticed, seeds)
		}
	}
	f(switches{plain: true})
	f(switches{effectsFirst: true}, "the state does not hold its decision", "sees a state of", "is carried out twice", "did not end", "is carried out after row")
	f(switches{dropSync: true}, "was committed and the state is that of", "the state does not hold its decision", "the state is damaged")
	f(switches{forget: true}, "was committed and the state is that of", "differences, the first of them", "the state does not hold its decision")
}
