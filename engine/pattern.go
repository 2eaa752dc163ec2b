package engine

import (
	"errors"
	"fmt"
	"hash/fnv"
	"time"
)

// A pattern says which events of a key, in which order, make a match. It follows
// Flink's CEP library; docs/patterns.md states the meaning exactly.

// Limits of a pattern.
const (
	PatternSteps    = 32      // steps of a pattern; the live options of a partial match are bits
	PatternTimesMax = 100_000 // of Times: more is a count, not a pattern
)

// contiguity is what may stand between an event and the one taken before it.
type contiguity uint8

const (
	anywhere   contiguity = iota // the first step
	strict                       // nothing
	relaxed                      // nothing that the step would have taken
	relaxedAny                   // anything
)

// patternStep is a step as built.
type patternStep[T any] struct {
	name     string
	negated  bool
	before   contiguity // to the event taken before the step's first
	inner    contiguity // between the step's own events
	least    int
	most     int // 0: no limit
	optional bool
	greedy   bool
	gap      int64 // milliseconds since the event taken before; 0: no limit
	where    []func(v T, m *Matched[T]) bool
	until    []func(v T, m *Matched[T]) bool
	alone    []func(v T) bool // of where: those that see nothing but the event
	ends     []func(v T) bool // of until, likewise
}

func (s *patternStep[T]) loops() bool { return s.most != 1 }

// SkipStrategy says what else may match where a match was found.
type SkipStrategy struct {
	kind skipKind
	step string
}

type skipKind uint8

const (
	skipNothing skipKind = iota
	skipToNext
	skipPastLast
	skipToFirst
	skipToLast
)

// NoSkip emits every match. It is the default.
func NoSkip() SkipStrategy { return SkipStrategy{} }

// SkipToNext emits one match for each event that a match begins with: the first.
func SkipToNext() SkipStrategy { return SkipStrategy{kind: skipToNext} }

// SkipPastLast lets no match begin within another one.
func SkipPastLast() SkipStrategy { return SkipStrategy{kind: skipPastLast} }

// SkipToFirst lets no match begin within another one before its first event of step.
func SkipToFirst(step string) SkipStrategy { return SkipStrategy{kind: skipToFirst, step: step} }

// SkipToLast lets no match begin within another one before its last event of step.
func SkipToLast(step string) SkipStrategy { return SkipStrategy{kind: skipToLast, step: step} }

// Pattern is a checked pattern. It never changes; any number of matchers may share it.
type Pattern[T any] struct {
	steps  []patternStep[T]
	within int64 // milliseconds; 0: no limit
	skip   SkipStrategy
	skipTo int // index of skip.step
	hash   uint32

	exits   []uint64 // per step: the steps, or end, that may follow when it has its least number
	entries uint64   // the steps that may take the first event
	negated uint64   // the negated steps
	strict  []uint64 // per step: options from it that only the very next event may take
	gaps    bool     // a step has a gap
	close   bool     // a step looks at the very next event, whatever it is
	endsNot bool     // something must not follow the last positive step: only time completes a match
	endGap  int64    // of the last step, if it is negated
}

// end is the option of a partial match to be complete once its time is over.
func (p *Pattern[T]) end() int { return len(p.steps) }

// Hash identifies the steps, their order and counts, and the version, but neither the
// time of Within nor the conditions, which are functions.
func (p *Pattern[T]) Hash() uint32 { return p.hash }

// PatternBuilder puts a pattern together. Where, Until, the counts and Gap are about
// the step named last.
type PatternBuilder[T any] struct {
	p       Pattern[T]
	version string
	errs    []error
}

// BeginPattern begins a pattern with a step.
func BeginPattern[T any](step string) *PatternBuilder[T] {
	b := &PatternBuilder[T]{}
	return b.add(step, anywhere, false)
}

// Next adds a step whose event comes directly behind the one before.
func (b *PatternBuilder[T]) Next(step string) *PatternBuilder[T] { return b.add(step, strict, false) }

// FollowedBy adds a step that takes the first fitting event behind the one before.
func (b *PatternBuilder[T]) FollowedBy(step string) *PatternBuilder[T] {
	return b.add(step, relaxed, false)
}

