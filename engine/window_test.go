package engine_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/engine"
)

// bag is an accumulator that forgets nothing.
type bag struct{ all []uint64 }

func (b *bag) AppendTo(raw []byte) []byte {
	for _, v := range b.all {
		raw = binary.AppendUvarint(raw, v)
	}
	return raw
}

func (b *bag) DecodeFrom(raw []byte) error {
	b.all = nil
	for len(raw) > 0 {
		v, n := binary.Uvarint(raw)
		if n <= 0 {
			return errors.New("not a bag")
		}
		b.all = append(b.all, v)
		raw = raw[n:]
	}
	return nil
}

func text(all []uint64) string {
	sorted := slices.Clone(all)
	slices.Sort(sorted)
	return strings.Trim(fmt.Sprint(sorted), "[]")
}

func bags() engine.Aggregate[uint64, bag, string] {
	return engine.Aggregate[uint64, bag, string]{
		Add:    func(b *bag, in uint64) { b.all = append(b.all, in) },
		Merge:  func(b, other *bag) { b.all = append(b.all, other.all...) },
		Result: func(b *bag) string { return text(b.all) },
	}
}

type bagWindows = engine.Windows[bag, *bag]

func show(p engine.Pane[string]) string {
	empty := ""
	if p.Empty {
		empty = " empty"
	}
	return fmt.Sprintf("%s [%d,%d) %s%s", p.Kind, p.Start, p.End, p.Value, empty)
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// play runs a script over windows: "10" is a value of that time, whose text it is too,
// "w20" a watermark, "r" stores and restores.
func play(t *testing.T, o engine.WindowOptions, agg engine.Aggregate[uint64, bag, string], script string) string {
	t.Helper()
	w, err := engine.NewWindower(o, agg)
	if err != nil {
		t.Fatal(err)
	}
	s := &bagWindows{}
	mark := int64(math.MinInt64)
	var out []string
	for word := range strings.FieldsSeq(script) {
		var panes []engine.Pane[string]
		var n int64
		switch {
		case word == "r":
			raw := s.AppendTo(nil)
			s = &bagWindows{}
			if err := s.DecodeFrom(raw); err != nil {
				t.Fatal(err)
			}
			continue
		case word[0] == 'w':
			fmt.Sscan(word[1:], &mark)
			panes = w.Fire(nil, s, mark)
		default:
			fmt.Sscan(word, &n)
			var late engine.Late
			panes, late = w.Add(nil, s, n, uint64(n), mark)
			if late.Why != engine.OnTime {
				out = append(out, fmt.Sprintf("late %d %s end %d missed %d", n, late.Why, late.End, late.Missed))
			}
		}
		for _, p := range panes {
			out = append(out, show(p))
		}
	}
	return strings.Join(out, "; ")
}

func TestWindows(t *testing.T) {
	f := func(o engine.WindowOptions, script, want string) {
		t.Helper()
		if got := play(t, o, bags(), script); got != want {
			t.Errorf("%+v %q:\n got %s\nwant %s", o, script, got, want)
		}
	}
	ten := engine.WindowOptions{Size: ms(10)}
	// Half-open, aligned to the epoch; an empty window says nothing.
	f(ten, "0 9 10 w9 w10 w40", "final [0,10) 0 9; final [10,20) 10")
	f(ten, "5 w10 r 12 5 w30", "final [0,10) 5; late 5 closed end 10 missed 1; final [10,20) 12")
	f(engine.WindowOptions{Size: ms(10), Offset: ms(3)}, "2 3 w20", "final [-7,3) 2; final [3,13) 3")
	// A late value within the lateness emits again; a window that was empty emits for the first time.
	f(engine.WindowOptions{Size: ms(10), Lateness: ms(10)}, "5 w10 r 6 w20 7", "final [0,10) 5; update [0,10) 5 6; late 7 closed end 10 missed 1")
	f(engine.WindowOptions{Size: ms(10), Lateness: ms(10)}, "15 w12 5 w40", "final [0,10) 5; final [10,20) 15")
	f(engine.WindowOptions{Size: ms(10), Lateness: ms(10), Retract: true}, "5 w10 6", "final [0,10) 5; retraction [0,10) 5; update [0,10) 5 6")
	// Early panes: after two values, at each multiple of 4, and what they hold when discarding.
	f(engine.WindowOptions{Size: ms(10), EveryCount: 2}, "1 2 3 w10", "early [0,10) 1 2; final [0,10) 1 2 3")
	f(engine.WindowOptions{Size: ms(10), EveryCount: 2, Discard: true}, "1 2 3 r w10", "early [0,10) 1 2; final [0,10) 3")
	f(engine.WindowOptions{Size: ms(10), Every: ms(4)}, "1 w2 w4 w7 6 w9 w10", "early [0,10) 1; early [0,10) 1 6; final [0,10) 1 6")
	// Sliding windows, also such that the slide does not divide.
	f(engine.WindowOptions{Size: ms(10), Slide: ms(5)}, "3 7 w10 12 w30", "final [-5,5) 3; final [0,10) 3 7; final [5,15) 7 12; final [10,20) 12")
	f(engine.WindowOptions{Size: ms(10), Slide: ms(4)}, "3 7 w30", "final [-4,6) 3; final [0,10) 3 7; final [4,14) 7")
	f(engine.WindowOptions{Size: ms(10), Slide: ms(5)}, "13 w12 3", "late 3 closed end 10 missed 2")
	f(engine.WindowOptions{Size: ms(10), Slide: ms(5)}, "13 w12 6 w20", "late 6 partly closed end 10 missed 1; final [5,15) 6 13; final [10,20) 13")
	f(engine.WindowOptions{Size: ms(10), Slide: ms(5), Lateness: ms(5), Retract: true}, "6 13 w10 r 7",
		"final [0,10) 6; retraction [0,10) 6; update [0,10) 6 7")
	// Only what changed: two windows of the same values are one pane, and the end of them one more.
	f(engine.WindowOptions{Size: ms(10), Slide: ms(2), OnChange: true}, "3 7 w8 r w40",
		"final [-6,4) 3; final [-2,8) 3 7; final [4,14) 7; final [8,18)  empty")
	// Sessions: a value at exactly the gap begins another one; a late one joins two.
	gap := engine.WindowOptions{Gap: ms(10)}
	f(gap, "0 5 15 w15 w40", "final [0,15) 0 5; final [15,25) 15")
	f(gap, "0 18 9 w40", "final [0,28) 0 9 18")
	f(gap, "20 w15 3 w40", "late 3 closed end 13 missed 1; final [20,30) 20")
	f(engine.WindowOptions{Gap: ms(10), Lateness: ms(20), Retract: true}, "0 18 w12 r 9 w28",
		"final [0,10) 0; retraction [0,10) 0; final [0,28) 0 9 18")
	f(engine.WindowOptions{Gap: ms(10), Longest: ms(25)}, "0 8 15 16 20 w60", "final [0,25) 0 8 15; final [16,30) 16 20")
	f(engine.WindowOptions{Gap: ms(10), EveryCount: 3}, "0 18 9 w40", "early [0,28) 0 9 18; final [0,28) 0 9 18")
	f(engine.WindowOptions{Gap: ms(10), Every: ms(30)}, "0 18 w5 r 9 w40", "final [0,28) 0 9 18")
	f(engine.WindowOptions{Gap: ms(20), Every: ms(15)}, "18 w2 0 w15 w40", "early [0,38) 0 18; final [0,38) 0 18")
	// Global windows with triggers.
	f(engine.WindowOptions{EveryCount: 2}, "5 1 9 7", "early [1,6) 1 5; early [1,10) 1 5 7 9")
	f(engine.WindowOptions{EveryCount: 2, Discard: true}, "5 1 9 7 3", "early [1,6) 1 5; early [7,10) 7 9")
	f(engine.WindowOptions{Every: ms(10)}, "5 w9 w10 w20 21 w29 r w30", "early [5,6) 5; early [5,22) 5 21")
	odd := bags()
	odd.Emit = func(in uint64) bool { return in%2 == 1 }
	if got := play(t, engine.WindowOptions{Discard: true}, odd, "2 4 5 6 7"); got != "early [2,6) 2 4 5; early [6,8) 6 7" {
		t.Errorf("punctuation: %s", got)
	}
	// Bounds.
	f(engine.WindowOptions{Size: ms(10), MaxOpen: 2}, "1 11 21 2 w10", "late 21 too many windows end 0 missed 1; final [0,10) 1 2")
	f(ten, "9223372036854775807 -9223372036854775808 5 w9223372036854775807",
		"late 9223372036854775807 time out of range end 0 missed 0; late -9223372036854775808 time out of range end 0 missed 0; final [0,10) 5")
}

func TestWindowOptions(t *testing.T) {
	f := func(o engine.WindowOptions, want string) {
		t.Helper()
		_, err := engine.NewWindower(o, bags())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", o, err, want)
		}
	}
	f(engine.WindowOptions{}, "without a trigger")
	f(engine.WindowOptions{Size: 10}, "whole milliseconds")
	f(engine.WindowOptions{Size: -time.Second}, "at least 0")
	f(engine.WindowOptions{Size: time.Second, Gap: time.Second}, "both a size and a gap")
	f(engine.WindowOptions{Size: time.Second, Slide: time.Minute}, "would lose values")
	f(engine.WindowOptions{Size: time.Hour, Slide: time.Minute, EveryCount: 1}, "shorten the slide")
	f(engine.WindowOptions{Size: 200 * time.Second, Slide: time.Millisecond}, "more than 100000 slides")
	f(engine.WindowOptions{Size: time.Hour, OnChange: true}, "do not slide")
	f(engine.WindowOptions{Gap: time.Hour, Longest: time.Minute}, "sessions of at most")
	f(engine.WindowOptions{EveryCount: -1}, "negative")
	if _, err := engine.NewWindower[uint64](engine.WindowOptions{Size: time.Second}, engine.Aggregate[uint64, bag, string]{}); err == nil {
		t.Error("an aggregate without functions passed")
	}
}

