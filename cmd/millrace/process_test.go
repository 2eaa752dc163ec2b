package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// process is the program as a process of its own.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	out     bytes.Buffer
	said    chan string // the rest of stderr, when it has ended
	ingest  string
	console string
}

// spawn starts the program and waits until it has said where it can be reached.
func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), "millrace", args...), said: make(chan string, 1)}
	p.cmd.Stdout = &p.out
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	var said strings.Builder
	for p.console == "" && lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if m := regexp.MustCompile(`^  (ingest|console) +(http://[^/]+)/`).FindStringSubmatch(lines.Text()); m != nil {
			*map[string]*string{"ingest": &p.ingest, "console": &p.console}[m[1]] = m[2]
		}
	}
	go func() {
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
		}
		p.said <- said.String()
	}()
	if p.console == "" {
		t.Fatalf("it did not start:\n%s", <-p.said)
	}
	return p
}

// end sends a signal and waits for the exit code and what was said.
func (p *process) end(s syscall.Signal) (code int, said string) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	said = <-p.said
	if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode(), said
}

// shell runs the program to its end.
func shell(t *testing.T, args ...string) (code int, out, said string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "millrace", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// eventually asks until the answer holds want.
func eventually(t *testing.T, want string, args ...string) string {
	t.Helper()
	var out, said string
	for range 300 { // each takes the time of a process
		if _, out, said = shell(t, args...); strings.Contains(out, want) {
			return out
		}
	}
	t.Fatalf("%v never told %q, last:\n%s%s", args, want, out, said)
	return ""
}

// TestProcess runs the program, asks it while it runs and when it is gone, ends it in
// every way, and goes on.
func TestProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the program many times")
	}
	dir := filepath.Join(t.TempDir(), "data")
	run := []string{"run", "--data-dir", dir, "--http", "127.0.0.1:0", "--console", "127.0.0.1:0", "--write-key", "wk_shop=web", "--disk-reserve", "134217728", "--durability", "process"}
	p := spawn(t, run...)
	post := func(want int, body string) {
		t.Helper()
		if code, answer := ask(t, http.MethodPost, p.ingest+"/v1/batch", "application/json", body); code != want {
			t.Fatalf("%d %s", code, answer)
		}
	}
	post(401, `{"writeKey":"wk_other","batch":[{"type":"page","userId":"ann"}]}`)
	post(200, `{"writeKey":"wk_shop","batch":[
		{"type":"identify","messageId":"1","userId":"ann","traits":{"email":"ann@shop.example","marketing_consent":true}},
		{"type":"track","messageId":"2","userId":"ann"},
		{"type":"track","messageId":"3","userId":"ann","event":"Order Completed","properties":{"order_id":"o1","revenue":12,"currency":"EUR","products":[{"product_id":"A","name":"Axe"},{"product_id":"B","name":"Bow"}]}},
		{"type":"track","messageId":"5","userId":"eve","event":"Order Completed","properties":{"order_id":"o2","products":[{"product_id":"C","name":"Cup"}]}},
		{"type":"track","messageId":"4","userId":"ann","event":"Product Added","properties":{"cart_id":"c1","product_id":"A","name":"Axe","price":9,"currency":"EUR"}}]}`)

	// The same answers while it runs, over its socket, and later from the files.
	questions := func() {
		t.Helper()
		f := func(want string, args ...string) {
			t.Helper()
			code, out, said := shell(t, append(args, "--data-dir", dir)...)
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("%v: exit %d, %s%s", args, code, out, said)
			}
		}
		f("a…@s….example  consent yes", "profile", "show", "ann")
		f("waiting  post-purchase/ordered about order o1: fires at ", "why", "ann")
		f("Cup", "recommend", "--user", "ann")
		f("bought together", "recommend", "--item", "A")
		f("no_event_name", "dlq", "list")
		f(`\"messageId\":\"2\"`, "dlq", "show", "1")
		for _, args := range [][]string{{"profile", "show", "bob"}, {"why", "bob"}, {"recommend", "--item", "Z"}, {"dlq", "show", "77"}, {"dlq", "retry", "77"}} {
			if code, out, said := shell(t, append(args, "--data-dir", dir)...); code != exitNotFound || out != "" {
				t.Errorf("%v: exit %d, %s%s", args, code, out, said)
			}
		}
	}
	eventually(t, "no_event_name", "dlq", "list", "--data-dir", dir)
	eventually(t, "bought together", "recommend", "--item", "A", "--data-dir", dir)
	questions()

	// Nobody else may work on its data.
	for _, args := range [][]string{run, {"dev", "--for", "1s", "--data-dir", dir, "--http", "127.0.0.1:0", "--console", ""}, {"import", "--format", "ndjson", "--data-dir", dir, "process_test.go"}} {
		if code, _, said := shell(t, args...); code != exitFailure || !strings.Contains(said, "another millrace works on this data directory") {
			t.Errorf("%s beside it: exit %d, %s", args[0], code, said)
		}
	}

	// SIGTERM ends it well, and what it knew is still known.
	code, said := p.end(syscall.SIGTERM)
	if code != 0 || !strings.HasPrefix(p.out.String(), "4 events, ") {
		t.Errorf("SIGTERM: exit %d, %s%s", code, p.out.String(), said)
	}
	questions()

	// The dead letter is tried again: it is still wrong, and comes back as another one.
	if code, out, said := shell(t, "dlq", "retry", "1", "--data-dir", dir); code != 0 || !strings.HasPrefix(out, "1 is in the log again") {
		t.Errorf("retry: exit %d, %s%s", code, out, said)
	}
	if code, _, said := shell(t, "dlq", "list", "--data-dir", dir); code != 0 || said != "no dead letters\n" {
		t.Errorf("list after the retry: exit %d, %s", code, said)
	}
	p = spawn(t, run...)
	eventually(t, "no_event_name", "dlq", "list", "--data-dir", dir)
	if _, out, _ := shell(t, "dlq", "retry", "2", "--data-dir", dir); !strings.HasPrefix(out, "2 is in the log again") {
		t.Errorf("retry while it runs: %s", out)
	}
	var letters []letterJSON
	out := eventually(t, `"number": 3`, "dlq", "list", "--data-dir", dir, "-o", "json")
	if err := json.Unmarshal([]byte(out), &letters); err != nil || len(letters) != 1 {
		t.Errorf("%v: %s", err, out)
	}

	// What was answered 200 survives SIGKILL.
	post(200, `{"writeKey":"wk_shop","batch":[{"type":"identify","messageId":"9","userId":"cid","traits":{"firstName":"Cid"}}]}`)
	if code, said := p.end(syscall.SIGKILL); code != -1 {
		t.Errorf("SIGKILL: exit %d, %s", code, said)
	}
	p = spawn(t, run...)
	eventually(t, "Cid", "profile", "show", "cid", "--data-dir", dir)
	if code, said := p.end(syscall.SIGINT); code != 0 || strings.Contains(said, "ERROR") {
		t.Errorf("interrupt: exit %d, %s", code, said)
	}
}
