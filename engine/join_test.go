package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func joinText(r JoinResult[toy, toy]) string {
	var b strings.Builder
	if r.Outcome != JoinMatched {
		fmt.Fprintf(&b, "%s ", r.Outcome)
	}
	if r.HasLeft {
		fmt.Fprintf(&b, "%c%d", r.Left.kind, r.LeftAt)
	}
	b.WriteByte('|')
	if r.HasRight {
		fmt.Fprintf(&b, "%c%d", r.Right.kind, r.RightAt)
	}
	return b.String()
}

func interval(t fataler, lower, upper int64, kind JoinKind, limit int) *IntervalJoin[toy, toy] {
	j, err := NewIntervalJoin(IntervalOptions[toy, toy]{
		Lower: time.Duration(lower) * time.Millisecond, Upper: time.Duration(upper) * time.Millisecond,
		Kind: kind, Left: toyCodec(), Right: toyCodec(), Max: limit,
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return j
}

func TestIntervalJoin(t *testing.T) {
	// "l1 r5 w9": left and right events with their times, and the watermark alone; it
	// trails the newest event by two.
	f := func(j *IntervalJoin[toy, toy], in, want string) {
		t.Helper()
		var s IntervalState
		var got []string
		emit := func(r JoinResult[toy, toy]) { got = append(got, joinText(r)) }
		now := int64(0)
		for word := range strings.FieldsSeq(in) {
			var at int64
			if _, err := fmt.Sscan(word[1:], &at); err != nil {
				t.Fatal(err)
			}
			var err error
			switch v := (toy{at: at, kind: word[0]}); word[0] {
			case 'l':
				now = max(now, at-2)
				_, err = j.Left(&s, at, v, now, emit)
			case 'r':
				now = max(now, at-2)
				_, err = j.Right(&s, at, v, now, emit)
			default:
				now = at
				_, err = j.Advance(&s, now, emit)
			}
			if err != nil {
				t.Fatal(err)
			}
			b := s.AppendTo(nil)
			if err := s.DecodeFrom(b); err != nil {
				t.Fatal(err)
			}
		}
		if g := strings.Join(got, "; "); g != want {
			t.Errorf("%q: got %q, want %q", in, g, want)
		}
	}
	// Both bounds belong to the interval.
	f(interval(t, 0, 5, JoinInner, 0), "l10 r10 r15 r16", "l10|r10; l10|r15")
	f(interval(t, -5, 0, JoinInner, 0), "r5 l10 l11", "l10|r5")
	// Left without a partner, when none can come any more.
	f(interval(t, 0, 5, JoinLeft, 0), "l10 w15", "")
	f(interval(t, 0, 5, JoinLeft, 0), "l10 w15 w16", "unmatched l10|")
	f(interval(t, 0, 5, JoinLeft, 0), "l10 r12 w30", "l10|r12")
	f(interval(t, 0, 5, JoinLeft, 0), "r10 w30", "")
	f(interval(t, 0, 5, JoinOuter, 0), "r10 w11", "unmatched |r10")
	// An interval that lies in the past is over at once.
	f(interval(t, -9, -5, JoinLeft, 0), "l20 w20", "unmatched l20|")
	f(interval(t, -9, -5, JoinLeft, 0), "r12 l20", "l20|r12")
	// Late.
	f(interval(t, 0, 5, JoinInner, 0), "l10 w12 l11 r11", "late l11|; late |r11")
	// The oldest goes when there are too many.
	f(interval(t, 0, 5, JoinInner, 2), "l10 l11 l12 r12", "overflowed l10|; l11|r12; l12|r12")

	_, err := NewIntervalJoin(IntervalOptions[toy, toy]{Lower: 1, Upper: 0})
	if err == nil || !strings.Contains(err.Error(), "wrong way round") {
		t.Errorf("got %v", err)
	}
	_, err = NewIntervalJoin(IntervalOptions[toy, toy]{Upper: 1 << 62})
	if err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("got %v", err)
	}
}

// sideEvent is an event of a side, or a version of a table.
type sideEvent struct {
	right, deleted bool
	v              toy
}

// drawSides draws events out of order; those that are late are left out of kept.
func drawSides(t *rapid.T, slack int64) (all, kept []sideEvent, marks []int64) {
	newest := int64(100)
	for i := range rapid.IntRange(1, 25).Draw(t, "events") {
		at := newest + rapid.Int64Range(-6, 5).Draw(t, "step")
		newest = max(newest, at)
		e := sideEvent{rapid.Bool().Draw(t, "right"), rapid.IntRange(0, 4).Draw(t, "deleted") == 0, toy{at: at, kind: byte('a' + i)}}
		all, marks = append(all, e), append(marks, newest-slack)
		if at >= newest-slack {
			kept = append(kept, e)
		}
	}
	return all, kept, marks
}

func TestIntervalJoinAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lower := rapid.Int64Range(-8, 8).Draw(t, "lower")
		upper := lower + rapid.Int64Range(0, 8).Draw(t, "width")
		kind := rapid.SampledFrom([]JoinKind{JoinInner, JoinLeft, JoinOuter}).Draw(t, "kind")
		all, kept, marks := drawSides(t, rapid.Int64Range(0, 6).Draw(t, "slack"))
		j := interval(t, lower, upper, kind, 1000)
		var s IntervalState
		var got []string
		emit := func(r JoinResult[toy, toy]) {
			if r.Outcome != JoinLate {
				got = append(got, joinText(r))
			}
		}
		for i, e := range all {
			offer := j.Left
			if e.right {
				offer = j.Right
			}
			if _, err := offer(&s, e.v.at, e.v, marks[i], emit); err != nil {
				t.Fatal(err)
			}
			b := s.AppendTo(nil)
			if err := s.DecodeFrom(b); err != nil || !slices.Equal(b, s.AppendTo(nil)) {
				t.Fatalf("%x is read back as %x: %v", b, s.AppendTo(nil), err)
			}
		}
		if _, err := j.Advance(&s, 10_000, emit); err != nil || !s.Empty() {
			t.Fatalf("left %+v: %v", s, err)
		}
		var want []string
		partner := make(map[byte]bool)
		for _, l := range kept {
			for _, r := range kept {
				if !l.right && r.right && l.v.at+lower <= r.v.at && r.v.at <= l.v.at+upper {
					want = append(want, joinText(JoinResult[toy, toy]{HasLeft: true, HasRight: true, Left: l.v, Right: r.v, LeftAt: l.v.at, RightAt: r.v.at}))
					partner[l.v.kind], partner[r.v.kind] = true, true
				}
			}
		}
		for _, e := range kept {
			if !partner[e.v.kind] && (kind == JoinOuter || kind == JoinLeft && !e.right) {
				r := JoinResult[toy, toy]{Outcome: JoinUnmatched, HasLeft: !e.right, HasRight: e.right, Left: e.v, Right: e.v, LeftAt: e.v.at, RightAt: e.v.at}
				want = append(want, joinText(r))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%d to %d, kind %d, %v: got %q, want %q", lower, upper, kind, kept, got, want)
		}
	})
}

