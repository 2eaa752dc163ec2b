package nexmark

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"millrace/engine"
	"millrace/state"
)

var errState = errors.New("a stored value of a query is damaged")

// candidates are the rows of a window with the greatest value of something, and that value.
type candidates struct {
	most int64
	rows []int64 // of width numbers each
}

// better takes rows in: greater ones replace, equal ones join.
func (w *candidates) better(most int64, rows ...int64) {
	switch {
	case len(w.rows) == 0 || most > w.most:
		w.most = most
		w.rows = append(w.rows[:0], rows...)
	case most == w.most:
		w.rows = append(w.rows, rows...)
	}
}

// AppendTo implements state.Codec.
func (w *candidates) AppendTo(b []byte) []byte {
	return appendInts(appendValues(b, w.most), w.rows...)
}

// DecodeFrom implements state.Codec.
func (w *candidates) DecodeFrom(b []byte) error {
	all, err := readValues(b)
	if err != nil || len(all) == 0 {
		return errState
	}
	w.most, w.rows = all[0], all[1:]
	return nil
}

// found is what a window of stage 1 hands to the stage that is keyed by its end.
type found struct {
	candidates
	end int64
}

// winners keeps, for each end of a window, the greatest of what stage 1 found, and gives
// it out when all of stage 1 has fired: a millisecond after the end, which is after every
// timer that is due at the end.
type winners struct {
	cell *state.Cell[candidates, *candidates]
	out  func(end int64, w *candidates)
}

func (o *winners) Process(c *engine.Ctx, f *found) {
	w := engine.Value(c, o.cell)
	if len(w.rows) == 0 {
		c.SetTimer(f.end+1, "")
	}
	w.better(f.most, f.rows...)
	engine.Changed(c, o.cell)
}

func (o *winners) Timer(c *engine.Ctx, t engine.Timer) {
	o.out(t.Due-1, engine.Value(c, o.cell))
	if err := o.cell.Delete(c.Key()); err != nil {
		c.Fail(err)
	}
}

// q5 finds the auctions with the most bids in the last ten seconds, every two seconds:
// auction, count, start and end of the window; all of them if several have as many.
func q5(sink *Sink, cacheMax int) (*engine.Graph, error) {
	var ends *engine.Stage[*found]
	op, err := bidCount("auction/count", engine.WindowOptions{Size: 10 * time.Second, Slide: 2 * time.Second}, bidTime, cacheMax,
		func(c *engine.Ctx, p engine.Pane[uint64]) {
			auction, err := strconv.ParseInt(c.Key(), 10, 64)
			if err != nil {
				c.Fail(err)
				return
			}
			ends.Send(c, key(p.End), &found{candidates{int64(p.Value), []int64{auction}}, p.End}) //nolint:gosec // a count
		})
	if err != nil {
		return nil, err
	}
	var auctions *engine.Stage[*Input]
	g := graph(sink, func(c *engine.Ctx, in *Input) {
		if in.Kind == BidKind {
			auctions.Send(c, key(in.Bid.Auction), in)
		}
	})
	auctions = engine.AddStage[*Input](g, "auction")
	auctions.Use("count", op)
	ends = engine.AddStage[*found](g, "window")
	best := &winners{cell: state.NewCell[candidates]("window/best", cacheMax), out: func(end int64, w *candidates) {
		for _, auction := range w.rows {
			sink.put(Row{A: auction, B: w.most, C: end - 10_000, D: end})
		}
	}}
	ends.Use("best", best)
	g.Keep(op.Cell, best.cell)
	return g, nil
}

// q7Parts is how many keys find their highest bids alone, so that no key gets every bid.
const q7Parts = 16

