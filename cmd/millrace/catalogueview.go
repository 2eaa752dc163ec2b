package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/console"
	"millrace/engine"
	"millrace/operators/catalogue"
	"millrace/operators/event"
)

// productView is what the catalogue says of a product, as shown.
type productView struct {
	ID       string      `json:"id"`
	Name     string      `json:"name,omitempty"`
	Category string      `json:"category,omitempty"`
	Brand    string      `json:"brand,omitempty"`
	Price    string      `json:"price,omitempty"`
	Was      string      `json:"was,omitempty"` // before a reduction
	InStock  bool        `json:"in_stock"`
	Left     int         `json:"left,omitempty"` // how many, where the shop says
	Deleted  bool        `json:"deleted,omitempty"`
	URL      string      `json:"url,omitempty"`
	ImageURL string      `json:"image_url,omitempty"`
	Said     time.Time   `json:"said"` // when the catalogue spoke of it last
	Prices   []priceView `json:"prices,omitempty"`
}

type priceView struct {
	At    time.Time `json:"at"`
	Price string    `json:"price"`
}

// productsView is a page of the catalogue.
type productsView struct {
	Total    int           `json:"total"`
	Products []productView `json:"products"`
}

func viewProduct(id string, p *catalogue.Product) *productView {
	out := &productView{
		ID: id, Name: p.Name(), Category: p.Category(), Brand: p.Brand(), InStock: p.InStock(), Left: p.Left(), Deleted: p.Deleted(),
		URL: p.URL(), ImageURL: p.ImageURL(), Said: when(p.Newest),
	}
	if price, ok := p.Price(); ok {
		out.Price = money(price, p.Currency())
	}
	if was := p.Was(); was > 0 {
		out.Was = money(was, p.Currency())
	}
	return out
}

// product answers what the catalogue says of one product.
func (a *answers) product(v *engine.View, id string) (*productView, error) {
	p, known, err := a.pipeline.Product(v, id)
	if err != nil {
		return nil, err
	}
	if !known || !p.Known() {
		return nil, errNotFound
	}
	out := viewProduct(id, &p)
	for _, q := range p.Prices() {
		out.Prices = append(out.Prices, priceView{when(q.At), money(event.Money(q.Value), p.Currency())})
	}
	return out, nil
}

// listedProduct is product, or nil for one that is not in the catalogue.
func (a *answers) listedProduct(v *engine.View, id string) (*productView, error) {
	p, known, err := a.pipeline.Product(v, id)
	if err != nil || !known || !p.Known() {
		return nil, err
	}
	return viewProduct(id, &p), nil
}

// productsMax bounds a page of the catalogue.
const productsMax = 10_000

// products answers the products of the catalogue that come after an id.
func (a *answers) products(v *engine.View, after string, n int) (*productsView, error) {
	if n <= 0 || n > productsMax {
		n = 50
	}
	all, total, err := a.pipeline.Products(v, after, n)
	if err != nil {
		return nil, err
	}
	out := &productsView{Total: total, Products: make([]productView, 0, len(all))}
	for i := range all {
		out.Products = append(out.Products, *viewProduct(all[i].ID, &all[i].Product))
	}
	return out, nil
}

// shelf says in words whether a product can be had.
func (p *productView) shelf() string {
	switch {
	case p.Deleted:
		return "sold no more"
	case !p.InStock:
		return "out of stock"
	case p.Left > 0:
		return strconv.Itoa(p.Left) + " in stock"
	}
	return "in stock"
}

// line is the product in one line.
func (p *productView) line() string {
	price := p.Price
	if p.Was != "" {
		price += " (was " + p.Was + ")"
	}
	return strings.Join(slices.DeleteFunc([]string{price, p.shelf(), p.Category, p.Brand}, func(s string) bool { return s == "" }), ", ")
}

// facts are what the console's page of an item shows of it; none of nil.
func (p *productView) facts() []console.Fact {
	if p == nil {
		return nil
	}
	out := []console.Fact{{Name: "stock", Value: p.shelf()}}
	for _, f := range []console.Fact{{Name: "before", Value: p.Was}, {Name: "brand", Value: p.Brand}, {Name: "page", Value: p.URL}, {Name: "picture", Value: p.ImageURL}} {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return append(out, console.Fact{Name: "catalogue of", Value: stamp(p.Said)})
}

func (p *productView) text(w io.Writer) {
	fmt.Fprintf(w, "%s  %s\n  %s\n", p.ID, p.Name, p.line())
	for _, f := range [][2]string{{"page", p.URL}, {"picture", p.ImageURL}} {
		if f[1] != "" {
			fmt.Fprintf(w, "  %-8s %s\n", f[0], f[1])
		}
	}
	fmt.Fprintf(w, "  %-8s %s\n", "said", stamp(p.Said))
	for _, q := range p.Prices {
		fmt.Fprintf(w, "  price    %s  %s\n", stamp(q.At), q.Price)
	}
}

func (v *productsView) text(w io.Writer) {
	for i := range v.Products {
		p := &v.Products[i]
		fmt.Fprintf(w, "%-16s %-44s %s\n", p.ID, p.Name, p.line())
	}
	fmt.Fprintf(w, "%d of %d products\n", len(v.Products), v.Total)
}
