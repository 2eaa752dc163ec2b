package operators

import (
	"math"
	"time"

	"millrace/engine"
	"millrace/operators/event"
)

// LateOptions say what becomes of events that are too late: whose time lies further
// before the watermark than is allowed. The zero value lets none be too late.
type LateOptions struct {
	Allowed time.Duration // 0: nothing is ever too late
	// Aside sends them to the dead letters instead of letting them update profiles; from
	// there they can be put back. Else they are only counted.
	Aside bool
}

// ReasonLate is the reason of dead letters that are events which came too late. The letter
// holds no bytes yet: they stand in the log at its place.
const ReasonLate = "late"

// subjectRetry is where dead letters are put back into the log.
const subjectRetry = "in.retry"

// retried is an event that was a dead letter.
type retried struct{ *event.Event }

// late counts an event that is too late, by its source, and answers whether it was set
// aside. What was imported lies in the past on purpose; feedback counts as of now;
// of the catalogue the newest word holds anyway.
func (p *Pipeline) late(c *engine.Ctx, e *event.Event) bool {
	if p.lateness.Allowed <= 0 || e.Person != "" || e.Flags&event.FromImport != 0 || e.Kind == event.ProductUpserted {
		return false
	}
	mark := c.Watermark()
	if mark == math.MinInt64 || e.Time >= mark-p.lateness.Allowed.Milliseconds() {
		return false
	}
	p.Counters.tooLate(producer(e.Source))
	if !p.lateness.Aside {
		return false
	}
	p.reject(c, &event.Reject{Code: ReasonLate, Detail: "older than allowed_lateness", Source: e.Source, ReceivedAt: e.ReceivedAt})
	return true
}
