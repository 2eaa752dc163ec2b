package lstm

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestFastExp(t *testing.T) {
	worst, worstTanh := 0.0, 0.0
	for i := -870000; i <= 870000; i++ {
		x := float32(i) / 10000
		want := math.Exp(float64(x))
		worst = max(worst, math.Abs(float64(fastExp(x))/want-1))
		worstTanh = max(worstTanh, math.Abs(float64(fastTanh(x))-math.Tanh(float64(x))))
	}
	if worst > 2e-7 || worstTanh > 3e-7 {
		t.Errorf("off by %.2e, tanh by %.2e", worst, worstTanh)
	}
	inf := float32(math.Inf(1))
	if fastExp(0) != 1 || fastExp(-inf) > 1e-37 || fastExp(inf) < 1e37 || fastSigmoid(-inf) > 1e-37 || fastSigmoid(inf) != 1 || fastTanh(-inf) > -0.9999999 {
		t.Error("the ends are wrong")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		x := make([]float32, 1+r.IntN(900))
		for i := range x {
			x[i] = float32(r.NormFloat64() * 15)
		}
		if got, want := fastLogSumExp(x), logSumExp(x); math.Abs(float64(got-want)) > 2e-6*(1+math.Abs(float64(want))) {
			t.Errorf("log of the sum is %v, want %v", got, want)
		}
	}
}
