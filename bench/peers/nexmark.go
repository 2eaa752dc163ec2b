package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/bench/nexmark"
	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// The comparison of engines: both make the events in their own process, to the bit the
// same, commit their state to disk about once a second or more often, and count and hash
// rows instead of writing them anywhere. Nothing is read from a log.

// queryResult is what a query cost an engine.
type queryResult struct {
	Engine        string  `json:"engine"`
	Query         string  `json:"query"`
	Backend       string  `json:"backend"`
	Events        int64   `json:"events"`
	CPU           float64 `json:"cpu_s_per_million"`
	PerCoreSecond float64 `json:"events_per_core_second"`
	PerSecond     float64 `json:"events_per_second"`
	Rows          uint64  `json:"rows"`
	Hash          string  `json:"hash"`
	RSS           float64 `json:"rss_mb"`
}

// flinkQueries are those that are written for both; q12 knows the time of the clock and so
// has no answer that could be compared.
func flinkQueries() []string {
	return []string{"q0", "q1", "q2", "q3", "q4", "q5", "q7", "q8", "q11"}
}

// flinkBuilt is where `make bench-flink` puts what it built, seen from this module.
const flinkBuilt = "../../bin/flink"

// nexmarkMicros is the event time between two events: 10,000 in a second, as is usual.
const nexmarkMicros = 100

