package stream

import (
	"context"
	"sync/atomic"
	"time"
)

// How old an answer of the server may be before Fill asks again, and how much of the
// limit may have been added since.
const (
	fillAgeMax   = 250 * time.Millisecond // a log that was purged is writable again this soon
	fillDriftMax = 0.005                  // far below the tenth that is kept free
)

// messageOverhead is what JetStream stores beside subject and data, rounded up.
const messageOverhead = 128

// fillGauge remembers how full the log was and what we added since, so that the
// gateway can decide without asking the server about each request.
type fillGauge struct {
	bytes atomic.Int64 // as the server counted
	limit atomic.Int64
	asked atomic.Int64 // Unix nanoseconds of that answer
	base  atomic.Int64 // added when we asked
	added atomic.Int64 // all that this program published
}

func (g *fillGauge) add(n int) { g.added.Add(int64(n) + messageOverhead) }

func (g *fillGauge) set(bytes uint64, limit int64, added int64) {
	g.bytes.Store(int64(min(bytes, 1<<62)))
	g.limit.Store(limit)
	g.base.Store(added)
	g.asked.Store(time.Now().UnixNano())
}

func (g *fillGauge) forget() { g.asked.Store(0) }

// guess estimates the fill, and whether the guess is fresh enough to be used.
func (g *fillGauge) guess() (float64, bool) {
	limit := g.limit.Load()
	if limit <= 0 {
		return 0, g.asked.Load() != 0
	}
	drift := g.added.Load() - g.base.Load()
	fresh := time.Since(time.Unix(0, g.asked.Load())) < fillAgeMax && float64(drift) < fillDriftMax*float64(limit)
	return float64(g.bytes.Load()+drift) / float64(limit), fresh
}

// Fill is the fraction of the log's byte limit that is used, 0 when it has none. It
// is at most a quarter of a second old; when the server does not answer, it is the
// last known one.
func (l *Log) Fill(ctx context.Context) float64 {
	f, fresh := l.fill.guess()
	if fresh || !l.fillMu.TryLock() {
		return f
	}
	defer l.fillMu.Unlock()
	if _, err := l.Info(ctx); err != nil {
		return f
	}
	f, _ = l.fill.guess()
	return f
}
