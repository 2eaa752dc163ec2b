package sentiment

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
)

// Kind names a model.
type Kind string

// The kinds of models.
const (
	Bayes    Kind = "bayes"    // naive Bayes with negation and pairs
	Logistic Kind = "logistic" // logistic regression on n-grams
	LSTM     Kind = "lstm"     // a network that reads the text in order
	Ensemble Kind = "ensemble" // naive Bayes and logistic regression, stacked
	Full     Kind = "full"     // all three, stacked
)

// DefaultKind is the one that measures best, see docs/accuracy.md.
const DefaultKind = Ensemble

// Kinds returns the names of all models.
func Kinds() []Kind { return []Kind{Bayes, Logistic, LSTM, Ensemble, Full} }

// parts returns the kinds that a kind is made of.
func (k Kind) parts() ([]Kind, error) {
	switch k {
	case Bayes, Logistic, LSTM:
		return []Kind{k}, nil
	case Ensemble:
		return []Kind{Bayes, Logistic}, nil
	case Full:
		return []Kind{Bayes, Logistic, LSTM}, nil
	}
	return nil, fmt.Errorf("sentiment: no model %q, want one of %v", string(k), Kinds())
}

// Limits of a training set.
const (
	leastOfClass = 2
	examplesMax  = 2_000_000
)

// Options says how to train. Its zero value works.
type Options struct {
	Kind    Kind
	Seed    uint64  // of every choice at random
	Folds   int     // parts that are held out in turn, to calibrate on
	Cost    float64 // of an error of the logistic regression, against large weights
	Network NetworkOptions
	Labels  int    // how many of the examples are the shop's own, for the card
	Corpus  string // hash of the project's own corpus, if it is among the examples, for the card

	// Progress, if set, is called as training goes on. Its unit is its own.
	Progress func(done, total int)
}

func (o Options) withDefaults() Options {
	o.Kind = cmp.Or(o.Kind, DefaultKind)
	o.Folds = cmp.Or(o.Folds, 4) // the parts see three quarters of the texts that the model sees
	return o
}

// part is one of the models within a Model.
type part interface {
	// score returns the log odds that a text is positive, not calibrated.
	score(d *Doc) float64
}

// learner is a part that takes in one more label at once.
type learner interface{ learn(d *Doc, positive bool) }

// Model judges texts. It is safe for concurrent use as long as nobody calls Learn.
type Model struct {
	parts []part
	stack stack
	card  Card
}

// Card says where a model comes from.
type Card struct {
	Kind     Kind   `json:"kind"`
	Seed     uint64 `json:"seed"`
	Examples int    `json:"examples"`
	Positive int    `json:"positive"`
	Learned  int    `json:"learned"` // labels taken in since
	// Labels is how many of the examples are the shop's own.
	Labels int `json:"labels,omitempty"`
	// Corpus is the hash of the project's own corpus, where that was learnt too.
	Corpus string `json:"corpus,omitempty"`
	// Reference counts the training set's own probabilities by tenths, as judged by
	// models that had not seen the text: what a Drift compares with.
	Reference [driftBins]int `json:"reference"`
}

// Card returns where the model comes from.
func (m *Model) Card() Card { return m.card }

// Train makes a model of examples, of which there must be some of each class. The same
// examples in the same order and the same options give the same model.
func Train(ctx context.Context, examples []Example, o Options) (*Model, error) {
	o = o.withDefaults()
	kinds, err := o.Kind.parts()
	if err != nil {
		return nil, err
	}
	m := &Model{card: Card{Kind: o.Kind, Seed: o.Seed, Examples: len(examples), Corpus: o.Corpus, Labels: o.Labels}}
	for _, e := range examples {
		m.card.Positive += class(e.Positive)
	}
	if p, n := m.card.Positive, len(examples)-m.card.Positive; min(p, n) < leastOfClass || len(examples) > examplesMax {
		return nil, fmt.Errorf("sentiment: %d positive and %d negative examples, want at least %d of each and at most %d in all",
			p, n, leastOfClass, examplesMax)
	}
	t := &training{ctx: ctx, options: o, kinds: kinds, examples: examples}
	if m.stack, m.card.Reference, err = t.calibrate(); err != nil {
		return nil, err
	}
	if m.parts, err = t.fit(func(int) bool { return true }); err != nil {
		return nil, err
	}
	return m, nil
}

// training is one call of Train.
type training struct {
	ctx      context.Context //nolint:containedctx // it lives as long as the call
	options  Options
	kinds    []Kind
	examples []Example
	done     int
}

