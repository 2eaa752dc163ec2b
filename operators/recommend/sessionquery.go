package recommend

import (
	"math"
	"slices"
)

// visitScratch is the working memory of a query to Sessions.
type visitScratch struct {
	r      []float64 // by slot: similarity
	stamp  []uint32  // by slot: r holds for this query
	now    uint32
	heap   []posting // visits looked at, the oldest on top
	recent []Num     // the newest items of the present visit, newest first, each once
	far    []int     // their distance from the end, from 1
	near   []voter
}

// voter is a visit like the present one.
type voter struct {
	posting
	r float64
}

// Score implements Voice.
func (x *Sessions) Score(c *Context, s *Scratch) {
	near := x.near(c, s)
	for k := range near {
		v := &x.visits[near[k].slot]
		w := fade(x.distance(v.items, &s.visits)) * near[k].r
		if w <= 0 {
			continue
		}
		for _, i := range v.items {
			s.Scores.Add(i, w*x.idf(i))
		}
	}
}

// fade is what a visit weighs whose nearest common item is so far from the end.
func fade(distance int) float64 { return max(1-0.1*float64(distance), 0) }

// idf weighs an item by its rarity.
func (x *Sessions) idf(i Num) float64 {
	if x.o.IDF <= 0 {
		return 1
	}
	return x.o.IDF * math.Log(float64(x.total)/float64(max(x.df[i], 1)))
}

// distance is how near to the end of the present visit an item of the list stands.
func (x *Sessions) distance(items []Num, s *visitScratch) int {
	for k, i := range s.recent { // the newest first, so the first hit is the nearest
		if slices.Contains(items, i) {
			return s.far[k]
		}
	}
	return 1 << 20
}

// near finds the visits that are most like the present one.
func (x *Sessions) near(c *Context, sc *Scratch) []voter {
	s := &sc.visits
	s.reset(len(x.visits))
	present := c.Session
	if len(present) == 0 {
		present = c.History
	}
	present = present[max(len(present)-x.o.LastItems, 0):]
	for k := range present {
		if i := present[len(present)-1-k]; !slices.Contains(s.recent, i) {
			s.recent = append(s.recent, i)
			s.far = append(s.far, k+1)
		}
	}
	for k, i := range s.recent {
		if int(i) < len(x.index) && i >= 0 {
			x.walk(x.index[i], float64(len(present)-s.far[k]+1)/float64(len(s.recent)), s)
		}
	}
	for _, p := range s.heap {
		s.near = append(s.near, voter{p, s.r[p.slot]})
	}
	slices.SortFunc(s.near, func(a, b voter) int {
		switch {
		case a.r != b.r && a.r > b.r, a.r == b.r && x.newer(a.posting, b.posting):
			return -1
		default:
			return 1
		}
	})
	s.near = s.near[:min(len(s.near), x.o.Neighbours)]
	return s.near
}

// walk adds d to the visits that an item remembers, newest first, and keeps the newest
// Sample of all that were met.
func (x *Sessions) walk(list []posting, d float64, s *visitScratch) {
	for _, p := range list {
		switch {
		case s.stamp[p.slot] == s.now:
			s.r[p.slot] += d
			continue
		case len(s.heap) < x.o.Sample:
			s.heap = append(s.heap, p)
			x.heapUp(s.heap)
		case x.newer(p, s.heap[0]):
			s.stamp[s.heap[0].slot] = s.now - 1
			s.heap[0] = p
			x.heapDown(s.heap)
		default:
			return // the rest of the list is older still
		}
		s.stamp[p.slot] = s.now
		s.r[p.slot] = d
	}
}

func (s *visitScratch) reset(slots int) {
	if len(s.r) < slots {
		s.r = append(s.r, make([]float64, slots-len(s.r))...)
		s.stamp = append(s.stamp, make([]uint32, slots-len(s.stamp))...)
	}
	s.heap, s.recent, s.far, s.near = s.heap[:0], s.recent[:0], s.far[:0], s.near[:0]
	s.now++
	if s.now == 0 {
		clear(s.stamp)
		s.now = 1
	}
}

func (x *Sessions) heapUp(h []posting) {
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !x.newer(h[up], h[i]) {
			return
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
}

func (x *Sessions) heapDown(h []posting) {
	for i := 0; ; {
		oldest := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if x.newer(h[oldest], h[c]) {
				oldest = c
			}
		}
		if oldest == i {
			return
		}
		h[oldest], h[i] = h[i], h[oldest]
		i = oldest
	}
}

// Why implements Voice: the item of the present visit that most voting visits share with
// the recommended one.
func (x *Sessions) Why(c *Context, item Num, s *Scratch) (Reason, bool) {
	near := x.near(c, s)
	best := Reason{Voice: VoiceSessions, Seed: None}
	for _, i := range s.visits.recent {
		n := 0.0
		for k := range near {
			items := x.visits[near[k].slot].items
			if slices.Contains(items, item) && slices.Contains(items, i) {
				n++
			}
		}
		if n > best.Count && i != item {
			best.Seed, best.Count = i, n
		}
	}
	return best, best.Seed != None
}
