package profile

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// RFM scores how recently, how often and for how much a person has ordered, each from 1
// to 5: the fifth of all buyers that they are in, 5 being the best. All are 0 for who has
// never ordered.
type RFM struct {
	Recency, Frequency, Money uint8
}

// String is the usual short form, as in "5-4-3".
func (r RFM) String() string { return fmt.Sprintf("%d-%d-%d", r.Recency, r.Frequency, r.Money) }

// RFMScale holds the borders between the fifths of a shop's buyers.
type RFMScale struct {
	Recency   [4]float64 // day of the last order, since 1970
	Frequency [4]float64 // days with an order
	Money     [4]float64 // minor units
}

// Scale makes the borders from all people's spells and from what each of them has spent.
func (c *Cohorts) Scale(spent *Quantiles) RFMScale {
	var s RFMScale
	var last, often []weightedValue
	for cell, n := range c.cells {
		if n > 0 {
			last = append(last, weightedValue{(float64(cell.Last) + .5) * float64(c.Days()), float64(n)})
			often = append(often, weightedValue{float64(cell.Repeats + 1), float64(n)})
		}
	}
	for i := range 4 {
		p := float64(i+1) / 5
		s.Recency[i], s.Frequency[i], s.Money[i] = quantileOf(last, p), quantileOf(often, p), spent.At(p)
	}
	return s
}

type weightedValue struct{ value, weight float64 }

func quantileOf(in []weightedValue, p float64) float64 {
	slices.SortFunc(in, func(a, b weightedValue) int { return cmp.Compare(a.value, b.value) })
	sum := 0.0
	for _, v := range in {
		sum += v.weight
	}
	rest := p * sum
	for _, v := range in {
		if rest -= v.weight; rest <= 0 {
			return v.value
		}
	}
	return 0
}

// Score scores a person by a spell and what they have spent in all, in minor units.
func (s *RFMScale) Score(spell Spell, spent float64) RFM {
	fifth := func(borders *[4]float64, v float64) uint8 {
		n := uint8(1)
		for _, b := range borders {
			if v > b {
				n++
			}
		}
		return n
	}
	return RFM{fifth(&s.Recency, float64(spell.Last)+.5), fifth(&s.Frequency, float64(spell.Repeats)+1), fifth(&s.Money, spent)}
}

// Stage is where a person stands in the life of a customer.
type Stage uint8

// The stages.
const (
	StageProspect Stage = iota // has not ordered yet
	StageNew                   // has ordered once, lately
	StageActive                // orders as usual
	StageAtRisk                // is silent for longer than usual
	StageLapsed                // is silent for so long that a return would be news
)

// String is the word for it in conditions and on pages.
func (s Stage) String() string {
	switch s {
	case StageProspect:
		return "prospect"
	case StageNew:
		return "new"
	case StageActive:
		return "active"
	case StageAtRisk:
		return "at risk"
	case StageLapsed:
		return "lapsed"
	}
	return "unknown"
}

// StageOptions say where the stages end. The zero value works.
type StageOptions struct {
	// CadenceDays is the usual time between orders, for people who have not shown theirs.
	CadenceDays float64
	// RiskAfter and LapsedAfter are how many times their own cadence people are silent.
	RiskAfter, LapsedAfter float64
	// RiskBelow and LapsedBelow are the probabilities to be alive, where a model is there.
	RiskBelow, LapsedBelow float64
	// LapsedDays ends every stage.
	LapsedDays float64
}

func (o StageOptions) withDefaults() StageOptions {
	o.CadenceDays = cmp.Or(o.CadenceDays, 45)  // between a grocer's week and a furnisher's year
	o.RiskAfter = cmp.Or(o.RiskAfter, 2)       // one order missed
	o.LapsedAfter = cmp.Or(o.LapsedAfter, 5)   // four missed
	o.RiskBelow = cmp.Or(o.RiskBelow, .5)      // more likely gone than not
	o.LapsedBelow = cmp.Or(o.LapsedBelow, .15) // one in seven still there
	o.LapsedDays = cmp.Or(o.LapsedDays, 365)   // a season has passed without them
	return o
}

// cadenceWeight is how many gaps of their own outweigh what is usual in the shop.
const cadenceWeight = 1

// Cadence is the time between a person's orders in days: the mean of their own gaps and,
// as one gap more, the usual one.
func (o StageOptions) Cadence(s Spell) float64 {
	o = o.withDefaults()
	return (float64(s.Last-s.First) + cadenceWeight*o.CadenceDays) / (float64(s.Repeats) + cadenceWeight)
}

// StageOf is the stage of a person as of a time. The silence since the last order is
// measured by the person's own cadence, and for who has come back before also by the
// model, if there is one: the worse of the two counts. model may be nil.
func StageOf(s Spell, now int64, model *Lifetime, o StageOptions) Stage {
	o = o.withDefaults()
	silent := math.Max(float64(now)/float64(dayMillis)-float64(s.Last), 0)
	cadence := math.Max(o.Cadence(s), 1)
	alive := 1.0
	if model != nil && model.Usable() {
		alive = model.Alive(s.History(now))
	}
	switch {
	case silent > o.LapsedDays || silent > o.LapsedAfter*cadence || alive < o.LapsedBelow:
		return StageLapsed
	case silent > o.RiskAfter*cadence || alive < o.RiskBelow:
		return StageAtRisk
	case s.Repeats == 0:
		return StageNew
	}
	return StageActive
}

// Outlook is what is expected of a person.
type Outlook struct {
	Stage    Stage
	Churn    float64 // probability that there will be no more orders
	Within   float64 // probability of an order within the horizon
	Expected float64 // orders within the horizon
	NextDays float64 // within which half of such people order again, if they live
}

// OutlookOf is the outlook of a person as of a time, over a horizon of days. Without a
// model all but the stage is 0.
func OutlookOf(s Spell, now int64, days float64, model *Lifetime, o StageOptions) Outlook {
	out := Outlook{Stage: StageOf(s, now, model, o)}
	if model == nil || !model.Usable() {
		return out
	}
	h := s.History(now)
	out.Churn = 1 - model.Alive(h)
	out.Within = model.Within(h, days/7)
	out.Expected = model.Expected(h, days/7)
	out.NextDays = model.Next(h) * 7
	return out
}
