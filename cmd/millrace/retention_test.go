package main

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"millrace/engine/stream"
)

// TestTrim keeps a log below its limit by what is committed, and only by that.
func TestTrim(t *testing.T) {
	s := settings{
		files: files{t.TempDir()}, durability: "process", drain: time.Second, once: true,
		logBytes: 4 << 20, log: slog.New(slog.DiscardHandler),
	}
	a, err := openApp(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	publish := func(n int) {
		t.Helper()
		for i := range n {
			msg := fmt.Appendf(nil, `{"type":"track","event":"Product Viewed","userId":"u%d","messageId":"m%d","properties":{"product_id":"p","filler":%q}}`, i, i, make([]byte, 500))
			if _, err := a.events.Publish(t.Context(), "in.test", "", msg); err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
		}
	}
	state := func() stream.State {
		t.Helper()
		st, err := a.events.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	publish(1500) // about 3.2 MB: above the mark, nothing processed
	if err := a.trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := state(); st.First != 1 || float64(st.Bytes) < trimAbove*float64(st.MaxBytes) {
		t.Fatalf("messages %d to %d, %d bytes: want all of them, above the mark", st.First, st.Last, st.Bytes)
	}
	if err := a.engine.Run(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := a.trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := state()
	if fill := float64(st.Bytes) / float64(st.MaxBytes); st.First == 1 || fill > trimTo+0.1 {
		t.Fatalf("messages %d to %d fill %.2f of the log: want about %.2f", st.First, st.Last, fill, trimTo)
	}
	if pos := a.engine.Stats().Position; st.First > pos.Seq {
		t.Fatalf("the message at the position %d is gone: the log begins at %d", pos.Seq, st.First)
	}
	// The next start finds its place.
	r := a.events.NewReader(stream.ReaderOptions{})
	defer func() { _ = r.Close() }()
	if _, err := r.Open(t.Context(), a.engine.Stats().Position, false); err != nil {
		t.Fatal(err)
	}
}
