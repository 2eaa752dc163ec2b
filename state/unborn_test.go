package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestUnborn opens a store whose program was killed while it made a file.
func TestUnborn(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	r := &Record{}
	r.Put([]byte("\x01a"), []byte("kept"))
	if err := s.Commit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	// While it is open, nobody else may open it, and nothing of it is removed.
	unborn := filepath.Join(dir, "99999.mem")
	if err := os.WriteFile(unborn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Fatalf("opened twice: %v, want %v", err, ErrLocked)
	}
	if _, err := os.Stat(unborn); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(Options{Dir: dir})
	if err != nil {
		t.Fatalf("with an unborn file: %v", err)
	}
	defer func() { _ = s.Close() }()
	if got, ok, err := s.Get(nil, []byte("\x01a")); !ok || err != nil || string(got) != "kept" {
		t.Fatalf("got %q, %v, %v", got, ok, err)
	}
}
