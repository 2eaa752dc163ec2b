package nexmark_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"millrace/bench/nexmark"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// rows runs a query over a workload.
func rows(t *testing.T, query string, w nexmark.Workload, tune func(*engine.Options)) []nexmark.Row {
	t.Helper()
	store, err := state.Open(state.Options{MemTable: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var all []nexmark.Row
	sink := &nexmark.Sink{Each: func(r nexmark.Row) { all = append(all, r) }}
	if err := nexmark.Run(t.Context(), query, w.Log(), w.OutOfOrder(), store, sink, tune); err != nil {
		t.Fatal(err)
	}
	if sink.Bad+sink.Lost > 0 || sink.Rows != uint64(len(all)) {
		t.Fatalf("%s: %d bad, %d lost, %d rows of %d", query, sink.Bad, sink.Lost, len(all), sink.Rows)
	}
	return all
}

func sum(all []nexmark.Row, of func(nexmark.Row) int64) (total int64) {
	for _, r := range all {
		total += of(r)
	}
	return total
}

// last is the newest row of each category, as text.
func last(all []nexmark.Row) string {
	newest := map[int64]nexmark.Row{}
	for _, r := range all {
		newest[r.A] = r
	}
	var text string
	for category := int64(10); category < 15; category++ {
		text += fmt.Sprintf(" %d/%d", newest[category].B, newest[category].C)
	}
	return text
}

// TestAnswers compares with the answers that a program without streams found for
// 100,000 events of seed 1, one a millisecond, in order and out of order.
func TestAnswers(t *testing.T) {
	for _, shuffle := range []int64{1, 50} {
		w := nexmark.Workload{Shuffle: shuffle}
		f := func(query string, got, want any) {
			t.Helper()
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, out of order within %d: got %v, want %v", query, shuffle, got, want)
			}
		}
		a := func(r nexmark.Row) int64 { return r.A }
		b := func(r nexmark.Row) int64 { return r.B }
		c := func(r nexmark.Row) int64 { return r.C }
		all := rows(t, "q0", w, nil)
		f("q0", []int64{int64(len(all)), sum(all, c)}, "[92000 665513723442]")
		f("q1", sum(rows(t, "q1", w, nil), c), "604286460885336")
		all = rows(t, "q2", w, nil)
		f("q2", []int64{int64(len(all)), sum(all, b)}, "[361 2234582423]")
		all = rows(t, "q3", w, nil)
		f("q3", []int64{int64(len(all)), sum(all, a)}, "[669 2563720]")
		f("q4", last(rows(t, "q4", w, nil)), " 27943096/1089 29878223/1070 28180747/1134 28027136/1099 27618359/1104")
		all = rows(t, "q5", w, nil)
		ends := map[int64]bool{}
		for _, r := range all {
			ends[r.D] = true
		}
		slices.SortFunc(all, func(a, b nexmark.Row) int { return cmp.Compare(a.D, b.D) })
		at := slices.IndexFunc(all, func(r nexmark.Row) bool { return r.C == nexmark.Start })
		f("q5", []int64{int64(len(all)), int64(len(ends)), all[0].C - nexmark.Start, all[0].A, all[0].B, all[at].A, all[at].B}, "[58 54 -8000 1000 763 1500 804]")
		all = rows(t, "q7", w, nil)
		f("q7", []int64{int64(len(all)), sum(all, c)}, "[10 999111145]")
		all = rows(t, "q8", w, nil)
		f("q8", []int64{int64(len(all)), sum(all, a)}, "[298 503419]")
		all = rows(t, "q11", w, nil)
		bidders := map[int64]bool{}
		for _, r := range all {
			bidders[r.A] = true
		}
		f("q11", []int64{int64(len(all)), int64(len(bidders)), slices.MaxFunc(all, func(a, b nexmark.Row) int { return cmp.Compare(a.B, b.B) }).B,
			sum(all, func(r nexmark.Row) int64 { return r.B * r.B })}, "[2925 1926 3497 238651150]")
		f("q12", sum(rows(t, "q12", w, nil), b), "92000")
	}
}

// naive answers a query from all events of a workload at once.
func naive(t *testing.T, query string, w nexmark.Workload) []nexmark.Row {
	t.Helper()
	var in []nexmark.Input
	for _, m := range w.Log().Messages() {
		for _, u := range (nexmark.Decoder{}).Decode(nil, &m) {
			in = append(in, *u.Value.(*nexmark.Input))
		}
	}
	var out []nexmark.Row
	if err := nexmark.Naive(query, in, &nexmark.Sink{Each: func(r nexmark.Row) { out = append(out, r) }}); err != nil {
		t.Fatal(err)
	}
	sortRows(out)
	return out
}

func sortRows(all []nexmark.Row) {
	slices.SortFunc(all, func(a, b nexmark.Row) int {
		return cmp.Or(cmp.Compare(a.D, b.D), cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B), cmp.Compare(a.C, b.C), cmp.Compare(a.Name, b.Name))
	})
}

