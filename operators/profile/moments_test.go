package profile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// stamped is a vector with its event time.
type stamped struct {
	x  []float64
	at int64
}

func drawStamped(t *rapid.T, width int) []stamped {
	one := rapid.Custom(func(t *rapid.T) stamped {
		x := make([]float64, width)
		for i := range x {
			x[i] = rapid.Float64Range(-1e3, 1e3).Draw(t, "x")
		}
		return stamped{x, testBase + rapid.Int64Range(0, 90*24*3600*1000).Draw(t, "at")}
	})
	return rapid.SliceOfN(one, 1, 60).Draw(t, "vectors")
}

// alike tells whether two numbers are equal to 1e-9 of what they are made of.
func alike(a, b, size float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(size, 1) }

// naiveScatter is the weighted mean and covariance, by their definitions.
func naiveScatter(in []stamped, width int, half time.Duration) (weight float64, mean []float64, cov [][]float64) {
	mean, cov = make([]float64, width), make([][]float64, width)
	newest := in[0].at
	for _, s := range in {
		newest = max(newest, s.at)
	}
	w := func(s stamped) float64 {
		if half == 0 {
			return 1
		}
		return math.Exp2(-float64(newest-s.at) / float64(half.Milliseconds()))
	}
	for _, s := range in {
		weight += w(s)
		for i, v := range s.x {
			mean[i] += w(s) * v
		}
	}
	for i := range mean {
		mean[i] /= weight
		cov[i] = make([]float64, width)
	}
	for _, s := range in {
		for i := range mean {
			for j := range mean {
				cov[i][j] += w(s) * (s.x[i] - mean[i]) * (s.x[j] - mean[j]) / weight
			}
		}
	}
	return weight, mean, cov
}

func TestMomentsMatchDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		half := time.Duration(rapid.SampledFrom([]int64{0, 2, 24, 1000}).Draw(t, "hours")) * time.Hour
		in := drawStamped(t, 3)
		cut := rapid.IntRange(0, len(in)).Draw(t, "cut")
		order := rapid.Permutation(in).Draw(t, "order")
		var whole, left, right Moments
		for _, s := range order {
			whole.Add(s.x, s.at, half)
		}
		for i, s := range in {
			if i < cut {
				left.Add(s.x, s.at, half)
			} else {
				right.Add(s.x, s.at, half)
			}
		}
		other := left // the same two, the other way round
		other.All = slices.Clone(left.All)
		reverse := right
		reverse.All = slices.Clone(right.All)
		if !left.Merge(&right) || !reverse.Merge(&other) {
			t.Fatal("not merged")
		}
		weight, mean, cov := naiveScatter(in, 3, half)
		for name, m := range map[string]*Moments{"one by one": &whole, "merged": &left, "merged in reverse": &reverse} {
			for i := range mean {
				if got := m.Count(i, 0); !alike(got, weight, weight) {
					t.Fatalf("%s: weight %v, want %v", name, got, weight)
				}
				if got := m.All[i].Mean; !alike(got, mean[i], 1e3) {
					t.Fatalf("%s: mean %v, want %v", name, got, mean[i])
				}
				if got := m.All[i].Variance(); !alike(got, cov[i][i], 1e6) {
					t.Fatalf("%s: variance %v, want %v", name, got, cov[i][i])
				}
			}
		}
	})
}

