package enginetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

// machine is what a simulation stands on: the model parts or the real ones.
type machine interface {
	// start opens store and log for a run of the program.
	start(ctx context.Context, o state.Options) (*state.Store, engine.Source, error)
	// freeze is called when the program was ended, before its store is closed.
	freeze() error
	// stopped is called when the run has ended and its store is closed; how says in which way.
	stopped(how ending) error
	// publish adds a message to the log, once if id is not "".
	publish(ctx context.Context, id string, data []byte) error
	// messages is everything that stands in the log.
	messages(ctx context.Context) ([]engine.Message, error)
	last(ctx context.Context) (uint64, error)
	close() error
}

// ending is how a run of the program came to its end.
type ending int

const (
	halted    ending = iota // as by SIGTERM
	failed                  // Run answered an error
	killed                  // as by SIGKILL
	powerLost               // what was not synced is lost
)

func (e ending) String() string {
	return [...]string{"halted", "failed", "killed", "lost its power"}[e]
}

var errDown = errors.New("the simulated machine is down")

// switches break a promise on purpose, to show that the simulation notices.
type switches struct {
	effectsFirst bool // effects leave before their epoch is committed
	dropSync     bool // the log is not synced
	forget       bool // commits leave the position out
	plain        bool // nothing fails but by the switches: the machine loses its power
}

// sim is one simulation.
type sim struct {
	seed uint64
	off  switches
	m    machine

	mu      sync.Mutex
	rng     *rand.Rand // of faults and waits
	steps   int        // since the run began
	crashAt int        // the step at which it ends, 0 for never
	faultAt int        // the step from which on a fault strikes, 0 for never
	how     ending     // of a crash
	down    bool
	crashed chan struct{}
	trace   uint64
	total   int // steps of all runs
	loud    bool
	points  map[string]int
	ends    [4]int

	spec  *spec
	slack int64
	ref   *reference

	run     int // of the program
	clean   map[int]bool
	power   bool           // commits are synced, and power may be lost
	acked   engineProgress // of the newest commit that the engine heard of
	found   engineProgress // of the store when it was last opened
	acts    map[uint64][]act
	lanes   map[string]uint64      // the newest row of each lane that was carried out
	gone    map[uint64]bool        // rows whose removal was committed
	journal map[uint64]string      // of mails: begun, sent, unknown
	tries   map[uint64]map[int]int // of notes that may be given up, by row and run
	givenUp int
	doubles int
	unknown int
	broken  error
}

// act is one carrying out of a row.
type act struct {
	run int
	row engine.Row
}

// engineProgress is what the engine commits with each epoch, as far as it is looked at.
type engineProgress struct {
	Epoch     uint64
	Position  engine.Position
	Watermark int64
	Newest    int64
	NextRow   uint64 `json:"next_row"`
	Sent      uint64
}

// step is a place where the machine may go down, or where something fails. wait says that
// the caller may wait: no lock is held. Every step takes a time of its own, so that
// what comes next is decided by the seed and not by the Go scheduler.
func (s *sim) step(point string, wait, mayFail bool) error {
	s.mu.Lock()
	if s.down {
		s.mu.Unlock()
		return errDown
	}
	s.steps++
	s.total++
	s.points[point]++
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, s.trace, point)
	s.trace = h.Sum64()
	s.tell("%d.%d %s", s.run, s.steps, point)
	if s.steps == s.crashAt {
		s.tell("%d.%d goes down: it %v", s.run, s.steps, s.how)
		s.goDown()
		s.mu.Unlock()
		return errDown
	}
	var fault error
	if mayFail && s.faultAt > 0 && s.steps >= s.faultAt {
		s.tell("%d.%d fails", s.run, s.steps)
		s.faultAt, fault = 0, fmt.Errorf("%s: %w", point, enginetest.ErrFault)
	}
	pause := time.Duration(1+s.rng.IntN(1_000_000)) * time.Nanosecond
	if s.rng.IntN(60) == 0 {
		pause *= time.Duration(1 + s.rng.IntN(4000))
	}
	s.mu.Unlock()
	if !wait {
		return fault
	}
	<-time.After(pause) // virtual: every simulation runs in a bubble
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	return fault
}

// tell prints what happens, for those who look for the cause of a failure.
func (s *sim) tell(format string, args ...any) {
	if s.loud {
		fmt.Printf("%s %s\n", time.Now().Format("01-02 15:04:05.000000000"), fmt.Sprintf(format, args...))
	}
}

