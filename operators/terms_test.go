package operators_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"millrace/configs"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/trigger"
)

// TestTermsOf: what leaves under which terms.
func TestTermsOf(t *testing.T) {
	load := func(journey string) *configs.Set {
		return setOf(t, fstest.MapFS{"shop.yaml": {Data: []byte(thenShop)}, "cart.yaml": {Data: []byte(journey)}}, "cart.yaml")
	}
	f := func(set *configs.Set, kind, lane, body string, want engine.Terms) {
		t.Helper()
		if got := operators.TermsOf(set, &engine.Row{Kind: kind, Lane: lane, Body: []byte(body)}); got != want {
			t.Errorf("%s %s: got %+v, want %+v", kind, lane, got, want)
		}
	}
	plain, rated := load(thenJourney), load(strings.Replace(thenJourney, "via: smtp/main", "via: smtp/main, rate: 90 per minute", 1))
	mail := engine.Terms{Target: "smtp", AtOnce: 4, Paced: true}
	f(plain, trigger.EffectMail, "ann", `{"pipeline":"cart"}`, mail)
	f(rated, trigger.EffectMail, "ann", `{"pipeline":"other"}`, mail)
	f(rated, trigger.EffectMail, "ann", `{`, mail)
	mail.Pace, mail.Rate = "cart", 1.5
	f(rated, trigger.EffectMail, "ann", `{"pipeline":"cart"}`, mail)
	f(plain, operators.EffectWebhook, "webhook/crm/ann", "", engine.Terms{Target: "webhook/crm", AtOnce: 3, Paced: true, Tries: 12, Within: 6 * time.Hour})
	f(plain, operators.EffectWebhook, "webhook/gone/ann", "", engine.Terms{Paced: true})
	f(plain, operators.EffectPublish, "publish/a.b/ann", "", engine.Terms{Target: "publish", AtOnce: 3, Paced: true})
	f(plain, operators.EffectDeadLetter, "", "", engine.Terms{})
	f(plain, operators.EffectHandover, "", "", engine.Terms{})
}

// TestPublishBreaker: messages that cannot be published open a breaker, hold up no mail, and
// all leave when it can be done again, once.
func TestPublishBreaker(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		set := setOf(t, fstest.MapFS{"shop.yaml": {Data: []byte(thenShop)}, "cart.yaml": {Data: []byte(thenJourney)}}, "cart.yaml")
		w := newThenWorld(t)
		defer w.close()
		w.stop()
		var gone atomic.Bool
		gone.Store(true)
		before := w.world.options
		w.world.options = func(o *engine.Options) {
			before(o)
			o.Delivery.Terms = operators.DeliveryOf(set.Shop, func() *configs.Set { return set }).Terms
			n := operators.NewNotices(operators.NoticeOptions{Receipt: w.receipt, Publish: func(ctx context.Context, subject, key string, data []byte) error {
				if gone.Load() {
					return errors.New("the stream is gone")
				}
				return w.Log.PublishOut(ctx, subject, key, data)
			}})
			w.closers = append(w.closers, n.Close)
			o.Handlers[operators.EffectPublish] = n.Publish
		}
		w.start()
		const people = 20
		for i := range people {
			w.take(encode(t, object("type", "identify", "userId", string(rune('a'+i))+"nn", "traits", object("email", string(rune('a'+i))+"@example.com", "marketing_consent", true))))
			w.take(encode(t, object("type", "track", "event", "Product Added", "userId", string(rune('a'+i))+"nn",
				"properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c"))))
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		open := false
		for _, b := range w.Engine.Delivery().Breakers {
			open = open || b.Target == operators.TargetPublish && b.State != engine.BreakerClosed && b.Rejected > 0
		}
		if !open || w.mails() != people || published(t, w) != 0 {
			t.Errorf("%+v, %d mails", w.Engine.Delivery().Breakers, w.mails())
		}
		gone.Store(false)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n, s := published(t, w), w.Engine.Stats(); n != people || s.Unresolved+s.Reported != 0 {
			t.Errorf("%d messages are published, %d effects are left", n, s.Unresolved)
		}
	})
}
