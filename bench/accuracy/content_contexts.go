package accuracy

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"millrace/operators/content"
	"millrace/operators/event"
)

// ContentContext is one mail to write, and what its subject is judged by.
type ContentContext struct {
	Request content.Request
	Person  int      // the same one gets several mails
	Limit   int      // runes of a subject
	Banned  []string // by the shop
}

// contentGoods are the things that the made-up shop sells, by category: some with names
// that are awkward to copy.
func contentGoods() map[string][]string {
	return map[string][]string{
		"Kitchen":       {"Cast Iron Pan", "Linen Tea Towel", "Salt & Pepper Mill No. 5", "铸铁锅"},
		"Outdoor":       {"Tent “Två 2.0”", "Trail Mug", "Head Torch 400 lm", "露营灯"},
		"Books":         {"Nineteen Eighty-Four", "The Price of Salt", "Bread & Butter: a cookbook", "小王子"},
		"Toys":          {"Wooden Train", "{product}", "Marble Run XL", "积木"},
		"Fashion":       {"Wool Scarf", "Loafers 42 ½", "Chef's Apron", "亚麻衬衫"},
		"Electronics":   {"Radio DAB+", "USB-C cable 2m", "$9.99 Charger", "蓝牙耳机"},
		"Garden":        {"Herb Kit", "Watering Can 5l", "Rosemary", "剪枝刀"},
		"Beauty":        {"Hand Cream", "Lip Balm SPF 30", "Soap 100% olive", "护手霜"},
		"Gifts":         {"Gift Box", "Candle", "Card “Hooray!”", "香薰蜡烛"},
		"Bicycle parts": {"Brake Cable", "Bell", "Very Long Bottom Bracket With Ceramic Bearings", "车铃"},
	}
}

// contentNames are first names; the last ones are none and must not be used.
func contentNames() []string {
	return []string{"Ada", "Jean-Luc", "O'Neil", "Zoë", "Łukasz", "李雷", "韩梅梅", "María José", "", "Win $1000!", "www.spam.example"}
}

// contentBans are words that some shops of the made-up world ban.
func contentBans() []string { return []string{"cart", "waiting", "good", "look", "等你", "好物"} }

// ContentContexts makes n contexts of people who get five mails each. A person likes two
// or three categories, buys there mostly, and has a language; the shop says how many of
// an item are left for some of them.
func ContentContexts(n int, seed uint64) []ContentContext {
	r := rand.New(rand.NewPCG(seed, 0x636f6e74))
	goods := contentGoods()
	categories := append(content.Categories(), "Bicycle parts")
	out := make([]ContentContext, 0, n)
	var interests []content.Interest
	var language, name string
	for i := range n {
		if i%5 == 0 {
			interests = contentInterests(r, categories)
			language = []string{"en-GB", "zh-CN", "de-AT", "zh", "en"}[r.IntN(5)]
			name = contentNames()[r.IntN(len(contentNames()))]
		}
		c := ContentContext{Person: i / 5, Limit: []int{60, 60, 60, 45}[r.IntN(4)]}
		if r.IntN(5) == 0 {
			c.Banned = []string{contentBans()[r.IntN(len(contentBans()))]}
		}
		kind := content.Kinds()[r.IntN(len(content.Kinds()))]
		c.Request = content.Request{
			DecisionID: fmt.Sprintf("content %d %d", seed, i), Kind: kind, Language: language, FirstName: name,
			Interests: interests, Currency: "EUR", ShopName: "Goods", ShopURL: "https://shop.example/",
			UnsubscribeURL: "https://shop.example/u", Stock: []int{0, 0, 1, 5}[r.IntN(4)],
			Returning: i%5 > 0, New: i%5 == 0,
		}
		if kind != "welcome" && kind != "win-back" {
			category := interests[drawn(r, interests)].Category
			names := goods[category]
			price := event.Money(500 + r.IntN(30000))
			c.Request.Items = []event.CartItem{{ID: "p", Name: names[r.IntN(len(names))], Category: category, Price: price, Quantity: 1}}
			c.Request.Value = price
			if kind == "price-drop" && r.IntN(2) == 0 {
				c.Request.Was = price + event.Money(100+r.IntN(3000))
			}
		} else {
			category := interests[drawn(r, interests)].Category
			names := goods[category]
			c.Request.Recommended = []event.CartItem{{ID: "q", Name: names[r.IntN(len(names))], Category: category, Price: event.Money(500 + r.IntN(30000)), Quantity: 1}}
		}
		c.Request.Tone = []content.Tone{content.AnyTone, content.AnyTone, content.Calm, content.Playful}[r.IntN(4)]
		c.demand(r)
		out = append(out, c)
	}
	return out
}

// contentInterests draws two or three categories, the first of them the strongest.
func contentInterests(r *rand.Rand, categories []string) []content.Interest {
	var out []content.Interest
	for rank, i := range r.Perm(len(categories))[:2+r.IntN(2)] {
		out = append(out, content.Interest{Category: categories[i], Weight: (0.5 + r.Float64()) / float64(int(1)<<(2*rank))})
	}
	return out
}

// drawn is the index of an interest, drawn by weight.
func drawn(r *rand.Rand, interests []content.Interest) int {
	var sum float64
	for _, i := range interests {
		sum += i.Weight
	}
	x := r.Float64() * sum
	for i := range interests {
		if x -= interests[i].Weight; x < 0 {
			return i
		}
	}
	return len(interests) - 1
}

// demand lets some contexts require a slot, or a word, that can be had.
func (c *ContentContext) demand(r *rand.Rand) {
	q := &c.Request
	switch {
	case r.IntN(5) == 0 && len(q.Items) > 0 && len([]rune(q.Items[0].Name)) <= 20:
		q.Require = []content.Slot{content.Product}
	case r.IntN(20) == 0:
		words := map[string][2]string{"cart": {"saved", "购物车"}, "price-drop": {"price", "降价"}, "welcome": {"welcome", "欢迎"}, "win-back": {"back", "回来"}}
		if w, ok := words[q.Kind]; ok {
			if q.Words = []string{w[0]}; strings.HasPrefix(q.Language, "zh") {
				q.Words = []string{w[1]}
			}
		}
	}
}
