package mail

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"millrace/operators/event"
)

// State is how far a decision has come in the journal.
type State uint8

// The states of a decision. Their numbers stand in the journal: append, never reorder.
const (
	Rendered  State = 1 + iota // the bytes are kept, the dot was never about to leave
	Attempted                  // the dot was about to leave and no outcome is known: in doubt
	Failed                     // the last attempt is known to have failed: may be sent
	Decided                    // an outcome is known: never sent again
)

// String names the state.
func (s State) String() string {
	return [...]string{"none", "rendered", "attempted", "failed", "decided"}[min(s, Decided)]
}

// Entry is what the journal knows of a decision.
type Entry struct {
	State    State
	Outcome  event.Outcome // when Decided
	Reason   string        // when Decided
	Code     int           // SMTP code of the last failure or of the outcome, 0 for none
	Attempts int           // tries that are known to have failed, and the one in doubt
	HasBytes bool          // Bytes will find the mail
	First    time.Time     // when it was rendered
	Last     time.Time     // when its newest record was written
}

// JournalOptions are the settings of a journal. The zero value works.
type JournalOptions struct {
	SegmentBytes int64         // a segment is closed at this size
	KeepBytes    int64         // below this nothing is cleared away
	MaxBytes     int64         // above this no mail is taken: ErrJournalFull
	MaxEntries   int           // decisions remembered; above this no mail is taken: ErrJournalFull
	Retain       time.Duration // how long an outcome is remembered at least
	NoSync       bool          // survive a crash of the program only, not of the machine

	fs fileSystem
}

func (o JournalOptions) withDefaults() JournalOptions {
	o.SegmentBytes = cmp.Or(o.SegmentBytes, 16<<20) // 2,000 mails; cleared away in about 50 ms
	o.KeepBytes = cmp.Or(o.KeepBytes, 128<<20)      // a day of a small shop can be read back
	o.MaxBytes = cmp.Or(o.MaxBytes, 4<<30)          // half a million mails without an outcome
	o.MaxEntries = cmp.Or(o.MaxEntries, 1<<20)      // about 100 MB of index; 150,000 mails a day at 7 days
	o.Retain = cmp.Or(o.Retain, 7*24*time.Hour)     // a checkpoint older than a week is not restored unasked
	o.SegmentBytes = min(o.SegmentBytes, 1<<30)     // offsets are 32 bits
	if o.fs == nil {
		o.fs = osFiles{}
	}
	return o
}

// Errors that callers of a journal choose by.
var (
	ErrJournalFull    = errors.New("mail journal is full: nothing can be forgotten yet")
	ErrJournalBroken  = errors.New("mail journal does not write any more: it has to be opened again")
	ErrJournalCorrupt = errors.New("mail journal is damaged")
	ErrInDoubt        = errors.New("decision has an attempt without an outcome")
	ErrDecided        = errors.New("decision has an outcome already")
	ErrNotRendered    = errors.New("decision has no rendered bytes in the journal")
)

// slot is the index entry of a decision. seg, off and size locate its newest record that
// has to be kept: the outcome when decided, else the one with the bytes.
type slot struct {
	first, last int64 // Unix ms
	off, size   uint32
	seg         uint32
	attempts    uint16
	code        uint16
	state       State
	has         bool
}

// slotKey is half of the SHA-256 of a decision id: two of a billion ids meet with a
// chance of 1 in 10^20.
type slotKey [16]byte

func keyOf(id string) slotKey {
	sum := sha256.Sum256([]byte(id))
	return slotKey(sum[:16])
}

