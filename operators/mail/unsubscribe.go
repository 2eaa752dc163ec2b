package mail

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

// Limits of a POST to the unsubscribe endpoint. The body of RFC 8058 has 26 bytes.
const (
	leaveBodyMax  = 16 << 10
	leavePartsMax = 8
)

// UnsubscribeStats are counts since NewUnsubscribe.
type UnsubscribeStats struct {
	Shown   int64 // pages shown, which change nothing
	Taken   int64 // POSTs with a good token that took effect, repeats counted
	Unknown int64 // POSTs with a token that is not ours
	Refused int64 // POSTs without List-Unsubscribe=One-Click
	Faults  int64 // POSTs whose effect went wrong: the sender was told to come again
}

// Unsubscribe is the http.Handler behind List-Unsubscribe (RFC 8058). The token is the
// last element of the path, as in /u/TOKEN. Safe for concurrent use.
//
// Only POST with List-Unsubscribe=One-Click in its body has an effect, in either of the
// two forms of the RFC. GET shows a page with one button; HEAD and OPTIONS show nothing.
// No answer is a redirect, sets a cookie, or tells a good token from any other.
type Unsubscribe struct {
	signer *Signer
	leave  func(ctx context.Context, l Leave) error
	count  struct{ shown, taken, unknown, refused, faults atomic.Int64 }
}

// NewUnsubscribe makes the handler. The effect is leave, which has to be durable when it
// answers nil and may be called again for the same Leave.
func NewUnsubscribe(s *Signer, leave func(ctx context.Context, l Leave) error) *Unsubscribe {
	return &Unsubscribe{signer: s, leave: leave}
}

const (
	leavePage = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Unsubscribe</title></head>
<body><h1>Unsubscribe</h1><p>You will get no more of these mails.</p>
<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click"><button type="submit">Unsubscribe</button></form>
</body></html>
`
	leftPage = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Unsubscribed</title></head>
<body><h1>Done</h1><p>You will get no more of these mails.</p></body></html>
`
)

// ServeHTTP answers one request.
func (u *Unsubscribe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the token must not travel on
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'")
	switch r.Method {
	case http.MethodPost:
		u.post(w, r)
	case http.MethodGet, http.MethodHead:
		u.count.shown.Add(1)
		page(w, http.StatusOK, leavePage, r.Method == http.MethodHead)
	case http.MethodOptions:
		h.Set("Allow", "GET, HEAD, OPTIONS, POST")
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

func page(w http.ResponseWriter, code int, text string, headOnly bool) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	if !headOnly {
		_, _ = io.WriteString(w, text) // who hung up does not read it
	}
}

func (u *Unsubscribe) post(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, leaveBodyMax)
	if !oneClick(r) {
		u.count.refused.Add(1)
		http.Error(w, "the body has to say List-Unsubscribe=One-Click", http.StatusBadRequest)
		return
	}
	leave, err := u.signer.CheckUnsubscribe(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	if err != nil {
		u.count.unknown.Add(1)
		page(w, http.StatusOK, leftPage, false)
		return
	}
	// Who hangs up early has still said no.
	if err := u.leave(context.WithoutCancel(r.Context()), leave); err != nil {
		u.count.faults.Add(1)
		w.Header().Set("Retry-After", "60")
		http.Error(w, "please come again in a minute", http.StatusServiceUnavailable)
		return
	}
	u.count.taken.Add(1)
	page(w, http.StatusOK, leftPage, false)
}

// oneClick says whether the body holds List-Unsubscribe=One-Click as a form or as
// multipart. Nothing of it is kept, in memory or on disk.
func oneClick(r *http.Request) bool {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return false
	}
	switch kind {
	case "application/x-www-form-urlencoded":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return false
		}
		form, err := url.ParseQuery(strings.TrimSpace(string(body)))
		return err == nil && strings.EqualFold(form.Get("List-Unsubscribe"), "One-Click")
	case "multipart/form-data":
		return oneClickPart(multipart.NewReader(r.Body, params["boundary"]))
	default:
		return false
	}
}

func oneClickPart(r *multipart.Reader) bool {
	for range leavePartsMax {
		p, err := r.NextPart()
		if err != nil {
			return false
		}
		if p.FormName() != "List-Unsubscribe" {
			continue
		}
		value, err := io.ReadAll(io.LimitReader(p, 64))
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return false
		}
		return strings.EqualFold(strings.TrimSpace(string(value)), "One-Click")
	}
	return false
}

// Stats gives the counts.
func (u *Unsubscribe) Stats() UnsubscribeStats {
	c := &u.count
	return UnsubscribeStats{Shown: c.shown.Load(), Taken: c.taken.Load(), Unknown: c.unknown.Load(),
		Refused: c.refused.Load(), Faults: c.faults.Load()}
}
