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

// Example is one line to learn: its tokens, first and last mark included, under a
// condition.
type Example struct {
	Tokens []int32
	Cond   []float32
	Weight float32 // 0 counts as 1
}

func (e Example) weight() float32 { return cmp.Or(e.Weight, 1) }

// Schedule says how to train.
type Schedule struct {
	Steps   int     // batches to learn from
	Batch   int     // lines in a batch
	Buckets []int   // lengths, ascending; a line goes to the first that holds it
	Rate    float64 // Adam's step size at its highest
	Clip    float64 // the longest a gradient may be, all weights together
	Seed    uint64  // of the order of lines

	// Data returns the lines of an epoch. It must be a function of the epoch alone, if
	// training is to be repeatable.
	Data func(epoch int) []Example

	// Progress, if set, is called after every step.
	Progress func(step, total int, loss float64)

	// Check, if set, is called after every CheckEvery steps with the live model, which
	// it must not keep; it ends training early by returning true.
	Check      func(step int, m *Model) (stop bool, err error)
	CheckEvery int

	// Dropout is the share of the cells' outputs that is left out, anew for every step
	// (Srivastava et al. 2014; between layers only, as Zaremba et al. 2014 have it).
	Dropout float64

	// Held, if set, are lines to be judged by and not learnt from. After every CheckEvery
	// steps their loss is measured; the weights with the least loss are those that Train
	// leaves, and with Patience above 0 training ends when that many measurements in a
	// row brought nothing better.
	Held     []Example
	Patience int

	// Average, if above 0, is how many of the last measured weights are averaged at the
	// end. The mean is what Train leaves only where its held-out loss is less than that of
	// the best weights (Izmailov et al. 2018, with the choice made by measuring).
	Average int

	// Curve, if set, is given points of the learning curves: "loss", "rate" and
	// "gradient" (its length before it is cut) now and then, "held_out_loss" whenever it
	// is measured.
	Curve func(step int, tag string, value float64) error
}

// curveEvery is how many steps lie between the points of a learning curve: a page of
// points for a short training, and no file of megabytes for a long one.
const curveEvery = 10

func (s Schedule) withDefaults() Schedule {
	s.Steps = cmp.Or(s.Steps, 600) // what a corpus of a thousand lines needs
	s.Batch = cmp.Or(s.Batch, 32)  // pure Go matrix products gain nothing above
	s.Rate = cmp.Or(s.Rate, 5e-3)  // 1e-2 diverged now and then
	s.Clip = cmp.Or(s.Clip, 1)     // gradients of the first steps are ten times as long
	s.CheckEvery = cmp.Or(s.CheckEvery, 100)
	if len(s.Buckets) == 0 {
		s.Buckets = []int{12, 18, 28} // subject lines, in words or characters
	}
	return s
}

// Report says how training went.
type Report struct {
	Steps int     // batches learnt from
	Loss  float64 // running mean over the last batches, in nats per token
	Early bool    // ended by Check or by want of progress
	Best  int     // the step whose weights were kept, with held-out lines
	Held  float64 // their loss with the weights that are left

	Averaged int     // of how many weights those that are left are the mean; 0: of none
	Mean     float64 // held-out loss of the mean, and of the best weights, if Average is set
	Alone    float64
}

// Train teaches m. The same model, schedule and data give the same weights to the
// last bit. It stops with the context's error when ctx ends; m is then half trained.
func Train(ctx context.Context, m *Model, s Schedule) (Report, error) {
	s = s.withDefaults()
	if s.Data == nil {
		return Report{}, errors.New("lstm: schedule has no data")
	}
	if s.Dropout < 0 || s.Dropout > 0.9 {
		return Report{}, fmt.Errorf("lstm: dropout of %g, want 0 to 0.9", s.Dropout)
	}
	t := &trainer{model: m, schedule: s, adam: newAdam(m), graphs: map[int]*graph{}}
	t.masks = rand.New(rand.NewPCG(s.Seed, 0x64726f70))
	rep, err := t.train(ctx)
	return rep, errors.Join(err, t.close())
}

type trainer struct {
	model    *Model
	schedule Schedule
	adam     *adam
	graphs   map[int]*graph // by steps
	queue    map[int][]Example
	epoch    int
	masks    *rand.Rand // of dropout
	best     [][]float32
	recent   [][][]float32 // the last measured weights, for the mean
	waited   int           // measurements since the best one
}

func (t *trainer) close() error {
	var errs []error
	for _, g := range t.graphs {
		errs = append(errs, g.close())
	}
	return errors.Join(errs...)
}

