package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"millrace/engine/stream"
	"millrace/operators/event"
)

// cutOff is a context that is cancelled when it was asked so many times: an import
// that is interrupted at a known event.
type cutOff struct {
	context.Context //nolint:containedctx // it is one
	left            atomic.Int64
}

func (c *cutOff) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return c.Context.Err()
}

// pages writes a file of n page views of one day.
func pages(t *testing.T, path string, day, n int) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		if i == n/2 {
			b.WriteString("this row is broken\n")
		}
		fmt.Fprintf(&b, `{"type":"page","messageId":"d%d-%d","userId":"u%d","timestamp":"2024-05-%02dT10:%02d:%02dZ"}`+"\n", day, i, i%7, day, i/60, i%60)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// doImport imports files and answers what was said.
func doImport(ctx context.Context, dir string, files ...string) (string, error) {
	o := importOptions{format: "ndjson"}
	o.dir = dir
	var out, status bytes.Buffer
	err := o.run(ctx, &out, &status, files)
	return status.String() + out.String(), err
}

// imported is what the log of a directory holds, event by event.
func imported(t *testing.T, dir string) (out []string) {
	t.Helper()
	l, closeLog, err := openLogAlone(t.Context(), files{dir}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer closeLog()
	return eventsOf(t, l)
}

func eventsOf(t *testing.T, l *stream.Log) (out []string) {
	t.Helper()
	info, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := event.NewDecoder(event.Options{})
	for seq := info.First; seq <= info.Last; seq++ {
		m, err := l.Get(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range d.DecodeAll(nil, m.Data, m.Time) {
			if rec.Event != nil {
				out = append(out, fmt.Sprintf("%s %s %d", rec.Event.UserID, rec.Event.MessageID, rec.Event.Time))
			}
		}
	}
	return out
}

// TestImportResumes cuts an import of two files off wherever it may be: going on ends
// with the log that an import in one go makes.
func TestImportResumes(t *testing.T) {
	dir := t.TempDir()
	// The first file is the shorter one: a position in the second must not be mistaken
	// for one in the first.
	one, two := filepath.Join(dir, "one.ndjson"), filepath.Join(dir, "two.ndjson")
	pages(t, one, 1, 700)
	pages(t, two, 2, 1600)
	whole := filepath.Join(dir, "whole")
	if said, err := doImport(t.Context(), whole, one, two); err != nil || !strings.Contains(said, "2302 rows, 2300 events published") {
		t.Fatal(said, err)
	}
	want := imported(t, whole)
	if len(want) != 2300 {
		t.Fatalf("%d events in the log", len(want))
	}
	f := func(name string, cuts ...int64) {
		t.Helper()
		data := filepath.Join(dir, name)
		for _, n := range cuts {
			ctx := &cutOff{Context: t.Context()}
			ctx.left.Store(n)
			said, err := doImport(ctx, data, one, two)
			if err == nil || !strings.Contains(err.Error(), "the same command goes on there") {
				t.Fatalf("%s: cut after %d: %v, said %s", name, n, err, said)
			}
		}
		if said, err := doImport(t.Context(), data, one, two); err != nil || !strings.Contains(said, "going on after event ") {
			t.Fatalf("%s: %v, said %s", name, err, said)
		}
		if got := imported(t, data); !slices.Equal(got, want) {
			t.Errorf("%s: the log has %d events, want the %d of an import in one go", name, len(got), len(want))
		}
		if said, err := doImport(t.Context(), data, one, two); err != nil || !strings.Contains(said, "nothing new") {
			t.Errorf("%s: imported again: %v, said %s", name, err, said)
		}
	}
	f("in the first file", 300)
	f("in the second file", 1500)
	f("in both", 600, 1000, 2000)
}

// TestImportKnowsItsFiles imports anew what only has an old name, and what is to go
// into another log.
func TestImportKnowsItsFiles(t *testing.T) {
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "export.ndjson")
	f := func(want int, say string) {
		t.Helper()
		said, err := doImport(t.Context(), data, file)
		if err != nil || !strings.Contains(said, say) {
			t.Fatalf("%v, said %s", err, said)
		}
		if got := imported(t, data); len(got) != want {
			t.Errorf("the log has %d events, want %d", len(got), want)
		}
	}
	pages(t, file, 1, 50)
	f(50, "50 events published")
	f(50, "nothing new")
	// Tomorrow's export has the same name.
	pages(t, file, 2, 50)
	f(100, "50 events published")
	// The log was thrown away.
	if err := os.RemoveAll((files{data}).log()); err != nil {
		t.Fatal(err)
	}
	f(50, "50 events published")
}
