package content

import (
	"fmt"
	"strconv"

	"millrace/operators/lstm"
)

// HeldOut is the text by which a model of subjects is judged, and what it makes of it.
type HeldOut struct {
	Learnt [][]string // lines as tokens, the marks of begin and end left out
	Held   [][]string // lines that no training saw
	Loss   float64    // of the model on the held lines, in nats per token, end marks included
	Tokens int        // how many those are
}

// MeasureHeld cuts the corpus of this build as the training of a model did, and measures
// the model on the lines that were held back.
func MeasureHeld(file []byte) (HeldOut, error) {
	m, err := lstm.Decode(file)
	if err != nil {
		return HeldOut{}, fmt.Errorf("content: %w", err)
	}
	own := m.Meta(metaOwn)
	hash, err := corpusHash(own)
	if err != nil {
		return HeldOut{}, err
	}
	if m.Meta(metaCorpus) != hash {
		return HeldOut{}, fmt.Errorf("content: the model was trained on corpus %.8s, the build holds %.8s", m.Meta(metaCorpus), hash)
	}
	seed, err := strconv.ParseUint(m.Meta(metaSeed), 10, 64)
	if err != nil {
		return HeldOut{}, fmt.Errorf("content: seed of the model: %w", err)
	}
	v, err := readVocabulary(m)
	if err != nil {
		return HeldOut{}, err
	}
	lines, err := corpusWith(own)
	if err != nil {
		return HeldOut{}, err
	}
	learnt, held, err := newLessons(v, lines, seed)
	if err != nil {
		return HeldOut{}, err
	}
	out := HeldOut{Loss: lstm.NewRunner(m).Loss(held)}
	text := func(ids []int32) []string {
		var words []string
		for _, id := range ids[1 : len(ids)-1] {
			words = append(words, v.tokens[id])
		}
		return words
	}
	for _, ids := range learnt.ids {
		out.Learnt = append(out.Learnt, text(ids))
	}
	for _, e := range held {
		out.Held = append(out.Held, text(e.Tokens))
		out.Tokens += len(e.Tokens) - 1
	}
	return out, nil
}