// nexmarkAll measures each query, engine after engine, as often as rounds say.
func nexmarkAll(ctx context.Context, o *options) error {
	if o.events < 10_000 || o.rounds < 1 {
		return errors.New("want at least 10,000 events and one round")
	}
	o.events = o.events / 2000 * 2000 // Flink's source has two tasks with as many each
	dir, err := os.MkdirTemp(o.dir, "millrace-nexmark-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	o.dir = dir
	var all []queryResult
	for _, query := range flinkQueries() {
		if !listed(o.query, query) {
			continue
		}
		one := map[string][]queryResult{}
		for range o.rounds {
			for _, e := range []string{"millrace", "rocksdb", "hashmap"} { // the last two are Flink's backends
				if !o.wanted(e) {
					continue
				}
				fmt.Fprintf(os.Stderr, "%s: %s\n", query, e)
				r, err := startQuery(ctx, o, e, query)
				if err != nil {
					return fmt.Errorf("%s of %s: %w", query, e, err)
				}
				one[e] = append(one[e], r)
			}
		}
		for _, e := range []string{"millrace", "rocksdb", "hashmap"} {
			if rs := one[e]; len(rs) > 0 {
				slices.SortFunc(rs, func(a, b queryResult) int { return cmp.Compare(a.CPU, b.CPU) })
				all = append(all, rs[len(rs)/2])
			}
		}
	}
	nexmarkTable(os.Stdout, all)
	if err := sameRows(all); err != nil || !o.asJSON {
		return err
	}
	raw, err := json.Marshal(map[string]any{"rounds": o.rounds, "results": all})
	if err != nil {
		return err
	}
	_, err = fmt.Printf("\n%s\n", raw)
	return err
}

// sameRows tells of a query for which two engines have other answers.
func sameRows(all []queryResult) error {
	first := map[string]queryResult{}
	for _, r := range all {
		f, known := first[r.Query]
		if !known {
			first[r.Query] = r
		} else if f.Rows != r.Rows || f.Hash != r.Hash {
			return fmt.Errorf("%s: %s has %d rows with hash %s, %s (%s) %d with %s", r.Query, f.Engine, f.Rows, f.Hash, r.Engine, r.Backend, r.Rows, r.Hash)
		}
	}
	return nil
}

func nexmarkTable(w io.Writer, all []queryResult) {
	fmt.Fprintln(w, "| query | engine | state | CPU-s per million | events/s per core | events/s | RSS MiB | rows |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, r := range all {
		fmt.Fprintf(w, "| %s | %s | %s | %.2f | %.0f | %.0f | %.0f | %d |\n", r.Query, r.Engine, r.Backend, r.CPU, r.PerCoreSecond, r.PerSecond, r.RSS, r.Rows)
	}
}

// startQuery runs a query in a process of its own.
func startQuery(ctx context.Context, o *options, e, query string) (queryResult, error) {
	dir := filepath.Join(o.dir, e+"-"+query)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return queryResult{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, stop := context.WithTimeout(ctx, 30*time.Minute)
	defer stop()
	var cmd *exec.Cmd
	if e == "millrace" {
		self, err := os.Executable()
		if err != nil {
			return queryResult{}, err
		}
		cmd = exec.CommandContext(ctx, self, "-nexmark", "-child", e, "-query", query, "-events", strconv.Itoa(o.events), "-state", dir) //nolint:gosec // ourselves
	} else {
		path, err := os.ReadFile(filepath.Join(flinkBuilt, "classpath"))
		if err != nil {
			return queryResult{}, fmt.Errorf("Flink is not built, `make bench-flink` does it: %w", err) //nolint:staticcheck // a name
		}
		classes := filepath.Join(flinkBuilt, "classes") + string(os.PathListSeparator) + strings.TrimSpace(string(path))
		cmd = exec.CommandContext(ctx, "java", "-Xms3g", "-Xmx3g", "--add-opens=java.base/java.util=ALL-UNNAMED", //nolint:gosec // a benchmark by hand
			"--add-opens=java.base/java.lang=ALL-UNNAMED", "-cp", classes, "millrace.Nexmark",
			query, strconv.Itoa(o.events), strconv.Itoa(nexmarkMicros), e, dir)
	}
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		return queryResult{}, err
	}
	r := queryResult{Engine: "Flink 2.3.0"}
	raw = bytes.TrimSpace(raw)
	if err := json.Unmarshal(raw[bytes.LastIndexByte(raw, '\n')+1:], &r); err != nil {
		return r, fmt.Errorf("read what it printed: %w", err)
	}
	return r, nil
}

// nexmarkChild runs a query on millrace and prints what it cost, from the opening of the
// engine until the last window has fired and is committed.
func nexmarkChild(ctx context.Context, o *options) error {
	engine.UseMemory(0)
	r, err := millraceQuery(ctx, o.query, int64(o.events), o.state)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// madeAtOnce is how many events a message stands for.
const madeAtOnce = 500

func millraceQuery(ctx context.Context, query string, events int64, dir string) (queryResult, error) {
	r := queryResult{Engine: "millrace", Query: query, Backend: "log and Badger, synced", Events: events}
	log := enginetest.NewLog()
	for first := int64(0); first < events; first += madeAtOnce {
		log.Append(nexmark.Start, binary.AppendVarint(binary.AppendVarint(nil, first), min(madeAtOnce, events-first)))
	}
	log.Append(nexmark.Start, binary.AppendVarint(binary.AppendVarint(nil, events), 0))
	store, err := state.Open(state.Options{Dir: dir, Sync: true})
	if err != nil {
		return r, err
	}
	defer func() { _ = store.Close() }()
	sink := &nexmark.Sink{Updates: query == "q4"}
	made := &maker{from: nexmark.NewGenerator(1, nexmarkMicros)}
	before, started := cpuTime(), time.Now()
	err = nexmark.Run(ctx, query, log, time.Nanosecond, store, sink, func(o *engine.Options) { o.Decoder = made })
	if err != nil {
		return r, err
	}
	used, took := (cpuTime() - before).Seconds(), time.Since(started).Seconds()
	if sink.Bad+sink.Lost > 0 {
		return r, fmt.Errorf("%d bad, %d lost", sink.Bad, sink.Lost)
	}
	n := float64(events)
	r.CPU, r.PerCoreSecond, r.PerSecond, r.RSS = used/n*1e6, n/used, n/took, peakRSS()
	r.Rows, r.Hash = sink.Rows, strconv.FormatUint(sink.Hash, 10)
	return r, nil
}

// maker is a decoder that makes the events that a message stands for: its source is in
// the process, as Flink's. None means the end.
type maker struct{ from *nexmark.Generator }

var errMaker = errors.New("the message is no number of events")

// Decode implements engine.Decoder.
func (d *maker) Decode(dst []engine.Unit, m *engine.Message) []engine.Unit {
	first, n := binary.Varint(m.Data)
	if n <= 0 {
		return append(dst, engine.Unit{Value: errMaker})
	}
	count, n := binary.Varint(m.Data[n:])
	if n <= 0 || count < 0 || count > madeAtOnce {
		return append(dst, engine.Unit{Value: errMaker})
	}
	in := make([]nexmark.Input, max(count, 1))
	if count == 0 {
		in[0].Kind, in[0].Bid.Time = nexmark.EndKind, d.from.TimeOf(first)+time.Hour.Milliseconds()
	}
	for i := range in[:count] {
		in[i].Event = d.from.Event(first + int64(i))
	}
	for i := range in {
		in[i].Received = m.Time
		dst = append(dst, engine.Unit{Time: in[i].Time(), Received: m.Time, Value: &in[i]})
	}
	return dst
}
