package trigger

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/operators/event"
	"millrace/operators/profile"
)

// Views say how much looking at products starts the wait of a Browsed rule. The zero value
// works.
type Views struct {
	// AtLeast is how many looks it takes.
	AtLeast int
	// Product says that they must be at one product, else at any.
	Product bool
	// Pause is how long nothing is looked at before a session ends.
	Pause time.Duration
}

func (v Views) withDefaults() Views {
	v.AtLeast = cmp.Or(v.AtLeast, 3)          // two are a glance and the way back
	v.Pause = cmp.Or(v.Pause, 30*time.Minute) // where web analytics end a session
	return v
}

// The bounds of the sessions of a person.
const (
	MaxSessions  = 8   // one for each rule that waits after looks
	MaxLooks     = 12  // products of one session; a mail shows three
	MaxGreeted   = 16  // rules that have greeted a person
	shownLooks   = 3   // products of a mail: what was looked at most
	maxLookText  = 512 // bytes of a text of a product that was looked at
	maxLookCount = math.MaxInt32
)

// Session is what a person looked at without a long pause, as one rule counts it.
type Session struct {
	Rule  string
	Start int64
	Last  int64
	Views int
	Looks []Look // oldest first
}

// Look is a product of a session.
type Look struct {
	Item event.CartItem
	N    int   // how often
	At   int64 // last
}

// concerned tells whether a change can matter to a rule.
func (t *Triggers) concerned(ch *profile.Change) bool {
	if ch.Duplicate {
		return false
	}
	return len(ch.Carts) > 0 || ch.Ordered || ch.Refund || t.browsed && ch.Kind == event.ProductViewed ||
		t.greets && (ch.Addressed || ch.ConsentChanged)
}

// armLooks counts looks, and starts the wait when there are enough of them. While it
// waits all further looks belong to it; what is put in a cart, or ordered, ends it.
func (t *Triggers) armLooks(s Subject, r *Rule, ch *profile.Change, out *Result) {
	i := s.State.wait(r.name(), browseSub)
	if len(ch.Carts) > 0 || ch.Ordered {
		if i >= 0 {
			if reason := touched(s.Profile, s.State.Waits[i].Started); reason != "" {
				t.cancel(s, r, i, reason, out)
			}
		}
		return
	}
	if ch.Kind != event.ProductViewed || ch.Silent || ch.Merged || s.Past {
		return
	}
	x := s.State.session(r, ch.Time, i >= 0)
	if x == nil {
		return // it came late, and belongs to a session that is over
	}
	for j := range s.Looked {
		x.add(&s.Looked[j], ch.Time)
	}
	if x.enough(&r.Views) && touched(s.Profile, x.Start) == "" {
		t.start(s, r, Wait{Rule: r.name(), Sub: browseSub, Started: x.Start, Activity: x.Last}, out)
	}
}

// session is that to which a look belongs, begun if need be; nil if it is over.
func (s *State) session(r *Rule, at int64, waiting bool) *Session {
	pause := r.Views.Pause.Milliseconds()
	i := slices.IndexFunc(s.Sessions, func(x Session) bool { return x.Rule == r.name() })
	if i >= 0 {
		x := &s.Sessions[i]
		switch {
		case at >= x.Start-pause && (waiting || at <= x.Last+pause):
			x.Start, x.Last = min(x.Start, at), max(x.Last, at)
			return x
		case at < x.Start:
			return nil
		}
		s.Sessions = slices.Delete(s.Sessions, i, i+1)
	}
	if len(s.Sessions) >= MaxSessions {
		s.Sessions = slices.Delete(s.Sessions, 0, 1) // the one begun first
		s.Lost++
	}
	s.Sessions = append(s.Sessions, Session{Rule: r.name(), Start: at, Last: at})
	return &s.Sessions[len(s.Sessions)-1]
}

// endSession forgets what was looked at, after it was decided about.
func (s *State) endSession(rule string) {
	s.Sessions = slices.DeleteFunc(s.Sessions, func(x Session) bool { return x.Rule == rule })
}

