package lstm

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// kernel is the pure Go BLAS: it has no state.
var kernel gonum.Implementation

// Runner is a network made ready to run: the product of every embedding with the
// input weights is folded into one table. It shares the other weights with its model
// and is safe for concurrent use; each goroutine needs a State of its own.
type Runner struct {
	model *Model
	table []float32 // vocab × 4 hidden: embed·wx
}

// NewRunner makes m ready to run. Training m afterwards makes the Runner stale.
func NewRunner(m *Model) *Runner {
	c := m.config
	t := make([]float32, c.Vocab*4*c.Hidden)
	kernel.Sgemm(blas.NoTrans, blas.NoTrans, c.Vocab, 4*c.Hidden, c.Embed, 1,
		m.embed, c.Embed, m.wx, 4*c.Hidden, 0, t, 4*c.Hidden)
	return &Runner{model: m, table: t}
}

// Model returns the network that runs.
func (r *Runner) Model() *Model { return r.model }

// State is one sequence on its way through the network. It belongs to one goroutine
// at a time; Start makes it new.
type State struct {
	run    *Runner
	cond   []float32 // condition, with the constant 1 behind it
	gates  []float32 // the condition's share of the gates
	bias   []float32 // the condition's share of the logits
	a      []float32
	h, c   []float32
	logits []float32
}

// NewState returns a State to run sequences with.
func (r *Runner) NewState() *State {
	c := r.model.config
	return &State{
		run:    r,
		cond:   make([]float32, c.Cond+1),
		gates:  make([]float32, 4*c.Hidden),
		bias:   make([]float32, c.Vocab),
		a:      make([]float32, 4*c.Hidden),
		h:      make([]float32, c.Hidden),
		c:      make([]float32, c.Hidden),
		logits: make([]float32, c.Vocab),
	}
}

// Start begins a new sequence under cond, whose length must be the model's Cond.
func (s *State) Start(cond []float32) {
	m, c := s.run.model, s.run.model.config
	if len(cond) != c.Cond {
		panic("BUG: condition of the wrong length")
	}
	copy(s.cond, cond)
	s.cond[c.Cond] = 1
	clear(s.h)
	clear(s.c)
	kernel.Sgemv(blas.Trans, c.Cond+1, 4*c.Hidden, 1, m.wc, 4*c.Hidden, s.cond, 1, 0, s.gates, 1)
	kernel.Sgemv(blas.Trans, c.Cond+1, c.Vocab, 1, m.wk, c.Vocab, s.cond, 1, 0, s.bias, 1)
}

// Restart begins a new sequence under the condition of the last Start.
func (s *State) Restart() {
	clear(s.h)
	clear(s.c)
}

// Step reads one token and returns the logits of the next one, which the next Step
// overwrites. The token must lie within the vocabulary.
func (s *State) Step(token int32) []float32 {
	m, c := s.run.model, s.run.model.config
	n := c.Hidden
	x := s.run.table[int(token)*4*n : (int(token)+1)*4*n]
	for j := range s.a {
		s.a[j] = x[j] + s.gates[j]
	}
	kernel.Sgemv(blas.Trans, n, 4*n, 1, m.wh, 4*n, s.h, 1, 1, s.a, 1)
	for j := range n {
		i, f := sigmoid(s.a[j]), sigmoid(s.a[n+j])
		g, o := tanh(s.a[2*n+j]), sigmoid(s.a[3*n+j])
		s.c[j] = f*s.c[j] + i*g
		s.h[j] = o * tanh(s.c[j])
	}
	copy(s.logits, s.bias)
	kernel.Sgemv(blas.Trans, n, c.Vocab, 1, m.wo, c.Vocab, s.h, 1, 1, s.logits, 1)
	return s.logits
}

// exp, sigmoid and tanh are used by training and running alike, so that both compute the
// same function to the last bit.
func exp(x float32) float32 { return float32(math.Exp(float64(x))) }

func sigmoid(x float32) float32 { return 1 / (1 + exp(-x)) }

func tanh(x float32) float32 {
	// Beyond 9 the float32 result is 1 anyway, and the quotient could overflow.
	if x > 9 {
		return 1
	}
	if x < -9 {
		return -1
	}
	e := exp(2 * x)
	return (e - 1) / (e + 1)
}

// logSumExp returns log Σ exp(x) without overflow; -Inf entries are left out, and
// it is -Inf when all are.
func logSumExp(x []float32) float32 {
	most := float32(math.Inf(-1))
	for _, v := range x {
		most = max(most, v)
	}
	if math.IsInf(float64(most), -1) {
		return most
	}
	var sum float32
	for _, v := range x {
		sum += exp(v - most)
	}
	return most + float32(math.Log(float64(sum)))
}

// Loss returns the mean cross-entropy per token, in nats, of examples whose tokens
// lie within the vocabulary.
func (r *Runner) Loss(examples []Example) float64 {
	s := r.NewState()
	var sum, n float64
	for _, e := range examples {
		s.Start(e.Cond)
		for t, tok := range e.Tokens[:len(e.Tokens)-1] {
			l := s.Step(tok)
			sum += float64(logSumExp(l) - l[e.Tokens[t+1]])
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}
