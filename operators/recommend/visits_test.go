package recommend

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// modelVisit is a visit of the naive model: all are kept in one list.
type modelVisit struct {
	who         uint64
	first, last int64
	items       []Num
	full        bool
}

// modelVisits does what Visits does, as plainly as can be, without bounds of postings.
type modelVisits struct {
	pause  int64
	most   int
	visits []*modelVisit // in the order of opening
}

func (m *modelVisits) click(who uint64, i Num, at int64) {
	looked := 0
	for _, v := range slices.Backward(m.visits) {
		if v.who != who {
			continue
		}
		if looked++; looked > chainMost {
			break
		}
		if at < v.first-m.pause || at > v.last+m.pause {
			continue
		}
		v.first, v.last = min(v.first, at), max(v.last, at)
		switch {
		case v.full || slices.Contains(v.items, i):
		case len(v.items) == m.most:
			v.items, v.full = nil, true
		default:
			v.items = append(v.items, i)
		}
		return
	}
	m.visits = append(m.visits, &modelVisit{who: who, first: at, last: at, items: []Num{i}})
}

// near scores items for a visit by the formulas of VMIS-kNN.
func (m *modelVisits) near(present []Num, neighbours int) map[Num]float64 {
	var recent []Num
	var far []int
	for k := range present {
		if i := present[len(present)-1-k]; !slices.Contains(recent, i) {
			recent, far = append(recent, i), append(far, k+1)
		}
	}
	type like struct {
		v   *modelVisit
		r   float64
		far int
		age int
	}
	var all []like
	df, total := map[Num]float64{}, 0.0
	for age, v := range m.visits {
		for _, i := range v.items {
			df[i]++
			total++
		}
		l := like{v: v, age: age}
		for k, i := range recent {
			if slices.Contains(v.items, i) {
				l.r += float64(len(present)-far[k]+1) / float64(len(recent))
				if l.far == 0 {
					l.far = far[k]
				}
			}
		}
		if l.far > 0 {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b like) int {
		switch {
		case a.r > b.r, a.r == b.r && a.v.last > b.v.last, a.r == b.r && a.v.last == b.v.last && a.age > b.age:
			return -1
		default:
			return 1
		}
	})
	scores := map[Num]float64{}
	for _, l := range all[:min(len(all), neighbours)] {
		for _, i := range l.v.items {
			scores[i] += max(1-0.1*float64(l.far), 0) * l.r
		}
	}
	for i, s := range scores {
		if scores[i] = s * math.Log(total/df[i]); scores[i] <= 0 {
			delete(scores, i)
		}
	}
	return scores
}

// An index that drops nothing answers as the model, whatever comes in whatever order,
// erasures and merges among it.
func TestVisitsAsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := NewVisits(VisitOptions{VisitItems: 5, Neighbours: 6, Pause: time.Second, Visits: 500})
		m := &modelVisits{pause: 1000, most: 5}
		for range rapid.IntRange(0, 120).Draw(t, "clicks") {
			who := uint64(rapid.IntRange(1, 5).Draw(t, "who"))
			switch rapid.IntRange(0, 30).Draw(t, "what") {
			case 0:
				n := len(m.visits)
				m.visits = slices.DeleteFunc(m.visits, func(v *modelVisit) bool { return v.who == who })
				if got := x.Erase(who); got != n-len(m.visits) {
					t.Fatalf("%d visits erased, want %d", got, n-len(m.visits))
				}
			case 1:
				to := uint64(rapid.IntRange(1, 5).Draw(t, "to"))
				n := 0
				for _, v := range m.visits {
					if v.who == who && who != to {
						v.who = to
						n++
					}
				}
				if got := x.Merge(who, to); got != n {
					t.Fatalf("%d visits merged, want %d", got, n)
				}
			default:
				i, at := Num(rapid.IntRange(0, 12).Draw(t, "item")), int64(rapid.IntRange(0, 3).Draw(t, "at"))*1200
				x.Click(who, i, at)
				m.click(who, i, at)
			}
		}
		if got := x.Stats().Visits; got != len(m.visits) {
			t.Fatalf("%d visits, want %d", got, len(m.visits))
		}
		var present []Num
		for range rapid.IntRange(1, 6).Draw(t, "present") {
			present = append(present, Num(rapid.IntRange(0, 12).Draw(t, "seen")))
		}
		want := m.near(present, 6)
		got := x.Near(nil, present, 100, nil, new(VisitScratch))
		if len(got) != len(want) {
			t.Fatalf("%v, want %v", got, want)
		}
		for k, r := range got {
			if math.Abs(r.Score-want[r.Item]) > 1e-9 || k > 0 && got[k-1].Score < r.Score {
				t.Fatalf("%v, want %v", got, want)
			}
		}
	})
}

// The list of an item holds the newest visits, and no more than it may.
func TestVisitsPostings(t *testing.T) {
	x := NewVisits(VisitOptions{Postings: 10})
	for k := range 25 {
		x.Click(uint64(k+1), 7, int64(k))
		x.Click(uint64(k+1), Num(100+k), int64(k))
	}
	got := x.Near(nil, []Num{7}, 100, nil, new(VisitScratch))
	var items []int
	for _, r := range got {
		items = append(items, int(r.Item))
	}
	slices.Sort(items)
	if fmt.Sprint(items) != "[7 115 116 117 118 119 120 121 122 123 124]" {
		t.Fatal(items)
	}
}

