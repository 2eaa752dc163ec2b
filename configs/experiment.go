package configs

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Percent is a share, written as 5% or 0.4%, kept as a number from 0 to 1.
type Percent float64

// What shares and bounds look like.
const (
	percentForm  = `^(100|[0-9]{1,2}(\.[0-9]{1,4})?)%$`
	percentTitle = "a share such as 5%"
	belowForm    = `^< ?[0-9]{1,2}(\.[0-9]{1,4})?%$`
	belowTitle   = `a bound such as "< 0.4%"`
)

// parsePercent reads "5%".
func parsePercent(s string) (Percent, error) {
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !strings.HasSuffix(s, "%") || !(v >= 0 && v <= 100) {
		return 0, fmt.Errorf("read share %q: expected a form such as 5%%", s)
	}
	// Hundreds of ten-thousandths are whole numbers: 0.4% is 0.004, not a neighbour of it.
	return Percent(math.Round(v*1e4) / 1e6), nil
}

// String writes the share as the files do.
func (p Percent) String() string { return strconv.FormatFloat(float64(p)*100, 'g', 6, 64) + "%" }

// Below is an upper bound of a rate, written as "< 0.4%". Zero is no bound.
type Below float64

// parseBelow reads "< 0.4%".
func parseBelow(s string) (Below, error) {
	rest, ok := strings.CutPrefix(s, "<")
	p, err := parsePercent(strings.TrimSpace(rest))
	if !ok || err != nil || p == 0 {
		return 0, fmt.Errorf("read bound %q: expected a form such as < 0.4%%", s)
	}
	return Below(p), nil
}

// Variant is one of the contents that a journey tries. What it does not say is as the
// content has it.
type Variant struct {
	Weight  int    `json:"weight" jsonschema:"required,minimum=1,maximum=1000000" jsonschema_description:"Its share of the people is its weight over the sum of all weights."`
	Subject string `json:"subject,omitempty" jsonschema:"enum=lstm,enum=fallback" jsonschema_description:"lstm: the model writes the subject; fallback: a written one is used (as the content has it)."`
	Count   int    `json:"count,omitempty" jsonschema:"minimum=1,maximum=12" jsonschema_description:"How many products are shown (as the content has it)."`
}

// Trial names and tunes the experiment that a journey's variants and holdout are.
type Trial struct {
	ID       string    `json:"id,omitempty" jsonschema:"title=a name of lower-case letters and digits and -,pattern=^[a-z][a-z0-9-]*$,maxLength=63" jsonschema_description:"Names the experiment (the pipeline's name)."`
	Seed     string    `json:"seed,omitempty" jsonschema:"maxLength=100" jsonschema_description:"A new one shuffles all people anew; nothing else does (the experiment's name)."`
	Coverage Percent   `json:"coverage,omitempty" jsonschema_description:"Share of the people who take part; may grow, and moves nobody (100%)."`
	Layer    *Layer    `json:"layer,omitempty" jsonschema_description:"The part of a layer that the experiment owns: experiments with other parts of it have nobody in common."`
	Optimise *Optimise `json:"optimise,omitempty" jsonschema_description:"Lets the shares of the variants follow what comes back."`
}

// Layer is the part of the people that an experiment owns. Experiments that name the same
// layer must own parts that do not overlap.
type Layer struct {
	Name string  `json:"name" jsonschema:"required,title=a name of lower-case letters and digits and -,pattern=^[a-z][a-z0-9-]*$,maxLength=63" jsonschema_description:"Names the layer; people are shuffled by it."`
	From Percent `json:"from" zero:"ok" jsonschema:"required" jsonschema_description:"Where the part begins, such as 0%."`
	To   Percent `json:"to" jsonschema:"required" jsonschema_description:"Where it ends, such as 40%; may grow, and moves nobody who is in."`
}

// Optimise says how shares follow what comes back.
type Optimise struct {
	By    string        `json:"by" jsonschema:"required,enum=thompson,enum=top-two,enum=linucb,enum=linear-thompson" jsonschema_description:"thompson: by the chance to be the best; top-two: half of it to the runner-up, which finds the best soonest; linucb and linear-thompson: by what is known of the person."`
	Floor Percent       `json:"floor,omitempty" jsonschema_description:"Least share of each variant, whatever comes back (5%, or half of an equal share)."`
	Every time.Duration `json:"every,omitempty" jsonschema_description:"Least time between two moves of the shares (1h)."`
	Least int           `json:"least,omitempty" jsonschema:"minimum=1,maximum=1000000" jsonschema_description:"People whose window is past before shares move at all (100)."`
}