// naive keeps every value and computes each window anew.
type naive struct {
	o      engine.WindowOptions
	values []int64 // that counted; value v has the text v*1000+i, see add
	ids    []uint64
	mark   int64
	out    []string
}

func (n *naive) slide() int64 {
	if n.o.Slide > 0 {
		return n.o.Slide.Milliseconds()
	}
	return n.o.Size.Milliseconds()
}

func (n *naive) window(start int64) (string, bool) {
	var in []uint64
	for i, v := range n.values {
		if v >= start && v < start+n.o.Size.Milliseconds() {
			in = append(in, n.ids[i])
		}
	}
	return text(in), len(in) > 0
}

// starts are the starts of all windows that hold t.
func (n *naive) starts(t int64) []int64 {
	var all []int64
	for start := t - n.o.Size.Milliseconds() + 1; start <= t; start++ {
		if d := start - n.o.Offset.Milliseconds(); ((d%n.slide())+n.slide())%n.slide() == 0 {
			all = append(all, start)
		}
	}
	return all
}

func (n *naive) fire(until int64) {
	due := map[int64]bool{}
	for _, v := range n.values {
		for _, start := range n.starts(v) {
			if end := start + n.o.Size.Milliseconds(); end > n.mark && end <= until {
				due[start] = true
			}
		}
	}
	var starts []int64
	for start := range due {
		starts = append(starts, start)
	}
	slices.Sort(starts)
	for _, start := range starts {
		in, _ := n.window(start)
		n.out = append(n.out, fmt.Sprintf("final [%d,%d) %s", start, start+n.o.Size.Milliseconds(), in))
	}
	n.mark = max(n.mark, until)
}

