package event

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

// This file opens envelopes.

// opening is an envelope while it is read.
type opening struct {
	version, kind  val
	receivedAt, at val
	source         val
	flags          Flags
	own            bool
	imported       bool
	haveItems      bool
}

// set takes one part of an envelope's header. It answers false for what it does not
// know.
func (p *opening) set(key string, v val) bool {
	flag := Flags(0)
	switch key {
	case "mr":
		p.version = v
	case "kind":
		p.kind = v
	case "receivedAt":
		p.receivedAt = v
	case "at":
		p.at = v
	case "source":
		p.source = v
	case "sim":
		p.own = p.own || v.t == 't'
	case "import":
		p.imported = p.imported || v.t == 't'
		p.own = p.own || p.imported
		flag = FromImport
	case "synthetic":
		flag = Synthetic
	case "assumed_consent":
		flag = AssumedConsent
	case "public":
		flag = PublicKey
	default:
		return false
	}
	if v.t == 't' {
		p.flags |= flag
	}
	return true
}

// check answers why an envelope cannot be opened, or "".
func (p *opening) check() string {
	if p.version.t != '0' || p.version.s != "1" {
		return "unknown version of the envelope"
	}
	if p.kind.t != '"' {
		return "the envelope has no kind"
	}
	switch p.kind.s {
	case "events":
		if _, ok := millis(&p.receivedAt); !ok && !p.own {
			return "the envelope has no receivedAt"
		}
	case "tick", "clock":
		if _, ok := millis(&p.at); !ok {
			return "the tick has no time"
		}
	case "receipt", "feedback", "stop", "steer", "handover", "redo", "offer":
	default:
		return "unknown kind of envelope"
	}
	return ""
}

// millis is a time in whole milliseconds within the bounds of sane clocks.
func millis(v *val) (int64, bool) {
	if v.t != '0' {
		return 0, false
	}
	d, ok := parseDecimal(v.s)
	if !ok {
		return 0, false
	}
	n, ok := d.whole()
	return n, ok && n >= timeMin && n < timeMax
}

// origin is what the header says of each event.
func (d *Decoder) origin(p *opening, storedAt int64) origin {
	o := origin{receivedAt: storedAt, seq: d.Seq, own: p.own, imported: p.imported, flags: p.flags, options: d.options.Default}
	if at, ok := millis(&p.receivedAt); ok {
		o.receivedAt = at
	}
	if p.source.t == '"' {
		o.source = idText(&p.source, &o.flags)
	}
	if s, ok := d.options.Sources[o.source]; ok {
		o.options = s
	}
	return o
}

// envelope reads an envelope as AppendEnvelope and its sisters write it, in one pass.
// It answers false, and appends nothing, when it is written otherwise.
func (d *Decoder) envelope(dst []Record, data []byte, storedAt int64) ([]Record, bool) {
	s := &d.scan
	s.limit = 0
	s.i++
	var p opening
	first := len(dst)
	for begin := true; ; begin = false {
		key, state := s.key(begin)
		if state == bail || state == more && p.haveItems {
			return dst[:first], false
		}
		if state == end {
			break
		}
		if key == "items" {
			if p.check() != "" || p.kind.s != "events" {
				return dst, false
			}
			o := d.origin(&p, storedAt)
			p.haveItems = true
			var ok bool
			if dst, ok = d.items(dst, &o); !ok {
				return dst[:first], false
			}
			continue
		}
		var v val
		if !s.value(&v, 1) || !p.set(key, v) {
			return dst[:first], false
		}
	}
	s.ws()
	if s.i != len(data) {
		return dst[:first], false
	}
	if p.kind.s == "tick" && p.check() == "" {
		at, _ := millis(&p.at)
		return append(dst, Record{Tick: at}), true
	}
	return dst, p.haveItems
}

