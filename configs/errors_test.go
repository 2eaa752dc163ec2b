package configs

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// base is a sound journey; each seeded error changes one thing in it.
const base = `apiVersion: v1
pipeline: cart
mode: live
trigger:
  id: abandoned
  key: [user_id, cart_id]
  start: {on: [Product Added, Cart Viewed], when: cart.value > 30}
  wait: 1h
  cancel: {on: Order Completed}
  at_most: {once_per: 24h}
audience:
  when: >-
    profile.consent.marketing
    && (profile.ltv > 100 || profile.orders > 2)
content:
  id: content
  kind: cart
  recommend: {from: [co-purchase], seed: cart.items, count: 3}
  banned: [winner]
send: {id: send, via: smtp/main, rate: 40 per second}
`

// baseShop is a sound shop.
const baseShop = `apiVersion: v1
shop: demo
log: {out_of_order: 2m, idle: 30s}
profile: {half_life: 30d}
items: {half_life: 90d, top: 50, exclude: [POST]}
consent: {unknown: no}
senders:
  main:
    smtp: env:SMTP_URL
    from: "Shop <hello@shop.example>"
`

// checkText returns what is wrong in a file given as text, one problem a line,
// without the file's name.
func checkText(t testing.TB, text string) string {
	t.Helper()
	l, err := NewLoader(Options{FS: fstest.MapFS{"x.yaml": {Data: []byte(text)}}})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, p := range l.Check("x.yaml") {
		lines = append(lines, strings.TrimPrefix(p.String(), "x.yaml:"))
	}
	return strings.Join(lines, "\n")
}

// seeded returns a test of one seeded error in the text: old is replaced by put, and
// want is everything that is said.
func seeded(t *testing.T, text string) func(old, put string, want ...string) {
	t.Helper()
	return func(old, put string, want ...string) {
		t.Helper()
		if strings.Count(text, old) != 1 {
			t.Fatalf("%q stands %d times in the text", old, strings.Count(text, old))
		}
		got := checkText(t, strings.Replace(text, old, put, 1))
		if got != strings.Join(want, "\n") {
			t.Errorf("%q for %q:\n got %s\nwant %s", put, old, got, strings.Join(want, "\n     "))
		}
	}
}

func TestSound(t *testing.T) {
	for _, text := range []string{base, baseShop, "\xef\xbb\xbf" + base, strings.ReplaceAll(base, "\n", "\r\n"), "---\n" + base, "# c\n" + base + "...\n"} {
		if got := checkText(t, text); got != "" {
			t.Errorf("%.20q: %s", text, got)
		}
	}
}

