package console

import (
	"fmt"
	"html"
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// hidden stands where something was masked.
const hidden = "•••"

// addressLike finds mail addresses, those with %40 too.
var addressLike = regexp.MustCompile(`[\p{L}\p{N}._+'-]{1,64}(?:@|%40)[\p{L}\p{N}-]{1,63}(?:\.[\p{L}\p{N}-]{1,63}){0,8}`)

// maskID keeps the first characters of an id, at most a third of it and at most four.
func maskID(id string) string {
	n := utf8.RuneCountInString(id)
	if n == 0 {
		return ""
	}
	return firstRunes(id, min(4, n/3)) + "…"
}

// maskName keeps the first letter.
func maskName(name string) string {
	if name = strings.TrimSpace(name); name == "" {
		return ""
	}
	return firstRunes(name, 1) + hidden
}

// maskAddress keeps the first letter and the top-level domain:
// "ana@example.com" becomes "a•••@•••.com".
func maskAddress(addr string) string {
	if a, err := mail.ParseAddress(addr); err == nil {
		addr = a.Address
	}
	local, domain, ok := cutLast(addr, "@")
	if !ok {
		return maskName(addr)
	}
	out := firstRunes(local, 1) + hidden + "@" + hidden
	if _, tld, ok := cutLast(domain, "."); ok {
		out += "." + tld
	}
	return out
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// veil masks the words of one person wherever they stand.
type veil struct {
	words *regexp.Regexp // nil when there are none
	links []string       // addresses that act for the person, such as the unsubscribe link
}

// veilOf gathers the words of the person a mail went to: the name beside the
// address, its local part, what the mail itself lists, and the links in its head.
func veilOf(m Mail) veil {
	words := append([]string(nil), m.Personal...)
	if a, err := mail.ParseAddress(m.To); err == nil {
		local, _, _ := cutLast(a.Address, "@")
		words = append(words, local, a.Name)
		words = append(words, strings.Fields(a.Name)...)
	}
	v := veil{}
	var alts []string
	for _, w := range words {
		if w = strings.TrimSpace(w); utf8.RuneCountInString(w) >= 2 && len(alts) < wordsMax {
			alts = append(alts, regexp.QuoteMeta(w), regexp.QuoteMeta(html.EscapeString(w)))
		}
	}
	if len(alts) > 0 {
		if re, err := regexp.Compile(`(?i)` + strings.Join(alts, "|")); err == nil {
			v.words = re
		}
	}
	for _, h := range m.Headers {
		if strings.EqualFold(h.Name, "List-Unsubscribe") {
			v.links = append(v.links, linkInAngles.FindAllString(h.Value, linksMax)...)
		}
	}
	for i, l := range v.links {
		v.links[i] = strings.Trim(l, "<>")
	}
	return v
}

// wordsMax and linksMax bound what is searched in a mail: a person has a few names,
// and a head has two links (RFC 8058).
const (
	wordsMax = 16
	linksMax = 4
)

var linkInAngles = regexp.MustCompile(`<[^<>\s]+>`)

// text masks plain text.
func (v veil) text(s string) string {
	s = v.acting(s)
	s = addressLike.ReplaceAllStringFunc(s, maskAddress)
	if v.words == nil {
		return s
	}
	return replaceWords(v.words, s)
}

// acting takes the links out that act for the person.
func (v veil) acting(s string) string {
	for _, l := range v.links {
		if l == "" {
			continue
		}
		s = strings.ReplaceAll(s, l, "#"+hidden)
		s = strings.ReplaceAll(s, html.EscapeString(l), "#"+hidden)
	}
	return s
}

// replaceWords replaces matches that stand as words of their own.
func replaceWords(re *regexp.Regexp, s string) string {
	var b strings.Builder
	last := 0
	for _, m := range re.FindAllStringIndex(s, -1) {
		before, _ := utf8.DecodeLastRuneInString(s[:m[0]])
		after, _ := utf8.DecodeRuneInString(s[m[1]:])
		if isWord(before) && isASCIIWordAt(s, m[0]) || isWord(after) && isASCIIWordAt(s, m[1]-1) {
			continue
		}
		b.WriteString(s[last:m[0]])
		b.WriteString(hidden)
		last = m[1]
	}
	b.WriteString(s[last:])
	return b.String()
}

func isWord(r rune) bool { return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

// isASCIIWordAt: scripts without spaces between words have no word border to ask for.
func isASCIIWordAt(s string, i int) bool {
	return i < len(s) && s[i] < utf8.RuneSelf && isWord(rune(s[i]))
}

// markup masks HTML: words only between tags, so that a person called "Style" does
// not break the page; addresses and links everywhere.
func (v veil) markup(s string) string {
	s = v.acting(s)
	s = addressLike.ReplaceAllStringFunc(s, maskAddress)
	if v.words == nil {
		return s
	}
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			i = len(s)
		}
		b.WriteString(replaceWords(v.words, s[:i]))
		s = s[i:]
		j := strings.IndexByte(s, '>')
		if j < 0 {
			j = len(s) - 1
		}
		b.WriteString(s[:j+1])
		s = s[j+1:]
	}
	return b.String()
}

// shape masks the bytes of an event that could not be read: keys, punctuation and
// lengths stay, since they show what is wrong with it; values do not. It works on
// broken JSON, where no parser can say which bytes are personal.
func shape(s string) string {
	var b strings.Builder
	for s != "" {
		if s[0] != '"' {
			r, n := utf8.DecodeRuneInString(s)
			if word := literal(s); word != "" {
				b.WriteString(word)
				s = s[len(word):]
				continue
			}
			b.WriteString(blank(s[:n], r))
			s = s[n:]
			continue
		}
		end := quoteEnd(s)
		body := s[:end]
		s = s[end:]
		if isKey(body, s) || callName(body) {
			b.WriteString(body)
			continue
		}
		for i, r := range body {
			_, n := utf8.DecodeRuneInString(body[i:])
			b.WriteString(blank(body[i:i+n], r))
		}
	}
	return b.String()
}

// literal answers the JSON word that s begins with, or "".
func literal(s string) string {
	for _, w := range []string{"true", "false", "null"} {
		if strings.HasPrefix(s, w) {
			return w
		}
	}
	return ""
}

// blank hides one character but keeps its class. Bytes that are no characters stay:
// they are often the fault.
func blank(raw string, r rune) string {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		return raw
	case unicode.IsDigit(r):
		return "9"
	case unicode.IsLetter(r):
		return "x"
	}
	return raw
}

