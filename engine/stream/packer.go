package stream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Source is whom a write key belongs to.
type Source struct {
	Name string
	// Simulated marks events whose own time is their receive time.
	Simulated bool
}

// EnvelopeHeader is what the items of one message have in common.
type EnvelopeHeader struct {
	Source     string // Source.Name
	Simulated  bool   // Source.Simulated
	ReceivedAt int64  // Unix milliseconds
}

// Item is one event as it came in, not judged. Its slices are valid only until
// Encode returns.
type Item struct {
	// Type is what the request's path says: "track", "identify", …; empty for a
	// member of a batch, and TypeTooLong for the rest of an overlong one.
	Type string
	// SentAt, Context and Integrations are those of the batch, as JSON values; nil
	// when it has none. All items of a request share them.
	SentAt       json.RawMessage
	Context      json.RawMessage
	Integrations json.RawMessage
	// IP is the client's address, from the connection or a trusted proxy.
	IP  string
	Raw []byte // the event, one JSON value
}

// TypeTooLong is the type of an item that holds, separated by commas, all the events
// of a batch beyond the most that it may have.
const TypeTooLong = "batch_too_long"

func (i *Item) size() int {
	return len(i.Raw) + len(i.SentAt) + len(i.Context) + len(i.Integrations) + len(i.Type) + len(i.IP)
}

// Encoder appends the envelope of the items to dst.
type Encoder func(dst []byte, h EnvelopeHeader, items []Item) []byte

// Why the packer did not store a request's events.
var (
	errClosed  = errors.New("the gateway is closed")
	errTimeout = errors.New("the log did not answer in time")
)

type packerOptions struct {
	log       *Log
	subject   string
	encode    Encoder
	now       func() time.Time
	eventsMax int
	bytesMax  int
	linger    time.Duration
	inFlight  int
	refuseAt  float64 // fraction of the log's limit
}

func (o packerOptions) withDefaults() packerOptions {
	o.now = orNow(o.now)
	o.subject = cmp.Or(o.subject, "in.http")
	o.eventsMax = cmp.Or(o.eventsMax, 500)          // beyond it the cost of a message is spread thin already
	o.bytesMax = cmp.Or(o.bytesMax, 512<<10)        // half of what an ordinary NATS server takes
	o.linger = cmp.Or(o.linger, 2*time.Millisecond) // below what any client notices
	o.inFlight = max(o.inFlight, 2)                 // one is being stored, one stands ready: more would only make messages smaller
	o.refuseAt = cmp.Or(o.refuseAt, 0.9)            // the last tenth is for the engine's own messages
	return o
}

func orNow(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

// packer packs the events of requests that wait at the same time into few messages.
// The events of one request stand in the log in their order. Two goroutines: one
// cuts and publishes, one takes the acknowledgements in.
type packer struct {
	opts packerOptions
	js   jetstream.JetStream

	reading atomic.Int64 // requests that will soon submit: worth lingering for

	mu     sync.Mutex
	lanes  []*lane // by source, in order of first use
	turn   int     // whose lane is cut next
	closed bool

	wake chan struct{}
	sent chan flight
	done sync.WaitGroup

	messages atomic.Uint64
	events   atomic.Uint64
}

// lane is the queue of one source: a message has one header.
type lane struct {
	source Source
	queue  []*submission
	events int       // in the queue, not yet cut
	bytes  int       // of them
	since  time.Time // when the oldest came
}

// submission is one request's events on their way. The packer's goroutines own it
// from submit until done is answered.
type submission struct {
	items   []Item
	next    int         // items before it are cut
	parts   int         // messages that are not yet answered
	err     error       // the first
	dropped atomic.Bool // nobody waits any more
	done    chan error  // answered once
	release func()      // the packer no longer needs items
}

// flight is a message that waits for its acknowledgement.
type flight struct {
	ack   jetstream.PubAckFuture
	err   error // it was not even sent
	parts []*submission
	n     int
}

func newPacker(o packerOptions) (*packer, error) {
	o = o.withDefaults()
	js, err := jetstream.New(o.log.nc, jetstream.WithPublishAsyncTimeout(o.log.opts.AckWait),
		jetstream.WithDefaultTimeout(o.log.opts.AckWait))
	if err != nil {
		return nil, fmt.Errorf("start packer: %w", err)
	}
	p := &packer{opts: o, js: js, wake: make(chan struct{}, 1), sent: make(chan flight, o.inFlight-2)} // one more is waited for, and one waits to be handed over
	p.done.Add(2)
	go p.cutAll()
	go p.answerAll()
	return p, nil
}

// submit stores items and waits until all are acknowledged. release is called when
// the items are no longer needed, which may be after submit returned.
func (p *packer) submit(ctx context.Context, src Source, items []Item, release func()) error {
	if len(items) == 0 {
		release()
		return nil
	}
	s := &submission{items: items, done: make(chan error, 1), release: release}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		release()
		return errClosed
	}
	l := p.lane(src)
	if len(l.queue) == 0 {
		l.since = time.Now()
	}
	l.queue = append(l.queue, s)
	for i := range items {
		l.events++
		l.bytes += items[i].size()
	}
	p.mu.Unlock()
	p.poke()
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
		s.dropped.Store(true)
		return errTimeout
	}
}

