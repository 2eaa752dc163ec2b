package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"
	"pgregory.net/rapid"

	"millrace/engine"
)

func publishMany(t testing.TB, l *Log, n, size int) {
	t.Helper()
	pad := strings.Repeat("x", size)
	for i := range n {
		if err := l.PublishAsync(t.Context(), "in.test", "", fmt.Appendf(nil, "message %d%s", i, pad)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// position is where a reader stands after it read m whole.
func position(i engine.LogInfo, m engine.Message) engine.Position {
	return engine.Position{Stream: i.Stream, Created: i.Created, Seq: m.Seq, Hash: engine.HashMessage(m.Data)}
}

// TestReadAll reads what was published, in order, whatever the prefetch.
func TestReadAll(t *testing.T) {
	l := openLog(t, Options{})
	const n = 3000
	publishMany(t, l, n, 0)
	f := func(o ReaderOptions) {
		t.Helper()
		r := openReader(t, l, o, engine.Position{})
		for i, m := range read(t, r, n) {
			if want := fmt.Sprintf("message %d", i); string(m.Data) != want || m.Seq != uint64(i+1) || m.Subject != "in.test" {
				t.Fatalf("message %d: got %q with sequence %d", i, m.Data, m.Seq)
			}
			if age := time.Since(time.UnixMilli(m.Time)); age < -time.Minute || age > time.Minute {
				t.Fatalf("message %d: stored %v ago", i, age)
			}
		}
	}
	f(ReaderOptions{})
	f(ReaderOptions{PrefetchMessages: 2})
	f(ReaderOptions{PrefetchMessages: 7})
	f(ReaderOptions{PrefetchBytes: 1000})
	f(ReaderOptions{PrefetchBytes: 20}) // no message fits: each is asked for on its own
}

// TestOpenPosition is the table of positions against a log of messages 4 to 10.
func TestOpenPosition(t *testing.T) {
	l := openLog(t, Options{})
	publishMany(t, l, 10, 0)
	if err := l.Purge(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	s, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data := func(seq uint64) string { return fmt.Sprintf("message %d", seq-1) }
	at := func(seq uint64, data string) engine.Position {
		return position(s.LogInfo, engine.Message{Seq: seq, Data: []byte(data)})
	}
	// f opens at p; next is the first sequence read then, 0 when none stands there yet.
	f := func(name string, p engine.Position, accept bool, want error, next uint64) {
		t.Helper()
		r := l.NewReader(ReaderOptions{})
		defer r.Close()
		i, err := r.Open(t.Context(), p, accept)
		if !errors.Is(err, want) {
			t.Fatalf("%s: got %v, want %v", name, err, want)
		}
		if i.First != 4 || i.Last != 10 {
			t.Fatalf("%s: got %+v", name, i)
		}
		if err != nil {
			if _, err := r.Next(t.Context(), make([]engine.Message, 1)); err == nil {
				t.Fatalf("%s: read from a reader that is not open", name)
			}
			return
		}
		if next == 0 {
			publish(t, l, "new")
			next = 11
			defer func() {
				if err := l.Erase(context.Background(), 11); err != nil {
					t.Fatal(err)
				}
			}()
		}
		if m := read(t, r, 1)[0]; m.Seq != next {
			t.Fatalf("%s: went on at %d, want %d", name, m.Seq, next)
		}
	}
	f("zero", engine.Position{}, false, nil, 4)
	f("in the middle", at(5, data(5)), false, nil, 6)
	f("oldest kept", at(4, data(4)), false, nil, 5)
	f("last purged", at(3, data(3)), false, nil, 4) // nothing unread is gone
	f("trimmed", at(2, data(2)), false, engine.ErrLogTrimmed, 0)
	f("trimmed before the first", engine.Position{Stream: s.Stream, Created: s.Created, Index: 3}, false, engine.ErrLogTrimmed, 0)
	f("trimmed, accepted", at(2, data(2)), true, nil, 4)
	f("differs", at(5, "other"), false, engine.ErrLogDiffers, 0)
	f("differs, accepted", at(5, "other"), true, nil, 6)
	f("rewound", at(12, "gone"), false, engine.ErrLogRewound, 0)
	other := at(5, data(5))
	other.Created--
	f("recreated", other, false, engine.ErrLogRecreated, 0)
	f("recreated, accepted", other, true, nil, 4)
	other = at(5, data(5))
	other.Stream = "OTHERS"
	f("another log", other, false, engine.ErrLogRecreated, 0)
	unknown := at(5, data(5))
	unknown.Hash = 0
	f("no hash known", unknown, false, nil, 6)
	// These two add a message each, so they come last.
	f("rewound, accepted", at(12, "gone"), true, nil, 0)
}

// TestGap erases a message in the middle: the reader stops, unless it is told why.
func TestGap(t *testing.T) {
	l := openLog(t, Options{})
	publishMany(t, l, 10, 0)
	for _, seq := range []uint64{5, 6} {
		if err := l.Erase(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	f := func(o ReaderOptions, accept bool, want error, skipped uint64) {
		t.Helper()
		r := l.NewReader(o)
		defer r.Close()
		if _, err := r.Open(t.Context(), engine.Position{}, accept); err != nil {
			t.Fatal(err)
		}
		read(t, r, 4)
		buf := make([]engine.Message, 16)
		n, err := r.Next(t.Context(), buf)
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
		if want != nil {
			if _, again := r.Next(t.Context(), buf); again == nil || again.Error() != err.Error() {
				t.Fatalf("then %v, want %v again", again, err)
			}
			return
		}
		if n == 0 || buf[0].Seq != 7 || r.Skipped() != skipped {
			t.Fatalf("got %d messages from %d, skipped %d", n, buf[0].Seq, r.Skipped())
		}
	}
	f(ReaderOptions{}, false, ErrGap, 0)
	f(ReaderOptions{}, true, nil, 2)
	f(ReaderOptions{Erased: func(first, last uint64) bool { return first == 5 && last == 6 }}, false, nil, 0)
	f(ReaderOptions{Erased: func(first, last uint64) bool { return first == 5 && last == 5 }}, false, ErrGap, 0)
}

// TestErasedPosition opens at a position whose own message was erased.
func TestErasedPosition(t *testing.T) {
	l := openLog(t, Options{})
	publishMany(t, l, 5, 0)
	m, err := l.Get(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Erase(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	s, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := func(erased func(first, last uint64) bool, want error) {
		t.Helper()
		r := l.NewReader(ReaderOptions{Erased: erased})
		defer r.Close()
		if _, err := r.Open(t.Context(), position(s.LogInfo, m), false); !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
	f(nil, engine.ErrLogDiffers)
	f(func(first, last uint64) bool { return first == 3 && last == 3 }, nil)
}

// TestTrimmedWhileReading trims the log under a reader that is behind.
func TestTrimmedWhileReading(t *testing.T) {
	l := openLog(t, Options{})
	publishMany(t, l, 100, 0)
	r := openReader(t, l, ReaderOptions{PrefetchMessages: 2}, engine.Position{})
	read(t, r, 1)
	if err := l.Purge(t.Context(), 90); err != nil {
		t.Fatal(err)
	}
	buf := make([]engine.Message, 8)
	for range 100 {
		n, err := r.Next(t.Context(), buf)
		if errors.Is(err, engine.ErrLogTrimmed) {
			return
		}
		if err != nil || buf[n-1].Seq >= 90 {
			t.Fatalf("got message %d and %v", buf[max(n-1, 0)].Seq, err)
		}
	}
	t.Fatal("the reader never noticed")
}

// TestRecreatedWhileReading makes the log anew under a reader.
func TestRecreatedWhileReading(t *testing.T) {
	l := openLog(t, Options{})
	publishMany(t, l, 3, 0)
	r := openReader(t, l, ReaderOptions{}, engine.Position{})
	read(t, r, 3)
	if err := l.js.DeleteStream(t.Context(), l.opts.Stream); err != nil {
		t.Fatal(err)
	}
	if err := l.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	publishMany(t, l, 10, 0)
	if n, err := r.Next(t.Context(), make([]engine.Message, 1)); !errors.Is(err, engine.ErrLogRecreated) {
		t.Fatalf("got %d messages and %v", n, err)
	}
}

// TestResume loses the consumer, messages on the way and every request, and reads on
// without loss or repetition.
func TestResume(t *testing.T) {
	l := openLog(t, Options{})
	const n = 2000
	publishMany(t, l, n, 0)
	f := func(harm func(r *Reader)) {
		t.Helper()
		r := openReader(t, l, ReaderOptions{PrefetchMessages: 64}, engine.Position{})
		var got []engine.Message
		for len(got) < n {
			got = append(got, read(t, r, min(250, n-len(got)))...)
			harm(r)
		}
		for i, m := range got {
			if m.Seq != uint64(i+1) {
				t.Fatalf("message %d has sequence %d", i, m.Seq)
			}
		}
	}
	f(func(r *Reader) {
		if err := l.js.DeleteConsumer(t.Context(), l.opts.Stream, r.consumer); err != nil {
			t.Fatal(err)
		}
	})
	// A message that is dropped on the way leaves a hole in the consumer's count.
	f(func(r *Reader) {
		select {
		case <-r.ch:
		default:
		}
	})
	// As after a reconnection.
	f(func(*Reader) { l.relink() })
}

// TestServerRestarts stops the server under a reader and starts it again.
func TestServerRestarts(t *testing.T) {
	dir := t.TempDir()
	s, err := StartServer(ServerOptions{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Shutdown() }()
	l, err := Open(t.Context(), Options{URL: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	publishMany(t, l, 100, 0)
	r := openReader(t, l, ReaderOptions{PrefetchMessages: 2}, engine.Position{}) // most are still to be fetched
	read(t, r, 50)
	listen := strings.TrimPrefix(s.URL(), "nats://")
	s.Shutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := l.Publish(ctx, "in.test", "", []byte("lost")); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("published to no server: %v", err)
	}
	if s, err = StartServer(ServerOptions{Dir: dir, Listen: listen}); err != nil {
		t.Fatal(err)
	}
	for i, m := range read(t, r, 50) {
		if m.Seq != uint64(51+i) {
			t.Fatalf("message %d has sequence %d", i, m.Seq)
		}
	}
	publish(t, l, "after")
	if m := read(t, r, 1)[0]; string(m.Data) != "after" {
		t.Fatalf("got %q", m.Data)
	}
}

// TestNextEnds ends the wait of Next by its context and by closing the log.
func TestNextEnds(t *testing.T) {
	l := openLog(t, Options{})
	r := openReader(t, l, ReaderOptions{}, engine.Position{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	buf := make([]engine.Message, 1)
	if _, err := r.Next(ctx, buf); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.Next(t.Context(), buf)
		done <- err
	}()
	_ = l.Close()
	if err := <-done; !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

// TestPrefetchIsBounded lets a reader fetch ahead while nobody calls Next.
func TestPrefetchIsBounded(t *testing.T) {
	ats.Register()
	defer ats.Unregister()
	f := func(o ReaderOptions, size, messagesMax, bytesMax int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			l := openLog(t, Options{})
			publishMany(t, l, 300, size)
			r := openReader(t, l, o, engine.Position{})
			read(t, r, 1)
			synctest.Wait()
			messages, bytes := 0, 0
			for len(r.ch) > 0 {
				if m := <-r.ch; len(m.Data) > 0 {
					messages++
					bytes += len(m.Data)
				}
			}
			if messages == 0 || messages > messagesMax || bytes > bytesMax {
				t.Errorf("%+v: %d messages of %d bytes wait, limits %d and %d", o, messages, bytes, messagesMax, bytesMax)
			}
		})
	}
	f(ReaderOptions{PrefetchMessages: 50}, 10, 50, 50*64)
	f(ReaderOptions{PrefetchBytes: 100 << 10}, 10<<10, 10, 100<<10)
	f(ReaderOptions{PrefetchBytes: 1000}, 10<<10, pullsLive, pullsLive*(10<<10+64))
}

// TestQuietDay lets a day pass without a message, in virtual time, and then loses
// the requests without a word of the server.
func TestQuietDay(t *testing.T) {
	ats.Register()
	defer ats.Unregister()
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, Options{})
		r := openReader(t, l, ReaderOptions{}, engine.Position{})
		go func() {
			time.Sleep(24 * time.Hour)
			publish(t, l, "after a day")
		}()
		buf := make([]engine.Message, 4)
		begin := time.Now()
		n, err := r.Next(t.Context(), buf)
		if err != nil || n != 1 || string(buf[0].Data) != "after a day" {
			t.Fatalf("got %d messages and %v", n, err)
		}
		if d := time.Since(begin); d < 24*time.Hour || d > 24*time.Hour+time.Second {
			t.Fatalf("it came after %v", d)
		}
		if got := time.UnixMilli(buf[0].Time).Sub(begin); got < 24*time.Hour {
			t.Fatalf("it was stored after %v", got)
		}
		time.Sleep(time.Hour) // the engine stalls: the server forgets the consumer
		publish(t, l, "after the stall")
		if m := read(t, r, 1)[0]; string(m.Data) != "after the stall" {
			t.Fatalf("got %q", m.Data)
		}
		r.pullTo, r.consumer = "in.nowhere", "" // the next requests go astray: nobody answers
		begin = time.Now()
		time.AfterFunc(time.Minute, func() { publish(t, l, "after the silence") })
		for m := range read(t, r, 2) {
			_ = m
		}
		if d := time.Since(begin); d > time.Minute+2*(r.opts.PullWait+pullGrace) {
			t.Fatalf("the silence was noticed after %v", d)
		}
	})
}

// TestReaderModel reads a log that grows while the reader is harmed, reopened and
// given buffers of any size, and compares with a list.
func TestReaderModel(t *testing.T) {
	s := startServer(t, ServerOptions{})
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		l := openLog(t, Options{Server: s, Stream: fmt.Sprintf("RUN%d", run), Subjects: []string{fmt.Sprintf("run%d.>", run)},
			DeadStream: "DEADLETTERS"})
		defer l.js.DeleteStream(context.Background(), l.opts.Stream)
		subject := fmt.Sprintf("run%d.x", run)
		r := openReader(t, l, ReaderOptions{PrefetchMessages: rapid.IntRange(2, 9).Draw(rt, "prefetch")}, engine.Position{})
		var stored []string
		var last engine.Message
		got := 0
		check := func(buf []engine.Message) {
			for _, m := range buf {
				if m.Seq != uint64(got+1) || string(m.Data) != stored[got] {
					rt.Fatalf("message %d: got %q with sequence %d", got+1, m.Data, m.Seq)
				}
				got++
				last = m
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"publish": func(rt *rapid.T) {
				data := rapid.StringN(1, 5, 20).Draw(rt, "data")
				if _, err := l.Publish(t.Context(), subject, "", []byte(data)); err != nil {
					rt.Fatal(err)
				}
				stored = append(stored, data)
			},
			"next": func(rt *rapid.T) {
				if got == len(stored) {
					rt.Skip()
				}
				buf := make([]engine.Message, rapid.IntRange(1, 5).Draw(rt, "room"))
				n, err := r.Next(t.Context(), buf)
				if err != nil {
					rt.Fatal(err)
				}
				check(buf[:n])
			},
			"reopen": func(rt *rapid.T) {
				s, err := l.Info(t.Context())
				if err != nil {
					rt.Fatal(err)
				}
				var p engine.Position
				if got > 0 {
					p = position(s.LogInfo, last)
				}
				if _, err := r.Open(t.Context(), p, false); err != nil {
					rt.Fatal(err)
				}
			},
			"reconnect": func(*rapid.T) { l.relink() },
		})
		check(read(t, r, len(stored)-got))
		_ = r.Close()
	})
}

func TestParseAck(t *testing.T) {
	f := func(s string, want delivery, ok bool) {
		t.Helper()
		if got, k := parseAck(s); got != want || k != ok {
			t.Fatalf("%q: got %+v %v", s, got, k)
		}
	}
	want := delivery{seq: 22, delivered: 33, nanos: 44}
	f("$JS.ACK.EVENTS.c.1.22.33.44.5", want, true)
	f("$JS.ACK._.hash.EVENTS.c.1.22.33.44.5", want, true)
	f("$JS.ACK.domain.hash.EVENTS.c.1.22.33.44.5.token", want, true)
	f("", delivery{}, false)
	f("$JS.ACK.EVENTS.c.1.22.33.44", delivery{}, false)
	f("$JS.ACK.EVENTS.c.1.22.33.44.5.6", delivery{}, false)
	f("$JS.ACK.EVENTS.c.1.x.33.44.5", delivery{}, false)
	f("$JS.ACK.EVENTS.c.1..33.44.5", delivery{}, false)
	f("$JS.ACK.EVENTS.c.1.22.33.9999999999999999999.5", delivery{}, false)
	f("$JS.ACK.EVENTS.c.1.22.33.99999999999999999999.5", delivery{}, false)
	f("$JS.ACK.......................", delivery{}, false)
	f("_INBOX.abc", delivery{}, false)
	s := "$JS.ACK.EVENTS.reader-abcdefghijklmnopqrstuv.1.1234567.1234567.1760000000000000000.5"
	if n := testing.AllocsPerRun(100, func() { parseAck(s) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzParseAck(f *testing.F) {
	f.Add("$JS.ACK.EVENTS.c.1.22.33.44.5")
	f.Add("$JS.ACK.domain.hash.EVENTS.c.1.22.33.44.5.token")
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := parseAck(s)
		parts := strings.Split(s, ".")
		at := map[int]int{9: 5, 11: 7, 12: 7}[len(parts)]
		if !ok {
			return
		}
		if at == 0 || d.nanos < 0 || strings.TrimLeft(parts[at], "0") != strings.TrimLeft(fmt.Sprint(d.seq), "0") {
			t.Fatalf("%q: %+v", s, d)
		}
	})
}
