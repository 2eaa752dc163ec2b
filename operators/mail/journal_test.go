package mail

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"millrace/operators/event"
)

func letterOf(text string) Letter {
	return Letter{From: "shop@shop.example", To: "ann@example.com", Subject: "s", Model: "m", Fallback: true, Bytes: []byte(text)}
}

func TestJournalLife(t *testing.T) {
	dir := t.TempDir()
	j := journal(t, dir, JournalOptions{})
	f := func(id string, state State, o event.Outcome, reason string, attempts int) {
		t.Helper()
		for _, when := range []string{"now", "opened again"} {
			e, ok := j.Lookup(id)
			if ok != (state != 0) || e.State != state || e.Outcome != o || e.Reason != reason || e.Attempts != attempts {
				t.Fatalf("%s, %s: got %v %+v", id, when, ok, e)
			}
			if e.HasBytes {
				if l, err := j.Letter(id); err != nil || fmt.Sprint(l) != fmt.Sprint(letterOf("bytes of "+id)) {
					t.Fatalf("%s, %s: got %+v, %v", id, when, l, err)
				}
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j = journal(t, dir, JournalOptions{})
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	is := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
	f("d1", 0, event.Pending, "", 0)
	is(j.Attempt("d1"), ErrNotRendered)
	is(j.Failed("d1", 451), ErrNotRendered)
	ok(j.Rendered("d1", letterOf("bytes of d1")))
	f("d1", Rendered, event.Pending, "", 0)
	ok(j.Rendered("d1", letterOf("other bytes"))) // the first ones stay
	f("d1", Rendered, event.Pending, "", 0)
	ok(j.Attempt("d1"))
	f("d1", Attempted, event.Pending, "", 1)
	is(j.Attempt("d1"), ErrInDoubt)
	ok(j.Rendered("d1", letterOf("other bytes"))) // takes nothing back
	f("d1", Attempted, event.Pending, "", 1)
	ok(j.Failed("d1", 451))
	f("d1", Failed, event.Pending, "", 1)
	ok(j.Failed("d1", 450))
	f("d1", Failed, event.Pending, "", 2)
	ok(j.Attempt("d1"))
	ok(j.Outcome("d1", event.Sent, 0, "fine"))
	f("d1", Decided, event.Sent, "fine", 3)
	ok(j.Outcome("d1", event.Sent, 0, "again")) // the first one stays
	is(j.Outcome("d1", event.Skipped, 0, ""), ErrDecided)
	is(j.Attempt("d1"), ErrDecided)
	is(j.Failed("d1", 451), ErrDecided)
	is(j.Rendered("d1", letterOf("x")), ErrDecided)
	if _, err := j.Letter("d1"); !errors.Is(err, ErrNotRendered) {
		t.Fatalf("got %v", err)
	}
	f("d1", Decided, event.Sent, "fine", 3)
	ok(j.Outcome("d2", event.Skipped, 550, strings.Repeat("r", 1000))) // an outcome of its own
	f("d2", Decided, event.Skipped, strings.Repeat("r", 256), 0)
}

func TestJournalRefused(t *testing.T) {
	j := journal(t, t.TempDir(), JournalOptions{})
	for _, bad := range []string{"", "a/b", "ä", strings.Repeat("a", 129)} {
		if j.Rendered(bad, letterOf("x")) == nil || j.Outcome(bad, event.Sent, 0, "") == nil || j.Attempt(bad) == nil {
			t.Fatalf("id %q was taken", bad)
		}
	}
	if j.Outcome("d3", event.Pending, 0, "") == nil || j.Rendered("d3", Letter{}) == nil {
		t.Fatal("a pending outcome or an empty letter was taken")
	}
}

// Files of 700 bytes that are cleared away all the time forget nothing that is undecided
// or recent, and do not grow.
func TestJournalBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		o := JournalOptions{SegmentBytes: 4000, KeepBytes: 20000, Retain: time.Hour, NoSync: true}
		j := journal(t, dir, o)
		body := strings.Repeat("b", 500)
		waiting := []string{}
		for n := range 1000 {
			id := fmt.Sprintf("d%d", n)
			if err := j.Rendered(id, letterOf(body+id)); err != nil {
				t.Fatal(err)
			}
			switch n % 100 {
			case 7:
				waiting = append(waiting, id)
			case 8:
				waiting = append(waiting, id)
				if err := j.Attempt(id); err != nil {
					t.Fatal(err)
				}
			default:
				if err := errors.Join(j.Attempt(id), j.Outcome(id, event.Sent, 0, "")); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
			for back := range min(n, 55) {
				recent := fmt.Sprintf("d%d", n-back)
				if e, ok := j.Lookup(recent); !ok || e.State == Decided && e.Outcome != event.Sent {
					t.Fatalf("%s is forgotten after %d minutes", recent, back)
				}
			}
		}
		for range 2 {
			for n, id := range waiting {
				e, _ := j.Lookup(id)
				l, err := j.Letter(id)
				if want := []State{Rendered, Attempted}[n%2]; e.State != want || err != nil || string(l.Bytes) != body+id {
					t.Fatalf("%s: %+v, %v", id, e, err)
				}
				if e.Attempts != n%2 || e.First.After(e.Last) || e.First.IsZero() {
					t.Fatalf("%s: %+v", id, e)
				}
			}
			s := j.Stats()
			if s.Bytes > 2*s.LiveBytes+2*o.SegmentBytes+o.KeepBytes || s.Entries > 200 || s.Undecided != 20 || s.Bytes != dirBytes(t, dir) {
				t.Fatalf("%+v, %d bytes in files", s, dirBytes(t, dir))
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j = journal(t, dir, o)
		}
		if err := j.Compact(); err != nil {
			t.Fatal(err)
		}
		s := j.Stats()
		if s.Bytes > s.LiveBytes+int64(16*s.Segments) || s.Undecided != 20 || s.Bytes != dirBytes(t, dir) {
			t.Fatalf("after Compact: %+v", s)
		}
		if e, ok := j.Lookup("d8"); !ok || e.State != Attempted {
			t.Fatalf("d8: %+v", e)
		}
	})
}

func dirBytes(t testing.TB, dir string) (n int64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

func TestJournalCompactLeavesNoBytes(t *testing.T) {
	dir := t.TempDir()
	j := journal(t, dir, JournalOptions{})
	canary := "canary-7f3a"
	if err := errors.Join(j.Rendered("d1", letterOf(canary)), j.Rendered("d2", letterOf("waits")), j.Attempt("d1"),
		j.Outcome("d1", event.Sent, 0, ""), j.Compact()); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	found := false
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil || bytes.Contains(b, []byte(canary)) {
			t.Fatalf("%s still holds the mail, %v", name, err)
		}
		found = found || bytes.Contains(b, []byte("waits"))
	}
	if !found {
		t.Fatal("the waiting mail is gone")
	}
}

func TestJournalFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journal(t, t.TempDir(), JournalOptions{MaxEntries: 50, SegmentBytes: 2000, KeepBytes: 4000, Retain: time.Hour, NoSync: true})
		n := 0
		more := func() (err error) {
			for ; n < 1000 && err == nil; n++ {
				id := fmt.Sprintf("d%d", n)
				if err = j.Rendered(id, letterOf("x")); err == nil {
					err = errors.Join(j.Attempt(id), j.Outcome(id, event.Sent, 0, ""))
				}
			}
			return err
		}
		// Full of outcomes that may not be forgotten yet: nothing more is taken.
		if err := more(); !errors.Is(err, ErrJournalFull) || j.Stats().Entries != 50 {
			t.Fatalf("got %v, %+v", err, j.Stats())
		}
		// They grow old, and there is room.
		time.Sleep(2 * time.Hour)
		if err := more(); !errors.Is(err, ErrJournalFull) || n < 60 {
			t.Fatalf("got %v after %d", err, n)
		}
	})
	j := journal(t, t.TempDir(), JournalOptions{MaxBytes: 5000, SegmentBytes: 2000, KeepBytes: 1, NoSync: true})
	var err error
	n := 0
	for ; n < 1000 && err == nil; n++ {
		err = j.Rendered(fmt.Sprintf("d%d", n), letterOf(strings.Repeat("x", 400)))
	}
	if !errors.Is(err, ErrJournalFull) || j.Stats().Bytes > 5000 {
		t.Fatalf("got %v after %d mails, %+v", err, n, j.Stats())
	}
	// What waits can still be sent, and makes room.
	for m := range n - 1 {
		id := fmt.Sprintf("d%d", m)
		if err := errors.Join(j.Attempt(id), j.Outcome(id, event.Sent, 0, "")); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Rendered("more", letterOf(strings.Repeat("x", 400))); err != nil {
		t.Fatal(err)
	}
}

