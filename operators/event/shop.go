package event

import "strings"

// pricing is how the numbers of an event become money.
type pricing struct {
	currency string
	places   int  // digits of the minor unit, or 0 when prices are in minor units already
	bad      bool // a number could not be read
}

// amount reads an amount. It answers false when there is none; a broken one is noted.
func (p *pricing) amount(v *val) (Money, bool) {
	d, sign, ok := p.decimal(v)
	if !ok {
		return 0, false
	}
	m, ok := d.times(p.places)
	if !ok || !agrees(sign, p.currency) {
		p.bad = true
		return 0, false
	}
	return Money(m), true
}

// decimal reads a number, or a text that can only mean one.
func (p *pricing) decimal(v *val) (d decimal, sign string, ok bool) {
	switch v.t {
	case 0, 'n':
		return d, "", false
	case '0':
		d, ok = parseDecimal(v.s)
	case '"':
		if v.s == "" {
			return d, "", false
		}
		d, sign, ok = parseLoose(v.s)
	}
	if !ok {
		p.bad = true
	}
	return d, sign, ok
}

// properties sets what the properties of a track event say.
func (d *Decoder) properties(e *Event, f *fields, o *origin, ga4 bool) {
	if v := f.event.get(eProperties); v.t != 0 && v.t != 'n' && v.t != '{' {
		e.Flags |= PropsWrapped
		if f.props.mask == 0 {
			*f.props.put(fValue) = *v
		}
	}
	if f.props.mask == 0 {
		return
	}
	p := pricing{}
	p.currency = e.currency(f, o)
	e.Currency = p.currency
	if !o.options.MinorUnits {
		p.places = Exponent(p.currency)
	}
	e.CartID = idText(f.props.get(fCartID), &e.Flags)
	e.OrderID = idText(f.props.first(fOrderID, fTransactionID), &e.Flags)
	d.products(e, f, &p)
	if e.Kind.isOrder() {
		e.Total, e.HasTotal = orderTotal(e, f, &p, ga4)
	}
	switch {
	case e.Kind == ProductsSearched:
		e.Query = freeText(f.props.first(fQuery, fSearchTerm), &e.Flags)
	case e.Kind == ProductReviewed:
		e.Review = freeText(f.props.get(fReview), &e.Flags)
		e.rating(f.props.get(fRating), &p)
	case e.Kind == MessageReceived:
		e.Review = freeText(f.props.first(fBody, fText, fMessage), &e.Flags)
	case e.Kind == EmailReplied:
		e.Review = freeText(f.props.first(fBody, fText, fMessage), &e.Flags)
		e.mailing(f)
	case e.Kind.isMail():
		e.mailing(f)
	}
	if p.bad {
		e.Flags |= NumberBad
	}
}

// currency is the currency of an event: its own, else that of a sign at one of its
// amounts, else that of its source.
func (e *Event) currency(f *fields, o *origin) string {
	if v := f.props.get(fCurrency); v.t == '"' {
		if code := currencyCode(cleanText(v, &e.Flags)); code != "" {
			return code
		}
	}
	if o.options.Currency != "" {
		return o.options.Currency
	}
	for _, id := range []uint8{fRevenue, fSubtotal, fTotal, fValue, pPrice} {
		if v := f.props.get(id); v.t == '"' {
			if _, sign, ok := parseLoose(v.s); ok && sign != "" {
				return currencyCode(sign)
			}
		}
	}
	return ""
}

// freeText is text that people typed: it may hold the number of a card.
func freeText(v *val, flags *Flags) string {
	if v.t == 0 || v.t == 'n' {
		return ""
	}
	return maskCards(cleanText(v, flags))
}

// ratingMax bounds a rating: stars, points or percent.
const ratingMax = 1000

// rating sets the rating of a review, which the specification sends as a text.
func (e *Event) rating(v *val, p *pricing) {
	d, sign, ok := p.decimal(v)
	if !ok {
		return
	}
	if r, ok := d.float(); ok && sign == "" && r >= 0 && r <= ratingMax {
		e.Rating = r
		return
	}
	p.bad = true
}

// mailing sets what an e-mail event says of its mail.
func (e *Event) mailing(f *fields) {
	e.Mailing.EmailID = idText(f.props.get(fEmailID), &e.Flags)
	e.Mailing.CampaignID = idText(f.props.get(fCampaignID), &e.Flags)
	e.Mailing.LinkURL = webURL(f.props.get(fLinkURL), &e.Flags)
	e.Mailing.Machine = f.props.get(fMachine).t == 't'
	if v := f.props.get(fBounceType); v.t == '"' {
		switch kind := strings.ToLower(strings.TrimSpace(v.s)); kind {
		case "hard", "soft", "block":
			e.Mailing.BounceType = kind
		}
	}
}

// orderTotal is the money base of an order: revenue, else subtotal, else total without
// tax and shipping, else the sum over its products less the discount. GA4 calls its
// revenue value, and its prices are already discounted.
func orderTotal(e *Event, f *fields, p *pricing, ga4 bool) (Money, bool) {
	bases := []uint8{fRevenue, fSubtotal}
	if ga4 || e.Kind == CheckoutStarted {
		bases = []uint8{fRevenue, fSubtotal, fValue}
	}
	for _, id := range bases {
		if m, ok := p.amount(f.props.get(id)); ok {
			return m, true
		}
	}
	if m, ok := p.amount(f.props.get(fTotal)); ok {
		tax, taxOK := p.part(f.props.get(fTax))
		shipping, shippingOK := p.part(f.props.get(fShipping))
		if taxOK && shippingOK {
			return m - tax - shipping, true
		}
	}
	sum := Money(0)
	for i := range e.Products {
		product := &e.Products[i]
		if !product.HasPrice {
			return 0, false
		}
		line := product.Price * Money(product.Quantity)
		if product.Returned {
			line = -line
		}
		sum += line
	}
	discount, ok := p.part(f.props.get(fDiscount))
	if ga4 {
		discount = 0
	}
	return sum - discount, ok && len(e.Products) > 0
}