// FollowedByAny adds a step that takes each fitting event behind the one before, for a
// match of its own.
func (b *PatternBuilder[T]) FollowedByAny(step string) *PatternBuilder[T] {
	return b.add(step, relaxedAny, false)
}

// NotNext adds a step that must not fit the event directly behind the one before.
func (b *PatternBuilder[T]) NotNext(step string) *PatternBuilder[T] { return b.add(step, strict, true) }

// NotFollowedBy adds a step that must fit no event until the next step takes one or,
// at the end of the pattern, until its time is over.
func (b *PatternBuilder[T]) NotFollowedBy(step string) *PatternBuilder[T] {
	return b.add(step, relaxed, true)
}

func (b *PatternBuilder[T]) add(name string, before contiguity, negated bool) *PatternBuilder[T] {
	if name == "" {
		b.fail("step %d has no name", len(b.p.steps)+1)
	}
	for i := range b.p.steps {
		if b.p.steps[i].name == name {
			b.fail("two steps are called %q", name)
		}
	}
	b.p.steps = append(b.p.steps, patternStep[T]{name: name, negated: negated, before: before, inner: relaxed, least: 1, most: 1})
	return b
}

func (b *PatternBuilder[T]) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}

func (b *PatternBuilder[T]) last() *patternStep[T] { return &b.p.steps[len(b.p.steps)-1] }

// Where adds a condition to the step; all of them must hold.
func (b *PatternBuilder[T]) Where(f func(v T) bool) *PatternBuilder[T] {
	b.last().alone = append(b.last().alone, f)
	return b.WhereMatched(func(v T, _ *Matched[T]) bool { return f(v) })
}

// WhereMatched adds a condition that sees what was taken before, too.
func (b *PatternBuilder[T]) WhereMatched(f func(v T, m *Matched[T]) bool) *PatternBuilder[T] {
	s := b.last()
	s.where = append(s.where, f)
	return b
}

// Times lets the step take exactly n events.
func (b *PatternBuilder[T]) Times(n int) *PatternBuilder[T] { return b.times(n, n) }

// TimesBetween lets the step take at least least and at most most events.
func (b *PatternBuilder[T]) TimesBetween(least, most int) *PatternBuilder[T] {
	if most < least {
		b.fail("step %q: at least %d, at most %d times", b.last().name, least, most)
	}
	return b.times(least, most)
}

// TimesOrMore lets the step take n events or more.
func (b *PatternBuilder[T]) TimesOrMore(n int) *PatternBuilder[T] {
	b.times(n, max(n, 1))
	b.last().most = 0
	return b
}

// OneOrMore lets the step take one event or more.
func (b *PatternBuilder[T]) OneOrMore() *PatternBuilder[T] { return b.TimesOrMore(1) }

func (b *PatternBuilder[T]) times(least, most int) *PatternBuilder[T] {
	s := b.last()
	if least < 1 || most > PatternTimesMax {
		b.fail("step %q: %d to %d times, allowed are 1 to %d; use Optional for none", s.name, least, most, PatternTimesMax)
	}
	if s.most != 1 {
		b.fail("step %q: how many times is said twice", s.name)
	}
	s.least, s.most = least, most
	return b
}

// Optional lets the step take nothing.
func (b *PatternBuilder[T]) Optional() *PatternBuilder[T] {
	b.last().optional = true
	return b
}

// Greedy makes the step take what it can: no later step takes an event that it could.
func (b *PatternBuilder[T]) Greedy() *PatternBuilder[T] {
	b.last().greedy = true
	return b
}

// Consecutive lets nothing stand between the events of the step.
func (b *PatternBuilder[T]) Consecutive() *PatternBuilder[T] { return b.between(strict) }

// AllowCombinations lets the step leave fitting events out, each choice a match of its
// own.
func (b *PatternBuilder[T]) AllowCombinations() *PatternBuilder[T] { return b.between(relaxedAny) }

func (b *PatternBuilder[T]) between(c contiguity) *PatternBuilder[T] {
	s := b.last()
	if s.inner != relaxed {
		b.fail("step %q: what may stand between its events is said twice", s.name)
	}
	s.inner = c
	return b
}

