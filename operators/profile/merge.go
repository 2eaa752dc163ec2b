package profile

import (
	"math"
	"slices"
	"strings"

	"millrace/operators/event"
)

// Merge lets the history of src, a visitor who turned out to be dst, join dst, and
// says in ch what that changed: every open cart of the result that src had a part in
// is named. src must not be used afterwards; its values may now belong to dst.
//
// The result is what dst would be had all events been applied to it, in any order,
// with these exceptions: what a bound dropped on one side stays dropped; a trait of
// dst stays even if src has a newer one; of an order that both sides saw, the visitor's
// lines stay in the affinities; and a visitor's yes is not taken over as consent.
func (u *Updater) Merge(dst, src *Person, ch *Change) { u.merge(dst, src, ch, false) }

// Join is Merge for src that was a known person as well. It commutes: of several that
// join dst the order does not matter, and a trait is what was said last, by whichever
// name, of two words of one instant the greater. Consent is not: no on either side is
// no, and a yes is dst's own. The exceptions that remain are that what a bound dropped on
// one side stays dropped; that a message with one id that both saw counts for both; that
// of an order that both saw the lines stay in the affinities twice; that of two looks or
// cart changes at one instant it is not said which one's price holds; and that an address
// that bounced, was given up and taken up again may stay dead.
func (u *Updater) Join(dst, src *Person, ch *Change) { u.merge(dst, src, ch, true) }

// Known tells whether anything is known of a person.
func (p *Person) Known() bool { return p.Newest != 0 || len(p.Kinds) > 0 }

func (u *Updater) merge(dst, src *Person, ch *Change, known bool) {
	ch.reset()
	ch.Merged, ch.Time = true, src.Newest
	if !src.Known() {
		return
	}
	dst.adopt(src, u.half)
	dst.mergeOrders(src, known)
	dst.mergeCounts(src)
	dst.mergeSeen(src)
	dst.closeCarts(src.Ordered, ch)
	dst.mergeCarts(u, src, ch)
	for _, v := range src.Viewed {
		dst.mergeViewed(v)
	}
	for _, b := range src.Bought {
		dst.buy(b.ID, b.At)
	}
	u.mergeWindow(dst, src, known)
	if l := src.LastOrder; l.At > dst.LastOrder.At || l.At == dst.LastOrder.At && l.ID > dst.LastOrder.ID {
		dst.LastOrder = l
		ch.Ordered, ch.OrderID = true, l.ID
	}
	if known {
		dst.joinTraits(&src.Traits, ch)
	} else {
		dst.mergeTraits(&src.Traits, ch)
	}
	dst.mergeConsent(&src.Consent, ch)
	newer := src.currAt > dst.currAt || src.currAt == dst.currAt && src.Currency > dst.Currency
	if src.Currency != "" && newer || dst.Currency == "" {
		dst.Currency, dst.currAt = src.Currency, src.currAt
	}
	dst.Flags |= src.Flags
	dst.Lost.add(&src.Lost)
}

// mergeWindow joins the windows of views seen together. A visitor's that overlaps and
// began earlier becomes one with the person's; of two persons' the newer one holds.
func (u *Updater) mergeWindow(dst, src *Person, known bool) {
	switch {
	case src.Window == 0:
	case dst.Window == 0, known && src.Window > dst.Window:
		dst.Window = src.Window
	case known:
	case src.Window < dst.Window && dst.Window-src.Window < u.linked, src.Window-dst.Window >= u.linked:
		dst.Window = src.Window // overlapping windows become one; else the newer one holds
	}
}

// joinTraits lets the newer word hold, trait by trait, as applyTraits does.
func (p *Person) joinTraits(src *Traits, ch *Change) {
	from := src.all()
	for i, to := range p.Traits.all() {
		at, other := p.Traits.at[i], src.at[i]
		taken := other != 0 && (other > at || other == at && *from[i] > *to)
		if i == 0 {
			switch {
			case strings.EqualFold(*to, *from[i]):
				p.Traits.Dead = p.Traits.Dead || src.Dead
			case taken:
				p.Traits.Dead = src.Dead
			}
		}
		if taken {
			ch.TraitsChanged = ch.TraitsChanged || *to != *from[i]
			*to, p.Traits.at[i] = *from[i], other
		}
	}
}

