package profile

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// PaceOptions say who is too fast for a shopper. The zero value works.
type PaceOptions struct {
	// PerMinute is how many events of a minute a shopper may make.
	PerMinute int
	// Excess is how many more than that, in all, make a robot.
	Excess float64
	// HalfLife lets the excess be forgotten.
	HalfLife time.Duration
}

func (o PaceOptions) withDefaults() PaceOptions {
	if o.PerMinute <= 0 {
		o.PerMinute = 120 // two a second: a page that sends a view for each tile on it
	}
	if o.Excess <= 0 {
		o.Excess = 60 // a retry of a whole queue is no robot yet
	}
	if o.HalfLife <= 0 {
		o.HalfLife = 24 * time.Hour // who is shared by a household comes back clean in days
	}
	return o
}

// paceMinutes is how many of the newest minutes are counted apart: events that are later
// than the oldest of them, when all are in use, count towards that one.
const paceMinutes = 8

// Pace notices who does more than a person can: a thousand views a minute is no shopper.
// Events are counted by the minute of their own time; what goes over the limit adds to an
// excess that fades, weighed by its minute, so that the order of events does not matter
// as long as they are no later than the minutes that are kept. The zero value is ready.
// One goroutine at a time.
type Pace struct {
	minutes []minute // newest last
	excess  float64
	decay   Decay
	Total   uint64
}

type minute struct {
	at int64 // minutes since 1970
	n  uint32
}

const minuteMillis = int64(time.Minute / time.Millisecond)

// Add counts an event and answers whether its person counts as a robot as of it.
func (p *Pace) Add(at int64, o PaceOptions) bool {
	p.count(floorDiv(at, minuteMillis), 1, 0, o)
	p.Total++
	return p.Robot(at, o)
}

// count adds n events to a minute, of which some of the excess has been counted already.
func (p *Pace) count(at int64, n, counted uint32, o PaceOptions) {
	limit := uint32(min(o.withDefaults().PerMinute, math.MaxInt32)) //nolint:gosec // bounded
	i, ok := slices.BinarySearchFunc(p.minutes, at, func(m minute, at int64) int { return cmpInt(m.at, at) })
	switch {
	case ok:
	case i == 0 && len(p.minutes) >= paceMinutes:
		i = 0 // too late to tell: the oldest minute stands for it
	default:
		p.minutes = slices.Insert(p.minutes, i, minute{at: at})
		if len(p.minutes) > paceMinutes {
			p.minutes = slices.Delete(p.minutes, 0, 1)
			i--
		}
	}
	m := &p.minutes[i]
	before := over(m.n, limit)
	m.n = uint32(min(uint64(m.n)+uint64(n), math.MaxUint32))
	more := float64(over(m.n, limit)) - float64(before) - float64(counted)
	if more != 0 {
		p.add(m.at*minuteMillis, more, o)
	}
}

func over(n, limit uint32) uint32 {
	if n > limit {
		return n - limit
	}
	return 0
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (p *Pace) add(at int64, more float64, o PaceOptions) {
	w, f := p.decay.Weigh(at, halfMillis(o.withDefaults().HalfLife), at)
	p.excess = p.excess*f + w*more
}

// Excess is how many events over the limit are remembered as of a time.
func (p *Pace) Excess(now int64) float64 { return math.Max(p.decay.Value(p.excess, now), 0) }

// Robot tells whether the person counts as a robot as of a time.
func (p *Pace) Robot(now int64, o PaceOptions) bool {
	return p.excess > 0 && p.Excess(now) >= o.withDefaults().Excess*(1-1e-9) // rounding must not tell orders of events apart
}

// PerMinute is the largest count of the minutes that are kept.
func (p *Pace) PerMinute() int {
	most := uint32(0)
	for _, m := range p.minutes {
		most = max(most, m.n)
	}
	return int(most)
}

// Merge takes in what another has counted under the same options, as of one person.
func (p *Pace) Merge(q *Pace, o PaceOptions) {
	p.Total += q.Total
	if q.decay.half != 0 {
		if p.decay.half == 0 {
			p.decay, p.excess = q.decay, q.excess
		} else if p.decay.half == q.decay.half {
			clock := q.decay
			f, g := p.decay.align(&clock)
			p.excess = p.excess*f + q.excess*g
		}
	}
	limit := uint32(min(o.withDefaults().PerMinute, math.MaxInt32)) //nolint:gosec // bounded
	for _, m := range slices.Backward(q.minutes) {
		p.count(m.at, m.n, over(m.n, limit), o)
	}
}

const paceSchema = 1

// AppendTo appends the stored form.
func (p *Pace) AppendTo(b []byte) []byte {
	b = append(b, paceSchema)
	b = binary.AppendUvarint(b, p.Total)
	b = binary.AppendUvarint(b, uint64(len(p.minutes)))
	at := int64(0)
	for _, m := range p.minutes {
		b = binary.AppendVarint(b, m.at-at)
		b = binary.AppendUvarint(b, uint64(m.n))
		at = m.at
	}
	if p.decay.half == 0 {
		return b // nobody has been too fast, which is nearly everybody
	}
	return appendNumber(p.decay.AppendTo(b), p.excess)
}

// DecodeFrom reads what AppendTo wrote. It answers ErrNewer or ErrDamaged, wrapped with
// the facts.
func (p *Pace) DecodeFrom(b []byte) error {
	w, _ := ReadWire(b, paceSchema)
	*p = Pace{Total: w.Uvarint()}
	at := int64(0)
	for i := range w.Len(paceMinutes, 2) {
		step := w.Varint()
		at += step
		if i > 0 && step <= 0 || at < -1<<50 || at > 1<<50 {
			w.Fail("minutes out of order")
			break
		}
		p.minutes = append(p.minutes, minute{at, uint32(w.Int(math.MaxUint32))}) //nolint:gosec // bounded
	}
	if w.err == nil && w.at < len(w.s) {
		p.decay.ReadFrom(w)
		p.excess = readNumber(w)
		if p.decay.half == 0 {
			w.Fail("excess without a clock")
		}
	}
	return w.Err()
}
