package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"millrace/bench/accuracy"
)

func newEvalUpworthy() *cobra.Command {
	var dir string
	var alpha float64
	var seed uint64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "upworthy",
		Short: "Replay published headline tests as streams and say which are called",
		Long: `Upworthy replays the tests of the Upworthy archive (upworthy*.csv or .csv.gz with
clickability_test_id, impressions and clicks) impression by impression, looks every 100
changes, compares the estimates with those of the sums, bit for bit, and prints how many
tests each rule calls, before and after correction for their number.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return &exitError{exitUsage, errors.New("--data is missing: the folder of the archive")}
			}
			if !(alpha > 0 && alpha < 0.5) {
				return &exitError{exitUsage, fmt.Errorf("--alpha %g, more than 0 and less than .5", alpha)}
			}
			tests, err := accuracy.ReadExperimentTests(dir)
			if errors.Is(err, accuracy.ErrExperimentData) {
				return &exitError{exitNotFound, err}
			}
			if err != nil {
				return err
			}
			r, err := accuracy.EvaluateExperiments(tests, alpha, seed)
			if err != nil {
				return err
			}
			if asJSON {
				return accuracy.WriteExperimentJSON(cmd.OutOrStdout(), r)
			}
			return accuracy.WriteExperimentTable(cmd.OutOrStdout(), r)
		},
	}
	cmd.Flags().StringVar(&dir, "data", "", "folder of the archive")
	cmd.Flags().Float64Var(&alpha, "alpha", 0.05, "level at which a test is called")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "of the order in which impressions come")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object instead of a table")
	return cmd
}
