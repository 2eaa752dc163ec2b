package lstm

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
)

// Halving is a search by successive halving (Jamieson and Talwalkar 2016): all trials
// are measured on a small budget, the best part of them on a larger one, until few have
// had the whole. The zero value works.
type Halving struct {
	Trials int // drawn at the start
	Rungs  int // budgets
	Factor int // one trial in so many goes on, with so many times the budget
}

// halvingTrialsMax bounds a search: its table is shown and its state kept as a whole.
const halvingTrialsMax = 256

// WithDefaults fills in what is not set.
func (h Halving) WithDefaults() Halving {
	h.Trials = min(cmp.Or(max(h.Trials, 0), 9), halvingTrialsMax) // 9, 3 and 1 of them
	h.Rungs = min(cmp.Or(max(h.Rungs, 0), 3), 8)
	h.Factor = min(cmp.Or(max(h.Factor, 0), 3), 16) // the factor of the paper's experiments
	return h
}

// Budget is the share of whole that a rung gives a trial, at least 1.
func (h Halving) Budget(whole, rung int) int {
	for range h.Rungs - 1 - rung {
		whole /= h.Factor
	}
	return max(whole, 1)
}

// Measured is what came of a trial on a rung. Less Loss is better; NaN is worst.
type Measured struct {
	Trial  int     `json:"trial"`
	Rung   int     `json:"rung"`
	Loss   float64 `json:"loss"`
	Failed string  `json:"failed,omitempty"` // why it counts as worst
	// Version is what the trial left in a registry, if anything; Figures are what else
	// was measured.
	Version string             `json:"version,omitempty"`
	Figures map[string]float64 `json:"figures,omitempty"`
}

// Search runs the search. What is in done is not measured again, so that a search that
// was killed goes on where it was: save is given everything measured so far after each
// measurement. It returns all measurements, of which the last rung's best is the winner.
func (h Halving) Search(ctx context.Context, done []Measured, measure func(trial, rung int) (Measured, error), save func([]Measured) error) ([]Measured, error) {
	h = h.WithDefaults()
	alive := make([]int, h.Trials)
	for i := range alive {
		alive[i] = i
	}
	for rung := range h.Rungs {
		var here []Measured
		for _, trial := range alive {
			at := slices.IndexFunc(done, func(m Measured) bool { return m.Trial == trial && m.Rung == rung })
			if at >= 0 {
				here = append(here, done[at])
				continue
			}
			if err := ctx.Err(); err != nil {
				return done, fmt.Errorf("lstm: search: %w", err)
			}
			m, err := measure(trial, rung)
			if err != nil {
				return done, fmt.Errorf("lstm: trial %d on rung %d: %w", trial, rung, err)
			}
			m.Trial, m.Rung = trial, rung
			here, done = append(here, m), append(done, m)
			if err := save(done); err != nil {
				return done, err
			}
		}
		slices.SortFunc(here, better)
		alive = alive[:0]
		for _, m := range here[:max(1, len(here)/h.Factor)] {
			alive = append(alive, m.Trial) //nolint:makezero // it was emptied
		}
		slices.Sort(alive)
	}
	return done, nil
}

// Best is the best measurement of the highest rung.
func Best(all []Measured) (Measured, bool) {
	if len(all) == 0 {
		return Measured{}, false
	}
	return slices.MinFunc(all, func(a, b Measured) int { return cmp.Or(cmp.Compare(b.Rung, a.Rung), better(a, b)) }), true
}

func better(a, b Measured) int {
	loss := func(m Measured) float64 {
		if m.Failed != "" || math.IsNaN(m.Loss) {
			return math.Inf(1)
		}
		return m.Loss
	}
	return cmp.Or(cmp.Compare(loss(a), loss(b)), cmp.Compare(a.Trial, b.Trial))
}
