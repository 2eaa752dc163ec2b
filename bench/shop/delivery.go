package shop

import (
	"strings"
	"time"

	"millrace/operators/event"
)

// deliver puts a message on its way to the server: at once, minutes late, twice, or
// with a malformed one beside it.
func (s *Simulation) deliver(who int, d *dice, id string, kind event.Kind, at int64, w *wire) {
	o := &s.options
	e := &Event{Time: moment(at), At: moment(at), Kind: kind, MessageID: id, Shopper: who, JSON: w.b}
	if d.chance(o.Late) {
		e.Late = true
		e.At = moment(at + millis(d.between(2*time.Minute, 15*time.Minute)))
	}
	s.emit(e)
	if d.chance(o.Duplicate) {
		again := *e
		again.Duplicate = true
		again.At = e.At.Add(d.between(time.Second, 90*time.Second).Truncate(time.Millisecond))
		s.emit(&again)
	}
	if d.chance(o.Malformed) {
		s.emit(malformed(who, d, at))
	}
}

func (s *Simulation) emit(e *Event) {
	s.push(e.Shopper, pending{at: e.At.UnixMilli(), what: doEmit, event: e})
}

// moment is a time of the simulation's clock.
func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// malformed is a call that a mistake in the shop's code makes. It is valid JSON, since
// the SDK made it, and must be rejected alone, without its batch.
func malformed(who int, d *dice, at int64) *Event {
	faults := [...]string{"no_identity", "no_event_name", "bad_type", "too_deep", "too_large"}
	fault := faults[d.weighted([]float64{4, 4, 4, 2, 1})]
	call, user, name := "track", "c-0", "Cart Debug"
	switch fault {
	case "no_identity":
		user = "undefined" // String(undefined): counts as absent
	case "no_event_name":
		name = " "
	case "bad_type":
		call = "trak"
	}
	w := &wire{b: make([]byte, 0, 512)}
	w.b = append(w.b, '{')
	w.text("type", call)
	w.text("userId", user)
	w.text("event", name)
	w.open("properties")
	switch fault {
	case "too_deep":
		const depth = 60 // the limit is 16
		for range depth {
			w.open("state")
		}
		for range depth {
			w.close()
		}
	case "too_large":
		w.text("screenshot", "data:image/png;base64,"+strings.Repeat("iVBORw0KGgoAAAAN", 2500)) // 40 kB; the limit is 32 KiB
	}
	w.close()
	w.open("context")
	w.close()
	id := "node-next-" + string(appendDigits(nil, int(at), 13)) + "-" + d.uuid()
	w.finish(at, id)
	return &Event{Time: moment(at), At: moment(at), MessageID: id, Shopper: who, JSON: w.b, Fault: fault}
}
