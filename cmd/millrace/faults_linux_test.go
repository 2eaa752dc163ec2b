package main

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"millrace/bench/shop"
	"millrace/engine/stream"
)

func theLastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// limit takes from the child, or gives back, and waits until it has.
func (k *child) limit(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := k.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	select {
	case <-k.limited:
	case <-k.done:
		t.Fatalf("the child ended: %s", k.stderr.String())
	}
}

// pour sends events until the child refuses ten requests in a row, or is gone.
func (c *crashTest) pour(k *child, url string) (refused int) {
	c.t.Helper()
	row := 0
	for n := 0; row < 10; n++ {
		if n > 5000 {
			c.t.Fatal("the child takes everything")
		}
		events := c.next()
		err := c.send(c.t.Context(), url, events)
		if err == nil {
			c.acknowledged(events)
			row = 0
			continue
		}
		if _, ok := errors.AsType[*shop.RetryError](err); !ok { // the link broke
			select {
			case <-k.done:
				return refused
			default:
			}
		}
		row++
		refused++
	}
	return refused
}

// TestFilesCannotGrow lets no file of the running program grow, as on a file system with a
// quota: whatever part meets it first, nothing is acknowledged that is not kept. The
// program stops and says why, or waits; and started again it has lost nothing.
func TestFilesCannotGrow(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	f := func(room uint64) {
		t.Helper()
		c := newCrashTest(t, 21)
		k := c.start(crashPlan{Limits: limits{FileBytes: room}})
		url := k.url()
		c.feed(k, url, 20)
		k.limit(t, syscall.SIGUSR1)
		refused := c.pour(k, url)
		said := k.ownEnd(t)
		met := strings.Contains(said, stream.ErrLogBroken.Error()) || strings.Contains(said, "write the epoch log")
		if !met || !strings.Contains(said, "file too large") { // whichever of them grew more
			t.Errorf("files of %d bytes: it does not say what cannot be written: %s", room, said)
		}
		c.died("no room")
		c.finish()
		v := c.judge()
		t.Logf("files of %d bytes: %d requests refused, %d messages, %d events, %d mails, ended with %v: %s",
			room, refused, len(v.log.messages), v.count.events, len(v.mails), k.cmd.ProcessState, theLastLine(said))
	}
	f(100 << 10)
	f(400 << 10)
}

// ownEnd waits until the child ends by itself, with an error and not with a crash, and
// answers what it said.
func (k *child) ownEnd(t *testing.T) string {
	t.Helper()
	<-k.done
	said := k.stderr.String()
	if code := k.cmd.ProcessState.ExitCode(); code != exitFailure || k.hung.Load() || strings.Contains(said, "goroutine ") {
		t.Fatalf("the child did not end well, but with %v:\n%s", k.cmd.ProcessState, said)
	}
	return said
}

// limitEnd ends the child, if it has not ended by itself because of what it was denied.
func (k *child) limitEnd(t *testing.T) {
	t.Helper()
	_ = k.cmd.Process.Signal(syscall.SIGTERM)
	<-k.done
	if k.hung.Load() {
		t.Fatalf("the child hangs, said:\n%s", k.stderr.String())
	}
	status, _ := k.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if s := status.Signal(); status.Signaled() && s != syscall.SIGTERM {
		t.Fatalf("the child died of %v, said:\n%s", s, k.stderr.String())
	}
	if said := k.stderr.String(); strings.Contains(said, "panic") || strings.Contains(said, "goroutine ") {
		t.Fatalf("the child panicked:\n%s", said)
	}
}

// TestNoDescriptors takes all file descriptors from the running program. It waits, says so
// in /readyz, and goes on when it has some again, or is started again.
func TestNoDescriptors(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	c := newCrashTest(t, 22)
	k := c.start(crashPlan{Limits: limits{Files: 3}, Console: true})
	url := k.url()
	page := <-k.console
	c.feed(k, url, 20)
	if code, is := ready(t, page); code != http.StatusOK { // this connection stays
		t.Fatalf("/readyz: %d %+v", code, is)
	}
	k.limit(t, syscall.SIGUSR1)
	c.feed(k, url, 20) // over the connection that is there
	eventuallyTrue(t, "/readyz says that files cannot be opened", func() bool {
		code, is := ready(t, page)
		return code == http.StatusServiceUnavailable && is.Failed == "disk" && strings.Contains(is.why(), "too many open files")
	})
	k.limit(t, syscall.SIGUSR2)
	eventuallyTrue(t, "/readyz is well again", func() bool { code, _ := ready(t, page); return code == http.StatusOK })
	c.feed(k, url, 20)
	k.limitEnd(t)
	c.finish()
	v := c.judge()
	t.Logf("%d messages, %d mails", len(v.log.messages), len(v.mails))

	// Too few to begin with: it says so and leaves all as it was.
	for _, few := range []uint64{8, 12, 16, 24, 32} {
		k := c.start(crashPlan{Limits: limits{FilesAtAll: few}, Once: true})
		<-k.done
		said := k.stderr.String()
		if k.hung.Load() || strings.Contains(said, "goroutine ") {
			t.Fatalf("with %d files it does not end well: %s", few, said)
		}
		if !k.cmd.ProcessState.Success() && !strings.Contains(said, "too many open files") {
			t.Errorf("with %d files it ends with %v and does not say why: %s", few, k.cmd.ProcessState, said)
		}
		t.Logf("with %d files: %v: %s", few, k.cmd.ProcessState, theLastLine(said))
	}
	c.finish()
	c.judge()
}

// TestReadOnly starts the program on a data directory that it cannot write.
func TestReadOnly(t *testing.T) {
	dir, undo := readOnlyData(t)
	if dir == "" {
		t.Skip("nothing is read-only for this user here")
	}
	defer undo()
	s := testSettings(t)
	s.files.dir = dir
	_, err := openApp(t.Context(), s)
	if !errors.Is(err, errReadOnly) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("on a directory that cannot be written: %v", err)
	}
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
		t.Errorf("it does not say what the system says: %v", err)
	}
}

// readOnlyData is a data directory of a program that ran, and cannot be written any more.
func readOnlyData(t *testing.T) (dir string, undo func()) {
	t.Helper()
	s := testSettings(t)
	dir, undo = readOnlyPlace(t, func(place string) {
		s.files.dir = filepath.Join(place, "data")
		a, err := openApp(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		a.close()
	})
	if dir != "" {
		dir = filepath.Join(dir, "data")
	}
	return dir, undo
}

// eventuallyTrue asks again and again, with a request or a process in between.
func eventuallyTrue(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 20_000 {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain until %s", what)
}

// readOnlyPlace lets use fill a directory and makes it read-only then: as a file system
// of its own where that may be mounted, by its rights for users whom they bind. It answers
// "" where neither can be done.
func readOnlyPlace(t *testing.T, use func(place string)) (dir string, undo func()) {
	t.Helper()
	if dir, ok := smallDisk(t, 1<<30); ok {
		use(dir)
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatalf("mount read-only: %v", err)
		}
		return dir, func() {}
	}
	if os.Getuid() == 0 {
		return "", func() {}
	}
	dir = t.TempDir()
	use(dir)
	place := filepath.Join(dir, "data")
	if err := os.Chmod(place, 0o500); err != nil { //nolint:gosec // a directory of the test
		t.Fatal(err)
	}
	return dir, func() { _ = os.Chmod(place, 0o700) } //nolint:gosec // as above
}
