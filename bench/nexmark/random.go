package nexmark

import "math/bits"

// random is java.util.SplittableRandom, to the bit: SplitMix64 (Steele, Lea, Flood, Fast
// splittable pseudorandom number generators, 2014).
type random uint64

func (r *random) seed() uint64 {
	*r += 0x9e3779b97f4a7c15
	return uint64(*r)
}

// long is nextLong().
func (r *random) long() uint64 {
	z := r.seed()
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// int32 is nextInt().
func (r *random) int32() uint32 {
	z := r.seed()
	z = (z ^ z>>33) * 0x62a9d9ed799705f5
	return uint32(((z ^ z>>28) * 0xcb24d0a5c88c35b3) >> 32) //nolint:gosec // the upper half
}

// below is nextInt(bound), bound > 0.
func (r *random) below(bound int64) int64 {
	b := uint32(bound) //nolint:gosec // bounds are small
	v := r.int32()
	if bits.OnesCount32(b) == 1 {
		return int64(v & (b - 1))
	}
	for u := v >> 1; ; u = r.int32() >> 1 {
		v = u % b
		if int32(u+(b-1)-v) >= 0 { //nolint:gosec // Java's overflow
			return int64(v)
		}
	}
}

// double is nextDouble().
func (r *random) double() float64 { return float64(r.long()>>11) * 0x1p-53 }