// q7 finds the highest bids of each ten seconds: auction, bidder, price, time. Windows are
// half-open: a bid exactly at an end belongs to the next one.
func q7(sink *Sink, cacheMax int) (*engine.Graph, error) {
	highest := engine.Aggregate[*Input, candidates, candidates]{
		Add:    func(w *candidates, in *Input) { w.better(in.Bid.Price, in.Bid.Auction, in.Bid.Bidder, in.Bid.Time) },
		Merge:  func(w, other *candidates) { w.better(other.most, other.rows...) },
		Result: func(w *candidates) candidates { return candidates{w.most, slices.Clone(w.rows)} },
	}
	var ends *engine.Stage[*found]
	op, err := engine.NewWindowOperator("part/highest", engine.WindowOptions{Size: 10 * time.Second}, highest,
		engine.WindowHooks[*Input, candidates]{At: bidTime, Pane: func(c *engine.Ctx, p engine.Pane[candidates]) {
			ends.Send(c, key(p.End), &found{p.Value, p.End})
		}}, cacheMax)
	if err != nil {
		return nil, err
	}
	var parts *engine.Stage[*Input]
	var names [q7Parts]string
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	g := graph(sink, func(c *engine.Ctx, in *Input) {
		if in.Kind == BidKind {
			parts.Send(c, names[uint64(in.Bid.Auction)%q7Parts], in) //nolint:gosec // any part will do
		}
	})
	parts = engine.AddStage[*Input](g, "part")
	parts.Use("highest", op)
	ends = engine.AddStage[*found](g, "window")
	best := &winners{cell: state.NewCell[candidates]("window/best", cacheMax), out: func(_ int64, w *candidates) {
		for rows := w.rows; len(rows) >= 3; rows = rows[3:] {
			sink.put(Row{A: rows[0], B: rows[1], C: w.most, D: rows[2]})
		}
	}}
	ends.Use("best", best)
	g.Keep(op.Cell, best.cell)
	return g, nil
}

// newcomer is what happened to a person in a window: who registered, and auctions.
type newcomer struct {
	registered, sold bool
	name             string
}

// AppendTo implements state.Codec.
func (n *newcomer) AppendTo(b []byte) []byte {
	flags := byte(0)
	if n.registered {
		flags |= 1
	}
	if n.sold {
		flags |= 2
	}
	return append(append(b, wireVersion, flags), n.name...)
}

// DecodeFrom implements state.Codec.
func (n *newcomer) DecodeFrom(b []byte) error {
	if len(b) < 2 || b[0] != wireVersion {
		return errState
	}
	n.registered, n.sold, n.name = b[1]&1 != 0, b[1]&2 != 0, string(b[2:])
	return nil
}

// q8 finds people who registered and opened an auction in the same ten seconds: id, start
// of the window, and the name.
func q8(sink *Sink, cacheMax int) (*engine.Graph, error) {
	joined := engine.Aggregate[*Input, newcomer, newcomer]{
		Add: func(n *newcomer, in *Input) {
			if in.Kind == AuctionKind {
				n.sold = true
			} else {
				n.registered, n.name = true, in.Person.Name
			}
		},
		Merge: func(n, other *newcomer) {
			if other.registered {
				n.registered, n.name = true, other.name
			}
			n.sold = n.sold || other.sold
		},
		Result: func(n *newcomer) newcomer { return *n },
	}
	op, err := engine.NewWindowOperator("person/new", engine.WindowOptions{Size: 10 * time.Second}, joined,
		engine.WindowHooks[*Input, newcomer]{At: func(in *Input) int64 { return in.Time() }, Pane: func(c *engine.Ctx, p engine.Pane[newcomer]) {
			if !p.Value.registered || !p.Value.sold {
				return
			}
			id, err := strconv.ParseInt(c.Key(), 10, 64)
			if err != nil {
				c.Fail(err)
				return
			}
			sink.put(Row{A: id, B: p.Start, Name: p.Value.name})
		}}, cacheMax)
	if err != nil {
		return nil, err
	}
	var people *engine.Stage[*Input]
	g := graph(sink, func(c *engine.Ctx, in *Input) {
		switch in.Kind {
		case PersonKind:
			people.Send(c, key(in.Person.ID), in)
		case AuctionKind:
			people.Send(c, key(in.Auction.Seller), in)
		case BidKind, EndKind:
		}
	})
	people = engine.AddStage[*Input](g, "person")
	people.Use("new", op)
	g.Keep(op.Cell)
	return g, nil
}
