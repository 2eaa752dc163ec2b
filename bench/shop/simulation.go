package shop

import (
	"iter"
	"math"
	"strings"
	"time"

	"millrace/operators/event"
)

// Event is one message of the simulated shop, as its SDK would send it.
type Event struct {
	At        time.Time  // when it arrives; never before the event that came before it
	Time      time.Time  // when it happened: the timestamp it carries
	Kind      event.Kind // what it means; Unknown for names without meaning and for malformed ones
	MessageID string     // empty for some malformed ones
	Shopper   int        // index into Simulation.Shoppers
	JSON      []byte     // belongs to the caller, but a Duplicate shares it with its original
	Late      bool       // delivered minutes late
	Duplicate bool       // sent before with the same messageId and the same bytes
	Fault     string     // why it must be rejected, in the words of the dead letters; empty for good events
}

// Stats counts what has happened in a simulation so far.
type Stats struct {
	Events      int // handed out by Next
	Late        int
	Duplicates  int
	Malformed   int
	Sessions    int
	CartsOpened int
	CartsBought int
	Orders      int // through any door, reminders included

	MailsSeen          int // mails given to Delivered, repeats excluded
	MailsRepeated      int // the same mail again: nobody reacts, but it should be 0
	MailsUnknown       int // for an address that no shopper has
	MailsUnconsented   int // for a shopper who has not agreed or has unsubscribed
	MailsOpened        int
	MailsClicked       int
	MailsOrdered       int
	MailsUnsubscribed  int
	MailsMarkedAsSpam  int
	MailsBounced       int
	MailsOpenedMachine int
}

// person is a shopper with what the shop remembers of him.
type person struct {
	Shopper
	dice     *dice
	serial   uint32 // breaks ties in the queue
	known    bool   // has identified
	told     bool   // the traits were sent
	consent  bool   // as it stands now
	busy     int64  // a session lasts until then
	carts    []cart // open ones, at most two, oldest first
	made     int    // carts opened so far
	ordered  int    // order numbers used so far
	reviewed int    // reviews written so far
	owned    []int  // products bought, at most maxOwned
	mails    []uint64
}

// What a person remembers at most.
const (
	maxOwned = 16  // candidates for complements and reviews
	maxMails = 256 // the newest mails, to tell a repeated one
	maxCarts = 2   // phone and desktop
)

// Simulation is the shop: a discrete-event simulation in simulated time. It is used by
// one goroutine at a time. Memory is bounded by the population: a person has at most
// one session in the queue besides his next visits, refunds and reviews.
type Simulation struct {
	options Options
	stock   *Catalogue
	people  []person
	byEmail map[string]int
	queue   queue
	week    [168]float64 // weight of each hour of the week, Monday first, mean 1
	peak    float64
	now     int64 // arrival of the last event handed out
	stats   Stats
}

// New opens the shop. The same options give the same stream, byte for byte.
func New(o Options) *Simulation {
	o = o.withDefaults()
	s := &Simulation{options: o, stock: NewCatalogue(), byEmail: make(map[string]int, o.Shoppers), now: o.Start.UnixMilli()}
	s.week = weekPattern()
	for _, w := range s.week {
		s.peak = max(s.peak, w)
	}
	all := Shoppers(o.Seed, o.Shoppers, o.VisitsDaily, o.Consent, o.Bought)
	s.people = make([]person, len(all))
	for i := range all {
		p := &s.people[i]
		p.Shopper = all[i]
		p.dice = newDice(o.Seed, hashText("person"), uint64(i))
		p.known = p.Login == LoginKnown
		p.consent = p.Consent
		s.byEmail[strings.ToLower(p.Email)] = i
		s.push(i, pending{at: s.nextVisit(p, s.now), what: doVisit})
	}
	return s
}

// Catalogue returns what the shop sells.
func (s *Simulation) Catalogue() *Catalogue { return s.stock }

// Shoppers returns a copy of the population.
func (s *Simulation) Shoppers() []Shopper {
	out := make([]Shopper, len(s.people))
	for i := range s.people {
		out[i] = s.people[i].Shopper
	}
	return out
}

