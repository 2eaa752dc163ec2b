package event

import (
	"fmt"
	"reflect"
	"testing"
)

// TestListing looks at what the catalogue may say of a product.
func TestListing(t *testing.T) {
	f := func(properties string, want Listing, flags Flags) {
		t.Helper()
		for _, slow := range []bool{false, true} {
			d := NewDecoder(Options{})
			d.slowOnly = slow
			records := d.DecodeAll(nil, []byte(fmt.Sprintf(`{"type":"track","event":"Product Upserted","messageId":"m","properties":%s}`, properties)), received)
			if len(records) != 1 || records[0].Event == nil {
				t.Fatalf("%s: got %s", properties, show(records))
			}
			e := records[0].Event
			if e.Kind != ProductUpserted || e.UserID != "" || e.Products[0].ID != "a" || !reflect.DeepEqual(*e.Listing, want) || e.Flags != flags {
				t.Errorf("%s: got %+v %+v, want %+v", properties, *e, *e.Listing, want)
			}
		}
	}
	f(`{"product_id":"a"}`, Listing{}, 0)
	f(`{"sku":"a","stock":3}`, Listing{Stock: 3, HasLeft: true}, 0)
	f(`{"sku":"a","inventory":"17"}`, Listing{Stock: 17, HasLeft: true}, 0)
	f(`{"sku":"a","stock":-2}`, Listing{HasLeft: true}, 0)
	f(`{"sku":"a","stock":1e12}`, Listing{Stock: stockMax, HasLeft: true}, 0)
	f(`{"sku":"a","stock":true}`, Listing{Stock: StockUnknown, HasLeft: true}, 0)
	f(`{"sku":"a","stock":false}`, Listing{HasLeft: true}, 0)
	f(`{"sku":"a","stock":null}`, Listing{}, 0)
	f(`{"sku":"a","availability":"in stock"}`, Listing{Stock: StockUnknown, HasLeft: true}, 0)
	f(`{"sku":"a","availability":"https://schema.org/OutOfStock"}`, Listing{HasLeft: true}, 0)
	// Of two words that disagree the one that sells nothing holds.
	f(`{"sku":"a","availability":"preorder","stock":4}`, Listing{HasLeft: true}, 0)
	f(`{"sku":"a","availability":"in_stock","stock":4}`, Listing{Stock: 4, HasLeft: true}, 0)
	f(`{"sku":"a","availability":"somewhere"}`, Listing{}, 0)
	f(`{"sku":"a","price":9,"old_price":"12.50","currency":"EUR"}`, Listing{Was: 1250, HasWas: true}, 0)
	f(`{"sku":"a","compare_at_price":12,"currency":"EUR"}`, Listing{Was: 1200, HasWas: true}, 0)
	f(`{"sku":"a","old_price":null}`, Listing{HasWas: true}, 0)
	f(`{"sku":"a","deleted":true}`, Listing{Deleted: true}, 0)
	f(`{"sku":"a","deleted":"no"}`, Listing{}, 0)
	// What cannot be read is left out.
	f(`{"sku":"a","stock":2.5}`, Listing{}, NumberBad)
	f(`{"sku":"a","stock":"many","old_price":"cheap"}`, Listing{}, NumberBad)
}

// TestListingRejected looks at what is no word of the catalogue.
func TestListingRejected(t *testing.T) {
	f := rejected(t)
	f(`{"type":"track","event":"Product Upserted","properties":{"name":"x"}}`, BadProduct)
	f(`{"type":"track","event":"product_updated"}`, BadProduct)
	f(`{"mr":1,"kind":"events","receivedAt":1772446800300,"public":true,"items":[{"e":{"type":"track","event":"Product Upserted","properties":{"sku":"a"}}}]}`, NotAllowed)
	f(`{"mr":1,"kind":"offer"}`, BadEnvelope)
	f(`{"mr":1,"kind":"offer","offer":{"item":{"ID":"a"},"to":[]}}`, BadEnvelope)
	f(`{"mr":1,"kind":"offer","offer":{"item":{"ID":"a"},"to":[{"seen":1}]}}`, BadEnvelope)
	f(`{"mr":1,"kind":"offer","offer":{"item":{},"to":[{"person":"p"}]}}`, BadEnvelope)
}

// TestOffer writes an offer and reads it.
func TestOffer(t *testing.T) {
	const offer = `{"item":{"ID":"a","Price":900},"currency":"EUR","price":900,"in_stock":true,"to":[{"person":"p","seen":1000,"seen_at":5,"drop":7}]}`
	records := NewDecoder(Options{}).DecodeAll(nil, AppendOffer(nil, []byte(offer)), received)
	want := &Offer{
		Item: CartItem{ID: "a", Price: 900}, Currency: "EUR", Price: 900, InStock: true,
		To: []OfferTo{{Person: "p", Seen: 1000, SeenAt: 5, Drop: 7}},
	}
	if len(records) != 1 || !reflect.DeepEqual(records[0].Offer, want) {
		t.Fatalf("got %s", show(records))
	}
	if !Fell(1000, 900, 0.1) || Fell(1000, 901, 0.1) || Fell(0, 0, 0) {
		t.Error("a tenth less is not told from less than that")
	}
}
