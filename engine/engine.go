package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"millrace/state"
)

// progress is what commits with the state of an epoch: how far the log was read,
// and the few facts that follow from it.
type progress struct {
	Epoch     uint64   `json:"epoch"`
	Position  Position `json:"position"`
	Watermark int64    `json:"watermark"`
	Newest    int64    `json:"newest"`   // the greatest event time so far
	Received  int64    `json:"received"` // receive time of the newest unit, and
	Stored    int64    `json:"stored"`   // when the log stored its message: ticks start here
	NextRow   uint64   `json:"next_row"`
	Sent      uint64   `json:"sent"` // messages to lazy stages
	Timers    int64    `json:"timers"`
	TimerLow  int64    `json:"timer_low"`
	Clocks    int64    `json:"clocks,omitempty"`    // timers of processing time, and
	ClockLow  *int64   `json:"clock_low,omitempty"` // a due time at or before the first
}

// keys of the store's own facts.
var (
	keyProgress = []byte("\x01progress")  //nolint:gochecknoglobals // constant
	keyCells    = []byte("\x01cells")     //nolint:gochecknoglobals // constant
	keyOps      = []byte("\x01operators") //nolint:gochecknoglobals // constant
)

// Engine runs one graph over one log. Run it once.
type Engine struct {
	o        Options
	graph    *Graph
	read     *state.Reader
	progress progress
	timers   timers
	clocks   timers // of processing time
	marks    marks
	redo     redoLog
	pool     *pool
	info     LogInfo
	lazy     []replayer // see replayers
	crew     *crew      // nil while one goroutine runs the graph

	// Of the epoch that is open.
	ctx      Ctx
	used     chan *batch // processed, for the reader
	rest     *batch      // begun, and to be gone on with when effects got their outcome
	units    int
	worked   time.Time // when units were processed last
	rows     []Row
	settled  []uint64
	lastData []byte // of the last message that was read whole, if whole
	whole    bool   // one was since the engine opened

	// Of the commit that is under way.
	records [2]*state.Record
	flying  *epoch
	commits chan *epoch
	done    chan error
	seen    progress // of the newest epoch that the reader sees
	limitN  int
	limitB  int

	versions versions // of the graph, see activate.go
	orphans  uint64   // timers that came due when their operator was gone

	acting  bool // the pool carries out effects
	stopped bool // reading stands still since too many effects wait
	stops   atomic.Uint64
	reached reached
	quiet   quiet
	mu      sync.Mutex
	stats   Stats
	events  atomic.Uint64
}

// epoch is a closed epoch on its way into the store.
type epoch struct {
	record  *state.Record
	rows    []Row
	settled []uint64
	reached progress // with this epoch
}

