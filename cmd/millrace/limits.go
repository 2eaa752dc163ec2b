package main

import (
	"context"
	"maps"
	"sync"
	"time"

	"millrace/engine"
)

// This file shows how much is kept, and which limits were reached; docs/operations.md
// holds the table.

// limits adds to all how often limits outside the outbox were reached.
func (m *collector) limits(all map[string]uint64) map[string]uint64 {
	maps.Copy(all, m.app.engine.Limits())
	c, j, s := m.app.pipeline.Counters, m.app.journal.Stats(), m.app.suppressed.Stats()
	all["person"], all["waits"], all["labels"] = c.Bounded.Load(), c.Waits.Load(), c.Labels.Load()
	all["journal"], all["suppressed"] = uint64(max(j.Full, 0)), uint64(max(s.Full, 0))
	if m.app.inbox != nil {
		i := m.app.inbox.Stats()
		all["inbox"] = uint64(max(i.Mails-int64(i.Kept), 0))
	}
	return all
}

// storedSizes is how much the state held at the last scan. Safe for concurrent use.
type storedSizes struct {
	mu   sync.Mutex
	last []engine.Stored
}

// latest is what the last scan found, nil before the first one.
func (s *storedSizes) latest() []engine.Stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// run reads all of the state now and then, as the segments do, until ctx ends.
func (s *storedSizes) run(ctx context.Context, a *app) {
	timer := time.NewTimer(scanFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begin := time.Now()
		v := a.engine.View()
		sizes, err := engine.Inventory(v)
		v.Close()
		if err == nil {
			s.mu.Lock()
			s.last = sizes
			s.mu.Unlock()
		} else if ctx.Err() == nil {
			a.log.Warn("the state could not be measured", "err", err)
		}
		timer.Reset(max(scanEvery, scanShare*time.Since(begin)))
	}
}
