package console

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"
)

// Uplifts is what Experiments may also tell: for whom the mails of an experiment pay. The
// answer is nil while that is not known. It may take seconds.
type Uplifts interface {
	Uplift(ctx context.Context, name string) (*Uplift, error)
}

// Uplift is how well people are sorted by what a mail adds.
type Uplift struct {
	Name, Goal, Learner string
	Money               bool // gains are in the smallest unit
	People              int
	At                  time.Time // watermark
	Qini, Lo, Hi        float64   // area between the curve and a random order, with its interval
	Sure                bool      // it is better than chance
	Curve               []UpliftPoint
}

// UpliftPoint is what mailing the most promising share would bring, a person of all.
type UpliftPoint struct{ Share, Gain, Lo, Hi float64 }

// upliftPlot answers the Qini curve of an experiment as a file.
func (c *Console) upliftPlot(w http.ResponseWriter, r *http.Request) {
	source, ok := c.opt.Experiments.(Uplifts)
	if !ok {
		c.fail(w, r, http.StatusNotFound, "Nobody knows for whom mails pay.")
		return
	}
	all, err := c.opt.Experiments.Experiments(r.Context())
	if err != nil {
		c.oops(w, r, err)
		return
	}
	for i := range all {
		if all[i].Name != r.PathValue("name") {
			continue
		}
		u, err := source.Uplift(r.Context(), all[i].Name)
		if err != nil || u == nil { // too few people yet: a plot that says so
			u = &Uplift{Name: all[i].Name, Goal: all[i].Goal}
		}
		w.Header().Set("Content-Type", "image/svg+xml")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(UpliftSVG(u)) // the reader went away: nobody is left to tell
		return
	}
	c.fail(w, r, http.StatusNotFound, "There is no such experiment.")
}

// UpliftSVG draws the Qini curve with its interval, beside the line of a random order.
func UpliftSVG(u *Uplift) []byte {
	var b bytes.Buffer
	text := func(x, y float64, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%s" y="%s" text-anchor="%s">%s</text>`, coordinate(x), coordinate(y), anchor, escapeXML(clean(s)))
	}
	title := u.Name + ": what mailing the most promising people adds to " + u.Goal
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-90 -52 760 292" width="760" height="292" role="img" aria-label="%s" font-family="sans-serif" font-size="12" fill="#12212b"><rect x="-90" y="-52" width="760" height="292" fill="#fff"/>`, escapeXML(clean(title)))
	text(0, -32, "start", title)
	lo, hi := upliftSpan(u.Curve)
	if len(u.Curve) < 2 || !(hi > lo) {
		text(plotWidth/2, plotHeight/2, "middle", "Nothing can be told yet: it takes a hundred people mailed, and held out, whose window is past.")
		b.WriteString("</svg>\n")
		return b.Bytes()
	}
	verdict := "perhaps no better than chance"
	if u.Sure {
		verdict = "better than chance"
	}
	text(0, -14, "start", fmt.Sprintf("by %s, %d people: Qini %s, between %s and %s, %s", u.Learner, u.People, u.amount(u.Qini), u.amount(u.Lo), u.amount(u.Hi), verdict))
	const height = 200.0
	x := func(share float64) string { return coordinate(plotWidth * share) }
	y := func(g float64) string { return coordinate(height * (hi - g) / (hi - lo)) }
	var line, upper strings.Builder
	lower := ""
	pen := "M"
	for _, p := range u.Curve {
		line.WriteString(pen + x(p.Share) + " " + y(p.Gain))
		upper.WriteString(pen + x(p.Share) + " " + y(p.Hi))
		lower = "L" + x(p.Share) + " " + y(p.Lo) + lower
		pen = "L"
	}
	end := u.Curve[len(u.Curve)-1]
	fmt.Fprintf(&b, `<path d="M0 %sH640" stroke="#94a3b8"/>`, y(0))
	fmt.Fprintf(&b, `<path d="M0 %sL640 %s" stroke="#566873" stroke-dasharray="4 4"/>`, y(0), y(end.Gain))
	fmt.Fprintf(&b, `<path d="%s%sZ" fill="#0f766e" opacity=".15"/><path d="%s" fill="none" stroke="#0f766e" stroke-width="2"/>`, upper.String(), lower, line.String())
	text(-6, 10, "end", u.amount(hi))
	text(-6, height*(hi-0)/(hi-lo)+4, "end", "0")
	if lo < 0 {
		text(-6, height, "end", u.amount(lo))
	}
	for _, share := range []float64{0, .25, .5, .75, 1} {
		text(plotWidth*share, height+18, "middle", fmt.Sprintf("%.0f %%", 100*share))
	}
	text(plotWidth/2, height+34, "middle", "share of the people who are mailed, the most promising first; dashed: in a random order")
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// upliftSpan is the range of the gains with their intervals.
func upliftSpan(curve []UpliftPoint) (lo, hi float64) {
	for _, p := range curve {
		for _, v := range [...]float64{p.Gain, p.Lo, p.Hi} {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				lo, hi = math.Min(lo, v), math.Max(hi, v)
			}
		}
	}
	return lo, hi
}

// amount is a gain a person, in words.
func (u *Uplift) amount(v float64) string {
	if u.Money {
		return fmt.Sprintf("%+.2f", v/100)
	}
	return fmt.Sprintf("%+.3g pp", 100*v)
}
