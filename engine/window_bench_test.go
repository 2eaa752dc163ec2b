package engine_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"millrace/engine"
)

// BenchmarkSliding is the cost of a value, panes included, as the slide shrinks: windows
// of 100,000 values of one key, fired by the watermark behind them.
func BenchmarkSliding(b *testing.B) {
	const size = 100_000
	for _, slides := range []int64{1, 2, 10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("count/size:%d", slides), func(b *testing.B) {
			slide(b, engine.Counts[int64](), size, slides)
		})
	}
	for _, slides := range []int64{1, 2, 10, 100, 1000} {
		b.Run(fmt.Sprintf("mean/size:%d", slides), func(b *testing.B) {
			slide(b, engine.Means(func(v int64) float64 { return float64(v) }), size, slides)
		})
	}
}

func slide[A, Out any, P interface {
	*A
	AppendTo(b []byte) []byte
	DecodeFrom(b []byte) error
}](b *testing.B, agg engine.Aggregate[int64, A, Out], size, slides int64) {
	w, err := engine.NewWindower[int64, A, Out, P](engine.WindowOptions{
		Size: time.Duration(size) * time.Millisecond, Slide: time.Duration(size/slides) * time.Millisecond,
	}, agg)
	if err != nil {
		b.Fatal(err)
	}
	var s engine.Windows[A, P]
	var panes []engine.Pane[Out]
	at, emitted := int64(0), 0
	b.ReportAllocs()
	before := used(b)
	for b.Loop() {
		at++
		panes, _ = w.Add(panes[:0], &s, at, at, at-100)
		emitted += len(panes)
	}
	b.ReportMetric(float64((used(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(emitted)/float64(b.N), "panes/op")
}

// used is the processor time of this process, which a busy machine disturbs less than the
// clock on the wall.
func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWindowsStored is the cost of storing and reading back a key's windows.
func BenchmarkWindowsStored(b *testing.B) {
	for _, slides := range []int64{10, 100, 1000} {
		w, err := engine.NewWindower(engine.WindowOptions{Size: 1000 * time.Second, Slide: time.Duration(1000/slides) * time.Second}, engine.Counts[int64]())
		if err != nil {
			b.Fatal(err)
		}
		var s, again engine.Windows[engine.Count, *engine.Count]
		for at := range int64(1000) {
			w.Add(nil, &s, at*1000, at, 0)
		}
		var raw []byte
		b.Run(fmt.Sprint("slices:", slides), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				raw = s.AppendTo(raw[:0])
				if err := again.DecodeFrom(raw); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(raw)), "bytes")
		})
	}
}
