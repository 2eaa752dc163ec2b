package experiment_test

import (
	"strconv"
	"testing"

	"millrace/operators/experiment"
)

// BenchmarkOutcomes measures an outcome through the operators in the engine, its decoding
// from JSON and the commits included: the inverse of outcomes per second on one core.
func BenchmarkOutcomes(b *testing.B) {
	r := trial(b, "e", 0)
	var all []step
	const people = 1000
	for i := range people {
		all = append(all, step{Key: "p" + strconv.Itoa(i), At: 1000, Decide: "d" + strconv.Itoa(i)})
	}
	for i := range b.N {
		o := experiment.Outcome{ID: uint64(i) + 1, Name: experiment.OutcomeOrder, At: 2000, Amount: 100}
		all = append(all, step{Key: "p" + strconv.Itoa(i%people), At: 2000, Outcome: &o})
	}
	b.ReportAllocs()
	b.ResetTimer()
	p := liveOnce(b, map[string]*experiment.Running{"p": r}, all)
	b.ReportMetric(float64(len(p.AppendTo(nil))), "bytes/experiment")
}
