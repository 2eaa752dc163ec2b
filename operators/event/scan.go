package event

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// A val is one JSON value. Its text aliases the message or the decoder's text.
type val struct {
	s   string // decoded text of a string; the literal of a number; the raw text of an object or array
	t   byte   // '"', '0', 't', 'f', 'n', '{', '[', or 0 when absent
	odd bool   // a string with escapes or beyond ASCII: it may need cleaning
}

// scanner reads JSON strictly, once, without copying. Its methods answer false when
// the text is not JSON, or is JSON that the fast path leaves to the slow one.
type scanner struct {
	d     []byte
	i     int
	keys  int  // keys seen
	high  bool // a byte beyond ASCII was seen: the caller must check UTF-8
	limit int  // greatest nesting; 0 means any
	open  int  // objects and arrays that skip is in
	inner uint64
	outer []bool // what inner has no room for
	text  []byte // unescaped strings; only appended to, so that aliases stay good
}

// ws skips white space.
func (s *scanner) ws() {
	for s.i < len(s.d) {
		switch s.d[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek is the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.d) {
		return s.d[s.i]
	}
	return 0
}

// take consumes c.
func (s *scanner) take(c byte) bool {
	if s.i < len(s.d) && s.d[s.i] == c {
		s.i++
		return true
	}
	return false
}

// What key found.
const (
	bail = iota // not JSON, or left to the slow path
	more        // a key
	end         // the object's end
)

// key reads up to the next value of an object: its key, or the object's end.
func (s *scanner) key(first bool) (string, int) {
	s.ws()
	if s.take('}') {
		return "", end
	}
	if !first {
		if !s.take(',') {
			return "", bail
		}
		s.ws()
	}
	if !s.take('"') {
		return "", bail
	}
	start := s.i
	if !s.plain() || s.d[s.i] != '"' {
		return "", bail
	}
	name := alias(s.d[start:s.i])
	s.i++
	s.keys++
	s.ws()
	if !s.take(':') {
		return "", bail
	}
	s.ws()
	return name, more
}

// The bytes of a word, each holding the same value.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain runs to the next quote or backslash and answers false at a control character
// or the end. It looks at eight bytes at a time.
func (s *scanner) plain() bool {
	d, i := s.d, s.i
	for {
		for i+8 <= len(d) {
			x := binary.LittleEndian.Uint64(d[i:])
			quote, slash := x^(ones*'"'), x^(ones*'\\')
			hit := ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*' ')&^x | x) & highs
			if hit == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(hit) >> 3
			break
		}
		if i >= len(d) {
			s.i = i
			return false
		}
		switch c := d[i]; {
		case c == '"' || c == '\\':
			s.i = i
			return true
		case c < ' ':
			s.i = i
			return false
		case c >= utf8.RuneSelf:
			s.high = true
			for i < len(d) && d[i] >= utf8.RuneSelf {
				i++
			}
		default:
			i++
		}
	}
}

// str reads a string after its opening quote.
func (s *scanner) str(v *val) bool {
	start := s.i
	high := s.high
	s.high = false
	if !s.plain() {
		return false
	}
	v.t, v.odd = '"', s.high
	s.high = s.high || high
	if s.d[s.i] == '"' {
		v.s = alias(s.d[start:s.i])
		s.i++
		return true
	}
	v.odd = true
	return s.escaped(v, start)
}

// Unescaped strings are kept in chunks: a new one begins when less than textFree is
// left, which is above what most strings need.
const (
	textChunk = 4096
	textFree  = 256
)

// escaped reads the rest of a string that holds escapes. What it appends is never
// longer than what it reads.
func (s *scanner) escaped(v *val, start int) bool {
	if cap(s.text)-len(s.text) < textFree {
		s.text = make([]byte, 0, textChunk)
	}
	first := len(s.text)
	s.text = append(s.text, s.d[start:s.i]...)
	for {
		if s.d[s.i] == '"' {
			s.i++
			v.s = alias(s.text[first:])
			return true
		}
		r, ok := s.escape()
		if !ok {
			return false
		}
		s.text = utf8.AppendRune(s.text, r)
		from := s.i
		if !s.plain() {
			return false
		}
		s.text = append(s.text, s.d[from:s.i]...)
	}
}

