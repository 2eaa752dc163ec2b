package profile

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/operators/event"
)

const hourMillis = int64(time.Hour / time.Millisecond)

// How much what is done with an item says about taste.
const (
	weightView = 1
	weightCart = 2
	weightBuy  = 3
)

// Apply adds an event to the picture and says in ch what it changed. A message that
// was seen before changes nothing but a counter. It keeps nothing of e.
func (u *Updater) Apply(p *Person, e *event.Event, ch *Change) {
	ch.reset()
	ch.Kind, ch.Time, ch.Silent = e.Kind, e.Time, e.Bot || e.Off
	if e.MessageID != "" && !p.remember(hashMessage(e.Source, e.MessageID), e.Time, u.repeat) {
		ch.Duplicate = true
		p.Lost.Repeats++
		return
	}
	p.meet(e, ch)
	w := p.weigh(e.Time, u.half)
	var money event.Money
	switch e.Kind {
	case event.OrderCompleted:
		money = worth(e)
		if !p.applyOrder(e, money, w, ch) {
			return
		}
	case event.OrderRefunded:
		money = p.applyRefund(e, ch)
	default:
		for i := range e.Products {
			money += linePrice(&e.Products[i])
		}
	}
	p.count(e.Kind, 1, money, w, e.Time)
	p.countHour(hourOfWeek(e.Time), 1)
	switch e.Kind {
	case event.ProductViewed:
		p.applyView(u, e, w, ch)
	case event.ProductAdded:
		p.like(e.Products, w*weightCart)
		p.applyCart(u, e, ch)
	case event.ProductRemoved, event.CartViewed, event.CheckoutStarted:
		p.applyCart(u, e, ch)
	case event.Identify:
		p.applyTraits(&e.Traits, e.Time, ch)
	case event.Unsubscribed:
		p.suppress("unsubscribed", e.Time, ch)
	case event.EmailMarkedAsSpam:
		p.suppress("marked as spam", e.Time, ch)
	case event.EmailBounced:
		if e.Mailing.BounceType == "hard" {
			p.Traits.Dead, ch.TraitsChanged = true, true
		}
	}
	// Other calls carry traits as well: an order says the address of a guest.
	if e.Kind != event.Identify && e.Kind != event.Group {
		p.applyTraits(&e.Traits, e.Time, ch)
	}
}

// meet notes when the person was seen.
func (p *Person) meet(e *event.Event, ch *Change) {
	if p.Newest == 0 || e.Time < p.First {
		p.First = e.Time
	}
	ch.Late = e.Time < p.Newest
	p.Newest = max(p.Newest, e.Time)
	if !e.Inactive && !e.Bot {
		p.Last = max(p.Last, e.Time)
	}
	p.Flags |= e.Flags & (event.AssumedConsent | event.Synthetic)
	if e.Currency != "" && (e.Time > p.currAt || e.Time == p.currAt && e.Currency > p.Currency) {
		keep(&p.Currency, e.Currency)
		p.currAt = e.Time
	}
}

// usable tells whether an item can be kept by its id.
func usable(d *event.Product) bool { return d.ID != "" && len(d.ID) <= MaxID }

