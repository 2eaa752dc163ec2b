package event

// A group is the fields of one JSON object that mean something to us. Fields are
// numbered; those not in the mask are absent whatever v holds, so that a group is
// emptied by emptying its mask.
type group struct {
	mask uint64
	v    []val
}

var absent val // never written to

// put makes room for a field, or answers nil when it is already there.
func (g *group) put(id uint8) *val {
	bit := uint64(1) << id
	if g.mask&bit != 0 {
		return nil
	}
	g.mask |= bit
	return &g.v[id]
}

// get is a field, or an absent value.
func (g *group) get(id uint8) *val {
	if g.mask>>id&1 == 0 {
		return &absent
	}
	return &g.v[id]
}

// first is the first of the fields that is there and not null.
func (g *group) first(ids ...uint8) *val {
	for _, id := range ids {
		if v := g.get(id); v.t != 0 && v.t != 'n' {
			return v
		}
	}
	return &absent
}

// none is the number of a key without meaning.
const none = 255

// The fields of an event.
const (
	eType = iota
	eMessageID
	eUserID
	eAnonymousID
	ePreviousID
	eEvent
	eTimestamp
	eOriginal
	eSentAt
	eProperties
	eTraits
	eContext
	eIntegrations
	eMerge
	eBatch
	eEnvelope
	eCount
)

func eventField(key string) uint8 {
	switch key {
	case "type":
		return eType
	case "messageId":
		return eMessageID
	case "userId":
		return eUserID
	case "anonymousId":
		return eAnonymousID
	case "previousId":
		return ePreviousID
	case "event":
		return eEvent
	case "timestamp":
		return eTimestamp
	case "originalTimestamp":
		return eOriginal
	case "sentAt":
		return eSentAt
	case "properties":
		return eProperties
	case "traits":
		return eTraits
	case "context":
		return eContext
	case "integrations":
		return eIntegrations
	case "mergeProperties":
		return eMerge
	case "batch":
		return eBatch
	case "mr":
		return eEnvelope
	}
	return none
}

// The fields of a product, in a list or among the properties.
const (
	pID = iota
	pIDCamel
	pSKU
	pAltID
	pItemID
	pName
	pItemName
	pCategory
	pCategory1
	pCategory2
	pCategory3
	pCategory4
	pCategory5
	pBrand
	pItemBrand
	pPrice
	pQuantity
	pURL
	pImageURL
	pCount
)

func productField(key string) uint8 {
	switch key {
	case "product_id":
		return pID
	case "productId":
		return pIDCamel
	case "sku":
		return pSKU
	case "id":
		return pAltID
	case "item_id":
		return pItemID
	case "name":
		return pName
	case "item_name":
		return pItemName
	case "category":
		return pCategory
	case "item_category":
		return pCategory1
	case "item_category2":
		return pCategory2
	case "item_category3":
		return pCategory3
	case "item_category4":
		return pCategory4
	case "item_category5":
		return pCategory5
	case "brand":
		return pBrand
	case "item_brand":
		return pItemBrand
	case "price":
		return pPrice
	case "quantity":
		return pQuantity
	case "url":
		return pURL
	case "image_url":
		return pImageURL
	}
	return none
}

// The fields of properties, after those of a product.
const (
	fCartID = pCount + iota
	fOrderID
	fTransactionID
	fCurrency
	fRevenue
	fSubtotal
	fTotal
	fTax
	fShipping
	fDiscount
	fValue
	fProducts
	fItems
	fQuery
	fSearchTerm
	fRating
	fReview
	fBody
	fText
	fMessage
	fEmailID
	fCampaignID
	fLinkURL
	fBounceType
	fMachine
	fCount
)

