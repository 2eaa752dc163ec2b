package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipeServer serves c over net.Pipe inside a bubble and answers a client for it.
func pipeServer(t *testing.T, c *Console) (client *http.Client, stop func()) {
	t.Helper()
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: c}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l) // ends when it is closed
	}()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx) }}
	return &http.Client{Transport: tr}, func() {
		tr.CloseIdleConnections()
		_ = srv.Close()
		<-served
	}
}

// pipeListener is a listener whose connections never leave the process.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- loopbackConn{there}:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.done)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return loopback }

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}

// loopbackConn says that it comes from this machine.
type loopbackConn struct{ net.Conn }

func (loopbackConn) RemoteAddr() net.Addr { return loopback }

// startRun calls Run and answers how to end it.
func startRun(t *testing.T, c *Console) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// reader reads frames of one live connection.
type reader struct {
	body *http.Response
	scan *bufio.Scanner
}

func subscribe(t *testing.T, client *http.Client, topic string) *reader {
	t.Helper()
	resp, err := client.Get("http://127.0.0.1:8080/live?page=" + topic) //nolint:bodyclose // reader.close does
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Fatalf("live answers %s %v", resp.Status, resp.Header)
	}
	s := bufio.NewScanner(resp.Body)
	s.Buffer(nil, 1<<20)
	return &reader{resp, s}
}

// next answers the parts of the next frame; ok is false at the end of the connection.
func (r *reader) next(t *testing.T) (parts map[string]string, ok bool) {
	t.Helper()
	for r.scan.Scan() {
		if data, found := strings.CutPrefix(r.scan.Text(), "data: "); found {
			if err := json.Unmarshal([]byte(data), &parts); err != nil {
				t.Fatal(err)
			}
			return parts, true
		}
	}
	return nil, false
}

func (r *reader) close() { _ = r.body.Body.Close() }

func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDemo(2)
		c := newConsole(t, demoOptions(d))
		client, stopServer := pipeServer(t, c)
		defer stopServer()
		stopRun := startRun(t, c)
		r := subscribe(t, client, "overview")
		defer r.close()
		first, ok := r.next(t)
		if !ok || len(first) != 6 || !strings.Contains(first["verdict"], "Healthy") {
			t.Fatalf("the first frame has %d parts: %v", len(first), first)
		}
		// Two frames a second, not more, with what has changed and nothing else.
		r.next(t) // the first of the topic is whole again
		start, seen := time.Now(), map[string]bool{}
		for range 10 {
			parts, ok := r.next(t)
			if !ok {
				t.Fatal("the connection ended")
			}
			for name := range parts {
				seen[name] = true
			}
		}
		if took := time.Since(start); took < 4500*time.Millisecond || took > 5*time.Second {
			t.Errorf("10 frames took %v", took)
		}
		if !seen["tiles"] || !seen["graph"] || seen["latest"] {
			t.Errorf("changed parts: %v", seen)
		}
		d.put(Mail{ID: "new", Subject: "Fresh", To: "a@example.com", At: demoTime})
		for found := false; !found; {
			parts, ok := r.next(t)
			if !ok {
				t.Fatal("the connection ended before the mail came")
			}
			found = strings.Contains(parts["latest"], "Fresh")
		}
		// When Run ends, so do the connections: a server can shut down.
		stopRun()
		for ok {
			_, ok = r.next(t)
		}
		if n := c.hub.size(); n != 0 {
			t.Errorf("%d subscribers are left", n)
		}
		if resp, err := client.Get("http://127.0.0.1:8080/live?page=overview"); err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("after the end: %v %v", resp, err)
		} else {
			_ = resp.Body.Close()
		}
	})
}

// TestLiveInbox: the list is asked for only when it changed.
func TestLiveInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &countingInbox{demo: newDemo(2)}
		o := Options{Inbox: d}
		c := newConsole(t, o)
		client, stopServer := pipeServer(t, c)
		defer stopServer()
		defer startRun(t, c)()
		r := subscribe(t, client, "inbox")
		defer r.close()
		r.next(t)
		r.next(t)
		r.next(t)
		before := d.lists.Load()
		for range 20 {
			if parts, _ := r.next(t); len(parts) != 0 {
				t.Fatalf("parts without a change: %v", parts)
			}
		}
		if n := d.lists.Load() - before; n != 0 {
			t.Errorf("the list was asked for %d times without a change", n)
		}
		d.put(Mail{ID: "new", Subject: "Fresh", To: "a@example.com", At: demoTime})
		for {
			parts, ok := r.next(t)
			if !ok {
				t.Fatal("the connection ended")
			}
			if strings.Contains(parts["mails"], "Fresh") {
				break
			}
		}
	})
}

