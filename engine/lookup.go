package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A lookup asks something outside of the log, such as a model or a price service. The
// question is an effect, and the answer comes back as an event of the log: see
// docs/adr/0013-joins.md for why nothing else would keep the promise that the same log
// gives the same decisions.

// LookupOptions say how often and how long is asked. Input is required.
type LookupOptions[T any] struct {
	Input EventCodec[T]
	// Unordered emits answers as they come; else those of a key leave in the order of
	// their questions.
	Unordered bool
	Flight    int           // questions of a key under way at once
	Waiting   int           // questions of a key that are kept, those under way included
	Tries     int           // how often a question is asked before it has failed
	Timeout   time.Duration // from the question on, in event time, all tries together
	Backoff   Backoff       // between tries, in event time
}

func (o LookupOptions[T]) withDefaults() LookupOptions[T] {
	o.Flight = cmp.Or(o.Flight, 4)                // one key must not take the whole pool
	o.Waiting = cmp.Or(o.Waiting, 256)            // more of one key at once is a robot
	o.Tries = cmp.Or(o.Tries, 3)                  // twice is chance, three times is broken
	o.Timeout = cmp.Or(o.Timeout, 10*time.Minute) // event time moves by ticks when the log is quiet
	o.Backoff.Base = cmp.Or(o.Backoff.Base, time.Second)
	return o
}

// LookupID names a question: where in the log the event stood that asked, and the how
// manyth it was there. It is unique per key for good, whatever state is dropped.
type LookupID struct {
	Seq   uint64
	Index uint32
	N     uint32
}

// LookupCall is a question to be asked, the body of an effect.
type LookupCall struct {
	Key   string
	ID    LookupID
	Try   int // from 1 on
	Input []byte
}

// LookupAnswer is what came of a call, the body of an event.
type LookupAnswer struct {
	Row    uint64 // of the outbox: the epoch that reads the answer removes it
	Key    string
	ID     LookupID
	Try    int
	Failed bool
	Body   []byte // unless it failed
}

// LookupOutcome is what came of a question.
type LookupOutcome uint8

// The outcomes of lookups.
const (
	LookupAnswered LookupOutcome = iota
	LookupFailed                 // every try failed
	LookupTimedOut               // the watermark passed its time
	LookupRefused                // its key has too many
)

// String is the outcome's name.
func (o LookupOutcome) String() string {
	names := [...]string{"answered", "failed", "timed-out", "refused"}
	if int(o) >= len(names) {
		return fmt.Sprintf("outcome %d", uint8(o))
	}
	return names[o]
}

// LookupResult is a question with its outcome.
type LookupResult[T any] struct {
	Outcome LookupOutcome
	Input   T
	Body    []byte // the answer
	Tries   int
}

// Lookup is the state machine of questions. It holds no state of a key, asks nothing
// itself and reads no clock. One goroutine at a time.
type Lookup[T any] struct {
	o LookupOptions[T]
}

// NewLookup makes a lookup.
func NewLookup[T any](o LookupOptions[T]) *Lookup[T] {
	if o.Input.Append == nil || o.Input.Decode == nil {
		panic("BUG: a lookup needs a codec")
	}
	return &Lookup[T]{o: o.withDefaults()}
}

// LookupState is what a lookup keeps of one key. It is a value of a cell; one goroutine
// at a time.
type LookupState struct {
	wakes     wakes
	questions []question // in the order in which they were asked
}

// questionState is how a question stands.
type questionState uint8

const (
	questionWaits questionState = iota // for room
	questionFlies                      // asked
	questionRests                      // between two tries
	questionEnded                      // and waits for those before it
)

type question struct {
	id       LookupID
	state    questionState
	outcome  LookupOutcome
	tries    int
	deadline int64
	retry    int64 // when it rests
	input    []byte
	body     []byte
}

// Empty tells whether the state holds nothing: it need not be stored.
func (s *LookupState) Empty() bool { return s.wakes.none() && len(s.questions) == 0 }

// Kept is how many questions the state holds.
func (s *LookupState) Kept() int { return len(s.questions) }

