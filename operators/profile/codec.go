package profile

import (
	"cmp"
	"encoding/binary"
	"strings"

	"millrace/operators/event"
)

// schema is the version of the stored form. A change of the form raises it; DecodeFrom
// must then read the older forms as well.
const schema = 1

// AppendTo appends the stored form of the picture, in one piece.
func (p *Person) AppendTo(b []byte) []byte { return p.appendHead(b, 0) }

// appendHead appends the stored form without the first messages that are remembered, a
// number of parts. Times stand as distances from the newest event, which keeps them
// short.
func (p *Person) appendHead(b []byte, parts int) []byte {
	b = append(b, schema)
	b = binary.AppendVarint(b, p.Newest)
	b = p.appendTime(b, p.First)
	b = p.appendTime(b, p.Last)
	b = p.appendTime(b, p.Ordered)
	b = p.appendTime(b, p.Window)
	b = p.appendTime(b, p.currAt)
	b = AppendString(b, p.Currency)
	b = binary.AppendUvarint(b, uint64(p.Flags))
	b = p.decay.AppendTo(b)
	b = binary.AppendVarint(b, int64(p.Revenue))
	b = binary.AppendVarint(b, int64(p.Refunded))
	b = binary.AppendUvarint(b, uint64(len(p.Kinds)))
	for i := range p.Kinds {
		b = p.appendKind(b, &p.Kinds[i])
	}
	b = p.appendViewed(b)
	b = binary.AppendUvarint(b, uint64(len(p.Bought)))
	for i := range p.Bought {
		b = AppendString(b, p.Bought[i].ID)
		b = p.appendTime(b, p.Bought[i].At)
	}
	b = appendAffinities(b, p.Categories)
	b = appendAffinities(b, p.Brands)
	b = binary.AppendUvarint(b, uint64(len(p.Hours)))
	for _, h := range p.Hours {
		b = append(b, h.Hour)
		b = binary.AppendUvarint(b, uint64(h.N))
	}
	b = p.appendTraits(b)
	b = p.appendOrders(b)
	b = binary.AppendUvarint(b, uint64(len(p.Carts)))
	for i := range p.Carts {
		b = p.appendCart(b, &p.Carts[i])
	}
	b = binary.AppendUvarint(b, uint64(parts))
	b = p.appendSeen(b, parts*seenPart, p.seen.len())
	for _, n := range p.Lost.all() {
		b = binary.AppendUvarint(b, uint64(*n))
	}
	return b
}

func (l *Lost) all() [9]*uint32 {
	return [9]*uint32{&l.Repeats, &l.Updates, &l.Seen, &l.Carts, &l.CartItems, &l.CartOps, &l.Bought, &l.Affinities, &l.Orders}
}

// appendTime writes 0 as 0 and another time as its distance plus one.
func (p *Person) appendTime(b []byte, at int64) []byte {
	if at == 0 {
		return append(b, 0)
	}
	d := p.Newest - at
	if d >= 0 {
		d++
	}
	return binary.AppendVarint(b, d)
}

func (p *Person) readTime(w *Wire) int64 {
	d := w.Varint()
	if d == 0 {
		return 0
	}
	if d > 0 {
		d--
	}
	return p.Newest - d
}

func (p *Person) appendKind(b []byte, s *KindStat) []byte {
	k := byte(s.Kind)
	if s.Total != 0 || s.money != 0 {
		k |= 0x80
	}
	b = append(b, k)
	b = binary.AppendUvarint(b, s.Count)
	b = p.appendTime(b, s.Last)
	b = AppendFloat(b, s.count)
	if k&0x80 != 0 {
		b = binary.AppendVarint(b, int64(s.Total))
		b = AppendFloat(b, s.money)
	}
	return b
}

func (p *Person) readKind(w *Wire) KindStat {
	k := w.Byte()
	s := KindStat{Kind: event.Kind(k &^ 0x80), Count: w.Uvarint(), Last: p.readTime(w), count: w.Float()}
	if k&0x80 != 0 {
		s.Total, s.money = event.Money(w.Varint()), w.Float()
	}
	return s
}

