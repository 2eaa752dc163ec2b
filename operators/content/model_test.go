package content

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/operators/lstm"
)

var update = flag.Bool("update", false, "train the shipped model again and write its file")

const modelPath = "model/subject.safetensors"

// TestShippedModel asks of the model in the build what training asked of it, and that
// the corpus it was trained on is the one in the build. After a change of the corpus:
// go test ./operators/content -run TestShippedModel -update.
func TestShippedModel(t *testing.T) {
	if *update {
		retrain(t)
	}
	file, err := os.ReadFile(modelPath)
	if err != nil {
		t.Fatal(err)
	}
	m, err := lstm.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := CorpusHash()
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Meta(metaCorpus); got != hash {
		t.Fatalf("the model was trained on corpus %.8s, the build holds %.8s: train it again", got, hash)
	}
	if len(file) >= 1<<20 {
		t.Errorf("the file has %d bytes, want less than 1 MiB", len(file))
	}
	if raced {
		t.Skip("how well the model does is the same with and without the race detector")
	}
	rep := control(t, m, ControlOptions{})
	if rep.Share < 0.95 {
		t.Errorf("%.3f of the subjects name their trigger or category, want 0.95", rep.Share)
	}
	// Judged by another subject's condition the same subjects must fail, or the check
	// would pass for a model that reads no condition.
	shuffled := control(t, m, ControlOptions{Shuffle: true})
	if shuffled.Share > 0.6 {
		t.Errorf("shuffled, %.3f still pass", shuffled.Share)
	}
	// Nor does it hang on the one seed it was trained with.
	if other := control(t, m, ControlOptions{N: 200, Seed: 99}); other.Share < 0.95 {
		t.Errorf("with another seed %.3f of the subjects pass, want 0.95", other.Share)
	}
	t.Logf("%d bytes; share %.3f, trigger %.3f, category %.3f, novel %.3f, %d distinct of %d; shuffled %.3f",
		len(file), rep.Share, rep.Trigger, rep.Category, rep.Novel, rep.Distinct, rep.Samples, shuffled.Share)
	t.Logf("missed:\n%s", strings.Join(rep.Missed, "\n"))
	t.Logf("new:\n%s", strings.Join(rep.New, "\n"))
}

func control(t *testing.T, m *lstm.Model, o ControlOptions) ControlReport {
	t.Helper()
	rep, err := Control(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func retrain(t *testing.T) {
	t.Helper()
	begin := time.Now()
	m, rep, err := Train(t.Context(), TrainOptions{}, func(step, total int, loss float64) {
		if step%100 == 0 {
			t.Logf("%d of %d: %.3f (%v)", step, total, loss, time.Since(begin).Round(time.Second))
		}
	})
	if err != nil {
		t.Logf("missed:\n%s", strings.Join(rep.Control.Missed, "\n"))
		t.Fatal(err)
	}
	t.Logf("%+v in %v", Report{Steps: rep.Steps, Loss: rep.Loss, Held: rep.Held, Lines: rep.Lines, Vocab: rep.Vocab}, time.Since(begin))
	file, err := EncodeModel(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(modelPath, file, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestKeywordsKnowTheCorpus: every line of the corpus names its trigger or category in
// words of its own; otherwise the check would ask for what was never taught.
func TestKeywordsKnowTheCorpus(t *testing.T) {
	words, err := readKeywords()
	if err != nil {
		t.Fatal(err)
	}
	foreign, pairs := 0, 0
	for _, l := range corpus(t) {
		if l.Part != Subject {
			continue
		}
		if !words.kind[l.Kind].in(l.Text) && !words.category[l.Category].in(l.Text) {
			t.Errorf("%s %s %s: %q names neither", l.Language, l.Kind, l.Category, l.Text)
		}
		for _, k := range Kinds() {
			if k != l.Kind {
				pairs++
				if words.kind[k].in(l.Text) {
					foreign++
				}
			}
		}
	}
	// The lists must tell triggers apart.
	if share := float64(foreign) / float64(pairs); share > 0.12 {
		t.Errorf("%.3f of the pairs of a line and another trigger match", share)
	} else {
		t.Logf("%.3f of the pairs of a line and another trigger match", share)
	}
}
