package engine

import (
	"time"

	"millrace/state"
)

// Stats is how an engine stands as of its last commit. Times are Unix milliseconds.
type Stats struct {
	Epoch      uint64
	Position   Position
	Watermark  int64
	Watermarks WatermarkReport // what the watermark is derived from
	Newest     int64           // greatest event time
	LogEnd     uint64          // newest message of the log when the engine opened it
	Events     uint64          // units processed since start, committed or not
	Timers     int64           // pending
	Orphans    uint64          // timers that came due since start when their operator was gone
	Unresolved int             // effects without an outcome
	Reported   int             // effects whose receipt is on its way
	Retries    uint64
	Resolved   uint64
	Paused     string // why commits are paused, or ""
	Commits    uint64
	CommitTime time.Duration // sum over Commits
	Changes    uint64        // keys written
	Bytes      uint64        // bytes written
	Operators  []OperatorStats
	Cells      []CellStats
}

// OperatorStats counts what passed through an operator since start.
type OperatorStats struct {
	Name    string // "stage/id"
	In      uint64
	Out     uint64
	Fired   uint64
	Effects uint64
}

// CellStats says how many values of a cell are in memory.
type CellStats struct {
	Name   string
	Cached int
}

// Stats is how the engine stands. Safe for concurrent use.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	s := e.stats
	e.mu.Unlock()
	s.Events = e.events.Load()
	s.Unresolved, s.Reported, _ = e.pool.load()
	e.pool.mu.Lock()
	s.Retries, s.Resolved = e.pool.retries, e.pool.resolved
	e.pool.mu.Unlock()
	return s
}

// publish copies what the loop owns into the stats.
func (e *Engine) publish() {
	ops := make([]OperatorStats, len(e.graph.operators))
	for i, o := range e.graph.operators {
		ops[i] = OperatorStats{Name: o.name, In: o.in, Out: o.out, Fired: o.fired, Effects: o.count}
	}
	cells := make([]CellStats, len(e.graph.cells))
	for i, c := range e.graph.cells {
		cells[i] = CellStats{Name: c.Name(), Cached: c.Cached()}
	}
	report := e.marks.of.Report()
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &e.stats
	s.Watermarks = report
	s.Epoch, s.Position = e.seen.Epoch, e.seen.Position
	s.Watermark, s.Newest = e.seen.Watermark, e.seen.Newest
	s.LogEnd, s.Timers, s.Orphans = e.info.Last, e.timers.pending+e.clocks.pending, e.orphans
	s.Operators, s.Cells = ops, cells
}

func (e *Engine) setPaused(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Paused = ""
	if err != nil {
		e.stats.Paused = err.Error()
	}
}

func (e *Engine) noteCommit(r *state.Record, took time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Commits++
	e.stats.CommitTime += took
	e.stats.Changes += uint64(r.Len()) //nolint:gosec // never negative
	e.stats.Bytes += uint64(r.Bytes()) //nolint:gosec // never negative
}
