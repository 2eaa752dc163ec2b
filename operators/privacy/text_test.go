package privacy

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMaskText(t *testing.T) {
	f := func(text, want string, names ...string) {
		t.Helper()
		if got := MaskText(text, names...); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	f("", "")
	f("Great mug, 5 stars, bought 12", "Great mug, 5 stars, bought 12")
	f("write to ann@shop.example, or https://a.example/x www.b.example", "write to … or … …")
	f("call 0664/123-45-67!", "call …!")
	f("order A-10042 came", "order A-… came")
	f("I am Ann Berg. Cannot wait, ANN", "I am … … Cannot wait, …", "ann", "Berg.")
	f("我是王小明，很好", "我是…，很好", "王小明")
	f("x marks the spot", "x marks the spot", "x")
	f("４１１１２ full width", "… full width")
}

func FuzzMaskText(f *testing.F) {
	f.Add("call 0664/123-45-67 Ann", "Ann")
	f.Add("\xff１２", "\xff\xff")
	f.Add("İstanbul ı", "i̇")
	f.Fuzz(func(t *testing.T, text, name string) {
		if len(text) > 4096 || len(name) > 64 {
			return
		}
		got := MaskText(text, name)
		if utf8.ValidString(text) && !utf8.ValidString(got) || len(got) > 3*len(text)+3 {
			t.Fatalf("%q became %q", text, got)
		}
		run := 0
		for _, r := range got {
			if run++; r < '0' || r > '9' {
				run = 0
			}
			if run > digitsKept {
				t.Fatalf("%q still holds a number: %q", text, got)
			}
		}
		if strings.Contains(got, "@") && name == "" {
			t.Fatalf("%q still holds an address: %q", text, got)
		}
	})
}
