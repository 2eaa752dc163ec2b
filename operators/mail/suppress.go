package mail

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A suppression file is a header of 8 bytes and records of 32 bytes:
//
//	kind   1 byte: 1 added, 2 removed
//	zero   3 bytes
//	at     int64, Unix ms, little-endian
//	hash   16 bytes: the first half of SHA-256(person, NUL, list)
//	crc32c uint32 of the 28 bytes before
//
// Records of one size let a damaged one be stepped over, instead of losing all that
// stand behind it: a lost record is a mail to somebody who has said no.
const (
	suppressMagic  = "millrsp1"
	suppressRecord = 32
	suppressAdd    = 1
	suppressRemove = 2
	rewriteMin     = 4096 // records; a smaller file is not worth it
)

// SuppressOptions are the settings of a Suppressed set. The zero value works.
type SuppressOptions struct {
	Entries int  // above this nothing is added: ErrSuppressFull
	NoSync  bool // survive a crash of the program only, not of the machine

	fs fileSystem
}

// ErrSuppressFull is the answer to an addition for which there is no room.
var ErrSuppressFull = errors.New("set of suppressed persons is full")

// SuppressStats are facts of a Suppressed set.
type SuppressStats struct {
	Entries   int
	Bytes     int64 // of the file
	TornBytes int64 // cut from its tail when it was opened
	Damaged   int64 // records stepped over when it was opened
	Errors    int64 // writes that went wrong
	Full      int64 // persons who were not added, since there was no room
}

type suppressKey [16]byte

// Suppressed is the durable set of persons who want no more mails, read before each
// send, so that a word in it holds at once, whatever backlog stands in the log. It keeps
// hashes of pseudonyms only: about 50 bytes of memory each. Safe for concurrent use.
type Suppressed struct {
	path    string
	options SuppressOptions

	mu     sync.RWMutex
	set    map[suppressKey]struct{}
	file   file
	size   int64
	broken error
	stats  SuppressStats
}

// OpenSuppressed opens the set in the file at path, which is made when missing. The
// directory must exist.
func OpenSuppressed(path string, o SuppressOptions) (*Suppressed, error) {
	o.Entries = cmp.Or(o.Entries, 1<<20) // 50 MB of memory, 32 MB of file
	if o.fs == nil {
		o.fs = osFiles{}
	}
	s := &Suppressed{path: filepath.Clean(path), options: o, set: make(map[suppressKey]struct{})}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("suppressed persons: %w", err)
	}
	return s, nil
}

func (s *Suppressed) open() (err error) {
	if s.file, err = s.options.fs.open(s.path); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.file.Close())
		}
	}()
	size, err := s.file.Size()
	if err != nil {
		return err
	}
	records, good, err := readSuppressed(io.NewSectionReader(s.file, 0, size), func(kind byte, k suppressKey) {
		if kind == suppressAdd {
			s.set[k] = struct{}{}
		} else {
			delete(s.set, k)
		}
	})
	if err != nil {
		return err
	}
	if good == 0 {
		if _, err := s.file.WriteAt([]byte(suppressMagic), 0); err != nil {
			return err
		}
		good = int64(len(suppressMagic))
	}
	s.size, s.stats.Damaged = good, records.damaged
	if good < size {
		s.stats.TornBytes = size - good
		if err := s.file.Truncate(good); err != nil {
			return err
		}
	}
	if err := s.sync(); err != nil {
		return err
	}
	if !s.options.NoSync {
		if err := s.options.fs.syncDir(filepath.Dir(s.path)); err != nil {
			return err
		}
	}
	if n := records.read; n > rewriteMin && n > 2*int64(len(s.set)) {
		return s.rewrite()
	}
	return nil
}

// tally counts what readSuppressed has met.
type tally struct{ read, damaged int64 }

// readSuppressed reads a suppression file and says up to which offset it is good. A file
// that is too short for its header is good up to 0. A damaged record with good ones
// behind it is stepped over; damage at the end is a torn tail.
func readSuppressed(r io.Reader, each func(kind byte, k suppressKey)) (tally, int64, error) {
	var t tally
	head := make([]byte, len(suppressMagic))
	n, err := io.ReadFull(r, head)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		if !bytes.HasPrefix([]byte(suppressMagic), head[:n]) && len(bytes.Trim(head[:n], "\x00")) > 0 {
			return t, 0, errors.New("the file is not one of suppressed persons")
		}
		return t, 0, nil
	case err != nil:
		return t, 0, err
	case string(head) != suppressMagic:
		return t, 0, errors.New("the file is not one of suppressed persons")
	}
	offset := int64(len(suppressMagic))
	good, pending := offset, int64(0)
	var b [suppressRecord]byte
	for {
		if _, err := io.ReadFull(r, b[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return t, good, nil
		} else if err != nil {
			return t, good, err
		}
		offset += suppressRecord
		kind := b[0]
		if crc32.Checksum(b[:28], castagnoli) != le.Uint32(b[28:]) || kind != suppressAdd && kind != suppressRemove {
			pending++
			continue
		}
		t.read, t.damaged = t.read+1, t.damaged+pending
		pending, good = 0, offset
		each(kind, suppressKey(b[12:28]))
	}
}

