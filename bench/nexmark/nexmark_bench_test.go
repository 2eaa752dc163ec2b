package nexmark_test

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"millrace/bench/nexmark"
	"millrace/engine"
	"millrace/state"
)

func TestMain(m *testing.M) {
	engine.UseMemory(0) // as the program does
	os.Exit(m.Run())
}

// benchEvents is how many events a run has; MILLRACE_BENCH_EVENTS changes it.
func benchEvents() int64 {
	if n, err := strconv.ParseInt(os.Getenv("MILLRACE_BENCH_EVENTS"), 10, 64); err == nil && n > 0 {
		return n
	}
	return 300_000
}

// cpu is the processor time that this process has used, of the system too.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkQuery runs each query over events that stand in memory as packed messages,
// 10,000 of them in a second of event time. Decoding, state on disk with each commit
// synced, timers and windows count; making the events and the sink's output do not.
// Per core means per second of processor time, of all threads together.
func BenchmarkQuery(b *testing.B) {
	w := nexmark.Workload{Events: benchEvents(), Micros: 100}
	log := w.Log()
	for _, query := range nexmark.Queries() {
		b.Run(query, func(b *testing.B) {
			var used, took time.Duration
			var out uint64
			runs := 0
			dir := b.TempDir()
			for b.Loop() {
				store, err := state.Open(state.Options{Dir: filepath.Join(dir, strconv.Itoa(runs)), Sync: true})
				if err != nil {
					b.Fatal(err)
				}
				sink := &nexmark.Sink{}
				before, started := cpu(b), time.Now()
				if err := nexmark.Run(b.Context(), query, log, w.OutOfOrder(), store, sink, nil); err != nil {
					b.Fatal(err)
				}
				used, took = used+cpu(b)-before, took+time.Since(started)
				if sink.Rows == 0 || sink.Bad+sink.Lost > 0 {
					b.Fatalf("rows %d, bad %d, lost %d", sink.Rows, sink.Bad, sink.Lost)
				}
				out = sink.Rows
				runs++
				if err := store.Close(); err != nil {
					b.Fatal(err)
				}
			}
			events := float64(w.Events) * float64(runs)
			b.ReportMetric(events/used.Seconds(), "events/core-s")
			b.ReportMetric(events/took.Seconds(), "events/s")
			b.ReportMetric(used.Seconds()/events*1e6, "cpu-s/M")
			b.ReportMetric(float64(out), "rows")
			b.ReportMetric(0, "ns/op")
		})
	}
}
