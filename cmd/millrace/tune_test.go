package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"reflect"
	"testing"

	"millrace/operators/content"
	"millrace/operators/lstm"
)

// TestModelTune kills a search within a training and lets it go on from its file.
func TestModelTune(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, filepath.FromSlash(tuneFile))
	plan := tunePlan{Halving: lstm.Halving{Trials: 4, Rungs: 2, Factor: 2}, Steps: 100, Seed: 20, Average: 5}
	cmd := newModelTuneSubject()
	cmd.SetContext(context.Background())
	cmd.SetErr(io.Discard)
	killed := errors.New("killed")
	runs := 0
	play := func(dir string, left int) (*tuneState, error) {
		t.Helper()
		s := &tuneState{Plan: plan}
		if err := s.load(filepath.Join(dir, filepath.FromSlash(tuneFile))); err != nil {
			t.Fatal(err)
		}
		return s, s.search(cmd, dir, "", func(_ context.Context, o content.TrainOptions, progress func(int, int, float64)) (*lstm.Model, content.Report, error) {
			if left--; left < 0 {
				return nil, content.Report{}, killed
			}
			runs++
			progress(o.Steps, o.Steps, 1)
			rep := content.Report{Steps: o.Steps, Held: o.Rate + 1/float64(o.Steps)}
			if !o.Uncontrolled {
				return nil, rep, content.ErrNoControl
			}
			return nil, rep, nil
		})
	}
	// Models of the first rung are not registered, so none need be there.
	if _, err := play(dir, 3); !errors.Is(err, killed) {
		t.Fatal(err)
	}
	got, err := play(dir, 100)
	if err != nil || runs != 6 {
		t.Fatalf("%d trainings, %v, want 4 and 2", runs, err)
	}
	want, err := play(t.TempDir(), 100)
	if err != nil || !reflect.DeepEqual(got.Measured, want.Measured) {
		t.Errorf("%+v, %v, want %+v", got.Measured, err, want.Measured)
	}
	for _, m := range got.Measured {
		steps := map[int]float64{0: 50, 1: 100}[m.Rung]
		if m.Figures["steps"] != steps || (m.Rung == 1) != (m.Failed != "") {
			t.Errorf("measured %+v, want %v steps", m, steps)
		}
	}
	other := &tuneState{Plan: plan}
	other.Plan.Seed++
	if err := other.load(path); err == nil {
		t.Error("a search with another seed goes on")
	}
}

func TestDrawTrial(t *testing.T) {
	for trial := range 256 {
		d := drawTrial(20, trial)
		o := d.options(tunePlan{Halving: lstm.Halving{}.WithDefaults(), Steps: 4500, Seed: 20}, "", 2)
		if err := trainable(o); err != nil || d.Hidden < 64 || d.Rate < 2e-3 || d.Rate > 12e-3 || d != drawTrial(20, trial) {
			t.Fatalf("trial %d: %+v, %v", trial, d, err)
		}
	}
}
