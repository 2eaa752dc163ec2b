package trigger

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/operators/event"
	"millrace/operators/profile"
)

// The reasons of decisions that end as skipped. A reason may go on after the text.
const (
	ReasonOrdered    = "cancelled: ordered"
	ReasonEmptied    = "cancelled: cart emptied"
	ReasonDropped    = "cancelled: cart given up, too old or too many"
	ReasonFollowed   = "cancelled: another order followed"
	ReasonRefunded   = "cancelled: order refunded"
	ReasonRetired    = "cancelled: the rule is no more"
	ReasonTooMany    = "cancelled: too much waits for this person"
	ReasonInUse      = "cancelled: cart is in use again"
	ReasonExpired    = "expired"
	ReasonSuppressed = "suppressed"
	ReasonNoConsent  = "no consent"
	ReasonNoAddress  = "no address"
	ReasonBounced    = "address bounces"
	ReasonAudience   = "not in the audience"
	ReasonWhen       = "condition not met"
	ReasonCapped     = "capped"
	ReasonHoldout    = "holdout"
	ReasonBad        = "held back after a bad experience"
	ReasonCarted     = "cancelled: something was put in the cart"
)

// The subs name what a wait is about: "c" and the cart's id, "o" and the order's, or one
// of those that a person has once per rule.
const (
	browseSub  = "b"
	lapseSub   = "l"
	welcomeSub = "w"
)

func cartSub(id string) string  { return "c" + id }
func orderSub(id string) string { return "o" + id }

// Arm takes over what an event, or a merge, changed in a person's picture: it starts,
// restarts and cancels waits. What it asks for is appended to out.
//
// A wait ends Rule.Wait after the newest activity of its cart, in event time; if that
// has passed already, as when a visitor with an old cart makes himself known, the timer
// is asked for in the past and fires at once. An order cancels every cart that is older
// than it, by event time, as soon as it is read, even if its own time lies after the
// deadline. An activity that was decided about is not waited for again, however late
// other events of the cart come; a newer one is.
func (t *Triggers) Arm(s Subject, ch *profile.Change, out *Result) {
	if !t.concerned(ch) {
		return
	}
	for i := range t.rules {
		r := &t.rules[i]
		switch r.Kind {
		case CartAbandoned:
			for _, c := range ch.Carts {
				t.armCart(s, r, c, ch.Silent || !ch.Merged && !r.starts(ch.Kind), out)
			}
		case PostPurchase:
			if ch.Ordered {
				t.armOrder(s, r, ch, out)
			}
			if ch.Refund {
				t.refunded(s, r, ch.OrderID, out)
			}
		case Browsed:
			t.armLooks(s, r, ch, out)
		case Lapsed:
			if ch.Ordered && !ch.Silent {
				at := s.Profile.LastOrder.At
				t.start(s, r, Wait{Rule: r.name(), Sub: lapseSub, Started: at, Activity: at}, out)
			}
		case Greeting:
			t.armGreeting(s, r, ch, out)
		}
	}
}

func (t *Triggers) armCart(s Subject, r *Rule, c profile.CartChange, silent bool, out *Result) {
	sub := cartSub(c.ID)
	if c.Fate != profile.CartChanged {
		if i := s.State.wait(r.name(), sub); i >= 0 {
			reason := map[profile.CartFate]string{profile.CartEmptied: ReasonEmptied, profile.CartOrdered: ReasonOrdered}[c.Fate]
			t.cancel(s, r, i, cmp.Or(reason, ReasonDropped), out)
		}
		return
	}
	cart, ok := s.Profile.Cart(c.ID)
	if !ok || silent {
		return
	}
	t.start(s, r, Wait{Rule: r.name(), Sub: sub, Started: cart.Started, Activity: cart.Last}, out)
}

// start begins or prolongs a wait.
func (t *Triggers) start(s Subject, r *Rule, w Wait, out *Result) {
	if s.State.handled(w.Rule, w.Sub, w.Activity) {
		return
	}
	w.Deadline = w.Activity + r.Wait.Milliseconds()
	if i := s.State.wait(w.Rule, w.Sub); i >= 0 {
		old := &s.State.Waits[i]
		if w.Activity <= old.Activity {
			return // a late event: the newest activity holds
		}
		w.Armed = old.Armed // the timer inserts itself again when it fires too early
		if w.Deadline >= w.Armed {
			*old = w
			return
		}
		s.State.drop(i)
	}
	if len(s.State.Waits) >= MaxWaits {
		oldest := 0
		for i := range s.State.Waits {
			if s.State.Waits[i].Activity < s.State.Waits[oldest].Activity {
				oldest = i
			}
		}
		s.State.Lost++
		t.cancel(s, t.rule(s.State.Waits[oldest].Rule), oldest, ReasonTooMany, out)
	}
	w.Armed = w.Deadline
	s.State.Waits = append(s.State.Waits, w)
	out.Timers = append(out.Timers, TimerRequest{w.Rule, w.Sub, w.Deadline})
}

