package enginetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"millrace/engine"
	"millrace/engine/enginetest"
	"millrace/engine/stream"
	"millrace/state"
)

// realParts is a machine of the real parts: an embedded NATS server, Badger and the epoch log
// on the disk of this machine. An end of the program leaves a copy of its files as they
// were, without anything being closed. No power is lost: what was written stays.
type realParts struct {
	s      *sim
	dir    string
	run    int
	server *stream.Server
	log    *stream.Log
	reader *stream.Reader
}

func newReal(ctx context.Context, s *sim, dir string) (*realParts, error) {
	m := &realParts{s: s, dir: dir}
	var err error
	if m.server, err = stream.StartServer(stream.ServerOptions{Dir: filepath.Join(dir, "log")}); err != nil {
		return nil, err
	}
	if m.log, err = stream.Open(ctx, stream.Options{Server: m.server}); err != nil {
		m.server.Shutdown()
		return nil, err
	}
	return m, nil
}

func (m *realParts) state() string { return filepath.Join(m.dir, fmt.Sprintf("state%d", m.run)) }

func (m *realParts) start(_ context.Context, o state.Options) (*state.Store, engine.Source, error) {
	o.Dir, o.Disk = m.state(), gate{state.OSDisk{}, m.s}
	store, err := state.Open(o)
	if err != nil {
		return nil, nil, err
	}
	m.reader = m.log.NewReader(stream.ReaderOptions{PullWait: time.Minute}) // in virtual time every wake-up costs
	return store, m.reader, nil
}

// freeze is called when the program has come to its end and nothing is closed yet.
func (m *realParts) freeze() error {
	time.Sleep(time.Nanosecond) // virtual: passes when nobody does anything any more
	from := m.state()
	m.run++
	err := copyFiles(m.state(), from)
	return errors.Join(err, os.RemoveAll(filepath.Join(from, "epochs"))) // nobody reads them again
}

// copyFiles copies a directory. Badger's files are mostly holes, and stay so.
func copyFiles(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		return copyFile(filepath.Join(to, name), path)
	})
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	buf, zero := make([]byte, 1<<16), make([]byte, 1<<16)
	size := int64(0)
	for {
		n, err := io.ReadFull(in, buf)
		if n > 0 && !bytes.Equal(buf[:n], zero[:n]) {
			if _, err := out.WriteAt(buf[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return out.Truncate(size)
		}
		if err != nil {
			return err
		}
	}
}

func (m *realParts) stopped(ending) error {
	if m.reader == nil {
		return nil
	}
	err := m.reader.Close()
	m.reader = nil
	return err
}

func (m *realParts) publish(ctx context.Context, id string, data []byte) error {
	_, err := m.log.Publish(ctx, "in.sim", id, data)
	return err
}

func (m *realParts) messages(ctx context.Context) ([]engine.Message, error) {
	i, err := m.log.Info(ctx)
	if err != nil {
		return nil, err
	}
	var all []engine.Message
	for seq := i.First; seq <= i.Last && i.Last > 0; seq++ {
		got, err := m.log.Get(ctx, seq)
		if err != nil {
			return nil, err
		}
		all = append(all, got)
	}
	return all, nil
}

func (m *realParts) last(ctx context.Context) (uint64, error) {
	i, err := m.log.Info(ctx)
	return i.Last, err
}

func (m *realParts) close() error {
	err := m.log.Close()
	m.server.Shutdown()
	return err
}

// gate is a disk whose every operation is a step of the simulation.
type gate struct {
	state.Disk
	s *sim
}

func (g gate) Create(path string) (state.DiskFile, error) {
	return g.open(enginetest.DiskCreate, func() (state.DiskFile, error) { return g.Disk.Create(path) })
}

func (g gate) Open(path string, readOnly bool) (state.DiskFile, error) {
	return g.open(enginetest.DiskOpen, func() (state.DiskFile, error) { return g.Disk.Open(path, readOnly) })
}

func (g gate) open(op enginetest.DiskOp, f func() (state.DiskFile, error)) (state.DiskFile, error) {
	if err := g.s.beforeDisk(op); err != nil {
		return nil, err
	}
	file, err := f()
	if err != nil {
		return nil, err
	}
	return gateFile{file, g.s}, nil
}

func (g gate) Remove(path string) error {
	if err := g.s.beforeDisk(enginetest.DiskRemove); err != nil {
		return err
	}
	return g.Disk.Remove(path)
}

func (g gate) SyncDir(dir string) error {
	if err := g.s.beforeDisk(enginetest.DiskSyncDir); err != nil {
		return err
	}
	return g.Disk.SyncDir(dir)
}

type gateFile struct {
	state.DiskFile
	s *sim
}

func (f gateFile) WriteAt(p []byte, at int64) (int, error) {
	err := f.s.beforeDisk(enginetest.DiskWrite)
	if errors.Is(err, enginetest.ErrFault) {
		n, failed := f.DiskFile.WriteAt(p[:f.s.draw(len(p)+1)], at)
		return n, errors.Join(err, failed)
	}
	if err != nil {
		return 0, err
	}
	return f.DiskFile.WriteAt(p, at)
}

func (f gateFile) Truncate(size int64) error {
	if err := f.s.beforeDisk(enginetest.DiskTruncate); err != nil {
		return err
	}
	return f.DiskFile.Truncate(size)
}

func (f gateFile) Sync() error {
	if err := f.s.beforeDisk(enginetest.DiskSync); err != nil {
		return err
	}
	return f.DiskFile.Sync()
}

const realSeedsUsual = 8 // CI plays 20

// TestSimulationReal is TestSimulation on the real parts, MILLRACE_REAL_SEEDS times.
func TestSimulationReal(t *testing.T) {
	first, n := uint64(1), number(t, "MILLRACE_REAL_SEEDS", realSeedsUsual)
	if testing.Short() {
		n = min(n, 4)
	}
	if one := number(t, "MILLRACE_SEED", 0); one > 0 {
		first, n = one, 1
	}
	var sum totals
	for seed := first; seed < first+n; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			dir := t.TempDir()
			enginetest.Bubble(t, func(t *testing.T) {
				s := newSim(seed, switches{})
				m, err := newReal(t.Context(), s, dir)
				if err != nil {
					t.Fatal(err)
				}
				s.m = m
				if err := errors.Join(s.play(t.Context()), m.close()); err != nil {
					t.Errorf("seed %d on the real parts: %v\nrepeat it with\n\tMILLRACE_SEED=%d go test ./engine/enginetest -run TestSimulationReal -count 5", seed, err, seed)
				}
				sum.add(s)
			})
		})
	}
	t.Log(&sum)
}
