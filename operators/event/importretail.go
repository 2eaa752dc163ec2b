package event

import (
	"strconv"
	"strings"
)

// notGoods are the stock codes of the UCI Online Retail set that are no goods:
// postage, manual corrections, discounts, fees, samples.
func notGoods(code string) bool {
	switch strings.ToUpper(code) {
	case "POST", "M", "DOT", "D", "BANK CHARGES", "AMAZONFEE", "CRUK", "C2", "PADS", "S", "B":
		return true
	}
	return false
}

// catalogue reads the names of products.
func (im *Importer) catalogue(t *table) error {
	for {
		if err := t.next(); err != nil {
			return endOf(err)
		}
		code, name := t.get("stockcode"), strings.Join(strings.Fields(t.get("description")), " ")
		if code != "" && name != "" && len(im.names) < namesMax {
			im.names[strings.Clone(code)] = strings.Clone(name)
			im.stats.Names++
		}
	}
}

// namesMax bounds a catalogue: about 200 MB.
const namesMax = 2_000_000

// invoiceWindow is how long rows of one invoice may be apart, in the time of the file:
// a few invoices of the set straddle a minute.
const invoiceWindow = 60 * 60 * 1000

// retail reads the UCI Online Retail set: a row for each line of an invoice.
func (im *Importer) retail(in stream) error {
	t, err := openTable(im.file, in, formOf(im.format))
	if err != nil {
		return err
	}
	if t.isCatalogue() {
		return im.catalogue(t)
	}
	if err := t.check(); err != nil {
		return err
	}
	for _, column := range t.form.columns {
		if i, ok := t.columns[otherName(normal(column))]; ok {
			t.columns[normal(column)] = i
		}
	}
	book := &invoices{im: im, open: map[string]*purchase{}}
	if err := im.rows(t, func() (string, string, error) { return book.row(t) }); err != nil {
		return err
	}
	return book.close(1 << 62)
}

// invoices gathers the rows of invoices.
type invoices struct {
	im     *Importer
	open   map[string]*purchase
	queue  []*purchase // in the order of the file
	latest int64
}

// row takes one row.
func (b *invoices) row(t *table) (field, reason string, err error) {
	number := t.get("invoiceno")
	if number == "" {
		return "InvoiceNo", "is empty", nil
	}
	at, ok := londonTime(t.get("invoicedate"))
	if !ok {
		return "InvoiceDate", "is no date such as 2010-12-01 08:26:00", nil
	}
	code := t.get("stockcode")
	if code == "" {
		return "StockCode", "is empty", nil
	}
	quantity, err := strconv.Atoi(t.get("quantity"))
	if err != nil || quantity == 0 || quantity > 1e9 || quantity < -1e9 {
		return "Quantity", "is no whole number other than 0", nil //nolint:nilerr // a bad row, told as such
	}
	price := t.get("unitprice")
	d, ok := parseDecimal(price)
	if !ok || strings.ContainsAny(price, "eE") {
		return "UnitPrice", "is no number", nil
	}
	refund := number[0] == 'C' || number[0] == 'c'
	if refund {
		quantity = -quantity // what came back is negative in the file
	}
	line := d
	line.mantissa *= int64(quantity)
	cents, ok := line.times(2)
	if !ok || d.mantissa > moneyMax || d.mantissa < -moneyMax {
		return "UnitPrice", "is out of range", nil
	}
	p := b.invoice(number, t, at)
	p.refund = refund
	if notGoods(code) {
		b.im.stats.NotGoods++
	} else {
		p.cents += cents
		p.add(good{id: code, name: b.im.nameOf(code, t), price: price, quantity: quantity})
	}
	b.latest = max(b.latest, at)
	return "", "", b.close(b.latest - invoiceWindow)
}

// add adds a line, to an equal one if there is one: a product may stand on an invoice
// several times.
func (p *purchase) add(g good) {
	for i := range p.goods {
		if p.goods[i].id == g.id && p.goods[i].price == g.price && (p.goods[i].quantity > 0) == (g.quantity > 0) {
			p.goods[i].quantity += g.quantity
			return
		}
	}
	g.id, g.name, g.price = strings.Clone(g.id), strings.Clone(g.name), plainPrice(g.price)
	p.goods = append(p.goods, g)
}

// plainPrice is a checked decimal as JSON writes it: without needless zeros in front.
func plainPrice(s string) string {
	d, _ := parseDecimal(s)
	return d.plainText()
}

// nameOf is a product's name, from the row or from the catalogue.
func (im *Importer) nameOf(code string, t *table) string {
	if name := t.get("description"); name != "" {
		return strings.Join(strings.Fields(name), " ")
	}
	return im.names[code]
}

// invoice is the open invoice of a row.
func (b *invoices) invoice(number string, t *table, at int64) *purchase {
	p := b.open[number]
	if p != nil {
		return p
	}
	p = &purchase{id: strings.Clone(number), currency: "GBP", time: at, line: t.line, priced: true}
	// The full set was written by a spreadsheet: "17850.0".
	p.user = strings.Clone(strings.TrimSuffix(t.get("customerid"), ".0"))
	if p.user == "" {
		p.visitor = "invoice-" + p.id
	}
	b.open[p.id] = p
	b.queue = append(b.queue, p)
	return p
}

// close hands on the invoices that began before a time.
func (b *invoices) close(before int64) error {
	n := 0
	for _, p := range b.queue {
		if p.time > before {
			break
		}
		if err := b.im.order(p); err != nil {
			return err
		}
		delete(b.open, p.id)
		n++
	}
	if n == 0 {
		return nil
	}
	b.queue = append(b.queue[:0], b.queue[n:]...)
	return b.im.advance(before - cartLead)
}

// londonTime reads a local time of the United Kingdom, as "2010-12-01 08:26:00" or
// as "12/1/2010 8:26", the month first.
func londonTime(s string) (int64, bool) {
	if len(s) > 4 && s[4] != '-' {
		s = isoDate(s)
	}
	ms, zone, ok := writtenTime(s)
	if !ok || zone {
		return 0, false
	}
	return ms - summerTime(ms), true
}

// isoDate turns "12/1/2010 8:26" into "2010-12-01 08:26".
func isoDate(s string) string {
	date, clock, _ := strings.Cut(s, " ")
	part := strings.Split(date, "/")
	if len(part) != 3 || len(clock) < 4 || len(part[2]) != 4 {
		return ""
	}
	pad := func(s string) string {
		if len(s) == 1 {
			return "0" + s
		}
		return s
	}
	if clock[1] == ':' {
		clock = "0" + clock
	}
	return part[2] + "-" + pad(part[0]) + "-" + pad(part[1]) + " " + clock
}

// summerTime is what British Summer Time adds at a local time: an hour from the last
// Sunday of March, 1:00, to the last Sunday of October, 2:00 local. The rule holds
// since 1996; the hour that occurs twice is taken for summer time.
func summerTime(local int64) int64 {
	year := int64(1970)
	for days(year+1, 1, 1)*86400_000 <= local {
		year++
	}
	last := func(month int64) int64 { // midnight of the month's last Sunday
		day := days(year, month, 31)
		return (day - (day+4)%7) * 86400_000 // day 0 was a Thursday
	}
	if local >= last(3)+3600_000 && local < last(10)+2*3600_000 {
		return 3600_000
	}
	return 0
}
