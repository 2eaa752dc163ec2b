package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// This file says for whom a mail pays: it learns the uplift from a sample, measures on
// people that were not learnt from how well it sorts them, and makes a model of it.

// The ways to learn an uplift.
const (
	LearnerTwoModels   = "two models"
	LearnerX           = "X-learner"
	LearnerTransformed = "transformed outcome"
)

const (
	qiniDraws  = 200 // of the bootstrap: a bound of 95 % rests on the outer five of each side
	qiniPoints = 50  // of the curve
	upliftBins = 10  // parts of the people in the table
)

// ErrTooFew is returned when an uplift cannot be learnt yet.
var ErrTooFew = errors.New("too few people")

// UpliftFit is what was learnt from a sample, measured by people who were not learnt from.
// Gains are of the goal for each person: a share, or money in the smallest unit.
type UpliftFit struct {
	Experiment string         `json:"experiment"`
	Phase      string         `json:"phase"`
	Goal       string         `json:"goal"`
	At         int64          `json:"at"` // watermark, Unix milliseconds
	People     int            `json:"people"`
	Mailed     int            `json:"mailed"`
	Held       int            `json:"held_out"`
	Waiting    int64          `json:"waiting"` // whose window is open yet; left out
	OneOf      int            `json:"one_of"`  // people there is one in the sample
	Effect     float64        `json:"effect"`  // of a mail, a person, over all
	EffectLo   float64        `json:"effect_lo"`
	EffectHi   float64        `json:"effect_hi"`
	Learners   []LearnerScore `json:"learners"` // the best first
	Sure       bool           `json:"sure"`     // the best one sorts better than chance
	Curve      []QiniPoint    `json:"curve"`    // of the best one
	Bins       []UpliftStep   `json:"bins"`     // of the best one, the most promising people first
	Model      *UpliftModel   `json:"model"`
}

// LearnerScore is how well a learner sorts people it did not learn from: the area between
// its Qini curve and the line of a random order, with an interval of 95 %.
type LearnerScore struct {
	Learner string  `json:"learner"`
	Qini    float64 `json:"qini"`
	Lo      float64 `json:"lo"`
	Hi      float64 `json:"hi"`
}

