package state

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Options says how a store is opened. The zero value is a store in memory.
type Options struct {
	Dir      string // "" keeps everything in memory, for tests
	Sync     bool   // sync each commit to disk: survives power loss, not only a crash of the program
	Virtual  bool   // no background compaction: for tests in virtual time
	ReadOnly bool
	MemTable int64 // bytes of a Badger memtable
	LogBytes int64 // of the epoch log: what is older moves to Badger

	// For simulations of a crash.
	Disk Disk  // where the epoch log is kept; nil is the file system
	Base *Base // stands in for Badger in Dir, which then only names the epoch log's files on Disk
}

func (o Options) withDefaults() Options {
	if o.MemTable == 0 {
		o.MemTable = 32 << 20 // larger ones were no faster, and three of them are in memory
	}
	if o.Disk == nil {
		o.Disk = OSDisk{}
	}
	if o.LogBytes == 0 {
		o.LogBytes = 512 << 20 // what changes again in a million events need not move; read in two seconds at the start
	}
	return o
}

// ErrLocked says that another process has the store open.
var ErrLocked = errors.New("another process has the data directory open")

// Store is one Badger database with an epoch log before it. Safe for concurrent use;
// only one goroutine at a time may call Commit.
type Store struct {
	db       *badger.DB
	lent     bool // db is that of a Base, who closes it
	logBytes int64
	part     int64 // size at which a segment of the epoch log is full

	mu        sync.RWMutex // never held while anything is written to disk
	wal       wal
	over      overlay
	snapshots map[*Snapshot]struct{} // those that are isolated
	readers   map[*Snapshot]struct{} // all that read Badger
	baseTs    uint64                 // what of Badger is whole
	broken    error                  // no commit can follow
	busy      bool                   // a segment is being merged

	wake   chan struct{} // tells merging that there may be something to do
	merged chan struct{} // closed when merging has ended
	room   *sync.Cond    // a segment was merged
}

// Open opens or makes the store in o.Dir. It answers ErrNewerFormat when a newer
// millrace wrote the directory and ErrLocked when another process has it open.
func Open(o Options) (*Store, error) {
	o = o.withDefaults()
	db, err := openBadger(o)
	if err != nil {
		return nil, err
	}
	s := &Store{
		db: db, lent: o.Base != nil, logBytes: o.LogBytes, part: max(o.LogBytes/16, 1), baseTs: db.MaxVersion(),
		snapshots: make(map[*Snapshot]struct{}), readers: make(map[*Snapshot]struct{}),
		wake: make(chan struct{}, 1), merged: make(chan struct{}),
	}
	s.room = sync.NewCond(s.mu.RLocker())
	s.over.slabs, s.over.seed = newSlabs(s, NewMemory(0)), maphash.MakeSeed()
	if err := s.openLog(o); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	go s.merging()
	s.mayMerge()
	return s, nil
}

// openBadger opens or makes the Badger in o.Dir.
func openBadger(o Options) (*badger.DB, error) {
	if o.Base != nil {
		return o.Base.db, nil
	}
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the state directory: %w", err)
		}
		if err := checkFormat(o.Dir); err != nil {
			return nil, err
		}
		if err := verifyTables(o.Dir); err != nil {
			return nil, err
		}
	}
	db, err := badger.OpenManaged(badgerOptions(o))
	for tries := 0; err != nil && isHalfDeleted(err) && !o.ReadOnly && tries < halfDeletedMax; tries++ {
		db, err = badger.OpenManaged(badgerOptions(o))
	}
	if err != nil {
		if o.Dir != "" && isLocked(err) {
			return nil, fmt.Errorf("%s: %w", o.Dir, ErrLocked)
		}
		if isDamage(err) {
			return nil, fmt.Errorf("%w: %s: %w: %s", ErrDamaged, o.Dir, err, advice)
		}
		return nil, fmt.Errorf("open the state in %s: %w", o.Dir, err)
	}
	return db, nil
}

// openLog reads the epoch log and begins a new segment of it.
func (s *Store) openLog(o Options) error {
	s.wal.sync, s.wal.disk = o.Sync, o.Disk
	if o.Dir != "" {
		s.wal.dir = filepath.Join(o.Dir, "epochs")
		if !o.ReadOnly {
			if err := o.Disk.MakeDir(s.wal.dir); err != nil {
				return fmt.Errorf("make the directory of the epoch log: %w", err)
			}
		}
		var err error
		if s.wal.segments, err = openSegments(o.Disk, s.wal.dir, o.ReadOnly); err != nil {
			return err
		}
		if err := s.replay(o.ReadOnly); err != nil {
			return err
		}
		if err := s.checkWhole(o.Dir); err != nil {
			return err
		}
	}
	if o.ReadOnly {
		s.broken = errors.New("the state is open for reading only")
		return nil
	}
	var last *segment
	if n := len(s.wal.segments); n > 0 {
		if last = s.wal.segments[n-1]; last.size == 0 {
			if err := o.Disk.SyncDir(s.wal.dir); err != nil { // its name may not be on the disk yet
				return fmt.Errorf("sync the epoch log's directory: %w", err)
			}
			return nil
		}
	}
	if last != nil && o.Sync {
		if err := last.rewrite(); err != nil {
			return err
		}
	}
	next, err := s.wal.following(last, s.wal.number)
	if err != nil {
		return err
	}
	s.wal.segments = append(s.wal.segments, next)
	return nil
}

