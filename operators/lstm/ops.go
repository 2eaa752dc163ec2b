package lstm

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	"gonum.org/v1/gonum/blas"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// This file holds what gorgonia needs of an operation: its type, its shape, its
// identity in the graph. The arithmetic is in sequence.go and xent.go.
//
// An operation remembers the activations of its last forward run for the backward
// one. So an operation stands in one graph, once, and that graph runs on one
// goroutine at a time; gorgonia asks the same of its machines.

// matrix is the type of a two-dimensional float32 value, vector of a one-dimensional
// one.
func matrix() hm.Type           { return gorgonia.TensorType{Dims: 2, Of: tensor.Float32} }
func vector(of hm.Type) hm.Type { return gorgonia.TensorType{Dims: 1, Of: of} }
func hashOf(name string) uint32 { h := fnv.New32a(); _, _ = h.Write([]byte(name)); return h.Sum32() }
func dense(v gorgonia.Value) ([]float32, error) {
	d, ok := v.(*tensor.Dense)
	if !ok {
		return nil, fmt.Errorf("lstm: operand is a %T, want a dense tensor", v)
	}
	f, ok := d.Data().([]float32)
	if !ok {
		return nil, fmt.Errorf("lstm: operand holds %T, want float32", d.Data())
	}
	return f, nil
}

func denses(in []gorgonia.Value) ([][]float32, error) {
	out := make([][]float32, len(in))
	for i, v := range in {
		f, err := dense(v)
		if err != nil {
			return nil, err
		}
		out[i] = f
	}
	return out, nil
}

func shaped(data []float32, rows, cols int) gorgonia.Value {
	return tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(data))
}

// identity is what all our operations share: a name that is unique within the graph
// (gorgonia merges nodes whose hashes agree) and the promise to write to no input.
type identity struct{ name string }

func (o identity) ReturnsPtr() bool      { return false }
func (o identity) CallsExtern() bool     { return false }
func (o identity) OverwritesInput() int  { return -1 }
func (o identity) WriteHash(h hash.Hash) { _, _ = h.Write([]byte(o.name)) }
func (o identity) Hashcode() uint32      { return hashOf(o.name) }
func (o identity) String() string        { return o.name }

// seqOp runs a whole batch of sequences: (xw, cw, wh) -> hs, all time-major, a row
// of xw and hs being step·batch + line.
type seqOp struct {
	identity
	recurrence
	gates int
}

// newSeqOp makes the operation of an LSTM.
func newSeqOp(name string, steps, batch, hidden int) *seqOp {
	return newCellOp(LSTM, name, steps, batch, hidden)
}

func newCellOp(cell Cell, name string, steps, batch, hidden int) *seqOp {
	f := flow{steps: steps, batch: batch, hidden: hidden}
	if cell == GRU {
		return &seqOp{identity{name}, &gruSequence{flow: f}, cell.gates()}
	}
	return &seqOp{identity{name}, &sequence{flow: f}, cell.gates()}
}

// Arity implements gorgonia.Op.
func (o *seqOp) Arity() int { return 3 }

// Type implements gorgonia.Op.
func (o *seqOp) Type() hm.Type { return hm.NewFnType(matrix(), matrix(), matrix(), matrix()) }

// InferShape implements gorgonia.Op.
func (o *seqOp) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	f := o.common()
	return tensor.Shape{f.steps * f.batch, f.hidden}, nil
}

// Do implements gorgonia.Op: the forward run.
func (o *seqOp) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	f, err := denses(in)
	if err != nil {
		return nil, err
	}
	c := o.common()
	hs := make([]float32, c.steps*c.batch*c.hidden)
	o.forward(f[0], f[1], f[2], hs)
	return shaped(hs, c.steps*c.batch, c.hidden), nil
}

// DiffWRT implements gorgonia.SDOp.
func (o *seqOp) DiffWRT(int) []bool { return []bool{true, true, true} }

// SymDiff implements gorgonia.SDOp: one node for each input, which share one
// backward run.
func (o *seqOp) SymDiff(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	diff := make(gorgonia.Nodes, len(in))
	for i := range in {
		op := &seqDiffOp{identity{fmt.Sprintf("%s.d%d", o.name, i)}, o, i}
		n, err := gorgonia.ApplyOp(op, in[0], in[1], in[2], out, grad)
		if err != nil {
			return nil, err
		}
		diff[i] = n
	}
	return diff, nil
}

// seqDiffOp is the gradient of seqOp by one of its inputs.
type seqDiffOp struct {
	identity
	seq   *seqOp
	input int
}

// Arity implements gorgonia.Op.
func (o *seqDiffOp) Arity() int { return 5 }

// Type implements gorgonia.Op.
func (o *seqDiffOp) Type() hm.Type {
	return hm.NewFnType(matrix(), matrix(), matrix(), matrix(), matrix(), matrix())
}

