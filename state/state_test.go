package state

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	// Badger leaves these behind when it cannot open a directory.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/dgraph-io/badger/v4.(*DB).updateSize"),
		goleak.IgnoreAnyFunction("github.com/dgraph-io/badger/v4.(*DB).monitorCache"),
		goleak.IgnoreAnyFunction("github.com/dgraph-io/badger/v4/y.(*WaterMark).process"),
		goleak.IgnoreAnyFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"),
	)
}

// words is a value with parts: every three words are one, the rest is the head.
type words struct {
	all     []string
	missing int
}

var errWords = errors.New("not words")

func (w *words) AppendTo([]byte) []byte { panic("a parted value is written by its head") }

func (w *words) AppendHead(b []byte) ([]byte, int) {
	n := len(w.all) / 3
	return append(append(b, 1, byte(n)), strings.Join(w.all[3*n:], " ")...), n
}

func (w *words) AppendPart(b []byte, n int) []byte {
	return append(b, strings.Join(w.all[3*n:3*n+3], " ")...)
}

func (w *words) DecodeFrom(b []byte) error {
	if len(b) < 2 || b[0] != 1 {
		return errWords
	}
	w.all, w.missing = strings.Fields(string(b[2:])), int(b[1])
	return nil
}

func (w *words) Missing() int { return w.missing }

func (w *words) DecodePart(n int, b []byte) error {
	part := strings.Fields(string(b))
	if len(part) != 3 {
		return errWords
	}
	w.all = slices.Insert(w.all, 3*n, part...)
	return nil
}

// number is a value of one piece.
type number struct{ n uint64 }

func (n *number) AppendTo(b []byte) []byte { return binary.AppendUvarint(append(b, 1), n.n) }

func (n *number) DecodeFrom(b []byte) error {
	if len(b) < 2 || b[0] != 1 {
		return errors.New("not a number")
	}
	var size int
	if n.n, size = binary.Uvarint(b[1:]); size != len(b)-1 {
		return errors.New("not a number")
	}
	return nil
}

func open(t interface{ Fatal(...any) }, o Options) *Store {
	if o.Dir == "" && o.MemTable == 0 {
		o.MemTable = 16 << 20 // a property opens hundreds
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t interface{ Fatal(...any) }, s *Store, pairs ...string) {
	r := &Record{}
	for i := 0; i < len(pairs); i += 2 {
		r.Put([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	if err := s.Commit(context.Background(), r); err != nil {
		t.Fatal(err)
	}
}

// A store is a sorted map; a reader is that map, a snapshot is what it was at a moment,
// and a store that is opened again is what it was when it was closed, however much has
// moved to Badger.
func TestStoreAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Options{LogBytes: rapid.SampledFrom([]int64{1, 400, 4000, 1 << 20}).Draw(t, "log")}
		if rapid.IntRange(0, 9).Draw(t, "disk") == 0 {
			dir, err := os.MkdirTemp("", "state")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			o.Dir, o.MemTable = dir, 8<<20
		}
		s := open(t, o)
		defer func() { s.Close() }()
		model := map[string]string{}
		type past struct {
			snap *Snapshot
			was  map[string]string
		}
		var pasts []past
		read := s.NewReader()
		key := rapid.SampledFrom([]string{"a", "a\x00", "ab", "b", "ba", "c"})
		r := &Record{}
		for range rapid.IntRange(1, 20).Draw(t, "commits") {
			fillRecord(t, r, model, key)
			if err := s.Commit(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			switch rapid.IntRange(0, 7).Draw(t, "then") {
			case 0:
				pasts = append(pasts, past{s.Snapshot(), maps.Clone(model)})
			case 1:
				for _, p := range pasts {
					p.snap.Close()
				}
				pasts = nil
			case 2:
				if o.Dir == "" || len(pasts) > 0 {
					break
				}
				read.Close()
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, o)
				read = s.NewReader()
			}
			if !same(t, read.snap, model) {
				t.Fatal("the newest is too old")
			}
			for _, p := range pasts {
				same(t, p.snap, p.was) // or the log is so short that it is too old
			}
		}
		for _, p := range pasts {
			p.snap.Close()
		}
		read.Close()
	})
}

// fillRecord draws changes, and makes them to the model.
func fillRecord(t *rapid.T, r *Record, model map[string]string, key *rapid.Generator[string]) {
	r.Reset()
	for range rapid.IntRange(0, 5).Draw(t, "changes") {
		k, v := key.Draw(t, "key"), rapid.StringN(0, 40, 200).Draw(t, "value")
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			r.Delete([]byte(k))
			delete(model, k)
		case 1:
			r.Put([]byte(k), []byte(v))
			model[k] = v
		default:
			if n := r.PutFunc([]byte(k), func(b []byte) []byte { return append(b, v...) }); n != len(v) {
				t.Fatalf("%d bytes put, want %d", n, len(v))
			}
			model[k] = v
		}
	}
}

