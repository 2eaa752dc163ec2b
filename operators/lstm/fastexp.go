package lstm

import "math"

// fastExp is e to the power of x in float32 arithmetic alone, by the reduction and the
// polynomial of Cephes' expf (Moshier 1992): within 2e-7 of the true value, in half the
// time of math.Exp. Only running uses it; training keeps the exact one. Beyond ±87 the
// result is that of ±87, which a float32 still holds.
func fastExp(x float32) float32 {
	const (
		log2e = 1.44269504088896341
		high  = 0.693359375 // log 2 in two parts: the first has few bits, so its multiples are exact
		low   = -2.12194440e-4
		magic = 3 << 22 // added, it rounds to a whole number in the lowest bits
	)
	x = min(max(x, -87), 87)
	t := x*log2e + magic
	k := t - magic
	r := x - k*high - k*low
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	p = p*r*r + r + 1
	return math.Float32frombits(math.Float32bits(p) + math.Float32bits(t)<<23)
}

func fastSigmoid(x float32) float32 { return 1 / (1 + fastExp(-x)) }

func fastTanh(x float32) float32 {
	x = min(max(x, -9), 9) // beyond it the float32 result is 1 to the last bits
	e := fastExp(2 * x)
	return (e - 1) / (e + 1)
}

// fastLogSumExp returns log Σ exp(x) of numbers that are none of them NaN.
func fastLogSumExp(x []float32) float32 {
	most := x[0]
	for _, v := range x {
		most = max(most, v)
	}
	var sum float32
	for _, v := range x {
		if d := v - most; d > -25 { // 32768 of what is left out come to less than 1e-6
			sum += fastExp(d)
		}
	}
	return most + float32(math.Log(float64(sum)))
}
