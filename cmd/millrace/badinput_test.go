package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/stream"
	"millrace/operators/event"
	"millrace/operators/privacy"
	"millrace/state"
)

// testSettings run the whole program in a new directory.
func testSettings(t *testing.T) settings {
	t.Helper()
	return settings{
		files: files{dir: t.TempDir()}, durability: "process", http: "127.0.0.1:0", writeKeys: []string{"wk=shop"},
		drain: 5 * time.Second, log: slog.New(slog.DiscardHandler), title: "test",
	}
}

// running is the program, started.
type running struct {
	*app
	t     *testing.T
	front http.Handler
}

// startApp opens and runs the program until the test ends.
func startApp(t *testing.T, s settings) *running {
	t.Helper()
	a, err := openApp(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		a.close()
	})
	return &running{app: a, t: t, front: a.public()}
}

// post sends a body and answers the status and the error code.
func (r *running) post(path, key string, body []byte, headers ...string) (int, string) {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, path, bytes.NewReader(body))
	if key != "" {
		req.SetBasicAuth(key, "")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.front.ServeHTTP(w, req)
	var answer struct {
		Success bool   `json:"success"`
		Error   string `json:"error"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Success != (w.Code == http.StatusOK) {
		r.t.Errorf("%s answers %d %q", path, w.Code, w.Body.String())
	}
	if w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" {
		r.t.Errorf("%s answers 503 without Retry-After", path)
	}
	return w.Code, answer.Error
}

// until waits until cond holds; the test's own time limit ends it.
func (r *running) until(what string, cond func() bool) {
	r.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			r.t.Fatalf("waited in vain until %s: %+v", what, r.engine.Stats())
		}
	}
}

// settle waits until everything in the log is processed and every effect is done.
func (r *running) settle() {
	r.t.Helper()
	r.until("the log is processed", func() bool {
		s := r.engine.Stats()
		return s.Position.Seq >= r.end() && s.Unresolved == 0 && s.Reported == 0
	})
}

func (r *running) end() uint64 {
	s, err := r.events.Info(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return s.Last
}

// letters are all dead letters.
func (r *running) letters() []stream.DeadLetter {
	r.t.Helper()
	all, err := r.events.ListDeadLetters(r.t.Context(), 0, 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// good sends an event that must be processed, whatever came before.
func (r *running) good(n int) {
	r.t.Helper()
	body := fmt.Appendf(nil, `{"userId":"good","event":"Product Viewed","messageId":"good-%d","properties":{"product_id":"mug"}}`, n)
	if status, code := r.post("/v1/track", "wk", body); status != http.StatusOK {
		r.t.Fatalf("a good event is answered %d %s", status, code)
	}
}

// bad is one bad input over HTTP.
type bad struct {
	name, path, key string
	body            []byte
	headers         []string
	status          int
	code            string   // of the refusal
	letters         []string // codes of the dead letters, in order
	events          int      // that are taken all the same
}

func nested(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }

func badInputs() []bad {
	track := func(rest string) []byte { return []byte(`{"userId":"u","event":"Product Viewed",` + rest + `}`) }
	const ok = http.StatusOK
	return []bad{
		{name: "truncated", body: []byte(`{"userId":"u","event":"Pro`), status: 400, code: "invalid_json"},
		{name: "truncated in a batch", path: "/v1/batch", body: []byte(`{"batch":[{"type":"track"},{"ty`), status: 400, code: "invalid_json"},
		{name: "no object", body: []byte(`[1,2]`), status: 400, code: "invalid_json"},
		{name: "nothing", body: nil, status: 400, code: "invalid_json"},
		{name: "batch is no array", path: "/v1/batch", body: []byte(`{"batch":{"a":1}}`), status: 400, code: "invalid_json"},
		{name: "empty batch", path: "/v1/batch", body: []byte(`{"batch":[]}`), status: ok},
		{name: "10 MB", body: track(`"x":"` + strings.Repeat("y", 10<<20) + `"`), status: 413, code: "too_large"},
		{name: "no gzip", body: track(`"x":1`), headers: []string{"Content-Encoding", "gzip"}, status: 400, code: "invalid_json"},
		{name: "unknown encoding", body: track(`"x":1`), headers: []string{"Content-Encoding", "br"}, status: 415, code: "unsupported_encoding"},
		{name: "unknown key", key: "stranger", body: track(`"x":1`), status: 401, code: "invalid_write_key"},
		{name: "no key", key: "-", body: track(`"x":1`), status: 401, code: "invalid_write_key"},
		{name: "unknown path", path: "/v1/tracks", body: track(`"x":1`), status: 404, code: "not_found"},
		{name: "100 KB", body: track(`"x":"` + strings.Repeat("y", 100<<10) + `"`), status: ok, letters: []string{"too_large"}},
		{name: "2,000 keys", body: track(`"p":{` + strings.TrimSuffix(strings.Repeat(`"k":1,`, 2000), ",") + `}`), status: ok, letters: []string{"too_large"}},
		{name: "deep", body: track(`"x":` + nested(40)), status: ok, letters: []string{"too_deep"}},
		{name: "very deep", body: track(`"x":` + nested(100_000)), status: ok, letters: []string{"too_large"}},
		{name: "not UTF-8", body: track("\"x\":\"caf\xe9\""), status: ok, letters: []string{"not_json"}},
		{name: "user is an object", body: []byte(`{"userId":{"a":1},"event":"Product Viewed"}`), status: ok, letters: []string{"no_identity"}},
		{name: "event is a number", body: []byte(`{"userId":"u","event":5}`), status: ok, letters: []string{"no_event_name"}},
		{name: "no event", body: []byte(`{"userId":"u"}`), status: ok, letters: []string{"no_event_name"}},
		{name: "wrong types in a batch", path: "/v1/batch", status: ok, letters: []string{"bad_type", "bad_type", "bad_type", "bad_type"}, events: 1,
			body: []byte(`{"batch":[1,"x",null,{"type":"dance","userId":"u"},{"type":"track","userId":"u","event":"Cart Viewed"}]}`)},
		{name: "properties are a text", body: track(`"properties":"red"`), status: ok, events: 1},
		{name: "price is a word", body: track(`"properties":{"product_id":"a","price":"cheap","quantity":-3}`), status: ok, events: 1},
		{name: "unknown event", body: []byte(`{"userId":"odd","event":"Teapot Whistled"}`), status: ok, events: 1},
		{name: "year 9999", body: track(`"timestamp":"9999-12-31T23:59:59Z","messageId":"y9999"`), status: ok, events: 1},
		{name: "year 0", body: track(`"timestamp":"0000-00-00T00:00:00Z"`), status: ok, events: 1},
		{name: "time is a list", body: track(`"timestamp":[1]`), status: ok, events: 1},
	}
}

// badMessage is a message that somebody publishes straight to NATS.
type badMessage struct {
	name, data string
	letters    []string
	events     int
}

func badMessages() []badMessage {
	return []badMessage{
		{"NATS: noise", "\x00\x01\xff garbage", []string{"not_json"}, 0},
		{"NATS: empty", "", []string{"not_json"}, 0},
		{"NATS: a number", "17", []string{"bad_type"}, 0},
		{"NATS: no event", "{}", []string{"bad_type"}, 0},
		{"NATS: empty list", "[]", nil, 0},
		{"NATS: list", `[{"type":"track","event":"Cart Viewed","userId":"u"},{"type":"track","event":"Cart Viewed"},[]]`, []string{"no_identity", "bad_type"}, 1},
		{"NATS: batch", `{"batch":[{"type":"track","event":"Cart Viewed","userId":"u"},{}]}`, []string{"bad_type"}, 1},
		{"NATS: cut batch", `{"batch":[{"type":"track","event":"Cart Viewed","userId":"u"},{"type`, []string{"not_json"}, 0},
		{"NATS: newer envelope", `{"mr":99,"kind":"events","items":[]}`, []string{"bad_envelope"}, 0},
		{"NATS: unknown kind", `{"mr":1,"kind":"sonnet"}`, []string{"bad_envelope"}, 0},
		{"NATS: no receive time", `{"mr":1,"kind":"events","items":[{"e":{}}]}`, []string{"bad_envelope"}, 0},
		{"NATS: timeless tick", `{"mr":1,"kind":"tick","at":"soon"}`, []string{"bad_envelope"}, 0},
		{"NATS: feedback on nothing", `{"mr":1,"kind":"feedback","feedback":{}}`, []string{"bad_envelope"}, 0},
		{"NATS: receipt of nothing", `{"mr":1,"kind":"receipt","receipt":{"effect":"7","decision":"x","person":"p"}}`, nil, 0},
		{"NATS: year 9999", `{"type":"track","event":"Cart Viewed","userId":"u","timestamp":"9999-01-01T00:00:00Z"}`, nil, 1},
	}
}

// TestBadInput sends bad input of every kind through the whole program: each is
// answered or kept as a dead letter with a clear code, a good event after it is
// processed, and what was stored is what was processed and rejected.
func TestBadInput(t *testing.T) {
	r := startApp(t, testSettings(t))
	seen, stored, events, goods := 0, uint64(0), 0, 0
	after := func(name string, letters []string, taken int) {
		t.Helper()
		stored += uint64(len(letters) + taken + 1)
		events += taken + 1
		r.good(goods)
		goods++
		r.settle()
		all := r.letters()
		var got []string
		for _, l := range all[seen:] {
			got = append(got, l.Reason)
			if l.Detail == "" || l.Seq == 0 || len(l.Bytes) == 0 && name != "NATS: empty" {
				t.Errorf("%s: the letter says too little: %q seq %d, %d bytes", name, l.Detail, l.Seq, len(l.Bytes))
			}
		}
		seen = len(all)
		if fmt.Sprint(got) != fmt.Sprint(letters) {
			t.Errorf("%s: dead letters %v, want %v", name, got, letters)
		}
		if n := int(r.pipeline.Counters.Total()); n != events { //nolint:gosec // small
			t.Errorf("%s: %d events are processed, want %d", name, n, events)
			events = n
		}
	}
	for _, b := range badInputs() {
		path, key := b.path, b.key
		if path == "" {
			path = "/v1/track"
		}
		if key == "" {
			key = "wk"
		}
		status, code := r.post(path, strings.Trim(key, "-"), b.body, b.headers...)
		if status != b.status || code != b.code {
			t.Errorf("%s is answered %d %s, want %d %s", b.name, status, code, b.status, b.code)
		}
		after(b.name, b.letters, b.events)
	}
	if got := r.gateway.Stats().Events; got != stored {
		t.Errorf("the gateway stored %d, want %d", got, stored)
	}
	for _, m := range badMessages() {
		if _, err := r.events.Publish(t.Context(), "in.x", "", []byte(m.data)); err != nil {
			t.Fatal(err)
		}
		after(m.name, m.letters, m.events)
	}
	r.checkBadInput(goods)
}

// checkBadInput looks at what became of some of the events.
func (r *running) checkBadInput(goods int) {
	t := r.t
	t.Helper()
	v := r.engine.View()
	defer v.Close()
	p, _, err := r.pipeline.Person(v, "good")
	if err != nil || int(p.Stat(event.ProductViewed).Count) != goods { //nolint:gosec // small
		t.Errorf("of %d good events %d are counted, %v", goods, p.Stat(event.ProductViewed).Count, err)
	}
	odd, known, err := r.pipeline.Person(v, "odd")
	if err != nil || !known || odd.Stat(event.Unknown).Count != 1 || r.pipeline.Counters.Events[event.Unknown].Load() != 1 {
		t.Errorf("the unknown event is not counted: %v, %v", known, err)
	}
	now := time.Now().UnixMilli()
	u, _, err := r.pipeline.Person(v, "u")
	if err != nil || u.Newest > now || u.First < now-time.Hour.Milliseconds() || v.Watermark > now {
		t.Errorf("a mad clock moved time: %d to %d, watermark %d, %v", u.First, u.Newest, v.Watermark, err)
	}
	for _, l := range r.letters() {
		switch {
		case l.Reason == "too_large" && len(l.Bytes) >= event.MaxReject != l.Cut:
			t.Errorf("a letter of %d bytes says cut: %v", len(l.Bytes), l.Cut)
		case l.Cut:
			if _, err := r.events.Retry(t.Context(), l.Number, nil); !errors.Is(err, stream.ErrCut) {
				t.Errorf("retry of a cut letter: %v, want ErrCut", err)
			}
		case l.Reason == "not_json" && bytes.Contains(l.Bytes, []byte("caf")) && !bytes.Contains(l.Bytes, []byte("caf\xe9")):
			t.Errorf("the bytes of a letter are changed: %q", l.Bytes)
		}
	}
	// The flag of the clamped time, in the event as it stands in the log.
	flagged := 0
	for seq := uint64(1); seq <= r.end(); seq++ {
		m, err := r.events.Get(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(m.Data, []byte("y9999")) {
			event.NewDecoder(event.Options{}).Decode(m.Data, m.Time, event.Handler{Event: func(_ int, e *event.Event) {
				if e.Flags&event.ClockFuture != 0 && e.Time == e.ReceivedAt {
					flagged++
				}
			}})
		}
	}
	if flagged != 1 {
		t.Errorf("%d events of the year 9999 are clamped and flagged, want 1", flagged)
	}
}

// TestRetryKeepsType: what only the path of a request said is still known when its dead
// letter is tried again, so that it fails for its own reason, or not at all.
func TestRetryKeepsType(t *testing.T) {
	r := startApp(t, testSettings(t))
	f := func(path, body, kind, reason, detail string) {
		t.Helper()
		if status, code := r.post(path, "wk", []byte(body)); status != http.StatusOK {
			t.Fatalf("%s is answered %d %s", path, status, code)
		}
		for range 2 { // as it came in, and after a retry
			r.until("the letter is there", func() bool { return len(r.letters()) == 1 })
			l := r.letters()[0]
			if l.Type != kind || l.Reason != reason || !strings.Contains(l.Detail, detail) || string(l.Bytes) != body {
				t.Fatalf("%s: got %q %s %q", path, l.Type, l.Reason, l.Detail)
			}
			if _, err := r.events.Retry(t.Context(), l.Number, wrapRetry); err != nil {
				t.Fatal(err)
			}
		}
		r.until("the letter is back", func() bool { return len(r.letters()) == 1 })
		if err := r.events.DeleteDeadLetter(t.Context(), r.letters()[0].Number); err != nil {
			t.Fatal(err)
		}
	}
	f("/v1/track", `{"userId":"u"}`, "track", "no_event_name", "track without event")
	f("/v1/identify", `{"traits":{"email":"u@shop.example"}}`, "identify", "no_identity", "")
	f("/v1/merge", `{"userId":"u"}`, "merge", "bad_merge", "merge without a second id")

	// What was good in all but what the decoder knew comes in as what it is.
	err := r.events.PublishDeadLetter(t.Context(), stream.DeadLetter{
		Reason: "no_event_name", Source: "shop", Type: "track", Stream: "old", Seq: 7, At: time.Now(),
		Bytes: []byte(`{"userId":"late","event":"Product Viewed","properties":{"product_id":"mug"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.events.Retry(t.Context(), r.letters()[0].Number, wrapRetry); err != nil {
		t.Fatal(err)
	}
	r.settle()
	v := r.engine.View()
	defer v.Close()
	if p, _, err := r.pipeline.Person(v, "late"); err != nil || p.Stat(event.ProductViewed).Count != 1 || len(r.letters()) != 0 {
		t.Fatalf("%d views, %d letters, %v", p.Stat(event.ProductViewed).Count, len(r.letters()), err)
	}
}

// TestItemTypes reads the types of an envelope, and nothing of what is none.
func TestItemTypes(t *testing.T) {
	f := func(data, want string) {
		t.Helper()
		if got := strings.Join(itemTypes([]byte(data)), " "); got != want {
			t.Fatalf("%s: got %q, want %q", data, got, want)
		}
	}
	f(`{"mr":1,"kind":"events","items":[{"t":"track","e":{}},{"t":"merge","e":{}}]}`, "track merge")
	f(`{"mr":1,"items":[{"e":{"t":"no"}},{"t":"page","b":""}]}`, " page")
	f(`{"mr":2,"items":[{"t":"track"}]}`, "")
	f(`[{"t":"track"}]`, "")
	f(`{"items":5}`, "")
	f("", "")
}

// TestLogFull fills a log of 256 KiB: requests are refused with 503, none that was
// answered 200 is missing, and the engine's own messages still fit.
func TestLogFull(t *testing.T) {
	s := testSettings(t)
	s.logBytes = 256 << 10
	r := startApp(t, s)
	taken, refused := 0, 0
	for i := 0; refused < 50; i++ {
		body := fmt.Appendf(nil, `{"userId":"u%d","event":"Product Viewed","messageId":"m%d","properties":{"product_id":"%s"}}`, i, i, strings.Repeat("x", 500))
		switch status, code := r.post("/v1/track", "wk", body); {
		case status == http.StatusOK:
			taken++
		case status == http.StatusServiceUnavailable && code == "log_full":
			refused++
		default:
			t.Fatalf("event %d is answered %d %s", i, status, code)
		}
	}
	r.settle()
	if n := int(r.pipeline.Counters.Total()); n != taken { //nolint:gosec // small
		t.Errorf("%d events were taken, %d are processed", taken, n)
	}
	if taken < 100 {
		t.Errorf("only %d events fit", taken)
	}
	info, err := r.events.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if fill := float64(info.Bytes) / float64(info.MaxBytes); fill < 0.8 || fill > 0.9 {
		t.Errorf("the log is filled to %.0f %%, want just below 90", 100*fill)
	}
	for i := range 40 { // a tenth of the log: 26 KB
		if err := r.publishReceipt(t.Context(), fmt.Sprint("receipt/", i), &event.Receipt{Decision: strings.Repeat("d", 32), Person: strings.Repeat("p", 32)}); err != nil {
			t.Fatalf("receipt %d does not fit: %v", i, err)
		}
		if err := r.tick(t.Context(), time.Now().UnixMilli()); err != nil {
			t.Fatalf("tick %d does not fit: %v", i, err)
		}
	}
	// Whoever publishes straight to NATS is told, too.
	for {
		if _, err = r.events.Publish(t.Context(), "in.x", "", bytes.Repeat([]byte("x"), 4000)); err != nil {
			break
		}
	}
	if !errors.Is(err, stream.ErrFull) {
		t.Errorf("publishing into a full log: %v, want ErrFull", err)
	}
	r.settle()
}

var errNoRoom = errors.New("the disk is full, says the test")

// TestDiskFull lets the disk be full for a while: ingest answers 503, commits wait and
// say why, and afterwards nothing is missing.
func TestDiskFull(t *testing.T) {
	var full atomic.Bool
	s := testSettings(t)
	s.engine = func(o *engine.Options) {
		o.MayCommit = func() error {
			if full.Load() {
				return errNoRoom
			}
			return nil
		}
	}
	r := startApp(t, s)
	gateway, err := stream.NewGateway(stream.GatewayOptions{
		Log: r.events, Subject: "in.http", Sources: map[string]stream.Source{"wk": {Name: "shop"}}, Encode: encodeEnvelope,
		FreeBytes: func() (uint64, error) {
			if full.Load() {
				return 10, nil
			}
			return 1 << 40, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.Close()
	r.front = gateway
	const n = 50
	for i := range n {
		r.good(i)
	}
	r.settle()
	before := r.engine.Stats().Position.Seq
	full.Store(true)
	r.until("ingest says that the disk is full", func() bool {
		status, code := r.post("/v1/track", "wk", []byte(`{"userId":"good","event":"Late"}`))
		return status == http.StatusServiceUnavailable && code == "disk_full"
	})
	for i := range n { // NATS clients do not ask the gateway
		if _, err := r.events.Publish(t.Context(), "in.x", "", fmt.Appendf(nil, `{"type":"track","userId":"nats","event":"Product Viewed","messageId":"n%d"}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	r.until("commits are paused", func() bool { return strings.Contains(r.engine.Stats().Paused, errNoRoom.Error()) })
	if got := r.engine.Stats().Position.Seq; got != before {
		t.Errorf("while the disk is full %d is committed, before %d", got, before)
	}
	full.Store(false)
	r.settle()
	if got := r.engine.Stats().Paused; got != "" {
		t.Errorf("still paused: %s", got)
	}
	v := r.engine.View()
	defer v.Close()
	for user, want := range map[string]uint64{"good": n, "nats": n} {
		if p, _, err := r.pipeline.Person(v, user); err != nil || p.Stat(event.ProductViewed).Count != want {
			t.Errorf("%s: %d events of %d, %v", user, p.Stat(event.ProductViewed).Count, want, err)
		}
	}
	r.until("ingest goes on", func() bool {
		status, _ := r.post("/v1/track", "wk", []byte(`{"userId":"good","event":"Late"}`))
		return status == http.StatusOK
	})
}

// TestNewerData refuses a data directory of a newer version, and leaves it as it is.
func TestNewerData(t *testing.T) {
	s := testSettings(t)
	if err := os.MkdirAll(s.state(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.secret(), make([]byte, privacy.SecretSize), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.state(), "FORMAT.json")
	text := []byte(`{"format":99,"key_groups":256}`)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openApp(t.Context(), s)
	if !errors.Is(err, state.ErrNewerFormat) {
		t.Fatalf("got %v, want ErrNewerFormat", err)
	}
	for _, part := range []string{"format 99", "reads up to 2", "newer millrace"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, text) {
		t.Errorf("the directory was changed: %s, %v", now, err)
	}
	if found, _ := filepath.Glob(filepath.Join(s.state(), "*.vlog")); len(found) > 0 {
		t.Errorf("a store was made in it: %v", found)
	}
}
