package configs

import (
	"maps"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// sortedCopy returns the names in order.
func sortedCopy(names []string) []string { return slices.Sorted(slices.Values(names)) }

// sense notes what is well formed and makes no sense: what no schema can say.
type sense struct {
	*reader
	options Options
	root    *node
}

// at notes a problem at a value, when it is there.
func (s *sense) at(n *node, path, hint, format string, args ...any) {
	if n == nil {
		n = s.root
	}
	s.refuse(n.line, n.column, path, format, args...)
	s.problems[len(s.problems)-1].Hint = hint
}

// item returns the node of an element of a list that may be written as one name.
func item(list *node, i int) *node {
	if list != nil && list.kind == kindList && i < len(list.items) {
		return list.items[i]
	}
	return list
}

var senderName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// environment is the name of an environment variable.
var environment = regexp.MustCompile(`^env:[A-Za-z_][A-Za-z0-9_]{0,99}$`)

// shop checks a shop.
func (s *sense) shop(shop *Shop) {
	for _, name := range slices.Sorted(maps.Keys(shop.Senders)) {
		sender, path := shop.Senders[name], join("senders", name)
		if e := s.root.get("senders").entry(name); e != nil && !senderName.MatchString(name) {
			s.refuse(e.line, e.column, path, "got the name %q, expected lower-case letters, digits, - and _", cut(name))
		}
		if n := s.root.get("senders", name, "smtp"); n != nil && n.kind == kindText {
			s.server(n, join(path, "smtp"), sender.SMTP)
		}
		if n := s.root.get("senders", name, "from"); n != nil && n.kind == kindText {
			if _, err := mail.ParseAddress(sender.From); err != nil {
				s.at(n, join(path, "from"), "", `got something else, expected an address such as Shop <hello@shop.example>`)
			}
		}
	}
	s.webhooks(shop)
	if float64(shop.Holdout) > 0.5 {
		s.at(s.root.get("holdout"), "holdout", "", "got %v, expected at most 50%%", shop.Holdout)
	}
	if n := s.root.get("profile", "visitor_ttl"); n != nil && n.kind == kindText && shop.Profile.VisitorTTL > 0 && shop.Profile.VisitorTTL < visitorTTLLeast {
		s.at(n, "profile.visitor_ttl", "", "got %s, expected at least 8d: repeats of events are known for 7d", spell(shop.Profile.VisitorTTL))
	}
	s.personFields(shop)
	s.segments(shop)
	s.sentiment(shop)
	s.blanks(shop.Items.Exclude, s.root.get("items", "exclude"), "items.exclude")
	for name, text := range map[string]string{"shop": shop.Links.Shop, "cart": shop.Links.CartURL("id")} {
		if n := s.root.get("links", name); n != nil && n.kind == kindText && !webPage(text) {
			hint := ""
			if name == "cart" {
				hint = ", in which {cart_id} stands for the id"
			}
			s.at(n, join("links", name), "", "got something else, expected an address such as https://shop.example/%s%s", name, hint)
		}
	}
}

// webPage reports whether text is an address that may stand in a mail: http or https,
// with a host, without a user, in the characters of addresses.
func webPage(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "http" || u.Scheme == "https") &&
		!strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>\"{}", r) })
}

// server checks where a sender connects to. Its text is never repeated: it may hold a
// password.
func (s *sense) server(n *node, path, server string) {
	if environment.MatchString(server) {
		return
	}
	u, err := url.Parse(server)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "smtp" && u.Scheme != "smtps"):
		s.at(n, path, "", "got something else, expected env:NAME or smtp://host:port")
	case u.User != nil:
		s.at(n, path, "", "got a user or password in the file, expected env:NAME and the URL in that variable")
	}
}

// blanks refuses empty texts in a list: they would match everything.
func (s *sense) blanks(list []string, n *node, path string) {
	for i, text := range list {
		if e := item(n, i); strings.TrimSpace(text) == "" && e != nil && e.kind == kindText {
			s.at(e, path, "", "got an empty text")
		}
	}
}

// journey checks a journey by itself.
func (s *sense) journey(j *Journey) {
	kind := s.options.kind(j.Content.Kind)
	on := s.root.get("trigger", "start", "on")
	for i, name := range j.Trigger.Start.On {
		if slices.Contains(s.options.Events, name) && len(kind.Starts) > 0 && !slices.Contains(kind.Starts, name) {
			s.at(item(on, i), "trigger.start.on", "", "%s cannot start a journey of kind %s, expected one of %s", name, kind.Name, oneOf(kind.Starts))
		}
	}
	cancel := s.root.get("trigger", "cancel", "on")
	for i, name := range j.Trigger.Cancel.On {
		if slices.Contains(j.Trigger.Start.On, name) {
			s.at(item(cancel, i), "trigger.cancel.on", "", "%s starts the wait and cannot cancel it too", name)
		}
	}
	if key := s.root.get("trigger", "key"); len(j.Trigger.Key) > 0 && slices.Contains(s.options.Keys, j.Trigger.Key[0]) && j.Trigger.Key[0] != s.options.Keys[0] {
		s.at(item(key, 0), "trigger.key", "", "got %s first, expected %s: a wait belongs to a person", j.Trigger.Key[0], s.options.Keys[0])
	}
	if r := j.Content.Recommend; r != nil {
		i := slices.IndexFunc(s.options.Seeds, func(seed Seed) bool { return seed.Name == r.Seed })
		known := slices.Contains(s.options.words("kinds"), kind.Name)
		if known && i >= 0 && len(s.options.Seeds[i].Kinds) > 0 && !slices.Contains(s.options.Seeds[i].Kinds, kind.Name) {
			s.at(s.root.get("content", "recommend", "seed"), "content.recommend.seed", "",
				"a mail of kind %s has no %s, they come with %s", kind.Name, r.Seed, oneOf(s.options.Seeds[i].Kinds))
		}
	}
	s.recommend(j.Content.Recommend)
	s.personal(j, kind)
	s.idempotency(j)
	s.trial(j)
	s.then(j)
	s.content(&j.Content)
	s.blanks(j.Content.Banned, s.root.get("content", "banned"), "content.banned")
}

// idempotency checks that the key says what the engine does: one mail for each key
// and start.
func (s *sense) idempotency(j *Journey) {
	n := s.root.get("send", "idempotency_key")
	if n == nil || len(j.Trigger.Key) == 0 || (n.kind != kindList && n.kind != kindText) {
		return
	}
	want := append(slices.Clone(j.Trigger.Key), startedAt)
	if !slices.Equal(sortedCopy(want), sortedCopy(j.Send.IdempotencyKey)) {
		s.at(n, "send.idempotency_key", "", "not yet supported: a key other than [%s], the trigger's key and its start", strings.Join(want, ", "))
	}
}

// sender checks that the shop has the journey's sender.
func (s *sense) sender(j *Journey, shop *Shop) {
	known := slices.Sorted(maps.Keys(shop.Senders))
	if _, ok := shop.Senders[j.Send.Sender()]; ok || !strings.HasPrefix(j.Send.Via, "smtp/") {
		return
	}
	n, name := s.root.get("send", "via"), j.Send.Sender()
	hint := nearest(name, known)
	if hint != "" {
		hint = "smtp/" + hint
	}
	if len(known) == 0 {
		s.at(n, "send.via", "", "%s has no senders, expected one named %s", shop.File, cut(name))
		return
	}
	s.at(n, "send.via", hint, "%s has no sender %s, expected one of %s", shop.File, cut(name), oneOf(known))
}
