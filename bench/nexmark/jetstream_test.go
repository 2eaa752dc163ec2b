package nexmark_test

import (
	"errors"
	"fmt"
	"testing"

	"millrace/bench/nexmark"
	"millrace/engine"
)

// TestBench runs every query through a real log and a state on disk; Bench fails where
// an answer is not the naive one. Rows of the queries that know no processing time are
// those of the same workload in memory.
func TestBench(t *testing.T) {
	w := nexmark.Workload{Seed: 4, Events: 6_000, Micros: 9_000, Shuffle: 50, Pack: 7}
	var phases []string
	r, err := nexmark.Bench(t.Context(), nexmark.BenchOptions{
		Dir: t.TempDir(), Workload: w, Process: true, Workers: 2,
		Tune: func(o *engine.Options) { o.EpochEvents = 500 },
		Progress: func(phase string, _, _ int) {
			if len(phases) == 0 || phases[len(phases)-1] != phase {
				phases = append(phases, phase)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Queries) != len(nexmark.Queries()) || r.Events != w.Events || r.Pack != 7 || r.Workers != 2 || r.BytesPerEvent < 100 || r.Durability != "process" {
		t.Errorf("%+v", r)
	}
	for _, q := range r.Queries {
		if want := uint64(len(rows(t, q.Query, w, nil))); q.Query != "q4" && q.Query != "q12" && q.Rows != want {
			t.Errorf("%s: %d rows, in memory %d", q.Query, q.Rows, want)
		}
		if q.Commits < 12 || q.Rows == 0 || q.PerSecond <= 0 {
			t.Errorf("%+v", q)
		}
	}
	if fmt.Sprint(phases) != "[queries]" { // 6,000 events are 858 messages
		t.Errorf("phases %q", phases)
	}
}

// TestBenchNotices: the check of the answers can fail.
func TestBenchNotices(t *testing.T) {
	w := nexmark.Workload{Seed: 4, Events: 3_000, Micros: 9_000, Shuffle: 50}
	_, err := nexmark.Bench(t.Context(), nexmark.BenchOptions{
		Dir: t.TempDir(), Workload: w, Process: true, Queries: []string{"q8"},
		Tune: func(o *engine.Options) { o.Decoder = deaf{} },
	})
	if !errors.Is(err, nexmark.ErrAnswer) {
		t.Errorf("a decoder without people: %v", err)
	}
	if err := nexmark.Naive("q6", nil, &nexmark.Sink{}); err == nil {
		t.Error("there is no q6")
	}
}

// deaf loses every second person.
type deaf struct{ nexmark.Decoder }

func (d deaf) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	for _, u := range d.Decoder.Decode(nil, m) {
		if in, ok := u.Value.(*nexmark.Input); ok && in.Person != nil && in.Person.ID%2 == 0 {
			continue
		}
		dst = append(dst, u)
	}
	return dst
}
