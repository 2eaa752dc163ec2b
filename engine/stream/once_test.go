package stream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestPublishOnce: a message on a subject of its own is stored once, also long after
// JetStream has forgotten message ids.
func TestPublishOnce(t *testing.T) {
	stop := VirtualTime()
	defer stop()
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, Options{})
		for round := range 3 {
			for i := range 4 {
				if err := l.PublishOnce(t.Context(), fmt.Sprint("in.fill.7.", i), fmt.Appendf(nil, "%d/%d", round, i)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(dedupWindow + time.Minute)
		}
		s, err := l.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := l.Get(t.Context(), 2)
		if err != nil || s.Last != 4 || m.Subject != "in.fill.7.1" || string(m.Data) != "0/1" {
			t.Errorf("%d messages, the second is %s on %s, %v", s.Last, m.Data, m.Subject, err)
		}
	})
}
