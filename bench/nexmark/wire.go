package nexmark

import (
	"encoding/binary"
	"errors"

	"millrace/engine"
)

// wireVersion begins each message, which holds events one behind the other.
const wireVersion = 1

// AppendEvent appends an event to a message, which it begins if b is empty.
func AppendEvent(b []byte, e *Event) []byte {
	if len(b) == 0 {
		b = append(b, wireVersion)
	}
	b = append(b, byte(e.Kind))
	switch e.Kind {
	case PersonKind:
		p := e.Person
		b = appendInts(b, p.ID, p.Time)
		return appendTexts(b, p.Name, p.Email, p.Card, p.City, p.State, p.Extra)
	case AuctionKind:
		a := e.Auction
		b = appendInts(b, a.ID, a.InitialBid, a.Reserve, a.Time, a.Expires, a.Seller, a.Category)
		return appendTexts(b, a.Item, a.Description, a.Extra)
	case BidKind:
		v := &e.Bid
		b = appendInts(b, v.Auction, v.Bidder, v.Price, v.Time)
		return appendTexts(b, v.Channel, v.URL, v.Extra)
	case EndKind:
	}
	return appendInts(b, e.Bid.Time)
}

func appendInts(b []byte, all ...int64) []byte {
	for _, v := range all {
		b = binary.AppendVarint(b, v)
	}
	return b
}

func appendTexts(b []byte, all ...string) []byte {
	for _, s := range all {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// Decoder reads messages of AppendEvent. What it cannot read is a unit whose value is an
// error.
type Decoder struct{}

var errWire = errors.New("the message is no Nexmark events")

// wire reads a message. After the first fault it is bad.
type wire struct {
	b    []byte
	text string // the same bytes, for substrings without a copy each
	bad  bool
}

func (w *wire) ints(all ...*int64) {
	for _, p := range all {
		v, n := binary.Varint(w.b)
		if n <= 0 {
			w.bad = true
			return
		}
		*p, w.b = v, w.b[n:]
	}
}

func (w *wire) texts(all ...*string) {
	for _, p := range all {
		v, n := binary.Uvarint(w.b)
		if n <= 0 || v > uint64(len(w.b)-n) {
			w.bad = true
			return
		}
		at := len(w.text) - len(w.b) + n
		end := at + int(v) //nolint:gosec // bounded above
		*p, w.b = w.text[at:end], w.b[n+int(v):]
	}
}

// Decode implements engine.Decoder. The time at which the log stored a message is when its
// events were received: the processing time of q12.
func (Decoder) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	if len(m.Data) == 0 || m.Data[0] != wireVersion {
		return append(dst, engine.Unit{Value: errWire})
	}
	w := wire{b: m.Data[1:], text: string(m.Data)}
	events := make([]Input, 0, 1+len(m.Data)/120) // about the events in it
	for len(w.b) > 0 {
		events = append(events, Input{Received: m.Time})
		e := &events[len(events)-1].Event
		e.Kind = Kind(w.b[0])
		w.b = w.b[1:]
		switch e.Kind {
		case PersonKind:
			p := &Person{}
			e.Person = p
			w.ints(&p.ID, &p.Time)
			w.texts(&p.Name, &p.Email, &p.Card, &p.City, &p.State, &p.Extra)
		case AuctionKind:
			a := &Auction{}
			e.Auction = a
			w.ints(&a.ID, &a.InitialBid, &a.Reserve, &a.Time, &a.Expires, &a.Seller, &a.Category)
			w.texts(&a.Item, &a.Description, &a.Extra)
		case BidKind:
			v := &e.Bid
			w.ints(&v.Auction, &v.Bidder, &v.Price, &v.Time)
			w.texts(&v.Channel, &v.URL, &v.Extra)
		case EndKind:
			w.ints(&e.Bid.Time)
		default:
			w.bad = true
		}
		if w.bad {
			events = events[:len(events)-1]
			break
		}
	}
	for i := range events {
		dst = append(dst, engine.Unit{Time: events[i].Time(), Received: m.Time, Value: &events[i]})
	}
	if w.bad {
		dst = append(dst, engine.Unit{Value: errWire})
	}
	return dst
}

// Input is an event as it reached the engine.
type Input struct {
	Event
	Received int64 // Unix milliseconds
}
