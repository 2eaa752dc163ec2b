package content

import (
	"errors"
	"strings"
	"testing"
)

func own(t testing.TB, text string) Own {
	t.Helper()
	o, err := ParseOwn("lines.txt", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestParseOwn(t *testing.T) {
	o := own(t, `# ours
[en subject cart Kitchen playful]
{{ customer.first_name }}, your {{ product.title }} is lonely | 1000 | 80
*|FNAME|*, dinner waits | 1000 | 20
[zh action cart]
去购物车
`)
	if len(o.Refused) > 0 || len(o.Lines) != 3 || o.Judged != 2 {
		t.Fatalf("%+v", o)
	}
	first := o.Lines[0]
	if first.Text != "{first_name}, your {product} is lonely" || first.Category != "Kitchen" || first.Tag != "playful" || first.Part != Subject {
		t.Errorf("%+v", first)
	}
	if o.Lines[1].Text != "{first_name}, dinner waits" || o.Lines[2].Language != "zh" || o.Lines[2].Part != Action {
		t.Errorf("%+v", o.Lines)
	}
	// Twice the clicks count for about twice as much, and the mean for 1.
	if a, b := first.Weight, o.Lines[1].Weight; a < 1.5 || a > 1.7 || b > 0.5 || b < 0.25 || o.Lines[2].Weight != 0 {
		t.Errorf("weights %g, %g", a, b)
	}
	again := own(t, o.Text)
	if len(again.Refused) > 0 || len(again.Lines) != 3 || again.Lines[0] != first || again.Text != o.Text {
		t.Errorf("what was kept reads back as %+v", again)
	}
}

func TestParseOwnRefuses(t *testing.T) {
	f := func(head, line, want string) {
		t.Helper()
		o := own(t, head+"\n"+line+"\n")
		if len(o.Lines) != 0 || len(o.Refused) == 0 {
			t.Fatalf("%s %q was taken", head, line)
		}
		if last := o.Refused[len(o.Refused)-1].String(); !strings.HasPrefix(last, "lines.txt:2: ") || !strings.Contains(last, want) {
			t.Fatalf("%s %q: got %q, want %q", head, line, last, want)
		}
	}
	f("", "Hello", "no head")
	f("[fr subject cart]", "Bonjour", "no head")
	f("[en subject]", "Hello", "no head")
	f("[en subject cart *]", "Hello", "no head")
	f("[en subject cart]", "Only 5 left", "may not stand")
	f("[en subject cart]", "Save €", "may not stand")
	f("[en subject cart]", "Hello {surname}", "may not stand")
	f("[en subject cart]", "{product} and {product}", "twice")
	f("[en subject cart]", "Act now", "no mail may")
	f("[en subject cart]", "The last one", "under the tag last")
	f("[en subject cart]", "你好", "not in the language")
	f("[zh subject cart]", "Hello", "not in the language")
	f("[en action cart]", "Take me to my cart at once please", "characters, at most")
	f("[en subject cart]", "Hello | 5", "want how often")
	f("[en subject cart]", "Hello | 5 | 6", "no more clicked")
	f("[en subject cart]", "Hello | x | 6", "whole numbers")
	o := own(t, "[en subject cart]\nHello\nHello\n")
	if len(o.Lines) != 1 || len(o.Refused) != 1 || o.Refused[0].Where != "lines.txt:3" {
		t.Errorf("%+v", o)
	}
	if _, err := ParseOwn("x", strings.NewReader(strings.Repeat("x", ownBytesMost+1))); !errors.Is(err, ErrOwnTooBig) {
		t.Errorf("a file too big: %v", err)
	}
}

// TestTrainOwn teaches a toy the lines of a shop, and lets it write them: they are known,
// and hold where they were said to.
func TestTrainOwn(t *testing.T) {
	o := TrainOptions{Steps: 60, Hidden: 24, Embed: 8, Seed: 1, Own: "[en subject cart]\nYour trolley is patiently parked\n"}
	lines, err := corpusWith(o.Own)
	if err != nil {
		t.Fatal(err)
	}
	few := lines[len(lines)-1:]
	if few[0].Text != "Your trolley is patiently parked" {
		t.Fatalf("%+v", few)
	}
	m, _, err := train(t.Context(), o, few, nil)
	if m == nil {
		t.Fatal(err)
	}
	v, err := readVocabulary(m)
	if err != nil {
		t.Fatal(err)
	}
	if v.known == nil {
		t.Fatal("the corpus of the model is not known")
	}
	ids, err := v.encode(few[0])
	if err != nil {
		t.Fatal(err)
	}
	at := func(kind string) bool {
		c := condition{kind: kind, language: "en"}
		p := c.place()
		return v.attests(&p, ids[1:len(ids)-1])
	}
	if !at("cart") || at("welcome") {
		t.Errorf("attested for carts %v, for welcomes %v", at("cart"), at("welcome"))
	}
}

func FuzzParseOwn(f *testing.F) {
	f.Add("[en subject cart Kitchen playful]\n{name}, hello | 10 | 2\n# x\n[zh opening browse]\n你看过的。\n")
	f.Add("[en action cart]\n*|FNAME|*\n[x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseOwn("f", strings.NewReader(text))
		if err != nil {
			return
		}
		again, err := ParseOwn("f", strings.NewReader(o.Text))
		if err != nil || len(again.Refused) > 0 || len(again.Lines) != len(o.Lines) {
			t.Fatalf("%q: %d lines kept as %q, read back as %d, %v %v", text, len(o.Lines), o.Text, len(again.Lines), again.Refused, err)
		}
		for _, l := range o.Lines {
			if checkLine(l.Text) != nil {
				t.Fatalf("%q was taken", l.Text)
			}
		}
	})
}
