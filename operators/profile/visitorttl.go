package profile

import (
	"time"

	"millrace/engine"
)

// This file lets what is kept of visitors who stay away go, by event time. Without a time
// to live no timer is set and nothing goes.

// ttlGrid is the grid of the timers: a visitor who comes every minute gets one a day.
const ttlGrid = int64(24 * time.Hour / time.Millisecond)

// ttlDue is when a visitor last seen at newest goes, and its timer fires: the time to live
// after the end of that day.
func (o *Visitors) ttlDue(newest int64) int64 {
	day := newest / ttlGrid
	if newest%ttlGrid > 0 {
		day++
	}
	return day*ttlGrid + o.TTL.Milliseconds()
}

// stays sets the timer of a visitor whose newest event was at before, if it moved to
// another day. It is a function of his events alone, so timers need no memory of their own.
func (o *Visitors) stays(c *engine.Ctx, before, now int64) {
	if o.TTL <= 0 || now == 0 || before != 0 && o.ttlDue(before) == o.ttlDue(now) {
		return
	}
	c.SetTimer(o.ttlDue(now), "ttl")
}

// Timer implements engine.TimerHandler: what is kept of a visitor goes, unless he came
// again, for which there is a later timer, or turned out to be somebody.
func (o *Visitors) Timer(c *engine.Ctx, _ engine.Timer) {
	v := engine.Value(c, o.Cell)
	switch due := o.ttlDue(v.Person.Newest); {
	case o.TTL <= 0 || v.Owner != "" || v.Person.Newest == 0:
		return
	case due > c.Watermark():
		c.SetTimer(due, "ttl") // the time to live was made longer, or it is set already
		return
	}
	engine.Forget(c, o.Cell)
	if o.Fields != nil {
		engine.Forget(c, o.Fields.Visitors)
	}
	if o.Pace != nil {
		engine.Forget(c, o.Pace.Visitors)
	}
	if o.Forgotten != nil {
		o.Forgotten.Add(1)
	}
}
