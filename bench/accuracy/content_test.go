package accuracy

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"millrace/operators/content"
)

// TestContentTrigram computes a small case by hand, and holds that probabilities sum to
// one after any two words.
func TestContentTrigram(t *testing.T) {
	lines := [][]string{{"a", "b"}, {"a", "b"}, {"a", "c"}, {"d", "b"}}
	m := NewContentTrigram(lines, [][]string{{"e"}})
	words := []string{"a", "b", "c", "d", "e", lineEnd}
	for _, one := range append(words, lineBegin, "unseen") {
		for _, two := range append(words, lineBegin) {
			var sum float64
			for _, w := range words {
				sum += m.Prob([3]string{one, two, w})
			}
			if math.Abs(sum-1) > 1e-9 {
				t.Fatalf("after %s %s the probabilities sum to %v", one, two, sum)
			}
		}
	}
	// Trigrams: <s><s>a 3, <s><s>d 1, <s>ab 2, <s>ac 1, <s>db 1, ab</s> 2, ac</s> 1, db</s> 1:
	// five once, two twice, so D3 = 5/9. Bigrams by words before them: <s>a 1, <s>d 1, ab 1,
	// ac 1, db 1, b</s> 2, c</s> 1: D2 = 6/8. Words: a 1, d 1, b 2, c 1, </s> 2: D1 = 3/7.
	p1 := (2-3./7)/7 + 3./7*5/7*1/6
	p2 := (1-.75)/2 + .75*2/2*p1
	want := (2-5./9)/3 + 5./9*2/3*p2
	if got := m.Prob([3]string{lineBegin, "a", "b"}); math.Abs(got-want) > 1e-12 {
		t.Errorf("P(b | <s> a) is %v, want %v", got, want)
	}
	if seen, other := m.Loss(lines), m.Loss([][]string{{"e", "e"}}); !(seen < other) {
		t.Errorf("loss %v on what was learnt, %v on what was not", seen, other)
	}
}

func TestContentDiversity(t *testing.T) {
	words := func(s string) []string { return contentWords(s) }
	if got := strings.Join(words("Don't {product}，还在 here: now"), "|"); got != "don't|{product}|，|还|在|here|:|now" {
		t.Errorf("words %s", got)
	}
	if got := contentDistinct([][]string{words("a b c"), words("a b d")}, 2); got != 3./4 {
		t.Errorf("distinct-2 %v", got)
	}
	same := [][]string{words("a b c d e"), words("a b c d e"), words("a b c d e")}
	if got := contentSelfBLEU(same, 10, 1); got != 1 {
		t.Errorf("self-BLEU of one line %v", got)
	}
	if got := contentSelfBLEU([][]string{words("a b c d"), words("e f g h")}, 10, 1); got != 0 {
		t.Errorf("self-BLEU of strangers %v", got)
	}
	// Papineni et al. with one added above single words: precisions 3/4, 3/4, 2/3, 1/2.
	got := contentBLEU(words("a b c x"), [][]string{words("a b c d")})
	if want := math.Pow(3./4*3/4*2/3*1/2, .25); math.Abs(got-want) > 1e-12 {
		t.Errorf("BLEU %v, want %v", got, want)
	}
}

// TestContentJudge: the judge catches what it is there to catch.
func TestContentJudge(t *testing.T) {
	c := ContentContexts(1, 1)[0]
	c.Request.FirstName, c.Request.Items, c.Request.Language = "Ada", nil, "en"
	c.Request.Items = append(c.Request.Items, ContentContexts(40, 2)[1].Request.Items...)
	f := func(subject string, right bool) {
		t.Helper()
		if got := contentFactsRight(&c, subject); got != right {
			t.Errorf("%q right: %v", subject, got)
		}
	}
	f("Your cart is here, Ada", true)
	f("Your cart is here", true)
	f("Your cart is here, Zoë", false)
	f("Now €12", false)
	f("Now 20% less", false)
	f("Your {product}", false)
	f("Ada, hello Ada", false)
	f("Trail Mug is back", false)
	f("", false)
	for word, want := range map[string]bool{"cart": true, "car": false, "是": false, "等你": true} {
		if got := saysWord("Your cart 等你", word); got != want {
			t.Errorf("%s: %v", word, got)
		}
	}
}

// TestEvaluateContent holds the shipped model to the bars of docs/accuracy.md, on fewer
// contexts.
func TestEvaluateContent(t *testing.T) {
	got, err := EvaluateContent(t.Context(), ContentOptions{Contexts: 300, Show: 5})
	if err != nil {
		t.Fatal(err)
	}
	if got.Slots != 1 || got.Banned+got.Long+got.Urgent+got.Unmet != 0 || got.Fallbacks >= 0.02 {
		t.Errorf("%+v", got)
	}
	if got.Perplexity >= got.TrigramPerplexity || got.KLGain < 0.3 || got.Repeats > 3 {
		t.Errorf("perplexity %.3f against %.3f, gain %.3f, %d repeats", got.Perplexity, got.TrigramPerplexity, got.KLGain, got.Repeats)
	}
	if len(got.Mails) != 5 || got.Mails[0].Subject == "" || got.Mails[0].Opening == "" {
		t.Errorf("%+v", got.Mails)
	}
	again, err := EvaluateContent(t.Context(), ContentOptions{Contexts: 300, Show: 5})
	if err != nil || fmt.Sprint(again.Mails) != fmt.Sprint(got.Mails) || again.KL != got.KL {
		t.Errorf("another run gave another answer: %v", err)
	}
	if _, err := EvaluateContent(t.Context(), ContentOptions{Model: []byte("none")}); err == nil {
		t.Error("a file that is no model was measured")
	}
	if file, err := content.ShippedModel(); err != nil || content.CheckModel(file[:1000]) == nil {
		t.Errorf("half a model passes: %v", err)
	}
}

// TestContentGuard: the guard is judged by the labels of a file, wherever it stands.
func TestContentGuard(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "spam.tsv", "ham\tsee you at the station at eight\nspam\tClaim your free prize now!!! Call the hotline to collect your cash bonus\nham\tyour parcel arrives on Tuesday\nspam\tCongratulations, once in a lifetime\nno tab\n")
	for _, at := range []string{path, dir} {
		got, err := EvaluateContentGuard(at)
		if err != nil {
			t.Fatal(err)
		}
		if got.Texts != 4 || got.Spam != 2 || got.By[0].Recall != 0.5 || got.By[1].Recall < 0.5 || got.By[2].Recall != 1 || got.By[2].False != 0 {
			t.Errorf("%+v", got)
		}
	}
	if _, err := EvaluateContentGuard(write(t, dir, "one.tsv", "ham\thello\n")); err == nil {
		t.Error("messages of one kind were accepted")
	}
	if _, err := EvaluateContentGuard(t.TempDir()); err == nil {
		t.Error("an empty folder was accepted")
	}
}
