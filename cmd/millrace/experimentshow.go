package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace/engine"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/experiment"
)

// This file shows experiments, asks what another split would have brought, and lets a
// person decide: all of it by asking the running program, since only that knows which
// journeys run.

// errNotRunning says that nobody can be asked.
var errNotRunning = &exitError{exitNotFound, errors.New("no program runs on this data directory: experiments are those of a running program")}

func newExperimentShow() *cobra.Command {
	var f files
	var o output
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show how an experiment stands, how it is steered, and what was decided about it",
		Long: `Shows the figures of the stream, the shares as of now, the goal's mean by logged
probabilities, what the mails brought beyond the holdout beside what is credited to them,
and what guardrails and people decided. Without a name it lists the experiments.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				var names []string
				if err := askExperiment(cmd.Context(), f, http.MethodGet, "", nil, &names); err != nil {
					return err
				}
				return o.print(cmd.OutOrStdout(), names, func(w io.Writer) { fmt.Fprintln(w, strings.Join(names, "\n")) })
			}
			var r experiment.Report
			if err := askExperiment(cmd.Context(), f, http.MethodGet, args[0], nil, &r); err != nil {
				return err
			}
			var tones []operators.CampaignTone
			if err := askExperiment(cmd.Context(), f, http.MethodGet, args[0]+"/tone", nil, &tones); err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), &shownReport{&r, tones}, func(w io.Writer) {
				reportText(w, &r)
				toneText(w, tones)
			})
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "where the state is")
	o.flag(cmd)
	return cmd
}

func newExperimentWhatIf() *cobra.Command {
	var f files
	var o output
	split, alpha := "", 0.05
	var rule operators.RuleQuestion
	cmd := &cobra.Command{
		Use:   "what-if NAME {--split a=.8,b=.2 | --when 'CONDITION=VARIANT'...}",
		Short: "Say what another split, or a rule, would have brought, from the logged probabilities",
		Long: `With --split: what the goal would have been had people been shared like that. With --when:
what it would have been had people been given variants by a rule, line by line, the first
that holds; the others keep what they had, or get --else. Conditions know what was known of
a person at the first exposure. A variant may be holdout, where some people are held out.`,
		Example: `  millrace experiment what-if words --split control=.2,lstm=.8
  millrace experiment what-if words --when 'profile.orders >= 3=lstm' --else control`,
		Args: wantArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (split == "") == (len(rule.When) == 0 && rule.Else == "") {
				return &exitError{exitUsage, errors.New("want either --split or --when")}
			}
			if split == "" {
				rule.Alpha = alpha
				return askRule(cmd, f, o, args[0], &rule)
			}
			if _, err := parseSplit(split); err != nil {
				return &exitError{exitUsage, err}
			}
			var a experiment.Outlook
			q := url.Values{"split": {split}, "alpha": {strconv.FormatFloat(alpha, 'g', -1, 64)}}
			if err := askExperiment(cmd.Context(), f, http.MethodGet, args[0]+"/what-if", q, &a); err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), &a, func(w io.Writer) {
				fmt.Fprintf(w, "%s a person: %.6g, between %.6g and %.6g; it was %.6g\n%d people, worth %.0f of that split\n",
					a.Goal, a.Value, a.Lo, a.Hi, a.Present, a.People, a.Worth)
			})
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "where the state is")
	cmd.Flags().StringArrayVar(&rule.When, "when", nil, "CONDITION=VARIANT, such as 'profile.orders >= 3=wide'; may be given several times")
	cmd.Flags().StringVar(&rule.Else, "else", "", "variant of the people for whom no --when holds")
	cmd.Flags().StringVar(&split, "split", "", "the share of each variant, such as a=.8,b=.2")
	cmd.Flags().Float64Var(&alpha, "alpha", 0.05, "chance that the interval misses")
	o.flag(cmd)
	return cmd
}

// parseSplit reads a=.8,b=.2.
func parseSplit(s string) (map[string]float64, error) {
	out := make(map[string]float64)
	for part := range strings.SplitSeq(s, ",") {
		name, share, ok := strings.Cut(part, "=")
		v, err := strconv.ParseFloat(strings.TrimSpace(share), 64)
		name = strings.TrimSpace(name)
		if !ok || err != nil || name == "" || !(v >= 0 && v <= 1) {
			return nil, fmt.Errorf("--split %q: want shares such as a=.8,b=.2", s)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("--split %q names %s twice", s, name)
		}
		out[name] = v
	}
	return out, nil
}

// newExperimentHand makes the command by which a person decides something.
func newExperimentHand(kind, use, short string, args int) *cobra.Command {
	var f files
	var by, why string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(args),
		RunE: func(cmd *cobra.Command, a []string) error {
			q := url.Values{"kind": {kind}, "by": {by}, "why": {why}}
			if args > 1 {
				q.Set("variant", a[1])
			}
			if args > 2 {
				q.Set("share", a[2])
			}
			var done struct {
				Seq uint64 `json:"seq"`
			}
			if err := askExperiment(cmd.Context(), f, http.MethodPost, a[0]+"/hand", q, &done); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "written into the log at %d; it counts from there\n", done.Seq)
			return err
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "where the state is")
	cmd.Flags().StringVar(&by, "by", "", "who decides it; kept with the experiment")
	cmd.Flags().StringVar(&why, "why", "", "for which reason; kept with the experiment")
	return cmd
}

func askExperiment(ctx context.Context, f files, method, path string, q url.Values, into any) error {
	c, err := dialSocket(ctx, f)
	if err != nil {
		return err
	}
	if c == nil {
		return errNotRunning
	}
	err = call(ctx, c, method, strings.TrimSuffix("/experiment/"+(&url.URL{Path: path}).EscapedPath(), "/")+"?"+q.Encode(), into)
	if errors.Is(err, errNotFound) {
		name, _, _ := strings.Cut(path, "/")
		return &exitError{exitNotFound, fmt.Errorf("no experiment %q runs", name)}
	}
	return err
}

// experimentAnswers answers questions about experiments, and takes decisions.
func (a *app) experimentAnswers(mux *http.ServeMux) {
	find := func(w http.ResponseWriter, r *http.Request) *experiment.Running {
		x := a.acts.current().pipeline.Experiment(r.PathValue("name"))
		if x == nil {
			writeAnswer(w, nil, errNotFound)
		}
		return x
	}
	mux.HandleFunc("GET /experiment", func(w http.ResponseWriter, _ *http.Request) {
		writeAnswer(w, append([]string{}, a.acts.current().pipeline.ExperimentNames()...), nil)
	})
	mux.HandleFunc("GET /experiment/{name}", func(w http.ResponseWriter, r *http.Request) {
		if x := find(w, r); x != nil {
			answer, err := viewed(a, func(v *engine.View) (experiment.Report, error) { return a.acts.current().pipeline.Report(v, x) })
			writeAnswer(w, answer, err)
		}
	})
	mux.HandleFunc("GET /experiment/{name}/tone", func(w http.ResponseWriter, r *http.Request) {
		if x := find(w, r); x != nil {
			answer, err := a.toneOf(x.Name)
			writeAnswer(w, answer, err)
		}
	})
	mux.HandleFunc("GET /experiment/{name}/what-if", func(w http.ResponseWriter, r *http.Request) {
		if x := find(w, r); x != nil {
			if q := r.URL.Query(); q.Get("split") == "" {
				answer, err := viewed(a, func(v *engine.View) (*experiment.RuleValue, error) {
					return ruleValue(r.Context(), v, a.acts.current().pipeline, x, q)
				})
				writeAnswer(w, answer, err)
				return
			}
			answer, err := viewed(a, func(v *engine.View) (experiment.Outlook, error) {
				return whatIf(v, a.acts.current().pipeline, x, r.URL.Query())
			})
			writeAnswer(w, answer, err)
		}
	})
	mux.HandleFunc("GET /experiment/{name}/analyse", func(w http.ResponseWriter, r *http.Request) {
		if x := find(w, r); x != nil {
			answer, err := viewed(a, func(v *engine.View) (*experiment.Analysis, error) {
				return a.acts.current().pipeline.Analyse(r.Context(), v, x)
			})
			writeAnswer(w, answer, err)
		}
	})
	mux.HandleFunc("POST /experiment/{name}/uplift", func(w http.ResponseWriter, r *http.Request) {
		if x := find(w, r); x != nil {
			answer, err := a.fitUplift(r.Context(), x, r.URL.Query())
			writeAnswer(w, answer, err)
		}
	})
	mux.HandleFunc("POST /experiment/{name}/hand", func(w http.ResponseWriter, r *http.Request) {
		if x := find(w, r); x != nil {
			seq, err := a.hand(r.Context(), x, r.URL.Query())
			writeAnswer(w, map[string]uint64{"seq": seq}, err)
		}
	})
}

func viewed[T any](a *app, ask func(*engine.View) (T, error)) (T, error) {
	v := a.engine.View()
	defer v.Close()
	return ask(v)
}

func whatIf(v *engine.View, p *operators.Pipeline, x *experiment.Running, q url.Values) (experiment.Outlook, error) {
	split, err := parseSplit(q.Get("split"))
	if err != nil {
		return experiment.Outlook{}, err
	}
	alpha, err := strconv.ParseFloat(q.Get("alpha"), 64)
	if err != nil || !(alpha > 0 && alpha < 1) {
		return experiment.Outlook{}, fmt.Errorf("--alpha %q: want a chance between 0 and 1", q.Get("alpha"))
	}
	return p.WhatIf(v, x, split, alpha)
}

// handMax bounds the texts that are kept of a decision.
const handMax = 200

// hand puts what a person decided into the log.
func (a *app) hand(ctx context.Context, x *experiment.Running, q url.Values) (uint64, error) {
	s := event.Steer{Experiment: x.Key(), Kind: q.Get("kind"), Variant: q.Get("variant"), By: q.Get("by"), Reason: q.Get("why"), At: time.Now().UnixMilli()}
	if len(s.By) > handMax || len(s.Reason) > handMax {
		return 0, fmt.Errorf("--by and --why: want at most %d bytes each", handMax)
	}
	switch s.Kind {
	case event.SteerPin, event.SteerCap:
		if i := x.Arm(s.Variant); i < 0 || i >= len(x.Variants) {
			return 0, fmt.Errorf("experiment %s has no variant %q", x.Name, s.Variant)
		}
	case event.SteerFreeze, event.SteerUnfreeze:
	default:
		return 0, fmt.Errorf("nothing is known of %q", s.Kind)
	}
	if s.Kind == event.SteerCap {
		share, err := strconv.ParseFloat(q.Get("share"), 64)
		if err != nil || !(share >= 0 && share <= 1) {
			return 0, fmt.Errorf("a cap of %q: want a share from 0 to 1", q.Get("share"))
		}
		s.Share = share
	}
	return a.events.Publish(ctx, "in.steer", "", event.AppendSteer(nil, &s))
}

// publishSteer puts a belief of an optimiser into the log.
func (a *app) publishSteer(ctx context.Context, id string, data []byte) error {
	_, err := a.events.Publish(ctx, "in.steer", id, data)
	return err
}

// alarm carries out experiment.EffectNotice.
func (t *activations) alarm(ctx context.Context, v *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	r := t.current()
	from, err := t.a.from(r.set.Shop)
	if err != nil {
		return engine.Again, time.Minute, err
	}
	return operators.AlarmHandler(operators.AlarmOptions{Journeys: r.journeys, Sender: t.a.sender, From: from})(ctx, v, row)
}

func reportText(w io.Writer, r *experiment.Report) {
	fmt.Fprintf(w, "%s@%s  goal %s against %s, %.1f days, %d looks\n", r.Experiment, r.Phase, r.Goal, r.Baseline, r.Days, r.Looks)
	if r.Stopped != "" {
		fmt.Fprintf(w, "STOPPED: %s\n", r.Stopped)
	}
	if r.Optimise != "" {
		fmt.Fprintf(w, "optimised by %s, %d beliefs so far", r.Optimise, r.Beliefs)
		if r.Pinned != "" {
			fmt.Fprintf(w, ", pinned to %s", r.Pinned)
		}
		if r.Frozen {
			fmt.Fprint(w, ", frozen")
		}
		fmt.Fprintln(w)
	}
	for i := range r.Arms {
		armText(w, r, &r.Arms[i])
	}
	for _, l := range r.Lift {
		fmt.Fprintf(w, "\n%s brought %.0f more revenue than the holdout, between %.0f and %.0f; %d is credited to its mails\n", l.Variant, l.Revenue, l.Lo, l.Hi, l.Attributed)
	}
	if len(r.Uplift) > 0 {
		fmt.Fprintln(w, "\nwhom a mail moves: what a feature adds     two models   X-learner  transformed")
		names := operators.FeatureNames()
		for _, c := range r.Uplift {
			if c.Feature < len(names) {
				fmt.Fprintf(w, "  %-38s  %11.5g %11.5g %11.5g\n", names[c.Feature], c.TwoModels, c.XLearner, c.Transformed)
			}
		}
	}
	if len(r.Audit) > 0 {
		fmt.Fprintln(w, "\ndecided")
	}
	for _, e := range r.Audit {
		share := ""
		if e.Kind == event.SteerCap {
			share = fmt.Sprintf(" at %.4g", e.Share)
		}
		by := ""
		if e.By != "" {
			by = " by " + e.By
		}
		fmt.Fprintf(w, "  %s  %s %s%s%s  %s\n", stamp(when(e.At)), e.Kind, e.Variant, share, by, e.Why)
	}
}

func armText(w io.Writer, r *experiment.Report, a *experiment.Arm) {
	fmt.Fprintf(w, "\n%-12s %8d people, share %.3g as planned, %s", a.Name, a.Units, a.Share, a.Verdict)
	if i := slices.IndexFunc(r.Traffic, func(t experiment.Traffic) bool { return t.Variant == a.Name }); i >= 0 {
		t := &r.Traffic[i]
		fmt.Fprintf(w, ", now %.3g", t.Weight)
		if t.Mean != nil {
			fmt.Fprintf(w, "\n  %s by logged probabilities %.5g, between %.5g and %.5g; weights %.3f", r.Goal, *t.Mean, *t.Lo, *t.Hi, t.Balance)
		}
	}
	fmt.Fprintln(w)
	if a.Stopped != "" {
		fmt.Fprintf(w, "  stopped: %s\n", a.Stopped)
	}
	for i := range a.Metrics {
		m := &a.Metrics[i]
		fmt.Fprintf(w, "  %-20s %12d  %10.5g", m.Name, m.Sum, m.Mean)
		if m.Effect != nil && m.Lo != nil && m.Hi != nil {
			fmt.Fprintf(w, "  %+.5g, between %+.5g and %+.5g", *m.Effect, *m.Lo, *m.Hi)
		}
		fmt.Fprintln(w)
	}
}
