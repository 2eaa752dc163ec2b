package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"millrace/bench/accuracy"
	"millrace/operators/sentiment"
)

func newEvalSentiment() *cobra.Command {
	var dir string
	var sets, models []string
	var o sentiment.Options
	var folds int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sentiment",
		Short: "Measure how well the tone of texts is judged",
		Long: `Sentiment trains and judges the models of tone on labelled sets, by seeded, stratified
cross-validation, and prints accuracy, F1, AUC and calibration error of each. A set is a
.csv or .tsv file, gzip or not, whose first row names the columns label and text; the
public sets that docs/accuracy.md names are read as they were published.`,
		Example: `  millrace eval sentiment --data sets
  millrace eval sentiment --data sets --set waimai --model bayes --model logistic --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return &exitError{exitUsage, errors.New("--data is required")}
			}
			if len(models) == 0 {
				models = []string{string(sentiment.DefaultKind)}
			}
			for _, m := range models {
				if !slices.Contains(sentiment.Kinds(), sentiment.Kind(m)) {
					return &exitError{exitUsage, fmt.Errorf("--model: no model %q, want one of %v", m, sentiment.Kinds())}
				}
			}
			if folds < 0 || folds == 1 || folds > 100 {
				return &exitError{exitUsage, fmt.Errorf("--folds: %d, want 2 to 100", folds)}
			}
			read, err := accuracy.ReadSentiment(dir, sets)
			if err != nil {
				return err
			}
			scores, err := evalSentiment(cmd, read, models, o, folds)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"sets": scores})
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "data", "", "folder of labelled sets")
	cmd.Flags().StringArrayVar(&sets, "set", nil, "name of a set, or path of a file; repeatable (default: all of the folder)")
	cmd.Flags().StringArrayVar(&models, "model", nil, "bayes, logistic, lstm, ensemble or full; repeatable (default: ensemble)")
	cmd.Flags().IntVar(&folds, "folds", 0, "folds of the cross-validation (default: 10; 5 on online_shopping)")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of folds and models")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object last")
	return cmd
}

// evalSentiment measures each model on each set and prints a line as it is known.
func evalSentiment(cmd *cobra.Command, sets []accuracy.SentimentSet, models []string, o sentiment.Options, folds int) ([]accuracy.SentimentScore, error) {
	fmt.Fprintf(cmd.OutOrStdout(), "%-16s %-9s %7s %8s %15s %6s %6s %6s %8s\n", "set", "model", "texts", "accuracy", "95 % interval", "F1", "AUC", "ECE", "seconds")
	var scores []accuracy.SentimentScore
	for _, s := range sets {
		if folds > 0 && len(s.Dev) == 0 {
			s.Folds = folds
		}
		for _, m := range models {
			o.Kind = sentiment.Kind(m)
			bar := evalBar(cmd, s.Name+" "+m)
			score, err := accuracy.EvaluateSentiment(cmd.Context(), s, o, bar.set)
			bar.done()
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%-16s %-9s %7d %8.4f  %.4f-%.4f  %6.4f %6.4f %6.4f %8.1f\n",
				score.Name, score.Model, score.N, score.Accuracy, score.Low, score.High, score.F1, score.AUC, score.ECE, score.Seconds)
			scores = append(scores, score)
		}
	}
	return scores, nil
}

// progressLine is a bar on stderr that comes with the first step and goes at the end.
type progressLine struct {
	cmd  *cobra.Command
	what string
	bar  *progressbar.ProgressBar
}

func evalBar(cmd *cobra.Command, what string) *progressLine {
	p := &progressLine{cmd: cmd, what: what}
	p.set(0, 1)
	return p
}

func (p *progressLine) set(done, total int) {
	if p.bar == nil {
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(p.cmd.ErrOrStderr()),
			progressbar.OptionSetDescription(p.what), progressbar.OptionClearOnFinish())
	}
	p.bar.ChangeMax(total)
	_ = p.bar.Set(done)
}

func (p *progressLine) done() { _ = p.bar.Clear() }
