package accuracy

import (
	"fmt"

	"millrace/operators/sentiment"
)

// SentimentSplit holds a labelled set dealt into folds. Its rows can be reached in two
// ways only: Train copies those outside the test fold, and Test hands out the texts of
// the fold and keeps their labels, with which it judges the answers itself. So whoever
// trains has no way to a row of the test fold, and whoever predicts none to its label.
type SentimentSplit struct {
	examples []sentiment.Example
	fold     []int
	folds    int
	tests    int // folds that are tested: all, or the first
}

// SplitSentiment deals a set: into its folds, stratified, texts that say the same
// together; or into a test part that is given and a training part, from which what says
// the same as a text of the test part is left out.
func SplitSentiment(s SentimentSet, seed uint64) (*SentimentSplit, error) {
	if len(s.Dev) == 0 {
		examples := Examples(s.Rows)
		fold, err := sentiment.Deal(examples, s.Folds, seed)
		if err != nil {
			return nil, fmt.Errorf("split set %s: %w", s.Name, err)
		}
		return &SentimentSplit{examples, fold, s.Folds, s.Folds}, nil
	}
	out := &SentimentSplit{folds: 2, tests: 1}
	known := map[string]bool{}
	for _, e := range Examples(s.Dev) {
		known[e.Doc.Key()] = true
		out.examples = append(out.examples, e)
		out.fold = append(out.fold, 0)
	}
	for _, e := range Examples(s.Rows) {
		if !known[e.Doc.Key()] {
			out.examples = append(out.examples, e)
			out.fold = append(out.fold, 1)
		}
	}
	return out, nil
}

// Tests returns how many folds there are to test.
func (s *SentimentSplit) Tests() int { return s.tests }

// Train returns the examples that may be seen when fold is the test fold. The slice is
// the caller's own and holds nothing of the fold.
func (s *SentimentSplit) Train(fold int) []sentiment.Example {
	out := make([]sentiment.Example, 0, len(s.examples))
	for i, e := range s.examples {
		if s.fold[i] != fold {
			out = append(out, e)
		}
	}
	return out
}

// Test judges the answers to the texts of fold, one after the other, into t.
func (s *SentimentSplit) Test(fold int, answer func(*sentiment.Doc) float64, t *Tally) {
	for i, e := range s.examples {
		if s.fold[i] == fold {
			t.Add(answer(e.Doc), e.Positive)
		}
	}
}
