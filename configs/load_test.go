package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"
)

// loadText loads one file given as text.
func loadText(t testing.TB, text string) *Set {
	t.Helper()
	l, err := NewLoader(Options{FS: fstest.MapFS{"x.yaml": {Data: []byte(text)}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Load("x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestShipped(t *testing.T) {
	l, err := NewLoader(Options{FS: Shipped()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Load(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Journeys) != 7 || s.Shop.File != "shop.yaml" {
		t.Fatalf("got %d journeys of %s", len(s.Journeys), s.Shop.File)
	}
	cart := s.Journey("cart-abandonment")
	want := Trigger{
		ID: "abandoned", Key: []string{"user_id", "cart_id"},
		Start:  Start{On: []string{"Product Added", "Product Removed", "Cart Viewed", "Checkout Started"}, When: cart.Trigger.Start.When},
		Wait:   time.Hour,
		Cancel: Cancel{On: []string{"Order Completed"}}, AtMost: AtMost{OncePer: 24 * time.Hour}, FreshFor: 24 * time.Hour,
	}
	if !reflect.DeepEqual(cart.Trigger, want) {
		t.Errorf("got %+v", cart.Trigger)
	}
	if got := cart.Audience.When.String(); got != "profile.consent.marketing && !profile.suppressed && cart.items > 0" {
		t.Errorf("got audience %s", got)
	}
	if c := cart.Content; c.Kind != "cart" || c.Subject != "lstm" || c.MaxWait != 200*time.Millisecond || c.Recommend.Count != 3 || c.Recommend.Seed != "cart.items" || len(c.Banned) == 0 {
		t.Errorf("got %+v", c)
	}
	if cart.Send.Sender() != "main" || !slices.Equal(cart.Send.IdempotencyKey, []string{"user_id", "cart_id", "trigger.started_at"}) {
		t.Errorf("got %+v", cart.Send)
	}
	after := s.Journey("post-purchase")
	if after.Trigger.Wait != 7*24*time.Hour || !slices.Equal(after.Trigger.Key, []string{"user_id"}) || after.Content.Kind != "post-purchase" || len(after.Trigger.Cancel.On) != 0 {
		t.Errorf("got %+v", after)
	}
	if s.Journey("none") != nil {
		t.Error("got a journey that is not there")
	}
	if s.Shop.Log.OutOfOrder != 2*time.Minute || s.Shop.Items.HalfLife != 90*24*time.Hour || s.Shop.Consent.Assumed() || s.Shop.Senders["main"].SMTP != "env:SMTP_URL" {
		t.Errorf("got %+v", s.Shop)
	}
}

// What the files leave out is filled in; what they say, zero included, is not.
func TestDefaults(t *testing.T) {
	s := loadText(t, "apiVersion: v1\nshop: x\nlog: {out_of_order: 0s}\n")
	if s.Shop.Log != (Log{OutOfOrder: 0, AllowedLateness: 24 * time.Hour, Idle: 30 * time.Second}) || s.Shop.Items.Top != 50 || s.Shop.Consent.Unknown != "no" || s.Shop.Profile.Viewed != 20 {
		t.Errorf("got %+v", s.Shop)
	}
	j := loadText(t, "apiVersion: v1\npipeline: x\ntrigger: {id: t, key: user_id, start: {on: Cart Viewed}, wait: 0s}\ncontent: {id: c, kind: cart}\nsend: {id: s, via: smtp/main}\n").Journeys[0]
	if j.Mode != "live" || j.Paused() || j.Trigger.Wait != 0 || j.Trigger.FreshFor != 24*time.Hour || j.Content.Subject != "lstm" || j.Content.Recommend != nil || j.Send.Rate.Count != 0 {
		t.Errorf("got %+v", j)
	}
	if !slices.Equal(j.Trigger.Key, []string{"user_id"}) || !slices.Equal(j.Send.IdempotencyKey, []string{"user_id", "trigger.started_at"}) {
		t.Errorf("got key %v, idempotency %v", j.Trigger.Key, j.Send.IdempotencyKey)
	}
	if !j.Trigger.Start.When.Eval(nil) || !j.Audience.When.Eval(nil) || !j.Audience.When.Compiled() || j.Audience.When.Uses() != nil {
		t.Error("a condition that is not there does not hold")
	}
}

// A journey alone finds the shop beside it, else the shipped one; on the disk too.
func TestShopBeside(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cart := write("a/cart.yaml", base)
	s, err := Load(cart)
	if err != nil || s.Shop.File != "shop.yaml (shipped)" {
		t.Fatalf("got %v, %v", s, err)
	}
	shop := write("a/shop.yaml", strings.Replace(baseShop, "shop: demo", "shop: mine", 1))
	for _, paths := range [][]string{{cart}, {cart, shop}, {filepath.Join(dir, "a")}, {dir + "/..."}, {cart, cart}} {
		s, err = Load(paths...)
		if err != nil || s.Shop.Name != "mine" || s.Shop.File != shop || len(s.Journeys) != 1 {
			t.Fatalf("%v: got %+v, %v", paths, s, err)
		}
	}
	// A broken shop beside is told, and nothing that follows from it.
	write("a/shop.yaml", "shop: [")
	var problems Problems
	if _, err = Load(cart); !errors.As(err, &problems) || len(problems) != 1 || problems[0].File != shop || problems[0].Line != 1 {
		t.Errorf("got %v", err)
	}
	write("a/shop.yaml", strings.Replace(base, "pipeline: cart", "pipeline: other", 1))
	if got := Check(cart).Error(); got != shop+": got a file without shop, expected the shop of the journeys beside it" {
		t.Errorf("got %v", got)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "cannot be read: no such file or directory",
		dir:                             "no pipeline file here",
		os.DevNull:                      "cannot be read: it is no regular file",
	} {
		if got := Check(path).Error(); got != path+": "+want {
			t.Errorf("got %s", got)
		}
	}
}

// One Loader serves many goroutines, and a condition too.
func TestConcurrentUse(t *testing.T) {
	l, err := NewLoader(Options{FS: Shipped()})
	if err != nil {
		t.Fatal(err)
	}
	set, err := l.Load(".")
	if err != nil {
		t.Fatal(err)
	}
	slots := make([]Value, l.AudienceEnv().Len())
	machine := compile(t, "lower(profile.locale) == ''", l.AudienceEnv())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			again, err := l.Load(".")
			if err != nil || again.Version != set.Version {
				t.Errorf("got %v, %v", again, err)
			}
			for range 100 {
				if set.Journeys[0].Audience.When.Eval(slots) || !machine.Eval(slots) {
					t.Error("a condition changed its mind")
				}
			}
		})
	}
	wg.Wait()
}

// The caller's words replace the standard ones.
func TestHandedInWords(t *testing.T) {
	env, err := NewEnv([]Field{{Name: "plan", Type: Text}})
	if err != nil {
		t.Fatal(err)
	}
	text := "apiVersion: v1\npipeline: x\ntrigger: {id: t, key: account, start: {on: Trial Ended, when: plan == 'free'}, wait: 1h}\ncontent: {id: c, kind: trial}\nsend: {id: s, via: smtp/main}\n"
	l, err := NewLoader(Options{
		FS: fstest.MapFS{"x.yaml": {Data: []byte(text)}}, Events: []string{"Trial Ended"}, Keys: []string{"account"},
		Kinds: []Kind{{Name: "trial"}}, Trigger: env,
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Load("x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !s.Journeys[0].Trigger.Start.When.Eval([]Value{TextValue("free")}) {
		t.Error("plan == 'free' does not hold")
	}
	if l.TriggerEnv() != env || l.AudienceEnv().Len() != len(StandardFields()) {
		t.Error("the environments are not those handed in")
	}
}

// Comments, the order of keys, quotes, flow or block style do not change a version.
func TestVersionIgnoresForm(t *testing.T) {
	want := loadText(t, base)
	r := &reader{file: "x.yaml"}
	doc := r.read([]byte(base))
	if doc == nil {
		t.Fatal(r.problems)
	}
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for _, e := range rapid.Permutation(doc.root.entries).Draw(t, "order") {
			if rapid.Bool().Draw(t, "comment") {
				b.WriteString("# " + rapid.StringMatching(`[a-z :{}'"&*-]{0,20}`).Draw(t, "words") + "\n\n")
			}
			b.WriteString(scalar(t, e.key) + ":")
			block(t, &b, e.value, 1)
		}
		l, err := NewLoader(Options{FS: fstest.MapFS{"x.yaml": {Data: []byte(b.String())}}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.Load("x.yaml")
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if got.Version != want.Version || got.Journeys[0].Version != want.Journeys[0].Version {
			t.Fatalf("another version of\n%s", b.String())
		}
	})
}

// block writes a value behind a colon, in any style.
func block(t *rapid.T, b *strings.Builder, n *node, depth int) {
	if n.kind != kindMapping || rapid.Bool().Draw(t, "flow") {
		b.WriteString(" " + flow(t, n))
		if rapid.Bool().Draw(t, "comment") {
			b.WriteString("  # " + rapid.StringMatching(`[a-z :]{0,9}`).Draw(t, "words"))
		}
		b.WriteString("\n")
		return
	}
	b.WriteString("\n")
	for _, e := range rapid.Permutation(n.entries).Draw(t, "order") {
		b.WriteString(strings.Repeat("   ", depth) + scalar(t, e.key) + ":")
		block(t, b, e.value, depth+1)
	}
}

// flow writes a value on one line.
func flow(t *rapid.T, n *node) string {
	var parts []string
	switch n.kind {
	case kindMapping:
		for _, e := range rapid.Permutation(n.entries).Draw(t, "order") {
			parts = append(parts, scalar(t, e.key)+": "+flow(t, e.value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case kindList:
		for _, item := range n.items {
			parts = append(parts, flow(t, item))
		}
		return "[" + strings.Join(parts, " , ") + "]"
	case kindText:
		return scalar(t, n.value.(string))
	default:
		return fmt.Sprint(n.value)
	}
}

// scalar writes a text, quoted in one of three ways.
func scalar(t *rapid.T, text string) string {
	switch rapid.IntRange(0, 2).Draw(t, "quotes") {
	case 0:
		return strconv.Quote(text)
	case 1:
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	default:
		return text
	}
}

func TestVersion(t *testing.T) {
	before := loadText(t, base).Journeys[0].Version
	f := func(old, put string, same bool) {
		t.Helper()
		if !strings.Contains(base, old) {
			t.Fatalf("%q is not in the text", old)
		}
		after := loadText(t, strings.Replace(base, old, put, 1)).Journeys[0].Version
		if (before == after) != same {
			t.Errorf("%q for %q: %s, before %s", put, old, after, before)
		}
	}
	f("wait: 1h", "wait: 60m", true)
	f("wait: 1h", `"wait": '1h' # an hour`, true)
	f("mode: live", "mode: live\ndescription: what it is for\nowner: me", true)
	f("mode: live\n", "", true)
	f("count: 3", "count: 3, exclude: purchased", true)
	f("cart.value > 30", "(cart.value   >  30)", true)
	f("{on: Order Completed}", "{on: [Order Completed]}", true)
	f("rate: 40 per second", "rate: 40 per second, idempotency_key: [user_id, cart_id, trigger.started_at]", true)
	f("wait: 1h", "wait: 61m", false)
	f("mode: live", "mode: paused", false)
	f("cart.value > 30", "cart.value >= 30", false)
	f("id: abandoned", "id: left", false)
	f("[winner]", "[winner, free]", false)
	f("pipeline: cart", "pipeline: cart2", false)
	f("smtp/main, rate: 40 per second", "smtp/main", false)
}

func TestSchema(t *testing.T) {
	l, err := NewLoader(Options{})
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Defs map[string]struct {
			Properties map[string]json.RawMessage
			Required   []string
		} `json:"$defs"`
	}
	if err := json.Unmarshal(l.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Defs["journey"].Properties) != 13 || len(s.Defs["shop"].Properties) != 16 || !slices.Contains(s.Defs["journey"].Required, "trigger") {
		t.Errorf("got %v", s.Defs)
	}
	for _, want := range []string{`"Order Completed"`, `"cart.value": "a number: money in the cart"`, `"additionalProperties": false`, `"description": "How long nothing further may happen.`} {
		if !strings.Contains(string(l.Schema()), want) {
			t.Errorf("the schema has no %s", want)
		}
	}
	again, err := NewLoader(Options{})
	if err != nil || string(again.Schema()) != string(l.Schema()) {
		t.Error("the schema is another the second time")
	}
}

// The sentences follow what the file says and leave out what it does not.
func TestExplain(t *testing.T) {
	f := func(j *Journey, want ...string) {
		t.Helper()
		if got := Explain(j); got != strings.Join(want, "\n")+"\n" {
			t.Errorf("got %s", got)
		}
	}
	f(loadText(t, base).Journeys[0],
		"cart: live.",
		"[abandoned] On Product Added or Cart Viewed, if cart.value > 30, wait 1 hour for each user_id and cart_id; a further one begins the wait anew.",
		"[abandoned] Order Completed in that time ends it without a mail.",
		"[audience] Go on only if profile.consent.marketing && (profile.ltv > 100 || profile.orders > 2); asked again just before the mail leaves.",
		"[abandoned] At most one mail to a person in 1 day.",
		"[content] Write a cart mail whose subject comes from the model, or is the written one if that takes more than 200 milliseconds.",
		"[content] Show 3 products that go with cart.items, by co-purchase, without what that person has bought.",
		"[content] No subject holds one of 1 banned words.",
		"[send] Send it via smtp/main, at most 40 per second, unless it is late by more than 1 day.",
		"[send] One user_id + cart_id + trigger.started_at is one mail, however often it is tried.")
	f(loadText(t, "apiVersion: v1\npipeline: x\nmode: paused\ntrigger: {id: t, key: user_id, start: {on: Order Completed}, wait: 1h30m, fresh_for: 36h}\ncontent: {id: c, kind: post-purchase, subject: fallback, recommend: {from: co-view, seed: profile.viewed, exclude: none}}\nsend: {id: s, via: smtp/main}\n").Journeys[0],
		"x: paused, it starts and sends nothing.",
		"[t] On Order Completed, wait 90 minutes for each user_id; a further one begins the wait anew.",
		"[audience] Everybody.",
		"[c] Write a post-purchase mail with the written subject.",
		"[c] Show 3 products that go with profile.viewed, by co-view.",
		"[s] Send it via smtp/main, unless it is late by more than 36 hours.",
		"[s] One user_id + trigger.started_at is one mail, however often it is tried.")
}

func TestManyProblems(t *testing.T) {
	text := "apiVersion: v1\npipeline: x\n" + manyKeys(300)
	got := strings.Split(checkText(t, text), "\n")
	if len(got) != problemsMax || got[problemsMax-1] != "99:1: more problems from here on, not listed" {
		t.Errorf("got %d: %s", len(got), got[len(got)-1])
	}
}

func TestDuration(t *testing.T) {
	f := func(text string, want time.Duration) {
		t.Helper()
		got, err := ParseDuration(text)
		if (err != nil) != (want < 0) || (err == nil && got != want) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	f("0s", 0)
	f("200ms", 200*time.Millisecond)
	f("1h30m", 90*time.Minute)
	f("7d", 168*time.Hour)
	f("1d2h3m4s5ms", 26*time.Hour+3*time.Minute+4*time.Second+5*time.Millisecond)
	f("90m", 90*time.Minute)
	for _, bad := range []string{"", "1", "h", "1 h", "-1h", "1.5h", "1m1h", "1h1h", "1w", "1hh", "99999999s", "9999d", "１h"} {
		f(bad, -1)
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(durationMax/time.Millisecond)).Draw(t, "d")) * time.Millisecond
		if got, err := ParseDuration(FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%v: got %v, %v", d, got, err)
		}
	})
}

func TestSenderURL(t *testing.T) {
	env := map[string]string{"GOOD": "smtps://u:hunter2@mx.example:465", "BAD": "hunter2", "EMPTY": ""}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	f := func(smtp, host, wantErr string) {
		t.Helper()
		u, err := Sender{SMTP: smtp}.URL(lookup)
		if err != nil {
			if err.Error() != wantErr {
				t.Errorf("%s: got %v", smtp, err)
			}
			return
		}
		if wantErr != "" || u.Host != host {
			t.Errorf("%s: got %s", smtp, u.Host)
		}
	}
	f("env:GOOD", "mx.example:465", "")
	f("smtp://localhost:25", "localhost:25", "")
	f("env:NONE", "", "read SMTP server: environment variable NONE is not set")
	f("env:EMPTY", "", "read SMTP server: environment variable EMPTY is not set")
	f("env:BAD", "", "read SMTP server from BAD: expected smtp://host:port or smtps://host:port")
}

func TestNearest(t *testing.T) {
	known := []string{"trigger", "wait", "key", "Order Completed", "id"}
	f := func(got, want string) {
		t.Helper()
		if n := nearest(got, known); n != want {
			t.Errorf("%q: got %q, want %q", got, n, want)
		}
	}
	f("triger", "trigger")
	f("rtigger", "trigger")
	f("order compleeted", "Order Completed")
	f("waitt", "wait")
	f("keys", "key")
	f("trggrr", "trigger")
	f("trgr", "")
	f("x", "")
	f("", "")
	f("ab", "")
	f(strings.Repeat("t", 1000), "")
}

// FuzzLoad: whatever stands in a file, reading it ends in a set or in problems with a
// place, and never in a panic.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"shop.yaml", "cart-abandonment.yaml", "post-purchase.yaml", "browse.yaml", "win-back.yaml", "welcome.yaml", "checkout.yaml", "review-request.yaml"} {
		raw, err := shipped.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, s := range []string{base, baseShop, "a: &x [*x]", "? {a: b}\n: c", "a: |2-\n  x", "- - - -", "pipeline: \"\\u00e9\\\n  x\"", "a: !!str b", "<<: {a: b}", "%TAG ! x\n---\na", "pipeline: x\nsend: 5\ntrigger: []\n", "{pipeline: x, trigger: {wait: 1e999, key: ~}}", "\"a\": 'b''c'\n\"a\": 2", "pipeline: x\naudience:\n  when: >\n    a\n\n    + b[1:2].c?.d(x) ?? {y: 1}\n"} {
		f.Add([]byte(s))
	}
	l, err := NewLoader(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, problems := l.loadBytes("x.yaml", raw)
		if (set == nil) != (len(problems) > 0) {
			t.Fatalf("got %v and %v", set, problems)
		}
		lines := strings.Count(string(raw), "\n") + 1
		for _, p := range problems {
			if p.File == "x.yaml" && (p.Line < 1 || p.Column < 1 || p.Line > lines+1 || p.Message == "") {
				t.Fatalf("got no place: %+v", p)
			}
			if strings.Contains(p.String(), "\n") {
				t.Fatalf("got more than a line: %q", p.String())
			}
		}
		for i := range problems[:max(0, len(problems)-1)] {
			if problems[i].Line > problems[i+1].Line && problems[i].File == problems[i+1].File {
				t.Fatalf("got no order: %v", problems)
			}
		}
		if set != nil {
			for _, j := range set.Journeys {
				Explain(j)
				j.Trigger.Start.When.Eval(make([]Value, l.TriggerEnv().Len()))
				j.Audience.When.Eval(make([]Value, l.AudienceEnv().Len()))
			}
		}
	})
}

// loadBytes is load of one file that is already in memory.
func (l *Loader) loadBytes(name string, raw []byte) (*Set, Problems) {
	one := *l
	one.options.FS = fstest.MapFS{name: {Data: raw}}
	return one.load([]string{name})
}

// TestLinks: a cart's id stands in its address as one part of it, whatever it holds.
func TestLinks(t *testing.T) {
	f := func(pattern, id, want string) {
		t.Helper()
		if got := (Links{Cart: pattern}).CartURL(id); got != want {
			t.Fatalf("%s with %q: got %s, want %s", pattern, id, got, want)
		}
	}
	f("https://shop.example/cart?id={cart_id}", "c 1&admin=1#x", "https://shop.example/cart?id=c%201%26admin%3D1%23x")
	f("https://shop.example/{cart_id}/x", "../..", "https://shop.example/..%2F../x")
	f("https://shop.example/cart", "c1", "https://shop.example/cart")
	f("", "c1", "")
}

// TestTracking: a file that says something is heeded, one that does not leaves it open.
func TestTracking(t *testing.T) {
	f := func(tr Tracking, unsaid, wantOpens, wantClicks bool) {
		t.Helper()
		if opens, clicks := tr.On(unsaid); opens != wantOpens || clicks != wantClicks {
			t.Fatalf("%+v: opens %v, clicks %v", tr, opens, clicks)
		}
	}
	f(Tracking{}, false, false, false)
	f(Tracking{}, true, true, true)
	f(Tracking{Opens: "no", Clicks: "yes"}, true, false, true)
	f(Tracking{Clicks: "yes"}, false, false, true)
}
