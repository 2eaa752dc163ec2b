package trigger

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
	"millrace/operators/profile"
)

const testBase = int64(1_772_445_600_000) // 2026-03-02 10:00 UTC

func testID(pipeline, trigger, person, sub string, started int64) string {
	return fmt.Sprint(pipeline, "|", trigger, "|", person, "|", sub, "|", started)
}

// rig is a person with a watermark, a log and timers, as the engine drives them.
type rig struct {
	t      *Triggers
	u      *profile.Updater
	p      profile.Person
	v      profile.Person // an anonymous visitor
	st     State
	now    int64
	n      int
	timers map[string]TimerRequest // keyed as the engine keys them
	log    []string
	all    []event.Decision
}

func newRig(rules ...Rule) *rig {
	return &rig{t: New(Options{Rules: rules, ID: testID}), u: profile.New(profile.Options{}), timers: map[string]TimerRequest{}, now: testBase}
}

func (r *rig) subject() Subject { return Subject{Person: "P", State: &r.st, Profile: &r.p, Now: r.now} }

// advance moves the watermark and fires what it passes, in due order.
func (r *rig) advance(to int64) {
	for {
		var next *TimerRequest
		for _, t := range r.timers {
			if t.Due <= to && (next == nil || t.Due < next.Due || t.Due == next.Due && t.Rule+t.Sub < next.Rule+next.Sub) {
				next = &t
			}
		}
		if next == nil {
			break
		}
		delete(r.timers, next.Rule+next.Sub)
		// The watermark as of the message that passes the timer.
		r.now = max(r.now, to)
		var out Result
		r.t.Fire(r.subject(), next.Rule, next.Sub, &out)
		r.take(&out, 0)
	}
	r.now = max(r.now, to)
}

// take sets timers and writes decisions down, as of at, or of their deadline if that is 0.
func (r *rig) take(out *Result, at int64) {
	for _, t := range out.Timers {
		r.timers[t.Rule+t.Sub] = t
	}
	for _, d := range out.Decisions {
		r.all = append(r.all, d)
		word := "mail"
		if d.Outcome == event.Skipped {
			word, _, _ = strings.Cut(strings.TrimPrefix(d.Reason, "cancelled: "), ":")
			word = strings.ReplaceAll(word, " ", "-")
		}
		id := d.CartID
		if d.OrderID != "" {
			id = d.OrderID
		}
		when := at
		if rule := r.t.rule(d.Pipeline + "/" + d.Trigger); when == 0 && rule != nil {
			when = d.Started + rule.Wait.Milliseconds()
		}
		r.log = append(r.log, fmt.Sprintf("%s:%s@%dm", word, id, max(when-testBase, 0)/60_000))
	}
}

// apply plays a word such as "cart:a@5m". A word may carry its own event time after
// the time at which it is read: "order:o@90m/50m".
func (r *rig) word(t *testing.T, word string) {
	t.Helper()
	what, at, _ := strings.Cut(word, "@")
	read, own, late := strings.Cut(at, "/")
	if !late {
		own = read
	}
	parse := func(s string) int64 {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatalf("story word %q: %v", word, err)
		}
		return testBase + d.Milliseconds()
	}
	what, id, _ := strings.Cut(what, ":")
	if what == "idle" {
		r.advance(parse(read))
		return
	}
	e := r.event(t, what, id, parse(own))
	who := &r.p
	if what == "visitor" {
		who = &r.v
	}
	// The timers that the message's watermark passes fire before it.
	r.advance(max(r.now, parse(read)-watermarkLag))
	var ch profile.Change
	var out Result
	switch what {
	case "join":
		r.u.Merge(&r.p, &r.v, &ch)
		r.v = profile.Person{}
	case "sent", "skipped":
		last := r.all[len(r.all)-1]
		o := event.Sent
		if what == "skipped" {
			o = event.Skipped
		}
		r.st.Settle(&event.Receipt{Decision: last.ID, Outcome: o, Subject: "s", At: e.Time})
		return
	default:
		r.u.Apply(who, e, &ch)
		if who == &r.v {
			return
		}
	}
	s := r.subject()
	if s.Past = e.Flags&event.FromImport != 0; e.Kind == event.ProductViewed {
		s.Looked = e.Products
	}
	r.t.Arm(s, &ch, &out)
	r.take(&out, r.now)
	r.advance(r.now)
}

