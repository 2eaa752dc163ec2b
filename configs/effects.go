package configs

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Outbox says how effects leave.
type Outbox struct {
	Rate Rate `json:"rate,omitzero" jsonschema_description:"At most so many mails, webhooks and published messages leave together, retries included, such as 50 per second; no limit when absent."`
}

// Webhook is a target of HTTP calls.
type Webhook struct {
	URL     string        `json:"url" jsonschema:"required,maxLength=900" jsonschema_description:"https://host/path, or env:NAME, the variable that holds it."`
	Secret  string        `json:"secret,omitempty" jsonschema:"title=env:NAME or file:PATH,maxLength=900,pattern=^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$" jsonschema_description:"env:NAME or file:PATH, where the secret is that signs the calls; unsigned when absent."`
	Timeout time.Duration `json:"timeout" jsonschema_description:"How long an answer may take (10s)."`
	Tries   int           `json:"tries" jsonschema:"minimum=1,maximum=1000" jsonschema_description:"After so many failures a call goes to the dead letters (12)."`
	GiveUp  time.Duration `json:"give_up" jsonschema_description:"After so long without success a call goes to the dead letters (6h)."`
	Private string        `json:"private" jsonschema:"enum=no,enum=yes" jsonschema_description:"Whether the target may be on this machine or in a private network, and http (no)."`
}

// defaults is what a webhook that says nothing means.
func (w *Webhook) defaults() {
	w.Timeout = 10 * time.Second // a call does little; longer means that the other side hangs
	w.Tries = 12                 // with the backoff more than an hour of trying
	w.GiveUp = 6 * time.Hour     // an outage of a morning; what is older is old news
	w.Private = "no"
}

// Address is where the webhook is: the one written in the file, or that of the environment
// variable it names, read by lookup (os.LookupEnv). Errors never hold the address, which
// may carry a token.
func (w *Webhook) Address(lookup func(string) (string, bool)) (*url.URL, error) {
	raw := w.URL
	name, fromEnv := strings.CutPrefix(raw, "env:")
	if fromEnv {
		raw, _ = lookup(name)
		if raw == "" {
			return nil, fmt.Errorf("read address of a webhook: environment variable %s is not set", name)
		}
	}
	if what := w.wrong(raw); what != "" {
		return nil, fmt.Errorf("read address of a webhook from %s: got %s", cmp.Or(name, "url"), what)
	}
	return url.Parse(raw)
}

// wrong says what is wrong with an address, or "".
func (w *Webhook) wrong(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return "something else, expected env:NAME or https://host/path"
	case u.User != nil:
		return "a user or password in the address, expected a secret, or env:NAME"
	case u.Scheme == "http" && w.Private != "yes":
		return "http, expected https (or private: yes)"
	case u.Fragment != "":
		return "an address with a fragment, expected one without"
	}
	return ""
}

// Then is what a journey does beside mailing.
type Then struct {
	ID      string `json:"id" jsonschema:"required,title=a name of lower-case letters and digits and - and _,pattern=^[a-z][a-z0-9_-]*$,maxLength=63" jsonschema_description:"Names the step; it makes the key by which a repeat is known, so it is for good."`
	On      string `json:"on" jsonschema:"enum=decided,enum=sent" jsonschema_description:"decided: when the journey decides to mail somebody; sent: when the mail was accepted (decided)."`
	Webhook string `json:"webhook,omitempty" jsonschema:"maxLength=63" jsonschema_description:"A webhook of shop.yaml, which is called."`
	Publish string `json:"publish,omitempty" jsonschema:"title=a subject such as journeys.cart,maxLength=100" jsonschema_description:"A NATS subject, behind out., on which a message is published."`
}

// defaults is what a step that says nothing means.
func (t *Then) defaults() { t.On = "decided" }

// subject is what a message may be published on: names, joined by dots.
var subject = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*){0,7}$`)

// webhooks checks those of a shop.
func (s *sense) webhooks(shop *Shop) {
	for _, name := range slices.Sorted(maps.Keys(shop.Webhooks)) {
		hook, path := shop.Webhooks[name], join("webhooks", name)
		if e := s.root.get("webhooks").entry(name); e != nil && !senderName.MatchString(name) {
			s.refuse(e.line, e.column, path, "got the name %q, expected lower-case letters, digits, - and _", cut(name))
		}
		n := s.root.get("webhooks", name, "url")
		if n == nil || n.kind != kindText || environment.MatchString(hook.URL) {
			continue
		}
		if what := hook.wrong(hook.URL); what != "" {
			s.at(n, join(path, "url"), "", "got %s", what)
		}
	}
}

// then checks what a journey does beside mailing, by itself.
func (s *sense) then(j *Journey) {
	seen := map[string]bool{}
	for i := range j.Then {
		t, n, path := &j.Then[i], s.root.get("then", strconv.Itoa(i)), fmt.Sprintf("then[%d]", i)
		if n == nil || n.kind != kindMapping {
			continue
		}
		if (t.Webhook == "") == (t.Publish == "") {
			s.at(n, path, "", "expected one of webhook and publish")
		}
		if t.Publish != "" && !subject.MatchString(t.Publish) {
			s.at(n.get("publish"), path+".publish", "", "got %q, expected a subject such as journeys.cart", cut(t.Publish))
		}
		if seen[t.ID] && t.ID != "" {
			s.at(n.get("id"), path+".id", "", "the name %s is taken by another step", cut(t.ID))
		}
		seen[t.ID] = true
	}
}

// hooks checks that the shop has the journey's webhooks.
func (s *sense) hooks(j *Journey, shop *Shop) {
	known := slices.Sorted(maps.Keys(shop.Webhooks))
	for i := range j.Then {
		s.hook(j.Then[i].Webhook, s.root.get("then", strconv.Itoa(i), "webhook"), fmt.Sprintf("then[%d].webhook", i), shop, known)
	}
	s.hook(j.Alarms.Webhook, s.root.get("alarms", "webhook"), "alarms.webhook", shop, known)
}

// hook checks that the shop has a webhook, if one is named.
func (s *sense) hook(name string, n *node, path string, shop *Shop, known []string) {
	switch _, ok := shop.Webhooks[name]; {
	case ok || name == "":
	case len(known) == 0:
		s.at(n, path, "", "%s has no webhooks, expected one named %s", shop.File, cut(name))
	default:
		s.at(n, path, nearest(name, known), "%s has no webhook %s, expected one of %s", shop.File, cut(name), oneOf(known))
	}
}
