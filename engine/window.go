package engine

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"millrace/state"
)

// WindowOptions say how the values of a key are grouped by event time. With Size the
// windows are tumbling, or sliding if Slide is shorter; with Gap they are sessions; with
// neither there is one global window, which needs a trigger. Times are whole
// milliseconds. All windows are half-open, [start, end).
type WindowOptions struct {
	Size   time.Duration // of tumbling and sliding windows
	Slide  time.Duration // from one sliding window's start to the next; Size if zero
	Offset time.Duration // windows start at Offset after a multiple of the slide since the epoch
	Gap    time.Duration // a session ends at its last value plus Gap
	// Longest bounds a session, its gap included: what would make it longer begins
	// another one. Without it a visitor that never sleeps would never be counted.
	Longest time.Duration

	// Lateness is how long a complete window is kept for values that come late: each
	// of them emits the window again.
	Lateness time.Duration
	// EveryCount and Every emit a pane before its window is complete: after so many
	// values, or at the first multiple of Every that the watermark passes after a
	// change. Not for sliding windows, whose slide does it.
	EveryCount int
	Every      time.Duration
	// Discard begins anew after each pane: panes of a window add up. Without it each
	// pane replaces the one before. Not for sliding windows.
	Discard bool
	// Retract emits what a late value makes wrong once more, as a Retraction, before
	// its replacement.
	Retract bool
	// OnChange leaves out a sliding window whose values are those of the one before
	// it, and emits one empty pane when the last value has left.
	OnChange bool
	// MaxOpen is how many windows, or slices of sliding ones, a key may keep. A value
	// that would need one more is refused as LateFull.
	MaxOpen int
}

func (o WindowOptions) withDefaults() WindowOptions {
	o.Slide = cmp.Or(o.Slide, o.Size)
	if o.Gap > 0 {
		o.Longest = cmp.Or(o.Longest, max(24*time.Hour, 2*o.Gap)) // nobody shops for a day
	}
	slices := 0
	if o.Slide > 0 {
		slices = int((o.Size + o.Lateness) / o.Slide)
	}
	o.MaxOpen = cmp.Or(o.MaxOpen, 1024+4*min(slices, 1<<18)) // a slide may have two slices; the rest is what comes ahead of the watermark
	return o
}

var errWindow = errors.New("such windows cannot be")

func (o *WindowOptions) check(emits bool) error {
	for name, d := range map[string]time.Duration{
		"size": o.Size, "slide": o.Slide, "gap": o.Gap, "longest": o.Longest, "lateness": o.Lateness, "every": o.Every,
	} {
		if d < 0 || d%time.Millisecond != 0 || d > maxSpan {
			return fmt.Errorf("%s of %v: want whole milliseconds, at least 0 and at most %v: %w", name, d, maxSpan, errWindow)
		}
	}
	sliding := o.Slide < o.Size
	switch {
	case o.Offset%time.Millisecond != 0 || o.Offset.Abs() > maxSpan:
		return fmt.Errorf("offset of %v: want whole milliseconds, at most %v: %w", o.Offset, maxSpan, errWindow)
	case o.Size > 0 && o.Gap > 0:
		return fmt.Errorf("both a size and a gap: %w", errWindow)
	case o.Slide > o.Size:
		return fmt.Errorf("slide of %v above a size of %v would lose values: %w", o.Slide, o.Size, errWindow)
	case sliding && (o.EveryCount != 0 || o.Every != 0 || o.Discard || emits):
		return fmt.Errorf("early panes of sliding windows: shorten the slide: %w", errWindow)
	case sliding && o.Size/o.Slide > maxSlices:
		return fmt.Errorf("more than %d slides in a window: %w", maxSlices, errWindow)
	case !sliding && o.OnChange:
		return fmt.Errorf("on-change panes of windows that do not slide: %w", errWindow)
	case o.Gap > 0 && o.Longest < o.Gap:
		return fmt.Errorf("sessions of at most %v with a gap of %v: %w", o.Longest, o.Gap, errWindow)
	case o.Size == 0 && o.Gap == 0 && o.EveryCount == 0 && o.Every == 0 && !emits:
		return fmt.Errorf("a global window without a trigger never emits: %w", errWindow)
	case o.EveryCount < 0 || o.MaxOpen < 0:
		return fmt.Errorf("negative counts: %w", errWindow)
	}
	return nil
}

