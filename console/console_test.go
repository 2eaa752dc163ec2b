package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/operators/event"
)

// ask sends one request from this machine to c.
func ask(t testing.TB, c *Console, method, target string, form url.Values, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	r.RemoteAddr, r.Host = "127.0.0.1:51000", "127.0.0.1:8080"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func newConsole(t testing.TB, o Options) *Console {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pagesOf are all pages, each with a word that must stand in it.
var pagesOf = []struct {
	method, target string
	form           url.Values
	want           string
}{
	{"GET", "/", nil, "Healthy"},
	{"GET", "/inbox", nil, "enamel mug is still in the basket"},
	{"GET", "/inbox?from=25", nil, "Newer"},
	{"GET", "/inbox/d9f3c", nil, "sandbox"},
	{"GET", "/inbox/d9f3c?part=phone", nil, "stage-phone"},
	{"GET", "/inbox/d9f3c?part=text", nil, "Hand grinder, 1 × 48.00 EUR"},
	{"GET", "/inbox/d9f3c?part=headers", nil, "List-Unsubscribe-Post"},
	{"GET", "/people", nil, "millrace why USER"},
	{"POST", "/people", url.Values{"user": {"u_123456"}}, "bought meanwhile: order o_881"},
	{"POST", "/people", url.Values{"user": {"u_123456"}}, "Order <bdi>o_774</bdi>, placed"},
	{"POST", "/people", url.Values{"user": {"u_123456"}}, "Cart <bdi>c0</bdi>, last touched"},
	{"POST", "/people", url.Values{"user": {"u_123456"}}, "Decided by version 3 of the pipelines."},
	{"POST", "/people", url.Values{"user": {"u_123456"}}, "Cart <bdi>c1</bdi> worth 77.80 EUR, last touched"},
	{"POST", "/people", url.Values{"user": {"u_123456"}}, "<span class=\"tag\">post-purchase/ordered</span>"},
	{"GET", "/people", nil, "c-1042"},
	{"GET", "/items", nil, "Most active"},
	{"GET", "/items?id=sku12", nil, "Bought together"},
	{"GET", "/dead-letters", nil, "got number, want string"},
	{"GET", "/dead-letters/1", nil, "millrace dlq show 1"},
}

// TestMoneyOnce: amounts are written as the owner of the console writes them, and what
// was never worked out is not called worthless.
func TestMoneyOnce(t *testing.T) {
	o := demoOptions(newDemo(0))
	o.Money = func(m event.Money, currency string) string { return fmt.Sprintf("<%s %d>", currency, m) }
	body := ask(t, newConsole(t, o), "POST", "/people", url.Values{"user": {"u_123456"}}, nil).Body.String()
	for _, want := range []string{"worth &lt;EUR 7780&gt;", "&lt;EUR 1490&gt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, bad := range []string{"EUR 0&gt;", "77.80 EUR,", "14.90 EUR"} {
		if strings.Contains(body, bad) {
			t.Errorf("%q is shown", bad)
		}
	}
}

func TestPages(t *testing.T) {
	c := newConsole(t, demoOptions(newDemo(40)))
	for _, p := range pagesOf {
		w := ask(t, c, p.method, p.target, p.form, nil)
		body := w.Body.String()
		if w.Code != http.StatusOK || !strings.Contains(body, p.want) {
			t.Errorf("%s %s: %d, %q is missing in\n%s", p.method, p.target, w.Code, p.want, body)
		}
		if got := w.Header().Get("Content-Security-Policy"); got != policy {
			t.Errorf("%s: policy %q", p.target, got)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
			"Cross-Origin-Opener-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8", "Vary": "Accept",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", p.target, name, got, want)
			}
		}
		wellFormed(t, p.target, body)
		// The policy forbids these; the page must not rely on them.
		for _, banned := range []string{"<style", " style=", "onclick", "http://", "https://"} {
			if strings.Contains(strings.ReplaceAll(body, "https://shop.example", ""), banned) {
				t.Errorf("%s holds %q", p.target, banned)
			}
		}
	}
}

// wellFormed checks that the tags of a page are balanced and that it has what a
// screen reader needs: a language, one main, one h1, a label for each field.
func wellFormed(t *testing.T, name, body string) {
	t.Helper()
	for _, tag := range []string{"div", "section", "ul", "ol", "li", "p", "table", "tr", "td", "th", "svg", "g", "a", "nav", "dl", "main", "article", "span", "h1", "h2", "h3", "time"} {
		open := strings.Count(body, "<"+tag+">") + strings.Count(body, "<"+tag+" ")
		if shut := strings.Count(body, "</"+tag+">"); open != shut {
			t.Errorf("%s: %d <%s>, %d </%s>", name, open, tag, shut, tag)
		}
	}
	for _, must := range []string{`<html lang="en">`, `<main id="main"`, `href="#main"`, "<h1"} {
		if strings.Count(body, must) != 1 {
			t.Errorf("%s: %d times %s, want once", name, strings.Count(body, must), must)
		}
	}
	if strings.Count(body, "<input") != strings.Count(body, "<label") {
		t.Errorf("%s: a field without a label", name)
	}
}

func TestPagesAsJSON(t *testing.T) {
	c := newConsole(t, demoOptions(newDemo(40)))
	for _, p := range pagesOf {
		w := ask(t, c, p.method, p.target, p.form, func(r *http.Request) { r.Header.Set("Accept", "application/json") })
		var v map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK || len(v) == 0 {
			t.Errorf("%s %s: %d, %v in %s", p.method, p.target, w.Code, err, w.Body)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
			t.Errorf("%s: %s", p.target, got)
		}
		leaks(t, p.target, w.Body.String())
	}
	// A browser also takes anything, but prefers the page.
	w := ask(t, c, "GET", "/", nil, func(r *http.Request) { r.Header.Set("Accept", "text/html,application/json;q=0.5") })
	if !strings.HasPrefix(w.Body.String(), "<!doctype html>") {
		t.Errorf("a browser got %s", w.Body)
	}
}

// leaks fails when personal data of the demo stands in what was answered.
func leaks(t *testing.T, name, body string) {
	t.Helper()
	for _, secret := range []string{"ana.duarte", "Duarte", "Ana", "Öberg", "bao@", "u_123456", "912 345", "eyJ1c2VyIjoidV8xMjMifQ"} {
		if strings.Contains(body, secret) {
			t.Errorf("%s shows %q", name, secret)
		}
	}
}

func TestMasked(t *testing.T) {
	c := newConsole(t, demoOptions(newDemo(40)))
	for _, p := range pagesOf {
		leaks(t, p.target, ask(t, c, p.method, p.target, p.form, nil).Body.String())
	}
	leaks(t, "html part", ask(t, c, "GET", "/inbox/d9f3c/html", nil, nil).Body.String())
	// Unmasked, the same data is there: the check above can fail.
	o := demoOptions(newDemo(40))
	o.Unmask = true
	c = newConsole(t, o)
	for target, want := range map[string]string{
		"/inbox/d9f3c": "ana.duarte@example.com", "/inbox/d9f3c/html": "Hello Ana", "/inbox/d9f3c?part=headers": "eyJ1c2VyIjoidV8xMjMifQ",
		"/dead-letters/1": "ana.duarte@example.com",
	} {
		if body := ask(t, c, "GET", target, nil, nil).Body.String(); !strings.Contains(body, want) {
			t.Errorf("unmasked %s lacks %q", target, want)
		}
	}
	if body := ask(t, c, "POST", "/people", url.Values{"user": {"u_123456"}}, nil).Body.String(); !strings.Contains(body, "+351 912") && !strings.Contains(body, "&#43;351 912") {
		t.Error("unmasked person lacks the phone")
	}
}

// TestHostile sends what an attacker would put in names, subjects and events through
// every page, and checks that nothing of it is markup.
func TestHostile(t *testing.T) {
	d := newDemo(3)
	d.hostile = true
	m := &d.mails[0]
	m.Subject, m.To, m.From, m.Pipeline, m.Notice, m.Text, m.Decision = evil, evil, evil, evil, evil, evil, evil
	m.Headers = append(m.Headers, Header{evil, evil})
	for _, unmask := range []bool{false, true} {
		o := demoOptions(d)
		o.Unmask, o.Notice, o.Title = unmask, evil, evil
		o.Checks = append(o.Checks, Check{evil, func(context.Context) error { return errors.New(evil) }})
		c := newConsole(t, o)
		for _, p := range pagesOf {
			if strings.Contains(p.target, "?from") {
				continue
			}
			body := ask(t, c, p.method, p.target, p.form, nil).Body.String()
			for _, bad := range []string{"<script>", "<img", "\u202e", "\x00"} {
				if strings.Contains(body, bad) {
					t.Errorf("unmask %t: %s holds %q", unmask, p.target, bad)
				}
			}
			wellFormed(t, p.target, body)
		}
		parts, err := c.overviewParts(t.Context(), c.sampler.latest(t.Context(), 0))
		if err != nil {
			t.Fatal(err)
		}
		if f := string(frameOf(parts)); strings.Count(f, "\n") != 3 || strings.Contains(f, "<script") {
			t.Errorf("a frame has line ends inside, or markup of others: %q", f)
		}
	}
}

func TestMethodsAndMisses(t *testing.T) {
	c := newConsole(t, demoOptions(newDemo(1)))
	f := func(method, target string, form url.Values, want int) {
		t.Helper()
		if w := ask(t, c, method, target, form, nil); w.Code != want {
			t.Errorf("%s %s: %d, want %d", method, target, w.Code, want)
		}
	}
	f("GET", "/nothing", nil, 404)
	f("GET", "/inbox/nothing", nil, 404)
	f("GET", "/inbox/nothing/html", nil, 404)
	f("GET", "/items?id=nothing", nil, 404)
	f("GET", "/dead-letters/nothing", nil, 404)
	f("GET", "/live?page=nothing", nil, 404)
	f("GET", "/live?page=overview", nil, 503) // Run was not called
	f("GET", "/metrics", nil, 404)            // none was given
	f("GET", "/assets/layout.html", nil, 404)
	f("GET", "/assets/..%2f..%2fconsole.go", nil, 404)
	f("GET", "/inbox?from=-4", nil, 200)
	f("GET", "/inbox?from=99999999999999999999", nil, 200)
	f("GET", "/items?id="+strings.Repeat("x", 600), nil, 200)
	f("POST", "/people", url.Values{"user": {"nobody"}}, 404)
	f("POST", "/people", url.Values{"user": {" "}}, 400)
	f("POST", "/people", url.Values{"user": {strings.Repeat("x", 600)}}, 400)
	f("POST", "/people", url.Values{"user": {strings.Repeat("x", 6000)}}, 400)
	f("POST", "/inbox", url.Values{}, 405)
	f("DELETE", "/inbox/d9f3c", nil, 405)
	f("PUT", "/", nil, 405)
}

// broken is a source that cannot answer.
type broken struct{ demo }

var errBroken = errors.New("disk of u_123456 is gone")

func (*broken) List(context.Context, int, int) ([]Mail, int, error) { return nil, 0, errBroken }
func (*broken) Get(context.Context, string) (Mail, error)           { return Mail{}, errBroken }
func (*broken) Profile(context.Context, string) (Person, error)     { return Person{}, errBroken }
func (*broken) Top(context.Context, int) ([]Item, error)            { return nil, errBroken }
func (*broken) Item(context.Context, string) (Item, error)          { return Item{}, errBroken }
func (*broken) DeadLetter(context.Context, string) (DeadLetter, error) {
	return DeadLetter{}, errBroken
}
func (*broken) DeadLetters(context.Context, int, int) ([]DeadLetter, int, error) {
	return nil, 0, errBroken
}

func TestBrokenSources(t *testing.T) {
	b := &broken{}
	c := newConsole(t, Options{Stats: b, Inbox: b, People: b, Items: b, DeadLetters: b})
	for _, p := range pagesOf {
		if p.target == "/people" && p.method == "GET" {
			continue
		}
		w := ask(t, c, p.method, p.target, p.form, nil)
		if w.Code != 500 || strings.Contains(w.Body.String(), "u_123456") {
			t.Errorf("%s: %d %s", p.target, w.Code, w.Body)
		}
	}
}

// TestHiddenPages: a page whose source is nil is not there, nor is a link to it.
func TestHiddenPages(t *testing.T) {
	c := newConsole(t, Options{})
	w := ask(t, c, "GET", "/", nil, nil)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "Nothing is connected") {
		t.Errorf("an empty console: %d %s", w.Code, w.Body)
	}
	for _, href := range []string{"/inbox", "/people", "/items", "/dead-letters"} {
		if strings.Contains(w.Body.String(), `href="`+href) {
			t.Errorf("a link to %s", href)
		}
		if got := ask(t, c, "GET", href, nil, nil).Code; got != 404 {
			t.Errorf("%s: %d", href, got)
		}
	}
}

