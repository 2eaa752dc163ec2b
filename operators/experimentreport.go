package operators

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	netmail "net/mail"
	"strings"
	"time"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/mail"
)

// Experiment is the one of a name that runs, nil for none.
func (p *Pipeline) Experiment(name string) *experiment.Running {
	for _, r := range p.experiments.running {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// ExperimentNames are those that run, in order.
func (p *Pipeline) ExperimentNames() []string {
	var out []string
	for _, r := range p.experiments.running {
		out = append(out, r.Name)
	}
	return out
}

// Report tells all of an experiment as of the committed state.
func (p *Pipeline) Report(v *engine.View, r *experiment.Running) (experiment.Report, error) {
	progress, _, err := engine.Read(v, p.experiments.totals.Cell, r.Key())
	if err != nil {
		return experiment.Report{}, err
	}
	stops, _, err := engine.Read(v, p.experiments.stopper.Cell, r.Key())
	if err != nil {
		return experiment.Report{}, err
	}
	steering, _, err := engine.Read(v, p.experiments.desk.Steering, experiment.Anchors()[0])
	if err != nil {
		return experiment.Report{}, err
	}
	return progress.Report(r, steering.Of(r.Key()), &stops, v.Watermark, v.Epoch), nil
}

// WhatIf answers what another split of an experiment would have brought.
func (p *Pipeline) WhatIf(v *engine.View, r *experiment.Running, split map[string]float64, alpha float64) (experiment.Outlook, error) {
	progress, _, err := engine.Read(v, p.experiments.totals.Cell, r.Key())
	if err != nil {
		return experiment.Outlook{}, err
	}
	return progress.WhatIf(r, split, alpha)
}

// SteerHandler carries out experiment.EffectSteer: it puts the optimiser's belief into the
// log by publish, for which a second time under the same id is harmless.
func SteerHandler(publish func(ctx context.Context, id string, data []byte) error) engine.Handler {
	return func(ctx context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
		var s event.Steer
		if err := json.Unmarshal(row.Body, &s); err != nil {
			return engine.Again, time.Hour, fmt.Errorf("steer in row %d: %w", row.ID, err)
		}
		if err := publish(ctx, fmt.Sprintf("steer/%s/%d", s.Experiment, s.Serial), event.AppendSteer(nil, &s)); err != nil {
			return engine.Again, time.Second, fmt.Errorf("steer of row %d: %w", row.ID, err)
		}
		return engine.Removed, 0, nil
	}
}

// AlarmOptions say how owners are told of alarms. The zero value tells nobody.
type AlarmOptions struct {
	Journeys []Journey
	Sender   *mail.Sender // nil sends no mail
	From     mail.Address
	// Notify tells somebody else as well, such as a webhook; nil does not. The id is that
	// of the notice: telling it twice must be harmless.
	Notify func(ctx context.Context, id string, n *experiment.Notice) error
}

// AlarmHandler carries out experiment.EffectNotice: the owner of the journey gets a mail if
// `owner` is an address, which no holdout, cap or experiment concerns, and Notify is called.
// The address stands in the configuration alone.
func AlarmHandler(o AlarmOptions) engine.Handler {
	owners := make(map[string]string)
	for _, j := range o.Journeys {
		if j.Experiment == nil || j.Config == nil {
			continue
		}
		if a, err := netmail.ParseAddress(j.Config.Owner); err == nil {
			owners[j.Experiment.Name] = a.Address
		}
	}
	return func(ctx context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
		var n experiment.Notice
		if err := json.Unmarshal(row.Body, &n); err != nil {
			return engine.Again, time.Hour, fmt.Errorf("notice in row %d: %w", row.ID, err)
		}
		id := fmt.Sprintf("alarm-%s-%016x", n.Experiment, experiment.Hash(n.Phase, n.Variant+" "+n.Metric))
		if o.Notify != nil {
			if err := o.Notify(ctx, id, &n); err != nil {
				return engine.Again, 10 * time.Second, fmt.Errorf("notice of row %d: %w", row.ID, err)
			}
		}
		if to := owners[n.Experiment]; to != "" && o.Sender != nil {
			if after, err := tellOwner(ctx, &o, id, to, &n); err != nil {
				return engine.Again, after, fmt.Errorf("mail of row %d: %w", row.ID, err)
			}
		}
		return engine.Removed, 0, nil
	}
}

func tellOwner(ctx context.Context, o *AlarmOptions, id, to string, n *experiment.Notice) (time.Duration, error) {
	_, err := o.Sender.Send(ctx, mail.Job{
		Decision: id, To: to, Policy: mail.AtLeastOnce,
		Render: func(context.Context) (mail.Letter, error) {
			subject, text := noticeText(n)
			m := mail.Message{
				Decision: id, Draft: event.Draft{Subject: subject, Text: text, HTML: "<pre>" + strings.ReplaceAll(text, "<", "&lt;") + "</pre>"},
				From: o.From, To: mail.Address{Addr: to}, Date: time.UnixMilli(n.At).UTC(),
			}
			raw, err := m.Render()
			return mail.Letter{From: o.From.Addr, To: to, Subject: subject, Bytes: raw}, err
		},
	})
	return 10 * time.Second, err
}

// noticeText is what the owner reads.
func noticeText(n *experiment.Notice) (subject, text string) {
	what := "is watched, and goes on as the journey says (stop_if: never)"
	switch {
	case n.All:
		what = "and with it the journey is stopped: nobody is mailed until the experiment is changed"
	case n.Stops:
		what = "is stopped: its people get what the control gets"
	}
	subject = fmt.Sprintf("Alarm in experiment %s: %s of %s", n.Experiment, n.Metric, n.Variant)
	text = fmt.Sprintf("A guardrail of the experiment %s has raised an alarm.\n\n%s: %s\n\nVariant %s %s.\n\nSeen at %s. See: millrace experiment show %s\n",
		n.Experiment, cmp.Or(n.Metric, "metric"), n.Reason, n.Variant, what, time.UnixMilli(n.At).UTC().Format(time.RFC3339), n.Experiment)
	return subject, text
}

// ExperimentBytes is how large the stored sums of an experiment are.
func (p *Pipeline) ExperimentBytes(v *engine.View, r *experiment.Running) (int, error) {
	progress, _, err := engine.Read(v, p.experiments.totals.Cell, r.Key())
	return len(progress.AppendTo(nil)), err
}
