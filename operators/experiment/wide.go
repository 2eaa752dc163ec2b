package experiment

import (
	"math/big"
	"math/bits"
)

// Wide is a whole number of 128 bits with a sign: sums of squares of money in the smallest
// unit fit, exactly, whatever the order they are added in.
type Wide struct {
	Hi int64
	Lo uint64
}

// WideOf is v as a Wide.
func WideOf(v int64) Wide { return Wide{v >> 63, uint64(v)} }

// Product is a times b.
func Product(a, b int64) Wide {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	// What the unsigned product has too much of for negative factors.
	return Wide{int64(hi) - (a>>63)&b - (b>>63)&a, lo}
}

// Plus is the sum.
func (w Wide) Plus(o Wide) Wide {
	lo, carry := bits.Add64(w.Lo, o.Lo, 0)
	return Wide{w.Hi + o.Hi + int64(carry), lo}
}

// Minus is the difference.
func (w Wide) Minus(o Wide) Wide {
	lo, borrow := bits.Sub64(w.Lo, o.Lo, 0)
	return Wide{w.Hi - o.Hi - int64(borrow), lo}
}

// Big is the number without a limit.
func (w Wide) Big() *big.Int {
	b := big.NewInt(w.Hi)
	return b.Lsh(b, 64).Add(b, new(big.Int).SetUint64(w.Lo))
}

// Float is the nearest float64.
func (w Wide) Float() float64 {
	f, _ := new(big.Float).SetInt(w.Big()).Float64()
	return f
}
