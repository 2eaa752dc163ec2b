package experiment

import (
	"crypto/sha1" //nolint:gosec // the public hash of PlanOut; nothing secret hangs on it
	"encoding/hex"
	"math"
	"strconv"
)

// Buckets is how finely units are told apart: shares are multiples of 1/Buckets.
const Buckets = 10000

// Bucket places a unit on [0, 1) for a seed: the public hash v2 of GrowthBook. Equal in
// every process and on every worker, and independent between seeds.
func Bucket(seed, unit string) float64 { return float64(bucketOf(seed, unit)) / Buckets }

// bucketOf is the number of the bucket, 0 to Buckets-1.
func bucketOf(seed, unit string) uint32 {
	h := fnv1a(fnv1a(fnvOffset, seed), unit)
	var digits [10]byte
	return fnv1a(fnvOffset, strconv.AppendUint(digits[:0], uint64(h), 10)) % Buckets
}

// BucketV1 is the first version of that hash. It is correlated between experiments: only
// for units that were assigned by it long ago.
func BucketV1(seed, unit string) float64 {
	return float64(fnv1a(fnv1a(fnvOffset, unit), seed)%1000) / 1000
}

const (
	fnvOffset = 2166136261
	fnvPrime  = 16777619
)

// fnv1a goes on with a hash of 32 bits over the bytes of s.
func fnv1a[T string | []byte](h uint32, s T) uint32 {
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * fnvPrime
	}
	return h
}

// PlanOutHash is the number of 60 bits that PlanOut draws for a parameter of an experiment
// and a unit, so that two parameters of one experiment are independent.
func PlanOutHash(experiment, parameter, unit string) uint64 {
	sum := sha1.Sum([]byte(experiment + "." + parameter + "." + unit)) //nolint:gosec // as above
	n, _ := strconv.ParseUint(hex.EncodeToString(sum[:8])[:15], 16, 64)
	return n
}

// Range is a half-open part of [0, 1).
type Range struct{ Lo, Hi float64 }

// Holds tells whether the place n lies in the range.
func (r Range) Holds(n float64) bool { return r.Lo <= n && n < r.Hi }

// Ranges gives each variant the first share of its own slice of [0, 1), so that a growing
// coverage moves nobody who is enrolled. Weights that are missing, too few or too many,
// negative, or do not sum to 1 within a hundredth, fall back to equal ones, as the public
// vectors have it; configuration is checked before, see Plan.
func Ranges(variants int, coverage float64, weights []float64) []Range {
	coverage = math.Max(0, math.Min(1, coverage))
	if !sound(weights, variants) {
		weights = make([]float64, variants)
		for i := range weights {
			weights[i] = 1 / float64(variants)
		}
	}
	out, at := make([]Range, variants), 0.0
	for i, w := range weights {
		out[i] = Range{at, at + coverage*w}
		at += w
	}
	return out
}

// sound tells whether weights can be used as they are.
func sound(weights []float64, variants int) bool {
	if len(weights) != variants {
		return false
	}
	sum := 0.0
	for _, w := range weights {
		if !(w >= 0) {
			return false
		}
		sum += w
	}
	return sum >= 0.99 && sum <= 1.01
}
