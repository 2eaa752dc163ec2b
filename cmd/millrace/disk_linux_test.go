package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"millrace/operators/event"
)

// smallDisk mounts a file system of its own in memory, or answers false where that is
// not allowed.
func smallDisk(t *testing.T, bytes int64) (dir string, ok bool) {
	t.Helper()
	dir = t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
	if errors.Is(err, fs.ErrPermission) {
		return "", false
	}
	if err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	return dir, true
}

// fill writes a file until only so many bytes are free, or none.
func fill(t *testing.T, path string, leave uint64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // a path of the test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 64<<10)
	for {
		var s syscall.Statfs_t
		if err := syscall.Statfs(filepath.Dir(path), &s); err != nil {
			t.Fatal(err)
		}
		free := s.Bavail * uint64(s.Bsize) //nolint:gosec // positive
		if free <= leave {
			return
		}
		if _, err := f.Write(block[:min(uint64(len(block)), free-leave)]); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestSmallDisk fills a real disk of 350 MB under the running program, nearly and then
// to the last byte: ingest answers 503, commits wait, nothing crashes, and when there is
// room again nothing is missing. Who may not mount gets the test with a pretended disk.
func TestSmallDisk(t *testing.T) {
	dir, ok := smallDisk(t, 350<<20)
	if !ok {
		t.Log("mounting is not allowed here: the full disk is a pretended one")
		TestDiskFull(t)
		return
	}
	t.Log("on a real file system of 350 MB")
	s := testSettings(t)
	s.files.dir, s.reserve = filepath.Join(dir, "data"), reserveLeast
	r := startApp(t, s)
	const n = 50
	for i := range n {
		r.good(i)
	}
	r.settle()
	before := r.engine.Stats().Position.Seq

	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast, 16<<20)
	refused := func() bool {
		status, code := r.post("/v1/track", "wk", []byte(`{"userId":"good","event":"Late"}`))
		return status == http.StatusServiceUnavailable && code == "disk_full"
	}
	r.until("ingest says that the disk is full", refused)
	for i := range n { // NATS clients do not ask the gateway
		if _, err := r.events.Publish(t.Context(), "in.x", "", fmt.Appendf(nil, `{"type":"track","userId":"nats","event":"Product Viewed","messageId":"n%d"}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	r.until("commits are paused", func() bool { return strings.Contains(r.engine.Stats().Paused, errDiskFull.Error()) })
	fill(t, ballast, 0)
	for range 20 {
		if !refused() {
			t.Error("an event was taken on a disk without a free byte")
		}
	}
	if got := r.engine.Stats().Position.Seq; got != before {
		t.Errorf("while the disk is full %d is committed, before %d", got, before)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	r.until("ingest goes on", func() bool {
		status, _ := r.post("/v1/track", "wk", []byte(`{"userId":"good","event":"Late"}`))
		return status == http.StatusOK
	})
	r.good(n)
	r.settle()
	v := r.engine.View()
	defer v.Close()
	for user, want := range map[string]uint64{"good": n + 1, "nats": n} {
		if p, _, err := r.pipeline.Person(v, user); err != nil || p.Stat(event.ProductViewed).Count != want {
			t.Errorf("%s: %d events of %d, %v", user, p.Stat(event.ProductViewed).Count, want, err)
		}
	}
}
