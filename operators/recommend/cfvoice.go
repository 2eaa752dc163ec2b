package recommend

import (
	"cmp"
	"math"
	"slices"
)

// Similarity is how a count of people who chose both items becomes a weight.
type Similarity uint8

// The similarities.
const (
	Cosine        Similarity = iota // shared / √(own · own)
	LogLikelihood                   // Dunning's ratio, only what is together more often than by chance
)

// CFVoice reads the counts of an ItemCF as recommendations. Several may read the same
// counts. The zero values of its settings work.
type CFVoice struct {
	Counts     *ItemCF
	Similarity Similarity
	Keep       int         // best neighbours of a seed that it votes for; 0: 100, by LLR; all, by cosine
	Seeds      SeedOptions // from which items of the context
}

// keepNeighbours is the usual number of correlators; the published ones keep 50.
const keepNeighbours = 100

// Name implements Voice.
func (v *CFVoice) Name() string {
	if v.Similarity == LogLikelihood {
		return VoiceLLR
	}
	return VoiceCosine
}

// Similar appends the best neighbours of an item, best first. Weights are computed when
// they are asked for, since those of LLR drift with every event.
func (v *CFVoice) Similar(dst []Ranked, i Num, now int64) []Ranked {
	x := v.Counts
	if i < 0 || int(i) >= len(x.rows) {
		return dst
	}
	keep := cmp.Or(v.Keep, keepNeighbours)
	h := dst[len(dst):]
	r := &x.rows[i]
	table := v.table(i, now)
	for k, j := range r.items {
		c := Ranked{Item: j}
		if v.Similarity == Cosine {
			c.Score = r.value[k] / math.Sqrt(x.own[i]*x.own[j]) // decay cancels
		} else {
			c.Score = table(r.value[k], x.own[j])
		}
		switch {
		case !(c.Score > 0) || len(h) == keep && c.Score < h[0].Score:
		case len(h) < keep:
			h = append(h, c)
			siftUp(h, x.names)
		case x.names.better(c, h[0]):
			h[0] = c
			siftDown(h, x.names)
		}
	}
	x.names.sort(h)
	return append(dst, h...)
}

// table answers the LLR of an item with others, given the stored count of both and that
// of the other. The unit is a person with the strongest action.
func (v *CFVoice) table(i Num, now int64) func(both, other float64) float64 {
	x := v.Counts
	f := x.decay.Value(1, max(now, x.last)) / slices.Max(x.o.Weights[:])
	n, own := x.People(now), x.own[i]*f
	return func(both, other float64) float64 {
		both, other = both*f, other*f
		return LLR(both, own-both, other-both, n-own-other+both)
	}
}

// Score implements Voice.
func (v *CFVoice) Score(c *Context, s *Scratch) {
	o := v.Seeds.withDefaults()
	if v.Similarity == Cosine {
		v.scoreCosine(o.of(c, s), s)
		return
	}
	o.Past = min(o.Past, llrPast)
	for _, from := range o.of(c, s) {
		s.ranked = v.Similar(s.ranked[:0], from.item, c.Now)
		for _, r := range s.ranked {
			s.Scores.Add(r.Item, from.weight*r.Score)
		}
	}
}

// llrPast bounds the items of the history that are asked for: a ratio costs six logarithms.
const llrPast = 10

// scoreCosine adds the similarities of the seeds with each item, of those seeds that
// are among the best neighbours of that item. That is where the cut belongs: cut by
// seed, a popular seed has no voice in what is rare (measured on MovieLens: .275 against
// .245).
func (v *CFVoice) scoreCosine(seeds []seed, s *Scratch) {
	x := v.Counts
	for _, from := range seeds {
		if int(from.item) >= len(x.rows) {
			continue
		}
		r := &x.rows[from.item]
		root := 1 / math.Sqrt(x.own[from.item])
		for k, j := range r.items {
			if sim := r.value[k] * root / math.Sqrt(x.own[j]); sim >= x.floor[j].least*(1-1e-12) {
				s.Scores.Add(j, from.weight*sim)
			}
		}
	}
}

// Why implements Voice. The weight that two items share is told in people of the
// strongest action.
func (v *CFVoice) Why(c *Context, item Num, s *Scratch) (Reason, bool) {
	x := v.Counts
	best := Reason{Voice: v.Name(), Seed: None}
	most := 0.0
	for _, from := range v.Seeds.withDefaults().of(c, s) {
		shared := x.Shared(from.item, item, c.Now)
		if shared <= 0 || from.item == item {
			continue
		}
		if w := from.weight * shared / math.Sqrt(x.Own(from.item, c.Now)*x.Own(item, c.Now)); w > most {
			most = w
			best.Seed, best.Count = from.item, shared/slices.Max(x.o.Weights[:])
		}
	}
	return best, best.Seed != None
}
