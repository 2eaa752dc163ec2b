package operators_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators/event"
	"millrace/operators/recommend"
)

// newLive is small enough for a test.
func newLive() *recommend.Live {
	return recommend.NewLive(recommend.LiveOptions{Queue: 1000, Visits: recommend.VisitOptions{Visits: 1000}})
}

// product is an event about products, "id" or "id=name".
func product(kind, user, anonymous string, ids ...string) []byte {
	var list []string
	for _, id := range ids {
		id, name, _ := strings.Cut(id, "=")
		if name == "" {
			name = "Thing " + id
		}
		list = append(list, fmt.Sprintf(`{"product_id":%q,"name":%q,"category":"Things","price":12.5,"url":"https://shop.example/%s","quantity":1}`, id, name, id))
	}
	who := fmt.Sprintf(`"userId":%q`, user)
	switch {
	case anonymous != "" && user == "":
		who = fmt.Sprintf(`"anonymousId":%q`, anonymous)
	case anonymous != "":
		who += fmt.Sprintf(`,"anonymousId":%q`, anonymous)
	}
	order := ""
	if kind == "Order Completed" {
		order = fmt.Sprintf(`"order_id":"o-%s-%s",`, user, ids[0])
	}
	if kind == "Product Viewed" || kind == "Product Added" {
		return fmt.Appendf(nil, `{"type":"track",%s,"event":%q,"properties":{"currency":"EUR","cart_id":"c-%s",%s`, who, kind, user, strings.TrimPrefix(list[0], "{")+"}")
	}
	return fmt.Appendf(nil, `{"type":"track",%s,"event":%q,"properties":{%s"currency":"EUR","products":[%s]}}`, who, kind, order, strings.Join(list, ","))
}

func why(list []recommend.Scored) string {
	var out []string
	for _, s := range list {
		out = append(out, s.Item+": "+s.Explain())
	}
	return strings.Join(out, "; ")
}

// What somebody does counts for the next question, before any of it is in a count of the
// state; what is merged or forgotten is so at once; and a program that starts anew knows
// it from the state.
func TestLiveInTheGraph(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		w := newWorld(t, "cart-abandonment.yaml")
		w.live = newLive()
		defer w.close()
		w.start()
		for _, user := range []string{"ann", "bob", "joe"} {
			w.take(product("Product Viewed", user, "", "A=Red Pot"))
			w.take(product("Product Viewed", user, "", "B"))
		}
		w.take(product("Product Viewed", "", "anon", "A=Red Pot"))
		w.take(product("Product Viewed", "", "anon", "C"))
		w.take(product("Product Viewed", "zoe", "", "N=Red Pot lid"))
		time.Sleep(time.Second)
		ask := func(want string) {
			t.Helper()
			w.live.Drain()
			v := w.Engine.View()
			defer v.Close()
			list, err := w.pipeline.RecommendSession(v, []string{"A"}, 3)
			if got := why(list); err != nil || got != want {
				t.Fatalf("%s, want %s: %v", got, want, err)
			}
		}
		ask("B: in 3 visits with Red Pot; C: in 1 visit with Red Pot; N: similar to Red Pot")
		w.take(product("Product Viewed", "joe", "anon", "C")) // joe it was
		time.Sleep(time.Second)
		w.live.Drain()
		if n := w.live.Stats().People; n != 4 {
			t.Fatalf("%d people", n)
		}
		w.stop()

		w.live = newLive()
		w.start()
		time.Sleep(10 * time.Second) // items are written behind
		fill := func() {
			v := w.Engine.View()
			defer v.Close()
			w.check(w.pipeline.FillLive(context.Background(), v, w.live, 100, func(string, int) {}))
		}
		fill()
		before := w.live.Stats()
		ask("B: in 3 visits with Red Pot; C: in 1 visit with Red Pot; N: similar to Red Pot")
		fill() // again: nothing changes
		if got := w.live.Stats(); got != before {
			t.Fatalf("%+v, then %+v", before, got)
		}
		w.take([]byte(alias("bob", "ann")))
		time.Sleep(time.Minute)
		w.live.Drain()
		if n := w.live.Stats().People; n != 3 {
			t.Fatalf("%d people after a merge", n)
		}
		if n := w.live.Erase(w.names.Person("bob")); n != 2 {
			t.Fatalf("%d visits of bob and ann", n)
		}
		ask("B: in 1 visit with Red Pot; C: in 1 visit with Red Pot; N: similar to Red Pot")
	})
}

