package experiment

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Reason is why a unit is in an experiment, or is not.
type Reason string

// The reasons of an assignment.
const (
	Assigned   Reason = "assigned" // by its hash
	Kept       Reason = "kept"     // it was there before
	HeldOut    Reason = "held_out" // nothing is sent to it; that it would have been is logged
	OtherLayer Reason = "layer"    // it belongs to another experiment of the layer
	NotCovered Reason = "coverage" // the experiment has not grown to it yet
	Tainted    Reason = "tainted"  // it was in a version whose units are no longer used
)

// Assignment is where a unit stands in an experiment.
type Assignment struct {
	Arm        int     // -1 outside of it
	Propensity float64 // probability with which units like it get the arm
	Reason     Reason
	Version    int
}

// Variant is one arm of an experiment.
type Variant struct {
	Name   string
	Weight float64
}

// Experiment is how units are shared between variants. It is not changed while it is used.
type Experiment struct {
	Name       string
	Seed       string // a new one shuffles all units anew; nothing else does
	Variants   []Variant
	Coverage   float64    // share of the units that take part; may grow, and moves nobody
	Version    int        // of the units' records
	VersionMin int        // units of older records are left out
	Layer      *Layer     // units are shared with other experiments; nil: with none
	Namespace  *Namespace // the same by fixed bounds; nil: with none
	Holdouts   []Holdout
}

// Holdout is a share of all units to whom nothing is sent, by the given seed: one for all
// journeys, or one for each. It is asked again at the last gate before a send.
type Holdout struct {
	Seed  string
	Share float64
}

// Holds tells whether a unit is held out.
func (h Holdout) Holds(unit string) bool { return Bucket("holdout:"+h.Seed, unit) < h.Share }

// Sticky is the record that keeps a unit in its arm.
type Sticky struct {
	Arm     int
	Version int
}

// Check tells what is wrong with an experiment.
func (e *Experiment) Check() error {
	switch {
	case e.Name == "":
		return errors.New("an experiment needs a name")
	case e.Seed == "":
		return fmt.Errorf("experiment %s needs a seed", e.Name)
	case len(e.Variants) < 2 || len(e.Variants) > ArmsMax:
		return fmt.Errorf("experiment %s has %d variants: want 2 to %d", e.Name, len(e.Variants), ArmsMax)
	case !(e.Coverage >= 0 && e.Coverage <= 1):
		return fmt.Errorf("experiment %s: coverage %v is not a share", e.Name, e.Coverage)
	}
	if !sound(e.weights(), len(e.Variants)) {
		return fmt.Errorf("experiment %s: weights %v do not sum to 1", e.Name, e.weights())
	}
	if n := e.Namespace; n != nil && !(n.Lo >= 0 && n.Lo < n.Hi && n.Hi <= 1) {
		return fmt.Errorf("experiment %s: %v to %v of the layer %s is no part of it", e.Name, n.Lo, n.Hi, n.Name)
	}
	for _, h := range e.Holdouts {
		if !(h.Share >= 0 && h.Share < 1) {
			return fmt.Errorf("experiment %s: a holdout of %v is not a share", e.Name, h.Share)
		}
	}
	return nil
}

func (e *Experiment) weights() []float64 {
	w := make([]float64, len(e.Variants))
	for i, v := range e.Variants {
		w[i] = v.Weight
	}
	return w
}

