package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// version is a committed value that stands in the epoch log and not yet in Badger.
type version struct {
	segment *segment
	at      int64    // of the value in the segment, -1: the key was removed
	size    int32    // of the value
	number  uint64   // of its record
	prev    *version // what an older snapshot sees
}

// keyMerged holds the number of the last record that moved to Badger. It stands in a
// space of its own that no scan shows.
var keyMerged = []byte("\x00merged") //nolint:gochecknoglobals // constant

// overlay is what the epoch log holds and Badger does not, by space and, in those spaces
// that have them, by key group: a scan looks at no more than it must.
type overlay [1 << 11]map[string]*version

// shardOf is where the keys that begin with prefix stand: in the shards from one to
// before the other.
func shardOf(prefix []byte) (from, to int) {
	if len(prefix) == 0 {
		return 0, len(overlay{})
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

func (o *overlay) get(key []byte) *version {
	at, _ := shardOf(key)
	return o[at][string(key)]
}

func (o *overlay) set(key []byte, v version) {
	at, _ := shardOf(key)
	if o[at] == nil {
		o[at] = make(map[string]*version)
	}
	o[at][string(key)] = &v
}

// note makes a committed change visible. The lock is held.
func (s *Store) note(key []byte, v version) {
	old := s.over.get(key)
	if old == nil {
		s.over.set(key, v)
		return
	}
	v.prev = old.prev
	if s.sees(old.number, v.number) {
		v.prev = new(*old)
	}
	*old = v
	for p := old; p.prev != nil; { // drop what nobody sees any more
		if s.sees(p.prev.number, p.number) {
			p = p.prev
		} else {
			p.prev = p.prev.prev
		}
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

// find answers the version of key that a snapshot of that number sees, nil when Badger
// has it, or nobody. The lock is held.
func (s *Store) find(key []byte, number uint64) *version {
	v := s.over.get(key)
	for v != nil && v.number > number {
		v = v.prev
	}
	return v
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
// a crash in between it is done again, which changes nothing.
func (s *Store) merge(seg *segment) error {
	batch := s.db.NewWriteBatchAt(s.baseTs + 1)
	defer batch.Cancel()
	var moved []*entry
	var failed error
	_, _, err := seg.each(false, func(number uint64, key, value []byte, at int64) {
		s.mu.RLock()
		v := s.over.get(key)
		valid := v != nil && v.segment == seg && v.number == number && v.at == at
		s.mu.RUnlock()
		if valid && failed == nil {
			moved = append(moved, &entry{key, value, at})
		}
	})
	if err != nil {
		return err
	}
	// In order: a skip list finds the next place near the last one.
	slices.SortFunc(moved, func(a, b *entry) int { return bytes.Compare(a.key, b.key) })
	for _, e := range moved {
		if e.at < 0 {
			failed = batch.Delete(e.key)
		} else {
			failed = batch.SetEntry(&badger.Entry{Key: e.key, Value: e.value})
		}
		if failed != nil {
			return fmt.Errorf("move %d values to Badger: %w", len(moved), failed)
		}
	}
	if err := batch.Set(keyMerged, binary.AppendUvarint(nil, seg.last)); err != nil {
		return fmt.Errorf("move %d values to Badger: %w", len(moved), err)
	}
	if err := batch.Flush(); err != nil {
		return fmt.Errorf("move %d values to Badger: %w", len(moved), err)
	}
	return s.forget(seg, moved)
}

// entry is a change in a segment.
type entry struct {
	key, value []byte
	at         int64
}

// forget drops what moved to Badger.
func (s *Store) forget(seg *segment, moved []*entry) error {
	s.mu.Lock()
	s.baseTs++
	for _, e := range moved {
		if v := s.over.get(e.key); v != nil && v.segment == seg && v.at == e.at {
			at, _ := shardOf(e.key)
			delete(s.over[at], string(e.key))
		}
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
	p, f := string(prefix), string(from)
	first, end := shardOf(prefix)
	for _, shard := range s.over[first:end] {
		for key, v := range shard {
			if !strings.HasPrefix(key, p) || key < f {
				continue
			}
			for v != nil && v.number > snap.number {
				v = v.prev
			}
			if v != nil {
				list = append(list, found{key, *v})
				mem[v.segment] = v.segment.mem
			}
		}
	}
	slices.SortFunc(list, func(a, b found) int { return strings.Compare(a.key, b.key) })
	return list, mem, s.baseTs, nil
}

// latest is the number of a snapshot that always sees everything committed.
const latest = math.MaxUint64
