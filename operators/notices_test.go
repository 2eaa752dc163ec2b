package operators_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/operators"
	"millrace/operators/event"
)

// hook is a target of webhooks behind pipes, which answers as a script says.
type hook struct {
	mu     sync.Mutex
	script []string       // answers to come: "503", "429 30" (Retry-After), "hang", "drop"; then 204
	slow   time.Duration  // before each answer
	stuck  bool           // it takes connections and never answers
	taken  map[string]int // if not nil: how often each key was answered 204, instead of calls
	calls  []call
}

type call struct {
	at              time.Time
	key, sign, body string
}

func (h *hook) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go h.serve(far)
	return near, nil
}

func (h *hook) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		h.mu.Lock()
		answer := "204"
		slow := h.slow
		if h.stuck {
			answer = "hang"
		} else if len(h.script) > 0 {
			answer, h.script = h.script[0], h.script[1:]
		}
		if h.taken == nil {
			h.calls = append(h.calls, call{time.Now(), req.Header.Get(operators.HeaderKey), req.Header.Get(operators.HeaderSignature), string(body)})
		} else if answer == "204" {
			h.taken[req.Header.Get(operators.HeaderKey)]++
		}
		h.mu.Unlock()
		if slow > 0 && answer != "hang" {
			time.Sleep(slow)
		}
		code, after, _ := strings.Cut(answer, " ")
		switch code {
		case "drop":
			return
		case "hang":
			_, _ = in.ReadByte() // until the client gives up
			return
		}
		if after != "" {
			after = "Retry-After: " + after + "\r\n"
		}
		if _, err := io.WriteString(c, "HTTP/1.1 "+code+" x\r\n"+after+"Location: /elsewhere\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

func (h *hook) all() []call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

const thenShop = `apiVersion: v1
shop: demo
consent: {unknown: yes}
webhooks:
  crm: {url: "https://crm.example/in", secret: env:CRM_SECRET}
senders:
  main: {smtp: env:SMTP_URL, from: "Demo <hello@shop.example>"}
`

const thenJourney = `apiVersion: v1
pipeline: cart
trigger: {id: left, key: [user_id, cart_id], start: {on: Product Added}, wait: 1h}
content: {id: content, kind: cart, subject: fallback}
send: {id: send, via: smtp/main}
then:
  - {id: crm, webhook: crm}
  - {id: thanks, webhook: crm, on: sent}
  - {id: bus, publish: journeys.cart}
`

// thenWorld is a world whose journey calls a webhook and publishes.
type thenWorld struct {
	*world
	hook     *hook
	mu       sync.Mutex
	given    []*engine.GivenUp
	patience time.Duration // for an answer; 0: ten seconds
}

func newThenWorld(t *testing.T, script ...string) *thenWorld {
	t.Helper()
	files := fstest.MapFS{"shop.yaml": {Data: []byte(thenShop)}, "cart.yaml": {Data: []byte(thenJourney)}}
	w := &thenWorld{world: newWorldOf(t, journeysOf(t, files, "cart.yaml")), hook: &hook{script: script}}
	target := operators.WebhookTarget{URL: &url.URL{Scheme: "http", Host: "crm.example", Path: "/in"}, Secret: []byte("secret"), Timeout: 10 * time.Second}
	w.world.options = func(o *engine.Options) {
		w.check(w.OpenOut(t.Context()))
		if w.patience > 0 {
			target.Timeout = w.patience
		}
		n := operators.NewNotices(operators.NoticeOptions{
			Webhooks: map[string]operators.WebhookTarget{"crm": target}, Dial: w.hook.dial, Receipt: w.receipt, Publish: w.Log.PublishOut,
		})
		w.closers = append(w.closers, n.Close)
		o.Handlers[operators.EffectWebhook], o.Handlers[operators.EffectPublish] = n.Webhook, n.Publish
		o.Delivery = engine.Delivery{
			Terms: func(row *engine.Row) engine.Terms {
				if row.Kind != operators.EffectWebhook {
					return engine.Terms{}
				}
				return engine.Terms{Target: operators.NoticeTarget(row), Tries: 6, Within: 6 * time.Hour}
			},
			GiveUp: func(_ context.Context, g *engine.GivenUp) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.given = append(w.given, g)
				return nil
			},
		}
	}
	w.start()
	return w
}

// leaveCart makes one person leave a cart, and lets time pass until the mail is out.
func (w *thenWorld) leaveCart(id string) {
	w.take(encode(w.t, object("type", "identify", "userId", id, "traits", object("email", id+"@example.com", "marketing_consent", true))))
	w.take(encode(w.t, object("type", "track", "event", "Product Added", "userId", id,
		"properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c"))))
	time.Sleep(2 * time.Hour)
	synctest.Wait()
}