func (n *naive) add(t int64, id uint64, mark int64) {
	n.fire(mark)
	var open, fired []int64
	missed := 0
	for _, start := range n.starts(t) {
		end := start + n.o.Size.Milliseconds()
		switch {
		case end+n.o.Lateness.Milliseconds() <= mark:
			missed++
			continue
		case end <= mark:
			fired = append(fired, start)
		}
		open = append(open, start)
	}
	if len(open) == 0 {
		n.out = append(n.out, fmt.Sprintf("late %d closed missed %d", id, missed))
		return
	}
	had := map[int64]bool{}
	for _, start := range fired {
		if in, some := n.window(start); some {
			had[start] = true
			if n.o.Retract {
				n.out = append(n.out, fmt.Sprintf("retraction [%d,%d) %s", start, start+n.o.Size.Milliseconds(), in))
			}
		}
	}
	n.values, n.ids = append(n.values, t), append(n.ids, id)
	for _, start := range fired {
		in, _ := n.window(start)
		kind := "final"
		if had[start] {
			kind = "update"
		}
		n.out = append(n.out, fmt.Sprintf("%s [%d,%d) %s", kind, start, start+n.o.Size.Milliseconds(), in))
	}
	if missed > 0 {
		n.out = append(n.out, fmt.Sprintf("late %d partly closed missed %d", id, missed))
	}
}

