package experiment

import (
	"fmt"
	"maps"
	"math"
)

// none is the answer where nothing can be estimated: why, and no effect.
func none(err error, more answer) answer {
	a := answer{"error": err.Error(), "effect": 0.0, "se": 0.0, "ci": Interval{}.pair(), "p_value": 1.0}
	maps.Copy(a, more)
	return a
}

func (i Interval) pair() []float64 { return []float64{i.Lo, i.Hi} }

// arm reads the sums of an arm.
func (in *inputs) arm(name string, binomial bool) Sample {
	o := in.object(name)
	n, sum := o.count("n"), o.num("sum")
	if binomial {
		if *in.err == nil && (sum < 0 || sum > n) {
			o.fail("sum", "is %v: want 0 to n, which is %v", sum, n)
		}
		return ShareOf(n, sum)
	}
	return MeanOf(n, sum, o.count("sum_squares"))
}

// arms reads control and treatment of a mean or, if the metric says so, of a proportion.
func (in *inputs) arms() (control, treatment Sample) {
	binomial := in.oneOf("metric", "mean", "binomial") == "binomial"
	return in.arm("control", binomial), in.arm("treatment", binomial)
}

// effect is the difference that was asked for, relative if nothing was said.
func (in *inputs) effect(control, treatment Sample) (Effect, error) {
	if in.oneOf("difference", "relative", "absolute") == "relative" {
		return Relative(control, treatment)
	}
	return Absolute(control, treatment)
}

// tuning is the size at which a confidence sequence is tightest.
func (in *inputs) tuning() float64 {
	return in.below("tuning_N", in.numOr("tuning_N", TuningN), math.Inf(1))
}

// named gives a test its usual names.
func (t Test) named() answer {
	return answer{"effect": t.Effect, "se": t.SE, "ci": t.CI.pair(), "p_value": t.P}
}

func answerFixed(in *inputs) answer {
	alpha := in.alpha()
	e, err := in.effect(in.arms())
	if err != nil {
		return none(err, nil)
	}
	return e.Fixed(alpha).named()
}

func answerFixedOneSided(in *inputs) answer {
	alpha := in.alpha()
	greater := in.oneOf("alternative", "greater", "less", "lesser", "two_sided") == "greater"
	e, err := in.effect(in.arms())
	if err != nil {
		return none(err, answer{"lower": 0.0, "upper": 0.0})
	}
	t := e.FixedOneSided(alpha, greater)
	a := t.named()
	if greater {
		a["lower"] = t.CI.Lo
	} else {
		a["upper"] = t.CI.Hi
	}
	return a
}

func answerSequence(in *inputs) answer {
	alpha, tuning := in.alpha(), in.tuning()
	e, err := in.effect(in.arms())
	if err != nil {
		return none(err, nil)
	}
	a := e.Sequence(alpha, tuning).named()
	a["log_evidence"] = e.LogEvidence(alpha, tuning)
	return a
}

func answerSequenceOneSided(in *inputs) answer {
	alpha, tuning := in.alpha(), in.tuning()
	greater := in.oneOf("alternative", "greater", "less", "lesser") == "greater"
	e, err := in.effect(in.arms())
	if err != nil {
		return none(err, answer{"lower": 0.0, "upper_if_lesser": 0.0})
	}
	t := e.SequenceOneSided(alpha, tuning, greater)
	a := t.named()
	a["lower"], a["upper_if_lesser"] = t.CI.Lo, t.CI.Hi
	if greater {
		a["ci"] = []float64{t.CI.Lo, math.Inf(1)}
	} else {
		a["ci"] = []float64{math.Inf(-1), t.CI.Hi}
	}
	return a
}

func answerRho(in *inputs) answer {
	alpha, tuning := in.alpha(), in.below("tuning_N", in.num("tuning_N"), math.Inf(1))
	return answer{"rho_two_sided": Rho(alpha, tuning), "rho_one_sided": RhoOneSided(alpha, tuning)}
}

func answerRelative(in *inputs) answer {
	a, b := in.num("mean_control"), in.num("mean_treatment")
	if a == 0 {
		return none(ErrNoBaseline, nil)
	}
	return answer{"effect": (b - a) / math.Abs(a)}
}

