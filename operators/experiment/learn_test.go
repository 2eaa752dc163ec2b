package experiment_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"millrace/operators/experiment"
)

// solve is Gauss-Jordan elimination with pivots, the slow way to a linear fit.
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
		for r := range n {
			if r == c {
				continue
			}
			f := a[r][c] / a[c][c]
			for k := c; k < n; k++ {
				a[r][k] -= f * a[c][k]
			}
			b[r] -= f * b[c]
		}
	}
	for i := range b {
		b[i] /= a[i][i]
	}
	return b
}

// ridge fits y on x by the normal equations.
func ridge(x [][]float64, y []float64, l float64) []float64 {
	n := len(x[0])
	a, b := make([][]float64, n), make([]float64, n)
	for i := range n {
		a[i] = make([]float64, n)
		a[i][i] = l
		for u := range x {
			for k := range n {
				a[i][k] += x[u][i] * x[u][k]
			}
			b[i] += x[u][i] * y[u]
		}
	}
	return solve(a, b)
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

func closeTo(t rapid.TB, what string, got, want []float64, tolerance float64) {
	t.Helper()
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= tolerance*(1+math.Abs(want[i]))) {
			t.Fatalf("%s: got %v, want %v", what, got, want)
		}
	}
}

// TestUpliftFromSums compares the learners, which see sums only, with two passes over the
// data.
func TestUpliftFromSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const features, l = 3, 0.7
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		whole, err := experiment.NewUplift(features, l)
		if err != nil {
			t.Fatal(err)
		}
		half, _ := experiment.NewUplift(features, l)
		var xs [2][][]float64
		var ys [2][]float64
		for i := range 60 {
			x := []float64{r.NormFloat64(), r.Float64(), 1}
			y, arm := r.NormFloat64()+x[0], count(r.Float64() < 0.3)
			if i < 4 {
				arm = i % 2
			}
			xs[arm], ys[arm] = append(xs[arm], x), append(ys[arm], y)
			to := whole
			if i%3 == 0 {
				to = half
			}
			if err := to.Add(x, y, arm == 1); err != nil {
				t.Fatal(err)
			}
		}
		// What was learned elsewhere is merged, and what was learned wrongly taken back.
		if whole.Treated.Merge(half.Treated) != nil || whole.Control.Merge(half.Control) != nil ||
			whole.Treated.Add([]float64{9, 9, 1}, 100, 1) != nil || whole.Treated.Add([]float64{9, 9, 1}, 100, -1) != nil {
			t.Fatal("merge")
		}
		c, tr := ridge(xs[0], ys[0], l), ridge(xs[1], ys[1], l)
		got, err := whole.TwoModels()
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float64, features)
		for i := range want {
			want[i] = tr[i] - c[i]
		}
		closeTo(t, "two models", got, want, 1e-9)

		imputed := [2][]float64{make([]float64, len(ys[0])), make([]float64, len(ys[1]))}
		for i, x := range xs[0] {
			imputed[0][i] = dot(x, tr) - ys[0][i]
		}
		for i, x := range xs[1] {
			imputed[1][i] = ys[1][i] - dot(x, c)
		}
		onC, onT := ridge(xs[0], imputed[0], l), ridge(xs[1], imputed[1], l)
		e := float64(len(ys[1])) / 60
		for i := range want {
			want[i] = e*onC[i] + (1-e)*onT[i]
		}
		if got, err = whole.XLearner(); err != nil {
			t.Fatal(err)
		}
		closeTo(t, "X-learner", got, want, 1e-9)

		var all [][]float64
		var z []float64
		for arm := range 2 {
			for i, x := range xs[arm] {
				all = append(all, x)
				if arm == 1 {
					z = append(z, ys[arm][i]/0.3)
				} else {
					z = append(z, -ys[arm][i]/0.7)
				}
			}
		}
		if got, err = whole.Transformed(0.3); err != nil {
			t.Fatal(err)
		}
		closeTo(t, "transformed", got, ridge(all, z, l), 1e-9)
	})
}

