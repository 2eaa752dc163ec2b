package engine

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// TableOptions say how rows of a stream meet the versions of a table.
type TableOptions[L, R any] struct {
	Kind    JoinKind // JoinLeft also emits rows for which the table has nothing
	Row     EventCodec[L]
	Version EventCodec[R]
	// History is how far behind the watermark versions are kept: so late a row may be
	// and still meet the version of its time.
	History  time.Duration
	Versions int // of a key that are kept
	Pending  int // rows of a key that wait for the watermark
}

// TableJoin joins each row of a stream with the version that the table had at the
// row's time. It holds no state of a key and reads no clock. One goroutine at a time.
//
// A row waits until the watermark has passed its time, so that every version up to and
// including that time is known; rows leave in the order of their times.
type TableJoin[L, R any] struct{ o TableOptions[L, R] }

// NewTableJoin makes a join.
func NewTableJoin[L, R any](o TableOptions[L, R]) (*TableJoin[L, R], error) {
	if o.Row.Append == nil || o.Row.Decode == nil || o.Version.Append == nil || o.Version.Decode == nil {
		panic("BUG: a table join needs codecs")
	}
	if o.Kind == JoinOuter {
		return nil, fmt.Errorf("a table join of kind %d: versions that no row asked for are not emitted, use JoinLeft", o.Kind)
	}
	if o.History < 0 {
		return nil, fmt.Errorf("a table join with a history of %s", o.History)
	}
	o.Versions = cmp.Or(o.Versions, 64) // a price changes a few times within the history
	o.Pending = cmp.Or(o.Pending, 1024) // ten rows a second of one key for the usual two minutes
	return &TableJoin[L, R]{o: o}, nil
}

// TableState is what a table join keeps of one key. It is a value of a cell; one
// goroutine at a time.
type TableState struct {
	wakes    wakes
	pending  []storedEvent // rows, by time, those of a time in the order of the log
	versions []tableVersion
	floor    int64 // versions before it are not known any more
}

type tableVersion struct {
	storedEvent
	deleted bool
}

// Empty tells whether the state holds nothing: it need not be stored.
func (s *TableState) Empty() bool { return s.wakes.none() && len(s.pending)+len(s.versions) == 0 }

// Kept is how many rows wait, and how many versions are known.
func (s *TableState) Kept() (rows, versions int) { return len(s.pending), len(s.versions) }

// Row takes a row of the stream. now is the watermark. It answers whether the state
// changed.
func (j *TableJoin[L, R]) Row(s *TableState, at int64, v L, now int64, emit func(JoinResult[L, R])) (changed bool, err error) {
	if changed, err = j.Advance(s, now, emit); err != nil {
		return changed, err
	}
	switch {
	case at < now-j.o.History.Milliseconds() && at < now:
		emit(JoinResult[L, R]{Outcome: JoinLate, HasLeft: true, Left: v, LeftAt: at})
	case at < now:
		err = j.meet(s, at, v, emit)
	case len(s.pending) >= j.o.Pending:
		emit(JoinResult[L, R]{Outcome: JoinOverflowed, HasLeft: true, Left: v, LeftAt: at})
	default:
		i := len(s.pending)
		for i > 0 && s.pending[i-1].at > at {
			i--
		}
		s.pending = slices.Insert(s.pending, i, storedEvent{at, j.o.Row.Append(nil, v)})
		changed = true
	}
	return changed, err
}

// Update takes a version of the table, which holds from at on; deleted says that the
// table has nothing from then on. now is the watermark. A version that is late by no
// more than the history holds for rows that come after it.
func (j *TableJoin[L, R]) Update(s *TableState, at int64, v R, deleted bool, now int64, emit func(JoinResult[L, R])) (changed bool, err error) {
	if changed, err = j.Advance(s, now, emit); err != nil {
		return changed, err
	}
	if at < now && at < now-j.o.History.Milliseconds() {
		emit(JoinResult[L, R]{Outcome: JoinLate, HasRight: true, Right: v, RightAt: at})
		return changed, nil
	}
	i := len(s.versions)
	for i > 0 && s.versions[i-1].at > at {
		i--
	}
	n := tableVersion{storedEvent{at: at}, deleted}
	if !deleted {
		n.raw = j.o.Version.Append(nil, v)
	}
	s.versions = slices.Insert(s.versions, i, n)
	for len(s.versions) > j.o.Versions {
		old := s.versions[0]
		s.versions = slices.Delete(s.versions, 0, 1)
		s.floor = s.versions[0].at
		r := JoinResult[L, R]{Outcome: JoinOverflowed, HasRight: !old.deleted, RightAt: old.at}
		if !old.deleted {
			if r.Right, err = j.o.Version.Decode(old.raw); err != nil {
				return true, fmt.Errorf("%w: %w", errJoin, err)
			}
		}
		emit(r)
	}
	return true, nil
}

