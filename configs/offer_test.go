package configs

import "testing"

// TestWatch looks at what a journey that the catalogue starts may say.
func TestWatch(t *testing.T) {
	const journey = `apiVersion: v1
pipeline: drop
trigger:
  id: t
  key: [user_id]
  start: {on: Product Upserted, watch: {at_least: 15%, within: 20d}}
  wait: 1h
  cancel: {on: [Order Completed]}
content: {id: c, kind: price-drop, require: in stock}
send: {id: send, via: smtp/main}
`
	f := seeded(t, journey)
	f("within: 20d", "within: 91d", `6:40: trigger.start.watch.within: got 91d, expected up to 90d`)
	f("at_least: 15%", "at_least: 15", `6:51: trigger.start.watch.at_least: got 15, expected a share such as 5%`)
	f("kind: price-drop", "kind: back-in-stock", `6:51: trigger.start.watch.at_least: a journey of kind back-in-stock looks at no price`)
	f("require: in stock", "require: fresh", `9:45: content.require: got "fresh", expected one of in stock, anything`)
	f("Product Upserted, watch", "Product Viewed, watch", `6:15: trigger.start.on: Product Viewed cannot start a journey of kind price-drop, expected one of Product Upserted`)
	f("[Order Completed]", "[Product Added]", `8:17: trigger.cancel.on: Product Added does not end a wait of kind price-drop, expected one of Order Completed`)
	f("[user_id]", "[user_id, cart_id]", `5:18: trigger.key: a wait of kind price-drop belongs to the person, expected [user_id]`)
	f("kind: price-drop", "kind: win-back", `6:15: trigger.start.on: Product Upserted cannot start a journey of kind win-back, expected one of Order Completed`,
		`6:40: trigger.start.watch: a journey of kind win-back does not watch the catalogue, those of kind price-drop and back-in-stock do`,
		`8:17: trigger.cancel.on: Order Completed does not end a wait of kind win-back, expected no trigger.cancel`)
}