// TestWindowsAgainstNaive: whatever the sizes, the order of arrival and the moments at
// which windows are stored and read back or fired, the panes are those of a model that
// keeps every value.
func TestWindowsAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 30).Draw(t, "size")
		o := engine.WindowOptions{
			Size: ms(size), Slide: ms(rapid.Int64Range(1, size).Draw(t, "slide")),
			Offset: ms(rapid.Int64Range(-9, 9).Draw(t, "offset")), Lateness: ms(rapid.Int64Range(0, 40).Draw(t, "lateness")),
			Retract: rapid.Bool().Draw(t, "retract"),
		}
		w, err := engine.NewWindower(o, bags())
		if err != nil {
			t.Fatal(err)
		}
		s := &bagWindows{}
		model := &naive{o: o, mark: math.MinInt64}
		var got []string
		mark, now := int64(math.MinInt64), int64(0)
		take := func(panes []engine.Pane[string]) {
			for _, p := range panes {
				got = append(got, show(p))
			}
		}
		for id := range uint64(rapid.IntRange(1, 60).Draw(t, "values")) {
			now += rapid.Int64Range(0, 8).Draw(t, "pass")
			if rapid.IntRange(0, 3).Draw(t, "advance") == 0 {
				mark = max(mark, now-rapid.Int64Range(0, 20).Draw(t, "behind"))
			}
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0: // as timers do, one deadline after the other
				for {
					due, ok := w.Next(s)
					if !ok || due > mark {
						break
					}
					take(w.Fire(nil, s, due))
				}
			case 1:
				raw := s.AppendTo(nil)
				s = &bagWindows{}
				if err := s.DecodeFrom(raw); err != nil {
					t.Fatal(err)
				}
				if again := s.AppendTo(nil); !slices.Equal(raw, again) {
					t.Fatalf("stored %x, then %x", raw, again)
				}
			}
			at := now - rapid.Int64Range(0, 40).Draw(t, "late")
			model.add(at, id, mark)
			panes, late := w.Add(nil, s, at, id, mark)
			take(panes)
			if late.Why != engine.OnTime {
				got = append(got, fmt.Sprintf("late %d %s missed %d", id, late.Why, late.Missed))
			}
		}
		model.fire(1 << 40)
		take(w.Fire(nil, s, math.MaxInt64))
		if a, b := strings.Join(got, "\n"), strings.Join(model.out, "\n"); a != b {
			t.Fatalf("got\n%s\nwant\n%s", a, b)
		}
		if !s.Empty() {
			t.Fatalf("%d windows are left at the end", s.Open())
		}
	})
}

