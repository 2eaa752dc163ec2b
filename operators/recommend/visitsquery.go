package recommend

import (
	"math"
	"slices"
)

// VisitScratch is the working memory of a question to Visits. The zero value works; use
// it again. One goroutine at a time.
type VisitScratch struct {
	recent []Num
	far    []int
	met    table
	who    []*visited // by place in met
	nearby []int      // likewise: how far from the end of the present visit it meets it
	near   []likeVisit
	scores table
	ranked []Ranked
	counts []int
}

// likeVisit is a visit like the present one.
type likeVisit struct {
	*visited
	r   float64
	far int
}

// Near appends the items that visits like the present one hold, best first, at most n;
// present is oldest first. skip says what is not wanted; nil for nothing.
func (x *Visits) Near(dst []Ranked, present []Num, n int, skip func(Num) bool, s *VisitScratch) []Ranked {
	x.near(present, s)
	s.scores.reset()
	for k := range s.near {
		v := &s.near[k]
		if w := fade(v.far) * v.r; w > 0 {
			for _, i := range v.items {
				s.scores.add(uint32(i), w) //nolint:gosec // numbers of items
			}
		}
	}
	s.ranked = s.ranked[:0]
	total := float64(x.total.Load())
	for k, i := range s.scores.order {
		num := Num(i) //nolint:gosec // numbers of items
		if score := s.scores.values[k] * x.idf(num, total); score > 0 && (skip == nil || !skip(num)) {
			s.ranked = append(s.ranked, Ranked{num, score})
		}
	}
	slices.SortFunc(s.ranked, func(a, b Ranked) int {
		switch {
		case a.Score != b.Score && a.Score > b.Score, a.Score == b.Score && a.Item < b.Item:
			return -1
		default:
			return 1
		}
	})
	return append(dst, s.ranked[:min(n, len(s.ranked))]...)
}

// idf weighs an item by its rarity.
func (x *Visits) idf(i Num, total float64) float64 {
	l := x.list(i, false)
	if l == nil {
		return 0
	}
	return max(math.Log(total/float64(max(l.df.Load(), 1))), 0)
}

// near finds the visits that are most like the present one.
func (x *Visits) near(present []Num, s *VisitScratch) {
	s.recent, s.far, s.who, s.near, s.nearby = s.recent[:0], s.far[:0], s.who[:0], s.near[:0], s.nearby[:0]
	s.met.reset()
	present = present[max(len(present)-x.o.LastItems, 0):]
	for k := range present {
		if i := present[len(present)-1-k]; !slices.Contains(s.recent, i) {
			s.recent, s.far = append(s.recent, i), append(s.far, k+1)
		}
	}
	for k, i := range s.recent {
		x.walk(i, float64(len(present)-s.far[k]+1)/float64(len(s.recent)), s.far[k], s)
	}
	for k, v := range s.who {
		if v != nil && !v.full {
			s.near = append(s.near, likeVisit{v, s.met.values[k], s.nearby[k]})
		}
	}
	slices.SortFunc(s.near, func(a, b likeVisit) int {
		switch {
		case a.r != b.r && a.r > b.r, a.r == b.r && a.last > b.last, a.r == b.r && a.last == b.last && a.number > b.number:
			return -1
		default:
			return 1
		}
	})
	s.near = s.near[:min(len(s.near), x.o.Neighbours)]
}

// walk adds d to the visits that an item remembers; far is where the item stands.
func (x *Visits) walk(i Num, d float64, far int, s *VisitScratch) {
	l := x.list(i, false)
	if l == nil {
		return
	}
	r := l.ring.Load()
	if r == nil {
		return
	}
	n := int(r.n.Load())
	for k := range min(n, len(r.slots)) {
		number := r.slots[(n-1-k)%len(r.slots)].Load()
		at, isNew := s.met.at(number)
		if isNew { // it is looked at as it was met first, however it changes meanwhile
			s.who, s.nearby = append(s.who, x.get(number)), append(s.nearby, far)
		}
		s.met.values[at] += d // of one that is gone it does not matter
	}
}

// Why counts the visits that hold an item together with one of the present visit: with
// the one that most do. It speaks of the question that Near answered last.
func (s *VisitScratch) Why(item Num) (with Num, visits int) {
	with = None
	s.counts = append(s.counts[:0], make([]int, len(s.recent))...)
	for k := range s.near {
		if items := s.near[k].items; slices.Contains(items, item) {
			for j, i := range s.recent {
				if i != item && slices.Contains(items, i) {
					s.counts[j]++
				}
			}
		}
	}
	for j, n := range s.counts {
		if n > visits {
			with, visits = s.recent[j], n
		}
	}
	return with, visits
}
