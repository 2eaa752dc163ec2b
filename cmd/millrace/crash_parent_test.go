package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"millrace/bench/shop"
	"millrace/operators/event"
	"millrace/operators/mail"
)

// This file is the other side of the crash test: the inbox, the shop that sends until
// it is answered, and the life and death of the children.

// crashTest is one data directory that children die on.
type crashTest struct {
	t     *testing.T
	dir   string
	dice  *rand.Rand
	inbox *crashInbox
	post  *http.Client

	unsent []shop.Event // sent but not acknowledged, first to be sent again
	shop   *shop.Simulation
	acked  map[string]bool // messageIds that the log must hold

	doubt map[string]bool // decisions that some death left at the final dot
	kills map[string]int  // by point
	// What the deaths met: an epoch that ended inside a message, items to be written yet.
	inside, behind int

	patience time.Duration // how long a child may take
}

func newCrashTest(t *testing.T, seed uint64) *crashTest {
	t.Helper()
	c := &crashTest{
		t: t, dir: filepath.Join(t.TempDir(), "data"), dice: rand.New(rand.NewPCG(seed, 1)), inbox: newCrashInbox(t),
		post: &http.Client{Transport: &http.Transport{}}, acked: make(map[string]bool),
		doubt: make(map[string]bool), kills: make(map[string]int), patience: childMax,
		// Livelier than life in everything that a crash could spoil.
		shop: shop.New(shop.Options{
			Seed: seed, Shoppers: 1500, Carting: 0.4, Bought: 0.35, Late: 0.01, Duplicate: 0.02, Malformed: 0.01, Refunded: 0.3,
		}),
	}
	t.Cleanup(c.post.CloseIdleConnections)
	return c
}

// crashInbox receives what the children send, and outlives them.
type crashInbox struct {
	url   string
	inbox *mail.Inbox
	conns *countedListener
	mu    sync.Mutex
	mails []mail.Received
}

func newCrashInbox(t *testing.T) *crashInbox {
	t.Helper()
	c := &crashInbox{inbox: mail.NewInbox(mail.InboxOptions{})}
	l, err := c.inbox.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.url = "smtp://" + l.Addr().String()
	c.conns = &countedListener{Listener: l}
	c.conns.none = sync.NewCond(&c.conns.mu)
	c.inbox.Watch(func(r mail.Received) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.mails = append(c.mails, r)
	})
	served := make(chan error, 1)
	go func() { served <- c.inbox.Serve(c.conns) }()
	t.Cleanup(func() {
		if err := errors.Join(c.inbox.Close(), <-served); err != nil {
			t.Error("close the inbox:", err)
		}
	})
	return c
}

// received is what came so far, once every connection has ended: what a dead child had
// handed to its socket has then been read.
func (c *crashInbox) received() []mail.Received {
	c.conns.wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]mail.Received(nil), c.mails...)
}

// countedListener knows how many of its connections are open.
type countedListener struct {
	net.Listener
	mu   sync.Mutex
	open int
	none *sync.Cond
}

// Accept implements net.Listener.
func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.add(1)
	return &countedConn{Conn: c, gone: sync.OnceFunc(func() { l.add(-1) })}, nil
}

func (l *countedListener) add(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open += n
	l.none.Broadcast()
}

func (l *countedListener) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.open > 0 {
		l.none.Wait()
	}
}

type countedConn struct {
	net.Conn
	gone func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	defer c.gone()
	return c.Conn.Close()
}

// child is a running app.
type child struct {
	plan    crashPlan
	cmd     *exec.Cmd
	ready   chan string   // its URL, once
	console chan string   // that of its console, once
	limited chan string   // it denied itself something, or has it back
	done    chan struct{} // closed when it has ended
	hung    atomic.Bool   // it was ended for taking far too long
	stderr  bytes.Buffer  // read only after done
}

// childMax is when a child is given up: most live for a tenth of a second.
const childMax = 30 * time.Second

