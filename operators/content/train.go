package content

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"millrace/operators/lstm"
)

// The metadata of a model of subjects.
const (
	metaVocabulary = "vocabulary"
	metaFeatures   = "features"
	metaCorpus     = "corpus"
	metaSeed       = "seed"
	metaSteps      = "steps"
	metaLoss       = "loss"
	metaHeld       = "held_out_loss"
	metaControl    = "control"
	metaShuffled   = "control_shuffled"
	metaNovel      = "novel"
	metaFinals     = "finals"
	metaOwn        = "own" // the lines of a shop, as they were imported
)

// TrainOptions says how to train the model of subjects. The zero value trains the
// model that is shipped.
type TrainOptions struct {
	Seed   uint64
	Steps  int // at most
	Hidden int
	Embed  int
	Own    string // lines of the shop's own, as ParseOwn reads them

	Cell     lstm.Cell
	Tied     bool
	Dropout  float64
	Rate     float64 // Adam's step size at its highest
	Clip     float64 // the longest a gradient may be
	Average  int     // of how many of the last measured weights the mean is tried; kept where it measures better
	Patience int     // measurements of the held-out loss, one every 100 steps, without progress; 0: all steps

	// Uncontrolled leaves out how well the model heeds its condition, which takes longer
	// than a short training: for what is only compared by its loss, and never used.
	Uncontrolled bool

	// Curve, if set, is given the points of the learning curves.
	Curve func(step int, tag string, value float64) error
}

func (o TrainOptions) withDefaults() TrainOptions {
	if o.Seed == 0 {
		o.Seed = 20
	}
	if o.Steps == 0 {
		o.Steps = 4500 // six minutes of one core; the first half brings control, the second grammar
	}
	if o.Hidden == 0 {
		o.Hidden = 128 // the file stays below 1 MB
	}
	if o.Embed == 0 {
		o.Embed = 32
	}
	if o.Rate == 0 {
		o.Rate = rate
	}
	return o
}

// Report says what came of training.
type Report struct {
	Steps    int
	Loss     float64 // nats per token, over the last batches
	Held     float64 // on grammar lines that were held out
	Best     int     // step at which that was least, and whose weights these are
	Averaged int     // how many weights these are the mean of; 0: of none
	Mean     float64 // held-out loss of the mean, and of the best weights alone, if it was tried
	Alone    float64
	Control  ControlReport
	Shuffled ControlReport
	Lines    int
	Vocab    int
}

// How the corpus is learnt: many small steps reach a lower loss in a minute than few
// large ones, and close buckets waste little on padding.
const (
	batchLines = 16
	rate       = 6e-3
)

// controlLeast is the share of subjects that must name their trigger or category. A
// model below it is not returned: its loss may look done long before.
const controlLeast = 0.9

// ErrNoControl says that a trained model does not heed its condition.
var ErrNoControl = errors.New("content: no control")

// Train teaches a model the corpus and checks that it uses its condition. The same
// options give the same model to the last bit. The progress function, which may be
// nil, is called after every step.
func Train(ctx context.Context, o TrainOptions, progress func(step, total int, loss float64)) (*lstm.Model, Report, error) {
	lines, err := corpusWith(o.Own)
	if err != nil {
		return nil, Report{}, err
	}
	return train(ctx, o.withDefaults(), lines, progress)
}

func train(ctx context.Context, o TrainOptions, lines []Line, progress func(step, total int, loss float64)) (*lstm.Model, Report, error) {
	v, err := newVocabulary(lines)
	if err != nil {
		return nil, Report{}, err
	}
	lessons, held, err := newLessons(v, lines, o.Seed)
	if err != nil {
		return nil, Report{}, err
	}
	m, err := lstm.New(lstm.Config{Vocab: len(v.tokens), Embed: o.Embed, Hidden: o.Hidden, Cond: len(features()), Cell: o.Cell, Tied: o.Tied}, o.Seed)
	if err != nil {
		return nil, Report{}, err
	}
	if err := describe(m, v, &o); err != nil {
		return nil, Report{}, err
	}
	finals, err := v.finals(lines)
	if err != nil {
		return nil, Report{}, err
	}
	m.SetMeta(metaFinals, finals)
	got, err := lstm.Train(ctx, m, lstm.Schedule{
		Steps: o.Steps, Seed: o.Seed, Data: lessons.epoch, Progress: progress,
		Batch: batchLines, Rate: o.Rate, Clip: o.Clip, Dropout: o.Dropout, Buckets: []int{6, 8, 10, 13, 18, 24, 32, stepsMost + 1},
		Held: held, Patience: o.Patience, Average: o.Average, Curve: o.Curve,
	})
	if err != nil {
		return nil, Report{}, fmt.Errorf("content: %w", err)
	}
	if m, err = rounded(m); err != nil {
		return nil, Report{}, err
	}
	rep := Report{Steps: got.Steps, Loss: got.Loss, Lines: len(lines), Vocab: len(v.tokens), Best: got.Best, Averaged: got.Averaged, Mean: got.Mean, Alone: got.Alone}
	rep.Held = lstm.NewRunner(m).Loss(held)
	if o.Uncontrolled {
		return m, rep, nil
	}
	if rep.Control, err = Control(m, ControlOptions{}); err != nil {
		return nil, rep, err
	}
	if rep.Shuffled, err = Control(m, ControlOptions{Shuffle: true}); err != nil {
		return nil, rep, err
	}
	m.SetMeta(metaSteps, strconv.Itoa(rep.Steps))
	for key, x := range map[string]float64{metaLoss: rep.Loss, metaHeld: rep.Held,
		metaControl: rep.Control.Share, metaShuffled: rep.Shuffled.Share, metaNovel: rep.Control.Novel} {
		m.SetMeta(key, strconv.FormatFloat(x, 'f', 4, 64))
	}
	if rep.Control.Share < controlLeast {
		return m, rep, fmt.Errorf("%w: after %d steps only %.3f of the subjects name their trigger or category, want %.2f", ErrNoControl, rep.Steps, rep.Control.Share, controlLeast)
	}
	return m, rep, nil
}

