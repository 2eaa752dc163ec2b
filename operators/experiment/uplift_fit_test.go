package experiment

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// upliftRunning is an experiment with a tenth of the people held out.
func upliftRunning(t testing.TB) *Running {
	t.Helper()
	r := &Running{
		Experiment: Experiment{Name: "trial", Seed: "trial", Coverage: 1, Variants: []Variant{{Name: ArmMail, Weight: 1}}, Holdouts: []Holdout{{Seed: "shop", Share: .3}}},
		Metrics:    Watch(nil), Features: true,
	}
	r.Goal = slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == OutcomeOrder })
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

var upliftNames = []string{"constant", "a", "b"} //nolint:gochecknoglobals // constant

// planted makes the enrolment of a person whose chance to order without a mail depends on
// b, and what a mail adds on a: bent, with which straight lines cannot agree.
func planted(t testing.TB, r *Running, rng *rand.Rand, key string, slope float64) *Enrolments {
	t.Helper()
	a, b := rng.Float64(), rng.Float64()
	p := 0.1 + 0.2*b
	arm := r.Arm(ArmHoldout)
	share := .3
	if rng.Float64() >= .3 {
		arm, share = 0, .7
		p += slope * (a*a - 0.2)
	}
	in := &Enrolments{List: []Enrolment{{Key: r.Key(), Variant: r.Arms()[arm]}}}
	u := &in.List[0].Unit
	u.Expose(Exposure{ID: Hash("d", key), Arm: arm, At: 1000, Propensity: share, Features: []int64{Feature(1), Feature(a), Feature(b)}})
	if rng.Float64() < p {
		if err := u.Note(Outcome{ID: 1, Name: OutcomeOrder, At: 2000, Amount: 100}); err != nil {
			t.Fatal(err)
		}
	}
	return in
}

const longAfter = int64(100) * 24 * 3600 * 1000

func rollOf(t testing.TB, r *Running, seed uint64, people int, slope float64) *Roll {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	s := new(Roll)
	for i := range people {
		key := fmt.Sprintf("person-%d-%d", seed, i)
		s.Add(key, r, planted(t, r, rng, key, slope), longAfter)
	}
	return s
}

// TestUpliftFinds: with an effect that grows with a, the model ranks by a, its interval is
// above zero, and the table says what was planted.
func TestUpliftFinds(t *testing.T) {
	r := upliftRunning(t)
	fit, err := rollOf(t, r, 1, 20_000, .4).Uplift(r, upliftNames, longAfter)
	if err != nil {
		t.Fatal(err)
	}
	if !fit.Sure || fit.Learners[0].Lo <= 0 || len(fit.Learners) != 3 {
		t.Fatalf("not found: %+v", fit.Learners)
	}
	for i := 1; i < len(fit.Learners); i++ {
		if fit.Learners[i].Qini > fit.Learners[i-1].Qini {
			t.Errorf("the best is not first: %+v", fit.Learners)
		}
	}
	m := fit.Model
	low, high := m.Predict([]int64{64, Feature(.1), Feature(.5)}), m.Predict([]int64{64, Feature(.9), Feature(.5)})
	if high-low < 0.2 || high-low > 0.45 { // .8 apart on a line of slope .4
		t.Errorf("a mail adds %.3f and %.3f", low, high)
	}
	// Over all the effect is .4 (1/3 - .2) = .053.
	if fit.EffectLo > .0533 || fit.EffectHi < .0533 || fit.EffectHi-fit.EffectLo > .04 {
		t.Errorf("effect %v in %v to %v", fit.Effect, fit.EffectLo, fit.EffectHi)
	}
	first, last := fit.Bins[0], fit.Bins[9]
	if first.Observed < last.Observed+.15 || math.Abs(first.Observed-first.Predicted) > 4*first.SE+.1 {
		t.Errorf("most promising %+v, least %+v", first, last)
	}
	for _, p := range fit.Curve {
		if !(p.Lo <= p.Gain && p.Gain <= p.Hi) {
			t.Errorf("a point outside of its interval: %+v", p)
		}
	}
	if end := fit.Curve[len(fit.Curve)-1]; end.Share != 1 || end.Gain != fit.Effect {
		t.Errorf("the curve ends at %+v, the effect is %v", end, fit.Effect)
	}
}

// TestUpliftNull: where a mail adds the same for everybody, the interval of the Qini
// coefficient is seldom above zero.
func TestUpliftNull(t *testing.T) {
	r := upliftRunning(t)
	sure, runs := 0, 60
	if testing.Short() {
		runs = 20
	}
	for seed := range uint64(runs) { //nolint:gosec // small
		fit, err := rollOf(t, r, 100+seed, 1500, 0).Uplift(r, upliftNames, longAfter)
		if err != nil {
			t.Fatal(err)
		}
		if fit.Sure {
			sure++
		}
	}
	// The best of three is chosen and 2.5 % lie above: at most 7.5 %, 9 of 60 with three sigma.
	if sure > 9*runs/60+1 {
		t.Errorf("%d of %d called sure", sure, runs)
	}
	t.Logf("%d of %d null experiments called sure", sure, runs)
}

