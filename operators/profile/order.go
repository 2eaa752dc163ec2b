package profile

import (
	"cmp"
	"slices"
	"strings"

	"millrace/operators/event"
)

// fnv1a is the 64-bit FNV-1a hash, continued from h.
func fnv1a(h uint64, s string) uint64 {
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

const fnvOffset = 14695981039346656037

// messageBits is how much of a message's hash is kept. Of a person with 512 messages in
// memory one new message in two billion is taken for a repeat; a person with 50 keeps
// half a record less, which is written for nearly every event.
const messageBits = 40

// hashMessage is the identity of a message: its id within its source.
func hashMessage(source, id string) uint64 {
	h := fnv1a(fnv1a(fnvOffset, source)*1099511628211, id)
	return (h ^ h>>messageBits) & (1<<messageBits - 1)
}

// HashOrder is the identity under which an order is remembered for good.
func HashOrder(id string) uint64 { return fnv1a(fnvOffset, cut(id)) }

// remember notes a message and says whether it is new. Messages older than the
// window, counted back from the newest event, are forgotten some time later.
func (p *Person) remember(hash uint64, at, window int64) bool {
	if p.seen.has(hash) {
		return false
	}
	hour := uint32(max(floorDiv(at, hourMillis), 0))
	newest := max(floorDiv(p.Newest, hourMillis), int64(hour))
	// An eighth of patience makes one pass over the memory serve many events.
	if p.seen.len() > 0 && int64(p.seen.hour(0))+window+window/8 < newest || p.seen.len() >= MaxSeen {
		p.seen.forget(newest - window)
	}
	if p.seen.len() >= MaxSeen {
		p.seen.dropFirst(2 * seenPart) // so that parts seldom move
		p.Lost.Seen += 2 * seenPart
	}
	p.seen.add(hash, hour)
	return true
}

// Seen tells whether a message is remembered.
func (p *Person) Seen(source, messageID string) bool {
	return p.seen.has(hashMessage(source, messageID))
}

// mergeSeen joins two memories by time.
func (p *Person) mergeSeen(src *Person) {
	if src.seen.len() == 0 {
		return
	}
	type entry struct {
		hash uint64
		hour uint32
	}
	all := make([]entry, 0, p.seen.len()+src.seen.len())
	for i := range p.seen.len() {
		all = append(all, entry{p.seen.hash(i), p.seen.hour(i)})
	}
	for i := range src.seen.len() {
		if h := src.seen.hash(i); !p.seen.has(h) {
			all = append(all, entry{h, src.seen.hour(i)})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(a.hour, b.hour), cmp.Compare(a.hash, b.hash)) })
	if over := len(all) - MaxSeen; over > 0 {
		p.Lost.Seen += uint32(over)
		all = all[over:]
	}
	p.seen = memory{}
	for _, e := range all {
		p.seen.add(e.hash, e.hour)
	}
}

// order finds or makes the memory of an order; nil if there is no room.
func (p *Person) order(hash uint64) *Order {
	i, ok := slices.BinarySearchFunc(p.Orders, hash, func(o Order, h uint64) int { return cmp.Compare(o.Hash, h) })
	if !ok {
		if len(p.Orders) >= MaxOrders {
			p.Lost.Orders++
			return nil
		}
		p.Orders = slices.Insert(p.Orders, i, Order{Hash: hash})
	}
	return &p.Orders[i]
}

// OrderByID is what is remembered of an order.
func (p *Person) OrderByID(id string) (Order, bool) {
	i, ok := slices.BinarySearchFunc(p.Orders, HashOrder(id), func(o Order, h uint64) int { return cmp.Compare(o.Hash, h) })
	if !ok {
		return Order{}, false
	}
	return p.Orders[i], true
}

// back is how much of an order went back.
func (o *Order) back() event.Money {
	switch {
	case o.At == 0:
		return 0 // the order itself was not seen
	case o.Full:
		return o.Value
	default:
		return min(o.Refunded, o.Value)
	}
}

