package experiment

import (
	"encoding/binary"
	"math"
	"slices"
)

// LookEvery is after how many changes of the counts a running experiment is looked at, by
// its own count: so a replay looks at the same moments.
const LookEvery = 100

// Alert is that a guardrail has stopped an arm.
type Alert struct {
	Metric string
	Reason string // without any value that names a person
	At     int64  // watermark, Unix milliseconds
}

// Progress is what came of one phase of a running experiment. Tally is a function of the
// set of exposures and outcomes, in whatever order they were read; the rest is one of the
// log, since it tells what was seen while it was read. One goroutine at a time.
type Progress struct {
	Tally   Tally
	Looks   uint64
	Changes uint64    // since the last look
	Least   []float64 // by arm: least p-value of the goal of all looks
	SRM     float64   // least p-value of the shares of all looks
	Alerts  []Alert   // by arm; Metric "" is none
	First   int64     // first exposure, Unix milliseconds; 0: none
	Last    int64     // last change, by the watermark
	Learn   Learning  // what units of known propensity teach about the goal
	Audit   []Entry   // what was decided about the experiment, oldest first
	Merged  uint64    // persons of two arms who became one: they count in the first one
	Late    uint64    // outcomes that came after their unit was closed
	TooMany uint64    // outcomes beyond what is held of a unit
}

// begin makes room for the arms and metrics of an experiment.
func (p *Progress) begin(r *Running) {
	if p.Tally.Arms == len(r.arms) && p.Tally.Metrics == len(r.Metrics) {
		return
	}
	p.Tally = Tally{len(r.arms), len(r.Metrics), make([]Moments, len(r.arms)*len(r.Metrics))}
	p.Least, p.SRM, p.Alerts = make([]float64, len(r.arms)), 1, make([]Alert, len(r.arms))
	for i := range p.Least {
		p.Least[i] = 1
	}
}

// Units are the units of an arm.
func (p *Progress) Units(arm int) int64 { return p.Tally.Cell(arm, 0).N }

// Take counts what a unit adds, or many units at once. It answers the arms that a
// guardrail stops because of it.
func (p *Progress) Take(r *Running, m *Move, watermark int64) ([]int, error) {
	p.begin(r)
	p.Late += m.Late
	p.TooMany += m.TooMany
	if m.Conflict {
		p.Merged++
	}
	if m.At > 0 && (p.First == 0 || m.At < p.First) {
		p.First = m.At
	}
	p.Last = max(p.Last, watermark)
	harmed := false
	switch {
	case m.Batch != nil:
		if err := p.Tally.Merge(m.Batch); err != nil {
			return nil, err
		}
		harmed = true
		p.Changes += LookEvery
	case m.Arm >= 0 && m.Arm < len(r.arms):
		if err := p.move(m); err != nil {
			return nil, err
		}
		if err := p.Learn.take(r, m.Arm, &m.taught, &m.teach, watermark); err != nil {
			return nil, err
		}
		for _, i := range r.harms {
			harmed = harmed || at(m.Before, i)[Value] != at(m.After, i)[Value]
		}
		p.Changes++
	}
	if p.Changes >= LookEvery || harmed {
		return p.Look(r, watermark), nil
	}
	return nil, nil
}

// move takes what a unit added out and puts what it adds in.
func (p *Progress) move(m *Move) error {
	for i := range p.Tally.Metrics {
		before, after := at(m.Before, i), at(m.After, i)
		if m.Before != nil && m.After != nil && before == after {
			continue
		}
		cell := p.Tally.Cell(m.Arm, i)
		if m.Before != nil {
			cell.Remove(before)
		}
		if m.After != nil {
			if err := cell.Add(after); err != nil {
				return err
			}
		}
	}
	return nil
}

func at(all []Values, i int) Values {
	if i < len(all) {
		return all[i]
	}
	return Values{}
}

// Look looks at the figures, and keeps the least p-values and the first alarms. It answers
// the arms that are stopped by this look.
func (p *Progress) Look(r *Running, watermark int64) []int {
	p.begin(r)
	p.Changes = 0
	p.Looks++
	if s := p.shares(r); s < p.SRM {
		p.SRM = s
	}
	base := r.Baseline()
	for arm := range r.arms {
		if e, err := p.goal(r, arm, base); err == nil && arm != base {
			p.Least[arm] = math.Min(p.Least[arm], e.Sequence(r.Alpha, r.TuningN).P)
		}
	}
	return p.guard(r, watermark)
}

// shares is the p-value of this look that units arrive as planned. Once an arm was stopped
// they do not, and nothing is said any more.
func (p *Progress) shares(r *Running) float64 {
	if r.Optimise != nil || p.handled() {
		return 1 // shares move: the weights of the figures show whether units arrive
	}
	counts, shares, total := make([]float64, len(r.arms)), slices.Clone(r.shares), 0.0
	for arm := range r.arms {
		if p.Alerts[arm].Metric != "" {
			return 1
		}
		counts[arm] = float64(p.Units(arm))
		total += counts[arm]
	}
	if total == 0 {
		return 1
	}
	s, err := NewSequentialSRM(shares, nil)
	if err != nil {
		return 1 // a share below 1e-12: there is nothing to test
	}
	s.Add(counts)
	return s.P()
}

