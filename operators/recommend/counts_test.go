package recommend

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// act is an action of the naive models.
type act struct {
	person string
	item   Num
	how    Strength
	at     int64
}

// naiveCF counts pairs by the definition: for each moment, how much of min(r, r) was
// reached then, decayed since.
func naiveCF(log []act, o CFOptions, now int64) (own map[Num]float64, both map[[2]Num]float64) {
	own, both = make(map[Num]float64), make(map[[2]Num]float64)
	people := make(map[string]bool)
	for _, a := range log {
		people[a.person] = true
	}
	first := func(p string, i Num, l Strength) int64 {
		t := int64(math.MaxInt64)
		for _, a := range log {
			if a.person == p && a.item == i && a.how >= l {
				t = min(t, a.at)
			}
		}
		return t
	}
	worth := func(at int64) float64 { return math.Exp2(-float64(now-at) / float64(o.HalfLife.Milliseconds())) }
	for p := range people {
		for l := range strengths {
			step := o.Weights[l]
			if l > 0 {
				step -= o.Weights[l-1]
			}
			for i := range Num(5) {
				ti := first(p, i, l)
				if ti == math.MaxInt64 {
					continue
				}
				own[i] += step * worth(ti)
				for j := range Num(5) {
					if tj := first(p, j, l); j != i && tj != math.MaxInt64 && max(ti, tj)-min(ti, tj) <= o.Linked.Milliseconds() {
						both[[2]Num{i, j}] += step * worth(max(ti, tj))
					}
				}
			}
		}
	}
	return own, both
}

// TestItemCFStreamEqualsBatch feeds actions in any order, some twice.
func TestItemCFStreamEqualsBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := NewNames(0)
		for i := range 5 {
			names.Put(fmt.Sprint(i))
		}
		x := NewItemCF(names, CFOptions{HalfLife: 2 * time.Second, Linked: 10 * time.Second})
		log := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) act {
			return act{
				fmt.Sprint("p", rapid.IntRange(0, 2).Draw(t, "p")), Num(rapid.IntRange(0, 4).Draw(t, "i")),
				Strength(rapid.IntRange(0, 2).Draw(t, "how")), int64(rapid.IntRange(0, 40_000).Draw(t, "at")) + 1_600_000_000_000,
			}
		}), 1, 40).Draw(t, "log")
		for _, k := range rapid.Permutation(seq(len(log))).Draw(t, "order") {
			for range rapid.IntRange(1, 2).Draw(t, "times") {
				x.Add(log[k].person, log[k].item, log[k].how, log[k].at)
			}
		}
		now := x.last + 1000
		check := func(log []act) {
			own, both := naiveCF(log, x.o, now)
			for i := range Num(5) {
				if got := x.Own(i, now); math.Abs(got-own[i]) > 1e-9 {
					t.Fatalf("own %d: got %g, want %g", i, got, own[i])
				}
				for j := range Num(5) {
					if got := x.Shared(i, j, now); i != j && math.Abs(got-both[[2]Num{i, j}]) > 1e-9 {
						t.Fatalf("pair %d %d: got %g, want %g", i, j, got, both[[2]Num{i, j}])
					}
				}
			}
		}
		check(log)
		// Erasing a person takes exactly that person out.
		x.Erase("p0")
		check(slices.DeleteFunc(slices.Clone(log), func(a act) bool { return a.person == "p0" }))
	})
}

// TestCFGolden reads the golden values of the log-likelihood ratio from counts.
func TestCFGolden(t *testing.T) {
	f := func(k11, k12, k21, k22 int, want float64) {
		t.Helper()
		names := NewNames(0)
		a, b, c := names.Put("a"), names.Put("b"), names.Put("c")
		x := NewItemCF(names, CFOptions{HalfLife: -1, Linked: -1})
		n := 0
		add := func(times int, items ...Num) {
			for range times {
				for _, i := range items {
					x.Add(fmt.Sprint("p", n), i, Purchased, int64(n))
				}
				n++
			}
		}
		add(k11, a, b)
		add(k12, a)
		add(k21, b)
		add(k22, c)
		v := &CFVoice{Counts: x, Similarity: LogLikelihood}
		got := 0.0
		for _, r := range v.Similar(nil, a, 0) {
			if r.Item == b {
				got = r.Score
			}
		}
		if math.Abs(got-want) > 1e-6 {
			t.Errorf("%d %d %d %d: got %f, want %f", k11, k12, k21, k22, got, want)
		}
		wantCos := float64(k11) / math.Sqrt(float64((k11+k12)*(k11+k21)))
		if got := scoresOf(&CFVoice{Counts: x}, names, &Context{Session: []Num{a}})["b"]; math.Abs(got-wantCos) > 1e-12 {
			t.Errorf("%d %d %d %d: cosine %f, want %f", k11, k12, k21, k22, got, wantCos)
		}
	}
	f(1, 0, 0, 1, 2.772589)
	f(10, 0, 0, 10, 27.725887)
	f(5, 1995, 0, 100000, 39.330522)
	f(1000, 1995, 1000, 100000, 4730.736813)
	f(1000, 1000, 1000, 100000, 5734.342525)
	f(13, 1000, 1000, 100000, 0.803755)
	// What avoids each other is worth nothing.
	f(1, 100, 100, 100, 0)
}