// adopt brings both to the same half-life and landmark, and joins the times.
func (p *Person) adopt(src *Person, half int64) {
	ref := max(p.Newest, src.Newest)
	p.weigh(ref, half)
	src.weigh(ref, half)
	mine, theirs := p.decay.align(&src.decay)
	if mine != 1 {
		p.multiply(mine)
	}
	if theirs != 1 {
		src.multiply(theirs)
	}
	if p.Newest == 0 || src.Newest != 0 && src.First < p.First {
		p.First = src.First
	}
	p.Newest = ref
	p.Last = max(p.Last, src.Last)
}

// mergeOrders joins the orders. One that both saw is taken out of src's counts, or out
// of whose is the later when both are known.
func (p *Person) mergeOrders(src *Person, known bool) {
	for i := range src.Orders {
		s := src.Orders[i]
		o := p.order(s.Hash)
		if o == nil {
			continue
		}
		p.Refunded -= o.back()
		src.Refunded -= s.back()
		if o.At != 0 && s.At != 0 && known && (s.At < o.At || s.At == o.At && s.Value < o.Value) {
			p.Revenue -= o.Value
			p.uncount(event.OrderCompleted, o.Value, o.At)
			p.Lost.Updates++
			o.At, o.Value = s.At, s.Value
		} else if o.At != 0 && s.At != 0 {
			src.Revenue -= s.Value
			src.uncount(event.OrderCompleted, s.Value, s.At)
			p.Lost.Updates++
		} else if s.At != 0 {
			o.At, o.Value = s.At, s.Value
		}
		o.Refunded += s.Refunded
		o.Full = o.Full || s.Full
		p.Refunded += o.back()
	}
	p.Revenue += src.Revenue
	p.Refunded += src.Refunded
}

// uncount takes one event out of the counts.
func (p *Person) uncount(k event.Kind, money event.Money, at int64) {
	for i := range p.Kinds {
		s := &p.Kinds[i]
		if s.Kind != k || s.Count == 0 {
			continue
		}
		w := p.weigh(at, p.decay.half)
		s.Count--
		s.Total -= money
		s.count = math.Max(s.count-w, 0)
		s.money -= w * float64(money)
	}
	h := hourOfWeek(at)
	p.Hours = slices.DeleteFunc(p.Hours, func(o Hour) bool { return o.Hour == h && o.N == 1 })
	for i := range p.Hours {
		if p.Hours[i].Hour == h {
			p.Hours[i].N--
		}
	}
}

func (p *Person) mergeCounts(src *Person) {
	for _, s := range src.Kinds {
		p.count(s.Kind, 0, s.Total, 0, s.Last)
		for i := range p.Kinds {
			if d := &p.Kinds[i]; d.Kind == s.Kind {
				d.Count += s.Count
				d.count += s.count
				d.money += s.money
			}
		}
	}
	for _, h := range src.Hours {
		p.countHour(h.Hour, h.N)
	}
	p.Categories = p.mergeAffinities(p.Categories, src.Categories)
	p.Brands = p.mergeAffinities(p.Brands, src.Brands)
}

func (p *Person) mergeAffinities(to, from []Affinity) []Affinity {
	for _, a := range from {
		i, ok := findAffinity(to, a.hash, a.Name)
		if ok {
			to[i].score += a.score
		} else {
			to = slices.Insert(to, i, a)
		}
	}
	return p.boundAffinities(to)
}

func (p *Person) mergeViewed(v Viewed) {
	i := p.findViewed(v.tag, v.ID)
	if i >= 0 {
		old := p.Viewed[i]
		if old.At > v.At {
			v, old = old, v
		}
		if !v.HasPrice {
			v.Price, v.HasPrice = old.Price, old.HasPrice
		}
	}
	p.placeViewed(i, v)
}

func (l *Lost) add(o *Lost) {
	l.Repeats += o.Repeats
	l.Updates += o.Updates
	l.Seen += o.Seen
	l.Carts += o.Carts
	l.CartItems += o.CartItems
	l.CartOps += o.CartOps
	l.Bought += o.Bought
	l.Affinities += o.Affinities
	l.Orders += o.Orders
}
