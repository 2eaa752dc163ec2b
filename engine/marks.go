package engine

import (
	"time"

	"millrace/state"
)

// keyMarks is where the store keeps what the watermark was derived from.
var keyMarks = []byte("\x01watermarks") //nolint:gochecknoglobals // constant

// producersMax bounds the producers that an engine tells apart: write keys and importers,
// written whenever they change, so that more would make an epoch heavy.
const producersMax = 256

// marks derive the engine's watermark. Like the progress they belong to the loop.
type marks struct {
	outOfOrder int64
	of         *Watermarks
	stored     int // of the bytes that were written last, for their capacity
	changed    bool
}

// open reads what was stored with the progress.
func (m *marks) open(e *Engine) error {
	idle := e.o.ProducerIdle
	m.outOfOrder = e.o.OutOfOrder.Milliseconds()
	m.of = NewWatermarks(WatermarkOptions{OutOfOrder: e.o.OutOfOrder, Idle: idle, Producers: producersMax})
	raw, found, err := e.read.Get(nil, keyMarks)
	if err != nil || !found {
		return err
	}
	return m.of.DecodeFrom(raw)
}

// unit moves the watermark to where u puts it.
func (m *marks) unit(p *progress, u *Unit) {
	if u.Producer == "" {
		if u.Time > p.Newest { // a tick says that the log is quiet: nobody is waited for
			p.Newest = u.Time
			p.Watermark = max(p.Watermark, u.Time-m.outOfOrder)
		}
		if u.Received > m.of.received && len(m.of.producers) > 0 {
			m.of.Tick(u.Received)
			p.Watermark = max(p.Watermark, m.of.watermark)
			m.changed = true
		}
		return
	}
	p.Newest = max(p.Newest, m.of.Observe(u.Producer, u.Time, u.Received))
	p.Watermark = max(p.Watermark, m.of.watermark)
	m.changed = true
}

// store writes what changed into the epoch's record.
func (m *marks) store(r *state.Record) {
	if !m.changed {
		return
	}
	m.changed = false
	raw := m.of.AppendTo(make([]byte, 0, m.stored+64))
	m.stored = len(raw)
	r.Put(keyMarks, raw)
}

// Held says since when a producer holds the watermark back, if one has for longer than
// limit of the log's time. It names the producer, never a person.
func (r *WatermarkReport) Held(limit time.Duration) (producer string, since time.Time, ok bool) {
	if r.Holding == "" || len(r.Producers) < 2 || r.HeldMillis <= limit.Milliseconds() {
		return "", time.Time{}, false
	}
	return r.Holding, time.UnixMilli(r.Since).UTC(), true
}
