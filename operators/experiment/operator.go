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

// The kinds of effects that ask for something to be put into the log, so that a replay
// decides the same, or to be told to people. The bodies are JSON.
const (
	EffectStop   = "experiment-stop"   // an event.Stop: an arm does harm
	EffectSteer  = "experiment-steer"  // an event.Steer: what the optimiser believes
	EffectNotice = "experiment-notice" // a Notice: what the owner is told
)

// Move is what the person stage tells an experiment: what a unit added before something
// happened, and what it adds after.
type Move struct {
	Arm           int
	Before, After []Values     // by metric; nil: it was, or is, not counted
	At            int64        // of the exposure; 0 where there is none
	Batch         *Tally       // sums of many units at once, instead
	Late, TooMany uint64       // outcomes that could not be counted
	Conflict      bool         // a person who became one with another had a different arm
	Steer         *event.Steer // a word that was heard, instead
	taught, teach learned
}

// Desk is where persons enter experiments: it assigns, exposes, and joins what they do
// with the exposure. It works in the person stage, on behalf of operators there. It holds
// nothing that changes, so that several workers may share it.
type Desk struct {
	Cell     *state.Cell[Enrolments, *Enrolments]
	Steering *state.Cell[Steering, *Steering] // by anchor, see Anchors
	anchors  []string
	running  map[string]*Running // by pipeline
	byKey    map[string]*Running
	totals   *engine.Stage[*Move]
}

// NewDesk makes a desk for the experiments of pipelines; it sends to the experiment stage.
func NewDesk(running map[string]*Running, totals *engine.Stage[*Move], cacheMax int) *Desk {
	d := &Desk{
		Cell: state.NewPackedCell[Enrolments]("person/experiment", cacheMax, nil), Steering: state.NewCell[Steering]("person/steering", 0),
		anchors: Anchors(), running: running, byKey: make(map[string]*Running), totals: totals,
	}
	for _, r := range running {
		d.byKey[r.Key()] = r
	}
	return d
}

// Tell sends a word to the desks of all key groups, by send, and to the experiment. send
// must lead to a call of Hear under the key in the stage of the desk.
func (d *Desk) Tell(c *engine.Ctx, w *event.Steer, send func(key string)) {
	if d.byKey[w.Experiment] == nil {
		return // of a phase that is over
	}
	for _, key := range d.anchors {
		send(key)
	}
	d.totals.Send(c, w.Experiment, &Move{Arm: -1, Steer: w})
}

// Hear notes a word for the key group whose anchor the current key is.
func (d *Desk) Hear(c *engine.Ctx, w *event.Steer) {
	if engine.Value(c, d.Steering).Hear(w, func(key string) bool { return d.byKey[key] != nil }) {
		engine.Changed(c, d.Steering)
	}
}

// Wants tells whether the experiment of a pipeline learns from features of its people.
func (d *Desk) Wants(pipeline string) bool {
	r := d.running[pipeline]
	return r != nil && r.Features
}

// Enrol assigns the person of a decision that is about to be made, which the exposure is,
// and notes it in the decision. It answers why no mail may be sent, or "". past are the
// orders that were read before the decision and happened after it; features are what is
// known of the person, see Feature, nil where the experiment does not want any.
func (d *Desk) Enrol(c *engine.Ctx, dec *event.Decision, past []Outcome, features []int64) string {
	d.elsewhere(c, dec)
	r := d.running[dec.Pipeline]
	if r == nil {
		return ""
	}
	person := c.Key()
	in := engine.ValueOf(c, d.Cell, person)
	steered := engine.ValueOf(c, d.Steering, d.anchors[state.Owner(person)]).Of(r.Key())
	p := r.PlaceBy(person, in.variant(r), r.weights(steered, features))
	if steered.Stops.All != "" {
		return ReasonStopped + ": " + steered.Stops.All
	}
	dec.Experiment, dec.Variant, dec.Propensity = r.Name, p.Variant, p.Propensity
	if p.Arm >= 0 && steered.Stops.Arm(p.Variant) {
		dec.Variant, dec.Propensity = r.Fallback, 0 // it gets what the others get and counts no more
		return ""
	}
	if p.Arm >= 0 {
		d.expose(c, r, in, p, dec, Exposure{Features: features}, past)
	}
	if p.Held {
		dec.WouldSend = true
		return ReasonHoldout
	}
	return ""
}

// elsewhere tells the other experiments of a person who credit the last mail, clicked or
// not, that another one leaves.
func (d *Desk) elsewhere(c *engine.Ctx, dec *event.Decision) {
	in := engine.Value(c, d.Cell)
	for i := range in.List {
		e := &in.List[i]
		r := d.byKey[e.Key]
		if r == nil || !r.Credit.Exposure || r == d.running[dec.Pipeline] {
			continue
		}
		d.change(c, r, e, func(u *Unit) error {
			return u.Note(Outcome{ID: Hash(OutcomeSentElsewhere, dec.ID), Name: OutcomeSentElsewhere, At: dec.Decided, Amount: 1})
		})
	}
}

// Why a decision ends without a mail.
const (
	ReasonHoldout = "holdout"
	ReasonStopped = "stopped by a guardrail"
)

