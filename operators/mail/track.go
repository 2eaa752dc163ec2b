package mail

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Hit is an open or a click, as seen.
type Hit struct {
	Track
	Click     bool
	Machine   string // by which rule a machine did it, such as ByAgent; "" when a person may have
	UserAgent string // at most 256 bytes
}

// TrackStats are counts since NewTracker.
type TrackStats struct {
	Opens, Clicks map[string]int64 // by rule; those of persons under ""
	Unknown       int64            // tokens that are not ours
	Faults        int64            // hits that could not be handed on
}

// Tracker holds the handlers behind the pixel and the links of a mail. A hit never
// changes consent. Safe for concurrent use.
type Tracker struct {
	signer *Signer
	seen   func(ctx context.Context, h Hit) error
	bursts bursts
	count  struct {
		opens, clicks   [len(rules)]atomic.Int64
		unknown, faults atomic.Int64
	}
}

// rules are all values of Hit.Machine.
var rules = [...]string{"", ByHead, ByPrefetch, ByAgent, ByBurst} //nolint:gochecknoglobals // constant

// NewTracker makes a Tracker that hands its hits to seen, those of machines too. An error
// of seen is counted; whoever is at the other end gets picture and page all the same.
func NewTracker(s *Signer, seen func(ctx context.Context, h Hit) error) *Tracker {
	return &Tracker{signer: s, seen: seen}
}

// pixel is a transparent GIF of 1 × 1.
const pixel = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// Open is the handler of /o/TOKEN: always the pixel, and with a good token a hit.
func (t *Tracker) Open() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !getOrHead(w, r) {
			return
		}
		track, err := t.signer.CheckOpen(strings.TrimSuffix(lastElement(r), ".gif"))
		t.hit(r, Hit{Track: track}, err)
		w.Header().Set("Content-Type", "image/gif")
		w.Header().Set("Cache-Control", "no-store, private")
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(pixel)) // who hung up does not see it
		}
	})
}

// Click is the handler of /c/TOKEN: a redirect to the URL inside a good token, and a hit;
// not found for any other token, so that nobody can send people elsewhere.
func (t *Tracker) Click() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !getOrHead(w, r) {
			return
		}
		track, err := t.signer.CheckClick(lastElement(r))
		t.hit(r, Hit{Track: track, Click: true}, err)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store, private")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("X-Robots-Tag", "noindex, nofollow")
		w.Header().Set("Location", track.URL)
		w.WriteHeader(http.StatusFound)
	})
}

// hit judges, counts and hands on what came with a good token.
func (t *Tracker) hit(r *http.Request, h Hit, bad error) {
	if bad != nil {
		t.count.unknown.Add(1)
		return
	}
	agent := r.UserAgent()
	h.UserAgent = strings.ToValidUTF8(agent[:min(len(agent), 256)], "")
	h.Machine = byItself(r)
	count := &t.count.opens
	if h.Click {
		count = &t.count.clicks
		if t.bursts.seen(h.Decision, h.URL, time.Now()) && h.Machine == "" {
			h.Machine = ByBurst
		}
	}
	count[slices.Index(rules[:], h.Machine)].Add(1)
	if t.seen(context.WithoutCancel(r.Context()), h) != nil {
		t.count.faults.Add(1)
	}
}

func lastElement(r *http.Request) string {
	return r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
}

func getOrHead(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}

// Stats gives the counts.
func (t *Tracker) Stats() TrackStats {
	s := TrackStats{Opens: make(map[string]int64), Clicks: make(map[string]int64), Unknown: t.count.unknown.Load(), Faults: t.count.faults.Load()}
	for i, rule := range rules {
		s.Opens[rule], s.Clicks[rule] = t.count.opens[i].Load(), t.count.clicks[i].Load()
	}
	return s
}
