package experiment_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/state"
)

// optimised is an experiment of three arms whose shares follow the orders.
func optimised(t testing.TB, by string) *experiment.Running {
	t.Helper()
	r := &experiment.Running{
		Experiment: experiment.Experiment{
			Name: "o", Seed: "o", Coverage: 1,
			Variants: []experiment.Variant{{Name: "control", Weight: 0.4}, {Name: "bad", Weight: 0.3}, {Name: "good", Weight: 0.3}},
		},
		Metrics: experiment.Watch(map[string]time.Duration{experiment.OutcomeOrder: time.Hour}), Goal: 3,
		Optimise: &experiment.Optimise{By: by, Floor: 0.05, Every: 10 * time.Minute, Least: 50},
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// shoppers makes people who come one after the other and order with the chance of their
// arm, and of their taste where there is one: good is good only for those who have it.
func shoppers(rng *rand.Rand, r *experiment.Running, n int, taste bool) (all []step) {
	for i := range n {
		who, at := "p"+strconv.Itoa(i), int64(1_000_000_000+i*6000)
		likes := int64(rng.IntN(2))
		s := step{Key: who, At: at, Decide: "d" + who}
		if taste {
			s.Features = []int64{experiment.Feature(1), experiment.Feature(float64(likes))}
		}
		all = append(all, s)
	}
	return all
}

// play runs an optimised experiment as the program does: what it believes goes through the
// log, and orders depend on the arm that somebody got. It answers the decisions.
func play(t testing.TB, r *experiment.Running, n int, taste bool) (processed, []event.Decision) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 8))
	orders := func(d *event.Decision, features []int64) bool {
		p := map[string]float64{"control": 0.10, "bad": 0.05, "good": 0.20}[d.Variant]
		if taste {
			p = 0.10
			if (d.Variant == "good") == (features[1] > 0) {
				p = 0.25
			}
		}
		return rng.Float64() < p
	}
	return live(t, map[string]*experiment.Running{"p": r}, shoppers(rng, r, n, taste), orders)
}

// TestOptimise: traffic goes where orders come from, never below the floor, by any of the
// four ways; what was logged is the probability with which it was drawn.
func TestOptimise(t *testing.T) {
	for _, by := range []string{experiment.Thompson, experiment.TopTwoThompson, experiment.UpperBound, experiment.LinearSampling} {
		taste := by == experiment.UpperBound || by == experiment.LinearSampling
		t.Run(by, func(t *testing.T) {
			r := optimised(t, by)
			got, all := play(t, r, 4000, taste)
			p := got.read(r.Key())
			if p.Learn.Serial < 5 {
				t.Fatalf("%d beliefs", p.Learn.Serial)
			}
			late, right, inverse := all[3000:], 0, map[string]float64{}
			for i := range all {
				d := &all[i]
				if d.Propensity < 0.05-1e-12 {
					t.Fatalf("a share of %v", d.Propensity)
				}
				inverse[d.Variant] += 1 / d.Propensity
			}
			for i := range late {
				if late[i].Variant == "good" {
					right++
				}
			}
			least := 600 // of 1000
			switch by {
			case experiment.TopTwoThompson:
				least = 350 // half of the traffic goes to the runner-up
			case experiment.UpperBound, experiment.LinearSampling:
				least = 300 // good for every second one
			}
			if right < least {
				t.Errorf("the best variant got %d of the last 1000, want %d", right, least)
			}
			// Each arm's inverse probabilities add up to the number of people.
			for arm, sum := range inverse {
				if math.Abs(sum/float64(len(all))-1) > 0.25 {
					t.Errorf("%s: inverse probabilities sum to %v of %d", arm, sum, len(all))
				}
			}
			if taste {
				return
			}
			for _, x := range p.Report(r, &experiment.Steered{}, &experiment.Stops{}, 0, 0).Traffic {
				want := map[string]float64{"control": 0.10, "bad": 0.05, "good": 0.20}[x.Variant]
				if x.Mean == nil || *x.Lo > want || *x.Hi < want || math.Abs(x.Balance-1) > 0.25 {
					t.Errorf("%s: %+v does not hold %v", x.Variant, x, want)
				}
			}
		})
	}
}

