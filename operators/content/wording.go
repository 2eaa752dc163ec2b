package content

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// This file holds the model of wording: a logistic regression over words and marks that
// tells what reads like spam, or like an insult, from what a shop or a friend would write.
// It is learnt once, when first asked for, from messages written for this project and
// from the corpus itself: word lists are blind to what they do not list.

// The classes of wordings.
const (
	fineWording = iota
	spamWording
	toxicWording
	wordingClasses
)

// wordingNames are the classes as their section and their reason name them.
func wordingNames() [wordingClasses]string { return [wordingClasses]string{"fine", "spam", "toxic"} }

const (
	// wordingLeast is how likely a text must read like spam, or like an insult, to be
	// refused: above it lies hardly any fine text that was left out of the learning
	// (TestWordingLeavesFineAlone).
	wordingLeast  = 0.4
	wordingEpochs = 25
	wordingStep   = 0.5  // of Adagrad (Duchi et al. 2011)
	wordingDecay  = 2e-4 // of a weight, whenever it is met
)

// wording is the model: a weight for each class but fine of each feature, and a bias. It
// does not change.
type wording struct {
	weights map[string]*[wordingClasses]float64
	bias    [wordingClasses]float64
}

// shippedWording is the model that all writers share.
var shippedWording = sync.OnceValues(func() (*wording, error) { //nolint:gochecknoglobals // made once, from constants
	texts, err := wordingTexts()
	if err != nil {
		return nil, err
	}
	return trainWording(texts), nil
})

// trainWording learns from texts by class. The same texts give the same model.
func trainWording(texts [wordingClasses][]string) *wording {
	type example struct {
		features []string
		class    int
	}
	var all []example
	for class, list := range texts {
		for _, text := range list {
			all = append(all, example{wordingFeatures(text), class})
		}
	}
	w := &wording{weights: make(map[string]*[wordingClasses]float64)}
	squares := make(map[string]*[wordingClasses]float64)
	r := rand.New(rand.NewPCG(uint64(len(all)), 0x776f7264)) //nolint:gosec // no secret
	for range wordingEpochs {
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, e := range all {
			for class := spamWording; class < wordingClasses; class++ {
				truth, weight := 0.0, 1.0
				if e.class == class { // as many of each class, by weight
					truth, weight = 1, math.Sqrt(float64(len(all)-len(texts[class]))/float64(max(len(texts[class]), 1)))
				}
				gradient := weight * (w.odds(e.features, class) - truth) / math.Sqrt(float64(max(len(e.features), 1)))
				w.step(squares, e.features, class, gradient)
			}
		}
	}
	return w
}

// step moves the weights of some features against a gradient.
func (w *wording) step(squares map[string]*[wordingClasses]float64, features []string, class int, gradient float64) {
	for _, f := range features {
		x, q := w.weights[f], squares[f]
		if x == nil {
			x, q = new([wordingClasses]float64), new([wordingClasses]float64)
			w.weights[f], squares[f] = x, q
		}
		g := gradient + wordingDecay*x[class]
		q[class] += g * g
		x[class] -= wordingStep * g / math.Sqrt(q[class]+1e-6)
	}
	w.bias[class] -= wordingStep * gradient / 10
}

// odds is how likely a text of these features is of a class.
func (w *wording) odds(features []string, class int) float64 {
	sum := 0.0
	for _, f := range features {
		if x := w.weights[f]; x != nil {
			sum += x[class]
		}
	}
	return 1 / (1 + math.Exp(-w.bias[class]-sum/math.Sqrt(float64(max(len(features), 1)))))
}

// judge names what a text reads like, "spam" or "toxic", or is "", and says how likely
// that is.
func (w *wording) judge(text string) (reason string, likely float64) {
	features := wordingFeatures(text)
	for class := spamWording; class < wordingClasses; class++ {
		if p := w.odds(features, class); p > likely {
			likely, reason = p, wordingNames()[class]
		}
	}
	if likely < wordingLeast {
		return "", likely
	}
	return reason, likely
}

