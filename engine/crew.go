package engine

import (
	"slices"
	"sort"
	"sync"
	"time"

	"millrace/state"
)

// This file runs the graph on several goroutines. What comes of it is what one goroutine
// would do that goes depth-first through the graph, unit by unit: byte for byte. See
// docs/adr/0016-several-goroutines-run-the-graph.md.

// SliceUnits is how many units go through the graph together at most: enough that waiting
// for the slowest goroutine of a stage costs little, few enough that what they decide stays
// in the processor's cache.
const SliceUnits = 512

const (
	sliceTimers = 4096 // so many timers fire together; of more, those of one unit are fired by one goroutine
	sliceNearly = 16   // units of a slice while the epoch is nearly full
	parallelMax = 64   // groups of lazy messages, the least of what is shared out
)

// crew is the goroutines that run the graph, and the slice of the log that they work on.
// One goroutine at a time calls it: the engine's loop.
type crew struct {
	e       *Engine
	readers []*state.Reader
	workers []*worker

	ahead marks // as of the units that were gathered

	b       *batch
	message int    // the next message of b
	index   uint32 // the next unit in it
	moments []moment

	// Of the segment: units of the slice that go through the graph together.
	first, end int // in moments
	units      []origin
	fired      []*origin
	nodes      []node
	pending    [][]letter // by stage
}

// moment is a unit, and how the log stands when it is processed.
type moment struct {
	received, stored  int64
	newest, watermark int64
	seq               uint64
	index             uint32
	slot              int
	unit              *Unit // nil: an empty message
	message           *Message
	last              bool // the message ends here
	alone             bool // it goes through the graph alone
	root              deeds
}

// node is a call of an operator's stage or timer, in the tree of what followed from a unit
// or a timer.
type node struct {
	origin *origin
	parent int32 // -1: the first one
	index  int32 // which of the parent's deeds
	depth  int32
	deeds  deeds
}

// letter is a message on its way to a stage.
type letter struct {
	node   int32
	origin *origin
	key    string
	value  any
	to     receiver
}

// receiver is a stage, whatever the type of its messages.
type receiver interface {
	place() int
	isAlone() bool
	deliver(c *Ctx, key string, v any)
}

func newCrew(e *Engine, n int) *crew {
	c := &crew{e: e, units: make([]origin, SliceUnits)}
	for i := range n {
		c.readers = append(c.readers, e.o.Store.NewReader())
		w := &worker{crew: c, number: i}
		w.ctx = Ctx{engine: e, w: w}
		c.workers = append(c.workers, w)
	}
	c.regraph()
	return c
}

// regraph fits the crew to the engine's graph, between two units.
func (c *crew) regraph() {
	g := c.e.graph
	c.pending = make([][]letter, g.stages)
	for _, w := range c.workers {
		w.tally, w.alarms, w.lazy = make([]tally, len(g.operators)), make([]alarms, g.stages), g.replayers()
		w.ctx.tally = w.tally
	}
}

func (c *crew) close() {
	if c == nil {
		return
	}
	for _, r := range c.readers {
		r.Close()
	}
}

// owner is the worker that has all state of a key.
func (c *crew) owner(key string) *worker {
	return c.workers[int(state.Owner(key))&(len(c.workers)-1)]
}

// run lets workers work at the same time, each on what it has, and answers the error of
// the first that failed.
func (c *crew) run(busy func(w *worker) bool, work func(w *worker)) error {
	var wg sync.WaitGroup
	var mine *worker
	for _, w := range c.workers {
		switch {
		case !busy(w):
		case mine == nil:
			mine = w
		default:
			wg.Go(func() { work(w) })
		}
	}
	if mine != nil {
		work(mine)
	}
	wg.Wait()
	for _, w := range c.workers {
		if w.ctx.err != nil {
			return w.ctx.err
		}
	}
	return nil
}