func TestJourneyErrors(t *testing.T) {
	f := seeded(t, base)
	// Keys.
	f("mode: live", "mod: live", `3:1: mod: unknown key "mod", expected one of 13 known names (did you mean "mode"?)`)
	f("  wait:", "  wiat:", `4:1: trigger.wait: missing, expected the key "wait"`, `8:3: trigger.wiat: unknown key "wiat", expected one of 7 known names (did you mean "wait"?)`)
	f("once_per", "every", `10:3: trigger.at_most.once_per: missing, expected the key "once_per"`, `10:13: trigger.at_most.every: unknown key "every", expected one of once_per`)
	f("count: 3", "count: 3, colour: red", `18:64: content.recommend.colour: unknown key "colour", expected one of by, count, diversity, exclude, from, in_stock, per_brand, per_category, price_max, price_min, seed`)
	f("mode: live", "mode: live\nmode: paused", `4:1: mode: got the key twice, it stands at 3:1 already`)
	f("send: {id: send, ", "send: {id: send, id: two, ", `20:18: send.id: got the key twice, it stands at 20:8 already`)
	f("  id: abandoned\n", "", `4:1: trigger.id: missing, expected the key "id"`)
	f("pipeline: cart\n", "pipelin: cart\n", `2:1: pipelin: unknown key "pipelin", expected shop or pipeline (did you mean "pipeline"?)`)
	f("apiVersion: v1\n", "", `1:1: apiVersion: missing, expected the key "apiVersion"`)
	f("pipeline: cart\n", "pipeline: cart\nshop: demo\n", `3:1: shop: got a shop and a pipeline in one file, expected one of them`)
	// Types.
	f("wait: 1h", "wait: 60", `8:9: trigger.wait: got 60, expected a duration such as 30s, 1h or 7d`)
	f("wait: 1h", "wait:", `8:3: trigger.wait: got nothing, expected a duration such as 30s, 1h or 7d`)
	f("wait: 1h", "wait: {for: 1h}", `8:9: trigger.wait: got a mapping, expected a duration such as 30s, 1h or 7d`)
	f("[winner]", "winner", `19:11: content.banned: got "winner", expected a list`)
	f("[winner]", "[winner, 12]", `19:20: content.banned[1]: got 12, expected text`)
	f("count: 3", "count: three", `18:61: content.recommend.count: got "three", expected a whole number`)
	f("count: 3", "count: 3.5", `18:61: content.recommend.count: got 3.5, expected a whole number`)
	f("{on: Order Completed}", "Order Completed", `9:11: trigger.cancel: got "Order Completed", expected a mapping`)
	f("pipeline: cart\n", "pipeline: [cart]\n", `2:11: pipeline: got a list, expected a name of lower-case letters and digits and -`)
	f("cart.value > 30", "true", `7:51: trigger.start.when: got true, expected a condition such as cart.value > 30 && profile.consent.marketing`)
	f("[Product Added, Cart Viewed]", "{a: b}", `7:15: trigger.start.on: got a mapping, expected a name or a list of names`)
	// Values.
	f("wait: 1h", "wait: 1 hour", `8:9: trigger.wait: got "1 hour", expected a duration such as 30s, 1h or 7d`)
	f("wait: 1h", "wait: 5000d", `8:9: trigger.wait: got "5000d", expected a duration such as 30s, 1h or 7d, of ten years at most`)
	f("once_per: 24h", "once_per: 0s", `10:23: trigger.at_most.once_per: got no time, expected more than 0s`)
	f("40 per second", "40/s", `20:40: send.rate: got "40/s", expected a rate such as 40 per second`)
	f("count: 3", "count: 13", `18:61: content.recommend.count: got 13, expected at most 12`)
	f("count: 3", "count: 0", `18:61: content.recommend.count: got 0, expected at least 1`)
	f("pipeline: cart\n", "pipeline: Cart No 1\n", `2:11: pipeline: got "Cart No 1", expected a name of lower-case letters and digits and -`)
	f("apiVersion: v1", "apiVersion: v2", `1:13: apiVersion: got "v2", expected one of v1 (did you mean "v1"?)`)
	f("mode: live", "mode: life", `3:7: mode: got "life", expected one of live, paused (did you mean "live"?)`)
	f("Cart Viewed", "Cart Veiwed", `7:31: trigger.start.on[1]: got "Cart Veiwed", expected one of 16 known names (did you mean "Cart Viewed"?)`)
	f("Order Completed", "order completed", `9:16: trigger.cancel.on: got "order completed", expected one of 16 known names (did you mean "Order Completed"?)`)
	f("Cart Viewed", "Product Added", `7:31: trigger.start.on[1]: got "Product Added" twice`)
	f("[Product Added, Cart Viewed]", "[]", `7:15: trigger.start.on: got a list, expected at least 1`)
	f("[user_id, cart_id]", "[user_id, card_id]", `6:18: trigger.key[1]: got "card_id", expected one of user_id, cart_id (did you mean "cart_id"?)`)
	f("[co-purchase]", "[co-purchases]", `18:22: content.recommend.from[0]: got "co-purchases", expected one of co-purchase, co-cart, co-view (did you mean "co-purchase"?)`)
	f("smtp/main", "smtp/mian", `20:23: send.via: shop.yaml (shipped) has no sender mian, expected one of main (did you mean "smtp/main"?)`)
	f("smtp/main", "main", `20:23: send.via: got "main", expected smtp/NAME with the name of a sender of the shop`)
	f("[winner]", `[winner, ""]`, `19:20: content.banned: got an empty text`)
	// Sense.
	f("Cart Viewed", "Order Refunded", `7:31: trigger.start.on: Order Refunded cannot start a journey of kind cart, expected one of Product Added, Product Removed, Cart Viewed, Checkout Started`)
	f("Order Completed", "Cart Viewed", `9:16: trigger.cancel.on: Cart Viewed starts the wait and cannot cancel it too`)
	f("[user_id, cart_id]", "[cart_id, user_id]", `6:9: trigger.key: got cart_id first, expected user_id: a wait belongs to a person`)
	f("seed: cart.items", "seed: order.items", `18:42: content.recommend.seed: a mail of kind cart has no order.items, they come with post-purchase, review-request`)
}