func (p *Person) appendViewed(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(p.Viewed)))
	for i := range p.Viewed {
		v := &p.Viewed[i]
		b = AppendString(b, v.ID)
		b = appendPrice(b, v.Price, v.HasPrice)
		b = p.appendTime(b, v.At)
	}
	return b
}

// appendPrice writes an unknown price as 0 and a price as itself plus one.
func appendPrice(b []byte, m event.Money, has bool) []byte {
	switch {
	case !has:
		return append(b, 0)
	case m >= 0:
		m++
	}
	return binary.AppendVarint(b, int64(m))
}

func readPrice(w *Wire) (event.Money, bool) {
	m := w.Varint()
	if m > 0 {
		m--
	} else if m == 0 {
		return 0, false
	}
	return event.Money(m), true
}

func appendAffinities(b []byte, a []Affinity) []byte {
	b = binary.AppendUvarint(b, uint64(len(a)))
	for i := range a {
		b = AppendString(b, a[i].Name)
		b = AppendFloat(b, a[i].score)
	}
	return b
}

func readAffinities(w *Wire, a []Affinity) []Affinity {
	a = resize(a, w.Len(MaxAffinities, 9))
	for i := range a {
		a[i] = Affinity{Name: w.String(), score: w.Float()}
		a[i].hash = fnv1a(fnvOffset, a[i].Name)
		if i > 0 && cmp.Or(cmp.Compare(a[i-1].hash, a[i].hash), strings.Compare(a[i-1].Name, a[i].Name)) >= 0 {
			w.fail("affinities out of order")
		}
	}
	return a
}

func (p *Person) appendTraits(b []byte) []byte {
	for i, s := range p.Traits.all() {
		b = AppendString(b, *s)
		b = p.appendTime(b, p.Traits.at[i])
	}
	b = append(b, p.Consent.State, flag(p.Consent.Suppressed)|flag(p.Traits.Dead)<<1)
	b = p.appendTime(b, p.Consent.At)
	return AppendString(b, p.Consent.Reason)
}

func (p *Person) readTraits(w *Wire) {
	for i, s := range p.Traits.all() {
		*s = w.String()
		p.Traits.at[i] = p.readTime(w)
	}
	p.Consent.State = w.Byte()
	bits := w.Byte()
	p.Consent.Suppressed, p.Traits.Dead = bits&1 != 0, bits&2 != 0
	p.Consent.At = p.readTime(w)
	p.Consent.Reason = w.String()
	if p.Consent.State > event.ConsentNo || bits > 3 {
		w.fail("consent of unknown kind")
	}
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (p *Person) appendOrders(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(p.Orders)))
	for i := range p.Orders {
		o := &p.Orders[i]
		b = binary.LittleEndian.AppendUint64(b, o.Hash)
		b = p.appendTime(b, o.At)
		b = binary.AppendVarint(b, int64(o.Value))
		b = binary.AppendVarint(b, int64(o.Refunded)<<1|int64(flag(o.Full)))
	}
	l := &p.LastOrder
	b = p.appendTime(b, l.At)
	if l.At == 0 {
		return b
	}
	b = AppendString(b, l.ID)
	b = binary.AppendVarint(b, int64(l.Value))
	b = AppendString(b, l.Currency)
	b = binary.AppendUvarint(b, uint64(l.Flags))
	b = binary.AppendUvarint(b, uint64(len(l.Items)))
	for i := range l.Items {
		b = AppendItem(b, &l.Items[i])
	}
	return b
}

