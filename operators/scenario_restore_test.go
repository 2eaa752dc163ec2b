package operators_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"millrace/engine"
	"millrace/engine/enginetest"
)

// TestScenariosRestored plays each file of testdata by two goroutines, takes a checkpoint
// on the way, goes on for a while, and then puts the old checkpoint in place of the state
// and goes on by four, and by one: the log is read again from there, and what comes of it
// all is the same, with no mail sent again.
func TestScenariosRestored(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	played := make(map[string]bool)
	for i, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pipelines, own := []string{"cart-abandonment.yaml"}, make(fstest.MapFS)
		var events, want string
		for _, f := range a.Files {
			switch f.Name {
			case "events":
				events = string(f.Data)
			case "want":
				want = string(f.Data)
			case "pipelines":
				pipelines = strings.Fields(string(f.Data))
			default:
				own[f.Name] = &fstest.MapFile{Data: f.Data}
			}
		}
		ships := false // it is the first one that plays a shipped pipeline
		for _, name := range pipelines {
			if own[name] == nil && !played[name] {
				played[name], ships = true, true
			}
		}
		if testing.Short() && (!ships || i%2 != 0) {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			resumed := []int{4, 1}[i%2]
			if ships {
				resumed = 4
			}
			var got string
			enginetest.Bubble(t, func(t *testing.T) { got = playRestored(t, events, withShipped(t, own), pipelines, resumed) })
			if got, want := lasting(got), lasting(want); got != want {
				t.Errorf("resumed by %d: got\n%s\nwant\n%s", resumed, got, want)
			}
		})
	}
	for _, name := range shippedPipelines(t) {
		if !played[name] {
			t.Errorf("no scenario plays %s as it is shipped", name)
		}
	}
}

// lasting is what of a scenario's result does not count from the start of the program: a
// mail that is tried again leaves when its tries say, which begin anew with the program.
func lasting(s string) string {
	s = regexp.MustCompile(`, retries \d+, dead letters \d+`).ReplaceAllString(s, "")
	s = regexp.MustCompile(`(?m)^dead letter: .*\n`).ReplaceAllString(s, "")
	s = regexp.MustCompile(`(?m)^\d+:\d\d:\d\d\.\d\d mail`).ReplaceAllString(s, "later mail")
	mails, rest, _ := strings.Cut(s, "\n\n")
	lines := strings.Split(mails, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n\n" + rest
}

func shippedPipelines(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../configs/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		if name := filepath.Base(f); name != "shop.yaml" {
			names = append(names, name)
		}
	}
	return names
}

func playRestored(t *testing.T, events string, files fstest.MapFS, pipelines []string, resumed int) string {
	t.Helper()
	s := &scene{world: newWorldOf(t, journeysOf(t, files, pipelines...)), begin: time.Now().UTC().Truncate(24 * time.Hour)}
	defer s.close()
	workers := 2
	s.options = func(o *engine.Options) { o.Parallel = workers }
	s.start()
	var lines [][]string
	for line := range strings.SplitSeq(events, "\n") {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
			lines = append(lines, strings.Fields(line))
		}
	}
	checkpoint, taken, restored := filepath.Join(t.TempDir(), "checkpoint"), false, false
	for i, f := range lines {
		if !taken && i >= (len(lines)+1)/3 && s.World != nil {
			v := s.Store.Snapshot()
			err := v.CopyTo(t.Context(), checkpoint, nil)
			v.Close()
			s.check(err)
			taken = true
		}
		if taken && !restored && i >= (2*len(lines)+2)/3 && s.World != nil {
			s.stop()
			state := filepath.Join(s.dir, "state")
			s.check(os.RemoveAll(state))
			s.check(os.Rename(checkpoint, state))
			workers, restored = resumed, true
			s.start()
		}
		s.line(f)
	}
	if !restored {
		t.Fatal("the scenario never runs long enough to be restored")
	}
	return s.tell()
}
