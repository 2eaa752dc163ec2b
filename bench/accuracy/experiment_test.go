package accuracy

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const headlines = `clickability_test_id,headline,impressions,clicks
a,"one, of
two lines",2000,20
b,alone,500,5
a,two,2100,84
c,even,1000,30
c,even too,1000,31
c,never shown,0,0
`

func TestExperimentTests(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadExperimentTests(dir); !errors.Is(err, ErrExperimentData) {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(headlines)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "upworthy_x.csv.gz"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	tests, err := ReadExperimentTests(dir)
	if err != nil || len(tests) != 2 || tests[0].ID != "a" || tests[0].Arms[1] != (ExperimentArm{2100, 84}) || len(tests[1].Arms) != 2 {
		t.Fatalf("%+v, %v", tests, err)
	}
	r, err := EvaluateExperiments(tests, 0.05, 1)
	if err != nil {
		t.Fatal(err)
	}
	if r.Different != 0 || r.Comparisons != 2 || r.Impressions != 6100 || r.Clicks != 165 || r.Looks < 60 || r.Shares != 0 {
		t.Fatalf("%+v", r)
	}
	called := map[string]int{}
	for _, c := range r.Called {
		called[strings.TrimSpace(c.Rule)] = c.Tests
	}
	if called["any-time sequence at any look, arms corrected"] != 1 || called["plain t-test at the end, arms corrected"] != 1 {
		t.Fatalf("%+v", called)
	}
	var text bytes.Buffer
	if err := WriteExperimentTable(&text, r); err != nil || !strings.Contains(text.String(), "6100, 165") {
		t.Fatalf("%v: %s", err, text.String())
	}
	// Another order of the stream leads to the same sums.
	again, err := EvaluateExperiments(tests, 0.05, 2)
	if err != nil || again.Different != 0 {
		t.Fatalf("%+v, %v", again, err)
	}
}

func TestExperimentTestsRefuses(t *testing.T) {
	f := func(text string) {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "upworthy.csv"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadExperimentTests(dir); err == nil {
			t.Fatalf("%q was taken", text)
		}
	}
	f("")
	f("a,b\n1,2\n")
	f("clickability_test_id,impressions,clicks\na,10,11\n")
	f("clickability_test_id,impressions,clicks\na,10,-1\n")
	f("clickability_test_id,impressions,clicks\na,x,1\n")
}