// Ask takes an input of the event at a position of the log. now is the watermark. It
// answers whether the state changed. ask is called for each call that is to be made,
// emit for each question that is over.
func (l *Lookup[T]) Ask(s *LookupState, key string, seq uint64, index uint32, v T, now int64, ask func(LookupCall), emit func(LookupResult[T])) (changed bool, err error) {
	if changed, err = l.Advance(s, key, now, ask, emit); err != nil {
		return changed, err
	}
	if len(s.questions) >= l.o.Waiting {
		emit(LookupResult[T]{Outcome: LookupRefused, Input: v})
		return changed, nil
	}
	id := LookupID{Seq: seq, Index: index}
	for i := range s.questions { // no question of this position is over yet: neither time nor answers stand at it
		if q := &s.questions[i]; q.id.Seq == seq && q.id.Index == index {
			id.N++
		}
	}
	s.questions = append(s.questions, question{id: id, deadline: addTime(now, l.o.Timeout.Milliseconds()), input: l.o.Input.Append(nil, v)})
	l.fly(s, key, ask)
	return true, nil
}

// Answer takes the answer to a call. One that nobody waits for any more, or that comes
// twice, changes nothing. It answers whether the state changed.
func (l *Lookup[T]) Answer(s *LookupState, a *LookupAnswer, now int64, ask func(LookupCall), emit func(LookupResult[T])) (changed bool, err error) {
	if changed, err = l.Advance(s, a.Key, now, ask, emit); err != nil {
		return changed, err
	}
	i := slices.IndexFunc(s.questions, func(q question) bool { return q.id == a.ID && q.state != questionEnded })
	if i < 0 {
		return changed, nil
	}
	q := &s.questions[i]
	switch {
	case !a.Failed: // also of an earlier try
		q.state, q.outcome, q.body = questionEnded, LookupAnswered, slices.Clone(a.Body)
	case a.Try != q.tries || q.state != questionFlies:
		return changed, nil
	case q.tries >= l.o.Tries:
		q.state, q.outcome = questionEnded, LookupFailed
	default:
		q.state = questionRests
		q.retry = addTime(now, l.o.Backoff.Wait(q.tries, q.id.seed()).Milliseconds())
	}
	if err := l.release(s, emit); err != nil {
		return true, err
	}
	l.fly(s, a.Key, ask)
	return true, nil
}

// seed tells questions apart.
func (id LookupID) seed() uint64 { return mix(id.Seq ^ uint64(id.Index)<<32 ^ uint64(id.N)) }

// Advance ends the questions whose time is over, and asks again those that have
// rested. It answers whether the state changed.
func (l *Lookup[T]) Advance(s *LookupState, key string, now int64, ask func(LookupCall), emit func(LookupResult[T])) (changed bool, err error) {
	for i := range s.questions {
		q := &s.questions[i]
		switch {
		case q.state == questionEnded:
		case q.deadline <= now:
			q.state, q.outcome = questionEnded, LookupTimedOut
			changed = true
		case q.state == questionRests && q.retry <= now:
			q.state = questionWaits
			changed = true
		}
	}
	if !changed {
		return false, nil
	}
	if err := l.release(s, emit); err != nil {
		return true, err
	}
	l.fly(s, key, ask)
	return true, nil
}

// release emits the questions that are over, as order allows.
func (l *Lookup[T]) release(s *LookupState, emit func(LookupResult[T])) error {
	kept := s.questions[:0]
	blocked := false
	var failed error
	for _, q := range s.questions {
		if q.state != questionEnded || blocked || failed != nil {
			kept = append(kept, q)
			blocked = !l.o.Unordered
			continue
		}
		v, err := l.o.Input.Decode(q.input)
		if err != nil {
			failed = fmt.Errorf("%w: %w", errLookup, err)
			continue
		}
		emit(LookupResult[T]{Outcome: q.outcome, Input: v, Body: q.body, Tries: q.tries})
	}
	clear(s.questions[len(kept):])
	if s.questions = kept; len(kept) == 0 {
		s.questions = nil
	}
	return failed
}

// fly asks as many questions as may be under way, the oldest first. One that rests
// keeps its place, so that a service that is down is not asked by everybody in turn.
func (l *Lookup[T]) fly(s *LookupState, key string, ask func(LookupCall)) {
	under := 0
	for i := range s.questions {
		if q := &s.questions[i]; q.state == questionFlies || q.state == questionRests {
			under++
		}
	}
	for i := range s.questions {
		if under >= l.o.Flight {
			return
		}
		if q := &s.questions[i]; q.state == questionWaits {
			q.state = questionFlies
			q.tries++
			under++
			ask(LookupCall{Key: key, ID: q.id, Try: q.tries, Input: q.input})
		}
	}
}

// Next is the watermark at which Advance is to be called next.
func (l *Lookup[T]) Next(s *LookupState) (due int64, ok bool) {
	due = never
	for i := range s.questions {
		q := &s.questions[i]
		if q.state == questionEnded {
			continue
		}
		due = min(due, q.deadline)
		if q.state == questionRests {
			due = min(due, q.retry)
		}
	}
	return due, due != never
}

