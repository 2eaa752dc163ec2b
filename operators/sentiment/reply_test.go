package sentiment

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestReply(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := Reply(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	f("Thanks, lovely!", "Thanks, lovely!")
	f("It broke. On 3 May 2026 at 9:00, Shop <hello@shop.example> wrote: > A great mug", "It broke.")
	f("I depend on it and never wrote: nothing", "I depend on it and never wrote: nothing")
	f("Awful.\n-----Original Message-----\nFrom: Shop", "Awful.")
	f("坏了，退款！ Shop 于2026年5月3日写道： 很好", "坏了，退款")
	f("太差 发件人: Shop", "太差")
	f("> quoted only", "> quoted only")
	f("", "")
}

// FuzzJudge feeds the shipped model what nobody would write: it answers a probability, for
// a bounded number of features, and never panics.
func FuzzJudge(f *testing.F) {
	m, err := Shipped()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		"", "\x00\xff\xfe", "good", "坏", "good 坏 ガ한 😀👩‍👩‍👧", strings.Repeat("a", 100_000), strings.Repeat("好", 40_000),
		strings.Repeat("a\u0301", 9_000), strings.Repeat("don't ", 9_000), strings.Repeat("\u200d", 30_000), "<script>alert(1)</script>", "٠١٢ مرحبا",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := NewDoc(Reply(text))
		p := m.Probability(d)
		if !(p > 0 && p < 1) || Score(p) < -ScoreMax || Score(p) > ScoreMax {
			t.Fatalf("a probability of %v", p)
		}
		if utf8.ValidString(text) && !utf8.ValidString(d.Text()) {
			t.Fatal("the text was cut within a character")
		}
		if len(d.units) > textMax || len(d.linear) > 8*textMax || len(d.bayes) > 4*textMax { // what bounds the time
			t.Fatalf("%d bytes gave %d units, %d and %d features", len(text), len(d.units), len(d.linear), len(d.bayes))
		}
	})
}