// same compares a snapshot with a map. It answers false if the snapshot is too old.
func same(t *rapid.T, v *Snapshot, want map[string]string) bool {
	for _, prefix := range []string{"", "a", "b", "z"} {
		for _, from := range []string{"", "ab", "b"} {
			var keys []string
			for _, k := range slices.Sorted(maps.Keys(want)) {
				if strings.HasPrefix(k, prefix) && k >= from {
					keys = append(keys, k+"="+want[k])
				}
			}
			var got []string
			if from != "" && from < prefix {
				continue // a scan begins within its prefix
			}
			err := v.Scan([]byte(prefix), []byte(from), func(k, val []byte) bool {
				got = append(got, string(k)+"="+string(val))
				return true
			})
			if errors.Is(err, ErrTooOld) {
				return false
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, keys) {
				t.Fatalf("prefix %q from %q: %q, want %q", prefix, from, got, keys)
			}
		}
	}
	for _, k := range []string{"a", "a\x00", "ab", "c"} {
		got, ok, err := v.Get([]byte("+"), []byte(k))
		if errors.Is(err, ErrTooOld) {
			return false
		}
		if val, in := want[k]; err != nil || ok != in || string(got) != "+"+val {
			t.Fatalf("%q: %q %v %v, want %q %v", k, got, ok, err, val, in)
		}
	}
	return true
}

func TestScanStops(t *testing.T) {
	s := open(t, Options{})
	defer s.Close()
	put(t, s, "a1", "", "a2", "", "a3", "")
	v := s.Snapshot()
	defer v.Close()
	n := 0
	if err := v.Scan([]byte("a"), nil, func(_, _ []byte) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Fatalf("%d keys, %v", n, err)
	}
}

// A record commits whole or not at all.
func TestCommitWhole(t *testing.T) {
	s := open(t, Options{MemTable: 16 << 20})
	defer s.Close()
	entries, bytes := s.Limits()
	fill := func(n, size int) *Record {
		r := &Record{}
		for i := range n {
			r.Put(fmt.Appendf(nil, "k%06d", i), make([]byte, size))
		}
		return r
	}
	left := func() (n int) {
		v := s.Snapshot()
		defer v.Close()
		_ = v.Scan([]byte("k"), nil, func(_, _ []byte) bool { n++; return true })
		return n
	}
	if err := s.Commit(t.Context(), fill(changesMax+1, 1)); err == nil || left() != 0 {
		t.Fatalf("too many changes: %v, %d left", err, left())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ended, fill(1, 1)); !errors.Is(err, context.Canceled) || left() != 0 {
		t.Fatalf("after the end: %v, %d left", err, left())
	}
	r := fill(10, bytes/10-100)
	if err := s.Commit(t.Context(), r); err != nil || left() != 10 {
		t.Fatalf("within the limits: %v, %d left", err, left())
	}
	if err := s.Commit(t.Context(), fill(entries, 1)); err != nil || left() != entries {
		t.Fatalf("within the limits: %v, %d left", err, left())
	}
}

func TestRecord(t *testing.T) {
	r := &Record{}
	r.Put([]byte("a"), []byte("1"))
	r.Delete([]byte("b"))
	r.PutFunc([]byte("c"), func(b []byte) []byte { return append(b, make([]byte, 4096)...) }) // moves the buffer
	var got []string
	r.Each(func(k, v []byte, removed bool) { got = append(got, fmt.Sprintf("%s%d%v", k, len(v), removed)) })
	if want := []string{"a1false", "b0true", "c4096false"}; !slices.Equal(got, want) || r.Len() != 3 || r.Bytes() != 4100 {
		t.Fatalf("%v, %d, %d", got, r.Len(), r.Bytes())
	}
	if r.Reset(); r.Len() != 0 || r.Bytes() != 0 {
		t.Fatal("not empty")
	}
}

// A data directory says who may open it.
func TestFormat(t *testing.T) {
	f := func(format string, want error, says string) {
		t.Helper()
		dir := t.TempDir()
		if format != "" {
			if err := os.WriteFile(filepath.Join(dir, "FORMAT.json"), []byte(format), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(Options{Dir: dir})
		if err == nil {
			err = s.Close()
		}
		if want != nil && !errors.Is(err, want) || says != "" && (err == nil || !strings.Contains(err.Error(), says)) || says == "" && want == nil && err != nil {
			t.Fatalf("%q: %v, want %v %q", format, err, want, says)
		}
	}
	f("", nil, "")
	f(`{"format":2,"key_groups":256}`, nil, "")
	f(`{"format":3,"key_groups":256}`, ErrNewerFormat, "has format 3")
	f(`{"format":1,"key_groups":256}`, nil, "never released")
	f(`{"format":2,"key_groups":16}`, nil, "not one that millrace ever wrote")
	f(`{"format":0,"key_groups":256}`, nil, "not one that millrace ever wrote")
	f(`{"for`, nil, "not a format file")
}

func TestLockedAndReopened(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Sync: true})
	put(t, s, "k", "v")
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Fatalf("got %v, want ErrLocked", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	defer s.Close()
	if got, ok, err := s.Get(nil, []byte("k")); string(got) != "v" || !ok || err != nil {
		t.Fatalf("%q %v %v", got, ok, err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "FORMAT.json")); err != nil || strings.TrimSpace(string(raw)) != `{"format":2,"key_groups":256}` {
		t.Fatalf("%s %v", raw, err)
	}
}

// Key groups are fixed for good: these stand in data directories.
func TestKeyGroup(t *testing.T) {
	f := func(key string, want byte) {
		t.Helper()
		if got := KeyGroup(key); got != want {
			t.Fatalf("%q: %d, want %d", key, got, want)
		}
	}
	f("", 0xc5)       // 811c9dc5
	f("a", 0x2c)      // e40c292c
	f("foobar", 0x68) // bf9cf968
	f("a\x00b", 0xd2) // 10f3abd2
}
