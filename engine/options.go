package engine

import (
	"cmp"
	"context"
	"log/slog"
	"math/bits"
	"runtime/debug"
	"time"

	"millrace/state"
)

// Committer takes the record of an epoch: all of it or nothing. state.Store is one.
type Committer interface {
	Commit(ctx context.Context, r *state.Record) error
}

// Options say what an engine runs and how. Source, Store, Decoder and Graph are
// required.
type Options struct {
	Source    Source
	Store     *state.Store
	Committer Committer // Store, unless a test puts something in between
	Decoder   Decoder
	Graph     *Graph
	First     *Activation        // the version that Graph was made of, for a state that has none yet
	Handlers  map[string]Handler // what carries out each kind of effect
	Delivery  Delivery           // under which terms they leave

	OutOfOrder   time.Duration // the watermark trails the newest event by this much
	ProducerIdle time.Duration // a producer silent for so long, by the log's receive times, is not waited for
	EpochEvents  int           // an epoch closes after so many units, if not earlier
	BacklogUnits int           // the same while the log as of opening is read
	OutboxMax    int           // reading stops at so many effects without an outcome
	OutboxOpen   int           // of those, how many are held in memory
	Workers      int           // effects carried out at once
	Parallel     int           // goroutines that run the graph, rounded down to a power of two; nothing depends on it
	TimersOpen   int           // pending timers held in memory
	Drain        time.Duration // how long Run waits at its end for effects under way
	Memory       *state.Memory // what cells may keep encoded in memory
	AcceptGap    bool          // go on although the position does not fit the log

	// Once stops Run when everything in the log is processed, every effect has its
	// outcome and every receipt is read.
	Once bool
	// LogEnd is the sequence of the newest message of the log. Required with Once.
	LogEnd func(ctx context.Context) (uint64, error)

	// Tick publishes a tick to the log; at is Unix milliseconds of event time. Without
	// it timers wait for the next event.
	Tick func(ctx context.Context, at int64) error
	// Clock publishes a clock message to the log, which moves processing time and not the
	// watermark; at is Unix milliseconds. Without it processing time moves with units only.
	Clock func(ctx context.Context, at int64) error
	// Idle is how long the log is quiet before a tick.
	Idle time.Duration
	// Speed is event time per time, for simulations.
	Speed float64

	// MayCommit is asked before each commit; while it answers an error (the disk is
	// nearly full) the engine waits and says so in its stats.
	MayCommit func() error

	// Hook is called at named points, for crash tests.
	Hook func(point string)
	// EffectsFirst is a test switch: effects leave before their epoch commits. It
	// breaks the promises on purpose, so that the crash test can show it notices.
	EffectsFirst bool

	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.EpochEvents == 0 && o.BacklogUnits == 0 {
		o.BacklogUnits = 100_000 // nobody waits yet, and what changes often is written seldom
	}
	o.EpochEvents = cmp.Or(o.EpochEvents, 10_000) // commits amortise until here; more only adds memory
	o.BacklogUnits = cmp.Or(o.BacklogUnits, o.EpochEvents)
	o.OutboxMax = cmp.Or(o.OutboxMax, 50_000)   // about 50 MB of rows on disk
	o.OutboxOpen = cmp.Or(o.OutboxOpen, 1024)   // far more than Workers can have under way
	o.Workers = cmp.Or(o.Workers, 8)            // mail is slow and mostly waits
	o.TimersOpen = cmp.Or(o.TimersOpen, 65_536) // about 8 MB
	o.Drain = cmp.Or(o.Drain, 20*time.Second)   // longer than one SMTP dialogue
	o.Idle = cmp.Or(o.Idle, 30*time.Second)     // a pause that a busy log does not make
	o.Speed = cmp.Or(o.Speed, 1)                // live
	o.OutOfOrder = cmp.Or(o.OutOfOrder, 2*time.Minute)
	if o.Memory == nil {
		o.Memory = state.NewMemory(packedBytes(debug.SetMemoryLimit(-1)))
	}
	o.Parallel = 1 << (bits.Len(uint(min(max(o.Parallel, 1), parallelMax))) - 1) //nolint:gosec // positive
	if o.Committer == nil {
		o.Committer = o.Store
	}
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
	if o.MayCommit == nil {
		o.MayCommit = func() error { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// ParallelFor is how many goroutines are best to run the graph on a machine with so many
// processors: one on fewer than four, which decoding, commits and the server of the log
// keep busy too, else half of them.
func ParallelFor(processors int) int {
	if processors < 4 {
		return 1
	}
	return min(processors/2, parallelMax)
}

// The points at which Hook is called.
const (
	PointDecoded      = "after-decode"
	PointBeforeCommit = "before-commit"
	PointAfterCommit  = "after-commit"
	PointActivating   = "activating" // what the old graph did is on its way into the store
	PointActivated    = "activated"  // the new graph is in place, and not committed yet
)
