package accuracy

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"millrace/operators/recommend"
)

// RecommendProduct is a row of a catalogue.
type RecommendProduct struct {
	Item    string
	Product recommend.Product
}

// SerenadeOptions are the settings of Serenade's example.toml.
type SerenadeOptions struct {
	Sample, Neighbours, LastItems int
	IDF                           float64
}

// FindRecommendSets lists the folders below dir that may hold data sets, by name; dir
// itself when it holds files only. want, if not empty, picks by the beginning of names.
func FindRecommendSets(dir string, want []string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for data sets: %w", err)
	}
	var found []string
	for _, e := range entries {
		if e.IsDir() {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	if len(found) == 0 {
		found = []string{dir}
	}
	if len(want) == 0 {
		return found, nil
	}
	var picked []string
	for _, w := range want {
		k := slices.IndexFunc(found, func(p string) bool { return setName(p) == w || filepath.Base(p) == w })
		if k < 0 {
			k = slices.IndexFunc(found, func(p string) bool { return strings.HasPrefix(filepath.Base(p), w) })
		}
		if k < 0 || w == "" {
			return nil, fmt.Errorf("no data set %q in %s: there are %s", w, dir, strings.Join(names(found), ", "))
		}
		picked = append(picked, found[k])
	}
	return picked, nil
}

func names(paths []string) []string {
	out := make([]string, len(paths))
	for k, p := range paths {
		out[k] = setName(p)
	}
	return out
}

// setName shortens the name of a folder: serenade_example is called serenade.
func setName(path string) string {
	name := filepath.Base(path)
	for _, tail := range []string{"_example", "_sample", "_100k"} {
		name = strings.TrimSuffix(name, tail)
	}
	return name
}

// ErrNoRecommendSet is the answer for a folder in which no table is known.
var ErrNoRecommendSet = errors.New("no table of sessions, prefixes, ratings or orders")

// ReadRecommendSet reads a folder. docs/accuracy.md describes the format.
func ReadRecommendSet(dir string) (*RecommendSet, error) {
	s := &RecommendSet{Name: setName(dir)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read a data set: %w", err)
	}
	parts := make(map[string]*visits)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case !e.Type().IsRegular():
		case e.Name() == "example.toml":
			if s.Serenade, err = readSerenade(path); err != nil {
				return nil, err
			}
		case !strings.HasSuffix(e.Name(), ".md"):
			if err := s.readFile(path, parts); err != nil {
				return nil, err
			}
		}
	}
	s.Train = slices.Concat(parts[""].list(), parts["train"].list())
	s.Valid, s.Test = parts["valid"].list(), parts["test"].list()
	byTime(s.Train)
	if len(s.Test) == 0 {
		s.Valid, s.Test = nil, s.Valid
	}
	if s.Kind == "" || len(s.Train) == 0 {
		return nil, fmt.Errorf("%s: %w", s.Name, ErrNoRecommendSet)
	}
	return s, nil
}

// partOf says from the last word of a file's name which part of the data it holds.
func partOf(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	switch name[strings.LastIndexAny(name, "_-")+1:] {
	case "train", "tr":
		return "train"
	case "valid", "validation", "val", "dev":
		return "valid"
	case "test":
		return "test"
	default:
		return ""
	}
}

func (s *RecommendSet) readFile(path string, parts map[string]*visits) error {
	t, done, err := openTable(path)
	if errors.Is(err, errNoTable) {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("read a data set: %w", err)
	}
	if err != nil {
		return err
	}
	defer done()
	kind, ok := kindOf(t)
	if !ok {
		if t.has(colItem) && (t.has(colTitle) || t.has(colCategory)) {
			return s.readCatalogue(t)
		}
		return nil
	}
	if s.Kind != "" && s.Kind != kind {
		return fmt.Errorf("%s holds %s, but other files of the folder %s", filepath.Base(path), kind, s.Kind)
	}
	s.Kind = kind
	part := partOf(filepath.Base(path))
	if parts[part] == nil {
		parts[part] = &visits{at: make(map[string]int)}
	}
	if kind == RecommendPrefixes {
		return s.readPrefixes(t, part, parts[part])
	}
	return s.readRows(t, parts[part])
}

// kindOf says from the columns what a table holds.
func kindOf(t *table) (RecommendKind, bool) {
	switch {
	case t.has(colPrefix, colTarget):
		return RecommendPrefixes, true
	case !t.has(colItem):
		return "", false
	case t.has(colRating, colUser):
		return RecommendRatings, true
	case t.has(colBasket, colUser):
		return RecommendBaskets, true
	case t.has(colSession):
		return RecommendSessions, true
	default:
		return "", false
	}
}

