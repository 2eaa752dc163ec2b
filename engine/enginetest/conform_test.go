package enginetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/engine/stream"
	"millrace/state"
)

// What the simulation stands on must behave as the real parts do: one suite for both.

func TestDiskConforms(t *testing.T) {
	f := func(name string, d state.Disk, dir string) {
		t.Run(name, func(t *testing.T) {
			enginetest.Bubble(t, func(t *testing.T) { diskConforms(t, d, dir) })
		})
	}
	f("model", enginetest.NewDisk(1, enginetest.DiskOptions{}), "dir")
	f("real", state.OSDisk{}, filepath.Join(t.TempDir(), "dir"))
}

func diskConforms(t *testing.T, d state.Disk, dir string) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(err, target error) {
		t.Helper()
		if !errors.Is(err, target) {
			t.Fatalf("got %v, want %v", err, target)
		}
	}
	_, err := d.List(dir)
	want(err, fs.ErrNotExist)
	must(d.MakeDir(dir))
	must(d.MakeDir(dir)) // it may be there
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	_, err = d.Open(a, false)
	want(err, fs.ErrNotExist)
	want(d.Remove(a), fs.ErrNotExist)
	fb, err := d.Create(b)
	must(err)
	f, err := d.Create(a)
	must(err)
	_, err = d.Create(a)
	want(err, fs.ErrExist)
	must(d.SyncDir(dir))
	names, err := d.List(dir)
	if must(err); !slices.Equal(names, []string{"a", "b"}) {
		t.Fatalf("the directory holds %q", names)
	}
	write := func(text string, at int64) {
		t.Helper()
		if n, err := f.WriteAt([]byte(text), at); n != len(text) || err != nil {
			t.Fatalf("wrote %d of %q: %v", n, text, err)
		}
	}
	reads := func(f state.DiskFile, at int64, n int, text string, end error) {
		t.Helper()
		got := make([]byte, n)
		k, err := f.ReadAt(got, at)
		if string(got[:k]) != text || !errors.Is(err, end) {
			t.Fatalf("read %q at %d, %v; want %q, %v", got[:k], at, err, text, end)
		}
		if size, err := f.Size(); err != nil || k > 0 && int(size) < int(at)+k {
			t.Fatalf("the size is %d, %v", size, err)
		}
	}
	write("hello", 0)
	write("world", 8) // a hole is zeros
	reads(f, 0, 13, "hello\x00\x00\x00world", nil)
	reads(f, 8, 99, "world", io.EOF)
	reads(f, 40, 1, "", io.EOF)
	must(f.Sync())
	must(f.Truncate(3))
	write("p", 3)
	must(f.Sync())
	again, err := d.Open(a, true)
	must(err)
	reads(again, 0, 9, "help", io.EOF)
	if _, err := again.WriteAt([]byte("x"), 0); err == nil {
		t.Fatal("a file that was opened for reading is written")
	}
	must(d.Remove(a)) // while it is open: who has it can go on reading
	reads(again, 0, 4, "help", nil)
	must(errors.Join(again.Close(), f.Close(), fb.Close()))
	if err := again.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("closed twice: %v", err)
	}
	names, err = d.List(dir)
	if must(err); !slices.Equal(names, []string{"b"}) {
		t.Fatalf("the directory holds %q", names)
	}
}

// logUnderTest is what the simulation needs of a log.
type logUnderTest interface {
	source() engine.Source
	publish(ctx context.Context, id string, data []byte) error
	last(ctx context.Context) (uint64, error)
}

type modelLog struct{ *enginetest.Log }

func (l modelLog) source() engine.Source                    { return l.Log }
func (l modelLog) last(ctx context.Context) (uint64, error) { return l.Last(ctx) }
func (l modelLog) publish(_ context.Context, id string, data []byte) error {
	if id == "" {
		l.Append(time.Now().UnixMilli(), data)
		return nil
	}
	l.Publish(time.Now().UnixMilli(), id, data)
	return nil
}

