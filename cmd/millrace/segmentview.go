package main

import (
	"context"
	"fmt"
	"strings"

	"millrace/console"
)

// consoleSegments shows the segments, and the quality of the data, to the console.
type consoleSegments struct{ a *app }

// mapSquares is how many squares a map has to the side.
const mapSquares = 24

// Segments implements console.Segments.
func (c consoleSegments) Segments(context.Context) (console.SegmentPicture, error) {
	var out console.SegmentPicture
	now := c.a.acts.current()
	people := make(map[string]int)
	if sizes := c.a.segments.latest(); sizes != nil {
		out.People = sizes.People
		for _, s := range sizes.Segments {
			people[s.Name] = s.People
		}
	}
	shop := now.set.Shop
	for _, name := range shop.SegmentNames() {
		s := console.Segment{Name: name, Note: shop.Segments[name].String(), People: people[name]}
		if out.People > 0 {
			s.Share = float64(s.People) / float64(out.People)
		}
		out.Declared = append(out.Declared, s)
	}
	models := now.pipeline.Models()
	if models == nil || models.Groups == nil {
		return out, nil
	}
	g := models.Groups
	out.Version, out.At = shop.Profile.Cluster, when(g.At)
	out.Explained, out.Stability, out.Before, out.AxesShare = g.Explained, g.Stability, g.Before, g.AxesShare
	for i := range g.Groups {
		var notes []string
		for _, s := range g.Groups[i].Out {
			notes = append(notes, fmt.Sprintf("%s %+.1f", s.Feature, s.Off))
		}
		out.Groups = append(out.Groups, console.Segment{Name: g.Groups[i].Name, Note: strings.Join(notes, ", "), People: g.Groups[i].People, Share: g.Groups[i].Share})
	}
	for _, m := range g.Map {
		// Groups of one square stand beside each other.
		off := float64(m.Group%4) / 8
		out.Map = append(out.Map, console.SegmentDot{
			X: (float64(m.X) + .3 + off) / mapSquares, Y: (float64(m.Y) + .3 + off) / mapSquares, Group: m.Group, People: m.People,
		})
	}
	return out, nil
}

// Quality implements console.Quality.
func (c consoleSegments) Quality(context.Context) ([]console.SourceQuality, error) {
	var out []console.SourceQuality
	for _, s := range c.a.pipeline.Counters.Quality.Sources() {
		one := console.SourceQuality{Source: s.Source, Events: s.Events}
		for _, p := range s.Problems {
			one.Problems = append(one.Problems, console.QualityProblem{Name: string(p.Problem), Class: p.Class, Count: p.Count})
		}
		out = append(out, one)
	}
	return out, nil
}
