package profile

import (
	"bytes"
	"slices"
)

// memory is the messages that a person's record remembers, oldest first, each as the
// messageBits bits of its hash. The highest byte of each stands apart: searching for it
// in a row of bytes is what makes one look at a memory of hundreds cheap.
type memory struct {
	tags []byte
	rest []remembered
}

// remembered is what a memory holds of a message beside its tag.
type remembered struct {
	low  uint32 // of the hash
	hour uint32 // since 1970
}

func (m *memory) len() int { return len(m.tags) }

func (m *memory) hash(i int) uint64 { return uint64(m.tags[i])<<32 | uint64(m.rest[i].low) }

func (m *memory) hour(i int) uint32 { return m.rest[i].hour }

func (m *memory) has(hash uint64) bool {
	tag, low := byte(hash>>32), uint32(hash) //nolint:gosec // cut on purpose
	for at := 0; ; at++ {
		n := bytes.IndexByte(m.tags[at:], tag)
		if n < 0 {
			return false
		}
		if at += n; m.rest[at].low == low {
			return true
		}
	}
}

func (m *memory) add(hash uint64, hour uint32) {
	m.tags = append(m.tags, byte(hash>>32))                            //nolint:gosec // cut on purpose
	m.rest = append(m.rest, remembered{low: uint32(hash), hour: hour}) //nolint:gosec // cut on purpose
}

// insert puts all of o before place at.
func (m *memory) insert(at int, o *memory) {
	m.tags, m.rest = slices.Insert(m.tags, at, o.tags...), slices.Insert(m.rest, at, o.rest...)
}

// dropFirst drops the oldest n.
func (m *memory) dropFirst(n int) {
	m.tags, m.rest = slices.Delete(m.tags, 0, n), slices.Delete(m.rest, 0, n)
}

// forget drops messages from before an hour.
func (m *memory) forget(before int64) {
	n := 0
	for i, r := range m.rest {
		if int64(r.hour) >= before {
			m.tags[n], m.rest[n] = m.tags[i], r
			n++
		}
	}
	m.tags, m.rest = m.tags[:n], m.rest[:n]
}
