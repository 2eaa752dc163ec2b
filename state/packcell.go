package state

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"slices"
)

// Reusable is what a value adds that can be emptied and keep its memory.
type Reusable interface {
	// Reset makes the value the zero one.
	Reset()
}

// Budget makes a packed cell keep to a budget that others share. Call it before any other
// use.
func (c *Cell[T, P]) Budget(m *Memory) {
	if c.packed != nil {
		c.packed.slabs.memory = m
	}
}

// Trim takes values back into their packed form: small ones at once, while they are in the
// processor's cache, of the others those that were not used lately, until at most the
// cell's limit is decoded. It does nothing for a cell that is not packed. Call it between
// two pieces of work, often.
func (c *Cell[T, P]) Trim() {
	c.all(func(s *Cell[T, P], _ int) { s.Trim() })
	if c.packed == nil {
		return
	}
	c.last = nil
	c.trimYoung()
	for passes := 2 * len(c.clock); len(c.clock) > c.max && passes > 0; passes-- {
		if c.hand >= len(c.clock) {
			c.hand = 0
		}
		s := c.clock[c.hand]
		if s.used || !c.pack(s) {
			s.used = false
			c.hand++
			continue
		}
		c.release(s)
		last := len(c.clock) - 1
		c.clock[c.hand] = c.clock[last]
		c.clock[last] = nil
		c.clock = c.clock[:last]
	}
}

// youngMax is how many bytes a value may have to be packed at once. To read a larger one
// again costs more than to write it from cold memory later.
const youngMax = 768

// trimYoung takes back what was decoded since the last call, newest first: what is dirty
// stands at the end of the list then.
func (c *Cell[T, P]) trimYoung() {
	for _, s := range slices.Backward(c.young) {
		dirty := s.dirty
		if s.size > youngMax || !c.pack(s) {
			c.clock = append(c.clock, s)
			continue
		}
		if n := len(c.dirty); dirty && c.dirty[n-1] == s {
			c.dirty[n-1] = nil
			c.dirty = c.dirty[:n-1]
		}
		c.release(s)
	}
	clear(c.young)
	c.young = c.young[:0]
}

// release forgets a value that was packed.
func (c *Cell[T, P]) release(s *slot[T]) {
	delete(c.values, s.key)
	c.respare(s)
}

// respare keeps a slot for the next value.
func (c *Cell[T, P]) respare(s *slot[T]) {
	if r, ok := any(P(&s.value)).(Reusable); ok {
		r.Reset()
	} else {
		var zero T
		s.value = zero
	}
	*s = slot[T]{parts: s.parts[:0], value: s.value}
	c.spare = append(c.spare, s)
}

// The packed form of a value, numbers little-endian, is
//
//	stored(2) parts(2)  for each part: hash(8) length(2) bytes  head
//
// stored is how many parts the store has, hash that of one as the store has it.
const (
	packStart = 4
	packPart  = 10
	partMax   = 1<<16 - 1
)

var errPacked = errors.New("a packed value is damaged")

// pack takes a value back. It answers false when that cannot be.
func (c *Cell[T, P]) pack(s *slot[T]) bool {
	if !s.changed {
		if s.at != 0 {
			e := c.packed.at(s.at)
			e.setFlags(e.flags() &^ packedOut)
			return true
		}
		if s.absent && c.packed.complete {
			return true
		}
	}
	b, ok := c.wrap(c.part[:0], s)
	c.part = b
	if !ok || !c.packed.fits(s.key, len(b)) {
		return false
	}
	flags := byte(0)
	if s.dirty {
		flags |= packedDirty
	}
	if s.absent {
		flags |= packedAbsent
	}
	c.packed.put(s.key, s.hash, s.at, b, flags, s.flushed)
	s.dirty, s.changed = false, false
	return true
}

