package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"millrace/operators/content"
	"millrace/operators/lstm"
)

// tuneFile is where a search stands, within a data directory.
const tuneFile = "models/tune-subject.json"

// tuneStateMax bounds that file: 256 trials on 8 rungs take less.
const tuneStateMax = 4 << 20

// tuneState is that file. A search goes on only under the same plan.
type tuneState struct {
	Plan     tunePlan        `json:"plan"`
	Measured []lstm.Measured `json:"measured"`
}

// tunePlan is all that decides what a search measures.
type tunePlan struct {
	Halving lstm.Halving `json:"halving"`
	Steps   int          `json:"steps"`
	Seed    uint64       `json:"seed"`
	Average int          `json:"average"`
	Own     string       `json:"own,omitempty"` // hash of the shop's own lines
}

// tuned is one trial's settings.
type tuned struct {
	Hidden  int     `json:"hidden"`
	Cell    string  `json:"cell"`
	Tied    bool    `json:"tied"`
	Dropout float64 `json:"dropout"`
	Rate    float64 `json:"rate"`
	Clip    float64 `json:"clip"`
}

// drawTrial draws the settings of a trial; the first is the shipped model's.
func drawTrial(seed uint64, trial int) tuned {
	if trial == 0 {
		return tuned{Hidden: 128, Cell: "lstm", Rate: 6e-3, Clip: 1}
	}
	r := rand.New(rand.NewPCG(seed, uint64(trial))) //nolint:gosec // trial is not negative; no secret hangs on it
	t := tuned{
		Hidden: []int{64, 96, 128, 160}[r.IntN(4)], Cell: []string{"lstm", string(lstm.GRU)}[r.IntN(2)], Tied: r.IntN(2) == 1,
		Dropout: []float64{0, .1, .2, .3}[r.IntN(4)], Clip: []float64{.5, 1, 2}[r.IntN(3)],
	}
	t.Rate = math.Round(1e5*2e-3*math.Pow(6, r.Float64())) / 1e5 // from .002 to .012, even in the logarithm
	return t
}

func (t tuned) options(p tunePlan, own string, rung int) content.TrainOptions {
	o := content.TrainOptions{
		Seed: p.Seed, Steps: p.Halving.Budget(p.Steps, rung), Own: own, Average: p.Average, Uncontrolled: rung < p.Halving.Rungs-1,
		Hidden: t.Hidden, Tied: t.Tied, Dropout: t.Dropout, Rate: t.Rate, Clip: t.Clip,
	}
	if t.Cell == string(lstm.GRU) {
		o.Cell = lstm.GRU
	}
	return o
}

func newModelTune() *cobra.Command {
	cmd := &cobra.Command{Use: "tune", Short: "Search for better settings of a training"}
	cmd.AddCommand(newModelTuneSubject(), newModelTuneSentiment())
	return cmd
}

