package state

import (
	"encoding/binary"
	"hash/maphash"
)

// packed keeps encoded values in memory, in blocks of bytes that the collector need not
// look into: a million persons are a few hundred megabytes and not one pointer. It is a
// cache of the store, but for what is dirty, which it holds until it is written.
//
// The tables are open addressing with linear probing. A word of them is
//
//	place(40) tag(23) used(1)
//
// and 0 where there is none. The tag is of the key's hash; its low bits say where the
// entry belongs, so tables grow and shrink without a look at the entries.
type packed struct {
	seed     maphash.Seed
	tables   [tableCount]packedTable
	slabs    slabs
	n        int
	dirty    []place // oldest first; of those that are not dirty any more, nothing follows
	hand     int     // table that is evicted from next
	came     int     // entries since evict was called last
	complete bool    // what is not here does not exist
}

type packedTable struct {
	words []uint64
	n     int
	hand  int
}

const (
	tableCount = 256
	tagBits    = 23
	tagMask    = 1<<tagBits - 1
	usedBit    = 1
)

// An entry is a block: value length(4) key length(2) class(1) flags(1) epoch(8) key value.
const headPacked = 16

const (
	packedDirty  = 1 << iota // it is to be written
	packedAbsent             // there is nothing under the key
	packedOut                // the value is decoded: what stands here may be old
	packedListed             // it stands in the list of those that are dirty
)

func newPacked(m *Memory) *packed {
	if m == nil {
		m = NewMemory(0)
	}
	p := &packed{seed: maphash.MakeSeed()}
	p.slabs = newSlabs(p, m)
	return p
}

func (p *packed) at(pl place) packedEntry { return packedEntry{p.slabs.block(pl)} }

// packedEntry is the block of an entry.
type packedEntry struct{ b []byte }

func (e packedEntry) valueLen() int { return int(binary.LittleEndian.Uint32(e.b)) }
func (e packedEntry) keyLen() int   { return int(binary.LittleEndian.Uint16(e.b[4:])) }
func (e packedEntry) class() byte   { return e.b[6] }
func (e packedEntry) flags() byte   { return e.b[7] }
func (e packedEntry) epoch() uint64 { return binary.LittleEndian.Uint64(e.b[8:]) }
func (e packedEntry) key() []byte   { return e.b[headPacked : headPacked+e.keyLen()] }
func (e packedEntry) value() []byte {
	at := headPacked + e.keyLen()
	return e.b[at : at+e.valueLen()]
}
func (e packedEntry) setFlags(f byte)   { e.b[7] = f }
func (e packedEntry) setEpoch(n uint64) { binary.LittleEndian.PutUint64(e.b[8:], n) }

// hash is where a key belongs: its table and its tag follow from it.
func (p *packed) hash(key string) uint64 { return maphash.String(p.seed, key) }

// find is where in t the entry of key stands, or -1.
func (p *packed) find(t *packedTable, tag uint64, key string) int {
	if t.n == 0 {
		return -1
	}
	mask := uint64(len(t.words) - 1) //nolint:gosec // a power of two
	for i := tag & mask; t.words[i] != 0; i = (i + 1) & mask {
		if w := t.words[i]; w>>1&tagMask == tag && string(p.at(placeOf(w)).key()) == key {
			return int(i) //nolint:gosec // below the length
		}
	}
	return -1
}

// get is the place of the entry of a key of that hash, 0 for none.
func (p *packed) get(key string, hash uint64) place {
	t := &p.tables[hash>>56]
	i := p.find(t, hash&tagMask, key)
	if i < 0 {
		return 0
	}
	t.words[i] |= usedBit
	return placeOf(t.words[i])
}

// fits tells whether an entry of that size can be kept.
func (p *packed) fits(key string, size int) bool {
	return headPacked+len(key)+size <= blockMax && len(key) < 1<<16
}