// faultyFiles is a file system whose disk gets full or breaks.
type faultyFiles struct {
	osFiles
	mu       sync.Mutex
	room     int64 // bytes that can still be written; negative for any
	syncs    int
	syncErr  error
	truncErr error
}

type faultyFile struct {
	file
	fs *faultyFiles
}

func (fs *faultyFiles) open(path string) (file, error) {
	f, err := fs.osFiles.open(path)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, fs}, nil
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.room >= 0 && int64(len(b)) > f.fs.room {
		n, _ := f.file.WriteAt(b[:f.fs.room], at)
		f.fs.room = 0
		return n, syscall.ENOSPC
	}
	if f.fs.room >= 0 {
		f.fs.room -= int64(len(b))
	}
	return f.file.WriteAt(b, at)
}

func (f *faultyFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.syncs++
	return f.fs.syncErr
}

func (f *faultyFile) Truncate(n int64) error {
	if f.fs.truncErr != nil {
		return f.fs.truncErr
	}
	return f.file.Truncate(n)
}

// A full disk is an error that says so; the mail is not sent, and goes once there is room.
func TestJournalDiskFull(t *testing.T) {
	f := func(room int64, want string) {
		t.Helper()
		inbox, pipe := serve(t, InboxOptions{})
		fs := &faultyFiles{room: -1}
		dir := t.TempDir()
		j := journal(t, dir, JournalOptions{fs: fs})
		s := NewSender(dialled(t, pipe, SMTPOptions{}), j, SenderOptions{})
		if err := j.Rendered("before", letterOf("before")); err != nil {
			t.Fatal(err)
		}
		fs.room = room
		r, err := s.Send(t.Context(), jobFor(t, "d1"))
		if got := outcome(r, err); got != want || want == "retry" && !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("room for %d: got %s, %v", room, got, err)
		}
		if want == "retry" && inbox.Stats().Mails != 0 {
			t.Fatalf("room for %d: the mail was sent", room)
		}
		fs.room = -1
		if got := outcome(s.Send(t.Context(), jobFor(t, "d1"))); got != "sent" {
			t.Fatalf("room for %d, then more: got %s", room, got)
		}
		if n := inbox.Stats().Mails; n != 1 {
			t.Fatalf("room for %d: %d mails", room, n)
		}
		// What a torn write left does not hide what came after it.
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		again := journal(t, dir, JournalOptions{})
		if e, ok := again.Lookup("before"); !ok || e.State != Rendered || again.Stats().TornBytes != 0 {
			t.Fatalf("room for %d: %+v, %+v", room, e, again.Stats())
		}
		if e, ok := again.Lookup("d1"); !ok || e.State != Decided {
			t.Fatalf("room for %d: %+v", room, e)
		}
	}
	size := int64(len(appendRecord(nil, &record{kind: recRendered, id: []byte("d1"), letter: letterFor(t, "d1")})))
	f(0, "retry")
	f(100, "retry")     // within the rendered mail
	f(size, "retry")    // no room for the attempt
	f(size+10, "retry") // within the attempt
}

