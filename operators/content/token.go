package content

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"millrace/operators/lstm"
)

// tokenizerVersion changes when the same line gives other tokens.
const tokenizerVersion = 3

// Slot is a place in a subject that is filled by an exact copy from the event.
type Slot uint8

// The slots. Their order stands in the condition: append, never reorder.
const (
	FirstName Slot = iota
	Product
	Price
	Category
	Shop
	Was       // the price before it fell
	Stock     // how many are left, where the shop says so
	Attribute // what the shop's knowledge says of the product
	slotCount
)

// String returns the slot as it stands in a line, such as "{product}".
func (s Slot) String() string {
	switch s {
	case FirstName:
		return "{first_name}"
	case Product:
		return "{product}"
	case Price:
		return "{price}"
	case Category:
		return "{category}"
	case Shop:
		return "{shop}"
	case Was:
		return "{was}"
	case Stock:
		return "{stock}"
	case Attribute:
		return "{attribute}"
	default:
		return "{unknown}"
	}
}

// words are the Chinese words that are one token. They matter when a corpus is cut,
// not when a model writes.
type words struct {
	known map[string]bool
	most  int // bytes of the longest
}

// readWords reads the list of Chinese words.
func readWords() (words, error) {
	b, err := corpusFiles.ReadFile("corpus/words-zh.txt")
	if err != nil {
		return words{}, fmt.Errorf("content: read words: %w", err)
	}
	secs, err := sections(string(b))
	if err != nil {
		return words{}, fmt.Errorf("content: words: %w", err)
	}
	w := words{known: map[string]bool{}}
	for _, s := range secs {
		for _, line := range s.lines {
			for word := range strings.FieldsSeq(line) {
				w.known[word] = true
				w.most = max(w.most, len(word))
			}
		}
	}
	return w, nil
}

// longest returns the longest known word that the line begins with, or "".
func (w words) longest(line string) string {
	for n := min(w.most, len(line)); n > 0; n-- {
		if w.known[line[:n]] {
			return line[:n]
		}
	}
	return ""
}

// space stands in a token for the space before it.
const space = "▁"

// The first two tokens of every vocabulary.
const (
	tokenBegin int32 = iota
	tokenEnd
)

// tokenize cuts a line into words, Chinese words, punctuation marks and slots. A word that begins a sentence loses its capital, which render gives back.
func (w words) tokenize(lang, line string) []string {
	var out []string
	gap := lang == "en" // words of English always have a space before them, the first one too
	begin := true
	for len(line) > 0 {
		word := w.next(line)
		line = line[len(word):]
		if word == " " {
			gap = true
			continue
		}
		r := []rune(word)[0]
		if begin && unicode.IsUpper(r) && word != "I" {
			word = string(unicode.ToLower(r)) + word[len(string(r)):]
		}
		begin = ends(word)
		if gap {
			word = space + word
		}
		gap = false
		out = append(out, word)
	}
	return out
}

func ends(word string) bool { return word == "." || word == "?" || word == "!" }

// next returns the text of the first token of a line that is not empty.
func (w words) next(line string) string {
	for s := range slotCount {
		if strings.HasPrefix(line, s.String()) {
			return s.String()
		}
	}
	if word := w.longest(line); word != "" {
		return word
	}
	for i, r := range line {
		if wordRune(r) || i > 0 && (r == '\'' || r == '-') {
			continue
		}
		if i == 0 {
			return string(r)
		}
		return line[:i]
	}
	return line
}

// wordRune reports whether a rune is part of a word of more than one character.
func wordRune(r rune) bool { return unicode.IsLetter(r) && !unicode.Is(unicode.Han, r) }

// vocabulary is the list of tokens of a model. It does not change.
type vocabulary struct {
	tokens []string
	ids    map[string]int32
	slot   []int8   // slot of each token, or -1
	runes  []int    // rendered length of each token, space included; 0 for slots
	han    []bool   // may stand in a Chinese line only
	latin  []bool   // may stand in an English line only
	words  words    // how lines are cut
	final  []bool   // may end a line; nil where a model does not say
	known  attested // nil where the corpus of a model is not the build's
}

// newVocabulary lists the tokens of the corpus, in the order of their first use.
func newVocabulary(lines []Line) (*vocabulary, error) {
	w, err := readWords()
	if err != nil {
		return nil, err
	}
	tokens := []string{"<s>", "</s>"}
	seen := map[string]bool{}
	for _, l := range lines {
		for _, t := range w.tokenize(l.Language, l.Text) {
			if !seen[t] {
				seen[t] = true
				tokens = append(tokens, t)
			}
		}
	}
	v := index(tokens)
	v.words = w
	return v, nil
}

func index(tokens []string) *vocabulary {
	v := &vocabulary{
		tokens: tokens, ids: make(map[string]int32, len(tokens)),
		slot: make([]int8, len(tokens)), runes: make([]int, len(tokens)),
		han: make([]bool, len(tokens)), latin: make([]bool, len(tokens)),
	}
	for i, t := range tokens {
		v.ids[t] = int32(i)
		v.slot[i] = -1
		text, spaced := strings.CutPrefix(t, space)
		if spaced {
			v.runes[i] = 1
		}
		for s := range slotCount {
			if text == s.String() {
				v.slot[i] = int8(s)
			}
		}
		if v.slot[i] < 0 {
			v.runes[i] += len([]rune(text))
		}
		v.latin[i] = spaced || strings.ContainsAny(text, ".,:;?!'-")
		v.han[i] = !v.latin[i]
	}
	return v
}