// Open loads the state's progress, checks it against the log, and makes the engine
// ready to run.
func Open(ctx context.Context, o Options) (*Engine, error) {
	o = o.withDefaults()
	if o.Source == nil || o.Store == nil || o.Decoder == nil || o.Graph == nil {
		panic("BUG: an engine needs a source, a store, a decoder and a graph")
	}
	e := &Engine{
		o: o, graph: o.Graph, read: o.Store.NewReader(),
		records: [2]*state.Record{{}, {}},
		commits: make(chan *epoch), done: make(chan error, 1), used: make(chan *batch, batchesAhead),
	}
	e.ctx.engine, e.ctx.op = e, o.Graph.operators[0]
	e.limitN, e.limitB = o.Store.Limits()
	e.limitB = min(e.limitB, epochBytes(debug.SetMemoryLimit(-1)))
	if o.Parallel > 1 {
		e.crew = newCrew(e, o.Parallel)
	}
	if err := e.open(ctx); err != nil {
		e.crew.close()
		e.read.Close()
		return nil, err
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context) error {
	raw, found, err := e.read.Get(nil, keyProgress)
	if err != nil {
		return err
	}
	e.progress.Watermark = math.MinInt64
	if found {
		if err := json.Unmarshal(raw, &e.progress); err != nil {
			return fmt.Errorf("the state's progress cannot be read: %w", err)
		}
	}
	if err := e.marks.open(e); err != nil {
		return err
	}
	if e.crew != nil {
		if err := e.crew.ahead.open(e); err != nil {
			return err
		}
	}
	if err := e.number(); err != nil {
		return err
	}
	if err := e.openVersions(); err != nil {
		return err
	}
	if err := e.graph.open(ctx); err != nil {
		return err
	}
	e.info, err = e.o.Source.Open(ctx, e.progress.Position, e.o.AcceptGap)
	if err != nil {
		return fmt.Errorf("open the log at sequence %d: %w", e.progress.Position.Seq, err)
	}
	e.resume(found)
	e.timers.spilled = &e.reached.timers
	e.clocks.spilled = &e.reached.timers
	low := int64(math.MinInt64)
	if found {
		low = e.progress.TimerLow
	}
	if err := e.timers.start(e.read, e.o.TimersOpen, low, e.progress.Timers); err != nil {
		return err
	}
	if err := e.openClocks(); err != nil {
		return err
	}
	e.pool = newPool(e.o.Store, e.o.OutboxOpen)
	e.pool.handlers, e.pool.log, e.pool.hook, e.pool.view = e.o.Handlers, e.o.Logger, e.o.Hook, e.View
	e.pool.gate = newGate(e.o.Delivery)
	if err := e.pool.open(e.read); err != nil {
		return err
	}
	e.redo.last = e.progress.Sent
	if err := e.recover(); err != nil {
		return err
	}
	e.seen = e.progress
	e.quiet.init(e)
	e.publish()
	return nil
}

// number gives every cell and operator the number that the store keeps for its
// name, and stores the numbers of new ones.
func (e *Engine) number() error {
	r := e.records[0]
	cells, err := e.numbers(keyCells)
	if err != nil {
		return err
	}
	for _, c := range e.graph.cells {
		e.attach(c, cells)
	}
	ops, err := e.numbers(keyOps)
	if err != nil {
		return err
	}
	for _, o := range e.graph.operators {
		o.id = ops.of(o.name)
	}
	e.versions.cells, e.versions.ops = cells, ops
	schemas, err := e.schemas()
	if err != nil || !cells.grown && !ops.grown && schemas == nil {
		return err
	}
	if schemas != nil {
		r.Put(keySchemas, schemas)
	}
	cells.grown, ops.grown = false, false
	defer r.Reset()
	if err := putNames(r, cells, ops); err != nil {
		return err
	}
	return e.o.Store.Commit(context.Background(), r)
}

// attach binds a cell to the store.
func (e *Engine) attach(c keeper, names *numbering) {
	_, known := names.known[c.Name()]
	c.Attach(e.read, names.of(c.Name()))
	c.Budget(e.o.Memory)
	if !known {
		c.Empty()
	}
	if e.crew != nil {
		c.Split(e.crew.readers)
	}
}

// putNames writes the numbers of cells and operators into r.
func putNames(r *state.Record, cells, ops *numbering) error {
	for key, n := range map[string]*numbering{string(keyCells): cells, string(keyOps): ops} {
		raw, err := json.Marshal(n.known)
		if err != nil {
			return fmt.Errorf("encode the names of the state: %w", err)
		}
		r.Put([]byte(key), raw)
	}
	return nil
}

// numbering maps names to numbers, for good.
type numbering struct {
	known map[string]uint16
	grown bool
}

func (e *Engine) numbers(key []byte) (*numbering, error) {
	n := &numbering{known: make(map[string]uint16)}
	raw, found, err := e.read.Get(nil, key)
	if err != nil || !found {
		return n, err
	}
	if err := json.Unmarshal(raw, &n.known); err != nil {
		return nil, fmt.Errorf("the names of the state cannot be read: %w", err)
	}
	n.rename(e.graph.renamed)
	return n, nil
}

func (n *numbering) of(name string) uint16 {
	id, ok := n.known[name]
	if !ok {
		id = uint16(len(n.known) + 1) //nolint:gosec // a graph has few names
		n.known[name] = id
		n.grown = true
	}
	return id
}

// Run processes the log until ctx ends (then it commits what it has and answers
// nil), until the end of the log with Once, or until something breaks.
func (e *Engine) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	late := context.AfterFunc(ctx, func() { // a commit that cannot end must not hold the end up for ever
		timer := time.AfterFunc(e.o.Drain, stop)
		context.AfterFunc(work, func() { timer.Stop() })
	})
	defer late()
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	batches := make(chan *batch, batchesAhead)
	readErr := make(chan error, 1)
	var wg, acting sync.WaitGroup
	wg.Go(func() { readErr <- e.readAhead(reading, batches) })
	wg.Go(func() { e.committer(work) })
	poolCtx, stopPool := context.WithCancel(work)
	defer stopPool()
	startPool := func() {
		if !e.acting {
			e.acting = true
			acting.Go(func() { e.pool.run(poolCtx, e.o.Workers, e.o.Drain) })
		}
	}
	if e.o.Tick != nil {
		wg.Go(func() { e.quiet.run(reading) })
	}
	err := e.loop(ctx, batches, readErr, startPool)
	stopReading()
	for range batches { // let the reader end
	}
	if err == nil {
		err = e.finish()
	}
	stopPool()
	acting.Wait()
	if err == nil && work.Err() == nil { // else what was carried out last is tried again, which handlers can bear
		if err = e.finish(); errors.Is(err, context.Canceled) && work.Err() != nil {
			err = nil // the time to end was over just now
		}
	}
	close(e.commits)
	wg.Wait()
	e.crew.close()
	e.read.Close()
	e.publish()
	return err
}