// add counts a look at a product. It keeps nothing of p.
func (x *Session) add(p *event.Product, at int64) {
	if p.ID == "" || len(p.ID) > profile.MaxID {
		return
	}
	x.Views = min(x.Views+1, maxLookCount)
	i := slices.IndexFunc(x.Looks, func(l Look) bool { return l.Item.ID == p.ID })
	if i < 0 {
		if len(x.Looks) >= MaxLooks {
			x.Looks = slices.Delete(x.Looks, x.dull(), x.dull()+1)
		}
		x.Looks = append(x.Looks, Look{Item: event.CartItem{ID: strings.Clone(p.ID), Quantity: 1}})
		i = len(x.Looks) - 1
	}
	l := &x.Looks[i]
	l.N = min(l.N+1, maxLookCount)
	if at < l.At {
		return // it came late: the newest facts hold
	}
	l.At = at
	for _, f := range [...]struct {
		to   *string
		from string
	}{{&l.Item.Name, p.Name}, {&l.Item.Category, p.Category}, {&l.Item.URL, p.URL}, {&l.Item.ImageURL, p.ImageURL}} {
		if f.from != "" {
			*f.to = strings.Clone(clip(f.from))
		}
	}
	if p.HasPrice && p.Price >= 0 {
		l.Item.Price = p.Price
	}
}

// dull is the look that a mail would show last.
func (x *Session) dull() int {
	low := 0
	for i := range x.Looks {
		if compareLooks(&x.Looks[i], &x.Looks[low]) > 0 {
			low = i
		}
	}
	return low
}

// compareLooks orders what was looked at more, then later, first.
func compareLooks(a, b *Look) int {
	return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(b.At, a.At), strings.Compare(a.Item.ID, b.Item.ID))
}

// enough tells whether there were as many looks as the rule asks for.
func (x *Session) enough(v *Views) bool {
	if !v.Product {
		return x.Views >= v.AtLeast
	}
	return slices.ContainsFunc(x.Looks, func(l Look) bool { return l.N >= v.AtLeast })
}

// shown are the products of a mail about the session.
func (x *Session) shown() []event.CartItem {
	all := slices.Clone(x.Looks)
	slices.SortFunc(all, func(a, b Look) int { return compareLooks(&a, &b) })
	out := make([]event.CartItem, 0, shownLooks)
	for i := range all[:min(len(all), shownLooks)] {
		out = append(out, all[i].Item)
	}
	return out
}

