package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"
	"pgregory.net/rapid"
)

// TestPackerExactlyOnce submits random requests of two sources at once: every event
// of an acknowledged request stands in the log once, in the request's order, in a
// message of its source, and no message is beyond its limits.
func TestPackerExactlyOnce(t *testing.T) {
	s := startServer(t, ServerOptions{})
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		name := fmt.Sprintf("RUN%d", run)
		l := openLog(t, Options{Server: s, Stream: name, Subjects: []string{name + ".>"}})
		defer l.js.DeleteStream(context.Background(), name)
		eventsMax, bytesMax := rapid.IntRange(1, 20).Draw(rt, "events"), rapid.IntRange(10, 300).Draw(rt, "bytes")
		p, err := newPacker(packerOptions{log: l, subject: name + ".x", encode: encodeTest, eventsMax: eventsMax, bytesMax: bytesMax,
			inFlight: rapid.IntRange(1, 4).Draw(rt, "in flight")})
		if err != nil {
			rt.Fatal(err)
		}
		sizes := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(1, 60), 0, 30), 1, 12).Draw(rt, "requests")
		sources := []Source{{Name: "a"}, {Name: "b", Simulated: true}}
		var wait sync.WaitGroup
		var mu sync.Mutex
		released := 0
		for q, items := range sizes {
			submitted := p.expect()
			wait.Go(func() {
				var all []Item
				for i, size := range items {
					all = append(all, Item{Raw: fmt.Appendf(nil, "%d/%d/%s", q, i, strings.Repeat("x", size))})
				}
				submitted()
				if err := p.submit(t.Context(), sources[q%2], all, func() { mu.Lock(); released++; mu.Unlock() }); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		p.close()
		if released != len(sizes) {
			rt.Fatalf("%d of %d requests were released", released, len(sizes))
		}
		next := make([]int, len(sizes))
		for _, e := range stored(t, l) {
			bytes := 0
			for _, i := range e.Items {
				var q, n int
				if _, err := fmt.Sscanf(i.Raw, "%d/%d/", &q, &n); err != nil {
					rt.Fatal(err)
				}
				if n != next[q] || e.Header.Source != sources[q%2].Name || e.Header.Simulated != sources[q%2].Simulated {
					rt.Fatalf("request %d: got event %d of %+v, want %d", q, n, e.Header, next[q])
				}
				next[q]++
				bytes += len(i.Raw)
			}
			if len(e.Items) > eventsMax || len(e.Items) > 1 && bytes > bytesMax || len(e.Items) == 0 {
				rt.Fatalf("a message of %d events and %d bytes, limits %d and %d", len(e.Items), bytes, eventsMax, bytesMax)
			}
		}
		for q := range sizes {
			if next[q] != len(sizes[q]) {
				rt.Fatalf("request %d: %d of %d events are stored", q, next[q], len(sizes[q]))
			}
		}
	})
}

// TestLinger waits for requests that are being read, and for no others, in virtual time.
func TestLinger(t *testing.T) {
	ats.Register()
	defer ats.Unregister()
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, Options{})
		p, err := newPacker(packerOptions{log: l, encode: encodeTest})
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		submit := func(raw string) time.Duration {
			begin := time.Now()
			if err := p.submit(t.Context(), Source{}, []Item{{Raw: []byte(raw)}}, func() {}); err != nil {
				t.Error(err)
			}
			return time.Since(begin)
		}
		if d := submit("alone"); d != 0 {
			t.Fatalf("a lone request waited %v", d)
		}
		done := p.expect()
		if d := submit("beside a slow one"); d != p.opts.linger {
			t.Fatalf("a request beside a slow one waited %v", d)
		}
		var both sync.WaitGroup
		both.Go(func() { submit("first") })
		both.Go(func() { time.Sleep(time.Millisecond); done(); submit("second") })
		both.Wait()
		if all := stored(t, l); len(all) != 3 && len(all) != 4 {
			t.Fatalf("%d messages", len(all))
		}
	})
}

// TestPackerTimeout asks a log that does not answer: the request ends by its own
// clock and its memory is let go later.
func TestPackerTimeout(t *testing.T) {
	ats.Register()
	defer ats.Unregister()
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, Options{})
		p, err := newPacker(packerOptions{log: l, subject: "nobody.listens", encode: encodeTest, inFlight: 1})
		if err != nil {
			t.Fatal(err)
		}
		sub, err := l.nc.SubscribeSync("nobody.listens") // so that there is no "no responders"
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Unsubscribe()
		if err := l.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		released := make(chan struct{}, 10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wait sync.WaitGroup
		for range 5 {
			wait.Go(func() {
				err := p.submit(ctx, Source{}, []Item{{Raw: []byte("x")}}, func() { released <- struct{}{} })
				if !errors.Is(err, errTimeout) {
					t.Errorf("got %v", err)
				}
			})
		}
		wait.Wait()
		p.close()
		if len(released) != 5 {
			t.Errorf("%d of 5 requests were released", len(released))
		}
	})
}
