package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"millrace/state"
)

// worker is one of several goroutines that run the graph. It has all state of the keys
// that it owns. What operators send, decide and set it notes as deeds: other workers do
// the one, the crew the other, in the order in which one goroutine would have.
type worker struct {
	crew   *crew
	number int
	ctx    Ctx
	at     *moment
	from   *origin // of the call that is under way
	tally  []tally
	lazy   []replayer

	deeds    []deed // of all calls of the slice, one after the other
	arena    []byte // messages to lazy stages
	in       []letter
	outcomes []outcome
	alarms   []alarms // by stage
}

// tally counts what passed through an operator.
type tally struct{ in, fired, out, count uint64 }

// origin is what a call follows from: a unit of the slice, or a timer that fires before
// it. Their order is that of one goroutine.
type origin struct {
	unit int
	// path leads to a timer's place among those that one unit makes due; it is empty for
	// the unit. Its last element is the timer, those before it the ones that had fired, of
	// later due times, when it was set: such a timer fires next.
	path []string
	node int32
}

func (o *origin) raw() string { return o.path[len(o.path)-1] }

func (o *origin) compare(b *origin) int {
	switch {
	case o.unit != b.unit:
		return cmp.Compare(o.unit, b.unit)
	case len(o.path) == 0 || len(b.path) == 0: // timers come before the unit
		return len(b.path) - len(o.path)
	}
	return slices.Compare(o.path, b.path)
}

// deed is something that an operator did in a call.
type deed struct {
	what   didWhat
	node   int32  // of what was sent
	from   int    // in the arena
	end    int    // likewise, the end
	number uint64 // of a row, or a lazy stage
	key    string // or a timer, or a lane
	kind   string
	body   []byte
	value  any
	to     receiver
}

type didWhat uint8

const (
	didSend didWhat = iota
	didLazy
	didEffect
	didSettle
	didSet         // a timer
	didSetAndFired // a timer that became due within the segment
)

// deeds are what one call did.
type deeds struct {
	w        *worker
	from, to int
}

// outcome is what a call did: of a message that has a node, or of a timer.
type outcome struct {
	node   int32
	origin *origin
	deeds  deeds
}

var errForeign = errors.New("it uses the state of another key, which another goroutine may change: see state.Cell.Share")

// root runs the graph's root on a unit.
func (w *worker) root(m *moment) {
	if m.unit == nil {
		return
	}
	from := len(w.deeds)
	w.at, w.from = m, nil
	w.ctx.op, w.ctx.key = w.crew.e.graph.operators[0], ""
	w.crew.e.graph.root(&w.ctx, m.unit)
	m.root = deeds{w, from, len(w.deeds)}
	m.alone = slices.ContainsFunc(w.deeds[from:], func(d deed) bool { return d.what == didSend && d.to.isAlone() })
}

// run runs a stage for the worker's keys: messages and timers, in order.
func (w *worker) run(stage int) {
	due := &w.alarms[stage]
	for next := 0; w.ctx.err == nil; {
		switch {
		case len(*due) > 0 && (next == len(w.in) || (*due)[0].origin.compare(w.in[next].origin) < 0):
			w.fire(due.take())
		case next < len(w.in):
			w.deliver(&w.in[next])
			next++
		default:
			return
		}
	}
}

func (w *worker) begin(from *origin) int {
	w.from, w.at = from, &w.crew.moments[from.unit]
	w.ctx.op, w.ctx.key = w.crew.e.graph.operators[0], ""
	return len(w.deeds)
}

func (w *worker) deliver(l *letter) {
	start := w.begin(l.origin)
	l.to.deliver(&w.ctx, l.key, l.value)
	w.outcomes = append(w.outcomes, outcome{node: l.node, deeds: deeds{w, start, len(w.deeds)}})
}

func (w *worker) fire(a alarm) {
	start := w.begin(a.origin)
	_, key, tag := timerParts(a.origin.raw())
	if a.op.timer != nil {
		w.tally[a.op.index].fired++
		w.ctx.op, w.ctx.key = a.op, key
		a.op.timer.Timer(&w.ctx, Timer{Due: timerDue(a.origin.raw()), Tag: tag})
	}
	w.outcomes = append(w.outcomes, outcome{node: -1, origin: a.origin, deeds: deeds{w, start, len(w.deeds)}})
}

