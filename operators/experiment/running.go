package experiment

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"
)

// The outcomes that join an exposure.
const (
	OutcomeDelivered   = "delivered"
	OutcomeOpen        = "open"
	OutcomeClick       = "click"
	OutcomeOrder       = "order" // its amount is what the order is worth, net of what went back
	OutcomeUnsubscribe = "unsubscribe"
	OutcomeComplaint   = "complaint"
	OutcomeBounce      = "bounce"
	OutcomeSent        = "sent" // a mail left; its exposure was the decision
	OutcomeTone        = "tone" // of a reply: its amount is the tone in thousandths, below zero for an angry one
	// What no metric counts and attribution needs: clicks that were a scanner's, and clicks
	// on, and decisions about, mails of other experiments.
	OutcomeScan          = "scan"
	OutcomeElsewhere     = "click-elsewhere"
	OutcomeSentElsewhere = "sent-elsewhere"
)

// The metrics that rest on more than one outcome.
const (
	MetricMails             = "mails"         // mails a person
	MetricClickToOpen       = "click_to_open" // of those who opened
	MetricRevenuePerMail    = "revenue_per_mail"
	MetricAttributed        = "attributed" // people with an order that is credited to a mail
	MetricAttributedRevenue = "attributed_revenue"
)

// MetricRevenue is the metric of the amounts of orders.
const MetricRevenue = "revenue"

// ArmHoldout is the arm of the units to whom nothing is sent.
const ArmHoldout = "holdout"

// ArmMail is the only arm of a journey without variants, beside the holdout.
const ArmMail = "mail"

// Running is an experiment as it runs: what is assigned, what is watched, what stops it. It
// is not changed while it is used.
type Running struct {
	Experiment                      // its variants, without the holdout
	Metrics    []Metric             // at most 64
	Goal       int                  // index of the metric that it is judged by
	Ceilings   map[string]float64   // by outcome: rate of harm that stops an arm whatever the control does
	NeverStops bool                 // guardrails are shown and stop nothing
	Alpha      float64              // of the goal, shared between the arms; 0 means .05
	TuningN    float64              // of the goal's sequence; 0 means TuningN
	Fallback   string               // the variant that stopped ones fall back to
	Optimise   *Optimise            // shares follow what came back; nil: they stay as planned
	Credit     Credit               // to which mail an order is credited
	Features   bool                 // units bring features, for lines and uplift
	AlarmTo    string               // webhook that is told of alarms, "": none
	optimise   Optimise             // with its defaults
	key        string               // name and phase
	arms       []string             // variants, then the holdout if there is one
	shares     []float64            // of the arms, as planned
	harms      []int                // indices of the metrics that guardrails watch
	guards     map[string]Guardrail // by metric
}

// DefaultWindow is how long after the first exposure an outcome counts when nothing is said.
const DefaultWindow = 5 * 24 * time.Hour

// harmWindow is that of unsubscribes, complaints and bounces: they come late.
const harmWindow = 7 * 24 * time.Hour

// Watch are the metrics of a journey's experiment: one for each outcome, and the revenue.
// windows may say how long each outcome counts.
func Watch(windows map[string]time.Duration) []Metric {
	window := func(name string, usual time.Duration) int64 {
		if w := windows[name]; w > 0 {
			return w.Milliseconds()
		}
		return usual.Milliseconds()
	}
	var out []Metric
	for _, name := range []string{OutcomeDelivered, OutcomeOpen, OutcomeClick, OutcomeOrder} {
		out = append(out, Metric{Name: name, Kind: Share, Outcome: name, Window: window(name, DefaultWindow)})
	}
	out = append(out, Metric{Name: MetricRevenue, Kind: Mean, Outcome: OutcomeOrder, Window: window(OutcomeOrder, DefaultWindow)})
	for _, name := range []string{OutcomeUnsubscribe, OutcomeComplaint, OutcomeBounce} {
		out = append(out, Metric{Name: name, Kind: Share, Outcome: name, Window: window(name, harmWindow)})
	}
	order := window(OutcomeOrder, DefaultWindow)
	return append(out,
		Metric{Name: OutcomeSent, Kind: Share, Outcome: OutcomeSent, Window: order},
		Metric{Name: MetricMails, Kind: Mean, Outcome: OutcomeSent, Window: order},
		Metric{Name: MetricClickToOpen, Kind: Ratio, Outcome: OutcomeClick, Per: OutcomeOpen, Once: true, Window: window(OutcomeClick, DefaultWindow)},
		Metric{Name: MetricRevenuePerMail, Kind: Ratio, Outcome: OutcomeOrder, Per: OutcomeSent, Window: order},
		Metric{Name: MetricAttributed, Kind: Share, Outcome: OutcomeOrder, Credited: true, Window: order},
		Metric{Name: MetricAttributedRevenue, Kind: Mean, Outcome: OutcomeOrder, Credited: true, Window: order},
		Metric{Name: OutcomeTone, Kind: Ratio, Outcome: OutcomeTone, Per: OutcomeTone, Counted: true, Window: window(OutcomeTone, DefaultWindow)},
	)
}

