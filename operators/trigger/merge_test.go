package trigger

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
	"millrace/operators/profile"
)

// named gives what a rig decided the ids of another person.
func (r *rig) named(person string) *rig {
	rename := func(id *string) { *id = strings.Replace(*id, "|P|", "|"+person+"|", 1) }
	for i := range r.st.Fired {
		rename(&r.st.Fired[i].Decision)
	}
	for i := range r.st.Records {
		rename(&r.st.Records[i].ID)
		r.st.Records[i].Person = person
	}
	return r
}

// clone is a rig that shares nothing with r, without timers.
func (r *rig) clone(t rapid.TB) *rig {
	t.Helper()
	c := &rig{t: r.t, u: r.u, now: r.now, timers: map[string]TimerRequest{}}
	maps.Copy(c.timers, r.timers)
	if err := c.p.DecodeFrom(r.p.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	if err := c.st.DecodeFrom(r.st.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	return c
}

// join merges o into r, as the operators do.
func (r *rig) join(t rapid.TB, o *rig) *rig {
	t.Helper()
	c := o.clone(t)
	var ch profile.Change
	var out Result
	r.u.Join(&r.p, &c.p, &ch)
	r.t.Merge(r.subject(), &c.st, &out)
	r.take(&out, r.now)
	return r
}

// shape is a state without what may differ: when timers are due that insert themselves
// again, how much a bound dropped, and whether two waits about one thing that an order
// ended had become one before.
func shape(s *State) State {
	c := State{Waits: slices.Clone(s.Waits), Fired: slices.Clone(s.Fired), Records: slices.Clone(s.Records)}
	for i := range c.Waits {
		c.Waits[i].Armed = 0
	}
	for i := range c.Records {
		c.Records[i].Items = nil // in the order in which they came into the cart
	}
	gone := map[string]bool{} // of two waits about one cart, the older, ended by an order
	for i := range s.Records {
		d := &s.Records[i]
		sub := "c" + d.CartID
		newer := slices.ContainsFunc(s.Records, func(o event.Decision) bool { return o.CartID == d.CartID && o.OrderID == "" && o.Started > d.Started }) ||
			slices.ContainsFunc(s.Waits, func(w Wait) bool { return w.Sub == sub && w.Activity > d.Started })
		gone[d.ID] = d.Reason == ReasonOrdered && newer
	}
	c.Records = slices.DeleteFunc(c.Records, func(d event.Decision) bool { return gone[d.ID] })
	c.Fired = slices.DeleteFunc(c.Fired, func(f Fired) bool { return gone[f.Decision] })
	return c
}

func drawRig(o *testing.T, t *rapid.T, name string, times []int64, rules ...Rule) *rig {
	r := newRig(rules...)
	r.word(o, "me@0m")
	for i, at := range times {
		kind := rapid.SampledFrom([]string{"cart", "cart", "cart", "drop", "order", "sent", "skipped"}).Draw(t, "kind")
		id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "cart")
		switch {
		case kind == "order":
			id = fmt.Sprint("o", name, i)
		case (kind == "sent" || kind == "skipped") && len(r.all) == 0:
			kind = "cart"
		}
		r.word(o, fmt.Sprintf("%s:%s@%dm", kind, id, at))
	}
	return r.named(name)
}

// Three states of one person, joined in any order, are one state: it waits for the same,
// remembers the same, asks for the same timers and decides the same. Joining again what
// has joined changes nothing. Nothing is decided about that any of them decided about.
func TestMergeCommutes(outer *testing.T) {
	capped := cartRule
	capped.OncePer = 3 * time.Hour
	rapid.Check(outer, func(t *rapid.T) {
		rules := rapid.SampledFrom([][]Rule{{cartRule}, {capped}, {capped, orderRule}}).Draw(t, "rules")
		n := rapid.IntRange(0, 15).Draw(t, "events")
		times := rapid.SliceOfNDistinct(rapid.Int64Range(1, 400), n, n, rapid.ID).Draw(t, "times")
		slices.Sort(times)
		own := [3][]int64{}
		for _, at := range times {
			i := rapid.IntRange(0, 2).Draw(t, "name")
			own[i] = append(own[i], at)
		}
		var of [3]*rig
		for i := range of {
			of[i] = drawRig(outer, t, string(rune('A'+i)), own[i], rules...)
		}
		now := testBase + rapid.Int64Range(400, 520).Draw(t, "merged")*60_000
		for _, r := range of {
			r.advance(now)
		}
		first := of[0].clone(t).join(t, of[1]).join(t, of[2])
		second := of[0].clone(t).join(t, of[2]).join(t, of[1])
		again := of[0].clone(t).join(t, of[1])
		once, timers := shape(&again.st), len(again.timers)
		var out Result
		again.t.Merge(again.subject(), &of[1].clone(t).st, &out)
		if len(out.Decisions) != 0 || !reflect.DeepEqual(shape(&again.st), once) || len(again.timers) != timers {
			t.Fatalf("joined twice: %+v\nonce: %+v\n%+v", shape(&again.st), once, out)
		}
		for _, w := range out.Timers {
			if again.timers[w.Rule+w.Sub] != w {
				t.Fatalf("joined twice, another timer: %+v", w)
			}
		}
		if a, b := shape(&first.st), shape(&second.st); !reflect.DeepEqual(a, b) {
			t.Fatalf("orders differ:\n%+v\n%+v", a, b)
		}
		decided := map[string]int64{}
		for _, r := range of {
			for _, f := range r.st.Fired {
				decided[f.Rule+f.Sub] = max(decided[f.Rule+f.Sub], f.Activity)
			}
		}
		var mails []string
		for _, r := range []*rig{first, second} {
			for i := range r.st.Waits {
				w := &r.st.Waits[i]
				if w.Deadline != w.Activity+r.t.rule(w.Rule).Wait.Milliseconds() {
					t.Fatalf("due at another time: %+v", w)
				}
				if timer, ok := r.timers[w.Rule+w.Sub]; !ok || timer.Due > max(w.Deadline, w.Armed) {
					t.Fatalf("%+v has the timer %+v", w, timer)
				}
			}
			from := len(r.all)
			r.advance(now + 30*86_400_000)
			var list []string
			for _, d := range r.all[from:] {
				list = append(list, fmt.Sprint(d.ID, d.Outcome, d.Reason))
				if sub := "c" + d.CartID; d.OrderID == "" && d.Started <= decided[d.Pipeline+"/"+d.Trigger+sub] {
					t.Fatalf("decided about again: %+v", d)
				}
			}
			slices.Sort(list)
			if mails = append(mails, fmt.Sprint(list)); len(r.st.Waits) != 0 {
				t.Fatalf("still waiting: %+v", r.st.Waits)
			}
		}
		if mails[0] != mails[1] {
			t.Fatalf("decisions differ:\n%s\n%s", mails[0], mails[1])
		}
	})
}

func TestMergeStories(t *testing.T) {
	f := func(mine, other string, at, later, want string) {
		t.Helper()
		rule := cartRule
		rule.OncePer = 3 * time.Hour
		a, b := newRig(rule, orderRule), newRig(rule, orderRule)
		b.n = 1000 // its messages are others
		fires(t, a, mine+" idle@"+at)
		fires(t, b, other+" idle@"+at)
		b.named("Q")
		a.join(t, b)
		a.advance(a.now)
		for w := range strings.FieldsSeq(later) {
			a.word(t, w)
		}
		if got := strings.Join(a.log, " "); got != want {
			t.Fatalf("%s + %s at %s, then %s: got %q, want %q", mine, other, at, later, got, want)
		}
	}
	// The wait goes on, due when it was.
	f("", "cart:a@0m", "30m", "idle@59m", "")
	f("", "cart:a@0m", "30m", "idle@60m", "mail:a@60m")
	// One cart under both names: the newer activity, whosever it is.
	f("cart:a@0m", "cart:a@20m", "30m", "idle@79m", "")
	f("cart:a@0m", "cart:a@20m", "30m", "idle@80m", "mail:a@80m")
	f("cart:a@20m", "cart:a@0m", "30m", "idle@79m", "")
	f("cart:a@20m", "cart:a@0m", "30m", "idle@80m", "mail:a@80m")
	// What the other one was mailed about is not written about again, and caps.
	f("cart:a@0m", "cart:a@1m idle@61m", "60m", "idle@300m", "mail:a@60m")
	f("", "cart:a@0m idle@61m sent@62m", "63m", "cart:a@70m idle@140m", "capped:a@130m")
	f("", "cart:a@0m idle@61m skipped@62m", "63m", "cart:a@70m idle@140m", "mail:a@130m")
	f("", "cart:a@0m idle@61m sent@62m", "63m", "cart:a@170m idle@260m", "mail:a@230m")
	// An order under either name closes the carts of both that are older.
	f("cart:a@0m", "order:o@10m", "30m", "idle@120m", "ordered:a@30m")
	f("order:o@10m", "cart:a@0m", "30m", "idle@120m", "ordered:a@30m")
	f("order:o@10m", "cart:a@20m", "30m", "idle@120m", "mail:a@80m")
	// Of two orders that wait the newer one goes on.
	f("order:o@10m", "order:q@20m", "30m", "idle@200h", "another-order-followed:o@30m mail:q@10100m")
	f("order:o@20m", "order:q@10m", "30m", "idle@200h", "another-order-followed:q@30m mail:o@10100m")
}

// While something is on its way nothing is decided; what was due meanwhile is, when it
// has come.
func TestAwait(t *testing.T) {
	r := newRig(cartRule)
	fires(t, r, "cart:a@0m cart:b@30m idle@40m")
	await := func(n int) {
		var out Result
		r.t.Await(r.subject(), n, &out)
		r.take(&out, r.now)
		r.advance(r.now)
	}
	await(1)
	var back State
	if err := back.DecodeFrom(r.st.AppendTo(nil)); err != nil || back.Awaits != 1 {
		t.Fatalf("%+v: %v", back, err)
	}
	fires(t, r, "idle@70m")
	await(2)
	fires(t, r, "cart:b@75m idle@80m")
	await(1)
	if len(r.all) != 0 || len(r.st.Waits) != 2 {
		t.Fatalf("%+v", r.all)
	}
	await(0)
	if got := strings.Join(r.log, " "); got != "mail:a@60m" || r.st.AppendTo(nil)[0] != 1 {
		t.Fatal(got)
	}
	if got := fires(t, r, "idle@136m"); got != "mail:a@60m mail:b@135m" {
		t.Fatal(got)
	}
}

func TestMergeBounds(t *testing.T) {
	many := func(person string) *State {
		s := &State{}
		for i := range MaxFired {
			s.Fired = append(s.Fired, Fired{Rule: cartRule.Pipeline + "/" + cartRule.ID, Sub: fmt.Sprint("c", person, i), At: testBase + int64(i), Decision: fmt.Sprint(person, i), Counts: i%2 == 0})
			s.Waits = append(s.Waits, Wait{Rule: "gone/gone", Sub: fmt.Sprint("c", person, i), Activity: testBase + int64(i), Deadline: testBase + 9_000_000})
		}
		for i := range MaxRecords {
			s.Records = append(s.Records, event.Decision{ID: fmt.Sprint(person, i), Decided: testBase + int64(i)})
		}
		return s
	}
	a := many("A")
	r := newRig(cartRule)
	var out Result
	r.t.Merge(Subject{Person: "P", State: a, Profile: &r.p, Now: testBase + 1000}, many("B"), &out)
	if len(a.Waits) != MaxWaits || len(a.Fired) > MaxFired || len(a.Records) != MaxRecords || a.Lost == 0 {
		t.Fatalf("%d waits, %d fired, %d records, %d lost", len(a.Waits), len(a.Fired), len(a.Records), a.Lost)
	}
	counted := 0
	for _, f := range a.Fired {
		if f.Counts {
			counted++
		}
	}
	if counted != MaxFired {
		t.Fatalf("%d of %d that caps count were kept", counted, MaxFired)
	}
	var back State
	if err := back.DecodeFrom(a.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
}

func TestRecheckMerged(t *testing.T) {
	rule := cartRule
	rule.OncePer = 3 * time.Hour
	tr := New(Options{Rules: []Rule{rule}, ID: testID})
	d := &event.Decision{ID: "m", Pipeline: rule.Pipeline, Trigger: rule.ID, Decided: testBase}
	f := func(other Fired, want bool) {
		t.Helper()
		other.Rule = rule.Pipeline + "/" + rule.ID
		s := &State{Fired: []Fired{{Rule: other.Rule, Decision: "m", At: testBase, Counts: true, Pending: true}, other}}
		if got := tr.RecheckMerged(d, s) != ""; got != want {
			t.Fatalf("%+v: %v", other, got)
		}
	}
	f(Fired{Decision: "x", At: testBase - 1, Counts: true, Pending: true}, true)
	f(Fired{Decision: "x", At: testBase - 1, Counts: true}, true)
	f(Fired{Decision: "x", At: testBase - 1}, false)               // it was skipped
	f(Fired{Decision: "x", At: testBase + 1, Counts: true}, false) // that one gives way
	f(Fired{Decision: "a", At: testBase, Counts: true}, true)      // of one moment the lower id goes
	f(Fired{Decision: "x", At: testBase, Counts: true}, false)
	f(Fired{Decision: "x", At: testBase - 3*3_600_000, Counts: true}, false) // long ago
	if tr.RecheckMerged(&event.Decision{Pipeline: "p", Trigger: "gone"}, &State{}) != "" {
		t.Fatal("a rule that is gone")
	}
}
