package operators

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"millrace/engine"
	"millrace/operators/catalogue"
	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/operators/recommend"
	"millrace/operators/trigger"
)

// This file puts the catalogue into the graph, and what it says into mails and
// recommendations. A shop that sends no catalogue pays for a look at a flag.

// shelves are the operators of the catalogue.
type shelves struct {
	upserts *engine.Stage[*catalogue.Word]
	keeper  *catalogue.Keeper
	chunks  *catalogue.Chunker // nil: no journey waits for changes
	filled  atomic.Bool        // the catalogue is known to hold something
	looked  atomic.Bool        // it was looked whether it does
}

// Watched says what of the catalogue rules want watched; nothing for most.
func Watched(rules []trigger.Rule) catalogue.Options {
	var o catalogue.Options
	for i := range rules {
		r := &rules[i]
		if r.Kind != trigger.PriceDrop && r.Kind != trigger.BackInStock {
			continue
		}
		o.Within = max(o.Within, cmp.Or(r.Within, 30*24*time.Hour))
		if r.Kind == trigger.PriceDrop {
			least := cmp.Or(r.AtLeast, 0.1)
			if o.AtLeast == 0 || least < o.AtLeast {
				o.AtLeast = least
			}
		}
	}
	if o.Within > 0 && o.AtLeast == 0 {
		o.AtLeast = 1.1 // no price interests anybody
	}
	return o
}

// addCatalogue adds the operators of the catalogue.
func (p *Pipeline) addCatalogue(o *Options) {
	s := &p.shelves
	watched := o.Catalogue
	if watched.Within == 0 {
		watched = Watched(o.Rules)
	}
	watched.CacheMax = o.ItemsMax
	s.upserts = engine.AddStage[*catalogue.Word](p.Graph, "catalogue")
	var chunks *engine.Stage[*catalogue.Look]
	if watched.Within > 0 {
		chunks = engine.AddStage[*catalogue.Look](p.Graph, "watchers")
		s.chunks = catalogue.NewChunker(watched)
		chunks.Use("chunk", s.chunks)
		p.people.Use("watching", catalogue.NewWatching(s.upserts))
		p.Graph.Keep(s.chunks.Cell)
	}
	s.keeper = catalogue.NewKeeper(chunks, o.ItemsMax)
	s.upserts.Use("product", s.keeper)
	s.upserts.Use("filled", filled{&s.filled})
	p.Graph.Keep(s.keeper.Cell)
}

// filled notes, for those who only read, that the shop has a catalogue.
type filled struct{ flag *atomic.Bool }

// Process implements engine.Operator.
func (f filled) Process(_ *engine.Ctx, w *catalogue.Word) {
	if w.Event != nil && !f.flag.Load() {
		f.flag.Store(true)
	}
}

// offer tells the persons whom a change of the catalogue concerns.
func (p *Pipeline) offer(c *engine.Ctx, o *event.Offer) {
	for i := range o.To {
		p.merger.follow.Send(c, o.To[i].Person, &profile.Update{Offer: o, OfferTo: &o.To[i]})
	}
}

// OfferHandler carries out catalogue.EffectOffer: it puts the offer into the log by
// publish, for which a second time under the same id is harmless, as it is for those who
// are told.
func OfferHandler(publish func(ctx context.Context, id string, data []byte) error) engine.Handler {
	return func(ctx context.Context, _ *engine.View, row engine.Row) (engine.Result, time.Duration, error) {
		if !json.Valid(row.Body) {
			return engine.Again, time.Hour, fmt.Errorf("offer in row %d is not JSON", row.ID)
		}
		sum := sha256.Sum256(row.Body)
		if err := publish(ctx, fmt.Sprintf("offer/%d/%s", row.ID, hex.EncodeToString(sum[:12])), event.AppendOffer(nil, row.Body)); err != nil {
			return engine.Again, time.Second, fmt.Errorf("offer of row %d: %w", row.ID, err)
		}
		return engine.Removed, 0, nil
	}
}

// Product is what the catalogue says of a product; false: nothing.
func (p *Pipeline) Product(v *engine.View, id string) (catalogue.Product, bool, error) {
	if has, err := p.listed(v); err != nil || !has {
		return catalogue.Product{}, false, err
	}
	return engine.Read(v, p.shelves.keeper.Cell, id)
}

// listed tells whether the shop has a catalogue at all. What was there when the program
// started is looked for once.
func (p *Pipeline) listed(v *engine.View) (bool, error) {
	s := &p.shelves
	if s.filled.Load() {
		return true, nil
	}
	if s.looked.Load() || s.keeper == nil { // a graph that only fills fields keeps none
		return false, nil
	}
	err := p.Graph.EachAny(v, s.keeper.Cell.Name(), func(string, any) bool {
		s.filled.Store(true)
		return false
	})
	if err != nil {
		return false, fmt.Errorf("look for a catalogue: %w", err)
	}
	s.looked.Store(true)
	return s.filled.Load(), nil
}

// Listed is a product of the catalogue with its id.
type Listed struct {
	ID      string
	Product catalogue.Product
}

