package stream

import (
	"testing"
	"time"
)

// TestAnnounce: whoever listens hears it, and the log keeps nothing of it.
func TestAnnounce(t *testing.T) {
	l := openLog(t, Options{})
	sub, err := l.nc.SubscribeSync("millrace.metrics.*.*")
	if err != nil {
		t.Fatal(err)
	}
	before, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Announce("millrace.metrics.words.control", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	m, err := sub.NextMsg(10 * time.Second)
	if err != nil || m.Subject != "millrace.metrics.words.control" || string(m.Data) != "{}" {
		t.Fatalf("%+v, %v", m, err)
	}
	if after, err := l.Info(t.Context()); err != nil || after.Last != before.Last {
		t.Fatalf("the log went from %d to %d, %v", before.Last, after.Last, err)
	}
}
