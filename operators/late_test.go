package operators_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
)

// TestLate: what comes too late is counted by its source and updates the profile all the
// same, or is set aside and can be put back.
func TestLate(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		for _, aside := range []bool{false, true} {
			w := newWorld(t, "cart-abandonment.yaml")
			w.late = operators.LateOptions{Allowed: 24 * time.Hour, Aside: aside}
			var letters []engine.Row
			w.options = func(o *engine.Options) {
				o.Handlers[operators.EffectDeadLetter] = func(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
					letters = append(letters, row)
					return engine.Removed, 0, nil
				}
			}
			w.start()
			old := encode(t, object("type", "track", "event", "Order Completed", "userId", "ann", "messageId", "m1",
				"timestamp", time.Now().Add(-48*time.Hour).Format(time.RFC3339),
				"properties", object("order_id", "o1", "total", 10, "currency", "EUR", "products", []any{object("product_id", "mug", "price", 10)})))
			orders := func() uint64 {
				time.Sleep(time.Minute)
				synctest.Wait()
				v := w.Engine.View()
				defer v.Close()
				p, _, err := w.pipeline.Person(v, "ann")
				w.check(err)
				return p.OrderCount()
			}
			w.take(encode(t, object("type", "track", "event", "Product Viewed", "userId", "ann", "properties", object("product_id", "mug"))))
			w.take(old)
			want, wantLetters := uint64(1), 0
			if aside {
				want, wantLetters = 0, 1
			}
			if n := orders(); n != want || len(letters) != wantLetters || w.pipeline.Counters.TooLate()["shop"] != 1 {
				t.Errorf("aside %v: %d orders, %d letters, %v", aside, n, len(letters), w.pipeline.Counters.TooLate())
			}
			data := event.AppendEnvelope(nil, event.Header{ReceivedAt: time.Now().UnixMilli(), Source: "shop"}, []event.Item{{Raw: old}})
			_, err := w.Log.Publish(t.Context(), "in.retry", "", data)
			w.check(err)
			if n := orders(); n != 1 || len(letters) != wantLetters {
				t.Errorf("aside %v: after the retry %d orders, %d letters", aside, n, len(letters))
			}
			w.close()
		}
	})
}

// TestProducers: a source that lags holds the timers of all, until it is silent; one whose
// clock is wrong holds and fires nobody's.
func TestProducers(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		w := newWorld(t, "cart-abandonment.yaml")
		defer w.close()
		w.start()
		from := func(source string, back time.Duration, event0, user string) {
			raw := encode(t, object("type", "track", "event", event0, "userId", user, "timestamp", time.Now().Add(-back).Format(time.RFC3339Nano),
				"properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c")))
			data := event.AppendEnvelope(nil, event.Header{ReceivedAt: time.Now().UnixMilli(), Source: source}, []event.Item{{Raw: raw}})
			_, err := w.Log.Publish(t.Context(), "in.http", "", data)
			w.check(err)
		}
		decided := func() uint64 {
			synctest.Wait()
			fired, _ := w.pipeline.Counters.Fired()
			return fired
		}
		w.take(encode(t, object("type", "identify", "userId", "ann", "traits", object("email", "ann@example.com", "marketing_consent", true))))
		from("shop", 0, "Product Added", "ann")
		for range 540 { // the app's queue is 50 minutes behind; a third clock runs a day ahead
			time.Sleep(10 * time.Second) // a log that is quieter is moved on by ticks
			from("shop", 0, "Product Viewed", "bob")
			from("app", 50*time.Minute, "Product Viewed", "cat")
			from("fast", -24*time.Hour, "Product Viewed", "dan")
		}
		if n := decided(); n != 0 {
			t.Errorf("%d decisions while a source lags", n)
		}
		r := w.Engine.Stats().Watermarks
		if who, since, ok := r.Held(10 * time.Minute); !ok || who != "app" || time.Since(since) > 2*time.Minute {
			t.Errorf("held by %q since %v: %+v", who, since, r)
		}
		for range 42 { // it goes silent
			time.Sleep(10 * time.Second)
			from("shop", 0, "Product Viewed", "bob")
		}
		if n := decided(); n != 1 {
			t.Errorf("%d decisions after the source went silent", n)
		}
	})
}
