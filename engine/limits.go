package engine

import "sync/atomic"

// reached counts how often limits of the engine were reached, since start.
type reached struct {
	readAhead  atomic.Uint64 // what was decoded had to wait for the loop
	epochUnits atomic.Uint64 // an epoch closed since it had as many units as it may
	epochBytes atomic.Uint64 // or wrote as much
	timers     atomic.Uint64 // timers in memory became too many, and some are on disk only
}

// Limits is how often limits of the engine were reached since start, by name. Those of the
// outbox stand in Delivery. Safe for concurrent use.
func (e *Engine) Limits() map[string]uint64 {
	return map[string]uint64{
		"read_ahead": e.reached.readAhead.Load(), "epoch_units": e.reached.epochUnits.Load(),
		"epoch_bytes": e.reached.epochBytes.Load(), "timers_memory": e.reached.timers.Load(),
	}
}

// ValuesMemory is how much encoded values take in memory, and may take. Safe for concurrent
// use.
func (e *Engine) ValuesMemory() (used, limit int64) { return e.o.Memory.Used(), e.o.Memory.Limit() }
