package console

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// experimentView is an experiment as shown.
type experimentView struct {
	Name     string    `json:"experiment"`
	Phase    string    `json:"phase"`
	Goal     string    `json:"goal"`
	Baseline string    `json:"baseline"`
	At       moment    `json:"-"`
	Days     string    `json:"days"`
	Shares   string    `json:"shares"`
	SharesOK bool      `json:"shares_ok"`
	Stopped  string    `json:"stopped,omitempty"`
	Late     string    `json:"-"`
	Arms     []armView `json:"arms"`
	Plot     plotView  `json:"-"`
	Campaign campaign  `json:"-"`
	Uplift   string    `json:"-"` // where the Qini curve is; "" where nobody is held out
	Metrics  []string  `json:"-"`
	Href     string    `json:"-"`
}

type armView struct {
	Name    string       `json:"variant"`
	Tone    string       `json:"-"`
	Color   int          `json:"-"`
	Share   string       `json:"share"`
	Units   string       `json:"units"`
	Verdict string       `json:"verdict"`
	Stopped string       `json:"stopped,omitempty"`
	Base    bool         `json:"baseline"`
	P       string       `json:"p"`
	Metrics []metricView `json:"metrics"`
	Brought string       `json:"incremental,omitempty"`
}

type metricView struct {
	Name   string `json:"metric"`
	Goal   bool   `json:"goal"`
	Sum    string `json:"sum"`
	Mean   string `json:"mean"`
	Effect string `json:"effect,omitempty"`
	Range  string `json:"interval,omitempty"`
	Tone   string `json:"-"`
}

// Limits of the page.
const (
	experimentsMax = 50
	armsShown      = 13
)

// experiments answers the page of all experiments.
func (c *Console) experiments(w http.ResponseWriter, r *http.Request) {
	v, err := c.experimentsOf(r.Context())
	if err != nil {
		c.oops(w, r, err)
		return
	}
	c.page(w, r, http.StatusOK, "experiments", "Experiments", v)
}

func (c *Console) experimentParts(ctx context.Context) ([]part, error) {
	v, err := c.experimentsOf(ctx)
	if err != nil {
		return nil, err
	}
	p, err := c.fragment("experiments", "figures", v)
	return []part{p}, err
}

func (c *Console) experimentsOf(ctx context.Context) ([]experimentView, error) {
	all, err := c.opt.Experiments.Experiments(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]experimentView, 0, len(all))
	for i := range all[:min(len(all), experimentsMax)] {
		out = append(out, c.experimentOf(&all[i]))
	}
	return out, nil
}

func (c *Console) experimentOf(e *Experiment) experimentView {
	v := experimentView{
		Name: clean(e.Name), Phase: clean(e.Phase), Goal: clean(e.Goal), Baseline: clean(e.Baseline), At: at(e.At, c.opt.Zone),
		Days: short(e.Days), SharesOK: e.SharesP >= 0.001, Stopped: clean(e.Stopped), Plot: plotOf(e),
		Href: "/experiments/" + clean(e.Name) + "/plot.svg",
	}
	v.Campaign = campaignOf(e)
	v.Shares = "as planned"
	if !v.SharesOK {
		v.Shares = fmt.Sprintf("not as planned (p %.2g): believe no figure until that is explained", e.SharesP)
	}
	if e.Late > 0 {
		v.Late = number(e.Late)
	}
	for i := range e.Arms[:min(len(e.Arms), armsShown)] {
		v.Arms = append(v.Arms, armOf(e, i))
	}
	if _, ok := c.opt.Experiments.(Uplifts); ok && e.held() {
		v.Uplift = "/experiments/" + clean(e.Name) + "/uplift.svg"
	}
	if len(e.Arms) > 0 {
		for _, m := range e.Arms[0].Metrics {
			v.Metrics = append(v.Metrics, clean(m.Name))
		}
	}
	return v
}

func armOf(e *Experiment, i int) armView {
	a := &e.Arms[i]
	v := armView{
		Name: clean(a.Name), Color: i, Share: fmt.Sprintf("%.4g%%", 100*a.Share), Units: number(uint64(max(a.Units, 0))),
		Verdict: clean(a.Verdict), Stopped: clean(a.Stopped), Base: a.Name == e.Baseline, P: fmt.Sprintf("%.2g", a.P),
		Tone: map[string]string{"ship": "good", "rollback": "bad", "unhealthy": "bad", "review": "warn"}[a.Verdict],
	}
	if a.Stopped != "" {
		v.Tone = "bad"
	}
	for _, m := range a.Metrics {
		v.Metrics = append(v.Metrics, metricOf(e, m))
	}
	if i := a.Incremental; i != nil {
		v.Brought = fmt.Sprintf("%+.2f beyond the holdout (%+.2f … %+.2f); %.2f is credited to its mails", i.Revenue/100, i.Lo/100, i.Hi/100, i.Attributed/100)
	}
	return v
}

