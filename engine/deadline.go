package engine

import (
	"encoding/binary"
	"errors"
)

// Deadline is a timer that can be moved and cancelled: one for each key and tag. It is
// kept in the operator's state; the operator calls Fired with every timer of its tag. The
// zero value is a deadline that is not set.
//
// The timers under it are not taken back when it moves: one that fires too early sets
// itself again, one that fires for nothing is passed over. So moving a deadline further
// away, which is what most do, costs a write of the state and no timer.
type Deadline struct {
	at, armed int64 // Unix milliseconds; armed is the timer that stands, the first of them
	set, arm  bool
}

// At is when the deadline is, if it is set.
func (d *Deadline) At() (due int64, set bool) { return d.at, d.set }

// Set sets the deadline in event time, or moves it. Call Changed for its cell.
func (d *Deadline) Set(c *Ctx, due int64, tag string) { d.move(due, func() { c.SetTimer(due, tag) }) }

// SetProcessing sets the deadline in processing time, or moves it. A deadline, and a tag,
// are of one kind of time for good.
func (d *Deadline) SetProcessing(c *Ctx, due int64, tag string) {
	d.move(due, func() { c.SetProcessingTimer(due, tag) })
}

func (d *Deadline) move(due int64, timer func()) {
	d.at, d.set = due, true
	if !d.arm || due < d.armed {
		d.armed, d.arm = due, true
		timer()
	}
}

// Cancel takes the deadline back. Call Changed for its cell.
func (d *Deadline) Cancel() { d.at, d.set = 0, false }

// Fired takes a timer of the deadline's tag and answers whether the deadline is over,
// which it is once. Call Changed for its cell in any case.
func (d *Deadline) Fired(c *Ctx, t Timer) bool {
	if !d.arm || t.Due != d.armed {
		return false // left by a deadline that was moved nearer
	}
	d.armed, d.arm = 0, false
	switch {
	case !d.set:
		return false
	case d.at > t.Due && t.Processing:
		d.SetProcessing(c, d.at, t.Tag)
		return false
	case d.at > t.Due:
		d.Set(c, d.at, t.Tag)
		return false
	}
	d.Cancel()
	return true
}

// ErrDeadline says that a stored deadline cannot be read.
var ErrDeadline = errors.New("the stored deadline is damaged")

// AppendTo appends the stored form.
func (d *Deadline) AppendTo(b []byte) []byte {
	flags := byte(0)
	if d.set {
		flags |= 1
	}
	if d.arm {
		flags |= 2
	}
	b = append(b, 1, flags)
	b = binary.AppendVarint(b, d.at)
	return binary.AppendVarint(b, d.armed)
}

// DecodeFrom reads what AppendTo wrote, and nothing behind it.
func (d *Deadline) DecodeFrom(b []byte) error {
	r := reading{b: b}
	version, flags := r.byte(), r.byte()
	*d = Deadline{at: r.varint(), armed: r.varint(), set: flags&1 != 0, arm: flags&2 != 0}
	if r.bad || len(r.b) > 0 || version != 1 || flags > 3 {
		return ErrDeadline
	}
	return nil
}
