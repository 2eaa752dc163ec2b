package trigger

import (
	"cmp"
	"slices"
	"strings"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/profile"
)

// PartName names the state of the triggers in a handover.
const PartName = "trigger"

// CheckPart answers why the state in a handover cannot be read, or nil.
func CheckPart(b []byte) error { return new(State).DecodeFrom(b) }

// merge hands the state over that a person leaves, or takes over what another one left.
func (o *Operator) merge(c *engine.Ctx, u *profile.Update) {
	st := engine.Value(c, o.Cell)
	out := o.begin()
	if u.Leave != nil {
		u.Leave.Put(PartName, st.AppendTo(nil))
		*st = State{} // its timers find nothing
	} else {
		s := Subject{Person: c.Key(), State: st, Profile: u.Person, Now: c.Watermark()}
		if u.Join != nil {
			var src State
			if err := src.DecodeFrom(u.Join.Part(PartName)); err != nil {
				c.Fail(err)
				return
			}
			o.triggers.Merge(s, &src, out)
		}
		o.triggers.Await(s, u.Awaits, out)
	}
	o.apply(c, out)
}

// Merge lets what another state of the same person waits for and decided join s, whose
// picture has joined already. What either decided stands, so that nothing is decided
// about twice; of two waits about one thing that with the newer activity goes on; a wait
// that the joined picture makes void ends with its reason. It asks for the timers of the
// waits that came over, at their due times.
//
// Merging a state again changes nothing but Lost, and of several the order does not
// matter: the result is a union, bounded by a total order. Only when an order ends two
// waits about one cart it may matter whether they had become one before: then there is one
// record instead of two.
func (t *Triggers) Merge(s Subject, src *State, out *Result) {
	st := s.State
	st.Lost += src.Lost
	st.joinPerson(src)
	st.Fired = joinFired(st.Fired, src.Fired)
	st.Records = joinRecords(st.Records, src.Records)
	for _, w := range src.Waits {
		i := st.wait(w.Rule, w.Sub)
		if i < 0 {
			w.Armed = w.Deadline
			st.Waits = append(st.Waits, w)
			out.Timers = append(out.Timers, TimerRequest{w.Rule, w.Sub, w.Deadline})
			continue
		}
		old := &st.Waits[i]
		if newer := cmp.Or(cmp.Compare(w.Activity, old.Activity), cmp.Compare(w.Deadline, old.Deadline), cmp.Compare(old.Started, w.Started)); newer <= 0 {
			continue
		}
		w.Armed = w.Deadline // the timer of the other wait may be due later
		*old = w
		out.Timers = append(out.Timers, TimerRequest{w.Rule, w.Sub, w.Deadline})
	}
	slices.SortFunc(st.Waits, func(a, b Wait) int {
		return cmp.Or(cmp.Compare(a.Activity, b.Activity), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Sub, b.Sub))
	})
	t.void(s, out)
	for len(st.Waits) > MaxWaits {
		st.Lost++
		t.cancel(s, t.rule(st.Waits[0].Rule), 0, ReasonTooMany, out)
	}
	st.settle(s.Now, t.known)
}

// void ends the waits that the joined picture leaves no ground for.
func (t *Triggers) void(s Subject, out *Result) {
	st := s.State
	for i := len(st.Waits) - 1; i >= 0; i-- {
		w := &st.Waits[i]
		if st.handled(w.Rule, w.Sub, w.Activity) || w.Sub == welcomeSub && st.handled(w.Rule, w.Sub, 0) {
			st.drop(i) // the other one has decided about it, or about something newer
			continue
		}
		if r := t.rule(w.Rule); r != nil {
			if reason := voidReason(s.Profile, r, w); reason != "" {
				t.cancel(s, r, i, reason, out)
			}
		}
	}
}

// voidReason says why a wait has no ground any more, or "".
func voidReason(p *profile.Person, r *Rule, w *Wait) string {
	if id, ok := strings.CutPrefix(w.Sub, "o"); ok && r.Kind == PostPurchase {
		o, known := p.OrderByID(id)
		switch {
		case p.LastOrder.At != 0 && p.LastOrder.ID != id:
			return ReasonFollowed
		case known && o.Returned():
			return ReasonRefunded
		}
		return ""
	}
	switch {
	case r.Kind == Lapsed, r.Kind == Greeting && !r.CancelOrdered:
		return "" // the picture of a lapse that moved is looked at by Fire
	case r.Kind == Browsed:
		return touched(p, w.Started)
	case r.offers():
		if boughtAt(p, strings.TrimPrefix(w.Sub, offerSub)) >= w.Activity {
			return ReasonOrdered
		}
		return ""
	case p.Ordered >= w.Activity:
		return ReasonOrdered
	}
	return "" // an empty cart may be filled by the next who joins: Fire looks
}

