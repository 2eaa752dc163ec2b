package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"millrace/configs"
	"millrace/console"
	"millrace/operators"
	"millrace/operators/experiment"
	"millrace/operators/lstm"
	"millrace/operators/sentiment"
)

// This file gives a version of the pipelines the model that judges what people write, and
// shows what came of it.

// sentimentName is the name under which a registry keeps models of tone.
const sentimentName = "sentiment"

// shippedTone is the version and the file of the model of the build.
func shippedTone() (version string, file []byte, err error) {
	file, err = sentiment.ShippedFile()
	return lstm.VersionOf(sentimentName, file), file, err
}

// toneModel reads the model that a shop names from a data directory: the one that was
// promoted, as of now, where it names none.
func (f files) toneModel(named string) (*sentiment.Model, string, error) {
	shipped, file, err := shippedTone()
	if err != nil {
		return nil, "", err
	}
	r := lstm.NewRegistry(filepath.Join(f.dir, modelsDir))
	version := named
	switch named {
	case configs.ToneModelShipped, shipped:
		version = shipped
	case configs.ToneModelCurrent:
		if version, err = r.Current(sentimentName); err != nil {
			return nil, "", err
		}
	}
	if version != "" && version != shipped {
		if _, file, err = r.Load(sentimentName, version); err != nil {
			return nil, "", &exitError{exitConfig, fmt.Errorf("sentiment.model %s: %w; millrace model list --name sentiment shows those that there are", named, err)}
		}
	} else {
		version = shipped
	}
	m, err := sentiment.Decode(file)
	if err != nil {
		return nil, "", fmt.Errorf("sentiment.model %s: %w", version, err)
	}
	return m, version, nil
}

// listening is how a version of the shop listens; nil when it does not.
func (f files) listening(set *configs.Set, watch *operators.ToneWatch) (*operators.Listening, error) {
	if set.Shop.Sentiment == nil {
		return nil, nil //nolint:nilnil // a shop that does not listen is the usual case and no error
	}
	m, version, err := f.toneModel(set.Shop.Sentiment.Model)
	if err != nil {
		return nil, err
	}
	return operators.Listen(set, m, version, watch), nil
}

// openTones makes what watches the tone of a running program.
func (a *app) openTones() {
	a.tones = operators.NewToneWatch()
	a.tones.Alarm = func(version string, index float64, on bool) {
		if !on {
			a.log.Info("what people write is again as it was when the model of tone was made", "model", version, "index", index)
			return
		}
		a.log.Warn("what people write has changed since the model of tone was made: label some texts with millrace label, and train a new one", "model", version, "index", index)
	}
}

// watchTone compares what is heard with the training of the model of a version that takes
// effect.
func (a *app) watchTone(l *operators.Listening) {
	if l != nil {
		card := l.Model.Card()
		a.tones.Use(l.Version, card, 2*card.Labels >= card.Examples)
	}
}

// consoleTone shows how people speak, to the console.
type consoleTone struct{ a *app }

// Tone implements console.Tone.
func (c consoleTone) Tone(context.Context) (console.TonePicture, error) {
	p := c.a.acts.current().pipeline
	var out console.TonePicture
	out.Listens, _ = p.Listens()
	if !out.Listens {
		return out, nil
	}
	f := c.a.tones.Figures()
	out.Model, out.Drift, out.Alarm = p.ToneVersion(), f.Drift, f.Alarm
	v := c.a.engine.View()
	defer v.Close()
	all, err := p.CampaignTones(v)
	if err != nil {
		return out, err
	}
	for _, one := range all {
		t := console.ToneCampaign{Name: one.Campaign, Loose: one.Campaign == operators.NoCampaign}
		for _, d := range one.Days {
			t.Days = append(t.Days, console.ToneDay{Day: d.Day, Texts: d.Texts, Bad: d.Bad, Mean: d.Mean()})
		}
		out.Campaigns = append(out.Campaigns, t)
	}
	return out, nil
}

// shownReport is a report, and how people spoke of the journeys that it is about.
type shownReport struct {
	*experiment.Report
	Tone []operators.CampaignTone `json:"tone,omitempty"`
}

// toneOf is how people spoke of the journeys of an experiment.
func (a *app) toneOf(name string) ([]operators.CampaignTone, error) {
	now := a.acts.current()
	all, err := viewed(a, now.pipeline.CampaignTones)
	out := []operators.CampaignTone{}
	for _, j := range now.journeys {
		i := slices.IndexFunc(all, func(c operators.CampaignTone) bool { return c.Campaign == j.Rule.Pipeline })
		if i >= 0 && j.Experiment != nil && j.Experiment.Name == name {
			out = append(out, all[i])
		}
	}
	return out, err
}

// toneLines is how many days are printed of a journey.
const toneLines = 14

func toneText(w io.Writer, all []operators.CampaignTone) {
	for _, c := range all {
		fmt.Fprintf(w, "\ntone of what people write about %s, -1 to 1\n", c.Campaign)
		for _, d := range c.Days[max(0, len(c.Days)-toneLines):] {
			fmt.Fprintf(w, "  %s  %+.2f of %d, %d bad\n", time.Unix(d.Day*24*60*60, 0).UTC().Format(time.DateOnly), d.Mean(), d.Texts, d.Bad)
		}
	}
}
