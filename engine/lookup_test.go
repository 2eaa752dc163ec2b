package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// inquiry is a lookup with the state of one key and what it said.
type inquiry struct {
	l     *Lookup[toy]
	s     LookupState
	calls []LookupCall
	out   []string
	seq   uint64
}

func newInquiry(o LookupOptions[toy]) *inquiry {
	o.Input = toyCodec()
	return &inquiry{l: NewLookup(o)}
}

func (q *inquiry) ask(c LookupCall) { q.calls = append(q.calls, c) }

func (q *inquiry) emit(r LookupResult[toy]) {
	q.out = append(q.out, strings.TrimSpace(fmt.Sprintf("%s %c/%d %s", r.Outcome, r.Input.kind, r.Tries, r.Body)))
}

func (q *inquiry) reopen(t fataler) {
	b := q.s.AppendTo(nil)
	if err := q.s.DecodeFrom(b); err != nil || !slices.Equal(b, q.s.AppendTo(nil)) {
		t.Fatalf("%x is read back as %x: %v", b, q.s.AppendTo(nil), err)
	}
}

func (q *inquiry) input(t fataler, kind byte, now int64) {
	q.seq++
	if _, err := q.l.Ask(&q.s, "key", q.seq, 0, toy{kind: kind}, now, q.ask, q.emit); err != nil {
		t.Fatalf("%v", err)
	}
	q.reopen(t)
}

func (q *inquiry) answer(t fataler, c LookupCall, failed bool, now int64) {
	v, _ := toyCodec().Decode(c.Input)
	a := LookupAnswer{Key: c.Key, ID: c.ID, Try: c.Try, Failed: failed}
	if !failed {
		a.Body = []byte{v.kind - 'a' + 'A'}
	}
	b := AppendLookupAnswer(nil, &a)
	a, err := DecodeLookupAnswer(b)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if _, err := q.l.Answer(&q.s, &a, now, q.ask, q.emit); err != nil {
		t.Fatalf("%v", err)
	}
	q.reopen(t)
}

func (q *inquiry) advance(t fataler, now int64) {
	if _, err := q.l.Advance(&q.s, "key", now, q.ask, q.emit); err != nil {
		t.Fatalf("%v", err)
	}
	q.reopen(t)
}