type countingInbox struct {
	*demo
	lists atomic.Int64
}

func (c *countingInbox) List(ctx context.Context, offset, limit int) ([]Mail, int, error) {
	c.lists.Add(1)
	return c.demo.List(ctx, offset, limit)
}

// TestLiveLimits: the number of subscribers is bounded, one that does not read is
// dropped, and the others do not feel it.
func TestLiveLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := demoOptions(newDemo(2))
		o.SubscribersMax = 2
		c := newConsole(t, o)
		client, stopServer := pipeServer(t, c)
		defer stopServer()
		defer startRun(t, c)()
		quick := subscribe(t, client, "overview")
		defer quick.close()
		quick.next(t)
		slow := subscribe(t, client, "overview") // never reads: net.Pipe holds nothing
		defer slow.close()
		resp, err := client.Get("http://127.0.0.1:8080/live?page=overview")
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("the third: %v %v", resp, err)
		}
		_ = resp.Body.Close()
		start := time.Now()
		for range 40 {
			if _, ok := quick.next(t); !ok {
				t.Fatal("the quick one was dropped")
			}
		}
		if took := time.Since(start); took > 21*time.Second {
			t.Errorf("the slow one held the quick one up: 40 frames in %v", took)
		}
		if got := c.hub.size(); got != 1 {
			t.Errorf("%d subscribers, want the quick one", got)
		}
		if c.count.dropped.Load() == 0 || c.count.refused.Load() != 1 {
			t.Errorf("dropped %d, refused %d", c.count.dropped.Load(), c.count.refused.Load())
		}
	})
}

func TestRunTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, Options{})
		defer startRun(t, c)()
		if err := c.Run(t.Context()); err == nil {
			t.Error("it runs twice at once")
		}
	})
}

// TestRates compares the rates with those of a shop whose speed is known.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &steady{start: time.Now()}
		c := newConsole(t, Options{Stats: s, Graph: s})
		defer startRun(t, c)()
		time.Sleep(90*time.Second + 100*time.Millisecond)
		r := c.sampler.latest(t.Context(), time.Hour)
		if r.eventRate < 99 || r.eventRate > 101 || len(r.history) < 88 || len(r.history) > 90 {
			t.Errorf("%.1f/s, %d points", r.eventRate, len(r.history))
		}
		if got := r.nodeRate["a"]; got < 49 || got > 51 {
			t.Errorf("node a: %.1f/s", got)
		}
		if got := r.edgeRate[edgeKey{"a", "b", "x"}]; got < 24 || got > 26 {
			t.Errorf("edge a-b: %.1f/s", got)
		}
		time.Sleep(time.Hour)
		r = c.sampler.latest(t.Context(), time.Hour)
		if kept := c.sampler.size(); len(r.history) != historySlots || kept > ratesMax {
			t.Errorf("after an hour: %d points, %d samples", len(r.history), kept)
		}
		s.back.Store(true) // a restored data directory counts from less
		time.Sleep(time.Second)
		if r = c.sampler.latest(t.Context(), time.Hour); r.eventRate != 0 {
			t.Errorf("a counter that went back runs at %.1f/s", r.eventRate)
		}
	})
}

// size is how many samples are kept.
func (s *sampler) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept)
}

// steady counts 100 events a second.
type steady struct {
	start time.Time
	back  atomic.Bool
}

func (s *steady) n() uint64 {
	if s.back.Load() {
		return 1
	}
	return uint64(100 * time.Since(s.start).Seconds())
}

func (s *steady) Stats() Snapshot { return Snapshot{Events: s.n()} }

func (s *steady) Graph() ([]Node, []Edge) {
	return []Node{{ID: "a", Total: s.n() / 2}, {ID: "b"}}, []Edge{{From: "a", To: "b", Label: "x", Total: s.n() / 4}}
}

func BenchmarkFrame(b *testing.B) {
	c := newConsole(b, demoOptions(newDemo(40)))
	for range historySlots {
		c.sampler.history = append(c.sampler.history, float64(len(c.sampler.history)%17))
	}
	b.ReportAllocs()
	for b.Loop() {
		parts, err := c.overviewParts(context.Background(), c.sampler.take(context.Background()))
		if err != nil {
			b.Fatal(err)
		}
		if len(frameOf(parts)) < 1000 {
			b.Fatal("a frame without content")
		}
	}
}

func ExampleConsole() {
	d := newDemo(1)
	c, err := New(Options{Stats: d, Inbox: d, Title: "Demo Shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	// http.ListenAndServe("127.0.0.1:8080", c) would stand here.
	stop()
	fmt.Println(<-done)
	// Output: <nil>
}
