package catalogue

import (
	"testing"
	"time"

	"millrace/operators/event"
)

func TestX(t *testing.T) {
	var p Product
	for i, v := range []event.Money{10000, 8000} {
		p.Apply(&event.Event{Time: int64(1000 * (i + 1)), Currency: "EUR", Products: []event.Product{{ID: "a", Price: v, HasPrice: true}}, Listing: &event.Listing{}})
	}
	var l Watchers
	l.Put(&Watch{Person: "x", At: 1500, Price: 10000, HasPrice: true}, time.Hour)
	t.Logf("%+v", l.Tell(p.Offer("a"), &Options{Within: time.Hour, AtLeast: .1}))
}
