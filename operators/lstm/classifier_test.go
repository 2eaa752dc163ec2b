package lstm

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

func classifier(t testing.TB, c ClassifierConfig, seed uint64) *Classifier {
	t.Helper()
	n, err := NewClassifier(c, seed)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// texts makes n random texts of at most most tokens, one of them empty.
func texts(c ClassifierConfig, n, most int, seed uint64) []LabelledText {
	r := rand.New(rand.NewPCG(seed, 5))
	out := make([]LabelledText, n)
	for i := range out {
		out[i].Class, out[i].Weight = r.IntN(2), float32(1+i%3)
		for range r.IntN(most + 1) {
			out[i].Tokens = append(out[i].Tokens, int32(r.IntN(c.Vocab)))
			out[i].Pairs = append(out[i].Pairs, int32(r.IntN(c.Pairs)))
		}
	}
	out[0].Tokens, out[0].Pairs = nil, nil
	return out
}

// plain is the classifier's loss written again, in float64 and one text at a time, from
// weights by name: neither gorgonia nor a matrix library, nor any code of the package.
func plain(c ClassifierConfig, w map[string][]float64, in []LabelledText) float64 {
	n := c.Hidden
	var loss, total float64
	for _, e := range in {
		total += float64(e.Weight)
	}
	for _, e := range in {
		h, cell, mean := make([]float64, n), make([]float64, n), make([]float64, n)
		for t := range e.Tokens {
			next := make([]float64, n)
			for j := range n {
				var a [4]float64
				for gate := range a {
					col := gate*n + j
					a[gate] = w["bias"][col]
					for k := range c.Embed {
						x := w["embed"][int(e.Tokens[t])*c.Embed+k] + w["pairs"][int(e.Pairs[t])*c.Embed+k]
						a[gate] += x * w["wx"][k*4*n+col]
					}
					for k := range n {
						a[gate] += h[k] * w["wh"][k*4*n+col]
					}
				}
				cell[j] = sig(a[1])*cell[j] + sig(a[0])*math.Tanh(a[2])
				next[j] = sig(a[3]) * math.Tanh(cell[j])
				mean[j] += next[j] / float64(len(e.Tokens))
			}
			h = next
		}
		l := [2]float64{w["bo"][0], w["bo"][1]}
		for j := range n {
			l[0] += mean[j] * w["wo"][2*j]
			l[1] += mean[j] * w["wo"][2*j+1]
		}
		loss += float64(e.Weight) / total * math.Log1p(math.Exp(l[1-e.Class]-l[e.Class]))
	}
	return loss
}

func weightsOf(c *Classifier) map[string][]float64 {
	out := map[string][]float64{}
	for _, l := range c.layers() {
		for _, x := range *l.data {
			out[l.name] = append(out[l.name], float64(x))
		}
	}
	return out
}

// TestClassifierGradients compares the loss and the gradients of the tape with those of
// the plain network, the gradients by central differences in float64, at a size where
// gorgonia's own operations are wrong in silence: more than 256 rows.
func TestClassifierGradients(t *testing.T) {
	if raced {
		t.Skip("the sums of one goroutine are the same with and without the race detector")
	}
	c := ClassifierConfig{Vocab: 300, Pairs: 300, Embed: 7, Hidden: 70}
	net := classifier(t, c, 3)
	in := texts(c, 30, 11, 4)
	g, err := newClassifierGraph(net, 11, 32) // two lines of the batch stay empty
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.close() })
	w := weightsOf(net)
	want := plain(c, w, in)
	r := rand.New(rand.NewPCG(1, 1))
	var first [][]float32
	for range 2 {
		g.fill(in, 1, r)
		loss, grads, err := g.run()
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(loss-want) > 2e-6*want {
			t.Fatalf("loss %v, want %v", loss, want)
		}
		if first != nil { // a second run must not add to the first
			sameGradients(t, first, grads)
			return
		}
		first = copyGradients(grads)
		for i, l := range net.layers() {
			checkSlopes(t, l, grads[i], w, func() float64 { return plain(c, w, in) })
		}
	}
}

