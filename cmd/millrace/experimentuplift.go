package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"millrace/console"
	"millrace/engine"
	"millrace/operators"
	"millrace/operators/experiment"
)

// This file says for whom mails pay: it asks the running program to learn that from the
// people of an experiment, draws how well it sorts people, and keeps the model.

// upliftAnswer is what was learnt, and the version under which it was kept.
type upliftAnswer struct {
	*experiment.UpliftFit
	Version int `json:"version,omitempty"`
}

func newExperimentUplift() *cobra.Command {
	var f files
	var promote, force, asJSON bool
	svg := ""
	cmd := &cobra.Command{
		Use:   "uplift NAME",
		Short: "Learn for whom a mail pays, from the people of an experiment with a holdout",
		Long: `Learns from the features that people had at their first exposure what a mail adds to the
goal of each of them, in three ways, and measures on people that were not learnt from how
well each way sorts them: the area between its Qini curve and a random order, with an
interval of 95 %. Only people whose window is past are looked at. --promote keeps the model
of the best way under a new version, for profile.uplift; it is refused while the best way
may be no better than chance.`,
		Example: `  millrace experiment uplift cart-abandonment --svg qini.svg`,
		Args:    wantArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if force && !promote {
				return &exitError{exitUsage, errors.New("--force is of --promote")}
			}
			q := url.Values{}
			if promote {
				q.Set("promote", "yes")
			}
			if force {
				q.Set("force", "yes")
			}
			var a upliftAnswer
			if err := askExperiment(cmd.Context(), f, http.MethodPost, args[0]+"/uplift", q, &a); err != nil {
				return err
			}
			if svg != "" {
				if err := os.WriteFile(svg, console.UpliftSVG(consoleUplift(a.UpliftFit)), 0o600); err != nil {
					return fmt.Errorf("write the curve: %w", err)
				}
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(&a)
			}
			upliftText(cmd.OutOrStdout(), &a)
			return nil
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "where the state is")
	cmd.Flags().BoolVar(&promote, "promote", false, "keep the model under a new version")
	cmd.Flags().BoolVar(&force, "force", false, "keep it although it may sort no better than chance")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object")
	cmd.Flags().StringVar(&svg, "svg", "", "file for the Qini curve")
	return cmd
}

// fitUplift learns, and keeps the model if that is asked for.
func (a *app) fitUplift(ctx context.Context, x *experiment.Running, q url.Values) (*upliftAnswer, error) {
	fit, err := viewed(a, func(v *engine.View) (*experiment.UpliftFit, error) {
		return a.acts.current().pipeline.FitUplift(ctx, v, x)
	})
	if err != nil {
		return nil, err
	}
	a.uplifts.keep(fit)
	out := &upliftAnswer{UpliftFit: fit}
	if q.Get("promote") == "" {
		return out, nil
	}
	if !fit.Sure && q.Get("force") == "" {
		return nil, fmt.Errorf("%s sorts people by %.3g, between %.3g and %.3g: perhaps no better than chance, so it is not kept (--force keeps it)",
			fit.Learners[0].Learner, fit.Learners[0].Qini, fit.Learners[0].Lo, fit.Learners[0].Hi)
	}
	out.Version, err = a.s.models().write(modelUplift, fit.Model)
	return out, err
}

func (m peopleModels) uplift(version int) (*experiment.UpliftModel, error) {
	raw, err := m.read(modelUplift, version)
	if err != nil {
		return nil, err
	}
	u, err := operators.ReadUpliftModel(raw)
	if err != nil {
		return nil, fmt.Errorf("%s-%d.json: %w", modelUplift, version, err)
	}
	return u, nil
}

