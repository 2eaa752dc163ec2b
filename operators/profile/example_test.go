package profile_test

import (
	"fmt"

	"millrace/operators/event"
	"millrace/operators/profile"
)

func Example() {
	u := profile.New(profile.Options{})
	var p profile.Person
	var ch profile.Change
	mug := event.Product{ID: "p-301", Name: "Blue mug", Category: "Kitchen > Mugs", Price: 1290, HasPrice: true, Quantity: 2}
	u.Apply(&p, &event.Event{Kind: event.ProductAdded, MessageID: "m1", Time: 1772446501004, CartID: "ct-88", Products: []event.Product{mug}}, &ch)
	fmt.Println("cart", ch.Carts[0].ID, "is worth", p.CartValue("ct-88"), "and they like", p.TopCategory(p.Newest))

	u.Apply(&p, &event.Event{Kind: event.OrderCompleted, MessageID: "m2", Time: 1772446601004, OrderID: "A-1", Products: []event.Product{mug}}, &ch)
	fmt.Println("carts closed:", len(ch.Carts), "lifetime value:", p.LTV())
	// Output:
	// cart ct-88 is worth 2580 and they like Kitchen > Mugs
	// carts closed: 1 lifetime value: 2580
}
