package trigger

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/state"
)

// EffectMail is the kind of the effects that carry a pending decision out. The body
// is the event.Decision as JSON; the lane is the person.
const EffectMail = "mail"

// Operator is the trigger in the person stage. It stands behind profile.Keeper.
type Operator struct {
	Cell     *state.Cell[State, *State]
	triggers *Triggers
	profiles *state.Cell[profile.Person, *profile.Person]
	decided  func(*event.Decision)
	results  sync.Pool // of *Result: what a call asked for, used again

	// Fields, unless nil, is where the declared fields of persons are kept. Set it before
	// the graph runs.
	Fields *state.Cell[profile.FieldState, *profile.FieldState]

	// Dropped, unless nil, counts the waits and decisions that the bounds of a person have
	// dropped. Set it before the graph runs.
	Dropped *atomic.Uint64
	// Listen, unless nil, answers Subject.Tone and Subject.Held for the person that is being
	// processed. Set it before the graph runs.
	Listen func(c *engine.Ctx) (tone float64, held string)

	// Enrol, unless nil, is Subject.Enrol for the person that is being processed. Set it
	// before the graph runs.
	Enrol func(c *engine.Ctx, d *event.Decision, p *profile.Person) string
	// Notify, unless nil, is called for a decision that was made (MomentDecided) and for one
	// whose mail was accepted (MomentSent). Set it before the graph runs.
	Notify func(c *engine.Ctx, d *event.Decision, moment string)
}

// The moments of a decision at which Operator.Notify is called.
const (
	MomentDecided = "decided"
	MomentSent    = "sent"
)

// NewOperator makes the operator. It reads the pictures that the keeper's cell holds
// under the same key. decided, unless nil, is called for every decision, for counting.
func NewOperator(t *Triggers, profiles *state.Cell[profile.Person, *profile.Person], decided func(*event.Decision), cacheMax int) *Operator {
	if decided == nil {
		decided = func(*event.Decision) {}
	}
	return &Operator{Cell: state.NewPackedCell[State]("person/trigger", cacheMax, nil), triggers: t, profiles: profiles, decided: decided}
}

// Process implements engine.Operator.
func (o *Operator) Process(c *engine.Ctx, u *profile.Update) {
	if u.Receipt != nil {
		if engine.Value(c, o.Cell).Settle(u.Receipt) {
			engine.Changed(c, o.Cell)
			o.sent(c, u.Receipt)
		}
		return
	}
	if u.Leave != nil || u.Join != nil || u.Expect {
		o.merge(c, u)
		return
	}
	ch := &u.Change
	if !o.triggers.concerned(ch) {
		return // most events: nothing to read, nothing to write
	}
	st := engine.Value(c, o.Cell)
	out := o.begin()
	s := Subject{Person: c.Key(), State: st, Profile: u.Person, Now: c.Watermark()}
	if u.Event != nil {
		s.Past = u.Event.Flags&event.FromImport != 0
		if ch.Kind == event.ProductViewed {
			s.Looked = u.Event.Products
		}
	}
	before := st.Lost
	o.triggers.Arm(s, ch, out)
	o.dropped(st, before)
	o.apply(c, out)
}

// Timer implements engine.TimerHandler.
func (o *Operator) Timer(c *engine.Ctx, t engine.Timer) {
	rule, sub, ok := strings.Cut(t.Tag, "\x00")
	if !ok {
		c.Fail(fmt.Errorf("a timer's tag is %q", t.Tag))
		return
	}
	st, p := engine.Value(c, o.Cell), engine.Value(c, o.profiles)
	out := o.begin()
	s := Subject{Person: c.Key(), State: st, Profile: p, Now: c.Watermark()}
	if o.Fields != nil {
		s.Fields = engine.Value(c, o.Fields)
	}
	if o.Listen != nil {
		s.Tone, s.Held = o.Listen(c)
	}
	if o.Enrol != nil {
		s.Enrol = func(d *event.Decision) string { return o.Enrol(c, d, p) }
	}
	before := st.Lost
	o.triggers.Fire(s, rule, sub, out)
	o.dropped(st, before)
	o.apply(c, out)
}

// dropped counts the waits and decisions that a bound has dropped since there were before.
func (o *Operator) dropped(st *State, before uint32) {
	if o.Dropped != nil && st.Lost > before {
		o.Dropped.Add(uint64(st.Lost - before))
	}
}

// begin is an empty result, for apply.
func (o *Operator) begin() *Result {
	out, _ := o.results.Get().(*Result)
	if out == nil {
		return &Result{}
	}
	out.Timers, out.Decisions = out.Timers[:0], out.Decisions[:0]
	return out
}

// apply sets the timers and sends off the decisions that a call asked for.
func (o *Operator) apply(c *engine.Ctx, out *Result) {
	defer o.results.Put(out)
	engine.Changed(c, o.Cell)
	for _, t := range out.Timers {
		c.SetTimer(t.Due, t.Rule+"\x00"+t.Sub)
	}
	for i := range out.Decisions {
		d := &out.Decisions[i]
		o.decided(d)
		if d.Outcome != event.Pending {
			continue
		}
		body, err := json.Marshal(d)
		if err != nil {
			c.Fail(fmt.Errorf("encode decision %s: %w", d.ID, err))
			return
		}
		c.Effect(EffectMail, d.Person, body)
		if o.Notify != nil {
			o.Notify(c, d, MomentDecided)
		}
	}
}

// sent tells of a decision whose mail was accepted.
func (o *Operator) sent(c *engine.Ctx, r *event.Receipt) {
	if o.Notify == nil || r.Outcome != event.Sent {
		return
	}
	records := engine.Value(c, o.Cell).Records
	if i := slices.IndexFunc(records, func(d event.Decision) bool { return d.ID == r.Decision }); i >= 0 {
		o.Notify(c, &records[i], MomentSent)
	}
}
