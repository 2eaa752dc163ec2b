package experiment

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

func answerHash(in *inputs) answer {
	seed, value := in.text("seed"), in.text("value")
	switch v := in.num("version"); v {
	case 1:
		return answer{"n": BucketV1(seed, value)}
	case 2:
		return answer{"n": Bucket(seed, value)}
	default:
		in.fail("version", "is %v: want 1 or 2", v)
		return nil
	}
}

func answerAssignment(in *inputs) answer {
	seed, value := in.text("seed"), in.text("value")
	parameter := "subject"
	if in.has("parameter") {
		parameter = in.text("parameter")
	}
	return answer{"v1": BucketV1(seed, value), "v2": Bucket(seed, value), "planout15": PlanOutHash(seed, parameter, value)}
}

// answerPlanOut chooses among choices for each variable; what is called NAME_choicesK is a
// second list for the variable NAME, answered as NAME_modK.
func answerPlanOut(in *inputs) answer {
	salt, unit := in.text("experiment_salt"), in.text("unit")
	var choices []any
	var variables []string
	in.read("choices", &choices, "a list")
	in.read("variables", &variables, "a list of names")
	a := answer{}
	choose := func(field, variable string, from []any) any {
		if len(from) == 0 {
			in.fail(field, "is empty")
			return nil
		}
		return from[PlanOutHash(salt, variable, unit)%uint64(len(from))]
	}
	for _, v := range variables {
		a[v] = choose("choices", v, choices)
	}
	for field := range in.raw {
		if name, k, ok := strings.Cut(field, "_choices"); ok {
			var list []any
			in.read(field, &list, "a list")
			a[name+"_mod"+k] = choose(field, name, list)
		}
	}
	return a
}

func answerRanges(in *inputs) answer {
	n := in.whole("variations", in.num("variations"), Buckets)
	coverage := in.numOr("coverage", 1)
	var weights []float64
	if in.has("weights") {
		weights = in.nums("weights", -1)
	}
	out := make([][]float64, 0, n)
	for _, r := range Ranges(n, coverage, weights) {
		out = append(out, []float64{r.Lo, r.Hi})
	}
	return answer{"ranges": out}
}

func answerLinUCB(in *inputs) answer {
	var arms, decisions []json.RawMessage
	in.read("arms", &arms, "a list of arms")
	in.read("decisions", &decisions, "a list of arms")
	rewards := in.nums("rewards", len(decisions))
	history, contexts := in.rows("contexts_history", -1), in.rows("contexts", -1)
	alpha, l2 := in.num("alpha"), in.positive("l2")
	switch {
	case *in.err != nil:
		return nil
	case len(arms) == 0 || len(arms) > ArmsMax:
		in.fail("arms", "has %d arms: want 1 to %d", len(arms), ArmsMax)
		return nil
	case len(history) != len(decisions):
		in.fail("contexts_history", "has %d rows: want one for each of %d decisions", len(history), len(decisions))
		return nil
	case len(contexts) == 0:
		in.fail("contexts", "is empty")
		return nil
	}
	models := make([]*Linear, len(arms))
	for i := range arms {
		var err error
		if models[i], err = NewLinear(len(contexts[0]), l2); err != nil {
			in.fail("contexts", "do not fit: %v", err)
			return nil
		}
	}
	for i, d := range decisions {
		k := slices.IndexFunc(arms, func(a json.RawMessage) bool { return string(a) == string(d) })
		if k < 0 {
			in.fail(fmt.Sprintf("decisions[%d]", i), "is %.40s, which is not among arms", d)
			return nil
		}
		if err := models[k].Add(history[i], rewards[i], 1); err != nil {
			in.fail(fmt.Sprintf("contexts_history[%d]", i), "does not fit: %v", err)
			return nil
		}
	}
	scores := make([][]float64, len(contexts))
	for i, x := range contexts {
		var err error
		if scores[i], err = LinUCB(models, x, alpha); err != nil {
			in.fail(fmt.Sprintf("contexts[%d]", i), "does not fit: %v", err)
			return nil
		}
	}
	return answer{"scores": scores}
}

func answerThompson(in *inputs) answer {
	mean := in.some("posterior_mean")
	sd := in.notNegative("posterior_sd", len(mean))
	floor := in.numOr("floor", 0)
	if len(mean) > ArmsMax {
		in.fail("posterior_mean", "has %d arms: want at most %d", len(mean), ArmsMax)
		return nil
	}
	arms := make([]Gaussian, len(mean))
	for i := range arms {
		arms[i] = Gaussian{mean[i], sd[i]}
	}
	best := BestChances(arms)
	weights := Floor(best, floor)
	return answer{"p_best": best, "weights": weights, "weights_with_floor": weights}
}

func answerFloor(in *inputs) answer {
	w, floor := in.notNegative("weights", -1), in.num("floor")
	return answer{"weights": Floor(w, floor), "floor_0_5_gives": Floor(w, 0.5)}
}

func answerUCB1(in *inputs) answer {
	ucb, err := UCB1(in.num("arm_mean"), in.numOr("alpha", 1), in.num("total"), in.num("arm_count"))
	if err != nil && *in.err == nil {
		return answer{"error": err.Error()}
	}
	return answer{"ucb": ucb}
}

// judged reads outcomes, predictions and who was treated.
func (in *inputs) judged() []Judged {
	y := in.some("y")
	uplift, treated := in.nums("uplift", len(y)), in.nums("treatment", len(y))
	out := make([]Judged, len(y))
	for i := range y {
		if treated[i] != 0 && treated[i] != 1 {
			in.fail(fmt.Sprintf("treatment[%d]", i), "is %v: want 0 or 1", treated[i])
		}
		out[i] = Judged{y[i], uplift[i], treated[i] == 1}
	}
	return out
}

