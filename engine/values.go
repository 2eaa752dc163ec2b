package engine

import (
	"errors"
	"fmt"

	"millrace/state"
)

// ErrNoCell says that a graph has no cell of a name.
var ErrNoCell = errors.New("no such cell")

// viewer is what a cell answers to who does not know its type.
type viewer interface {
	ViewAny(v *state.Snapshot, key string) (any, bool, error)
	EachAny(v *state.Snapshot, fn func(key string, value any) bool) error
}

// Cells are the names of the graph's cells, in the order in which they were added.
func (g *Graph) Cells() []string {
	names := make([]string, len(g.cells))
	for i, c := range g.cells {
		names[i] = c.Name()
	}
	return names
}

func (g *Graph) viewer(cell string) (viewer, error) {
	for _, c := range g.cells {
		if v, ok := c.(viewer); ok && c.Name() == cell {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%q: %w; there are %v", cell, ErrNoCell, g.Cells())
}

// ReadAny is Read by the name of a cell; the value is a pointer to its type. It answers
// ErrNoCell for a name that the graph does not have.
func (g *Graph) ReadAny(v *View, cell, key string) (value any, found bool, err error) {
	c, err := g.viewer(cell)
	if err != nil {
		return nil, false, err
	}
	return c.ViewAny(v.Snapshot, key)
}

// EachAny calls fn with every committed key and value of a cell, by name, in the order
// of key groups and keys, until fn answers false. It answers ErrNoCell for a name that
// the graph does not have.
func (g *Graph) EachAny(v *View, cell string, fn func(key string, value any) bool) error {
	c, err := g.viewer(cell)
	if err != nil {
		return err
	}
	return c.EachAny(v.Snapshot, fn)
}
