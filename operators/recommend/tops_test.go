package recommend

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// What is remembered answers as what is looked up, until it is too old or the item's
// count has moved by a sixteenth.
func TestTops(t *testing.T) {
	s := newShop(Options{HalfLife: -1})
	pairs(t, s, 32, "tea,cup")
	pairs(t, s, 40, "saw,nail")
	at := time.Unix(1000, 0)
	tops := Tops{now: func() time.Time { return at }}
	reads := 0
	read := func(id string) (*Item, bool) { reads++; return s.read(id) }
	f := func(wantShared float64, wantReads bool) {
		t.Helper()
		reads = 0
		got := tops.of("tea", Bought, s.now(), read, read, s.totals.Units(Bought, s.now(), -1))
		if len(got) != 1 || got[0].Item != "cup" || got[0].Shared != wantShared || (reads > 1) != wantReads {
			t.Fatalf("%+v, %d reads", got, reads)
		}
	}
	f(32, true)
	f(32, false)
	pairs(t, s, 1, "cup,tea")
	f(32, false)
	pairs(t, s, 3, "tea,cup,tea")
	f(36, true)
	f(36, false)
	at = at.Add(topsAge)
	f(36, true)
	if got := tops.of("nobody", Bought, 0, read, read, 1); len(got) != 0 || len(tops.new) != 1 {
		t.Fatalf("%v, %d lists", got, len(tops.new))
	}
}

// However many items are asked for, two generations are kept, and what is asked for
// again stays.
func TestTopsBound(t *testing.T) {
	s := newShop(Options{HalfLife: -1})
	pairs(t, s, 3, "tea,cup")
	var tops Tops
	tea, _ := s.read("tea")
	read := func(string) (*Item, bool) { return tea, true }
	for n := range 3 * topsMax {
		tops.of(fmt.Sprint(n), Bought, s.now(), read, read, 3)
		if n%1000 == 0 {
			tops.of("tea", Bought, s.now(), read, read, 3)
		}
	}
	if len(tops.new) > topsMax || len(tops.old) > topsMax {
		t.Fatalf("%d and %d lists", len(tops.new), len(tops.old))
	}
	if _, ok := tops.find(topKey{"tea", Bought}); !ok {
		t.Fatal("what was asked for often is forgotten")
	}
}

func TestTopsConcurrent(t *testing.T) {
	s := newShop(Options{HalfLife: -1})
	pairs(t, s, 6, "tea,cup")
	var tops Tops
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			q := QueryForSession([]string{"tea"}, 3, s.now())
			q.Tops = &tops
			for range 200 {
				if got := s.r.Recommend(q, s.read, &s.totals); len(got) != 1 || got[0].Item != "cup" {
					t.Errorf("%+v", got)
				}
			}
		})
	}
	wg.Wait()
}

// A person who is erased leaves no open visit behind.
func TestHybridEraseTrails(t *testing.T) {
	h := NewHybrid(HybridOptions{Voices: []string{VoicePopular, VoiceSessions}})
	for k, a := range []Action{{Person: "p", Session: "s1", Item: "a"}, {Person: "p", Session: "s2", Item: "b"}, {Person: "q", Session: "s3", Item: "a"}, {Session: "s4", Item: "a"}} {
		a.Time = int64(k)
		h.Observe(a)
	}
	h.Erase("p")
	h.Erase("")
	if len(h.trails.visits) != 2 || h.trails.visits["s1"] != nil || h.trails.visits["s2"] != nil {
		t.Fatalf("%v", h.trails.visits)
	}
}
