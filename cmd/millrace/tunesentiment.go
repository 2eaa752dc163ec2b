package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"

	"github.com/spf13/cobra"

	"millrace/bench/accuracy"
	"millrace/operators/lstm"
	"millrace/operators/sentiment"
)

// toneTuneFile is where a search for settings of the model of tone stands, within a data
// directory.
const toneTuneFile = "models/tune-sentiment.json"

// toneTune is that file. A search goes on only under the same plan and on the same texts.
type toneTune struct {
	Plan     toneTunePlan    `json:"plan"`
	Measured []lstm.Measured `json:"measured"`
}

type toneTunePlan struct {
	Halving lstm.Halving `json:"halving"`
	Seed    uint64       `json:"seed"`
	Set     string       `json:"set"`
	Texts   int          `json:"texts"`
}

// toneTrial is the settings of a trial.
type toneTrial struct {
	Kind  sentiment.Kind `json:"kind"`
	Cost  float64        `json:"cost"`
	Folds int            `json:"folds"` // of the calibration within a training
}

// drawTone draws the settings of a trial; the first is the default.
func drawTone(seed uint64, trial int) toneTrial {
	if trial == 0 {
		return toneTrial{Kind: sentiment.DefaultKind, Cost: 1, Folds: 4}
	}
	r := rand.New(rand.NewPCG(seed, uint64(trial))) //nolint:gosec // trial is not negative; no secret hangs on it
	kinds := []sentiment.Kind{sentiment.Bayes, sentiment.Logistic, sentiment.Ensemble, sentiment.Ensemble}
	t := toneTrial{Kind: kinds[r.IntN(len(kinds))], Folds: []int{3, 4, 6, 8}[r.IntN(4)]}
	t.Cost = math.Round(1e3*.1*math.Pow(100, r.Float64())) / 1e3 // from .1 to 10, even in the logarithm
	return t
}

func newModelTuneSentiment() *cobra.Command {
	s := &toneTune{Plan: toneTunePlan{Halving: lstm.Halving{}.WithDefaults()}}
	var o output
	dir, data := "", ""
	cmd := &cobra.Command{
		Use:   "sentiment",
		Short: "Search for better settings of the model that judges what people write",
		Long: `Draws settings at random from a seed, judges each by cross-validation on a small share of
the texts, and the best third of them on three times as many (successive halving). What
counts is the share of wrong verdicts, then the calibration error. "millrace model train
sentiment --kind --cost" makes a model of what is best. A search that was killed goes on
where it was.`,
		Example: `  millrace model tune sentiment --data reviews.csv`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h := s.Plan.Halving
			if data == "" || h != h.WithDefaults() {
				return &exitError{exitUsage, fmt.Errorf("--data %q, %d trials on %d rungs by %d: see --help", data, h.Trials, h.Rungs, h.Factor)}
			}
			sets, err := accuracy.ReadSentiment(filepath.Dir(data), []string{data})
			if err != nil {
				return err
			}
			set := sets[0]
			s.Plan.Set, s.Plan.Texts = set.Name, len(set.Rows)
			if err := s.load(filepath.Join(dir, toneTuneFile)); err != nil {
				return err
			}
			if err := s.search(cmd, dir, set); err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), s.answer(), s.text)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "data-dir", "data", "data directory: keeps where the search stands")
	f.StringVar(&data, "data", "", "file of a labelled set")
	f.IntVar(&s.Plan.Halving.Trials, "trials", s.Plan.Halving.Trials, "settings to draw, at most 256; the first are the default")
	f.IntVar(&s.Plan.Halving.Rungs, "rungs", s.Plan.Halving.Rungs, "budgets, at most 8")
	f.IntVar(&s.Plan.Halving.Factor, "factor", s.Plan.Halving.Factor, "one trial in so many goes on, with so many times the texts; at most 16")
	f.Uint64Var(&s.Plan.Seed, "seed", 20, "seed of the draw and of every training")
	o.flag(cmd)
	return cmd
}

// load reads where the search stands, if there is one.
func (s *toneTune) load(path string) error {
	old, found, err := readSearch[toneTune](path, toneTuneFile)
	if err != nil || !found {
		return err
	}
	if old.Plan != s.Plan {
		return &exitError{exitUsage, fmt.Errorf("%s is of a search with other flags or texts (%+v): give the same, or delete it", toneTuneFile, old.Plan)}
	}
	s.Measured = old.Measured
	return nil
}

// search measures what is not measured yet.
func (s *toneTune) search(cmd *cobra.Command, dir string, set accuracy.SentimentSet) error {
	h := s.Plan.Halving
	rows := shuffled(set.Rows, s.Plan.Seed)
	var err error
	s.Measured, err = h.Search(cmd.Context(), s.Measured, func(trial, rung int) (lstm.Measured, error) {
		t := drawTone(s.Plan.Seed, trial)
		some := accuracy.SentimentSet{Name: set.Name, Rows: rows[:h.Budget(len(rows), rung)], Folds: measureFolds}
		bar := evalBar(cmd, fmt.Sprintf("trial %d, rung %d", trial, rung))
		score, err := accuracy.EvaluateSentiment(cmd.Context(), some, sentiment.Options{Kind: t.Kind, Cost: t.Cost, Folds: t.Folds, Seed: s.Plan.Seed}, bar.set)
		bar.done()
		if err != nil {
			return lstm.Measured{}, err
		}
		return lstm.Measured{Loss: 1 - score.Accuracy + score.ECE/1000, Figures: map[string]float64{
			"texts": float64(len(some.Rows)), "accuracy": score.Accuracy, "f1": score.F1, "ece": score.ECE,
		}}, nil
	}, func(all []lstm.Measured) error {
		s.Measured = all
		return saveSearch(dir, toneTuneFile, s)
	})
	return err
}

// shuffled is the rows in an order of a seed, so that a part of them is a sample.
func shuffled(rows []accuracy.SentimentRow, seed uint64) []accuracy.SentimentRow {
	out := append([]accuracy.SentimentRow(nil), rows...)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] }) //nolint:gosec // no secret hangs on it
	return out
}

// tonedTrial is a row of the table.
type tonedTrial struct {
	lstm.Measured
	Settings toneTrial `json:"settings"`
}

func (s *toneTune) answer() map[string]any {
	rows := make([]tonedTrial, 0, len(s.Measured))
	for _, m := range s.Measured {
		rows = append(rows, tonedTrial{m, drawTone(s.Plan.Seed, m.Trial)})
	}
	best, _ := lstm.Best(s.Measured)
	return map[string]any{"plan": s.Plan, "trials": rows, "best": tonedTrial{best, drawTone(s.Plan.Seed, best.Trial)}}
}

func (s *toneTune) text(w io.Writer) {
	fmt.Fprintln(w, "rung trial   texts accuracy     F1    ECE  kind        cost folds")
	for _, m := range s.Measured {
		t, f := drawTone(s.Plan.Seed, m.Trial), m.Figures
		fmt.Fprintf(w, "%4d %5d %7.0f   %.4f %.4f %.4f  %-9s %6.3f %5d\n", m.Rung, m.Trial, f["texts"], f["accuracy"], f["f1"], f["ece"], t.Kind, t.Cost, t.Folds)
	}
	if best, ok := lstm.Best(s.Measured); ok {
		t := drawTone(s.Plan.Seed, best.Trial)
		fmt.Fprintf(w, "best: trial %d: millrace model train sentiment --kind %s --cost %g\n", best.Trial, t.Kind, t.Cost)
	}
}