// none is a console source with nothing in it.
type none struct{ demo }

func (*none) Stats() Snapshot                                                  { return Snapshot{} }
func (*none) Graph() ([]Node, []Edge)                                          { return nil, nil }
func (*none) List(context.Context, int, int) ([]Mail, int, error)              { return nil, 0, nil }
func (*none) Top(context.Context, int) ([]Item, error)                         { return nil, nil }
func (*none) DeadLetters(context.Context, int, int) ([]DeadLetter, int, error) { return nil, 0, nil }

// TestEmptyPages: an empty page shows the command that fills it.
func TestEmptyPages(t *testing.T) {
	n := &none{}
	c := newConsole(t, Options{Stats: n, Graph: n, Inbox: n, People: n, Items: n, DeadLetters: n})
	for _, target := range []string{"/", "/inbox", "/people", "/items", "/dead-letters"} {
		body := ask(t, c, "GET", target, nil, nil).Body.String()
		if !strings.Contains(body, "<code>") || !strings.Contains(body, "millrace ") {
			t.Errorf("%s shows no command:\n%s", target, body)
		}
		wellFormed(t, target, body)
	}
	if body := ask(t, c, "GET", "/", nil, nil).Body.String(); !strings.Contains(body, "Waiting for the first event") {
		t.Error("the verdict of an empty shop")
	}
}

