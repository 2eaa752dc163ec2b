package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// PatternState is what a pattern keeps of one key: events that the watermark has not
// reached, and partial matches over a buffer that they share: an event is kept once,
// however many partial matches took it, and a partial match is one node, whose
// predecessors it has in common with others. Events are kept encoded. It is a value
// of a cell; one goroutine at a time.
type PatternState struct {
	hash    uint32        // of the pattern that made what follows; 0 when there is none
	wakes   wakes         // the timers that are set
	pending []storedEvent // not applied yet, by time, those of a time in the order of the log
	events  []storedEvent // taken, in the order in which they were applied
	nodes   []patternNode // a node stands behind its predecessor
	runs    []patternRun  // partial matches, by their first event; see Matcher.apply
	held    []patternHeld // matches that wait for an earlier partial match to end
	checked bool          // against the pattern, since it was read
}

// storedEvent is an event as it is kept.
type storedEvent struct {
	at  int64
	raw []byte
}

// patternNode says that a step took an event.
type patternNode struct {
	event int32
	prev  int32 // the node of the event taken before, or -1
	step  uint8
}

// patternRun is a partial match.
type patternRun struct {
	node     int32 // of the newest event taken
	start    int32 // the first event taken
	count    int32 // of events that its step took
	step     uint8
	fresh    bool   // no event was applied since the newest one taken
	extended bool   // a longer partial match, or a match, came of it
	mask     uint64 // options: the steps that may take an event, and the end
	deadline int64  // of the whole match
}

// patternHeld is a match that is not emitted yet.
type patternHeld struct {
	node  int32
	start int32
	at    int64 // when it was complete
}

// never is the deadline of what has none.
const never = math.MaxInt64

// addTime is t+d, or never.
func addTime(t, d int64) int64 {
	if t > never-d {
		return never
	}
	return t + d
}

// Partial is how many partial matches the state holds, and how many events for them.
func (s *PatternState) Partial() (matches, events int) { return len(s.runs), len(s.events) }

// Pending is how many events wait for the watermark.
func (s *PatternState) Pending() int { return len(s.pending) }

func (s *PatternState) firstPending() int64 {
	if len(s.pending) == 0 {
		return never
	}
	return s.pending[0].at
}

// Empty tells whether the state holds nothing: it need not be stored.
func (s *PatternState) Empty() bool {
	return s.wakes.none() && len(s.pending)+len(s.runs)+len(s.held) == 0
}

// patternSchema is the version of the stored form.
const patternSchema = 1

// patternPartial says that partial matches follow.
const patternPartial = 1 << 2

// wakes are the due times of the timers that an operator has set for a key, of which
// there are at most two kinds: soon for an event that waits for the watermark, and
// late for what is to end. A timer that comes early sets itself again, so one of each
// kind is enough, however often what it is for moves. 0 is none.
type wakes struct{ soon, late int64 }

const (
	wakeSoon = 1 << iota
	wakeLate
)

func (w *wakes) none() bool { return w.soon == 0 && w.late == 0 }

// fired notes that a timer fired, and tells whether it is one that is known.
func (w *wakes) fired(due int64) bool {
	known := w.soon == due || w.late == due
	if w.soon == due {
		w.soon = 0
	}
	if w.late == due {
		w.late = 0
	}
	return known
}

// set sets the timers that soon and late need, never for none.
func (w *wakes) set(c *Ctx, soon, late int64) {
	if late != never && (w.late == 0 || late < w.late) {
		w.late = late
		c.SetTimer(late, "")
	}
	if soon != never && (w.soon == 0 || soon < w.soon) && (w.late == 0 || soon < w.late) {
		w.soon = soon
		c.SetTimer(soon, "")
	}
}

func (w *wakes) flags() byte {
	flags := byte(0)
	if w.soon != 0 {
		flags |= wakeSoon
	}
	if w.late != 0 {
		flags |= wakeLate
	}
	return flags
}

// appendTo writes the due times, and answers one that other times are near to.
func (w *wakes) appendTo(b []byte) (out []byte, base int64) {
	if w.late != 0 {
		base = w.late
		b = binary.AppendVarint(b, base)
	}
	if w.soon != 0 {
		b = binary.AppendVarint(b, w.soon-base)
		base = w.soon
	}
	return b, base
}