// clip bounds a text, at the border of a rune.
func clip(s string) string {
	if len(s) <= maxLookText {
		return s
	}
	n := maxLookText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// touched says what a person did from a moment on that leaves no ground to remind of what was
// looked at, or "".
func touched(p *profile.Person, from int64) string {
	if p.Ordered >= from && p.Ordered != 0 {
		return ReasonOrdered
	}
	for i := range p.Carts {
		if c := &p.Carts[i]; c.Open() && c.Last >= from {
			return ReasonCarted
		}
	}
	return ""
}

// armGreeting starts the wait when a person can be mailed for the first time, once.
func (t *Triggers) armGreeting(s Subject, r *Rule, ch *profile.Change, out *Result) {
	if i := s.State.wait(r.name(), welcomeSub); i >= 0 && r.CancelOrdered && s.Profile.Ordered >= s.State.Waits[i].Activity {
		t.cancel(s, r, i, ReasonOrdered, out)
		return
	}
	if ch.Silent || !ch.Addressed && !ch.ConsentChanged || mayMail(s.Profile, r.AssumeConsent) != "" || slices.Contains(s.State.Greeted, r.name()) {
		return
	}
	at := ch.Time
	if ch.Merged {
		at = s.Profile.Newest
	}
	if r.CancelOrdered && s.Profile.Ordered >= at {
		return
	}
	s.State.greet(r.name())
	if s.Past {
		return // whoever was imported has known the shop for long
	}
	t.start(s, r, Wait{Rule: r.name(), Sub: welcomeSub, Started: at, Activity: at}, out)
}

// greet notes that a rule greets a person, for good.
func (s *State) greet(rule string) {
	i, known := slices.BinarySearch(s.Greeted, rule)
	if known {
		return
	}
	if len(s.Greeted) >= MaxGreeted { // rules that are no more: names are for good, but not forever
		s.Lost++
		s.Greeted = slices.Delete(s.Greeted, 0, 1)
		i = max(i-1, 0)
	}
	s.Greeted = slices.Insert(s.Greeted, i, rule)
}

// move takes a newer activity over.
func (w *Wait) move(r *Rule, at int64) {
	if at > w.Activity {
		w.Activity, w.Deadline = at, at+r.Wait.Milliseconds()
	}
}

// groundPerson is ground for the rules whose waits belong to the person.
func (t *Triggers) groundPerson(s Subject, r *Rule, w *Wait, f *Facts) (d event.Decision, reason string) {
	p := s.Profile
	switch r.Kind {
	case Lapsed:
		l := &p.LastOrder
		w.move(r, l.At)
		d = t.decision(s, r, w)
		f.OrderID, f.Value, f.Currency = l.ID, l.Value, l.Currency
		d.OrderID, d.Flags = l.ID, l.Flags
	case Browsed:
		if reason = touched(p, w.Started); reason != "" {
			return d, reason
		}
		i := slices.IndexFunc(s.State.Sessions, func(x Session) bool { return x.Rule == w.Rule })
		if i < 0 {
			return d, ReasonTooMany // a bound dropped what was looked at
		}
		x := &s.State.Sessions[i]
		d = t.decision(s, r, w)
		f.Items, f.Views = x.shown(), x.Views
		if len(f.Items) > 0 {
			f.Value = f.Items[0].Price
		}
		d.Flags = p.Flags & event.Synthetic
	case PriceDrop, BackInStock:
		return t.groundOffer(s, r, w, f)
	default:
		if r.CancelOrdered && p.Ordered >= w.Activity {
			return d, ReasonOrdered
		}
		d = t.decision(s, r, w)
		d.Flags = p.Flags & event.Synthetic
	}
	return d, ""
}

// recheckPerson looks whether what happened since forbids a mail of a person's own.
func recheckPerson(r *Rule, p *profile.Person, since func(int64) bool) string {
	switch {
	case r.Kind == Lapsed && since(p.LastOrder.At):
		return ReasonFollowed
	case (r.Kind == Browsed || r.CancelOrdered) && since(p.Ordered):
		return ReasonOrdered
	case r.Kind == Browsed && slices.ContainsFunc(p.Carts, func(c profile.Cart) bool { return c.Open() && since(c.Last) }):
		return ReasonCarted
	}
	return ""
}

// reason says why a mail is decided.
func (r *Rule) reason() string {
	switch r.Kind {
	case PostPurchase:
		return "no other order for " + span(r.Wait)
	case Browsed:
		return "looked at, and nothing in the cart for " + span(r.Wait)
	case Lapsed:
		return "no order for " + span(r.Wait)
	case Greeting:
		if r.Wait <= 0 {
			return "can be mailed for the first time"
		}
		return "can be mailed since " + span(r.Wait)
	case PriceDrop, BackInStock:
		return r.offerReason()
	default:
		return "cart left for " + span(r.Wait)
	}
}

// joinPerson takes over what another state of the same person looked at and was greeted
// by. Of two sessions of one rule the newer one holds.
func (s *State) joinPerson(src *State) {
	for _, x := range src.Sessions {
		i := slices.IndexFunc(s.Sessions, func(o Session) bool { return o.Rule == x.Rule })
		switch {
		case i < 0:
			s.Sessions = append(s.Sessions, x)
		case cmp.Or(cmp.Compare(x.Last, s.Sessions[i].Last), cmp.Compare(x.Views, s.Sessions[i].Views), cmp.Compare(s.Sessions[i].Start, x.Start)) > 0:
			s.Sessions[i] = x
		}
	}
	slices.SortFunc(s.Sessions, func(a, b Session) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), strings.Compare(a.Rule, b.Rule))
	})
	if over := len(s.Sessions) - MaxSessions; over > 0 {
		s.Sessions = slices.Delete(s.Sessions, 0, over)
		s.Lost += uint32(over) //nolint:gosec // bounded
	}
	for _, rule := range src.Greeted {
		s.greet(rule)
	}
	for i := range src.Offers {
		o := &src.Offers[i]
		if at, ok := s.offer(o.Item.ID); !ok || s.Offers[at].SeenAt < o.SeenAt {
			s.putOffer(o)
		}
	}
}
