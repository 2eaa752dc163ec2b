package recommend

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// crowd fills a hybrid with visits of about five items. Items are as unequal as those of
// a shop: the n-th most popular is looked at about 1/n as often as the first, and visits
// keep to a neighbourhood.
func crowd(items, visits int, voices ...string) (*Hybrid, func() []string) {
	h := NewHybrid(HybridOptions{Voices: voices})
	rng := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rng, 1.1, 20, uint64(items-1)) //nolint:gosec // positive
	visit := func() []string {
		start := int(zipf.Uint64()) //nolint:gosec // below items
		var out []string
		for range 2 + rng.IntN(7) {
			out = append(out, fmt.Sprint("item-", (start+rng.IntN(30)*rng.IntN(3))%items))
		}
		return out
	}
	for i := range items {
		if len(voices) == 0 {
			h.Describe(fmt.Sprint("item-", i), Product{
				Title: fmt.Sprintf("%s %s %d", [...]string{"red", "blue", "steel", "canvas"}[i%4], [...]string{"mug", "tent", "pan", "shirt", "lamp"}[i%5], i/20),
				Brand: fmt.Sprint("brand-", i%300), Category: fmt.Sprintf("c%d/d%d", i%9, i%90), Price: float64(5 + i%200),
			})
		}
	}
	for v := range visits {
		for k, i := range visit() {
			h.Observe(Action{Person: fmt.Sprint("p", v/3), Session: fmt.Sprint("s", v), Item: i, Time: int64(v)*20_000 + int64(k)*1000})
		}
	}
	return h, visit
}

// quantiles runs a question many times and reports how long single ones take, with the
// garbage collector at work.
func quantiles(b *testing.B, h *Hybrid, visit func() []string, r Request) {
	b.Helper()
	questions := make([][]string, 512)
	for k := range questions {
		questions[k] = visit()
	}
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		r.Session = questions[len(took)%len(questions)]
		h.Recommend(r)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// heap is what lives after a collection.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// everyVoice but EASE, whose fit is a batch of its own.
var everyVoice = []string{
	VoicePopular, VoiceRepeat, VoiceSessions, VoiceAR, VoiceSR, VoiceCosine, VoiceLLR, VoiceContent,
}

// BenchmarkRecommend asks at 40,000 items and 180,000 visits: the session neighbours
// alone, and all voices with their blend.
func BenchmarkRecommend(b *testing.B) {
	b.Run("vmis", func(b *testing.B) {
		h, visit := crowd(40_000, 180_000, VoiceSessions)
		quantiles(b, h, visit, Request{Exclude: ExcludeSession, Limit: 20})
	})
	b.Run("hybrid", func(b *testing.B) {
		before := heap()
		h, visit := crowd(40_000, 180_000)
		size := heap() - before
		quantiles(b, h, visit, Request{Exclude: ExcludeSession, Limit: 20})
		b.ReportMetric(size/1e6, "MB")
	})
}

// BenchmarkObserve adds clicks at 40,000 items and 180,000 visits.
func BenchmarkObserve(b *testing.B) {
	h, visit := crowd(40_000, 180_000, everyVoice...)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for k, i := range visit() {
			h.Observe(Action{Person: fmt.Sprint("q", n/3), Session: fmt.Sprint("t", n), Item: i, Time: 3_600_000_000 + int64(n)*20_000 + int64(k)})
		}
		n++
	}
}

// BenchmarkGrowth shows how memory and questions grow with the number of items, with
// five visits an item. A million items are asked for by MILLRACE_BENCH_LARGE=1.
func BenchmarkGrowth(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint("items=", n), func(b *testing.B) {
			if n > 100_000 && os.Getenv("MILLRACE_BENCH_LARGE") == "" {
				b.Skip("takes minutes and gigabytes; set MILLRACE_BENCH_LARGE=1")
			}
			before := heap()
			began := time.Now()
			h, visit := crowd(n, 5*n)
			built := time.Since(began)
			size := heap() - before
			quantiles(b, h, visit, Request{Exclude: ExcludeSession, Limit: 20})
			b.ReportMetric(float64(built.Nanoseconds())/float64(5*n), "ns/visit")
			b.ReportMetric(size/float64(n), "B/item")
		})
	}
}
