package accuracy

import (
	"context"
	"fmt"
	"time"

	"millrace/operators/sentiment"
)

// SentimentScore is what a model reached on a set.
type SentimentScore struct {
	Name     string  `json:"name"`
	Model    string  `json:"model"`
	N        int     `json:"n"` // texts that were judged, each once
	Folds    int     `json:"folds"`
	Accuracy float64 `json:"accuracy"`
	Low      float64 `json:"low"` // ends of the 95 % interval of the accuracy
	High     float64 `json:"high"`
	F1       float64 `json:"f1"` // of the positive class: praise, spam, clickbait
	AUC      float64 `json:"auc"`
	ECE      float64 `json:"ece"`
	Seconds  float64 `json:"seconds"`
}

// EvaluateSentiment trains and judges a model on each fold of a set. Training, its
// calibration included, sees Train of the split alone. Progress, if set, is called as it
// goes on.
func EvaluateSentiment(ctx context.Context, s SentimentSet, o sentiment.Options, progress func(done, total int)) (SentimentScore, error) {
	began := time.Now()
	split, err := SplitSentiment(s, o.Seed)
	if err != nil {
		return SentimentScore{}, err
	}
	var t Tally
	for fold := range split.Tests() {
		if progress != nil {
			o.Progress = func(done, total int) { progress(fold*total+done, split.Tests()*total) }
		}
		m, err := sentiment.Train(ctx, split.Train(fold), o)
		if err != nil {
			return SentimentScore{}, fmt.Errorf("evaluate set %s: %w", s.Name, err)
		}
		split.Test(fold, m.Probability, &t)
	}
	low, high := t.Interval()
	kind := o.Kind
	if kind == "" {
		kind = sentiment.DefaultKind
	}
	return SentimentScore{
		Name: s.Name, Model: string(kind), N: t.Len(), Folds: split.Tests(),
		Accuracy: t.Accuracy(), Low: low, High: high, F1: t.F1(), AUC: t.AUC(), ECE: t.ECE(),
		Seconds: time.Since(began).Seconds(),
	}, nil
}
