package experiment

import (
	"cmp"
	"math"
	"slices"
)

// AttributionWindow is how long after a click an order is credited to it when nothing else
// is said: five days, in milliseconds.
const AttributionWindow = 5 * 24 * 3600 * 1000

// Touch is a contact of a person with a mail that might be credited with an order.
type Touch struct {
	ID      uint64
	At      int64
	Click   bool // opens are never credited: mail programs open by themselves
	Machine bool // a scanner's
}

// LastTouch is the last human click at or before an order and within the window, in event
// time, or -1. It is a function of the set: a click that arrives late, or turns out to be a
// scanner's, moves the credit when it is asked again. Ties go to the higher ID.
func LastTouch(touches []Touch, order, window int64) int {
	best := -1
	for i, t := range touches {
		if !t.credited(order, window) {
			continue
		}
		if best < 0 || t.At > touches[best].At || t.At == touches[best].At && t.ID > touches[best].ID {
			best = i
		}
	}
	return best
}

func (t Touch) credited(order, window int64) bool {
	return t.Click && !t.Machine && t.At <= order && order-t.At < window
}

// Decay shares the credit for an order between all human clicks within the window, halving
// with each half-life of their age; 0 or less shares it equally. Credits sum to 1, or to 0
// where nobody clicked.
func Decay(touches []Touch, order, window int64, halfLife float64) []float64 {
	out, sum := make([]float64, len(touches)), 0.0
	for i, t := range touches {
		if !t.credited(order, window) {
			continue
		}
		out[i] = 1
		if halfLife > 0 {
			out[i] = math.Exp2(-float64(order-t.At) / halfLife)
		}
		sum += out[i]
	}
	for i := range out {
		if sum > 0 {
			out[i] /= sum
		}
	}
	return out
}

// Credit says to which mail an order is credited.
type Credit struct {
	Window   int64 // milliseconds; 0 means AttributionWindow
	Exposure bool  // to the last mail, clicked or not
}

// scanWindow is how close to a machine's click another one of the same mail is taken for
// one of it too: scanners follow all links of a mail within a second or two.
const scanWindow = 2000

// scanned tells whether a click was a scanner's: it stands within two seconds of one that
// was told to be. That may be known later than the click; it is a function of the set.
func (u *Unit) scanned(click *Outcome) bool {
	for i := range u.Outcomes {
		o := &u.Outcomes[i]
		if o.Name == OutcomeScan && !o.Gone && o.Mail == click.Mail && max(o.At-click.At, click.At-o.At) <= scanWindow {
			return true
		}
	}
	return false
}

// touched tells whether anything could be credited at all.
func (u *Unit) touched(c Credit) bool {
	name := OutcomeClick
	if c.Exposure {
		name = OutcomeSent
	}
	return slices.ContainsFunc(u.Outcomes, func(o Outcome) bool { return o.Name == name && !o.Gone })
}

// credited tells whether an outcome is credited to a mail of the unit's experiment: the
// last one that was clicked, or sent, within the window before it was one of it.
func (u *Unit) credited(order *Outcome, c Credit) bool {
	window, mine := cmp.Or(c.Window, AttributionWindow), false
	var last *Outcome
	for i := range u.Outcomes {
		o := &u.Outcomes[i]
		touch, own := o.Name == OutcomeClick || o.Name == OutcomeElsewhere, o.Name == OutcomeClick
		if c.Exposure {
			touch, own = o.Name == OutcomeSent || o.Name == OutcomeSentElsewhere, o.Name == OutcomeSent
		}
		if !touch || o.Gone || o.At > order.At || order.At-o.At >= window || !c.Exposure && u.scanned(o) {
			continue
		}
		if last == nil || o.At > last.At || o.At == last.At && o.ID > last.ID {
			last, mine = o, own
		}
	}
	return mine
}
