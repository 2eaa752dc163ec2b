package experiment

import (
	"fmt"
	"math"
)

// Guardrail watches that a harm, such as unsubscribes, is not more frequent in an arm than
// in the control by more than a margin. It may look after every send: the chance that it
// ever stops an arm whose harm stays within the margin is at most Alpha, up to the normal
// approximation; the measured rate stands in docs/experiments.md.
type Guardrail struct {
	Alpha   float64 // 0 means .05
	Margin  float64 // how much more harm is borne; 0 means .0005, negative none
	TuningN float64 // units of both arms at which it is sharpest; 0 means 20,000
	HarmMin float64 // least number of harms in the arm before it is stopped; 0 means 5
	Ceiling float64 // rate of harm, exact at any n, beyond which the arm is stopped whatever the control does; 0: none
}

func (g Guardrail) withDefaults() Guardrail {
	if g.Alpha == 0 {
		g.Alpha = 0.05 // of all arms that do no harm one in twenty may be stopped
	}
	if g.Margin == 0 {
		g.Margin = 0.0005 // half of a good list's rate of unsubscribing
	}
	g.Margin = math.Max(0, g.Margin)
	if g.TuningN == 0 {
		g.TuningN = 20000 // a harm four times as frequent as it should be shows by then
	}
	if g.HarmMin == 0 {
		g.HarmMin = 5 // below, the normal approximation is none
	}
	return g
}

// Alarm is what a guardrail says of an arm.
type Alarm struct {
	Stop   bool
	Reason string  // for people, without any value that names a person
	Excess float64 // rate of the arm less that of the control
	Lower  float64 // bound of the excess at this look
}

// Look compares harms among the sends of an arm with those of the control. What stops, stays
// stopped: the caller keeps the first alarm.
func (g Guardrail) Look(control, treatment Harm) Alarm {
	g = g.withDefaults()
	a := Alarm{Excess: treatment.rate() - control.rate(), Lower: math.Inf(-1)}
	if g.Ceiling > 0 && treatment.Sends > 0 {
		// Two-sided at twice alpha is one-sided at alpha.
		if lo := BernoulliSequence(treatment.Harms, treatment.Sends, math.Min(2*g.Alpha, 0.5), 1/g.Ceiling, 0.05).Lo; lo > g.Ceiling {
			a.Stop, a.Reason = true, fmt.Sprintf("rate %.4g, surely above the ceiling of %.4g", treatment.rate(), g.Ceiling)
		}
	}
	if !(control.Sends > 0) || !(treatment.Sends > 0) {
		return a
	}
	e := Effect{
		Estimate: a.Excess - g.Margin,
		SE:       math.Sqrt(control.variance()/control.Sends + treatment.variance()/treatment.Sends),
		N:        control.Sends + treatment.Sends,
	}
	a.Lower = e.SequenceOneSided(g.Alpha, g.TuningN, true).CI.Lo + g.Margin
	if !a.Stop && a.Lower > g.Margin && treatment.Harms >= g.HarmMin {
		a.Stop = true
		a.Reason = fmt.Sprintf("rate %.4g against %.4g of the control: surely more than %.4g above it", treatment.rate(), control.rate(), g.Margin)
	}
	return a
}

// Harm counts harms among sends.
type Harm struct{ Sends, Harms float64 }

func (h Harm) rate() float64 {
	if h.Sends > 0 {
		return h.Harms / h.Sends
	}
	return 0
}

// variance is that of one send, half a harm added to each side: none seen yet does not mean
// that there are none.
func (h Harm) variance() float64 {
	p := (h.Harms + 0.5) / (h.Sends + 1)
	return p * (1 - p)
}

// Verdict is what may be done with an experiment as of now.
type Verdict string

// The verdicts.
const (
	Collecting Verdict = "collecting" // nothing can be said
	Unhealthy  Verdict = "unhealthy"  // units do not arrive in the planned shares: no figure may be believed
	Ship       Verdict = "ship"
	Rollback   Verdict = "rollback"
	Review     Verdict = "review" // a person must weigh a gain against a harm
)

// Evidence is what a verdict rests on.
type Evidence struct {
	Goal      Test    // any-time test of the goal, adjusted for the number of arms
	Alpha     float64 // 0 means .05
	SRM       float64 // any-time p-value of the shares
	SRMAlpha  float64 // 0 means .001
	Stopped   bool    // a guardrail has stopped the arm
	Worsening bool    // a guardrail metric is likely worse, without having crossed its margin
	Days      float64
	DaysMin   float64 // 0 means 3: a weekday is not a weekend
}

// Verdict decides. Harm comes first: it needs no waiting.
func (e Evidence) Verdict() Verdict {
	alpha, srm, days := e.Alpha, e.SRMAlpha, e.DaysMin
	if alpha == 0 {
		alpha = 0.05
	}
	if srm == 0 {
		srm = 0.001
	}
	if days == 0 {
		days = 3
	}
	decided := e.Goal.P < alpha && e.Days >= days
	switch {
	case e.Stopped:
		return Rollback
	case e.SRM < srm:
		return Unhealthy
	case decided && e.Goal.Effect > 0 && e.Worsening:
		return Review
	case decided && e.Goal.Effect > 0:
		return Ship
	case decided && e.Goal.Effect < 0:
		return Rollback
	}
	return Collecting
}
