package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"
)

// frame is one server-sent event, rendered once for all who listen.
type frame []byte

// frameBacklog is how many frames may wait for one reader. A reader that is two
// seconds behind is dropped and comes back with a whole page.
const frameBacklog = 4

// subscriber is one open live connection.
type subscriber struct {
	topic  string
	frames chan frame // closed by the hub when the subscriber is dropped
}

// hub hands frames to subscribers. It is safe for concurrent use.
type hub struct {
	max   int
	count *counters

	mu      sync.Mutex
	running bool
	subs    map[*subscriber]struct{}
}

func newHub(limit int, count *counters) *hub {
	return &hub{max: limit, count: count, subs: map[*subscriber]struct{}{}}
}

func (h *hub) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs)
}

// start lets subscribers in.
func (h *hub) start() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running {
		return errors.New("console: it runs already")
	}
	h.running = true
	return nil
}

// stop sends all subscribers away.
func (h *hub) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running = false
	for s := range h.subs {
		h.drop(s)
	}
}

// join adds a subscriber, or answers nil when there is no room.
func (h *hub) join(topic string) *subscriber {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.running || len(h.subs) >= h.max {
		h.count.refused.Add(1)
		return nil
	}
	s := &subscriber{topic: topic, frames: make(chan frame, frameBacklog)}
	h.subs[s] = struct{}{}
	return s
}

// leave removes a subscriber that went away by itself.
func (h *hub) leave(s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.subs[s]; ok {
		h.drop(s)
	}
}

// drop must be called with mu held.
func (h *hub) drop(s *subscriber) {
	delete(h.subs, s)
	close(s.frames)
}

// send hands f to the subscribers of topic. Those who do not keep up are dropped.
func (h *hub) send(topic string, f frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		if s.topic != topic {
			continue
		}
		select {
		case s.frames <- f:
		default:
			h.count.dropped.Add(1)
			h.drop(s)
		}
	}
}

// wanted tells whether anybody listens to topic.
func (h *hub) wanted(topic string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		if s.topic == topic {
			return true
		}
	}
	return false
}

// part is a fragment of a page: the element whose data-live is Name gets HTML.
type part struct {
	Name string
	HTML string
}

// Run samples the engine and feeds the live pages until ctx ends. It must be called
// once. Live connections end with it.
func (c *Console) Run(ctx context.Context) error {
	if err := c.hub.start(); err != nil {
		return err
	}
	defer c.hub.stop()
	var mails <-chan struct{}
	if c.opt.Inbox != nil {
		mails = c.opt.Inbox.Subscribe(ctx)
	}
	tick := time.NewTicker(c.opt.Every)
	defer tick.Stop()
	sent := map[string]map[string]string{} // topic -> part -> HTML
	newMail := true
	c.sampler.take(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-mails:
			if !ok {
				mails = nil
			}
			newMail = true
		case <-tick.C:
			c.beat(ctx, sent, newMail)
			newMail = false
		}
	}
}

// beat takes one sample and sends each topic what has changed in it. A beat in which
// nothing changed still sends a frame: that is how a page knows it is not stale.
func (c *Console) beat(ctx context.Context, sent map[string]map[string]string, newMail bool) {
	r := c.sampler.take(ctx)
	for topic, render := range c.topics() {
		if !c.hub.wanted(topic) {
			delete(sent, topic)
			continue
		}
		before := sent[topic]
		if topic == topicInbox && before != nil && !newMail {
			c.hub.send(topic, frameOf(nil))
			continue
		}
		parts, err := render(ctx, r)
		if err != nil {
			c.opt.Logger.Error("console: render live page", "topic", topic, "err", err)
			continue
		}
		now := make(map[string]string, len(parts))
		var changed []part
		for _, p := range parts {
			now[p.Name] = p.HTML
			if before[p.Name] != p.HTML {
				changed = append(changed, p)
			}
		}
		sent[topic] = now
		c.hub.send(topic, frameOf(changed))
	}
}

// frameOf writes parts as one server-sent event.
func frameOf(parts []part) frame {
	body := make(map[string]string, len(parts))
	for _, p := range parts {
		body[p.Name] = p.HTML
	}
	data, err := json.Marshal(body) // one line: JSON escapes line ends
	if err != nil {
		panic("BUG: a map of strings does not marshal: " + err.Error())
	}
	var b bytes.Buffer
	b.WriteString("event: frame\ndata: ")
	b.Write(data)
	b.WriteString("\n\n")
	return b.Bytes()
}

// The topics of live pages.
const (
	topicOverview = "overview"
	topicInbox    = "inbox"

	topicExperiments = "experiments"
)

// topics is the table of what can be live.
func (c *Console) topics() map[string]func(context.Context, reading) ([]part, error) {
	t := map[string]func(context.Context, reading) ([]part, error){topicOverview: c.overviewParts}
	if c.opt.Inbox != nil {
		t[topicInbox] = func(ctx context.Context, _ reading) ([]part, error) { return c.inboxParts(ctx) }
	}
	if c.opt.Experiments != nil {
		t[topicExperiments] = func(ctx context.Context, _ reading) ([]part, error) { return c.experimentParts(ctx) }
	}
	return t
}

// live is one server-sent event connection. It begins with the whole page, so that
// a page that was stale is whole again.
func (c *Console) live(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		c.deny(w, r, "This request was sent by another site's page.") // it could read nothing, but it would take a place
		return
	}
	topic := r.URL.Query().Get("page")
	render, ok := c.topics()[topic]
	if !ok {
		c.fail(w, r, http.StatusNotFound, "There is no such live page.")
		return
	}
	s := c.hub.join(topic)
	if s == nil {
		w.Header().Set("Retry-After", "5")
		c.fail(w, r, http.StatusServiceUnavailable, "Too many pages are open, or the engine is stopping.")
		return
	}
	defer c.hub.leave(s)
	parts, err := render(r.Context(), c.sampler.latest(r.Context(), 2*c.opt.Every))
	if err != nil {
		c.oops(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not hold events back
	out := http.NewResponseController(w)
	if c.write(w, out, append([]byte("retry: 2000\n"), frameOf(parts)...)) != nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case f, ok := <-s.frames:
			if !ok || c.write(w, out, f) != nil {
				return
			}
		}
	}
}

// write sends one frame within WriteWait.
func (c *Console) write(w http.ResponseWriter, out *http.ResponseController, f []byte) error {
	// A recorder in a test has no deadline to set; a real connection always has.
	_ = out.SetWriteDeadline(time.Now().Add(c.opt.WriteWait))
	if _, err := w.Write(f); err != nil {
		return err
	}
	return out.Flush()
}
