package accuracy

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"millrace/operators/profile"
)

// ProfileOptions say how profiles are measured. The zero value works.
type ProfileOptions struct {
	// Axes is how many principal components are compared.
	Axes int
	// Groups is how many clusters there are.
	Groups int
	// Shuffles is how many orders of the rows are tried besides that of the file.
	Shuffles int
	// Calibration is the part of the time from which the model of lifetimes is fitted.
	Calibration float64
	// Seed of all chance.
	Seed uint64
}

func (o ProfileOptions) withDefaults() ProfileOptions {
	o.Axes = cmp.Or(o.Axes, 5)                                    // as the reference
	o.Groups = cmp.Or(o.Groups, 8)                                // as the reference
	o.Shuffles = cmp.Or(o.Shuffles, 20)                           // as many as there are batch runs to beat
	o.Calibration = min(max(cmp.Or(o.Calibration, 2./3), .1), .9) // the first months
	o.Seed = cmp.Or(o.Seed, 1)                                    // any
	return o
}

// ProfileResult is one line of the table: a method on a data set. What a method does not
// have is 0 and left out.
type ProfileResult struct {
	Name    string  `json:"name"`
	Method  string  `json:"method"`
	Rows    int     `json:"rows,omitempty"`
	Seconds float64 `json:"seconds"`

	Components int     `json:"components,omitempty"`
	Explained  float64 `json:"explained,omitempty"`    // share of all variance that the best axes hold
	Captured   float64 `json:"captured,omitempty"`     // over the optimum, rows in the order of the file
	CapturedLo float64 `json:"captured_min,omitempty"` // the worst of the shuffled orders
	CapturedMd float64 `json:"captured_median,omitempty"`

	K           int      `json:"k,omitempty"`
	SSE         float64  `json:"sse_ratio,omitempty"` // over the best of 20 batch runs, in the order of the file
	SSEMedian   float64  `json:"sse_ratio_median,omitempty"`
	SSEWorst    float64  `json:"sse_ratio_max,omitempty"`
	Clusters    []string `json:"clusters,omitempty"`
	Periods     int      `json:"periods,omitempty"` // days, or tenths of a table without times
	Stability   float64  `json:"stability_median,omitempty"`
	StabilityLo float64  `json:"stability_min,omitempty"`
	Silhouette  float64  `json:"silhouette,omitempty"`

	Weeks    float64 `json:"calibration_weeks,omitempty"`
	Ahead    float64 `json:"holdout_weeks,omitempty"`
	MAE      float64 `json:"mae,omitempty"`
	RMSE     float64 `json:"rmse,omitempty"`
	Total    float64 `json:"forecast_over_actual,omitempty"`
	AUC      float64 `json:"auc,omitempty"` // of who orders in the holdout at all
	R        float64 `json:"r,omitempty"`
	Alpha    float64 `json:"alpha,omitempty"` // in weeks
	A        float64 `json:"a,omitempty"`
	B        float64 `json:"b,omitempty"`
	LogLikes float64 `json:"log_likelihood,omitempty"`
}

// EvaluateProfile measures all methods that a data set is fit for.
func EvaluateProfile(s *ProfileSet, o ProfileOptions) ([]ProfileResult, error) {
	o = o.withDefaults()
	var all []ProfileResult
	if len(s.Rows) > 0 {
		if len(s.Rows) < 10*o.Groups {
			return nil, fmt.Errorf("%w: %d rows for %d groups, at least ten each", ErrProfileData, len(s.Rows), o.Groups)
		}
		all = append(all, evaluateAxes(s, o)...)
		all = append(all, evaluateGroups(s, o)...)
	}
	if len(s.Orders) > 0 {
		r, err := evaluateLifetimes(s, o)
		if err != nil {
			return nil, err
		}
		all = append(all, r...)
		all = append(all, evaluateDays(s, o))
	}
	for i := range all {
		all[i].Name = s.Name
	}
	return all, nil
}

// shuffled answers the rows in another order, which is that of the file for n = 0.
func shuffled(rows [][]float64, n int, seed uint64) [][]float64 {
	rows = slices.Clone(rows)
	if n > 0 {
		rng := rand.New(rand.NewPCG(seed, uint64(n))) //nolint:gosec // chance, no secret
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	}
	return rows
}