// errLookup says that what a lookup stored or sent is damaged.
var errLookup = errors.New("the state of a lookup is damaged")

// lookupSchema is the version of the stored forms of lookups.
const lookupSchema = 1

func (id LookupID) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, id.Seq)
	b = binary.AppendUvarint(b, uint64(id.Index))
	return binary.AppendUvarint(b, uint64(id.N))
}

func (r *storedReader) lookupID() LookupID {
	return LookupID{Seq: r.uvarint(), Index: uint32(r.below(1 << 32)), N: uint32(r.below(1 << 32))}
}

func appendJoined(b, v []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// AppendTo appends the stored form.
func (s *LookupState) AppendTo(b []byte) []byte {
	b = append(b, lookupSchema, s.wakes.flags())
	b, base := s.wakes.appendTo(b)
	b = binary.AppendUvarint(b, uint64(len(s.questions)))
	for i := range s.questions {
		q := &s.questions[i]
		b = q.id.appendTo(b)
		b = append(b, byte(q.state)|byte(q.outcome)<<2)
		b = binary.AppendUvarint(b, uint64(q.tries))
		b = binary.AppendVarint(b, q.deadline-base)
		if q.state == questionRests {
			b = binary.AppendVarint(b, q.retry-base)
		}
		b = appendJoined(b, q.input)
		b = appendJoined(b, q.body)
	}
	return b
}

// DecodeFrom replaces the state by its stored form; it is empty after an error. It
// keeps nothing of b.
func (s *LookupState) DecodeFrom(b []byte) error {
	*s = LookupState{}
	r := &storedReader{b: b}
	if v := r.byte(); v != lookupSchema {
		return fmt.Errorf("%w: its version is %d, known is %d", errLookup, v, lookupSchema)
	}
	flags := r.byte()
	if flags > wakeSoon|wakeLate {
		r.fail()
	}
	base := s.wakes.read(r, flags)
	if n := r.count(8); n > 0 {
		s.questions = make([]question, n)
	}
	for i := range s.questions {
		q := &s.questions[i]
		q.id = r.lookupID()
		bits := r.byte()
		q.state, q.outcome = questionState(bits&3), LookupOutcome(bits>>2)
		q.tries = r.below(1 << 30)
		q.deadline = base + r.varint()
		if q.state == questionRests {
			q.retry = base + r.varint()
		}
		q.input, q.body = r.bytes(), r.bytes()
		if q.outcome > LookupRefused {
			r.fail()
		}
	}
	if r.bad || len(r.b) > 0 {
		*s = LookupState{}
		return errLookup
	}
	return nil
}

// AppendLookupCall writes a call, as the body of an effect.
func AppendLookupCall(b []byte, c *LookupCall) []byte {
	b = append(b, lookupSchema)
	b = appendJoined(b, []byte(c.Key))
	b = c.ID.appendTo(b)
	b = binary.AppendUvarint(b, uint64(c.Try))
	return append(b, c.Input...)
}

// DecodeLookupCall reads what AppendLookupCall wrote.
func DecodeLookupCall(b []byte) (LookupCall, error) {
	r := &storedReader{b: b}
	if r.byte() != lookupSchema {
		return LookupCall{}, errLookup
	}
	c := LookupCall{Key: string(r.view()), ID: r.lookupID(), Try: r.below(1 << 30)}
	if r.bad {
		return LookupCall{}, errLookup
	}
	c.Input = slices.Clone(r.b)
	return c, nil
}

// AppendLookupAnswer writes an answer, as the message that brings it back.
func AppendLookupAnswer(b []byte, a *LookupAnswer) []byte {
	b = append(b, lookupSchema)
	b = binary.AppendUvarint(b, a.Row)
	b = appendJoined(b, []byte(a.Key))
	b = a.ID.appendTo(b)
	word := uint64(a.Try) << 1
	if a.Failed {
		word |= 1
	}
	b = binary.AppendUvarint(b, word)
	return append(b, a.Body...)
}

// DecodeLookupAnswer reads what AppendLookupAnswer wrote.
func DecodeLookupAnswer(b []byte) (LookupAnswer, error) {
	r := &storedReader{b: b}
	if r.byte() != lookupSchema {
		return LookupAnswer{}, errLookup
	}
	a := LookupAnswer{Row: r.uvarint(), Key: string(r.view()), ID: r.lookupID()}
	word := r.below(1 << 31)
	a.Try, a.Failed = word>>1, word&1 != 0
	if r.bad {
		return LookupAnswer{}, errLookup
	}
	a.Body = slices.Clone(r.b)
	return a, nil
}
