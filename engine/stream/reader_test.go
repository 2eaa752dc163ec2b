package stream

import (
	"fmt"
	"testing"

	"millrace/engine"
)

// TestReadAll reads what was published, in order, whatever the prefetch.
func TestReadAll(t *testing.T) {
	l := openLog(t, Options{})
	const n = 3000
	for i := range n {
		if err := l.PublishAsync(t.Context(), "in.test", "", fmt.Appendf(nil, "message %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := func(o ReaderOptions) {
		t.Helper()
		r := openReader(t, l, o, engine.Position{})
		for i, m := range read(t, r, n) {
			if want := fmt.Sprintf("message %d", i); string(m.Data) != want || m.Seq != uint64(i+1) || m.Subject != "in.test" {
				t.Fatalf("message %d: got %q with sequence %d", i, m.Data, m.Seq)
			}
		}
	}
	f(ReaderOptions{})
	f(ReaderOptions{PrefetchMessages: 2})
	f(ReaderOptions{PrefetchMessages: 7})
	f(ReaderOptions{PrefetchBytes: 1000})
	f(ReaderOptions{PrefetchBytes: 20}) // no message fits: each is asked for on its own
}
