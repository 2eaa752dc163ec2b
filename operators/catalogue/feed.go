package catalogue

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"millrace/operators/event"
)

// Formats are the forms of feed files that Read knows.
func Formats() []string { return []string{"csv", "jsonl", "json", "google"} }

// The bounds of a feed.
const (
	maxRow   = 1 << 20   // bytes of one product
	maxDepth = 16        // nesting of XML
	maxRows  = 2_000_000 // products of one file: ids are remembered to find repeats
	maxValue = 8 << 10   // bytes of one value
	maxRaw   = 4 << 10   // bytes of a bad row that are kept
)

// ErrFeed says that a file is no feed, or not to its end.
var ErrFeed = errors.New("unreadable feed")

// FeedOptions say how a feed is read.
type FeedOptions struct {
	Format   string // one of Formats; "": what the file looks like
	Currency string // of prices that name none
	// Full says that the feed holds all there is: a product it says nothing of the stock of
	// is in stock.
	Full bool
}

// Entry is one product of a feed, or what is wrong with it.
type Entry struct {
	ID    string
	Event []byte // Product Upserted as JSON, without a time; its messageId follows from what it says
	Bad   *BadRow
}

// BadRow is a product that cannot be taken.
type BadRow struct {
	File         string
	Line, Column int
	Why          string
	Raw          []byte // as it stood, at most 4 KiB
}

// Error implements error.
func (b *BadRow) Error() string { return fmt.Sprintf("%s:%d:%d: %s", b.File, b.Line, b.Column, b.Why) }

// row is a product as its reader found it: values by field.
type row struct {
	line, column int
	values       map[string]value
	raw          []byte
	why          string // why it cannot be read at all
}

// value is a text and where it stands.
type value struct {
	text         string
	line, column int
}

// The fields of a product, by the names that feeds have for them, in order of preference.
func fieldNames() map[string][]string {
	return map[string][]string{
		"id":       {"id", "product_id", "productid", "item_id", "sku", "stockcode"},
		"name":     {"title", "name", "description"},
		"category": {"product_type", "category", "google_product_category"},
		"brand":    {"brand"},
		"price":    {"price", "unitprice"},
		"sale":     {"sale_price"},
		"was":      {"old_price", "compare_at_price"},
		"currency": {"currency"},
		"url":      {"link", "url"},
		"image":    {"image_link", "image_url", "image"},
		"in":       {"availability"},
		"stock":    {"stock", "inventory", "quantity"},
		"deleted":  {"deleted"},
	}
}

// Read reads a feed and hands its products over one by one. What is wrong with one of
// them goes with it; ErrFeed ends the reading.
func Read(name string, r io.Reader, o FeedOptions, yield func(Entry) error) error {
	b := bufio.NewReaderSize(r, 64<<10)
	if head, _ := b.Peek(3); bytes.Equal(head, []byte("\xef\xbb\xbf")) {
		_, _ = b.Discard(3)
	}
	format := o.Format
	if format == "" {
		format = looksLike(b)
	}
	f := &feed{name: name, o: o, yield: yield, ids: make(map[string]int), names: fieldNames()}
	switch format {
	case "csv":
		return f.csv(b)
	case "jsonl":
		return f.lines(b)
	case "json":
		return f.array(b)
	case "google":
		return f.google(b)
	}
	return fmt.Errorf("format %q: want one of %s", format, strings.Join(Formats(), ", "))
}

// looksLike guesses the format from the first character.
func looksLike(b *bufio.Reader) string {
	for n := 1; n <= 512; n++ {
		head, err := b.Peek(n)
		if err != nil {
			break
		}
		switch head[n-1] {
		case ' ', '\t', '\r', '\n':
			continue
		case '[':
			return "json"
		case '{':
			return "jsonl"
		case '<':
			return "google"
		}
		break
	}
	return "csv"
}

// feed is a file that is being read.
type feed struct {
	name  string
	o     FeedOptions
	yield func(Entry) error
	ids   map[string]int // to the line of the product
	names map[string][]string
}

func (f *feed) broken(line, column int, why string) error {
	return fmt.Errorf("%w: %s:%d:%d: %s", ErrFeed, f.name, line, column, why)
}

// take hands over a product, or what is wrong with it.
func (f *feed) take(r *row) error {
	e := Entry{}
	bad := func(at value, why string) {
		if e.Bad == nil {
			e.Bad = &BadRow{File: f.name, Line: max(at.line, 1), Column: max(at.column, 1), Why: why, Raw: r.raw[:min(len(r.raw), maxRaw)]}
		}
	}
	if r.why != "" {
		bad(value{line: r.line, column: r.column}, r.why)
		return f.yield(e)
	}
	p := f.properties(r, bad)
	e.ID, _ = p["product_id"].(string)
	switch first, again := f.ids[e.ID]; {
	case e.Bad != nil:
	case again:
		bad(r.get(f.names["id"]), fmt.Sprintf("id: stands on line %d already", first))
	case len(f.ids) >= maxRows:
		return f.broken(r.line, r.column, fmt.Sprintf("more than %d products", maxRows))
	default:
		f.ids[e.ID] = max(r.line, 1)
		e.Event = encodeEvent(p)
	}
	return f.yield(e)
}