// TestPageSize holds the bar: what a page brings, script and styles included, is at
// most 100 kB, even when every list is full and every line as long as it may be.
func TestPageSize(t *testing.T) {
	css := ask(t, newConsole(t, Options{}), "GET", "/assets/app.css", nil, nil).Body.Len()
	js := ask(t, newConsole(t, Options{}), "GET", "/assets/app.js", nil, nil).Body.Len()
	if js == 0 || js > 15_000 {
		t.Errorf("app.js has %d bytes, at most 15 000", js)
	}
	d := newDemo(40)
	for i := range d.mails {
		d.mails[i].Subject = strings.Repeat("long ", 100)
		d.mails[i].Text = strings.Repeat("<", 100_000)
	}
	c := newConsole(t, demoOptions(d))
	for i := range historySlots {
		c.sampler.take(t.Context())
		c.sampler.history = append(c.sampler.history, float64(i*i%977))
	}
	largest := 0
	for _, p := range pagesOf {
		if strings.Contains(p.target, "part=text") {
			continue // its own test below
		}
		n := ask(t, c, p.method, p.target, p.form, nil).Body.Len() + css + js
		largest = max(largest, n)
		if n > 100_000 {
			t.Errorf("%s brings %d bytes, at most 100 000", p.target, n)
		}
	}
	t.Logf("the largest page brings %d bytes, %d of them styles and %d script", largest, css, js)
	if n := ask(t, c, "GET", "/inbox/d9f3c?part=text", nil, nil).Body.Len() + css + js; n > 100_000 {
		t.Errorf("a plain text of brackets brings %d bytes", n)
	}
}

