package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// WatermarkOptions say how event time advances. The zero value works.
type WatermarkOptions struct {
	// OutOfOrder is how far the events of one producer may be out of order.
	OutOfOrder time.Duration
	// Idle is how long a producer may be silent, by the receive times in the log, before
	// the others need not wait for it.
	Idle time.Duration
	// Behind is how far a producer's events may trail their receive time before the
	// others need not wait for it either: its clock is wrong, or it sends what is old.
	Behind time.Duration
	// Producers is how many are told apart; the others count as one.
	Producers int
}

func (o WatermarkOptions) withDefaults() WatermarkOptions {
	o.OutOfOrder = cmp.Or(o.OutOfOrder, 2*time.Minute) // a browser's queue, as in Options
	o.Idle = cmp.Or(o.Idle, 5*time.Minute)             // more than OutOfOrder, so that a short silence is no reason
	o.Behind = cmp.Or(o.Behind, 24*time.Hour)          // a phone that was offline for a day
	o.Producers = cmp.Or(o.Producers, 1024)            // gateways and importers; never one per visitor
	return o
}

// Watermarks derive the event time before which no more events are expected from the log
// alone: from what each producer has sent so far and from the receive times, of ticks too.
// It is the least of what each active producer has reached, less OutOfOrder; it never goes
// back; and since an event cannot happen after it was received, no clock that is wrong can
// carry it beyond the receive time. One goroutine at a time. It is stored with the
// position that it belongs to (AppendTo, DecodeFrom).
type Watermarks struct {
	o         WatermarkOptions
	producers map[string]*producer
	watermark int64 // noTime before the first event
	received  int64 // the greatest receive time
	holding   *producer
	check     int64 // the receive time at which a producer may become idle
	clamped   uint64
	shared    uint64
	last      *producer // of the newest event: most come in runs
}

// producer is how far one source of events has come.
type producer struct {
	name     string
	newest   int64 // greatest event time, after clamping
	received int64 // of its last event
	lag      int64 // of its last event: receive time less event time
	since    int64 // receive time at which newest was reached
	events   uint64
}

// otherProducers is the name under which those beyond WatermarkOptions.Producers count.
const otherProducers = "(others)"

// producerName is how many bytes of a name are kept.
const producerName = 64

// NewWatermarks makes watermarks of a log that was not read yet.
func NewWatermarks(o WatermarkOptions) *Watermarks {
	return &Watermarks{o: o.withDefaults(), producers: make(map[string]*producer), watermark: noTime, received: noTime}
}

// Observe takes an event of a producer, that happened at a time and was received at
// another, and answers the event's time as it counts: not after its receipt. A receive
// time of 0 is unknown: then the newest receive time so far bounds it, if there is one.
func (w *Watermarks) Observe(name string, at, received int64) int64 {
	if received == 0 {
		received = w.received
		if received == noTime {
			received = at
		}
	}
	received = min(max(received, -maxTime), maxTime)
	if at > received {
		at = received
		w.clamped++
	}
	at = max(at, -maxTime)
	w.received = max(w.received, received)
	p := w.of(name)
	p.events++
	p.received = max(p.received, received)
	p.lag = received - at
	grown := at > p.newest
	if grown {
		p.newest, p.since = at, received
	}
	if len(w.producers) == 1 && p.received == w.received { // nobody else is there to be waited for
		w.alone(p)
		return at
	}
	if w.holding == nil || p == w.holding && grown || !w.active(p) || p.newest <= w.holding.newest || w.received >= w.check {
		w.advance()
	}
	return at
}

// alone is advance when the only producer has just sent.
func (w *Watermarks) alone(p *producer) {
	w.holding, w.check = nil, p.received+w.o.Idle.Milliseconds()
	if p.received-p.newest <= w.o.Behind.Milliseconds() {
		w.holding = p
	}
	w.watermark = max(w.watermark, p.newest-w.o.OutOfOrder.Milliseconds())
}

// Tick takes a receive time that came without an event: the log was quiet.
func (w *Watermarks) Tick(received int64) {
	w.received = max(w.received, min(received, maxTime))
	w.advance()
}

// of is the producer of a name.
func (w *Watermarks) of(name string) *producer {
	if len(name) > producerName {
		name = name[:producerName]
	}
	if w.last != nil && w.last.name == name {
		return w.last
	}
	p := w.find(name)
	w.last = p
	return p
}

// find looks the producer of a name up, or makes it.
func (w *Watermarks) find(name string) *producer {
	p := w.producers[name]
	for p == nil && len(w.producers) >= w.o.Producers && w.forget() {
	}
	if p == nil && len(w.producers) >= w.o.Producers {
		w.shared++
		name = otherProducers
		p = w.producers[name]
	}
	if p == nil {
		p = &producer{name: name, newest: noTime, received: noTime}
		w.producers[name] = p
	}
	return p
}

// forget drops the producer that has been silent longest, if it is idle.
func (w *Watermarks) forget() bool {
	var oldest *producer
	for _, p := range w.producers {
		if oldest == nil || p.received < oldest.received || p.received == oldest.received && p.name < oldest.name {
			oldest = p
		}
	}
	if oldest == nil || !w.idle(oldest) {
		return false
	}
	delete(w.producers, oldest.name)
	w.last = nil
	if w.holding == oldest {
		w.holding = nil
	}
	return true
}

func (w *Watermarks) idle(p *producer) bool { return w.received-p.received >= w.o.Idle.Milliseconds() }

// active tells whether the watermark waits for a producer.
func (w *Watermarks) active(p *producer) bool {
	return !w.idle(p) && p.received-p.newest <= w.o.Behind.Milliseconds()
}

