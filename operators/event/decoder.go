package event

import (
	"bytes"
	"unicode/utf8"
)

// Decoder reads messages of the log: envelopes, and the plain Segment JSON that any
// client of the log may publish. One goroutine at a time.
type Decoder struct {
	// Seq is the log's sequence of the message that comes next. It is part of the ids
	// given to events without messageId, so that equal events of two messages differ.
	Seq uint64

	options  Options
	scan     scanner
	fields   *fields
	batch    *fields
	events   []Event
	goods    []Product
	records  []Record
	free     []*Event  // taken back
	kept     []Product // of the event that was taken from there last
	reuse    bool
	slowOnly bool // for tests: the fast path is never taken
}

// NewDecoder makes a decoder.
func NewDecoder(o Options) *Decoder {
	return &Decoder{options: o, fields: newFields(), batch: newFields()}
}

// Decode reads the message data, which the log stored at storedAt (Unix milliseconds),
// and hands its parts to h in order. Events are valid until their handler returns;
// data must not change before. Nothing in data can make it panic: what cannot be read
// is a Reject.
func (d *Decoder) Decode(data []byte, storedAt int64, h Handler) {
	d.reuse, d.free, d.kept = true, nil, nil
	d.scan.text = d.scan.text[:0]
	d.events, d.goods = d.events[:0], d.goods[:0]
	d.records = d.message(d.records[:0], data, storedAt)
	for i := range d.records {
		r := &d.records[i]
		switch {
		case r.Event != nil && h.Event != nil:
			h.Event(int(r.Index), r.Event)
		case r.Reject != nil && h.Reject != nil:
			h.Reject(r.Reject)
		case r.Receipt != nil && h.Receipt != nil:
			h.Receipt(int(r.Index), r.Receipt)
		case r.Handover != nil && h.Handover != nil:
			h.Handover(r.Handover)
		case r.Tick != 0 && h.Tick != nil:
			h.Tick(r.Tick)
		}
	}
}

// DecodeAll appends the parts of the message data to dst, in order. They belong to the
// caller, with data, which they alias and which must not change as long as they are
// used. Events are allocated in chunks of about 50: keeping one keeps its neighbours
// and its message, so Clone what is to stay.
func (d *Decoder) DecodeAll(dst []Record, data []byte, storedAt int64) []Record {
	if d.reuse {
		d.reuse = false
		d.scan.text, d.events, d.goods, d.free, d.kept = nil, nil, nil, nil, nil
	}
	return d.message(dst, data, storedAt)
}

// message reads one message.
func (d *Decoder) message(dst []Record, data []byte, storedAt int64) []Record {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	first := len(dst)
	o := origin{receivedAt: storedAt, seq: d.Seq, options: d.options.Default}
	d.scan.d, d.scan.i = data, 0
	d.scan.ws()
	start := d.scan.i
	if bytes.HasPrefix(data[start:], []byte(`{"mr":`)) {
		if out, ok := d.envelope(dst, data, storedAt); ok {
			return out
		}
		d.scan.i = start
	}
	switch d.scan.peek() {
	case '{':
		if out, ok := d.quick(dst, &o); ok {
			return out
		}
		if !valid(data) {
			return d.reject(dst, &o, NotJSON, "the message is not JSON", data)
		}
		return d.object(dst, data, &o)
	case '[':
		out, ok := d.list(dst, &o, MaxBatch)
		if d.scan.ws(); ok && d.scan.i == len(data) {
			return out
		}
		o.index = 0
		return d.reject(out[:first], &o, NotJSON, "the message is not JSON", data)
	default:
		if valid(data) {
			return d.reject(dst, &o, BadType, "the message is no object and no array", data)
		}
		return d.reject(dst, &o, NotJSON, "the message is not JSON", data)
	}
}

// quick reads a message that is a single plain event.
func (d *Decoder) quick(dst []Record, o *origin) ([]Record, bool) {
	start := d.scan.i
	if !d.fast(o, true) {
		return dst, false
	}
	stop := d.scan.i
	if d.scan.ws(); d.scan.i != len(d.scan.d) {
		return dst, false
	}
	o.raw = d.scan.d[start:stop]
	return d.finish(dst, o), true
}

// object reads a message that is a JSON object and not quickly read: a batch, an
// envelope with its parts in another order, or an event.
func (d *Decoder) object(dst []Record, data []byte, o *origin) []Record {
	data = bytes.TrimSpace(data)
	m := members(data)
	_, typed := m["type"]
	if _, ok := m["mr"]; ok && !typed {
		return d.loose(dst, data, m, o)
	}
	batch := bytes.TrimSpace(m["batch"])
	if typed || len(batch) == 0 || batch[0] != '[' {
		d.scan.d, d.scan.i = data, 0
		out, _ := d.one(dst, o) // data is valid
		return out
	}
	o.sentAt = slowValue(m["sentAt"])
	o.batch = d.batch
	o.batch.reset()
	slowContext(o.batch, bytes.TrimSpace(m["context"]))
	slowGroup(&o.batch.integrations, bytes.TrimSpace(m["integrations"]), integrationField)
	d.scan.d, d.scan.i = batch, 0
	out, _ := d.list(dst, o, MaxBatch)
	return out
}

