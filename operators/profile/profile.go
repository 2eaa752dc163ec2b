// Package profile keeps the running picture of a person: what they did and how
// often, what lies in their carts, what they looked at and bought, what they like,
// when they are about, how to reach them and whether we may.
//
// The picture is updated one event at a time, costs about a microsecond an event,
// and does not depend on the order in which events arrive, within the limits that
// each field states. Everything in it is bounded; what a bound drops is counted.
package profile

import (
	"cmp"
	"time"

	"millrace/operators/event"
)

// Options say how a picture is kept. The zero value works.
type Options struct {
	// HalfLife of the decayed counts and affinities; negative: no decay.
	HalfLife time.Duration
	// Linked is how long views of one person count as seen together.
	Linked time.Duration
	// Repeats is how long, in event time, a messageId is remembered.
	Repeats time.Duration
	// CartAge is how long an open cart is kept without activity.
	CartAge time.Duration
	// RemoveWholeLine says that Product Removed takes the whole line out of the
	// cart, for shops whose removals carry no quantity.
	RemoveWholeLine bool
}

func (o Options) withDefaults() Options {
	o.HalfLife = cmp.Or(o.HalfLife, 30*24*time.Hour) // tastes change over months; short lives lost accuracy offline
	o.Linked = cmp.Or(o.Linked, 3*24*time.Hour)      // TencentRec's linked time
	o.Repeats = cmp.Or(o.Repeats, 7*24*time.Hour)    // browsers send what they kept days later
	o.CartAge = cmp.Or(o.CartAge, 90*24*time.Hour)   // no shop keeps a cart for longer
	o.HalfLife = max(o.HalfLife, -1)                 // every negative value means the same
	o.Repeats = max(o.Repeats, time.Hour)            // times are kept by the hour
	o.Linked = max(o.Linked, time.Millisecond)       // times are kept by the millisecond
	o.CartAge = max(o.CartAge, o.Repeats, o.Linked)  // younger events must find their cart
	return o
}

// The bounds of a picture. What they drop is counted in Lost.
const (
	MaxCarts      = 16    // open carts of one person; more are a shop that makes an id per page
	MaxCartItems  = 100   // lines of one cart
	MaxItemOps    = 8     // changes of one cart line kept apart, so that late ones find their place
	MaxViewed     = 20    // last distinct viewed items
	MaxBought     = 500   // distinct bought items
	MaxAffinities = 32    // categories, and brands
	MaxSeen       = 512   // messageIds remembered within Options.Repeats; then the oldest eighth goes
	MaxOrders     = 10000 // orders remembered for good; 24 bytes each
	MaxOrderLines = 50    // lines of the last order kept; pairs grow with the square
	MaxQuantity   = 10000 // of one cart line
	MaxID         = 256   // bytes of an item's id; a product with a longer one is left out
	MaxText       = 1024  // bytes of any other text; a longer one is cut
)

// Updater applies events to pictures. It holds no state of its own and is safe for
// concurrent use on different persons.
type Updater struct {
	o      Options
	half   int64 // milliseconds; -1: no decay
	linked int64
	repeat int64 // hours
	age    int64
}

// New makes an Updater.
func New(o Options) *Updater {
	o = o.withDefaults()
	u := &Updater{o: o, half: -1, linked: o.Linked.Milliseconds(), repeat: int64(o.Repeats / time.Hour), age: o.CartAge.Milliseconds()}
	if o.HalfLife > 0 {
		u.half = max(o.HalfLife.Milliseconds(), 1000)
	}
	return u
}

// Person is the running picture of one person. The zero value is a person of whom
// nothing is known. One goroutine at a time. Times are Unix milliseconds.
type Person struct {
	First  int64 // event time of the oldest event
	Newest int64 // event time of the newest event, active or not
	Last   int64 // last seen: as Newest, but inactive contexts and bots do not move it

	Kinds      []KindStat // by kind
	Carts      []Cart     // by id; also emptied ones, until late events can no longer matter
	Ordered    int64      // event time of the newest order: carts are empty as of it
	Viewed     []Viewed   // newest first
	Window     int64      // start of the present window of views seen together
	Bought     []Bought   // by id
	Categories []Affinity // by hash, then name
	Brands     []Affinity // by hash, then name
	Hours      []Hour     // by hour
	Traits     Traits
	Consent    Consent
	Orders     []Order // by hash
	Revenue    event.Money
	Refunded   event.Money
	LastOrder  LastOrder
	Currency   string      // the newest currency that was named
	Flags      event.Flags // AssumedConsent, Synthetic: some event carried it
	Lost       Lost

	decay   Decay
	seen    memory
	currAt  int64
	missing int // parts that belong to the head that was read last
}

