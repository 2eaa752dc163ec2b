package experiment

import (
	"slices"

	"millrace/engine"
	"millrace/operators/event"
)

// PartName names the experiments of a person in a handover.
const PartName = "experiment"

// CheckPart answers why the experiments in a handover cannot be read, or nil. A person who
// was in none brings none.
func CheckPart(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return new(Enrolments).DecodeFrom(b)
}

// Leave hands over the experiments of a person who was merged into another one. Until they
// arrive there the person counts in none.
func (d *Desk) Leave(c *engine.Ctx, h *event.Handover) {
	in := engine.Value(c, d.Cell)
	if len(in.List) == 0 && in.Lost == 0 {
		return
	}
	h.Put(PartName, in.AppendTo(nil))
	for i := range in.List {
		e := &in.List[i]
		if r := d.byKey[e.Key]; r != nil {
			before := r.values(&e.Unit)
			d.totals.Send(c, r.Key(), &Move{Arm: e.Unit.Arm, Before: before, taught: r.teaches(&e.Unit, before)})
		}
	}
	*in = Enrolments{}
	engine.Changed(c, d.Cell)
}

// Join takes over the experiments of a person who turned out to be this one: in each the
// two count once, in the variant that was met first.
func (d *Desk) Join(c *engine.Ctx, h *event.Handover) {
	part := h.Part(PartName)
	if len(part) == 0 {
		return
	}
	var other Enrolments
	if err := other.DecodeFrom(part); err != nil {
		c.Fail(err)
		return
	}
	in := engine.Value(c, d.Cell)
	in.Lost += other.Lost
	engine.Changed(c, d.Cell)
	for i := range other.List {
		d.join(c, in, &other.List[i])
	}
}

func (d *Desk) join(c *engine.Ctx, in *Enrolments, o *Enrolment) {
	r, e := d.byKey[o.Key], in.Find(o.Key)
	if e == nil {
		if e = in.add(o.Key, o.Variant, func(e *Enrolment) bool { return d.over(e, c.Watermark()) }); e == nil {
			return
		}
		e.Mails, e.Unit = o.Mails, o.Unit
		if r != nil {
			d.tell(c, r, &e.Unit, &Move{}, e.Unit.Arm)
		}
		return
	}
	var metrics []Metric
	var credit Credit
	m, arm := &Move{}, e.Unit.Arm
	if r != nil {
		metrics, credit = r.Metrics, r.Credit
		m.Before = r.values(&e.Unit)
		m.taught = r.teaches(&e.Unit, m.Before)
		m.Conflict = e.Unit.Exposed && o.Unit.Exposed && arm != o.Unit.Arm
	}
	if e.Unit.merge(&o.Unit, metrics, credit) {
		m.TooMany = 1
	}
	if e.Unit.Arm != arm {
		e.Variant = o.Variant
	}
	e.Mails = joinMails(e.Mails, o.Mails)
	if r != nil {
		d.tell(c, r, &e.Unit, m, arm)
	}
}

// merge makes one unit of two that are the same person: the first exposure counts, with
// its arm, and what either did. It answers whether there was no room for all. What was
// closed stays closed: the two numbers of each metric become one.
func (u *Unit) merge(o *Unit, metrics []Metric, credit Credit) (full bool) {
	if u.Closed != nil || o.Closed != nil {
		u.closeTo(metrics, credit)
		o.closeTo(metrics, credit)
		for i := range min(len(u.Closed), len(o.Closed)) {
			u.Closed[i] = oneOf(&metrics[i], u.Closed[i], o.Closed[i])
		}
	}
	if o.Exposed && (!u.Exposed || o.At < u.At || o.At == u.At && o.ExposureID < u.ExposureID) {
		u.Exposed, u.Arm, u.At, u.ExposureID, u.Propensity = true, o.Arm, o.At, o.ExposureID, o.Propensity
		u.Pre, u.Features = o.Pre, o.Features
	}
	u.Crossed = u.Crossed || o.Crossed
	if u.Closed != nil {
		return false
	}
	for i := range o.Outcomes {
		x := o.Outcomes[i]
		at, known := u.find(x.ID)
		switch {
		case !known:
			full = u.insert(at, x) != nil || full
		case x.Gone:
			u.Outcomes[at] = x
		case !u.Outcomes[at].Gone:
			old := &u.Outcomes[at]
			old.At, old.Amount = min(old.At, x.At), min(old.Amount, x.Amount)
			if x.Name == OutcomeClick || x.Name == OutcomeSent {
				old.Name = x.Name // of two accounts the one that knows whose mail it was
			}
		}
	}
	return full
}

func (u *Unit) closeTo(metrics []Metric, credit Credit) {
	if u.Closed == nil && metrics != nil {
		u.closeBy(metrics, credit)
	}
}

// oneOf is what two closed units that are one person add to a metric.
func oneOf(m *Metric, a, b Values) Values {
	if m.Kind == Share || m.Once {
		return Values{Value: max(a[Value], b[Value]), Per: max(a[Per], b[Per]), PreValue: a[PreValue], PrePer: a[PrePer]}
	}
	limit := int64(AmountMax)
	if m.Cap > 0 {
		limit = min(limit, m.Cap)
	}
	a[Value], a[Per] = clamp(a[Value]+b[Value], limit), clamp(a[Per]+b[Per], AmountMax)
	return a
}

// joinMails are the newest decisions of both, those of the person who stays last.
func joinMails(own, other []uint64) []uint64 {
	var out []uint64
	for _, m := range other {
		if !slices.Contains(own, m) {
			out = append(out, m)
		}
	}
	out = append(out, own...)
	return out[max(0, len(out)-MailsMax):]
}
