package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"millrace/operators/experiment"
)

func newExperimentAnalyse() *cobra.Command {
	var f files
	asJSON := false
	cmd := &cobra.Command{
		Use:   "analyse NAME",
		Short: "Look at an experiment from several sides: adjusted, capped, at quantiles, by groups",
		Long: `Analyse reads the people whose window is past and compares each variant with the baseline:
on the goal; on the goal with what was known of people before taken out (CUPED); on revenue,
also with the largest hundredth of the orders cut, and at the half, .9 and .99 quantiles of
all people; and on the goal in groups of people by their earlier orders, each drawn towards
all. Intervals hold however often one looks, but those of the groups.`,
		Args: wantArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var a experiment.Analysis
			if err := askExperiment(cmd.Context(), f, http.MethodGet, args[0]+"/analyse", nil, &a); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(&a)
			}
			analysisText(cmd.OutOrStdout(), &a)
			return nil
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "where the state is")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object")
	return cmd
}

func analysisText(w io.Writer, a *experiment.Analysis) {
	fmt.Fprintf(w, "%s@%s  goal %s against %s: %d people, %d whose window is open left out\n", a.Experiment, a.Phase, a.Goal, a.Baseline, a.People, a.Waiting)
	if a.OneOf > 1 {
		fmt.Fprintf(w, "one of %d people was looked at\n", a.OneOf)
	}
	line := func(what string, e *experiment.Estimated) {
		if e == nil {
			fmt.Fprintf(w, "  %-34s cannot be told yet\n", what)
			return
		}
		fmt.Fprintf(w, "  %-34s %+.5g, between %+.5g and %+.5g\n", what, e.Estimate, e.Lo, e.Hi)
	}
	for i := range a.Arms {
		x := &a.Arms[i]
		fmt.Fprintf(w, "\n%s, %d people\n", x.Variant, x.People)
		line(a.Goal, x.Goal)
		line(fmt.Sprintf("adjusted (%.0f %% of variance out)", 100*x.Removed), x.Adjusted)
		fmt.Fprintf(w, "  %-34s p %.3g, %.3g for all variants together\n", "", x.P, x.Holm)
		line("revenue", x.Revenue)
		if a.Cap > 0 {
			line(fmt.Sprintf("revenue capped at %.0f", a.Cap), x.Capped)
		}
		for _, q := range x.Quantiles {
			line(fmt.Sprintf("revenue at %.2g (was %.4g)", q.Quantile, q.Baseline), &q.Estimated)
		}
		for _, g := range x.Groups {
			line(fmt.Sprintf("%s, %d people", g.Group, g.People), &g.Own)
			line("  drawn towards all", &g.Shrunk)
		}
	}
}
