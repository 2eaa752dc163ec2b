package shop

import (
	"math"
	"math/rand/v2"
	"time"
)

// dice is a person's source of chance. Everything a person does by himself is drawn
// from his own dice, and what he does about a mail from dice made of that mail's id:
// there is no stream of chance that two persons share, so feedback about one never
// changes what another does.
type dice struct {
	rand.PCG
}

// newDice makes dice from a seed and what it is for.
func newDice(seed uint64, parts ...uint64) *dice {
	h := mix(seed)
	for _, p := range parts {
		h = mix(h ^ p)
	}
	d := &dice{}
	d.Seed(h, mix(h))
	return d
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable
// pseudorandom number generators, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// hashText is FNV-1a of a text, 64 bits.
func hashText(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

// unit is uniform in [0, 1).
func (d *dice) unit() float64 { return float64(d.Uint64()>>11) / (1 << 53) }

// chance is true with probability p.
func (d *dice) chance(p float64) bool { return d.unit() < p }

// below is uniform in 0 … n-1.
func (d *dice) below(n int) int { return int(d.unit() * float64(n)) }

// between is uniform between two durations.
func (d *dice) between(low, high time.Duration) time.Duration {
	return low + time.Duration(d.unit()*float64(high-low))
}

// waiting is exponential with the given mean.
func (d *dice) waiting(mean time.Duration) time.Duration {
	return time.Duration(-math.Log(1-d.unit()) * float64(mean))
}

// spread is log-uniform between two durations: as likely within the first tenfold as
// within the second.
func (d *dice) spread(low, high time.Duration) time.Duration {
	return time.Duration(float64(low) * math.Pow(float64(high)/float64(low), d.unit()))
}

// weighted draws an index with probability proportional to its weight.
func (d *dice) weighted(weights []float64) int {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	u := d.unit() * sum
	for i, w := range weights {
		if u -= w; u < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// popular draws from 0 … n-1, small numbers first: the place k is about 1/(k+1) as
// likely as the first.
func (d *dice) popular(n int) int {
	return min(int(math.Pow(float64(n)+1, d.unit()))-1, n-1)
}
