package content

import "strings"

// examine holds a line that our own model did not write to all rules: it says what is
// wrong with it, or "".
func (w *Writer) examine(t *task, p written) string {
	values := t.values
	if why := verify(p.line, p.subject, values, t.limit, t.banned); why != "" {
		return why
	}
	for s := range slotCount {
		if t.cond.want[s] && !strings.Contains(p.line, s.String()) {
			return "lacks slot " + s.String()
		}
	}
	for _, word := range t.words {
		if !strings.Contains(fold(p.line), fold(word)) {
			return whyMissing
		}
	}
	switch {
	case !spoken(p.line, t.cond.language):
		return whyLanguage
	case w.reads(p.line) != "":
		return w.reads(p.line)
	case colons(p.line, p.subject):
		return whyColons
	case !readable(p.line):
		return whyHard
	}
	return ""
}
