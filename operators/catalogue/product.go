// Package catalogue keeps what the shop sells: what a product is called, costs and looks
// like, and how many are left. Its facts come as events (Product Upserted), one by one
// or from a feed file, in any order; the newest word on each field holds.
//
// It also knows who looked at a product lately, if a journey asks for that, and says
// whom a fallen price or a full shelf concerns.
package catalogue

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/operators/event"
	"millrace/operators/profile"
)

// The bounds of a record.
const (
	MaxText   = 1024 // bytes of any text
	MaxPoints = 32   // words on the price, and on the stock, that are kept
	// settled is how far behind the newest word nothing late is expected any more, so that
	// words that repeat each other can be dropped.
	settled = 48 * time.Hour
)

// The texts of a product, by place in its record.
const (
	textName = iota
	textCategory
	textBrand
	textURL
	textImage
	textCurrency
	textCount
)

// Product is the record of one product. The zero value is one of which nothing is
// known. One goroutine at a time. Times are Unix milliseconds of events.
type Product struct {
	texts  [textCount]said
	was    Point   // the price before a reduction; 0: none
	gone   Point   // 1: deleted
	prices []Point // oldest first
	stock  []Point // likewise; event.StockUnknown, or how many
	Newest int64   // event time of the newest word
}

// said is a text and when it was said.
type said struct {
	text string
	at   int64
}

// Point is a number that was said of a product at a time.
type Point struct {
	At    int64
	Value int64
}

// Apply takes over what an event says. It keeps nothing of e.
func (p *Product) Apply(e *event.Event) {
	if len(e.Products) == 0 {
		return
	}
	f := &e.Products[0]
	for i, text := range [textCount]string{f.Name, f.Category, f.Brand, f.URL, f.ImageURL, ""} {
		p.say(i, text, e.Time)
	}
	if f.HasPrice {
		p.say(textCurrency, e.Currency, e.Time)
		p.prices = insert(p.prices, Point{e.Time, int64(f.Price)})
	}
	gone := Point{At: e.Time}
	if l := e.Listing; l != nil {
		if l.HasWas {
			newer(&p.was, Point{e.Time, int64(l.Was)})
		}
		if l.HasLeft {
			p.stock = insert(p.stock, Point{e.Time, l.Stock})
		}
		if l.Deleted {
			gone.Value = 1
		}
	}
	newer(&p.gone, gone)
	p.Newest = max(p.Newest, e.Time)
}

// say takes a text over if it is the newest one. Of two of the same moment the greater
// one holds, so that their order does not matter.
func (p *Product) say(i int, text string, at int64) {
	t := &p.texts[i]
	if text = clip(text); text == "" || t.text != "" && (at < t.at || at == t.at && text <= t.text) {
		return
	}
	if t.text != text {
		t.text = strings.Clone(text)
	}
	t.at = at
}

func newer(to *Point, p Point) {
	if p.At > to.At || p.At == to.At && p.Value > to.Value || to.At == 0 {
		*to = p
	}
}

