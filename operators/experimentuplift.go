package operators

import (
	"context"
	"errors"
	"fmt"
	"math"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/profile"
)

// This file says for whom a mail pays. The features of a person at the first exposure are
// frozen in the record of the person's experiments, so a scan of those finds what a replay
// of the log would.

// Roll samples the people of an experiment as of a view, see experiment.Roll.
func (p *Pipeline) Roll(ctx context.Context, v *engine.View, r *experiment.Running) (*experiment.Roll, error) {
	roll, n := new(experiment.Roll), 0
	var failed error
	err := p.Graph.EachAny(v, p.experiments.desk.Cell.Name(), func(key string, value any) bool {
		in, ok := value.(*experiment.Enrolments)
		if !ok {
			failed = fmt.Errorf("a person's experiments are a %T", value)
			return false
		}
		roll.Add(key, r, in, v.Watermark)
		if n++; n%scanStep == 0 {
			failed = ctx.Err()
		}
		return failed == nil
	})
	return roll, errors.Join(err, failed)
}

// FitUplift learns for whom the mails of an experiment pay.
func (p *Pipeline) FitUplift(ctx context.Context, v *engine.View, r *experiment.Running) (*experiment.UpliftFit, error) {
	roll, err := p.Roll(ctx, v, r)
	if err != nil {
		return nil, err
	}
	return roll.Uplift(r, FeatureNames(), v.Watermark)
}

// ReadUpliftModel reads a model that was kept as JSON.
func ReadUpliftModel(raw []byte) (*experiment.UpliftModel, error) {
	return experiment.ReadUpliftModel(raw, FeatureNames())
}

// upliftOf is what a mail adds for a person as known now, money in major units of the
// person's currency; 0 without a model.
func upliftOf(m *experiment.UpliftModel, p *profile.Person, now int64) float64 {
	if m == nil {
		return 0
	}
	u := m.Predict(featuresOf(p, now))
	if m.Money {
		u /= math.Pow10(event.Exponent(p.Currency))
	}
	return u
}

func upliftGoal(m *experiment.UpliftModel) string { return m.Goal + " of " + m.Experiment }

// Analyse looks at an experiment from several sides. Groups are by the orders before the
// first exposure.
func (p *Pipeline) Analyse(ctx context.Context, v *engine.View, r *experiment.Running) (*experiment.Analysis, error) {
	roll, err := p.Roll(ctx, v, r)
	if err != nil {
		return nil, err
	}
	return roll.Analyse(r, experiment.Grouping{Names: []string{"no order before", "one order", "2 to 4 orders", "5 orders and more"}, Of: orderGroup})
}

func orderGroup(features []int64) int {
	if len(features) <= frozenOrders {
		return 0
	}
	switch orders := math.Round(math.Expm1(2 * float64(features[frozenOrders]) / experiment.FeatureScale)); {
	case orders < 1:
		return 0
	case orders < 2:
		return 1
	case orders < 5:
		return 2
	}
	return 3
}
