package accuracy

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/operators/sentiment"
)

// HeadlineVariant is a headline as it was shown in a test, all its showings with one
// image added up.
type HeadlineVariant struct {
	Test, Image, Text   string
	Impressions, Clicks int
	line                *sentiment.Line
}

// headlineRowsMax bounds a file of tests.
const headlineRowsMax = 500_000

// HeadlineFile is where the public set lies in its folder.
const HeadlineFile = "upworthy/upworthy_dev.csv.gz"

// FindHeadlines returns the file of tests at path: path itself, or the public set
// within it if it is a folder.
func FindHeadlines(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("find tests of headlines: %w", err)
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range []string{filepath.FromSlash(HeadlineFile), filepath.Base(HeadlineFile), "headlines.csv.gz", "headlines.csv"} {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return filepath.Join(path, name), nil
		}
	}
	return "", fmt.Errorf("%s holds no tests of headlines: want headlines.csv, or %s", path, HeadlineFile)
}

// ReadHeadlines reads tests of headlines: a CSV file, gzip or not, whose first row names
// the columns test, headline, impressions, clicks and, if variants differed in their
// image too, image; or those of the public set. Order is that of the file.
func ReadHeadlines(path string) ([]HeadlineVariant, error) {
	r, done, err := openText(path)
	if err != nil {
		return nil, err
	}
	defer done()
	c := csv.NewReader(r)
	head, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: read header: %w", path, err)
	}
	columns, err := headlineColumns(head)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var out []HeadlineVariant
	at := map[[3]string]int{}
	for n := 1; ; n++ {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if n > headlineRowsMax {
			return nil, fmt.Errorf("%s has more than %d rows", path, headlineRowsMax)
		}
		v, err := headlineRow(fields, columns)
		if err != nil {
			return nil, fmt.Errorf("%s: row %d: %w", path, n, err)
		}
		key := [3]string{v.Test, v.Image, v.Text}
		i, known := at[key]
		if !known {
			at[key] = len(out)
			v.line = sentiment.NewLine(v.Text)
			out = append(out, v)
			continue
		}
		out[i].Impressions += v.Impressions
		out[i].Clicks += v.Clicks
	}
}

// headlineColumns finds test, headline, impressions, clicks and image, the last being -1
// if there is none.
func headlineColumns(head []string) ([5]int, error) {
	names := [5][]string{{"test", "clickability_test_id"}, {"headline"}, {"impressions"}, {"clicks"}, {"image", "eyecatcher_id"}}
	out := [5]int{-1, -1, -1, -1, -1}
	for i, h := range head {
		h = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))
		for j, n := range names {
			if slices.Contains(n, h) {
				out[j] = i
			}
		}
	}
	for j, n := range names[:4] {
		if out[j] < 0 {
			return out, fmt.Errorf("the first row names no column %q", n[0])
		}
	}
	return out, nil
}

func headlineRow(fields []string, columns [5]int) (HeadlineVariant, error) {
	v := HeadlineVariant{Test: fields[columns[0]], Text: fields[columns[1]]}
	if columns[4] >= 0 {
		v.Image = fields[columns[4]]
	}
	for _, count := range []struct {
		column int
		into   *int
	}{{columns[2], &v.Impressions}, {columns[3], &v.Clicks}} {
		// Some exporters write whole numbers as 3052.0.
		n, err := strconv.Atoi(strings.TrimSuffix(fields[count.column], ".0"))
		if err != nil || n < 0 {
			return v, fmt.Errorf("column %d is no count", count.column+1)
		}
		*count.into = n
	}
	if v.Clicks > v.Impressions {
		return v, fmt.Errorf("%d clicks of %d impressions", v.Clicks, v.Impressions)
	}
	return v, nil
}

// HeadlinePair is two headlines of one test, shown with the same image, that differ
// beyond chance.
type HeadlinePair struct {
	Test          string
	Better, Worse HeadlineVariant
	Z             float64 // by how many standard errors; positive
}

// The least difference of a pair that is learnt from, and of one that is judged, in
// standard errors of the pooled variance: what is only likely teaches too, by its weight.
const (
	learntZ = 0
	judgedZ = 1.96
)

// HeadlinePairs returns the pairs whose shares of clicks differ enough to learn from, in
// a fixed order. Where images are named, showings without one are left out.
func HeadlinePairs(variants []HeadlineVariant) []HeadlinePair {
	images := slices.ContainsFunc(variants, func(v HeadlineVariant) bool { return v.Image != "" })
	groups := map[[2]string][]HeadlineVariant{}
	var keys [][2]string
	for _, v := range variants {
		if images && v.Image == "" {
			continue
		}
		k := [2]string{v.Test, v.Image}
		if groups[k] == nil {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], v)
	}
	var out []HeadlinePair
	for _, k := range keys {
		g := groups[k]
		for i := range g {
			for j := range i {
				switch z := zScore(g[j], g[i]); {
				case z > learntZ:
					out = append(out, HeadlinePair{k[0], g[j], g[i], z})
				case z < -learntZ:
					out = append(out, HeadlinePair{k[0], g[i], g[j], -z})
				}
			}
		}
	}
	return out
}

// NewHeadlinePair is a pair of which one was preferred once: it counts as a difference that
// is just beyond chance, since there are many of them.
func NewHeadlinePair(test, better, worse string) HeadlinePair {
	return HeadlinePair{Test: test, Z: judgedZ + 0.01,
		Better: HeadlineVariant{Test: test, Text: better, line: sentiment.NewLine(better)},
		Worse:  HeadlineVariant{Test: test, Text: worse, line: sentiment.NewLine(worse)}}
}

