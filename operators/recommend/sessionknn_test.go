package recommend

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// naiveClick is a row of the log of the naive model.
type naiveClick struct {
	key  string
	item Num
	at   int64
}

// naiveSessions is VMIS-kNN by its definition: all sessions, sorted anew at each question.
type naiveSessions struct {
	o     SessionOptions
	log   []naiveClick
	names *Names
}

type naiveSession struct {
	key   string
	last  int64
	items map[Num]bool
}

func (m *naiveSessions) newest(has func(*naiveSession) bool) []*naiveSession {
	all := make(map[string]*naiveSession)
	for _, c := range m.log {
		s := all[c.key]
		if s == nil {
			s = &naiveSession{key: c.key, last: math.MinInt64, items: make(map[Num]bool)}
			all[c.key] = s
		}
		s.items[c.item] = true
		s.last = max(s.last, c.at)
	}
	var out []*naiveSession
	for _, s := range all {
		if has(s) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *naiveSession) int {
		return cmp.Or(cmp.Compare(b.last, a.last), cmp.Compare(a.key, b.key))
	})
	return out
}

func (m *naiveSessions) scores(session []Num) map[Num]float64 {
	session = session[max(len(session)-m.o.LastItems, 0):]
	distinct := make(map[Num]bool)
	for _, i := range session {
		distinct[i] = true
	}
	// The visits that are looked at: walk the lists as published.
	r := make(map[*naiveSession]float64)
	byKey := make(map[string]*naiveSession)
	var kept []*naiveSession
	seen := make(map[Num]bool)
	for p := range session {
		i := session[len(session)-1-p]
		if seen[i] {
			continue
		}
		seen[i] = true
		d := float64(len(session)-p) / float64(len(distinct))
		list := m.newest(func(s *naiveSession) bool { return s.items[i] })
		for _, s := range list[:min(len(list), m.o.Postings)] {
			if known, ok := byKey[s.key]; ok {
				r[known] += d
				continue
			}
			if len(kept) == m.o.Sample {
				slices.SortFunc(kept, func(a, b *naiveSession) int {
					return cmp.Or(cmp.Compare(b.last, a.last), cmp.Compare(a.key, b.key))
				})
				oldest := kept[len(kept)-1]
				if s.last < oldest.last || s.last == oldest.last && s.key > oldest.key {
					break
				}
				kept = kept[:len(kept)-1]
				delete(r, oldest)
				delete(byKey, oldest.key)
			}
			kept = append(kept, s)
			byKey[s.key] = s
			r[s] = d
		}
	}
	slices.SortFunc(kept, func(a, b *naiveSession) int {
		return cmp.Or(cmp.Compare(r[b], r[a]), cmp.Compare(b.last, a.last), cmp.Compare(a.key, b.key))
	})
	df, total := make(map[Num]float64), 0.0
	for _, s := range m.newest(func(*naiveSession) bool { return true }) {
		for i := range s.items {
			df[i]++
			total++
		}
	}
	out := make(map[Num]float64)
	for _, s := range kept[:min(len(kept), m.o.Neighbours)] {
		q := 100
		for p := range session {
			if s.items[session[len(session)-1-p]] {
				q = p + 1
				break
			}
		}
		w := 1 - 0.1*float64(q)
		if w <= 0 {
			continue
		}
		for j := range s.items {
			out[j] += w * r[s] * math.Log(total/df[j])
		}
	}
	return out
}

// TestSessionsAgainstNaive feeds clicks in any order, some twice, and compares all
// scores with those of the naive model.
func TestSessionsAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := SessionOptions{
			Postings: rapid.IntRange(1, 5).Draw(t, "postings"), Sample: rapid.IntRange(1, 6).Draw(t, "sample"),
			Neighbours: rapid.IntRange(1, 6).Draw(t, "neighbours"), LastItems: rapid.IntRange(1, 9).Draw(t, "last"), KeepFor: 1 << 40,
		}
		names := NewNames(0)
		for i := range 8 {
			names.Put(fmt.Sprint("i", i))
		}
		log := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) naiveClick {
			return naiveClick{fmt.Sprint("s", rapid.IntRange(0, 11).Draw(t, "s")), Num(rapid.IntRange(0, 7).Draw(t, "i")), int64(rapid.IntRange(0, 30).Draw(t, "at"))}
		}), 0, 80).Draw(t, "log")
		x := NewSessions(names, o)
		m := &naiveSessions{o: x.o, log: log, names: names}
		for _, k := range rapid.Permutation(seq(len(log))).Draw(t, "order") {
			for range rapid.IntRange(1, 2).Draw(t, "times") {
				x.Click("", log[k].key, log[k].item, log[k].at)
			}
		}
		session := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 7), func(i int) Num { return Num(i) }), 1, 12).Draw(t, "session")
		want := m.scores(session)
		var s Scratch
		for range 2 { // a scratch that was used before gives the same answer
			s.Scores.Reset(names.Len())
			x.Score(&Context{Session: session}, &s)
			for i := range Num(8) {
				if got := s.Scores.Of(i); math.Abs(got-want[i]) > 1e-9 {
					t.Fatalf("item %d: got %g, want %g", i, got, want[i])
				}
			}
		}
	})
}

