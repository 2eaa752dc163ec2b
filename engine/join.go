package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// JoinKind says which events without a partner a join emits.
type JoinKind uint8

// The kinds of joins.
const (
	JoinInner JoinKind = iota // none
	JoinLeft                  // those of the left side
	JoinOuter                 // those of both sides
)

// JoinOutcome is what became of an event, or of a pair.
type JoinOutcome uint8

// The outcomes of joins.
const (
	JoinMatched    JoinOutcome = iota // a pair
	JoinUnmatched                     // an event that will have no partner any more
	JoinLate                          // an event before the watermark, not looked at
	JoinOverflowed                    // the oldest event of a side, dropped because its key has too many
	JoinForgotten                     // a row whose version of the table is no longer kept
)

// String is the outcome's name.
func (o JoinOutcome) String() string {
	names := [...]string{"matched", "unmatched", "late", "overflowed", "forgotten"}
	if int(o) >= len(names) {
		return fmt.Sprintf("outcome %d", uint8(o))
	}
	return names[o]
}

// JoinResult is a pair, or an event alone.
type JoinResult[L, R any] struct {
	Outcome  JoinOutcome
	HasLeft  bool
	HasRight bool
	Left     L
	Right    R
	LeftAt   int64
	RightAt  int64
}

// IntervalOptions say which events are partners: a right one from Lower to Upper,
// both included, behind the left one, in event time. Either may be negative.
type IntervalOptions[L, R any] struct {
	Lower time.Duration
	Upper time.Duration
	Kind  JoinKind
	Left  EventCodec[L]
	Right EventCodec[R]
	Max   int // events of a key and side that are kept
}

// IntervalJoin joins two streams of a key. It holds no state of a key and reads no
// clock. One goroutine at a time.
//
// A pair is emitted as soon as its second event is read, in the order of the log; an
// event without a partner when the watermark says that none can come. What can have no
// partner any more is dropped at the same moment.
type IntervalJoin[L, R any] struct {
	o            IntervalOptions[L, R]
	lower, upper int64
}

// NewIntervalJoin makes a join. The error says what is wrong with the bounds.
func NewIntervalJoin[L, R any](o IntervalOptions[L, R]) (*IntervalJoin[L, R], error) {
	const longest = 10 * 365 * 24 * time.Hour // no sum of it and a time of this century overflows
	if o.Lower > o.Upper {
		return nil, fmt.Errorf("interval join from %s to %s: the bounds are the wrong way round", o.Lower, o.Upper)
	}
	if o.Lower < -longest || o.Upper > longest {
		return nil, fmt.Errorf("interval join from %s to %s: at most %s", o.Lower, o.Upper, longest)
	}
	if o.Left.Append == nil || o.Left.Decode == nil || o.Right.Append == nil || o.Right.Decode == nil {
		panic("BUG: an interval join needs codecs")
	}
	o.Max = cmp.Or(o.Max, 1024) // ten a second of one key for the usual two minutes
	return &IntervalJoin[L, R]{o: o, lower: o.Lower.Milliseconds(), upper: o.Upper.Milliseconds()}, nil
}

// IntervalState is what an interval join keeps of one key. It is a value of a cell; one
// goroutine at a time.
type IntervalState struct {
	wakes wakes
	left  []joinEvent // by time, those of a time in the order of the log
	right []joinEvent
}

type joinEvent struct {
	storedEvent
	matched bool
}

// Empty tells whether the state holds nothing: it need not be stored.
func (s *IntervalState) Empty() bool { return s.wakes.none() && len(s.left)+len(s.right) == 0 }

// Kept is how many events of each side wait for partners.
func (s *IntervalState) Kept() (left, right int) { return len(s.left), len(s.right) }

// insertJoin puts an event at its place.
func insertJoin(all []joinEvent, e joinEvent) []joinEvent {
	i := len(all)
	for i > 0 && all[i-1].at > e.at {
		i--
	}
	return slices.Insert(all, i, e)
}

