package event

import "slices"

// The limits of what a client may send, as in the tracking API's documentation.
const (
	MaxEvent  = 32 << 10 // bytes of one event's JSON
	MaxBatch  = 2500     // events of one batch; later ones are rejected
	MaxDepth  = 16       // nesting of one event, itself included
	MaxKeys   = 1000     // keys of one event, nested ones included
	MaxString = 8 << 10  // bytes of a text that is kept; longer ones are cut
	MaxReject = 64 << 10 // bytes of a rejected event that a Reject keeps
)

// An import comes from the shop's own files, and a wholesaler's order may have a
// thousand lines, so that only absurd sizes are refused.
const (
	maxImportEvent = 1 << 20
	maxImportKeys  = 50000
)

// Code says why an event was rejected. The codes are stable: they label metrics.
type Code string

// The codes of rejected events and messages.
const (
	TooLarge     Code = "too_large"      // over 32 KiB or 1,000 keys
	NoIdentity   Code = "no_identity"    // neither userId nor anonymousId, or alias without userId
	NoEventName  Code = "no_event_name"  // a track without event
	BadType      Code = "bad_type"       // no or unknown type, or not an object
	TooDeep      Code = "too_deep"       // nested deeper than 16
	BatchTooLong Code = "batch_too_long" // beyond the 2,500th of a batch
	NotJSON      Code = "not_json"       // unreadable, or not UTF-8
	BadEnvelope  Code = "bad_envelope"   // unknown version or kind, or a part of it is missing
	NotAllowed   Code = "not_allowed"    // a browser's key may not send this event
	BadMerge     Code = "bad_merge"      // a merge that does not name two ids that we know how to find
	MergeCycle   Code = "merge_cycle"    // the person that should stay was itself merged into the other
	MergeTaken   Code = "merge_taken"    // the person that should go was merged into a third one
	MergeFull    Code = "merge_full"     // too many ids would be one person
	MergeLarge   Code = "merge_large"    // what is known of the person does not fit one message
	BadProduct   Code = "bad_product"    // a Product Upserted without a usable product id
)

// Reject is an event, or a whole message, that could not be taken. Detail says what
// is wrong in fixed words: it never repeats what the client sent.
type Reject struct {
	Code       Code
	Detail     string
	Index      int    // of the event within its message
	Source     string // "" when unknown
	ReceivedAt int64
	Bytes      []byte // at most MaxReject; aliases the message
}

// Record is one part of a message: exactly one of its pointers is set, or Tick is
// above 0.
type Record struct {
	Index   uint32 // position within the message, counted from 0
	Event   *Event
	Reject  *Reject
	Receipt *Receipt
	Stop    *Stop
	// Redo is an effect that was given up and is tried again by hand.
	Redo  *Redo
	Steer *Steer
	// Handover is what a person who was merged into another one hands over.
	Handover *Handover
	// Offer is that a product that persons looked at has become cheaper, or is back.
	Offer *Offer
	Tick  int64 // Unix milliseconds that the log's clock has reached
	// Clock is, with Tick, that only processing time has reached it.
	Clock bool
}

// Handler gets the parts of a message in order. A nil function skips its part.
type Handler struct {
	Event    func(index int, e *Event) // e is valid until it returns
	Reject   func(r *Reject)
	Receipt  func(index int, r *Receipt)
	Handover func(h *Handover)
	Tick     func(at int64)
}

// SourceOptions are what the owner of a source says about it.
type SourceOptions struct {
	Currency   string // of events that name none; "" leaves them without
	MinorUnits bool   // its prices are in cents
}

// Options of a Decoder. The zero value works.
type Options struct {
	Sources map[string]SourceOptions // by the envelope's source
	Default SourceOptions            // of all other sources, and of plain messages
}

// Clone is a copy of e that shares nothing with the decoder's buffers.
func (e *Event) Clone() *Event {
	c := *e
	for _, s := range []*string{
		&c.Name, &c.MessageID, &c.Source, &c.UserID, &c.AnonymousID, &c.PreviousID, &c.CartID, &c.OrderID,
		&c.Currency, &c.Query, &c.Review, &c.Traits.Email, &c.Traits.FirstName, &c.Traits.LastName,
		&c.Traits.Locale, &c.Traits.Timezone, &c.Mailing.EmailID, &c.Mailing.CampaignID, &c.Mailing.LinkURL,
		&c.Mailing.BounceType,
	} {
		own(s)
	}
	c.Traits.Cleared = slices.Clone(e.Traits.Cleared) // holds our own constants
	c.Products = slices.Clone(e.Products)
	for i := range c.Products {
		p := &c.Products[i]
		for _, s := range []*string{&p.ID, &p.Name, &p.Category, &p.Brand, &p.URL, &p.ImageURL} {
			own(s)
		}
	}
	return &c
}

// ItemsOf is the products of an event as items of a cart. Returned ones are left out.
func ItemsOf(e *Event) []CartItem {
	items := make([]CartItem, 0, len(e.Products))
	for i := range e.Products {
		if p := &e.Products[i]; !p.Returned {
			items = append(items, p.Item())
		}
	}
	return items
}

// Item is the product as an item of a cart.
func (p *Product) Item() CartItem {
	return CartItem{
		ID: p.ID, Name: p.Name, Category: p.Category, URL: p.URL, ImageURL: p.ImageURL,
		Price: p.Price, Quantity: p.Quantity,
	}
}