func (t *trainer) train(ctx context.Context) (Report, error) {
	s := t.schedule
	rep := Report{}
	var pending []batch
	for rep.Steps < s.Steps {
		if err := ctx.Err(); err != nil {
			return rep, fmt.Errorf("lstm: train: %w", err)
		}
		for len(pending) == 0 {
			var err error
			if pending, err = t.nextEpoch(); err != nil {
				return rep, err
			}
		}
		loss, err := t.step(pending[0], rep.Steps)
		if err != nil {
			return rep, err
		}
		pending = pending[1:]
		rep.Steps++
		if rep.Steps == 1 {
			rep.Loss = loss
		}
		rep.Loss += 0.05 * (loss - rep.Loss)
		if s.Progress != nil {
			s.Progress(rep.Steps, s.Steps, rep.Loss)
		}
		if rep.Steps%s.CheckEvery != 0 && (rep.Steps != s.Steps || len(s.Held) == 0) {
			continue
		}
		if err := t.check(&rep); err != nil {
			return rep, err
		}
		if rep.Early {
			break
		}
	}
	t.restore()
	return rep, t.average(&rep)
}

// check asks whether to go on, and keeps the best weights so far.
func (t *trainer) check(rep *Report) error {
	s := t.schedule
	if s.Check != nil && rep.Steps%s.CheckEvery == 0 {
		var err error
		if rep.Early, err = s.Check(rep.Steps, t.model); err != nil {
			return err
		}
	}
	if len(s.Held) == 0 {
		return nil
	}
	held := NewRunner(t.model).Loss(s.Held)
	if err := t.point(rep.Steps, "held_out_loss", held); err != nil {
		return err
	}
	t.remember()
	if t.waited++; rep.Best == 0 || held < rep.Held {
		rep.Best, rep.Held, t.waited = rep.Steps, held, 0
		t.keep()
	}
	if s.Patience > 0 && t.waited >= s.Patience {
		rep.Early = true
	}
	return nil
}

// keep copies the weights as the best so far, and restore puts them back.
func (t *trainer) keep() {
	layers := t.model.layers()
	if t.best == nil {
		t.best = make([][]float32, len(layers))
	}
	for i, l := range layers {
		t.best[i] = append(t.best[i][:0], *l.data...)
	}
}

func (t *trainer) restore() {
	for i := range t.best {
		copy(*t.model.layers()[i].data, t.best[i])
	}
}

// averageMax bounds the weights that are remembered.
const averageMax = 16

// remember keeps the weights for the mean.
func (t *trainer) remember() {
	most := min(t.schedule.Average, averageMax)
	if most < 1 {
		return
	}
	if len(t.recent) == most {
		t.recent = slices.Delete(t.recent, 0, 1)
	}
	var all [][]float32
	for _, l := range t.model.layers() {
		all = append(all, slices.Clone(*l.data))
	}
	t.recent = append(t.recent, all)
}

// average puts the mean of the remembered weights in place, where it measures better.
func (t *trainer) average(rep *Report) error {
	if len(t.recent) < 2 || rep.Best == 0 {
		return nil
	}
	t.keep()
	for i, l := range t.model.layers() {
		for j := range *l.data {
			var sum float64
			for _, r := range t.recent {
				sum += float64(r[i][j])
			}
			(*l.data)[j] = float32(sum / float64(len(t.recent)))
		}
	}
	rep.Mean = NewRunner(t.model).Loss(t.schedule.Held)
	if rep.Mean < rep.Held {
		rep.Averaged = len(t.recent)
		rep.Alone, rep.Held = rep.Held, rep.Mean
	} else {
		t.restore()
		rep.Alone = rep.Held
	}
	return t.point(rep.Steps, "held_out_loss_mean", rep.Mean)
}

func (t *trainer) point(step int, tag string, value float64) error {
	if t.schedule.Curve == nil {
		return nil
	}
	if err := t.schedule.Curve(step, tag, value); err != nil {
		return fmt.Errorf("lstm: write learning curve: %w", err)
	}
	return nil
}

// batch is some lines and the number of steps of the graph that learns them.
type batch struct {
	steps int
	lines []Example
}

