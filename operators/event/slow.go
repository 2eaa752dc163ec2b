package event

import (
	"bytes"
	"encoding/json"
)

// This file is the slow path: encoding/json, an object at a time. It fills the same
// fields as the fast one. Of a repeated key the last one counts.

// members are the members of a JSON object, or nil when raw is none.
func members(raw []byte) map[string]json.RawMessage {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

// slowValue is a value as the fast path would have read it.
func slowValue(raw json.RawMessage) val {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return val{}
	}
	switch c := raw[0]; c {
	case '"':
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return val{}
		}
		return val{s: text, t: c, odd: true}
	case '{', '[', 't', 'f', 'n':
		return val{s: string(raw), t: c}
	default:
		return val{s: string(raw), t: '0'}
	}
}

// slowGroup fills a group from an object.
func slowGroup(g *group, raw []byte, field func(string) uint8) {
	for key, value := range members(raw) {
		if id := field(key); id != none {
			*g.put(id) = slowValue(value)
		}
	}
}

// slowEvent fills f from an event.
func slowEvent(f *fields, raw []byte) {
	slowGroup(&f.event, raw, eventField)
	f.event.mask &^= 1<<eBatch | 1<<eEnvelope
	object := func(id uint8) []byte {
		v := f.event.get(id)
		if v.t != '{' {
			return nil
		}
		return []byte(v.s)
	}
	slowGroup(&f.traits, object(eTraits), traitField)
	slowGroup(&f.integrations, object(eIntegrations), integrationField)
	slowContext(f, object(eContext))
	slowGroup(&f.props, object(eProperties), propertyField)
	for _, id := range []uint8{fProducts, fItems} {
		if v := f.props.get(id); v.t == '[' {
			slowProducts(f, []byte(v.s))
			f.listOf = id
			break
		}
	}
}

// slowContext fills f from the context of an event or of a batch.
func slowContext(f *fields, raw []byte) {
	slowGroup(&f.context, raw, contextField)
	if v := f.context.get(cTraits); v.t == '{' {
		slowGroup(&f.personal, []byte(v.s), traitField)
	}
}

// slowProducts fills the list of products. An element that is no object is taken for
// a product's id.
func slowProducts(f *fields, raw []byte) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return
	}
	for _, element := range list {
		g := f.product()
		if element = bytes.TrimSpace(element); len(element) > 0 && element[0] == '{' {
			slowGroup(g, element, productField)
			continue
		}
		*g.put(pID) = slowValue(element)
	}
}

// member is a member of a raw object that was checked, or absent. Both paths use it
// for what is rare.
func member(raw, name string) val {
	s := scanner{d: bytesOf(raw)}
	if !s.take('{') {
		return val{}
	}
	var found, v val
	for first := true; ; first = false {
		key, state := s.key(first)
		if state == end {
			return found
		}
		if state == bail || !s.value(&v, 1) {
			return slowValue(members([]byte(raw))[name]) // a key with escapes
		}
		if key == name {
			found = v
		}
	}
}
