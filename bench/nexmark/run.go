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

// Messages calls f with each message and the newest event time so far: the workload, then
// an end whose event time, an hour later or end if that is more, fires every window. f
// may keep the message.
func (w Workload) Messages(end int64, f func(newest int64, message []byte) error) error {
	w = w.withDefaults()
	g := NewGenerator(w.Seed, w.Micros)
	var message []byte
	newest := int64(0)
	for k := range w.Events {
		e := g.Event(Order(k, w.Shuffle))
		newest = max(newest, e.Time())
		message = AppendEvent(message, &e)
		if (k+1)%int64(w.Pack) == 0 || k == w.Events-1 {
			if err := f(newest, message); err != nil {
				return err
			}
			message = nil
		}
	}
	last := Event{Kind: EndKind, Bid: Bid{Time: max(end, g.TimeOf(w.Events)+time.Hour.Milliseconds())}}
	return f(newest, AppendEvent(nil, &last))
}

// Log is the workload as a log in memory, with an end that fires every window.
func (w Workload) Log() *enginetest.Log {
	log := enginetest.NewLog()
	_ = w.Messages(0, func(newest int64, message []byte) error {
		log.Append(newest, message)
		return nil
	})
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
	e, err := open(ctx, query, log, log.Last, outOfOrder, store, sink, tune)
	if err != nil {
		return err
	}
	return e.Run(ctx)
}

// open makes the engine of a query over a log that ends at end.
func open(
	ctx context.Context, query string, source engine.Source, end func(context.Context) (uint64, error),
	outOfOrder time.Duration, store *state.Store, sink *Sink, tune func(*engine.Options),
) (*engine.Engine, error) {
	g, err := NewGraph(query, sink, 0)
	if err != nil {
		return nil, err
	}
	o := engine.Options{
		Source: source, Store: store, Decoder: Decoder{}, Graph: g, OutOfOrder: outOfOrder, Once: true, LogEnd: end,
	}
	if tune != nil {
		tune(&o)
	}
	return engine.Open(ctx, o)
}
