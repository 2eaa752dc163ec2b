package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Options says how a store is opened. The zero value is a store in memory.
type Options struct {
	Dir      string // "" keeps everything in memory, for tests
	Sync     bool   // sync each commit to disk: survives power loss, not only a crash of the program
	Virtual  bool   // no background compaction: for tests in virtual time
	ReadOnly bool
	MemTable int64 // bytes of a Badger memtable; bounds a transaction to about 15 % of it
}

func (o Options) withDefaults() Options {
	if o.MemTable == 0 {
		o.MemTable = 64 << 20 // a transaction of about 9.6 MB: several epochs' worth
	}
	return o
}

// ErrLocked says that another process has the store open.
var ErrLocked = errors.New("another process has the data directory open")

// Store is one Badger database. Safe for concurrent use; only one goroutine at a
// time may call Commit.
type Store struct {
	db *badger.DB
}

// Open opens or makes the store in o.Dir. It answers ErrNewerFormat when a newer
// millrace wrote the directory and ErrLocked when another process has it open.
func Open(o Options) (*Store, error) {
	o = o.withDefaults()
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the state directory: %w", err)
		}
		if err := checkFormat(o.Dir); err != nil {
			return nil, err
		}
	}
	db, err := badger.Open(badgerOptions(o))
	for tries := 0; err != nil && isHalfDeleted(err) && !o.ReadOnly && tries < halfDeletedMax; tries++ {
		db, err = badger.Open(badgerOptions(o))
	}
	if err != nil {
		if o.Dir != "" && isLocked(err) {
			return nil, fmt.Errorf("%s: %w", o.Dir, ErrLocked)
		}
		return nil, fmt.Errorf("open the state in %s: %w", o.Dir, err)
	}
	return &Store{db: db}, nil
}

func badgerOptions(o Options) badger.Options {
	b := badger.DefaultOptions(o.Dir).
		WithLogger(nil).
		WithInMemory(o.Dir == "").
		WithSyncWrites(o.Sync).
		WithReadOnly(o.ReadOnly).
		WithDetectConflicts(false). // one writer
		WithNumVersionsToKeep(1).
		WithCompression(options.None). // measured: no difference in CPU, less memory
		WithBlockCacheSize(0).         // only pays with compression; the page cache does the rest
		WithMetricsEnabled(false).
		WithMemTableSize(o.MemTable).
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

// Close writes what Badger still holds and closes it.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the state: %w", err)
	}
	return nil
}

// Get appends the value of key to dst and says whether there is one.
func (s *Store) Get(dst, key []byte) ([]byte, bool, error) {
	v := s.Snapshot()
	defer v.Close()
	return v.Get(dst, key)
}

// Commit writes r as one transaction: all of it or nothing.
func (s *Store) Commit(ctx context.Context, r *Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	for i := range r.ops {
		op := &r.ops[i]
		key := r.buf[op.key : op.key+op.keyLen]
		var err error
		if op.del {
			err = txn.Delete(key)
		} else {
			err = txn.SetEntry(&badger.Entry{Key: key, Value: r.buf[op.val : op.val+op.valLen]})
		}
		if err != nil {
			return fmt.Errorf("commit of %d changes, %d bytes: %w", len(r.ops), len(r.buf), err)
		}
	}
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("commit of %d changes, %d bytes: %w", len(r.ops), len(r.buf), err)
	}
	return nil
}

// Limits are the largest record that one transaction takes, with room to spare.
func (s *Store) Limits() (entries, bytes int) {
	return int(s.db.MaxBatchCount()) * 8 / 10, int(s.db.MaxBatchSize()) * 7 / 10
}

// Size is the space that the store's files take, in bytes.
func (s *Store) Size() int64 {
	lsm, vlog := s.db.Size()
	return lsm + vlog
}

// Snapshot is a consistent reading of everything committed so far. Close it.
func (s *Store) Snapshot() *Snapshot {
	return &Snapshot{txn: s.db.NewTransaction(false)}
}

// Snapshot reads the store as of one commit. One goroutine at a time.
type Snapshot struct {
	txn *badger.Txn
}

// Close ends the snapshot.
func (v *Snapshot) Close() { v.txn.Discard() }

// Get appends the value of key to dst and says whether there is one.
func (v *Snapshot) Get(dst, key []byte) ([]byte, bool, error) {
	item, err := v.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return dst, false, nil
	}
	if err != nil {
		return dst, false, fmt.Errorf("read state: %w", err)
	}
	err = item.Value(func(val []byte) error {
		dst = append(dst, val...)
		return nil
	})
	if err != nil {
		return dst, false, fmt.Errorf("read state: %w", err)
	}
	return dst, true, nil
}

// Scan calls fn for each key that begins with prefix, in order, from the first key
// at or after from, until fn answers false. Key and value are valid until fn returns.
func (v *Snapshot) Scan(prefix, from []byte, fn func(key, value []byte) bool) error {
	o := badger.DefaultIteratorOptions
	o.Prefix = prefix
	o.PrefetchSize = 64
	it := v.txn.NewIterator(o)
	defer it.Close()
	if len(from) == 0 {
		from = prefix
	}
	for it.Seek(from); it.ValidForPrefix(prefix); it.Next() {
		item := it.Item()
		goOn := true
		err := item.Value(func(val []byte) error {
			goOn = fn(item.Key(), val)
			return nil
		})
		if err != nil {
			return fmt.Errorf("scan state: %w", err)
		}
		if !goOn {
			return nil
		}
	}
	return nil
}

// Reader reads the store as of its last renewal. While a commit is under way Badger
// makes every new transaction wait for it, so the engine's cells read through one
// that is older: what is younger stands in their caches. One goroutine at a time.
type Reader struct {
	store *Store
	snap  *Snapshot
}

// NewReader makes a reader that sees everything committed so far.
func (s *Store) NewReader() *Reader {
	return &Reader{store: s, snap: s.Snapshot()}
}

// Renew makes the reader see everything committed so far.
func (r *Reader) Renew() {
	r.snap.Close()
	r.snap = r.store.Snapshot()
}

// Get appends the value of key to dst and says whether there is one.
func (r *Reader) Get(dst, key []byte) ([]byte, bool, error) { return r.snap.Get(dst, key) }

// Scan is Snapshot.Scan.
func (r *Reader) Scan(prefix, from []byte, fn func(key, value []byte) bool) error {
	return r.snap.Scan(prefix, from, fn)
}

// Close ends the reader.
func (r *Reader) Close() { r.snap.Close() }
