package event

import (
	"bytes"
	"encoding/json"
	"strconv"
	"testing"
)

// plainTrack is a typical single event as a shop's server sends it, 376 bytes.
const plainTrack = `{"type":"track","messageId":"node-next-1772446501004-a1d4e2b7-0f39-4a27-8c53","userId":"c-4711","event":"Product Added",` +
	`"properties":{"cart_id":"ct-88","product_id":"p-301","name":"Blue mug","category":"Kitchen > Mugs","price":12.90,"quantity":2,"currency":"EUR"},` +
	`"context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"}},"timestamp":"2026-03-02T10:15:01.004Z"}`

func BenchmarkDecodeAllSingle(b *testing.B) {
	data := []byte(plainTrack)
	d := NewDecoder(Options{})
	var records []Record
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		records = d.DecodeAll(records[:0], data, 1772446510000)
		if records[0].Event == nil {
			b.Fatal(records[0].Reject)
		}
	}
}

func BenchmarkDecodeSingle(b *testing.B) {
	data := []byte(plainTrack)
	d := NewDecoder(Options{})
	h := Handler{Event: func(int, *Event) {}, Reject: func(r *Reject) { b.Fatal(r) }}
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(data, 1772446510000, h)
	}
}

// BenchmarkDecodeEnvelope reports ns for each of the 50 events of an envelope.
func BenchmarkDecodeEnvelope(b *testing.B) {
	data := AppendEnvelope(nil, Header{ReceivedAt: 1772446510000, Source: "web"}, benchItems(50))
	d := NewDecoder(Options{})
	var records []Record
	b.ReportAllocs()
	for b.Loop() {
		records = d.DecodeAll(records[:0], data, 1772446510000)
		if len(records) != 50 || records[49].Event == nil {
			b.Fatal(len(records))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/50, "ns/event")
}

func BenchmarkDecodeSlow(b *testing.B) {
	data := []byte(plainTrack)
	d := NewDecoder(Options{})
	d.slowOnly = true
	var records []Record
	b.ReportAllocs()
	for b.Loop() {
		records = d.DecodeAll(records[:0], data, 1772446510000)
	}
}

// BenchmarkEncodingJSON is the yardstick: the same event by the standard library, into
// a struct, without any cleaning.
func BenchmarkEncodingJSON(b *testing.B) {
	data := []byte(plainTrack)
	b.ReportAllocs()
	for b.Loop() {
		var e struct {
			Type, MessageID, UserID, AnonymousID, Event, Timestamp string
			Properties                                             struct {
				CartID    string `json:"cart_id"`
				ProductID string `json:"product_id"`
				Name      string
				Category  string
				Price     float64
				Quantity  int
				Currency  string
			}
			Context struct {
				Library struct{ Name, Version string }
			}
		}
		if err := json.Unmarshal(data, &e); err != nil || e.Properties.Price != 12.9 {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEnvelope(b *testing.B) {
	items := benchItems(50)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendEnvelope(dst[:0], Header{ReceivedAt: 1772446510000, Source: "web"}, items)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/50, "ns/event")
}

func benchItems(n int) []Item {
	items := make([]Item, n)
	for i := range items {
		raw := bytes.Replace([]byte(plainTrack), []byte("c-4711"), strconv.AppendInt([]byte("c-"), int64(4711+i), 10), 1)
		items[i] = Item{Type: "track", SentAt: "2026-03-02T10:15:10.050Z", Raw: raw}
	}
	return items
}
