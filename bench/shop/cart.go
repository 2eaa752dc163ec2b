package shop

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"millrace/operators/event"
)

// plan is what becomes of a cart when nobody reminds its owner.
type plan uint8

const (
	leave    plan = iota // it stays behind
	buyNow               // in the session that opened it
	buyLater             // from a later session
)

// cart is an open cart.
type cart struct {
	id      string
	items   []item
	plan    plan
	changed int64
	returns bool // the later session is planned
}

type item struct {
	product  int
	quantity int
}

// forgetOldCarts drops carts that were left alone for three days, as shops do.
func (p *person) forgetOldCarts(now int64) {
	p.carts = slices.DeleteFunc(p.carts, func(c cart) bool { return now-c.changed > millis(72*time.Hour) })
}

// pickCart takes the open cart, or opens one: a second one now and then.
func (v *visit) pickCart() *cart {
	p := v.p
	if n := len(p.carts); n > 0 && (n == maxCarts || !v.dice.chance(v.s.options.SecondCart)) {
		return &p.carts[n-1]
	}
	p.made++
	v.s.stats.CartsOpened++
	c := cart{id: fmt.Sprintf("ct-%s-%d", p.UserID[2:], p.made), changed: v.at}
	if v.dice.chance(p.Buying) {
		c.plan = buyNow
		if v.dice.chance(v.s.options.BoughtLater) {
			c.plan = buyLater
		}
	}
	p.carts = append(p.carts, c)
	return &p.carts[len(p.carts)-1]
}

// addWithComplement puts the product just viewed into the cart, and often looks at what
// goes with it and takes that too. It returns how many products were added.
func (v *visit) addWithComplement(c *cart) int {
	product := v.last
	v.add(c, product)
	if !v.dice.chance(0.5) {
		return 1
	}
	fits := v.s.stock.products[product].fits
	v.view(fits[v.dice.popular(len(fits))])
	if !v.dice.chance(0.55) {
		return 1
	}
	v.add(c, v.last)
	return 2
}

// add puts a product into a cart.
func (v *visit) add(c *cart, product int) {
	quantity := 1
	if v.dice.chance(0.12) {
		quantity = 2 + v.dice.popular(3)
	}
	at := slices.IndexFunc(c.items, func(i item) bool { return i.product == product })
	if at < 0 {
		c.items = append(c.items, item{product: product})
		at = len(c.items) - 1
	}
	c.items[at].quantity += quantity
	v.change(c, event.ProductAdded, product, quantity)
}

// change sends that a product came into a cart or left it.
func (v *visit) change(c *cart, kind event.Kind, product, quantity int) {
	w := v.track(kind)
	w.text("cart_id", c.id)
	v.product(w, &v.s.stock.products[product])
	w.count("quantity", quantity)
	w.close()
	v.end(kind, w)
	c.changed = v.at
	v.pause(4*time.Second, 30*time.Second)
}

// settle ends a session in which a cart was filled: a last look, a change of mind, then
// the checkout, a plan to come back, or nothing.
func (v *visit) settle(c *cart) {
	if v.dice.chance(0.6) {
		v.viewCart(c)
	}
	if v.dice.chance(0.12) && (len(c.items) > 1 || c.plan == leave && v.dice.chance(0.2)) {
		v.remove(c, v.dice.below(len(c.items)))
	}
	switch {
	case len(c.items) == 0:
		v.drop(c.id)
	case c.plan == buyNow:
		v.buy(c)
	default:
		if v.dice.chance(v.s.options.StartCheckout) {
			v.checkout(c)
		}
		if c.plan == buyLater && !c.returns {
			c.returns = true
			// From a coffee later to the next day: before the reminder, and after it.
			back := v.at + millis(v.dice.spread(20*time.Minute, 20*time.Hour))
			v.s.push(v.who, pending{at: back, what: doReturn, cart: c.id})
		}
	}
}

// lookAtCart is a look at a cart left behind; sometimes something is taken out.
func (v *visit) lookAtCart(c *cart) {
	v.viewCart(c)
	if v.dice.chance(0.15) && (len(c.items) > 1 || c.plan == leave) {
		v.remove(c, v.dice.below(len(c.items)))
	}
	if len(c.items) == 0 {
		v.drop(c.id)
	}
}

func (v *visit) viewCart(c *cart) {
	w := v.track(event.CartViewed)
	w.text("cart_id", c.id)
	v.products(w, c)
	w.close()
	v.end(event.CartViewed, w)
	c.changed = v.at
	v.pause(5*time.Second, 40*time.Second)
}

