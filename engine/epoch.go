package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"millrace/state"
)

// batch is what the reader hands to the loop: messages and their units.
type batch struct {
	messages []Message
	units    []Unit
	ends     []int // ends[i] is the end of message i's units
}

// Limits of a batch: as many messages as keep both goroutines busy, few bytes, and units
// that are processed while they are in the processor's cache.
const (
	batchMessages = 512
	batchUnits    = 1024 // a message may pass it
	batchBytes    = 4 << 20
	batchesAhead  = 8 // when they run out the epoch closes early: more than a moment's work
)

// readAhead reads and decodes ahead of the loop.
func (e *Engine) readAhead(ctx context.Context, out chan<- *batch) error {
	defer close(out)
	buf := make([]Message, batchMessages)
	for {
		n, err := e.o.Source.Next(ctx, buf)
		if err != nil {
			return err
		}
		for start := 0; start < n; {
			b := e.newBatch()
			size := 0
			for start < n && size < batchBytes && len(b.units) < batchUnits {
				m := &buf[start]
				size += len(m.Data)
				b.messages = append(b.messages, *m)
				b.units = e.o.Decoder.Decode(b.units, m)
				b.ends = append(b.ends, len(b.units))
				start++
			}
			e.o.Hook(PointDecoded)
			if len(out) == cap(out) {
				e.reached.readAhead.Add(1)
			}
			select {
			case out <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// newBatch is an empty batch, in the memory of one that was processed if there is one. It
// belongs to the reader.
func (e *Engine) newBatch() *batch {
	select {
	case b := <-e.used:
		if r, ok := e.o.Decoder.(Recycler); ok {
			r.Recycle(b.units)
		}
		clear(b.messages)
		clear(b.units)
		b.messages, b.units, b.ends = b.messages[:0], b.units[:0], b.ends[:0]
		return b
	default:
		return &batch{}
	}
}

// work processes a batch, and gives it back to the reader when all of it was.
func (e *Engine) work(b *batch) error {
	if err := e.process(b); err != nil || e.rest != nil {
		return err
	}
	select {
	case e.used <- b:
	default:
	}
	return nil
}

// process runs the units of a batch through the graph. A position that lies inside
// a message skips the units that were processed before. When too many effects wait
// for their outcome it stops between two messages and leaves the batch in e.rest.
func (e *Engine) process(b *batch) error {
	if e.crew != nil {
		return e.crew.process(b)
	}
	p := &e.progress
	start := 0
	e.rest = nil
	defer func() { e.worked = time.Now(); e.quiet.set(e.quietNow(), true) }()
	for i := range b.messages {
		m := &b.messages[i]
		units := b.units[start:b.ends[i]]
		start = b.ends[i]
		if m.Seq <= p.Position.Seq {
			continue
		}
		if e.blocked() {
			e.rest = b
			return nil
		}
		if m.Seq > p.Position.Seq+1 { // the sequence has a gap: an index before it is void
			e.inside(m.Seq, 0)
		}
		for int(p.Position.Index) < len(units) {
			u := &units[p.Position.Index]
			if err := e.advance(u, m); err != nil {
				return err
			}
			if a, ok := u.Value.(*Activation); !ok {
				e.graph.root(&e.ctx, u)
			} else if err := e.activate(a, m); err != nil {
				return err
			}
			if e.ctx.err != nil {
				return e.ctx.err
			}
			p.Position.Index++
			e.units++
			e.events.Add(1)
			if e.full() {
				if err := e.closeEpoch(); err != nil {
					return err
				}
			}
		}
		e.beyond(m)
	}
	return nil
}

// advance moves the watermark to where u puts it, and fires the timers that it
// passes, before u is processed.
func (e *Engine) advance(u *Unit, m *Message) error {
	p := &e.progress
	if u.Received > p.Received {
		p.Received, p.Stored = u.Received, m.Time
	}
	e.marks.unit(p, u)
	return e.fire()
}

// fire calls the handlers of due timers in order. The epoch may close in between:
// what fired is removed with it, so after a crash the rest fires first.
func (e *Engine) fire() error {
	for {
		raw, due, err := e.timers.pop(e.progress.Watermark)
		processing := !due && err == nil
		if processing {
			raw, due, err = e.clocks.pop(e.progress.Received)
		}
		if err != nil || !due {
			return err
		}
		id, key, tag := timerParts(raw)
		o := e.operator(id)
		if o == nil || o.timer == nil { // its operator is gone from the graph
			e.units++
			e.orphans++
			continue
		}
		o.fired++
		e.ctx.op, e.ctx.key = o, key
		o.timer.Timer(&e.ctx, Timer{Due: timerDue(raw), Tag: tag, Processing: processing})
		e.ctx.op, e.ctx.key = e.graph.operators[0], ""
		if e.ctx.err != nil {
			return e.ctx.err
		}
		e.units++
		if e.full() {
			if err := e.closeEpoch(); err != nil {
				return err
			}
		}
	}
}

func (e *Engine) operator(id uint16) *operator {
	for _, o := range e.graph.operators {
		if o.id == id {
			return o
		}
	}
	return nil
}

// full tells whether the open epoch must close: on count, or on the size of what it
// writes, well before Badger's limit of a transaction.
func (e *Engine) full() bool {
	if e.units >= e.unitsMax() {
		e.reached.epochUnits.Add(1)
		return true
	}
	if e.units%16 != 0 && e.crew == nil { // one unit writes far less than a sixteenth of the margin
		return false
	}
	if !e.fullTo(7) {
		return false
	}
	e.reached.epochBytes.Add(1)
	return true
}

// unitsMax is how many units the open epoch may have.
func (e *Engine) unitsMax() int {
	if e.progress.Position.Seq < e.info.Last {
		return e.o.BacklogUnits
	}
	return e.o.EpochEvents
}

// fullTo tells whether the open epoch writes at least so many tenths of what it may.
func (e *Engine) fullTo(tenths int) bool {
	for _, c := range e.graph.cells {
		c.Trim()
	}
	values, bytes := e.owed()
	return values >= e.limitN*tenths/10 || bytes >= e.limitB*tenths/10 // lazy cells may take the rest
}

// owed is about what the open epoch writes, but for lazy cells.
func (e *Engine) owed() (values, bytes int) {
	values = len(e.timers.open.keys) + len(e.clocks.open.keys) + len(e.rows) + len(e.settled)
	bytes = 100*values + e.redo.bytes
	for _, c := range e.graph.cells {
		if !c.Lazy() {
			n, b := c.Dirty()
			values, bytes = values+n, bytes+b
		}
	}
	for i := range e.rows {
		bytes += len(e.rows[i].Body)
	}
	return values, bytes
}

// closeEpoch encodes what the open epoch changed into a record and hands it to the
// committer. If a commit is under way it waits for that first.
func (e *Engine) closeEpoch() error {
	p := &e.progress
	idle := e.units == 0
	e.dropSettled()
	first, err := e.applyLazy()
	if err != nil {
		return err
	}
	p.Epoch++
	r := e.records[p.Epoch%2]
	if e.flying != nil && e.flying.record == r {
		panic("BUG: two epochs are under way")
	}
	r.Reset()
	r.Epoch = p.Epoch
	for _, c := range e.graph.cells {
		if !c.Lazy() {
			c.Flush(r, r.Epoch, math.MaxInt)
		}
	}
	e.redo.flush(r, first, e.flushLazy(r, idle))
	e.timers.flush(r)
	if err := e.flushVersions(r); err != nil {
		return err
	}
	e.flushClocks(r)
	for i := range e.rows {
		row := &e.rows[i]
		r.PutFunc(rowKey(row.ID), func(b []byte) []byte { return appendRow(b, row) })
	}
	gone := append(e.settled, e.pool.takeRemovals()...)
	for _, id := range gone {
		r.Delete(rowKey(id))
	}
	if err := e.pool.flushTries(r, gone); err != nil {
		return fmt.Errorf("encode breakers: %w", err)
	}
	e.hashPosition()
	p.Sent = e.redo.last
	p.Timers, p.TimerLow = e.timers.pending, e.timers.low()
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode progress: %w", err)
	}
	r.Put(keyProgress, raw)
	e.marks.store(r)
	next := &epoch{record: r, rows: e.rows, settled: e.settled, reached: *p}
	e.rows, e.settled, e.units = nil, nil, 0
	if e.o.EffectsFirst {
		e.pool.offer(next.rows)
		next.rows = nil
	}
	if err := e.land(); err != nil {
		return err
	}
	e.flying = next
	e.commits <- next
	return nil
}

// dropSettled takes out the rows whose receipts were read in the epoch that decided
// them: the log knows more than the state that it is read into, as after a restore of
// an older checkpoint. Such a row must not be carried out: its receipt would be the
// second of its id, which the log does not store, and be waited for in vain.
func (e *Engine) dropSettled() {
	if len(e.rows) == 0 || !slices.ContainsFunc(e.settled, func(id uint64) bool { return id >= e.rows[0].ID }) {
		return // as always: receipts are those of older epochs
	}
	e.rows = slices.DeleteFunc(e.rows, func(row Row) bool {
		at := slices.Index(e.settled, row.ID)
		if at >= 0 {
			e.settled = slices.Delete(e.settled, at, at+1)
		}
		return at >= 0
	})
}

// addRow adds an effect to the open epoch.
func (e *Engine) addRow(row Row, body func(uint64) ([]byte, error)) (err error) {
	e.progress.NextRow++
	row.ID, row.At = e.progress.NextRow, e.progress.Watermark
	if body != nil {
		row.Body, err = body(row.ID)
	}
	e.rows = append(e.rows, row)
	return err
}

// settle notes that the receipt of a row that holds the text of was read.
func (e *Engine) settle(row uint64, of string) error {
	owed, err := e.owes(row, of)
	if owed {
		e.settled = append(e.settled, row)
	}
	return err
}

// land waits for the commit that is under way.
func (e *Engine) land() error {
	if e.flying == nil {
		return nil
	}
	return e.committed(<-e.done)
}

// owes tells whether the outbox holds a row that is not settled yet, and holds the text of.
func (e *Engine) owes(row uint64, of string) (bool, error) {
	if slices.Contains(e.settled, row) || e.flying != nil && slices.Contains(e.flying.settled, row) {
		return false, nil
	}
	if row > e.seen.NextRow { // of an epoch that the reader does not see, if of any
		if e.o.EffectsFirst {
			return row <= e.progress.NextRow, nil
		}
		open := e.rows
		if e.flying != nil && (len(open) == 0 || row < open[0].ID) {
			open = e.flying.rows
		}
		at, found := slices.BinarySearchFunc(open, row, func(r Row, id uint64) int { return cmp.Compare(r.ID, id) })
		return found && (of == "" || bytes.Contains(open[at].Body, []byte(of))), nil
	}
	value, found, err := e.read.Get(nil, rowKey(row))
	if !found || err != nil || of == "" {
		return found, err
	}
	stored, err := decodeRow(rowKey(row), value)
	return err == nil && bytes.Contains(stored.Body, []byte(of)), nil //nolint:nilerr // what cannot be read stays where it is
}

// committed takes the news of a commit: its effects may leave, and what it wrote
// can be read from the store.
func (e *Engine) committed(err error) error {
	if err != nil {
		return err
	}
	f := e.flying
	e.flying = nil
	e.seen = f.reached
	for _, c := range e.graph.cells {
		c.Evict(e.seen.Epoch)
	}
	e.timers.seen(e.seen.Epoch)
	e.clocks.seen(e.seen.Epoch)
	e.publish() // before the effects leave: their views show at least this watermark
	for _, id := range f.settled {
		e.pool.settled(id)
	}
	e.pool.offer(f.rows)
	e.quiet.set(e.quietNow(), false)
	return nil
}

func (e *Engine) quietNow() quietTime {
	next, due := e.timers.next()
	clock, clockDue := e.clocks.next()
	return quietTime{
		clock: clock, clockDue: clockDue,
		received: e.progress.Received, stored: e.progress.Stored,
		next: next, due: due, ready: e.progress.Position.Seq >= e.info.Last,
	}
}

// committer commits the epochs that it is handed, one after the other.
func (e *Engine) committer(ctx context.Context) {
	for next := range e.commits {
		e.o.Hook(PointBeforeCommit)
		err := e.commit(ctx, next.record)
		if err == nil {
			e.o.Hook(PointAfterCommit)
		}
		e.done <- err
	}
}

// commit writes a record. While there is no room on the disk it waits: nothing is
// lost, reading stops, and the stats say why.
func (e *Engine) commit(ctx context.Context, r *state.Record) error {
	start := time.Now()
	for tries := 1; ; tries++ {
		err := e.o.MayCommit()
		if err == nil {
			e.setPaused(nil)
			break
		}
		if tries == 1 {
			e.o.Logger.Error("commits are paused", "err", err)
		}
		e.setPaused(err)
		timer := time.NewTimer(min(time.Second, backoff(tries)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("epoch %d: %w", r.Epoch, err)
		case <-timer.C:
		}
	}
	if err := e.o.Committer.Commit(ctx, r); err != nil {
		return fmt.Errorf("epoch %d: %w", r.Epoch, err)
	}
	e.noteCommit(r, time.Since(start))
	return nil
}
