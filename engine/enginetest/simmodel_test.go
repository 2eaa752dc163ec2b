package enginetest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// model is a machine of model parts: a log and a disk in memory, and a Badger in memory
// that outlives the program.
type model struct {
	s    *sim
	log  *enginetest.Log
	disk *enginetest.Disk
	base *state.Base
}

func newModel(s *sim) (*model, error) {
	base, err := state.NewBase()
	if err != nil {
		return nil, err
	}
	return &model{
		s: s, log: enginetest.NewLog(), base: base,
		disk: enginetest.NewDisk(s.seed, enginetest.DiskOptions{Before: s.beforeDisk}),
	}, nil
}

func (m *model) start(_ context.Context, o state.Options) (*state.Store, engine.Source, error) {
	o.Dir, o.Disk, o.Base = "model", m.disk, m.base
	store, err := state.Open(o)
	return store, m.log, err
}

func (m *model) freeze() error { return nil }

func (m *model) stopped(how ending) error {
	switch how {
	case powerLost:
		m.disk.PowerLoss()
	case killed:
		m.disk.Kill()
	}
	return nil
}

func (m *model) publish(_ context.Context, id string, data []byte) error {
	now := time.Now().UnixMilli()
	switch {
	case id != "":
		m.log.Publish(now, id, data)
	case m.s.draw(10) == 0:
		m.log.Skip(now, data)
	default:
		m.log.Append(now, data)
	}
	return nil
}

func (m *model) messages(context.Context) ([]engine.Message, error) { return m.log.Messages(), nil }
func (m *model) last(ctx context.Context) (uint64, error)           { return m.log.Last(ctx) }
func (m *model) close() error                                       { return m.base.Close() }

// newSim makes the simulation of a seed, but for its machine.
func newSim(seed uint64, off switches) *sim {
	rng := rand.New(rand.NewPCG(seed, 3))
	s := &sim{
		seed: seed, off: off, rng: rng, spec: drawSpec(rng), slack: 1 + int64(rng.IntN(1<<rng.IntN(14))),
		points: make(map[string]int), clean: make(map[int]bool), acts: make(map[uint64][]act), lanes: make(map[string]uint64),
		gone: make(map[uint64]bool), journal: make(map[uint64]string), tries: make(map[uint64]map[int]int), crashed: make(chan struct{}),
	}
	s.loud = os.Getenv("MILLRACE_TRACE") != ""
	s.power = rng.IntN(4) > 0
	s.ref = newReference(s.spec, s.slack)
	return s
}

// simulate plays a seed on the model parts.
func simulate(t *testing.T, seed uint64, off switches) (s *sim, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s = newSim(seed, off)
		m, failed := newModel(s)
		if failed != nil {
			t.Fatal(failed)
		}
		s.m = m
		err = errors.Join(s.play(context.Background()), m.close())
	})
	return s, err
}

// Without a word the simulation plays so many seeds, from 1 on.
const seedsUsual = 300

// TestSimulation runs a whole engine on model parts in virtual time, as often as
// MILLRACE_SEEDS says, with faults that a seed decides: see sim. MILLRACE_SEED plays one
// seed alone, and MILLRACE_TRACE prints every step.
func TestSimulation(t *testing.T) {
	first, n := uint64(1), number(t, "MILLRACE_SEEDS", seedsUsual)
	if testing.Short() {
		n = min(n, 60)
	}
	if one := number(t, "MILLRACE_SEED", 0); one > 0 {
		first, n = one, 1
	}
	var sum totals
	workers := number(t, "MILLRACE_WORKERS", 2)
	t.Run("seeds", func(t *testing.T) {
		for w := range workers {
			t.Run(strconv.FormatUint(w, 10), func(t *testing.T) {
				t.Parallel()
				for seed := first + w; seed < first+n && !t.Failed(); seed += workers {
					s, err := simulate(t, seed, switches{})
					if err != nil {
						t.Errorf("seed %d: %v\nrepeat it with\n\tMILLRACE_SEED=%d go test ./engine/enginetest -run 'TestSimulation$' -count 5", seed, err, seed)
					}
					sum.add(s)
				}
			})
		}
	})
	t.Log(&sum)
	if n > 50 && (sum.doubles == 0 || sum.unknown == 0 || sum.givenUp == 0 || sum.points["disk-remove"] == 0 || sum.ends[powerLost] == 0) {
		t.Error("the simulation met nothing of what it is for")
	}
}

func number(t *testing.T, name string, usual uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// totals is what simulations met. Safe for concurrent use.
type totals struct {
	mu                     sync.Mutex
	seeds, steps, runs     int
	rows, doubles, unknown int
	givenUp                int
	messages, lazy         int
	ends                   [4]int
	points                 map[string]int
}

func (t *totals) add(s *sim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.points == nil {
		t.points = make(map[string]int)
	}
	t.seeds++
	t.steps += s.total
	t.runs += s.run
	t.rows += len(s.ref.rows)
	t.doubles += s.doubles
	t.unknown += s.unknown
	t.givenUp += s.givenUp
	t.messages += int(s.acked.Position.Seq) //nolint:gosec // small
	t.lazy += int(s.acked.Sent)             //nolint:gosec // small
	for p, n := range s.points {
		t.points[p] += n
	}
	for how, n := range s.ends {
		t.ends[how] += n
	}
}

func (t *totals) String() string {
	return fmt.Sprintf("%d seeds, %d runs of the program, of which %d halted, %d failed, %d were killed, %d lost power; %d steps; "+
		"%d messages, %d to lazy stages, %d effects, %d carried out twice, %d unknown, %d given up; points: %v",
		t.seeds, t.runs, t.ends[halted], t.ends[failed], t.ends[killed], t.ends[powerLost], t.steps,
		t.messages, t.lazy, t.rows, t.doubles, t.unknown, t.givenUp, t.points)
}