// held tells whether some people are held out.
func (e *Experiment) held() bool {
	return slices.ContainsFunc(e.Arms, func(a ExperimentArm) bool { return a.Name == holdout })
}

func metricOf(e *Experiment, m ExperimentMetric) metricView {
	scale, unit := 100.0, " pp"
	out := metricView{Name: clean(m.Name), Goal: m.Name == e.Goal, Sum: number(uint64(max(m.Sum, 0))), Mean: fmt.Sprintf("%.2f%%", 100*m.Mean)}
	if m.Plain {
		scale, unit = 1, ""
		out.Mean = fmt.Sprintf("%.2f", m.Mean)
	}
	if m.Money {
		scale, unit = 0.01, ""
		out.Sum, out.Mean = fmt.Sprintf("%.2f", float64(m.Sum)/100), fmt.Sprintf("%.2f", m.Mean/100)
	}
	if !m.Known {
		return out
	}
	out.Effect = fmt.Sprintf("%+.2f%s", scale*m.Effect, unit)
	out.Range = fmt.Sprintf("%+.2f … %+.2f", scale*m.Lo, scale*m.Hi)
	harm := m.Name == "unsubscribe" || m.Name == "complaint" || m.Name == "bounce"
	switch {
	case m.Lo > 0 && !harm, m.Hi < 0 && harm:
		out.Tone = "good"
	case m.Hi < 0 && !harm, m.Lo > 0 && harm:
		out.Tone = "bad"
	}
	return out
}

// plotView is the goal's effect over time with the interval that may be looked at any time.
type plotView struct {
	Lines       []plotLine
	Zero        string // height of no effect
	Top, Bottom string // what the edges of the plot mean
	From, To    string
	Alt         string
}

type plotLine struct {
	Name         string
	Color        int
	Line, Ribbon string
}

const (
	plotWidth  = 640.0
	plotHeight = 180.0
)

// plotOf draws the arms other than the baseline. The scale is that of the later intervals:
// the first ones are as wide as the world.
func plotOf(e *Experiment) plotView {
	v := plotView{Alt: "Effect on " + clean(e.Goal) + " against " + clean(e.Baseline) + " over time"}
	if len(e.Past) < 2 {
		return v
	}
	from, to := e.Past[0].At, e.Past[len(e.Past)-1].At
	if !to.After(from) {
		return v
	}
	most, money := 0.0, false
	for i := len(e.Past) / 4; i < len(e.Past); i++ {
		for _, m := range e.Past[i].Effects {
			if m.Known {
				most = math.Max(most, math.Max(math.Abs(m.Lo), math.Abs(m.Hi)))
				money = m.Money
			}
		}
	}
	if !(most > 0) || math.IsInf(most, 0) {
		return v
	}
	x := func(t time.Time) float64 { return plotWidth * float64(t.Sub(from)) / float64(to.Sub(from)) }
	y := func(f float64) float64 {
		return plotHeight/2 - (plotHeight/2-2)*math.Max(-1, math.Min(1, f/most))
	}
	for arm := range e.Arms[:min(len(e.Arms), armsShown)] {
		if e.Arms[arm].Name != e.Baseline {
			if l := lineOf(e, arm, x, y); l.Line != "" {
				v.Lines = append(v.Lines, l)
			}
		}
	}
	v.Zero = coordinate(plotHeight / 2)
	v.Top, v.Bottom = fmt.Sprintf("%+.2f pp", 100*most), fmt.Sprintf("−%.2f pp", 100*most)
	if money {
		v.Top, v.Bottom = fmt.Sprintf("%+.2f", most/100), fmt.Sprintf("−%.2f", most/100)
	}
	v.From, v.To = from.UTC().Format("2 Jan 15:04"), to.UTC().Format("2 Jan 15:04")
	return v
}

func lineOf(e *Experiment, arm int, x func(time.Time) float64, y func(float64) float64) plotLine {
	l := plotLine{Name: clean(e.Arms[arm].Name), Color: arm}
	var line, upper strings.Builder
	var lower []string
	for _, p := range e.Past {
		if arm >= len(p.Effects) || !p.Effects[arm].Known {
			continue
		}
		m, at := p.Effects[arm], coordinate(x(p.At))
		pen := "L"
		if line.Len() == 0 {
			pen = "M"
		}
		line.WriteString(pen + at + " " + coordinate(y(m.Effect)))
		upper.WriteString(pen + at + " " + coordinate(y(m.Hi)))
		lower = append(lower, "L"+at+" "+coordinate(y(m.Lo)))
	}
	for _, l := range slices.Backward(lower) {
		upper.WriteString(l)
	}
	l.Line = line.String()
	if l.Line != "" {
		l.Ribbon = upper.String() + "Z"
	}
	return l
}

