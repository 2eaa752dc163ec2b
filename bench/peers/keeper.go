package main

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// keeper is the state that the peers bring with them, since none has its own: persons,
// timers, decisions and, where the peer knows one, the position, in Badger, every call
// of take one transaction. Safe for concurrent use; take may then meet conflicts, and
// tries again.
type keeper struct {
	db *badger.DB

	// cache holds persons from one batch to the next, or is nil: who has several takers
	// at once must read what is stored. cacheMax bounds it.
	cache map[string]*shopper

	mu        sync.Mutex
	timers    timers // those that are stored, as soon as they are
	watermark int64
	conflicts uint64
}

// cacheMax persons are about 300 MB; then all of them are let go.
const cacheMax = 1 << 20

// The first bytes of keys.
const (
	keyPerson   = 'p'
	keyTimer    = 't'
	keyDecision = 'd'
	keyPosition = 'z'
)

// timer is one that a person waits for.
type timer struct {
	due  int64
	user string
}

// timers is a heap.
type timers []timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].due < t[j].due }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *timers) Push(v any) { *t = append(*t, v.(timer)) }

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	last := len(*t) - 1
	v := (*t)[last]
	*t = (*t)[:last]
	return v
}

// openKeeper opens the state and reads its timers.
func openKeeper(dir string, sync bool) (*keeper, error) {
	db, err := badger.Open(badger.DefaultOptions(dir).WithSyncWrites(sync).WithLogger(nil))
	if err != nil {
		return nil, fmt.Errorf("open the state: %w", err)
	}
	k := &keeper{db: db}
	err = k.each(keyTimer, func(key, _ []byte) error {
		k.timers = append(k.timers, timer{int64(binary.BigEndian.Uint64(key)), string(key[8:])}) //nolint:gosec // as it was written
		return nil
	})
	heap.Init(&k.timers)
	return k, err
}

func (k *keeper) close() error { return k.db.Close() }

// each calls f with what has a first byte, in order; the key without it.
func (k *keeper) each(first byte, f func(key, value []byte) error) error {
	return k.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = []byte{first}
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if err := it.Item().Value(func(v []byte) error { return f(it.Item().Key()[1:], v) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// position is where the stored state stands in the log, 0 at its begin.
func (k *keeper) position() (seq uint64, err error) {
	err = k.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get([]byte{keyPosition})
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			seq = binary.BigEndian.Uint64(v)
			return nil
		})
	})
	return seq, err
}

// take applies events in order, with the timers that are due before each, and commits
// all of it with the position, unless that is 0.
func (k *keeper) take(events []action, seq uint64) error {
	for {
		b := batch{k: k, txn: k.db.NewTransaction(true), persons: make(map[string]*shopper), set: make(map[timer]bool)}
		err := b.run(events, seq)
		b.txn.Discard()
		k.mu.Lock()
		if err != nil {
			for _, t := range b.popped { // still to be fired
				heap.Push(&k.timers, t)
			}
		} else {
			for _, t := range slices.SortedFunc(maps.Keys(b.set), func(x, y timer) int { return int(x.due - y.due) }) {
				heap.Push(&k.timers, t)
			}
		}
		again := errors.Is(err, badger.ErrConflict)
		if again {
			k.conflicts++
		}
		k.mu.Unlock()
		if !again {
			return err
		}
	}
}

// batch is one transaction.
type batch struct {
	k       *keeper
	txn     *badger.Txn
	persons map[string]*shopper // met in this transaction
	set     map[timer]bool
	fresh   timers // of set
	popped  []timer
}