// wrap appends the packed form of a value.
func (c *Cell[T, P]) wrap(b []byte, s *slot[T]) ([]byte, bool) {
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s.parts))) //nolint:gosec // at most maxParts
	b = append(b, 0, 0)
	if s.absent {
		return b, true
	}
	v, parted := any(P(&s.value)).(Parted)
	if !parted {
		return P(&s.value).AppendTo(b), true
	}
	var parts int
	c.scratch, parts = v.AppendHead(c.scratch[:0])
	binary.LittleEndian.PutUint16(b[2:], uint16(parts)) //nolint:gosec // at most maxParts
	for n := range parts {
		hash := uint64(0)
		if n < len(s.parts) {
			hash = s.parts[n]
		}
		b = binary.LittleEndian.AppendUint64(b, hash)
		at := len(b)
		b = v.AppendPart(append(b, 0, 0), n)
		size := len(b) - at - 2
		if size > partMax {
			return b, false
		}
		binary.LittleEndian.PutUint16(b[at:], uint16(size)) //nolint:gosec // see the line before
	}
	return append(b, c.scratch...), true
}

// unpack fills a slot from its packed form. It answers whether what the key holds is now
// known.
func (c *Cell[T, P]) unpack(s *slot[T]) (known bool, err error) {
	if c.packed == nil {
		return false, nil
	}
	s.hash = c.packed.hash(s.key)
	if s.at = c.packed.get(s.key, s.hash); s.at == 0 {
		s.absent = true
		return c.packed.complete, nil
	}
	e := c.packed.at(s.at)
	flags := e.flags()
	s.flushed, s.absent, s.dirty = e.epoch(), flags&packedAbsent != 0, flags&packedDirty != 0
	if s.dirty {
		c.dirty = append(c.dirty, s)
		s.changed = true // so that it is listed again when it is packed
	}
	e.setFlags(flags&^packedDirty | packedOut) // where it is listed it stays
	return true, c.unwrap(s, e.value())
}

// unwrap reads the packed form.
func (c *Cell[T, P]) unwrap(s *slot[T], b []byte) error {
	stored, parts := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
	head := headOf(b[packStart:], parts)
	s.size = int32(len(head)) //nolint:gosec // below blockMax
	if !s.absent {
		if err := P(&s.value).DecodeFrom(head); err != nil {
			return err
		}
	}
	b = b[packStart:]
	for n := range parts {
		if n < stored {
			s.parts = append(s.parts, binary.LittleEndian.Uint64(b))
		}
		size := int(binary.LittleEndian.Uint16(b[8:]))
		v, ok := any(P(&s.value)).(Parted)
		if !ok {
			return errPacked
		}
		if err := v.DecodePart(n, b[packPart:packPart+size]); err != nil {
			return err
		}
		b = b[packPart+size:]
	}
	for len(s.parts) < stored {
		s.parts = append(s.parts, 0) // to be removed
	}
	return nil
}

// headOf is what stands behind the parts.
func headOf(b []byte, parts int) []byte {
	for range parts {
		b = b[packPart+int(binary.LittleEndian.Uint16(b[8:])):]
	}
	return b
}

// flushPacked writes what was packed since it changed.
func (c *Cell[T, P]) flushPacked(r *Record) {
	for _, pl := range c.packed.dirty {
		e := c.packed.at(pl)
		dirty := e.flags()&packedDirty != 0
		e.setFlags(e.flags() &^ (packedDirty | packedListed))
		if !dirty {
			continue // it was decoded again, or it stands here twice
		}
		e.setEpoch(r.Epoch)
		c.flushEntry(r, e)
	}
	c.packed.dirty = c.packed.dirty[:0]
}

func (c *Cell[T, P]) flushEntry(r *Record, e packedEntry) {
	b := e.value()
	stored, parts := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
	binary.LittleEndian.PutUint16(b, uint16(parts)) //nolint:gosec // it comes from there
	key := string(e.key())
	c.scratch = AppendKey(c.scratch[:0], c.id, key)
	if e.flags()&packedAbsent != 0 {
		r.Delete(c.scratch)
	} else {
		r.Put(c.scratch, headOf(b[packStart:], parts))
	}
	b = b[packStart:]
	for n := range parts {
		size := int(binary.LittleEndian.Uint16(b[8:]))
		part := b[packPart : packPart+size]
		if hash := maphash.Bytes(c.seed, part); n >= stored || hash != binary.LittleEndian.Uint64(b) {
			binary.LittleEndian.PutUint64(b, hash)
			c.scratch = appendPartKey(c.scratch[:0], c.id, n, key)
			r.Put(c.scratch, part)
		}
		b = b[packPart+size:]
	}
	for n := parts; n < stored; n++ {
		c.scratch = appendPartKey(c.scratch[:0], c.id, n, key)
		r.Delete(c.scratch)
	}
}