func median(xs []float64) float64 {
	xs = slices.Sorted(slices.Values(xs))
	if len(xs) == 0 {
		return 0
	}
	return (xs[(len(xs)-1)/2] + xs[len(xs)/2]) / 2
}

// standardised is the table with each feature divided by its standard deviation, unless
// all numbers are from 0 to 1: those are shares, of one kind, and compared as they stand.
func standardised(rows [][]float64) (out [][]float64, areShares bool) {
	areShares = true
	var m profile.Moments
	for _, x := range rows {
		for _, v := range x {
			areShares = areShares && v >= 0 && v <= 1
		}
		m.Add(x, 0, 0)
	}
	if areShares {
		return rows, true
	}
	for _, x := range rows {
		out = append(out, m.Standard(nil, x))
	}
	return out, false
}

func evaluateAxes(s *ProfileSet, o ProfileOptions) []ProfileResult {
	rows, _ := standardised(s.Rows)
	k := min(o.Axes, len(rows[0]))
	best := profile.NewDirections(profile.MaxRows)
	for _, x := range rows {
		best.Add(x, 0, 0)
	}
	optimum := best.Axes(k)
	var all []ProfileResult
	measure := func(method string, run func(rows [][]float64) profile.Axes) {
		begin := time.Now()
		first := capturedBy(rows, run(rows), optimum)
		seconds := time.Since(begin).Seconds()
		var rest []float64
		for n := 1; n <= o.Shuffles; n++ {
			rest = append(rest, capturedBy(rows, run(shuffled(rows, n, o.Seed)), optimum))
		}
		all = append(all, ProfileResult{
			Method: method, Rows: len(rows), Seconds: seconds, Components: k, Explained: optimum.Explained(),
			Captured: first, CapturedMd: median(rest), CapturedLo: slices.Min(append(rest, first)),
		})
	}
	measure("ccipca", func(rows [][]float64) profile.Axes {
		c := profile.NewCCIPCA(k)
		for _, x := range rows {
			c.Add(x)
		}
		return c.Axes()
	})
	for _, size := range []int{k + 1, k + 5, 4 * k} {
		for _, parts := range []int{1, 4} {
			measure(fmt.Sprintf("frequent directions, %d rows, %d parts", size, parts), func(rows [][]float64) profile.Axes {
				return sketchOf(rows, size, parts).Axes(k)
			})
		}
	}
	return all
}

// sketchOf sketches the rows in a number of parts, as workers would, and merges them.
func sketchOf(rows [][]float64, size, parts int) *profile.Directions {
	of := make([]*profile.Directions, parts)
	for i := range of {
		of[i] = profile.NewDirections(size)
	}
	for i, x := range rows {
		of[i%parts].Add(x, 0, 0)
	}
	for _, p := range of[1:] {
		of[0].Merge(p)
	}
	return of[0]
}

// capturedBy is the variance of the rows in the space of the axes over what the optimum
// holds. The axes are made orthogonal first, so that none counts twice.
func capturedBy(rows [][]float64, a, optimum profile.Axes) float64 {
	var basis [][]float64
	for _, v := range a.Vectors {
		u := slices.Clone(v)
		for _, b := range basis {
			d := inner(u, b)
			for i := range u {
				u[i] -= d * b[i]
			}
		}
		l := math.Sqrt(inner(u, u))
		if l < 1e-9 {
			continue
		}
		for i := range u {
			u[i] /= l
		}
		basis = append(basis, u)
	}
	held := 0.0
	at := make([]float64, len(optimum.Mean))
	for _, x := range rows {
		for i := range at {
			at[i] = x[i] - optimum.Mean[i]
		}
		for _, b := range basis {
			d := inner(at, b)
			held += d * d
		}
	}
	want := 0.0
	for _, v := range optimum.Values {
		want += v
	}
	return held / float64(len(rows)) / want
}

