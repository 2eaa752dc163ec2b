package stream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// GatewayOptions says who may send events and how much. Log and Encode are
// required.
type GatewayOptions struct {
	Log *Log
	// Subject is where packed messages are published.
	Subject string
	// Sources are the write keys and whom they belong to; without any, every request is
	// refused.
	Sources map[string]Source
	// Encode builds the envelope of a message.
	Encode Encoder
	// Now is the time at which events are received; nil is the clock's.
	Now func() time.Time
	// Origins are the browser origins that may send, such as "https://shop.example";
	// empty allows all, since a browser's write key is public anyway.
	Origins []string
	// PublicURL is the gateway's address as browsers see it, "https://ingest.example.com";
	// empty takes it from the request.
	PublicURL string
	// TrustedProxies may say, in X-Forwarded-For, whom they forward for.
	TrustedProxies []netip.Prefix
	// FreeBytes tells how much the log's disk still holds; below Reserve nothing is
	// taken. Nil switches the guard off.
	FreeBytes func() (uint64, error)
	Reserve   uint64
	// RefuseAt is the fraction of the log's byte limit at which nothing is taken.
	RefuseAt float64
	// BodyMax bounds one body, on the wire and decompressed; BodiesMax all bodies in
	// memory; RequestsMax how many requests are served at a time; BatchMax the events
	// of one batch, of which the rest becomes one item of type TypeTooLong.
	BodyMax     int64
	BodiesMax   int64
	RequestsMax int
	BatchMax    int
	// BodyWait is how long a body may take to arrive, AnswerWait how long the log may
	// take to store it.
	BodyWait   time.Duration
	AnswerWait time.Duration
	// PackEvents, PackBytes and Linger say how requests are packed into messages.
	PackEvents int
	PackBytes  int
	Linger     time.Duration
	// Logger receives what the operator must know; nil silences it.
	Logger *slog.Logger
}

func (o GatewayOptions) withDefaults() GatewayOptions {
	o.RefuseAt = cmp.Or(o.RefuseAt, 0.9)               // the last tenth is for the engine's own messages
	o.Reserve = cmp.Or(o.Reserve, 512<<20)             // state and journal live on the same disk
	o.BodyMax = cmp.Or(o.BodyMax, 4<<20)               // SDKs send up to 1 MB against their own limits
	o.BodiesMax = cmp.Or(o.BodiesMax, 128<<20)         // 32 of the largest bodies
	o.RequestsMax = cmp.Or(o.RequestsMax, 1024)        // each holds a goroutine and a small buffer
	o.BatchMax = cmp.Or(o.BatchMax, 2500)              // Segment's own limit
	o.BodyWait = cmp.Or(o.BodyWait, 10*time.Second)    // the SDKs stop waiting then
	o.AnswerWait = cmp.Or(o.AnswerWait, 5*time.Second) // RudderStack's Node SDK has no time-out of its own
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// expandedMax bounds what one request may become in the log, as a multiple of
// BodyMax: the context of a batch is repeated with each of its events.
const expandedMax = 4

// GatewayStats counts what the gateway did since it started.
type GatewayStats struct {
	Requests uint64            // that took events
	Events   uint64            // stored
	Messages uint64            // they were packed into
	Refused  map[string]uint64 // requests by the error code they were answered
	Held     int64             // bytes of bodies in memory now
}

// Gateway takes events over HTTP as the Segment tracking API does and answers 200
// only when the log has them. Events are not judged here: a bad one never fails its
// batch. It is an http.Handler that matches paths exactly and never redirects, so it
// must not stand behind an http.ServeMux pattern that does. It is safe for
// concurrent use.
type Gateway struct {
	opts   GatewayOptions
	routes map[string]route
	packer *packer
	bodies *bodies
	slots  chan struct{}
	drain  atomic.Bool
	disk   diskGuard
	close  func()

	requests atomic.Uint64
	refused  [len(refusals)]atomic.Uint64
}

// NewGateway starts a gateway for the log. Close it before the log.
func NewGateway(o GatewayOptions) (*Gateway, error) {
	o = o.withDefaults()
	if o.Log == nil || o.Encode == nil {
		return nil, errors.New("start gateway: it needs a log and an encoder")
	}
	p, err := newPacker(packerOptions{
		log: o.Log, subject: o.Subject, encode: o.Encode, now: o.Now,
		eventsMax: o.PackEvents, bytesMax: o.PackBytes, linger: o.Linger, refuseAt: o.RefuseAt,
	})
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		opts: o, routes: routes(), packer: p,
		bodies: &bodies{bodyMax: o.BodyMax, budget: o.BodiesMax},
		slots:  make(chan struct{}, o.RequestsMax),
		disk:   diskGuard{free: o.FreeBytes, reserve: o.Reserve},
		close:  sync.OnceFunc(p.close),
	}
	return g, nil
}

