package profile

import (
	"testing"
	"time"

	"millrace/operators/event"
)

// BenchmarkFiveFields is what an event costs in five declared fields, two of which fade.
func BenchmarkFiveFields(b *testing.B) {
	set, err := CompileFields([]FieldSpec{
		{Name: "ltv", Op: "sum", Of: "total", On: []string{"Order Completed"}},
		{Name: "looks", Op: "count", On: []string{"Product Viewed"}, HalfLife: 24 * time.Hour},
		{Name: "brands", Op: "share", Of: "brand", HalfLife: 30 * 24 * time.Hour},
		{Name: "latest", Op: "last", Of: "item"},
		{Name: "dearest", Op: "max", Of: "price"},
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	e := event.Event{Kind: event.ProductViewed, Time: 1_772_000_000_000, Products: []event.Product{{ID: "mug", Brand: "acme", Price: 1290, HasPrice: true, Quantity: 1}}}
	var s FieldState
	b.ReportAllocs()
	for b.Loop() {
		e.Time += 1000
		set.Apply(&s, &e)
	}
}

// BenchmarkFiveFieldsAt is the same as the graph does it, which notes since when they count.
func BenchmarkFiveFieldsAt(b *testing.B) {
	set, err := CompileFields([]FieldSpec{
		{Name: "ltv", Op: "sum", Of: "total", On: []string{"Order Completed"}},
		{Name: "looks", Op: "count", On: []string{"Product Viewed"}, HalfLife: 24 * time.Hour},
		{Name: "brands", Op: "share", Of: "brand", HalfLife: 30 * 24 * time.Hour},
		{Name: "latest", Op: "last", Of: "item"},
		{Name: "dearest", Op: "max", Of: "price"},
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	e := event.Event{Kind: event.ProductViewed, Time: 1_772_000_000_000, Products: []event.Product{{ID: "mug", Brand: "acme", Price: 1290, HasPrice: true, Quantity: 1}}}
	var s FieldState
	b.ReportAllocs()
	for b.Loop() {
		e.Time += 1000
		set.ApplyAt(&s, &e, 7)
	}
}
