package engine

import (
	"math"
	"slices"
)

// Tumbling, session and global windows: each is a pane of its own.

// place is where a value goes: which open windows it joins to one.
type place struct {
	start, end  int64 // of the window with the value
	from, until int   // the open windows that it absorbs; none if equal
}

// locate finds the place of a value of time t.
func (w *Windower[In, A, Out, P]) locate(open []pane[A], t int64) place {
	switch w.kind {
	case tumbling:
		start := floorDiv(t-w.offset, w.size)*w.size + w.offset
		i := after(open, start)
		p := place{start: start, end: start + w.size, from: i, until: i}
		if i > 0 && open[i-1].start == start {
			p.from--
		}
		return p
	case session:
		return w.join(open, t)
	case global, sliding:
	}
	p := place{start: t, end: t + 1}
	if len(open) > 0 {
		p.start, p.end, p.until = min(t, open[0].start), max(t+1, open[0].end), 1
	}
	return p
}

// after is the index of the first open window that starts after start. Values are new
// mostly, so it looks at the end first.
func after[A any](open []pane[A], start int64) int {
	n := len(open)
	if n == 0 || open[n-1].start <= start {
		return n
	}
	lo, hi := 0, n-1 // open[hi].start > start
	for lo < hi {
		mid := (lo + hi) / 2
		if open[mid].start > start {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// join finds the sessions that a value of time t extends or joins: the one that began
// last before it, and then the next one, each unless the session gets too long.
func (w *Windower[In, A, Out, P]) join(open []pane[A], t int64) place {
	i := after(open, t)
	p := place{start: t, end: t + w.gap, from: i, until: i}
	if i > 0 {
		left := &open[i-1]
		if start, end := left.start, max(left.end, p.end); t < left.end && end-start <= w.longest {
			p.start, p.end, p.from = start, end, i-1
		}
	}
	if i < len(open) {
		right := &open[i]
		if end := max(right.end, p.end); right.start < p.end && end-p.start <= w.longest {
			p.end, p.until = end, i+1
		}
	}
	return p
}

// addPane is Add for windows that are panes.
func (w *Windower[In, A, Out, P]) addPane(dst []Pane[Out], s *Windows[A, P], t int64, in In, watermark int64) ([]Pane[Out], Late) {
	at := w.locate(s.open, t)
	if w.kind != global && at.end+w.lateness <= watermark {
		return dst, Late{Why: LateClosed, At: t, Watermark: watermark, End: at.end, Missed: 1}
	}
	if at.from == at.until && len(s.open) >= w.o.MaxOpen {
		return dst, Late{Why: LateFull, At: t, Watermark: watermark, Missed: 1}
	}
	if w.o.Retract && !w.o.Discard {
		for i := at.from; i < at.until; i++ {
			if p := &s.open[i]; p.fired {
				dst = append(dst, Pane[Out]{Start: p.start, End: p.end, Kind: Retraction, Value: w.agg.Result(&p.a)})
			}
		}
	}
	kind := Final
	for i := at.from; i < at.until; i++ {
		if s.open[i].fired {
			kind = Update
		}
	}
	p := w.absorb(s, at)
	w.agg.Add(&p.a, in)
	p.since++
	p.fired = false
	late := w.kind != global && p.end <= watermark
	switch {
	case late:
		p.fired = true
		dst = w.emit(dst, p, kind)
	case w.o.EveryCount > 0 && p.since >= uint64(w.o.EveryCount), w.agg.Emit != nil && w.agg.Emit(in):
		dst = w.emit(dst, p, Early)
		if w.kind == global && w.o.Discard {
			s.open = s.open[:0]
		}
	case w.every > 0 && p.due == noTime:
		base := watermark
		if base < -maxTime {
			base = t // no watermark yet
		}
		p.due = (floorDiv(base, w.every) + 1) * w.every
	}
	return dst, Late{At: t, Watermark: watermark}
}

// absorb makes one window of those at a place, or a new one.
func (w *Windower[In, A, Out, P]) absorb(s *Windows[A, P], at place) *pane[A] {
	if at.from == at.until {
		s.open = slices.Insert(s.open, at.from, pane[A]{start: at.start, end: at.end, due: noTime})
		return &s.open[at.from]
	}
	p := &s.open[at.from]
	for i := at.from + 1; i < at.until; i++ {
		other := &s.open[i]
		w.agg.Merge(&p.a, &other.a)
		p.since += other.since
		if p.due == noTime || other.due != noTime && other.due < p.due {
			p.due = other.due
		}
	}
	s.open = slices.Delete(s.open, at.from+1, at.until)
	p = &s.open[at.from]
	p.start, p.end = at.start, at.end
	return p
}

// emit appends a pane with what the window holds.
func (w *Windower[In, A, Out, P]) emit(dst []Pane[Out], p *pane[A], kind PaneKind) []Pane[Out] {
	dst = append(dst, Pane[Out]{Start: p.start, End: p.end, Kind: kind, Value: w.agg.Result(&p.a)})
	p.since, p.due = 0, noTime
	if w.o.Discard {
		var none A
		p.a = none
	}
	return dst
}

// deadline is when something is to be done for a window.
func (w *Windower[In, A, Out, P]) deadline(p *pane[A]) int64 {
	if p.fired {
		return p.end + w.lateness
	}
	due := int64(math.MaxInt64)
	if w.kind != global {
		due = p.end
	}
	if p.due != noTime {
		due = min(due, p.due)
	}
	return due
}

// firePanes is Fire for windows that are panes.
func (w *Windower[In, A, Out, P]) firePanes(dst []Pane[Out], s *Windows[A, P], until int64) []Pane[Out] {
	for {
		first := -1
		due := int64(math.MaxInt64)
		for i := range s.open {
			if d := w.deadline(&s.open[i]); d < due {
				first, due = i, d
			}
		}
		if first < 0 || due > until {
			return dst
		}
		p := &s.open[first]
		switch {
		case p.fired:
		case w.kind == global:
			dst = w.emit(dst, p, Early)
		case due == p.end:
			p.fired = true
			dst = w.emit(dst, p, Final)
		default:
			dst = w.emit(dst, p, Early)
		}
		if p.fired && p.end+w.lateness <= due || w.kind == global && w.o.Discard {
			s.open = slices.Delete(s.open, first, first+1)
		}
	}
}