func TestExperimentErrors(t *testing.T) {
	f := seeded(t, base)
	// As it should be: nothing is said.
	f("audience:\n", "audience:\n  holdout: 5%\n")
	f("kind: cart\n", "kind: cart\n  variants: {control: {weight: 50}, short: {weight: 50, subject: fallback, count: 6}}\n")
	f("audience:\n", "experiment: {id: words, seed: two, coverage: 20%}\nmeasure: {goal: {on: Order Completed, within: 3d, value: event.total}, guardrails: {unsubscribe_rate: \"< 0.4%\"}, stop_if: guardrail breached, windows: {click: 2d}}\naudience:\n")
	f("audience:\n", "audience:\n  holdout: 5\n", `12:12: audience.holdout: got 5, expected a share such as 5%`)
	f("audience:\n", "audience:\n  holdout: 51%\n", `12:12: audience.holdout: got 51%, expected at most 50%`)
	f("audience:\n", "audience:\n  holdout: 105%\n", `12:12: audience.holdout: got "105%", expected a share such as 5%`)
	f("kind: cart\n", "kind: cart\n  variants: {a: {weight: 50}}\n", `18:13: content.variants: got 1 variants, expected 2 to 12`)
	f("kind: cart\n", "kind: cart\n  variants: {a: {weight: 50}, holdout: {weight: 50}}\n", `18:31: content.variants.holdout: got the name holdout, which is that of the people who are not mailed: see audience.holdout`)
	f("kind: cart\n", "kind: cart\n  variants: {a: {weight: 50}, B: {weight: 50}}\n", `18:31: content.variants.B: got the name "B", expected lower-case letters, digits and -`)
	f("kind: cart\n", "kind: cart\n  variants: {a: {weight: 50}, b: {weight: 0}}\n", `18:43: content.variants.b.weight: got 0, expected at least 1`)
	f("audience:\n", "measure: {windows: {clik: 2d}}\naudience:\n", `11:21: measure.windows.clik: unknown outcome "clik", expected one of 8 known names (did you mean "click"?)`)
	f("audience:\n", "measure: {goal: {on: Order Completed, within: 91d}}\naudience:\n", `11:47: measure.goal.within: got 91d, expected at most 90d`)
	f("audience:\n", "measure: {goal: {on: Email Link Clicked, value: event.total}}\naudience:\n", `11:49: measure.goal.value: Email Link Clicked has no total, only Order Completed has`)
	f("audience:\n", "measure: {guardrails: {unsubscribe_rate: \"0.4%\"}}\naudience:\n", `11:42: measure.guardrails.unsubscribe_rate: got "0.4%", expected a bound such as "< 0.4%"`)
}

