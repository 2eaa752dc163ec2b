package lstm

import (
	"fmt"

	"github.com/chewxy/hm"
	"gonum.org/v1/gonum/blas"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// tiedOp is the output that reads the embeddings: (x, embed) -> x·embedᵀ, a row for each
// step and line.
type tiedOp struct {
	identity
	rows, embed, vocab int
}

func newTiedOp(name string, rows, embed, vocab int) *tiedOp {
	return &tiedOp{identity{name}, rows, embed, vocab}
}

// Arity implements gorgonia.Op.
func (o *tiedOp) Arity() int { return 2 }

// Type implements gorgonia.Op.
func (o *tiedOp) Type() hm.Type { return hm.NewFnType(matrix(), matrix(), matrix()) }

// InferShape implements gorgonia.Op.
func (o *tiedOp) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	return tensor.Shape{o.rows, o.vocab}, nil
}

// Do implements gorgonia.Op.
func (o *tiedOp) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	f, err := denses(in)
	if err != nil {
		return nil, err
	}
	out := make([]float32, o.rows*o.vocab)
	gemm(blas.NoTrans, blas.Trans, o.rows, o.vocab, o.embed, f[0], f[1], 0, out)
	return shaped(out, o.rows, o.vocab), nil
}

// DiffWRT implements gorgonia.SDOp.
func (o *tiedOp) DiffWRT(int) []bool { return []bool{true, true} }

// SymDiff implements gorgonia.SDOp.
func (o *tiedOp) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	diff := make(gorgonia.Nodes, len(in))
	for i := range in {
		n, err := gorgonia.ApplyOp(&tiedDiffOp{identity{fmt.Sprintf("%s.d%d", o.name, i)}, o, i}, in[0], in[1], grad)
		if err != nil {
			return nil, err
		}
		diff[i] = n
	}
	return diff, nil
}

// tiedDiffOp is the gradient of tiedOp by one of its inputs.
type tiedDiffOp struct {
	identity
	of    *tiedOp
	input int
}

// Arity implements gorgonia.Op.
func (o *tiedDiffOp) Arity() int { return 3 }

// Type implements gorgonia.Op.
func (o *tiedDiffOp) Type() hm.Type { return hm.NewFnType(matrix(), matrix(), matrix(), matrix()) }

// InferShape implements gorgonia.Op.
func (o *tiedDiffOp) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	if o.input == 0 {
		return tensor.Shape{o.of.rows, o.of.embed}, nil
	}
	return tensor.Shape{o.of.vocab, o.of.embed}, nil
}

// Do implements gorgonia.Op.
func (o *tiedDiffOp) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	f, err := denses(in)
	if err != nil {
		return nil, err
	}
	t := o.of
	if o.input == 0 {
		out := make([]float32, t.rows*t.embed)
		gemm(blas.NoTrans, blas.NoTrans, t.rows, t.embed, t.vocab, f[2], f[1], 0, out)
		return shaped(out, t.rows, t.embed), nil
	}
	out := make([]float32, t.vocab*t.embed)
	gemm(blas.Trans, blas.NoTrans, t.vocab, t.embed, t.rows, f[2], f[0], 0, out)
	return shaped(out, t.vocab, t.embed), nil
}
