package lstm

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// naive is every kind of network written again in float64, one line at a time and
// forward only: its gradient is taken by differences.
type naive struct {
	c    Config
	w    map[string][]float64
	mask []float32 // by (step·batch + line), hidden numbers each; nil without
}

func newNaive(m *Model) *naive {
	p := &naive{c: m.config, w: map[string][]float64{}}
	for _, l := range m.layers() {
		for _, x := range *l.data {
			p.w[l.name] = append(p.w[l.name], float64(x))
		}
	}
	return p
}

func times(x, w []float64, cols int) []float64 {
	out := make([]float64, cols)
	for k, v := range x {
		if v == 0 {
			continue
		}
		for j, c := range w[k*cols : (k+1)*cols] {
			out[j] += v * c
		}
	}
	return out
}

// next returns h and c after a step.
func (p *naive) next(token int, cond, h, c []float64) (hidden, cells []float64) {
	n, g := p.c.Hidden, p.c.Cell.gates()
	a := times(p.w["embed"][token*p.c.Embed:(token+1)*p.c.Embed], p.w["wx"], g*n)
	for j, v := range times(cond, p.w["wc"], g*n) {
		a[j] += v
	}
	u := times(h, p.w["wh"], g*n)
	hidden, cells = make([]float64, n), make([]float64, n)
	for j := range n {
		if p.c.Cell == GRU {
			r, z := sig(a[j]+u[j]), sig(a[n+j]+u[n+j])
			hidden[j] = (1-z)*math.Tanh(a[2*n+j]+r*u[2*n+j]) + z*h[j]
			continue
		}
		i, f, o := sig(a[j]+u[j]), sig(a[n+j]+u[n+j]), sig(a[3*n+j]+u[3*n+j])
		cells[j] = f*c[j] + i*math.Tanh(a[2*n+j]+u[2*n+j])
		hidden[j] = o * math.Tanh(cells[j])
	}
	return hidden, cells
}

func (p *naive) logits(h, cond []float64) []float64 {
	v := p.c.Vocab
	out := times(cond, p.w["wk"], v)
	if !p.c.Tied {
		for j, x := range times(h, p.w["wo"], v) {
			out[j] += x
		}
		return out
	}
	e := times(h, p.w["wp"], p.c.Embed)
	for j := range out {
		for k, x := range e {
			out[j] += x * p.w["embed"][j*p.c.Embed+k]
		}
	}
	return out
}

// loss is the weighted mean cross-entropy of the lines.
func (p *naive) loss(lines []Example) float64 {
	var total, sum float64
	for line, e := range lines {
		h, c := make([]float64, p.c.Hidden), make([]float64, p.c.Hidden)
		var cond []float64
		for _, x := range e.Cond {
			cond = append(cond, float64(x))
		}
		cond = append(cond, 1)
		for t := 0; t+1 < len(e.Tokens); t++ {
			h, c = p.next(int(e.Tokens[t]), cond, h, c)
			out := slices.Clone(h)
			if p.mask != nil {
				for j := range out {
					out[j] *= float64(p.mask[(t*len(lines)+line)*p.c.Hidden+j])
				}
			}
			l := p.logits(out, cond)
			var z float64
			for _, x := range l {
				z += math.Exp(x)
			}
			sum += float64(e.weight()) * (math.Log(z) - l[e.Tokens[t+1]])
			total += float64(e.weight())
		}
	}
	return sum / total
}

// TestCellsAgainstDifferences holds the gradients of all kinds of networks against
// float64 differences, at the size where gorgonia's own operations are wrong in silence:
// more than 256 rows, 128 cells.
func TestCellsAgainstDifferences(t *testing.T) {
	if raced {
		t.Skip("the sums of one goroutine are the same with and without the race detector")
	}
	f := func(c Config, steps, batch int, dropout float64) {
		t.Helper()
		m := model(t, c, 7)
		in := lines(c, batch, steps, 3)
		for len(in[1].Tokens) < steps+1 { // one line fills all steps
			in[1].Tokens = append(in[1].Tokens, 1)
		}
		for i := range in {
			in[i].Tokens = in[i].Tokens[:min(len(in[i].Tokens), steps+1)]
		}
		g, err := newGraph(m, steps, batch, dropout > 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = g.close() }()
		g.fill(in)
		p := newNaive(m)
		if dropout > 0 {
			g.drawMask(dropout, rand.New(rand.NewPCG(1, 1)))
			p.mask = g.mask
		}
		var first [][]float32
		for range 2 {
			loss, grads, err := g.run()
			if err != nil {
				t.Fatal(err)
			}
			if want := p.loss(in); math.Abs(loss-want) > 3e-6*want {
				t.Fatalf("%+v: loss %v, want %v", c, loss, want)
			}
			if first != nil { // a second run must not add to the first
				sameGradients(t, first, grads)
				return
			}
			first = copyGradients(grads)
			checkCells(t, p, m, in, grads)
		}
	}
	f(Config{Vocab: 61, Embed: 24, Hidden: 128, Cond: 9, Cell: GRU}, 9, 32, 0)
	f(Config{Vocab: 300, Embed: 12, Hidden: 20, Cond: 3, Cell: GRU, Tied: true}, 8, 36, 0.3)
	f(Config{Vocab: 300, Embed: 12, Hidden: 20, Cond: 3, Tied: true}, 8, 36, 0.3)
	f(Config{Vocab: 5, Embed: 3, Hidden: 2, Cell: GRU}, 1, 2, 0) // no step has one before it
}

