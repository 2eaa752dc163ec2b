package mail

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file is the part of Journal that writes, rotates and clears away segments.

// file is what a journal needs of an open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error
}

// fileSystem is the seam where tests let a disk be full or broken.
type fileSystem interface {
	open(path string) (file, error) // read and write, made when missing
	remove(path string) error
	syncDir(dir string) error
}

type osFiles struct{}

type osFile struct{ *os.File }

// Size is the length of the file.
func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (osFiles) open(path string) (file, error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFiles) remove(path string) error { return os.Remove(path) }

func (osFiles) syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// segmentNumbers lists the segments in dir, oldest first.
func segmentNumbers(dir string) ([]uint32, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint32
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "mail-")
		digits, ends := strings.CutSuffix(digits, ".journal")
		n, err := strconv.ParseUint(digits, 10, 32)
		if ok && ends && err == nil && segmentName(uint32(n)) == e.Name() {
			numbers = append(numbers, uint32(n))
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func segmentHead(number uint32) []byte {
	return le.AppendUint64([]byte(segmentMagic), uint64(number))
}

// create begins segment number and makes it the active one.
func (j *Journal) create(number uint32) error {
	path := j.path(number)
	f, err := j.options.fs.open(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(segmentHead(number), 0)
	if err == nil && !j.options.NoSync {
		err = errors.Join(f.Sync(), j.options.fs.syncDir(j.dir))
	}
	if err != nil {
		return errors.Join(err, f.Close(), j.options.fs.remove(path))
	}
	j.active, j.number, j.size = f, number, segmentHeader
	j.total += segmentHeader
	return nil
}

// append writes one record and lets it act. The caller holds mu. A record that cannot be
// written whole is cut off again, so that what follows it can be read.
func (j *Journal) append(r *record) error {
	if j.broken != nil {
		return fmt.Errorf("%w: %w", ErrJournalBroken, j.broken)
	}
	j.buf = appendRecord(j.buf[:0], r)
	need := int64(len(j.buf))
	if j.size > segmentHeader && j.size+need > j.options.SegmentBytes {
		if err := j.rotate(); err != nil {
			j.stats.Errors++
			return fmt.Errorf("mail journal: next segment: %w", err)
		}
		j.buf = appendRecord(j.buf[:0], r) // clearing away has used the buffer
	}
	// Only new mails are refused: what ends a mail must always find room, to let go of it.
	if r.kind == recRendered && j.total+need > j.options.MaxBytes {
		if err := j.makeRoom(need); err != nil {
			j.stats.Errors++
			return fmt.Errorf("mail journal: make room: %w", err)
		}
		j.buf = appendRecord(j.buf[:0], r)
	}
	if r.kind == recRendered && j.total+need > j.options.MaxBytes {
		j.stats.Full++
		return fmt.Errorf("%d bytes in %s: %w", j.total, j.dir, ErrJournalFull)
	}
	return j.write(r)
}

// write puts buf, which is r encoded, at the end of the active segment.
func (j *Journal) write(r *record) error {
	if _, err := j.active.WriteAt(j.buf, j.size); err != nil {
		j.stats.Errors++
		if cut := j.active.Truncate(j.size); cut != nil {
			j.broken = cut
		}
		return fmt.Errorf("mail journal: write %d bytes: %w", len(j.buf), err)
	}
	offset, n := j.size, int64(len(j.buf))
	j.size += n
	j.total += n
	j.appended += n
	j.apply(r, j.number, offset, n)
	if cap(j.buf) > 1<<18 {
		j.buf = nil // one huge mail must not hold its memory for good
	}
	return nil
}

// sync waits until the first end bytes appended are on disk. Whoever finds no sync under
// way does one for all that stands behind it.
func (j *Journal) sync(end int64) error {
	if j.options.NoSync {
		return nil
	}
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	j.mu.Lock()
	if j.synced >= end {
		j.mu.Unlock()
		return nil
	}
	if j.broken != nil {
		defer j.mu.Unlock()
		return fmt.Errorf("%w: %w", ErrJournalBroken, j.broken)
	}
	f, upTo := j.active, j.appended
	j.mu.Unlock()

	err := f.Sync()

	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		j.synced = max(j.synced, upTo)
		j.stats.Syncs++
		return nil
	}
	if j.synced >= end { // the segment was closed meanwhile, and synced for that
		return nil
	}
	// After a sync that went wrong nobody knows what is on disk, and a second one that goes
	// well does not mean that it is: the journal is finished.
	j.stats.Errors++
	j.broken = err
	return fmt.Errorf("mail journal: sync: %w", err)
}

// syncFile syncs f, which holds all that is not synced yet. The caller holds mu.
func (j *Journal) syncFile(f file) error {
	if j.options.NoSync {
		return nil
	}
	if err := f.Sync(); err != nil {
		j.broken = err
		return err
	}
	j.synced = j.appended
	j.stats.Syncs++
	return nil
}

// rotate begins the next segment and clears away. The caller holds mu.
func (j *Journal) rotate() error {
	if err := j.roll(); err != nil {
		return err
	}
	// At most two a time, to bound the pause: that is twice as fast as they come.
	for range 2 {
		if len(j.sealed) == 0 || j.total <= j.options.KeepBytes || j.total <= 2*j.live {
			return nil
		}
		if err := j.clearOldest(); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom clears away until need more bytes fit, as long as at least every other byte
// that it reads goes. The caller holds mu.
func (j *Journal) makeRoom(need int64) error {
	for len(j.sealed) > 0 && j.total+need > j.options.MaxBytes && j.total > 2*j.live {
		if err := j.clearOldest(); err != nil {
			return err
		}
	}
	return nil
}

// roll closes the active segment, on disk, and begins the next one. The caller holds mu.
func (j *Journal) roll() error {
	if err := j.syncFile(j.active); err != nil {
		return err
	}
	old, closed := j.active, sealedSegment{j.number, j.size}
	if err := j.create(j.number + 1); err != nil {
		return err
	}
	j.sealed = append(j.sealed, closed)
	return old.Close()
}

// clearOldest carries what must be kept of the oldest segment forward, syncs that, and
// removes the segment. After a crash in between, both copies are there, and the newer
// one, which was true when it was written, acts last. The caller holds mu.
func (j *Journal) clearOldest() error {
	oldest := j.sealed[0]
	f, err := j.options.fs.open(j.path(oldest.number))
	if err != nil {
		return err
	}
	forget := time.Now().Add(-j.options.Retain).UnixMilli()
	_, err = scanSegment(io.NewSectionReader(f, 0, oldest.size), uint64(oldest.number), func(r *record, off, _ int64) error {
		key := keyOf(string(r.id))
		s, ok := j.index[key]
		if !ok || s.seg != oldest.number || int64(s.off) != off {
			return nil
		}
		if s.state == Decided && s.last < forget {
			j.live -= int64(s.size)
			j.stats.Forgotten++
			delete(j.index, key)
			return nil
		}
		j.stats.Carried++
		return j.carry(r, s)
	})
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("clear segment %s: %w", segmentName(oldest.number), err)
	}
	if err := j.syncFile(j.active); err != nil {
		return err
	}
	if err := j.options.fs.remove(j.path(oldest.number)); err != nil {
		return err
	}
	j.sealed = j.sealed[1:]
	j.total -= oldest.size
	if j.options.NoSync {
		return nil
	}
	return j.options.fs.syncDir(j.dir)
}

// carry writes the present state of a decision, whose kept record is r, once more.
func (j *Journal) carry(r *record, s slot) error {
	c := *r
	if s.state != Decided {
		c = record{kind: recCarried, at: s.first, last: s.last, id: r.id, letter: r.letter, has: s.has,
			state: s.state, attempts: s.attempts, code: s.code}
	}
	j.buf = appendRecord(j.buf[:0], &c)
	if j.size > segmentHeader && j.size+int64(len(j.buf)) > j.options.SegmentBytes {
		if err := j.roll(); err != nil {
			return err
		}
	}
	return j.write(&c)
}

// shrink tries to make room for one more decision, at most once a minute. The caller
// holds mu.
func (j *Journal) shrink() bool {
	if now := time.Now(); j.broken == nil && now.Sub(j.shrunk) >= time.Minute {
		j.shrunk = now
		for n := len(j.sealed); n > 0 && len(j.index) >= j.options.MaxEntries; n-- {
			if err := j.clearOldest(); err != nil {
				j.stats.Errors++
				break
			}
		}
	}
	return len(j.index) < j.options.MaxEntries
}

// Compact rewrites the journal so that it holds nothing but what must be kept: the bytes
// of mails without an outcome, and outcomes within Retain. Afterwards no byte of a mail
// that has ended is in any file of the journal.
func (j *Journal) Compact() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return fmt.Errorf("%w: %w", ErrJournalBroken, j.broken)
	}
	if j.size > segmentHeader {
		if err := j.roll(); err != nil {
			return fmt.Errorf("mail journal: next segment: %w", err)
		}
	}
	for range len(j.sealed) { // carrying may seal further ones, which are compact already
		if err := j.clearOldest(); err != nil {
			return fmt.Errorf("mail journal: %w", err)
		}
	}
	return nil
}

// read reads the kept record of a slot back and checks it. The caller holds mu.
func (j *Journal) read(id string, s slot) (record, error) {
	f := j.active
	if s.seg != j.number || f == nil {
		sealed, err := j.options.fs.open(j.path(s.seg))
		if err != nil {
			return record{}, fmt.Errorf("mail journal: %w", err)
		}
		defer func() { _ = sealed.Close() }()
		f = sealed
	}
	frame := make([]byte, s.size)
	if _, err := f.ReadAt(frame, int64(s.off)); err != nil {
		return record{}, fmt.Errorf("mail journal: read segment %s: %w", segmentName(s.seg), err)
	}
	if int(le.Uint32(frame))+recordHeader != len(frame) || frameSum(frame) != le.Uint32(frame[4:]) {
		return record{}, fmt.Errorf("%w: segment %s, offset %d", ErrJournalCorrupt, segmentName(s.seg), s.off)
	}
	r, err := decodeRecord(frame[recordHeader:])
	if err != nil || string(r.id) != id {
		return record{}, fmt.Errorf("%w: segment %s, offset %d", ErrJournalCorrupt, segmentName(s.seg), s.off)
	}
	return r, nil
}