func (p *Person) readOrders(w *Wire) {
	p.Orders = resize(p.Orders, w.Len(MaxOrders, 11))
	for i := range p.Orders {
		o := &p.Orders[i]
		o.Hash, o.At, o.Value = w.Fixed64(), p.readTime(w), event.Money(w.Varint())
		r := w.Varint()
		o.Refunded, o.Full = event.Money(r>>1), r&1 != 0
		if i > 0 && o.Hash <= p.Orders[i-1].Hash {
			w.fail("orders out of order")
		}
	}
	l := &p.LastOrder
	if l.At = p.readTime(w); l.At == 0 {
		return
	}
	l.ID, l.Value, l.Currency, l.Flags = w.String(), event.Money(w.Varint()), w.String(), event.Flags(w.Int(1<<16-1))
	if n := w.Len(MaxOrderLines, 7); n > 0 {
		l.Items = make([]event.CartItem, n)
	}
	for i := range l.Items {
		l.Items[i] = ReadItem(w)
	}
}

// AppendItem writes an item of a cart or order.
func AppendItem(b []byte, t *event.CartItem) []byte {
	b = AppendString(b, t.ID)
	b = AppendString(b, t.Name)
	b = AppendString(b, t.Category)
	b = AppendString(b, t.URL)
	b = AppendString(b, t.ImageURL)
	b = binary.AppendVarint(b, int64(t.Price))
	return binary.AppendVarint(b, int64(t.Quantity))
}

// ReadItem reads what AppendItem wrote.
func ReadItem(w *Wire) event.CartItem {
	return event.CartItem{ID: w.String(), Name: w.String(), Category: w.String(), URL: w.String(),
		ImageURL: w.String(), Price: event.Money(w.Varint()), Quantity: int32(w.Varint())}
}

func (p *Person) appendCart(b []byte, c *Cart) []byte {
	b = AppendString(b, c.ID)
	b = p.appendTime(b, c.Started)
	b = p.appendTime(b, c.Last)
	b = p.appendTime(b, c.cleared)
	b = AppendString(b, c.LastMessage)
	b = AppendString(b, c.Currency)
	b = binary.AppendUvarint(b, uint64(c.Flags))
	b = binary.AppendUvarint(b, uint64(len(c.Items)))
	for i := range c.Items {
		t := &c.Items[i]
		b = AppendString(b, t.ID)
		b = AppendString(b, t.Name)
		b = AppendString(b, t.Category)
		b = AppendString(b, t.URL)
		b = AppendString(b, t.ImageURL)
		b = appendPrice(b, t.Price, t.HasPrice)
		b = p.appendTime(b, t.priced)
		b = p.appendTime(b, t.named)
		b = binary.AppendUvarint(b, uint64(len(t.ops)))
		for _, o := range t.ops {
			b = p.appendTime(b, o.at)
			b = binary.AppendVarint(b, int64(o.n)<<1|int64(flag(o.set)))
		}
	}
	return b
}

func (p *Person) readCart(w *Wire) Cart {
	c := Cart{ID: w.String(), Started: p.readTime(w), Last: p.readTime(w), cleared: p.readTime(w),
		LastMessage: w.String(), Currency: w.String(), Flags: event.Flags(w.Int(1<<16 - 1))}
	if n := w.Len(MaxCartItems, 9); n > 0 {
		c.Items = make([]Item, n)
	}
	for i := range c.Items {
		t := &c.Items[i]
		t.ID, t.Name, t.Category, t.URL, t.ImageURL = w.String(), w.String(), w.String(), w.String(), w.String()
		t.Price, t.HasPrice = readPrice(w)
		t.priced, t.named = p.readTime(w), p.readTime(w)
		t.ops = make([]op, w.Len(MaxItemOps+1, 2))
		for j := range t.ops {
			o := &t.ops[j]
			o.at = p.readTime(w)
			n := w.Varint()
			o.n, o.set = int32(min(max(n>>1, -MaxQuantity), MaxQuantity)), n&1 != 0
			if j > 0 && compareOps(t.ops[j-1], *o) > 0 || o.set && o.n < 0 {
				w.fail("cart changes out of order")
			}
		}
		if len(t.ops) == 0 {
			w.fail("cart line without a change")
		}
		t.Quantity = foldOps(t.ops)
	}
	return c
}

