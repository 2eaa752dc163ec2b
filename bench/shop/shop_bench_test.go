package shop

import (
	"slices"
	"testing"
)

func BenchmarkSimulation(b *testing.B) {
	s := New(Options{Seed: 1})
	bytes := 0
	b.ReportAllocs()
	for b.Loop() {
		bytes += len(s.Next().JSON)
	}
	b.ReportMetric(float64(bytes)/float64(b.N), "B/event")
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		New(Options{Seed: 1})
	}
}

func BenchmarkWorkload(b *testing.B) {
	w := NewWorkload(WorkloadOptions{Events: 1 << 40})
	buffer := make([]byte, 0, 1024)
	bytes := 0
	b.ReportAllocs()
	for b.Loop() {
		msg, _ := w.Next(buffer)
		bytes += len(msg)
	}
	b.ReportMetric(float64(bytes)/float64(b.N), "B/event")
}

func BenchmarkRecount(b *testing.B) {
	all := collect(WorkloadOptions{Events: 10_000, Users: 1000, Items: 1000})
	b.ReportAllocs()
	for b.Loop() {
		Recount(slices.Values(all))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(all)), "ns/event")
}
