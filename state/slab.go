package state

import (
	"encoding/binary"
	"math/bits"
	"runtime"
	"sync/atomic"
)

// Memory is a budget that cells share. Safe for concurrent use.
type Memory struct {
	limit int64
	used  atomic.Int64
}

// NewMemory makes a budget of so many bytes; 0 means 256 MiB.
func NewMemory(limit int64) *Memory {
	if limit <= 0 {
		limit = 256 << 20 // half a million small values
	}
	return &Memory{limit: limit}
}

// Used is how many bytes are taken.
func (m *Memory) Used() int64 { return m.used.Load() }

// Limit is how many bytes may be taken.
func (m *Memory) Limit() int64 { return m.limit }

func (m *Memory) over() bool { return m.used.Load() > m.limit }

// place says where a block stands: the number of its slab, then where in it.
type place uint64

const (
	slabBits  = 20
	slabBytes = 1 << slabBits
	placeBits = 40 // a million slabs
	blockMin  = 64
	blockMax  = slabBytes / 8
	perDouble = 4 // sizes between a power of two and the next: at most a fifth of a block is left over
)

// slabs hands out blocks of bytes. A block that is given back serves the next one of its
// size; memory is never given back to the system.
type slabs struct {
	memory  *Memory
	all     [][]byte
	classes [classCount]struct {
		free place // the first of a list, 0 for none: each block begins with the next one's place
		from place // unused rest of the newest slab
		left int
		next int // size of the next slab
	}
	rest    []byte // of the newest region
	regions *regions
}

// regions is memory that is given back when nothing refers to the slabs any more.
type regions [][]byte

func (r *regions) free() {
	for _, mem := range *r {
		freeRegion(mem)
	}
}

const classCount = 48

// newSlabs makes slabs that give their memory back when nothing refers to owner any more.
func newSlabs[T any](owner *T, m *Memory) slabs {
	s := slabs{memory: m, regions: new(regions)}
	runtime.AddCleanup(owner, (*regions).free, s.regions)
	return s
}

// classOf is the number and the size of the blocks that hold n bytes.
func classOf(n int) (class, size int) {
	if n <= blockMin {
		return 0, blockMin
	}
	top := bits.Len(uint(n-1)) - 1 // n lies above 1<<top, and not above 2<<top
	step := 1 << top / perDouble
	k := (n - 1<<top + step - 1) / step
	return (top-bits.Len(blockMin)+1)*perDouble + k, 1<<top + k*step
}

// block is the memory at a place, to the end of its slab.
func (s *slabs) block(p place) []byte { return s.all[p>>slabBits][p&(slabBytes-1):] }

// take hands out a block of at least n bytes, which must be at most blockMax.
func (s *slabs) take(n int) (p place, class byte) {
	at, size := classOf(n)
	c := &s.classes[at]
	s.memory.used.Add(int64(size))
	if p = c.free; p != 0 {
		c.free = place(binary.LittleEndian.Uint64(s.block(p)))
		return p, byte(at) //nolint:gosec // below classCount
	}
	if c.left < size {
		s.grow(at, size)
	}
	p = c.from
	c.from += place(size) //nolint:gosec // not negative
	c.left -= size
	return p, byte(at) //nolint:gosec // below classCount
}

// grow gives a class a new slab: small ones first, so that a small cell stays small.
func (s *slabs) grow(at, size int) {
	c := &s.classes[at]
	c.next = min(max(2*c.next, 16*size), slabBytes)
	var slab []byte
	if c.next < slabBytes {
		slab = make([]byte, c.next)
	} else {
		if len(s.rest) < slabBytes {
			mem, mapped := newRegion()
			if mapped {
				*s.regions = append(*s.regions, mem)
			}
			s.rest = mem
		}
		slab, s.rest = s.rest[:slabBytes:slabBytes], s.rest[slabBytes:]
	}
	if len(s.all) == 0 {
		s.all = append(s.all, nil) // place 0 is none
	}
	c.from, c.left = place(len(s.all))<<slabBits, len(slab)
	s.all = append(s.all, slab)
}

// give takes a block back.
func (s *slabs) give(p place, class byte) {
	c := &s.classes[class]
	b := s.block(p)
	clear(b[:headPacked])
	binary.LittleEndian.PutUint64(b, uint64(c.free))
	c.free = p
	s.memory.used.Add(-int64(classSize(int(class))))
}

// classSize is the size of the blocks of a class.
func classSize(class int) int {
	if class == 0 {
		return blockMin
	}
	top := bits.Len(blockMin) - 1 + (class-1)/perDouble
	return 1<<top + ((class-1)%perDouble+1)*(1<<top/perDouble)
}
