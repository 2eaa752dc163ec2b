package event

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// Version is the version of the envelope that this program writes and reads.
const Version = 1

// Header is what all events of an envelope share.
type Header struct {
	ReceivedAt     int64  // Unix milliseconds at which the gateway took them
	Source         string // the write key's source, never the key
	Sim            bool   // simulated: each event is received at its own time
	Import         bool   // imported: each event is received at its own time
	Synthetic      bool   // all events are flagged Synthetic
	AssumedConsent bool   // all events are flagged AssumedConsent
	Public         bool   // came by a browser's key: all events are flagged PublicKey
}

// Item is one raw event on its way into an envelope.
type Item struct {
	Type         string // what the path said, such as "track"; it wins over the event's own; may be empty
	SentAt       string // the batch's sentAt; may be empty
	Context      json.RawMessage
	Integrations json.RawMessage
	IP           string
	Flags        Flags  // Synthetic and AssumedConsent are passed on, others are not
	Reject       Code   // set by a gateway that already rejects it; it then goes to the dead letters
	Raw          []byte // the event as received
}

// Envelope flags of a single item: what a client may not set himself.
const itemFlags = Synthetic | AssumedConsent

// AppendEnvelope appends the envelope of items to dst. What is not JSON in an item
// is wrapped so that it harms only itself: such an event is rejected by the decoder.
// It is safe for concurrent use.
func AppendEnvelope(dst []byte, h Header, items []Item) []byte {
	dst = append(dst, `{"mr":1,"kind":"events","receivedAt":`...)
	dst = strconv.AppendInt(dst, h.ReceivedAt, 10)
	dst = append(dst, `,"source":`...)
	dst = appendString(dst, h.Source)
	for _, flag := range []struct {
		on   bool
		name string
	}{
		{h.Sim, "sim"},
		{h.Import, "import"},
		{h.Synthetic, "synthetic"},
		{h.AssumedConsent, "assumed_consent"},
		{h.Public, "public"},
	} {
		if flag.on {
			dst = append(append(append(dst, ',', '"'), flag.name...), `":true`...)
		}
	}
	dst = append(dst, `,"items":[`...)
	for i := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendItem(dst, &items[i])
	}
	return append(dst, ']', '}')
}

// appendItem appends one item. The event stands last, so that a reader knows all
// about it when it comes to it.
func appendItem(dst []byte, it *Item) []byte {
	open := len(dst)
	dst = append(dst, '{')
	field := func(name string) {
		if len(dst) > open+1 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), name...), '"', ':')
	}
	for _, s := range []struct{ name, value string }{
		{"t", it.Type}, {"s", it.SentAt}, {"ip", it.IP}, {"r", string(it.Reject)},
	} {
		if s.value != "" {
			field(s.name)
			dst = appendString(dst, s.value)
		}
	}
	for _, raw := range []struct {
		name  string
		value json.RawMessage
	}{{"c", it.Context}, {"i", it.Integrations}} {
		if len(raw.value) > 0 && valid(raw.value) && utf8.Valid(raw.value) {
			field(raw.name)
			dst = append(dst, raw.value...)
		}
	}
	if f := it.Flags & itemFlags; f != 0 {
		field("f")
		dst = strconv.AppendUint(dst, uint64(f), 10)
	}
	if valid(it.Raw) {
		field("e")
		return append(append(dst, it.Raw...), '}')
	}
	field("b")
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, it.Raw[:min(len(it.Raw), MaxReject)])
	return append(dst, '"', '}')
}

// AppendTick appends a tick to dst: the log's clock has reached at, Unix milliseconds.
func AppendTick(dst []byte, at int64) []byte {
	dst = append(dst, `{"mr":1,"kind":"tick","at":`...)
	return append(strconv.AppendInt(dst, at, 10), '}')
}

// AppendClock appends a clock message to dst: processing time has reached at, Unix
// milliseconds. Unlike a tick it says nothing of event time.
func AppendClock(dst []byte, at int64) []byte {
	dst = append(dst, `{"mr":1,"kind":"clock","at":`...)
	return append(strconv.AppendInt(dst, at, 10), '}')
}

// AppendReceipt appends the message of one receipt to dst.
func AppendReceipt(dst []byte, r *Receipt) []byte {
	dst = append(dst, `{"mr":1,"kind":"receipt","receipt":`...)
	return append(appendReceipt(dst, r), '}')
}

// AppendReceipts appends the message of several receipts to dst: what a message costs
// is paid once.
func AppendReceipts(dst []byte, rs []Receipt) []byte {
	dst = append(dst, `{"mr":1,"kind":"receipt","receipts":[`...)
	for i := range rs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendReceipt(dst, &rs[i])
	}
	return append(dst, ']', '}')
}

// appendReceipt appends the JSON of r.
func appendReceipt(dst []byte, r *Receipt) []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic("BUG: a receipt holds only strings and numbers: " + err.Error())
	}
	return append(dst, text...)
}
