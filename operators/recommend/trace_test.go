package recommend

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestTraceAgainstList notes actions in any order, some twice, and compares with a list
// that is sorted at the end; then the stored form must tell the same.
func TestTraceAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tr Trace
		var want []string
		line := func(a Action) string { return fmt.Sprintf("%08d %s %s %d", a.Time, a.Session, a.Item, a.How) }
		for range rapid.IntRange(0, 60).Draw(t, "n") {
			a := Action{
				Session: fmt.Sprint("s", rapid.IntRange(0, 3).Draw(t, "s")), Item: fmt.Sprint("i", rapid.IntRange(0, 5).Draw(t, "i")),
				Time: int64(rapid.IntRange(0, 40).Draw(t, "at")),
			}
			known := slices.Contains(want, line(a))
			if got := tr.Add(&a); got == known {
				t.Fatalf("%s: added %v, known %v", line(a), got, known)
			}
			if !known {
				want = append(want, line(a))
			}
		}
		slices.Sort(want)
		var back Trace
		if err := back.DecodeFrom(tr.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		for _, x := range []*Trace{&tr, &back} {
			var got []string
			x.Replay("p", func(a Action) { got = append(got, line(a)) })
			if !slices.Equal(got, want) {
				t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	})
}

func TestTraceBounds(t *testing.T) {
	var tr Trace
	for k := range 3 * maxChoices {
		tr.Add(&Action{Session: fmt.Sprint(k / 2), Item: "x", Time: int64(k)})
	}
	if tr.Len() > maxChoices || len(tr.sessions) != maxTraceVisits || int(tr.Lost)+tr.Len() != 3*maxChoices {
		t.Errorf("%d choices of %d sessions, %d lost", tr.Len(), len(tr.sessions), tr.Lost)
	}
	if tr.Add(&Action{Session: "late", Item: "x", Time: -1}) {
		t.Error("what is older than all is kept")
	}
	if tr.Add(&Action{Session: "s"}) || tr.Add(&Action{Item: "x", How: strengths}) {
		t.Error("nonsense is kept")
	}
	present, past := tr.Items(tr.sessions[len(tr.sessions)-1], 4)
	if len(present) != 2 || len(past) != 2 {
		t.Errorf("present %v, past %v", present, past)
	}
}

// TestHybridFromTraces builds a hybrid anew from the traces of its people, in another
// order, and compares every score.
func TestHybridFromTraces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		live := NewHybrid(HybridOptions{})
		traces := make(map[string]*Trace)
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			p := fmt.Sprint("p", rapid.IntRange(0, 4).Draw(t, "p"))
			a := Action{
				Person: p, Session: p + fmt.Sprint("/", rapid.IntRange(0, 1).Draw(t, "s")), Item: fmt.Sprint("i", rapid.IntRange(0, 5).Draw(t, "i")),
				How: Strength(rapid.IntRange(0, 2).Draw(t, "how")), Time: 1_600_000_000_000 + int64(rapid.IntRange(0, 1_000_000).Draw(t, "at")),
			}
			if traces[p] == nil {
				traces[p] = new(Trace)
			}
			if traces[p].Add(&a) != live.Observe(a) {
				t.Fatalf("%+v is known to one only", a)
			}
		}
		again := NewHybrid(HybridOptions{})
		for _, k := range rapid.Permutation([]int{0, 1, 2, 3, 4}).Draw(t, "order") {
			if p := fmt.Sprint("p", k); traces[p] != nil {
				traces[p].Replay(p, func(a Action) { again.Observe(a) })
			}
		}
		for i := range 6 {
			for v := range live.voices {
				id := fmt.Sprint("i", i)
				c := func(h *Hybrid) map[string]float64 {
					return scoresOf(h.voices[v], h.names, &Context{Session: h.names.FindAll(nil, []string{id}), Now: 1_700_000_000_000})
				}
				if diff := sameScores(c(again), c(live)); diff != "" {
					t.Fatalf("%s from %s: %s", live.voices[v].Name(), id, diff)
				}
			}
		}
	})
}

func FuzzTraceDecode(f *testing.F) {
	var tr Trace
	f.Add(tr.AppendTo(nil))
	tr.Add(&Action{Session: "s", Item: "i", How: InCart, Time: 5})
	tr.Add(&Action{Session: "t", Item: "j", Time: -5})
	f.Add(tr.AppendTo(nil))
	f.Add([]byte{1, 0, 2, 1, 's', 1, 's', 0})
	f.Add([]byte{9})
	f.Fuzz(func(t *testing.T, b []byte) {
		var tr Trace
		if err := tr.DecodeFrom(b); err != nil {
			if tr.Len() != 0 || tr.sessions != nil {
				t.Fatal("a refused trace is not empty")
			}
			return
		}
		var back Trace
		if err := back.DecodeFrom(tr.AppendTo(nil)); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		tr.Add(&Action{Session: "new", Item: "new", Time: 1})
	})
}