// What keeps arithmetic on times far from its limits.
const (
	maxSpan   = 100 * 365 * 24 * time.Hour
	maxTime   = int64(1) << 50 // Unix milliseconds, 35,000 years either way
	maxSlices = 100_000
	noTime    = math.MinInt64
)

// Aggregate says how values become an accumulator and accumulators a result. The zero
// value of A is the accumulator of no values. Merge must be associative in what it means;
// accumulators are always merged from old to new and in groupings that depend on event
// times only, so that even rounding is the same in each run.
type Aggregate[In, A, Out any] struct {
	Add    func(a *A, in In) // folds one value in
	Merge  func(a, b *A)     // folds b, which is newer, into a; must not keep or change b
	Result func(a *A) Out    // must not change a, nor point into it
	// Emit, unless nil, tells whether a value asks for a pane at once (punctuation).
	Emit func(in In) bool
}

// PaneKind says why a pane was emitted.
type PaneKind uint8

// The kinds of panes.
const (
	// Early is a pane of a window that is not complete: a trigger asked for it. All
	// panes of a global window are early.
	Early PaneKind = iota
	// Final is the first pane after the watermark passed the window's end.
	Final
	// Update replaces a final pane, because of a late value.
	Update
	// Retraction takes a pane back whose window has changed or is merged into another.
	Retraction
)

