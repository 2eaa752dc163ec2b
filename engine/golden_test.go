package engine_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

var updateGolden = flag.Bool("update", false, "rewrite the golden parts of testdata/golden")

// TestGolden plays each file of testdata/golden: its graph, over its events, must emit what
// it wants, however it is run. Times are seconds of event time.
//
// A line of events is a message; ";" stands between several events of it:
//
//	12.5 ann cart        at 12.5, of the key ann, the word cart
//	60 -                 of nobody: the watermark moves on
//
// The first line of the graph says what it is, goldenGraphs have the words behind it. A
// line of what came of it is the watermark at which it was decided, the key and the
// outcome; last is what is left in the state.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			g := readGolden(t, a)
			got := g.whole(t)
			if *updateGolden {
				a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
				a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != g.want {
				t.Fatalf("got\n%s\nwant\n%s", got, g.want)
			}
			g.torn(t)
			g.restored(t)
		})
	}
}

// goldenTunes are ways to run a graph that must not show: what one of them has begun the
// next one resumes, so that a checkpoint of two workers goes on with four. Whoever adds an
// option on which nothing may depend adds it here.
func goldenTunes() []func(*engine.Options) {
	return []func(*engine.Options){
		func(*engine.Options) {},
		func(o *engine.Options) { o.EpochEvents, o.TimersOpen, o.OutboxMax, o.Parallel = 1, 1, 1, 2 },
		func(o *engine.Options) { o.EpochEvents, o.TimersOpen, o.Parallel = 3, 2, 4 },
	}
}

// golden is a scenario.
type golden struct {
	graph  []string
	slack  time.Duration
	log    *enginetest.Log
	want   string
	events int
}

func readGolden(t *testing.T, a *txtar.Archive) *golden {
	t.Helper()
	g := &golden{log: enginetest.NewLog(), slack: time.Nanosecond} // no whole millisecond: zero would mean the usual two minutes
	for _, f := range a.Files {
		switch f.Name {
		case "graph":
			for line := range strings.Lines(string(f.Data)) {
				if rest, ok := strings.CutPrefix(line, "slack "); ok {
					g.slack = goldenSpan(t, strings.TrimSpace(rest))
				} else if line = strings.TrimSpace(line); line != "" {
					g.graph = append(g.graph, line)
				}
			}
		case "events":
			for line := range strings.Lines(string(f.Data)) {
				if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
					g.log.Append(1, []byte(strings.TrimSpace(line)))
					g.events++
				}
			}
		case "want":
			g.want = string(f.Data)
		default:
			t.Fatalf("a scenario has no part %q", f.Name)
		}
	}
	if len(g.graph) == 0 || g.events == 0 {
		t.Fatal("a scenario needs a graph and events")
	}
	return g
}

// goldenSpan reads a length of time.
func goldenSpan(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// goldenNotes are what came of a scenario, by the row of the outbox.
type goldenNotes struct {
	mu  sync.Mutex
	all map[uint64]string
	bad []string
}

func (n *goldenNotes) handle(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	n.keep(row, string(row.Body))
	return engine.Removed, 0, nil
}

// asked notes a question; its answer stands in the log.
func (n *goldenNotes) asked(_ context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	call, err := engine.DecodeLookupCall(row.Body)
	if err != nil {
		return engine.Removed, 0, err
	}
	_, words, _ := strings.Cut(string(call.Input), call.Key+" ")
	n.keep(row, fmt.Sprintf("%s asks %d/%d: %s", call.Key, call.ID.Seq, call.Try, words))
	return engine.Removed, 0, nil
}

func (n *goldenNotes) keep(row engine.Row, body string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	line := fmt.Sprintf("@%s %s", seconds(row.At), body)
	if old, ok := n.all[row.ID]; ok && old != line { // at least once, but always the same
		n.bad = append(n.bad, fmt.Sprintf("row %d was %q and is %q", row.ID, old, line))
	}
	n.all[row.ID] = line
}

// text is all of it, in the order of the rows.
func (n *goldenNotes) text(t *testing.T, s *state.Store) string {
	t.Helper()
	for _, bad := range n.bad {
		t.Error(bad)
	}
	var b strings.Builder
	ids := make([]uint64, 0, len(n.all))
	for id := range n.all {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		b.WriteString(n.all[id] + "\n")
	}
	keys, err := enginetest.Dump(s, state.SpaceCells)
	if err != nil {
		t.Fatal(err)
	}
	timers, err := enginetest.Dump(s, state.SpaceTimers)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "left: %d keys, %d timers\n", len(keys), len(timers))
	return b.String()
}

// seconds writes a time in milliseconds.
func seconds(ms int64) string {
	return strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64)
}