func copyGradients(grads [][]float32) [][]float32 {
	out := make([][]float32, len(grads))
	for i, g := range grads {
		out[i] = slices.Clone(g)
	}
	return out
}

// sameGradients reports gradients that are not bit for bit those of another run.
func sameGradients(t *testing.T, want, got [][]float32) {
	t.Helper()
	for i := range want {
		if !slices.Equal(want[i], got[i]) {
			t.Fatalf("the gradients of layer %d differ from run to run", i)
		}
	}
}

// checkCells moves each layer along a random direction and along its steepest weight.
func checkCells(t *testing.T, p *naive, m *Model, in []Example, grads [][]float32) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 5))
	for i, l := range m.layers() {
		w := p.w[l.name]
		var length float64
		steep := 0
		random := make([]float64, len(w))
		for j, x := range grads[i] {
			length += float64(x) * float64(x)
			if math.Abs(float64(x)) > math.Abs(float64(grads[i][steep])) {
				steep = j
			}
			random[j] = r.NormFloat64()
		}
		length = math.Sqrt(length)
		single := make([]float64, len(w))
		single[steep] = 1
		for _, way := range [][]float64{random, single} {
			var size, want float64
			for _, x := range way {
				size += x * x
			}
			size = math.Sqrt(size)
			for j, x := range way {
				way[j] = x / size
				want += way[j] * float64(grads[i][j])
			}
			at := func(by float64) float64 {
				for j, x := range way {
					w[j] += by * x
				}
				return p.loss(in)
			}
			const eps = 1e-4
			up := at(eps)
			down := at(-2 * eps)
			at(eps)
			if got := (up - down) / (2 * eps); math.Abs(got-want) > 1e-4*length+1e-8 {
				t.Errorf("%+v: slope of %s is %.9f by differences, %.9f by the gradient of length %.6f", p.c, l.name, got, want, length)
			}
		}
	}
}

// TestBatchAgainstTape holds what runs to what trains, 1e-5 at most apart: for all
// kinds of networks, one lane and many.
func TestBatchAgainstTape(t *testing.T) {
	f := func(c Config) {
		t.Helper()
		m := model(t, c, 3)
		in := lines(c, 12, 14, 8)
		if _, err := Train(t.Context(), m, Schedule{Steps: 5, Batch: 12, Buckets: []int{16},
			Data: func(int) []Example { return in }}); err != nil {
			t.Fatal(err)
		}
		g := built(t, m, 16, 12)
		g.fill(in)
		if _, _, err := g.run(); err != nil {
			t.Fatal(err)
		}
		probs := softmaxOf(t, g)
		run := NewRunner(m)
		b := run.NewBatch(12)
		for lane, e := range in {
			b.Start(lane, e.Cond)
		}
		var worst float64
		read := make([]int32, 12)
		for step := range 14 {
			for lane, e := range in {
				read[lane] = e.Tokens[min(step, len(e.Tokens)-1)]
			}
			b.Step(read)
			for lane, e := range in {
				if step+1 >= len(e.Tokens) {
					continue
				}
				l := b.Logits(lane)
				sum := logSumExp(l)
				p := probs[(step*12+lane)*c.Vocab:][:c.Vocab]
				for j := range l {
					worst = max(worst, math.Abs(float64(l[j]-sum)-math.Log(float64(p[j]))))
				}
			}
		}
		if worst > 1e-5 {
			t.Fatalf("%+v: log probabilities differ by %.2e, want at most 1e-5", c, worst)
		}
		t.Logf("%+v: largest difference %.2e", c, worst)
	}
	f(Config{Vocab: 200, Embed: 32, Hidden: 96, Cond: 20})
	f(Config{Vocab: 200, Embed: 32, Hidden: 96, Cond: 20, Cell: GRU})
	f(Config{Vocab: 200, Embed: 32, Hidden: 64, Cond: 20, Cell: GRU, Tied: true})
	f(Config{Vocab: 200, Embed: 32, Hidden: 64, Cond: 20, Tied: true})
}