func (b *batch) run(events []action, seq uint64) error {
	for i := range events {
		a := &events[i]
		if err := b.advance(a.at - outOfOrder); err != nil {
			return err
		}
		s, err := b.person(a.user)
		if err != nil {
			return err
		}
		if due := s.apply(a); due != 0 {
			b.arm(timer{due, a.user})
		}
	}
	for user, s := range b.persons {
		if err := b.txn.Set(append([]byte{keyPerson}, user...), s.AppendTo(nil)); err != nil {
			return fmt.Errorf("store a person: %w", err)
		}
	}
	for t := range b.set {
		if err := b.txn.Set(timerKey(t), nil); err != nil {
			return fmt.Errorf("store a timer: %w", err)
		}
	}
	if seq > 0 {
		if err := b.txn.Set([]byte{keyPosition}, binary.BigEndian.AppendUint64(nil, seq)); err != nil {
			return fmt.Errorf("store the position: %w", err)
		}
	}
	return b.txn.Commit()
}

// arm sets a timer.
func (b *batch) arm(t timer) {
	b.set[t] = true
	heap.Push(&b.fresh, t)
}

// due takes the next timer that is due, of those that are stored or of this batch.
func (b *batch) due(watermark int64) (t timer, ok bool, err error) {
	b.k.mu.Lock()
	defer b.k.mu.Unlock()
	b.k.watermark = max(b.k.watermark, watermark)
	stored, fresh := b.k.timers, b.fresh
	if len(fresh) > 0 && (len(stored) == 0 || fresh[0].due < stored[0].due) {
		if fresh[0].due > b.k.watermark {
			return timer{}, false, nil
		}
		t = heap.Pop(&b.fresh).(timer)
		delete(b.set, t)
		return t, true, nil
	}
	if len(stored) == 0 || stored[0].due > b.k.watermark {
		return timer{}, false, nil
	}
	t = heap.Pop(&b.k.timers).(timer)
	b.popped = append(b.popped, t)
	if err := b.txn.Delete(timerKey(t)); err != nil {
		return t, false, fmt.Errorf("remove a timer: %w", err)
	}
	return t, true, nil
}

// advance fires what is due.
func (b *batch) advance(watermark int64) error {
	for {
		t, ok, err := b.due(watermark)
		if err != nil || !ok {
			return err
		}
		s, err := b.person(t.user)
		if err != nil {
			return err
		}
		left, again := s.fire(t.due)
		if left {
			key := binary.BigEndian.AppendUint64([]byte{keyDecision}, uint64(s.since)) //nolint:gosec // not negative
			if err := b.txn.Set(append(key, t.user...), nil); err != nil {
				return fmt.Errorf("store a decision: %w", err)
			}
		}
		if again != 0 {
			b.arm(timer{again, t.user})
		}
	}
}

// person is a person's state as this transaction has it.
func (b *batch) person(user string) (*shopper, error) {
	if s := b.persons[user]; s != nil {
		return s, nil
	}
	if s := b.k.cache[user]; s != nil {
		b.persons[user] = s
		return s, nil
	}
	s := &shopper{}
	item, err := b.txn.Get(append([]byte{keyPerson}, user...))
	switch {
	case err == nil:
		err = item.Value(s.DecodeFrom)
	case errors.Is(err, badger.ErrKeyNotFound):
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a person: %w", err)
	}
	b.persons[user] = s
	if b.k.cache != nil {
		if len(b.k.cache) >= cacheMax {
			clear(b.k.cache)
		}
		b.k.cache[user] = s
	}
	return s, nil
}

func timerKey(t timer) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{keyTimer}, uint64(t.due)), t.user...) //nolint:gosec // not negative
}

// answer reads what came of the job.
func (k *keeper) answer() (answer, error) {
	var a answer
	err := k.each(keyPerson, func(key, value []byte) error {
		var s shopper
		if err := s.DecodeFrom(value); err != nil {
			return err
		}
		a.person(string(key), &s)
		return nil
	})
	if err != nil {
		return a, err
	}
	err = k.each(keyDecision, func(key, _ []byte) error {
		a.left(decision{string(key[8:]), int64(binary.BigEndian.Uint64(key))}) //nolint:gosec // as it was written
		return nil
	})
	return a, err
}