// list reads an array of events. Those beyond the limit are rejected.
func (d *Decoder) list(dst []Record, o *origin, limit int) ([]Record, bool) {
	s := &d.scan
	s.i++
	s.ws()
	if s.take(']') {
		return dst, true
	}
	for o.index = 0; ; o.index++ {
		var ok bool
		if o.index < limit {
			dst, ok = d.one(dst, o)
		} else {
			start := s.i
			s.limit = 0
			ok = s.skip(1)
			dst = d.reject(dst, o, BatchTooLong, "beyond the 2,500th event of its batch", s.d[start:s.i])
		}
		if !ok {
			return dst, false
		}
		s.ws()
		if s.take(']') {
			return dst, true
		}
		if !s.take(',') {
			return dst, false
		}
		s.ws()
	}
}

// one reads one event where the scanner stands. It answers false when there is no JSON
// value; then dst may hold what is to be dropped.
func (d *Decoder) one(dst []Record, o *origin) ([]Record, bool) {
	s := &d.scan
	start := s.i
	if d.fast(o, false) {
		o.raw = s.d[start:s.i]
		return d.finish(dst, o), true
	}
	s.i, s.limit, s.keys, s.high = start, 0, 0, false
	if !s.skip(1) {
		return dst, false
	}
	o.raw = s.d[start:s.i]
	return d.slow(dst, o), true
}

// fast reads one event by the fast path. It answers false for whatever needs a closer
// look, and then the scanner stands anywhere.
func (d *Decoder) fast(o *origin, top bool) bool {
	s := &d.scan
	start := s.i
	s.limit, s.keys, s.high = MaxDepth, 0, false
	d.fields.reset()
	if d.slowOnly || !s.readEvent(d.fields, top) {
		return false
	}
	size, keys := limits(o)
	return s.i-start <= size && s.keys <= keys && (!s.high || utf8.Valid(s.d[start:s.i]))
}

// limits are the greatest size and number of keys of an event.
func limits(o *origin) (size, keys int) {
	if o.imported {
		return maxImportEvent, maxImportKeys
	}
	return MaxEvent, MaxKeys
}

// slow reads one event that is JSON by the slow path, or rejects it.
func (d *Decoder) slow(dst []Record, o *origin) []Record {
	size, keys := limits(o)
	switch {
	case len(o.raw) > size:
		return d.reject(dst, o, TooLarge, "over 32 KiB", o.raw)
	case deeper(o.raw, MaxDepth):
		return d.reject(dst, o, TooDeep, "nested deeper than 16", o.raw)
	case d.scan.keys > keys:
		return d.reject(dst, o, TooLarge, "over 1,000 keys", o.raw)
	case !utf8.Valid(o.raw):
		return d.reject(dst, o, NotJSON, "not valid UTF-8", o.raw)
	case o.raw[0] != '{':
		return d.reject(dst, o, BadType, "an event must be an object", o.raw)
	}
	d.fields.reset()
	slowEvent(d.fields, o.raw)
	return d.finish(dst, o)
}

// deeper tells whether JSON that was checked is nested deeper than limit.
func deeper(raw []byte, limit int) bool {
	s := scanner{d: raw, limit: limit}
	return !s.skip(1)
}

// finish cleans what was read and appends the event, or its rejection.
func (d *Decoder) finish(dst []Record, o *origin) []Record {
	e := d.event()
	if code, why := d.build(e, d.fields, o); code != "" {
		d.unused(e)
		return d.reject(dst, o, code, why, o.raw)
	}
	return append(dst, Record{Index: uint32(o.index), Event: e}) //nolint:gosec // bounded by the message's size
}

// reject appends a rejection.
func (d *Decoder) reject(dst []Record, o *origin, code Code, why string, raw []byte) []Record {
	return append(dst, Record{
		Index: uint32(o.index), //nolint:gosec // bounded by the message's size
		Reject: &Reject{
			Code: code, Detail: why, Index: o.index, Source: o.source, ReceivedAt: o.receivedAt,
			Bytes: raw[:min(len(raw), MaxReject):min(len(raw), MaxReject)],
		},
	})
}

// eventChunk keeps a chunk of events just below 32 KiB, above which Go's allocator is
// slower.
const eventChunk = 48

// event is a new empty event.
func (d *Decoder) event() *Event {
	if n := len(d.free); n > 0 {
		e := d.free[n-1]
		d.free = d.free[:n-1]
		d.kept, e.Products = e.Products, nil
		return e
	}
	if len(d.events) == cap(d.events) {
		d.events = make([]Event, 0, eventChunk)
	}
	d.events = d.events[:len(d.events)+1]
	e := &d.events[len(d.events)-1]
	if d.reuse {
		*e = Event{}
	}
	return e
}

// unused takes back the event that was made last.
func (d *Decoder) unused(e *Event) {
	if d.reuse {
		*e = Event{}
		d.events = d.events[:len(d.events)-1]
		return
	}
	d.Recycle(e)
}

// Recycle takes an event of DecodeAll back, to be filled anew: nobody may use it any more,
// nor its products. Their strings may be kept.
func (d *Decoder) Recycle(e *Event) {
	if len(d.free) == freeMax {
		return
	}
	goods := e.Products
	clear(goods) // its strings hold its message
	*e = Event{Products: goods[:0]}
	d.free = append(d.free, e)
}

// freeMax bounds the events that wait to be filled anew: those of a few batches.
const freeMax = 16384

// goodsChunk is how many products are allocated at once.
const goodsChunk = 64

// room gives e room for n products, which no other event shares.
func (d *Decoder) room(e *Event, n int) {
	if n == 0 {
		return
	}
	if cap(d.kept) >= n {
		e.Products, d.kept = d.kept[:0], nil
		return
	}
	if cap(d.goods)-len(d.goods) < n {
		d.goods = make([]Product, 0, max(goodsChunk, n))
	}
	from := len(d.goods)
	d.goods = d.goods[:from+n]
	e.Products = d.goods[from : from : from+n]
}
