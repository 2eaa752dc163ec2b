package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"millrace/operators/event"
	"millrace/operators/mail"
)

// This file brings what readers do with mails into the log.

// How much readers, and whoever pretends to be one, may ask of the log. A hit beyond that
// is counted and lost; the reader is sent on all the same.
const (
	hitsMax   = 64              // being stored at once
	hitWait   = 2 * time.Second // a reader does not wait longer for the shop's page
	hitFillAt = 0.85            // of the log: below what the ingest leaves for receipts
)

var errHitLost = errors.New("no room for what a reader did")

// tracks tells whether mails report opens and clicks: when the shop says so, or by
// default in dev, and their readers can reach us now and later.
func (a *app) tracks() (opens, clicks bool) {
	reached := a.s.linkURL != "" || a.inbox != nil // else links lead to this machine, which no reader has
	if a.s.http == "" || a.s.once || !reached {
		return false, false
	}
	return a.set.Shop.Tracking.On(a.s.simulated)
}

// openTracking makes the handlers of links and pixels. They work for as long as the
// program does, since mails of another time hold links too.
func (a *app) openTracking(context.Context) error {
	a.hits = make(chan struct{}, hitsMax)
	a.tracker = mail.NewTracker(a.signer, a.hit)
	opens, clicks := a.tracks()
	wantOpens, wantClicks := a.set.Shop.Tracking.On(false)
	if wantOpens && !opens || wantClicks && !clicks {
		a.log.Warn("shop.yaml asks for tracking, and readers cannot reach this program: --public-url is not set, --http is empty, or it runs --once")
	}
	return nil
}

// hit puts an open or a click of a person into the log, if the shop wants to know. Those
// of machines are counted only.
func (a *app) hit(ctx context.Context, h mail.Hit) error {
	opens, clicks := a.tracks()
	if h.Machine != "" || h.Click && !clicks || !h.Click && !opens {
		return nil
	}
	select {
	case a.hits <- struct{}{}:
		defer func() { <-a.hits }()
	default:
		return errHitLost
	}
	ctx, cancel := context.WithTimeout(ctx, hitWait)
	defer cancel()
	if free, err := a.freeBytes(); err != nil || free < uint64(max(a.s.reserve, 0)) || a.events.Fill(ctx) >= hitFillAt { //nolint:gosec // not negative
		return errHitLost
	}
	f := event.Feedback{Kind: event.EmailOpened, Person: h.Person, Decision: h.Decision, At: time.Now().UnixMilli()}
	if h.Click {
		f.Kind, f.URL = event.EmailLinkClicked, h.URL
	}
	sum := sha256.Sum256([]byte(f.URL))
	id := strings.Join([]string{"hit", h.Decision, event.KindName(f.Kind), hex.EncodeToString(sum[:8])}, "/")
	_, err := a.events.Publish(ctx, "in.feedback", id, event.AppendFeedback(nil, &f))
	return err
}

// public is what the world reaches: ingest, and the links of mails.
func (a *app) public() http.Handler {
	links := map[string]http.Handler{
		"/u/": mail.NewUnsubscribe(a.signer, a.leave), "/c/": a.tracker.Click(), "/o/": a.tracker.Open(),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := links[r.URL.Path[:min(3, len(r.URL.Path))]]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		a.gateway.ServeHTTP(w, r)
	})
}

// by names a rule of the tracker as a label.
func by(rule string) string { return cmp.Or(rule, "person") }
