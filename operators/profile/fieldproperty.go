package profile

import (
	"math"
	"slices"
	"strings"

	"millrace/operators/event"
)

// property is something that an event says, or each product in it.
type property uint8

const (
	noProperty property = iota
	ofTotal
	ofRating
	ofItems
	ofHour
	ofWeekday
	ofTime
	ofPrice // from here on what each product has, and is a number
	ofValue
	ofQuantity
	ofItem // from here on texts of each product
	ofProduct
	ofCategory
	ofDepartment
	ofBrand
	ofCurrency // from here on texts of the event
	ofQuery
	ofSource
	ofEvent
	ofOrder
	ofCampaign
	ofLink
	propertyCount
)

var propertyNames = [propertyCount]string{
	ofTotal: "total", ofRating: "rating", ofItems: "items", ofHour: "hour", ofWeekday: "weekday", ofTime: "time",
	ofPrice: "price", ofValue: "value", ofQuantity: "quantity",
	ofItem: "item", ofProduct: "product", ofCategory: "category", ofDepartment: "department", ofBrand: "brand",
	ofCurrency: "currency", ofQuery: "query", ofSource: "source", ofEvent: "event", ofOrder: "order", ofCampaign: "campaign", ofLink: "link",
}

// FieldProperties lists what a field can be of: total (what an order or refund is
// worth), rating, items (products in the event), hour (0 to 23, UTC), weekday (0 is
// Monday), time; of each product price, value (price times quantity), quantity, item
// (its id), product (its name), category, department (the first level of the category)
// and brand; and currency, query, source, event, order, campaign and link.
func FieldProperties() []string { return slices.Clone(propertyNames[1:]) }

func propertyByName(name string) (property, bool) {
	i := slices.Index(propertyNames[:], name)
	return property(max(i, 0)), i > 0 //nolint:gosec // a small table
}

func (p property) numeric() bool { return p > noProperty && p <= ofQuantity }
func (p property) each() bool    { return p >= ofPrice && p <= ofBrand }

func (p property) kind() FieldType {
	switch {
	case p == ofTotal || p == ofPrice || p == ofValue:
		return FieldMoney
	case p == ofTime:
		return FieldTime
	case p.numeric():
		return FieldNumber
	}
	return FieldText
}

// number is what an event, or the product d of it, says; false if it says nothing.
func (p property) number(e *event.Event, d *event.Product, rates *Rates) (float64, bool) {
	switch p {
	case ofTotal:
		if !e.HasTotal && len(e.Products) == 0 {
			return 0, false
		}
		return rates.number(worth(e), e)
	case ofRating:
		return e.Rating, e.Kind == event.ProductReviewed && e.Rating > 0 && !math.IsInf(e.Rating, 0)
	case ofItems:
		return float64(len(e.Products)), true
	case ofHour:
		return float64(hourOfWeek(e.Time) % 24), true
	case ofWeekday:
		return float64(hourOfWeek(e.Time) / 24), true
	case ofTime:
		return float64(e.Time), true
	case ofPrice:
		if !d.HasPrice {
			return 0, false
		}
		return rates.number(d.Price, e)
	case ofValue:
		if !d.HasPrice {
			return 0, false
		}
		return rates.number(linePrice(d), e)
	case ofQuantity:
		return float64(d.Quantity), true
	}
	return 0, false
}

// text is what an event, or the product d of it, says; "" if it says nothing. It may
// lie in a decoder's buffer.
func (p property) text(e *event.Event, d *event.Product) string {
	switch p {
	case ofItem:
		return cut(d.ID)
	case ofProduct:
		return cut(d.Name)
	case ofCategory:
		return cut(d.Category)
	case ofDepartment:
		first, _, _ := strings.Cut(d.Category, " > ")
		return cut(first)
	case ofBrand:
		return cut(d.Brand)
	case ofCurrency:
		return cut(e.Currency)
	case ofQuery:
		return cut(e.Query)
	case ofSource:
		return cut(e.Source)
	case ofEvent:
		if e.Name != "" {
			return cut(e.Name)
		}
		return event.KindName(e.Kind)
	case ofOrder:
		return cut(e.OrderID)
	case ofCampaign:
		return cut(e.Mailing.CampaignID)
	case ofLink:
		return cut(e.Mailing.LinkURL)
	}
	return ""
}
