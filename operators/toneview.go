package operators

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/content"
	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/operators/sentiment"
	"millrace/operators/trigger"
)

// This file answers how people have spoken, from the committed state.

// Beyond these means of the person's own words a mail speaks in another tone.
const (
	calmBelow    = -0.15 // one bad text, or several cool ones
	playfulAbove = 0.6   // several that praise
)

// heldBack is why a mail that was decided must not leave after a bad experience, or "". What
// was imported is judged as of when it was decided.
func (p *Pipeline) heldBack(v *engine.View, person string, d *event.Decision) (string, error) {
	if p.listener == nil {
		return "", nil
	}
	t, _, err := engine.Read(v, p.listener.cell, person)
	if err != nil {
		return "", err
	}
	now := v.Watermark
	if d.Flags&event.FromImport != 0 {
		if now = d.Decided; t.BadAt > now { // it had not happened yet
			return "", nil
		}
	}
	return p.listener.held(&t, now), nil
}

// Mood sets how a mail to a person speaks, by how the person has spoken.
func (m *Mailer) Mood(v *engine.View, d *event.Decision, p *profile.Person, req *content.Request) error {
	l := m.pipeline.listener
	if m.o.Tone != nil {
		req.Tone = m.o.Tone(p)
	}
	if l == nil {
		return nil
	}
	key, err := m.pipeline.Owner(v, d.Person)
	if err != nil {
		return err
	}
	t, _, err := engine.Read(v, l.cell, key)
	if err != nil || !t.Known() {
		return err
	}
	req.Mood = t.Mean(v.Watermark, l.tone)
	switch {
	case m.o.Tone != nil: // somebody else picks
	case req.Mood < calmBelow:
		req.Tone = content.Calm
	case req.Mood > playfulAbove:
		req.Tone = content.Playful
	}
	return nil
}

// toneFact is profile.tone, and whether a variable of conditions is that.
func toneFact(name string, f *trigger.Facts) (configs.Value, bool) {
	if name != configs.ToneName {
		return configs.Value{}, false
	}
	return configs.FloatValue(f.Tone), true
}

// toneOf adds how the person under a key has spoken to what segments are reckoned from.
func (p *Pipeline) toneOf(v *engine.View, key string, f *trigger.Facts) error {
	if p.listener == nil {
		return nil
	}
	t, _, err := engine.Read(v, p.listener.cell, key)
	f.Tone = t.Mean(v.Watermark, p.listener.tone)
	return err
}

// PersonTone is how a person has spoken, for people.
type PersonTone struct {
	Tone      float64 `json:"tone"` // -1 to 1
	Texts     uint64  `json:"texts"`
	Bad       uint64  `json:"bad"` // bad experiences among them
	Last      int     `json:"last"`
	LastAt    int64   `json:"last_at"` // Unix milliseconds
	Model     string  `json:"model"`   // that judged the last text
	HeldUntil int64   `json:"held_until,omitempty"`
}

// Tone is how a person has spoken as of a view, by the shop's user id; nil when the shop
// does not listen, or nothing was heard.
func (p *Pipeline) Tone(v *engine.View, userID string) (*PersonTone, error) {
	if p.listener == nil {
		return nil, nil //nolint:nilnil // a shop that does not listen is the usual case and no error
	}
	key, err := p.Owner(v, p.pseudonyms.Person(userID))
	if err != nil {
		return nil, err
	}
	t, _, err := engine.Read(v, p.listener.cell, key)
	if err != nil || !t.Known() {
		return nil, err
	}
	out := &PersonTone{Tone: t.Mean(v.Watermark, p.listener.tone), Texts: t.Heard, Bad: t.Bads, Last: t.Last, LastAt: t.Newest, Model: t.Model}
	if until := t.HeldUntil(p.listener.Hold); until > v.Watermark {
		out.HeldUntil = until
	}
	return out, nil
}

// CampaignTone is how people spoke of a campaign, day by day.
type CampaignTone struct {
	Campaign string              `json:"campaign"` // journey; NoCampaign for what is about none
	Days     []sentiment.ToneDay `json:"days"`
}

// CampaignTones is how people spoke of each journey that there is as of a view, by name, and
// of none; nil when the shop does not listen.
func (p *Pipeline) CampaignTones(v *engine.View) ([]CampaignTone, error) {
	if p.listener == nil {
		return nil, nil
	}
	names := append(p.triggers.Pipelines(), NoCampaign)
	out := make([]CampaignTone, 0, len(names))
	for _, name := range names {
		days, _, err := engine.Read(v, p.listener.days, name)
		if err != nil {
			return nil, err
		}
		if len(days.Days) > 0 {
			out = append(out, CampaignTone{name, days.Days})
		}
	}
	return out, nil
}

// Listens tells whether the shop listens, and whether it keeps texts to be asked about.
func (p *Pipeline) Listens() (listens, labels bool) {
	return p.listener != nil, p.listener != nil && p.listener.Labels
}

// ToneVersion is the model that judges, "" without one.
func (p *Pipeline) ToneVersion() string {
	if p.listener == nil {
		return ""
	}
	return p.listener.Version
}

// askedMost bounds how many texts are asked about at once.
const askedMost = 1000

// Uncertain are the n texts of a view whose labels would teach most, the least certain
// first; what names people is masked. Texts that known knows, and repeats, are left out.
func (p *Pipeline) Uncertain(ctx context.Context, v *engine.View, n int, known func(text string) bool, progress func(people int)) ([]sentiment.Asked, error) {
	if p.listener == nil {
		return nil, nil
	}
	n = max(0, min(n, askedMost))
	var best []sentiment.Asked
	seen := func(text string) bool {
		return known(text) || slices.ContainsFunc(best, func(a sentiment.Asked) bool { return a.Text == text })
	}
	read, failed := 0, error(nil)
	err := p.Graph.EachAny(v, p.listener.cell.Name(), func(_ string, value any) bool {
		t, ok := value.(*sentiment.Tone)
		if !ok {
			failed = fmt.Errorf("a tone is a %T", value)
			return false
		}
		if read++; read%scanStep == 0 {
			if progress != nil {
				progress(read)
			}
			if failed = ctx.Err(); failed != nil {
				return false
			}
		}
		for _, a := range t.Asked {
			if i, _ := slices.BinarySearchFunc(best, a, sentiment.CompareAsked); i < n && !seen(a.Text) {
				a.Text = strings.Clone(a.Text)
				best = slices.Insert(best, i, a)
				best = best[:min(len(best), n)]
			}
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return best, err
}