// A mail shows what all voices say, under the rules of its journey, and a click on one of
// its products teaches; a journey that goes by what is together alone does not.
func TestLiveInMails(t *testing.T) {
	f := func(more, want string, learned int) {
		t.Helper()
		enginetest.Bubble(t, func(t *testing.T) {
			files := withShipped(t, fstest.MapFS{})
			raw := string(files["cart-abandonment.yaml"].Data)
			line := "recommend: {from: [co-purchase, co-cart, co-view], seed: cart.items, count: 3, exclude: purchased}"
			if !strings.Contains(raw, line) {
				t.Fatal("the shipped journey recommends otherwise")
			}
			files["cart-abandonment.yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(raw, line, "recommend: {from: [co-purchase, co-cart, co-view], seed: cart.items, count: 2, exclude: purchased"+more+"}", 1))}
			w := newWorldOf(t, journeysOf(t, files, "cart-abandonment.yaml"))
			w.live = newLive()
			w.look = func(_ *engine.View, id string) (recommend.Listing, bool) {
				return recommend.Listing{Stock: recommend.OutOfStock}, id == "B"
			}
			defer w.close()
			w.start()
			for _, user := range []string{"ann", "bob", "joe"} {
				w.take(product("Product Viewed", user, "", "A=Red Pot"))
				w.take(product("Product Viewed", user, "", "B=Honey"))
			}
			w.take(product("Product Viewed", "zoe", "", "N=Red Pot lid"))
			w.take(product("Order Completed", "kim", "", "P=Best seller"))
			w.take([]byte(`{"type":"identify","userId":"eve","traits":{"email":"eve@example.com","marketing_consent":true}}`))
			w.take(product("Product Added", "eve", "", "A=Red Pot"))
			time.Sleep(time.Second)
			w.live.Drain()
			time.Sleep(3 * time.Hour)
			mails := w.inbox.List(0, 10)
			if len(mails) != 1 {
				t.Fatalf("%d mails", len(mails))
			}
			mail, _ := w.inbox.Open(mails[0].ID)
			var got []string
			for _, name := range []string{"Honey", "Red Pot lid", "Best seller"} {
				if strings.Contains(mail.Text, name) {
					got = append(got, name)
				}
			}
			if strings.Join(got, ", ") != want {
				t.Fatalf("%s: %v, want %s", more, got, want)
			}
			v := w.Engine.View()
			decisions, err := w.pipeline.Decisions(v, "eve")
			v.Close()
			if err != nil || len(decisions) != 1 {
				t.Fatalf("%+v: %v", decisions, err)
			}
			click := event.AppendFeedback(nil, &event.Feedback{Kind: event.EmailLinkClicked, Person: w.names.Person("eve"), Decision: decisions[0].ID, URL: "https://shop.example/N", At: time.Now().UnixMilli()})
			for range 2 {
				_, err = w.Log.Publish(t.Context(), "in.feedback", "", click)
				w.check(err)
			}
			time.Sleep(time.Second)
			w.live.Drain()
			if n := w.live.Blend.Learned()["cart"]; n != learned {
				t.Fatalf("%s: %d clicks taught, want %d", more, n, learned)
			}
		})
	}
	f("", "Honey, Red Pot lid", 1)
	f(", by: together", "Honey, Best seller", 0)
	f(", price_max: 5", "", 0) // all cost 12.50
	f(", price_min: 12, price_max: 13", "Honey, Red Pot lid", 1)
	f(", per_category: 1", "Honey", 0)
	f(", in_stock: yes", "Red Pot lid, Best seller", 1) // the catalogue says so
	f(", in_stock: yes, by: together", "Best seller", 0)
}
