package profile

import (
	"slices"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/state"
)

// This file fills fields that were declared later with what events before that would have
// made of them; see docs/adr/0026-fields-are-filled-from-the-log.md.

// FieldsFill is what the fields of one key would hold of the messages of the log up to Upto.
type FieldsFill struct {
	State FieldState
	Upto  uint64
}

// ApplyAt is Apply of an event of a message of the log, which says since when a field
// counts.
func (t *FieldSet) ApplyAt(s *FieldState, e *event.Event, seq uint64) {
	if !t.Wants(e) {
		return
	}
	t.fit(s)
	var unborn uint64 // at most MaxFields
	for i := range s.slots {
		if s.slots[i].empty() {
			unborn |= 1 << i
		}
	}
	t.Apply(s, e)
	for i := range s.slots {
		if unborn&(1<<i) != 0 && !s.slots[i].empty() {
			s.slots[i].born = seq
		}
	}
}

// Fill lets what earlier messages would have made of fields join what s holds, and answers
// whether that changed anything. A field that counts one of these messages already is left
// as it is. f must not be used afterwards.
func (t *FieldSet) Fill(s *FieldState, f *FieldsFill) bool {
	t.fit(s)
	o := &f.State
	o.slots = slices.DeleteFunc(o.slots, func(from slot) bool {
		i := slices.IndexFunc(s.slots, func(d slot) bool { return d.id == from.id && d.op == from.op && d.half == from.half })
		return from.empty() || i < 0 || !s.slots[i].empty() && s.slots[i].born <= f.Upto
	})
	if len(o.slots) == 0 {
		return false
	}
	o.clocks = slices.DeleteFunc(o.clocks, func(d Decay) bool {
		return !slices.ContainsFunc(o.slots, func(from slot) bool { return from.half == d.half })
	})
	for i := range o.slots {
		o.slots[i].born = f.Upto + 1 // whoever is merged into this person may yet be filled
	}
	s.Merge(o)
	return true
}

// Empty tells whether nothing is known of any field.
func (s *FieldState) Empty() bool {
	return !slices.ContainsFunc(s.slots, func(o slot) bool { return !o.empty() })
}

// fill takes what the fields of the current key would hold.
func (k *FieldKeeper) fill(c *engine.Ctx, cell *state.Cell[FieldState, *FieldState], f *FieldsFill) {
	if k != nil && k.Set.Fill(engine.Value(c, cell), f) {
		engine.Changed(c, cell)
	}
}

// leave moves what a person's fields hold to whom he was merged into, within the event: a
// graph that fills fields has no log to put it into. One goroutine must run the graph.
func (k *FieldKeeper) leave(c *engine.Ctx, to string) {
	v := engine.Value(c, k.Cell)
	history := *v
	*v = FieldState{}
	engine.Changed(c, k.Cell)
	engine.ValueOf(c, k.Cell, to).Merge(&history)
	engine.ChangedOf(c, k.Cell, to)
}

// fill takes the fill of a visitor, or passes it on to the person who he is by now. One who
// was forgotten meanwhile stays forgotten.
func (o *Visitors) fill(c *engine.Ctx, v *Visitor, l *Link) {
	switch {
	case v.Owner != "":
		l.Handed = true
		to := v.Owner
		if v.First != "" { // what he did before was his
			to = v.First
		}
		o.person.Send(c, to, &l.Update)
	case v.Person.Newest != 0 && o.Fields != nil:
		o.Fields.fill(c, o.Fields.Visitors, l.Fill)
	}
}
