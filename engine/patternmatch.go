package engine

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// PatternOutcome is what became of events that a pattern was looked for in.
type PatternOutcome uint8

// The outcomes of a pattern.
const (
	PatternMatched    PatternOutcome = iota // a match
	PatternTimedOut                         // a partial match whose time is over
	PatternOverflowed                       // the oldest partial match, dropped because its key has too many
	PatternRetired                          // a partial match of another version of the pattern
	PatternLate                             // an event before the watermark, not looked at
	PatternCrowded                          // an event not looked at, because too many of its key wait for the watermark
)

// String is the outcome's name.
func (o PatternOutcome) String() string {
	names := [...]string{"matched", "timed-out", "overflowed", "retired", "late", "crowded"}
	if int(o) >= len(names) {
		return fmt.Sprintf("outcome %d", uint8(o))
	}
	return names[o]
}

// PatternEvent is an event of a match.
type PatternEvent[T any] struct {
	Step  string // which took it; empty of what was retired, late or crowded
	Time  int64
	Value T
}

// PatternResult is a match or another outcome.
type PatternResult[T any] struct {
	Outcome PatternOutcome
	Time    int64 // event time at which it was so: of the last event, or the deadline
	Events  []PatternEvent[T]
}

// All are the events that a step took.
func (r *PatternResult[T]) All(step string) []T {
	var all []T
	for i := range r.Events {
		if r.Events[i].Step == step {
			all = append(all, r.Events[i].Value)
		}
	}
	return all
}

// First is the first event that a step took.
func (r *PatternResult[T]) First(step string) (v T, ok bool) {
	for i := range r.Events {
		if r.Events[i].Step == step {
			return r.Events[i].Value, true
		}
	}
	return v, false
}

// EventCodec writes and reads events of a state. Decode must not keep b.
type EventCodec[T any] struct {
	Append func(b []byte, v T) []byte
	Decode func(b []byte) (T, error)
}

// PatternLimits bound what a key may hold.
type PatternLimits struct {
	Partial int // partial matches, and matches that wait for an earlier one
	Events  int // places of events in partial matches
	Pending int // events that wait for the watermark
}

func (l PatternLimits) withDefaults() PatternLimits {
	l.Partial = cmp.Or(l.Partial, 128)  // a person has a few carts; more is a robot or a wrong pattern
	l.Events = cmp.Or(l.Events, 1024)   // about 64 KB of state at 50 bytes an event
	l.Pending = cmp.Or(l.Pending, 1024) // ten events a second of one key for the usual two minutes
	return l
}

// Matcher finds a pattern in the events of keys. It holds no state of a key and reads
// no clock. One goroutine at a time.
type Matcher[T any] struct {
	p      *Pattern[T]
	codec  EventCodec[T]
	limits PatternLimits

	// Of the call that is under way.
	s       *PatternState
	emit    func(PatternResult[T])
	err     error
	changed bool
	garbage bool
	matched Matched[T]

	// Of the event that is applied.
	at    int64
	value T
	raw   []byte
	index int32 // in s.events, or -1

	next    []patternRun
	done    []patternHeld
	scratch []int32
}

// NewMatcher makes a matcher.
func NewMatcher[T any](p *Pattern[T], codec EventCodec[T], limits PatternLimits) *Matcher[T] {
	if p == nil || codec.Append == nil || codec.Decode == nil {
		panic("BUG: a matcher needs a pattern and a codec")
	}
	m := &Matcher[T]{p: p, codec: codec, limits: limits.withDefaults()}
	m.matched.m = m
	return m
}

// Matched is what a partial match took so far. It is valid inside a condition only.
type Matched[T any] struct {
	m    *Matcher[T]
	node int32
}

// Last is the newest event that a step took.
func (m *Matched[T]) Last(step string) (v T, ok bool) {
	s := m.m.s
	for n := m.node; n >= 0; n = s.nodes[n].prev {
		if m.m.p.steps[s.nodes[n].step].name == step {
			return m.m.load(s.nodes[n].event), true
		}
	}
	return v, false
}