// encodeEvent makes the event of properties. Its messageId is a hash of them.
func encodeEvent(p map[string]any) []byte {
	body, err := json.Marshal(p) // in the order of the keys
	if err != nil {
		panic("BUG: texts and numbers are not JSON")
	}
	sum := sha256.Sum256(body)
	raw, err := json.Marshal(map[string]any{
		"type": "track", "event": "Product Upserted", "messageId": "cat-" + hex.EncodeToString(sum[:16]), "properties": json.RawMessage(body),
	})
	if err != nil {
		panic("BUG: an event is not JSON")
	}
	return raw
}

// SoldOut is the event that says of a product that it is out of stock.
func SoldOut(id string) []byte {
	return encodeEvent(map[string]any{"product_id": id, "availability": "out of stock"})
}

func (r *row) get(names []string) value {
	for _, n := range names {
		if v, ok := r.values[n]; ok && strings.TrimSpace(v.text) != "" {
			v.text = strings.TrimSpace(v.text)
			return v
		}
	}
	return value{line: r.line, column: r.column}
}

// properties are those of the event of a product.
func (f *feed) properties(r *row, bad func(value, string)) map[string]any {
	p := make(map[string]any)
	get := func(field string) value { return r.get(f.names[field]) }
	id := get("id")
	switch {
	case id.text == "":
		bad(id, "id: missing")
	case len(id.text) > 256:
		bad(id, "id: longer than 256 bytes")
	case strings.ContainsFunc(id.text, unicode.IsControl):
		bad(id, "id: holds a control character")
	}
	p["product_id"] = id.text
	for field, property := range map[string]string{"name": "name", "category": "category", "brand": "brand", "url": "url", "image": "image_url"} {
		if v := get(field); v.text != "" {
			if len(v.text) > maxValue {
				bad(v, field+": longer than 8 KiB")
			}
			p[property] = v.text
		}
	}
	f.prices(get, p, bad)
	f.stock(get, p, bad)
	if v := get("deleted"); v.text != "" {
		switch strings.ToLower(v.text) {
		case "true", "yes", "1":
			p["deleted"] = true
		case "false", "no", "0":
		default:
			bad(v, fmt.Sprintf("deleted: got %q, want true or false", cut(v.text)))
		}
	}
	return p
}

// amounts are a number with a currency before or behind it.
var amounts = regexp.MustCompile(`^(?:([A-Za-z]{3})\s*)?([0-9]{1,12}(?:\.[0-9]{1,4})?)(?:\s*([A-Za-z]{3}))?$`)

// prices sets price, currency and what the product cost before.
func (f *feed) prices(get func(string) value, p map[string]any, bad func(value, string)) {
	currency := strings.ToUpper(get("currency").text)
	amount := func(field string) (string, bool) {
		v := get(field)
		if v.text == "" {
			return "", false
		}
		m := amounts.FindStringSubmatch(v.text)
		if m == nil || m[1] != "" && m[3] != "" {
			bad(v, fmt.Sprintf("%s: got %q, want an amount such as 12.90 EUR", field, cut(v.text)))
			return "", false
		}
		if own := strings.ToUpper(m[1] + m[3]); own != "" {
			if currency != "" && currency != own {
				bad(v, fmt.Sprintf("%s: in %s, but another amount of the product is in %s", field, own, currency))
			}
			currency = own
		}
		return m[2], true
	}
	price, has := amount("price")
	was, reduced := amount("was")
	if sale, ok := amount("sale"); ok {
		if has && !reduced {
			was, reduced = price, true
		}
		price, has = sale, true
	}
	if has {
		p["price"] = json.Number(trimZeros(price))
		p["old_price"] = json.Number("0") // a price without one is not reduced any more
	}
	if reduced {
		p["old_price"] = json.Number(trimZeros(was))
	}
	if currency = firstOf(currency, f.o.Currency); currency != "" && (has || reduced) {
		p["currency"] = currency
	}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// trimZeros makes a number JSON: without zeros before it.
func trimZeros(s string) string {
	s = strings.TrimLeft(s, "0")
	if s == "" || s[0] == '.' {
		s = "0" + s
	}
	return s
}

// stock sets how many are left, or whether there are any.
func (f *feed) stock(get func(string) value, p map[string]any, bad func(value, string)) {
	if v := get("stock"); v.text != "" {
		if !slices.Contains([]int{1, 2, 3, 4, 5, 6, 7, 8, 9}, len(v.text)) || strings.Trim(v.text, "0123456789") != "" {
			bad(v, fmt.Sprintf("stock: got %q, want a whole number", cut(v.text)))
		} else {
			p["stock"] = json.Number(trimZeros(v.text))
		}
	}
	v := get("in")
	if v.text != "" {
		if _, known := event.Available(v.text); !known {
			bad(v, fmt.Sprintf("availability: got %q, want in stock, out of stock, preorder or backorder", cut(v.text)))
		} else {
			p["availability"] = strings.ToLower(v.text)
		}
	} else if _, said := p["stock"]; f.o.Full && !said {
		p["availability"] = "in stock"
	}
}

// cut shortens what an error repeats.
func cut(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
