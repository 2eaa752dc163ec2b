package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"millrace/bench/shop"
	"millrace/operators/event"
	"millrace/operators/mail"
)

// readers are the mail programs of the simulated shoppers. The shop tells of an opening
// or a click as an e-mail service would; where mails report these themselves, readers
// fetch the pixel and follow the link instead, so that what comes back is real. Safe
// for concurrent use.
type readers struct {
	client *http.Client
	open   func(id int64) (mail.Opened, bool)
	post   shop.Post

	opens, clicks bool // what mails report

	mu    sync.Mutex       // guards what follows
	mails map[string]int64 // number in the inbox, by Message-ID
	order []string         // of their arrival
}

// readersMails bounds the mails that are remembered: more than the inbox keeps.
const readersMails = 10_000

// newReaders puts mail programs between the shop and its ingest.
func newReaders(a *app, post shop.Post) *readers {
	client := &http.Client{
		Timeout:       hitWait + time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the shop's pages do not exist
	}
	r := &readers{client: client, post: post, mails: make(map[string]int64)}
	if a.inbox != nil {
		r.open = a.inbox.Open
		r.opens, r.clicks = a.tracks()
	}
	return r
}

// received notes a mail that came.
func (r *readers) received(m mail.Received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.mails[m.MessageID]; known {
		return
	}
	if len(r.order) >= readersMails {
		delete(r.mails, r.order[0])
		r.order = r.order[1:]
	}
	r.mails[m.MessageID] = m.ID
	r.order = append(r.order, m.MessageID)
}

// Post hands a request of the shop to the ingest, without the events that readers made
// happen themselves. It implements shop.Post.
func (r *readers) Post(ctx context.Context, path string, body []byte) error {
	if !r.opens && !r.clicks || !bytes.Contains(body, []byte(`"Email `)) {
		return r.post(ctx, path, body)
	}
	var request map[string]json.RawMessage
	var batch []json.RawMessage
	if json.Unmarshal(body, &request) != nil || json.Unmarshal(request["batch"], &batch) != nil {
		return r.post(ctx, path, body)
	}
	kept := batch[:0]
	for _, e := range batch {
		if !r.act(ctx, e) {
			kept = append(kept, e)
		}
	}
	var err error
	if request["batch"], err = json.Marshal(kept); err != nil {
		return fmt.Errorf("post events: %w", err)
	}
	if body, err = json.Marshal(request); err != nil {
		return fmt.Errorf("post events: %w", err)
	}
	return r.post(ctx, path, body)
}

// act does what an event tells of, if a mail reports it, and tells whether it did.
func (r *readers) act(ctx context.Context, raw []byte) bool {
	var e struct {
		Event      string
		Properties struct {
			ID string `json:"email_id"`
		}
		Context struct {
			Agent string `json:"userAgent"`
		}
	}
	if json.Unmarshal(raw, &e) != nil {
		return false
	}
	var find func(page string) string
	switch {
	case e.Event == event.KindName(event.EmailOpened) && r.opens:
		find = pixelOf
	case e.Event == event.KindName(event.EmailLinkClicked) && r.clicks:
		find = buttonOf
	default:
		return false
	}
	r.mu.Lock()
	id, known := r.mails[e.Properties.ID]
	r.mu.Unlock()
	if !known {
		return false
	}
	m, ok := r.open(id)
	if !ok {
		return false
	}
	address := find(m.HTML)
	return address != "" && r.get(ctx, address, e.Context.Agent)
}

// get asks for an address as a mail program does.
func (r *readers) get(ctx context.Context, address, agent string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return false
	}
	req.Header.Set("User-Agent", agent)
	answer, err := r.client.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection is used again
	_ = answer.Body.Close()
	return answer.StatusCode < http.StatusBadRequest
}

var (
	pixelLink  = regexp.MustCompile(`<img src="([^"]+)" width="1" height="1"`)
	buttonLink = regexp.MustCompile(`<a class="btn" href="([^"]+)"`)
)

// pixelOf is the address of a mail's pixel, or "".
func pixelOf(page string) string { return attribute(pixelLink, page, "/o/") }

// buttonOf is where a mail's button leads, or "" when that is not over us.
func buttonOf(page string) string { return attribute(buttonLink, page, "/c/") }

func attribute(pattern *regexp.Regexp, page, path string) string {
	m := pattern.FindStringSubmatch(page)
	if m == nil || !strings.Contains(m[1], path) {
		return ""
	}
	return html.UnescapeString(m[1])
}
