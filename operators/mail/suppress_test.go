package mail

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

func suppressed(t testing.TB, path string, o SuppressOptions) *Suppressed {
	t.Helper()
	s, err := OpenSuppressed(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSuppressed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "suppressed")
	s := suppressed(t, path, SuppressOptions{})
	f := func(person, list string, want bool) {
		t.Helper()
		for range 2 {
			if got := s.Contains(person, list); got != want {
				t.Fatalf("%s, %q: got %t", person, list, got)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = suppressed(t, path, SuppressOptions{})
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	f("ann", "cart", false)
	ok(s.Add("ann", "cart"))
	ok(s.Add("ann", "cart"))
	f("ann", "cart", true)
	f("ann", "news", false)
	f("ann", "", false)
	f("bob", "cart", false)
	ok(s.Add("ann", AllLists))
	f("ann", "news", true)
	f("ann", "", false) // transactional mail still goes
	ok(s.Remove("ann", AllLists))
	f("ann", "news", false)
	f("ann", "cart", true)
	ok(s.Add("bob", Everything))
	f("bob", "news", true)
	f("bob", "", true)
	ok(s.Remove("bob", Everything))
	f("bob", "", false)
	if b, err := os.ReadFile(path); err != nil || bytes.Contains(b, []byte("ann")) {
		t.Fatalf("the pseudonym stands in the file, %v", err)
	}
	if n := s.Stats(); n.Entries != 1 || n.Bytes != 8+5*32 {
		t.Fatalf("%+v", n)
	}
}

func TestSuppressedFull(t *testing.T) {
	s := suppressed(t, filepath.Join(t.TempDir(), "s"), SuppressOptions{Entries: 2})
	if err := errors.Join(s.Add("a", ""), s.Add("b", ""), s.Add("b", "")); err != nil {
		t.Fatal(err)
	}
	if err := s.Add("c", ""); !errors.Is(err, ErrSuppressFull) {
		t.Fatalf("got %v", err)
	}
	if err := errors.Join(s.Remove("a", ""), s.Add("c", "")); err != nil {
		t.Fatal(err)
	}
}

func TestSuppressedDiskFull(t *testing.T) {
	fs := &faultyFiles{room: -1}
	path := filepath.Join(t.TempDir(), "s")
	s := suppressed(t, path, SuppressOptions{fs: fs})
	fs.room = 10
	if err := s.Add("ann", ""); !errors.Is(err, syscall.ENOSPC) || s.Contains("ann", "x") {
		t.Fatalf("got %v", err)
	}
	fs.room = -1
	if err := s.Add("ann", ""); err != nil {
		t.Fatal(err)
	}
	// A sync that goes wrong: nobody is mailed, but nobody is told that it is done either.
	fs.syncErr = syscall.EIO
	for range 2 {
		if err := s.Add("bob", ""); !errors.Is(err, syscall.EIO) || !s.Contains("bob", "x") {
			t.Fatalf("got %v", err)
		}
	}
}

func TestSuppressedDamage(t *testing.T) {
	f := func(name string, want SuppressStats, missing int, damage func(b []byte) []byte) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "s")
		s := suppressed(t, path, SuppressOptions{})
		for n := range 10 {
			if err := s.Add(fmt.Sprintf("p%d", n), ""); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.Close()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(b), 0o600); err != nil {
			t.Fatal(err)
		}
		again := suppressed(t, path, SuppressOptions{})
		if got := again.Stats(); got != want {
			t.Fatalf("%s: got %+v, want %+v", name, got, want)
		}
		for n := range 10 {
			if again.Contains(fmt.Sprintf("p%d", n), "x") == (n == missing) {
				t.Fatalf("%s: p%d", name, n)
			}
		}
	}
	f("none", SuppressStats{Entries: 10, Bytes: 328}, -1, func(b []byte) []byte { return b })
	f("torn", SuppressStats{Entries: 9, Bytes: 296, TornBytes: 31}, 9, func(b []byte) []byte { return b[:len(b)-1] })
	f("a bit in the middle costs one", SuppressStats{Entries: 9, Bytes: 328, Damaged: 1}, 3, func(b []byte) []byte { b[8+3*32+5] ^= 1; return b })
	f("zeros behind", SuppressStats{Entries: 10, Bytes: 328, TornBytes: 100}, -1, func(b []byte) []byte { return append(b, make([]byte, 100)...) })

	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSuppressed(path, SuppressOptions{}); err == nil {
		t.Fatal("a foreign file was opened")
	}
}

func TestSuppressedRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := suppressed(t, path, SuppressOptions{NoSync: true})
	for n := range 5000 {
		if err := errors.Join(s.Add("ann", ""), s.Remove("ann", ""), s.Add(fmt.Sprint(n%100), "")); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	s = suppressed(t, path, SuppressOptions{})
	if got := s.Stats(); got.Entries != 100 || got.Bytes != 8+100*32 {
		t.Fatalf("%+v", got)
	}
	if err := s.Add("ann", ""); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if s = suppressed(t, path, SuppressOptions{}); !s.Contains("ann", "x") || !s.Contains("7", "x") || s.Stats().Entries != 101 {
		t.Fatalf("%+v", s.Stats())
	}
}

// Property: the set is a map, whenever it is opened again.
func TestSuppressedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "suppress")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		path := filepath.Join(dir, "s")
		s, err := OpenSuppressed(path, SuppressOptions{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		model := map[[2]string]bool{}
		for range rapid.IntRange(0, 40).Draw(t, "ops") {
			k := [2]string{rapid.SampledFrom([]string{"a", "b"}).Draw(t, "person"), rapid.SampledFrom([]string{"", "*", "x", "y"}).Draw(t, "list")}
			switch rapid.IntRange(0, 2).Draw(t, "op") {
			case 0:
				model[k], err = true, s.Add(k[0], k[1])
			case 1:
				delete(model, k)
				err = s.Remove(k[0], k[1])
			default:
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = OpenSuppressed(path, SuppressOptions{NoSync: true}); err != nil {
					t.Fatal(err)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []string{"a", "b"} {
				for _, l := range []string{"", "x", "y"} {
					want := model[[2]string{p, "*"}] || l != "" && (model[[2]string{p, ""}] || model[[2]string{p, l}])
					if s.Contains(p, l) != want {
						t.Fatalf("%s, %q: want %t", p, l, want)
					}
				}
			}
		}
	})
}

func TestSuppressedConcurrent(t *testing.T) {
	s := suppressed(t, filepath.Join(t.TempDir(), "s"), SuppressOptions{NoSync: true})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := range 200 {
				p := fmt.Sprint(w, n)
				if err := s.Add(p, ""); err != nil || !s.Contains(p, "x") {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := s.Stats().Entries; n != 800 {
		t.Fatalf("%d entries", n)
	}
}

func FuzzSuppressed(f *testing.F) {
	b := []byte(suppressMagic)
	f.Add(bytes.Clone(b))
	b = appendSuppress(b, suppressAdd, suppressKeyOf("a", ""), day)
	b = appendSuppress(b, suppressRemove, suppressKeyOf("a", ""), day)
	f.Add(b)
	f.Add(b[:50])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		set := map[suppressKey]bool{}
		n, good, err := readSuppressed(bytes.NewReader(b), func(kind byte, k suppressKey) { set[k] = kind == suppressAdd })
		if err != nil {
			return
		}
		if good > int64(len(b)) || good > 0 && (good-8)/32 != n.read+n.damaged || int64(len(set)) > n.read {
			t.Fatalf("%d of %d bytes are good, %+v", good, len(b), n)
		}
	})
}

func BenchmarkSuppressedContains(b *testing.B) {
	s := suppressed(b, filepath.Join(b.TempDir(), "s"), SuppressOptions{NoSync: true})
	for n := range 10000 {
		if err := s.Add(fmt.Sprint(n), ""); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Contains("somebody", "cart")
	}
}
