package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"millrace/bench/shop"
	"millrace/engine"
	"millrace/operators/event"
)

// This file counts once more what is in the log, from the bytes, with encoding/json and
// plain maps: nothing of the engine, its decoder or its operators takes part.

// place is where an event stands in the log.
type place struct {
	seq   uint64
	index uint32
}

// tally is what one person, or one visitor who never said who he is, did.
type tally struct {
	counts   map[event.Kind]uint64
	money    map[event.Kind]event.Money
	orders   map[string]event.Money // by order id
	refunds  map[string]event.Money
	messages map[string]bool
}

// recount is what a log must lead to.
type recount struct {
	events    int
	repeats   int
	malformed map[place]string  // with the bytes
	ids       map[string]bool   // messageIds of all events, good and bad
	people    map[string]*tally // by user id
	visitors  map[string]*tally // by anonymous id
	owners    map[string]string // user id by anonymous id
	orders    []rawOrder
}

// rawOrder is one order that counts.
type rawOrder struct {
	at    time.Time
	items []string // distinct
}

// rawEvent is what the recount reads of an event.
type rawEvent struct {
	Type, Event, MessageID          string
	UserID, AnonymousID, PreviousID string
	Timestamp                       time.Time
	Properties                      struct {
		rawLine
		OrderID  string `json:"order_id"`
		Revenue  json.RawMessage
		Products []rawLine
	}
}

type rawLine struct {
	ID       string `json:"product_id"`
	Price    json.RawMessage
	Quantity int64
}

func newRecount(messages []engine.Message) (*recount, error) {
	r := &recount{
		malformed: make(map[place]string), ids: make(map[string]bool), people: make(map[string]*tally),
		visitors: make(map[string]*tally), owners: make(map[string]string),
	}
	for i := range messages {
		if err := r.message(&messages[i]); err != nil {
			return nil, fmt.Errorf("message %d: %w", messages[i].Seq, err)
		}
	}
	return r, nil
}

