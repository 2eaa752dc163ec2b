package profile

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mathext"
)

// cdnow are the published estimates for the CDNOW set: Fader, Hardie, Lee, Marketing
// Science 24(2), 2005, table 2.
var cdnow = Lifetime{R: .243, Alpha: 4.414, A: .793, B: 2.426}

func closeTo(t *testing.T, what string, got, want, by float64) {
	t.Helper()
	if !(math.Abs(got-want) <= by) {
		t.Errorf("%s: got %v, want %v within %v", what, got, want, by)
	}
}

func TestLifetimePublished(t *testing.T) {
	// Hardie's note on the model in a spreadsheet: customer 1 of CDNOW over 39 weeks.
	closeTo(t, "expected orders", cdnow.Expected(History{2, 30.43, 38.86}, 39), 1.226, .0005)
}

// closedForm is equation (10) of the paper with Gauss's hypergeometric function.
func closedForm(l *Lifetime, h History, t float64) float64 {
	x := float64(h.Repeats)
	z := t / (l.Alpha + h.Age + t)
	f := mathext.Hypergeo(l.R+x, l.B+x, l.A+l.B+x-1, z)
	top := (l.A + l.B + x - 1) / (l.A - 1) * (1 - math.Pow((l.Alpha+h.Age)/(l.Alpha+h.Age+t), l.R+x)*f)
	if h.Repeats == 0 {
		return top
	}
	return top / (1 + l.A/(l.B+x-1)*math.Pow((l.Alpha+h.Age)/(l.Alpha+h.Last), l.R+x))
}

func TestLifetimeClosedForm(t *testing.T) {
	f := func(l Lifetime, h History, horizon float64) {
		t.Helper()
		want := closedForm(&l, h, horizon)
		if got := l.Expected(h, horizon); math.Abs(got-want) > 1e-7*math.Max(want, 1) {
			t.Errorf("%+v, %+v over %g: %v, closed form %v", l, h, horizon, got, want)
		}
	}
	for _, x := range []int{0, 1, 2, 7, 29} {
		last := 0.0
		if x > 0 {
			last = 20
		}
		for _, horizon := range []float64{.1, 1, 10, 39} {
			f(cdnow, History{x, last, 38}, horizon)
			f(Lifetime{R: 2, Alpha: 30, A: .1, B: 3}, History{x, last, 21}, horizon)
			f(Lifetime{R: .5, Alpha: 1, A: 5, B: 40}, History{x, last, 60}, horizon)
		}
	}
	if got, want := cdnow.ExpectedOfNew(26), closedForm(&cdnow, History{}, 26); math.Abs(got-want) > 1e-7 {
		t.Errorf("of a new customer: %v, closed form %v", got, want)
	}
	// Where the closed form divides by zero there is still an answer.
	l := Lifetime{R: .5, Alpha: 3, A: 1, B: 2}
	low, high := l, l
	low.A, high.A = .999, 1.001
	h := History{3, 10, 20}
	if m := l.Expected(h, 9); !(m < low.Expected(h, 9) && m > high.Expected(h, 9)) {
		t.Errorf("at A = 1: %v", m)
	}
}

func TestLifetimeGradient(t *testing.T) {
	groups := []Group{{History{0, 0, 30}, 5}, {History{2, 12, 20}, 3}, {History{9, 30, 38}, 1}}
	at := []float64{-.3, 1.2, -.7, .4}
	_, g := lossOf(groups, at, 4)
	for i := range at {
		const step = 1e-6
		up, down := append([]float64(nil), at...), append([]float64(nil), at...)
		up[i] += step
		down[i] -= step
		a, _ := lossOf(groups, up, 4)
		b, _ := lossOf(groups, down, 4)
		closeTo(t, "gradient", g[i], (a-b)/(2*step), 1e-5)
	}
}

// world makes people by the model's own story.
func world(l Lifetime, n int, weeks, ahead float64, seed uint64) (groups []Group, later []int, alive []bool) {
	rng := rand.New(rand.NewPCG(seed, 2))
	for range n {
		rate := gammaOf(rng, l.R) / l.Alpha
		a, b := gammaOf(rng, l.A), gammaOf(rng, l.B)
		leave := a / (a + b)
		age := weeks * (.7 + .3*rng.Float64())
		h, after, lives := History{Age: age}, 0, true
		for at := 0.0; ; {
			at += rng.ExpFloat64() / rate
			if at > age+ahead {
				break
			}
			if at <= age {
				h.Repeats, h.Last = h.Repeats+1, at
			} else {
				after++
			}
			if rng.Float64() < leave {
				lives = lives && at > age
				break
			}
		}
		groups, later, alive = append(groups, Group{h, 1}), append(later, after), append(alive, lives)
	}
	return groups, later, alive
}

