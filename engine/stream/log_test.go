package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestPublish(t *testing.T) {
	l := openLog(t, Options{Server: startServer(t, ServerOptions{MaxPayload: 1000, SyncAlways: true})})
	f := func(subject, id, data string, want uint64, wantErr error) {
		t.Helper()
		seq, err := l.Publish(t.Context(), subject, id, []byte(data))
		if seq != want || !errors.Is(err, wantErr) {
			t.Fatalf("got %d and %v, want %d and %v", seq, err, want, wantErr)
		}
	}
	f("in.a", "", "first", 1, nil)
	f("in.a", "", "first", 2, nil)
	f("in.a", "id", "second", 3, nil)
	f("in.b", "id", "second again", 3, nil) // told apart by its id alone
	f("in.a", "", strings.Repeat("x", 2000), 0, ErrTooLarge)
	f("elsewhere", "", "x", 0, ErrUnavailable)
	m, err := l.Get(t.Context(), 3)
	if err != nil || string(m.Data) != "second" || m.Subject != "in.a" || m.Seq != 3 || time.Since(time.UnixMilli(m.Time)) > time.Minute {
		t.Fatalf("got %+v and %v", m, err)
	}
	if _, err := l.Get(t.Context(), 4); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	s, err := l.Info(t.Context())
	if err != nil || s.Stream != "EVENTS" || s.First != 1 || s.Last != 3 || s.Messages != 3 || s.Created == 0 || s.MaxBytes != 0 {
		t.Fatalf("got %+v and %v", s, err)
	}
}

