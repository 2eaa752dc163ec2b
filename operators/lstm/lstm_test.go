package lstm

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// lines makes n random lines of at most most+1 tokens, with unequal weights.
func lines(c Config, n, most int, seed uint64) []Example {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]Example, n)
	for i := range out {
		e := Example{Weight: float32(1 + i%3), Cond: make([]float32, c.Cond)}
		for range 2 + r.IntN(most) {
			e.Tokens = append(e.Tokens, int32(r.IntN(c.Vocab)))
		}
		for j := range e.Cond {
			e.Cond[j] = float32(r.NormFloat64())
		}
		out[i] = e
	}
	out[0].Tokens = out[0].Tokens[:2] // the shortest there is
	return out
}

func model(t testing.TB, c Config, seed uint64) *Model {
	t.Helper()
	m, err := New(c, seed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func built(t testing.TB, m *Model, steps, batch int) *graph {
	t.Helper()
	g, err := newGraph(m, steps, batch, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.close() })
	return g
}

// TestGraphAgainstOracle runs at the size where gorgonia's own operations are wrong
// in silence: more than 256 rows, gates of four times 128 columns.
func TestGraphAgainstOracle(t *testing.T) {
	f := func(c Config, steps, batch int) {
		t.Helper()
		m := model(t, c, 7)
		in := lines(c, batch, steps, 3)
		in[1].Tokens = append(in[1].Tokens[:1], lines(c, 2, steps, 9)[1].Tokens...)
		for len(in[1].Tokens) < steps+1 { // one line fills all steps
			in[1].Tokens = append(in[1].Tokens, 1)
		}
		in[1].Tokens = in[1].Tokens[:steps+1]
		o := newOracle(m)
		want := o.learn(in)
		g := built(t, m, steps, batch)
		g.fill(in)
		for range 2 { // a second run must not add to the first
			loss, grads, err := g.run()
			if err != nil {
				t.Fatal(err)
			}
			if d := math.Abs(loss - want); d > 2e-6*want {
				t.Fatalf("%+v: loss %v, want %v", c, loss, want)
			}
			for i, l := range m.layers() {
				if e := relative(grads[i], o.grads[l.name]); e > 2e-5 {
					t.Errorf("%+v: gradient of %s is off by %.2e of its length", c, l.name, e)
				}
			}
		}
	}
	f(Config{Vocab: 61, Embed: 24, Hidden: 128, Cond: 9}, 11, 32)
	f(Config{Vocab: 300, Embed: 8, Hidden: 16, Cond: 3}, 9, 40)
	f(Config{Vocab: 5, Embed: 3, Hidden: 2, Cond: 0}, 4, 2)
	f(Config{Vocab: 5, Embed: 3, Hidden: 2, Cond: 1}, 1, 2) // no step has one before it
}

// relative returns |got-want| / |want|.
func relative(got []float32, want []float64) float64 {
	var d, n float64
	for i, w := range want {
		d += (float64(got[i]) - w) * (float64(got[i]) - w)
		n += w * w
	}
	if n == 0 {
		return math.Sqrt(d)
	}
	return math.Sqrt(d / n)
}

// TestGradientAgainstDifferences moves all weights along random directions. It cannot
// replace the oracle: a wrong network may be consistent with itself.
func TestGradientAgainstDifferences(t *testing.T) {
	c := Config{Vocab: 40, Embed: 12, Hidden: 32, Cond: 5}
	m := model(t, c, 11)
	in := lines(c, 16, 10, 5)
	g := built(t, m, 10, 16)
	g.fill(in)
	_, grads, err := g.run()
	if err != nil {
		t.Fatal(err)
	}
	for dir := range uint64(6) {
		r := rand.New(rand.NewPCG(dir, 2))
		const eps = 1e-2
		var slope, length float64
		way := make([][]float64, len(grads))
		for i, gr := range grads {
			for _, x := range gr {
				// Half along the gradient, half at random: large enough to measure in float32.
				w := float64(x)*20 + r.NormFloat64()*0.02
				way[i] = append(way[i], w)
				length += w * w
			}
		}
		length = math.Sqrt(length)
		loss := func(sign float64) float64 {
			for i, l := range m.layers() {
				for j := range *l.data {
					way := way[i][j] / length
					(*l.data)[j] += float32(sign * eps * way)
				}
			}
			v, _, err := g.run()
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		for i := range grads {
			for j, x := range grads[i] {
				slope += float64(x) * way[i][j] / length
			}
		}
		slopes := slope
		up := loss(1)
		down := loss(-2)
		loss(1)
		if got := (up - down) / (2 * eps); math.Abs(got/slopes-1) > 0.01 {
			t.Errorf("direction %d: slope %.6f by differences, %.6f by the gradient", dir, got, slopes)
		}
		if _, grads, err = g.run(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStepAgainstTape compares the hand-written step with the machine's forward run.
func TestStepAgainstTape(t *testing.T) {
	c := Config{Vocab: 200, Embed: 32, Hidden: 96, Cond: 20}
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
	s := NewRunner(m).NewState()
	var worst float64
	for line, e := range in {
		s.Start(e.Cond)
		for i, tok := range e.Tokens[:len(e.Tokens)-1] {
			l := s.Step(tok)
			sum := logSumExp(l)
			p := probs[(i*12+line)*c.Vocab:][:c.Vocab]
			for j := range l {
				worst = max(worst, math.Abs(float64(l[j]-sum)-math.Log(float64(p[j]))))
			}
		}
	}
	if worst > 1e-5 {
		t.Fatalf("log probabilities differ by %.2e, want at most 1e-5", worst)
	}
	t.Logf("largest difference %.2e", worst)
}

// softmaxOf finds what the graph's last operation remembers.
func softmaxOf(t *testing.T, g *graph) []float32 {
	t.Helper()
	for _, n := range g.g.AllNodes() {
		if op, ok := n.Op().(*xentOp); ok {
			return op.prob
		}
	}
	t.Fatal("the graph has no xentOp")
	return nil
}

func TestTrainRepeats(t *testing.T) {
	c := Config{Vocab: 50, Embed: 8, Hidden: 24, Cond: 4}
	in := lines(c, 70, 20, 4)
	learn := func(seed uint64) []byte {
		m := model(t, c, seed)
		if _, err := Train(context.Background(), m, Schedule{Steps: 12, Batch: 16, Seed: seed,
			Data: func(int) []Example { return in }}); err != nil {
			t.Error(err)
		}
		b, err := m.Encode(Float32)
		if err != nil {
			t.Error(err)
		}
		return b
	}
	want := learn(5)
	got := make([][]byte, 3)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i] = learn(5) })
	}
	wg.Wait()
	for i := range got {
		if !bytes.Equal(got[i], want) {
			t.Errorf("run %d gave other weights from the same seed", i)
		}
	}
	if bytes.Equal(learn(6), want) {
		t.Error("another seed gave the same weights")
	}
}

// TestOverfit asks for more than frequencies: the same tokens go on differently under
// another condition, which only a network that reads it can know.
func TestOverfit(t *testing.T) {
	c := Config{Vocab: 30, Embed: 12, Hidden: 32, Cond: 2}
	in := lines(c, 10, 9, 6)
	for i := range in {
		in[i].Cond = []float32{float32(i % 2), float32(1 - i%2)}
		in[i].Tokens = append([]int32{1}, in[i/2*2].Tokens...)
		in[i].Tokens[1] = int32(10 + i/2)
		if i%2 == 1 {
			in[i].Tokens[len(in[i].Tokens)-1] = 29
		}
	}
	in = slices.DeleteFunc(in, func(e Example) bool { return len(e.Tokens) < 4 })
	m := model(t, c, 1)
	rep, err := Train(t.Context(), m, Schedule{Steps: 300, Batch: 10, Rate: 1e-2, CheckEvery: 20,
		Data: func(int) []Example { return in },
		Check: func(_ int, m *Model) (bool, error) {
			return NewRunner(m).Loss(in) < 0.3, nil // the first token cannot be known
		}})
	if err != nil {
		t.Fatal(err)
	}
	s := NewRunner(m).NewState()
	for _, e := range in {
		s.Start(e.Cond)
		s.Step(e.Tokens[0])
		for i, tok := range e.Tokens[1 : len(e.Tokens)-1] {
			l := s.Step(tok)
			if best := slices.Index(l, slices.Max(l)); best != int(e.Tokens[i+2]) {
				t.Fatalf("after %v: token %d, want %d (loss %.3f)", e.Tokens[:i+2], best, e.Tokens[i+2], rep.Loss)
			}
		}
	}
	if !rep.Early || rep.Steps >= 300 {
		t.Errorf("not ended by the check: %+v", rep)
	}
}

func TestTrainStops(t *testing.T) {
	c := Config{Vocab: 50, Embed: 8, Hidden: 24, Cond: 4}
	in := lines(c, 70, 20, 4)
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	_, err := Train(ctx, model(t, c, 1), Schedule{Steps: 1000, Data: func(int) []Example { return in },
		Progress: func(step, total int, loss float64) {
			if steps = step; step == 3 {
				cancel()
			}
			if total != 1000 || !(loss > 0) {
				t.Errorf("progress %d %d %v", step, total, loss)
			}
		}})
	if !errors.Is(err, context.Canceled) || steps != 3 {
		t.Fatalf("stopped after %d steps with %v", steps, err)
	}
	// A check's error ends training and comes back.
	boom := errors.New("boom")
	_, err = Train(t.Context(), model(t, c, 1), Schedule{Steps: 10, CheckEvery: 2, Data: func(int) []Example { return in },
		Check: func(int, *Model) (bool, error) { return false, boom }})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v, want the check's error", err)
	}
}

