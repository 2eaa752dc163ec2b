package engine

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"millrace/state"
)

// This file changes the graph while the engine runs. A unit with an Activation takes
// effect at its position: what stands before it in the log is processed by the old graph,
// what stands behind it by the new one. The hooks in the rest of the engine are four: open
// calls openVersions, process calls activate, closeEpoch calls flushVersions, and fire
// counts the timers of operators that are gone.

// activates tells whether the unit changes the graph.
func (u *Unit) activates() bool {
	_, ok := u.Value.(*Activation)
	return ok
}

// VersionsKept is how many versions the state keeps, with their content: those of more
// than a month of changes every half day. An effect in the outbox may need the content of
// the version that decided it, so who publishes activations asks Referenced first.
const VersionsKept = 64

// PipelineVersion is a version of the pipelines that took effect.
type PipelineVersion struct {
	Number   uint64 `json:"number"` // from 1, without gaps
	Hash     string `json:"hash"`   // of the content
	By       string `json:"by,omitempty"`
	Note     string `json:"note,omitempty"`
	Seq      uint64 `json:"seq"`             // of its message in the log, 0 of the first version
	At       int64  `json:"at"`              // when the log stored the message, Unix milliseconds
	FirstRow uint64 `json:"first_row"`       // the first effect that it may have decided
	Files    string `json:"files,omitempty"` // see Activation
}

// Activation is a change of the graph that stands in the log.
type Activation struct {
	Graph   *Graph // built and not run yet; nil: the message could not be made into a graph
	Err     error  // why Graph is nil: it stops the engine
	Expect  uint64 // the version that it replaces, at any other it changes nothing; 0: any
	Hash    string
	By      string
	Note    string
	Content []byte
	Files   string // the hash of the pipeline files that had been taken last, by whatever means; kept with the version
	At      int64  // of Options.First only: Unix milliseconds
	// Settle has all that lazy cells owe written before the change: their stages apply
	// messages in another way from here on.
	Settle bool
	// Done is told what came of it, unless nil: the version in use now, whether it is this
	// one, and for how long the graph stood still. It is called by the engine's loop, before
	// any effect of the new version leaves.
	Done func(now PipelineVersion, applied bool, pause time.Duration)
}

// ErrActivation says that the log holds a version that this program cannot run.
var ErrActivation = errors.New("a version of the pipelines in the log cannot be run")

// versions are those that the engine knows.
type versions struct {
	kept    []PipelineVersion // by number; the last one is in use
	fresh   []byte            // content of the last one, to be written with the open epoch
	dirty   bool
	dropped []uint64 // whose content the open epoch removes
	cells   *numbering
	ops     *numbering
	grown   bool
	schemas []byte // of cells, to be written with the open epoch
}

var keyVersions = []byte("\x01versions") //nolint:gochecknoglobals // constant

func contentKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte("\x01version/"), number)
}

// adopter is a cell that can take over what another one holds.
type adopter interface{ Adopt(from any) bool }

// getter reads a committed value.
type getter interface {
	Get(dst, key []byte) ([]byte, bool, error)
}

func readVersions(r getter) ([]PipelineVersion, error) {
	raw, found, err := r.Get(nil, keyVersions)
	if err != nil || !found {
		return nil, err
	}
	var list []PipelineVersion
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("the versions of the pipelines cannot be read: %w", err)
	}
	return list, nil
}

// Versions are the versions that the state keeps, by number; the last one is in use.
func Versions(v *View) ([]PipelineVersion, error) { return readVersions(v) }

// VersionContent is the content of a version that the state keeps.
func VersionContent(v *View, number uint64) ([]byte, bool, error) {
	return v.Get(nil, contentKey(number))
}

// ActiveVersion is the version that a store's state was reached with, and its content. A
// state that was never run with versions has none.
func ActiveVersion(store *state.Store) (PipelineVersion, []byte, bool, error) {
	v := &View{Snapshot: store.Snapshot()}
	defer v.Close()
	list, err := readVersions(v)
	if err != nil || len(list) == 0 {
		return PipelineVersion{}, nil, false, err
	}
	last := list[len(list)-1]
	content, found, err := VersionContent(v, last.Number)
	if err == nil && !found {
		err = fmt.Errorf("the content of version %d is gone: %w", last.Number, state.ErrDamaged)
	}
	return last, content, err == nil, err
}