func zScore(a, b HeadlineVariant) float64 {
	n, m := float64(a.Impressions), float64(b.Impressions)
	if n == 0 || m == 0 {
		return 0
	}
	p := float64(a.Clicks+b.Clicks) / (n + m)
	if p == 0 || p == 1 {
		return 0
	}
	return (float64(a.Clicks)/n - float64(b.Clicks)/m) / math.Sqrt(p*(1-p)*(1/n+1/m))
}

// HeadlineScore is how well headlines are ranked.
type HeadlineScore struct {
	Pairs    int     `json:"pairs"`
	Tests    int     `json:"tests"`
	Folds    int     `json:"folds"`
	Accuracy float64 `json:"accuracy"` // share of pairs in the right order
	Low      float64 `json:"low"`      // ends of the 95 % interval, by drawing tests anew
	High     float64 `json:"high"`
	Longer   float64 `json:"longer"` // what preferring the longer headline reaches
	ECE      float64 `json:"ece"`
	Seconds  float64 `json:"seconds"`
}

// EvaluateHeadlines ranks the pairs of each fold by a model of the others. Folds are of
// whole tests, so that no headline of a tested pair was seen in its own test.
func EvaluateHeadlines(ctx context.Context, pairs []HeadlinePair, folds int, o sentiment.HeadlineOptions, progress func(done, total int)) (HeadlineScore, error) {
	began := time.Now()
	fold, tests := dealTests(pairs, folds, o.Seed)
	if len(tests) < folds {
		return HeadlineScore{}, fmt.Errorf("%d tests with a pair that differs, want at least %d", len(tests), folds)
	}
	right := map[string][2]float64{} // by test: points and pairs
	var t Tally
	longer := 0.0
	for k := range folds {
		if err := ctx.Err(); err != nil {
			return HeadlineScore{}, fmt.Errorf("evaluate headlines: %w", err)
		}
		model, err := sentiment.TrainHeadline(headlineTrain(pairs, fold, k), o)
		if err != nil {
			return HeadlineScore{}, err
		}
		for _, p := range pairs {
			if fold[p.Test] != k || p.Z <= judgedZ {
				continue
			}
			// Which of the two is named first must not give the answer away.
			first, second, is := p.Better, p.Worse, true
			if first.Text > second.Text {
				first, second, is = second, first, false
			}
			probability := model.Prefer(first.line, second.line)
			t.Add(probability, is)
			r := right[p.Test]
			right[p.Test] = [2]float64{r[0] + points(probability, is), r[1] + 1}
			longer += points(0.5+float64(cmp.Compare(len(first.Text), len(second.Text)))/4, is)
		}
		if progress != nil {
			progress(k+1, folds)
		}
	}
	tests = slices.DeleteFunc(tests, func(name string) bool { return right[name][1] == 0 })
	s := HeadlineScore{Pairs: t.Len(), Tests: len(tests), Folds: folds, ECE: t.ECE(), Longer: longer / float64(max(1, t.Len()))}
	s.Accuracy, s.Low, s.High = bootstrap(tests, right, o.Seed)
	s.Seconds = time.Since(began).Seconds()
	return s, nil
}

// points is 1 for a right answer, 0 for a wrong one and half for none.
func points(probability float64, is bool) float64 {
	switch {
	case probability == 0.5:
		return 0.5
	case probability > 0.5 == is:
		return 1
	}
	return 0
}

// headlineTrain returns the pairs of the other folds, and nothing of fold k.
func headlineTrain(pairs []HeadlinePair, fold map[string]int, k int) []sentiment.Pair {
	var out []sentiment.Pair
	for _, p := range pairs {
		if fold[p.Test] != k {
			out = append(out, sentiment.Pair{Better: p.Better.line, Worse: p.Worse.line, Weight: weightOf(p.Z)})
		}
	}
	return out
}

// HeadlineTraining makes pairs ready to learn from, all of them.
func HeadlineTraining(pairs []HeadlinePair) []sentiment.Pair {
	return headlineTrain(pairs, map[string]int{}, -1)
}

// weightOf is how much a pair counts that differs by z standard errors.
func weightOf(z float64) float64 { return min(1, z/judgedZ) }

func dealTests(pairs []HeadlinePair, folds int, seed uint64) (map[string]int, []string) {
	fold := map[string]int{}
	var tests []string
	for _, p := range pairs {
		if _, known := fold[p.Test]; !known {
			fold[p.Test] = 0
			tests = append(tests, p.Test)
		}
	}
	for i, at := range rand.New(rand.NewPCG(seed, 0x68656164)).Perm(len(tests)) {
		fold[tests[at]] = i % folds
	}
	return fold, tests
}

// bootstrap returns the share of points and its 95 % interval over 2,000 draws of whole
// tests, since pairs of one test share headlines.
func bootstrap(tests []string, right map[string][2]float64, seed uint64) (share, low, high float64) {
	const draws = 2000
	r := rand.New(rand.NewPCG(seed, 0x626f6f74))
	sum := func(pick func(i int) string) float64 {
		var points, n float64
		for i := range tests {
			p := right[pick(i)]
			points += p[0]
			n += p[1]
		}
		return points / n
	}
	all := make([]float64, draws)
	for i := range all {
		all[i] = sum(func(int) string { return tests[r.IntN(len(tests))] })
	}
	slices.Sort(all)
	return sum(func(i int) string { return tests[i] }), all[draws/40], all[draws-1-draws/40]
}
