package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace/operators/event"
	"millrace/operators/mail"
)

// TestReaders: the shoppers of dev open and click for real where mails report it, and
// only then; all other events reach the ingest as they are.
func TestReaders(t *testing.T) {
	r := startApp(t, func() settings {
		s := testSettings(t)
		s.simulated, s.speed = true, 1
		return s
	}())
	base := "http://" + r.listeners["http"].Addr().String()
	open, _ := r.signer.Open("p", "d1")
	click, _ := r.signer.Click("p", "d1", "https://shop.example/cart?a=1&b=2")
	page := fmt.Sprintf(`<a class="btn" href="%s/c/%s">x</a><img src="%s/o/%s.gif" width="1" height="1" alt="" />`, base, click, base, open)
	var sent string
	read := newReaders(r.app, func(_ context.Context, _ string, body []byte) error { sent = string(body); return nil })
	read.open = func(id int64) (mail.Opened, bool) { return mail.Opened{HTML: page}, id == 7 }
	read.received(mail.Received{ID: 7, MessageID: "d1@shop.example"})

	told := func(name, id string) string {
		return fmt.Sprintf(`{"type":"track","event":%q,"properties":{"email_id":%q},"context":{"userAgent":%q}}`, name, id, reader)
	}
	f := func(want string, events ...string) {
		t.Helper()
		body := `{"batch":[` + strings.Join(events, ",") + `],"writeKey":"wk"}`
		if err := read.Post(t.Context(), "/v1/batch", []byte(body)); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Batch    []struct{ Event string }
			WriteKey string `json:"writeKey"`
		}
		if err := json.Unmarshal([]byte(sent), &got); err != nil || got.WriteKey != "wk" || fmt.Sprint(got.Batch) != want {
			t.Fatalf("%v: got %s, %v", events, sent, err)
		}
	}
	f("[{Product Viewed}]", `{"event":"Product Viewed"}`)
	f("[{Email Delivered} {Product Viewed}]", told("Email Delivered", "d1@shop.example"), told("Email Opened", "d1@shop.example"),
		told("Email Link Clicked", "d1@shop.example"), `{"event":"Product Viewed"}`)
	f("[{Email Opened}]", told("Email Opened", "another@shop.example"))
	count := func(k event.Kind) uint64 { return r.pipeline.Counters.Events[k].Load() }
	r.until("opening and click came back", func() bool { return count(event.EmailOpened) == 1 && count(event.EmailLinkClicked) == 1 })

	// A mail that does not report, and a shop that does not want it.
	page = "<p>plain</p>"
	f("[{Email Opened} {Email Link Clicked}]", told("Email Opened", "d1@shop.example"), told("Email Link Clicked", "d1@shop.example"))
	read.opens, read.clicks = false, false
	f("[{Email Opened}]", told("Email Opened", "d1@shop.example"))
	read.opens = true
	if err := read.Post(t.Context(), "/v1/batch", []byte(`"Email `)); err != nil || sent != `"Email ` {
		t.Errorf("what is no batch became %q, %v", sent, err)
	}
	// Who does not answer is told of by the shop.
	page = `<img src="http://127.0.0.1:1/o/x.gif" width="1" height="1"`
	f("[{Email Opened}]", told("Email Opened", "d1@shop.example"))
	for i := range readersMails + 5 {
		read.received(mail.Received{ID: int64(i), MessageID: fmt.Sprint(i)})
	}
	if len(read.mails) != readersMails || len(read.order) != readersMails {
		t.Errorf("%d mails are remembered", len(read.mails))
	}
	if read.client.Timeout < time.Second || read.client.CheckRedirect(nil, nil) != http.ErrUseLastResponse { //nolint:errorlint // the value itself
		t.Error("readers follow links out of this machine")
	}
}
