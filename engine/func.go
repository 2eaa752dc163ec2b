package engine

import (
	"context"
	"fmt"
)

// Opener is what an operator adds that has something to do before the first message:
// to load a table, or to check what it was given. An error stops the engine from
// opening, with the operator's name.
type Opener interface {
	Open(ctx context.Context) error
}

// Func is an operator made of functions: it gets messages of type In, and sends
// messages of type Out to a later stage. What it keeps between calls it keeps in state,
// never in variables of its own: calls for different keys may run at the same time.
type Func[In, Out any] struct {
	// Do is called for each message. Required.
	Do func(c *Ctx, v In, out Output[Out])
	// To is where messages go. It may be nil for one that sends none.
	To *Stage[Out]
	// Due is called when a timer of the operator fires.
	Due func(c *Ctx, t Timer, out Output[Out])
	// Ready is called once, before the first message.
	Ready func(ctx context.Context) error
}

// Output is where a Func sends to. It is valid inside the call only.
type Output[T any] struct {
	c  *Ctx
	to *Stage[T]
}

// Send hands v to the next stage under a key.
func (o Output[T]) Send(key string, v T) {
	if o.to == nil {
		panic(fmt.Sprintf("BUG: operator %s sends, and has no stage to send to", o.c.op.name))
	}
	o.to.Send(o.c, key, v)
}

// Process implements Operator.
func (f Func[In, Out]) Process(c *Ctx, v In) { f.Do(c, v, Output[Out]{c, f.To}) }

// Timer implements TimerHandler.
func (f Func[In, Out]) Timer(c *Ctx, t Timer) {
	if f.Due != nil {
		f.Due(c, t, Output[Out]{c, f.To})
	}
}

// Open implements Opener.
func (f Func[In, Out]) Open(ctx context.Context) error {
	if f.Ready == nil {
		return nil
	}
	return f.Ready(ctx)
}

// open calls what operators have to do before the first message, in the order of the
// graph.
func (g *Graph) open(ctx context.Context) error {
	for _, o := range g.operators {
		if o.opener == nil {
			continue
		}
		if err := o.opener.Open(ctx); err != nil {
			return fmt.Errorf("operator %s does not open: %w", o.name, err)
		}
	}
	return nil
}
