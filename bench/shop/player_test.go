package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// ingest is the other side of a Player: it keeps what it accepted.
type ingest struct {
	answer   func(try int) error // nil: accept
	tries    int
	at       []time.Duration // when each try came, from the first on
	first    time.Time
	accepted [][]byte
}

func (g *ingest) post(_ context.Context, path string, body []byte) error {
	if path != "/v1/batch" {
		return &RefusedError{Status: 404}
	}
	if g.tries == 0 {
		g.first = time.Now()
	}
	g.tries++
	g.at = append(g.at, time.Since(g.first))
	if g.answer != nil {
		if err := g.answer(g.tries); err != nil {
			return err
		}
	}
	g.accepted = append(g.accepted, bytes.Clone(body))
	return nil
}

// events returns the events accepted, in order.
func (g *ingest) events(t *testing.T) []json.RawMessage {
	t.Helper()
	var all []json.RawMessage
	for _, body := range g.accepted {
		var b struct {
			Batch    []json.RawMessage
			WriteKey string
			SentAt   time.Time
		}
		if err := json.Unmarshal(body, &b); err != nil {
			t.Fatalf("%v: %.200s", err, body)
		}
		if b.WriteKey != "wk_demo" || b.SentAt.IsZero() || len(b.Batch) == 0 {
			t.Fatalf("odd batch: %.200s … %s", body, body[len(body)-80:])
		}
		all = append(all, b.Batch...)
	}
	return all
}

// isPrefixOfShop checks that exactly the first events of the shop came, in order.
func isPrefixOfShop(t *testing.T, got []json.RawMessage, o Options) {
	t.Helper()
	s := New(o)
	for i, raw := range got {
		if want := s.Next().JSON; string(raw) != string(want) {
			t.Fatalf("event %d of %d: got %s, want %s", i, len(got), raw, want)
		}
	}
}

// run plays for a while, and waits for the end.
func run(t *testing.T, p *Player, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestPlayerPlaysEightHoursInFortySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Seed: 1}
		g := &ingest{}
		p := NewPlayer(New(o), g.post, PlayerOptions{})
		if !p.Now().Equal(o.withDefaults().Start) {
			t.Errorf("before the start it is %v", p.Now())
		}
		run(t, p, 40*time.Second)
		if got, want := p.Now(), o.withDefaults().Start.Add(8*time.Hour); !got.Equal(want) {
			t.Errorf("simulated time: got %v, want %v", got, want)
		}
		got := g.events(t)
		isPrefixOfShop(t, got, o)
		due := 0
		for range New(o).Until(p.Now().Add(-72 * time.Second)) { // what came in the last 100 ms may not have been sent
			due++
		}
		stats := p.Stats()
		t.Logf("%+v, %+v", stats, p.Shop())
		if len(got) < due || stats.Events != len(got) || stats.Requests != len(g.accepted) || stats.Unsent != 0 || stats.Retries != 0 || stats.Held != 0 {
			t.Errorf("accepted %d, due %d, stats %+v", len(got), due, stats)
		}
	})
}

// A server that is busy for a while loses nothing, is asked again when it said, and the
// shop waits for it.
func TestPlayerHonoursRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Seed: 2}
		g := &ingest{answer: func(try int) error {
			if try >= 3 && try <= 7 {
				return &RetryError{Status: 503, After: 2 * time.Second}
			}
			return nil
		}}
		p := NewPlayer(New(o), g.post, PlayerOptions{})
		run(t, p, 20*time.Second)
		isPrefixOfShop(t, g.events(t), o)
		for try := 4; try <= 8; try++ {
			if wait := g.at[try-1] - g.at[try-2]; wait != 2*time.Second {
				t.Errorf("try %d came after %v, want 2s", try, wait)
			}
		}
		stats := p.Stats()
		var retry *RetryError
		if stats.Retries != 5 || stats.Held != 10*time.Second || !errors.As(stats.LastErr, &retry) || retry.Status != 503 {
			t.Errorf("stats: %+v", stats)
		}
		if got, want := p.Now().Sub(o.withDefaults().Start), 10*time.Second*720; got != want {
			t.Errorf("simulated time passed: got %v, want %v", got, want)
		}
	})
}