// items reads the items of an envelope.
func (d *Decoder) items(dst []Record, o *origin) ([]Record, bool) {
	s := &d.scan
	if !s.take('[') {
		return dst, false
	}
	s.ws()
	if s.take(']') {
		return dst, true
	}
	flags := o.flags
	for o.index = 0; ; o.index++ {
		start := s.i
		o.flags = flags
		out, ok := d.item(dst, o)
		if !ok { // its parts stand in another order, or are unknown
			s.i, s.limit = start, 0
			if !s.skip(1) {
				return dst, false
			}
			stop := s.i
			whole := s.d
			o.flags = flags
			out = d.looseItem(dst, whole[start:stop], o)
			s.d, s.i = whole, stop
		}
		dst = out
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

// item reads an item as appendItem writes it: the event is last. It answers false for
// all others.
func (d *Decoder) item(dst []Record, o *origin) ([]Record, bool) {
	s := &d.scan
	o.call, o.sentAt, o.batch = "", val{}, nil
	if !s.take('{') {
		return dst, false
	}
	for first := true; ; first = false {
		key, state := s.key(first)
		if state != more {
			return dst, false
		}
		var ok bool
		switch key {
		case "t":
			var v val
			ok = s.value(&v, 1)
			o.call = v.s
		case "s":
			ok = s.value(&o.sentAt, 1)
		case "f":
			var v val
			ok = s.value(&v, 1)
			o.flags |= flagsOf(&v)
		case "ip":
			ok = s.skip(1)
		case "c":
			s.limit = MaxDepth
			ok = s.readContext(d.batchOf(o))
		case "i":
			s.limit = MaxDepth
			ok = s.readGroup(&d.batchOf(o).integrations, integrationField, 2)
		case "e":
			if dst, ok = d.one(dst, o); ok {
				s.ws()
				return dst, s.take('}')
			}
		default:
			ok = false
		}
		if !ok {
			return dst, false
		}
	}
}

// flagsOf reads the flags of an item.
func flagsOf(v *val) Flags {
	d, ok := parseDecimal(v.s)
	if !ok || v.t != '0' {
		return 0
	}
	n, ok := d.whole()
	if !ok {
		return 0
	}
	return Flags(n) & itemFlags //nolint:gosec // masked
}

// batchOf is the fields of the batch that an event came in, emptied on first use.
func (d *Decoder) batchOf(o *origin) *fields {
	if o.batch == nil {
		o.batch = d.batch
		o.batch.reset()
	}
	return o.batch
}

// loose reads an envelope whose parts stand in any order.
func (d *Decoder) loose(dst []Record, data []byte, m map[string]json.RawMessage, o *origin) []Record {
	var p opening
	for key, raw := range m {
		p.set(key, slowValue(raw)) // what it does not know is read below, or of a later version
	}
	if why := p.check(); why != "" {
		return d.reject(dst, o, BadEnvelope, why, data)
	}
	switch p.kind.s {
	case "tick", "clock":
		at, _ := millis(&p.at)
		return append(dst, Record{Tick: at, Clock: p.kind.s == "clock"})
	case "receipt":
		return d.receipts(dst, data, m, o)
	case "feedback":
		return d.feedback(dst, data, m, o)
	case "stop":
		return d.stop(dst, data, m, o)
	case "steer":
		return d.steer(dst, data, m, o)
	case "handover":
		return d.handover(dst, data, m, o)
	case "offer":
		return d.offer(dst, data, m, o)
	case "redo":
		return d.redo(dst, data, m, o)
	}
	items := bytes.TrimSpace(m["items"])
	*o = d.origin(&p, o.receivedAt)
	if len(items) == 0 || items[0] != '[' {
		return d.reject(dst, o, BadEnvelope, "the envelope has no items", data)
	}
	d.scan.d, d.scan.i = items, 0
	dst, _ = d.items(dst, o) // items are valid
	return dst
}

// looseItem reads an item whose parts stand in any order.
func (d *Decoder) looseItem(dst []Record, raw []byte, o *origin) []Record {
	m := members(raw)
	o.call, o.sentAt, o.batch = slowValue(m["t"]).s, slowValue(m["s"]), nil
	flags := slowValue(m["f"])
	o.flags |= flagsOf(&flags)
	if b, ok := m["b"]; ok {
		return d.wrapped(dst, b, slowValue(m["r"]), o)
	}
	e := bytes.TrimSpace(m["e"])
	if len(e) == 0 {
		return d.reject(dst, o, BadEnvelope, "an item of the envelope has no event", raw)
	}
	if r := slowValue(m["r"]); r.t == '"' {
		return d.reject(dst, o, gatewayCode(r.s), "rejected by the gateway", e)
	}
	if c := bytes.TrimSpace(m["c"]); len(c) > 0 {
		slowContext(d.batchOf(o), c)
	}
	if i := bytes.TrimSpace(m["i"]); len(i) > 0 {
		slowGroup(&d.batchOf(o).integrations, i, integrationField)
	}
	d.scan.d, d.scan.i = e, 0
	dst, _ = d.one(dst, o) // e is valid
	return dst
}

// gatewayCode is the code that a gateway gave, if it is one of ours.
func gatewayCode(s string) Code {
	switch c := Code(s); c {
	case TooLarge, NoIdentity, NoEventName, BadType, TooDeep, BatchTooLong, NotJSON, NotAllowed:
		return c
	}
	return BadEnvelope
}

// wrapped rejects an event that was not JSON and stands in the envelope as base64.
func (d *Decoder) wrapped(dst []Record, b json.RawMessage, code val, o *origin) []Record {
	raw, err := base64.StdEncoding.DecodeString(slowValue(b).s)
	if err != nil {
		return d.reject(dst, o, BadEnvelope, "bytes of an item are not base64", b)
	}
	if code.t == '"' {
		return d.reject(dst, o, gatewayCode(code.s), "rejected by the gateway", raw)
	}
	return d.reject(dst, o, NotJSON, "the event is not JSON", raw)
}

// receipts reads one receipt or several.
func (d *Decoder) receipts(dst []Record, data []byte, m map[string]json.RawMessage, o *origin) []Record {
	list := make([]json.RawMessage, 0, 1)
	if one, ok := m["receipt"]; ok {
		list = append(list, one)
	} else if json.Unmarshal(m["receipts"], &list) != nil || len(list) == 0 {
		return d.reject(dst, o, BadEnvelope, "the envelope has no receipt", data)
	}
	for i, raw := range list {
		o.index = i
		r := new(Receipt)
		if json.Unmarshal(raw, r) != nil || r.Decision == "" || r.Outcome > UnknownOutcome {
			dst = d.reject(dst, o, BadEnvelope, "a receipt is unreadable", raw)
			continue
		}
		dst = append(dst, Record{Index: uint32(i), Receipt: r}) //nolint:gosec // bounded by the message's size
	}
	return dst
}
