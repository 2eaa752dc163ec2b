package state

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A checkpoint is the store as of its snapshot, whatever is committed meanwhile.
func TestCheckpoint(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), LogBytes: 2000, MemTable: 8 << 20})
	defer s.Close()
	for i := range 100 {
		put(t, s, fmt.Sprintf("k%02d", i%37), strings.Repeat("v", i))
	}
	want := contents(t, s)
	v := s.Snapshot()
	defer v.Close()
	put(t, s, "k00", "later", "new", "")
	dir := filepath.Join(t.TempDir(), "checkpoint")
	if err := v.CopyTo(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	c := open(t, Options{Dir: dir, MemTable: 8 << 20})
	if got := contents(t, c); !maps.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	put(t, c, "goes", "on")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := v.CopyTo(t.Context(), dir, nil); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Fatalf("over another: %v", err)
	}
	if names, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(names) != 1 {
		t.Fatalf("%v, %v", names, err)
	}
}

// A checkpoint that cannot be finished leaves nothing.
func TestCheckpointEnds(t *testing.T) {
	s := open(t, Options{})
	defer s.Close()
	put(t, s, "k", "v")
	v := s.Snapshot()
	defer v.Close()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.CopyTo(ctx, filepath.Join(dir, "c"), nil); err == nil {
		t.Fatal("it was written")
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Fatalf("%v, %v", names, err)
	}
}
