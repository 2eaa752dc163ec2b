package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"millrace/state"
)

// Row is one effect in the outbox: decided by a committed epoch and not yet carried
// out.
type Row struct {
	ID   uint64 // in order of decision
	Kind string // which handler carries it out
	Lane string // rows of a lane are carried out one after the other, in order
	At   int64  // watermark of the decision, Unix milliseconds
	Body []byte
}

// Result is what came of carrying out a row.
type Result uint8

// The results of a handler.
const (
	// Reported: a receipt is in the log, and the epoch that reads it removes the row.
	Reported Result = iota
	// Removed: nothing more is to be known; the next epoch removes the row.
	Removed
	// Again: try once more after a while.
	Again
	// Drop: to try again is no use. The row is given up (Delivery.GiveUp).
	Drop
)

// Handler carries out one row. It may be called again for a row that it carried
// out before a crash, so it must be idempotent or keep a journal. v shows the
// committed state. Several rows are handled at once, never two of a lane.
type Handler func(ctx context.Context, v *View, row Row) (Result, time.Duration, error)

// ErrNoHandler says that a row has a kind for which no handler is known.
var ErrNoHandler = errors.New("no handler for this kind of effect")

func rowKey(id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{state.SpaceOutbox}, id)
}

// rowID is the number of the row under a key, 0 if it is none.
func rowID(key []byte) uint64 {
	if len(key) != 9 {
		return 0
	}
	return binary.BigEndian.Uint64(key[1:])
}

// appendRow encodes a row: version, at, and the three strings with their lengths.
func appendRow(b []byte, r *Row) []byte {
	b = append(b, 1)
	b = binary.AppendVarint(b, r.At)
	b = binary.AppendUvarint(b, uint64(len(r.Kind)))
	b = append(b, r.Kind...)
	b = binary.AppendUvarint(b, uint64(len(r.Lane)))
	b = append(b, r.Lane...)
	return append(b, r.Body...)
}

var errRow = errors.New("outbox row cannot be read")

func decodeRow(key, b []byte) (Row, error) {
	if len(key) != 9 || len(b) < 2 || b[0] != 1 {
		return Row{}, errRow
	}
	r := Row{ID: binary.BigEndian.Uint64(key[1:])}
	at, n := binary.Varint(b[1:])
	if n <= 0 {
		return Row{}, errRow
	}
	r.At = at
	b = b[1+n:]
	for _, field := range []*string{&r.Kind, &r.Lane} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return Row{}, errRow
		}
		*field = string(b[n : n+int(size)]) //nolint:gosec // bounded by len(b)
		b = b[n+int(size):]                 //nolint:gosec // bounded by len(b)
	}
	r.Body = append([]byte(nil), b...)
	return r, nil
}

// pool carries out the rows of the outbox after their epoch committed. It holds a
// bounded window of them in memory and reads the rest from the store when there is
// room. Safe for concurrent use.
type pool struct {
	store    *state.Store
	view     func() *View
	handlers map[string]Handler
	max      int
	log      *slog.Logger
	hook     func(point string)

	mu         sync.Mutex
	gate       gate
	window     []*work
	busy       map[string]bool     // lanes with a row being carried out
	cursor     uint64              // rows up to here are or were in the window
	behind     bool                // the store has rows after cursor
	known      uint64              // the newest row that the engine knows to be committed
	unresolved int                 // committed rows without an outcome
	reported   map[uint64]struct{} // rows whose receipt is on its way through the log
	remove     []uint64            // rows for the next epoch to remove
	changed    chan struct{}       // closed and replaced whenever something above changed
	retries    uint64
	resolved   uint64
	tried      map[uint64]attempt // rows that failed: what is stored of them, or will be
	notes      []uint64           // of those, which are to be written with the next epoch
}

// work is a row in the window.
type work struct {
	row     Row
	running bool
	settled bool      // its receipt was read before its handler returned
	after   time.Time // not before
	tries   int
	terms   Terms
	since   time.Time // in this run's memory
	permit  Permit    // of the try that is under way
	drop    string    // why it is to be given up, or ""
	last    error     // of the last try

	rejected bool // by its target's breaker, last time
	noted    bool // there is an attempt of it
	flying   bool // it counts among those under way of its target
}

func newPool(store *state.Store, limit int) *pool {
	return &pool{
		store: store, max: limit, busy: make(map[string]bool),
		tried: make(map[uint64]attempt), reported: make(map[uint64]struct{}), changed: make(chan struct{}), gate: newGate(Delivery{}),
	}
}

// open counts the rows that an earlier run left behind.
func (p *pool) open(read *state.Reader) error {
	err := read.Scan([]byte{state.SpaceOutbox}, nil, func(key, _ []byte) bool {
		p.unresolved++
		p.known = rowID(key)
		return true
	})
	p.behind = p.unresolved > 0
	if err != nil {
		return err
	}
	return p.openTries(read)
}

func (p *pool) signal() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait returns a channel that is closed when anything changes.
func (p *pool) wait() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

// offer takes the rows of an epoch that was committed.
func (p *pool) offer(rows []Row) {
	if len(rows) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unresolved += len(rows)
	p.known = rows[len(rows)-1].ID
	for i := range rows {
		if p.behind || len(p.window) >= p.max {
			if !p.behind {
				p.gate.overflows++
			}
			p.behind = true
			break
		}
		p.window = append(p.window, p.newWork(rows[i]))
		p.cursor = rows[i].ID
	}
	p.signal()
}