// visits groups rows.
type visits struct {
	all []RecommendVisit
	at  map[string]int
}

func (v *visits) add(key, person string, c RecommendClick) {
	k, ok := v.at[key]
	if !ok {
		k = len(v.all)
		v.all = append(v.all, RecommendVisit{Key: strings.Clone(key), Person: strings.Clone(person)})
		v.at[v.all[k].Key] = k
	}
	c.Item = strings.Clone(c.Item)
	v.all[k].Clicks = append(v.all[k].Clicks, c)
}

// list answers the visits in the order of their last clicks.
func (v *visits) list() []RecommendVisit {
	if v == nil {
		return nil
	}
	for k := range v.all {
		slices.SortStableFunc(v.all[k].Clicks, func(a, b RecommendClick) int { return cmp.Compare(a.Time, b.Time) })
	}
	byTime(v.all)
	return v.all
}

func byTime(all []RecommendVisit) {
	slices.SortStableFunc(all, func(a, b RecommendVisit) int { return cmp.Compare(a.last(), b.last()) })
}

func (s *RecommendSet) readRows(t *table, v *visits) error {
	key := colSession
	switch s.Kind {
	case RecommendRatings:
		key = colUser
	case RecommendBaskets:
		key = colBasket
	case RecommendSessions, RecommendPrefixes:
	}
	for {
		ok, err := t.next()
		if err != nil || !ok {
			return err
		}
		item, k := t.get(colItem), t.get(key)
		person := t.get(colUser)
		if item == "" || k == "" || s.Kind == RecommendBaskets && (person == "" || t.has(colQuantity) && t.number(colQuantity) <= 0) {
			s.Skipped++
			continue
		}
		at, err := t.time()
		if err != nil {
			return err
		}
		v.add(k, person, RecommendClick{Item: item, Time: at})
	}
}

// readPrefixes reads rows of items parted by spaces or commas, and the next item. In
// training data a row is a visit.
func (s *RecommendSet) readPrefixes(t *table, part string, v *visits) error {
	for {
		ok, err := t.next()
		if err != nil || !ok {
			return err
		}
		items := strings.FieldsFunc(t.get(colPrefix), func(r rune) bool { return r == ' ' || r == ',' || r == '|' })
		target := t.get(colTarget)
		if len(items) == 0 || target == "" || len(items) > 1<<16 {
			s.Skipped++
			continue
		}
		at, err := t.time()
		if err != nil {
			return err
		}
		key := part + strconv.Itoa(t.rows)
		if part == "train" || part == "" {
			items = append(items, target)
		}
		for k, i := range items {
			if len(i) <= recommendIDMax {
				v.add(key, cmp.Or(t.get(colSession), t.get(colUser)), RecommendClick{Item: i, Time: at - int64(len(items)-k)})
			}
		}
		if k, ok := v.at[key]; ok && part != "train" && part != "" {
			v.all[k].Target = strings.Clone(target)
		}
	}
}

func (s *RecommendSet) readCatalogue(t *table) error {
	for {
		ok, err := t.next()
		if err != nil || !ok {
			return err
		}
		item := t.get(colItem)
		if item == "" {
			continue
		}
		s.Products = append(s.Products, RecommendProduct{strings.Clone(item), recommend.Product{
			Title: strings.Clone(t.get(colTitle)), Category: strings.Clone(t.get(colCategory)), Brand: strings.Clone(t.get(colBrand)), Price: t.number(colPrice),
		}})
	}
}

// readSerenade reads the section [model] of an example.toml: lines of name = number.
func readSerenade(path string) (*SerenadeOptions, error) {
	f, err := os.Open(path) //nolint:gosec // the user names the folder
	if err != nil {
		return nil, fmt.Errorf("read settings of Serenade: %w", err)
	}
	defer func() { _ = f.Close() }()
	var o SerenadeOptions
	section := ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || section != "[model]" {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || n < 0 || n > 1e6 {
			return nil, fmt.Errorf("read settings of Serenade: %.60q is no setting", line)
		}
		switch strings.TrimSpace(name) {
		case "m_most_recent_sessions":
			o.Sample = int(n)
		case "neighborhood_size_k":
			o.Neighbours = int(n)
		case "max_items_in_session":
			o.LastItems = int(n)
		case "idf_weighting":
			o.IDF = n
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read settings of Serenade: %w", err)
	}
	return &o, nil
}