// read reads what appendTo wrote under flags.
func (w *wakes) read(r *storedReader, flags byte) (base int64) {
	if flags&wakeLate != 0 {
		w.late = r.varint()
		base = w.late
	}
	if flags&wakeSoon != 0 {
		w.soon = base + r.varint()
		base = w.soon
	}
	return base
}

// AppendTo appends the stored form.
func (s *PatternState) AppendTo(b []byte) []byte {
	flags := s.wakes.flags()
	if len(s.runs)+len(s.held) > 0 {
		flags |= patternPartial
	}
	b = append(b, patternSchema, flags)
	b, base := s.wakes.appendTo(b)
	b = appendStored(b, s.pending, base)
	if flags&patternPartial == 0 {
		return b
	}
	b = binary.LittleEndian.AppendUint32(b, s.hash)
	b = appendStored(b, s.events, base)
	b = binary.AppendUvarint(b, uint64(len(s.nodes)))
	for i, n := range s.nodes {
		back := 0
		if n.prev >= 0 {
			back = i - int(n.prev)
		}
		b = binary.AppendUvarint(b, uint64(n.event))
		b = binary.AppendUvarint(b, uint64(back))
		b = append(b, n.step)
	}
	b = binary.AppendUvarint(b, uint64(len(s.runs)))
	for i := range s.runs {
		b = s.appendRun(b, &s.runs[i])
	}
	b = binary.AppendUvarint(b, uint64(len(s.held)))
	for _, h := range s.held {
		b = binary.AppendUvarint(b, uint64(h.node))
		b = binary.AppendVarint(b, h.at-s.events[h.start].at)
	}
	return b
}

// appendRun writes a partial match: what its nodes tell is left out.
func (s *PatternState) appendRun(b []byte, r *patternRun) []byte {
	b = binary.AppendUvarint(b, uint64(r.node))
	word := r.mask >> r.step << 3
	if r.fresh {
		word |= 1
	}
	if r.extended {
		word |= 2
	}
	if r.deadline != never {
		word |= 4
	}
	b = binary.AppendUvarint(b, word)
	if r.deadline != never {
		b = binary.AppendVarint(b, r.deadline-s.events[r.start].at)
	}
	return b
}

// appendStored writes events, their times as differences: the first to base.
func appendStored(b []byte, events []storedEvent, base int64) []byte {
	b = binary.AppendUvarint(b, uint64(len(events)))
	for _, e := range events {
		b = binary.AppendVarint(b, e.at-base)
		b = binary.AppendUvarint(b, uint64(len(e.raw)))
		b = append(b, e.raw...)
		base = e.at
	}
	return b
}

// errPattern says that the stored state of a pattern is damaged.
var errPattern = errors.New("the state of a pattern is damaged")

// storedReader reads the stored forms of patterns and joins. After the first error
// everything reads as zero.
type storedReader struct {
	b   []byte
	bad bool
}

func (r *storedReader) fail() { r.b, r.bad = nil, true }