func answerMeanAll(in *inputs) answer {
	alpha, tuning, prior := in.alpha(), in.tuning(), in.prior()
	e, err := in.effect(in.arm("control", false), in.arm("treatment", false))
	if err != nil {
		return none(err, answer{"p": 1.0, "seq_p": 1.0, "seq_ci": []float64{0, 0}, "chance_to_win": 0.5, "risk": []float64{0, 0}})
	}
	a := everything(e, alpha, tuning)
	p := e.Posterior(prior)
	a["chance_to_win"] = p.ChanceToWin()
	a["risk"] = []float64{p.LossOfStaying(), p.LossOfShipping()}
	return a
}

func answerBinomialAll(in *inputs) answer {
	alpha, tuning := in.alpha(), in.tuning()
	e, err := in.effect(in.arm("control", true), in.arm("treatment", true))
	if err != nil {
		return none(err, answer{"p": 1.0, "seq_p": 1.0, "seq_ci": []float64{0, 0}})
	}
	return everything(e, alpha, tuning)
}

// everything is an effect as seen at one look and at any time.
func everything(e Effect, alpha, tuning float64) answer {
	fixed, always := e.Fixed(alpha), e.Sequence(alpha, tuning)
	return answer{
		"effect": e.Estimate, "se": e.SE, "p": fixed.P, "ci": fixed.CI.pair(), "seq_ci": always.CI.pair(), "seq_p": always.P,
	}
}

// pair reads two numbers.
func (in *inputs) pair(name string) (a, b float64) {
	v := in.nums(name, 2)
	return v[0], v[1]
}

// before reads an arm with what was known before.
func (in *inputs) before(name string) Joint {
	o := in.object(name)
	n, post, pre := o.count("n"), o.object("post"), o.object("pre")
	var sums [width]float64
	var products [width][width]float64
	sums[Value], sums[PreValue] = post.num("sum"), pre.num("sum")
	products[Value][Value], products[PreValue][PreValue] = post.count("sum_squares"), pre.count("sum_squares")
	products[Value][PreValue] = o.num("sum_products")
	return JointOf(n, sums, products)
}

// theta reads the slope, or computes it.
func (in *inputs) theta(otherwise func() (float64, error)) (float64, error) {
	if in.has("theta") {
		return in.num("theta"), nil
	}
	return otherwise()
}

func answerCUPEDSequence(in *inputs) answer {
	alpha, tuning := in.alpha(), in.tuning()
	relative := in.oneOf("difference", "relative", "absolute") == "relative"
	a, b := in.before("control"), in.before("treatment")
	theta, _ := in.theta(func() (float64, error) { return Theta(a, b), nil })
	e, err := CUPED(a, b, theta, relative)
	if err != nil {
		return none(err, answer{"theta": theta})
	}
	out := e.Sequence(alpha, tuning).named()
	out["theta"] = theta
	return out
}

// jointOfUnits is an arm from the values of its units, by place.
func jointOfUnits(n int, values [width][]float64) Joint {
	j := Joint{N: float64(n)}
	for i, v := range values {
		for _, x := range v {
			j.Mean[i] += x / float64(n)
		}
	}
	if n < 2 {
		return j
	}
	for i, v := range values {
		for k, w := range values {
			for u := range min(len(v), len(w)) {
				j.Cov[i][k] += (v[u] - j.Mean[i]) * (w[u] - j.Mean[k]) / float64(n-1)
			}
		}
	}
	return j
}

func answerTheta(in *inputs) answer {
	pre := in.some("pre")
	post := in.nums("post", len(pre))
	j := jointOfUnits(len(pre), [width][]float64{Value: post, PreValue: pre})
	return answer{"theta": Theta(j, j)}
}

// answerCUPED takes its inputs by place: n, [sum, squares] after, [sum, squares] before and
// the sum of products, of the control and then of the treatment.
func answerCUPED(in *inputs) answer {
	alpha := in.alpha()
	a, b := in.placed(0), in.placed(4)
	theta, _ := in.theta(func() (float64, error) { return Theta(a, b), nil })
	absolute, err := CUPED(a, b, theta, false)
	if err != nil {
		return none(err, answer{"theta": theta, "abs_effect": 0.0, "abs_se": 0.0})
	}
	out := answer{"theta": theta, "abs_effect": absolute.Estimate, "abs_se": absolute.SE}
	relative, err := CUPED(a, b, theta, true)
	if err != nil {
		return none(err, out)
	}
	maps.Copy(out, relative.Fixed(alpha).named())
	return out
}

