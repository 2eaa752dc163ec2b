package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/engine/stream"
)

// TestServerOfItsOwn uses a NATS server that runs elsewhere for all that needs the log.
func TestServerOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	server, err := stream.StartServer(stream.ServerOptions{Dir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	url := server.URL()
	file := filepath.Join(dir, "pages.ndjson")
	pages(t, file, 1, 100)
	o := importOptions{format: "ndjson", nats: url}
	o.dir = filepath.Join(dir, "data")
	var out bytes.Buffer
	if err := o.run(t.Context(), &out, &out, []string{file}); err != nil {
		t.Fatal(err)
	}
	mailbox := newInbox(t)
	r := start(t, settings{files: o.files, nats: url, smtp: mailbox.url, simulated: true, speed: 1})
	r.put(
		string(raw("identify", "ann", at(0), `,"traits":{"email":"ann@shop.example","marketing_consent":true}`)),
		string(raw("track", "ann", at(time.Minute), `,"event":"Product Added","properties":{"cart_id":"c1","product_id":"T","name":"Tent","price":129,"currency":"USD"}`)),
		`{"type":"track","userId":"ann"}`,
		clock(2*time.Hour),
	)
	if m := <-mailbox.received; m.To != "ann@shop.example" {
		t.Errorf("mail to %s", m.To)
	}
	r.until("the mail's receipt was read", func() bool { return r.why("ann")[0].Outcome == "sent" })
	if p := r.profile("u1"); len(p.Events) == 0 {
		t.Error("nothing is known of who was imported")
	}
	letters := deadLetterSource{files: o.files, nats: url}
	r.until("the bad event is a dead letter", func() bool {
		all, err := letters.list(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(all) == 1 && all[0].Reason == "no_event_name"
	})
	r.stop()

	// The state stays here: asking needs no server.
	server.Shutdown()
	var p profileView
	if err := askAnyone(t.Context(), o.files, question{What: "profile", User: "ann"}, &p); err != nil || p.User != "ann" {
		t.Errorf("profile without a server: %v, %+v", err, p)
	}
	// Without the server the program says so at once.
	_, err = openApp(t.Context(), settings{files: o.files, nats: url, log: r.log})
	if !errors.Is(err, stream.ErrUnavailable) || !strings.HasPrefix(err.Error(), "--nats: ") {
		t.Errorf("a server that is down: %v", err)
	}
}
