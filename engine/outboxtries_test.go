package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"millrace/state"
)

// again is a pool on the store of another one, as after a restart. What was noted is
// written first, as the last epoch of a run does.
func (w *poolWorld) again(d Delivery) *pool {
	w.t.Helper()
	r := &state.Record{}
	if err := w.flushTries(r, nil); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.Commit(context.Background(), r); err != nil {
		w.t.Fatal(err)
	}
	p := newPool(w.store, w.max)
	p.gate, p.log = newGate(d), w.log
	read := w.store.NewReader()
	defer read.Close()
	if err := p.open(read); err != nil {
		w.t.Fatal(err)
	}
	p.refill()
	return p
}

// TestTriesKept: a restart forgets neither how often an effect was tried nor since when,
// nor until when it waits, nor which breakers are open; and what left is forgotten.
func TestTriesKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := Delivery{
			Terms:    func(*Row) Terms { return Terms{Target: "crm", Tries: 5, Within: time.Hour} },
			GiveUp:   func(context.Context, *GivenUp) error { return errors.New("full") },
			Breakers: BreakerOptions{Failures: 3},
		}
		w, _ := gateWorld(t, 10, d, func(_ Row, try int) (Result, time.Duration, error) {
			if try == 3 {
				return Again, 20 * time.Minute, errRefused
			}
			return Again, 0, errRefused
		})
		defer w.stop()
		begun := time.Now()
		w.commit(1, "a")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if !w.unwritten() {
			t.Fatal("nothing is noted")
		}
		p := w.again(d)
		if len(p.window) != 1 || p.window[0].tries != 3 || !p.window[0].since.Equal(begun) || time.Until(p.window[0].after) < 10*time.Minute {
			t.Fatalf("after a restart: %+v", p.window[0])
		}
		if f, _ := p.gate.breakers.Figures(); len(f) != 1 || f[0].State != BreakerOpen || !f[0].Until.Before(time.Now()) {
			t.Errorf("breakers after a restart: %+v", f)
		}
		if w.unwritten() || p.unwritten() {
			t.Error("it would be written again")
		}
		// More tries are allowed than before, then fewer.
		for tries, want := range map[int]string{4: "", 3: GiveUpTries} {
			d.Terms = func(*Row) Terms { return Terms{Tries: tries} }
			if p := w.again(d); p.window[0].drop != want {
				t.Errorf("with %d tries: %+v", tries, p.window[0])
			}
		}
		// A clock that was set back holds nothing for ever.
		w.pool.mu.Lock()
		w.tried[1] = attempt{tries: 1, since: begun.Add(99 * time.Hour).UnixMilli(), after: begun.Add(99 * time.Hour).UnixMilli()}
		w.notes = []uint64{1}
		w.pool.mu.Unlock()
		if x := w.again(d).window[0]; x.since.After(time.Now()) || time.Until(x.after) > waitKept {
			t.Errorf("after a clock was set back: %+v", x)
		}
		r := &state.Record{}
		if err := w.flushTries(r, []uint64{1}); err != nil || r.Len() != 1 {
			t.Errorf("%d changes forget a row, %v", r.Len(), err)
		}
		if err := w.store.Commit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if x := w.again(d).window[0]; x.tries != 0 || x.noted {
			t.Errorf("after it was forgotten: %+v", x)
		}
	})
}

// TestTriesWritten: an effect that its breaker holds back is written about once, one that
// nobody will give up never.
func TestTriesWritten(t *testing.T) {
	f := func(terms Terms, want int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			d := Delivery{Terms: func(*Row) Terms { return terms }, Breakers: BreakerOptions{Failures: 1, Open: Backoff{Base: time.Hour, Max: time.Hour}}}
			w, _ := gateWorld(t, 100, d, func(Row, int) (Result, time.Duration, error) { return Again, 0, errRefused })
			defer w.stop()
			w.commit(1, lanes("a", 40)...)
			written := 0
			for range 20 {
				time.Sleep(time.Minute)
				synctest.Wait()
				r := &state.Record{}
				if err := w.flushTries(r, nil); err != nil {
					t.Fatal(err)
				}
				r.Each(func(key, _ []byte, _ bool) {
					if len(key) == len(tryKey(0)) {
						written++
					}
				})
			}
			if written != want {
				t.Errorf("%d writes, want %d", written, want)
			}
		})
	}
	f(Terms{Target: "a", Within: 9 * time.Hour}, 40)
	f(Terms{Target: "a"}, 0)
}

