package sentiment

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// textMax is how many bytes of a text are read. A review has some hundred; what stands
// behind so many says nothing new, and a stranger may send megabytes.
const textMax = 16 << 10

// unitKind tells what a unit of text is.
type unitKind uint8

const (
	wordUnit  unitKind = iota // letters and digits of a script that puts blanks between words
	hanUnit                   // one Chinese character
	pointUnit                 // punctuation, a mark, an emoji
)

// unit is the smallest part of a text that models look at. A word is in lower case and
// keeps an apostrophe within, so that "don't" is one unit, as is the "n't" of texts that
// were cut by a treebank's tokeniser.
type unit struct {
	text string
	kind unitKind
}

// units cuts a text into its units. Bytes that are no UTF-8 are skipped.
func units(text string) []unit {
	text = cut(text, textMax)
	out := make([]unit, 0, len(text)/4+1)
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			out = append(out, unit{word.String(), wordUnit})
			word.Reset()
		}
	}
	runes := []rune(text)
	for i, r := range runes {
		r = fold(r)
		switch {
		case r == utf8.RuneError || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Cf, r):
			// Combining marks and joiners carry no tone of their own.
		case unicode.Is(unicode.Han, r):
			flush()
			out = append(out, unit{string(r), hanUnit})
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			word.WriteRune(r)
		case r == '\'' && word.Len() > 0 && i+1 < len(runes) && unicode.IsLetter(runes[i+1]):
			word.WriteRune(r)
		case unicode.IsSpace(r) || unicode.IsControl(r):
			flush()
		default:
			flush()
			out = append(out, unit{string(r), pointUnit})
		}
	}
	flush()
	return out
}

// cut shortens a text to at most n bytes, between two characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// fold brings a character into one form: lower case, half width, straight apostrophe.
func fold(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return r + 'a' - 'A'
	case r < utf8.RuneSelf:
		return r
	case r >= 0xff01 && r <= 0xff5e: // full-width forms of ASCII
		return fold(r - 0xfee0)
	case r == '’' || r == '‘':
		return '\''
	}
	return unicode.ToLower(r)
}

// negations turn the meaning of what follows. Words that end in n't do too.
var negations = map[string]bool{
	"not": true, "no": true, "never": true, "none": true, "nobody": true, "nothing": true, "nor": true,
	"neither": true, "nowhere": true, "without": true, "cannot": true, "hardly": true, "barely": true,
	"scarcely": true, "dont": true, "doesnt": true, "didnt": true, "isnt": true, "wasnt": true, "wont": true,
	"cant": true, "couldnt": true, "wouldnt": true, "shouldnt": true, "aint": true,
}

func negates(word string) bool { return negations[word] || strings.HasSuffix(word, "n't") }

// negated tells for each unit whether it stands behind a negation, within the same part
// of the sentence (Das and Chen 2001; Pang, Lee and Vaithyanathan 2002).
func negated(us []unit) []bool {
	out := make([]bool, len(us))
	on := false
	for i, u := range us {
		switch {
		case u.kind == pointUnit && strings.ContainsAny(u.text, ".,;:!?()"):
			on = false
		case u.kind != wordUnit:
		case negates(u.text):
			on = !on
		default:
			out[i] = on
		}
	}
	return out
}

// chinese tells whether a text is to be read character by character: it holds Chinese
// characters, and at least a quarter as many as words.
func chinese(us []unit) bool {
	han, words := 0, 0
	for _, u := range us {
		switch u.kind {
		case hanUnit:
			han++
		case wordUnit:
			words++
		case pointUnit:
		}
	}
	return han > 0 && 4*han >= words
}