// Journal is the append-only record of what was about to be sent and what came of it. It
// lives in a directory of its own, outside of the checkpoints of the state: an old
// checkpoint that is restored meets the outcomes that came after it.
//
// A record is never lost once Attempt has answered nil, which it does only after a sync.
// Concurrent attempts share one sync. A tail that a crash tore is cut when the journal is
// opened. Segments are closed by size; the oldest is cleared away when the journal is
// larger than KeepBytes and twice what it has to keep. What is undecided, or decided
// within Retain, is carried forward, so the journal never forgets it; when that leaves no
// room within MaxBytes and MaxEntries, no further mail is taken.
//
// The index is in memory: about 100 bytes a decision. Safe for concurrent use.
type Journal struct {
	dir     string
	options JournalOptions

	syncMu sync.Mutex // held during a sync; taken before mu

	mu        sync.Mutex
	index     map[slotKey]slot
	undecided int
	active    file
	number    uint32 // of the active segment
	size      int64  // of the active segment
	sealed    []sealedSegment
	total     int64 // bytes of all segments
	live      int64 // bytes of the records that slots point to
	appended  int64 // bytes ever appended by this process
	synced    int64 // of these, known to be on disk
	broken    error
	shrunk    time.Time // last try to make room for an entry
	buf       []byte
	stats     JournalStats
}

type sealedSegment struct {
	number uint32
	size   int64
}

// JournalStats are facts and counts of a journal.
type JournalStats struct {
	Entries   int   // decisions in the index
	Undecided int   // of these, without an outcome
	Segments  int   // files
	Bytes     int64 // of all files
	LiveBytes int64 // of these, still needed
	TornBytes int64 // cut from the tail when the journal was opened
	Syncs     int64 // since it was opened
	Carried   int64 // records carried forward
	Forgotten int64 // outcomes older than Retain that were let go
	Errors    int64 // writes and syncs that went wrong
	Full      int64 // mails that were not taken, since there was no room
}

// Open opens the journal in dir, which is made when missing. It reads every segment, so
// the time is that of reading KeepBytes. It answers ErrJournalCorrupt when a closed
// segment cannot be read whole: going on could send a mail twice.
func Open(dir string, o JournalOptions) (*Journal, error) {
	j := &Journal{dir: dir, options: o.withDefaults(), index: make(map[slotKey]slot)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mail journal: %w", err)
	}
	numbers, err := segmentNumbers(dir)
	if err != nil {
		return nil, fmt.Errorf("mail journal: %w", err)
	}
	for i, number := range numbers {
		size, err := j.load(number, i == len(numbers)-1)
		if err != nil {
			return nil, fmt.Errorf("mail journal: segment %s: %w", segmentName(number), err)
		}
		j.total += size
		if i < len(numbers)-1 {
			j.sealed = append(j.sealed, sealedSegment{number, size})
		}
	}
	if j.active == nil {
		if err := j.create(1); err != nil {
			return nil, fmt.Errorf("mail journal: %w", err)
		}
	}
	return j, nil
}

// load reads one segment into the index. The last one becomes the active one, and its
// torn tail is cut.
func (j *Journal) load(number uint32, last bool) (int64, error) {
	f, err := j.options.fs.open(j.path(number))
	if err != nil {
		return 0, err
	}
	size, err := f.Size()
	if err != nil {
		return 0, errors.Join(err, f.Close())
	}
	good, err := scanSegment(io.NewSectionReader(f, 0, size), uint64(number), func(r *record, off, n int64) error {
		j.apply(r, number, off, n)
		return nil
	})
	if err != nil && !errors.Is(err, errBadRecord) {
		return 0, errors.Join(err, f.Close())
	}
	if !last {
		if err != nil {
			return 0, errors.Join(fmt.Errorf("%w: record at offset %d of %d: %w", ErrJournalCorrupt, good, size, err), f.Close())
		}
		return size, f.Close()
	}
	if good < segmentHeader && size > segmentHeader {
		// A header is synced before the first record, so a bad one under records is damage.
		return 0, errors.Join(fmt.Errorf("%w: header: %w", ErrJournalCorrupt, err), f.Close())
	}
	if err := j.cut(f, number, good, size); err != nil {
		return 0, errors.Join(err, f.Close())
	}
	j.active, j.number = f, number
	return j.size, nil
}