// settled says that the receipt of row was read.
func (p *pool) settled(row uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.signal()
	if _, ok := p.reported[row]; ok {
		delete(p.reported, row)
		return
	}
	for _, w := range p.window {
		if w.row.ID == row {
			w.settled = true
			return
		}
	}
	if p.unresolved > 0 { // left by an earlier run, reported before it ended
		p.unresolved--
	}
}

// takeRemovals hands over the rows that the next epoch is to remove.
func (p *pool) takeRemovals() []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	rows := p.remove
	p.remove = nil
	return rows
}

// load is what the engine needs to know for backpressure and for its end.
func (p *pool) load() (unresolved, reported, removals int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unresolved, len(p.reported), len(p.remove)
}

// run carries out rows until ctx ends; then it lets those that are under way finish
// within drain.
func (p *pool) run(ctx context.Context, workers int, drain time.Duration) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { p.worker(ctx, work) })
	}
	<-ctx.Done()
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	timer := time.NewTimer(drain)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		cancel()
		<-done
	}
}

func (p *pool) worker(ctx, work context.Context) {
	for {
		w := p.take(ctx)
		if w == nil {
			return
		}
		result, after, err := p.carryOut(work, w)
		p.finish(w, result, after, err)
	}
}

func (p *pool) handle(ctx context.Context, w *work) (Result, time.Duration, error) {
	h := p.handlers[w.row.Kind]
	if h == nil {
		return Again, time.Minute, fmt.Errorf("row %d of kind %q: %w", w.row.ID, w.row.Kind, ErrNoHandler)
	}
	v := p.view()
	defer v.Close()
	return h(ctx, v, w.row)
}

// take waits for a row whose lane is free and whose time has come.
func (p *pool) take(ctx context.Context) *work {
	for {
		p.mu.Lock()
		if p.behind && len(p.window) <= p.max/2 { // a scan for each row would cost more than most effects
			p.refill()
		}
		w, next := p.pick(time.Now())
		if w == nil && p.behind && len(p.window) < p.max && len(p.busy) == 0 { // all of the window waits for its time
			p.refill()
			w, next = p.pick(time.Now())
		}
		changed := p.changed
		p.mu.Unlock()
		if ctx.Err() != nil {
			if w != nil {
				p.release(w)
			}
			return nil
		}
		if w != nil {
			return w
		}
		if !sleep(ctx, changed, next) {
			return nil
		}
	}
}

// sleep waits for a change, for the time of the next retry or for the end of ctx,
// and says whether to go on.
func sleep(ctx context.Context, changed <-chan struct{}, next time.Time) bool {
	var tick <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		tick = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-changed:
	case <-tick:
	}
	return true
}

// pick finds the first row that may be carried out, else when the next may.
func (p *pool) pick(now time.Time) (*work, time.Time) {
	var next time.Time
	var held map[string]bool // lanes with an earlier row that waits
	for _, w := range p.window {
		if w.running || p.busy[w.row.Lane] || held[w.row.Lane] {
			continue
		}
		until := p.admit(w, now)
		if until.IsZero() {
			w.running = true
			p.busy[w.row.Lane] = true
			return w, time.Time{}
		}
		if held == nil {
			held = make(map[string]bool)
		}
		held[w.row.Lane] = true
		if next.IsZero() || until.Before(next) {
			next = until
		}
	}
	return nil, next
}

func (p *pool) release(w *work) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.permit.Cancel()
	p.landed(w)
}

// refill reads rows behind the cursor from the store into the window, as far as the
// engine knows of them: what it does not, it will still offer.
func (p *pool) refill() {
	v := p.store.Snapshot()
	defer v.Close()
	more := false
	err := v.Scan([]byte{state.SpaceOutbox}, rowKey(p.cursor+1), func(key, value []byte) bool {
		if rowID(key) > p.known {
			return false
		}
		if len(p.window) >= p.max {
			more = true
			return false
		}
		row, err := decodeRow(key, value)
		if err != nil {
			p.log.Error("an outbox row cannot be read and is left where it is", "row", row.ID)
			return true
		}
		p.window = append(p.window, p.newWork(row))
		p.cursor = row.ID
		return true
	})
	if err != nil {
		p.log.Error("the outbox cannot be read", "err", err)
		return
	}
	p.behind = more
}

// finish notes what came of a row.
func (p *pool) finish(w *work, result Result, after time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.landed(w)
	defer p.signal()
	if (result == Again || err != nil) && !w.settled {
		w.tries++
		p.retries++
		w.after = time.Now().Add(max(after, p.gate.Backoff.Wait(w.tries, w.row.ID)))
		p.note(w)
		p.log.Warn("an effect is tried again", "row", w.row.ID, "kind", w.row.Kind, "tries", w.tries, "err", err)
		return
	}
	for i, other := range p.window {
		if other == w {
			p.window = append(p.window[:i], p.window[i+1:]...)
			break
		}
	}
	p.unresolved--
	p.resolved++
	if w.settled {
		return
	}
	if result == Reported {
		p.reported[w.row.ID] = struct{}{}
		return
	}
	p.remove = append(p.remove, w.row.ID)
}

// backoff is the wait before try n+1: 0.1 s doubled each time, at most a minute.
func backoff(n int) time.Duration {
	return min(100*time.Millisecond<<min(n-1, 10), time.Minute)
}
