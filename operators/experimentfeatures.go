package operators

import (
	"math"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/experiment"
	"millrace/operators/profile"
)

// FeatureNames are what experiments learn from about a person, in their order.
func FeatureNames() []string {
	return []string{"constant", "orders", "ltv", "days_since_order", "views", "days_since_seen"}
}

// featuresOf is the picture of a person as an optimiser sees it: the constant, and the
// logarithms of a few counts, so that one good customer is not a hundred others. Frozen at
// the first exposure.
func featuresOf(p *profile.Person, now int64) []int64 {
	log := func(x float64) int64 { return experiment.Feature(math.Log1p(math.Max(0, x)) / 2) }
	days := 0.0
	if p.LastOrder.At != 0 {
		days = 1 + since(now, p.LastOrder.At) // 0 is: never
	}
	return []int64{
		experiment.Feature(1), log(float64(p.OrderCount())), log(major(p.LTV(), p.Currency)), log(days),
		log(p.Count(event.ProductViewed, now)), log(since(now, p.Last)),
	}
}

// size is how many bytes the experiments of the current person take in a handover.
func (x *experiments) size(c *engine.Ctx) int {
	if x.desk == nil {
		return 0
	}
	return len(engine.Value(c, x.desk.Cell).AppendTo(nil))
}
