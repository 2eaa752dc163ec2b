package accuracy

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"millrace/operators/experiment"
)

// ErrExperimentData says that a folder holds no tests of headlines.
var ErrExperimentData = errors.New("no upworthy*.csv or upworthy*.csv.gz with clickability_test_id, impressions and clicks")

// ExperimentArm is a variant of a published test.
type ExperimentArm struct{ Impressions, Clicks int64 }

// ExperimentTest is a published test; its first arm is taken for the control.
type ExperimentTest struct {
	ID   string
	Arms []ExperimentArm
}

// experimentRowsMax bounds what is read: the whole archive has 150,000 rows.
const experimentRowsMax = 10_000_000

// ReadExperimentTests reads the tests of a folder of the Upworthy archive, in the order of
// their first rows. Tests of a single arm are left out.
func ReadExperimentTests(dir string) ([]ExperimentTest, error) {
	var files []string
	for _, pattern := range []string{"upworthy*.csv", "upworthy*.csv.gz"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", pattern, err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, ErrExperimentData
	}
	var all []ExperimentTest
	at := make(map[string]int)
	for _, name := range files {
		if err := readExperimentFile(name, at, &all); err != nil {
			return nil, fmt.Errorf("read %s: %w", filepath.Base(name), err)
		}
	}
	return slices.DeleteFunc(all, func(t ExperimentTest) bool { return len(t.Arms) < 2 || len(t.Arms) > experiment.ArmsMax }), nil
}

func readExperimentFile(name string, at map[string]int, all *[]ExperimentTest) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only
	in := io.Reader(f)
	if filepath.Ext(name) == ".gz" {
		if in, err = gzip.NewReader(f); err != nil {
			return err
		}
	}
	r := csv.NewReader(in)
	r.ReuseRecord = true
	head, err := r.Read()
	if err != nil {
		return err
	}
	id, seen, clicked := slices.Index(head, "clickability_test_id"), slices.Index(head, "impressions"), slices.Index(head, "clicks")
	if id < 0 || seen < 0 || clicked < 0 {
		return ErrExperimentData
	}
	for row := 2; row < experimentRowsMax; row++ {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		n, err1 := strconv.ParseInt(rec[seen], 10, 32)
		k, err2 := strconv.ParseInt(rec[clicked], 10, 32)
		if err1 != nil || err2 != nil || k < 0 || n < k {
			return fmt.Errorf("row %d: %w: %q impressions and %q clicks", row, ErrExperimentData, rec[seen], rec[clicked])
		}
		if n == 0 {
			continue
		}
		i, ok := at[rec[id]]
		if !ok {
			i = len(*all)
			*all = append(*all, ExperimentTest{ID: rec[id]})
			at[(*all)[i].ID] = i
		}
		(*all)[i].Arms = append((*all)[i].Arms, ExperimentArm{n, k})
	}
	return fmt.Errorf("more than %d rows", experimentRowsMax)
}

// ExperimentResult is what came of replaying tests as streams.
type ExperimentResult struct {
	Tests, Arms, Comparisons   int
	Impressions, Clicks, Looks int64
	Seconds                    float64
	Different                  int // comparisons whose stream and batch estimates differ in a bit
	Alpha                      float64
	Shares                     int // tests whose people did not arrive in equal shares, at .001
	Called                     []ExperimentCalled
}

// ExperimentCalled is how many tests a rule calls.
type ExperimentCalled struct {
	Rule  string
	Tests int
	Share float64
}

// replayed is what is left of one test.
type replayed struct {
	end, fixed   float64 // least p of the arms: any-time over all looks, plain t-test at the end
	each, peeked float64 // plain t-test with the arms corrected; the least of all looks
	logE         float64 // mean e-value of the arms at the end
	shares       float64
	looks        uint64
	different    int
}

