package content

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

//go:embed corpus/*.txt
var corpusFiles embed.FS

// Kinds returns the trigger kinds the corpus has lines for, in the order in which
// they stand in the condition.
func Kinds() []string {
	return []string{"cart", "browse", "search", "checkout", "price-drop", "back-in-stock",
		"post-purchase", "review-request", "win-back", "welcome"}
}

// Categories returns the categories the corpus has lines for, in the order in which
// they stand in the condition.
func Categories() []string {
	return []string{"Kitchen", "Outdoor", "Books", "Toys", "Fashion", "Electronics", "Garden", "Beauty", "Gifts"}
}

// languages are the languages the corpus is written in, by file.
func languages() []string { return []string{"en", "zh"} }

// Line is one subject line of the corpus.
type Line struct {
	Language string
	Kind     string
	Category string // "" fits all
	Tag      string // "", or the kind of customer or value it is for
	Text     string // with slots
	Grammar  bool   // expanded from a grammar line
}

// tags are the marks a section may carry behind its kind.
func tags() []string { return []string{"returning", "new", "high", "low", "last"} }

// section is a headed list of lines, the form of all files of the corpus.
type section struct {
	head  []string
	lines []string
}

// sections reads a file of the corpus: comments, [heads] and lines.
func sections(text string) ([]section, error) {
	var out []section
	s := bufio.NewScanner(strings.NewReader(text))
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			out = append(out, section{head: strings.Fields(line[1 : len(line)-1])})
		case len(out) == 0:
			return nil, fmt.Errorf("content: line %d stands before the first [section]", n)
		default:
			last := &out[len(out)-1]
			last.lines = append(last.lines, line)
		}
	}
	return out, s.Err()
}

// Corpus returns every line of the corpus, grammar lines expanded, without repeats,
// in the order of the files.
func Corpus() ([]Line, error) {
	var out []Line
	for _, lang := range languages() {
		b, err := corpusFiles.ReadFile("corpus/" + lang + ".txt")
		if err != nil {
			return nil, fmt.Errorf("content: read corpus: %w", err)
		}
		lines, err := parseCorpus(lang, string(b))
		if err != nil {
			return nil, fmt.Errorf("content: corpus %s: %w", lang, err)
		}
		out = append(out, lines...)
	}
	return out, nil
}