// HTTPServer returns a server for the gateway whose limits fit it. The caller serves
// and shuts down.
func (g *Gateway) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           g,
		ReadHeaderTimeout: 5 * time.Second,  // a header is one packet
		IdleTimeout:       75 * time.Second, // longer than the flush interval of every SDK
		MaxHeaderBytes:    64 << 10,         // pixels carry their event in the address
	}
}

// Drain makes every request from now on be answered 503 with Retry-After, preflights
// excepted: their POST is. The listener must stay open meanwhile, since SDKs give up
// on a refused connection sooner than on a 503.
func (g *Gateway) Drain() { g.drain.Store(true) }

// Close drains, stores what was taken and stops. It must not be called before the
// HTTP server is shut down, unless requests may be answered 503.
func (g *Gateway) Close() {
	g.Drain()
	g.close()
}

// Stats tells what the gateway did since it started.
func (g *Gateway) Stats() GatewayStats {
	s := GatewayStats{
		Requests: g.requests.Load(), Events: g.packer.events.Load(), Messages: g.packer.messages.Load(),
		Refused: make(map[string]uint64, len(refusals)), Held: g.bodies.held.Load(),
	}
	for i := range refusals {
		s.Refused[refusals[i].code] = g.refused[i].Load()
	}
	return s
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.cors(w.Header(), r)
	path := r.URL.Path
	rt, takes := g.routes[path]
	pixel := strings.HasPrefix(path, pixelPath) && len(path) > len(pixelPath)
	key, settings := settingsKey(path)
	config := path == sourceConfigPath || path == strings.TrimSuffix(sourceConfigPath, "/")
	known := takes || pixel || settings || config
	switch {
	case r.Method == http.MethodOptions && known:
		w.WriteHeader(http.StatusNoContent)
	case g.drain.Load():
		g.refuse(w, refusedDraining)
	case !known:
		g.refuse(w, refusedPath)
	case takes && r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST, OPTIONS")
		g.refuse(w, refusedMethod)
	case takes:
		g.ingest(w, r, rt)
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", "GET, OPTIONS")
		g.refuse(w, refusedMethod)
	case pixel:
		g.pixel(w, r, strings.TrimPrefix(path, pixelPath))
	case settings:
		g.settings(w, r, key)
	default:
		g.sourceConfig(w, r)
	}
}

func settingsKey(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, projectsPath)
	if !ok {
		return "", false
	}
	key, ok := strings.CutSuffix(rest, settingsSuffix)
	return key, ok && key != "" && !strings.Contains(key, "/")
}

// ingest takes the events of one POST.
func (g *Gateway) ingest(w http.ResponseWriter, r *http.Request, rt route) {
	if !g.enter() {
		g.refuse(w, refusedBusy)
		return
	}
	defer g.leave()
	key := headerKey(r)
	src, ok := g.opts.Sources[key]
	if key != "" && !ok {
		g.refuse(w, refusedKey) // without reading the body: a wrong key means ten times the traffic
		return
	}
	if why := g.full(r.Context()); why != accepted {
		g.refuse(w, why)
		return
	}
	submitted := g.packer.expect()
	defer submitted()
	b, err := g.read(w, r)
	defer b.release()
	if err != nil {
		g.refuse(w, reason(err))
		return
	}
	split, err := rt.split(b.bytes(), g.opts.BatchMax)
	if err != nil {
		g.refuse(w, reason(err))
		return
	}
	if key == "" {
		if src, ok = g.opts.Sources[cmp.Or(stringValue(split.writeKey), r.URL.Query().Get("writeKey"))]; !ok {
			g.refuse(w, refusedKey)
			return
		}
	}
	items := split.items(rt.kind, g.clientIP(r))
	submitted()
	if err := g.store(r.Context(), src, items, b); err != nil {
		g.refuse(w, reason(err))
		return
	}
	g.requests.Add(1)
	writeBody(w, http.StatusOK, okBody)
}

