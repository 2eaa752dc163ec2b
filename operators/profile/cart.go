package profile

import (
	"cmp"
	"slices"
	"strings"

	"millrace/operators/event"
)

// A cart is the fold, in event-time order, of what was done with it after its floor:
// the newest of the person's last order and the cart's last snapshot (Cart Viewed or
// Checkout Started with products). Hence a late addition cannot bring back what was
// removed, replaced or bought after it, a late removal takes out only what lay in the
// cart at its time, and the order of arrival changes nothing. Only MaxItemOps changes
// of one line are kept apart; a change that is older than all of them is left out and
// counted in Lost.CartOps.

// Cart is what lies in a cart. A cart stays for a while after it was emptied, so that
// late events find it.
type Cart struct {
	ID          string // "" when the shop names none
	Items       []Item // in the order in which they were first seen
	Started     int64  // the oldest change kept
	Last        int64  // newest activity: a change, a look or a checkout
	LastMessage string // messageId of that activity
	Currency    string
	Flags       event.Flags // Synthetic: some of it was made up; FromImport: some of it lies in the past

	cleared int64 // time of the newest snapshot
}

// Item is a line of a cart. A line with Quantity 0 was removed.
type Item struct {
	ID       string
	Name     string
	Category string
	URL      string
	ImageURL string
	Price    event.Money
	HasPrice bool
	Quantity int32

	priced, named int64 // when price and name were said
	ops           []op
}

// op is a change of a line: N units more or fewer, or exactly N.
type op struct {
	at  int64
	n   int32
	set bool
}

func compareOps(a, b op) int {
	if c := cmp.Compare(a.at, b.at); c != 0 {
		return c
	}
	if a.set != b.set {
		if a.set {
			return -1
		}
		return 1
	}
	return cmp.Compare(b.n, a.n)
}

// Open tells whether anything lies in the cart.
func (c *Cart) Open() bool {
	for i := range c.Items {
		if c.Items[i].Quantity > 0 {
			return true
		}
	}
	return false
}

// Value is what the cart's items cost, those without a price left out.
func (c *Cart) Value() event.Money {
	var v event.Money
	for i := range c.Items {
		v += c.Items[i].Price * event.Money(c.Items[i].Quantity)
	}
	return v
}

// Units is how many pieces lie in the cart.
func (c *Cart) Units() int {
	n := 0
	for i := range c.Items {
		n += int(c.Items[i].Quantity)
	}
	return n
}

// Contents lists what lies in the cart.
func (c *Cart) Contents() []event.CartItem {
	out := make([]event.CartItem, 0, len(c.Items))
	for i := range c.Items {
		if t := &c.Items[i]; t.Quantity > 0 {
			out = append(out, event.CartItem{ID: t.ID, Name: t.Name, Category: t.Category, URL: t.URL,
				ImageURL: t.ImageURL, Price: t.Price, Quantity: t.Quantity})
		}
	}
	return out
}

func (p *Person) findCart(id string) (int, bool) {
	return slices.BinarySearchFunc(p.Carts, id, func(c Cart, id string) int { return strings.Compare(c.ID, id) })
}

// floor is the time at or before which what was done with the cart is superseded.
func (p *Person) floor(c *Cart) int64 { return max(p.Ordered, c.cleared) }

