package operators_test

import (
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"millrace/engine/enginetest"
	"millrace/operators"
)

const measuredJourney = `apiVersion: v1
pipeline: trial
trigger: {id: left, key: [user_id, cart_id], start: {on: Product Added}, wait: 1h}
content: {id: content, kind: cart, subject: fallback}
measure: {goal: {on: Order Completed, within: 2d, value: event.total}}
send: {id: send, via: smtp/main}
`

const plainJourney = `apiVersion: v1
pipeline: plain
trigger: {id: bought, key: [user_id], start: {on: Order Completed}, wait: 20d}
content: {id: content, kind: post-purchase, subject: fallback}
send: {id: send, via: smtp/main}
`

// TestCampaigns: a journey that says what it is measured by, and nothing else, is: of three
// people who are mailed two open, one clicks and orders, one complains.
func TestCampaigns(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		files := fstest.MapFS{"shop.yaml": {Data: []byte(thenShop)}, "trial.yaml": {Data: []byte(measuredJourney)}, "plain.yaml": {Data: []byte(plainJourney)}}
		w := newWorldOf(t, journeysOf(t, files, "trial.yaml", "plain.yaml"))
		defer w.close()
		w.start()
		for _, id := range []string{"ann", "bob", "cat"} {
			w.take(encode(t, object("type", "identify", "userId", id, "traits", object("email", id+"@example.com", "marketing_consent", true))))
			w.take(encode(t, object("type", "track", "event", "Product Added", "userId", id, "properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c"))))
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		react := func(id, event string) {
			t.Helper()
			v := w.Engine.View()
			defer v.Close()
			all, err := w.pipeline.Decisions(v, id)
			if err != nil || len(all) != 1 {
				t.Fatalf("%s: %+v, %v", id, all, err)
			}
			w.take(encode(t, object("type", "track", "event", event, "userId", id, "messageId", id+event, "properties", object("email_id", all[0].ID))))
		}
		react("ann", "Email Opened")
		react("bob", "Email Opened")
		react("bob", "Email Link Clicked")
		react("cat", "Email Marked as Spam")
		time.Sleep(time.Hour)
		w.take(encode(t, object("type", "track", "event", "Order Completed", "userId", "bob", "properties", object("order_id", "o", "total", 30, "currency", "EUR"))))
		time.Sleep(time.Hour)
		synctest.Wait()
		v := w.Engine.View()
		defer v.Close()
		all, err := w.pipeline.Campaigns(v, w.journeys)
		w.check(err)
		if len(all) != 2 || all[1].Pipeline != "trial" || !all[1].Measured || len(all[1].Rows) != 1 || all[0].Measured || len(all[0].Rows) != 0 {
			t.Fatalf("%+v", all)
		}
		want := operators.CampaignRow{
			People: 3, Mails: 3, Sent: 3, Opened: 2, Clicked: 1, ClickToOpen: 0.5, Converted: 1, Attributed: 1, Revenue: 3000, AttributedRevenue: 3000,
			RevenuePerMail: 1000, Complained: 1,
		}
		if got := all[1].Rows[0]; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