// event is what a word of a story tells of.
func (r *rig) event(t *testing.T, what, id string, at int64) *event.Event {
	t.Helper()
	r.n++
	e := &event.Event{Time: at, MessageID: fmt.Sprint(r.n), CartID: id,
		Products: []event.Product{{ID: "mug", Name: "Mug", Price: 1500, HasPrice: true, Quantity: 1}}}
	switch what {
	case "cart", "visitor":
		e.Kind = event.ProductAdded
	case "off":
		e.Kind, e.Off = event.ProductAdded, true
	case "drop":
		e.Kind = event.ProductRemoved
	case "see":
		e.Kind, e.Products = event.CartViewed, nil
	case "order":
		e.Kind, e.OrderID, e.CartID = event.OrderCompleted, id, ""
	case "refund":
		e.Kind, e.OrderID, e.CartID, e.Products = event.OrderRefunded, id, "", nil
	case "look":
		e.Kind, e.CartID, e.Products[0].ID = event.ProductViewed, "", id
	case "past":
		e.Kind, e.Traits, e.Flags = event.Identify, event.Traits{Email: "m@example.com", Consent: event.ConsentYes}, event.FromImport
	case "no", "yes":
		e.Kind, e.Traits.Consent = event.Identify, map[string]uint8{"no": event.ConsentNo, "yes": event.ConsentYes}[what]
	case "unsubscribe":
		e.Kind = event.Unsubscribed
	case "me":
		e.Kind, e.Traits = event.Identify, event.Traits{Email: "m@example.com", Consent: event.ConsentYes}
	case "join", "sent", "skipped":
	default:
		t.Fatalf("story word %q", what)
	}
	return e
}

// watermarkLag is how far the watermark stands behind the newest event.
const watermarkLag = 60_000

var (
	cartRule  = Rule{Pipeline: "p", ID: "left", Content: "cart", AssumeConsent: true}
	orderRule = Rule{Pipeline: "p", ID: "after", Kind: PostPurchase, Content: "order", AssumeConsent: true}
)

func fires(t *testing.T, r *rig, story string) string {
	t.Helper()
	r.word(t, "me@0m")
	for w := range strings.FieldsSeq(story) {
		r.word(t, w)
	}
	return strings.Join(r.log, " ")
}

