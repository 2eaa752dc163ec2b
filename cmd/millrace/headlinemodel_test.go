package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"millrace/operators/content"
	"millrace/operators/lstm"
	"millrace/operators/mail"
)

// testsOfHeadlines is a file of tests in which a word draws: each of eight tests shows it
// against a plain one.
func testsOfHeadlines(t *testing.T, word string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("test,headline,impressions,clicks\n")
	for i, plain := range strings.Fields("order basket shelf parcel bench lamp table carpet") {
		fmt.Fprintf(&b, "t%d,the %s %s,1000,90\nt%d,the plain %s,1000,30\n", i, word, plain, i, plain)
	}
	path := filepath.Join(t.TempDir(), "tests.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// trainHeadline trains a model into the registry of a directory and returns its version.
func trainHeadline(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := playEval(t, append([]string{"model", "train", "headline", "--data-dir", dir}, args...)...)
	version := regexp.MustCompile(`headline-[0-9a-f]{8}`).FindString(out)
	if err != nil || version == "" {
		t.Fatalf("%v: %q, %v", args, out, err)
	}
	return version
}

// TestHeadlineCommands: a model that ranks subjects is a version like any other.
func TestHeadlineCommands(t *testing.T) {
	dir := t.TempDir()
	a := trainHeadline(t, dir, "--data", testsOfHeadlines(t, "shiny"))
	b := trainHeadline(t, dir, "--data", testsOfHeadlines(t, "quiet"))
	play := func(want string, args ...string) {
		t.Helper()
		out, err := playEval(t, append(append([]string{"model"}, args...), "--data-dir", dir)...)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("%v: %q, %v, want %q", args, out, err, want)
		}
	}
	refuse := func(code int, args ...string) {
		t.Helper()
		_, err := playEval(t, append([]string{"model"}, args...)...)
		if e, ok := errors.AsType[*exitError](err); err == nil || ok != (code != 0) || ok && e.code != code {
			t.Fatalf("%v: %v, want code %d", args, err, code)
		}
	}
	play("  "+a, "list")
	play(a+" is in use", "promote", a)
	play(b+" is in use", "promote", b)
	play("* "+b, "list")
	play("* subject-", "list") // that of subjects is another one
	play(a+" is in use", "rollback", "--name", "headline")
	play("* "+a, "list")
	play("16 headlines of past tests", "show", a)
	play(`"current":"`+a, "list", "--json")
	play(noHeadline+" is in use", "promote", "shipped", "--name", "headline")
	refuse(exitUsage, "eval", a, "--data-dir", dir)
	refuse(exitNotFound, "promote", "headline-00000000", "--data-dir", dir)
	refuse(exitUsage, "rollback", "--name", "tone", "--data-dir", dir)
	refuse(exitUsage, "train", "headline")
	refuse(exitUsage, "train", "headline", "--from-log")
	refuse(exitUsage, "train", "headline", "--from-log", "--data", "x", "--data-dir", dir)
	refuse(exitNotFound, "train", "headline", "--from-log", "--data-dir", dir)
	file := filepath.Join(dir, modelsDir, headlineName, a, "model.safetensors")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)/2] ^= 1
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	refuse(0, "promote", a, "--data-dir", dir)
}

