package profile

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"millrace/operators/event"
)

// Rate is what one unit of a currency is worth in the base currency from a time on.
type Rate struct {
	Currency string // ISO 4217
	From     int64  // Unix milliseconds; 0 for ever since
	PerUnit  float64
}

// Rates bring amounts to one currency, by the rate that held at the time of the event.
// They do not change and are safe for concurrent use; a nil *Rates leaves all amounts as
// they are.
type Rates struct {
	base string
	all  map[string][]Rate // by time
}

// MaxRates bounds the table of rates.
const MaxRates = 100_000

// ErrRate says that a table of rates cannot be meant.
var ErrRate = errors.New("bad exchange rate")

// NewRates makes the table. The base currency needs no rate.
func NewRates(base string, rates []Rate) (*Rates, error) {
	if !isCurrency(base) {
		return nil, fmt.Errorf("%w: base currency %q, three capital letters", ErrRate, base)
	}
	if len(rates) > MaxRates {
		return nil, fmt.Errorf("%w: %d of them, at most %d", ErrRate, len(rates), MaxRates)
	}
	t := &Rates{base: base, all: make(map[string][]Rate)}
	for _, r := range rates {
		if !isCurrency(r.Currency) || r.Currency == base && r.PerUnit != 1 {
			return nil, fmt.Errorf("%w: of %q to %s", ErrRate, r.Currency, base)
		}
		if !(r.PerUnit > 0) || r.PerUnit > 1e12 {
			return nil, fmt.Errorf("%w: %g %s for one %s", ErrRate, r.PerUnit, base, r.Currency)
		}
		t.all[r.Currency] = append(t.all[r.Currency], r)
	}
	for c, list := range t.all {
		slices.SortStableFunc(list, func(a, b Rate) int { return cmp.Compare(a.From, b.From) })
		for i := 1; i < len(list); i++ {
			if list[i].From == list[i-1].From {
				return nil, fmt.Errorf("%w: two of %s from one time", ErrRate, c)
			}
		}
	}
	return t, nil
}

func isCurrency(s string) bool {
	if len(s) != 3 {
		return false
	}
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}

// Base is the currency that amounts are brought to; "" for a nil table.
func (t *Rates) Base() string {
	if t == nil {
		return ""
	}
	return t.base
}

// Convert brings an amount in minor units to the base currency, rounded half away from
// zero. An amount without a currency is taken to be in the base. It answers false for a
// currency without a rate at that time, and above what fits.
func (t *Rates) Convert(m event.Money, currency string, at int64) (event.Money, bool) {
	if t == nil || currency == "" || currency == t.base {
		return m, true
	}
	list := t.all[currency]
	i, exact := slices.BinarySearchFunc(list, at, func(r Rate, at int64) int { return cmp.Compare(r.From, at) })
	if !exact {
		i--
	}
	if i < 0 {
		return 0, false
	}
	places := event.Exponent(t.base) - event.Exponent(currency)
	f := math.Round(float64(m) * list[i].PerUnit * math.Pow10(places))
	return event.Money(f), math.Abs(f) < 1<<53
}

// number is Convert for the amounts of an event.
func (t *Rates) number(m event.Money, e *event.Event) (float64, bool) {
	m, ok := t.Convert(m, e.Currency, e.Time)
	return float64(m), ok
}
