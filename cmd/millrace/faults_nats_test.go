package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/bench/shop"
	"millrace/console"
	"millrace/engine/stream"
)

// readiness is what /readyz answers.
type readiness struct {
	Status string
	Failed string
	Checks []console.CheckResult
}

func (r readiness) why() string {
	for _, c := range r.Checks {
		if c.Name == r.Failed {
			return c.Error
		}
	}
	return ""
}

// ready asks /readyz.
func ready(t *testing.T, url string) (int, readiness) {
	t.Helper()
	code, body := ask(t, http.MethodGet, url+"/readyz", "", "")
	var r readiness
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("/readyz answers %d %q: %v", code, body, err)
	}
	return code, r
}

// elsewhere is a NATS server that is not the program's own, on the log of a crash test:
// it can be stopped, and started again at the same place and port.
type elsewhere struct {
	c      *crashTest
	server *stream.Server
	listen string
}

func (e *elsewhere) start() {
	e.c.t.Helper()
	var err error
	if e.server, err = stream.StartServer(stream.ServerOptions{Dir: files{e.c.dir}.log(), Listen: e.listen}); err != nil {
		e.c.t.Fatal(err)
	}
	e.listen = strings.TrimPrefix(e.server.URL(), "nats://")
}

// TestLogGoneAndBack takes the NATS server away from the running program, in the middle of
// events and mails, and brings it back: twice, for as long as a hundred refused requests
// take, or for a minute with MILLRACE_SOAK. The program waits, says why, and goes on; what
// the log then holds leads to the same people, decisions and mails as a recount.
func TestLogGoneAndBack(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	c := newCrashTest(t, 11)
	nats := &elsewhere{c: c, listen: "127.0.0.1:0"}
	nats.start()
	defer func() { nats.server.Shutdown() }()
	a, err := openApp(t.Context(), settings{
		files: files{dir: c.dir}, nats: nats.server.URL(), durability: "process", smtp: c.inbox.url, logBytes: 1 << 30, reserve: 1,
		drain: 20 * time.Second, simulated: true, speed: 1, http: "127.0.0.1:0", console: "127.0.0.1:0",
		writeKeys: []string{crashKey + "=shop"}, log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx) }()
	r := &running{app: a, t: t}
	ingest := "http://" + a.listeners["http"].Addr().String()
	page := "http://" + a.listeners["console"].Addr().String()
	outage := c.feedThrough(ingest, 40)
	if outage > 0 {
		t.Errorf("%d requests were refused while all was well", outage)
	}
	refused := 0
	for range 2 {
		before := a.engine.Stats().Events
		nats.server.Shutdown()
		r.until("/readyz names the log", func() bool {
			code, is := ready(t, page)
			return code == http.StatusServiceUnavailable && is.Failed == "log" && strings.Contains(is.why(), stream.ErrUnavailable.Error())
		})
		refused += c.refusals(ingest)
		nats.start()
		r.until("/readyz is well again", func() bool { code, _ := ready(t, page); return code == http.StatusOK })
		c.feedThrough(ingest, 40)
		r.until("the engine reads on", func() bool { return a.engine.Stats().Events > before })
	}
	r.settle()
	stop()
	if err := <-ended; err != nil {
		t.Fatalf("run: %v", err)
	}
	a.close()
	nats.server.Shutdown()
	c.finish()
	v := c.judge()
	t.Logf("%d requests were refused; %d messages, %d events of %d persons, %d decisions, %d mails",
		refused, len(v.log.messages), v.count.events, len(v.count.people), len(v.got.decisions), len(v.mails))
	if len(v.mails) == 0 || refused == 0 {
		t.Error("the outages met nothing of what they are for")
	}
}

// feedThrough sends so many requests of events, each until it is acknowledged, as an SDK
// does. It answers how often one had to be sent again.
func (c *crashTest) feedThrough(url string, requests int) (again int) {
	c.t.Helper()
	for range requests {
		for {
			events := c.next()
			err := c.send(c.t.Context(), url, events)
			if err == nil {
				c.acknowledged(events)
				break
			}
			if _, ok := errors.AsType[*shop.RetryError](err); !ok {
				c.t.Fatalf("events were not refused for now but %v", err)
			}
			again++
		}
	}
	return again
}

// refusals sends the same events again and again while the log is gone: each request must
// be answered with "later", never with "taken" or "never".
func (c *crashTest) refusals(url string) (n int) {
	c.t.Helper()
	long := time.Now()
	if os.Getenv("MILLRACE_SOAK") != "" {
		long = long.Add(time.Minute)
	}
	events := c.next()
	for n < 100 || time.Now().Before(long) {
		err := c.send(c.t.Context(), url, events)
		if _, ok := errors.AsType[*shop.RetryError](err); !ok {
			c.t.Fatalf("without a log events are answered: %v", err)
		}
		n++
	}
	return n
}
