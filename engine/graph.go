package engine

import (
	"fmt"

	"millrace/state"
)

// Unit is the smallest thing that the engine processes whole: one event of a
// message, one tick, one receipt.
type Unit struct {
	// Time is the event time in Unix milliseconds. It moves the watermark; zero does
	// not, as for feedback.
	Time int64
	// Received is when the gateway took the unit, Unix milliseconds, or zero. Ticks
	// are projected from it.
	Received int64
	// Producer is who made the unit, such as a gateway's source or an importer, never a
	// person: the watermark waits for each producer. A unit without one, such as a tick,
	// moves the watermark at once.
	Producer string
	// Value is what the root gets. An *Activation changes the graph at this position
	// instead.
	Value any
}

// Decoder turns a message into units. It is called ahead of processing, on a
// goroutine of its own, in order. What it cannot read it answers as a unit whose
// value says so: the graph's root decides what becomes of it.
type Decoder interface {
	Decode(dst []Unit, m *Message) []Unit
}

// Recycler is what a decoder adds that fills units anew whose processing has ended. They
// are handed back on its goroutine. No operator may keep such a value, or send it to a
// stage that keeps messages; strings in it may be kept.
type Recycler interface {
	Recycle(units []Unit)
}

// Operator is a step of the graph. It gets the messages of one key at a time, in
// the order of the log, and owns keyed state. State and timers are reachable only
// inside the call. Several goroutines may call it at the same time for different keys:
// it keeps nothing between calls but in cells. A message that it sends may be
// processed after the call: it must not be changed any more.
type Operator[T any] interface {
	Process(c *Ctx, v T)
}

// TimerHandler is what an operator adds that sets timers.
type TimerHandler interface {
	// Timer is called at the position where the watermark passes the timer, before
	// the first later event of its key.
	Timer(c *Ctx, t Timer)
}

// Timer is a due timer.
type Timer struct {
	Due        int64 // Unix milliseconds of event time, or of processing time
	Tag        string
	Processing bool // it was set by SetProcessingTimer
}

// Graph is a staged graph without cycles: a stage sends only to later stages.
// Build it once, then hand it to an engine; it belongs to that engine.
type Graph struct {
	root      func(c *Ctx, u *Unit)
	operators []*operator
	cells     []keeper
	lazy      []func() replayer // lazy stages, by their number
	stages    int
	renamed   [][2]string    // old and new names of cells and operators
	schemas   map[string]int // of cells that say which they write
}

// keeper is what the engine needs of a cell.
type keeper interface {
	Name() string
	Attach(r *state.Reader, id uint16)
	Empty()
	Budget(m *state.Memory)
	Split(readers []*state.Reader)
	Dirty() (values, bytes int)
	Flush(r *state.Record, until uint64, maxBytes int)
	Lazy() bool
	Oldest() (epoch uint64, dirty bool)
	Evict(visible uint64)
	Trim()
	Cached() int
}

// operator is an operator as the engine sees it.
type operator struct {
	name   string // "stage/id", which names its state and its timers for good
	id     uint16 // the number that the store keeps for name
	index  int    // in the graph
	stage  int
	timer  TimerHandler
	opener Opener
	in     uint64 // messages processed
	fired  uint64 // timers fired
	out    uint64 // messages sent on
	count  uint64 // effects decided
}

// NewGraph makes a graph. root gets every unit and sends it to the stage and key
// where it belongs; it owns no state.
func NewGraph(root func(c *Ctx, u *Unit)) *Graph {
	g := &Graph{root: root}
	g.operators = append(g.operators, &operator{name: "root", stage: -1})
	return g
}

// Stage is a group of operators that share a key. Each message runs through all of
// them, in the order in which they were added.
type Stage[T any] struct {
	graph *Graph
	name  string
	index int
	steps []step[T]
	redo  *redo[T] // of a lazy stage
	alone bool
}

type step[T any] struct {
	*operator
	process func(c *Ctx, v T)
}

// AddStage adds a stage behind those that the graph has.
func AddStage[T any](g *Graph, name string) *Stage[T] {
	s := &Stage[T]{graph: g, name: name, index: g.stages}
	g.stages++
	return s
}

// Alone says that a unit which the root sends to this stage is processed alone, before
// the next one begins, however many goroutines run the graph. It is for what is rare and
// needs it: for messages whose operators, or those after them, use state that operators
// of other stages or of other keys use too. Nobody but the root, and stages that such a
// unit reaches, may send to it.
func (s *Stage[T]) Alone() *Stage[T] {
	s.alone = true
	return s
}

// Use adds an operator to the stage. id names its state and timers, for good.
func (s *Stage[T]) Use(id string, op Operator[T]) {
	o := &operator{name: s.name + "/" + id, stage: s.index}
	if h, ok := op.(TimerHandler); ok {
		o.timer = h
	}
	o.opener, _ = op.(Opener)
	for _, other := range s.graph.operators {
		if other.name == o.name {
			panic(fmt.Sprintf("BUG: two operators are called %s", o.name))
		}
	}
	o.index = len(s.graph.operators)
	s.graph.operators = append(s.graph.operators, o)
	s.steps = append(s.steps, step[T]{operator: o, process: op.Process})
}

// Send hands v to the stage's operators under key, now: its descendants inherit the
// rank of what is being processed. Only an earlier stage, or the root, may send.
func (s *Stage[T]) Send(c *Ctx, key string, v T) {
	if c.err != nil {
		return
	}
	if c.op.stage >= s.index {
		panic(fmt.Sprintf("BUG: %s sends back to stage %s: what flows backward returns through the log", c.op.name, s.name))
	}
	if c.w != nil {
		s.later(c, key, v)
		return
	}
	c.op.out++
	if s.redo != nil {
		c.engine.redo.add(s.redo.number, key, func(b []byte) []byte { return s.redo.encode(b, v) })
		return // it is applied when the epoch closes
	}
	s.run(c, key, v)
}

// run hands v to the stage's operators, one after the other.
func (s *Stage[T]) run(c *Ctx, key string, v T) {
	from, fromKey := c.op, c.key
	c.key = key
	for i := range s.steps {
		c.op = s.steps[i].operator
		if c.tally == nil {
			c.op.in++
		} else {
			c.tally[c.op.index].in++
		}
		s.steps[i].process(c, v)
		if c.err != nil {
			break
		}
	}
	c.op, c.key = from, fromKey
}

// Keep registers a cell with the graph, so that the engine loads, commits and evicts
// its values.
func (g *Graph) Keep(cells ...keeper) {
	for _, c := range cells {
		for _, other := range g.cells {
			if other.Name() == c.Name() {
				panic(fmt.Sprintf("BUG: two cells are called %s", c.Name()))
			}
		}
		g.cells = append(g.cells, c)
	}
}