// All are the events that a step took, the first one first.
func (m *Matched[T]) All(step string) []T {
	var all []T
	s := m.m.s
	for n := m.node; n >= 0; n = s.nodes[n].prev {
		if m.m.p.steps[s.nodes[n].step].name == step {
			all = append(all, m.m.load(s.nodes[n].event))
		}
	}
	slices.Reverse(all)
	return all
}

// load is a stored event.
func (m *Matcher[T]) load(event int32) T {
	if event == m.index {
		return m.value
	}
	v, err := m.codec.Decode(m.s.events[event].raw)
	if err != nil && m.err == nil {
		m.err = fmt.Errorf("%w: an event cannot be read: %w", errPattern, err)
	}
	return v
}

func (m *Matcher[T]) begin(s *PatternState, emit func(PatternResult[T])) {
	m.s, m.emit, m.err, m.changed, m.index = s, emit, nil, false, -1
	if s.hash != 0 && s.hash != m.p.hash {
		m.retire()
	} else if !s.checked {
		m.err = m.check()
	}
	s.checked = m.err == nil
}

// check looks at a state that was read back: whatever its bytes say, it must not lead
// out of the pattern.
func (m *Matcher[T]) check() error {
	s := m.s
	for _, n := range s.nodes {
		if int(n.step) >= len(m.p.steps) || m.p.steps[n.step].negated {
			return fmt.Errorf("%w: an event is taken by step %d of %d", errPattern, n.step, len(m.p.steps))
		}
	}
	for i := range s.runs {
		r := &s.runs[i]
		if r.mask&^m.p.options(int(r.step), math.MaxInt32-1)&^m.p.options(int(r.step), 1) != 0 {
			return fmt.Errorf("%w: a partial match at step %d has options %b", errPattern, r.step, r.mask)
		}
	}
	return nil
}

// over ends a call.
func (m *Matcher[T]) over() (changed bool, err error) {
	m.s, m.emit = nil, nil
	var zero T
	m.value = zero
	return m.changed, m.err
}

// retire lets the partial matches of another version of the pattern go.
func (m *Matcher[T]) retire() {
	s := m.s
	out := func(node int32, at int64) {
		r := PatternResult[T]{Outcome: PatternRetired, Time: at, Events: m.events(node)}
		for i := range r.Events {
			r.Events[i].Step = ""
		}
		m.emit(r)
	}
	for _, h := range s.held {
		out(h.node, h.at)
	}
	for i := range s.runs {
		if r := &s.runs[i]; !r.extended {
			out(r.node, s.events[s.nodes[r.node].event].at)
		}
	}
	s.runs, s.held = nil, nil
	s.compact(nil)
	m.changed = true
}

// Offer takes an event of the state's key. now is the watermark. It answers whether
// the state changed. An event before the watermark is late; one behind it waits until
// Advance is called with its time; emit is called for what comes of it.
func (m *Matcher[T]) Offer(s *PatternState, at int64, v T, now int64, emit func(PatternResult[T])) (changed bool, err error) {
	m.begin(s, emit)
	m.run(now)
	switch {
	case m.err != nil:
	case at < now:
		m.emit(PatternResult[T]{Outcome: PatternLate, Time: at, Events: []PatternEvent[T]{{Time: at, Value: v}}})
	case !m.p.concerns(v):
	case at == now:
		m.apply(at, v, nil)
	case len(s.pending) >= m.limits.Pending:
		m.emit(PatternResult[T]{Outcome: PatternCrowded, Time: at, Events: []PatternEvent[T]{{Time: at, Value: v}}})
	default:
		i := len(s.pending)
		for i > 0 && s.pending[i-1].at > at {
			i--
		}
		s.pending = slices.Insert(s.pending, i, storedEvent{at: at, raw: m.codec.Append(nil, v)})
		m.changed = true
	}
	return m.over()
}

// Advance applies everything up to the watermark now: events that waited, and the ends
// of partial matches. It answers whether the state changed.
func (m *Matcher[T]) Advance(s *PatternState, now int64, emit func(PatternResult[T])) (changed bool, err error) {
	m.begin(s, emit)
	m.run(now)
	return m.over()
}

