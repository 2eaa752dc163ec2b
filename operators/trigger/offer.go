package trigger

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/profile"
)

// MaxOffers bounds the offers of a person: the oldest look goes first.
const MaxOffers = 16

// Offer is a product that the person looked at and that is cheaper, or back, as the
// catalogue said last.
type Offer struct {
	Item     event.CartItem // with what it costs now
	Currency string
	InStock  bool
	Seen     event.Money // what it cost when the person looked
	SeenAt   int64
	Drop     int64 // since when it costs less; 0: it does not
	Back     int64 // since when it is in stock again; 0: it is not
	// Told is the price of the newest mail about its price, and ToldAt when that was decided: only
	// a price below it is news.
	Told   event.Money
	ToldAt int64
}

// offers tells whether a rule waits after a change of the catalogue.
func (r *Rule) offers() bool { return r.Kind == PriceDrop || r.Kind == BackInStock }

// offer takes over what the catalogue says to a person.
func (o *Operator) offer(c *engine.Ctx, u *profile.Update) {
	if !o.triggers.offers || u.OfferTo == nil {
		return // the journeys that asked for it are gone
	}
	out := o.begin()
	s := Subject{Person: c.Key(), State: engine.Value(c, o.Cell), Profile: u.Person, Now: c.Watermark()}
	o.triggers.Offered(s, u.Offer, u.OfferTo, out)
	o.apply(c, out)
}

// Offered takes over that a product which a person looked at costs less, or is back, or
// does so no longer: it starts, prolongs and cancels waits. Saying it again changes nothing.
func (t *Triggers) Offered(s Subject, o *event.Offer, to *event.OfferTo, out *Result) {
	next := Offer{Item: o.Item, Currency: o.Currency, InStock: o.InStock, Seen: to.Seen, SeenAt: to.SeenAt, Drop: to.Drop, Back: to.Back}
	next.Item.Price, next.Item.Quantity = o.Price, 1
	for _, text := range [...]*string{&next.Item.Name, &next.Item.Category, &next.Item.URL, &next.Item.ImageURL} {
		*text = clip(*text)
	}
	held := *s.State.putOffer(&next)
	for i := range t.rules {
		r := &t.rules[i]
		if !r.offers() {
			continue
		}
		sub := offerSub + held.Item.ID
		since, reason := held.ground(r, s.Profile)
		if reason == "" {
			t.startOffer(s, r, Wait{Rule: r.name(), Sub: sub, Started: since, Activity: since}, out)
		} else if i := s.State.wait(r.name(), sub); i >= 0 {
			t.cancel(s, r, i, reason, out)
		}
	}
	if held.Drop == 0 && held.Back == 0 && held.Told == 0 {
		s.State.Offers = slices.DeleteFunc(s.State.Offers, func(x Offer) bool { return x.Item.ID == held.Item.ID })
	}
}

// startOffer begins a wait as of an offer's own moment. Unlike an activity that moment may
// turn out to lie before what was thought, when a word comes late; and what was cancelled,
// as when the shelf was empty for an hour, may wait again.
func (t *Triggers) startOffer(s Subject, r *Rule, w Wait, out *Result) {
	st := s.State
	if i := st.wait(w.Rule, w.Sub); i >= 0 && st.Waits[i].Activity > w.Activity {
		st.drop(i)
	}
	id := t.decision(s, r, &w).ID
	over := func(d event.Decision) bool {
		return d.ID == id && d.Outcome == event.Skipped && strings.HasPrefix(d.Reason, "cancelled")
	}
	if slices.ContainsFunc(st.Records, over) && !slices.ContainsFunc(st.Fired, func(f Fired) bool { return f.Decision == id && f.Counts }) {
		st.Records = slices.DeleteFunc(st.Records, over)
		st.Fired = slices.DeleteFunc(st.Fired, func(f Fired) bool { return f.Decision == id })
	}
	t.start(s, r, w, out)
}

// putOffer keeps an offer, the newer of two about one product, and what was told.
func (s *State) putOffer(o *Offer) *Offer {
	at, ok := slices.BinarySearchFunc(s.Offers, o.Item.ID, func(x Offer, id string) int { return strings.Compare(x.Item.ID, id) })
	if ok {
		old := &s.Offers[at]
		told, toldAt := old.Told, old.ToldAt
		if o.ToldAt > toldAt {
			told, toldAt = o.Told, o.ToldAt
		}
		*old = *o
		old.Told, old.ToldAt = told, toldAt
		return old
	}
	s.Offers = slices.Insert(s.Offers, at, *o)
	if len(s.Offers) <= MaxOffers {
		return &s.Offers[at]
	}
	s.Lost++
	oldest := 0
	for i := range s.Offers {
		if s.Offers[i].SeenAt < s.Offers[oldest].SeenAt {
			oldest = i
		}
	}
	kept := *o
	s.Offers = slices.Delete(s.Offers, oldest, oldest+1)
	return &kept
}

