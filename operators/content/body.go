package content

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"html"
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/osteele/liquid"

	"millrace/operators/event"
)

//go:embed templates/*
var templateFiles embed.FS

// The limits of a body.
const (
	itemsShown       = 6         // a cart of more is summed up
	recommendedShown = 3         // a row
	itemRunes        = 90        // of an item's name
	urlBytes         = 2000      // what browsers and filters agree on
	htmlBytes        = 90 * 1000 // Gmail clips near 102 KB
)

// body renders the two parts of a mail. It does not change and is safe for concurrent
// use.
type body struct {
	html, text *liquid.Template
	words      map[string]map[string]map[string]string // by language and kind
	accent     string
}

func newBody(accent string) (*body, error) {
	if !isColour(accent) {
		return nil, fmt.Errorf("content: accent %q is not a colour of the form #rrggbb", accent)
	}
	b := &body{accent: accent}
	raw, err := templateFiles.ReadFile("templates/words.json")
	if err != nil {
		return nil, fmt.Errorf("content: read words: %w", err)
	}
	if err := json.Unmarshal(raw, &b.words); err != nil {
		return nil, fmt.Errorf("content: read words: %w", err)
	}
	e := liquid.NewEngine()
	e.StrictVariables()
	if b.html, err = parse(e, "mail.html.liquid"); err != nil {
		return nil, err
	}
	b.text, err = parse(e, "mail.txt.liquid")
	return b, err
}

func parse(e *liquid.Engine, name string) (*liquid.Template, error) {
	src, err := templateFiles.ReadFile("templates/" + name)
	if err != nil {
		return nil, fmt.Errorf("content: read template %s: %w", name, err)
	}
	t, perr := e.ParseTemplate(src)
	if perr != nil {
		return nil, fmt.Errorf("content: parse template %s: %w", name, perr)
	}
	return t, nil
}

func isColour(s string) bool {
	return len(s) == 7 && s[0] == '#' && strings.Trim(s[1:], "0123456789abcdefABCDEF") == ""
}

// write renders both parts. The subject and everything of the request is text from
// outside: it is cleaned first, and all of it escaped for the HTML part, since the
// template engine escapes nothing.
func (b *body) write(r Request, t task, d event.Draft) (htmlPart, text string, err error) {
	plain := b.bindings(r, t, &d, func(address string) string { return address })
	linked := plain
	if r.Link != nil {
		linked = b.bindings(r, t, &d, r.Link)
	}
	linked["pixel"] = webURL(r.Pixel)
	escaped, ok := escape(linked).(map[string]any)
	if !ok {
		panic("BUG: escaping changed the bindings")
	}
	// These two are ours, and the font list holds quotes.
	escaped["font"], escaped["accent"] = plain["font"], plain["accent"]
	out, rerr := b.html.RenderString(escaped)
	if rerr != nil {
		return "", "", fmt.Errorf("content: render %s mail: %w", t.cond.kind, rerr)
	}
	if len(out) > htmlBytes {
		return "", "", fmt.Errorf("content: HTML of %d bytes, at most %d", len(out), htmlBytes)
	}
	txt, rerr := b.text.RenderString(plain)
	if rerr != nil {
		return "", "", fmt.Errorf("content: render %s text: %w", t.cond.kind, rerr)
	}
	return out, txt, nil
}

