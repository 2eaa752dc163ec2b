package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/operators/sentiment"
)

// playIn runs the program's own command line with an input and returns what it prints.
func playIn(t *testing.T, in string, args ...string) string {
	t.Helper()
	var out, progress bytes.Buffer
	root := newRoot()
	root.SetIn(strings.NewReader(in))
	root.SetOut(&out)
	root.SetErr(&progress)
	root.SetArgs(args)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, progress.String())
	}
	return out.String()
}

// listeningDir is pipelineDir of a shop that listens.
func listeningDir(t *testing.T, section string) string {
	t.Helper()
	dir := pipelineDir(t, t.TempDir(), "1h")
	file, err := os.OpenFile(filepath.Join(dir, "shop.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("\n" + section); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestListeningProgram takes a program from a shop that does not listen to one that does,
// asks for labels, trains a model of them, promotes it, and judges by it; then it asks
// without a program.
func TestListeningProgram(t *testing.T) {
	dir := t.TempDir()
	r := start(t, settings{files: files{dir}, configs: []string{pipelineDir(t, t.TempDir(), "1h")}, simulated: true, speed: 1, console: "127.0.0.1:0"})
	n := 0
	say := func(text string) {
		n++
		r.put(fmt.Sprintf(`{"type":"track","event":"Service Message Received","messageId":"s%d","userId":"u1","timestamp":"2026-03-01T10:%02d:00Z","properties":{"body":%q}}`, n, n, text))
	}
	texts := func() uint64 {
		p := r.profile("u1")
		if p.Tone == nil {
			return 0
		}
		return p.Tone.Texts
	}
	say("This was heard by nobody.")
	r.until("the first event", func() bool { return len(r.profile("u1").Events) == 1 })
	apply := func(section string) {
		t.Helper()
		if ans := r.acts.apply(t.Context(), &applyRequest{Bundle: bundleOf(t, listeningDir(t, section)), By: "test"}); ans.Result != "applied" {
			t.Fatalf("got %+v", ans)
		}
		r.app.pipeline = r.acts.current().pipeline
	}
	if r.profile("u1").Tone != nil {
		t.Fatal("the shop does not listen, and something was heard")
	}
	apply("sentiment: {labels: yes}\n")
	say("It is a kettle. Write to ann@shop.example")
	say("So the parcel is at the neighbour's")
	r.until("two texts", func() bool { return texts() == 2 })

	var asked []sentiment.Asked
	if err := json.Unmarshal([]byte(playIn(t, "", "label", "--data-dir", dir, "--json")), &asked); err != nil || len(asked) != 2 {
		t.Fatalf("got %+v, %v", asked, err)
	}
	out := playIn(t, "what?\n+\n-\n", "label", "--data-dir", dir)
	if !strings.Contains(out, "2 labels given, 2 in all") || strings.Contains(out, "ann@") {
		t.Fatalf("got %s", out)
	}
	if out := playIn(t, "+\n", "label", "--data-dir", dir); !strings.Contains(out, "nothing to ask") {
		t.Fatalf("labelled texts are asked about again: %s", out)
	}

	shipped, _, err := shippedTone()
	if err != nil {
		t.Fatal(err)
	}
	if got := r.profile("u1").Tone.Model; got != shipped {
		t.Fatalf("judged by %s, want %s", got, shipped)
	}
	version := strings.TrimSpace(lastLine(playIn(t, "", "model", "train", "sentiment", "--data-dir", dir, "--kind", "bayes")))
	learnt := strings.TrimSpace(lastLine(playIn(t, "", "model", "train", "sentiment", "--data-dir", dir, "--from", "shipped")))
	if version == shipped || learnt == shipped || version == learnt {
		t.Fatalf("versions %s, %s and %s", shipped, version, learnt)
	}
	playIn(t, "", "model", "promote", version, "--data-dir", dir)
	if out := playIn(t, "", "model", "list", "--name", "sentiment", "--data-dir", dir); !strings.Contains(out, "* "+version) || !strings.Contains(out, shipped) || !strings.Contains(out, "2 of them the shop's own") {
		t.Fatalf("got %s", out)
	}
	if out := playIn(t, "", "model", "show", version, "--data-dir", dir); !strings.Contains(out, `"labels": 2`) {
		t.Fatalf("got %s", out)
	}
	say("It came, and I have no opinion on it")
	r.until("three texts", func() bool { return texts() == 3 })
	if got := r.profile("u1").Tone.Model; got != shipped {
		t.Fatalf("a promotion changed what judges while the version ran: %s", got)
	}
	apply("sentiment: {labels: yes, hold_after_bad: 3d}\n")
	say("Awful, never again")
	r.until("four texts", func() bool { return texts() == 4 })
	if got := r.profile("u1").Tone; got.Model != version || got.Bad != 1 || got.HeldUntil == 0 {
		t.Fatalf("got %+v, want %s", got, version)
	}
	for path, want := range map[string]string{
		"/tone": version, "/metrics": `millrace_tone_texts_total{event="service_message_received",verdict="bad"} 1`,
	} {
		if code, body := ask(t, http.MethodGet, "http://"+r.listeners["console"].Addr().String()+path, "", ""); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, lacks %s", path, code, want)
		}
	}
	if out := playIn(t, "", "profile", "show", "u1", "--data-dir", dir); !strings.Contains(out, "of 4 texts, 1 bad") || !strings.Contains(out, "held back after a bad experience until 2026-03-04") {
		t.Errorf("got %s", out)
	}
	playIn(t, "", "model", "rollback", "--name", "sentiment", "--data-dir", dir)
	r.stop()
	if err := json.Unmarshal([]byte(playIn(t, "", "label", "--data-dir", dir, "--json", "--n", "1")), &asked); err != nil || len(asked) != 1 {
		t.Errorf("without a program: %+v, %v", asked, err)
	}
}

// A version that is not there, or was tampered with, is refused before it is used.
func TestToneModel(t *testing.T) {
	f := files{t.TempDir()}
	for _, named := range []string{"current", "shipped"} {
		if m, version, err := f.toneModel(named); err != nil || m == nil || !strings.HasPrefix(version, "sentiment-") {
			t.Errorf("%s: %v, %v", named, version, err)
		}
	}
	if _, _, err := f.toneModel("sentiment-00000000"); err == nil || !strings.Contains(err.Error(), "sentiment.model sentiment-00000000") {
		t.Errorf("got %v", err)
	}
	version := strings.TrimSpace(lastLine(playIn(t, "", "model", "train", "sentiment", "--data-dir", f.dir, "--kind", "bayes")))
	playIn(t, "", "model", "promote", version, "--data-dir", f.dir)
	if _, got, err := f.toneModel("current"); err != nil || got != version {
		t.Fatalf("got %s, %v, want %s", got, err, version)
	}
	path := filepath.Join(f.dir, "models", "sentiment", version, "model.safetensors")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.toneModel("current"); err == nil || !strings.Contains(err.Error(), "corrupt") {
		t.Errorf("a changed file is taken: %v", err)
	}
	if _, err := playEval(t, "model", "promote", version, "--data-dir", f.dir); err == nil {
		t.Error("a changed file is promoted")
	}
}

// A search finds what is best on a set, and goes on where it was.
func TestTuneSentiment(t *testing.T) {
	dir := t.TempDir()
	var set strings.Builder
	set.WriteString("label,text\n")
	examples, _, err := sentiment.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range examples {
		if i%4 == 0 {
			fmt.Fprintf(&set, "%t,\"%s\"\n", e.Positive, strings.ReplaceAll(e.Doc.Text(), `"`, ""))
		}
	}
	path := filepath.Join(dir, "own.csv")
	if err := os.WriteFile(path, []byte(set.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"model", "tune", "sentiment", "--data", path, "--data-dir", dir, "--trials", "3", "--rungs", "2"}
	first := playIn(t, "", args...)
	if !strings.Contains(first, "best: trial") {
		t.Fatalf("got %s", first)
	}
	begin := time.Now()
	if again := playIn(t, "", args...); again != first {
		t.Fatalf("the search went on after its end (%s): %s", time.Since(begin), again)
	}
	if _, err := playEval(t, append(args, "--seed", "3")...); err == nil || !strings.Contains(err.Error(), "other flags") {
		t.Errorf("got %v", err)
	}
	if _, err := playEval(t, "model", "tune", "sentiment"); err == nil {
		t.Error("a search without texts")
	}
}
