package experiment_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"millrace/operators/experiment"
)

// hostile are values that somebody will put where a number belongs, or a list.
var hostile = []string{
	"0", "-1", "1", "0.5", "1e308", "-1e308", "5e-324", "1e-300", "1e15", "123456789.5", "null", `"x"`, "true", "[]", "{}", "[1]", "[null]", "[[1,2]]",
	"[1e308,1e308]", `{"n":1}`, `{"n":0,"sum":0,"sum_squares":0}`, `{"n":1e300,"sum":1e300,"sum_squares":1e308}`,
}

// check asks a question that may be nonsense: the answer is an error, or JSON that holds
// only numbers.
func check(t testing.TB, question string) {
	t.Helper()
	raw, err := experiment.Answer([]byte(question))
	if err != nil {
		if strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 2000 {
			t.Fatalf("%.500s: error %.500q", question, err)
		}
		return
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%.500s: %v in %.500s", question, err, raw)
	}
	for _, name := range []string{"p_value", "p", "seq_p", "chance_to_win", "p_b_beats_a", "power"} {
		if p, ok := out[name]; ok {
			if v, ok := p.(float64); !ok || !(v >= 0 && v <= 1) {
				t.Errorf("%.500s: %s is %v", question, name, p)
			}
		}
	}
}

// TestHostileInputs puts each hostile value into each place of each reference case.
func TestHostileInputs(t *testing.T) {
	asked := 0
	for _, c := range references(t) {
		var inputs any
		if err := json.Unmarshal(c.Inputs, &inputs); err != nil {
			t.Fatal(err)
		}
		var visit func(v any, rebuild func(string) string)
		visit = func(v any, rebuild func(string) string) {
			for _, h := range hostile {
				asked++
				check(t, fmt.Sprintf(`{"method":%q,"inputs":%s}`, c.Method, rebuild(h)))
			}
			switch v := v.(type) {
			case map[string]any:
				for name := range v {
					visit(v[name], func(s string) string {
						fields := make([]string, 0, len(v))
						for k, w := range v {
							raw, _ := json.Marshal(w)
							if k == name {
								raw = []byte(s)
							}
							fields = append(fields, fmt.Sprintf("%q:%s", k, raw))
						}
						return rebuild("{" + strings.Join(fields, ",") + "}")
					})
				}
			case []any:
				for i := range min(len(v), 2) {
					visit(v[i], func(s string) string {
						parts := make([]string, 0, len(v))
						for k, w := range v {
							raw, _ := json.Marshal(w)
							if k == i {
								raw = []byte(s)
							}
							parts = append(parts, string(raw))
						}
						return rebuild("[" + strings.Join(parts, ",") + "]")
					})
				}
			}
		}
		visit(inputs, func(s string) string { return s })
	}
	t.Logf("%d questions", asked)
}

// optional are fields that have a default, or that no method reads.
var optional = map[string]bool{
	"difference": true, "metric": true, "alpha": true, "alternative": true, "prior": true, "note": true, "see": true, "also": true,
	"meaning": true, "coverage": true, "weights": true, "floor": true, "two_sided": true, "interval": true, "l0": true, "linf": true,
	"l1": true, "sensitivity": true, "nu": true, "alpha_opt": true, "dirichlet_alpha": true, "dirichlet_concentration": true, "s": true,
	"tuning_N": true, "foo_choices8": true, "gaussian_sigma": true, "bins": true,
}

