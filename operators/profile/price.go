package profile

import (
	"math"
	"time"

	"millrace/operators/event"
)

// Prices is what an item has been offered and sold for, in one currency. It tells a price
// in cents where euros are meant, and the other way round. One goroutine at a time.
type Prices struct {
	seen Quantiles
}

// PriceVerdict is what is thought of a price.
type PriceVerdict uint8

// What a price may be.
const (
	PriceUnknown PriceVerdict = iota // too few have been seen to say
	PriceUsual
	PriceUnit    // off by a whole unit: 100 or 1000 times too much or too little
	PriceOutlier // off by more than any sale explains, and by no unit
)

// How prices are judged.
const (
	pricesMin    = 5    // a median of fewer is one mistake away
	unitTolerant = 1.35 // how far from exactly a unit off, since prices also change
	outlierOff   = 20   // no sale takes off more
	pricesHalf   = 90 * 24 * time.Hour
)

// Add notes a price of an event time. Every price is noted, whatever Judge says of it: the
// median does not heed a few wrong ones, and a price that truly changed becomes the
// median in time.
func (p *Prices) Add(price event.Money, at int64) {
	if price > 0 {
		p.seen.Add(float64(price), at, pricesHalf)
	}
}

// Median is the usual price, within 1 %; 0 if none is known.
func (p *Prices) Median() event.Money { return event.Money(math.Round(p.seen.At(.5))) }

// Judge says what is to be thought of a price; for PriceUnit also what was meant.
func (p *Prices) Judge(price event.Money) (PriceVerdict, event.Money) {
	median := p.seen.At(.5)
	if p.seen.Weight() < pricesMin || median <= 0 || price <= 0 {
		return PriceUnknown, price
	}
	off := float64(price) / median
	for _, unit := range [...]float64{100, 1000, 10000} {
		for _, f := range [...]float64{unit, 1 / unit} {
			if r := off / f; r < unitTolerant && r > 1/unitTolerant {
				return PriceUnit, event.Money(math.Round(float64(price) / f))
			}
		}
	}
	if off > outlierOff || off < 1.0/outlierOff {
		return PriceOutlier, price
	}
	return PriceUsual, price
}

// Merge takes in the prices that another has seen of the same item.
func (p *Prices) Merge(o *Prices) { p.seen.Merge(&o.seen) }

// AppendTo appends the stored form.
func (p *Prices) AppendTo(b []byte) []byte { return p.seen.AppendTo(b) }

// DecodeFrom reads what AppendTo wrote.
func (p *Prices) DecodeFrom(b []byte) error { return p.seen.DecodeFrom(b) }
