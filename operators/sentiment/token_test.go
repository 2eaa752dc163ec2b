package sentiment

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestUnits(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		us := units(in)
		not := negated(us)
		var got []string
		for i, u := range us {
			if not[i] {
				u.text = "-" + u.text
			}
			got = append(got, u.text)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q: got %q, want %q", in, s, want)
		}
	}
	f("Great phone, 5 stars!", "great phone , 5 stars !")
	// Negation reaches to the end of the part, and a second one takes it back.
	f("I don't like it. Good case", "i don't -like -it . good case")
	f("not bad at all, really", "not -bad -at -all , really")
	f("never not good", "never not good")
	f("do n't buy", "do n't -buy")
	// An apostrophe of another form, one at an end, full-width letters.
	f("It wasn’t good", "it wasn't -good")
	f("'quoted'", "' quoted '")
	f("ＧＯＯＤ！", "good !")
	// Chinese, mixed with words; marks and joiners are not seen.
	f("送餐很快，iPhone 不错", "送 餐 很 快 , iphone 不 错")
	f("cafe\u0301 a\u200db", "cafe ab")
	// What is no text.
	f("", "")
	f("\xff a \xc3", "a")
	f("👍 ok", "👍 ok")
}

func TestChinese(t *testing.T) {
	f := func(in string, want bool) {
		t.Helper()
		if got := chinese(units(in)); got != want {
			t.Errorf("%q: Chinese %v, want %v", in, got, want)
		}
	}
	f("送餐很快", true)
	f("很好 ok", true)
	f("good", false)
	f("", false)
	f("the restaurant called 好 was rather a disappointment to us", false)
}

func TestDoc(t *testing.T) {
	a, b := NewDoc("Good  case"), NewDoc("good case")
	if a.Key() != b.Key() || !slices.Equal(a.bayes, b.bayes) || !slices.Equal(a.linear, b.linear) {
		t.Error("blanks and capitals make another text")
	}
	if c := NewDoc("case good"); slices.Equal(a.bayes, c.bayes) {
		t.Error("another order has the same features")
	}
	for _, d := range []*Doc{a, NewDoc("味道好"), NewDoc("好")} {
		if len(d.bayes) == 0 || len(d.linear) == 0 || !slices.IsSorted(d.bayes) || !slices.IsSorted(d.linear) {
			t.Errorf("%q: features %v and %v", d.Text(), d.bayes, d.linear)
		}
	}
	// A text is cut between characters.
	long := NewDoc(strings.Repeat("好", textMax))
	if len(long.Text()) > textMax || !utf8.ValidString(long.Text()) {
		t.Errorf("cut to %d bytes, valid %v", len(long.Text()), utf8.ValidString(long.Text()))
	}
}

// FuzzNewDoc asks that no text makes the reader panic or gives unordered features.
func FuzzNewDoc(f *testing.F) {
	for _, s := range []string{"", "don't", "送餐很快", "\xff", "a\u0301'b", strings.Repeat("!", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := NewDoc(text)
		for _, features := range [][]uint32{d.bayes, d.linear, NewLine(text).features} {
			for i := range features[min(1, len(features)):] {
				if features[i] >= features[i+1] {
					t.Fatal("features are not ascending")
				}
			}
		}
		if len(d.units) != len(d.pairs) {
			t.Fatalf("%d units and %d pairs", len(d.units), len(d.pairs))
		}
	})
}
