package content

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// This file puts the values of slots into lines.

// copied returns a line with its slots filled by exact copies, all at once, so that a
// value that looks like a slot stays what it is. Between a Chinese character of the line
// and a name in other letters it puts a space, as Chinese typesetting has it: without
// one, "Home" and what follows it would read as one word.
func copied(line string, values [slotCount]string) string {
	var b strings.Builder
	before := rune(0)
	for line != "" {
		s, ok := slotAt(line)
		if !ok {
			r, n := utf8.DecodeRuneInString(line)
			b.WriteString(line[:n])
			before, line = r, line[n:]
			continue
		}
		line = line[len(s.String()):]
		value := values[s]
		left, right := edges(s, value)
		if left && unicode.Is(unicode.Han, before) {
			b.WriteByte(' ')
		}
		b.WriteString(value)
		before = 0
		if after, _ := utf8.DecodeRuneInString(line); right && unicode.Is(unicode.Han, after) {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// slotAt returns the slot that a text begins with.
func slotAt(text string) (Slot, bool) {
	if text[0] != '{' {
		return 0, false
	}
	for s := range slotCount {
		if strings.HasPrefix(text, s.String()) {
			return s, true
		}
	}
	return 0, false
}

// edges reports at which ends the value of a slot wants a space beside a Chinese
// character. Amounts and counts want none.
func edges(s Slot, value string) (left, right bool) {
	if value == "" || slices.Contains([]Slot{Price, Was, Stock}, s) {
		return false, false
	}
	first, _ := utf8.DecodeRuneInString(value)
	last, _ := utf8.DecodeLastRuneInString(value)
	return western(first), western(last)
}

// western reports whether a rune is set narrow: what stands below the East Asian blocks,
// but for the marks that both scripts share, such as quotation marks.
func western(r rune) bool { return r < 0x2e80 && (r < 0x2010 || r > 0x206f) }

// slotRunes is how much room the value of a slot takes in a line of a language, at most.
func slotRunes(s Slot, value, lang string) int {
	n := utf8.RuneCountInString(value)
	if lang == "zh" {
		left, right := edges(s, value)
		if left {
			n++
		}
		if right {
			n++
		}
	}
	return n
}

// colons reports whether a line that sets its own colon got another one by a value: such
// as "Price drop: Bread: a cookbook".
func colons(line, subject string) bool {
	count := func(s string) int { return strings.Count(s, ":") + strings.Count(s, "：") }
	return count(line) > 0 && count(subject) > count(line)
}
