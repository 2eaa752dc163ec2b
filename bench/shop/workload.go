package shop

import (
	"cmp"
	"iter"
	"math"
	"time"

	"millrace/operators/event"
)

// WorkloadOptions of a Workload. The zero value works.
type WorkloadOptions struct {
	Seed   uint64
	Events int           // how many messages
	Users  int           // at most 10,000,000
	Items  int           // at most 10,000,000
	Zipf   float64       // exponent of the popularity of users and of items; negative: all alike
	Start  time.Time     // time of the first event
	Step   time.Duration // event time between two messages, in whole milliseconds
	Mix    Mix
}

// Mix is how many of a thousand events are of a kind; the rest are searches, cart views
// and identify calls in parts of 3, 1 and 2. The zero value is 800, 120, 20, 30.
type Mix struct{ Views, Adds, Removes, Orders uint64 }

func (o WorkloadOptions) withDefaults() WorkloadOptions {
	const most = 10_000_000                               // the tables of popularity take 12 bytes each
	o.Events = cmp.Or(max(o.Events, 0), 1_000_000)        // "per million events"
	o.Users = min(cmp.Or(max(o.Users, 0), 100_000), most) // ten events each: caches are not warm by luck
	o.Items = min(cmp.Or(max(o.Items, 0), 10_000), most)  // a middle-sized shop
	o.Zipf = max(cmp.Or(o.Zipf, 0.8), 0)                  // between books (0.7) and news (1.0)
	o.Step = max(cmp.Or(o.Step, 10*time.Millisecond), 0)  // 100 events a second
	if o.Mix == (Mix{}) {
		o.Mix = Mix{Views: 800, Adds: 120, Removes: 20, Orders: 30} // what shops report, roughly
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	}
	return o
}

// Workload makes single-event messages of about 250 bytes with canonical fields. A
// message costs a few hundred nanoseconds and no allocation. The same options give the
// same bytes. It is used by one goroutine at a time.
type Workload struct {
	options WorkloadOptions
	dice    dice
	users   popularity
	items   popularity
	next    int
	orders  int
}

// NewWorkload prepares a workload.
func NewWorkload(o WorkloadOptions) *Workload {
	w := &Workload{options: o.withDefaults()}
	w.users = newPopularity(w.options.Users, w.options.Zipf)
	w.items = newPopularity(w.options.Items, w.options.Zipf)
	w.Reset()
	return w
}

// Reset goes back to the first message.
func (w *Workload) Reset() {
	w.dice = *newDice(w.options.Seed, hashText("workload"))
	w.next, w.orders = 0, 0
}

// Next appends the next message to dst, and tells whether there was one.
func (w *Workload) Next(dst []byte) (msg []byte, ok bool) {
	if w.next >= w.options.Events {
		return dst, false
	}
	at := w.options.Start.UnixMilli() + int64(w.next)*millis(w.options.Step)
	w.next++
	user := w.users.draw(&w.dice)
	j := wire{b: append(dst, `{"type":"`...)}
	kind := w.kind()
	if kind == event.Identify {
		j.b = append(j.b, `identify","userId":"u-`...)
		j.b = append(appendDigits(j.b, user, 7), '"')
		w.traits(&j, user)
	} else {
		j.b = append(j.b, `track","userId":"u-`...)
		j.b = append(appendDigits(j.b, user, 7), `","event":"`...)
		j.b = append(append(j.b, eventName(kind)...), `","properties":{`...)
		w.properties(&j, kind, user)
		j.close()
	}
	j.b = append(j.b, `,"timestamp":"`...)
	j.b = appendTime(j.b, at)
	j.b = append(j.b, `","messageId":"w-`...)
	j.b = appendHex(j.b, w.options.Seed, 16)
	j.b = append(appendDigits(append(j.b, '-'), w.next, 9), '"', '}')
	return j.b, true
}

// All yields the messages from the first on. The bytes are valid until the next one.
func (w *Workload) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		w.Reset()
		buffer := make([]byte, 0, 1024)
		for {
			msg, ok := w.Next(buffer[:0])
			if !ok || !yield(msg) {
				return
			}
			buffer = msg
		}
	}
}

