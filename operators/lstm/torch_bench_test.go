//go:build unix

package lstm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// cpuTime is what this process has used of the processor, which other programs on the
// machine do not stretch as they do the clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTorch measures what bench/peers/lstm_torch measures of PyTorch.
func BenchmarkTorch(b *testing.B) {
	c := Config{Vocab: 1000, Embed: 32, Hidden: 128, Cond: 45}
	const batch, steps = 16, 12
	r := rand.New(rand.NewPCG(1, 1))
	lines := make([]Example, batch)
	for i := range lines {
		e := &lines[i]
		for range steps + 1 {
			e.Tokens = append(e.Tokens, r.Int32N(1000))
		}
		for range c.Cond {
			e.Cond = append(e.Cond, float32(r.NormFloat64()))
		}
	}
	measure := func(b *testing.B, tokens int, run func()) {
		b.ReportAllocs()
		before, n := cpuTime(b), 0
		for b.Loop() {
			run()
			n++
		}
		b.ReportMetric(float64(n*tokens)/(cpuTime(b)-before).Seconds(), "tokens/cpu-s")
	}
	b.Run("train/16", func(b *testing.B) {
		measure(b, 100*batch*steps, func() {
			_, err := Train(context.Background(), model(b, c, 1), Schedule{Steps: 100, Batch: batch, Buckets: []int{steps}, Data: func(int) []Example { return lines }})
			if err != nil {
				b.Fatal(err)
			}
		})
	})
	for _, lanes := range []int{16, 4, 1} {
		b.Run(fmt.Sprintf("infer/%d", lanes), func(b *testing.B) {
			s := NewRunner(model(b, c, 1)).NewBatch(lanes)
			read := make([]int32, lanes)
			measure(b, lanes*steps, func() {
				for lane := range lanes {
					s.Start(lane, lines[lane].Cond)
					read[lane] = lines[lane].Tokens[0]
				}
				for range steps {
					s.Step(read)
					for lane := range lanes {
						best := 0
						logits := s.Logits(lane)
						for i, l := range logits {
							if l > logits[best] {
								best = i
							}
						}
						read[lane] = int32(best) //nolint:gosec // below the size of the vocabulary
					}
				}
			})
		})
	}
}
