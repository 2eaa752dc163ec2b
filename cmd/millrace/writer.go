package main

import (
	"fmt"
	"io"
	"os"

	"millrace/configs"
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
	if x.Clicks != "" {
		fmt.Fprintf(w, "         subjects ranked by %s\n", x.Clicks)
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
			if c.Click > 0 {
				why = fmt.Sprintf(", clicks %.2f", c.Click) + why
			}
			fmt.Fprintf(w, "           %s %-50q score %.2f, divergence %.2f, novelty %.2f%s\n", mark, c.Subject, c.Score, c.KL, c.Novelty, why)
		}
	}
}