// process is Engine.process.
func (c *crew) process(b *batch) error {
	e := c.e
	e.rest = nil
	defer func() { e.worked = time.Now(); e.quiet.set(e.quietNow(), true) }()
	at := e.progress.Position
	c.b, c.message, c.index = b, 0, 0
	for c.message < len(b.messages) && b.messages[c.message].Seq <= at.Seq {
		c.message++
	}
	if c.message < len(b.messages) && b.messages[c.message].Seq == at.Seq+1 {
		c.index = at.Index // else the sequence has a gap: an index before it is void
	}
	for c.message < len(b.messages) {
		if e.blocked() {
			e.rest = b
			return nil
		}
		c.gather()
		if err := c.slice(); err != nil {
			return err
		}
	}
	c.b = nil
	return nil
}

// gather takes the units of the next slice, and says how the log stands at each.
func (c *crew) gather() {
	e, p := c.e, &c.e.progress
	most := SliceUnits
	if e.fullTo(4) {
		most = sliceNearly
	}
	most = max(min(most, e.unitsMax()-e.units), 1)
	now := moment{received: p.Received, stored: p.Stored, newest: p.Newest, watermark: p.Watermark}
	c.moments = c.moments[:0]
	for len(c.moments) < most && c.message < len(c.b.messages) {
		m := &c.b.messages[c.message]
		start := 0
		if c.message > 0 {
			start = c.b.ends[c.message-1]
		}
		units := c.b.units[start:c.b.ends[c.message]]
		activates := int(c.index) < len(units) && units[c.index].activates()
		if activates && len(c.moments) > 0 {
			return // what stands before it goes through the old graph
		}
		now.message, now.seq, now.index, now.unit, now.slot, now.alone = m, m.Seq, c.index, nil, len(c.moments), activates
		if int(c.index) < len(units) {
			now.unit = &units[c.index]
			now.pass(&c.ahead)
			c.index++
		}
		if now.last = int(c.index) >= len(units); now.last {
			c.message, c.index = c.message+1, 0
		}
		c.moments = append(c.moments, now)
		if activates {
			return
		}
	}
}

// pass moves the watermark to where the unit puts it, as Engine.advance does.
func (m *moment) pass(ahead *marks) {
	if m.unit.Received > m.received {
		m.received, m.stored = m.unit.Received, m.message.Time
	}
	p := progress{Newest: m.newest, Watermark: m.watermark}
	ahead.unit(&p, m.unit)
	m.newest, m.watermark = p.Newest, p.Watermark
}

// goesAlone tells whether a unit goes through the graph alone: it asks for that, or it makes
// a timer of processing time due, which only such units set.
func (c *crew) goesAlone(m *moment) bool {
	if m.alone {
		return true
	}
	due, pending := c.e.clocks.next()
	return pending && m.unit != nil && due <= m.received
}

// slice runs what was gathered: in segments, between the units that go alone.
func (c *crew) slice() error {
	defer c.clear()
	share := (len(c.moments) + len(c.workers) - 1) / len(c.workers)
	err := c.run(func(w *worker) bool { return w.number*share < len(c.moments) }, func(w *worker) {
		for i := w.number * share; i < min((w.number+1)*share, len(c.moments)) && w.ctx.err == nil; i++ {
			if m := &c.moments[i]; !m.alone { // of an activation there is no root
				w.root(m)
			}
		}
	})
	for at := 0; at < len(c.moments) && err == nil; {
		end := at
		for end < len(c.moments) && !c.goesAlone(&c.moments[end]) {
			end++
		}
		var due []string
		if due, end, err = c.takeTimers(at, end); err != nil {
			return err
		}
		if end == at {
			err = c.alone(&c.moments[at])
			at++
		} else {
			c.first, c.end = at, end
			err = c.segment(due)
			at = end
		}
		if err == nil && c.e.full() {
			err = c.e.closeEpoch()
		}
	}
	return err
}

// clear forgets the slice.
func (c *crew) clear() {
	for _, w := range c.workers {
		w.count()
		clear(w.deeds)
		w.deeds, w.arena = w.deeds[:0], w.arena[:0]
	}
	clear(c.moments)
}

