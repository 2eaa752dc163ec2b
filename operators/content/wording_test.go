package content

import (
	"strings"
	"testing"
)

func readWordingTest(t testing.TB) *wording {
	t.Helper()
	w, err := shippedWording()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWording(t *testing.T) {
	w := readWordingTest(t)
	f := func(text, want string) {
		t.Helper()
		if got, margin := w.judge(text); got != want {
			t.Fatalf("%q: got %q %.2f, want %q", text, got, margin, want)
		}
	}
	// None of these stands in what was learnt.
	f("You won a free prize! Call 09011112222 to claim your cash now", "spam")
	f("URGENT: claim your bonus reward today, text WIN to 80888", "spam")
	f("您中奖了，请点击链接领取奖金！！！", "spam")
	f("Shut up, you are such a pathetic idiot", "toxic")
	f("你这个蠢货，真是废物", "toxic")
	f("Your cart is still here, Ada", "")
	f("Will you be at the station at 8?", "")
	f("购物车里的铸铁锅，只要¥128.00", "")
	f("", "")
	f(strings.Repeat("{product} ", 1000), "")
}

// TestWordingLeavesFineAlone judges each text by a model that has not seen it: of a
// thousand fine ones a few are refused at most, and of the others most are.
func TestWordingLeavesFineAlone(t *testing.T) {
	texts, err := wordingTexts()
	if err != nil {
		t.Fatal(err)
	}
	const folds = 5
	var found [wordingClasses]int
	for fold := range folds {
		var learnt [wordingClasses][]string
		for class, list := range texts {
			for i, text := range list {
				if i%folds != fold {
					learnt[class] = append(learnt[class], text)
				}
			}
		}
		w := trainWording(learnt)
		for class, list := range texts {
			for i, text := range list {
				if i%folds != fold {
					continue
				}
				if reason, likely := w.judge(text); reason != "" {
					if found[class]++; class == fineWording {
						t.Logf("%q reads like %s, %.2f", text, reason, likely)
					}
				}
			}
		}
	}
	for class, n := range found {
		t.Logf("%s: %d of %d", wordingNames()[class], n, len(texts[class]))
	}
	if found[fineWording] > 5 || found[spamWording]*5 < len(texts[spamWording]) || found[toxicWording] == 0 {
		t.Error("too many fine texts, or too few others: each kind of spam stands there about once, so one that is left out is hard to know")
	}
	w := readWordingTest(t) // and none of the corpus by the model in use
	for _, text := range texts[fineWording] {
		if reason, likely := w.judge(text); reason != "" {
			t.Errorf("%q reads like %s, %.2f", text, reason, likely)
		}
	}
}

func FuzzWording(f *testing.F) {
	f.Add("WIN £1000 now!!! www.example.com")
	f.Add("你好 \xff{product}")
	w := readWordingTest(f)
	f.Fuzz(func(t *testing.T, text string) {
		a, x := w.judge(text)
		if b, y := w.judge(text); a != b || x != y {
			t.Fatalf("%q: %q and %q", text, a, b)
		}
	})
}

func BenchmarkWording(b *testing.B) {
	w := readWordingTest(b)
	b.ReportAllocs()
	for b.Loop() {
		w.judge("Your garden finds are still in your cart, whenever it suits you")
	}
}
