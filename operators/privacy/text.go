package privacy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaskText takes out of a text what may name or reach a person: addresses of mail and of
// pages, numbers of three digits and more, and the given names, however they are written.
// Each becomes "…". It cannot know names that it is not given, so what it returns is still
// to be treated as a person's own words.
func MaskText(text string, names ...string) string {
	var out strings.Builder
	for word := range strings.FieldsSeq(text) {
		if out.Len() > 0 {
			out.WriteByte(' ')
		}
		switch {
		case strings.Contains(word, "@"), strings.Contains(word, "://"), strings.HasPrefix(strings.ToLower(word), "www."):
			out.WriteString("…")
		default:
			out.WriteString(maskDigits(word))
		}
	}
	masked := out.String()
	for _, name := range names {
		for part := range strings.FieldsSeq(name) {
			masked = maskName(masked, part)
		}
	}
	return masked
}

// digitsKept is how long a number may be that names nobody: a size, a count, a rating.
const digitsKept = 2

// maskDigits puts "…" in place of a run of digits, with the signs that join them, as in a
// telephone number.
func maskDigits(word string) string {
	var out strings.Builder
	for i := 0; i < len(word); {
		r, n := utf8.DecodeRuneInString(word[i:])
		if !unicode.IsDigit(r) {
			out.WriteString(word[i : i+n])
			i += n
			continue
		}
		digits, end, j := 0, i, i
		for j < len(word) {
			r, n := utf8.DecodeRuneInString(word[j:])
			j += n
			if unicode.IsDigit(r) {
				digits++
				end = j
			} else if !strings.ContainsRune("-./()", r) {
				break
			}
		}
		if digits > digitsKept {
			out.WriteString("…")
		} else {
			out.WriteString(word[i:end])
		}
		i = end
	}
	return out.String()
}

// maskName puts "…" in place of a name. In scripts with blanks between words it must stand
// by itself: Ann is not in "cannot".
func maskName(text, name string) string {
	if utf8.RuneCountInString(name) < 2 {
		return text // an initial names nobody
	}
	var out strings.Builder
	for rest := text; rest != ""; {
		at, n := indexFold(rest, name)
		if at < 0 {
			out.WriteString(rest)
			break
		}
		before, _ := utf8.DecodeLastRuneInString(rest[:at])
		after, _ := utf8.DecodeRuneInString(rest[at+n:])
		first, _ := utf8.DecodeRuneInString(rest[at:])
		if !unicode.Is(unicode.Han, first) && (at > 0 && unicode.IsLetter(before) || at+n < len(rest) && unicode.IsLetter(after)) {
			out.WriteString(rest[:at+n])
		} else {
			out.WriteString(rest[:at])
			out.WriteString("…")
		}
		rest = rest[at+n:]
	}
	return out.String()
}

// indexFold is where name stands in text, whatever the case, and how many bytes it takes
// there; -1 if nowhere.
func indexFold(text, name string) (at, n int) {
	want := utf8.RuneCountInString(name)
	for i := range text {
		end, runes := i, 0
		for end < len(text) && runes < want {
			_, size := utf8.DecodeRuneInString(text[end:])
			end, runes = end+size, runes+1
		}
		if runes == want && strings.EqualFold(text[i:end], name) {
			return i, end - i
		}
	}
	return -1, 0
}
