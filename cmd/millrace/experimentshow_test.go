package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const triedJourney = `apiVersion: v1
pipeline: trial
owner: ann@shop.example
trigger: {id: abandoned, key: [user_id, cart_id], start: {on: [Product Added]}, wait: 1h}
audience: {when: profile.consent.marketing}
content:
  id: content
  kind: cart
  subject: fallback
  variants: {control: {weight: 1}, wide: {weight: 1}}
experiment: {id: width, optimise: {by: top-two, least: 1}}
send: {id: send, via: smtp/main}
`

// TestExperimentCommands asks a running program about its experiment and steers it.
func TestExperimentCommands(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "trial.yaml")
	if err := os.WriteFile(file, []byte(triedJourney), 0o600); err != nil {
		t.Fatal(err)
	}
	mailbox := newInbox(t)
	data := filepath.Join(dir, "data")
	r := start(t, settings{files: files{data}, configs: []string{file}, smtp: mailbox.url, simulated: true, speed: 1})
	run := func(args ...string) (string, error) {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(append(append([]string{"experiment"}, args...), "--data-dir", data))
		err := root.ExecuteContext(t.Context())
		return out.String(), err
	}
	f := func(want string, args ...string) {
		t.Helper()
		if got, err := run(args...); err != nil || !strings.Contains(got, want) {
			t.Fatalf("%v: %q (%v), want %q", args, got, err, want)
		}
	}
	bad := func(want string, args ...string) {
		t.Helper()
		if got, err := run(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("%v: %q (%v), want the error %q", args, got, err, want)
		}
	}
	r.until("the socket is there", func() bool { _, err := run("show"); return err == nil })
	f("width", "show")
	f("written into the log", "pin", "width", "wide", "--by", "ann", "--why", "it is spring")
	r.until("the word was heard", func() bool { got, _ := run("show", "width"); return strings.Contains(got, "it is spring") })
	r.put(
		string(raw("identify", "ann", at(0), `,"traits":{"email":"ann@shop.example","marketing_consent":true}`)),
		string(raw("track", "ann", at(time.Minute), `,"event":"Product Added","properties":{"cart_id":"c1","product_id":"T","name":"Tent","price":129,"currency":"USD"}`)),
		clock(2*time.Hour),
	)
	<-mailbox.received
	f("pinned to wide", "show", "width")
	f(`"pinned": "wide"`, "show", "width", "-o", "json")
	f("pin wide by ann  it is spring", "show", "width")
	f("written into the log", "cap", "width", "wide", "0.3")
	f("written into the log", "unfreeze", "width")
	r.until("all of it was heard", func() bool { got, _ := run("show", "width"); return strings.Contains(got, "unfreeze") })
	if got, err := run("show", "width"); err != nil || strings.Contains(got, "pinned to") || !strings.Contains(got, "cap wide at 0.3") {
		t.Errorf("%q (%v)", got, err)
	}
	bad(`no experiment "height" runs`, "show", "height")
	bad(`no variant "high"`, "pin", "width", "high")
	bad("want a share from 0 to 1", "cap", "width", "wide", "3")
	bad("want shares such as", "what-if", "width", "--split", "a")
	bad("shares sum to 0.5", "what-if", "width", "--split", "wide=.5")
	bad("nobody has tried control yet", "what-if", "width", "--split", "control=1")
	r.stop()
	bad("no program runs", "show", "width")
	if _, err := run("show", "width"); !errors.Is(err, errNotRunning) {
		t.Error(err)
	}
}
