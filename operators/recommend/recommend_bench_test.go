package recommend

import (
	"fmt"
	"testing"

	"millrace/operators/event"
	"millrace/operators/profile"
)

// BenchmarkApply is one touch with one pair on an item whose list is full.
func BenchmarkApply(b *testing.B) {
	r := New(Options{})
	var i Item
	touches := make([]Touch, 1024)
	for n := range touches {
		touches[n] = Touch{Item: "x", Relation: Seen, Own: 1, Others: []string{fmt.Sprint("p-", n%MaxNeighbours)}, Time: testBase + int64(n)}
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		r.Apply(&i, &touches[n%len(touches)])
		n++
	}
}

// BenchmarkView is all that a view means here: its touches, made and applied.
func BenchmarkView(b *testing.B) {
	s := newShop(Options{})
	var p profile.Person
	events := make([]event.Event, 1000)
	for n := range events {
		events[n] = event.Event{Kind: event.ProductViewed, Time: testBase + int64(n)*600_000, Products: []event.Product{{ID: fmt.Sprint("p-", n*7%97),
			Name: "Some nice thing", Category: "Kitchen > Mugs", URL: "https://shop.example.com/p", Price: 1290, HasPrice: true, Quantity: 1}}}
	}
	var buf []Touch
	n, touches := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		if n == len(events) {
			p, n = profile.Person{}, 0
		}
		e := &events[n]
		s.u.Apply(&p, e, &s.ch)
		buf = s.r.Touches(buf[:0], e, &s.ch, &p)
		for i := range buf {
			s.touch(&buf[i])
		}
		touches += len(buf)
		n++
	}
	b.ReportMetric(float64(touches)/float64(b.N), "touches/op")
}

func BenchmarkItemEncode(b *testing.B) {
	r := New(Options{})
	var i Item
	for n := range 1000 {
		r.Apply(&i, &Touch{Item: "x", Relation: Relation(n % 3), Own: 1, Others: []string{fmt.Sprint("p-", n%150)}, Time: testBase + int64(n)})
	}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = i.AppendTo(out[:0])
	}
	b.ReportMetric(float64(len(out)), "bytes")
}

func BenchmarkItemDecode(b *testing.B) {
	r := New(Options{})
	var i Item
	for n := range 1000 {
		r.Apply(&i, &Touch{Item: "x", Relation: Relation(n % 3), Own: 1, Others: []string{fmt.Sprint("p-", n%150)}, Time: testBase + int64(n)})
	}
	in := i.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		var j Item
		if err := j.DecodeFrom(in); err != nil {
			b.Fatal(err)
		}
	}
}
