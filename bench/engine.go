package bench

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"millrace/bench/shop"
	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/privacy"
	"millrace/operators/recommend"
	"millrace/operators/trigger"
	"millrace/state"
)

// EngineOptions say how the engine is measured. Dir, an empty directory, is required.
type EngineOptions struct {
	Dir    string
	Events int
	Users  int
	Items  int
	// Latency is how long latency is measured; negative leaves it out.
	Latency time.Duration
	// Process leaves out the syncs: a crash of the program is survived, no power failure.
	Process bool
	// Progress is told what is under way, and how much of it is done.
	Progress func(phase string, done, total int)
}

func (o EngineOptions) withDefaults() EngineOptions {
	o.Events = cmp.Or(max(o.Events, 0), 1_000_000)
	o.Users = cmp.Or(max(o.Users, 0), 1_000_000)
	o.Items = cmp.Or(max(o.Items, 0), 50_000)
	o.Latency = cmp.Or(o.Latency, time.Minute) // several flushes and collections
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	return o
}

// EngineResult is what an engine costs. CPU-seconds are user and system time of the
// whole process, the embedded server included, publishing not; those of the measurement
// of latency include the publisher and are not given.
type EngineResult struct {
	Events          int     `json:"events"`
	BytesPerEvent   float64 `json:"bytes_per_event"`
	ReadCPU         float64 `json:"read_cpu_s_per_million"`
	PipelineCPU     float64 `json:"pipeline_cpu_s_per_million"`
	PackedCPU       float64 `json:"packed_cpu_s_per_million"`
	EventsPerSecond float64 `json:"events_per_second"`
	PackedPerSecond float64 `json:"packed_events_per_second"`
	LatencyRate     float64 `json:"latency_events_per_second,omitempty"`
	LatencyP50      float64 `json:"latency_p50_ms,omitempty"`
	LatencyP99      float64 `json:"latency_p99_ms,omitempty"`
	BareP99         float64 `json:"bare_sync_p99_ms,omitempty"`
	RSS             float64 `json:"rss_mb"` // greatest so far
	StateMB         float64 `json:"state_mb"`
	Reopen          float64 `json:"reopen_s"` // from opening that state to ready
	Durability      string  `json:"durability"`
}

// packed is how many events a packed message carries.
const packed = 50

// Engine measures what the engine costs: reading a filled log, the whole cart pipeline
// on it, the same with packed messages, and latency at half of the rate that was reached.
// It runs a server and a state of its own in o.Dir.
func Engine(ctx context.Context, o EngineOptions) (EngineResult, error) {
	o = o.withDefaults()
	r := EngineResult{Events: o.Events, Durability: "power"}
	if o.Process {
		r.Durability = "process"
	}
	single, err := o.openLog(ctx, "single", false)
	if err != nil {
		return r, err
	}
	defer single.close()
	if r.BytesPerEvent, err = o.fill(ctx, single.log, 1); err != nil {
		return r, err
	}
	if r.ReadCPU, err = o.read(ctx, single.log); err != nil {
		return r, err
	}
	run, err := o.pipeline(ctx, single.log, "pipeline")
	if err != nil {
		return r, err
	}
	r.PipelineCPU, r.EventsPerSecond = run.cpu, run.rate
	r.StateMB, r.Reopen, r.RSS = run.stateMB, run.reopen, peakRSS()
	many, err := o.openLog(ctx, "packed", false)
	if err != nil {
		return r, err
	}
	defer many.close()
	if _, err = o.fill(ctx, many.log, packed); err != nil {
		return r, err
	}
	if run, err = o.pipeline(ctx, many.log, "packed pipeline"); err != nil {
		return r, err
	}
	r.PackedCPU, r.PackedPerSecond = run.cpu, run.rate
	if o.Latency > 0 {
		r.LatencyRate = r.EventsPerSecond / 2
		err = o.latency(ctx, &r)
	}
	return r, err
}

// openedLog is a log with its server.
type openedLog struct {
	server *stream.Server
	log    *stream.Log
}

func (l *openedLog) close() {
	_ = l.log.Close()
	l.server.Shutdown()
}

func (o *EngineOptions) openLog(ctx context.Context, name string, sync bool) (*openedLog, error) {
	server, err := stream.StartServer(stream.ServerOptions{Dir: filepath.Join(o.Dir, name), SyncAlways: sync})
	if err != nil {
		return nil, err
	}
	log, err := stream.Open(ctx, stream.Options{Server: server})
	if err != nil {
		server.Shutdown()
		return nil, err
	}
	return &openedLog{server, log}, nil
}

func (o *EngineOptions) workload(events int) *shop.Workload {
	return shop.NewWorkload(shop.WorkloadOptions{
		Seed: 1, Events: events, Users: o.Users, Items: o.Items,
		Start: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), Step: 50 * time.Millisecond,
		Mix: shop.Mix{Views: 700, Adds: 120, Removes: 30, Orders: 50},
	})
}

// envelope packs events as the gateway does. Simulated, so that event time is theirs.
func envelope(dst []byte, items []event.Item) []byte {
	return event.AppendEnvelope(dst, event.Header{Source: "bench", Sim: true}, items)
}