func TestCartAbandoned(t *testing.T) {
	f := func(story, want string) {
		t.Helper()
		if got := fires(t, newRig(cartRule), story); got != want {
			t.Fatalf("%s: got %q, want %q", story, got, want)
		}
	}
	// Left for an hour: fires once, when the hour is over.
	f("cart:a@0m idle@59m", "")
	f("cart:a@0m idle@60m idle@61m idle@600m", "mail:a@60m")
	// Every activity restarts the wait: a change, a look.
	f("cart:a@0m cart:a@30m idle@89m", "")
	f("cart:a@0m cart:a@30m idle@90m", "mail:a@90m")
	f("cart:a@0m see:a@50m idle@109m idle@110m", "mail:a@110m")
	// Bought in time: no mail, and the record says why.
	f("cart:a@0m order:o@59m idle@120m", "ordered:a@58m")
	// The order's own time lies after the deadline, but it is read before the timer fires.
	f("cart:a@0m order:o@60m30s idle@120m", "ordered:a@59m")
	// An order that is read after the timer has fired only updates the profile.
	f("cart:a@0m idle@61m order:o@62m idle@300m", "mail:a@60m")
	f("cart:a@0m idle@61m order:o@62m/30m idle@300m", "mail:a@60m")
	// A late order cancels what is older than it, not what came after it.
	f("cart:a@0m order:o@50m/20m idle@120m", "ordered:a@49m")
	f("cart:a@30m order:o@50m/20m idle@120m", "mail:a@90m")
	// Two carts of one person wait by themselves; one order ends both.
	f("cart:a@0m cart:b@10m idle@65m idle@75m", "mail:a@60m mail:b@70m")
	f("cart:a@0m cart:b@10m drop:a@20m idle@75m", "cart-emptied:a@19m mail:b@70m")
	f("cart:a@0m cart:b@10m order:o@20m idle@600m", "ordered:a@19m ordered:b@19m")
	f("cart:a@0m cart:b@10m idle@65m order:o@66m idle@600m", "mail:a@60m ordered:b@65m")
	// Emptied: nothing to write about. Filled again: a new wait.
	f("cart:a@0m drop:a@5m idle@120m", "cart-emptied:a@4m")
	f("cart:a@0m drop:a@5m cart:a@9m idle@120m", "cart-emptied:a@4m mail:a@69m")
	// Late cart events: the newest activity counts.
	f("cart:a@30m cart:a@40m/0m idle@89m", "")
	f("cart:a@30m cart:a@40m/0m idle@90m", "mail:a@90m")
	f("drop:a@5m cart:a@6m/1m idle@120m", "")
	// After the mail: an old event that comes late does not fire again, a new one does.
	f("cart:a@0m idle@61m cart:a@62m/0m30s idle@300m", "mail:a@60m mail:a@60m") // younger than what was decided about
	f("cart:a@5m idle@66m cart:a@67m/1m idle@300m", "mail:a@65m")
	f("cart:a@0m idle@61m cart:a@70m idle@300m", "mail:a@60m mail:a@130m")
	// So late that its deadline has passed: at once.
	f("idle@500m cart:a@501m/400m idle@502m", "mail:a@460m")
	// Overdue by more than three days.
	f("cart:a@0m idle@100h", "expired:a@60m")
	f("cart:a@0m idle@73h", "mail:a@60m")
	// Switched off: arms nothing, but it is activity.
	f("off:a@0m idle@120m", "")
	f("cart:a@0m off:a@30m idle@89m", "")
	f("cart:a@0m off:a@30m idle@90m", "mail:a@90m")
	// Unsubscribed meanwhile.
	f("cart:a@0m unsubscribe@5m idle@61m", "suppressed:a@60m")
	// A visitor with an old cart says who he is: the wait that is over fires at once, the other goes on.
	f("visitor:a@0m idle@200m join@201m idle@202m", "mail:a@60m")
	f("visitor:a@180m idle@200m join@201m idle@202m idle@240m", "mail:a@240m")
	f("visitor:a@0m visitor:b@180m idle@200m join@201m idle@300m", "mail:a@60m mail:b@240m")
	// His cart is older than an order that the person made meanwhile.
	f("visitor:a@0m order:o@30m idle@200m join@201m idle@300m", "")
}

func TestPostPurchase(t *testing.T) {
	f := func(story, want string) {
		t.Helper()
		if got := fires(t, newRig(orderRule), story); got != want {
			t.Fatalf("%s: got %q, want %q", story, got, want)
		}
	}
	f("order:o@0m idle@167h", "")
	f("order:o@0m idle@168h idle@169h", "mail:o@10080m")
	// Another order within the week: only that one counts, whichever is read first.
	f("order:o@0m order:q@24h idle@193h", "another-order-followed:o@1439m mail:q@11520m")
	f("order:q@24h order:o@25h/0m idle@200h", "another-order-followed:o@1499m mail:q@11520m")
	// An update of the order changes nothing.
	f("order:o@0m order:o@24h idle@169h", "mail:o@10080m")
	// The whole order went back.
	f("order:o@0m refund:o@24h idle@169h", "order-refunded:o@1439m")
	// A visitor's order counts once he is known.
	f("visitor:a@0m idle@1h order:o@2h idle@171h", "mail:o@10200m")
}

func TestDecision(t *testing.T) {
	r := newRig(Rule{Pipeline: "p", ID: "left", Content: "cart", Version: "v7", AssumeConsent: true})
	fires(t, r, "cart:a@0m cart:a@10m idle@71m sent@72m")
	if len(r.all) != 1 {
		t.Fatalf("%+v", r.all)
	}
	d := r.all[0]
	started := testBase + 600_000
	if d.ID != testID("p", "left", "P", "ca", started) || d.Started != started || d.Decided != testBase+71*60_000 || d.Kind != "cart" || d.Version != "v7" ||
		d.Outcome != event.Pending || d.Value != 3000 || len(d.Items) != 1 || d.Items[0].Quantity != 2 || d.CartID != "a" || d.Reason != "cart left for 1h" {
		t.Fatalf("%+v", d)
	}
	rec := r.st.Records[0]
	if rec.Outcome != event.Sent || rec.Subject != "s" || rec.Ended == 0 || rec.ID != d.ID {
		t.Fatalf("%+v", rec)
	}
	if r.st.Settle(&event.Receipt{Decision: d.ID, Outcome: event.Skipped}) {
		t.Fatal("a second receipt was taken")
	}
	if r.st.Settle(&event.Receipt{Decision: "nobody's", Outcome: event.Sent}) {
		t.Fatal("a receipt of nothing was taken")
	}
}

