package mail

import (
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// MachineRules is the version of the rules below. What they count under one version must
// not be compared with another.
const MachineRules = 1

// Why a hit is taken for that of a machine.
const (
	ByHead     = "head"     // nobody reads a HEAD
	ByPrefetch = "prefetch" // it says itself that nobody has looked yet
	ByAgent    = "agent"    // a scanner, a library, or the privacy proxy that fetches every picture
	ByBurst    = "burst"    // several links of one mail at once
)

// agents are parts of the User-Agent of what is no reader, in lower case. Short words
// are left out that stand in the names of phones.
func agents() []string {
	return []string{
		"bot/", "robot", "googlebot", "bingbot", "crawler", "spider", "scanner", "headless", "urlpreview", "link check", "linkcheck",
		"curl/", "wget/", "python-", "python/", "libwww", "go-http-client", "java/", "axios/", "node-fetch", "okhttp/",
		"barracuda", "proofpoint", "mimecast", "ironport", "symantec", "zscaler", "safelinks", "trendmicro", "bitdefender", "fireeye",
	}
}

// byItself says by which rule one request is that of a machine, or "". Proxies that fetch
// a picture when its reader opens the mail (Gmail, Yahoo) are not: Apple's, which fetches
// every picture unseen, names itself Mozilla/5.0 and nothing else.
func byItself(r *http.Request) string {
	if r.Method == http.MethodHead {
		return ByHead
	}
	for _, name := range []string{"Purpose", "Sec-Purpose", "X-Purpose", "X-Moz"} {
		if v := strings.ToLower(r.Header.Get(name)); strings.Contains(v, "prefetch") || strings.Contains(v, "preview") || strings.Contains(v, "prerender") {
			return ByPrefetch
		}
	}
	agent := strings.ToLower(strings.TrimSpace(r.UserAgent()))
	if agent == "" || agent == "mozilla/5.0" {
		return ByAgent
	}
	for _, part := range agents() {
		if strings.Contains(agent, part) {
			return ByAgent
		}
	}
	return ""
}

// The burst rule: a reader does not follow so many different links of a mail so fast.
const (
	burstLinks = 3
	burstSpan  = 2 * time.Second
	burstMails = 4096 // mails that are watched at once: those of the last seconds
)

// bursts watches how fast the links of mails are followed. Safe for concurrent use.
type bursts struct {
	mu    sync.Mutex // guards what follows
	mails map[string]*burst
}

// burst is what was followed of one mail lately.
type burst struct {
	first time.Time
	last  time.Time
	links [burstLinks]uint64 // the newest different ones
	n     int
	found bool // for as long as it goes on
}

// seen notes a click and tells whether it belongs to a burst.
func (b *bursts) seen(decision, link string, now time.Time) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(link))
	sum := h.Sum64()
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.mails[decision]
	if m == nil || now.Sub(m.last) > burstSpan || !m.found && now.Sub(m.first) > burstSpan {
		b.makeRoom(now)
		m = &burst{first: now}
		b.mails[decision] = m
	}
	m.last = now
	if slices.Contains(m.links[:m.n], sum) {
		return m.found
	}
	if m.n < burstLinks {
		m.links[m.n] = sum
		m.n++
	}
	m.found = m.found || m.n == burstLinks
	return m.found
}

// makeRoom forgets what is over; when there is too much of what is not, all of it.
func (b *bursts) makeRoom(now time.Time) {
	if len(b.mails) < burstMails {
		if b.mails == nil {
			b.mails = make(map[string]*burst)
		}
		return
	}
	for decision, m := range b.mails {
		if now.Sub(m.last) > burstSpan {
			delete(b.mails, decision)
		}
	}
	if len(b.mails) >= burstMails {
		clear(b.mails)
	}
}
