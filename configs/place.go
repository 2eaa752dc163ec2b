package configs

import (
	"strconv"
	"unicode"
)

// place returns the line and column in the file of a character of a scalar, however
// the scalar is written: plain, quoted, in a block, over several lines. Where the
// text and the file cannot be brought together it is the scalar's first character.
//
// White space is what YAML folds and strips; everything else stands in the file in
// the order it has in the text. So both are walked side by side, white space skipped.
func (d *document) place(n *node, offset int) (line, column int) {
	text, ok := n.text()
	if !ok {
		return n.line, n.column
	}
	w := walk{lines: d.lines, line: n.line - 1, column: n.column - 1}
	switch w.at() {
	case '"', '\'':
		w.quote = w.at()
		w.column++
	case '|', '>':
		w.line, w.column = w.line+1, 0
	}
	for i, c := range []rune(text) {
		if unicode.IsSpace(c) && i < offset && w.quote != '"' {
			continue
		}
		if !unicode.IsSpace(c) || w.quote == '"' {
			if !w.find(c) {
				return n.line, n.column
			}
		}
		if i >= offset {
			return w.line + 1, w.column + 1
		}
		w.pass()
	}
	return w.line + 1, w.column + 1
}

// walk is a place in the lines of a file, inside one scalar.
type walk struct {
	lines        [][]rune
	line, column int  // from zero
	quote        rune // of the scalar, or zero
	width        int  // characters of the file that the found character takes
}

// at returns the character at the place; 0 is the end of the file, and a line ends in
// a newline.
func (w *walk) at() rune {
	switch {
	case w.line >= len(w.lines):
		return 0
	case w.column < 0 || w.column >= len(w.lines[w.line]):
		return '\n'
	default:
		return w.lines[w.line][w.column]
	}
}

// find moves to the character c of the text; false when something else stands there.
func (w *walk) find(c rune) bool {
	for {
		here := w.at()
		w.width = 1
		switch {
		case here == 0:
			return false
		case here == '\\' && w.quote == '"':
			value, width := w.escape()
			if width == 0 {
				w.line, w.column = w.line+1, 0 // a backslash at the end joins lines
				continue
			}
			w.width = width
			return value == c
		case here == '\'' && w.quote == '\'' && c == '\'':
			w.width = 2
			return true
		case unicode.IsSpace(here) && unicode.IsSpace(c):
			return true
		case here == '\n':
			w.line, w.column = w.line+1, 0
		case unicode.IsSpace(here):
			w.column++
		default:
			return here == c
		}
	}
}

// pass moves behind the character that was found.
func (w *walk) pass() {
	if w.at() == '\n' {
		w.line, w.column = w.line+1, 0
		return
	}
	w.column += max(w.width, 1)
}

// escape reads the escape of a double-quoted text at the place: its character and how
// much of the file it takes; width 0 is an escaped end of line.
func (w *walk) escape() (c rune, width int) {
	line := w.lines[w.line]
	if w.column+1 >= len(line) {
		return 0, 0
	}
	short := map[rune]rune{'0': 0, 'a': '\a', 'b': '\b', 't': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r',
		'e': 0x1b, 'N': 0x85, '_': 0xa0, 'L': 0x2028, 'P': 0x2029}
	next := line[w.column+1]
	if c, ok := short[next]; ok {
		return c, 2
	}
	digits := map[rune]int{'x': 2, 'u': 4, 'U': 8}[next]
	if digits == 0 || w.column+2+digits > len(line) {
		return next, 2
	}
	n, err := strconv.ParseUint(string(line[w.column+2:w.column+2+digits]), 16, 32)
	if err != nil {
		return next, 2
	}
	return rune(n), 2 + digits
}