// TestMissingFields leaves out each field of each case: the error names it.
func TestMissingFields(t *testing.T) {
	left := 0
	for _, c := range references(t) {
		var inputs map[string]json.RawMessage
		if err := json.Unmarshal(c.Inputs, &inputs); err != nil {
			t.Fatal(err)
		}
		for name, raw := range inputs {
			if optional[name] && !(c.Method == "srm_chi2" && name == "weights") || c.Method == "dp_accounting" && name == "eps_each" {
				continue
			}
			delete(inputs, name)
			rest, err := json.Marshal(inputs)
			if err != nil {
				t.Fatal(err)
			}
			inputs[name] = raw
			left++
			if _, err := answer(c.Method, string(rest)); err == nil {
				t.Errorf("%s without %s is answered", c.Name, name)
			} else if !strings.Contains(err.Error(), name) && !(c.Method == "msprt" || c.Method == "dp_accounting") {
				t.Errorf("%s without %s: %v", c.Name, name, err)
			}
		}
	}
	if left < 150 {
		t.Errorf("only %d fields were left out", left)
	}
}

func TestAnswerErrors(t *testing.T) {
	f := func(question, want string) {
		t.Helper()
		out, err := experiment.Answer([]byte(question))
		if err == nil {
			t.Errorf("%s: answered with %s", question, out)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, want %q", question, err, want)
		}
	}
	f(``, "read the question")
	f(`[]`, "read the question")
	f(`{}`, "method is missing")
	f(`{"method":"holm"}`, "inputs are missing")
	f(`{"method":"holm","inputs":[]}`, "want an object")
	f(`{"method":"holm","inputs":null}`, "want an object")
	f(`{"method":"holm","inputs":{}} {}`, "something follows")
	f(`{"method":"t_test","inputs":{}}`, `nearest is "t_test_`)
	f(`{"method":"HOLM","inputs":{}}`, `nearest is "holm"`)
	f(`{"method":"binomial","inputs":{}}`, `nearest is "binomial_all"`)
	f(`{"method":"","inputs":{}}`, "nearest is")
	f(`{"method":"holm","inputs":{"p":[0.1,2]}}`, "p[1] is 2: want 0 to 1")
	f(`{"method":"holm","inputs":{"p":[0.1,null]}}`, "no number at place 1")
	f(`{"method":"t_test_two_sided","inputs":{"control":{"n":1,"sum":2},"treatment":{"n":3,"sum":1},"metric":"binomial"}}`, "control.sum is 2: want 0 to n")
	f(`{"method":"t_test_two_sided","inputs":{"control":3}}`, "control is not an object")
	f(`{"method":"holm","inputs":{"p":[0.1],"p":[1e999]}}`, "p is not")
	f(`{"method":"msprt","inputs":{"n_per_arm":10,"conv_a":11,"conv_b":1,"tau2":1}}`, "want at most n_per_arm")
	f(`{"method":"linucb_disjoint","inputs":{"arms":[1],"decisions":[2],"rewards":[1],"contexts_history":[[1]],"contexts":[[1]],"alpha":1,"l2":1}}`, "decisions[0] is 2")
}

