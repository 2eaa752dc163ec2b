package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"millrace/console"
	"millrace/operators/content"
	"millrace/operators/lstm"
)

// consoleModels shows the registry of models to the console.
type consoleModels struct{ registry *lstm.Registry }

// Models implements console.Models.
func (c consoleModels) Models(context.Context) ([]console.ModelKind, error) {
	shipped, _, err := shippedCard()
	if err != nil {
		return nil, err
	}
	subject, err := c.kind(c.registry, content.ModelName, "writes the lines of mails", []lstm.Card{shipped})
	if err != nil {
		return nil, err
	}
	headline, err := c.kind(headlinesOf(c.registry), headlineName, "ranks subjects by the clicks they are likely to get", nil)
	if err != nil {
		return nil, err
	}
	return []console.ModelKind{subject, headline}, nil
}

// kind are the versions of a name, behind those that came with the program.
func (c consoleModels) kind(r *lstm.Registry, name, note string, shipped []lstm.Card) (console.ModelKind, error) {
	out := console.ModelKind{Name: name, Note: note}
	cards, err := r.List(name)
	if err != nil {
		return out, err
	}
	history, err := r.History(name)
	if err != nil {
		return out, err
	}
	current, err := r.Current(name)
	if err != nil {
		return out, err
	}
	for i, card := range append(slices.Clone(shipped), cards...) {
		own := i < len(shipped)
		v := console.ModelVersion{
			Version: card.Version, At: card.Created, Data: card.Data, Bytes: card.Bytes, InUse: own && current == "" || !own && card.Version == current,
		}
		for _, key := range slices.Sorted(maps.Keys(card.Metrics)) {
			v.Metrics = append(v.Metrics, console.ModelMetric{Name: key, Value: card.Metrics[key]})
		}
		if !own {
			points, err := r.Curves(name, card.Version)
			if err != nil {
				return out, fmt.Errorf("curves: %w", err)
			}
			v.Curves = curvesOf(points)
		}
		out.Versions = append(out.Versions, v)
	}
	for _, p := range history {
		out.Promotions = append(out.Promotions, console.ModelPromotion{Version: p.Version, At: p.At, Rollback: p.Rollback})
	}
	return out, nil
}

// curvesOf are the two curves that say how a training went.
func curvesOf(points []lstm.Point) []console.ModelCurve {
	var out []console.ModelCurve
	for _, tag := range []string{"loss", "held_out_loss"} {
		c := console.ModelCurve{Name: tag}
		for _, p := range points {
			if p.Tag == tag {
				c.Steps, c.Values = append(c.Steps, p.Step), append(c.Values, float64(p.Value))
			}
		}
		if len(c.Steps) > 0 {
			out = append(out, c)
		}
	}
	return out
}
