package nexmark

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"millrace/engine"
)

// Queries are the names of the queries, in order.
func Queries() []string {
	return []string{"q0", "q1", "q2", "q3", "q4", "q5", "q7", "q8", "q11", "q12"}
}

// NewGraph makes the graph of a query over Decoder's events. cacheMax is the number of
// keys that each cell keeps in memory, 0 for the usual one.
func NewGraph(query string, sink *Sink, cacheMax int) (*engine.Graph, error) {
	build := map[string]func(*Sink, int) (*engine.Graph, error){
		"q0": q0, "q1": q1, "q2": q2, "q3": q3, "q4": q4, "q5": q5, "q7": q7, "q8": q8, "q11": q11, "q12": q12,
	}[query]
	if build == nil {
		return nil, fmt.Errorf("query %q: the queries are %v", query, Queries())
	}
	return build(sink, cacheMax)
}

// graph makes a graph whose root hands over events.
func graph(sink *Sink, root func(c *engine.Ctx, in *Input)) *engine.Graph {
	return engine.NewGraph(func(c *engine.Ctx, u *engine.Unit) {
		in, ok := u.Value.(*Input)
		if !ok {
			sink.bad()
			return
		}
		root(c, in)
	})
}

// bids makes a graph of a function of each bid.
func bids(sink *Sink, f func(b *Bid)) (*engine.Graph, error) {
	return graph(sink, func(_ *engine.Ctx, in *Input) {
		if in.Kind == BidKind {
			f(&in.Bid)
		}
	}), nil
}

// q0 passes bids through: auction, bidder, price, time.
func q0(sink *Sink, _ int) (*engine.Graph, error) {
	return bids(sink, func(b *Bid) { sink.put(Row{A: b.Auction, B: b.Bidder, C: b.Price, D: b.Time}) })
}

// q1 converts the currency: auction, bidder, price times 0.908 in thousandths, time.
func q1(sink *Sink, _ int) (*engine.Graph, error) {
	return bids(sink, func(b *Bid) { sink.put(Row{A: b.Auction, B: b.Bidder, C: b.Price * 908, D: b.Time}) })
}

// q2 selects: auction and price of the bids for each 123rd auction.
func q2(sink *Sink, _ int) (*engine.Graph, error) {
	return bids(sink, func(b *Bid) {
		if b.Auction%123 == 0 {
			sink.put(Row{A: b.Auction, B: b.Price})
		}
	})
}

// key is a number as a key of the engine.
func key(n int64) string {
	var b [20]byte
	return string(strconv.AppendInt(b[:0], n, 10))
}

// bidCount makes an operator that counts bids in windows.
func bidCount(
	name string, o engine.WindowOptions, at func(in *Input) int64, cacheMax int, pane func(c *engine.Ctx, p engine.Pane[uint64]),
) (*engine.WindowOperator[*Input, engine.Count, uint64, *engine.Count], error) {
	return engine.NewWindowOperator(name, o, engine.Counts[*Input](), engine.WindowHooks[*Input, uint64]{At: at, Pane: pane}, cacheMax)
}

func bidTime(in *Input) int64 { return in.Bid.Time }

// byBidder makes a graph of a windowed count of the bids of each bidder: bidder, count,
// start and end of the window.
func byBidder(sink *Sink, cacheMax int, o engine.WindowOptions, at func(in *Input) int64) (*engine.Graph, error) {
	op, err := bidCount("bidder/count", o, at, cacheMax, func(c *engine.Ctx, p engine.Pane[uint64]) {
		bidder, err := strconv.ParseInt(c.Key(), 10, 64)
		if err != nil {
			c.Fail(fmt.Errorf("key of a bidder: %w", err))
			return
		}
		sink.put(Row{A: bidder, B: int64(p.Value), C: p.Start, D: p.End}) //nolint:gosec // a count
	})
	if err != nil {
		return nil, err
	}
	var stage *engine.Stage[*Input]
	g := graph(sink, func(c *engine.Ctx, in *Input) {
		if in.Kind == BidKind {
			stage.Send(c, key(in.Bid.Bidder), in)
		}
	})
	stage = engine.AddStage[*Input](g, "bidder")
	stage.Use("count", op)
	g.Keep(op.Cell)
	return g, nil
}

// q11 counts the bids of each bidder in sessions with a gap of ten seconds.
func q11(sink *Sink, cacheMax int) (*engine.Graph, error) {
	return byBidder(sink, cacheMax, engine.WindowOptions{Gap: 10 * time.Second}, bidTime)
}

// q12 counts the bids of each bidder in ten seconds of processing time, which is here when
// the log received them: so the answer is the same each time the log is read. A window is
// complete when event time has passed it.
func q12(sink *Sink, cacheMax int) (*engine.Graph, error) {
	return byBidder(sink, cacheMax, engine.WindowOptions{Size: 10 * time.Second}, func(in *Input) int64 { return in.Received })
}

// appendValues and readValues are the stored form of the queries' values.
func appendValues(b []byte, all ...int64) []byte { return appendInts(append(b, wireVersion), all...) }

func readValues(b []byte) ([]int64, error) {
	if len(b) == 0 || b[0] != wireVersion {
		return nil, errState
	}
	var all []int64
	for b = b[1:]; len(b) > 0; {
		v, n := binary.Varint(b)
		if n <= 0 {
			return nil, errState
		}
		all, b = append(all, v), b[n:]
	}
	return slices.Clip(all), nil
}
