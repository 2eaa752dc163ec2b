package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"millrace/operators/event"
)

// told is what a feed says, a line for each product: its properties, or what is wrong.
func told(t *testing.T, o FeedOptions, text string) string {
	t.Helper()
	var b strings.Builder
	err := Read("f", strings.NewReader(text), o, func(e Entry) error {
		if e.Bad != nil {
			fmt.Fprintf(&b, "%s (%s)\n", e.Bad.Error(), e.ID)
			return nil
		}
		var ev struct {
			Type, Event, MessageID string
			Properties             json.RawMessage
		}
		if err := json.Unmarshal(e.Event, &ev); err != nil || ev.Event != "Product Upserted" || !strings.HasPrefix(ev.MessageID, "cat-") {
			t.Fatalf("%s: %v", e.Event, err)
		}
		fmt.Fprintf(&b, "%s\n", ev.Properties)
		return nil
	})
	if err != nil {
		fmt.Fprintln(&b, err)
	}
	return b.String()
}

func TestCSV(t *testing.T) {
	f := func(o FeedOptions, text, want string) {
		t.Helper()
		if got := told(t, o, text); got != want {
			t.Errorf("%q: got\n%swant\n%s", text, got, want)
		}
	}
	f(FeedOptions{}, "\ufeffid,title,price,currency,stock\na,\"Mug, blue\",12.90,EUR,3\n", `{"currency":"EUR","name":"Mug, blue","old_price":0,"price":12.90,"product_id":"a","stock":3}`+"\n")
	// Google's columns, separated by tabs.
	f(FeedOptions{}, "id\ttitle\tprice\tsale price\tavailability\tproduct type\na\tMug\t12.90 EUR\tEUR 9\tin stock\tHome > Mugs\n",
		`{"availability":"in stock","category":"Home \u003e Mugs","currency":"EUR","name":"Mug","old_price":12.90,"price":9,"product_id":"a"}`+"\n")
	f(FeedOptions{Currency: "CHF", Full: true}, "sku;price;brand\na;09;Ohm\n", `{"availability":"in stock","brand":"Ohm","currency":"CHF","old_price":0,"price":9,"product_id":"a"}`+"\n")
	// What is wrong is told with its place, and the rest goes in.
	f(FeedOptions{}, "id,price,stock,availability,deleted\na,cheap,,,\n,1,,,\nb,1,1.5,,\nc,1,,maybe,\nd,,,,perhaps\na,1 EUR,,,\na,1,,,\ne,1,2,3,4,5\n",
		`f:2:3: price: got "cheap", want an amount such as 12.90 EUR (a)
f:3:1: id: missing ()
f:4:5: stock: got "1.5", want a whole number (b)
f:5:6: availability: got "maybe", want in stock, out of stock, preorder or backorder (c)
f:6:6: deleted: got "perhaps", want true or false (d)
{"currency":"EUR","old_price":0,"price":1,"product_id":"a"}
f:8:1: id: stands on line 7 already (a)
f:9:1: 6 values, but 5 columns ()
`)
	f(FeedOptions{}, "id,price,sale_price\na,2 EUR,1 USD\n", "f:2:9: sale: in USD, but another amount of the product is in EUR (a)\n")
	f(FeedOptions{}, "id,title\na,\"x\"y\nb,z\n", "f:2:5: no CSV: extraneous or missing \" in quoted-field ()\n{\"name\":\"z\",\"product_id\":\"b\"}\n")
	f(FeedOptions{}, "name,price\n", "unreadable feed: f:1:1: no column for the id, expected one of id, product_id, productid, item_id, sku, stockcode\n")
	f(FeedOptions{}, "", "unreadable feed: f:1:1: the file is empty\n")
}

func TestJSON(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := told(t, FeedOptions{}, text); got != want {
			t.Errorf("%q: got\n%swant\n%s", text, got, want)
		}
	}
	f(`{"id":"a","Title":"Mug","price":12.9,"stock":0,"deleted":true,"variants":[1]}`+"\n\n"+`{"sku":"b","availability":"sold out"}`+"\n",
		`{"deleted":true,"name":"Mug","old_price":0,"price":12.9,"product_id":"a","stock":0}`+"\n"+`{"availability":"sold out","product_id":"b"}`+"\n")
	f("{\"id\":\"a\"\n[]\n{\"id\":\"b\"}\n", "f:1:9: no JSON object ()\nf:2:1: no JSON object ()\n{\"product_id\":\"b\"}\n")
	f("[{\"id\":\"a\"},\n  {\"id\":\"b\",\"stock\":-1}, 7,\n{\"id\":\"c\"}]", "{\"product_id\":\"a\"}\nf:2:3: stock: got \"-1\", want a whole number (b)\nf:2:26: no JSON object ()\n{\"product_id\":\"c\"}\n")
	f("[{\"id\":\"a\"},\n{\"id\":", "{\"product_id\":\"a\"}\nunreadable feed: f:1:13: no JSON: unexpected EOF\n")
	f("[]", "")
	f(`[{"id":"`+strings.Repeat("x", 4<<20)+`"}]`, "unreadable feed: f:1:2: no JSON: a product of more than 1 MiB\n")
	f(`{"id":"`+strings.Repeat("x", 2<<20)+`"}`, "unreadable feed: f:1:1: a line of more than 1 MiB\n")
}

