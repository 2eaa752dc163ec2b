package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"millrace/engine"
	"millrace/operators"
	"millrace/operators/experiment"
)

// This file asks what a rule over people would have brought.

func askRule(cmd *cobra.Command, f files, o output, name string, rule *operators.RuleQuestion) error {
	var a experiment.RuleValue
	q := url.Values{"when": rule.When, "else": {rule.Else}, "alpha": {strconv.FormatFloat(rule.Alpha, 'g', -1, 64)}}
	if err := askExperiment(cmd.Context(), f, http.MethodGet, name+"/what-if", q, &a); err != nil {
		return err
	}
	return o.print(cmd.OutOrStdout(), &a, func(w io.Writer) { ruleText(w, &a, rule) })
}

// ruleLinesMax bounds the lines of a rule: nobody reads more.
const ruleLinesMax = 50

func ruleValue(ctx context.Context, v *engine.View, p *operators.Pipeline, x *experiment.Running, q url.Values) (*experiment.RuleValue, error) {
	alpha, err := strconv.ParseFloat(q.Get("alpha"), 64)
	if err != nil {
		return nil, fmt.Errorf("--alpha %q: want a chance between 0 and 1", q.Get("alpha"))
	}
	if len(q["when"]) > ruleLinesMax {
		return nil, fmt.Errorf("%d lines of --when: want at most %d", len(q["when"]), ruleLinesMax)
	}
	return p.RuleValue(ctx, v, x, operators.RuleQuestion{When: q["when"], Else: q.Get("else"), Alpha: alpha})
}

// balanceOff is how far the weights may be from the people before it is said that the log
// cannot tell.
const balanceOff = 0.2

func ruleText(w io.Writer, a *experiment.RuleValue, rule *operators.RuleQuestion) {
	fmt.Fprintf(w, "%d people, %d of whom the rule gives a variant", a.People, a.Changed)
	if a.Waiting > 0 {
		fmt.Fprintf(w, "; %d more whose window is open are left out", a.Waiting)
	}
	if a.OneOf > 1 {
		fmt.Fprintf(w, "; one of %d was looked at", a.OneOf)
	}
	fmt.Fprintln(w)
	for i, n := range a.Matched {
		fmt.Fprintf(w, "  %8d  %s\n", n, rule.When[i])
	}
	fmt.Fprintf(w, "%s a person was %.6g\n", a.Goal, a.Present)
	line := func(what string, e experiment.Estimated) {
		fmt.Fprintf(w, "  %-28s %.6g, between %.6g and %.6g\n", what, e.Estimate, e.Lo, e.Hi)
	}
	line("by the rule (doubly robust):", a.Value)
	line("  more than it was:", a.Gain)
	line("by inverse probabilities:", a.Inverse)
	line("  weights that sum to one:", a.Normalised)
	fmt.Fprintf(w, "worth %.0f people of the rule itself; weights %.3f", a.Worth, a.Balance)
	if a.Changed > 0 && (a.Balance < 1-balanceOff || a.Balance > 1+balanceOff) {
		fmt.Fprint(w, ": some people could not get what the rule gives them, so the log cannot tell")
	}
	fmt.Fprintln(w)
}