// Products are the first products of the catalogue by id, at most so many, of those whose
// ids come after one, and how many products there are.
func (p *Pipeline) Products(v *engine.View, after string, most int) ([]Listed, int, error) {
	var out []Listed
	total := 0
	err := p.Graph.EachAny(v, p.shelves.keeper.Cell.Name(), func(key string, value any) bool {
		total++
		product, ok := value.(*catalogue.Product)
		if !ok || key <= after || len(out) == most && key >= out[most-1].ID {
			return true
		}
		at, _ := slices.BinarySearchFunc(out, key, func(l Listed, id string) int { return cmp.Compare(l.ID, id) })
		out = slices.Insert(out, at, Listed{key, *product})
		out = out[:min(len(out), most)]
		return true
	})
	return out, total, err
}

// overlay lets what the catalogue says of an item hold. It answers whether it says
// anything.
func (p *Pipeline) overlay(v *engine.View, id string, f *recommend.Facts) (bool, error) {
	product, known, err := p.Product(v, id)
	if err != nil || !known || !product.Known() {
		return false, err
	}
	i := event.CartItem{Name: f.Name, Category: f.Category, URL: f.URL, ImageURL: f.ImageURL}
	product.Overlay(&i, false)
	f.Name, f.Category, f.URL, f.ImageURL = i.Name, i.Category, i.URL, i.ImageURL
	if price, ok := product.Price(); ok {
		f.Price, f.HasPrice, f.Currency = price, true, cmp.Or(product.Currency(), f.Currency)
	}
	return true, nil
}

// stockRounds bounds how often recommendations are asked for again because some of them
// are sold out.
const stockRounds = 4

// inStock asks for recommendations until none of them is sold out, and lets what the
// catalogue says of them hold.
func (p *Pipeline) inStock(v *engine.View, q recommend.Query, ask func(recommend.Query) []recommend.Scored) ([]recommend.Scored, error) {
	has, err := p.listed(v)
	if err != nil || !has {
		return ask(q), err
	}
	gone := make(map[string]bool)
	skip := q.Skip
	q.Skip = func(id string) bool { return gone[id] || skip != nil && skip(id) }
	for round := 1; ; round++ {
		out := ask(q)
		before := len(gone)
		for i := range out {
			product, known, err := p.Product(v, out[i].Item)
			if err != nil {
				return nil, err
			}
			if known && !product.InStock() {
				gone[out[i].Item] = true
			}
		}
		if len(gone) > before && round < stockRounds {
			continue
		}
		out = slices.DeleteFunc(out, func(s recommend.Scored) bool { return gone[s.Item] })
		for i := range out {
			if _, err := p.overlay(v, out[i].Item, &out[i].Facts); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

// stock is SendOptions.Stock by the catalogue.
func (p *Pipeline) stock(v *engine.View, items []event.CartItem) (left int, was event.Money) {
	product, known, err := p.Product(v, items[0].ID)
	if err != nil || !known {
		return 0, 0 // a mail that says less is no worse
	}
	return product.Left(), product.Was()
}

// shelve lets what the catalogue says of the items of a decision hold as of now: names,
// pictures, links and, where nothing is paid yet, prices; what is sold out is taken out. It
// answers why no mail may leave, or "". What was imported is judged as of then, about
// which the catalogue of now says nothing.
func (m *Mailer) shelve(v *engine.View, d *event.Decision) (string, error) {
	if d.Flags&event.FromImport != 0 || len(d.Items) == 0 {
		return "", nil
	}
	if has, err := m.pipeline.listed(v); err != nil || !has {
		return "", err
	}
	paid := d.OrderID != ""
	need := m.needsStock(d.Pipeline, paid)
	kept := d.Items[:0:0]
	dearer, changed := false, false
	for _, it := range d.Items {
		product, known, err := m.pipeline.Product(v, it.ID)
		if err != nil {
			return "", err
		}
		if known && need && !product.InStock() {
			changed = true
			continue
		}
		if known {
			before := it.Price
			same := product.Currency() == "" || d.Currency == "" || product.Currency() == d.Currency
			product.Overlay(&it, !paid && same)
			dearer = dearer || it.Price > before
			changed = changed || it.Price != before
		}
		kept = append(kept, it)
	}
	if len(kept) == 0 || need && isOffer(d.Kind) && len(kept) < len(d.Items) {
		return trigger.ReasonSoldOut, nil
	}
	if d.Kind == "price-drop" && dearer && !event.Fell(d.Was, kept[0].Price, m.fell(d.Pipeline)) {
		return trigger.ReasonDearer, nil
	}
	d.Items = kept
	if changed && !paid {
		d.Value = worth(d)
	}
	return "", nil
}

func isOffer(kind string) bool { return kind == "price-drop" || kind == "back-in-stock" }

// worth is what a decision's items cost by now: all of a cart, else the first of them.
func worth(d *event.Decision) event.Money {
	if d.CartID == "" && d.Kind != "cart" && d.Kind != "checkout" {
		return d.Items[0].Price
	}
	sum := event.Money(0)
	for i := range d.Items {
		sum += d.Items[i].Price * event.Money(max(d.Items[i].Quantity, 1))
	}
	return sum
}

// needsStock tells whether what a journey's mail is about must be in stock.
func (m *Mailer) needsStock(pipeline string, paid bool) bool {
	if j := m.journeys[pipeline]; j.Config != nil && j.Config.Content.Require != "" {
		return j.Config.Content.Require == "in stock"
	}
	return !paid
}

// fell is by which share a price must have fallen for a journey.
func (m *Mailer) fell(pipeline string) float64 {
	return cmp.Or(m.journeys[pipeline].Rule.AtLeast, 0.1)
}
