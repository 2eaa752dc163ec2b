package recommend

import (
	"cmp"
	"slices"
	"time"

	"millrace/operators/profile"
)

// Popularity counts how often items are chosen, with decay, and keeps the ranking ready.
// A cold person gets its answer; so does the category of a single item that nobody knows
// yet. One goroutine at a time, or many that only ask.
type Popularity struct {
	half   int64
	decay  profile.Decay
	count  []float64
	last   int64
	names  *Names
	top    []Num // the most popular, best first
	listed []bool
}

// maxTop bounds the ranking that is kept: what filters leave of it must fill a mail.
const maxTop = 500

// NewPopularity makes an empty count. A half-life of 0 or less: no decay.
func NewPopularity(names *Names, half time.Duration) *Popularity {
	p := &Popularity{half: -1, names: names}
	if half > 0 {
		p.half = max(half.Milliseconds(), 1000)
	}
	return p
}

// Name implements Voice.
func (p *Popularity) Name() string { return VoicePopular }

// Add counts an item, so many times; a negative number takes back.
func (p *Popularity) Add(i Num, times float64, at int64) {
	if i < 0 {
		return
	}
	w, f := p.decay.Weigh(at, p.half, p.last)
	if f != 1 {
		for k := range p.count {
			p.count[k] *= f
		}
	}
	p.last = max(p.last, at)
	p.count, p.listed = grown(p.count, i), grown(p.listed, i)
	p.count[i] += times * w
	if times < 0 {
		p.rank()
		return
	}
	p.raise(i)
}

// before tells whether item a is more popular than b.
func (p *Popularity) before(a, b Num) bool {
	if p.count[a] != p.count[b] {
		return p.count[a] > p.count[b]
	}
	return p.names.ID(a) < p.names.ID(b)
}

// raise moves an item whose count grew to its place. Decay does not change the order,
// and counts only grow, so the ranking is exact at any time.
func (p *Popularity) raise(i Num) {
	at := 0
	switch {
	case p.listed[i]:
		at = slices.Index(p.top, i)
	case len(p.top) < maxTop:
		p.top = append(p.top, i)
		at = len(p.top) - 1
	case p.before(i, p.top[len(p.top)-1]):
		at = len(p.top) - 1
		p.listed[p.top[at]] = false
		p.top[at] = i
	default:
		return
	}
	p.listed[i] = true
	for ; at > 0 && p.before(i, p.top[at-1]); at-- {
		p.top[at], p.top[at-1] = p.top[at-1], i
	}
}

// rank makes the ranking anew.
func (p *Popularity) rank() {
	all := make([]Num, 0, len(p.count))
	for i, x := range p.count {
		p.listed[i] = false
		if x > tiny {
			all = append(all, Num(i)) //nolint:gosec // numbered items
		}
	}
	slices.SortFunc(all, func(a, b Num) int {
		if c := cmp.Compare(p.count[b], p.count[a]); c != 0 {
			return c
		}
		return cmp.Compare(p.names.ID(a), p.names.ID(b))
	})
	p.top = all[:min(len(all), maxTop)]
	for _, i := range p.top {
		p.listed[i] = true
	}
}

// Count is how often an item was chosen, as of now.
func (p *Popularity) Count(i Num, now int64) float64 {
	if i < 0 || int(i) >= len(p.count) {
		return 0
	}
	return p.decay.Value(p.count[i], max(now, p.last))
}

// Score implements Voice.
func (p *Popularity) Score(_ *Context, s *Scratch) {
	for _, i := range p.top {
		s.Scores.Add(i, p.count[i]/max(p.count[p.top[0]], tiny))
	}
}

// Why implements Voice.
func (p *Popularity) Why(c *Context, item Num, _ *Scratch) (Reason, bool) {
	n := p.Count(item, c.Now)
	return Reason{Voice: VoicePopular, Seed: None, Count: n}, n > 0
}

// Repeat recommends what the person chose before: by how often, and how lately. The
// zero value works. It is safe for concurrent use.
type Repeat struct {
	Fade float64 // what a choice weighs beside the one after it; 0: 0.9
}

// Name implements Voice.
func (Repeat) Name() string { return VoiceRepeat }

// Score implements Voice.
func (r Repeat) Score(c *Context, s *Scratch) {
	w := 1.0
	for _, list := range [...][]Num{c.Session, c.History} {
		for _, i := range slices.Backward(list) {
			s.Scores.Add(i, w)
			w *= cmp.Or(r.Fade, 0.9) // ten choices later a third is left
			w = max(w, 1e-6)         // what is older counts by its number
		}
	}
}

// Why implements Voice.
func (Repeat) Why(c *Context, item Num, _ *Scratch) (Reason, bool) {
	n := 0.0
	for _, list := range [...][]Num{c.Session, c.History} {
		for _, i := range list {
			if i == item {
				n++
			}
		}
	}
	return Reason{Voice: VoiceRepeat, Seed: None, Count: n}, n > 0
}