// applyCart handles the events that have to do with a cart.
func (p *Person) applyCart(u *Updater, e *event.Event, ch *Change) {
	id := cut(e.CartID)
	snapshot := (e.Kind == event.CartViewed || e.Kind == event.CheckoutStarted) && len(e.Products) > 0
	if e.Kind == event.CheckoutStarted && id == "" {
		// The specification gives it no cart_id: it is about the cart in hand.
		open := 0
		for i := range p.Carts {
			if p.Carts[i].Open() {
				open++
			}
		}
		if open > 0 {
			id = p.NewestCart().ID
		}
		snapshot = snapshot && open < 2 // with several carts it is not known which one it replaces
	}
	i, known := p.findCart(id)
	if !known {
		makes := snapshot || e.Kind == event.ProductAdded || e.Kind == event.ProductRemoved
		if !makes || e.Time <= p.Ordered || len(e.Products) == 0 {
			return
		}
		p.Carts = slices.Insert(p.Carts, i, Cart{ID: strings.Clone(id), Started: e.Time})
	}
	c := &p.Carts[i]
	was := c.Open()
	p.changeCart(u, c, e, snapshot, ch)
	fate := CartChanged
	if !c.Open() {
		if fate = CartEmptied; !was {
			fate = 0
		}
	}
	if fate != 0 {
		ch.Carts = append(ch.Carts, CartChange{c.ID, fate})
	}
	p.pruneCarts(u, c.ID, ch)
}

func (p *Person) changeCart(u *Updater, c *Cart, e *event.Event, snapshot bool, ch *Change) {
	if e.Time > p.Ordered {
		c.touch(e.Time, e.MessageID)
		c.Flags |= e.Flags & (event.Synthetic | event.FromImport)
	}
	if e.Currency != "" {
		keep(&c.Currency, e.Currency)
	}
	fresh := len(c.Items) == 0
	if snapshot && e.Time > p.floor(c) {
		c.clear(e.Time, func(id string) bool {
			return slices.ContainsFunc(e.Products, func(d event.Product) bool { return d.ID == id })
		})
		c.cleared = e.Time
	}
	late := e.Time <= p.floor(c)
	for i := range e.Products {
		d := &e.Products[i]
		if !usable(d) {
			continue
		}
		o := op{at: e.Time, n: min(max(d.Quantity, 1), MaxQuantity)}
		var t *Item
		switch {
		case snapshot && e.Time == c.cleared && e.Time > p.Ordered:
			o.set = true
			t = p.line(c, d.ID, ch)
			t.setAt(o)
			c.Started = min(c.Started, e.Time)
		case late || !(e.Kind == event.ProductAdded || e.Kind == event.ProductRemoved):
			t = c.find(d.ID)
		default:
			if e.Kind == event.ProductRemoved {
				o.n = -o.n
				if u.o.RemoveWholeLine {
					o.n, o.set = 0, true
				}
			}
			if o.n > 0 {
				t = p.line(c, d.ID, ch)
			} else {
				t = p.line(c, d.ID, nil) // a removal puts nothing into the cart
			}
			p.Lost.CartOps += t.add(o)
			c.Started = min(c.Started, e.Time)
		}
		if t != nil {
			t.describe(d, e.Time)
		}
	}
	if len(ch.Added) > 0 {
		ch.Cart, ch.NewCart = c.ID, fresh
	}
}

func (c *Cart) touch(at int64, message string) {
	if at > c.Last || at == c.Last && message > c.LastMessage {
		c.Last = at
		keep(&c.LastMessage, message)
	}
}

func (c *Cart) find(id string) *Item {
	for i := range c.Items {
		if c.Items[i].ID == id {
			return &c.Items[i]
		}
	}
	return nil
}

// line finds or makes the line of an item. A full cart drops the line that was
// changed longest ago, a removed one first.
func (p *Person) line(c *Cart, id string, ch *Change) *Item {
	if t := c.find(id); t != nil {
		return t
	}
	if len(c.Items) >= MaxCartItems {
		old := 0
		for i := range c.Items {
			a, b := &c.Items[i], &c.Items[old]
			if c := cmp.Compare(min(a.Quantity, 1), min(b.Quantity, 1)); c < 0 || c == 0 && a.last() < b.last() {
				old = i
			}
		}
		if c.Items[old].Quantity > 0 {
			p.Lost.CartItems++
		}
		c.Items = slices.Delete(c.Items, old, old+1)
	}
	c.Items = append(c.Items, Item{ID: strings.Clone(id)})
	t := &c.Items[len(c.Items)-1]
	if ch != nil {
		ch.Added = append(ch.Added, t.ID)
	}
	return t
}

