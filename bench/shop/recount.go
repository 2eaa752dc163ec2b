package shop

import (
	"encoding/json"
	"iter"
	"strings"

	"millrace/operators/event"
)

// UserCounts is what one id did.
type UserCounts struct {
	Kinds [event.KindCount]int
	Money event.Money // of orders: the sum of revenue, in cents
}

// ItemCounts is what happened to one product.
type ItemCounts struct {
	Viewed, Added, Removed int         // events
	Bought                 int         // order lines
	Quantity               int         // pieces in orders
	Money                  event.Money // price × quantity in orders, in cents
}

// Counts is what a stream of events must lead to.
type Counts struct {
	Events     int // good ones, duplicates excluded
	Duplicates int // good ones whose messageId came before
	Malformed  int // must go to the dead letters
	Kinds      [event.KindCount]int
	Users      map[string]*UserCounts // by userId, else by anonymousId
	Items      map[string]*ItemCounts // by product_id
}

// Recount counts events, one message each, independently of the engine: with
// encoding/json, with plain maps, with the first message of a messageId winning for
// ever. It follows no link between ids, takes order and time as they come, and knows
// the limits of the ingest (32 KiB, depth 16). Memory grows with the number of ids.
func Recount(events iter.Seq[[]byte]) Counts {
	c := Counts{Users: map[string]*UserCounts{}, Items: map[string]*ItemCounts{}}
	seen := map[string]bool{}
	for raw := range events {
		m, ok := readMessage(raw)
		if !ok {
			c.Malformed++
			continue
		}
		if m.MessageID != "" && seen[m.MessageID] {
			c.Duplicates++
			continue
		}
		seen[m.MessageID] = true
		c.add(m)
	}
	return c
}

// message is what Recount reads of an event.
type message struct {
	Type        string
	UserID      any
	AnonymousID string
	Event       string
	MessageID   string
	Properties  struct {
		line
		OrderID  string `json:"order_id"`
		Revenue  json.RawMessage
		Products []line
	}
}

type line struct {
	ID       string `json:"product_id"`
	Price    json.RawMessage
	Quantity int
}

// readMessage decodes a message and tells whether it is to be accepted.
func readMessage(raw []byte) (m *message, ok bool) {
	if len(raw) > 32<<10 || depth(raw) > 16 {
		return nil, false
	}
	m = &message{}
	if json.Unmarshal(raw, m) != nil {
		return nil, false
	}
	m.Event = strings.TrimSpace(m.Event)
	switch m.Type {
	case "track":
		ok = m.Event != ""
	case "identify", "alias", "page", "screen", "group":
		ok = true
	}
	return m, ok && (m.user() != "" || m.AnonymousID != "")
}

// user is the user id, or "" for what counts as none.
func (m *message) user() string {
	id, _ := m.UserID.(string)
	switch id {
	case "null", "undefined", "[object Object]", "0", "guest":
		return ""
	}
	return id
}

// depth is how deep objects and lists stand in each other; what is not JSON is caught
// later.
func depth(raw []byte) int {
	now, most := 0, 0
	text, escaped := false, false
	for _, c := range raw {
		switch {
		case escaped:
			escaped = false
		case text:
			escaped, text = c == '\\', c != '"'
		case c == '"':
			text = true
		case c == '{', c == '[':
			now++
			most = max(most, now)
		case c == '}', c == ']':
			now--
		}
	}
	return most
}

func (c *Counts) add(m *message) {
	kind := kindOf(m.Type, m.Event)
	id := m.user()
	if id == "" {
		id = m.AnonymousID
	}
	u := c.Users[id]
	if u == nil {
		u = &UserCounts{}
		c.Users[id] = u
	}
	c.Events++
	c.Kinds[kind]++
	u.Kinds[kind]++
	switch kind {
	case event.ProductViewed:
		c.item(m.Properties.ID).Viewed++
	case event.ProductAdded:
		c.item(m.Properties.ID).Added++
	case event.ProductRemoved:
		c.item(m.Properties.ID).Removed++
	case event.OrderCompleted:
		u.Money += cents(m.Properties.Revenue)
		for _, l := range m.Properties.Products {
			i := c.item(l.ID)
			i.Bought++
			i.Quantity += l.Quantity
			i.Money += cents(l.Price) * event.Money(l.Quantity)
		}
	}
}

func (c *Counts) item(id string) *ItemCounts {
	i := c.Items[id]
	if i == nil {
		i = &ItemCounts{}
		c.Items[id] = i
	}
	return i
}

// cents reads a plain decimal with at most two digits after the point, quoted or not;
// anything else is 0.
func cents(raw json.RawMessage) event.Money {
	whole, part, _ := strings.Cut(strings.Trim(string(raw), `"`), ".")
	if len(part) > 2 || len(whole) > 12 {
		return 0
	}
	sum := event.Money(0)
	for _, digit := range whole + (part + "00")[:2] {
		if digit < '0' || digit > '9' {
			return 0
		}
		sum = sum*10 + event.Money(digit-'0')
	}
	return sum
}