func tableJoin(t fataler, o TableOptions[toy, toy]) *TableJoin[toy, toy] {
	o.Row, o.Version = toyCodec(), toyCodec()
	j, err := NewTableJoin(o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return j
}

func TestTableJoin(t *testing.T) {
	// "v5 a6 d7 w9": a version, a row, a deletion with their times, and the watermark,
	// which stands still otherwise.
	f := func(o TableOptions[toy, toy], in, want string) {
		t.Helper()
		j := tableJoin(t, o)
		var s TableState
		var got []string
		emit := func(r JoinResult[toy, toy]) { got = append(got, joinText(r)) }
		now := int64(0)
		for word := range strings.FieldsSeq(in) {
			var at int64
			if _, err := fmt.Sscan(word[1:], &at); err != nil {
				t.Fatal(err)
			}
			var err error
			switch v := (toy{at: at, kind: word[0]}); word[0] {
			case 'v', 'd':
				_, err = j.Update(&s, at, v, word[0] == 'd', now, emit)
			case 'a':
				_, err = j.Row(&s, at, v, now, emit)
			default:
				now = at
				_, err = j.Advance(&s, now, emit)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.DecodeFrom(s.AppendTo(nil)); err != nil {
				t.Fatal(err)
			}
		}
		if g := strings.Join(got, "; "); g != want {
			t.Errorf("%q: got %q, want %q", in, g, want)
		}
	}
	inner, left := TableOptions[toy, toy]{}, TableOptions[toy, toy]{Kind: JoinLeft}
	// A row waits until every version of its time is known.
	f(inner, "v5 a6 w6", "")
	f(inner, "v5 a6 w7", "a6|v5")
	// A version that is read later and holds from the row's time on counts.
	f(inner, "a6 v5 v6 v7 w9", "a6|v6")
	// Nothing yet, and nothing any more.
	f(left, "a4 v5 a6 d7 a8 v9 a9 w20", "unmatched a4|; a6|v5; unmatched a8|; a9|v9")
	f(inner, "a4 v5 d7 a8 w20", "")
	// Late, without and with a history.
	f(inner, "v5 w20 a6 v7", "late a6|; late |v7")
	history := TableOptions[toy, toy]{History: 15 * time.Millisecond}
	f(history, "v5 v10 w20 a6 a11 a4", "a6|v5; a11|v10; late a4|")
	// The version of the horizon is kept, older ones are not.
	f(history, "v5 v10 v12 w26 a11 w28 a13", "a11|v10; a13|v12")
	// Too many versions, too many rows.
	f(TableOptions[toy, toy]{Versions: 2, Kind: JoinLeft}, "v5 v6 v7 a5 a6 w20", "overflowed |v5; forgotten a5|; a6|v6")
	f(TableOptions[toy, toy]{Pending: 1}, "v1 a5 a6 w20", "overflowed a6|; a5|v1")
	if _, err := NewTableJoin(TableOptions[toy, toy]{Kind: JoinOuter, Row: toyCodec(), Version: toyCodec()}); err == nil {
		t.Error("an outer table join is taken")
	}
}

func TestTableJoinAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]JoinKind{JoinInner, JoinLeft}).Draw(t, "kind")
		all, kept, marks := drawSides(t, rapid.Int64Range(0, 6).Draw(t, "slack"))
		j := tableJoin(t, TableOptions[toy, toy]{Kind: kind})
		var s TableState
		var got, want []string
		emit := func(r JoinResult[toy, toy]) {
			if r.Outcome != JoinLate {
				got = append(got, joinText(r))
			}
		}
		for i, e := range all {
			var err error
			if e.right {
				_, err = j.Update(&s, e.v.at, e.v, e.deleted, marks[i], emit)
			} else {
				_, err = j.Row(&s, e.v.at, e.v, marks[i], emit)
			}
			if err != nil {
				t.Fatal(err)
			}
			b := s.AppendTo(nil)
			if err := s.DecodeFrom(b); err != nil || !slices.Equal(b, s.AppendTo(nil)) {
				t.Fatalf("%x is read back as %x: %v", b, s.AppendTo(nil), err)
			}
		}
		if _, err := j.Advance(&s, 10_000, emit); err != nil || len(s.versions) > 1 || len(s.pending) > 0 {
			t.Fatalf("left %+v: %v", s, err)
		}
		slices.SortStableFunc(kept, func(a, b sideEvent) int { return cmp.Compare(a.v.at, b.v.at) })
		for _, row := range kept {
			if row.right {
				continue
			}
			r := JoinResult[toy, toy]{Outcome: JoinUnmatched, HasLeft: true, Left: row.v, LeftAt: row.v.at}
			for _, v := range kept {
				if v.right && v.v.at <= row.v.at {
					r.Outcome, r.HasRight, r.Right, r.RightAt = JoinMatched, true, v.v, v.v.at
					if v.deleted {
						r.Outcome, r.HasRight = JoinUnmatched, false
					}
				}
			}
			if r.Outcome == JoinMatched || kind == JoinLeft {
				want = append(want, joinText(r))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("kind %d, %v: got %q, want %q", kind, kept, got, want)
		}
	})
}