// loop is the engine's heart: it processes what is read, closes epochs and hands
// their effects over once they are committed.
func (e *Engine) loop(ctx context.Context, batches <-chan *batch, readErr <-chan error, startPool func()) error {
	closed := make(chan struct{})
	close(closed)
	idle := time.NewTimer(lazyIdle)
	defer idle.Stop()
	for {
		changed := e.pool.wait() // before anything asks how the pool stands, or its news is missed
		if err := e.breathe(batches); err != nil {
			return err
		}
		if e.caughtUp() {
			startPool()
		}
		if end, err := e.atEnd(ctx); end || err != nil {
			return err
		}
		input, ready := batches, closed
		switch blocked := e.blocked(); {
		case blocked:
			input, ready = nil, nil
		case e.rest != nil:
			input = nil
		default:
			ready = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ready:
			if err := e.work(e.rest); err != nil {
				return err
			}
		case b, ok := <-input:
			if !ok {
				return e.ended(ctx, readErr)
			}
			if err := e.work(b); err != nil {
				return err
			}
		case err := <-e.done:
			if err := e.committed(err); err != nil {
				return err
			}
		case <-changed:
		case <-idle.C:
		}
		if e.behind() {
			idle.Reset(lazyIdle)
		}
	}
}

// ended says why the reader stopped.
func (e *Engine) ended(ctx context.Context, readErr <-chan error) error {
	err := <-readErr
	if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// blocked tells whether reading must wait for effects to get their outcome. The
// epoch that is open is closed first, so that its effects can. Until the log is read
// to its end as of opening no effect leaves, since its receipt may stand there; what
// is decided meanwhile waits on disk.
func (e *Engine) blocked() bool {
	if !e.acting {
		return false
	}
	unresolved, _, _ := e.pool.load()
	if e.flying != nil {
		unresolved += len(e.flying.rows)
	}
	full := unresolved+len(e.rows) >= e.o.OutboxMax
	if full && !e.stopped {
		e.stops.Add(1)
	}
	e.stopped = full
	return full
}

// breathe closes the epoch when no input waits and no commit is under way: an epoch
// is as small as the disk allows, and grows under load. While the log as of opening is
// not read to its end no effect leaves, so nobody waits for a small epoch: a reader that
// falls behind for a moment must not cost a commit.
func (e *Engine) breathe(batches <-chan *batch) error {
	if e.flying != nil || ((len(batches) > 0 || e.rest != nil) && !e.blocked()) {
		return nil
	}
	if e.progress.Position.Seq < e.info.Last || !e.owing() {
		return nil
	}
	if e.mayWait() {
		return nil
	}
	return e.closeEpoch()
}

// mayWait tells whether lazy cells are all that there is to commit, and it is more than
// what is written at once. Before the first effect leaves all is written, so that it
// sees what the log holds.
func (e *Engine) mayWait() bool {
	if !e.acting || !e.onlyBehind() || time.Since(e.worked) >= lazyIdle {
		return false
	}
	bytes := 0
	for _, c := range e.graph.cells {
		if c.Lazy() {
			_, b := c.Dirty()
			bytes += b
		}
	}
	return bytes > lazyAtOnce
}

// onlyBehind tells whether lazy cells are all that there is to commit.
func (e *Engine) onlyBehind() bool {
	_, _, removals := e.pool.load()
	return e.units == 0 && len(e.settled) == 0 && removals == 0 && !e.pool.unwritten()
}

// caughtUp tells whether the log is read, and committed, to its end as of opening.
func (e *Engine) caughtUp() bool {
	return e.progress.Position.Seq >= e.info.Last && e.units == 0 && e.flying == nil
}

// atEnd tells whether a run with Once is complete.
func (e *Engine) atEnd(ctx context.Context) (bool, error) {
	if !e.o.Once || e.units > 0 || e.flying != nil {
		return false, nil
	}
	if unresolved, reported, removals := e.pool.load(); unresolved+reported+removals > 0 {
		return false, nil
	}
	last, err := e.o.LogEnd(ctx)
	if err != nil {
		return false, err
	}
	return e.progress.Position.Seq >= last, nil
}

// finish commits what is open.
func (e *Engine) finish() error {
	if err := e.land(); err != nil {
		return err
	}
	for e.owing() {
		if err := e.closeEpoch(); err != nil {
			return err
		}
		if err := e.land(); err != nil {
			return err
		}
	}
	return nil
}

// owing tells whether there is anything to commit.
func (e *Engine) owing() bool {
	_, _, removals := e.pool.load()
	return e.units > 0 || len(e.settled) > 0 || removals > 0 || e.pool.unwritten() || e.behind()
}

// View shows the committed state. Close it. Safe for concurrent use.
func (e *Engine) View() *View {
	e.mu.Lock()
	s := e.stats
	e.mu.Unlock()
	return &View{Snapshot: e.o.Store.Snapshot(), Watermark: s.Watermark, Epoch: s.Epoch}
}

// View is the committed state as of an epoch or a later one.
type View struct {
	*state.Snapshot
	Watermark int64  // Unix milliseconds
	Epoch     uint64 // the view shows at least this epoch
}

// Read is the committed value of key in a cell.
func Read[T any, P state.Codec[T]](v *View, cell *state.Cell[T, P], key string) (T, bool, error) {
	return cell.View(v.Snapshot, key)
}

// quietTime is a moment on the log's clock, for ticks.
type quietTime struct {
	received, stored int64
	next             int64 // due time of the first timer
	due              bool
	clock            int64 // due time of the first timer of processing time
	clockDue         bool
	ready            bool // the log is read to its end
}

// quiet watches for a log that is silent while a timer is due by the clock.
type quiet struct {
	e    *Engine
	mu   sync.Mutex
	now  quietTime
	last time.Time // when the newest message was processed
	sent bool      // a tick stands in the log that was not processed yet

	moved    time.Time // when the log's receive time moved last
	received int64
}

func (q *quiet) init(e *Engine) {
	q.e = e
	q.last = time.Now()
	q.moved = q.last
	q.now = e.quietNow() // nothing may ever come again, and yet a timer of the last run is due
}

// set is called by the engine's loop.
func (q *quiet) set(t quietTime, input bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.now = t
	if t.received != q.received {
		q.received, q.moved = t.received, time.Now()
	}
	if input {
		q.last, q.sent = time.Now(), false
	}
}

// ticking notes that a tick is on its way. While it is not processed, because reading
// or commits wait for something, another one would only fill the log.
func (q *quiet) ticking(sent bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent = sent
}

// at is the event time of a tick that is owed now.
func (q *quiet) at(now time.Time) (int64, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sent || !q.now.ready || !q.now.due && !q.now.clockDue || q.now.received == 0 || now.Sub(q.last) < q.e.o.Idle {
		return 0, false
	}
	elapsed := float64(max(now.UnixMilli()-q.now.stored, 0)) * q.e.o.Speed
	at := q.now.received + int64(elapsed)
	clock := q.now.clockDue && q.now.clock <= at
	return at, clock || q.now.due && q.now.next <= at-q.e.o.OutOfOrder.Milliseconds()
}

// run publishes ticks until ctx ends.
func (q *quiet) run(ctx context.Context) {
	t := time.NewTicker(max(q.e.o.Idle/4, 10*time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			at, owed := q.at(now)
			publish := q.e.o.Tick
			if !owed {
				at, owed = q.clockAt(now)
				publish = q.e.o.Clock
			}
			if !owed {
				continue
			}
			q.ticking(true)
			if err := publish(ctx, at); err != nil {
				q.ticking(false)
				if ctx.Err() == nil {
					q.e.o.Logger.Warn("a tick could not be published", "err", err)
				}
			}
		}
	}
}

// OpenView reads a store that no engine runs on: it gives the cells of a graph their
// numbers and answers a function that makes views. The graph must not be run.
func OpenView(store *state.Store, g *Graph) (func() *View, error) {
	e := &Engine{o: Options{Store: store}, graph: g, read: store.NewReader()}
	defer e.read.Close()
	raw, found, err := e.read.Get(nil, keyProgress)
	if err != nil {
		return nil, err
	}
	if found {
		if err := json.Unmarshal(raw, &e.progress); err != nil {
			return nil, fmt.Errorf("the state's progress cannot be read: %w", err)
		}
	}
	cells, err := e.numbers(keyCells)
	if err != nil {
		return nil, err
	}
	for _, c := range g.cells {
		c.Attach(nil, cells.of(c.Name()))
	}
	return func() *View {
		return &View{Snapshot: store.Snapshot(), Watermark: e.progress.Watermark, Epoch: e.progress.Epoch}
	}, nil
}
