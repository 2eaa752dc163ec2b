package trigger_test

import (
	"fmt"
	"time"

	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/operators/trigger"
)

func Example() {
	t := trigger.New(trigger.Options{
		Rules: []trigger.Rule{{Pipeline: "cart-abandonment", ID: "abandoned", Wait: time.Hour,
			When: func(f *trigger.Facts) bool { return f.Value >= 3000 }, WhenText: "cart.value >= 30"}},
		ID: func(_, _, _, sub string, _ int64) string { return "d-" + sub }, // an HMAC in earnest
	})
	u := profile.New(profile.Options{})
	var p profile.Person
	var st trigger.State
	var ch profile.Change
	var out trigger.Result
	u.Apply(&p, &event.Event{Kind: event.Identify, Time: 1, Traits: event.Traits{Email: "mira@example.com", Consent: event.ConsentYes}}, &ch)
	u.Apply(&p, &event.Event{Kind: event.ProductAdded, Time: 2, CartID: "ct-88",
		Products: []event.Product{{ID: "p-301", Price: 1290, HasPrice: true, Quantity: 2}}}, &ch)
	t.Arm(trigger.Subject{Person: "P", State: &st, Profile: &p, Now: 2}, &ch, &out)
	timer := out.Timers[0]
	fmt.Println("timer at", timer.Due)
	t.Fire(trigger.Subject{Person: "P", State: &st, Profile: &p, Now: timer.Due}, timer.Rule, timer.Sub, &out)
	d := out.Decisions[0]
	fmt.Println(d.ID, d.Outcome, d.Reason)
	// Output:
	// timer at 3600002
	// d-cct-88 skipped condition not met: cart.value >= 30
}
