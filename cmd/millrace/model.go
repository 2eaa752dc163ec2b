package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"millrace/bench/accuracy"
	"millrace/operators/sentiment"
)

func newModel() *cobra.Command {
	cmd := &cobra.Command{Use: "model", Short: "Make, judge and choose models"}
	train := &cobra.Command{Use: "train", Short: "Train a model"}
	train.AddCommand(newModelTrainHeadline(), newModelTrainSubject(), newModelTrainSentiment())
	cmd.AddCommand(train, newModelList(), newModelShow(), newModelEval(), newModelPromote(), newModelRollback(), newModelTune())
	return cmd
}

func newModelTrainHeadline() *cobra.Command {
	var path, out string
	var o sentiment.HeadlineOptions
	cmd := &cobra.Command{
		Use:   "headline",
		Short: "Train the model that ranks headlines by their click rate",
		Long: `Headline learns from a shop's own past tests which subject lines are opened, and writes
the model to a file. The tests are a CSV file, gzip or not, with the columns test,
headline, impressions, clicks and, if there is one, image.`,
		Example: `  millrace model train headline --data tests.csv --out headline.model`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return &exitError{exitUsage, errors.New("--data is required")}
			}
			file, err := accuracy.FindHeadlines(path)
			if err != nil {
				return err
			}
			variants, err := accuracy.ReadHeadlines(file)
			if err != nil {
				return err
			}
			pairs := accuracy.HeadlineTraining(accuracy.HeadlinePairs(variants))
			model, err := sentiment.TrainHeadline(pairs, o)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			raw, err := model.Encode()
			if err != nil {
				return err
			}
			if err := writeFile(out, raw); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "learnt from %d pairs of %d headlines; %d bytes in %s\n", len(pairs), len(variants), len(raw), out)
			return err
		},
	}
	cmd.Flags().StringVar(&path, "data", "", "file of tests, or folder that holds it")
	cmd.Flags().StringVarP(&out, "out", "o", "headline.model", "file to write")
	cmd.Flags().Float64Var(&o.Cost, "cost", 0, "weight of an error against large weights (default: 1)")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of the training")
	return cmd
}
