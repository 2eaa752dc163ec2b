package shop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"millrace/operators/event"
)

// Currency is what the simulated shop charges in.
const Currency = "EUR"

// site is where the simulated shop would stand; the domain can never exist.
const site = "https://shop.example.invalid"

// Product is one article of the simulated shop.
type Product struct {
	ID       string // "p-101"
	SKU      string // "KIT-MUG-1"
	Name     string
	Category string // "Kitchen > Mugs"
	Brand    string
	Price    event.Money // in cents
	URL      string

	index int // position in the catalogue
	shelf int
	fits  []int // products bought together with this one, best first
}

// Catalogue is the assortment of the simulated shop: 240 products on 40 shelves in 8
// categories. It is the same for every seed and safe for concurrent use.
type Catalogue struct {
	products   []Product
	shelves    []shelf
	stock      [][]int // products of a shelf
	categories []string
	byCategory [][]int // shelves of a category
	byID       map[string]int
	byShelf    map[string]int
}

// NewCatalogue builds the assortment from the shop's vocabulary.
func NewCatalogue() *Catalogue {
	c := &Catalogue{shelves: vocabulary(), byID: map[string]int{}, byShelf: map[string]int{}}
	c.stock = make([][]int, len(c.shelves))
	for i := range c.shelves {
		c.byShelf[c.shelves[i].category] = i
		top, _, _ := strings.Cut(c.shelves[i].category, " > ")
		if n := len(c.categories); n == 0 || c.categories[n-1] != top {
			c.categories = append(c.categories, top)
			c.byCategory = append(c.byCategory, nil)
		}
		last := len(c.categories) - 1
		c.byCategory[last] = append(c.byCategory[last], i)
		c.fill(i)
	}
	for i := range c.products {
		c.pair(&c.products[i])
	}
	return c
}

// fill puts the products of a shelf into the catalogue.
func (c *Catalogue) fill(at int) {
	s := c.shelves[at]
	brands := strings.Split(s.brands, ",")
	for n, text := range strings.Split(s.products, ";") {
		cut := strings.LastIndexByte(text, ' ')
		price, err := strconv.ParseFloat(text[cut+1:], 64)
		if err != nil {
			panic(fmt.Sprintf("BUG: product %q has no price", text))
		}
		name := text[:cut]
		p := Product{
			ID:       fmt.Sprintf("p-%d%02d", at+1, n+1),
			SKU:      fmt.Sprintf("%s-%s-%d", strings.ToUpper(s.category[:3]), s.code, n+1),
			Name:     name,
			Category: s.category,
			Brand:    brands[n%len(brands)],
			Price:    event.Money(price*100 + 0.5),
			URL:      site + "/p/" + slug(name),
			index:    len(c.products),
			shelf:    at,
		}
		c.byID[p.ID] = p.index
		c.stock[at] = append(c.stock[at], p.index)
		c.products = append(c.products, p)
	}
}

// pair finds what fits a product: of each complementary shelf the product at the same
// place, then the one after it.
func (c *Catalogue) pair(p *Product) {
	place := slices.Index(c.stock[p.shelf], p.index)
	names := strings.Split(c.shelves[p.shelf].with, ",")
	for next := range 2 {
		for _, name := range names {
			other, ok := c.byShelf[name]
			if !ok {
				panic(fmt.Sprintf("BUG: shelf %q names an unknown shelf %q", p.Category, name))
			}
			stock := c.stock[other]
			p.fits = append(p.fits, stock[(place+next)%len(stock)])
		}
	}
}

// slug is a name as it stands in an address.
func slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '\'', r == ',':
		default:
			if s := b.String(); s != "" && s[len(s)-1] != '-' {
				b.WriteByte('-')
			}
		}
	}
	return strings.TrimSuffix(b.String(), "-")
}

// Products returns all products in the order of the shelves. The caller must not
// change them.
func (c *Catalogue) Products() []Product { return c.products }

// Categories returns the eight top-level categories.
func (c *Catalogue) Categories() []string { return slices.Clone(c.categories) }

// ByID finds a product.
func (c *Catalogue) ByID(id string) (Product, bool) {
	i, ok := c.byID[id]
	if !ok {
		return Product{}, false
	}
	return c.products[i], true
}

// Complements returns what shoppers buy together with a product, best first; nothing
// for an unknown product. It is the truth that co-occurrence should find.
func (c *Catalogue) Complements(id string) []Product {
	i, ok := c.byID[id]
	if !ok {
		return nil
	}
	out := make([]Product, 0, len(c.products[i].fits))
	for _, f := range c.products[i].fits {
		out = append(out, c.products[f])
	}
	return out
}