// TestHand: what a person decides counts from its position, and is written down.
func TestHand(t *testing.T) {
	r := optimised(t, experiment.Thompson)
	word := func(kind, variant string, share float64) step {
		return step{At: 5, Steer: &event.Steer{Experiment: r.Key(), Kind: kind, Variant: variant, Share: share, By: "ann", At: 5}}
	}
	var all []step
	people := func(prefix string) {
		for i := range 300 {
			all = append(all, step{Key: prefix + strconv.Itoa(i), At: 1000, Decide: prefix + strconv.Itoa(i)})
		}
	}
	people("a")
	all = append(all, word(event.SteerPin, "bad", 0))
	people("b")
	all = append(all, word(event.SteerUnfreeze, "", 0), word(event.SteerCap, "control", 0.1))
	people("c")
	all = append(all, word(event.SteerFreeze, "", 0), step{At: 5, Steer: &event.Steer{Experiment: r.Key(), Kind: event.SteerShares, Serial: 9, Shares: []float64{0, 1, 0}}})
	people("d")
	got, decisions := live(t, map[string]*experiment.Running{"p": r}, all, nil)
	count := func(from int, variant string) (n int) {
		for _, d := range decisions[from : from+300] {
			if d.Variant == variant {
				n++
			}
		}
		return n
	}
	if n := count(0, "bad"); n < 60 || n > 120 {
		t.Errorf("as planned: %d of 300", n)
	}
	if n := count(300, "bad"); n != 300 || decisions[300].Propensity != 1 {
		t.Errorf("pinned: %d of 300", n)
	}
	if n := count(600, "control"); n < 10 || n > 55 {
		t.Errorf("capped at a tenth: %d of 300", n)
	}
	if n := count(900, "bad"); n > 180 {
		t.Errorf("frozen, but a belief was heeded: %d of 300", n)
	}
	audit := got.read(r.Key()).Audit
	if len(audit) != 4 || audit[0].Kind != event.SteerPin || audit[0].Variant != "bad" || audit[0].By != "ann" {
		t.Errorf("audit %+v", audit)
	}
}

// TestOptimiseSame: the state, beliefs and shares among it, is equal to the byte however
// the log is cut, with small caches and crashes.
func TestOptimiseSame(t *testing.T) {
	r := optimised(t, experiment.LinearSampling)
	running := map[string]*experiment.Running{"p": r}
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		var all []step
		for i, s := range shoppers(rng, r, rapid.IntRange(60, 120).Draw(t, "people"), true) {
			s.At += int64(i) * 600_000 // hours, so that they mature
			all = append(all, s)
			if rng.IntN(3) == 0 {
				all = append(all, step{Key: s.Key, At: s.At + 5, Outcome: &experiment.Outcome{ID: uint64(i + 1), Name: experiment.OutcomeOrder, At: s.At + 5, Amount: 100}})
			}
		}
		want := process(t, running, all, cut{})
		if want.read(r.Key()).Learn.Serial == 0 {
			t.Fatal("nothing was believed")
		}
		c := cut{Epoch: rapid.IntRange(1, 30).Draw(t, "epoch"), Cache: rapid.IntRange(1, 8).Draw(t, "cache"), Crash: rapid.IntRange(0, 9).Draw(t, "crash")}
		if got := process(t, running, all, c); !slices.Equal(got.dump, want.dump) {
			t.Fatalf("%+v: the same log leaves another state", c)
		}
	})
}

// TestNamespace: experiments of one layer have nobody in common, and a part that grows
// moves nobody.
func TestNamespace(t *testing.T) {
	a, b := trial(t, "a", 0), trial(t, "b", 0)
	a.Namespace, b.Namespace = &experiment.Namespace{Name: "mails", Lo: 0, Hi: 0.4}, &experiment.Namespace{Name: "mails", Lo: 0.4, Hi: 0.9}
	wider := trial(t, "a", 0)
	wider.Namespace = &experiment.Namespace{Name: "mails", Lo: 0, Hi: 0.7}
	in := 0
	for i := range 20_000 {
		unit := "u" + strconv.Itoa(i)
		x, y, z := a.Place(unit, ""), b.Place(unit, ""), wider.Place(unit, "")
		if x.Arm >= 0 && y.Arm >= 0 {
			t.Fatalf("%s is in both", unit)
		}
		if x.Arm >= 0 {
			in++
			if z != x {
				t.Fatalf("%s moved from %+v to %+v", unit, x, z)
			}
		}
	}
	if in < 7600 || in > 8400 {
		t.Errorf("%d of 20,000 take part, want about 8,000", in)
	}
}

