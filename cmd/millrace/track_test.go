package main

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"millrace/configs"
	"millrace/operators/event"
	"millrace/operators/mail"
)

const reader = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// look asks for an address as a mail program does, follows nothing, and answers the
// status and where it leads.
func look(t *testing.T, method, url, agent string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", agent)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

// TestTracking sends a mail, reads it as scanners and as a person do, and looks at what
// came back through the log.
func TestTracking(t *testing.T) {
	server := newInbox(t)
	r := start(t, settings{
		files: files{t.TempDir()}, smtp: server.url, http: "127.0.0.1:0", console: "127.0.0.1:0", simulated: true, speed: 1,
		writeKeys: []string{"wk=shop"}, linkURL: "https://mail.shop.example/m",
	})
	r.put(
		string(raw("identify", "ann", at(0), `,"traits":{"email":"ann@shop.example","firstName":"Ann","marketing_consent":true}`)),
		string(raw("track", "ann", at(time.Minute), `,"event":"Product Added","properties":{"cart_id":"c 1","product_id":"T","name":"Tent","price":129,"currency":"USD","url":"https://shop.example/tent?a=1&b=2"}`)),
		clock(2*time.Hour),
	)
	received := <-server.received
	opened, _ := server.Open(received.ID)
	html, base := opened.HTML, "http://"+r.listeners["http"].Addr().String()
	if strings.Contains(html, `href="https://shop.example`) || strings.Contains(opened.Text, "/c/") || !strings.Contains(opened.Text, "https://shop.example/cart?id=c%201") {
		t.Fatalf("links are not as they should be\n%s\n%s", html, opened.Text)
	}
	if n := strings.Count(html, `href="https://mail.shop.example/m/u/`); n != 1 {
		t.Errorf("%d links to unsubscribe", n)
	}
	here := func(path string) string { return base + strings.TrimPrefix(path, "https://mail.shop.example/m") }
	pages := map[string]string{} // where it leads, by link
	for _, m := range regexp.MustCompile(`href="(https://mail\.shop\.example/m/c/[^"]+)"`).FindAllStringSubmatch(html, -1) {
		hit, err := r.signer.CheckClick(m[1][strings.LastIndexByte(m[1], '/')+1:])
		if err != nil {
			t.Fatalf("%s: %v", m[1], err)
		}
		pages[hit.URL] = here(m[1])
	}
	for _, want := range []string{"https://shop.example/cart?id=c%201", "https://shop.example/tent?a=1&b=2", "https://shop.example/"} {
		if pages[want] == "" {
			t.Errorf("no link leads to %s: %v", want, pages)
		}
	}
	pixel := regexp.MustCompile(`<img src="(https://mail\.shop\.example/m/o/[^"]+\.gif)" width="1"`).FindStringSubmatch(html)
	if pixel == nil {
		t.Fatal("no pixel")
	}

	// Scanners, a privacy proxy, and a stranger's link.
	if code, to := look(t, http.MethodHead, pages["https://shop.example/tent?a=1&b=2"], reader); code != http.StatusFound || to != "https://shop.example/tent?a=1&b=2" {
		t.Errorf("HEAD: %d to %q", code, to)
	}
	look(t, http.MethodGet, pages["https://shop.example/tent?a=1&b=2"], "python-requests/2.32")
	look(t, http.MethodGet, here(pixel[1]), "Mozilla/5.0")
	if code, to := look(t, http.MethodGet, base+"/c/AQ", reader); code != http.StatusNotFound || to != "" {
		t.Errorf("a foreign link: %d to %q", code, to)
	}
	// A person, twice.
	for range 2 {
		if code, _ := look(t, http.MethodGet, here(pixel[1]), reader); code != http.StatusOK {
			t.Errorf("the pixel: %d", code)
		}
		if code, to := look(t, http.MethodGet, pages["https://shop.example/cart?id=c%201"], reader); code != http.StatusFound || to != "https://shop.example/cart?id=c%201" {
			t.Errorf("the cart: %d to %q", code, to)
		}
	}
	count := func(k event.Kind) uint64 { return r.pipeline.Counters.Events[k].Load() }
	r.until("open and click came back", func() bool { return count(event.EmailOpened) > 0 && count(event.EmailLinkClicked) > 0 })
	kinds := map[string]uint64{}
	r.until("they are in the picture of the person", func() bool {
		for _, k := range r.profile("ann").Events {
			kinds[k.Kind] = k.Count
		}
		return kinds["Email Opened"] > 0 && kinds["Email Link Clicked"] > 0
	})
	if kinds["Email Opened"] != 1 || kinds["Email Link Clicked"] != 1 || r.profile("ann").Consent != "yes" {
		t.Errorf("%v, consent %s", kinds, r.profile("ann").Consent)
	}
	s := r.tracker.Stats()
	if s.Opens[""] != 2 || s.Clicks[""] != 2 || s.Opens[mail.ByAgent] != 1 || s.Clicks[mail.ByAgent] != 1 || s.Clicks[mail.ByHead] != 1 || s.Unknown != 1 || s.Faults != 0 {
		t.Errorf("%+v", s)
	}
}

// TestTracksOrNot: links report back only when the shop wants it and readers can get
// there.
func TestTracksOrNot(t *testing.T) {
	f := func(s settings, inbox bool, said configs.Tracking, opens, clicks bool) {
		t.Helper()
		a := &app{s: s, set: &configs.Set{Shop: &configs.Shop{Tracking: said}}}
		if inbox {
			a.inbox = &mail.Inbox{}
		}
		if o, c := a.tracks(); o != opens || c != clicks {
			t.Fatalf("%+v %v: opens %v, clicks %v", said, inbox, o, c)
		}
	}
	run := settings{http: "127.0.0.1:0", linkURL: "https://mail.shop.example"}
	dev := settings{http: "127.0.0.1:0", simulated: true}
	f(run, false, configs.Tracking{}, false, false)
	f(run, false, configs.Tracking{Clicks: "yes"}, false, true)
	f(dev, true, configs.Tracking{}, true, true)
	f(dev, true, configs.Tracking{Opens: "no"}, false, true)
	f(dev, true, configs.Tracking{Opens: "no", Clicks: "no"}, false, false)
	// Nobody can get there.
	both := configs.Tracking{Opens: "yes", Clicks: "yes"}
	f(settings{linkURL: run.linkURL}, false, both, false, false)
	f(settings{http: run.http}, false, both, false, false)
	f(settings{http: run.http, linkURL: run.linkURL, once: true}, false, both, false, false)
	f(run, false, both, true, true)
}

// TestHitsAreBounded: when too many are being stored, or the log is nearly full, a hit is
// lost, which is said, and costs the reader nothing.
func TestHitsAreBounded(t *testing.T) {
	s := testSettings(t)
	s.simulated, s.speed = true, 1
	r := startApp(t, s)
	h := mail.Hit{Track: mail.Track{Person: "p", Decision: "d"}}
	before := r.end()
	for range hitsMax {
		r.hits <- struct{}{}
	}
	if err := r.hit(context.Background(), h); err == nil {
		t.Error("a hit beyond the limit was taken")
	}
	for range hitsMax {
		<-r.hits
	}
	for range 3 {
		if err := r.hit(context.Background(), h); err != nil {
			t.Error(err)
		}
	}
	h.Machine = mail.ByAgent
	if err := r.hit(context.Background(), h); err != nil {
		t.Error(err)
	}
	if got := r.end() - before; got != 1 {
		t.Errorf("%d messages, want 1: the same opening is one", got)
	}
	full := &app{s: r.app.s, set: r.set, inbox: r.inbox, hits: r.hits, events: r.events}
	full.s.reserve = 1 << 62
	h.Machine = ""
	if err := full.hit(context.Background(), h); err == nil {
		t.Error("a hit was taken on a full disk")
	}
}
