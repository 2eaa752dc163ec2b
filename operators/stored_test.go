package operators_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/state"
)

// updateStored is apart from update: what was stored once must stay readable, so its bytes
// are written anew only for new kinds of values.
var updateStored = flag.Bool("update-stored", false, "write testdata/stored anew")

// storedScenes are the scenarios whose state is kept, with pipelines and lines of their own
// added: together they hold a value of nearly every kind.
var storedScenes = []string{"experiment", "merge_carts", "merge_pending", "browse", "after_purchase", "visitor", "welcome", "win_back", "guardrail"} //nolint:gochecknoglobals // constant

// TestStoredV1 opens the values that the first version has stored, as bytes in
// testdata/stored, and wants them to mean what they meant. Whoever changes an encoding
// raises the version that a value begins with, and reads the old one: then this test
// passes. It fails when old bytes cannot be read, mean something else, or are written in
// another way under the same version.
func TestStoredV1(t *testing.T) {
	kinds := make(map[string]int)
	for _, name := range storedScenes {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", "stored", name+".txtar")
			journeys, events := sceneOf(t, name)
			if *updateStored {
				var a *txtar.Archive
				enginetest.Bubble(t, func(t *testing.T) { a = storeScene(t, journeys, events) })
				if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			raw, want := readStored(t, a)
			got := meanings(t, raw, build(t, journeys, 0), nil)
			for id, w := range want {
				cell, _, _ := strings.Cut(id, " ")
				kinds[cell]++
				if g, ok := got[id]; !ok {
					t.Errorf("%s is not read any more", id)
				} else if err := within(w, g); err != nil {
					t.Errorf("%s means something else: %v\nwant %v\ngot  %v", id, err, w, g)
				}
			}
		})
	}
	// All that the graphs of these scenes keep; what a shop declares of its own, fields and
	// pace, has tests beside its codec.
	want := []string{
		"address/owner", "experiment/progress", "identity/owner", "item/cooccurrence", "item/totals", "person/experiment",
		"person/profile", "person/steering", "person/trigger", "stop/experiment", "visitor/link",
	}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, want) {
		t.Errorf("kept are values of %v, want %v", got, want)
	}
}

