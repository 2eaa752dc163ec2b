package engine

import (
	"encoding/json"
	"fmt"
	"slices"
)

// keySchemas is where the store keeps the newest schema that each cell was written with.
var keySchemas = []byte("\x01schemas") //nolint:gochecknoglobals // constant

// Versioned is a codec of values whose form changes over time. It begins each value
// with a schema version, and reads those of older versions through the steps: the first
// turns what version 1 was into what version 2 was, and so on; the last one gives what
// current reads. So the version of today is one more than there are steps, and a step,
// once written, is never touched again. A value is read in its old form until it is
// changed, then it is written in the new one. A version that is not known yet answers
// ErrNewer.
func Versioned[T any](current EventCodec[T], steps ...func(old []byte) ([]byte, error)) EventCodec[T] {
	if len(steps) > 254 {
		panic("BUG: a schema version is a byte")
	}
	newest := byte(len(steps) + 1) //nolint:gosec // checked the line before
	decode := func(b []byte) (v T, err error) {
		if len(b) == 0 || b[0] == 0 {
			return v, fmt.Errorf("a value without a schema version: %w", errKept)
		}
		from := b[0]
		if from > newest {
			return v, fmt.Errorf("a value of schema %d, known is %d: %w", from, newest, ErrNewer)
		}
		b = b[1:]
		for i, step := range steps[from-1:] {
			if b, err = step(b); err != nil {
				return v, fmt.Errorf("migrate a value from schema %d: %w", int(from)+i, err)
			}
		}
		return current.Decode(b)
	}
	return EventCodec[T]{
		Append: func(b []byte, v T) []byte { return current.Append(append(b, newest), v) },
		Decode: decode,
	}
}

// Rename says that a cell, or an operator with timers, had another name before: the
// state that the store has under the old name is found under the new one. Both may be
// renamed with one call, since an operator and its cell often share a name. A name
// that the store does not know, or whose new name it knows already, changes nothing.
func (g *Graph) Rename(from, to string) {
	if from == to {
		panic(fmt.Sprintf("BUG: %s is renamed to itself", from))
	}
	g.renamed = append(g.renamed, [2]string{from, to})
}

// Schema says which version the values of a cell are written with. The store keeps the
// newest that it has seen, so that an older program refuses to open it, by name and
// before anything runs, instead of meeting such a value later. A cell of which nothing
// is said has schema 1.
func (g *Graph) Schema(cell string, version int) {
	if g.schemas == nil {
		g.schemas = make(map[string]int)
	}
	g.schemas[cell] = version
}

// rename moves names as the graph was told.
func (n *numbering) rename(all [][2]string) {
	for _, r := range all {
		id, was := n.known[r[0]]
		if _, is := n.known[r[1]]; !was || is {
			continue
		}
		delete(n.known, r[0])
		n.known[r[1]] = id
		n.grown = true
	}
}

// schemas is what the store is to keep of the cells' schemas, or nil if that stands
// there already. It answers ErrNewer if a cell was written with a newer one.
func (e *Engine) schemas() ([]byte, error) {
	stored := make(map[string]int)
	raw, found, err := e.read.Get(nil, keySchemas)
	if err != nil {
		return nil, err
	}
	if found {
		if err := json.Unmarshal(raw, &stored); err != nil {
			return nil, fmt.Errorf("the schemas of the state cannot be read: %w", err)
		}
	}
	for name := range e.graph.schemas {
		if !slices.ContainsFunc(e.graph.cells, func(c keeper) bool { return c.Name() == name }) {
			panic("BUG: a schema is given for a cell that the graph does not have: " + name)
		}
	}
	grown := false
	for _, r := range e.graph.renamed {
		if v, was := stored[r[0]]; was && stored[r[1]] == 0 {
			stored[r[1]], grown = v, true
			delete(stored, r[0])
		}
	}
	for _, c := range e.graph.cells {
		name, version := c.Name(), max(e.graph.schemas[c.Name()], 1)
		switch kept := max(stored[name], 1); {
		case kept > version:
			return nil, fmt.Errorf("cell %s was written with schema %d, known is %d: use the program that wrote it, or restore an older checkpoint: %w", name, kept, version, ErrNewer)
		case kept < version:
			stored[name], grown = version, true
		}
	}
	if !grown {
		return nil, nil
	}
	return json.Marshal(stored)
}
