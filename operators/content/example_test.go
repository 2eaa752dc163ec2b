package content_test

import (
	"context"
	"fmt"
	"log"

	"millrace/operators/content"
	"millrace/operators/event"
)

// A mail without a model: the written subject, and why. With the zero Options the
// shipped model writes the subject.
func ExampleWriter_Write() {
	w, err := content.New(content.Options{NoModel: true})
	if err != nil {
		log.Fatal(err)
	}
	d, err := w.Write(context.Background(), content.Request{
		DecisionID: "5f1c", Kind: "price-drop", Language: "en-GB", FirstName: "Ada", Currency: "GBP",
		Items:    []event.CartItem{{ID: "p1", Name: "Linen Tea Towel", Category: "Kitchen", Price: 1245, Quantity: 1}},
		ShopName: "Millrace Goods", ShopURL: "https://shop.example", UnsubscribeURL: "https://shop.example/u",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Subject)
	fmt.Println(d.Fallback, d.Why)
	fmt.Println(d.Text)
	// Output:
	// The price of Linen Tea Towel has dropped
	// true no model
	// Millrace Goods
	//
	// The price has dropped
	//
	// Hello Ada,
	//
	// Something you liked now costs less than when you last looked.
	//
	// - Linen Tea Towel: £12.45
	//
	// See the new price: https://shop.example
	//
	// ----
	// You get this mail because the price of an item you looked at changed at Millrace Goods.
	// Unsubscribe: https://shop.example/u
	// Sent by Millrace Goods
}