// TestHeadlineInUse: a promoted model steers which subject is sent, within two looks, and
// its version stands in the draft's record; a broken one changes nothing; after a rollback
// it is as before.
func TestHeadlineInUse(t *testing.T) {
	dir := t.TempDir()
	r := lstm.NewRegistry(filepath.Join(dir, modelsDir))
	w, err := content.New(content.Options{SubjectWait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	m := &modelWatch{registry: r, log: slog.New(slog.NewTextHandler(&log, nil))}
	m.add([]*content.Writer{w})
	subjects := func(want string) (out []string, said int) {
		t.Helper()
		m.look()
		for i := range 30 {
			d, written, err := w.Compose(t.Context(), content.Request{
				DecisionID: fmt.Sprint(i), Kind: "welcome", FirstName: "Ada", UnsubscribeURL: "https://shop.example/u",
				Interests: []content.Interest{{Category: "Toys", Weight: 1}, {Category: "Books", Weight: 1}},
			})
			if err != nil || written.Clicks != want {
				t.Fatalf("%q, %v, want %q\n%s", written.Clicks, err, want, log.String())
			}
			if out = append(out, d.Subject); strings.Contains(d.Subject, "Hello") {
				said++
			}
			for _, c := range written.Lines[0].Others {
				if (c.Click > 0) != (want != "" && c.Why == "") && len(written.Lines[0].Others) > 1 {
					t.Errorf("%q: %+v", want, c)
				}
			}
		}
		return out, said
	}
	before, plain := subjects("")
	a := trainHeadline(t, dir, "--data", testsOfHeadlines(t, "hello"))
	if err := headlinesOf(r).Promote(headlineName, a, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, said := subjects(a); said <= plain {
		t.Errorf("%d subjects say hello with a model that likes it, %d without", said, plain)
	}
	b := trainHeadline(t, dir, "--data", testsOfHeadlines(t, "welcome"))
	if err := headlinesOf(r).Promote(headlineName, b, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, modelsDir, headlineName, b, "model.safetensors"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	subjects(a)
	subjects(a)
	if n := strings.Count(log.String(), "cannot use"); n != 1 {
		t.Errorf("complained %d times:\n%s", n, log.String())
	}
	if err := headlinesOf(r).Promote(headlineName, "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if after, _ := subjects(""); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("%q\n%q", before, after)
	}
}

// TestLearnsFromClicks sends mails, lets those be clicked whose subject has an odd
// length, learns from the log, promotes, and finds the model in the record of the next mail.
func TestLearnsFromClicks(t *testing.T) {
	dir := t.TempDir()
	s := settings{
		files: files{dir}, http: "127.0.0.1:0", simulated: true, speed: 1,
		writeKeys: []string{"wk=shop"}, linkURL: "https://mail.shop.example/m",
	}
	r := start(t, s)
	const people = 130
	shop := func(from, to int, when time.Duration) {
		var events []string
		for i := from; i < to; i++ {
			user := fmt.Sprintf("u%d", i)
			events = append(events,
				string(raw("identify", user, at(when), fmt.Sprintf(`,"traits":{"email":"%s@shop.example","firstName":"Ann","marketing_consent":true}`, user))),
				string(raw("track", user, at(when+time.Minute), fmt.Sprintf(`,"event":"Product Added","properties":{"cart_id":"c%d","product_id":"T","name":"Tent","price":129,"currency":"USD"}`, i))))
		}
		r.put(append(events, clock(when+2*time.Hour))...)
	}
	shop(0, people, 0)
	clicked := 0
	r.until("the mails have left", func() bool { return r.pipeline.Counters.Mails.Load() == people })
	for i := range people {
		user := fmt.Sprintf("u%d", i)
		r.until("its receipt was read", func() bool {
			y := r.why(user)
			return len(y) == 1 && y[0].Outcome == "sent"
		})
		d := r.why(user)[0]
		if len(d.Subject)%2 == 0 {
			continue
		}
		clicked++
		if err := r.hit(t.Context(), mail.Hit{Click: true, Track: mail.Track{Person: "p", Decision: d.ID, URL: "https://shop.example/"}}); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	args := []string{"model", "train", "headline", "--from-log", "--data-dir", dir}
	if clicked < reactionClicked { // then there is too little to learn, which is said
		t.Fatalf("only %d of %d subjects are of an odd length: the test needs more people", clicked, people)
	}
	out, err := playEval(t, args...)
	if err != nil || !strings.Contains(out, fmt.Sprintf("%d mails, %d of them clicked", people, clicked)) {
		t.Fatalf("%q, %v", out, err)
	}
	version := regexp.MustCompile(`headline-[0-9a-f]{8}`).FindString(out)
	if _, err := playEval(t, "model", "promote", version, "--data-dir", dir); err != nil {
		t.Fatal(err)
	}
	r = start(t, s)
	shop(people, people+1, 30*24*time.Hour)
	user := fmt.Sprintf("u%d", people)
	r.until("the next mail has left", func() bool { return r.pipeline.Counters.Mails.Load() > 0 })
	r.until("its receipt was read", func() bool {
		y := r.why(user)
		return len(y) == 1 && y[0].Outcome == "sent"
	})
	d := r.why(user)[0]
	text, err := json.Marshal(d)
	if err != nil || !bytes.Contains(text, []byte(version)) {
		t.Errorf("%s, %v, want %s in it", text, err, version)
	}
}

// TestPairReactions: a clicked mail is set beside those of its kind and language that
// were sent next to it and not clicked, whatever the order in which they come.
func TestPairReactions(t *testing.T) {
	var mails []sentMail
	clicked := map[string]bool{"m5": true, "m30": true}
	for i := range 40 {
		group := "cart en"
		if i%2 == 0 {
			group = "cart zh"
		}
		mails = append(mails, sentMail{decision: fmt.Sprint("m", i), subject: fmt.Sprint("subject ", i%7), group: group, at: int64(i)})
	}
	pairs, n := pairReactions(mails, clicked)
	if n != 2 || len(pairs) != 2*reactionRivals {
		t.Fatalf("%d clicked, %d pairs", n, len(pairs))
	}
	for _, p := range pairs {
		if p.Better.Text == p.Worse.Text || p.Test != "m5" && p.Test != "m30" {
			t.Errorf("%+v", p)
		}
	}
	for i, j := 0, len(mails)-1; i < j; i, j = i+1, j-1 {
		mails[i], mails[j] = mails[j], mails[i]
	}
	again, _ := pairReactions(mails, clicked)
	for i := range pairs {
		if pairs[i].Better.Text != again[i].Better.Text || pairs[i].Worse.Text != again[i].Worse.Text {
			t.Fatalf("%d: %+v, %+v", i, pairs[i], again[i])
		}
	}
	if _, n := pairReactions(nil, clicked); n != 0 {
		t.Error(n)
	}
}
