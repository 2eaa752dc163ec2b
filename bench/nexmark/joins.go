package nexmark

import (
	"strconv"

	"millrace/engine"
	"millrace/state"
)

// pendingMax bounds what a key keeps of those that came before their partner: people and
// auctions are at most ten behind what names them.
const pendingMax = 4096

// seller is a person of q3, or the auctions that wait for one.
type seller struct {
	known             bool
	name, city, state string
	waiting           []int64 // auctions that came first
}

// AppendTo implements state.Codec.
func (s *seller) AppendTo(b []byte) []byte {
	known := byte(0)
	if s.known {
		known = 1
	}
	b = appendTexts(append(b, wireVersion, known), s.name, s.city, s.state)
	return appendInts(b, s.waiting...)
}

// DecodeFrom implements state.Codec.
func (s *seller) DecodeFrom(b []byte) error {
	*s = seller{}
	if len(b) < 2 || b[0] != wireVersion {
		return errState
	}
	w := wire{b: b[2:], text: string(b)}
	s.known = b[1] == 1
	w.texts(&s.name, &s.city, &s.state)
	for len(w.b) > 0 && !w.bad {
		var v int64
		w.ints(&v)
		s.waiting = append(s.waiting, v)
	}
	if w.bad {
		return errState
	}
	return nil
}

// sellers joins auctions with their sellers, for ever.
type sellers struct {
	cell *state.Cell[seller, *seller]
	sink *Sink
}

func (o *sellers) Process(c *engine.Ctx, in *Input) {
	s := engine.Value(c, o.cell)
	if in.Kind == PersonKind {
		p := in.Person
		*s = seller{known: true, name: p.Name, city: p.City, state: p.State, waiting: s.waiting}
		for _, auction := range s.waiting {
			o.put(s, auction)
		}
		s.waiting = nil
		engine.Changed(c, o.cell)
		return
	}
	if s.known {
		o.put(s, in.Auction.ID)
		return
	}
	if len(s.waiting) >= pendingMax {
		o.sink.lost()
		return
	}
	s.waiting = append(s.waiting, in.Auction.ID)
	engine.Changed(c, o.cell)
}

func (o *sellers) put(s *seller, auction int64) {
	o.sink.put(Row{A: auction, Name: s.name + "\t" + s.city + "\t" + s.state})
}

// q3 finds who sells in category 10 in Oregon, Idaho and California: auction, and name,
// city and state of the seller.
func q3(sink *Sink, cacheMax int) (*engine.Graph, error) {
	var people *engine.Stage[*Input]
	g := graph(sink, func(c *engine.Ctx, in *Input) {
		switch in.Kind {
		case PersonKind:
			if p := in.Person; p.State == "OR" || p.State == "ID" || p.State == "CA" {
				people.Send(c, key(p.ID), in)
			}
		case AuctionKind:
			if in.Auction.Category == firstCategory {
				people.Send(c, key(in.Auction.Seller), in)
			}
		case BidKind, EndKind:
		}
	})
	people = engine.AddStage[*Input](g, "person")
	op := &sellers{cell: state.NewCell[seller]("person/sells", cacheMax), sink: sink}
	people.Use("sells", op)
	g.Keep(op.cell)
	return g, nil
}

// sale is an auction of q4 with its highest valid bid, or the bids that wait for it.
type sale struct {
	known              bool
	opens, expires, of int64   // of is the category
	most               int64   // 0 for none
	waiting            []int64 // time and price of bids that came first
}

// AppendTo implements state.Codec.
func (s *sale) AppendTo(b []byte) []byte {
	known := int64(0)
	if s.known {
		known = 1
	}
	return appendInts(appendValues(b, known, s.opens, s.expires-s.opens, s.of, s.most), s.waiting...)
}

// DecodeFrom implements state.Codec.
func (s *sale) DecodeFrom(b []byte) error {
	v, err := readValues(b)
	if err != nil || len(v) < 5 || len(v)%2 != 1 {
		return errState
	}
	*s = sale{known: v[0] == 1, opens: v[1], expires: v[1] + v[2], of: v[3], most: v[4], waiting: v[5:]}
	return nil
}

// revised is a highest bid that replaces another, which is 0 if it is the first.
type revised struct{ before, now int64 }

// sales finds the highest bid of each auction while it was open, both ends included.
type sales struct {
	cell     *state.Cell[sale, *sale]
	category *engine.Stage[revised]
	sink     *Sink
}

func (o *sales) Process(c *engine.Ctx, in *Input) {
	s := engine.Value(c, o.cell)
	before := s.most
	switch {
	case in.Kind == AuctionKind:
		a := in.Auction
		s.known, s.opens, s.expires, s.of = true, a.Time, a.Expires, a.Category
		for ; len(s.waiting) >= 2; s.waiting = s.waiting[2:] {
			s.bid(s.waiting[0], s.waiting[1])
		}
		s.waiting = nil
	case s.known:
		s.bid(in.Bid.Time, in.Bid.Price)
		if s.most == before {
			return // most bids change nothing, and write nothing
		}
	case len(s.waiting) >= 2*pendingMax:
		o.sink.lost()
		return
	default:
		s.waiting = append(s.waiting, in.Bid.Time, in.Bid.Price)
	}
	engine.Changed(c, o.cell)
	if s.most != before {
		o.category.Send(c, key(s.of), revised{before, s.most})
	}
}

func (s *sale) bid(at, price int64) {
	if at >= s.opens && at <= s.expires {
		s.most = max(s.most, price)
	}
}

// mean is the sum and the count of a category.
type mean struct{ sum, n int64 }

// AppendTo implements state.Codec.
func (m *mean) AppendTo(b []byte) []byte { return appendValues(b, m.sum, m.n) }

// DecodeFrom implements state.Codec.
func (m *mean) DecodeFrom(b []byte) error {
	v, err := readValues(b)
	if err != nil || len(v) != 2 {
		return errState
	}
	m.sum, m.n = v[0], v[1]
	return nil
}

// means averages the highest bids of each category; a new one takes the old one back.
type means struct {
	cell *state.Cell[mean, *mean]
	sink *Sink
}

func (o *means) Process(c *engine.Ctx, r revised) {
	m := engine.Value(c, o.cell)
	m.sum += r.now - r.before
	if r.before == 0 {
		m.n++
	}
	engine.Changed(c, o.cell)
	category, err := strconv.ParseInt(c.Key(), 10, 64)
	if err != nil {
		c.Fail(err)
		return
	}
	o.sink.put(Row{A: category, B: m.sum / m.n, C: m.n})
}

// q4 averages the highest bids of each category: category, average, how many auctions. It
// is a stream of updates: the last row of a category holds.
func q4(sink *Sink, cacheMax int) (*engine.Graph, error) {
	var auctions *engine.Stage[*Input]
	g := graph(sink, func(c *engine.Ctx, in *Input) {
		switch in.Kind {
		case AuctionKind:
			auctions.Send(c, key(in.Auction.ID), in)
		case BidKind:
			auctions.Send(c, key(in.Bid.Auction), in)
		case PersonKind, EndKind:
		}
	})
	auctions = engine.AddStage[*Input](g, "auction")
	highest := &sales{cell: state.NewCell[sale]("auction/highest", cacheMax), sink: sink}
	auctions.Use("highest", highest)
	highest.category = engine.AddStage[revised](g, "category")
	average := &means{cell: state.NewCell[mean]("category/average", 0), sink: sink}
	highest.category.Use("average", average)
	g.Keep(highest.cell, average.cell)
	return g, nil
}
