package nexmark

import "sync"

// Row is a row of an answer; what its numbers are stands at each query. Name is set by q3
// and q8 only.
type Row struct {
	A, B, C, D int64
	Name       string
}

// Sink takes the rows of a run, as the discarding sink of the benchmark: it counts them
// and adds up their hashes, which does not depend on their order. It is not part of what
// the engine commits: after a crash rows come again. Several workers may put rows at once;
// read it when the engine has ended.
type Sink struct {
	// Updates counts only the newest row of each A: the answer of q4, a stream of updates.
	Updates bool

	mu   sync.Mutex // guards all that follows
	Rows uint64
	Hash uint64
	Each func(Row) // unless nil, called with each row

	// Lost counts what a bound of a query's state dropped, and Bad what was no event.
	Lost, Bad uint64

	newest map[int64]uint64 // with Updates: the hash of the newest row of each A
}

func (s *Sink) put(r Row) {
	h := uint64(len(r.Name))
	for _, v := range [...]int64{r.A, r.B, r.C, r.D} {
		h = (h ^ uint64(v)) * 0xbf58476d1ce4e5b9 //nolint:gosec // a hash
		h ^= h >> 29
	}
	for i := range len(r.Name) {
		h = (h ^ uint64(r.Name[i])) * 1099511628211
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Updates {
		if s.newest == nil {
			s.newest = make(map[int64]uint64)
		}
		before, known := s.newest[r.A]
		if s.newest[r.A] = h; known {
			s.Rows--
		}
		s.Hash -= before
	}
	s.Rows++
	s.Hash += h
	if s.Each != nil {
		s.Each(r)
	}
}

// lost counts what a bound of a query's state dropped.
func (s *Sink) lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Lost++
}

// bad counts what was no event.
func (s *Sink) bad() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Bad++
}
