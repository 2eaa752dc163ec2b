package sentiment

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The bounds of what is kept of a person.
const (
	askedMax     = 4   // texts of a person that are kept to be asked about
	AskedTextMax = 400 // bytes of such a text: a label needs no more
	modelNameMax = 64
	heardMax     = math.MaxInt32
)

// ScoreMax is the score of a text that is certainly positive; the opposite is -ScoreMax.
const ScoreMax = 1000

// Score turns the probability that a text is positive into thousandths from -1000 to 1000,
// so that what is decided by it does not hang on the last bit of a number.
func Score(probability float64) int {
	return int(math.Round((2*probability - 1) * ScoreMax))
}

// Heard is one text of a person, judged.
type Heard struct {
	At    int64  // event time
	Score int    // in thousandths
	Bad   bool   // it counts as a bad experience
	Model string // version of the model that judged it
	// Text is kept to be asked about if it is among the least certain; "" is not.
	Text string
}

// Asked is a text of which a label would teach much. What names a person is masked in it.
type Asked struct {
	Text  string
	Score int
	At    int64
}

// ToneOptions say how a person's tone is kept. Its zero value works.
type ToneOptions struct {
	HalfLife time.Duration // a text loses half its weight in this time
}

func (o ToneOptions) withDefaults() ToneOptions {
	o.HalfLife = cmp.Or(o.HalfLife, 90*24*time.Hour) // a season: an old quarrel is no mood
	return o
}

// Tone is how a person has spoken of late: a decayed mean, the last text, and the last bad
// experience. The zero value works. It does not depend on what else happened, only on the
// texts in the order of the log. One goroutine at a time.
type Tone struct {
	Heard  uint64 // texts in all
	Bads   uint64 // of them bad experiences
	Newest int64  // event time of the newest text, that of sum and weight
	Last   int    // its score, in thousandths
	Model  string // version of the model that judged it
	BadAt  int64  // event time of the newest bad experience, 0 without one
	Asked  []Asked

	sum, weight float64
}

// Known tells whether any text of the person was heard.
func (t *Tone) Known() bool { return t.Heard > 0 }

// Hear takes a text in.
func (t *Tone) Hear(h Heard, o ToneOptions) {
	half := float64(o.withDefaults().HalfLife.Milliseconds())
	if t.Heard < heardMax {
		t.Heard++
	}
	if h.At >= t.Newest || t.weight == 0 {
		f := fade(h.At-t.Newest, half)
		if t.weight == 0 {
			f = 0
		}
		t.sum, t.weight = t.sum*f+float64(h.Score), t.weight*f+1
		t.Newest, t.Last, t.Model = h.At, h.Score, strings.Clone(cut(h.Model, modelNameMax))
	} else {
		f := fade(t.Newest-h.At, half)
		t.sum, t.weight = t.sum+f*float64(h.Score), t.weight+f
	}
	if h.Bad {
		t.BadAt = max(t.BadAt, h.At)
		t.Bads = min(t.Bads+1, heardMax)
	}
	if h.Text != "" {
		t.ask(Asked{Text: strings.Clone(cut(h.Text, AskedTextMax)), Score: h.Score, At: h.At})
	}
}

// fade is what is left of a weight after some milliseconds.
func fade(millis int64, half float64) float64 { return math.Exp2(-float64(millis) / half) }

// ask keeps a text if it is among the least certain; of two that are the same, one.
func (t *Tone) ask(a Asked) {
	if slices.ContainsFunc(t.Asked, func(b Asked) bool { return b.Text == a.Text }) {
		return
	}
	i, _ := slices.BinarySearchFunc(t.Asked, a, CompareAsked)
	t.Asked = slices.Insert(t.Asked, i, a)
	if len(t.Asked) > askedMax {
		t.Asked = t.Asked[:askedMax]
	}
}

// CompareAsked orders the least certain first, then the newest.
func CompareAsked(a, b Asked) int {
	return cmp.Or(cmp.Compare(magnitude(a.Score), magnitude(b.Score)), cmp.Compare(b.At, a.At), strings.Compare(a.Text, b.Text))
}

func magnitude(x int) int { return max(x, -x) }

// meanPrior pulls the mean of few or old texts to neutral, by as much as half a text: one
// angry line is not all that a person is.
const meanPrior = 0.5