func TestReasons(t *testing.T) {
	f := func(rule Rule, change func(p *profile.Person), want string) {
		t.Helper()
		rule.Pipeline, rule.ID = "p", "left"
		r := newRig(rule)
		r.word(t, "me@0m")
		r.word(t, "cart:a@0m")
		change(&r.p)
		r.word(t, "idle@61m")
		if len(r.all) != 1 || r.all[0].Reason != want || len(r.st.Records) != 1 || r.st.Records[0].Reason != want {
			t.Fatalf("got %+v, want %q", r.all, want)
		}
		if (r.all[0].Outcome == event.Pending) != strings.HasPrefix(want, "cart left") {
			t.Fatalf("outcome %v with %q", r.all[0].Outcome, want)
		}
	}
	nothing := func(*profile.Person) {}
	f(Rule{}, nothing, "cart left for 1h")
	f(Rule{}, func(p *profile.Person) { p.Consent.State = event.ConsentNo }, "no consent")
	f(Rule{}, func(p *profile.Person) { p.Consent.State = event.ConsentUnknown }, "no consent: unknown")
	f(Rule{AssumeConsent: true}, func(p *profile.Person) { p.Consent.State = event.ConsentUnknown }, "cart left for 1h")
	f(Rule{AssumeConsent: true}, func(p *profile.Person) { p.Consent.State = event.ConsentNo }, "no consent")
	f(Rule{AssumeConsent: true}, func(p *profile.Person) { p.Consent.Suppressed, p.Consent.Reason = true, "unsubscribed" }, "suppressed: unsubscribed")
	f(Rule{}, func(p *profile.Person) { p.Traits.Email = "" }, "no address")
	f(Rule{}, func(p *profile.Person) { p.Traits.Dead = true }, "address bounces")
	worth := func(m event.Money) func(*Facts) bool { return func(f *Facts) bool { return f.Value >= m } }
	f(Rule{When: worth(1500)}, nothing, "cart left for 1h")
	f(Rule{When: worth(1501), WhenText: "cart.value > 15"}, nothing, "condition not met: cart.value > 15")
	rich := func(f *Facts) bool { return f.Person.LTV() > 0 && f.CartID == "a" && len(f.Items) == 1 }
	f(Rule{Audience: rich, AudienceText: "profile.ltv > 0"}, nothing, "not in the audience: profile.ltv > 0")
	f(Rule{Audience: rich}, func(p *profile.Person) { p.Revenue = 1 }, "cart left for 1h")
	f(Rule{Freshness: time.Second}, nothing, "expired: overdue by more than 1s")
}

func TestOncePer(t *testing.T) {
	f := func(story, want string) {
		t.Helper()
		r := cartRule
		r.OncePer = 24 * time.Hour
		if got := fires(t, newRig(r), story); got != want {
			t.Fatalf("%s: got %q, want %q", story, got, want)
		}
	}
	// Pending and sent ones count, over all carts.
	f("cart:a@0m idle@61m cart:b@62m idle@130m", "mail:a@60m capped:b@122m")
	f("cart:a@0m idle@61m sent@62m cart:b@62m idle@130m", "mail:a@60m capped:b@122m")
	// A mail that was skipped after all leaves room.
	f("cart:a@0m idle@61m skipped@62m cart:b@62m idle@130m", "mail:a@60m mail:b@122m")
	// A capped one does not count itself: a day after the mail there is room again.
	f("cart:a@0m idle@61m cart:b@62m idle@130m cart:c@1400m idle@1502m", "mail:a@60m capped:b@122m mail:c@1460m")

	// A lost receipt holds the place for a while only.
	r := cartRule
	r.OncePer = 30 * 24 * time.Hour
	if got := fires(t, newRig(r), "cart:a@0m idle@61m cart:b@100h idle@102h cart:c@200h idle@202h"); got != "mail:a@60m capped:b@6060m mail:c@12060m" {
		t.Fatal(got)
	}
	if got := fires(t, newRig(r), "cart:a@0m idle@61m sent@62m cart:b@100h idle@102h cart:c@200h idle@202h"); got != "mail:a@60m capped:b@6060m capped:c@12060m" {
		t.Fatal(got)
	}
}