func TestMomentsMissing(t *testing.T) {
	var m Moments
	m.Add([]float64{1, math.NaN()}, testBase, 0)
	m.Add([]float64{3, 10}, testBase, 0)
	m.Add([]float64{math.Inf(1), 20, 5}, testBase, 0)
	if m.All[0].Mean != 2 || m.All[1].Mean != 15 || m.All[2].Mean != 5 || m.Count(0, testBase) != 2 {
		t.Fatalf("got %+v", m.All)
	}
	// What does not vary is not divided by nothing, and what is missing is the mean.
	if got := m.Standard(nil, []float64{3, math.NaN(), 7, 1}); !slices.Equal(got, []float64{1, 0, 2, 0}) {
		t.Fatalf("standard: %v", got)
	}
	if got := m.Fill(nil, []float64{math.NaN(), 1, 7, math.NaN()}); !slices.Equal(got, []float64{2, 1, 7, 0}) {
		t.Fatalf("filled: %v", got)
	}
	// A value from the depths of time weighs nothing, even as the first one.
	var old Moments
	old.Add([]float64{1}, 1_000_000_000_000_000, time.Second)
	old.Add([]float64{9}, -1_000_000_000_000_000, time.Second)
	if old.All[0].Mean != 1 || math.IsNaN(old.Count(0, 0)) {
		t.Fatalf("got %+v", old.All)
	}
	var o Moments
	o.Add([]float64{1}, testBase, time.Hour)
	if m.Merge(&o) {
		t.Fatal("merged under two half-lives")
	}
}

func TestDirectionsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		half := time.Duration(rapid.SampledFrom([]int64{0, 24, 1000}).Draw(t, "hours")) * time.Hour
		in := drawStamped(t, 3)
		cut := rapid.IntRange(0, len(in)).Draw(t, "cut")
		whole, left, right := NewDirections(5), NewDirections(5), NewDirections(5)
		for _, s := range rapid.Permutation(in).Draw(t, "order") {
			whole.Add(s.x, s.at, half)
		}
		for i, s := range in {
			if i < cut {
				left.Add(s.x, s.at, half)
			} else {
				right.Add(s.x, s.at, half)
			}
		}
		if !left.Merge(right) {
			t.Fatal("not merged")
		}
		_, mean, cov := naiveScatter(in, 3, half)
		for name, d := range map[string]*Directions{"one by one": whole, "merged": left} {
			for i := range mean {
				if !alike(d.mean[i], mean[i], 1e3) {
					t.Fatalf("%s: mean %v, want %v", name, d.mean, mean)
				}
				for j := range mean {
					got := 0.0
					for r := range d.used {
						got += d.buffer[r*3+i] * d.buffer[r*3+j]
					}
					if got /= math.Max(d.weight, 1e-300); !alike(got, cov[i][j], 1e6) {
						t.Fatalf("%s: covariance %d,%d %v, want %v", name, i, j, got, cov[i][j])
					}
				}
			}
			if d.Error() > 1e-6 {
				t.Fatalf("%s: lost %v with more rows than features", name, d.Error())
			}
		}
	})
}

// shares makes vectors that look like shares of genres: few habits, mixed by chance.
func sharesOf(n, width, habits int, seed uint64) [][]float64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	gamma := func(a float64) float64 { // Marsaglia, Tsang; with a boost below 1
		boost := 1.0
		if a < 1 {
			boost = math.Pow(rng.Float64(), 1/a)
			a++
		}
		for {
			z := rng.NormFloat64()
			v := math.Pow(1+z/math.Sqrt(9*(a-1./3)), 3)
			if v > 0 && math.Log(rng.Float64()) < z*z/2+(a-1./3)*(1-v+math.Log(v)) {
				return (a - 1./3) * v * boost
			}
		}
	}
	means := make([][]float64, habits)
	for h := range means {
		means[h] = make([]float64, width)
		for j := range means[h] {
			means[h][j] = gamma(.4) + .02
		}
	}
	xs := make([][]float64, n)
	for i := range xs {
		xs[i] = make([]float64, width)
		h, sum := means[rng.IntN(habits)], 0.0
		for j := range xs[i] {
			xs[i][j] = gamma(4 * h[j])
			sum += xs[i][j]
		}
		for j := range xs[i] {
			xs[i][j] /= sum
		}
	}
	return xs
}