func upliftText(w io.Writer, a *upliftAnswer) {
	fmt.Fprintf(w, "%s@%s  goal %s: %d people mailed, %d held out, %d whose window is open left out\n", a.Experiment, a.Phase, a.Goal, a.Mailed, a.Held, a.Waiting)
	if a.OneOf > 1 {
		fmt.Fprintf(w, "one of %d people was looked at\n", a.OneOf)
	}
	fmt.Fprintf(w, "a mail adds %.5g a person, between %.5g and %.5g\n\nhow well people are sorted (Qini coefficient; 0 is chance)\n", a.Effect, a.EffectLo, a.EffectHi)
	for _, l := range a.Learners {
		fmt.Fprintf(w, "  %-20s %10.5g, between %.5g and %.5g\n", l.Learner, l.Qini, l.Lo, l.Hi)
	}
	if !a.Sure {
		fmt.Fprintln(w, "  none is surely better than chance")
	}
	fmt.Fprintf(w, "\nby %s, a tenth of the people each, the most promising first\n", a.Learners[0].Learner)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "people\tpredicted\tcame\t± \t")
	for _, b := range a.Bins {
		fmt.Fprintf(t, "%d\t%.5g\t%.5g\t%.2g\t\n", b.People, b.Predicted, b.Observed, 1.96*b.SE)
	}
	_ = t.Flush() // a writer that fails has failed before
	fmt.Fprintln(w, "\nwhat a feature adds to what a mail adds")
	for i, name := range a.Model.Features {
		fmt.Fprintf(w, "  %-20s %+.5g\n", name, a.Model.Weights[i])
	}
	if a.Version > 0 {
		fmt.Fprintf(w, "\nkept as version %d; to use it: profile: {uplift: %d} in shop.yaml, then profile.uplift in conditions\n", a.Version, a.Version)
	}
}

func consoleUplift(f *experiment.UpliftFit) *console.Uplift {
	out := &console.Uplift{
		Name: f.Experiment, Goal: f.Goal, Money: f.Goal == experiment.MetricRevenue, People: f.People, At: when(f.At),
		Learner: f.Learners[0].Learner, Qini: f.Learners[0].Qini, Lo: f.Learners[0].Lo, Hi: f.Learners[0].Hi, Sure: f.Sure,
	}
	for _, p := range f.Curve {
		out.Curve = append(out.Curve, console.UpliftPoint{Share: p.Share, Gain: p.Gain, Lo: p.Lo, Hi: p.Hi})
	}
	return out
}

// upliftFresh is how long the console shows what was learnt before it is learnt anew: the
// windows of the people in it are days long.
const upliftFresh = 10 * time.Minute

// uplifts are what was learnt last, by experiment. Safe for concurrent use.
type uplifts struct {
	mu    sync.Mutex
	last  map[string]*experiment.UpliftFit
	tried map[string]time.Time
	now   sync.Mutex // one scan at a time
}

func (u *uplifts) keep(f *experiment.UpliftFit) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last, u.tried = make(map[string]*experiment.UpliftFit), make(map[string]time.Time)
	}
	u.last[f.Experiment] = f
}

// due is what is known of an experiment, and whether it is time to learn it anew.
func (u *uplifts) due(name string) (*experiment.UpliftFit, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.tried == nil {
		u.last, u.tried = make(map[string]*experiment.UpliftFit), make(map[string]time.Time)
	}
	if time.Since(u.tried[name]) < upliftFresh {
		return u.last[name], false
	}
	u.tried[name] = time.Now()
	return u.last[name], true
}

// Uplift implements console.Uplifts: what was learnt within the last ten minutes, or is
// learnt now; nil while there are too few people.
func (c consoleExperiments) Uplift(ctx context.Context, name string) (*console.Uplift, error) {
	a := c.a
	x := a.acts.current().pipeline.Experiment(name)
	if x == nil {
		return nil, nil //nolint:nilnil // the page says that there is none
	}
	a.uplifts.now.Lock()
	defer a.uplifts.now.Unlock()
	fit, due := a.uplifts.due(name)
	if due {
		got, err := viewed(a, func(v *engine.View) (*experiment.UpliftFit, error) {
			return a.acts.current().pipeline.FitUplift(ctx, v, x)
		})
		if err != nil {
			return nil, err
		}
		a.uplifts.keep(got)
		fit = got
	}
	if fit == nil || fit.Phase != x.Key()[len(x.Name)+1:] {
		return nil, nil //nolint:nilnil // as above
	}
	return consoleUplift(fit), nil
}
