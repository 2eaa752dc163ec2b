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
		"post-purchase", "review-request", "win-back", "welcome", "service"}
}

// Categories returns the categories the corpus has lines for, in the order in which
// they stand in the condition.
func Categories() []string {
	return []string{"Kitchen", "Outdoor", "Books", "Toys", "Fashion", "Electronics", "Garden", "Beauty", "Gifts"}
}

// languages are the languages the corpus is written in, by file.
func languages() []string { return []string{"en", "zh"} }

// Line is one line of the corpus.
type Line struct {
	Language string
	Part     Part
	Kind     string
	Category string  // "" fits all
	Tag      string  // "", or the kind of customer or value it is for
	Text     string  // with slots
	Grammar  bool    // expanded from a grammar line
	Weight   float32 // what it counts in training, 0 as 1: more for a line of the shop that was clicked more
}

// tags are the marks a section may carry behind its kind. Replies is of lines that
// promise an answer, the last two are tones.
func tags() []string {
	return []string{"returning", "new", "high", "low", "last", "replies", string(Calm), string(Playful)}
}

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
func Corpus() ([]Line, error) { return corpusWith("") }

// corpusWith is the corpus with the lines of a shop behind it.
func corpusWith(own string) ([]Line, error) {
	var out []Line
	for _, lang := range languages() {
		lex := lexicon{}
		for _, part := range Parts() {
			text, err := corpusFile(lang, part)
			if err != nil {
				return nil, err
			}
			lines, err := parseCorpus(lang, part, text, lex)
			if err != nil {
				return nil, fmt.Errorf("content: corpus %s %s: %w", lang, part, err)
			}
			out = append(out, lines...)
		}
	}
	if own == "" {
		return out, nil
	}
	added, err := ParseOwn("", strings.NewReader(own))
	if err != nil {
		return nil, err
	}
	return append(out, added.Lines...), nil
}

// corpusFile returns the lines of a part in a language, as they are written.
func corpusFile(lang string, part Part) (string, error) {
	name := lang
	if part != Subject {
		name = part.String() + "-" + lang
	}
	b, err := corpusFiles.ReadFile("corpus/" + name + ".txt")
	if err != nil {
		return "", fmt.Errorf("content: read corpus: %w", err)
	}
	return string(b), nil
}

// CorpusHash identifies the corpus and the way it is cut into tokens. It stands in
// every model trained on it.
func CorpusHash() (string, error) { return corpusHash("") }

func corpusHash(own string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "tokenizer %d\n", tokenizerVersion)
	for _, lang := range languages() {
		for _, part := range Parts() {
			text, err := corpusFile(lang, part)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%s %s %d\n%s", lang, part, len(text), text)
		}
	}
	words, err := corpusFiles.ReadFile("corpus/words-zh.txt")
	if err != nil {
		return "", fmt.Errorf("content: read corpus: %w", err)
	}
	fmt.Fprintf(h, "words %d\n%s", len(words), words)
	if own != "" {
		fmt.Fprintf(h, "own %d\n%s", len(own), own)
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

// parseCorpus reads a file of the corpus. What it says of the lexicon is added to lex.
func parseCorpus(lang string, part Part, text string, lex lexicon) ([]Line, error) {
	secs, err := sections(text)
	if err != nil {
		return nil, err
	}
	var out []Line
	seen := map[Line]bool{}
	for _, s := range secs {
		if len(s.head) == 2 && s.head[0] == "lexicon" {
			if err := lex.add(s); err != nil {
				return nil, err
			}
			continue
		}
		base, grammar, err := headOf(s.head)
		if err != nil {
			return nil, err
		}
		base.Language, base.Part = lang, part
		lines, err := expand(base, grammar, s.lines, lex, false)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			if err := checkLine(l.Text); err != nil {
				return nil, err
			}
			if !seen[l] {
				seen[l] = true
				out = append(out, l)
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

// headOf reads what a section says of its lines: a kind, and behind it a category or *,
// and a tag.
func headOf(head []string) (base Line, grammar bool, err error) {
	if len(head) == 0 || len(head) > 3 || !slices.Contains(Kinds(), head[0]) {
		return base, false, fmt.Errorf("section %q, want a kind, and behind it at most one category and one tag", head)
	}
	base.Kind = head[0]
	for _, mark := range head[1:] {
		switch {
		case mark == "*" && base.Category == "" && !grammar:
			grammar = true
		case slices.Contains(Categories(), mark) && base.Category == "" && !grammar:
			base.Category = mark
		case slices.Contains(tags(), mark) && base.Tag == "":
			base.Tag = mark
		default:
			return base, false, fmt.Errorf("section %q: %q is neither a category nor a tag, or one too many", head, mark)
		}
	}
	return base, grammar, nil
}

// expand returns the lines of a section: as they stand, or once for each category.
// The alternatives of the lexicon take turns, so that each is learnt in some lines; with
// all they all stand in every line.
func expand(base Line, grammar bool, lines []string, lex lexicon, all bool) ([]Line, error) {
	var out []Line
	for i, text := range lines {
		if !grammar {
			l := base
			l.Text = text
			out = append(out, l)
			continue
		}
		for j, c := range Categories() {
			turns := []int{i + j}
			if all {
				turns = turns[:0]
				for turn := range lex[c].longest() {
					turns = append(turns, turn)
				}
			}
			for _, turn := range turns {
				t, err := fill(text, lex[c], turn)
				if err != nil {
					return nil, fmt.Errorf("category %s: %w", c, err)
				}
				l := base
				l.Category, l.Text, l.Grammar = c, t, true
				out = append(out, l)
			}
		}
	}
	return out, nil
}

// everyAlternative returns the lines of the corpus with each grammar line in every wording
// that the lexicon gives it: what the network may well put together.
func everyAlternative(own string) ([]Line, error) {
	var out []Line
	for _, lang := range languages() {
		lex := lexicon{}
		for _, part := range Parts() {
			text, err := corpusFile(lang, part)
			if err != nil {
				return nil, err
			}
			secs, err := sections(text)
			if err != nil {
				return nil, err
			}
			for _, s := range secs {
				if len(s.head) == 2 && s.head[0] == "lexicon" {
					if err := lex.add(s); err != nil {
						return nil, err
					}
					continue
				}
				base, grammar, err := headOf(s.head)
				if err != nil {
					return nil, err
				}
				base.Language, base.Part = lang, part
				lines, err := expand(base, grammar, s.lines, lex, true)
				if err != nil {
					return nil, err
				}
				out = append(out, lines...)
			}
		}
	}
	if own == "" {
		return out, nil
	}
	added, err := ParseOwn("", strings.NewReader(own))
	return append(out, added.Lines...), err
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
