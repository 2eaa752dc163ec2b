package experiment

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mathext"
	"pgregory.net/rapid"
)

// This file compares what the formulas give with slow and independent computations:
// integrals by the trapezoid rule, sums unit by unit, subsets one by one.

// near fails where got is not want within a relative tolerance.
func near1(t rapid.TB, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*math.Max(1e-300, math.Abs(want))) {
		t.Fatalf("%s: got %.17g, want %.17g", what, got, want)
	}
}

// trapezoid integrates over [lo, hi] in n steps.
func trapezoid(lo, hi float64, n int, f func(float64) float64) float64 {
	h := (hi - lo) / float64(n)
	sum := (f(lo) + f(hi)) / 2
	for i := 1; i < n; i++ {
		sum += f(lo + h*float64(i))
	}
	return sum * h
}

func TestNormalTails(t *testing.T) {
	for _, x := range []float64{-38, -35, -31, -29.9, -20, -5, -1, 0, 1, 5} {
		// exp(-x^2/2 - |x|s - s^2/2) over s, with the first factor taken out.
		want := math.Log(trapezoid(0, 12, 200000, func(s float64) float64 { return math.Exp(x*s - s*s/2) })) - x*x/2 - halfLn2Pi
		if x > 0 {
			want = math.Log1p(-math.Exp(logNormalBelow(-x)))
		}
		near1(t, "log tail", logNormalBelow(x), want, 1e-8)
	}
	// The two branches meet.
	near1(t, "branches", logNormalBelow(-30.000000001), logNormalBelow(-29.999999999), 1e-9)
	near1(t, "far", logNormalBelow(-1e5), -5e9-halfLn2Pi-math.Log(1e5), 1e-12)
	near1(t, "loss branches", normalLoss(-30.0000001, 1), normalLoss(-29.9999999, 1), 1e-5)
}

func TestNormalLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mean, sd := rapid.Float64Range(-5, 5).Draw(t, "mean"), rapid.Float64Range(0.2, 3).Draw(t, "sd")
		want := trapezoid(0, math.Max(0, mean)+14*sd, 40000, func(x float64) float64 {
			return x * math.Exp(-square((x-mean)/sd)/2) / (sd * math.Sqrt(2*math.Pi))
		})
		if got := normalLoss(mean, sd); math.Abs(got-want) > 1e-6*want+1e-12 {
			t.Fatalf("loss of %v, %v: got %v, want %v", mean, sd, got, want)
		}
		// E[X+] - E[X-] = E[X].
		if d := normalLoss(mean, sd) - normalLoss(-mean, sd) - mean; math.Abs(d) > 1e-12 {
			t.Fatalf("gain less loss differs from the mean by %v", d)
		}
	})
}

func TestStudent(t *testing.T) {
	tail := func(x, dof float64) float64 {
		c := math.Exp(logGamma((dof+1)/2) - logGamma(dof/2) - 0.5*math.Log(dof*math.Pi))
		// Over u = 1/s, which brings the long tail near.
		return trapezoid(1e-9, 1/x, 200000, func(u float64) float64 {
			return c * math.Exp(-(dof+1)/2*math.Log1p(1/(u*u*dof))) / (u * u)
		})
	}
	for _, dof := range []float64{1, 1.5, 3, 10, 77.3, 1000, 50000} {
		for _, x := range []float64{0.3, 1, 2, 5, 12} {
			near1(t, "tail", studentAbove(x, dof), tail(x, dof), 2e-5)
			near1(t, "inverse", studentAbove(studentUpper(1e-7, dof), dof), 1e-7, 1e-6)
			near1(t, "symmetry", studentAbove(-x, dof), 1-studentAbove(x, dof), 1e-12)
		}
	}
	// Either side of the change to the approximation, which must not show.
	for _, x := range []float64{0.01, 1, 4, 15, 35} {
		near1(t, "large dof", studentAbove(x, dofLarge*1.0001), studentAbove(x, dofLarge*0.9999), 1e-4)
		near1(t, "normal limit", studentAbove(x, 1e15), normalBelow(-x), 1e-9)
	}
	for _, p := range []float64{1e-12, 1e-4, 0.025, 0.4} {
		near1(t, "large dof quantile", studentUpper(p, dofLarge*1.0001), studentUpper(p, dofLarge*0.9999), 1e-8)
	}
	if studentAbove(0, 5) != 0.5 || studentAbove(1e200, 5) != 0 {
		t.Fatal("at zero and far out")
	}
}