// TestBatchAgainstState: lanes do not see each other, and Arrange moves what belongs to
// a sequence and nothing else.
func TestBatchAgainstState(t *testing.T) {
	for _, cell := range []Cell{LSTM, GRU} {
		c := Config{Vocab: 40, Embed: 8, Hidden: 70, Cond: 4, Cell: cell}
		run := NewRunner(model(t, c, 2))
		cond := lines(c, 3, 4, 1)[0].Cond
		b := run.NewBatch(3)
		b.StartAll(cond)
		b.Step([]int32{1, 2, 3})
		b.Arrange([]int{2, 0})
		b.Step([]int32{4, 5})
		s := run.NewState()
		for lane, tokens := range [][]int32{{3, 4}, {1, 5}} {
			s.Start(cond)
			s.Step(tokens[0])
			want := s.Step(tokens[1])
			for j, x := range b.Logits(lane) {
				if math.Abs(float64(x-want[j])) > 1e-6 {
					t.Fatalf("%q lane %d: logit %d is %v, want %v", cell, lane, j, x, want[j])
				}
			}
		}
	}
}

// TestGRULearns: the GRU, tied and with dropout, learns lines by heart, the same way
// each time.
func TestGRULearns(t *testing.T) {
	c := Config{Vocab: 30, Embed: 16, Hidden: 32, Cond: 2, Cell: GRU, Tied: true}
	in := lines(c, 10, 9, 6)
	learn := func() (*Model, Report) {
		m := model(t, c, 1)
		rep, err := Train(context.Background(), m, Schedule{Steps: 250, Batch: 10, Rate: 1e-2, Dropout: 0.1,
			Data: func(int) []Example { return in }})
		if err != nil {
			t.Fatal(err)
		}
		return m, rep
	}
	m, rep := learn()
	if loss := NewRunner(m).Loss(in); loss > 0.45 {
		t.Errorf("loss %.3f (%.3f in training)", loss, rep.Loss)
	}
	again, _ := learn()
	for i, l := range m.layers() {
		if !slices.Equal(*l.data, *again.layers()[i].data) {
			t.Fatalf("%s differs after the same training", l.name)
		}
	}
	// The file keeps the kind of network.
	file, err := m.Encode(Float32)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(file)
	if err != nil || back.Config() != c {
		t.Fatalf("%+v, %v", back, err)
	}
	if _, err := New(Config{Vocab: 5, Embed: 2, Hidden: 2, Cell: "rnn"}, 1); err == nil {
		t.Error("an unknown cell was accepted")
	}
}

// TestEarlyStop trains on noise: the lines that are held back get worse, so training
// ends before its time and leaves the best weights, not the last ones.
func TestEarlyStop(t *testing.T) {
	c := Config{Vocab: 20, Embed: 8, Hidden: 24, Cond: 1}
	in, held := lines(c, 40, 8, 4), lines(c, 20, 8, 77)
	m := model(t, c, 1)
	curve := map[string]int{}
	rep, err := Train(t.Context(), m, Schedule{Steps: 2000, Batch: 10, Rate: 1e-2, CheckEvery: 10, Held: held, Patience: 3,
		Data:  func(int) []Example { return in },
		Curve: func(_ int, tag string, _ float64) error { curve[tag]++; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if !rep.Early || rep.Steps != rep.Best+30 || rep.Steps > 1000 {
		t.Errorf("%+v", rep)
	}
	if got := NewRunner(m).Loss(held); got != rep.Held {
		t.Errorf("the weights left have a held-out loss of %v, the best was %v", got, rep.Held)
	}
	if curve["held_out_loss"] != rep.Steps/10 || curve["loss"] != rep.Steps/curveEvery+1 || curve["rate"] == 0 || curve["gradient"] == 0 {
		t.Errorf("curve %v of %d steps", curve, rep.Steps)
	}
	s := Schedule{Steps: 1, Dropout: 1, Data: func(int) []Example { return in }}
	if _, err := Train(t.Context(), m, s); err == nil {
		t.Error("dropout of everything was accepted")
	}
}

// TestNoFaultyOperations keeps gorgonia's operations that are wrong in silence out of
// the package.
func TestNoFaultyOperations(t *testing.T) {
	notTests := func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }
	pkgs, err := parser.ParseDir(token.NewFileSet(), ".", notTests, 0) //nolint:staticcheck // no types are needed
	if err != nil {
		t.Fatal(err)
	}
	faulty := []string{"Slice", "S", "Concat", "VStack", "HStack", "SoftMax", "StableSoftMax", "LogSoftMax", "NewLispMachine", "Dropout", "Unconcat"}
	seen := 0
	for _, p := range pkgs {
		ast.Inspect(p, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "gorgonia" {
				seen++
				if slices.Contains(faulty, s.Sel.Name) {
					t.Errorf("gorgonia.%s is used", s.Sel.Name)
				}
			}
			return true
		})
	}
	if seen < 30 {
		t.Errorf("only %d uses of gorgonia were looked at", seen)
	}
}
