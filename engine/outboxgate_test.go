package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gateWorld is a pool with terms by lane: "HOST/anything".
func gateWorld(t *testing.T, window int, d Delivery, do func(row Row, try int) (Result, time.Duration, error)) (*poolWorld, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var given []string
	if d.Terms == nil {
		d.Terms = func(row *Row) Terms {
			host, _, _ := strings.Cut(row.Lane, "/")
			return Terms{Target: host, Paced: true, Tries: 5, Within: time.Hour}
		}
	}
	if d.GiveUp == nil {
		d.GiveUp = func(_ context.Context, g *GivenUp) error {
			mu.Lock()
			defer mu.Unlock()
			given = append(given, fmt.Sprintf("%d %s %d", g.Row.ID, g.Reason, g.Tries))
			return nil
		}
	}
	w := newPoolWorld(t, window, 4, do)
	w.pool.mu.Lock()
	w.gate = newGate(d)
	w.pool.mu.Unlock()
	return w, func() []string {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(given)
		return given
	}
}

// lanes are n lanes of a host.
func lanes(host string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s/%d", host, i)
	}
	return out
}

var errRefused = fmt.Errorf("%w: connection refused", ErrTarget)

// TestBreakerHoldsTarget: a host that is down is asked seldom, others are not held up, and
// when it is back everything leaves, once.
func TestBreakerHoldsTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(20 * time.Minute)
		calls := map[string]int{}
		var mu sync.Mutex
		w, given := gateWorld(t, 1000, Delivery{
			Terms: func(row *Row) Terms {
				host, _, _ := strings.Cut(row.Lane, "/")
				return Terms{Target: host}
			},
		}, func(row Row, _ int) (Result, time.Duration, error) {
			mu.Lock()
			defer mu.Unlock()
			host, _, _ := strings.Cut(row.Lane, "/")
			calls[host]++
			if host == "down" && time.Now().Before(back) {
				return Again, 0, errRefused
			}
			return Removed, 0, nil
		})
		defer w.stop()
		w.commit(1, lanes("down", 100)...)
		w.commit(101, lanes("up", 100)...)
		time.Sleep(19 * time.Minute)
		synctest.Wait()
		mu.Lock()
		down, up := calls["down"], calls["up"]
		mu.Unlock()
		if up != 100 || down > 60 {
			t.Errorf("%d calls of the host that is up, %d of the one that is down", up, down)
		}
		figures, _ := w.gate.breakers.Figures()
		if len(figures) != 2 || figures[0].Target != "down" || figures[0].State == BreakerClosed || figures[0].Rejected == 0 || figures[1].State != BreakerClosed {
			t.Errorf("%+v", figures)
		}
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if unresolved, _, _ := w.load(); unresolved != 0 || len(given()) != 0 {
			t.Errorf("%d effects are left, given up: %v", unresolved, given())
		}
		if figures, _ := w.gate.breakers.Figures(); figures[0].State != BreakerClosed || figures[0].Succeeded != 100 {
			t.Errorf("%+v", figures[0])
		}
	})
}

// TestBreakerOfRecipient: what says nothing about the target opens no breaker.
func TestBreakerOfRecipient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := gateWorld(t, 1000, Delivery{}, func(Row, int) (Result, time.Duration, error) {
			return Again, 0, errors.New("greylisted")
		})
		defer w.stop()
		w.commit(1, lanes("host", 50)...)
		time.Sleep(time.Minute)
		synctest.Wait()
		if figures, _ := w.gate.breakers.Figures(); figures[0].State != BreakerClosed || figures[0].Failed != 0 {
			t.Errorf("%+v", figures)
		}
	})
}

// TestGiveUp: an effect ends as its terms say, and is kept until somebody has taken it.
func TestGiveUp(t *testing.T) {
	f := func(want string, d Delivery, do func(try int) (Result, time.Duration, error)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w, given := gateWorld(t, 10, d, func(_ Row, try int) (Result, time.Duration, error) { return do(try) })
			defer w.stop()
			w.commit(1, "a/1")
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			if got := strings.Join(given(), ", "); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			unresolved, _, removals := w.load()
			if done := unresolved == 0 && removals == 1; !done {
				t.Errorf("%d unresolved, %d to be removed", unresolved, removals)
			}
		})
	}
	terms := func(x Terms) Delivery { return Delivery{Terms: func(*Row) Terms { return x }} }
	busy := errors.New("busy")
	f("1 refused 0", terms(Terms{}), func(int) (Result, time.Duration, error) { return Drop, 0, busy })
	f("1 tries 3", terms(Terms{Tries: 3}), func(int) (Result, time.Duration, error) { return Again, 0, busy })
	f("", terms(Terms{Tries: 3}), func(try int) (Result, time.Duration, error) {
		if try < 3 {
			return Again, 0, busy
		}
		return Removed, 0, nil
	})
	f("1 too_old 3", terms(Terms{Within: time.Hour}), func(int) (Result, time.Duration, error) { return Again, 20 * time.Minute, busy })
	f("1 too_old 1", terms(Terms{Within: time.Hour, Tries: 9}), func(int) (Result, time.Duration, error) { return Again, 20 * time.Hour, busy })
	// Who keeps what is given up may be down for a while.
	full := 0
	d := terms(Terms{Tries: 1})
	d.GiveUp = func(context.Context, *GivenUp) error {
		if full++; full < 10 {
			return errors.New("the dead letters cannot be reached")
		}
		return nil
	}
	f("", d, func(try int) (Result, time.Duration, error) {
		if try > 1 {
			t.Error("carried out again although it was given up")
		}
		return Again, 0, busy
	})
	if full != 10 {
		t.Errorf("asked %d times", full)
	}
}

// TestShed: what waits for one target that is down does not fill the memory that others
// need.
func TestShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, given := gateWorld(t, 32, Delivery{}, func(row Row, _ int) (Result, time.Duration, error) {
			if strings.HasPrefix(row.Lane, "down/") {
				return Again, 0, errRefused
			}
			return Removed, 0, nil
		})
		defer w.stop()
		w.commit(1, lanes("down", 500)...)
		w.commit(501, lanes("up", 100)...)
		time.Sleep(time.Minute)
		synctest.Wait()
		up := 0
		for _, call := range w.called() {
			id, _, _ := strings.Cut(call, "@")
			if len(id) == 3 && id > "500" {
				up++
			}
		}
		if up != 100 {
			t.Errorf("%d of 100 effects left for the host that is up", up)
		}
		if n := len(given()); n < 400 || n > 500 {
			t.Errorf("%d effects of the host that is down were given up", n)
		}
	})
}

// TestRate: paced effects leave at their rate, others are not held up by that.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := Delivery{Rate: 10, Burst: 5, Terms: func(row *Row) Terms { return Terms{Paced: strings.HasPrefix(row.Lane, "mail/")} }}
		w, _ := gateWorld(t, 1000, d, func(Row, int) (Result, time.Duration, error) { return Removed, 0, nil })
		defer w.stop()
		w.commit(1, lanes("mail", 100)...)
		w.commit(101, lanes("letter", 100)...)
		synctest.Wait()
		if n := len(w.called()); n != 105 {
			t.Errorf("%d left at once, want 100 and 5", n)
		}
		time.Sleep(5*time.Second + time.Millisecond)
		synctest.Wait()
		if n := len(w.called()); n != 155 {
			t.Errorf("%d left in 5 s, want 155", n)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := len(w.called()); n != 200 || w.gate.paced == 0 {
			t.Errorf("%d left in 10 s, want 200; %d waits", n, w.gate.paced)
		}
	})
}
