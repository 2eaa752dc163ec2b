package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/state"
)

// EffectStop is the kind of the effects that ask to stop an arm: the body is an
// event.Stop as JSON. Whoever carries it out puts it into the log, so that a replay
// decides the same.
const EffectStop = "experiment-stop"

// Move is what the person stage tells an experiment: what a unit added before something
// happened, and what it adds after.
type Move struct {
	Arm           int
	Before, After []Values // by metric; nil: it was, or is, not counted
	At            int64    // of the exposure; 0 where there is none
	Batch         *Tally   // sums of many units at once, instead
	Late, TooMany uint64   // outcomes that could not be counted
}

// Desk is where persons enter experiments: it assigns, exposes, and joins what they do
// with the exposure. It works in the person stage, on behalf of operators there.
type Desk struct {
	Cell    *state.Cell[Enrolments, *Enrolments]
	stops   *state.Cell[Stops, *Stops]
	running map[string]*Running // by pipeline
	byKey   map[string]*Running
	totals  *engine.Stage[*Move]
}

// NewDesk makes a desk for the experiments of pipelines; it sends to the experiment stage.
func NewDesk(running map[string]*Running, stops *Stopper, totals *engine.Stage[*Move], cacheMax int) *Desk {
	d := &Desk{
		Cell: state.NewPackedCell[Enrolments]("person/experiment", cacheMax, nil), stops: stops.Cell, running: running,
		byKey: make(map[string]*Running), totals: totals,
	}
	for _, r := range running {
		d.byKey[r.Key()] = r
	}
	return d
}

// Enrol assigns the person of a decision that is about to be made, which the exposure is,
// and notes it in the decision. It answers why no mail may be sent, or "". past are the
// orders that were read before the decision and happened after it.
func (d *Desk) Enrol(c *engine.Ctx, dec *event.Decision, past []Outcome) string {
	r := d.running[dec.Pipeline]
	if r == nil {
		return ""
	}
	person := c.Key()
	in := engine.ValueOf(c, d.Cell, person)
	p := r.Place(person, in.variant(r))
	stops := engine.ValueOf(c, d.stops, r.Key())
	if stops.All != "" {
		return ReasonStopped + ": " + stops.All
	}
	dec.Experiment, dec.Variant, dec.Propensity = r.Name, p.Variant, p.Propensity
	if p.Arm >= 0 && stops.Arm(p.Variant) {
		dec.Variant, dec.Propensity = r.Fallback, 0 // it gets what the others get and counts no more
		return ""
	}
	if p.Arm >= 0 {
		d.expose(c, r, in, p, dec, past)
	}
	if p.Held {
		dec.WouldSend = true
		return ReasonHoldout
	}
	return ""
}

// Why a decision ends without a mail.
const (
	ReasonHoldout = "holdout"
	ReasonStopped = "stopped by a guardrail"
)

func (d *Desk) expose(c *engine.Ctx, r *Running, in *Enrolments, p Placement, dec *event.Decision, past []Outcome) {
	e := in.Find(r.Key())
	if e == nil {
		if in.variant(r) != "" {
			return // of an earlier phase: it keeps its variant and is not counted in this one
		}
		e = in.add(r.Key(), p.Variant, func(e *Enrolment) bool { return d.over(e, dec.Decided) })
		if e == nil {
			engine.ChangedOf(c, d.Cell, c.Key())
			return
		}
	}
	hash := Hash("decision", dec.ID)
	e.mail(hash)
	d.change(c, r, e, func(u *Unit) error {
		u.Expose(Exposure{ID: hash, Arm: p.Arm, At: dec.Decided, Propensity: p.Propensity})
		for _, o := range past {
			if err := u.Note(o); err != nil {
				return err
			}
		}
		return nil
	})
}

// over tells whether nothing more is to be known of an enrolment.
func (d *Desk) over(e *Enrolment, now int64) bool {
	r := d.byKey[e.Key]
	return r == nil || now > e.Unit.At+r.span()
}

// Observe joins an outcome with the person's exposures: one about a mail with the
// experiment that sent it, others with all. decision is the mail, "" for none.
func (d *Desk) Observe(c *engine.Ctx, decision string, o Outcome) {
	in := engine.Value(c, d.Cell)
	for i := range in.List {
		e := &in.List[i]
		r := d.byKey[e.Key]
		if r == nil || decision != "" && !e.sent(Hash("decision", decision)) {
			continue
		}
		d.change(c, r, e, func(u *Unit) error {
			if o.Gone {
				return u.Retract(o.ID)
			}
			return u.Note(o)
		})
	}
}