// TestTails asks where naive formulas overflow, underflow or cancel.
func TestTails(t *testing.T) {
	f := func(method, inputs, field string, want, tolerance float64) {
		t.Helper()
		got, ok := ask(t, method, inputs)[field].(float64)
		if !ok || !(math.Abs(got-want) <= tolerance*math.Abs(want)) {
			t.Errorf("%s %s: %s is %v, want %v", method, inputs, field, got, want)
		}
	}
	// z = 30 has a p-value of 9.8e-198, not 0, and z = 1 of 1e12 units its own.
	f("t_test_two_sided", `{"control":{"n":1e12,"sum":0,"sum_squares":1e12},"treatment":{"n":1e12,"sum":42426406.87119285,"sum_squares":1e12},"difference":"absolute"}`, "p_value", 9.81343e-198, 1e-4)
	f("t_test_two_sided", `{"control":{"n":1e12,"sum":0,"sum_squares":1e12},"treatment":{"n":1e12,"sum":1414213.562373095,"sum_squares":1e12},"difference":"absolute"}`, "p_value", 0.317310507862914, 1e-8)
	// e^500 of evidence does not fit a float; its logarithm does.
	f("msprt", `{"n_per_arm":1e6,"conv_a":1e5,"conv_b":2e5,"tau2":0.01}`, "log_lambda", -0.5*math.Log1p(1e4/0.25)+1e6*0.01/0.5*(1e4/(1e4+0.25)), 1e-9)
	if out := ask(t, "msprt", `{"n_per_arm":1e6,"conv_a":1e5,"conv_b":2e5,"tau2":0.01}`); out["Lambda"] != nil || out["p_value"] != 0.0 {
		t.Errorf("an overflow is %v", out)
	}
	f("srm_chi2", `{"observed":[500000000,500100000],"weights":[1,1]}`, "p_value", math.Erfc(1e5/math.Sqrt(2*1000100000)), 1e-9)
	f("srm_chi2", `{"observed":[0,0],"weights":[1,1]}`, "p_value", 1, 0)
	f("srm_chi2", `{"observed":[5,5,0],"weights":[1,1,0]}`, "p_value", 1, 0)
	f("srm_chi2", `{"observed":[5,5,1],"weights":[1,1,0]}`, "p_value", 0, 0)
	f("dp_discrete_laplace", `{"epsilon":1e-9}`, "variance", 2e18, 1e-9)
	f("expected_loss", `{"mu":0,"sigma":0}`, "chance_to_win", 0.5, 0)
	f("power", `{"n_per_arm":0,"baseline":0.1,"mde_rel":0.1}`, "power", 0.025, 1e-9)
	f("beta_binomial_chance_and_loss", `{"a":[0,0],"b":[0,0]}`, "p_b_beats_a", 0.5, 1e-9)
	f("beta_binomial_chance_and_loss", `{"a":[0,0],"b":[0,0]}`, "loss_choose_a", 1.0/6, 1e-9)
	f("dp_analytic_gaussian_delta", `{"sigma":1,"epsilon":1e-9}`, "delta", 0.38292492, 1e-6)
	if got := ask(t, "dp_magic_partition_selection", `{"epsilon":1,"delta":1e-5,"counts":[1e300]}`)["p_keep"]; fmt.Sprint(got) != "[1]" {
		t.Errorf("a group beyond counting is shown with %v", got)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, c := range references(f) {
		q, err := json.Marshal(map[string]any{"method": c.Method, "inputs": c.Inputs})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(q))
	}
	f.Fuzz(func(t *testing.T, question string) { check(t, question) })
}

// TestComposite asks composite methods about drawn sums and compares with the single
// methods they are made of.
func TestComposite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		arm := func(name string) string {
			n := rapid.IntRange(2, 1_000_000).Draw(t, name)
			mean := rapid.Float64Range(-5, 5).Draw(t, name+" mean")
			sd := rapid.Float64Range(0.1, 9).Draw(t, name+" sd")
			return fmt.Sprintf(`{"n":%d,"sum":%v,"sum_squares":%v}`, n, mean*float64(n), (sd*sd+mean*mean)*float64(n))
		}
		inputs := fmt.Sprintf(`{"control":%s,"treatment":%s,"tuning_N":%d,"prior":{"mean":0.1,"variance":2}}`,
			arm("a"), arm("b"), rapid.IntRange(1, 100_000).Draw(t, "tuning"))
		get := func(method, field string) any {
			out, err := answer(method, inputs)
			if err != nil {
				t.Fatal(err)
			}
			return out[field]
		}
		for _, pair := range [][3]string{
			{"p", "t_test_two_sided", "p_value"}, {"ci", "t_test_two_sided", "ci"}, {"seq_p", "asymptotic_confidence_sequence_two_sided", "p_value"},
			{"seq_ci", "asymptotic_confidence_sequence_two_sided", "ci"}, {"risk", "bayesian_gaussian_effect", "risk"},
			{"chance_to_win", "bayesian_gaussian_effect", "chance_to_win"},
		} {
			if got, want := fmt.Sprint(get("mean_all", pair[0])), fmt.Sprint(get(pair[1], pair[2])); got != want {
				t.Fatalf("%s: %s is %s, by itself %s", inputs, pair[0], got, want)
			}
		}
	})
}
