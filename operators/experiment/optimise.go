package experiment

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"millrace/operators/event"
)

// The ways of sharing traffic by what came back.
const (
	Thompson       = "thompson"        // by the chance that an arm is the best one
	TopTwoThompson = "top-two"         // the same, with half of the draws for the runner-up
	UpperBound     = "linucb"          // the arm whose line over the features may be highest
	LinearSampling = "linear-thompson" // by the chance that its line is highest at the features
)

// Optimise says how the shares of an experiment follow what came back. It is not changed
// while it is used.
type Optimise struct {
	By    string        // Thompson, TopTwoThompson, UpperBound or LinearSampling
	Floor float64       // least share of a variant; 0 means .05, or half of an equal share
	Every time.Duration // least time between two beliefs, in event time; 0 means an hour
	Least int64         // matured units of all variants before shares move; 0 means 100
	Alpha float64       // width of the bound of UpperBound, in deviations; 0 means 1
	Noise float64       // of LinearSampling: deviations of a reward count so many times; 0 means 1
	Ridge float64       // of the lines; 0 means 1
}

func (o Optimise) withDefaults(variants int) Optimise {
	if o.Floor <= 0 {
		o.Floor = math.Min(0.05, 0.5/float64(variants)) // weights stay below 20, and what was wrong can be found out
	}
	o.Every = cmp.Or(o.Every, time.Hour)  // rewards are delayed by days: more often changes nothing
	o.Least = cmp.Or(o.Least, int64(100)) // a handful of orders is no belief
	o.Alpha = cmp.Or(o.Alpha, 1.0)        // as in the cases of the literature
	o.Noise = cmp.Or(o.Noise, 1.0)        // the deviations that are seen
	o.Ridge = cmp.Or(o.Ridge, 1.0)        // one unit's worth of doubt for each feature
	return o
}

// Contextual tells whether features count.
func (o *Optimise) Contextual() bool {
	return o != nil && (o.By == UpperBound || o.By == LinearSampling)
}

// check tells what is wrong.
func (o *Optimise) check(variants int) error {
	if !slices.Contains([]string{Thompson, TopTwoThompson, UpperBound, LinearSampling}, o.By) {
		return fmt.Errorf("optimise by %q: want %s, %s, %s or %s", o.By, Thompson, TopTwoThompson, UpperBound, LinearSampling)
	}
	if variants < 2 {
		return fmt.Errorf("optimise by %s: there is only one variant", o.By)
	}
	if !(o.Floor >= 0) || o.Floor*float64(variants) > 1 {
		return fmt.Errorf("a floor of %v for each of %d variants is more than there is", o.Floor, variants)
	}
	return nil
}

// Belief is what the matured units say, to be told to all who assign. nil while there are
// too few of them, or when nothing new is known.
func (l *Learning) belief(r *Running, watermark int64) *event.Steer {
	if r.Optimise == nil || len(l.Arms) < len(r.Variants) {
		return nil
	}
	o := r.optimise
	n := int64(0)
	for arm := range r.Variants {
		n += l.Arms[arm].Plain.N
	}
	if n < o.Least || l.Units == l.Told || l.Serial > 0 && watermark < l.At+o.Every.Milliseconds() {
		return nil
	}
	s := &event.Steer{Experiment: r.key, Kind: event.SteerShares, Serial: l.Serial + 1, At: watermark}
	if o.Contextual() {
		s.Lines = l.lines(r)
	}
	if s.Lines == nil {
		s.Shares = l.shares(r)
	}
	if !tellable(s) {
		return nil
	}
	l.Serial, l.Told, l.At = s.Serial, l.Units, watermark
	return s
}

// tellable tells whether a belief says anything that can be told.
func tellable(s *event.Steer) bool {
	ok := len(s.Shares)+len(s.Lines) > 0
	look := func(all []float64) {
		for _, x := range all {
			ok = ok && !math.IsNaN(x) && !math.IsInf(x, 0)
		}
	}
	look(s.Shares)
	for i := range s.Lines {
		look(s.Lines[i].Mean)
		look(s.Lines[i].Cov)
	}
	return ok
}

