// Package event says what a shopper or a mailbox did. It holds the canonical
// event, the codec that reads the Segment tracking format strictly and quickly,
// the rules that clean what real shops send, the importers of known data sets,
// and the messages that operators pass to each other.
//
// The vocabulary is that of the Segment e-commerce specification, version 2, and
// of the Segment e-mail specification.
package event

// Kind is the meaning of an event. Unknown events are counted and kept without
// meaning.
type Kind uint8

// The kinds of events. Their numbers stand in stored state: append, never reorder.
const (
	Unknown Kind = iota
	Identify
	Alias
	Page
	Screen
	Group
	ProductViewed
	ProductAdded
	ProductRemoved
	ProductsSearched
	CartViewed
	CheckoutStarted
	OrderCompleted
	OrderRefunded
	ProductReviewed
	EmailDelivered
	EmailOpened
	EmailLinkClicked
	EmailBounced
	EmailMarkedAsSpam
	Unsubscribed
	ProductClicked
	ProductListViewed
	OrderUpdated
	OrderCancelled
	WishlistAdded
	WishlistRemoved
	EmailSent
	EmailDeferred
	EmailReplied
	MessageReceived
	KindCount // the number of kinds, not a kind
)

// Flags records what cleaning had to repair. Flags never stop an event.
type Flags uint16

// What cleaning may have to repair.
const (
	ClockFuture     Flags = 1 << iota // the client's time lay after ours and was clamped
	ClockBad                          // the client's time was unreadable or absurd; receive time is used
	NumberBad                         // a number could not be read and was left out
	PropsWrapped                      // properties or traits were not an object
	MessageIDNew                      // no messageId was given; one was assigned, so a retry is not recognised
	ZoneMissing                       // the time had no zone; UTC is assumed
	EmailBad                          // the address trait was refused
	QuantityBad                       // a quantity was out of range and became 1
	Synthetic                         // made by --synthesise-carts: every output resting on it says so
	AssumedConsent                    // consent was assumed by --assume-consent
	TextCleaned                       // control characters were taken out of a text, or it was cut at 8 KiB
	MessageIDHashed                   // the messageId was over 100 characters and its SHA-256 stands for it
	AliasSelf                         // an alias of an id to itself: nothing to merge, PreviousID is empty
	ProductBad                        // a product without any id was left out
	PublicKey                         // came by a browser's key, which anybody can read: its address is unverified
	FromImport                        // of a data set of the past: what rests on it is judged as of then
)

// Money is an amount in minor units of a currency (cents; yen for JPY).
type Money int64

// Product is one product of an event.
type Product struct {
	ID       string // product_id, else sku, else id
	Name     string
	Category string // "Kitchen > Mugs": levels joined with " > "
	Brand    string
	URL      string
	ImageURL string
	Price    Money // per unit; 0 with HasPrice false when unknown
	HasPrice bool
	Quantity int32 // at least 1
	Returned bool  // the quantity was negative on an order: these units came back
}

// Traits are what identify tells of a person. Empty means absent; a trait that the
// client set to null is listed in Cleared by its canonical name.
type Traits struct {
	Email     string // as typed, checked; compare lower-cased
	FirstName string
	LastName  string
	Locale    string // "de-AT"
	Timezone  string // IANA name, or empty
	// Consent is whether marketing mail is allowed: 0 unknown, 1 yes, 2 no
	// (traits.marketing_consent, consent.marketing, email_opt_in, subscribed).
	Consent uint8
	Cleared []string
}

// Values of Traits.Consent.
const (
	ConsentUnknown uint8 = iota
	ConsentYes
	ConsentNo
)

// Mailing is the reference that e-mail events carry to the mail they are about.
type Mailing struct {
	EmailID    string // the decision id, for mails of ours
	CampaignID string // the pipeline
	LinkURL    string
	BounceType string // hard, soft, block
	Machine    bool   // an open or click by a machine
}

// Event is one thing that happened to a person or an item, cleaned. Times are Unix
// milliseconds. An Event and its strings may alias the decoder's buffers: it is
// valid until the handler returns; Clone it to keep it.
type Event struct {
	Kind        Kind
	Flags       Flags
	Name        string // original spelling of a track event
	MessageID   string
	Source      string // which write key's source it came in through
	UserID      string // "" when absent
	AnonymousID string // "" when absent
	Person      string // pseudonym, in feedback of our own; "" otherwise
	PreviousID  string // alias only
	Time        int64  // event time, never after ReceivedAt
	ReceivedAt  int64  // when the gateway took it
	CartID      string
	OrderID     string
	Currency    string // ISO 4217, or ""
	Total       Money  // money base of an order: revenue, else subtotal, …
	HasTotal    bool
	Products    []Product
	Query       string // Products Searched
	Rating      float64
	Review      string // what the person wrote: body of Product Reviewed, of a reply or of a message
	Traits      Traits
	Mailing     Mailing
	Inactive    bool // context.active == false: do not move "last seen"
	Bot         bool // the user agent is a bot's: no trigger, no training
	Off         bool // integrations switch millrace off: store, trigger nothing
}
