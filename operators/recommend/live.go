package recommend

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// LiveOptions say what is kept in memory beside the engine. The zero value works.
type LiveOptions struct {
	Visits VisitOptions
	Items  int           // items that are numbered; 0: four million
	Queue  int           // what may wait to be taken in
	Heal   time.Duration // least time between two readings of the state
	Blend  PlacementOptions
}

func (o LiveOptions) withDefaults() LiveOptions {
	o.Queue = cmp.Or(o.Queue, 1<<15)     // a third of a second at 100,000 events a second, in 2 MB
	o.Heal = cmp.Or(o.Heal, time.Minute) // reading a large state takes seconds
	o.Visits.Items = cmp.Or(o.Items, o.Visits.Items)
	return o
}

// Live is what recommendations know beside the committed state: the visits of late, what
// items are called, and how much each voice counts. It lives in memory, is made from the
// state when the program starts, and is told of each event by operators that never wait
// for it: what does not fit its queue is counted, and read from the state later. Nothing
// that is decided rests on it. Safe for concurrent use.
type Live struct {
	Visits *Visits
	Shelf  *Shelf
	Blend  *Placements

	o       LiveOptions
	queue   chan signal
	sent    atomic.Uint64
	taken   atomic.Uint64
	lost    atomic.Uint64
	gap     atomic.Bool
	ready   atomic.Bool
	readAll atomic.Uint64 // how often the state was read
	told    [1 << 14]atomic.Uint64
	desks   sync.Pool // of *liveDesk

	mu     sync.Mutex
	forget []forgotten
}

// forgotten is a person to be erased again when what was under way has arrived.
type forgotten struct {
	who   uint64
	after uint64
}

// signal is what an operator tells.
type signal struct {
	kind    signalKind
	who, to uint64
	at      int64
	item    string // of a click on a mail: the address
	text    string // of a click on a mail: the decision
	listing *Listing
}

type signalKind uint8

const (
	signalTouched signalKind = iota
	signalListed
	signalMerged
	signalClicked
)

// NewLive makes an empty one.
func NewLive(o LiveOptions) *Live {
	o = o.withDefaults()
	l := &Live{o: o, Visits: NewVisits(o.Visits), Shelf: NewShelf(o.Items), Blend: NewPlacements(o.Blend), queue: make(chan signal, o.Queue)}
	l.desks.New = func() any { return new(liveDesk) }
	return l
}

// who is a person's number: what is told of persons holds no id.
func who(person string) uint64 { return hashOf(person) }

// tell queues a signal, or counts it as lost.
func (l *Live) tell(s signal) {
	l.sent.Add(1)
	select {
	case l.queue <- s:
	default:
		l.taken.Add(1)
		l.lost.Add(1)
		if s.kind != signalClicked { // what a click taught is not in the state
			l.gap.Store(true)
		}
	}
}

// Touched tells that a person looked at an item, put it in a cart, or bought it. It never
// waits and keeps nothing of its arguments.
func (l *Live) Touched(person, item string, at int64) {
	if item == "" || len(l.queue) == cap(l.queue) {
		l.tell(signal{kind: signalTouched, who: who(person), at: at})
		return
	}
	l.tell(signal{kind: signalTouched, who: who(person), item: strings.Clone(item), at: at})
}

// Listed tells what is said of an item: by an event, or by a catalogue. It never waits
// and keeps nothing of its arguments.
func (l *Live) Listed(item string, x *Listing, at int64) {
	h := hashOf(item)
	sum := scramble(h ^ x.sum())
	slot := &l.told[h%uint64(len(l.told))]
	if slot.Load() == sum { // said just so before
		return
	}
	c := x.clone()
	l.tell(signal{kind: signalListed, item: strings.Clone(item), listing: &c, at: at})
	slot.Store(sum)
}

