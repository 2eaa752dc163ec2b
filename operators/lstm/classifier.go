package lstm

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
)

// pairsMax bounds the table of pairs: 128 MiB at the widest embedding.
const pairsMax = 1 << 16

// ClassifierConfig is the shape of a Classifier.
type ClassifierConfig struct {
	Vocab  int `json:"vocab"`  // tokens; 0 stands for those that are not known
	Pairs  int `json:"pairs"`  // pairs of tokens; 0 stands for those that are not known
	Embed  int `json:"embed"`  // width of an embedding
	Hidden int `json:"hidden"` // cells
}

func (c ClassifierConfig) check() error {
	if err := (Config{Vocab: c.Vocab, Embed: c.Embed, Hidden: c.Hidden}).check(); err != nil {
		return err
	}
	if c.Pairs < 1 || c.Pairs > pairsMax {
		return fmt.Errorf("lstm: pairs is %d, want 1 to %d", c.Pairs, pairsMax)
	}
	return nil
}

// Classifier is a network that reads a text token by token and says which of two classes
// it belongs to. Beside each token it reads the pair of it with the one before, which
// stands in for the words that texts without blanks do not mark. With e and p the
// embeddings of token and pair, and i, f, g, o the gates in the order of their columns:
//
//	a  = (e+p)·wx + h·wh + bias
//	c' = σ(f)·c + σ(i)·tanh(g)
//	h' = σ(o)·tanh(c')
//	logits = mean(h')·wo + bo
//
// The mean over all steps, and not the last one, is what the class is read from: the
// word that decides may stand anywhere. It is safe for concurrent reading; only
// TrainClassifier writes to it.
type Classifier struct {
	config ClassifierConfig
	embed  []float32 // vocab × embed
	pairs  []float32 // pairs × embed
	wx     []float32 // embed × 4 hidden
	wh     []float32 // hidden × 4 hidden
	bias   []float32 // 1 × 4 hidden
	wo     []float32 // hidden × 2
	bo     []float32 // 1 × 2
	meta   map[string]string
}

// layers lists the weights in the order of the file.
func (c *Classifier) layers() []layer {
	n := c.config
	return []layer{
		{"embed", n.Vocab, n.Embed, &c.embed},
		{"pairs", n.Pairs, n.Embed, &c.pairs},
		{"wx", n.Embed, 4 * n.Hidden, &c.wx},
		{"wh", n.Hidden, 4 * n.Hidden, &c.wh},
		{"bias", 1, 4 * n.Hidden, &c.bias},
		{"wo", n.Hidden, 2, &c.wo},
		{"bo", 1, 2, &c.bo},
	}
}

// NewClassifier returns an untrained network. The same seed gives the same weights.
func NewClassifier(config ClassifierConfig, seed uint64) (*Classifier, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	c := &Classifier{config: config, meta: map[string]string{}}
	r := rand.New(rand.NewPCG(seed, 0x636c6173))
	for _, l := range c.layers() {
		bound := math.Sqrt(6 / float64(l.rows+l.cols)) // Glorot and Bengio 2010
		if l.name == "embed" || l.name == "pairs" {
			bound = 0.1 // a row is met alone, so the number of rows says nothing
		}
		w := make([]float32, l.rows*l.cols)
		for i := range w {
			w[i] = float32((2*r.Float64() - 1) * bound)
		}
		*l.data = w
	}
	clear(c.bias)
	for j := range config.Hidden {
		c.bias[config.Hidden+j] = 1 // the forget gate begins open (Jozefowicz et al. 2015)
	}
	clear(c.bo)
	return c, nil
}

// Config returns the shape of the network.
func (c *Classifier) Config() ClassifierConfig { return c.config }

// Meta returns what the file says under key beside the weights, or "".
func (c *Classifier) Meta(key string) string { return c.meta[key] }

// SetMeta sets what the file will say under key. It must not be called once the network
// is shared.
func (c *Classifier) SetMeta(key, value string) { c.meta[key] = value }

// Logit returns the log odds of the second class. Tokens and pairs must be equally many;
// those outside the tables count as unknown. Of no token it returns what the network
// says without having read anything.
func (c *Classifier) Logit(tokens, pairs []int32) float64 {
	if len(tokens) != len(pairs) {
		panic("BUG: tokens and pairs of different lengths")
	}
	n := c.config.Hidden
	x := make([]float32, c.config.Embed)
	a, h, cell, mean := make([]float32, 4*n), make([]float32, n), make([]float32, n), make([]float32, n)
	for t := range tokens {
		e, p := rowOf(c.embed, tokens[t], c.config.Embed), rowOf(c.pairs, pairs[t], c.config.Embed)
		for j := range x {
			x[j] = e[j] + p[j]
		}
		copy(a, c.bias)
		kernel.Sgemv(blas.Trans, c.config.Embed, 4*n, 1, c.wx, 4*n, x, 1, 1, a, 1)
		kernel.Sgemv(blas.Trans, n, 4*n, 1, c.wh, 4*n, h, 1, 1, a, 1)
		for j := range n {
			i, f := sigmoid(a[j]), sigmoid(a[n+j])
			g, o := tanh(a[2*n+j]), sigmoid(a[3*n+j])
			cell[j] = f*cell[j] + i*g
			h[j] = o * tanh(cell[j])
			mean[j] += h[j]
		}
	}
	logit := float64(c.bo[1]) - float64(c.bo[0])
	for j := range n {
		logit += float64(mean[j]) / float64(max(1, len(tokens))) * (float64(c.wo[2*j+1]) - float64(c.wo[2*j]))
	}
	return logit
}

// rowOf returns a row of a table, or its first if there is none of that number.
func rowOf(table []float32, row int32, width int) []float32 {
	at := int(row) * width
	if at < 0 || at+width > len(table) {
		at = 0
	}
	return table[at : at+width]
}

// Encode returns the network as a safetensors file. The same network gives the same
// bytes.
func (c *Classifier) Encode() ([]byte, error) {
	return encodeFile(c.meta, c.config, c.layers(), Float32)
}

// DecodeClassifier reads a network. It never allocates more than a small multiple of the
// file.
func DecodeClassifier(file []byte) (*Classifier, error) {
	c := &Classifier{}
	meta, err := decodeFile(file, &c.config, c.layers)
	if err != nil {
		return nil, err
	}
	c.meta = meta
	return c, nil
}
