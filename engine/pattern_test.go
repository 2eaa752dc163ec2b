package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// toy is an event of a test: a kind, and a number that conditions compare.
type toy struct {
	at   int64
	kind byte
	x    int
}

func toyCodec() EventCodec[toy] {
	return EventCodec[toy]{
		Append: func(b []byte, v toy) []byte {
			b = binary.AppendVarint(b, v.at)
			b = append(b, v.kind)
			return binary.AppendVarint(b, int64(v.x))
		},
		Decode: func(b []byte) (toy, error) {
			at, n := binary.Varint(b)
			if n <= 0 || len(b) <= n+1 {
				return toy{}, errors.New("not a toy")
			}
			x, _ := binary.Varint(b[n+1:])
			return toy{at: at, kind: b[n], x: int(x)}, nil
		},
	}
}

// is is the condition that an event is of a kind.
func is(kinds string) func(toy) bool {
	return func(v toy) bool { return strings.IndexByte(kinds, v.kind) >= 0 }
}

// script runs "a1 b2 w5": events with their times, and the watermark alone. The
// watermark follows the events at once, so a script is in order. Each event may have
// a number behind a dot: "a1.7". The answer is every outcome, in order.
func script(t *testing.T, p *Pattern[toy], in string) string {
	t.Helper()
	r := newScene(p, PatternLimits{})
	for word := range strings.FieldsSeq(in) {
		var at int64
		var x int
		rest, num, dotted := strings.Cut(word[1:], ".")
		if _, err := fmt.Sscan(rest, &at); err != nil {
			t.Fatalf("%q: %v", word, err)
		}
		if dotted {
			if _, err := fmt.Sscan(num, &x); err != nil {
				t.Fatalf("%q: %v", word, err)
			}
		}
		if word[0] == 'w' {
			r.advance(t, at)
		} else {
			r.offer(t, toy{at: at, kind: word[0], x: x}, at)
		}
		r.reopen(t)
	}
	return strings.Join(r.out, "; ")
}

// scene is a matcher with the state of one key, and what it said.
type scene struct {
	m     *Matcher[toy]
	s     PatternState
	out   []string
	all   []PatternResult[toy]
	bytes []byte
}

func newScene(p *Pattern[toy], l PatternLimits) *scene {
	return &scene{m: NewMatcher(p, toyCodec(), l)}
}

func (r *scene) emit(x PatternResult[toy]) {
	var b strings.Builder
	if x.Outcome != PatternMatched {
		fmt.Fprintf(&b, "%s@%d ", x.Outcome, x.Time)
	}
	for i, e := range x.Events {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%c%d", e.Value.kind, e.Time)
	}
	r.out = append(r.out, b.String())
	r.all = append(r.all, x)
}

func (r *scene) offer(t fataler, v toy, now int64) bool {
	changed, err := r.m.Offer(&r.s, v.at, v, now, r.emit)
	if err != nil {
		t.Fatalf("offer %v at %d: %v", v, now, err)
	}
	return changed
}

func (r *scene) advance(t fataler, now int64) bool {
	changed, err := r.m.Advance(&r.s, now, r.emit)
	if err != nil {
		t.Fatalf("advance to %d: %v", now, err)
	}
	return changed
}

type fataler interface{ Fatalf(string, ...any) }

// reopen writes the state and reads it back, and wants the same bytes again.
func (r *scene) reopen(t fataler) {
	b := r.s.AppendTo(nil)
	var again PatternState
	if err := again.DecodeFrom(b); err != nil {
		t.Fatalf("read back %x: %v", b, err)
	}
	if c := again.AppendTo(nil); !slices.Equal(b, c) {
		t.Fatalf("written %x, read and written again %x", b, c)
	}
	for i := range again.runs {
		if again.runs[i] != r.s.runs[i] {
			t.Fatalf("partial match %+v is read back as %+v", r.s.runs[i], again.runs[i])
		}
	}
	r.s, r.bytes = again, b
}