func TestLaterParts(t *testing.T) {
	f := seeded(t, base)
	f("mode: live", "mode: shadow", `3:7: mode: not yet supported: shadow runs come with reload; paused starts and sends nothing`)
	f("kind: cart\n", "kind: cart\n  variants: {a: {weight: 50}, b: {weight: 50, discount: 10%}}\n", `18:47: content.variants.b.discount: not yet supported: discounts come later; a variant may set subject and count`)
	f("kind: cart\n", "kind: cart\n  variants: {a: {weight: 50}, b: {weight: 50, template: x}}\n", `18:47: content.variants.b.template: not yet supported: templates of one's own come later; a variant may set subject and count`)
	f("audience:\n", "experiment: {layer: {name: mails, from: 40%, to: 40%}}\naudience:\n", `11:50: experiment.layer.to: got 40% to 40%, expected a part that ends after it begins`)
	f("audience:\n", "experiment: {optimise: {by: thompson}}\naudience:\n", `11:24: experiment.optimise: there is nothing to choose from, expected content.variants`)
	f("audience:\n", "experiment: {optimise: {by: luck}}\naudience:\n", `11:24: experiment.optimise: there is nothing to choose from, expected content.variants`, `11:29: experiment.optimise.by: got "luck", expected one of thompson, top-two, linucb, linear-thompson`)
	f("audience:\n", "measure: {attribution: {window: 91d}}\naudience:\n", `11:33: measure.attribution.window: got 91d, expected at most 90d`)
	f("kind: cart\n", "kind: cart\n  generate: {model: lstm@v3}\n", `18:3: content.generate: not yet supported: models by name@version come later; content.subject: lstm uses the built-in one`)
	f("kind: cart\n", "kind: cart\n  guard: {max_kl: 0.35}\n", `18:3: content.guard: not yet supported: the guard comes with models by version; content.banned lists words`)
	f("kind: cart\n", "kind: price-drop\n", `17:9: content.kind: not yet supported: changes of the catalogue start no journeys so far`)
	f("id: send,", "id: send, at: profile.best_hour,", `20:18: send.at: not yet supported: a time of sending comes with quiet hours`)
	f("id: send,", `id: send, window: {from: "08:00"},`, `20:18: send.window: not yet supported: quiet hours come later`)
	f("id: send,", "id: send, caps: {class: marketing},", `20:18: send.caps: not yet supported: caps come later; trigger.at_most bounds one journey and send.rate the speed`)
	f("id: send,", "id: send, idempotency_key: [user_id],", `20:35: send.idempotency_key: not yet supported: a key other than [user_id, cart_id, trigger.started_at], the trigger's key and its start`)
	f("count: 3", "count: 3, price_min: 9, price_max: 5", `18:75: content.recommend.price_min: is above price_max, so nothing could be shown`)
	f("count: 3", "count: 3, diversity: 1", `18:75: content.recommend.diversity: got 1, expected a share such as 5%`)
	f("count: 3", "count: 3, by: magic", `18:68: content.recommend.by: got "magic", expected one of hybrid, together`)
	f("[co-purchase]", "[co-purchase, similar-items]", `18:35: content.recommend.from[1]: not yet supported: they are part of by: hybrid`)
	f("audience:\n", "measure: {goal: x}\naudience:\n", `11:17: measure.goal: got "x", expected a mapping`)
	f("audience:\n", "steps: []\naudience:\n", `11:1: steps: not yet supported: the long form comes later; the journey form is read`)
	s := seeded(t, baseShop)
	s("consent:", "caps: {marketing: 3 in 7d}\nconsent:", `6:1: caps: not yet supported: caps come later; trigger.at_most bounds one journey`)
}

