package trigger

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
	"millrace/operators/profile"
)

var (
	browseRule  = Rule{Pipeline: "p", ID: "looked", Kind: Browsed, Content: "browse", Wait: time.Hour}
	lapseRule   = Rule{Pipeline: "p", ID: "lapsed", Kind: Lapsed, Content: "win-back", Wait: 5 * time.Hour, Freshness: 200 * time.Hour}
	welcomeRule = Rule{Pipeline: "p", ID: "hello", Kind: Greeting, Content: "welcome", Wait: time.Hour}
)

func TestBrowsed(t *testing.T) {
	rule := browseRule
	f := func(story, want string) {
		t.Helper()
		if got := fires(t, newRig(rule), story); got != want {
			t.Fatalf("%s: got %q, want %q", story, got, want)
		}
	}
	f("look:a@1m look:b@2m idle@10h", "")                                                        // too few
	f("look:a@1m look:b@2m look:c@3m idle@10h", "mail:@63m")                                     // enough
	f("look:a@1m look:b@2m look:c@40m idle@10h", "")                                             // a pause between
	f("look:a@1m look:b@2m look:c@3m look:d@60m idle@10h", "mail:@120m")                         // while it waits no pause counts
	f("look:a@1m look:b@2m look:c@20m/3m idle@10h", "mail:@63m")                                 // one came late
	f("look:a@40m look:b@41m look:c@42m look:d@43m/1m order:o@44m/2m idle@10h", "mail:@102m")    // nor does it pull the wait back
	f("look:a@40m look:b@41m look:c@42m/1m idle@10h", "")                                        // late, of an earlier session
	f("look:a@1m look:b@2m look:c@3m cart:x@30m idle@10h", "something-was-put-in-the-cart:@29m") // carts are reminded of by their own
	f("look:a@1m look:b@2m look:c@3m order:o@30m idle@10h", "ordered:@29m")                      // bought
	f("look:a@1m cart:x@2m look:b@3m look:c@4m idle@10h", "")                                    // in the midst of it
	f("look:a@1m look:b@2m look:c@3m order:o@30m/0m idle@10h", "mail:@63m")                      // an order from before
	f("cart:x@0m look:a@5m look:b@6m look:c@7m idle@10h", "mail:@67m")                           // a cart from before
	f("look:a@1m look:b@2m look:c@3m off:x@30m idle@10h", "something-was-put-in-the-cart:@29m")  // what must not arm still cancels
	f("look:a@1m look:b@2m look:c@3m unsubscribe:@30m idle@10h", "suppressed:@63m")              // no
	f("look:a@1m look:b@2m look:c@3m idle@70m look:d@80m look:e@81m idle@10h", "mail:@63m")      // decided about is over
	f("look:a@1m look:b@2m look:c@3m idle@2h look:a@3h look:b@181m look:c@182m idle@10h", "mail:@63m mail:@242m")
	rule.Views.Product = true
	f("look:a@1m look:b@2m look:c@3m look:a@4m idle@10h", "")
	f("look:a@1m look:b@2m look:a@3m look:a@4m idle@10h", "mail:@64m")
	rule.OncePer = 24 * time.Hour
	f("look:a@1m look:a@3m look:a@4m idle@2h look:a@3h look:a@181m look:a@182m idle@10h", "mail:@64m capped:@242m")
}

// The mail shows what was looked at most, then last, at the newest price.
func TestBrowsedItems(t *testing.T) {
	r := newRig(browseRule)
	fires(t, r, "look:a@1m look:b@2m look:c@3m look:b@4m look:d@5m look:a@6m idle@3h")
	var ids []string
	for _, it := range r.all[0].Items {
		ids = append(ids, it.ID)
	}
	if d := r.all[0]; !slices.Equal(ids, []string{"a", "b", "d"}) || d.Value != 1500 || d.Items[0].Name != "Mug" {
		t.Fatalf("%v %+v", ids, d)
	}
	if len(r.st.Sessions) != 0 {
		t.Fatalf("left: %+v", r.st.Sessions)
	}
	d := r.all[0]
	f := func(word, want string) {
		t.Helper()
		c := r.clone(t)
		c.n = r.n
		c.word(t, word)
		if got := c.t.Recheck(&d, &c.p, c.now); got != want {
			t.Fatalf("%s: got %q, want %q", word, got, want)
		}
	}
	f("look:x@181m", "")
	f("cart:x@181m", ReasonCarted)
	f("order:x@181m", ReasonOrdered)
	f("unsubscribe:@181m", ReasonSuppressed+": unsubscribed")
}

