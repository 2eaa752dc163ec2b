package recommend

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// solve is Gaussian elimination with pivots.
func solve(a [][]float64, b []float64) []float64 {
	n := len(b)
	for c := range n {
		p := c
		for r := c; r < n; r++ {
			if math.Abs(a[r][c]) > math.Abs(a[p][c]) {
				p = r
			}
		}
		a[c], a[p], b[c], b[p] = a[p], a[c], b[p], b[c]
		for r := c + 1; r < n; r++ {
			f := a[r][c] / a[c][c]
			for k := c; k < n; k++ {
				a[r][k] -= f * a[c][k]
			}
			b[r] -= f * b[c]
		}
	}
	x := make([]float64, n)
	for r := n - 1; r >= 0; r-- {
		x[r] = b[r]
		for k := r + 1; k < n; k++ {
			x[r] -= a[r][k] * x[k]
		}
		x[r] /= a[r][r]
	}
	return x
}

// TestEASEAgainstRidge compares the closed form with what it is the solution of: for each
// item the ridge regression of its column on all others.
func TestEASEAgainstRidge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 6
		lambda := rapid.Float64Range(0.5, 20).Draw(t, "lambda")
		g := NewGram(GramOptions{Lambda: lambda})
		x := make([][n]float64, rapid.IntRange(1, 12).Draw(t, "people"))
		for p := range x {
			for _, i := range rapid.SliceOfN(rapid.IntRange(0, n-1), 1, 8).Draw(t, "items") {
				x[p][i] = 1
				g.Add(fmt.Sprint("p", p), Num(i))
			}
		}
		e, err := g.Fit()
		if err != nil {
			t.Fatal(err)
		}
		for j := range n {
			var others []int
			known := false
			for i := range n {
				if i != j {
					others = append(others, i)
				}
			}
			a, b := make([][]float64, n-1), make([]float64, n-1)
			for r, i := range others {
				a[r] = make([]float64, n-1)
				a[r][r] = lambda
				for _, row := range x {
					for c, k := range others {
						a[r][c] += row[i] * row[k]
					}
					b[r] += row[i] * row[j]
					known = known || row[j] > 0
				}
			}
			if !known {
				continue
			}
			for r, w := range solve(a, b) {
				if got := e.Weight(Num(others[r]), Num(j)); math.Abs(got-w) > 1e-6 { // weights are stored as float32
					t.Fatalf("weight %d to %d: got %g, want %g", others[r], j, got, w)
				}
			}
			if e.Weight(Num(j), Num(j)) != 0 {
				t.Fatalf("item %d speaks for itself", j)
			}
		}
	})
}

func TestGram(t *testing.T) {
	g := NewGram(GramOptions{Items: 2, History: 3})
	if _, err := g.Fit(); !errors.Is(err, ErrNothingToFit) {
		t.Errorf("fit of nothing: %v", err)
	}
	for p := range 3 {
		for i := range p + 2 { // the last one has four, of which three are kept
			g.Add(fmt.Sprint(p), Num(i))
		}
	}
	if g.Lost() == 0 {
		t.Error("a choice beyond the bound is not counted as lost")
	}
	if g.Add("0", 0) || g.Shared(0, 1) != 3 || g.Shared(1, 2) != 2 || g.Shared(0, 3) != 0 {
		t.Errorf("counts are %g %g %g", g.Shared(0, 1), g.Shared(1, 2), g.Shared(0, 3))
	}
	e, err := g.Fit()
	if err != nil || len(e.items) != 2 || e.Weight(0, 1) <= 0 || e.Weight(0, 2) != 0 {
		t.Errorf("the fit has %d items, weights %g %g, %v", len(e.items), e.Weight(0, 1), e.Weight(0, 2), err)
	}
	if n := g.Erase("2"); n != 3 || g.Shared(0, 1) != 2 || g.Shared(1, 2) != 1 {
		t.Errorf("after erasing %d: %g %g", n, g.Shared(0, 1), g.Shared(1, 2))
	}
}

// TestFitOfACopy changes the counts between the copy and the fit, as those who observe
// during a fit do: the weights are those of the moment of the copy.
func TestFitOfACopy(t *testing.T) {
	g := NewGram(GramOptions{Lambda: 2})
	for p, items := range [][]Num{{0, 1}, {0, 1, 2}, {1, 2}, {0, 3}, {3}} {
		for _, i := range items {
			g.Add(string(rune('a'+p)), i)
		}
	}
	want, err := g.Fit()
	if err != nil {
		t.Fatal(err)
	}
	counts := g.counts()
	for p := range 20 { // 2 and 3, which nobody chose together so far, and a new item
		g.Add(string(rune('k'+p)), 2)
		g.Add(string(rune('k'+p)), 3)
		g.Add(string(rune('k'+p)), 4)
	}
	g.Erase("a")
	got, err := counts.fit()
	if err != nil {
		t.Fatal(err)
	}
	now, err := g.Fit()
	if err != nil {
		t.Fatal(err)
	}
	if now.Weight(2, 3) <= want.Weight(2, 3) || now.Weight(2, 4) == 0 {
		t.Fatalf("the counts did not change: weight %g, was %g", now.Weight(2, 3), want.Weight(2, 3))
	}
	for from := range Num(5) {
		for to := range Num(5) {
			if got.Weight(from, to) != want.Weight(from, to) {
				t.Errorf("weight of %d for %d: %g, want %g", from, to, got.Weight(from, to), want.Weight(from, to))
			}
		}
	}
}