// nextEpoch shuffles the epoch's lines and deals them into batches; what fills no
// batch waits for the next epoch.
func (t *trainer) nextEpoch() ([]batch, error) {
	s := t.schedule
	lines := slices.Clone(s.Data(t.epoch))
	if len(lines) == 0 {
		return nil, fmt.Errorf("lstm: epoch %d has no lines", t.epoch)
	}
	r := rand.New(rand.NewPCG(s.Seed, uint64(t.epoch)))
	r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	t.epoch++
	if t.queue == nil {
		t.queue = map[int][]Example{}
	}
	var out []batch
	for _, e := range lines {
		b, err := t.bucket(e)
		if err != nil {
			return nil, err
		}
		t.queue[b] = append(t.queue[b], e)
		if len(t.queue[b]) == s.Batch {
			out = append(out, batch{b, t.queue[b]})
			t.queue[b] = nil
		}
	}
	return out, nil
}

// bucket checks the line and returns the steps of its graph.
func (t *trainer) bucket(e Example) (int, error) {
	c := t.model.config
	if len(e.Cond) != c.Cond {
		return 0, fmt.Errorf("lstm: condition of %d numbers, want %d", len(e.Cond), c.Cond)
	}
	if len(e.Tokens) < 2 {
		return 0, fmt.Errorf("lstm: line of %d tokens, want at least 2", len(e.Tokens))
	}
	for _, tok := range e.Tokens {
		if tok < 0 || int(tok) >= c.Vocab {
			return 0, fmt.Errorf("lstm: token %d, want 0 to %d", tok, c.Vocab-1)
		}
	}
	for _, b := range t.schedule.Buckets {
		if len(e.Tokens)-1 <= b {
			return b, nil
		}
	}
	return 0, fmt.Errorf("lstm: line of %d tokens, want at most %d", len(e.Tokens), slices.Max(t.schedule.Buckets)+1)
}

func (t *trainer) step(b batch, done int) (float64, error) {
	g := t.graphs[b.steps]
	if g == nil {
		var err error
		if g, err = newGraph(t.model, b.steps, t.schedule.Batch, t.schedule.Dropout > 0); err != nil {
			return 0, err
		}
		t.graphs[b.steps] = g
	}
	g.fill(b.lines)
	if g.drop != nil {
		g.drawMask(t.schedule.Dropout, t.masks)
	}
	loss, grads, err := g.run()
	if err != nil {
		return 0, err
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("lstm: loss is %v at step %d", loss, done+1)
	}
	length := t.adam.step(t.model, grads, t.rate(done), t.schedule.Clip)
	if (done+1)%curveEvery != 0 && done > 0 {
		return loss, nil
	}
	return loss, errors.Join(t.point(done+1, "loss", loss), t.point(done+1, "rate", t.rate(done)), t.point(done+1, "gradient", length))
}

// rate warms up over the first twentieth and then falls along a cosine to a twentieth.
func (t *trainer) rate(done int) float64 {
	at := float64(done) / float64(t.schedule.Steps)
	warm := min(1, (float64(done)+1)/(float64(t.schedule.Steps)/20+1))
	return t.schedule.Rate * warm * (0.05 + 0.95*(1+math.Cos(math.Pi*at))/2)
}

// adam is the optimiser of Kingma and Ba 2015, algorithm 1, with its default betas.
// It is ours since gorgonia's clips each value by itself instead of the whole length.
type adam struct {
	first, second [][]float32
	steps         int
}

func newAdam(m *Model) *adam {
	a := &adam{}
	for _, l := range m.layers() {
		a.first = append(a.first, make([]float32, l.rows*l.cols))
		a.second = append(a.second, make([]float32, l.rows*l.cols))
	}
	return a
}

// step moves the weights and returns the length of the gradient.
func (a *adam) step(m *Model, grads [][]float32, rate, clip float64) float64 {
	const beta1, beta2, epsilon = 0.9, 0.999, 1e-8
	var square float64
	for _, g := range grads {
		for _, x := range g {
			square += float64(x) * float64(x)
		}
	}
	scale := float32(1)
	norm := math.Sqrt(square)
	if norm > clip {
		scale = float32(clip / norm)
	}
	a.steps++
	n := float64(a.steps)
	rate *= math.Sqrt(1-math.Pow(beta2, n)) / (1 - math.Pow(beta1, n))
	for i, l := range m.layers() {
		w, first, second := *l.data, a.first[i], a.second[i]
		for j, x := range grads[i] {
			x *= scale
			first[j] += (1 - beta1) * (x - first[j])
			second[j] += (1 - beta2) * (x*x - second[j])
			w[j] -= float32(rate) * first[j] / (float32(math.Sqrt(float64(second[j]))) + epsilon)
		}
	}
	return norm
}
