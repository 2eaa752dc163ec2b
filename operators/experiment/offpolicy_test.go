package experiment_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"millrace/operators/experiment"
)

// logged is a decision as the tests of weighted sums draw it.
type logged struct {
	took             bool
	reward, p, guess float64
}

func drawLogged(t *rapid.T) []logged {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) logged {
		return logged{rapid.Bool().Draw(t, "took"), rapid.Float64Range(-5, 5).Draw(t, "reward"),
			rapid.Float64Range(0.05, 1).Draw(t, "p"), rapid.Float64Range(-1, 1).Draw(t, "guess")}
	}), 2, 40).Draw(t, "decisions")
}

func almost(t *rapid.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*(1+math.Abs(want)) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

// The plain and the self-normalised mean, and what the weights are worth, equal their
// definitions; taking decisions back leaves the sums of the others, and sums merge.
func TestWeightedAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawLogged(t)
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		var whole, left, right, back experiment.Weighted
		sum, weights, squares := 0.0, 0.0, 0.0
		for i, d := range all {
			half := &left
			if i >= cut {
				half = &right
			}
			for _, w := range []*experiment.Weighted{&whole, half, &back} {
				if err := w.Add(d.took, d.reward, d.p, d.guess); err != nil {
					t.Fatal(err)
				}
			}
			if d.took {
				sum, weights, squares = sum+d.reward/d.p, weights+1/d.p, squares+1/(d.p*d.p)
			}
		}
		almost(t, "plain", whole.Naive(), sum/float64(len(all)))
		if weights == 0 {
			if whole.EffectiveN() != 0 {
				t.Fatal("worth something without a decision")
			}
			return
		}
		almost(t, "self-normalised", whole.SelfNormalised(), sum/weights)
		almost(t, "worth", whole.EffectiveN(), weights*weights/squares)
		left.Merge(right)
		almost(t, "merged", left.WG, whole.WG)
		almost(t, "merged spread", left.WWGG, whole.WWGG)
		for _, d := range all[cut:] {
			if err := back.Remove(d.took, d.reward, d.p, d.guess); err != nil {
				t.Fatal(err)
			}
		}
		if back.N != float64(cut) {
			t.Fatalf("%v decisions are left of %d", back.N, cut)
		}
		if math.Abs(back.WG-(whole.WG-right.WG)) > 1e-9*(1+math.Abs(whole.WG)+math.Abs(right.WG)) {
			t.Fatalf("%v is left, want %v", back.WG, whole.WG-right.WG)
		}
	})
}

// Sums of a rule's value merge.
func TestPolicyMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var whole, left, right experiment.Policy
		for i, d := range drawLogged(t) {
			half := &left
			if i%3 == 0 {
				half = &right
			}
			l := experiment.Logged{Propensity: d.p, Reward: d.reward}
			for _, p := range []*experiment.Policy{&whole, half} {
				if err := p.Add(l, []float64{0.5, 0.5}, []float64{d.guess, 0}); err != nil {
					t.Fatal(err)
				}
			}
		}
		left.Merge(right)
		a, errA := left.Value()
		b, errB := whole.Value()
		if (errA == nil) != (errB == nil) {
			t.Fatalf("%v and %v", errA, errB)
		}
		if errA != nil {
			return // nothing varies
		}
		almost(t, "value", a.Estimate, b.Estimate)
		almost(t, "error", a.SE, b.SE)
		almost(t, "worth", left.EffectiveN(), whole.EffectiveN())
	})
}

// An interval that was adjusted excludes zero just when the adjusted p-value is below
// alpha, and is never narrower than before.
func TestAdjustedInterval(t *testing.T) {
	f := func(effect, se, adjusted float64) {
		t.Helper()
		const alpha = 0.05
		plain := experiment.Effect{Estimate: effect, SE: se, DoF: 1e9, N: 1e9}.Fixed(alpha)
		ci := experiment.AdjustedInterval(plain, adjusted, alpha)
		if ci.Lo > plain.CI.Lo+1e-9 || ci.Hi < plain.CI.Hi-1e-9 {
			t.Errorf("%v ± %v at %v: %+v is narrower than %+v", effect, se, adjusted, ci, plain.CI)
		}
		if want := max(adjusted, plain.P) < alpha; want == ci.Holds(0) {
			t.Errorf("%v ± %v at %v: %+v, zero is in it: %v", effect, se, adjusted, ci, ci.Holds(0))
		}
	}
	f(3, 1, 0.01)
	f(3, 1, 0.049)
	f(3, 1, 0.051)
	f(-3, 1, 0.2)
	f(-3, 1, 0.0001) // below the plain p-value: nothing was adjusted
	f(1, 1, 1)
	f(0, 1, 1)
}