func TestLookup(t *testing.T) {
	// Letters ask, digits answer the call of that number well, "!n" badly, "+" lets a
	// second of event time pass. The answer is what was emitted, and how many calls.
	f := func(o LookupOptions[toy], in, want string) {
		t.Helper()
		q := newInquiry(o)
		now, failed := int64(0), false
		for _, c := range in {
			switch {
			case c == '!':
				failed = true
			case c == '+':
				now += 1000
				q.advance(t, now)
			case c >= '0' && c <= '9':
				q.answer(t, q.calls[c-'0'], failed, now)
				failed = false
			default:
				q.input(t, byte(c), now)
			}
		}
		if got := fmt.Sprintf("%s (%d)", strings.Join(q.out, ", "), len(q.calls)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	plain := LookupOptions[toy]{Timeout: 10 * time.Second, Backoff: Backoff{Base: 2 * time.Second, Max: 2 * time.Second}}
	free := plain
	free.Unordered = true
	// Ordered, answers wait for earlier ones; unordered they do not.
	f(plain, "abc210", "answered a/1 A, answered b/1 B, answered c/1 C (3)")
	f(free, "abc210", "answered c/1 C, answered b/1 B, answered a/1 A (3)")
	// Five are asked, four are under way.
	f(plain, "abcde", " (4)")
	f(plain, "abcde0", "answered a/1 A (5)")
	// A failure is tried again after a while, three times in all.
	f(plain, "a!0", " (1)")
	f(plain, "a!0++1", "answered a/2 A (2)")
	f(plain, "a!0++!1++!2", "failed a/3 (3)")
	// An answer that comes twice, or too late, changes nothing.
	f(plain, "a00", "answered a/1 A (1)")
	f(plain, "a++++++++++0", "timed-out a/1 (1)")
	// A good answer of an earlier try counts, a bad one does not.
	f(plain, "a!0++0", "answered a/2 A (2)")
	f(plain, "a!0++!0", " (2)")
	// Time ends the first, and lets those behind it go.
	f(plain, "a++b1++++++++", "timed-out a/1, answered b/1 B (2)")
	// One that rests keeps its place.
	f(LookupOptions[toy]{Flight: 1, Timeout: time.Hour, Backoff: plain.Backoff}, "ab!0", " (1)")
	f(LookupOptions[toy]{Waiting: 2}, "abc0", "refused c/0, answered a/1 A (2)")
}

// Questions of one position differ, whatever happened to others.
func TestLookupIDs(t *testing.T) {
	q := newInquiry(LookupOptions[toy]{})
	for range 3 {
		q.seq = 4
		q.input(t, 'a', 0)
	}
	if q.calls[0].ID == q.calls[1].ID || q.calls[1].ID == q.calls[2].ID || q.calls[2].ID != (LookupID{Seq: 5, N: 2}) {
		t.Errorf("got %v", q.calls)
	}
}

// Every question ends once, in order if asked for; never more are under way than
// allowed; and no state is left.
func TestLookupProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := LookupOptions[toy]{Unordered: rapid.Bool().Draw(t, "unordered"), Flight: rapid.IntRange(1, 4).Draw(t, "flight"),
			Waiting: rapid.IntRange(1, 8).Draw(t, "waiting"), Tries: rapid.IntRange(1, 3).Draw(t, "tries"), Timeout: 30 * time.Second}
		q := newInquiry(o)
		now := int64(0)
		asked := 0
		var open []LookupCall
		taken := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				q.input(t, byte('a'+asked), now)
				asked++
			case 1:
				now += rapid.Int64Range(0, 8000).Draw(t, "ms")
				q.advance(t, now)
			case 2:
				open = append(open, q.calls[taken:]...)
				taken = len(q.calls)
				if len(open) > 0 {
					i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
					q.answer(t, open[i], rapid.Bool().Draw(t, "failed"), now)
					if rapid.Bool().Draw(t, "once") {
						open = slices.Delete(open, i, i+1)
					}
				}
			}
			under := 0
			for i := range q.s.questions {
				if st := q.s.questions[i].state; st == questionFlies || st == questionRests {
					under++
				}
			}
			if under > o.Flight || len(q.s.questions) > o.Waiting {
				t.Fatalf("%d under way, %d kept", under, len(q.s.questions))
			}
			if due, ok := q.l.Next(&q.s); ok && due <= now {
				t.Fatalf("at %d something was due at %d", now, due)
			}
		}
		q.advance(t, now+100_000)
		if !q.s.Empty() || len(q.out) != asked {
			t.Fatalf("%d of %d ended, left %+v", len(q.out), asked, q.s)
		}
		var order []byte
		for _, line := range q.out {
			outcome, rest, _ := strings.Cut(line, " ")
			if outcome != "refused" {
				order = append(order, rest[0])
			}
		}
		if !o.Unordered && !slices.IsSorted(order) {
			t.Fatalf("out of order: %q", q.out)
		}
		slices.Sort(order)
		if len(slices.Compact(order)) != len(order) {
			t.Fatalf("some ended twice: %q", q.out)
		}
	})
}

func FuzzLookup(f *testing.F) {
	q := newInquiry(LookupOptions[toy]{})
	for range 6 {
		q.input(f, 'a', 0)
	}
	q.answer(f, q.calls[0], true, 5)
	q.answer(f, q.calls[2], false, 5)
	f.Add(q.s.AppendTo(nil))
	f.Add(AppendLookupCall(nil, &q.calls[3]))
	f.Add(AppendLookupAnswer(nil, &LookupAnswer{Row: 3, Key: "key", ID: q.calls[1].ID, Try: 2, Body: []byte("x")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		q := newInquiry(LookupOptions[toy]{})
		if q.s.DecodeFrom(b) == nil {
			again := q.s.AppendTo(nil)
			if err := q.s.DecodeFrom(again); err != nil {
				t.Fatalf("%x is written as %x: %v", b, again, err)
			}
			_, _ = q.l.Advance(&q.s, "key", 1<<40, q.ask, q.emit)
		}
		if c, err := DecodeLookupCall(b); err == nil {
			if d, err := DecodeLookupCall(AppendLookupCall(nil, &c)); err != nil || d.ID != c.ID || d.Key != c.Key {
				t.Fatalf("%+v is read back as %+v: %v", c, d, err)
			}
		} else if !errors.Is(err, errLookup) {
			t.Fatal(err)
		}
		if a, err := DecodeLookupAnswer(b); err == nil {
			if d, err := DecodeLookupAnswer(AppendLookupAnswer(nil, &a)); err != nil || d.ID != a.ID || d.Row != a.Row || d.Failed != a.Failed {
				t.Fatalf("%+v is read back as %+v: %v", a, d, err)
			}
		}
	})
}