func TestShopErrors(t *testing.T) {
	f := seeded(t, baseShop)
	f("unknown: no", "unknown: maybe", `6:20: consent.unknown: got "maybe", expected one of no, yes`)
	f("unknown: no", "unknown: false", `6:20: consent.unknown: got false, expected text`)
	f("idle: 30s", "idle: 0s", `3:31: log.idle: got no time, expected more than 0s`)
	with := func(field string, want ...string) { f("consent:", "fields: {x: {"+field+"}}\nconsent:", want...) }
	with("sum: total, on: Order Completed, half_life: 30d")
	with("sum: totl", `6:19: fields.x.sum: got "totl", expected one of 21 known names (did you mean "total"?)`)
	with("sum: brand", `6:19: fields.x.sum: got brand, which is a text, expected a number`)
	with("mean: time", `6:20: fields.x.mean: got the mean of a time, expected min, max, first or last`)
	with("share: total", `6:21: fields.x.share: got total, which is a number, expected a text`)
	with("on: Order Completed", `6:13: fields.x: got no operation, expected one of count, sum, mean, min, max, first, last, distinct, share`)
	with("sum: total, max: total", `6:13: fields.x: got two operations, expected one`)
	with("count: events, on: Order Complete", `6:33: fields.x.on: got "Order Complete", expected one of 16 known names (did you mean "Order Completed"?)`)
	with("last: brand, half_life: 30d", `6:38: fields.x.half_life: last does not fade, only count, sum, mean and share do`)
	with("sum: total, limit: 9", `6:33: fields.x.limit: sum keeps one value, only distinct and share keep several`)
	with("sum: total, by: price", `6:30: fields.x.by: only a share is by something`)
	with("share: query, by: price", `6:32: fields.x.by: got price, which each product has, of query, which the event has`)
	named := func(condition string, want ...string) {
		f("consent:", "fields: {spent: {sum: total}}\nsegments: {vip: '"+condition+"'}\nconsent:", want...)
	}
	named("profile.fields.spent > 500 && profile.orders >= 3")
	named("profile.fields.spend > 500", `7:33: segments.vip: unknown name "profile.fields.spend" (did you mean "profile.fields.spent"?)`)
	named("profile.orders", `7:18: segments.vip: got a whole number, expected a condition that is true or false`)
	named("cart.value > 3", `7:18: segments.vip: unknown name "cart"`)
	named(`segment("vip")`, `7:18: segments.vip: got a segment in a segment, expected what is known of the person: profile and its fields`)
	named(`"vip" in profile.segments`, `7:35: segments.vip: unknown name "profile.segments"`)
	f("consent:", "segments: {Vip: profile.known}\nconsent:", `6:12: segments.Vip: got the name "Vip", expected lower-case letters, digits and _`)
	f("consent:", "segments: {vip: 3}\nconsent:", `6:17: segments.vip: got 3, expected a condition such as cart.value > 30 && profile.consent.marketing`)
	f("consent:", "segments: {vip: }\nconsent:", `6:12: segments.vip: got nothing, expected a condition such as cart.value > 30 && profile.consent.marketing`)
	many := ""
	for i := range 65 {
		many += fmt.Sprintf("  s%d: profile.known\n", i)
	}
	f("consent:", "segments:\n"+many+"consent:", `7:3: segments: got a mapping, expected at most 64 entries`)
	f("half_life: 30d}", "half_life: 30d, visitor_ttl: 180d}")
	f("half_life: 30d}", "half_life: 30d, visitor_ttl: 7d}", `4:40: profile.visitor_ttl: got 7 days, expected at least 8d: repeats of events are known for 7d`)
	f("consent:", "quality: {}\nconsent:")
	f("consent:", "quality: {per_minute: 0}\nconsent:", `6:23: quality.per_minute: got 0, expected at least 1`)
	f("consent:", "quality: {half_life: 0s}\nconsent:", `6:22: quality.half_life: got no time, expected more than 0s`)
	f("consent:", "fields: {Big: {sum: total}}\nconsent:", `6:10: fields.Big: got the name "Big", expected lower-case letters, digits and _`)
	f("top: 50", "top: 5000", `5:30: items.top: got 5000, expected at most 1000`)
	f("[POST]", "[POST, ' ']", `5:50: items.exclude: got an empty text`)
	f("  main:\n", "  Main:\n", `8:3: senders.Main: got the name "Main", expected lower-case letters, digits, - and _`)
	f("    smtp: env:SMTP_URL\n", "", `8:3: senders.main.smtp: missing, expected the key "smtp"`)
	links := func(text string) string { return "links: {" + text + "}\nconsent: {unknown: no}" }
	f("consent: {unknown: no}", links("cart: 'https://shop.example/c/{cart_id}?from=mail', shop: http://shop.example"))
	f("consent: {unknown: no}", links("cart: /cart"), `6:15: links.cart: got something else, expected an address such as https://shop.example/cart, in which {cart_id} stands for the id`)
	f("consent: {unknown: no}", links("cart: 'https://shop.example/{cart}'"), `6:15: links.cart: got something else, expected an address such as https://shop.example/cart, in which {cart_id} stands for the id`)
	f("consent: {unknown: no}", links("shop: 'https://u:p@shop.example/'"), `6:15: links.shop: got something else, expected an address such as https://shop.example/shop`)
	f("consent: {unknown: no}", links("basket: x"), `6:9: links.basket: unknown key "basket", expected one of cart, shop`)
	f("consent: {unknown: no}", "consent: {unknown: no}\ntracking: {clicks: maybe}", `7:20: tracking.clicks: got "maybe", expected one of no, yes`)
	f("consent: {unknown: no}", "consent: {unknown: no}\ntracking: {clicks: yes, opens: no}")
	f("smtp:", "smpt:", `8:3: senders.main.smtp: missing, expected the key "smtp"`, `9:5: senders.main.smpt: unknown key "smpt", expected one of from, smtp (did you mean "smtp"?)`)
	f("Shop <hello@shop.example>", "Shop <hello@", `10:11: senders.main.from: got something else, expected an address such as Shop <hello@shop.example>`)
	f("env:SMTP_URL", "localhost:25", `9:11: senders.main.smtp: got something else, expected env:NAME or smtp://host:port`)
	// A secret is never repeated.
	f("env:SMTP_URL", "smtp://u:hunter2@mx.example", `9:11: senders.main.smtp: got a user or password in the file, expected env:NAME and the URL in that variable`)
	f("env:SMTP_URL", `"smtp://u:hunter2@mx .example"`, `9:11: senders.main.smtp: got something else, expected env:NAME or smtp://host:port`)
	f("env:SMTP_URL", "4711", `9:11: senders.main.smtp: got a number, expected text`)
	f("shop: demo", "shop: 5", `2:7: shop: got 5, expected a name of lower-case letters and digits and -`)
}