// checkSlopes compares some entries of a gradient, among them the largest ones, with
// central differences of loss.
func checkSlopes(t *testing.T, l layer, got []float32, w map[string][]float64, loss func() float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(len(got)), 9))
	at := []int{0, len(got) - 1}
	largest := 0
	for i, x := range got {
		if math.Abs(float64(x)) > math.Abs(float64(got[largest])) {
			largest = i
		}
	}
	if got[largest] == 0 {
		t.Fatalf("gradient of %s is zero", l.name)
	}
	at = append(at, largest)
	for range 4 {
		at = append(at, r.IntN(len(got)))
	}
	const eps = 1e-4
	p := w[l.name]
	for _, i := range at {
		keep := p[i]
		p[i] = keep + eps
		up := loss()
		p[i] = keep - eps
		down := loss()
		p[i] = keep
		want := (up - down) / (2 * eps)
		if d := math.Abs(float64(got[i]) - want); d > 1e-6+1e-4*math.Abs(want) {
			t.Errorf("%s[%d]: gradient %v, want %v", l.name, i, got[i], want)
		}
	}
}

// TestClassifierLogit compares the step by hand with the tape.
func TestClassifierLogit(t *testing.T) {
	c := ClassifierConfig{Vocab: 90, Pairs: 50, Embed: 12, Hidden: 24}
	net := classifier(t, c, 8)
	in := texts(c, 16, 20, 2)
	if _, err := TrainClassifier(t.Context(), net, in, ClassifierSchedule{Epochs: 4, Batch: 8, Buckets: []int{4, 20}}); err != nil {
		t.Fatal(err)
	}
	g, err := newClassifierGraph(net, 20, 16)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.close() })
	g.fill(in, 1, nil)
	if _, _, err := g.run(); err != nil {
		t.Fatal(err)
	}
	var prob []float32
	for _, n := range g.g.AllNodes() {
		if op, ok := n.Op().(*xentOp); ok {
			prob = op.prob
		}
	}
	for i, e := range in {
		got := net.Logit(e.Tokens, e.Pairs)
		want := math.Log(float64(prob[2*i+1]) / float64(prob[2*i]))
		if math.Abs(got-want) > 1e-5 {
			t.Errorf("text %d: logit %v, the tape says %v", i, got, want)
		}
	}
}

// TestClassifierOrder learns what no bag of words could: which of two tokens came first.
func TestClassifierOrder(t *testing.T) {
	c := ClassifierConfig{Vocab: 4, Pairs: 1, Embed: 8, Hidden: 16}
	var in []LabelledText
	for gap := range 4 {
		for class := range 2 {
			tokens := []int32{int32(1 + class)}
			for range gap {
				tokens = append(tokens, 3)
			}
			tokens = append(tokens, int32(2-class))
			in = append(in, LabelledText{Tokens: tokens, Pairs: make([]int32, len(tokens)), Class: class})
		}
	}
	net := classifier(t, c, 1)
	loss, err := TrainClassifier(t.Context(), net, in, ClassifierSchedule{Epochs: 400, Batch: 8, Buckets: []int{6}, Rate: 1e-2, Dropout: 1e-9, Forget: 1e-9})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range in {
		if got := net.Logit(e.Tokens, e.Pairs); (got > 0) != (e.Class == 1) {
			t.Errorf("%v: logit %.2f, want class %d (loss %.3f)", e.Tokens, got, e.Class, loss)
		}
	}
}