// note notes what the operator does that is running.
func (w *worker) note(d deed) {
	switch d.what {
	case didSend, didLazy:
		w.tally[w.ctx.op.index].out++
	case didEffect:
		w.tally[w.ctx.op.index].count++
	}
	w.deeds = append(w.deeds, d)
}

// setTimer notes that a timer is set, and fires it in its turn if that comes within the
// segment. One that is due already fires before the next unit; set by a timer, or by what
// follows from one, next of all if its due time is not after that of any which still
// waits.
func (w *worker) setTimer(due int64, raw string) {
	if w.from == nil {
		w.ctx.Fail(errors.New("the root sets a timer, and has no key"))
		return
	}
	c := w.crew
	a := &origin{unit: w.from.unit + 1}
	if len(w.from.path) > 0 && due <= c.moments[w.from.unit].watermark {
		a.unit = w.from.unit
		for _, r := range w.from.path {
			if r >= raw {
				a.path = append(a.path, r)
			}
		}
	} else {
		a.unit = c.reached(a.unit, due)
	}
	if a.unit >= c.end {
		w.note(deed{what: didSet, key: raw})
		return
	}
	a.path = append(a.path, raw)
	w.note(deed{what: didSetAndFired, key: raw})
	w.alarms[w.ctx.op.stage].push(alarm{a, w.ctx.op})
}

// mayUse tells whether the key that is being processed and another one have one owner, by
// the group and not by chance, or the other one is everybody's.
func (w *worker) mayUse(key string, common func(string) bool) bool {
	return state.Owner(key) == state.Owner(w.ctx.key) || common(key)
}

// count adds what the worker counted to the operators.
func (w *worker) count() {
	for i, o := range w.crew.e.graph.operators {
		t := &w.tally[i]
		o.in, o.fired, o.out, o.count = o.in+t.in, o.fired+t.fired, o.out+t.out, o.count+t.count
		*t = tally{}
	}
}

// later notes a message to a stage.
func (s *Stage[T]) later(c *Ctx, key string, v T) {
	w := c.w
	if s.redo != nil { // what was sent may be changed after the call
		from := len(w.arena)
		w.arena = s.redo.encode(w.arena, v)
		w.note(deed{what: didLazy, number: uint64(s.redo.number), key: key, from: from, end: len(w.arena)})
		return
	}
	if s.alone && c.op.stage >= 0 {
		c.Fail(fmt.Errorf("it sends to stage %s, whose messages come from the root alone", s.name))
		return
	}
	w.note(deed{what: didSend, key: key, value: v, to: s})
}

// place implements receiver.
func (s *Stage[T]) place() int { return s.index }

func (s *Stage[T]) isAlone() bool { return s.alone }

func (s *Stage[T]) deliver(c *Ctx, key string, v any) {
	message, ok := v.(T)
	if !ok && v != nil { // a nil interface is a message, too
		panic(fmt.Sprintf("BUG: stage %s gets a %T", s.name, v))
	}
	s.run(c, key, message)
}

// alarm is a timer that fires within the segment.
type alarm struct {
	*origin
	op *operator
}

// alarms is a heap, the first one on top.
type alarms []alarm

func (h *alarms) push(a alarm) {
	all := append(*h, a)
	*h = all
	for i := len(all) - 1; i > 0; {
		p := (i - 1) / 2
		if all[p].compare(all[i].origin) <= 0 {
			break
		}
		all[p], all[i] = all[i], all[p]
		i = p
	}
}

// take answers the first one. The same timer set twice is one.
func (h *alarms) take() alarm {
	first := (*h)[0]
	for len(*h) > 0 && (*h)[0].compare(first.origin) == 0 {
		h.drop()
	}
	return first
}

func (h *alarms) drop() {
	last := len(*h) - 1
	all := *h
	all[0], all[last] = all[last], alarm{}
	all = all[:last]
	*h = all
	for i := 0; ; {
		small := 2*i + 1
		if small >= last {
			return
		}
		if small+1 < last && all[small+1].compare(all[small].origin) < 0 {
			small++
		}
		if all[i].compare(all[small].origin) <= 0 {
			return
		}
		all[i], all[small] = all[small], all[i]
		i = small
	}
}
