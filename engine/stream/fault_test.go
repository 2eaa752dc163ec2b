package stream

import (
	"errors"
	"log/slog"
	"testing"
)

// Only a stream that takes nothing any more is a fault of the log, and the first is told.
func TestFaultHeard(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		a := newFault()
		for _, l := range lines {
			a.heard(slog.New(slog.DiscardHandler), l)
		}
		s := Server{fault: a}
		broken := false
		select {
		case <-s.Broken():
			broken = true
		default:
		}
		err := s.Err()
		if broken != (err != nil) || broken != (want != "") || broken && (!errors.Is(err, ErrLogBroken) || err.Error() != want) {
			t.Fatalf("%q: broken %v, %v, want %q", lines, broken, err, want)
		}
	}
	f("")
	f("", "JetStream failed to store a msg on stream '$G > EVENTS': timed out", "some error")
	f("the log cannot be written: write 1.blk: no space left on device",
		"Filestore [EVENTS] Critical write error: write 1.blk: no space left on device",
		"JetStream stream '$G > EVENTS' critical write error: write 2.blk: other")
}