type realLog struct{ *realParts }

func (l realLog) source() engine.Source {
	return l.log.NewReader(stream.ReaderOptions{PullWait: time.Minute})
}

func TestLogConforms(t *testing.T) {
	t.Run("model", func(t *testing.T) {
		enginetest.Bubble(t, func(t *testing.T) { logConforms(t, modelLog{enginetest.NewLog()}) })
	})
	t.Run("real", func(t *testing.T) {
		dir := t.TempDir()
		enginetest.Bubble(t, func(t *testing.T) {
			m, err := newReal(t.Context(), nil, dir)
			if err != nil {
				t.Fatal(err)
			}
			logConforms(t, realLog{m})
			if err := m.close(); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func logConforms(t *testing.T, l logUnderTest) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		must(l.publish(ctx, fmt.Sprintf("id%d", i), fmt.Appendf(nil, "m%d", i+1)))
		must(l.publish(ctx, "id0", []byte("not stored"))) // its id is known for two minutes
	}
	if last, err := l.last(ctx); last != 5 || err != nil {
		t.Fatalf("the log ends at %d, %v", last, err)
	}
	time.Sleep(2*time.Minute + time.Second)
	must(l.publish(ctx, "id0", []byte("m6")))
	must(l.publish(ctx, "", []byte("m7")))
	must(l.publish(ctx, "", []byte("m7"))) // without an id both are stored
	open := func(from engine.Position, want error) (engine.Source, engine.LogInfo) {
		t.Helper()
		s := l.source()
		info, err := s.Open(ctx, from, false)
		if !errors.Is(err, want) {
			t.Fatalf("open at %+v: %v, want %v", from, err, want)
		}
		return s, info
	}
	next := func(s engine.Source, size int) (all []engine.Message) {
		t.Helper()
		buf := make([]engine.Message, size)
		n, err := s.Next(ctx, buf)
		if err != nil || n == 0 {
			t.Fatalf("%d messages, %v", n, err)
		}
		return buf[:n]
	}
	s, info := open(engine.Position{}, nil)
	if info.First != 1 || info.Last != 8 {
		t.Fatalf("the log is %+v", info)
	}
	var all []engine.Message
	for len(all) < 8 {
		all = append(all, next(s, 3)...)
	}
	for i, want := range []string{"m1", "m2", "m3", "m4", "m5", "m6", "m7", "m7"} {
		if m := all[i]; string(m.Data) != want || m.Seq != uint64(i+1) || i > 0 && m.Time < all[i-1].Time {
			t.Fatalf("message %d is %+v, want %q", i+1, m, want)
		}
	}
	// A reader at the end waits for what comes, and for the end of its context.
	go func() {
		time.Sleep(time.Hour)
		_ = l.publish(ctx, "", []byte("m9")) // if it fails Next never answers
	}()
	if m := next(s, 4); len(m) != 1 || string(m[0].Data) != "m9" {
		t.Fatalf("got %+v", m)
	}
	short, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if n, err := s.Next(short, make([]engine.Message, 1)); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%d messages, %v", n, err)
	}
	must(s.Close())
	at := engine.Position{Stream: info.Stream, Created: info.Created, Seq: 4, Hash: engine.HashMessage([]byte("m4"))}
	s, _ = open(at, nil)
	if m := next(s, 1); m[0].Seq != 5 || !bytes.Equal(m[0].Data, []byte("m5")) {
		t.Fatalf("behind message 4 comes %+v", m)
	}
	must(s.Close())
	at.Hash++
	s, _ = open(at, engine.ErrLogDiffers)
	must(s.Close())
	at.Seq, at.Hash = 10, 1
	s, _ = open(at, engine.ErrLogRewound)
	must(s.Close())
	at.Seq, at.Created = 4, at.Created+1
	s, _ = open(at, engine.ErrLogRecreated)
	must(s.Close())
}