// escape returns the value with every string in it escaped for HTML text and quoted
// attributes.
func escape(v any) any {
	switch v := v.(type) {
	case string:
		return html.EscapeString(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = escape(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = escape(x)
		}
		return out
	default:
		return v
	}
}

// bindings are what the templates fill in. link is asked about each address of the shop.
func (b *body) bindings(r Request, t task, d *event.Draft, link func(string) string) map[string]any {
	to := func(address string) string {
		if address = webURL(address); address == "" {
			return ""
		}
		return webURL(link(address))
	}
	lang := t.cond.language
	kind, general := b.kind(&t.cond), b.words[lang]["general"]
	design := r.Design.withDefaults()
	shop := clean(r.ShopName, 60)
	put := func(s, name, value string) string { return strings.ReplaceAll(s, name, value) }
	hello := general["hello_plain"]
	if t.values[FirstName] != "" {
		hello = put(general["hello"], "{name}", t.values[FirstName])
	}
	shopURL := to(r.ShopURL)
	target := to(r.CartURL)
	if target == "" {
		target = shopURL
	}
	items := b.cards(r, lang, r.Items, itemsShown, to)
	recommended := b.cards(r, lang, r.Recommended, design.Products, to)
	more, title := "", general["recommended_plain"]
	if n := len(r.Items) - len(items); n > 0 {
		more = put(general["more"], "{n}", strconv.Itoa(n))
	}
	if len(items) > 0 {
		title = general["recommended"]
	}
	total := ""
	if r.Value > 0 && len(r.Items) > 0 && r.Currency != "" && totalled(t.cond.kind) {
		total = FormatMoney(r.Value, r.Currency, r.Language)
	}
	return map[string]any{
		"lang": map[string]string{"en": "en", "zh": "zh-Hans"}[lang], "font": font(lang), "accent": b.accent,
		"subject": d.Subject, "preheader": cmp.Or(d.Preheader, kind["intro"]), "shop": shop, "shop_url": shopURL,
		"heading": kind["heading"], "hello": hello, "intro": d.Opening, "sentence": d.Sentence,
		"blocks": anys(design.Blocks), "hero": items[:min(len(items), 1)], "hero_size": min(len(items), 1),
		"items": items, "items_size": len(items), "more": more, "total": total,
		"button": cmp.Or(d.Action, kind["button"]), "button_url": target,
		"recommended": recommended, "recommended_size": len(recommended), "recommended_title": title,
		"rows": rowsOf(recommended),
		"why":  put(kind["why"], "{shop}", shop), "unsubscribe": webURL(r.UnsubscribeURL),
		"note": clean(r.Note, 120), "sent_by": put(general["sent_by"], "{shop}", shop),
		"profile": map[string]any{"tone": r.Mood},
		"words": map[string]any{"total": general["total"],
			"unsubscribe": general["unsubscribe"], "unsubscribe_lead": general["unsubscribe_lead"]},
	}
}

// kind are the written words of a mail.
func (b *body) kind(c *condition) map[string]string {
	words := b.words[c.language]
	kind, ok := words[c.kind]
	if !ok || c.kind == "general" {
		return words[otherKind]
	}
	return kind
}

// anys is a list as the templates take it.
func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// rowsOf puts cards into rows of three, the last one filled up with gaps.
func rowsOf(cards []any) []any {
	var out []any
	for len(cards) > 0 {
		n := min(len(cards), recommendedShown)
		out = append(out, map[string]any{"items": cards[:n], "rest": make([]any, recommendedShown-n)})
		cards = cards[n:]
	}
	return out
}

// totalled reports whether the value of a mail of this kind is the sum of its items.
func totalled(kind string) bool { return kind == "cart" || kind == "checkout" }

func font(lang string) string {
	if lang == "zh" {
		return "-apple-system,'PingFang SC','Microsoft YaHei','Noto Sans CJK SC','Noto Sans SC',sans-serif"
	}
	return "-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
}

// cards are the bindings of the first most items. to gives the address of a link.
func (b *body) cards(r Request, lang string, items []event.CartItem, most int, to func(string) string) []any {
	var out []any
	for _, it := range items[:min(len(items), most)] {
		category := categoryText(lang, it.Category)
		name := clean(it.Name, itemRunes)
		if name == "" {
			name = clean(it.ID, itemRunes)
		}
		price, sum, count := b.prices(r, lang, it)
		tint, shade := tints(CanonicalCategory(it.Category), name)
		out = append(out, map[string]any{
			"name": name, "title": glued(name), "category": capital(category), "price": price,
			"url": to(it.URL), "image": webURL(it.ImageURL), "initial": initial(category, name),
			"tint": tint, "shade": shade, "first": len(out)%recommendedShown == 0, "count": count, "sum": sum,
		})
	}
	return out
}

// prices writes what one of an item costs, what all of it do, and how many there are
// when there are several.
func (b *body) prices(r Request, lang string, it event.CartItem) (price, sum, count string) {
	if it.Quantity > 1 {
		count = b.words[lang]["general"]["quantity"] + " " + strconv.Itoa(int(it.Quantity))
	}
	if it.Price <= 0 || r.Currency == "" {
		return "", "", count
	}
	price = FormatMoney(it.Price, r.Currency, r.Language)
	if it.Quantity < 2 || it.Price > math.MaxInt64/event.Money(it.Quantity) {
		return price, price, count
	}
	return price, FormatMoney(it.Price*event.Money(it.Quantity), r.Currency, r.Language), strconv.Itoa(int(it.Quantity)) + " × " + price
}

// glued is a name whose number stays on the line of its unit, or of the word that it
// counts, when these end the name: "500 g" and "SPF 50" are one thing each.
func glued(name string) string {
	i := strings.LastIndexByte(name, ' ')
	if i <= 0 {
		return name
	}
	last := name[i+1:]
	unit := isDigit(name[i-1]) && utf8.RuneCountInString(last) <= 3
	if !unit && strings.Trim(last, "0123456789") != "" {
		return name
	}
	return name[:i] + "\u00a0" + last
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// initial is what stands in for a missing picture.
func initial(category, name string) string {
	for _, r := range category + name {
		if unicode.IsLetter(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "\u00b7"
}

// tints are the colours that stand in for a missing picture: quiet ones, the same for
// all of a category.
func tints(category, name string) (tint, shade string) {
	pairs := [...][2]string{
		{"#f3dfd0", "#9a5a2c"}, {"#d9e6d3", "#47703a"}, {"#dfdcec", "#5b5091"},
		{"#f8e3b8", "#94690f"}, {"#f1d9df", "#96415a"}, {"#d5e3ee", "#33648c"},
		{"#d3e8dd", "#23735a"}, {"#f4dcec", "#93407f"}, {"#f6d9d2", "#a1442f"}, {"#e3e1da", "#67625a"},
	}
	for i, c := range Categories() {
		if c == category {
			return pairs[i][0], pairs[i][1]
		}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	p := pairs[h.Sum32()%uint32(len(pairs))]
	return p[0], p[1]
}

// webURL returns an address that may stand in a link, or "": http or https, with a
// host, without user names, of a sane length.
func webURL(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > urlBytes || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r)
	}) {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return u.String()
}
