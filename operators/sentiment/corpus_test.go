package sentiment

import (
	"math"
	"slices"
	"testing"
)

// TestShipped: the model that is shipped was made of the corpus beside it.
func TestShipped(t *testing.T) {
	examples, hash, err := Corpus()
	if err != nil {
		t.Fatal(err)
	}
	m, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	c := m.Card()
	if c.Corpus != hash || c.Examples != len(examples) || c.Kind != ShippedOptions().Kind || c.Seed != ShippedOptions().Seed {
		t.Fatalf("the shipped model is %+v; the corpus is %s of %d texts: make it again as docs/accuracy.md says", c, hash, len(examples))
	}
	o := ShippedOptions()
	o.Corpus = hash
	again, err := Train(t.Context(), examples, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range examples {
		if a, b := m.Logit(e.Doc), again.Logit(e.Doc); math.Abs(a-b) > 1e-3 {
			t.Fatalf("%q: the shipped model says %v, one made again %v", e.Doc.Text(), a, b)
		}
	}
}

// TestShippedJudges texts that do not stand in the corpus.
func TestShippedJudges(t *testing.T) {
	m, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	f := func(positive bool, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if p := m.Probability(NewDoc(text)); (p > .5) != positive {
				t.Errorf("%q: positive with %.2f", text, p)
			}
		}
	}
	f(true, "Great kettle, arrived quickly and works perfectly, thank you!", "I love this jacket, it fits really well.", "很好吃，送得很快，下次还会点", "质量不错，很满意")
	f(false, "The kettle broke after two days and nobody answers my mails. I want my money back.", "Not worth it, very disappointed.",
		"太难吃了，等了一个小时，再也不点了", "质量很差，要求退款")
}

func TestSpell(t *testing.T) {
	f := func(pattern string, n int, want ...string) {
		t.Helper()
		if got := spell(pattern, n); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", pattern, got, want)
		}
	}
	f("plain", 3, "plain")
	f("{a|b} c", 3, "a c", "b c")
	f("x {a|b}{1|2}", 9, "x a1", "x b1", "x a2", "x b2")
	if got := spell("{a|b|c|d} {1|2|3|4} {x|y|z}", 6); len(slices.Compact(slices.Sorted(slices.Values(got)))) != 6 {
		t.Errorf("got %q", got)
	}
}
