package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4/pb"
)

// version is a committed value that stands in the epoch log and not yet in Badger.
type version struct {
	segment *segment
	at      int64  // of the value in the segment, -1: the key was removed
	size    int32  // of the value
	number  uint64 // of its record
}

// keyMerged holds the number of the last record that moved to Badger. It stands in a
// space of its own that no scan shows.
var keyMerged = []byte("\x00merged") //nolint:gochecknoglobals // constant

// overlay is what the epoch log holds and Badger does not, by space and, in those spaces
// that have them, by key group: a scan looks at no more than it must. There are about as
// many versions in it as changed lately; like packed values they stand in blocks that the
// collector need not look into.
type overlay struct {
	shards [shardCount]packedTable
	slabs  slabs
	seed   maphash.Seed
}

const shardCount = 1 << 11

// A version is a block: key length(2) class(1) -(1) size(4) at(8) number(8) segment(8)
// prev(8) key. prev is the place of what an older snapshot sees, a block without a key,
// or 0.
const headVersion = 40

type versionBlock struct{ b []byte }

func (v versionBlock) keyLen() int { return int(binary.LittleEndian.Uint16(v.b)) }
func (v versionBlock) key() []byte { return v.b[headVersion : headVersion+v.keyLen()] }
func (v versionBlock) class() byte { return v.b[2] }
func (v versionBlock) at() int64 {
	return int64(binary.LittleEndian.Uint64(v.b[8:])) //nolint:gosec // it was one
}
func (v versionBlock) number() uint64  { return binary.LittleEndian.Uint64(v.b[16:]) }
func (v versionBlock) segment() uint64 { return binary.LittleEndian.Uint64(v.b[24:]) }
func (v versionBlock) prev() place     { return place(binary.LittleEndian.Uint64(v.b[32:])) }
func (v versionBlock) setPrev(p place) { binary.LittleEndian.PutUint64(v.b[32:], uint64(p)) }
func (v versionBlock) set(to version, prev place) {
	binary.LittleEndian.PutUint32(v.b[4:], uint32(to.size)) //nolint:gosec // not negative
	binary.LittleEndian.PutUint64(v.b[8:], uint64(to.at))   //nolint:gosec // read back as it was
	binary.LittleEndian.PutUint64(v.b[16:], to.number)
	binary.LittleEndian.PutUint64(v.b[24:], to.segment.id)
	v.setPrev(prev)
}

// version is what a block says.
func (s *Store) version(v versionBlock) version {
	return version{
		segment: s.wal.segment(v.segment()), at: v.at(), number: v.number(),
		size: int32(binary.LittleEndian.Uint32(v.b[4:])), //nolint:gosec // it was one
	}
}

// shardOf is where the keys that begin with prefix stand: in the shards from one to
// before the other.
func shardOf(prefix []byte) (from, to int) {
	if len(prefix) == 0 {
		return 0, shardCount
	}
	space := int(prefix[0]&7) << 8
	switch {
	case prefix[0] != SpaceCells && prefix[0] != SpaceParts:
		return space, space + 1
	case len(prefix) == 1:
		return space, space + 256
	default:
		return space + int(prefix[1]), space + int(prefix[1]) + 1
	}
}

func (o *overlay) block(p place) versionBlock { return versionBlock{o.slabs.block(p)} }

// locate is the table and the tag of a key.
func (o *overlay) locate(key []byte) (*packedTable, uint64) {
	at, _ := shardOf(key)
	return &o.shards[at], maphash.Bytes(o.seed, key) & tagMask
}

// find is where in t the newest version of key stands, or -1.
func (o *overlay) find(t *packedTable, tag uint64, key []byte) int {
	if t.n == 0 {
		return -1
	}
	mask := uint64(len(t.words) - 1) //nolint:gosec // a power of two
	for i := tag & mask; t.words[i] != 0; i = (i + 1) & mask {
		if w := t.words[i]; w>>1&tagMask == tag && bytes.Equal(o.block(placeOf(w)).key(), key) {
			return int(i) //nolint:gosec // below the length
		}
	}
	return -1
}

// newest is the newest version of a key.
func (o *overlay) newest(key []byte) (versionBlock, bool) {
	t, tag := o.locate(key)
	i := o.find(t, tag, key)
	if i < 0 {
		return versionBlock{}, false
	}
	return o.block(placeOf(t.words[i])), true
}

// add makes a block for a version; key is nil for an older one.
func (o *overlay) add(key []byte, v version, prev place) place {
	p, class := o.slabs.take(headVersion + len(key))
	b := o.block(p)
	binary.LittleEndian.PutUint16(b.b, uint16(len(key))) //nolint:gosec // see keyMax
	b.b[2] = class
	b.set(v, prev)
	copy(b.b[headVersion:], key)
	return p
}