func inner(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// batchRuns is how many batch runs the best is taken of.
const batchRuns = 20

func evaluateGroups(s *ProfileSet, o ProfileOptions) []ProfileResult {
	rows, areShares := standardised(s.Rows)
	best := math.Inf(1)
	begin := time.Now()
	var runs []float64
	for n := range uint64(batchRuns) {
		centres, _ := profile.KMeans(rows, o.Groups, 1, o.Seed+n)
		e := profile.SquaredError(rows, centres)
		runs = append(runs, e)
		best = min(best, e)
	}
	for i := range runs {
		runs[i] /= best
	}
	batch := ProfileResult{
		Method: "batch k-means, one run", Rows: len(rows), K: o.Groups, Seconds: time.Since(begin).Seconds() / batchRuns,
		SSE: runs[0], SSEMedian: median(runs), SSEWorst: slices.Max(runs),
	}
	all := []ProfileResult{batch}
	measure := func(method string, run func(rows [][]float64) [][]float64) *ProfileResult {
		begin := time.Now()
		first := profile.SquaredError(rows, run(rows)) / best
		seconds := time.Since(begin).Seconds()
		rest := []float64{}
		for n := 1; n <= o.Shuffles; n++ {
			rest = append(rest, profile.SquaredError(rows, run(shuffled(rows, n, o.Seed)))/best)
		}
		all = append(all, ProfileResult{
			Method: method, Rows: len(rows), K: o.Groups, Seconds: seconds, SSE: first, SSEMedian: median(rest), SSEWorst: slices.Max(append(rest, first)),
		})
		return &all[len(all)-1]
	}
	online := func(half time.Duration) func(rows [][]float64) [][]float64 {
		return func(rows [][]float64) [][]float64 {
			c := profile.NewClusters(profile.ClusterOptions{K: o.Groups, Raw: true, HalfLife: half, Seed: o.Seed})
			for i, x := range rows {
				c.Add(x, int64(i)*time.Minute.Milliseconds())
			}
			return centres(c)
		}
	}
	stable := measure("online k-means", online(0))
	describe(stable, s, o, areShares)
	measure("online k-means, half-life 690 rows", online(690*time.Minute)) // .999 a row
	measure("constant step .5 (must fail)", func(rows [][]float64) [][]float64 {
		warm := min(max(25*o.Groups, 200), len(rows))
		at, _ := profile.KMeans(rows[:warm], o.Groups, 1, o.Seed)
		for _, x := range rows[warm:] {
			c := at[nearest(at, x)]
			for j := range c {
				c[j] += .5 * (x[j] - c[j])
			}
		}
		return at
	})
	return all
}

func centres(c *profile.Clusters) [][]float64 {
	all := make([][]float64, len(c.All))
	for i := range c.All {
		all[i] = c.All[i].Centre
	}
	return all
}

func nearest(centres [][]float64, x []float64) int {
	best, least := 0, math.Inf(1)
	for i, c := range centres {
		d := 0.0
		for j := range c {
			d += (c[j] - x[j]) * (c[j] - x[j])
		}
		if d < least {
			best, least = i, d
		}
	}
	return best
}

// describe names the groups and measures how they hold from one tenth of the table to the
// next, with the features as they are: the groups divide them by their own deviations.
func describe(r *ProfileResult, s *ProfileSet, o ProfileOptions, areShares bool) {
	c := profile.NewClusters(profile.ClusterOptions{K: o.Groups, Raw: areShares, Seed: o.Seed})
	var w watcher
	for i, x := range s.Rows {
		c.Add(x, 0)
		w.watch.Add(x)
		if (i+1)%max(len(s.Rows)/10, 1) == 0 {
			w.turn(c)
		}
	}
	r.Clusters = c.Names(s.Features)
	w.report(r)
}

// watcher gathers how steady groups are.
type watcher struct {
	watch       profile.Watch
	rand, apart []float64
}

func (w *watcher) turn(c *profile.Clusters) {
	if s, ok := w.watch.Turn(c); ok {
		w.rand = append(w.rand, s.Rand)
		w.apart = append(w.apart, s.Silhouette)
	}
}

func (w *watcher) report(r *ProfileResult) {
	if r.Periods = len(w.rand); r.Periods > 0 {
		r.Stability, r.StabilityLo, r.Silhouette = median(w.rand), slices.Min(w.rand), median(w.apart)
	}
}
