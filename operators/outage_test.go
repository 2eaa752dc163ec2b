package operators_test

import (
	"context"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
	"millrace/operators/mail"
)

// setOf loads pipelines of a file system, which also holds their shop.
func setOf(t testing.TB, files fs.FS, names ...string) *configs.Set {
	t.Helper()
	loader, err := configs.NewLoader(configs.Options{FS: files})
	if err != nil {
		t.Fatal(err)
	}
	set, err := loader.Load(append([]string{"shop.yaml"}, names...)...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// outage is a world whose effects leave under the terms of the product.
type outage struct {
	*world
	mu    sync.Mutex
	given []string
}

// newOutage makes a world of the journey cart, whose mails leave as send says.
func newOutage(t *testing.T, shop, send string) *outage {
	t.Helper()
	journey := strings.Replace(thenJourney, "via: smtp/main", "via: smtp/main"+send, 1)
	journey, _, _ = strings.Cut(strings.Replace(journey, "wait: 1h", "wait: 1h, fresh_for: 3h", 1), "then:")
	files := fstest.MapFS{"shop.yaml": {Data: []byte(thenShop + shop)}, "cart.yaml": {Data: []byte(journey)}}
	set := setOf(t, files, "cart.yaml")
	w := &outage{world: newWorldOf(t, journeysOf(t, files, "cart.yaml"))}
	w.world.options = func(o *engine.Options) {
		o.Delivery = operators.DeliveryOf(set.Shop, func() *configs.Set { return set })
		o.Delivery.GiveUp = func(_ context.Context, g *engine.GivenUp) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.given = append(w.given, g.Reason)
			return nil
		}
	}
	w.start()
	return w
}

// cart makes a person leave one.
func (w *outage) cart(id string) {
	w.take(encode(w.t, object("type", "identify", "userId", id, "traits", object("email", id+"@example.com", "marketing_consent", true))))
	w.take(encode(w.t, object("type", "track", "event", "Product Added", "userId", id,
		"properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c"))))
}

// shopOn lets the shop go on for hours: somebody looks at something every five minutes.
func (w *outage) shopOn(hours int) {
	for range hours * 12 {
		w.take(encode(w.t, object("type", "page", "anonymousId", "passer-by", "properties", object())))
		time.Sleep(5 * time.Minute)
	}
	synctest.Wait()
}

// TestOverdueMails: after an outage of six hours what is still fresh leaves at the
// journey's rate, or at that of all effects, and what is stale is skipped.
func TestOverdueMails(t *testing.T) {
	f := func(shop, send string, figure func(engine.DeliveryStats) uint64) {
		t.Helper()
		enginetest.Bubble(t, func(t *testing.T) {
			w := newOutage(t, shop, send)
			defer w.close()
			w.down.Store(true)
			const people = 120
			for i := range people { // one every three minutes: those of the first half are stale in the end
				w.cart("p" + strconv.Itoa(i))
				time.Sleep(3 * time.Minute)
			}
			w.shopOn(1)
			if b := w.Engine.Delivery().Breakers; len(b) != 1 || b[0].Target != operators.TargetMail || b[0].State == engine.BreakerClosed || b[0].Opened == 0 {
				t.Errorf("the mail server is down for hours, and its breaker: %+v", b)
			}
			w.stop() // what waits is tried at once after a restart, unless something paces it
			w.down.Store(false)
			w.start()
			w.shopOn(2)
			got := w.inbox.List(0, people)
			skipped := 0
			for l, n := range w.pipeline.Counters.Decisions() {
				if l.Outcome == event.Skipped {
					skipped += int(n)
				}
			}
			st := w.Engine.Stats()
			if st.Unresolved != 0 || len(got) < people/3 || len(got) > people/2+20 || len(got)+skipped < people/2 {
				t.Errorf("%d mails, %d skipped in the last run, %d effects are left", len(got), skipped, st.Unresolved)
			}
			if figure(w.Engine.Delivery()) == 0 {
				t.Error("nobody can see that the rate was reached")
			}
			atMost(t, got, 10, time.Minute)
		})
	}
	f("", ", rate: 10 per minute", func(s engine.DeliveryStats) uint64 { return s.Slowed })
	f("outbox: {rate: 10 per minute}\n", "", func(s engine.DeliveryStats) uint64 { return s.Paced })
}

// atMost fails when more than n mails, and what a pause saves up, came within some span of
// time.
func atMost(t *testing.T, got []mail.Received, n int, span time.Duration) {
	t.Helper()
	for i := range got {
		in := 0
		for j := range got {
			if d := got[j].At.Sub(got[i].At); d >= 0 && d < span {
				in++
			}
		}
		if in > n+2 {
			t.Fatalf("%d mails in %v, want %d", in, span, n)
		}
	}
}

