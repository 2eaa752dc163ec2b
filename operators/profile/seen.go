package profile

import (
	"encoding/binary"
	"slices"
)

// seenPart is how many remembered messages make a part of the stored form. A picture
// changes with nearly every event and its oldest messages never do: in parts of their
// own they are written once. Of most persons there is no part.
const seenPart = 32

// AppendHead appends what is written with every change. It implements state.Parted.
func (p *Person) AppendHead(b []byte) (head []byte, parts int) {
	parts = len(p.seen) / seenPart
	return p.appendHead(b, parts), parts
}

// AppendPart appends part n. It implements state.Parted.
func (p *Person) AppendPart(b []byte, n int) []byte {
	return p.appendSeen(append(b, schema), n*seenPart, (n+1)*seenPart)
}

// Missing is how many parts belong to the head that DecodeFrom read. It implements
// state.Parted.
func (p *Person) Missing() int { return p.missing }

// DecodePart reads part n. It answers ErrNewer or ErrDamaged, wrapped with the facts. It
// implements state.Parted.
func (p *Person) DecodePart(n int, b []byte) error {
	w, _ := ReadWire(b, schema)
	seen, hours := readSeen(w, seenPart)
	if len(seen) != seenPart || len(p.seen) < n*seenPart || len(p.seen)+seenPart > MaxSeen {
		w.fail("part of the wrong size")
	}
	if err := w.Err(); err != nil {
		return err
	}
	p.missing--
	p.seen, p.seenHours = slices.Insert(p.seen, n*seenPart, seen...), slices.Insert(p.seenHours, n*seenPart, hours...)
	return nil
}

// appendSeen writes remembered messages in runs of one hour each.
func (p *Person) appendSeen(b []byte, from, to int) []byte {
	b = binary.AppendUvarint(b, uint64(to-from))
	last := int64(0)
	for i := from; i < to; {
		n := i + 1
		for n < to && p.seenHours[n] == p.seenHours[i] {
			n++
		}
		b = binary.AppendVarint(b, int64(p.seenHours[i])-last)
		last = int64(p.seenHours[i])
		b = binary.AppendUvarint(b, uint64(n-i))
		for _, h := range p.seen[i:n] {
			b = append(b, byte(h), byte(h>>8), byte(h>>16), byte(h>>24), byte(h>>32))
		}
		i = n
	}
	return b
}

// readSeen reads what appendSeen wrote, at most limit messages.
func readSeen(w *Wire, limit int) (seen []uint64, hours []uint32) {
	n := w.Len(limit, messageBits/8)
	if n == 0 {
		return nil, nil
	}
	seen, hours = make([]uint64, 0, n), make([]uint32, 0, n)
	hour := int64(0)
	for len(seen) < n && w.err == nil {
		hour = min(max(hour+w.Varint(), 0), 1<<32-1)
		run := w.Len(n-len(seen), messageBits/8)
		if run == 0 {
			w.fail("hour without a message")
		}
		for range run {
			low := uint64(w.Byte()) | uint64(w.Byte())<<8 | uint64(w.Byte())<<16 | uint64(w.Byte())<<24
			seen, hours = append(seen, low|uint64(w.Byte())<<32), append(hours, uint32(hour))
		}
	}
	return seen, hours
}