// CorpusHash identifies the corpus and the way it is cut into tokens. It stands in
// every model trained on it.
func CorpusHash() (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "tokenizer %d\n", tokenizerVersion)
	for _, name := range append(languages(), "words-zh") {
		b, err := corpusFiles.ReadFile("corpus/" + name + ".txt")
		if err != nil {
			return "", fmt.Errorf("content: read corpus: %w", err)
		}
		fmt.Fprintf(h, "%s %d\n", name, len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// lexicon holds, by category, the alternatives for each word of the grammar.
type lexicon map[string]alternatives

// alternatives are the words for each name of the grammar.
type alternatives map[string][]string

// longest is the number of alternatives that the richest name has.
func (a alternatives) longest() int {
	n := 0
	for _, words := range a {
		n = max(n, len(words))
	}
	return n
}

func parseCorpus(lang, text string) ([]Line, error) {
	secs, err := sections(text)
	if err != nil {
		return nil, err
	}
	lex := lexicon{}
	var out []Line
	seen := map[Line]bool{}
	add := func(l Line) error {
		if err := checkLine(l.Text); err != nil {
			return err
		}
		if !seen[l] {
			seen[l] = true
			out = append(out, l)
		}
		return nil
	}
	for _, s := range secs {
		if len(s.head) == 2 && s.head[0] == "lexicon" {
			if err := lex.add(s); err != nil {
				return nil, err
			}
			continue
		}
		lines, err := expand(lang, s, lex)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			if err := add(l); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (x lexicon) add(s section) error {
	category := s.head[1]
	if !slices.Contains(Categories(), category) {
		return fmt.Errorf("lexicon of unknown category %q", category)
	}
	x[category] = alternatives{}
	for _, line := range s.lines {
		name, values, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("lexicon of %s: %q is not name: word | word", category, line)
		}
		for v := range strings.SplitSeq(values, "|") {
			x[category][name] = append(x[category][name], strings.TrimSpace(v))
		}
	}
	return nil
}

// expand returns the lines of a section: as they stand, or once for each category.
// The alternatives of the lexicon take turns, so that each is learnt in some lines.
func expand(lang string, s section, lex lexicon) ([]Line, error) {
	if len(s.head) == 0 || len(s.head) > 2 || !slices.Contains(Kinds(), s.head[0]) {
		return nil, fmt.Errorf("section %q, want a kind and at most one category or tag", s.head)
	}
	base := Line{Language: lang, Kind: s.head[0]}
	var out []Line
	switch {
	case len(s.head) == 2 && s.head[1] == "*":
		for i, text := range s.lines {
			for j, c := range Categories() {
				t, err := fill(text, lex[c], i+j)
				if err != nil {
					return nil, fmt.Errorf("category %s: %w", c, err)
				}
				out = append(out, Line{Language: lang, Kind: base.Kind, Category: c, Text: t, Grammar: true})
			}
		}
		return out, nil
	case len(s.head) == 2 && slices.Contains(Categories(), s.head[1]):
		base.Category = s.head[1]
	case len(s.head) == 2 && slices.Contains(tags(), s.head[1]):
		base.Tag = s.head[1]
	case len(s.head) == 2:
		return nil, fmt.Errorf("section %q: %q is neither a category nor a tag", s.head, s.head[1])
	}
	for _, text := range s.lines {
		l := base
		l.Text = text
		out = append(out, l)
	}
	return out, nil
}

// everyAlternative returns the lines of the corpus with each grammar line in every wording
// that the lexicon gives it: what the network may well put together.
func everyAlternative() ([]Line, error) {
	var out []Line
	for _, lang := range languages() {
		b, err := corpusFiles.ReadFile("corpus/" + lang + ".txt")
		if err != nil {
			return nil, fmt.Errorf("content: read corpus: %w", err)
		}
		secs, err := sections(string(b))
		if err != nil {
			return nil, err
		}
		lex := lexicon{}
		for _, s := range secs {
			if len(s.head) == 2 && s.head[0] == "lexicon" {
				if err := lex.add(s); err != nil {
					return nil, err
				}
				continue
			}
			for _, text := range s.lines {
				if len(s.head) < 2 || s.head[1] != "*" {
					out = append(out, Line{Language: lang, Text: text})
					continue
				}
				for _, c := range Categories() {
					for turn := range lex[c].longest() {
						t, err := fill(text, lex[c], turn)
						if err != nil {
							return nil, err
						}
						out = append(out, Line{Language: lang, Text: t})
					}
				}
			}
		}
	}
	return out, nil
}

// fill puts words of the lexicon into a grammar line; a word that begins the line
// gets a capital.
func fill(text string, words alternatives, turn int) (string, error) {
	for {
		before, rest, ok := strings.Cut(text, "<")
		if !ok {
			return text, nil
		}
		name, after, ok := strings.Cut(rest, ">")
		options := words[name]
		if !ok || len(options) == 0 {
			return "", fmt.Errorf("line %q: the lexicon has no %q", text, name)
		}
		word := options[turn%len(options)]
		if before == "" {
			word = capital(word)
		}
		text = before + word + after
	}
}

// checkLine refuses what no line may hold: digits, currencies, unknown slots. A number
// in a subject can then only be copied from the event.
func checkLine(text string) error {
	rest := text
	for s := range slotCount {
		if strings.Count(text, s.String()) > 1 {
			return fmt.Errorf("line %q: %s stands in it twice", text, s)
		}
		rest = strings.ReplaceAll(rest, s.String(), "")
	}
	for _, r := range rest {
		if !plain(r) {
			return fmt.Errorf("line %q: %q may not stand outside a slot", text, r)
		}
	}
	return nil
}

// plain reports whether a rune may stand in a subject outside its slots.
func plain(r rune) bool {
	return r == ' ' || unicode.IsLetter(r) || strings.ContainsRune(".,:;?!'-\uff0c\u3002\uff1a\uff1f\uff01\u3001", r)
}

func capital(s string) string {
	for i, r := range s {
		return string(unicode.ToUpper(r)) + s[i+len(string(r)):]
	}
	return s
}
