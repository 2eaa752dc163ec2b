package profile

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// Merge lets what another person's fields hold join s, as if all events had been
// applied to one; o must not be used afterwards. Fields are the same if they were
// declared the same.
func (s *FieldState) Merge(o *FieldState) {
	s.Lost += o.Lost
	for i := range o.clocks {
		theirs := &o.clocks[i]
		j := slices.IndexFunc(s.clocks, func(d Decay) bool { return d.half == theirs.half })
		if j < 0 {
			if len(s.clocks) < clocksMax {
				s.clocks = append(s.clocks, *theirs)
			}
			continue
		}
		f, g := s.clocks[j].align(theirs)
		s.multiply(theirs.half, f)
		o.multiply(theirs.half, g)
	}
	if s.newest == 0 || o.newest > s.newest {
		s.newest = o.newest
	}
	for i := range o.slots {
		from := &o.slots[i]
		if from.empty() {
			continue
		}
		j := slices.IndexFunc(s.slots, func(d slot) bool { return d.id == from.id && d.op == from.op && d.half == from.half })
		if j < 0 {
			if len(s.slots) < slotsMax && s.timed(from) {
				s.slots = append(s.slots, *from)
			}
			continue
		}
		if to := &s.slots[j]; to.empty() {
			to.born = from.born
		} else {
			to.born = max(to.born, from.born)
		}
		s.Lost += s.slots[j].merge(from)
	}
}

// timed tells whether there is the clock that a slot needs.
func (s *FieldState) timed(o *slot) bool {
	return o.half < 0 || slices.ContainsFunc(s.clocks, func(d Decay) bool { return d.half == o.half })
}

func (o *slot) empty() bool { return o.n == 0 && o.bag == nil }

// merge joins two slots of one field and answers how many values had to go.
func (o *slot) merge(from *slot) (lost uint32) {
	switch o.op {
	case opCount, opSum, opMean:
		o.n += from.n
		o.num += from.num
	case opMin, opMax, opFirst, opLast:
		if from.n > 0 {
			o.choose(from.num, from.text, from.at)
		}
	case opDistinct:
		if from.bag != nil {
			g := o.contents()
			for _, h := range from.bag.hashes {
				g.meet(h, max(o.limit, 2))
			}
			g.full = g.full || from.bag.full
		}
	case opShare:
		if from.bag != nil {
			return o.contents().join(from.bag, max(o.limit, 2))
		}
	}
	return lost
}

// join adds all weights before any name has to go, so that it does not matter which of
// two bags comes first.
func (g *bag) join(o *bag, limit int) (lost uint32) {
	for _, s := range o.shares {
		g.weigh(s.name, s.weight, math.MaxInt)
	}
	for len(g.shares) > limit {
		low := 0
		for j := range g.shares {
			if g.shares[j].weight < g.shares[low].weight {
				low = j
			}
		}
		g.shares = slices.Delete(g.shares, low, low+1)
		lost++
	}
	return lost
}

// fieldsSchema is the version of the stored form. The first one does not say since which
// message a field counts, and is written of those where nobody knows.
const fieldsSchema = 2

// The bounds of the stored form. They are larger than what one list of fields can need,
// since a merge may join the values of two lists, one older than the other.
const (
	clocksMax = 2 * MaxHalfLives // fits four bits
	slotsMax  = 2 * MaxFields
)

// AppendTo appends the stored form. Of a field that holds nothing there is nothing.
func (s *FieldState) AppendTo(b []byte) []byte {
	known := slices.ContainsFunc(s.slots, func(o slot) bool { return o.born != 0 })
	if known {
		b = append(b, fieldsSchema)
	} else {
		b = append(b, 1)
	}
	b = binary.AppendUvarint(b, uint64(s.Lost))
	b = binary.AppendVarint(b, s.newest)
	b = binary.AppendUvarint(b, uint64(len(s.clocks)))
	for i := range s.clocks {
		b = s.clocks[i].AppendTo(b)
	}
	n := 0
	for i := range s.slots {
		if !s.slots[i].empty() {
			n++
		}
	}
	b = binary.AppendUvarint(b, uint64(n)) //nolint:gosec // at most slotsMax
	for i := range s.slots {
		if !s.slots[i].empty() {
			b = s.appendSlot(b, &s.slots[i])
			if known {
				b = binary.AppendUvarint(b, s.slots[i].born)
			}
		}
	}
	return b
}

