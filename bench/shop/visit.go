package shop

import (
	"strings"
	"time"
	"unicode"

	"millrace/operators/event"
)

// visit is one session of a person. It is played at once when it begins; its events
// carry the times at which they will happen.
type visit struct {
	s        *Simulation
	p        *person
	who      int
	dice     *dice
	at       int64
	linking  bool   // identified in this session: both ids are sent
	campaign string // of the mail that led here
	last     int    // product viewed last
	viewed   bool
}

// pause lets time pass.
func (v *visit) pause(low, high time.Duration) { v.at += millis(v.dice.between(low, high)) }

// browse is an ordinary session: looking around by taste, now and then a cart.
func (v *visit) browse() {
	v.enter()
	v.tellTraits(0.03)
	o := &v.s.options
	carting := v.dice.chance(o.Carting)
	var c *cart
	if carting {
		c = v.pickCart()
	}
	added := 0
	for topics := 0; topics < 5 && (topics == 0 || v.dice.chance(0.45)); topics++ {
		shelf := v.interest()
		v.lookAround(shelf)
		for range 1 + v.dice.popular(4) {
			v.view(v.choose(shelf))
			if carting && v.dice.chance(0.35) {
				added += v.addWithComplement(c)
			}
		}
		v.identifyMaybe(0.12)
	}
	if v.dice.chance(o.ReviewVisits) {
		v.reviewOld()
	}
	switch {
	case carting:
		if added == 0 {
			v.add(c, v.last)
		}
		v.settle(c)
	case len(v.p.carts) > 0 && v.dice.chance(0.15):
		v.lookAtCart(&v.p.carts[len(v.p.carts)-1])
	}
}

// enter opens the first page or screen and counts the session.
func (v *visit) enter() {
	v.s.stats.Sessions++
	call, kind, name := "page", event.Page, "Home"
	if v.p.Mobile {
		call, kind, name = "screen", event.Screen, "Start"
	}
	w := v.begin(call, "")
	w.text("name", name)
	w.open("properties")
	if call == "page" {
		w.text("path", "/")
		w.text("title", "Home")
		w.text("url", site+"/")
	}
	w.close()
	v.end(kind, w)
	v.pause(2*time.Second, 20*time.Second)
}

// interest picks a shelf: often one that goes with what was looked at or bought, else
// one of a category that the person likes.
func (v *visit) interest() int {
	c := v.s.stock
	if v.viewed && v.dice.chance(0.35) {
		fits := c.products[v.last].fits
		return c.products[fits[v.dice.popular(len(fits))]].shelf
	}
	if n := len(v.p.owned); n > 0 && v.dice.chance(0.15) {
		fits := c.products[v.p.owned[v.dice.below(n)]].fits
		return c.products[fits[v.dice.popular(len(fits))]].shelf
	}
	shelves := c.byCategory[v.dice.weighted(v.p.Tastes)]
	return shelves[v.dice.popular(len(shelves))]
}

// lookAround searches, opens the list of a shelf, or goes straight to a product.
func (v *visit) lookAround(shelf int) {
	sh := &v.s.stock.shelves[shelf]
	switch u := v.dice.unit(); {
	case u < 0.30:
		w := v.track(event.ProductsSearched)
		w.text("query", v.query(sh))
		w.close()
		v.end(event.ProductsSearched, w)
	case u < 0.65:
		w := v.begin("track", "Product List Viewed")
		w.open("properties")
		w.text("list_id", slug(sh.category))
		w.text("category", sh.category)
		w.close()
		v.end(event.Unknown, w)
	default:
		return
	}
	v.pause(3*time.Second, 25*time.Second)
}

// query is what the person types to find a shelf: in his language, sometimes in upper
// case, sometimes with two letters swapped.
func (v *visit) query(sh *shelf) string {
	switch v.p.language() {
	case "zh":
		return sh.zh
	case "de":
		return sh.de
	}
	words := strings.Split(sh.find, ",")
	q := []rune(words[v.dice.popular(len(words))])
	switch u := v.dice.unit(); {
	case u < 0.05:
		i := v.dice.below(len(q) - 1)
		q[i], q[i+1] = q[i+1], q[i]
	case u < 0.15:
		q[0] = unicode.ToUpper(q[0])
	}
	return string(q)
}

// choose picks a product of a shelf: what goes with the last one, else a popular one.
func (v *visit) choose(shelf int) int {
	c := v.s.stock
	if v.viewed && v.dice.chance(0.5) {
		for _, f := range c.products[v.last].fits {
			if c.products[f].shelf == shelf {
				return f
			}
		}
	}
	stock := c.stock[shelf]
	return stock[v.dice.popular(len(stock))]
}

// view opens the page of a product.
func (v *visit) view(product int) {
	p := &v.s.stock.products[product]
	w := v.track(event.ProductViewed)
	v.product(w, p)
	w.text("currency", Currency)
	w.money("value", p.Price)
	w.close()
	v.end(event.ProductViewed, w)
	v.last, v.viewed = product, true
	v.pause(8*time.Second, 80*time.Second)
}

// product writes the fields that every event about a product carries.
func (v *visit) product(w *wire, p *Product) {
	w.text("product_id", p.ID)
	w.text("sku", p.SKU)
	w.text("name", p.Name)
	w.text("category", p.Category)
	w.text("brand", p.Brand)
	if v.dice.chance(v.s.options.Quirky) {
		w.key("price")
		w.b = append(appendMoney(append(w.b, '"'), p.Price), '"')
	} else {
		w.money("price", p.Price)
	}
	w.text("url", p.URL)
}

// begin writes the head of a message.
func (v *visit) begin(call, name string) *wire {
	w := &wire{b: make([]byte, 0, 1024)}
	w.b = append(w.b, '{')
	w.text("type", call)
	if v.p.known {
		w.text("userId", v.p.UserID)
	}
	if !v.p.known || v.linking {
		w.text("anonymousId", v.p.AnonymousID)
	}
	if name != "" {
		w.text("event", name)
	}
	return w
}

// track begins a track call and leaves its properties open.
func (v *visit) track(kind event.Kind) *wire {
	w := v.begin("track", eventName(kind))
	w.open("properties")
	return w
}

// end writes the tail of a message and hands it to the way to the server.
func (v *visit) end(kind event.Kind, w *wire) {
	w.open("context")
	v.library(w)
	w.text("locale", v.p.Locale)
	w.text("timezone", v.p.Timezone)
	if v.campaign != "" {
		w.open("campaign")
		w.text("name", v.campaign)
		w.text("source", "millrace")
		w.text("medium", "email")
		w.close()
	}
	w.close()
	v.s.deliver(v.who, v.dice, v.stamp(w), kind, v.at, w)
}

func (v *visit) library(w *wire) {
	w.open("library")
	w.text("name", "@segment/analytics-node")
	w.text("version", "3.1.0")
	w.close()
}

// stamp closes a message with its time and its id, which it returns.
func (v *visit) stamp(w *wire) string {
	id := make([]byte, 0, 64)
	id = append(id, "node-next-"...)
	id = appendDigits(id, int(v.at), 13)
	id = v.dice.appendUUID(append(id, '-'))
	return w.finish(v.at, string(id))
}

// finish closes a message with its time and its id.
func (w *wire) finish(at int64, id string) string {
	w.open("integrations")
	w.close()
	w.moment("timestamp", at)
	w.text("messageId", id)
	w.close()
	return id
}
