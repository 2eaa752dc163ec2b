package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/configs"
)

const upliftJourney = `apiVersion: v1
pipeline: trial
trigger: {id: abandoned, key: [user_id, cart_id], start: {on: [Product Added]}, wait: 1h}
audience: {when: profile.consent.marketing%s}
content: {id: content, kind: cart, subject: fallback}
measure: {goal: {on: Order Completed, within: 2d}}
send: {id: send, via: smtp/main}
`

// upliftDir writes the shipped shop, changed, and the journey.
func upliftDir(t *testing.T, holdout string, change ...string) string {
	t.Helper()
	dir := t.TempDir()
	file, err := configs.Shipped().Open("shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	shop, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"shop.yaml": strings.NewReplacer(change...).Replace(string(shop)), "trial.yaml": fmt.Sprintf(upliftJourney, holdout)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// leaves are the events of people who leave a cart, and, if they are of a third, order
// twice before. Who orders after it is one in five.
func leaves(people int) (before, after []string) {
	for i := range people {
		user := fmt.Sprintf("u%d", i)
		before = append(before, string(raw("identify", user, at(0), fmt.Sprintf(`,"traits":{"email":"%s@shop.example","marketing_consent":true}`, user))))
		if i%3 == 0 {
			before = append(before, string(raw("track", user, at(time.Second), fmt.Sprintf(`,"event":"Order Completed","properties":{"order_id":"a%d","total":10,"currency":"EUR"}`, i))))
		}
		before = append(before, string(raw("track", user, at(time.Minute), `,"event":"Product Added","properties":{"cart_id":"c","product_id":"T","name":"Tent","price":129,"currency":"EUR"}`)))
		if i%5 == 0 {
			after = append(after, string(raw("track", user, at(4*time.Hour), fmt.Sprintf(`,"event":"Order Completed","properties":{"order_id":"b%d","total":10,"currency":"EUR"}`, i))))
		}
	}
	return append(before, clock(3*time.Hour)), append(after, clock(40*24*time.Hour))
}

// TestExperimentUplift takes a program that starts without any experiment through the
// activation of the first one, which is then metered, and learns from its people; the model
// is kept, named by the shop, and tells of a person.
func TestExperimentUplift(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	r := start(t, settings{files: files{data}, configs: []string{upliftDir(t, "")}, simulated: true, speed: 1})
	run := func(args ...string) (string, error) {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(append(args, "--data-dir", data))
		err := root.ExecuteContext(t.Context())
		return out.String(), err
	}
	r.until("the socket is there", func() bool { _, err := run("experiment", "show"); return err == nil })
	if ans := r.acts.apply(t.Context(), &applyRequest{Bundle: bundleOf(t, upliftDir(t, ", holdout: 45%")), By: "test"}); ans.Result != "applied" {
		t.Fatalf("%+v", ans)
	}
	if _, err := run("experiment", "uplift", "trial"); err == nil || !strings.Contains(err.Error(), "too few people") {
		t.Errorf("nobody has come: %v", err)
	}
	before, after := leaves(330)
	r.put(before...)
	told := func(want int64) bool {
		all, points := r.metering.snapshot()
		n := int64(0)
		for i := range all {
			for _, a := range all[i].Arms {
				n += a.Units
			}
		}
		return n == want && len(points["trial"]) > 0
	}
	r.until("the experiment of the second version is metered", func() bool { return told(330) })
	r.put(after...)
	r.until("all windows are past", func() bool { return r.app.engine.Stats().Watermark >= at(39*24*time.Hour).UnixMilli() })

	svg := filepath.Join(t.TempDir(), "qini.svg")
	got, err := run("experiment", "uplift", "trial", "--svg", svg)
	if err != nil || !strings.Contains(got, "how well people are sorted") || !strings.Contains(got, "two models") || !strings.Contains(got, "days_since_order") {
		t.Fatalf("%s (%v)", got, err)
	}
	drawn, err := os.ReadFile(svg)
	if err != nil || xml.Unmarshal(drawn, new(any)) != nil && !bytes.Contains(drawn, []byte("</svg>")) || !bytes.Contains(drawn, []byte("Qini")) {
		t.Errorf("%s (%v)", drawn, err)
	}
	if _, err := run("experiment", "uplift", "trial", "--force"); !errors.As(err, new(*exitError)) {
		t.Errorf("--force alone: %v", err)
	}
	promotes(t, r, run)
	asksRules(t, run)
	if got, err := run("experiment", "analyse", "trial"); err != nil || !strings.Contains(got, "330 people, 0 whose window is open") || !strings.Contains(got, "one order, 110 people") || !strings.Contains(got, "adjusted") {
		t.Errorf("%s (%v)", got, err)
	}
	if got, err := run("campaigns"); err != nil || !strings.Contains(got, "trial") || !strings.Contains(got, "beyond the holdout") {
		t.Errorf("%s (%v)", got, err)
	}
	if got, err := run("campaigns", "--json"); err != nil || !strings.Contains(got, `"measured":true`) {
		t.Errorf("%s (%v)", got, err)
	}
}

// promotes keeps the model, names it in the shop, and asks what it says of a person.
func promotes(t *testing.T, r *live, run func(...string) (string, error)) {
	t.Helper()
	// Mails move nobody here, so that the model is not kept unless that is insisted upon.
	if _, err := run("experiment", "uplift", "trial", "--promote"); err == nil || !strings.Contains(err.Error(), "no better than chance") {
		t.Errorf("kept: %v", err)
	}
	got, err := run("experiment", "uplift", "trial", "--promote", "--force", "--json")
	var kept upliftAnswer
	if err != nil || json.Unmarshal([]byte(got), &kept) != nil || kept.Version != 1 || kept.People != 330 || len(kept.Curve) != 51 {
		t.Fatalf("%s (%v)", got, err)
	}
	if ans := r.acts.apply(t.Context(), &applyRequest{Bundle: bundleOf(t, upliftDir(t, ", holdout: 45%", "  viewed: 20 ", "  uplift: 1\n  viewed: 20 ")), By: "test"}); ans.Result != "applied" {
		t.Fatalf("%+v", ans)
	}
	if ans := r.acts.apply(t.Context(), &applyRequest{Bundle: bundleOf(t, upliftDir(t, "", "  viewed: 20 ", "  uplift: 7\n  viewed: 20 ")), By: "test"}); ans.Result != "refused" || !strings.Contains(ans.Error, "experiment uplift NAME --promote makes one") {
		t.Errorf("%+v", ans)
	}
	if got, err := run("profile", "show", "u3"); err != nil || !strings.Contains(got, "a mail adds") {
		t.Errorf("%s (%v)", got, err)
	}
	shown, err := consoleExperiments{r.metering, r.app}.Uplift(t.Context(), "trial")
	if err != nil || shown == nil || shown.People != 330 {
		t.Errorf("%+v, %v", shown, err)
	}
}

// asksRules asks what a rule would have brought.
func asksRules(t *testing.T, run func(...string) (string, error)) {
	t.Helper()
	got, err := run("experiment", "what-if", "trial", "--when", "profile.orders >= 1=holdout", "--when", "profile.orders == 0=mail")
	if err != nil || !strings.Contains(got, "330 people, 330 of whom the rule gives a variant") || !strings.Contains(got, "110  profile.orders >= 1=holdout") {
		t.Errorf("%s (%v)", got, err)
	}
	f := func(want string, args ...string) {
		t.Helper()
		if got, err := run(append([]string{"experiment", "what-if", "trial"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %s (%v), want %q", args, got, err, want)
		}
	}
	f("want either --split or --when")
	f("want either --split or --when", "--split", "mail=1", "--when", "profile.orders == 0=mail")
	f("known is what was at the first exposure", "--when", "cart.value > 3=mail")
	f(`no variant "post"`, "--when", "profile.orders == 0=post")
	f("a level of 3", "--when", "profile.orders == 0=mail", "--alpha", "3")
}