// sum tells listings apart.
func (l *Listing) sum() uint64 {
	f := &l.Facts
	h := uint64(f.Price)<<8 | uint64(l.Stock)<<1 //nolint:gosec // bits
	if f.HasPrice {
		h |= 1
	}
	for _, s := range [...]string{f.Name, f.Category, f.URL, f.ImageURL, f.Currency, l.Brand} {
		h = scramble(h ^ hashOf(s))
	}
	return h
}

// Merged tells that what one key did was done by a person.
func (l *Live) Merged(from, to string) {
	l.tell(signal{kind: signalMerged, who: who(from), to: who(to)})
}

// linked is Merged for one who says it at every event.
func (l *Live) linked(from, to string) {
	h := who(from)
	sum := scramble(h ^ scramble(who(to)))
	if slot := &l.told[scramble(h)%uint64(len(l.told))]; slot.Load() != sum {
		l.Merged(from, to)
		slot.Store(sum)
	}
}

// Clicked tells that somebody followed a link of a mail.
func (l *Live) Clicked(decision, address string) {
	l.tell(signal{kind: signalClicked, text: strings.Clone(decision), item: strings.Clone(address)})
}

// Erase forgets a person: at once, and again when what was under way has arrived. It says
// how many visits there were.
func (l *Live) Erase(person string) int {
	l.mu.Lock()
	l.forget = append(l.forget, forgotten{who(person), l.sent.Load()})
	l.mu.Unlock()
	return l.Visits.Erase(who(person))
}

// erased erases those again of whom nothing is under way any more.
func (l *Live) erased() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.forget) > 0 && l.forget[0].after <= l.taken.Load() {
		l.Visits.Erase(l.forget[0].who)
		l.forget = l.forget[1:]
	}
}

// take carries a signal out.
func (l *Live) take(s *signal) {
	switch s.kind {
	case signalTouched:
		if s.item != "" {
			l.Visits.Click(s.who, l.Shelf.Put(s.item), s.at)
		}
	case signalListed:
		l.Shelf.Describe(s.item, s.listing, s.at)
	case signalMerged:
		l.Visits.Merge(s.who, s.to)
	case signalClicked:
		l.Blend.Clicked(s.text, s.item)
	}
	l.taken.Add(1)
}

// Run reads the state by fill, and then takes in what it is told, until ctx ends. What
// was lost meanwhile makes it read the state again. One goroutine runs it.
func (l *Live) Run(ctx context.Context, fill func(context.Context) error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var filled time.Time
	for {
		if !l.ready.Load() || l.gap.Load() && time.Since(filled) >= l.o.Heal && len(l.queue) < cap(l.queue)/2 {
			l.gap.Store(false)
			if err := fill(ctx); err != nil {
				if ctx.Err() != nil {
					return nil //nolint:nilerr // asked to end
				}
				return err
			}
			l.readAll.Add(1)
			l.ready.Store(true)
			filled = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil
		case s := <-l.queue:
			l.take(&s)
			l.some()
			l.erased()
		case <-tick.C:
			l.erased()
			l.Shelf.Weigh()
		}
	}
}

// some takes what waits, at most a thousand signals.
func (l *Live) some() {
	for range 1000 {
		select {
		case s := <-l.queue:
			l.take(&s)
		default:
			return
		}
	}
}

// Drain takes in what waits, for who does not Run it.
func (l *Live) Drain() {
	for len(l.queue) > 0 {
		l.some()
	}
	l.erased()
}

// LiveStats are figures of a Live.
type LiveStats struct {
	VisitStats
	Items   int
	Waiting int    // signals not yet taken in
	Missed  uint64 // signals that found no room
	Read    uint64 // how often the state was read
	Ready   bool   // it was read once
}

// Stats counts.
func (l *Live) Stats() LiveStats {
	return LiveStats{VisitStats: l.Visits.Stats(), Items: l.Shelf.Len(), Waiting: len(l.queue), Missed: l.lost.Load(), Read: l.readAll.Load(), Ready: l.ready.Load()}
}