// TestServerSaysBusy: a server that says 421 to everybody opens its breaker; one that
// refuses single mailboxes for the moment does not. What is refused for two days ends as
// skipped, although the program was started anew meanwhile, and others are not held up.
func TestServerSaysBusy(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		w := newOutage(t, "", "")
		defer w.close()
		only, err := mail.ParsePattern("p0@example.com")
		w.check(err)
		w.check(w.inbox.Script(mail.Fault{Stage: mail.StageRcpt, Address: only, Code: 451}))
		for i := range 30 {
			w.cart("p" + strconv.Itoa(i))
		}
		w.shopOn(2)
		if n, b := len(w.inbox.List(0, 100)), w.Engine.Delivery().Breakers; n != 29 || len(b) != 1 || b[0].Opened != 0 {
			t.Fatalf("%d mails, %+v", n, b)
		}
		w.stop()
		w.start()
		// The journey's mails are stale after three hours: nobody waits for the twentieth try.
		w.shopOn(3)
		if st := w.Engine.Stats(); st.Unresolved != 0 || len(w.inbox.List(0, 100)) != 29 {
			t.Errorf("%d effects are left", st.Unresolved)
		}
		w.check(w.inbox.Script(mail.Fault{Stage: mail.StageHello, Code: 421}))
		for i := range 30 {
			w.cart("q" + strconv.Itoa(i))
		}
		w.shopOn(2)
		b := w.Engine.Delivery().Breakers
		if len(b) != 1 || b[0].Opened == 0 || b[0].Rejected == 0 || b[0].State == engine.BreakerClosed {
			t.Fatalf("%+v", b)
		}
		opened := b[0].Opened
		w.stop()
		w.start()
		if b := w.Engine.Delivery().Breakers; len(b) != 1 || b[0].State != engine.BreakerOpen {
			t.Errorf("after a restart: %+v", b)
		}
		w.check(w.inbox.Script())
		w.shopOn(1)
		if n, st := len(w.inbox.List(0, 100)), w.Engine.Stats(); n != 59 || st.Unresolved != 0 {
			t.Errorf("%d mails, %d effects are left; it opened %d times", n, st.Unresolved, opened)
		}
	})
}

// TestMailGivenUp: a mailbox that is refused for the moment again and again is given up
// after twenty tries, those before a restart included.
func TestMailGivenUp(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		w := newWorld(t, "cart-abandonment.yaml") // fresh for a day
		defer w.close()
		refused := 0
		w.check(w.inbox.Script(mail.Fault{Stage: mail.StageRcpt, Code: 451}))
		w.start()
		w.take(encode(t, object("type", "identify", "userId", "ann", "traits", object("email", "ann@example.com", "marketing_consent", true))))
		w.take(encode(t, object("type", "track", "event", "Product Added", "userId", "ann",
			"properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c"))))
		for range 20 {
			time.Sleep(time.Hour)
			synctest.Wait()
			refused += int(w.Engine.Stats().Retries)
			w.stop()
			w.start()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		v := w.Engine.View()
		defer v.Close()
		got, err := w.pipeline.Decisions(v, "ann")
		w.check(err)
		if len(got) != 1 || got[0].Outcome != event.Skipped || !strings.HasPrefix(got[0].Reason, "given up after 20 tries: ") || w.Engine.Stats().Unresolved != 0 {
			t.Errorf("after %d refusals: %+v", refused, got)
		}
	})
}

// TestWebhookTriesKept: a webhook is called as often as it may be, however often the
// program is started anew, and then goes to the dead letters.
func TestWebhookTriesKept(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		script := make([]string, 40)
		for i := range script {
			script[i] = "425 900" // too early: it says nothing about the target
		}
		w := newThenWorld(t, script...)
		defer w.close()
		w.take(encode(t, object("type", "identify", "userId", "ann", "traits", object("email", "ann@example.com", "marketing_consent", true))))
		w.take(encode(t, object("type", "track", "event", "Product Added", "userId", "ann",
			"properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c"))))
		time.Sleep(63 * time.Minute)
		for range 9 { // with each start it may be called once
			synctest.Wait()
			before := len(w.hook.all())
			w.stop()
			w.start()
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := len(w.hook.all()); n != before {
				t.Errorf("%d calls at the start, although it asked to wait", n-before)
			}
			time.Sleep(15 * time.Minute)
		}
		w.shown(6+6, 2)
	})
}

// shown wants so many calls, and so many that were given up for their tries.
func (w *thenWorld) shown(calls, given int) {
	w.t.Helper()
	time.Sleep(3 * time.Hour)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.hook.all()); n != calls || len(w.given) != given {
		w.t.Errorf("%d calls, %d given up, want %d and %d", n, len(w.given), calls, given)
	}
	for _, g := range w.given {
		if g.Reason != engine.GiveUpTries || g.Tries != 6 {
			w.t.Errorf("given up: %s after %d tries", g.Reason, g.Tries)
		}
	}
}
