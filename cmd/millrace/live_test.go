package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/engine"
	"millrace/operators/mail"
)

// live is an app that runs within a test.
type live struct {
	*app
	t       *testing.T
	commits chan struct{} // something was committed since it was last read
	stop    func()
}

// start opens and runs an app. It ends with the test, or earlier with stop.
func start(t *testing.T, s settings) *live {
	t.Helper()
	r := &live{t: t, commits: make(chan struct{}, 1)}
	s.durability, s.drain, s.reserve, s.logBytes = "process", time.Second, 1, 1<<30
	s.log = slog.New(slog.DiscardHandler)
	s.engine = func(o *engine.Options) {
		o.Hook = func(point string) {
			if point != engine.PointAfterCommit {
				return
			}
			select {
			case r.commits <- struct{}{}:
			default:
			}
		}
	}
	a, err := openApp(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	r.app = a
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx) }()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		a.close()
	}
	t.Cleanup(r.stop)
	return r
}

// until waits for ok, asking again after each commit, and now and then besides: what a
// commit brought is published a moment after it. What never comes fails here, not at the
// limit of the whole package, which names no reason.
func (r *live) until(what string, ok func() bool) {
	r.t.Helper()
	limit := time.After(2 * time.Minute)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-r.commits:
		case <-again.C:
		case <-limit:
			r.t.Fatalf("waited in vain until %s: %+v", what, r.app.engine.Stats())
		case <-r.t.Context().Done():
			r.t.Fatalf("the test ended before: %s", what)
		}
	}
}