// cut makes a segment end after its last good record.
func (j *Journal) cut(f file, number uint32, good, size int64) error {
	j.size = max(good, segmentHeader)
	if good == size && good >= segmentHeader {
		return nil
	}
	j.stats.TornBytes += size - good
	if err := f.Truncate(good); err != nil {
		return err
	}
	if good < segmentHeader {
		if _, err := f.WriteAt(segmentHead(number), 0); err != nil {
			return err
		}
	}
	return f.Sync()
}

// apply lets one record act on the index. Records act in the order they were written;
// an outcome is never taken back, and only a failure takes back an attempt.
func (j *Journal) apply(r *record, seg uint32, off, size int64) {
	key := keyOf(string(r.id))
	s, known := j.index[key]
	if known && s.state == Decided && r.kind != recOutcome {
		return
	}
	if known && s.state != Decided {
		j.undecided--
	}
	if !known {
		s = slot{first: r.at}
	}
	s.last = r.at
	keep := !s.has
	switch r.kind {
	case recRendered:
		s.state, s.has, keep = max(s.state, Rendered), true, true
	case recAttempt:
		s.state, s.attempts = Attempted, s.attempts+1
	case recFailed:
		if s.state != Attempted {
			s.attempts++
		}
		s.state, s.code = Failed, r.code
	case recOutcome:
		s.state, s.code, s.has, keep = Decided, r.code, false, true
	case recCarried:
		s = slot{first: r.at, last: r.last, state: r.state, attempts: r.attempts, code: r.code, has: r.has, off: s.off, size: s.size, seg: s.seg}
		keep = true
	}
	if keep {
		j.live += size - int64(s.size)
		s.seg, s.off, s.size = seg, uint32(off), uint32(size)
	}
	if s.state != Decided {
		j.undecided++
	}
	j.index[key] = s
}

// Lookup tells what is known of a decision.
func (j *Journal) Lookup(id string) (Entry, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s, ok := j.index[keyOf(id)]
	if !ok {
		return Entry{}, false
	}
	e := Entry{State: s.state, Code: int(s.code), Attempts: int(s.attempts), HasBytes: s.has,
		First: time.UnixMilli(s.first), Last: time.UnixMilli(s.last)}
	if s.state != Decided {
		return e, true
	}
	r, err := j.read(id, s)
	if err != nil { // the index alone still says that it is decided; what it was is lost
		j.stats.Errors++
		e.Outcome, e.Reason = event.UnknownOutcome, "the journal's record of the outcome cannot be read"
		return e, true
	}
	e.Outcome, e.Reason = r.outcome, r.reason
	return e, true
}

// Letter reads the rendered mail of an undecided decision back.
func (j *Journal) Letter(id string) (Letter, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s, ok := j.index[keyOf(id)]
	if !ok || !s.has {
		return Letter{}, fmt.Errorf("decision %s: %w", clip(id), ErrNotRendered)
	}
	r, err := j.read(id, s)
	if err != nil {
		j.stats.Errors++
		return Letter{}, err
	}
	return r.letter, nil
}

// Rendered keeps the bytes of a mail before they are sent. The first bytes of a decision
// are the ones: when there are some already, it does nothing, for they may have left.
// The record is on disk when the Attempt that follows has answered.
func (j *Journal) Rendered(id string, l Letter) error {
	if err := checkLetter(id, &l); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s, known := j.index[keyOf(id)]
	switch {
	case known && s.state == Decided:
		return fmt.Errorf("decision %s: %w", id, ErrDecided)
	case known && s.has:
		return nil
	case !known && len(j.index) >= j.options.MaxEntries && !j.shrink():
		j.stats.Full++
		return fmt.Errorf("%d decisions in %s: %w", len(j.index), j.dir, ErrJournalFull)
	}
	return j.append(&record{kind: recRendered, at: time.Now().UnixMilli(), id: []byte(id), letter: l})
}

