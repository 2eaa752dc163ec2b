package mail

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func signer(t testing.TB, keys ...string) *Signer {
	t.Helper()
	var b [][]byte
	for _, k := range keys {
		b = append(b, []byte(strings.Repeat(k, 32)))
	}
	s, err := NewSigner(b...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	form      = "application/x-www-form-urlencoded"
	clickBody = "List-Unsubscribe=One-Click"
	multi     = "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n"
)

// RFC 8058: who may do what with which token, and what the answers show.
func TestUnsubscribe(t *testing.T) {
	s := signer(t, "k")
	token, err := s.Unsubscribe(Leave{Person: "p-ann", List: "cart", Decision: "d1"})
	if err != nil {
		t.Fatal(err)
	}
	var left []Leave
	u := NewUnsubscribe(s, func(_ context.Context, l Leave) error {
		left = append(left, l)
		return nil
	})
	f := func(method, token, kind, body string, code, effects int, shows string) string {
		t.Helper()
		left = nil
		r := httptest.NewRequest(method, "/u/"+token, strings.NewReader(body))
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		w := httptest.NewRecorder()
		u.ServeHTTP(w, r)
		if w.Code != code || len(left) != effects || !strings.Contains(w.Body.String(), shows) {
			t.Fatalf("%s %.12s %s: got %d, %d effects, %q; want %d, %d, %q", method, token, kind, w.Code, len(left), w.Body, code, effects, shows)
		}
		if effects == 1 && left[0] != (Leave{Person: "p-ann", List: "cart", Decision: "d1"}) {
			t.Fatalf("left: %+v", left)
		}
		if w.Header().Get("Location") != "" || w.Header().Get("Set-Cookie") != "" || w.Code/100 == 3 {
			t.Fatalf("%s: redirect or cookie in %v", method, w.Header())
		}
		return fmt.Sprint(w.Code, w.Header(), w.Body)
	}
	// A machine that looks at the link changes nothing.
	f("GET", token, "", "", 200, 0, `<form method="post">`)
	f("HEAD", token, "", "", 200, 0, "")
	f("OPTIONS", token, "", "", 204, 0, "")
	f("GET", token+"?List-Unsubscribe=One-Click", "", "", 200, 0, "<form")
	f("PUT", token, form, clickBody, 405, 0, "")
	f("DELETE", token, form, clickBody, 405, 0, "")
	// The two forms of the RFC, again and again.
	for range 3 {
		f("POST", token, form, clickBody, 200, 1, "Done")
		f("POST", token, form+"; charset=utf-8", clickBody+"\r\n", 200, 1, "Done")
		f("POST", token, "multipart/form-data; boundary=b", multi, 200, 1, "Done")
	}
	// A POST that is not the one of the RFC.
	f("POST", token, form, "", 400, 0, "")
	f("POST", token, form, "List-Unsubscribe=No", 400, 0, "")
	f("POST", token, "text/plain", clickBody, 400, 0, "")
	f("POST", token, "", clickBody, 400, 0, "")
	f("POST", token, "multipart/form-data", multi, 400, 0, "")
	f("POST", token, "multipart/form-data; boundary=b", multi[:40], 400, 0, "")
	f("POST", token, "multipart/form-data; boundary=b", strings.Repeat("--b\r\nContent-Disposition: form-data; name=x\r\n\r\ny\r\n", 9)+multi, 400, 0, "")
	f("POST", token, form, clickBody+"&x="+strings.Repeat("x", 20000), 400, 0, "")
	// A token that is not ours looks the same from outside.
	for _, method := range []string{"GET", "POST"} {
		good := f(method, token, form, clickBody, 200, map[string]int{"GET": 0, "POST": 1}[method], "")
		bad := f(method, "AAAA", form, clickBody, 200, 0, "")
		if good != bad {
			t.Fatalf("%s tells a good token from a bad one:\n%s\n%s", method, good, bad)
		}
	}
	for _, bad := range []string{"", "x", token + "A", token[1:], strings.ToLower(token), token + "=", strings.Repeat("A", 5000)} {
		f("POST", bad, form, clickBody, 200, 0, "Done")
	}
	if n := u.Stats(); n.Taken != 10 || n.Unknown != 8 || n.Faults != 0 || n.Shown != 5 {
		t.Fatalf("%+v", n)
	}
}

func TestUnsubscribeFault(t *testing.T) {
	s := signer(t, "k")
	token, _ := s.Unsubscribe(Leave{Person: "p"})
	u := NewUnsubscribe(s, func(context.Context, Leave) error { return errors.New("disk full: p") })
	r := httptest.NewRequest(http.MethodPost, "/u/"+token, strings.NewReader(clickBody))
	r.Header.Set("Content-Type", form)
	w := httptest.NewRecorder()
	u.ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "disk") {
		t.Fatalf("got %d, %s", w.Code, w.Body)
	}
}

