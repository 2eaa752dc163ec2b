package event

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

// stream is an unpacked file.
type stream = *bufio.Reader

// endOf is nil at the end of a file or at a row to be passed over, and err otherwise.
func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// orderWindow is how long after the first purchase row of a session others still
// belong to the same order.
const orderWindow = 10 * 60 * 1000

// rees46 reads the REES46 set: a row for each view, cart change or purchased unit.
func (im *Importer) rees46(in stream) error {
	t, err := openTable(im.file, in, formOf(im.format))
	if err != nil {
		return err
	}
	if err := t.check(); err != nil {
		return err
	}
	b := &baskets{im: im, open: map[string]*purchase{}, repeats: map[string]int{}}
	if err := im.rows(t, func() (string, string, error) { return b.row(t) }); err != nil {
		return err
	}
	return b.close(1 << 62)
}

// baskets gathers the purchase rows of sessions into orders.
type baskets struct {
	im      *Importer
	open    map[string]*purchase // by session
	queue   []*purchase
	repeats map[string]int // equal rows of the current second
	second  int64
	latest  int64
}

// row takes one row.
func (b *baskets) row(t *table) (field, reason string, err error) {
	at, _, ok := writtenTime(t.get("eventtime"))
	if !ok || at < timeMin || at >= timeMax {
		return "event_time", "is no time such as 2019-10-01 00:00:00 UTC", nil
	}
	g := good{id: t.get("productid"), brand: t.get("brand"), price: t.get("price"), quantity: 1}
	g.category = strings.ReplaceAll(t.get("categorycode"), ".", " > ")
	user, session := t.get("userid"), t.get("usersession")
	if g.id == "" {
		return "product_id", "is empty", nil
	}
	if user == "" {
		return "user_id", "is empty", nil
	}
	if g.price != "" {
		d, ok := parseDecimal(g.price)
		if _, fits := d.times(2); !ok || !fits || d.mantissa < 0 {
			return "price", "is no amount", nil
		}
		g.price = d.plainText()
	}
	b.latest = max(b.latest, at)
	name := ""
	switch t.get("eventtype") {
	case "view":
		name = "Product Viewed"
	case "cart":
		name = "Product Added"
	case "remove_from_cart":
		name = "Product Removed"
	case "purchase":
		if err := b.close(b.latest - orderWindow); err != nil { // first, so that an old order is not joined
			return "", "", err
		}
		b.purchase(session, user, g, at, t.line)
		return "", "", nil
	default:
		return "event_type", "is none of view, cart, remove_from_cart, purchase", nil
	}
	body := begin("track", name, b.id(t, at), user, "", at)
	body = append(body, `,"properties":{`...)
	if name != "Product Viewed" && session != "" {
		body = append(appendString(append(body, `"cart_id":`...), session), ',')
	}
	body = append(g.appendFields(body), '}', '}')
	if err := b.im.add(&draft{time: at, line: t.line, user: strings.Clone(user), raw: body}); err != nil {
		return "", "", err
	}
	return "", "", b.close(b.latest - orderWindow)
}

// id is the messageId of a row: equal rows of one second are told apart by counting.
func (b *baskets) id(t *table, at int64) string {
	if at != b.second {
		b.second = at
		clear(b.repeats)
	}
	key := strings.Join(t.row, "\x00")
	b.repeats[key]++
	return b.im.id("row", key, strconv.Itoa(b.repeats[key]))
}

// purchase takes a purchase row: one unit.
func (b *baskets) purchase(session, user string, g good, at int64, line int) {
	p := b.open[session]
	if p == nil || p.user != user {
		key := cmp.Or(session, user)
		p = &purchase{
			id: key + "-" + strconv.FormatInt(at/1000, 10), user: strings.Clone(user), time: at, line: line, priced: true,
		}
		p.session = strings.Clone(session)
		b.open[p.session] = p
		b.queue = append(b.queue, p)
	}
	if d, ok := parseDecimal(g.price); ok {
		cents, _ := d.times(2)
		p.cents += cents
	} else {
		p.priced = false
	}
	for i := range p.goods {
		if p.goods[i].id == g.id && p.goods[i].price == g.price {
			p.goods[i].quantity++
			return
		}
	}
	g.id, g.brand = strings.Clone(g.id), strings.Clone(g.brand)
	p.goods = append(p.goods, g)
}

// close hands on the orders that began before a time, and what is due by then.
func (b *baskets) close(before int64) error {
	n := 0
	for _, p := range b.queue {
		if p.time > before {
			break
		}
		if err := b.im.order(p); err != nil {
			return err
		}
		if b.open[p.session] == p {
			delete(b.open, p.session)
		}
		n++
	}
	b.queue = append(b.queue[:0], b.queue[n:]...)
	if b.im.options.SynthesiseCarts {
		before -= cartLead
	}
	return b.im.advance(before)
}

// clicksMax is how many clicks are sorted at once: about 200 MB. The rows of a longer
// file are sorted in pieces.
const clicksMax = 2_000_000

// click is a row of the serenade set.
type click struct {
	session, item string
	time          int64
	line          int
}

// serenade reads clicks in sessions, which the set does not sort by time. A session is
// an anonymous visitor.
func (im *Importer) serenade(in stream) error {
	t, err := openTable(im.file, in, formOf(im.format))
	if err != nil {
		return err
	}
	if err := t.check(); err != nil {
		return err
	}
	var clicks []click
	err = im.rows(t, func() (string, string, error) {
		c := click{session: strings.Clone(t.get("sessionid")), item: strings.Clone(t.get("itemid")), line: t.line}
		if c.session == "" {
			return "SessionId", "is empty", nil
		}
		if c.item == "" {
			return "ItemId", "is empty", nil
		}
		at, ok := unixTime(t.get("time"))
		if !ok || at < timeMin || at >= timeMax {
			return "Time", "is no Unix time", nil
		}
		c.time = at
		if clicks = append(clicks, c); len(clicks) < clicksMax {
			return "", "", nil
		}
		err := im.clicks(clicks)
		clicks = clicks[:0]
		return "", "", err
	})
	if err != nil {
		return err
	}
	return im.clicks(clicks)
}

// clicks yields clicks in order of time.
func (im *Importer) clicks(clicks []click) error {
	slices.SortStableFunc(clicks, func(a, b click) int {
		return cmp.Or(cmp.Compare(a.time, b.time), strings.Compare(a.session, b.session), strings.Compare(a.item, b.item))
	})
	repeat := 0
	for i := range clicks {
		c := &clicks[i]
		repeat++
		if i == 0 || clicks[i-1].time != c.time || clicks[i-1].session != c.session || clicks[i-1].item != c.item {
			repeat = 1
		}
		id := im.id("click", c.session, c.item, strconv.FormatInt(c.time, 10), strconv.Itoa(repeat))
		b := begin("track", "Product Viewed", id, "", c.session, c.time)
		b = appendString(append(b, `,"properties":{"product_id":`...), c.item)
		if err := im.put(&draft{time: c.time, line: c.line, raw: append(b, '}', '}')}); err != nil {
			return err
		}
	}
	return nil
}