func TestAssets(t *testing.T) {
	c := newConsole(t, Options{})
	for name, kind := range map[string]string{"app.js": "text/javascript", "app.css": "text/css", "icon.svg": "image/svg+xml"} {
		w := ask(t, c, "GET", "/assets/"+name, nil, nil)
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
	// Every page is in the table, and every file of the table is there.
	files, err := fs.Glob(web, "web/*.html")
	if err != nil || len(files) != len(pageNames)+2 {
		t.Errorf("%d files for %d pages: %v", len(files), len(pageNames), err)
	}
}

func TestHealth(t *testing.T) {
	var failing error
	c := newConsole(t, Options{Checks: []Check{
		{"nats", func(context.Context) error { return nil }},
		{"state", func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				return errors.New("no deadline")
			}
			return failing
		}},
	}, Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "millrace_events_total 1\n") })})
	f := func(target string, status int, want string) {
		t.Helper()
		w := ask(t, c, "GET", target, nil, nil)
		if w.Code != status || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %d %s", target, w.Code, w.Body, status, want)
		}
	}
	f("/readyz", 200, `"status": "ok"`)
	f("/-/ready", 200, `"status": "ok"`)
	f("/metrics", 200, "millrace_events_total 1")
	failing = errors.New("badger is read-only")
	f("/readyz", 503, `"failed": "state"`)
	f("/-/ready", 503, "badger is read-only")
	f("/livez", 200, `"status": "ok"`)
	f("/-/healthy", 200, `"status": "ok"`)
	c = newConsole(t, Options{Stats: newDemo(0), Checks: c.opt.Checks})
	if body := ask(t, c, "GET", "/", nil, nil).Body.String(); !strings.Contains(body, "Something is wrong") || !strings.Contains(body, "badger is read-only") {
		t.Error("the overview says nothing of a failed check")
	}
	if _, err := New(Options{Checks: []Check{{Name: "x"}}}); err == nil {
		t.Error("a check without a function is taken")
	}
}