// captured is the share of the best possible variance that lies along the axes.
func captured(xs [][]float64, axes [][]float64) float64 {
	best := NewDirections(len(xs[0]) + 2)
	for _, x := range xs {
		best.Add(x, testBase, 0)
	}
	want := best.Axes(len(axes))
	along := func(vectors [][]float64) float64 {
		// Orthonormal first, or an axis that is found twice would count twice.
		var basis [][]float64
		for _, v := range vectors {
			u := slices.Clone(v)
			for _, b := range basis {
				d := dot(u, b)
				for i := range u {
					u[i] -= d * b[i]
				}
			}
			if l := math.Sqrt(dot(u, u)); l > 1e-9 {
				for i := range u {
					u[i] /= l
				}
				basis = append(basis, u)
			}
		}
		sum := 0.0
		for _, x := range xs {
			for _, b := range basis {
				d := 0.0
				for i := range b {
					d += (x[i] - want.Mean[i]) * b[i]
				}
				sum += d * d
			}
		}
		return sum
	}
	return along(axes) / along(want.Vectors)
}

func TestAxesOnePass(t *testing.T) {
	for seed := range uint64(5) {
		xs := sharesOf(900, 19, 6, seed)
		c := NewCCIPCA(5)
		for _, x := range xs {
			c.Add(x)
		}
		a := c.Axes()
		if got := captured(xs, a.Vectors); got < .99 {
			t.Errorf("seed %d: CCIPCA captured %.4f of what can be", seed, got)
		}
		if got := captured(xs, a.Vectors[:1]); got < .9 {
			t.Errorf("seed %d: the first axis captured %.4f", seed, got)
		}
		// In three parts that are merged, each with fewer rows than features.
		parts := [3]*Directions{NewDirections(10), NewDirections(10), NewDirections(10)}
		whole := NewDirections(20)
		for i, x := range xs {
			parts[i%3].Add(x, testBase, 0)
			whole.Add(x, testBase, 0)
		}
		parts[0].Merge(parts[1])
		parts[0].Merge(parts[2])
		if got := captured(xs, parts[0].Axes(5).Vectors); got < .99 {
			t.Errorf("seed %d: directions captured %.4f", seed, got)
		}
		// The promise of the sketch: no direction is said to vary more than it does, and
		// none by more than Error less.
		exact, sketch := whole.Axes(5), parts[0].Axes(5)
		for i := range sketch.Values {
			if v := sketch.Values[i]; v > exact.Values[i]*(1+1e-9) || v < exact.Values[i]-parts[0].Error() {
				t.Errorf("seed %d: axis %d varies by %v, said %v, error %v", seed, i, exact.Values[i], v, parts[0].Error())
			}
		}
		if sketch.Explained() <= 0 || sketch.Explained() > 1 || !alike(sketch.Total, exact.Total, 1) {
			t.Errorf("seed %d: explains %v of %v, want %v in all", seed, sketch.Explained(), sketch.Total, exact.Total)
		}
		p := exact.Project(nil, xs[0])
		if len(p) != 5 || p[0] == 0 {
			t.Errorf("projected to %v", p)
		}
	}
}

func BenchmarkCores(b *testing.B) {
	xs := sharesOf(1000, 19, 6, 1)
	run := func(name string, add func(x []float64)) {
		b.Run(name, func(b *testing.B) {
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				add(xs[i%len(xs)])
				i++
			}
		})
	}
	var m Moments
	run("moments/features=19", func(x []float64) { m.Add(x, testBase, time.Hour) })
	c := NewCCIPCA(5)
	run("ccipca/features=19/axes=5", c.Add)
	for _, rows := range []int{10, 24} {
		d := NewDirections(rows)
		run(fmt.Sprint("directions/features=19/rows=", rows), func(x []float64) { d.Add(x, testBase, time.Hour) })
	}
	for _, k := range []int{8, 32} {
		g := NewClusters(ClusterOptions{K: k, HalfLife: time.Hour})
		run(fmt.Sprint("clusters/features=19/k=", k), func(x []float64) { g.Add(x, testBase) })
		b.Run(fmt.Sprint("clusters/stored/k=", k), func(b *testing.B) {
			var out []byte
			for b.Loop() {
				out = g.AppendTo(out[:0])
			}
			b.ReportMetric(float64(len(out)), "bytes")
		})
	}
}