func seq(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// scoresOf asks a voice for everything it knows.
func scoresOf(v Voice, names *Names, c *Context) map[string]float64 {
	var s Scratch
	s.Scores.Reset(names.Len())
	v.Score(c, &s)
	out := make(map[string]float64)
	for _, i := range s.Scores.found {
		if x := s.Scores.Of(i); x != 0 {
			out[names.ID(i)] = x
		}
	}
	return out
}

func sameScores(got, want map[string]float64) string {
	for id := range want {
		if math.Abs(got[id]-want[id]) > 1e-9 {
			return fmt.Sprintf("%s: got %g, want %g", id, got[id], want[id])
		}
	}
	for id := range got {
		if _, ok := want[id]; !ok && math.Abs(got[id]) > 1e-9 {
			return fmt.Sprintf("%s: got %g, want none", id, got[id])
		}
	}
	return ""
}

// TestSessionsErase compares an index from which a person was erased with one that never
// knew the person.
func TestSessionsErase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := NewNames(0)
		with, without := NewSessions(names, SessionOptions{}), NewSessions(names, SessionOptions{})
		for range rapid.IntRange(0, 60).Draw(t, "clicks") {
			person := fmt.Sprint("p", rapid.IntRange(0, 3).Draw(t, "person"))
			key := person + fmt.Sprint("/", rapid.IntRange(0, 3).Draw(t, "visit"))
			i := names.Put(fmt.Sprint("i", rapid.IntRange(0, 9).Draw(t, "item")))
			at := int64(rapid.IntRange(0, 50).Draw(t, "at"))
			with.Click(person, key, i, at)
			if person != "p1" {
				without.Click(person, key, i, at)
			}
		}
		with.Erase("p1")
		if n := with.Erase("p1"); n != 0 {
			t.Fatalf("erased %d visits twice", n)
		}
		if with.Len() != without.Len() {
			t.Fatalf("%d visits are left, want %d", with.Len(), without.Len())
		}
		for i := range Num(names.Len()) { //nolint:gosec // ten
			c := &Context{Session: []Num{i}}
			if diff := sameScores(scoresOf(with, names, c), scoresOf(without, names, c)); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func TestSessionsBounds(t *testing.T) {
	names := NewNames(0)
	for i := range 300 {
		names.Put(fmt.Sprint(i))
	}
	// A visit that looks at everything is no shopper, and counts for nothing.
	x := NewSessions(names, SessionOptions{MaxItems: 10, KeepFor: time.Hour})
	for i := range Num(300) {
		x.Click("bot", "bot", i, int64(i))
	}
	x.Click("", "a", 1, 1000)
	x.Click("", "a", 2, 1001)
	if got := scoresOf(x, names, &Context{Session: []Num{1}}); len(got) != 2 || x.total != 2 {
		t.Errorf("a bot counts: %v of %d", got, x.total)
	}
	// What nobody remembers is forgotten after a while, and its slot is used again.
	x = NewSessions(names, SessionOptions{Postings: 2, KeepFor: time.Second})
	for i := range int64(5000) {
		x.Click("p", fmt.Sprint("s", i), Num(i%3), i*100)
	}
	if x.Len() > 3*2+12 || len(x.visits) > 40 || len(x.owned["p"]) != x.Len() {
		t.Errorf("%d visits are kept in %d slots, %d of the person", x.Len(), len(x.visits), len(x.owned["p"]))
	}
	// The number of visits is bounded whatever the items remember.
	x = NewSessions(names, SessionOptions{MaxVisits: 50})
	for i := range int64(1000) {
		x.Click("", fmt.Sprint("s", i), Num(i%300), i)
	}
	if x.Len() != 50 || x.Lost() != 950 {
		t.Errorf("%d visits are kept and %d lost", x.Len(), x.Lost())
	}
}
