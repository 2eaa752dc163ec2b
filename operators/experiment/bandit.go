package experiment

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ArmsMax is how many arms a bandit may have; each decision looks at every pair.
const ArmsMax = 200

// Gaussian is what is believed of an arm's mean.
type Gaussian struct{ Mean, SD float64 }

// BestChances is for each arm the probability that its mean is the highest, which is the
// share of traffic that Thompson sampling gives it. Computed, not drawn, so that it can be
// logged as a propensity and is the same in every replay. Arms without any spread are
// certain; if several of them lead, they share.
func BestChances(arms []Gaussian) []float64 {
	out := make([]float64, len(arms))
	certain := math.Inf(-1)
	for _, a := range arms {
		if a.SD <= 0 {
			certain = math.Max(certain, a.Mean)
		}
	}
	var points []float64
	ties := 0.0
	for k, a := range arms {
		if a.SD <= 0 {
			if a.Mean == certain {
				ties++
				out[k] = 1
				for _, b := range arms {
					if b.SD > 0 {
						out[k] *= normalBelow((certain - b.Mean) / b.SD)
					}
				}
			}
			continue
		}
		for _, z := range bestPanels {
			points = append(points, a.Mean+z*a.SD)
		}
	}
	// Below the best certain arm nobody wins.
	if !math.IsInf(certain, -1) {
		points = slices.DeleteFunc(points, func(x float64) bool { return x < certain })
		points = append(points, certain)
	}
	slices.Sort(points)
	for k, a := range arms {
		if a.SD <= 0 {
			if a.Mean == certain {
				out[k] /= ties
			}
			continue
		}
		own := near(points, a.Mean-9*a.SD, a.Mean+9*a.SD)
		out[k] = integrate(own, func(x float64) float64 { return winDensity(arms, k, x) })
	}
	return normalised(out)
}

// bestPanels are where the integral over an arm's mean is cut, in its deviations.
var bestPanels = [...]float64{-9, -7, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 7, 9}

// near are the points within [lo, hi].
func near(points []float64, lo, hi float64) []float64 {
	i, _ := slices.BinarySearch(points, lo)
	j, _ := slices.BinarySearch(points, hi)
	if j < len(points) {
		j++
	}
	return points[max(0, i-1):j]
}

// winDensity is the density of arm k at x times the probability that all others lie below.
func winDensity(arms []Gaussian, k int, x float64) float64 {
	d := normalDensity((x-arms[k].Mean)/arms[k].SD) / arms[k].SD
	for i, b := range arms {
		if i == k || b.SD <= 0 {
			continue
		}
		if d < 1e-300 {
			return 0
		}
		d *= normalBelow((x - b.Mean) / b.SD)
	}
	return d
}

// normalised scales numbers to sum to one; equal ones if all are zero.
func normalised(w []float64) []float64 {
	sum := 0.0
	for _, v := range w {
		sum += v
	}
	for i := range w {
		if sum > 0 && !math.IsInf(sum, 1) {
			w[i] /= sum
		} else {
			w[i] = 1 / float64(len(w))
		}
	}
	return w
}

// TopTwo turns the chances of being best into the shares of top-two Thompson sampling
// (Russo, 2016): the leader by one draw is taken with probability beta, otherwise draws go
// on until another leads. beta 1 is Thompson sampling, .5 finds the best arm fastest.
func TopTwo(best []float64, beta float64) []float64 {
	out := make([]float64, len(best))
	for k, w := range best {
		other := 0.0
		for j, v := range best {
			if j != k && v < 1 {
				other += v / (1 - v)
			}
		}
		out[k] = w * (beta + (1-beta)*other)
		if w >= 1 { // nobody else ever leads
			out[k] = 1
		}
	}
	return normalised(out)
}

// Floor lifts every weight to at least f by p = f + (1 - n f) w; if that cannot be, all are
// equal, and a negative floor is none.
func Floor(weights []float64, f float64) []float64 {
	n := float64(len(weights))
	out := make([]float64, len(weights))
	f = math.Max(0, f)
	for i, w := range weights {
		if n*f >= 1 {
			out[i] = 1 / n
		} else {
			out[i] = f + (1-n*f)*w
		}
	}
	return out
}

// UCB1 is the upper bound by which an arm is chosen (Auer et al., 2002).
func UCB1(mean, alpha, total, count float64) (float64, error) {
	if !(count > 0) || !(total >= 1) {
		return 0, errors.New("an arm that was never pulled has no bound: pull it first")
	}
	return mean + alpha*math.Sqrt(2*math.Log(total)/count), nil
}

// Hand is what a person may set on a bandit. The zero value leaves it alone.
type Hand struct {
	Pinned int             // 1 + the arm that gets all traffic; 0: none
	Caps   map[int]float64 // most share of an arm
	Frozen []float64       // shares that stay as they are; nil: they move
}

// Bandit shares traffic between arms by what came back so far: Thompson sampling over Beta
// beliefs. Shares change only when rewards are learned, in batches, and are the logged
// propensities. One goroutine at a time.
type Bandit struct {
	options BanditOptions
	beliefs []Beta
	weights []float64
	hand    Hand
}

