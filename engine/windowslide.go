package engine

import (
	"math"
	"slices"
)

// Sliding windows share slices: time is cut at each start and each end of a window
// ("paired windows": Krishnamurthy, Wu, Franklin, On-the-fly sharing for streamed
// aggregation, 2006), a value goes into one slice, and a window is the slices it covers.
//
// What a window costs does not depend on how many slices those are: slices are blocked
// by the number of slices in a window, so that each window is the end of one block and
// the beginning of the next; ends are folded once, backward, and beginnings grow forward
// (van Herk 1992, Gil and Werman 1993; as two stacks in Tangwongsan, Hirzel, Schneider,
// Low-latency sliding-window aggregation, 2017). Blocks stand at absolute slice numbers,
// so groupings, and rounding, do not depend on when a process was restarted: the folds
// are a cache and are not stored.

// slicing cuts time. Slices are numbered from the epoch.
type slicing struct {
	size, slide, offset int64
	rest                int64 // size mod slide: where in a slide windows end
	step                int64 // slices in a slide: 2, or 1 if rest is 0
	most                int64 // slices in a window
}

func newSlicing(size, slide, offset int64) slicing {
	c := slicing{size: size, slide: slide, offset: offset, rest: size % slide, step: 1, most: size / slide}
	if c.rest != 0 {
		c.step, c.most = 2, 2*(size/slide)+1
	}
	return c
}

// of is the slice of a time.
func (c *slicing) of(t int64) int64 {
	n := floorDiv(t-c.offset, c.slide)
	if c.step == 1 {
		return n
	}
	if t-c.offset-n*c.slide >= c.rest {
		return 2*n + 1
	}
	return 2 * n
}

// end is where window k ends.
func (c *slicing) end(k int64) int64 { return k*c.slide + c.offset + c.size }

// first and last are the windows that hold slice x.
func (c *slicing) first(x int64) int64 { return -floorDiv(c.most-1-x, c.step) }
func (c *slicing) last(x int64) int64  { return floorDiv(x, c.step) }

// after is the first window that ends after t.
func (c *slicing) after(t int64) int64 {
	if t < -maxTime {
		return math.MinInt64 / 4 / c.step
	}
	return floorDiv(min(t, 2*maxTime)-c.offset-c.size, c.slide) + 1
}

// slide is Add for sliding windows.
func (w *Windower[In, A, Out, P]) slide(dst []Pane[Out], s *Windows[A, P], t int64, in In, watermark int64) ([]Pane[Out], Late) {
	x := w.slices.of(t)
	first, last := w.slices.first(x), w.slices.last(x)
	late := Late{At: t, Watermark: watermark}
	open := first // the first window that is not closed
	if watermark >= -maxTime {
		open = max(first, w.slices.after(watermark-w.lateness))
	}
	if open > first {
		late.Why, late.End, late.Missed = LatePartly, w.slices.end(min(open-1, last)), min(open, last+1)-first
	}
	if open > last {
		late.Why = LateClosed
		return dst, late
	}
	i := after(s.open, x)
	known := i > 0 && s.open[i-1].start == x
	if !known && len(s.open) >= w.o.MaxOpen {
		return dst, Late{Why: LateFull, At: t, Watermark: watermark, Missed: last - first + 1}
	}
	over := min(last+1, w.slices.after(watermark)) // windows before it have emitted
	if w.o.Retract {
		for k := open; k < over; k++ {
			if lo, hi := w.covers(s, k); lo < hi {
				dst = append(dst, w.window(s, k, Retraction))
			}
		}
	}
	if !known {
		s.open = slices.Insert(s.open, i, pane[A]{start: x, due: noTime})
		i++
	}
	w.agg.Add(&s.open[i-1].a, in)
	s.cache.changed(x)
	for k := open; k < over; k++ {
		kind := Update
		if lo, hi := w.covers(s, k); !known && hi-lo == 1 {
			kind = Final // it was empty
		}
		dst = append(dst, w.window(s, k, kind))
	}
	if w.o.OnChange && open > first && open >= over { // the window before lacks the value for good
		s.forced, s.force = true, open
	}
	s.advance(watermark)
	return dst, late
}

// advance notes that every window that ends at or before until has emitted.
func (s *Windows[A, P]) advance(until int64) {
	if until >= -maxTime && (!s.begun || until > s.fired) {
		s.begun, s.fired = true, until
	}
}

// pending is the first window at or after k, and at or after those that have emitted,
// that has something to emit.
func (w *Windower[In, A, Out, P]) pending(s *Windows[A, P]) (k int64, ok bool) {
	c := &w.slices
	k = c.after(noTime)
	if s.begun {
		k = c.after(s.fired)
	}
	if !w.o.OnChange {
		i := after(s.open, k*c.step-1) // older slices are of windows before k only
		if i == len(s.open) {
			return 0, false
		}
		return max(k, c.first(s.open[i].start)), true
	}
	// The next window that a slice enters, or that is the first without it.
	enters := after(s.open, (k-1)*c.step+c.most-1)
	leaves := after(s.open, (k-1)*c.step-1)
	next := int64(math.MaxInt64)
	if enters < len(s.open) {
		next = c.first(s.open[enters].start)
	}
	if leaves < len(s.open) {
		next = min(next, c.last(s.open[leaves].start)+1)
	}
	if s.forced && s.force >= k {
		next = min(next, s.force)
	}
	return next, next != math.MaxInt64
}

