package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"millrace/bench/accuracy"
	"millrace/operators/sentiment"
)

func newEvalHeadline() *cobra.Command {
	var path string
	var o sentiment.HeadlineOptions
	var folds int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "headline",
		Short: "Measure how well headlines are ranked by their click rate",
		Long: `Headline ranks pairs of headlines of the same test and image whose click rates differ
beyond chance, by a model of other tests, and prints the share in the right order. The
tests are a CSV file, gzip or not, with the columns test, headline, impressions, clicks
and, if there is one, image; the public Upworthy file is read as it was published.`,
		Example: `  millrace eval headline --data sets
  millrace eval headline --data tests.csv --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return &exitError{exitUsage, errors.New("--data is required")}
			}
			if folds < 2 || folds > 100 {
				return &exitError{exitUsage, fmt.Errorf("--folds: %d, want 2 to 100", folds)}
			}
			file, err := accuracy.FindHeadlines(path)
			if err != nil {
				return err
			}
			variants, err := accuracy.ReadHeadlines(file)
			if err != nil {
				return err
			}
			bar := evalBar(cmd, "headlines")
			score, err := accuracy.EvaluateHeadlines(cmd.Context(), accuracy.HeadlinePairs(variants), folds, o, bar.set)
			bar.done()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d pairs of %d tests: %.4f in the right order (95 %% interval %.4f-%.4f), the longer one %.4f, ECE %.4f, %.1f s\n",
				score.Pairs, score.Tests, score.Accuracy, score.Low, score.High, score.Longer, score.ECE, score.Seconds)
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(score)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "data", "", "file of tests, or folder that holds it")
	cmd.Flags().IntVar(&folds, "folds", 5, "folds of the cross-validation")
	cmd.Flags().Float64Var(&o.Cost, "cost", 0, "weight of an error against large weights (default: 1)")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of folds and model")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object last")
	return cmd
}
