package enginetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"millrace/engine"
	"millrace/state"
)

// Rig runs the operators of one stage in a test: real engine, store in memory, event
// time as the test says. Each Run opens the engine anew, so what an operator keeps
// outside of its state is lost, as after a crash. One goroutine at a time.
type Rig[T any] struct {
	// Options are those of the engine, for a test that wants other epochs. The watermark
	// trails the newest event by a millisecond, unless they say otherwise.
	Options engine.Options

	build func(g *engine.Graph, s *engine.Stage[T])
	kinds []string
	store *state.Store
	log   *Log
	sent  []sent[T] // by message of the log

	mu   sync.Mutex
	rows []engine.Row
}

// sent is what a message of the rig's log stands for.
type sent[T any] struct {
	at    int64
	key   string
	value T
	tick  bool
}

// NewRig makes a rig. build adds operators to a stage that is called "stage"; kinds are
// the kinds of effects that they decide. Close it after use.
func NewRig[T any](build func(g *engine.Graph, s *engine.Stage[T]), kinds ...string) (*Rig[T], error) {
	store, err := state.Open(state.Options{})
	if err != nil {
		return nil, err
	}
	return &Rig[T]{Options: engine.Options{OutOfOrder: time.Millisecond}, build: build, kinds: kinds, store: store, log: NewLog()}, nil
}

// Send hands v to the stage under a key, at an event time in Unix milliseconds.
func (r *Rig[T]) Send(at int64, key string, v T) { r.append(sent[T]{at: at, key: key, value: v}) }

// Advance moves the watermark to at.
func (r *Rig[T]) Advance(at int64) { r.append(sent[T]{at: at, tick: true}) }

func (r *Rig[T]) append(s sent[T]) {
	r.sent = append(r.sent, s)
	r.log.Append(s.at, strconv.AppendInt(nil, int64(len(r.sent)-1), 10))
}

// Decode implements engine.Decoder, for the rig's own engine.
func (r *Rig[T]) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	i, err := strconv.Atoi(string(m.Data))
	if err != nil || i < 0 || i >= len(r.sent) {
		return dst
	}
	at := r.sent[i].at
	if r.sent[i].tick {
		at += r.Options.OutOfOrder.Milliseconds()
	}
	return append(dst, engine.Unit{Time: at, Received: at, Value: &r.sent[i]})
}

// Graph is the graph that the rig runs, made anew.
func (r *Rig[T]) Graph() *engine.Graph {
	var stage *engine.Stage[T]
	g := engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
		if s, ok := u.Value.(*sent[T]); ok && !s.tick {
			stage.Send(c, s.key, s.value)
		}
	})
	stage = engine.AddStage[T](g, "stage")
	r.build(g, stage)
	return g
}

// Run processes what was sent since the last Run, and answers the effects of that as
// "kind lane: body", in the order in which they were decided.
func (r *Rig[T]) Run(ctx context.Context) ([]string, error) {
	o := r.Options
	o.Source, o.Store, o.Decoder, o.Graph, o.Once, o.LogEnd = r.log, r.store, r, r.Graph(), true, r.log.Last
	o.Handlers = make(map[string]engine.Handler, len(r.kinds))
	for _, kind := range r.kinds {
		o.Handlers[kind] = r.take
	}
	e, err := engine.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	err = e.Run(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(r.rows, func(a, b engine.Row) int { return cmp.Compare(a.ID, b.ID) })
	r.rows = slices.CompactFunc(r.rows, func(a, b engine.Row) bool { return a.ID == b.ID })
	var out []string
	for _, row := range r.rows {
		out = append(out, fmt.Sprintf("%s %s: %s", row.Kind, row.Lane, row.Body))
	}
	if err == nil {
		r.rows = nil
	}
	return out, err
}

func (r *Rig[T]) take(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, row)
	return engine.Removed, 0, nil
}

// Dump is what the state holds, as text: cells and timers, by key.
func (r *Rig[T]) Dump() ([]string, error) { return Dump(r.store, state.SpaceCells, state.SpaceTimers) }

// Close closes the rig's store.
func (r *Rig[T]) Close() error { return errors.Join(r.store.Close(), r.log.Close()) }
