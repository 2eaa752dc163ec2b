package main

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"millrace/operators/content"
	"millrace/operators/lstm"
)

// TestConsoleModels: what the registry holds is what the page shows, with the curves that
// were kept, and which version is in use.
func TestConsoleModels(t *testing.T) {
	dir := t.TempDir()
	r := lstm.NewRegistry(filepath.Join(dir, modelsDir))
	a := addModel(t, r, "a")
	var b bytes.Buffer
	w, err := lstm.NewCurveWriter(&b, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		for _, tag := range []string{"loss", "rate"} {
			if err := w.Write(lstm.Point{Step: int64(10 * i), Tag: tag, Value: float32(5 - i), At: time.Unix(2, 0)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.KeepCurves(content.ModelName, a, b.Bytes()); err != nil {
		t.Fatal(err)
	}
	h := trainHeadline(t, dir, "--data", testsOfHeadlines(t, "shiny"))
	if err := headlinesOf(r).Promote(headlineName, h, time.Unix(3, 0)); err != nil {
		t.Fatal(err)
	}
	kinds, err := consoleModels{r}.Models(t.Context())
	if err != nil || len(kinds) != 2 {
		t.Fatalf("%+v, %v", kinds, err)
	}
	subjects, headlines := kinds[0], kinds[1]
	if len(subjects.Versions) != 2 || !subjects.Versions[0].InUse || subjects.Versions[1].InUse || subjects.Versions[1].Version != a || len(subjects.Versions[1].Metrics) == 0 {
		t.Errorf("%+v", subjects)
	}
	if c := subjects.Versions[1].Curves; len(c) != 1 || c[0].Name != "loss" || len(c[0].Steps) != 5 || c[0].Values[4] != 1 {
		t.Errorf("%+v", c)
	}
	if len(headlines.Versions) != 1 || !headlines.Versions[0].InUse || len(headlines.Promotions) != 1 || headlines.Promotions[0].Version != h {
		t.Errorf("%+v", headlines)
	}
	if err := r.Promote(content.ModelName, a, time.Unix(4, 0)); err != nil {
		t.Fatal(err)
	}
	if kinds, err = (consoleModels{r}).Models(t.Context()); err != nil || kinds[0].Versions[0].InUse || !kinds[0].Versions[1].InUse {
		t.Errorf("%+v, %v", kinds, err)
	}
}