// TestDirichletEvidence compares with the product of predictive probabilities, one unit
// after the other.
func TestDirichletEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(2, 5).Draw(t, "arms")
		prior, null, counts := make([]float64, k), make([]float64, k), make([]float64, k)
		total := 0.0
		for i := range k {
			prior[i] = math.Exp(rapid.Float64Range(-4, 9).Draw(t, "prior"))
			null[i] = rapid.Float64Range(0.01, 1).Draw(t, "null")
			total += null[i]
		}
		before := 0.0
		for i := range k {
			null[i] /= total
			before += prior[i]
		}
		want, units := 0.0, 0.0
		for range rapid.IntRange(0, 3000).Draw(t, "units") {
			i := int(units*7+units*units) % k
			want += math.Log((prior[i] + counts[i]) / (before + units) / null[i])
			counts[i]++
			units++
		}
		got := dirichletEvidence(prior, counts, null)
		if math.Abs(got-want) > 1e-9*(1+math.Abs(want)) {
			t.Fatalf("evidence of %v with the prior %v against %v: got %v, want %v", counts, prior, null, got, want)
		}
	})
	// At 1e12 units one more must still count as it should.
	x := []float64{5e11, 5e11}
	prior, null := []float64{5000, 5000}, []float64{0.5, 0.5}
	base := dirichletEvidence(prior, x, null)
	more := dirichletEvidence(prior, []float64{x[0] + 1e6, x[1]}, null)
	want := 0.0 // ln of the ratio of rising products, by their logarithm's integral
	for k := range 1000 {
		m := float64(k)*1e3 + 499.5
		want += 1e3 * math.Log((5000+x[0]+m)/(10000+1e12+m)/0.5)
	}
	if math.Abs(more-base-want) > 1e-6 {
		t.Fatalf("a million more of 1e12: evidence grows by %v, want %v", more-base, want)
	}
}

func TestBernoulliSequence(t *testing.T) {
	f := func(k, n, at, lo, hi float64) {
		t.Helper()
		got := BernoulliSequence(k, n, 0.05, at, 0.05)
		if math.Abs(got.Lo-lo) > 2e-5 || math.Abs(got.Hi-hi) > 2e-5 {
			t.Errorf("%v of %v: got %v, want [%v, %v]", k, n, got, lo, hi)
		}
	}
	// Published beside those of the reference file: too little is known for a bound.
	f(1, 50, 50, 0, 0.13489)
	f(1, 2, 50, 0, 1)
	f(0, 1, 50, 0, 1)
	f(1, 1, 50, 0, 1)
	f(0, 0, 50, 0, 1)
	rapid.Check(t, func(t *rapid.T) {
		n := float64(rapid.IntRange(1, 1_000_000).Draw(t, "n"))
		k := math.Floor(n * rapid.Float64Range(0, 1).Draw(t, "share"))
		got := BernoulliSequence(k, n, 0.05, 1000, 0.05)
		if !(got.Lo >= 0 && got.Lo <= k/n && got.Hi >= k/n && got.Hi <= 1) {
			t.Fatalf("%v of %v: %v does not hold the estimate", k, n, got)
		}
		other := BernoulliSequence(n-k, n, 0.05, 1000, 0.05)
		if math.Abs(other.Lo-(1-got.Hi)) > 1e-9 {
			t.Fatalf("%v of %v: %v, and the other way round %v", k, n, got, other)
		}
	})
}

// TestBernoulliCoverage counts how often the truth ever leaves the sequence.
func TestBernoulliCoverage(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	const n, p = 100, 0.004
	left := 0
	for range n {
		k := 0.0
		for i := 1; i <= 4000; i++ {
			if r.Float64() < p {
				k++
			}
			if i%40 == 0 && !BernoulliSequence(k, float64(i), 0.05, 1000, 0.05).Holds(p) {
				left++
				break
			}
		}
	}
	t.Logf("a rate of .004 left its sequence in %d of %d runs", left, n)
	if left > 11 { // 5 expected at most, three deviations of 2.2
		t.Errorf("the truth left the sequence in %d of %d runs", left, n)
	}
}

