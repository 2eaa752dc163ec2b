// Package trigger decides, per person, when something that happened, or did not, calls
// for a mail: a cart that was left, an order a week ago. It keeps what it waits for and
// what it decided, with the reason, also for those who get nothing.
//
// Nothing here reads a clock or waits: the caller hands in the watermark as now, sets
// the timers that are asked for, and calls Fire when one is due.
package trigger

import (
	"cmp"
	"slices"
	"time"

	"millrace/operators/event"
	"millrace/operators/profile"
)

// Kind is what a rule waits for.
type Kind uint8

// The kinds of rules.
const (
	CartAbandoned Kind = iota // a cart changed, then no activity in it and no order for Wait
	PostPurchase              // an order, then no other order for Wait
	Browsed                   // products were looked at, then nothing was put in a cart or ordered for Wait
	Lapsed                    // an order, then none for so long that the customer may be lost; once per lapse
	Greeting                  // the person can be mailed for the first time, Wait ago
)

// Facts are what the conditions of a rule see.
type Facts struct {
	Person   *profile.Person
	Fields   *profile.FieldState // what the declared fields hold, nil without any
	Now      int64
	CartID   string
	OrderID  string
	Items    []event.CartItem
	Views    int         // of the products that were looked at
	Value    event.Money // of the cart or order
	Currency string
	Tone     float64 // how the person has spoken of late, -1 to 1; 0 where nobody listens
}

// Rule is a trigger of a pipeline. The zero values of its settings work.
type Rule struct {
	Pipeline string // "cart-abandonment"
	ID       string // unique within the pipeline
	Version  string // event.VersionText; stands in decisions
	Kind     Kind
	Content  string // content kind, such as "cart"

	// On are the kinds of events that start the wait, and restart it; none means all
	// that change a cart, or an order.
	On []event.Kind
	// Wait is how long nothing must happen: an hour for carts, a week after orders.
	Wait time.Duration
	// Views say how much looking starts a Browsed rule.
	Views Views
	// CancelOrdered says that an order ends the wait of a Greeting; it ends all others.
	CancelOrdered bool
	// When is the condition on the cart or order, such as a least value; nil: always.
	When func(*Facts) bool
	// WhenText is When as written, for the reason of a decision.
	WhenText string
	// Audience is the condition on the person; nil: everybody.
	Audience func(*Facts) bool
	// AudienceText is Audience as written, for the reason of a decision.
	AudienceText string
	// OncePer is the time in which a person gets at most one mail of this rule; 0: no limit.
	OncePer time.Duration
	// Freshness is how long overdue a trigger may be and still fire.
	Freshness time.Duration
	// Held tells whether a person, by pseudonym, is held out, asked at the last gate before
	// a mail leaves; nil: nobody is.
	Held func(person string) bool
	// AssumeConsent says that a person who never spoke of it may be mailed.
	AssumeConsent bool
}

func (r Rule) withDefaults() Rule {
	wait := time.Hour // the shop's habit: after an hour the cart was left, not put aside
	switch r.Kind {
	case PostPurchase:
		wait = 7 * 24 * time.Hour // the parcel has come and is unpacked
	case Browsed:
		wait = 4 * time.Hour // still the same day, and the visit is over
	case Lapsed:
		wait = 90 * 24 * time.Hour // three times the month in which most shops see a buyer again
	}
	r.Views = r.Views.withDefaults()
	r.Wait = cmp.Or(r.Wait, wait)
	r.Freshness = cmp.Or(r.Freshness, 72*time.Hour) // after three days the mail is a surprise, not a help
	return r
}

// starts tells whether an event of a kind starts the wait.
func (r *Rule) starts(k event.Kind) bool { return len(r.On) == 0 || slices.Contains(r.On, k) }

func (r *Rule) name() string { return r.Pipeline + "/" + r.ID }

// TimerRequest asks for Fire to be called with Rule and Sub when the watermark passes
// Due, at once if it has. A later request for the same Rule and Sub replaces it.
type TimerRequest struct {
	Rule string // pipeline/id
	Sub  string // what it is about: see subs
	Due  int64
}

// Options say how a person is decided about. ID must be set.
type Options struct {
	Rules []Rule
	// ID makes the id of a decision, HMAC(pipeline, trigger, person, sub, started) in hex.
	ID func(pipeline, trigger, person, sub string, started int64) string
	// Reserve is after how much event time a decision without a receipt no longer
	// counts against OncePer.
	Reserve time.Duration
}

// Triggers is a set of rules. It holds no state of persons and is safe for concurrent
// use on different ones.
type Triggers struct {
	rules   []Rule
	id      func(pipeline, trigger, person, sub string, started int64) string
	reserve int64
	known   int64 // for how long decisions are remembered beside the records
	browsed bool  // some rule waits after looks
	greets  bool  // some rule waits after a first address
}

// New makes a set of rules.
func New(o Options) *Triggers {
	if o.ID == nil {
		panic("BUG: trigger.New without Options.ID")
	}
	t := &Triggers{id: o.ID, reserve: cmp.Or(o.Reserve, 7*24*time.Hour).Milliseconds()} // longer than any retry of a mail
	t.known = t.reserve
	for _, r := range o.Rules {
		r = r.withDefaults()
		t.known = max(t.known, r.OncePer.Milliseconds())
		t.browsed = t.browsed || r.Kind == Browsed
		t.greets = t.greets || r.Kind == Greeting
		t.rules = append(t.rules, r)
	}
	return t
}

// Pipelines are the names of the pipelines that have rules, sorted.
func (t *Triggers) Pipelines() []string {
	var names []string
	for i := range t.rules {
		names = append(names, t.rules[i].Pipeline)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (t *Triggers) rule(name string) *Rule {
	for i := range t.rules {
		if t.rules[i].name() == name {
			return &t.rules[i]
		}
	}
	return nil
}

// Subject is the person that a call is about.
type Subject struct {
	Person  string // pseudonym
	State   *State
	Profile *profile.Person
	Fields  *profile.FieldState // nil without declared fields
	Now     int64               // the watermark
	Looked  []event.Product     // what a Product Viewed, taken over by Arm, is about
	Past    bool                // what Arm takes over was imported: nobody is greeted for it

	// Tone is how the person has spoken of late, and Held why a bad experience forbids all
	// mails for now, or "".
	Tone float64
	Held string

	// Enrol is asked last before a mail is decided, and may note a variant in the
	// decision. It answers why no mail may be sent, or ""; nil: none is asked.
	Enrol func(d *event.Decision) string
}

// Result is what a call asks for. It may be used again; calls append to it.
type Result struct {
	Timers    []TimerRequest
	Decisions []event.Decision // pending ones are to be carried out, the others are records
}
