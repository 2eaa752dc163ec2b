package profile

import (
	"encoding/binary"
	"math"
)

// Decay is the clock of a group of decayed counts. It uses forward decay: an event at
// time t adds 2^((t-L)/H), where L is the landmark of the group and H the half-life,
// and a count c reads as c·2^-((now-L)/H). That is the (c, t) formula of TencentRec
// with the power taken out of it: adding commutes, so neither lateness nor order
// matters, one power serves all counts that an event touches, and no count carries a
// time. L is a whole number of half-lives, so that moving it multiplies by a power of
// two, which is exact. The zero value is the clock of a group without counts.
type Decay struct {
	half int64 // milliseconds; 0: no counts yet; -1: no decay
	land int64 // half-lives since 1970
}

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
func (d *Decay) exponent(at int64) float64 {
	q := floorDiv(at, d.half)
	return float64(q-d.land) + float64(at-q*d.half)/float64(d.half)
}

// Weigh answers what an event at the given time adds to a count, and by what the
// counts of the group must be multiplied before that; 1 nearly always. half is the
// half-life in milliseconds, -1 for no decay; when it has changed, the counts keep the
// value that they have as of ref.
func (d *Decay) Weigh(at, half, ref int64) (add, multiply float64) {
	multiply = 1
	if d.half != half {
		multiply = d.rebase(at, half, ref)
	}
	if half < 0 {
		return 1, multiply
	}
	if q := floorDiv(at, half); q-d.land > landmarkAhead {
		multiply *= math.Ldexp(1, -int(min(q-d.land, 1<<20)))
		d.land = q
	}
	return math.Exp2(d.exponent(at)), multiply
}

// Value reads a count as of now.
func (d *Decay) Value(c float64, now int64) float64 {
	if d.half <= 0 || c == 0 {
		return c
	}
	return c * math.Exp2(-d.exponent(now))
}

// rebase goes over to another half-life.
func (d *Decay) rebase(at, half, ref int64) float64 {
	f := 1.0
	if d.half == 0 {
		ref = at
	} else {
		f = d.Value(1, ref)
	}
	d.half, d.land = half, 0
	if half > 0 {
		d.land = floorDiv(ref, half)
		f *= math.Exp2(d.exponent(ref))
	}
	return f
}

// align moves two clocks of one half-life to one landmark and answers by what the
// counts of each must be multiplied.
func (d *Decay) align(o *Decay) (mine, theirs float64) {
	by := o.land - d.land
	if by >= 0 {
		d.land = o.land
		return math.Ldexp(1, -int(min(by, 1<<20))), 1
	}
	o.land = d.land
	return 1, math.Ldexp(1, -int(min(-by, 1<<20)))
}

// AppendTo appends the stored form.
func (d *Decay) AppendTo(b []byte) []byte {
	return binary.AppendVarint(binary.AppendVarint(b, d.half), d.land)
}

// ReadFrom reads what AppendTo wrote.
func (d *Decay) ReadFrom(w *Wire) {
	d.half, d.land = w.Varint(), w.Varint()
	if d.half < -1 {
		w.Fail("half-life below nothing")
	}
}

// weigh answers what an event adds to the counts of the picture.
func (p *Person) weigh(at, half int64) float64 {
	w, f := p.decay.Weigh(at, half, p.Newest)
	if f != 1 {
		p.multiply(f)
	}
	return w
}

// value reads a count as of now, but not as of before the newest event.
func (p *Person) value(c float64, now int64) float64 { return p.decay.Value(c, max(now, p.Newest)) }

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
