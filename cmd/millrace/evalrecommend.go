package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"millrace/bench/accuracy"
)

func newEvalRecommend() *cobra.Command {
	var o accuracy.RecommendOptions
	var dir string
	var sets []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "recommend",
		Short: "Measure recommendations: every voice and their blend",
		Long: `Recommend reads data sets, one folder each, and measures every voice and their learned
blend on them: next item of a session, RecBole's protocol for ratings, next basket of a
customer. The weights of the blend are learned from validation data alone. What a folder
may hold is described in docs/accuracy.md; what is no data set is passed over with a word.`,
		Example: `  millrace eval recommend --data sets
  millrace eval recommend --data sets --set serenade,ml-100k --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Exclude != "" && !slices.Contains([]string{"none", "last", "session", "purchased"}, o.Exclude) {
				return &exitError{exitUsage, fmt.Errorf("--exclude %q: want none, last, session or purchased", o.Exclude)}
			}
			if dir == "" {
				return &exitError{exitUsage, errors.New("--data is missing: the folder of the data sets")}
			}
			paths, err := accuracy.FindRecommendSets(dir, sets)
			if err != nil {
				return &exitError{exitNotFound, err}
			}
			rows, err := evalRecommend(cmd, paths, o, len(sets) > 0, asJSON)
			if err != nil {
				return err
			}
			if !asJSON {
				return printRecommend(cmd.OutOrStdout(), rows)
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string][]accuracy.RecommendResult{"sets": rows})
		},
	}
	cmd.Flags().StringVar(&dir, "data", "", "folder whose folders are data sets, or a data set")
	cmd.Flags().StringSliceVar(&sets, "set", nil, "data sets by the beginning of their names (default: all that are known)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object, and no progress")
	cmd.Flags().StringVar(&o.Exclude, "exclude", "", "what sessions are not shown again: none, last, session or purchased (default: as published)")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 0, "seed of splits and of the order of learning")
	return cmd
}

// evalRecommend measures the sets one after the other. A folder that is no data set is an
// error only when it was asked for.
func evalRecommend(cmd *cobra.Command, paths []string, o accuracy.RecommendOptions, asked, quiet bool) ([]accuracy.RecommendResult, error) {
	rows := []accuracy.RecommendResult{}
	for _, path := range paths {
		set, err := accuracy.ReadRecommendSet(path)
		if errors.Is(err, accuracy.ErrNoRecommendSet) && !asked {
			fmt.Fprintln(cmd.ErrOrStderr(), "passed over:", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		done := func() {}
		if !quiet {
			o.Progress, done = recommendBar(cmd.ErrOrStderr())
		}
		r, err := accuracy.EvalRecommend(cmd.Context(), set, o)
		done()
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	if len(rows) == 0 {
		return nil, &exitError{exitNotFound, accuracy.ErrNoRecommendSet}
	}
	return rows, nil
}

// recommendBar shows how far an evaluation is.
func recommendBar(w io.Writer) (func(set string, done, total int), func()) {
	var bar *progressbar.ProgressBar
	return func(set string, done, total int) {
			if bar == nil {
				bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetDescription(set))
			}
			_ = bar.Set(done)
		}, func() {
			if bar != nil {
				fmt.Fprintln(w)
			}
		}
}

// printRecommend writes a table per data set and rule.
func printRecommend(w io.Writer, rows []accuracy.RecommendResult) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	title := ""
	for _, r := range rows {
		if now := fmt.Sprintf("%s · %s · exclude %s · %d predictions", r.Name, r.Protocol, r.Exclude, r.Predictions); now != title {
			title = now
			fmt.Fprintf(t, "\n%s\nmethod\tHR@20\tMRR@20\tNDCG@10\tSerenade NDCG@20\trecall@10\trecall@20\tprecision@20\tcoverage\tseconds\t\n", title)
		}
		fmt.Fprintf(t, "%s\t%.4f\t%.4f\t%.4f\t%s\t%.4f\t%.4f\t%.4f\t%.4f\t%.2f\t\n", r.Method, r.HR20, r.MRR20, r.NDCG10,
			dash(r.SerenadeNDCG20), r.Recall10, r.Recall20, r.Precision20, r.Coverage20, r.Seconds)
		for _, g := range r.Gains {
			fmt.Fprintf(t, "%s over %s: %+.4f (95 %% interval %+.4f to %+.4f)\n", g.Metric, g.Over, g.Gain, g.Low, g.High)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// dash leaves out what a protocol does not know.
func dash(x float64) string {
	if x == 0 || math.IsNaN(x) {
		return "–"
	}
	return fmt.Sprintf("%.4f", x)
}