// wordingTexts are the messages to learn from, by class.
func wordingTexts() ([wordingClasses][]string, error) {
	var out [wordingClasses][]string
	b, err := corpusFiles.ReadFile("corpus/wording.txt")
	if err != nil {
		return out, fmt.Errorf("content: read wordings: %w", err)
	}
	secs, err := sections(string(b))
	if err != nil {
		return out, fmt.Errorf("content: wordings: %w", err)
	}
	names := wordingNames()
	for _, s := range secs {
		class := slices.Index(names[:], strings.Join(s.head, " "))
		if class < 0 {
			return out, fmt.Errorf("content: wordings: section %q, want one of %v", s.head, names)
		}
		out[class] = append(out[class], s.lines...)
	}
	for _, lang := range languages() {
		for _, part := range Parts() {
			text, err := corpusFile(lang, part)
			if err != nil {
				return out, err
			}
			lines, err := parseCorpus(lang, part, text, lexicon{})
			if err != nil && part == Subject {
				return out, fmt.Errorf("content: wordings: %w", err)
			}
			for _, l := range lines {
				if !l.Grammar { // one pattern is to count once
					out[fineWording] = append(out[fineWording], l.Text)
				}
			}
		}
	}
	return out, nil
}

// wordingMost bounds the work on a text from outside.
const wordingMost = 2048

// wordingFeatures are the different words and pairs of words of a text, of Chinese its
// characters and pairs of them, and what its marks look like. Slots are left out.
func wordingFeatures(text string) []string {
	text = text[:min(len(text), wordingMost)]
	for s := range slotCount {
		text = strings.ReplaceAll(text, s.String(), " ")
	}
	out := wordingShapes(text)
	last := ""
	add := func(unit string) {
		out = append(out, unit)
		if last != "" {
			out = append(out, last+" "+unit)
		}
		last = unit
	}
	for word := range strings.FieldsFuncSeq(fold(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' }) {
		if strings.ContainsFunc(word, unicode.IsDigit) {
			add("#" + string(rune('0'+min(len(word), 9)))) // a number by its length
			continue
		}
		rest := word
		for i, r := range word {
			if unicode.Is(unicode.Han, r) {
				add(string(r))
				rest = word[i+len(string(r)):]
			}
		}
		if rest != "" {
			add(rest)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// wordingShapes are what a text looks like.
func wordingShapes(text string) []string {
	var out []string
	shouted, letters, run, longest := 0, 0, 0, 0
	for word := range strings.FieldsSeq(text) {
		upper := 0
		for _, r := range word {
			if unicode.IsUpper(r) {
				upper++
			}
		}
		if letters++; upper >= 3 && upper*4 >= len(word)*3 {
			shouted++
		}
	}
	for _, r := range text {
		if run++; !unicode.IsDigit(r) {
			run = 0
		}
		longest = max(longest, run)
	}
	flag := func(on bool, name string) {
		if on {
			out = append(out, "="+name)
		}
	}
	flag(shouted > 0, "shouts")
	flag(shouted*3 > letters && letters > 2, "shouts mostly")
	flag(strings.Count(text, "!")+strings.Count(text, "！") > 1, "exclaims")
	flag(longest >= 5, "long number")
	flag(longest >= 10, "telephone")
	flag(strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Sc, r) }), "currency")
	flag(strings.Contains(text, "www.") || strings.Contains(text, "http"), "address")
	return out
}

// reads is what the model of wording has against a line, or "".
func (w *Writer) reads(line string) string {
	if reason, _ := w.wording.judge(line); reason != "" {
		return whyReads + reason
	}
	return ""
}

// fineWordings reports whether the shared model has nothing against a text.
func fineWordings(text string) bool {
	m, err := shippedWording()
	if err != nil {
		return false
	}
	reason, _ := m.judge(text)
	return reason == ""
}

// Wording judges a text as the guard does, by its word lists and by its model of wording:
// each answers "spam", "toxic" or another reason, or "".
func (w *Writer) Wording(text string) (byLists, byModel string) {
	byLists = w.policies.breaks(text, nil)
	byModel, _ = w.wording.judge(text)
	return byLists, byModel
}