// Advance lets the rows go whose time the watermark has passed, and forgets versions
// that are older than the history. It answers whether the state changed.
func (j *TableJoin[L, R]) Advance(s *TableState, now int64, emit func(JoinResult[L, R])) (changed bool, err error) {
	for len(s.pending) > 0 && s.pending[0].at < now {
		e := s.pending[0]
		if s.pending = slices.Delete(s.pending, 0, 1); len(s.pending) == 0 {
			s.pending = nil
		}
		changed = true
		v, err := j.o.Row.Decode(e.raw)
		if err != nil {
			return changed, fmt.Errorf("%w: %w", errJoin, err)
		}
		if err := j.meet(s, e.at, v, emit); err != nil {
			return changed, err
		}
	}
	horizon := now - j.o.History.Milliseconds()
	if horizon > now {
		return changed, nil // no watermark yet
	}
	old := 0
	for old+1 < len(s.versions) && s.versions[old+1].at <= horizon {
		old++
	}
	if len(s.versions) > 0 && s.versions[old].deleted && s.versions[old].at <= horizon {
		old++ // nothing is what is known of a key without versions, too
	}
	if old > 0 {
		s.versions = slices.Delete(s.versions, 0, old)
		if len(s.versions) == 0 {
			s.versions, s.floor = nil, 0
		}
		changed = true
	}
	return changed, nil
}

// meet joins a row with the version of its time.
func (j *TableJoin[L, R]) meet(s *TableState, at int64, v L, emit func(JoinResult[L, R])) error {
	i, _ := slices.BinarySearchFunc(s.versions, at, func(e tableVersion, t int64) int {
		if e.at <= t {
			return -1
		}
		return 1
	})
	r := JoinResult[L, R]{HasLeft: true, Left: v, LeftAt: at}
	switch {
	case i > 0 && !s.versions[i-1].deleted:
		right, err := j.o.Version.Decode(s.versions[i-1].raw)
		if err != nil {
			return fmt.Errorf("%w: %w", errJoin, err)
		}
		r.HasRight, r.Right, r.RightAt = true, right, s.versions[i-1].at
	case i == 0 && s.floor != 0 && at < s.floor:
		r.Outcome = JoinForgotten
	case j.o.Kind == JoinInner:
		return nil
	default:
		r.Outcome = JoinUnmatched
	}
	emit(r)
	return nil
}

// Next is the watermark at which Advance is to be called next.
func (j *TableJoin[L, R]) Next(s *TableState) (due int64, ok bool) {
	if len(s.pending) == 0 {
		return never, false
	}
	return s.pending[0].at + 1, true
}

// AppendTo appends the stored form.
func (s *TableState) AppendTo(b []byte) []byte {
	b = append(b, joinSchema, s.wakes.flags())
	b, base := s.wakes.appendTo(b)
	b = binary.AppendVarint(b, s.floor)
	b = appendStored(b, s.pending, base)
	b = binary.AppendUvarint(b, uint64(len(s.versions)))
	base = 0
	for _, v := range s.versions {
		b = binary.AppendVarint(b, v.at-base)
		base = v.at
		word := uint64(len(v.raw)) << 1
		if v.deleted {
			word |= 1
		}
		b = binary.AppendUvarint(b, word)
		b = append(b, v.raw...)
	}
	return b
}

// DecodeFrom replaces the state by its stored form; it is empty after an error. It
// keeps nothing of b.
func (s *TableState) DecodeFrom(b []byte) error {
	*s = TableState{}
	r := &storedReader{b: b}
	if v := r.byte(); v != joinSchema {
		return fmt.Errorf("%w: its version is %d, known is %d", errJoin, v, joinSchema)
	}
	flags := r.byte()
	if flags > wakeSoon|wakeLate {
		r.fail()
	}
	base := s.wakes.read(r, flags)
	s.floor = r.varint()
	s.pending = r.events(base)
	for _, e := range r.joined(0) {
		s.versions = append(s.versions, tableVersion{e.storedEvent, e.matched})
	}
	if r.bad || len(r.b) > 0 {
		*s = TableState{}
		return errJoin
	}
	return nil
}
