package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/operators/lstm"
	"millrace/operators/mail"
)

// damage spoils a file, or its bytes.
type damage func(raw []byte) []byte

// flip turns one bit, at a share of the file.
func flip(share float64) damage {
	return func(raw []byte) []byte {
		at := int(share * float64(len(bytes.TrimRight(raw, "\x00"))-1))
		raw[at] ^= 4
		return raw
	}
}

// cutAt keeps so many bytes, or all but so many.
func cutAt(n int) damage {
	return func(raw []byte) []byte {
		if n < 0 {
			n += len(raw)
		}
		return raw[:n]
	}
}

// patient is a data directory that is spoilt again and again: a copy of one in which
// everything stands that the program keeps.
type patient struct {
	c     *crashTest
	whole string // the directory as it should be
	anew  bool   // without its state
}

// newPatient makes a data directory with a state of several files, a journal with closed
// segments, a model that is in use, and a checkpoint beside it.
func newPatient(t *testing.T) *patient {
	t.Helper()
	c := newCrashTest(t, 31)
	k := c.start(crashPlan{})
	url := k.url()
	c.feed(k, url, 30)
	k.kill() // so that the epoch log is in use, too
	c.end(k, true)
	c.finish()
	c.judge()
	r := lstm.NewRegistry(filepath.Join(c.dir, modelsDir))
	if err := r.Promote("subject", addModel(t, r, "a"), time.Unix(1700000000, 0).UTC()); err != nil {
		t.Fatal(err)
	}
	j, err := mail.Open(files{c.dir}.journal(), mail.JournalOptions{SegmentBytes: 300, KeepBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		if err := j.Rendered(fmt.Sprintf("d%d", n), mail.Letter{From: "a@x.example", To: "b@x.example", Bytes: []byte("some bytes\r\n")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := mail.OpenSuppressed(files{c.dir}.suppressed(), mail.SuppressOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"p1", "p2", "p3"} {
		if err := s.Add(who, mail.AllLists); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return &patient{c: c, whole: c.dir}
}

// spoil makes a copy of the directory, of which one file is damaged: the first or the last
// of those that the pattern names.
func (p *patient) spoil(pattern string, last bool, d damage) string {
	t := p.c.t
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := copyTree(p.whole, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(files{dir}.secret(), 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %q, %v", pattern, names, err)
	}
	slices.Sort(names)
	name := names[0]
	if last {
		name = names[len(names)-1]
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, d(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	if p.anew {
		if err := os.RemoveAll(files{dir}.state()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// open opens the program on a directory and answers the error with the advice that main
// prints, or what it logged.
func (p *patient) open(dir string) string {
	var said bytes.Buffer
	a, err := openApp(p.c.t.Context(), settings{
		files: files{dir: dir}, durability: "process", smtp: p.c.inbox.url, logBytes: 1 << 30, reserve: 1, once: true, simulated: true, speed: 1,
		log: slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return fmt.Sprintf("refused: %v\n%s", err, advice(err))
	}
	ctx, stop := context.WithTimeout(p.c.t.Context(), 3*time.Second)
	defer stop()
	err = a.run(ctx)
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	a.close()
	if err != nil {
		return fmt.Sprintf("stopped: %v\n%s", err, advice(err))
	}
	return "opened: " + said.String()
}

// TestCorruptData flips bits in, and cuts, every kind of file of a data directory. Each
// is noticed and named with what to do, or what it held is not served at all.
func TestCorruptData(t *testing.T) {
	if testing.Short() {
		t.Skip("opens the program many times")
	}
	p := newPatient(t)
	f := func(pattern string, last bool, how string, d damage, want ...string) {
		t.Helper()
		got := p.open(p.spoil(pattern, last, d))
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s, %s: got %q, want %q", pattern, how, got, w)
			}
		}
		t.Logf("%s, %s: %.500s", pattern, how, got)
	}
	const first, last = false, true
	f("state/epochs/*", first, "a flipped bit", flip(.5), "refused", "the state is damaged", "epochs/", "move only its folder state away")
	f("state/epochs/*", first, "cut", cutAt(-9), "refused", "the state is damaged", "epochs/", "move only its folder state away")
	f("state/MANIFEST", first, "a flipped bit", flip(.5), "refused", "the state is damaged", "manifest", "move only its folder state away")
	f("state/MANIFEST", first, "cut", cutAt(5), "refused", "the state is damaged", "manifest", "move only its folder state away")
	f("state/FORMAT.json", first, "a flipped bit", flip(.5), "refused", "FORMAT.json")
	f("state/FORMAT.json", first, "cut", cutAt(3), "refused", "FORMAT.json")
	f("journal/*", first, "a flipped bit", flip(.5), "refused", "mail journal is damaged", ".journal", "Restore the folder journal")
	f("journal/*", first, "cut", cutAt(-9), "refused", "mail journal is damaged", ".journal", "Restore the folder journal")
	f("journal/*", last, "the end cut", cutAt(-9), "opened", "the end of the mail journal could not be read")
	f("suppressed", first, "a flipped bit", flip(.5), "opened", "records of who has said no could not be read", "backup")
	f("suppressed", first, "cut", cutAt(-9), "opened", "records of who has said no could not be read", "backup")
	f("suppressed", first, "the head flipped", flip(0), "refused", "/suppressed: ", "restore it from a backup")
	f("secret", first, "cut", cutAt(7), "refused", "/secret ", "restore the file from a backup")
	f("models/subject/*/model.safetensors", first, "a flipped bit", flip(.5), "opened", "model file is corrupt", "stays")
	f("models/subject/*/model.safetensors", first, "cut", cutAt(-1), "opened", "model file is corrupt", "stays")
	f("models/subject/*/card.json", first, "cut", cutAt(40), "opened", "card of subject-", "stays")
	f("models/subject/*.json", first, "cut", cutAt(3), "opened", "promotions", "stays")
	const log = "log/jetstream/*/streams/EVENTS/"
	f(log+"msgs/*.blk", first, "cut", cutAt(-200), "refused", "is gone)", "--accept-gap")
	f(log+"meta.inf", first, "a flipped bit", flip(.5), "refused", "it was deleted and made anew", "--accept-gap")
	f(log+"msgs/index.db", first, "a flipped bit", flip(.5), "opened", "Stream state checksum did not match")
	p.anew = true // the state is gone, so that all of the log is read
	f(log+"msgs/*.blk", first, "a flipped bit", flip(.5), "stopped", "messages are missing in the middle of the log", "--accept-gap")
}