func TestHolmIsClosedTesting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 8).Draw(t, "p")
		got := Holm(p)
		for i := range p {
			want := 0.0
			for set := 1; set < 1<<len(p); set++ {
				if set>>i&1 == 0 {
					continue
				}
				least, size := 1.0, 0.0
				for k, v := range p {
					if set>>k&1 == 1 {
						least, size = math.Min(least, v), size+1
					}
				}
				want = math.Max(want, math.Min(1, least*size))
			}
			if math.Abs(got[i]-want) > 1e-12 {
				t.Fatalf("Holm of %v at %d: got %v, want %v", p, i, got[i], want)
			}
		}
	})
}

func TestBenjaminiHochbergByDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 12).Draw(t, "p")
		got := BenjaminiHochberg(p)
		// At the level alpha the k least are rejected, k the largest with p_(k) <= k alpha/m.
		alpha := rapid.Float64Range(0.001, 0.999).Draw(t, "alpha")
		sorted := slices.Sorted(slices.Values(p))
		bound := -1.0
		for k, v := range sorted {
			if v <= alpha*float64(k+1)/float64(len(p)) {
				bound = v
			}
		}
		for i, v := range p {
			if math.Abs(got[i]-alpha) > 1e-12 && (v <= bound) != (got[i] <= alpha) {
				t.Fatalf("BH of %v at level %v: %v has %v, the bound is %v", p, alpha, v, got[i], bound)
			}
		}
	})
}

func TestBestChances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 6).Draw(t, "arms")
		arms := make([]Gaussian, k)
		for i := range arms {
			arms[i] = Gaussian{rapid.Float64Range(-1, 1).Draw(t, "mean"), math.Exp(rapid.Float64Range(-3, 2).Draw(t, "sd"))}
		}
		got := BestChances(arms)
		for i, a := range arms {
			want := trapezoid(a.Mean-10*a.SD, a.Mean+10*a.SD, 4000, func(x float64) float64 {
				d := normalDensity((x-a.Mean)/a.SD) / a.SD
				for j, b := range arms {
					if j != i {
						d *= normalBelow((x - b.Mean) / b.SD)
					}
				}
				return d
			})
			if math.Abs(got[i]-want) > 1e-7 {
				t.Fatalf("%v: arm %d is best with %v, want %v", arms, i, got[i], want)
			}
		}
	})
	f := func(want []float64, arms ...Gaussian) {
		t.Helper()
		for i, w := range BestChances(arms) {
			if math.Abs(w-want[i]) > 1e-8 {
				t.Errorf("%v: got %v at %d, want %v", arms, w, i, want[i])
			}
		}
	}
	// A needle beside a haystack, and the other way round.
	f([]float64{0.5, 0.5}, Gaussian{0, 1e-9}, Gaussian{0, 1})
	f([]float64{normalBelow(-1), normalBelow(1)}, Gaussian{0, 1e6}, Gaussian{1e6, 1e-3})
	// No spread: certain, tied, or against one that is not.
	f([]float64{0, 1}, Gaussian{1, 0}, Gaussian{2, 0})
	f([]float64{0.5, 0.5, 0}, Gaussian{2, 0}, Gaussian{2, 0}, Gaussian{1, 0})
	f([]float64{normalBelow(1), normalBelow(-1)}, Gaussian{1, 0}, Gaussian{0, 1})
	f([]float64{1}, Gaussian{5, 3})
	// Far apart: the loser's chance is none, and nothing is divided by it.
	f([]float64{0, 1}, Gaussian{0, 1e-3}, Gaussian{1e9, 1e-3})
}

func TestDuelsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Beta {
			n := rapid.IntRange(0, 400).Draw(t, name+" n")
			k := rapid.IntRange(0, n).Draw(t, name+" k")
			return Beta{float64(1 + k), float64(1 + n - k)}
		}
		a, b := draw("a"), draw("b")
		d := NewDuel(a, b)
		// The closed form for whole parameters: P(B > A) as a sum of beta functions.
		want := 0.0
		for i := range int(b.A) {
			k := float64(i)
			want += math.Exp(logBeta(a.A+k, a.B+b.B) - math.Log(b.B+k) - logBeta(1+k, b.B) - logBeta(a.A, a.B))
		}
		if math.Abs(d.BBeatsA-want) > 1e-8 {
			t.Fatalf("%v against %v: got %v, want %v", b, a, d.BBeatsA, want)
		}
		// Gain less loss is the difference of the means.
		mean := b.A/(b.A+b.B) - a.A/(a.A+a.B)
		if math.Abs(d.LossChooseA-d.LossChooseB-mean) > 1e-9 {
			t.Fatalf("%v against %v: losses %v and %v, means differ by %v", b, a, d.LossChooseA, d.LossChooseB, mean)
		}
		if got := BestBetas([]Beta{a, b})[1]; math.Abs(got-want) > 4e-4 {
			t.Fatalf("%v against %v on the grid: got %v, want %v", b, a, got, want)
		}
	})
	// Spikes at the ends, and a billion trials.
	d := NewDuel(Beta{0.01, 0.01}, Beta{0.01, 0.01})
	near1(t, "spikes", d.BBeatsA, 0.5, 1e-6)
	near1(t, "loss of spikes", d.LossChooseA, 0.25, 0.02)
	d = NewDuel(Beta{1e9, 9e9}, Beta{1e9 + 3e4, 9e9 - 3e4})
	sd := math.Sqrt(2 * 0.09 / 1e10)
	for _, y := range []float64{-0.04, -0.01, -1e-6, 0, 1e-5, 0.01, 0.03} { // either side of the change
		mid := math.Log(1 / 2.0)
		a, b := Beta{betaLarge * 0.99999, 2 * betaLarge}, Beta{betaLarge * 1.00001, 2.00004 * betaLarge}
		b.B = a.B * b.A / a.A // of the same mean
		near1(t, "large beta", b.below(mid+y), a.below(mid+y), 1e-2)
		near1(t, "expansion", b.below(mid+y), mathext.RegIncBeta(b.A, b.B, 1/(1+math.Exp(-mid-y))), 1e-6)
	}
	near1(t, "a billion", d.BBeatsA, normalBelow(3e-6/sd), 1e-3)
}

func TestSpending(t *testing.T) {
	// Paths of a random walk that is looked at: as many leave as may.
	cum := []float64{100, 250, 400, 400, 700, 1000}
	for _, oneSided := range []bool{false, true} {
		levels, err := Spending{Alpha: 0.05, OneSided: oneSided}.Adjusted(cum, 1000)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(10, 11))
		const paths = 40000
		left := make([]float64, len(cum))
		for range paths {
			s, at := 0.0, 0.0
			for i, n := range cum {
				s += math.Sqrt(n-at) * r.NormFloat64()
				at = n
				z := s / math.Sqrt(n)
				p := normalBelow(-z)
				if !oneSided {
					p = 2 * normalBelow(-math.Abs(z))
				}
				if p < levels[i] {
					for k := i; k < len(cum); k++ {
						left[k]++
					}
					break
				}
			}
		}
		for i, n := range cum {
			want := 0.05 * square(n/1000)
			if got := left[i] / paths; math.Abs(got-want) > 4*math.Sqrt(want/paths) {
				t.Errorf("one-sided %v: %.5f have left by look %d, want %.5f", oneSided, got, i, want)
			}
		}
		if levels[3] != 0 {
			t.Errorf("a look without new units may reject at %v", levels[3])
		}
	}
	f := func(cum []float64, final float64) {
		t.Helper()
		if _, err := (Spending{Alpha: 0.05}).Adjusted(cum, final); err == nil {
			t.Errorf("looks %v of %v are planned", cum, final)
		}
	}
	f(nil, 10)
	f([]float64{2, 1}, 10)
	f([]float64{0}, 10)
	f([]float64{math.Inf(1)}, 10)
	f(make([]float64, LooksMax+1), 10)
}