// sceneOf is a scenario of testdata.
func sceneOf(t *testing.T, name string) (journeys []operators.Journey, events string) {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	pipelines, own := []string{"cart-abandonment.yaml"}, make(fstest.MapFS)
	for _, f := range a.Files {
		switch f.Name {
		case "events":
			events = string(f.Data)
		case "want":
		case "pipelines":
			pipelines = strings.Fields(string(f.Data))
		default:
			own[f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	return journeysOf(t, withShipped(t, own), pipelines...), events
}

// storedMax bounds the values of a cell that are kept of a scene: the longest ones.
const storedMax = 3

// storeScene plays a scenario and keeps the longest values of each cell.
func storeScene(t *testing.T, journeys []operators.Journey, events string) *txtar.Archive {
	t.Helper()
	s := &scene{world: newWorldOf(t, journeys), begin: time.Now().UTC().Truncate(24 * time.Hour)}
	defer s.close()
	s.start()
	for line := range strings.SplitSeq(events, "\n") {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
			s.line(strings.Fields(line))
		}
	}
	s.tell()
	raw := make(map[string]string)
	v := s.Store.Snapshot()
	defer v.Close()
	s.check(v.Scan(nil, nil, func(k, val []byte) bool {
		raw[string(k)] = string(val)
		return true
	}))
	kept := make(map[string]string)
	byCell := make(map[string][]string)
	for k, val := range raw {
		switch k[0] {
		case state.SpaceMeta:
			if len(val) < 1<<14 {
				kept[k] = val
			}
		case state.SpaceCells:
			byCell[k[2:4]] = append(byCell[k[2:4]], k)
		}
	}
	for _, keys := range byCell {
		slices.SortFunc(keys, func(a, b string) int {
			if d := len(raw[b]) - len(raw[a]); d != 0 {
				return d
			}
			return strings.Compare(a, b)
		})
		for _, k := range keys[:min(len(keys), storedMax)] {
			kept[k] = raw[k]
			for part, val := range raw { // of a value in parts
				if part[0] == state.SpaceParts && strings.HasPrefix(part[1:], k[1:]) {
					kept[part] = val
				}
			}
		}
	}
	var store, means strings.Builder
	for _, k := range slices.Sorted(maps.Keys(kept)) {
		fmt.Fprintf(&store, "%q %s\n", k, base64.StdEncoding.EncodeToString([]byte(kept[k])))
	}
	meanings(t, kept, build(t, journeys, 0), func(cell, key string, value json.RawMessage) {
		fmt.Fprintf(&means, "%s %q %s\n", cell, key, value)
	})
	return &txtar.Archive{
		Comment: []byte("Keys and values as the first version has stored them, and what they mean.\n"),
		Files:   []txtar.File{{Name: "store", Data: []byte(store.String())}, {Name: "means", Data: []byte(means.String())}},
	}
}

// readStored is what storeScene has kept.
func readStored(t *testing.T, a *txtar.Archive) (raw map[string]string, means map[string]any) {
	t.Helper()
	raw, means = make(map[string]string), make(map[string]any)
	for _, f := range a.Files {
		for row := range strings.Lines(string(f.Data)) {
			row = strings.TrimSpace(row)
			cell := ""
			if f.Name == "means" {
				cell, row, _ = strings.Cut(row, " ")
			}
			quoted, err := strconv.QuotedPrefix(row)
			if err != nil {
				t.Fatal(err)
			}
			key, _ := strconv.Unquote(quoted)
			rest := strings.TrimSpace(row[len(quoted):])
			if f.Name == "means" {
				means[cell+" "+key] = tree(t, []byte(rest))
				continue
			}
			val, err := base64.StdEncoding.DecodeString(rest)
			if err != nil {
				t.Fatal(err)
			}
			raw[key] = string(val)
		}
	}
	return raw, means
}

func tree(t *testing.T, raw []byte) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// meanings reads every value of a store that holds raw, and writes it again.
func meanings(t *testing.T, raw map[string]string, p *operators.Pipeline, each func(cell, key string, value json.RawMessage)) map[string]any {
	t.Helper()
	store, err := state.Open(state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	var r state.Record
	for _, k := range slices.Sorted(maps.Keys(raw)) {
		r.Put([]byte(k), []byte(raw[k]))
	}
	if err := store.Commit(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	open, err := engine.OpenView(store, p.Graph)
	if err != nil {
		t.Fatal(err)
	}
	v := open()
	defer v.Close()
	out := make(map[string]any)
	for _, cell := range p.Graph.Cells() {
		err := p.Graph.EachAny(v, cell, func(key string, value any) bool {
			text, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			out[cell+" "+key] = tree(t, text)
			if each != nil {
				each(cell, key, text)
			}
			rewritten(t, raw, cell, key, value)
			return true
		})
		if err != nil {
			t.Errorf("cell %s: %v", cell, err)
		}
	}
	return out
}

// rewritten wants a value to be written as it was, or with a higher version in front.
func rewritten(t *testing.T, raw map[string]string, cell, key string, value any) {
	t.Helper()
	if _, parted := value.(state.Parted); parted {
		return // written in parts, next to others of its cell
	}
	c, ok := value.(interface{ AppendTo([]byte) []byte })
	if !ok {
		t.Errorf("a value of %s cannot be written", cell)
		return
	}
	again := string(c.AppendTo(nil))
	for k, old := range raw {
		if k[0] != state.SpaceCells || k[4:] != key || len(again) == 0 {
			continue
		}
		if strings.HasSuffix(old, again) && len(old)-len(again) <= 10 { // a lazy value has the number of its last message in front
			return
		}
	}
	for k, old := range raw {
		if k[0] == state.SpaceCells && k[4:] == key && again[0] > old[0] {
			return
		}
	}
	t.Errorf("%s %q is written in another way under the same version: %x", cell, key, again)
}

// within tells whether got says all that want says; more is no harm.
func within(want, got any) error {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%v was a group of fields", got)
		}
		for name, x := range w {
			if err := within(x, g[name]); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Errorf("%v was a list of %d", got, len(w))
		}
		for i := range w {
			if err := within(w[i], g[i]); err != nil {
				return fmt.Errorf("%d: %w", i, err)
			}
		}
	default:
		if fmt.Sprint(want) != fmt.Sprint(got) {
			return fmt.Errorf("got %v, want %v", got, want)
		}
	}
	return nil
}