// fill publishes the workload and answers the bytes of an event.
func (o *EngineOptions) fill(ctx context.Context, log *stream.Log, each int) (float64, error) {
	bytes, n := 0, 0
	var items []event.Item
	for msg := range o.workload(o.Events).All() {
		items = append(items, event.Item{Raw: append([]byte(nil), msg...)})
		bytes += len(msg)
		if n++; len(items) < each && n < o.Events {
			continue
		}
		data := items[0].Raw
		if each > 1 {
			data = envelope(nil, items)
		}
		items = items[:0]
		if err := log.PublishAsync(ctx, "in.bench", "", data); err != nil {
			return 0, err
		}
		if n%10_000 == 0 {
			o.Progress("publish", n, o.Events)
		}
	}
	return float64(bytes) / float64(max(n, 1)), log.Flush(ctx)
}

// read reads the log and answers CPU-seconds per million messages.
func (o *EngineOptions) read(ctx context.Context, log *stream.Log) (float64, error) {
	r := log.NewReader(stream.ReaderOptions{})
	defer func() { _ = r.Close() }()
	if _, err := r.Open(ctx, engine.Position{}, false); err != nil {
		return 0, err
	}
	buf := make([]engine.Message, 512)
	before := cpuTime()
	for left := o.Events; left > 0; {
		n, err := r.Next(ctx, buf)
		if err != nil {
			return 0, err
		}
		left -= n
		o.Progress("read", o.Events-left, o.Events)
	}
	return (cpuTime() - before).Seconds() / float64(o.Events) * 1e6, nil
}

// engineRun is what one run of the pipeline cost.
type engineRun struct {
	cpu, rate, stateMB, reopen float64
}

// pipeline runs the whole cart pipeline over the log.
func (o *EngineOptions) pipeline(ctx context.Context, log *stream.Log, phase string) (engineRun, error) {
	var run engineRun
	dir := filepath.Join(o.Dir, "state of "+phase)
	before, started := cpuTime(), time.Now()
	count, err := o.once(ctx, log, dir, phase)
	if err != nil {
		return run, err
	}
	if count != uint64(o.Events) { //nolint:gosec // not negative
		return run, fmt.Errorf("%d events were counted, %d are in the log", count, o.Events)
	}
	run.cpu = (cpuTime() - before).Seconds() / float64(o.Events) * 1e6
	run.rate = float64(o.Events) / time.Since(started).Seconds()
	started = time.Now()
	store, err := state.Open(state.Options{Dir: dir, Sync: !o.Process})
	if err != nil {
		return run, err
	}
	run.stateMB = float64(store.Size()) / (1 << 20)
	e, stop, err := o.engine(ctx, log, store, nil, true)
	if err != nil {
		return run, err
	}
	run.reopen = time.Since(started).Seconds()
	_ = e.engine.Run(ctx) // nothing is left to do
	stop()
	return run, store.Close()
}

// once opens a state, runs the pipeline to the end of the log, and closes the state.
func (o *EngineOptions) once(ctx context.Context, log *stream.Log, dir, phase string) (uint64, error) {
	store, err := state.Open(state.Options{Dir: dir, Sync: !o.Process})
	if err != nil {
		return 0, err
	}
	defer func() { _ = store.Close() }()
	e, stop, err := o.engine(ctx, log, store, nil, true)
	if err != nil {
		return 0, err
	}
	defer stop()
	watch, end := context.WithCancel(ctx)
	defer end()
	go func() {
		t := time.NewTicker(200 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-watch.Done():
				return
			case <-t.C:
				o.Progress(phase, int(e.pipeline.Counters.Total()), o.Events) //nolint:gosec // small
			}
		}
	}()
	if err := e.engine.Run(ctx); err != nil {
		return 0, err
	}
	return e.pipeline.Counters.Total(), nil
}

// builtEngine is an engine with its graph.
type builtEngine struct {
	engine   *engine.Engine
	pipeline *operators.Pipeline
	decided  *atomic.Int64
}

// engine makes an engine with the cart pipeline; decisions go nowhere, and are settled.
func (o *EngineOptions) engine(ctx context.Context, log *stream.Log, store *state.Store, committer engine.Committer, once bool) (builtEngine, func(), error) {
	names, err := privacy.NewPseudonyms(make([]byte, 32))
	if err != nil {
		return builtEngine{}, nil, err
	}
	b := builtEngine{decided: &atomic.Int64{}}
	b.pipeline = operators.Build(operators.Options{
		Pseudonyms: names,
		Recommend:  recommend.Options{SeenPairs: 10},
		Rules:      []trigger.Rule{{Pipeline: "cart-abandonment", ID: "abandoned", Kind: trigger.CartAbandoned, Content: "cart", AssumeConsent: true}},
	})
	acknowledge := func(context.Context, *engine.View, engine.Row) (engine.Result, time.Duration, error) {
		b.decided.Add(1)
		return engine.Removed, 0, nil
	}
	r := log.NewReader(stream.ReaderOptions{})
	b.engine, err = engine.Open(ctx, engine.Options{
		Source: r, Store: store, Committer: committer, Decoder: operators.NewDecoder(event.Options{}), Graph: b.pipeline.Graph, Once: once,
		Handlers: map[string]engine.Handler{trigger.EffectMail: acknowledge, operators.EffectDeadLetter: acknowledge},
		LogEnd: func(ctx context.Context) (uint64, error) {
			s, err := log.Info(ctx)
			return s.Last, err
		},
	})
	return b, func() { _ = r.Close() }, err
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakRSS is the greatest resident memory so far, in MiB.
func peakRSS() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Maxrss) / 1024 // Linux counts KiB
}
