package main

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"millrace/bench/nexmark"
	"millrace/engine"
	"millrace/state"
)

// TestSameAnswer runs each peer over the same log, in this process: those that keep the
// order of a person's events must have the same answer, to the last byte of state.
func TestSameAnswer(t *testing.T) {
	o := &options{events: 4000, users: 900, dir: t.TempDir()}
	if err := fill(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var all []result
	for i, p := range peers() {
		dir := filepath.Join(o.dir, strconv.Itoa(i))
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(o.dir, "log"))); err != nil {
			t.Fatal(err)
		}
		r, err := measure(t.Context(), &p, &options{dir: dir, state: filepath.Join(dir, "state"), process: true, last: 4000})
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if r.CPU <= 0 || r.PerSecond <= 0 || r.RSS <= 0 || r.Answer.Left == 0 {
			t.Errorf("%+v", r)
		}
		all = append(all, r)
	}
	compare(all)
	if err := check(all); err != nil {
		t.Error(err)
	}
	if all[0].Equal != "reference" || all[1].Equal != "yes" || all[2].Equal != "-" || all[3].Equal != "yes" || all[0].Answer.Persons < 500 {
		t.Errorf("%+v", all)
	}
	all[3].Equal = "no"
	if check(all) == nil {
		t.Error("another answer is not noticed")
	}
}