// describe writes into the model what it takes to use it.
func describe(m *lstm.Model, v *vocabulary, o *TrainOptions) error {
	words, err := v.marshal()
	if err != nil {
		return fmt.Errorf("content: encode vocabulary: %w", err)
	}
	hash, err := corpusHash(o.Own)
	if err != nil {
		return err
	}
	m.SetMeta(metaVocabulary, words)
	m.SetMeta(metaFeatures, featureList())
	m.SetMeta(metaCorpus, hash)
	m.SetMeta(metaSeed, strconv.FormatUint(o.Seed, 10))
	if o.Own != "" {
		m.SetMeta(metaOwn, o.Own)
	}
	return nil
}

// EncodeModel returns the file of a model as it is shipped: weights in half precision.
func EncodeModel(m *lstm.Model) ([]byte, error) { return m.Encode(lstm.Float16) }

// rounded returns the model as it will be read back, so that what is measured is what
// is shipped.
func rounded(m *lstm.Model) (*lstm.Model, error) {
	b, err := EncodeModel(m)
	if err != nil {
		return nil, err
	}
	return lstm.Read(bytes.NewReader(b))
}

// lessons makes the examples of an epoch: every line under conditions it fits.
type lessons struct {
	lines []Line
	ids   [][]int32
	seed  uint64
}

// heldOut holds every twentieth grammar line back: the words and the pattern are
// learnt from its neighbours, the line itself is not.
const heldOut = 20

func newLessons(v *vocabulary, lines []Line, seed uint64) (*lessons, []lstm.Example, error) {
	l := &lessons{seed: seed}
	var held []lstm.Example
	r := rand.New(rand.NewPCG(seed, 1))
	grammar := 0
	for _, line := range lines {
		ids, err := v.encode(line)
		if err != nil {
			return nil, nil, err
		}
		if line.Grammar {
			if grammar++; grammar%heldOut == 0 {
				held = append(held, example(line, line.Category, ids, r))
				continue
			}
		}
		l.lines = append(l.lines, line)
		l.ids = append(l.ids, ids)
	}
	return l, held, nil
}

// generalWeight makes up for a general line being learnt for two of the nine categories
// in an epoch only. At full weight it would be 4.5; a little less keeps the lines of the
// category in front.
const generalWeight = 3

// epoch returns each line of a category once and each general line three times: for no
// category, and for two drawn at random.
func (l *lessons) epoch(n int) []lstm.Example {
	r := rand.New(rand.NewPCG(l.seed, 2+uint64(n)))
	var out []lstm.Example
	for i, line := range l.lines {
		out = append(out, example(line, line.Category, l.ids[i], r))
		if line.Category != "" {
			continue
		}
		for range 2 {
			e := example(line, Categories()[r.IntN(len(Categories()))], l.ids[i], r)
			e.Weight = generalWeight * cmp.Or(line.Weight, 1)
			out = append(out, e)
		}
	}
	return out
}

// example draws the rest of a condition that a line fits.
func example(l Line, category string, ids []int32, r *rand.Rand) lstm.Example {
	c := condition{part: l.Part, kind: l.Kind, category: category, language: l.Language}
	c.last = l.Tag == "last" || r.IntN(8) == 0 // the other lines fit the last one too
	switch l.Tag {
	case "returning":
		c.returning = true
	case "new":
		c.fresh = true
	default:
		if n := r.IntN(3); n == 0 {
			c.returning = true
		} else if n == 1 {
			c.fresh = true
		}
	}
	c.replies = l.Tag == "replies" || r.IntN(2) == 0
	switch l.Tag {
	case "high", "low":
		c.value = l.Tag
	default:
		c.value = []string{"", valueLow, valueHigh}[r.IntN(3)]
	}
	switch l.Tag {
	case string(Calm), string(Playful):
		c.tone = Tone(l.Tag)
		if l.Tag == string(Playful) && r.IntN(2) == 0 {
			c.tone = AnyTone
		}
	default:
		c.tone = []Tone{AnyTone, Calm, Playful}[r.IntN(3)]
	}
	uses := slotsOf(l.Text)
	for s := range slotCount {
		c.has[s] = uses[s] || r.IntN(10) < 7
		c.want[s] = uses[s] && r.IntN(2) == 0
	}
	out := lstm.Example{Tokens: ids, Cond: make([]float32, len(features())), Weight: l.Weight}
	c.vector(out.Cond)
	return out
}
