package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong in a file, at its place. Lines and columns count from
// one, columns in characters. A problem of a file as a whole (it cannot be read)
// has line 0.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path,omitempty"` // "trigger.start.on[1]"
	Message string `json:"message"`        // what was got, what was expected
	Hint    string `json:"hint,omitempty"` // the nearest known name
}

// String formats the problem as file:line:col: path: message (did you mean …?).
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		fmt.Fprintf(&b, " (did you mean %q?)", p.Hint)
	}
	return b.String()
}

// Problems is everything found wrong, sorted by file, line and column. It is the
// error that Load returns.
type Problems []Problem

// Error prints one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// problemsMax is how many problems of one file are told: nobody reads more, and a file
// of a thousand unknown keys is no pipeline.
const problemsMax = 100

// sorted orders the problems by place, keeps one for each place and path (the first
// that was found, which is the most basic), and of each file at most problemsMax.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
	p = slices.CompactFunc(p, func(a, b Problem) bool {
		return a.File == b.File && a.Line == b.Line && a.Column == b.Column && a.Path == b.Path
	})
	var out Problems
	told := map[string]int{}
	for _, one := range p {
		told[one.File]++
		switch n := told[one.File]; {
		case n < problemsMax:
			out = append(out, one)
		case n == problemsMax:
			out = append(out, Problem{File: one.File, Line: one.Line, Column: one.Column, Message: "more problems from here on, not listed"})
		}
	}
	return out
}

// nearestMax is how many edits a name may be away to be suggested: more, and the
// suggestion is a guess.
const nearestMax = 2

// nearest returns the known name that is the fewest edits away from got, or "" when
// none is near. Case does not count.
func nearest(got string, known []string) string {
	best, bestAt := "", nearestMax+1
	if len(got) > 100 {
		return "" // no name of ours is that long
	}
	low := []rune(strings.ToLower(got))
	for _, k := range known {
		d := editDistance(low, []rune(strings.ToLower(k)))
		if d < bestAt && d < len(low) && d*2 <= len([]rune(k)) {
			best, bestAt = k, d
		}
	}
	return best
}

// editDistance is the Levenshtein distance: insertions, deletions, replacements.
func editDistance(a, b []rune) int {
	if diff := len(a) - len(b); diff > nearestMax || diff < -nearestMax {
		return nearestMax + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range b {
			change := diagonal
			if x != y {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// among lists the known names for a message; of many, only how many they are when the
// nearest one is told anyway.
func among(known []string, hint string) string {
	const few = 6
	if hint != "" && len(known) > few {
		return fmt.Sprintf("one of %d known names", len(known))
	}
	return "one of " + oneOf(known)
}

// oneOf lists the known names for a message.
func oneOf(known []string) string {
	const most = 20 // all events of the specification fit
	if len(known) > most {
		return fmt.Sprintf("%s, … (%d more)", strings.Join(known[:most], ", "), len(known)-most)
	}
	return strings.Join(known, ", ")
}

// cut shortens a value that is quoted in a message, so that a message stays a line.
func cut(s string) string {
	const most = 60
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most]) + "…"
}