func (t *Item) last() int64 {
	if len(t.ops) == 0 {
		return 0
	}
	return t.ops[len(t.ops)-1].at
}

// add puts a change in its place and answers how many had to be left out.
func (t *Item) add(o op) uint32 {
	i, _ := slices.BinarySearchFunc(t.ops, o, compareOps)
	if i == 0 && len(t.ops) > 0 && t.ops[0].set && len(t.ops) >= MaxItemOps {
		return 1 // older than what was folded away
	}
	t.ops = slices.Insert(t.ops, i, o)
	if len(t.ops) > MaxItemOps {
		t.ops[1] = op{at: t.ops[1].at, n: foldOps(t.ops[:2]), set: true}
		t.ops = slices.Delete(t.ops, 0, 1)
	}
	t.Quantity = foldOps(t.ops)
	return 0
}

// setAt notes the quantity of a snapshot. Of two snapshots of one instant the larger
// quantity holds, whichever comes first.
func (t *Item) setAt(o op) {
	if len(t.ops) > 0 && t.ops[0].set && t.ops[0].at == o.at {
		t.ops[0].n = max(t.ops[0].n, o.n)
	} else {
		t.ops = slices.Insert(t.ops, 0, o)
	}
	t.Quantity = foldOps(t.ops)
}

func foldOps(ops []op) int32 {
	var q int32
	for _, o := range ops {
		if o.set {
			q = o.n
		} else {
			q = min(max(q+o.n, 0), MaxQuantity)
		}
	}
	return q
}

// clear forgets what was done at or before a time. Lines without a later change go,
// but for those that stay names.
func (c *Cart) clear(at int64, stays func(id string) bool) {
	c.Items = slices.DeleteFunc(c.Items, func(t Item) bool { return t.last() <= at && !stays(t.ID) })
	for i := range c.Items {
		t := &c.Items[i]
		t.ops = slices.DeleteFunc(t.ops, func(o op) bool { return o.at <= at })
		t.Quantity = foldOps(t.ops)
	}
}

// restart finds the beginning of a cart whose first part was bought.
func (c *Cart) restart(ordered int64) {
	if c.Started > ordered || len(c.Items) == 0 {
		return
	}
	c.Started = c.Last
	for i := range c.Items {
		if ops := c.Items[i].ops; len(ops) > 0 {
			c.Started = min(c.Started, ops[0].at)
		}
	}
}

// describe takes over what an event says of an item. Newer words hold over older
// ones; what was never said is filled in from any.
func (t *Item) describe(d *event.Product, at int64) {
	if d.HasPrice && (!t.HasPrice || at >= t.priced) {
		t.Price, t.HasPrice, t.priced = d.Price, true, at
	}
	newer := at >= t.named
	if newer && d.Name != "" {
		t.named = at
	}
	fill := func(to *string, from string) {
		if from != "" && (newer || *to == "") {
			keep(to, from)
		}
	}
	fill(&t.Name, d.Name)
	fill(&t.Category, d.Category)
	fill(&t.URL, d.URL)
	fill(&t.ImageURL, d.ImageURL)
}

// closeCarts empties the carts as of an order.
func (p *Person) closeCarts(ordered int64, ch *Change) {
	if ordered <= p.Ordered {
		return
	}
	p.Ordered = ordered
	for i := range p.Carts {
		c := &p.Carts[i]
		was, units := c.Open(), c.Units()
		c.clear(ordered, none)
		c.restart(ordered)
		switch {
		case was && !c.Open():
			ch.Carts = append(ch.Carts, CartChange{c.ID, CartOrdered})
		case c.Units() != units:
			ch.Carts = append(ch.Carts, CartChange{c.ID, CartChanged})
		}
	}
	p.dropBare()
}

// dropBare drops carts of which nothing is known any more.
func (p *Person) dropBare() {
	p.Carts = slices.DeleteFunc(p.Carts, func(c Cart) bool { return len(c.Items) == 0 })
}

