package shop

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Login is when a shopper tells the shop who he is.
type Login uint8

// When a shopper tells the shop who he is.
const (
	LoginKnown Login = iota // logged in from the first page
	LoginLater              // browses anonymously and identifies in some session
	LoginNever              // stays anonymous
)

// Shopper is one simulated person.
type Shopper struct {
	UserID      string // "c-1042"; sent only once the shopper has identified
	AnonymousID string
	FirstName   string
	LastName    string
	Email       string
	Locale      string
	Timezone    string
	City        string
	Country     string
	Consent     bool // agreed to marketing mail
	Login       Login
	Mobile      bool      // uses the app: screens instead of pages
	Company     string    // a few buy for a company
	Tastes      []float64 // weight of each category
	VisitsDaily float64   // mean number of sessions of a day
	Buying      float64   // probability that a cart of this shopper is bought

	offset time.Duration // of the time zone
}

// Shares of the population, with their reasons.
const (
	shareChinese = 0.20 // enough to exercise the second language of the writer
	shareGerman  = 0.10 // a locale without a model of its own: falls back
	shareKnown   = 0.70 // most sessions of a shop with an app are logged in
	shareNever   = 0.10 // some never tell; no mail may ever reach them
	shareMobile  = 0.30 // sends screen calls
	shareCompany = 0.02 // so that group calls appear
)

// Shoppers makes the population of a seed. Visiting rates are skewed (log-normal,
// sigma 0.8: a tenth of the shoppers makes about a third of the visits) and scaled so
// that their mean is exactly visitsDaily; the chance to buy a cart is uniform around
// its mean bought.
func Shoppers(seed uint64, count int, visitsDaily, consent, bought float64) []Shopper {
	d := newDice(seed, hashText("shoppers"))
	all := make([]Shopper, count)
	sum := 0.0
	groups := []people{english(), chinese(), german()}
	weights := []float64{1 - shareChinese - shareGerman, shareChinese, shareGerman}
	for i := range all {
		s := &all[i]
		s.name(d, i, groups[d.weighted(weights)])
		s.Consent = d.chance(consent)
		s.Login = []Login{LoginKnown, LoginLater, LoginNever}[d.weighted([]float64{shareKnown, 1 - shareKnown - shareNever, shareNever})]
		s.Mobile = d.chance(shareMobile)
		if d.chance(shareCompany) {
			s.Company = s.LastName + " " + []string{"Ltd", "Studio", "& Partners"}[d.below(3)]
		}
		s.Tastes = tastes(d)
		// Box-Muller.
		normal := math.Sqrt(-2*math.Log(1-d.unit())) * math.Cos(2*math.Pi*d.unit())
		s.VisitsDaily = math.Exp(0.8 * normal)
		s.Buying = bought * (0.4 + 1.2*d.unit())
		sum += s.VisitsDaily
	}
	for i := range all {
		all[i].VisitsDaily *= visitsDaily * float64(count) / sum
	}
	return all
}

// name gives a shopper a name, a home and an address. The number in the address makes
// it unique.
func (s *Shopper) name(d *dice, i int, p people) {
	first, firstAddress := spoken(p.first[d.below(len(p.first))])
	last, lastAddress := spoken(p.last[d.below(len(p.last))])
	home := p.places[d.popular(len(p.places))]
	hosts := []string{"mail.example.invalid", "post.example.invalid", "inbox.example.invalid", "example.invalid"}
	s.FirstName, s.LastName = first, last
	s.UserID = fmt.Sprintf("c-%d", 1000+i)
	s.AnonymousID = d.uuid()
	s.Email = fmt.Sprintf("%s.%s%d@%s", firstAddress, lastAddress, i+1, hosts[d.popular(len(hosts))])
	s.City, s.Country, s.Locale, s.Timezone = home.city, home.country, home.locale, home.zone
	s.offset = time.Duration(home.offsetHours) * time.Hour
}

// tastes are the weights of the eight categories: two that a person likes, a little of
// everything else.
func tastes(d *dice) []float64 {
	const categories = 8
	w := make([]float64, categories)
	for i := range w {
		w[i] = 0.02 + 0.06*d.unit()
	}
	w[d.below(categories)] += 0.8
	w[d.below(categories)] += 0.4
	return w
}

// uuid is a version 4 UUID from the dice.
func (d *dice) uuid() string { return string(d.appendUUID(make([]byte, 0, 36))) }

func (d *dice) appendUUID(b []byte) []byte {
	high := d.Uint64()&^0xf000 | 0x4000
	low := d.Uint64()&^(3<<62) | 2<<62
	b = appendHex(b, high>>32, 8)
	b = appendHex(append(b, '-'), high>>16, 4)
	b = appendHex(append(b, '-'), high, 4)
	b = appendHex(append(b, '-'), low>>48, 4)
	return appendHex(append(b, '-'), low, 12)
}

// appendHex appends the lowest digits of a number.
func appendHex(b []byte, x uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		b = append(b, "0123456789abcdef"[x>>(4*i)&15])
	}
	return b
}

// language is the first part of the locale: "en", "zh" or "de".
func (s *Shopper) language() string {
	l, _, _ := strings.Cut(s.Locale, "-")
	return l
}
