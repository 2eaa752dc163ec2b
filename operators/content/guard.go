package content

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// slotRunesMax is the longest value a slot takes: a longer one would leave no room for
// a sentence, and cutting it would no longer be a copy. The line goes without it then.
const slotRunesMax = 36

// clean makes text from outside fit for one line: no control characters, no line
// breaks, no marks that change the direction of what follows, no invisible characters,
// single spaces, at most most runes. It returns "" when nothing is left.
func clean(s string, most int) string {
	if len(s) > 16*most { // far beyond what could be kept; bounds the work
		s = s[:16*most]
	}
	s = strings.ToValidUTF8(s, "")
	var b strings.Builder
	gap, n := false, 0
	for _, r := range norm.NFC.String(s) {
		if unicode.IsSpace(r) {
			gap = b.Len() > 0
			continue
		}
		// Cf holds the bidirectional and zero-width marks; So, Co and the like stay.
		if unicode.Is(unicode.C, r) && !unicode.Is(unicode.Co, r) || r == utf8.RuneError || unicode.Is(unicode.Variation_Selector, r) {
			continue
		}
		if gap {
			if n++; n >= most {
				break
			}
			b.WriteByte(' ')
			gap = false
		}
		if n++; n > most {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// name returns a first name fit to address someone by, or "". A name that holds a
// web address or markup is somebody's advertisement, not a name.
func name(s string) string {
	s = clean(s, 200)
	if utf8.RuneCountInString(s) > 24 || !strings.ContainsFunc(s, unicode.IsLetter) {
		return ""
	}
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsMark(r) && !strings.ContainsRune(" '’.-·", r) {
			return ""
		}
	}
	if strings.Contains(strings.ToLower(s), "www.") {
		return ""
	}
	return s
}

// defaultBanned are words that make a mail look like spam or promise what the engine
// cannot know.
func defaultBanned() []string {
	return []string{"free", "act now", "guaranteed", "guarantee", "winner", "cash", "urgent",
		"click here", "buy now", "last chance", "limited time", "risk-free", "miracle", "hurry", "be quick", "ends soon",
		"免费", "中奖", "赚钱", "最后机会", "点击这里", "立即购买", "保证", "限时", "抢购", "赶快", "手慢无"}
}

// banned finds words and phrases in text, whatever their case or width. It does not
// change.
type banned struct {
	phrases []string
	lasts   string // the last characters of the phrases
}

func newBanned(phrases []string) banned {
	var b banned
	for _, p := range phrases {
		if p = fold(p); p != "" {
			b.add(p)
		}
	}
	return b
}

func (b *banned) add(phrases ...string) {
	for _, p := range phrases {
		b.phrases = append(b.phrases, p)
		if r, _ := utf8.DecodeLastRuneInString(p); !strings.ContainsRune(b.lasts, r) {
			b.lasts += string(r)
		}
	}
}

// claims are phrases that are true of some readers and some things only, by the tag
// that makes them true.
type claims map[string]banned

func readClaims() (claims, error) {
	b, err := corpusFiles.ReadFile("corpus/claims.txt")
	if err != nil {
		return nil, fmt.Errorf("content: read claims: %w", err)
	}
	secs, err := sections(string(b))
	if err != nil {
		return nil, fmt.Errorf("content: claims: %w", err)
	}
	out := claims{}
	for _, s := range secs {
		if len(s.head) != 1 || !slices.Contains(tags(), s.head[0]) {
			return nil, fmt.Errorf("content: claims: section %q, want a tag", s.head)
		}
		out[s.head[0]] = newBanned(s.lines)
	}
	return out, nil
}

// without returns b and every claim that is not known to be true under c.
func (k claims) without(b banned, c condition) banned {
	out := banned{slices.Clone(b.phrases), b.lasts}
	for _, tag := range tags() {
		if !c.holds(tag) {
			out.add(k[tag].phrases...)
		}
	}
	return out
}

func fold(s string) string {
	return strings.Join(strings.Fields(strings.ToLower(norm.NFKC.String(s))), " ")
}

// find returns the first banned phrase in text, or "". Phrases in letters that are
// written with spaces match whole words.
func (b banned) find(text string) string {
	if len(b.phrases) == 0 {
		return ""
	}
	text = fold(text)
	for _, p := range b.phrases {
		for from := 0; ; {
			i := strings.Index(text[from:], p)
			if i < 0 {
				break
			}
			i += from
			before, _ := utf8.DecodeLastRuneInString(text[:i])
			after, _ := utf8.DecodeRuneInString(text[i+len(p):])
			first, _ := utf8.DecodeRuneInString(p)
			last, _ := utf8.DecodeLastRuneInString(p)
			if !(wordRune(first) && wordRune(before)) && !(wordRune(last) && wordRune(after)) {
				return p
			}
			_, n := utf8.DecodeRuneInString(p)
			from = i + n
		}
	}
	return ""
}

// verify checks a rendered subject: every slot of the line is there as an exact copy,
// nothing else is a number or a currency, the length, the banned words. It returns
// what is wrong, or "".
func verify(line, subject string, values [slotCount]string, limit int, b banned) string {
	rest := line
	for s := range slotCount {
		if strings.Contains(line, s.String()) && values[s] == "" {
			return "slot " + s.String() + " has no value"
		}
		if strings.Count(line, s.String()) > 1 {
			return "slot " + s.String() + " stands twice"
		}
		rest = strings.ReplaceAll(rest, s.String(), "")
	}
	want := copied(line, values)
	switch {
	case subject != want:
		return "not an exact copy"
	case strings.TrimSpace(rest) == "" || subject == "":
		return "nothing but slots"
	case utf8.RuneCountInString(subject) > limit:
		return "too long"
	}
	for _, r := range rest {
		if !plain(r) {
			return "character outside the corpus"
		}
	}
	if b.find(subject) != "" {
		return "banned"
	}
	return ""
}