func newModelTuneSubject() *cobra.Command {
	p := tunePlan{Halving: lstm.Halving{}.WithDefaults()}
	var o output
	dir, own := "", ""
	cmd := &cobra.Command{
		Use:   "subject",
		Short: "Search for better settings of the model that writes subject lines",
		Long: `Draws settings at random from a seed, trains each for a small share of the steps, and
the best third of them for three times as many, until few have had them all (successive
halving). What counts is the loss on lines that are held out. Models that had all steps go
into the registry; none is put in use. A search that was killed goes on where it was.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if p.Steps < 1 || p.Steps > 1_000_000 || p.Average < 0 || p.Halving != p.Halving.WithDefaults() {
				return &exitError{exitUsage, fmt.Errorf("%d steps, average of %d, %d trials on %d rungs by %d: see --help", p.Steps, p.Average, p.Halving.Trials, p.Halving.Rungs, p.Halving.Factor)}
			}
			lines, err := ownLines(own, dir)
			if err != nil {
				return err
			}
			if sum := sha256.Sum256([]byte(lines)); lines != "" {
				p.Own = hex.EncodeToString(sum[:8])
			}
			s := &tuneState{Plan: p}
			if err := s.load(filepath.Join(dir, tuneFile)); err != nil {
				return err
			}
			if err := s.search(cmd, dir, lines, content.Train); err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), s.answer(), s.text)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "data-dir", "data", "data directory: its registry takes the models, and where the search stands")
	f.StringVar(&own, "corpus", "", "file of lines of the shop's own (default: what \"millrace corpus import\" put into --data-dir)")
	f.IntVar(&p.Halving.Trials, "trials", p.Halving.Trials, "settings to draw, at most 256; the first are those of the shipped model")
	f.IntVar(&p.Halving.Rungs, "rungs", p.Halving.Rungs, "budgets, at most 8")
	f.IntVar(&p.Halving.Factor, "factor", p.Halving.Factor, "one trial in so many goes on, with so many times the steps; at most 16")
	f.IntVar(&p.Steps, "steps", 4500, "steps of the last rung")
	f.IntVar(&p.Average, "average", 5, "try the mean of so many of the last measured weights, and keep it where it measures better; 0: do not")
	f.Uint64Var(&p.Seed, "seed", 20, "seed of the draw and of every training")
	o.flag(cmd)
	return cmd
}

// load reads where the search stands, if there is one.
func (s *tuneState) load(path string) error {
	old, found, err := readSearch[tuneState](path, tuneFile)
	if err != nil || !found {
		return err
	}
	if old.Plan != s.Plan {
		return &exitError{exitUsage, fmt.Errorf("%s is of a search with other flags or lines (%+v): give the same, or delete it", tuneFile, old.Plan)}
	}
	s.Measured = old.Measured
	return nil
}

// readSearch reads where a search stands; found is false when there is none. Errors name
// the file as name.
func readSearch[T any](path, name string) (old T, found bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return old, false, nil
	}
	if err == nil && info.Size() > tuneStateMax {
		err = fmt.Errorf("%d bytes, at most %d", info.Size(), tuneStateMax)
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(path)
	}
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		err = d.Decode(&old)
	}
	if err != nil {
		return old, false, fmt.Errorf("read %s: %w", name, err)
	}
	return old, true, nil
}

// saveSearch writes where a search stands to the file name of a data directory.
func saveSearch(dir, name string, s any) error {
	raw, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return writeFile(path, raw)
}

// trainer is content.Train.
type trainer func(ctx context.Context, o content.TrainOptions, progress func(step, total int, loss float64)) (*lstm.Model, content.Report, error)

// search measures what is not measured yet.
func (s *tuneState) search(cmd *cobra.Command, dir, own string, train trainer) error {
	h := s.Plan.Halving
	r := lstm.NewRegistry(filepath.Join(dir, modelsDir))
	var err error
	s.Measured, err = h.Search(cmd.Context(), s.Measured, func(trial, rung int) (lstm.Measured, error) {
		o := drawTrial(s.Plan.Seed, trial).options(s.Plan, own, rung)
		bar := progressbar.NewOptions(o.Steps, progressbar.OptionSetWriter(cmd.ErrOrStderr()), progressbar.OptionShowCount())
		model, rep, err := train(cmd.Context(), o, func(step, _ int, loss float64) {
			bar.Describe(fmt.Sprintf("trial %d, rung %d, loss %.3f", trial, rung, loss))
			_ = bar.Set(step)
		})
		_ = bar.Finish()
		fmt.Fprintln(cmd.ErrOrStderr())
		m := lstm.Measured{Loss: rep.Held, Figures: map[string]float64{
			"steps": float64(rep.Steps), "control": rep.Control.Share, "alone": rep.Alone, "mean": rep.Mean, "averaged": float64(rep.Averaged)}}
		last := rung == h.Rungs-1
		switch {
		case errors.Is(err, content.ErrNoControl):
			m.Failed = "no control"
			return m, nil
		case err != nil:
			return m, err
		case last:
			m.Version, err = register(r, model)
		}
		return m, err
	}, func(all []lstm.Measured) error {
		s.Measured = all
		return saveSearch(dir, tuneFile, s)
	})
	return err
}

// register puts a model into the registry.
func register(r *lstm.Registry, m *lstm.Model) (string, error) {
	raw, err := content.EncodeModel(m)
	if err != nil {
		return "", err
	}
	card, err := content.CardOf(raw, time.Now().UTC())
	if err != nil {
		return "", err
	}
	card, err = r.Add(raw, card)
	return card.Version, err
}

// tunedTrial is a row of the table.
type tunedTrial struct {
	lstm.Measured
	Settings tuned `json:"settings"`
}

func (s *tuneState) answer() map[string]any {
	rows := make([]tunedTrial, 0, len(s.Measured))
	for _, m := range s.Measured {
		rows = append(rows, tunedTrial{m, drawTrial(s.Plan.Seed, m.Trial)})
	}
	best, _ := lstm.Best(s.Measured)
	return map[string]any{"plan": s.Plan, "trials": rows, "best": tunedTrial{best, drawTrial(s.Plan.Seed, best.Trial)}}
}

func (s *tuneState) text(w io.Writer) {
	fmt.Fprintln(w, "rung trial   steps  held-out   alone      mean  control  hidden cell tied dropout    rate clip")
	for _, m := range s.Measured {
		t, f := drawTrial(s.Plan.Seed, m.Trial), m.Figures
		fmt.Fprintf(w, "%4d %5d %7.0f %9.4f %7.4f %9.4f %8.3f  %6d %-4s %-5t %6.1f %7.5f %4.1f %s%s\n", m.Rung, m.Trial, f["steps"], m.Loss,
			f["alone"], f["mean"], f["control"], t.Hidden, t.Cell, t.Tied, t.Dropout, t.Rate, t.Clip, m.Version, m.Failed)
	}
	if best, ok := lstm.Best(s.Measured); ok {
		fmt.Fprintf(w, "best: trial %d %s\n", best.Trial, best.Version)
	}
}
