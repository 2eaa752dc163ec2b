package experiment_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"millrace/operators/experiment"
)

// refCase is one entry of testdata/reference.json.
type refCase struct {
	Name      string          `json:"name"`
	Method    string          `json:"method"`
	Inputs    json.RawMessage `json:"inputs"`
	Expected  map[string]any  `json:"expected"`
	Tolerance float64         `json:"tolerance"`
}

func references(t testing.TB) []refCase {
	t.Helper()
	raw, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Count int       `json:"count"`
		Cases []refCase `json:"cases"`
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Cases) != all.Count || all.Count < 100 {
		t.Fatalf("%d cases, want %d", len(all.Cases), all.Count)
	}
	return all.Cases
}

// ask gives the answer to a question as a map.
func ask(t testing.TB, method, inputs string) map[string]any {
	t.Helper()
	out, err := answer(method, inputs)
	if err != nil {
		t.Fatalf("%s %s: %v", method, inputs, err)
	}
	return out
}

func answer(method, inputs string) (map[string]any, error) {
	q, err := json.Marshal(map[string]any{"method": method, "inputs": json.RawMessage(inputs)})
	if err != nil {
		return nil, err
	}
	raw, err := experiment.Answer(q)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(raw, &out)
}

// differs tells where got is not want within the tolerance.
func differs(path string, got, want any, tolerance float64) string {
	switch want := want.(type) {
	case float64:
		g, ok := got.(float64)
		if !ok || !(math.Abs(g-want) <= tolerance*math.Max(1, math.Abs(want))) {
			return fmt.Sprintf("%s is %v, want %v within %v", path, got, want, tolerance)
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return fmt.Sprintf("%s is %v, want %v", path, got, want)
		}
		for i := range want {
			if d := differs(fmt.Sprintf("%s[%d]", path, i), g[i], want[i], tolerance); d != "" {
				return d
			}
		}
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v, want %v", path, got, want)
		}
		for k := range want {
			if d := differs(path+"."+k, g[k], want[k], tolerance); d != "" {
				return d
			}
		}
	default:
		if got != want {
			return fmt.Sprintf("%s is %v, want %v", path, got, want)
		}
	}
	return ""
}

func TestReferenceCases(t *testing.T) {
	for _, c := range references(t) {
		got, err := answer(c.Method, string(c.Inputs))
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if d := differs("", got, c.Expected, c.Tolerance); d != "" {
			t.Errorf("%s: %s", c.Name, strings.TrimPrefix(d, "."))
		}
	}
}