// EvaluateExperiments replays tests as streams, impression by impression in an order drawn
// from seed, with clicks that arrive after others have come, and looks every 100 changes.
func EvaluateExperiments(tests []ExperimentTest, alpha float64, seed uint64) (ExperimentResult, error) {
	begin := time.Now()
	out := ExperimentResult{Tests: len(tests), Alpha: alpha}
	all := make([]replayed, len(tests))
	for i := range tests {
		r, err := replayExperiment(&tests[i], alpha, rand.New(rand.NewPCG(seed, uint64(i)))) //nolint:gosec // a simulation
		if err != nil {
			return out, fmt.Errorf("test %d: %w", i+1, err)
		}
		all[i] = r
		for _, a := range tests[i].Arms {
			out.Arms++
			out.Impressions += a.Impressions
			out.Clicks += a.Clicks
		}
		out.Comparisons += len(tests[i].Arms) - 1
		out.Looks += int64(r.looks) //nolint:gosec // a count
		out.Different += r.different
		if r.shares < 0.001 {
			out.Shares++
		}
	}
	out.Seconds = time.Since(begin).Seconds()
	out.call(all)
	return out, nil
}

// call applies the rules.
func (r *ExperimentResult) call(all []replayed) {
	add := func(rule string, n int) {
		r.Called = append(r.Called, ExperimentCalled{rule, n, float64(n) / float64(max(1, len(all)))})
	}
	count := func(rule string, p []float64) {
		n := 0
		for _, x := range p {
			if x < r.Alpha {
				n++
			}
		}
		add(rule, n)
	}
	column := func(f func(*replayed) float64) []float64 {
		out := make([]float64, len(all))
		for i := range all {
			out[i] = f(&all[i])
		}
		return out
	}
	fixed, always := column(func(x *replayed) float64 { return x.each }), column(func(x *replayed) float64 { return x.end })
	count("plain t-test at any look, nothing corrected", column(func(x *replayed) float64 { return x.peeked }))
	count("plain t-test at the end, nothing corrected", column(func(x *replayed) float64 { return x.fixed }))
	count("plain t-test at the end, arms corrected", fixed)
	count("  and Holm over the tests", experiment.Holm(fixed))
	count("  and Benjamini-Hochberg over the tests", experiment.BenjaminiHochberg(fixed))
	count("any-time sequence at any look, arms corrected", always)
	count("  and Holm over the tests", experiment.Holm(always))
	count("  and Benjamini-Hochberg over the tests", experiment.BenjaminiHochberg(always))
	n := 0
	for _, called := range experiment.EBenjaminiHochberg(column(func(x *replayed) float64 { return x.logE }), r.Alpha) {
		if called {
			n++
		}
	}
	add("  e-values of the arms, e-BH over the tests", n)
}

// headlineTrial is a test as an experiment that runs.
func headlineTrial(t *ExperimentTest, alpha float64) (*experiment.Running, error) {
	r := &experiment.Running{
		Experiment: experiment.Experiment{Name: "headlines", Seed: "headlines", Coverage: 1},
		Metrics:    []experiment.Metric{{Name: experiment.OutcomeClick, Kind: experiment.Share, Outcome: experiment.OutcomeClick}},
		Alpha:      alpha,
	}
	for arm := range t.Arms {
		r.Variants = append(r.Variants, experiment.Variant{Name: "h" + strconv.Itoa(arm), Weight: 1 / float64(len(t.Arms))})
	}
	return r, r.Start()
}

// pendingMax is how many clicks are on their way at most: they come some time after their
// impression, in another order.
const pendingMax = 64

