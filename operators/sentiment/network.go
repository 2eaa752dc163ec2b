package sentiment

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"millrace/operators/lstm"
)

// NetworkOptions says how the LSTM is made. Its zero value works.
type NetworkOptions struct {
	Epochs int
	Embed  int
	Hidden int
	Vocab  int // units that are known, the most frequent ones
	Pairs  int // pairs that are known
}

func (o NetworkOptions) withDefaults() NetworkOptions {
	o.Epochs = cmp.Or(o.Epochs, 3)   // what was measured; one pass over 40,000 reviews takes a minute
	o.Embed = cmp.Or(o.Embed, 32)    // the width that the reference trial used
	o.Hidden = cmp.Or(o.Hidden, 48)  // twice as many cells would take three times as long
	o.Vocab = cmp.Or(o.Vocab, 8000)  // nearly all characters, and the words of reviews
	o.Pairs = cmp.Or(o.Pairs, 30000) // pairs met at least three times, in fifty thousand reviews
	return o
}

// What the network reads of a long text: how it begins and how it ends.
const (
	readFirst = 48
	readLast  = 32
)

// The least number of texts that a unit or a pair must stand in to be known.
const (
	unitTexts = 2
	pairTexts = 3
)

// network is an LSTM with the tables that turn a text into its numbers.
type network struct {
	units, pairs map[uint32]int32 // by hash; 0 is unknown
	net          *lstm.Classifier
}

// score returns the log odds that the text is positive.
func (n *network) score(d *Doc) float64 {
	return n.net.Logit(n.read(d))
}

// read returns the numbers of a text's units and pairs.
func (n *network) read(d *Doc) (tokens, pairs []int32) {
	tokens, pairs = lookUp(n.units, d.units), lookUp(n.pairs, d.pairs)
	if len(tokens) > readFirst+readLast {
		tokens = slices.Concat(tokens[:readFirst], tokens[len(tokens)-readLast:])
		pairs = slices.Concat(pairs[:readFirst], pairs[len(pairs)-readLast:])
	}
	return tokens, pairs
}

func lookUp(table map[uint32]int32, hashes []uint32) []int32 {
	out := make([]int32, len(hashes))
	for i, h := range hashes {
		out[i] = table[h]
	}
	return out
}

// known numbers the hashes that stand in at least least texts, at most most-1 of them,
// the most frequent ones first.
func known(docs []*Doc, of func(*Doc) []uint32, least, most int) []uint32 {
	texts := map[uint32]int{}
	last := map[uint32]int{}
	for i, d := range docs {
		for _, h := range of(d) {
			if last[h] != i+1 {
				last[h] = i + 1
				texts[h]++
			}
		}
	}
	var out []uint32
	for h, n := range texts {
		if n >= least {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b uint32) int { return cmp.Or(cmp.Compare(texts[b], texts[a]), cmp.Compare(a, b)) })
	return out[:min(len(out), most-1)]
}

// numbered gives the hashes the numbers from 1.
func numbered(hashes []uint32) map[uint32]int32 {
	out := make(map[uint32]int32, len(hashes))
	for i, h := range hashes {
		out[h] = int32(i + 1) //nolint:gosec // tables hold at most 65536 entries
	}
	return out
}

// trainNetwork trains an LSTM on texts. Its tables are made of the same texts.
func trainNetwork(ctx context.Context, docs []*Doc, positive []bool, o Options, progress func(share float64)) (*network, error) {
	w := o.Network.withDefaults()
	units := known(docs, func(d *Doc) []uint32 { return d.units }, unitTexts, w.Vocab)
	pairs := known(docs, func(d *Doc) []uint32 { return d.pairs }, pairTexts, w.Pairs)
	c := lstm.ClassifierConfig{Vocab: max(2, len(units)+1), Pairs: len(pairs) + 1, Embed: w.Embed, Hidden: w.Hidden}
	net, err := lstm.NewClassifier(c, o.Seed)
	if err != nil {
		return nil, fmt.Errorf("sentiment: make network: %w", err)
	}
	n := &network{numbered(units), numbered(pairs), net}
	texts := make([]lstm.LabelledText, len(docs))
	for i, d := range docs {
		texts[i].Class = class(positive[i])
		texts[i].Tokens, texts[i].Pairs = n.read(d)
	}
	s := lstm.ClassifierSchedule{
		Epochs: w.Epochs, Seed: o.Seed,
		Buckets:  []int{8, 16, 24, 32, 48, 64, readFirst + readLast},
		Progress: func(step, total int, _ float64) { progress(float64(step) / float64(total+1)) },
	}
	if _, err := lstm.TrainClassifier(ctx, net, texts, s); err != nil {
		return nil, fmt.Errorf("sentiment: train network: %w", err)
	}
	return n, nil
}
