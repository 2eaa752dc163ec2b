package event

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// received is when the tests' messages arrive: 2026-03-02T10:20:00.300Z.
const received = 1772446800300

// decodeOne decodes a message that is one event.
func decodeOne(t *testing.T, data string) *Event {
	t.Helper()
	records := NewDecoder(Options{}).DecodeAll(nil, []byte(data), received)
	if len(records) != 1 || records[0].Event == nil {
		t.Fatalf("%s: got %s", data, show(records))
	}
	return records[0].Event
}

// show writes records for failure messages.
func show(records []Record) string {
	var b strings.Builder
	for _, r := range records {
		switch {
		case r.Event != nil:
			fmt.Fprintf(&b, "%d:%+v ", r.Index, *r.Event)
		case r.Reject != nil:
			fmt.Fprintf(&b, "%d:%s(%s) ", r.Index, r.Reject.Code, r.Reject.Detail)
		case r.Receipt != nil:
			fmt.Fprintf(&b, "%d:%+v ", r.Index, *r.Receipt)
		default:
			fmt.Fprintf(&b, "tick:%d ", r.Tick)
		}
	}
	return b.String()
}

// track is a track event with the given name and properties.
func track(name, properties string) string {
	return fmt.Sprintf(`{"type":"track","event":%q,"userId":"u","messageId":"m","properties":%s}`, name, properties)
}

const segmentBatch = `{"batch":[
 {"type":"identify","userId":"c-4711","traits":{"email":"mira.öz@example.com","firstName":"Mira","createdAt":"2025-11-02T09:30:00.000Z"},
  "context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"},"locale":"de-AT","timezone":"Europe/Vienna"},"integrations":{},
  "timestamp":"2026-03-02T10:15:00.120Z","messageId":"node-next-1772446500120-5f0c6f2e-6a0b-4c55-9a53-1d1f3f1b7a10"},
 {"type":"track","userId":"c-4711","event":"Product Added","properties":{"cart_id":"ct-88","product_id":"p-301","sku":"MUG-BL","name":"Blue mug ☕",
  "category":"Kitchen > Mugs","price":"12.90","quantity":2},"context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"}},
  "integrations":{"All":true},"timestamp":"2026-03-02T10:15:01.004Z","messageId":"node-next-1772446501004-a1d4e2b7-0f39-4a27-8c53-6e2f0b9c1d22"}],
 "writeKey":"wk_demo","sentAt":"2026-03-02T10:15:10.050Z"}`

const rudderOrder = `{"type":"track","event":"Order Completed","channel":"web","userId":"","anonymousId":"7a1d0c52-93be-4c1f-b1a8-2f0e5f7f9c11",
 "properties":{"order_id":"A-10023","checkout_id":"ck-5","subtotal":23.22,"revenue":23.22,"tax":4.64,"shipping":4.90,"discount":2.58,"total":32.76,
  "coupon":"SPRING10","currency":"EUR","products":[{"product_id":"p-301","sku":"MUG-BL","name":"Blue mug","price":12.90,"quantity":2,"position":1}]},
 "context":{"traits":{"email":"guest@example.org"},"campaign":{"name":"spring","source":"newsletter","medium":"email"},"locale":"de-AT",
  "timezone":"GMT+0100","page":{"path":"/thanks","referrer":"$direct","search":"","title":"Thanks","url":"https://shop.example.com/thanks"},
  "library":{"name":"RudderLabs JavaScript SDK","version":"3.34.1"}},"integrations":{"All":true},
 "originalTimestamp":"2026-03-02T10:21:30.200Z","sentAt":"2026-03-02T10:21:30.210Z","messageId":"0b0e7b3c-55a7-4c0e-9c0b-64a0c0c2c9d1"}`

func TestRecordedSegmentBatch(t *testing.T) {
	records := NewDecoder(Options{}).DecodeAll(nil, []byte(segmentBatch), 1772446510100)
	if len(records) != 2 || records[0].Event == nil || records[1].Event == nil {
		t.Fatal(show(records))
	}
	identify := *records[0].Event
	want := Event{
		Kind: Identify, MessageID: "node-next-1772446500120-5f0c6f2e-6a0b-4c55-9a53-1d1f3f1b7a10", UserID: "c-4711",
		Time: 1772446500120, ReceivedAt: 1772446510100, // a server's clock is taken for good
		Traits: Traits{Email: "mira.öz@example.com", FirstName: "Mira", Locale: "de-AT", Timezone: "Europe/Vienna"},
	}
	if !reflect.DeepEqual(identify, want) {
		t.Fatalf("got  %+v\nwant %+v", identify, want)
	}
	added := *records[1].Event
	want = Event{
		Kind: ProductAdded, Name: "Product Added", MessageID: "node-next-1772446501004-a1d4e2b7-0f39-4a27-8c53-6e2f0b9c1d22",
		UserID: "c-4711", Time: 1772446501004, ReceivedAt: 1772446510100, CartID: "ct-88",
		Products: []Product{{ID: "p-301", Name: "Blue mug ☕", Category: "Kitchen > Mugs", Price: 1290, HasPrice: true, Quantity: 2}},
	}
	if records[1].Index != 1 || !reflect.DeepEqual(added, want) {
		t.Fatalf("got  %+v\nwant %+v", added, want)
	}
}

