package state

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// A disk writes the pieces of a record that was not synced in any order: whatever is
// missing, the record is cut off and those before it stay.
func TestTornInAnyOrder(t *testing.T) {
	const commits = 9
	dir := t.TempDir()
	was := filled(t, dir, 1<<20, commits)
	name := segments(t, dir)[0]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	begin := 0 // of the last record
	for at := 0; at < len(whole); {
		begin = at
		_, body, why := cutRecord(whole[at:])
		if why != "" {
			t.Fatal(why)
		}
		at += headBytes + len(body)
	}
	f := func(from, to, size int) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "state")
		if err := os.CopyFS(path, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		raw := append(bytes.Clone(whole[:size]), make([]byte, len(whole)-size)...)
		clear(raw[from:to])
		if err := os.WriteFile(segments(t, path)[0], raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, Options{Dir: path, LogBytes: 1 << 20, MemTable: 8 << 20})
		defer s.Close()
		if n := int(s.wal.number); n != commits-1 || !maps.Equal(contents(t, s), was[n]) {
			t.Fatalf("without bytes %d to %d and from %d on: %d commits", from, to, size, n)
		}
	}
	f(begin, begin+headBytes, len(whole))             // the head is missing, and what follows it stands
	f(begin, begin+7, len(whole))                     // a part of the head
	f(begin+headBytes-3, begin+headBytes, len(whole)) // its end
	f(begin, begin+headBytes+4, len(whole)-5)         // head, table and the end
	f(begin+headBytes, begin+headBytes+2, len(whole)) // the table
}

// stumbling is a disk that fails at some of its operations.
type stumbling struct {
	OSDisk
	fail map[string]bool
}

var errStumble = errors.New("stumbled")

func (d *stumbling) SyncDir(dir string) error {
	if d.fail["syncdir"] {
		return errStumble
	}
	return d.OSDisk.SyncDir(dir)
}

// When the name of a new segment could not be synced nothing is committed to it, before or
// after the store is opened again, until it is.
func TestSegmentWithoutName(t *testing.T) {
	d := &stumbling{fail: map[string]bool{}}
	o := Options{Dir: t.TempDir(), LogBytes: 160, MemTable: 8 << 20, Disk: d, Sync: true}
	s := open(t, o)
	d.fail["syncdir"] = true
	var r Record
	r.Put([]byte("key"), []byte("long enough for a segment of its own"))
	if err := s.Commit(t.Context(), &r); !errors.Is(err, errStumble) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(o); !errors.Is(err, errStumble) {
		t.Fatalf("opened %v, %v", s, err)
	}
	d.fail["syncdir"] = false
	s = open(t, o)
	defer s.Close()
	if got, ok, err := s.Get(nil, []byte("key")); !ok || err != nil || len(got) == 0 { // it was written, though nobody was told
		t.Fatalf("%q, %v, %v", got, ok, err)
	}
}
