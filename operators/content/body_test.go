package content

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/operators/event"
)

// TestBody reads the mail as a customer does.
func TestBody(t *testing.T) {
	w := writer(t, Options{})
	r := request()
	r.Note = "made from synthetic carts"
	d := write(t, w, r)
	for _, part := range []string{d.HTML, d.Text} {
		for _, want := range []string{"Millrace Goods", "Your cart is still here", "Hello Ada,", "Cast Iron Pan", "£49.90",
			"Linen Tea Towel", "£12.45", "£74.80", d.Action, d.Opening, d.Sentence, "https://shop.example/p1", "Oak Chopping Board", "Herb Garden Kit",
			"Unsubscribe", "because you left items in your cart", "made from synthetic carts"} {
			if !strings.Contains(part, want) {
				t.Errorf("%q is missing in:\n%s", want, part)
			}
		}
	}
	if !strings.Contains(d.HTML, "Bread &amp; Butter") || !strings.Contains(d.Text, "Bread & Butter") {
		t.Error("the ampersand of a name")
	}
	if !strings.Contains(d.HTML, `href="https://shop.example/u?t=abc&amp;x=1"`) || !strings.Contains(d.Text, "https://shop.example/u?t=abc&x=1") {
		t.Error("the link to unsubscribe")
	}
	if strings.Contains(d.HTML, "<img") {
		t.Error("a picture was made up")
	}
	wellFormed(t, d.HTML)
	dump(t, "cart-en.html", d.HTML)
}

