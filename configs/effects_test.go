package configs

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

const hookShop = `apiVersion: v1
shop: demo
outbox: {rate: 50 per second}
webhooks:
  crm: {url: "https://crm.example/in?x=1", secret: env:CRM_SECRET, tries: 3}
  near: {url: "http://127.0.0.1:9000/in", private: yes, timeout: 1s}
senders:
  main: {smtp: env:SMTP_URL, from: "Demo <hello@shop.example>"}
`

const hookJourney = `apiVersion: v1
pipeline: cart
trigger:
  id: abandoned
  key: [user_id, cart_id]
  start: {on: Product Added}
  wait: 1h
content: {id: content, kind: cart}
send: {id: send, via: smtp/main}
then:
  - {id: crm, webhook: crm}
  - {id: bus, publish: journeys.cart, on: sent}
`

func TestThen(t *testing.T) {
	load := func(shop, journey string) (*Set, error) {
		l, err := NewLoader(Options{FS: fstest.MapFS{"shop.yaml": {Data: []byte(shop)}, "cart.yaml": {Data: []byte(journey)}}})
		if err != nil {
			t.Fatal(err)
		}
		return l.Load("shop.yaml", "cart.yaml")
	}
	set, err := load(hookShop, hookJourney)
	if err != nil {
		t.Fatal(err)
	}
	crm := set.Shop.Webhooks["crm"]
	if crm.Tries != 3 || crm.Timeout != 10*time.Second || crm.GiveUp != 6*time.Hour || crm.Private != "no" || set.Shop.Outbox.Rate.Count != 50 {
		t.Errorf("got %+v, %+v", crm, set.Shop.Outbox)
	}
	j := set.Journeys[0]
	if len(j.Then) != 2 || j.Then[0] != (Then{ID: "crm", On: "decided", Webhook: "crm"}) || j.Then[1] != (Then{ID: "bus", On: "sent", Publish: "journeys.cart"}) {
		t.Errorf("got %+v", j.Then)
	}
	f := func(old, changed, want string) {
		t.Helper()
		_, err := load(strings.Replace(hookShop, old, changed, 1), strings.Replace(hookJourney, old, changed, 1))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", changed, err, want)
		}
	}
	f("webhook: crm}", "webhook: cmr}", `cart.yaml:11:24: then[0].webhook: shop.yaml has no webhook cmr, expected one of crm, near`)
	f("webhook: crm}", "webhook: crm, publish: a}", "cart.yaml:11:5: then[0]: expected one of webhook and publish")
	f("{id: bus, publish: journeys.cart, on: sent}", "{id: bus}", "then[1]: expected one of webhook and publish")
	f("id: bus", "id: crm", "then[1].id: the name crm is taken")
	f("journeys.cart", `"journeys.>"`, `then[1].publish: got "journeys.>", expected a subject`)
	f("on: sent", "on: opened", "then[1].on: ")
	f("https://crm.example/in?x=1", "http://crm.example/in", "shop.yaml:5:14: webhooks.crm.url: got http, expected https")
	f("https://crm.example", "https://me:word@crm.example", "webhooks.crm.url: got a user or password")
	f("https://crm.example/in?x=1", "crm", "webhooks.crm.url: got something else")
	f("env:CRM_SECRET", "hunter2", "webhooks.crm.secret: got text, expected env:NAME or file:PATH")
	f("tries: 3", "tries: 0", "webhooks.crm.tries: ")
	f("50 per second", "fast", "outbox.rate: ")
	f("send: {id", "alarms: {webhook: nera}\nsend: {id", `cart.yaml:9:19: alarms.webhook: shop.yaml has no webhook nera, expected one of crm, near`)
	f("send: {id", "alarms: {}\nsend: {id", "alarms")
	if set, err = load(hookShop, strings.Replace(hookJourney, "send: {id", "alarms: {webhook: near}\nsend: {id", 1)); err != nil || set.Journeys[0].Alarms.Webhook != "near" {
		t.Errorf("got %+v, %v", set, err)
	}
}

func TestWebhookAddress(t *testing.T) {
	f := func(url, private, value, want string) {
		t.Helper()
		w := Webhook{URL: url, Private: private}
		u, err := w.Address(func(string) (string, bool) { return value, value != "" })
		switch {
		case want == "" && err != nil:
			t.Error(err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("got %v %v, want %s", u, err, want)
		case err != nil && strings.Contains(err.Error(), "token"):
			t.Errorf("the address is told: %v", err)
		}
	}
	f("https://a.example/x?key=token", "no", "", "")
	f("env:CRM", "no", "https://a.example/token", "")
	f("env:CRM", "no", "http://a.example/token", "got http")
	f("env:CRM", "yes", "http://a.example/token", "")
	f("env:CRM", "no", "", "CRM is not set")
	f("env:CRM", "no", "ftp://a.example/token", "got something else")
	f("env:CRM", "no", "https://a:token@a.example/", "got a user or password")
	f("env:CRM", "no", "https://a.example/#token", "fragment")
}