func TestRecheck(t *testing.T) {
	f := func(rule Rule, before, after, want string) {
		t.Helper()
		r := newRig(rule)
		fires(t, r, before)
		d := r.all[len(r.all)-1]
		for w := range strings.FieldsSeq(after) {
			r.word(t, w)
		}
		if got, _, _ := strings.Cut(r.t.Recheck(&d, &r.p, r.now), ":"); got != want {
			t.Fatalf("%s, %s: got %q, want %q", before, after, got, want)
		}
	}
	f(cartRule, "cart:a@0m idle@61m", "idle@70m", "")
	f(cartRule, "cart:a@0m idle@61m", "order:o@62m", "cancelled")
	f(cartRule, "cart:a@0m idle@61m", "order:o@62m/30m", "cancelled")
	f(cartRule, "cart:a@5m idle@66m", "order:o@67m/1m", "") // older than the cart
	f(cartRule, "cart:a@0m idle@61m", "drop:a@62m", "cancelled")
	f(cartRule, "cart:a@0m idle@61m", "cart:a@62m", "cancelled")
	f(cartRule, "cart:a@0m idle@61m", "unsubscribe@62m", "suppressed")
	f(cartRule, "cart:a@0m idle@61m", "idle@80h", "expired")
	f(orderRule, "order:o@0m idle@168h", "idle@169h", "")
	f(orderRule, "order:o@0m idle@168h", "order:q@169h", "cancelled")
	f(orderRule, "order:o@0m idle@168h", "refund:o@169h", "cancelled")
	r := newRig(cartRule)
	if got := r.t.Recheck(&event.Decision{Pipeline: "p", Trigger: "gone"}, &r.p, r.now); got != ReasonRetired {
		t.Fatal(got)
	}
}

// A rule that was taken away ends its waits with a record; a new wait time holds for
// what starts after it.
func TestRulesChange(t *testing.T) {
	r := newRig(cartRule)
	fires(t, r, "cart:a@0m cart:b@1m")
	slow := cartRule
	slow.Wait = 2 * time.Hour
	r.t = New(Options{Rules: []Rule{slow}, ID: testID})
	r.word(t, "cart:b@10m")
	r.word(t, "idle@61m")
	r.t = New(Options{ID: testID})
	r.word(t, "idle@131m")
	if len(r.all) != 2 || r.all[0].CartID != "a" || r.all[0].Decided != testBase+61*60_000 || r.all[0].Outcome != event.Pending ||
		r.all[1].CartID != "b" || r.all[1].Decided != testBase+131*60_000 || r.all[1].Reason != ReasonRetired {
		t.Fatalf("%+v", r.all)
	}
}

func TestBounds(t *testing.T) {
	rules := make([]Rule, 6)
	for i := range rules {
		rules[i] = cartRule
		rules[i].ID = strconv.Itoa(i)
	}
	r := newRig(rules...)
	r.word(t, "me@0m")
	for i := range 16 {
		r.word(t, fmt.Sprintf("cart:c%d@%ds", i, i))
	}
	if len(r.st.Waits) != MaxWaits || r.st.Lost == 0 || len(r.st.Records) != 32 {
		t.Fatalf("%d waits, %d lost, %d records", len(r.st.Waits), r.st.Lost, len(r.st.Records))
	}
	r.word(t, "idle@61m")
	if len(r.st.Waits) != 0 || len(r.st.Records) != MaxRecords || len(r.st.Fired) > MaxFired {
		t.Fatalf("%d waits, %d records, %d fired", len(r.st.Waits), len(r.st.Records), len(r.st.Fired))
	}
	mails := 0
	for _, d := range r.all {
		if d.Outcome == event.Pending {
			mails++
		}
	}
	if mails != MaxWaits || len(r.all) != 6*16 {
		t.Fatalf("%d mails of %d decisions", mails, len(r.all))
	}
}

