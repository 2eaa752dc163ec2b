package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace/operators/content"
	"millrace/operators/event"
	"millrace/operators/sentiment"
)

// money is an amount as shown on the command line.
func money(m event.Money, currency string) string { return content.FormatMoney(m, currency, "en") }

// output is how an answer is printed. It is the value of a flag.
type output struct{ format string }

func (o *output) flag(cmd *cobra.Command) {
	o.format = "text"
	cmd.Flags().VarP(o, "output", "o", "text or json")
}

// String, Set and Type implement pflag.Value.
func (o *output) String() string { return o.format }
func (o *output) Type() string   { return "string" }
func (o *output) Set(s string) error {
	if s != "text" && s != "json" {
		return errors.New("want text or json")
	}
	o.format = s
	return nil
}

// print writes the answer as JSON, or as text by text.
func (o *output) print(w io.Writer, answer any, text func(w io.Writer)) error {
	if o.format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(answer)
	}
	text(w)
	return nil
}

func newProfile() *cobra.Command {
	cmd := &cobra.Command{Use: "profile", Short: "Look at the picture kept of a person"}
	var f files
	var o output
	show := &cobra.Command{
		Use:   "show USER",
		Short: "Show what is known of a person, whether or not the engine runs",
		Args:  wantArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var p profileView
			if err := askAnyone(cmd.Context(), f, question{What: "profile", User: args[0]}, &p); err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), &p, p.text)
		},
	}
	show.Flags().StringVar(&f.dir, "data-dir", "data", "where the state is")
	o.flag(show)
	cmd.AddCommand(show)
	return cmd
}

func (p *profileView) text(w io.Writer) {
	p.mergedView.text(w, p.User)
	fmt.Fprintf(w, "%s  %s  %s  consent %s\n", p.User, p.FirstName, p.Email, p.Consent)
	if p.Suppressed != "" {
		fmt.Fprintf(w, "suppressed: %s\n", p.Suppressed)
	}
	fmt.Fprintf(w, "seen %s to %s, %d orders, %s in all\n", stamp(p.FirstSeen), stamp(p.LastSeen), p.Orders, p.Revenue)
	fmt.Fprintln(w, "\nevents                     count   decayed  money       last")
	for _, k := range p.Events {
		fmt.Fprintf(w, "  %-22s %7d  %8.2f  %-10s  %s\n", k.Kind, k.Count, k.Decayed, k.Money, stamp(k.Last))
	}
	for _, c := range p.Carts {
		fmt.Fprintf(w, "\ncart %s, %s, last touched %s\n", c.ID, c.Value, stamp(c.Last))
		for _, l := range c.Items {
			fmt.Fprintf(w, "  %3d × %-40s %s\n", l.Quantity, l.Name, l.Price)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		note := ""
		if filled := p.Filled[name]; filled != "" {
			note = " (" + filled + ")"
		}
		fmt.Fprintf(w, "\nfield %s: %v%s\n", name, p.Fields[name], note)
	}
	if len(p.Segments) > 0 {
		fmt.Fprintf(w, "\nsegments: %s\n", strings.Join(p.Segments, ", "))
	}
	if x := p.Expected; x != nil {
		fmt.Fprintf(w, "\ngroup %q, RFM %s, churn %.2f, next order within %.0f days\n", x.Cluster, cmp.Or(x.RFM, "none"), x.Churn, x.NextOrderDays)
		if x.Uplift != nil {
			fmt.Fprintf(w, "a mail adds %+.4g to %s\n", *x.Uplift, x.UpliftGoal)
		}
	}
	if x := p.Tone; x != nil {
		fmt.Fprintf(w, "\ntone %+.2f of %d texts, %d bad; last %+.2f on %s by %s\n", x.Tone, x.Texts, x.Bad, float64(x.Last)/sentiment.ScoreMax, stamp(when(x.LastAt)), x.Model)
		if x.HeldUntil > 0 {
			fmt.Fprintf(w, "held back after a bad experience until %s\n", stamp(when(x.HeldUntil)))
		}
	}
	weights(w, "categories", p.Categories)
	weights(w, "brands", p.Brands)
	if len(p.Viewed) > 0 {
		fmt.Fprintf(w, "\nviewed, newest first: %s\n", strings.Join(p.Viewed, " "))
	}
	for _, wait := range p.Waiting {
		fmt.Fprintf(w, "\nwaiting: %s about %s, due %s\n", wait.Rule, wait.About, stamp(wait.Due))
	}
	if p.Note != "" {
		fmt.Fprintf(w, "\nnote: %s\n", p.Note)
	}
}

// text says whose answer it is when ids were merged.
func (m *mergedView) text(w io.Writer, user string) {
	if m.Into != "" {
		fmt.Fprintf(w, "%s was merged into another person (%s): this is about that one\n", user, m.Into)
	}
	if m.Others > 0 {
		fmt.Fprintf(w, "%d other ids were merged into this person\n", m.Others)
	}
	if m.Awaits > 0 {
		fmt.Fprintf(w, "what was known of %d of them is still on its way: nothing is decided until it has come\n", m.Awaits)
	}
}

func weights(w io.Writer, title string, all []weightView) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, x := range all {
		bar := strings.Repeat("█", int(max(1, 24*x.Weight/all[0].Weight)))
		fmt.Fprintf(w, "  %-30s %s %.2f\n", x.Name, bar, x.Weight)
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format("2006-01-02 15:04:05Z")
}

func newWhy() *cobra.Command {
	var f files
	var o output
	cmd := &cobra.Command{
		Use:   "why USER",
		Short: "Tell why a person got a mail, or did not",
		Args:  wantArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var why whyView
			if err := askAnyone(cmd.Context(), f, question{What: "why", User: args[0]}, &why); err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), &why, why.text)
		},
	}
	cmd.Flags().StringVar(&f.dir, "data-dir", "data", "where the state is")
	o.flag(cmd)
	return cmd
}

func (y *whyView) text(w io.Writer) {
	y.mergedView.text(w, y.User)
	if len(y.Decisions)+len(y.Waiting) == 0 {
		fmt.Fprintf(w, "%s: no trigger ever concerned this person\n", y.User)
	}
	for _, x := range y.Waiting {
		fmt.Fprintf(w, "waiting  %s about %s: fires at %s unless something happens\n", x.Rule, x.About, stamp(x.Due))
	}
	for i := range y.Decisions {
		d := &y.Decisions[i]
		fmt.Fprintf(w, "%-8s %s  %s/%s, %s: %s\n", d.Outcome, stamp(d.Decided), d.Pipeline, d.Trigger, d.About, d.Reason)
		fmt.Fprintf(w, "         by version %s of the pipelines\n", d.MadeBy)
		if d.Subject != "" {
			fmt.Fprintf(w, "         subject %q (%s)\n", d.Subject, d.Model)
		}
		writtenText(w, d.Written)
		for _, l := range d.Items {
			fmt.Fprintf(w, "         %3d × %-40s %s\n", l.Quantity, l.Name, l.Price)
		}
		if len(d.Items) > 0 && d.Value != "" { // a record keeps the first items only
			fmt.Fprintf(w, "               %-40s %s\n", "all of it", d.Value)
		}
		if d.Note != "" {
			fmt.Fprintf(w, "         note: %s\n", d.Note)
		}
	}
}