// TestBreakersKept: what was open is open again, for no longer than a breaker may be, and
// forgotten when that is long ago.
func TestBreakersKept(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	o := BreakerOptions{Failures: 1, Targets: 3}
	s := NewBreakers(o)
	if raw, err := s.save(); raw != nil || err != nil {
		t.Errorf("nothing changed: %s, %v", raw, err)
	}
	for _, name := range []string{"b", "a", "c"} {
		p, _, _ := s.Allow(name, now)
		p.Done(now, name != "c")
	}
	raw, err := s.save()
	if err != nil || s.changed() {
		t.Fatal(err)
	}
	f := func(at time.Time, open int, wait time.Duration) {
		t.Helper()
		r := NewBreakers(o)
		if err := r.restore(raw, at); err != nil {
			t.Fatal(err)
		}
		all, _ := r.Figures()
		_, longest, ok := r.Allow("a", at)
		if len(all) != open || ok != (wait == 0) || longest > wait {
			t.Errorf("at %v: %+v, wait %v", at.Sub(now), all, longest)
		}
	}
	f(now, 2, 5*time.Second)
	f(now.Add(time.Minute), 2, 0)
	f(now.Add(-999*time.Hour), 2, 5*time.Minute)
	f(now.Add(2*time.Hour), 0, 0)
	for _, bad := range []string{"", "{", `{"target":1}`} {
		if err := NewBreakers(o).restore([]byte(bad), now); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestPace: what shares a rate of its own leaves at that, others are not held up.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate := 10.0 / 60
		d := Delivery{Rate: 100, Terms: func(row *Row) Terms {
			if row.ID%2 == 0 {
				return Terms{Paced: true}
			}
			return Terms{Paced: true, Pace: "cart", Rate: rate}
		}}
		w, _ := gateWorld(t, 1000, d, func(Row, int) (Result, time.Duration, error) { return Removed, 0, nil })
		defer w.stop()
		w.commit(1, lanes("x", 200)...)
		f := func(after time.Duration, want int) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if n := len(w.called()); n != want {
				t.Errorf("%d have left, want %d", n, want)
			}
		}
		f(10*time.Second, 100+1+1)
		f(time.Minute, 100+1+11)
		w.pool.mu.Lock()
		slowed := w.gate.slowed
		for _, x := range w.window {
			x.terms.Rate = 30.0 / 60 // a new version says another rate
		}
		w.pool.mu.Unlock()
		if slowed == 0 {
			t.Error("nobody can see that the rate was reached")
		}
		f(7*time.Minute, 200)
	})
}

// TestPacesBounded: rates that nobody uses make room.
func TestPacesBounded(t *testing.T) {
	g, now := newGate(Delivery{}), time.Unix(1, 0)
	for i := range 3 * pacesMax {
		terms := Terms{Pace: string(rune('a' + i)), Rate: 1}
		if _, ok := g.pace(&terms, now.Add(time.Duration(i)*time.Second)); !ok {
			t.Fatal(i)
		}
		g.spend(&terms)
	}
	if len(g.paces) != pacesMax {
		t.Errorf("%d rates are known", len(g.paces))
	}
}

func FuzzAttempt(f *testing.F) {
	f.Add(appendAttempt(nil, attempt{}))
	f.Add(appendAttempt(nil, attempt{tries: 12, since: -1, after: 1 << 60}))
	f.Add([]byte{1, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAttempt(b)
		if err != nil {
			return
		}
		if again, err := decodeAttempt(appendAttempt(nil, a)); err != nil || again != a {
			t.Fatalf("%+v became %+v, %v", a, again, err)
		}
	})
}
