package experiment

import (
	"fmt"
	"math"
)

// prior reads what is believed before: flat, or a mean and a variance.
func (in *inputs) prior() Prior {
	if !in.has("prior") || in.raw["prior"][0] == '"' {
		in.oneOf("prior", "flat", "improper flat", "improper", "none")
		return Prior{}
	}
	o := in.object("prior")
	return Prior{Mean: o.num("mean"), Variance: o.positive("variance")}
}

// bayesian gives a posterior its usual names.
func (p Posterior) bayesian(alpha float64) answer {
	return answer{
		"expected": p.Mean, "sd": p.SD, "chance_to_win": p.ChanceToWin(), "ci": p.Credible(alpha).pair(),
		"risk": []float64{p.LossOfStaying(), p.LossOfShipping()},
	}
}

// unknown is the answer of a Bayesian who has seen nothing.
func unknown(err error) answer {
	a := none(err, answer{"expected": 0.0, "sd": 0.0, "chance_to_win": 0.5, "risk": []float64{0, 0}})
	delete(a, "p_value")
	return a
}

func answerBayes(in *inputs) answer {
	alpha, prior := in.alpha(), in.prior()
	e, err := in.effect(in.arms())
	if err != nil {
		return unknown(err)
	}
	return e.Posterior(prior).bayesian(alpha)
}

func answerLoss(in *inputs) answer {
	p := Posterior{in.num("mu"), in.count("sigma")}
	return answer{"risk": []float64{p.LossOfStaying(), p.LossOfShipping()}, "chance_to_win": p.ChanceToWin()}
}

func answerQuantile(in *inputs) answer {
	alpha, prior := in.alpha(), in.prior()
	if in.has("nu") {
		in.below("nu", in.num("nu"), 1)
	}
	read := func(name string) Sample {
		o := in.object(name)
		n, q, lower, upper := o.count("n"), o.num("q"), o.num("lower"), o.num("upper")
		if lower > upper {
			o.fail("lower", "is %v, above upper, which is %v", lower, upper)
		}
		return QuantileOf(n, q, lower, upper)
	}
	e, err := in.effect(read("control"), read("treatment"))
	if err != nil {
		return unknown(err)
	}
	return e.Posterior(prior).bayesian(alpha)
}

func answerDuel(in *inputs) answer {
	prior := [2]float64{1, 1}
	if in.has("prior") {
		prior[0], prior[1] = in.pair("prior")
	}
	read := func(name string) Beta {
		k, n := in.pair(name)
		b := Beta{prior[0] + k, prior[1] + n - k}
		if *in.err == nil && !(k >= 0 && k <= n && b.A > 1e-9 && b.B > 1e-9 && b.A+b.B <= BetaMax) {
			in.fail(name, "is %v of %v with the prior %v: want successes among at most 1e15 trials, and a positive prior", k, n, prior)
		}
		return b
	}
	a, b := read("a"), read("b")
	if *in.err != nil {
		return nil
	}
	d := NewDuel(a, b)
	return answer{"p_b_beats_a": d.BBeatsA, "loss_choose_b": d.LossChooseB, "loss_choose_a": d.LossChooseA}
}

// pValues reads p-values.
func (in *inputs) pValues() []float64 {
	p := in.nums("p", -1)
	for i, v := range p {
		if !(v >= 0 && v <= 1) {
			in.fail(fmt.Sprintf("p[%d]", i), "is %v: want 0 to 1", v)
		}
	}
	return p
}

func answerHolm(in *inputs) answer { return answer{"adjusted": Holm(in.pValues())} }

func answerBH(in *inputs) answer { return answer{"adjusted": BenjaminiHochberg(in.pValues())} }

func answerHolmBH(in *inputs) answer {
	p := in.pValues()
	return answer{"holm": Holm(p), "bh": BenjaminiHochberg(p)}
}

// notNegative reads numbers of 0 and more, of a length if that is not negative.
func (in *inputs) notNegative(name string, length int) []float64 {
	v := in.nums(name, length)
	for i, x := range v {
		if x < 0 {
			in.fail(fmt.Sprintf("%s[%d]", name, i), "is %v: want 0 or more", x)
		}
	}
	return v
}