// Attach makes the cells of a graph that will not be run readable by views: the graph of
// an older version, whose effects are still to be carried out.
func Attach(v *View, g *Graph) error {
	known := make(map[string]uint16)
	raw, found, err := v.Get(nil, keyCells)
	if err != nil {
		return err
	}
	if found {
		if err := json.Unmarshal(raw, &known); err != nil {
			return fmt.Errorf("the names of the state cannot be read: %w", err)
		}
	}
	for _, c := range g.cells {
		id, ok := known[c.Name()]
		if !ok {
			return fmt.Errorf("the state has no cell %s: %w", c.Name(), state.ErrDamaged)
		}
		c.Attach(nil, id)
	}
	return nil
}

// openVersions reads the versions; of a state without any, the one that the engine was
// opened with becomes the first.
func (e *Engine) openVersions() error {
	var err error
	if e.versions.kept, err = readVersions(e.read); err != nil {
		return err
	}
	first := e.o.First
	if len(e.versions.kept) > 0 || first == nil {
		return nil
	}
	e.versions.kept = []PipelineVersion{{Number: 1, Hash: first.Hash, By: first.By, Note: first.Note, At: first.At, Files: first.Files}}
	e.versions.fresh, e.versions.dirty = first.Content, true
	r := e.records[0]
	defer r.Reset()
	if err := e.flushVersions(r); err != nil {
		return err
	}
	return e.o.Store.Commit(context.Background(), r)
}

// flushVersions writes what changed into r.
func (e *Engine) flushVersions(r *state.Record) error {
	v := &e.versions
	if v.dirty {
		raw, err := json.Marshal(v.kept)
		if err != nil {
			return fmt.Errorf("encode versions: %w", err)
		}
		r.Put(keyVersions, raw)
		r.Put(contentKey(v.kept[len(v.kept)-1].Number), v.fresh)
		for _, number := range v.dropped {
			r.Delete(contentKey(number))
		}
		v.dirty, v.fresh, v.dropped = false, nil, nil
	}
	if v.schemas != nil {
		r.Put(keySchemas, v.schemas)
		v.schemas = nil
	}
	if v.grown {
		if err := putNames(r, v.cells, v.ops); err != nil {
			return err
		}
		v.grown = false
	}
	return nil
}

// version is the number of the version in use, 0 without versions.
func (e *Engine) version() uint64 {
	if n := len(e.versions.kept); n > 0 {
		return e.versions.kept[n-1].Number
	}
	return 0
}

// activate changes the graph, between two units. What is open is closed first, without
// the unit of the activation: the version and the position behind it commit together.
func (e *Engine) activate(a *Activation, m *Message) error {
	if a.Expect != 0 && a.Expect != e.version() {
		if a.Done != nil {
			a.Done(e.current(), false, 0)
		}
		return nil
	}
	if a.Graph == nil {
		return fmt.Errorf("message %d of the log: %w: %w", m.Seq, ErrActivation, a.Err)
	}
	start := time.Now()
	if err := e.setGraph(a.Graph, a.Settle); err != nil {
		return fmt.Errorf("message %d of the log: %w", m.Seq, err)
	}
	v := &e.versions
	now := PipelineVersion{
		Number: e.version() + 1, Hash: a.Hash, By: a.By, Note: a.Note,
		Seq: m.Seq, At: m.Time, FirstRow: e.progress.NextRow + 1, Files: a.Files,
	}
	v.kept, v.fresh, v.dirty = append(v.kept, now), a.Content, true
	for len(v.kept) > VersionsKept {
		v.dropped = append(v.dropped, v.kept[0].Number)
		v.kept = v.kept[1:]
	}
	if a.Done != nil {
		a.Done(now, true, time.Since(start))
	}
	e.o.Hook(PointActivated)
	return nil
}

