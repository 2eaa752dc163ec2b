package accuracy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"millrace/operators/sentiment"
)

// experiments makes a file of tests of two headlines, of which that with "secret" draws.
func experiments(n int, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	b.WriteString("test,headline,image,impressions,clicks\n")
	words := strings.Fields("city council budget school road plan report")
	for i := range n {
		for j, word := range []string{"secret", "yearly"} {
			rate := 20 + 20*(1-j) + r.IntN(5)
			fmt.Fprintf(&b, "t%d,\"the %s %s, %s %d\",i%d,1000,%d\n", i, word, words[r.IntN(7)], words[r.IntN(7)], i, i, rate)
		}
	}
	return b.String()
}

func variants(t *testing.T, text string) []HeadlineVariant {
	t.Helper()
	out, err := ReadHeadlines(write(t, t.TempDir(), "tests.csv.gz", text))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEvaluateHeadlines(t *testing.T) {
	pairs := HeadlinePairs(variants(t, experiments(80, 1)))
	got, err := EvaluateHeadlines(t.Context(), pairs, 5, sentiment.HeadlineOptions{Seed: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Accuracy < 0.95 || got.Low > got.Accuracy || got.High < got.Accuracy || got.Pairs < 20 || got.Tests != got.Pairs {
		t.Errorf("%+v", got)
	}
	if _, err := EvaluateHeadlines(t.Context(), pairs[:3], 5, sentiment.HeadlineOptions{}, nil); err == nil {
		t.Error("more folds than tests were accepted")
	}
	// Clicks at random cannot be ranked.
	r := rand.New(rand.NewPCG(2, 2))
	for i := range pairs {
		if r.IntN(2) == 0 {
			pairs[i].Better, pairs[i].Worse = pairs[i].Worse, pairs[i].Better
		}
	}
	got, err = EvaluateHeadlines(t.Context(), pairs, 5, sentiment.HeadlineOptions{Seed: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Accuracy < 0.25 || got.Accuracy > 0.75 {
		t.Errorf("chance reaches %+v", got)
	}
}

// TestHeadlineFolds asks that no test stands on both sides.
func TestHeadlineFolds(t *testing.T) {
	pairs := HeadlinePairs(variants(t, experiments(60, 1)))
	fold, tests := dealTests(pairs, 5, 1)
	for k := range 5 {
		train, tested := len(headlineTrain(pairs, fold, k)), 0
		for _, p := range pairs {
			if fold[p.Test] == k {
				tested++
			}
		}
		if train+tested != len(pairs) || tested == 0 {
			t.Errorf("fold %d: %d pairs to learn from and %d to judge, of %d", k, train, tested, len(pairs))
		}
	}
	if len(fold) != len(tests) {
		t.Errorf("%d tests in %d folds", len(tests), len(fold))
	}
}

func TestHeadlinePairs(t *testing.T) {
	f := func(rows, want string) {
		t.Helper()
		var got []string
		for _, p := range HeadlinePairs(variants(t, "clickability_test_id,eyecatcher_id,headline,impressions,clicks\n"+rows)) {
			got = append(got, fmt.Sprintf("%s>%s %.2f", p.Better.Text, p.Worse.Text, p.Z))
		}
		if g := strings.Join(got, "; "); g != want {
			t.Errorf("%q: got %q, want %q", rows, g, want)
		}
	}
	f("t,i,a,1000,20\nt,i,b,1000,40\n", "b>a 2.62")
	// Showings of one headline with one image are added up.
	f("t,i,a,500.0,10\nt,i,b,1000,40\nt,i,a,500,10\n", "b>a 2.62")
	// Another image, another test, no image where others have one.
	f("t,i,a,1000,20\nt,j,b,1000,40\n", "")
	f("t,i,a,1000,20\nu,i,b,1000,40\n", "")
	f("t,,a,1000,20\nt,,b,1000,40\nu,i,c,9,1\n", "")
	f("t,,a,1000,20\nt,,b,1000,40\n", "b>a 2.62")
	// The same share, nobody shown, everybody clicked.
	f("t,i,a,1000,20\nt,i,b,500,10\n", "")
	f("t,i,a,0,0\nt,i,b,500,10\n", "")
	f("t,i,a,7,7\nt,i,b,5,5\n", "")
}

func TestReadHeadlinesRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := ReadHeadlines(write(t, t.TempDir(), "x.csv", text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	f("", "header")
	f("test,headline,clicks\n", "impressions")
	f("test,headline,impressions,clicks\na,b,x,1\n", "row 1")
	f("test,headline,impressions,clicks\na,b,-5,1\n", "row 1")
	f("test,headline,impressions,clicks\na,b,5,6\n", "6 clicks of 5")
	f("test,headline,impressions,clicks\na,b,5\n", "wrong number of fields")
	if _, err := FindHeadlines(t.TempDir()); err == nil {
		t.Error("an empty folder was accepted")
	}
}