func letterFor(t testing.TB, id string) Letter {
	t.Helper()
	l, err := jobFor(t, id).Render(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// When the outcome finds no room, the mail was still sent, and is not sent again.
func TestJournalDiskFullAtOutcome(t *testing.T) {
	inbox, pipe := serve(t, InboxOptions{})
	fs := &faultyFiles{room: -1}
	dir := t.TempDir()
	j := journal(t, dir, JournalOptions{fs: fs})
	s := NewSender(dialled(t, pipe, SMTPOptions{}), j, SenderOptions{Step: func(name string) {
		if name == "after-dot" {
			fs.room = 0
		}
	}})
	if got := outcome(s.Send(t.Context(), jobFor(t, "d1"))); got != "sent" || s.Stats().JournalErrors != 1 {
		t.Fatalf("got %s, %+v", got, s.Stats())
	}
	next := NewSender(dialled(t, pipe, SMTPOptions{}), journal(t, copyDir(t, dir), JournalOptions{}), SenderOptions{})
	if got := outcome(next.Send(t.Context(), jobFor(t, "d1"))); got != "unknown" || inbox.Stats().Mails != 1 {
		t.Fatalf("got %s, %d mails", got, inbox.Stats().Mails)
	}
}

// After a sync that went wrong nothing is believed any more.
func TestJournalSyncFault(t *testing.T) {
	fs := &faultyFiles{room: -1}
	j, err := Open(t.TempDir(), JournalOptions{fs: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	if err := j.Rendered("d1", letterOf("x")); err != nil {
		t.Fatal(err)
	}
	fs.syncErr = syscall.EIO
	if err := j.Attempt("d1"); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	fs.syncErr = nil
	if err := j.Rendered("d2", letterOf("x")); !errors.Is(err, ErrJournalBroken) {
		t.Fatalf("got %v", err)
	}
	if err := j.Failed("d1", 0); !errors.Is(err, ErrJournalBroken) {
		t.Fatalf("got %v", err)
	}
}

func TestJournalTruncateFault(t *testing.T) {
	fs := &faultyFiles{room: -1}
	j, err := Open(t.TempDir(), JournalOptions{fs: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	fs.room, fs.truncErr = 10, syscall.EIO
	if err := j.Rendered("d1", letterOf("x")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	fs.room, fs.truncErr = -1, nil
	if err := j.Rendered("d2", letterOf("x")); !errors.Is(err, ErrJournalBroken) {
		t.Fatalf("got %v", err)
	}
}

// Concurrent attempts share syncs: while one is under way, all others pile up behind it.
func TestJournalGroupCommit(t *testing.T) {
	fs := &faultyFiles{room: -1}
	j := journal(t, t.TempDir(), JournalOptions{fs: fs})
	const senders = 50
	for n := range senders {
		if err := j.Rendered(fmt.Sprintf("d%d", n), letterOf("x")); err != nil {
			t.Fatal(err)
		}
	}
	before := j.Stats().Syncs
	j.syncMu.Lock() // a sync under way
	var wg sync.WaitGroup
	for n := range senders {
		wg.Go(func() {
			if err := j.Attempt(fmt.Sprintf("d%d", n)); err != nil {
				t.Error(err)
			}
		})
	}
	for attempted := 0; attempted < senders; {
		attempted = 0
		for n := range senders {
			if e, _ := j.Lookup(fmt.Sprintf("d%d", n)); e.State == Attempted {
				attempted++
			}
		}
	}
	j.syncMu.Unlock()
	wg.Wait()
	if got := j.Stats().Syncs - before; got != 1 {
		t.Fatalf("%d attempts took %d syncs", senders, got)
	}
}

func TestJournalDamaged(t *testing.T) {
	f := func(name, want string, damage func(dir string, files []string)) {
		t.Helper()
		dir := t.TempDir()
		j := journal(t, dir, JournalOptions{SegmentBytes: 300, KeepBytes: 1 << 20})
		for n := range 20 {
			if err := j.Rendered(fmt.Sprintf("d%d", n), letterOf("some bytes")); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		files, _ := filepath.Glob(filepath.Join(dir, "*.journal"))
		damage(dir, files)
		again, err := Open(dir, JournalOptions{})
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprintf("opened, %d entries, %d torn", again.Stats().Entries, again.Stats().TornBytes)
			_ = again.Close()
		}
		if !strings.Contains(got, want) {
			t.Fatalf("%s: got %q, want %q", name, got, want)
		}
	}
	flip := func(path string, at int64) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at < 0 {
			at += int64(len(b))
		}
		b[at] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f("nothing", "opened, 20 entries, 0 torn", func(string, []string) {})
	f("a bit in a closed segment", "mail journal is damaged: record at offset 16", func(_ string, files []string) { flip(files[1], 40) })
	f("the header of a closed segment", "mail journal is damaged", func(_ string, files []string) { flip(files[1], 3) })
	f("a closed segment cut", "mail journal is damaged", func(_ string, files []string) { _ = os.Truncate(files[0], 100) })
	f("the header of the last segment, over records", "mail journal is damaged: header", func(_ string, files []string) { flip(files[len(files)-1], 9) })
	f("a bit at the end of the last segment", "opened, 19 entries", func(_ string, files []string) { flip(files[len(files)-1], -1) })
	f("an empty last segment", "opened, 20 entries, 0 torn", func(dir string, files []string) {
		_ = os.WriteFile(filepath.Join(dir, segmentName(uint32(len(files)+1))), nil, 0o600)
	})
	f("half a header", "opened, 20 entries, 5 torn", func(dir string, files []string) {
		_ = os.WriteFile(filepath.Join(dir, segmentName(uint32(len(files)+1))), []byte("millr"), 0o600)
	})
	f("a header of zeros", "opened, 20 entries, 16 torn", func(dir string, files []string) {
		_ = os.WriteFile(filepath.Join(dir, segmentName(uint32(len(files)+1))), make([]byte, 16), 0o600)
	})
	f("foreign files", "opened, 20 entries, 0 torn", func(dir string, _ []string) {
		_ = os.WriteFile(filepath.Join(dir, "mail-1.journal"), []byte("x"), 0o600)
		_ = os.WriteFile(filepath.Join(dir, "README"), []byte("x"), 0o600)
	})
}

// model is what a journal has to remember: after a crash, of each decision, whether the
// dot may have left without a failure being known.
type model struct {
	left    map[string]bool // an Attempt answered nil, and no Failed or Outcome since
	decided map[string]bool // an Outcome was written
}

// Property: whatever is done, wherever the unsynced tail is cut, and however often, the
// journal never allows a second attempt of what may have left, and keeps what is decided
// once a sync has passed over it.
func TestJournalCrash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "journal")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		o := JournalOptions{SegmentBytes: rapid.Int64Range(100, 1500).Draw(t, "segment"), KeepBytes: rapid.Int64Range(1, 3000).Draw(t, "keep"),
			fs: &faultyFiles{room: -1}} // whose syncs cost nothing; what they promise is counted all the same
		j, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = j.Close() }()
		m := model{left: map[string]bool{}, decided: map[string]bool{}}
		for range rapid.IntRange(1, 60).Draw(t, "ops") {
			id := fmt.Sprintf("d%d", rapid.IntRange(0, 6).Draw(t, "id"))
			switch rapid.SampledFrom([]string{"render", "attempt", "attempt", "fail", "outcome", "compact", "crash"}).Draw(t, "op") {
			case "render":
				_ = j.Rendered(id, letterOf(strings.Repeat(id, rapid.IntRange(1, 50).Draw(t, "size"))))
			case "attempt":
				err := j.Attempt(id)
				if err == nil && (m.left[id] || m.decided[id]) {
					t.Fatalf("%s: a second attempt was allowed", id)
				}
				if err == nil {
					m.left[id] = true
				}
			case "fail":
				if j.Failed(id, 451) == nil {
					delete(m.left, id)
				}
			case "outcome":
				if j.Outcome(id, event.Sent, 0, "") == nil {
					m.decided[id] = true
				}
			case "compact":
				if err := j.Compact(); err != nil {
					t.Fatal(err)
				}
			case "crash":
				j = crash(t, j, dir, o, &m)
			}
		}
		j = crash(t, j, dir, o, &m)
	})
}

// crash loses a random part of what was not synced and opens the journal again.
func crash(t *rapid.T, j *Journal, dir string, o JournalOptions, m *model) *Journal {
	unsynced := min(j.appended-j.synced, j.size-segmentHeader)
	path, size := j.path(j.number), j.size
	if err := j.active.Close(); err != nil {
		t.Fatal(err)
	}
	lost := rapid.Int64Range(0, unsynced).Draw(t, "lost")
	if err := os.Truncate(path, size-lost); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for id := range m.left {
		e, ok := again.Lookup(id)
		if !ok || e.State != Attempted && e.State != Decided {
			t.Fatalf("%s may have left, and is %s after a crash that lost %d bytes", id, e.State, lost)
		}
	}
	for id := range m.decided {
		e, ok := again.Lookup(id)
		switch {
		case ok && e.State == Decided:
		case lost == 0:
			t.Fatalf("%s is decided, and %s after a crash that lost nothing", id, e.State)
		default:
			delete(m.decided, id) // its outcome was not synced yet
			if ok && e.State == Attempted {
				m.left[id] = true
			}
		}
	}
	// A failure that was lost leaves its attempt in doubt.
	for n := range 7 {
		id := fmt.Sprintf("d%d", n)
		if e, _ := again.Lookup(id); e.State == Attempted {
			m.left[id] = true
		}
	}
	return again
}

// Property: a file cut or changed anywhere opens or is refused; what opens can be used.
func FuzzJournal(f *testing.F) {
	seed := append([]byte(nil), segmentHead(1)...)
	l := letterOf("bytes")
	for _, r := range []record{
		{kind: recRendered, at: 1, id: []byte("d1"), letter: l},
		{kind: recAttempt, at: 2, id: []byte("d1")},
		{kind: recFailed, at: 3, id: []byte("d1"), code: 451},
		{kind: recCarried, at: 1, last: 3, id: []byte("d1"), letter: l, has: true, state: Failed, attempts: 1, code: 451},
		{kind: recCarried, at: 1, last: 3, id: []byte("d2"), state: Attempted, attempts: 1},
		{kind: recOutcome, at: 4, id: []byte("d1"), outcome: event.Sent, reason: "ok"},
	} {
		seed = appendRecord(seed, &r)
		f.Add(bytes.Clone(seed))
	}
	f.Add([]byte{})
	f.Add(seed[:len(seed)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, segmentName(1))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(dir, JournalOptions{NoSync: true})
		if err != nil {
			if !errors.Is(err, ErrJournalCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if e, ok := j.Lookup("d1"); ok && e.HasBytes {
			if _, err := j.Letter("d1"); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Rendered("new", letterOf("x")); err != nil && !errors.Is(err, ErrDecided) {
			t.Fatal(err)
		}
		entries := j.Stats().Entries
		if err := errors.Join(j.Compact(), j.Close()); err != nil {
			t.Fatal(err)
		}
		again, err := Open(dir, JournalOptions{NoSync: true, Retain: 1000 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Stats(); got.TornBytes != 0 || got.Entries > entries {
			t.Fatalf("%d entries became %+v", entries, got)
		}
		_ = again.Close()
	})
}

// The decoder alone, behind a good checksum: what it reads, it writes again.
func FuzzRecord(f *testing.F) {
	for _, r := range []record{{kind: recRendered, id: []byte("d"), letter: letterOf("b")}, {kind: recAttempt, id: []byte("d")},
		{kind: recOutcome, id: []byte("d"), outcome: event.Skipped, code: 550, reason: "r"}, {kind: recCarried, id: []byte("d"), state: Rendered}} {
		f.Add(appendRecord(nil, &r)[recordHeader:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		if again := appendRecord(nil, &r)[recordHeader:]; !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func BenchmarkJournal(b *testing.B) {
	for _, sync := range []bool{false, true} {
		b.Run(fmt.Sprintf("sync=%t", sync), func(b *testing.B) {
			j := journal(b, b.TempDir(), JournalOptions{NoSync: !sync, Retain: time.Nanosecond})
			l := letterOf(strings.Repeat("x", 7000))
			b.ReportAllocs()
			b.SetBytes(7000)
			n := 0
			for b.Loop() {
				n++
				id := fmt.Sprintf("d%d", n)
				if err := errors.Join(j.Rendered(id, l), j.Attempt(id), j.Outcome(id, event.Sent, 250, "")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Records act in their order, but an attempt is taken back by nothing but a failure, and
// an outcome by nothing at all, whatever order a file comes up with.
func TestJournalOrder(t *testing.T) {
	f := func(want State, kinds ...recordKind) {
		t.Helper()
		dir := t.TempDir()
		b := segmentHead(1)
		for n, kind := range kinds {
			r := record{kind: kind, at: int64(n), id: []byte("d1"), letter: letterOf("x"), has: true, state: Rendered, outcome: event.Sent}
			b = appendRecord(b, &r)
		}
		if err := os.WriteFile(filepath.Join(dir, segmentName(1)), b, 0o600); err != nil {
			t.Fatal(err)
		}
		j := journal(t, dir, JournalOptions{})
		e, ok := j.Lookup("d1")
		s := j.Stats()
		if !ok || e.State != want || s.Undecided != map[bool]int{true: 0, false: 1}[want == Decided] {
			t.Fatalf("%v: got %+v, %+v", kinds, e, s)
		}
		if s.LiveBytes <= 0 || s.LiveBytes >= s.Bytes {
			t.Fatalf("%v: %+v", kinds, s)
		}
	}
	f(Rendered, recRendered)
	f(Attempted, recRendered, recAttempt)
	f(Attempted, recAttempt)
	f(Attempted, recAttempt, recRendered)
	f(Attempted, recRendered, recAttempt, recRendered)
	f(Failed, recRendered, recAttempt, recFailed)
	f(Failed, recFailed, recRendered)
	f(Attempted, recRendered, recAttempt, recFailed, recAttempt)
	f(Decided, recOutcome)
	f(Decided, recRendered, recAttempt, recOutcome)
	f(Decided, recOutcome, recAttempt)
	f(Decided, recOutcome, recRendered)
	f(Decided, recOutcome, recFailed)
	f(Decided, recOutcome, recCarried)
	f(Rendered, recAttempt, recCarried) // written under the lock, from a newer state
}

// What a torn write leaves behind is cut at once: a segment that is closed later is whole.
func TestJournalTornWriteInside(t *testing.T) {
	fs := &faultyFiles{room: -1}
	dir := t.TempDir()
	j := journal(t, dir, JournalOptions{fs: fs})
	if err := j.Rendered("d1", letterOf("x")); err != nil {
		t.Fatal(err)
	}
	fs.room = 300
	if err := j.Rendered("d2", letterOf(strings.Repeat("x", 1000))); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	fs.room = -1
	if err := errors.Join(j.Failed("d1", 451), j.roll(), j.Close()); err != nil {
		t.Fatal(err)
	}
	again := journal(t, dir, JournalOptions{})
	if e, _ := again.Lookup("d1"); e.State != Failed || again.Stats().Entries != 1 {
		t.Fatalf("%+v, %+v", e, again.Stats())
	}
}