// Mean is the tone as of a time, from -1 to 1; 0 when nothing was heard, or long ago.
func (t *Tone) Mean(now int64, o ToneOptions) float64 {
	if t.weight == 0 {
		return 0
	}
	f := fade(max(now-t.Newest, 0), float64(o.withDefaults().HalfLife.Milliseconds()))
	return f * t.sum / (f*t.weight + meanPrior) / ScoreMax
}

// HeldUntil is when a bad experience is over that holds for some time, 0 without one.
func (t *Tone) HeldUntil(hold time.Duration) int64 {
	if t.BadAt == 0 || hold <= 0 {
		return 0
	}
	return t.BadAt + hold.Milliseconds()
}

// Merge takes in what was heard of another who turned out to be the same person.
func (t *Tone) Merge(q *Tone, o ToneOptions) {
	if !q.Known() {
		return
	}
	half := float64(o.withDefaults().HalfLife.Milliseconds())
	switch {
	case t.weight == 0:
		t.sum, t.weight, t.Newest, t.Last, t.Model = q.sum, q.weight, q.Newest, q.Last, q.Model
	case q.Newest > t.Newest:
		f := fade(q.Newest-t.Newest, half)
		t.sum, t.weight = t.sum*f+q.sum, t.weight*f+q.weight
		t.Newest, t.Last, t.Model = q.Newest, q.Last, q.Model
	default:
		f := fade(t.Newest-q.Newest, half)
		t.sum, t.weight = t.sum+f*q.sum, t.weight+f*q.weight
	}
	t.Heard = min(t.Heard+q.Heard, heardMax)
	t.Bads = min(t.Bads+q.Bads, heardMax)
	t.BadAt = max(t.BadAt, q.BadAt)
	for _, a := range q.Asked {
		t.ask(a)
	}
}

const toneSchema = 1

// What the stored form of a tone may be.
var (
	ErrToneNewer   = errors.New("sentiment: written by a newer version")
	ErrToneDamaged = errors.New("sentiment: the stored tone is damaged")
)

// AppendTo appends the stored form.
func (t *Tone) AppendTo(b []byte) []byte {
	b = append(b, toneSchema)
	b = binary.AppendUvarint(b, t.Heard)
	if t.Heard == 0 {
		return b
	}
	b = binary.AppendUvarint(b, t.Bads)
	for _, n := range [...]int64{t.Newest, int64(t.Last), t.BadAt} {
		b = binary.AppendVarint(b, n)
	}
	b = appendText(b, t.Model)
	b = appendFloats(b, t.sum, t.weight)
	b = append(b, byte(len(t.Asked)))
	for _, a := range t.Asked {
		b = binary.AppendVarint(binary.AppendVarint(appendText(b, a.Text), int64(a.Score)), a.At)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// DecodeFrom reads what AppendTo wrote. It answers ErrToneNewer or ErrToneDamaged, wrapped
// with the facts; the tone is then empty.
func (t *Tone) DecodeFrom(b []byte) error {
	*t = Tone{}
	r, err := beginStored(b)
	if err != nil {
		return fmt.Errorf("tone of a person: %w", err)
	}
	t.Heard = uint64(r.within(0, heardMax, r.uvarint()))
	if t.Heard > 0 {
		t.Bads = uint64(r.within(0, int64(t.Heard), r.uvarint())) //nolint:gosec // bounded
		t.Newest = r.varint()
		t.Last = int(r.score())
		t.BadAt = r.varint()
		t.Model = r.text(modelNameMax)
		t.sum, t.weight = r.finite(-1e15, 1e15), r.finite(math.SmallestNonzeroFloat64, 1e12)
		for i := range r.within(0, askedMax, r.uvarint()) {
			a := Asked{Text: r.text(AskedTextMax), Score: int(r.score()), At: r.varint()}
			if i > 0 && CompareAsked(t.Asked[i-1], a) >= 0 {
				r.fail("texts out of order")
			}
			if r.err != nil {
				break
			}
			t.Asked = append(t.Asked, a)
		}
	}
	if err := r.end(); err != nil {
		*t = Tone{}
		return fmt.Errorf("tone of a person: %w", err)
	}
	return nil
}
