package profile

import (
	"sync/atomic"
	"time"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/state"
)

// Update is what runs through the stages that are keyed by visitor and by person.
// The operators of a stage get the same Update, one after the other: Keeper fills in
// Person and Change, which those behind it read.
type Update struct {
	Event    *event.Event   // what happened, or nil
	Handover *Person        // the history of a visitor who turned out to be this person, or nil
	Fields   *FieldState    // with Handover: what his declared fields hold, or nil
	Pace     *Pace          // with Handover: how fast he was, or nil
	Fill     *FieldsFill    // what fields that were declared later would hold, or nil
	Receipt  *event.Receipt // what came of a decision about this person, or nil

	// Leave asks for the state of this person, who was merged into another one: each
	// operator that keeps any puts it into the handover and forgets it.
	Leave *event.Handover
	// Join is the state that another person left: each operator takes its part of it.
	Join *event.Handover
	// Awaits, with Expect or Join, is how many handovers this person has yet to get.
	Awaits int
	Expect bool // nothing but Awaits has changed
	// Steer is a word to all who assign people to experiments; the key is no person then.
	Steer *event.Steer

	Person *Person // the picture after the update; nil when the visitor stage passed it on
	Change Change  // what the update changed in it
}

// Begin makes u the update of an event. The memory of its change is used again.
func (u *Update) Begin(e *event.Event) {
	u.Change.reset()
	*u = Update{Event: e, Change: u.Change}
}

// PartName names the picture in a handover.
const PartName = "profile"

// CheckPart answers why the picture in a handover cannot be read, or nil.
func CheckPart(b []byte) error { return new(Person).DecodeFrom(b) }

// Keeper is the operator that keeps the picture of each person.
type Keeper struct {
	Cell    *state.Cell[Person, *Person]
	updater *Updater
}

// NewKeeper makes the operator.
func NewKeeper(u *Updater, cacheMax int) *Keeper {
	return &Keeper{Cell: state.NewPackedCell[Person]("person/profile", cacheMax, nil), updater: u}
}

// Process implements engine.Operator.
func (k *Keeper) Process(c *engine.Ctx, u *Update) {
	if u.Steer != nil {
		return
	}
	p := u.Person // of a stage before this one, which looked it up
	if p == nil {
		p = engine.Value(c, k.Cell)
		u.Person = p
	}
	before := p.Lost.Dropped()
	switch {
	case u.Event != nil:
		k.updater.Apply(p, u.Event, &u.Change)
	case u.Handover != nil:
		k.updater.Merge(p, u.Handover, &u.Change)
	case u.Leave != nil:
		u.Leave.Put(PartName, p.AppendTo(nil))
		*p = Person{}
	case u.Join != nil:
		var other Person
		if err := other.DecodeFrom(u.Join.Part(PartName)); err != nil {
			c.Fail(err)
			return
		}
		k.updater.Join(p, &other, &u.Change)
	default:
		return // a receipt changes what was decided, not who the person is
	}
	u.Change.Dropped = max(p.Lost.Dropped(), before) - before
	engine.Changed(c, k.Cell)
}

// Link is what the root sends to the visitor stage: an event of a visitor, with the
// pseudonym of the person whom the event names, if it names one.
type Link struct {
	Update
	Person string // pseudonym, or ""
	Handed bool   // it was passed on to the person stage
}

// Begin makes l the link of an event to a person, or to nobody yet.
func (l *Link) Begin(e *event.Event, person string) {
	l.Update.Begin(e)
	l.Person, l.Handed = person, false
}

// Visitors is the operator that keeps visitors apart until they are known, then
// hands their whole history over, once, and passes on what they do.
type Visitors struct {
	Cell   *state.Cell[Visitor, *Visitor]
	Fields *FieldKeeper // of the person stage, nil without declared fields
	Pace   *PaceKeeper  // of the person stage, nil when nobody is too fast
	// TTL is how long after his newest event what is kept of a visitor goes; 0: never.
	TTL time.Duration
	// Forgotten counts those who went; nil: nobody counts.
	Forgotten *atomic.Uint64

	updater *Updater
	person  *engine.Stage[*Update]
}

// NewVisitors makes the operator; it sends to the person stage.
func NewVisitors(u *Updater, person *engine.Stage[*Update], cacheMax int) *Visitors {
	return &Visitors{Cell: state.NewPackedCell[Visitor]("visitor/link", cacheMax, nil), updater: u, person: person}
}

// Process implements engine.Operator.
func (o *Visitors) Process(c *engine.Ctx, l *Link) {
	v := engine.Value(c, o.Cell)
	if l.Fill != nil {
		o.fill(c, v, l)
		return
	}
	if l.Person != "" && v.Owner != l.Person {
		first := v.Owner == ""
		v.link(l.Person) // the newest link counts from now on
		if first && v.Person.Newest != 0 {
			history := v.Person
			v.Person = Person{}
			o.person.Send(c, l.Person, &Update{Handover: &history, Fields: o.Fields.handOver(c), Pace: o.Pace.handOver(c)})
		}
		engine.Changed(c, o.Cell)
	}
	if v.Owner != "" {
		l.Handed = true
		o.person.Send(c, v.Owner, &l.Update)
		return
	}
	before := v.Person.Newest
	l.Update.Person = &v.Person
	o.updater.Apply(&v.Person, l.Event, &l.Change)
	o.Pace.visitor(c, &l.Update)
	o.Fields.visitor(c, &l.Update)
	engine.Changed(c, o.Cell)
	o.stays(c, before, v.Person.Newest)
}
