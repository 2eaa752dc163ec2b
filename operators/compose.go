package operators

import (
	"context"
	"strings"

	"millrace/engine"
	"millrace/operators/content"
	"millrace/operators/event"
	"millrace/operators/profile"
)

// This file says what a mail is written from, besides the decision and the profile, and
// what the decision keeps of it.

// seenMails is how many of a person's newest mails a new one is kept apart from.
const seenMails = 32

// compose lets the writer of a decision write, and returns what the decision keeps of it.
func (m *Mailer) compose(ctx context.Context, v *engine.View, d *event.Decision, p *profile.Person, req *content.Request) (event.Draft, *event.Written, error) {
	writer := m.o.Writers[d.Pipeline+"/"+d.Variant]
	if writer == nil {
		writer = m.o.Writers[d.Pipeline]
	}
	if err := m.remember(v, d, req); err != nil {
		return event.Draft{}, nil, err
	}
	if err := m.Mood(v, d, p, req); err != nil {
		return event.Draft{}, nil, err
	}
	if m.o.Stock != nil && len(d.Items) > 0 {
		req.Stock, req.Was = m.o.Stock(v, d.Items)
	}
	propensity := 0.0
	if designs := m.designs(d.Pipeline); len(designs) > 0 {
		choose := m.o.Design
		if choose == nil {
			choose = func(d *event.Decision, allowed []content.Design) (content.Design, float64) {
				return content.ChooseDesign(d.ID, allowed)
			}
		}
		req.Design, propensity = choose(d, designs)
	}
	draft, written, err := writer.Compose(ctx, *req)
	if err != nil {
		return event.Draft{}, nil, err
	}
	written.Propensity = propensity
	m.count(written)
	m.offers(d, p, req, v.Watermark)
	return draft, written, nil
}

// remember tells the writer what the person got before.
func (m *Mailer) remember(v *engine.View, d *event.Decision, req *content.Request) error {
	key, err := m.pipeline.Owner(v, d.Person)
	if err != nil {
		return err
	}
	st, _, err := engine.Read(v, m.pipeline.trigger.Cell, key)
	if err != nil {
		return err
	}
	for _, r := range st.Records[max(0, len(st.Records)-seenMails):] {
		if r.Subject == "" || r.ID == d.ID {
			continue
		}
		req.Seen = append(req.Seen, r.Subject)
		if r.Written != nil {
			req.SeenHashes = append(req.SeenHashes, r.Written.Seen...)
		}
	}
	return nil
}

// designs are the layouts that a journey allows.
func (m *Mailer) designs(pipeline string) []content.Design {
	j := m.journeys[pipeline]
	if j.Config == nil {
		return nil
	}
	var out []content.Design
	for _, c := range j.Config.Content.Designs {
		out = append(out, content.Design{Name: c.Name, Blocks: c.Blocks, Products: c.Products})
	}
	return out
}

// count counts the lines by how they came about.
func (m *Mailer) count(w *event.Written) {
	for _, l := range w.Lines {
		if l.Why == "" {
			m.Content.model(l.Part)
		} else {
			m.Content.fellBack(l.Part, l.Why)
		}
		for _, c := range l.Others {
			if c.Why != "" {
				m.Content.refused(c.Why)
			}
		}
	}
}

// offers counts who gets a lower price shown, so that no group is left out.
func (m *Mailer) offers(d *event.Decision, p *profile.Person, req *content.Request, now int64) {
	offered := d.Kind == "price-drop" || req.Was > 0
	group := "new"
	if p.OrderCount() > 0 {
		group = "returning"
	}
	language := "en"
	if strings.HasPrefix(strings.ToLower(req.Language), "zh") {
		language = "zh"
	}
	for _, g := range [][2]string{{"customer", group}, {"language", language}} {
		if alarm, ratio := m.Content.offer(g[0], g[1], offered, now); alarm && m.o.Unfair != nil {
			m.o.Unfair(g[0], ratio)
		}
	}
}