// goDown ends the program: nothing that it does from now on reaches anything.
func (s *sim) goDown() {
	s.down = true
	close(s.crashed)
}

// fail notes the first thing that went wrong, and ends the run.
func (s *sim) fail(format string, args ...any) {
	if s.broken == nil {
		s.broken = fmt.Errorf(format, args...)
	}
	if !s.down {
		s.goDown()
	}
}

// beforeDisk is a step of the disk.
func (s *sim) beforeDisk(op enginetest.DiskOp) error {
	mayFail := op != enginetest.DiskRead && op != enginetest.DiskOpen && op != enginetest.DiskTruncate
	return s.step(string(op), op != enginetest.DiskRead, mayFail)
}

// source reads the log in pieces, slowly, and sometimes fails.
type source struct {
	engine.Source
	s *sim
}

func (r source) Next(ctx context.Context, buf []engine.Message) (int, error) {
	r.s.mu.Lock()
	n := 1 + r.s.rng.IntN(min(len(buf), 6))
	r.s.mu.Unlock()
	n, err := r.Source.Next(ctx, buf[:n])
	if err != nil {
		return 0, err
	}
	return n, r.s.step("log-read", true, true)
}

// committer is the store, with an eye on what it is given.
type committer struct {
	store *state.Store
	s     *sim
}

var keyProgress = []byte("\x01progress")

func (c committer) Commit(ctx context.Context, r *state.Record) error {
	var p engineProgress
	var removed []uint64
	var bad error
	forgot := &state.Record{Epoch: r.Epoch}
	r.Each(func(key, value []byte, gone bool) {
		switch {
		case gone:
			forgot.Delete(key)
			if key[0] == state.SpaceOutbox {
				removed = append(removed, rowOf(key))
			}
		case string(key) == string(keyProgress):
			p, bad = decodeProgress(value)
		default:
			forgot.Put(key, value)
		}
	})
	if bad != nil {
		return bad
	}
	if c.s.off.forget && p.Epoch%5 == 0 {
		r = forgot
	}
	if err := c.store.Commit(ctx, r); err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.down && c.s.how == powerLost {
		return errDown // it was synced, but nobody can know
	}
	if p.Epoch > 0 {
		c.s.acked = p
	}
	for _, row := range removed {
		c.s.gone[row] = true
	}
	return nil
}

func rowOf(key []byte) (id uint64) {
	for _, b := range key[1:] {
		id = id<<8 | uint64(b)
	}
	return id
}

// play runs the simulation to its end and answers what went wrong.
func (s *sim) play(ctx context.Context) error {
	rounds := s.rng.IntN(7)
	if s.off != (switches{}) {
		rounds = 8
	}
	feeding := make(chan struct{})
	fed := make(chan error, 1)
	go func() {
		defer close(feeding)
		fed <- s.feed(ctx)
	}()
	for range rounds {
		if err := s.round(ctx, false); err != nil {
			<-feeding
			return err
		}
		time.Sleep(time.Duration(s.draw(1_000_000)) * time.Microsecond << s.draw(16)) // up to 18 hours
	}
	<-feeding
	if err := <-fed; err != nil {
		return err
	}
	if err := s.round(ctx, true); err != nil {
		return err
	}
	return s.finalCheck(ctx)
}

// draw is a number below n that the seed says.
func (s *sim) draw(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

// begin sets the fate of the next run.
func (s *sim) begin(final bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run++
	s.steps, s.crashAt, s.faultAt, s.down, s.crashed = 0, 0, 0, false, make(chan struct{})
	s.how = killed
	if s.power {
		s.how = []ending{powerLost, powerLost, killed}[s.rng.IntN(3)]
	}
	switch s.rng.IntN(6) {
	case 0, 1, 2:
		s.crashAt = 1 + s.rng.IntN(40<<s.rng.IntN(4))
	case 3:
		s.faultAt = 1 + s.rng.IntN(150)
	case 4: // first a fault and then, perhaps still in what follows from it, a crash
		s.faultAt = 1 + s.rng.IntN(100)
		s.crashAt = s.faultAt + 1 + s.rng.IntN(20)
	}
	if s.off != (switches{}) {
		s.power, s.how = !s.off.dropSync, powerLost
		s.faultAt, s.crashAt = 0, 20+s.rng.IntN(150)
	}
	if final {
		s.crashAt, s.faultAt = 0, 0
	}
}

// round is one run of the program, from its start to its end.
func (s *sim) round(ctx context.Context, final bool) error {
	s.begin(final)
	store, src, err := s.m.start(ctx, state.Options{Sync: s.power, LogBytes: 1 << (10 + s.draw(8)), MemTable: 8 << 20, Virtual: true})
	how := s.endOf(err)
	if err == nil {
		if how, err = s.runEngine(ctx, store, source{src, s}, final); err != nil {
			return errors.Join(err, store.Close())
		}
		if how == killed || how == powerLost {
			if err := s.m.freeze(); err != nil {
				return errors.Join(err, store.Close())
			}
		}
		if closing := store.Close(); closing != nil && how == halted {
			how = s.endOf(closing)
		}
	} else if !errors.Is(err, errDown) && !errors.Is(err, enginetest.ErrFault) {
		return fmt.Errorf("run %d: the store does not open: %w", s.run, err)
	}
	if s.broken != nil {
		return fmt.Errorf("run %d: %w", s.run, s.broken)
	}
	s.clean[s.run] = how == halted
	s.ends[how]++
	if final && how != halted {
		return fmt.Errorf("run %d, the last: it %v", s.run, how)
	}
	return s.m.stopped(how)
}

// endOf is how a run ended that ended with err.
func (s *sim) endOf(err error) ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.down:
		return s.how
	case err != nil:
		s.down = true
		return failed
	}
	return halted
}