// Next is the watermark at which Advance is to be called next.
func (m *Matcher[T]) Next(s *PatternState) (due int64, ok bool) {
	due = min(m.firstEnd(s), s.firstPending())
	return due, due != never
}

func (m *Matcher[T]) firstEnd(s *PatternState) int64 {
	first := int64(never)
	for i := range s.runs {
		at, _ := m.end(s, &s.runs[i])
		first = min(first, at)
	}
	return first
}

func (m *Matcher[T]) run(now int64) {
	s := m.s
	for m.err == nil {
		end := m.firstEnd(s)
		if len(s.pending) > 0 && s.pending[0].at <= now && s.pending[0].at < end {
			e := s.pending[0]
			if s.pending = slices.Delete(s.pending, 0, 1); len(s.pending) == 0 {
				s.pending = nil
			}
			m.changed = true
			v, err := m.codec.Decode(e.raw)
			if err != nil {
				m.err = fmt.Errorf("%w: an event cannot be read: %w", errPattern, err)
				return
			}
			m.apply(e.at, v, e.raw)
			continue
		}
		if end > now || end == never {
			return
		}
		m.expire(end)
	}
}

// end is when time ends a partial match, or completes it.
func (m *Matcher[T]) end(s *PatternState, r *patternRun) (at int64, completes bool) {
	if r.mask>>m.p.end()&1 != 0 {
		return min(r.deadline, m.limit(s, r, m.p.end())), true
	}
	at = -never
	for mask := r.mask; mask != 0; mask &= mask - 1 {
		at = max(at, m.limit(s, r, bits.TrailingZeros64(mask)))
	}
	return min(r.deadline, at), false
}

// limit is when an option of a partial match ends because of its gap.
func (m *Matcher[T]) limit(s *PatternState, r *patternRun, option int) int64 {
	gap := m.p.endGap
	if option < len(m.p.steps) {
		gap = m.p.steps[option].gap
	}
	if gap == 0 {
		return never
	}
	return addTime(s.events[s.nodes[r.node].event].at, gap)
}

// live are the options of a partial match that time has not ended at the given time.
func (m *Matcher[T]) live(r *patternRun, at int64) uint64 {
	if !m.p.gaps {
		return r.mask
	}
	live := r.mask
	for mask := r.mask; mask != 0; mask &= mask - 1 {
		if option := bits.TrailingZeros64(mask); m.limit(m.s, r, option) <= at {
			live &^= 1 << option
		}
	}
	return live
}

// expire completes the partial matches that are complete at a time, and then ends
// those whose time is over.
func (m *Matcher[T]) expire(at int64) {
	s := m.s
	m.changed, m.index = true, -1
	m.next, m.done = m.next[:0], m.done[:0]
	for _, r := range s.runs {
		if end, completes := m.end(s, &r); end == at && completes {
			m.done = append(m.done, patternHeld{node: r.node, start: r.start, at: at})
			r.extended = true
			r.mask &^= 1 << m.p.end()
			if r.mask == 0 {
				m.garbage = true
				continue
			}
		}
		m.next = append(m.next, r)
	}
	s.runs = append(s.runs[:0], m.next...) // m.next is for all keys
	m.settle()
	m.next = m.next[:0]
	for _, r := range s.runs {
		if end, completes := m.end(s, &r); end > at || completes {
			m.next = append(m.next, r)
			continue
		}
		m.garbage = true
		if !r.extended {
			m.emit(PatternResult[T]{Outcome: PatternTimedOut, Time: at, Events: m.events(r.node)})
		}
	}
	s.runs = append(s.runs[:0], m.next...)
	m.done = m.done[:0]
	m.settle()
	m.collect()
}