// remove takes an item out of a cart, all of its pieces.
func (v *visit) remove(c *cart, at int) {
	i := c.items[at]
	c.items = slices.Delete(c.items, at, at+1)
	v.change(c, event.ProductRemoved, i.product, i.quantity)
}

// drop forgets a cart.
func (v *visit) drop(id string) {
	v.p.carts = slices.DeleteFunc(v.p.carts, func(c cart) bool { return c.id == id })
}

// products writes the products of a cart.
func (v *visit) products(w *wire, c *cart) {
	w.openList("products")
	for n, i := range c.items {
		w.open("")
		v.product(w, &v.s.stock.products[i.product])
		w.count("quantity", i.quantity)
		w.count("position", n+1)
		w.close()
	}
	w.closeList()
}

// buyAfterAll is the later session of a cart that was planned to be bought; the cart
// may be gone by then.
func (v *visit) buyAfterAll(id string) {
	at := slices.IndexFunc(v.p.carts, func(c cart) bool { return c.id == id })
	if at < 0 {
		return
	}
	v.enter()
	c := &v.p.carts[at]
	v.viewCart(c)
	v.buy(c)
}

// bill is the money of an order, in cents. Prices are without tax.
type bill struct {
	order, checkout                               string
	subtotal, discount, tax, shipping, total, sum event.Money
	coupon                                        string
}

// checkout starts the checkout of a cart and returns its bill.
func (v *visit) checkout(c *cart) bill {
	v.p.ordered++
	number := v.p.UserID[2:] + "-" + strconv.Itoa(v.p.ordered)
	b := bill{order: "A-" + number, checkout: "ck-" + number}
	for _, i := range c.items {
		b.sum += v.s.stock.products[i.product].Price * event.Money(i.quantity)
	}
	if v.dice.chance(0.15) {
		b.coupon, b.discount = "SPRING10", b.sum/10
	}
	b.subtotal = b.sum - b.discount
	b.tax = (b.subtotal*20 + 50) / 100
	if b.subtotal < 5000 {
		b.shipping = 490
	}
	b.total = b.subtotal + b.tax + b.shipping
	w := v.track(event.CheckoutStarted)
	w.text("order_id", b.order)
	w.money("value", b.subtotal)
	v.money(w, &b)
	v.products(w, c)
	w.close()
	v.end(event.CheckoutStarted, w)
	c.changed = v.at
	v.pause(30*time.Second, 4*time.Minute)
	return b
}

// money writes what the order events share.
func (v *visit) money(w *wire, b *bill) {
	w.money("revenue", b.subtotal)
	w.money("shipping", b.shipping)
	w.money("tax", b.tax)
	if b.coupon != "" {
		w.money("discount", b.discount)
		w.text("coupon", b.coupon)
	}
	w.text("currency", Currency)
}

// buy orders a cart: the checkout, the order, and what follows from it days later.
func (v *visit) buy(c *cart) {
	v.identifyMaybe(0.8) // most shops ask for the address here; the others order as guests
	b := v.checkout(c)
	w := v.track(event.OrderCompleted)
	w.text("order_id", b.order)
	w.text("checkout_id", b.checkout)
	w.money("subtotal", b.subtotal)
	w.money("total", b.total)
	v.money(w, &b)
	v.products(w, c)
	w.close()
	v.end(event.OrderCompleted, w)
	v.s.stats.Orders++
	v.s.stats.CartsBought++
	for _, i := range c.items {
		v.p.owned = append(v.p.owned, i.product)
	}
	v.p.owned = v.p.owned[max(0, len(v.p.owned)-maxOwned):]
	v.aftermath(*c, &b)
	v.drop(c.id)
	v.pause(5*time.Second, 30*time.Second)
}

// aftermath plans the refund and the review of an order.
func (v *visit) aftermath(c cart, b *bill) {
	later := *v
	if v.dice.chance(v.s.options.Refunded) {
		later.at = v.at + millis(v.dice.spread(time.Hour, 10*24*time.Hour))
		w := later.track(event.OrderRefunded)
		w.text("order_id", b.order)
		if len(c.items) > 1 && v.dice.chance(0.5) { // only a part of it
			i := v.dice.below(len(c.items))
			c.items = c.items[i : i+1]
			w.money("revenue", v.s.stock.products[c.items[0].product].Price*event.Money(c.items[0].quantity))
		} else {
			w.money("revenue", b.subtotal)
		}
		w.text("currency", Currency)
		later.products(w, &c)
		w.close()
		later.end(event.OrderRefunded, w)
	}
	if v.dice.chance(v.s.options.Reviewed) {
		later.at = v.at + millis(v.dice.spread(3*time.Hour, 10*24*time.Hour))
		later.review(c.items[v.dice.below(len(c.items))].product)
	}
}