// What is kept of a session is bounded: what was looked at least goes.
func TestLooksBounded(t *testing.T) {
	r := newRig(browseRule)
	story := "look:often@0m look:often@0m "
	for i := range MaxLooks * 3 {
		story += fmt.Sprintf("look:i%d@%dm ", i, i+1)
	}
	fires(t, r, story)
	x := r.st.Sessions[0]
	if len(x.Looks) != MaxLooks || x.Views != MaxLooks*3+2 || x.shown()[0].ID != "often" {
		t.Fatalf("%+v", x)
	}
	long := &event.Product{ID: "l", Name: strings.Repeat("ü", 400)}
	x.add(long, x.Last)
	x.add(&event.Product{ID: strings.Repeat("x", profile.MaxID+1)}, x.Last)
	if i := slices.IndexFunc(x.Looks, func(l Look) bool { return l.Item.ID == "l" }); i < 0 || len(x.Looks[i].Item.Name) != maxLookText || x.Views != MaxLooks*3+3 {
		t.Fatalf("%+v", x)
	}
}

func TestLapsed(t *testing.T) {
	f := func(story, want string) {
		t.Helper()
		if got := fires(t, newRig(lapseRule), story); got != want {
			t.Fatalf("%s: got %q, want %q", story, got, want)
		}
	}
	f("idle@100h", "")
	f("order:a@0m idle@100h", "mail:a@300m")                                     // once per lapse
	f("order:a@0m order:b@100m idle@100h", "mail:b@400m")                        // the newest counts
	f("order:b@100m order:a@110m/10m idle@100h", "mail:b@400m")                  // also when an older one comes later
	f("order:a@0m idle@6h order:z@361m/1m idle@100h", "mail:a@300m mail:z@301m") // an order unknown to the first mail
	f("order:a@0m idle@6h order:b@400m idle@100h", "mail:a@300m mail:b@700m")    // lapsed again
	f("order:a@0m unsubscribe:@10m idle@100h", "suppressed:a@300m")
}

func TestGreeting(t *testing.T) {
	rule := welcomeRule
	f := func(story, want string) {
		t.Helper()
		r := newRig(rule)
		for w := range strings.FieldsSeq(story) {
			r.word(t, w)
		}
		if got := strings.Join(r.log, " "); got != want {
			t.Fatalf("%s: got %q, want %q", story, got, want)
		}
	}
	f("me:@1m idle@9h", "mail:@61m")
	f("me:@1m me:@30m no:@40m yes:@41m idle@9h", "mail:@61m")
	f("me:@1m no:@30m idle@9h yes:@10h idle@20h", "no-consent:@61m") // it was asked once
	f("no:@1m me:@2m idle@9h", "mail:@62m")                          // consent comes with the address
	f("yes:@1m idle@9h", "")                                         // no address
	f("past:@1m idle@9h no:@10h yes:@11h idle@20h", "")              // imported
	f("me:@1m order:o@5m idle@9h", "mail:@61m")
	rule.CancelOrdered = true
	f("me:@1m order:o@5m idle@9h", "ordered:@4m")
	f("me:@1m order:o@5m/0m idle@9h", "mail:@61m")
}

// looksOf is the naive model: the moments of mails, from the whole history.
func looksOf(acts []act, end int64) []string {
	var out []string
	var views []int64
	last, touched, waits := int64(0), int64(-1), false
	for _, a := range append(slices.Clone(acts), act{at: end}) {
		if waits && a.at-1 >= last+60 {
			out = append(out, fmt.Sprintf("mail:@%dm", last+60))
			views, waits = nil, false
		}
		switch a.kind {
		case "look":
			if !waits && len(views) > 0 && a.at-last > 30 {
				views = nil
			}
			views, last = append(views, a.at), a.at
			waits = waits || len(views) >= 3
			waits = waits && touched < views[0]
		case "cart", "order":
			touched, waits = a.at, false
		}
	}
	return out
}

// At any moment the state can be stored and read back, and the mails are those of a naive
// model that looks at the whole history.
func TestBrowsedAsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(browseRule)
		r.word(t, "me@0m")
		var acts []act
		at := int64(0)
		for range rapid.IntRange(0, 40).Draw(rt, "events") {
			at += rapid.SampledFrom([]int64{1, 2, 5, 29, 30, 31, 59, 61, 70}).Draw(rt, "gap")
			a := act{kind: rapid.SampledFrom([]string{"look", "look", "look", "look", "look", "look", "cart", "order"}).Draw(rt, "kind"), at: at}
			acts = append(acts, a)
			r.word(t, fmt.Sprintf("%s:%s%d@%dm", a.kind, rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "id"), at, at))
			if rapid.Bool().Draw(rt, "store") {
				var back State
				if err := back.DecodeFrom(r.st.AppendTo(nil)); err != nil || len(back.Sessions)+len(r.st.Sessions) > 0 && !reflect.DeepEqual(back.Sessions, r.st.Sessions) {
					rt.Fatalf("%v: %+v, want %+v", err, back.Sessions, r.st.Sessions)
				}
				r.st = back
			}
		}
		r.advance(testBase + (at+500)*60_000)
		got := slices.DeleteFunc(slices.Clone(r.log), func(l string) bool { return !strings.HasPrefix(l, "mail:") })
		if want := looksOf(acts, at+500); !slices.Equal(got, want) {
			rt.Fatalf("%v: got %v, want %v", acts, got, want)
		}
	})
}