// Attribution says to which mail an order is credited.
type Attribution struct {
	Window time.Duration `json:"window,omitempty" jsonschema_description:"How long before the order (5d)."`
	Credit string        `json:"credit,omitempty" jsonschema:"enum=last click,enum=last mail" jsonschema_description:"last click: the last mail on which a human clicked; last mail: the last one, clicked or not (last click). Opens are never credited."`
}

// Measure says what an experiment is judged by.
type Measure struct {
	Goal        Goal                     `json:"goal,omitzero" jsonschema_description:"What the journey is for."`
	Guardrails  Guardrails               `json:"guardrails,omitzero" jsonschema_description:"Rates of harm that stop a variant, whatever the control does."`
	StopIf      string                   `json:"stop_if,omitempty" jsonschema:"enum=guardrail breached,enum=never" jsonschema_description:"What stops a variant by itself (guardrail breached)."`
	Attribution Attribution              `json:"attribution,omitzero" jsonschema_description:"To which mail an order is credited; the lift over a holdout is the honest figure."`
	Cap         float64                  `json:"cap,omitempty" jsonschema:"minimum=0.01,maximum=1000000000" jsonschema_description:"The most that one person's orders count in revenue, such as 500: one large order decides nothing (no cap)."`
	Windows     map[string]time.Duration `json:"windows,omitempty" jsonschema:"maxProperties=8" jsonschema_description:"How long after the first exposure an outcome counts, by outcome: delivered, open, click, order, unsubscribe, complaint, bounce, tone."`
}

// Said tells whether anything is said: then the journey is measured, though it may try
// nothing and hold nobody out.
func (m *Measure) Said() bool { return !reflect.ValueOf(*m).IsZero() }

// Alarms says who is told that a guardrail has raised an alarm.
type Alarms struct {
	Webhook string `json:"webhook" jsonschema:"required,maxLength=63" jsonschema_description:"A webhook of shop.yaml, which is called once for each alarm."`
}

// Goal is the event that a journey is for.
type Goal struct {
	On     string        `json:"on" words:"goals" jsonschema:"required" jsonschema_description:"The event that counts."`
	Within time.Duration `json:"within,omitempty" jsonschema_description:"How long after the first exposure it counts (5d)."`
	Value  string        `json:"value,omitempty" jsonschema:"enum=event.total" jsonschema_description:"event.total: the goal is revenue per person; without it, the share of people with an order."`
}

// Guardrails are upper bounds of harm among the people of a variant.
type Guardrails struct {
	Unsubscribe Below `json:"unsubscribe_rate,omitempty" jsonschema_description:"Of people who unsubscribe."`
	Complaint   Below `json:"complaint_rate,omitempty" jsonschema_description:"Of people who mark a mail as spam."`
	Bounce      Below `json:"bounce_rate,omitempty" jsonschema_description:"Of people whose mail bounces."`
}

// Outcomes are the names that measure.windows may use.
func Outcomes() []string {
	return []string{"delivered", "open", "click", "order", "unsubscribe", "complaint", "bounce", "tone"}
}

// windowMax bounds the windows of outcomes: what is remembered of a person lasts as long.
const windowMax = 90 * 24 * time.Hour

// Experiment is the name of the journey's experiment.
func (j *Journey) Experiment() string { return cmp.Or(j.Trial.ID, j.Name) }

// VariantNames are the variants in their order: control first, then by name.
func (j *Journey) VariantNames() []string {
	names := slices.Sorted(maps.Keys(j.Content.Variants))
	if i := slices.Index(names, "control"); i > 0 {
		names = append([]string{"control"}, slices.Delete(names, i, i+1)...)
	}
	return names
}

// armsMax is how many variants a journey may have: each is a row that a person reads, and a
// set of metrics.
const armsMax = 12

