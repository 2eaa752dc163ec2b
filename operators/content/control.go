package content

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"millrace/operators/lstm"
)

// ControlOptions says how to check that a model uses its condition.
type ControlOptions struct {
	N       int    // subjects to sample
	Seed    uint64 // of the conditions
	Shuffle bool   // judge each subject by another one's condition: the check must then fail
}

func (o ControlOptions) withDefaults() ControlOptions {
	if o.N == 0 {
		o.N = 400 // the standard error at a share of 0.95 is about 0.01
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	return o
}

// ControlReport says how well the subjects of a model fit their conditions.
type ControlReport struct {
	Samples  int
	Share    float64  // names the right trigger or the right category
	Trigger  float64  // names the right trigger
	Category float64  // names the right category, of those that have one
	Novel    float64  // stands in no line of the corpus
	Distinct int      // different lines
	Missed   []string // some that name neither, with their condition
	New      []string // some that stand in no line of the corpus
}

// sampled is a line that was written for a condition.
type sampled struct {
	cond condition
	line string
}

// Control samples subjects over all conditions and counts how many name the trigger
// or the category they were asked for. Only the words outside the slots count, so the
// copied category cannot answer for the network. A condition for which no line
// survives counts as missed.
func Control(m *lstm.Model, o ControlOptions) (ControlReport, error) {
	o = o.withDefaults()
	words, err := readKeywords()
	if err != nil {
		return ControlReport{}, err
	}
	lines, err := Corpus()
	if err != nil {
		return ControlReport{}, err
	}
	known := map[string]bool{}
	for _, l := range lines {
		known[l.Text] = true
	}
	samples, err := sampleAll(m, o)
	if err != nil {
		return ControlReport{}, err
	}
	return judged(samples, o, words, known), nil
}

// judged counts the samples, each by its own condition or by another one's.
func judged(samples []sampled, o ControlOptions, words keywords, known map[string]bool) ControlReport {
	judge := make([]condition, len(samples))
	for i, s := range samples {
		judge[i] = s.cond
	}
	if o.Shuffle {
		r := rand.New(rand.NewPCG(o.Seed, 3))
		r.Shuffle(len(judge), func(i, j int) { judge[i], judge[j] = judge[j], judge[i] })
	}
	return count(samples, judge, words, known)
}

// sampleAll writes a line for each of n conditions: kinds, categories and languages in
// turn, so that all are covered, the rest drawn.
func sampleAll(m *lstm.Model, o ControlOptions) ([]sampled, error) {
	v, err := readVocabulary(m)
	if err != nil {
		return nil, err
	}
	if m.Meta(metaFeatures) != featureList() {
		return nil, errors.New("content: model was trained for other conditions")
	}
	untrue, err := readClaims()
	if err != nil {
		return nil, err
	}
	// What the corpus attests is let go: the network alone is asked whether it heeds what it
	// is told, not the rules around it.
	v.known = nil
	d := newDecoder(v, lstm.NewRunner(m))
	noClaims := newBanned(defaultBanned())
	r := rand.New(rand.NewPCG(o.Seed, 4))
	categories := append([]string{""}, Categories()...)
	out := make([]sampled, o.N)
	for i := range out {
		c := condition{
			kind: Kinds()[i%len(Kinds())], category: categories[i/len(Kinds())%len(categories)],
			language: languages()[r.IntN(2)], value: []string{"", valueLow, valueHigh}[r.IntN(3)],
		}
		c.returning = r.IntN(2) == 0
		c.fresh = !c.returning && r.IntN(2) == 0
		t := task{seed: fmt.Sprintf("control %d %d", o.Seed, i), cond: c, limit: 60, banned: untrue.without(noClaims, c)}
		for s, value := range []string{"Ada", "Cast Iron Pan", "€29.90", "things"} {
			if r.IntN(10) < 7 {
				t.values[s] = value
			}
		}
		w, _ := d.write(context.Background(), t)
		out[i] = sampled{c, w.line}
	}
	return out, nil
}

// count judges each sample by the condition at its place.
func count(samples []sampled, judge []condition, words keywords, known map[string]bool) ControlReport {
	const shown = 20
	var rep ControlReport
	var share, trigger, category, categories, novel int
	distinct := map[string]bool{}
	for i, s := range samples {
		c := judge[i]
		kind, cat := words.kind[c.kind].in(s.line), words.category[c.category].in(s.line)
		if kind {
			trigger++
		}
		if c.category != "" {
			categories++
			if cat {
				category++
			}
		}
		if kind || cat {
			share++
		} else if len(rep.Missed) < shown {
			rep.Missed = append(rep.Missed, fmt.Sprintf("%s %s %s: %s", c.kind, c.category, c.language, s.line))
		}
		distinct[s.line] = true
		if s.line != "" && !known[s.line] {
			novel++
			if len(rep.New) < shown {
				rep.New = append(rep.New, s.line)
			}
		}
	}
	n := float64(len(samples))
	rep.Samples, rep.Distinct = len(samples), len(distinct)
	rep.Share, rep.Trigger, rep.Novel = float64(share)/n, float64(trigger)/n, float64(novel)/n
	rep.Category = float64(category) / float64(max(categories, 1))
	return rep
}

// wordList are words that name one thing.
type wordList []string

// in reports whether a line names it in its words outside the slots. A word of letters
// must begin where a word of the line begins.
func (w wordList) in(line string) bool {
	for s := range slotCount {
		line = strings.ReplaceAll(line, s.String(), " ")
	}
	line = strings.ToLower(line)
	return slices.ContainsFunc(w, func(word string) bool {
		for from := 0; ; {
			i := strings.Index(line[from:], word)
			if i < 0 {
				return false
			}
			i += from
			first, size := utf8.DecodeRuneInString(word)
			before, _ := utf8.DecodeLastRuneInString(line[:i])
			if unicode.Is(unicode.Han, first) || !unicode.IsLetter(before) {
				return true
			}
			from = i + size
		}
	})
}

// keywords say what names a trigger and what names a category.
type keywords struct{ kind, category map[string]wordList }

func readKeywords() (keywords, error) {
	b, err := corpusFiles.ReadFile("corpus/keywords.txt")
	if err != nil {
		return keywords{}, fmt.Errorf("content: read keywords: %w", err)
	}
	secs, err := sections(string(b))
	if err != nil {
		return keywords{}, fmt.Errorf("content: keywords: %w", err)
	}
	out := keywords{map[string]wordList{}, map[string]wordList{}}
	for _, s := range secs {
		switch {
		case len(s.head) == 2 && s.head[0] == "kind" && slices.Contains(Kinds(), s.head[1]):
			out.kind[s.head[1]] = s.lines
		case len(s.head) == 2 && s.head[0] == "category" && slices.Contains(Categories(), s.head[1]):
			out.category[s.head[1]] = s.lines
		default:
			return keywords{}, fmt.Errorf("content: keywords: unknown section %q", s.head)
		}
	}
	return out, nil
}