func answerChiSquare(in *inputs) answer {
	observed := in.notNegative("observed", -1)
	weights := in.notNegative("weights", len(observed))
	if *in.err != nil {
		return nil
	}
	r, err := ChiSquareSRM(observed, weights)
	if err != nil {
		in.fail("weights", "cannot be compared with what was observed: %v", err)
		return nil
	}
	a := answer{"chi2": r.Chi2, "p_value": r.P}
	if math.IsInf(r.Chi2, 1) {
		a["error"] = "an arm of weight 0 has units"
	}
	return a
}

func answerSequentialSRM(in *inputs) answer {
	null := in.some("null")
	points := in.rows("points", len(null))
	var prior []float64
	switch {
	case in.has("dirichlet_alpha"):
		prior = in.nums("dirichlet_alpha", len(null))
	case in.has("dirichlet_concentration"):
		total := 0.0
		for _, w := range null {
			total += w
		}
		c := in.positive("dirichlet_concentration")
		for _, w := range null {
			prior = append(prior, c*(w/total))
		}
	}
	if *in.err != nil {
		return nil
	}
	s, err := NewSequentialSRM(null, prior)
	if err != nil {
		in.fail("null", "cannot be tested: %v", err)
		return nil
	}
	m0, m1, running := make([]float64, 0, len(points)), make([]float64, 0, len(points)), make([]float64, 0, len(points))
	for i, p := range points {
		for _, x := range p {
			if x < 0 {
				in.fail(fmt.Sprintf("points[%d]", i), "has %v units: want 0 or more", x)
				return nil
			}
		}
		s.Add(p)
		m0 = append(m0, s.LogNull())
		m1 = append(m1, s.LogNull()+s.LogEvidence())
		running = append(running, s.P())
	}
	last, _ := ChiSquareSRM(s.counts, s.null)
	return answer{"log_m0": m0, "log_m1": m1, "p_running": running, "p_value": s.P(), "chi2_final": last.Chi2, "chi2_p_final": last.P}
}

func answerNormalMixture(in *inputs) answer {
	v, alpha := in.count("v"), in.alpha()
	rho := NormalMixtureRho(in.positive("v_opt"), in.below("alpha_opt", in.numOr("alpha_opt", 0.05), 1))
	a := answer{"rho": rho, "bound": NormalMixtureBound(v, alpha, rho)}
	if in.has("s") {
		a["log_mixture_at_s"] = LogNormalMixture(in.num("s"), v, rho)
	}
	return a
}

func answerBernoulli(in *inputs) answer {
	k, n := in.count("successes"), in.count("trials")
	if k > n {
		in.fail("successes", "is %v, more than trials, which is %v", k, n)
	}
	alpha, alphaOpt := in.alpha(), in.below("alpha_opt", in.numOr("alpha_opt", 0.05), 1)
	at := in.positive("t_opt")
	if *in.err != nil {
		return nil
	}
	return answer{"ci": BernoulliSequence(k, n, alpha, at, alphaOpt).pair()}
}

func answerBetaBinomial(in *inputs) answer {
	g, h := in.positive("g"), in.positive("h")
	s, v, at := in.num("s"), in.count("v"), in.positive("v_opt")
	alpha := in.below("alpha_opt", in.numOr("alpha_opt", 0.05), 1)
	if *in.err != nil {
		return nil
	}
	l, err := LogBetaBinomialMixture(s, v, at, alpha, g, h)
	if err != nil {
		in.fail("s", "does not fit: %v", err)
	}
	return answer{"log_mixture": l}
}

// proportions is one look of the mSPRT on two arms of equal size.
func proportions(n, a, b, tau2, alpha float64) (MSPRT, error) {
	va, vb := ShareOf(n, a), ShareOf(n, b)
	return NewMSPRT(n, vb.Mean-va.Mean, va.Var+vb.Var, tau2, alpha)
}

