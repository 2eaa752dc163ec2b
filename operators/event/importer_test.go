package event

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

const retailRows = `InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
9001,A1,2,2011-07-01 12:00:00,1.25,501.0,United Kingdom
9001,B2,1,2011-07-01 12:01:00,10,501.0,United Kingdom
9001,POST,1,2011-07-01 12:00:00,4.50,501.0,United Kingdom
9001,A1,3,2011-07-01 12:00:00,1.25,501.0,United Kingdom
C9002,A1,-1,2011-07-01 13:00:00,1.25,501,United Kingdom
9003,B2,x,2011-07-02 09:00:00,10,502,United Kingdom
9003,B2,1,2011-07-02 09:00:00,NaN,502,United Kingdom
9003,B2,1,yesterday,10,502,United Kingdom
9003,B2,5,2011-07-02 09:00:00,9.995,502,United Kingdom
9004,"A1,1,2011-07-03 09:00:00
`

const retailCatalogue = "StockCode,Description,UnitPrice,n\nA1,RED  MUG ,1.25,9\nB2,\"BOX, LARGE\",10,3\n"

// importAll imports a file and decodes what comes out of it.
func importAll(t *testing.T, im *Importer, data string) (out []Imported, events []*Event) {
	t.Helper()
	d := NewDecoder(Options{})
	last := int64(0)
	err := im.Import("file.csv", strings.NewReader(data), func(i Imported) error {
		i.Item.Raw = bytes.Clone(i.Item.Raw)
		out = append(out, i)
		if i.Number != int64(len(out)) {
			t.Fatalf("number %d of event %d", i.Number, len(out))
		}
		if i.Bad != nil {
			return nil
		}
		r := d.DecodeAll(nil, AppendEnvelope(nil, Header{Import: true, Source: "import"}, []Item{i.Item}), received)
		if len(r) != 1 || r[0].Event == nil {
			t.Fatalf("%s: %s", i.Item.Raw, show(r))
		}
		e := r[0].Event
		if e.Flags&MessageIDNew != 0 || i.Time != 0 && i.Time != e.Time {
			t.Fatalf("event at %d: %+v", i.Time, *e)
		}
		if i.Time < last {
			t.Fatalf("time goes back to %d after %d", i.Time, last)
		}
		last = i.Time
		events = append(events, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, events
}

func newImporter(t *testing.T, format string, o ImportOptions) *Importer {
	t.Helper()
	im, err := NewImporter(format, o)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func TestImportOnlineRetail(t *testing.T) {
	im := newImporter(t, "online-retail", ImportOptions{})
	if helps, err := im.Prepare("catalogue.csv", strings.NewReader(retailCatalogue)); !helps || err != nil {
		t.Fatal(helps, err)
	}
	if helps, err := im.Prepare("tx.csv", strings.NewReader(retailRows)); helps || err != nil {
		t.Fatal(helps, err)
	}
	out, events := importAll(t, im, retailRows)
	var bad []string
	for _, i := range out {
		if i.Bad != nil {
			bad = append(bad, i.Bad.Error())
		}
	}
	wantBad := []string{
		"file.csv:7:Quantity: is no whole number other than 0",
		"file.csv:8:UnitPrice: is no number",
		"file.csv:9:InvoiceDate: is no date such as 2010-12-01 08:26:00",
		"file.csv:11:row: is no CSV: a quote is missing or stands inside a field",
	}
	if !reflect.DeepEqual(bad, wantBad) {
		t.Fatalf("bad rows %q", bad)
	}
	noon := time.Date(2011, 7, 1, 11, 0, 0, 0, time.UTC).UnixMilli() // noon of a London summer
	want := Event{
		Kind: OrderCompleted, Name: "Order Completed", MessageID: events[0].MessageID, Source: "import", UserID: "501", Time: noon, ReceivedAt: noon,
		OrderID: "9001", Currency: "GBP", Total: 1625, HasTotal: true, Flags: FromImport,
		Products: []Product{
			{ID: "A1", Name: "RED MUG", Price: 125, HasPrice: true, Quantity: 5},
			{ID: "B2", Name: "BOX, LARGE", Price: 1000, HasPrice: true, Quantity: 1},
		},
	}
	if len(events) != 3 || !reflect.DeepEqual(*events[0], want) {
		t.Fatalf("got  %+v\nwant %+v", *events[0], want)
	}
	refund := events[1]
	if refund.Kind != OrderRefunded || refund.OrderID != "C9002" || refund.Total != 125 || refund.Products[0].Quantity != 1 || refund.Products[0].Returned {
		t.Fatalf("refund %+v", *refund)
	}
	if events[2].Total != 4998 { // 5 × 9.995, rounded once
		t.Fatalf("order %+v", *events[2])
	}
	stats := im.Stats()
	if stats != (ImportStats{Rows: 10, Events: 3, BadRows: 4, Orders: 2, Refunds: 1, NotGoods: 1, Names: 2}) {
		t.Fatalf("%+v", stats)
	}
}

func TestImportIsRepeatable(t *testing.T) {
	f := func(format, data string, o ImportOptions) {
		t.Helper()
		one, _ := importAll(t, newImporter(t, format, o), data)
		two, _ := importAll(t, newImporter(t, format, o), data)
		if !reflect.DeepEqual(one, two) {
			t.Fatalf("%s: two imports differ", format)
		}
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		fmt.Fprint(w, data)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if zipped, _ := importAll(t, newImporter(t, format, o), z.String()); !reflect.DeepEqual(one, zipped) {
			t.Fatalf("%s: gzip differs", format)
		}
		ids := map[string]bool{}
		for _, i := range one {
			if i.Bad == nil {
				ids[slowValue(members(i.Item.Raw)["messageId"]).s] = true
			} else {
				ids[i.Bad.Error()] = true
			}
		}
		if len(ids) != len(one) {
			t.Fatalf("%s: %d ids of %d events", format, len(ids), len(one))
		}
	}
	f("online-retail", retailRows, ImportOptions{SynthesiseCarts: true, Seed: 3, AssumeConsent: true})
	f("rees46", reesRows, ImportOptions{SynthesiseCarts: true, Seed: 3, Address: "{user}@example.invalid"})
	f("serenade", clickRows, ImportOptions{})
	f("segment", segmentLines, ImportOptions{AssumeConsent: true})
}

const reesRows = `event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session
2019-10-01 00:00:00 UTC,view,11,1,home.kitchen.mug,acme,35.79,7,s-1
2019-10-01 00:00:00 UTC,view,11,1,home.kitchen.mug,acme,35.79,7,s-1
2019-10-01 00:01:00 UTC,cart,11,1,home.kitchen.mug,acme,35.79,7,s-1
2019-10-01 00:01:30 UTC,remove_from_cart,12,1,,,1.00,7,s-1
2019-10-01 00:02:00 UTC,purchase,11,1,home.kitchen.mug,acme,35.79,7,s-1
2019-10-01 00:02:00 UTC,purchase,11,1,home.kitchen.mug,acme,35.79,7,s-1
2019-10-01 00:02:05 UTC,view,13,1,,,2.00,8,s-2
2019-10-01 00:03:00 UTC,purchase,12,1,,,1.50,7,s-1
2019-10-01 00:30:00 UTC,purchase,12,1,,,1.50,7,s-1
2019-10-01 00:31:00 UTC,wish,12,1,,,1.50,7,s-1
2019-10-01 00:31:00 UTC,view,12,1,,,-1,7,s-1
never,view,12,1,,,1,7,s-1
2019-10-01 00:31:00 UTC,view,,1,,,1,7,s-1
2019-10-01 00:31:00 UTC,view,12,1,,,1,,s-1
`

func TestImportRees46(t *testing.T) {
	im := newImporter(t, "rees46", ImportOptions{})
	_, events := importAll(t, im, reesRows)
	var got []string
	for _, e := range events {
		line := fmt.Sprintf("%s u%s c%q o%q %d", e.Kind, e.UserID, e.CartID, e.OrderID, e.Total)
		for _, p := range e.Products {
			line += fmt.Sprintf(" %s×%d@%d %s %s", p.ID, p.Quantity, p.Price, p.Category, p.Brand)
		}
		got = append(got, line)
	}
	want := []string{
		`Product Viewed u7 c"" o"" 0 11×1@3579 home > kitchen > mug acme`,
		`Product Viewed u7 c"" o"" 0 11×1@3579 home > kitchen > mug acme`,
		`Product Added u7 c"s-1" o"" 0 11×1@3579 home > kitchen > mug acme`,
		`Product Removed u7 c"s-1" o"" 0 12×1@100  `,
		`Order Completed u7 c"" o"s-1-1569888120" 7308 11×2@3579 home > kitchen > mug acme 12×1@150  `,
		`Product Viewed u8 c"" o"" 0 13×1@200  `,
		`Order Completed u7 c"" o"s-1-1569889800" 150 12×1@150  `,
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if s := im.Stats(); s.Rows != 14 || s.BadRows != 5 || s.Orders != 2 {
		t.Fatalf("%+v", s)
	}
}

const clickRows = "SessionId\tItemId\tTime\n0\t5\t1592337765.0\n0\t4\t1592337718.0\n1\t4\t1592337700\n1\t4\t1592337700\n2\t\t1592337700\n2\t9\tx\n"

func TestImportSerenade(t *testing.T) {
	im := newImporter(t, "serenade", ImportOptions{})
	_, events := importAll(t, im, clickRows)
	got := ""
	for _, e := range events {
		got += fmt.Sprintf("%s:%s@%d ", e.AnonymousID, e.Products[0].ID, e.Time)
	}
	if want := "1:4@1592337700000 1:4@1592337700000 0:4@1592337718000 0:5@1592337765000 "; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if s := im.Stats(); s.BadRows != 2 || s.Rows != 6 {
		t.Fatalf("%+v", s)
	}
}

const segmentLines = `{"type":"track","event":"Product Viewed","userId":"u1","messageId":"m1","timestamp":"2026-01-01T00:00:00Z","properties":{"product_id":"p"}}

{"batch":[{"type":"page","userId":"u1","timestamp":"2026-01-01T00:01:00Z"},{"type":"page","messageId":"","userId":"u2","timestamp":"2026-01-01T00:01:00Z"}],"context":{"locale":"de-AT"}}
not JSON
[1]
{"type":"page","userId":"u2","timestamp":"2026-01-01T00:02:00Z"}`

func TestImportLines(t *testing.T) {
	for _, format := range []string{"segment", "ndjson"} {
		im := newImporter(t, format, ImportOptions{AssumeConsent: true, Address: "{user}@example.invalid"})
		out, events := importAll(t, im, segmentLines)
		got := ""
		for _, e := range events {
			got += fmt.Sprintf("%s %s %s %s %d;", e.Kind, e.UserID, e.Traits.Email, e.Traits.Locale, e.Flags&^FromImport)
			if e.Flags&FromImport == 0 {
				t.Fatalf("%s does not say that it was imported", e.Kind)
			}
		}
		want := fmt.Sprintf("Identify u1 u1@example.invalid  %d;Product Viewed u1   0;Page u1  de-AT 0;Identify u2 u2@example.invalid  %d;Page u2  de-AT 0;Page u2   0;", AssumedConsent, AssumedConsent)
		if got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		if s := im.Stats(); s.BadRows != 2 || s.Identifies != 2 || len(out) != 8 {
			t.Fatalf("%+v, %d", s, len(out))
		}
		if id := events[1].MessageID; id != "m1" {
			t.Fatalf("messageId %q", id)
		}
	}
}

// manyOrders is a file of n orders, one every 20 minutes, of 25 customers.
func manyOrders(n int) string {
	var b strings.Builder
	b.WriteString("InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n")
	at := time.Date(2011, 1, 3, 9, 0, 0, 0, time.UTC)
	for i := range n {
		for j := range 1 + i%4 {
			fmt.Fprintf(&b, "%d,SKU%d,%d,%s,2.50,%d,France\n", 7000+i, (i*7+j)%50, 1+j, at.Format(time.DateTime), 100+i%25)
		}
		at = at.Add(20 * time.Minute)
	}
	return b.String()
}

func TestSynthesiseCarts(t *testing.T) {
	const orders = 400
	im := newImporter(t, "online-retail", ImportOptions{SynthesiseCarts: true, Seed: 1})
	_, events := importAll(t, im, manyOrders(orders)) // importAll checks the order of time
	orderAt := map[string]*Event{}
	for _, e := range events {
		if e.Kind == OrderCompleted {
			orderAt[e.OrderID] = e
		}
	}
	left := map[string]bool{}
	added := map[string]int{}
	for _, e := range events {
		if e.Kind != ProductAdded {
			if e.Flags&Synthetic != 0 {
				t.Fatalf("a real event is called synthetic: %+v", *e)
			}
			continue
		}
		if e.Flags&Synthetic == 0 || len(e.Products) != 1 || e.Currency != "GBP" {
			t.Fatalf("%+v", *e)
		}
		id := strings.TrimPrefix(strings.TrimPrefix(e.CartID, "synth-"), "left-")
		order := orderAt[id]
		if order == nil || order.UserID != e.UserID {
			t.Fatalf("cart of no order: %+v", *e)
		}
		if strings.HasPrefix(e.CartID, "synth-left-") {
			left[id] = true
			if e.Time < order.Time+leftAfter {
				t.Fatalf("left before its time: %+v", *e)
			}
			continue
		}
		added[id]++
		if e.Time >= order.Time || e.Time < order.Time-cartLead {
			t.Fatalf("added %d ms before its order", order.Time-e.Time)
		}
	}
	for id, order := range orderAt {
		if added[id] != len(order.Products) {
			t.Fatalf("order %s has %d products, %d were added", id, len(order.Products), added[id])
		}
	}
	// A share of 0.3 of 400 has a standard deviation of 9; five of them are allowed.
	if n := len(left); n < 75 || n > 165 || int64(n) != im.Stats().Left {
		t.Fatalf("%d of %d carts left behind", n, orders)
	}
	_, other := importAll(t, newImporter(t, "online-retail", ImportOptions{SynthesiseCarts: true, Seed: 2}), manyOrders(orders))
	if reflect.DeepEqual(events, other) {
		t.Fatal("the seed changes nothing")
	}
}

func TestLargeOrdersAreImported(t *testing.T) {
	var b strings.Builder
	b.WriteString("InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n")
	for i := range 900 {
		fmt.Fprintf(&b, "1,SKU%d,1,2011-01-03 09:00:00,1,5,France\n", i)
	}
	_, events := importAll(t, newImporter(t, "online-retail", ImportOptions{}), b.String())
	if len(events) != 1 || len(events[0].Products) != 900 || events[0].Total != 90000 {
		t.Fatalf("%d events", len(events))
	}
}

func TestImportErrors(t *testing.T) {
	f := func(format string, o ImportOptions, want string) {
		t.Helper()
		if _, err := NewImporter(format, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("%s %+v: got %v, want %q", format, o, err, want)
		}
	}
	f("csv", ImportOptions{}, `unknown import format "csv", know ndjson, online-retail`)
	f("segment", ImportOptions{SynthesiseCarts: true}, "has no orders")
	f("rees46", ImportOptions{Address: "a@example.invalid"}, "must hold {user}")
	f("rees46", ImportOptions{Address: "{user}"}, "must hold {user}")

	g := func(format, data, want string) {
		t.Helper()
		err := newImporter(t, format, ImportOptions{}).Import("f", strings.NewReader(data), func(Imported) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("%s %q: got %v, want %q", format, data, err, want)
		}
	}
	const retail = "expected a header with the columns InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice, CustomerID, separated by commas, as the format online-retail has it"
	g("online-retail", "", "f:1: the file is empty, "+retail)
	g("online-retail", "\n\n", "f:1: the file is empty, "+retail)
	g("online-retail", "\"a\nb", "f:1: the header is no CSV")
	g("online-retail", "a,b\n", "f:1: no column InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice, CustomerID, "+retail)
	g("online-retail", "\ninvoice,StockCode,Quantity,InvoiceDate,Price\n", "f:2: no column CustomerID, "+retail)
	g("rees46", "event_time\n", "no column event_type, product_id")
	g("rees46", "", "f:1: the file is empty, expected a header with the columns event_time, event_type")
	g("serenade", "SessionId\tItemId\n", "no column Time, expected a header with the columns SessionId, ItemId, Time, separated by tabs")
	g("serenade", "", "f:1: the file is empty")
	// What the file may be instead.
	g("online-retail", reesRows, "(the file looks like the format rees46)")
	g("rees46", retailRows, "(the file looks like the format online-retail)")
	g("serenade", "SessionId,ItemId,Time\n", "(its columns are separated by commas)")
	g("online-retail", "InvoiceNo;StockCode;Quantity;InvoiceDate;UnitPrice;CustomerID\n", "(its columns are separated by semicolons)")
	// A file without a header may begin with a person: nothing of it is repeated.
	if err := newImporter(t, "rees46", ImportOptions{}).Import("f", strings.NewReader("ann@example.com,5\n"), nil); err == nil || strings.Contains(err.Error(), "ann") {
		t.Fatalf("%v", err)
	}
	g("segment", "\x1f\x8bnot gzip at all", "read f: ")

	stop := errors.New("stop")
	for _, c := range []struct{ format, data string }{{"segment", segmentLines}, {"serenade", clickRows}, {"rees46", reesRows}, {"online-retail", retailRows}} {
		n := 0
		err := newImporter(t, c.format, ImportOptions{}).Import("f", strings.NewReader(c.data), func(Imported) error { n++; return stop })
		if !errors.Is(err, stop) || n != 1 {
			t.Fatalf("%s: %v after %d", c.format, err, n)
		}
	}
}

// FuzzImport: no file makes an importer panic, and what it yields can be decoded.
func FuzzImport(f *testing.F) {
	for i, s := range []string{retailRows, reesRows, clickRows, segmentLines, retailCatalogue} {
		f.Add(uint8(i), s)
	}
	f.Fuzz(func(t *testing.T, n uint8, data string) {
		formats := ImportFormats()
		format := formats[int(n)%len(formats)]
		o := ImportOptions{AssumeConsent: true, Address: "{user}@example.invalid", Seed: 1, SynthesiseCarts: format == "online-retail" || format == "rees46"}
		d := NewDecoder(Options{})
		_ = newImporter(t, format, o).Import("f", strings.NewReader(data), func(i Imported) error {
			if i.Bad != nil {
				return nil
			}
			r := d.DecodeAll(nil, AppendEnvelope(nil, Header{Import: true}, []Item{i.Item}), received)
			if len(r) != 1 || r[0].Event == nil && format != "segment" && format != "ndjson" && r[0].Reject.Code != TooLarge && r[0].Reject.Code != NoIdentity {
				t.Fatalf("%s: %s", i.Item.Raw, show(r))
			}
			return nil
		})
	})
}
