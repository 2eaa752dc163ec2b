package engine

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAtOnce: a target that hangs has no more than its share of the workers, and others go on.
func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		under, most := 0, 0
		d := Delivery{Terms: func(row *Row) Terms {
			host, _, _ := strings.Cut(row.Lane, "/")
			if host == "slow" {
				return Terms{Target: host, AtOnce: 3}
			}
			return Terms{}
		}}
		w, _ := gateWorld(t, 1000, d, func(row Row, _ int) (Result, time.Duration, error) {
			if strings.HasPrefix(row.Lane, "slow") {
				mu.Lock()
				under++
				most = max(most, under)
				mu.Unlock()
				time.Sleep(time.Minute)
				mu.Lock()
				under--
				mu.Unlock()
			}
			return Removed, 0, nil
		})
		defer w.stop()
		w.commit(1, lanes("slow", 30)...)
		w.commit(101, lanes("up", 100)...)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(w.called()); n != 3+100 {
			t.Errorf("%d effects began at once, want 3 of the slow target and 100 others", n)
		}
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if unresolved, _, _ := w.load(); unresolved != 0 || most != 3 {
			t.Errorf("%d effects are left, at most %d were under way", unresolved, most)
		}
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		if len(w.gate.flying) != 0 {
			t.Errorf("still under way: %v", w.gate.flying)
		}
	})
}
