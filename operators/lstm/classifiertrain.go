package lstm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// LabelledText is a text to learn the class of.
type LabelledText struct {
	Tokens, Pairs []int32
	Class         int     // 0 or 1
	Weight        float32 // 0 counts as 1
}

func (e LabelledText) weight() float32 { return cmp.Or(e.Weight, 1) }

// ClassifierSchedule says how to train a Classifier. Its zero value works.
type ClassifierSchedule struct {
	Epochs  int
	Batch   int     // texts in a batch
	Buckets []int   // lengths, ascending; a text goes to the first that holds it
	Rate    float64 // Adam's step size at its highest
	Clip    float64 // the longest a gradient may be, all weights together
	Dropout float64 // share of pooled cells that are left out of a step
	Forget  float64 // share of tokens that are read as unknown
	Seed    uint64

	// Progress, if set, is called after every step.
	Progress func(step, total int, loss float64)
}

func (s ClassifierSchedule) withDefaults() ClassifierSchedule {
	s.Epochs = cmp.Or(s.Epochs, 3)     // of ten thousand texts and more; small sets need tens of passes
	s.Batch = cmp.Or(s.Batch, 32)      // pure Go matrix products gain nothing above
	s.Rate = cmp.Or(s.Rate, 3e-3)      // the language model diverged at 1e-2 now and then
	s.Clip = cmp.Or(s.Clip, 1)         // a batch of one odd text must not undo an epoch
	s.Dropout = cmp.Or(s.Dropout, 0.3) // between the .2 of large sets and the .5 of small ones
	s.Forget = cmp.Or(s.Forget, 0.1)   // so that unknown words are met in training too
	if len(s.Buckets) == 0 {
		s.Buckets = []int{8, 16, 24, 32, 48, 64, 80} // reviews; each bucket is a graph of its own
	}
	return s
}

// TrainClassifier teaches c and returns the running mean of the loss, in nats per text.
// The same network, schedule and texts give the same weights to the last bit. It stops
// with the context's error when ctx ends; c is then half trained.
func TrainClassifier(ctx context.Context, c *Classifier, texts []LabelledText, s ClassifierSchedule) (float64, error) {
	s = s.withDefaults()
	t := &classifierTrainer{net: c, schedule: s, adam: newLazyAdam(c.layers()), graphs: map[int]*classifierGraph{}}
	for _, e := range texts {
		if err := t.check(e); err != nil {
			return 0, err
		}
	}
	loss, err := t.train(ctx, texts)
	for _, g := range t.graphs {
		err = errors.Join(err, g.close())
	}
	return loss, err
}

type classifierTrainer struct {
	net      *Classifier
	schedule ClassifierSchedule
	adam     *lazyAdam
	graphs   map[int]*classifierGraph // by steps
}

// textBatch is some texts and the number of steps of the graph that learns them.
type textBatch struct {
	steps int
	texts []LabelledText
}

func (t *classifierTrainer) check(e LabelledText) error {
	c := t.net.config
	if len(e.Tokens) != len(e.Pairs) || len(e.Tokens) > slices.Max(t.schedule.Buckets) {
		return fmt.Errorf("lstm: text of %d tokens and %d pairs, want as many of both and at most %d",
			len(e.Tokens), len(e.Pairs), slices.Max(t.schedule.Buckets))
	}
	if e.Class < 0 || e.Class > 1 {
		return fmt.Errorf("lstm: class %d, want 0 or 1", e.Class)
	}
	for i := range e.Tokens {
		if a, b := int(e.Tokens[i]), int(e.Pairs[i]); a < 0 || a >= c.Vocab || b < 0 || b >= c.Pairs {
			return fmt.Errorf("lstm: token %d and pair %d, want below %d and %d", a, b, c.Vocab, c.Pairs)
		}
	}
	return nil
}