// Await says how much of others who were merged into this person is still on its way.
// While there is any nothing is decided, since it may forbid a mail; then the timers that
// fired meanwhile are asked for again.
func (t *Triggers) Await(s Subject, n int, out *Result) {
	s.State.Awaits = min(n, maxAwaits)
	if n > 0 {
		return
	}
	for i := range s.State.Waits {
		if w := &s.State.Waits[i]; w.Armed <= s.Now {
			w.Armed = w.Deadline
			out.Timers = append(out.Timers, TimerRequest{w.Rule, w.Sub, w.Deadline})
		}
	}
}

// joinFired is the union of two memories of what was decided. Of one decision that both
// know, the one counts whose receipt has come.
func joinFired(all, from []Fired) []Fired {
	for _, f := range from {
		i := slices.IndexFunc(all, func(o Fired) bool { return o.Decision == f.Decision })
		switch {
		case i < 0:
			all = append(all, f)
		case all[i].Pending && !f.Pending:
			all[i] = f
		}
	}
	return all
}

// joinRecords is the union of two lists of decisions. Of one in both the one that has
// ended holds.
func joinRecords(all, from []event.Decision) []event.Decision {
	for i := range from {
		d := &from[i]
		j := slices.IndexFunc(all, func(o event.Decision) bool { return o.ID == d.ID })
		switch {
		case j < 0:
			all = append(all, *d)
		case all[j].Outcome == event.Pending && d.Outcome != event.Pending:
			all[j] = *d
		}
	}
	return all
}

// settle brings what was joined into order and within the bounds, and forgets what note
// would: decisions that no cap counts and a newer one about the same thing makes idle,
// and those that are older than they must be known.
func (s *State) settle(now, known int64) {
	all := slices.Clone(s.Fired)
	s.Fired = slices.DeleteFunc(s.Fired, func(f Fired) bool {
		return !f.Pending && now-f.At > known || !f.Counts && slices.ContainsFunc(all, func(g Fired) bool {
			return g.Rule == f.Rule && g.Sub == f.Sub && g.Activity >= f.Activity && compareFired(g, f) > 0
		})
	})
	slices.SortFunc(s.Fired, compareFired)
	for over := len(s.Fired) - MaxFired; over > 0; over-- { // what no cap counts goes first
		i := max(slices.IndexFunc(s.Fired, func(f Fired) bool { return !f.Counts }), 0)
		s.Fired = slices.Delete(s.Fired, i, i+1)
		s.Lost++
	}
	slices.SortFunc(s.Records, func(a, b event.Decision) int {
		return cmp.Or(cmp.Compare(a.Decided, b.Decided), strings.Compare(a.ID, b.ID))
	})
	if over := len(s.Records) - MaxRecords; over > 0 {
		s.Records = slices.Delete(s.Records, 0, over)
		s.Lost += uint32(over) //nolint:gosec // bounded
	}
}

func compareFired(a, b Fired) int {
	return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.Decision, b.Decision))
}

// RecheckMerged looks, just before a mail leaves, at what persons who became one have
// been promised each by himself: of several mails of one rule within its OncePer the one
// that was decided first goes. It answers the reason to skip the decision, or "".
func (t *Triggers) RecheckMerged(d *event.Decision, s *State) string {
	r := t.rule(d.Pipeline + "/" + d.Trigger)
	if r == nil || r.OncePer <= 0 {
		return ""
	}
	for i := range s.Fired {
		f := &s.Fired[i]
		earlier := f.At < d.Decided || f.At == d.Decided && f.Decision < d.ID
		if f.Counts && f.Rule == r.name() && earlier && d.Decided-f.At < r.OncePer.Milliseconds() && !(f.Pending && d.Decided-f.At > t.reserve) {
			return ReasonCapped + ": at most once per " + span(r.OncePer)
		}
	}
	return ""
}
