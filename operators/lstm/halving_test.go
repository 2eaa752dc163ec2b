package lstm

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestHalvingGoesOn: a search that is killed after any measurement and started again ends
// as one that was not, without measuring anything twice.
func TestHalvingGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Halving{Trials: rapid.IntRange(1, 30).Draw(t, "trials"), Rungs: rapid.IntRange(1, 4).Draw(t, "rungs"), Factor: rapid.IntRange(2, 4).Draw(t, "factor")}
		loss := rapid.SliceOfN(rapid.Float64Range(0, 9), h.Trials, h.Trials).Draw(t, "loss")
		killed := errors.New("killed")
		counts := map[[2]int]int{}
		run := func(done []Measured, left int) ([]Measured, error) {
			kept := done
			_, err := h.Search(context.Background(), done, func(trial, rung int) (Measured, error) {
				if left--; left < 0 {
					return Measured{}, killed
				}
				counts[[2]int{trial, rung}]++
				return Measured{Loss: loss[trial] / float64(rung+1)}, nil
			}, func(m []Measured) error { kept = slices.Clone(m); return nil })
			return kept, err
		}
		whole, err := run(nil, math.MaxInt)
		if err != nil {
			t.Fatal(err)
		}
		clear(counts)
		part, err := run(nil, rapid.IntRange(0, len(whole)-1).Draw(t, "killed after"))
		if !errors.Is(err, killed) {
			t.Fatal(err)
		}
		part, err = run(part, math.MaxInt)
		if err != nil || !reflect.DeepEqual(part, whole) {
			t.Fatalf("%v, %v, want %v", part, err, whole)
		}
		for k, n := range counts {
			if n != 1 {
				t.Fatalf("%v was measured %d times", k, n)
			}
		}
		best, _ := Best(whole)
		if least := slices.Min(loss); best.Rung != h.Rungs-1 || loss[best.Trial] != least {
			t.Fatalf("won: %v, the least loss is %v", best, least)
		}
	})
}

func TestHalvingFailures(t *testing.T) {
	f := func(all []Measured, want int) {
		t.Helper()
		if got, ok := Best(all); !ok || got.Trial != want {
			t.Errorf("%v wins, want trial %d", got, want)
		}
	}
	f([]Measured{{Trial: 0, Loss: math.NaN()}, {Trial: 1, Loss: 7}}, 1)
	f([]Measured{{Trial: 0, Loss: 1, Failed: "no control"}, {Trial: 1, Loss: 7}}, 1)
	f([]Measured{{Trial: 0, Loss: 1}, {Trial: 1, Rung: 1, Loss: 7}}, 1)
	if _, ok := Best(nil); ok {
		t.Error("nothing wins")
	}
	if b := (Halving{}).WithDefaults().Budget(4500, 0); b != 500 {
		t.Errorf("budget %d, want 500", b)
	}
}