// dump keeps a rendered mail for the eye when MILLRACE_DUMP names a directory.
func dump(t *testing.T, name, html string) {
	t.Helper()
	if dir := os.Getenv("MILLRACE_DUMP"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(html), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// wellFormed parses the HTML strictly, as XHTML: what a lenient reader would repair, in
// one way or another, is a fault here. It counts elements and @attributes.
func wellFormed(t interface{ Fatalf(string, ...any) }, page string) map[string]int {
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict = true
	d.Entity = xml.HTMLEntity
	count := map[string]int{}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
		if e, ok := tok.(xml.StartElement); ok {
			count[e.Name.Local]++
			for _, a := range e.Attr {
				count["@"+a.Name.Local]++
			}
		}
	}
}

func TestBodyOfEveryKind(t *testing.T) {
	w := writer(t, Options{})
	for _, lang := range []string{"en-US", "zh-CN"} {
		for _, kind := range append(Kinds(), "birthday", "general") {
			r := request()
			r.Kind, r.Language = kind, lang
			if kind == "win-back" || kind == "welcome" || kind == "birthday" {
				r.Items = nil
			}
			if lang == "zh-CN" {
				r = chinese(r)
			}
			d := write(t, w, r)
			wellFormed(t, d.HTML)
			for _, bad := range []string{"{name}", "{shop}", "{n}", "{{", "{%", "<nil>", "map["} {
				if strings.Contains(d.HTML+d.Text, bad) {
					t.Errorf("%s %s holds %q", lang, kind, bad)
				}
			}
			if len(d.HTML) > htmlBytes {
				t.Errorf("%s %s has %d bytes", lang, kind, len(d.HTML))
			}
			dump(t, kind+"-"+lang[:2]+".html", d.HTML)
		}
	}
}

func chinese(r Request) Request {
	r.FirstName, r.Currency, r.ShopName = "小雅", "CNY", "磨坊小店"
	names := []string{"铸铁平底锅", "亚麻茶巾"}
	for i := range r.Items {
		r.Items[i].Name = names[i]
	}
	for i, n := range []string{"橡木砧板", "香草种植套装", "面包与黄油"} {
		r.Recommended[i].Name = n
	}
	return r
}

func TestBodyLimits(t *testing.T) {
	w := writer(t, Options{})
	r := request()
	for range 500 {
		r.Items = append(r.Items, event.CartItem{Name: strings.Repeat("<", 5000), URL: "https://x.example/" + strings.Repeat("&", 3000), Price: 1, Quantity: 3})
	}
	r.Recommended = append(r.Recommended, r.Recommended...)
	r.Note = strings.Repeat("\"", 10000)
	d := write(t, w, r)
	if len(d.HTML) > htmlBytes {
		t.Errorf("%d bytes", len(d.HTML))
	}
	if !strings.Contains(d.Text, "and 496 more in the shop") {
		t.Errorf("no word of the rest:\n%s", d.Text)
	}
	// Nothing to show: no empty tables, no button without an address.
	d = write(t, w, Request{DecisionID: "x", Kind: "welcome", UnsubscribeURL: "https://s.example/u"})
	if strings.Contains(d.HTML, `class="btn"`) || strings.Contains(d.HTML, "<h2") {
		t.Error("an empty mail shows empty parts")
	}
	wellFormed(t, d.HTML)
}

// TestLinks: every address of the shop in the HTML part may be replaced, that to
// unsubscribe at and the text part never are.
func TestLinks(t *testing.T) {
	r := request()
	r.CartURL = "https://shop.example/cart?id=1&x=2"
	r.Recommended[0].URL = "https://shop.example/r1"
	asked := map[string]bool{}
	r.Link = func(address string) string {
		asked[address] = true
		if address == "https://shop.example/p2" {
			return "javascript:alert(1)" // not an address: no link at all
		}
		return "https://mail.example/c/" + strings.Repeat("t", len(asked))
	}
	r.Pixel = "https://mail.example/o/x.gif"
	d := write(t, writer(t, Options{}), r)
	for _, want := range []string{"https://shop.example/", "https://shop.example/cart?id=1&x=2", "https://shop.example/p1", "https://shop.example/p2", "https://shop.example/r1"} {
		if !asked[want] {
			t.Errorf("%s was not asked about", want)
		}
	}
	if len(asked) != 5 || strings.Contains(d.HTML, "https://shop.example/p1") || strings.Contains(d.HTML, "javascript") {
		t.Errorf("asked %v", asked)
	}
	if !strings.Contains(d.HTML, `href="https://shop.example/u?t=abc&amp;x=1"`) || strings.Contains(d.Text, "mail.example") || !strings.Contains(d.Text, "https://shop.example/p1") {
		t.Errorf("%s\n%s", d.HTML, d.Text)
	}
	if n := wellFormed(t, d.HTML)["img"]; n != 1 || !strings.Contains(d.HTML, `<img src="https://mail.example/o/x.gif" width="1" height="1" alt=""`) {
		t.Errorf("%d pictures", n)
	}
	r.Pixel = "data:image/gif,x"
	if d := write(t, writer(t, Options{}), r); strings.Contains(d.HTML, "<img") {
		t.Error("a picture that is no address")
	}
}

// TestGlued: no line of a phone begins with a lone unit or number.
func TestGlued(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := glued(in); got != want {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
	}
	f("Lavender Bath Salt 500 g", "Lavender Bath Salt 500\u00a0g")
	f("Mineral Sunscreen SPF 50", "Mineral Sunscreen SPF\u00a050")
	f("Cast Iron Pan", "Cast Iron Pan")
	f("Set of 12 glasses", "Set of 12 glasses")
	f("Mug", "Mug")
	f(" g", " g")
	f("", "")
}

// TestNamesAreNotTorn: a cell may not be narrower than the words of a name, so no style
// may allow a break inside one that would have fitted on a line of its own.
func TestNamesAreNotTorn(t *testing.T) {
	d := write(t, writer(t, Options{}), request())
	for _, bad := range []string{"anywhere", "break-all", "word-break"} {
		if strings.Contains(d.HTML, bad) {
			t.Errorf("the style %q tears words", bad)
		}
	}
	// On a phone the price stands below the name and leaves its line to it.
	phone, _, _ := strings.Cut(d.HTML, "@media (prefers-color-scheme")
	for _, want := range []string{".name { display: block", ".sum { display: block"} {
		if !strings.Contains(phone, want) {
			t.Errorf("phones miss %q", want)
		}
	}
}

func TestClean(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := clean(in, 20); got != want {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
	}
	f("  Ada \t Lovelace ", "Ada Lovelace")
	f("a\r\nBcc: x@example.com", "a Bcc: x@example.com")
	// Overrides of direction, and characters nobody sees.
	f("a\u202eb\u2066c\u200bd\ufeffe\u00adf", "abcdef")
	f("a\xffb", "ab")
	f(strings.Repeat("ab ", 20), "ab ab ab ab ab ab ab")
	f("\x00\x1b[31m", "[31m")
	f("", "")
}

func TestName(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := name(in); got != want {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
	}
	f("Ada", "Ada")
	f("Jean-Luc", "Jean-Luc")
	f("O’Neil", "O’Neil")
	f("小明", "小明")
	f("José", "José")
	f("{{ 7 }}", "")
	f("<script>", "")
	f("win $$$ at www.example.com", "")
	f("www.spam.com", "")
	f("12345", "")
	f("Anna http://x", "")
	f("A name that goes on for much too long", "")
	f("\u202e", "")
}

func TestWebURL(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := webURL(in); got != want {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
	}
	f("https://shop.example/a?b=c&d=é", "https://shop.example/a?b=c&d=é")
	f(" http://shop.example ", "http://shop.example")
	f("javascript:alert(1)", "")
	f("data:text/html,x", "")
	f("//shop.example", "")
	f("/a", "")
	f("https://user:pass@shop.example", "")
	f("https://shop.example/\r\nX: y", "")
	f("https://"+strings.Repeat("a", 3000), "")
}

func TestFormatMoney(t *testing.T) {
	f := func(amount event.Money, currency, locale, want string) {
		t.Helper()
		if got := FormatMoney(amount, currency, locale); got != want {
			t.Fatalf("%d %s for %s: got %q, want %q", amount, currency, locale, got, want)
		}
	}
	f(1299, "USD", "en-US", "$12.99")
	f(1299, "USD", "en-GB", "US$12.99")
	f(123456789, "EUR", "en-IE", "€1,234,567.89")
	f(1299, "EUR", "de-DE", "12,99\u00a0€")
	f(129900, "EUR", "de-AT", "€\u00a01.299,00")
	f(129900, "EUR", "nl-NL", "€\u00a01.299,00")
	f(129900, "BRL", "pt-BR", "BRL\u00a01.299,00")
	f(129900, "EUR", "fr-FR", "1\u00a0299,00\u00a0€")
	f(129990, "CHF", "de-CH", "CHF\u00a01’299.90")
	f(1299, "JPY", "ja-JP", "¥1,299")
	f(5, "KWD", "en", "KWD\u00a00.005")
	f(1299, "CNY", "zh-CN", "¥12.99")
	f(1299, "CNY", "en", "CN¥12.99")
	f(-1299, "GBP", "en-GB", "-£12.99")
	f(0, "GBP", "en-GB", "£0.00")
	f(7, "", "en", "0.07")
	f(7, "not a currency", "en", "0.07")
	f(-9223372036854775808, "JPY", "ja", "-¥9,223,372,036,854,775,808")
}

func TestCanonicalCategory(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := CanonicalCategory(in); got != want {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
	}
	f("Kitchen > Mugs", "Kitchen")
	f("electronics.smartphone", "Electronics")
	f("Home & Kitchen", "Kitchen")
	f("apparel.shoes", "Fashion")
	f("Books", "Books")
	f("Toys & Games", "Toys")
	f("户外", "Outdoor")
	f("Bicycle parts", "")
	f("", "")
}

func TestBanned(t *testing.T) {
	b := newBanned([]string{"Free", "act  now", "免费", "100%"})
	f := func(text, want string) {
		t.Helper()
		if got := b.find(text); got != want {
			t.Fatalf("%q: got %q, want %q", text, got, want)
		}
	}
	f("It is FREE", "free")
	f("free", "free")
	f("carefree and freedom", "")
	f("freedom is free", "free")
	f("act now!", "act now")
	f("act  now", "act now")
	f("we act nowhere", "")
	f("全场免费送", "免费")
	f("f r e e", "")
	// Full-width letters are letters.
	f("ＦＲＥＥ", "free")
	f("100%", "100%")
}

// FuzzWrite gives the writer hostile text in every field that comes from outside. The
// mail must keep its shape: as many elements as with harmless text.
func FuzzWrite(f *testing.F) {
	for _, s := range []string{"{{ subject }}", "{% for i in (1..9999999) %}", "<script>alert(1)</script>", `" onmouseover="x`, "a\r\nBcc: b@example.com",
		"\u202eevil", "{product}", "'><img src=x>", "&lt;b&gt;", "\xff\xfe", "", "￥５", "]]>", "<!--", "\x00"} {
		f.Add(s, "https://shop.example/"+s, "cart", "en-US", int64(1299))
	}
	f.Add("Ada", "javascript:alert(1)", "win-back", "zh", int64(-1))
	w := writer(f, Options{})
	f.Fuzz(func(t *testing.T, text, link, kind, lang string, price int64) {
		build := func(text, link string) Request {
			it := event.CartItem{ID: "i", Name: text, Category: text, URL: link, ImageURL: link, Price: event.Money(price), Quantity: 2}
			return Request{DecisionID: text, Kind: kind, Category: text, Language: lang, FirstName: text, Value: event.Money(price), Currency: text,
				Items: []event.CartItem{it}, Recommended: []event.CartItem{it}, ShopName: text, ShopURL: link, CartURL: link,
				UnsubscribeURL: "https://shop.example/u", Note: text}
		}
		d, err := w.Write(t.Context(), build(text, link))
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(d.Subject, "\r\n\x00") || len(d.Subject) > 4*subjectRunesMost {
			t.Fatalf("subject %q", d.Subject)
		}
		count := wellFormed(t, d.HTML)
		if count["script"] != 0 || count["@onmouseover"] != 0 || count["@onerror"] != 0 {
			t.Fatalf("text became markup: %v", count)
		}
		for _, name := range []string{"style", "html", "body", "title", "h1"} {
			if count[name] != 1 && name != "style" || count[name] < 1 {
				t.Fatalf("%d elements %q", count[name], name)
			}
		}
		if clean(d.Text, 1<<20) == "" || strings.ContainsAny(d.Text, "\x00\u202e\r") {
			t.Fatalf("text part %q", d.Text)
		}
	})
}