func TestTextErrors(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := checkText(t, text); got != want {
			t.Errorf("%.60q:\n got %s\nwant %s", text, got, want)
		}
	}
	f("", "1:1: got an empty file, expected a shop or a pipeline")
	f("# only this\n\n", "1:1: got an empty file, expected a shop or a pipeline")
	f("---\n---\n", "1:1: got an empty file, expected a shop or a pipeline")
	f("[1, 2]", "1:1: got a list, expected a mapping such as `apiVersion: v1`")
	f("hello", "1:1: got text, expected a mapping such as `apiVersion: v1`")
	f("name: x\n", "1:1: got neither shop nor pipeline, expected one of them to name the file's content")
	f(base+"---\n"+base, "21:1: got a second document, expected one to a file")
	f("apiVersion: v1\npipeline:\n\tid: x\n", "3:1: got a tab, expected spaces to indent with")
	f("apiVersion: v1\npipeline: caf\xe9\n", "2:14: got a byte that is not UTF-8, expected UTF-8 text")
	f("\xff\xfea\x00p\x00", "1:1: got a byte that is not UTF-8, expected UTF-8 text")
	f("apiVersion: v1\npipeline: a\x00b\n", "2:12: got the control character U+0000, expected text")
	f("apiVersion: v1\rpipeline: x\n", "1:15: got the control character U+000D, expected text")
	f(strings.Repeat("#\n", fileMax/2+1), "1:1: got a file of more than 1048576 bytes")
	f("a: &x 1\nb: *x\n", "1:4: got an anchor or alias (& or *), expected the value itself\n2:4: got an anchor or alias (& or *), expected the value itself")
	f("a: {}\nb:\n  <<: {c: 1}\n", "3:3: got a merge key (<<), expected the keys themselves")
	f("a: !!binary aGk=\n", "1:4: got a tag (!), expected a value without one")
	f("%YAML 1.2\n---\na: 1\n", "1:1: got a directive (%), expected none")
	f("? a\n: 1\n", "1:1: got a complex key (?), expected a plain one")
	f("a: [1, 2\nb: 3\n", "2:1: not YAML: ',' or ']' must be specified")
	f("a: b: c\n", "1:4: not YAML: mapping value is not allowed in this context")
	f("a: 'open\n", "1:4: not YAML: could not find end character of single-quoted text")
	f(strings.Repeat("[", 1000), "1:25: got more than 24 levels of nesting")
	f(strings.Repeat("- ", 1000), "1:49: got more than 24 levels of nesting")
	f(nested(40), "25:25: got more than 24 levels of nesting")
	f("a: ["+strings.Repeat("1,", 20_000)+"]", "1:20002: got more than 20000 words and signs, expected a smaller file")
	f(manyKeys(501), "501:1: got more than 500 keys in one mapping")
	f("a: .inf\n", "1:4: a: got infinity, expected text, a number, a list or a mapping")
	f("a: 1.5\nshop: 99999999999999999999\napiVersion: v1\n", "1:1: a: unknown key \"a\", expected one of apiVersion, consent, fields, holdout, items, links, log, outbox, profile, quality, segments, senders, sentiment, shop, tracking, webhooks\n2:7: shop: got \"99999999999999999999\", expected a name of lower-case letters and digits and -")
}