// note makes a committed change visible. The lock is held.
func (s *Store) note(key []byte, v version) {
	t, tag := s.over.locate(key)
	i := s.over.find(t, tag, key)
	if i < 0 {
		t.insert(wordOf(s.over.add(key, v, 0), tag))
		return
	}
	b := s.over.block(placeOf(t.words[i]))
	prev := b.prev()
	if s.sees(b.number(), v.number) {
		prev = s.over.add(nil, s.version(b), prev)
	}
	b.set(v, prev)
	for b.prev() != 0 { // drop what nobody sees any more
		older := s.over.block(b.prev())
		if s.sees(older.number(), b.number()) {
			b = older
			continue
		}
		next, gone := older.prev(), b.prev()
		s.over.slabs.give(gone, older.class())
		b.setPrev(next)
	}
}

// sees tells whether a snapshot sees a version that the next one replaced.
func (s *Store) sees(number, next uint64) bool {
	for v := range s.snapshots {
		if v.number >= number && v.number < next {
			return true
		}
	}
	return false
}

// find answers the version of key that a snapshot of that number sees; there is none when
// Badger has it, or nobody. The lock is held.
func (s *Store) find(key []byte, number uint64) (version, bool) {
	b, ok := s.over.newest(key)
	if !ok {
		return version{}, false
	}
	return s.seen(b, number)
}

// seen is what a snapshot of that number sees of a key's versions, of which b is the
// newest.
func (s *Store) seen(b versionBlock, number uint64) (version, bool) {
	for b.number() > number {
		p := b.prev()
		if p == 0 {
			return version{}, false
		}
		b = s.over.block(p)
	}
	return s.version(b), true
}

// replay reads the epoch log into memory when the store opens.
func (s *Store) replay(readOnly bool) error {
	w := &s.wal
	for i, seg := range w.segments {
		if i == 0 {
			w.number = seg.base
		}
		if seg.base != w.number {
			return fmt.Errorf("%w: %s begins after record %d, and the one before it ends at %d", ErrDamaged, seg.path, seg.base, w.number)
		}
		last, torn, err := seg.each(i == len(w.segments)-1, func(number uint64, key, value []byte, at int64) {
			s.note(key, version{segment: seg, at: at, size: int32(len(value)), number: number}) //nolint:gosec // below recordMax
		})
		if err != nil {
			return err
		}
		if torn >= 0 {
			seg.size = torn
			if !readOnly {
				if err := seg.file.Truncate(torn); err != nil {
					return fmt.Errorf("cut off what a crash left of a record: %w", err)
				}
			}
		}
		seg.last, w.number = last, last
	}
	return s.fits()
}

// fits checks that the epoch log goes on where Badger ends.
func (s *Store) fits() error {
	v := Snapshot{store: s}
	raw, found, err := v.base(nil, keyMerged, 0)
	v.Close()
	if err != nil || !found && (len(s.wal.segments) == 0 || s.wal.segments[0].base == 0) {
		return err
	}
	merged, n := binary.Uvarint(raw)
	switch {
	case found && n <= 0:
		return fmt.Errorf("%w: the number of the last record in Badger", ErrDamaged)
	case len(s.wal.segments) == 0:
		return fmt.Errorf("%w: Badger holds record %d and the epoch log is missing", ErrDamaged, merged)
	case s.wal.segments[0].base > merged || s.wal.number < merged:
		return fmt.Errorf("%w: Badger holds record %d and the epoch log those from %d to %d", ErrDamaged, merged, s.wal.segments[0].base+1, s.wal.number)
	}
	return nil
}

// merging moves the oldest segments to Badger until the store closes.
func (s *Store) merging() {
	defer close(s.merged)
	for range s.wake {
		for {
			seg := s.ripe()
			if seg == nil {
				break
			}
			err := s.merge(seg)
			s.mu.Lock()
			s.busy = false
			if err != nil {
				s.broken = err
			}
			s.mu.Unlock()
			s.room.Broadcast()
			if err != nil {
				break
			}
		}
	}
}

// ripe is the segment to merge next: the oldest one, if the epoch log is longer than it
// should be and every snapshot sees all of it. What would be in Badger and too new for a
// snapshot could not be told from what it sees.
func (s *Store) ripe() *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil || len(s.wal.segments) < 2 || s.wal.bytes() <= s.logBytes {
		return nil
	}
	seg := s.wal.segments[0]
	for v := range s.snapshots {
		if v.number >= seg.last {
			continue
		}
		if s.wal.bytes() <= 4*s.logBytes {
			return nil
		}
		v.old = true // whoever reads on is told, and the log stays bounded
		delete(s.snapshots, v)
	}
	s.busy = true
	return seg
}