// shares are the chances of the variants to be best, of which top-two makes its own.
func (l *Learning) shares(r *Running) []float64 {
	var w []float64
	if r.Metrics[r.Goal].Kind == Share {
		beliefs := make([]Beta, len(r.Variants))
		for arm := range beliefs {
			m := &l.Arms[arm].Plain
			n, k := float64(m.N), m.Sums[Value].Float()
			if k < 0 || k > n {
				return nil
			}
			beliefs[arm] = Beta{1 + k, 1 + n - k}
		}
		w = BestBetas(beliefs)
	} else {
		w = BestChances(l.gaussians(len(r.Variants)))
	}
	if r.optimise.By == TopTwoThompson {
		w = TopTwo(w, 0.5)
	}
	return w
}

// gaussians are beliefs about the mean rewards: as seen, with the variance of all variants
// together for ten units more, so that an arm of which little is known is not sure of it.
func (l *Learning) gaussians(n int) []Gaussian {
	var all Moments
	for arm := range n {
		all.Merge(&l.Arms[arm].Plain)
	}
	pooled := all.Joint()
	out := make([]Gaussian, n)
	const prior = 10
	for arm := range out {
		j := l.Arms[arm].Plain.Joint()
		units := j.N + prior
		mean := (j.N*j.Mean[Value] + prior*pooled.Mean[Value]) / units
		variance := (j.N*j.Cov[Value][Value] + prior*pooled.Cov[Value][Value]) / units
		out[arm] = Gaussian{mean, math.Sqrt(variance / units)}
	}
	return out
}

// lines are the beliefs about the variants' rewards over the features; nil while none can
// be solved.
func (l *Learning) lines(r *Running) []event.Line {
	out := make([]event.Line, len(r.Variants))
	for arm := range out {
		m, err := l.Arms[arm].Linear(r.optimise.Ridge)
		if err != nil || len(l.Arms[arm].XY) == 0 {
			return nil
		}
		line, err := m.belief()
		if err != nil {
			return nil
		}
		out[arm] = line
	}
	for i := range out {
		if len(out[i].Mean) != len(out[0].Mean) {
			return nil
		}
	}
	return out
}

// belief is the regression's posterior with the noise that is seen about the line.
func (l *Linear) belief() (event.Line, error) {
	theta, err := l.Fit()
	if err != nil {
		return event.Line{}, err
	}
	fit, d := 0.0, l.Features
	for i := range d {
		fit += theta[i] * l.XY[i]
	}
	noise := math.Max(l.YY-fit, 1e-9) / math.Max(1, l.N-float64(d))
	out := event.Line{Mean: slices.Clone(theta), Cov: make([]float64, 0, d*(d+1)/2)}
	unit := make([]float64, d)
	for i := range d {
		unit[i] = 1
		if _, err := l.Predict(unit); err != nil { // leaves the column of the inverse behind
			return event.Line{}, err
		}
		unit[i] = 0
		for k := i; k < d; k++ {
			out.Cov = append(out.Cov, noise*l.scrape[k])
		}
	}
	return out, nil
}

// at64 is what a line says of a person.
func at64(line *event.Line, x []int64) Gaussian {
	d := len(line.Mean)
	value := func(i int) float64 {
		if i < len(x) {
			return float64(x[i]) / FeatureScale
		}
		return 0
	}
	mean, spread, at := 0.0, 0.0, 0
	for i := range d {
		mean += line.Mean[i] * value(i)
		for k := i; k < d; k++ {
			v := line.Cov[at] * value(i) * value(k)
			if k > i {
				v *= 2
			}
			spread += v
			at++
		}
	}
	return Gaussian{mean, math.Sqrt(math.Max(0, spread))}
}

