package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"millrace/bench/accuracy"
)

func newMails() *cobra.Command {
	cmd := &cobra.Command{Use: "mails", Short: "Look at what the writer writes"}
	var n int
	var seed uint64
	var out, model string
	sample := &cobra.Command{
		Use:   "sample",
		Short: "Write mails to made-up people onto one page, to be read",
		Long: `Sample writes mails of all kinds, in both languages, for seeded made-up people and puts
them onto one HTML page with all their parts. Read it before a model goes into use.`,
		Example: `  millrace mails sample -n 40 -o page.html`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 1 || n > 1000 {
				return &exitError{exitUsage, fmt.Errorf("%d mails (1 to 1000)", n)}
			}
			var file []byte
			if model != "" {
				var err error
				if file, err = os.ReadFile(model); err != nil {
					return fmt.Errorf("read model: %w", err)
				}
			}
			page, err := accuracy.ContentPage(cmd.Context(), file, n, seed)
			if err != nil {
				return err
			}
			return writeFile(out, page)
		},
	}
	sample.Flags().IntVarP(&n, "count", "n", 40, "mails to write")
	sample.Flags().Uint64Var(&seed, "seed", 1, "of the people")
	sample.Flags().StringVarP(&out, "out", "o", "mails.html", "page to write")
	sample.Flags().StringVar(&model, "model", "", "file of a model (default: the shipped one)")
	cmd.AddCommand(sample)
	return cmd
}
