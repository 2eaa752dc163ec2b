package nexmark

import (
	"cmp"
	"context"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// Workload is a bounded input.
type Workload struct {
	Seed    uint64
	Events  int64
	Micros  int64 // between two events
	Shuffle int64 // events are out of order within groups of so many
	Pack    int   // events in a message
}

func (w Workload) withDefaults() Workload {
	w.Seed = cmp.Or(w.Seed, 1)
	w.Events = cmp.Or(w.Events, 100_000)
	w.Micros = cmp.Or(w.Micros, 1000) // with the number before: 100 seconds of event time
	w.Shuffle = cmp.Or(w.Shuffle, 1)
	w.Pack = cmp.Or(w.Pack, 50) // what a gateway packs
	return w
}

// Log is the workload as a log in memory, with an end that fires every window.
func (w Workload) Log() *enginetest.Log {
	w = w.withDefaults()
	g, log := NewGenerator(w.Seed, w.Micros), enginetest.NewLog()
	var message []byte
	newest := int64(0)
	for k := range w.Events {
		e := g.Event(Order(k, w.Shuffle))
		newest = max(newest, e.Time())
		message = AppendEvent(message, &e)
		if (k+1)%int64(w.Pack) == 0 || k == w.Events-1 {
			log.Append(newest, message)
			message = nil
		}
	}
	end := Event{Kind: EndKind, Bid: Bid{Time: g.TimeOf(w.Events) + time.Hour.Milliseconds()}}
	log.Append(newest, AppendEvent(nil, &end))
	return log
}

// OutOfOrder is how far the watermark must trail.
func (w Workload) OutOfOrder() time.Duration {
	w = w.withDefaults()
	if w.Shuffle == 1 {
		return time.Nanosecond // no whole millisecond: zero would mean the usual two minutes
	}
	return time.Duration(w.Shuffle*w.Micros)*time.Microsecond + time.Millisecond
}

// Run runs a query over a log from where the store stands to the log's end.
func Run(ctx context.Context, query string, log *enginetest.Log, outOfOrder time.Duration, store *state.Store, sink *Sink, tune func(*engine.Options)) error {
	g, err := NewGraph(query, sink, 0)
	if err != nil {
		return err
	}
	o := engine.Options{
		Source: log, Store: store, Decoder: Decoder{}, Graph: g, OutOfOrder: outOfOrder, Once: true, LogEnd: log.Last,
	}
	if tune != nil {
		tune(&o)
	}
	e, err := engine.Open(ctx, o)
	if err != nil {
		return err
	}
	return e.Run(ctx)
}
