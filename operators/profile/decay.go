package profile

import "math"

// The decayed counts use forward decay: an event at time t adds 2^((t-L)/H), where L
// is the landmark of the person, and a count c reads as c·2^-((now-L)/H). That is the
// (c, t) formula of TencentRec with the power taken out of it: adding commutes, so
// neither lateness nor order matters, one power serves all counts that an event
// touches, and no count carries a time. L is a whole number of half-lives, so that
// moving it forward multiplies by a power of two, which is exact.

// landmarkAhead is how many half-lives an event may lie ahead of the landmark before
// it moves: far from overflow (2^1023) even when thousands of counts are added.
const landmarkAhead = 256

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// exponent is (at-L)/H without losing digits in the division of large numbers.
func exponent(at, land, half int64) float64 {
	q := floorDiv(at, half)
	return float64(q-land) + float64(at-q*half)/float64(half)
}

// weigh answers what an event at the given time adds to a count, after it has made
// sure that the counts stand in half-lives of that length.
func (p *Person) weigh(at, half int64) float64 {
	if p.half != half {
		p.rebase(at, half)
	}
	if half < 0 {
		return 1
	}
	if q := floorDiv(at, half); q-p.land > landmarkAhead {
		p.scale(int(min(q-p.land, 1<<20)))
		p.land = q
	}
	return math.Exp2(exponent(at, p.land, half))
}

// value reads a count as of now.
func (p *Person) value(c float64, now int64) float64 {
	if p.half <= 0 || c == 0 {
		return c
	}
	return c * math.Exp2(-exponent(max(now, p.Newest), p.land, p.half))
}

// scale divides all decayed counts by 2^n.
func (p *Person) scale(n int) { p.multiply(math.Ldexp(1, -n)) }

func (p *Person) multiply(f float64) {
	for i := range p.Kinds {
		p.Kinds[i].count *= f
		p.Kinds[i].money *= f
	}
	for i := range p.Categories {
		p.Categories[i].score *= f
	}
	for i := range p.Brands {
		p.Brands[i].score *= f
	}
}

// rebase goes over to another half-life: the counts keep the value they have as of
// the newest event.
func (p *Person) rebase(at, half int64) {
	was := 1.0
	ref := at
	if p.half != 0 {
		ref = p.Newest
		was = p.value(1, ref)
	}
	p.half, p.land = half, 0
	if half > 0 {
		p.land = floorDiv(ref, half)
		was *= math.Exp2(exponent(ref, p.land, half))
	}
	if was != 1 {
		p.multiply(was)
	}
}