func (r *storedReader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *storedReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *storedReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// below reads a number that must be less than limit.
func (r *storedReader) below(limit int) int {
	v := r.uvarint()
	if v >= uint64(max(limit, 0)) {
		r.fail()
		return 0
	}
	return int(v)
}

// count reads how many things follow, of which each takes at least size bytes.
func (r *storedReader) count(size int) int {
	v := r.uvarint()
	if v > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(v)
}

// bytes reads a length and as many bytes, which are copied.
func (r *storedReader) bytes() []byte { return slices.Clone(r.view()) }

func (r *storedReader) view() []byte {
	n := r.count(1)
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// events reads what appendStored wrote. Times must not fall.
func (r *storedReader) events(base int64) []storedEvent {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	events := make([]storedEvent, n)
	for i := range events {
		at := base + r.varint()
		if i > 0 && at < base {
			r.fail()
		}
		base = at
		events[i] = storedEvent{at: at, raw: r.bytes()}
	}
	return events
}

// DecodeFrom replaces the state by its stored form; it is empty after an error. It
// keeps nothing of b.
func (s *PatternState) DecodeFrom(b []byte) error {
	*s = PatternState{}
	r := &storedReader{b: b}
	if v := r.byte(); v != patternSchema {
		return fmt.Errorf("%w: its version is %d, known is %d", errPattern, v, patternSchema)
	}
	s.read(r)
	if r.bad || len(r.b) > 0 {
		*s = PatternState{}
		return errPattern
	}
	return nil
}

func (s *PatternState) read(r *storedReader) {
	flags := r.byte()
	if flags > patternPartial|wakeSoon|wakeLate {
		r.fail()
		return
	}
	base := s.wakes.read(r, flags)
	s.pending = r.events(base)
	if flags&patternPartial == 0 || r.bad {
		return
	}
	if len(r.b) < 4 {
		r.fail()
		return
	}
	s.hash = binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	s.events = r.events(base)
	s.nodes = make([]patternNode, r.count(3))
	for i := range s.nodes {
		n := patternNode{event: int32(r.below(len(s.events))), prev: -1}
		if back := r.below(i + 1); back > 0 {
			n.prev = int32(i - back)
		}
		n.step = r.byte()
		if n.prev >= 0 && (s.nodes[n.prev].event >= n.event || s.nodes[n.prev].step > n.step) || n.step >= PatternSteps {
			r.fail()
			return
		}
		s.nodes[i] = n
	}
	s.readRuns(r)
}

func (s *PatternState) readRuns(r *storedReader) {
	s.runs = make([]patternRun, r.count(2))
	for i := range s.runs {
		run := patternRun{node: int32(r.below(len(s.nodes))), deadline: never}
		word := r.uvarint()
		if r.bad {
			return
		}
		run.step = s.nodes[run.node].step
		run.start, run.count = s.origin(run.node)
		run.fresh, run.extended = word&1 != 0, word&2 != 0
		run.mask = word >> 3 << run.step
		if run.mask == 0 || run.mask>>(PatternSteps+1) != 0 {
			r.fail()
			return
		}
		if word&4 != 0 {
			run.deadline = s.events[run.start].at + r.varint()
		}
		s.runs[i] = run
	}
	s.held = make([]patternHeld, r.count(2))
	for i := range s.held {
		h := patternHeld{node: int32(r.below(len(s.nodes)))}
		if r.bad {
			return
		}
		h.start, _ = s.origin(h.node)
		h.at = s.events[h.start].at + r.varint()
		s.held[i] = h
	}
	if len(s.runs)+len(s.held) == 0 {
		r.fail()
	}
}

// origin is the first event that led to a node, and how many the node's step took.
func (s *PatternState) origin(node int32) (start, count int32) {
	step, same := s.nodes[node].step, true
	for n := node; n >= 0; n = s.nodes[n].prev {
		same = same && s.nodes[n].step == step
		if same {
			count++
		}
		start = s.nodes[n].event
	}
	return start, count
}

// compact removes the nodes and events that nothing refers to. It keeps order, so
// that the stored form depends on what was applied alone.
func (s *PatternState) compact(scratch []int32) []int32 {
	if len(s.runs)+len(s.held) == 0 {
		s.hash, s.events, s.nodes = 0, nil, nil
		s.runs, s.held = nil, nil
		return scratch
	}
	scratch = slices.Grow(scratch[:0], len(s.nodes)+len(s.events))[:len(s.nodes)+len(s.events)]
	clear(scratch)
	nodes, events := scratch[:len(s.nodes)], scratch[len(s.nodes):]
	for i := range s.runs {
		nodes[s.runs[i].node] = 1
	}
	for i := range s.held {
		nodes[s.held[i].node] = 1
	}
	for i, n := range slices.Backward(s.nodes) {
		if nodes[i] == 0 {
			continue
		}
		events[n.event] = 1
		if p := n.prev; p >= 0 {
			nodes[p] = 1
		}
	}
	at := int32(0)
	for i, used := range events {
		if used != 0 {
			s.events[at], events[i] = s.events[i], at
			at++
		}
	}
	clear(s.events[at:])
	s.events = s.events[:at]
	at = 0
	for i, used := range nodes {
		if used == 0 {
			continue
		}
		n := s.nodes[i]
		n.event = events[n.event]
		if n.prev >= 0 {
			n.prev = nodes[n.prev]
		}
		s.nodes[at], nodes[i] = n, at
		at++
	}
	s.nodes = s.nodes[:at]
	for i := range s.runs {
		s.runs[i].node, s.runs[i].start = nodes[s.runs[i].node], events[s.runs[i].start]
	}
	for i := range s.held {
		s.held[i].node, s.held[i].start = nodes[s.held[i].node], events[s.held[i].start]
	}
	return scratch
}
