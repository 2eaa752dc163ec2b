package accuracy

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millrace/operators/sentiment"
)

// Limits of a labelled set.
const (
	sentimentRowsMax = 500_000
	sentimentLineMax = 1 << 20
)

// SentimentRow is a text with its label, as it stands in a file.
type SentimentRow struct {
	Text     string
	Positive bool
}

// SentimentSet is a labelled set. Dev, if there is any, is what a model of Rows is
// judged by; otherwise Rows are dealt into Folds.
type SentimentSet struct {
	Name      string
	Rows, Dev []SentimentRow
	Folds     int
}

// sentimentPublic is a public set as its publisher laid it out.
type sentimentPublic struct {
	name  string
	folds int
	files []sentimentFile
	dev   []sentimentFile
}

// sentimentFile says how a file is to be read.
type sentimentFile struct {
	path   string
	comma  rune   // between columns; 0 for lines that are texts
	header bool   // whether the first row names the columns
	text   string // name of the column, or its number
	label  string // name of the column, its number, or "=1" and "=0" for all rows
}

// sentimentSets are the public sets that are recognised as they are.
func sentimentSets() []sentimentPublic {
	kotzias := func(path string) sentimentFile { return sentimentFile{path, '\t', false, "0", "1"} }
	sst2 := func(path string) sentimentFile { return sentimentFile{path, ' ', false, "1", "0"} }
	return []sentimentPublic{
		{"kotzias", 10, []sentimentFile{
			kotzias("kotzias/amazon_cells_labelled.txt"), kotzias("kotzias/imdb_labelled.txt"), kotzias("kotzias/yelp_labelled.txt"),
		}, nil},
		{"sst2", 1, []sentimentFile{sst2("sst2/stsa.binary.train.gz")}, []sentimentFile{sst2("sst2/stsa.binary.dev.gz")}},
		{"waimai", 10, []sentimentFile{{"zh_reviews/waimai_10k.csv.gz", ',', true, "review", "label"}}, nil},
		{"online_shopping", 5, []sentimentFile{{"zh_reviews/online_shopping_10_cats_dev.csv.gz", ',', true, "review", "label"}}, nil},
		{"sms_spam", 10, []sentimentFile{{"sms_spam/sms.tsv", '\t', false, "1", "0"}}, nil},
		{"clickbait", 10, []sentimentFile{
			{"clickbait/clickbait_data.gz", 0, false, "0", "=1"}, {"clickbait/non_clickbait_data.gz", 0, false, "0", "=0"},
		}, nil},
	}
}

// SentimentNames returns the names of the public sets.
func SentimentNames() []string {
	var out []string
	for _, p := range sentimentSets() {
		out = append(out, p.name)
	}
	return out
}

// ReadSentiment reads the sets of a folder: the public ones that it holds, in their
// publishers' layout, and every file directly in it that is a labelled set in our format
// (see docs/accuracy.md). With names only those are read; a name is that of a public
// set, that of a file without its extension, or a path of a file.
func ReadSentiment(dir string, names []string) ([]SentimentSet, error) {
	own, err := sentimentOwn(dir)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		for _, p := range sentimentSets() {
			if p.present(dir) {
				names = append(names, p.name)
			}
		}
		for _, path := range own {
			names = append(names, sentimentName(path))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s holds no labelled set: want one of %v, or a .csv or .tsv file with the columns label and text", dir, SentimentNames())
	}
	var out []SentimentSet
	for _, n := range names {
		s, err := readSentimentSet(dir, n, own)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func readSentimentSet(dir, name string, own []string) (SentimentSet, error) {
	for _, p := range sentimentSets() {
		if p.name != name {
			continue
		}
		s := SentimentSet{Name: name, Folds: p.folds}
		for _, part := range []struct {
			files []sentimentFile
			into  *[]SentimentRow
		}{{p.files, &s.Rows}, {p.dev, &s.Dev}} {
			for _, f := range part.files {
				rows, err := f.read(filepath.Join(dir, filepath.FromSlash(f.path)))
				if err != nil {
					return s, fmt.Errorf("read set %s: %w", name, err)
				}
				*part.into = append(*part.into, rows...)
			}
		}
		return s, nil
	}
	path := name
	for _, o := range own {
		if sentimentName(o) == name {
			path = o
		}
	}
	if path == name && sentimentComma(name) == 0 {
		return SentimentSet{}, fmt.Errorf("no labelled set %q in %s: want one of %v, or a .csv or .tsv file", name, dir, SentimentNames())
	}
	rows, err := sentimentFile{comma: sentimentComma(path), header: true, text: "text", label: "label"}.read(path)
	if err != nil {
		return SentimentSet{}, fmt.Errorf("read set %s: %w", name, err)
	}
	return SentimentSet{Name: sentimentName(path), Rows: rows, Folds: 10}, nil
}

func (p sentimentPublic) present(dir string) bool {
	for _, f := range slices.Concat(p.files, p.dev) {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(f.path))); err != nil {
			return false
		}
	}
	return true
}