// TestThen runs a journey that does more than mailing, against a target that fails in
// many ways first: each call arrives under one key, signed, and is done once.
func TestThen(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		w := newThenWorld(t, "503", "drop", "hang", "429 600")
		defer w.close()
		w.leaveCart("ann")
		calls := w.hook.all()
		if len(calls) != 6 || w.mails() != 1 {
			t.Fatalf("%d calls, %d mails", len(calls), w.mails())
		}
		keys := map[string]operators.NoticePayload{}
		for i, c := range calls {
			var p operators.NoticePayload
			w.check(json.Unmarshal([]byte(c.body), &p))
			if c.key != p.ID || p.Decision.Pipeline != "cart" || p.Decision.Person != w.names.Person("ann") || strings.Contains(c.body, "ann@") {
				t.Errorf("call %d: %+v", i, c)
			}
			keys[p.Event] = p
			if want := operators.SignWebhook([]byte("secret"), c.at, []byte(c.body)); !hmac.Equal([]byte(want), []byte(c.sign)) {
				t.Errorf("call %d is signed %s, want %s", i, c.sign, want)
			}
		}
		if len(keys) != 2 || keys["decided"].Step != "crm" || keys["sent"].Step != "thanks" || keys["sent"].Decision.Outcome != event.Sent || keys["sent"].ID == keys["decided"].ID {
			t.Errorf("got %+v", keys)
		}
		if n := published(t, w); n != 1 {
			t.Errorf("%d messages are published", n)
		}
		s := w.Engine.Stats()
		if notices := w.pipeline.Counters.Notices(); s.Unresolved+s.Reported != 0 || notices["webhook/crm"] != 2 || notices["publish/journeys.cart"] != 1 || w.pipeline.Counters.Mails.Load() != 1 {
			t.Errorf("%d effects are left, %v", s.Unresolved+s.Reported, notices)
		}
	})
}

// TestThenGivenUp: a refusal ends in what keeps it, and is tried again from there by hand.
func TestThenGivenUp(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		w := newThenWorld(t, "404", "302")
		defer w.close()
		w.leaveCart("ann")
		if len(w.given) != 2 || w.given[0].Reason != engine.GiveUpRefused || !errors.Is(w.given[0].Err, operators.ErrWebhookStatus) || w.given[0].Err.Error() != "the webhook answered 404" {
			t.Fatalf("given up: %+v", w.given)
		}
		for i, kind := range []string{operators.EffectWebhook, "mail"} { // nobody may ask for a mail like this
			data := event.AppendRedo(nil, &event.Redo{Kind: kind, Body: w.given[0].Row.Body, Letter: 1})
			_, err := w.Log.Publish(t.Context(), "in.retry", "", data)
			w.check(err)
			time.Sleep(time.Minute)
			synctest.Wait()
			calls := w.hook.all()
			if len(calls) != 3 || calls[2].key != calls[0].key || calls[2].body != calls[0].body || w.mails() != 1 {
				t.Errorf("after redo %d: %d calls, %d mails", i, len(calls), w.mails())
			}
		}
		if dead := w.pipeline.Counters.DeadLetters(); dead[string(event.BadEnvelope)] != 1 || w.Engine.Stats().Unresolved != 0 {
			t.Errorf("dead letters %v, %d effects are left", dead, w.Engine.Stats().Unresolved)
		}
	})
}

// TestThenRestart stops the program while its target does not answer: what was decided
// goes on, under the same key.
func TestThenRestart(t *testing.T) {
	enginetest.Bubble(t, func(t *testing.T) {
		w := newThenWorld(t, "503 1200", "503 1200", "503 1200")
		defer w.close()
		w.take(encode(t, object("type", "identify", "userId", "ann", "traits", object("email", "ann@example.com", "marketing_consent", true))))
		w.take(encode(t, object("type", "track", "event", "Product Added", "userId", "ann",
			"properties", object("product_id", "mug", "name", "mug", "price", 12.9, "cart_id", "c"))))
		for len(w.hook.all()) == 0 {
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n, left := published(t, w), w.Engine.Stats().Unresolved; n != 1 || left == 0 {
			t.Errorf("%d messages are published, %d effects are left", n, left)
		}
		w.stop()
		time.Sleep(time.Hour)
		w.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		keys := map[string]int{}
		for _, c := range w.hook.all() {
			keys[c.key]++
		}
		if len(keys) != 2 || len(w.hook.all()) != 5 || w.mails() != 1 || w.Engine.Stats().Unresolved != 0 {
			t.Errorf("%d calls with %d keys, %d mails", len(w.hook.all()), len(keys), w.mails())
		}
	})
}

// TestWebhookAddresses: without leave no call reaches this machine.
func TestWebhookAddresses(t *testing.T) {
	hits := 0
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := func(private bool, want engine.Result, wantErr error, wantHits int) {
		t.Helper()
		n := operators.NewNotices(operators.NoticeOptions{
			Webhooks: map[string]operators.WebhookTarget{"crm": {URL: u, Private: private}},
			Receipt:  func(context.Context, string, *event.Receipt) error { return nil },
		})
		defer n.Close()
		body := encode(t, operators.Notice{ID: "k", To: "crm", Payload: []byte("{}")})
		got, _, err := n.Webhook(t.Context(), &engine.View{}, engine.Row{ID: 1, Kind: operators.EffectWebhook, Body: body})
		if got != want || !errors.Is(err, wantErr) || hits != wantHits {
			t.Errorf("private %v: got %v, %v, %d hits", private, got, err, hits)
		}
		if err != nil && strings.Contains(err.Error(), u.Host) {
			t.Errorf("the error tells the address: %v", err)
		}
	}
	f(false, engine.Drop, operators.ErrWebhookAddress, 0)
	f(true, engine.Reported, nil, 1)
	s.Close()
	f(true, engine.Again, engine.ErrTarget, 1)
}

// published is how many messages stand in the stream of what is published for others.
func published(t *testing.T, w *thenWorld) uint64 {
	t.Helper()
	n, err := w.Log.CountOut(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mails is how many mails the inbox has got.
func (w *thenWorld) mails() int { return len(w.inbox.List(0, 100)) }