// TestOnChange: who hears only of changes knows as much as who hears of every window, and
// hears of each change once. Values come late for some of their windows, too.
func TestOnChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(2, 30).Draw(t, "size")
		o := engine.WindowOptions{Size: ms(size), Slide: ms(rapid.Int64Range(1, size-1).Draw(t, "slide"))}
		every, err := engine.NewWindower(o, bags())
		if err != nil {
			t.Fatal(err)
		}
		o.OnChange = true
		changed, err := engine.NewWindower(o, bags())
		if err != nil {
			t.Fatal(err)
		}
		all, some := &bagWindows{}, &bagWindows{}
		want, got := map[int64]string{}, map[int64]string{}
		take := func(into map[int64]string, panes []engine.Pane[string]) {
			for _, p := range panes {
				if _, twice := into[p.End]; twice || p.Empty != (p.Value == "") || p.Kind != engine.Final {
					t.Fatalf("pane %s", show(p))
				}
				into[p.End] = p.Value
			}
		}
		now, mark := int64(0), int64(-100)
		for id := range uint64(rapid.IntRange(1, 30).Draw(t, "values")) {
			now += rapid.Int64Range(0, 20).Draw(t, "pass")
			at := now - rapid.Int64Range(0, 40).Draw(t, "late")
			mark = max(mark, now-rapid.Int64Range(0, 30).Draw(t, "behind"))
			a, late := every.Add(nil, all, at, id+1, mark)
			b, again := changed.Add(nil, some, at, id+1, mark)
			if late != again {
				t.Fatalf("%+v, with changes only %+v", late, again)
			}
			take(want, a)
			take(got, b)
			raw := some.AppendTo(nil)
			some = &bagWindows{}
			if err := some.DecodeFrom(raw); err != nil {
				t.Fatal(err)
			}
		}
		take(want, every.Fire(nil, all, math.MaxInt64))
		take(got, changed.Fire(nil, some, math.MaxInt64))
		if !some.Empty() {
			t.Fatalf("%d slices are left", some.Open())
		}
		known := ""
		for end := int64(-40); end < now+2*size+2; end++ {
			told, tells := got[end]
			if tells && told == known {
				t.Fatalf("the window that ends at %d tells %q again", end, told)
			}
			if tells {
				known = told
			}
			if value, there := want[end]; there && value != known || !there && tells && told != "" {
				t.Fatalf("the window that ends at %d holds %q, known is %q", end, value, known)
			}
		}
		if known != "" {
			t.Fatalf("nobody told that %q has left", known)
		}
	})
}

// TestSessionsAgainstNaive: values in any order, none late, give the sessions of the
// sorted values; with a bound, none is longer, every value counts once, and no two could
// be one.
func TestSessionsAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gap := rapid.Int64Range(1, 20).Draw(t, "gap")
		o := engine.WindowOptions{Gap: ms(gap)}
		bound := rapid.Bool().Draw(t, "bound")
		if bound {
			o.Longest = ms(gap + rapid.Int64Range(0, 40).Draw(t, "longest"))
		}
		w, err := engine.NewWindower(o, bags())
		if err != nil {
			t.Fatal(err)
		}
		times := rapid.SliceOfN(rapid.Uint64Range(0, 300), 1, 40).Draw(t, "times")
		s := &bagWindows{}
		for _, at := range times {
			panes, late := w.Add(nil, s, int64(at), at, math.MinInt64)
			if len(panes) > 0 || late.Why != engine.OnTime {
				t.Fatalf("panes %v, late %v", panes, late)
			}
			if rapid.IntRange(0, 4).Draw(t, "store") == 0 {
				raw := s.AppendTo(nil)
				s = &bagWindows{}
				if err := s.DecodeFrom(raw); err != nil {
					t.Fatal(err)
				}
			}
		}
		var got []string
		var all []string
		for _, p := range w.Fire(nil, s, math.MaxInt64) {
			got = append(got, show(p))
			all = append(all, strings.Fields(p.Value)...)
			if bound && p.End-p.Start > o.Longest.Milliseconds() {
				t.Fatalf("session %s is longer than %v", show(p), o.Longest)
			}
		}
		if len(all) != len(times) {
			t.Fatalf("%d values came out of %d", len(all), len(times))
		}
		if bound {
			return
		}
		slices.Sort(times)
		var want []string
		for start := 0; start < len(times); {
			end := start + 1
			for end < len(times) && times[end]-times[end-1] < uint64(gap) {
				end++
			}
			want = append(want, fmt.Sprintf("final [%d,%d) %s", times[start], int64(times[end-1])+gap, text(times[start:end])))
			start = end
		}
		sort.Strings(got) // they fire in the order of their ends
		sort.Strings(want)
		if !slices.Equal(got, want) {
			t.Fatalf("got %q\nwant %q", got, want)
		}
	})
}