// nested is a mapping in a mapping, and so on.
func nested(depth int) string {
	var b strings.Builder
	for i := range depth {
		fmt.Fprintf(&b, "%sa:\n", strings.Repeat(" ", i))
	}
	return b.String()
}

func TestConditionErrors(t *testing.T) {
	f := seeded(t, base)
	on := func(condition string, want ...string) {
		t.Helper()
		f("cart.value > 30", condition, want...)
	}
	on("cart.valu > 30", `7:56: trigger.start.when: unknown name "cart.valu" (did you mean "cart.value"?)`)
	on("kart.value > 30", `7:51: trigger.start.when: unknown name "kart" (did you mean "cart"?)`)
	on("value > 30", `7:51: trigger.start.when: unknown name "value" (did you mean "cart.value"?)`)
	on("cart.value.amount > 30", `7:62: trigger.start.when: cart.value has no fields, it is a number`)
	on("cart.value", `7:51: trigger.start.when: got a number, expected a condition that is true or false`)
	on("cart > 3", `7:51: trigger.start.when: got the group cart, expected one of its fields: cart.categories, cart.currency, cart.items, cart.quantity, cart.value`)
	on("cart.value >", `7:62: trigger.start.when: unexpected token EOF`)
	on("cart.value > > 3", `7:64: trigger.start.when: unexpected token Operator(">")`)
	on("cart.value = 3", `7:62: trigger.start.when: unexpected token Operator("=")`)
	on(`cart.value > '30'`, `7:64: trigger.start.when: got text, expected a number to compare with`)
	on("cart.items && cart.value > 3", `7:51: trigger.start.when: got a whole number, expected true or false for &&`)
	on("not cart.value", `7:55: trigger.start.when: got a number, expected true or false for not`)
	on("cart.value + 'x' > 3", `7:64: trigger.start.when: got text, expected a number for +`)
	on("now() > cart.value", `7:51: trigger.start.when: got the function now, expected one of abs, ceil, floor, hasPrefix, hasSuffix, len, lower, max, min, round, trim, upper`)
	on("flor(cart.value) > 3", `7:51: trigger.start.when: got the function flor, expected one of abs, ceil, floor, hasPrefix, hasSuffix, len, lower, max, min, round, trim, upper (did you mean "floor"?)`)
	on("cart.items in 1..100000000", `7:65: trigger.start.when: got a range, expected comparisons: a condition may not loop`)
	on("cart.items % cart.quantity == 1", `7:64: trigger.start.when: got a divisor that may be zero, expected a written number such as 7`)
	on("cart.currency matches '('", "7:73: trigger.start.when: got a pattern that is none: error parsing regexp: missing closing ): `(`")
	on("cart.value == nil", `7:65: trigger.start.when: got nil, expected a value: what is not known is false, 0 or empty text`)
	on("order.value > 30", `7:51: trigger.start.when: order.value is known in journeys of kind post-purchase, review-request, this one is of kind cart`)
	on("hasPrefix(cart.currency) == true", `7:51: trigger.start.when: got 1 values for hasPrefix, expected 2`)
	on(strings.Repeat("cart.value > 1 || ", 100)+"true", `7:822: trigger.start.when: got a condition of more than 256 parts`)
	on(`""`, `7:52: trigger.start.when: unexpected token EOF`)
	on(`"any(profile.categories, {# == 'x'})"`, `7:52: trigger.start.when: got any, expected comparisons: a condition may not loop`)
	// Several in one condition are all told.
	on("cart.valu > 3 || profile.lvt > 3 || cart.value > 'x'",
		`7:56: trigger.start.when: unknown name "cart.valu" (did you mean "cart.value"?)`,
		`7:76: trigger.start.when: unknown name "profile.lvt" (did you mean "profile.ltv"?)`,
		`7:100: trigger.start.when: got text, expected a number to compare with`)
	// In a folded block, on its second line.
	f("profile.ltv >", "profile.ltw >", `14:17: audience.when: unknown name "profile.ltw" (did you mean "profile.ltv"?)`)
}

