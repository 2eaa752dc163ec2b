package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"time"
)

// The job that everybody does, each on its own ground: read the shop's events from
// JetStream, one a message; keep for each person how often what happened, and the ten
// products seen last; and decide, an hour of event time after a cart was changed last
// and nothing was ordered, that it was left. Parsing and the steps for one person are
// these functions for all, so that what differs is the ground.
const (
	lastItems  = 10
	leftAfter  = int64(time.Hour / time.Millisecond)
	outOfOrder = int64(2 * time.Minute / time.Millisecond) // the watermark trails the newest event, as millrace's does
)

// kind is what an event means to the job.
type kind uint8

const (
	other kind = iota
	viewed
	added
	removed
	ordered
	kinds
)

// action is an event as the job sees it.
type action struct {
	user string
	item string
	at   int64 // Unix milliseconds
	kind kind
}

var errEvent = errors.New("no event of the shop")

// parse reads a message of the shop.
func parse(data []byte) (action, error) {
	var m struct {
		UserID     string    `json:"userId"`
		Event      string    `json:"event"`
		Timestamp  time.Time `json:"timestamp"`
		Properties struct {
			ProductID string `json:"product_id"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return action{}, fmt.Errorf("%w: %w", errEvent, err)
	}
	if m.UserID == "" || m.Timestamp.IsZero() {
		return action{}, errEvent
	}
	a := action{user: m.UserID, item: m.Properties.ProductID, at: m.Timestamp.UnixMilli()}
	switch m.Event {
	case "Product Viewed":
		a.kind = viewed
	case "Product Added":
		a.kind = added
	case "Product Removed":
		a.kind = removed
	case "Order Completed":
		a.kind = ordered
	}
	return a, nil
}

// shopper is what is kept of a person.
type shopper struct {
	counts [kinds]uint64
	items  []string // the oldest first
	open   bool     // a cart was changed and nothing was ordered since
	since  int64    // when it was changed last
	armed  int64    // when the person's timer is due; 0: there is none
}

// apply takes an event, and answers when a timer is to be set, or 0.
func (s *shopper) apply(a *action) (timer int64) {
	s.counts[a.kind]++
	if a.item != "" {
		if len(s.items) == lastItems {
			copy(s.items, s.items[1:])
			s.items = s.items[:lastItems-1]
		}
		s.items = append(s.items, a.item)
	}
	switch a.kind {
	case added, removed:
		s.open, s.since = true, a.at
		if s.armed == 0 {
			s.armed = a.at + leftAfter
			return s.armed
		}
	case ordered:
		s.open = false
	case other, viewed, kinds:
	}
	return 0
}

// fire takes the timer that was due: a cart was left, or the timer is to be set anew.
func (s *shopper) fire(due int64) (left bool, timer int64) {
	if s.armed != due {
		return false, 0
	}
	s.armed = 0
	switch {
	case !s.open:
	case s.since+leftAfter <= due:
		s.open = false
		return true, 0
	default:
		s.armed = s.since + leftAfter
	}
	return false, s.armed
}

// AppendTo appends the stored form.
func (s *shopper) AppendTo(b []byte) []byte {
	flags := byte(0)
	if s.open {
		flags = 1
	}
	b = append(b, 1, flags)
	for _, n := range s.counts {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendVarint(binary.AppendVarint(b, s.since), s.armed)
	for _, item := range s.items {
		b = append(append(b, byte(len(item))), item...) // an id of the shop is short
	}
	return b
}

var errShopper = errors.New("a stored person is damaged")

// DecodeFrom reads the stored form.
func (s *shopper) DecodeFrom(b []byte) error {
	*s = shopper{}
	if len(b) < 2 || b[0] != 1 || b[1] > 1 {
		return errShopper
	}
	s.open = b[1] == 1
	b = b[2:]
	for i := range s.counts {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return errShopper
		}
		s.counts[i], b = v, b[n:]
	}
	for _, p := range [...]*int64{&s.since, &s.armed} {
		v, n := binary.Varint(b)
		if n <= 0 {
			return errShopper
		}
		*p, b = v, b[n:]
	}
	for len(b) > 0 {
		end := 1 + int(b[0])
		if end > len(b) || len(s.items) == lastItems {
			return errShopper
		}
		s.items, b = append(s.items, string(b[1:end])), b[end:]
	}
	return nil
}

// decision says that a cart was left.
type decision struct {
	user  string
	since int64
}

// answer is what came of the job, to be compared. It does not depend on an order.
type answer struct {
	Events   uint64 `json:"events"` // counted in the state of all persons together
	Persons  uint64 `json:"persons"`
	Left     uint64 `json:"carts_left"`
	LeftHash uint64 `json:"carts_left_hash"`
	Hash     uint64 `json:"state_hash"`
}

// person takes a person's state in.
func (a *answer) person(user string, s *shopper) {
	a.Persons++
	for _, n := range s.counts {
		a.Events += n
	}
	a.Hash += hash(append(s.AppendTo(nil), user...))
}

// left takes a decision in.
func (a *answer) left(d decision) {
	a.Left++
	a.LeftHash += hash(binary.BigEndian.AppendUint64([]byte(d.user), uint64(d.since))) //nolint:gosec // a hash
}

func hash(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails
	return h.Sum64()
}