func answerMSPRT(in *inputs) answer {
	n, tau2, alpha := in.count("n_per_arm"), in.positive("tau2"), in.alpha()
	var m MSPRT
	var err error
	if in.has("mean_diff") || in.has("sigma2") {
		m, err = NewMSPRT(n, in.num("mean_diff"), 2*in.count("sigma2"), tau2, alpha)
	} else {
		a, b := in.count("conv_a"), in.count("conv_b")
		if a > n || b > n {
			in.fail("conv_a", "is %v and conv_b %v: want at most n_per_arm, which is %v", a, b, n)
		}
		m, err = proportions(n, a, b, tau2, alpha)
	}
	if err != nil {
		return none(err, answer{"V": m.Variance, "Lambda": 1.0, "halfwidth": 0.0})
	}
	return answer{
		"V": m.Variance, "Lambda": math.Exp(m.LogRatio), "log_lambda": m.LogRatio,
		"p_value": m.P, "halfwidth": m.Half, "ci": m.CI.pair(),
	}
}

func answerMSPRTSequence(in *inputs) answer {
	looks, tau2, alpha := in.rows("looks", 3), in.positive("tau2"), in.alpha()
	if *in.err != nil {
		return nil
	}
	each := make([]float64, len(looks))
	for i, l := range looks {
		n, a, b := l[0], l[1], l[2]
		if !(n >= 0 && a >= 0 && a <= n && b >= 0 && b <= n) {
			in.fail(fmt.Sprintf("looks[%d]", i), "is %v: want n and at most so many conversions of each arm", l)
			return nil
		}
		m, err := proportions(n, a, b, tau2, alpha)
		if each[i] = m.P; err != nil {
			each[i] = 1 // nothing is known yet
		}
	}
	return answer{"p_each": each, "p_always_valid": RunningMin(each)}
}

func answerSpending(in *inputs) answer {
	cum, final := in.some("cum_n"), in.positive("final_expected")
	s := Spending{Alpha: in.alpha(), Phi: in.below("phi", in.numOr("phi", 2), 100)}
	two := true
	if in.has("two_sided") {
		in.read("two_sided", &two, "true or false")
	}
	s.OneSided = !two
	if *in.err != nil {
		return nil
	}
	out, err := s.Adjusted(cum, final)
	if err != nil {
		in.fail("cum_n", "cannot be planned: %v", err)
	}
	return answer{"adjusted_alpha": out}
}

func answerGroupSequential(in *inputs) answer {
	a, b := in.arms()
	level := in.below("interval", in.numOr("interval", 0.95), 1)
	final := in.positive("final_expected_n")
	cum := []float64{a.N + b.N}
	if in.has("cum_n") {
		cum = in.some("cum_n")
	}
	if *in.err != nil {
		return nil
	}
	e, err := Absolute(a, b)
	if err != nil {
		return none(err, answer{"difference": 0.0, "adjusted_lower": 0.0, "adjusted_upper": 0.0})
	}
	levels, err := Spending{Alpha: 1 - level}.Adjusted(cum, final)
	if err != nil {
		in.fail("cum_n", "cannot be planned: %v", err)
		return nil
	}
	adjusted := levels[len(levels)-1]
	ci := around(e.Estimate, -normalQuantile(adjusted/2)*e.SE)
	return answer{
		"difference": e.Estimate, "se": e.SE, "adjusted_alpha": adjusted, "adjusted_lower": ci.Lo, "adjusted_upper": ci.Hi,
		"p_value": math.Min(1, 2*normalBelow(-math.Abs(e.Estimate/e.SE))),
	}
}

func answerPower(in *inputs) answer {
	d := Design{Baseline: in.num("baseline"), Effect: in.num("mde_rel"), Alpha: in.alpha(), SD: in.numOr("sd", 0)}
	n := in.count("n_per_arm")
	if *in.err != nil {
		return nil
	}
	p, err := d.PowerAt(n)
	if err != nil {
		in.fail("baseline", "does not fit: %v", err)
	}
	return answer{"power": p}
}