// apply takes the next event in order. Partial matches stand in the order of their
// events, one that took more before the one that it came of: so what completes at an
// event completes in this order too, and what took its events earliest comes first.
func (m *Matcher[T]) apply(at int64, v T, raw []byte) {
	s := m.s
	m.at, m.value, m.raw, m.index = at, v, raw, -1
	m.next, m.done = m.next[:0], m.done[:0]
	for i := range s.runs {
		m.step(&s.runs[i])
	}
	m.enter()
	if m.err != nil {
		return
	}
	s.runs = append(s.runs[:0], m.next...)
	m.settle()
	if len(s.runs)+len(s.held) > m.limits.Partial || len(s.nodes) > m.limits.Events {
		m.shed()
	}
	m.collect()
}

// step offers the event to a partial match. What becomes of it is appended to m.next.
func (m *Matcher[T]) step(r *patternRun) {
	before := m.live(r, m.at)
	mask := before
	m.matched.node = r.node
	over := m.behind(r)
	for neg := m.p.negated >> (r.step + 1) << (r.step + 1); neg != 0; neg &= neg - 1 {
		not := bits.TrailingZeros64(neg)
		ends := over>>(not+1) != 0 && mask>>r.step&1 != 0 // a loop, too
		if mask>>(not+1) == 0 && !ends {
			break
		}
		st := &m.p.steps[not]
		if (st.before == relaxed || r.fresh) && m.holds(st.where) {
			mask &= 1<<(not+1) - 1
			if ends && st.before == relaxed {
				mask &^= 1 << r.step
			}
		}
	}
	took := false
	for options := mask &^ (1 << m.p.end()); options != 0; options &= options - 1 {
		j := bits.TrailingZeros64(options)
		st := &m.p.steps[j]
		if len(st.until) > 0 && m.holds(st.until) {
			mask &^= 1 << j
			continue
		}
		if !m.holds(st.where) {
			mask &^= m.p.strict[r.step] & (1 << j)
			continue
		}
		took = true
		m.take(r, j)
		if c := st.before; j != int(r.step) && c != relaxedAny || j == int(r.step) && st.inner != relaxedAny {
			mask &^= 1 << j
		}
		if st.greedy {
			mask &= 1<<(j+1) - 1
			break
		}
	}
	m.keep(r, before, mask, took)
}

// behind are the steps that may come once the one that r stands in is done, if it can be:
// what must not follow it then ends its loop as well, for what was to follow is the end of
// all that the loop took.
func (m *Matcher[T]) behind(r *patternRun) uint64 {
	if int(r.count) < m.p.steps[r.step].least {
		return 0
	}
	return m.p.exits[r.step]
}

// keep notes what an event left of a partial match.
func (m *Matcher[T]) keep(r *patternRun, before, mask uint64, took bool) {
	left := *r
	left.fresh = false
	left.extended = r.extended || took
	if mask != before {
		left.mask = mask
	}
	if left != *r {
		m.changed = true
	}
	if left.mask == 0 {
		m.garbage = true
		return
	}
	m.next = append(m.next, left)
}

// enter begins partial matches with the event.
func (m *Matcher[T]) enter() {
	m.matched.node = -1
	for options := m.p.entries; options != 0; options &= options - 1 {
		j := bits.TrailingZeros64(options)
		if j == m.p.end() {
			return
		}
		st := &m.p.steps[j]
		if len(st.until) > 0 && m.holds(st.until) || !m.holds(st.where) {
			continue
		}
		m.take(nil, j)
		if st.greedy {
			return
		}
	}
}

// holds tells whether every condition holds for the event.
func (m *Matcher[T]) holds(conditions []func(T, *Matched[T]) bool) bool {
	for _, f := range conditions {
		if !f(m.value, &m.matched) {
			return false
		}
	}
	return true
}