// DecodeFrom replaces the picture by its stored form. It answers ErrNewer or
// ErrDamaged, wrapped with the facts; the picture is then empty. It keeps nothing of b.
func (p *Person) DecodeFrom(b []byte) error {
	p.Reset()
	var w Wire
	w.Begin(string(b), schema)
	p.read(&w)
	if err := w.Err(); err != nil {
		*p = Person{}
		return err
	}
	return nil
}

// Reset makes the picture that of a person of whom nothing is known. It keeps the memory
// of its lists, which must not be used any more. It implements state.Reusable.
func (p *Person) Reset() {
	*p = Person{
		Kinds: resize(p.Kinds, 0), Carts: resize(p.Carts, 0), Viewed: resize(p.Viewed, 0), Bought: resize(p.Bought, 0),
		Categories: resize(p.Categories, 0), Brands: resize(p.Brands, 0), Hours: resize(p.Hours, 0), Orders: resize(p.Orders, 0),
		seen: memory{tags: resize(p.seen.tags, 0), rest: resize(p.seen.rest, 0)},
	}
}

// spareMax is how many elements' memory an empty list keeps.
const spareMax = 64

// resize is a list of n zero elements, in the memory of an old one if that will do.
func resize[T any](old []T, n int) []T {
	clear(old)
	switch {
	case n > cap(old):
		return make([]T, n)
	case n == 0 && cap(old) > spareMax:
		return nil
	}
	old = old[:n]
	clear(old)
	return old
}

func (p *Person) read(w *Wire) {
	p.Newest = w.Varint()
	p.First, p.Last, p.Ordered, p.Window, p.currAt = p.readTime(w), p.readTime(w), p.readTime(w), p.readTime(w), p.readTime(w)
	p.Currency, p.Flags = w.String(), event.Flags(w.Int(1<<16-1))
	p.decay.ReadFrom(w)
	p.Revenue, p.Refunded = event.Money(w.Varint()), event.Money(w.Varint())
	p.Kinds = resize(p.Kinds, w.Len(128, 11))
	for i := range p.Kinds {
		p.Kinds[i] = p.readKind(w)
		if i > 0 && p.Kinds[i].Kind <= p.Kinds[i-1].Kind {
			w.fail("kinds out of order")
		}
	}
	p.Viewed = resize(p.Viewed, w.Len(MaxViewed, 3))
	for i := range p.Viewed {
		v := &p.Viewed[i]
		v.ID = w.String()
		v.tag = tagOf(v.ID)
		v.Price, v.HasPrice = readPrice(w)
		v.At = p.readTime(w)
	}
	p.Bought = resize(p.Bought, w.Len(MaxBought, 2))
	for i := range p.Bought {
		p.Bought[i] = Bought{w.String(), p.readTime(w)}
		if i > 0 && p.Bought[i].ID <= p.Bought[i-1].ID {
			w.fail("bought items out of order")
		}
	}
	p.Categories, p.Brands = readAffinities(w, p.Categories), readAffinities(w, p.Brands)
	p.readRest(w)
}

func (p *Person) readRest(w *Wire) {
	p.Hours = resize(p.Hours, w.Len(168, 2))
	for i := range p.Hours {
		p.Hours[i] = Hour{w.Byte(), uint16(w.Int(1<<16 - 1))}
		if p.Hours[i].Hour >= 168 || i > 0 && p.Hours[i].Hour <= p.Hours[i-1].Hour {
			w.fail("hours out of order")
		}
	}
	p.readTraits(w)
	p.readOrders(w)
	p.Carts = resize(p.Carts, w.Len(MaxCarts, 8))
	for i := range p.Carts {
		p.Carts[i] = p.readCart(w)
		if i > 0 && p.Carts[i].ID <= p.Carts[i-1].ID {
			w.fail("carts out of order")
		}
	}
	p.missing = w.Int(MaxSeen / seenPart)
	p.seen = readSeen(w, MaxSeen, p.seen)
	for _, n := range p.Lost.all() {
		*n = uint32(w.Int(1<<32 - 1))
	}
}
