package profile

import (
	"millrace/engine"
	"millrace/state"
)

// FieldsPartName names the declared fields in a handover.
const FieldsPartName = "fields"

// CheckFieldsPart answers why the fields in a handover cannot be read, or nil. Without
// any there is nothing to read.
func CheckFieldsPart(b []byte) error {
	if b == nil {
		return nil
	}
	return new(FieldState).DecodeFrom(b)
}

// FieldKeeper is the operator of the person stage that keeps the declared fields of each
// person, in a cell of their own. It stands behind Keeper, which tells repeats.
type FieldKeeper struct {
	Cell     *state.Cell[FieldState, *FieldState] // of persons
	Visitors *state.Cell[FieldState, *FieldState] // of visitors who are not known yet
	Set      *FieldSet
	// Filling says that the graph makes what new fields would hold of the log, on one
	// goroutine and without effects.
	Filling bool
}

// NewFieldKeeper makes the operator.
func NewFieldKeeper(set *FieldSet, cacheMax int) *FieldKeeper {
	return &FieldKeeper{
		Cell:     state.NewPackedCell[FieldState]("person/fields", cacheMax, nil),
		Visitors: state.NewPackedCell[FieldState]("visitor/fields", cacheMax, nil),
		Set:      set,
	}
}

// Process implements engine.Operator.
func (k *FieldKeeper) Process(c *engine.Ctx, u *Update) {
	switch {
	case u.Event != nil:
		k.apply(c, k.Cell, u)
	case u.Fill != nil:
		k.fill(c, k.Cell, u.Fill)
	case k.Filling && u.Leave != nil:
		k.leave(c, u.Leave.To)
	case k.Filling && u.Join != nil: // it left within its event, and the handover is that of another graph
	case u.Handover != nil && u.Fields != nil:
		engine.Value(c, k.Cell).Merge(u.Fields)
		engine.Changed(c, k.Cell)
	case u.Leave != nil:
		v := engine.Value(c, k.Cell)
		u.Leave.Put(FieldsPartName, v.AppendTo(nil))
		*v = FieldState{}
		engine.Changed(c, k.Cell)
	case u.Join != nil:
		part := u.Join.Part(FieldsPartName)
		if part == nil {
			return // it left before there were fields
		}
		var other FieldState
		if err := other.DecodeFrom(part); err != nil {
			c.Fail(err)
			return
		}
		engine.Value(c, k.Cell).Merge(&other)
		engine.Changed(c, k.Cell)
	}
}

// apply lets an event count, once: not a repeat, not an order that was seen before, and
// not what a robot did.
func (k *FieldKeeper) apply(c *engine.Ctx, cell *state.Cell[FieldState, *FieldState], u *Update) {
	if u.Change.Duplicate || u.Change.Update || u.Event.Bot || u.Change.TooFast || !k.Set.Wants(u.Event) {
		return
	}
	seq, _ := c.Position()
	k.Set.ApplyAt(engine.Value(c, cell), u.Event, seq)
	engine.Changed(c, cell)
}

// visitor lets an event of a visitor who is not known yet count.
func (k *FieldKeeper) visitor(c *engine.Ctx, u *Update) {
	if k != nil {
		k.apply(c, k.Visitors, u)
	}
}

// handOver takes what a visitor's fields hold, for the person he turned out to be.
func (k *FieldKeeper) handOver(c *engine.Ctx) *FieldState {
	if k == nil {
		return nil
	}
	v := engine.Value(c, k.Visitors)
	if v.newest == 0 && len(v.slots) == 0 {
		return nil
	}
	history := *v
	*v = FieldState{}
	engine.Changed(c, k.Visitors)
	return &history
}
