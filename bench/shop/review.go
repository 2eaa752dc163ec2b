package shop

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"millrace/operators/event"
)

// review writes about a product. The tone is good in about seven of ten cases and bad
// in two; the rating follows the tone.
func (v *visit) review(product int) {
	p := &v.s.stock.products[product]
	tone := v.dice.weighted([]float64{0.68, 0.14, 0.18})
	rating := [3]int{5, 3, 1}[tone]
	switch {
	case tone == 0 && v.dice.chance(0.35):
		rating = 4
	case tone == 2 && v.dice.chance(0.45):
		rating = 2
	}
	texts := reviews(v.p.language(), tone)
	body := strings.ReplaceAll(texts[v.dice.below(len(texts))], "{product}", p.Name)
	v.p.reviewed++
	w := v.track(event.ProductReviewed)
	w.text("product_id", p.ID)
	w.text("review_id", fmt.Sprintf("r-%s-%d", v.p.UserID[2:], v.p.reviewed))
	w.text("review_body", body)
	w.text("rating", strconv.Itoa(rating))
	w.close()
	v.end(event.ProductReviewed, w)
}

// reviewOld reviews something bought earlier, perhaps before the simulation began.
func (v *visit) reviewOld() {
	product := v.last
	if n := len(v.p.owned); n > 0 {
		product = v.p.owned[v.dice.below(n)]
	}
	v.review(product)
	v.pause(30*time.Second, 2*time.Minute)
}

// reviews are the texts of a language: good (0), mixed (1) and bad (2).
func reviews(language string, tone int) []string {
	switch language {
	case "zh":
		return [3][]string{{
			"非常满意，质量比想象中好，物流也快。", "{product} 很好用，已经推荐给朋友了。", "做工精细，包装用心，会回购。", "送给妈妈的，她特别喜欢！", "颜色和图片一样，手感很棒。",
		}, {
			"还可以，价格有点贵。", "东西一般，没有惊喜也没有失望。", "质量不错，但是发货太慢了。",
		}, {
			"用了两天就坏了，很失望。", "和描述不符，已申请退货。", "{product} 做工粗糙，不值这个价。", "包装破损，客服也不回复。",
		}}[tone]
	case "de":
		return [3][]string{{
			"Genau wie beschrieben, sehr gute Qualität.", "{product}: jeden Cent wert, gerne wieder!", "Schnell geliefert, schön verpackt, wir sind begeistert.",
			"Benutze ich seit Wochen täglich und bin rundum zufrieden.",
		}, {
			"Ganz in Ordnung, für den Preis hätte ich mehr erwartet.", "Gutes Produkt, aber die Lieferung hat über eine Woche gedauert.", "Tut, was es soll. Mehr nicht.",
		}, {
			"Nach drei Tagen kaputt, leider sehr enttäuscht.", "{product} sieht billig aus und riecht streng. Geht zurück.", "Falsche Farbe geliefert, und der Kundendienst meldet sich nicht.",
		}}[tone]
	default:
		return [3][]string{{
			"Exactly what I was looking for. Well made and arrived in two days.", "{product} is lovely, even better than in the pictures.",
			"Bought it as a gift and ended up ordering a second one for myself!", "Great quality for the price, I use it every single day.",
			"Not cheap, but worth it. I have not regretted it for a moment.", "Five stars. My kids fight over it, which says it all.", "Simple, sturdy and beautiful. Would buy again.",
		}, {
			"It does the job, nothing more and nothing less.", "Good product, but delivery took far too long.", "Nice enough, though smaller than I expected.",
			"Decent quality. The colour is a bit different from the photo.",
		}, {
			"Broke after three days. Very disappointed.", "{product} looks cheap and smells of plastic. Sending it back.",
			"Wrong item delivered, and nobody answers my mails.", "Not what was described. I want my money back.", "I really wanted to like it, but it is useless.",
		}}[tone]
	}
}