// guard asks the guardrails of every arm that gets mails.
func (p *Progress) guard(r *Running, watermark int64) []int {
	var stopped []int
	base := r.Baseline()
	for arm := range r.Variants {
		if p.Alerts[arm].Metric != "" {
			continue
		}
		for _, i := range r.harms {
			control := Harm{}                              // compared with nothing: the ceiling alone counts
			if arm != base && r.arms[base] != ArmHoldout { // whoever gets no mail has none to complain of
				control = p.harm(base, i)
			}
			g := r.guards[r.Metrics[i].Name]
			// Shared between the arms; of each harm on its own, as is usual for guardrails: a
			// stop too many costs less than a harm that is not seen.
			g.Alpha = 0.05 / float64(max(1, len(r.Variants)-1))
			if a := g.Look(control, p.harm(arm, i)); a.Stop {
				p.Alerts[arm] = Alert{r.Metrics[i].Name, a.Reason, watermark}
				stopped = append(stopped, arm)
				break
			}
		}
	}
	return stopped
}

func (p *Progress) harm(arm, metric int) Harm {
	c := p.Tally.Cell(arm, metric)
	return Harm{Sends: float64(c.N), Harms: c.Sums[Value].Float()}
}

// goal is the effect of an arm on the goal. Where shares follow what was seen it is that of
// matured units under the weights whose intervals hold all the same.
func (p *Progress) goal(r *Running, arm, base int) (Effect, error) {
	if r.Optimise == nil || len(p.Learn.Arms) < len(r.arms) {
		return p.Effect(r, arm, base, r.Goal, false)
	}
	return adaptive(&p.Learn.Arms[base], &p.Learn.Arms[arm])
}

// adaptive is the difference of two arms' means under the roots of inverse propensities.
func adaptive(control, treatment *ArmSums) (Effect, error) {
	a, b := control.Root.Joint(), treatment.Root.Joint()
	if !(a.N > 1) || !(b.N > 1) {
		return Effect{}, ErrNoUnits
	}
	ra, err := a.Ratio()
	if err != nil {
		return Effect{}, err
	}
	rb, err := b.Ratio()
	if err != nil {
		return Effect{}, err
	}
	return Absolute(ra, rb)
}

// Effect is the effect of an arm on a metric against another one.
func (p *Progress) Effect(r *Running, arm, base, metric int, relative bool) (Effect, error) {
	return r.Metrics[metric].Compare(p.Tally.Cell(base, metric), p.Tally.Cell(arm, metric), relative, false)
}

const progressSchema = 2

// AppendTo appends the stored form.
func (p *Progress) AppendTo(b []byte) []byte {
	b = append(b, progressSchema)
	b = binary.AppendUvarint(b, uint64(p.Tally.Arms))    //nolint:gosec // not negative
	b = binary.AppendUvarint(b, uint64(p.Tally.Metrics)) //nolint:gosec // not negative
	for i := range p.Tally.Cells {
		b = p.Tally.Cells[i].appendTo(b)
	}
	for arm := range p.Tally.Arms {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(p.Least[arm]))
		a := &p.Alerts[arm]
		b = appendText(appendText(b, a.Metric), a.Reason)
		b = binary.AppendVarint(b, a.At)
	}
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(p.SRM))
	for _, n := range [...]uint64{p.Looks, p.Changes, p.Late, p.TooMany, p.Merged} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendAudit(p.Learn.appendTo(b), p.Audit)
	b = binary.AppendVarint(b, p.First)
	return binary.AppendVarint(b, p.Last)
}

// DecodeFrom reads the stored form. It keeps nothing of b.
func (p *Progress) DecodeFrom(b []byte) error {
	*p = Progress{}
	r := reader{b: b}
	r.schema(progressSchema)
	arms, metrics := r.length(ArmsMax, 0), r.length(MetricsMax, 0)
	if arms*metrics > len(r.b) {
		r.fail("more cells than bytes")
		arms = 0
	}
	p.Tally = Tally{Arms: arms, Metrics: metrics, Cells: make([]Moments, arms*metrics)}
	for i := range p.Tally.Cells {
		p.Tally.Cells[i].read(&r)
	}
	p.Least, p.Alerts = make([]float64, arms), make([]Alert, arms)
	for arm := range arms {
		p.Least[arm] = r.probability()
		p.Alerts[arm] = Alert{r.text(), r.text(), r.varint()}
	}
	p.SRM = r.probability()
	for _, n := range [...]*uint64{&p.Looks, &p.Changes, &p.Late, &p.TooMany} {
		*n = r.uvarint()
	}
	if len(b) > 0 && b[0] > 1 { // before, nothing was learned or decided by hand
		p.Merged = r.uvarint()
		p.Learn.read(&r)
		p.Audit = readAudit(&r)
	}
	p.First, p.Last = r.varint(), r.varint()
	if err := r.end(); err != nil {
		*p = Progress{}
		return err
	}
	return nil
}

func (r *reader) probability() float64 {
	x := math.Float64frombits(r.fixed())
	if !(x >= 0 && x <= 1) {
		r.fail("not a probability")
		return 0
	}
	return x
}

// appendTo writes sums: most of them are zero or small.
func (m *Moments) appendTo(b []byte) []byte {
	b = binary.AppendVarint(b, m.N)
	for _, w := range m.Sums {
		b = w.appendTo(b)
	}
	for _, w := range m.Products {
		b = w.appendTo(b)
	}
	return b
}

func (m *Moments) read(r *reader) {
	m.N = r.varint()
	for i := range m.Sums {
		m.Sums[i].read(r)
	}
	for i := range m.Products {
		m.Products[i].read(r)
	}
}

func (w Wide) appendTo(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, w.Hi), w.Lo)
}

func (w *Wide) read(r *reader) { w.Hi, w.Lo = r.varint(), r.uvarint() }
