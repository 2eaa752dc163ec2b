package engine

import (
	"fmt"
	"strings"

	"millrace/state"
)

// Ctx is what an operator sees while it processes one message or timer: the key, the
// watermark, its state and its timers. It is valid inside the call only.
type Ctx struct {
	engine *Engine
	op     *operator
	key    string
	err    error

	message uint64 // of a lazy stage: the number of the message
	replay  uint64 // while messages of a lazy stage are replayed: their epoch, else 0

	w     *worker // of several: what is sent and decided is noted, and done later
	tally []tally // of one of several goroutines: its own counts, by operator
}

// Key is the key that is being processed.
func (c *Ctx) Key() string { return c.key }

// Watermark is the event time before which no more events are expected, Unix
// milliseconds. Decisions take it as "now".
func (c *Ctx) Watermark() int64 {
	if c.w != nil {
		return c.w.at.watermark
	}
	return c.engine.progress.Watermark
}

// Newest is the greatest event time so far, Unix milliseconds, or zero.
func (c *Ctx) Newest() int64 {
	if c.w != nil {
		return c.w.at.newest
	}
	return c.engine.progress.Newest
}

// Position is where in the log the unit stands that is being processed.
func (c *Ctx) Position() (seq uint64, index uint32) {
	if c.w != nil {
		return c.w.at.seq, c.w.at.index
	}
	return c.engine.progress.Position.Seq + 1, c.engine.progress.Position.Index
}

// Slot is a number below SliceUnits. What the root sends by pointer must stay as it is
// until the units of all other slots were processed: it uses memory of its own for each.
func (c *Ctx) Slot() int {
	if c.w != nil {
		return c.w.at.slot
	}
	return 0
}

// SetTimer sets a timer of this operator and key. It fires once, at the position
// where the watermark passes due; the same due time and tag set twice is one timer.
// There is no cancelling: an operator keeps the deadline in its state and lets a
// timer pass that came too early, which costs nothing while a deadline moves.
func (c *Ctx) SetTimer(due int64, tag string) {
	if strings.IndexByte(c.key, 0) >= 0 {
		c.Fail(fmt.Errorf("operator %s sets a timer for a key with a zero byte", c.op.name))
		return
	}
	raw := timerKey(due, c.op.id, c.key, tag)
	if c.w != nil {
		c.w.setTimer(due, raw)
		return
	}
	c.engine.timers.set(raw)
}

// Effect decides that something leaves the engine: it becomes a row of the outbox
// when the epoch commits, and is carried out after that. The body must not be changed
// any more.
func (c *Ctx) Effect(kind, lane string, body []byte) {
	c.effect(Row{Kind: kind, Lane: lane, Body: body}, nil)
}

// EffectOf is Effect for a body that names its own row. body is called once with the
// row's number, when it is known, which may be after the operator has returned: it must
// not use the Ctx or state.
func (c *Ctx) EffectOf(kind, lane string, body func(row uint64) ([]byte, error)) {
	c.effect(Row{Kind: kind, Lane: lane}, body)
}

func (c *Ctx) effect(row Row, body func(uint64) ([]byte, error)) {
	if c.w != nil {
		c.w.note(deed{what: didEffect, key: row.Lane, kind: row.Kind, body: row.Body, value: body})
		return
	}
	c.op.count++
	if err := c.engine.addRow(row, body); err != nil {
		c.Fail(err)
	}
}

// Settle says that the receipt of an outbox row was read: the row is removed with
// this epoch. A receipt that comes twice, or of no row, settles nothing.
func (c *Ctx) Settle(row uint64) { c.SettleOf(row, "") }

// SettleOf is Settle for a row whose body holds the text of, such as the id of a decision;
// any other row stays. When a state is lost and made anew from a log that no longer reaches
// back to its beginning, the same numbers belong to other rows.
func (c *Ctx) SettleOf(row uint64, of string) {
	if c.w != nil {
		c.w.note(deed{what: didSettle, number: row, key: of})
		return
	}
	if err := c.engine.settle(row, of); err != nil {
		c.Fail(err)
	}
}

// Fail stops the engine with err before anything of this epoch is committed. It is
// for broken state, never for bad input.
func (c *Ctx) Fail(err error) {
	if c.err == nil {
		c.err = fmt.Errorf("operator %s: %w", c.op.name, err)
	}
}

// Value is the value of the current key in a cell, for reading and changing. Call
// Changed after changing it.
func Value[T any, P state.Codec[T]](c *Ctx, cell *state.Cell[T, P]) P {
	return ValueOf(c, cell, c.key)
}

// ValueOf is the value of a sub-key of the current key, such as "key/cart".
func ValueOf[T any, P state.Codec[T]](c *Ctx, cell *state.Cell[T, P], key string) P {
	if c.replay != 0 && c.stale(cell.Applied(key)) {
		return P(new(T)) // the stored value has seen this message: what the operator does to it goes nowhere
	}
	if c.w != nil && !c.w.mayUse(key, cell.Common) {
		c.Fail(errForeign)
		return P(new(T))
	}
	v, err := cell.Get(key)
	if err != nil {
		c.Fail(err)
		return P(new(T))
	}
	return v
}

// Changed says that the current key's value was changed.
func Changed[T any, P state.Codec[T]](c *Ctx, cell *state.Cell[T, P]) {
	ChangedOf(c, cell, c.key)
}

// ChangedOf says that a sub-key's value was changed.
func ChangedOf[T any, P state.Codec[T]](c *Ctx, cell *state.Cell[T, P], key string) {
	if !cell.Lazy() {
		if err := cell.Touch(key); err != nil {
			c.Fail(err)
		}
		return
	}
	epoch := c.engine.progress.Epoch + 1
	if c.replay != 0 {
		if c.stale(cell.Applied(key)) {
			return
		}
		epoch = c.replay
	}
	if err := cell.TouchLazy(key, c.message, epoch); err != nil {
		c.Fail(err)
	}
}

// stale tells whether a value has seen the message that is being replayed.
func (c *Ctx) stale(applied uint64, err error) bool {
	if err != nil {
		c.Fail(err)
	}
	return applied >= c.message
}