// put makes value the entry of a key of that hash, which stands at old, or nowhere if that
// is 0. It must fit.
func (p *packed) put(key string, hash uint64, old place, value []byte, flags byte, epoch uint64) {
	t, tag := &p.tables[hash>>56], hash&tagMask
	size := headPacked + len(key) + len(value)
	class, _ := classOf(size)
	pl := old
	switch {
	case old == 0:
		pl, _ = p.slabs.take(size)
		t.insert(wordOf(pl, tag) | usedBit)
		p.n++
		p.came++
	case int(p.at(old).class()) != class:
		p.slabs.give(old, p.at(old).class())
		pl, _ = p.slabs.take(size)
		t.replace(wordOf(old, tag), wordOf(pl, tag)|usedBit)
	}
	b := p.slabs.block(pl)
	listed := byte(0)
	if pl == old {
		listed = b[7] & packedListed
	}
	if flags&packedDirty != 0 && listed == 0 {
		p.dirty = append(p.dirty, pl)
		listed = packedListed
	}
	binary.LittleEndian.PutUint32(b, uint32(len(value)))   //nolint:gosec // below blockMax
	binary.LittleEndian.PutUint16(b[4:], uint16(len(key))) //nolint:gosec // see fits
	b[6], b[7] = byte(class), flags|listed                 //nolint:gosec // below classCount
	binary.LittleEndian.PutUint64(b[8:], epoch)
	copy(b[headPacked:], key)
	copy(b[headPacked+len(key):], value)
}

func placeOf(word uint64) place { return place(word >> (tagBits + 1)) }

func wordOf(p place, tag uint64) uint64 { return uint64(p)<<(tagBits+1) | tag<<1 }

// insert puts in a word whose key is not there.
func (t *packedTable) insert(word uint64) {
	if 4*(t.n+1) > 3*len(t.words) {
		old := t.words
		t.words = make([]uint64, max(2*len(old), 8))
		for _, w := range old {
			if w != 0 {
				t.set(w)
			}
		}
		t.hand = 0
	}
	t.set(word)
	t.n++
}

func (t *packedTable) set(word uint64) {
	mask := uint64(len(t.words) - 1) //nolint:gosec // a power of two
	i := word >> 1 & tagMask & mask
	for t.words[i] != 0 {
		i = (i + 1) & mask
	}
	t.words[i] = word
}

// replace puts a word in the place of another one of the same tag, which must be there. What
// is said of its use does not count.
func (t *packedTable) replace(old, word uint64) {
	mask := uint64(len(t.words) - 1) //nolint:gosec // a power of two
	i := word >> 1 & tagMask & mask
	for t.words[i]&^usedBit != old {
		i = (i + 1) & mask
	}
	t.words[i] = word
}

// remove takes out the word at i, and moves up those that stood behind their place for it.
func (t *packedTable) remove(i int) {
	mask := len(t.words) - 1
	for j := (i + 1) & mask; t.words[j] != 0; j = (j + 1) & mask {
		home := int(t.words[j]>>1&tagMask) & mask //nolint:gosec // below the length
		if (j-home)&mask >= (j-i)&mask {
			t.words[i], i = t.words[j], j
		}
	}
	t.words[i] = 0
	t.n--
}

// evict drops entries that were not used lately while the budget is exceeded: only those
// that the reader sees in the store. It looks at a few for each one that came since it
// was called last, so what it costs is in proportion to the work done.
func (p *packed) evict(visible uint64) {
	looks := 1024 + 8*p.came
	p.came = 0
	for looks > 0 && p.n > 0 && p.slabs.memory.over() {
		t := &p.tables[p.hand]
		p.hand = (p.hand + 1) % tableCount
		looks -= p.sweep(t, visible)
	}
}

// sweep passes the clock over some of a table and answers how many words it looked at.
func (p *packed) sweep(t *packedTable, visible uint64) int {
	most := max(len(t.words)/2, 8)
	for looks := most; looks > 0 && t.n > 0; looks-- {
		if t.hand >= len(t.words) {
			t.hand = 0
		}
		w := t.words[t.hand]
		if w == 0 {
			t.hand++
			continue
		}
		pl := placeOf(w)
		e := p.at(pl)
		if w&usedBit != 0 || e.flags()&(packedDirty|packedOut) != 0 || e.epoch() > visible {
			t.words[t.hand] = w &^ usedBit
			t.hand++
			continue
		}
		if e.flags()&packedAbsent == 0 {
			p.complete = false
		}
		p.slabs.give(pl, e.class())
		t.remove(t.hand)
		p.n--
	}
	return most
}