// A token works for years, over changes of the key, and for mails that wait.
func TestUnsubscribeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox, pipe := serve(t, InboxOptions{})
		set := suppressed(t, filepath.Join(t.TempDir(), "s"), SuppressOptions{})
		token, err := signer(t, "old").Unsubscribe(Leave{Person: "p-ann", List: "cart"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * 365 * 24 * time.Hour)
		u := NewUnsubscribe(signer(t, "new", "old"), func(_ context.Context, l Leave) error { return set.Add(l.Person, l.List) })
		s := NewSender(dialled(t, pipe, SMTPOptions{}), journal(t, t.TempDir(), JournalOptions{}), SenderOptions{Suppressed: set.Contains})
		if got := outcome(s.Send(t.Context(), jobFor(t, "before"))); got != "sent" {
			t.Fatal(got)
		}
		// One mail waits for its second try while the person leaves.
		if err := inbox.Script(Fault{Stage: StageRcpt, Code: 451, Times: 1}); err != nil {
			t.Fatal(err)
		}
		if got := outcome(s.Send(t.Context(), jobFor(t, "waits"))); got != "retry" {
			t.Fatal(got)
		}
		r := httptest.NewRequest(http.MethodPost, "/u/"+token, strings.NewReader(clickBody))
		r.Header.Set("Content-Type", form)
		w := httptest.NewRecorder()
		u.ServeHTTP(w, r)
		if w.Code != 200 || u.Stats().Taken != 1 {
			t.Fatalf("got %d", w.Code)
		}
		for _, id := range []string{"waits", "after"} {
			r, err := s.Send(t.Context(), jobFor(t, id))
			if got := outcome(r, err); got != "skipped" || r.Receipt.Reason != ReasonUnsubscribed {
				t.Fatalf("%s: got %s", id, got)
			}
		}
		if n := inbox.Stats().Mails; n != 1 {
			t.Fatalf("%d mails", n)
		}
		if _, err := signer(t, "new").CheckUnsubscribe(token); err == nil {
			t.Fatal("a token of a key that is gone was taken")
		}
	})
}