func (d *Desk) expose(c *engine.Ctx, r *Running, in *Enrolments, p Placement, dec *event.Decision, x Exposure, past []Outcome) {
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
	x.ID, x.Arm, x.At, x.Propensity = hash, p.Arm, dec.Decided, p.Propensity
	d.change(c, r, e, func(u *Unit) error {
		u.Expose(x)
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
// experiment that sent it, others with all. decision is the mail, "" for none. The others
// hear of a click as well: an order is credited to the last one.
func (d *Desk) Observe(c *engine.Ctx, decision string, o Outcome) {
	in := engine.Value(c, d.Cell)
	if decision != "" {
		o.Mail = Hash("decision", decision)
	}
	for i := range in.List {
		e := &in.List[i]
		r := d.byKey[e.Key]
		if r == nil {
			continue
		}
		o := o
		if decision != "" && !e.sent(o.Mail) {
			if o.Name != OutcomeClick && o.Name != OutcomeScan {
				continue
			}
			if o.Name == OutcomeClick {
				o.Name = OutcomeElsewhere
			}
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
		u.closeBy(r.Metrics, r.Credit)
	}
	m := &Move{Before: r.values(u)}
	m.taught = r.teaches(u, m.Before)
	arm := u.Arm
	switch err := happens(u); {
	case errors.Is(err, ErrLate):
		m.Late = 1
	case err != nil:
		m.TooMany = 1
	}
	engine.ChangedOf(c, d.Cell, c.Key())
	d.tell(c, r, u, m, arm)
}

// tell sends what changed of a unit that had an arm before.
func (d *Desk) tell(c *engine.Ctx, r *Running, u *Unit, m *Move, arm int) {
	after := r.values(u)
	teach := r.teaches(u, after)
	if m.Before != nil && after != nil && arm != u.Arm { // out of one arm and into the other
		d.totals.Send(c, r.Key(), &Move{Arm: arm, Before: m.Before, taught: m.taught})
		m.Before, m.taught = nil, learned{}
	}
	m.Arm, m.After, m.teach = u.Arm, after, teach
	if m.After == nil {
		m.Arm = arm
	}
	if m.Before == nil && m.After != nil {
		m.At = u.At
	}
	d.totals.Send(c, r.Key(), m)
}

// values is what a unit adds to each metric; nil if it does not count.
func (r *Running) values(u *Unit) []Values {
	if !u.Exposed || u.Crossed || u.Arm < 0 || u.Arm >= len(r.arms) {
		return nil
	}
	out := make([]Values, len(r.Metrics))
	for i := range r.Metrics {
		out[i] = u.valuesBy(i, &r.Metrics[i], r.Credit)
	}
	return out
}

// teaches is what a unit of these values teaches.
func (r *Running) teaches(u *Unit, values []Values) learned {
	if values == nil {
		return learned{}
	}
	return learned{on: true, at: u.At, reward: values[r.Goal][Value], propensity: u.Propensity, features: u.Features}
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
	Cell *state.Cell[Progress, *Progress]
	// Tell decides that the webhook of an experiment is told of an alarm; nil does not.
	Tell  func(c *engine.Ctx, webhook string, n *Notice)
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
	engine.Changed(c, t.Cell)
	if m.Steer != nil {
		p.hear(m.Steer)
		return
	}
	stopped, err := p.Take(r, m, c.Watermark())
	if err != nil {
		c.Fail(fmt.Errorf("count in experiment %s: %w", r.Name, err))
		return
	}
	if s := p.Learn.belief(r, c.Watermark()); s != nil {
		effect(c, EffectSteer, s.Experiment, s)
	}
	for _, arm := range stopped {
		a := p.Alerts[arm]
		s := event.Stop{Experiment: c.Key(), Variant: r.arms[arm], Metric: a.Metric, Reason: a.Reason, At: a.At}
		if arm == r.Arm(r.Fallback) {
			s.Variant = "" // nothing is left to fall back to
		}
		p.note(Entry{At: a.At, Kind: "alarm", Variant: r.arms[arm], Why: a.Metric + ": " + a.Reason})
		n := &Notice{
			Experiment: r.Name, Phase: c.Key(), Variant: r.arms[arm], Metric: a.Metric, Reason: a.Reason, At: a.At,
			Stops: !r.NeverStops, All: !r.NeverStops && s.Variant == "",
		}
		effect(c, EffectNotice, "notice/"+s.Experiment, n)
		if t.Tell != nil && r.AlarmTo != "" {
			t.Tell(c, r.AlarmTo, n)
		}
		if !r.NeverStops {
			effect(c, EffectStop, s.Experiment, &s)
		}
	}
}

// effect decides that something leaves.
func effect(c *engine.Ctx, kind, lane string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		c.Fail(fmt.Errorf("encode %s: %w", kind, err))
		return
	}
	c.Effect(kind, lane, body)
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
	if engine.Value(c, s.Cell).add(v.Variant, v.Metric) {
		engine.Changed(c, s.Cell)
	}
}

// add notes a stop: of a variant, or of all for a reason. It answers whether it is new.
func (s *Stops) add(variant, why string) bool {
	switch {
	case variant == "" && s.All == "":
		s.All = why
	case variant != "" && !s.Arm(variant) && len(s.Arms) < ArmsMax:
		s.Arms = append(s.Arms, variant)
	default:
		return false
	}
	return true
}