// String names the kind.
func (k PaneKind) String() string {
	names := [...]string{"early", "final", "update", "retraction"}
	if int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// Pane is a result that a window emits.
type Pane[Out any] struct {
	Start, End int64 // Unix milliseconds, half-open; of a global window as its values reach
	Kind       PaneKind
	Empty      bool // with OnChange: the window has no values any more
	Value      Out
}

// LateReason says why a value did not count, or not everywhere.
type LateReason uint8

// The reasons.
const (
	OnTime     LateReason = iota // it counted in every window that it belongs to
	LateClosed                   // every window that it belongs to is closed
	LatePartly                   // some sliding windows are closed; it counted in the others
	LateFull                     // the key has WindowOptions.MaxOpen windows
	LateClock                    // its time is not a time
)

// String names the reason.
func (r LateReason) String() string {
	names := [...]string{"on time", "closed", "partly closed", "too many windows", "time out of range"}
	if int(r) >= len(names) {
		return "unknown"
	}
	return names[r]
}

// Late is what became of a value: with Why other than OnTime it belongs to the late
// side output.
type Late struct {
	Why       LateReason
	At        int64 // the value's time
	Watermark int64 // at which it came
	End       int64 // of the newest window that had closed
	Missed    int64 // windows in which it does not count
}

// Windows is what one key keeps: its open windows, or the slices that its sliding
// windows share. The zero value is empty. One goroutine at a time.
type Windows[A any, P state.Codec[A]] struct {
	open   []pane[A]
	shape  uint32 // of the options that open was made with
	begun  bool   // of sliding windows: fired means something
	fired  int64  // every window that ends at or before it has emitted, unless empty
	forced bool   // with OnChange: force emits next, whatever has entered or left
	force  int64
	armed  bool  // timer means something
	timer  int64 // the earliest timer that the operator has set
	cache  *slideCache[A]
}

// pane is an open window, or a slice, whose start is its number.
type pane[A any] struct {
	start, end int64
	due        int64  // of an early pane; noTime for none
	since      uint64 // values since a pane was emitted
	fired      bool   // its final pane was emitted
	a          A
}

// Empty tells whether there is nothing to keep.
func (s *Windows[A, P]) Empty() bool { return len(s.open) == 0 }

// Open is how many windows, or slices, are kept.
func (s *Windows[A, P]) Open() int { return len(s.open) }

// Windower runs windows: it holds what all keys share. One goroutine at a time.
type Windower[In, A, Out any, P state.Codec[A]] struct {
	o        WindowOptions
	agg      Aggregate[In, A, Out]
	kind     windowKind
	size     int64 // milliseconds, like all that follow
	gap      int64
	longest  int64
	lateness int64
	every    int64
	offset   int64
	slices   slicing
	shape    uint32
}

type windowKind uint8

const (
	global windowKind = iota
	tumbling
	session
	sliding
)

// NewWindower makes a windower.
func NewWindower[In, A, Out any, P state.Codec[A]](o WindowOptions, agg Aggregate[In, A, Out]) (*Windower[In, A, Out, P], error) {
	o = o.withDefaults()
	if err := o.check(agg.Emit != nil); err != nil {
		return nil, err
	}
	if agg.Add == nil || agg.Merge == nil || agg.Result == nil {
		return nil, fmt.Errorf("an aggregate lacks a function: %w", errWindow)
	}
	w := &Windower[In, A, Out, P]{
		o: o, agg: agg,
		size: o.Size.Milliseconds(), gap: o.Gap.Milliseconds(), longest: o.Longest.Milliseconds(),
		lateness: o.Lateness.Milliseconds(), every: o.Every.Milliseconds(), offset: o.Offset.Milliseconds(),
	}
	switch {
	case o.Gap > 0:
		w.kind = session
	case o.Slide < o.Size:
		w.kind = sliding
		w.slices = newSlicing(w.size, o.Slide.Milliseconds(), w.offset)
	case o.Size > 0:
		w.kind = tumbling
	}
	w.shape = uint32(w.kind) + 1
	if w.kind == sliding {
		w.shape = uint32(hash64(fmt.Sprint(w.slices.size, w.slices.slide, w.slices.offset))) | 4 //nolint:gosec // some of its bits
	}
	return w, nil
}

// Fits tells whether windows can have been made with w's options. A size, a gap or a
// lateness may change while windows are open: those finish by the new ones. But slices
// mean nothing to other slides, nor windows of one kind to another.
func (w *Windower[In, A, Out, P]) Fits(s *Windows[A, P]) bool {
	n := len(s.open)
	if n == 0 {
		return true
	}
	if w.kind == sliding {
		most := 2 * (4 * maxTime / w.slices.slide)
		return s.shape == w.shape && s.open[0].start > -most && s.open[n-1].start < most
	}
	return s.shape == w.shape
}

// Add takes a value of time t at a watermark, which must never go back, and appends the panes that it causes: of
// windows that are due before it, early ones, and updates. A value whose windows are all
// closed changes nothing.
func (w *Windower[In, A, Out, P]) Add(dst []Pane[Out], s *Windows[A, P], t int64, in In, watermark int64) ([]Pane[Out], Late) {
	dst = w.Fire(dst, s, watermark)
	if t < -maxTime || t > maxTime {
		return dst, Late{Why: LateClock, At: t, Watermark: watermark}
	}
	s.shape = w.shape
	if w.kind == sliding {
		return w.slide(dst, s, t, in, watermark)
	}
	return w.addPane(dst, s, t, in, watermark)
}

// Fire appends the panes that are due at or before until, in the order of their times,
// and drops what is not needed any more. Calling it once, or for each deadline in turn,
// gives the same panes.
func (w *Windower[In, A, Out, P]) Fire(dst []Pane[Out], s *Windows[A, P], until int64) []Pane[Out] {
	if len(s.open) == 0 {
		return dst
	}
	until = min(until, 2*maxTime) // at the end of a bounded input it is without end
	if w.kind == sliding {
		return w.fireSlides(dst, s, until)
	}
	return w.firePanes(dst, s, until)
}

// Next is the next time at which Fire has something to do.
func (w *Windower[In, A, Out, P]) Next(s *Windows[A, P]) (due int64, ok bool) {
	if len(s.open) == 0 {
		return 0, false
	}
	if w.kind == sliding {
		return w.nextSlide(s)
	}
	due = math.MaxInt64
	for i := range s.open {
		due = min(due, w.deadline(&s.open[i]))
	}
	return due, due != math.MaxInt64
}

// floorDiv is a divided by b, rounded down.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
