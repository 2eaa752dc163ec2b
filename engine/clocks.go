package engine

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"millrace/state"
)

// Processing time is the log's: the greatest receive time so far. It moves with every
// unit that has one, and while none comes with clock messages, so that a timer of
// processing time fires at a position of the log, the same in every run over it.

// spaceClocks holds the timers of processing time, beside state.SpaceTimers.
const spaceClocks = 0x07

var errNotAlone = errors.New("a timer of processing time is set by a unit that is not processed alone: with several goroutines its stage needs Alone")

// clockGrace is how long the next unit of a busy log is waited for before a clock message
// is published: it would say the same.
const clockGrace = time.Second

func (e *Engine) openClocks() error {
	low := int64(math.MinInt64)
	if e.progress.ClockLow != nil {
		low = *e.progress.ClockLow
	}
	e.clocks.space = spaceClocks
	return e.clocks.start(e.read, e.o.TimersOpen, low, e.progress.Clocks)
}

// flushClocks writes what was set and fired, and notes in the progress where the first
// one is. Where none was ever set it costs nothing.
func (e *Engine) flushClocks(r *state.Record) {
	if len(e.clocks.open.keys) == 0 {
		return
	}
	e.clocks.flush(r)
	low := e.clocks.low()
	e.progress.Clocks, e.progress.ClockLow = e.clocks.pending, &low
}

// clockAt is the processing time of a clock message that is owed now: a timer is due by
// the clock, and the log holds nothing that says so.
func (q *quiet) clockAt(now time.Time) (int64, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.e.o.Clock == nil || q.sent || !q.now.ready || !q.now.clockDue || q.now.received == 0 || now.Sub(q.moved) < clockGrace {
		return 0, false
	}
	elapsed := float64(max(now.UnixMilli()-q.now.stored, 0)) * q.e.o.Speed
	at := q.now.received + int64(elapsed)
	return at, q.now.clock <= at
}

// ProcessingTime is the greatest receive time in the log so far, Unix milliseconds, or 0
// before there was one. It is the same in every run over a log.
func (c *Ctx) ProcessingTime() int64 {
	if c.w != nil {
		return c.w.at.received
	}
	return c.engine.progress.Received
}

// SetProcessingTimer sets a timer of this operator and key that fires once, at the
// position where the processing time reaches due, after the timers of event time that are
// due there. Like SetTimer, it cannot be cancelled: see Deadline. Where several goroutines
// run the graph only units that are processed alone may set one, see Stage.Alone, and the
// units that make one due are.
func (c *Ctx) SetProcessingTimer(due int64, tag string) {
	if c.w != nil {
		c.Fail(errNotAlone)
		return
	}
	if strings.IndexByte(c.key, 0) >= 0 {
		c.Fail(fmt.Errorf("operator %s sets a timer for a key with a zero byte", c.op.name))
		return
	}
	c.engine.clocks.set(timerKeyIn(spaceClocks, due, c.op.id, c.key, tag))
}
