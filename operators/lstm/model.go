package lstm

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Limits of a network. They bound what a model file can make us allocate: the
// largest layer is then 64 MiB.
const (
	vocabMax  = 1 << 15
	embedMax  = 512
	hiddenMax = 512
	condMax   = 512
)

// Cell is the kind of a network's cells.
type Cell string

// The kinds of cells.
const (
	LSTM Cell = ""    // Hochreiter and Schmidhuber 1997, with forget gates
	GRU  Cell = "gru" // Cho et al. 2014, with the reset gate behind the product
)

// gates is the number of sums that a cell takes.
func (c Cell) gates() int {
	if c == GRU {
		return 3
	}
	return 4
}

// Config is the shape of a network.
type Config struct {
	Vocab  int  `json:"vocab"`          // tokens
	Embed  int  `json:"embed"`          // width of a token's embedding
	Hidden int  `json:"hidden"`         // cells
	Cond   int  `json:"cond"`           // width of the condition
	Cell   Cell `json:"cell,omitempty"` // LSTM or GRU
	// Tied lets the output read the embeddings (Press and Wolf 2017), by way of a matrix
	// that brings the cells to their width.
	Tied bool `json:"tied,omitempty"`
}

func (c Config) check() error {
	f := func(name string, n, least, most int) error {
		if n < least || n > most {
			return fmt.Errorf("lstm: %s is %d, want %d to %d", name, n, least, most)
		}
		return nil
	}
	if c.Cell != LSTM && c.Cell != GRU {
		return fmt.Errorf("lstm: unknown cell %q, want %q or none", c.Cell, GRU)
	}
	if err := f("vocab", c.Vocab, 2, vocabMax); err != nil {
		return err
	}
	if err := f("embed", c.Embed, 1, embedMax); err != nil {
		return err
	}
	if err := f("hidden", c.Hidden, 1, hiddenMax); err != nil {
		return err
	}
	return f("cond", c.Cond, 0, condMax)
}

// Model is a network: its shape and its weights. It is safe for concurrent reading;
// only Train writes to it.
//
// With x the embedding of a token, k the condition with a constant 1 behind it (the
// last row of wc and of wk is therefore the bias), and i, f, g, o the gates in the
// order in which their columns stand:
//
//	a  = x·wx + h·wh + k·wc
//	c' = σ(f)·c + σ(i)·tanh(g)
//	h' = σ(o)·tanh(c')
//	logits = h'·wo + k·wk
//
// A GRU has the gates r, z, n, of a = x·wx + k·wc and u = h·wh:
//
//	n' = tanh(a.n + σ(a.r + u.r)·u.n)
//	h' = (1 - σ(a.z + u.z))·n' + σ(a.z + u.z)·h
//
// With a tied output the logits are h'·wo·embedᵀ + k·wk.
type Model struct {
	config Config
	embed  []float32 // vocab × embed
	wx     []float32 // embed × gates·hidden
	wh     []float32 // hidden × gates·hidden
	wc     []float32 // (cond+1) × gates·hidden
	wo     []float32 // hidden × vocab; tied: hidden × embed
	wk     []float32 // (cond+1) × vocab
	meta   map[string]string
}

// layer is one matrix of weights by its name in the file.
type layer struct {
	name       string
	rows, cols int
	data       *[]float32
}

// layers lists the weights in the order of the file.
func (m *Model) layers() []layer {
	c := m.config
	wide := c.Cell.gates() * c.Hidden
	out := layer{"wo", c.Hidden, c.Vocab, &m.wo}
	if c.Tied {
		out = layer{"wp", c.Hidden, c.Embed, &m.wo}
	}
	return []layer{
		{"embed", c.Vocab, c.Embed, &m.embed},
		{"wx", c.Embed, wide, &m.wx},
		{"wh", c.Hidden, wide, &m.wh},
		{"wc", c.Cond + 1, wide, &m.wc},
		out,
		{"wk", c.Cond + 1, c.Vocab, &m.wk},
	}
}

// New returns an untrained network. The same seed gives the same weights.
func New(c Config, seed uint64) (*Model, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	m := &Model{config: c, meta: map[string]string{}}
	r := rand.New(rand.NewPCG(seed, 0x6c73746d))
	for _, l := range m.layers() {
		w := make([]float32, l.rows*l.cols)
		bound := math.Sqrt(6 / float64(l.rows+l.cols)) // Glorot and Bengio 2010
		for i := range w {
			w[i] = float32((2*r.Float64() - 1) * bound)
		}
		*l.data = w
	}
	// Biases begin at 0, and the forget gate open at 1 (Jozefowicz et al. 2015).
	bias := m.wc[c.Cond*c.Cell.gates()*c.Hidden:]
	clear(bias)
	for j := range c.Hidden {
		if c.Cell == LSTM {
			bias[c.Hidden+j] = 1
		}
	}
	clear(m.wk[c.Cond*c.Vocab:])
	return m, nil
}

// Config returns the shape of the network.
func (m *Model) Config() Config { return m.config }

// Meta returns what the file says under key beside the weights, or "".
func (m *Model) Meta(key string) string { return m.meta[key] }

// SetMeta sets what the file will say under key. It must not be called once the model
// is shared.
func (m *Model) SetMeta(key, value string) { m.meta[key] = value }

// Weights returns the number of weights.
func (m *Model) Weights() int {
	n := 0
	for _, l := range m.layers() {
		n += l.rows * l.cols
	}
	return n
}