// message counts one message of the log.
func (r *recount) message(m *engine.Message) error {
	var envelope struct {
		MR    int
		Kind  string
		Items []struct {
			T string
			E json.RawMessage
			B string
		}
	}
	switch {
	case json.Unmarshal(m.Data, &envelope) != nil || envelope.MR != 1:
		return r.raw(place{m.Seq, 0}, m.Data)
	case envelope.Kind == "receipt", envelope.Kind == "activation":
		return nil
	case envelope.Kind != "events":
		return fmt.Errorf("kind %q is not expected", envelope.Kind)
	}
	for i, item := range envelope.Items {
		raw := []byte(item.E)
		if item.E == nil {
			var err error
			if raw, err = base64.StdEncoding.DecodeString(item.B); err != nil {
				return err
			}
		}
		if err := r.raw(place{m.Seq, uint32(i)}, raw); err != nil { //nolint:gosec // a batch is small
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	return nil
}

// raw counts one event as it came in.
func (r *recount) raw(at place, raw []byte) error {
	if one := shop.Recount(slices.Values([][]byte{raw})); one.Malformed == 1 {
		r.malformed[at] = string(raw)
		var id struct{ MessageID string }
		_ = json.Unmarshal(raw, &id)
		r.ids[id.MessageID] = true
		return nil
	}
	var e rawEvent
	if err := json.Unmarshal(raw, &e); err != nil {
		return err
	}
	r.ids[e.MessageID] = true
	r.event(&e)
	return nil
}

// event counts one good event for whoever did it.
func (r *recount) event(e *rawEvent) {
	visitor := e.AnonymousID
	if e.Type == "alias" {
		visitor = e.PreviousID
	}
	who := get(r.people, e.UserID)
	if visitor != "" {
		if e.UserID != "" && r.owners[visitor] != e.UserID {
			if old, ok := r.visitors[visitor]; ok && r.owners[visitor] == "" {
				get(r.people, e.UserID).join(old)
				delete(r.visitors, visitor)
			}
			r.owners[visitor] = e.UserID
		}
		if owner := r.owners[visitor]; owner != "" {
			who = get(r.people, owner)
		} else {
			who = get(r.visitors, visitor)
		}
	}
	delete(r.people, "")
	who.init()
	if who.messages[e.MessageID] {
		r.repeats++
		return
	}
	r.events++
	who.messages[e.MessageID] = true
	kind := rawKind(e)
	money, items := e.worth()
	switch kind {
	case event.OrderCompleted:
		if _, again := who.orders[e.Properties.OrderID]; again {
			return
		}
		money = cents(e.Properties.Revenue)
		who.orders[e.Properties.OrderID] = money
		r.orders = append(r.orders, rawOrder{e.Timestamp, items})
	case event.OrderRefunded:
		money = cents(e.Properties.Revenue)
		who.refunds[e.Properties.OrderID] += money
	}
	who.counts[kind]++
	who.money[kind] += money
}

func (t *tally) init() {
	if t.counts == nil {
		*t = tally{
			counts: make(map[event.Kind]uint64), money: make(map[event.Kind]event.Money), messages: make(map[string]bool),
			orders: make(map[string]event.Money), refunds: make(map[string]event.Money),
		}
	}
}

// join adds the history of a visitor to that of the person he turned out to be.
func (t *tally) join(o *tally) {
	t.init()
	for k, n := range o.counts {
		t.counts[k] += n
		t.money[k] += o.money[k]
	}
	for id := range o.messages {
		t.messages[id] = true
	}
	maps.Copy(t.orders, o.orders)
	for id, m := range o.refunds {
		t.refunds[id] += m
	}
}

// revenue is what the orders were worth, and what of it went back.
func (t *tally) revenue() (sum, back event.Money) {
	for id, m := range t.orders {
		sum += m
		back += min(m, t.refunds[id])
	}
	return sum, back
}

// worth is what the products of an event cost, and which they are.
func (e *rawEvent) worth() (event.Money, []string) {
	lines := e.Properties.Products
	if len(lines) == 0 && e.Properties.ID != "" {
		lines = []rawLine{e.Properties.rawLine}
	}
	sum := event.Money(0)
	var ids []string
	for _, l := range lines {
		sum += cents(l.Price) * event.Money(max(l.Quantity, 1))
		if !slices.Contains(ids, l.ID) {
			ids = append(ids, l.ID)
		}
	}
	return sum, ids
}

// rawKind is what an event means.
func rawKind(e *rawEvent) event.Kind {
	switch e.Type {
	case "identify":
		return event.Identify
	case "alias":
		return event.Alias
	case "page":
		return event.Page
	case "screen":
		return event.Screen
	case "group":
		return event.Group
	}
	return map[string]event.Kind{
		"Product Viewed": event.ProductViewed, "Product Added": event.ProductAdded, "Product Removed": event.ProductRemoved,
		"Products Searched": event.ProductsSearched, "Cart Viewed": event.CartViewed, "Checkout Started": event.CheckoutStarted,
		"Order Completed": event.OrderCompleted, "Order Refunded": event.OrderRefunded, "Product Reviewed": event.ProductReviewed,
		"Product List Viewed": event.ProductListViewed,
	}[e.Event]
}

// cents reads a price, quoted or not.
func cents(raw json.RawMessage) event.Money {
	var f float64
	if json.Unmarshal([]byte(strings.Trim(string(raw), `"`)), &f) != nil {
		return 0
	}
	return event.Money(math.Round(f * 100))
}

// boughtTogether are the decayed counts of orders: per item, per pair of items.
func (r *recount) boughtTogether(now time.Time, half time.Duration) (own map[string]float64, pairs map[[2]string]float64) {
	own, pairs = make(map[string]float64), make(map[[2]string]float64)
	for _, o := range r.orders {
		w := math.Exp2(-float64(now.Sub(o.at)) / float64(half))
		for _, a := range o.items {
			own[a] += w
			for _, b := range o.items {
				if a != b {
					pairs[[2]string{a, b}] += w
				}
			}
		}
	}
	return own, pairs
}
