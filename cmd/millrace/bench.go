package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"millrace/bench"
	"millrace/engine"
)

func newBench() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure what millrace costs on this machine"}
	cmd.AddCommand(newBenchEngine(), newBenchExperiments(), newBenchNexmark(), newBenchRecommend(), newBenchGrowth())
	return cmd
}

func newBenchEngine() *cobra.Command {
	o := bench.EngineOptions{}
	asJSON, durability, memory := false, "", int64(0)
	cmd := &cobra.Command{
		Use:   "engine",
		Short: "Measure reading, the whole cart pipeline, packed messages, and latency",
		Long: `Engine fills a log of its own and measures, one after the other, in CPU-seconds per
million events, the embedded server included: only reading it; the whole cart pipeline
(profile, co-occurrence with a person's last ten items, trigger) on single-event
messages; the same on messages of 50 events. Then it publishes at half of the rate
that was reached, and measures the time from there to committed state, beside that of a
bare program that appends and syncs the same bytes at the same rhythm.`,
		Example: `  millrace bench engine --events 200000 --latency 10s`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch durability {
			case "power":
			case "process":
				o.Process = true
			default:
				return &exitError{exitUsage, fmt.Errorf("--durability %q: want power or process", durability)}
			}
			engine.UseMemory(memory)
			dir, err := os.MkdirTemp(o.Dir, "millrace-bench-")
			if err != nil {
				return fmt.Errorf("make a directory to measure in: %w", err)
			}
			defer func() { _ = os.RemoveAll(dir) }()
			run := o
			run.Dir, run.Progress = dir, phases(cmd.ErrOrStderr())
			r, err := bench.Engine(cmd.Context(), run)
			if err != nil {
				return err
			}
			return printBench(cmd.OutOrStdout(), &r, asJSON)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Events, "events", 1_000_000, "how many events")
	f.IntVar(&o.Users, "users", 1_000_000, "how many persons they belong to")
	f.IntVar(&o.Items, "items", 50_000, "how many products the shop has")
	f.DurationVar(&o.Latency, "latency", 0, "how long to measure latency (default 1m; negative: not at all)")
	f.StringVar(&o.Dir, "dir", "", "where to measure: a directory on the disk in question (default: that of temporary files)")
	f.StringVar(&durability, "durability", "power", "power or process, as for run")
	f.Int64Var(&memory, "memory", 0, "bytes of memory to stay below, as for run (default: three quarters of what there is)")
	f.BoolVar(&asJSON, "json", false, "print one object last")
	return cmd
}

// phases draws a bar for each phase.
func phases(w io.Writer) func(phase string, done, total int) {
	var bar *progressbar.ProgressBar
	now := ""
	return func(phase string, done, total int) {
		if phase != now {
			if bar != nil {
				_ = bar.Finish()
				fmt.Fprintln(w)
			}
			now = phase
			bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(phase), progressbar.OptionThrottle(1e8))
		}
		_ = bar.Set(done)
	}
}

func printBench(w io.Writer, r *bench.EngineResult, asJSON bool) error {
	if asJSON {
		raw, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode the result: %w", err)
		}
		_, err = fmt.Fprintf(w, "\n%s\n", raw)
		return err
	}
	_, err := fmt.Fprintf(w, `
%d events of %.0f bytes, durability %s
                        CPU-s per million    events/s
  read only             %8.2f
  the whole pipeline    %8.2f             %9.0f
  the same, packed      %8.2f             %9.0f
  latency at %.0f events/s: p50 %.1f ms, p99 %.1f ms; bare append and sync p99 %.1f ms
  memory at most %.0f MiB, state %.0f MiB, ready with it in %.2f s
`, r.Events, r.BytesPerEvent, r.Durability, r.ReadCPU, r.PipelineCPU, r.EventsPerSecond, r.PackedCPU, r.PackedPerSecond,
		r.LatencyRate, r.LatencyP50, r.LatencyP99, r.BareP99, r.RSS, r.StateMB, r.Reopen)
	return err
}
