package content

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"millrace/operators/event"
)

// This file says how well a subject suits the one who gets it: how close its topics are
// to the person's interests, and how far it is from what the person got before.

// Interest is how much a person is drawn to a category of the shop.
type Interest struct {
	Category string
	Weight   float64 // what is not above 0 is left out
}

// The settings of a match.
const (
	otherTopic = "other"
	// interestPrior is added to each topic's share of the interests, and topicPrior to each
	// topic's count in a text of one or two words of a topic. Without them the divergence
	// of a person with two interests from a text about one of them would be infinite.
	interestPrior = 0.01
	topicPrior    = 0.1
	// matchWeight is what a nat of divergence weighs against novelty, which is 0 to 1: a
	// subject on topic is up to two nats closer than one off topic.
	matchWeight = 0.5
	// repeatCost is what a subject loses that the person got word for word before: more
	// than being on topic and unlike the rest of the mail brings, so it is chosen only where all others were sent too.
	repeatCost = 3
	// saidWeight is what saying again what another part of the mail said costs: a sentence
	// that shares half its words with the subject loses more than being on topic brings.
	saidWeight   = 2
	seenMost     = 20 // of what a person got before
	interestMost = 64
)

// Topics returns the topics of interests and texts: the categories of the corpus, and
// "other" for all else.
func Topics() []string { return append(Categories(), otherTopic) }

// topicOf is the index of a shop's category.
func topicOf(category string) int {
	if at := slices.Index(Categories(), CanonicalCategory(category)); at >= 0 {
		return at
	}
	return len(Categories())
}

// InterestTopics is the distribution of a person's interests over Topics, smoothed: the
// share of the weight, plus interestPrior, scaled to sum to 1. It is nil for nobody's.
func InterestTopics(interests []Interest) []float64 {
	out := make([]float64, len(Topics()))
	var sum float64
	for _, i := range interests[:min(len(interests), interestMost)] {
		if i.Weight > 0 && !math.IsInf(i.Weight, 1) {
			out[topicOf(i.Category)] += i.Weight
			sum += i.Weight
		}
	}
	if sum == 0 || math.IsInf(sum, 1) {
		return nil
	}
	for i := range out {
		out[i] = (out[i]/sum + interestPrior) / (1 + float64(len(out))*interestPrior)
	}
	return out
}

// Divergence is the Kullback-Leibler divergence of q from p, Σ p·log(p/q), in nats
// (Kullback and Leibler 1951). Both must sum to 1; it is infinite where p is above 0 and q
// is not.
func Divergence(p, q []float64) float64 {
	var sum float64
	for i, x := range p {
		if x > 0 {
			sum += x * math.Log(x/q[i])
		}
	}
	return max(sum, 0) // below 0 by rounding only
}

// matcher counts the topics of lines. It does not change.
type matcher struct {
	words map[string]wordList
	tone  func(text string) float64 // nil where nobody predicts it
}

func newMatcher() (matcher, error) {
	k, err := readKeywords()
	return matcher{words: k.category}, err
}

// topics is the distribution of a line's topics over Topics, smoothed by topicPrior. A
// topic counts once for its words, and once for each slot that shows the item or its
// category.
func (m matcher) topics(line, itemCategory string) []float64 {
	out := make([]float64, len(Topics()))
	var sum float64
	for i, c := range Categories() {
		if m.words[c].in(line) {
			out[i]++
			sum++
		}
	}
	for _, s := range []Slot{Product, Category} {
		if itemCategory != "" && strings.Contains(line, s.String()) {
			out[topicOf(itemCategory)]++
			sum++
		}
	}
	for i := range out {
		out[i] = (out[i] + topicPrior) / (sum + float64(len(out))*topicPrior)
	}
	return out
}

// novelty is how far a subject is from the nearest of those seen: 1 less the Jaccard
// index of their words, or Chinese characters. It is 0 for one that was seen.
func novelty(subject string, seen []string) float64 {
	a := bag(subject)
	out := 1.0
	for _, s := range seen[max(0, len(seen)-seenMost):] {
		b := bag(s)
		both := 0
		for w := range a {
			if b[w] {
				both++
			}
		}
		if all := len(a) + len(b) - both; all > 0 {
			out = min(out, 1-float64(both)/float64(all))
		}
	}
	return out
}