func gammaOf(rng *rand.Rand, a float64) float64 {
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

func TestLifetimeRecovers(t *testing.T) {
	groups, later, alive := world(cdnow, 20000, 38, 39, 7)
	l, err := FitLifetime(groups)
	if err != nil {
		t.Fatal(err)
	}
	// The numbers it was made with; their standard errors at 20,000 people are about 2 to 6 %.
	closeTo(t, "r", l.R, cdnow.R, .03)
	closeTo(t, "alpha", l.Alpha, cdnow.Alpha, .6)
	closeTo(t, "a/(a+b)", l.A/(l.A+l.B), cdnow.A/(cdnow.A+cdnow.B), .03)
	if truth := likelihoodOf(&cdnow, groups); l.LogLikelihood < truth {
		t.Errorf("the fit is less likely (%v) than the truth (%v)", l.LogLikelihood, truth)
	}
	// What it forecasts comes true, in sum and by how sure it is.
	var want, got, within, came, lives, living float64
	for i, g := range groups {
		want += float64(later[i])
		got += l.Expected(g.History, 39)
		within += l.Within(g.History, 39)
		if later[i] > 0 {
			came++
		}
		lives += l.Alive(g.History)
		if alive[i] {
			living++
		}
	}
	closeTo(t, "orders", got/want, 1, .05)
	closeTo(t, "people who order", within/came, 1, .05)
	closeTo(t, "people alive", lives/living, 1, .03)
}

func likelihoodOf(l *Lifetime, groups []Group) float64 {
	sum := 0.0
	for _, g := range groups {
		f, _ := l.logLikelihood(g.History)
		sum += g.People * f
	}
	return sum
}

func TestLifetimeAnswers(t *testing.T) {
	h := History{3, 10, 12}
	silent := History{3, 10, 40}
	if a, b := cdnow.Alive(h), cdnow.Alive(silent); !(a > b && a < 1 && b > 0) {
		t.Errorf("alive: %v, and after silence %v", a, b)
	}
	if cdnow.Alive(History{0, 0, 50}) != 1 {
		t.Error("who never came back may still")
	}
	// Half of those alive order again within Next.
	next := cdnow.Next(h)
	closeTo(t, "within the next time", cdnow.Within(h, next)/cdnow.Alive(h), .5, 1e-9)
	// Histories that cannot be, and no model, are answered nonetheless.
	for _, l := range []Lifetime{{}, {R: math.NaN(), Alpha: 1, A: 1, B: 1}, cdnow} {
		for _, h := range []History{{-1, 5, 1}, {3, math.Inf(1), 4}, {1 << 40, 1, 2}} {
			if e := l.Expected(h, 1); math.IsNaN(e) || e < 0 {
				t.Errorf("%+v of %+v expects %v", l, h, e)
			}
		}
	}
}

func TestLifetimeQuantile(t *testing.T) {
	// Summed over all counts, what lies above each is the expectation.
	for _, l := range []Lifetime{cdnow, {R: 2, Alpha: 30, A: .1, B: 3}} {
		for _, h := range []History{{0, 0, 20}, {1, 3, 20}, {6, 19, 20}} {
			mean := 0.0
			const steps = 20000
			for i := range steps {
				mean += float64(l.Quantile(h, 30, (float64(i)+.5)/steps)) / steps
			}
			closeTo(t, "mean of the quantiles", mean, l.Expected(h, 30), .01*math.Max(l.Expected(h, 30), .1))
		}
	}
	// And it comes true.
	groups, later, _ := world(cdnow, 20000, 38, 39, 11)
	for _, q := range []float64{.7, .9, .97} {
		var below, said float64
		for i, g := range groups {
			n := cdnow.Quantile(g.History, 39, q)
			if later[i] <= n {
				below++
			}
			if n == 0 || later[i] < n {
				said++
			}
		}
		n := float64(len(groups))
		if below/n < q-.01 || said/n > q+.25 {
			t.Errorf("%.3f of the counts are at most the quantile %v", below/n, q)
		}
	}
	if got := cdnow.Quantile(History{500, 30, 30}, 1e9, .999999); got > countsMax {
		t.Errorf("%d orders", got)
	}
}

func TestFitRefuses(t *testing.T) {
	f := func(groups ...Group) {
		t.Helper()
		if _, err := FitLifetime(groups); !errors.Is(err, ErrFit) {
			t.Errorf("%v: %v", groups, err)
		}
	}
	f()
	f(Group{History{0, 0, 10}, 1000})         // nobody came back
	f(Group{History{1, 5, 10}, 3})            // too few
	f(Group{History{1, 11, 10}, 100})         // last after now
	f(Group{History{1, math.NaN(), 10}, 100}) // no number
	f(Group{History{-1, 0, 10}, 100})         // fewer than none
	f(Group{History{1, 0, 0}, 100})           // no time has passed
	f(Group{History{1, 5, math.Inf(1)}, 100}) // for ever
	f(Group{History{1, 5, 10}, -100})         // fewer than nobody
	// Little variety is no error, and makes a model that can be asked.
	l, err := FitLifetime([]Group{{History{1, 5, 10}, 100}})
	if err != nil || !l.Usable() {
		t.Errorf("%+v, %v", l, err)
	}
}

func BenchmarkLifetime(b *testing.B) {
	groups, _, _ := world(cdnow, 2000, 38, 39, 7)
	b.Run("fit/people=2000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := FitLifetime(groups); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("expected", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			cdnow.Expected(History{2, 30.43, 38.86}, 39)
		}
	})
}