// TestNaive: row by row the answers of the naive computation, of other seeds, rates and
// orders than above.
func TestNaive(t *testing.T) {
	f := func(w nexmark.Workload) {
		t.Helper()
		for _, query := range nexmark.Queries() {
			got, want := rows(t, query, w, nil), naive(t, query, w)
			if query == "q4" { // a stream of updates, of which the last of a category hold
				newest := map[int64]nexmark.Row{}
				for _, r := range got {
					newest[r.A] = r
				}
				got = slices.Collect(maps.Values(newest))
			}
			sortRows(got)
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s of %+v: %d rows, want %d:\n%v\n%v", query, w, len(got), len(want), got[:min(len(got), 9)], want[:min(len(want), 9)])
			}
		}
	}
	f(nexmark.Workload{Seed: 7, Events: 8_000, Micros: 9_000})
	f(nexmark.Workload{Seed: 8, Events: 8_000, Micros: 4_000, Shuffle: 200, Pack: 7})
	f(nexmark.Workload{Seed: 9, Events: 5_000, Micros: 30_000, Shuffle: 50, Pack: 1})
}

var errCrash = errors.New("crash")

// crash fails after so many commits.
type crash struct {
	store *state.Store
	left  int
}

func (c *crash) Commit(ctx context.Context, r *state.Record) error {
	if c.left--; c.left < 0 {
		return errCrash
	}
	return c.store.Commit(ctx, r)
}

// TestCrashes: with crashes in between, the rows are the same set as without; those since
// the last commit come twice, since a sink is not part of the commit, and no others.
func TestCrashes(t *testing.T) {
	w := nexmark.Workload{Seed: 3, Events: 6_000, Micros: 9_000, Shuffle: 50}
	log := w.Log()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, query := range nexmark.Queries() {
		want := rows(t, query, w, nil)
		sortRows(want)
		if query == "q4" { // a stream of updates: only the last ones are an answer
			want = nil
		}
		store, err := state.Open(state.Options{MemTable: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		var got []nexmark.Row
		runs := 0
		for ; ; runs++ {
			sink := &nexmark.Sink{Each: func(r nexmark.Row) { got = append(got, r) }}
			err := nexmark.Run(t.Context(), query, log, w.OutOfOrder(), store, sink, func(o *engine.Options) {
				o.EpochEvents, o.TimersOpen, o.Parallel = 1+rng.IntN(100), 1+rng.IntN(50), 1<<rng.IntN(3)
				if runs < 8 {
					o.Committer = &crash{store, rng.IntN(9)}
				}
			})
			if err == nil {
				break
			}
			if !errors.Is(err, errCrash) {
				t.Fatalf("%s: %v", query, err)
			}
		}
		if runs < 3 {
			t.Errorf("%s crashed %d times", query, runs)
		}
		if query == "q4" {
			if a, b := last(got), last(rows(t, query, w, nil)); a != b {
				t.Errorf("q4 with crashes: %s, want %s", a, b)
			}
		} else {
			sortRows(got)
			if got = slices.Compact(got); !slices.Equal(got, slices.Compact(want)) {
				t.Errorf("%s with crashes: %d different rows, want %d", query, len(got), len(want))
			}
		}
		left, err := enginetest.Dump(store, state.SpaceTimers)
		if err != nil || len(left) > 0 {
			t.Errorf("%s: %d timers are left (%v)", query, len(left), err)
		}
		store.Close()
	}
}

func TestUnknownQuery(t *testing.T) {
	if _, err := nexmark.NewGraph("q6", &nexmark.Sink{}, 0); err == nil {
		t.Error("q6 is there")
	}
}

// FuzzDecoder: whatever a message holds, its units are events that can be encoded, or an error.
func FuzzDecoder(f *testing.F) {
	g := nexmark.NewGenerator(1, 1000)
	var raw []byte
	for e := range int64(6) {
		event := g.Event(e)
		raw = nexmark.AppendEvent(raw, &event)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var again []byte
		bad := false
		for _, u := range (nexmark.Decoder{}).Decode(nil, &engine.Message{Seq: 1, Data: raw}) {
			in, ok := u.Value.(*nexmark.Input)
			if !ok {
				bad = true
				continue
			}
			again = nexmark.AppendEvent(again, &in.Event)
		}
		if units := (nexmark.Decoder{}).Decode(nil, &engine.Message{Seq: 1, Data: again}); !bad && len(again) > 0 && len(units) == 0 {
			t.Fatalf("%x decodes, but not what it is encoded as, %x", raw, again)
		}
	})
}