// take lets a step take the event, behind what r took, if not nil.
func (m *Matcher[T]) take(r *patternRun, step int) {
	s := m.s
	m.changed = true
	if m.index < 0 {
		if m.raw == nil {
			m.raw = m.codec.Append(make([]byte, 0, 16), m.value)
		}
		m.index = int32(len(s.events))
		s.events = append(s.events, storedEvent{at: m.at, raw: m.raw})
		s.hash = m.p.hash
	}
	child := patternRun{node: int32(len(s.nodes)), start: m.index, count: 1, step: uint8(step), fresh: true, deadline: never}
	node := patternNode{event: m.index, prev: -1, step: uint8(step)}
	if r != nil {
		node.prev = r.node
		child.start, child.deadline = r.start, r.deadline
		if int(r.step) == step {
			child.count = r.count + 1
		}
	} else if m.p.within != 0 {
		child.deadline = addTime(m.at, m.p.within)
	}
	s.nodes = append(s.nodes, node)
	child.mask = m.p.options(step, int(child.count))
	if end := uint64(1) << m.p.end(); child.mask&end != 0 && !m.p.endsNot {
		child.mask &^= end
		child.extended = true
		m.done = append(m.done, patternHeld{node: child.node, start: child.start, at: m.at})
	}
	if child.mask == 0 {
		m.garbage = true
		return
	}
	m.next = append(m.next, child)
}

// settle emits what is complete, as the skip strategy allows: of several matches the
// one that begins first goes first, so it waits for partial matches that began earlier.
func (m *Matcher[T]) settle() {
	s := m.s
	if m.p.skip.kind == skipNothing {
		for _, h := range m.done {
			m.emit(PatternResult[T]{Outcome: PatternMatched, Time: h.at, Events: m.events(h.node)})
		}
		return
	}
	for _, h := range m.done {
		i := len(s.held)
		for i > 0 && s.held[i-1].start > h.start {
			i--
		}
		s.held = slices.Insert(s.held, i, h)
	}
	for len(s.held) > 0 {
		h := s.held[0]
		if len(s.runs) > 0 && s.runs[0].start < h.start {
			return
		}
		m.emit(PatternResult[T]{Outcome: PatternMatched, Time: h.at, Events: m.events(h.node)})
		m.changed, m.garbage = true, true
		s.held = slices.Delete(s.held, 0, 1)
		last := m.skipped(h)
		s.held = slices.DeleteFunc(s.held, func(o patternHeld) bool { return o.start <= last })
		s.runs = slices.DeleteFunc(s.runs, func(r patternRun) bool { return r.start <= last })
	}
}

// skipped is the last event with which nothing may begin any more after a match.
func (m *Matcher[T]) skipped(h patternHeld) int32 {
	s := m.s
	switch m.p.skip.kind {
	case skipToNext:
		return h.start
	case skipPastLast:
		return s.nodes[h.node].event
	case skipNothing:
		return -1
	}
	at := int32(-1)
	for n := h.node; n >= 0; n = s.nodes[n].prev {
		if int(s.nodes[n].step) == m.p.skipTo {
			at = s.nodes[n].event
			if m.p.skip.kind == skipToLast {
				break
			}
		}
	}
	return at - 1
}

// shed drops the oldest partial matches until the key holds no more than it may.
func (m *Matcher[T]) shed() {
	s := m.s
	for len(s.runs) > 0 {
		if len(s.runs)+len(s.held) <= m.limits.Partial {
			m.collect()
			if len(s.nodes) <= m.limits.Events {
				return
			}
		}
		r := s.runs[0]
		m.emit(PatternResult[T]{Outcome: PatternOverflowed, Time: m.at, Events: m.events(r.node)})
		s.runs = slices.Delete(s.runs, 0, 1)
		m.done = m.done[:0]
		m.garbage = true
		m.settle()
	}
}

// collect removes what nothing needs any more.
func (m *Matcher[T]) collect() {
	if m.garbage {
		m.scratch = m.s.compact(m.scratch)
		m.garbage, m.index = false, -1
	}
}

// events are those that led to a node.
func (m *Matcher[T]) events(node int32) []PatternEvent[T] {
	s := m.s
	n := 0
	for i := node; i >= 0; i = s.nodes[i].prev {
		n++
	}
	all := make([]PatternEvent[T], n)
	for i := node; i >= 0; i = s.nodes[i].prev {
		n--
		e := s.nodes[i].event
		all[n] = PatternEvent[T]{Time: s.events[e].at, Value: m.load(e)}
		if int(s.nodes[i].step) < len(m.p.steps) {
			all[n].Step = m.p.steps[s.nodes[i].step].name
		}
	}
	return all
}