func TestMergeStates(t *testing.T) {
	a, b := newRig(cartRule), newRig(cartRule)
	fires(t, a, "cart:a@0m idle@61m cart:x@70m")
	fires(t, b, "cart:b@5m idle@66m cart:y@80m")
	var ch profile.Change
	var out Result
	a.u.Merge(&a.p, &b.p, &ch)
	a.t.Merge(a.subject(), &b.st, &out)
	a.take(&out, a.now)
	out = Result{}
	a.t.Arm(a.subject(), &ch, &out)
	a.take(&out, a.now)
	a.advance(testBase + 141*60_000)
	if got := strings.Join(a.log, " "); got != "mail:a@60m mail:x@130m mail:y@140m" {
		t.Fatal(got)
	}
	if len(a.st.Records) != 4 {
		t.Fatalf("%+v", a.st.Records)
	}
}

// act is something done in a random history, at a minute.
type act struct {
	cart, kind string
	at         int64
}

// mailsOf is the naive model: the mails about a cart, from its whole history. The
// watermark runs a minute behind, and must pass a deadline before the next event.
func mailsOf(cart string, acts []act, end int64) []string {
	var out []string
	units, last := 0, int64(-1)
	for _, a := range append(slices.Clone(acts), act{at: end}) {
		if units > 0 && last >= 0 && a.at-1 >= last+60 {
			out = append(out, fmt.Sprintf("mail:%s@%dm", cart, last+60))
			last = -1
		}
		switch {
		case a.kind == "order":
			units, last = 0, -1
		case a.cart != cart:
		case a.kind == "cart":
			units++
			last = a.at
		case a.kind == "drop":
			if units > 0 {
				last = a.at
			}
			units = max(units-1, 0)
		}
	}
	return out
}

// At any moment the state can be stored and read back, and the decisions are those of
// a naive model that looks at the whole history.
func TestFiresAsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(cartRule)
		r.word(t, "me@0m")
		var acts []act
		at := int64(0)
		for range rapid.SampledFrom([]int{3, 8, 25}).Draw(rt, "events") {
			at += rapid.Int64Range(1, 50).Draw(rt, "gap")
			a := act{rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "cart"), rapid.SampledFrom([]string{"cart", "cart", "drop", "order"}).Draw(rt, "kind"), at}
			id := a.cart
			if a.kind == "order" {
				id = fmt.Sprint("o", at)
			}
			acts = append(acts, a)
			r.word(t, fmt.Sprintf("%s:%s@%dm", a.kind, id, at))
			if rapid.Bool().Draw(rt, "store") {
				var back State
				if err := back.DecodeFrom(r.st.AppendTo(nil)); err != nil {
					rt.Fatal(err)
				}
				r.st = back
			}
		}
		r.advance(testBase + (at+500)*60_000)
		want := slices.Concat(mailsOf("a", acts, at+500), mailsOf("b", acts, at+500), mailsOf("c", acts, at+500))
		got := slices.DeleteFunc(slices.Clone(r.log), func(l string) bool { return !strings.HasPrefix(l, "mail:") })
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			rt.Fatalf("%v: got %v, want %v", acts, got, want)
		}
		seen := map[string]bool{}
		for _, d := range r.all {
			if seen[d.ID] {
				rt.Fatalf("decided twice: %s", d.ID)
			}
			seen[d.ID] = true
		}
		if len(r.st.Waits) != 0 {
			rt.Fatalf("still waiting: %+v", r.st.Waits)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	r := newRig(cartRule)
	fires(t, r, "cart:a@0m cart:b@10m idle@65m")
	full := r.st.AppendTo(nil)
	f := func(b []byte, want error) {
		t.Helper()
		if err := new(State).DecodeFrom(b); !errors.Is(err, want) {
			t.Fatalf("%v: %v", b, err)
		}
	}
	f(nil, profile.ErrDamaged)
	f([]byte{schema + 1}, profile.ErrNewer)
	for i := range full {
		f(full[:i], profile.ErrDamaged)
	}
}

