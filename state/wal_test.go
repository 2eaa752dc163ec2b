package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// contents is everything that a store holds.
func contents(t testing.TB, s *Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	v := s.Snapshot()
	defer v.Close()
	if err := v.Scan(nil, nil, func(k, val []byte) bool { all[string(k)] = string(val); return true }); err != nil {
		t.Fatal(err)
	}
	return all
}

// filled makes a store of n commits and answers what it held after each of them.
func filled(t testing.TB, dir string, logBytes int64, n int) []map[string]string {
	t.Helper()
	s := open(t, Options{Dir: dir, LogBytes: logBytes, MemTable: 8 << 20})
	was := []map[string]string{{}}
	r := &Record{}
	for i := range n {
		r.Reset()
		r.Put(fmt.Appendf(nil, "k%d", i%7), bytes.Repeat([]byte{byte('a' + i%26)}, i%50))
		if i%5 == 0 {
			r.Delete(fmt.Appendf(nil, "k%d", (i+3)%7))
		}
		if err := s.Commit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		was = append(was, contents(t, s))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return was
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "epochs", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// What a crash leaves of the last record is cut off; the state is that of a commit.
func TestTornRecord(t *testing.T) {
	const commits = 12
	dir := t.TempDir()
	was := filled(t, dir, 1<<20, commits)
	whole, err := os.ReadFile(segments(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	f := func(raw []byte) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "state")
		if err := os.CopyFS(path, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		name := segments(t, path)[0]
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, Options{Dir: path, LogBytes: 1 << 20, MemTable: 8 << 20})
		defer s.Close()
		got := contents(t, s)
		if n := int(s.wal.number); n > commits || !maps.Equal(got, was[n]) {
			t.Fatalf("%d bytes of %d: %d commits and %v", len(raw), len(whole), n, got)
		}
		put(t, s, "after", "it")
	}
	for n := 0; n <= len(whole); n += 1 + n%13 {
		f(whole[:n])
	}
	f(append(bytes.Clone(whole), make([]byte, 100)...))                                 // a file that grew before it was written
	f(append(append(bytes.Clone(whole), make([]byte, 50)...), "what stands behind"...)) // and of which the first page is missing
}

// A byte that is not what was written is told, with its place, unless it stands in the
// last record, which may never have been written whole.
func TestFlippedByte(t *testing.T) {
	dir := t.TempDir()
	was := filled(t, dir, 1200, 60)
	first := segments(t, dir)[0]
	whole, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(whole); i += 1 + i%5 {
		raw := bytes.Clone(whole)
		raw[i] ^= 0x10
		if err := os.WriteFile(first, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Options{Dir: dir, LogBytes: 1200, MemTable: 8 << 20})
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), filepath.Base(first)) || !strings.Contains(err.Error(), "at byte") {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
	if err := os.WriteFile(first, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{Dir: dir, LogBytes: 1200, MemTable: 8 << 20})
	defer s.Close()
	if got := contents(t, s); !maps.Equal(got, was[len(was)-1]) {
		t.Fatalf("got %v", got)
	}
}

// A log that is gone, or a part of it, is told.
func TestMissingSegment(t *testing.T) {
	f := func(says string, remove func(names []string) []string) {
		t.Helper()
		dir := t.TempDir()
		filled(t, dir, 1200, 60)
		names := segments(t, dir)
		if len(names) < 4 {
			t.Fatalf("only %d segments", len(names))
		}
		for _, name := range remove(names) {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(Options{Dir: dir, MemTable: 8 << 20})
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), says) {
			t.Fatalf("%v, want %q", err, says)
		}
	}
	f("the epoch log is missing", func(names []string) []string { return names })
	f("the one before it ends at", func(names []string) []string { return names[1:2] })
	f("and the epoch log those from", func(names []string) []string { return names[:1] })
}

// A part of the log that stands there twice, as a careless copy leaves it, is told: what it
// says is older than what stands before it.
func TestRepeatedSegment(t *testing.T) {
	f := func(from, as int) {
		t.Helper()
		dir := t.TempDir()
		was := filled(t, dir, 1200, 60)
		names := segments(t, dir)
		raw, err := os.ReadFile(names[from])
		if err != nil {
			t.Fatal(err)
		}
		name := names[min(as, len(names)-1)]
		if as >= len(names) { // behind the last one
			name = nextSegment(t, names[len(names)-1])
		}
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Options{Dir: dir, MemTable: 8 << 20})
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("segment %d as %d: %v", from, as, err)
			}
			return
		}
		defer s.Close()
		if got := contents(t, s); !maps.Equal(got, was[len(was)-1]) {
			t.Fatalf("segment %d as %d is served as good: got %v, want %v", from, as, got, was[len(was)-1])
		}
	}
	f(1, 2)
	f(2, 1)
	f(0, 3)
	f(1, 1<<10)
	f(0, 1<<10)
}

