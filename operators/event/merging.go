package event

import (
	"bytes"
	"encoding/json"
	"strings"
)

// This file reads what says that two ids are one person: the alias call, and the merge
// call of RudderStack. Both become an Event of kind Alias: PreviousID joins UserID.

// merged sets the ids of an alias or a merge. A merge names them as an alias does, or
// in mergeProperties, a list of two: the first one stays. Of an anonymous id and a user
// id the user id stays, wherever it stands.
func (e *Event) merged(f *fields, merge bool) (Code, string) {
	e.PreviousID = identity(f.event.get(ePreviousID), &e.Flags)
	if v := f.event.get(eMerge); merge && v.t == '[' && (e.UserID == "" || e.PreviousID == "") {
		if why := e.mergeProperties([]byte(v.s)); why != "" {
			return BadMerge, why
		}
	}
	switch {
	case e.UserID == "":
		return NoIdentity, "alias without userId"
	case merge && e.PreviousID == "":
		return BadMerge, "merge without a second id"
	}
	if e.PreviousID == e.UserID {
		e.PreviousID = ""
		e.Flags |= AliasSelf
	}
	return "", ""
}

// mergeProperties reads the two ids of a merge call. It answers why it cannot.
func (e *Event) mergeProperties(raw []byte) string {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) != 2 {
		return "mergeProperties must name two ids"
	}
	var users, visitors []string
	for _, element := range list {
		m := members(bytes.TrimSpace(element))
		kind, value := slowValue(m["type"]), slowValue(m["value"])
		switch strings.ToLower(strings.ReplaceAll(strings.TrimSpace(kind.s), "_", "")) {
		case "userid":
			if id := identity(&value, &e.Flags); id != "" {
				users = append(users, id)
			}
		case "anonymousid":
			if id := visitor(&value, &e.Flags); id != "" {
				visitors = append(visitors, id)
			}
		default:
			return "mergeProperties can name userId and anonymousId only"
		}
	}
	switch ids := append(users, visitors...); {
	case len(ids) < 2:
		return "an id of mergeProperties is missing"
	case len(users) == 0:
		return "one of mergeProperties must be a userId"
	default:
		e.UserID, e.PreviousID = ids[0], ids[1]
	}
	return ""
}

// Handover is the whole state of a person who was merged into another one, on its way
// through the log. It counts from its position there.
type Handover struct {
	ID     string `json:"id"`     // a person is handed over once: a repeat is known by it
	From   string `json:"from"`   // pseudonym of the person who is no more
	To     string `json:"to"`     // pseudonym of the person whom the state joins
	Effect string `json:"effect"` // the outbox row
	At     int64  `json:"at"`     // watermark of the merge, Unix milliseconds
	Parts  []Part `json:"parts"`  // of the operators that keep something of persons
}

// Part is what one operator hands over, as it stores it.
type Part struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

// partsMax bounds the parts of a handover: as many operators as a graph may have.
const partsMax = 32

// Put adds what an operator hands over.
func (h *Handover) Put(name string, data []byte) {
	h.Parts = append(h.Parts, Part{Name: name, Data: data})
}

// Part is what an operator of that name handed over, or nil.
func (h *Handover) Part(name string) []byte {
	for i := range h.Parts {
		if h.Parts[i].Name == name {
			return h.Parts[i].Data
		}
	}
	return nil
}

// AppendHandover appends the message of a handover to dst. The handover is JSON.
func AppendHandover(dst, handover []byte) []byte {
	dst = append(dst, `{"mr":1,"kind":"handover","handover":`...)
	return append(append(dst, handover...), '}')
}

// handover reads a message that AppendHandover wrote.
func (d *Decoder) handover(dst []Record, data []byte, m map[string]json.RawMessage, o *origin) []Record {
	h := new(Handover)
	if json.Unmarshal(m["handover"], h) != nil || h.ID == "" || h.From == "" || h.To == "" || h.From == h.To || len(h.Parts) > partsMax {
		return d.reject(dst, o, BadEnvelope, "the handover is unreadable", data)
	}
	return append(dst, Record{Handover: h})
}