// part is an amount that counts as nothing when it is missing, but not when it is bad.
func (p *pricing) part(v *val) (Money, bool) {
	if v.t == 0 || v.t == 'n' {
		return 0, true
	}
	return p.amount(v)
}

// products sets the products of an event: the one among its properties, or its list.
func (d *Decoder) products(e *Event, f *fields, p *pricing) {
	own := f.props.first(pID, pIDCamel, pSKU, pAltID, pItemID)
	list := f.props.first(fProducts, fItems)
	if own.t != 0 && (e.Kind.isProduct() || list.t == 0) {
		d.room(e, 1)
		e.product(&f.props, p)
		if product := len(e.Products); product == 1 && e.Kind.isProduct() {
			e.priceFromValue(f, p)
		}
		return
	}
	switch list.t {
	case '"': // a list, or one product, as JSON in a string
		f.list = f.list[:0]
		if text := strings.TrimSpace(list.s); len(text) <= MaxEvent && valid([]byte(text)) {
			slowList(f, text)
		}
		if len(f.list) == 0 && strings.TrimSpace(list.s) != "" {
			e.Flags |= ProductBad
		}
	case '{': // one product
		f.list = f.list[:0]
		slowList(f, list.s)
	case '[':
	case 0:
		if e.Kind.isProduct() && own.t == 0 {
			e.Flags |= ProductBad
		}
		return
	default:
		e.Flags |= ProductBad
		return
	}
	d.room(e, len(f.list))
	for i := range f.list {
		e.product(&f.list[i], p)
	}
}

// slowList fills the list of products from one product or a list.
func slowList(f *fields, text string) {
	if strings.HasPrefix(text, "[") {
		slowProducts(f, []byte(text))
	} else if strings.HasPrefix(text, "{") {
		slowGroup(f.product(), []byte(text), productField)
	}
}

// quantityMax is the largest quantity that is believed.
const quantityMax = 10_000

// product adds the product of g, unless it has no id.
func (e *Event) product(g *group, p *pricing) {
	id := ""
	for _, field := range []uint8{pID, pIDCamel, pSKU, pAltID, pItemID} {
		if id = idText(g.get(field), &e.Flags); id != "" {
			break
		}
	}
	if id == "" {
		e.Flags |= ProductBad
		return
	}
	e.Products = append(e.Products, Product{ID: id, Quantity: 1})
	product := &e.Products[len(e.Products)-1]
	product.Name = shortText(g.first(pName, pItemName), &e.Flags)
	product.Brand = shortText(g.first(pBrand, pItemBrand), &e.Flags)
	product.Category = category(g, &e.Flags)
	product.URL = webURL(g.get(pURL), &e.Flags)
	product.ImageURL = webURL(g.get(pImageURL), &e.Flags)
	if m, ok := p.amount(g.get(pPrice)); ok {
		if m < 0 {
			p.bad = true
		} else {
			product.Price, product.HasPrice = m, true
		}
	}
	e.quantity(product, g.get(pQuantity))
}

// quantity sets the quantity of a product. A negative one on an order means that the
// units came back.
func (e *Event) quantity(product *Product, v *val) {
	if v.t == 0 || v.t == 'n' {
		return
	}
	p := pricing{}
	d, sign, ok := p.decimal(v)
	n := int64(0)
	if ok && sign == "" {
		n, _ = d.whole()
	}
	if n < 0 && e.Kind.isOrder() {
		product.Returned = true
		n = -n
	}
	if n < 1 || n > quantityMax {
		e.Flags |= QuantityBad
		n = 1
	}
	product.Quantity = int32(n) //nolint:gosec // at most quantityMax
}

// priceFromValue takes the price from value, which is price × quantity, when a product
// event has no price of its own.
func (e *Event) priceFromValue(f *fields, p *pricing) {
	product := &e.Products[0]
	if product.HasPrice || f.props.first(pPrice).t != 0 {
		return
	}
	m, ok := p.amount(f.props.get(fValue))
	if ok && m >= 0 && m%Money(product.Quantity) == 0 {
		product.Price, product.HasPrice = m/Money(product.Quantity), true
	}
}

// shortText is a text of a product, or "".
func shortText(v *val, flags *Flags) string {
	if v.t != '"' {
		return ""
	}
	return cleanText(v, flags)
}

// category is the path of categories, which GA4 sends level by level.
func category(g *group, flags *Flags) string {
	if v := g.get(pCategory); v.t == '"' {
		return cleanText(v, flags)
	}
	path := shortText(g.get(pCategory1), flags)
	if path == "" {
		return ""
	}
	var pathSb322 strings.Builder
	for id := uint8(pCategory2); id <= pCategory5; id++ {
		if level := shortText(g.get(id), flags); level != "" {
			pathSb322.WriteString(" > " + level)
		}
	}
	path += pathSb322.String()
	return path
}