// Start checks an experiment and makes it ready.
func (r *Running) Start() error {
	if len(r.Variants) >= 2 {
		if err := r.Check(); err != nil {
			return err
		}
	} else if r.Name == "" || r.Seed == "" || len(r.Variants) != 1 {
		return fmt.Errorf("experiment %q needs a name, a seed, and a variant", r.Name)
	}
	if len(r.Metrics) == 0 || len(r.Metrics) > MetricsMax || r.Goal < 0 || r.Goal >= len(r.Metrics) {
		return fmt.Errorf("experiment %s: goal %d of %d metrics: want one of 1 to %d", r.Name, r.Goal, len(r.Metrics), MetricsMax)
	}
	if r.Alpha == 0 {
		r.Alpha = 0.05 // one false call in twenty experiments, however often one looks
	}
	if r.TuningN == 0 {
		r.TuningN = TuningN
	}
	if r.Fallback == "" {
		r.Fallback = r.Variants[0].Name
	}
	if r.Optimise != nil {
		r.optimise = r.Optimise.withDefaults(len(r.Variants))
		if err := r.optimise.check(len(r.Variants)); err != nil {
			return fmt.Errorf("experiment %s: %w", r.Name, err)
		}
		if r.Metrics[r.Goal].Kind == Ratio {
			return fmt.Errorf("experiment %s: a ratio cannot be optimised", r.Name)
		}
		r.Features = r.Features || r.Optimise.Contextual()
	}
	held := r.heldShare()
	r.arms, r.shares, r.harms, r.guards = nil, nil, nil, make(map[string]Guardrail)
	sum := 0.0
	for _, v := range r.Variants {
		sum += v.Weight
	}
	for _, v := range r.Variants {
		r.arms, r.shares = append(r.arms, v.Name), append(r.shares, v.Weight/sum*(1-held))
	}
	if held > 0 {
		r.arms, r.shares = append(r.arms, ArmHoldout), append(r.shares, held)
	}
	for i, m := range r.Metrics {
		switch m.Name {
		case OutcomeUnsubscribe, OutcomeComplaint, OutcomeBounce:
			r.harms = append(r.harms, i)
			r.guards[m.Name] = Guardrail{Ceiling: r.Ceilings[m.Name]}
		}
	}
	r.key = r.Name + "@" + r.phase()
	return nil
}

// phase names what the counts rest on. When it changes (a weight, a window, a seed) they
// start anew: units of different shares or windows cannot be added up.
func (r *Running) phase() string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %q %v %v", r.Seed, r.arms, r.shares, r.Version)
	for _, m := range r.Metrics {
		fmt.Fprintf(h, " %q %d %q %q %d %d %d %t %t %t", m.Name, m.Kind, m.Outcome, m.Per, m.Delay, m.Window, m.Cap, m.Once, m.Counted, m.Credited)
	}
	if r.Optimise != nil {
		fmt.Fprintf(h, " by %q", r.Optimise.By)
	}
	if r.Namespace != nil {
		fmt.Fprintf(h, " in %q", r.Namespace.Name) // its bounds may grow, and move nobody
	}
	fmt.Fprintf(h, " %v", r.Credit)
	return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, uint32(h.Sum64()))) //nolint:gosec // cut on purpose
}

