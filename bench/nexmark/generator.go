package nexmark

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

// Kind is what an event is.
type Kind byte

// The kinds.
const (
	PersonKind Kind = iota
	AuctionKind
	BidKind
	EndKind // of a bounded input: event time goes past everything
)

// Person is somebody who registered.
type Person struct {
	ID                             int64
	Name, Email, Card, City, State string
	Time                           int64 // Unix milliseconds
	Extra                          string
}

// Auction is an item for sale. Prices are cents.
type Auction struct {
	ID                  int64
	Item, Description   string
	InitialBid, Reserve int64
	Time, Expires       int64 // Unix milliseconds
	Seller, Category    int64
	Extra               string
}

// Bid is an offer for an auction.
type Bid struct {
	Auction, Bidder, Price int64
	Channel, URL           string
	Time                   int64 // Unix milliseconds
	Extra                  string
}

// Event is one of the three. Bids, 92 of 100, stand in it; the others are pointed to.
type Event struct {
	Kind    Kind
	Bid     Bid
	Person  *Person
	Auction *Auction
}

// Time is the event time, Unix milliseconds.
func (e *Event) Time() int64 {
	switch e.Kind {
	case PersonKind:
		return e.Person.Time
	case AuctionKind:
		return e.Auction.Time
	case BidKind, EndKind:
	}
	return e.Bid.Time
}

// The constants of the benchmark.
const (
	Start = 1436918400000 // 2015-07-15T00:00Z, Unix milliseconds

	perEpoch       = 50 // 1 person, 3 auctions, 46 bids
	firstID        = 1000
	firstCategory  = 10
	categories     = 5
	activePeople   = 1000
	inFlight       = 100
	idLead         = 10
	hotBlock       = 100
	hotAuctionOdds = 2
	hotPersonOdds  = 4
	channels       = 10_000
	poolSize       = 1 << 20
	expiryEvents   = inFlight * perEpoch / 3
)

// Generator makes the events of a seed. Any event can be made alone. Safe for concurrent
// use once it is made.
type Generator struct {
	base     uint64
	delay    int64 // microseconds between two events
	urls     []string
	hotURLs  [4]string
	channels []string
	pool     string
}

var (
	//nolint:gochecknoglobals // constant
	firstNames = [...]string{"Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"}
	//nolint:gochecknoglobals // constant
	lastNames = [...]string{"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"}
	//nolint:gochecknoglobals // constant
	cities = [...]string{"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"}
	//nolint:gochecknoglobals // constant
	states = [...]string{"AZ", "CA", "ID", "OR", "WA", "WY"}
	//nolint:gochecknoglobals // constant
	hotChannels = [...]string{"Google", "Facebook", "Baidu", "Apple"}
)

// NewGenerator makes a generator of events that are delayMicros microseconds apart.
func NewGenerator(seed uint64, delayMicros int64) *Generator {
	r := random(seed)
	g := &Generator{base: r.long(), delay: delayMicros}
	tables := random(g.base - 1)
	for i := range g.hotURLs {
		g.hotURLs[i] = tables.url()
	}
	for i := range uint32(channels) {
		url := tables.url()
		if tables.below(10) > 0 {
			id := int64(int32(bits.Reverse32(i))) //nolint:gosec // Java's sign
			url += "&channel_id=" + strconv.FormatInt(max(id, -id), 10)
		}
		g.urls = append(g.urls, url)
		g.channels = append(g.channels, "channel-"+strconv.Itoa(int(i)))
	}
	pool := make([]byte, poolSize)
	for i := range pool {
		pool[i] = byte('a' + tables.below(26)) //nolint:gosec // a letter
	}
	g.pool = string(pool)
	return g
}

func (r *random) url() string {
	return "https://www.nexmark.com/" + r.text(5, '_') + "/" + r.text(5, '_') + "/" + r.text(5, '_') + "/item.htm?query=1"
}

// text is a word of three to most-1 characters, trimmed; every thirteenth is blank.
func (r *random) text(most int64, blank byte) string {
	b := make([]byte, 0, 100)
	for range 3 + r.below(most-3) {
		if r.below(13) == 0 {
			b = append(b, blank)
		} else {
			b = append(b, byte('a'+r.below(26))) //nolint:gosec // a letter
		}
	}
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return string(b)
}

// price is log-uniform between 1 and a million, in cents.
func (r *random) price() int64 {
	return int64(math.Floor(math.Pow(10, r.double()*6)*100 + 0.5))
}

// extra fills an event of size now up to about size on average.
func (g *Generator) extra(r *random, now, size int) string {
	if now > size {
		return ""
	}
	want := size - now
	d := int64(math.Floor(0.2*float64(want) + 0.5))
	length := int64(want) - d
	if d > 0 {
		length += r.below(2 * d)
	}
	at := r.below(poolSize - length)
	return g.pool[at : at+length]
}

// TimeOf is the event time of event number n.
func (g *Generator) TimeOf(n int64) int64 { return Start + n*g.delay/1000 }

