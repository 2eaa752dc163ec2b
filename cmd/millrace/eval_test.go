package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/operators/sentiment"
)

// playEval runs the program's own command line and returns what it prints.
func playEval(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, progress bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(&progress)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func TestEvalSentiment(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("label\ttext\n")
	for i := range 60 {
		fmt.Fprintf(&b, "1\tgreat phone number %d\n0\tawful case number %d\n", i, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "mine.tsv"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := playEval(t, "eval", "sentiment", "--data", dir, "--model", "bayes", "--model", "ensemble", "--folds", "3", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Sets []struct {
			Name, Model       string
			Accuracy, F1, ECE float64
			N, Folds          int
		}
	}
	if err := json.Unmarshal([]byte(lastLine(out)), &got); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	if len(got.Sets) != 2 {
		t.Fatalf("%+v", got)
	}
	for i, s := range got.Sets {
		if s.Name != "mine" || s.Model != []string{"bayes", "ensemble"}[i] || s.Accuracy < 0.95 || s.F1 < 0.95 || s.N != 120 || s.Folds != 3 {
			t.Errorf("%+v", s)
		}
	}
	f := func(code int, args ...string) {
		t.Helper()
		_, err := playEval(t, append([]string{"eval"}, args...)...)
		e, ok := errors.AsType[*exitError](err)
		if err == nil || (code != 0) != ok || ok && e.code != code {
			t.Errorf("%v: %v", args, err)
		}
	}
	f(exitUsage, "sentiment")
	f(exitUsage, "sentiment", "--data", dir, "--model", "oracle")
	f(exitUsage, "sentiment", "--data", dir, "--folds", "1")
	f(0, "sentiment", "--data", dir, "--set", "none")
	f(exitUsage, "headline")
	f(exitUsage, "headline", "--data", dir, "--folds", "1")
	f(0, "headline", "--data", dir)
}

func TestEvalHeadline(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("test,headline,impressions,clicks\n")
	for i := range 40 {
		fmt.Fprintf(&b, "%d,the secret of plan %d,1000,60\n%d,a yearly report %d,1000,20\n", i, i, i, i)
	}
	path := filepath.Join(dir, "headlines.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := playEval(t, "eval", "headline", "--data", dir, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Pairs    int
		Accuracy float64
	}
	if err := json.Unmarshal([]byte(lastLine(out)), &got); err != nil || got.Pairs != 40 || got.Accuracy != 1 {
		t.Errorf("%v, %+v in %q", err, got, out)
	}
	file := filepath.Join(dir, "headline.model")
	if out, err = playEval(t, "model", "train", "headline", "--data", path, "--out", file); err != nil || !strings.Contains(out, "40 pairs of 80 headlines") {
		t.Fatalf("%q, %v", out, err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	model, err := sentiment.DecodeHeadline(raw)
	if err != nil {
		t.Fatal(err)
	}
	if p := model.Prefer(sentiment.NewLine("the secret of shoes"), sentiment.NewLine("a yearly report on shoes")); p < 0.7 {
		t.Errorf("the trained file prefers the wrong line: %.2f", p)
	}
	if _, err := playEval(t, "model", "train", "headline"); err == nil {
		t.Error("no file was accepted")
	}
}