func openGolden(t *testing.T, dir string) *state.Store {
	t.Helper()
	s, err := state.Open(state.Options{Dir: dir, MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs the scenario from where the store stands, until its end or a crash.
func (g *golden) run(t *testing.T, s *state.Store, n *goldenNotes, tune func(*engine.Options), c *crash) error {
	t.Helper()
	o := engine.Options{
		Source: g.log, Store: s, Decoder: goldenDecoder{}, Graph: g.build(t), OutOfOrder: g.slack, Once: true, LogEnd: g.log.Last,
		Handlers: map[string]engine.Handler{"note": n.handle, "ask": n.asked},
	}
	tune(&o)
	if c != nil {
		c.store, o.Committer = s, c
	}
	e, err := engine.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err = e.Run(t.Context()); err != nil && (c == nil || !errors.Is(err, errCrash)) {
		t.Fatal(err)
	}
	return err
}

// whole is what comes of the scenario without a crash, which must not depend on how.
func (g *golden) whole(t *testing.T) string {
	t.Helper()
	var want string
	for i, tune := range goldenTunes() {
		s, n := openGolden(t, ""), &goldenNotes{all: map[uint64]string{}}
		_ = g.run(t, s, n, tune, nil)
		got := n.text(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if want = cmp.Or(want, got); got != want {
			t.Errorf("tune %d: got\n%s\nwant\n%s", i, got, want)
		}
	}
	return want
}

// torn crashes at each commit, before or after it was written, and goes on, as the next of
// the tunes.
func (g *golden) torn(t *testing.T) {
	t.Helper()
	tunes := goldenTunes()
	for i := range tunes {
		if testing.Short() && i != 1 { // an event a commit has the most places to crash at
			continue
		}
		for at, crashed := 1, true; crashed && !t.Failed(); at++ {
			s, n := openGolden(t, ""), &goldenNotes{all: map[uint64]string{}}
			after := i == 1 // between two commits both kinds leave the same state
			crashed = g.run(t, s, n, tunes[i], &crash{left: at, after: after}) != nil
			if crashed {
				_ = g.run(t, s, n, tunes[(i+1)%len(tunes)], nil)
			}
			if got := n.text(t, s); got != g.want {
				t.Errorf("tune %d, crash at commit %d (after it: %v): got\n%s\nwant\n%s", i, at, after, got, g.want)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// restored stops in the middle, copies the state as a checkpoint does, and goes on from
// the copy, on disk.
func (g *golden) restored(t *testing.T) {
	t.Helper()
	tunes := goldenTunes()
	s, n := openGolden(t, ""), &goldenNotes{all: map[uint64]string{}}
	err := g.run(t, s, n, tunes[1], &crash{left: 1 + g.events/2, after: true})
	if err == nil {
		t.Fatal("it came to its end before the checkpoint")
	}
	v, dir := s.Snapshot(), filepath.Join(t.TempDir(), "checkpoint")
	err = v.CopyTo(t.Context(), dir, nil)
	v.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openGolden(t, dir)
	defer s.Close()
	_ = g.run(t, s, n, tunes[2], nil)
	if got := n.text(t, s); got != g.want {
		t.Errorf("from a checkpoint: got\n%s\nwant\n%s", got, g.want)
	}
}

// thing is an event of a scenario.
type thing struct {
	at    int64
	key   string
	words []string
}

func (v thing) word() string { return strings.Join(v.words, " ") }

// goldenCodec stores things.
func goldenCodec() engine.EventCodec[thing] {
	return engine.EventCodec[thing]{
		Append: func(b []byte, v thing) []byte {
			return append(binary.AppendVarint(b, v.at), v.key+" "+v.word()...)
		},
		Decode: func(b []byte) (thing, error) {
			at, n := binary.Varint(b)
			if n <= 0 {
				return thing{}, errors.New("a stored event is damaged")
			}
			f := strings.Fields(string(b[n:]))
			return thing{at, f[0], f[1:]}, nil
		},
	}
}

// goldenDecoder reads the lines of a scenario.
type goldenDecoder struct{}

// Decode implements engine.Decoder.
func (goldenDecoder) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	for part := range strings.SplitSeq(string(m.Data), ";") {
		f := strings.Fields(part)
		at, err := strconv.ParseFloat(f[0], 64)
		if err != nil || len(f) < 2 {
			return append(dst, engine.Unit{Value: fmt.Errorf("line %d is no event: %q", m.Seq, m.Data)})
		}
		v := thing{int64(math.Round(at * 1000)), f[1], f[2:]}
		dst = append(dst, engine.Unit{Time: v.at, Received: v.at, Value: v})
	}
	return dst
}