// advance moves the watermark to the least of the active producers; when all are idle,
// to the receive time.
func (w *Watermarks) advance() {
	w.holding, w.check = nil, math.MaxInt64
	behind, ahead := false, int64(noTime) // somebody sends, but only what is old, up to ahead
	for _, p := range w.producers {
		if w.idle(p) {
			continue
		}
		w.check = min(w.check, p.received+w.o.Idle.Milliseconds())
		if !w.active(p) {
			behind, ahead = true, max(ahead, p.newest)
			continue
		}
		if w.holding == nil || p.newest < w.holding.newest || p.newest == w.holding.newest && p.name < w.holding.name {
			w.holding = p
		}
	}
	to := w.received
	switch {
	case w.holding != nil:
		to = w.holding.newest
	case behind:
		to = ahead // nobody is there whom they could make late: an import of the past moves at its own pace
	case to == noTime:
		return
	}
	w.watermark = max(w.watermark, to-w.o.OutOfOrder.Milliseconds())
}

// Watermark is the event time before which no more events are expected, Unix
// milliseconds, and math.MinInt64 before there was an event or tick.
func (w *Watermarks) Watermark() int64 { return w.watermark }

// WatermarkReport says how event time stands and what holds it. It names producers, which
// are gateways and importers, never people.
type WatermarkReport struct {
	Watermark  int64  `json:"watermark"`
	Received   int64  `json:"received"` // the newest receive time in the log
	Holding    string `json:"holding"`  // the producer that the others wait for; "" for none
	HeldMillis int64  `json:"held_ms"`  // how far it is behind the producer that is ahead
	Clamped    uint64 `json:"clamped"`  // events from the future of their receipt
	Shared     uint64 `json:"shared"`   // events of producers beyond the limit
	// Since is the receive time of the event with which the holder got as far as it is.
	Since     int64            `json:"since"`
	Producers []ProducerReport `json:"producers"`
}

// ProducerReport says how one producer stands.
type ProducerReport struct {
	Name   string `json:"name"`
	Newest int64  `json:"newest"`
	Lag    int64  `json:"lag_ms"` // of its last event: receive time less event time
	Events uint64 `json:"events"`
	State  string `json:"state"` // active, idle or behind
}

// Report says what holds the watermark; producers in the order of their event times.
func (w *Watermarks) Report() WatermarkReport {
	r := WatermarkReport{Watermark: w.watermark, Received: w.received, Clamped: w.clamped, Shared: w.shared}
	ahead := int64(noTime)
	for _, p := range w.producers {
		line := ProducerReport{Name: p.name, Newest: p.newest, Lag: p.lag, Events: p.events, State: "active"}
		switch {
		case w.idle(p):
			line.State = "idle"
		case !w.active(p):
			line.State = "behind"
		default:
			ahead = max(ahead, p.newest)
		}
		r.Producers = append(r.Producers, line)
	}
	slices.SortFunc(r.Producers, func(a, b ProducerReport) int {
		return cmp.Or(cmp.Compare(a.Newest, b.Newest), cmp.Compare(a.Name, b.Name))
	})
	if w.holding != nil {
		r.Holding, r.HeldMillis, r.Since = w.holding.name, ahead-w.holding.newest, w.holding.since
	}
	return r
}

const watermarksVersion = 1

// ErrWatermarks says that stored watermarks cannot be read.
var ErrWatermarks = errors.New("the stored watermarks are damaged")

// AppendTo appends what must be stored, equal for equal histories.
func (w *Watermarks) AppendTo(b []byte) []byte {
	b = append(b, watermarksVersion)
	b = binary.AppendVarint(b, w.watermark)
	b = binary.AppendVarint(b, w.received)
	b = binary.AppendUvarint(b, w.clamped)
	b = binary.AppendUvarint(b, w.shared)
	all := make([]*producer, 0, len(w.producers))
	for _, p := range w.producers {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *producer) int { return strings.Compare(a.name, b.name) })
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, p := range all {
		b = binary.AppendUvarint(b, uint64(len(p.name)))
		b = append(b, p.name...)
		b = binary.AppendVarint(b, p.received)
		b = binary.AppendVarint(b, p.received-p.newest)
		b = binary.AppendVarint(b, p.lag)
		b = binary.AppendVarint(b, p.received-p.since)
		b = binary.AppendUvarint(b, p.events)
	}
	return b
}

// DecodeFrom reads what AppendTo wrote; the options stay.
func (w *Watermarks) DecodeFrom(b []byte) error {
	*w = Watermarks{o: w.o.withDefaults(), producers: make(map[string]*producer)}
	r := reading{b: b}
	if v := r.byte(); v != watermarksVersion {
		return fmt.Errorf("version %d: %w", v, ErrWatermarks)
	}
	w.watermark, w.received = r.moment(), r.moment()
	w.clamped, w.shared = r.uvarint(), r.uvarint()
	before := ""
	n := r.count(6)
	for i := 0; i < n && !r.bad; i++ {
		p := &producer{name: string(r.bytes(r.count(1)))}
		p.received = r.time()
		p.newest = p.received - r.time()
		p.lag = r.time()
		p.since = p.received - r.time()
		p.events = r.uvarint()
		r.bad = r.bad || len(p.name) > producerName || i > 0 && p.name <= before
		before = p.name
		w.producers[p.name] = p
	}
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("%d producers: %w", n, ErrWatermarks)
	}
	w.advance()
	return nil
}

// moment is a time, or noTime.
func (r *reading) moment() int64 {
	v := r.varint()
	if v != noTime && (v > 4*maxTime || v < -4*maxTime) {
		r.bad = true
	}
	return v
}
