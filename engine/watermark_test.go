package engine_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/engine"
)

const second = int64(1000)

var steady = engine.WatermarkOptions{OutOfOrder: 10 * time.Second, Idle: time.Minute, Behind: time.Hour}

func TestWatermarks(t *testing.T) {
	w := engine.NewWatermarks(steady)
	f := func(want int64, holding string) {
		t.Helper()
		if got := w.Watermark(); got != want {
			t.Fatalf("watermark %d, want %d", got, want)
		}
		if r := w.Report(); r.Holding != holding || r.Watermark != want {
			t.Fatalf("report %+v, want it held by %q", r, holding)
		}
	}
	f(math.MinInt64, "")
	w.Observe("web", 1000*second, 1001*second)
	f(990*second, "web")
	// Another one that is later holds it.
	w.Observe("web", 1040*second, 1041*second)
	w.Observe("app", 1005*second, 1042*second)
	f(1030*second, "app") // it never goes back
	w.Observe("web", 1060*second, 1060*second)
	f(1030*second, "app")
	w.Observe("app", 1050*second, 1061*second)
	f(1040*second, "app")
	if r := w.Report(); r.HeldMillis != 10*second || len(r.Producers) != 2 || r.Producers[0].Name != "app" || r.Producers[0].Lag != 11*second {
		t.Fatalf("report %+v", r)
	}
	// A clock that is a day fast gets no further than its receipt, and fires nobody's timers.
	if at := w.Observe("app", 90000*second, 1062*second); at != 1062*second {
		t.Fatalf("an event from the future counts as of %d", at)
	}
	f(1050*second, "web")
	// One that goes silent holds it until it is idle, by the clock of the log.
	w.Observe("app", 1110*second, 1110*second)
	f(1050*second, "web")
	w.Observe("app", 1119*second, 1120*second)
	f(1109*second, "app")
	if r := w.Report(); r.Producers[0].State != "idle" || r.Clamped != 1 {
		t.Fatalf("report %+v", r)
	}
	// It is back with what is old: late, and the watermark waits for it again.
	w.Observe("web", 1070*second, 1121*second)
	f(1109*second, "web")
	// A clock that is hours slow holds nobody.
	w.Observe("web", 1200*second, 1200*second)
	w.Observe("slow", 2*second, 9000*second)
	w.Observe("app", 9000*second, 9000*second)
	f(8990*second, "app")
	// When all are silent a tick moves it.
	w.Tick(9059 * second)
	f(8990*second, "app")
	w.Tick(9060 * second)
	f(9050*second, "")
	w.Tick(5)
	f(9050*second, "")
}

func TestWatermarksAreBounded(t *testing.T) {
	o := steady
	o.Producers = 3
	w := engine.NewWatermarks(o)
	for i := range int64(100) {
		w.Observe(fmt.Sprintf("p%d", i), 1000*second+i, 1000*second+i)
	}
	r := w.Report()
	if len(r.Producers) != 4 || r.Shared != 97 {
		t.Fatalf("report %+v", r)
	}
	// The idle ones make room.
	w.Observe("new", 2000*second, 2000*second)
	w.Observe("newer", 2000*second, 2000*second)
	if r := w.Report(); r.Shared != 97 || r.Producers[len(r.Producers)-1].Name != "newer" {
		t.Fatalf("report %+v", r)
	}
	// Times that are none do no harm.
	w.Observe("new", math.MaxInt64, math.MaxInt64)
	w.Observe("new", math.MinInt64, math.MinInt64)
	w.Observe("new", math.MinInt64, 0)
	w.Tick(math.MaxInt64)
	if w.Watermark() > 1<<50 {
		t.Fatalf("watermark %d", w.Watermark())
	}
}

// sighting is one line of a model log.
type sighting struct {
	name         string
	at, received int64
}

// watermarkOf computes the watermark of a whole log anew.
func watermarkOf(log []sighting, o engine.WatermarkOptions) int64 {
	mark := int64(math.MinInt64)
	for n := 1; n <= len(log); n++ {
		newest, last := map[string]int64{}, map[string]int64{}
		clock := int64(math.MinInt64)
		for _, s := range log[:n] {
			clock = max(clock, s.received)
			if s.name == "" {
				continue
			}
			at := min(s.at, s.received)
			if old, known := newest[s.name]; !known || at > old {
				newest[s.name] = at
			}
			if old, known := last[s.name]; !known || s.received > old {
				last[s.name] = s.received
			}
		}
		least, some, behind, ahead := clock, false, false, int64(math.MinInt64)
		for name, at := range newest {
			switch {
			case clock-last[name] >= o.Idle.Milliseconds():
			case last[name]-at > o.Behind.Milliseconds():
				behind, ahead = true, max(ahead, at)
			case !some || at < least:
				least, some = at, true
			}
		}
		if !some && behind {
			least = ahead
		}
		mark = max(mark, least-o.OutOfOrder.Milliseconds())
	}
	return mark
}

// TestWatermarksAgainstNaive: after each line, whether stored and read back or not, the
// watermark is that of a computation over the whole log; it never goes back and never
// passes the receive time.
func TestWatermarksAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := engine.WatermarkOptions{OutOfOrder: 5 * time.Millisecond, Idle: 20 * time.Millisecond, Behind: 60 * time.Millisecond}
		w, stored := engine.NewWatermarks(o), engine.NewWatermarks(o)
		var log []sighting
		clock, mark := int64(1000), int64(math.MinInt64)
		for range rapid.IntRange(1, 40).Draw(t, "lines") {
			clock += rapid.Int64Range(-3, 12).Draw(t, "pass")
			s := sighting{name: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "name"), received: clock}
			s.at = clock - rapid.Int64Range(-30, 100).Draw(t, "lag")
			log = append(log, s)
			if s.name == "" {
				w.Tick(s.received)
				stored.Tick(s.received)
			} else {
				w.Observe(s.name, s.at, s.received)
				stored.Observe(s.name, s.at, s.received)
			}
			if got, want := w.Watermark(), watermarkOf(log, o); got != want {
				t.Fatalf("after %+v: watermark %d, want %d", log, got, want)
			}
			if w.Watermark() < mark || w.Watermark() > w.Report().Received {
				t.Fatalf("watermark from %d to %d, received %d", mark, w.Watermark(), w.Report().Received)
			}
			mark = w.Watermark()
			raw := stored.AppendTo(nil)
			if err := stored.DecodeFrom(raw); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(raw, w.AppendTo(nil)) || fmt.Sprint(stored.Report()) != fmt.Sprint(w.Report()) {
				t.Fatalf("stored %+v, not %+v", stored.Report(), w.Report())
			}
		}
	})
}

func FuzzWatermarks(f *testing.F) {
	w := engine.NewWatermarks(steady)
	for i := range int64(4) {
		f.Add(w.AppendTo(nil))
		w.Observe(fmt.Sprintf("p%d", i), 1000*second+i, 1000*second+i)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := engine.NewWatermarks(steady)
		if w.DecodeFrom(raw) != nil {
			return
		}
		if err := w.DecodeFrom(w.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		w.Observe("p1", 5000*second, 5000*second)
		w.Report()
	})
}

func BenchmarkWatermarks(b *testing.B) {
	w := engine.NewWatermarks(steady)
	names := []string{"gateway-1", "gateway-2", "gateway-3", "gateway-4"}
	at := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		at++
		w.Observe(names[at&3], at, at)
	}
}

func BenchmarkWatermarksAlone(b *testing.B) {
	w := engine.NewWatermarks(steady)
	at := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		at++
		w.Observe("default", at, at)
	}
}