// put puts events into the log, as a simulated shop whose time is that of its events.
func (r *live) put(events ...string) {
	r.t.Helper()
	raw := make([][]byte, len(events))
	for i := range events {
		raw[i] = []byte(events[i])
	}
	if _, err := r.events.Publish(r.t.Context(), "in.shop", "", envelope(raw...)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *live) profile(user string) *profileView {
	r.t.Helper()
	all := &answers{pipeline: r.acts.current().pipeline, view: r.app.engine.View, files: r.s.files}
	v := r.app.engine.View()
	defer v.Close()
	p, err := all.profile(v, user)
	if err == errNotFound { //nolint:errorlint // it is never wrapped here
		return &profileView{}
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *live) why(user string) []decisionView {
	r.t.Helper()
	all := &answers{pipeline: r.pipeline, view: r.app.engine.View}
	v := r.app.engine.View()
	defer v.Close()
	y, err := all.why(v, user)
	if err != nil {
		r.t.Fatal(err)
	}
	return y.Decisions
}

// inbox is a mail server outside of the app.
type inbox struct {
	*mail.Inbox
	url      string
	received chan mail.Received
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	i := &inbox{Inbox: mail.NewInbox(mail.InboxOptions{}), received: make(chan mail.Received, 16)}
	l, err := i.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i.url = "smtp://" + l.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- i.Serve(l) }()
	stop := i.Watch(func(r mail.Received) { i.received <- r })
	t.Cleanup(func() {
		stop()
		_ = i.Close()
		if err := <-ended; err != nil {
			t.Errorf("serve the inbox: %v", err)
		}
	})
	return i
}

// ask sends a request and answers status and body.
func ask(t *testing.T, method, url, kind, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// shopTime is when the shop of these tests opens.
var shopTime = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // constant

func at(after time.Duration) time.Time { return shopTime.Add(after) }

func clock(after time.Duration) string {
	return string(raw("page", "clock", at(after), ""))
}

const form = "application/x-www-form-urlencoded"

// TestUnsubscribe follows the link of a mail that a real server took: looking changes
// nothing, one click ends all mail, the one that already waits too.
func TestUnsubscribe(t *testing.T) {
	server := newInbox(t)
	dir := t.TempDir()
	s := settings{
		files: files{dir}, smtp: server.url, http: "127.0.0.1:0", console: "127.0.0.1:0",
		writeKeys: []string{"wk_shop=shop"}, simulated: true, speed: 1,
	}
	journalled := make(chan struct{}, 16)
	s.step = func(point string) {
		if point == "after-journal" {
			journalled <- struct{}{}
		}
	}
	r := start(t, s)
	r.put(
		string(raw("identify", "ann", at(0), `,"traits":{"email":"ann@shop.example","firstName":"Ann","marketing_consent":true}`)),
		string(raw("track", "ann", at(time.Minute), `,"event":"Product Added","properties":{"cart_id":"c1","product_id":"T","name":"Tent","price":129,"currency":"USD"}`)),
		clock(2*time.Hour),
	)
	first := <-server.received
	<-journalled
	if first.To != "ann@shop.example" {
		t.Fatalf("mail to %s", first.To)
	}
	opened, _ := server.Open(first.ID)
	m := regexp.MustCompile(`List-Unsubscribe:\s+<(http://[^>]+)>`).FindSubmatch(opened.Raw)
	if m == nil || !bytes.Contains(opened.Raw, []byte("List-Unsubscribe-Post: List-Unsubscribe=One-Click")) {
		t.Fatalf("no way out of\n%s", opened.Raw)
	}
	link := string(m[1])

	// Whoever looks, a link checker for example, changes nothing.
	if code, page := ask(t, http.MethodGet, link, "", ""); code != 200 || !strings.Contains(page, "<form") {
		t.Fatalf("GET %d\n%s", code, page)
	}
	if code, _ := ask(t, http.MethodPost, link, form, "List-Unsubscribe=maybe"); code != 400 {
		t.Fatalf("POST of something else: %d", code)
	}

	// A second mail waits, since the server is busy.
	if err := server.Script(mail.Fault{Stage: mail.StageRcpt, Code: 451}); err != nil {
		t.Fatal(err)
	}
	r.put(
		string(raw("track", "ann", at(3*time.Hour), `,"event":"Order Completed","properties":{"order_id":"o1","revenue":129,"currency":"USD","products":[{"product_id":"T","name":"Tent","price":129,"quantity":1}]}`)),
		clock(7*24*time.Hour+4*time.Hour),
	)
	<-journalled
	r.until("the server was too busy for it", func() bool { return r.app.engine.Stats().Retries > 0 })
	r.checkStateAnswers()
	if p := r.profile("ann"); p.Consent != "yes" || p.Suppressed != "" {
		t.Fatalf("before the click: consent %s, suppressed %q", p.Consent, p.Suppressed)
	}
	r.checkMetrics()

	// One click, as a mail program sends it.
	if code, page := ask(t, http.MethodPost, link, form, "List-Unsubscribe=One-Click"); code != 200 {
		t.Fatalf("POST %d\n%s", code, page)
	}
	r.until("the person said no", func() bool { return r.profile("ann").Consent == "no" })
	r.stop()

	// The server recovers, the mail that waited does not leave.
	if err := server.Script(); err != nil {
		t.Fatal(err)
	}
	r = start(t, s)
	r.until("every decision has its outcome", func() bool { return r.why("ann")[0].Outcome != "pending" })
	var got []string
	for _, d := range r.why("ann") {
		got = append(got, fmt.Sprintf("%s %s %s", d.Pipeline, d.Outcome, d.Reason))
	}
	want := "post-purchase skipped suppressed: unsubscribed\ncart-abandonment sent cart left for 1h"
	if strings.Join(got, "\n") != want {
		t.Errorf("got  %q\nwant %q", strings.Join(got, "\n"), want)
	}
	if n := server.Stats().Mails; n != 1 {
		t.Errorf("the server took %d mails", n)
	}
}

// TestConsolePeople looks a person up in the console: what is waited for, the order it is
// about, amounts as mails have them.
func TestConsolePeople(t *testing.T) {
	r := start(t, settings{files: files{t.TempDir()}, console: "127.0.0.1:0", simulated: true, speed: 1})
	r.put(
		string(raw("identify", "ann", at(0), `,"traits":{"email":"ann@shop.example","firstName":"Ann","marketing_consent":true}`)),
		string(raw("track", "ann", at(time.Minute), `,"event":"Product Added","properties":{"cart_id":"c1","product_id":"T","name":"Tent","price":129,"currency":"EUR"}`)),
		string(raw("track", "ann", at(2*time.Minute), `,"event":"Order Completed","properties":{"order_id":"o77","revenue":129,"currency":"EUR","products":[{"product_id":"T","name":"Tent","price":129,"quantity":1}]}`)),
		string(raw("track", "ann", at(3*time.Minute), `,"event":"Product Added","properties":{"cart_id":"c2","product_id":"P","name":"Pan","price":14.9,"currency":"EUR"}`)),
		clock(4*time.Minute),
	)
	var page string
	r.until("the console knows the person", func() bool {
		code := 0
		code, page = ask(t, http.MethodPost, "http://"+r.listeners["console"].Addr().String()+"/people", form, "user=ann")
		return code == http.StatusOK && strings.Contains(page, "<bdi>c2</bdi>")
	})
	for _, want := range []string{"cart-abandonment/abandoned", "post-purchase/ordered", "Order <bdi>o77</bdi>, placed", "cancelled: ordered",
		"Cart <bdi>c1</bdi>, last touched", "€14.90", "€129.00"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in\n%s", want, page)
		}
	}
	for _, bad := range []string{"worth 0", "14.90 EUR", "129.00 EUR"} {
		if strings.Contains(page, bad) {
			t.Errorf("%q is shown", bad)
		}
	}
}

// checkMetrics asks the listeners of an app as a supervisor and Prometheus do, and
// compares what they say with docs/operations.md.
func (r *live) checkMetrics() {
	r.t.Helper()
	ingest := "http://" + r.listeners["http"].Addr().String()
	console := "http://" + r.listeners["console"].Addr().String()
	if code, body := ask(r.t, http.MethodPost, ingest+"/v1/track", "application/json", `{"writeKey":"other","userId":"u","event":"x"}`); code != 401 {
		r.t.Errorf("unknown write key: %d %s", code, body)
	}
	if code, body := ask(r.t, http.MethodPost, ingest+"/v1/batch", "application/json", `{"writeKey":"wk_shop","batch":[{"type":"track","messageId":"bad","userId":"u"}]}`); code != 200 {
		r.t.Errorf("batch with a bad event: %d %s", code, body)
	}
	r.until("the bad event was counted", func() bool { return len(r.pipeline.Counters.DeadLetters()) > 0 })
	for _, path := range []string{"/livez", "/readyz", "/-/healthy", "/-/ready"} {
		if code, body := ask(r.t, http.MethodGet, console+path, "", ""); code != 200 {
			r.t.Errorf("%s: %d %s", path, code, body)
		}
	}
	code, metrics := ask(r.t, http.MethodGet, console+"/metrics", "", "")
	if code != 200 {
		r.t.Fatalf("/metrics: %d", code)
	}
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		r.t.Fatal(err)
	}
	// A series begins when it happens first, and here it does not.
	seldom := []string{"millrace_events_too_late_total", "millrace_outbox_given_up_total", "millrace_notices_total", "millrace_content_fairness_ratio", "millrace_segment_people",
		"millrace_tone_texts_total", "millrace_recommend_taught_total",
		"millrace_state_bytes", "millrace_state_keys", // of the first scan, ten seconds after the start
	}
	names := regexp.MustCompile("(?m)^\\| `(millrace_[a-z_]+)`").FindAllSubmatch(doc, -1)
	if len(names) < 20 {
		r.t.Errorf("docs/operations.md lists %d metrics", len(names))
	}
	for _, n := range names {
		if strings.HasPrefix(string(n[1]), "millrace_experiment_") {
			continue // nothing is tried here: see TestMetering
		}
		if slices.Contains(seldom, string(n[1])) {
			continue
		}
		if !strings.Contains(metrics, "\n"+string(n[1])) {
			r.t.Errorf("/metrics has no %s", n[1])
		}
	}
	if strings.Contains(metrics, `millrace_ingest_refused_total{reason=""}`) {
		r.t.Error("/metrics counts refusals without a reason")
	}
	for _, personal := range []string{"ann", "Tent", "shop.example"} {
		if strings.Contains(metrics, personal) {
			r.t.Errorf("/metrics holds %q", personal)
		}
	}
}
