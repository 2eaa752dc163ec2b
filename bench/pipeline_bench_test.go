package bench_test

import (
	"context"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"millrace/bench/shop"
	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/privacy"
	"millrace/operators/trigger"
	"millrace/state"
)

// The benchmarks read a filled log of single-event messages of about 260 bytes, as
// JetStream holds them on disk, server included. They report events per second and
// CPU-seconds (user and system, all threads of the process) per million events:
// publishing is not counted. MILLRACE_BENCH_EVENTS changes how many.

func benchEvents() int {
	if n, err := strconv.Atoi(os.Getenv("MILLRACE_BENCH_EVENTS")); err == nil && n > 0 {
		return n
	}
	return 300_000
}

// filled is a log with the workload in it.
type filled struct {
	server *stream.Server
	log    *stream.Log
	n      int
}

func fill(b *testing.B) *filled {
	b.Helper()
	n := benchEvents()
	server, err := stream.StartServer(stream.ServerOptions{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(server.Shutdown)
	l, err := stream.Open(b.Context(), stream.Options{Server: server})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	for msg := range workload(n).All() {
		if err := l.PublishAsync(b.Context(), "in.bench", "", append([]byte(nil), msg...)); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	return &filled{server, l, n}
}

func workload(n int) *shop.Workload {
	return shop.NewWorkload(shop.WorkloadOptions{
		Seed: 1, Events: n, Users: 100_000, Items: 20_000, Start: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), Step: 50 * time.Millisecond,
	})
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs f, which handles n events a call, and reports.
func measure(b *testing.B, n int, f func()) {
	b.Helper()
	before, started, runs := cpu(b), time.Now(), 0
	for b.Loop() {
		f()
		runs++
	}
	events := float64(n * runs)
	b.ReportMetric(events/time.Since(started).Seconds(), "events/s")
	b.ReportMetric((cpu(b)-before).Seconds()/events*1e6, "cpu-s/M")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkRead(b *testing.B) {
	l := fill(b)
	measure(b, l.n, func() { l.read(b, func(*engine.Message) {}) })
}

func BenchmarkReadDecode(b *testing.B) {
	l := fill(b)
	d := operators.NewDecoder(event.Options{})
	var units []engine.Unit
	measure(b, l.n, func() {
		l.read(b, func(m *engine.Message) { units = d.Decode(units[:0], m) })
	})
}

func (l *filled) read(b *testing.B, each func(*engine.Message)) {
	b.Helper()
	r := l.log.NewReader(stream.ReaderOptions{})
	defer func() { _ = r.Close() }()
	if _, err := r.Open(b.Context(), engine.Position{}, false); err != nil {
		b.Fatal(err)
	}
	buf := make([]engine.Message, 512)
	for left := l.n; left > 0; {
		n, err := r.Next(b.Context(), buf)
		if err != nil {
			b.Fatal(err)
		}
		for i := range buf[:n] {
			each(&buf[i])
		}
		left -= n
	}
}

// BenchmarkPipeline runs everything but the mail: decode, identity, profile, triggers
// with their timers, co-occurrence, and exactly-once state in Badger. Decisions are
// acknowledged by a handler that sends nothing.
func BenchmarkPipeline(b *testing.B) {
	l := fill(b)
	measure(b, l.n, func() { l.pipeline(b, b.TempDir(), false, 1) })
}

// BenchmarkPipelineParallel is BenchmarkPipeline on several goroutines.
func BenchmarkPipelineParallel(b *testing.B) {
	l := fill(b)
	for _, n := range []int{1, 2, 4} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			measure(b, l.n, func() { l.pipeline(b, b.TempDir(), false, n) })
		})
	}
}

// BenchmarkPipelineSync is BenchmarkPipeline with each commit synced to disk.
func BenchmarkPipelineSync(b *testing.B) {
	l := fill(b)
	measure(b, l.n, func() { l.pipeline(b, b.TempDir(), true, 1) })
}

func (l *filled) pipeline(b *testing.B, dir string, power bool, parallel int) {
	b.Helper()
	store, err := state.Open(state.Options{Dir: dir, Sync: power})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	names, err := privacy.NewPseudonyms(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	p := operators.Build(operators.Options{
		Pseudonyms: names,
		Rules:      []trigger.Rule{{Pipeline: "cart-abandonment", ID: "abandoned", Kind: trigger.CartAbandoned, Content: "cart", AssumeConsent: true}},
	})
	r := l.log.NewReader(stream.ReaderOptions{})
	defer func() { _ = r.Close() }()
	var mu sync.Mutex
	done := 0
	acknowledge := func(context.Context, *engine.View, engine.Row) (engine.Result, time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		done++
		return engine.Removed, 0, nil
	}
	e, err := engine.Open(b.Context(), engine.Options{
		Source: r, Store: store, Decoder: operators.NewDecoder(event.Options{}), Graph: p.Graph, Once: true, Parallel: parallel,
		Handlers: map[string]engine.Handler{trigger.EffectMail: acknowledge, operators.EffectDeadLetter: acknowledge},
		LogEnd: func(ctx context.Context) (uint64, error) {
			s, err := l.log.Info(ctx)
			return s.Last, err
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	if got := p.Counters.Total(); got != uint64(l.n) {
		b.Fatalf("%d events counted, %d are in the log", got, l.n)
	}
	s := e.Stats()
	b.ReportMetric(float64(s.Changes)/float64(l.n), "writes/event")
	b.ReportMetric(float64(s.Bytes)/float64(l.n), "B/event")
	b.ReportMetric(float64(s.Commits), "commits")
}