// Until ends the step at an event for which f holds: neither it nor a later one is
// taken by the step.
func (b *PatternBuilder[T]) Until(f func(v T) bool) *PatternBuilder[T] {
	b.last().ends = append(b.last().ends, f)
	return b.UntilMatched(func(v T, _ *Matched[T]) bool { return f(v) })
}

// UntilMatched is Until with a condition that sees what was taken before, too.
func (b *PatternBuilder[T]) UntilMatched(f func(v T, m *Matched[T]) bool) *PatternBuilder[T] {
	s := b.last()
	s.until = append(s.until, f)
	return b
}

// Gap wants each event of the step less than d behind the event taken before it. At a
// NotFollowedBy that ends the pattern it is how long nothing must follow.
func (b *PatternBuilder[T]) Gap(d time.Duration) *PatternBuilder[T] {
	s := b.last()
	if d < time.Millisecond {
		b.fail("step %q: a gap of %s, at least a millisecond", s.name, d)
	}
	if s.before == anywhere && s.most == 1 {
		b.fail("step %q: a gap before the first event", s.name)
	}
	s.gap = d.Milliseconds()
	return b
}

// Within wants every event of a match less than d behind its first one. It may stand
// anywhere and holds for the whole pattern.
func (b *PatternBuilder[T]) Within(d time.Duration) *PatternBuilder[T] {
	if d < time.Millisecond {
		b.fail("within %s, at least a millisecond", d)
	}
	if b.p.within != 0 {
		b.fail("within is said twice: between two steps it is called Gap")
	}
	b.p.within = d.Milliseconds()
	return b
}

// Skip sets what happens after a match.
func (b *PatternBuilder[T]) Skip(s SkipStrategy) *PatternBuilder[T] {
	b.p.skip = s
	return b
}

// Version names the version of the conditions, which nothing else can tell apart: a
// state that was made with another one lets its partial matches go.
func (b *PatternBuilder[T]) Version(v string) *PatternBuilder[T] {
	b.version = v
	return b
}

// Build checks the pattern. The error names everything that is wrong with it.
func (b *PatternBuilder[T]) Build() (*Pattern[T], error) {
	p := b.p // the builder may go on
	p.steps = append([]patternStep[T](nil), b.p.steps...)
	errs := append([]error(nil), b.errs...)
	errs = append(errs, p.check()...)
	if len(errs) > 0 {
		return nil, fmt.Errorf("pattern %q: %w", p.steps[0].name, errors.Join(errs...))
	}
	p.compile()
	p.hash = p.fingerprint(b.version)
	return &p, nil
}

func (p *Pattern[T]) check() []error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(p.steps) > PatternSteps {
		fail("%d steps, at most %d", len(p.steps), PatternSteps)
	}
	mandatory, open := false, ""
	for i := range p.steps {
		s := &p.steps[i]
		switch {
		case s.negated:
			open = s.name
		case !s.optional:
			open = ""
		}
		switch {
		case s.negated && (s.most != 1 || s.optional || s.greedy || s.inner != relaxed || len(s.until) > 0):
			fail("step %q must not happen, so it has neither counts nor an end", s.name)
		case s.negated && len(s.where) == 0:
			fail("step %q must not happen and has no condition: nothing could follow", s.name)
		case s.negated && !mandatory:
			fail("step %q must not happen after something that is optional itself", s.name)
		case s.negated && s.gap != 0 && i < len(p.steps)-1:
			fail("step %q must not happen: its time is that of the step behind it", s.name)
		case s.inner != relaxed && !s.loops():
			fail("step %q takes one event: nothing can stand between its events", s.name)
		case len(s.until) > 0 && s.most != 0:
			fail("step %q has an end and is not open: until needs OneOrMore or TimesOrMore", s.name)
		case s.greedy && !s.loops() && !s.optional:
			fail("step %q takes one event: greedy means nothing", s.name)
		}
		mandatory = mandatory || !s.negated && !s.optional
	}
	if last := &p.steps[len(p.steps)-1]; open != "" && !last.negated {
		fail("step %q must not happen, and behind it stands only what is optional, as %q: when would it be over?", open, last.name)
	}
	if !mandatory {
		fail("every step is optional: it would match nothing at all")
	}
	if s := &p.steps[len(p.steps)-1]; s.negated {
		if s.before == strict {
			fail("it ends with NotNext %q: without an event behind it nothing tells", s.name)
		} else if p.within == 0 && s.gap == 0 {
			fail("it ends with NotFollowedBy %q and has no Within: it would never be complete", s.name)
		}
	} else if s.greedy {
		fail("step %q is greedy and last: there is nothing that it could take from", s.name)
	}
	return append(errs, p.checkSkip()...)
}