func TestTokens(t *testing.T) {
	s := signer(t, "k")
	leave, _ := s.Unsubscribe(Leave{Person: "p", List: "l", Decision: "d"})
	open, _ := s.Open("p", "d")
	click, _ := s.Click("p", "d", "https://shop.example/a?b=c#d")
	if l, err := s.CheckUnsubscribe(leave); err != nil || l != (Leave{"p", "l", "d"}) {
		t.Fatalf("%+v, %v", l, err)
	}
	if o, err := s.CheckOpen(open); err != nil || o != (Track{Person: "p", Decision: "d"}) {
		t.Fatalf("%+v, %v", o, err)
	}
	if c, err := s.CheckClick(click); err != nil || c != (Track{"p", "d", "https://shop.example/a?b=c#d"}) {
		t.Fatalf("%+v, %v", c, err)
	}
	// A token is good for one use only.
	for n, token := range []string{leave, open, click} {
		for m, check := range []func(string) error{
			func(x string) error { _, err := s.CheckUnsubscribe(x); return err },
			func(x string) error { _, err := s.CheckOpen(x); return err },
			func(x string) error { _, err := s.CheckClick(x); return err },
		} {
			if (check(token) == nil) != (n == m) {
				t.Fatalf("token %d at check %d", n, m)
			}
		}
		if strings.ContainsAny(token, "+/=") || len(token) > 200 {
			t.Fatalf("token %q does not fit a path", token)
		}
		// No bit of it may change.
		b, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(b) * 8 {
			b[bit/8] ^= 1 << (bit % 8)
			if _, err := s.check([]byte{useLeave, useOpen, useClick}[n], base64.RawURLEncoding.EncodeToString(b), []int{3, 2, 3}[n]); err == nil {
				t.Fatalf("token %d: bit %d may change", n, bit)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
	for _, bad := range []string{"", "/path", "javascript:alert(1)", "//evil.example", "ftp://a.example", "https://u:p@a.example", "https://a.example/\r\nX: y", "https://", "https://a.example/" + strings.Repeat("x", 1000)} {
		if _, err := s.Click("p", "d", bad); err == nil {
			t.Fatalf("a link to %q was made", bad)
		}
		// Nor is one followed that somebody with the key has made.
		if token, err := s.sign(useClick, "p", "d", bad); err == nil {
			if _, err := s.CheckClick(token); err == nil {
				t.Fatalf("a link to %q was followed", bad)
			}
		}
	}
	if _, err := NewSigner(); err == nil {
		t.Fatal("no key was taken")
	}
	if _, err := NewSigner([]byte("short")); err == nil || strings.Contains(err.Error(), "short") {
		t.Fatalf("a short key: %v", err)
	}
	if _, err := s.Unsubscribe(Leave{}); err == nil {
		t.Fatal("nobody was taken")
	}
}

const browser = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"

func TestTracker(t *testing.T) {
	s := signer(t, "k")
	open, _ := s.Open("p", "d")
	click, _ := s.Click("p", "d", "https://shop.example/mug?x=1")
	var hits []Hit
	tracker := NewTracker(s, func(_ context.Context, h Hit) error {
		hits = append(hits, h)
		return errors.New("queue full")
	})
	f := func(h http.Handler, method, target string, code int, location string, seen int) {
		t.Helper()
		hits = nil
		r := httptest.NewRequest(method, target, nil)
		r.Header.Set("User-Agent", browser+strings.Repeat("x", 500))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != code || w.Header().Get("Location") != location || len(hits) != seen {
			t.Fatalf("%s %s: got %d, %q, %d hits", method, target, w.Code, w.Header().Get("Location"), len(hits))
		}
		machine := map[string]string{"HEAD": ByHead}[method]
		if seen == 1 && (hits[0].Person != "p" || hits[0].Decision != "d" || len(hits[0].UserAgent) != 256 || hits[0].Machine != machine) {
			t.Fatalf("%+v", hits[0])
		}
		if w.Code == 200 && method == "GET" && w.Body.String() != pixel {
			t.Fatalf("%s: no pixel", target)
		}
	}
	f(tracker.Open(), "GET", "/o/"+open, 200, "", 1)
	f(tracker.Open(), "GET", "/o/"+open+".gif", 200, "", 1)
	f(tracker.Open(), "HEAD", "/o/"+open, 200, "", 1)
	f(tracker.Open(), "GET", "/o/nonsense", 200, "", 0)
	f(tracker.Open(), "GET", "/o/"+click, 200, "", 0)
	f(tracker.Open(), "POST", "/o/"+open, 405, "", 0)
	f(tracker.Click(), "GET", "/c/"+click, 302, "https://shop.example/mug?x=1", 1)
	f(tracker.Click(), "HEAD", "/c/"+click, 302, "https://shop.example/mug?x=1", 1)
	f(tracker.Click(), "GET", "/c/"+open, 404, "", 0)
	f(tracker.Click(), "GET", "/c/https:%2F%2Fevil.example", 404, "", 0)
	f(tracker.Click(), "GET", "/c/"+click+"?url=https://evil.example", 302, "https://shop.example/mug?x=1", 1)
	f(tracker.Click(), "POST", "/c/"+click, 405, "", 0)
	// A link that another key signed is nobody's.
	foreign, _ := signer(t, "other").Click("p", "d", "https://evil.example/")
	f(tracker.Click(), "GET", "/c/"+foreign, 404, "", 0)
	if n := tracker.Stats(); n.Opens[""] != 2 || n.Clicks[""] != 2 || n.Opens[ByHead] != 1 || n.Clicks[ByHead] != 1 || n.Faults != 6 || n.Unknown != 5 {
		t.Fatalf("%+v", n)
	}
}

// TestMachines: what scanners and prefetchers do is no click of a person, what readers
// do through their provider's proxy is.
func TestMachines(t *testing.T) {
	f := func(method, agent, header, value, want string) {
		t.Helper()
		r := httptest.NewRequest(method, "/c/x", nil)
		r.Header.Set("User-Agent", agent)
		if header != "" {
			r.Header.Set(header, value)
		}
		if got := byItself(r); got != want {
			t.Fatalf("%s %q %s %s: got %q, want %q", method, agent, header, value, got, want)
		}
	}
	f("GET", browser, "", "", "")
	f("GET", "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36", "", "", "")
	f("GET", "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "", "", "")
	f("GET", "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "", "", "")
	f("GET", "Mozilla/5.0", "", "", ByAgent)
	f("GET", "", "", "", ByAgent)
	f("GET", "python-requests/2.32", "", "", ByAgent)
	f("GET", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "", "", ByAgent)
	f("GET", "Barracuda Sentinel (EE)", "", "", ByAgent)
	f("HEAD", browser, "", "", ByHead)
	f("GET", browser, "Sec-Purpose", "prefetch;prerender", ByPrefetch)
	f("GET", browser, "X-Moz", "prefetch", ByPrefetch)
	f("GET", browser, "X-Purpose", "preview", ByPrefetch)
}

// TestBurst: the third different link of a mail within seconds, and what follows at once.
func TestBurst(t *testing.T) {
	var b bursts
	start := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	f := func(after time.Duration, mail, link string, want bool) {
		t.Helper()
		if got := b.seen(mail, link, start.Add(after)); got != want {
			t.Fatalf("%s %s after %s: got %v", mail, link, after, got)
		}
	}
	f(0, "a", "1", false)
	f(0, "a", "1", false) // a double click
	f(time.Second, "a", "2", false)
	f(time.Second, "b", "3", false) // another mail
	f(1500*time.Millisecond, "a", "3", true)
	f(1600*time.Millisecond, "a", "1", true)
	f(2*time.Second, "a", "4", true)
	// Later somebody reads it.
	f(5*time.Second, "a", "1", false)
	f(8*time.Second, "a", "2", false)
	f(11*time.Second, "a", "3", false)
	// Three tabs, one after the other.
	f(20*time.Second, "a", "1", false)
	f(21500*time.Millisecond, "a", "2", false)
	f(23*time.Second, "a", "3", false)
	// What is kept stays bounded, also when nothing of it is over.
	for i := range 3 * burstMails {
		f(30*time.Second, fmt.Sprint("m", i), "1", false)
	}
	if len(b.mails) > burstMails {
		t.Fatalf("%d mails are watched", len(b.mails))
	}
}

func FuzzToken(f *testing.F) {
	s := signer(f, "k")
	token, _ := s.Unsubscribe(Leave{Person: "p", List: "l"})
	f.Add(token, []byte("\x00\x01p\x00\x01l\x00\x00"))
	f.Add("", []byte{})
	f.Add("AQ", []byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, text string, fields []byte) {
		if _, err := s.CheckUnsubscribe(text); err == nil && text != token {
			t.Fatalf("%q was taken", text)
		}
		// The fields behind a good MAC.
		if got, err := splitFields(fields, 3); err == nil && len(strings.Join(got, ""))+6 != len(fields) {
			t.Fatalf("%x became %q", fields, got)
		}
	})
}

func FuzzUnsubscribeBody(f *testing.F) {
	f.Add(form, clickBody)
	f.Add("multipart/form-data; boundary=b", multi)
	f.Add("multipart/form-data; boundary=\"\"", multi)
	f.Add(form, url.Values{"a": {"b"}}.Encode())
	f.Fuzz(func(t *testing.T, kind, body string) {
		r := httptest.NewRequest(http.MethodPost, "/u/x", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		if oneClick(r) && !strings.Contains(strings.ToLower(body), "n") {
			t.Fatalf("%q, %q was taken", kind, body)
		}
	})
}
