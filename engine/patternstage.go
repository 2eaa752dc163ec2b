package engine

import (
	"fmt"
	"sync"
	"sync/atomic"

	"millrace/state"
)

// PatternOptions say what an operator looks for and what it does then. Cell, Pattern,
// Codec, At and Emit are required.
type PatternOptions[T any] struct {
	Cell    string // the name of the state, "stage/id", for good
	Pattern *Pattern[T]
	Codec   EventCodec[T]
	// At is the event time of an event, Unix milliseconds.
	At func(v T) int64
	// Emit is called for every outcome, inside the call of the stage: it may send to
	// later stages and decide effects.
	Emit     func(c *Ctx, r PatternResult[T])
	Limits   PatternLimits
	CacheMax int // decoded states in memory, see state.NewCell
}

// PatternOperator looks for a pattern in the events of each key of a stage. It applies
// events in the order of event time, those of a time in the order of the log, when the
// watermark reaches them; see docs/patterns.md.
type PatternOperator[T any] struct {
	// Cell holds the partial matches. Keep it with the graph.
	Cell *state.Cell[PatternState, *PatternState]

	o        PatternOptions[T]
	matchers sync.Pool // of *Matcher[T]
	calls    calls[PatternResult[T]]
	counts   [PatternCrowded + 1]atomic.Uint64
}

// NewPatternOperator makes the operator. It serves one stage.
func NewPatternOperator[T any](o PatternOptions[T]) *PatternOperator[T] {
	if o.Cell == "" || o.Pattern == nil || o.At == nil || o.Emit == nil {
		panic("BUG: a pattern operator needs a cell's name, a pattern, the time of events and what to emit")
	}
	p := &PatternOperator[T]{
		Cell: state.NewCell[PatternState](o.Cell, o.CacheMax), o: o,
	}
	p.matchers.Put(NewMatcher(o.Pattern, o.Codec, o.Limits)) // at once, so that it tells what is wrong with them
	p.calls.emit = func(c *Ctx, r PatternResult[T]) {
		p.counts[r.Outcome].Add(1)
		p.o.Emit(c, r)
	}
	return p
}

// Outcomes is how often an outcome occurred since start. Safe for concurrent use.
func (p *PatternOperator[T]) Outcomes(o PatternOutcome) uint64 {
	if int(o) >= len(p.counts) {
		return 0
	}
	return p.counts[o].Load()
}

// Process implements Operator.
func (p *PatternOperator[T]) Process(c *Ctx, v T) {
	s := Value(c, p.Cell)
	m, k := p.matcher(), p.calls.begin(c)
	changed, err := m.Offer(s, p.o.At(v), v, c.Watermark(), k.emit)
	p.calls.end(k)
	p.keep(c, s, m, changed, err)
}

// Timer implements TimerHandler.
func (p *PatternOperator[T]) Timer(c *Ctx, t Timer) {
	s := Value(c, p.Cell)
	m, k := p.matcher(), p.calls.begin(c)
	changed, err := m.Advance(s, c.Watermark(), k.emit)
	p.calls.end(k)
	p.keep(c, s, m, s.wakes.fired(t.Due) || changed, err)
}

// matcher is one for a call: it has memory of its own.
func (p *PatternOperator[T]) matcher() *Matcher[T] {
	if m, ok := p.matchers.Get().(*Matcher[T]); ok {
		return m
	}
	return NewMatcher(p.o.Pattern, p.o.Codec, p.o.Limits)
}

// keep stores the state and sets the timers that it needs.
func (p *PatternOperator[T]) keep(c *Ctx, s *PatternState, m *Matcher[T], changed bool, err error) {
	defer p.matchers.Put(m)
	if err != nil {
		c.Fail(fmt.Errorf("cell %s: %w", p.o.Cell, err))
		return
	}
	if !changed {
		return
	}
	s.wakes.set(c, s.firstPending(), m.firstEnd(s))
	storeOrDrop(c, p.Cell, s.Empty())
}

// storeOrDrop stores the value of the current key, or removes one that holds nothing.
func storeOrDrop[T any, P state.Codec[T]](c *Ctx, cell *state.Cell[T, P], empty bool) {
	if !empty {
		Changed(c, cell)
		return
	}
	has, err := cell.Has(c.Key())
	if err == nil && has {
		err = cell.Delete(c.Key())
	}
	if err != nil {
		c.Fail(err)
	}
}