// naiveRules counts all visits whole.
func naiveRules(visits map[string][]Click, sequential bool, half, now int64) map[[2]Num]float64 {
	out := make(map[[2]Num]float64)
	for _, clicks := range visits {
		for i := range clicks {
			for j := i + 1; j < len(clicks); j++ {
				w := math.Exp2(-float64(now-clicks[j].Time) / float64(half))
				a, b := clicks[i].Item, clicks[j].Item
				switch {
				case !sequential:
					out[[2]Num{a, b}] += w
					out[[2]Num{b, a}] += w
				case j-i <= 10:
					out[[2]Num{a, b}] += w / float64(j-i)
				}
			}
		}
	}
	return out
}

// TestAssociationsStreamEqualsBatch feeds clicks in any order, some twice.
func TestAssociationsStreamEqualsBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := NewNames(0)
		for i := range 5 {
			names.Put(fmt.Sprint(i))
		}
		trails := NewTrails(names)
		const half = 5 * time.Second
		ar, sr := NewAssociations(AssociationOptions{HalfLife: half}), NewAssociations(AssociationOptions{HalfLife: half, Sequential: true})
		visits := make(map[string][]Click)
		type row struct {
			key string
			c   Click
		}
		var log []row
		for range rapid.IntRange(0, 40).Draw(t, "clicks") {
			r := row{fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "visit")), Click{Num(rapid.IntRange(0, 4).Draw(t, "item")), int64(rapid.IntRange(0, 30_000).Draw(t, "at"))}}
			if !slices.Contains(visits[r.key], r.c) {
				visits[r.key] = append(visits[r.key], r.c)
				log = append(log, r)
			}
		}
		for _, v := range visits {
			slices.SortFunc(v, func(a, b Click) int { return int(a.Time-b.Time)*10 + int(a.Item-b.Item) })
		}
		for _, k := range rapid.Permutation(seq(len(log))).Draw(t, "order") {
			for range rapid.IntRange(1, 2).Draw(t, "times") {
				clicks, at := trails.Add(log[k].key, log[k].c)
				ar.Add(clicks, at)
				sr.Add(clicks, at)
			}
		}
		for _, a := range []*Associations{ar, sr} {
			want := naiveRules(visits, a.o.Sequential, half.Milliseconds(), 30_000)
			for i := range Num(5) {
				for j := range Num(5) {
					if got := a.Weight(i, j, 30_000); math.Abs(got-want[[2]Num{i, j}]) > 1e-9 {
						t.Fatalf("%s %d %d: got %g, want %g", a.Name(), i, j, got, want[[2]Num{i, j}])
					}
				}
			}
		}
	})
}

// TestPopularityAgainstMap compares the ranking with one made by sorting.
func TestPopularityAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := NewNames(0)
		p := NewPopularity(names, time.Second)
		want := make(map[string]float64)
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			id := fmt.Sprint(rapid.IntRange(0, 6).Draw(t, "i"))
			at := int64(rapid.IntRange(0, 9000).Draw(t, "at"))
			p.Add(names.Put(id), 1, at)
			want[id] += math.Exp2(-float64(9000-at) / 1000)
		}
		top := 0.0
		for _, x := range want {
			top = max(top, x)
		}
		for id, x := range want {
			want[id] = x / top
			if got := p.Count(names.Find(id), 9000); math.Abs(got-x) > 1e-9*max(x, 1) {
				t.Fatalf("%s: got %g, want %g", id, got, x)
			}
		}
		if diff := sameScores(scoresOf(p, names, &Context{}), want); diff != "" {
			t.Fatal(diff)
		}
		for k := 1; k < len(p.top); k++ {
			if p.before(p.top[k], p.top[k-1]) {
				t.Fatalf("place %d is before the one above", k)
			}
		}
	})
}

func TestPopularityBounds(t *testing.T) {
	names := NewNames(0)
	p := NewPopularity(names, 0)
	for i := range 2 * maxTop {
		for range i%7 + 1 {
			p.Add(names.Put(fmt.Sprint(i)), 1, 0)
		}
	}
	exact := slices.Clone(p.top)
	p.rank()
	if len(p.top) != maxTop || !slices.Equal(exact, p.top) {
		t.Errorf("the ranking that is kept differs from the one made anew")
	}
	p.Add(p.top[0], -7, 0)
	if p.top[0] == exact[0] || p.Count(exact[0], 0) != 0 {
		t.Errorf("what is taken back still leads")
	}
	p.Add(None, 1, 0)
}

// TestRowBound keeps the larger half.
func TestRowBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r row
		bound := rapid.IntRange(2, 8).Draw(t, "bound")
		naive := make(map[Num]float64)
		for range rapid.IntRange(0, 50).Draw(t, "n") {
			i, x := Num(rapid.IntRange(0, 12).Draw(t, "i")), float64(rapid.IntRange(-1, 3).Draw(t, "x"))
			lost := r.add(i, x, bound)
			if naive[i] += x; naive[i] == 0 {
				delete(naive, i)
			}
			if len(naive) > bound {
				order := slices.SortedFunc(maps.Keys(naive), func(a, b Num) int {
					if naive[a] != naive[b] {
						return int(naive[b] - naive[a])
					}
					return int(a - b)
				})
				if lost != len(naive)-bound/2 {
					t.Fatalf("lost %d of %d with bound %d", lost, len(naive), bound)
				}
				for _, k := range order[bound/2:] {
					delete(naive, k)
				}
			}
			if len(r.items) != len(naive) || !slices.IsSorted(r.items) {
				t.Fatalf("row %v, want %v", r, naive)
			}
			for k, v := range naive {
				if r.at(k) != v {
					t.Fatalf("row %v, want %v", r, naive)
				}
			}
		}
	})
}