func FuzzJoinStates(f *testing.F) {
	j := interval(f, -3, 5, JoinOuter, 0)
	k := tableJoin(f, TableOptions[toy, toy]{Kind: JoinLeft, History: 5 * time.Millisecond})
	drop := func(JoinResult[toy, toy]) {}
	var a IntervalState
	var b TableState
	for i := range int64(6) {
		_, _ = j.Left(&a, 10+i, toy{at: 10 + i}, 8, drop)
		_, _ = j.Right(&a, 12+i, toy{at: 12 + i}, 8, drop)
		_, _ = k.Row(&b, 10+i, toy{at: 10 + i}, 8, drop)
		_, _ = k.Update(&b, 9+2*i, toy{at: 9 + 2*i}, i == 3, 8, drop)
		f.Add(a.AppendTo(nil))
		f.Add(b.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var a IntervalState
		if a.DecodeFrom(raw) == nil {
			again := a.AppendTo(nil)
			if err := a.DecodeFrom(again); err != nil {
				t.Fatalf("%x is written as %x: %v", raw, again, err)
			}
			if _, err := j.Left(&a, 30, toy{at: 30}, 25, drop); err == nil {
				_, _ = j.Advance(&a, 1<<40, drop)
			}
		}
		var b TableState
		if b.DecodeFrom(raw) == nil {
			again := b.AppendTo(nil)
			if err := b.DecodeFrom(again); err != nil {
				t.Fatalf("%x is written as %x: %v", raw, again, err)
			}
			if _, err := k.Row(&b, 30, toy{at: 30}, 25, drop); err == nil {
				_, _ = k.Advance(&b, 1<<40, drop)
			}
		}
	})
}

func BenchmarkIntervalJoin(b *testing.B) {
	j := interval(b, 0, 20, JoinLeft, 0)
	states := make([]IntervalState, 100_000)
	drop := func(JoinResult[toy, toy]) {}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		at := int64(i / len(states))
		offer := j.Left
		if i/len(states)%2 == 1 {
			offer = j.Right
		}
		if _, err := offer(&states[i%len(states)], at, toy{at: at}, at-5, drop); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