// However many visits there are, no more are kept than may be, and the oldest go: by
// number and by age. Frequencies go with them.
func TestVisitsBounds(t *testing.T) {
	x := NewVisits(VisitOptions{Visits: 10, KeepFor: time.Hour})
	for k := range 30 {
		x.Click(uint64(k%20+1), Num(k), int64(k)*1000)
	}
	if st := x.Stats(); st.Visits != 10 || st.Lost != 20 || st.People != 10 || x.total.Load() != 10 {
		t.Fatalf("%+v, %d", st, x.total.Load())
	}
	if got := x.Near(nil, []Num{5}, 9, nil, new(VisitScratch)); len(got) != 0 {
		t.Fatalf("a visit that is gone answers %v", got)
	}
	for k := range 10 {
		x.Click(99, Num(k), int64(2*time.Hour/time.Millisecond)+int64(k))
	}
	if st := x.Stats(); st.Visits != 1 || st.People != 1 || x.total.Load() != 10 {
		t.Fatalf("%+v, %d", st, x.total.Load())
	}
	if x.Click(5, 1, 0) {
		t.Fatal("a click older than what is kept was taken")
	}
}

// A visit found in the state joins the one that is there, and does not push a newer one
// out.
func TestVisitsAdd(t *testing.T) {
	x := NewVisits(VisitOptions{Visits: 2})
	x.Click(1, 1, 10_000_000)
	x.Add(1, []Num{1, 2}, 10_000_000)
	if st := x.Stats(); st.Visits != 1 || len(x.get(1).items) != 2 {
		t.Fatalf("%+v", st)
	}
	x.Click(2, 1, 20_000_000)
	x.Click(3, 1, 30_000_000)
	x.Add(4, []Num{None, 9}, 5_000)
	if st := x.Stats(); st.Visits != 2 || st.Lost != 1 || x.byWho[4] != 0 {
		t.Fatalf("%+v", st)
	}
}

// Questions run while visits come, go and are erased. Run with -race.
func TestVisitsAtOnce(t *testing.T) {
	x := NewVisits(VisitOptions{Visits: 300, Postings: 8})
	var asking, adding sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		asking.Go(func() {
			var s VisitScratch
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, r := range x.Near(nil, []Num{1, 2, 3}, 20, nil, &s) {
					if r.Item < 0 || r.Item > 40 || !(r.Score > 0) {
						t.Errorf("%v", r)
						return
					}
					s.Why(r.Item)
				}
			}
		})
	}
	for part := range 2 {
		adding.Go(func() {
			for k := range 20_000 {
				who := uint64(part*1000 + k/5%400 + 1)
				x.Click(who, Num(k*7%41), int64(k)*100)
				switch k % 1000 {
				case 500:
					x.Erase(who)
				case 700:
					x.Merge(who, who/2+1)
				}
			}
		})
	}
	adding.Wait()
	close(stop)
	asking.Wait()
	sum := int64(0)
	for i := range Num(41) {
		sum += int64(x.list(i, true).df.Load())
	}
	if st := x.Stats(); sum != x.total.Load() || st.Visits > 300 {
		t.Fatalf("%+v, %d of %d", st, sum, x.total.Load())
	}
}

// Numbers of visits begin again after four billion.
func TestVisitsWrap(t *testing.T) {
	x := NewVisits(VisitOptions{Visits: 50})
	x.next, x.oldest = math.MaxUint32-20, math.MaxUint32-20
	for k := range 100 {
		x.Click(uint64(k+1), Num(k%3), int64(k)*1000)
	}
	if st := x.Stats(); st.Visits < 49 || st.Visits > 50 || st.People != st.Visits {
		t.Fatalf("%+v", st)
	}
	if n := x.Erase(100); n != 1 {
		t.Fatalf("%d visits of the last one", n)
	}
}

// A reset table knows nothing, and a large one finds all its keys.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b table
		for range 3 {
			b.reset()
			want := map[uint32]float64{}
			for range rapid.IntRange(0, 700).Draw(t, "keys") {
				k := rapid.Uint32Range(0, 400).Draw(t, "key") * 1_000_003
				b.add(k, 1.5)
				want[k] += 1.5
			}
			if len(b.order) != len(want) {
				t.Fatalf("%d keys, want %d", len(b.order), len(want))
			}
			for at, k := range b.order {
				if b.values[at] != want[k] {
					t.Fatalf("key %d: %v, want %v", k, b.values[at], want[k])
				}
			}
		}
	})
}

// BenchmarkVisits is a click, and a question of five items, at 40,000 items and 180,000
// visits.
func BenchmarkVisits(b *testing.B) {
	x := NewVisits(VisitOptions{})
	at := int64(0)
	click := func(k int) {
		at += 200
		x.Click(uint64(k/5+1), Num((k/5*7919+k*31%97)%40_000), at)
	}
	for k := range 900_000 {
		click(k)
	}
	b.Run("click", func(b *testing.B) {
		b.ReportAllocs()
		for k := 900_000; b.Loop(); k++ {
			click(k)
		}
	})
	b.Run("near", func(b *testing.B) {
		var s VisitScratch
		var out []Ranked
		b.ReportAllocs()
		for k := 0; b.Loop(); k++ {
			i := Num(k * 7919 % 39_000)
			out = x.Near(out[:0], []Num{i, i + 31, i + 62, i + 3, i + 9}, 100, nil, &s)
		}
	})
}
