package event

import "strings"

// Listing is what a Product Upserted says of its product beside what every event may
// say. What is not said stays as it was.
type Listing struct {
	Was     Money // the price before a reduction; 0: it is not reduced
	Stock   int64 // StockUnknown, or how many are left
	HasWas  bool
	HasLeft bool // Stock was said
	Deleted bool // the product is sold no more
}

// StockUnknown says that a product is in stock, and nobody knows how many.
const StockUnknown = -1

// The bounds of what a catalogue may say.
const (
	productIDMax = 256       // bytes, as in a person's picture
	stockMax     = 1_000_000 // more are as good as unlimited
)

// listingField knows the fields of properties that only the catalogue has.
func listingField(key string) uint8 {
	switch key {
	case "stock":
		return fStock
	case "inventory":
		return fInventory
	case "availability":
		return fAvailability
	case "old_price":
		return fOldPrice
	case "compare_at_price":
		return fCompareAt
	case "deleted":
		return fDeleted
	}
	return none
}

// listing sets what the catalogue says of a product.
func (e *Event) listing(f *fields, p *pricing) {
	l := &Listing{Deleted: f.props.get(fDeleted).t == 't'}
	e.Listing = l
	for _, id := range [...]uint8{fOldPrice, fCompareAt} {
		v := f.props.get(id)
		if v.t == 'n' { // null takes it back
			l.HasWas = true
		}
		if m, ok := p.amount(v); ok && m >= 0 {
			l.Was, l.HasWas = m, true
			break
		}
	}
	if n, ok := p.pieces(f.props.first(fStock, fInventory)); ok {
		l.Stock, l.HasLeft = n, true
	}
	if v := f.props.get(fAvailability); v.t == '"' {
		if in, known := Available(v.s); known && (!in || !l.HasLeft) {
			l.HasLeft, l.Stock = true, 0
			if in {
				l.Stock = StockUnknown
			}
		}
	}
}

// pieces reads how many are left: a number, of which a negative one means none, or true
// and false.
func (p *pricing) pieces(v *val) (int64, bool) {
	switch v.t {
	case 't':
		return StockUnknown, true
	case 'f':
		return 0, true
	}
	d, sign, ok := p.decimal(v)
	if !ok {
		return 0, false
	}
	n, whole := d.whole()
	if !whole || sign != "" {
		p.bad = true
		return 0, false
	}
	return min(max(n, 0), stockMax), true
}

// Available reads the availability of a product feed, as in "in stock" or "OutOfStock".
// What can only be ordered ahead is not in stock. It answers false for other words.
func Available(s string) (in, known bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	s = s[strings.LastIndexByte(s, '/')+1:] // https://schema.org/InStock
	switch strings.NewReplacer(" ", "", "_", "", "-", "").Replace(s) {
	case "instock", "available", "limitedavailability", "yes", "true":
		return true, true
	case "outofstock", "soldout", "discontinued", "preorder", "backorder", "unavailable", "no", "false":
		return false, true
	}
	return false, false
}