// runEngine runs the engine on an open store until it ends or is ended.
func (s *sim) runEngine(ctx context.Context, store *state.Store, src engine.Source, final bool) (ending, error) {
	if err := s.check(ctx, store); err != nil {
		return 0, fmt.Errorf("run %d, at its start: %w", s.run, err)
	}
	e, err := engine.Open(ctx, s.options(store, src, final))
	if err != nil {
		if errors.Is(err, errDown) || errors.Is(err, enginetest.ErrFault) {
			return s.endOf(err), nil
		}
		return 0, fmt.Errorf("run %d: the engine does not open: %w", s.run, err)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- e.Run(running) }()
	patience := time.Duration(1+s.draw(1<<s.draw(16))) * time.Second
	if final {
		patience = 100 * 24 * time.Hour
	}
	select {
	case err = <-done:
	case <-s.crashed:
		stop()
		err = <-done
	case <-time.After(patience):
		stop()
		err = <-done
		if final {
			return 0, fmt.Errorf("run %d did not end in %v: %+v", s.run, patience, e.Stats())
		}
	}
	how := s.endOf(err)
	if how == failed && !errors.Is(err, enginetest.ErrFault) {
		return 0, fmt.Errorf("run %d: %w", s.run, err)
	}
	return how, nil
}

// options are the engine's, as the seed says.
func (s *sim) options(store *state.Store, src engine.Source, final bool) engine.Options {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.rng.IntN(3) * s.rng.IntN(4)
	return engine.Options{
		Source: src, Store: store, Committer: committer{store, s}, Decoder: decoder{},
		Graph:    build(s.spec, 1+s.rng.IntN(8)).Graph,
		Handlers: map[string]engine.Handler{"note": s.note, "flaky": s.flaky, "mail": s.mail},
		Delivery: engine.Delivery{GiveUp: s.giveUp, Terms: func(row *engine.Row) engine.Terms {
			if row.Kind == "flaky" {
				return engine.Terms{Tries: flakyTries}
			}
			return engine.Terms{}
		}},

		OutOfOrder: time.Duration(s.slack) * time.Millisecond, EpochEvents: 1 + s.rng.IntN(1<<s.rng.IntN(7)),
		OutboxMax: 1 + s.rng.IntN(30), OutboxOpen: 1 + s.rng.IntN(8), Workers: 1 + s.rng.IntN(4), Parallel: 1 << s.rng.IntN(3),
		TimersOpen: 1 + s.rng.IntN(12), Drain: 20 * time.Second, Once: final, LogEnd: s.m.last,
		Tick: func(ctx context.Context, at int64) error {
			if err := s.step("tick", true, true); err != nil {
				return err
			}
			return s.m.publish(ctx, "", fmt.Appendf(nil, "t %d", at))
		},
		MayCommit: func() error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if full--; full == 3 {
				full += s.rng.IntN(2) // it may be full for a while
			}
			if full > 0 && full < 4 && !s.down {
				return errors.New("the disk is full")
			}
			return nil
		},
		Hook:         func(point string) { _ = s.step(point, true, false) },
		EffectsFirst: s.off.effectsFirst,
	}
}

func decodeProgress(raw []byte) (p engineProgress, err error) {
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, fmt.Errorf("the progress %q: %w", raw, err)
	}
	return p, nil
}
