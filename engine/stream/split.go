package stream

import (
	"encoding/json"
	"errors"
)

// errJSON says that a body is not the JSON we asked for. What exactly is wrong would
// help nobody: no SDK shows it.
var errJSON = errors.New("the body is not the JSON expected")

// batch is a request's body, split. Its slices alias the body.
type batch struct {
	writeKey     []byte // the string's inside, still escaped
	sentAt       json.RawMessage
	context      json.RawMessage
	integrations json.RawMessage
	events       [][]byte // each one JSON value; not judged
	rest         []byte   // what stands beyond the most events one batch may have
}

// splitBatch checks that body is one JSON object with an array "batch", and takes it
// apart without judging the events. It keeps the last of equal keys, as
// encoding/json does, and has no limit of depth, so that a deep event is the
// decoder's to reject and not a reason to refuse its neighbours.
func splitBatch(body []byte, eventsMax int) (batch, error) {
	var b batch
	found := false
	s := scanner{b: body}
	err := s.object(func(key string, begin int) bool {
		if key == "batch" {
			b.events, b.rest = nil, nil
			found = s.b[begin] == '['
			return !found || !s.elements(&b, eventsMax)
		}
		if !s.value() {
			return true
		}
		b.keep(key, body[begin:s.i])
		return false
	})
	if err != nil || !found {
		return batch{}, errJSON
	}
	return b, nil
}

// splitEvent checks that body is one JSON object: an event of its own.
func splitEvent(body []byte) (batch, error) {
	var b batch
	s := scanner{b: body}
	err := s.object(func(key string, begin int) bool {
		if !s.value() {
			return true
		}
		if key == "writeKey" {
			b.keep(key, body[begin:s.i])
		}
		return false
	})
	if err != nil {
		return batch{}, errJSON
	}
	b.events = [][]byte{s.b[s.from:s.to]}
	return b, nil
}

func (b *batch) keep(key string, v []byte) {
	switch key {
	case "writeKey":
		b.writeKey = nil
		if v[0] == '"' {
			b.writeKey = v[1 : len(v)-1]
		}
	case "sentAt":
		b.sentAt = v
	case "context":
		b.context = v
	case "integrations":
		b.integrations = v
	}
}

// scanner is a strict reader of JSON (RFC 8259) that never allocates for sane input.
// Its methods answer false where the text is not JSON.
type scanner struct {
	b        []byte
	i        int
	open     []byte // the brackets that are open inside the value being read
	from, to int    // where the outermost object stands
}

// object reads the whole text as one object and calls f at each value, which f must
// read to its end. f answers true to stop with an error.
func (s *scanner) object(f func(key string, begin int) (bad bool)) error {
	if len(s.b) >= 3 && s.b[0] == 0xEF && s.b[1] == 0xBB && s.b[2] == 0xBF {
		s.i = 3 // a byte order mark, which some clients send
	}
	s.space()
	s.from = s.i
	if !s.is('{') {
		return errJSON
	}
	s.space()
	if !s.is('}') {
		for more := true; more; {
			begin := s.i
			if !s.key() {
				return errJSON
			}
			key, ok := unquote(s.b[begin:s.i])
			if !ok || !s.colon() || s.i >= len(s.b) || f(key, s.i) {
				return errJSON
			}
			s.space()
			if more = s.is(','); more {
				s.space()
			} else if !s.is('}') {
				return errJSON
			}
		}
	}
	s.to = s.i
	s.space()
	if s.i != len(s.b) {
		return errJSON
	}
	return nil
}

// elements reads an array and keeps its elements, at most eventsMax of them singly.
func (s *scanner) elements(b *batch, eventsMax int) bool {
	s.i++ // the bracket
	s.space()
	if s.is(']') {
		b.events = [][]byte{}
		return true
	}
	rest := -1
	for {
		begin := s.i
		if !s.value() {
			return false
		}
		if len(b.events) < eventsMax {
			b.events = append(b.events, s.b[begin:s.i])
		} else if rest < 0 {
			rest = begin
		}
		end := s.i
		s.space()
		if s.is(',') {
			s.space()
			continue
		}
		if rest >= 0 {
			b.rest = s.b[rest:end]
		}
		return s.is(']')
	}
}

// value skips one value. It keeps its own stack, so depth costs no more than bytes.
func (s *scanner) value() bool {
	s.open = s.open[:0]
	for {
		opened, ok := s.atom()
		if !ok {
			return false
		}
		if opened {
			continue
		}
		more, ok := s.after()
		if !ok {
			return false
		}
		if !more {
			return true
		}
	}
}

// atom reads a scalar, an empty object or array, or the beginning of a filled one up
// to its first value, in which case it answers opened.
func (s *scanner) atom() (opened, ok bool) {
	if s.i >= len(s.b) {
		return false, false
	}
	switch c := s.b[s.i]; c {
	case '{':
		s.i++
		s.space()
		if s.is('}') {
			return false, true
		}
		s.open = append(s.open, '}')
		return true, s.key() && s.colon()
	case '[':
		s.i++
		s.space()
		if s.is(']') {
			return false, true
		}
		s.open = append(s.open, ']')
		return true, true
	case '"':
		return false, s.key()
	case 't':
		return false, s.literal("true")
	case 'f':
		return false, s.literal("false")
	case 'n':
		return false, s.literal("null")
	default:
		return false, s.number()
	}
}

// after reads what follows a value inside the value being skipped: it closes what is
// complete and answers whether another value follows.
func (s *scanner) after() (more, ok bool) {
	for len(s.open) > 0 {
		top := s.open[len(s.open)-1]
		s.space()
		if s.is(',') {
			s.space()
			return true, top == ']' || s.key() && s.colon()
		}
		if !s.is(top) {
			return false, false
		}
		s.open = s.open[:len(s.open)-1]
	}
	return false, true
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) is(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) colon() bool {
	s.space()
	ok := s.is(':')
	s.space()
	return ok
}

func (s *scanner) literal(word string) bool {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return false
	}
	s.i += len(word)
	return true
}

// key reads a string, whether it is a key or a value.
func (s *scanner) key() bool {
	if !s.is('"') {
		return false
	}
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return true
		case c == '\\':
			if !s.escape() {
				return false
			}
		case c < 0x20:
			return false
		default:
			s.i++
		}
	}
	return false
}

func (s *scanner) escape() bool {
	if s.i+1 >= len(s.b) {
		return false
	}
	switch s.b[s.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return true
	case 'u':
		if s.i+6 > len(s.b) {
			return false
		}
		for _, c := range s.b[s.i+2 : s.i+6] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return false
			}
		}
		s.i += 6
		return true
	default:
		return false
	}
}

func (s *scanner) number() bool {
	s.is('-')
	if !s.is('0') && !s.digits() {
		return false
	}
	if s.is('.') && !s.digits() {
		return false
	}
	if s.is('e') || s.is('E') {
		if !s.is('+') {
			s.is('-')
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	begin := s.i
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		s.i++
	}
	return s.i > begin
}

// unquote is the meaning of a string that the scanner has read.
func unquote(q []byte) (string, bool) {
	for _, c := range q {
		if c == '\\' || c >= 0x80 {
			var s string
			err := json.Unmarshal(q, &s)
			return s, err == nil
		}
	}
	return string(q[1 : len(q)-1]), true
}