func (t *Triggers) armOrder(s Subject, r *Rule, ch *profile.Change, out *Result) {
	l := &s.Profile.LastOrder
	w := Wait{Rule: r.name(), Sub: orderSub(ch.OrderID), Started: ch.Time, Activity: ch.Time}
	if ch.Merged {
		w.Started, w.Activity = l.At, l.At
	}
	if l.At > w.Activity || l.ID != ch.OrderID {
		d := t.decision(s, r, &w)
		t.skip(s, &d, w.Sub, ReasonFollowed, out) // it came late: the newer order waits
		return
	}
	i := slices.IndexFunc(s.State.Waits, func(o Wait) bool { return o.Rule == w.Rule && o.Sub != w.Sub })
	if i >= 0 {
		t.cancel(s, r, i, ReasonFollowed, out)
	}
	if !ch.Silent {
		t.start(s, r, w, out)
	}
}

func (t *Triggers) refunded(s Subject, r *Rule, id string, out *Result) {
	o, ok := s.Profile.OrderByID(id)
	if i := s.State.wait(r.name(), orderSub(id)); i >= 0 && ok && o.Returned() {
		t.cancel(s, r, i, ReasonRefunded, out)
	}
}

// decision begins the record of what is decided about a wait.
func (t *Triggers) decision(s Subject, r *Rule, w *Wait) event.Decision {
	d := event.Decision{Person: s.Person, Started: w.Activity, Decided: s.Now}
	if r != nil {
		d.Pipeline, d.Trigger, d.Kind, d.Version = r.Pipeline, r.ID, r.Content, r.Version
	} else {
		d.Pipeline, d.Trigger, _ = strings.Cut(w.Rule, "/")
	}
	if id, ok := strings.CutPrefix(w.Sub, "c"); ok {
		d.CartID = id
	} else if id, ok := strings.CutPrefix(w.Sub, "o"); ok {
		d.OrderID = id
	}
	d.ID = t.id(d.Pipeline, d.Trigger, s.Person, w.Sub, w.Activity)
	return d
}

// cancel ends a wait with a record.
func (t *Triggers) cancel(s Subject, r *Rule, i int, reason string, out *Result) {
	w := s.State.Waits[i]
	s.State.drop(i)
	d := t.decision(s, r, &w)
	t.skip(s, &d, w.Sub, reason, out)
}

// skip records that nobody gets a mail, and why.
func (t *Triggers) skip(s Subject, d *event.Decision, sub, reason string, out *Result) {
	d.Outcome, d.Reason, d.Ended = event.Skipped, reason, s.Now
	s.State.note(d, d.Pipeline+"/"+d.Trigger, sub, t.known)
	out.Decisions = append(out.Decisions, *d)
}

// Fire is called when a timer is due. If the wait was prolonged, it asks for the timer
// again; if it is over, it decides: the decision is pending, to be carried out, or
// skipped with its reason. A timer that nothing waits for any more does nothing.
func (t *Triggers) Fire(s Subject, rule, sub string, out *Result) {
	i := s.State.wait(rule, sub)
	if i < 0 || s.State.Awaits > 0 { // what is on its way may forbid it: Await asks again
		return
	}
	w := &s.State.Waits[i]
	r := t.rule(rule)
	if r == nil {
		t.cancel(s, nil, i, ReasonRetired, out)
		return
	}
	f := Facts{Person: s.Profile, Fields: s.Fields, Now: s.Now, Tone: s.Tone}
	d, reason := t.ground(s, r, w, &f)
	if reason != "" {
		t.cancel(s, r, i, reason, out)
		return
	}
	if s.Now < w.Deadline {
		if w.Armed != w.Deadline { // else it stands already: this one was left by an earlier wait
			w.Armed = w.Deadline
			out.Timers = append(out.Timers, TimerRequest{rule, sub, w.Deadline})
		}
		return
	}
	f.Currency = cmp.Or(f.Currency, s.Profile.Currency)
	d.Items, d.Value, d.Currency = f.Items, f.Value, f.Currency
	d.Flags |= s.Profile.Flags & event.AssumedConsent
	overdue := s.Now - w.Deadline
	s.State.drop(i)
	if reason := t.refuse(s, r, &f, overdue); reason != "" {
		t.skip(s, &d, sub, reason, out)
		return
	}
	if s.Enrol != nil {
		if reason := s.Enrol(&d); reason != "" {
			t.skip(s, &d, sub, reason, out)
			return
		}
	}
	d.Reason = r.reason()
	if r.Kind == Browsed {
		s.State.endSession(rule)
	}
	s.State.note(&d, rule, sub, t.known)
	out.Decisions = append(out.Decisions, d)
}

