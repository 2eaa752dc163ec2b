package engine

import (
	"fmt"
	"sync/atomic"

	"millrace/state"
)

// Either is a message of one of two kinds, for a stage that joins them. Right says
// which.
type Either[L, R any] struct {
	Right bool
	L     L
	R     R
}

// LeftOf is a message of the left kind.
func LeftOf[L, R any](v L) Either[L, R] { return Either[L, R]{L: v} }

// RightOf is a message of the right kind.
func RightOf[L, R any](v R) Either[L, R] { return Either[L, R]{Right: true, R: v} }

// IntervalJoinOptions fit an interval join to a stage. All but CacheMax are required.
type IntervalJoinOptions[L, R any] struct {
	Cell    string // the name of the state, "stage/id", for good
	Join    *IntervalJoin[L, R]
	LeftAt  func(v L) int64 // event time, Unix milliseconds
	RightAt func(v R) int64
	// Emit is called for every outcome, inside the call of the stage.
	Emit     func(c *Ctx, r JoinResult[L, R])
	CacheMax int
}

// joinCounts count outcomes. Safe for concurrent use.
type joinCounts [JoinForgotten + 1]atomic.Uint64

// Outcomes is how often an outcome occurred since start. Safe for concurrent use.
func (n *joinCounts) Outcomes(o JoinOutcome) uint64 {
	if int(o) >= len(n) {
		return 0
	}
	return n[o].Load()
}

// IntervalJoinOperator joins two kinds of events of each key of a stage.
type IntervalJoinOperator[L, R any] struct {
	joinCounts
	// Cell holds the events that wait for partners. Keep it with the graph.
	Cell *state.Cell[IntervalState, *IntervalState]

	o     IntervalJoinOptions[L, R]
	calls calls[JoinResult[L, R]]
}

// NewIntervalJoinOperator makes the operator. It serves one stage.
func NewIntervalJoinOperator[L, R any](o IntervalJoinOptions[L, R]) *IntervalJoinOperator[L, R] {
	if o.Cell == "" || o.Join == nil || o.LeftAt == nil || o.RightAt == nil || o.Emit == nil {
		panic("BUG: an interval join needs a cell's name, a join, the times of events and what to emit")
	}
	p := &IntervalJoinOperator[L, R]{Cell: state.NewCell[IntervalState](o.Cell, o.CacheMax), o: o}
	p.calls.emit = func(c *Ctx, r JoinResult[L, R]) {
		p.joinCounts[r.Outcome].Add(1)
		p.o.Emit(c, r)
	}
	return p
}

// Process implements Operator.
func (p *IntervalJoinOperator[L, R]) Process(c *Ctx, v Either[L, R]) {
	s := Value(c, p.Cell)
	k := p.calls.begin(c)
	var changed bool
	var err error
	if v.Right {
		changed, err = p.o.Join.Right(s, p.o.RightAt(v.R), v.R, c.Watermark(), k.emit)
	} else {
		changed, err = p.o.Join.Left(s, p.o.LeftAt(v.L), v.L, c.Watermark(), k.emit)
	}
	p.calls.end(k)
	p.keep(c, s, changed, err)
}

// Timer implements TimerHandler.
func (p *IntervalJoinOperator[L, R]) Timer(c *Ctx, t Timer) {
	s := Value(c, p.Cell)
	k := p.calls.begin(c)
	changed, err := p.o.Join.Advance(s, c.Watermark(), k.emit)
	p.calls.end(k)
	p.keep(c, s, s.wakes.fired(t.Due) || changed, err)
}

func (p *IntervalJoinOperator[L, R]) keep(c *Ctx, s *IntervalState, changed bool, err error) {
	if err != nil {
		c.Fail(fmt.Errorf("cell %s: %w", p.o.Cell, err))
		return
	}
	if !changed {
		return
	}
	left, right := p.o.Join.ends(s)
	s.wakes.set(c, never, min(left, right))
	storeOrDrop(c, p.Cell, s.Empty())
}

// Version is what a table has for a key from a time on.
type Version[R any] struct {
	Value   R
	Deleted bool
}

// TableJoinOptions fit a table join to a stage. All but CacheMax are required.
type TableJoinOptions[L, R any] struct {
	Cell      string // the name of the state, "stage/id", for good
	Join      *TableJoin[L, R]
	RowAt     func(v L) int64 // event time, Unix milliseconds
	VersionAt func(v R) int64 // of a deleted version, too
	// Emit is called for every outcome, inside the call of the stage.
	Emit     func(c *Ctx, r JoinResult[L, R])
	CacheMax int
}

// TableJoinOperator joins rows with the versions of a table, for each key of a stage.
type TableJoinOperator[L, R any] struct {
	joinCounts
	// Cell holds the table and the rows that wait. Keep it with the graph.
	Cell *state.Cell[TableState, *TableState]

	o     TableJoinOptions[L, R]
	calls calls[JoinResult[L, R]]
}

// NewTableJoinOperator makes the operator. It serves one stage.
func NewTableJoinOperator[L, R any](o TableJoinOptions[L, R]) *TableJoinOperator[L, R] {
	if o.Cell == "" || o.Join == nil || o.RowAt == nil || o.VersionAt == nil || o.Emit == nil {
		panic("BUG: a table join needs a cell's name, a join, the times of events and what to emit")
	}
	p := &TableJoinOperator[L, R]{Cell: state.NewCell[TableState](o.Cell, o.CacheMax), o: o}
	p.calls.emit = func(c *Ctx, r JoinResult[L, R]) {
		p.joinCounts[r.Outcome].Add(1)
		p.o.Emit(c, r)
	}
	return p
}

// Process implements Operator.
func (p *TableJoinOperator[L, R]) Process(c *Ctx, v Either[L, Version[R]]) {
	s := Value(c, p.Cell)
	k := p.calls.begin(c)
	var changed bool
	var err error
	if v.Right {
		changed, err = p.o.Join.Update(s, p.o.VersionAt(v.R.Value), v.R.Value, v.R.Deleted, c.Watermark(), k.emit)
	} else {
		changed, err = p.o.Join.Row(s, p.o.RowAt(v.L), v.L, c.Watermark(), k.emit)
	}
	p.calls.end(k)
	p.keep(c, s, changed, err)
}

// Timer implements TimerHandler.
func (p *TableJoinOperator[L, R]) Timer(c *Ctx, t Timer) {
	s := Value(c, p.Cell)
	k := p.calls.begin(c)
	changed, err := p.o.Join.Advance(s, c.Watermark(), k.emit)
	p.calls.end(k)
	p.keep(c, s, s.wakes.fired(t.Due) || changed, err)
}

func (p *TableJoinOperator[L, R]) keep(c *Ctx, s *TableState, changed bool, err error) {
	if err != nil {
		c.Fail(fmt.Errorf("cell %s: %w", p.o.Cell, err))
		return
	}
	if !changed {
		return
	}
	if due, ok := p.o.Join.Next(s); ok {
		s.wakes.set(c, due, never)
	}
	storeOrDrop(c, p.Cell, s.Empty())
}