// heldShare is the share of the units that at least one holdout holds.
func (r *Running) heldShare() float64 {
	free := 1.0
	for _, h := range r.Holdouts {
		free *= 1 - h.Share
	}
	return 1 - free
}

// Key names the experiment's counts: its name and phase.
func (r *Running) Key() string { return r.key }

// Arms are the variants and, last, the holdout if there is one.
func (r *Running) Arms() []string { return r.arms }

// Arm is the index of an arm by its name, or -1.
func (r *Running) Arm(name string) int { return slices.Index(r.arms, name) }

// Baseline is the arm that the others are compared with: the variant called control, else
// the first one; of a journey without variants the holdout.
func (r *Running) Baseline() int {
	if len(r.Variants) == 1 {
		return len(r.arms) - 1
	}
	return max(r.Arm("control"), 0)
}

// Held tells whether a holdout holds a unit.
func (r *Running) Held(unit string) bool {
	return slices.ContainsFunc(r.Holdouts, func(h Holdout) bool { return h.Holds(unit) })
}

// cohort is the length of the stretches of exposure time that mature together; 0: units
// teach at once.
func (r *Running) cohort() int64 {
	if r.Optimise == nil {
		return 0
	}
	return max(r.Metrics[r.Goal].Window/cohortsOfTime, 1)
}

// Place says where a unit stands: its arm by hash, or by the variant that it had before, and
// whether it counts. A unit outside of the coverage or the namespace has the fallback's
// content and counts nowhere; if it is held out it gets nothing all the same.
func (r *Running) Place(unit, before string) Placement { return r.PlaceBy(unit, before, nil) }

// PlaceBy is Place where the variants get other shares than planned; nil: they do not.
func (r *Running) PlaceBy(unit, before string, weights []float64) Placement {
	p := Placement{Arm: -1, Variant: r.Fallback}
	if r.Held(unit) {
		p.Variant, p.Held = ArmHoldout, true
		if (r.Coverage >= 1 || r.covers(unit)) && r.Namespace.Holds(unit) {
			p.Arm = r.Arm(ArmHoldout)
		}
	} else {
		var sticky *Sticky
		if i := r.Arm(before); i >= 0 && i < len(r.Variants) {
			sticky = &Sticky{Arm: i, Version: r.Version}
		}
		e := r.Experiment
		e.Holdouts = nil // asked above
		byHand := weights
		if r.Optimise == nil {
			byHand = nil // who takes part stays as planned
		}
		a := e.Assign(unit, sticky, byHand)
		if a.Reason == Assigned && byHand == nil && weights != nil {
			a.Arm, _ = pick(weights, Uniform(r.Seed, unit))
		}
		if a.Arm >= 0 {
			p.Arm, p.Variant = a.Arm, r.arms[a.Arm]
		}
	}
	switch {
	case p.Arm < 0:
	case weights != nil && !p.Held:
		p.Propensity = weights[p.Arm] * (1 - r.heldShare())
	default:
		p.Propensity = r.shares[p.Arm]
	}
	return p
}

// covers tells whether the experiment has grown to a unit.
func (r *Running) covers(unit string) bool {
	if r.Optimise != nil {
		return Bucket(r.Seed+":coverage", unit) < r.Coverage
	}
	return Bucket(r.Seed, unit) < r.Coverage
}

// Placement is where a unit stands in a running experiment.
type Placement struct {
	Arm        int // -1: it does not count
	Variant    string
	Propensity float64 // probability of the arm among the units that take part
	Held       bool    // nothing is sent to it
}

// closeAfter is how long after its last window a unit's outcomes are still taken:
// refunds, and events of phones that were offline.
const closeAfter = 30 * 24 * time.Hour

// span is how long after its exposure a unit is over.
func (r *Running) span() int64 {
	longest := int64(0)
	for _, m := range r.Metrics {
		if m.Window <= 0 {
			return math.MaxInt64 / 4
		}
		longest = max(longest, m.Window)
	}
	return longest + closeAfter.Milliseconds()
}
