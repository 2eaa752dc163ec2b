package lstm

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// kernel is the pure Go BLAS: it has no state.
var kernel gonum.Implementation

// Runner is a network made ready to run: the product of every embedding with the
// input weights is folded into one table, and a tied output into one matrix. It shares
// the other weights with its model and is safe for concurrent use; each goroutine needs
// a State, a Batch or a Beam of its own.
type Runner struct {
	model *Model
	table []float32 // vocab × gates·hidden: embed·wx
	wh    *packed
	out   *packed // hidden × vocab
}

// NewRunner makes m ready to run. Training m afterwards makes the Runner stale.
func NewRunner(m *Model) *Runner {
	c := m.config
	wide := c.Cell.gates() * c.Hidden
	r := &Runner{model: m, table: make([]float32, c.Vocab*wide), wh: pack(m.wh, c.Hidden, wide)}
	out := m.wo
	gemm(blas.NoTrans, blas.NoTrans, c.Vocab, wide, c.Embed, m.embed, m.wx, 0, r.table)
	if c.Tied {
		out = make([]float32, c.Hidden*c.Vocab)
		gemm(blas.NoTrans, blas.Trans, c.Hidden, c.Vocab, c.Embed, m.wo, m.embed, 0, out)
	}
	r.out = pack(out, c.Hidden, c.Vocab)
	return r
}

// Model returns the network that runs.
func (r *Runner) Model() *Model { return r.model }

// State is one sequence on its way through the network. It belongs to one goroutine
// at a time; Start makes it new.
type State struct {
	lane *Batch
	read [1]int32
}

// NewState returns a State to run sequences with.
func (r *Runner) NewState() *State { return &State{lane: r.NewBatch(1)} }

// Start begins a new sequence under cond, whose length must be the model's Cond.
func (s *State) Start(cond []float32) { s.lane.Start(0, cond) }

// Restart begins a new sequence under the condition of the last Start.
func (s *State) Restart() { s.lane.Restart(0) }

// Step reads one token and returns the logits of the next one, which the next Step
// overwrites. The token must lie within the vocabulary.
func (s *State) Step(token int32) []float32 {
	s.read[0] = token
	s.lane.Step(s.read[:])
	return s.lane.Logits(0)
}

// exp, sigmoid and tanh are those of training, exact to the last bit but one. What runs
// uses fastExp; a test holds both together.
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