// kind draws what happens.
func (w *Workload) kind() event.Kind {
	m := &w.options.Mix
	u := w.dice.Uint64() % 1000
	for _, k := range [...]struct {
		n    uint64
		kind event.Kind
	}{
		{m.Views, event.ProductViewed}, {m.Adds, event.ProductAdded}, {m.Orders, event.OrderCompleted}, {m.Removes, event.ProductRemoved},
	} {
		if u < k.n {
			return k.kind
		}
		u -= k.n
	}
	rest := max(1000-m.Views-m.Adds-m.Orders-m.Removes, 1)
	switch {
	case u*6 < rest*3:
		return event.ProductsSearched
	case u*6 < rest*4:
		return event.CartViewed
	default:
		return event.Identify
	}
}

func (w *Workload) traits(j *wire, user int) {
	j.b = append(j.b, `,"traits":{"email":"u`...)
	j.b = append(appendDigits(j.b, user, 7), `@example.invalid","firstName":"Kim","lastName":"Example"`...)
	j.flag("marketing_consent", user%5 != 0)
	j.close()
}

func (w *Workload) properties(j *wire, kind event.Kind, user int) {
	switch kind {
	case event.ProductsSearched:
		j.b = append(j.b, `"query":"item `...)
		j.b = append(appendDigits(j.b, w.items.draw(&w.dice), 6), '"')
	case event.OrderCompleted:
		w.orders++
		j.b = append(j.b, `"order_id":"o-`...)
		j.b = append(appendDigits(j.b, w.orders, 9), '"')
		sum := w.products(j)
		j.money("revenue", sum)
		j.text("currency", Currency)
	case event.CartViewed:
		w.cart(j, user)
		w.products(j)
	case event.ProductAdded, event.ProductRemoved:
		w.cart(j, user)
		w.product(j, 1)
	default:
		w.product(j, 0)
		j.text("currency", Currency)
	}
}

func (w *Workload) cart(j *wire, user int) {
	j.b = append(j.b, `"cart_id":"ct-`...)
	j.b = append(appendDigits(j.b, user, 7), '"')
}

// products writes one to three products and returns what they cost.
func (w *Workload) products(j *wire) (sum event.Money) {
	j.openList("products")
	for range 1 + w.dice.below(3) {
		quantity := 1 + w.dice.below(2)
		j.open("")
		sum += w.product(j, quantity) * event.Money(quantity)
		j.close()
	}
	j.closeList()
	return sum
}

// product writes a product and returns its price, which depends on nothing but the
// product.
func (w *Workload) product(j *wire, quantity int) event.Money {
	item := w.items.draw(&w.dice)
	price := event.Money(199 + mix(uint64(item))%9800)
	j.key("")
	j.b = append(j.b, `"product_id":"i-`...)
	j.b = append(appendDigits(j.b, item, 6), `","name":"Item `...)
	j.b = append(appendDigits(j.b, item, 6), `","category":"C`...)
	j.b = append(appendDigits(j.b, item%8, 1), ` > S`...)
	j.b = append(appendDigits(j.b, item%40, 2), '"')
	j.money("price", price)
	if quantity > 0 {
		j.count("quantity", quantity)
	}
	return price
}

// popularity draws from 0 … n-1 with probability proportional to 1/(k+1)^s, in constant
// time: the alias method (Walker, 1977; Vose, 1991).
type popularity struct {
	keep  []float64 // probability to stay at the place drawn
	other []int32   // else go there
}

func newPopularity(n int, s float64) popularity {
	p := popularity{keep: make([]float64, n), other: make([]int32, n)}
	sum := 0.0
	for k := range p.keep {
		p.keep[k] = math.Pow(float64(k+1), -s)
		sum += p.keep[k]
	}
	small, large := make([]int32, 0, n), make([]int32, 0, n)
	for k := range p.keep {
		p.keep[k] *= float64(n) / sum
		if p.keep[k] < 1 {
			small = append(small, int32(k))
		} else {
			large = append(large, int32(k))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		low, high := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		p.other[low] = high
		if p.keep[high] -= 1 - p.keep[low]; p.keep[high] < 1 {
			large = large[:len(large)-1]
			small = append(small, high)
		}
	}
	for _, k := range append(small, large...) {
		p.keep[k] = 1 // what is left differs from 1 by rounding only
	}
	return p
}

func (p *popularity) draw(d *dice) int {
	u := d.unit() * float64(len(p.keep))
	k := int(u)
	if u-float64(k) < p.keep[k] {
		return k
	}
	return int(p.other[k])
}