// A broken connection is tried again after growing pauses, with the same bytes.
func TestPlayerBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Seed: 3}
		g := &ingest{answer: func(try int) error {
			if try <= 6 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}}
		p := NewPlayer(New(o), g.post, PlayerOptions{RetryMax: time.Second})
		run(t, p, 10*time.Second)
		isPrefixOfShop(t, g.events(t), o)
		ms := time.Millisecond
		want := []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 2500 * ms, 3500 * ms}
		if got := g.at[:7]; !slices.Equal(got, want) {
			t.Errorf("tries at %v, want %v", got, want)
		}
	})
}

// What the server refuses for good is given up, counted, and the rest goes on.
func TestPlayerGivesUpWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &ingest{answer: func(try int) error {
			if try == 2 {
				return &RefusedError{Status: 400}
			}
			return nil
		}}
		p := NewPlayer(New(Options{Seed: 4}), g.post, PlayerOptions{})
		run(t, p, 5*time.Second)
		stats := p.Stats()
		if stats.Refused == 0 || stats.Retries != 0 || stats.Held != 0 || stats.Events+stats.Refused != p.Shop().Events {
			t.Errorf("stats %+v, shop %+v", stats, p.Shop())
		}
	})
}

// The end comes in the middle of a retry; a second Run goes on with the same request.
func TestPlayerStopsAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Seed: 5}
		down := true
		g := &ingest{answer: func(int) error {
			if down {
				return &RetryError{Status: 503, After: time.Hour}
			}
			return nil
		}}
		p := NewPlayer(New(o), g.post, PlayerOptions{})
		begin := time.Now()
		run(t, p, 3*time.Second)
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("stopped after %v", took)
		}
		stats := p.Stats()
		if stats.Events != 0 || stats.Unsent == 0 || stats.Unsent > 100 || stats.Unsent != p.Shop().Events {
			t.Errorf("stats %+v, shop %+v", stats, p.Shop())
		}
		down = false
		stood := p.Now()
		time.Sleep(time.Hour) // a pause is not simulated
		if !p.Now().Equal(stood) {
			t.Errorf("the clock went on by %v", p.Now().Sub(stood))
		}
		run(t, p, 3*time.Second)
		got := g.events(t)
		isPrefixOfShop(t, got, o)
		if stats = p.Stats(); stats.Events != len(got) || stats.Events != p.Shop().Events || stats.Held > 3*time.Second {
			t.Errorf("stats %+v, shop %+v", stats, p.Shop())
		}
	})
}

func TestPlayerKeepsItsLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(o PlayerOptions, events, bytes int) {
			t.Helper()
			g := &ingest{}
			p := NewPlayer(New(Options{Seed: 6}), g.post, o)
			run(t, p, 2*time.Second)
			for _, body := range g.accepted {
				if len(body) > bytes || strings.Count(string(body), `"messageId"`) > events {
					t.Fatalf("batch of %d bytes, %d events", len(body), strings.Count(string(body), `"messageId"`))
				}
			}
			due := 0
			for range New(Options{Seed: 6}).Until(p.Now().Add(-time.Duration(100*p.options.Speed) * time.Millisecond)) {
				due++
			}
			if got := p.Stats().Events; got < due {
				t.Errorf("sent %d of %d", got, due)
			}
		}
		const slack = 48 << 10 // the last event, which may be a malformed one of 40 kB, and the frame
		f(PlayerOptions{BatchMax: 15}, 15, 400<<10+slack)
		f(PlayerOptions{BatchMax: 1}, 1, slack)
		f(PlayerOptions{BatchBytes: 10_000}, 100, 10_000+slack)
		f(PlayerOptions{Speed: 7200}, 100, 400<<10+slack)
	})
}

