package main

import (
	"fmt"
	"io"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/configs"
	"millrace/operators"
	"millrace/operators/content"
	"millrace/operators/event"
)

// newWriter makes the writer of a journey, or of one of its variants with another subject.
func newWriter(j *configs.Journey, subject string) (*content.Writer, error) {
	c := &j.Content
	o := content.Options{NoModel: subject == "fallback", SubjectWait: c.MaxWait, Banned: c.Banned}
	if k := c.Knowledge; k != nil {
		o.Knowledge = content.Knowledge{Never: k.Never, Allow: k.Allow, Replies: k.Replies == "yes", Attributes: make(map[string][]string)}
		for id, facts := range k.Products {
			o.Knowledge.Attributes[id] = facts.Attributes
		}
		for _, claim := range k.Claims {
			o.Knowledge.Claims = append(o.Knowledge.Claims, content.Claim{Say: claim.Say, Only: claim.Only})
		}
	}
	if e := c.External; e != nil && !o.NoModel {
		key, err := e.Secret(os.LookupEnv)
		if err != nil {
			return nil, err
		}
		if o.External, err = content.NewExternal(content.ExternalOptions{
			URL: e.URL, Model: e.Model, Key: key, Timeout: e.Timeout, Budget: e.PerMinute,
		}); err != nil {
			return nil, err
		}
	}
	return content.New(o)
}

// writtenText tells what a mail was made of, and what else was considered for it.
func writtenText(w io.Writer, x *event.Written) {
	if x == nil {
		return
	}
	if x.Design != "" {
		fmt.Fprintf(w, "         design %s, of a probability of %.3f\n", x.Design, x.Propensity)
	}
	for _, l := range x.Lines {
		if l.Part != content.Subject.String() {
			fmt.Fprintf(w, "         %s %q\n", l.Part, l.Text)
		}
		if l.Why != "" {
			fmt.Fprintf(w, "           a written one: %s\n", l.Why)
		}
		for _, c := range l.Others {
			mark, why := "-", ""
			if c.Chosen {
				mark = "+"
			}
			if c.Why != "" {
				why = ", refused: " + c.Why
			}
			fmt.Fprintf(w, "           %s %-50q score %.2f, divergence %.2f, novelty %.2f%s\n", mark, c.Subject, c.Score, c.KL, c.Novelty, why)
		}
	}
}

// content declares what the writers count.
func (m *collector) content() {
	m.add("millrace_content_lines_total", "Lines of mails, by part and by what came of them: the model's, or a written one and why.", []string{"part", "result"}, func(send func(float64, ...string)) {
		m.app.content.Each(func(c operators.ContentCount, n uint64) {
			if c.Part != "" {
				send(float64(n), c.Part, c.Result)
			}
		})
	}, prometheus.CounterValue)
	m.add("millrace_content_refused_total", "Candidates that the guard refused, by reason.", []string{"reason"}, func(send func(float64, ...string)) {
		m.app.content.Each(func(c operators.ContentCount, n uint64) {
			if c.Part == "" {
				send(float64(n), c.Result)
			}
		})
	}, prometheus.CounterValue)
	m.add("millrace_content_fairness_ratio", "Lowest share of mails with an offer among the groups of a trait over the highest; below .8 is an alarm.", []string{"trait"}, func(send func(float64, ...string)) {
		for _, trait := range content.FairnessTraits() {
			if ratio, ok := m.app.content.Fairness.Ratio(trait, m.app.content.Now()); ok {
				send(ratio, trait)
			}
		}
	}, prometheus.GaugeValue)
	m.add("millrace_content_external_refused_total", "Answers of the model outside that were not taken, by reason.", []string{"reason"}, func(send func(float64, ...string)) {
		for _, reason := range content.ExternalReasons() {
			n := uint64(0)
			for _, w := range m.app.models.writers {
				n += w.ExternalRefused(reason)
			}
			send(float64(n), reason)
		}
	}, prometheus.CounterValue)
}