func FuzzStateDecode(f *testing.F) {
	f.Add((&State{Sessions: []Session{{Rule: "p/looked", Start: testBase, Last: testBase + 9, Views: 2, Looks: []Look{{Item: event.CartItem{ID: "mug", Price: 1290, Quantity: 1}, N: 2, At: testBase + 9}}}}, Greeted: []string{"p/hello"}, Awaits: 1}).AppendTo(nil))
	r := newRig(cartRule, orderRule)
	for n, w := range strings.Fields("me@0m cart:a@0m cart:b@10m idle@65m order:o@66m idle@300h") {
		_ = n
		r.n++
		e := &event.Event{Kind: event.ProductAdded, Time: testBase + int64(r.n), MessageID: w, CartID: w, Products: []event.Product{{ID: "m", Quantity: 1}}}
		var ch profile.Change
		var out Result
		r.u.Apply(&r.p, e, &ch)
		r.t.Arm(r.subject(), &ch, &out)
		r.take(&out, r.now)
		f.Add(r.st.AppendTo(nil))
	}
	r.advance(testBase + 7_200_000)
	f.Add(r.st.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s, back State
		if s.DecodeFrom(b) != nil {
			return
		}
		once := s.AppendTo(nil)
		if err := back.DecodeFrom(once); err != nil {
			t.Fatal(err)
		}
		if string(back.AppendTo(nil)) != string(once) {
			t.Fatal("storing twice differs")
		}
		for _, w := range slices.Clone(s.Waits) {
			var out Result
			r.t.Fire(Subject{Person: "P", State: &s, Profile: &r.p, Now: r.now}, w.Rule, w.Sub, &out)
		}
		s.Settle(&event.Receipt{Decision: "x", Outcome: event.Sent})
	})
}

func BenchmarkArm(b *testing.B) {
	r := newRig(cartRule, orderRule)
	var ch profile.Change
	var out Result
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		e := event.Event{Kind: event.ProductAdded, Time: testBase + int64(n)*1000, CartID: "a", Products: []event.Product{{ID: "m", Quantity: 1}}}
		r.u.Apply(&r.p, &e, &ch)
		out.Timers, out.Decisions = out.Timers[:0], out.Decisions[:0]
		r.t.Arm(r.subject(), &ch, &out)
	}
}

// TestEnrol: what a journey tries is noted in the decision, whoever is held out is decided
// about all the same, stands against OncePer as if mailed, and is asked for again at the
// last gate.
func TestEnrol(t *testing.T) {
	rule := cartRule
	rule.OncePer = 24 * time.Hour
	held := map[string]bool{"P": true}
	rule.Held = func(person string) bool { return held[person] }
	r := newRig(rule)
	fires(t, r, "cart:a@0m")
	var out Result
	s := r.subject()
	s.Now = testBase + 61*60_000
	s.Enrol = func(d *event.Decision) string {
		d.Experiment, d.Variant, d.Propensity, d.WouldSend = "words", "holdout", 0.05, true
		return ReasonHoldout
	}
	r.t.Fire(s, "p/left", "ca", &out)
	if len(out.Decisions) != 1 {
		t.Fatalf("%+v", out)
	}
	d := out.Decisions[0]
	if d.Outcome != event.Skipped || d.Reason != ReasonHoldout || !d.WouldSend || d.Experiment != "words" || d.Propensity != 0.05 || d.Value == 0 {
		t.Fatalf("%+v", d)
	}
	if !r.st.capped(&r.t.rules[0], s.Now+1000, 1<<40) {
		t.Fatal("who is held out may be asked at once again")
	}
	var back State
	if err := back.DecodeFrom(r.st.AppendTo(nil)); err != nil || back.Records[0].Experiment != "words" || !back.Records[0].WouldSend || back.Records[0].Propensity != 0.05 {
		t.Fatalf("%+v, %v", back.Records, err)
	}
	if got := r.t.Recheck(&d, &r.p, s.Now); got != ReasonHoldout {
		t.Fatalf("the last gate says %q", got)
	}
	if got := r.t.RecheckReplay(&d, &r.p); got != ReasonHoldout {
		t.Fatalf("the last gate of a replay says %q", got)
	}
}

// TestOldState: a state from before experiments is read as it was.
func TestOldState(t *testing.T) {
	r := newRig(cartRule)
	fires(t, r, "cart:a@0m cart:b@10m idle@65m")
	b := r.st.AppendTo(nil)
	b[0] = 1
	var back State
	if err := back.DecodeFrom(b); err != nil || len(back.Records) != len(r.st.Records) || back.Records[0].ID != r.st.Records[0].ID {
		t.Fatalf("%+v, %v", back, err)
	}
}
