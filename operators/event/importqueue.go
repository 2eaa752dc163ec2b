package event

import (
	"container/heap"
	"strconv"
	"time"
)

// draft is an event on its way out of an importer.
type draft struct {
	time  int64
	line  int
	order int // of drafts of one time
	user  string
	flags Flags
	raw   []byte
	item  Item
}

// queue sorts drafts by time, as far as they are held back.
type queue struct {
	heap  draftHeap
	count int
}

type draftHeap []*draft

// Len, Less, Swap, Push and Pop are for container/heap.
func (h draftHeap) Len() int      { return len(h) }
func (h draftHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *draftHeap) Push(x any)   { *h = append(*h, x.(*draft)) }
func (h draftHeap) Less(i, j int) bool {
	if h[i].time != h[j].time {
		return h[i].time < h[j].time
	}
	return h[i].order < h[j].order
}

func (h *draftHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}

// queueMax bounds the drafts that are held back; when there are more, the oldest goes.
const queueMax = 200_000

// add holds a draft back.
func (im *Importer) add(d *draft) error {
	im.queue.count++
	d.order = im.queue.count
	heap.Push(&im.queue.heap, d)
	if len(im.queue.heap) > queueMax {
		return im.put(heap.Pop(&im.queue.heap).(*draft))
	}
	return nil
}

// advance yields what is due up to a time: nothing older is expected any more.
func (im *Importer) advance(until int64) error {
	for len(im.queue.heap) > 0 && im.queue.heap[0].time <= until {
		if err := im.put(heap.Pop(&im.queue.heap).(*draft)); err != nil {
			return err
		}
	}
	return nil
}

// drain yields all that is left.
func (im *Importer) drain() error {
	for len(im.queue.heap) > 0 {
		if err := im.put(heap.Pop(&im.queue.heap).(*draft)); err != nil {
			return err
		}
	}
	return nil
}

// begin writes the common fields of an event, up to where more may follow.
func begin(call, name, id, user, visitor string, at int64) []byte {
	b := make([]byte, 0, 384)
	b = append(append(append(b, `{"type":"`...), call...), '"')
	if name != "" {
		b = append(append(append(b, `,"event":"`...), name...), '"')
	}
	b = append(append(append(b, `,"messageId":"`...), id...), '"')
	if user != "" {
		b = appendString(append(b, `,"userId":`...), user)
	}
	if visitor != "" {
		b = appendString(append(b, `,"anonymousId":`...), visitor)
	}
	b = append(b, `,"timestamp":"`...)
	b = time.UnixMilli(at).UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	return append(b, '"')
}

// good is a product in a file. Its price is the file's text, a checked decimal.
type good struct {
	id, name, category, brand, price string
	quantity                         int
}

// appendFields appends the members of a product.
func (g *good) appendFields(b []byte) []byte {
	b = appendString(append(b, `"product_id":`...), g.id)
	for _, s := range []struct{ name, value string }{{"name", g.name}, {"category", g.category}, {"brand", g.brand}} {
		if s.value != "" {
			b = append(append(append(b, ',', '"'), s.name...), '"', ':')
			b = appendString(b, s.value)
		}
	}
	if g.price != "" {
		b = append(append(b, `,"price":`...), g.price...)
	}
	return strconv.AppendInt(append(b, `,"quantity":`...), int64(g.quantity), 10)
}

// purchase is an order of a file.
type purchase struct {
	id       string
	user     string
	visitor  string
	currency string
	refund   bool
	time     int64
	line     int
	cents    int64 // revenue in hundredths
	priced   bool
	goods    []good
	session  string // rees46
}

// order holds back the event of an order, and the carts synthesised for it.
func (im *Importer) order(p *purchase) error {
	name := "Order Completed"
	if p.refund {
		name = "Order Refunded"
		im.stats.Refunds++
	} else {
		im.stats.Orders++
		if im.options.SynthesiseCarts {
			if err := im.carts(p); err != nil {
				return err
			}
		}
	}
	if p.user == "" {
		im.stats.Anonymous++
	}
	b := begin("track", name, im.id("order", p.id), p.user, p.visitor, p.time)
	b = appendString(append(b, `,"properties":{"order_id":`...), p.id)
	if p.currency != "" {
		b = appendString(append(b, `,"currency":`...), p.currency)
	}
	if p.priced {
		b = appendCents(append(b, `,"revenue":`...), p.cents)
	}
	b = append(b, `,"products":[`...)
	for i := range p.goods {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(p.goods[i].appendFields(append(b, '{')), '}')
	}
	return im.add(&draft{time: p.time, line: p.line, user: p.user, raw: append(b, ']', '}', '}')})
}

// appendCents appends hundredths as a decimal.
func appendCents(b []byte, cents int64) []byte {
	if cents < 0 {
		b = append(b, '-')
		cents = -cents
	}
	b = append(strconv.AppendInt(b, cents/100, 10), '.')
	return append(b, byte('0'+cents%100/10), byte('0'+cents%10))
}