// BanditOptions say how a Bandit explores.
type BanditOptions struct {
	Prior     Beta    // of every arm; the zero value means 1, 1: every rate as likely
	Floor     float64 // least share of an arm; 0 means .002, negative none
	Beta      float64 // of top-two sampling; 0 means 1, plain Thompson sampling
	Forgetful float64 // by how much old counts shrink with each batch; 0 means not at all
}

func (o BanditOptions) withDefaults() BanditOptions {
	if o.Prior.A <= 0 || o.Prior.B <= 0 {
		o.Prior = Beta{1, 1}
	}
	if o.Floor == 0 {
		o.Floor = 0.002 // one pull in 500: weights stay below 500, and five arms lose 1 % of traffic
	}
	if o.Beta <= 0 || o.Beta > 1 {
		o.Beta = 1 // what is earned now counts; .5 to find the best arm
	}
	return o
}

// NewBandit begins with equal shares.
func NewBandit(arms int, o BanditOptions) (*Bandit, error) {
	if arms < 1 || arms > ArmsMax {
		return nil, fmt.Errorf("%d arms: want 1 to %d", arms, ArmsMax)
	}
	b := &Bandit{options: o.withDefaults(), beliefs: make([]Beta, arms)}
	for i := range b.beliefs {
		b.beliefs[i] = b.options.Prior
	}
	b.share()
	return b, nil
}

// Learn takes a batch of rewards: for each arm how many pulls matured and how many of them
// were rewarded. Negative numbers take back what was learned wrongly.
func (b *Bandit) Learn(pulls, rewards []float64) error {
	if len(pulls) != len(b.beliefs) || len(rewards) != len(b.beliefs) {
		return fmt.Errorf("rewards for %d and %d arms, want %d", len(pulls), len(rewards), len(b.beliefs))
	}
	keep := 1 - b.options.Forgetful
	next := slices.Clone(b.beliefs)
	for i, prior := 0, b.options.Prior; i < len(next); i++ {
		next[i].A = prior.A + keep*(next[i].A-prior.A) + rewards[i]
		next[i].B = prior.B + keep*(next[i].B-prior.B) + pulls[i] - rewards[i]
		if !(next[i].A > 0 && next[i].B > 0 && next[i].A+next[i].B <= BetaMax) {
			return fmt.Errorf("%v rewards of %v pulls of arm %d are not possible", rewards[i], pulls[i], i)
		}
	}
	b.beliefs = next
	b.share()
	return nil
}

// Set takes what a person decided.
func (b *Bandit) Set(h Hand) error {
	n := len(b.beliefs)
	if h.Pinned < 0 || h.Pinned > n {
		return fmt.Errorf("no arm %d to pin: there are %d", h.Pinned-1, n)
	}
	room := float64(n - len(h.Caps))
	for i, c := range h.Caps {
		if i < 0 || i >= n || !(c >= 0 && c <= 1) {
			return fmt.Errorf("cap %v on arm %d: want a share of one of %d arms", c, i, n)
		}
		room += c
	}
	if room < 1 {
		return fmt.Errorf("caps leave room for %v of the traffic", room)
	}
	if h.Frozen != nil && !sound(h.Frozen, n) {
		return fmt.Errorf("frozen shares %v: want %d that sum to 1", h.Frozen, n)
	}
	b.hand = h
	b.share()
	return nil
}

// share computes the shares anew.
func (b *Bandit) share() {
	switch {
	case b.hand.Pinned > 0:
		b.weights = make([]float64, len(b.beliefs))
		b.weights[b.hand.Pinned-1] = 1
		return
	case b.hand.Frozen != nil:
		b.weights = slices.Clone(b.hand.Frozen)
		return
	}
	w := BestBetas(b.beliefs)
	if b.options.Beta < 1 {
		w = TopTwo(w, b.options.Beta)
	}
	b.weights = capped(Floor(w, b.options.Floor), b.hand.Caps)
}

// capped takes what lies above a cap and gives it to the arms that have room, in proportion.
func capped(w []float64, caps map[int]float64) []float64 {
	for range len(caps) + 1 {
		over, open := 0.0, 0.0
		for i := range w {
			c, ok := caps[i]
			switch {
			case ok && w[i] >= c:
				over += w[i] - c
				w[i] = c
			default:
				open += w[i]
			}
		}
		if over <= 0 || open <= 0 {
			break
		}
		for i := range w {
			if c, ok := caps[i]; !ok || w[i] < c {
				w[i] *= 1 + over/open
			}
		}
	}
	return w
}

// Shares are the propensities of the arms as of now. The caller must not change them.
func (b *Bandit) Shares() []float64 { return b.weights }

// Pick is the arm at the place u of [0, 1) and its propensity. With u from Bucket and a seed
// of the experiment it depends on the unit and the shares alone.
func (b *Bandit) Pick(u float64) (arm int, propensity float64) { return pick(b.weights, u) }

// pick is the entry of w in which u lies when all are laid side by side.
func pick(w []float64, u float64) (int, float64) {
	last := 0
	for i, v := range w {
		if v <= 0 {
			continue
		}
		if u < v {
			return i, v
		}
		u -= v
		last = i
	}
	return last, w[last]
}