// merge writes to Badger what is still valid in the oldest segment, and removes it. After
// a crash in between it is done again, which changes nothing: no reader looks at the
// new versions before the segment is forgotten, and the number of the last record is
// written behind all of them.
func (s *Store) merge(seg *segment) error {
	moved, err := s.valid(seg)
	if err != nil {
		return err
	}
	// In order: a skip list finds the next place near the last one.
	slices.SortFunc(moved, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
	load := s.db.NewKVLoader(mergePending) // unlike a transaction it keeps no map of what it writes
	kv := pb.KV{Version: s.baseTs + 1}
	for i := range moved {
		e := &moved[i]
		kv.Key, kv.Value, kv.Meta = e.key, e.value, nil
		if e.at < 0 {
			kv.Value, kv.Meta = nil, removed
		}
		if err = load.Set(&kv); err != nil {
			break
		}
	}
	if err == nil {
		kv.Key, kv.Value, kv.Meta = keyMerged, binary.AppendUvarint(nil, seg.last), nil
		err = load.Set(&kv)
	}
	if err = errors.Join(err, load.Finish()); err != nil {
		return fmt.Errorf("move %d values to Badger: %w", len(moved), err)
	}
	return s.forget(seg, moved)
}

// mergePending is how many batches of a merge are being written at once: one while the
// next is filled.
const mergePending = 2

// removed is what Badger's own backups hold of a removed key, in the place of meta data.
var removed = []byte{1} //nolint:gochecknoglobals // constant

// valid lists what a segment holds the newest version of.
func (s *Store) valid(seg *segment) (list []entry, err error) {
	_, _, err = seg.each(false, func(number uint64, key, value []byte, at int64) {
		s.mu.RLock()
		b, ok := s.over.newest(key)
		ok = ok && b.segment() == seg.id && b.number() == number && b.at() == at
		s.mu.RUnlock()
		if ok {
			list = append(list, entry{key, value, at})
		}
	})
	return list, err
}

// entry is a change in a segment.
type entry struct {
	key, value []byte
	at         int64
}

// forget drops what moved to Badger.
func (s *Store) forget(seg *segment, moved []entry) error {
	s.mu.Lock()
	s.baseTs++
	for i := range moved {
		s.over.drop(moved[i].key, seg.id, moved[i].at)
	}
	if len(s.snapshots) > 0 { // one may see what a newer version hid
		s.wal.retired = append(s.wal.retired, seg)
	}
	s.wal.segments = slices.Clone(s.wal.segments[1:])
	oldest := s.baseTs
	for v := range s.readers {
		oldest = min(oldest, v.ts)
	}
	s.mu.Unlock()
	s.db.SetDiscardTs(oldest)
	if seg.path == "" {
		return nil
	}
	if err := s.wal.disk.Remove(seg.path); err != nil {
		return fmt.Errorf("remove a segment of the epoch log: %w", err)
	}
	return nil
}

// drop takes a key's versions out if the newest one still stands there.
func (o *overlay) drop(key []byte, segment uint64, at int64) {
	t, tag := o.locate(key)
	i := o.find(t, tag, key)
	if i < 0 {
		return
	}
	p := placeOf(t.words[i])
	if b := o.block(p); b.segment() != segment || b.at() != at {
		return
	}
	t.remove(i)
	for p != 0 {
		b := o.block(p)
		next := b.prev()
		o.slabs.give(p, b.class())
		p = next
	}
}

// found is a key of a scan that the epoch log holds.
type found struct {
	key string
	version
}

// within lists what a snapshot sees in the epoch log under a prefix, in order.
func (s *Store) within(snap *Snapshot, prefix, from []byte) (list []found, mem map[*segment][]byte, base uint64, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if snap.old {
		return nil, nil, 0, ErrTooOld
	}
	mem = make(map[*segment][]byte)
	first, end := shardOf(prefix)
	for shard := first; shard < end; shard++ {
		for _, word := range s.over.shards[shard].words {
			if word == 0 {
				continue
			}
			b := s.over.block(placeOf(word))
			if key := b.key(); !bytes.HasPrefix(key, prefix) || bytes.Compare(key, from) < 0 {
				continue
			}
			if v, ok := s.seen(b, snap.number); ok {
				list = append(list, found{string(b.key()), v})
				mem[v.segment] = v.segment.mem
			}
		}
	}
	slices.SortFunc(list, func(a, b found) int { return strings.Compare(a.key, b.key) })
	return list, mem, s.baseTs, nil
}

// latest is the number of a snapshot that always sees everything committed.
const latest = math.MaxUint64
