package shop_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"millrace/bench/shop"
)

// A look at the first visitors of a shop on a Monday morning.
func Example() {
	s := shop.New(shop.Options{Seed: 7, Shoppers: 200})
	people := s.Shoppers()
	for e := range s.Until(s.Start().Add(4 * time.Minute)) {
		var m struct {
			Type, Event, Name string
			Properties        struct{ Name, Query string }
		}
		if err := json.Unmarshal(e.JSON, &m); err != nil {
			fmt.Println(err)
			return
		}
		what := strings.Join(strings.Fields(m.Type+" "+m.Event+m.Name+" "+m.Properties.Name+m.Properties.Query), " ")
		fmt.Println(e.At.Format("15:04:05"), people[e.Shopper].FirstName, what)
	}
	// Output:
	// 08:00:43 Hugo screen Start
	// 08:01:00 Hugo identify
	// 08:01:01 Hugo track Product List Viewed
	// 08:01:04 Hugo track Product Viewed Kitchen Herb Seed Set
	// 08:01:07 Joseph page Home
	// 08:01:13 Lucas page Home
	// 08:01:14 Joseph identify
	// 08:01:14 Joseph track Products Searched backpack
	// 08:01:18 Lucas track Product Viewed Chef's Knife 20 cm
	// 08:01:35 Joseph track Product Viewed Trekking Backpack 55 l
	// 08:02:04 Joseph track Product Added Trekking Backpack 55 l
	// 08:02:21 Joseph track Cart Viewed
	// 08:02:27 Lucas track Product List Viewed
	// 08:02:36 Lucas track Product Viewed Speckled Breakfast Mug
	// 08:03:23 Lucas track Product Viewed Handmade Tea Mug with Infuser
}
