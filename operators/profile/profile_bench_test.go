package profile

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) {
			events := busy(n, rand.New(rand.NewPCG(1, 2)))
			u := New(Options{})
			var p Person
			var ch Change
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if i == n {
					p, i = Person{}, 0
				}
				u.Apply(&p, &events[i], &ch)
				i++
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) {
			p := someone(n)
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				out = p.AppendTo(out[:0])
			}
			b.ReportMetric(float64(len(out)), "bytes")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) {
			in := someone(n).AppendTo(nil)
			b.ReportAllocs()
			for b.Loop() {
				var p Person
				if err := p.DecodeFrom(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
