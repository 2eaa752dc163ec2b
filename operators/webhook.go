package operators

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"millrace/engine"
	"millrace/operators/event"
)

// The headers of a call.
const (
	HeaderKey       = "Idempotency-Key"    // the notice's id: the same for each try
	HeaderSignature = "Millrace-Signature" // t=SECONDS,v1=HMAC
)

// WebhookTarget is where calls go.
type WebhookTarget struct {
	URL     *url.URL
	Secret  []byte        // signs the calls; empty: unsigned
	Timeout time.Duration // of a call, answer included
	Private bool          // loopback and private addresses are allowed
}

// NoticeOptions say how webhooks are called and messages published. Receipt is required.
type NoticeOptions struct {
	Webhooks map[string]WebhookTarget
	// Publish puts a message on a subject under a key. It is stored once, however often it is
	// published under the key.
	Publish func(ctx context.Context, subject, key string, data []byte) error
	// Receipt puts a receipt in the log. Publishing it twice under its id is harmless.
	Receipt func(ctx context.Context, id string, receipt *event.Receipt) error
	// Dial replaces the way to a webhook, for tests: then no address is checked.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Connections is how many are open to one host at most.
	Connections int
}

// Notices carries out what journeys do beside mailing. Safe for concurrent use.
type Notices struct {
	o       NoticeOptions
	clients map[bool]*http.Client // by WebhookTarget.Private
}

// The limits of a call.
const (
	answerMax     = 64 << 10  // bytes of an answer that are read, so that its connection can be used again
	retryAfterMax = time.Hour // what a target asks for beyond this is not waited for
)

// Why a call fails.
var (
	ErrWebhookGone    = errors.New("no webhook of this name is declared any more")
	ErrWebhookAddress = errors.New("the webhook's address is private, and the shop does not allow that")
	ErrWebhookStatus  = errors.New("the webhook answered")
	errWebhookCall    = errors.New("the webhook cannot be reached")
)

// NewNotices makes the handlers of EffectWebhook and EffectPublish.
func NewNotices(o NoticeOptions) *Notices {
	o.Connections = cmp.Or(o.Connections, 4) // half of the effects that are carried out at once
	n := &Notices{o: o, clients: make(map[bool]*http.Client)}
	for _, private := range []bool{false, true} {
		dialer := &net.Dialer{Timeout: 10 * time.Second} // a host that is there answers in one
		if !private {
			dialer.Control = publicOnly
		}
		dial := dialer.DialContext
		if o.Dial != nil {
			dial = o.Dial
		}
		n.clients[private] = &http.Client{
			Transport: &http.Transport{ // no proxy: it would see the addresses, and be the address that is checked
				DialContext: dial, MaxConnsPerHost: o.Connections, MaxIdleConnsPerHost: o.Connections, MaxIdleConns: 64,
				IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: answerMax, ForceAttemptHTTP2: true,
			},
			// Where a target moved to, its owner did not write into our configuration.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return n
}

// Close closes the connections that are idle.
func (n *Notices) Close() {
	for _, c := range n.clients {
		c.CloseIdleConnections()
	}
}

// publicOnly refuses addresses that only this machine or its network can reach. It sees
// the address that is connected to, so that no name can lead around it.
func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(at.Addr().Unmap()) {
		return ErrWebhookAddress
	}
	return nil
}

// reserved are networks beyond those that netip knows as not public.
var reserved = [...]netip.Prefix{ //nolint:gochecknoglobals // constant
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), // lead to IPv4
}

// isPublic tells whether an address is one of the internet.
func isPublic(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// Webhook implements engine.Handler for EffectWebhook.
func (n *Notices) Webhook(ctx context.Context, v *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	var notice Notice
	if err := json.Unmarshal(row.Body, &notice); err != nil {
		return engine.Drop, 0, fmt.Errorf("webhook in row %d: %w", row.ID, err)
	}
	target, ok := n.o.Webhooks[notice.To]
	if !ok {
		return engine.Drop, 0, ErrWebhookGone
	}
	result, after, err := n.call(ctx, &target, &notice)
	if err != nil {
		return result, after, err
	}
	return n.report(ctx, v, &row, &notice)
}

// Publish implements engine.Handler for EffectPublish.
func (n *Notices) Publish(ctx context.Context, v *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
	var notice Notice
	if err := json.Unmarshal(row.Body, &notice); err != nil {
		return engine.Drop, 0, fmt.Errorf("message in row %d: %w", row.ID, err)
	}
	if err := n.o.Publish(ctx, notice.To, notice.ID, notice.Payload); err != nil {
		return engine.Again, time.Second, fmt.Errorf("publish row %d: %w: %w", row.ID, engine.ErrTarget, err)
	}
	return n.report(ctx, v, &row, &notice)
}

// report puts the receipt into the log, which removes the row when it is read.
func (n *Notices) report(ctx context.Context, v *engine.View, row *engine.Row, notice *Notice) (engine.Result, time.Duration, error) {
	r := event.Receipt{
		Decision: notice.ID, Person: notice.Person, Effect: strconv.FormatUint(row.ID, 10), Outcome: event.Sent, At: v.Watermark,
		Via: row.Kind + "/" + notice.To,
	}
	if err := n.o.Receipt(ctx, "receipt/"+r.Effect+"/"+r.Decision, &r); err != nil {
		return engine.Again, time.Second, fmt.Errorf("receipt of row %d: %w", row.ID, err)
	}
	return engine.Reported, 0, nil
}

// call posts the payload once.
func (n *Notices) call(ctx context.Context, t *WebhookTarget, notice *Notice) (engine.Result, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(t.Timeout, 10*time.Second))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL.String(), bytes.NewReader(notice.Payload))
	if err != nil {
		return engine.Drop, 0, errWebhookCall // the text would hold the address
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "millrace")
	req.Header.Set(HeaderKey, notice.ID)
	if len(t.Secret) > 0 {
		req.Header.Set(HeaderSignature, SignWebhook(t.Secret, time.Now(), notice.Payload))
	}
	resp, err := n.clients[t.Private].Do(req)
	if errors.Is(err, ErrWebhookAddress) {
		return engine.Drop, 0, ErrWebhookAddress
	}
	if err != nil {
		return engine.Again, 0, fmt.Errorf("%w: %w%s", engine.ErrTarget, errWebhookCall, why(err))
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, answerMax)) // what counts is the status
	return judge(resp, time.Now())
}

// why says in fixed words what kept a call from its target.
func why(err error) string {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return ": it does not answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return ": connection refused"
	}
	return ""
}

// judge says what an answer means: done, again, or never.
func judge(resp *http.Response, now time.Time) (engine.Result, time.Duration, error) {
	code := resp.StatusCode
	err := fmt.Errorf("%w %d", ErrWebhookStatus, code)
	switch {
	case code >= 200 && code < 300:
		return engine.Reported, 0, nil
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return engine.Again, retryAfter(resp.Header.Get("Retry-After"), now), fmt.Errorf("%w: %w", engine.ErrTarget, err)
	case code == http.StatusTooEarly:
		return engine.Again, retryAfter(resp.Header.Get("Retry-After"), now), err
	default:
		return engine.Drop, 0, err
	}
}

// retryAfter reads a Retry-After header: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	var wait time.Duration
	if s, err := strconv.ParseInt(text, 10, 32); err == nil {
		wait = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), retryAfterMax)
}

// SignWebhook makes the signature of a body at a time: "t=SECONDS,v1=HEX", in which HEX is
// HMAC-SHA256 of "SECONDS.BODY" under the secret.
func SignWebhook(secret []byte, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(seconds))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