// bag are the words of a text, Chinese characters one by one.
func bag(text string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsFuncSeq(fold(clip(text)), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		han := false
		for _, r := range w {
			if unicode.Is(unicode.Han, r) {
				out[string(r)], han = true, true
			}
		}
		if !han {
			out[w] = true
		}
	}
	return out
}

// clip bounds the work on a text from outside.
func clip(text string) string { return text[:min(len(text), 1024)] }

// Candidate is a text that was considered, as a decision keeps it.
type Candidate = event.Candidate

// How many candidates a decision keeps: of the subject, and of each other part.
const (
	candidatesMost = event.WrittenOthersMost
	othersMost     = 3
)

// proposal is a line that a decoder proposes for a task.
type proposal struct {
	written
	likely float64
	why    string // why it was refused
}

// judge scores the proposals and returns the chosen one's index, -1 for none, with what
// the decision keeps. Refused ones are never chosen; nor is a line that the network
// itself holds unlikely while it has a better one. Of equal scores the first one is
// chosen, and so the one the seed drew first.
func (m matcher) judge(all []proposal, t task) (int, []Candidate) {
	likeliest := math.Inf(-1)
	for _, p := range all {
		if p.why == "" {
			likeliest = max(likeliest, p.likely)
		}
	}
	best, out, clicks := -1, make([]Candidate, len(all)), t.rank(all)
	for i, p := range all {
		c := Candidate{Subject: p.subject, LogProb: p.likely, Novelty: novelty(p.subject, t.seen), Why: p.why}
		if t.interests != nil {
			c.KL = Divergence(t.interests, m.topics(p.line, t.itemCategory))
		}
		if slices.Contains(t.hashes, event.HashText(p.subject)) {
			c.Novelty = 0
		}
		c.Score = c.Novelty - matchWeight*c.KL
		if len(t.said) > 0 {
			c.Score -= saidWeight * (1 - novelty(p.subject, t.said))
		}
		if len(t.seen)+len(t.hashes) > 0 && c.Novelty == 0 {
			c.Score -= repeatCost
		}
		if c.Why == "" && p.likely < min(likelyFirst, likeliest) {
			c.Why = whyUnlikely
		}
		m.predict(&c, clicks[i])
		out[i] = c
		if c.Why == "" && (best < 0 || c.Score > out[best].Score) {
			best = i
		}
	}
	if best >= 0 {
		out[best].Chosen = true
	}
	return best, out
}

// What a prediction weighs beside novelty: both predictors are right somewhat more often
// than a coin, so neither may outweigh being on topic.
const (
	toneWeight  = 0.1
	clickWeight = 0.5
)

// predict adds what the tone and the clicks that are predicted for a text are worth. A
// click of 0 is no prediction.
func (m matcher) predict(c *Candidate, click float64) {
	if c.Why != "" {
		return
	}
	if m.tone != nil {
		if x := m.tone(c.Subject); !math.IsNaN(x) {
			c.Tone = min(max(x, -1), 1)
			c.Score += toneWeight * c.Tone
		}
	}
	if click > 0 {
		c.Click = click
		c.Score += clickWeight * (c.Click - 0.5)
	}
}

// keep bounds what a decision keeps: the chosen one, and of the others the first.
func keep(all []Candidate, most int) []Candidate {
	at := slices.IndexFunc(all, func(c Candidate) bool { return c.Chosen })
	if at >= most {
		all[most-1] = all[at]
	}
	all = all[:min(len(all), most)]
	for i := range all {
		c := &all[i]
		c.Subject = clean(c.Subject, event.WrittenTextMost)
		for _, x := range []*float64{&c.LogProb, &c.KL, &c.Novelty, &c.Tone, &c.Click, &c.Score} {
			if *x = math.Round(*x*1000) / 1000; math.IsNaN(*x) || math.IsInf(*x, 0) {
				*x = 0 // no number that JSON has
			}
		}
	}
	return all
}
