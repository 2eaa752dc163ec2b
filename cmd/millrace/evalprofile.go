package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"millrace/bench/accuracy"
)

func newEvalProfile() *cobra.Command {
	var o accuracy.ProfileOptions
	var dir string
	var sets []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "Measure axes, groups and forecasts of profiles",
		Long: `Profile measures how much variance the principal components hold after one pass, how
close groups that form one by one come to batch runs, how steady they are, and how well the
model of lifetimes forecasts orders that it has not seen.

A data set is a folder with table.csv (a header and numbers; the first column may be a
name) or orders.csv (customer, time, amount), or both; --data is one, or holds several.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return &exitError{exitUsage, errors.New("--data is missing: the folder of the data sets")}
			}
			if o.Axes < 0 || o.Axes > 32 || o.Groups < 0 || o.Groups == 1 || o.Groups > 64 || o.Shuffles < 0 || o.Shuffles > 1000 {
				return &exitError{exitUsage, fmt.Errorf("%d axes (1 to 32), %d groups (2 to 64), %d shuffles (at most 1000)", o.Axes, o.Groups, o.Shuffles)}
			}
			if o.Calibration < .1 || o.Calibration > .9 {
				return &exitError{exitUsage, fmt.Errorf("--calibration %g, .1 to .9", o.Calibration)}
			}
			found, err := accuracy.ReadProfileSets(dir, sets)
			if errors.Is(err, accuracy.ErrProfileData) {
				return &exitError{exitNotFound, err}
			}
			if err != nil {
				return err
			}
			var all []accuracy.ProfileResult
			for _, s := range found {
				r, err := accuracy.EvaluateProfile(s, o)
				if err != nil {
					return fmt.Errorf("data set %s: %w", s.Name, err)
				}
				all = append(all, r...)
			}
			if asJSON {
				return accuracy.WriteProfileJSON(cmd.OutOrStdout(), all)
			}
			return accuracy.WriteProfileTable(cmd.OutOrStdout(), all)
		},
	}
	cmd.Flags().StringVar(&dir, "data", "", "folder of a data set, or of several")
	cmd.Flags().StringSliceVar(&sets, "set", nil, "names of data sets in it (default: all that are understood)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object instead of tables")
	cmd.Flags().IntVar(&o.Axes, "axes", 5, "principal components")
	cmd.Flags().IntVar(&o.Groups, "groups", 8, "groups")
	cmd.Flags().IntVar(&o.Shuffles, "shuffles", 20, "orders of the rows to try besides that of the file")
	cmd.Flags().Float64Var(&o.Calibration, "calibration", 2./3, "part of the time that the model of lifetimes is fitted to")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "of all chance")
	return cmd
}
