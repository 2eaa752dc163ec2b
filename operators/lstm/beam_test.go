package lstm

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// everything lists all sequences of at most most tokens that allow lets through, with
// their log probabilities, by the State that Beam does not use.
func everything(r *Runner, cond []float32, most int, allow func(ids []int32, allow []bool)) []Hypothesis {
	var out []Hypothesis
	s := r.NewState()
	var walk func(ids []int32, logp float64)
	walk = func(ids []int32, logp float64) {
		s.Start(cond)
		l := s.Step(0)
		for _, id := range ids {
			l = s.Step(id)
		}
		l = slices.Clone(l)
		z := float64(logSumExp(l))
		ok := make([]bool, len(l))
		for i := range ok {
			ok[i] = i > 0
		}
		if allow != nil {
			allow(ids, ok)
		}
		for i := range l {
			p := logp + float64(l[i]) - z
			switch {
			case !ok[i]:
			case i == 1:
				out = append(out, Hypothesis{slices.Clone(ids), p})
			case len(ids) < most:
				walk(append(slices.Clone(ids), int32(i)), p)
			}
		}
	}
	walk(nil, 0)
	slices.SortFunc(out, func(a, b Hypothesis) int {
		return cmp.Or(cmp.Compare(b.Mean(), a.Mean()), slices.Compare(a.Tokens, b.Tokens))
	})
	return out
}

// TestBeamFindsAll: a beam as wide as there are sequences finds what a search through
// all of them finds.
func TestBeamFindsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Vocab: 5, Embed: 3, Hidden: 4, Cond: 2, Cell: rapid.SampledFrom([]Cell{LSTM, GRU}).Draw(t, "cell")}
		m, err := New(c, rapid.Uint64().Draw(t, "weights"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.wo { // a sharp network: differences must show
			m.wo[i] *= 6
		}
		cond := []float32{float32(rapid.IntRange(-2, 2).Draw(t, "x")), 1}
		var allow func(ids []int32, allow []bool)
		if rapid.Bool().Draw(t, "masked") {
			allow = func(ids []int32, allow []bool) {
				allow[1] = len(ids) > 1 // not too short
				for _, id := range ids {
					allow[id] = false // nothing twice
				}
			}
		}
		run := NewRunner(m)
		b := run.NewBeam(BeamOptions{Begin: 0, End: 1, Width: 32, Steps: 3, Allow: allow})
		want := everything(run, cond, 3, allow)
		for range 2 { // the memory of a search is that of the next
			got := b.Search(cond)
			if len(got) != min(len(want), 32) {
				t.Fatalf("%d hypotheses, want %d", len(got), len(want))
			}
			for i, h := range got {
				if !slices.Equal(h.Tokens, want[i].Tokens) || math.Abs(h.LogProb-want[i].LogProb) > 1e-4 {
					if math.Abs(h.Mean()-want[i].Mean()) < 1e-6 { // a tie
						continue
					}
					t.Fatalf("hypothesis %d is %v (%v), want %v (%v)", i, h.Tokens, h.LogProb, want[i].Tokens, want[i].LogProb)
				}
			}
		}
	})
}

// TestBeamMeets: a narrow beam meets a demand that the network would not think of.
func TestBeamMeets(t *testing.T) {
	c := Config{Vocab: 50, Embed: 8, Hidden: 16, Cond: 1}
	met := func(ids []int32) int {
		n := 0
		for _, id := range []int32{7, 13} {
			if slices.Contains(ids, id) {
				n++
			}
		}
		return n
	}
	for seed := range uint64(20) {
		m := model(t, c, seed)
		for i := range m.wo {
			m.wo[i] *= 8
		}
		b := NewRunner(m).NewBeam(BeamOptions{Begin: 0, End: 1, Width: 3, Steps: 6, Met: met,
			Also: func(_, tokens []int32) []int32 { return append(tokens, 7, 13) }})
		got := b.Search([]float32{1})
		if len(got) == 0 {
			t.Fatal("nothing was found")
		}
		for _, h := range got {
			if met(h.Tokens) != 2 {
				t.Fatalf("seed %d: %v does not meet both demands", seed, h.Tokens)
			}
		}
	}
}

// TestBeamDies: where the masks leave next to nothing, there is no sequence.
func TestBeamDies(t *testing.T) {
	c := Config{Vocab: 50, Embed: 8, Hidden: 16, Cond: 1}
	run := NewRunner(model(t, c, 1))
	only := func(_ []int32, allow []bool) {
		for i := range allow {
			allow[i] = i < 3
		}
	}
	if got := run.NewBeam(BeamOptions{End: 1, Allow: only, Mass: 0.5}).Search([]float32{0}); len(got) != 0 {
		t.Errorf("%d hypotheses against the network", len(got))
	}
	if got := run.NewBeam(BeamOptions{End: 1, Allow: only}).Search([]float32{0}); len(got) == 0 {
		t.Error("none without a limit")
	}
	none := func(_ []int32, allow []bool) { clear(allow) }
	if got := run.NewBeam(BeamOptions{End: 1, Allow: none}).Search([]float32{0}); len(got) != 0 {
		t.Errorf("%d hypotheses of nothing", len(got))
	}
}

func TestBeamAllocatesNothing(t *testing.T) {
	c := Config{Vocab: 100, Embed: 16, Hidden: 32, Cond: 8}
	b := NewRunner(model(t, c, 1)).NewBeam(BeamOptions{End: 1, Steps: 12})
	cond := make([]float32, c.Cond)
	b.Search(cond)
	if n := testing.AllocsPerRun(20, func() { b.Search(cond) }); n != 0 {
		t.Errorf("%v allocations for a search", n)
	}
}

// BenchmarkBeam searches for lines of 12 tokens: no line ends before.
func BenchmarkBeam(b *testing.B) {
	f := func(name string, c Config) {
		b.Run(name, func(b *testing.B) {
			beam := NewRunner(model(b, c, 1)).NewBeam(BeamOptions{End: 1, Width: 4, Steps: 12,
				Allow: func(ids []int32, allow []bool) { allow[1] = len(ids) == 12 }})
			cond := make([]float32, c.Cond)
			b.ReportAllocs()
			for b.Loop() {
				if len(beam.Search(cond)[0].Tokens) != 12 {
					b.Fatal("a short line")
				}
			}
		})
	}
	f("lstm96", Config{Vocab: 1000, Embed: 32, Hidden: 96, Cond: 45})
	f("lstm128", Config{Vocab: 1000, Embed: 32, Hidden: 128, Cond: 45})
	f("lstm128/2000", Config{Vocab: 2000, Embed: 32, Hidden: 128, Cond: 45})
	f("gru96", Config{Vocab: 1000, Embed: 32, Hidden: 96, Cond: 45, Cell: GRU})
}

func BenchmarkBatch(b *testing.B) {
	c := Config{Vocab: 1000, Embed: 32, Hidden: 96, Cond: 45}
	run := NewRunner(model(b, c, 1))
	const lanes = 32
	batch := run.NewBatch(lanes)
	batch.StartAll(make([]float32, c.Cond))
	read := make([]int32, lanes)
	b.ReportAllocs()
	for b.Loop() {
		batch.Step(read)
	}
	b.ReportMetric(float64(b.N)*lanes/b.Elapsed().Seconds(), "tokens/s")
}