func propertyField(key string) uint8 {
	if id := productField(key); id != none {
		return id
	}
	switch key {
	case "cart_id":
		return fCartID
	case "order_id":
		return fOrderID
	case "transaction_id":
		return fTransactionID
	case "currency":
		return fCurrency
	case "revenue":
		return fRevenue
	case "subtotal":
		return fSubtotal
	case "total":
		return fTotal
	case "tax":
		return fTax
	case "shipping":
		return fShipping
	case "discount":
		return fDiscount
	case "value":
		return fValue
	case "products":
		return fProducts
	case "items":
		return fItems
	case "query":
		return fQuery
	case "search_term":
		return fSearchTerm
	case "rating":
		return fRating
	case "review_body":
		return fReview
	case "body":
		return fBody
	case "text":
		return fText
	case "message":
		return fMessage
	}
	return mailField(key)
}

func mailField(key string) uint8 {
	switch key {
	case "email_id":
		return fEmailID
	case "campaign_id":
		return fCampaignID
	case "link_url":
		return fLinkURL
	case "bounce_type":
		return fBounceType
	case "machine":
		return fMachine
	}
	return none
}

// The fields of traits. Camel and snake case of one trait have numbers of their own.
const (
	tEmail = iota
	tFirst
	tFirstSnake
	tLast
	tLastSnake
	tLocale
	tTimezone
	tMarketing
	tMarketingCamel
	tOptIn
	tOptInCamel
	tSubscribed
	tConsent
	tCount
)

func traitField(key string) uint8 {
	switch key {
	case "email":
		return tEmail
	case "firstName":
		return tFirst
	case "first_name":
		return tFirstSnake
	case "lastName":
		return tLast
	case "last_name":
		return tLastSnake
	case "locale":
		return tLocale
	case "timezone":
		return tTimezone
	case "marketing_consent":
		return tMarketing
	case "marketingConsent":
		return tMarketingCamel
	case "email_opt_in":
		return tOptIn
	case "emailOptIn":
		return tOptInCamel
	case "subscribed":
		return tSubscribed
	case "consent":
		return tConsent
	}
	return none
}

// The fields of context; traits stand in a group of their own.
const (
	cLocale = iota
	cTimezone
	cAgent
	cAgentSnake
	cActive
	cLibrary // raw, its name is looked up
	cTraits
	cCount
)

func contextField(key string) uint8 {
	switch key {
	case "locale":
		return cLocale
	case "timezone":
		return cTimezone
	case "userAgent":
		return cAgent
	case "user_agent":
		return cAgentSnake
	case "active":
		return cActive
	case "library":
		return cLibrary
	case "traits":
		return cTraits
	}
	return none
}

// The fields of integrations.
const (
	iAll = iota
	iOurs
	iCount
)

func integrationField(key string) uint8 {
	switch key {
	case "All":
		return iAll
	case "Millrace":
		return iOurs
	}
	return none
}

// fields are the parts of one event before cleaning. Both paths fill it in the same
// way; what it means is decided in clean.go alone.
type fields struct {
	event        group
	props        group
	traits       group
	context      group
	personal     group // context.traits
	integrations group
	list         []group // products of properties.products, or of items
	listOf       uint8   // fProducts or fItems: which of them is in list
}

func newFields() *fields {
	g := func(n int) group { return group{v: make([]val, n)} }
	return &fields{
		event: g(eCount), props: g(fCount), traits: g(tCount), context: g(cCount),
		personal: g(tCount), integrations: g(iCount),
	}
}

// reset empties all groups.
func (f *fields) reset() {
	f.event.mask, f.props.mask, f.traits.mask = 0, 0, 0
	f.context.mask, f.personal.mask, f.integrations.mask = 0, 0, 0
	f.list, f.listOf = f.list[:0], none
}

// product makes room for one more product.
func (f *fields) product() *group {
	if len(f.list) < cap(f.list) {
		f.list = f.list[:len(f.list)+1]
		g := &f.list[len(f.list)-1]
		g.mask = 0
		if g.v == nil { // append left room that was never used
			g.v = make([]val, pCount)
		}
		return g
	}
	f.list = append(f.list, group{v: make([]val, pCount)})
	return &f.list[len(f.list)-1]
}