// Everything is told at once, over several files, in order.
func TestAllAtOnce(t *testing.T) {
	l, err := NewLoader(Options{FS: fstest.MapFS{
		"d/b.yaml":      {Data: []byte(strings.Replace(base, "wait: 1h", "wait: x", 1))},
		"d/a.yaml":      {Data: []byte(strings.NewReplacer("mode: live", "mode: on", "smtp/main", "smtp/other").Replace(base))},
		"d/shop.yaml":   {Data: []byte(strings.Replace(baseShop, "top: 50", "top: x", 1))},
		"d/shop2.yaml":  {Data: []byte(baseShop)},
		"d/c.test.yaml": {Data: []byte("tests: []\n")},
		"d/rules.yml":   {Data: []byte("groups: []\n")},
		"d/e/f.yaml":    {Data: []byte("apiVersion: v1\n")},
		"d/e/g.yml":     {Data: []byte("apiversion: v1\npipelines: x\n")}, // nearly ours: not passed over
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := func(path, want string) {
		t.Helper()
		if got := l.Check(path).Error(); got != want {
			t.Errorf("%s:\n got %s\nwant %s", path, got, want)
		}
	}
	shallow := `d/a.yaml:3:7: mode: got "on", expected one of live, paused
d/a.yaml:20:23: send.via: d/shop.yaml has no sender other, expected one of main
d/b.yaml:2:11: pipeline: the name cart is taken by d/a.yaml
d/b.yaml:8:9: trigger.wait: got "x", expected a duration such as 30s, 1h or 7d
`
	shops := `d/shop.yaml:5:30: items.top: got "x", expected a whole number
d/shop2.yaml:2:1: shop: got a second shop, d/shop.yaml is one already`
	f("d", shallow+shops)
	f("./d/...", shallow+"d/e/f.yaml:1:1: got neither shop nor pipeline, expected one of them to name the file's content\n"+
		"d/e/g.yml:2:1: pipelines: unknown key \"pipelines\", expected shop or pipeline (did you mean \"pipeline\"?)\n"+shops)
	f("d/none.yaml", "d/none.yaml: cannot be read: file does not exist")
}

// Two journeys cannot share an experiment: their counts would be one.
func TestExperimentTwice(t *testing.T) {
	first := strings.ReplaceAll(base, "pipeline: cart", "pipeline: other") + "experiment: {id: words}\n"
	second := base + "experiment: {id: words}\n"
	loader, err := NewLoader(Options{FS: fstest.MapFS{"a.yaml": {Data: []byte(first)}, "b.yaml": {Data: []byte(second)}}})
	if err != nil {
		t.Fatal(err)
	}
	want := "b.yaml:21:18: experiment.id: the experiment words is that of a.yaml"
	if got := loader.Check("a.yaml", "b.yaml").Error(); got != want {
		t.Fatalf("got %s\nwant %s", got, want)
	}
}