// TestQiniIsTheCurve: without weights the curve is QiniCurve, each person of those mailed.
func TestQiniIsTheCurve(t *testing.T) {
	r := upliftRunning(t)
	s := rollOf(t, r, 3, 500, .4)
	predicted, judged, ones, mailed := make([]float64, len(s.Units)), make([]Judged, len(s.Units)), make([]float64, len(s.Units)), 0.0
	for i, u := range s.Units {
		ones[i] = 1
		predicted[i] = float64(s.Features(nil, i)[1] / 8) // many are equal
		judged[i] = Judged{Outcome: float64(u.Outcome), Predicted: predicted[i], Treated: u.Arm == 0}
		if u.Arm == 0 {
			mailed++
		}
	}
	ranks := rank(predicted)
	curve, area := s.qini(&ranks, 1, ones)
	want := QiniCurve(judged)
	n := float64(len(judged))
	if got := want.Area() * n / mailed; math.Abs(got-area) > 1e-12 {
		t.Errorf("area %v, want %v", area, got)
	}
	for k, g := range curve {
		x := n * float64(k) / qiniPoints
		j := max(1, slices.IndexFunc(want.X, func(v float64) bool { return v >= x-1e-9 }))
		y := want.Y[j-1] + (want.Y[j]-want.Y[j-1])*(x-want.X[j-1])/(want.X[j]-want.X[j-1])
		if math.Abs(y/mailed-g) > 1e-12 {
			t.Errorf("at %v: %v, want %v", x, g, y/mailed)
		}
	}
}

// TestRoll: who waits, has no features or is in two arms is left out and counted; a sample
// of many is a function of the set.
func TestRoll(t *testing.T) {
	r := upliftRunning(t)
	rng := rand.New(rand.NewPCG(5, 5))
	var s Roll
	s.Add("a", r, planted(t, r, rng, "a", 0), 1000) // its window is open
	bare := planted(t, r, rng, "b", 0)
	bare.List[0].Unit.Features = nil
	s.Add("b", r, bare, longAfter)
	crossed := planted(t, r, rng, "c", 0)
	crossed.List[0].Unit.Crossed = true
	s.Add("c", r, crossed, longAfter)
	s.Add("d", r, &Enrolments{}, longAfter)
	s.Add("e", r, planted(t, r, rng, "e", 0), longAfter)
	if len(s.Units) != 1 || s.Waiting != 1 || s.Bare != 1 {
		t.Errorf("%+v", s)
	}
	one, two := Roll{Max: 64}, Roll{Max: 64}
	people := make([]*Enrolments, 500)
	for i := range people {
		people[i] = planted(t, r, rng, fmt.Sprint(i), 0)
		one.Add(fmt.Sprint(i), r, people[i], longAfter)
	}
	for i := range people {
		two.Add(fmt.Sprint(len(people)-1-i), r, people[len(people)-1-i], longAfter)
	}
	if len(one.Units) != len(two.Units) || len(one.Units) > 64 || len(one.Units) < 16 || one.Halved != two.Halved {
		t.Fatalf("%d and %d of 500, halved %d times", len(one.Units), len(two.Units), one.Halved)
	}
	slices.Sort(one.hashes)
	slices.Sort(two.hashes)
	if !slices.Equal(one.hashes, two.hashes) {
		t.Error("another order leads to other people")
	}
}

// TestUpliftRefuses: what cannot be learnt is said.
func TestUpliftRefuses(t *testing.T) {
	r := upliftRunning(t)
	if _, err := rollOf(t, r, 1, 100, 0).Uplift(r, upliftNames, longAfter); !errors.Is(err, ErrTooFew) {
		t.Error(err)
	}
	if _, err := rollOf(t, r, 1, 1000, 0).Uplift(r, upliftNames[:2], longAfter); err == nil || !strings.Contains(err.Error(), "features") {
		t.Error(err)
	}
	free := upliftRunning(t)
	free.Holdouts, free.Variants = nil, []Variant{{Name: "a", Weight: .5}, {Name: "b", Weight: .5}}
	if err := free.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := new(Roll).Uplift(free, upliftNames, 0); err == nil || !strings.Contains(err.Error(), "holds nobody out") {
		t.Error(err)
	}
	f := func(raw, want string) {
		t.Helper()
		if _, err := ReadUpliftModel([]byte(raw), upliftNames); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
	f(`{`, "read an uplift model")
	f(`{"features":["constant","a"],"weights":[1,2]}`, "want")
	f(`{"features":["constant","a","b"],"weights":[1,2]}`, "2 weights")
	if m, err := ReadUpliftModel([]byte(`{"features":["constant","a","b"],"weights":[1,2,3]}`), upliftNames); err != nil || m.Predict([]int64{64, 128, -64}) != 2 {
		t.Errorf("%+v %v", m, err)
	}
}

func FuzzReadUpliftModel(f *testing.F) {
	f.Add([]byte(`{"features":["constant","a","b"],"weights":[1,2,3]}`))
	f.Add([]byte(`{"weights":[1e999]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ReadUpliftModel(raw, upliftNames)
		if err == nil && math.IsNaN(m.Predict([]int64{64, 1, 2})) {
			t.Errorf("a model of numbers answers none: %s", raw)
		}
	})
}

// BenchmarkUplift measures learning from 20,000 people, the interval included.
func BenchmarkUplift(b *testing.B) {
	r := upliftRunning(b)
	s := rollOf(b, r, 1, 20_000, .4)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Uplift(r, upliftNames, longAfter); err != nil {
			b.Fatal(err)
		}
	}
}