// TestKeeper: however events are cut into transactions, with the state closed and opened
// in between, the answer is that of one transaction.
func TestKeeper(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var events []action
	for at := int64(1 << 40); len(events) < 3000; at += rng.Int64N(120_000) {
		events = append(events, action{user: "u" + strconv.Itoa(rng.IntN(40)), item: strconv.Itoa(rng.IntN(9)), at: at, kind: kind(rng.IntN(int(kinds)))})
	}
	run := func(most int, reopen bool) answer {
		dir := t.TempDir()
		k, err := openKeeper(dir, false)
		for rest := events; err == nil && len(rest) > 0; {
			n := min(1+rng.IntN(most), len(rest))
			if err = k.take(rest[:n], uint64(len(events)-len(rest)+n)); err != nil {
				break
			}
			if rest = rest[n:]; reopen && rng.IntN(4) == 0 {
				if err = k.close(); err == nil {
					k, err = openKeeper(dir, false)
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = k.close() }()
		if at, err := k.position(); err != nil || at != uint64(len(events)) {
			t.Errorf("position %d, %v", at, err)
		}
		a, err := k.answer()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	want := run(len(events), false)
	if want.Events != 3000 || want.Left == 0 {
		t.Errorf("%+v", want)
	}
	for _, most := range []int{1, 20, 900} {
		if got := run(most, most > 1); got != want {
			t.Errorf("at most %d a transaction: %+v, want %+v", most, got, want)
		}
	}
}

// TestShopper: a cart is left an hour after its last change, unless something is ordered.
func TestShopper(t *testing.T) {
	var s shopper
	f := func(a action, due int64, wantLeft bool, wantTimer int64) {
		t.Helper()
		var left bool
		var timer int64
		if due == 0 {
			timer = s.apply(&a)
		} else {
			left, timer = s.fire(due)
		}
		if left != wantLeft || timer != wantTimer {
			t.Errorf("%+v, due %d: %v, %d", a, due, left, timer)
		}
	}
	f(action{kind: viewed, at: 5, item: "a"}, 0, false, 0)
	f(action{kind: added, at: 10, item: "b"}, 0, false, 10+leftAfter)
	f(action{kind: removed, at: 30}, 0, false, 0) // the timer stands
	f(action{}, 10+leftAfter, false, 30+leftAfter)
	f(action{}, 30+leftAfter, true, 0)
	f(action{kind: added, at: 9 + leftAfter}, 0, false, 9+2*leftAfter)
	f(action{kind: ordered, at: 10 + leftAfter}, 0, false, 0)
	f(action{}, 9+2*leftAfter, false, 0)
	for range 12 {
		s.apply(&action{kind: viewed, item: "x"})
	}
	if len(s.items) != lastItems || s.items[0] != "x" || s.counts != [kinds]uint64{0, 13, 2, 1, 1} {
		t.Errorf("%+v", s)
	}
}

func TestParse(t *testing.T) {
	f := func(in string, want action, fails bool) {
		t.Helper()
		got, err := parse([]byte(in))
		if errors.Is(err, errEvent) != fails || err == nil && got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	f(`{"userId":"u","event":"Product Added","timestamp":"1970-01-01T00:00:01Z","properties":{"product_id":"i"}}`, action{"u", "i", 1000, added}, false)
	f(`{"userId":"u","type":"identify","timestamp":"1970-01-01T00:00:01Z"}`, action{user: "u", at: 1000}, false)
	f(`{"userId":"u"}`, action{}, true)
	f(`{"timestamp":"1970-01-01T00:00:01Z"}`, action{}, true)
	f(`[`, action{}, true)
}

// FuzzShopper: nothing stored makes the decoder panic, and what it reads it writes again.
func FuzzShopper(f *testing.F) {
	f.Add((&shopper{}).AppendTo(nil))
	f.Add((&shopper{counts: [kinds]uint64{1, 2, 3, 4, 300}, items: []string{"a", "bcd"}, open: true, since: -5, armed: 1 << 50}).AppendTo(nil))
	f.Add([]byte{1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s, again shopper
		if s.DecodeFrom(b) != nil {
			return
		}
		if err := again.DecodeFrom(s.AppendTo(nil)); err != nil || !reflect.DeepEqual(s, again) {
			t.Errorf("%+v became %+v, %v", s, again, err)
		}
	})
}

// TestReport: the table has a line for each peer, and the plot is well-formed and cuts
// what is far longer than the others.
func TestReport(t *testing.T) {
	all := medians([]result{
		{Peer: "plain", CPU: 9}, {Peer: "plain", CPU: 7}, {Peer: "plain", CPU: 8}, {Peer: "millrace", CPU: 6}, {Peer: "benthos", CPU: 20},
		{Peer: "watermill-4-synced", CPU: 900},
	})
	if len(all) != 4 || all[0].Peer != "millrace" || all[1].CPU != 8 {
		t.Fatalf("%+v", all)
	}
	var b bytes.Buffer
	table(&b, &options{}, all)
	if n := strings.Count(b.String(), "\n"); n != 4+len(all) {
		t.Errorf("%d lines:\n%s", n, b.String())
	}
	svg := plot(&options{}, all)
	if strings.Count(string(svg), "(cut)") != 1 || !strings.Contains(string(svg), ">900.0 (cut)<") {
		t.Errorf("%s", svg)
	}
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestMaker: events that are made in the process give the answers of those that are
// written to a log and read from it.
func TestMaker(t *testing.T) {
	for _, query := range flinkQueries() {
		r, err := millraceQuery(t.Context(), query, 6300, t.TempDir())
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		w := nexmark.Workload{Events: 6300, Micros: nexmarkMicros}
		store, err := state.Open(state.Options{MemTable: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		want := &nexmark.Sink{Updates: query == "q4"}
		if err := nexmark.Run(t.Context(), query, w.Log(), w.OutOfOrder(), store, want, nil); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if r.Rows != want.Rows || r.Hash != strconv.FormatUint(want.Hash, 10) || r.Rows == 0 {
			t.Errorf("%s: %+v, want %d rows with hash %d", query, r, want.Rows, want.Hash)
		}
		other := r
		other.Hash += "0"
		if sameRows([]queryResult{r, r}) != nil || sameRows([]queryResult{r, other}) == nil {
			t.Errorf("%s: the comparison of answers is wrong", query)
		}
	}
	f := func(data []byte) {
		t.Helper()
		units := (&maker{from: nexmark.NewGenerator(1, 1)}).Decode(nil, &engine.Message{Data: data})
		if err, ok := units[0].Value.(error); len(units) != 1 || !ok || !errors.Is(err, errMaker) {
			t.Errorf("%v: %v", data, units)
		}
	}
	f(nil)
	f([]byte{2})
	f(binary.AppendVarint([]byte{2}, madeAtOnce+1))
	f(binary.AppendVarint([]byte{2}, -1))
}
