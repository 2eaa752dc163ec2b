package profile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrNewer says that a value was written by a newer program than this one.
var ErrNewer = errors.New("written by a newer version of the program")

// ErrDamaged says that a value is not what was written.
var ErrDamaged = errors.New("damaged value")

// Wire reads the hand-written binary form of state values. After the first error
// every read answers zero; ask Err at the end. The strings it answers share one copy
// of the input.
type Wire struct {
	s   string
	at  int
	err error
}

// ReadWire begins to read b, whose first byte is the version of the value's schema.
// It answers that version, which is 1 to newest, and refuses newer ones with ErrNewer.
func ReadWire(b []byte, newest byte) (*Wire, byte) { return ReadWireText(string(b), newest) }

// Begin is ReadWireText in the memory of w.
func (w *Wire) Begin(s string, newest byte) byte {
	*w = Wire{s: s, at: 1}
	switch {
	case s == "" || s[0] == 0:
		w.err = fmt.Errorf("%w: no schema version", ErrDamaged)
		return 0
	case s[0] > newest:
		w.err = fmt.Errorf("%w: schema %d, this program knows up to %d", ErrNewer, s[0], newest)
		return 0
	}
	return s[0]
}

// ReadWireText is ReadWire of a text; the strings that are read are pieces of it.
func ReadWireText(s string, newest byte) (*Wire, byte) {
	w := new(Wire)
	return w, w.Begin(s, newest)
}

// Err is the first error, also when something is left over.
func (w *Wire) Err() error {
	if w.err == nil && w.at != len(w.s) {
		w.fail("bytes left over")
	}
	return w.err
}

func (w *Wire) fail(why string) {
	if w.err == nil {
		w.err = fmt.Errorf("%w: %s at byte %d of %d", ErrDamaged, why, w.at, len(w.s))
	}
	w.at = len(w.s)
}

// Fail reports a value that its reader cannot accept.
func (w *Wire) Fail(why string) { w.fail(why) }

// Uvarint reads an unsigned number.
func (w *Wire) Uvarint() uint64 {
	var x uint64
	for shift := uint(0); shift < 70; shift += 7 {
		if w.at >= len(w.s) {
			w.fail("number cut off")
			return 0
		}
		b := w.s[w.at]
		w.at++
		if shift == 63 && b > 1 {
			break
		}
		x |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return x
		}
	}
	w.fail("number too long")
	return 0
}

// Varint reads a signed number.
func (w *Wire) Varint() int64 {
	u := w.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Int reads an unsigned number of at most limit.
func (w *Wire) Int(limit int) int {
	u := w.Uvarint()
	if u > uint64(limit) {
		w.fail("number over its limit")
		return 0
	}
	return int(u)
}

// Len reads a count of things that take at least size bytes each, at most limit.
func (w *Wire) Len(limit, size int) int {
	n := w.Int(limit)
	if n > (len(w.s)-w.at)/max(size, 1) {
		w.fail("count larger than the value")
		return 0
	}
	return n
}

// Byte reads one byte.
func (w *Wire) Byte() byte {
	if w.at >= len(w.s) {
		w.fail("cut off")
		return 0
	}
	w.at++
	return w.s[w.at-1]
}

// Fixed64 reads eight bytes.
func (w *Wire) Fixed64() uint64 {
	if len(w.s)-w.at < 8 {
		w.fail("cut off")
		return 0
	}
	s := w.s[w.at : w.at+8] // written out, the eight reads become one
	w.at += 8
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// Float reads a finite number.
func (w *Wire) Float() float64 {
	f := math.Float64frombits(w.Fixed64())
	if math.IsNaN(f) || math.IsInf(f, 0) {
		w.fail("not a finite number")
		return 0
	}
	return f
}

// String reads a text.
func (w *Wire) String() string {
	n := w.Len(len(w.s), 1)
	s := w.s[w.at : w.at+n]
	w.at += n
	return s
}

// AppendString writes a text.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendFloat writes a number.
func AppendFloat(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}
