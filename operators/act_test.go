package operators

import (
	"bytes"
	"strings"
	"testing"

	"millrace/operators/content"
	"millrace/operators/event"
	"millrace/operators/mail"
)

// TestTarget: the button leads to the cart, to a product only where the shop names no
// page for carts or there is none.
func TestTarget(t *testing.T) {
	items := []event.CartItem{{ID: "a"}, {ID: "b", URL: "https://shop.example/b"}}
	f := func(page string, d event.Decision, want string) {
		t.Helper()
		o := SendOptions{}
		if page != "" {
			o.CartURL = func(id string) string { return page + id }
		}
		if got := NewMailer(nil, nil, o).target(&d); got != want {
			t.Fatalf("%+v: got %q, want %q", d, got, want)
		}
	}
	f("https://shop.example/cart/", event.Decision{Kind: "cart", CartID: "c1", Items: items}, "https://shop.example/cart/c1")
	f("https://shop.example/cart/", event.Decision{Kind: "cart", Items: items}, "https://shop.example/cart/") // the shop's only cart
	f("https://shop.example/cart/", event.Decision{Kind: "post-purchase", OrderID: "o1", Items: items}, "https://shop.example/b")
	f("", event.Decision{Kind: "cart", CartID: "c1", Items: items}, "https://shop.example/b")
	f("https://shop.example/cart/", event.Decision{Kind: "checkout", CartID: "c1", Items: items}, "https://shop.example/cart/c1")
	f("https://shop.example/cart/", event.Decision{Kind: "browse", Items: items}, "https://shop.example/b")
	f("https://shop.example/cart/", event.Decision{Kind: "welcome"}, "") // the shop
	f("", event.Decision{CartID: "c1", Items: items[:1]}, "")
}

// TestTrack: links carry a token of ours and lead where they led, or, where no token
// takes an address, stay as they are.
func TestTrack(t *testing.T) {
	signer, err := mail.NewSigner(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	d := event.Decision{ID: "d1", Person: "p1"}
	var req content.Request
	m := NewMailer(nil, nil, SendOptions{Signer: signer, LinkURL: "https://mail.example/x/"})
	if err := m.track(&req, &d); err != nil || req.Link != nil || req.Pixel != "" {
		t.Fatalf("not asked for: %q, %v", req.Pixel, err)
	}
	m.o.TrackClicks, m.o.TrackOpens = true, true
	if err := m.track(&req, &d); err != nil {
		t.Fatal(err)
	}
	const page = "https://shop.example/p?a=1&b=2#c"
	link := req.Link(page)
	token, ok := strings.CutPrefix(link, "https://mail.example/x/c/")
	if hit, err := signer.CheckClick(token); !ok || err != nil || hit != (mail.Track{Person: "p1", Decision: "d1", URL: page}) {
		t.Fatalf("%s: %+v, %v", link, hit, err)
	}
	token, ok = strings.CutPrefix(req.Pixel, "https://mail.example/x/o/")
	if hit, err := signer.CheckOpen(strings.TrimSuffix(token, ".gif")); !ok || err != nil || hit.Decision != "d1" || hit.Person != "p1" {
		t.Fatalf("%s: %+v, %v", req.Pixel, hit, err)
	}
	for _, odd := range []string{"https://shop.example/é", "https://shop.example/" + strings.Repeat("x", 1000)} {
		if got := req.Link(odd); got != odd {
			t.Fatalf("%s became %s", odd, got)
		}
	}
}