// InferShape implements gorgonia.Op.
func (o *seqDiffOp) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	s, ok := in[o.input].(tensor.Shape)
	if !ok {
		return nil, fmt.Errorf("lstm: input %d has no shape", o.input)
	}
	return s.Clone(), nil
}

// Do implements gorgonia.Op: the backward run, made once for the three inputs.
func (o *seqDiffOp) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	f, err := denses(in)
	if err != nil {
		return nil, err
	}
	s, wide := o.seq.common(), o.seq.gates*o.seq.common().hidden
	if !s.backwardDone {
		o.seq.backward(f[2], f[3], f[4])
	}
	switch o.input {
	case 0:
		return shaped(s.dxw, s.steps*s.batch, wide), nil
	case 1:
		return shaped(s.dcw, s.batch, wide), nil
	default:
		return shaped(s.dwh, s.hidden, wide), nil
	}
}

// xentOp is the weighted cross-entropy of softmax(logits + bias) with the targets:
// (logits, bias, targets, weights) -> loss. The bias has a row for each line.
type xentOp struct {
	identity
	xent
}

func newXentOp(name string, steps, batch, vocab int) *xentOp {
	return &xentOp{identity{name}, xent{steps: steps, batch: batch, vocab: vocab}}
}

// Arity implements gorgonia.Op.
func (o *xentOp) Arity() int { return 4 }

// Type implements gorgonia.Op.
func (o *xentOp) Type() hm.Type {
	return hm.NewFnType(matrix(), matrix(), vector(tensor.Int), vector(tensor.Float32), tensor.Float32)
}

// InferShape implements gorgonia.Op.
func (o *xentOp) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	return tensor.ScalarShape(), nil
}

// Do implements gorgonia.Op: the loss.
func (o *xentOp) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	f, err := denses([]gorgonia.Value{in[0], in[1], in[3]})
	if err != nil {
		return nil, err
	}
	ids, ok := in[2].Data().([]int)
	if !ok {
		return nil, fmt.Errorf("lstm: targets are %T, want int", in[2].Data())
	}
	loss := o.forward(f[0], f[1], ids, f[2])
	return gorgonia.NewF32(loss), nil
}

// DiffWRT implements gorgonia.SDOp.
func (o *xentOp) DiffWRT(int) []bool { return []bool{true, true, false, false} }

// SymDiff implements gorgonia.SDOp.
func (o *xentOp) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	diff := make(gorgonia.Nodes, len(in))
	for i := range 2 {
		op := &xentDiffOp{identity{fmt.Sprintf("%s.d%d", o.name, i)}, o, i}
		n, err := gorgonia.ApplyOp(op, in[0], in[1], in[2], in[3], grad)
		if err != nil {
			return nil, err
		}
		diff[i] = n
	}
	return diff, nil
}

// xentDiffOp is the gradient of xentOp by its logits or by its bias.
type xentDiffOp struct {
	identity
	loss  *xentOp
	input int
}

// Arity implements gorgonia.Op.
func (o *xentDiffOp) Arity() int { return 5 }

// Type implements gorgonia.Op.
func (o *xentDiffOp) Type() hm.Type {
	return hm.NewFnType(matrix(), matrix(), vector(tensor.Int), vector(tensor.Float32), tensor.Float32, matrix())
}

// InferShape implements gorgonia.Op.
func (o *xentDiffOp) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	s, ok := in[o.input].(tensor.Shape)
	if !ok {
		return nil, fmt.Errorf("lstm: input %d has no shape", o.input)
	}
	return s.Clone(), nil
}

// Do implements gorgonia.Op.
func (o *xentDiffOp) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	x := &o.loss.xent
	if !x.backwardDone {
		scale, ok := in[4].Data().(float32)
		if !ok {
			return nil, fmt.Errorf("lstm: gradient of the loss is %T, want float32", in[4].Data())
		}
		ids, ok := in[2].Data().([]int)
		if !ok {
			return nil, fmt.Errorf("lstm: targets are %T, want int", in[2].Data())
		}
		w, err := dense(in[3])
		if err != nil {
			return nil, err
		}
		x.backward(ids, w, scale)
	}
	if o.input == 0 {
		return shaped(x.dlogits, x.steps*x.batch, x.vocab), nil
	}
	return shaped(x.dbias, x.batch, x.vocab), nil
}

// gemm computes c = a·b + beta·c for row-major matrices of m×k and k×n, either of
// them transposed.
func gemm(ta, tb blas.Transpose, m, n, k int, a, b []float32, beta float32, c []float32) {
	lda, ldb := k, n
	if ta == blas.Trans {
		lda = m
	}
	if tb == blas.Trans {
		ldb = k
	}
	kernel.Sgemm(ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, n)
}
