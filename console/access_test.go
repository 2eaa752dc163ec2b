package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMailFrame(t *testing.T) {
	d := newDemo(1)
	d.mails[0].HTML = evil
	c := newConsole(t, demoOptions(d))
	w := ask(t, c, "GET", "/inbox/d9f3c/html", nil, nil)
	csp := w.Header().Get("Content-Security-Policy")
	for _, must := range []string{"sandbox;", "default-src 'none'", "form-action 'none'", "frame-ancestors 'self'"} {
		if !strings.Contains(csp, must) {
			t.Errorf("policy of a mail lacks %q: %s", must, csp)
		}
	}
	for _, banned := range []string{"allow-", "script-src", "http", "*"} {
		if strings.Contains(csp, banned) {
			t.Errorf("policy of a mail holds %q: %s", banned, csp)
		}
	}
	if w.Header().Get("X-Frame-Options") != "SAMEORIGIN" || w.Header().Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers of a mail: %v", w.Header())
	}
	page := ask(t, c, "GET", "/inbox/d9f3c", nil, nil).Body.String()
	if !strings.Contains(page, `<iframe class="sheet" src="/inbox/d9f3c/html" sandbox title=`) {
		t.Error("the frame has no empty sandbox")
	}
}

// TestNoPersonInAddresses: an id must stand in no link, form address or redirect,
// so that it reaches no history, no log and no referrer.
func TestNoPersonInAddresses(t *testing.T) {
	o := demoOptions(newDemo(3))
	o.Unmask = true
	c := newConsole(t, o)
	w := ask(t, c, "POST", "/people", url.Values{"user": {"u_123456"}}, nil)
	for attr := range strings.SplitSeq(w.Body.String(), `"`) {
		if strings.HasPrefix(attr, "/") && (strings.Contains(attr, "u_123456") || strings.Contains(attr, "duarte")) {
			t.Errorf("an address holds a person: %s", attr)
		}
	}
	if w.Header().Get("Location") != "" || !strings.Contains(w.Body.String(), "u_123456") {
		t.Error("the answer must be the page itself")
	}
	// By GET the id is ignored.
	if body := ask(t, c, "GET", "/people?user=u_123456", nil, nil).Body.String(); strings.Contains(body, "u_123456") {
		t.Error("GET answers a person")
	}
}

func TestAccess(t *testing.T) {
	remote, named := demoOptions(newDemo(1)), demoOptions(newDemo(1))
	remote.AllowRemote = true
	named.Hosts = []string{"console.shop.example"}
	f := func(o Options, from, host string, want int) {
		t.Helper()
		c := newConsole(t, o)
		for _, target := range []string{"/", "/livez", "/api/v1/stats", "/live?page=nothing"} {
			w := ask(t, c, "GET", target, nil, func(r *http.Request) { r.RemoteAddr, r.Host = from, host })
			if got := w.Code; got != want && !(want == 200 && target == "/live?page=nothing" && got == 404) {
				t.Errorf("from %s to %s%s: %d, want %d", from, host, target, got, want)
			}
			if w.Header().Get("Content-Security-Policy") == "" {
				t.Errorf("%s: no policy", target)
			}
		}
	}
	local := demoOptions(newDemo(1))
	// This machine, under its own names.
	f(local, "127.0.0.1:5", "127.0.0.1:8080", 200)
	f(local, "127.0.0.9:5", "localhost:8080", 200)
	f(local, "[::1]:5", "[::1]:8080", 200)
	f(local, "[::ffff:127.0.0.1]:5", "LOCALHOST", 200)
	f(local, "127.0.0.1:5", "millrace.localhost:8080", 200)
	// Another machine.
	f(local, "192.0.2.1:5", "127.0.0.1:8080", 403)
	f(local, "[2001:db8::1]:5", "localhost", 403)
	f(local, "@", "localhost", 403)
	// A foreign name that was pointed here, and addresses that are not ours.
	f(local, "127.0.0.1:5", "evil.example:8080", 403)
	f(local, "127.0.0.1:5", "127.0.0.1.evil.example", 403)
	f(local, "127.0.0.1:5", "localhost.evil.example", 403)
	f(local, "127.0.0.1:5", "evillocalhost", 403)
	f(local, "127.0.0.1:5", "10.0.0.5:8080", 403)
	f(local, "127.0.0.1:5", "", 403)
	// Let in.
	f(remote, "192.0.2.1:5", "10.0.0.5:8080", 200)
	f(remote, "192.0.2.1:5", "evil.example", 403)
	f(named, "127.0.0.1:5", "console.shop.example", 200)
	f(named, "192.0.2.1:5", "console.shop.example", 403)

	remote.Unmask = true
	if _, err := New(remote); err == nil {
		t.Error("other machines are let in to unmasked data")
	}
}

func TestCrossOrigin(t *testing.T) {
	c := newConsole(t, demoOptions(newDemo(1)))
	f := func(site, origin string, want int) {
		t.Helper()
		w := ask(t, c, "POST", "/people", url.Values{"user": {"u_123456"}}, func(r *http.Request) {
			if site != "" {
				r.Header.Set("Sec-Fetch-Site", site)
			}
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
		})
		if w.Code != want {
			t.Errorf("site %q, origin %q: %d, want %d", site, origin, w.Code, want)
		}
	}
	f("same-origin", "", 200)
	f("", "http://127.0.0.1:8080", 200)
	f("", "", 200) // no browser
	f("cross-site", "", 403)
	f("same-site", "", 403)
	f("", "https://evil.example", 403)
	f("", "null", 403)
	// Another site's page cannot take the places of live pages.
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 503, "none": 503} {
		if w := ask(t, c, "GET", "/live?page=overview", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", site) }); w.Code != want {
			t.Errorf("live from %q: %d, want %d", site, w.Code, want)
		}
	}
}

// TestSlowCheck: a check that hangs until its deadline holds up no page, and a reader
// who goes away makes no check fail.
func TestSlowCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, Options{Stats: newDemo(0), Checks: []Check{{"slow", func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}}})
		first := make(chan int)
		go func() { first <- ask(t, c, "GET", "/", nil, nil).Code }()
		synctest.Wait() // it hangs in the check
		start := time.Now()
		if code := ask(t, c, "GET", "/", nil, nil).Code; code != 200 || time.Since(start) > 0 {
			t.Errorf("the second page: %d after %v", code, time.Since(start))
		}
		if code := <-first; code != 200 || time.Since(start) != 2*time.Second {
			t.Errorf("the first page: %d after %v", code, time.Since(start))
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		c = newConsole(t, Options{Stats: newDemo(0), Checks: []Check{{"nats", func(ctx context.Context) error { return ctx.Err() }}}})
		if r := c.sampler.take(gone); !r.checks[0].OK {
			t.Errorf("a reader went away: %+v", r.checks)
		}
	})
}