// TestUpliftFindsWhoIsWorthMailing plants an uplift that hangs on one feature, and judges
// the models on units that they have not seen.
func TestUpliftFindsWhoIsWorthMailing(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	n := runs(20_000, 200_000)
	u, err := experiment.NewUplift(3, 1)
	if err != nil {
		t.Fatal(err)
	}
	draw := func() (x []float64, y float64, treated bool) {
		x = []float64{r.Float64(), r.Float64(), 1}
		treated = r.Float64() < 0.5
		p := 0.05 + 0.1*x[1]
		if treated {
			p += 0.15*x[0] - 0.05
		}
		return x, float64(count(r.Float64() < p)), treated
	}
	for range n {
		x, y, treated := draw()
		if err := u.Add(x, y, treated); err != nil {
			t.Fatal(err)
		}
	}
	models := map[string]func() ([]float64, error){
		"two models": u.TwoModels, "X-learner": u.XLearner,
		"transformed": func() ([]float64, error) { return u.Transformed(0.5) },
	}
	for name, fit := range models {
		theta, err := fit()
		if err != nil {
			t.Fatal(err)
		}
		var judged, blind []experiment.Judged
		for range n {
			x, y, treated := draw()
			judged = append(judged, experiment.Judged{Outcome: y, Predicted: dot(x, theta), Treated: treated})
			blind = append(blind, experiment.Judged{Outcome: y, Predicted: x[1], Treated: treated})
		}
		q, qBlind := experiment.QiniCurve(judged).Area(), experiment.QiniCurve(blind).Area()
		best, err := experiment.UpliftAt(judged, 0.2)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: theta %.3f, Qini per unit %.5f (by another feature %.5f), uplift of the best fifth %.3f", name, theta, q, qBlind, best.Uplift)
		if q < 0.002 || q < 2*qBlind || math.Abs(best.Uplift-0.085) > 0.03 {
			t.Errorf("%s does not find whom to mail: Qini %v against %v, best fifth %v", name, q, qBlind, best.Uplift)
		}
	}
}

func TestLinearRefuses(t *testing.T) {
	f := func(err error) {
		t.Helper()
		if err == nil {
			t.Error("no error")
		}
	}
	_, err := experiment.NewLinear(0, 1)
	f(err)
	_, err = experiment.NewLinear(experiment.FeaturesMax+1, 1)
	f(err)
	_, err = experiment.NewLinear(2, 0)
	f(err)
	l, err := experiment.NewLinear(2, 1)
	if err != nil {
		t.Fatal(err)
	}
	f(l.Add([]float64{1}, 1, 1))
	f(l.Add([]float64{1, math.NaN()}, 1, 1))
	f(l.Add([]float64{1, 1}, math.Inf(1), 1))
	if err := l.Add([]float64{5, 5}, 1, -1); err != nil {
		t.Fatal(err)
	}
	_, err = l.Fit() // more was taken back than was added
	f(err)
	_, err = l.Predict([]float64{1, 2})
	f(err)
}