// nextSegment is the name behind that of a segment.
func nextSegment(t testing.TB, name string) string {
	t.Helper()
	id, base, _ := strings.Cut(filepath.Base(name), "-")
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(filepath.Dir(name), fmt.Sprintf("%012d-%s", n+1, base))
}

// A directory that is copied while the store works is what it was at a commit: it is what
// a crash leaves, moves to Badger included.
func TestCrashWhileMerging(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, LogBytes: 3000, MemTable: 8 << 20})
	defer s.Close()
	was := []map[string]string{{}}
	r := &Record{}
	for i := range 300 {
		r.Reset()
		r.Put(fmt.Appendf(nil, "k%d", i%23), bytes.Repeat([]byte{byte('a' + i%26)}, i%50))
		r.Delete(fmt.Appendf(nil, "k%d", (i*7)%23))
		if err := s.Commit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		was = append(was, contents(t, s))
		if i%30 != 29 {
			continue
		}
		// Copying takes a while, and a crash does not: the lock keeps segments that are
		// not whole in Badger yet.
		path := filepath.Join(t.TempDir(), "copy")
		s.mu.RLock()
		err := os.CopyFS(path, os.DirFS(dir))
		s.mu.RUnlock()
		if errors.Is(err, fs.ErrNotExist) {
			continue // a segment that is whole in Badger was removed meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		c := open(t, Options{Dir: path, LogBytes: 3000, MemTable: 8 << 20})
		if n := int(c.wal.number); n != i+1 || !maps.Equal(contents(t, c), was[n]) {
			t.Fatalf("after %d commits: %d and %v, want %v", i+1, n, contents(t, c), was[n])
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A snapshot that is never closed does not let the epoch log grow without bound: it is
// told that it is too old, and one that is made then sees everything.
func TestTooOldSnapshot(t *testing.T) {
	const logBytes = 4000
	s := open(t, Options{LogBytes: logBytes})
	defer s.Close()
	put(t, s, "k", "first")
	v := s.Snapshot()
	defer v.Close()
	seen := 0
	for i := 0; ; i++ {
		put(t, s, "k", "later", fmt.Sprint("filler", i), strings.Repeat("x", 100))
		got, ok, err := v.Get(nil, []byte("k"))
		if errors.Is(err, ErrTooOld) {
			break
		}
		if string(got) != "first" || !ok || err != nil || i > 100_000 {
			t.Fatalf("after %d commits: %q %v %v", i, got, ok, err)
		}
		seen++
	}
	if seen < 3*logBytes/130 {
		t.Fatalf("too old after %d commits", seen)
	}
	if err := v.Scan([]byte("k"), nil, func(_, _ []byte) bool { return true }); !errors.Is(err, ErrTooOld) {
		t.Fatal(err)
	}
	if got, _, err := s.Get(nil, []byte("k")); string(got) != "later" || err != nil {
		t.Fatalf("%q %v", got, err)
	}
}

// FuzzSegment reads whatever stands in a segment: damage is an error, never a panic.
func FuzzSegment(f *testing.F) {
	w := wal{}
	r := &Record{}
	r.Put([]byte("key"), []byte("value"))
	r.Delete([]byte("other"))
	one := append(bytes.Clone(w.encode(r)), r.last...)
	f.Add(one)
	f.Add(one[:len(one)-1])
	f.Add([]byte{})
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		seg := &segment{mem: b, size: int64(len(b))}
		for _, tail := range []bool{false, true} {
			_, torn, err := seg.each(tail, func(_ uint64, _, value []byte, at int64) {
				if at >= 0 && !bytes.Equal(b[at:at+int64(len(value))], value) {
					t.Fatalf("a value stands at %d", at)
				}
			})
			if err != nil && !errors.Is(err, ErrDamaged) || torn > int64(len(b)) {
				t.Fatalf("%d, %v", torn, err)
			}
		}
	})
}
