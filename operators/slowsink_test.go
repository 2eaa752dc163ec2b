package operators_test

import (
	"os"
	"strconv"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
)

// TestSlowSink decides far more effects than may wait, while the webhook behind them takes
// ten seconds for an answer, or takes calls and never answers, and the mail server says
// nothing either. What is in memory is counted: it stays within its bounds, the rest is on
// disk or still in the log, and when the targets recover all leave, none twice. make soak
// does it with 200,000 events under the bounds of the product.
func TestSlowSink(t *testing.T) {
	f := func(slow time.Duration, stuck bool) {
		t.Helper()
		enginetest.Bubble(t, func(t *testing.T) { slowSink(t, slow, stuck) })
	}
	f(10*time.Second, false)
	f(0, true)
}

func slowSink(t *testing.T, slow time.Duration, stuck bool) {
	people, most, open := 250, 120, 32
	if os.Getenv("MILLRACE_SOAK") != "" {
		people, most, open = 100_000, 50_000, 1024
	}
	set := setOf(t, fstest.MapFS{"shop.yaml": {Data: []byte(thenShop)}, "cart.yaml": {Data: []byte(thenJourney)}}, "cart.yaml")
	w := newThenWorld(t)
	defer w.close()
	w.stop()
	before := w.world.options
	w.world.options = func(o *engine.Options) {
		before(o)
		o.OutboxMax, o.OutboxOpen = most, open
		o.Delivery.Terms = operators.DeliveryOf(set.Shop, func() *configs.Set { return set }).Terms
	}
	w.patience = 2 * slow
	w.hook.slow, w.hook.stuck, w.hook.taken = slow, stuck, make(map[string]int)
	w.start()
	w.hang.Store(stuck)
	held, unresolved := 0, 0
	look := func() {
		synctest.Wait()
		d, s := w.Engine.Delivery(), w.Engine.Stats()
		held, unresolved = max(held, d.Held-s.Reported), max(unresolved, s.Unresolved)
		if d.Window > open {
			t.Fatalf("%d rows are in memory, %d may be", d.Window, open)
		}
	}
	for i := range people {
		id := "p" + strconv.Itoa(i)
		w.take(encode(t, object("type", "identify", "userId", id, "traits", object("email", id+"@example.com", "marketing_consent", true))))
		w.take(encode(t, object("type", "track", "event", "Product Added", "userId", id,
			"properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c"))))
		if i%10 == 9 { // ten carts are left at a time
			time.Sleep(360 * time.Millisecond)
		}
		if i%(people/50) == 0 {
			look()
		}
	}
	for range 60 {
		time.Sleep(3 * time.Minute)
		look()
	}
	stopped := w.Engine.Delivery().Stopped
	w.hook.mu.Lock()
	w.hook.slow, w.hook.stuck = 0, false
	w.hook.mu.Unlock()
	w.hang.Store(false)
	for range 48 {
		time.Sleep(time.Hour)
		look()
	}
	s := w.Engine.Stats()
	t.Logf("%d events, at most %d effects waited of %d, %d entries in memory of %d rows; reading stopped %d times; %d calls were taken, %d given up, heap %d MB",
		2*people, unresolved, most, held, open, stopped, len(w.hook.taken), len(w.given), heap()>>20)
	// Timers that are due when reading goes on fire all: what they decide waits on disk. Of a row
	// that does not wait in memory there are at most its number and its tries.
	if held > open+3*unresolved || stopped == 0 {
		t.Errorf("at most %d effects waited, %d entries were in memory, reading stopped %d times", unresolved, held, stopped)
	}
	if s.Unresolved+s.Reported > 0 {
		t.Errorf("%d effects are left, of %d the receipt", s.Unresolved, s.Reported)
	}
	for key, n := range w.hook.taken {
		if n != 1 {
			t.Fatalf("call %s was taken %d times", key, n)
		}
	}
	for _, g := range w.given {
		if g.Reason == engine.GiveUpRefused {
			t.Fatalf("given up: %+v", g)
		}
	}
	mails := w.pipeline.Counters.Mails.Load()
	skipped := uint64(0)
	for l, n := range w.pipeline.Counters.Decisions() {
		if l.Outcome == event.Skipped {
			skipped += n
		}
	}
	calls := uint64(len(w.hook.taken) + len(w.given))
	if mails+skipped != uint64(people) || calls != uint64(people)+mails || !stuck && len(w.given) > 0 {
		t.Errorf("%d mails, %d skipped, %d calls of which %d were given up, for %d people", mails, skipped, calls, len(w.given), people)
	}
	if n := published(t, w); n != uint64(people) && os.Getenv("MILLRACE_SOAK") == "" {
		t.Errorf("%d messages are published", n)
	}
}