// Mails come back from another goroutine while the shop runs.
func TestPlayerTakesMails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &ingest{}
		s := New(Options{Seed: 7, Opened: 1, Clicked: 0.5, Bounced: -1})
		people := s.Shoppers()
		p := NewPlayer(s, g.post, PlayerOptions{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 100 {
				time.Sleep(50 * time.Millisecond)
				p.Delivered(MailSeen{ID: "mail " + people[i].Email, To: people[i].Email, Subject: "Hello"})
				_, _, _ = p.Now(), p.Stats(), p.Shop()
			}
		}()
		run(t, p, 40*time.Second)
		<-done
		opened := 0
		for _, raw := range g.events(t) {
			if bytes.Contains(raw, []byte(`"event":"Email Opened"`)) {
				opened++
			}
		}
		if st := p.Shop(); st.MailsSeen != 100 || opened < 90 {
			t.Errorf("opened %d, %+v", opened, st)
		}
	})
}

// roundTrip is a server without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestHTTPPost(t *testing.T) {
	f := func(status int, header, want string) {
		t.Helper()
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			user, password, _ := r.BasicAuth()
			if r.URL.String() != "http://shop.test/v1/batch" || r.Method != http.MethodPost || user != "key" || password != "" || string(body) != "{}" {
				t.Errorf("%s %s %q %q", r.Method, r.URL, user, body)
			}
			return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {header}, "Location": {"/elsewhere"}}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
		})}
		got := "taken"
		if err := HTTPPost(client, "http://shop.test/", "key")(t.Context(), "/v1/batch", []byte("{}")); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%d %q: got %q, want %q", status, header, got, want)
		}
	}
	f(200, "", "taken")
	f(204, "", "taken")
	f(503, "2", "server answered 503, retry after 2s")
	f(429, "7", "server answered 429, retry after 7s")
	f(500, "", "server answered 500, retry after 0s")
	// Only whole seconds are understood.
	f(503, "Wed, 21 Oct 2026 07:28:00 GMT", "server answered 503, retry after 0s")
	f(503, "-3", "server answered 503, retry after 0s")
	f(503, "99999999999999999999", "server answered 503, retry after 0s")
	f(400, "", "server refused with 400")
	f(401, "", "server refused with 401")
	f(413, "", "server refused with 413")
	f(501, "", "server refused with 501")
	// A redirect would lose the events.
	f(302, "", "server refused with 302")
}

func TestHTTPPostWithoutServer(t *testing.T) {
	client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })}
	err := HTTPPost(client, "http://shop.test", "key")(t.Context(), "/v1/batch", nil)
	if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "key") {
		t.Errorf("got %v", err)
	}
	if err := HTTPPost(client, "http://[", "key")(t.Context(), "/v1/batch", nil); err == nil {
		t.Error("a bad address is taken")
	}
}

// TestPlayerGoesOnFrom begins where another run has stopped: nothing from before is
// sent, and nothing after is missing.
func TestPlayerGoesOnFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Seed: 1}
		from := o.withDefaults().Start.Add(3 * time.Hour)
		g := &ingest{}
		p := NewPlayer(New(o), g.post, PlayerOptions{From: from})
		if !p.Now().Equal(from) {
			t.Errorf("it begins at %v, want %v", p.Now(), from)
		}
		run(t, p, 10*time.Second)
		rest := New(o)
		for rest.Peek().Before(from) {
			rest.Next()
		}
		got := g.events(t)
		if len(got) == 0 {
			t.Fatal("nothing was sent")
		}
		for i, raw := range got {
			if want := rest.Next().JSON; string(raw) != string(want) {
				t.Fatalf("event %d of %d: got %s, want %s", i, len(got), raw, want)
			}
		}
	})
}
