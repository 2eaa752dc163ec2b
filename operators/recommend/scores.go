package recommend

import (
	"cmp"
	"slices"
	"strings"
)

// Ranked is an item with a score.
type Ranked struct {
	Item  Num
	Score float64
}

// Scores adds up what speaks for each item. It is reused from query to query, so that
// a query allocates nothing. One goroutine at a time.
type Scores struct {
	value []float64
	stamp []uint32 // value holds for the query whose number stands here
	now   uint32
	found []Num
}

// Reset forgets all scores and makes room for so many items.
func (s *Scores) Reset(items int) {
	if len(s.value) < items {
		s.value = append(s.value, make([]float64, items-len(s.value))...)
		s.stamp = append(s.stamp, make([]uint32, items-len(s.stamp))...)
	}
	s.found = s.found[:0]
	s.now++
	if s.now == 0 { // after four billion queries
		clear(s.stamp)
		s.now = 1
	}
}

// Add adds to the score of an item below the number that Reset was given.
func (s *Scores) Add(i Num, x float64) {
	if s.stamp[i] != s.now {
		s.stamp[i] = s.now
		s.value[i] = x
		s.found = append(s.found, i)
		return
	}
	s.value[i] += x
}

// Of is the score of an item, 0 when nothing was added.
func (s *Scores) Of(i Num) float64 {
	if i < 0 || int(i) >= len(s.stamp) || s.stamp[i] != s.now {
		return 0
	}
	return s.value[i]
}

// Top appends the n best items with a score above 0, best first, without those that
// skip names. Ties stand in the order of the items' ids, so that the answer depends on
// nothing but the scores.
func (s *Scores) Top(dst []Ranked, n int, names *Names, skip func(Num) bool) []Ranked {
	if n <= 0 {
		return dst
	}
	h := dst[len(dst):]
	for _, i := range s.found {
		x := s.value[i]
		if !(x > 0) || len(h) == n && x < h[0].Score || skip != nil && skip(i) {
			continue
		}
		r := Ranked{i, x}
		switch {
		case len(h) < n:
			h = append(h, r)
			siftUp(h, names)
		case names.better(r, h[0]):
			h[0] = r
			siftDown(h, names)
		}
	}
	names.sort(h)
	return append(dst, h...)
}

// better tells whether a stands before b.
func (n *Names) better(a, b Ranked) bool {
	if a.Score != b.Score {
		return a.Score > b.Score
	}
	return n.ID(a.Item) < n.ID(b.Item)
}

// sort orders a list, best first.
func (n *Names) sort(list []Ranked) {
	slices.SortFunc(list, func(a, b Ranked) int {
		if c := cmp.Compare(b.Score, a.Score); c != 0 {
			return c
		}
		return strings.Compare(n.ID(a.Item), n.ID(b.Item))
	})
}

// siftUp restores the heap with the worst on top after the last was appended.
func siftUp(h []Ranked, names *Names) {
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !names.better(h[up], h[i]) {
			return
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
}

// siftDown restores the heap after the top was replaced.
func siftDown(h []Ranked, names *Names) {
	for i := 0; ; {
		worst := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if names.better(h[worst], h[c]) {
				worst = c
			}
		}
		if worst == i {
			return
		}
		h[worst], h[i] = h[i], h[worst]
		i = worst
	}
}