// placed reads four of the eight entries of args.
func (in *inputs) placed(from int) Joint {
	var args []rawInput
	if !in.read("args", &args, "a list of two times n, [sum, squares], [sum, squares], sum of products") {
		return Joint{}
	}
	if len(args) != 8 {
		in.fail("args", "has %d entries: want 8", len(args))
		return Joint{}
	}
	o := &inputs{path: in.path, err: in.err, raw: make(map[string]rawInput)}
	for i := range 4 {
		o.raw[fmt.Sprintf("args[%d]", from+i)] = args[from+i]
	}
	at := func(i int) string { return fmt.Sprintf("args[%d]", from+i) }
	var sums [width]float64
	var products [width][width]float64
	sums[Value], products[Value][Value] = o.pair(at(1))
	sums[PreValue], products[PreValue][PreValue] = o.pair(at(2))
	products[Value][PreValue] = o.num(at(3))
	return JointOf(o.count(at(0)), sums, products)
}

// ratioSums reads the fourteen sums of an arm of a ratio.
func (in *inputs) ratioSums(name string) Joint {
	o := in.object(name)
	var sums [width]float64
	var products [width][width]float64
	for i, field := range [width]string{Value: "m_post", Per: "d_post", PreValue: "m_pre", PrePer: "d_pre"} {
		sums[i], products[i][i] = o.pair(field)
	}
	products[Value][PreValue] = o.num("mpost_mpre")
	products[Per][PrePer] = o.num("dpost_dpre")
	products[PreValue][PrePer] = o.num("mpre_dpre")
	products[Value][Per] = o.num("mpost_dpost")
	products[Value][PrePer] = o.num("mpost_dpre")
	products[Per][PreValue] = o.num("mpre_dpost")
	return JointOf(o.count("n"), sums, products)
}

// ratioUnits reads an arm of a ratio unit by unit.
func (in *inputs) ratioUnits(name string) Joint {
	o := in.object(name)
	m := o.some("m_post")
	return jointOfUnits(len(m), [width][]float64{
		Value: m, Per: o.nums("d_post", len(m)), PreValue: o.nums("m_pre", len(m)), PrePer: o.nums("d_pre", len(m)),
	})
}

func answerRatio(in *inputs) answer {
	alpha, tuning := in.alpha(), in.tuning()
	relative := in.oneOf("difference", "relative", "absolute") == "relative"
	a, b := in.ratioSums("control_sums"), in.ratioSums("treatment_sums")
	theta, err := in.theta(func() (float64, error) { return ThetaRatio(a, b) })
	var e Effect
	if err == nil {
		e, err = CUPEDRatio(a, b, theta, relative)
	}
	if err != nil {
		return none(err, answer{"theta": theta, "seq_ci": []float64{0, 0}, "seq_p": 1.0})
	}
	out := e.Fixed(alpha).named()
	always := e.Sequence(alpha, tuning)
	out["theta"], out["seq_ci"], out["seq_p"] = theta, always.CI.pair(), always.P
	return out
}

// negated is the arm with all its values, not its denominators, turned round.
func (j Joint) negated() Joint {
	for _, i := range [2]int{Value, PreValue} {
		j.Mean[i] = -j.Mean[i]
		for k := range j.Cov {
			if k != i {
				j.Cov[i][k], j.Cov[k][i] = -j.Cov[i][k], -j.Cov[k][i]
			}
		}
	}
	return j
}

func answerRatioFixedTheta(in *inputs) answer {
	alpha, theta := in.alpha(), in.num("theta")
	relative := in.oneOf("difference", "relative", "absolute") == "relative"
	a, b := in.ratioUnits("control"), in.ratioUnits("treatment")
	e, err := CUPEDRatio(a, b, theta, relative)
	if err != nil {
		return none(err, answer{"neg_effect": 0.0, "neg_se": 0.0})
	}
	out := e.Fixed(alpha).named()
	if e, err = CUPEDRatio(a.negated(), b.negated(), theta, relative); err != nil {
		return none(err, answer{"neg_effect": 0.0, "neg_se": 0.0})
	}
	out["neg_effect"], out["neg_se"] = e.Estimate, e.SE
	return out
}