// ground fills in what a wait, now over, is about, and answers the decision to be made, or
// why there is no ground for it any more. What must not arm, such as an event that switched
// us off, may have moved the activity.
func (t *Triggers) ground(s Subject, r *Rule, w *Wait, f *Facts) (d event.Decision, reason string) {
	switch r.Kind {
	case CartAbandoned:
		cart, ok := s.Profile.Cart(strings.TrimPrefix(w.Sub, "c"))
		if !ok {
			return d, ReasonEmptied
		}
		w.move(r, cart.Last)
		d = t.decision(s, r, w)
		f.CartID, f.Items, f.Value, f.Currency = cart.ID, cart.Contents(), cart.Value(), cart.Currency
		d.Flags = cart.Flags
		return d, ""
	case PostPurchase:
		d = t.decision(s, r, w)
		if o, ok := s.Profile.OrderByID(d.OrderID); ok && o.Returned() {
			return d, ReasonRefunded
		}
		l := &s.Profile.LastOrder
		f.OrderID, f.Items, f.Value, f.Currency = l.ID, slices.Clone(l.Items), l.Value, l.Currency
		d.Flags = l.Flags
		return d, ""
	default:
		return t.groundPerson(s, r, w, f)
	}
}

// refuse says why nobody gets a mail, or "".
func (t *Triggers) refuse(s Subject, r *Rule, f *Facts, overdue int64) string {
	if overdue > r.Freshness.Milliseconds() {
		return ReasonExpired + ": overdue by more than " + span(r.Freshness)
	}
	if reason := mayMail(s.Profile, r.AssumeConsent); reason != "" {
		return reason
	}
	switch {
	case s.Held != "":
		return s.Held
	case r.When != nil && !r.When(f):
		return explain(ReasonWhen, r.WhenText)
	case r.Audience != nil && !r.Audience(f):
		return explain(ReasonAudience, r.AudienceText)
	case s.State.capped(r, s.Now, t.reserve):
		return ReasonCapped + ": at most once per " + span(r.OncePer)
	}
	return ""
}

// mayMail says why a person must not or cannot be mailed, or "".
func mayMail(p *profile.Person, assume bool) string {
	switch c := &p.Consent; {
	case c.Suppressed:
		return explain(ReasonSuppressed, c.Reason)
	case c.State == event.ConsentNo:
		return ReasonNoConsent
	case c.State == event.ConsentUnknown && !assume:
		return explain(ReasonNoConsent, "unknown")
	case p.Traits.Email == "":
		return ReasonNoAddress
	case p.Traits.Dead:
		return ReasonBounced
	}
	return ""
}

// Recheck looks once more, just before a mail leaves, whether a pending decision still
// holds for a committed picture. It answers the reason to skip it, or "".
func (t *Triggers) Recheck(d *event.Decision, p *profile.Person, now int64) string {
	r := t.rule(d.Pipeline + "/" + d.Trigger)
	if r == nil {
		return ReasonRetired
	}
	if now-d.Decided > r.Freshness.Milliseconds() {
		return ReasonExpired + ": decided more than " + span(r.Freshness) + " ago"
	}
	return t.recheck(r, d, p, math.MaxInt64)
}

// RecheckReplay is Recheck for a log that is read after the fact: mails are taken to
// leave when they were decided, so neither their age nor what happened later counts.
func (t *Triggers) RecheckReplay(d *event.Decision, p *profile.Person) string {
	r := t.rule(d.Pipeline + "/" + d.Trigger)
	if r == nil {
		return ReasonRetired
	}
	return t.recheck(r, d, p, d.Decided)
}

// recheck looks at what happened until the given event time.
func (t *Triggers) recheck(r *Rule, d *event.Decision, p *profile.Person, until int64) string {
	since := func(at int64) bool { return at > d.Started && at <= until }
	if r.Held != nil && r.Held(d.Person) {
		return ReasonHoldout
	}
	switch r.Kind {
	case Browsed, Lapsed, Greeting:
		if reason := recheckPerson(r, p, since); reason != "" {
			return reason
		}
	case CartAbandoned:
		cart, ok := p.Cart(d.CartID)
		switch {
		case p.Ordered == d.Started || since(p.Ordered):
			return ReasonOrdered
		case p.Ordered > until:
			return mayMail(p, r.AssumeConsent) // an order after the fact has emptied the cart
		case !ok:
			return ReasonEmptied
		case since(cart.Last):
			return ReasonInUse
		}
	case PostPurchase:
		if since(p.LastOrder.At) {
			return ReasonFollowed
		}
		if o, ok := p.OrderByID(d.OrderID); ok && o.Returned() {
			return ReasonRefunded
		}
	}
	return mayMail(p, r.AssumeConsent)
}

func explain(reason, text string) string {
	if text == "" {
		return reason
	}
	return reason + ": " + text
}

// span writes a duration without its empty parts.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
