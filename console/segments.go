package console

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Segments tells which segments people are in. It answers from memory, as of the last
// scan, and is safe for concurrent use.
type Segments interface {
	Segments(ctx context.Context) (SegmentPicture, error)
}

// SegmentPicture is what is known of the segments.
type SegmentPicture struct {
	People   int // of the last scan, 0 before the first one
	Declared []Segment
	Groups   []Segment // that conditions use, largest first; none without a model
	Version  int       // of the model of the groups
	At       time.Time // of its state
	// Explained is the part of people's differences that the groups explain, Stability how
	// alike they are to those before, if there were any, and AxesShare what the map shows.
	Explained, Stability, AxesShare float64
	Before                          int
	Map                             []SegmentDot
}

// Segment is a declared segment, or a group.
type Segment struct {
	Name   string
	Note   string // its condition, or what stands out
	People int
	Share  float64
}

// SegmentDot is how many people of a group stand at a place of the map, from 0 to 1.
type SegmentDot struct {
	X, Y   float64
	Group  int
	People int
}

// Quality tells what is wanting in the events of each source since the program started.
// It answers from memory and is safe for concurrent use.
type Quality interface {
	Quality(ctx context.Context) ([]SourceQuality, error)
}

// SourceQuality is how one source does.
type SourceQuality struct {
	Source   string
	Events   uint64
	Problems []QualityProblem
}

// QualityProblem is how often something was wanting.
type QualityProblem struct {
	Name  string // "no currency"
	Class string // "missing"
	Count uint64
}

type segmentView struct {
	Name   string  `json:"name"`
	Note   string  `json:"note"`
	People int     `json:"people"`
	Share  float64 `json:"share"`
	Color  int     `json:"-"`
	Width  string  `json:"-"`
	Text   string  `json:"-"`
}

type dotView struct {
	X, Y, R string
	Color   int
	Title   string
}

type segmentsView struct {
	People    string        `json:"-"`
	Total     int           `json:"people"`
	Declared  []segmentView `json:"declared"`
	Groups    []segmentView `json:"groups"`
	Version   int           `json:"version,omitempty"`
	At        moment        `json:"at"`
	Explained string        `json:"explained,omitempty"`
	Stability string        `json:"stability,omitempty"`
	Before    int           `json:"before,omitempty"`
	AxesShare string        `json:"-"`
	Dots      []dotView     `json:"-"`
}

// Limits of the page.
const (
	segmentsMax   = 64
	dotsMax       = 3000
	segmentColors = 6 // beyond them colours begin anew
)

func (c *Console) segments(w http.ResponseWriter, r *http.Request) {
	p, err := c.opt.Segments.Segments(r.Context())
	if err != nil {
		c.oops(w, r, fmt.Errorf("segments: %w", err))
		return
	}
	v := segmentsView{
		Total: p.People, People: number(uint64(max(p.People, 0))), Declared: segmentsOf(p.Declared), Groups: segmentsOf(p.Groups),
		Version: p.Version, At: at(p.At, c.opt.Zone), Before: p.Before,
	}
	if p.Version > 0 {
		v.Explained, v.AxesShare = share(p.Explained), share(p.AxesShare)
	}
	if p.Before > 0 {
		v.Stability = fmt.Sprintf("%.2f", p.Stability)
	}
	top := 0
	for _, d := range p.Map {
		top = max(top, d.People)
	}
	for _, d := range p.Map[:min(len(p.Map), dotsMax)] {
		if d.Group < 0 || d.Group >= len(v.Groups) || d.People <= 0 {
			continue
		}
		v.Dots = append(v.Dots, dotView{
			X: coordinate(10 + 620*d.X), Y: coordinate(390 - 380*d.Y), R: coordinate(2 + 9*float64(d.People)/float64(top)),
			Color: d.Group % segmentColors, Title: fmt.Sprintf("%s: %d", v.Groups[d.Group].Name, d.People),
		})
	}
	c.page(w, r, http.StatusOK, "segments", "Segments", v)
}

func share(f float64) string { return fmt.Sprintf("%.0f %%", 100*min(max(f, 0), 1)) }

func segmentsOf(all []Segment) []segmentView {
	out := []segmentView{}
	for i, s := range all[:min(len(all), segmentsMax)] {
		out = append(out, segmentView{
			Name: clean(s.Name), Note: clean(s.Note), People: s.People, Share: s.Share, Color: i % segmentColors,
			Width: coordinate(100 * min(max(s.Share, 0), 1)), Text: fmt.Sprintf("%.1f %%", 100*s.Share),
		})
	}
	return out
}

type problemView struct {
	Name  string `json:"problem"`
	Class string `json:"class"`
	Count uint64 `json:"count"`
	Text  string `json:"-"`
	Share string `json:"share"`
	Tone  string `json:"-"`
}

type qualityView struct {
	Sources []sourceQualityView `json:"sources"`
}

type sourceQualityView struct {
	Source   string        `json:"source"`
	Events   uint64        `json:"events"`
	Text     string        `json:"-"`
	Problems []problemView `json:"problems"`
}

// sourcesMax bounds the page as the counters are bounded.
const sourcesMax = 65

func (c *Console) quality(w http.ResponseWriter, r *http.Request) {
	all, err := c.opt.Quality.Quality(r.Context())
	if err != nil {
		c.oops(w, r, fmt.Errorf("quality: %w", err))
		return
	}
	v := qualityView{Sources: []sourceQualityView{}}
	for _, s := range all[:min(len(all), sourcesMax)] {
		one := sourceQualityView{Source: clean(s.Source), Events: s.Events, Text: number(s.Events), Problems: []problemView{}}
		if strings.TrimSpace(one.Source) == "" {
			one.Source = "(unnamed)"
		}
		for _, p := range s.Problems {
			pv := problemView{Name: clean(p.Name), Class: clean(p.Class), Count: p.Count, Text: number(p.Count), Share: percent(p.Count, s.Events)}
			if 10*p.Count > s.Events { // what every tenth event lacks is no slip
				pv.Tone = "warn"
			}
			one.Problems = append(one.Problems, pv)
		}
		v.Sources = append(v.Sources, one)
	}
	c.page(w, r, http.StatusOK, "quality", "Data quality", v)
}