func TestTrainRefuses(t *testing.T) {
	c := Config{Vocab: 5, Embed: 2, Hidden: 2, Cond: 1}
	f := func(e Example) {
		t.Helper()
		s := Schedule{Steps: 1, Batch: 1, Data: func(int) []Example { return []Example{e} }}
		if _, err := Train(t.Context(), model(t, c, 1), s); err == nil {
			t.Fatalf("%+v was accepted", e)
		}
	}
	// A token outside the vocabulary, which gorgonia would read as row 0.
	f(Example{Tokens: []int32{1, 5}, Cond: []float32{0}})
	f(Example{Tokens: []int32{-1, 1}, Cond: []float32{0}})
	// Nothing to predict, and more than the longest bucket.
	f(Example{Tokens: []int32{1}, Cond: []float32{0}})
	f(Example{Tokens: make([]int32, 99), Cond: []float32{0}})
	// A condition of another width.
	f(Example{Tokens: []int32{1, 2}, Cond: []float32{0, 0}})
	// A condition that is not a number ends in an error, not in a broken model.
	f(Example{Tokens: []int32{1, 2}, Cond: []float32{float32(math.NaN())}})
	// No lines, no data, no network.
	if _, err := Train(t.Context(), model(t, c, 1), Schedule{Data: func(int) []Example { return nil }}); err == nil {
		t.Fatal("an empty epoch was accepted")
	}
	if _, err := Train(t.Context(), model(t, c, 1), Schedule{}); err == nil {
		t.Fatal("a schedule without data was accepted")
	}
	for _, c := range []Config{{}, {Vocab: 5, Embed: 2, Hidden: 2, Cond: -1}, {Vocab: 1 << 20, Embed: 2, Hidden: 2}} {
		if _, err := New(c, 1); err == nil {
			t.Fatalf("%+v was accepted", c)
		}
	}
}

