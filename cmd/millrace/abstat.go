package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"millrace/operators/experiment"
)

func newAbstat() *cobra.Command {
	var list bool
	cmd := &cobra.Command{
		Use:   "abstat",
		Short: "Answer one question about an experiment's sums",
		Long: `Reads one JSON object {"method": …, "inputs": {…}} and prints one with the named
results. Methods and their inputs stand in docs/experiments.md.`,
		Example: `  echo '{"method":"holm","inputs":{"p":[0.01,0.04]}}' | millrace abstat`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list {
				for _, m := range experiment.Methods() {
					fmt.Fprintln(cmd.OutOrStdout(), m)
				}
				return nil
			}
			raw, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), experiment.QuestionBytesMax+1))
			if err != nil {
				return fmt.Errorf("read the question: %w", err)
			}
			if len(raw) == 0 {
				return &exitError{exitUsage, errors.New(`nothing to answer: want {"method": …, "inputs": {…}} on standard input`)}
			}
			out, err := experiment.Answer(raw)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", out)
			return err
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "print the names of the methods instead")
	return cmd
}
