package accuracy

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/operators/sentiment"
)

// reviews makes a labelled set of a small grammar.
func reviews(n int, seed uint64) []SentimentRow {
	r := rand.New(rand.NewPCG(seed, 1))
	words := [2][]string{strings.Fields("awful stale rude slow"), strings.Fields("great fresh kind quick")}
	out := make([]SentimentRow, n)
	for i := range out {
		k := r.IntN(2)
		out[i] = SentimentRow{fmt.Sprintf("order %d was %s and %s", i, words[k][r.IntN(4)], words[k][r.IntN(4)]), k == 1}
	}
	return out
}

func split(t *testing.T, s SentimentSet) *SentimentSplit {
	t.Helper()
	out, err := SplitSentiment(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestNoTestDataInTraining plants a canary: the same set with other texts and labels in
// the test fold must give, byte by byte, the same model, calibration included. The same
// change in the training part must give another one, or the test could not fail.
func TestNoTestDataInTraining(t *testing.T) {
	file := func(s *SentimentSplit, k sentiment.Kind) []byte {
		m, err := sentiment.Train(t.Context(), s.Train(0), sentiment.Options{Kind: k, Seed: 1, Network: sentiment.NetworkOptions{Epochs: 1, Hidden: 4, Embed: 4}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, s := range []SentimentSet{
		{Name: "folds", Rows: reviews(120, 1), Folds: 4},
		{Name: "parts", Rows: reviews(120, 1), Dev: reviews(30, 2), Folds: 1},
	} {
		for _, k := range sentiment.Kinds() {
			clean, canary, poisoned := split(t, s), split(t, s), split(t, s)
			for i := range clean.examples {
				into := poisoned
				if clean.fold[i] == 0 {
					into = canary
				}
				into.examples[i] = sentiment.Example{Doc: sentiment.NewDoc(fmt.Sprintf("canary zyzzyva great %d", i)), Positive: !into.examples[i].Positive}
			}
			want := file(clean, k)
			if !bytes.Equal(file(canary, k), want) {
				t.Errorf("%s, %s: what stands in the test fold changes the model", s.Name, k)
			}
			if bytes.Equal(file(poisoned, k), want) {
				t.Errorf("%s, %s: what stands in the training part does not change the model", s.Name, k)
			}
		}
	}
}

// TestSplit asks that each text is tested once, that what is trained on is not tested,
// and that a copy of a tested text is not trained on.
func TestSplit(t *testing.T) {
	rows := reviews(100, 1)
	for i := range 30 {
		rows = append(rows, SentimentRow{strings.ToUpper(rows[i].Text), rows[i].Positive})
	}
	f := func(s SentimentSet, tests, judged int) {
		t.Helper()
		p := split(t, s)
		if p.Tests() != tests {
			t.Fatalf("%d tests, want %d", p.Tests(), tests)
		}
		var tally Tally
		for k := range p.Tests() {
			seen := map[string]bool{}
			train := p.Train(k)
			for _, e := range train {
				seen[e.Doc.Key()] = true
			}
			before := tally.Len()
			p.Test(k, func(d *sentiment.Doc) float64 {
				if seen[d.Key()] {
					t.Errorf("%q is tested and trained on", d.Text())
				}
				return 1
			}, &tally)
			if n := len(train) + tally.Len() - before; n > len(s.Rows)+len(s.Dev) {
				t.Errorf("%d rows of %d", n, len(s.Rows)+len(s.Dev))
			}
			// The slice is the caller's: what it does with it changes nothing.
			clear(train[:cap(train)])
		}
		if tally.Len() != judged {
			t.Errorf("%d texts judged, want %d", tally.Len(), judged)
		}
		for _, e := range p.examples {
			if e.Doc == nil {
				t.Fatal("whoever trains can reach the set")
			}
		}
	}
	f(SentimentSet{Rows: rows, Folds: 5}, 5, 130)
	f(SentimentSet{Rows: rows, Dev: rows[:20], Folds: 1}, 1, 20)
}

func TestEvaluateSentiment(t *testing.T) {
	for _, k := range []sentiment.Kind{"", sentiment.Bayes, sentiment.Logistic} {
		var last, total int
		got, err := EvaluateSentiment(t.Context(), SentimentSet{Name: "x", Rows: reviews(200, 3), Folds: 4}, sentiment.Options{Kind: k, Seed: 1}, func(d, n int) {
			if d < last {
				t.Errorf("progress goes from %d to %d", last, d)
			}
			last, total = d, n
		})
		if err != nil {
			t.Fatal(err)
		}
		if got.N != 200 || got.Folds != 4 || got.Accuracy < 0.97 || got.ECE > 0.1 || got.Low > got.Accuracy || got.High < got.Accuracy {
			t.Errorf("%q: %+v", k, got)
		}
		if last != total || total == 0 {
			t.Errorf("%q: progress ends at %d of %d", k, last, total)
		}
		if k == "" && got.Model != string(sentiment.DefaultKind) {
			t.Errorf("default is called %q", got.Model)
		}
	}
	if _, err := EvaluateSentiment(t.Context(), SentimentSet{Name: "x", Rows: reviews(3, 3), Folds: 10}, sentiment.Options{}, nil); err == nil {
		t.Error("more folds than rows were accepted")
	}
}

func TestSentimentTally(t *testing.T) {
	var ta Tally
	for _, a := range []struct {
		p  float64
		is bool
	}{{0.9, true}, {0.8, true}, {0.6, false}, {0.4, true}, {0.1, false}} {
		ta.Add(a.p, a.is)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-8 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("accuracy", ta.Accuracy(), 0.6)
	near("F1", ta.F1(), 2.0*2/(3+3))
	near("AUC", ta.AUC(), 5.0/6)
	near("ECE", ta.ECE(), (0.1+0.2+0.6+0.6+0.1)/5)
	low, high := ta.Interval()
	near("low", low, 0.2307242794)
	near("high", high, 0.8823792269)
	var none Tally
	near("accuracy of nothing", none.Accuracy()+none.F1()+none.AUC()+none.ECE(), 0)
	var edge Tally
	edge.Add(1, true)
	edge.Add(0, false)
	near("ECE at the ends", edge.ECE(), 0)
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	raw := []byte(text)
	if strings.HasSuffix(name, ".gz") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(raw)
		_ = z.Close()
		raw = b.Bytes()
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadSentiment(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "own.csv", "id,Label,Text\n1,pos,\"good, really\"\n2,neg,\"bad\nindeed\"\n")
	write(t, dir, "more.tsv.gz", "text\tlabel\ngood\t1\nbad \"thing\t0\n")
	write(t, dir, "notes.txt", "not a set\n")
	write(t, dir, "kotzias/amazon_cells_labelled.txt", "Good case.\t1\nBad.\t0\n")
	write(t, dir, "kotzias/imdb_labelled.txt", "A \"film\t0\n")
	write(t, dir, "kotzias/yelp_labelled.txt", "Loved it\t1\r\n")
	write(t, dir, "sst2/stsa.binary.train.gz", "1 a fine film\n0 dull .\n")
	write(t, dir, "sst2/stsa.binary.dev.gz", "1 fine\n")
	write(t, dir, "clickbait/clickbait_data.gz", "You won't believe it\n\nThis, too\n")
	write(t, dir, "clickbait/non_clickbait_data.gz", "Council meets\n")
	f := func(want string, names ...string) {
		t.Helper()
		sets, err := ReadSentiment(dir, names)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range sets {
			line := fmt.Sprintf("%s/%d", s.Name, s.Folds)
			for _, r := range append(s.Rows, s.Dev...) {
				line += fmt.Sprintf(" %v %q", r.Positive, r.Text)
			}
			got = append(got, line)
		}
		if g := strings.Join(got, "; "); g != want {
			t.Errorf("%v: got %s, want %s", names, g, want)
		}
	}
	kotzias := `kotzias/10 true "Good case." false "Bad." false "A \"film" true "Loved it"`
	sst2 := `sst2/1 true "a fine film" false "dull ." true "fine"`
	click := `clickbait/10 true "You won't believe it" true "This, too" false "Council meets"`
	more, own := `more/10 true "good" false "bad \"thing"`, `own/10 true "good, really" false "bad\nindeed"`
	f(kotzias + "; " + sst2 + "; " + click + "; " + more + "; " + own)
	f(own+"; "+sst2, "own", "sst2")
	f(more, filepath.Join(dir, "more.tsv.gz"))
}

func TestReadSentimentRefuses(t *testing.T) {
	dir := t.TempDir()
	f := func(name, text, want string) {
		t.Helper()
		path := write(t, dir, name, text)
		_, err := ReadSentiment(dir, []string{path})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
			return
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error names the text: %v", err)
		}
	}
	f("a.csv", "", "header")
	f("b.csv", "id,text\n1,secret\n", `"label"`)
	f("c.csv", "label,text\nsecretly,secret\n", "row 1")
	f("d.csv", "label,text\n1,fine\n1\n", "row 2")
	f("e.tsv", "label\ttext\n2\tsecret\n", "row 1")
	f("f.tsv.gz", "", "header")
	if _, err := ReadSentiment(dir, []string{"nothing"}); err == nil {
		t.Error("an unknown name was accepted")
	}
	if _, err := ReadSentiment(filepath.Join(dir, "none"), nil); err == nil {
		t.Error("a folder that is not there was accepted")
	}
	if _, err := ReadSentiment(t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "no labelled set") {
		t.Errorf("an empty folder: %v", err)
	}
	broken := filepath.Join(dir, "g.csv.gz")
	if err := os.WriteFile(broken, []byte("\x1f\x8bnot gzip"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSentiment(dir, []string{broken}); err == nil {
		t.Error("a broken archive was accepted")
	}
}
