package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"millrace/bench/accuracy"
	"millrace/operators/lstm"
	"millrace/operators/sentiment"
)

// This file trains the model that judges what people write.

// toneTraining says what a model of tone is made of.
type toneTraining struct {
	files
	data     string
	noLabels bool
	noCorpus bool
	from     string
	options  sentiment.Options
}

// examples are the texts to learn: those of the project, and the shop's own.
func (t *toneTraining) examples() (shipped []sentiment.Example, own []accuracy.SentimentRow, err error) {
	if !t.noCorpus {
		if shipped, t.options.Corpus, err = sentiment.Corpus(); err != nil {
			return nil, nil, err
		}
	}
	if t.data != "" {
		sets, err := accuracy.ReadSentiment(filepath.Dir(t.data), []string{t.data})
		if err != nil {
			return nil, nil, err
		}
		for _, s := range sets {
			own = append(own, s.Rows...)
		}
	}
	if !t.noLabels {
		labels, err := t.readLabels()
		if err != nil {
			return nil, nil, err
		}
		own = append(own, labels...)
	}
	return shipped, own, nil
}

// learn takes the labels into a model that there is, one at a time.
func (t *toneTraining) learn() (*sentiment.Model, int, error) {
	m, _, err := t.toneModel(t.from)
	if err != nil {
		return nil, 0, err
	}
	t.noCorpus = true
	_, own, err := t.examples()
	if err != nil {
		return nil, 0, err
	}
	for _, e := range accuracy.Examples(own) {
		m.Learn(e)
	}
	return m, len(own), nil
}

// measureFolds is how many parts a training set is judged on in turn.
const measureFolds = 5

// train makes the model, and what stands in its card.
func (t *toneTraining) train(ctx context.Context, progress func(done, total int)) (*sentiment.Model, lstm.Card, error) {
	card := lstm.Card{
		Name: sentimentName, Created: time.Now().UTC(), Seed: strconv.FormatUint(t.options.Seed, 10), Metrics: map[string]float64{},
		Licence: "that of the program for its own corpus; the shop's texts are the shop's",
	}
	if t.from != "" {
		m, own, err := t.learn()
		card.Data = fmt.Sprintf("%s and %d labels of the shop, one at a time", t.from, own)
		return m, card, err
	}
	all, own, err := t.examples()
	if err != nil {
		return nil, card, err
	}
	all = append(all, accuracy.Examples(own)...)
	t.options.Labels, t.options.Progress = len(own), progress
	card.Data, card.Corpus = fmt.Sprintf("%d texts, %d of them the shop's own", len(all), len(own)), t.options.Corpus
	m, err := sentiment.Train(ctx, all, t.options)
	if err != nil {
		return nil, card, err
	}
	if len(own) == 0 {
		return m, card, nil // the corpus repeats itself: to judge by it would flatter
	}
	score, err := accuracy.EvaluateSentiment(ctx, accuracy.SentimentSet{Name: "own", Rows: own, Folds: measureFolds}, t.options, nil)
	if err == nil { // too few of a class for that is no error
		card.Metrics["own_accuracy"], card.Metrics["own_ece"] = score.Accuracy, score.ECE
	}
	return m, card, ctx.Err()
}

func newModelTrainSentiment() *cobra.Command {
	var t toneTraining
	kind, out := string(sentiment.DefaultKind), ""
	cmd := &cobra.Command{
		Use:   "sentiment",
		Short: "Train the model that judges what people write, into the registry",
		Long: `Sentiment learns the corpus that is shipped, the labels that "millrace label" took, and
--data, and puts the model into the registry of --data-dir; "millrace model promote" puts it
in use. With --from it takes the labels into a model that there is, one at a time, and leaves
its calibration as it is. The shipped model was made with
--no-labels --kind logistic --cost 10 --out.`,
		Example: `  millrace model train sentiment
  millrace model train sentiment --data reviews.csv --kind full`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.options.Kind = sentiment.Kind(kind); !slices.Contains(sentiment.Kinds(), t.options.Kind) {
				return &exitError{exitUsage, fmt.Errorf("--kind: no model %q, want one of %v", kind, sentiment.Kinds())}
			}
			if !(t.options.Cost >= 0 && t.options.Cost <= 1e6) {
				return &exitError{exitUsage, fmt.Errorf("--cost %g: want 0 to 1e6", t.options.Cost)}
			}
			bar := evalBar(cmd, "sentiment")
			m, card, err := t.train(cmd.Context(), bar.set)
			bar.done()
			if err != nil {
				return err
			}
			raw, err := m.Encode()
			if err != nil {
				return err
			}
			if out != "" {
				err = writeFile(out, raw)
				card.Version = lstm.VersionOf(sentimentName, raw)
			} else {
				card, err = toneModels(lstm.NewRegistry(filepath.Join(t.dir, modelsDir))).AddFile(raw, card)
			}
			if err != nil {
				return err
			}
			if a, ok := card.Metrics["own_accuracy"]; ok {
				fmt.Fprintf(cmd.OutOrStdout(), "by %d-fold cross-validation on the shop's own texts alone: accuracy %.3f, calibration error %.3f\n", measureFolds, a, card.Metrics["own_ece"])
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n", card.Data, card.Version)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.dir, "data-dir", "data", "data directory: its labels are learnt, and its registry takes the model")
	f.StringVar(&t.data, "data", "", "file of a labelled set that is learnt too")
	f.BoolVar(&t.noLabels, "no-labels", false, "leave the labels of the data directory out")
	f.BoolVar(&t.noCorpus, "no-corpus", false, "leave the shipped corpus out")
	f.StringVar(&t.from, "from", "", "take the labels into this version, shipped or current")
	f.StringVarP(&out, "out", "o", "", "file to write, instead of the registry")
	f.StringVar(&kind, "kind", kind, "bayes, logistic, lstm, ensemble or full")
	f.Float64Var(&t.options.Cost, "cost", 0, "weight of an error of the logistic regression against large weights (default: 1)")
	f.Uint64Var(&t.options.Seed, "seed", sentiment.ShippedOptions().Seed, "seed of the training")
	return cmd
}