// TestHandKeepsCoverage: a pin moves nobody into an experiment that covers a part, nor out
// of it, and the shares are not tested any more, since they are not those of the plan.
func TestHandKeepsCoverage(t *testing.T) {
	r := trial(t, "e", 0)
	r.Coverage = 0.3
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	all := []step{{At: 1, Steer: &event.Steer{Experiment: r.Key(), Kind: event.SteerPin, Variant: "new", At: 1}}}
	want := 0
	for i := range 1000 {
		who := "p" + strconv.Itoa(i)
		all = append(all, step{Key: who, At: 1000, Decide: who})
		if r.Place(who, "").Arm >= 0 {
			want++
		}
	}
	got, decisions := live(t, map[string]*experiment.Running{"p": r}, all, nil)
	p := got.read(r.Key())
	if n := p.Units(0) + p.Units(1); n != int64(want) || p.Units(0) != 0 || p.SRM != 1 {
		t.Errorf("%d units of %d, %d of them control, shares %v", n, want, p.Units(0), p.SRM)
	}
	for _, d := range decisions {
		if (d.Variant == "new") != (r.Place(d.Person, "").Arm >= 0) {
			t.Fatalf("%s got %s", d.Person, d.Variant)
		}
	}
}

// TestWhatIf: the answer is that of a run under the other split, and its interval holds it.
func TestWhatIf(t *testing.T) {
	r := optimised(t, experiment.Thompson)
	got, _ := play(t, r, 6000, false)
	p := got.read(r.Key())
	f := func(split map[string]float64, want float64) {
		t.Helper()
		a, err := p.WhatIf(r, split, 0.01)
		if err != nil || a.Lo > want || a.Hi < want || a.Hi-a.Lo > 0.2 {
			t.Errorf("%v: %+v does not hold %v (%v)", split, a, want, err)
		}
	}
	f(map[string]float64{"good": 1}, 0.20)
	f(map[string]float64{"control": 1}, 0.10)
	f(map[string]float64{"control": 0.5, "good": 0.5}, 0.15)
	bad := func(split map[string]float64) {
		t.Helper()
		if a, err := p.WhatIf(r, split, 0.05); err == nil {
			t.Errorf("%v: %+v", split, a)
		}
	}
	bad(map[string]float64{"good": 0.5})
	bad(map[string]float64{"best": 1})
	bad(map[string]float64{"good": 2, "control": -1})
	bad(nil)
}

// TestAnchors: there is one key for each group, and it belongs to it.
func TestAnchors(t *testing.T) {
	for g, key := range experiment.Anchors() {
		if int(state.KeyGroup(key)) != g {
			t.Fatalf("%q is of group %d, want %d", key, state.KeyGroup(key), g)
		}
	}
}

func FuzzSteering(f *testing.F) {
	var s experiment.Steering
	running := func(string) bool { return true }
	s.Hear(&event.Steer{Experiment: "a@1", Kind: event.SteerShares, Serial: 1, Lines: []event.Line{{Mean: []float64{1, 2}, Cov: []float64{1, 0, 1}}}}, running)
	s.Hear(&event.Steer{Experiment: "a@1", Kind: event.SteerCap, Variant: "x", Share: 0.5}, running)
	s.Hear(&event.Steer{Experiment: "b@1", Kind: event.SteerPin, Variant: "y"}, running)
	s.Hear(&event.Steer{Experiment: "b@1", Kind: event.SteerStop, Variant: "y", Reason: "bounce"}, running)
	f.Add(s.AppendTo(nil))
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var x, y experiment.Steering
		if x.DecodeFrom(b) != nil {
			return
		}
		again := x.AppendTo(nil)
		if err := y.DecodeFrom(again); err != nil || !slices.Equal(y.AppendTo(nil), again) {
			t.Fatalf("%q is not what it was: %v", b, err)
		}
	})
}