var variantName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// trial checks what a journey says of its experiment.
func (s *sense) trial(j *Journey) {
	node := s.root.get("content", "variants")
	for _, name := range j.VariantNames() {
		path := join("content.variants", cut(name))
		e := node.entry(name)
		switch {
		case e == nil:
		case !variantName.MatchString(name):
			s.refuse(e.line, e.column, path, "got the name %q, expected lower-case letters, digits and -", cut(name))
		case name == "holdout":
			s.refuse(e.line, e.column, path, "got the name holdout, which is that of the people who are not mailed: see audience.holdout")
		case j.Content.Variants[name].Count > 0 && j.Content.Recommend == nil:
			s.at(node.get(name, "count"), join(path, "count"), "", "got a number of products, but content.recommend is missing")
		}
	}
	if n := len(j.Content.Variants); node != nil && node.kind == kindMapping && (n < 2 || n > armsMax) {
		s.at(node, "content.variants", "", "got %d variants, expected 2 to %d", n, armsMax)
	}
	if float64(j.Audience.Holdout) > 0.5 {
		s.at(s.root.get("audience", "holdout"), "audience.holdout", "", "got %v, expected at most 50%%", j.Audience.Holdout)
	}
	s.steering(j)
	windows := s.root.get("measure", "windows")
	for _, name := range slices.Sorted(maps.Keys(j.Measure.Windows)) {
		e, path := windows.entry(name), join("measure.windows", cut(name))
		if e == nil {
			continue
		}
		if !slices.Contains(Outcomes(), name) {
			hint := nearest(name, Outcomes())
			s.refuse(e.line, e.column, path, "unknown outcome %q, expected %s", cut(name), among(Outcomes(), hint))
			s.problems[len(s.problems)-1].Hint = hint
		}
		s.window(e.value, path, j.Measure.Windows[name])
	}
	s.window(s.root.get("measure", "goal", "within"), "measure.goal.within", j.Measure.Goal.Within)
	if j.Measure.Goal.Value != "" && j.Measure.Goal.On != "Order Completed" {
		s.at(s.root.get("measure", "goal", "value"), "measure.goal.value", "", "%s has no total, only Order Completed has", cut(j.Measure.Goal.On))
	}
}

// steering checks layer, optimiser and attribution.
func (s *sense) steering(j *Journey) {
	if l := j.Trial.Layer; l != nil && l.From >= l.To && l.Name != "" {
		s.at(s.root.get("experiment", "layer", "to"), "experiment.layer.to", "", "got %v to %v, expected a part that ends after it begins", l.From, l.To)
	}
	if o := j.Trial.Optimise; o != nil {
		n := len(j.Content.Variants)
		if n < 2 {
			s.at(s.root.get("experiment", "optimise"), "experiment.optimise", "", "there is nothing to choose from, expected content.variants")
		} else if float64(o.Floor)*float64(n) > 1 {
			s.at(s.root.get("experiment", "optimise", "floor"), "experiment.optimise.floor", "", "got %v for each of %d variants, expected at most %.4g%%", o.Floor, n, 100/float64(n))
		}
		s.window(s.root.get("experiment", "optimise", "every"), "experiment.optimise.every", o.Every)
	}
	s.window(s.root.get("measure", "attribution", "window"), "measure.attribution.window", j.Measure.Attribution.Window)
}

// layer checks that none of the journeys read before owns a part of what this one owns.
func (s *sense) layer(j *Journey, others []*Journey) {
	l := j.Trial.Layer
	if l == nil {
		return
	}
	for _, o := range others {
		if m := o.Trial.Layer; o != j && m != nil && m.Name == l.Name && l.From < m.To && m.From < l.To {
			s.at(s.root.get("experiment", "layer"), "experiment.layer", "", "got %v to %v of %s, but pipeline %s owns %v to %v: people would be in both",
				l.From, l.To, l.Name, o.Name, m.From, m.To)
		}
	}
}

func (s *sense) window(n *node, path string, d time.Duration) {
	if d > windowMax {
		s.at(n, path, "", "got %s, expected at most %s", FormatDuration(d), FormatDuration(windowMax))
	}
}

// explainTrial tells of a journey's experiment.
func explainTrial(j *Journey, say func(format string, args ...any)) {
	if j.Audience.Holdout > 0 {
		say("[audience] %v get none and are watched all the same, for comparison.", j.Audience.Holdout)
	}
	if len(j.Content.Variants) == 0 {
		return
	}
	sum := 0
	for _, v := range j.Content.Variants {
		sum += v.Weight
	}
	var parts []string
	for _, name := range j.VariantNames() {
		parts = append(parts, fmt.Sprintf("%s %.3g%%", name, 100*float64(j.Content.Variants[name].Weight)/float64(sum)))
	}
	say("[%s] Of those who are mailed each stays with one variant: %s.", j.Content.ID, strings.Join(parts, ", "))
	if l := j.Trial.Layer; l != nil {
		say("[%s] Only %v to %v of the layer %s take part; the others get %s and are not counted.", j.Content.ID, l.From, l.To, l.Name, j.VariantNames()[0])
	}
	if o := j.Trial.Optimise; o != nil {
		say("[%s] The shares follow what comes back (%s).", j.Content.ID, o.By)
	}
}
