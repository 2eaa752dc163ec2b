package content

import (
	"testing"

	"millrace/operators/lstm"
)

// TestStumbles: lines that the network wrote, and their like.
func TestStumbles(t *testing.T) {
	g := newGrammar()
	f := func(line string, bad bool) {
		t.Helper()
		if got := g.stumbles(line); (got != "") != bad {
			t.Fatalf("%q: got %q", line, got)
		}
	}
	for _, line := range []string{
		"Something that go with your order", "Your garden wish now cost less", "Your price now cost less", "Electronics goes, gifts is back",
		"Gifts is back in stock", "The toy box finds is back in stock", "How is your reading picks?", "A outfit caught your eye",
		"An last step for your wardrobe picks", "A best things deserve a second look", "A sequel ideas to go with your order",
		"Those wish look good", "Your wish are back", "Another gift ideas", "Is your gifts here?", "Your favourites has arrived",
		"Don't left something in your cart", "Still searching for??",
		"The fashion finds you missed is back in stock", "Share a review of your toys?",
	} {
		f(line, true)
	}
	for _, line := range []string{
		"Something that goes with your order", "Something to go with your order", "Your garden wish now costs less", "The price of beauty finds has dropped",
		"Your toys are waiting in your cart", "A few ideas to go with your order", "One last step for your gift ideas", "A closer look at gift ideas",
		"We miss you, and so do our beauty picks", "Almost yours: something for your toy box", "How is your {product}?", "Your {category} now costs less",
		"{product} is back in stock", "Your {product} are here", "What do you think of your picks?", "Those kitchen pieces look good in your cart",
		"An outfit for you", "A one of a kind gift", "Things that go well together", "A gift of things that go together", "", "a", "that go", "Don't leave your cart all alone", "to you",
		"The {product} you missed is back in stock", "The finds you missed are back", "Share a review of your toys",
	} {
		f(line, false)
	}
	// Nothing that people wrote is refused: the corpus, and the written subjects.
	for _, l := range corpus(t) {
		if l.Language == "en" && l.Part == Subject {
			f(l.Text, false)
		}
	}
	fb, err := readFallback()
	if err != nil {
		t.Fatal(err)
	}
	for _, lines := range fb {
		for _, line := range lines {
			f(line, false)
		}
	}
}

// TestNobodyStumbles: the writer takes another sample, and still has one each time.
func TestNobodyStumbles(t *testing.T) {
	file, err := ShippedModel()
	if err != nil {
		t.Fatal(err)
	}
	m, err := lstm.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	samples, err := sampleAll(m, ControlOptions{N: 600, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	g, english := newGrammar(), 0
	for _, s := range samples {
		if s.line == "" {
			t.Errorf("%+v: no line survived", s.cond)
		}
		if s.cond.language != "en" {
			continue
		}
		english++
		if why := g.stumbles(s.line); why != "" {
			t.Errorf("%q: %s", s.line, why)
		}
	}
	if english < 200 {
		t.Errorf("%d lines are English", english)
	}
}

func FuzzStumbles(f *testing.F) {
	g := newGrammar()
	f.Add("Something that go with your order")
	f.Add("a , an. that\x00é")
	f.Fuzz(func(_ *testing.T, line string) { g.stumbles(line) })
}