// encode returns the tokens of a line between the marks of begin and end.
func (v *vocabulary) encode(l Line) ([]int32, error) {
	out := []int32{tokenBegin}
	for _, t := range v.words.tokenize(l.Language, l.Text) {
		id, ok := v.ids[t]
		if !ok {
			return nil, fmt.Errorf("content: token %q of line %q is not in the vocabulary", t, l.Text)
		}
		out = append(out, id)
	}
	return append(out, tokenEnd), nil
}

// render writes tokens as text, slots by their values, sentences with a capital. A
// slot's value is never changed.
func (v *vocabulary) render(ids []int32, value func(Slot) string) string {
	var b strings.Builder
	begin := true
	for _, id := range ids {
		text, spaced := strings.CutPrefix(v.tokens[id], space)
		if spaced && b.Len() > 0 {
			b.WriteByte(' ')
		}
		switch {
		case v.slot[id] >= 0:
			b.WriteString(value(Slot(v.slot[id])))
		case begin:
			b.WriteString(capital(text))
		default:
			b.WriteString(text)
		}
		begin = ends(text)
	}
	return b.String()
}

// line renders the tokens with the slots' names.
func (v *vocabulary) line(ids []int32) string { return v.render(ids, Slot.String) }

func (v *vocabulary) marshal() (string, error) {
	b, err := json.Marshal(v.tokens)
	return string(b), err
}

// finished reports whether a line may end behind ids: with a token that ends a line of the
// corpus, which "your", "for" and a comma never do.
func (v *vocabulary) finished(ids []int32) bool {
	return v.final == nil || len(ids) > 0 && v.final[ids[len(ids)-1]]
}

// word returns the tokens of a word, or of a few, within a line.
func (v *vocabulary) word(lang, text string) ([]int32, bool) {
	var out []int32
	for _, t := range v.words.tokenize(lang, strings.ToLower(text)) {
		id, ok := v.ids[t]
		if !ok {
			return nil, false
		}
		out = append(out, id)
	}
	return out, len(out) > 0 && len(out) <= tokensMax
}

// risky reports whether a token could be the end of a banned phrase: whether its last
// character is that of one.
func (v *vocabulary) risky(id int32, b banned) bool {
	if v.slot[id] >= 0 {
		return true
	}
	last, _ := utf8.DecodeLastRuneInString(v.tokens[id])
	return strings.ContainsRune(b.lasts, last)
}

// finals lists the tokens that end a line of the corpus.
func (v *vocabulary) finals(lines []Line) (string, error) {
	ends := make([]bool, len(v.tokens))
	for _, l := range lines {
		ids, err := v.encode(l)
		if err != nil {
			return "", err
		}
		ends[ids[len(ids)-2]] = true
	}
	var out []int
	for i, ok := range ends {
		if ok {
			out = append(out, i)
		}
	}
	b, err := json.Marshal(out)
	return string(b), err
}

// readFinals reads the list of finals of a model; an older model has none.
func (v *vocabulary) readFinals(text string) error {
	if text == "" {
		return nil
	}
	var ids []int
	if err := json.Unmarshal([]byte(text), &ids); err != nil {
		return fmt.Errorf("content: read finals of model: %w", err)
	}
	v.final = make([]bool, len(v.tokens))
	for _, id := range ids {
		if id < 2 || id >= len(v.tokens) {
			return fmt.Errorf("content: final token %d of a vocabulary of %d", id, len(v.tokens))
		}
		v.final[id] = true
	}
	return nil
}

// readVocabulary takes the vocabulary out of a model and refuses one that could write
// what only slots may: a digit, a currency, a control character.
func readVocabulary(m *lstm.Model) (*vocabulary, error) {
	var tokens []string
	if err := json.Unmarshal([]byte(m.Meta(metaVocabulary)), &tokens); err != nil {
		return nil, fmt.Errorf("content: read vocabulary of model: %w", err)
	}
	if len(tokens) != m.Config().Vocab || len(tokens) < 3 || !slices.Equal(tokens[:2], []string{"<s>", "</s>"}) {
		return nil, fmt.Errorf("content: vocabulary of %d tokens does not fit a model of %d", len(tokens), m.Config().Vocab)
	}
	v := index(tokens)
	for i, t := range tokens[2:] {
		text := strings.TrimPrefix(t, space)
		if text == "" || int(v.ids[t]) != i+2 {
			return nil, fmt.Errorf("content: token %d of the model, %q, is empty or repeated", i+2, t)
		}
		if v.slot[i+2] >= 0 {
			continue
		}
		for _, r := range text {
			if r == ' ' || !plain(r) {
				return nil, fmt.Errorf("content: token %q of the model holds %q", t, r)
			}
		}
	}
	words, err := readWords()
	if err != nil {
		return nil, err
	}
	v.words = words
	own := m.Meta(metaOwn)
	hash, err := corpusHash(own)
	if err != nil {
		return nil, err
	}
	if hash == m.Meta(metaCorpus) { // of another corpus nothing is known
		if v.known, err = newAttested(v, own); err != nil {
			return nil, err
		}
	}
	return v, v.readFinals(m.Meta(metaFinals))
}

// slotsOf reports which slots stand in a line.
func slotsOf(line string) [slotCount]bool {
	var out [slotCount]bool
	for s := range slotCount {
		out[s] = strings.Contains(line, s.String())
	}
	return out
}