func replayExperiment(t *ExperimentTest, alpha float64, rng *rand.Rand) (replayed, error) {
	r, err := headlineTrial(t, alpha)
	if err != nil {
		return replayed{}, err
	}
	left := slices.Clone(t.Arms)
	total := int64(0)
	for _, a := range left {
		total += a.Impressions
	}
	var p experiment.Progress
	out := replayed{end: 1, fixed: 1, each: 1, peeked: 1}
	none, one := []experiment.Values{{}}, []experiment.Values{{1}}
	var pending []int
	take := func(m experiment.Move) error {
		looks := p.Looks
		if _, err := p.Take(r, &m, 1); err != nil {
			return err
		}
		if p.Looks != looks {
			out.peeked = math.Min(out.peeked, leastFixed(r, &p, alpha))
		}
		return nil
	}
	click := func() error {
		i := rng.IntN(len(pending))
		arm := pending[i]
		pending = slices.Delete(pending, i, i+1)
		return take(experiment.Move{Arm: arm, Before: none, After: one})
	}
	for ; total > 0; total-- {
		arm, at := 0, rng.Int64N(total)
		for at >= left[arm].Impressions {
			at -= left[arm].Impressions
			arm++
		}
		if err := take(experiment.Move{Arm: arm, After: none, At: 1}); err != nil {
			return out, err
		}
		if at < left[arm].Clicks { // one of those that are left, at random
			left[arm].Clicks--
			pending = append(pending, arm)
		}
		left[arm].Impressions--
		if len(pending) == pendingMax {
			if err := click(); err != nil {
				return out, err
			}
		}
	}
	for len(pending) > 0 {
		if err := click(); err != nil {
			return out, err
		}
	}
	p.Look(r, 1)
	out.peeked = math.Min(out.peeked, leastFixed(r, &p, alpha))
	out.finish(t, r, &p, alpha)
	return out, nil
}

// leastFixed is the least p-value of the plain t-test over the arms.
func leastFixed(r *experiment.Running, p *experiment.Progress, alpha float64) float64 {
	least := 1.0
	for arm := 1; arm < len(r.Arms()); arm++ {
		if e, err := p.Effect(r, arm, 0, 0, false); err == nil {
			least = math.Min(least, e.Fixed(alpha).P)
		}
	}
	return least
}

// finish takes what is left at the end, and compares it with sums that were never streamed.
func (x *replayed) finish(t *ExperimentTest, r *experiment.Running, p *experiment.Progress, alpha float64) {
	m := &r.Metrics[0]
	batch := make([]experiment.Moments, len(t.Arms))
	for arm, a := range t.Arms {
		batch[arm].N = a.Impressions
		batch[arm].Sums[experiment.Value] = experiment.WideOf(a.Clicks)
		batch[arm].Products[0] = experiment.WideOf(a.Clicks)
	}
	e, k := 0.0, float64(len(t.Arms)-1)
	for arm := 1; arm < len(t.Arms); arm++ {
		streamed, err1 := p.Effect(r, arm, 0, 0, false)
		whole, err2 := m.Compare(&batch[0], &batch[arm], false, false)
		if (err1 == nil) != (err2 == nil) || streamed != whole {
			x.different++
		}
		if err1 != nil {
			e++ // no evidence either way
			continue
		}
		x.end = math.Min(x.end, p.Least[arm])
		e += math.Exp(math.Min(streamed.LogEvidence(alpha, r.TuningN), 600))
	}
	x.fixed = leastFixed(r, p, alpha)
	x.end, x.each = math.Min(1, k*x.end), math.Min(1, k*x.fixed)
	x.logE, x.shares, x.looks = math.Log(e/k), p.SRM, p.Looks
}

// WriteExperimentTable prints the figures for people.
func WriteExperimentTable(w io.Writer, r ExperimentResult) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "tests of two or more variants\t%d, %d variants, %d comparisons with the first\n", r.Tests, r.Arms, r.Comparisons)
	fmt.Fprintf(t, "impressions, clicks\t%d, %d\n", r.Impressions, r.Clicks)
	fmt.Fprintf(t, "replayed as streams\t%.1f s, %.0f changes a second, %d looks\n", r.Seconds, float64(r.Impressions+r.Clicks)/math.Max(r.Seconds, 1e-9), r.Looks)
	fmt.Fprintf(t, "estimates unlike the batch's in any bit\t%d\n", r.Different)
	fmt.Fprintf(t, "people not in equal shares, at .001\t%d\n", r.Shares)
	fmt.Fprintf(t, "\ncalled at %.3g\ttests\tshare\n", r.Alpha)
	for _, c := range r.Called {
		fmt.Fprintf(t, "%s\t%d\t%.1f %%\n", c.Rule, c.Tests, 100*c.Share)
	}
	return t.Flush()
}

// WriteExperimentJSON prints the figures as one object.
func WriteExperimentJSON(w io.Writer, r ExperimentResult) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