// lastAuction is the number of the newest auction when event e is made.
func lastAuction(e int64) int64 {
	epoch, o := e/perEpoch, e%perEpoch
	switch {
	case o == 0:
		return 3*(epoch-1) + 2
	case o <= 3:
		return 3*epoch + o - 1
	}
	return 3*epoch + 2
}

func (r *random) anyPerson(last int64) int64 {
	p := last + 1
	a := min(p, activePeople)
	return p - a + r.below(a+idLead)
}

func (r *random) anyAuction(last int64) int64 {
	lo := max(last-inFlight, 0)
	return lo + r.below(last-lo+1+idLead)
}

// Event makes event number e, from 0.
func (g *Generator) Event(e int64) Event {
	r := random(g.base + uint64(e)) //nolint:gosec // e is not negative
	at := g.TimeOf(e)
	switch o := e % perEpoch; {
	case o == 0:
		return Event{Kind: PersonKind, Person: g.person(&r, e/perEpoch, at)}
	case o <= 3:
		return Event{Kind: AuctionKind, Auction: g.auction(&r, e, at)}
	}
	return Event{Kind: BidKind, Bid: g.bid(&r, e, at)}
}

func (g *Generator) person(r *random, id, at int64) *Person {
	p := &Person{ID: firstID + id, Time: at}
	p.Name = firstNames[r.below(int64(len(firstNames)))]
	p.Name += " " + lastNames[r.below(int64(len(lastNames)))]
	p.Email = r.text(7, ' ') + "@"
	p.Email += r.text(5, ' ') + ".com"
	for i := range 4 {
		if i > 0 {
			p.Card += " "
		}
		p.Card += fmt.Sprintf("%04d", r.below(10000))
	}
	p.City = cities[r.below(int64(len(cities)))]
	p.State = states[r.below(int64(len(states)))]
	p.Extra = g.extra(r, 8+len(p.Name)+len(p.Email)+len(p.Card)+len(p.City)+len(p.State), 200)
	return p
}

func (g *Generator) auction(r *random, e, at int64) *Auction {
	people := e / perEpoch
	a := &Auction{ID: firstID + lastAuction(e), Time: at}
	if r.below(hotPersonOdds) > 0 {
		a.Seller = people / hotBlock * hotBlock
	} else {
		a.Seller = r.anyPerson(people)
	}
	a.Seller += firstID
	a.Category = firstCategory + r.below(categories)
	a.InitialBid = r.price()
	horizon := g.TimeOf(e+expiryEvents) - at
	a.Expires = at + 1 + r.below(max(2*horizon, 1))
	a.Item = r.text(20, ' ')
	a.Description = r.text(100, ' ')
	a.Reserve = a.InitialBid + r.price()
	a.Extra = g.extra(r, 8+len(a.Item)+len(a.Description)+40, 500)
	return a
}

func (g *Generator) bid(r *random, e, at int64) Bid {
	people, auctions := e/perEpoch, lastAuction(e)
	b := Bid{Time: at}
	if r.below(hotAuctionOdds) > 0 {
		b.Auction = auctions / hotBlock * hotBlock
	} else {
		b.Auction = r.anyAuction(auctions)
	}
	if r.below(hotPersonOdds) > 0 {
		b.Bidder = people/hotBlock*hotBlock + 1
	} else {
		b.Bidder = r.anyPerson(people)
	}
	b.Auction += firstID
	b.Bidder += firstID
	b.Price = r.price()
	if r.below(2) > 0 {
		n := r.below(int64(len(hotChannels)))
		b.Channel, b.URL = hotChannels[n], g.hotURLs[n]
	} else {
		n := r.below(channels)
		b.Channel, b.URL = g.channels[n], g.urls[n]
	}
	b.Extra = g.extra(r, 32, 100)
	return b
}

// Order is the number of the event that comes k-th when events are out of order within
// groups of n: a permutation inside each group. n must not be a multiple of 953.
func Order(k, n int64) int64 {
	if n <= 1 {
		return k
	}
	return k/n*n + k*953%n
}

// AppendLine appends an event as a line of text, for digests.
func AppendLine(b []byte, e *Event) []byte {
	text := func(s string) { b = append(append(b, '\t'), s...) }
	number := func(v int64) { b = strconv.AppendInt(append(b, '\t'), v, 10) }
	switch e.Kind {
	case PersonKind:
		p := e.Person
		b = append(b, 'P')
		number(p.ID)
		for _, s := range [...]string{p.Name, p.Email, p.Card, p.City, p.State} {
			text(s)
		}
		number(p.Time)
		text(p.Extra)
	case AuctionKind:
		a := e.Auction
		b = append(b, 'A')
		number(a.ID)
		text(a.Item)
		text(a.Description)
		for _, v := range [...]int64{a.InitialBid, a.Reserve, a.Time, a.Expires, a.Seller, a.Category} {
			number(v)
		}
		text(a.Extra)
	case BidKind:
		v := &e.Bid
		b = append(b, 'B')
		number(v.Auction)
		number(v.Bidder)
		number(v.Price)
		text(v.Channel)
		text(v.URL)
		number(v.Time)
		text(v.Extra)
	case EndKind:
		b = append(b, 'E')
		number(e.Bid.Time)
	}
	return append(b, '\n')
}
