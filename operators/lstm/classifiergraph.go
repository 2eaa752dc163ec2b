package lstm

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// classifierGraph is the training graph of a Classifier for one number of steps. It is
// made of the operations of the language model; the mean over the steps is a product
// with a matrix that is fed in, and so is dropout, since gorgonia's takes no seed.
type classifierGraph struct {
	steps, batch int
	g            *gorgonia.ExprGraph
	machine      gorgonia.VM
	inputs       []*gorgonia.Node // tokens, pairs, mean, ones, mask, targets, weights
	params       []*gorgonia.Node
	loss         gorgonia.Value
	grads        []gorgonia.Value

	tokens, pairs, targets    []int
	mean, ones, mask, weights []float32
}

func newClassifierGraph(c *Classifier, steps, batch int) (*classifierGraph, error) {
	n := c.config
	g := gorgonia.NewGraph()
	t := &classifierGraph{
		steps: steps, batch: batch, g: g,
		tokens: make([]int, steps*batch), pairs: make([]int, steps*batch), targets: make([]int, batch),
		mean: make([]float32, batch*steps*batch), ones: make([]float32, batch),
		mask: make([]float32, batch*n.Hidden), weights: make([]float32, batch),
	}
	for i := range t.ones {
		t.ones[i] = 1
	}
	for _, l := range c.layers() {
		d := tensor.New(tensor.WithShape(l.rows, l.cols), tensor.WithBacking(*l.data))
		t.params = append(t.params, gorgonia.NodeFromAny(g, d, gorgonia.WithName(l.name)))
	}
	ints := func(name string, n int) *gorgonia.Node {
		return gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(n), gorgonia.WithName(name))
	}
	floats := func(name string, rows, cols int) *gorgonia.Node {
		return gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(rows, cols), gorgonia.WithName(name))
	}
	t.inputs = []*gorgonia.Node{
		ints("tokens", steps*batch), ints("pairs of tokens", steps*batch),
		floats("mean", batch, steps*batch), floats("ones", batch, 1), floats("mask", batch, n.Hidden),
		ints("targets", batch), gorgonia.NewVector(g, tensor.Float32, gorgonia.WithShape(batch), gorgonia.WithName("weights")),
	}
	loss, err := t.build(n)
	if err != nil {
		return nil, fmt.Errorf("lstm: build classifier of %d steps: %w", steps, err)
	}
	grads, err := gorgonia.Grad(loss, t.params...)
	if err != nil {
		return nil, fmt.Errorf("lstm: differentiate classifier of %d steps: %w", steps, err)
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
func (t *classifierGraph) build(n ClassifierConfig) (*gorgonia.Node, error) {
	var failed error
	do := func(node *gorgonia.Node, err error) *gorgonia.Node {
		if failed == nil {
			failed = err
		}
		return node
	}
	mul := func(a, b *gorgonia.Node) *gorgonia.Node {
		if failed != nil {
			return nil
		}
		return do(gorgonia.Mul(a, b))
	}
	p, in := t.params, t.inputs
	e := do(gorgonia.ByIndices(p[0], in[0], 0))
	pair := do(gorgonia.ByIndices(p[1], in[1], 0))
	if failed != nil {
		return nil, failed
	}
	xw := mul(do(gorgonia.Add(e, pair)), p[2])
	cw := mul(in[3], p[4])
	if failed != nil {
		return nil, failed
	}
	hs := do(gorgonia.ApplyOp(newSeqOp("classifier", t.steps, t.batch, n.Hidden), xw, cw, p[3]))
	pooled := mul(in[2], hs)
	if failed != nil {
		return nil, failed
	}
	logits := mul(do(gorgonia.HadamardProd(pooled, in[4])), p[5])
	bias := mul(in[3], p[6])
	if failed != nil {
		return nil, failed
	}
	return gorgonia.ApplyOp(newXentOp("class", 1, t.batch, 2), logits, bias, in[5], in[6])
}

// fill lays the texts out time-major. Dropout of the pooled cells keeps a share of keep,
// scaled so that their mean stays; with keep 1 there is none. The tokens must have been
// checked: gorgonia's ByIndices reads row 0 for an index out of range.
func (t *classifierGraph) fill(texts []LabelledText, keep float64, r *rand.Rand) {
	clear(t.tokens)
	clear(t.pairs)
	clear(t.mean)
	clear(t.weights)
	clear(t.targets)
	var sum float32
	for _, e := range texts {
		sum += e.weight()
	}
	for line, e := range texts {
		t.targets[line] = e.Class
		t.weights[line] = e.weight() / sum
		share := 1 / float32(max(1, len(e.Tokens)))
		for i := range e.Tokens {
			at := i*t.batch + line
			t.tokens[at], t.pairs[at] = int(e.Tokens[i]), int(e.Pairs[i])
			t.mean[line*t.steps*t.batch+at] = share
		}
	}
	for i := range t.mask {
		t.mask[i] = 1
		if keep < 1 {
			t.mask[i] = 0
			if r.Float64() < keep {
				t.mask[i] = float32(1 / keep)
			}
		}
	}
}

// run computes the loss and, in the order of the layers, the gradients of the batch that
// was filled in. They are valid until the next run.
func (t *classifierGraph) run() (loss float64, grads [][]float32, err error) {
	values := []any{t.tokens, t.pairs, t.mean, t.ones, t.mask, t.targets, t.weights}
	for i, v := range values {
		d := tensor.New(tensor.WithShape(t.inputs[i].Shape()...), tensor.WithBacking(v))
		if err := gorgonia.Let(t.inputs[i], d); err != nil {
			return 0, nil, fmt.Errorf("lstm: feed classifier: %w", err)
		}
	}
	t.machine.Reset() // without it the second run would do nothing, silently
	if err := t.machine.RunAll(); err != nil {
		return 0, nil, fmt.Errorf("lstm: run classifier of %d steps: %w", t.steps, err)
	}
	f, ok := t.loss.Data().(float32)
	if !ok {
		return 0, nil, fmt.Errorf("lstm: loss is %T, want float32", t.loss.Data())
	}
	grads, err = denses(t.grads)
	return float64(f), grads, err
}

func (t *classifierGraph) close() error { return t.machine.Close() }
