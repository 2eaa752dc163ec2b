package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/operators/experiment"
)

// TestMetering: figures are told when they changed and only then, each message complete in
// itself, and the past of an experiment stays bounded and covers all of it.
func TestMetering(t *testing.T) {
	r := &experiment.Running{
		Experiment: experiment.Experiment{Name: "words", Seed: "s", Coverage: 1, Variants: []experiment.Variant{{Name: "control", Weight: 0.5}, {Name: "short", Weight: 0.5}}},
		Metrics:    experiment.Watch(nil), Goal: 3,
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	var p experiment.Progress
	var subjects []string
	var last experiment.Figures
	down := false
	m := newMetering(func() ([]experiment.Figures, error) {
		return []experiment.Figures{p.Figures(r, &experiment.Stops{}, p.Last, 7)}, nil
	}, func(subject string, data []byte) error {
		if down {
			return errors.New("down")
		}
		subjects = append(subjects, subject)
		last = experiment.Figures{}
		return json.Unmarshal(data, &last)
	}, slog.New(slog.DiscardHandler))
	expose := func(arm int) {
		t.Helper()
		if _, err := p.Take(r, &experiment.Move{Arm: arm, After: make([]experiment.Values, len(r.Metrics)), At: 1}, p.Last+1000); err != nil {
			t.Fatal(err)
		}
	}
	m.look()
	m.look()
	expose(1)
	m.look()
	m.look()
	want := []string{"millrace.metrics.words.control", "millrace.metrics.words.short"}
	if !slices.Equal(subjects, append(slices.Clone(want), want...)) {
		t.Fatalf("told %q", subjects)
	}
	if last.Experiment != "words" || last.Watermark != 1000 || len(last.Arms) != 1 || last.Arms[0].Name != "short" || last.Arms[0].Units != 1 || last.Arms[0].Verdict == "" {
		t.Fatalf("%+v", last)
	}
	down = true
	expose(0)
	m.look() // a server that is down stops nothing
	down = false
	for range 2000 {
		expose(0)
		m.look()
	}
	all, points := m.snapshot()
	past := points["words"]
	if len(all) != 1 || len(past) > pointsMax+1 || len(past) < pointsMax/3 {
		t.Fatalf("%d points", len(past))
	}
	if past[len(past)-1].Arms[0].Units != 2001 || past[0].Arms[0].Units > 20 {
		t.Fatalf("from %d to %d units", past[0].Arms[0].Units, past[len(past)-1].Arms[0].Units)
	}
	shown, err := consoleExperiments{m: m}.Experiments(t.Context())
	if err != nil || len(shown) != 1 || len(shown[0].Arms) != 2 || len(shown[0].Past) != len(past) || len(shown[0].Arms[1].Message) == 0 {
		t.Fatalf("%+v, %v", shown, err)
	}

	c := &collector{app: &app{metering: m}}
	c.experiments()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]int)
	for _, f := range families {
		series[f.GetName()] = len(f.GetMetric())
	}
	wanted := map[string]int{
		"millrace_experiment_units": 2, "millrace_experiment_outcomes": 30, "millrace_experiment_goal_p": 2,
		"millrace_experiment_shares_p": 1, "millrace_experiment_stopped": 2,
	}
	if !maps.Equal(series, wanted) {
		t.Fatalf("got %v, want %v", series, wanted)
	}
}

// TestMeteringBounded: what is kept and labelled follows the experiments that run, however
// many phases there were; and who watches is told of each change once.
func TestMeteringBounded(t *testing.T) {
	phase, runs := 0, 3
	m := newMetering(func() ([]experiment.Figures, error) {
		var out []experiment.Figures
		for i := range runs {
			arms := []experiment.Arm{{Name: "control", Units: int64(phase), Metrics: []experiment.Figure{{Name: "order"}}}, {Name: "holdout"}}
			out = append(out, experiment.Figures{Experiment: fmt.Sprint("e", i), Phase: fmt.Sprint(phase), Arms: arms})
		}
		return out, nil
	}, func(string, []byte) error { return nil }, slog.New(slog.DiscardHandler))
	changed, stop := m.Watch()
	c := &collector{app: &app{metering: m}}
	c.experiments()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	count := func() (n int) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			n += len(f.GetMetric())
		}
		return n
	}
	f := func(experiments, series int) {
		t.Helper()
		runs = experiments
		for range 50 {
			phase++
			m.look()
		}
		// An experiment of two arms has two series of each of three kinds, one of the shares,
		// and one for each metric of an arm.
		if got := count(); got != series || len(m.past) != experiments {
			t.Errorf("%d experiments: %d series, %d pasts", experiments, got, len(m.past))
		}
	}
	f(3, 3*8)
	f(1, 8)
	f(0, 0)
	<-changed
	select {
	case <-changed:
		t.Error("told twice")
	default:
	}
	m.look() // nothing is new
	runs = 1
	stop()
	m.look()
	select {
	case <-changed:
		t.Error("told although nothing changed, or nobody watches")
	default:
	}
}
