package configs

import (
	"strings"
	"testing"
	"time"
)

// TestPersonalErrors: what belongs to waits of the person only is refused elsewhere, and
// the other way round, at its place.
func TestPersonalErrors(t *testing.T) {
	read := func(name string) string {
		raw, err := shipped.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	f := func(name, old, with, want string) {
		t.Helper()
		text := read(name)
		if strings.Count(text, old) != 1 {
			t.Fatalf("%q stands %d times in %s", old, strings.Count(text, old), name)
		}
		if got := checkText(t, strings.Replace(text, old, with, 1)); got != want {
			t.Errorf("%q for %q:\n got %s\nwant %s", with, old, got, want)
		}
	}
	f("browse.yaml", "wait: 4h", "wait: 10m", `14:9: trigger.wait: got 10m, expected at least the pause of trigger.start.views, 30m`)
	f("browse.yaml", "at_least: 3", "at_least: 0", `13:23: trigger.start.views.at_least: got 0, expected at least 1`)
	f("browse.yaml", "of: session,", "of: shop,", `13:30: trigger.start.views.of: got "shop", expected one of product, session`)
	f("browse.yaml", "key: [user_id]                # one", "key: [user_id, cart_id]       # one", `10:18: trigger.key: a wait of kind browse belongs to the person, expected [user_id]`+"\n"+
		`33:20: send.idempotency_key: not yet supported: a key other than [user_id, cart_id, trigger.started_at], the trigger's key and its start`)
	f("browse.yaml", "on: Product Viewed", "on: Product Added", `12:9: trigger.start.on: Product Added cannot start a journey of kind browse, expected one of Product Viewed`+"\n"+
		`15:17: trigger.cancel.on: Product Added starts the wait and cannot cancel it too`)
	f("browse.yaml", "[Product Added, Checkout", "[Email Opened, Checkout", `15:17: trigger.cancel.on: Email Opened does not end a wait of kind browse, expected one of Product Added, Checkout Started, Order Completed`)
	f("win-back.yaml", "start: {on: Order Completed}", "start: {on: Order Completed, views: {of: product}}", `11:39: trigger.start.views: a journey of kind win-back counts no looks, those of kind browse do`)
	f("win-back.yaml", "wait: 90d", "wait: 90d\n  cancel: {on: Product Viewed}", `13:16: trigger.cancel.on: Product Viewed does not end a wait of kind win-back, expected no trigger.cancel`)
	f("welcome.yaml", "start: {on: Identify}", "start: {on: Product Viewed}", `11:15: trigger.start.on: Product Viewed cannot start a journey of kind welcome, expected one of Identify`)
	f("welcome.yaml", "audience:\n  when: ", "audience:\n  when: browse.views > 3 && ", `17:9: audience.when: browse.views is known in journeys of kind browse, this one is of kind welcome`)
}

// Views that say nothing mean three looks in a session, and journeys say what they do.
func TestViews(t *testing.T) {
	text := "apiVersion: v1\npipeline: x\ntrigger: {id: t, key: user_id, start: {on: Product Viewed, views: {of: product}}, wait: 1h}\ncontent: {id: c, kind: browse}\nsend: {id: s, via: smtp/main}\n"
	j := loadText(t, text).Journeys[0]
	if v := j.Trigger.Start.Views; *v != (Views{AtLeast: 3, Of: "product", Pause: 30 * time.Minute}) {
		t.Errorf("got %+v", v)
	}
	if got, want := Explain(j), "[t] The wait begins at look 3 at one product, with no pause of more than 30 minutes between looks.\n"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}