func build(t *testing.T, b *PatternBuilder[toy]) *Pattern[toy] {
	t.Helper()
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPatternContiguity(t *testing.T) {
	f := func(b *PatternBuilder[toy], in, want string) {
		t.Helper()
		if got := script(t, build(t, b), in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	begin := func() *PatternBuilder[toy] { return BeginPattern[toy]("a").Where(is("a")) }
	// Next: nothing in between.
	f(begin().Next("b").Where(is("b")), "a1 b2 b3", "a1 b2")
	f(begin().Next("b").Where(is("b")), "a1 c2 b3", "")
	// FollowedBy: the first that fits.
	f(begin().FollowedBy("b").Where(is("b")), "a1 c2 b3 b4", "a1 b3")
	// FollowedByAny: each that fits.
	f(begin().FollowedByAny("b").Where(is("b")), "a1 c2 b3 b4", "a1 b3; a1 b4")
	// Each a begins a match of its own.
	f(begin().FollowedBy("b").Where(is("b")), "a1 a2 b3", "a1 b3; a2 b3")
	// NotNext: the next one must not fit, later ones may.
	f(begin().NotNext("n").Where(is("n")).FollowedBy("b").Where(is("b")), "a1 n2 b3", "")
	f(begin().NotNext("n").Where(is("n")).FollowedBy("b").Where(is("b")), "a1 c2 n3 b4", "a1 b4")
	// NotFollowedBy between two steps.
	f(begin().NotFollowedBy("n").Where(is("n")).FollowedBy("b").Where(is("b")), "a1 c2 n3 b4", "")
	f(begin().NotFollowedBy("n").Where(is("n")).FollowedBy("b").Where(is("b")), "a1 c2 b3 n4", "a1 b3")
	// An event that is both what must not happen and what is waited for does not match.
	f(begin().NotFollowedBy("n").Where(is("nb")).FollowedBy("b").Where(is("b")), "a1 b2", "")
}

// These are the examples of Flink's documentation for loops: a, then any sequence of
// one or more b, then c.
func TestPatternLoops(t *testing.T) {
	f := func(b *PatternBuilder[toy], in, want string) {
		t.Helper()
		got := strings.Split(script(t, build(t, b), in), "; ")
		slices.Sort(got)
		if g := strings.Join(got, "; "); g != want {
			t.Errorf("%q: got %q, want %q", in, g, want)
		}
	}
	begin := func() *PatternBuilder[toy] {
		return BeginPattern[toy]("a").Where(is("a")).FollowedByAny("b").Where(is("b")).OneOrMore()
	}
	const in = "a1 b2 d3 b4 d5 b6 c7"
	f(begin().Consecutive().FollowedBy("c").Where(is("c")), in, "a1 b2 c7; a1 b4 c7; a1 b6 c7")
	f(begin().FollowedBy("c").Where(is("c")), in, "a1 b2 b4 b6 c7; a1 b2 b4 c7; a1 b2 c7; a1 b4 b6 c7; a1 b4 c7; a1 b6 c7")
	f(begin().AllowCombinations().FollowedBy("c").Where(is("c")), in,
		"a1 b2 b4 b6 c7; a1 b2 b4 c7; a1 b2 b6 c7; a1 b2 c7; a1 b4 b6 c7; a1 b4 c7; a1 b6 c7")
	// Exactly two, and two to three.
	two := func() *PatternBuilder[toy] {
		return BeginPattern[toy]("a").Where(is("a")).FollowedBy("b").Where(is("b"))
	}
	f(two().Times(2), in, "a1 b2 b4")
	f(two().TimesBetween(2, 3), in, "a1 b2 b4; a1 b2 b4 b6")
	f(two().TimesOrMore(3).FollowedBy("c").Where(is("c")), in, "a1 b2 b4 b6 c7")
	// Optional: with and without.
	f(two().Optional().FollowedBy("c").Where(is("c")), "a1 b2 c3", "a1 b2 c3; a1 c3")
	f(two().Optional().FollowedBy("c").Where(is("c")), "a1 c3", "a1 c3")
	// Greedy: not without, and as many as there are.
	f(two().Optional().Greedy().FollowedBy("c").Where(is("c")), "a1 b2 c3", "a1 b2 c3")
	f(two().OneOrMore().Greedy().FollowedBy("c").Where(is("c")), in, "a1 b2 b4 b6 c7")
	f(two().OneOrMore().Greedy().FollowedBy("c").Where(is("bc")), in, "a1 b2 b4 b6 c7")
	// Until: what comes behind its event is not taken.
	f(two().OneOrMore().Greedy().Until(is("d")).FollowedBy("c").Where(is("c")), in, "a1 b2 c7")
}

func TestPatternSkip(t *testing.T) {
	f := func(s SkipStrategy, want string) {
		t.Helper()
		p := build(t, BeginPattern[toy]("b").Where(is("b")).OneOrMore().Next("c").Where(is("c")).Skip(s))
		if got := script(t, p, "b1 b2 b3 c4"); got != want {
			t.Errorf("%v: got %q, want %q", s, got, want)
		}
	}
	// The table of Flink's documentation for b+ c.
	f(NoSkip(), "b1 b2 b3 c4; b2 b3 c4; b3 c4")
	f(SkipToNext(), "b1 b2 b3 c4; b2 b3 c4; b3 c4")
	f(SkipPastLast(), "b1 b2 b3 c4")
	f(SkipToLast("b"), "b1 b2 b3 c4; b3 c4")
	f(SkipToFirst("c"), "b1 b2 b3 c4")
}

func TestPatternConditions(t *testing.T) {
	// The price falls three times: each is compared with the one before.
	falls := build(t, BeginPattern[toy]("p").WhereMatched(func(v toy, m *Matched[toy]) bool {
		last, ok := m.Last("p")
		return !ok || v.x < last.x
	}).Times(3).Consecutive())
	if got, want := script(t, falls, "p1.9 p2.8 p3.7 p4.9 p5.5 p6.4"), "p1 p2 p3; p4 p5 p6"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	same := build(t, BeginPattern[toy]("a").Where(is("a")).FollowedBy("b").Where(is("b")).WhereMatched(func(v toy, m *Matched[toy]) bool {
		return len(m.All("a")) == 1 && m.All("a")[0].x == v.x
	}))
	if got, want := script(t, same, "a1.7 a2.8 b3.8 b4.7"), "a2 b3; a1 b4"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPatternTime(t *testing.T) {
	f := func(b *PatternBuilder[toy], in, want string) {
		t.Helper()
		if got := script(t, build(t, b), in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	ms := time.Millisecond
	ab := func() *PatternBuilder[toy] {
		return BeginPattern[toy]("a").Where(is("a")).FollowedBy("b").Where(is("b"))
	}
	left := func() *PatternBuilder[toy] {
		return BeginPattern[toy]("a").Where(is("a")).NotFollowedBy("b").Where(is("b"))
	}
	// Within ends before its last millisecond.
	f(ab().Within(10*ms), "a1 b10", "a1 b10")
	f(ab().Within(10*ms), "a1 b11", "timed-out@11 a1")
	// The watermark alone ends it, once.
	f(ab().Within(10*ms), "a1 w10 w11 w12 b13", "timed-out@11 a1")
	// A gap counts from the event before.
	f(ab().Gap(5*ms).FollowedBy("c").Where(is("c")).Gap(5*ms), "a1 b5 c9", "a1 b5 c9")
	f(ab().Gap(5*ms).FollowedBy("c").Where(is("c")).Gap(5*ms), "a1 b5 c10", "timed-out@10 a1 b5")
	// A not followed by b: the watermark fires it, no later event is needed.
	f(left().Within(10*ms), "a1 w10", "")
	f(left().Within(10*ms), "a1 w10 w11", "a1")
	f(left().Within(10*ms), "a1 b10 w30", "")
	f(left().Within(10*ms), "a1 b11 w30", "a1")
	f(left().Gap(10*ms), "a1 a5 b14 w30", "a1")
	// A later event finds it over.
	f(left().Within(10*ms), "a1 c40", "a1")
	// Only the longest partial match is reported.
	f(BeginPattern[toy]("a").Where(is("a")).FollowedBy("b").Where(is("b")).OneOrMore().FollowedBy("c").Where(is("c")).Within(10*ms),
		"a1 b2 b3 w11", "timed-out@11 a1 b2 b3")
}

func TestPatternErrors(t *testing.T) {
	f := func(b *PatternBuilder[toy], want string) {
		t.Helper()
		_, err := b.Build()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	begin := func() *PatternBuilder[toy] { return BeginPattern[toy]("a").Where(is("a")) }
	f(begin().NotFollowedBy("b").Where(is("b")), `ends with NotFollowedBy "b" and has no Within`)
	f(begin().NotNext("b").Where(is("b")).Within(time.Hour), `ends with NotNext "b"`)
	f(begin().FollowedBy("a"), `two steps are called "a"`)
	f(begin().FollowedBy(""), "step 2 has no name")
	f(begin().Optional(), "every step is optional")
	f(begin().NotNext("b").FollowedBy("c"), `step "b" must not happen and has no condition`)
	f(begin().NotNext("b").Where(is("b")).Optional().FollowedBy("c"), "neither counts nor an end")
	f(begin().Optional().NotNext("b").Where(is("b")).FollowedBy("c"), "after something that is optional itself")
	f(begin().NotNext("b").Where(is("b")).FollowedBy("c").Optional().Within(time.Hour), "when would it be over?")
	f(begin().NotNext("b").Where(is("b")).Gap(time.Second).FollowedBy("c"), "its time is that of the step behind it")
	f(begin().Times(0), "0 to 0 times")
	f(begin().TimesBetween(3, 2), "at least 3, at most 2")
	f(begin().Times(PatternTimesMax+1), "times, allowed are 1 to")
	f(begin().Times(2).OneOrMore(), "said twice")
	f(begin().Consecutive(), "nothing can stand between its events")
	f(begin().OneOrMore().Consecutive().AllowCombinations(), "said twice")
	f(begin().Until(is("b")), "until needs OneOrMore")
	f(begin().Greedy().Next("b"), "greedy means nothing")
	f(begin().Next("b").OneOrMore().Greedy(), "greedy and last")
	f(begin().Gap(time.Second).Next("b"), "a gap before the first event")
	f(begin().Next("b").Gap(time.Nanosecond), "at least a millisecond")
	f(begin().Within(0), "at least a millisecond")
	f(begin().Within(time.Hour).Within(time.Hour), "within is said twice")
	f(begin().Next("b").Skip(SkipToLast("c")), "which the pattern does not have")
	f(begin().Next("b").Skip(SkipToLast("")), "which the pattern does not have")
	f(begin().Next("b").Skip(SkipToFirst("a")), "would skip nothing")
	f(begin().Next("b").Optional().Next("c").Skip(SkipToFirst("b")), "which is optional")
	f(begin().NotNext("b").Where(is("b")).Next("c").Skip(SkipToFirst("b")), "which must not happen")
	many := begin()
	for i := range PatternSteps {
		many.Next(fmt.Sprintf("s%d", i))
	}
	f(many, "33 steps, at most 32")
	// All of them at once.
	f(begin().Optional().Times(0).FollowedBy("a").Optional(), "two steps are called \"a\"\nevery step is optional")
}

// A naive matcher: it looks at every sequence of events and says by the definitions of
// docs/patterns.md whether it is a match. It knows nothing of options or partial
// matches.
type naivePattern struct {
	p      *Pattern[toy]
	events []toy // in order
	now    int64
}

// taken is a sequence of events with the steps that took them.
type taken []struct{ step, event int }

type naiveMatch struct {
	seq taken
	at  int64 // when it is complete
	by  int   // 0: by time, 1: by an event
}

// matched is what conditions see, made without a matcher's state.
func (n *naivePattern) matched(seq taken) *Matched[toy] {
	m := &Matcher[toy]{p: n.p, codec: toyCodec(), s: &PatternState{}, index: -1}
	for i, s := range seq {
		m.s.events = append(m.s.events, storedEvent{at: n.events[s.event].at, raw: m.codec.Append(nil, n.events[s.event])})
		m.s.nodes = append(m.s.nodes, patternNode{event: int32(i), prev: int32(i - 1), step: uint8(s.step)})
	}
	return &Matched[toy]{m: m, node: int32(len(seq) - 1)}
}

func (n *naivePattern) all(conditions []func(toy, *Matched[toy]) bool, seq taken, event int) bool {
	for _, f := range conditions {
		if !f(n.events[event], n.matched(seq)) {
			return false
		}
	}
	return true
}

// deadline is when step, or the end, can no longer take anything behind seq.
func (n *naivePattern) deadline(seq taken, step int) int64 {
	d := int64(math.MaxInt64)
	if n.p.within != 0 {
		d = n.events[seq[0].event].at + n.p.within
	}
	gap := int64(0)
	if step < len(n.p.steps) {
		gap = n.p.steps[step].gap
	} else if last := &n.p.steps[len(n.p.steps)-1]; last.negated {
		gap = last.gap
	}
	if gap != 0 {
		d = min(d, n.events[seq[len(seq)-1].event].at+gap)
	}
	return d
}

// count is how many events the newest step took.
func (s taken) count() int {
	k := 0
	for i := len(s) - 1; i >= 0 && s[i].step == s[len(s)-1].step; i-- {
		k++
	}
	return k
}

// reaches tells whether step may be the next to take an event, whatever the event.
func (n *naivePattern) reaches(seq taken, step int) bool {
	from := -1
	if len(seq) > 0 {
		from = seq[len(seq)-1].step
		s := &n.p.steps[from]
		if step == from {
			return s.most == 0 || seq.count() < s.most
		}
		if seq.count() < s.least {
			return false
		}
	}
	if step <= from || step < len(n.p.steps) && n.p.steps[step].negated {
		return false
	}
	for i := from + 1; i < step; i++ {
		if !n.p.steps[i].optional && !n.p.steps[i].negated {
			return false
		}
	}
	return true
}

// stopped is the first event behind seq, before limit, that keeps step from taking
// anything later, or len(events).
func (n *naivePattern) stopped(seq taken, step int, limit int64) int {
	last := seq[len(seq)-1]
	for x := last.event + 1; x < len(n.events) && n.events[x].at < limit; x++ {
		for i := last.step + 1; i < step; i++ {
			s := &n.p.steps[i]
			if s.negated && (s.before == relaxed || x == last.event+1) && n.all(s.where, seq, x) {
				return x
			}
		}
		if step == last.step && n.barred(seq, x) {
			return x
		}
		for g := last.step; g < step; g++ {
			if n.p.steps[g].greedy && n.may(seq, g, x) {
				return x
			}
		}
		if step < len(n.p.steps) && len(n.p.steps[step].until) > 0 && n.all(n.p.steps[step].until, seq, x) {
			return x
		}
	}
	return len(n.events)
}

// barred tells whether x is what must not follow the newest step, which could be done.
func (n *naivePattern) barred(seq taken, x int) bool {
	last := seq[len(seq)-1].step
	if seq.count() < n.p.steps[last].least {
		return false
	}
	for i := last + 1; i < len(n.p.steps); i++ {
		switch s := &n.p.steps[i]; {
		case s.negated && s.before == relaxed && n.all(s.where, seq, x):
			return true
		case !s.negated && !s.optional:
			return false
		}
	}
	return false
}

// may tells whether step takes event behind seq.
func (n *naivePattern) may(seq taken, step, event int) bool {
	s := &n.p.steps[step]
	if !n.reaches(seq, step) || !n.all(s.where, seq, event) {
		return false
	}
	if len(seq) == 0 {
		for g := range step {
			if n.p.steps[g].greedy && n.may(seq, g, event) {
				return false
			}
		}
		return len(s.until) == 0 || !n.all(s.until, seq, event)
	}
	last := seq[len(seq)-1]
	if event <= last.event || n.events[event].at >= n.deadline(seq, step) || n.stopped(seq, step, math.MaxInt64) <= event {
		return false
	}
	c := s.before
	if step == last.step {
		c = s.inner
	}
	for x := last.event + 1; x < event; x++ {
		if c == strict || c == relaxed && n.all(s.where, seq, x) {
			return false
		}
	}
	return true
}

// walk visits every sequence that the pattern may take.
func (n *naivePattern) walk(seq taken, visit func(seq taken, extended bool)) {
	extended := false
	from := 0
	if len(seq) > 0 {
		from = seq[len(seq)-1].event + 1
	}
	for e := from; e < len(n.events); e++ {
		for step := range n.p.steps {
			if n.may(seq, step, e) {
				extended = true
				n.walk(append(slices.Clone(seq), struct{ step, event int }{step, e}), visit)
			}
		}
	}
	if len(seq) > 0 {
		visit(seq, extended)
	}
}

// run answers every match, in the order of completion, and the partial matches that
// timed out.
func (n *naivePattern) run() (matches []naiveMatch, timedOut []taken) {
	n.walk(nil, func(seq taken, extended bool) {
		end := len(n.p.steps)
		byTime := n.p.steps[end-1].negated
		if n.reaches(seq, end) {
			d := n.deadline(seq, end)
			switch {
			case !byTime:
				matches = append(matches, naiveMatch{seq, n.events[seq[len(seq)-1].event].at, 1})
				return
			case d <= n.now && n.stopped(seq, end, d) == len(n.events):
				matches = append(matches, naiveMatch{seq, d, 0})
				return
			}
		}
		if !extended && n.timedOut(seq) {
			timedOut = append(timedOut, seq)
		}
	})
	slices.SortFunc(matches, func(a, b naiveMatch) int {
		last := func(m naiveMatch) int { return m.by * m.seq[len(m.seq)-1].event }
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by), cmp.Compare(last(a), last(b)), a.seq.compare(b.seq))
	})
	return matches, timedOut
}

// timedOut tells whether the last thing that could have gone on ended by time.
func (n *naivePattern) timedOut(seq taken) bool {
	byTime, byEvent := int64(math.MinInt64), int64(math.MinInt64)
	for step := 0; step <= len(n.p.steps); step++ {
		if !n.reaches(seq, step) {
			continue
		}
		d, last := n.deadline(seq, step), seq[len(seq)-1]
		x := n.stopped(seq, step, d)
		if step < len(n.p.steps) {
			s := &n.p.steps[step]
			if next := last.event + 1; (step == last.step && s.inner == strict || step != last.step && s.before == strict) && next < len(n.events) && n.events[next].at < d {
				x = min(x, next)
			}
		}
		if x < len(n.events) && n.events[x].at < d {
			byEvent = max(byEvent, n.events[x].at)
		} else {
			byTime = max(byTime, d)
		}
	}
	return byTime > byEvent && byTime <= n.now && byTime != math.MaxInt64
}

// compare orders by events, then steps; what took more comes before its beginning.
func (s taken) compare(o taken) int {
	for i := range min(len(s), len(o)) {
		if c := cmp.Or(cmp.Compare(s[i].event, o[i].event), cmp.Compare(s[i].step, o[i].step)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(o), len(s))
}

// skip chooses, by the definition: the match that begins first, of those the one that
// is complete first; then it is gone over to what the strategy leaves.
func (n *naivePattern) skip(matches []naiveMatch) []naiveMatch {
	if n.p.skip.kind == skipNothing {
		return matches
	}
	left := slices.Clone(matches)
	slices.SortStableFunc(left, func(a, b naiveMatch) int { return cmp.Compare(a.seq[0].event, b.seq[0].event) })
	var chosen []naiveMatch
	for len(left) > 0 {
		m := left[0]
		chosen = append(chosen, m)
		last := m.seq[0].event
		switch n.p.skip.kind {
		case skipPastLast:
			last = m.seq[len(m.seq)-1].event
		case skipToFirst, skipToLast:
			var of []int
			for _, s := range m.seq {
				if s.step == n.p.skipTo {
					of = append(of, s.event)
				}
			}
			last = of[0] - 1
			if n.p.skip.kind == skipToLast {
				last = of[len(of)-1] - 1
			}
		}
		left = slices.DeleteFunc(left[1:], func(o naiveMatch) bool { return o.seq[0].event <= last })
	}
	return chosen
}

func (n *naivePattern) text(seq taken) string {
	var b strings.Builder
	for _, s := range seq {
		fmt.Fprintf(&b, "%s:%c%d ", n.p.steps[s.step].name, n.events[s.event].kind, n.events[s.event].at)
	}
	return b.String()
}

// drawPattern draws a pattern that passes the checks.
func drawPattern(t *rapid.T) *Pattern[toy] {
	for {
		b := BeginPattern[toy]("s0")
		steps := rapid.IntRange(1, 4).Draw(t, "steps")
		flip := func(name string, oneIn int) bool { return rapid.IntRange(1, oneIn).Draw(t, name) == 1 }
		ends := false
		for i := range steps {
			if i > 0 {
				add := []func(string) *PatternBuilder[toy]{b.Next, b.FollowedBy, b.FollowedByAny, b.NotNext, b.NotFollowedBy}
				kind := rapid.IntRange(0, 4).Draw(t, "kind")
				if kind == 3 && i == steps-1 {
					kind = 4
				}
				add[kind](fmt.Sprintf("s%d", i))
				if ends = kind == 4; kind >= 3 {
					b.Where(is(rapid.SampledFrom([]string{"a", "b", "c", "ab"}).Draw(t, "not")))
					continue
				}
			}
			b.Where(is(rapid.SampledFrom([]string{"a", "b", "c", "ab", "bc", "abc"}).Draw(t, "where")))
			drawStep(t, b, i, steps)
		}
		skip := []SkipStrategy{NoSkip(), NoSkip(), SkipToNext(), SkipPastLast(), SkipToFirst("s1"), SkipToLast("s1"), SkipToLast("s0")}
		b.Skip(rapid.SampledFrom(skip).Draw(t, "skip"))
		if ends || b.p.skip.kind != skipNothing || flip("limited", 2) {
			b.Within(time.Duration(rapid.IntRange(1, 12).Draw(t, "within")) * time.Millisecond)
		}
		if p, err := b.Build(); err == nil {
			return p
		}
	}
}

func drawStep(t *rapid.T, b *PatternBuilder[toy], i, steps int) {
	flip := func(name string, oneIn int) bool { return rapid.IntRange(1, oneIn).Draw(t, name) == 1 }
	loops := false
	switch rapid.IntRange(0, 5).Draw(t, "times") {
	case 0:
		b.OneOrMore()
		loops = true
		if flip("until", 3) {
			b.Until(is("d"))
		}
	case 1:
		b.TimesBetween(1, 2)
		loops = true
	case 2:
		b.Times(2)
		loops = true
	}
	if loops {
		switch rapid.IntRange(0, 3).Draw(t, "between") {
		case 0:
			b.Consecutive()
		case 1:
			b.AllowCombinations()
		}
	}
	optional := steps > 1 && flip("optional", 4)
	if optional {
		b.Optional()
	}
	if (loops || optional) && i < steps-1 && flip("greedy", 3) {
		b.Greedy()
	}
	if i > 0 && flip("gap", 4) {
		b.Gap(time.Duration(rapid.IntRange(1, 6).Draw(t, "gap ms")) * time.Millisecond)
	}
	if i > 0 && flip("iterative", 3) {
		b.WhereMatched(func(v toy, m *Matched[toy]) bool {
			first := m.All("s0")
			return len(first) == 0 || first[0].x == v.x
		})
	}
}

// The automaton finds what the definition says, whatever the order of arrival, and
// wherever its state is written and read back.
func TestPatternAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPattern(t)
		slack := rapid.Int64Range(0, 4).Draw(t, "slack")
		r := newScene(p, PatternLimits{Partial: 1 << 20, Events: 1 << 20, Pending: 1 << 20})
		n := &naivePattern{p: p}
		newest := int64(0)
		late := 0
		for range rapid.IntRange(1, 9).Draw(t, "events") {
			at := max(newest+rapid.Int64Range(-6, 4).Draw(t, "step"), 0)
			newest = max(newest, at)
			v := toy{at: at, kind: rapid.SampledFrom([]byte("aabbcd")).Draw(t, "event"), x: rapid.IntRange(0, 1).Draw(t, "x")}
			if at < newest-slack {
				late++
			} else {
				n.events = append(n.events, v)
			}
			r.advance(t, newest-slack) // as the engine fires timers before an event
			r.offer(t, v, newest-slack)
			if rapid.Bool().Draw(t, "reopen") {
				r.reopen(t)
			}
		}
		slices.SortStableFunc(n.events, func(a, b toy) int { return cmp.Compare(a.at, b.at) })
		n.now = newest + 100
		if rapid.Bool().Draw(t, "by steps") {
			for due, ok := r.m.Next(&r.s); ok && due <= n.now; due, ok = r.m.Next(&r.s) {
				r.advance(t, due)
				r.reopen(t)
			}
		}
		r.advance(t, n.now)
		checkNaive(t, r, n, late)
	})
}

func checkNaive(t *rapid.T, r *scene, n *naivePattern, late int) {
	matches, timedOut := n.run()
	var want, got, wantOver, gotOver []string
	for _, m := range n.skip(matches) {
		want = append(want, n.text(m.seq))
	}
	for _, s := range timedOut {
		wantOver = append(wantOver, n.text(s))
	}
	for _, x := range r.all {
		var b strings.Builder
		for _, e := range x.Events {
			fmt.Fprintf(&b, "%s:%c%d ", e.Step, e.Value.kind, e.Time)
		}
		switch x.Outcome {
		case PatternMatched:
			got = append(got, b.String())
		case PatternTimedOut:
			gotOver = append(gotOver, b.String())
		case PatternLate:
			late--
		default:
			t.Fatalf("outcome %s", x.Outcome)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("pattern %s\nevents %v\ngot  %q\nwant %q", describe(n.p), n.events, got, want)
	}
	slices.Sort(gotOver)
	slices.Sort(wantOver)
	if n.p.skip.kind == skipNothing && !slices.Equal(gotOver, wantOver) {
		t.Fatalf("pattern %s\nevents %v\ntimed out %q\nwant %q", describe(n.p), n.events, gotOver, wantOver)
	}
	if late != 0 {
		t.Fatalf("%d late events were not reported", late)
	}
	if n.p.within != 0 && !r.s.Empty() {
		t.Fatalf("the state is left with %+v", r.s)
	}
}

func describe(p *Pattern[toy]) string {
	var b strings.Builder
	for i := range p.steps {
		s := &p.steps[i]
		fmt.Fprintf(&b, "{%s not=%t before=%d inner=%d %d-%d opt=%t greedy=%t gap=%d where=%d until=%d} ", s.name, s.negated, s.before, s.inner, s.least, s.most, s.optional, s.greedy, s.gap, len(s.where), len(s.until))
	}
	return fmt.Sprintf("%swithin=%d skip=%v", b.String(), p.within, p.skip)
}
