package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// worn makes a directory whose Badger holds tables, and, if the store was not closed, a
// memtable's log, and whose epoch log has several segments. It answers what it holds.
func worn(t *testing.T, closed bool) (dir string, holds map[string]string) {
	t.Helper()
	from := filepath.Join(t.TempDir(), "worn")
	var s *Store
	r := &Record{}
	for run := range 3 {
		s = open(t, Options{Dir: from, LogBytes: 4000, MemTable: 8 << 20, Virtual: true})
		for i := range 60 {
			r.Reset()
			for k := range 5 {
				r.Put(fmt.Appendf(nil, "\x02k%d", (i*13+k*7)%90), bytes.Repeat([]byte{byte('a' + run), byte(i)}, 20+k))
			}
			if err := s.Commit(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		if run < 2 || closed {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		holds = contents(t, s)
	}
	dir = filepath.Join(t.TempDir(), "copy")
	if !closed {
		s.mayMerge()
		for s.ripeNow() { // until it rests
		}
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if closed {
		s = open(t, Options{Dir: from, MemTable: 8 << 20, Virtual: true})
		holds = contents(t, s)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, holds
}

// ripeNow tells whether a segment waits to be merged or is being merged.
func (s *Store) ripeNow() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.busy || len(s.wal.segments) > 1 && s.wal.bytes() > s.logBytes
}

// copyHoles copies a directory without what is empty at the end of its files.
func copyHoles(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		name = filepath.Join(to, name)
		if d.IsDir() {
			return os.MkdirAll(name, 0o700)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, raw[:written(raw)], 0o600); err != nil {
			return err
		}
		return os.Truncate(name, int64(len(raw)))
	})
}

// written is how far a file is filled: Badger makes its files larger than they need be.
func written(raw []byte) int { return len(bytes.TrimRight(raw, "\x00")) }

// TestCorruption flips a bit, or cuts a file, anywhere in a state at rest. It must be told
// when the state is opened, or do no harm: what is then served is what was written, or,
// of the newest file of the epoch log alone, what was written up to a commit before.
func TestCorruption(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	told, harmless := map[string]int{}, map[string]int{}
	for _, closed := range []bool{true, false} {
		dir, holds := worn(t, closed)
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		logs := segments(t, dir)
		some := []string{logs[0], logs[len(logs)/2], logs[max(len(logs)-2, 0)], logs[len(logs)-1]}
		for _, name := range append(files, some...) {
			whole, err := os.ReadFile(name)
			if err != nil || written(whole) == 0 {
				continue // a directory, or nothing in it
			}
			tries := 3
			if filepath.Ext(name) == ".sst" || filepath.Ext(name) == ".mem" {
				tries = 8
			}
			if testing.Short() {
				tries = 1
			}
			for range tries {
				raw := bytes.Clone(whole)
				at := rng.IntN(written(whole))
				how := "flip"
				if rng.IntN(3) == 0 {
					how, raw = "cut", raw[:at]
				} else {
					raw[at] ^= 1 << rng.IntN(8)
				}
				copied := filepath.Join(t.TempDir(), "state")
				if err := copyHoles(copied, dir); err != nil {
					t.Fatal(err)
				}
				rel, err := filepath.Rel(dir, name)
				if err != nil {
					t.Fatal(err)
				}
				bad := filepath.Join(copied, rel)
				if err := errors.Join(os.WriteFile(bad, raw[:min(len(raw), written(whole))], 0o600), os.Truncate(bad, int64(len(raw)))); err != nil {
					t.Fatal(err)
				}
				last := name == logs[len(logs)-1] || name == logs[max(len(logs)-2, 0)] && closed
				kind := how + " " + filepath.Ext(name)
				if filepath.Ext(name) == "" {
					kind = how + " " + filepath.Base(name)
				}
				wrong, err := serves(copied, holds, last)
				switch {
				case err != nil:
					told[kind]++
				case wrong == "":
					harmless[kind]++
				default:
					t.Errorf("%s of %s at byte %d of %d is not noticed: %s", how, rel, at, written(whole), wrong)
				}
				_ = os.RemoveAll(copied)
			}
		}
	}
	t.Logf("told: %v; harmless: %v", told, harmless)
}

// serves opens a state and says what it serves that was not written.
func serves(dir string, holds map[string]string, last bool) (bad string, err error) {
	s, err := Open(Options{Dir: dir, MemTable: 8 << 20, Virtual: true})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.wal.number == 0 {
		return "it is empty", nil
	}
	got := map[string]string{}
	v := s.Snapshot()
	defer v.Close()
	if err := v.Scan(nil, nil, func(k, val []byte) bool { got[string(k)] = string(val); return true }); err != nil {
		return "", err
	}
	if maps.Equal(got, holds) || last && len(got) <= len(holds) {
		return "", s.Commit(context.Background(), &Record{})
	}
	for k, v := range holds {
		if got[k] != v {
			return fmt.Sprintf("%q is %q, want %q", k, got[k], v), nil
		}
	}
	return "there is more than was written", nil
}