func none(string) bool { return false }

// pruneCarts drops what can no longer matter: emptied carts and lines that are older
// than late events may be, carts of old age, and the oldest cart of too many. The cart
// named keep stays.
func (p *Person) pruneCarts(u *Updater, kept string, ch *Change) {
	late := p.Newest - u.repeat*hourMillis
	p.Carts = slices.DeleteFunc(p.Carts, func(c Cart) bool {
		if c.ID == kept {
			return false
		}
		if c.Open() && c.Last < p.Newest-u.age {
			ch.Carts = append(ch.Carts, CartChange{c.ID, CartDropped})
			p.Lost.Carts++
			return true
		}
		return !c.Open() && c.Last < late
	})
	if i, ok := p.findCart(kept); ok {
		c := &p.Carts[i]
		c.Items = slices.DeleteFunc(c.Items, func(t Item) bool { return t.Quantity == 0 && t.last() < late })
		if len(c.Items) == 0 {
			p.Carts = slices.Delete(p.Carts, i, i+1)
		}
	}
	for len(p.Carts) > MaxCarts {
		old := -1
		for i := range p.Carts {
			if p.Carts[i].ID == kept {
				continue
			}
			if old < 0 || lessKept(&p.Carts[i], &p.Carts[old]) {
				old = i
			}
		}
		if p.Carts[old].Open() {
			ch.Carts = append(ch.Carts, CartChange{p.Carts[old].ID, CartDropped})
			p.Lost.Carts++
		}
		p.Carts = slices.Delete(p.Carts, old, old+1)
	}
}

// lessKept orders carts by what is dropped first: closed ones, then the oldest.
func lessKept(a, b *Cart) bool {
	if a.Open() != b.Open() {
		return !a.Open()
	}
	return a.Last < b.Last
}

// mergeCarts joins the carts of src to those of dst.
func (p *Person) mergeCarts(u *Updater, src *Person, ch *Change) {
	for i := range src.Carts {
		s := &src.Carts[i]
		j, known := p.findCart(s.ID)
		if !known {
			p.Carts = slices.Insert(p.Carts, j, Cart{ID: s.ID, Started: s.Started, cleared: s.cleared})
		}
		c := &p.Carts[j]
		p.mergeCart(c, s)
		if c.Open() {
			ch.Carts = append(ch.Carts, CartChange{c.ID, CartChanged})
		}
	}
	p.dropBare()
	if c := p.NewestCart(); c != nil {
		p.pruneCarts(u, c.ID, ch)
	}
}

func (p *Person) mergeCart(c, s *Cart) {
	if s.Last > p.Ordered {
		c.touch(s.Last, s.LastMessage)
	}
	c.Started = min(c.Started, s.Started)
	c.Flags |= s.Flags
	if c.Currency == "" {
		c.Currency = s.Currency
	}
	if s.cleared > c.cleared {
		c.clear(s.cleared, func(id string) bool { return s.find(id) != nil })
		c.cleared = s.cleared
	}
	floor := p.floor(c)
	for i := range s.Items {
		t := &s.Items[i]
		ops := t.ops
		for len(ops) > 0 && (ops[0].at < floor || ops[0].at == floor && !(ops[0].set && floor == c.cleared && floor > p.Ordered)) {
			ops = ops[1:]
		}
		if len(ops) == 0 {
			continue
		}
		l := p.line(c, t.ID, nil) // merging puts nothing into the cart
		l.describe(&event.Product{Price: t.Price, HasPrice: t.HasPrice}, t.priced)
		l.describe(&event.Product{Name: t.Name, Category: t.Category, URL: t.URL, ImageURL: t.ImageURL}, t.named)
		for _, o := range ops {
			if o.set && o.at == floor {
				l.setAt(o)
			} else {
				p.Lost.CartOps += l.add(o)
			}
		}
	}
	c.Items = slices.DeleteFunc(c.Items, func(t Item) bool { return len(t.ops) == 0 })
	c.restart(p.Ordered)
}
