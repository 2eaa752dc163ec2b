package experiment

import (
	"fmt"
	"math/big"
)

// AmountMax is the largest size of a unit's value: 700 billion in cents. A billion units of
// that size still fit the sums of squares.
const AmountMax = 1 << 46

// Values are what one unit adds to a metric: see Value, Per, PreValue and PrePer.
type Values [width]int64

// Moments are the sums of an arm on one metric over its units: whole numbers, so that they
// are equal bit for bit in whatever order units were added, merged and taken back.
type Moments struct {
	N        int64
	Sums     [width]Wide
	Products [width * (width + 1) / 2]Wide // of i and k <= i at i(i+1)/2 + k
}

// Add counts a unit.
func (m *Moments) Add(v Values) error {
	for i, x := range v {
		if x > AmountMax || x < -AmountMax {
			return fmt.Errorf("value %d of a unit is beyond %d", i, int64(AmountMax))
		}
	}
	m.N++
	at := 0
	for i, x := range v {
		if x != 0 {
			m.Sums[i] = m.Sums[i].Plus(WideOf(x))
			for k := range i + 1 {
				m.Products[at+k] = m.Products[at+k].Plus(Product(x, v[k])) //nolint:gosec // k <= i
			}
		}
		at += i + 1
	}
	return nil
}

// Remove takes a unit back that was added with these values.
func (m *Moments) Remove(v Values) {
	m.N--
	at := 0
	for i, x := range v {
		if x != 0 {
			m.Sums[i] = m.Sums[i].Minus(WideOf(x))
			for k := range i + 1 {
				m.Products[at+k] = m.Products[at+k].Minus(Product(x, v[k])) //nolint:gosec // k <= i
			}
		}
		at += i + 1
	}
}

// Merge adds the sums of other units.
func (m *Moments) Merge(o *Moments) {
	m.N += o.N
	for i, s := range o.Sums {
		m.Sums[i] = m.Sums[i].Plus(s)
	}
	for i, p := range o.Products {
		m.Products[i] = m.Products[i].Plus(p)
	}
}

// floatBits is the precision of the one division that turns sums into a statistic: its
// operands are exact, so nothing cancels.
const floatBits = 320

// Joint gives the means and covariances, each rounded once.
func (m *Moments) Joint() Joint {
	j := Joint{N: float64(m.N)}
	if m.N <= 0 {
		return j
	}
	n := big.NewInt(m.N)
	pairs := new(big.Int).Mul(n, big.NewInt(m.N-1))
	var sums [width]*big.Int
	for i := range sums {
		sums[i] = m.Sums[i].Big()
		j.Mean[i] = quotient(sums[i], n)
	}
	if m.N < 2 {
		return j
	}
	at := 0
	for i := range sums {
		for k := range i + 1 {
			c := new(big.Int).Mul(n, m.Products[at+k].Big())
			c.Sub(c, new(big.Int).Mul(sums[i], sums[k])) //nolint:gosec // k <= i
			v := quotient(c, pairs)
			j.Cov[i][k], j.Cov[k][i] = v, v
		}
		at += i + 1
	}
	return j
}

func quotient(a, b *big.Int) float64 {
	x := new(big.Float).SetPrec(floatBits).SetInt(a)
	y := new(big.Float).SetPrec(floatBits).SetInt(b)
	f, _ := x.Quo(x, y).Float64()
	return f
}