// Assign places a unit. before is its record, nil if there is none; shares are those of a
// bandit, nil for the variants' weights. The caller stores the record of an assignment
// before the send leaves.
func (e *Experiment) Assign(unit string, before *Sticky, shares []float64) Assignment {
	out := Assignment{Arm: -1, Version: e.Version}
	for _, h := range e.Holdouts {
		if h.Holds(unit) {
			out.Reason = HeldOut
			return out
		}
	}
	weights := e.weights()
	bandit := len(shares) == len(weights)
	if bandit {
		weights = shares
	}
	if before != nil && before.Arm >= 0 && before.Arm < len(weights) {
		if before.Version < e.VersionMin {
			out.Reason = Tainted
			return out
		}
		return Assignment{Arm: before.Arm, Propensity: weights[before.Arm], Reason: Kept, Version: before.Version}
	}
	if !e.Namespace.Holds(unit) || e.Layer != nil && e.Layer.Owner(unit) != e.Name {
		out.Reason = OtherLayer
		return out
	}
	if bandit {
		return e.assignBandit(unit, weights)
	}
	n := Bucket(e.Seed, unit)
	for arm, r := range Ranges(len(weights), e.Coverage, weights) {
		if r.Holds(n) {
			out.Arm, out.Propensity, out.Reason = arm, weights[arm], Assigned
			return out
		}
	}
	out.Reason = NotCovered
	return out
}

// assignBandit uses one hash for coverage and another for the arm, so that shares that move
// do not move who takes part.
func (e *Experiment) assignBandit(unit string, shares []float64) Assignment {
	out := Assignment{Arm: -1, Version: e.Version, Reason: NotCovered}
	if Bucket(e.Seed+":coverage", unit) < e.Coverage {
		out.Reason = Assigned
		out.Arm, out.Propensity = pick(shares, Uniform(e.Seed, unit))
	}
	return out
}

// Uniform places a unit on [0, 1) with 60 bits: for shares finer than Buckets.
func Uniform(seed, unit string) float64 {
	return float64(PlanOutHash(seed, "arm", unit)>>7) / (1 << 53)
}

// Namespace is the part of a layer that belongs to an experiment, as GrowthBook's
// namespaces are: experiments with parts that do not overlap have no unit in common.
type Namespace struct {
	Name   string
	Lo, Hi float64
}

// Holds tells whether a unit is in that part. No namespace holds everybody.
func (n *Namespace) Holds(unit string) bool {
	return n == nil || Range{n.Lo, n.Hi}.Holds(BucketV1("__"+n.Name, unit))
}

// Layer shares units between experiments that must not overlap: 10,000 segments, each of
// which one experiment owns, as PlanOut's SimpleNamespace does. Adding or removing an
// experiment moves no other. It may be read by several goroutines, changed by one.
type Layer struct {
	name   string
	owners [Buckets]string
}

// NewLayer makes one that nobody owns a part of.
func NewLayer(name string) *Layer { return &Layer{name: name} }

// Owner is the experiment to which a unit belongs, "" for none.
func (l *Layer) Owner(unit string) string { return l.owners[bucketOf("layer:"+l.name, unit)] }

// Free is the share that nobody owns.
func (l *Layer) Free() float64 {
	free := 0
	for _, o := range l.owners {
		if o == "" {
			free++
		}
	}
	return float64(free) / Buckets
}

// Claim gives an experiment a share of the free segments. Which ones follows from names
// alone: those that come first in an order of the experiment's own.
func (l *Layer) Claim(experiment string, share float64) error {
	want := int(math.Round(share * Buckets))
	if experiment == "" || want < 1 || want > Buckets {
		return fmt.Errorf("a share of %v for experiment %q: want more than 0 and at most 1", share, experiment)
	}
	type place struct {
		hash    uint64
		segment int
	}
	var free []place
	for i, o := range l.owners {
		switch o {
		case experiment:
			return fmt.Errorf("experiment %s already owns a part of the layer %s", experiment, l.name)
		case "":
			free = append(free, place{PlanOutHash(l.name, experiment, strconv.Itoa(i)), i})
		}
	}
	if len(free) < want {
		return fmt.Errorf("layer %s has %v free, experiment %s wants %v", l.name, float64(len(free))/Buckets, experiment, share)
	}
	slices.SortFunc(free, func(a, b place) int { return cmp.Or(cmp.Compare(a.hash, b.hash), a.segment-b.segment) })
	for _, p := range free[:want] {
		l.owners[p.segment] = experiment
	}
	return nil
}

// Release gives the segments of an experiment back.
func (l *Layer) Release(experiment string) {
	for i, o := range l.owners {
		if o == experiment {
			l.owners[i] = ""
		}
	}
}
