package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
)

// Parted is what a codec adds when some of its value seldom changes: the stored form is
// then a head, which is written with every change, and parts, each written only when
// its bytes changed. Head and parts commit together and are read together.
type Parted interface {
	// AppendHead appends the head and answers how many parts belong to it.
	AppendHead(b []byte) (head []byte, parts int)
	// AppendPart appends part n, from 0.
	AppendPart(b []byte, n int) []byte
	// Missing is, after DecodeFrom read a head, how many parts belong to it.
	Missing() int
	// DecodePart reads part n; it is called for each part, in order. It must not keep b.
	DecodePart(n int, b []byte) error
}

// maxParts bounds the parts of a value: a number beyond it is damage.
const maxParts = 1 << 12

var errPart = errors.New("a part of the value is missing")

// appendPartKey appends the store's key of a part.
func appendPartKey(dst []byte, id uint16, n int, key string) []byte {
	dst = append(dst, SpaceParts, KeyGroup(key))
	dst = binary.BigEndian.AppendUint16(dst, id)
	dst = binary.BigEndian.AppendUint16(dst, uint16(n)) //nolint:gosec // below maxParts
	return append(dst, key...)
}

// readParts reads the parts of a value whose head was read.
func readParts(v Parted, id uint16, key string, get func(dst, key []byte) ([]byte, bool, error), seen func(part []byte)) error {
	n := v.Missing()
	if n < 0 || n > maxParts {
		return errPart
	}
	var raw []byte
	for i := range n {
		raw = appendPartKey(raw[:0], id, i, key)
		at := len(raw)
		var found bool
		var err error
		if raw, found, err = get(raw, raw); err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("part %d of %d: %w", i, n, errPart)
		}
		if err := v.DecodePart(i, raw[at:]); err != nil {
			return fmt.Errorf("part %d of %d: %w", i, n, err)
		}
		seen(raw[at:])
	}
	return nil
}

// flushParted writes the head of a value and the parts that changed since it was last
// written, and answers the size of the head.
func (c *Cell[T, P]) flushParted(r *Record, s *slot[T], v Parted) int {
	parts := 0
	size := r.PutFunc(c.scratch, func(b []byte) []byte {
		if c.lazy {
			b = binary.AppendUvarint(b, s.applied)
		}
		b, parts = v.AppendHead(b)
		return b
	})
	for n := range parts {
		c.part = v.AppendPart(c.part[:0], n)
		hash := maphash.Bytes(c.seed, c.part)
		if n < len(s.parts) && s.parts[n] == hash {
			continue
		}
		c.scratch = appendPartKey(c.scratch[:0], c.id, n, s.key)
		r.Put(c.scratch, c.part)
		if n < len(s.parts) {
			s.parts[n] = hash
		} else {
			s.parts = append(s.parts, hash)
		}
	}
	c.dropParts(r, s, parts)
	return size
}

// dropParts removes the parts from n on.
func (c *Cell[T, P]) dropParts(r *Record, s *slot[T], n int) {
	for i := n; i < len(s.parts); i++ {
		c.scratch = appendPartKey(c.scratch[:0], c.id, i, s.key)
		r.Delete(c.scratch)
	}
	s.parts = s.parts[:min(n, len(s.parts))]
}