// KindStat is how often a person did one kind of thing.
type KindStat struct {
	Kind  event.Kind
	Count uint64      // exact, for life
	Total event.Money // exact, for life
	Last  int64
	count float64 // decayed, as of the landmark
	money float64
}

// Viewed is an item that a person looked at, last at At. What it is called stands in
// the record of the item.
type Viewed struct {
	ID       string
	Price    event.Money // when looked at
	HasPrice bool
	tag      uint32 // of ID: most comparisons end here
	At       int64
}

// Bought is an item that a person bought, last at At.
type Bought struct {
	ID string
	At int64
}

// Affinity is how much a person is drawn to a category or brand; read it by
// Person.Favourites.
type Affinity struct {
	Name  string
	score float64 // decayed, as of the landmark
	hash  uint64  // of Name
}

// Hour counts the events of one hour of the week, Monday 0:00 UTC being 0.
type Hour struct {
	Hour uint8
	N    uint16 // stays at its maximum
}

// Traits are how a person is called and reached.
type Traits struct {
	Email     string
	FirstName string
	LastName  string
	Locale    string
	Timezone  string
	Dead      bool // mail to Email bounced for good

	at [traitCount]int64 // when each was said
}

const traitCount = 5

// Consent is whether a person may be mailed. Suppressed is set by an unsubscribe or
// a complaint and lifted by no event: shops repeat stale traits at every log-in.
type Consent struct {
	State      uint8 // event.ConsentUnknown, ConsentYes, ConsentNo
	At         int64
	Suppressed bool
	Reason     string // "unsubscribed", "marked as spam", or "" when only stated
}

// Order is an order that counts once, for good.
type Order struct {
	Hash     uint64
	At       int64 // 0: only a refund was seen so far
	Value    event.Money
	Refunded event.Money
	Full     bool // refunded whole
}

// LastOrder is the newest order by event time, with its lines.
type LastOrder struct {
	ID       string
	At       int64 // 0: none
	Value    event.Money
	Currency string
	Items    []event.CartItem
	Flags    event.Flags
}

// Lost counts what the bounds dropped and what came again or too late.
type Lost struct {
	Repeats    uint32 // messages that were seen before
	Updates    uint32 // orders that were seen before
	Seen       uint32 // messageIds forgotten before their time
	Carts      uint32
	CartItems  uint32
	CartOps    uint32 // late cart changes older than what is kept apart
	Bought     uint32
	Affinities uint32
	Orders     uint32
}

// Dropped is what had to go because of the bounds of a person's picture.
func (l *Lost) Dropped() uint32 {
	return l.Seen + l.Carts + l.CartItems + l.CartOps + l.Bought + l.Affinities + l.Orders
}

// CartFate is what happened to a cart.
type CartFate uint8

// The fates of a cart.
const (
	CartChanged CartFate = iota + 1 // something was done with it, or less of it is left
	CartEmptied                     // its last item was removed
	CartOrdered                     // an order closed it
	CartDropped                     // a bound or its age dropped it
)

// CartChange names a cart and what happened to it.
type CartChange struct {
	ID   string
	Fate CartFate
}

// Change is what an event, or a merge, changed, so that later steps need not
// compare. Its slices are used again by the next call.
type Change struct {
	Kind      event.Kind
	Time      int64
	Duplicate bool   // the message was seen before: nothing changed
	Silent    bool   // a bot, or switched off: trigger nothing, learn nothing
	Dropped   uint32 // how much had to go because of the picture's bounds
	TooFast   bool   // by somebody too fast for a shopper; silent too
	Late      bool   // older than the newest event of the person
	Merged    bool   // made by Merge
	Update    bool   // the order was seen before: only an update

	Carts   []CartChange
	Cart    string   // the cart that Added belongs to
	Added   []string // items new in that cart
	NewCart bool     // they are the first ones of it

	Viewed    []string // items viewed for the first time in the window
	NewWindow bool     // the event began the window

	Ordered bool     // a new order
	OrderID string   // its id
	Bought  []string // its distinct items

	ConsentChanged bool
	TraitsChanged  bool
	Addressed      bool // an address is known that was not
	Refund         bool // money went back
}

func (c *Change) reset() {
	*c = Change{Carts: c.Carts[:0], Added: c.Added[:0], Viewed: c.Viewed[:0], Bought: c.Bought[:0]}
}