// escape reads one escape, or the two of a surrogate pair. A lone surrogate becomes
// U+FFFD.
func (s *scanner) escape() (rune, bool) {
	if s.i+1 >= len(s.d) {
		return 0, false
	}
	c := s.d[s.i+1]
	s.i += 2
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		r, ok := s.hex()
		if !ok || !utf16.IsSurrogate(r) {
			return r, ok
		}
		back := s.i
		if s.take('\\') && s.take('u') {
			if low, ok := s.hex(); ok {
				if r := utf16.DecodeRune(r, low); r != utf8.RuneError {
					return r, true
				}
			}
		}
		s.i = back // what follows stands for itself
		return utf8.RuneError, true
	}
	return 0, false
}

// hex reads four hexadecimal digits.
func (s *scanner) hex() (rune, bool) {
	if s.i+4 > len(s.d) {
		return 0, false
	}
	var r rune
	for _, c := range s.d[s.i : s.i+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	s.i += 4
	return r, true
}

// skipStr checks a string after its opening quote and leaves it.
func (s *scanner) skipStr() bool {
	for s.plain() {
		if s.d[s.i] == '"' {
			s.i++
			return true
		}
		if _, ok := s.escape(); !ok {
			return false
		}
	}
	return false
}

// number checks a number and leaves it.
func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return true
}

// digits leaves at least one digit.
func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.d) && s.d[s.i]-'0' <= 9 {
		s.i++
	}
	return s.i > start
}

// word leaves a literal.
func (s *scanner) word(w string) bool {
	if len(s.d)-s.i < len(w) || string(s.d[s.i:s.i+len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

// scalar checks a value that is no object and no array, and leaves it.
func (s *scanner) scalar() bool {
	switch c := s.peek(); c {
	case '"':
		s.i++
		return s.skipStr()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

// value reads a value that stands at nesting depth; objects and arrays stay raw.
func (s *scanner) value(v *val, depth int) bool {
	start := s.i
	v.odd = false
	switch c := s.peek(); c {
	case '"':
		s.i++
		return s.str(v)
	case '{', '[':
		v.t = c
		if !s.skip(depth) {
			return false
		}
	case 't', 'f', 'n':
		v.t = c
		if !s.scalar() {
			return false
		}
	default:
		v.t = '0'
		if !s.number() {
			return false
		}
	}
	v.s = alias(s.d[start:s.i])
	return true
}

// skip checks a value of any kind that stands at nesting depth, and leaves it. It
// does not recurse, so that no input can exhaust the stack.
func (s *scanner) skip(depth int) bool {
	s.open, s.outer = 0, s.outer[:0]
	for {
		s.ws()
		if c := s.peek(); c == '{' || c == '[' {
			s.i++
			s.push(c == '{')
			if s.limit > 0 && depth+s.open > s.limit+1 {
				return false
			}
			s.ws()
			if s.peek() != c+2 { // '{'+2 is '}', '['+2 is ']'
				if c == '{' && !s.skipKey() {
					return false
				}
				continue
			}
		} else if !s.scalar() {
			return false
		}
		open, ok := s.skipAfter()
		if !ok || !open {
			return ok
		}
	}
}

// skipAfter leaves what stands after a value: ends of what is open, or a comma and,
// in an object, a key. It tells whether a value must follow.
func (s *scanner) skipAfter() (open, ok bool) {
	for s.open > 0 {
		object := s.inner&1 != 0
		s.ws()
		if s.take(',') {
			s.ws()
			return true, !object || s.skipKey()
		}
		if c := s.peek(); object && c != '}' || !object && c != ']' {
			return false, false
		}
		s.i++
		s.pop()
	}
	return false, true
}

// push notes that an object or an array begins. The innermost 64 are kept as bits, so
// that ordinary values need no memory.
func (s *scanner) push(object bool) {
	if s.open >= 64 {
		s.outer = append(s.outer, s.inner>>63 != 0)
	}
	s.open++
	s.inner <<= 1
	if object {
		s.inner |= 1
	}
}

// pop notes that it ends.
func (s *scanner) pop() {
	s.open--
	s.inner >>= 1
	if n := len(s.outer); n > 0 {
		if s.outer[n-1] {
			s.inner |= 1 << 63
		}
		s.outer = s.outer[:n-1]
	}
}

// skipKey leaves a key and its colon.
func (s *scanner) skipKey() bool {
	if !s.take('"') || !s.skipStr() {
		return false
	}
	s.keys++
	s.ws()
	return s.take(':')
}

// valid tells whether d is one JSON value. Bytes that are not UTF-8 are let pass in
// strings: they are one event's fault, not its neighbours'.
func valid(d []byte) bool {
	s := scanner{d: d}
	if !s.skip(1) {
		return false
	}
	s.ws()
	return s.i == len(d)
}

// alias is b as a string that shares its memory.
func alias(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// bytesOf is the memory of s, which must not be written to.
func bytesOf(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s))
}