// span is the part of all with times from first to last.
func span(all []joinEvent, first, last int64) []joinEvent {
	from, _ := slices.BinarySearchFunc(all, first, func(e joinEvent, t int64) int { return cmp.Compare(e.at, t) })
	to := from
	for to < len(all) && all[to].at <= last {
		to++
	}
	return all[from:to]
}

// Left takes an event of the left side. now is the watermark. It answers whether the
// state changed.
func (j *IntervalJoin[L, R]) Left(s *IntervalState, at int64, v L, now int64, emit func(JoinResult[L, R])) (changed bool, err error) {
	if changed, err = j.Advance(s, now, emit); err != nil {
		return changed, err
	}
	alone := JoinResult[L, R]{HasLeft: true, Left: v, LeftAt: at}
	if at < now {
		alone.Outcome = JoinLate
		emit(alone)
		return changed, nil
	}
	partners := span(s.right, at+j.lower, at+j.upper)
	for i := range partners {
		r, err := j.o.Right.Decode(partners[i].raw)
		if err != nil {
			return changed, fmt.Errorf("%w: %w", errJoin, err)
		}
		partners[i].matched = true
		emit(JoinResult[L, R]{HasLeft: true, HasRight: true, Left: v, Right: r, LeftAt: at, RightAt: partners[i].at})
	}
	changed = changed || len(partners) > 0
	if at+j.upper < now {
		if len(partners) == 0 && j.o.Kind != JoinInner {
			alone.Outcome = JoinUnmatched
			emit(alone)
		}
		return changed, nil
	}
	s.left = insertJoin(s.left, joinEvent{storedEvent{at, j.o.Left.Append(nil, v)}, len(partners) > 0})
	if len(s.left) > j.o.Max {
		err = j.dropLeft(s, JoinOverflowed, emit)
	}
	return true, err
}

// Right takes an event of the right side. now is the watermark. It answers whether the
// state changed.
func (j *IntervalJoin[L, R]) Right(s *IntervalState, at int64, v R, now int64, emit func(JoinResult[L, R])) (changed bool, err error) {
	if changed, err = j.Advance(s, now, emit); err != nil {
		return changed, err
	}
	alone := JoinResult[L, R]{HasRight: true, Right: v, RightAt: at}
	if at < now {
		alone.Outcome = JoinLate
		emit(alone)
		return changed, nil
	}
	partners := span(s.left, at-j.upper, at-j.lower)
	for i := range partners {
		l, err := j.o.Left.Decode(partners[i].raw)
		if err != nil {
			return changed, fmt.Errorf("%w: %w", errJoin, err)
		}
		partners[i].matched = true
		emit(JoinResult[L, R]{HasLeft: true, HasRight: true, Left: l, Right: v, LeftAt: partners[i].at, RightAt: at})
	}
	changed = changed || len(partners) > 0
	if at-j.lower < now {
		if len(partners) == 0 && j.o.Kind == JoinOuter {
			alone.Outcome = JoinUnmatched
			emit(alone)
		}
		return changed, nil
	}
	s.right = insertJoin(s.right, joinEvent{storedEvent{at, j.o.Right.Append(nil, v)}, len(partners) > 0})
	if len(s.right) > j.o.Max {
		err = j.dropRight(s, JoinOverflowed, emit)
	}
	return true, err
}

// dropLeft takes the oldest left event out, and emits it if the outcome calls for it.
func (j *IntervalJoin[L, R]) dropLeft(s *IntervalState, o JoinOutcome, emit func(JoinResult[L, R])) error {
	e := s.left[0]
	if s.left = slices.Delete(s.left, 0, 1); len(s.left) == 0 {
		s.left = nil
	}
	if o == JoinUnmatched && (e.matched || j.o.Kind == JoinInner) {
		return nil
	}
	v, err := j.o.Left.Decode(e.raw)
	if err != nil {
		return fmt.Errorf("%w: %w", errJoin, err)
	}
	emit(JoinResult[L, R]{Outcome: o, HasLeft: true, Left: v, LeftAt: e.at})
	return nil
}

