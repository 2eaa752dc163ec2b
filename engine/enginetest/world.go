package enginetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"millrace/engine"
	"millrace/engine/stream"
	"millrace/state"
)

// Bubble runs f in virtual time: when every goroutine waits, the clock jumps to the
// next thing that is due. A day of timers takes less than a second. Worlds that are
// opened inside must be closed inside; connections must be pipes.
func Bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	stop := stream.VirtualTime()
	defer stop()
	synctest.Test(t, f)
}

// WorldOptions say what a world stands on. Dir is required.
type WorldOptions struct {
	Dir string         // where log and store are kept; a world opened there again goes on
	Log stream.Options // limits of the log; the server is the world's own
}

// World is a real log and a real store on disk, with an engine over them, fit for
// virtual time: no port, no background compaction. One goroutine at a time.
type World struct {
	Log    *stream.Log
	Store  *state.Store
	Engine *engine.Engine // of the newest Run

	server *stream.Server
	reader *stream.Reader
	stop   context.CancelFunc
	done   chan error
}

// OpenWorld opens log and store in o.Dir.
func OpenWorld(ctx context.Context, o WorldOptions) (*World, error) {
	w := &World{}
	var err error
	if w.server, err = stream.StartServer(stream.ServerOptions{Dir: filepath.Join(o.Dir, "log")}); err != nil {
		return nil, err
	}
	o.Log.Server = w.server
	if w.Log, err = stream.Open(ctx, o.Log); err != nil {
		w.server.Shutdown()
		return nil, err
	}
	if w.Store, err = state.Open(state.Options{Dir: filepath.Join(o.Dir, "state"), Virtual: true, MemTable: 8 << 20}); err != nil {
		_ = w.Log.Close()
		w.server.Shutdown()
		return nil, err
	}
	return w, nil
}

// OpenOut opens the stream of what is published for others.
func (w *World) OpenOut(ctx context.Context) error { return w.Log.OpenOut(ctx, stream.OutOptions{}) }

// Run opens an engine with o, whose Source, Store and LogEnd are the world's, and
// runs it until Halt.
func (w *World) Run(ctx context.Context, o engine.Options) error {
	if w.stop != nil {
		return errors.New("the world's engine runs already")
	}
	w.reader = w.Log.NewReader(stream.ReaderOptions{PullWait: time.Minute}) // in a bubble every wake-up costs
	o.Source, o.Store, o.LogEnd = w.reader, w.Store, w.End
	e, err := engine.Open(ctx, o)
	if err != nil {
		return errors.Join(err, w.reader.Close())
	}
	w.Engine = e
	running, stop := context.WithCancel(ctx)
	w.stop, w.done = stop, make(chan error, 1)
	go func() { w.done <- e.Run(running) }()
	return nil
}

// End is the sequence of the newest message of the log.
func (w *World) End(ctx context.Context) (uint64, error) {
	s, err := w.Log.Info(ctx)
	return s.Last, err
}

// Wait waits until the engine ends by itself, as with Once, and answers what Run did.
func (w *World) Wait() error {
	if w.stop == nil {
		return nil
	}
	err := <-w.done
	w.stop()
	w.stop = nil
	return errors.Join(err, w.reader.Close())
}

// Halt stops the engine as SIGTERM does, waits for its end, and answers what Run did.
func (w *World) Halt() error {
	if w.stop == nil {
		return nil
	}
	w.stop()
	return w.Wait()
}

// Close halts the engine and closes store and log.
func (w *World) Close() error {
	err := w.Halt()
	err = errors.Join(err, w.Store.Close(), w.Log.Close())
	w.server.Shutdown()
	return err
}

// Dump is every key and value of some spaces of a store, as text in key order.
func Dump(s *state.Store, spaces ...byte) ([]string, error) {
	v := s.Snapshot()
	defer v.Close()
	var out []string
	for _, space := range spaces {
		err := v.Scan([]byte{space}, nil, func(key, value []byte) bool {
			out = append(out, fmt.Sprintf("%q = %q", key, value))
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
