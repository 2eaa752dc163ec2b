package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"millrace/bench"
)

func newBenchGrowth() *cobra.Command {
	var g bench.Growth
	var sizes []int
	asJSON := false
	cmd := &cobra.Command{
		Use:   "growth",
		Short: "Measure how recommendations grow with the number of items",
		Long: `Growth makes up shops of several sizes and measures at each what an item, a person and a
remembered visit take, what an event costs, and how long a question for recommendations
takes. The parts are run with records in memory: neither disk nor log is measured.`,
		Example: `  millrace bench growth --json`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, n := range sizes {
				if n < 10 || n > 4_000_000 {
					return &exitError{exitUsage, fmt.Errorf("--items %d: want 10 to 4000000", n)}
				}
			}
			if len(sizes) == 0 || g.VisitsPerItem < 1 || g.VisitsPerItem > 100 || g.Questions < 1 || g.Questions > 1_000_000 {
				return &exitError{exitUsage, errors.New("want sizes, 1 to 100 visits an item, and 1 to 1000000 questions")}
			}
			show := phases(cmd.ErrOrStderr())
			g.Progress = func(items, done, total int) { show(fmt.Sprint(items, " items"), done, total) }
			rows := make([]bench.GrowthRow, 0, len(sizes))
			for _, n := range sizes {
				r, err := g.Run(cmd.Context(), n)
				if err != nil {
					return err
				}
				rows = append(rows, r)
			}
			if asJSON {
				raw, err := json.Marshal(map[string][]bench.GrowthRow{"sizes": rows})
				if err != nil {
					return fmt.Errorf("encode the result: %w", err)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "\n%s\n", raw)
				return err
			}
			return printGrowth(cmd, rows)
		},
	}
	f := cmd.Flags()
	f.IntSliceVar(&sizes, "items", []int{1000, 10_000, 100_000, 1_000_000}, "numbers of items")
	f.IntVar(&g.VisitsPerItem, "visits", 1, "visits made up per item, three of a person")
	f.IntVar(&g.Questions, "questions", 2000, "questions asked at each size")
	f.BoolVar(&asJSON, "json", false, "print one object last")
	return cmd
}

// printGrowth writes the table.
func printGrowth(cmd *cobra.Command, rows []bench.GrowthRow) error {
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\nitems\tpeople\tevents\tB an item in memory\tB a visit\tvisits kept\tB an item stored\tB a person stored\tevent, state µs\tevent, live µs\tquestion, CPU µs\tp50 ms\tp99 ms\t\n")
	for _, r := range rows {
		fmt.Fprintf(t, "%d\t%d\t%d\t%.0f\t%.0f\t%d\t%.0f\t%.0f\t%.2f\t%.2f\t%.0f\t%.3f\t%.3f\t\n", r.Items, r.People, r.Events,
			r.ItemBytes, r.VisitBytes, r.Visits, r.ItemRecord, r.PersonBytes, r.State, r.Live, r.Question, r.P50, r.P99)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}
