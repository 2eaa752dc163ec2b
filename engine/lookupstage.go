package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"millrace/state"
)

// LookupOperatorOptions fit a lookup to a stage. All but CacheMax are required.
type LookupOperatorOptions[T any] struct {
	Cell   string // the name of the state, "stage/id", for good
	Kind   string // of the effects that ask: the handler's name in Options.Handlers
	Lookup *Lookup[T]
	// Emit is called for every question that is over, inside the call of the stage.
	Emit     func(c *Ctx, r LookupResult[T])
	CacheMax int
}

// LookupOperator asks questions as effects and takes their answers as events. The root
// sends inputs as left messages and answers, which the decoder reads with
// DecodeLookupAnswer, as right ones, under LookupAnswer.Key.
type LookupOperator[T any] struct {
	// Cell holds the questions. Keep it with the graph.
	Cell *state.Cell[LookupState, *LookupState]

	o      LookupOperatorOptions[T]
	asks   calls[LookupCall]
	calls  calls[LookupResult[T]]
	asked  atomic.Uint64
	counts [LookupRefused + 1]atomic.Uint64
}

// NewLookupOperator makes the operator. It serves one stage.
func NewLookupOperator[T any](o LookupOperatorOptions[T]) *LookupOperator[T] {
	if o.Cell == "" || o.Kind == "" || o.Lookup == nil || o.Emit == nil {
		panic("BUG: a lookup operator needs a cell's name, a kind of effects, a lookup and what to emit")
	}
	p := &LookupOperator[T]{Cell: state.NewCell[LookupState](o.Cell, o.CacheMax), o: o}
	p.asks.emit = func(c *Ctx, call LookupCall) {
		p.asked.Add(1)
		// A lane of its own: the rows of a lane are carried out one after the other.
		lane := fmt.Sprintf("%s/%d.%d.%d", call.Key, call.ID.Seq, call.ID.Index, call.ID.N)
		c.Effect(p.o.Kind, lane, AppendLookupCall(nil, &call))
	}
	p.calls.emit = func(c *Ctx, r LookupResult[T]) {
		p.counts[r.Outcome].Add(1)
		p.o.Emit(c, r)
	}
	return p
}

// Outcomes is how often an outcome occurred since start. Safe for concurrent use.
func (p *LookupOperator[T]) Outcomes(o LookupOutcome) uint64 {
	if int(o) >= len(p.counts) {
		return 0
	}
	return p.counts[o].Load()
}

// Asked is how many calls were decided since start. Safe for concurrent use.
func (p *LookupOperator[T]) Asked() uint64 { return p.asked.Load() }

// Process implements Operator.
func (p *LookupOperator[T]) Process(c *Ctx, v Either[T, LookupAnswer]) {
	s := Value(c, p.Cell)
	a, k := p.asks.begin(c), p.calls.begin(c)
	var changed bool
	var err error
	if v.Right {
		c.Settle(v.R.Row)
		v.R.Key = c.Key()
		changed, err = p.o.Lookup.Answer(s, &v.R, c.Watermark(), a.emit, k.emit)
	} else {
		seq, index := c.Position()
		changed, err = p.o.Lookup.Ask(s, c.Key(), seq, index, v.L, c.Watermark(), a.emit, k.emit)
	}
	p.asks.end(a)
	p.calls.end(k)
	p.keep(c, s, changed, err)
}

// Timer implements TimerHandler.
func (p *LookupOperator[T]) Timer(c *Ctx, t Timer) {
	s := Value(c, p.Cell)
	a, k := p.asks.begin(c), p.calls.begin(c)
	changed, err := p.o.Lookup.Advance(s, c.Key(), c.Watermark(), a.emit, k.emit)
	p.asks.end(a)
	p.calls.end(k)
	p.keep(c, s, s.wakes.fired(t.Due) || changed, err)
}

func (p *LookupOperator[T]) keep(c *Ctx, s *LookupState, changed bool, err error) {
	if err != nil {
		c.Fail(fmt.Errorf("cell %s: %w", p.o.Cell, err))
		return
	}
	if !changed {
		return
	}
	if due, ok := p.o.Lookup.Next(s); ok {
		s.wakes.set(c, never, due)
	}
	storeOrDrop(c, p.Cell, s.Empty())
}

// LookupCaller says how questions are carried out. Call and Publish are required.
type LookupCaller struct {
	// Call answers a question. Its error counts as a failed try.
	Call func(ctx context.Context, v *View, input []byte) ([]byte, error)
	// Publish writes an answer to the log: the message that DecodeLookupAnswer reads.
	Publish func(ctx context.Context, answer []byte) error
	// Timeout is how long a call may take; 0 means 30 seconds.
	Timeout time.Duration
	// AnswerMax is how long an answer may be; 0 means 64 KiB. A longer one has failed.
	AnswerMax int
}

// Handler carries out the effects of a lookup. A failed call is published like an
// answer, since when to ask again, and when to give up, is decided in the log. After a
// crash a call may be made, and answered, once more: the second answer changes nothing.
func (l LookupCaller) Handler() Handler {
	if l.Call == nil || l.Publish == nil {
		panic("BUG: a lookup's handler needs to call and to publish")
	}
	if l.Timeout == 0 {
		l.Timeout = 30 * time.Second // the pool has eight workers: one that hangs is an eighth
	}
	if l.AnswerMax == 0 {
		l.AnswerMax = 64 << 10 // answers stand in the log and, until their turn, in the state
	}
	return func(ctx context.Context, v *View, row Row) (Result, time.Duration, error) {
		call, err := DecodeLookupCall(row.Body)
		if err != nil {
			return Again, time.Minute, fmt.Errorf("row %d: %w", row.ID, err)
		}
		a := LookupAnswer{Row: row.ID, Key: call.Key, ID: call.ID, Try: call.Try}
		limited, cancel := context.WithTimeout(ctx, l.Timeout)
		a.Body, err = l.Call(limited, v, call.Input)
		cancel()
		if ctx.Err() != nil { // the program ends: nobody refused anything
			return Again, 0, ctx.Err()
		}
		if err != nil || len(a.Body) > l.AnswerMax {
			a.Failed, a.Body = true, nil
		}
		if err := l.Publish(ctx, AppendLookupAnswer(nil, &a)); err != nil {
			return Again, 0, fmt.Errorf("publish the answer of row %d: %w", row.ID, err)
		}
		return Reported, 0, nil
	}
}
