package catalogue

import (
	"encoding/json"
	"fmt"
	"strings"

	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/profile"
	"millrace/state"
)

// EffectOffer is the kind of the effects that tell watchers of an offer. The body is the
// event.Offer as JSON; it returns through the log, since stages only send forward.
const EffectOffer = "offer"

// Word is a message to the stage of products: exactly one of its pointers is set.
type Word struct {
	Event *event.Event // Product Upserted
	Watch *Watch
}

// Keeper is the operator that keeps the record of each product.
type Keeper struct {
	Cell   *state.Cell[Product, *Product]
	chunks *engine.Stage[*Look] // nil: nobody watches
}

// NewKeeper makes the operator. What concerns watchers goes to chunks, unless that is nil.
func NewKeeper(chunks *engine.Stage[*Look], cacheMax int) *Keeper {
	return &Keeper{Cell: state.NewPackedCell[Product]("catalogue/product", cacheMax, nil), chunks: chunks}
}

// Process implements engine.Operator.
func (k *Keeper) Process(c *engine.Ctx, w *Word) {
	p := engine.Value(c, k.Cell)
	if w.Watch != nil {
		k.chunks.Send(c, ChunkOf(c.Key(), w.Watch.Person), &Look{Watch: w.Watch, Offer: p.Offer(c.Key())})
		return
	}
	p.Apply(w.Event)
	engine.Changed(c, k.Cell)
	if k.chunks == nil {
		return
	}
	look := &Look{Offer: p.Offer(c.Key())}
	for n := range Chunks {
		k.chunks.Send(c, chunkKey(c.Key(), n), look)
	}
}

// Look is a message to the stage of watchers: somebody looked, or what they look at
// changed. It is not changed once sent.
type Look struct {
	Watch *Watch // nil: the offer changed
	Offer *Offer
}

// Chunker is the operator that keeps who watches, and tells them.
type Chunker struct {
	Cell *state.Cell[Watchers, *Watchers]
	opt  Options
}

// NewChunker makes the operator.
func NewChunker(o Options) *Chunker {
	return &Chunker{Cell: state.NewPackedCell[Watchers]("watchers/chunk", o.CacheMax, nil), opt: o}
}

// Process implements engine.Operator.
func (k *Chunker) Process(c *engine.Ctx, l *Look) {
	w := engine.Value(c, k.Cell)
	changed := l.Watch != nil && w.Put(l.Watch, k.opt.Within)
	if told := w.Tell(l.Offer, &k.opt); told != nil {
		changed = true
		body, err := json.Marshal(told)
		if err != nil {
			c.Fail(fmt.Errorf("encode an offer: %w", err))
			return
		}
		c.Effect(EffectOffer, "offer/"+c.Key(), body)
	}
	if changed {
		engine.Changed(c, k.Cell)
	}
}

// Watching is the operator behind the one that keeps a person's picture: it tells the
// products who looks at them and who has ordered them.
type Watching struct{ products *engine.Stage[*Word] }

// NewWatching makes the operator; it sends to the stage of products.
func NewWatching(products *engine.Stage[*Word]) Watching { return Watching{products} }

// Process implements engine.Operator for the person stage.
func (o Watching) Process(c *engine.Ctx, u *profile.Update) {
	e := u.Event
	if e == nil || u.Person == nil || u.Change.Duplicate || u.Change.Silent {
		return
	}
	switch e.Kind {
	case event.ProductViewed, event.ProductAdded, event.OrderCompleted:
	default:
		return
	}
	for i := range e.Products {
		p := &e.Products[i]
		if p.ID == "" || len(p.ID) > profile.MaxID || p.Returned {
			continue
		}
		w := &Watch{
			Person: c.Key(), At: e.Time, Price: p.Price, HasPrice: p.HasPrice, Currency: strings.Clone(e.Currency),
			Over: e.Kind == event.OrderCompleted,
		}
		o.products.Send(c, strings.Clone(p.ID), &Word{Watch: w})
	}
}
