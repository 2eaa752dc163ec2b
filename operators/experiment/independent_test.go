package experiment_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestIndependent asks with random inputs and compares with answers that scipy, statsmodels
// and numpy gave, by other ways where there are any: from raw units instead of sums, by
// integrals and roots instead of formulas. testdata/independent.py made them.
func TestIndependent(t *testing.T) {
	raw, err := os.ReadFile("testdata/independent.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Cases []refCase }
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	asked := make(map[string]int)
	for _, c := range all.Cases {
		asked[c.Method]++
		got, err := answer(c.Method, string(c.Inputs))
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if d := differs("", got, c.Expected, c.Tolerance); d != "" {
			t.Errorf("%s: %s", c.Name, strings.TrimPrefix(d, "."))
		}
	}
	for method, n := range asked {
		if n < 15 {
			t.Errorf("%s: asked %d times only", method, n)
		}
	}
	if len(asked) < 20 {
		t.Errorf("%d methods only", len(asked))
	}
	t.Logf("%d answers of %d methods agree", len(all.Cases), len(asked))
}
