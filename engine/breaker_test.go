package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBackoff(t *testing.T) {
	b := Backoff{Base: time.Second, Max: 10 * time.Second}
	f := func(try int, least, most time.Duration) {
		t.Helper()
		different := make(map[time.Duration]bool)
		for seed := range uint64(100) {
			w := b.Wait(try, seed)
			if w < least || w > most {
				t.Fatalf("try %d, seed %d: waits %s, want %s to %s", try, seed, w, least, most)
			}
			if w != b.Wait(try, seed) {
				t.Fatal("the same try waits differently")
			}
			different[w] = true
		}
		if len(different) < 90 {
			t.Errorf("try %d: only %d waits of 100 differ", try, len(different))
		}
	}
	f(1, 500*time.Millisecond, time.Second)
	f(2, time.Second, 2*time.Second)
	f(4, 4*time.Second, 8*time.Second)
	f(5, 5*time.Second, 10*time.Second)
	f(1<<40, 5*time.Second, 10*time.Second)
	f(-3, 500*time.Millisecond, time.Second)
}

func TestBreaker(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	// The script: + a call that succeeds, - one that fails, < begins one and > ends the
	// oldest begun well, digits let seconds pass, ? writes the state.
	f := func(script, want string) {
		t.Helper()
		s := NewBreakers(BreakerOptions{Window: 4, Failures: 3, Probes: 2, Open: Backoff{Base: 4 * time.Second, Max: 16 * time.Second}})
		now := start
		var open []Permit
		var b strings.Builder
		for _, c := range script {
			switch c {
			case '+', '-', '<':
				p, wait, ok := s.Allow("host", now)
				if !ok {
					if wait <= 0 {
						t.Errorf("%q: refused, and to be asked again after %s", script, wait)
					}
					b.WriteByte('x')
				} else if c == '<' {
					open = append(open, p)
				} else {
					p.Done(now, c == '-')
				}
			case '>':
				open[0].Done(now, false)
				open = open[1:]
			case '?':
				all, _ := s.Figures()
				fmt.Fprintf(&b, "%s ", all[0].State)
			default:
				now = now.Add(time.Duration(c-'0') * time.Second)
			}
		}
		if got := strings.TrimSpace(b.String()); got != want {
			t.Errorf("%q: got %q, want %q", script, got, want)
		}
	}
	// Two failures of four leave it closed, the third opens it.
	f("-+-?-?", "closed open")
	// Old failures are forgotten.
	f("--++-?-?", "closed closed")
	// While it is open nothing passes.
	f("---++1+", "xxx")
	// After its time two calls pass at once, and as many successes close it.
	f("---5<<+?>?>?", "xhalf-open half-open closed")
	// A failed probe opens it again, for longer.
	f("---5-?5+9+?", "open xhalf-open")
	// A call that began before it opened decides nothing.
	f("<---5>?", "open")
	f("<---5+>?+?", "half-open closed")
}

// A probe whose outcome never comes does not keep the breaker half-open for ever.
func TestBreakerLostProbe(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := NewBreakers(BreakerOptions{Window: 1, Failures: 1, Probes: 1, ProbeMax: time.Minute})
	p, _, _ := s.Allow("host", now)
	p.Done(now, true)
	now = now.Add(time.Hour)
	f := func(want bool) Permit {
		t.Helper()
		p, _, ok := s.Allow("host", now)
		if ok != want {
			t.Fatalf("allowed: %t, want %t", ok, want)
		}
		return p
	}
	f(true)
	f(false)
	now = now.Add(time.Minute)
	p = f(true)
	f(false)
	p.Cancel()
	p = f(true)
	p.Done(now, false)
	f(true)
	Permit{}.Done(now, true) // of a refused call: nothing happens
	Permit{}.Cancel()
}

// Targets are bounded: the one that is closed and least used goes.
func TestBreakerTargets(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := NewBreakers(BreakerOptions{Window: 1, Failures: 1, Targets: 3})
	call := func(target string, failed bool) {
		now = now.Add(time.Millisecond)
		if p, _, ok := s.Allow(target, now); ok {
			p.Done(now, failed)
		}
	}
	call("a", true)
	call("b", false)
	call("c", false)
	call("b", false)
	call("d", false)
	all, evicted := s.Figures()
	var names []string
	for _, f := range all {
		names = append(names, fmt.Sprintf("%s %s %d+%d", f.Target, f.State, f.Succeeded, f.Failed))
	}
	if got, want := strings.Join(names, ", "), "a open 0+1, b closed 2+0, d closed 1+0"; got != want || evicted != 1 {
		t.Errorf("got %q, %d evicted, want %q", got, evicted, want)
	}
}

// Whatever happens: while it is open nothing passes before its time, it opens only
// after enough failures, never more probes are under way than allowed, and after the
// time has come it lets something through.
func TestBreakerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := BreakerOptions{Window: rapid.IntRange(1, 8).Draw(t, "window"), Failures: rapid.IntRange(1, 8).Draw(t, "failures"), Probes: rapid.IntRange(1, 3).Draw(t, "probes")}
		s := NewBreakers(o)
		o = o.withDefaults()
		now := time.Unix(1_700_000_000, 0)
		var under []Permit
		failed := 0 // since it was last closed
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			before, _ := s.Figures()
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				now = now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond)
			case 1, 2:
				p, wait, ok := s.Allow("x", now)
				if ok {
					under = append(under, p)
				} else if wait <= 0 || len(before) == 1 && before[0].State == BreakerClosed {
					t.Fatalf("refused for %s while %s", wait, before[0].State)
				}
				if len(before) == 1 && before[0].State == BreakerOpen && ok == now.Before(before[0].Until) {
					t.Fatalf("allowed %t, open for another %s", ok, before[0].Until.Sub(now))
				}
			case 3:
				if len(under) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(under)-1).Draw(t, "which")
				bad := rapid.Bool().Draw(t, "bad")
				under[i].Done(now, bad)
				under = append(under[:i], under[i+1:]...)
				if bad {
					failed++
				}
			}
			after, _ := s.Figures()
			if len(after) == 0 {
				continue
			}
			if len(before) == 1 && before[0].State == BreakerClosed && after[0].State == BreakerOpen && failed < o.Failures {
				t.Fatalf("opened after %d failures, want %d", failed, o.Failures)
			}
			if after[0].State != BreakerClosed {
				failed = 0
			}
			if n := len(s.targets["x"].probes); n > o.Probes {
				t.Fatalf("%d probes", n)
			}
		}
	})
}