// rounds is how many parts are held out: all of them in turn, but only one where a
// network, which takes minutes, is trained too.
func (t *training) rounds() int {
	if slices.Contains(t.kinds, LSTM) {
		return 1
	}
	return t.options.Folds
}

// calibrate fits the stack on texts that the models which judge them have not seen.
func (t *training) calibrate() (stack, [driftBins]int, error) {
	var reference [driftBins]int
	fold, err := Deal(t.examples, min(t.options.Folds, len(t.examples)), t.options.Seed)
	if err != nil {
		return stack{}, reference, err
	}
	var scores [][]float64
	var positive []bool
	for k := range t.rounds() {
		parts, err := t.fit(func(i int) bool { return fold[i] != k })
		if err != nil {
			return stack{}, reference, err
		}
		for i, e := range t.examples {
			if fold[i] == k {
				scores = append(scores, scoresOf(parts, e.Doc))
				positive = append(positive, e.Positive)
			}
		}
	}
	s := fitStack(scores, positive)
	for _, row := range scores {
		reference[driftBin(sigmoid(s.logit(row)))]++
	}
	return s, reference, nil
}

// fit trains the parts on the examples that use picks.
func (t *training) fit(use func(i int) bool) ([]part, error) {
	var docs []*Doc
	var positive []bool
	for i, e := range t.examples {
		if use(i) {
			docs = append(docs, e.Doc)
			positive = append(positive, e.Positive)
		}
	}
	parts := make([]part, len(t.kinds))
	for i, k := range t.kinds {
		if err := t.ctx.Err(); err != nil {
			return nil, fmt.Errorf("sentiment: train: %w", err)
		}
		switch k {
		case Bayes:
			b := newBayes(tableSize(featuresOf(docs)))
			for j, d := range docs {
				b.learn(d, positive[j])
			}
			parts[i] = b
		case Logistic:
			parts[i] = trainLogistic(docs, positive, solver{cost: t.options.Cost, seed: t.options.Seed})
		default:
			n, err := trainNetwork(t.ctx, docs, positive, t.options, t.progress)
			if err != nil {
				return nil, err
			}
			parts[i] = n
		}
		t.done++
		t.progress(0)
	}
	return parts, nil
}

// progress reports the parts that are done and the share of the one under way.
func (t *training) progress(share float64) {
	const unit = 1000
	if t.options.Progress != nil {
		t.options.Progress(t.done*unit+int(share*unit), (t.rounds()+1)*len(t.kinds)*unit)
	}
}

func scoresOf(parts []part, d *Doc) []float64 {
	out := make([]float64, len(parts))
	for i, p := range parts {
		out[i] = p.score(d)
	}
	return out
}

// logitMax keeps a probability from becoming 0 or 1, which no finite set can show.
const logitMax = 12

// Logit returns the log odds that a text is positive, calibrated.
func (m *Model) Logit(d *Doc) float64 {
	z := m.stack.logit(scoresOf(m.parts, d))
	return math.Max(-logitMax, math.Min(logitMax, z))
}

// Probability returns how likely a text is positive.
func (m *Model) Probability(d *Doc) float64 { return sigmoid(m.Logit(d)) }

// Learn takes in one more label at once: naive Bayes counts it, the logistic regression
// makes the step of its training for it. A network stays as it is, and so does the
// calibration, until the next training. It must not run beside any other call.
func (m *Model) Learn(e Example) {
	for _, p := range m.parts {
		if l, ok := p.(learner); ok {
			l.learn(e.Doc, e.Positive)
		}
	}
	m.card.Learned++
}

// Uncertain returns the places of the n texts whose class is least certain, the least
// certain first: those whose labels teach most (Lewis and Gale 1994). Of texts that say
// the same only the first is named.
func (m *Model) Uncertain(docs []*Doc, n int) []int {
	type doubt struct {
		at     int
		margin float64
	}
	seen := make(map[string]bool, len(docs))
	var doubts []doubt
	for i, d := range docs {
		if key := d.Key(); !seen[key] {
			seen[key] = true
			doubts = append(doubts, doubt{i, math.Abs(m.Logit(d))})
		}
	}
	slices.SortStableFunc(doubts, func(a, b doubt) int { return cmp.Compare(a.margin, b.margin) })
	out := make([]int, 0, max(0, min(n, len(doubts))))
	for _, d := range doubts[:cap(out)] {
		out = append(out, d.at)
	}
	return out
}