// fireSlides is Fire for sliding windows.
func (w *Windower[In, A, Out, P]) fireSlides(dst []Pane[Out], s *Windows[A, P], until int64) []Pane[Out] {
	for {
		k, ok := w.pending(s)
		if !ok || w.slices.end(k) > until {
			break
		}
		dst = append(dst, w.window(s, k, Final))
		s.advance(w.slices.end(k))
		s.forced = s.forced && s.force > k
	}
	s.advance(min(until, 2*maxTime))
	n := 0
	for n < len(s.open) && w.spent(&s.open[n]) <= until {
		n++
	}
	clear(s.open[:n]) // and no copying of the rest: appending makes room when it must
	s.open = s.open[n:]
	if len(s.open) == 0 {
		s.open, s.cache = nil, nil
	}
	return dst
}

// spent is when a slice is not needed any more: its last window is closed and, if a
// pane is to say so, the first one without it has emitted.
func (w *Windower[In, A, Out, P]) spent(p *pane[A]) int64 {
	last := w.slices.last(p.start)
	end := w.slices.end(last) + w.lateness
	if w.o.OnChange {
		end = max(end, w.slices.end(last+1))
	}
	return end
}

// nextSlide is Next for sliding windows.
func (w *Windower[In, A, Out, P]) nextSlide(s *Windows[A, P]) (int64, bool) {
	due := w.spent(&s.open[0])
	if k, ok := w.pending(s); ok {
		due = min(due, w.slices.end(k))
	}
	return due, true
}

// covers is the range of open slices that window k covers.
func (w *Windower[In, A, Out, P]) covers(s *Windows[A, P], k int64) (from, until int) {
	b := k * w.slices.step
	return after(s.open, b-1), after(s.open, b+w.slices.most-1)
}

// window folds window k: the end of one block and the beginning of the next.
func (w *Windower[In, A, Out, P]) window(s *Windows[A, P], k int64, kind PaneKind) Pane[Out] {
	c := &w.slices
	pane := Pane[Out]{Start: c.end(k) - c.size, End: c.end(k), Kind: kind}
	if s.cache == nil {
		s.cache = &slideCache[A]{}
	}
	var none A
	acc := &s.cache.acc
	*acc = none
	b := k * c.step
	block := floorDiv(b, c.most)*c.most + c.most // where the next block begins
	pane.Empty = true
	if part := w.backward(s, b, block); part != nil {
		w.agg.Merge(acc, part)
		pane.Empty = false
	}
	if part := w.forward(s, block, b+c.most); part != nil {
		w.agg.Merge(acc, part)
		pane.Empty = false
	}
	pane.Value = w.agg.Result(acc)
	return pane
}

// slideCache is the folds of the block that windows begin in and of the one that they
// end in.
type slideCache[A any] struct {
	block int64 // where the second block begins
	low   int64 // back holds the folds of all slices in [low, block)
	back  []fold[A]
	high  int64 // front is the fold of [block, high)
	some  bool  // front holds a slice
	front A
	acc   A // of the window that is folded
}

// fold is slices from from to the end of their block.
type fold[A any] struct {
	from int64
	a    A
}

func (c *slideCache[A]) reset(block int64) {
	var none A
	clear(c.back)
	*c = slideCache[A]{block: block, low: block, high: block, back: c.back[:0], front: none}
}

// changed drops the folds that hold slice x.
func (c *slideCache[A]) changed(x int64) {
	switch {
	case c == nil:
	case x >= c.block && x < c.high:
		var none A
		c.high, c.front, c.some = c.block, none, false
	case x >= c.low && x < c.block:
		c.pop(x + 1)
	}
}

// pop drops the folds that begin before from.
func (c *slideCache[A]) pop(from int64) {
	n := len(c.back)
	for n > 0 && c.back[n-1].from < from {
		n--
		c.back[n] = fold[A]{}
	}
	c.back, c.low = c.back[:n], from
}

// backward is the fold of the slices in [b, block), nil for none.
func (w *Windower[In, A, Out, P]) backward(s *Windows[A, P], b, block int64) *A {
	c := s.cache
	if c.block != block || c.back == nil {
		c.reset(block)
	}
	if b > c.low {
		c.pop(b)
	}
	for i := after(s.open, c.low-1) - 1; i >= 0 && s.open[i].start >= b; i-- {
		p := &s.open[i]
		c.back = append(c.back, fold[A]{from: p.start})
		n := len(c.back)
		w.agg.Merge(&c.back[n-1].a, &p.a)
		if n > 1 {
			w.agg.Merge(&c.back[n-1].a, &c.back[n-2].a)
		}
	}
	c.low = min(c.low, b)
	if len(c.back) == 0 {
		return nil
	}
	return &c.back[len(c.back)-1].a
}

// forward is the fold of the slices in [block, e), nil for none.
func (w *Windower[In, A, Out, P]) forward(s *Windows[A, P], block, e int64) *A {
	c := s.cache
	if e < c.high { // of an older window, for a late value
		var none A
		c.high, c.front, c.some = block, none, false
	}
	for i := after(s.open, c.high-1); i < len(s.open) && s.open[i].start < e; i++ {
		w.agg.Merge(&c.front, &s.open[i].a)
		c.some = true
	}
	c.high = max(c.high, e)
	if !c.some {
		return nil
	}
	return &c.front
}