// change lets something happen to a unit and tells the experiment what came of it.
func (d *Desk) change(c *engine.Ctx, r *Running, e *Enrolment, happens func(*Unit) error) {
	u := &e.Unit
	if u.Exposed && u.Closed == nil && c.Watermark() > u.At+r.span() {
		u.Close(r.Metrics)
	}
	m := &Move{Arm: -1}
	before := r.values(u, nil)
	switch err := happens(u); {
	case errors.Is(err, ErrLate):
		m.Late = 1
	case err != nil:
		m.TooMany = 1
	}
	after := r.values(u, nil)
	m.Arm, m.Before, m.After = u.Arm, before, after
	if before == nil && after != nil {
		m.At = u.At
	}
	engine.ChangedOf(c, d.Cell, c.Key())
	d.totals.Send(c, r.Key(), m)
}

// values is what a unit adds to each metric, behind dst; nil if it does not count.
func (r *Running) values(u *Unit, dst []Values) []Values {
	if !u.Exposed || u.Crossed || u.Arm < 0 || u.Arm >= len(r.arms) {
		return nil
	}
	for i := range r.Metrics {
		dst = append(dst, u.Values(i, &r.Metrics[i]))
	}
	return dst
}

// sent tells whether a mail is one of the enrolment's.
func (e *Enrolment) sent(hash uint64) bool { return slices.Contains(e.Mails, hash) }

// Hash is the identity of an outcome or a decision.
func Hash(kind, id string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s", kind, id)
	return h.Sum64()
}

// Totals is the operator of the experiment stage: it keeps what came of each experiment,
// and asks for the arms to be stopped that do harm.
type Totals struct {
	Cell  *state.Cell[Progress, *Progress]
	byKey map[string]*Running
}

// NewTotals makes the operator.
func NewTotals(running map[string]*Running) *Totals {
	t := &Totals{Cell: state.NewCell[Progress]("experiment/progress", 0), byKey: make(map[string]*Running)}
	for _, r := range running {
		t.byKey[r.Key()] = r
	}
	return t
}

// Process implements engine.Operator.
func (t *Totals) Process(c *engine.Ctx, m *Move) {
	r := t.byKey[c.Key()]
	if r == nil {
		return
	}
	p := engine.Value(c, t.Cell)
	stopped, err := p.Take(r, m, c.Watermark())
	if err != nil {
		c.Fail(fmt.Errorf("count in experiment %s: %w", r.Name, err))
		return
	}
	engine.Changed(c, t.Cell)
	if r.NeverStops {
		return
	}
	for _, arm := range stopped {
		a := p.Alerts[arm]
		s := event.Stop{Experiment: c.Key(), Variant: r.arms[arm], Metric: a.Metric, Reason: a.Reason, At: a.At}
		if arm == r.Arm(r.Fallback) {
			s.Variant = "" // nothing is left to fall back to
		}
		body, err := json.Marshal(s)
		if err != nil {
			c.Fail(fmt.Errorf("encode stop: %w", err))
			return
		}
		c.Effect(EffectStop, s.Experiment, body)
	}
}

// Stops are what was stopped of an experiment.
type Stops struct {
	All  string   // why the whole journey was, or ""
	Arms []string // variants that were
}

// Arm tells whether a variant was stopped.
func (s *Stops) Arm(name string) bool { return slices.Contains(s.Arms, name) }

// AppendTo appends the stored form.
func (s *Stops) AppendTo(b []byte) []byte {
	b = appendText(append(b, 1), s.All)
	b = append(b, byte(len(s.Arms))) //nolint:gosec // at most ArmsMax
	for _, a := range s.Arms {
		b = appendText(b, a)
	}
	return b
}

// DecodeFrom reads the stored form.
func (s *Stops) DecodeFrom(b []byte) error {
	*s = Stops{}
	r := reader{b: b}
	r.schema(1)
	s.All = r.text()
	for range r.byte() {
		s.Arms = append(s.Arms, r.text())
	}
	if err := r.end(); err != nil {
		*s = Stops{}
		return err
	}
	return nil
}

// Stopper is the operator that remembers the stops that stand in the log.
type Stopper struct {
	Cell *state.Cell[Stops, *Stops]
}

// NewStopper makes the operator.
func NewStopper() *Stopper {
	cell := state.NewCell[Stops]("stop/experiment", 0)
	cell.Share(func(string) bool { return true })
	return &Stopper{Cell: cell}
}

// Process implements engine.Operator.
func (s *Stopper) Process(c *engine.Ctx, v *event.Stop) {
	known := engine.Value(c, s.Cell)
	switch {
	case v.Variant == "" && known.All == "":
		known.All = v.Metric
	case v.Variant != "" && !known.Arm(v.Variant) && len(known.Arms) < ArmsMax:
		known.Arms = append(known.Arms, v.Variant)
	default:
		return
	}
	engine.Changed(c, s.Cell)
}
