package operators

import (
	"millrace/engine"
	"millrace/operators/experiment"
)

// This file says what the mails of each journey led to.

// Campaign is what the mails of a journey led to. Counts are people and their outcomes
// within the windows of the journey's measure, after their first mail of the phase.
type Campaign struct {
	Pipeline   string        `json:"pipeline"`
	Experiment string        `json:"experiment,omitempty"`
	Measured   bool          `json:"measured"` // it has variants, a holdout or a measure
	Days       float64       `json:"days"`
	Rows       []CampaignRow `json:"rows"` // all mailed people first, then each variant if there are several
}

// CampaignRow are the figures of the mailed people of a campaign, or of one variant.
type CampaignRow struct {
	Variant           string           `json:"variant,omitempty"` // "": all that are mailed
	People            int64            `json:"people"`
	Mails             int64            `json:"mails"`
	Sent              int64            `json:"sent"` // people whom at least one mail left for, and so on
	Delivered         int64            `json:"delivered"`
	Opened            int64            `json:"opened"`
	Clicked           int64            `json:"clicked"`
	ClickToOpen       float64          `json:"click_to_open"`
	Converted         int64            `json:"converted"`
	Attributed        int64            `json:"attributed"` // of them, by an order that is credited to a mail
	Revenue           int64            `json:"revenue"`    // in the smallest unit
	AttributedRevenue int64            `json:"attributed_revenue"`
	RevenuePerMail    float64          `json:"revenue_per_mail"`
	Unsubscribed      int64            `json:"unsubscribed"`
	Complained        int64            `json:"complained"`
	Bounced           int64            `json:"bounced"`
	Tone              int64            `json:"tone_sum"`              // of replies, in thousandths
	Incremental       *experiment.Lift `json:"incremental,omitempty"` // of one variant, beyond the holdout
}

// Campaigns are those of all journeys that run, in the order of the configuration.
func (p *Pipeline) Campaigns(v *engine.View, journeys []Journey) ([]Campaign, error) {
	figures, err := p.Figures(v)
	if err != nil {
		return nil, err
	}
	out := make([]Campaign, 0, len(journeys))
	for _, j := range journeys {
		c := Campaign{Pipeline: j.Rule.Pipeline, Rows: []CampaignRow{}}
		for i := range figures {
			if j.Experiment != nil && figures[i].Experiment == j.Experiment.Name {
				c.fill(&figures[i])
			}
		}
		out = append(out, c)
	}
	return out, nil
}

func (c *Campaign) fill(f *experiment.Figures) {
	c.Experiment, c.Measured, c.Days = f.Experiment, true, f.Days
	c.Rows = append(c.Rows, CampaignRow{})
	var variants []CampaignRow
	for i := range f.Arms {
		a := &f.Arms[i]
		if a.Name == experiment.ArmHoldout {
			continue
		}
		row := CampaignRow{Variant: a.Name, Incremental: a.Incremental}
		row.add(a)
		row.ratios()
		variants = append(variants, row)
		c.Rows[0].add(a)
	}
	c.Rows[0].ratios()
	if len(variants) > 1 {
		c.Rows = append(c.Rows, variants...)
	} else if len(variants) == 1 {
		c.Rows[0].Incremental = variants[0].Incremental
	}
}

// add counts an arm in.
func (r *CampaignRow) add(a *experiment.Arm) {
	r.People += a.Units
	for _, x := range [...]struct {
		to   *int64
		name string
	}{
		{&r.Mails, experiment.MetricMails}, {&r.Sent, experiment.OutcomeSent}, {&r.Delivered, experiment.OutcomeDelivered},
		{&r.Opened, experiment.OutcomeOpen}, {&r.Clicked, experiment.OutcomeClick}, {&r.Converted, experiment.OutcomeOrder},
		{&r.Attributed, experiment.MetricAttributed}, {&r.Revenue, experiment.MetricRevenue}, {&r.AttributedRevenue, experiment.MetricAttributedRevenue},
		{&r.Unsubscribed, experiment.OutcomeUnsubscribe}, {&r.Complained, experiment.OutcomeComplaint}, {&r.Bounced, experiment.OutcomeBounce},
		{&r.Tone, experiment.OutcomeTone},
	} {
		if m := a.Metric(x.name); m != nil {
			*x.to += m.Sum
		}
	}
}

func (r *CampaignRow) ratios() {
	r.ClickToOpen = ratio(float64(r.Clicked), float64(r.Opened))
	r.RevenuePerMail = ratio(float64(r.Revenue), float64(r.Mails))
}