// TestPublishAsync collects what the log refused, however many.
func TestPublishAsync(t *testing.T) {
	l := openLog(t, Options{MaxBytes: 50_000, WindowMessages: 7, WindowBytes: 5000})
	const n = 100
	for range n {
		if err := l.PublishAsync(t.Context(), "in.a", "", make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if w := &l.window; w.len() > 7 || w.bytes > 5000 {
			t.Fatalf("%d messages of %d bytes are on their way", w.len(), w.bytes)
		}
	}
	err := l.Flush(t.Context())
	if !errors.Is(err, ErrFull) {
		t.Fatalf("got %v", err)
	}
	s, infoErr := l.Info(t.Context())
	if infoErr != nil || !strings.HasPrefix(err.Error(), itoa(n-int(s.Messages))+" messages were not stored") {
		t.Fatalf("%d stored, %v", s.Messages, err)
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatalf("a second flush: %v", err)
	}
	if f := l.Fill(t.Context()); f < 0.9 || f > 1 {
		t.Fatalf("the fill is %v", f)
	}
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// TestReopen keeps the log over a restart of the server, and takes new limits.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, ServerOptions{Dir: dir})
	l := openLog(t, Options{Server: s})
	publish(t, l, "kept")
	before, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	s.Shutdown()
	s.Shutdown() // a second time is harmless
	l = openLog(t, Options{Server: startServer(t, ServerOptions{Dir: dir}), MaxBytes: 1 << 20, MaxAge: time.Minute})
	after, err := l.Info(t.Context())
	if err != nil || after.LogInfo != before.LogInfo || after.MaxBytes != 1<<20 {
		t.Fatalf("got %+v and %v, want %+v", after, err, before)
	}
}

func TestStartServer(t *testing.T) {
	f := func(o ServerOptions, want string) {
		t.Helper()
		s, err := StartServer(o)
		if err == nil {
			s.Shutdown()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Fatalf("got %v, want %q", err, want)
		}
	}
	dir := t.TempDir()
	f(ServerOptions{}, "no directory given")
	f(ServerOptions{Dir: dir, Listen: "0.0.0.0:0"}, "not a loopback address")
	f(ServerOptions{Dir: dir, Listen: ":0"}, "not a loopback address")
	f(ServerOptions{Dir: dir, Listen: "example.com:0"}, "not a loopback address")
	f(ServerOptions{Dir: dir, Listen: "127.0.0.1"}, "listen address")
	f(ServerOptions{Dir: dir, Listen: "127.0.0.1:x"}, "no such port")
	f(ServerOptions{Dir: dir, Listen: "127.0.0.1:0"}, "")
	f(ServerOptions{Dir: dir}, "")
	if _, err := Open(t.Context(), Options{}); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestFreeBytes(t *testing.T) {
	if n, err := FreeBytes(t.TempDir()); err != nil || n == 0 {
		t.Fatalf("got %d and %v", n, err)
	}
	if _, err := FreeBytes("/does/not/exist"); err == nil {
		t.Fatal("no error")
	}
}

func TestDeadLetters(t *testing.T) {
	l := openLog(t, Options{})
	ctx := t.Context()
	letter := func(index uint32, data string) DeadLetter {
		return DeadLetter{Pipeline: "ingest", Operator: "decode", Reason: "no_identity", Detail: "neither id", Source: "shop",
			Stream: "EVENTS", Seq: 7, Index: index, At: time.UnixMilli(1_700_000_000_000).UTC(), Bytes: []byte(data)}
	}
	all := []DeadLetter{letter(0, `{"a":"ö"}`), letter(1, "\xff\x00"), letter(2, ""), letter(3, strings.Repeat("x", deadBytesMax+1))}
	odd := letter(4, "x")
	odd.Pipeline, odd.Operator = "a.b >", ""
	for _, d := range append(all, all[0], odd) { // the first one twice
		if err := l.PublishDeadLetter(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	all[3].Bytes, all[3].Cut = all[3].Bytes[:deadBytesMax], true
	odd.Pipeline, odd.Operator = "a_b__", "_"
	all = append(all, odd)
	got, err := l.ListDeadLetters(ctx, 0, 100)
	if err != nil || len(got) != len(all) {
		t.Fatalf("got %d letters and %v", len(got), err)
	}
	for i, want := range all {
		want.Number = uint64(i + 1)
		a, _ := json.Marshal(got[i])
		b, _ := json.Marshal(want)
		if !bytes.Equal(a, b) || got[i].Number != want.Number || got[i].Pipeline != want.Pipeline || got[i].Operator != want.Operator ||
			!bytes.Equal(got[i].Bytes, want.Bytes) {
			t.Fatalf("letter %d:\n got %s\nwant %s", i, a, b)
		}
	}
	if got, err := l.ListDeadLetters(ctx, 2, 2); err != nil || len(got) != 2 || got[0].Number != 2 {
		t.Fatalf("got %+v and %v", got, err)
	}
	seq, err := l.Retry(ctx, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := l.str.GetMsg(ctx, seq)
	if err != nil || string(raw.Data) != `{"a":"ö"}` || raw.Header.Get(RetryHeader) != "1" {
		t.Fatalf("got %+v and %v", raw, err)
	}
	wrap := func(d DeadLetter) []byte { return []byte("wrapped " + d.Source) }
	if seq, err = l.Retry(ctx, 2, wrap); err != nil {
		t.Fatal(err)
	}
	if m, err := l.Get(ctx, seq); err != nil || string(m.Data) != "wrapped shop" {
		t.Fatalf("got %q and %v", m.Data, err)
	}
	for _, n := range []uint64{1, 99} { // gone, and never there
		if _, err := l.Retry(ctx, n, nil); !errors.Is(err, ErrNotFound) {
			t.Fatalf("retry of %d: %v", n, err)
		}
		if err := l.DeleteDeadLetter(ctx, n); !errors.Is(err, ErrNotFound) {
			t.Fatalf("delete of %d: %v", n, err)
		}
	}
	if _, err := l.Retry(ctx, 4, nil); !errors.Is(err, ErrCut) {
		t.Fatalf("got %v", err)
	}
	if n, err := l.CountDeadLetters(ctx); err != nil || n != 3 {
		t.Fatalf("%d letters and %v", n, err)
	}
}

func FuzzDeadLetter(f *testing.F) {
	f.Add([]byte(`{"reason":"x","bytes":"aGk=","encoding":"base64"}`))
	f.Add([]byte(`{"bytes":"\ud800","seq":18446744073709551615}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d, again DeadLetter
		if json.Unmarshal(data, &d) != nil {
			return
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &again); err != nil || !bytes.HasPrefix(d.Bytes, again.Bytes) || again.Seq != d.Seq {
			t.Fatalf("%q became %+v, %v", data, again, err)
		}
	})
}