// start starts a child on the data directory.
func (c *crashTest) start(plan crashPlan) *child {
	c.t.Helper()
	plan.Dir, plan.SMTP = c.dir, c.inbox.url
	raw, err := json.Marshal(plan)
	if err != nil {
		c.t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	k := &child{
		plan: plan, cmd: exec.CommandContext(c.t.Context(), exe), done: make(chan struct{}),
		ready: make(chan string, 1), console: make(chan string, 1), limited: make(chan string, 4),
	}
	watchdog := time.AfterFunc(c.patience, func() {
		k.hung.Store(true)
		_ = k.cmd.Process.Signal(syscall.SIGQUIT) // says where it hangs
	})
	k.cmd.Env = append(os.Environ(), crashEnv+"="+string(raw))
	k.cmd.Stderr = &k.stderr
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		defer close(k.done)
		defer watchdog.Stop()
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
				k.ready <- url
			}
			if url, ok := strings.CutPrefix(lines.Text(), "console "); ok {
				k.console <- url
			}
			if line := lines.Text(); line == "limited" || line == "free" {
				k.limited <- line
			}
		}
		_ = k.cmd.Wait() // how it ended is in ProcessState
	}()
	return k
}

// kill ends a child as a crash does, at whatever it is doing.
func (k *child) kill() { _ = k.cmd.Process.Kill() }

// end waits for the end of a child and checks that it was the expected one.
func (c *crashTest) end(k *child, killed bool) {
	c.t.Helper()
	<-k.done
	if k.hung.Load() {
		c.t.Fatalf("child %+v did not end within %s, said:\n%s", k.plan, c.patience, k.stderr.String())
	}
	status, _ := k.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case killed && status.Signaled() && status.Signal() == syscall.SIGKILL:
	case !killed && k.cmd.ProcessState.Success():
	default:
		c.t.Fatalf("child %+v ended with %v, said:\n%s", k.plan, k.cmd.ProcessState, k.stderr.String())
	}
	said := k.stderr.String()
	for line := range strings.Lines(said) {
		if !strings.Contains(line, "level=ERROR") || strings.Contains(line, "another version came first") {
			continue // who dies with a change in the log makes the next one come second
		}
		c.t.Errorf("child %+v reports an error:\n%s", k.plan, said)
	}
}

// url waits until a child takes events. It answers "" when the child died before.
func (k *child) url() string {
	select {
	case url := <-k.ready:
		return url
	case <-k.done:
		return ""
	}
}

// next is the next request's worth of events: those of the last request if that was
// not acknowledged.
func (c *crashTest) next() []shop.Event {
	if len(c.unsent) == 0 {
		for range 10 + c.dice.IntN(30) {
			c.unsent = append(c.unsent, c.shop.Next())
		}
	}
	return c.unsent
}

// send posts events once. An error means that they may or may not be in the log.
func (c *crashTest) send(ctx context.Context, url string, events []shop.Event) error {
	var b bytes.Buffer
	b.WriteString(`{"batch":[`)
	for i := range events {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(events[i].JSON)
	}
	b.WriteString("]}")
	return shop.HTTPPost(c.post, url, crashKey)(ctx, "/v1/batch", b.Bytes())
}

// acknowledged notes that the log has events.
func (c *crashTest) acknowledged(events []shop.Event) {
	for i := range events {
		c.acked[events[i].MessageID] = true
	}
	c.unsent = nil
}

// feed sends events until the child is dead, at most so many requests. It answers how
// many were acknowledged.
func (c *crashTest) feed(k *child, url string, most int) int {
	c.t.Helper()
	if url == "" {
		return 0
	}
	for n := range most {
		for {
			events := c.next()
			err := c.send(c.t.Context(), url, events)
			if err == nil {
				c.acknowledged(events)
				break
			}
			if _, ok := errors.AsType[*shop.RefusedError](err); ok {
				c.t.Fatalf("events were refused: %v", err)
			}
			if _, ok := errors.AsType[*shop.RetryError](err); !ok { // the link broke
				<-k.done
				return n
			}
		}
	}
	return most
}