// rewrite makes a file without what was superseded, and puts it in the place of the old.
func (s *Suppressed) rewrite() error {
	temp := s.path + ".tmp"
	f, err := s.options.fs.open(temp)
	if err != nil {
		return err
	}
	b := []byte(suppressMagic)
	now := time.Now()
	for k := range s.set {
		b = appendSuppress(b, suppressAdd, k, now)
	}
	_, err = f.WriteAt(b, 0)
	if err = errors.Join(err, f.Truncate(int64(len(b))), f.Sync()); err == nil {
		err = os.Rename(temp, s.path)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	old := s.file
	s.file, s.size = f, int64(len(b))
	return errors.Join(old.Close(), s.options.fs.syncDir(filepath.Dir(s.path)))
}

func appendSuppress(b []byte, kind byte, k suppressKey, at time.Time) []byte {
	start := len(b)
	b = append(b, kind, 0, 0, 0)
	b = le.AppendUint64(b, uint64(at.UnixMilli()))
	b = append(b, k[:]...)
	return le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func suppressKeyOf(person, list string) suppressKey {
	sum := sha256.Sum256([]byte(person + "\x00" + list))
	return suppressKey(sum[:16])
}

// Lists with a meaning of their own.
const (
	AllLists   = ""  // every list; not transactional mail, which is on no list
	Everything = "*" // transactional mail too: the address is dead, or the law says so
)

// Add puts a person on the set for one list, for AllLists or for Everything. When it
// answers nil, that is on disk. Adding again does nothing.
func (s *Suppressed) Add(person, list string) error { return s.change(suppressAdd, person, list) }

// Remove takes a person off the set for exactly this list, AllLists or Everything:
// somebody has subscribed again.
func (s *Suppressed) Remove(person, list string) error {
	return s.change(suppressRemove, person, list)
}

func (s *Suppressed) change(kind byte, person, list string) error {
	k := suppressKeyOf(person, list)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, in := s.set[k]
	switch {
	case s.broken != nil: // also for what is in the set: it may not be on disk
		return fmt.Errorf("suppressed persons: %w", s.broken)
	case in == (kind == suppressAdd):
		return nil
	case kind == suppressAdd && len(s.set) >= s.options.Entries:
		s.stats.Errors++
		s.stats.Full++
		return fmt.Errorf("%d entries: %w", len(s.set), ErrSuppressFull)
	}
	if _, err := s.file.WriteAt(appendSuppress(nil, kind, k, time.Now()), s.size); err != nil {
		s.stats.Errors++
		if cut := s.file.Truncate(s.size); cut != nil {
			s.broken = cut
		}
		return fmt.Errorf("suppressed persons: %w", err)
	}
	s.size += suppressRecord
	if kind == suppressAdd {
		s.set[k] = struct{}{} // holds in memory even if the sync goes wrong: no is no
	} else {
		delete(s.set, k)
	}
	if err := s.sync(); err != nil {
		s.stats.Errors++
		s.broken = err
		return fmt.Errorf("suppressed persons: %w", err)
	}
	return nil
}

func (s *Suppressed) sync() error {
	if s.options.NoSync {
		return nil
	}
	return s.file.Sync()
}

// Contains says whether a person wants no mails of a list. The empty list is that of
// transactional mail, which only Everything stops. It is meant for
// SenderOptions.Suppressed.
func (s *Suppressed) Contains(person, list string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.set) == 0 {
		return false
	}
	if _, in := s.set[suppressKeyOf(person, Everything)]; in || list == "" {
		return in
	}
	_, all := s.set[suppressKeyOf(person, AllLists)]
	_, one := s.set[suppressKeyOf(person, list)]
	return all || one
}

// Stats gives the facts.
func (s *Suppressed) Stats() SuppressStats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.stats
	t.Entries, t.Bytes = len(s.set), s.size
	return t
}

// Close closes the file. Contains goes on to work.
func (s *Suppressed) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.broken, ErrClosed) {
		return nil
	}
	s.broken = ErrClosed
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("suppressed persons: %w", err)
	}
	return nil
}
