package stream

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/engine"
)

// testEnvelope stands in for the envelope of operators/event.
type testEnvelope struct {
	Header EnvelopeHeader
	Items  []testItem
}

type testItem struct {
	Type                          string
	SentAt, Context, Integrations json.RawMessage `json:",omitempty"`
	IP                            string
	Raw                           string
}

func encodeTest(dst []byte, h EnvelopeHeader, items []Item) []byte {
	e := testEnvelope{Header: h}
	for _, i := range items {
		e.Items = append(e.Items, testItem{i.Type, i.SentAt, i.Context, i.Integrations, i.IP, string(i.Raw)})
	}
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return append(dst, b...)
}

var testSources = map[string]Source{"wk_demo": {Name: "shop"}, "wk_sim": {Name: "sim", Simulated: true}}

func newGateway(t testing.TB, o GatewayOptions) *Gateway {
	t.Helper()
	if o.Log == nil {
		o.Log = openLog(t, Options{})
	}
	if o.Sources == nil {
		o.Sources = testSources
	}
	o.Encode = encodeTest
	g, err := NewGateway(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// stored is every envelope in the log.
func stored(t testing.TB, l *Log) []testEnvelope {
	t.Helper()
	s, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := l.NewReader(ReaderOptions{})
	defer r.Close()
	if _, err := r.Open(t.Context(), engine.Position{}, false); err != nil {
		t.Fatal(err)
	}
	var all []testEnvelope
	for _, m := range read(t, r, int(s.Messages)) {
		var e testEnvelope
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func storedItems(t testing.TB, l *Log) []testItem {
	t.Helper()
	var all []testItem
	for _, e := range stored(t, l) {
		all = append(all, e.Items...)
	}
	return all
}

// call sends one request; head is "Name: value" lines.
func call(g http.Handler, method, target, head, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

const basic = "Authorization: Basic d2tfZGVtbzo="

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

// The bodies below are those of events.md, section 11, as the SDKs send them.
const nodeBatch = `{"batch":[
 {"type":"identify","userId":"c-4711","traits":{"email":"mira.öz@example.com","firstName":"Mira","createdAt":"2025-11-02T09:30:00.000Z"},
  "context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"},"locale":"de-AT","timezone":"Europe/Vienna"},"integrations":{},
  "timestamp":"2026-03-02T10:15:00.120Z","messageId":"node-next-1772446500120-5f0c6f2e-6a0b-4c55-9a53-1d1f3f1b7a10"},
 {"type":"track","userId":"c-4711","event":"Product Added","properties":{"cart_id":"ct-88","product_id":"p-301","sku":"MUG-BL","name":"Blue mug ☕",
  "category":"Kitchen > Mugs","price":"12.90","quantity":2},"context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"}},
  "integrations":{"All":true},"timestamp":"2026-03-02T10:15:01.004Z","messageId":"node-next-1772446501004-a1d4e2b7-0f39-4a27-8c53-6e2f0b9c1d22"}],
 "writeKey":"wk_demo","sentAt":"2026-03-02T10:15:10.050Z"}`

const rudderTrack = `{"type":"track","event":"Order Completed","channel":"web","userId":"","anonymousId":"7a1d0c52-93be-4c1f-b1a8-2f0e5f7f9c11",
 "properties":{"order_id":"A-10023","currency":"EUR","products":[{"product_id":"p-301","price":12.90,"quantity":2,"position":1}]},
 "context":{"traits":{"email":"guest@example.org"},"library":{"name":"RudderLabs JavaScript SDK","version":"3.34.1"}},"integrations":{"All":true},
 "originalTimestamp":"2026-03-02T10:21:30.200Z","sentAt":"2026-03-02T10:21:30.210Z","messageId":"0b0e7b3c-55a7-4c0e-9c0b-64a0c0c2c9d1"}`

// TestShapes sends what each SDK sends and looks at what stands in the log.
func TestShapes(t *testing.T) {
	l := openLog(t, Options{})
	g := newGateway(t, GatewayOptions{Log: l})
	f := func(name, target, head, body string, want ...testItem) {
		t.Helper()
		before := len(storedItems(t, l))
		w := call(g, "POST", target, head, body)
		if w.Code != 200 || w.Body.String() != `{"success":true}` || w.Header().Get("Content-Type") != "application/json" {
			t.Fatalf("%s: answered %d %s", name, w.Code, w.Body)
		}
		got := storedItems(t, l)[before:]
		if len(got) != len(want) {
			t.Fatalf("%s: stored %d events, want %d", name, len(got), len(want))
		}
		for i := range want {
			want[i].IP = "192.0.2.1"
			if fmt.Sprintf("%+v", got[i]) != fmt.Sprintf("%+v", want[i]) {
				t.Fatalf("%s: event %d:\n got %+v\nwant %+v", name, i, got[i], want[i])
			}
		}
	}
	raw := func(v string) json.RawMessage { return json.RawMessage(v) }
	var node struct{ Batch []json.RawMessage }
	if err := json.Unmarshal([]byte(nodeBatch), &node); err != nil {
		t.Fatal(err)
	}
	sent := raw(`"2026-03-02T10:15:10.050Z"`)
	nodeItems := []testItem{{SentAt: sent, Raw: string(node.Batch[0])}, {SentAt: sent, Raw: string(node.Batch[1])}}
	f("Segment Node: key in header and body", "/v1/batch", basic+"\nContent-Type: application/json", nodeBatch, nodeItems...)
	f("Segment Node 2.3.0: key in the body only", "/v1/batch", "", nodeBatch, nodeItems...)
	f("RudderStack Node: gzip that says it is a form", "/v1/batch",
		basic+"\nContent-Type: application/x-www-form-urlencoded\nContent-Encoding: gzip", gzipped(nodeBatch), nodeItems...)
	f("Segment Go: context in the batch, its id and time are the batch's", "/v1/batch", basic,
		`{"messageId":"b","timestamp":"2026-03-02T10:15:10Z","sentAt":"2026-03-02T10:15:10Z","batch":[{"type":"track","event":"x"}],"context":{"library":{"name":"analytics-go"}}, "integrations":{"All":true}}`,
		testItem{SentAt: raw(`"2026-03-02T10:15:10Z"`), Context: raw(`{"library":{"name":"analytics-go"}}`), Integrations: raw(`{"All":true}`), Raw: `{"type":"track","event":"x"}`})
	f("Segment browser: text/plain, first letter", "/v1/t", basic+"\nContent-Type: text/plain\nX-Retry-Count: 1",
		`{"type":"track","writeKey":"wk_demo"}`, testItem{Type: "track", Raw: `{"type":"track","writeKey":"wk_demo"}`})
	f("Segment browser, batching", "/v1/b", "Content-Type: text/plain", `{"writeKey":"wk_demo","batch":[{}],"sentAt":null}`,
		testItem{SentAt: raw("null"), Raw: "{}"})
	f("RudderStack browser", "/v1/track", basic+"\nAnonymousId: YQ==\nContent-Type: application/json", rudderTrack,
		testItem{Type: "track", Raw: rudderTrack})
	f("RudderStack beacon: key in the address", "/beacon/v1/batch?writeKey=wk_demo", "Content-Type: text/plain", `{"batch":[{"a":1}]}`, testItem{Raw: `{"a":1}`})
	f("byte order mark and blanks", "/v1/track", basic, "\xef\xbb\xbf\n {\"a\":1}\n", testItem{Type: "track", Raw: `{"a":1}`})
	f("escaped key", "/v1/batch", "", `{"b\u0061tch":[{"a":1}],"writeKey":"wk\u005fdemo"}`, testItem{Raw: `{"a":1}`})
	f("events that are none do not harm their batch", "/v1/batch", basic, `{"batch":[1,null,"x",[],{"a":1}]}`,
		testItem{Raw: "1"}, testItem{Raw: "null"}, testItem{Raw: `"x"`}, testItem{Raw: "[]"}, testItem{Raw: `{"a":1}`})
	f("an empty batch", "/v1/batch", basic, `{"batch":[]}`)
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	f("depth is not the gateway's to judge", "/v1/batch", basic, `{"batch":[`+deep+`]}`, testItem{Raw: deep})
	for path, kind := range map[string]string{"identify": "identify", "i": "identify", "page": "page", "p": "page", "screen": "screen",
		"s": "screen", "group": "group", "g": "group", "alias": "alias", "a": "alias", "track": "track", "merge": "merge"} {
		f(path, "/v1/"+path, basic, `{}`, testItem{Type: kind, Raw: `{}`})
	}
}

// TestAnswers is the table of what is refused and how.
func TestAnswers(t *testing.T) {
	l := openLog(t, Options{})
	g := newGateway(t, GatewayOptions{Log: l, BodyMax: 10_000})
	f := func(method, target, head, body string, status int, code string) {
		t.Helper()
		w := call(g, method, target, head, body)
		want := `{"success":false,"error":"` + code + `"}`
		if w.Code != status || code != "" && w.Body.String() != want {
			t.Fatalf("%s %s: answered %d %s, want %d %s", method, target, w.Code, w.Body, status, want)
		}
		if retry := w.Header().Get("Retry-After"); (status == 503) != (retry != "") {
			t.Fatalf("%s %s: %d with Retry-After %q", method, target, w.Code, retry)
		}
		if w.Header().Get("Location") != "" {
			t.Fatalf("%s %s: redirects", method, target)
		}
	}
	for _, bad := range []string{"", "{", "[]", "null", `{"batch":[{"a":NaN}]}`, `{"batch":{}}`, `{"batch":null}`, `{"event":"x"}`, `{"batch":[]}x`,
		`{"batch":[1,]}`, `{"batch":[01]}`, "{\"batch\":[\"\n\"]}", `{"batch":["\x"]}`, `{"batch":[{"a" 1}]}`, `{"batch":[]`, `{batch:[]}`} {
		f("POST", "/v1/batch", basic, bad, 400, "invalid_json")
	}
	f("POST", "/v1/track", basic, "[]", 400, "invalid_json")
	f("POST", "/v1/track", basic+"\nContent-Encoding: gzip", "no gzip", 400, "invalid_json")
	f("POST", "/v1/track", basic+"\nContent-Encoding: gzip", gzipped(`{"a":1}`)[:15], 400, "invalid_json")
	f("POST", "/v1/track", basic+"\nContent-Encoding: br", `{}`, 415, "unsupported_encoding")
	f("POST", "/v1/track", "", `{}`, 401, "invalid_write_key")
	f("POST", "/v1/track", "", `{"writeKey":17}`, 401, "invalid_write_key")
	f("POST", "/v1/track", "Authorization: Bearer x", `{"writeKey":"unknown"}`, 401, "invalid_write_key")
	f("POST", "/v1/track?writeKey=unknown", "", `{}`, 401, "invalid_write_key")
	f("POST", "/v1/track?writeKey=wk_demo", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("wrong:")), `{"writeKey":"wk_demo"}`, 401, "invalid_write_key")
	f("POST", "/v1/track", basic, `{"a":"`+strings.Repeat("x", 10_000)+`"}`, 413, "too_large")
	f("POST", "/v1/track", basic+"\nContent-Encoding: gzip", gzipped(`{"a":"`+strings.Repeat("x", 1<<20)+`"}`), 413, "too_large")
	// A batch whose context would fill the log when it is repeated with each event.
	f("POST", "/v1/batch", basic, `{"context":{"a":"`+strings.Repeat("x", 5000)+`"},"batch":[`+strings.Repeat("1,", 20)+`1]}`, 413, "too_large")
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/batch/", "/v1//batch", "/v1/./batch", "/x/../v1/batch", "/v1/Batch", "/v2/batch", "/batch"} {
		f("POST", path, basic, nodeBatch, 404, "not_found")
	}
	f("GET", "/v1/batch", basic, "", 405, "method_not_allowed")
	f("PUT", "/v1/pixel/track", basic, "", 405, "method_not_allowed")
	if n := len(storedItems(t, l)); n != 0 {
		t.Fatalf("%d events were stored", n)
	}
	if s := g.Stats(); s.Refused["invalid_write_key"] != 5 || s.Requests != 0 || s.Held != 0 {
		t.Fatalf("%+v", s)
	}
}

// failReader fails the test when the body is read.
type failReader struct{ t *testing.T }

func (f failReader) Read([]byte) (int, error) {
	f.t.Error("the body was read")
	return 0, io.EOF
}

// TestWrongKeyReadsNothing answers a wrong key in the header before the body came.
func TestWrongKeyReadsNothing(t *testing.T) {
	g := newGateway(t, GatewayOptions{})
	r := httptest.NewRequest("POST", "/v1/batch", failReader{t})
	r.SetBasicAuth("wrong", "")
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	if w.Code != 401 {
		t.Fatalf("answered %d", w.Code)
	}
}

func TestCORS(t *testing.T) {
	f := func(origins []string, origin string, allowed bool) {
		t.Helper()
		g := newGateway(t, GatewayOptions{Origins: origins})
		for path := range g.routes {
			w := call(g, "OPTIONS", path, "Origin: "+origin+"\nAccess-Control-Request-Method: POST\nAccess-Control-Request-Headers: authorization,x-retry-count", "")
			h := w.Header()
			if w.Code != 204 || w.Body.Len() != 0 || h.Get("Vary") != "Origin" || (h.Get("Access-Control-Allow-Origin") == origin) != allowed {
				t.Fatalf("%s: answered %d %v", path, w.Code, h)
			}
			if allowed && (h.Get("Access-Control-Allow-Methods") != "GET, POST, OPTIONS" || h.Get("Access-Control-Max-Age") != "7200" ||
				h.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type, X-Retry-Count, AnonymousId, SentAt") {
				t.Fatalf("%s: answered %v", path, h)
			}
		}
		for _, body := range []string{`{}`, `x`} { // also on an error
			h := call(g, "POST", "/v1/track", basic+"\nOrigin: "+origin, body).Header()
			if allowed && (h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Expose-Headers") != "Retry-After") {
				t.Fatalf("answered %v", h)
			}
			if !allowed && h.Get("Access-Control-Allow-Origin") != "" {
				t.Fatalf("answered %v", h)
			}
		}
	}
	f(nil, "https://shop.example", true)
	f([]string{"https://shop.example"}, "https://shop.example", true)
	f([]string{"https://shop.example"}, "https://other.example", false)
	f([]string{"*"}, "https://other.example", true)
}

func TestPixelAndSettings(t *testing.T) {
	l := openLog(t, Options{})
	g := newGateway(t, GatewayOptions{Log: l, PublicURL: "https://ingest.example.com"})
	event := `{"writeKey":"wk_demo","event":"Email Opened","x":"??>>"}`
	f := func(target string, stores bool) {
		t.Helper()
		before := len(storedItems(t, l))
		w := call(g, "GET", target, "", "")
		if w.Code != 200 || w.Header().Get("Content-Type") != "image/gif" || !strings.HasPrefix(w.Body.String(), "GIF89a") || w.Body.Len() != 43 {
			t.Fatalf("%s: answered %d with %d bytes", target, w.Code, w.Body.Len())
		}
		got := storedItems(t, l)[before:]
		if (len(got) == 1) != stores || stores && (got[0].Raw != event || got[0].Type != "track") {
			t.Fatalf("%s: stored %+v", target, got)
		}
	}
	f("/v1/pixel/track?data="+base64.StdEncoding.EncodeToString([]byte(event)), true)
	f("/v1/pixel/track?data="+base64.RawURLEncoding.EncodeToString([]byte(event)), true)
	f("/v1/pixel/track?data="+strings.NewReplacer(" ", "%20", "\"", "%22").Replace(event), true)
	f("/v1/pixel/track?data=e30=", false) // no key
	f("/v1/pixel/track?data=!!!", false)
	f("/v1/pixel/track", false)
	f("/v1/pixel/batch?data="+base64.StdEncoding.EncodeToString([]byte(event)), false)

	w := call(g, "GET", "/v1/projects/wk_demo/settings", "Origin: https://shop.example", "")
	want := `{"integrations":{"Segment.io":{"apiHost":"ingest.example.com/v1","apiKey":"wk_demo","protocol":"https"}},"plan":{"track":{"__default":{"enabled":true}}}}`
	if w.Code != 200 || w.Body.String() != want || w.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Fatalf("answered %d %s", w.Code, w.Body)
	}
	if w := call(g, "GET", "/v1/projects/unknown/settings", "", ""); w.Code != 401 {
		t.Fatalf("answered %d", w.Code)
	}
	for _, target := range []string{"/sourceConfig/?p=npm&v=3", "/sourceConfig/?writeKey=wk_demo", "/sourceConfig"} {
		head := basic
		if strings.Contains(target, "writeKey") {
			head = ""
		}
		w := call(g, "GET", target, head, "")
		var c struct {
			Source struct {
				WriteKey string
				Enabled  bool
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || w.Code != 200 || c.Source.WriteKey != "wk_demo" || !c.Source.Enabled {
			t.Fatalf("%s: answered %d %s", target, w.Code, w.Body)
		}
	}
}

// TestHeader looks at what the messages say of their source and time.
func TestHeader(t *testing.T) {
	l := openLog(t, Options{})
	at := time.UnixMilli(1_700_000_000_123)
	g := newGateway(t, GatewayOptions{Log: l, Now: func() time.Time { return at },
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.0.0.0/8")}})
	call(g, "POST", "/v1/track?writeKey=wk_sim", "X-Forwarded-For: 6.6.6.6, 203.0.113.9\nX-Forwarded-For: 10.1.1.1", `{}`)
	got := stored(t, l)
	want := EnvelopeHeader{Source: "sim", Simulated: true, ReceivedAt: at.UnixMilli()}
	if len(got) != 1 || got[0].Header != want || got[0].Items[0].IP != "203.0.113.9" {
		t.Fatalf("got %+v", got)
	}
}

// TestBatchTooLong keeps what stands beyond the most events of a batch in one item.
func TestBatchTooLong(t *testing.T) {
	l := openLog(t, Options{})
	g := newGateway(t, GatewayOptions{Log: l, BatchMax: 2})
	if w := call(g, "POST", "/v1/batch", basic, `{"batch":[1, 2 ,3, [4] , 5 ]}`); w.Code != 200 {
		t.Fatalf("answered %d", w.Code)
	}
	got := storedItems(t, l)
	if len(got) != 3 || got[1].Raw != "2" || got[2].Raw != "3, [4] , 5" || got[2].Type != TypeTooLong {
		t.Fatalf("got %+v", got)
	}
}

// TestFullLog fills a small log: what was answered 200 stands in it, the rest was
// answered 503, and the last tenth is left for the engine.
func TestFullLog(t *testing.T) {
	const limit = 100_000
	l := openLog(t, Options{MaxBytes: limit})
	g := newGateway(t, GatewayOptions{Log: l})
	body := `{"batch":[{"a":"` + strings.Repeat("x", 1000) + `"}]}`
	taken, refused := 0, 0
	for range 200 {
		switch w := call(g, "POST", "/v1/batch", basic, body); {
		case w.Code == 200:
			taken++
		case w.Code == 503 && strings.Contains(w.Body.String(), "log_full"):
			refused++
			if n, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || n < 1 || n > 300 {
				t.Fatalf("Retry-After %q", w.Header().Get("Retry-After"))
			}
		default:
			t.Fatalf("answered %d %s", w.Code, w.Body)
		}
	}
	s, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := len(storedItems(t, l)); got != taken || taken < 50 || refused == 0 {
		t.Fatalf("%d answered 200, %d refused, %d stored", taken, refused, got)
	}
	if s.Bytes > limit*9/10 || s.Bytes < limit*8/10 {
		t.Fatalf("the gateway filled %d of %d bytes", s.Bytes, limit)
	}
	publish(t, l, strings.Repeat("t", 5000)) // the engine's own message fits
	// The log itself refuses beyond its limit, and says which error it is.
	for range 10 {
		if _, err = l.Publish(t.Context(), "in.test", "", make([]byte, 5000)); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("got %v", err)
	}
	// Purged, it takes events again.
	if err := l.Purge(t.Context(), 50); err != nil {
		t.Fatal(err)
	}
	if w := call(g, "POST", "/v1/batch", basic, body); w.Code != 200 {
		t.Fatalf("after the purge: %d %s", w.Code, w.Body)
	}
}

func TestOverload(t *testing.T) {
	l := openLog(t, Options{})
	f := func(o GatewayOptions, code string, prepare func(g *Gateway)) {
		t.Helper()
		o.Log = l
		g := newGateway(t, o)
		prepare(g)
		w := call(g, "POST", "/v1/batch", basic, nodeBatch)
		if w.Code != 503 || !strings.Contains(w.Body.String(), code) || w.Header().Get("Retry-After") == "" {
			t.Fatalf("%s: answered %d %s", code, w.Code, w.Body)
		}
	}
	f(GatewayOptions{RequestsMax: 1}, "overloaded", func(g *Gateway) { g.slots <- struct{}{} })
	f(GatewayOptions{BodiesMax: 100}, "overloaded", func(*Gateway) {})
	f(GatewayOptions{}, "draining", func(g *Gateway) { g.Drain() })
	f(GatewayOptions{}, "draining", func(g *Gateway) { g.packer.close(); g.drain.Store(false) })
	f(GatewayOptions{FreeBytes: func() (uint64, error) { return 99, nil }, Reserve: 100}, "disk_full", func(*Gateway) {})
	g := newGateway(t, GatewayOptions{Log: l, FreeBytes: func() (uint64, error) { return 0, errors.New("unknown") }})
	if w := call(g, "POST", "/v1/batch", basic, nodeBatch); w.Code != 200 {
		t.Fatalf("a disk of unknown size: %d %s", w.Code, w.Body)
	}
	g.Drain()
	if w := call(g, "OPTIONS", "/v1/batch", "Origin: https://shop.example", ""); w.Code != 204 {
		t.Fatalf("a preflight while draining: %d", w.Code)
	}
	if w := call(g, "GET", "/nowhere", "", ""); w.Code != 503 {
		t.Fatalf("an unknown path while draining: %d", w.Code)
	}
	_ = l.Close()
	if w := call(newLostGateway(t, l), "POST", "/v1/batch", basic, nodeBatch); w.Code != 503 || !strings.Contains(w.Body.String(), "log_unavailable") {
		t.Fatalf("without a log: %d %s", w.Code, w.Body)
	}
}

func newLostGateway(t *testing.T, l *Log) *Gateway {
	t.Helper()
	return newGateway(t, GatewayOptions{Log: l})
}

// pipeListener serves HTTP over pipes: no port, and deadlines as on a socket.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipeListener) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve runs the gateway's own HTTP server and returns a client for it.
func serve(t testing.TB, g *Gateway) *http.Client {
	t.Helper()
	ln, srv := newPipeListener(), g.HTTPServer()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	tr := &http.Transport{DialContext: ln.dial, MaxIdleConnsPerHost: 100}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		_ = srv.Close()
		<-done
	})
	return &http.Client{Transport: tr}
}

// TestSlowBody begins a body and never ends it: the answer is 503, in time.
func TestSlowBody(t *testing.T) {
	g := newGateway(t, GatewayOptions{BodyWait: 50 * time.Millisecond})
	c := serve(t, g)
	pr, pw := io.Pipe()
	defer pw.Close()
	go func() { _, _ = pw.Write([]byte(`{"batch":[`)) }()
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://x/v1/batch", pr)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("wk_demo", "")
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Fatalf("answered %d", resp.StatusCode)
	}
}

// TestGoSDK sends 1,000 events the way the Segment Go SDK does: batches of 250 with
// the library in the batch, several at a time, each tried again until it is taken.
// The gateway drains once in between.
func TestGoSDK(t *testing.T) {
	l := openLog(t, Options{})
	g := newGateway(t, GatewayOptions{Log: l})
	c := serve(t, g)
	var batches sync.WaitGroup
	var tries atomic.Int32
	g.Drain()
	for b := range 4 {
		batches.Go(func() {
			var events []string
			for i := range 250 {
				events = append(events, fmt.Sprintf(`{"type":"track","messageId":"m-%d-%d","timestamp":"2026-03-02T10:15:01.004123456Z","userId":"u%d","event":"Product Viewed"}`, b, i, i%7))
			}
			body := fmt.Sprintf(`{"messageId":"batch-%d","sentAt":"2026-03-02T10:15:02Z","batch":[%s],"context":{"library":{"name":"analytics-go","version":"3.0.0"}}}`, b, strings.Join(events, ","))
			for {
				r, err := http.NewRequestWithContext(t.Context(), "POST", "http://x/v1/batch", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("User-Agent", "analytics-go (version: 3.0.0)")
				r.Header.Set("Content-Type", "application/json")
				r.SetBasicAuth("wk_demo", "")
				resp, err := c.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode < 300 {
					return
				}
				if tries.Add(1) == 4 {
					g.drain.Store(false) // the new process took over
				}
			}
		})
	}
	batches.Wait()
	next := map[string]int{}
	n := 0
	for _, i := range storedItems(t, l) {
		var e struct{ MessageID string }
		if err := json.Unmarshal([]byte(i.Raw), &e); err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(e.MessageID, "-")
		if strconv.Itoa(next[parts[1]]) != parts[2] {
			t.Fatalf("batch %s: got event %s, want %d", parts[1], parts[2], next[parts[1]])
		}
		next[parts[1]]++
		n++
	}
	if n != 1000 {
		t.Fatalf("%d events are stored", n)
	}
}

// TestGatewayWithoutKeys runs and refuses everybody.
func TestGatewayWithoutKeys(t *testing.T) {
	g := newGateway(t, GatewayOptions{Sources: map[string]Source{}})
	for _, target := range []string{"/v1/track", "/v1/batch", "/v1/track?writeKey=wk_demo"} {
		if w := call(g, "POST", target, "", `{"writeKey":"","batch":[]}`); w.Code != 401 {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}