// Steered is what stands in the log for one experiment: the optimiser's belief, what a
// person decided, what guardrails stopped. The zero value leaves the plan alone.
type Steered struct {
	Key    string
	Serial uint64
	Shares []float64
	Lines  []event.Line
	Pinned string
	Frozen bool
	Caps   []Cap
	Stops  Stops
}

// Cap is the most that a variant may get.
type Cap struct {
	Variant string
	Share   float64
}

// hear takes a word. It answers whether it changed anything.
func (s *Steered) hear(w *event.Steer) bool {
	switch w.Kind {
	case event.SteerShares:
		if s.Frozen || w.Serial <= s.Serial {
			return false
		}
		s.Serial, s.Shares, s.Lines = w.Serial, slices.Clone(w.Shares), w.Lines
	case event.SteerPin:
		s.Pinned = w.Variant
	case event.SteerCap:
		s.Caps = slices.DeleteFunc(s.Caps, func(c Cap) bool { return c.Variant == w.Variant })
		if w.Share < 1 && len(s.Caps) < ArmsMax {
			s.Caps = append(s.Caps, Cap{w.Variant, w.Share})
			slices.SortFunc(s.Caps, func(a, b Cap) int { return cmp.Compare(a.Variant, b.Variant) })
		}
	case event.SteerFreeze:
		s.Frozen = true
	case event.SteerUnfreeze:
		s.Frozen, s.Pinned, s.Caps = false, "", nil
	case event.SteerStop:
		return s.Stops.add(w.Variant, w.Reason)
	}
	return true
}

// weights are the shares of the variants for a unit with these features, by which it is
// assigned and which are logged; nil leaves those of the plan.
func (r *Running) weights(s *Steered, features []int64) []float64 {
	n := len(r.Variants)
	if r.Optimise == nil && s.Pinned == "" && len(s.Caps) == 0 {
		return nil
	}
	w := make([]float64, n)
	for i, v := range r.Variants {
		w[i] = v.Weight
	}
	w = normalised(w)
	pinned := slices.IndexFunc(r.Variants, func(v Variant) bool { return v.Name == s.Pinned })
	floor := 0.0
	switch {
	case pinned >= 0:
		clear(w)
		w[pinned] = 1
		return w
	case r.Optimise == nil:
	case len(s.Lines) == n:
		floor, w = r.optimise.Floor, r.byLines(s.Lines, features)
	case len(s.Shares) == n:
		floor, w = r.optimise.Floor, slices.Clone(s.Shares)
	}
	stopped := 0
	for i, v := range r.Variants {
		if s.Stops.Arm(v.Name) && r.Optimise != nil {
			w[i] = 0
			stopped++
		}
	}
	if stopped == n {
		return nil
	}
	w = normalised(w)
	if floor > 0 {
		for i := range w {
			if !s.Stops.Arm(r.Variants[i].Name) {
				w[i] = floor + (1-float64(n-stopped)*floor)*w[i]
			}
		}
	}
	caps := make(map[int]float64)
	for _, c := range s.Caps {
		if i := slices.IndexFunc(r.Variants, func(v Variant) bool { return v.Name == c.Variant }); i >= 0 {
			caps[i] = c.Share
		}
	}
	if len(caps) == 0 {
		return w
	}
	return normalised(capped(w, caps))
}

// byLines are the shares at a unit's features.
func (r *Running) byLines(lines []event.Line, features []int64) []float64 {
	beliefs := make([]Gaussian, len(lines))
	for i := range lines {
		beliefs[i] = at64(&lines[i], features)
		beliefs[i].SD *= r.optimise.Noise
	}
	if r.optimise.By == LinearSampling {
		return BestChances(beliefs)
	}
	w, best := make([]float64, len(lines)), 0
	for i, g := range beliefs {
		if g.Mean+r.optimise.Alpha*g.SD > beliefs[best].Mean+r.optimise.Alpha*beliefs[best].SD {
			best = i
		}
	}
	w[best] = 1
	return w
}
