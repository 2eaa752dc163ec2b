package engine

import "sync"

// calls hand what an operator emits to a function that takes the context of the call that
// is under way. Safe for concurrent use: an operator works on several keys at a time.
type calls[R any] struct {
	pool sync.Pool
	emit func(c *Ctx, r R)
}

// call is one call of an operator.
type call[R any] struct {
	ctx  *Ctx
	emit func(r R)
}

func (s *calls[R]) begin(c *Ctx) *call[R] {
	k, _ := s.pool.Get().(*call[R])
	if k == nil {
		k = &call[R]{}
		k.emit = func(r R) { s.emit(k.ctx, r) }
	}
	k.ctx = c
	return k
}

func (s *calls[R]) end(k *call[R]) {
	k.ctx = nil
	s.pool.Put(k)
}