// takeTimers takes the timers that are due by the last unit of a segment. If they are too
// many the segment ends earlier: before its first unit if that one has too many.
func (c *crew) takeTimers(first, end int) (due []string, until int, err error) {
	if first == end || !slices.ContainsFunc(c.moments[first:end], func(m moment) bool { return m.unit != nil }) {
		return nil, end, nil
	}
	t := &c.e.timers
	last := c.moments[end-1].watermark
	for {
		raw, is, err := t.takeDue(last)
		if err != nil || !is {
			return due, end, err
		}
		if due = append(due, raw); len(due) > sliceTimers {
			break
		}
	}
	at := timerDue(due[len(due)-1])
	end = first + sort.Search(end-first, func(i int) bool { return c.moments[first+i].watermark >= at })
	keep := 0
	for end > first && keep < len(due) && timerDue(due[keep]) <= c.moments[end-1].watermark {
		keep++
	}
	for _, raw := range due[keep:] {
		t.keep(raw)
	}
	return due[:keep], end, nil
}

// alone processes one unit as a single goroutine does.
func (c *crew) alone(m *moment) error {
	e := c.e
	c.reach(m)
	e.inside(m.seq, m.index)
	if m.unit != nil {
		e.marks.unit(&progress{}, m.unit)
		if err := e.fire(); err != nil {
			return err
		}
		if a, ok := m.unit.Value.(*Activation); !ok {
			if err := c.play(m.root, true); err != nil {
				return err
			}
		} else if err := e.activate(a, m.message); err != nil {
			return err
		}
		e.units++
		e.events.Add(1)
	}
	c.passed(m)
	return nil
}

// reach moves the engine's clocks to a moment.
func (c *crew) reach(m *moment) {
	p := &c.e.progress
	p.Received, p.Stored, p.Newest, p.Watermark = m.received, m.stored, m.newest, m.watermark
}

// passed moves the position behind a unit.
func (c *crew) passed(m *moment) {
	if !m.last {
		c.e.inside(m.seq, m.index+1)
		return
	}
	c.e.beyond(m.message)
}

// segment runs units through the graph, stage by stage, with the timers that they make due.
func (c *crew) segment(due []string) error {
	c.nodes, c.fired = c.nodes[:0], c.fired[:0]
	c.deal(due)
	for i := c.first; i < c.end; i++ {
		m := &c.moments[i]
		c.units[i] = origin{unit: i}
		if m.unit != nil {
			c.units[i].node = c.plant(&c.units[i], m.root)
		}
	}
	for stage := range c.pending {
		if err := c.stage(stage); err != nil {
			return err
		}
	}
	return c.settle()
}

// deal gives due timers to the workers that have their keys.
func (c *crew) deal(due []string) {
	for _, raw := range due {
		id, key, _ := timerParts(raw)
		at := timerDue(raw)
		unit := c.reached(c.first, at)
		from := &origin{unit: unit, path: []string{raw}, node: -1}
		o := c.e.operator(id)
		if o == nil || o.timer == nil { // its operator is gone from the graph
			c.e.orphans++
			c.fired = append(c.fired, from)
			continue
		}
		c.owner(key).alarms[o.stage].push(alarm{from, o})
	}
}

// reached is the first unit of the segment, from one on, that makes a timer due; c.end if
// none does. Empty messages fire nothing.
func (c *crew) reached(from int, due int64) int {
	for from < c.end && c.moments[from].unit == nil {
		from++
	}
	return from + sort.Search(c.end-from, func(i int) bool { return c.moments[from+i].watermark >= due })
}

// plant begins the tree of what follows from a unit or a timer.
func (c *crew) plant(from *origin, did deeds) int32 {
	c.nodes = append(c.nodes, node{origin: from, parent: -1, deeds: did})
	n := int32(len(c.nodes) - 1) //nolint:gosec // a slice has few
	c.spread(n)
	return n
}

// spread puts what a call sent on its way.
func (c *crew) spread(n int32) {
	at := c.nodes[n]
	for i := at.deeds.from; i < at.deeds.to; i++ {
		d := &at.deeds.w.deeds[i]
		if d.what != didSend {
			continue
		}
		d.node = int32(len(c.nodes))                                                                                        //nolint:gosec // a slice has few
		c.nodes = append(c.nodes, node{origin: at.origin, parent: n, index: int32(i - at.deeds.from), depth: at.depth + 1}) //nolint:gosec // as above
		stage := d.to.place()
		c.pending[stage] = append(c.pending[stage], letter{d.node, at.origin, d.key, d.value, d.to})
	}
}