// plotColors are for the plot as a file, which has no style sheet.
var plotColors = [...]string{"#566873", "#0f766e", "#8b5cf6", "#d97706", "#0284c7", "#b91c1c"} //nolint:gochecknoglobals // constant

// experimentPlot answers the plot of one experiment as a file.
func (c *Console) experimentPlot(w http.ResponseWriter, r *http.Request) {
	all, err := c.opt.Experiments.Experiments(r.Context())
	if err != nil {
		c.oops(w, r, err)
		return
	}
	for i := range all {
		if all[i].Name != r.PathValue("name") {
			continue
		}
		w.Header().Set("Content-Type", "image/svg+xml")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(plotFile(&all[i])) // the reader went away: nobody is left to tell
		return
	}
	c.fail(w, r, http.StatusNotFound, "There is no such experiment.")
}

// plotFile writes the plot as SVG. Every text in it was cleaned to names of the
// configuration and figures, and is escaped all the same.
func plotFile(e *Experiment) []byte {
	v := plotOf(e)
	var b bytes.Buffer
	text := func(x, y float64, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%s" y="%s" text-anchor="%s">%s</text>`, coordinate(x), coordinate(y), anchor, escapeXML(s))
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-70 -34 740 244" width="740" height="244" role="img" aria-label="%s" font-family="sans-serif" font-size="12" fill="#12212b"><rect x="-70" y="-34" width="740" height="244" fill="#fff"/>`, escapeXML(v.Alt))
	text(0, -14, "start", clean(e.Name)+": effect on "+clean(e.Goal)+" against "+clean(e.Baseline)+", with the interval that may be looked at any time")
	if len(v.Lines) == 0 {
		text(plotWidth/2, plotHeight/2, "middle", "Nothing can be told yet.")
	} else {
		fmt.Fprintf(&b, `<path d="M0 %sH640" stroke="#94a3b8" stroke-dasharray="4 4"/>`, v.Zero)
		text(-6, 12, "end", v.Top)
		text(-6, plotHeight/2+4, "end", "0")
		text(-6, plotHeight, "end", v.Bottom)
		text(0, plotHeight+18, "start", v.From)
		text(plotWidth, plotHeight+18, "end", v.To)
	}
	for i, l := range v.Lines {
		color := plotColors[l.Color%len(plotColors)]
		fmt.Fprintf(&b, `<path d="%s" fill="%s" opacity=".15"/><path d="%s" fill="none" stroke="%s" stroke-width="2"/>`, l.Ribbon, color, l.Line, color)
		fmt.Fprintf(&b, `<g fill="%s">`, color)
		text(plotWidth-6, 14+16*float64(i), "end", l.Name)
		b.WriteString(`</g>`)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func escapeXML(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}

// experimentStream sends the figures as server-sent events: one for each variant when it
// changed, complete in itself, at most twice a second.
func (c *Console) experimentStream(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		c.deny(w, r, "This request was sent by another site's page.")
		return
	}
	s := c.hub.join("experiment-stream") // for its place only: no topic has that name
	if s == nil {
		w.Header().Set("Retry-After", "5")
		c.fail(w, r, http.StatusServiceUnavailable, "Too many pages are open, or the engine is stopping.")
		return
	}
	defer c.hub.leave(s)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	tick := time.NewTicker(c.opt.Every)
	defer tick.Stop()
	var changed <-chan struct{} // without a watcher the tick asks
	if source, ok := c.opt.Experiments.(Watcher); ok {
		var stop func()
		changed, stop = source.Watch()
		defer stop()
	}
	sent := make(map[string]string)
	first := []byte("retry: 2000\n\n")
	for {
		body, err := c.experimentEvents(r.Context(), sent)
		if err != nil {
			c.opt.Logger.Error("console: stream experiments", "err", err)
			return
		}
		if c.write(w, out, append(first, body...)) != nil {
			return
		}
		first = nil
		select {
		case <-r.Context().Done():
			return
		case _, ok := <-s.frames:
			if !ok {
				return
			}
		case <-changed:
		case <-tick.C:
		}
	}
}

// experimentEvents writes what changed since it was sent. Where nothing did, a comment
// keeps the connection open.
func (c *Console) experimentEvents(ctx context.Context, sent map[string]string) ([]byte, error) {
	all, err := c.opt.Experiments.Experiments(ctx)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for i := range all[:min(len(all), experimentsMax)] {
		for _, a := range all[i].Arms {
			key := all[i].Name + "." + a.Name
			if sent[key] == string(a.Message) || bytes.ContainsAny(a.Message, "\r\n") {
				continue
			}
			sent[key] = string(a.Message)
			fmt.Fprintf(&b, "event: millrace.metrics.%s\ndata: %s\n\n", key, a.Message)
		}
	}
	if b.Len() == 0 {
		b.WriteString(": still here\n\n")
	}
	return b.Bytes(), nil
}
