package configs_test

import (
	"fmt"
	"testing/fstest"

	"millrace/configs"
)

// A journey alone is enough: the shipped shop is used with it.
func ExampleLoader_Load() {
	file := `
apiVersion: v1
pipeline: cart-abandonment
trigger:
  id: abandoned
  key: [user_id, cart_id]
  start: {on: [Product Added, Product Removed], when: cart.value > 30}
  wait: 1h
  cancel: {on: Order Completed}
audience: {when: profile.consent.marketing && cart.items >= 2}
content: {id: content, kind: cart}
send: {id: send, via: smtp/main}
`
	loader, err := configs.NewLoader(configs.Options{FS: fstest.MapFS{"cart.yaml": {Data: []byte(file)}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := loader.Load("cart.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	journey := set.Journeys[0]
	fmt.Print(configs.Explain(journey))

	// A condition is evaluated over slots: look them up once, fill them per decision.
	env := loader.TriggerEnv()
	value, _ := env.Slot("cart.value")
	slots := make([]configs.Value, env.Len())
	for _, money := range []float64{29.90, 59.90} {
		slots[value] = configs.FloatValue(money)
		fmt.Printf("a cart of %.2f starts it: %v\n", money, journey.Trigger.Start.When.Eval(slots))
	}
	// Output:
	// cart-abandonment: live.
	// [abandoned] On Product Added or Product Removed, if cart.value > 30, wait 1 hour for each user_id and cart_id; a further one begins the wait anew.
	// [abandoned] Order Completed in that time ends it without a mail.
	// [audience] Go on only if profile.consent.marketing && cart.items >= 2; asked again just before the mail leaves.
	// [content] Write a cart mail whose subject comes from the model, or is the written one if that takes more than 200 milliseconds.
	// [send] Send it via smtp/main, unless it is late by more than 1 day.
	// [send] One user_id + cart_id + trigger.started_at is one mail, however often it is tried.
	// a cart of 29.90 starts it: false
	// a cart of 59.90 starts it: true
}

// Everything that is wrong is told at once, each at its place.
func ExampleLoader_Check() {
	file := `apiVersion: v1
pipeline: cart-abandonment
trigger:
  id: abandoned
  key: [user_id, cart_id]
  start: {on: [Product Aded], when: cart.valu > 30}
  wait: 1 hour
canary: 5%
content: {id: content, kind: cart}
sned: {id: send, via: smtp/main}
`
	loader, err := configs.NewLoader(configs.Options{FS: fstest.MapFS{"cart.yaml": {Data: []byte(file)}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, problem := range loader.Check("cart.yaml") {
		fmt.Println(problem)
	}
	// Output:
	// cart.yaml:1:1: send: missing, expected the key "send"
	// cart.yaml:6:16: trigger.start.on[0]: got "Product Aded", expected one of 16 known names (did you mean "Product Added"?)
	// cart.yaml:6:42: trigger.start.when: unknown name "cart.valu" (did you mean "cart.value"?)
	// cart.yaml:7:9: trigger.wait: got "1 hour", expected a duration such as 30s, 1h or 7d
	// cart.yaml:8:1: canary: not yet supported: canaries come with reload
	// cart.yaml:10:1: sned: unknown key "sned", expected one of 13 known names (did you mean "send"?)
}
