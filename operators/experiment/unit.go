package experiment

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// OutcomesMax is how many outcomes of a unit are held while its windows are open. A shopper
// has a few; what has more is a machine.
const OutcomesMax = 256

// Errors of a unit that are counted, and change nothing.
var (
	ErrTooMany = errors.New("a unit has too many outcomes")
	ErrLate    = errors.New("an outcome came after its unit was closed")
)

// Kind is what a metric makes of a unit's outcomes.
type Kind int

// The kinds of metrics.
const (
	Share Kind = iota // whether there was any
	Mean              // their amounts together, such as revenue
	Ratio             // amounts of one name over those of another
)

// Metric is what an experiment watches. Times are in milliseconds of event time.
type Metric struct {
	Name    string
	Kind    Kind
	Outcome string // whose amounts count
	Per     string // of a Ratio: whose amounts are the denominator
	Delay   int64  // after the first exposure, before which nothing counts
	Window  int64  // after the first exposure, until which it counts; 0 means for good
	Cap     int64  // most that one unit's amounts count; 0 means no limit
	Once    bool   // of a Ratio: whether there was any of either, whatever the amounts
	Counted bool   // of a Ratio: how many of Per there were, whatever their amounts
	// Credited outcomes count only if a mail of the experiment is credited with them.
	Credited bool
}

// Outcome is something that a unit did, or that befell it.
type Outcome struct {
	ID     uint64 // hash of the event's id: an event counts once
	Name   string
	At     int64
	Amount int64  // 1 for what is only counted; money in the smallest unit
	Gone   bool   // retracted, perhaps before it was seen
	Mail   uint64 // hash of the decision that it is about; 0: of none
}

// Unit is what is known of one unit in one experiment. Its state depends on the set of what
// was told, not on the order, and telling it again changes nothing. One goroutine at a time.
type Unit struct {
	Exposed    bool
	Arm        int
	At         int64  // first exposure
	ExposureID uint64 // breaks ties
	Propensity float64
	Crossed    bool      // it was exposed to two arms: a report leaves such units out, and counts them
	Pre        []Values  // by metric: PreValue and PrePer, frozen at the first exposure
	Outcomes   []Outcome // by ID
	Features   []int64   // frozen at the first exposure, see Feature
	Closed     []Values  // by metric, when all windows are past and the outcomes are gone
}

// Exposure is a decision to send, or not to send, that a unit was part of.
type Exposure struct {
	ID         uint64
	Arm        int
	At         int64
	Propensity float64
	Pre        []Values
	Features   []int64
}

// Expose notes an exposure; the earliest counts.
func (u *Unit) Expose(e Exposure) {
	if u.Exposed && u.Arm != e.Arm {
		u.Crossed = true
	}
	if u.Exposed && (u.At < e.At || u.At == e.At && u.ExposureID <= e.ID) {
		return
	}
	u.Exposed, u.Arm, u.At, u.ExposureID, u.Propensity = true, e.Arm, e.At, e.ID, e.Propensity
	u.Pre, u.Features = slices.Clone(e.Pre), slices.Clone(e.Features)
}

// Observe notes an outcome. One that is known, or was retracted before it came, changes
// nothing.
func (u *Unit) Observe(o Outcome) error {
	if u.Closed != nil {
		return ErrLate
	}
	if o.Amount > AmountMax || o.Amount < -AmountMax {
		return fmt.Errorf("an amount is beyond %d", int64(AmountMax))
	}
	at, known := u.find(o.ID)
	if known {
		return nil
	}
	return u.insert(at, o)
}

// Note is Observe for an outcome of which the newest account counts, such as an order of
// which a part went back: the amount is replaced, the earliest time is kept.
func (u *Unit) Note(o Outcome) error {
	at, known := u.find(o.ID)
	if !known || u.Closed != nil || o.Amount > AmountMax || o.Amount < -AmountMax {
		return u.Observe(o)
	}
	if old := &u.Outcomes[at]; !old.Gone {
		old.At, old.Amount = min(old.At, o.At), o.Amount
	}
	return nil
}

// Retract takes an outcome back, also one that has yet to come.
func (u *Unit) Retract(id uint64) error {
	if u.Closed != nil {
		return ErrLate
	}
	at, known := u.find(id)
	if !known {
		return u.insert(at, Outcome{ID: id, Gone: true})
	}
	// Only that it is gone is kept, so that the order of the two does not show.
	u.Outcomes[at] = Outcome{ID: id, Gone: true}
	return nil
}

func (u *Unit) find(id uint64) (int, bool) {
	return slices.BinarySearchFunc(u.Outcomes, id, func(o Outcome, id uint64) int { return cmp.Compare(o.ID, id) })
}

func (u *Unit) insert(at int, o Outcome) error {
	if len(u.Outcomes) >= OutcomesMax {
		return ErrTooMany
	}
	u.Outcomes = slices.Insert(u.Outcomes, at, o)
	return nil
}