func (s *FieldState) appendSlot(b []byte, o *slot) []byte {
	clock := slices.IndexFunc(s.clocks, func(d Decay) bool { return d.half == o.half && o.half > 0 })
	b = binary.LittleEndian.AppendUint32(b, o.id)
	b = append(b, byte(o.op)|byte(clock+1)<<4) //nolint:gosec // at most clocksMax
	switch o.op {
	case opCount:
		return appendNumber(b, o.n)
	case opSum, opMean:
		return appendNumber(appendNumber(b, o.n), o.num)
	case opDistinct, opShare:
		return o.appendBag(b)
	}
	b = appendNumber(b, o.num)
	if o.op == opFirst || o.op == opLast {
		b = binary.AppendVarint(b, s.newest-o.at)
		b = AppendString(b, o.text)
	}
	return b
}

func (o *slot) appendBag(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(o.limit)) //nolint:gosec // at most MaxFieldValues
	if o.op == opShare {
		b = binary.AppendUvarint(b, uint64(len(o.bag.shares)))
		for _, s := range o.bag.shares {
			b = appendNumber(AppendString(b, s.name), s.weight)
		}
		return b
	}
	full := byte(0)
	if o.bag.full {
		full = 1
	}
	b = append(b, full)
	b = binary.AppendUvarint(b, uint64(len(o.bag.hashes)))
	for _, h := range o.bag.hashes {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	return b
}

// DecodeFrom reads what AppendTo wrote. It answers ErrNewer or ErrDamaged, wrapped with
// the facts.
func (s *FieldState) DecodeFrom(b []byte) error {
	w, schema := ReadWire(b, fieldsSchema)
	*s = FieldState{Lost: uint32(w.Int(1<<32 - 1)), newest: w.Varint()} //nolint:gosec // bounded
	for range w.Len(clocksMax, 2) {
		var d Decay
		d.ReadFrom(w)
		if d.half <= 0 || slices.ContainsFunc(s.clocks, func(o Decay) bool { return o.half == d.half }) {
			w.Fail("clock without a half-life of its own")
		}
		s.clocks = append(s.clocks, d)
	}
	for range w.Len(slotsMax, 6) {
		o := s.readSlot(w)
		if w.err != nil {
			break
		}
		if schema > 1 {
			o.born = w.Uvarint()
		}
		s.slots = append(s.slots, o)
	}
	return w.Err()
}

func (s *FieldState) readSlot(w *Wire) slot {
	id := uint32(w.Byte()) | uint32(w.Byte())<<8 | uint32(w.Byte())<<16 | uint32(w.Byte())<<24
	kind := w.Byte()
	o := slot{id: id, op: fieldOp(kind & 15), half: -1}
	if clock := int(kind >> 4); clock > len(s.clocks) || int(o.op) >= len(fieldOps) {
		w.Fail("field of an unknown kind")
	} else if clock > 0 {
		o.half = s.clocks[clock-1].half
	}
	switch o.op {
	case opCount:
		o.n = readNumber(w)
	case opSum, opMean:
		o.n, o.num = readNumber(w), readNumber(w)
	case opMin, opMax:
		o.n, o.num = 1, readNumber(w)
	case opFirst, opLast:
		o.n, o.num, o.at = 1, readNumber(w), s.newest-w.Varint()
		o.text = strings.Clone(w.String())
	case opDistinct, opShare:
		o.readBag(w)
	}
	if o.empty() || o.n < 0 {
		w.Fail("field that holds nothing")
	}
	return o
}

func (o *slot) readBag(w *Wire) {
	o.limit = w.Int(MaxFieldValues)
	g := o.contents()
	if o.op == opShare {
		for range w.Len(MaxFieldValues, 2) {
			s := share{strings.Clone(w.String()), readNumber(w)}
			if n := len(g.shares); n > 0 && g.shares[n-1].name >= s.name || s.weight < 0 {
				w.Fail("shares out of order")
			}
			g.shares = append(g.shares, s)
		}
		return
	}
	full := w.Byte()
	g.full = full == 1
	for range w.Len(MaxFieldValues, 8) {
		h := w.Fixed64()
		if n := len(g.hashes); n > 0 && g.hashes[n-1] >= h {
			w.Fail("hashes out of order")
		}
		g.hashes = append(g.hashes, h)
	}
	if full > 1 {
		w.Fail("bag neither full nor not")
	}
}
