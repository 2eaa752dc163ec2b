package profile

import "encoding/binary"

// seenPart is how many remembered messages make a part of the stored form. A picture
// changes with nearly every event and its oldest messages never do: in parts of their
// own they are written once. Of most persons there is no part.
const seenPart = 32

// AppendHead appends what is written with every change. It implements state.Parted.
func (p *Person) AppendHead(b []byte) (head []byte, parts int) {
	parts = p.seen.len() / seenPart
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
	seen := readSeen(w, seenPart, memory{})
	if seen.len() != seenPart || p.seen.len() < n*seenPart || p.seen.len()+seenPart > MaxSeen {
		w.fail("part of the wrong size")
	}
	if err := w.Err(); err != nil {
		return err
	}
	p.missing--
	p.seen.insert(n*seenPart, &seen)
	return nil
}

// appendSeen writes remembered messages in runs of one hour each.
func (p *Person) appendSeen(b []byte, from, to int) []byte {
	b = binary.AppendUvarint(b, uint64(to-from))
	last := int64(0)
	for i := from; i < to; {
		n := i + 1
		hour := p.seen.rest[i].hour
		for n < to && p.seen.rest[n].hour == hour {
			n++
		}
		b = binary.AppendVarint(b, int64(hour)-last)
		last = int64(hour)
		b = binary.AppendUvarint(b, uint64(n-i))
		for ; i < n; i++ {
			b = append(binary.LittleEndian.AppendUint32(b, p.seen.rest[i].low), p.seen.tags[i])
		}
	}
	return b
}

// readSeen reads what appendSeen wrote, at most limit messages, into the memory of an old
// one.
func readSeen(w *Wire, limit int, old memory) memory {
	n := w.Len(limit, messageBits/8)
	m := memory{tags: resize(old.tags, n)[:0], rest: resize(old.rest, n)[:0]}
	hour := int64(0)
	for m.len() < n && w.err == nil {
		hour = min(max(hour+w.Varint(), 0), 1<<32-1)
		run := w.Len(n-m.len(), messageBits/8)
		if run == 0 {
			w.fail("hour without a message")
		}
		for range run {
			low := uint64(w.Byte()) | uint64(w.Byte())<<8 | uint64(w.Byte())<<16 | uint64(w.Byte())<<24
			m.add(low|uint64(w.Byte())<<32, uint32(hour))
		}
	}
	return m
}