// QiniPoint is what mailing the most promising share of the people would bring, each
// person of all mailed ones, with an interval of 95 % of this point.
type QiniPoint struct {
	Share float64 `json:"share"`
	Gain  float64 `json:"gain"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
}

// UpliftStep is a part of the people: what was predicted, and what came.
type UpliftStep struct {
	People    int     `json:"people"`
	Predicted float64 `json:"predicted"`
	Observed  float64 `json:"observed"`
	SE        float64 `json:"se"`
}

// UpliftModel says what a mail adds to the goal of a person. It does not change.
type UpliftModel struct {
	Experiment string    `json:"experiment"`
	Phase      string    `json:"phase"`
	Goal       string    `json:"goal"`
	Money      bool      `json:"money"` // the goal is in the smallest unit of a currency
	Learner    string    `json:"learner"`
	Features   []string  `json:"features"`
	Weights    []float64 `json:"weights"`
	People     int       `json:"people"`
	Qini       float64   `json:"qini"`
	Lo         float64   `json:"lo"`
	Hi         float64   `json:"hi"`
	At         int64     `json:"at"`
}

// Predict is what a mail adds for a person of these features, see Feature.
func (m *UpliftModel) Predict(features []int64) float64 {
	sum := 0.0
	for i, w := range m.Weights {
		if i < len(features) {
			sum += w * float64(features[i]) / FeatureScale
		}
	}
	return sum
}

// ReadUpliftModel reads a model that was kept as JSON. features are the names of what is
// known of people: a model of others cannot be used.
func ReadUpliftModel(raw []byte, features []string) (*UpliftModel, error) {
	m := new(UpliftModel)
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("read an uplift model: %w", err)
	}
	if len(m.Weights) == 0 || len(m.Weights) != len(m.Features) || !slices.Equal(m.Features, features) {
		return nil, fmt.Errorf("read an uplift model: %d weights of the features %.200q, want %q", len(m.Weights), m.Features, features)
	}
	for _, w := range m.Weights {
		if !(math.Abs(w) <= AmountMax) {
			return nil, fmt.Errorf("read an uplift model: a weight of %v, at most %d is one", w, int64(AmountMax))
		}
	}
	return m, nil
}

// Uplift learns for whom a mail pays from the people of an experiment: all variants against
// the holdout. names are those of the features. The learner is chosen by how well it sorts
// people that it did not learn from.
func (s *Roll) Uplift(r *Running, names []string, watermark int64) (*UpliftFit, error) {
	held := r.Arm(ArmHoldout)
	if held < 0 {
		return nil, fmt.Errorf("experiment %s holds nobody out: nothing is known of people without a mail", r.Name)
	}
	out := &UpliftFit{
		Experiment: r.Name, Phase: r.key[len(r.Name)+1:], Goal: r.Metrics[r.Goal].Name, At: watermark,
		People: len(s.Units), Waiting: s.Waiting, OneOf: 1 << s.Halved,
	}
	for i := range s.Units {
		if s.Units[i].Arm == held {
			out.Held++
		}
	}
	out.Mailed = out.People - out.Held
	if out.Held < upliftLeast || out.Mailed < upliftLeast {
		return nil, fmt.Errorf("%d people mailed and %d held out whose window is past, %d wait: %w, want %d of each",
			out.Mailed, out.Held, s.Waiting, ErrTooFew, upliftLeast)
	}
	if s.Dims != len(names) {
		return nil, fmt.Errorf("the people have %d features, want the %d that are known", s.Dims, len(names))
	}
	all, predicted, err := s.learn(held)
	if err != nil {
		return nil, err
	}
	s.judge(out, held, predicted)
	best := out.Learners[0]
	weights, err := all.weights(best.Learner)
	if err != nil {
		return nil, err
	}
	out.Model = &UpliftModel{
		Experiment: out.Experiment, Phase: out.Phase, Goal: out.Goal, Money: out.Goal == MetricRevenue, Learner: best.Learner,
		Features: names, Weights: slices.Clone(weights), People: out.People, Qini: best.Qini, Lo: best.Lo, Hi: best.Hi, At: watermark,
	}
	return out, nil
}

// learners are the names of the ways to learn, in their order.
func learners() []string { return []string{LearnerTwoModels, LearnerX, LearnerTransformed} }

func (u *Uplift) weights(learner string) ([]float64, error) {
	switch learner {
	case LearnerTwoModels:
		return u.TwoModels()
	case LearnerX:
		return u.XLearner()
	}
	return u.Transformed(u.Treated.N / (u.Treated.N + u.Control.N))
}

func (u *Uplift) merge(o *Uplift) error {
	return errors.Join(u.Treated.Merge(o.Treated), u.Control.Merge(o.Control))
}

// learn fits all units, and predicts each of them from those of the other folds: by
// learner, by unit.
func (s *Roll) learn(held int) (*Uplift, [][]float64, error) {
	folds := make([]*Uplift, foldsMax)
	all, err := NewUplift(s.Dims, 1)
	for k := range folds {
		if err == nil {
			folds[k], err = NewUplift(s.Dims, 1)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	var x []float64
	for i := range s.Units {
		u := &s.Units[i]
		x = s.numbers(x[:0], i)
		if err := folds[u.Fold].Add(x, float64(u.Outcome), u.Arm != held); err != nil {
			return nil, nil, err
		}
	}
	for _, f := range folds {
		if err := all.merge(f); err != nil {
			return nil, nil, err
		}
	}
	predicted := make([][]float64, len(learners()))
	for l := range predicted {
		predicted[l] = make([]float64, len(s.Units))
	}
	for k := range folds {
		if err := s.predict(folds, k, predicted); err != nil {
			return nil, nil, err
		}
	}
	return all, predicted, nil
}

// predict predicts the units of a fold from the others.
func (s *Roll) predict(folds []*Uplift, k int, predicted [][]float64) error {
	rest, err := NewUplift(s.Dims, 1)
	if err != nil {
		return err
	}
	for other, f := range folds {
		if other != k {
			if err := rest.merge(f); err != nil {
				return err
			}
		}
	}
	for l, name := range learners() {
		w, err := rest.weights(name)
		if err != nil {
			return fmt.Errorf("learn by %s: %w", name, err)
		}
		var x []float64
		for i := range s.Units {
			if s.Units[i].Fold != k {
				continue
			}
			x = s.numbers(x[:0], i)
			for j, v := range x {
				predicted[l][i] += w[j] * v
			}
		}
	}
	return nil
}

// ranking is an order of the units, the most promising first, in groups of equal ones.
type ranking struct {
	order []int
	ends  []int // exclusive, of each group
}

func rank(predicted []float64) ranking {
	minus := make([]float64, len(predicted))
	for i, p := range predicted {
		minus[i] = -p
	}
	r := ranking{order: ascending(minus)}
	for at := range r.order {
		if at+1 == len(r.order) || predicted[r.order[at+1]] != predicted[r.order[at]] {
			r.ends = append(r.ends, at+1)
		}
	}
	return r
}

// judge measures the learners, by the people as they are and by draws of them with
// replacement, the same draws for all learners.
func (s *Roll) judge(out *UpliftFit, held int, predicted [][]float64) {
	ranks := make([]ranking, len(predicted))
	for l := range predicted {
		ranks[l] = rank(predicted[l])
	}
	ones := make([]float64, len(s.Units))
	for i := range ones {
		ones[i] = 1
	}
	curves := make([][]float64, len(ranks)) // of all people
	areas, drawn := make([]float64, len(ranks)), make([][]float64, len(ranks))
	clouds := make([][][]float64, len(ranks)) // by learner, by point
	for l := range ranks {
		curves[l], areas[l] = s.qini(&ranks[l], held, ones)
		clouds[l] = make([][]float64, qiniPoints+1)
	}
	rng := rand.New(rand.NewPCG(Hash("qini", out.Experiment+"@"+out.Phase), 1))
	weights := make([]float64, len(s.Units))
	var whole []float64
	for range qiniDraws {
		for i := range weights {
			weights[i] = poisson(rng)
		}
		for l := range ranks {
			c, area := s.qini(&ranks[l], held, weights)
			drawn[l] = append(drawn[l], area)
			for k, g := range c {
				clouds[l][k] = append(clouds[l][k], g)
			}
			if l == 0 {
				whole = append(whole, c[qiniPoints])
			}
		}
	}
	order := make([]int, len(ranks))
	for l, name := range learners() {
		order[l] = l
		lo, hi := outer(drawn[l])
		out.Learners = append(out.Learners, LearnerScore{name, areas[l], lo, hi})
	}
	slices.SortStableFunc(order, func(a, b int) int { return compare(areas[b], areas[a]) })
	best := order[0]
	sorted := make([]LearnerScore, 0, len(order))
	for _, l := range order {
		sorted = append(sorted, out.Learners[l])
	}
	out.Learners, out.Sure = sorted, sorted[0].Lo > 0
	out.Effect = curves[best][qiniPoints]
	out.EffectLo, out.EffectHi = outer(whole)
	for k, g := range curves[best] {
		lo, hi := outer(clouds[best][k])
		out.Curve = append(out.Curve, QiniPoint{float64(k) / qiniPoints, g, lo, hi})
	}
	out.Bins = s.steps(&ranks[best], held, predicted[best])
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// outer are the bounds of the middle 95 % of draws.
func outer(draws []float64) (lo, hi float64) {
	d := slices.Clone(draws)
	slices.Sort(d)
	n := len(d)
	return d[n/40], d[n-1-n/40]
}

// poisson draws how often a unit stands in a draw of as many units as there are.
func poisson(rng *rand.Rand) float64 {
	u, p, sum, k := rng.Float64(), math.Exp(-1), math.Exp(-1), 0
	for u > sum && k < 12 {
		k++
		p /= float64(k)
		sum += p
	}
	return float64(k)
}

// qini is the curve at the points and the area between it and the straight line: what
// mailing the most promising share brings, each person of all that were mailed. Units with
// equal predictions are one step.
func (s *Roll) qini(r *ranking, held int, weights []float64) (curve []float64, area float64) {
	var total, mailed float64
	for i := range s.Units {
		total += weights[i]
		if s.Units[i].Arm != held {
			mailed += weights[i]
		}
	}
	curve = make([]float64, 1, qiniPoints+1)
	if !(mailed > 0) {
		return make([]float64, qiniPoints+1), 0
	}
	var n, y [2]float64
	lastX, lastY, at := 0.0, 0.0, 0
	for _, end := range r.ends {
		for ; at < end; at++ {
			i := r.order[at]
			k := 0
			if s.Units[i].Arm != held {
				k = 1
			}
			n[k] += weights[i]
			y[k] += weights[i] * float64(s.Units[i].Outcome)
		}
		x, g := (n[0]+n[1])/total, y[1]
		if n[0] > 0 {
			g -= y[0] * n[1] / n[0]
		}
		g /= mailed
		for len(curve) <= qiniPoints && float64(len(curve))/qiniPoints <= x+1e-12 {
			p := float64(len(curve)) / qiniPoints
			v := g
			if x > lastX {
				v = lastY + (g-lastY)*math.Min(1, (p-lastX)/(x-lastX))
			}
			curve = append(curve, v)
		}
		area += (x - lastX) * (g + lastY) / 2
		lastX, lastY = x, g
	}
	for len(curve) <= qiniPoints {
		curve = append(curve, lastY)
	}
	return curve, area - lastY/2
}

// steps cuts the people into parts of about equal size, by what was predicted.
func (s *Roll) steps(r *ranking, held int, predicted []float64) []UpliftStep {
	var out []UpliftStep
	for b := range upliftBins {
		from, to := b*len(r.order)/upliftBins, (b+1)*len(r.order)/upliftBins
		var sums [2]Moments
		sum := 0.0
		for _, i := range r.order[from:to] {
			k := 0
			if s.Units[i].Arm != held {
				k = 1
			}
			_ = sums[k].Add(Values{Value: clamp(s.Units[i].Outcome, AmountMax)}) // within its bound
			sum += predicted[i]
		}
		step := UpliftStep{People: to - from, Predicted: sum / float64(max(1, to-from))}
		c, t := sums[0].Joint(), sums[1].Joint()
		if c.N > 1 && t.N > 1 {
			step.Observed = t.Mean[Value] - c.Mean[Value]
			step.SE = math.Sqrt(t.Cov[Value][Value]/t.N + c.Cov[Value][Value]/c.N)
		}
		out = append(out, step)
	}
	return out
}
