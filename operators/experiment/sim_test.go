package experiment_test

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"millrace/operators/experiment"
)

// soak tells whether simulations run in full size; `make soak` sets it. The short ones have
// the same code, seeds and bounds, with fewer runs and so wider tolerances.
func soak() bool { return os.Getenv("MILLRACE_SOAK") != "" }

// runs is how many runs a simulation makes.
func runs(short, full int) int {
	if soak() {
		return full
	}
	return short
}

// binomial draws numbers of successes among n by inversion of a table.
type binomial struct{ below []float64 }

func newBinomial(n int, p float64) binomial {
	b := binomial{make([]float64, n+1)}
	lf := func(k int) float64 { v, _ := math.Lgamma(float64(k) + 1); return v }
	sum := 0.0
	for k := range b.below {
		sum += math.Exp(lf(n) - lf(k) - lf(n-k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
		b.below[k] = sum
	}
	return b
}

func (b binomial) draw(r *rand.Rand) float64 {
	i, _ := slices.BinarySearch(b.below, r.Float64())
	return float64(min(i, len(b.below)-1))
}

// TestNullLooks holds the promise of looking at any time: 200 looks of 100 units an arm at
// two arms of the same rate. The plain t-test shows that the check has teeth.
func TestNullLooks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	n, per := runs(1500, 20000), newBinomial(100, 0.1)
	var always, fixed, msprt int
	for range n {
		var ka, kb, units float64
		var hit, hitFixed, hitRatio bool
		for range 200 {
			units += 100
			ka += per.draw(r)
			kb += per.draw(r)
			e, err := experiment.Absolute(experiment.ShareOf(units, ka), experiment.ShareOf(units, kb))
			if err != nil {
				continue
			}
			hit = hit || e.Sequence(0.05, 10000).P < 0.05
			hitFixed = hitFixed || math.Abs(e.Estimate/e.SE) > 1.96
			m, err := experiment.NewMSPRT(units, e.Estimate, e.SE*e.SE*units, 1e-4, 0.05)
			hitRatio = hitRatio || err == nil && m.P < 0.05
		}
		always += count(hit)
		fixed += count(hitFixed)
		msprt += count(hitRatio)
	}
	share := func(k int) float64 { return float64(k) / float64(n) }
	t.Logf("%d null experiments of 200 looks: sequence %.4f, mSPRT %.4f, plain t-test %.4f", n, share(always), share(msprt), share(fixed))
	if share(always) > 0.067 || share(msprt) > 0.067 {
		t.Errorf("false positives: sequence %.4f, mSPRT %.4f, want at most .067", share(always), share(msprt))
	}
	if share(fixed) < 0.3 {
		t.Errorf("the plain test calls only %.4f: the simulation has no teeth", share(fixed))
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestNullShares does the same for the test of the shares, at .001, and checks that a real
// mismatch is found.
func TestNullShares(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	n := runs(1500, 20000)
	simulate := func(p float64, n int) (sequential, chi int) {
		per := newBinomial(200, p)
		for range n {
			s, err := experiment.NewSequentialSRM([]float64{1, 1}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var a, units float64
			var hit bool
			for range 200 {
				x := per.draw(r)
				a, units = a+x, units+200
				s.Add([]float64{x, 200 - x})
				c, err := experiment.ChiSquareSRM([]float64{a, units - a}, []float64{1, 1})
				if err != nil {
					t.Fatal(err)
				}
				hit = hit || c.P < 0.001
			}
			sequential += count(s.P() < 0.001)
			chi += count(hit)
		}
		return sequential, chi
	}
	sequential, chi := simulate(0.5, n)
	found, _ := simulate(0.53, 100)
	t.Logf("%d null streams of 200 looks at .001: sequential %d, chi-square %d; of 100 at 53 %% found %d", n, sequential, chi, found)
	if float64(sequential) > 0.001*float64(n) {
		t.Errorf("%d of %d sound streams called mismatched, want at most .1 %%", sequential, n)
	}
	if float64(chi) < 0.005*float64(n) {
		t.Errorf("chi-square calls only %d of %d: the simulation has no teeth", chi, n)
	}
	if found < 99 {
		t.Errorf("of 100 streams with 53 %% in one arm only %d were found", found)
	}
}

// TestGuardrailSimulation measures when harm is stopped, with a look each 100 sends an arm.
func TestGuardrailSimulation(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	n := runs(400, 4000)
	const looks = 600
	stops := func(pa, pb float64) (at []float64, stopped int) {
		da, db := newBinomial(100, pa), newBinomial(100, pb)
		for range n {
			var a, b experiment.Harm
			when := math.Inf(1)
			for range looks {
				a = experiment.Harm{Sends: a.Sends + 100, Harms: a.Harms + da.draw(r)}
				b = experiment.Harm{Sends: b.Sends + 100, Harms: b.Harms + db.draw(r)}
				if (experiment.Guardrail{}).Look(a, b).Stop {
					when = b.Sends
					stopped++
					break
				}
			}
			at = append(at, when)
		}
		slices.Sort(at)
		return at, stopped
	}
	harm, _ := stops(0.001, 0.004)
	worse, _ := stops(0.001, 0.01)
	_, equal := stops(0.001, 0.001)
	_, margin := stops(0.001, 0.0015)
	t.Logf("%d runs: .1%%->.4%% stopped at a median of %.0f sends an arm (9 of 10 by %.0f), .1%%->1%% at %.0f; false stops %.4f at equality, %.4f at the margin",
		n, harm[n/2], harm[n*9/10], worse[n/2], float64(equal)/float64(n), float64(margin)/float64(n))
	if harm[n/2] > 8000 || worse[n/2] > 2500 {
		t.Errorf("stopped at medians of %v and %v sends, want at most 8000 and 2500", harm[n/2], worse[n/2])
	}
	if limit := 0.05 * float64(n); float64(equal) > limit || float64(margin) > limit {
		t.Errorf("false stops: %d at equality and %d at the margin of %d, want at most 5 %%", equal, margin, n)
	}
}

// bandit plays 50,000 pulls in batches of 100 with rewards that come 500 pulls late, and
// gives the regret and the inversely weighted estimates of the arms.
func playBandit(t testing.TB, seed uint64, o experiment.BanditOptions) (float64, []experiment.Weighted) {
	t.Helper()
	rates := []float64{0.03, 0.04, 0.05, 0.06, 0.07}
	r := rand.New(rand.NewPCG(seed, 7))
	b, err := experiment.NewBandit(len(rates), o)
	if err != nil {
		t.Fatal(err)
	}
	type batch struct{ pulls, rewards [5]float64 }
	var late []batch
	var learned batch
	estimates := make([]experiment.Weighted, len(rates))
	regret := 0.0
	for range 500 {
		var now batch
		for range 100 {
			arm, propensity := b.Pick(r.Float64())
			regret += 0.07 - rates[arm]
			reward := float64(count(r.Float64() < rates[arm]))
			now.pulls[arm]++
			now.rewards[arm] += reward
			for k := range estimates {
				before := 0.0
				if learned.pulls[k] > 0 {
					before = learned.rewards[k] / learned.pulls[k]
				}
				p := b.Shares()[k]
				if k == arm {
					p = propensity
				}
				if err := estimates[k].Add(k == arm, reward, p, before); err != nil {
					t.Fatal(err)
				}
			}
		}
		if late = append(late, now); len(late) > 5 {
			old := late[0]
			late = late[1:]
			if err := b.Learn(old.pulls[:], old.rewards[:]); err != nil {
				t.Fatal(err)
			}
			for k := range rates {
				learned.pulls[k] += old.pulls[k]
				learned.rewards[k] += old.rewards[k]
			}
		}
	}
	return regret, estimates
}

func TestBanditRegret(t *testing.T) {
	n := runs(40, 400)
	sum, outside, all := 0.0, 0, 0
	rates := []float64{0.03, 0.04, 0.05, 0.06, 0.07}
	for seed := range n {
		regret, estimates := playBandit(t, uint64(seed), experiment.BanditOptions{})
		sum += regret
		for k := range estimates {
			e, err := estimates[k].Estimate()
			if err != nil {
				t.Fatal(err)
			}
			all++
			outside += count(math.Abs(e.Estimate-rates[k]) > 3*e.SE)
		}
	}
	mean := sum / float64(n)
	t.Logf("mean regret over %d seeds %.1f; %d of %d arm means beyond 3 standard errors", n, mean, outside, all)
	if mean > 115 {
		t.Errorf("mean regret %.1f, want at most 115", mean)
	}
	if float64(outside) > 0.03*float64(all) {
		t.Errorf("%d of %d inversely weighted means are beyond 3 standard errors", outside, all)
	}
}