func TestStatsAPI(t *testing.T) {
	c := newConsole(t, demoOptions(newDemo(1)))
	w := ask(t, c, "GET", "/api/v1/stats", nil, nil)
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	// The names of the last line of "millrace dev --json".
	for _, name := range []string{"events", "events_per_second", "triggers", "mails", "duplicates", "cancelled", "dead_letters", "fallback_subjects"} {
		if _, ok := v[name].(float64); !ok {
			t.Errorf("%s is %v", name, v[name])
		}
	}
}

func TestMetricsRegister(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := newConsole(t, Options{Registerer: reg})
	ask(t, c, "GET", "/", nil, func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" })
	got, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range got {
		values[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue()
	}
	if len(values) != 4 || values["millrace_console_denied_total"] != 1 {
		t.Errorf("metrics %v", values)
	}
	if _, err := New(Options{Registerer: reg}); err == nil {
		t.Error("two consoles share one registry")
	}
}

// TestLiveOff: ?live=off and pages that stand still have no topic.
func TestLiveOff(t *testing.T) {
	c := newConsole(t, demoOptions(newDemo(30)))
	f := func(target string, want bool) {
		t.Helper()
		body := ask(t, c, "GET", target, nil, nil).Body.String()
		if got := strings.Contains(body, "data-topic="); got != want {
			t.Errorf("%s: live %t, want %t", target, got, want)
		}
		if got := strings.Contains(body, `http-equiv="refresh"`); got != want {
			t.Errorf("%s: reloads without a script %t, want %t", target, got, want)
		}
	}
	f("/", true)
	f("/inbox", true)
	f("/?live=off", false)
	f("/inbox?from=25", false)
	f("/inbox/d9f3c", false)
	f("/items", false)
}
