package operators_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
)

const alarmJourney = `apiVersion: v1
pipeline: trial
owner: Ann <ann@shop.example>
trigger: {id: left, key: [user_id, cart_id], start: {on: Product Added}, wait: 1h}
content: {id: content, kind: cart, subject: fallback, variants: {control: {weight: 1}, wide: {weight: 1}}}
measure: {guardrails: {complaint_rate: "< 1%"}, stop_if: never}
alarms: {webhook: crm}
send: {id: send, via: smtp/main}
`

// TestAlarmWebhook lets people complain until a guardrail raises an alarm: the webhook, which
// fails first and lives through a restart, is told of it under one key, signed by whom it is
// about, the owner gets one mail, and the experiment shows it.
func TestAlarmWebhook(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		files := fstest.MapFS{"shop.yaml": {Data: []byte(thenShop)}, "trial.yaml": {Data: []byte(alarmJourney)}}
		w := newWorldOf(t, journeysOf(t, files, "trial.yaml"))
		defer w.close()
		target := &hook{script: []string{"503 1200", "drop", "503 1200"}}
		w.options = func(o *engine.Options) {
			n := operators.NewNotices(operators.NoticeOptions{
				Webhooks: map[string]operators.WebhookTarget{"crm": {URL: &url.URL{Scheme: "http", Host: "crm.example"}, Secret: []byte("secret"), Timeout: 10 * time.Second}},
				Dial:     target.dial, Receipt: w.receipt,
			})
			w.closers = append(w.closers, n.Close)
			o.Handlers[operators.EffectWebhook] = n.Webhook
			o.Delivery = engine.Delivery{Terms: func(row *engine.Row) engine.Terms {
				return engine.Terms{Target: operators.NoticeTarget(row), Tries: 9, Within: 9 * time.Hour}
			}}
		}
		w.start()
		complain(w, 40)
		w.stop()
		time.Sleep(time.Hour)
		w.start()
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		keys := map[string]operators.AlarmPayload{}
		for _, c := range target.all() {
			var p operators.AlarmPayload
			w.check(json.Unmarshal([]byte(c.body), &p))
			if c.key != p.ID || p.Event != "alarm" || p.Experiment != "trial" || p.Metric != "complaint" || p.Reason == "" || p.Stops || strings.Contains(c.body, "@shop") || c.sign == "" {
				t.Errorf("a call of %s: %s", c.key, c.body)
			}
			keys[c.key+p.Variant] = p
		}
		if len(keys) != 2 || len(target.all()) != 5 { // both variants, and three calls that failed
			t.Fatalf("%d calls with %d keys", len(target.all()), len(keys))
		}
		told := 0
		for _, m := range w.inbox.List(0, 200) {
			if m.To == "ann@shop.example" {
				told++
			}
		}
		if told != 2 || w.Engine.Stats().Unresolved+w.Engine.Stats().Reported != 0 {
			t.Errorf("%d mails, %d effects are left", told, w.Engine.Stats().Unresolved)
		}
		v := w.Engine.View()
		defer v.Close()
		r, err := w.pipeline.Report(v, w.pipeline.Experiment("trial"))
		w.check(err)
		alarms := 0
		for _, e := range r.Audit {
			if e.Kind == "alarm" && strings.HasPrefix(e.Why, "complaint: ") {
				alarms++
			}
		}
		if alarms != 2 {
			t.Errorf("decided: %+v", r.Audit)
		}
	})
}

// complain lets people be mailed and all of them call it spam.
func complain(w *world, people int) {
	var users []string
	for i := range people {
		id := fmt.Sprintf("u%d", i)
		users = append(users, id)
		w.take(encode(w.t, object("type", "identify", "userId", id, "traits", object("email", id+"@example.com", "marketing_consent", true))))
		w.take(encode(w.t, object("type", "track", "event", "Product Added", "userId", id,
			"properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c"))))
	}
	time.Sleep(2 * time.Hour)
	synctest.Wait()
	v := w.Engine.View()
	var reactions [][]byte
	for _, id := range users {
		all, err := w.pipeline.Decisions(v, id)
		w.check(err)
		for i := range all {
			reactions = append(reactions, encode(w.t, object("type", "track", "event", "Email Marked as Spam", "userId", id, "properties", object("email_id", all[i].ID))))
		}
	}
	v.Close()
	if len(reactions) != people {
		w.t.Fatalf("%d decisions", len(reactions))
	}
	for _, r := range reactions {
		w.take(r)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
}