// TestSlidingRounds: floating-point sums are the same to the last bit whether or not the
// windows are stored and read back in between, although the folds are not stored.
func TestSlidingRounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := engine.WindowOptions{Size: ms(64), Slide: ms(rapid.SampledFrom([]int64{1, 2, 3, 7}).Draw(t, "slide")), Lateness: ms(20)}
		agg := engine.Means(func(v float64) float64 { return v })
		w, err := engine.NewWindower(o, agg)
		if err != nil {
			t.Fatal(err)
		}
		type windows = engine.Windows[engine.FloatSum, *engine.FloatSum]
		plain, stored := &windows{}, &windows{}
		for now := range int64(120) {
			v := rapid.Float64Range(-1e9, 1e9).Draw(t, "value") / 3
			at := now*2 - rapid.Int64Range(0, 30).Draw(t, "late")
			a, _ := w.Add(nil, plain, at, v, now*2-10)
			b, _ := w.Add(nil, stored, at, v, now*2-10)
			for i := range a {
				if math.Float64bits(a[i].Value) != math.Float64bits(b[i].Value) || a[i] != b[i] {
					t.Fatalf("%+v, stored %+v", a[i], b[i])
				}
			}
			if len(a) != len(b) {
				t.Fatalf("%d panes, stored %d", len(a), len(b))
			}
			if rapid.IntRange(0, 2).Draw(t, "store") == 0 {
				raw := stored.AppendTo(nil)
				stored = &windows{}
				if err := stored.DecodeFrom(raw); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func FuzzWindows(f *testing.F) {
	w, err := engine.NewWindower(engine.WindowOptions{Size: ms(10), Slide: ms(4), Lateness: ms(5)}, bags())
	if err != nil {
		f.Fatal(err)
	}
	s := &bagWindows{}
	for n := range uint64(5) {
		w.Add(nil, s, int64(n)*7, n<<40, 5)
		f.Add(s.AppendTo(nil))
	}
	sessions, err := engine.NewWindower(engine.WindowOptions{Gap: ms(10), EveryCount: 3, Every: ms(5)}, bags())
	if err != nil {
		f.Fatal(err)
	}
	s = &bagWindows{}
	for n := range uint64(5) {
		sessions.Add(nil, s, int64(n)*7, n<<40, 5)
		f.Add(s.AppendTo(nil))
	}
	f.Add([]byte{1, 0, 255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := &bagWindows{}
		if s.DecodeFrom(raw) != nil {
			return
		}
		again := &bagWindows{}
		if err := again.DecodeFrom(s.AppendTo(nil)); err != nil {
			t.Fatalf("what was read, %x, is stored as %x: %v", raw, s.AppendTo(nil), err)
		}
		if s.Open() > 1000 {
			return
		}
		if w.Fits(s) { // whatever it means, it must not panic or go on for ever
			w.Add(nil, s, 50, 1, 40)
			w.Next(s)
		}
		if sessions.Fits(again) {
			sessions.Add(nil, again, 50, 1, 40)
			sessions.Next(again)
		}
	})
}