// ground answers since when an offer calls for a mail of a rule, or why it does not.
func (o *Offer) ground(r *Rule, p *profile.Person) (since int64, reason string) {
	since = o.Drop
	if r.Kind == BackInStock {
		since = o.Back
	}
	switch {
	case boughtAt(p, o.Item.ID) >= o.SeenAt:
		return since, ReasonOrdered
	case !o.InStock:
		return since, ReasonSoldOut
	case r.Kind == BackInStock && since == 0:
		return since, ReasonSoldOut
	case since == 0 || r.Kind == PriceDrop && !event.Fell(o.base(), o.Item.Price, r.AtLeast):
		return since, ReasonDearer
	case since-o.SeenAt > r.Within.Milliseconds():
		return since, ReasonExpired + ": looked at more than " + span(r.Within) + " before"
	}
	return since, ""
}

// base is the price that a new one is compared with: what the person saw, on the page or
// in a mail since.
func (o *Offer) base() event.Money {
	if o.ToldAt >= o.SeenAt && o.Told > 0 {
		return min(o.Seen, o.Told)
	}
	return o.Seen
}

// boughtAt is when a person bought a product last, or a time before all others.
func boughtAt(p *profile.Person, id string) int64 {
	if i, ok := slices.BinarySearchFunc(p.Bought, id, func(b profile.Bought, id string) int { return strings.Compare(b.ID, id) }); ok {
		return p.Bought[i].At
	}
	return math.MinInt64
}

// offersOrdered ends the waits about products that the person has ordered.
func (t *Triggers) offersOrdered(s Subject, r *Rule, out *Result) {
	for i := len(s.State.Waits) - 1; i >= 0; i-- {
		w := &s.State.Waits[i]
		id, ok := strings.CutPrefix(w.Sub, offerSub)
		if !ok || w.Rule != r.name() {
			continue
		}
		at, known := s.State.offer(id)
		if !known || boughtAt(s.Profile, id) >= s.State.Offers[at].SeenAt {
			t.cancel(s, r, i, ReasonOrdered, out)
		}
	}
}

func (s *State) offer(id string) (int, bool) {
	return slices.BinarySearchFunc(s.Offers, id, func(x Offer, id string) int { return strings.Compare(x.Item.ID, id) })
}

// groundOffer is ground for the rules that wait after a change of the catalogue.
func (t *Triggers) groundOffer(s Subject, r *Rule, w *Wait, f *Facts) (d event.Decision, reason string) {
	at, ok := s.State.offer(strings.TrimPrefix(w.Sub, offerSub))
	if !ok {
		return d, ReasonTooMany // a bound dropped it
	}
	o := &s.State.Offers[at]
	if _, reason = o.ground(r, s.Profile); reason != "" {
		return d, reason
	}
	d = t.decision(s, r, w)
	f.Items, f.Value, f.Currency = []event.CartItem{o.Item}, o.Item.Price, o.Currency
	if r.Kind == PriceDrop {
		f.Was = o.Seen
	}
	d.Flags = s.Profile.Flags & event.Synthetic
	return d, ""
}

// offered keeps what a decision told of a product's price. What another journey told does not
// count, since of two that are due at once either may come first.
func (s *State) offered(r *Rule, d *event.Decision) {
	if r.Kind != PriceDrop || len(d.Items) == 0 {
		return
	}
	if at, ok := s.offer(d.Items[0].ID); ok {
		s.Offers[at].Told, s.Offers[at].ToldAt = d.Items[0].Price, d.Decided
	}
}

// offerReason says why a mail about an offer is decided.
func (r *Rule) offerReason() string {
	if r.Kind == BackInStock {
		return "back in stock for " + span(r.Wait)
	}
	return "costs " + strconv.FormatFloat(100*r.AtLeast, 'f', -1, 64) + "% less, or lower, than when looked at, for " + span(r.Wait)
}

// appendOffers writes the offers.
func (s *State) appendOffers(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.Offers)))
	for i := range s.Offers {
		o := &s.Offers[i]
		b = profile.AppendString(profile.AppendItem(b, &o.Item), o.Currency)
		b = append(b, bit(o.InStock, 1))
		for _, n := range [...]int64{int64(o.Seen), o.SeenAt, o.Drop, o.Back, int64(o.Told), o.ToldAt} {
			b = binary.AppendVarint(b, n)
		}
	}
	return b
}

// readOffers reads what appendOffers wrote.
func (s *State) readOffers(r *profile.Wire) {
	n := r.Len(MaxOffers, 14)
	if n == 0 {
		r.Fail("no offers")
		return
	}
	s.Offers = make([]Offer, n)
	for i := range s.Offers {
		o := &s.Offers[i]
		o.Item, o.Currency = profile.ReadItem(r), r.String()
		in := r.Byte()
		o.InStock = in == 1
		var told, seen int64
		for _, to := range [...]*int64{&seen, &o.SeenAt, &o.Drop, &o.Back, &told, &o.ToldAt} {
			*to = r.Varint()
		}
		o.Seen, o.Told = event.Money(seen), event.Money(told)
		if in > 1 || i > 0 && cmp.Compare(s.Offers[i-1].Item.ID, o.Item.ID) >= 0 {
			r.Fail("offers out of order")
		}
	}
}
