package lstm

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestPackedIsPlain: the strips give the very bits of the plain loop, whatever the sizes,
// and the lanes beside change nothing.
func TestPackedIsPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, cols := rapid.IntRange(1, 140).Draw(t, "rows"), rapid.IntRange(1, 70).Draw(t, "cols")
		lanes := rapid.IntRange(1, 9).Draw(t, "lanes")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		room := (lanes + 3) / 4 * 4
		numbers := func(n int) []float32 {
			out := make([]float32, n)
			for i := range out {
				out[i] = float32(r.NormFloat64())
			}
			return out
		}
		w, x, y := numbers(rows*cols), numbers(room*rows), numbers(room*cols)
		want := append([]float32(nil), y...)
		for lane := range lanes {
			for k := range rows {
				for j := range cols {
					want[lane*cols+j] += float32(x[lane*rows+k] * w[k*cols+j])
				}
			}
		}
		pack(w, rows, cols).add(x, y, lanes)
		for i := range lanes * cols {
			if y[i] != want[i] {
				t.Fatalf("lane %d, column %d: %v, want %v", i/cols, i%cols, y[i], want[i])
			}
		}
	})
}