// Values is what the unit adds to a metric, which is the given one of its experiment.
// Nothing before its exposure counts, and a unit that was not exposed adds nothing.
func (u *Unit) Values(index int, m *Metric) Values { return u.valuesBy(index, m, Credit{}) }

func (u *Unit) valuesBy(index int, m *Metric, credit Credit) Values {
	if u.Closed != nil {
		if index < len(u.Closed) {
			return u.Closed[index]
		}
		return Values{}
	}
	var v Values
	if index < len(u.Pre) {
		v[PreValue], v[PrePer] = clamp(u.Pre[index][PreValue], AmountMax), clamp(u.Pre[index][PrePer], AmountMax)
	}
	if !u.Exposed || m.Credited && !u.touched(credit) {
		return v
	}
	for i := range u.Outcomes {
		o := &u.Outcomes[i]
		if o.Gone || o.At < u.At+m.Delay || m.Window > 0 && o.At >= u.At+m.Window {
			continue
		}
		if (o.Name == OutcomeClick || o.Name == OutcomeElsewhere) && u.scanned(o) {
			continue
		}
		if o.Name == m.Outcome && (!m.Credited || u.credited(o, credit)) {
			v[Value] += o.Amount
			if m.Kind == Share || m.Once {
				v[Value] = 1
			}
		}
		if m.Kind == Ratio && o.Name == m.Per {
			switch {
			case m.Once:
				v[Per] = 1
			case m.Counted:
				v[Per]++
			default:
				v[Per] += o.Amount
			}
		}
	}
	limit := int64(AmountMax)
	if m.Cap > 0 {
		limit = min(limit, m.Cap)
	}
	v[Value], v[Per] = clamp(v[Value], limit), clamp(v[Per], AmountMax)
	return v
}

// clamp is v, at most limit in size.
func clamp(v, limit int64) int64 { return max(-limit, min(limit, v)) }

// Matured tells whether the metric's window on the unit is past. A verdict uses such units
// only; otherwise the newest look worst.
func (u *Unit) Matured(m *Metric, watermark int64) bool {
	return u.Exposed && m.Window > 0 && u.At+m.Window <= watermark
}

// Close gives up the outcomes for what they add to each metric, once no more may come.
func (u *Unit) Close(metrics []Metric) { u.closeBy(metrics, Credit{}) }

func (u *Unit) closeBy(metrics []Metric, credit Credit) {
	closed := make([]Values, len(metrics))
	for i := range metrics {
		closed[i] = u.valuesBy(i, &metrics[i], credit)
	}
	u.Closed, u.Outcomes, u.Pre = closed, nil, nil
}

// Tally are the sums of an experiment: one cell for each arm and metric. It merges over
// workers, segments and days.
type Tally struct {
	Arms, Metrics int
	Cells         []Moments
}

// NewTally makes an empty one.
func NewTally(arms, metrics int) (*Tally, error) {
	if arms < 1 || arms > ArmsMax || metrics < 1 || metrics > MetricsMax {
		return nil, fmt.Errorf("%d arms and %d metrics: want 1 to %d and 1 to %d", arms, metrics, ArmsMax, MetricsMax)
	}
	return &Tally{arms, metrics, make([]Moments, arms*metrics)}, nil
}

// MetricsMax is how many metrics an experiment may have: more are not read by anyone.
const MetricsMax = 64

// Cell are the sums of an arm on a metric.
func (t *Tally) Cell(arm, metric int) *Moments { return &t.Cells[arm*t.Metrics+metric] }

// Merge adds the sums of other units of the same experiment.
func (t *Tally) Merge(o *Tally) error {
	if o.Arms != t.Arms || o.Metrics != t.Metrics {
		return errors.New("tallies of different experiments cannot be merged")
	}
	for i := range o.Cells {
		t.Cells[i].Merge(&o.Cells[i])
	}
	return nil
}

// Change applies what happens to a unit, and moves the sums by what that changed: from what
// the unit added before to what it adds after.
func (t *Tally) Change(u *Unit, metrics []Metric, happens func(*Unit) error) error {
	arm, counted := u.Arm, u.counts(t)
	before := make([]Values, len(metrics))
	for i := range metrics {
		before[i] = u.Values(i, &metrics[i])
	}
	if err := happens(u); err != nil {
		return err
	}
	after := u.counts(t)
	for i := range metrics {
		v := u.Values(i, &metrics[i])
		if counted && after && u.Arm == arm && v == before[i] {
			continue
		}
		if counted {
			t.Cell(arm, i).Remove(before[i])
		}
		if after {
			if err := t.Cell(u.Arm, i).Add(v); err != nil {
				return fmt.Errorf("count a unit on %s: %w", metrics[i].Name, err)
			}
		}
	}
	return nil
}

// counts tells whether the unit stands in a tally.
func (u *Unit) counts(t *Tally) bool {
	return u.Exposed && !u.Crossed && u.Arm >= 0 && u.Arm < t.Arms
}
