package state

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Snapshot reads the store as of one commit. One goroutine at a time.
type Snapshot struct {
	store  *Store
	number uint64 // of the last record that it sees
	ts     uint64 // of what it may read in Badger; the store's lock guards it
	scans  int    // scans that are under way keep ts where it is
	old    bool   // it stood in the way of moving to Badger for too long; guarded as ts
	txn    *badger.Txn
	txnTs  uint64
}

// ErrTooOld says that a snapshot was open for so long that what it saw is not kept any
// more. Try again with a new one.
var ErrTooOld = errors.New("the snapshot is too old")

// Snapshot is a consistent reading of everything committed so far. Close it: what it
// sees is kept until then, or until the epoch log is four times as long as it should be.
func (s *Store) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &Snapshot{store: s, number: s.wal.number, ts: s.baseTs}
	s.snapshots[v], s.readers[v] = struct{}{}, struct{}{}
	return v
}

// Close ends the snapshot.
func (v *Snapshot) Close() {
	s := v.store
	s.mu.Lock()
	delete(s.snapshots, v)
	delete(s.readers, v)
	if len(s.snapshots) == 0 {
		s.wal.retired = nil
	}
	s.mu.Unlock()
	if v.txn != nil {
		v.txn.Discard()
		v.txn = nil
	}
}

// Get appends the value of key to dst and says whether there is one.
func (v *Snapshot) Get(dst, key []byte) ([]byte, bool, error) {
	s := v.store
	var mem []byte
	s.mu.RLock()
	at, in := s.find(key, v.number)
	if in {
		mem = at.segment.mem
	}
	ts, old := s.baseTs, v.old
	s.mu.RUnlock()
	if old {
		return dst, false, ErrTooOld
	}
	if !in {
		return v.base(dst, key, ts)
	}
	if at.at < 0 {
		return dst, false, nil
	}
	dst, err := at.read(dst, mem)
	return dst, err == nil, err
}

// base reads a key in Badger, as of ts or later: what is there is old enough for v.
func (v *Snapshot) base(dst, key []byte, ts uint64) ([]byte, bool, error) {
	if v.txn == nil || v.txnTs < ts {
		v.renew()
	}
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

// renew begins to read Badger as it is now.
func (v *Snapshot) renew() {
	if v.txn != nil {
		v.txn.Discard()
	}
	s := v.store
	s.mu.Lock()
	v.txnTs = s.baseTs
	if v.scans == 0 {
		v.ts = v.txnTs
	}
	s.mu.Unlock()
	v.txn = s.db.NewTransactionAt(v.txnTs, false)
}

// Scan calls fn for each key that begins with prefix, in order, from the first key
// at or after from, until fn answers false. Key and value are valid until fn returns.
func (v *Snapshot) Scan(prefix, from []byte, fn func(key, value []byte) bool) error {
	s := v.store
	s.mu.Lock()
	v.scans++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		v.scans--
		s.mu.Unlock()
	}()
	list, mem, ts, err := s.within(v, prefix, from)
	if err != nil {
		return err
	}
	txn := s.db.NewTransactionAt(ts, false)
	defer txn.Discard()
	o := badger.DefaultIteratorOptions
	o.Prefix = prefix
	o.PrefetchSize = 64
	it := txn.NewIterator(o)
	defer it.Close()
	if len(from) == 0 {
		from = prefix
	}
	it.Seek(from)
	return (&scan{it: it, prefix: prefix, list: list, mem: mem}).run(fn)
}

// scan merges what Badger and the epoch log hold.
type scan struct {
	it     *badger.Iterator
	prefix []byte
	list   []found
	mem    map[*segment][]byte
	buf    []byte
}

func (c *scan) run(fn func(key, value []byte) bool) error {
	for {
		valid := c.it.ValidForPrefix(c.prefix)
		if !valid && len(c.list) == 0 {
			return nil
		}
		if len(c.list) > 0 && (!valid || c.list[0].key <= string(c.it.Item().Key())) {
			if valid && c.list[0].key == string(c.it.Item().Key()) {
				c.it.Next()
			}
			f := &c.list[0]
			c.list = c.list[1:]
			if f.at < 0 {
				continue
			}
			var err error
			if c.buf, err = f.read(c.buf[:0], c.mem[f.segment]); err != nil {
				return err
			}
			if !fn([]byte(f.key), c.buf) {
				return nil
			}
			continue
		}
		goOn, item := true, c.it.Item()
		err := item.Value(func(val []byte) error {
			goOn = item.Key()[0] == keyMerged[0] || fn(item.Key(), val)
			return nil
		})
		if err != nil {
			return fmt.Errorf("scan state: %w", err)
		}
		if !goOn {
			return nil
		}
		c.it.Next()
	}
}

// Reader reads what is committed, always the newest. One goroutine at a time.
type Reader struct {
	snap *Snapshot
}

// NewReader makes a reader. Close it.
func (s *Store) NewReader() *Reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &Snapshot{store: s, number: latest, ts: s.baseTs}
	s.readers[v] = struct{}{}
	return &Reader{snap: v}
}

// Get appends the value of key to dst and says whether there is one.
func (r *Reader) Get(dst, key []byte) ([]byte, bool, error) { return r.snap.Get(dst, key) }

// Scan is Snapshot.Scan.
func (r *Reader) Scan(prefix, from []byte, fn func(key, value []byte) bool) error {
	return r.snap.Scan(prefix, from, fn)
}

// Close ends the reader.
func (r *Reader) Close() { r.snap.Close() }
