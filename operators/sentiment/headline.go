package sentiment

import (
	"cmp"
	"fmt"
	"math"
	"unicode/utf8"
)

// Pair says that of two headlines, shown for the same thing, one was opened more often.
type Pair struct {
	Better, Worse *Line
	Weight        float64 // how sure that is; 0 counts as 1
}

// Line is a headline made ready for ranking. It is read only.
type Line struct{ features []uint32 }

// NewLine reads a headline.
func NewLine(text string) *Line {
	text = cut(text, textMax)
	us := units(text)
	var f []uint32
	if chinese(us) {
		f = grams(nil, us, 1, chineseGrams)
	} else {
		f = spelled(grams(nil, us, 1, 2), us)
	}
	f = append(f, ends(us)...)
	return &Line{distinct(append(f, lengths(text, us)...))}
}

// ends returns the first and the last units with their place: how a headline opens and
// how it closes.
func ends(us []unit) []uint32 {
	var out []uint32
	for i := range min(4, len(us)) {
		out = append(out, newHash(placeSpace).byte(byte(i)).add(us[i].text).sum())
	}
	for i := range min(3, len(us)) {
		out = append(out, newHash(placeSpace).byte(byte(255-i)).add(us[len(us)-1-i].text).sum())
	}
	return out
}

// lengths tells how long a headline is, as a row of thresholds that it passes: what a
// longer one gains may so differ from length to length.
func lengths(text string, us []unit) []uint32 {
	var out []uint32
	ladder := func(kind byte, n, each, most int) {
		for i := 1; i*each <= n && i <= most; i++ {
			out = append(out, newHash(lengthSpace).byte(kind).byte(byte(i)).sum())
		}
	}
	words, points := 0, 0
	for _, u := range us {
		switch u.kind {
		case wordUnit, hanUnit:
			words++
		case pointUnit:
			points++
		}
	}
	ladder(0, utf8.RuneCountInString(text), 8, 20)
	ladder(1, words, 2, 20)
	ladder(2, points, 1, 8)
	return out
}

// HeadlineOptions says how a Headline is trained. Its zero value works.
type HeadlineOptions struct {
	Cost   float64 // of an error, against large weights
	Epochs int
	Seed   uint64
}

func (o HeadlineOptions) withDefaults() HeadlineOptions {
	o.Cost = cmp.Or(o.Cost, 1)      // of .3 and 1, the one that is steadier from seed to seed
	o.Epochs = cmp.Or(o.Epochs, 10) // as for texts
	return o
}

// Headline ranks headlines by how often they would be opened: a logistic regression on
// the differences of pairs, which is the model of Bradley and Terry 1952 with features.
// It is safe for concurrent use.
type Headline struct {
	linear *linear
	card   HeadlineCard
}

// HeadlineCard says where a Headline comes from.
type HeadlineCard struct {
	Seed  uint64 `json:"seed"`
	Pairs int    `json:"pairs"`
}

// pairsMax bounds a training set of headlines.
const pairsMax = 2_000_000

// TrainHeadline makes a Headline of pairs. The same pairs in the same order and the same
// options give the same model.
func TrainHeadline(pairs []Pair, o HeadlineOptions) (*Headline, error) {
	o = o.withDefaults()
	if len(pairs) == 0 || len(pairs) > pairsMax {
		return nil, fmt.Errorf("sentiment: %d pairs of headlines, want 1 to %d", len(pairs), pairsMax)
	}
	rows := make([]row, len(pairs))
	size := tableSize(func(yield func([]uint32) bool) {
		for _, p := range pairs {
			if !yield(p.Better.features) || !yield(p.Worse.features) {
				return
			}
		}
	})
	mask := uint32(size - 1) //nolint:gosec // at most two million
	counts := make([]float32, size)
	for i, p := range pairs {
		plus, minus := difference(p.Better.features, p.Worse.features)
		rows[i] = row{plus: plus, minus: minus, positive: true, weight: p.Weight}
		for _, f := range p.Better.features {
			counts[f&mask]++
		}
		for _, f := range p.Worse.features {
			counts[f&mask]++
		}
	}
	entries := make([]entry, size)
	for i, n := range counts {
		if n == 0 {
			entries[i].square = scaleFloor // what was never met says nothing, but makes less sure
			continue
		}
		idf := math.Log(float64(2*len(pairs)+1)/float64(n+1)) + 1
		entries[i].square = float32(idf * idf)
	}
	l := solver{cost: o.Cost, epochs: o.Epochs, seed: o.Seed}.solve(rows, entries)
	return &Headline{l, HeadlineCard{o.Seed, len(pairs)}}, nil
}

// difference returns what stands in a alone and in b alone; both are ascending.
func difference(a, b []uint32) (plus, minus []uint32) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			plus, a = append(plus, a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			minus, b = append(minus, b[0]), b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return plus, minus
}

// Score returns a number that is higher for headlines that would be opened more often.
// Only scores of one model can be compared.
func (h *Headline) Score(l *Line) float64 { return h.linear.sum(row{plus: l.features}) }

// Prefer returns how likely a is opened more often than b, given that one is.
func (h *Headline) Prefer(a, b *Line) float64 {
	plus, minus := difference(a.features, b.features)
	r := row{plus: plus, minus: minus}
	return sigmoid(h.linear.sum(r) * h.linear.inverse(r))
}

// Rank returns for each of some headlines how likely it is opened more often than another
// one of them, on average. The only one of a list gets a half.
func (h *Headline) Rank(texts []string) []float64 {
	lines := make([]*Line, len(texts))
	for i, text := range texts {
		lines[i] = NewLine(text)
	}
	out := make([]float64, len(texts))
	for i, a := range lines {
		for j, b := range lines[:i] {
			p := h.Prefer(a, b)
			out[i] += p
			out[j] += 1 - p
		}
	}
	for i := range out {
		if len(out) == 1 {
			out[i] = 0.5
			continue
		}
		out[i] /= float64(len(out) - 1)
	}
	return out
}

// Card returns where the model comes from.
func (h *Headline) Card() HeadlineCard { return h.card }

// Encode returns the model as a file. The same model gives the same bytes.
func (h *Headline) Encode() ([]byte, error) {
	out, err := begin(headlineMagic, h.card)
	if err != nil {
		return nil, err
	}
	return seal(h.linear.append(out)), nil
}

// DecodeHeadline reads a file of Encode. One that is not byte for byte what was written
// is refused with an error that wraps ErrCorrupt.
func DecodeHeadline(file []byte) (*Headline, error) {
	h := &Headline{}
	d, err := open(headlineMagic, file, &h.card)
	if err != nil {
		return nil, err
	}
	h.linear = d.linear()
	return h, d.end()
}
