package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"millrace/operators/event"
	"millrace/operators/experiment"
)

func newExperiment() *cobra.Command {
	cmd := &cobra.Command{Use: "experiment", Short: "Plan, watch and steer experiments"}
	cmd.AddCommand(
		newExperimentPlan(), newExperimentShow(), newExperimentWhatIf(), newExperimentUplift(), newExperimentAnalyse(),
		newExperimentHand(event.SteerPin, "pin NAME VARIANT", "Give a variant everybody who enters from now on", 2),
		newExperimentHand(event.SteerCap, "cap NAME VARIANT SHARE", "Give a variant at most a share; 1 lifts the cap", 3),
		newExperimentHand(event.SteerFreeze, "freeze NAME", "Leave the shares as they are", 1),
		newExperimentHand(event.SteerUnfreeze, "unfreeze NAME", "Lift pins, caps and the freeze", 1),
	)
	return cmd
}

// plannedExperiment is what experiment plan prints as JSON.
type plannedExperiment struct {
	Design            experiment.Design `json:"design"`
	Alpha             float64           `json:"alphaPerComparison"`
	UnitsPerArm       float64           `json:"unitsPerArm"`
	UnitsPerArmAlways float64           `json:"unitsPerArmAnyTime"`
	Days              float64           `json:"days,omitempty"`
	DaysAlways        float64           `json:"daysAnyTime,omitempty"`
}

func newExperimentPlan() *cobra.Command {
	var d experiment.Design
	var output string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say how many people an experiment needs, and how long it takes",
		Long: `Says how many people each variant needs to find an effect, for one look at the end
and for looking all the time. With more than two arms each is compared with the
control, and the level is shared between the comparisons.`,
		Example: `  millrace experiment plan --baseline 0.03 --effect 0.1 --per-day 20000
  millrace experiment plan --baseline 0.65 --sd 12 --effect 0.2 --arms 3 -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return &exitError{exitUsage, fmt.Errorf("--output: want text or json, got %q", output)}
			}
			p, err := d.Plan()
			if err != nil {
				return &exitError{exitUsage, err}
			}
			return printPlan(cmd, d, p, output == "json")
		},
	}
	f := cmd.Flags()
	f.Float64Var(&d.Baseline, "baseline", 0, "rate of the control, or its mean if --sd is given")
	f.Float64Var(&d.SD, "sd", 0, "standard deviation of one person's value; without it the metric is a rate")
	f.Float64Var(&d.Effect, "effect", 0, "least effect worth finding, as a share of the baseline")
	f.Float64Var(&d.Alpha, "alpha", 0.05, "chance of calling an effect that is none")
	f.Float64Var(&d.Power, "power", 0.8, "chance of calling an effect of that size")
	f.IntVar(&d.Arms, "arms", 2, "variants, the control among them")
	f.Float64Var(&d.PerDay, "per-day", 0, "people who enter a day, all arms together")
	f.StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

func printPlan(cmd *cobra.Command, d experiment.Design, p experiment.Plan, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(plannedExperiment{d, p.Alpha, p.PerArm, p.SequentialArm, p.Days, p.SequentialDays})
	}
	line := func(what string, units, days float64) error {
		tail := ""
		if days > 0 {
			tail = fmt.Sprintf(", %.0f days", days)
		}
		_, err := fmt.Fprintf(out, "%-24s %.0f people an arm, %.0f in all%s\n", what, units, units*float64(d.Arms), tail)
		return err
	}
	if err := line("one look at the end:", p.PerArm, p.Days); err != nil {
		return err
	}
	return line("looked at all the time:", p.SequentialArm, p.SequentialDays)
}
