package profile

import (
	"millrace/engine"
	"millrace/state"
)

// PacePartName names the pace in a handover.
const PacePartName = "pace"

// CheckPacePart answers why the pace in a handover cannot be read, or nil. Without any
// there is nothing to read.
func CheckPacePart(b []byte) error {
	if b == nil {
		return nil
	}
	return new(Pace).DecodeFrom(b)
}

// PaceKeeper is the operator that notices who is too fast for a shopper, for the person
// and the visitor stage. It stands behind the one that keeps the picture, which tells
// repeats, and makes the change silent: it triggers nothing and teaches nothing. It has a
// cell of its own, so a shop that does not ask for it pays nothing.
type PaceKeeper struct {
	Cell     *state.Cell[Pace, *Pace] // of persons
	Visitors *state.Cell[Pace, *Pace] // of visitors who are not known yet
	// Fast is told of each event that came too fast; nil: nobody is.
	Fast func(u *Update)
	o    PaceOptions
}

// NewPaceKeeper makes the operator.
func NewPaceKeeper(o PaceOptions, cacheMax int) *PaceKeeper {
	return &PaceKeeper{
		Cell:     state.NewPackedCell[Pace]("person/pace", cacheMax, nil),
		Visitors: state.NewPackedCell[Pace]("visitor/pace", cacheMax, nil),
		o:        o.withDefaults(),
	}
}

// Process implements engine.Operator for the person stage.
func (k *PaceKeeper) Process(c *engine.Ctx, u *Update) {
	switch {
	case u.Event != nil:
		k.judge(c, k.Cell, u)
	case u.Handover != nil && u.Pace != nil:
		engine.Value(c, k.Cell).Merge(u.Pace, k.o)
		engine.Changed(c, k.Cell)
	case u.Leave != nil:
		p := engine.Value(c, k.Cell)
		u.Leave.Put(PacePartName, p.AppendTo(nil))
		*p = Pace{}
		engine.Changed(c, k.Cell)
	case u.Join != nil:
		part := u.Join.Part(PacePartName)
		if part == nil {
			return // it left before anybody looked
		}
		var other Pace
		if err := other.DecodeFrom(part); err != nil {
			c.Fail(err)
			return
		}
		engine.Value(c, k.Cell).Merge(&other, k.o)
		engine.Changed(c, k.Cell)
	}
}

// judge counts an event, once, and silences it if its person is too fast as of it. What
// our own mails bring back is not counted: a mail scanner's clicks are judged elsewhere.
func (k *PaceKeeper) judge(c *engine.Ctx, cell *state.Cell[Pace, *Pace], u *Update) {
	if u.Change.Duplicate || u.Event.Bot || u.Event.Person != "" {
		return
	}
	p := engine.Value(c, cell)
	fast := p.Add(u.Event.Time, k.o)
	engine.Changed(c, cell)
	if !fast {
		return
	}
	u.Change.Silent, u.Change.TooFast = true, true
	if k.Fast != nil {
		k.Fast(u)
	}
}

// visitor judges an event of a visitor who is not known yet.
func (k *PaceKeeper) visitor(c *engine.Ctx, u *Update) {
	if k != nil {
		k.judge(c, k.Visitors, u)
	}
}

// handOver takes a visitor's pace, for the person he turned out to be.
func (k *PaceKeeper) handOver(c *engine.Ctx) *Pace {
	if k == nil {
		return nil
	}
	p := engine.Value(c, k.Visitors)
	if p.Total == 0 {
		return nil
	}
	history := *p
	*p = Pace{}
	engine.Changed(c, k.Visitors)
	return &history
}