func TestClassifierRepeats(t *testing.T) {
	c := ClassifierConfig{Vocab: 30, Pairs: 20, Embed: 6, Hidden: 10}
	learn := func(seed uint64) []byte {
		net := classifier(t, c, seed)
		if _, err := TrainClassifier(t.Context(), net, texts(c, 50, 20, 3), ClassifierSchedule{Epochs: 2, Seed: seed}); err != nil {
			t.Fatal(err)
		}
		b, err := net.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	want := learn(5)
	if !bytes.Equal(learn(5), want) {
		t.Error("the same seed gave other weights")
	}
	if bytes.Equal(learn(6), want) {
		t.Error("another seed gave the same weights")
	}
	net, err := DecodeClassifier(want)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := net.Encode(); err != nil || !bytes.Equal(again, want) {
		t.Errorf("written again it differs (%v)", err)
	}
}

func TestClassifierRefuses(t *testing.T) {
	c := ClassifierConfig{Vocab: 5, Pairs: 4, Embed: 2, Hidden: 2}
	f := func(e ...LabelledText) {
		t.Helper()
		if _, err := TrainClassifier(t.Context(), classifier(t, c, 1), e, ClassifierSchedule{Buckets: []int{3}}); err == nil {
			t.Fatalf("%+v was accepted", e)
		}
	}
	// Nothing to learn from.
	f()
	// Tokens and pairs outside the tables, which gorgonia would read as row 0.
	f(LabelledText{Tokens: []int32{5}, Pairs: []int32{0}})
	f(LabelledText{Tokens: []int32{-1}, Pairs: []int32{0}})
	f(LabelledText{Tokens: []int32{1}, Pairs: []int32{4}})
	// Fewer pairs than tokens, more tokens than the longest bucket, a third class.
	f(LabelledText{Tokens: []int32{1}})
	f(LabelledText{Tokens: make([]int32, 4), Pairs: make([]int32, 4)})
	f(LabelledText{Class: 2})
	// A weight that is not a number ends in an error, not in a broken network.
	f(LabelledText{Tokens: []int32{1}, Pairs: []int32{1}, Weight: float32(math.NaN())})
	for _, c := range []ClassifierConfig{{}, {Vocab: 5, Pairs: 0, Embed: 2, Hidden: 2}, {Vocab: 5, Pairs: 1 << 20, Embed: 2, Hidden: 2}} {
		if _, err := NewClassifier(c, 1); err == nil {
			t.Fatalf("%+v was accepted", c)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := TrainClassifier(ctx, classifier(t, c, 1), []LabelledText{{}}, ClassifierSchedule{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a stopped training ended with %v", err)
	}
	if got := classifier(t, c, 1).Logit([]int32{99, -7}, []int32{99, -7}); math.IsNaN(got) {
		t.Error("unknown tokens give no number")
	}
}

// FuzzDecodeClassifier asks that no file makes the reader panic, and that what it takes
// it writes again.
func FuzzDecodeClassifier(f *testing.F) {
	net := classifier(f, ClassifierConfig{Vocab: 3, Pairs: 2, Embed: 2, Hidden: 1}, 1)
	good, err := net.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		net, err := DecodeClassifier(file)
		if err != nil {
			return
		}
		if net.Logit([]int32{1}, []int32{1}); net.Config().check() != nil {
			t.Errorf("shape %+v was taken", net.Config())
		}
		again, err := net.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeClassifier(again); err != nil {
			t.Errorf("written again it is refused: %v", err)
		}
	})
}

func BenchmarkClassifierStep(b *testing.B) {
	c := ClassifierConfig{Vocab: 4000, Pairs: 20000, Embed: 32, Hidden: 48}
	net := classifier(b, c, 1)
	g, err := newClassifierGraph(net, 48, 32)
	if err != nil {
		b.Fatal(err)
	}
	g.fill(texts(c, 32, 48, 1), 1, nil)
	a := newLazyAdam(net.layers())
	b.ReportAllocs()
	for b.Loop() {
		_, grads, err := g.run()
		if err != nil {
			b.Fatal(err)
		}
		a.step(grads, 1e-3, 1)
	}
	_ = g.close()
}

func BenchmarkClassifierLogit(b *testing.B) {
	c := ClassifierConfig{Vocab: 4000, Pairs: 20000, Embed: 32, Hidden: 48}
	net := classifier(b, c, 1)
	e := texts(c, 2, 48, 1)[1]
	b.ReportAllocs()
	for b.Loop() {
		net.Logit(e.Tokens, e.Pairs)
	}
}
