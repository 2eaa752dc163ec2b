package console

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Tone tells how people speak of the shop's mails. Safe for concurrent use.
type Tone interface {
	Tone(ctx context.Context) (TonePicture, error)
}

// TonePicture is what is known of it.
type TonePicture struct {
	Listens   bool    // whether the shop does
	Model     string  // that judges
	Drift     float64 // population stability index, 0 before there is enough to compare
	Alarm     bool
	Campaigns []ToneCampaign
}

// ToneCampaign is how people spoke of one journey.
type ToneCampaign struct {
	Name  string
	Loose bool      // of what answers no mail
	Days  []ToneDay // oldest first
}

// ToneDay is one day with texts, UTC.
type ToneDay struct {
	Day        int64 // since 1970
	Texts, Bad uint64
	Mean       float64 // -1 to 1
}

// toneShown is how many days with texts are drawn, and campaignsShown how many campaigns.
const (
	toneShown      = 60
	campaignsShown = 100
)

type toneView struct {
	Listens   bool               `json:"listens"`
	Model     string             `json:"model,omitempty"`
	Drift     string             `json:"drift,omitempty"`
	Alarm     bool               `json:"alarm"`
	Campaigns []toneCampaignView `json:"campaigns"`
}

type toneCampaignView struct {
	Name  string        `json:"name"`
	Texts string        `json:"texts"`
	Bad   string        `json:"bad"`
	Mean  string        `json:"mean"`
	Bars  []toneBarView `json:"days"`
}

// toneBarView is a day's bar, from the middle line up or down, in a box of 240 by 48.
type toneBarView struct {
	Title string `json:"title"`
	X     int    `json:"-"`
	Y     int    `json:"-"`
	H     int    `json:"-"`
	Bad   bool   `json:"bad"`
}

// The form of the drawing.
const (
	toneStep = 4
	toneHalf = 24
)

// tone serves the page.
func (c *Console) tone(w http.ResponseWriter, r *http.Request) {
	p, err := c.opt.Tone.Tone(r.Context())
	if err != nil {
		c.oops(w, r, fmt.Errorf("tone: %w", err))
		return
	}
	v := toneView{Listens: p.Listens, Model: p.Model, Alarm: p.Alarm, Campaigns: []toneCampaignView{}}
	if p.Drift > 0 {
		v.Drift = fmt.Sprintf("%.3f", p.Drift)
	}
	for i := range p.Campaigns[:min(len(p.Campaigns), campaignsShown)] {
		v.Campaigns = append(v.Campaigns, toneCampaignOf(&p.Campaigns[i]))
	}
	c.page(w, r, http.StatusOK, "tone", "Tone", v)
}

func toneCampaignOf(t *ToneCampaign) toneCampaignView {
	out := toneCampaignView{Name: t.Name, Bars: []toneBarView{}}
	if t.Loose {
		out.Name = "(no mail)"
	}
	var texts, bad uint64
	sum := 0.0
	days := t.Days[max(0, len(t.Days)-toneShown):]
	for i, d := range days {
		texts, bad, sum = texts+d.Texts, bad+d.Bad, sum+d.Mean*float64(d.Texts)
		height := max(1, int(min(max(d.Mean, -d.Mean), 1)*toneHalf))
		y := toneHalf
		if d.Mean > 0 {
			y -= height
		}
		date := time.Unix(d.Day*24*60*60, 0).UTC().Format(time.DateOnly)
		out.Bars = append(out.Bars, toneBarView{
			Title: fmt.Sprintf("%s: %+.2f of %d, %d bad", date, d.Mean, d.Texts, d.Bad), X: i * toneStep, Y: y, H: height, Bad: d.Mean < 0,
		})
	}
	out.Texts, out.Bad, out.Mean = number(texts), number(bad), "–"
	if texts > 0 {
		out.Mean = fmt.Sprintf("%+.2f", sum/float64(texts))
	}
	return out
}