func badgerOptions(o Options) badger.Options {
	b := badger.DefaultOptions(o.Dir).
		WithLogger(nil).
		WithInMemory(o.Dir == "").
		WithSyncWrites(o.Dir != ""). // what moved here is gone from the epoch log
		WithReadOnly(o.ReadOnly).
		WithDetectConflicts(false). // one writer
		WithNumVersionsToKeep(1).
		WithCompression(options.None). // measured: no difference in CPU, less memory
		WithBlockCacheSize(0).         // only pays with compression; the page cache does the rest
		WithMetricsEnabled(false).
		WithMemTableSize(o.MemTable).
		WithValueLogFileSize(4 * o.MemTable). // hardly any value is large enough to go there
		WithNumMemtables(3)
	if o.Virtual {
		b = b.WithNumCompactors(0)
	}
	return b
}

// isLocked tells whether badger refused because of its directory lock, for which it
// has no error value.
func isLocked(err error) bool {
	return strings.Contains(err.Error(), "Cannot acquire directory lock")
}

// isDamage tells whether badger refused because of what stands in its files. It has error
// values for few of these cases, and words of its own for each.
func isDamage(err error) bool {
	text := strings.ToLower(err.Error())
	for _, word := range []string{"manifest", "magic", "checksum", "encryption key", "key registry", "truncate", "corrupt", "does not match"} {
		if strings.Contains(text, word) {
			return !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EROFS)
		}
	}
	return false
}

// halfDeletedMax is more than the memtables and value logs that Badger can have been
// deleting at once.
const halfDeletedMax = 16

// isHalfDeleted tells whether badger stumbled over an empty file. It deletes a file that
// it needs no more by emptying and then removing it; a crash in between leaves it empty,
// and the next opening stops there with the note, meant for its own callers, that the
// file is new. By then it has made an empty table of it, so the opening after that goes
// on. There is no error value to compare with.
func isHalfDeleted(err error) bool {
	return strings.HasSuffix(err.Error(), "Create a new file")
}

// Close writes what Badger still holds and closes it. What stands in the epoch log
// stays there. Nobody may use the store, or a snapshot of it, any more.
func (s *Store) Close() error {
	close(s.wake)
	<-s.merged
	if err := s.closeFiles(); err != nil {
		return fmt.Errorf("close the state: %w", err)
	}
	return nil
}

func (s *Store) closeFiles() error {
	var errs []error
	for i, seg := range s.wal.segments {
		if seg.file == nil {
			continue
		}
		if i == len(s.wal.segments)-1 && s.broken == nil {
			errs = append(errs, seg.file.Sync())
		}
		errs = append(errs, seg.file.Close())
	}
	if !s.lent {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

// Get appends the value of key to dst and says whether there is one.
func (s *Store) Get(dst, key []byte) ([]byte, bool, error) {
	v := s.Snapshot()
	defer v.Close()
	return v.Get(dst, key)
}

// Commit writes r: all of it or nothing. When writing fails the store takes no more.
func (s *Store) Commit(ctx context.Context, r *Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.waitForRoom(); err != nil {
		return err
	}
	if len(r.ops) > changesMax || r.Bytes() > recordMax/2 {
		return fmt.Errorf("a commit of %d changes, %d bytes is over the limit", len(r.ops), r.Bytes())
	}
	for i := range r.ops {
		if n := r.ops[i].keyLen; n > keyMax {
			return fmt.Errorf("a commit has a key of %d bytes, at most %d can be", n, keyMax)
		}
	}
	s.mu.RLock() // merging takes segments away meanwhile
	seg := s.wal.active()
	s.mu.RUnlock()
	head := s.wal.encode(r)
	at := seg.size + int64(len(head))
	end := at + int64(r.Bytes())
	var next *segment
	err := s.wal.write(seg, head, r)
	if err == nil && end >= s.part {
		next, err = s.wal.following(seg, s.wal.number+1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.broken = fmt.Errorf("commit of %d changes, %d bytes: %w", len(r.ops), r.Bytes(), err)
		return s.broken
	}
	if seg.file == nil {
		seg.mem = append(seg.mem, head...)
		for c := range r.chunks() {
			seg.mem = append(seg.mem, c...)
		}
	}
	s.wal.number++
	seg.size, seg.last = end, s.wal.number
	r.Each(func(key, value []byte, removed bool) {
		v := version{segment: seg, at: -1, number: s.wal.number}
		at += int64(len(key))
		if !removed {
			v.at, v.size = at, int32(len(value)) //nolint:gosec // below recordMax
			at += int64(len(value))
		}
		s.note(key, v)
	})
	if next != nil {
		s.wal.segments = append(s.wal.segments, next)
	}
	return nil
}

// waitForRoom holds commits up while merging trails far behind, and tells it to go on.
func (s *Store) waitForRoom() error {
	s.mayMerge()
	s.mu.RLock()
	defer s.mu.RUnlock()
	for s.broken == nil && s.busy && s.wal.bytes() > 2*s.logBytes {
		s.room.Wait()
	}
	return s.broken
}

func (s *Store) mayMerge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Limits are the largest record that a commit takes, with room to spare.
func (s *Store) Limits() (entries, bytes int) { return 1 << 19, 96 << 20 }

// Size is the space that the store's files take, in bytes.
func (s *Store) Size() int64 {
	lsm, vlog := s.db.Size()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return lsm + vlog + s.wal.bytes()
}