func answerUplift(in *inputs) answer {
	units := in.judged()
	uplift, qini := UpliftCurve(units), QiniCurve(units)
	return answer{
		"x": uplift.X, "uplift_curve": uplift.Y, "qini_curve": qini.Y,
		"uplift_area": uplift.Area(), "qini_area": qini.Area(),
	}
}

// answerUpliftBins gives plain numbers for one bin, and lists for several.
func answerUpliftBins(in *inputs) answer {
	units := in.judged()
	n := in.whole("bins", in.numOr("bins", 10), len(units))
	if *in.err != nil {
		return nil
	}
	bins, err := UpliftBins(units, n)
	if err != nil {
		in.fail("bins", "do not fit: %v", err)
		return nil
	}
	a := answer{}
	for name, of := range map[string]func(UpliftBin) float64{
		"n_treatment": func(b UpliftBin) float64 { return b.Treated }, "n_control": func(b UpliftBin) float64 { return b.Control },
		"rr_treatment": func(b UpliftBin) float64 { return b.TreatedRate }, "rr_control": func(b UpliftBin) float64 { return b.ControlRate },
		"uplift":        func(b UpliftBin) float64 { return b.Uplift },
		"std_treatment": func(b UpliftBin) float64 { return b.TreatedSD }, "std_control": func(b UpliftBin) float64 { return b.ControlSD },
		"std_uplift": func(b UpliftBin) float64 { return math.Hypot(b.TreatedSD, b.ControlSD) },
	} {
		list := make([]float64, len(bins))
		for i, b := range bins {
			list[i] = of(b)
		}
		if a[name] = list; len(bins) == 1 {
			a[name] = list[0]
		}
	}
	return a
}

// answerRetraction replays changes of units' sums: ["+" or "-", arm, unit, value]. The
// values of a unit add up; the arm's sums are over units. With one arm its figures are the
// answer, with several those of all together, and those of each under arms.
func answerRetraction(in *inputs) answer {
	var ops [][]any
	in.read("ops", &ops, `a list of ["+" or "-", arm, unit, value]`)
	units := make(map[string]map[string]float64)
	for i, op := range ops {
		at := fmt.Sprintf("ops[%d]", i)
		if len(op) != 4 {
			in.fail(at, "has %d entries: want sign, arm, unit, value", len(op))
			return nil
		}
		sign, arm, unit := fmt.Sprint(op[0]), fmt.Sprint(op[1]), fmt.Sprint(op[2])
		v, ok := op[3].(float64)
		if !ok || sign != "+" && sign != "-" {
			in.fail(at, `is %.60v: want "+" or "-", arm, unit and a number`, op)
			return nil
		}
		if sign == "-" {
			v = -v
		}
		if units[arm] == nil {
			units[arm] = make(map[string]float64)
		}
		units[arm][unit] += v
	}
	arms, all := make(map[string]any), [3]float64{}
	for _, arm := range slices.Sorted(maps.Keys(units)) {
		var sums [3]float64
		for _, unit := range slices.Sorted(maps.Keys(units[arm])) {
			y := units[arm][unit]
			sums[0], sums[1], sums[2] = sums[0]+1, sums[1]+y, sums[2]+y*y
		}
		arms[arm] = map[string]any(summed(sums))
		for i := range all {
			all[i] += sums[i]
		}
	}
	a := summed(all)
	if len(arms) > 1 {
		a["arms"] = arms
	}
	return a
}

// summed names n, sum and sum of squares and what follows from them.
func summed(s [3]float64) answer {
	m := MeanOf(s[0], s[1], s[2])
	return answer{"n": s[0], "sum": s[1], "sum_squares": s[2], "mean": m.Mean, "var": math.Max(0, m.Var)}
}

func answerMerge(in *inputs) answer {
	var sums [3]float64
	for _, p := range in.rows("parts", 3) {
		for i, v := range p {
			sums[i] += v
		}
	}
	return summed(sums)
}

func answerHours(in *inputs) answer {
	global := in.notNegative("global_rate", -1)
	hits, sends := in.notNegative("user_opens", len(global)), in.notNegative("user_sends", len(global))
	k := in.count("prior_strength")
	if len(global) == 0 {
		in.fail("global_rate", "is empty")
	}
	if *in.err != nil {
		return nil
	}
	rates, err := HourRates(global, hits, sends, k)
	if err != nil {
		in.fail("prior_strength", "does not fit: %v", err)
		return nil
	}
	best := 0
	for i, r := range rates {
		if r > rates[best] {
			best = i
		}
	}
	return answer{"posterior_rate": rates, "best": best}
}

// ringMax bounds a ring of bins: the minutes of a week fit.
const ringMax = 20000

func answerCircle(in *inputs) answer {
	n := in.whole("length", in.num("length"), ringMax)
	kernel := in.some("kernel")
	if len(kernel)%2 == 0 || len(kernel) > ringMax {
		in.fail("kernel", "has %d weights: want an odd number of at most %d", len(kernel), ringMax)
	}
	var hist map[string]float64
	in.read("hist_nonzero", &hist, "an object of bins and numbers")
	bins := make([]float64, n)
	for at, v := range hist {
		i, err := strconv.Atoi(at)
		if err != nil || i < 0 || i >= n {
			in.fail("hist_nonzero", "has the bin %.20q: want 0 to %d", at, n-1)
			continue
		}
		bins[i] = v
	}
	if *in.err != nil {
		return nil
	}
	at := make(map[string]any, n)
	for i, v := range SmoothCircle(bins, kernel) {
		at[strconv.Itoa(i)] = v
	}
	return answer{"at": at}
}