// epoch deals the texts into batches of about one length, in a random order.
func (t *classifierTrainer) epoch(texts []LabelledText, r *rand.Rand) []textBatch {
	order := r.Perm(len(texts))
	queues := make([][]LabelledText, len(t.schedule.Buckets))
	var out []textBatch
	for _, i := range order {
		b := 0
		for len(texts[i].Tokens) > t.schedule.Buckets[b] {
			b++
		}
		queues[b] = append(queues[b], texts[i])
		if len(queues[b]) == t.schedule.Batch {
			out = append(out, textBatch{t.schedule.Buckets[b], queues[b]})
			queues[b] = nil
		}
	}
	for b, q := range queues {
		if len(q) > 0 {
			out = append(out, textBatch{t.schedule.Buckets[b], q})
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (t *classifierTrainer) train(ctx context.Context, texts []LabelledText) (float64, error) {
	if len(texts) == 0 {
		return 0, errors.New("lstm: no texts to learn from")
	}
	s := t.schedule
	r := rand.New(rand.NewPCG(s.Seed, 0x74657874))
	var loss float64
	step, total := 0, 0
	for range s.Epochs {
		batches := t.epoch(texts, r)
		if total == 0 {
			total = s.Epochs * len(batches)
		}
		for _, b := range batches {
			if err := ctx.Err(); err != nil {
				return loss, fmt.Errorf("lstm: train classifier: %w", err)
			}
			l, err := t.step(b, step, total, r)
			if err != nil {
				return loss, err
			}
			if step++; step == 1 {
				loss = l
			}
			loss += 0.02 * (l - loss)
			if s.Progress != nil {
				s.Progress(step, total, loss)
			}
		}
	}
	return loss, nil
}

func (t *classifierTrainer) step(b textBatch, done, total int, r *rand.Rand) (float64, error) {
	g := t.graphs[b.steps]
	if g == nil {
		var err error
		if g, err = newClassifierGraph(t.net, b.steps, t.schedule.Batch); err != nil {
			return 0, err
		}
		t.graphs[b.steps] = g
	}
	g.fill(b.texts, 1-t.schedule.Dropout, r)
	for i := range g.tokens {
		if r.Float64() < t.schedule.Forget {
			g.tokens[i], g.pairs[i] = 0, 0
		}
	}
	loss, grads, err := g.run()
	if err != nil {
		return 0, err
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("lstm: loss is %v at step %d", loss, done+1)
	}
	at := float64(done) / float64(total)
	warm := min(1, (float64(done)+1)/(float64(total)/20+1))
	t.adam.step(grads, t.schedule.Rate*warm*(0.05+0.95*(1+math.Cos(math.Pi*min(1, at)))/2), t.schedule.Clip)
	return loss, nil
}

// lazyAdam is the optimiser of Kingma and Ba 2015 with one change that large tables of
// embeddings ask for: a row whose gradient is zero, since its token is not in the batch,
// stays as it is, moments included.
type lazyAdam struct {
	layers        []layer
	first, second [][]float32
	steps         int
}

func newLazyAdam(layers []layer) *lazyAdam {
	a := &lazyAdam{layers: layers}
	for _, l := range layers {
		a.first = append(a.first, make([]float32, l.rows*l.cols))
		a.second = append(a.second, make([]float32, l.rows*l.cols))
	}
	return a
}

func (a *lazyAdam) step(grads [][]float32, rate, clip float64) {
	const beta1, beta2, epsilon = 0.9, 0.999, 1e-8
	var square float64
	for _, g := range grads {
		for _, x := range g {
			square += float64(x) * float64(x)
		}
	}
	scale := float32(1)
	if norm := math.Sqrt(square); norm > clip {
		scale = float32(clip / norm)
	}
	a.steps++
	n := float64(a.steps)
	by := float32(rate * math.Sqrt(1-math.Pow(beta2, n)) / (1 - math.Pow(beta1, n)))
	for i, l := range a.layers {
		for row := range l.rows {
			g := grads[i][row*l.cols : (row+1)*l.cols]
			if !slices.ContainsFunc(g, func(x float32) bool { return x != 0 }) {
				continue
			}
			at := row * l.cols
			w, first, second := (*l.data)[at:], a.first[i][at:], a.second[i][at:]
			for j, x := range g {
				x *= scale
				first[j] += (1 - beta1) * (x - first[j])
				second[j] += (1 - beta2) * (x*x - second[j])
				w[j] -= by * first[j] / (float32(math.Sqrt(float64(second[j]))) + epsilon)
			}
		}
	}
}
