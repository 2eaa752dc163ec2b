package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"millrace/operators/event"
	"millrace/state"
)

// commitNote is one commit: when it began, after the start, and how many bytes it wrote.
type commitNote struct {
	began time.Duration
	bytes int
}

// latencyMeter stands between an engine and its store and sees what is committed when.
type latencyMeter struct {
	store   *state.Store
	started time.Time

	mu        sync.Mutex
	published []time.Duration // of the messages, by sequence
	done      uint64          // of the messages that are committed
	waits     []time.Duration // of the messages, each once
	commits   []commitNote
}

// Commit implements engine.Committer.
func (m *latencyMeter) Commit(ctx context.Context, r *state.Record) error {
	began := time.Since(m.started)
	if err := m.store.Commit(ctx, r); err != nil {
		return err
	}
	now := time.Since(m.started)
	var reached struct {
		Position struct{ Seq uint64 }
	}
	r.Each(func(key, value []byte, _ bool) {
		if string(key) == "\x01progress" {
			_ = json.Unmarshal(value, &reached)
		}
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits = append(m.commits, commitNote{began, r.Bytes()})
	for ; m.done < reached.Position.Seq && int(m.done) < len(m.published); m.done++ { //nolint:gosec // small
		m.waits = append(m.waits, now-m.published[m.done])
	}
	return nil
}

// latency publishes packed messages to a synced log at the rate of r, and measures how
// long after that each one is in committed state; then what a bare program takes that
// appends and syncs the same bytes at the same rhythm.
func (o *EngineOptions) latency(ctx context.Context, r *EngineResult) error {
	l, err := o.openLog(ctx, "latency", !o.Process)
	if err != nil {
		return err
	}
	defer l.close()
	store, err := state.Open(state.Options{Dir: filepath.Join(o.Dir, "state of latency"), Sync: !o.Process})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	m := &latencyMeter{store: store, started: time.Now()}
	e, stop, err := o.engine(ctx, l.log, store, m, false)
	if err != nil {
		return err
	}
	defer stop()
	running, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- e.engine.Run(running) }()
	messages := int(o.Latency / linger)
	err = o.publishAt(ctx, m, messages, max(int(r.LatencyRate*linger.Seconds()), 1), func(data []byte) error {
		return l.log.PublishAsync(ctx, "in.bench", "", data)
	})
	if err == nil {
		err = l.log.Flush(ctx)
	}
	for err == nil && m.behind(messages) {
		select {
		case err = <-ended:
			if err == nil {
				err = ctx.Err()
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
	end()
	if err != nil {
		return err
	}
	if err := <-ended; err != nil {
		return err
	}
	r.LatencyP50, r.LatencyP99 = quantile(m.waits, .5), quantile(m.waits, .99)
	bare, err := o.bare(ctx, m.commits)
	r.BareP99 = quantile(bare, .99)
	return err
}

func (m *latencyMeter) behind(messages int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int(m.done) < messages //nolint:gosec // small
}

// linger is how long events wait for others before a message of them is published, as at
// the gateway under load: a log that syncs each message takes some hundred a second.
const linger = 10 * time.Millisecond

// publishAt publishes messages of so many events each, one every linger. Each counts from
// when its last event is there.
func (o *EngineOptions) publishAt(ctx context.Context, m *latencyMeter, messages, events int, publish func([]byte) error) error {
	w := o.workload(messages * events)
	items := make([]event.Item, 0, events)
	start := time.Now()
	for i := range messages {
		items = items[:0]
		for range events {
			msg, _ := w.Next(nil)
			items = append(items, event.Item{Raw: msg})
		}
		data := envelope(nil, items)
		if err := sleepUntil(ctx, start.Add(time.Duration(i)*linger)); err != nil {
			return err
		}
		m.mu.Lock()
		m.published = append(m.published, time.Since(m.started))
		m.mu.Unlock()
		if err := publish(data); err != nil {
			return err
		}
		if i%20 == 0 {
			o.Progress("latency", i, messages)
		}
	}
	return nil
}

func sleepUntil(ctx context.Context, at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// bare appends and syncs what the commits wrote, when they did, and answers how long
// after that each was on the disk.
func (o *EngineOptions) bare(ctx context.Context, commits []commitNote) ([]time.Duration, error) {
	if len(commits) == 0 {
		return nil, nil
	}
	f, err := os.Create(filepath.Join(o.Dir, "bare"))
	if err != nil {
		return nil, fmt.Errorf("make a file to sync: %w", err)
	}
	defer func() { _ = f.Close() }()
	var waits []time.Duration
	start := time.Now().Add(-commits[0].began)
	for i, c := range commits {
		if err := sleepUntil(ctx, start.Add(c.began)); err != nil {
			return nil, err
		}
		if _, err = f.Write(make([]byte, c.bytes)); err == nil && !o.Process {
			err = f.Sync()
		}
		if err != nil {
			return nil, fmt.Errorf("append and sync: %w", err)
		}
		waits = append(waits, time.Since(start.Add(c.began)))
		if i%20 == 0 {
			o.Progress("bare syncs", i, len(commits))
		}
	}
	return waits, nil
}

// quantile is in milliseconds.
func quantile(d []time.Duration, q float64) float64 {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	at := min(int(q*float64(len(d))), len(d)-1)
	return float64(d[at].Microseconds()) / 1000
}