// sentimentOwn lists the files of our format that lie directly in dir.
func sentimentOwn(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read folder of labelled sets: %w", err)
	}
	var out []string
	for _, f := range files {
		if !f.IsDir() && sentimentComma(f.Name()) != 0 {
			out = append(out, filepath.Join(dir, f.Name()))
		}
	}
	return out, nil
}

// sentimentComma is what stands between the columns of a file of that name, or 0.
func sentimentComma(path string) rune {
	switch filepath.Ext(strings.TrimSuffix(path, ".gz")) {
	case ".csv":
		return ','
	case ".tsv":
		return '\t'
	}
	return 0
}

func sentimentName(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// openText opens a file, and unpacks it if its first bytes are those of gzip.
func openText(path string) (io.Reader, func(), error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	b := bufio.NewReaderSize(f, 64<<10)
	if first, _ := b.Peek(2); len(first) < 2 || first[0] != 0x1f || first[1] != 0x8b {
		return b, func() { _ = f.Close() }, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		_ = f.Close()
		return nil, nil, fmt.Errorf("unpack %s: %w", path, err)
	}
	return z, func() { _ = f.Close() }, nil
}

// read reads a file. What is wrong is named by its row, never by its text.
func (f sentimentFile) read(path string) ([]SentimentRow, error) {
	r, done, err := openText(path)
	if err != nil {
		return nil, err
	}
	defer done()
	next := f.lines(r)
	if f.comma == ',' {
		c := csv.NewReader(r)
		c.FieldsPerRecord = -1
		next = c.Read
	}
	text, label, err := f.columns(next)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var out []SentimentRow
	for n := 1; ; n++ {
		fields, err := next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if n > sentimentRowsMax {
			return nil, fmt.Errorf("%s has more than %d rows", path, sentimentRowsMax)
		}
		row, err := f.row(fields, text, label)
		if err != nil {
			return nil, fmt.Errorf("%s: row %d: %w", path, n, err)
		}
		out = append(out, row)
	}
}

// lines splits a file that is no CSV: by tabs, or at the first blank, or not at all.
// Empty lines are left out.
func (f sentimentFile) lines(r io.Reader) func() ([]string, error) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, sentimentLineMax)
	return func() ([]string, error) {
		for s.Scan() {
			line := strings.TrimSpace(s.Text())
			switch {
			case line == "":
			case f.comma == '\t':
				return strings.Split(strings.TrimRight(s.Text(), "\r"), "\t"), nil
			case f.comma == ' ':
				return strings.SplitN(line, " ", 2), nil
			default:
				return []string{line}, nil
			}
		}
		if err := s.Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
}

// columns finds the columns of text and label; a label of -1 is the same for all rows.
func (f sentimentFile) columns(next func() ([]string, error)) (text, label int, err error) {
	number := func(name string) int { return int(name[0] - '0') }
	if !f.header {
		if f.label[0] == '=' {
			return number(f.text), -1, nil
		}
		return number(f.text), number(f.label), nil
	}
	head, err := next()
	if err != nil {
		return 0, 0, fmt.Errorf("read header: %w", err)
	}
	for i := range head {
		head[i] = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(head[i], "\ufeff")))
	}
	text, label = slices.Index(head, f.text), slices.Index(head, f.label)
	if text < 0 || label < 0 {
		return 0, 0, fmt.Errorf("the first row names %d columns, want %q and %q among them", len(head), f.label, f.text)
	}
	return text, label, nil
}

func (f sentimentFile) row(fields []string, text, label int) (SentimentRow, error) {
	if max(text, label) >= len(fields) {
		return SentimentRow{}, fmt.Errorf("%d columns, want at least %d", len(fields), max(text, label)+1)
	}
	if label < 0 {
		return SentimentRow{fields[text], f.label == "=1"}, nil
	}
	switch v := strings.ToLower(strings.TrimSpace(fields[label])); v {
	case "1", "true", "yes", "pos", "positive", "spam":
		return SentimentRow{fields[text], true}, nil
	case "0", "-1", "false", "no", "neg", "negative", "ham":
		return SentimentRow{fields[text], false}, nil
	default:
		return SentimentRow{}, fmt.Errorf("label of %d characters is none of 1, true, yes, pos, positive, spam, 0, -1, false, no, neg, negative, ham", len(v))
	}
}

// Examples makes rows ready for the models.
func Examples(rows []SentimentRow) []sentiment.Example {
	out := make([]sentiment.Example, len(rows))
	for i, r := range rows {
		out[i] = sentiment.Example{Doc: sentiment.NewDoc(r.Text), Positive: r.Positive}
	}
	return out
}
