package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// windowsVersion is the schema of Windows: flags, times, and for each open window what
// differs from the window before, then its accumulator with its length.
const windowsVersion = 1

// Flags of a stored window.
const (
	paneFired = 1 << iota
	paneDue
	paneSince
	paneEnd
)

// ErrWindows says that stored windows cannot be read.
var ErrWindows = errors.New("the stored windows are damaged")

// AppendTo implements state.Codec.
func (s *Windows[A, P]) AppendTo(b []byte) []byte {
	b = append(b, windowsVersion, flag(s.begun, 1)|flag(s.armed, 2)|flag(s.forced, 4))
	if s.begun {
		b = binary.AppendVarint(b, s.fired)
	}
	if s.armed {
		b = binary.AppendVarint(b, s.timer)
	}
	if s.forced {
		b = binary.AppendVarint(b, s.force)
	}
	b = binary.AppendUvarint(b, uint64(s.shape))
	b = binary.AppendUvarint(b, uint64(len(s.open)))
	before := int64(0)
	for i := range s.open {
		p := &s.open[i]
		b = append(b, flag(p.fired, paneFired)|flag(p.due != noTime, paneDue)|flag(p.since != 0, paneSince)|flag(p.end != 0, paneEnd))
		b = binary.AppendVarint(b, p.start-before)
		before = p.start
		if p.end != 0 {
			b = binary.AppendVarint(b, p.end-p.start)
		}
		if p.due != noTime {
			b = binary.AppendVarint(b, p.due-p.start)
		}
		if p.since != 0 {
			b = binary.AppendUvarint(b, p.since)
		}
		b = appendSized(b, P(&p.a).AppendTo)
	}
	return b
}

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

// appendSized appends what f appends, behind its length.
func appendSized(b []byte, f func([]byte) []byte) []byte {
	at := len(b)
	b = f(append(b, 0))
	n := len(b) - at - 1
	if n < 0x80 {
		b[at] = byte(n)
		return b
	}
	var size [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(size[:], uint64(n))
	return slices.Replace(b, at, at+1, size[:k]...)
}

// DecodeFrom implements state.Codec.
func (s *Windows[A, P]) DecodeFrom(b []byte) error {
	*s = Windows[A, P]{}
	r := reading{b: b}
	if v := r.byte(); v != windowsVersion {
		return fmt.Errorf("version %d: %w", v, ErrWindows)
	}
	flags := r.byte()
	s.begun, s.armed, s.forced = flags&1 != 0, flags&2 != 0, flags&4 != 0
	if s.begun {
		s.fired = r.time()
	}
	if s.armed {
		s.timer = r.time()
	}
	if s.forced {
		s.force = r.time()
	}
	s.shape = uint32(r.uvarint()) //nolint:gosec // some of its bits
	n := r.count(3)               // flags, a time and a length at least
	s.open = make([]pane[A], n)
	before := int64(0)
	for i := range s.open {
		p := &s.open[i]
		flags := r.byte()
		p.start = before + r.time()
		p.fired, p.due = flags&paneFired != 0, noTime
		if flags&paneEnd != 0 {
			p.end = p.start + r.time()
		}
		if flags&paneDue != 0 {
			p.due = p.start + r.time()
		}
		if flags&paneSince != 0 {
			p.since = r.uvarint()
		}
		raw := r.bytes(r.count(1))
		if r.bad || i > 0 && p.start <= before || p.start > 4*maxTime || p.start < -4*maxTime {
			return fmt.Errorf("window %d of %d: %w", i, n, ErrWindows)
		}
		before = p.start
		if err := P(&p.a).DecodeFrom(raw); err != nil {
			return fmt.Errorf("window %d of %d: %w", i, n, err)
		}
	}
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("%d bytes at the end: %w", len(r.b), ErrWindows)
	}
	return nil
}

// reading reads a stored value. After the first fault it answers zeros and is bad.
type reading struct {
	b   []byte
	bad bool
}

func (r *reading) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reading) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reading) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// time is a number that arithmetic on times can bear.
func (r *reading) time() int64 {
	v := r.varint()
	if v > 4*maxTime || v < -4*maxTime {
		r.bad = true
		return 0
	}
	return v
}

// count is a number of things that take at least size bytes each, all of which must
// be there: damage must not ask for memory.
func (r *reading) count(size int) int {
	v := r.uvarint()
	if v > uint64(len(r.b)/size) {
		r.bad = true
		return 0
	}
	return int(v) //nolint:gosec // bounded the line before
}

func (r *reading) bytes(n int) []byte {
	if n > len(r.b) {
		r.bad = true
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reading) fixed() uint64 {
	v := r.bytes(8)
	if v == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(v)
}
