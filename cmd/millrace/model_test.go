package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"millrace/operators/content"
	"millrace/operators/lstm"
)

// otherModel is a model that a writer takes and that is not the shipped one: the same
// weights under another mark.
func otherModel(t *testing.T, mark string) []byte {
	t.Helper()
	file, err := content.ShippedModel()
	if err != nil {
		t.Fatal(err)
	}
	m, err := lstm.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	m.SetMeta("mark", mark)
	out, err := content.EncodeModel(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func addModel(t *testing.T, r *lstm.Registry, mark string) string {
	t.Helper()
	file := otherModel(t, mark)
	card, err := content.CardOf(file, time.Unix(1700000000, 0).UTC())
	if err != nil {
		t.Fatal(err)
	}
	if card, err = r.Add(file, card); err != nil {
		t.Fatal(err)
	}
	return card.Version
}

func TestModelCommands(t *testing.T) {
	dir := t.TempDir()
	r := lstm.NewRegistry(filepath.Join(dir, modelsDir))
	a, b := addModel(t, r, "a"), addModel(t, r, "b")
	play := func(want string, args ...string) string {
		t.Helper()
		out, err := playEval(t, append(append([]string{"model"}, args...), "--data-dir", dir)...)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("%v: %q, %v, want %q", args, out, err, want)
		}
		return out
	}
	refuse := func(code int, args ...string) {
		t.Helper()
		_, err := playEval(t, append(append([]string{"model"}, args...), "--data-dir", dir)...)
		e, ok := errors.AsType[*exitError](err)
		if err == nil || ok != (code != 0) || ok && e.code != code {
			t.Fatalf("%v: %v, want code %d", args, err, code)
		}
	}
	play("* subject-", "list")
	play(a+" is in use", "promote", a)
	play("* "+a, "list")
	play(b+" is in use", "promote", b)
	play(a+" is in use", "rollback")
	play("the shipped model is in use", "rollback")
	refuse(exitNotFound, "rollback")
	play(b, "promote", b)
	play("is in use", "promote", "shipped")
	var card lstm.Card
	if err := json.Unmarshal([]byte(play("sha256", "show", a)), &card); err != nil || card.Version != a || card.Seed == "" || card.Metrics["control"] < 0.95 || len(card.Corpus) != 64 || card.Licence == "" {
		t.Fatalf("%+v, %v", card, err)
	}
	play("shipped with the program", "show", "shipped")
	var list struct {
		Current string
		Models  []lstm.Card
	}
	if err := json.Unmarshal([]byte(play("models", "list", "--json")), &list); err != nil || len(list.Models) != 3 || list.Current != "" {
		t.Fatalf("%+v, %v", list, err)
	}
	refuse(exitNotFound, "promote", "subject-00000000")
	refuse(exitNotFound, "show", "../../etc")
	refuse(exitUsage, "promote")
	// A file that is not what it was is not put in use.
	file := filepath.Join(dir, modelsDir, "subject", a, "model.safetensors")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)/2] ^= 1
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	refuse(0, "promote", a)
	refuse(0, "show", a)
}

// TestModelWatch: writers that write all the time take a promotion without a mail that
// fails or names no model, and keep what they have when a version is broken.
func TestModelWatch(t *testing.T) {
	dir := t.TempDir()
	r := lstm.NewRegistry(dir)
	a := addModel(t, r, "a")
	w, err := content.New(content.Options{SubjectWait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	none, err := content.New(content.Options{NoModel: true})
	if err != nil {
		t.Fatal(err)
	}
	shipped := w.Version()
	var log bytes.Buffer
	m := &modelWatch{registry: r, writers: []*content.Writer{w, none}, log: slog.New(slog.NewTextHandler(&log, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	models := make([]map[string]int, 3)
	var wg sync.WaitGroup
	for i := range models {
		models[i] = map[string]int{}
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				d, err := w.Write(t.Context(), content.Request{DecisionID: fmt.Sprint(i, n), Kind: "welcome", UnsubscribeURL: "https://shop.example/u"})
				if err != nil || d.Fallback {
					t.Errorf("%v, %q", err, d.Why)
					return
				}
				models[i][d.Model]++
			}
		})
	}
	expect := func(want string) {
		t.Helper()
		m.look()
		if got := w.Version(); got != want {
			t.Fatalf("in use is %s, want %s\n%s", got, want, log.String())
		}
	}
	expect(shipped)
	if err := r.Promote("subject", a, time.Time{}); err != nil {
		t.Fatal(err)
	}
	expect(a)
	if _, err := r.Rollback("subject", time.Time{}); err != nil {
		t.Fatal(err)
	}
	expect(shipped)
	if err := r.Promote("subject", a, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "subject", a, "model.safetensors"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(shipped)
	expect(shipped)
	if n := strings.Count(log.String(), "cannot use"); n != 1 {
		t.Errorf("complained %d times:\n%s", n, log.String())
	}
	cancel()
	wg.Wait()
	for _, seen := range models {
		for v := range seen {
			if v != shipped && v != a {
				t.Errorf("a mail names the model %q", v)
			}
		}
	}
	if none.Version() != "" {
		t.Error("a writer without a model was given one")
	}
}

// TestModelWatchRuns: a promotion is noticed within the stated time.
func TestModelWatchRuns(t *testing.T) {
	dir := t.TempDir()
	a := addModel(t, lstm.NewRegistry(dir), "a")
	w, err := content.New(content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := lstm.NewRegistry(dir)
		m := &modelWatch{registry: r, writers: []*content.Writer{w}, log: slog.New(slog.DiscardHandler)}
		m.look()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); m.run(ctx) }()
		if err := r.Promote("subject", a, time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(modelWatchEvery)
		synctest.Wait()
		if w.Version() != a {
			t.Errorf("in use is %s, want %s", w.Version(), a)
		}
		cancel()
		<-done
	})
}

// TestEvalContentCommand: the object at the end is what other programs read.
func TestEvalContentCommand(t *testing.T) {
	out, err := playEval(t, "eval", "content", "--contexts", "60", "--show", "2", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Sets []struct {
			Name     string
			Slots    float64 `json:"slots_right"`
			Contexts int
		}
	}
	if err := json.Unmarshal([]byte(lastLine(out)), &got); err != nil || len(got.Sets) != 1 || got.Sets[0].Name != "content" || got.Sets[0].Contexts != 60 || got.Sets[0].Slots != 1 {
		t.Fatalf("%v, %+v in %q", err, got, out)
	}
	if !strings.Contains(out, "\n  2 ") {
		t.Errorf("no mails to read in %q", out)
	}
	if _, err := playEval(t, "eval", "content", "--contexts", "1"); err == nil {
		t.Error("one context was accepted")
	}
	if _, err := playEval(t, "model", "eval", "shipped", "--contexts", "20"); err != nil {
		t.Error(err)
	}
	if _, err := playEval(t, "train", "--cell", "rnn"); err == nil {
		t.Error("unknown cells were accepted")
	}
	if _, err := playEval(t, "train", "--dropout", "1"); err == nil {
		t.Error("dropout of everything was accepted")
	}
}
