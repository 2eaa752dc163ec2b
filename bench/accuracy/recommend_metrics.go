package accuracy

import (
	"math"
	"math/rand/v2"
	"slices"

	"millrace/operators/recommend"
)

// RecommendResult is a row of the table: one method on one data set by one protocol.
type RecommendResult struct {
	Name        string `json:"name"`
	Method      string `json:"method"`
	Protocol    string `json:"protocol"`
	Exclude     string `json:"exclude"`
	Predictions int    `json:"predictions"`

	// Next item: is the one relevant item among the first 20, and where?
	HR20   float64 `json:"hr@20"`
	MRR20  float64 `json:"mrr@20"`
	NDCG10 float64 `json:"ndcg@10"` // 1/log2(rank+1), rank from 1, beside the best possible
	NDCG20 float64 `json:"ndcg@20"`
	// All remaining items of a session are relevant, as Serenade has it.
	SerenadeNDCG20 float64 `json:"serenade_ndcg@20"`
	Precision20    float64 `json:"precision@20"`
	Recall20       float64 `json:"recall@20"`
	Coverage20     float64 `json:"coverage@20"` // share of the items of the training data that were recommended
	// The first ten.
	HR10     float64 `json:"hr@10"`
	Recall10 float64 `json:"recall@10"`
	MRR10    float64 `json:"mrr@10"`

	Seconds float64         `json:"seconds"` // of all its predictions
	Gains   []RecommendGain `json:"gains,omitempty"`
}

// RecommendGain compares a method with the best single voice, by bootstrap over people
// or sessions.
type RecommendGain struct {
	Metric string  `json:"metric"`
	Over   string  `json:"over"`
	Gain   float64 `json:"gain"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// outcome is how one prediction did. Each number is a metric of RecommendResult.
type outcome struct {
	hr20, mrr20, ndcg10, ndcg20, serenade, precision, recall20, hr10, recall10, mrr10 float32
}

// tally collects the outcomes of a method.
type tally struct {
	all     []outcome
	shown   map[recommend.Num]bool
	seconds float64
}

// truth is what the list of a prediction is compared with.
type truth struct {
	next   []recommend.Num // relevant by the protocol
	rest   []recommend.Num // all that remains of the session, each once
	others int             // relevant ones without a number, which nobody can recommend
	clicks int             // what remains, repeats included
}

// add judges a list.
func (t *tally) add(list []recommend.Ranked, w *truth) {
	var o outcome
	var gain10, gain20, serenade float64
	hits10, hits20, rest := 0, 0, 0
	for rank, r := range list[:min(len(list), 20)] {
		t.shown[r.Item] = true
		if slices.Contains(w.rest, r.Item) {
			rest++
			serenade += serenadeGain(rank)
		}
		if !slices.Contains(w.next, r.Item) {
			continue
		}
		if hits20++; hits20 == 1 {
			o.mrr20 = 1 / float32(rank+1)
		}
		gain20 += 1 / math.Log2(float64(rank)+2)
		if rank < 10 {
			hits10++
			gain10 += 1 / math.Log2(float64(rank)+2)
			o.mrr10 = o.mrr20
		}
	}
	relevant := len(w.next) + w.others
	o.hr20, o.hr10 = float32(min(hits20, 1)), float32(min(hits10, 1))
	o.ndcg10, o.ndcg20 = float32(gain10/ideal(min(relevant, 10))), float32(gain20/ideal(min(relevant, 20)))
	o.recall10 = float32(hits10) / float32(relevant)
	o.recall20 = float32(hits20) / float32(relevant)
	o.precision = float32(hits20) / 20
	if len(w.rest) > 0 || w.clicks > 0 {
		best := 0.0
		for rank := range min(w.clicks, 20) {
			best += serenadeGain(rank)
		}
		o.serenade = float32(serenade / best)
		o.recall20 = float32(rest) / float32(w.clicks)
		o.precision = float32(rest) / 20
	}
	t.all = append(t.all, o)
}

// ideal is the gain of n relevant items in the first n places.
func ideal(n int) float64 {
	sum := 0.0
	for rank := range n {
		sum += 1 / math.Log2(float64(rank)+2)
	}
	return sum
}

// serenadeGain is Serenade's gain of a place, from 0: the first two weigh the same.
func serenadeGain(rank int) float64 {
	if rank == 0 {
		return 1
	}
	return 1 / math.Log2(float64(rank)+1)
}

// result is the mean of all outcomes.
func (t *tally) result(items int) RecommendResult {
	var r RecommendResult
	n := float64(max(len(t.all), 1))
	for _, o := range t.all {
		r.HR20 += float64(o.hr20)
		r.MRR20 += float64(o.mrr20)
		r.NDCG10 += float64(o.ndcg10)
		r.NDCG20 += float64(o.ndcg20)
		r.SerenadeNDCG20 += float64(o.serenade)
		r.Precision20 += float64(o.precision)
		r.Recall20 += float64(o.recall20)
		r.HR10 += float64(o.hr10)
		r.Recall10 += float64(o.recall10)
		r.MRR10 += float64(o.mrr10)
	}
	for _, sum := range []*float64{
		&r.HR20, &r.MRR20, &r.NDCG10, &r.NDCG20, &r.SerenadeNDCG20, &r.Precision20, &r.Recall20, &r.HR10, &r.Recall10, &r.MRR10,
	} {
		*sum /= n
	}
	r.Predictions, r.Seconds = len(t.all), t.seconds
	r.Coverage20 = float64(len(t.shown)) / float64(max(items, 1))
	return r
}

// measures are the metrics that gains are told in.
var measures = map[string]func(*outcome) float32{
	"hr@20":     func(o *outcome) float32 { return o.hr20 },
	"mrr@20":    func(o *outcome) float32 { return o.mrr20 },
	"ndcg@10":   func(o *outcome) float32 { return o.ndcg10 },
	"recall@10": func(o *outcome) float32 { return o.recall10 },
}

// gainOver compares two methods on the same predictions: the mean difference and its 95 %
// interval by a paired bootstrap of 1,000 draws of whole clusters, which are people or
// sessions, as what one of them does hangs together.
func gainOver(metric, over string, a, b *tally, cluster []int) RecommendGain {
	of := measures[metric]
	clusters := 0
	for _, c := range cluster {
		clusters = max(clusters, c+1)
	}
	sum, size := make([]float64, clusters), make([]float64, clusters)
	for k := range a.all {
		sum[cluster[k]] += float64(of(&a.all[k]) - of(&b.all[k]))
		size[cluster[k]]++
	}
	g := RecommendGain{Metric: metric, Over: over}
	mean := func(pick func(int) int) float64 {
		total, n := 0.0, 0.0
		for k := range clusters {
			total += sum[pick(k)]
			n += size[pick(k)]
		}
		return total / max(n, 1)
	}
	g.Gain = mean(func(k int) int { return k })
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a bootstrap is to be repeatable
	draws := make([]float64, 1000)
	picked := make([]int, clusters)
	for d := range draws {
		for k := range picked {
			picked[k] = rng.IntN(clusters)
		}
		draws[d] = mean(func(k int) int { return picked[k] })
	}
	slices.Sort(draws)
	g.Low, g.High = draws[25], draws[974]
	return g
}
