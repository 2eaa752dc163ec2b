package stream

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestNodeSDK sends 1,000 events with the unmodified @segment/analytics-node over a
// loopback socket. It runs where node and npm are present and the SDK can be had,
// and says so where not.
func TestNodeSDK(t *testing.T) {
	if testing.Short() {
		t.Skip("installs a package")
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not present: the Node SDK is not tested here", tool)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "send.js"} {
		b, err := os.ReadFile(filepath.Join("testdata", "node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install the SDK, which is not tested here: %v\n%s", err, out)
	}

	l := openLog(t, Options{})
	g := newGateway(t, GatewayOptions{Log: l})
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, done := g.HTTPServer(), make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	defer func() {
		_ = srv.Close()
		<-done
	}()
	send := exec.CommandContext(ctx, "node", "send.js", "http://"+ln.Addr().String(), "wk_demo") //nolint:gosec // our own script
	send.Dir = dir
	if out, err := send.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	seen := map[string]int{}
	for _, i := range storedItems(t, l) {
		var e struct{ MessageID, Type, Event string }
		if err := json.Unmarshal([]byte(i.Raw), &e); err != nil || e.Type != "track" || e.Event != "Product Viewed" {
			t.Fatalf("stored %s: %v", i.Raw, err)
		}
		seen[e.MessageID]++
	}
	if len(seen) != 1000 {
		t.Fatalf("%d events are stored", len(seen))
	}
	for id, n := range seen {
		if n != 1 {
			t.Fatalf("%s is stored %d times", id, n)
		}
	}
	if s := g.Stats(); s.Requests < 60 {
		t.Fatalf("%d requests: the SDK sends 15 events in each", s.Requests)
	}
}
