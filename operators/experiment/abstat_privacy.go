package experiment

import (
	"fmt"
	"math"
)

// bounds reads l0, in how many groups a person may stand, and linf, how much one may add.
func (in *inputs) bounds() (l0, linf float64) {
	l0, linf = in.numOr("l0", 1), in.numOr("linf", 1)
	return in.below("l0", l0, math.Inf(1)), in.below("linf", linf, math.Inf(1))
}

// delta reads a delta strictly between 0 and 1.
func (in *inputs) delta(name string) float64 { return in.below(name, in.num(name), 1) }

func answerLaplaceThreshold(in *inputs) answer {
	l0, linf := in.bounds()
	return answer{"threshold": LaplaceThreshold(l0, linf, in.positive("epsilon"), in.delta("delta"))}
}

func answerGaussianDelta(in *inputs) answer {
	l0, linf := in.bounds()
	return answer{"delta": GaussianDelta(in.positive("sigma"), linf*math.Sqrt(l0), in.count("epsilon"))}
}

// sigma is the noise for the given promise.
func (in *inputs) sigma(l0, linf float64, delta string) float64 {
	epsilon, d := in.count("epsilon"), in.delta(delta)
	if *in.err != nil {
		return 1
	}
	s, err := GaussianSigma(linf*math.Sqrt(l0), epsilon, d)
	if err != nil {
		in.fail("epsilon", "cannot be kept: %v", err)
	}
	return s
}

func answerGaussianSigma(in *inputs) answer {
	l0, linf := in.bounds()
	return answer{"sigma": in.sigma(l0, linf, "delta")}
}

func answerGaussianThreshold(in *inputs) answer {
	l0, linf := in.bounds()
	sigma := in.sigma(l0, linf, "noise_delta")
	return answer{"threshold": GaussianThreshold(l0, linf, sigma, in.delta("threshold_delta")), "sigma": sigma}
}

func answerKeep(in *inputs) answer {
	l0, _ := in.bounds()
	epsilon, delta := in.count("epsilon"), in.delta("delta")
	counts := in.notNegative("counts", -1)
	keep := make([]float64, len(counts))
	for i, n := range counts {
		keep[i] = KeepProbability(n, epsilon, delta, l0)
	}
	return answer{"p_keep": keep}
}

func answerGranularity(in *inputs) answer {
	epsilon, l1 := in.positive("epsilon"), in.numOr("l1", 1)
	return answer{"granularity": Granularity(epsilon, in.below("l1", l1, math.Inf(1)))}
}

func answerGeometric(in *inputs) answer {
	s := in.below("sensitivity", in.numOr("sensitivity", 1), math.Inf(1))
	g := NewGeometric(in.positive("epsilon"), s)
	k := in.numOr("k", 5)
	if k < 0 || k != math.Trunc(k) {
		in.fail("k", "is %v: want a whole number of 0 or more", k)
	}
	return answer{"variance": g.Variance(), "p_zero": g.Zero(), fmt.Sprintf("p_abs_le_%.0f", k): g.Within(k)}
}

func answerTree(in *inputs) answer {
	const most = 1 << 53 // whole numbers beyond are not exact in JSON
	releases := in.whole("T", in.num("T"), most)
	epsilon := in.positive("epsilon")
	s := in.below("sensitivity", in.numOr("sensitivity", 1), math.Inf(1))
	t := in.whole("t", in.numOr("t", 1000), most)
	if *in.err != nil {
		return nil
	}
	levels := TreeLevels(uint64(releases))
	return answer{
		"levels": levels, "per_node_scale_eps1": float64(levels) * s / epsilon,
		fmt.Sprintf("variance_at_t_%d", t): TreeVariance(uint64(releases), uint64(t), epsilon, s),
		"naive_variance_per_release":       2 * square(float64(releases)*s/epsilon),
	}
}

func answerAccounting(in *inputs) answer {
	k := in.count("k")
	a := answer{}
	if in.has("eps_each") || !in.has("gaussian_sigma") {
		epsilon, delta := in.count("eps_each"), in.count("delta_each")
		basic := BasicComposition(k, epsilon, delta)
		a["basic_epsilon"], a["basic_delta"] = basic.Epsilon, basic.Delta
		advanced := AdvancedComposition(k, epsilon, delta, in.delta("delta_slack"))
		a["advanced_epsilon"], a["advanced_delta"] = advanced.Epsilon, advanced.Delta
	}
	if in.has("gaussian_sigma") {
		rho := ZCDP(k, in.positive("gaussian_sigma"))
		a["zcdp_rho"], a["zcdp_to_eps_at_1e-5"] = rho, ZCDPEpsilon(rho, 1e-5)
	}
	return a
}

// answerDP gives noise, threshold and selection for one promise; the selection for groups
// of 0, 4, … 36 people if no counts are given.
func answerDP(in *inputs) answer {
	l0, linf := in.bounds()
	epsilon, delta := in.positive("epsilon"), in.delta("delta")
	sigma := in.sigma(l0, linf, "delta")
	counts := []float64{0, 4, 8, 12, 16, 20, 24, 28, 32, 36}
	if in.has("counts") {
		counts = in.notNegative("counts", -1)
	}
	keep := make([]float64, len(counts))
	for i, n := range counts {
		keep[i] = KeepProbability(n, epsilon, delta, l0)
	}
	return answer{"sigma": sigma, "laplace_threshold": LaplaceThreshold(l0, linf, epsilon, delta), "keep": keep}
}
