package stream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestPublishOut publishes under the same keys again and again, also long after JetStream
// has forgotten message ids: each key is stored once.
func TestPublishOut(t *testing.T) {
	stop := VirtualTime()
	defer stop()
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, Options{})
		if err := l.OpenOut(t.Context(), OutOptions{}); err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			for i := range 5 {
				if err := l.PublishOut(t.Context(), "journeys.cart", fmt.Sprintf("key%d", i), fmt.Appendf(nil, "%d/%d", round, i)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(dedupWindow + time.Minute)
		}
		s, err := l.js.Stream(t.Context(), "EFFECTS")
		if err != nil {
			t.Fatal(err)
		}
		info, err := s.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.GetMsg(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Msgs != 5 || m.Subject != "out.journeys.cart.key1" || string(m.Data) != "0/1" || m.Header.Get("Nats-Msg-Id") != "key1" {
			t.Errorf("%d messages, the second is %s on %s", info.State.Msgs, m.Data, m.Subject)
		}
	})
}