func TestPrivacyCalibration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		epsilon := math.Exp(rapid.Float64Range(-4, 2).Draw(t, "epsilon"))
		delta := math.Exp(rapid.Float64Range(-20, -2).Draw(t, "delta"))
		// Selection: its recurrence, count by count.
		p := 0.0
		for n := range 200 {
			if got := KeepProbability(float64(n), epsilon, delta, 1); math.Abs(got-p) > 1e-9 {
				t.Fatalf("group of %d at %v, %v: got %v, want %v", n, epsilon, delta, got, p)
			}
			p = math.Min(math.Min(p*math.Exp(epsilon)+delta, 1-math.Exp(-epsilon)*(1-p-delta)), 1)
		}
		// Noise: the two densities' difference, integrated.
		sigma, err := GaussianSigma(1, epsilon, delta)
		if err != nil {
			t.Fatal(err)
		}
		want := trapezoid(-14*sigma-2, 14*sigma+2, 30000, func(x float64) float64 {
			return math.Max(0, normalDensity((x-1)/sigma)-math.Exp(epsilon)*normalDensity(x/sigma)) / sigma
		})
		if math.Abs(want-delta) > 1e-4*delta {
			t.Fatalf("noise of %v at %v, %v has delta %v", sigma, epsilon, delta, want)
		}
		g := NewGeometric(epsilon, 1)
		a := math.Exp(-epsilon)
		variance, within := 0.0, 0.0
		for k := 3000; k >= 1; k-- {
			mass := (1 - a) / (1 + a) * math.Pow(a, float64(k))
			variance += 2 * mass * float64(k*k)
			if k <= 5 {
				within += 2 * mass
			}
		}
		near1(t, "variance", g.Variance(), variance, 1e-6)
		near1(t, "within", g.Within(5), within+g.Zero(), 1e-9)
	})
	near1(t, "large epsilon", KeepProbability(3, 800, 1e-5, 1), 1, 1e-12)
	near1(t, "no epsilon", KeepProbability(3, 0, 1e-5, 1), 3e-5, 1e-12)
}

// TestSequenceAndPAgree checks that the interval leaves out zero exactly when p is below
// alpha, and that nothing is ever not a number.
func TestSequenceAndPAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := Effect{
			Estimate: rapid.Float64Range(-1, 1).Draw(t, "estimate"),
			SE:       math.Exp(rapid.Float64Range(-30, 5).Draw(t, "se")),
			N:        math.Exp(rapid.Float64Range(0.7, 40).Draw(t, "n")),
			DoF:      math.Exp(rapid.Float64Range(0, 40).Draw(t, "dof")),
		}
		alpha := rapid.Float64Range(0.0001, 0.49).Draw(t, "alpha")
		tune := math.Exp(rapid.Float64Range(0, 25).Draw(t, "tune"))
		check := func(what string, p float64, excluded bool) {
			if !(p >= 0 && p <= 1) {
				t.Fatalf("%s: p %v", what, p)
			}
			if math.Abs(p/alpha-1) > 1e-6 && (p < alpha) != excluded {
				t.Fatalf("%s of %+v at %v: p %v, zero left out: %v", what, e, alpha, p, excluded)
			}
		}
		s := e.Sequence(alpha, tune)
		check("sequence", s.P, !s.CI.Holds(0))
		f := e.Fixed(alpha)
		check("t-test", f.P, !f.CI.Holds(0))
		up := e.SequenceOneSided(alpha, tune, true)
		check("one-sided above", up.P, up.CI.Lo > 0)
		down := e.SequenceOneSided(alpha, tune, false)
		check("one-sided below", down.P, down.CI.Hi < 0)
		g := e.FixedOneSided(alpha, true)
		check("one-sided t-test", g.P, g.CI.Lo > 0)
		if f.CI.Lo < s.CI.Lo || f.CI.Hi > s.CI.Hi {
			// Not so at few degrees of freedom, where Student's tails are the longer ones.
			if e.DoF > 1000 {
				t.Fatalf("looking at any time costs nothing: %v within %v", s.CI, f.CI)
			}
		}
	})
}