func TestGoogle(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := told(t, FeedOptions{}, text); got != want {
			t.Errorf("%q: got\n%swant\n%s", text, got, want)
		}
	}
	const head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel><title>Shop</title>` + "\n"
	f(head+`<item><g:id>a</g:id><title>Mug &amp; cup</title><link>https://s/a</link><g:image_link>https://s/a.png</g:image_link><g:price>12.90 EUR</g:price><g:sale_price>9.90 EUR</g:sale_price><g:availability>in_stock</g:availability><g:shipping><g:price>3 EUR</g:price></g:shipping></item></channel></rss>`,
		`{"availability":"in_stock","currency":"EUR","image_url":"https://s/a.png","name":"Mug \u0026 cup","old_price":12.90,"price":9.90,"product_id":"a","url":"https://s/a"}`+"\n")
	// Atom has an id and a link of its own: Google's holds.
	f(`<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><entry><id>urn:x</id><link href="https://s/b"/><g:id>b</g:id><g:price>cheap</g:price></entry><entry><g:id>c</g:id></entry></feed>`,
		"f:1:153: price: got \"cheap\", want an amount such as 12.90 EUR (b)\n{\"product_id\":\"c\"}\n")
	f(head, "unreadable feed: f:3:1: no XML: unexpected EOF\n")
	f("<html><body/></html>", "unreadable feed: f:1:21: no feed: neither <item> nor <entry> in it\n")
	// What could expand without end is refused.
	f(`<!DOCTYPE x [<!ENTITY a "aaaa">]><rss><channel><item><id>&a;</id></item></channel></rss>`, "unreadable feed: f:1:34: a declaration: a feed needs none\n")
	f(`<rss><channel><item><id>&lol;</id></item></channel></rss>`, "unreadable feed: f:1:30: no XML: invalid character entity &lol;\n")
	f("<rss>"+strings.Repeat("<a>", 20), "unreadable feed: f:1:54: nested deeper than 16\n")
	f("<rss><channel><item>"+strings.Repeat("<a>", 20), "unreadable feed: f:1:72: nested deeper than 16\n")
}

// TestFeedIdempotent reads a feed twice: what says the same has the same messageId.
func TestFeedIdempotent(t *testing.T) {
	ids := func() (out string) {
		_ = Read("f", strings.NewReader("id,price,title,brand,link\na,1,x,y,z\nb,2,x,y,z\n"), FeedOptions{}, func(e Entry) error {
			out += string(e.Event)
			return nil
		})
		return out
	}
	if a := ids(); a != ids() || a == "" {
		t.Error("two readings differ")
	}
	if err := Read("f", strings.NewReader("x"), FeedOptions{Format: "yaml"}, nil); err == nil {
		t.Error("an unknown format is read")
	}
	stop := errors.New("stop")
	if err := Read("f", strings.NewReader("id\na\n"), FeedOptions{}, func(Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

// FuzzFeed reads files that may be anything: what comes out is an event that the decoder
// takes, or a place.
func FuzzFeed(f *testing.F) {
	for _, s := range []string{
		"id,price\na,1\n", "id\tprice\na\t1 EUR\n", `{"id":"a","price":"1"}`, `[{"id":"a"},{}]`, "<rss><channel><item><id>a</id></item></channel></rss>",
		"<feed><entry><id>a</id></entry></feed>", "id\n\xff\n", "\ufeffid\n\"", `{"id":1e400,"price":1}`,
	} {
		for n := range len(Formats()) + 1 {
			f.Add(n, s)
		}
	}
	f.Fuzz(func(t *testing.T, n int, text string) {
		format := append([]string{""}, Formats()...)[uint(n)%5] //nolint:gosec // any number will do
		d := event.NewDecoder(event.Options{})
		err := Read("f", strings.NewReader(text), FeedOptions{Format: format, Full: true}, func(e Entry) error {
			if e.Bad != nil {
				if e.Bad.Line < 1 || e.Bad.Column < 1 || e.Bad.Why == "" || len(e.Bad.Raw) > maxRaw {
					t.Fatalf("%+v", e.Bad)
				}
				return nil
			}
			records := d.DecodeAll(nil, e.Event, 1)
			if len(records) != 1 || records[0].Event == nil && records[0].Reject.Code != event.TooLarge {
				t.Fatalf("%s is not taken: %+v", e.Event, records)
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrFeed) {
			t.Fatal(err)
		}
	})
}
