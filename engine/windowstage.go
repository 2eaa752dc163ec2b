package engine

import (
	"fmt"
	"sync"
	"sync/atomic"

	"millrace/state"
)

// WindowHooks say how a windowed operator stands in its graph.
type WindowHooks[In, Out any] struct {
	// At is the event time of a value, Unix milliseconds.
	At func(in In) int64
	// Pane takes the panes of the key that is being processed (Ctx.Key): it sends them
	// on, makes effects of them, or keeps them.
	Pane func(c *Ctx, p Pane[Out])
	// Late, unless nil, takes the values that did not count, or not everywhere, and why.
	Late func(c *Ctx, in In, l Late)
}

// WindowOperator keeps the windows of each key in a cell and fires them with timers. Add
// it to a stage, and its Cell to the graph.
type WindowOperator[In, A, Out any, P state.Codec[A]] struct {
	Cell   *state.Cell[Windows[A, P], *Windows[A, P]]
	w      *Windower[In, A, Out, P]
	hooks  WindowHooks[In, Out]
	panes  sync.Pool // of *[]Pane[Out], used again
	counts [LateClock + 1]atomic.Uint64
	out    atomic.Uint64
}

// NewWindowOperator makes the operator. cell names its state for good; cacheMax is the
// number of keys in memory, 0 for the usual one.
func NewWindowOperator[In, A, Out any, P state.Codec[A]](
	cell string, o WindowOptions, agg Aggregate[In, A, Out], hooks WindowHooks[In, Out], cacheMax int,
) (*WindowOperator[In, A, Out, P], error) {
	w, err := NewWindower[In, A, Out, P](o, agg)
	if err != nil {
		return nil, err
	}
	return &WindowOperator[In, A, Out, P]{Cell: state.NewCell[Windows[A, P]](cell, cacheMax), w: w, hooks: hooks}, nil
}

// Process implements Operator.
func (o *WindowOperator[In, A, Out, P]) Process(c *Ctx, in In) {
	s := Value(c, o.Cell)
	if c.err != nil || !o.fits(c, s) {
		return
	}
	var late Late
	panes := o.begin()
	*panes, late = o.w.Add((*panes)[:0], s, o.hooks.At(in), in, c.Watermark())
	o.counts[late.Why].Add(1)
	o.leave(c, s, panes)
	if late.Why != OnTime && o.hooks.Late != nil {
		o.hooks.Late(c, in, late)
	}
}

// Timer implements TimerHandler.
func (o *WindowOperator[In, A, Out, P]) Timer(c *Ctx, t Timer) {
	s := Value(c, o.Cell)
	if c.err != nil || s.Empty() || !o.fits(c, s) {
		return // of what is empty, a timer is of no use any more
	}
	if s.armed && s.timer <= t.Due {
		s.armed = false
	}
	panes := o.begin()
	*panes = o.w.Fire((*panes)[:0], s, t.Due)
	o.leave(c, s, panes)
}

// fits stops the engine when the stored windows are not those of the options.
func (o *WindowOperator[In, A, Out, P]) fits(c *Ctx, s *Windows[A, P]) bool {
	if o.w.Fits(s) {
		return true
	}
	c.Fail(fmt.Errorf("cell %s holds windows of another kind or slide: give the new ones a cell of their own: %w", o.Cell.Name(), ErrWindows))
	return false
}

// begin is memory for the panes of a call.
func (o *WindowOperator[In, A, Out, P]) begin() *[]Pane[Out] {
	panes, _ := o.panes.Get().(*[]Pane[Out])
	if panes == nil {
		panes = new([]Pane[Out])
	}
	return panes
}

// leave sets the timer that the windows need, and hands the panes over.
func (o *WindowOperator[In, A, Out, P]) leave(c *Ctx, s *Windows[A, P], panes *[]Pane[Out]) {
	defer o.panes.Put(panes)
	if s.Empty() {
		stored, err := o.Cell.Has(c.Key())
		if err == nil && stored {
			err = o.Cell.Delete(c.Key())
		}
		if err != nil {
			c.Fail(err)
		}
	} else {
		if due, ok := o.w.Next(s); ok && (!s.armed || due < s.timer) {
			s.armed, s.timer = true, due
			c.SetTimer(due, "")
		}
		Changed(c, o.Cell)
	}
	for i := range *panes {
		o.out.Add(1)
		o.hooks.Pane(c, (*panes)[i])
	}
}

// Panes is how many panes were emitted since the start. Safe for concurrent use.
func (o *WindowOperator[In, A, Out, P]) Panes() uint64 { return o.out.Load() }

// Values is how many values came since the start, by what became of them. Safe for
// concurrent use.
func (o *WindowOperator[In, A, Out, P]) Values(why LateReason) uint64 {
	if int(why) >= len(o.counts) {
		return 0
	}
	return o.counts[why].Load()
}