// Returned tells whether the whole order went back.
func (o *Order) Returned() bool {
	return o.At != 0 && (o.Full || o.Refunded >= o.Value && o.Refunded > 0)
}

// applyOrder counts an order once and closes the carts that are older. It answers
// false when the order was seen before.
func (p *Person) applyOrder(e *event.Event, value event.Money, w float64, ch *Change) bool {
	if e.OrderID != "" {
		if o := p.order(HashOrder(e.OrderID)); o != nil {
			if o.At != 0 {
				ch.Update = true
				p.Lost.Updates++
				return false
			}
			o.At, o.Value = e.Time, value
			p.Refunded += o.back()
		}
	}
	p.Revenue += value
	ch.Ordered, ch.OrderID = true, strings.Clone(cut(e.OrderID))
	p.like(e.Products, w*weightBuy)
	for i := range e.Products {
		if d := &e.Products[i]; usable(d) {
			id := p.buy(d.ID, e.Time)
			if len(ch.Bought) < MaxOrderLines && !slices.Contains(ch.Bought, id) {
				ch.Bought = append(ch.Bought, id)
			}
		}
	}
	p.lastOrder(e, value, ch.OrderID)
	p.closeCarts(e.Time, ch)
	return true
}

// buy notes a bought item and answers the kept form of its id.
func (p *Person) buy(id string, at int64) string {
	i, ok := slices.BinarySearchFunc(p.Bought, id, func(b Bought, id string) int { return strings.Compare(b.ID, id) })
	if ok {
		p.Bought[i].At = max(p.Bought[i].At, at)
		return p.Bought[i].ID
	}
	id = strings.Clone(id)
	p.Bought = slices.Insert(p.Bought, i, Bought{id, at})
	p.boundBought()
	return id
}

func (p *Person) boundBought() {
	for len(p.Bought) > MaxBought {
		old := 0
		for i := range p.Bought {
			if p.Bought[i].At < p.Bought[old].At {
				old = i
			}
		}
		p.Bought = slices.Delete(p.Bought, old, old+1)
		p.Lost.Bought++
	}
}

// lastOrder keeps the newest order with its lines.
func (p *Person) lastOrder(e *event.Event, value event.Money, id string) {
	l := &p.LastOrder
	if e.Time < l.At || e.Time == l.At && id <= l.ID {
		return
	}
	*l = LastOrder{ID: id, At: e.Time, Value: value, Currency: strings.Clone(cut(e.Currency)), Flags: e.Flags & (event.Synthetic | event.FromImport)}
	l.Items = make([]event.CartItem, 0, min(len(e.Products), MaxOrderLines))
	for i := range e.Products {
		d := &e.Products[i]
		if len(l.Items) == MaxOrderLines {
			break
		}
		if !usable(d) {
			continue
		}
		l.Items = append(l.Items, event.CartItem{ID: strings.Clone(d.ID), Name: strings.Clone(cut(d.Name)),
			Category: strings.Clone(cut(d.Category)), URL: strings.Clone(cut(d.URL)), ImageURL: strings.Clone(cut(d.ImageURL)),
			Price: d.Price, Quantity: d.Quantity})
	}
}

// applyRefund notes money that went back and answers how much. Without a sum and
// without priced lines the whole order is meant.
func (p *Person) applyRefund(e *event.Event, ch *Change) event.Money {
	ch.Refund, ch.OrderID = true, strings.Clone(cut(e.OrderID))
	sum := max(worth(e), 0)
	if e.OrderID == "" {
		p.Refunded += sum
		return sum
	}
	o := p.order(HashOrder(e.OrderID))
	if o == nil {
		return 0
	}
	was := o.back()
	if e.HasTotal || sum > 0 {
		o.Refunded += sum
	} else {
		o.Full = true
	}
	p.Refunded += o.back() - was
	return sum
}
