package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/configs"
	"millrace/engine"
)

// pipelineDir writes the shipped shop and the cart journey with a wait into a directory.
func pipelineDir(t *testing.T, dir, wait string) string {
	t.Helper()
	for _, name := range []string{"shop.yaml", "cart-abandonment.yaml"} {
		f, err := configs.Shipped().Open(name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		raw := make([]byte, info.Size())
		if _, err := f.Read(raw); err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(raw), "wait: 1h ", "wait: "+wait+" ", 1)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func bundleOf(t *testing.T, paths ...string) configs.Bundle {
	t.Helper()
	l, err := configs.NewLoader(configs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Collect(paths...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestApplyWhileRunning takes a program through a change, one that is wrong, one that needs
// a restart, a rollback and a restart with other files, and wants people and waits kept.
func TestApplyWhileRunning(t *testing.T) {
	dir := pipelineDir(t, t.TempDir(), "1h")
	s := settings{files: files{t.TempDir()}, configs: []string{dir}, simulated: true, speed: 1}
	r := start(t, s)
	r.put(
		`{"type":"identify","messageId":"m1","userId":"u1","timestamp":"2026-03-01T10:00:00Z","traits":{"email":"u1@example.com","consent":{"marketing":true}}}`,
		`{"type":"track","event":"Product Added","messageId":"m2","userId":"u1","timestamp":"2026-03-01T10:00:01Z","properties":{"cart_id":"c1","product_id":"p1","price":20,"currency":"EUR"}}`,
	)
	r.until("the wait", func() bool { return r.app.engine.Stats().Timers == 1 })

	ans := r.acts.apply(t.Context(), &applyRequest{Bundle: bundleOf(t, pipelineDir(t, t.TempDir(), "2h")), By: "test"})
	if ans.Result != "applied" || ans.Version != 2 {
		t.Fatalf("got %+v", ans)
	}
	if got := r.acts.current().journeys[0].Rule.Wait.Hours(); got != 2 {
		t.Fatalf("waits %v hours, want 2", got)
	}
	if ans = r.acts.apply(t.Context(), &applyRequest{Bundle: bundleOf(t, pipelineDir(t, t.TempDir(), "2h")), By: "test"}); ans.Result != "no-op" {
		t.Fatalf("the same again: %+v", ans)
	}

	bad := bundleOf(t, pipelineDir(t, t.TempDir(), "soon"))
	if ans = r.acts.apply(t.Context(), &applyRequest{Bundle: bad, By: "test"}); ans.Result != "refused" || !strings.Contains(ans.Error, "cart-abandonment.yaml:14:9") || len(ans.Problems) != 1 {
		t.Fatalf("got %+v, want it refused with its place", ans)
	}
	other := bundleOf(t, dir)
	for i := range other.Files {
		other.Files[i].Text = strings.ReplaceAll(other.Files[i].Text, "out_of_order: 2m", "out_of_order: 9m")
	}
	if ans = r.acts.apply(t.Context(), &applyRequest{Bundle: other, By: "test"}); ans.Result != "restart" || !strings.Contains(ans.Error, "log.out_of_order") {
		t.Fatalf("got %+v, want the setting that needs a restart", ans)
	}
	if l := r.acts.list(); len(l.Failed) != 2 || l.Versions[0].State != "running" || l.Versions[0].Number != 2 {
		t.Fatalf("got %+v", l)
	}

	if ans = r.acts.rollback(t.Context(), 0, "rollback", false); ans.Result != "applied" || ans.Version != 3 {
		t.Fatalf("got %+v", ans)
	}
	if v := r.acts.current().version; v.Files != r.acts.versions[0].Hash {
		t.Fatalf("the rollback forgot which files were taken: %+v", v)
	}
	if got := r.acts.current().journeys[0].Rule.Wait.Hours(); got != 1 {
		t.Fatalf("waits %v hours after the rollback, want 1", got)
	}
	if p := r.profile("u1"); p.Email == "" {
		t.Fatal("the person is gone")
	}
	if n := r.app.engine.Stats().Timers; n != 1 {
		t.Fatalf("%d timers wait, want the one of before", n)
	}
	r.stop()

	pipelineDir(t, dir, "3h") // the files change while nothing runs: they take effect where the log ends
	r = start(t, s)
	r.until("the files", func() bool { return r.acts.current().version.Number == 4 })
	if v := r.acts.current().version; v.By != "files" || v.Files != v.Hash || r.app.engine.Stats().Timers != 1 {
		t.Fatalf("got %+v", v)
	}
	r.stop()
	r = start(t, s)
	if v := r.acts.current(); v.version.Number != 4 || v.journeys[0].Rule.Wait.Hours() != 3 {
		t.Fatalf("after a restart: %+v", v.version)
	}
}

// TestFilesTaken wants the files of the start to be remembered for as long as versions come,
// and go: else a restart took them for changed, and put them in place of what was applied.
func TestFilesTaken(t *testing.T) {
	f := func(list []engine.PipelineVersion, want string) {
		t.Helper()
		if got := filesTaken(list); got != want {
			t.Fatalf("%+v: got %q, want %q", list, got, want)
		}
	}
	f(nil, "")
	// As versions were kept before they named the files.
	f([]engine.PipelineVersion{{Hash: "a", By: "start"}, {Hash: "b", By: "apply"}}, "a")
	f([]engine.PipelineVersion{{Hash: "a", By: "start"}, {Hash: "b", By: "files"}, {Hash: "a", By: "rollback"}}, "b")
	f([]engine.PipelineVersion{{Hash: "b", By: "apply"}}, "")
	// The one that took them is gone.
	f([]engine.PipelineVersion{{Hash: "b", By: "apply", Files: "a"}, {Hash: "c", By: "apply", Files: "a"}}, "a")
}

// TestDecidedUnderTheOldVersion wants a mail that was decided by one version to be written
// by it, after another one runs and after a restart.
func TestDecidedUnderTheOldVersion(t *testing.T) {
	dir := pipelineDir(t, t.TempDir(), "1h")
	s := settings{files: files{t.TempDir()}, configs: []string{dir}, simulated: true, speed: 1}
	r := start(t, s)
	first := r.app.engine.Stats()
	if ans := r.acts.apply(t.Context(), &applyRequest{Bundle: bundleOf(t, pipelineDir(t, t.TempDir(), "2h")), By: "test"}); ans.Result != "applied" {
		t.Fatalf("got %+v", ans)
	}
	r.until("the commit", func() bool { return r.app.engine.Stats().Position.Seq > first.Position.Seq })
	for range 2 {
		v := r.app.engine.View()
		second := r.acts.current().version
		old, err := r.acts.of(v, second.FirstRow-1)
		if err != nil {
			t.Fatal(err)
		}
		now, err := r.acts.of(v, second.FirstRow)
		if err != nil {
			t.Fatal(err)
		}
		if old.journeys[0].Rule.Wait.Hours() != 1 || now.journeys[0].Rule.Wait.Hours() != 2 {
			t.Fatalf("row %d is of a wait of %v, row %d of %v", second.FirstRow-1, old.journeys[0].Rule.Wait, second.FirstRow, now.journeys[0].Rule.Wait)
		}
		if _, err := old.pipeline.Owner(v, "nobody"); err != nil { // its cells can be read
			t.Fatal(err)
		}
		v.Close()
		r.stop()
		r = start(t, s)
	}
}