// current is the version in use.
func (e *Engine) current() PipelineVersion {
	if n := len(e.versions.kept); n > 0 {
		return e.versions.kept[n-1]
	}
	return PipelineVersion{}
}

// setGraph puts g in place of the graph. Cells of the same name and type hand over what
// they hold; any other cell of g reads the store, for which all must be there.
func (e *Engine) setGraph(g *Graph, settle bool) error {
	old := make(map[string]keeper, len(e.graph.cells))
	for _, c := range e.graph.cells {
		old[c.Name()] = c
	}
	if e.units > 0 || len(e.settled) > 0 {
		if err := e.closeEpoch(); err != nil {
			return err
		}
	}
	e.o.Hook(PointActivating)
	settle = settle || len(g.lazy) != len(e.graph.lazy) || e.drops(g)
	for settle && e.behind() {
		if err := e.closeEpoch(); err != nil {
			return err
		}
	}
	if fresh(g, old) { // what it reads must be there, and before any cell hands over what the commit looks at
		if err := e.land(); err != nil {
			return err
		}
	}
	if err := g.open(context.Background()); err != nil {
		return err
	}
	cells, ops := e.versions.cells, e.versions.ops
	cells.rename(g.renamed)
	ops.rename(g.renamed)
	for _, c := range g.cells {
		if a, ok := c.(adopter); !ok || !a.Adopt(old[c.Name()]) {
			e.attach(c, cells)
		}
	}
	for _, o := range g.operators {
		o.id = ops.of(o.name)
		for _, before := range e.graph.operators {
			if before.name == o.name {
				o.in, o.out, o.fired, o.count = before.in, before.out, before.fired, before.count
			}
		}
	}
	e.versions.grown = e.versions.grown || cells.grown || ops.grown
	cells.grown, ops.grown = false, false
	e.graph, e.lazy = g, nil
	var err error
	if e.versions.schemas, err = e.schemas(); err != nil {
		return err
	}
	if e.crew != nil {
		e.crew.regraph()
	}
	e.ctx.op, e.ctx.key = g.operators[0], ""
	return nil
}

// fresh tells whether a cell of g will read the store, since no old one is of its kind.
func fresh(g *Graph, old map[string]keeper) bool {
	for _, c := range g.cells {
		o := old[c.Name()]
		if o == nil || reflect.TypeOf(o) != reflect.TypeOf(c) || o.Lazy() != c.Lazy() {
			return true
		}
		if _, ok := c.(adopter); !ok {
			return true
		}
	}
	return false
}

// drops tells whether g lacks a lazy cell of the graph, which would never be written.
func (e *Engine) drops(g *Graph) bool {
	for _, c := range e.graph.cells {
		if !c.Lazy() {
			continue
		}
		kept := false
		for _, n := range g.cells {
			kept = kept || n.Name() == c.Name()
		}
		if !kept {
			return true
		}
	}
	return false
}

// OldestRow is the number of the oldest effect in the outbox of a view, 0 if it is empty.
func OldestRow(v *View) (uint64, error) {
	var row uint64
	err := v.Scan([]byte{state.SpaceOutbox}, nil, func(key, _ []byte) bool {
		row = rowID(key)
		return false
	})
	return row, err
}

// DecidedBy is the version that decided the effect of a row: the last one of versions, by
// number, that was in use then. It answers false when that one is not kept any more.
func DecidedBy(versions []PipelineVersion, row uint64) (PipelineVersion, bool) {
	for _, v := range slices.Backward(versions) {
		if row >= v.FirstRow {
			return v, true
		}
	}
	return PipelineVersion{}, false
}

// Referenced tells whether one more activation would drop the content of a version that
// an effect in the outbox still needs.
func Referenced(v *View) (bool, error) {
	list, err := readVersions(v)
	if err != nil || len(list) < VersionsKept {
		return false, err
	}
	row, err := OldestRow(v)
	return row > 0 && row < list[1].FirstRow, err
}