// clip bounds a text, at the border of a rune.
func clip(s string) string {
	if len(s) <= MaxText {
		return s
	}
	n := MaxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// insert adds a word to a history, and drops what no later word can need.
func insert(list []Point, p Point) []Point {
	at, same := slices.BinarySearchFunc(list, p.At, func(q Point, t int64) int {
		switch {
		case q.At < t:
			return -1
		case q.At > t:
			return 1
		}
		return 0
	})
	if same {
		list[at].Value = max(list[at].Value, p.Value) // in any order the same one holds
	} else {
		list = slices.Insert(list, at, p)
	}
	old := list[len(list)-1].At - settled.Milliseconds()
	list = thin(list, func(next Point) bool { return next.At < old })
	if len(list) > MaxPoints {
		list = thin(list, func(Point) bool { return true })
	}
	return list[max(0, len(list)-MaxPoints):]
}

// thin drops the inner words of runs that say the same, where the word after them may
// be dropped behind, too: of each run the first and the last stay.
func thin(list []Point, may func(next Point) bool) []Point {
	kept := list[:0]
	for i, q := range list {
		inner := len(kept) > 0 && i+1 < len(list) && kept[len(kept)-1].Value == q.Value && list[i+1].Value == q.Value
		if !inner || !may(list[i+1]) {
			kept = append(kept, q)
		}
	}
	return kept
}

// last is the newest word of a history, and since when it has been said in one: since its
// first word that meets same.
func last(list []Point, same func(v int64) bool) (value, since int64, known bool) {
	if len(list) == 0 {
		return 0, 0, false
	}
	n := len(list) - 1
	value, since = list[n].Value, list[n].At
	for n--; n >= 0 && same(list[n].Value); n-- {
		since = list[n].At
	}
	return value, since, true
}

// Known tells whether the catalogue ever spoke of the product.
func (p *Product) Known() bool { return p.Newest != 0 }

// Name is what the product is called.
func (p *Product) Name() string { return p.texts[textName].text }

// Category is its path of categories, such as "Kitchen > Mugs".
func (p *Product) Category() string { return p.texts[textCategory].text }

// Brand is its brand.
func (p *Product) Brand() string { return p.texts[textBrand].text }

// URL is its page.
func (p *Product) URL() string { return p.texts[textURL].text }

// ImageURL is its picture.
func (p *Product) ImageURL() string { return p.texts[textImage].text }

// Currency is that of its prices.
func (p *Product) Currency() string { return p.texts[textCurrency].text }

// Deleted tells whether it is sold no more.
func (p *Product) Deleted() bool { return p.gone.Value != 0 }

// Price is what it costs. It answers false when nobody said.
func (p *Product) Price() (event.Money, bool) {
	if len(p.prices) == 0 {
		return 0, false
	}
	return event.Money(p.prices[len(p.prices)-1].Value), true
}

// Was is what it cost before a reduction, 0 when it is not reduced.
func (p *Product) Was() event.Money {
	if price, ok := p.Price(); ok && event.Money(p.was.Value) > price {
		return event.Money(p.was.Value)
	}
	return 0
}

// Left is how many are left, 0 where nobody said a number.
func (p *Product) Left() int {
	if n := len(p.stock); n > 0 && p.stock[n-1].Value > 0 {
		return int(p.stock[n-1].Value)
	}
	return 0
}

// InStock tells whether it can be bought: unless the shop says otherwise, it can.
func (p *Product) InStock() bool {
	n := len(p.stock)
	return !p.Deleted() && (n == 0 || p.stock[n-1].Value != 0)
}

// Prices is how the price went, oldest word first, at most MaxPoints. It must not be changed.
func (p *Product) Prices() []Point { return p.prices }

// Overlay puts what the catalogue says over an item of a mail; its price only if asked.
func (p *Product) Overlay(i *event.CartItem, price bool) {
	for _, f := range [...]struct {
		to   *string
		from string
	}{{&i.Name, p.Name()}, {&i.Category, p.Category()}, {&i.URL, p.URL()}, {&i.ImageURL, p.ImageURL()}} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	if m, ok := p.Price(); ok && price {
		i.Price = m
	}
}

// schema is the version of the stored form.
const schema = 1

// AppendTo appends the stored form.
func (p *Product) AppendTo(b []byte) []byte {
	b = append(b, schema)
	b = binary.AppendVarint(b, p.Newest)
	for i := range p.texts {
		b = binary.AppendVarint(profile.AppendString(b, p.texts[i].text), p.Newest-p.texts[i].at)
	}
	b = appendPoint(appendPoint(b, p.was), p.gone)
	return appendPoints(appendPoints(b, p.prices), p.stock)
}

func appendPoint(b []byte, q Point) []byte {
	return binary.AppendVarint(binary.AppendVarint(b, q.At), q.Value)
}

func appendPoints(b []byte, list []Point) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, q := range list {
		b = appendPoint(b, q)
	}
	return b
}

// DecodeFrom replaces the record by its stored form. It answers profile.ErrNewer or
// profile.ErrDamaged, wrapped with the facts; the record is then empty. It keeps nothing
// of b.
func (p *Product) DecodeFrom(b []byte) error {
	*p = Product{}
	w, _ := profile.ReadWire(b, schema)
	p.Newest = w.Varint()
	for i := range p.texts {
		p.texts[i].text = w.String()
		p.texts[i].at = p.Newest - w.Varint()
	}
	p.was, p.gone = readPoint(w), readPoint(w)
	p.prices, p.stock = readPoints(w), readPoints(w)
	if err := w.Err(); err != nil {
		*p = Product{}
		return err
	}
	return nil
}

func readPoint(w *profile.Wire) Point { return Point{w.Varint(), w.Varint()} }

func readPoints(w *profile.Wire) []Point {
	n := w.Len(MaxPoints, 2)
	if n == 0 {
		return nil
	}
	list := make([]Point, n)
	for i := range list {
		list[i] = readPoint(w)
		if i > 0 && list[i].At <= list[i-1].At {
			w.Fail("words out of order")
		}
	}
	return list
}
