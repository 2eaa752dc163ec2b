package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"millrace/bench/accuracy"
	"millrace/operators/content"
	"millrace/operators/lstm"
	"millrace/operators/sentiment"
)

// This file makes the model that ranks subjects by their clicks, and reads it for writers.

// headlineName is how the registry calls such models, headlineFile how a file of one is
// called by itself.
const (
	headlineName = "headline"
	headlineFile = "headline.model"
)

// headlinesOf is the registry of models of clicks beside that of the writers.
func headlinesOf(r *lstm.Registry) *lstm.Registry {
	return r.Of(func(file []byte) error {
		_, err := sentiment.DecodeHeadline(file)
		return err
	})
}

// clicksOf is a model of clicks as writers use it.
func clicksOf(version string, file []byte) (*content.Clicks, error) {
	m, err := sentiment.DecodeHeadline(file)
	if err != nil {
		return nil, err
	}
	return &content.Clicks{Version: version, Rank: m.Rank}, nil
}

// headlineTraining is what "model train headline" was told.
type headlineTraining struct {
	path, out, dir string
	fromLog        bool
	options        sentiment.HeadlineOptions
}

func newModelTrainHeadline() *cobra.Command {
	var h headlineTraining
	cmd := &cobra.Command{
		Use:   "headline",
		Short: "Train the model that ranks headlines by their click rate",
		Long: `Headline learns which subject lines are clicked, and writes the model to a file, or into
the registry of --data-dir, where "millrace model promote" puts it in use.

It learns from a shop's own past tests: a CSV file, gzip or not, with the columns test,
headline, impressions, clicks and, if there is one, image. Or, with --from-log, from the
mails of a data directory on which no program runs, and who clicked.`,
		Example: `  millrace model train headline --data tests.csv --data-dir data
  millrace model train headline --from-log --data-dir data`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return h.run(cmd) },
	}
	cmd.Flags().StringVar(&h.path, "data", "", "file of tests, or folder that holds it")
	cmd.Flags().BoolVar(&h.fromLog, "from-log", false, "learn from the mails and clicks of --data-dir instead")
	cmd.Flags().StringVar(&h.dir, "data-dir", "", "data directory whose registry takes the model, instead of a file")
	cmd.Flags().StringVarP(&h.out, "out", "o", headlineFile, "file to write")
	cmd.Flags().Float64Var(&h.options.Cost, "cost", 0, "weight of an error against large weights (default: 1)")
	cmd.Flags().Uint64Var(&h.options.Seed, "seed", 1, "seed of the training")
	return cmd
}

func (h *headlineTraining) run(cmd *cobra.Command) error {
	if (h.path == "") != h.fromLog || h.fromLog && h.dir == "" {
		return &exitError{exitUsage, errors.New("want --data FILE, or --from-log and --data-dir")}
	}
	var pairs []accuracy.HeadlinePair
	source, err := "", error(nil)
	if h.fromLog {
		pairs, source, err = reactionPairs(cmd.Context(), files{h.dir})
	} else {
		pairs, source, err = testPairs(h.path)
	}
	if err != nil {
		return err
	}
	model, err := sentiment.TrainHeadline(accuracy.HeadlineTraining(pairs), h.options)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	raw, err := model.Encode()
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	card := lstm.Card{Name: headlineName, Created: time.Now().UTC(), Seed: strconv.FormatUint(h.options.Seed, 10), Data: source,
		Licence: "that of the data", Metrics: map[string]float64{"pairs": float64(len(pairs))}}
	judged := ""
	// What a model of the other tests makes of each test; with too few there is no figure.
	if score, err := accuracy.EvaluateHeadlines(cmd.Context(), pairs, headlineFolds, h.options, nil); err == nil && score.Pairs > 0 {
		card.Metrics["accuracy"], card.Metrics["accuracy_low"], card.Metrics["longer"] = score.Accuracy, score.Low, score.Longer
		judged = fmt.Sprintf("; of %d pairs that were left out in turn %.4f in the right order (95 %% interval %.4f-%.4f)", score.Pairs, score.Accuracy, score.Low, score.High)
	}
	if h.dir == "" {
		if err := writeFile(h.out, raw); err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "learnt from %d pairs of %s; %d bytes in %s%s\n", len(pairs), source, len(raw), h.out, judged)
		return err
	}
	card, err = headlinesOf(lstm.NewRegistry(filepath.Join(h.dir, modelsDir))).AddFile(raw, card)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "learnt from %d pairs of %s; %d bytes%s\n%s\n", len(pairs), source, len(raw), judged, card.Version)
	return err
}

// headlineFolds is into how many parts tests are dealt to judge a model.
const headlineFolds = 5

// testPairs are the pairs of a file of tests.
func testPairs(path string) ([]accuracy.HeadlinePair, string, error) {
	file, err := accuracy.FindHeadlines(path)
	if err != nil {
		return nil, "", err
	}
	variants, err := accuracy.ReadHeadlines(file)
	if err != nil {
		return nil, "", err
	}
	return accuracy.HeadlinePairs(variants), fmt.Sprintf("%d headlines of past tests", len(variants)), nil
}