// stage runs the messages to a stage, and its timers.
func (c *crew) stage(stage int) error {
	in := c.pending[stage]
	slices.SortFunc(in, c.compare)
	for i := range in {
		w := c.owner(in[i].key)
		w.in = append(w.in, in[i])
	}
	clear(in)
	c.pending[stage] = in[:0]
	err := c.run(func(w *worker) bool { return len(w.in) > 0 || len(w.alarms[stage]) > 0 }, func(w *worker) { w.run(stage) })
	if err != nil {
		return err
	}
	for _, w := range c.workers {
		for _, o := range w.outcomes {
			if o.node >= 0 {
				c.nodes[o.node].deeds = o.deeds
				c.spread(o.node)
				continue
			}
			o.origin.node = c.plant(o.origin, o.deeds)
			c.fired = append(c.fired, o.origin)
		}
		clear(w.in)
		clear(w.outcomes)
		w.in, w.outcomes = w.in[:0], w.outcomes[:0]
	}
	return nil
}

// compare orders two messages as one goroutine gets them.
func (c *crew) compare(a, b letter) int {
	if a.origin != b.origin {
		return a.origin.compare(b.origin)
	}
	x, y := a.node, b.node
	for c.nodes[x].depth > c.nodes[y].depth {
		x = c.nodes[x].parent
	}
	for c.nodes[y].depth > c.nodes[x].depth {
		y = c.nodes[y].parent
	}
	for c.nodes[x].parent != c.nodes[y].parent {
		x, y = c.nodes[x].parent, c.nodes[y].parent
	}
	return int(c.nodes[x].index) - int(c.nodes[y].index)
}

// settle does what the calls of a segment decided, in the order of one goroutine.
func (c *crew) settle() error {
	e := c.e
	slices.SortFunc(c.fired, func(a, b *origin) int { return a.compare(b) })
	next := 0
	for i := c.first; i < c.end; i++ {
		m := &c.moments[i]
		c.reach(m)
		for next < len(c.fired) && c.fired[next].unit == i {
			f := c.fired[next]
			e.timers.noteFired(f.raw())
			if f.node >= 0 {
				if err := c.play(c.nodes[f.node].deeds, false); err != nil {
					return err
				}
			}
			e.units++
			next++
		}
		if m.unit != nil {
			e.marks.unit(&progress{}, m.unit)
			if err := c.play(m.root, false); err != nil {
				return err
			}
			e.units++
			e.events.Add(1)
		}
		c.passed(m)
	}
	return nil
}

// play does what a call decided, and what followed from what it sent. Of a unit that goes
// alone that was not run before, but is now.
func (c *crew) play(did deeds, alone bool) error {
	e := c.e
	for i := did.from; i < did.to; i++ {
		d := &did.w.deeds[i]
		var err error
		switch d.what {
		case didSend:
			if alone {
				d.to.deliver(&e.ctx, d.key, d.value)
				err = e.ctx.err
			} else {
				err = c.play(c.nodes[d.node].deeds, false)
			}
		case didEffect:
			body, _ := d.value.(func(uint64) ([]byte, error))
			err = e.addRow(Row{Kind: d.kind, Lane: d.key, Body: d.body}, body)
		case didSettle:
			err = e.settle(d.number, d.key)
		case didSet:
			e.timers.set(d.key)
		case didSetAndFired:
			e.timers.noteSet(d.key)
		case didLazy:
			payload := did.w.arena[d.from:d.end]
			e.redo.add(byte(d.number), d.key, func(b []byte) []byte { return append(b, payload...) }) //nolint:gosec // a stage's number
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applyLazy applies the messages of the open epoch to the values of lazy cells; all of a
// key are in one group.
func (c *crew) applyLazy(first uint64) error {
	if c.e.redo.bytes == 0 {
		return nil
	}
	errs := make([]error, len(c.workers))
	_ = c.run(func(*worker) bool { return true }, func(w *worker) {
		ctx := Ctx{engine: c.e, op: c.e.graph.operators[0], tally: w.tally}
		for g := w.number; g < redoGroups; g += len(c.workers) {
			if errs[w.number] = c.e.deliver(&ctx, w.lazy, first, text(c.e.redo.groups[g])); errs[w.number] != nil {
				return
			}
		}
	})
	for _, w := range c.workers {
		w.count()
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