// TestLinearThompson lets three arms compete whose best depends on the person.
func TestLinearThompson(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	truth := [][]float64{{0.3, 0, 0.2}, {0, 0.3, 0.2}, {0.1, 0.1, 0.2}}
	arms := make([]*experiment.Linear, 3)
	for i := range arms {
		var err error
		if arms[i], err = experiment.NewLinear(3, 1); err != nil {
			t.Fatal(err)
		}
	}
	type late struct {
		arm int
		x   []float64
		y   float64
	}
	var pending []late
	n := runs(3000, 60_000)
	regret, uniform := 0.0, 0.0
	for i := range n {
		x := []float64{r.Float64(), r.Float64(), 1}
		w, err := experiment.LinearThompson(arms, x, 0.5, 0.01)
		if err != nil {
			t.Fatal(err)
		}
		sum, u, arm := 0.0, r.Float64(), len(w)-1
		for k, p := range w {
			if p < 0.01-1e-12 {
				t.Fatalf("arm %d has %v, below the floor", k, p)
			}
			if sum += p; u < sum && arm == len(w)-1 {
				arm = k
				u = 2
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Fatalf("shares sum to %v", sum)
		}
		best, mean := 0.0, 0.0
		for _, th := range truth {
			best, mean = math.Max(best, dot(x, th)), mean+dot(x, th)/3
		}
		regret += best - dot(x, truth[arm])
		uniform += best - mean
		pending = append(pending, late{arm, x, float64(count(r.Float64() < dot(x, truth[arm])))})
		if i%100 == 99 { // batches, rewards 200 late
			for len(pending) > 200 {
				p := pending[0]
				pending = pending[1:]
				if err := arms[p.arm].Add(p.x, p.y, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	t.Logf("regret %.1f over %d people, uniform %.1f", regret, n, uniform)
	if regret > uniform/2 {
		t.Errorf("regret %.1f, uniform %.1f: nothing was learned", regret, uniform)
	}
}

// TestWeightedUnderAdaptivity counts how often intervals hold the truth when the arm's own
// luck decides how often it is tried, and how far the plain mean is biased by that.
func TestWeightedUnderAdaptivity(t *testing.T) {
	n := runs(400, 4000)
	r := rand.New(rand.NewPCG(41, 42))
	const p = 0.3
	var held, heldPlain int
	bias, biasPlain := 0.0, 0.0
	for range n {
		var w experiment.Weighted
		var parts [2]experiment.Weighted
		var k, pulls [2]float64
		share := 0.5
		for i := range 2000 {
			if i%100 == 0 && i > 0 { // follow the leader, with a floor
				share = 0.05
				if k[1]/math.Max(1, pulls[1]) >= k[0]/math.Max(1, pulls[0]) {
					share = 0.95
				}
			}
			before := 0.0
			if pulls[1] > 0 {
				before = k[1] / pulls[1]
			}
			took := r.Float64() < share
			y := float64(count(r.Float64() < p))
			for _, to := range []*experiment.Weighted{&w, &parts[i%2]} {
				if err := to.Add(took, y, share, before); err != nil {
					t.Fatal(err)
				}
			}
			k[count(took)] += y
			pulls[count(took)]++
		}
		e, err := w.Estimate()
		if err != nil {
			t.Fatal(err)
		}
		parts[0].Merge(parts[1])
		if m, _ := parts[0].Estimate(); math.Abs(m.Estimate-e.Estimate) > 1e-12 || math.Abs(m.SE-e.SE) > 1e-12 {
			t.Fatalf("merged %+v, at once %+v", m, e)
		}
		held += count(e.Fixed(0.05).CI.Holds(p))
		bias += (e.Estimate - p) / float64(n)
		m := k[1] / pulls[1]
		se := math.Sqrt(m * (1 - m) / pulls[1])
		heldPlain += count(math.Abs(m-p) < 1.96*se)
		biasPlain += (m - p) / float64(n)
	}
	share := float64(held) / float64(n)
	t.Logf("of %d runs intervals hold the truth in %.3f (plain mean %.3f); bias %.4f (plain %.4f)", n, share, float64(heldPlain)/float64(n), bias, biasPlain)
	if share < 0.95-3*math.Sqrt(0.05*0.95/float64(n)) {
		t.Errorf("95 %% intervals hold the truth in %.3f", share)
	}
	if math.Abs(bias) > math.Abs(biasPlain)/2 {
		t.Errorf("bias %.4f, of the plain mean %.4f", bias, biasPlain)
	}
}

// TestPolicyValue asks for the value of a rule that was never in force.
func TestPolicyValue(t *testing.T) {
	n := runs(400, 4000)
	r := rand.New(rand.NewPCG(51, 52))
	rates := []float64{0.05, 0.1, 0.2}
	var held, heldModel int
	var width, widthModel float64
	for range n {
		var plain, model experiment.Policy
		for range 500 {
			x := r.Float64() // raises all rates
			logged := []float64{0.6, 0.3, 0.1}
			target := []float64{0.1, 0.1, 0.8}
			u, arm := r.Float64(), 0
			for u > logged[arm] && arm < 2 {
				u -= logged[arm]
				arm++
			}
			d := experiment.Logged{Arm: arm, Propensity: logged[arm], Reward: float64(count(r.Float64() < rates[arm]+0.4*x))}
			if plain.Add(d, target, nil) != nil || model.Add(d, target, []float64{0.1 + 0.4*x, 0.1 + 0.4*x, 0.1 + 0.4*x}) != nil {
				t.Fatal("add")
			}
		}
		const truth = 0.1*0.05 + 0.1*0.1 + 0.8*0.2 + 0.2
		for i, p := range []*experiment.Policy{&plain, &model} {
			e, err := p.Value()
			if err != nil {
				t.Fatal(err)
			}
			ok := count(e.Fixed(0.05).CI.Holds(truth))
			if i == 0 {
				held, width = held+ok, width+e.SE
			} else {
				heldModel, widthModel = heldModel+ok, widthModel+e.SE
			}
		}
		if math.Abs(plain.SelfNormalised()-truth) > 0.3 || plain.EffectiveN() < 30 || plain.EffectiveN() > 500 {
			t.Fatalf("self-normalised %v, worth %v", plain.SelfNormalised(), plain.EffectiveN())
		}
	}
	a, b := float64(held)/float64(n), float64(heldModel)/float64(n)
	t.Logf("95 %% intervals hold the value in %.3f of %d runs, with a model %.3f, and are %.2f as wide", a, n, b, widthModel/width)
	if math.Min(a, b) < 0.95-4*math.Sqrt(0.05*0.95/float64(n)) || widthModel > 0.95*width {
		t.Errorf("intervals hold in %.3f and %.3f, widths %.4f and %.4f", a, b, width, widthModel)
	}
	var p experiment.Policy
	for _, d := range []experiment.Logged{{0, 0, 1}, {0, 1.5, 1}, {0, math.NaN(), 1}, {3, 0.5, 1}, {-1, 0.5, 1}, {0, 0.5, math.NaN()}} {
		if p.Add(d, []float64{1, 0}, nil) == nil {
			t.Errorf("%+v is taken", d)
		}
	}
}

// TestPlannedPower runs experiments of the planned size: they find what they were planned
// to find, at one look and at any time.
func TestPlannedPower(t *testing.T) {
	d := experiment.Design{Baseline: 0.1, Effect: 0.1}
	p, err := d.Plan()
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(61, 62))
	n := runs(1000, 10_000)
	a, b := newBinomial(100, 0.1), newBinomial(100, 0.11)
	var once, always int
	when := 0.0
	for range n {
		var ka, kb, units float64
		hit := false
		for units < p.SequentialArm {
			units += 100
			ka += a.draw(r)
			kb += b.draw(r)
			e, err := experiment.Absolute(experiment.ShareOf(units, ka), experiment.ShareOf(units, kb))
			if err != nil {
				continue
			}
			if units-100 < p.PerArm && units >= p.PerArm {
				once += count(e.Fixed(0.05).P < 0.05 && e.Estimate > 0)
			}
			if s := e.Sequence(0.05, 2*p.SequentialArm); !hit && s.P < 0.05 && e.Estimate > 0 {
				hit = true
				when += units
			}
		}
		always += count(hit)
	}
	one, sequential := float64(once)/float64(n), float64(always)/float64(n)
	t.Logf("%d runs: power at one look with %.0f an arm %.3f; at any time within %.0f an arm %.3f, on average after %.0f",
		n, p.PerArm, one, p.SequentialArm, sequential, when/float64(always))
	if slack := 3 * math.Sqrt(0.16/float64(n)); math.Abs(one-0.8) > slack || sequential < 0.8-slack {
		t.Errorf("power %.3f and %.3f, planned .8", one, sequential)
	}
	// At the size of the published case.
	if got, err := d.PowerAt(15000); err != nil || math.Abs(got-0.806604342126816) > 1e-9 {
		t.Errorf("power at 15,000: %v, %v", got, err)
	}
	three := d
	three.Arms, three.PerDay = 3, 1000
	q, err := three.Plan()
	if err != nil || q.PerArm <= p.PerArm || q.Days != math.Ceil(3*q.PerArm/1000) || q.Alpha != 0.025 {
		t.Errorf("three arms: %+v, %v", q, err)
	}
}

func TestShrink(t *testing.T) {
	r := rand.New(rand.NewPCG(71, 72))
	raw, shrunk, held, all := 0.0, 0.0, 0, 0
	for range runs(300, 3000) {
		var segments []experiment.Effect
		var truth []float64
		for range 20 {
			effect, se := 0.1+0.05*r.NormFloat64(), 0.02+0.15*r.Float64()
			truth = append(truth, effect)
			segments = append(segments, experiment.Effect{Estimate: effect + se*r.NormFloat64(), SE: se})
		}
		out, _, err := experiment.Shrink(segments)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range out {
			raw += math.Pow(segments[i].Estimate-truth[i], 2)
			shrunk += math.Pow(s.Effect-truth[i], 2)
			held += count(math.Abs(s.Effect-truth[i]) < 1.96*s.SD)
			all++
		}
	}
	t.Logf("squared error shrunk %.3f of raw; 95 %% intervals hold %.3f", shrunk/raw, float64(held)/float64(all))
	if shrunk > raw/2 || math.Abs(float64(held)/float64(all)-0.95) > 0.03 {
		t.Errorf("shrunk %v, raw %v, held %d of %d", shrunk, raw, held, all)
	}
	// Equal segments stay and lend each other strength; one alone stays as it is.
	out, common, err := experiment.Shrink([]experiment.Effect{{Estimate: 1, SE: 1}, {Estimate: 1, SE: 2}})
	if err != nil || math.Abs(common.Mean-1) > 1e-12 || math.Abs(out[0].Effect-1) > 1e-12 || out[1].SD > 1.9 {
		t.Errorf("%+v, %+v, %v", out, common, err)
	}
	if out, _, err = experiment.Shrink([]experiment.Effect{{Estimate: 3, SE: 1}}); err != nil || out[0].Effect != 3 || math.Abs(out[0].SD-1) > 1e-12 {
		t.Errorf("one: %+v, %v", out, err)
	}
	if _, _, err = experiment.Shrink(nil); err == nil {
		t.Error("nothing is shrunk")
	}
	if _, _, err = experiment.Shrink([]experiment.Effect{{Estimate: 3}}); err == nil {
		t.Error("a segment without variance is shrunk")
	}
}

func TestBanditHand(t *testing.T) {
	b, err := experiment.NewBandit(3, experiment.BanditOptions{Floor: 0.05})
	if err != nil {
		t.Fatal(err)
	}
	learn := func(pulls, rewards []float64, ok bool) {
		t.Helper()
		if err := b.Learn(pulls, rewards); (err == nil) != ok {
			t.Errorf("learn %v of %v: %v", rewards, pulls, err)
		}
	}
	learn([]float64{1000, 1000, 1000}, []float64{10, 30, 90}, true)
	near := func(what string, want ...float64) {
		t.Helper()
		for i, w := range b.Shares() {
			if math.Abs(w-want[i]) > 1e-6 {
				t.Errorf("%s: %v, want %v", what, b.Shares(), want)
				return
			}
		}
	}
	near("learned", 0.05, 0.05, 0.9)
	set := func(h experiment.Hand, ok bool) {
		t.Helper()
		if err := b.Set(h); (err == nil) != ok {
			t.Errorf("set %+v: %v", h, err)
		}
	}
	set(experiment.Hand{Caps: map[int]float64{2: 0.5}}, true)
	near("capped", 0.25, 0.25, 0.5)
	set(experiment.Hand{Caps: map[int]float64{2: 0.5, 1: 0.1}}, true)
	near("capped twice", 0.4, 0.1, 0.5)
	set(experiment.Hand{Pinned: 1}, true)
	near("pinned", 1, 0, 0)
	set(experiment.Hand{Frozen: []float64{0.2, 0.3, 0.5}}, true)
	learn([]float64{100, 0, 0}, []float64{99, 0, 0}, true)
	near("frozen", 0.2, 0.3, 0.5)
	learn([]float64{-100, 0, 0}, []float64{-99, 0, 0}, true) // they were a machine's
	set(experiment.Hand{}, true)
	near("as before", 0.05, 0.05, 0.9)
	set(experiment.Hand{Pinned: 4}, false)
	set(experiment.Hand{Caps: map[int]float64{0: 0.1, 1: 0.1, 2: 0.1}}, false)
	set(experiment.Hand{Caps: map[int]float64{7: 0.1}}, false)
	set(experiment.Hand{Frozen: []float64{1}}, false)
	learn([]float64{1}, []float64{1}, false)
	learn([]float64{0, 0, 0}, []float64{5, 0, 0}, true) // a reward whose pull is booked later
	learn([]float64{-1e9, 0, 0}, []float64{0, 0, 0}, false)
	learn([]float64{math.NaN(), 0, 0}, []float64{0, 0, 0}, false)
	for _, u := range []float64{0, 0.0499, 0.06, 0.5, 0.999999999} {
		arm, p := b.Pick(u)
		if p != b.Shares()[arm] || p < 0.05-1e-12 {
			t.Errorf("at %v: arm %d with %v of %v", u, arm, p, b.Shares())
		}
	}
}

func TestTopTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		w, sum := make([]float64, 4), 0.0
		for i := range w {
			w[i] = r.Float64() + 0.05
			sum += w[i]
		}
		for i := range w {
			w[i] /= sum
		}
		got := experiment.TopTwo(w, 0.5)
		// By drawing: a leader, and with an even chance another until it differs.
		var drawn [4]float64
		draw := func() int {
			u := r.Float64()
			for i, v := range w {
				if u < v {
					return i
				}
				u -= v
			}
			return 3
		}
		const n = 20000
		for range n {
			a := draw()
			if r.Float64() < 0.5 {
				for b := draw(); ; b = draw() {
					if b != a {
						a = b
						break
					}
				}
			}
			drawn[a] += 1.0 / n
		}
		closeTo(t, "top two", got, drawn[:], 0.02)
	})
	closeTo(t, "a sure leader", experiment.TopTwo([]float64{1, 0}, 0.5), []float64{1, 0}, 1e-12)
}

func TestVerdict(t *testing.T) {
	good := experiment.Test{Effect: 0.1, P: 0.001}
	f := func(want experiment.Verdict, e experiment.Evidence) {
		t.Helper()
		if got := e.Verdict(); got != want {
			t.Errorf("%+v: got %s, want %s", e, got, want)
		}
	}
	f(experiment.Ship, experiment.Evidence{Goal: good, SRM: 1, Days: 3})
	f(experiment.Collecting, experiment.Evidence{Goal: good, SRM: 1, Days: 2})
	f(experiment.Review, experiment.Evidence{Goal: good, SRM: 1, Days: 3, Worsening: true})
	f(experiment.Unhealthy, experiment.Evidence{Goal: good, SRM: 1e-4, Days: 3})
	f(experiment.Rollback, experiment.Evidence{Goal: good, SRM: 1e-4, Stopped: true})
	f(experiment.Rollback, experiment.Evidence{Goal: experiment.Test{Effect: -1, P: 0.01}, SRM: 1, Days: 9})
	f(experiment.Collecting, experiment.Evidence{Goal: experiment.Test{Effect: -1, P: 0.06}, SRM: 1, Days: 9})
}

func TestGuardrailEdges(t *testing.T) {
	f := func(want bool, g experiment.Guardrail, a, b experiment.Harm) {
		t.Helper()
		if got := g.Look(a, b); got.Stop != want || math.IsNaN(got.Lower) || want == (got.Reason == "") {
			t.Errorf("%+v against %+v: %+v", b, a, got)
		}
	}
	g := experiment.Guardrail{}
	f(false, g, experiment.Harm{}, experiment.Harm{})
	f(false, g, experiment.Harm{Sends: 10}, experiment.Harm{Sends: 10, Harms: 4}) // too few
	f(true, g, experiment.Harm{Sends: 1000}, experiment.Harm{Sends: 1000, Harms: 60})
	f(false, g, experiment.Harm{Sends: 1000, Harms: 60}, experiment.Harm{Sends: 1000, Harms: 60})
	f(false, g, experiment.Harm{Sends: 1e6, Harms: 1000}, experiment.Harm{Sends: 1e6, Harms: 1400}) // within the margin
	// All suffer alike, but nobody may suffer that much.
	g.Ceiling = 0.002
	f(true, g, experiment.Harm{Sends: 5000, Harms: 50}, experiment.Harm{Sends: 5000, Harms: 50})
	f(false, g, experiment.Harm{Sends: 5000, Harms: 10}, experiment.Harm{Sends: 5000, Harms: 10})
}
