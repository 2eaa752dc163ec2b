package content

import (
	"encoding/json"
	"slices"
	"strings"
)

// condition is what a subject is written for. It becomes the vector the network
// reads.
type condition struct {
	part      Part
	kind      string
	tone      Tone
	category  string // canonical, or ""
	language  string
	returning bool // has bought before
	fresh     bool // is known not to have
	last      bool // the stock of the item is known to be one
	replies   bool // answers to the mail are read by people
	value     string
	has       [slotCount]bool // the slot has a value
	want      [slotCount]bool // the slot must be used
}

// The bands of value.
const (
	valueLow  = "low"
	valueHigh = "high"
)

// features names the numbers of the vector in their order. A model is only used with
// the very list it was trained with.
func features() []string {
	var out []string
	for _, k := range Kinds() {
		out = append(out, "kind:"+k)
	}
	out = append(out, "category:")
	for _, c := range Categories() {
		out = append(out, "category:"+c)
	}
	for _, l := range languages() {
		out = append(out, "language:"+l)
	}
	out = append(out, "returning", "new", "value:low", "value:high", "last", "replies")
	for s := range slotCount {
		out = append(out, "has:"+s.String(), "want:"+s.String())
	}
	for _, p := range Parts() {
		out = append(out, "part:"+p.String())
	}
	return append(out, "tone:"+string(Calm), "tone:"+string(Playful))
}

func featureList() string {
	b, err := json.Marshal(features())
	if err != nil {
		panic("BUG: feature names are not JSON")
	}
	return string(b)
}

// vector writes the condition into out, which has as many numbers as there are
// features.
func (c condition) vector(out []float32) {
	clear(out)
	at := 0
	flag := func(on bool) {
		if on {
			out[at] = 1
		}
		at++
	}
	for _, k := range Kinds() {
		flag(k == c.kind)
	}
	flag(c.category == "")
	for _, k := range Categories() {
		flag(k == c.category)
	}
	for _, l := range languages() {
		flag(l == c.language)
	}
	flag(c.returning)
	flag(c.fresh)
	flag(c.value == valueLow)
	flag(c.value == valueHigh)
	flag(c.last)
	flag(c.replies)
	for s := range slotCount {
		flag(c.has[s])
		flag(c.want[s])
	}
	for _, p := range Parts() {
		flag(p == c.part)
	}
	flag(c.tone == Calm)
	flag(c.tone == Playful)
}

// languageOf returns the language of the corpus for a BCP 47 tag: Chinese readers get
// Chinese, all others English.
func languageOf(tag string) string {
	tag = strings.ToLower(tag)
	if tag == "zh" || strings.HasPrefix(tag, "zh-") || strings.HasPrefix(tag, "zh_") {
		return "zh"
	}
	return "en"
}

// CanonicalCategory returns which of Categories a shop's own category is, or "". Shops
// write "Kitchen > Mugs", "electronics.smartphone" or "Home & Kitchen": the first part
// that is known decides.
func CanonicalCategory(name string) string {
	name = strings.ToLower(name)
	words := strings.FieldsFunc(name, func(r rune) bool { return !wordRune(r) })
	for _, w := range words {
		if c := categoryOf(w); c != "" {
			return c
		}
	}
	return categoryOf(name)
}

// categoryOf knows the words by which shops call the categories.
func categoryOf(word string) string {
	switch strings.TrimSuffix(word, "s") {
	case "kitchen", "kitchenware", "cookware", "tableware", "dining", "厨房":
		return "Kitchen"
	case "outdoor", "camping", "hiking", "sport", "户外":
		return "Outdoor"
	case "book", "ebook", "stationery", "图书", "书籍":
		return "Books"
	case "toy", "game", "kid", "玩具":
		return "Toys"
	case "fashion", "apparel", "clothing", "clothe", "shoe", "accessorie", "服装", "时尚":
		return "Fashion"
	case "electronic", "computer", "smartphone", "appliance", "电子", "数码":
		return "Electronics"
	case "garden", "gardening", "plant", "园艺", "花园":
		return "Garden"
	case "beauty", "cosmetic", "skincare", "美妆":
		return "Beauty"
	case "gift", "present", "party", "礼物", "礼品":
		return "Gifts"
	}
	return ""
}

// categoryText is how a category is written in a mail: our own word for a known one,
// else the last level of the shop's.
func categoryText(lang, name string) string {
	c := CanonicalCategory(name)
	at := slices.Index(Categories(), c)
	if at < 0 {
		levels := strings.FieldsFunc(name, func(r rune) bool { return r == '>' || r == '/' || r == '|' })
		if len(levels) == 0 {
			return ""
		}
		return clean(levels[len(levels)-1], slotRunesMax)
	}
	if lang == "zh" {
		return []string{"厨房", "户外", "图书", "玩具", "时尚", "数码", "园艺", "美妆", "礼品"}[at]
	}
	return strings.ToLower(c)
}
