package sentiment

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestSolverAgainstGradient checks the solution by what defines it: at the minimum of
// ½|w|² + C·Σ loss the gradient is zero, in every direction.
func TestSolverAgainstGradient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		const features = 12
		cost := math.Exp(rapid.Float64Range(-2, 2).Draw(t, "log cost"))
		rows := make([]row, 40)
		for i := range rows {
			rows[i].positive = r.IntN(2) == 1
			rows[i].weight = 0.5 + r.Float64()
			for f := range uint32(features) {
				switch r.IntN(4) {
				case 0:
					rows[i].plus = append(rows[i].plus, f)
				case 1:
					rows[i].minus = append(rows[i].minus, f)
				}
			}
		}
		entries := make([]entry, tableLeast)
		for f := range features {
			entries[f].square = float32(0.5 + r.Float64())
		}
		l := solver{cost: cost, epochs: 300, biased: true, seed: 1}.solve(rows, entries)
		// entry.weight is w·s: the gradient by w is w - C Σ y·x·σ(-y·margin), x = ±s/|x|.
		var grad [features]float64
		var bias float64
		for f := range features {
			grad[f] = float64(l.entries[f].weight) / math.Sqrt(float64(l.entries[f].square))
		}
		bias = l.bias
		for _, row := range rows {
			y := 2*float64(class(row.positive)) - 1
			inverse := l.inverse(row)
			k := cost * row.weight * y * sigmoid(-y*(l.sum(row)*inverse+l.bias))
			for _, f := range row.plus {
				grad[f] -= k * inverse * math.Sqrt(float64(l.entries[f].square))
			}
			for _, f := range row.minus {
				grad[f] += k * inverse * math.Sqrt(float64(l.entries[f].square))
			}
			bias -= k
		}
		for f, g := range append(grad[:], bias) {
			if math.Abs(g) > 5e-3*(1+cost) {
				t.Fatalf("gradient %v in direction %d at cost %v", g, f, cost)
			}
		}
	})
}

// TestDualBounds asks that a dual variable stays between its bounds whatever is asked.
func TestDualBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cost := math.Exp(rapid.Float64Range(-6, 6).Draw(t, "log cost"))
		d := newDual(cost)
		for range 5 {
			margin := rapid.Float64Range(-1e6, 1e6).Draw(t, "margin")
			d.step(rapid.Float64Range(1e-6, 4).Draw(t, "length"), margin)
			if !(d.up > 0 && d.down >= 0 && d.up+d.down <= cost*(1+1e-9)) {
				t.Fatalf("dual %+v of %v at margin %v", d, cost, margin)
			}
		}
	})
}

// TestStack recovers the weights of scores whose labels were drawn from them.
func TestStack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var scores [][]float64
	var positive []bool
	for range 20_000 {
		a, b := 2*r.NormFloat64(), 30*r.NormFloat64()
		scores = append(scores, []float64{a, b})
		positive = append(positive, r.Float64() < sigmoid(0.8*a+0.05*b-0.5))
	}
	s := fitStack(scores, positive)
	if math.Abs(s.weights[0]-0.8) > 0.05 || math.Abs(s.weights[1]-0.05) > 0.005 || math.Abs(s.bias+0.5) > 0.06 {
		t.Errorf("weights %v and bias %v, want 0.8, 0.05 and -0.5", s.weights, s.bias)
	}
	// Scores that part the classes without error, and one that never changes.
	for _, row := range scores {
		row[0] = 0
	}
	for i := range scores {
		positive[i] = scores[i][1] > 0
	}
	s = fitStack(scores, positive)
	if z := s.logit([]float64{0, 30}); !(z > 3 && z < 1e3) {
		t.Errorf("log odds %v of a clear case", z)
	}
}

func TestSolve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "n")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		a, want, b := square(n), make([]float64, n), make([]float64, n)
		for range 8 {
			v := make([]float64, n)
			for i := range v {
				v[i] = r.NormFloat64()
			}
			for i := range v {
				for j := range v {
					a[i][j] += v[i] * v[j]
				}
			}
		}
		for i := range n {
			a[i][i]++
			want[i] = r.NormFloat64()
		}
		for i := range n {
			for j := range n {
				b[i] += a[i][j] * want[j]
			}
		}
		for i, x := range solve(a, b) {
			if math.Abs(x-want[i]) > 1e-8 {
				t.Fatalf("x[%d] is %v, want %v", i, x, want[i])
			}
		}
	})
}