// append puts messages into the log while no child runs, as any NATS client may.
func (c *crashTest) append(messages ...[]byte) {
	c.t.Helper()
	l, closeLog, err := openLog(c.t.Context(), c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	defer closeLog()
	for _, m := range messages {
		if _, err := l.Publish(c.t.Context(), "in.other", "", m); err != nil {
			c.t.Fatal(err)
		}
	}
}

// envelope packs events as the gateway does.
func envelope(events ...[]byte) []byte {
	items := make([]event.Item, len(events))
	for i := range events {
		items[i].Raw = events[i]
	}
	return event.AppendEnvelope(nil, event.Header{ReceivedAt: time.Now().UnixMilli(), Source: "shop", Sim: true}, items)
}

// backlog puts many messages into the log: packed events, plain ones, and rubbish.
func (c *crashTest) backlog(n int) {
	c.t.Helper()
	if len(c.unsent) > 0 { // its fate is open: it must come by the same way again
		return
	}
	var messages [][]byte
	for i := range n {
		var raw [][]byte
		for range 1 + c.dice.IntN(20) {
			e := c.shop.Next()
			c.acked[e.MessageID] = true
			raw = append(raw, e.JSON)
		}
		packed := envelope(raw...)
		messages = append(messages, packed)
		switch i % 8 {
		case 1:
			e := c.shop.Next()
			c.acked[e.MessageID] = true
			messages = append(messages, e.JSON)
		case 3:
			messages = append(messages, packed[:len(packed)/2])
		case 5:
			messages = append(messages, []byte("\xff\xfe rubbish"))
		}
	}
	c.append(messages...)
}

// days lets so much time pass in the log, in steps of six hours.
func (c *crashTest) days(n int) {
	c.t.Helper()
	start := c.shop.Peek()
	var messages [][]byte
	for i := range 4 * n {
		messages = append(messages, envelope(raw("page", "clock", start.Add(time.Duration(i+1)*6*time.Hour), "")))
	}
	c.append(messages...)
}

// raw is an event of a person; rest are further members of its JSON, each after a comma.
func raw(kind, user string, at time.Time, rest string) []byte {
	return fmt.Appendf(nil, `{"type":%q,"userId":%q,"messageId":"%s-%d","timestamp":%q%s}`, kind, user, user, at.UnixMilli(),
		at.UTC().Format(time.RFC3339Nano), rest)
}

// crash runs a child that kills itself by its plan while events flow.
func (c *crashTest) crash(plan crashPlan) {
	c.t.Helper()
	k := c.start(plan)
	const most = 400 // requests, far more than any plan needs
	if n := c.feed(k, k.url(), most); n == most {
		k.kill()
		c.t.Fatalf("child %+v did not come to its point within %d requests, said:\n%s", plan, n, c.wait(k))
	}
	c.end(k, true)
	c.died(plan.Kill)
}

// crashOnce runs a child that kills itself on the way to the end of the log.
func (c *crashTest) crashOnce(plan crashPlan) {
	c.t.Helper()
	plan.Once = true
	c.end(c.start(plan), true)
	c.died(plan.Kill)
}

// strike kills a child from outside: after so many requests, while the next is on its
// way.
func (c *crashTest) strike(plan crashPlan, requests int) {
	c.t.Helper()
	k := c.start(plan)
	url := k.url()
	if n := c.feed(k, url, requests); url == "" || n != requests {
		c.t.Fatalf("child %+v died by itself, said:\n%s", plan, c.wait(k))
	}
	events := c.next()
	answer := make(chan error, 1)
	go func() { answer <- c.send(c.t.Context(), url, events) }()
	k.kill()
	if err := <-answer; err == nil {
		c.acknowledged(events)
	}
	c.end(k, true)
	c.died("from outside")
}

func (c *crashTest) wait(k *child) string {
	<-k.done
	return k.stderr.String()
}

// died does what follows each death: it looks at what lies on disk, as it lies there.
func (c *crashTest) died(point string) {
	c.t.Helper()
	c.kills[point]++
	if err := c.checkAtRest(); err != nil {
		c.t.Fatalf("after the kill at %s, %v: %v", point, c.kills, err)
	}
}

// finish runs a child to the end of the log and of all effects.
func (c *crashTest) finish() {
	c.t.Helper()
	k := c.start(crashPlan{Once: true})
	c.end(k, false)
}

// copyTree copies a directory of plain files with the holes that they have: Badger
// maps files of a gigabyte.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case d.Type().IsRegular():
			return copyFile(path, target)
		default:
			return nil // the socket
		}
	})
}

// copyFile copies the parts of a file that hold data.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	const seekData, seekHole = 3, 4 // of lseek(2); elsewhere an error, and all is copied
	for at := int64(0); at < info.Size(); {
		start, err := in.Seek(at, seekData)
		if errors.Is(err, syscall.ENXIO) {
			break // only a hole is left
		}
		end := info.Size()
		if err != nil {
			start = at
		} else if end, err = in.Seek(start, seekHole); err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, start), io.NewSectionReader(in, start, end-start)); err != nil {
			return fmt.Errorf("copy %s: %w", from, err)
		}
		at = end
	}
	return errors.Join(out.Truncate(info.Size()), out.Close())
}
