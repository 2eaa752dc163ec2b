package experiment

import (
	"math"
	"strings"
)

// Figures are what may be known of a running experiment at one moment: complete in
// itself, and the same for the page, the stream and the metrics.
type Figures struct {
	Experiment string  `json:"experiment"`
	Phase      string  `json:"phase"`
	Watermark  int64   `json:"watermark"` // Unix milliseconds of event time
	Epoch      uint64  `json:"epoch"`     // of the engine's state that was counted
	Goal       string  `json:"goal"`
	Baseline   string  `json:"baseline"`
	Alpha      float64 `json:"alpha"`
	Looks      uint64  `json:"looks"`
	SharesP    float64 `json:"shares_p"` // any-time p-value that units arrive as planned
	Days       float64 `json:"days"`
	Stopped    string  `json:"stopped,omitempty"` // why the whole journey was
	Late       uint64  `json:"late_dropped"`
	TooMany    uint64  `json:"too_many_dropped"`
	Arms       []Arm   `json:"arms"`
}

// Arm is one variant, or the holdout.
type Arm struct {
	Name    string   `json:"variant"`
	Share   float64  `json:"share"` // as planned
	Units   int64    `json:"units"`
	Verdict Verdict  `json:"verdict"`
	Stopped string   `json:"stopped,omitempty"` // by which guardrail, and why
	P       float64  `json:"p"`                 // least any-time p-value of the goal so far
	Metrics []Figure `json:"metrics"`
	// Incremental is what its mails brought beyond the holdout, beside what is credited to
	// them; nil where nobody is held out.
	Incremental *Lift `json:"incremental,omitempty"`
}

// Figure is an arm on one metric. Effect and interval are the difference from the
// baseline, valid at any time; null while they cannot be told.
type Figure struct {
	Name   string   `json:"metric"`
	Sum    int64    `json:"sum"`  // units, or money in the smallest unit
	Mean   float64  `json:"mean"` // per unit
	Effect *float64 `json:"effect"`
	Lo     *float64 `json:"lo"`
	Hi     *float64 `json:"hi"`
}

// Metric is the figure of a metric, or nil.
func (a *Arm) Metric(name string) *Figure {
	for i := range a.Metrics {
		if a.Metrics[i].Name == name {
			return &a.Metrics[i]
		}
	}
	return nil
}

// Figures computes the figures as of a watermark. stops are what stands in the log.
func (p *Progress) Figures(r *Running, stops *Stops, watermark int64, epoch uint64) Figures {
	p.begin(r)
	base := r.Baseline()
	_, phase, _ := strings.Cut(r.key, "@")
	f := Figures{
		Experiment: r.Name, Phase: phase, Watermark: watermark, Epoch: epoch, Goal: r.Metrics[r.Goal].Name,
		Baseline: r.arms[base], Alpha: r.Alpha, Looks: p.Looks, SharesP: p.SRM, Stopped: stops.All,
		Late: p.Late, TooMany: p.TooMany, Arms: make([]Arm, len(r.arms)),
	}
	if p.First > 0 && watermark > p.First {
		f.Days = float64(watermark-p.First) / (24 * 3600 * 1000)
	}
	for arm := range r.arms {
		a := Arm{Name: r.arms[arm], Share: r.shares[arm], Units: p.Units(arm), P: p.Least[arm], Metrics: make([]Figure, len(r.Metrics))}
		if stop := p.Alerts[arm]; stop.Metric != "" {
			a.Stopped = stop.Metric + ": " + stop.Reason
		}
		if a.Stopped == "" && stops.Arm(a.Name) {
			a.Stopped = "by the log"
		}
		for i := range r.Metrics {
			a.Metrics[i] = p.figure(r, arm, base, i)
		}
		a.Verdict = p.verdict(r, &f, &a, arm, base)
		f.Arms[arm] = a
	}
	for _, l := range p.lift(r) {
		f.Arms[r.Arm(l.Variant)].Incremental = &l
	}
	return f
}

func (p *Progress) figure(r *Running, arm, base, metric int) Figure {
	c := p.Tally.Cell(arm, metric)
	out := Figure{Name: r.Metrics[metric].Name, Sum: int64(c.Sums[Value].Lo)} //nolint:gosec // see AmountMax
	if c.N > 0 {
		out.Mean = c.Sums[Value].Float() / float64(c.N)
	}
	if arm == base {
		return out
	}
	e, err := p.Effect(r, arm, base, metric, false)
	if err != nil {
		return out
	}
	t := e.Sequence(r.alphaEach(), r.TuningN)
	for _, x := range [...]struct {
		to   **float64
		from float64
	}{{&out.Effect, t.Effect}, {&out.Lo, t.CI.Lo}, {&out.Hi, t.CI.Hi}} {
		if !math.IsNaN(x.from) && !math.IsInf(x.from, 0) {
			*x.to = &x.from
		}
	}
	return out
}

// alphaEach is the level of one comparison: Bonferroni over the arms, which holds whatever
// they have in common.
func (r *Running) alphaEach() float64 { return r.Alpha / float64(max(1, len(r.arms)-1)) }

// verdict is what may be done with an arm.
func (p *Progress) verdict(r *Running, f *Figures, a *Arm, arm, base int) Verdict {
	e := Evidence{SRM: p.SRM, Stopped: a.Stopped != "", Days: f.Days, Alpha: r.alphaEach(), Goal: Test{P: 1}}
	if arm != base {
		e.Goal.P = a.P
		if g := a.Metrics[r.Goal]; g.Effect != nil {
			e.Goal.Effect = *g.Effect
		}
		for _, i := range r.harms {
			if m := &a.Metrics[i]; r.arms[base] != ArmHoldout && m.Lo != nil && *m.Lo > 0 {
				e.Worsening = true
			}
		}
	}
	v := e.Verdict()
	if a.Name == ArmHoldout && (v == Ship || v == Rollback) {
		return Collecting // nobody ships a holdout: its figures are those that the others are weighed by
	}
	return v
}