// dropRight takes the oldest right event out, and emits it if the outcome calls for it.
func (j *IntervalJoin[L, R]) dropRight(s *IntervalState, o JoinOutcome, emit func(JoinResult[L, R])) error {
	e := s.right[0]
	if s.right = slices.Delete(s.right, 0, 1); len(s.right) == 0 {
		s.right = nil
	}
	if o == JoinUnmatched && (e.matched || j.o.Kind != JoinOuter) {
		return nil
	}
	v, err := j.o.Right.Decode(e.raw)
	if err != nil {
		return fmt.Errorf("%w: %w", errJoin, err)
	}
	emit(JoinResult[L, R]{Outcome: o, HasRight: true, Right: v, RightAt: e.at})
	return nil
}

// ends are the watermarks at which the oldest event of each side is dropped.
func (j *IntervalJoin[L, R]) ends(s *IntervalState) (left, right int64) {
	left, right = never, never
	if len(s.left) > 0 {
		left = s.left[0].at + j.upper + 1
	}
	if len(s.right) > 0 {
		right = s.right[0].at - j.lower + 1
	}
	return left, right
}

// Advance drops what can have no partner any more, in the order in which it came to
// that. It answers whether the state changed.
func (j *IntervalJoin[L, R]) Advance(s *IntervalState, now int64, emit func(JoinResult[L, R])) (changed bool, err error) {
	for err == nil {
		left, right := j.ends(s)
		switch {
		case left > now && right > now:
			return changed, nil
		case left <= right:
			err = j.dropLeft(s, JoinUnmatched, emit)
		default:
			err = j.dropRight(s, JoinUnmatched, emit)
		}
		changed = true
	}
	return changed, err
}

// Next is the watermark at which Advance is to be called next.
func (j *IntervalJoin[L, R]) Next(s *IntervalState) (due int64, ok bool) {
	left, right := j.ends(s)
	due = min(left, right)
	return due, due != never
}

// errJoin says that the stored state of a join is damaged.
var errJoin = errors.New("the state of a join is damaged")

// joinSchema is the version of the stored forms of joins.
const joinSchema = 1

// AppendTo appends the stored form.
func (s *IntervalState) AppendTo(b []byte) []byte {
	b = append(b, joinSchema, s.wakes.flags())
	b, base := s.wakes.appendTo(b)
	for _, side := range [...][]joinEvent{s.left, s.right} {
		b = binary.AppendUvarint(b, uint64(len(side)))
		last := base
		for _, e := range side {
			b = binary.AppendVarint(b, e.at-last)
			word := uint64(len(e.raw)) << 1
			if e.matched {
				word |= 1
			}
			b = binary.AppendUvarint(b, word)
			b = append(b, e.raw...)
			last = e.at
		}
	}
	return b
}

// DecodeFrom replaces the state by its stored form; it is empty after an error. It
// keeps nothing of b.
func (s *IntervalState) DecodeFrom(b []byte) error {
	*s = IntervalState{}
	r := &storedReader{b: b}
	if v := r.byte(); v != joinSchema {
		return fmt.Errorf("%w: its version is %d, known is %d", errJoin, v, joinSchema)
	}
	flags := r.byte()
	if flags > wakeSoon|wakeLate {
		r.fail()
	}
	base := s.wakes.read(r, flags)
	s.left, s.right = r.joined(base), r.joined(base)
	if r.bad || len(r.b) > 0 {
		*s = IntervalState{}
		return errJoin
	}
	return nil
}

// joined reads a side. Times must not fall.
func (r *storedReader) joined(base int64) []joinEvent {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	all := make([]joinEvent, n)
	for i := range all {
		at := base + r.varint()
		word := r.uvarint()
		if i > 0 && at < base || word>>1 > uint64(len(r.b)) {
			r.fail()
			return nil
		}
		base = at
		raw := r.b[:word>>1]
		r.b = r.b[len(raw):]
		all[i] = joinEvent{storedEvent{at, slices.Clone(raw)}, word&1 != 0}
	}
	return all
}