func TestRecordedRudderStackOrder(t *testing.T) {
	got := *decodeOne(t, rudderOrder)
	want := Event{
		Kind: OrderCompleted, Name: "Order Completed", MessageID: "0b0e7b3c-55a7-4c0e-9c0b-64a0c0c2c9d1",
		AnonymousID: "7a1d0c52-93be-4c1f-b1a8-2f0e5f7f9c11", Time: 1772446800290, ReceivedAt: received,
		OrderID: "A-10023", Currency: "EUR", Total: 2322, HasTotal: true,
		Products: []Product{{ID: "p-301", Name: "Blue mug", Price: 1290, HasPrice: true, Quantity: 2}},
		Traits:   Traits{Email: "guest@example.org", Locale: "de-AT"}, // an offset is no time zone
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

// TestSDKShapes holds the wire shapes of section 3 of the specification.
func TestSDKShapes(t *testing.T) {
	f := func(data string, check func(e *Event) bool) {
		t.Helper()
		if e := decodeOne(t, data); !check(e) {
			t.Fatalf("%s: got %+v", data, *e)
		}
	}
	// The Go SDK: library only at the batch, nanoseconds, an old sentAt after retries;
	// timestamp and messageId of the batch are not the event's.
	f(`{"messageId":"batch","timestamp":"2026-03-02T10:00:00Z","sentAt":"2026-03-02T10:19:30Z","context":{"library":{"name":"analytics-go","version":"3.0.0"}},
	"batch":[{"type":"track","userId":"u","event":"Product Viewed","timestamp":"2026-03-02T10:19:29.123456789Z","messageId":"m1","properties":{"product_id":"p"}}]}`,
		func(e *Event) bool { return e.Time == received-31_177 && e.MessageID == "m1" && e.Flags == 0 })
	// RudderStack Node: originalTimestamp with sentAt, and an explicit timestamp beside it.
	f(`{"batch":[{"type":"track","userId":"u","event":"x","messageId":"m","originalTimestamp":"2026-03-02T10:19:00Z","sentAt":"2026-03-02T10:19:50Z",
	"context":{"library":{"name":"analytics-node"}}}]}`, func(e *Event) bool { return e.Time == received-60_300 })
	f(`{"type":"track","userId":"u","event":"x","messageId":"m","originalTimestamp":"2026-03-02T10:19:00Z","timestamp":"2026-03-01T10:19:00Z","sentAt":"2026-03-02T10:19:50Z"}`,
		func(e *Event) bool { return e.Time == 1772360340000 })
	// The browser SDKs: clock skew is taken out by sentAt; both ids on every event.
	f(`{"type":"page","userId":"u","anonymousId":"a","messageId":"m","timestamp":"2026-03-02T11:19:58.300Z","sentAt":"2026-03-02T11:20:00.300Z","properties":{"url":"https://x"},
	"context":{"library":{"name":"analytics.js"},"userAgent":"Mozilla/5.0"},"writeKey":"k","_metadata":{"bundled":[]}}`,
		func(e *Event) bool {
			return e.Kind == Page && e.Time == received-2000 && e.AnonymousID == "a" && !e.Bot && e.Products == nil
		})
	// RudderStack's browser identify has only context.traits.
	f(`{"type":"identify","userId":"u","anonymousId":"a","messageId":"m","context":{"traits":{"email":"A@Example.com","first_name":"Ann","marketing_consent":true}}}`,
		func(e *Event) bool {
			return e.Traits.Email == "A@Example.com" && e.Traits.FirstName == "Ann" && e.Traits.Consent == ConsentYes
		})
	// Segment's browser alias after identify names the same id twice.
	f(`{"type":"alias","userId":"u","previousId":"u","anonymousId":"a","messageId":"m"}`,
		func(e *Event) bool { return e.Kind == Alias && e.PreviousID == "" && e.Flags&AliasSelf != 0 })
	f(`{"type":"alias","userId":"u","previousId":"old","messageId":"m"}`,
		func(e *Event) bool { return e.PreviousID == "old" && e.Flags == 0 })
	// The address of a group is nobody's address.
	f(`{"type":"group","userId":"u","groupId":"g","traits":{"email":"info@corp.example"},"messageId":"m"}`,
		func(e *Event) bool { return e.Kind == Group && e.Traits.Email == "" })
}

// rejected checks the codes of a message's records, "" for an event.
func rejected(t *testing.T) func(data string, want ...Code) {
	return func(data string, want ...Code) {
		t.Helper()
		records := NewDecoder(Options{}).DecodeAll(nil, []byte(data), received)
		var got []Code
		for _, r := range records {
			code := Code("")
			if r.Reject != nil {
				code = r.Reject.Code
				if int(r.Index) != r.Reject.Index || len(r.Reject.Bytes) > MaxReject || r.Reject.Detail == "" {
					t.Fatalf("reject %+v at %d", r.Reject, r.Index)
				}
			}
			got = append(got, code)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%.200s: got %s, want %v", data, show(records), want)
		}
	}
}

// nest is an event nested n deep.
func nest(n int) string {
	return track("x", strings.Repeat(`{"a":`, n-1)+"1"+strings.Repeat("}", n-1))
}

func TestLimits(t *testing.T) {
	f := rejected(t)
	good := track("x", `{}`)
	keys := func(n int) string { // of which 5 are the event's own
		return track("x", "{"+strings.TrimSuffix(strings.Repeat(`"k":1,`, n-5), ",")+"}")
	}
	// Limits: the last that passes and the first that does not.
	f(nest(MaxDepth), "")
	f(nest(MaxDepth+1), TooDeep)
	f(`[`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`,`+good+`]`, TooLarge, "")
	f(keys(MaxKeys), "")
	f(keys(MaxKeys+1), TooLarge)
	frame := len(track("x", `{"a":""}`))
	f(track("x", `{"a":"`+strings.Repeat("a", MaxEvent-frame)+`"}`), "")
	f(track("x", `{"a":"`+strings.Repeat("a", MaxEvent-frame+1)+`"}`), TooLarge)
	f(track("x", `{"a":"`+strings.Repeat("a", 10<<20)+`"}`), TooLarge)
	many := make([]Code, MaxBatch+2)
	many[MaxBatch], many[MaxBatch+1] = BatchTooLong, BatchTooLong
	f(`[`+strings.TrimSuffix(strings.Repeat(good+",", MaxBatch+2), ",")+`]`, many...)
}

func TestRejects(t *testing.T) {
	f := rejected(t)
	good := track("x", `{}`)
	f("", NotJSON)
	f(" ", NotJSON)
	f("null", BadType)
	f(`"x"`, BadType)
	f("{", NotJSON)
	f(good+"x", NotJSON)
	f(good[:len(good)-3], NotJSON)
	f(`[`+good+`,`, NotJSON) // nothing of a cut message counts
	f(strings.Replace(good, `{}`, `{"a":NaN}`, 1), NotJSON)
	f(strings.Replace(good, `{}`, `{"a":01}`, 1), NotJSON)
	f(strings.Replace(good, `{}`, "{\"a\":\"\x01\"}", 1), NotJSON)
	f(strings.Replace(good, `{}`, "{\"a\":\"\xff\"}", 1), NotJSON)
	f(`{}`, BadType)
	f(`{"type":"delete","userId":"u"}`, BadType)
	f(`{"type":5,"userId":"u"}`, BadType)
	f(`{"type":"track","userId":"u"}`, NoEventName)
	f(`{"type":"track","userId":"u","event":" "}`, NoEventName)
	f(`{"type":"track","userId":"u","event":7}`, NoEventName)
	f(`{"type":"track","event":"x"}`, NoIdentity)
	for _, id := range []string{`""`, `null`, `"null"`, `"undefined"`, `"[object Object]"`, `"0"`, `0`, `"guest"`, `"Guest"`, `{}`, `true`, `" "`, `"a\ud800"`} {
		f(`{"type":"identify","userId":`+id+`}`, NoIdentity)
	}
	f(`{"type":"identify","anonymousId":"null"}`, NoIdentity)
	f(`{"type":"alias","previousId":"a","anonymousId":"b"}`, NoIdentity)
	// What one event does is not its neighbours' fault.
	f(`[`+good+`,5,{"type":"track"},`+nest(20)+`,`+strings.Replace(good, `{}`, "{\"a\":\"\xff\"}", 1)+`,`+good+`]`,
		"", BadType, NoEventName, TooDeep, NotJSON, "")
	f(`{"batch":[]}`)
	f(`[]`)
	// An event with a property of its own called batch is an event.
	f(`{"type":"identify","userId":"u","batch":[1]}`, "")
	f("\xef\xbb\xbf"+good, "")
	// Mail events may come without a person: the mail or its address names one.
	f(`{"type":"track","event":"Unsubscribed","context":{"traits":{"email":"a@example.com"}}}`, "")
	f(`{"type":"track","event":"Email Opened","properties":{"email_id":"d1"}}`, "")
	f(`{"type":"track","event":"Email Opened"}`, NoIdentity)
}

func TestEnvelopeRejects(t *testing.T) {
	f := func(data string, want Code) {
		t.Helper()
		records := NewDecoder(Options{}).DecodeAll(nil, []byte(data), received)
		if len(records) != 1 || records[0].Reject == nil || records[0].Reject.Code != want {
			t.Fatalf("%s: got %s, want %s", data, show(records), want)
		}
	}
	f(`{"mr":2,"kind":"events","receivedAt":1772446800300,"items":[]}`, BadEnvelope)
	f(`{"mr":"1","kind":"tick","at":1772446800300}`, BadEnvelope)
	f(`{"mr":1}`, BadEnvelope)
	f(`{"mr":1,"kind":"link"}`, BadEnvelope)
	f(`{"mr":1,"kind":"events","items":[]}`, BadEnvelope)
	f(`{"mr":1,"kind":"events","receivedAt":1e99,"items":[]}`, BadEnvelope)
	f(`{"mr":1,"kind":"events","receivedAt":1772446800300}`, BadEnvelope)
	f(`{"mr":1,"kind":"events","receivedAt":1772446800300,"items":{}}`, BadEnvelope)
	f(`{"mr":1,"kind":"events","receivedAt":1772446800300,"items":[{}]}`, BadEnvelope)
	f(`{"mr":1,"kind":"events","receivedAt":1772446800300,"items":[7]}`, BadEnvelope)
	f(`{"mr":1,"kind":"events","receivedAt":1772446800300,"items":[{"b":"%"}]}`, BadEnvelope)
	f(`{"mr":1,"kind":"events","receivedAt":1772446800300,"items":[{"e":{}`, NotJSON)
	f(`{"mr":1,"kind":"tick"}`, BadEnvelope)
	f(`{"mr":1,"kind":"receipt"}`, BadEnvelope)
	f(`{"mr":1,"kind":"receipt","receipt":{"decision":""}}`, BadEnvelope)
	f(`{"mr":1,"kind":"receipt","receipt":{"decision":"d","outcome":9}}`, BadEnvelope)
	f(`{"mr":1,"kind":"receipt","receipts":[5]}`, BadEnvelope)
}

func TestTimes(t *testing.T) {
	f := func(fields string, want int64, flags Flags) {
		t.Helper()
		e := decodeOne(t, `{"type":"page","userId":"u","messageId":"m"`+fields+`}`)
		if e.Time != want || e.Flags != flags || e.ReceivedAt != received {
			t.Fatalf("%s: got %d flags %b, want %d flags %b", fields, e.Time, e.Flags, want, flags)
		}
	}
	f(``, received, 0)
	f(`,"timestamp":null`, received, 0)
	f(`,"timestamp":"2026-03-02T10:15:00.120Z"`, 1772446500120, 0)
	f(`,"timestamp":"2026-03-02T10:15:00.120Z","receivedAt":"2020-01-01T00:00:00Z"`, 1772446500120, 0)
	f(`,"timestamp":"2026-03-02 11:15:00+01:00"`, 1772446500000, 0)
	f(`,"timestamp":"2026-03-02T11:15+0100"`, 1772446500000, 0)
	f(`,"timestamp":"2026-03-02T10:15:00"`, 1772446500000, ZoneMissing)
	f(`,"timestamp":"2026-03-02"`, 1772409600000, ZoneMissing)
	f(`,"timestamp":1772446500`, 1772446500000, 0)
	f(`,"timestamp":1772446500.25`, 1772446500250, 0)
	f(`,"timestamp":1772446500120`, 1772446500120, 0)
	f(`,"timestamp":"1772446500120"`, 1772446500120, 0)
	// Absurd times count as now.
	f(`,"timestamp":"9999-12-31T23:59:59Z"`, received, ClockFuture)
	f(`,"timestamp":"2026-03-02T10:20:00.301Z"`, received, ClockFuture)
	f(`,"timestamp":"1970-01-01T00:00:00Z"`, received, ClockBad)
	f(`,"timestamp":1772446500120000`, received, ClockBad)
	f(`,"timestamp":1772446`, received, ClockBad) // seconds divided once too often
	f(`,"timestamp":0`, received, ClockBad)
	f(`,"timestamp":"garbage"`, received, ClockBad)
	f(`,"timestamp":"2026-02-30T00:00:00Z"`, received, ClockBad)
	f(`,"timestamp":"2026-03-02T25:00:00Z"`, received, ClockBad)
	f(`,"timestamp":{}`, received, ClockBad)
	// The formula: the client's clock is an hour fast, then an hour slow.
	f(`,"timestamp":"2026-03-02T11:19:50Z","sentAt":"2026-03-02T11:20:00Z"`, received-10_000, 0)
	f(`,"timestamp":"2026-03-02T09:19:50Z","sentAt":"2026-03-02T09:20:00Z"`, received-10_000, 0)
	// A sentAt that makes no sense is not used.
	f(`,"timestamp":"2026-03-02T10:15:00.120Z","sentAt":"x"`, 1772446500120, 0)
	f(`,"timestamp":"2026-03-02T10:15:00.120Z","sentAt":"1970-01-01T00:00:00Z"`, 1772446500120, 0)
	// Sent before it happened.
	f(`,"timestamp":"2026-03-02T10:15:00Z","sentAt":"2026-03-02T10:14:00Z"`, received, ClockFuture)
}

func TestProperties(t *testing.T) {
	f := func(name, properties string, want Event) {
		t.Helper()
		got := *decodeOne(t, track(name, properties))
		want.Name, want.MessageID, want.UserID, want.Time, want.ReceivedAt = name, "m", "u", received, received
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s %s:\ngot  %+v\nwant %+v", name, properties, got, want)
		}
	}
	one := func(p Product) []Product { return []Product{p} }
	// Names of any spelling, version 1 and GA4.
	f("product_viewed", `{"product_id":"p","price":5,"currency":"eur"}`,
		Event{Kind: ProductViewed, Currency: "EUR", Products: one(Product{ID: "p", Price: 500, HasPrice: true, Quantity: 1})})
	f("VIEWED-PRODUCT", `{"product_id":7}`, Event{Kind: ProductViewed, Products: one(Product{ID: "7", Quantity: 1})})
	f("purchase", `{"transaction_id":"T1","value":20,"tax":2,"currency":"EUR","items":[{"item_id":"a","item_name":"A","item_category":"K","item_category2":"M","price":10,"quantity":2}]}`,
		Event{Kind: OrderCompleted, OrderID: "T1", Currency: "EUR", Total: 2000, HasTotal: true, Products: one(Product{ID: "a", Name: "A", Category: "K > M", Price: 1000, HasPrice: true, Quantity: 2})})
	f("Something Else", `{"product_id":"p"}`, Event{Products: one(Product{ID: "p", Quantity: 1})})
	// Ids: numbers without exponent, other names.
	f("Product Viewed", `{"sku":1.0e3}`, Event{Kind: ProductViewed, Products: one(Product{ID: "1000", Quantity: 1})})
	f("Product Viewed", `{"id":12345678901234567890}`, Event{Kind: ProductViewed, Products: one(Product{ID: "12345678901234567890", Quantity: 1})})
	f("Product Viewed", `{"name":"no id"}`, Event{Kind: ProductViewed, Flags: ProductBad})
	// Products as one object, as text, as ids, and not at all.
	f("Cart Viewed", `{"products":{"product_id":"p","price":1}}`,
		Event{Kind: CartViewed, Total: 100, HasTotal: true, Products: one(Product{ID: "p", Price: 100, HasPrice: true, Quantity: 1})})
	f("Cart Viewed", `{"products":"[{\"product_id\":\"p\"}]"}`, Event{Kind: CartViewed, Products: one(Product{ID: "p", Quantity: 1})})
	f("Cart Viewed", `{"products":["p",{"name":"x"}]}`, Event{Kind: CartViewed, Flags: ProductBad, Products: one(Product{ID: "p", Quantity: 1})})
	f("Cart Viewed", `{"products":"what"}`, Event{Kind: CartViewed, Flags: ProductBad})
	f("Cart Viewed", `{"products":null,"cart_id":"c"}`, Event{Kind: CartViewed, CartID: "c"})
	// Quantities.
	f("Order Completed", `{"order_id":"o","revenue":"1","products":[{"product_id":"p","quantity":-2},{"product_id":"q","quantity":"3"},{"product_id":"r","quantity":2.5},{"product_id":"s","quantity":1e9}]}`,
		Event{Kind: OrderCompleted, OrderID: "o", Total: 100, HasTotal: true, Flags: QuantityBad, Products: []Product{
			{ID: "p", Quantity: 2, Returned: true}, {ID: "q", Quantity: 3}, {ID: "r", Quantity: 1}, {ID: "s", Quantity: 1},
		}})
	// A broken number is no number, and never 0.
	f("Product Added", `{"product_id":"p","price":"1,299"}`, Event{Kind: ProductAdded, Flags: NumberBad, Products: one(Product{ID: "p", Quantity: 1})})
	f("Product Added", `{"product_id":"p","price":-5}`, Event{Kind: ProductAdded, Flags: NumberBad, Products: one(Product{ID: "p", Quantity: 1})})
	f("Product Added", `{"product_id":"p","price":null}`, Event{Kind: ProductAdded, Products: one(Product{ID: "p", Quantity: 1})})
	f("Product Added", `{"product_id":"p","price":"$5","currency":"EUR"}`,
		Event{Kind: ProductAdded, Currency: "EUR", Flags: NumberBad, Products: one(Product{ID: "p", Quantity: 1})})
	f("Product Added", `{"product_id":"p","price":"1.299,00 €"}`,
		Event{Kind: ProductAdded, Currency: "EUR", Products: one(Product{ID: "p", Price: 129900, HasPrice: true, Quantity: 1})})
	f("Product Added", `{"product_id":"p","value":30,"quantity":3}`,
		Event{Kind: ProductAdded, Products: one(Product{ID: "p", Price: 1000, HasPrice: true, Quantity: 3})})
	f("Product Added", `{"product_id":"p","price":1200,"currency":"JPY"}`,
		Event{Kind: ProductAdded, Currency: "JPY", Products: one(Product{ID: "p", Price: 1200, HasPrice: true, Quantity: 1})})
	f("Product Added", `{"product_id":"p","price":1.2345,"currency":"KWD"}`,
		Event{Kind: ProductAdded, Currency: "KWD", Products: one(Product{ID: "p", Price: 1235, HasPrice: true, Quantity: 1})})
	// The base of money: each takes the place of the one before it.
	f("Order Completed", `{"revenue":1,"subtotal":2,"total":9}`, Event{Kind: OrderCompleted, Total: 100, HasTotal: true})
	f("Order Completed", `{"subtotal":2,"total":9}`, Event{Kind: OrderCompleted, Total: 200, HasTotal: true})
	f("Order Completed", `{"total":9,"tax":1.5,"shipping":2}`, Event{Kind: OrderCompleted, Total: 550, HasTotal: true})
	f("Order Completed", `{"discount":1,"products":[{"product_id":"p","price":2,"quantity":3}]}`,
		Event{Kind: OrderCompleted, Total: 500, HasTotal: true, Products: one(Product{ID: "p", Price: 200, HasPrice: true, Quantity: 3})})
	f("Order Completed", `{"revenue":"x","subtotal":2}`, Event{Kind: OrderCompleted, Total: 200, HasTotal: true, Flags: NumberBad})
	f("Order Completed", `{"total":9,"tax":"x"}`, Event{Kind: OrderCompleted, Flags: NumberBad})
	// The rest of the vocabulary.
	f("Products Searched", `{"query":"mug 4111 1111 1111 1111"}`, Event{Kind: ProductsSearched, Query: "mug ****"})
	f("search", `{"search_term":"mug"}`, Event{Kind: ProductsSearched, Query: "mug"})
	f("Product Reviewed", `{"product_id":"p","rating":"4.5","review_body":"good\nmug\u0000"}`,
		Event{Kind: ProductReviewed, Rating: 4.5, Review: "good mug", Flags: TextCleaned, Products: one(Product{ID: "p", Quantity: 1})})
	f("Email Replied", `{"email_id":"d","campaign_id":"c","body":"never\tagain 4111 1111 1111 1111","text":"no"}`,
		Event{Kind: EmailReplied, Review: "never again ****", Flags: TextCleaned, Mailing: Mailing{EmailID: "d", CampaignID: "c"}})
	f("Service Message Received", `{"message":"where is my parcel?"}`, Event{Kind: MessageReceived, Review: "where is my parcel?"})
	f("support_message_received", `{"body":null,"text":"坏了"}`, Event{Kind: MessageReceived, Review: "坏了"})
	f("Email Link Clicked", `{"email_id":"d","campaign_id":"c","link_url":"https://a:b@shop.example/x?token=1&y=2","machine":true}`,
		Event{Kind: EmailLinkClicked, Mailing: Mailing{EmailID: "d", CampaignID: "c", LinkURL: "https://shop.example/x?y=2", Machine: true}})
	f("Email Bounced", `{"email_id":"d","bounce_type":"Hard"}`, Event{Kind: EmailBounced, Mailing: Mailing{EmailID: "d", BounceType: "hard"}})
	f("Product Viewed", `"p"`, Event{Kind: ProductViewed, Flags: PropsWrapped | ProductBad})
	f("Product Viewed", `{"product_id":"p","url":"javascript:alert(1)","image_url":"//cdn.example/p.png"}`,
		Event{Kind: ProductViewed, Products: one(Product{ID: "p", ImageURL: "//cdn.example/p.png", Quantity: 1})})
}

func TestCommonFields(t *testing.T) {
	f := func(fields string, check func(e *Event) bool) {
		t.Helper()
		e := decodeOne(t, `{"type":"Identify",`+fields+`}`)
		if e.Kind != Identify || !check(e) {
			t.Fatalf("%s: got %+v", fields, *e)
		}
	}
	long := strings.Repeat("m", 101)
	f(`"userId":12,"messageId":"m"`, func(e *Event) bool { return e.UserID == "12" && e.Flags == 0 })
	f(`"userId":17850.0,"messageId":"m"`, func(e *Event) bool { return e.UserID == "17850" })
	f(`"userId":"u","messageId":"`+long[:100]+`"`, func(e *Event) bool { return e.MessageID == long[:100] && e.Flags == 0 })
	f(`"userId":"u","messageId":"`+long+`"`, func(e *Event) bool { return e.MessageID == hash(long) && e.Flags == MessageIDHashed })
	f(`"userId":"u"`, func(e *Event) bool { return strings.HasPrefix(e.MessageID, "mr-") && e.Flags == MessageIDNew })
	// A repeated key: the last one counts.
	f(`"userId":"a","userId":"b"`, func(e *Event) bool { return e.UserID == "b" })
	// Traits: both cases, null clears, top level before context.
	f(`"userId":"u","messageId":"m","traits":{"first_name":"A","lastName":null,"email":" mailto:a@example.com "},"context":{"traits":{"lastName":"B","locale":"de_AT"}}`,
		func(e *Event) bool {
			return e.Traits.FirstName == "A" && e.Traits.LastName == "" && reflect.DeepEqual(e.Traits.Cleared, []string{"lastName"}) &&
				e.Traits.Email == "a@example.com" && e.Traits.Locale == "de-AT"
		})
	f(`"userId":"u","messageId":"m","traits":{"email":"test@test"}`, func(e *Event) bool { return e.Traits.Email == "" && e.Flags == EmailBad })
	f(`"userId":"u","messageId":"m","traits":[1]`, func(e *Event) bool { return e.Flags == PropsWrapped })
	f(`"userId":"u","messageId":"m","traits":{"firstName":"\u202eA\ud83d\ude00\udc00"}`,
		func(e *Event) bool { return e.Traits.FirstName == "A😀\ufffd" && e.Flags == TextCleaned })
	// Consent: each of its spellings, and no before yes.
	for _, c := range []string{`"marketing_consent":true`, `"marketingConsent":"yes"`, `"email_opt_in":1`, `"emailOptIn":"true"`, `"subscribed":true`, `"consent":true`, `"consent":{"marketing":true}`, `"consent":{"email":"granted"}`} {
		f(`"userId":"u","traits":{`+c+`}`, func(e *Event) bool { return e.Traits.Consent == ConsentYes })
	}
	f(`"userId":"u","traits":{"subscribed":true,"consent":{"marketing":false}}`, func(e *Event) bool { return e.Traits.Consent == ConsentNo })
	f(`"userId":"u","traits":{"subscribed":"perhaps"}`, func(e *Event) bool { return e.Traits.Consent == ConsentUnknown })
	f(`"userId":"u","traits":{"subscribed":null}`, func(e *Event) bool { return reflect.DeepEqual(e.Traits.Cleared, []string{"consent"}) })
	// Integrations, activity, robots.
	f(`"userId":"u","integrations":{"All":false}`, func(e *Event) bool { return e.Off })
	f(`"userId":"u","integrations":{"All":false,"Millrace":true}`, func(e *Event) bool { return !e.Off })
	f(`"userId":"u","integrations":{"Millrace":false}`, func(e *Event) bool { return e.Off })
	f(`"userId":"u","integrations":{"all":false,"millrace":false}`, func(e *Event) bool { return !e.Off })
	f(`"userId":"u","context":{"active":false}`, func(e *Event) bool { return e.Inactive })
	f(`"userId":"u","context":{"userAgent":"Mozilla/5.0 (compatible; Googlebot/2.1)"}`, func(e *Event) bool { return e.Bot })
	f(`"userId":"u","context":{"user_agent":"HeadlessChrome"}`, func(e *Event) bool { return e.Bot })
	f(`"userId":"u","context":{"userAgent":"Mozilla/5.0 (Linux; CUBOT_X18)"}`, func(e *Event) bool { return !e.Bot })
	f(`"userId":"u","context":{"userAgent":"","library":{"name":"analytics.js"}}`, func(e *Event) bool { return e.Bot })
	f(`"userId":"u","context":{"userAgent":"","library":{"name":"analytics-go"}}`, func(e *Event) bool { return !e.Bot })
}

func TestBatchFieldsAreMerged(t *testing.T) {
	data := `{"context":{"locale":"de-AT","active":false,"traits":{"email":"a@example.com"}},"integrations":{"All":false},"sentAt":"2026-03-02T10:20:00Z","batch":[
	{"type":"identify","userId":"u","timestamp":"2026-03-02T10:19:00Z"},
	{"type":"identify","userId":"u","context":{"locale":"en-US","active":true,"traits":{}},"integrations":{"All":true}}]}`
	records := NewDecoder(Options{}).DecodeAll(nil, []byte(data), received)
	if len(records) != 2 || records[0].Event == nil || records[1].Event == nil {
		t.Fatal(show(records))
	}
	a, b := records[0].Event, records[1].Event
	if a.Traits.Locale != "de-AT" || !a.Inactive || !a.Off || a.Traits.Email != "a@example.com" || a.Time != received-60_000 {
		t.Fatalf("first: %+v", *a)
	}
	if b.Traits.Locale != "en-US" || b.Inactive || b.Off || b.Traits.Email != "" {
		t.Fatalf("second: %+v", *b)
	}
}

func TestSourceOptions(t *testing.T) {
	d := NewDecoder(Options{
		Sources: map[string]SourceOptions{"cents": {Currency: "CHF", MinorUnits: true}},
		Default: SourceOptions{Currency: "GBP"},
	})
	f := func(source, currency string, price Money) {
		t.Helper()
		item := Item{Raw: []byte(track("Product Viewed", `{"product_id":"p","price":1290}`))}
		records := d.DecodeAll(nil, AppendEnvelope(nil, Header{ReceivedAt: received, Source: source}, []Item{item}), received)
		if e := records[0].Event; e == nil || e.Currency != currency || e.Products[0].Price != price || e.Source != source {
			t.Fatalf("source %s: got %s", source, show(records))
		}
	}
	f("cents", "CHF", 1290)
	f("web", "GBP", 129000)
}

func TestCloneOwnsItsText(t *testing.T) {
	data := []byte(rudderOrder)
	d := NewDecoder(Options{})
	e := d.DecodeAll(nil, data, received)[0].Event
	clone, want := e.Clone(), fmt.Sprintf("%+v", *e)
	clear(data)
	if got := fmt.Sprintf("%+v", *clone); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	if items := ItemsOf(clone); len(items) != 1 || items[0].ID != "p-301" || items[0].Price != 1290 {
		t.Fatalf("items %+v", items)
	}
}

func TestKindNames(t *testing.T) {
	for k := Identify; k < KindCount; k++ {
		if got, ok := KindByName(KindName(k)); !ok || got != k {
			t.Fatalf("%d %q: got %v, %v", k, KindName(k), got, ok)
		}
	}
	if k, ok := KindByName("no such thing"); ok || k != Unknown || KindName(KindCount) != "Unknown" {
		t.Fatal("an unknown name means something")
	}
}

// What a decoder fills anew is as if it was new.
func TestRecycle(t *testing.T) {
	d := NewDecoder(Options{})
	for range 3 {
		for i, data := range seeds() {
			fresh := NewDecoder(Options{})
			want := fresh.DecodeAll(nil, []byte(data), received)
			got := d.DecodeAll(nil, []byte(data), received)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d: %+v, with new memory %+v", i, got, want)
			}
			for j := range got {
				if e := got[j].Event; e != nil {
					for k := range e.Products {
						e.Products[k] = Product{ID: "of another event"}
					}
					e.UserID, e.Currency = "of another event", "of another event"
					d.Recycle(e)
				}
			}
		}
	}
}
