package nexmark

import (
	"fmt"
	"slices"
)

// Naive answers a query from all events at once, in slices and maps, knowing neither
// windows nor watermarks of the engine: what its graphs must answer. Of q4, a stream of
// updates, it gives the last row of each category.
func Naive(query string, in []Input, sink *Sink) error {
	answer := map[string]func([]Input, *Sink){
		"q0": naive0, "q1": naive1, "q2": naive2, "q3": naive3, "q4": naive4, "q5": naive5, "q7": naive7, "q8": naive8,
		"q11": naive11, "q12": naive12,
	}[query]
	if answer == nil {
		return fmt.Errorf("query %q: the queries are %v", query, Queries())
	}
	answer(in, sink)
	return nil
}

// eachBid calls f with each bid.
func eachBid(in []Input, f func(b *Bid)) {
	for i := range in {
		if in[i].Kind == BidKind {
			f(&in[i].Bid)
		}
	}
}

func naive0(in []Input, sink *Sink) {
	eachBid(in, func(b *Bid) { sink.put(Row{A: b.Auction, B: b.Bidder, C: b.Price, D: b.Time}) })
}

func naive1(in []Input, sink *Sink) {
	eachBid(in, func(b *Bid) { sink.put(Row{A: b.Auction, B: b.Bidder, C: 908 * b.Price, D: b.Time}) })
}

func naive2(in []Input, sink *Sink) {
	eachBid(in, func(b *Bid) {
		if b.Auction%123 == 0 {
			sink.put(Row{A: b.Auction, B: b.Price})
		}
	})
}

func naive3(in []Input, sink *Sink) {
	people := map[int64]*Person{}
	for i := range in {
		if p := in[i].Person; p != nil && (p.State == "OR" || p.State == "ID" || p.State == "CA") {
			people[p.ID] = p
		}
	}
	for i := range in {
		if a := in[i].Auction; a != nil && a.Category == 10 && people[a.Seller] != nil {
			p := people[a.Seller]
			sink.put(Row{A: a.ID, Name: p.Name + "\t" + p.City + "\t" + p.State})
		}
	}
}

func naive4(in []Input, sink *Sink) {
	auctions, most := map[int64]*Auction{}, map[int64]int64{}
	for i := range in {
		if a := in[i].Auction; a != nil {
			auctions[a.ID] = a
		}
	}
	eachBid(in, func(b *Bid) {
		if a := auctions[b.Auction]; a != nil && b.Time >= a.Time && b.Time <= a.Expires {
			most[b.Auction] = max(most[b.Auction], b.Price)
		}
	})
	sum, n := map[int64]int64{}, map[int64]int64{}
	for id, price := range most {
		sum[auctions[id].Category] += price
		n[auctions[id].Category]++
	}
	for category := range sum {
		sink.put(Row{A: category, B: sum[category] / n[category], C: n[category]})
	}
}

func naive5(in []Input, sink *Sink) {
	counts, most := map[[2]int64]int64{}, map[int64]int64{}
	eachBid(in, func(b *Bid) {
		for end := b.Time/2000*2000 + 2000; end <= b.Time+10_000; end += 2000 {
			counts[[2]int64{end, b.Auction}]++
			most[end] = max(most[end], counts[[2]int64{end, b.Auction}])
		}
	})
	for k, n := range counts {
		if n == most[k[0]] {
			sink.put(Row{A: k[1], B: n, C: k[0] - 10_000, D: k[0]})
		}
	}
}

func naive7(in []Input, sink *Sink) {
	most := map[int64]int64{}
	eachBid(in, func(b *Bid) { most[b.Time/10_000] = max(most[b.Time/10_000], b.Price) })
	eachBid(in, func(b *Bid) {
		if b.Price == most[b.Time/10_000] {
			sink.put(Row{A: b.Auction, B: b.Bidder, C: b.Price, D: b.Time})
		}
	})
}

func naive8(in []Input, sink *Sink) {
	sold := map[[2]int64]bool{}
	for i := range in {
		if a := in[i].Auction; a != nil {
			sold[[2]int64{a.Seller, a.Time / 10_000}] = true
		}
	}
	for i := range in {
		if p := in[i].Person; p != nil && sold[[2]int64{p.ID, p.Time / 10_000}] {
			sink.put(Row{A: p.ID, B: p.Time / 10_000 * 10_000, Name: p.Name})
		}
	}
}

func naive11(in []Input, sink *Sink) {
	times := map[int64][]int64{}
	eachBid(in, func(b *Bid) { times[b.Bidder] = append(times[b.Bidder], b.Time) })
	for bidder, at := range times {
		slices.Sort(at)
		for start := 0; start < len(at); {
			end := start + 1
			for end < len(at) && at[end]-at[end-1] < 10_000 {
				end++
			}
			sink.put(Row{A: bidder, B: int64(end - start), C: at[start], D: at[end-1] + 10_000})
			start = end
		}
	}
}

func naive12(in []Input, sink *Sink) {
	counts := map[[2]int64]int64{}
	for i := range in {
		if in[i].Kind == BidKind {
			counts[[2]int64{in[i].Bid.Bidder, in[i].Received / 10_000}]++
		}
	}
	for k, n := range counts {
		sink.put(Row{A: k[0], B: n, C: k[1] * 10_000, D: k[1]*10_000 + 10_000})
	}
}