func checkLetter(id string, l *Letter) error {
	if err := CheckDecision(id); err != nil {
		return err
	}
	for _, s := range []string{l.From, l.To, l.Subject, l.Model} {
		if len(s) > fieldMax {
			return fmt.Errorf("letter of decision %s: a field has %d bytes, at most %d are allowed", id, len(s), fieldMax)
		}
	}
	if len(l.Bytes) == 0 || len(l.Bytes) > mailMax {
		return fmt.Errorf("letter of decision %s has %d bytes, 1 to %d are allowed", id, len(l.Bytes), mailMax)
	}
	return nil
}

// Attempt says that the final dot is about to leave. When it answers nil, that is on
// disk, and so are the bytes. It answers ErrInDoubt when there is an attempt already of
// which nobody knows what came, ErrDecided when there is an outcome, and ErrNotRendered
// when there are no bytes; then nothing may be sent.
func (j *Journal) Attempt(id string) error {
	j.mu.Lock()
	s, known := j.index[keyOf(id)]
	var err error
	switch {
	case !known || !s.has && s.state != Decided:
		err = ErrNotRendered
	case s.state == Decided:
		err = ErrDecided
	case s.state == Attempted:
		err = ErrInDoubt
	}
	if err != nil {
		j.mu.Unlock()
		return fmt.Errorf("decision %s: %w", clip(id), err)
	}
	err = j.append(&record{kind: recAttempt, at: time.Now().UnixMilli(), id: []byte(id)})
	end := j.appended
	j.mu.Unlock()
	if err != nil {
		return err
	}
	return j.sync(end)
}

// Failed says that the last try is known to have failed, so that the mail may be sent
// again. It is not synced: should it be lost, the attempt is in doubt, which repeats
// nothing.
func (j *Journal) Failed(id string, code int) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	s, known := j.index[keyOf(id)]
	if !known {
		return fmt.Errorf("decision %s: %w", clip(id), ErrNotRendered)
	}
	if s.state == Decided {
		return fmt.Errorf("decision %s: %w", clip(id), ErrDecided)
	}
	return j.append(&record{kind: recFailed, at: time.Now().UnixMilli(), id: []byte(id), code: codeOf(code)})
}

// Outcome ends a decision. Its bytes are let go with the next clearing. It answers
// ErrDecided when it has ended before with another outcome. It is not synced, as Failed.
func (j *Journal) Outcome(id string, o event.Outcome, code int, reason string) error {
	if err := CheckDecision(id); err != nil {
		return err
	}
	if o != event.Sent && o != event.Skipped && o != event.UnknownOutcome {
		return fmt.Errorf("decision %s cannot end as %s", id, o)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if s, known := j.index[keyOf(id)]; known && s.state == Decided {
		if r, err := j.read(id, s); err == nil && r.outcome == o {
			return nil
		}
		return fmt.Errorf("decision %s: %w", id, ErrDecided)
	}
	return j.append(&record{kind: recOutcome, at: time.Now().UnixMilli(), id: []byte(id), outcome: o, code: codeOf(code), reason: reason})
}

func codeOf(code int) uint16 {
	if code < 0 || code > 999 {
		return 0
	}
	return uint16(code)
}

// Stats gives facts and counts.
func (j *Journal) Stats() JournalStats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Entries, s.Undecided, s.Segments = len(j.index), j.undecided, len(j.sealed)+1
	s.Bytes, s.LiveBytes = j.total, j.live
	return s
}

// Close syncs and closes the journal.
func (j *Journal) Close() error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.active == nil {
		return nil
	}
	var err error
	if j.broken == nil {
		err = j.syncFile(j.active)
	}
	err = errors.Join(err, j.active.Close())
	j.active, j.broken = nil, ErrClosed
	if err != nil {
		return fmt.Errorf("mail journal: %w", err)
	}
	return nil
}

func segmentName(number uint32) string { return fmt.Sprintf("mail-%010d.journal", number) }

func (j *Journal) path(number uint32) string { return filepath.Join(j.dir, segmentName(number)) }