// cut bounds a text, at the border of a rune.
func cut(s string) string {
	if len(s) <= MaxText {
		return s
	}
	n := MaxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// keep stores a string that may lie in a decoder's buffer.
func keep(to *string, from string) {
	if from = cut(from); *to != from {
		*to = strings.Clone(from)
	}
}

func (p *Person) count(k event.Kind, n uint64, money event.Money, w float64, at int64) {
	i := 0
	for i < len(p.Kinds) && p.Kinds[i].Kind < k {
		i++
	}
	if i == len(p.Kinds) || p.Kinds[i].Kind != k {
		p.Kinds = slices.Insert(p.Kinds, i, KindStat{Kind: k, Last: at})
	}
	s := &p.Kinds[i]
	s.Count += n
	s.Total += money
	s.Last = max(s.Last, at)
	s.count += w * float64(n)
	s.money += w * float64(money)
}

func (p *Person) countHour(hour uint8, n uint16) {
	i := 0
	for i < len(p.Hours) && p.Hours[i].Hour < hour {
		i++
	}
	if i == len(p.Hours) || p.Hours[i].Hour != hour {
		p.Hours = slices.Insert(p.Hours, i, Hour{Hour: hour})
	}
	p.Hours[i].N = uint16(min(int(p.Hours[i].N)+int(n), math.MaxUint16))
}

// linePrice is price times quantity, 0 when that is not a sum of money.
func linePrice(d *event.Product) event.Money {
	if d.Quantity <= 0 || d.Price > math.MaxInt64/event.Money(2*MaxQuantity) || d.Price < 0 {
		return 0
	}
	return d.Price * event.Money(min(d.Quantity, MaxQuantity))
}

// worth is what an order or refund says it is worth, else what its lines cost.
func worth(e *event.Event) event.Money {
	if e.HasTotal {
		return e.Total
	}
	var m event.Money
	for i := range e.Products {
		m += linePrice(&e.Products[i])
	}
	return m
}

// applyView moves viewed items to their place in the ring, which is by time, and
// notes which of them are new in the window of views that count as seen together.
// Windows follow each other without overlap: one begins with the first view after
// the last one's end. A view from before the window belongs to none.
func (p *Person) applyView(u *Updater, e *event.Event, w float64, ch *Change) {
	p.like(e.Products, w*weightView)
	for i := range e.Products {
		d := &e.Products[i]
		if !usable(d) {
			continue
		}
		if !ch.Silent && (p.Window == 0 || e.Time-p.Window >= u.linked) {
			p.Window, ch.NewWindow = e.Time, true
		}
		id, was := p.view(d, e.Time)
		if !ch.Silent && e.Time >= p.Window && (was < p.Window || was == 0) && !slices.Contains(ch.Viewed, id) {
			ch.Viewed = append(ch.Viewed, id)
		}
	}
}

// view notes a look at an item. It answers the kept form of its id and when it was
// looked at before, 0 for never.
func (p *Person) view(d *event.Product, at int64) (id string, was int64) {
	tag := tagOf(d.ID)
	i := p.findViewed(tag, d.ID)
	var v Viewed
	if i >= 0 {
		v = p.Viewed[i]
		was = v.At
	} else {
		v.ID, v.tag = strings.Clone(d.ID), tag
	}
	if d.HasPrice && (at >= v.At || !v.HasPrice) {
		v.Price, v.HasPrice = d.Price, true
	}
	v.At = max(v.At, at)
	p.placeViewed(i, v)
	return v.ID, was
}

// findViewed is where an item stands, or -1.
func (p *Person) findViewed(tag uint32, id string) int {
	for i := range p.Viewed {
		if v := &p.Viewed[i]; v.tag == tag && v.ID == id {
			return i
		}
	}
	return -1
}

func tagOf(id string) uint32 { return uint32(fnv1a(fnvOffset, id)) } //nolint:gosec // cut on purpose

// placeViewed puts an entry where its time says; i is where it stood, or -1.
func (p *Person) placeViewed(i int, v Viewed) {
	if i < 0 {
		p.Viewed = append(p.Viewed, v)
		i = len(p.Viewed) - 1
	}
	for i > 0 && (p.Viewed[i-1].At < v.At || p.Viewed[i-1].At == v.At && p.Viewed[i-1].ID > v.ID) {
		p.Viewed[i] = p.Viewed[i-1]
		i--
	}
	p.Viewed[i] = v
	if len(p.Viewed) > MaxViewed {
		p.Viewed[MaxViewed] = Viewed{}
		p.Viewed = p.Viewed[:MaxViewed]
	}
}

// like adds to the affinity for the categories and brands of products.
func (p *Person) like(products []event.Product, w float64) {
	for i := range products {
		p.Categories = p.draw(p.Categories, products[i].Category, w)
		p.Brands = p.draw(p.Brands, products[i].Brand, w)
	}
}

func (p *Person) draw(to []Affinity, name string, w float64) []Affinity {
	if name = cut(name); name == "" {
		return to
	}
	hash := fnv1a(fnvOffset, name)
	i, ok := findAffinity(to, hash, name)
	if ok {
		to[i].score += w
		return to
	}
	return p.boundAffinities(slices.Insert(to, i, Affinity{strings.Clone(name), w, hash}))
}

// findAffinity is where a name stands, or belongs.
func findAffinity(in []Affinity, hash uint64, name string) (at int, ok bool) {
	for at < len(in) && in[at].hash < hash { // short, and read in one go
		at++
	}
	for ; at < len(in) && in[at].hash == hash; at++ {
		if in[at].Name >= name {
			return at, in[at].Name == name
		}
	}
	return at, false
}

// boundAffinities drops the weakest beyond the bound.
func (p *Person) boundAffinities(a []Affinity) []Affinity {
	for len(a) > MaxAffinities {
		low := 0
		for i := range a {
			if a[i].score < a[low].score {
				low = i
			}
		}
		a = slices.Delete(a, low, low+1)
		p.Lost.Affinities++
	}
	return a
}