// Three states of one person, joined in any order, wait for the same, have looked at and
// been greeted by the same; joining again changes nothing, and nobody is greeted twice.
func TestMergePerson(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		n := rapid.IntRange(0, 15).Draw(t, "events")
		times := rapid.SliceOfNDistinct(rapid.Int64Range(1, 200), n, n, rapid.ID).Draw(t, "times")
		slices.Sort(times)
		var of [3]*rig
		for i := range of {
			of[i] = newRig(browseRule, lapseRule, welcomeRule)
		}
		for i, at := range times {
			kind := rapid.SampledFrom([]string{"look", "look", "look", "look", "cart", "order", "me"}).Draw(t, "kind")
			of[rapid.IntRange(0, 2).Draw(t, "name")].word(outer, fmt.Sprintf("%s:%s%d@%dm", kind, kind, i, at))
		}
		now := testBase + rapid.Int64Range(200, 260).Draw(t, "merged")*60_000
		greeted := false
		for i, r := range of {
			r.named(string(rune('A' + i)))
			r.advance(now)
			greeted = greeted || len(r.st.Greeted) > 0
		}
		first := of[0].clone(t).join(t, of[1]).join(t, of[2])
		second := of[2].clone(t).join(t, of[1]).join(t, of[0])
		a, b := shape(&first.st), shape(&second.st)
		if !reflect.DeepEqual(a.Waits, b.Waits) || !reflect.DeepEqual(first.st.Sessions, second.st.Sessions) || !slices.Equal(first.st.Greeted, second.st.Greeted) {
			t.Fatalf("got %+v\nand %+v", first.st, second.st)
		}
		if greeted != (len(first.st.Greeted) > 0) {
			t.Fatalf("greeted %v, got %v", greeted, first.st.Greeted)
		}
		once := shape(&first.st)
		first.join(t, of[1])
		if !reflect.DeepEqual(shape(&first.st), once) {
			t.Fatalf("joined twice: %+v\nonce: %+v", shape(&first.st), once)
		}
		if waits := len(slices.DeleteFunc(slices.Clone(once.Waits), func(w Wait) bool { return w.Sub != welcomeSub })); waits > 1 {
			t.Fatalf("greets %d times", waits)
		}
	})
}

func TestDecodePersonRefuses(t *testing.T) {
	r := newRig(browseRule, welcomeRule)
	fires(t, r, "look:a@0m look:b@10m look:a@12m")
	full := r.st.AppendTo(nil)
	f := func(b []byte) {
		t.Helper()
		if err := new(State).DecodeFrom(b); !errors.Is(err, profile.ErrDamaged) {
			t.Fatalf("%v: %v", b, err)
		}
	}
	var back State
	if err := back.DecodeFrom(full); err != nil || !reflect.DeepEqual(back, r.st) {
		t.Fatalf("%v: got %+v, want %+v", err, back, r.st)
	}
	for i := range full {
		f(full[:i])
	}
	f((&State{Greeted: []string{"b", "a"}}).AppendTo(nil))
	f((&State{Greeted: []string{"a", "a"}}).AppendTo(nil))
	none := (&State{Greeted: []string{"a"}}).AppendTo(nil)
	f(append(none[:len(none)-3], 0)) // a third form that holds nothing of its own
}

// BenchmarkArmView is a view where no rule waits after looks, and where one does.
func BenchmarkArmView(b *testing.B) {
	for name, rules := range map[string][]Rule{"none": {cartRule}, "browse": {cartRule, browseRule}} {
		b.Run(name, func(b *testing.B) {
			r := newRig(rules...)
			var ch profile.Change
			var out Result
			e := event.Event{Kind: event.ProductViewed, Products: []event.Product{{ID: "m", Quantity: 1}}}
			r.u.Apply(&r.p, &e, &ch)
			s := r.subject()
			s.Looked = e.Products
			b.ReportAllocs()
			for b.Loop() {
				ch.Time += 1000
				out.Timers, out.Decisions = out.Timers[:0], out.Decisions[:0]
				r.t.Arm(s, &ch, &out)
			}
		})
	}
}
