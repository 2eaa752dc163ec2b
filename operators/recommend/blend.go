package recommend

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// BlendOptions say how the weights of the voices are learned. The zero value works.
type BlendOptions struct {
	Depth      int       // items of each voice that are candidates
	Rate       float64   // step of learning
	Pull       float64   // how strongly weights are pulled back to the prior, per example
	Prior      []float64 // weight of each voice before anything is learned; nil: 1 each
	Placements int       // placements with weights of their own
}

func (o BlendOptions) withDefaults(voices int) BlendOptions {
	o.Depth = cmp.Or(o.Depth, 100)          // five times what is shown; what stands lower is never shown
	o.Rate = cmp.Or(o.Rate, 0.1)            // a usual step for AdaGrad; not tuned
	o.Pull = cmp.Or(o.Pull, 1e-5)           // as if the prior were worth some clicks
	o.Placements = cmp.Or(o.Placements, 64) // a shop has about ten kinds of mail
	for len(o.Prior) < voices {
		o.Prior = append(o.Prior, 1)
	}
	return o
}

// Blend joins the lists of the voices to one. A candidate has per voice three features:
// its score beside the best of the list, 1/log2(1+rank), and that it is in the list at
// all; its value is their weighted sum. The weights of a placement are learned one
// example at a time: an example is the lists that were to be had and the item that was
// chosen, and the step is up the gradient of the chosen item's log-probability under a
// softmax over the candidates (a conditional logit), with AdaGrad. So the same clicks in
// the same order give the same weights; nothing is drawn at random. One goroutine at a
// time, or many that only Rank, each with a BlendScratch of its own.
type Blend struct {
	o      BlendOptions
	voices int
	heads  map[string]*head
}

// head is what is learned for a placement.
type head struct {
	weight, square []float64
	examples       int
}

// featuresPerVoice is the number of features that a voice gives a candidate.
const featuresPerVoice = 3

// BlendScratch is the working memory of a Blend. The zero value works.
type BlendScratch struct {
	slots    Scores // by item: place among the candidates, from 1
	items    []Num
	features []float64
	value    []float64
	mean     []float64
}

// NewBlend makes a blend of so many voices.
func NewBlend(voices int, o BlendOptions) *Blend {
	return &Blend{o: o.withDefaults(voices), voices: voices, heads: make(map[string]*head)}
}

// Depth is how many items of each voice are wanted.
func (b *Blend) Depth() int { return b.o.Depth }

// Examples is how many examples a placement has learned from.
func (b *Blend) Examples(placement string) int {
	if h, ok := b.heads[placement]; ok {
		return h.examples
	}
	return 0
}

// Weights are those of a placement, three per voice; those before learning if there is
// no such placement.
func (b *Blend) Weights(placement string) []float64 {
	if h, ok := b.heads[placement]; ok {
		return slices.Clone(h.weight)
	}
	return b.fresh().weight
}

func (b *Blend) fresh() *head {
	h := &head{weight: make([]float64, b.voices*featuresPerVoice), square: make([]float64, b.voices*featuresPerVoice)}
	for v := range b.voices {
		h.weight[v*featuresPerVoice] = b.o.Prior[v]
		h.weight[v*featuresPerVoice+1] = b.o.Prior[v]
	}
	return h
}

// gather makes the candidates of the lists, one list per voice, best first.
func (b *Blend) gather(lists [][]Ranked, items int, s *BlendScratch) {
	s.slots.Reset(items)
	s.items, s.features = s.items[:0], s.features[:0]
	width := b.voices * featuresPerVoice
	for v, list := range lists[:min(len(lists), b.voices)] {
		for rank, r := range list[:min(len(list), b.o.Depth)] {
			slot := int(s.slots.Of(r.Item))
			if slot == 0 {
				s.items = append(s.items, r.Item)
				s.features = append(s.features, make([]float64, width)...)
				slot = len(s.items)
				s.slots.Add(r.Item, float64(slot))
			}
			f := s.features[(slot-1)*width+v*featuresPerVoice:]
			f[0] = r.Score / list[0].Score
			f[1] = 1 / math.Log2(2+float64(rank))
			f[2] = 1
		}
	}
}

// weigh computes the value of each candidate.
func (b *Blend) weigh(h *head, s *BlendScratch) {
	width := len(h.weight)
	s.value = s.value[:0]
	for k := range s.items {
		v := 0.0
		for j, f := range s.features[k*width : (k+1)*width] {
			v += h.weight[j] * f
		}
		s.value = append(s.value, v)
	}
}

// Rank appends the candidates of the lists, at most n, best first; items is the number
// of all items. Values are made positive: the probability that each is the one chosen.
func (b *Blend) Rank(dst []Ranked, placement string, lists [][]Ranked, names *Names, n int, s *BlendScratch) []Ranked {
	h, ok := b.heads[placement]
	if !ok {
		h = b.fresh()
	}
	b.gather(lists, names.Len(), s)
	b.weigh(h, s)
	softmax(s.value)
	from := len(dst)
	for k, i := range s.items {
		dst = append(dst, Ranked{i, s.value[k]})
	}
	names.sort(dst[from:])
	return dst[:from+min(n, len(dst)-from)]
}

// softmax turns values into probabilities.
func softmax(v []float64) {
	if len(v) == 0 {
		return
	}
	top, sum := slices.Max(v), 0.0
	for k := range v {
		v[k] = math.Exp(v[k] - top)
		sum += v[k]
	}
	for k := range v {
		v[k] /= sum
	}
}

// Learn takes a step towards weights under which the chosen item stands higher. It
// answers false when there was nothing to learn: no voice named the item, or there is no
// room for another placement.
func (b *Blend) Learn(placement string, lists [][]Ranked, names *Names, chosen Num, s *BlendScratch) bool {
	h, ok := b.heads[placement]
	if !ok {
		if len(b.heads) >= b.o.Placements {
			return false
		}
		h = b.fresh()
	}
	b.gather(lists, names.Len(), s)
	slot := int(s.slots.Of(chosen)) - 1
	if slot < 0 || len(s.items) < 2 {
		return false
	}
	if !ok {
		b.heads[strings.Clone(placement)] = h
	}
	b.weigh(h, s)
	softmax(s.value)
	width := len(h.weight)
	s.mean = append(s.mean[:0], s.features[slot*width:(slot+1)*width]...)
	for k, p := range s.value {
		for j, f := range s.features[k*width : (k+1)*width] {
			s.mean[j] -= p * f
		}
	}
	prior := b.fresh().weight
	for j, g := range s.mean {
		g -= b.o.Pull * (h.weight[j] - prior[j])
		h.square[j] += g * g
		h.weight[j] += b.o.Rate * g / math.Sqrt(h.square[j]+1e-8)
	}
	h.examples++
	return true
}