// enter takes one of the places for requests, if one is free.
func (g *Gateway) enter() bool {
	select {
	case g.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (g *Gateway) leave() { <-g.slots }

// read takes the body in, in the time it may take.
func (g *Gateway) read(w http.ResponseWriter, r *http.Request) (*body, error) {
	rc := http.NewResponseController(w)
	// A server that knows no deadlines, such as a recorder in a test, reads from memory.
	_ = rc.SetReadDeadline(time.Now().Add(g.opts.BodyWait))
	b, err := g.bodies.read(w, r)
	if err == nil {
		_ = rc.SetReadDeadline(time.Time{}) // else the wait for the log would end with it
	}
	return b, err
}

func (rt route) split(body []byte, eventsMax int) (batch, error) {
	if rt.batch {
		return splitBatch(body, eventsMax)
	}
	return splitEvent(body)
}

// items pairs each event with what its batch says about all.
func (b *batch) items(kind, ip string) []Item {
	items := make([]Item, 0, len(b.events)+1)
	it := Item{Type: kind, SentAt: b.sentAt, Context: b.context, Integrations: b.integrations, IP: ip}
	for _, e := range b.events {
		it.Raw = e
		items = append(items, it)
	}
	if len(b.rest) > 0 {
		items = append(items, Item{Type: TypeTooLong, IP: ip, Raw: b.rest})
	}
	return items
}

// store hands items to the packer and waits for the log.
func (g *Gateway) store(ctx context.Context, src Source, items []Item, b *body) error {
	total := int64(0)
	for i := range items {
		total += int64(items[i].size())
	}
	if total > expandedMax*g.opts.BodyMax {
		return errTooLarge
	}
	ctx, cancel := context.WithTimeout(ctx, g.opts.AnswerWait)
	defer cancel()
	b.share()
	return g.packer.submit(ctx, src, items, b.release)
}

// pixel takes one event from an address. Its answer is an image, whatever happened.
func (g *Gateway) pixel(w http.ResponseWriter, r *http.Request, kind string) {
	why := g.takePixel(r, kind)
	if why != accepted {
		g.refused[why].Add(1)
	}
	w.Header().Set("Content-Type", "image/gif")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(pixel)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(pixel)) // whoever asked may be gone
}

func (g *Gateway) takePixel(r *http.Request, kind string) refusal {
	if rt, ok := g.routes["/v1/"+kind]; !ok || rt.batch || rt.kind != kind {
		return refusedPath
	}
	if !g.enter() {
		return refusedBusy
	}
	defer g.leave()
	split, err := splitEvent(pixelData(r))
	if err != nil {
		return refusedJSON
	}
	key := cmp.Or(headerKey(r), stringValue(split.writeKey), r.URL.Query().Get("writeKey"))
	src, ok := g.opts.Sources[key]
	if !ok {
		return refusedKey
	}
	if why := g.full(r.Context()); why != accepted {
		return why
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.opts.AnswerWait)
	defer cancel()
	if err := g.packer.submit(ctx, src, split.items(kind, g.clientIP(r)), func() {}); err != nil {
		return reason(err)
	}
	g.requests.Add(1)
	return accepted
}

// full tells why nothing can be stored now, before anything is read.
func (g *Gateway) full(ctx context.Context) refusal {
	if g.opts.Log.Fill(ctx) >= g.opts.RefuseAt {
		return refusedFull
	}
	if low, err := g.disk.low(); err != nil {
		g.opts.Logger.Warn("cannot tell how full the log's disk is", "error", err)
	} else if low {
		return refusedDisk
	}
	return accepted
}

// clientIP is whom the request came from: the connection, or the last address in
// X-Forwarded-For that no trusted proxy added.
func (g *Gateway) clientIP(r *http.Request) string {
	ip := remoteHost(r)
	if !g.trusted(ip) {
		return ip
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		if ip = hop.Unmap().String(); !g.trusted(ip) {
			break
		}
	}
	return ip
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

func (g *Gateway) trusted(ip string) bool {
	if len(g.opts.TrustedProxies) == 0 {
		return false
	}
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	for _, p := range g.opts.TrustedProxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

const okBody = `{"success":true}`

func (g *Gateway) json(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		g.refuse(w, refusedLog)
		return
	}
	writeBody(w, status, string(b))
}

func writeBody(w http.ResponseWriter, status int, body string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // whoever asked may be gone
}
