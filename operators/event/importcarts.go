package event

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
)

// How carts are synthesised. The numbers are guesses at a shop's ordinary behaviour,
// and every output that rests on them says that it does.
const (
	cartLead   = 90 * 60 * 1000      // a cart begins at most this long before its order
	cartAdds   = 12                  // at most so many lines of an order are shown being added
	leftShare  = 0.3                 // of orders are followed by a cart that is left behind
	leftAfter  = 60 * 60 * 1000      // such a cart begins at least this long after the order
	leftWithin = 71 * 60 * 60 * 1000 // and at most this much later still
	leftGoods  = 4                   // products of such a cart, at most
	poolSize   = 256                 // products ordered lately, from which it is filled
)

// carts holds back the Product Added events that lead to an order, and perhaps a cart
// that is left behind after it. Chance depends on the seed, the order and the products
// ordered before it, so that reading the file again gives the same events.
func (im *Importer) carts(p *purchase) error {
	if p.user == "" || len(p.goods) == 0 {
		return nil
	}
	h := fnv.New64a()
	h.Write([]byte(p.id))
	chance := rand.New(rand.NewPCG(im.options.Seed, h.Sum64())) //nolint:gosec // not a secret
	adds := p.goods[:min(len(p.goods), cartAdds)]
	step := int64(cartLead / (len(adds) + 1))
	at := p.time - int64(len(adds))*step + chance.Int64N(step)
	for i := range adds {
		if adds[i].quantity < 1 {
			continue
		}
		if err := im.added(p, &adds[i], "synth-"+p.id, i, min(at, p.time-1000)); err != nil {
			return err
		}
		at += 1 + chance.Int64N(step)
	}
	if chance.Float64() < leftShare {
		if err := im.left(p, chance); err != nil {
			return err
		}
	}
	for i := range adds {
		if adds[i].quantity < 1 {
			continue
		}
		if len(im.pool) < poolSize {
			im.pool = append(im.pool, adds[i])
			continue
		}
		im.pool[im.poolAt] = adds[i]
		im.poolAt = (im.poolAt + 1) % poolSize
	}
	return nil
}

// left holds back the events of a cart that is left behind.
func (im *Importer) left(p *purchase, chance *rand.Rand) error {
	im.stats.Left++
	from := im.pool
	if len(from) == 0 {
		from = p.goods
	}
	at := p.time + leftAfter + chance.Int64N(leftWithin)
	used := map[string]bool{}
	for i := range 1 + chance.IntN(leftGoods) {
		g := from[chance.IntN(len(from))]
		if used[g.id] {
			continue
		}
		used[g.id] = true
		g.quantity = 1 + chance.IntN(3)
		if err := im.added(p, &g, "synth-left-"+p.id, i, at); err != nil {
			return err
		}
		at += 60_000 + chance.Int64N(9*60_000)
	}
	return nil
}

// added holds back one synthetic Product Added.
func (im *Importer) added(p *purchase, g *good, cart string, i int, at int64) error {
	im.stats.Carts++
	id := im.id("cart", strconv.FormatUint(im.options.Seed, 10), cart, strconv.Itoa(i))
	b := begin("track", "Product Added", id, p.user, p.visitor, at)
	b = appendString(append(b, `,"properties":{"cart_id":`...), cart)
	if p.currency != "" {
		b = appendString(append(b, `,"currency":`...), p.currency)
	}
	b = g.appendFields(append(b, ','))
	return im.add(&draft{time: at, line: p.line, user: p.user, flags: Synthetic, raw: append(b, '}', '}')})
}
