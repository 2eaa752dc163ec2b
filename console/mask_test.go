package console

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestMaskID(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := maskID(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	f("", "")
	f("u1", "…")
	f("u_123", "u…")
	f("u_123456", "u_…")
	f("0123456789abcdef", "0123…")
	f("ünïcödé", "ün…")
}

func TestMaskAddress(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := maskAddress(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	f("ana@example.com", "a•••@•••.com")
	f("Ana Duarte <ana@mail.example.com>", "a•••@•••.com")
	f(`"Duarte, Ana" <ana@example.com>`, "a•••@•••.com")
	f("root@localhost", "r•••@•••")
	f("no address", "n•••")
	f("", "")
	f("a@b@c.d", "a•••@•••.d")
	f("öl@münchen.example", "ö•••@•••.example")
}

func TestVeil(t *testing.T) {
	m := Mail{To: "Ana Duarte <ana.d@example.com>", Personal: []string{"u_123", "O'Brien", "x"},
		Headers: []Header{{"List-Unsubscribe", "<https://shop.example/u?t=abc&x=1>, <mailto:u@shop.example>"}}}
	v := veilOf(m)
	f := func(in, want string) {
		t.Helper()
		if got := v.text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	f("Ana, your mug", "•••, your mug")
	f("ANA'S mug", "•••'S mug")
	f("Analogue and banana stay", "Analogue and banana stay") // words that only hold the name
	f("for Ana Duarte", "for •••")
	f("id u_123 but u_1234", "id ••• but u_1234")
	f("x marks nothing", "x marks nothing") // one letter is no name
	f("write to someone@else.example", "write to s•••@•••.example")
	f("https://shop.example/u?t=abc&x=1", "#•••")
	f("亲爱的Ana您好", "亲爱的•••您好") // no spaces between words
	f("nothing here", "nothing here")

	g := func(in, want string) {
		t.Helper()
		if got := v.markup(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	g(`<p class="ana">Ana</p>`, `<p class="ana">•••</p>`)
	g(`<b>O&#39;Brien</b> O'Brien`, `<b>•••</b> •••`)
	g(`<a href="https://shop.example/u?t=abc&amp;x=1">out</a>`, `<a href="#•••">out</a>`)
	g(`<a href="mailto:ana.d@example.com">`, `<a href="mailto:a•••@•••.com">`)
	g(`cut off <p`, `cut off <p`)
	g(`Ana <`, `••• <`)

	// A chinese name is found inside a run of characters.
	if got := veilOf(Mail{Personal: []string{"陈宝"}}).text("您好陈宝先生"); got != "您好•••先生" {
		t.Errorf("%q", got)
	}
}

func TestShape(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := shape(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	f(`{"type":"track","event":42}`, `{"type":"track","event":99}`)
	f(`{"email":"ana@example.com","n":-1.5e3,"ok":true,"no":null}`, `{"email":"xxx@xxxxxxx.xxx","n":-9.9x9,"ok":true,"no":null}`)
	f(`{"ana@example.com":1}`, `{"xxx@xxxxxxx.xxx":9}`) // an address is no key
	f(`{"Ana Duarte":1}`, `{"xxx xxxxxx":9}`)           // nor is a name
	f(`{"name":"Ana`, `{"name":"xxx`)                   // cut off
	f(`{"name":"A\"na"}`, `{"name":"x\"xx"}`)
	f("{\"a\" : \"\xff\xfeb\"}", "{\"a\" : \"\xff\xfex\"}")
	f(`Ana 陈`, `xxx x`)
	f(``, ``)
}

// TestShapeHides: whatever stands in a value, and wherever the event is cut, the
// value is not shown.
func TestShapeHides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[A-Za-z0-9@. ]{4,20}[0-9]`).Draw(t, "secret")
		key := rapid.SampledFrom([]string{"userId", "email", "name", "x y", "", "99"}).Draw(t, "key")
		doc := `{"type":"track","` + key + `":"` + secret + `","properties":{"total":19.9}}`
		doc = doc[:rapid.IntRange(0, len(doc)).Draw(t, "cut")]
		if rapid.Bool().Draw(t, "noise") {
			doc = rapid.String().Draw(t, "before") + doc
		}
		got := shape(doc)
		if strings.Contains(got, secret) && strings.ContainsAny(secret, "ABCDEFGHIJKLMNOPQRSTUVWYZabcdefghijklmnopqrstuvwyz012345678") {
			t.Fatalf("%q shows %q: %q", doc, secret, got)
		}
		if utf8.RuneCountInString(got) != utf8.RuneCountInString(doc) {
			t.Fatalf("the shape of %q has another length: %q", doc, got)
		}
	})
}

// FuzzMask masks anything: no panic, and the address of the reader is never left.
func FuzzMask(f *testing.F) {
	for _, s := range []string{"", "Ana", "<", "<<<>>>", "ana@example.com", "%40", "\xff", evil, `"\`, "<a href='ana@example.com"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, body string) {
		const addr = "reader-77@example.com"
		v := veilOf(Mail{To: addr, Personal: []string{name}, Headers: []Header{{"List-Unsubscribe", name}}})
		for _, out := range []string{v.text(body + " " + addr + " " + body), v.markup(body + " " + addr + " " + body)} {
			if strings.Contains(out, addr) {
				t.Fatalf("%q is shown in %q", addr, out)
			}
		}
		_ = shape(body)
		for _, r := range clean(body) + printable([]byte(body)) {
			if r == 0x202e || r == 0 || r == '\r' {
				t.Fatalf("%q holds %x", body, r)
			}
		}
		if n := len(clean(body)); n > 3*lineBytesMax+8 {
			t.Fatalf("a line of %d bytes", n)
		}
	})
}
