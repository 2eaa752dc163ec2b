package lstm

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// graph is the training graph for one number of steps. Graphs of the same model share
// its weights: each wraps the same memory.
type graph struct {
	steps, batch int
	g            *gorgonia.ExprGraph
	machine      gorgonia.VM
	inputs       [4]*gorgonia.Node // tokens, targets, weights, condition
	drop         *gorgonia.Node    // the mask of dropout, nil without
	params       []*gorgonia.Node
	loss         gorgonia.Value
	grads        []gorgonia.Value

	tokens, targets []int
	weights, cond   []float32
	mask            []float32 // steps·batch × hidden, nil without dropout
}

// newGraph makes the graph of a model. With dropout the outputs of the cells are
// multiplied by a mask that is fed in, since gorgonia's own takes no seed.
func newGraph(m *Model, steps, batch int, dropout bool) (*graph, error) {
	c := m.config
	g := gorgonia.NewGraph()
	t := &graph{
		steps: steps, batch: batch, g: g,
		tokens: make([]int, steps*batch), targets: make([]int, steps*batch),
		weights: make([]float32, steps*batch), cond: make([]float32, batch*(c.Cond+1)),
	}
	for _, l := range m.layers() {
		d := tensor.New(tensor.WithShape(l.rows, l.cols), tensor.WithBacking(*l.data))
		t.params = append(t.params, gorgonia.NodeFromAny(g, d, gorgonia.WithName(l.name)))
	}
	t.inputs = [4]*gorgonia.Node{
		gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(steps*batch), gorgonia.WithName("tokens")),
		gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(steps*batch), gorgonia.WithName("targets")),
		gorgonia.NewVector(g, tensor.Float32, gorgonia.WithShape(steps*batch), gorgonia.WithName("weights")),
		gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(batch, c.Cond+1), gorgonia.WithName("condition")),
	}
	if dropout {
		t.mask = make([]float32, steps*batch*c.Hidden)
		t.drop = gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(steps*batch, c.Hidden), gorgonia.WithName("mask"))
	}
	loss, err := t.build(c)
	if err != nil {
		return nil, fmt.Errorf("lstm: build graph of %d steps: %w", steps, err)
	}
	grads, err := gorgonia.Grad(loss, t.params...)
	if err != nil {
		return nil, fmt.Errorf("lstm: differentiate graph of %d steps: %w", steps, err)
	}
	gorgonia.Read(loss, &t.loss)
	t.grads = make([]gorgonia.Value, len(grads))
	for i, n := range grads {
		gorgonia.Read(n, &t.grads[i])
	}
	t.machine = gorgonia.NewTapeMachine(g)
	return t, nil
}

// build adds the network to the graph and returns the node of its loss.
func (t *graph) build(c Config) (*gorgonia.Node, error) {
	embed, wx, wh, wc, wo, wk := t.params[0], t.params[1], t.params[2], t.params[3], t.params[4], t.params[5]
	tokens, targets, weights, cond := t.inputs[0], t.inputs[1], t.inputs[2], t.inputs[3]
	x, err := gorgonia.ByIndices(embed, tokens, 0)
	if err != nil {
		return nil, err
	}
	xw, err := gorgonia.Mul(x, wx)
	if err != nil {
		return nil, err
	}
	cw, err := gorgonia.Mul(cond, wc)
	if err != nil {
		return nil, err
	}
	hs, err := gorgonia.ApplyOp(newCellOp(c.Cell, "cells", t.steps, t.batch, c.Hidden), xw, cw, wh)
	if err == nil && t.drop != nil {
		hs, err = gorgonia.HadamardProd(hs, t.drop)
	}
	if err != nil {
		return nil, err
	}
	logits, err := gorgonia.Mul(hs, wo)
	if err == nil && c.Tied {
		logits, err = gorgonia.ApplyOp(newTiedOp("tied", t.steps*t.batch, c.Embed, c.Vocab), logits, embed)
	}
	if err != nil {
		return nil, err
	}
	bias, err := gorgonia.Mul(cond, wk)
	if err != nil {
		return nil, err
	}
	return gorgonia.ApplyOp(newXentOp("xent", t.steps, t.batch, c.Vocab), logits, bias, targets, weights)
}

// fill lays the examples out time-major, padded with steps of weight 0. The weights
// of a batch sum to 1. The tokens must have been checked: gorgonia's ByIndices reads
// row 0 for an index out of range.
func (t *graph) fill(examples []Example) {
	clear(t.tokens)
	clear(t.targets)
	clear(t.weights)
	clear(t.cond)
	width := len(t.cond) / t.batch
	var sum float32
	for line, e := range examples {
		copy(t.cond[line*width:], e.Cond)
		t.cond[(line+1)*width-1] = 1
		for i, tok := range e.Tokens[:len(e.Tokens)-1] {
			at := i*t.batch + line
			t.tokens[at], t.targets[at] = int(tok), int(e.Tokens[i+1])
			t.weights[at] = e.weight()
			sum += t.weights[at]
		}
	}
	for i := range t.weights {
		t.weights[i] /= sum
	}
}

// drawMask draws a mask of dropout: a share of the outputs is 0, and the others are
// scaled so that their mean stays.
func (t *graph) drawMask(share float64, r *rand.Rand) {
	keep := float32(1 / (1 - share))
	for i := range t.mask {
		t.mask[i] = keep
		if r.Float64() < share {
			t.mask[i] = 0
		}
	}
}

// run computes the loss and, in the order of the model's layers, the gradients of
// the batch that was filled in. They are valid until the next run.
func (t *graph) run() (loss float64, grads [][]float32, err error) {
	values := []any{t.tokens, t.targets, t.weights}
	for i, v := range values {
		d := tensor.New(tensor.WithShape(t.steps*t.batch), tensor.WithBacking(v))
		if err := gorgonia.Let(t.inputs[i], d); err != nil {
			return 0, nil, fmt.Errorf("lstm: feed graph: %w", err)
		}
	}
	c := tensor.New(tensor.WithShape(t.batch, len(t.cond)/t.batch), tensor.WithBacking(t.cond))
	if err := gorgonia.Let(t.inputs[3], c); err != nil {
		return 0, nil, fmt.Errorf("lstm: feed graph: %w", err)
	}
	if t.drop != nil {
		d := tensor.New(tensor.WithShape(t.drop.Shape()...), tensor.WithBacking(t.mask))
		if err := gorgonia.Let(t.drop, d); err != nil {
			return 0, nil, fmt.Errorf("lstm: feed graph: %w", err)
		}
	}
	t.machine.Reset() // without it the second run would do nothing, silently
	if err := t.machine.RunAll(); err != nil {
		return 0, nil, fmt.Errorf("lstm: run graph of %d steps: %w", t.steps, err)
	}
	f, ok := t.loss.Data().(float32)
	if !ok {
		return 0, nil, fmt.Errorf("lstm: loss is %T, want float32", t.loss.Data())
	}
	grads, err = denses(t.grads)
	return float64(f), grads, err
}

func (t *graph) close() error { return t.machine.Close() }