// quoteEnd is the index behind the string that s begins with.
func quoteEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// callName tells whether a string is the name of a call of the tracking format: it
// says what the event was meant to be, and nothing of a person.
func callName(quoted string) bool {
	switch quoted {
	case `"track"`, `"identify"`, `"page"`, `"screen"`, `"group"`, `"alias"`:
		return true
	}
	return false
}

// keyLike is what a property name looks like. An address, a number or a full name is none.
var keyLike = regexp.MustCompile(`^"[$A-Za-z_][A-Za-z_.-]{0,39}"$`)

func isKey(quoted, rest string) bool {
	return keyLike.MatchString(quoted) && strings.HasPrefix(strings.TrimLeft(rest, " \t\r\n"), ":")
}

// printable shows bytes from outside as text: what is no printable character is
// written as an escape, so nothing can hide, reorder or break the page.
func printable(p []byte) string {
	var b strings.Builder
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, p[0])
		case r == '\n' || r == '\t' || unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		p = p[n:]
	}
	return b.String()
}

// clean makes a line from outside safe to show beside our own words: one line, no
// control characters, no marks that reverse the text around it, bounded.
func clean(s string) string {
	if len(s) > lineBytesMax {
		s = strings.ToValidUTF8(s[:lineBytesMax], "") + "…"
	}
	return strings.NewReplacer("\n", " ", "\t", " ", "\r", " ").Replace(cleanText(s))
}

// cleanText is clean for many lines: line ends and tabs stay, the length too.
func cleanText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return ' '
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return utf8.RuneError
		}
		return r
	}, strings.ReplaceAll(strings.ToValidUTF8(s, string(utf8.RuneError)), "\r\n", "\n"))
}

// lineBytesMax is the most of one name, subject or reason that is shown: a page of
// fifty stays below its 100 kB.
const lineBytesMax = 300
