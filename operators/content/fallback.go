package content

import "fmt"

// Why a written subject was used.
const (
	WhyNoModel  = "no model"
	WhyDeadline = "deadline"
	WhyNothing  = "no line survived"
	WhyKind     = "unknown kind"
)

// Why a line was refused.
const (
	whyColons     = "has a colon twice"
	whyReads      = "reads like " // and of what class
	whyRepeats    = "says a word twice"
	whyStumbles   = "stumbles"
	whyUnfinished = "is unfinished"
	whyStrange    = "runs words together that no line does"
	whyMissing    = "lacks a required word"
	whyUnlikely   = "is unlikely"
)

// otherKind is the section of the written subjects for kinds of no section.
const otherKind = "other"

// fallback holds the written subjects by "kind language".
type fallback map[string][]string

func readFallback() (fallback, error) {
	b, err := corpusFiles.ReadFile("corpus/fallback.txt")
	if err != nil {
		return nil, fmt.Errorf("content: read written subjects: %w", err)
	}
	secs, err := sections(string(b))
	if err != nil {
		return nil, fmt.Errorf("content: written subjects: %w", err)
	}
	out := fallback{}
	for _, s := range secs {
		if len(s.head) != 2 {
			return nil, fmt.Errorf("content: written subjects: section %q, want a kind and a language", s.head)
		}
		out[s.head[0]+" "+s.head[1]] = s.lines
	}
	return out, nil
}

// write returns the first written subject that fits. The last one of each kind, which
// is short and has no slot, is only left out for a banned word, and then that of
// unknown kinds stands in.
func (f fallback) write(t task) (string, error) {
	for _, kind := range []string{t.cond.kind, otherKind} {
		for _, line := range f[kind+" "+t.cond.language] {
			subject := copied(line, t.values)
			if verify(line, subject, t.values, t.limit, t.banned) == "" {
				return subject, nil
			}
		}
	}
	return "", fmt.Errorf("content: no written subject for %q in %q passes the limits", t.cond.kind, t.cond.language)
}
