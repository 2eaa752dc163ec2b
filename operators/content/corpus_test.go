package content

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func corpus(t testing.TB) []Line {
	t.Helper()
	lines, err := Corpus()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func vocab(t testing.TB, lines []Line) *vocabulary {
	t.Helper()
	v, err := newVocabulary(lines)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCorpus(t *testing.T) {
	lines := corpus(t)
	v := vocab(t, lines)
	texts := map[string]bool{}
	type cell struct{ lang, kind, category string }
	cells := map[cell]int{}
	written, most := 0, 0
	for _, l := range lines {
		if texts[l.Part.String()+l.Language+l.Kind+l.Text] {
			t.Errorf("%q stands in the corpus twice", l.Text)
		}
		texts[l.Part.String()+l.Language+l.Kind+l.Text] = true
		if l.Part == Subject {
			cells[cell{l.Language, l.Kind, l.Category}]++
		}
		if !l.Grammar {
			written++
		}
		steps := len(v.words.tokenize(l.Language, l.Text))
		most = max(most, steps)
		if n := utf8.RuneCountInString(l.Text); n > l.Part.runes() || l.Part == Subject && n > 70 || steps > l.Part.steps()-2 {
			t.Errorf("%q is %d runes and %d tokens long", l.Text, n, steps)
		}
	}
	for _, lang := range languages() {
		for _, k := range Kinds() {
			for _, c := range append(Categories(), "") {
				if cells[cell{lang, k, c}] < 3 {
					t.Errorf("%s %s %q has %d lines", lang, k, c, cells[cell{lang, k, c}])
				}
			}
		}
	}
	if len(lines) < 600 || written < 600 {
		t.Errorf("%d lines, %d of them written out", len(lines), written)
	}
	t.Logf("%d lines, %d written out, %d tokens, longest %d", len(lines), written, len(v.tokens), most)
}

// TestTokenizeRendersBack cuts every line and puts it together again.
func TestTokenizeRendersBack(t *testing.T) {
	lines := corpus(t)
	v := vocab(t, lines)
	for _, l := range lines {
		ids, err := v.encode(l)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.line(ids[1 : len(ids)-1]); got != l.Text {
			t.Errorf("%q came back as %q", l.Text, got)
		}
		for _, id := range ids[1 : len(ids)-1] {
			if l.Language == "en" && v.han[id] || l.Language == "zh" && v.latin[id] {
				t.Errorf("%q holds %q of the other language", l.Text, v.tokens[id])
			}
		}
	}
}

func TestTokenize(t *testing.T) {
	w, err := readWords()
	if err != nil {
		t.Fatal(err)
	}
	f := func(lang, line, want string) {
		t.Helper()
		if got := strings.Join(w.tokenize(lang, line), "|"); got != want {
			t.Fatalf("%q: got %s, want %s", line, got, want)
		}
	}
	f("en", "Your cart, {first_name}. It's here", "▁your|▁cart|,|▁{first_name}|.|▁it's|▁here")
	f("en", "{product} for {price}", "▁{product}|▁for|▁{price}")
	f("zh", "{product}还在\uff0c等你", "{product}|还在|\uff0c|等你")
	f("en", "", "")
}

func TestParseCorpusRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := parseCorpus("en", Subject, text, lexicon{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("%q: got %v, want %q", text, err, want)
		}
	}
	f("Hello", "before the first")
	f("[cart]\nOnly 5 left", "may not stand")
	f("[cart]\nFor $ only", "may not stand")
	f("[cart]\nHi {name}", "may not stand")
	f("[cart]\n{product} and {product}", "twice")
	f("[party]\nHello", "want a kind")
	f("[cart Cars]\nHello", "neither a category nor a tag")
	f("[cart *]\nHello <things>", "the lexicon has no")
	f("[lexicon Cars]\nthings: a", "unknown category")
	f("[lexicon Toys]\nthings", "is not name")
}

func TestFallbackCorpus(t *testing.T) {
	fb, err := readFallback()
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range languages() {
		for _, k := range append(Kinds(), otherKind) {
			lines := fb[k+" "+lang]
			if len(lines) == 0 || strings.Contains(lines[len(lines)-1], "{") {
				t.Errorf("%s %s: %q does not end in a line without slots", k, lang, lines)
			}
			if slices.ContainsFunc(lines, func(s string) bool { return checkLine(s) != nil }) {
				t.Errorf("%s %s: %q", k, lang, lines)
			}
		}
	}
}

func TestWordsAreUsed(t *testing.T) {
	v := vocab(t, corpus(t))
	for w := range v.words.known {
		if _, ok := v.ids[w]; !ok {
			t.Errorf("%s is in no line", w)
		}
	}
}
