package content

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCopied(t *testing.T) {
	f := func(line, product, want string) {
		t.Helper()
		var values [slotCount]string
		values[Product], values[Price], values[FirstName] = product, "¥49.00", "Ada"
		if got := copied(line, values); got != want {
			t.Fatalf("%q with %q: got %q, want %q", line, product, got, want)
		}
	}
	// A name of Latin letters in a Chinese line stands apart from its characters.
	f("还差一步，{product}就是你的了", "The Art of Fermenting at Home", "还差一步，The Art of Fermenting at Home 就是你的了")
	f("你的新{product}想要个伴", "Radio DAB+", "你的新 Radio DAB+ 想要个伴")
	f("{product}是最后一件", "Loafers 42 ½", "Loafers 42 ½ 是最后一件")
	// At an end of a line, beside a mark, and beside an amount it needs no space.
	f("{product}", "Tent", "Tent")
	f("{first_name}，看看{product}吧", "Tent", "Ada，看看 Tent 吧")
	f("{product}：{price}，去看看", "Tent", "Tent：¥49.00，去看看")
	f("现在{price}就能买到{product}。", "Tent", "现在¥49.00就能买到 Tent。")
	// Only the end that is Latin gets one; quotation marks are both scripts' own.
	f("看看{product}吧", "USB-C线", "看看 USB-C线吧")
	f("看看{product}吧", "“Två”", "看看“Två”吧")
	f("{product}到货了", "护手霜", "护手霜到货了")
	// English lines hold their own spaces, and Chinese names need no others.
	f("Still looking at {product}?", "护手霜", "Still looking at 护手霜?")
	// A value that looks like a slot stays what it is.
	f("{product}，{price}", "{price}", "{price}，¥49.00")
}

// TestCopiedIsACopy: whatever the value is, it stands in the line as it was, and takes no
// more room than was reserved for it.
func TestCopiedIsACopy(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		value := rapid.StringN(1, 20, 60).Draw(r, "value")
		lang := rapid.SampledFrom([]string{"en", "zh"}).Draw(r, "language")
		line := map[string]string{"en": "About {product} again", "zh": "关于{product}的事"}[lang]
		var values [slotCount]string
		values[Product] = value
		got := copied(line, values)
		if !strings.Contains(got, value) {
			r.Fatalf("%q does not hold %q", got, value)
		}
		rest := utf8.RuneCountInString(strings.Replace(line, "{product}", "", 1))
		if n := utf8.RuneCountInString(got); n > rest+slotRunes(Product, value, lang) {
			r.Fatalf("%q has %d runes, %d and %d were reckoned", got, n, rest, slotRunes(Product, value, lang))
		}
	})
}

// TestChineseNamesStandApart writes whole mails about goods with English names, to Chinese
// readers: no line joins their letters to its own, and none names a category in English.
func TestChineseNamesStandApart(t *testing.T) {
	w, err := New(Options{SubjectWait: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds() {
		for i := range fewer(6) {
			r := request()
			r.DecisionID, r.Kind, r.Language = "apart "+kind+string(rune('a'+i)), kind, "zh-CN"
			r.Items = r.Items[:1]
			r.Items[0].Name, r.Items[0].Category = "The Art of Fermenting at Home", []string{"Books", "Bicycle parts"}[i%2]
			r.Category = ""
			d, err := w.Write(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{d.Subject, d.Preheader, d.Opening, d.Sentence, d.Action} {
				if joined(text) || strings.Contains(text, "Bicycle") {
					t.Errorf("%s: %q", kind, text)
				}
			}
		}
	}
}

// joined reports whether a Latin letter stands right beside a Chinese character.
func joined(text string) bool {
	rs := []rune(text)
	latin := func(r rune) bool { return r < utf8.RuneSelf && wordRune(r) }
	for i := 1; i < len(rs); i++ {
		if latin(rs[i-1]) && rs[i] >= 0x4e00 && rs[i] < 0xa000 || latin(rs[i]) && rs[i-1] >= 0x4e00 && rs[i-1] < 0xa000 {
			return true
		}
	}
	return false
}

func TestColons(t *testing.T) {
	f := func(line, subject string, want bool) {
		t.Helper()
		if got := colons(line, subject); got != want {
			t.Fatalf("%q as %q: got %v", line, subject, got)
		}
	}
	f("Price drop: {product}", "Price drop: Bread: a cookbook", true)
	f("{product}：{attribute}。", "Bread: a cookbook：经久耐用。", true)
	f("{product} is back", "Bread: a cookbook is back", false)
	f("Price drop: {product}", "Price drop: Bread", false)
}