func (p *Pattern[T]) checkSkip() []error {
	if p.skip.step == "" && p.skip.kind != skipToFirst && p.skip.kind != skipToLast {
		return nil
	}
	for i := range p.steps {
		s := &p.steps[i]
		if s.name != p.skip.step {
			continue
		}
		p.skipTo = i
		switch {
		case s.negated:
			return []error{fmt.Errorf("skip to step %q, which must not happen", s.name)}
		case s.optional:
			return []error{fmt.Errorf("skip to step %q, which is optional", s.name)}
		case i == 0 && (p.skip.kind == skipToFirst || !s.loops()):
			return []error{fmt.Errorf("skip to step %q, where the match began: it would skip nothing", s.name)}
		}
		return nil
	}
	return []error{fmt.Errorf("skip to step %q, which the pattern does not have", p.skip.step)}
}

// compile works out which steps may follow which.
func (p *Pattern[T]) compile() {
	n := len(p.steps)
	reach := func(from int) uint64 { // the steps that may take an event when those before from are done
		var mask uint64
		for j := from; j < n; j++ {
			if p.steps[j].negated {
				continue
			}
			mask |= 1 << j
			if !p.steps[j].optional {
				return mask
			}
		}
		return mask | 1<<n
	}
	p.exits, p.strict = make([]uint64, n), make([]uint64, n)
	for i := range p.steps {
		s := &p.steps[i]
		p.gaps = p.gaps || s.gap != 0
		p.close = p.close || s.before == strict || s.inner == strict
		if s.negated {
			p.negated |= 1 << i
			continue
		}
		p.exits[i] = reach(i + 1)
		for j := i + 1; j < n; j++ {
			if p.steps[j].before == strict && !p.steps[j].negated {
				p.strict[i] |= 1 << j
			}
		}
		if s.inner == strict {
			p.strict[i] |= 1 << i
		}
	}
	p.entries = reach(0)
	for i := n - 1; i >= 0 && p.steps[i].negated; i-- {
		p.endsNot, p.endGap = true, max(p.endGap, p.steps[i].gap)
	}
}

// concerns tells whether an event can matter to the pattern, whatever was taken: what
// cannot need neither wait nor be looked at, which is most of what a shop's log holds.
func (p *Pattern[T]) concerns(v T) bool {
	if p.close {
		return true
	}
	for i := range p.steps {
		s := &p.steps[i]
		if allHold(s.alone, v) || len(s.until) > 0 && allHold(s.ends, v) {
			return true
		}
	}
	return false
}

func allHold[T any](conditions []func(T) bool, v T) bool {
	for _, f := range conditions {
		if !f(v) {
			return false
		}
	}
	return true
}

// options are those of a partial match that stands at a step with a count of events.
func (p *Pattern[T]) options(step, count int) uint64 {
	s := &p.steps[step]
	var mask uint64
	if s.most == 0 || count < s.most {
		mask |= 1 << step
	}
	if count >= s.least {
		mask |= p.exits[step]
	}
	return mask
}

func (p *Pattern[T]) fingerprint(version string) uint32 {
	h := fnv.New32a()
	for i := range p.steps {
		s := &p.steps[i]
		fmt.Fprintf(h, "%q %t %d %d %d %d %t %t %d %d %d;", s.name, s.negated, s.before, s.inner, s.least, s.most, s.optional, s.greedy, s.gap, len(s.where), len(s.until))
	}
	fmt.Fprintf(h, "%d %q %q", p.skip.kind, p.skip.step, version)
	return max(h.Sum32(), 1)
}
