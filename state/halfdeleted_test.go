package state

import (
	"os"
	"path/filepath"
	"testing"
)

// A crash while Badger deletes a file leaves it empty. The store opens nevertheless, with
// everything in it.
func TestOpenHalfDeleted(t *testing.T) {
	f := func(names ...string) {
		t.Helper()
		dir := t.TempDir()
		key := []byte("key")
		s, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		var r Record
		r.Put(key, []byte("value"))
		if err := s.Commit(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if s, err = Open(Options{Dir: dir}); err != nil {
			t.Fatalf("with %v: %v", names, err)
		}
		defer s.Close()
		if got, ok, err := s.Get(nil, key); err != nil || !ok || string(got) != "value" {
			t.Fatalf("with %v: got %q, %v, %v", names, got, ok, err)
		}
	}
	f()
	f("00000.mem")
	f("00007.mem")
	f("00007.mem", "00008.mem", "00009.mem")
	f("000000.vlog")
	f("000007.vlog")
	f("000007.vlog", "00007.mem")
}
