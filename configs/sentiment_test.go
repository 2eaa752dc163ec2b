package configs

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

const toneShop = `apiVersion: v1
shop: demo
sentiment:
  hold_after_bad: 3d
  bad: 10%
  then:
    - {id: desk, webhook: desk}
    - {id: bus, publish: service.bad}
webhooks:
  desk: {url: "https://desk.example/in"}
segments:
  sour: profile.tone < -0.3
senders:
  main: {smtp: env:SMTP_URL, from: "Demo <hello@shop.example>"}
`

func TestSentiment(t *testing.T) {
	load := func(shop, journey string) (*Set, error) {
		l, err := NewLoader(Options{FS: fstest.MapFS{"shop.yaml": {Data: []byte(shop)}, "cart.yaml": {Data: []byte(journey)}}})
		if err != nil {
			t.Fatal(err)
		}
		return l.Load("shop.yaml", "cart.yaml")
	}
	journey := "apiVersion: v1\npipeline: cart\ntrigger: {id: t, key: [user_id, cart_id], start: {on: Product Added}, wait: 1h}\n" +
		"audience: {when: 'profile.tone >= 0 && !segment(\"sour\")'}\ncontent: {id: c, kind: cart}\nsend: {id: s, via: smtp/main}\n"
	set, err := load(toneShop, journey)
	if err != nil {
		t.Fatal(err)
	}
	s := set.Shop.Sentiment
	if s.Model != ToneModelCurrent || s.HalfLife != 90*24*time.Hour || s.HoldAfterBad != 72*time.Hour || s.Bad != 0.1 || s.Stars != 5 || s.Labels != "no" || len(s.Then) != 2 {
		t.Errorf("got %+v", s)
	}
	f := func(old, with, want string) {
		t.Helper()
		if strings.Count(toneShop, old) != 1 {
			t.Fatalf("%q stands %d times in the shop", old, strings.Count(toneShop, old))
		}
		_, err := load(strings.Replace(toneShop, old, with, 1), journey)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %s", with, err, want)
		}
	}
	f("bad: 10%", "stars: 0", "")
	f("bad: 10%", "model: sentiment-0a1b2c3d", "")
	f("hold_after_bad: 3d", "hold_after_bad: 0s", "")
	f("bad: 10%", "bad: 50%", "shop.yaml:5:8: sentiment.bad: got 50%, expected more than 0% and less than 50%")
	f("bad: 10%", "bad: 0%", "shop.yaml:5:8: sentiment.bad: got")
	f("bad: 10%", "stars: 101", "shop.yaml:5:10: sentiment.stars: got 101, expected at most 100")
	f("bad: 10%", "model: best", `shop.yaml:5:10: sentiment.model: got "best", expected current or shipped or a version such as sentiment-0a1b2c3d`)
	f("bad: 10%", "labels: maybe", `shop.yaml:5:11: sentiment.labels: got "maybe", expected one of no, yes`)
	f("hold_after_bad: 3d", "hold_after: 3d", "shop.yaml:4:3: sentiment.hold_after: unknown key")
	f("webhook: desk}", "webhook: dusk}", "sentiment.then[0].webhook: there is no webhook dusk in this file")
	f("webhook: desk}", "webhook: desk, publish: a.b}", "sentiment.then[0]: expected one of webhook and publish")
	f("id: bus", "id: desk", "sentiment.then[1].id: the name desk is taken by another step")
	f("publish: service.bad", `publish: "service.>"`, `sentiment.then[1].publish: got "service.>", expected a subject such as service.bad`)
	// Without the section nobody knows profile.tone.
	_, err = load(strings.NewReplacer("segments:\n  sour: profile.tone < -0.3\n", "", toneShop[strings.Index(toneShop, "sentiment:"):strings.Index(toneShop, "webhooks:")], "").Replace(toneShop),
		strings.Replace(journey, ` && !segment("sour")`, "", 1))
	if err == nil || !strings.Contains(err.Error(), "unknown") || !strings.Contains(err.Error(), "profile.tone") {
		t.Errorf("without a section sentiment: %v", err)
	}
}
