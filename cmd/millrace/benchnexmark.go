package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"millrace/bench/nexmark"
	"millrace/engine"
)

func newBenchNexmark() *cobra.Command {
	o := nexmark.BenchOptions{}
	asJSON, durability := false, ""
	cmd := &cobra.Command{
		Use:   "nexmark",
		Short: "Measure the Nexmark queries through JetStream, answers checked",
		Long: `Nexmark fills a log of its own with people, auctions and bids and runs the queries over
it one after the other, each with the whole engine and a state on disk. It compares every
answer with a naive computation over all events at once, and ends with an error where
they differ. CPU-seconds are those of the whole process, the embedded server included.`,
		Example: `  millrace bench nexmark --events 100000 --pack 1 --query q5`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch durability {
			case "power":
			case "process":
				o.Process = true
			default:
				return &exitError{exitUsage, fmt.Errorf("--durability %q: want power or process", durability)}
			}
			if o.Workload.Events < 1 || o.Workload.Micros < 1 || o.Workload.Pack < 1 || o.Workload.Pack > 1000 {
				return &exitError{exitUsage, fmt.Errorf("--events %d, --micros %d and --pack %d: want at least 1, and --pack at most 1000",
					o.Workload.Events, o.Workload.Micros, o.Workload.Pack)}
			}
			if o.Workers < 1 || o.Workers > 64 {
				return &exitError{exitUsage, fmt.Errorf("--workers %d: want 1 to 64", o.Workers)}
			}
			for _, query := range o.Queries {
				if !slices.Contains(nexmark.Queries(), query) {
					return &exitError{exitUsage, fmt.Errorf("--query %q: the queries are %v", query, nexmark.Queries())}
				}
			}
			engine.UseMemory(0)
			dir, err := os.MkdirTemp(o.Dir, "millrace-nexmark-")
			if err != nil {
				return fmt.Errorf("make a directory to measure in: %w", err)
			}
			defer func() { _ = os.RemoveAll(dir) }()
			run := o
			run.Dir, run.Progress = dir, phases(cmd.ErrOrStderr())
			r, err := nexmark.Bench(cmd.Context(), run)
			if err != nil {
				return err
			}
			return printNexmark(cmd.OutOrStdout(), &r, asJSON)
		},
	}
	f := cmd.Flags()
	f.Int64Var(&o.Workload.Events, "events", 300_000, "how many events")
	f.Int64Var(&o.Workload.Micros, "micros", 100, "microseconds of event time between two events")
	f.IntVar(&o.Workload.Pack, "pack", 50, "events in a message, at most 1000")
	f.StringSliceVar(&o.Queries, "query", nil, "which queries, such as q5 (default: all)")
	f.IntVar(&o.Workers, "workers", 1, "goroutines that run the graph, a power of two")
	f.StringVar(&o.Dir, "dir", "", "where to measure: a directory on the disk in question (default: that of temporary files)")
	f.StringVar(&durability, "durability", "power", "power or process, as for run")
	f.BoolVar(&asJSON, "json", false, "print one object last")
	return cmd
}

func printNexmark(w io.Writer, r *nexmark.BenchResult, asJSON bool) error {
	if _, err := fmt.Fprintf(w, `
%d events of %.0f bytes, %d in a message, %d workers, durability %s, every answer checked
       CPU-s per million   events/s per core   events/s      rows   commits
read   %17.2f
`, r.Events, r.BytesPerEvent, r.Pack, r.Workers, r.Durability, r.ReadCPU); err != nil {
		return err
	}
	for _, q := range r.Queries {
		if _, err := fmt.Fprintf(w, "%-6s %17.2f %19.0f %10.0f %9d %9d\n", q.Query, q.CPU, q.PerCoreSecond, q.PerSecond, q.Rows, q.Commits); err != nil {
			return err
		}
	}
	if !asJSON {
		return nil
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	_, err = fmt.Fprintf(w, "\n%s\n", raw)
	return err
}
