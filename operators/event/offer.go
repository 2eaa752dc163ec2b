package event

import "encoding/json"

// Offer is that a product has become cheaper, or is back, or is so no longer, for those
// who looked at it. It counts from its position in the log.
type Offer struct {
	Item     CartItem  `json:"item"` // with what it costs now
	Currency string    `json:"currency,omitempty"`
	Price    Money     `json:"price"`
	InStock  bool      `json:"in_stock"`
	To       []OfferTo `json:"to"`
}

// OfferTo is what an offer is to one person. Times are Unix milliseconds.
type OfferTo struct {
	Person string `json:"person"` // pseudonym
	Seen   Money  `json:"seen"`   // what the product cost when the person looked
	SeenAt int64  `json:"seen_at"`
	Drop   int64  `json:"drop,omitempty"` // since when it costs less; 0: it does not
	Back   int64  `json:"back,omitempty"` // since when it is in stock again; 0: it is not
}

// offerMax bounds whom one message tells.
const offerMax = 256

// AppendOffer appends the message of an offer to dst. The offer is JSON.
func AppendOffer(dst, offer []byte) []byte {
	dst = append(dst, `{"mr":1,"kind":"offer","offer":`...)
	return append(append(dst, offer...), '}')
}

// offer reads a message that AppendOffer wrote.
func (d *Decoder) offer(dst []Record, data []byte, m map[string]json.RawMessage, o *origin) []Record {
	f := new(Offer)
	if json.Unmarshal(m["offer"], f) != nil || f.Item.ID == "" || len(f.Item.ID) > productIDMax || len(f.To) == 0 || len(f.To) > offerMax {
		return d.reject(dst, o, BadEnvelope, "the offer is unreadable", data)
	}
	for i := range f.To {
		if f.To[i].Person == "" {
			return d.reject(dst, o, BadEnvelope, "the offer is unreadable", data)
		}
	}
	return append(dst, Record{Offer: f})
}

// Fell tells whether a price is below another one by at least a share of it.
func Fell(from, to Money, share float64) bool {
	return to < from && float64(from-to) >= share*float64(from)-1e-6
}