// Start returns the simulated time at which the shop opened.
func (s *Simulation) Start() time.Time { return s.options.Start.UTC() }

// Stats returns what has happened so far. Sessions are counted when they begin, so
// carts and orders may run a few minutes ahead of the events.
func (s *Simulation) Stats() Stats { return s.stats }

// Next returns the next event in the order of arrival. The stream has no end.
func (s *Simulation) Next() Event {
	e := s.peek()
	s.queue.pop()
	s.now = e.At.UnixMilli()
	s.stats.Events++
	switch {
	case e.Fault != "":
		s.stats.Malformed++
	case e.Duplicate:
		s.stats.Duplicates++
	case e.Late:
		s.stats.Late++
	}
	return *e
}

// Peek tells when the next event arrives, without taking it.
func (s *Simulation) Peek() time.Time { return s.peek().At }

// Until yields the events that arrive before t.
func (s *Simulation) Until(t time.Time) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for s.Peek().Before(t) {
			if !yield(s.Next()) {
				return
			}
		}
	}
}

// peek plays sessions until an event stands first in the queue.
func (s *Simulation) peek() *Event {
	for {
		first := s.queue.first()
		if first.what == doEmit {
			return first.event
		}
		do := *first
		s.queue.pop()
		s.act(do)
	}
}

// act begins the session that is due.
func (s *Simulation) act(do pending) {
	p := &s.people[do.who]
	if do.at < p.busy { // one session at a time: come back a little after it
		do.at = p.busy + 60_000
		s.push(do.who, do)
		return
	}
	v := &visit{s: s, p: p, who: do.who, dice: p.dice, at: do.at}
	switch do.what {
	case doVisit:
		p.forgetOldCarts(do.at)
		v.browse()
		s.push(do.who, pending{at: s.nextVisit(p, v.at), what: doVisit})
	case doReturn:
		v.buyAfterAll(do.cart)
	case doClick:
		v.dice = do.click.dice
		v.follow(do.click)
	}
	p.busy = v.at
}

// nextVisit draws the beginning of a person's next session after a time: a Poisson
// process whose rate follows the hour of the person's own week (thinning; Lewis and
// Shedler, 1979).
func (s *Simulation) nextVisit(p *person, after int64) int64 {
	mean := 24 * float64(time.Hour) / (p.VisitsDaily * s.peak)
	at := after
	for range 100_000 {
		at += 1 + int64(min(p.dice.waiting(time.Duration(min(mean, math.MaxInt64/64))), 365*24*time.Hour)/time.Millisecond)
		if p.dice.chance(s.weight(at, p.offset) / s.peak) {
			break
		}
	}
	return at
}

// weight is how busy the shop is at a local time; 1 on average.
func (s *Simulation) weight(at int64, offset time.Duration) float64 {
	const hour = 3_600_000
	hours := (at + offset.Milliseconds()) / hour
	return s.week[(hours+3*24)%168] // 1970 began on a Thursday
}

// weekPattern is how visits spread over the week of a general shop: quiet nights, a
// bump at lunch, the peak at 20 to 22 h, later mornings and a strong Sunday evening.
func weekPattern() [168]float64 {
	workday := [24]float64{3, 2, 1, 1, 1, 2, 5, 9, 13, 15, 16, 17, 19, 18, 16, 16, 17, 19, 21, 25, 28, 26, 16, 8}
	weekend := [24]float64{5, 3, 2, 1, 1, 1, 3, 6, 11, 17, 21, 22, 21, 20, 20, 20, 21, 22, 23, 26, 29, 27, 17, 8}
	days := [7]float64{1.02, 0.98, 0.98, 1.0, 0.95, 0.93, 1.12}
	var out [168]float64
	sum := 0.0
	for h := range out {
		hours := &workday
		if h/24 >= 5 {
			hours = &weekend
		}
		out[h] = hours[h%24] * days[h/24]
		sum += out[h]
	}
	for h := range out {
		out[h] *= 168 / sum
	}
	return out
}
