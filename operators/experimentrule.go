package operators

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strings"

	"millrace/configs"
	"millrace/engine"
	"millrace/operators/experiment"
)

// This file asks what a rule over people would have brought. Its conditions know what was
// frozen at a person's first exposure and nothing else: what is known of the person now may
// be a consequence of the mail.

// The variables of rules, and which features hold them.
const (
	frozenOrders = 1 + iota
	frozenLTV
	frozenOrderDays
	frozenViews
	frozenSeenDays
)

func frozenFields(m *experiment.UpliftModel) []configs.Field {
	out := []configs.Field{
		{Name: "profile.orders", Type: configs.Int, Doc: "orders before the first exposure"},
		{Name: "profile.ltv", Type: configs.Float, Doc: "money of them"},
		{Name: "profile.days_since_order", Type: configs.Float, Doc: "days since the last of them; 0 when there was none"},
		{Name: "profile.views", Type: configs.Float, Doc: "products viewed, decayed"},
		{Name: "profile.days_since_seen", Type: configs.Float, Doc: "days since the last activity"},
	}
	if m != nil && !m.Money {
		out = append(out, configs.Field{Name: configs.UpliftName, Type: configs.Float, Doc: "by the model that the shop names"})
	}
	return out
}

// frozenValue is a variable as it was when the features were frozen: they are logarithms in
// steps of 1.6 %, so that counts up to thirty are exact.
func frozenValue(slot int, features []int64, m *experiment.UpliftModel) configs.Value {
	if slot >= frozenSeenDays {
		return configs.FloatValue(m.Predict(features))
	}
	x := 0.0
	if slot+1 < len(features) {
		x = math.Expm1(2 * float64(features[slot+1]) / experiment.FeatureScale)
	}
	switch slot + 1 {
	case frozenOrders:
		return configs.IntValue(int64(math.Round(x)))
	case frozenOrderDays:
		return configs.FloatValue(math.Max(0, x-1)) // the feature counts from 1
	}
	return configs.FloatValue(x)
}

// ruleForm is CONDITION=VARIANT: the last = that stands before a name.
var ruleForm = regexp.MustCompile(`(?s)^(.*[^=!<>])=\s*([a-z][a-z0-9-]*)\s*$`)

// RuleQuestion asks what a rule would have brought.
type RuleQuestion struct {
	When  []string // CONDITION=VARIANT; the first that holds counts
	Else  string   // variant of the others; "": what they had
	Alpha float64
}

// RuleValue answers what a rule would have brought of the goal of an experiment.
func (p *Pipeline) RuleValue(ctx context.Context, v *engine.View, r *experiment.Running, q RuleQuestion) (*experiment.RuleValue, error) {
	var model *experiment.UpliftModel
	if p.models != nil {
		model = p.models.Uplift
	}
	lines, otherwise, err := ruleOf(r, &q, model)
	if err != nil {
		return nil, err
	}
	roll, err := p.Roll(ctx, v, r)
	if err != nil {
		return nil, err
	}
	if roll.Bare > 0 && len(roll.Units) == 0 {
		return nil, fmt.Errorf("experiment %s: %d people entered before features were kept: %w", r.Name, roll.Bare, experiment.ErrTooFew)
	}
	return roll.Rule(r, lines, otherwise, q.Alpha)
}

func ruleOf(r *experiment.Running, q *RuleQuestion, model *experiment.UpliftModel) ([]experiment.RuleLine, int, error) {
	env, err := configs.NewEnv(frozenFields(model))
	if err != nil {
		return nil, 0, err
	}
	otherwise := -1
	if q.Else != "" {
		if otherwise = r.Arm(q.Else); otherwise < 0 {
			return nil, 0, fmt.Errorf("--else: no variant %q in %s, which has %s", q.Else, r.Name, strings.Join(r.Arms(), ", "))
		}
	}
	var lines []experiment.RuleLine
	for _, text := range q.When {
		parts := ruleForm.FindStringSubmatch(text)
		if parts == nil {
			return nil, 0, fmt.Errorf("--when %q: want CONDITION=VARIANT, such as 'profile.orders >= 3=%s'", text, r.Arms()[0])
		}
		arm := r.Arm(parts[2])
		if arm < 0 {
			return nil, 0, fmt.Errorf("--when %q: no variant %q in %s, which has %s", text, parts[2], r.Name, strings.Join(r.Arms(), ", "))
		}
		c, problems := configs.CompileCondition(strings.TrimSpace(parts[1]), env, "")
		if len(problems) > 0 {
			return nil, 0, fmt.Errorf("--when %q: %w; known is what was at the first exposure: %s", text, problems[0], strings.Join(fieldNames(env), ", "))
		}
		slots := make([]configs.Value, env.Len())
		lines = append(lines, experiment.RuleLine{Arm: arm, When: func(features []int64) bool {
			for _, slot := range c.Uses() {
				slots[slot] = frozenValue(slot, features, model)
			}
			return c.Eval(slots)
		}})
	}
	return lines, otherwise, nil
}

func fieldNames(env *configs.Env) []string {
	var out []string
	for _, f := range env.Fields() {
		out = append(out, f.Name)
	}
	return out
}