func (p *packer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// lane finds the source's queue. Sources are the gateway's settings, so few.
func (p *packer) lane(src Source) *lane {
	for _, l := range p.lanes {
		if l.source == src {
			return l
		}
	}
	l := &lane{source: src}
	p.lanes = append(p.lanes, l)
	return l
}

// expect says that a request is about to submit; call the answer when it did, or
// will not.
func (p *packer) expect() (submitted func()) {
	p.reading.Add(1)
	return sync.OnceFunc(func() {
		p.reading.Add(-1)
		p.poke()
	})
}

// cutAll turns what is queued into messages until the packer is closed and empty.
func (p *packer) cutAll() {
	defer p.done.Done()
	defer close(p.sent)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var items []Item
	var buf []byte
	for {
		h, parts, wait, more := p.cut(&items)
		switch {
		case parts != nil:
			buf = p.publish(buf[:0], h, items, parts)
			clear(items)
		case !more:
			return
		case wait > 0:
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-p.wake:
			}
		default:
			<-p.wake
		}
	}
}

// cut takes the next message's items out of the queues. Without parts it says how
// long to wait, 0 meaning until woken, and whether anything can still come.
func (p *packer) cut(items *[]Item) (h EnvelopeHeader, parts []*submission, wait time.Duration, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.lanes {
		l := p.lanes[p.turn%len(p.lanes)]
		p.turn++
		if len(l.queue) == 0 {
			continue
		}
		if left := p.linger(l); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		*items, parts = l.take((*items)[:0], p.opts)
		if len(parts) > 0 {
			h = EnvelopeHeader{Source: l.source.Name, Simulated: l.source.Simulated, ReceivedAt: p.opts.now().UnixMilli()}
			return h, parts, 0, true
		}
	}
	return h, nil, wait, !p.closed || wait > 0
}

// linger is how much longer to wait for requests that are being read. It holds p.mu.
func (p *packer) linger(l *lane) time.Duration {
	if p.closed || p.reading.Load() == 0 || l.full(p.opts) {
		return 0
	}
	return p.opts.linger - time.Since(l.since)
}

func (l *lane) full(o packerOptions) bool { return l.events >= o.eventsMax || l.bytes >= o.bytesMax }

// take moves items of one message's worth to dst and names the requests they are of.
func (l *lane) take(dst []Item, o packerOptions) ([]Item, []*submission) {
	var parts []*submission
	bytes := 0
	for len(l.queue) > 0 {
		s := l.queue[0]
		if s.next == 0 && s.dropped.Load() {
			for i := range s.items {
				l.count(&s.items[i])
			}
			l.pop()
			s.release()
			continue
		}
		took := false
		for s.next < len(s.items) {
			size := s.items[s.next].size()
			if len(dst) > 0 && (len(dst) >= o.eventsMax || bytes+size > o.bytesMax) {
				break
			}
			dst = append(dst, s.items[s.next])
			bytes += size
			l.count(&s.items[s.next])
			s.next++
			took = true
		}
		if took {
			s.parts++
			parts = append(parts, s)
		}
		if s.next < len(s.items) {
			break
		}
		l.pop()
	}
	return dst, parts
}

// count takes an item off the queue's size.
func (l *lane) count(i *Item) {
	l.events--
	l.bytes -= i.size()
}

func (l *lane) pop() {
	l.queue[0] = nil
	l.queue = l.queue[1:]
	if len(l.queue) > 0 {
		l.since = time.Time{} // what is left has waited long enough
	}
}

// publish sends one message and hands its flight to answerAll. Every submission
// that is cut to its end is released here, since the bytes are encoded now.
func (p *packer) publish(buf []byte, h EnvelopeHeader, items []Item, parts []*submission) []byte {
	buf = p.opts.encode(buf, h, items)
	f := flight{parts: parts, n: len(items)}
	f.ack, f.err = p.send(buf)
	for _, s := range parts {
		if s.next == len(s.items) {
			s.release()
		}
	}
	p.sent <- f
	if cap(buf) > 4*p.opts.bytesMax {
		return nil // a rare giant must not be held for ever
	}
	return buf
}

func (p *packer) send(data []byte) (jetstream.PubAckFuture, error) {
	l := p.opts.log
	ctx, cancel := context.WithTimeout(context.Background(), l.opts.AckWait)
	fill := l.Fill(ctx)
	cancel()
	if limit := l.fill.limit.Load(); limit > 0 && fill+float64(len(data)+messageOverhead)/float64(limit) > p.opts.refuseAt {
		return nil, fmt.Errorf("%w: %.0f %% of its limit are used", ErrFull, 100*fill)
	}
	// Without retries messages stay in their order; the client tries again.
	ack, err := p.js.PublishMsgAsync(&nats.Msg{Subject: p.opts.subject, Data: data}, jetstream.WithRetryAttempts(0))
	if err != nil {
		return nil, logError("publish to "+l.opts.Stream, err)
	}
	l.fill.add(len(data))
	return ack, nil
}

// answerAll waits for each message's acknowledgement, in order, and answers the
// requests whose last message it was.
func (p *packer) answerAll() {
	defer p.done.Done()
	for f := range p.sent {
		err := f.err
		if err == nil {
			select {
			case ack := <-f.ack.Ok():
				err = p.opts.log.took(ack, p.opts.log.opts.Stream)
				p.messages.Add(1)
				p.events.Add(uint64(f.n)) //nolint:gosec // a count
			case err = <-f.ack.Err():
				err = logError("publish to "+p.opts.log.opts.Stream, err)
			}
		}
		p.mu.Lock()
		for _, s := range f.parts {
			s.parts--
			s.err = cmp.Or(s.err, err)
			if s.parts == 0 && s.next == len(s.items) {
				s.done <- s.err
			}
		}
		p.mu.Unlock()
	}
}

// close stores what is queued and stops.
func (p *packer) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.poke()
	p.done.Wait() // what the client library keeps for its acknowledgements ends with the connection
}