// TestSoftmaxRows holds against the two faults of gorgonia's own softmax: a maximum
// taken from another row, and a mask of -Inf.
func TestSoftmaxRows(t *testing.T) {
	x := xent{steps: 2, batch: 1, vocab: 2}
	loss := x.forward([]float32{0, 0, 300, 301}, []float32{0, 0}, []int{0, 1}, []float32{.5, .5})
	if want := (math.Ln2 + math.Log1p(math.Exp(-1))) / 2; math.Abs(float64(loss)-want) > 1e-6 {
		t.Errorf("loss %v, want %v", loss, want)
	}
	inf := float32(math.Inf(-1))
	if got := logSumExp([]float32{inf, -700, inf}); got != -700 {
		t.Errorf("logSumExp with a mask: %v", got)
	}
	if got := logSumExp([]float32{inf, inf}); got != inf {
		t.Errorf("logSumExp of nothing: %v", got)
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	c := Config{Vocab: 100, Embed: 16, Hidden: 32, Cond: 8}
	s := NewRunner(model(t, c, 1)).NewState()
	cond := make([]float32, c.Cond)
	if n := testing.AllocsPerRun(20, func() {
		s.Start(cond)
		s.Step(3)
		s.Step(4)
	}); n != 0 {
		t.Errorf("%v allocations for a line", n)
	}
}

func BenchmarkStep(b *testing.B) {
	c := Config{Vocab: 1000, Embed: 32, Hidden: 96, Cond: 32}
	s := NewRunner(model(b, c, 1)).NewState()
	s.Start(make([]float32, c.Cond))
	b.ReportAllocs()
	for b.Loop() {
		s.Step(7)
	}
}

func BenchmarkTrainStep(b *testing.B) {
	c := Config{Vocab: 1000, Embed: 32, Hidden: 96, Cond: 32}
	m := model(b, c, 1)
	g := built(b, m, 16, 32)
	g.fill(lines(c, 32, 16, 3))
	a := newAdam(m)
	b.ReportAllocs()
	for b.Loop() {
		_, grads, err := g.run()
		if err != nil {
			b.Fatal(err)
		}
		a.step(m, grads, 1e-3, 1)
	}
}
