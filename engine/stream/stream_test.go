package stream

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer runs an embedded server without a port for the length of the test.
func startServer(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := StartServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

// openLog opens a log on a server of its own.
func openLog(t testing.TB, o Options) *Log {
	t.Helper()
	if o.Server == nil && o.URL == "" {
		o.Server = startServer(t, ServerOptions{})
	}
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func publish(t testing.TB, l *Log, data ...string) {
	t.Helper()
	for _, d := range data {
		if _, err := l.Publish(t.Context(), "in.test", "", []byte(d)); err != nil {
			t.Fatal(err)
		}
	}
}

// read takes n messages from the reader.
func read(t testing.TB, r *Reader, n int) []engine.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []engine.Message
	buf := make([]engine.Message, 64)
	for len(got) < n {
		k, err := r.Next(ctx, buf[:min(len(buf), n-len(got))])
		if err != nil {
			t.Fatalf("after %d of %d messages: %v", len(got), n, err)
		}
		got = append(got, buf[:k]...)
	}
	return got
}

func openReader(t testing.TB, l *Log, o ReaderOptions, from engine.Position) *Reader {
	t.Helper()
	r := l.NewReader(o)
	if _, err := r.Open(t.Context(), from, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}
